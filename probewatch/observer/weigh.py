"""What the packets allow each number of a spec to be: the same attempts read again under other numbers.

Theory of operation. A lane says how far-fetched the cheapest reading of a pod's attempts is, given the numbers of its
probes. So a number is put to the test by reading the same attempts with another one in its place: where that costs a
lot more, the packets exclude it. First the numbers that fit best are looked for, from the declared ones, one change at
a time; then each number is varied alone. What is left within SURE of the best is what the packets allow: one value
(pinned), several, or any. Nothing here knows which value was declared, once the best is found: so a wrong declaration
and a right one are measured alike.

A lane is lenient, because it must carry on after anything: what its costs let pass is counted beside them (`strains`).

Limitations: the first WEIGHED runs of a lane are looked at. timeoutSeconds and initialDelaySeconds do not change how
attempts are read; they are measured in `probes.patience` and `probes.delays`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.finding import Evidence
from probewatch.model.measure import Measure
from probewatch.model.spec import PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Outcome
from probewatch.model.units import SECOND
from probewatch.probes.inference import observed_period
from probewatch.probes.lately import NOBODY
from probewatch.probes.runs import Run, frames_of

from .crashed import ended
from .histories import Look, Step
from .implied import feed
from .lane import STRANGER, Lane
from .strains import strains

WEIGHED: Final = 400
"""Runs of a lane that are read again for each value."""
SURE: Final = 4.0
"""A value that costs this much more than the best one is excluded: e^4, about one in fifty."""
MOST_WORK: Final = 1_000_000
"""Histories times workers that are carried through all readings of one lane; then what is not weighed yet stays open."""
ROUNDS: Final = 4
"""Changes of the declared numbers that are looked for."""
TIE: Final = 2.5
"""Changes of different fields that differ by less than this explain the same equally well."""
SHOWN: Final = 3
"""Attempts named as evidence: the first of those that are hard to read, ..."""
TELLING: Final = 5
"""... as hard as a fifth of the hardest at least: which of several in a row that one is, says little."""
HOPELESS: Final = 20.0
"""A plan that costs this much more than the best one known is read no further."""
COMMON: Final = 3
"""Different pauses between attempts that are tried as their period, the most common first."""
FIELDS: Final = ("type", "periodSeconds", "failureThreshold", "successThreshold")
TYPES: Final = (ProbeType.READINESS, ProbeType.LIVENESS, ProbeType.STARTUP)

Plan = tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """The attempts as they read under one plan."""

    cost: float
    fresh: bool
    """Whether the containers begin in them."""
    begin_ns: int
    """Where the capture begins."""
    steps: tuple[Step, ...]
    strain: tuple[float, ...]
    """Cost of each step, strains included."""
    cut: bool
    """It was given up before the last run."""
    spared: float = 0.0
    """What of its cost was taken off for containers that may have ended by themselves (`crashed`)."""

    @property
    def bare(self) -> float:
        """Its cost, with nothing taken off: what types and numbers of probes are told by."""
        return self.cost + self.spared

    def over(self, best: Read) -> float:
        """Return how much more far-fetched this is than another reading, whether or not containers end by themselves as often as not."""
        return min(self.cost - best.cost, self.bare - best.bare)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one worker (or of two that swap their types) set to another value."""

    worker: int
    field: str
    plan: Plan


