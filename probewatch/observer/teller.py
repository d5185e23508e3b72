"""Tells what becomes known as it becomes known: ids that stay, revisions that only go up.

An attempt is told once its lane has settled it (all histories agree), with revision 1; whatever the end of the input
changes about it (a late answer, what confirmed a decision) is told again with the next revision. Ids are given in the
order of telling, so the same input gives the same ids, whoever listens. What was told is remembered by its hash alone.

Who cannot wait is told `early`: each attempt as the cheapest history has it, and again, or taken back, where that changes. Only a
decision that a history nearly as cheap does not see waits until it is settled. What waits for a plan is told by a supposed lane
(`preview`), whose probes are those of the lane that is planned then. There ids follow the order in which probes are met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from probewatch.model.timeline import Attempt, Decision, Gap, GapKind, OtherTraffic, Probe, Timeline, TimelineEvent

from .build import Latest, attempt, decision
from .histories import Step
from .lane import Lane
from .ledger import KEPT
from .overdue import Overdue
from .preview import unsure
from .target import Placed

OVERDUE: Final = "overdue: none came so far"
"""The reason of a gap that is not over."""

Value = Probe | Attempt | Decision | TimelineEvent | OtherTraffic | Gap
Introduce = Callable[[Placed], Mapping[int, Probe]]
"""Makes the probes of a lane, by its workers, from what is known of them so far."""
Key = tuple[str, int | str, int]
"""Target address, lane of that target (by name where it is supposed), worker of that lane."""
_KINDS: Final = {"a": "attempt", "d": "decision", "g": "gap"}
"""What an id is of, by the letter behind its probe's."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something became known, or better known."""

    kind: str
    """`probe`, `attempt`, `decision`, `gap`, `event` or `other`."""
    id: str
    rev: int
    probe: str | None
    value: Value | None
    """None for what was told early and is gone."""
    gone: bool = False
    """It was something else, or is over."""


@dataclass(slots=True)
class _Progress:
    """What was told of one worker."""

    id: str
    introduced: bool = False
    """Whether its probe was told as its lane has it now."""
    attempts: int = 0
    decisions: int = 0
    step: Step | None = None
    redials: tuple[Step, ...] = ()
    overdue: Change | None = None
    """What tells that its next attempt is overdue."""
    silences: int = 0
    """How often that was told."""


@dataclass(slots=True)
class _Ahead:
    """What was told of a lane before it was settled."""

    lane: Lane
    settled: int = 0
    """Steps that were settled then."""
    steps: list[tuple[Step, bool]] = field(default_factory=list)
    """Those after them, and whether a decision was held back."""
    most: dict[tuple[int, str], int] = field(default_factory=dict)
    """(Worker, letter) -> how many of its attempts or decisions were told, at most."""

    @property
    def reach(self) -> int:
        """How many steps were told."""
        return self.settled + len(self.steps)


