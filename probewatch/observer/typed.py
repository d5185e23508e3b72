"""Types of probes that nobody declared, told by how far-fetched their attempts read as each of them.

Theory of operation. `probes.inference` looks for plain signs: a poke, a silence, a stop. What it leaves open, or reads from
too few of them, is weighed here as `verify` weighs a declared number (`weigh`): the attempts are read as those of each
combination of types that one container can have, with the failure thresholds that their streaks suggest, and the cheapest
reading tells. A type is taken where every combination that is nearly as cheap agrees on it, and left open elsewhere: then
the name of what it asks for may say it (`/readyz`). How many probes there are, and at what period, is weighed too, where the
guess reads badly: the period that shows while it succeeds, one more that asks the same, or one less where what only connects
may be another's dead dials.

Without a manifest all probes of an address are taken for one container's, unless one container cannot have them all: then
each port is one's (`homes`). Where no combination explains what was seen (BAFFLING), no type is told: a wrong one would make
decisions that never were.

Limitations: more than MOST probes of one container are not weighed, nor is what never failed and was never off its grid: such
attempts read alike as any type.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from probewatch.decisions.pod import Planned
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome
from probewatch.model.units import SECOND
from probewatch.probes.cadence import GRID_NS, whole_seconds
from probewatch.probes.inference import DEFAULT_FAILURES, Guess, named_type, observed_period, ticking_period
from probewatch.probes.patience import observed_timeout
from probewatch.probes.runs import Run, fits, verdict_of

from .histories import Step
from .lane import Lane
from .tying import FITS_WELL
from .weigh import SURE, TYPES, Plan, Read, Scale, longest_streak, steps_of

MOST: Final = 3
"""Probes of one container: it has one of each type."""
FEWEST: Final = 6
"""Attempts from which types are weighed."""
RUNS: Final = 120
"""Attempts that are looked at."""
ANOTHER: Final = 8.0
"""What one more probe that asks the same has to save: so far-fetched is one that nobody saw."""
STRAINED: Final = 12.0
"""A reading that costs less is not improved upon by other numbers of probes."""
BAFFLING: Final = 0.5
"""A reading that costs more than this for each attempt, and LEAST in all, is none."""
LEAST: Final = 36.0
AGAINST_NAME: Final = 3.0
"""A type that the name of what is asked for does not say: one in twenty `/ready` is asked for by a liveness probe."""
PATIENT: Final = 30
"""failureThreshold that a startup probe is supposed to have: nearly all are given a large one."""
SHOWN: Final = 0.5
"""What a failure threshold that an extra probe seems to show has to save."""
LOW: Final = 6
"""Failure thresholds below this are tried: where a container is quickly there again, one streak holds several restarts."""
OPEN: Final = "its request is the same as that of another probe of its container; nothing tells them apart"
BAFFLED: Final = "its attempts, together with those beside it, fit no type as a kubelet runs it"
THIRD: Final = "one container cannot have it beside the other two, which fit what a kubelet does without it"
OTHERS: Final = "only the names of what other ports are asked say one, and these may be another container's"
NAMED: Final = "only the name of its path or service says so"


def homes(guesses: Sequence[Guess]) -> tuple[Planned, ...]:
    """Put guessed probes into containers: one, where it can have them all, else one for each port."""
    kinds = [named_type(one.spec) if one.spec.type is ProbeType.UNKNOWN else one.spec.type for one in guesses]
    known = [kind for kind in kinds if kind is not ProbeType.UNKNOWN]
    ports = list(dict.fromkeys(one.spec.port for one in guesses))
    together = len(guesses) <= MOST and len(known) == len(set(known))
    return tuple(Planned(one.spec, 0 if together else ports.index(one.spec.port)) for one in guesses)


def typed(guesses: Sequence[Guess], runs: Sequence[Run], lane: Lane) -> tuple[Guess, ...]:
    """Return guesses with the types, and the failure thresholds, that the attempts bear out; `lane` says in what circumstances."""
    if len({one.era for one in guesses}) > 1:
        return tuple(guesses)  # They may be different Pods', of which nothing is to be told by each other.
    out: list[Guess] = []
    placed = homes(guesses)
    runs = _theirs(guesses, runs)
    for home in dict.fromkeys(planned.container for planned in placed):
        mine = [one for one, planned in zip(guesses, placed, strict=True) if planned.container == home]
        ports = {one.spec.port for one in mine}
        alone = len(mine) == len(guesses)
        told = _container(mine, runs if alone else [run for run in runs if run.form.port in ports], lane)
        if len(ports) > 1 and any(_misnamed(one.spec) for one in told):
            told = _apart(mine, runs, lane) or told
        out += told
    return tuple(out)


def _apart(guesses: Sequence[Guess], runs: Sequence[Run], lane: Lane) -> tuple[Guess, ...]:
    """Return the guesses with each port as one container's; none where that too has a type that its name does not say.

    What no type of one container explains but against its name, may well be two containers.
    """
    out: list[Guess] = []
    for port in dict.fromkeys(one.spec.port for one in guesses):
        mine = [one for one in guesses if one.spec.port == port]
        told = _container(mine, [run for run in runs if run.form.port == port], lane)
        if any(_misnamed(one.spec) for one in told):
            return ()
        out += told
    return tuple(out)


def doubted(guesses: Sequence[Guess], runs: Sequence[Run], lane: Lane) -> tuple[Guess, ...]:
    """Return guesses with the periods that their attempts have, and without their types where those do not explain the attempts."""
    runs, best = _theirs(guesses, runs), tuple(guesses)
    if len(runs) < FEWEST:
        return best
    scale = Scale(lane, runs[:RUNS], None)
    read = scale.read(homes(best))
    for other in _own_periods(guesses, read):
        again = scale.read(homes(other))
        if again.bare < read.bare:
            best, read = other, again
    told = any(one.spec.type is not ProbeType.UNKNOWN for one in best)
    return _untyped(best) if told and _baffling(read.bare, runs) else best


def _theirs(guesses: Sequence[Guess], runs: Sequence[Run]) -> list[Run]:
    """Return the runs that may be attempts of these probes; what else asks from the same address tells nothing of them."""
    return [run for run in runs if any((fit := fits(run, one.spec)) is not None and fit < FITS_WELL for one in guesses)]


def _baffling(cost: float, runs: Sequence[Run]) -> bool:
    return cost > max(LEAST, BAFFLING * min(len(runs), RUNS))


def _untyped(guesses: Sequence[Guess]) -> tuple[Guess, ...]:
    return tuple(replace(one, spec=replace(one.spec, type=ProbeType.UNKNOWN), reason=BAFFLED) for one in guesses)


def _container(guesses: Sequence[Guess], runs: Sequence[Run], lane: Lane) -> tuple[Guess, ...]:
    if len(guesses) == MOST + 1 and len(fewer := _mute_left_out(guesses)) == 1:
        guesses = fewer[0]  # (no container has four)
    if not 1 <= len(guesses) <= MOST or len(runs) < FEWEST or not _telling(guesses, runs):
        return tuple(_by_name(one, guesses) for one in guesses)
    scale = Scale(lane, runs[:RUNS], None)
    best, found = tuple(guesses), _weighed(scale, guesses)
    near = list(found)
    strained = found[0].read.bare > STRAINED
    if strained or any(step.reading is not None and step.reading.missed for step in found[0].read.steps):
        for other in (
            *_other_periods(guesses, runs),
            *_own_periods(guesses, found[0].read),
            *_common_periods(guesses, runs),
        ):
            again = _weighed(scale, other)
            near += again
            if again[0].cost < found[0].cost:
                best, found = other, again
    for other in _own_timeouts(best, found[0].read):
        again = _weighed(scale, other)
        if again[0].cost <= found[0].cost:
            best, found, near = other, again, again
    for other in _shapes(guesses) if strained else ():
        again = _weighed(scale, other)
        if again[0].cost + ANOTHER * (len(other) - len(best)) < found[0].cost:
            best, found, near = other, again, again
    if _baffling(found[0].read.bare, runs):
        return _without_one(guesses, runs, lane) or _untyped(guesses)
    return _without_crashes(scale, _agreed(best, sorted(near, key=_cost)))


def _without_crashes(scale: Scale, guesses: Sequence[Guess]) -> tuple[Guess, ...]:
    """Return guesses without thresholds below the default after which a container may as well have ended by itself."""
    out = list(guesses)
    for at, one in enumerate(guesses):
        if one.spec.type is not ProbeType.LIVENESS or one.spec.failure_threshold >= DEFAULT_FAILURES:
            continue
        usual = replace(one.spec, failure_threshold=DEFAULT_FAILURES)
        plan = tuple(Planned(other.spec, 0) for other in out)
        other = (*plan[:at], Planned(usual, 0), *plan[at + 1 :])
        if scale.read(other).over(scale.read(plan)) < SURE:
            known = {name: value for name, value in one.inferred.items() if name != "failureThreshold"}
            out[at] = replace(one, spec=usual, inferred=known)
    return tuple(out)


def _agreed(guesses: Sequence[Guess], found: Sequence[_Weighed]) -> tuple[Guess, ...]:
    """Return guesses with the types that all nearly cheapest readings agree on."""
    cheapest = found[0]
    near = [one.plan for one in found if one.cost - cheapest.cost < SURE]
    least = min(one.read.bare for one in found)
    alike = [one.plan for one in found if one.read.bare - least < SURE]
    each = [
        _told(one, [plan[at].spec for plan in near], by_name=len({plan[at].spec.type for plan in alike}) > 1)
        for at, one in enumerate(guesses)
    ]
    told = _distinct(
        [_untyped([one])[0] if _starts_anew(one, cheapest.read, at) else one for at, one in enumerate(each)]
    )
    told = tuple(_nameless(one, guesses) for one in told)
    kinds = [one.spec.type for one in told if one.spec.type is not ProbeType.UNKNOWN]
    if len(kinds) == len(set(kinds)):
        return told
    # Each by itself may be that; the container has but one of each type.
    return tuple(_told(one, [cheapest.plan[at].spec], by_name=True) for at, one in enumerate(guesses))


def _without_one(guesses: Sequence[Guess], runs: Sequence[Run], lane: Lane) -> tuple[Guess, ...]:
    """Return three probes, of which two are explained once the third is taken for another container's; none where no two are.

    That is the one of another port, for one port is one container; or the one that is called after startup, and goes on.
    """
    if len(guesses) < MOST:
        return ()
    best: tuple[float, tuple[Guess, ...]] | None = None
    for at, one in enumerate(guesses):
        pair = (*guesses[:at], *guesses[at + 1 :])
        theirs = [run for run in runs if any(fits(run, other.spec) is not None for other in pair)]
        if len(theirs) == len(runs):
            continue  # It asks nothing of its own.
        found = _weighed(Scale(lane, theirs[:RUNS], None), pair)
        if _baffling(found[0].read.bare, theirs):
            continue
        away = all(other.spec.port != one.spec.port for other in pair) or named_type(one.spec) is ProbeType.STARTUP
        cost = found[0].cost + (0.0 if away else ANOTHER)
        if best is None or cost < best[0]:
            told = _agreed(pair, found)
            third = replace(_untyped([one])[0], reason=THIRD)
            best = cost, (*told[:at], third, *told[at:])
    return best[1] if best is not None else ()


def supposed(guesses: Sequence[Guess], runs: Sequence[Run]) -> tuple[Guess, ...]:
    """Return guesses from a few attempts, to be looked at and thrown away: a stop is not believed yet, a name is."""
    few = len(runs) < FEWEST
    open_ = [
        replace(one, spec=replace(one.spec, type=ProbeType.UNKNOWN))
        if few and one.spec.type is ProbeType.STARTUP
        else one
        for one in guesses
    ]
    return tuple(_by_name(one, open_) for one in open_)


def _starts_anew(one: Guess, read: Read, worker: int) -> bool:
    """Tell whether a supposed startup probe goes on after its success, as if container after container began that nothing killed."""
    if one.spec.type is not ProbeType.STARTUP:
        return False
    killed = sum(step.counted is not None and step.counted.decision is DecisionKind.RESTART for step in read.steps)
    return sum(step.renewed for step in steps_of(read, worker)) > killed + 1


class _Weighed(NamedTuple):
    """The attempts read as one combination of types."""

    cost: float
    """Of the reading, and of what it makes of the names."""
    read: Read
    plan: Plan


def _weighed(scale: Scale, guesses: Sequence[Guess]) -> list[_Weighed]:
    """Read the attempts as each combination of types, the cheapest first; where those that the guess knows fit, no others."""
    known = [ProbeType.UNKNOWN if _misnamed(one.spec) else one.spec.type for one in guesses]
    same = [guesses.index(one) for one in guesses]
    agreeing: list[tuple[ProbeType, ...]] = []
    others: list[tuple[ProbeType, ...]] = []
    for kinds in itertools.permutations(TYPES, len(guesses)):
        pairs = itertools.combinations(zip(same, map(TYPES.index, kinds), strict=True), 2)
        if any(one == other and kind > after for (one, kind), (other, after) in pairs):
            continue  # Which of two that ask the same is called the first makes no difference.
        fits = all(kind in (own, ProbeType.UNKNOWN) for kind, own in zip(known, kinds, strict=True))
        (agreeing if fits else others).append(kinds)
    found = [_fitted(scale, guesses, kinds) for kinds in agreeing]
    if not found or min(read.bare for read, _ in found) > STRAINED:
        found += [_fitted(scale, guesses, kinds) for kinds in others]
    weighed = [
        _Weighed(read.bare + AGAINST_NAME * sum(_misnamed(planned.spec) for planned in plan), read, plan)
        for read, first in found
        for plan in _orders(first, same)
    ]
    return sorted(weighed, key=_cost)


def _cost(one: _Weighed) -> float:
    return one.cost


def _orders(plan: Plan, same: Sequence[int]) -> Iterator[Plan]:
    """Return a plan in each order of its probes that ask the same, its own first: one reading tells of all."""
    for order in itertools.permutations(range(len(plan))):
        if all(same[at] == same[other] for at, other in enumerate(order)):
            yield tuple(plan[at] for at in order)


def _misnamed(spec: ProbeSpec) -> bool:
    """Tell whether the name of what a probe asks for says another type than it is taken for."""
    return named_type(spec) not in (ProbeType.UNKNOWN, spec.type)


def _nameless(one: Guess, guesses: Sequence[Guess]) -> Guess:
    """Return a guess without a type that only names at other ports say: what is asked there may be another container."""
    if one.reason is not NAMED or named_type(one.spec) is not ProbeType.UNKNOWN:
        return one
    if sum(other.spec.port == one.spec.port for other in guesses) > 1:
        return one
    return replace(one, spec=replace(one.spec, type=ProbeType.UNKNOWN), reason=OTHERS)


def _distinct(guesses: Sequence[Guess]) -> tuple[Guess, ...]:
    """Return guesses of which no two that ask the same have one type: a container has one probe of each."""
    out: list[Guess] = []
    for one in guesses:
        taken = any(other.spec == one.spec for other in out) and one.spec.type is not ProbeType.UNKNOWN
        out.append(replace(one, spec=replace(one.spec, type=ProbeType.UNKNOWN), reason=OPEN) if taken else one)
    return tuple(out)


def _other_periods(guesses: Sequence[Guess], runs: Sequence[Run]) -> Iterator[tuple[Guess, ...]]:
    """Return the same probes with the period that one shows while it succeeds: nothing pokes what is Ready, so these are its ticks."""
    for at, one in enumerate(guesses):
        best: list[int] = []
        ticks: list[int] = []
        for run in runs:
            if fits(run, one.spec) is None:
                continue
            good = verdict_of(run, one.spec, None).outcome is Outcome.SUCCESS
            ticks = [*ticks, run.start.ns] if good else []
            best = max(best, ticks, key=len)
        yield from _with_period(guesses, at, ticking_period(best))


def _own_periods(guesses: Sequence[Guess], read: Read) -> Iterator[tuple[Guess, ...]]:
    """Return the same probes with the period that one's attempts have in a reading: two that ask the same were guessed to share one."""
    for at in range(len(guesses)):
        starts = [step.run.start.ns for step in steps_of(read, at)]
        yield from _with_period(guesses, at, observed_period(starts))


