"""All workers of one pod together: gating, holds, new containers, and what each worker does next.

Theory of operation. The kubelet runs one worker for each (container, probe type), each with its own ticker (worker.go
run). They touch each other in three places only: a startup probe gates the other two (doProbe: `started`), a liveness
or startup failure kills the container, and whatever makes a pod sync while a container is not Ready pokes its readiness
worker (UpdatePodStatus). A `Pod` value holds the workers and their tickers, is never changed, and answers two
questions: what comes next (`predict`), and what does this attempt change (`apply`). So several readings of the same
attempts can be carried side by side at little cost.

Where a capture begins (docs/design.md, section 6). `begin(fresh=True)` starts from the kubelet's initial values;
`begin(fresh=False)` knows nothing,
and the first streak that reaches its threshold tells the state. Which of the two fits is decided by what follows.

Limitations: back-off is not predicted (a silent worker whose container was told to die is simply expected to be
silent); initialDelaySeconds only lengthens silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from probewatch.model.direct import direct
from probewatch.model.prediction import Manual, Prediction, Reading, Silence
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Trigger
from probewatch.model.units import MS, SECOND

from .change import NOTICED_S, Change, Container, alive
from .turn import FOLLOWED_NS, SUSPICIOUS, YOUNG, Ticker, Turn, ignores_pokes, is_even, turn_of
from .versions import Pokes
from .worker import Counted, Result, Worker, count, fresh

LATE_NS = 100 * MS
"""A start that is later than this after its tick was not of that tick."""

FEW = 5
"""Missed ticks beyond which more of them say nothing more."""
MOST_UNSEEN = 4
"""Failures before the capture that are considered."""

_READINESS = {Result.SUCCESS: Manual.READY, Result.NONE: Manual.UNSEEN}
"""Whether a readiness worker may be poked, by its cached value; else it is possible."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A probe to be watched: its spec and the container it belongs to."""

    spec: ProbeSpec
    container: int


class Applied(NamedTuple):
    """What an attempt changed."""

    pod: Pod
    counted: Counted
    renewed: bool = False
    """It showed that there is a new container."""


