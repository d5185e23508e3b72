"""How attempts read at the moment they have their verdict, for whoever watches and cannot wait until it is certain.

Theory of operation: what is told (`teller`) is told once it is settled, which takes a lane some attempts, and an undeclared
target as many as it takes to plan for it (`target.GUESS_AFTER`). A preview looks at the cheapest reading as it is, and at
what waits for a plan through a plan that is supposed from the runs so far, and made anew as they double. It changes
nothing: the timeline at the end is the same, looked at or not.

A source that says it is a kubelet is shown before it is believed.

What was shown and reads in another way now is shown again (`Glimpse.again`): one by one where a decision came or went, all of a
lane where its plan was made anew. A decision that a reading nearly as likely does not see waits until that is settled; one that
presumes a new container waits until the plan, where it is a guess from few attempts, was made with that attempt too: to a plan
with the wrong period the next attempt looks like a new container's. So does a Ready of what was Ready, by a new container of which
nothing else shows a sign: nothing is decided twice unless that is settled.

A run that is complete and waits in its queue behind one that is still open is shown by a copy of its lane that was fed with it
(`Beyond`): one probe that hangs would else hide all others of its address until its timeout is over.

Limitations: of what is settled nothing is shown again, until the timeline at the end. What waits and would begin a lane is not
shown before that has begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from probewatch.decisions.pod import Pod
from probewatch.decisions.worker import Result
from probewatch.model.frame import Mark
from probewatch.model.prediction import Prediction
from probewatch.model.timeline import Attempt, Decision, DecisionKind, Probe
from probewatch.probes.lately import NOBODY
from probewatch.probes.runs import Run
from probewatch.probes.sources import Source

from .assemble import Assembler
from .build import attempt, decision
from .histories import Step
from .implied import feed
from .overdue import Waiting
from .target import Context, Placed, Target

ENOUGH: Final = 16
"""Runs from which what is supposed of a lane is good enough to wait for the next."""
GROWTH: Final = 2
"""A supposed plan is made anew when the runs it was made from have become so many times more."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """An attempt as it reads now."""

    key: tuple[str, str, int]
    """Which probe: the same for attempts of the same probe, as far as is known."""
    probe: Probe
    """Who, what and how, made when it was first met, without its attempts."""
    attempt: Attempt
    decision: Decision | None
    again: bool
    """The attempt was shown before, and read in another way."""
    pod: Pod
    """The state of its pod by then."""
    worker: int
    """Which of that pod's workers it is."""

    @property
    def prediction(self) -> Prediction:
        """What its worker does next."""
        return self.pod.prediction(self.worker)


class Beyond:
    """Complete runs of one target that have not their turn yet."""

    def __init__(self, target: Target, runs: Sequence[tuple[Run, Context]] = ()) -> None:
        """Take runs of proven kubelets, or of whoever says so, in the order of their starts."""
        self._runs = [
            (run, context, target.lane_of(run, context)) for run, context in runs if run.form.kubelet or run.execs
        ]

    def lane(self, placed: Placed, name: str, *, planned: bool) -> Placed:
        """Return a lane as it reads with what waits for it; itself where nothing does."""
        mine = [run for run, _, home in self._runs if home is placed] if planned else self.unplanned(name)
        if not mine:
            return placed
        further = placed.lane.beyond()
        for run in mine:
            feed(further, run, NOBODY, None)
        return replace(placed, lane=further)

    def unplanned(self, name: str) -> list[Run]:
        """Return those that will wait for a plan, with what the supposed lane of this name is made from."""
        return [
            run
            for run, context, home in self._runs
            if home is None and name in (f"{context.checker}?", f"{run.client}?")
        ]


@dataclass(slots=True)
class _Seen:
    """What was shown of one lane."""

    settled: int = 0
    done: int = 0
    """Steps that were shown."""
    anew: bool = False
    """They were shown as another plan had them."""
    numbers: dict[int, int] = field(default_factory=dict)
    """Attempts of each worker among the settled steps."""
    shown: dict[int, str] = field(default_factory=dict)
    """Place of an open step -> the decision it was shown with."""
    early: dict[Mark, str] = field(default_factory=dict)
    """Start of a step that was shown before its turn -> the same."""
    met: dict[int, Probe] = field(default_factory=dict)
    """The probes of its workers."""


