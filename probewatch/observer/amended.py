"""Where a declared plan is not what runs here: the probes with which the attempts read as a kubelet's, and words for it.

A manifest that is stale, partial, or another one's, would have containers begin whenever a probe acts as another number demands.
So declared numbers are believed as long as the attempts can be a kubelet's with them.

Theory of operation. Where a lane reads badly as declared, its probes are guessed from the attempts as without a spec, and each
guess is put beside the declared probe that asks the same: what asks the same more often than is declared, or what no declared probe
asks, is one more probe of that container, and a declared one that nobody sends is left out. From there the numbers that fit best are
looked for, as `verify` looks for them (`weigh`), with the timeouts that show. At last each number, type and probe is set back to what
is declared wherever the attempts allow it, or those of them that nothing is missing from: what is left differs because the packets
exclude what was declared. That a readiness probe never loses Ready is not said for one poke that did not come.

Limitations: the first `weigh.WEIGHED` runs tell. Other paths of a probe are one more probe and one that is not sent; `verify` puts
the two together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome, Trigger
from probewatch.model.units import SECOND
from probewatch.probes.forms import Ask
from probewatch.probes.inference import Guess, named_type
from probewatch.probes.patience import timeout_measure
from probewatch.probes.runs import Run, fits

from .asking import asks
from .failing import after_failing, begins_failing
from .histories import Step
from .lane import Lane
from .tying import FITS_WELL, ask_alike
from .typed import ANOTHER, FEWEST, MOST, STRAINED
from .weigh import SURE, TYPES, Plan, Read, Scale, best_plan, longest_streak, steps_of

AMENDED: Final = "this spec is not the one that runs here"
INSTEAD: Final = f"{AMENDED}; decisions are replayed with"
WITHOUT: Final = f"{AMENDED}; decisions are replayed without it"
WORDS: Final = {
    ProbeType.UNKNOWN: "it acts after {} in a row",
    ProbeType.READINESS: "it loses Ready after {} in a row",
    ProbeType.LIVENESS: "its container is restarted after {} in a row",
    ProbeType.STARTUP: "its container is restarted after {} in a row",
}
SAVES: Final = 8.0
"""What another number must save: twice what `verify` excludes a declared one for, since all decisions are replayed with it."""
PLAIN: Final = 6.0
"""A lane that costs no more, ..."""
EACH: Final = 0.06
"""... with this for each run, is read as declared: nothing in it is hard to explain."""
BESIDE: Final = "it asks what a declared probe asks, beside that one"
FITS: Final = "only with this type do all attempts fit what a kubelet does"
BAD: Final = (DecisionKind.NOT_READY, DecisionKind.RESTART)
NUMBERS: Final = ("period_s", "failure_threshold", "initial_delay_s")


@dataclass(frozen=True, slots=True)
class Worker:
    """A probe of a lane: as it runs, and as it was declared and guessed."""

    planned: Planned
    said: Planned | None = None
    """None where nobody declared it."""
    guess: Guess | None = None


Workers = tuple[Worker, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """What runs where something else was declared."""

    plan: Plan
    """The declared probes that are sent, then those beside them."""
    said: Plan
    """The same as they were declared."""
    beside: tuple[Guess, ...]
    """What was guessed of the last ones, which nobody declared."""
    notes: tuple[str, ...]
    """In what the declared ones differ."""
    differs: bool
    """It is not the declared ones."""
    foreign: bool
    """Something is asked, and nothing of it is declared."""


def reads_plainly(cost: float, runs: int) -> bool:
    """Tell whether a lane's readings leave no reason to doubt what is declared, or are too few for it."""
    return runs < FEWEST or cost <= PLAIN + EACH * runs


