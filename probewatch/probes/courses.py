"""Patterns over the course of probes: ends of pods, gaps, paces, and what several pods say together.

A pattern must not see shapes in noise: each states how many attempts it wants, and what must speak against chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from probewatch.model.diagnoses import Kind
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    BETWEEN_FILES,
    NOT_DUE,
    TO_THE_END_ALONE,
    Attempt,
    DecisionKind,
    EventKind,
    GapKind,
    Outcome,
    Probe,
    Schedule,
    Trigger,
)
from probewatch.model.units import MS, SECOND, briefly

from .costs import LINGER_NS
from .diagnose import Found
from .scene import (
    Scene,
    by_checker,
    connected,
    containers,
    happened,
    runs,
)
from .silences import AGAIN, TIME_WAIT_NS

STARVED_NS: Final = 250 * MS
"""A tick that runs later than this tells of its kubelet: many a node has its moments of a tenth of a second."""


_CUT_OFF: Final = frozenset({Kind.CLOSED_UNANSWERED, Kind.RESET_BY_SERVER})
"""What a process leaves of its connections when it dies, among other things."""
_DIED: Final = (
    "The connection was ended without an answer because the container ended then: nothing of it answered afterwards, and a "
    "new one began."
)
_LAST_STATE: Final = "kubectl describe pod: Last State (OOMKilled, its exit code); kubectl logs --previous."
_LAST_WORDS: Final = (
    "Find why the process died while it was asked: its memory limit, a crash; no probe had told the kubelet to end it."
)


def terminating(scene: Scene) -> None:
    """See failures after a pod began to end (D24)."""
    for place, probe in enumerate(scene.probes):
        begun = min(happened(scene, place, EventKind.POD_TERMINATING), key=lambda e: e.ns, default=None)
        if begun is None:
            continue
        # The event is placed where liveness was missed first; readiness may fail a little before that.
        failed = [a for a in probe.attempts if a.outcome is Outcome.FAILURE and a.start.ns >= begun.earliest_ns]
        if failed and failed[-1] is probe.attempts[-1]:
            scene.say(place, failed, Found(Kind.POD_TERMINATING))
        elif not failed and probe.type is ProbeType.READINESS:
            later = [a for a in probe.attempts if a.start.ns >= begun.ns]
            text = "The pod was being deleted: liveness had stopped, and readiness went on, as it does until the end."
            scene.note(place, later, Found(Kind.POD_TERMINATING, text))


def died(scene: Scene) -> None:
    """See connections that were ended because their container ended in that moment, and nothing had told it to (D12, D13)."""
    for places in containers(scene):
        met = [(place, a) for place in places for a in scene.probes[place].attempts if a.answered]
        cut = [(place, a) for place, a in met if scene.kind(place, a) in _CUT_OFF]
        whole = sorted(a.end_ns for place, a in met if scene.kind(place, a) not in _CUT_OFF)
        told = [d.ns for place in places for d in scene.probes[place].decisions if d.kind is DecisionKind.RESTART]
        begun = sorted(e.ns for e in happened(scene, places[0], EventKind.CONTAINER_STARTED) if not e.doubtful)
        for before, start in pairwise([0, *begun]):
            last = bisect_left(whole, start)
            if not last or whole[last - 1] < before or any(before < ns < start for ns in told):
                continue  # It had not worked, or was killed.
            for place, attempt in cut:
                if whole[last - 1] < attempt.end_ns < start:
                    kind = Kind(scene.kind(place, attempt))
                    scene.say(place, [attempt], Found(kind, _DIED, advice=_LAST_WORDS, check=_LAST_STATE))


def unhealthy_together(scene: Scene) -> None:
    """See the same bad status begin at several pods at the same time (D22)."""
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, probe in enumerate(scene.probes):
        if probe.handler is Handler.HTTP_GET and probe.checker.kind == "kubelet":
            alike[probe.target.port, probe.path, probe.type].append(place)
    for places in alike.values():
        addresses = {scene.probes[place].target.address for place in places}
        bursts: list[tuple[int, int, list[Attempt]]] = []
        for place in places:
            attempts = scene.probes[place].attempts
            bad = {a.n for a in attempts if scene.kind(place, a) == Kind.SAYS_UNHEALTHY}
            # A burst has a good attempt before it: what never worked did not fail together with anything.
            bursts += [(run[0].start.ns, place, run) for run in runs(attempts, bad) if run[0] is not attempts[0]]
        bursts.sort(key=lambda burst: burst[0])
        period = max(scene.probes[place].thresholds.get("periodSeconds", (10, ""))[0] for place in places) * SECOND
        if len(addresses) < 2:
            continue
        at = 0
        while at < len(bursts):
            group = [burst for burst in bursts[at:] if burst[0] - bursts[at][0] <= period]
            struck = {scene.probes[place].target.address for _, place, _ in group}
            statuses = {run[0].status for _, _, run in group}
            if len(struck) >= 2 and len(struck) * 2 > len(addresses) and len(statuses) == 1:
                within = briefly(group[-1][0] - group[0][0])
                text = (
                    f"{len(struck)} of {len(addresses)} pods began to answer {statuses.pop()} within {within}: "
                    "something that they share is down."
                )
                for _, place, run in group:
                    scene.say(place, run, Found(Kind.UNHEALTHY_TOGETHER, text, (Kind.SAYS_UNHEALTHY,)))
            at += len(group)


def over_period(scene: Scene) -> None:
    """See attempts that last longer than the period, each followed by the next at once (D28)."""
    for place, probe in enumerate(scene.probes):
        period = probe.thresholds.get("periodSeconds")
        timeout = probe.thresholds.get("timeoutSeconds")
        if probe.checker.kind != "kubelet" or period is None or timeout is None or timeout[0] <= period[0]:
            continue
        pressed = [
            one
            for one, following in pairwise(probe.attempts)
            if one.latency_ns > period[0] * SECOND
            and following.n == one.n + 1
            and following.trigger in (Trigger.STORED_TICK, Trigger.TICK, Trigger.UNKNOWN)
            and -SECOND // 20 <= following.start.ns - one.end_ns <= LINGER_NS
        ]
        if len(pressed) >= 2:
            text = (
                f"The timeout ({timeout[0]} s) is longer than the period ({period[0]} s): {len(pressed)} attempts that took longer "
                "were followed by the next at once."
            )
            scene.note(place, pressed, Found(Kind.TIMEOUT_OVER_PERIOD, text))


def gaps(scene: Scene) -> None:
    """See missing attempts: by the kubelet's rules (D04), at most pods at once (D27), or for want of a source port (D03)."""
    for places in by_checker(scene):
        missed: list[tuple[int, int, int]] = []
        pods = len({scene.probes[place].target.address for place in places})
        for place in places:
            probe = scene.probes[place]
            if probe.checker.kind != "kubelet":
                continue
            missed += [
                (gap.start_ns, gap.end_ns, place)
                for gap in probe.gaps
                if gap.kind is GapKind.UNEXPLAINED and gap.reason not in (BETWEEN_FILES, TO_THE_END_ALONE)
            ]
            known = [gap for gap in probe.gaps if gap.kind in NOT_DUE]
            delay = probe.spec.initial_delay_s if probe.spec is not None else 0
            if known:
                number = sum(gap.expected for gap in known)
                text = f"{number} attempt{'s' if number > 1 else ''} {'was' if number == 1 else 'were'} not due: {known[0].reason}."
                scene.note(place, (), Found(Kind.SILENT_BY_DESIGN, text))
            elif delay and _waited(scene, place) and happened(scene, place, EventKind.CONTAINER_STARTED):
                text = f"No attempt was due in the first {delay} s of the container: initialDelaySeconds."
                scene.note(place, (), Found(Kind.SILENT_BY_DESIGN, text))
        for begun, over, place in missed:
            probe = scene.probes[place]
            others = {scene.probes[p].target.address for b, o, p in missed if b < over and begun < o and p != place} - {
                probe.target.address
            }
            told = {one.kind for one in scene.aside[place]}
            stood = _stood_still(probe, begun)
            if stood is not None and Kind.TICKS_DROPPED not in told:
                late = briefly(stood[1])
                text = f"The checker itself stalled: it closed {late} after the whole answer had come, and missed attempts meanwhile."
                scene.note(place, [stood[0]], Found(Kind.TICKS_DROPPED, text))
                scene.note(
                    place,
                    [stood[0]],
                    Found(Kind.KUBELET_LATE, f"The answer was there {late} before the checker closed."),
                )
            elif others and 2 * (len(others) + 1) > pods and Kind.TICKS_DROPPED not in told:
                text = f"Attempts are missing at {len(others) + 1} pods in the same seconds: the checker was overloaded or blocked."
                scene.note(place, (), Found(Kind.TICKS_DROPPED, text))
            elif Kind.NO_LOCAL_PORT not in told and _out_of_ports([scene.probes[p] for p in places], begun, over):
                scene.note(place, (), Found(Kind.NO_LOCAL_PORT, equally=(Kind.TICKS_DROPPED,)))


