"""Tells what becomes known as it becomes known: ids that stay, revisions that only go up.

An attempt is told once its lane has settled it (all histories agree), with revision 1; whatever the end of the input
changes about it (a late answer, what confirmed a decision) is told again with the next revision. Ids are given in the
order of telling, so the same input gives the same ids, whoever listens. What was told is remembered by its hash alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from probewatch.model.timeline import Attempt, Decision, Gap, GapKind, OtherTraffic, Probe, Timeline, TimelineEvent

from .build import Latest, attempt, decision
from .histories import Step
from .ledger import KEPT
from .overdue import Overdue
from .target import Placed

OVERDUE: Final = "overdue: none came so far"
"""The reason of a gap that is not over."""

Value = Probe | Attempt | Decision | TimelineEvent | OtherTraffic | Gap
Introduce = Callable[[Placed], Mapping[int, Probe]]
"""Makes the probes of a lane, by its workers, from what is known of them so far."""
Key = tuple[str, int, int]
"""Target address, lane of that target, worker of that lane."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something became known, or better known."""

    kind: str
    """`probe`, `attempt`, `decision`, `gap`, `event` or `other`."""
    id: str
    rev: int
    probe: str | None
    value: Value
    gone: bool = False
    """It was something else, or is over."""


@dataclass(slots=True)
class _Progress:
    """What was told of one worker."""

    id: str
    attempts: int = 0
    decisions: int = 0
    step: Step | None = None
    redials: tuple[Step, ...] = ()
    overdue: Change | None = None
    """What tells that its next attempt is overdue."""
    silences: int = 0
    """How often that was told."""