def running(
    lane: Lane,
    declared: Plan,
    pod: PodSpec,
    runs: Sequence[Run],
    guessed: Sequence[Callable[[], Sequence[Guess]]],
    *,
    alone: bool,
    seen_until_ns: int,
    begun: bool,
    holes: Sequence[int] = (),
) -> Running:
    """Return the probes with which all reads far better than as declared; the declared ones where nothing does.

    Args:
        lane: in what circumstances.
        declared: the probes of its Pod.
        pod: that Pod.
        runs: all that its kubelet sent there, in the order of their starts.
        guessed: ways to guess its probes from them, the cheaper ones first.
        alone: no other Pod's probes are sent to this address.
        seen_until_ns: where the capture ends, or what was seen by now.
        begun: signs show that its containers begin there.
        holes: starts of the runs behind what the capture does not hold.
    """
    search = _Search(lane, declared, pod, runs, seen_until_ns, holes)
    search.begun = begun
    for guesses in guessed:
        if search.read.bare <= STRAINED:
            break
        search.take(guesses(), alone=alone)
    search.fit()
    return search.result()


class _Search:
    """The probes found so far, and how the runs read as theirs."""

    def __init__(
        self,
        lane: Lane,
        declared: Plan,
        pod: PodSpec,
        runs: Sequence[Run],
        seen_until_ns: int,
        holes: Sequence[int],
    ) -> None:
        self.lane, self.declared, self.pod, self.runs = lane, declared, pod, runs
        self.scale, self.seen_until_ns, self.begun = Scale(lane, runs, None, holes), seen_until_ns, False
        self.workers: Workers = tuple(Worker(one, one) for one in declared)

    @property
    def read(self) -> Read:
        """How the runs read."""
        return self._read(self.workers)

    def _read(self, workers: Workers) -> Read:
        return self.scale.read(_plan(workers))

    def _steps(self, one: Worker) -> list[Step]:
        return [step for step in steps_of(self.read, self.workers.index(one)) if not step.run.implied]

    def take(self, guesses: Sequence[Guess], *, alone: bool) -> None:
        """Take what was guessed in place of what is declared, where all reads far better so."""
        found = self._paired(guesses, alone=alone)
        more = sum(one.said is None for one in found)
        if found and self.read.over(self._read(found)) >= SAVES + ANOTHER * more:
            self.workers = found

    def fit(self) -> None:
        """Look for the numbers that fit best, and go back to what is declared as far as the attempts allow."""
        self._without_unsent()
        self._with_timeouts()
        undelayed = tuple(_with(one, initial_delay_s=0) for one in self.workers)
        if self.read.over(self._read(undelayed)) >= SAVES:
            self.workers = undelayed
        best = best_plan(self.scale, _plan(self.workers), self.pod)
        # (A successThreshold shows too seldom to be held against the declared one.)
        self.workers = tuple(
            _with(replace(one, planned=found), success_threshold=one.planned.spec.success_threshold)
            if one.said is not None
            else replace(one, planned=found)
            for one, found in zip(self.workers, best, strict=True)
        )
        self._without_needless()
        self._with_types()
        self._as_declared()

    # What is put beside what.

    def _paired(self, guesses: Sequence[Guess], *, alone: bool) -> Workers:
        """Return the declared probes with the numbers guessed of those that ask the same, and what else is asked."""
        out: list[Worker] = []
        left = list(range(len(guesses)))
        for group in _alike(self.declared):
            mine = [at for at in left if ask_alike(guesses[at].spec, group[0].spec)]
            left = [at for at in left if at not in mine]
            pairs = _closest(group, [guesses[at] for at in mine])
            for said, place in pairs:
                out.append(Worker(_as_guessed(said, guesses[mine[place]]), said, guesses[mine[place]]))
            for place in sorted({*range(len(mine))} - {place for _, place in pairs}):
                one = replace(guesses[mine[place]], reason=BESIDE)
                out.append(Worker(Planned(one.spec, group[0].container), None, one))
        for at in sorted(left, key=lambda at: -self._times(guesses[at])) if alone else ():
            container = self._home(guesses[at]) if self._is_foreign(guesses[at]) else None
            if container is not None and sum(one.planned.container == container for one in out) < MOST:
                out.append(Worker(Planned(guesses[at].spec, container), None, guesses[at]))
        # (Where something else is asked at its port, what never got to ask may be that one's.)
        ports = {one.planned.spec.port for one in out if one.said is None}
        seen = {id(one.said) for one in out}
        out += [Worker(one, one) for one in self.declared if id(one) not in seen and one.spec.port not in ports]
        return self._in_order(out)

    def _in_order(self, workers: Sequence[Worker]) -> Workers:
        """Return the declared ones as they are declared, and then the others."""
        places = {id(one): at for at, one in enumerate(self.declared)}
        return tuple(sorted(workers, key=lambda one: places.get(id(one.said), len(places))))

    def _is_foreign(self, guess: Guess) -> bool:
        """Tell whether what was guessed says that a kubelet asks it, and no declared probe asks that: a bare connection is anybody's."""
        mine = [run for run in self.runs if _fits(run, guess.spec)]
        return any(asks(run) and not any(_fits(run, one.spec) for one in self.declared) for run in mine)

    def _times(self, guess: Guess) -> int:
        return sum(_fits(run, guess.spec) for run in self.runs)

    def _home(self, guess: Guess) -> int | None:
        """Return the container that what was guessed is asked of: the one of its port, or the only one."""
        port = guess.spec.port
        homes = {one.container for one in self.declared if one.spec.port == port}
        homes = homes or {at for at, one in enumerate(self.pod.containers) if any(port == p for _, p in one.ports)}
        if not homes and len(self.pod.containers) == 1:
            return 0
        return homes.pop() if len(homes) == 1 else None

    # What of it runs.

    def _without_unsent(self) -> None:
        """Leave out declared probes that nobody sends, where it is hard to explain that they are silent."""
        for one in self.workers:
            fewer = tuple(other for other in self.workers if other is not one)
            silent = one.said is not None and not self._steps(one)
            if silent and fewer and self.read.over(self._read(fewer)) >= SAVES:
                self.workers = fewer

    def _without_needless(self) -> None:
        """Leave out what was guessed beside the declared ones and explains little."""
        for one in self.workers:
            fewer = tuple(other for other in self.workers if other is not one)
            if one.said is None and fewer and self._read(fewer).over(self.read) < ANOTHER:
                self.workers = fewer

    def _with_timeouts(self) -> None:
        """Give declared probes the timeouts that show, where what is declared does not fit."""
        # (Whose each attempt is shows best where no timeout, declared too long, keeps a worker busy when it no longer was.)
        http = [one.planned.spec.handler is not Handler.GRPC for one in self.workers]
        impatient = [_with(one, timeout_s=1) if plain else one for one, plain in zip(self.workers, http, strict=True)]
        read = self._read(tuple(impatient))
        out = []
        for at, one in enumerate(self.workers):
            spec = one.planned.spec
            mine = [step.run for step in steps_of(read, at) if not step.run.implied]
            alone = sum(other.planned.spec.port == spec.port for other in self.workers) == 1
            shown = timeout_measure(mine, spec.handler, self.seen_until_ns, alone=alone)
            seconds = max(shown.low or 1, min(spec.timeout_s, shown.high or spec.timeout_s))
            out.append(_with(one, timeout_s=seconds))
        self.workers = tuple(out)

    def _with_types(self) -> None:
        """Tell the types of what nobody declared by how the attempts read as each of them."""
        beside = [at for at, one in enumerate(self.workers) if one.said is None]
        choices = [[kind for kind in TYPES if kind not in self._taken(at)] for at in beside]
        if not beside or not all(choices):
            return
        tried: dict[tuple[ProbeType, ...], Read] = {}
        for kinds in itertools.product(*choices):
            homes = [(self.workers[at].planned.container, kind) for at, kind in zip(beside, kinds, strict=True)]
            if len(homes) == len(set(homes)):
                tried[kinds] = self._read(self._of_types(beside, kinds))
        best = min(tried, key=lambda kinds: tried[kinds].bare, default=None)
        if best is None:
            return
        near = [kinds for kinds, read in tried.items() if read.over(tried[best]) < SURE]
        told = []
        for place, at in enumerate(beside):
            fitting = {one[place] for one in near}
            named = named_type(self.workers[at].planned.spec)
            told.append(best[place] if len(fitting) == 1 else named if named in fitting else ProbeType.UNKNOWN)
        self.workers = self._of_types(beside, told)

    def _taken(self, at: int) -> set[ProbeType]:
        """Return the types that a container's declared probes have, as far as those are sent, or send nothing that shows."""
        container = self.workers[at].planned.container
        sent = {
            one.planned.spec.type
            for one in self.workers
            if one.said is not None and one.planned.container == container and self._steps(one)
        }
        here = [one.spec for one in self.declared]
        return sent | {one.type for one in self.pod.containers[container].probes if one not in here}

    def _of_types(self, places: Sequence[int], kinds: Sequence[ProbeType]) -> Workers:
        out = list(self.workers)
        for at, kind in zip(places, kinds, strict=True):
            out[at] = _with(out[at], type=kind)
        return tuple(out)

    # What of it is as declared.

    def _as_declared(self) -> None:
        """Go back to what is declared wherever that costs little, and leave types open that others fit as well."""
        floor = self.read
        said = [at for at, one in enumerate(self.workers) if one.said is not None]
        other = [at for at in said if self.workers[at].planned.spec.type is not _declared_type(self.workers[at])]
        self._keep_to(self._of_types(other, [_declared_type(self.workers[at]) for at in other]), floor)
        for at in [at for at in other if self.workers[at].planned.spec.type is not _declared_type(self.workers[at])]:
            kinds = [kind for kind in TYPES if kind not in self._taken_by_others(at)]
            near = [kind for kind in kinds if self._read(self._of_types([at], [kind])).over(floor) < SURE]
            if len(near) > 1:
                self.workers = self._of_types([at], [ProbeType.UNKNOWN])
        lesser = self._lesser()
        for at in said:
            for field in NUMBERS:
                one = self.workers[at]
                assert one.said is not None
                same = (
                    *self.workers[:at],
                    _with(one, **{field: getattr(one.said.spec, field)}),
                    *self.workers[at + 1 :],
                )
                if same == self.workers:
                    continue
                tell = [scale.read(_plan(same)).over(scale.read(_plan(self.workers))) for scale in lesser]
                if min([*tell, SAVES]) < SAVES:
                    self.workers = same  # (only what is missing, or came before, speaks against it)
                mute = (
                    one.planned.spec.type is ProbeType.READINESS and field == "failure_threshold" and not self._acts(at)
                )
                self._keep_to(same, floor, 2 * SAVES if mute else SAVES)
        for at in said:
            self._beyond(at)
        ports = {one.planned.spec.port for one in self.workers if one.said is None}
        for planned in self._unsent():
            if planned.spec.port not in ports:
                self._keep_to(self._in_order([*self.workers, Worker(planned, planned)]), floor)

    def _keep_to(self, workers: Workers, floor: Read, margin: float = SAVES) -> None:
        if workers != self.workers and self._read(workers).over(floor) < margin:
            self.workers = workers

    def _beyond(self, at: int) -> None:
        """Put a threshold that is not the declared one, and after which nothing follows, above all failures that are seen."""
        one = self.workers[at]
        longest = longest_streak(steps_of(self.read, at), Outcome.FAILURE)
        seen = one.planned.spec.failure_threshold
        if one.said is not None and seen != one.said.spec.failure_threshold and seen <= longest and not self._acts(at):
            more = _with(one, failure_threshold=longest + 1)
            self._keep_to((*self.workers[:at], more, *self.workers[at + 1 :]), self.read)

    def _acts(self, at: int) -> bool:
        """Tell whether something follows what failures of a probe decide."""
        return acts(self.read, at, self.seen_until_ns)

    def _lesser(self) -> list[Scale]:
        """Return scales that leave out what attempts that are missing, or failures before the capture, may have done."""
        plan, out = _plan(self.workers), []
        apart = self.scale.apart(plan)
        if apart is not None:
            out.append(apart)
        if not self.begun and begins_failing(self.read.steps):
            rest = after_failing(self.read.steps, self.runs)
            if rest:
                out.append(Scale(self.lane.again(plan, from_ns=rest[0].start.ns), rest, None))
        return out

    def _taken_by_others(self, at: int) -> set[ProbeType]:
        mine = self.workers[at].planned
        return {
            one.planned.spec.type
            for place, one in enumerate(self.workers)
            if place != at and one.planned.container == mine.container
        }

    def _unsent(self) -> list[Planned]:
        """Return the declared probes that are left out."""
        kept = {id(one.said) for one in self.workers}
        return [one for one in self.declared if id(one) not in kept]

    def result(self) -> Running:
        """Return what was found."""
        workers, read = self.workers, self.read
        notes = [note for at, one in enumerate(workers) for note in _differences(one, read, at, self.seen_until_ns)]
        ports = {one.planned.spec.port for one in workers if one.said is None}
        notes += [
            f"{one.spec.type}: declared, but nobody sends it: {WITHOUT}"
            for one in self._unsent()
            if one.spec.port not in ports
        ]
        return Running(
            tuple(one.planned for one in workers),
            tuple(one.said or one.planned for one in workers),
            tuple(_told(one.guess, one.planned.spec) for one in workers if one.said is None and one.guess is not None),
            tuple(notes),
            _plan(workers) != self.declared,
            any(map(_is_seen, self.runs))
            and not any(_fits(run, one.spec) for run in self.runs for one in self.declared),
        )