class Scale:
    """Reads the same runs under different plans."""

    def __init__(self, lane: Lane, runs: Sequence[Run], seen_until_ns: int | None, holes: Sequence[int] = ()) -> None:
        self._lane, self._seen_until_ns = lane, seen_until_ns
        self.runs = tuple(runs[:WEIGHED])
        self._holes = frozenset(holes)
        """Starts of the runs before which attempts are missing, so that what came before says nothing of what is counted then."""
        self._known: dict[Plan, Read] = {}
        self._looks: dict[Plan, list[Look]] = {}
        """The runs held against plans, whose types, periods and thresholds do not matter for it."""
        self._best = float("inf")
        self._work = 0

    @property
    def spent(self) -> bool:
        """Whether no more readings are to be made."""
        return self._work > MOST_WORK

    def read(self, plan: Plan) -> Read:
        """Read all runs under a plan, or as many as show that it is hopeless."""
        known = self._known.get(plan)
        if known is None:
            lane, most = self._lane.again(plan), self._best + HOPELESS
            for number, looks in enumerate(self._pieces(self._looks_of(plan))):
                if number:
                    lane.interrupt()
                at = 0
                while at < len(looks) and lane.cost <= most:
                    taken = lane.stride(looks, at, most)
                    if not taken:
                        feed(lane, looks[at].run, NOBODY, self._seen_until_ns, looks[at])
                        taken = 1
                    self._work += taken * lane.width * len(plan)
                    at += taken
            steps = tuple(lane.finish())
            extra, spared = strains(steps), dict(ended(steps))
            extra = [more - spared.get(at, 0.0) for at, more in enumerate(extra)]
            cost = lane.cost + sum(extra)
            each = tuple(
                (STRANGER if step.reading is None else step.reading.cost) + more
                for step, more in zip(steps, extra, strict=True)
            )
            known = self._known[plan] = Read(
                cost, bool(lane.fresh), lane.begin_ns, steps, each, at < len(looks), sum(spared.values())
            )
            self._best = min(self._best, known.bare)
        return known

    def _pieces(self, looks: Sequence[Look]) -> list[Sequence[Look]]:
        """Return what lies between the holes."""
        borders = [at for at, look in enumerate(looks) if look.run.start.ns in self._holes and at]
        return [looks[begin:end] for begin, end in pairwise((0, *borders, len(looks)))] if borders else [looks]

    def apart(self, plan: Plan) -> Scale | None:
        """Return a scale that counts anew wherever attempts are missing as a plan reads them; None where none are."""
        missed = [step.run.start.ns for step in self.read(plan).steps if _unexplained(step)]
        return Scale(self._lane, self.runs, self._seen_until_ns, missed) if missed else None

    def rather(self, other: Plan, plan: Plan, margin: float) -> tuple[Plan, Scale]:
        """Return another plan where it is cheaper by this margin, else the first, with the scale that is to weigh it.

        A scale tells plans apart by what it weighs: one whose timeouts or delays are others has its own.
        """
        if other == plan:
            return plan, self
        own = Scale(self._lane, self.runs, self._seen_until_ns)
        return (other, own) if own.read(other).cost + margin < self.read(plan).cost else (plan, self)

    def _looks_of(self, plan: Plan) -> list[Look]:
        """Return the runs held against a plan, once for all that differ only in what is weighed here."""
        alike = tuple(Planned(_unweighed(planned.spec), planned.container) for planned in plan)
        known = self._looks.get(alike)
        if known is None:
            owners = self._lane.owners
            known = self._looks[alike] = [
                Look(run, alike, self._seen_until_ns, owners.get(run.start)) for run in self.runs
            ]
        return known


def _unexplained(step: Step) -> bool:
    """Tell whether attempts are missing before a step, and no container's or kubelet's end says why."""
    reading = step.reading
    if reading is None or not reading.missed or reading.reset:
        return False
    worker = reading.worker
    # (The first attempt at a container waits for more than its tick.)
    return step.before.tickers[worker].runs > 0 and not step.before.containers[step.before.plan[worker].container].dying


def _unweighed(spec: ProbeSpec) -> ProbeSpec:
    """Return a probe as it is whatever numbers are weighed."""
    return replace(spec, type=ProbeType.UNKNOWN, period_s=1, failure_threshold=1, success_threshold=1)


def weigh(scale: Scale, declared: Plan, pod: PodSpec | None) -> tuple[Plan, dict[int, tuple[Measure, ...]]]:
    """Return the numbers that fit best; and, for each worker with attempts, what is left of the fields that shape their rhythm."""
    best, rivals = _best(scale, declared, pod)
    out: dict[int, tuple[Measure, ...]] = {}
    for worker in range(len(declared)):
        if steps_of(scale.read(best), worker):
            out[worker] = tuple(
                _measure(scale, best, declared, pod, worker, field, rivals.get((worker, field), ())) for field in FIELDS
            )
    return best, out


def steps_of(read: Read, worker: int) -> list[Step]:
    """Return one worker's steps."""
    return [step for step in read.steps if step.reading is not None and step.reading.worker == worker]


def best_plan(scale: Scale, declared: Plan, pod: PodSpec | None) -> Plan:
    """Return the numbers and types that fit best, the declared ones where none are SURE to fit better."""
    return _best(scale, declared, pod)[0]