@direct
@dataclass(frozen=True, slots=True)
class Pod:
    """The joint state of a pod's workers."""

    plan: tuple[Planned, ...] = field(compare=False)
    """The same for a pod's whole life, so it takes no part in comparing states."""
    workers: tuple[Worker, ...]
    tickers: tuple[Ticker, ...]
    containers: tuple[Container, ...]
    resets: bool | None = True
    """A manual run restarts the period (`versions`).

    None where the kubelet's version is not known: then the grid is not sure either after the pokes at a container's beginning,
    until an attempt shows that it did not move.
    """
    keeps_ready: bool = True
    """Ready survives a kubelet restart (1.35 and newer)."""
    pokes: Pokes = Pokes.WHATEVER_IS_NOT_READY
    """What makes a readiness worker run out of its turn."""
    new_kubelet: bool = False
    """The capture shows this kubelet's start: its results manager began empty."""

    def __hash__(self) -> int:
        """Tell states apart by what a tuple hashes at once: the workers would cost more than comparing them now and then."""
        return hash((self.tickers, self.containers, self.new_kubelet))

    @property
    def at_every_sync(self) -> bool:
        """Whether every sync pokes the readiness workers of containers that are not Ready."""
        return self.pokes is Pokes.WHATEVER_IS_NOT_READY

    @property
    def moves(self) -> bool | None:
        """Whether an attempt that was read as no tick begins a period: where nothing pokes, it is its ticker's first."""
        return True if self.pokes is Pokes.NOTHING else self.resets

    def predict(self) -> list[Prediction]:
        """Say for each worker what it does next."""
        return [self.prediction(index) for index in range(len(self.plan))]

    def prediction(self, index: int) -> Prediction:
        """Say what one worker does next."""
        planned, worker, ticker = self.plan[index], self.workers[index], self.tickers[index]
        spec = planned.spec
        container = self.containers[planned.container]
        kind = worker.type
        silence = Silence.NONE
        if worker.on_hold:
            silence = Silence.ON_HOLD
        elif container.started is False and kind is not ProbeType.STARTUP:
            silence = Silence.GATED
        # What its siblings did: whether the latest attempt at the container ended as if it were gone, when the latest
        # attempt of its readiness probe ended, and whether it has a startup probe.
        latest = echo_ns = thawed_ns = heard_ns = ended_ns = None
        suspicious = refused = has_startup = heralded = False
        slow = 0
        for plan, other, mine in zip(self.plan, self.workers, self.tickers, strict=True):
            if mine.thawed_ns is not None and (thawed_ns is None or mine.thawed_ns > thawed_ns):
                thawed_ns = mine.thawed_ns
            slow = max(slow, mine.slow)
            begun = mine.last_start_ns
            if begun is not None and (heard_ns is None or begun > heard_ns):
                heard_ns = begun
            if plan.container != planned.container:
                continue
            if begun is not None and (latest is None or begun > latest):
                latest, suspicious, refused = begun, mine.suspicious, mine.refused
            if plan.spec.type is ProbeType.READINESS:
                heralded = not plan.spec.initial_delay_s
                busy = mine.busy_until_ns
                if busy is not None and (echo_ns is None or busy > echo_ns):
                    echo_ns = busy
            elif plan.spec.type is ProbeType.STARTUP:
                has_startup = True
            elif begun is not None and not other.on_hold:
                ended_ns = begun + 2 * plan.spec.period_s * SECOND
        return Prediction(
            index,
            spec,
            spec.period_s * SECOND,
            ticker.tick_ns,
            ticker.last_start_ns,
            ticker.busy_until_ns,
            ticker.lingers,
            ticker.redials,
            self.manual(index),
            ticker.poked_ns,
            ticker.stirred_ns,
            silence,
            container.dying,
            suspicious,
            refused,
            ticker.just_ready,
            container.begun,
            has_startup and kind is not ProbeType.STARTUP,
            self.keeps_ready and container.started is not False,
            self._out_of_turn(index),
            None if spec.type is ProbeType.READINESS else echo_ns,
            ticker.runs,
            thawed_ns,
            _delayed(spec, None if ticker.runs else container.since_ns),
            _delayed(spec, container.alive_ns),
            heard_ns,
            latest,
            None if self.resets is None else not self.resets,
            heralded and self.at_every_sync and kind is not ProbeType.READINESS,
            self.resets is None and kind is ProbeType.READINESS and ticker.runs < YOUNG,
            has_startup and self._behind(kind, container),
            self.at_every_sync,
            None if ticker.runs or has_startup else _overdue(spec, container.by_ns, self._grid(index)),
            self.new_kubelet,
            ended_ns,
            self._missing(index),
            container.alive_ns,
            ticker.kept,
            ticker.phase_ns,
            ticker.early_ns,
            slow,
        )

    def _behind(self, kind: ProbeType, container: Container) -> bool:
        """Tell whether a new kubelet would not begin with this probe of a container that has a startup probe.

        From 1.35 on it asks none again that had started. Before, its first sync finds no startup worker yet (SyncPod adds it when
        the status is made), so that what runs counts as started, and any of its probes may come first.
        """
        if self.keeps_ready:
            return (bool(container.started) and not container.dying) is (kind is ProbeType.STARTUP)
        return kind is not ProbeType.STARTUP and not self.at_every_sync

    def _grid(self, index: int) -> int | None:
        """Return a moment on a worker's grid; None where it is not known, or a poke may move it."""
        moved = self.plan[index].spec.type is ProbeType.READINESS and self.pokes is not Pokes.NOTHING
        ticker = self.tickers[index]
        return None if moved or not ticker.sure else ticker.tick_ns

    def _missing(self, index: int) -> int | None:
        """Return when a sibling of a worker's container is due that ran there before; None where none is.

        Where it is overdue the container was not there at that tick, or is another, that its initialDelaySeconds keep it from.
        That matters where readiness, which is not poked, is all that may tell since when.
        """
        if self.at_every_sync or self.plan[index].spec.type is not ProbeType.READINESS:
            return None
        missing: int | None = None
        for other, (plan, ticker) in enumerate(zip(self.plan, self.tickers, strict=True)):
            there = plan.container == self.plan[index].container and other != index
            if not there or self.workers[other].on_hold or not ticker.runs or not ticker.sure:
                continue
            if ticker.tick_ns is None or ticker.busy_until_ns is None or ticker.last_start_ns is None:
                continue
            period_ns = plan.spec.period_s * SECOND
            steps = (ticker.last_start_ns + period_ns // 2 - ticker.tick_ns) // period_ns + 1
            due_ns = max(ticker.tick_ns + steps * period_ns, ticker.busy_until_ns)
            missing = due_ns if missing is None else min(missing, due_ns)
        return missing

    def _out_of_turn(self, index: int) -> bool:
        """Tell whether an attempt of this liveness worker now would be the first of a new container.

        What lets the liveness worker run lets the readiness worker run too, and pokes it at once: so readiness comes
        first, unless it is delayed.
        """
        planned = self.plan[index]
        if self.pokes is Pokes.NOTHING:
            return False
        if planned.spec.type is not ProbeType.LIVENESS or not (
            self.containers[planned.container].begun or self.workers[index].on_hold
        ):
            return False
        for other, plan in enumerate(self.plan):
            if plan.container == planned.container and plan.spec.type is ProbeType.READINESS:
                unheard = (
                    not self.containers[planned.container].stirred
                    if self.workers[index].on_hold
                    else self.tickers[other].runs == 0
                )
                return unheard and not plan.spec.initial_delay_s
        return False

    def apply(
        self,
        reading: Reading,
        start_ns: int,
        end_ns: int,
        outcome: Outcome,
        cause: Cause,
        *,
        lingers: bool,
        free_ns: int | None = None,
        turns: list[Turn] | None = None,
    ) -> Applied:
        """Take one attempt, read in one way; `free_ns` is when its worker could go on, where that was not at its end.

        `turns` remembers what it did to its worker, for other states of the same pod that take the same attempt.
        """
        end_ns = end_ns if free_ns is None else free_ns
        index = reading.worker
        planned = self.plan[index]
        kind = planned.spec.type
        if self.resets is None and kind is ProbeType.READINESS and not reading.reset:
            period_ns = planned.spec.period_s * SECOND
            if ignores_pokes(self.tickers[index], reading, start_ns, period_ns):
                return replace(self, resets=False, keeps_ready=False).apply(
                    reading, start_ns, end_ns, outcome, cause, lingers=lingers, turns=turns
                )
        first = self.containers[planned.container].begun and not self.tickers[index].runs
        at_once = (
            not reading.reset and not first and reading.trigger is not Trigger.START and kind is not ProbeType.STARTUP
        )
        if at_once and self._is_calm(planned.container):
            turn = self.turn(index, reading, (start_ns, end_ns), outcome, cause, lingers=lingers, known=turns)
            if turn.quiet:
                return Applied(self.after(turn, cause), turn.counted)
        change = Change(self)
        if reading.reset == "kubelet":
            change.kubelet_began(start_ns, asks=planned)
        elif reading.reset == "container":
            change.container_began(planned.container, start_ns)
        change.began_by(index, start_ns)
        turn = change.counts(reading, (start_ns, end_ns), outcome, cause, lingers=lingers)
        change.shows(turn, start_ns, cause)
        renewed = change.decided(turn)
        if reading.reset == "herald":
            change.container_began(planned.container, start_ns)
        after = Pod(
            self.plan,
            tuple(change.workers),
            tuple(change.tickers),
            tuple(change.containers),
            self.resets,
            self.keeps_ready,
            self.pokes,
            change.new_kubelet,
        )
        return Applied(after, turn.counted, renewed or reading.reset in ("container", "herald"))

    def turn(
        self,
        index: int,
        reading: Reading,
        times: tuple[int, int],
        outcome: Outcome,
        cause: Cause,
        *,
        lingers: bool,
        known: list[Turn] | None = None,
    ) -> Turn:
        """Return what an attempt from and until these `times` does to its worker, where nothing had happened before it.

        `known` remembers it for other states of the same pod that take the same attempt.
        """
        worker, ticker = self.workers[index], self.tickers[index]
        for one in known or ():
            if one.serves(reading, worker, ticker, self.moves):
                return one
        spec, moves = self.plan[index].spec, self.moves
        found = turn_of(worker, ticker, reading, spec, times, outcome, cause, lingers=lingers, moves=moves)
        if known is not None:
            known.append(found)
        return found

    def after(self, turn: Turn, cause: Cause) -> Pod:
        """Return the pod after an attempt that changed nothing but its own worker, and showed perhaps that its container runs."""
        index = turn.reading.worker
        containers = self.containers
        if alive(cause):
            number = self.plan[index].container
            was = containers[number]
            alive_ns = turn.after.busy_until_ns
            now = Container(was.started, was.begun, was.dying, was.stirred, was.since_ns, alive_ns, was.by_ns)
            containers = (*containers[:number], now, *containers[number + 1 :])
        return Pod(
            self.plan,
            (*self.workers[:index], turn.counted.worker, *self.workers[index + 1 :]),
            (*self.tickers[:index], turn.after, *self.tickers[index + 1 :]),
            containers,
            self.resets,
            self.keeps_ready,
            self.pokes,
            self.new_kubelet,
        )

    def is_steady(self, index: int) -> bool:
        """Tell whether nothing is out of the ordinary about a worker and its container: it ran, and runs at its next tick."""
        planned, ticker = self.plan[index], self.tickers[index]
        return (
            ticker.runs > 0
            and ticker.poked_ns is None
            and not any(one.slow for one in self.tickers)
            and not self.workers[index].on_hold
            and planned.spec.type is not ProbeType.STARTUP
            and self._is_calm(planned.container)
        )

    def misses(self, index: int, now_ns: int) -> bool:
        """Tell whether a sibling of a readiness worker's container missed a tick, so that its own next one may be at a new container."""
        missing_ns = self._missing(index)
        return missing_ns is not None and now_ns > missing_ns + LATE_NS

    def is_even(self, index: int) -> bool:
        """Tell whether a success at a steady worker's next tick would change nothing but its times and its count, as the ones before."""
        worker, spec = self.workers[index], self.plan[index].spec
        return (
            self.at_every_sync  # (else another's silence may give it another meaning: `misses`)
            and worker.cached is Result.SUCCESS
            and worker.last_result is Result.SUCCESS
            and worker.result_run >= spec.success_threshold
            and not worker.doubt
            and is_even(self.tickers[index])
            and self.manual(index) in (Manual.READY, Manual.NEVER)
            and self.is_steady(index)
        )

    def went_on(self, workers: Mapping[int, tuple[Worker, Ticker]], alive_ns: Mapping[int, int]) -> Pod:
        """Return the pod with other states of some workers, whose containers were seen to run until then."""
        return replace(
            self,
            workers=tuple(workers[at][0] if at in workers else one for at, one in enumerate(self.workers)),
            tickers=tuple(workers[at][1] if at in workers else one for at, one in enumerate(self.tickers)),
            containers=tuple(
                one._replace(alive_ns=alive_ns[number]) if number in alive_ns else one
                for number, one in enumerate(self.containers)
            ),
        )

    def _is_calm(self, number: int) -> bool:
        """Tell whether a container runs, and an attempt at it changes nothing of that."""
        container = self.containers[number]
        begin_known = container.since_ns is not None or not container.begun
        return container.started is True and not container.dying and begin_known

    def tells_pokes(self, index: int, late_ns: int) -> bool:
        """Tell whether a poke of a worker would leave it in another state than a tick that came so late."""
        return late_ns > FOLLOWED_NS or (self.moves is False and self.plan[index].spec.type is ProbeType.READINESS)

    def manual(self, index: int) -> Manual:
        """Say whether a worker may be poked."""
        worker = self.workers[index]
        if worker.type is ProbeType.READINESS:
            if self.pokes is Pokes.NOTHING:
                return Manual.NEVER
            if self.pokes is Pokes.NEW_CONTAINERS:
                return Manual.READY if worker.cached is Result.SUCCESS else Manual.ANEW
            return _READINESS.get(worker.cached, Manual.POSSIBLE)
        return Manual.UNSEEN if worker.type is ProbeType.UNKNOWN else Manual.NEVER

    def unseen(self, index: int, begin_ns: int, now_ns: int) -> int:
        """Return how many ticks a worker would have missed that makes its first attempt now, though it ran when the capture began.

        At most FEW. Its grid is not known, and a start of its kubelet or its container since would explain any silence; so
        does initialDelaySeconds, of a container that was younger than that when the capture began.
        """
        ticker, container = self.tickers[index], self.containers[self.plan[index].container]
        spec = self.plan[index].spec
        if ticker.last_start_ns is not None or self.new_kubelet or container.begun or container.dying:
            return 0
        if container.started is not True or spec.type is ProbeType.STARTUP:
            return 0
        silent_ns, period_ns = now_ns - begin_ns, spec.period_s * SECOND
        if spec.initial_delay_s and silent_ns < spec.initial_delay_s * SECOND + period_ns:
            return 0
        return min(silent_ns // period_ns, FEW)

    def guesses(self, index: int, outcome: Outcome) -> list[Pod]:
        """Return what may have gone before a worker's first attempt in mid-life: it was fine, and perhaps had begun to fail.

        Failures before the capture are not in it, but their consequences are: the decision comes earlier than a full
        streak.
        """
        worker, spec = self.workers[index], self.plan[index].spec
        if worker.cached is not Result.NONE or self.tickers[index].last_start_ns is not None or self.new_kubelet:
            return []  # (A new kubelet has counted nothing yet.)
        if worker.type not in (ProbeType.READINESS, ProbeType.LIVENESS):
            return []
        fine = replace(worker, cached=Result.SUCCESS)
        before: list[Worker] = []
        if outcome is Outcome.FAILURE:
            before = [
                replace(fine, last_result=Result.FAILURE, result_run=run)
                for run in range(min(spec.failure_threshold, MOST_UNSEEN + 1))
            ]
        elif outcome is Outcome.SUCCESS and spec.success_threshold > 1:
            before = [replace(fine, result_run=spec.success_threshold)]
        return [replace(self, workers=(*self.workers[:index], one, *self.workers[index + 1 :])) for one in before]

    def failed_before(self, index: int) -> bool:
        """Tell whether another worker than this one counts failures that came before its first attempt in the capture."""
        return any(
            worker.last_result is Result.FAILURE and 0 < ticker.runs < YOUNG and worker.result_run > ticker.runs
            for other, (worker, ticker) in enumerate(zip(self.workers, self.tickers, strict=True))
            if other != index
        )

    def redial(self, reading: Reading, before: Worker, end_ns: int, outcome: Outcome, cause: Cause) -> Applied:
        """Take one more dial of the attempt in flight: it is counted anew, from the memory before it, by the last dial."""
        result = count(before, outcome, self.plan[reading.worker].spec)
        workers, tickers = list(self.workers), list(self.tickers)
        workers[reading.worker] = result.worker
        tickers[reading.worker] = tickers[reading.worker]._replace(
            busy_until_ns=end_ns,
            redials=cause is Cause.GRPC_CONNECT,
            suspicious=cause in SUSPICIOUS,
            refused=cause is Cause.REFUSED,
            just_ready=result.decision is DecisionKind.READY,
            poked_ns=end_ns if result.decision is DecisionKind.NOT_READY and self.at_every_sync else None,
        )
        return Applied(replace(self, workers=tuple(workers), tickers=tuple(tickers)), result)

    def has_startup(self, container: int) -> bool:
        """Tell whether a container has a startup probe."""
        return any(p.container == container and p.spec.type is ProbeType.STARTUP for p in self.plan)


def _delayed(spec: ProbeSpec, since_ns: int | None) -> int | None:
    """Return before when a probe cannot run in a container that began after this; None where nothing holds it back."""
    if since_ns is None or not spec.initial_delay_s:
        return None
    return since_ns + (spec.initial_delay_s - 1) * SECOND


def _overdue(spec: ProbeSpec, by_ns: int | None, grid_ns: int | None) -> int | None:
    """Return after when the first attempt at a container that had begun by then is late; None where that is not known.

    It comes at the first tick after its delay, where its grid is known.
    """
    if by_ns is None:
        return None
    if grid_ns is not None:
        period_ns = spec.period_s * SECOND
        from_ns = by_ns + spec.initial_delay_s * SECOND
        return grid_ns - (grid_ns - from_ns) // period_ns * period_ns + LATE_NS
    return by_ns + (spec.initial_delay_s + spec.period_s + NOTICED_S) * SECOND


def begin(
    plan: Sequence[Planned],
    *,
    fresh_start: bool,
    resets: bool | None = True,
    keeps_ready: bool = True,
    pokes: Pokes = Pokes.WHATEVER_IS_NOT_READY,
    new_kubelet: bool = False,
    since_ns: int | None = None,
) -> Pod:
    """Start watching a pod, its containers seen from their beginning (after `since_ns`, where that is known) or in mid-life."""
    count_containers = max((p.container for p in plan), default=-1) + 1
    gated = [any(p.container == c and p.spec.type is ProbeType.STARTUP for p in plan) for c in range(count_containers)]
    containers = tuple(
        Container(started=(not gated[c]) if fresh_start or not gated[c] else None, begun=fresh_start, since_ns=since_ns)
        for c in range(count_containers)
    )
    workers = tuple(fresh(p.spec.type) if fresh_start else Worker(p.spec.type) for p in plan)
    return Pod(tuple(plan), workers, tuple(Ticker() for _ in plan), containers, resets, keeps_ready, pokes, new_kubelet)