def _own_timeouts(guesses: Sequence[Guess], read: Read) -> Iterator[tuple[Guess, ...]]:
    """Return the same probes with the timeouts that each one's attempts show in a reading: those that ask the same were guessed as one."""
    seen = [
        observed_timeout([step.run for step in steps_of(read, at)], one.spec.handler) for at, one in enumerate(guesses)
    ]
    if any(shown not in (None, one.spec.timeout_s) for shown, one in zip(seen, guesses, strict=True)):
        yield tuple(
            one
            if shown is None
            else replace(
                one, spec=replace(one.spec, timeout_s=shown), inferred={**one.inferred, "timeoutSeconds": shown}
            )
            for shown, one in zip(seen, guesses, strict=True)
        )


def _common_periods(guesses: Sequence[Guess], runs: Sequence[Run]) -> Iterator[tuple[Guess, ...]]:
    """Return the same probes with the period that all of one's steps are multiples of.

    A startup probe that succeeds at once runs once a container, and its worker's grid is all that these have in common.
    """
    for at, one in enumerate(guesses):
        starts = [run.start.ns for run in runs if fits(run, one.spec) == 0]  # (what never got to ask may be another's)
        steps = [whole_seconds(after - before) for before, after in itertools.pairwise(starts)]
        whole = [step for step in steps if step is not None]
        if len(starts) > 2 and len(whole) == len(steps):
            yield from _with_period(guesses, at, math.gcd(*whole))