def _plan(workers: Workers) -> Plan:
    return tuple(one.planned for one in workers)


def _with(one: Worker, **fields: int | ProbeType) -> Worker:
    spec = replace(one.planned.spec, **fields)  # type: ignore[arg-type]
    return one if spec == one.planned.spec else replace(one, planned=Planned(spec, one.planned.container))


def _fits(run: Run, spec: ProbeSpec) -> bool:
    """Tell whether a run that is seen to ask asks what a probe does."""
    fit = fits(run, spec) if _is_seen(run) else None
    return fit is not None and fit < FITS_WELL


def _is_seen(run: Run) -> bool:
    """Tell whether anything of what a run asks is seen."""
    return run.unresolved is None and run.form.ask not in (Ask.NOTHING, Ask.UNSEEN)


def _declared_type(one: Worker) -> ProbeType:
    assert one.said is not None
    return one.said.spec.type


def _alike(plan: Plan) -> list[list[Planned]]:
    """Return the probes of a plan, those of one container that ask the same together."""
    groups: list[list[Planned]] = []
    for planned in plan:
        mine = next((group for group in groups if ask_alike(group[0].spec, planned.spec)), None)
        if mine is None:
            groups.append([planned])
        else:
            mine.append(planned)
    return groups


def _closest(group: Sequence[Planned], guesses: Sequence[Guess]) -> list[tuple[Planned, int]]:
    """Return which of these guesses is most like each of these declared probes, as far as there are enough of both."""
    fewer = min(len(group), len(guesses))
    ways = [
        list(zip(said, places, strict=True))
        for said in itertools.permutations(group, fewer)
        for places in itertools.combinations(range(len(guesses)), fewer)
    ]

    def unlike(way: Sequence[tuple[Planned, int]]) -> int:
        pairs = [(said.spec, guesses[at].spec) for said, at in way]
        other = sum(2 for said, seen in pairs if seen.type not in (said.type, ProbeType.UNKNOWN))
        return other + sum(said.period_s != seen.period_s for said, seen in pairs)

    return min(ways, key=unlike)


