"""How attempts read at the moment they have their verdict, for whoever watches and cannot wait until it is certain.

Theory of operation: what is told (`teller`) is told once it is settled, which takes a lane some attempts, and an undeclared
target as many as it takes to plan for it (`target.GUESS_AFTER`). A preview looks at the cheapest reading as it is, and at
what waits for a plan through a plan that is supposed from the runs so far, and made anew as they double. It changes
nothing: the timeline at the end is the same, looked at or not.

A source that says it is a kubelet is shown before it is believed.

What was shown and reads in another way now is shown again (`Glimpse.again`): one by one where a decision came or went, all of a
lane where its plan was made anew. A decision that a reading nearly as likely does not see waits until that is settled; one that
presumes a new container waits until the plan, where it is a guess from few attempts, was made with that attempt too: to a plan
with the wrong period the next attempt looks like a new container's.

Limitations: of what is settled nothing is shown again, until the timeline at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from probewatch.decisions.pod import Pod
from probewatch.model.prediction import Prediction
from probewatch.model.timeline import Attempt, Decision, Probe
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
    met: dict[int, Probe] = field(default_factory=dict)
    """The probes of its workers."""


@dataclass(slots=True)
class _Supposed:
    """The supposed lane of runs that wait for a plan."""

    placed: Placed
    fed: int
    made_from: int


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
    ) -> Iterator[Glimpse]:
        """Yield what is new of one target; `context` is that of a checker which is not proven yet."""
        for lane, _, placed in self.lanes(target, context, claims=True):
            yield from self._lane(lane, placed, assembler, sources)

    def lanes(
        self, target: Target, context: Callable[[str], Context], *, claims: bool = False
    ) -> Iterator[tuple[tuple[str, str], int | None, Placed]]:
        """Yield a target's lanes with their names: supposed ones (with `claims` of whoever says it is a kubelet), then planned ones."""
        waiting = target.waiting(claims=claims)
        for checker, runs in waiting.items():
            lane = target.address, f"{checker}?"
            placed = self._suppose(lane, target, checker, runs, context)
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
                self._seen[supposed] = _Seen(done=self._seen[supposed].done, anew=True)
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
    ) -> Placed | None:
        known = self._supposed.get(lane)
        if known is None or len(runs) >= known.made_from * GROWTH:
            placed = target.supposed(runs, checker, context(checker), known.placed if known is not None else None)
            if placed is None:
                return None
            if known is None or placed is not known.placed:
                known = self._supposed[lane] = _Supposed(placed, len(runs), len(runs))
                self._seen[lane] = _Seen(done=self._seen[lane].done if lane in self._seen else 0, anew=True)
            known.made_from = len(runs)
        for run in runs[known.fed :]:
            feed(known.placed.lane, run, NOBODY, context(checker).seen_until_ns)
        known.fed = len(runs)
        return known.placed

    def _lane(
        self, lane: tuple[str, str], placed: Placed, assembler: Assembler, sources: Mapping[str, Source]
    ) -> Iterator[Glimpse]:
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
                if place in disputed:
                    counted, what = None, seen.shown.get(place, "")
                fresh = place > seen.done
                if ((fresh or seen.anew) and not step.reading.redial) or seen.shown.get(place, what) != what:
                    made = attempt(max(1, numbers.get(worker, 1)), step, (), assembler.latest)
                    source = "default" if placed.guess(worker) else "declared"
                    decided = decision(counted, made, placed.lane.plan[worker].spec, source, None)
                    probe = seen.met.get(worker)
                    if probe is None:
                        asker = sources[step.run.client]
                        probe = seen.met[worker] = assembler.sketch(lane[0], placed, worker, step.run, asker)
                    yield Glimpse((*lane, worker), probe, made, decided, not fresh, placed.lane.pod(), worker)
                if place > settled:
                    seen.shown[place] = what
            if place <= settled:
                seen.numbers = dict(numbers)
                seen.shown.pop(place, None)
        seen.anew = False
        seen.settled = settled
        seen.done = max(seen.done, seen.settled + len(ahead))


def unsure(placed: Placed, settled: int, ahead: Sequence[Step]) -> set[int]:
    """Return which of the steps behind the settled ones (1 for the lane's first) decide something that is not to be shown yet."""
    deciding = [(place, step) for place, step in enumerate(ahead, settled + 1) if _decides(step)]
    if not deciding:
        return set()
    found = placed.lane.disputed() if placed.lane.width > 1 else set()
    if placed.guessed_from < ENOUGH:
        found |= {
            place
            for place, step in deciding
            if 0 < placed.guessed_from < place and step.reading is not None and step.reading.reset
        }
    return found


def _decides(step: Step) -> str:
    counted = step.counted
    return counted.decision.value if counted is not None and counted.decision is not None else ""