def _with_period(guesses: Sequence[Guess], at: int, period: int | None) -> Iterator[tuple[Guess, ...]]:
    """Return guesses with another period of one, where it is another."""
    one = guesses[at]
    if period is None or period == one.spec.period_s:
        return
    spec, known = replace(one.spec, period_s=period), {**one.inferred, "periodSeconds": period}
    yield *guesses[:at], replace(one, spec=spec, inferred=known), *guesses[at + 1 :]


def _shapes(guesses: Sequence[Guess]) -> list[tuple[Guess, ...]]:
    """Return the same probes with one twice, and without one whose connections may be another's that never got to ask."""
    out: list[tuple[Guess, ...]] = []
    if len(guesses) < MOST:
        out += [(*guesses[: at + 1], *guesses[at:]) for at in range(len(guesses))]
    out += _mute_left_out(guesses)
    if len(guesses) == 1:
        out.append((guesses[0],) * MOST)
    return out


def _mute_left_out(guesses: Sequence[Guess]) -> list[tuple[Guess, ...]]:
    """Return the probes without one whose connections may be another's that never got to ask."""
    asking = {one.spec.port for one in guesses if one.spec.handler is not Handler.TCP_SOCKET}
    return [
        (*guesses[:at], *guesses[at + 1 :])
        for at, one in enumerate(guesses)
        if one.spec.handler is Handler.TCP_SOCKET and one.spec.port in asking
    ]


