"""What an attempt changes in a pod, one thing after the other: a new kubelet, a new container, a count, and what a decision brings.

Theory of operation. Most attempts change nothing but their own worker (`Pod.after`). The others go through the same steps in the
same order (`Pod.apply`): what the attempt shows to have happened before it, what its worker counts, what it shows of its
container, and what follows where it decided something: a sync of the Pod pokes what is not Ready (UpdatePodStatus), a kill
ends the container.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from probewatch.model.prediction import Reading
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Trigger
from probewatch.model.units import MS, SECOND

from .turn import SUSPICIOUS, Ticker, Turn, turn_of
from .versions import Pokes
from .worker import Result, new_container, new_kubelet

if TYPE_CHECKING:
    from .pod import Planned, Pod

SAME_SYNC_NS = 50 * MS
"""A poke this soon after a decision is of the sync that the decision made."""
NOTICED_S = 2
"""Seconds until the start of a container is noticed: PLEG's relist is a second (kubelet.go), and a pod sync follows."""
RESTART_GRACE_NS = 10 * SECOND
"""How much older than its kubelet a container must be for its state to be kept (worker.go kubeletRestartGracePeriod, since 1.35)."""


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
    by_ns: int | None = None
    """It had begun by then, as the first attempts say whose probes have a delay; None where it is not known."""


