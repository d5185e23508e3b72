"""When a Pod was Ready, as far as its probes show: the state of each readiness probe over time, and all of them together.

Theory of operation. The kubelet sets a Pod Ready when every container is (pkg/kubelet/status/generate.go
GeneratePodReadyCondition), and endpoints follow that condition. So a Pod is NotReady where one of its readiness probes
is, and Ready where all of them are. A probe's state is what its decisions say, from the first evidence on: a decision,
the first streak that reaches its threshold, or a new container, which begins NotReady.

What is not known is left out, never filled: time before the first evidence, between a container's end and its
successor (Ready goes with the container, at a moment no probe shows), while attempts that were due did not come, where so
many in a row may have failed as it takes (`decisions.undecided`), after
a kubelet's restart or a hole between files until there is new evidence, and from the deletion of the Pod on (endpoints
drop a Pod that is being deleted, whatever its probes say).

A Pod without a readiness probe is Ready while it runs: there the successes of its other probes stand for Ready, and
nothing stands for NotReady.

Limitations. Readiness gates are not looked at. An exec readiness probe sends no packet, so a Pod that declares one is
never known to be Ready here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from probewatch.decisions.undecided import undecided
from probewatch.model.attempts import start_of
from probewatch.model.timeline import Attempt, DecisionKind, EventKind, Outcome, Probe, TimelineEvent
from probewatch.model.units import SECOND

SILENT_TICKS: Final = 3
"""A probe is silent after this many ticks without an attempt; what it last said is then old."""
FOREVER: Final = 1 << 63


class State(StrEnum):
    """Of a probe, or of a Pod as far as its probes show."""

    READY = "Ready"
    NOT_READY = "NotReady"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in one state: from `start_ns` to before `end_ns`."""

    start_ns: int
    end_ns: int
    state: State


Change = tuple[int, State]
Blank = tuple[int, int]
"""Time in which nothing is known, whatever was known before it."""


def stretches(
    readiness: Sequence[Probe], siblings: Sequence[Probe], events: Sequence[TimelineEvent], end_ns: int
) -> list[Stretch]:
    """Return the known stretches of one Pod, in order, up to `end_ns`.

    Ready is where all of its readiness probes agree on it, NotReady where one of them says so. `siblings` are all
    probes of the Pod: a liveness or startup probe ends the container that a readiness probe asks.
    """
    return _together([_overlaid(*_readiness(probe, siblings, events), end_ns) for probe in readiness])


def succeeding(probes: Sequence[Probe], events: Sequence[TimelineEvent], end_ns: int) -> list[Stretch]:
    """Return the stretches in which each of these probes succeeded when it was last run: what Ready is without a readiness probe."""
    lives = []
    for probe in probes:
        changes: list[Change] = []
        for attempt in probe.attempts:
            state = State.READY if attempt.outcome is Outcome.SUCCESS else State.UNKNOWN
            if not changes or changes[-1][1] is not state:
                changes.append((attempt.end_ns if state is State.READY else attempt.start.ns, state))
        lives.append(_overlaid(changes, [*_silences(probe), *_deletion(probe, events)], end_ns))
    return _together(lives)


def serving(probe: Probe, events: Sequence[TimelineEvent], end_ns: int) -> list[Stretch]:
    """Return when a checker with rise and fall took a server for UP (Ready here) and for DOWN (NotReady).

    Its new process takes all servers for UP. What it thought across missing checks or a hole of the capture is left out.
    """
    states = {"UP": State.READY, "DOWN": State.NOT_READY}
    changes: list[Change] = [(found.ns, states[found.after]) for found in probe.decisions if found.after in states]
    if probe.attempts and probe.initial_state in states:
        since = probe.attempts[0].start.ns if probe.initial_since_ns is None else probe.initial_since_ns
        changes.append((since, states[probe.initial_state]))
    mine = [e for e in events if e.kind is EventKind.CHECKER_RESTARTED and e.address == probe.checker.address]
    changes += [(event.ns, State.READY) for event in mine]
    known = sorted(ns for ns, _ in changes)
    blanks = [(gap.start_ns, gap.end_ns) for gap in probe.gaps]
    for hole in (event.ns for event in events if event.kind is EventKind.CAPTURE_GAP):
        after = bisect_right(known, hole)
        blanks.append((hole, known[after] if after < len(known) else FOREVER))
    return _together([_overlaid(changes, blanks, end_ns)])


def until(time: Sequence[Stretch], end_ns: int) -> list[Stretch]:
    """Return what of stretches lies before a moment."""
    return [replace(one, end_ns=min(one.end_ns, end_ns)) for one in time if one.start_ns < end_ns]


