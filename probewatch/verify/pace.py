"""How often attempts come and how long the checker waits: the wire's own periodSeconds and timeoutSeconds.

Theory of operation. A kubelet's worker runs on a ticker: from start to start of its attempts it is one period, give or
take some milliseconds (worker.go run). Four things stand beside that. A manual trigger pokes a readiness worker that is
not Ready, and may begin the period anew. An attempt that outlasts the period lets the next one follow at once and the
ticker lose ticks. A new container or kubelet begins anew. Where attempts are missing, nothing is measured.

What is expected is held against the attempts, not against the grid that they were read with: that grid comes from the
spec, and a wrong spec explains every attempt as late or extra. So an interval that is the expected one counts whatever
its attempts are called, and one that is another is excused only by what excuses it: an attempt out of turn only while
its probe was not Ready, for a Ready worker is never poked (prober_manager.go UpdatePodStatus).

Where what is declared left attempts over that ask the same (a probe of unknown type), they may be this probe's, and
nothing is settled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from probewatch.model.expectation import Pace, Range
from probewatch.model.finding import Finding
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Attempt, DecisionKind, EventKind, Outcome, Probe, Schedule, Trigger
from probewatch.model.units import MS
from probewatch.probes.patience import given_up

from .case import Case, bound, counted, seconds

_TICKS = (Trigger.TICK, Trigger.START, Trigger.UNKNOWN)
_FRESH = (EventKind.CONTAINER_STARTED, EventKind.KUBELET_RESTARTED)
"""After these a worker is not Ready."""
_SYNC_NS = 100 * MS
"""So long after a worker became Ready a pod sync that was under way may still poke it (prober_manager.go UpdatePodStatus)."""


def period(case: Case, pace: Pace) -> Finding:
    """Hold the time from tick to tick against a period."""
    wanted = _about(pace)
    good: list[int] = []
    wrong: list[tuple[Attempt, Attempt, int]] = []
    for before, after, ns in _neighbours(case.probe, holes(case)):
        if wanted.holds(ns):
            good.append(ns)
        elif _regular(before, after) or not _excused(case, before, after, pace):
            wrong.append((before, after, ns))
    asked = f"{bound(pace.value)}, give or take {bound(pace.within)}"
    if not good and not wrong:
        return case.unclear("periodSeconds", "there are no two ticks in a row", asked)
    if other := _left_over(case):
        return case.unclear("periodSeconds", f"{other} asks the same: its attempts may be this probe's", asked)
    measured = [*good, *(ns for _, _, ns in wrong)]
    low, high = min(measured), max(measured)
    ends = wanted.low, wanted.high
    observed = seconds(low, *ends) if low == high else f"{seconds(low, high, *ends)} to {seconds(high, low, *ends)}"
    if not wrong:
        return case.passed("periodSeconds", f"{observed} from tick to tick, {counted(len(good), 'time')}")
    first, second, ns = wrong[0]
    sentence = (
        f"{len(wrong)} of {counted(len(measured), 'interval')} differ, the first is {seconds(ns, *ends)} to #{second.n}"
    )
    return case.failed("periodSeconds", sentence, asked, observed, (first, second), at=second.n)


def ticks(probe: Probe, without: Sequence[tuple[int, int]] = ()) -> list[tuple[Attempt, Attempt, int]]:
    """Return neighbouring ticks of one grid with the nanoseconds between them.

    Left out are what stands beside extra attempts (a manual trigger may reset the ticker, worker.go run) and late ones,
    and stretches in which attempts are missing (those of the probe, and `without`). Time is measured as the checker
    does: from start to start, or from end to start (`interval_basis: end`).
    """
    return [pair for pair in _neighbours(probe, without) if _regular(*pair[:2])]


def holes(case: Case) -> list[tuple[int, int]]:
    """Return moments after which no file covers a while."""
    return [(e.ns, e.ns + 1) for e in case.timeline.events if e.kind is EventKind.CAPTURE_GAP]


def timeout(case: Case, pace: Pace) -> Finding:
    """Hold the time from the start of an attempt to the checker's own FIN or RST against a timeout.

    Measured only where the checker gave up on an attempt of one connection; where it never did, an answer that it waited
    for longer than the timeout denies it all the same.
    """
    wanted = _about(pace)
    asked = f"given up after {bound(pace.value)}, give or take {bound(pace.within)}"
    shown = [(attempt, ns) for attempt in case.probe.attempts if (ns := _waited(attempt)) is not None]
    wrong = [(attempt, ns) for attempt, ns in shown if not wanted.holds(ns)]
    if wrong:
        first, ns = wrong[0]
        took = seconds(ns, wanted.low, wanted.high)
        sentence = f"{len(wrong)} of {counted(len(shown), 'attempt')} differ, #{first.n} was given up after {took}"
        return case.failed("timeoutSeconds", sentence, asked, took, at=first.n)
    if shown:
        return case.passed("timeoutSeconds", f"{asked}, {counted(len(shown), 'time')}")
    answered = [a for a in case.probe.attempts if a.outcome is Outcome.SUCCESS and len(a.legs) == 1]
    slowest = max(answered, key=lambda a: a.latency_ns, default=None)
    if slowest is not None and wanted.high is not None and slowest.latency_ns > wanted.high:
        took = seconds(slowest.latency_ns, wanted.high)
        return case.failed(
            "timeoutSeconds", f"it waited {took} for the answer of #{slowest.n}", asked, took, at=slowest.n
        )
    return case.unclear("timeoutSeconds", "no attempt shows the checker giving up", asked)


def _waited(attempt: Attempt) -> int | None:
    """Return how long the checker waited before it gave up; None where an attempt does not show that."""
    if attempt.outcome is not Outcome.FAILURE or len(attempt.legs) != 1:
        return None
    closed = given_up(attempt.legs[0].connection)
    return None if closed is None else closed - attempt.start.ns


def _left_over(case: Case) -> str:
    """Return the probe of unknown type that asks the same of the same target; empty where there is none."""
    mine = case.probe
    asks = (*_place(mine), mine.handler, mine.path, mine.service, mine.checker.address)
    return next(
        (
            other.id
            for other in case.timeline.probes
            if mine.type is not ProbeType.UNKNOWN and other.type is ProbeType.UNKNOWN
            if asks == (*_place(other), other.handler, other.path, other.service, other.checker.address)
        ),
        "",
    )


def _place(probe: Probe) -> tuple[str, int | None]:
    return probe.target.address, probe.target.port


def _about(pace: Pace) -> Range:
    return Range(max(0, pace.value - pace.within), pace.value + pace.within)


def _neighbours(probe: Probe, without: Sequence[tuple[int, int]]) -> Iterator[tuple[Attempt, Attempt, int]]:
    """Yield attempts that follow each other with nothing missing between them, and the nanoseconds between.

    A worker that decided Restart or Started is on hold until there is another container.
    """
    from_end = probe.inferred.get("interval_basis") == "end"
    holds = [(d.ns, d.ns + 1) for d in probe.decisions if d.kind in (DecisionKind.RESTART, DecisionKind.STARTED)]
    broken = [*without, *holds, *((gap.start_ns, gap.end_ns) for gap in probe.gaps)]
    for before, after in pairwise(probe.attempts):
        if not any(start < after.start.ns and end > before.start.ns for start, end in broken):
            yield before, after, after.start.ns - (before.end_ns if from_end else before.start.ns)


def _regular(before: Attempt, after: Attempt) -> bool:
    return all(a.schedule is Schedule.ON_TIME and a.trigger in _TICKS for a in (before, after))


def _excused(case: Case, before: Attempt, after: Attempt, pace: Pace) -> bool:
    """Say whether something but another period explains the time between two attempts (see above)."""
    if after.trigger is Trigger.START or _interrupted(case, before, after):
        return True
    late = any(a.schedule is Schedule.LATE or a.trigger is Trigger.STORED_TICK for a in (before, after))
    if late or before.end_ns - before.start.ns >= pace.value - pace.within:
        return True
    beside = [a for a in (before, after) if a.trigger is Trigger.MANUAL or a.schedule is Schedule.EXTRA]
    if not beside or case.probe.checker.kind != "kubelet":
        return bool(beside)
    at_once = after in beside and after.start.ns - before.end_ns <= pace.within
    return at_once or not all(_ready(case, a.start.ns) for a in beside)


def _ready(case: Case, ns: int) -> bool:
    """Say whether no trigger can have come at this time: the probe is no readiness probe, or its Pod was Ready."""
    probe = case.probe
    if probe.type in (ProbeType.LIVENESS, ProbeType.STARTUP):
        return True
    last = max((d for d in probe.decisions if d.ns < ns), key=lambda d: d.ns, default=None)
    since, state = (last.ns, last.after) if last is not None else (0, probe.initial_state)
    fresh = any(e.kind in _FRESH and since < e.ns <= ns and _concerns(case, e.address) for e in case.timeline.events)
    return state == "Ready" and not fresh and ns - since > _SYNC_NS


def _interrupted(case: Case, before: Attempt, after: Attempt) -> bool:
    """Say whether a container or its kubelet ended or began between two attempts."""
    return any(
        before.start.ns < event.ns <= after.start.ns and _concerns(case, event.address)
        for event in case.timeline.events
    )


def _concerns(case: Case, address: str) -> bool:
    probe = case.probe
    return address in ("", probe.target.address, probe.checker.address, probe.checker.node_address)