def starved(scene: Scene) -> None:
    """See ticks that ran late though later ones kept the grid: the kubelet got no CPU meanwhile (D27)."""
    for place, probe in enumerate(scene.probes):
        period = probe.thresholds.get("periodSeconds")
        if probe.checker.kind != "kubelet" or period is None:
            continue
        late = [
            (off, after)
            for before, after in pairwise(probe.attempts)
            if after.trigger is Trigger.TICK
            and after.schedule is Schedule.LATE
            and (off := (after.start.ns - before.start.ns) % (period[0] * SECOND)) >= STARVED_NS
            and before.schedule is Schedule.ON_TIME
        ]
        if not late:
            continue
        longest = max(off for off, _ in late)
        how = f"an attempt ran {briefly(longest)} after it was due"
        if len(late) > 1:
            how = f"{len(late)} attempts ran up to {briefly(longest)} after they were due"
        text = f"The kubelet got no CPU for a while: {how}, and later ones are back on schedule."
        scene.note(place, [after for _, after in late], Found(Kind.TICKS_DROPPED, text))


def _waited(scene: Scene, place: int) -> bool:
    """Tell whether a probe stayed silent for several of its periods while another probe of its pod was already running."""
    probe = scene.probes[place]
    since = min(
        other.attempts[0].start.ns
        for other in scene.probes
        if other.target.address == probe.target.address and other.attempts and other.checker == probe.checker
    )
    period = probe.thresholds.get("periodSeconds", (10, ""))[0] * SECOND
    return probe.attempts[0].start.ns - since >= 2 * period