def _telling(guesses: Sequence[Guess], runs: Sequence[Run]) -> bool:
    """Tell whether something happened that a type, or a threshold, would show in."""
    if any(verdict_of(run, guesses[0].spec, None).outcome is not Outcome.SUCCESS for run in runs):
        return True
    return len(guesses) > 1 and not _on_their_grids(guesses, runs)


def _on_their_grids(guesses: Sequence[Guess], runs: Sequence[Run]) -> bool:
    """Tell whether each probe, told from the others by what it asks, kept to its grid from the beginning to the end: as any type does."""
    starts: list[list[int]] = [[] for _ in guesses]
    for run in runs:
        mine = [at for at, one in enumerate(guesses) if fits(run, one.spec) is not None]
        if len(mine) != 1:
            return False
        starts[mine[0]].append(run.start.ns)
    first, last = runs[0].start.ns, runs[-1].start.ns
    for one, own in zip(guesses, starts, strict=True):
        period = one.spec.period_s * SECOND
        if not own or own[0] - first > period + GRID_NS or last - own[-1] > period + GRID_NS:
            return False
        if any(abs(after - before - period) > GRID_NS for before, after in itertools.pairwise(own)):
            return False
    return True


def _by_name(one: Guess, guesses: Sequence[Guess]) -> Guess:
    """Return a guess of no type with the one that the name of what it asks for says, unless another has it."""
    named = named_type(one.spec)
    taken = [other for other in guesses if other is not one and named in (other.spec.type, named_type(other.spec))]
    if one.spec.type is not ProbeType.UNKNOWN or named is ProbeType.UNKNOWN or taken:
        return one
    return replace(one, spec=replace(one.spec, type=named), reason=NAMED)