class Teller:
    """Collects changes."""

    def __init__(self, *, heard: bool = True, early: bool = False) -> None:
        self._heard = heard
        """Whether somebody listens; else ids and revisions are counted, and nothing is made to be told."""
        self._early = heard and early
        """Whether what is not settled is told as well."""
        self._changes: list[Change] = []
        self._told: dict[str, tuple[int, int | None]] = {}
        """What was told: its revision and its hash, None for what was taken back."""
        self._workers: dict[Key, _Progress] = {}
        self._settled: dict[tuple[str, int | str], int] = {}
        self._ahead: dict[tuple[str, int | str], _Ahead] = {}
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

    def lane(
        self,
        address: str,
        number: int | str,
        placed: Placed,
        latest: Latest,
        introduce: Introduce,
        beyond: Placed | None = None,
    ) -> None:
        """Tell what a lane settled since the last call; each probe is introduced before its first attempt.

        `beyond` is the lane with what has not its turn yet, which is told early.
        """
        known = self._ahead.get((address, number))
        reach = known.reach if known is not None else 0
        early = {step.run.start for step, _ in known.steps} if known is not None else set()
        if self._early and known is None:
            self._ahead[address, number] = _Ahead(placed.lane)
        elif known is not None and known.lane is not placed.lane:
            self.again(address, number)
            self._ahead[address, number].lane = placed.lane
        steps = placed.lane.steps
        start = self._settled.get((address, number), 0)
        met = cache(lambda: introduce(beyond or placed))
        settled = placed.lane.outlook()[0] if self._early else len(steps)
        for place, step in enumerate(steps[start:], settled - len(steps) + start + 1):
            if step.reading is None:
                continue
            key = (address, number, step.reading.worker)
            progress = self._meet(key, met)
            if self._heard:
                if place > reach or (early and step.run.start not in early):
                    self._over(progress)
                self._step(key, progress, step, placed, latest)
        self._settled[address, number] = len(steps)
        if self._early:
            self._tell_ahead(address, number, beyond or placed, latest, met, reach)

    def _meet(self, key: Key, met: Callable[[], Mapping[int, Probe]]) -> _Progress:
        """Return what was told of a worker, whose probe is introduced if it was not."""
        progress = self._workers.get(key)
        if progress is None:
            progress = self._workers[key] = _Progress(self.new_id())
        if not progress.introduced:
            progress.introduced = True
            name = progress.id
            if not self._heard:
                self._told[name] = (1, 0)
            else:
                self._tell("probe", name, name, replace(met()[key[2]], id=name))
        return progress

    def _tell_ahead(
        self,
        address: str,
        number: int | str,
        placed: Placed,
        latest: Latest,
        met: Callable[[], Mapping[int, Probe]],
        reach: int,
    ) -> None:
        """Tell what is not settled as it reads now, where that is not what was told of `reach` steps; take back what is no more."""
        lane = placed.lane
        known = self._ahead[address, number]
        early = {step.run.start for step, _ in known.steps}
        settled, steps = lane.outlook()
        disputed = unsure(placed, settled, steps)
        now = [(step, place in disputed) for place, step in enumerate(steps, settled + 1)]
        passed = settled - known.settled
        own = lane.steps[len(lane.steps) - passed :] if passed else []
        same = len(known.steps) >= passed and all(a is b for (a, _), b in zip(known.steps, own, strict=False))
        before = known.steps[passed:]
        counted: dict[int, _Progress] = {}
        for place, (step, held) in enumerate(now):
            same = same and place < len(before) and before[place][0] is step and before[place][1] == held
            if step.reading is None:
                continue
            worker = step.reading.worker
            key = (address, number, worker)
            if worker not in counted:
                counted[worker] = replace(self._meet(key, met))
            if settled + place >= reach or (early and step.run.start not in early):
                self._over(self._workers[key])
            self._step(key, counted[worker], step, placed, latest, held=held, same=same)
        known.settled, known.steps = settled, now
        for (worker, letter), most in known.most.items():
            progress = counted.get(worker) or self._workers[address, number, worker]
            left = progress.attempts if letter == "a" else progress.decisions
            for gone in range(left + 1, most + 1):
                self._take_back(f"{progress.id}.{letter}{gone}")
            known.most[worker, letter] = min(left, most)

    def again(self, address: str, number: int | str) -> None:
        """Take notice that a lane was replayed: everything in it is told anew where it changed."""
        self._settled.pop((address, number), None)
        known = self._ahead.get((address, number))
        if known is not None:  # (its latest steps were told, however they read now)
            self._ahead[address, number] = _Ahead(known.lane, most=known.most)
        for key, progress in self._workers.items():
            if key[:2] == (address, number):
                progress.introduced = progress.introduced and known is None
                progress.attempts = progress.decisions = 0
                progress.step, progress.redials = None, ()

    def adopt(self, address: str, name: str, number: int) -> None:
        """Take notice that a lane was planned for what a supposed one was told of, by its name: its probes are the same."""
        known = self._ahead.pop((address, name), None)
        if known is None:
            return
        self._ahead[address, number] = known
        for key in [key for key in self._workers if key[:2] == (address, name)]:
            self._workers[address, number, key[2]] = self._workers.pop(key)
        self._settled.pop((address, name), None)

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

    def _step(
        self,
        key: Key,
        progress: _Progress,
        step: Step,
        placed: Placed,
        latest: Latest,
        *,
        held: bool = False,
        same: bool = False,
    ) -> None:
        """Tell one step of a worker that was told so far; `held` without what it decides, `same` nothing, for that is known."""
        assert step.reading is not None
        if step.reading.redial and progress.step is not None:
            progress.redials = (*progress.redials, step)
        else:
            progress.attempts += 1
            progress.step, progress.redials = step, ()
        if same:
            progress.decisions += bool(_decides(step))
            return
        assert progress.step is not None
        made = attempt(progress.attempts, progress.step, progress.redials, latest)
        self._tell("attempt", f"{progress.id}.a{made.n}", progress.id, made)
        spec = placed.lane.plan[key[2]].spec
        source = "default" if placed.guess(key[2]) else "declared"
        found = decision(step.counted, made, spec, source, None)
        if found is not None:
            progress.decisions += 1
            if not held:
                self._tell("decision", f"{progress.id}.d{progress.decisions}", progress.id, found)
        if self._early:
            most = self._ahead.setdefault(key[:2], _Ahead(placed.lane)).most
            for letter, number in (("a", progress.attempts), ("d", progress.decisions)):
                most[key[2], letter] = max(number, most.get((key[2], letter), 0))

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
        for name in list(self._told):
            if "." in name:
                self._take_back(name)  # (what is left was told early, and came to nothing)
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
            self._last("attempt", f"{probe.id}.a{made.n}", probe.id, made)
        self._all("decision", "d", probe.id, probe.decisions)
        self._all("gap", "g", probe.id, probe.gaps)
        rev = self._tell("probe", probe.id, probe.id, probe)
        return replace(probe, rev=rev)

    def _all(self, kind: str, letter: str, probe: str, values: Sequence[Value]) -> None:
        left_out = self._left_out.get((probe, letter), 0)
        for number, value in enumerate(values, 1):
            self._last(kind, f"{probe}.{letter}{number if number <= KEPT else number + left_out}", probe, value)

    def _last(self, kind: str, name: str, probe: str, value: Value) -> None:
        """Tell a value for the last time."""
        self._tell(kind, name, probe, value)
        del self._told[name]

    def _take_back(self, name: str) -> None:
        """Tell that what was told is no more."""
        rev, mark = self._told.get(name, (0, None))
        if mark is None:
            return
        probe, _, number = name.rpartition(".")
        self._told[name] = (rev + 1, None)
        self._changes.append(Change(_KINDS[number[0]], name, rev + 1, probe, None, gone=True))

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


def _decides(step: Step) -> bool:
    return step.counted is not None and step.counted.decision is not None