class Change:
    """A pod as it changes by one attempt: each method is one thing that happens to it, in the order in which they do."""

    __slots__ = ("before", "containers", "new_kubelet", "tickers", "workers")

    def __init__(self, before: Pod) -> None:
        self.before = before
        self.workers = list(before.workers)
        self.tickers = list(before.tickers)
        self.containers = list(before.containers)
        self.new_kubelet = before.new_kubelet

    def kubelet_began(self, start_ns: int, *, asks: Planned) -> None:
        """There is a new kubelet, which `asks` this first: its workers begin anew, and its containers keep what it finds."""
        was = self.before
        kept = [was.keeps_ready and self._outlived(number, start_ns) for number in range(len(self.containers))]
        if asks.spec.type is ProbeType.STARTUP:
            kept[asks.container] = False  # It would not ask again.
        self.workers = [
            new_kubelet(worker, keeps_ready=kept[plan.container], started=bool(self.containers[plan.container].started))
            for worker, plan in zip(self.workers, was.plan, strict=True)
        ]
        self.tickers = [Ticker(phase_ns=one.tick_ns if one.sure else None) for one in self.tickers]
        self.new_kubelet = True
        # Its workers begin within a period, and no container that ran before holds them back.
        longest_s = max(plan.spec.initial_delay_s for plan in was.plan)
        by_ns = start_ns - longest_s * SECOND
        for number, one in enumerate(self.containers):
            # Up to 1.34 a container counts as not started until the new kubelet's own startup probe says so: unless another
            # of its probes was quicker (`Pod.prediction`, behind).
            started = one.started if kept[number] or not was.has_startup(number) else False
            if started is False and was.at_every_sync and asks.spec.type is not ProbeType.STARTUP:
                started = None
            self.containers[number] = one._replace(by_ns=by_ns, started=started)

    def container_began(self, number: int, start_ns: int) -> None:
        """There is a new container, of which this attempt is the first sign."""
        alive_ns = self.containers[number].alive_ns
        if alive_ns is not None and start_ns - alive_ns < SAME_SYNC_NS:
            alive_ns = None  # That may have been the new one already.
        started = not self.before.has_startup(number)
        self.containers[number] = Container(started=started, begun=True, since_ns=alive_ns, alive_ns=alive_ns)
        self._anew(number)

    def began_by(self, index: int, start_ns: int) -> None:
        """Learn from an attempt when its container began, and that it has started, or has not."""
        spec, number = self.before.plan[index].spec, self.before.plan[index].container
        container = self.containers[number]
        if container.begun and container.since_ns is None:
            # The first attempt comes at the first tick after the container was noticed, and its delay; what is poked as soon as
            # it was noticed need not wait for a tick.
            herald = (
                spec.type is ProbeType.READINESS and not spec.initial_delay_s and not self.before.has_startup(number)
            )
            herald = herald and self.before.pokes is not Pokes.NOTHING
            behind_s = NOTICED_S + (0 if herald else spec.initial_delay_s + spec.period_s)
            container = container._replace(since_ns=start_ns - behind_s * SECOND)
        if not self.tickers[index].runs and (container.begun or container.by_ns is not None):
            container = container._replace(by_ns=self._by_ns(index, start_ns, container.by_ns))
        if spec.type is ProbeType.STARTUP:
            # (It may have counted as started because the one before was, until its startup probe's turn came.)
            container = container._replace(started=False)
        elif container.started is False or (container.started is None and not self.new_kubelet):
            container = container._replace(started=True)
        self.containers[number] = container

    def counts(
        self, reading: Reading, times: tuple[int, int], outcome: Outcome, cause: Cause, *, lingers: bool
    ) -> Turn:
        """Let its worker count the attempt."""
        index = reading.worker
        planned = self.before.plan[index]
        turn = turn_of(
            self.workers[index],
            self.tickers[index],
            reading,
            planned.spec,
            times,
            outcome,
            cause,
            lingers=lingers,
            moves=self.before.moves,
            begun=self.containers[planned.container].begun,
        )
        self.workers[index], self.tickers[index] = turn.counted.worker, turn.after
        if turn.counted.settled is Result.SUCCESS and self.new_kubelet:
            self.tickers[index] = turn.after._replace(just_ready=True)
        if planned.spec.type is ProbeType.STARTUP and outcome is Outcome.INCONCLUSIVE:
            self._change(planned.container, started=None)  # It may have succeeded.
        return turn

    def shows(self, turn: Turn, start_ns: int, cause: Cause) -> None:
        """Learn from an attempt that its container runs, or that its successor may."""
        planned = self.before.plan[turn.reading.worker]
        container = self.containers[planned.container]
        if not container.dying:
            if alive(cause):
                self._change(planned.container, alive_ns=turn.after.busy_until_ns)
        elif (
            planned.spec.type is ProbeType.READINESS
            and turn.reading.trigger is Trigger.MANUAL
            and start_ns - (container.alive_ns or 0) > SAME_SYNC_NS
        ):
            self._change(planned.container, stirred=True)

    def decided(self, turn: Turn) -> bool:
        """Do what follows from a decision; tell whether it shows that there is a new container."""
        index, result, end_ns = turn.reading.worker, turn.counted, turn.after.busy_until_ns or 0
        number = self.before.plan[index].container
        if result.decision is not None:
            for other in self._readiness():
                if other != index:
                    # (While it is busy the poke waits for its end.)
                    busy_ns = self.tickers[other].busy_until_ns or end_ns
                    self.tickers[other] = self.tickers[other]._replace(stirred_ns=max(end_ns, busy_ns))
        if result.decision is DecisionKind.RESTART:
            self._change(number, dying=True, stirred=False, alive_ns=end_ns)
        elif (
            result.decision is DecisionKind.READY
            and self.containers[number].stirred
            and not self.before.has_startup(number)
        ):
            # What was told to die, and whose readiness was poked since, is replaced by now: the start of the new container
            # poked it. (An application that takes its time to stop may well turn Ready meanwhile, at its ticks.)
            self._change(number, dying=False, stirred=False, begun=True)
            self._anew(number, but=index)
            return True
        elif result.decision is DecisionKind.NOT_READY and self.before.at_every_sync:
            self.tickers[index] = self.tickers[index]._replace(poked_ns=end_ns)
        elif self.before.plan[index].spec.type is ProbeType.STARTUP and result.worker.on_hold:
            self._change(number, started=True)
            for other in self._readiness():
                plan, ticker = self.before.plan[other], self.tickers[other]
                # (Under a new kubelet it may have been quicker, and be Ready.)
                if plan.container == number and self.workers[other].cached is not Result.SUCCESS:
                    # (While its initialDelaySeconds hold it back, a poke sends nothing, and begins its period anew all the same.)
                    held = self.before.resets and plan.spec.initial_delay_s and not ticker.runs
                    tick_ns = end_ns if held else ticker.tick_ns
                    self.tickers[other] = ticker._replace(poked_ns=end_ns, tick_ns=tick_ns)
        return False

    def _change(self, number: int, **facts: Any) -> None:
        self.containers[number] = self.containers[number]._replace(**facts)

    def _anew(self, number: int, *, but: int | None = None) -> None:
        """Let a new container's workers begin, except one that has shown it."""
        for index, plan in enumerate(self.before.plan):
            if plan.container == number and index != but:
                self.workers[index] = new_container(self.workers[index])
                self.tickers[index] = self.tickers[index]._replace(runs=0)

    def _readiness(self) -> Iterator[int]:
        """Yield the readiness workers that a sync of the Pod pokes."""
        if self.before.at_every_sync:
            for index, plan in enumerate(self.before.plan):
                if plan.spec.type is ProbeType.READINESS:
                    yield index

    def _by_ns(self, index: int, start_ns: int, known: int | None) -> int | None:
        """Return by when a container had begun, now that a worker made its first attempt at it; None where that matters to no other."""
        planned = self.before.plan[index]
        waiting = (
            plan.container == planned.container and other != index and not self.tickers[other].runs
            for other, plan in enumerate(self.before.plan)
        )
        if not any(waiting):
            return None
        # (The second is what startedAt is cut by; it cannot have begun after its first attempt.)
        by_ns = start_ns - max(0, planned.spec.initial_delay_s - 1) * SECOND
        return by_ns if known is None else min(by_ns, known)

    def _outlived(self, number: int, now_ns: int) -> bool:
        """Tell whether a container may have run for 10 s when its kubelet began, which then keeps its state (kubeletRestartGracePeriod)."""
        known = self.containers[number]
        since_ns = known.alive_ns if known.dying else known.since_ns
        return since_ns is None or now_ns - since_ns > RESTART_GRACE_NS


def alive(cause: Cause) -> bool:
    """Tell whether an attempt that ended so shows that its container ran."""
    return cause not in SUSPICIOUS and cause is not Cause.CUT