def _fitted(scale: Scale, guesses: Sequence[Guess], kinds: Sequence[ProbeType]) -> tuple[Read, Plan]:
    """Read the attempts as those of probes of these types, with the failure thresholds that make them cheapest."""
    plan = tuple(Planned(_as(one, kind), 0) for one, kind in zip(guesses, kinds, strict=True))
    read = scale.read(plan)
    if read.cut:  # it is far from the best
        return read, plan
    for worker, (planned, one) in enumerate(zip(plan, guesses, strict=True)):
        for spec in thresholds(planned.spec, one.spec.failure_threshold, steps_of(read, worker)):
            margin = SHOWN if spec.failure_threshold == one.inferred.get("failureThreshold") else SURE
            if read.bare <= margin:  # nothing can be so much cheaper
                continue
            other = (*plan[:worker], Planned(spec, 0), *plan[worker + 1 :])
            again = scale.read(other)
            if again.bare + margin < read.bare:
                read, plan = again, other
    return read, plan


def thresholds(spec: ProbeSpec, guessed: int, steps: Sequence[Step]) -> Iterator[ProbeSpec]:
    """Return a probe with the other thresholds that its streaks suggest."""
    longest = longest_streak(steps, Outcome.FAILURE)
    never = longest + 1  # (All that no streak reaches read alike.)
    tried = {min(failures, never) for failures in (*range(1, LOW), longest, guessed, never)} if longest else set()
    for failures in sorted(tried - {min(spec.failure_threshold, never)}):
        yield replace(spec, failure_threshold=failures)