def _as_guessed(said: Planned, guess: Guess) -> Planned:
    """Return a declared probe with the numbers that show."""
    spec = said.spec
    if "periodSeconds" in guess.inferred:
        spec = replace(spec, period_s=guess.spec.period_s)
    return Planned(spec, said.container)


def _told(guess: Guess, spec: ProbeSpec) -> Guess:
    """Return a guess as it was found to run."""
    reason = guess.reason
    if spec.type is not guess.spec.type and spec.type is not ProbeType.UNKNOWN:
        reason = FITS
    inferred = dict(guess.inferred)
    if spec.period_s != guess.spec.period_s:
        inferred["periodSeconds"] = spec.period_s
    if spec.failure_threshold != guess.spec.failure_threshold:
        inferred["failureThreshold"] = spec.failure_threshold
    return replace(guess, spec=spec, reason=reason, inferred=inferred)


def _differences(one: Worker, read: Read, worker: int, until_ns: int) -> list[str]:
    """Say in what a probe that runs differs from the declared one."""
    if one.said is None:
        return []
    said, seen = one.said.spec, one.planned.spec
    out = []
    if said.type is not seen.type:
        how = f"fit a {seen.type} probe" if seen.type is not ProbeType.UNKNOWN else "may be another type's"
        what = "that" if seen.type is not ProbeType.UNKNOWN else "no type"
        out.append(f"{said.type}: declared so, but its attempts fit no such probe and {how}: {INSTEAD} {what}")
    if said.period_s != seen.period_s:
        out.append(
            f"{said.type}: declared every {said.period_s} s, but probed every {seen.period_s} s: {INSTEAD} {seen.period_s} s"
        )
    if said.timeout_s != seen.timeout_s:
        out.append(
            f"{said.type}: declared timeoutSeconds {said.timeout_s}, but its attempts show {seen.timeout_s} s: "
            f"{INSTEAD} {seen.timeout_s} s"
        )
    if said.initial_delay_s != seen.initial_delay_s:
        out.append(
            f"{said.type}: declared initialDelaySeconds {said.initial_delay_s}, but no container waits so long: {WITHOUT}"
        )
    if said.failure_threshold != seen.failure_threshold:
        out.append(
            f"{said.type}: declared failureThreshold {said.failure_threshold}, but {_consequence(seen, read, worker, until_ns)}"
        )
    return out


