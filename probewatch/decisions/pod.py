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
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Trigger

from .worker import Counted, Result, Worker, count, fresh, new_container, new_kubelet

LINGER_NS = 1_100_000_000
"""SO_LINGER of the prober's dialer is 1 s (dialer_others.go): a close whose FIN is not acknowledged holds the worker that long."""

EARLY_NS = 6_000_000
"""A tick may look early by this: the one that set the grid was itself late."""
YOUNG = 3
"""A worker that ran this often since its container began is no beginner any more."""
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
    runs: int = 0
    """Attempts since its container began, counted up to YOUNG."""
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
    """Its readiness probe was poked since: the successor may run."""


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
    resets: bool = True
    """A manual run restarts the period (Ticker.Reset: not in 1.30.1, in 1.32.1; 1.31 is taken for the newer)."""
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
        latest = echo_ns = None
        suspicious = has_startup = False
        for plan, mine in zip(self.plan, self.tickers, strict=True):
            if plan.container != planned.container:
                continue
            begun = mine.last_start_ns
            if begun is not None and (latest is None or begun > latest):
                latest, suspicious = begun, mine.suspicious
            if plan.spec.type is ProbeType.READINESS:
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
            ticker.just_ready,
            container.begun,
            has_startup and kind is not ProbeType.STARTUP,
            self._out_of_turn(index),
            None if spec.type is ProbeType.READINESS else echo_ns,
            ticker.runs,
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
        self, reading: Reading, start_ns: int, end_ns: int, outcome: Outcome, cause: Cause, *, by_deadline: bool
    ) -> Applied:
        """Take one attempt, read in one way."""
        index = reading.worker
        workers, tickers, containers = list(self.workers), list(self.tickers), list(self.containers)
        planned = self.plan[index]
        kind = planned.spec.type
        renewed = False
        if reading.reset == "kubelet":
            workers = [new_kubelet(worker, keeps_ready=self.keeps_ready) for worker in workers]
            tickers = [Ticker() for _ in tickers]
        elif reading.reset == "container":
            renewed = True
            containers[planned.container] = Container(started=not self._has_startup(planned.container), begun=True)
            for other, plan in enumerate(self.plan):
                if plan.container == planned.container:
                    workers[other] = new_container(workers[other])
                    tickers[other] = tickers[other]._replace(runs=0)
        container = containers[planned.container]
        if kind is ProbeType.STARTUP and container.started is None:
            container = containers[planned.container] = container._replace(started=False)
        elif kind is not ProbeType.STARTUP and not container.started:
            container = containers[planned.container] = container._replace(started=True)
        result = count(workers[index], outcome, planned.spec)
        workers[index] = result.worker
        old = tickers[index]
        anchor = self._next_anchor(old, reading, start_ns, planned.spec)
        sure = reading.trigger is not Trigger.STORED_TICK and (reading.trigger is not Trigger.START or container.begun)
        tickers[index] = Ticker(
            tick_ns=anchor,
            sure=anchor is not None and (sure or old.sure),
            last_start_ns=start_ns,
            busy_until_ns=end_ns,
            lingers=by_deadline,
            redials=cause is Cause.GRPC_CONNECT,
            suspicious=cause in SUSPICIOUS,
            runs=min(old.runs + 1, YOUNG),
            just_ready=result.decision is DecisionKind.READY
            or (old.just_ready and reading.trigger is Trigger.STORED_TICK)
            or (result.settled is Result.SUCCESS and (self.new_kubelet or reading.reset == "kubelet")),
        )
        if container.dying and kind is ProbeType.READINESS and reading.trigger is Trigger.MANUAL:
            container = containers[planned.container] = container._replace(stirred=True)
        if result.decision is not None:
            for other, plan in enumerate(self.plan):
                if other != index and plan.spec.type is ProbeType.READINESS:
                    tickers[other] = tickers[other]._replace(stirred_ns=end_ns)
        if result.decision is DecisionKind.RESTART:
            containers[planned.container] = container._replace(dying=True, stirred=False)
        elif result.decision is DecisionKind.READY and container.dying:
            # What was told to die does not become Ready: this is the new container, whatever showed it or did not.
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

    def guesses(self, index: int, outcome: Outcome) -> list[Pod]:
        """Return what may have gone before a worker's first attempt in mid-life: it was fine, and perhaps had begun to fail.

        Failures before the capture are not in it, but their consequences are: the decision comes earlier than a full
        streak.
        """
        worker, spec = self.workers[index], self.plan[index].spec
        if worker.cached is not Result.NONE or self.tickers[index].last_start_ns is not None:
            return []
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
            just_ready=result.decision is DecisionKind.READY,
            poked_ns=end_ns if result.decision is DecisionKind.NOT_READY else None,
        )
        return Applied(replace(self, workers=tuple(workers), tickers=tuple(tickers)), result)

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
            steps = round((start_ns - old.tick_ns) / period)
            expected = old.tick_ns + steps * period
            late = start_ns - expected
            return start_ns if late <= 0 else expected + min(late, 200_000)
        if not self.resets and spec.type is ProbeType.READINESS and reading.trigger is not Trigger.TICK:
            return old.tick_ns  # Up to 1.30 a poke leaves the ticker alone, and a first attempt is mostly a poke.
        return start_ns


def begin(
    plan: Sequence[Planned],
    *,
    fresh_start: bool,
    resets: bool = True,
    keeps_ready: bool = True,
    new_kubelet: bool = False,
) -> Pod:
    """Start watching a pod, its containers seen from their beginning or in mid-life."""
    count_containers = max((p.container for p in plan), default=-1) + 1
    gated = [any(p.container == c and p.spec.type is ProbeType.STARTUP for p in plan) for c in range(count_containers)]
    containers = tuple(
        Container(started=(not gated[c]) if fresh_start or not gated[c] else None, begun=fresh_start)
        for c in range(count_containers)
    )
    workers = tuple(fresh(p.spec.type) if fresh_start else Worker(p.spec.type) for p in plan)
    return Pod(tuple(plan), workers, tuple(Ticker() for _ in plan), containers, resets, keeps_ready, new_kubelet)
