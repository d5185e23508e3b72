"""Out of service: when a probe's target was, and by what.

A readiness probe loses Ready by its own threshold; or its container ends (a liveness or startup probe had it restarted,
or it exited), which no readiness probe decides and which takes Ready along (pkg/kubelet/prober: a new container's worker
begins with Failure); or, before 1.35, its kubelet is restarted. All of these count.

Limitation: when exactly a container ended no packet shows. What it took out of service is counted from the Restart
decision or, where it showed itself alive after that, the last sign of it (`alive_until`); else from the first attempt
that met its successor. So such a time is told as "about".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from probewatch.model.attempts import start_of
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import (
    ONE_RESTART_NS,
    Attempt,
    Cause,
    Decision,
    DecisionKind,
    EventKind,
    GapKind,
    Outcome,
    Probe,
    Timeline,
    TimelineEvent,
)

from .holes import UP_STATES, Hole, covered, gaps, holes
from .index import container_of, index_of

DOWN: Final = (DecisionKind.NOT_READY, DecisionKind.DOWN)
UP: Final = (DecisionKind.READY, DecisionKind.UP)
ENDS: Final = (*DOWN, DecisionKind.RESTART)
"""Decisions that take something out of service."""


_SOMEBODY: Final = frozenset({Cause.CLOSED_BEFORE_ANSWER, Cause.RESET_BEFORE_ANSWER, Cause.STATUS})
"""Failures that take somebody who is there: the process, or its end, which closes what it had open."""


class By(StrEnum):
    """What took a probe's target out of service."""

    DECISION = "decision"
    """The probe's own threshold."""
    CONTAINER = "container"
    """Its container ended."""
    KUBELET = "kubelet"
    """Its kubelet was restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A stretch of time out of service after it had been in service, or of unknown beginning."""

    start_ns: int
    end_ns: int | None
    """None where it lasts to the end of the input."""
    by: By
    restarted_by: ProbeType | None = None
    """The probe that had the container restarted; None where none did, or that is not in the input."""
    began_in: Hole | None = None
    """The hole in or behind which it began: `start_ns` is when that is known at the latest."""
    doubtful: bool = False
    """Whether it was one is not sure: what took it out of service may have been something else."""
    ended_in: Hole | None = None
    """The hole in or behind which it ended, at `end_ns` at the latest; nothing is known from `end_ns` on where no state shows."""


def outages(probe: Probe, timeline: Timeline | None = None) -> list[Outage]:
    """Return when a probe's target was out of service, in order.

    Without a `timeline`, what is not over at the end is known of the probe's own decisions only.
    """
    up = probe.initial_state in UP_STATES
    since: int | None = None
    began_in: Hole | None = None
    last = 0
    found: list[Outage] = []
    steps: list[tuple[int, Decision | Hole]] = sorted(((d.ns, d) for d in probe.decisions), key=lambda step: step[0])
    made = [ns for ns, _ in steps]
    for one in holes(probe, timeline) if timeline is not None else ():
        # (Behind what was decided in it, for some of it may have been captured.)
        before = bisect_left(made, one.end_ns)
        steps.append((max(one.start_ns, made[before - 1] if before else 0), one))
    steps.sort(key=lambda step: step[0])
    for number, (ns, step) in enumerate(steps, 1):
        if isinstance(step, Hole):
            if since is not None and (step.up or (step.up is None and number == len(steps))):
                end = ns if step.up is None else step.known_ns
                found.append(Outage(start_ns=since, end_ns=end, by=By.DECISION, began_in=began_in, ended_in=step))
                since, began_in = None, None
            elif since is None and up and step.up is False:
                since, began_in = step.known_ns, step
            up = up if step.up is None else step.up
            last = max(last, step.known_ns) if step.up else last
        elif step.kind in DOWN:
            since, up = ns if since is None else since, False
        elif step.kind in UP:
            if since is not None:
                found.append(Outage(start_ns=since, end_ns=ns, by=By.DECISION, began_in=began_in))
            elif up and step.kind is DecisionKind.READY:
                start = ns - (step.since_ns or 0)
                found.append(_lost(probe, timeline, start, ns))
            since, began_in, up, last = None, None, True, ns
    if since is not None:
        found.append(Outage(start_ns=since, end_ns=None, by=By.DECISION, began_in=began_in))
    elif up and timeline is not None and (ended := _ended(probe, timeline, last)) is not None:
        found.append(_lost(probe, timeline, ended, None))
    return found


