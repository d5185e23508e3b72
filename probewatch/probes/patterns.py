"""What many attempts together show: of one probe, of all probes of a pod, of all pods of a node.

Theory of operation. Each attempt has its own diagnosis (`probes.diagnose`). `explain` takes all probes of a timeline,
lets each pattern of `PATTERNS` look at them, and puts what a pattern found in the place of the attempts' own diagnoses,
where it says more. Then a probe's diagnoses are gathered: one for each kind, with the numbers of its attempts and the
first few frames that show it, and with those patterns that are about no single attempt (`ASIDE`). Patterns run in the
order of the table; a later one sees what an earlier one has said, and leaves it alone unless it knows better.

A pattern must not see shapes in noise: each states how many attempts it wants, and what must speak against chance.

Limitations: only probes are looked at. What other connections of a node did meanwhile is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.catalogue import in_words_of
from probewatch.model.diagnoses import HUNG_UP, LIVENESS_ADVICE, Kind, spoken
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import (
    Attempt,
    Probe,
    TimelineEvent,
)
from probewatch.model.units import SECOND, briefly

from .courses import (
    before_startup,
    connect_check,
    died,
    gaps,
    over_period,
    poked,
    starved,
    terminating,
    unhealthy_together,
)
from .diagnose import AT_DEADLINE, answer_began, at_deadline
from .held import AT_ONCE_NS, worker_held
from .loops import restart_loop
from .neighbours import same_port
from .oneway import one_direction
from .routes import gateway, rerouted, same_address, tested
from .scene import (
    Heard,
    Scene,
    evidence_of,
)
from .silences import (
    arrived,
    hosted,
    late_handshakes,
    node_wide,
    on_the_way,
    one_lost,
    port_reused,
    queue_full,
    source_address,
    source_ports,
    wrong_mac,
)
from .starts import killed, starting
from .waits import late_kernels

Pattern = Callable[[Scene], None]

KUBELETS: Final = frozenset({Kind.KUBELET_LATE, Kind.REDIRECT_ELSEWHERE, Kind.RESET_AFTER_ANSWER})
"""What is only known to mean this where a kubelet is the checker."""
NEVER: Final = 3
"""Attempts that must all have stayed without any answer before a longer timeout is said to be no help."""
STOOD_STILL: Final = (
    "All late answers came in one moment: the process stood still until then, or all its workers were held, and no endpoint is slow. Find "
    "what stopped it: a signal, a pause for garbage collection, a lock, a disk that did not answer, no CPU (cpu.stat of its cgroup: "
    "throttled), connections on which nothing is asked (ss -tnp in the pod)."
)
"""What to do where all late answers came at once."""
PATIENT: Final = 10
"""Seconds of timeout beyond which a longer one is no advice."""


PATTERNS: Final[tuple[Pattern, ...]] = (
    hosted,
    on_the_way,
    wrong_mac,
    rerouted,
    gateway,
    tested,
    same_address,
    port_reused,
    source_ports,
    source_address,
    queue_full,
    worker_held,
    one_lost,
    late_handshakes,
    node_wide,
    late_kernels,
    arrived,
    unhealthy_together,
    starting,
    killed,
    died,
    terminating,
    over_period,
    starved,
    gaps,
    poked,
    before_startup,
    connect_check,
    restart_loop,
    same_port,
    one_direction,
)
"""In this order; a later one leaves alone what is explained, except that a beginning or an end of a pod explains most."""


def explain(
    probes: Sequence[Probe],
    events: Sequence[TimelineEvent],
    captures: Sequence[CaptureInfo] = (),
    heard: Heard | None = None,
) -> list[Probe]:
    """Return the probes with the diagnoses that all of them together allow.

    `heard` is what was on the wire beside them.
    """
    scene = Scene(probes, events, captures, heard or Heard())
    for probe in probes:
        kubelet = probe.checker.kind == "kubelet"
        scene.found.append(
            {
                a.n: a.diagnosis
                for a in probe.attempts
                if a.diagnosis is not None and (kubelet or a.diagnosis.kind not in KUBELETS)
            }
        )
        scene.aside.append([])
    for pattern in PATTERNS:
        pattern(scene)
    out = []
    for place, probe in enumerate(probes):
        known = scene.found[place]
        diagnoses = gathered(probe, known, scene.aside[place])
        attempts = probe.attempts
        if any(known.get(a.n) is not a.diagnosis for a in attempts):
            attempts = tuple(
                a if known.get(a.n) is a.diagnosis else replace(a, diagnosis=known.get(a.n)) for a in attempts
            )
        changed = attempts is not probe.attempts or bool(diagnoses)
        out.append(replace(probe, attempts=attempts, diagnoses=diagnoses) if changed else probe)
    return out


def gathered(probe: Probe, known: Mapping[int, Diagnosis], aside: Sequence[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Make one diagnosis of those of the same kind; the most frequent first, what is harmless last."""
    by_kind: dict[str, list[Attempt]] = {}
    for attempt in probe.attempts:
        if attempt.n in known:
            by_kind.setdefault(known[attempt.n].kind, []).append(attempt)
    out = []
    for attempts in by_kind.values():
        each = [known[attempt.n] for attempt in attempts]
        out.append(
            replace(
                each[0],
                rows=tuple(dict.fromkeys(row for one in each for row in one.rows)),
                sentence=_sentence(attempts, each),
                advice=in_words_of(probe.checker.kind, _advice(probe, attempts, each)),
                attempts=tuple(attempt.n for attempt in attempts),
                evidence=evidence_of(attempts),
                equally=tuple(dict.fromkeys(kind for one in each for kind in one.equally)),
            )
        )
    out = [replace(one, says=spoken(one.says, probe.handler)) for one in (*out, *aside)]
    return tuple(sorted(out, key=lambda one: (one.harmless, -len(one.attempts))))