def acts(read: Read, worker: int, until_ns: int) -> bool:
    """Tell whether something follows what failures of a worker decide: a poke, a new container, or silence `until_ns`."""
    steps = steps_of(read, worker)
    begun = [step.run.start.ns for step in read.steps if step.renewed and _beside(step, worker)]
    for at, step in enumerate(steps):
        if step.counted is None or step.counted.decision not in BAD:
            continue
        then = steps[at + 1] if at + 1 < len(steps) else None
        next_ns = until_ns if then is None else then.run.start.ns
        if step.counted.decision is DecisionKind.RESTART:
            period_ns = step.before.plan[worker].spec.period_s * SECOND
            if next_ns - step.run.start.ns >= 2 * period_ns or any(step.run.start.ns < ns <= next_ns for ns in begun):
                return True
        elif then is not None and then.reading is not None and then.reading.trigger is Trigger.MANUAL:
            return True
    return False


def _beside(step: Step, worker: int) -> bool:
    """Tell whether a step is of the same container as a worker."""
    plan = step.before.plan
    return step.reading is not None and plan[step.reading.worker].container == plan[worker].container


def _consequence(seen: ProbeSpec, read: Read, worker: int, until_ns: int) -> str:
    """Say after how many failures something follows, or that nothing follows so many."""
    number = seen.failure_threshold
    if acts(read, worker, until_ns):
        what = WORDS[seen.type].format("1 failure" if number == 1 else f"{number} failures")
        return f"{what}: {INSTEAD} {number}"
    longest = longest_streak(steps_of(read, worker), Outcome.FAILURE)
    many = "1 failure has" if longest == 1 else f"{longest} failures in a row have"
    return f"{many} no consequence: {INSTEAD} {number}"