def _killer(probe: Probe, timeline: Timeline, gone: int) -> ProbeType | None:
    """Return which type of probe had the container killed that was gone by then; None where none had.

    What is told to stop may answer for a while.
    """
    killed = [(one.type, d.ns) for one, d in restarts(probe, timeline) if d.ns <= gone]
    if not killed:
        return None
    kind, ns = killed[-1]
    since = (e for e in container_events(probe, timeline) if e.kind is EventKind.CONTAINER_STARTED and ns < e.ns < gone)
    return None if any(since) else kind


def _lost(probe: Probe, timeline: Timeline | None, start: int, end: int | None) -> Outage:
    """Return an outage that the probe itself did not decide."""
    if timeline is None:
        return Outage(start_ns=start, end_ns=end, by=By.CONTAINER)
    killer = _killer(probe, timeline, start)
    known = index_of(timeline).events
    until = start if end is None else end
    here = [e for e in container_events(probe, timeline) if start <= e.ns <= until]
    # (All pods of a node show its kubelet's restart, each at its own time: one event is told, at the first.)
    kubelet = (
        killer is None
        and not here
        and any(
            e.kind is EventKind.KUBELET_RESTARTED and 0 <= start - e.ns <= ONE_RESTART_NS
            for node in nodes(probe)
            for e in known.get(node or "", ())
        )
    )
    doubtful = killer is None and any(e.doubtful for e in here)
    by = By.KUBELET if kubelet else By.CONTAINER
    return Outage(start_ns=start, end_ns=end, by=by, restarted_by=killer, doubtful=doubtful)


def _ended(probe: Probe, timeline: Timeline, last_ns: int) -> int | None:
    """Return when the container that was last known Ready ended, where no successor became Ready."""
    gap = probe.last_gap
    if gap is not None and gap.kind is GapKind.POD_DELETED:
        return None  # (Whose Pod is gone lost no traffic that it should have had.)
    ended = ended_undecided(probe, timeline, last_ns)
    if ended is None:
        return None
    # What was told to end still answers for a while, first what was under way then.
    begun = bisect_left(probe.attempts, ended, key=start_of)
    signs = map(alive_until, probe.attempts[max(0, begun - 1) :])
    return max([ended, *(sign for sign in signs if sign is not None)])


def ended_undecided(probe: Probe, timeline: Timeline, ready_ns: int) -> int | None:
    """Return when the container of a readiness probe ended (ns) that was Ready since a moment, with no decision of the probe's own.

    The kubelet takes Ready from it (status.go GeneratePodReadyCondition), and the probe is silent from then on. One that was told to
    end is Ready until its last success: None where its latest attempt succeeded. `ready_ns`: 0 where it was Ready from the beginning.
    """
    if probe.type is not ProbeType.READINESS or not probe.attempts:
        return None
    ends = [d.ns for _, d in restarts(probe, timeline) if d.confirmed is not False]
    kinds = [EventKind.CONTAINER_EXITED]
    if ready_ns:  # before the first decision, a beginning is that of the container which was already Ready
        kinds.append(EventKind.CONTAINER_STARTED)
    ends += [e.ns for e in container_events(probe, timeline) if e.kind in kinds]
    ended = min((ns for ns in ends if ns > ready_ns), default=None)
    latest = probe.attempts[-1]
    alive = ended is not None and latest.start.ns >= ended and latest.outcome is Outcome.SUCCESS
    return None if alive else ended


def alive_until(attempt: Attempt) -> int | None:
    """Return until when (ns) an attempt shows what it asked alive: it answered, be it too late, or hung up; None for neither."""
    if attempt.outcome is Outcome.SUCCESS:
        return attempt.end_ns
    if attempt.late_answer_ns is not None:
        return attempt.start.ns + attempt.late_answer_ns
    return attempt.end_ns if attempt.cause in _SOMEBODY and attempt.end_mark is not None else None