def _sentence(attempts: Sequence[Attempt], each: Sequence[Diagnosis]) -> str:
    """Return one sentence for several attempts of one kind, with the span of their numbers."""
    said = Counter(one.sentence for one in each)
    if len(said) == 1:
        return each[0].sentence
    kind = Kind(each[0].kind)
    if kind is Kind.APPLICATION_SLOW:
        late = sorted(a.late_answer_ns for a in attempts if a.late_answer_ns is not None)
        if late:
            close = sum(map(at_deadline, attempts))
            when = (
                "when the checker had hung up"
                if not close
                else AT_DEADLINE
                if close == len(late)
                else "at the deadline or later"
            )
            first = "The pod's kernel acknowledged the requests at once;"
            if (none := _unanswered(attempts)) > 0:
                others = (
                    f"the other{f' {none}' if none > 1 else ''}" if none + len(late) == len(attempts) else f"{none}"
                )
                came = f"{len(late)} of {len(attempts)} answers came after all, after {span(late)}, {when}"
                return f"{first} {came}; no answer to {others} was seen."
            return f"{first} the answers came after {span(late)}, {when}."
    if kind in (Kind.SAYS_UNHEALTHY, Kind.TURNED_AWAY):
        status = Counter(a.status for a in attempts).most_common(1)[0][0]
        slowest = briefly(max(a.latency_ns for a in attempts))
        what = "reports itself unhealthy" if kind is Kind.SAYS_UNHEALTHY else "turns the probe away"
        return f"The application answered {status} within {slowest}: it is running, but {what}."
    if kind is Kind.SYN_UNANSWERED:
        sent = sum(syn.ns <= a.end_ns for a in attempts for leg in a.legs for syn in leg.connection.orig.syns)
        return f"{sent} SYNs of {len(attempts)} attempts left, and nothing came back in time."
    return said.most_common(1)[0][0]


def _advice(probe: Probe, attempts: Sequence[Attempt], each: Sequence[Diagnosis]) -> str:
    """Return what to do about several attempts of one kind, with a timeout that would have been long enough."""
    usual = Counter(one.advice for one in each).most_common(1)[0][0]
    if each[0].kind in (Kind.SAYS_UNHEALTHY, Kind.BEHIND_THE_PROXY) and probe.type is ProbeType.LIVENESS:
        return f"{usual} {LIVENESS_ADVICE}"
    if each[0].kind != Kind.APPLICATION_SLOW:
        return usual
    late = [a.late_answer_ns for a in attempts if a.late_answer_ns is not None]
    if not late and all(map(_dropped, attempts)):
        return HUNG_UP
    if not late and len(attempts) >= NEVER and not any(answer_began(a) for a in attempts):
        return (
            "Find where the application hangs: no answer came later either, so a longer timeout would not have helped."
        )
    came = [a.start.ns + a.late_answer_ns for a in attempts if a.late_answer_ns is not None]
    if len(came) > 1 and max(came) - min(came) <= AT_ONCE_NS:
        return STOOD_STILL
    enough = max(late, default=-1) // SECOND + 1
    if not 0 < enough <= PATIENT:
        return usual
    made = "Make the health endpoint cheap, or give the container more CPU"
    if (none := _unanswered(attempts)) >= len(late):
        return f"Find where the application hangs: no answer to {none} of {len(attempts)} was seen, so a longer timeout hardly helps."
    if none:
        return f"{made}; timeoutSeconds: {enough} would have waited for {len(late)} of these {len(attempts)} answers."
    return f"{made}; timeoutSeconds: {enough} would have waited for these answers."


def _unanswered(attempts: Sequence[Attempt]) -> int:
    """Return how many of them got no byte of an answer, neither in time nor later, though the server did not hang up when they did."""
    return sum(a.late_answer_ns is None and answer_began(a) is None and not _dropped(a) for a in attempts)


def _dropped(attempt: Attempt) -> bool:
    """Tell whether the server ended the connection, without a byte, as soon as the checker had hung up."""
    if not attempt.legs:
        return False
    orig, resp = attempt.legs[-1].connection.orig, attempt.legs[-1].connection.resp
    hung_up, ended = orig.closed, resp.closed
    if hung_up is None or ended is None or resp.length:
        return False
    return 0 <= ended.ns - hung_up.ns < SECOND


def span(values: Sequence[int]) -> str:
    """Return `2.50 s` or `1.20 s to 2.50 s` of sorted nanoseconds."""
    first, last = briefly(values[0]), briefly(values[-1])
    return first if first == last else f"{first} to {last}"
