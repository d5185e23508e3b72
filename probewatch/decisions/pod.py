"""All workers of one pod together: gating, holds, new containers, and what each worker does next.

Theory of operation. The kubelet runs one worker for each (container, probe type), each with its own ticker (worker.go
run). They touch each other in three places only: a startup probe gates the other two (doProbe: `started`), a liveness
or startup failure kills the container, and whatever makes a pod sync while a container is not Ready pokes its readiness
worker (UpdatePodStatus). A `Pod` value holds the workers and their tickers, is never changed, and answers two
questions: what comes next (`predict`), and what does this attempt change (`apply`). So several readings of the same
attempts can be carried side by side at little cost.

Where a capture begins (DESIGN section 6). `begin(fresh=True)` starts from the kubelet's initial values;
`begin(fresh=False)` knows nothing,
and the first streak that reaches its threshold tells the state. Which of the two fits is decided by what follows.

Limitations: back-off is not predicted (a silent worker whose container was told to die is simply expected to be
silent); initialDelaySeconds only lengthens silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from probewatch.model.direct import direct
from probewatch.model.prediction import Manual, Prediction, Reading, Silence
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Schedule, Trigger

from .worker import Counted, Result, Worker, count, fresh, new_container, new_kubelet

LINGER_NS = 1_100_000_000
"""SO_LINGER of the prober's dialer is 1 s (dialer_others.go): a close whose FIN is not acknowledged holds the worker that long."""

EARLY_NS = 6_000_000
"""A tick may look early by this: the one that set the grid was itself late."""
ON_GRID_NS = 100_000_000
"""What is later than this after its tick is not on that grid."""
SAME_SYNC_NS = 50_000_000
"""A poke this soon after a decision is of the sync that the decision made."""
GRID_EARLY_NS = 50_000_000
"""The same for a worker that was not busy."""
YOUNG = 3
"""A worker that ran this often since its container began is no beginner any more."""
NOTICED_S = 2
"""Seconds until the start of a container is noticed: PLEG's relist is a second (kubelet.go), and a pod sync follows."""
RESTART_GRACE_NS = 10_000_000_000
"""How much older than its kubelet a container must be for its state to be kept (worker.go kubeletRestartGracePeriod, since 1.35)."""
FEW = 5
"""Missed ticks beyond which more of them say nothing more."""
MOST_UNSEEN = 4
"""Failures before the capture that are considered."""

_READINESS = {Result.SUCCESS: Manual.READY, Result.NONE: Manual.UNSEEN}
"""Whether a readiness worker may be poked, by its cached value; else it is possible."""

SUSPICIOUS = frozenset(
    {
        Cause.REFUSED,
        Cause.NO_SYN_ANSWER,
        Cause.UNREACHABLE,
        Cause.NEIGHBOUR_UNRESOLVED,
        Cause.RESET_BEFORE_ANSWER,
        Cause.CLOSED_BEFORE_ANSWER,
        Cause.GRPC_CONNECT,
    }
)
"""Ends of an attempt that a container which is gone would also cause."""


UNCONNECTED = frozenset({Cause.NO_SYN_ANSWER, Cause.NEIGHBOUR_UNRESOLVED})
"""Ends of an attempt that had no connection to close: nothing lingers."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A probe to be watched: its spec and the container it belongs to."""

    spec: ProbeSpec
    container: int


class Ticker(NamedTuple):
    """Timing of one worker."""

    tick_ns: int | None = None
    sure: bool = False
    """That moment is on the grid for certain; a first attempt in mid-life may have been a stored tick, which is not."""
    last_start_ns: int | None = None
    busy_until_ns: int | None = None
    lingers: bool = False
    redials: bool = False
    poked_ns: int | None = None
    stirred_ns: int | None = None
    """A decision about another probe of the pod made a pod sync, which pokes what is not Ready."""
    suspicious: bool = False
    refused: bool = False
    runs: int = 0
    """Attempts since its container began, counted up to YOUNG."""
    thawed_ns: int | None = None
    """When the kubelet ran again that had noticed the end of the last attempt too late."""
    just_ready: bool = False
    """The last attempt made it Ready: a poke that came while it ran is still waiting (manualTriggerCh holds one)."""