class Teller:
    """Collects changes."""

    def __init__(self, *, heard: bool = True) -> None:
        self._heard = heard
        """Whether somebody listens; else ids and revisions are counted, and nothing is made to be told."""
        self._changes: list[Change] = []
        self._told: dict[str, tuple[int, int]] = {}
        self._workers: dict[Key, _Progress] = {}
        self._settled: dict[tuple[str, int], int] = {}
        self._ids = 0
        self._final: dict[str, int] = {}
        """Probe -> the number of its latest attempt that was told for the last time."""
        self._left_out: dict[tuple[str, str], int] = {}
        """(Probe, letter) -> how many of its decisions or gaps after the first KEPT have no place in the timeline."""

    def take(self) -> list[Change]:
        """Return the changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def id_of(self, key: Key) -> str:
        """Return the id under which a worker's probe was told, or empty."""
        progress = self._workers.get(key)
        return progress.id if progress is not None else ""

    def new_id(self) -> str:
        """Return the next id."""
        self._ids += 1
        return f"p{self._ids}"

    def lane(self, address: str, number: int, placed: Placed, latest: Latest, introduce: Introduce) -> None:
        """Tell what a lane settled since the last call; each probe is introduced before its first attempt."""
        steps = placed.lane.steps
        start = self._settled.get((address, number), 0)
        met: Mapping[int, Probe] = {}
        for step in steps[start:]:
            if step.reading is None:
                continue
            key = (address, number, step.reading.worker)
            if key not in self._workers:
                self._workers[key] = _Progress(self.new_id())
                name = self._workers[key].id
                if not self._heard:
                    self._told[name] = (1, 0)
                else:
                    met = met or introduce(placed)
                    self._tell("probe", name, name, replace(met[step.reading.worker], id=name))
            if self._heard:
                self._step(key, step, placed, latest)
        self._settled[address, number] = len(steps)

    def again(self, address: str, number: int) -> None:
        """Take notice that a lane was replayed: everything in it is told anew where it changed."""
        self._settled.pop((address, number), None)
        for key, progress in self._workers.items():
            if key[:2] == (address, number):
                progress.attempts = progress.decisions = 0
                progress.step, progress.redials = None, ()

    def let_go(self, address: str, number: int, steps: int) -> None:
        """Take notice that a lane let its oldest steps go."""
        self._settled[address, number] -= steps

    def last_word(self, key: Key, made: Attempt) -> None:
        """Tell an attempt for the last time, where it changed, and forget that it was told."""
        if not self._heard:
            return
        probe = self._workers[key].id
        name = f"{probe}.a{made.n}"
        self._tell("attempt", name, probe, made)
        del self._told[name]
        self._final[probe] = made.n

    def leave_out(self, key: Key, letter: str, number: int) -> None:
        """Forget what was told of a worker's decisions (`d`) or gaps (`g`) for which the timeline has no place."""
        probe = self._workers[key].id
        for gone in range(self._left_out.get((probe, letter), 0), number):
            self._told.pop(f"{probe}.{letter}{KEPT + gone + 1}", None)
        self._left_out[probe, letter] = number

    def _step(self, key: Key, step: Step, placed: Placed, latest: Latest) -> None:
        progress = self._workers[key]
        assert step.reading is not None
        if step.reading.redial and progress.step is not None:
            progress.redials = (*progress.redials, step)
        else:
            progress.attempts += 1
            progress.step, progress.redials = step, ()
            self._over(progress)
        assert progress.step is not None
        made = attempt(progress.attempts, progress.step, progress.redials, latest)
        self._tell("attempt", f"{progress.id}.a{made.n}", progress.id, made)
        spec = placed.lane.plan[key[2]].spec
        source = "default" if placed.guesses else "declared"
        found = decision(step.counted, made, spec, source, None)
        if found is not None:
            progress.decisions += 1
            self._tell("decision", f"{progress.id}.d{progress.decisions}", progress.id, found)

    def overdue(self, key: Key, late: Overdue) -> str:
        """Tell that a worker's next attempt is overdue, as a gap that is taken back when it has come; return its probe's id."""
        progress = self._workers.get(key)
        if progress is None or not self._heard:
            return ""
        self._over(progress)
        progress.silences += 1
        missing = Gap(
            start_ns=late.last_ns, end_ns=late.now_ns, expected=late.expected, reason=OVERDUE, kind=GapKind.OVERDUE
        )
        progress.overdue = Change("gap", f"{progress.id}.overdue{progress.silences}", 1, progress.id, missing)
        self._changes.append(progress.overdue)
        return progress.id

    def _over(self, progress: _Progress) -> None:
        """Take back that an attempt is overdue."""
        if progress.overdue is not None:
            self._changes.append(replace(progress.overdue, rev=2, gone=True))
            progress.overdue = None

    def finish(self, timeline: Timeline) -> Timeline:
        """Tell everything that is new or better known at the end; return the timeline with the revisions that were told."""
        for progress in self._workers.values():
            self._over(progress)
        if not self._heard:
            told = [replace(probe, rev=self._told.get(probe.id, (0, 0))[0] + 1) for probe in timeline.probes]
            return replace(timeline, probes=tuple(told))
        probes = [self._probe(probe) for probe in timeline.probes]
        for number, event in enumerate(timeline.events, 1):
            self._tell("event", f"e{number}", None, event)
        for number, other in enumerate(timeline.others, 1):
            self._tell("other", f"o{number}", None, other)
        return replace(timeline, probes=tuple(probes))

    def _probe(self, probe: Probe) -> Probe:
        attempts = probe.attempts
        if (final := self._final.get(probe.id, 0)) and attempts:
            attempts = attempts[max(0, len(attempts) - (attempts[-1].n - final)) :]
        for made in attempts:
            self._tell("attempt", f"{probe.id}.a{made.n}", probe.id, made)
        self._all("decision", "d", probe.id, probe.decisions)
        self._all("gap", "g", probe.id, probe.gaps)
        rev = self._tell("probe", probe.id, probe.id, probe)
        return replace(probe, rev=rev)

    def _all(self, kind: str, letter: str, probe: str, values: Sequence[Value]) -> None:
        left_out = self._left_out.get((probe, letter), 0)
        for number, value in enumerate(values, 1):
            self._tell(kind, f"{probe}.{letter}{number if number <= KEPT else number + left_out}", probe, value)

    def _tell(self, kind: str, name: str, probe: str | None, value: Value) -> int:
        """Tell a value unless the same was told before; return its revision."""
        known = self._told.get(name)
        # A probe holds dicts and is told twice only: when it is met, and when all is known.
        mark = 0 if isinstance(value, Probe) else hash(value)
        if known is not None and known[1] == mark and not isinstance(value, Probe):
            return known[0]
        rev = 1 if known is None else known[0] + 1
        self._told[name] = (rev, mark)
        self._changes.append(Change(kind, name, rev, probe, value))
        return rev