@dataclass(slots=True)
class _Supposed:
    """The supposed lane of runs that wait for a plan."""

    placed: Placed
    fed: int
    made_from: int
    odd: set[Mark] = field(default_factory=set)
    """Starts of runs that no probe of it explained before they had their turn: it was made anew with them once."""


class Preview:
    """Shows each attempt once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._supposed: dict[tuple[str, str], _Supposed] = {}
        self._names: dict[tuple[str, int], str] = {}
        """(Address, place among its lanes) -> the name of that lane: what it was supposed to be keeps its name."""

    def forget_names(self) -> None:
        """Meet the probes anew: their pods may have got names."""
        for seen in self._seen.values():
            seen.met.clear()

    def look(
        self,
        target: Target,
        assembler: Assembler,
        sources: Mapping[str, Source],
        context: Callable[[str], Context],
        beyond: Beyond,
    ) -> Iterator[Glimpse]:
        """Yield what is new of one target; `context` is that of a checker which is not proven yet."""
        for lane, number, placed in self.lanes(target, context, beyond, claims=True):
            told = placed.lane.outlook()
            further = beyond.lane(placed, lane[1], planned=number is not None)
            yield from self._lane(lane, further, assembler, sources, told[0] + len(told[1]), supposed=number is None)

    def lanes(
        self, target: Target, context: Callable[[str], Context], beyond: Beyond, *, claims: bool = False
    ) -> Iterator[tuple[tuple[str, str], int | None, Placed]]:
        """Yield a target's lanes with their names: supposed ones (with `claims` of whoever says it is a kubelet), then planned ones."""
        waiting = target.waiting(claims=claims)
        for checker, runs in waiting.items():
            lane = target.address, f"{checker}?"
            placed = self._suppose(lane, target, checker, runs, context, beyond.unplanned(lane[1]))
            if placed is not None:
                yield lane, None, placed
        for number, placed in enumerate(target.placed):
            yield self.name(target.address, number, placed, waiting), number, placed

    def name(self, address: str, number: int, placed: Placed, waiting: Mapping[str, Sequence[Run]]) -> tuple[str, str]:
        """Return the name of a planned lane, where these wait for a plan."""
        name = self._names.get((address, number))
        if name is None:
            name = str(number)
            supposed = address, f"{placed.checker}?"
            if supposed in self._supposed and placed.checker not in waiting:
                # What was supposed is planned now: the same attempts in the same order.
                del self._supposed[supposed]
                name = supposed[1]
                self._seen[supposed] = self._anew(supposed)
            self._names[address, number] = name
        return address, name

    def waiting(self, targets: Mapping[str, Target]) -> Iterator[Waiting]:
        """Yield all lanes by their names, planned and supposed."""
        for lane, known in self._supposed.items():
            if known.fed < ENOUGH:
                continue
            yield Waiting(lane, lane[0], None, known.placed)
        for address, target in targets.items():
            for number, placed in enumerate(target.placed):
                yield Waiting((address, self._names.get((address, number), str(number))), address, number, placed)

    def _suppose(
        self,
        lane: tuple[str, str],
        target: Target,
        checker: str,
        runs: Sequence[Run],
        context: Callable[[str], Context],
        ahead: Sequence[Run],
    ) -> Placed | None:
        """Return the lane that is supposed of these runs, its plan made with those `ahead` that have not their turn yet."""
        known = self._supposed.get(lane)
        odd = {run.start for run in ahead if known is not None and not known.placed.takes(run)}
        if known is None or len(runs) >= known.made_from * GROWTH or odd - known.odd:
            before = known.placed if known is not None else None
            placed = target.supposed(runs, checker, context(checker), before, ahead)
            if placed is None:
                return None
            if known is None or placed is not known.placed:
                known = self._supposed[lane] = _Supposed(placed, len(runs), len(runs))
                self._seen[lane] = self._anew(lane)
            known.made_from = len(runs)
            known.odd |= odd
        for run in runs[known.fed :]:
            feed(known.placed.lane, run, NOBODY, context(checker).seen_until_ns)
        known.fed = len(runs)
        return known.placed

    def _anew(self, lane: tuple[str, str]) -> _Seen:
        """Return what was shown of a lane whose plan was made anew."""
        before = self._seen.get(lane, _Seen())
        return _Seen(done=before.done, early=before.early, anew=True)

    def _lane(
        self,
        lane: tuple[str, str],
        placed: Placed,
        assembler: Assembler,
        sources: Mapping[str, Source],
        had_turn: int,
        *,
        supposed: bool,
    ) -> Iterator[Glimpse]:
        """Yield what is new of one lane, of whose steps so many had their turn; what a `supposed` one settled is none the surer."""
        seen = self._seen.setdefault(lane, _Seen())
        settled, ahead = placed.lane.outlook()
        gone = settled - len(placed.lane.steps)
        seen.settled = max(seen.settled, gone)  # (What was let go was shown long before.)
        steps = [*placed.lane.steps[seen.settled - gone :], *ahead]
        numbers = dict(seen.numbers)
        disputed = unsure(placed, settled, ahead)
        for place, step in enumerate(steps, seen.settled + 1):
            if step.reading is not None:
                worker = step.reading.worker
                if not step.reading.redial:
                    numbers[worker] = numbers.get(worker, 0) + 1
                counted = step.counted
                what = _decides(step)
                if place in disputed or (supposed and _from_nowhere(step)):
                    counted, what = None, seen.early.get(step.run.start, seen.shown.get(place, ""))
                early = seen.early.get(step.run.start) if place > seen.done else None
                fresh = place > seen.done and early is None
                before = seen.shown.get(place, what) if early is None else early
                if ((fresh or seen.anew) and not step.reading.redial) or before != what:
                    made = attempt(max(1, numbers.get(worker, 1)), step, (), assembler.latest)
                    source = "default" if placed.guess(worker) else "declared"
                    decided = decision(counted, made, placed.lane.plan[worker].spec, source, None)
                    probe = seen.met.get(worker)
                    if probe is None:
                        asker = sources[step.run.client]
                        probe = seen.met[worker] = assembler.sketch(lane[0], placed, worker, step.run, asker)
                    yield Glimpse((*lane, worker), probe, made, decided, not fresh, placed.lane.pod(), worker)
                if place > had_turn:
                    seen.early[step.run.start] = what
                    continue
                seen.early.pop(step.run.start, None)
                if place > settled:
                    seen.shown[place] = what
            if place <= settled:
                seen.numbers = dict(numbers)
                seen.shown.pop(place, None)
        seen.anew = False
        seen.settled = settled
        seen.done = max(seen.done, had_turn)