class Container(NamedTuple):
    """One container of the pod."""

    started: bool | None
    """`started` of its status: True without a startup probe; None where the capture does not tell."""
    begun: bool
    """The capture shows its beginning."""
    dying: bool = False
    """It was told to die, and nothing has shown its successor yet."""
    stirred: bool = False
    """Its readiness probe was poked since, and not by the sync that killed it: the successor may run."""
    since_ns: int | None = None
    """It began after this; None where the capture does not tell."""
    alive_ns: int | None = None
    """When it, or what stood before it, was last known to run: at an answer, or when it was told to die."""


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
    """A manual run restarts the period (Ticker.Reset: not in 1.30.1, in 1.32.1; 1.31 is taken for the newer).

    None where the kubelet's version is not known: then the grid is not sure either after the pokes at a container's beginning.
    """
    keeps_ready: bool = True
    """Ready survives a kubelet restart (1.35 and newer)."""
    new_kubelet: bool = False
    """The capture shows this kubelet's start: its results manager began empty."""

    def __hash__(self) -> int:
        """Tell states apart by their numbers alone: hashing all of a state costs more than comparing it now and then."""
        return hash(
            (
                tuple([(one.tick_ns, one.last_start_ns) for one in self.tickers]),
                tuple([(one.result_run, one.on_hold) for one in self.workers]),
            )
        )

    def predict(self) -> list[Prediction]:
        """Say for each worker what it does next."""
        return [self.prediction(index) for index in range(len(self.plan))]

    def prediction(self, index: int) -> Prediction:
        """Say what one worker does next."""
        planned, worker, ticker = self.plan[index], self.workers[index], self.tickers[index]
        spec = planned.spec
        container = self.containers[planned.container]
        kind = worker.type
        manual = Manual.NEVER
        if kind is ProbeType.READINESS:
            manual = _READINESS.get(worker.cached, Manual.POSSIBLE)
        elif kind is ProbeType.UNKNOWN:
            manual = Manual.UNSEEN
        silence = Silence.NONE
        if worker.on_hold:
            silence = Silence.ON_HOLD
        elif container.started is False and kind is not ProbeType.STARTUP:
            silence = Silence.GATED
        # What its siblings did: whether the latest attempt at the container ended as if it were gone, when the latest
        # attempt of its readiness probe ended, and whether it has a startup probe.
        latest = echo_ns = thawed_ns = heard_ns = None
        suspicious = refused = has_startup = heralded = False
        for plan, mine in zip(self.plan, self.tickers, strict=True):
            if mine.thawed_ns is not None and (thawed_ns is None or mine.thawed_ns > thawed_ns):
                thawed_ns = mine.thawed_ns
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
        return Prediction(
            index,
            spec,
            spec.period_s * 1_000_000_000,
            ticker.tick_ns,
            ticker.last_start_ns,
            ticker.busy_until_ns,
            ticker.lingers,
            ticker.redials,
            manual,
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
            heralded and kind is not ProbeType.READINESS,
            self.resets is None and kind is ProbeType.READINESS and ticker.runs < YOUNG,
            has_startup
            and (self.keeps_ready and bool(container.started) and not container.dying) is (kind is ProbeType.STARTUP),
        )

    def _out_of_turn(self, index: int) -> bool:
        """Tell whether an attempt of this liveness worker now would be the first of a new container.

        What lets the liveness worker run lets the readiness worker run too, and pokes it at once: so readiness comes
        first, unless it is delayed.
        """
        planned = self.plan[index]
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
        by_deadline: bool,
        free_ns: int | None = None,
    ) -> Applied:
        """Take one attempt, read in one way; `free_ns` is when its worker could go on, where that was after its end."""
        end_ns = end_ns if free_ns is None else max(end_ns, free_ns)
        index = reading.worker
        workers, tickers, containers = list(self.workers), list(self.tickers), list(self.containers)
        planned = self.plan[index]
        kind = planned.spec.type
        renewed = False
        if reading.reset == "kubelet":
            kept = [self.keeps_ready and self._outlived(number, start_ns) for number in range(len(containers))]
            workers = [
                new_kubelet(worker, keeps_ready=kept[plan.container], started=bool(containers[plan.container].started))
                for worker, plan in zip(workers, self.plan, strict=True)
            ]
            tickers = [Ticker() for _ in tickers]
            # Up to 1.34 a container counts as not started until the new kubelet's own startup probe says so.
            containers = [
                one if kept[number] or not self._has_startup(number) else one._replace(started=False)
                for number, one in enumerate(containers)
            ]
        elif reading.reset == "container":
            renewed = True
            alive_ns = containers[planned.container].alive_ns
            if alive_ns is not None and start_ns - alive_ns < SAME_SYNC_NS:
                alive_ns = None  # That may have been the new one already.
            containers[planned.container] = Container(
                started=not self._has_startup(planned.container), begun=True, since_ns=alive_ns, alive_ns=alive_ns
            )
            for other, plan in enumerate(self.plan):
                if plan.container == planned.container:
                    workers[other] = new_container(workers[other])
                    tickers[other] = tickers[other]._replace(runs=0)
        container = containers[planned.container]
        if container.begun and container.since_ns is None:
            # The first attempt comes at the first tick after the container was noticed, and its delay.
            behind_s = planned.spec.initial_delay_s + planned.spec.period_s + NOTICED_S
            container = containers[planned.container] = container._replace(since_ns=start_ns - behind_s * 1_000_000_000)
        if kind is ProbeType.STARTUP and container.started is not False:
            # (True: it counted as started because the one before was, until its startup probe's turn came.)
            container = containers[planned.container] = container._replace(started=False)
        elif kind is not ProbeType.STARTUP and not container.started:
            container = containers[planned.container] = container._replace(started=True)
        result = count(workers[index], outcome, planned.spec)
        workers[index] = result.worker
        old = tickers[index]
        anchor = self._next_anchor(old, reading, start_ns, planned.spec)
        # Where a tick and a poke both wait, Go picks either; the poke then waits on.
        waits = old.poked_ns is not None and reading.trigger is Trigger.STORED_TICK and not reading.reset
        sure = reading.trigger is not Trigger.STORED_TICK and (reading.trigger is not Trigger.START or container.begun)
        tickers[index] = Ticker(
            tick_ns=anchor,
            sure=anchor is not None and (sure or old.sure),
            last_start_ns=start_ns,
            busy_until_ns=end_ns,
            lingers=by_deadline and cause not in UNCONNECTED,
            redials=cause is Cause.GRPC_CONNECT or (cause is Cause.CUT and planned.spec.handler is Handler.GRPC),
            poked_ns=end_ns if waits else None,
            suspicious=cause in SUSPICIOUS,
            refused=cause is Cause.REFUSED,
            runs=min(old.runs + 1, YOUNG),
            thawed_ns=end_ns if cause is Cause.CLIENT_LATE else None,
            just_ready=result.decision is DecisionKind.READY
            or (old.just_ready and reading.trigger is Trigger.STORED_TICK)
            or (result.settled is Result.SUCCESS and (self.new_kubelet or reading.reset == "kubelet")),
        )
        if (
            container.dying
            and kind is ProbeType.READINESS
            and reading.trigger is Trigger.MANUAL
            and start_ns - (container.alive_ns or 0) > SAME_SYNC_NS
        ):
            container = containers[planned.container] = container._replace(stirred=True)
        if cause not in SUSPICIOUS and cause is not Cause.CUT and not container.dying:
            container = containers[planned.container] = container._replace(alive_ns=end_ns)
        if result.decision is not None:
            for other, plan in enumerate(self.plan):
                if other != index and plan.spec.type is ProbeType.READINESS:
                    tickers[other] = tickers[other]._replace(stirred_ns=end_ns)
        if result.decision is DecisionKind.RESTART:
            containers[planned.container] = container._replace(dying=True, stirred=False, alive_ns=end_ns)
        elif result.decision is DecisionKind.READY and container.stirred and not self._has_startup(planned.container):
            # What was told to die, and whose readiness was poked since, is replaced by now: the start of the new container
            # poked it. (An application that takes its time to stop may well turn Ready meanwhile, at its ticks.)
            renewed = True
            containers[planned.container] = container._replace(dying=False, stirred=False, begun=True)
            for other, plan in enumerate(self.plan):
                if plan.container == planned.container and other != index:
                    workers[other] = new_container(workers[other])
                    tickers[other] = tickers[other]._replace(runs=0)
        elif result.decision is DecisionKind.NOT_READY:
            tickers[index] = tickers[index]._replace(poked_ns=end_ns)
        elif kind is ProbeType.STARTUP and result.worker.on_hold:
            containers[planned.container] = container._replace(started=True)
            for other, plan in enumerate(self.plan):
                if plan.container == planned.container and plan.spec.type is ProbeType.READINESS:
                    tickers[other] = tickers[other]._replace(poked_ns=end_ns)
        after = Pod(
            self.plan,
            tuple(workers),
            tuple(tickers),
            tuple(containers),
            self.resets,
            self.keeps_ready,
            self.new_kubelet or reading.reset == "kubelet",
        )
        return Applied(after, result, renewed)

    def unseen(self, index: int, begin_ns: int, now_ns: int) -> int:
        """Return how many ticks a worker would have missed that makes its first attempt now, though it ran when the capture began.

        At most FEW. Its grid is not known, and a start of its kubelet or its container since would explain any silence.
        """
        ticker, container = self.tickers[index], self.containers[self.plan[index].container]
        if ticker.last_start_ns is not None or self.new_kubelet or container.begun or container.dying:
            return 0
        if container.started is not True or self.plan[index].spec.type is ProbeType.STARTUP:
            return 0
        return min((now_ns - begin_ns) // (self.plan[index].spec.period_s * 1_000_000_000), FEW)

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
            poked_ns=end_ns if result.decision is DecisionKind.NOT_READY else None,
        )
        return Applied(replace(self, workers=tuple(workers), tickers=tuple(tickers)), result)

    def _outlived(self, container: int, now_ns: int) -> bool:
        """Tell whether a container may have run for 10 s when its kubelet began, which then keeps its state (kubeletRestartGracePeriod)."""
        known = self.containers[container]
        since_ns = known.alive_ns if known.dying else known.since_ns
        return since_ns is None or now_ns - since_ns > RESTART_GRACE_NS

    def _has_startup(self, container: int) -> bool:
        return any(p.container == container and p.spec.type is ProbeType.STARTUP for p in self.plan)

    def _next_anchor(self, old: Ticker, reading: Reading, start_ns: int, spec: ProbeSpec) -> int | None:
        """Return a moment on the worker's grid after this attempt."""
        period = spec.period_s * 1_000_000_000
        if reading.trigger in (Trigger.TICK, Trigger.STORED_TICK) and old.tick_ns is not None:
            # A ticker does not drift, attempts only start late: follow early ones at once and late ones slowly.
            if reading.trigger is Trigger.STORED_TICK:
                if not old.sure:
                    return None
                return old.tick_ns + (start_ns + EARLY_NS - old.tick_ns) // period * period
            # (Down, not to the nearest: a kubelet that got no CPU runs a tick however late.)
            expected = old.tick_ns + (start_ns - old.tick_ns + GRID_EARLY_NS) // period * period
            late = start_ns - expected
            if late > ON_GRID_NS and reading.schedule is Schedule.ON_TIME:
                return start_ns  # It was read as a tick of another grid.
            return start_ns if late <= 0 else expected + min(late, 200_000)
        if self.resets is False and spec.type is ProbeType.READINESS and reading.trigger is not Trigger.TICK:
            return old.tick_ns  # Up to 1.30 a poke leaves the ticker alone, and a first attempt is mostly a poke.
        return start_ns


def _delayed(spec: ProbeSpec, since_ns: int | None) -> int | None:
    """Return before when a probe cannot run in a container that began after this; None where nothing holds it back."""
    if since_ns is None or not spec.initial_delay_s:
        return None
    return since_ns + (spec.initial_delay_s - 1) * 1_000_000_000


def begin(
    plan: Sequence[Planned],
    *,
    fresh_start: bool,
    resets: bool | None = True,
    keeps_ready: bool = True,
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
    return Pod(tuple(plan), workers, tuple(Ticker() for _ in plan), containers, resets, keeps_ready, new_kubelet)