def _best(scale: Scale, declared: Plan, pod: PodSpec | None) -> tuple[Plan, dict[tuple[int, str], tuple[str, ...]]]:
    """Look for the numbers that fit best, one change at a time; say which other field each change could be blamed on."""
    best = declared
    rivals: dict[tuple[int, str], tuple[str, ...]] = {}
    for _ in range(ROUNDS):
        if scale.spent:
            break
        found = sorted(((scale.read(change.plan).cost, change) for change in _changes(scale, best, pod)), key=_cheapest)
        if not found or scale.read(best).over(scale.read(found[0][1].plan)) < SURE:
            break
        least, change = found[0]
        others = {other.field for price, other in found if price - least < TIE and other.worker == change.worker} - {
            change.field
        }
        rivals[change.worker, change.field] = tuple(sorted(others))
        best = change.plan
    return best, rivals


def _cheapest(item: tuple[float, Change]) -> tuple[float, int, int]:
    return item[0], FIELDS.index(item[1].field), item[1].worker


def _changes(scale: Scale, plan: Plan, pod: PodSpec | None) -> Iterator[Change]:
    for worker in range(len(plan)):
        if scale.spent:
            return
        if steps_of(scale.read(plan), worker):
            for field in FIELDS:
                for value in _candidates(scale, plan, pod, worker, field):
                    yield Change(worker, field, _with(plan, worker, field, value))
        for _, swapped in _swaps(plan, worker):
            yield Change(worker, "type", swapped)


def _with(plan: Plan, worker: int, field: str, value: int | str) -> Plan:
    spec = _altered(plan[worker].spec, field, value)
    return (*plan[:worker], Planned(spec, plan[worker].container), *plan[worker + 1 :])


def _altered(spec: ProbeSpec, field: str, value: int | str) -> ProbeSpec:
    if isinstance(value, str):
        kind = ProbeType(value)
        return replace(spec, type=kind, success_threshold=spec.success_threshold if kind is ProbeType.READINESS else 1)
    if field == "periodSeconds":
        return replace(spec, period_s=value)
    if field == "failureThreshold":
        return replace(spec, failure_threshold=value)
    return replace(spec, success_threshold=value)


def value_of(spec: ProbeSpec, field: str) -> int | str:
    """Return the type or a number of a spec by its name in the API."""
    return spec.type.value if field == "type" else spec.numbers[field]