def _readiness(
    probe: Probe, siblings: Sequence[Probe], events: Sequence[TimelineEvent]
) -> tuple[list[Change], list[Blank]]:
    """Return what is said of a readiness probe's state, and when nothing is known of it."""
    changes: list[Change] = [
        (found.ns, State.READY if found.kind is DecisionKind.READY else State.NOT_READY)
        for found in probe.decisions
        if found.kind in (DecisionKind.READY, DecisionKind.NOT_READY)
    ]
    attempts = probe.attempts
    blanks = [*_silences(probe), *_deletion(probe, events)]
    for one in undecided(probe):
        if not one.inconclusive and one.missing >= SILENT_TICKS:
            continue  # (a silence)
        blanks.append((one.start_ns, FOREVER if one.end_ns is None else one.end_ns))
        if one.end_ns is not None and one.then is not None:
            changes.append((one.end_ns, State.READY if one.then else State.NOT_READY))
    begins = [attempts[0].start.ns] if attempts else []
    for event in events:
        if event.kind is EventKind.CAPTURE_GAP or (event.kind is EventKind.KUBELET_RESTARTED and _by(event, probe)):
            again = event.ns
            if event.kind is EventKind.CAPTURE_GAP:
                later = bisect_right(attempts, event.ns, key=start_of)
                again = attempts[later].start.ns if later < len(attempts) else FOREVER
            begins.append(again)
            if (known := _first_evidence(probe, attempts, again)) is None:
                blanks.append((event.ns, FOREVER))
            else:
                blanks.append((event.ns, known[0]))
                changes.append(known)
    if begins and (known := _first_evidence(probe, attempts, begins[0])) is not None:
        changes.append(known)
    started = sorted(event.ns for event in events if event.kind is EventKind.CONTAINER_STARTED and _mine(event, probe))
    good = sorted(attempt.end_ns for attempt in attempts if attempt.outcome is Outcome.SUCCESS)
    for ns in started:
        changes.append((ns, State.NOT_READY))
        # The container before it is known to have lived until its last success.
        if (before := bisect_left(good, ns)) > 0:
            blanks.append((good[before - 1], ns))
    for sibling in siblings:
        if sibling.target.container == probe.target.container:
            for found in sibling.decisions:
                if found.kind is DecisionKind.RESTART:
                    after = bisect_left(started, found.ns)
                    blanks.append((found.ns, started[after] if after < len(started) else FOREVER))
    return changes, blanks


def _first_evidence(probe: Probe, attempts: Sequence[Attempt], begin_ns: int) -> Change | None:
    """Return the first that is known of a state from attempts that began at `begin_ns` or later."""
    first = bisect_left(attempts, begin_ns, key=start_of)
    mine = (attempts[index] for index in range(first, len(attempts)))
    decided = next((d for d in sorted(probe.decisions, key=lambda d: d.ns) if d.ns >= begin_ns), None)
    settled = next((attempt for attempt in mine if 0 < attempt.threshold <= attempt.streak), None)
    if settled is not None and (decided is None or settled.n < decided.attempt):
        return settled.end_ns, State.READY if settled.outcome is Outcome.SUCCESS else State.NOT_READY
    if decided is not None and first < len(attempts) and decided.before in (State.READY, State.NOT_READY):
        return attempts[first].start.ns, State(decided.before)
    return None


def _silences(probe: Probe) -> list[Blank]:
    period = probe.thresholds.get("periodSeconds", (10, ""))[0] * SECOND
    return [(gap.start_ns + period, gap.end_ns) for gap in probe.gaps if gap.expected >= SILENT_TICKS]


def _deletion(probe: Probe, events: Iterable[TimelineEvent]) -> list[Blank]:
    return [
        (event.ns, FOREVER) for event in events if event.kind is EventKind.POD_TERMINATING and _same_pod(event, probe)
    ]


def _same_pod(event: TimelineEvent, probe: Probe) -> bool:
    target = probe.target
    mine = f"{target.namespace}/{target.pod}" if target.pod else None
    return event.address == target.address and event.pod in (None, mine)


def _mine(event: TimelineEvent, probe: Probe) -> bool:
    return _same_pod(event, probe) and event.container in (None, probe.target.container)


def _by(event: TimelineEvent, probe: Probe) -> bool:
    checker = probe.checker
    return event.address in (checker.address, checker.node, checker.node_address)


def _overlaid(changes: Sequence[Change], blanks: Sequence[Blank], end_ns: int) -> list[Change]:
    """Return a state for each moment that changes it: what was last said, and unknown within each blank."""
    said = sorted(changes, key=lambda change: change[0])
    # At one moment the end of a blank comes before the beginning of another.
    edges = sorted(
        [(low, 1) for low, high in blanks if low < high] + [(high, -1) for low, high in blanks if low < high]
    )
    moments = sorted({ns for ns, _ in said} | {ns for ns, _ in edges} | {end_ns})
    out: list[Change] = []
    state, depth, next_said, next_edge = State.UNKNOWN, 0, 0, 0
    for ns in moments:
        while next_said < len(said) and said[next_said][0] <= ns:
            state = said[next_said][1]
            next_said += 1
        while next_edge < len(edges) and edges[next_edge][0] <= ns:
            depth += edges[next_edge][1]
            next_edge += 1
        now = State.UNKNOWN if depth or ns >= end_ns else state
        if not out or out[-1][1] is not now:
            out.append((ns, now))
    return out


def _together(lives: Sequence[Sequence[Change]]) -> list[Stretch]:
    """Return what several probes say of their Pod: NotReady where one is, Ready where all are."""
    moments = sorted((ns, index, state) for index, life in enumerate(lives) for ns, state in life)
    now = [State.UNKNOWN] * len(lives)
    out: list[Stretch] = []
    pod, since = State.UNKNOWN, 0
    for position, (ns, index, state) in enumerate(moments):
        now[index] = state
        if position + 1 < len(moments) and moments[position + 1][0] == ns:
            continue
        after = State.NOT_READY if State.NOT_READY in now else State.UNKNOWN if State.UNKNOWN in now else State.READY
        if after is not pod:
            if pod is not State.UNKNOWN and ns > since:
                out.append(Stretch(since, ns, pod))
            pod, since = after, ns
    return out