def unsure(placed: Placed, settled: int, ahead: Sequence[Step]) -> set[int]:
    """Return which of the steps behind the settled ones (1 for the lane's first) decide something that is not to be shown yet."""
    deciding = [(place, step) for place, step in enumerate(ahead, settled + 1) if _decides(step)]
    if not deciding:
        return set()
    found = placed.lane.disputed() if placed.lane.width > 1 else set()
    found |= {place for place, step in deciding if _from_nowhere(step)}
    if placed.guessed_from < ENOUGH:
        found |= {
            place
            for place, step in deciding
            if 0 < placed.guessed_from < place and step.reading is not None and step.reading.reset
        }
    return found


def _from_nowhere(step: Step) -> bool:
    """Tell whether a step makes Ready what was Ready, by a new container or kubelet of which nothing else shows a sign.

    Somebody's loop of connections looks so as well, until what follows tells it from a probe.
    """
    reading, counted = step.reading, step.counted
    if reading is None or not reading.reset or counted is None or counted.decision is not DecisionKind.READY:
        return False
    pod, place = step.before, step.before.plan[reading.worker].container
    mates = [one for one, planned in zip(pod.workers, pod.plan, strict=True) if planned.container == place]
    went_well = all(one.last_result is Result.SUCCESS for one in mates)
    return went_well and pod.workers[reading.worker].cached is Result.SUCCESS and not pod.containers[place].dying


def _decides(step: Step) -> str:
    counted = step.counted
    return counted.decision.value if counted is not None and counted.decision is not None else ""
