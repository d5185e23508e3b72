"""Failed attempts of a probe: counted, told in a few words, and sorted by what they did or when they came.

A container that comes up fails, and so does one that ends; what failed in a row took its Pod out of service, or was too little for
that. The verdict tells these apart.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..decisions.holes import UP_STATES, Hole
from ..decisions.outages import ENDS, UP, By, Outage, container_events
from ..model.diagnoses import GATEWAY
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Cause, EventKind, Outcome, Probe, Timeline
from . import words


class Tally:
    """Some attempts of a probe, counted: there may be very many of them."""

    def __init__(self, probe: Probe, attempts: Iterable[Attempt] = ()) -> None:
        self.results: Counter[str] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.first: Attempt | None = None
        self._handler = probe.handler
        for attempt in attempts:
            self.add(attempt)

    def add(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self.first = self.first or attempt
        self.results[words.result(attempt, self._handler)] += 1
        self.causes[attempt.cause] += 1

    def __len__(self) -> int:
        return self.causes.total()

    @property
    def why(self) -> str:
        """The results in words: `503`, `28 no answer in time, 4 refused`; empty where there are none."""
        if len(self.results) == 1 and self.first is not None:
            word = next(iter(self.results))
            who = "a gateway" if self.first.status in GATEWAY else "the application"
            return (
                f"{who} answers {word}" if self.first.cause is Cause.STATUS and self.first.status is not None else word
            )
        top = [words.counted(number, word) for word, number in self.results.most_common(3)]
        return ", ".join(top) + (" and others" if len(self.results) > 3 else "")


class Parts(NamedTuple):
    """Failed attempts of a probe that took its target out of service, by what they did to it."""

    guilty: Tally
    """Those in a row that decided so, and those that kept it so."""
    out: Tally
    """While something else had taken it out of service: a container that comes up fails like that."""
    before: Tally
    """Before it was up for the first time."""
    rest: Tally
    """Too few in a row."""


def parted(probe: Probe, gone: Sequence[Outage]) -> Parts:
    """Sort the failures of a probe by what they did; `gone`: when its target was out of service."""
    guilty, out, before, rest = parts = Parts(*(Tally(probe) for _ in Parts._fields))
    deciding = {d.attempt for d in probe.decisions if d.kind in ENDS}
    # (What was decided where outcomes are not known shows in the row that told it.)
    showing = {one.start_ns for one in gone if one.began_in is not None}
    ups = [d.ns for d in probe.decisions if d.kind in UP]
    first_up = min(ups, default=0) if probe.initial_state not in UP_STATES else 0
    left = deque(sorted(gone, key=lambda one: one.start_ns))
    run: list[tuple[Attempt, Tally]] = []
    """Failures in a row, and where they belong unless the row decides."""
    for attempt in probe.attempts:
        if attempt.outcome is not Outcome.FAILURE:
            if attempt.outcome is Outcome.SUCCESS:
                _settle(run)
            continue
        start = attempt.start.ns
        while left and left[0].end_ns is not None and left[0].end_ns <= start:
            left.popleft()
        where = before if attempt.end_ns <= first_up else rest
        if left and left[0].start_ns <= start:
            where = guilty if left[0].by is By.DECISION else out
        run.append((attempt, where))
        if attempt.n in deciding or attempt.end_ns in showing:
            run = [(one, guilty) for one, _ in run]
            _settle(run)
    _settle(run)
    return parts


def _settle(run: list[tuple[Attempt, Tally]]) -> None:
    for attempt, tally in run:
        tally.add(attempt)
    run.clear()


def while_starting(probe: Probe) -> set[int]:
    """Return the numbers of the attempts that failed right before a Ready, or before the first at all: a container comes up like that.

    Several successes may be needed in a row: fewer of them leave it starting.
    """
    starting: set[int] = set()
    run: list[int] = []
    rising = False
    first = probe.initial_state not in UP_STATES
    """Whether it was never up so far."""
    deciding = {d.attempt for d in probe.decisions if d.kind in UP}
    for attempt in probe.attempts:
        if attempt.n in deciding:
            starting.update(run)
            run, first = [], False
        elif attempt.outcome is Outcome.SUCCESS:
            rising = True
        else:
            run = [*(run if first or not rising else ()), attempt.n]
            rising = False
    return starting


def while_ending(probe: Probe, timeline: Timeline) -> set[int]:
    """Return the numbers of the attempts since the Pod was being deleted: that they fail at last is how a Pod ends."""
    events = container_events(probe, timeline)
    ends = (event.earliest_ns for event in events if event.kind is EventKind.POD_TERMINATING)
    since = min(ends, default=None)
    return set() if since is None else {a.n for a in probe.attempts if a.start.ns >= since}


class Around(NamedTuple):
    """Failed attempts of a probe that took nothing out of service since it came up, by when they came."""

    starting: Tally
    """While its container came up: right before a Ready, or before the first at all."""
    ending: Tally
    """Since its Pod was being deleted."""
    unsettled: Tally
    """Right behind a gap in the capture, before its state there is known."""
    late: Tally
    """At any other time: too few in a row."""


def around(probe: Probe, timeline: Timeline, blind: Iterable[Hole]) -> Around:
    """Sort the failures of a probe that lost no state by when they came; `blind`: when nothing was captured."""
    found = Around(*(Tally(probe) for _ in Around._fields))
    starting, ending = while_starting(probe), while_ending(probe, timeline)
    dark = [(one.end_ns, one.known_ns) for one in blind]
    for attempt in probe.attempts:
        if attempt.outcome is not Outcome.FAILURE:
            continue
        ordinary = [
            tally for numbers, tally in ((starting, found.starting), (ending, found.ending)) if attempt.n in numbers
        ]
        unsettled = any(low <= attempt.start.ns < high for low, high in dark)
        for tally in ordinary or (found.unsettled if unsettled else found.late,):
            tally.add(attempt)
    return found


def ended_behind(probe: Probe, timeline: Timeline) -> int | None:
    """Return the failure of an undeclared liveness probe behind which its container ended before it ran again; None where none is."""
    if probe.type is not ProbeType.LIVENESS or probe.spec is not None:
        return None
    begun = [e.ns for e in container_events(probe, timeline) if e.kind is EventKind.CONTAINER_STARTED]
    for before, after in pairwise(probe.attempts) if begun else ():
        if before.outcome is Outcome.FAILURE and any(before.end_ns < ns <= after.start.ns for ns in begun):
            return before.n
    return None