def _as(one: Guess, kind: ProbeType) -> ProbeSpec:
    """Return a guess as a probe of this type, with the failure threshold that nearly all have: another has to fit better."""
    failures = max(one.spec.failure_threshold, PATIENT) if kind is ProbeType.STARTUP else DEFAULT_FAILURES
    return replace(one.spec, type=kind, failure_threshold=failures)


def _told(one: Guess, near: Sequence[ProbeSpec], *, by_name: bool) -> Guess:
    """Return a guess with what all of the nearly cheapest readings agree on; `by_name`: they do so for the names' sake."""
    kinds = {spec.type for spec in near}
    named = named_type(one.spec)
    kind, reason = near[0].type, NAMED if by_name else "only with this type do all attempts fit what a kubelet does"
    if one.spec.type in kinds and (one.spec.type is named or named not in kinds):
        kind, reason = one.spec.type, one.reason
    elif len(kinds) > 1:
        kind, reason = (named if named in kinds else ProbeType.UNKNOWN), NAMED
    if kind is ProbeType.UNKNOWN:
        return replace(one, spec=replace(one.spec, type=kind))
    best = next(spec for spec in near if spec.type is kind)
    inferred = dict(one.inferred)
    if kind is not one.spec.type:
        inferred.pop("failureThreshold", None)
    if best.failure_threshold != _as(one, kind).failure_threshold:
        inferred["failureThreshold"] = best.failure_threshold
    return replace(one, spec=best, reason=reason, inferred=inferred)
