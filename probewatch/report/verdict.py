"""What to think of a probe, in one sentence: the first thing a reader sees.

The verdict weighs what was decided before what merely failed: a probe that failed before its container was up is
fine, one that took a Ready pod out of service is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from ..model.catalogue import CATALOGUE
from ..model.finding import CLIENTS_REFUSED, CLIENTS_UNANSWERED, Finding, Held
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Cause, DecisionKind, EventKind, Outcome, Probe, Timeline
from . import words
from .escape import safe
from .numbers import SECOND, count, duration, share, span


class Level(IntEnum):
    """How much a probe wants to be looked at."""

    FINE = 0
    UNCLEAR = 1
    WARNING = 2
    TROUBLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to think of one probe."""

    level: Level
    sentence: str
    down_ns: int = 0
    """Time out of service after it had been in service (or of unknown beginning), as far as the capture shows it."""
    seen_ns: int = 0
    """From its first attempt to its last verdict."""
    causes: tuple[Cause, ...] = ()
    """What went wrong, the most frequent first; empty where nothing needs an explanation."""


_DOWN = (DecisionKind.NOT_READY, DecisionKind.DOWN)
_UP = (DecisionKind.READY, DecisionKind.UP)
_UP_STATES = ("Ready", "UP")
_DOWN_STATES = ("NotReady", "DOWN")


_TURNED_AWAY = (CLIENTS_REFUSED, CLIENTS_UNANSWERED)
"""Fields of findings that matter more than what the probe itself sees: the Pod is Ready and the service is down."""

_PATIENT = 10
"""Seconds of timeout beyond which a longer one is no advice."""


def judge(probe: Probe, timeline: Timeline) -> Verdict:
    """Return the verdict on one probe."""
    attempts = probe.attempts
    if not attempts:
        return Verdict(level=Level.UNCLEAR, sentence="no attempt in this capture")
    failed = _Tally(probe, (a for a in attempts if a.outcome is Outcome.FAILURE))
    discarded = _Tally(probe, (a for a in attempts if a.outcome is Outcome.DISCARDED))
    unclear = _Tally(probe, (a for a in attempts if a.outcome is Outcome.INCONCLUSIVE))
    down_ns, seen_ns = downtime(probe)
    kinds = Counter(d.kind for d in probe.decisions)
    level, sentence = _decided(probe, timeline, kinds, failed, down_ns, seen_ns)
    if discarded:
        level = max(level, Level.WARNING)
        thrown = f"{count(len(discarded), 'result')} thrown away by the kubelet: {_why(discarded)}"
        sentence = f"all {thrown}" if len(discarded) == len(attempts) else f"{sentence}; {thrown}"
    if len(unclear) * 2 > len(attempts):
        level = max(level, Level.UNCLEAR)
        sentence = f"cannot tell: {len(unclear)} of {count(len(attempts), 'attempt')} unclear: {_why(unclear)}"
    told: Counter[Cause] = Counter()
    if level >= Level.WARNING:
        told = failed.causes + discarded.causes
    elif level is Level.UNCLEAR:
        told = unclear.causes
    causes = tuple(cause for cause, _ in told.most_common())
    if any(finding.probe == probe.id and _turned_away(finding) for finding in timeline.findings):
        away = "clients are turned away while it is Ready (see findings)"
        sentence = f"{sentence}; {away}" if level is Level.TROUBLE else f"{away}; {sentence}"
        level = max(level, Level.WARNING)
    return Verdict(level=level, sentence=sentence, down_ns=down_ns, seen_ns=seen_ns, causes=causes)


def _turned_away(finding: Finding) -> bool:
    return finding.held is Held.FAIL and finding.field in _TURNED_AWAY


def _decided(
    probe: Probe, timeline: Timeline, kinds: Counter[DecisionKind], failed: _Tally, down_ns: int, seen_ns: int
) -> tuple[Level, str]:
    restarts = kinds[DecisionKind.RESTART]
    if restarts:
        return Level.TROUBLE, f"Restart {_times(restarts)}: {_why(failed)}"
    downs = kinds[DecisionKind.NOT_READY] + kinds[DecisionKind.DOWN]
    if downs:
        return _went_down(probe, timeline, downs, failed, down_ns, seen_ns)
    state = probe.final_state
    if probe.type is ProbeType.STARTUP:
        return _startup(probe, kinds, failed)
    if state in _DOWN_STATES and failed and not kinds[DecisionKind.READY] and not kinds[DecisionKind.UP]:
        never = "never" if probe.initial_state in (*_DOWN_STATES, "unknown") else "not"
        word = "Ready" if state == "NotReady" else "UP"
        whole = "all" if len(failed) == len(probe.attempts) else f"{len(failed)} of"
        return (
            Level.TROUBLE,
            f"{never} {word}: {whole} {count(len(probe.attempts), 'attempt')} failed: {_why(failed)}",
        )
    return _held(probe, failed)