def downtime(probe: Probe, timeline: Timeline | None = None) -> tuple[int, int]:
    """Return (nanoseconds out of service, nanoseconds seen).

    Time before a container is Ready for the first time that the input shows is its start and is not counted. Nor are
    holes of the capture, in either.
    """
    if not probe.attempts:
        return 0, 0
    unseen = gaps(probe, timeline) if timeline is not None else []
    first = min(a.start.ns for a in probe.attempts)
    last = max(max(a.end_ns for a in probe.attempts), max((d.ns for d in probe.decisions), default=0))
    total = 0
    for outage in outages(probe, timeline):
        if outage.end_ns is None and outage.by is not By.DECISION and timeline is not None:
            # its probes are silent until there is a new container
            last = max(last, input_end(timeline, last))
        total += covered(outage.start_ns, last if outage.end_ns is None else outage.end_ns, unseen)
    return total, covered(first, last, unseen)


def input_end(timeline: Timeline, otherwise: int) -> int:
    """Return the time of the input's last frame, or where what is shown ends before it."""
    end = max((c.last_ns for c in timeline.captures if c.last_ns is not None), default=otherwise)
    return end if timeline.until_ns is None else min(end, timeline.until_ns)


def siblings(probe: Probe, timeline: Timeline) -> Sequence[Probe]:
    """Return all probes that kubelets make of a probe's container, itself among them."""
    return index_of(timeline).probes.get(container_of(probe), ())


def restarts(probe: Probe, timeline: Timeline) -> list[tuple[Probe, Decision]]:
    """Return the decisions to restart a probe's container, with the probes that led to them, in order."""
    return index_of(timeline).restarts(container_of(probe))


def answered_again(probe: Probe, timeline: Timeline, after_ns: int) -> tuple[Probe, Attempt] | None:
    """Return the first success of a container that is newer than a Restart, whichever of its probes saw it; None where none did.

    What the old container answered before it was gone is none: the new one must be known to have begun, or the attempt
    can only have met the new one (the probe that had it restarted is on hold until then, what dies does not become Ready).
    """
    begun = min(
        (e.ns for e in container_events(probe, timeline) if e.kind is EventKind.CONTAINER_STARTED and e.ns > after_ns),
        default=None,
    )
    held = {one.id for one, decision in restarts(probe, timeline) if decision.ns <= after_ns}
    found: list[tuple[Probe, Attempt]] = []
    for one in siblings(probe, timeline):
        rose = {d.attempt for d in one.decisions if d.kind in (DecisionKind.READY, DecisionKind.STARTED)}
        for at in range(bisect_right(one.attempts, after_ns, key=start_of), len(one.attempts)):
            attempt = one.attempts[at]
            met = one.id in held or attempt.n in rose or (begun is not None and attempt.start.ns >= begun)
            if attempt.outcome is Outcome.SUCCESS and met:
                found.append((one, attempt))
                break
    return min(found, key=lambda item: item[1].start.ns, default=None)


def streak_began(probe: Probe, until_ns: int) -> Attempt | None:
    """Return the first of the failures in a row that lead up to a moment; None where there is none.

    An attempt that nobody could read is none of them: what it was is not known.
    """
    found = None
    for at in range(bisect_left(probe.attempts, until_ns, key=start_of) - 1, -1, -1):
        if probe.attempts[at].outcome not in (Outcome.FAILURE, Outcome.DISCARDED):
            break
        found = probe.attempts[at]
    return found


def without_readiness(probe: Probe, timeline: Timeline) -> tuple[int, int] | None:
    """Return what `downtime` does where a probe had its container restarted and no readiness probe tells how long it was away.

    From each Restart to the first answer of the new container. None where a readiness probe tells it better.
    """
    if any(one.type is ProbeType.READINESS for one in siblings(probe, timeline)):
        return None
    end = input_end(timeline, probe.attempts[-1].end_ns)
    total, until = 0, 0
    for _, decision in restarts(probe, timeline):
        if decision.ns >= until:
            back = answered_again(probe, timeline, decision.ns)
            until = end if back is None else back[1].end_ns
            total += max(0, until - decision.ns)
    return total, max(until, probe.attempts[-1].end_ns) - probe.attempts[0].start.ns


def container_events(probe: Probe, timeline: Timeline) -> list[TimelineEvent]:
    """Return the events of a probe's container."""
    target = probe.target
    mine = f"{target.namespace}/{target.pod}" if target.pod else None
    return [
        event
        for event in index_of(timeline).events.get(target.address, ())
        if event.pod in (None, mine)
        and (event.container is None or target.container is None or event.container == target.container)
    ]


def nodes(probe: Probe) -> tuple[str | None, ...]:
    """Return what an event of its node may be told by: the checker's address, the node's name and the node's address."""
    checker = probe.checker
    return checker.address, checker.node, checker.node_address