def _candidates(scale: Scale, plan: Plan, pod: PodSpec | None, worker: int, field: str) -> list[int | str]:
    """Return the values worth trying in place of a plan's own; none where no attempt could tell them apart."""
    spec, steps = plan[worker].spec, steps_of(scale.read(plan), worker)
    if field == "type":
        taken = {
            other.spec.type
            for index, other in enumerate(plan)
            if index != worker and other.container == plan[worker].container
        }
        if pod is not None:
            taken |= {s.type for s in pod.containers[plan[worker].container].probes if s.type is not spec.type}
        return [kind.value for kind in TYPES if kind is not spec.type and kind not in taken]
    if field == "periodSeconds":
        seen = observed_period([step.run.start.ns for step in steps])
        pauses = Counter(
            round((b.run.start.ns - a.run.start.ns) / SECOND) for a, b in pairwise(steps) if not b.run.implied
        )
        near = {1, spec.period_s - 1, spec.period_s + 1, spec.period_s * 2, spec.period_s // 2, spec.period_s * 3}
        common = [pause for pause, _ in pauses.most_common(COMMON)]
        values = {*near, *common, *([seen] if seen else [])} if len(steps) > 1 else set()
    else:
        good, bad = longest_streak(steps, Outcome.SUCCESS), longest_streak(steps, Outcome.FAILURE)
        if field == "failureThreshold":
            values = {1, 2, 3, bad - 1, bad, bad + 1, bad + 2} if bad else set()
        else:
            mixed = good and bad and spec.type is ProbeType.READINESS
            values = {1, 2, 3, good, good + 1, good + 2} if mixed else set()
    return sorted(value for value in values if value > 0 and value != value_of(spec, field))


def longest_streak(steps: Sequence[Step], outcome: Outcome) -> int:
    """Return how often in a row steps had this outcome, at most."""
    longest = streak = 0
    for step in steps:
        if step.verdict is None or step.verdict.outcome is Outcome.DISCARDED:
            continue
        streak = streak + 1 if step.verdict.outcome is outcome else 0
        longest = max(longest, streak)
    return longest


def _measure(
    scale: Scale,
    best: Plan,
    declared: Plan,
    pod: PodSpec | None,
    worker: int,
    field: str,
    rivals: tuple[str, ...],
) -> Measure:
    """Vary one field alone."""
    if scale.spent:
        return Measure(
            field=field, number=field != "type", why="undecided: these attempts can be read in too many ways"
        )
    own, said = value_of(best[worker].spec, field), value_of(declared[worker].spec, field)
    floor = scale.read(best)
    values = {own, *_candidates(scale, best, pod, worker, field)}
    if len(values) > 1 or said != own:
        values.add(said)
    allowed = {v for v in values if scale.read(_with(best, worker, field, v)).over(floor) < SURE}
    if field == "type":
        for kind, plan in _swaps(best, worker):
            values.add(kind)
            if scale.read(plan).over(floor) < SURE:
                allowed.add(kind)
    elif field != "periodSeconds":
        _narrow(values, allowed, lambda v: scale.read(_with(best, worker, field, v)).over(floor) < SURE)
    evidence = () if said in allowed else _against(scale, floor, _said(best, worker, field, said))
    if field == "type":
        words = tuple(kind.value for kind in TYPES if kind.value in allowed)
        every = len(values) > 1 and allowed == values
        lone = len(values) == 1  # no other type is left in its container, or nothing to compare it with
        return Measure(field=field, words=() if every or lone else words, rivals=rivals, evidence=evidence)
    numbers = sorted(v for v in values if isinstance(v, int))
    fit = [v for v in numbers if v in allowed]
    if len(numbers) < 2:
        return Measure(field=field, number=True)
    low = fit[0] if fit[0] > numbers[0] or fit[0] == 1 == fit[-1] else None
    high = fit[-1] if fit[-1] < numbers[-1] else None
    holes = tuple(v for v in numbers if fit[0] < v < fit[-1] and v not in allowed)
    return Measure(field=field, number=True, low=low, high=high, holes=holes, rivals=rivals, evidence=evidence)


def _swaps(plan: Plan, worker: int) -> Iterator[tuple[str, Plan]]:
    """Return the plans in which a worker trades its type with another probe of its container."""
    for other in range(len(plan)):
        if other != worker and plan[other].container == plan[worker].container:
            swapped = _with(plan, worker, "type", plan[other].spec.type.value)
            yield plan[other].spec.type.value, _with(swapped, other, "type", plan[worker].spec.type.value)


def _said(best: Plan, worker: int, field: str, said: int | str) -> Plan:
    """Return the plan with one field as declared; a type that another probe of the container has by now is traded."""
    if field == "type":
        for kind, plan in _swaps(best, worker):
            if kind == said:
                return plan
    return _with(best, worker, field, said)


def _narrow(values: set[int | str], allowed: set[int | str], fits: Callable[[int], bool]) -> None:
    """Find the exact border between what fits and what does not, by halving the gaps between values tried."""
    for _ in range(16):
        numbers = sorted(value for value in values if isinstance(value, int))
        wide = [(a, b) for a, b in pairwise(numbers) if (a in allowed) != (b in allowed) and b - a > 1]
        if not wide:
            return
        middle = sum(wide[0]) // 2
        values.add(middle)
        if fits(middle):
            allowed.add(middle)


def _against(scale: Scale, best: Read, other: Plan) -> tuple[Evidence, ...]:
    """Return the frames of the first runs that are hard to read under another plan."""
    strained = scale.read(other)
    price = {id(step.run): cost for step, cost in zip(best.steps, best.strain, strict=True)}
    worse = [
        (cost - price.get(id(step.run), 0.0), step.run)
        for step, cost in zip(strained.steps, strained.strain, strict=True)
        if not step.run.implied
    ]
    most = max((more for more, _ in worse), default=0.0)
    hard = sorted((run for more, run in worse if more > most / TELLING), key=lambda run: run.start.ns)
    return tuple(map(frames_of, hard[:SHOWN]))