def _went_down(
    probe: Probe, timeline: Timeline, downs: int, failed: _Tally, down_ns: int, seen_ns: int
) -> tuple[Level, str]:
    word = "DOWN" if any(d.kind is DecisionKind.DOWN for d in probe.decisions) else "NotReady"
    first = min(d.ns for d in probe.decisions if d.kind in _DOWN)
    end = " and so at the end" if probe.final_state in _DOWN_STATES else ""
    away = f"out of service {span(down_ns)} of {span(seen_ns)} ({share(down_ns, seen_ns)})"
    sentence = f"{word} {_times(downs)}{end}: {_why(failed)}; {away}"
    here = [e for e in timeline.events if e.address == probe.target.address]
    if any(e.kind is EventKind.POD_TERMINATING and e.ns <= first for e in here):
        return (
            Level.FINE,
            f"{word} {_times(downs)} while the pod was terminating, as it should be: {_why(failed)}",
        )
    return Level.TROUBLE, sentence


def _startup(probe: Probe, kinds: Counter[DecisionKind], failed: _Tally) -> tuple[Level, str]:
    started = [d for d in probe.decisions if d.kind is DecisionKind.STARTED]
    total = count(len(probe.attempts), "attempt")
    if started:
        last = started[-1]
        before = sum(a.outcome is Outcome.FAILURE and a.end_ns <= last.ns for a in probe.attempts)
        times = "" if kinds[DecisionKind.STARTED] == 1 else f" {_times(kinds[DecisionKind.STARTED])}, the last"
        text = f"Started{times} {span(last.ns - probe.attempts[0].start.ns)} after the first attempt"
        return Level.FINE, text + (f"; {before} failed while it started: {_why(failed)}" if before else "")
    if failed:
        return Level.WARNING, f"not Started in this capture: {len(failed)} of {total} failed: {_why(failed)}"
    return Level.FINE, f"all {total} succeeded"


def _held(probe: Probe, failed: _Tally) -> tuple[Level, str]:
    """No state was lost: say since when it holds, and what nevertheless failed."""
    ups = [d for d in probe.decisions if d.kind in _UP]
    total = count(len(probe.attempts), "attempt")
    if ups:
        first = probe.attempts[0].start.ns
        starting = _while_starting(probe)
        late = _Tally(probe, (a for a in probe.attempts if a.outcome is Outcome.FAILURE and a.n not in starting))
        text = f"{safe(ups[0].after)} {_after(ups[0].ns - first)}"
        text += " and stayed so" if len(ups) == 1 else f", and again after {count(len(ups) - 1, 'new start')}"
        if late:
            few = f"{count(len(late), 'attempt')} of {len(probe.attempts)} failed later, too few in a row to matter"
            return Level.WARNING, f"{text}; {few}: {_why(late)}"
        early = f"; {count(len(failed), 'attempt')} failed while it started: {_why(failed)}" if failed else ""
        return Level.FINE, f"{text}{early}"
    state = safe(probe.final_state) if probe.final_state not in ("unknown", "") else ""
    if not failed:
        good = sum(a.outcome is Outcome.SUCCESS for a in probe.attempts)
        whole = f"all {total} succeeded" if good == len(probe.attempts) else f"{good} of {total} succeeded"
        return Level.FINE, f"{state} throughout: {whole}" if state else whole
    text, why = f"{len(failed)} of {total} failed", _why(failed)
    if len(failed) == len(probe.attempts):
        return Level.TROUBLE, f"all {total} failed: {why}"
    return (
        Level.WARNING,
        f"{state} throughout: {text}, too few in a row to matter: {why}" if state else f"{text}: {why}",
    )


def _while_starting(probe: Probe) -> set[int]:
    """Return the numbers of the attempts that failed in a row right before a Ready: a container comes up like that."""
    starting: set[int] = set()
    run: list[int] = []
    deciding = {d.attempt for d in probe.decisions if d.kind in _UP}
    for attempt in probe.attempts:
        if attempt.n in deciding:
            starting.update(run)
        if attempt.outcome is Outcome.SUCCESS:
            run = []
        else:
            run.append(attempt.n)
    return starting


def _after(ns: int) -> str:
    return "at the first attempt" if ns < SECOND // 2 else f"{span(ns)} after the first attempt"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