def _stood_still(probe: Probe, begun_ns: int) -> tuple[Attempt, int] | None:
    """Return the attempt before a gap whose checker closed long after its answer, and how long."""
    before = next((a for a in probe.attempts if a.start.ns == begun_ns), None)
    if before is None or not before.legs or before.outcome is Outcome.INCONCLUSIVE:
        return None
    orig, resp = before.legs[-1].connection.orig, before.legs[-1].connection.resp
    if orig.fin is None or resp.fin is None or not resp.length:
        return None
    late = orig.fin.ns - resp.fin.ns
    return (before, late) if late > SECOND else None


def _out_of_ports(probes: Sequence[Probe], begun_ns: int, over_ns: int) -> bool:
    """Tell whether most of a checker's source ports come again within a minute, or as soon as TIME-WAIT lets them go, around a gap.

    TIME-WAIT keeps a port from the same target alone. On a busy node some come again by chance: 10 of 4 000, measured.
    """
    used = sorted(
        (leg.connection.start.ns, (leg.connection.server, leg.connection.server_port, leg.connection.client_port))
        for probe in probes
        for a in probe.attempts
        for leg in a.legs
        if begun_ns - TIME_WAIT_NS <= leg.connection.start.ns <= over_ns + 2 * TIME_WAIT_NS
    )
    last: dict[tuple[str, int, int], int] = {}
    again = 0
    for ns, way in used:
        again += way in last and ns - last[way] < TIME_WAIT_NS + 5 * SECOND
        last[way] = ns
    return again >= AGAIN and 2 * again >= len(used)


def poked(scene: Scene) -> None:
    """See extra readiness probes while a container is not Ready (D26)."""
    for place, probe in enumerate(scene.probes):
        if probe.type is not ProbeType.READINESS or probe.checker.kind != "kubelet":
            continue
        decided = {d.attempt + 1 for d in probe.decisions if d.kind is DecisionKind.NOT_READY}
        extra = [a for a in probe.attempts if a.trigger is Trigger.MANUAL and a.n not in decided]
        if len(extra) >= 2:
            text = (
                f"{len(extra)} extra readiness probes while the pod was not Ready: "
                "the kubelet asks once more at every change of the pod."
            )
            scene.note(place, extra, Found(Kind.POKED, text))


def before_startup(scene: Scene) -> None:
    """See readiness or liveness run before a restarted container's startup probe has succeeded (D25)."""
    for probe in scene.probes:
        if probe.type is not ProbeType.STARTUP or not _at_least(probe.checker.version, (1, 35)):
            continue
        begun = [
            e.ns
            for place, other in enumerate(scene.probes)
            if other is probe
            for e in happened(scene, place, EventKind.CONTAINER_STARTED)
        ]
        over = [d.ns for d in probe.decisions]
        for start in sorted(begun)[1:]:
            mine = [a for a in probe.attempts if a.start.ns >= start - SECOND]
            until = min((ns for ns in over if ns > start), default=None)
            if not mine or until is None:
                continue
            for place, other in enumerate(scene.probes):
                same = other.target == replace(probe.target, port=other.target.port)
                if not same or other.type not in (ProbeType.READINESS, ProbeType.LIVENESS):
                    continue
                early = [a for a in other.attempts if mine[0].start.ns < a.start.ns < until - SECOND // 50]
                if early:
                    scene.note(place, early, Found(Kind.BEFORE_STARTUP))


def _at_least(version: str, wanted: tuple[int, int]) -> bool:
    major, _, minor = version.partition(".")
    return major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= wanted


def connect_check(scene: Scene) -> None:
    """See a load balancer's connect check (D34)."""
    for place, probe in enumerate(scene.probes):
        if probe.checker.kind in ("kubelet", "unknown") or probe.handler is not Handler.TCP_SOCKET:
            continue
        reset = [
            a
            for a in probe.attempts
            if a.legs
            and (c := a.legs[0].connection).orig.rst is not None
            and c.resp.syns
            and not c.bare_ack
            and not c.orig.length
        ]
        if len(reset) >= 2 and len(reset) * 2 > sum(map(connected, probe.attempts)):
            text = f"A connect check by {probe.checker.kind}, not the kubelet: it resets the connection as soon as the SYN is answered."
            scene.note(place, reset, Found(Kind.CONNECT_CHECK, text))