class _Tally:
    """Some attempts of a probe, counted: there may be very many of them."""

    def __init__(self, probe: Probe, attempts: Iterable[Attempt]) -> None:
        self.results: Counter[str] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.first: Attempt | None = None
        for attempt in attempts:
            self.first = self.first or attempt
            self.results[words.result(attempt, probe.handler)] += 1
            self.causes[attempt.cause] += 1

    def __len__(self) -> int:
        return self.causes.total()


def _why(tally: _Tally) -> str:
    """Return the results in words: `503`, `28 no answer in time, 4 refused`."""
    counts, first = tally.results, tally.first
    if len(counts) == 1 and first is not None:
        word = next(iter(counts))
        return f"the application answers {word}" if first.cause is Cause.STATUS else word
    top = [words.counted(number, word) for word, number in counts.most_common(3)]
    return ", ".join(top) + (", ..." if len(counts) > 3 else "")


def downtime(probe: Probe) -> tuple[int, int]:
    """Return (nanoseconds out of service, nanoseconds seen).

    Time before a new container is Ready for the first time is its start and is not counted.
    """
    if not probe.attempts:
        return 0, 0
    first = min(a.start.ns for a in probe.attempts)
    last = max(max(a.end_ns for a in probe.attempts), max((d.ns for d in probe.decisions), default=0))
    total = 0
    since: int | None = None
    for decision in sorted(probe.decisions, key=lambda d: d.ns):
        if decision.kind in _DOWN:
            since = decision.ns
        elif decision.kind in _UP:
            if since is not None:
                total += decision.ns - since
            since = None
    if since is not None:
        total += last - since
    return total, last - first


def explain(probe: Probe, cause: Cause) -> tuple[str, str]:
    """Return (what it means, what to try) for a cause of this probe, with its own numbers where they say more than the catalogue."""
    entry = CATALOGUE[cause]
    if cause is Cause.SLOW_ANSWER:
        return _slow(probe) or (entry.meaning, entry.advice)
    if cause is Cause.NO_SYN_ANSWER and all(
        a.detail.startswith("SYN-ACK seen") for a in probe.attempts if a.cause is cause
    ):
        return (
            "The target answered the connection request, but its answer never came back to the checker.",
            (
                "Look on the way back: conntrack or firewall rules that take the answer (a source port in the NodePort range?), "
                "asymmetric routes, rp_filter; capture at the checker's own end too."
            ),
        )
    if cause is Cause.STATUS:
        return _status(probe) or (entry.meaning, entry.advice)
    return entry.meaning, entry.advice


def _slow(probe: Probe) -> tuple[str, str] | None:
    late = sorted(
        a.late_answer_ns for a in probe.attempts if a.cause is Cause.SLOW_ANSWER and a.late_answer_ns is not None
    )
    if not late:
        return None
    first, last = duration(late[0]), duration(late[-1])
    came = last if first == last else f"{first} to {last}"
    meaning = f"The answers did come, {came} after the attempt began, but the checker had hung up."
    enough = late[-1] // SECOND + 1
    if enough > _PATIENT:
        return meaning, CATALOGUE[Cause.SLOW_ANSWER].advice
    name = "timeoutSeconds: " if probe.checker.kind == "kubelet" else "a timeout of "
    return (
        meaning,
        f"{name}{enough} would have waited for them; or find what made the application take that long (load, locks, CPU limit).",
    )


def _status(probe: Probe) -> tuple[str, str] | None:
    said: Counter[int] = Counter()
    slowest = 0
    for attempt in probe.attempts:
        if attempt.cause is Cause.STATUS and attempt.status is not None:
            said[attempt.status] += 1
            slowest = max(slowest, attempt.latency_ns)
    if not said:
        return None
    status = said.most_common(1)[0][0]
    advice = _STATUS_ADVICE.get(status, CATALOGUE[Cause.STATUS].advice)
    return f"The application answered within {duration(slowest)}, but with {status}: it is there, and says no.", advice


_STATUS_ADVICE = {
    400: "Some servers answer 400 to plain HTTP on a TLS port (then set scheme: HTTPS), others to a Host header they do not know.",
    401: "The path wants credentials, which the kubelet does not send: probe one that does not, or set httpHeaders.",
    403: "The path is forbidden to the kubelet: probe one that is open to it, or set httpHeaders.",
    404: "The application does not know this path: check the probe's path and port.",
    405: "The path does not allow GET: probe one that does.",
    429: "The application limits requests: leave its health endpoint out of the limit.",
}
"""What to do about a status that says more than that the application feels unhealthy."""
