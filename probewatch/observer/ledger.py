"""The books of one lane: what its settled steps come to, put together as they come, so that the steps can be let go.

Theory of operation. A step holds its connections and all that was read on them; what people are told of it is far less.
So each settled step is entered here once, in order, and what hangs on it goes. An attempt is made when the next one of
its worker begins, for until then a redial may join it. What can only be said at the end (what confirmed a decision, how
long the state before had lasted) is drawn up then, from drafts.

`Keep` says what is kept of attempts that are let go: whole they stay values with their connections, and in brief only
what a table shows of them (`model.attempts`), with limits on the rest. There is one way to the end, whatever is kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final, Generic, NamedTuple, TypeVar

from probewatch.decisions.pod import Planned
from probewatch.decisions.worker import Result
from probewatch.model.attempts import Attempts, start_of
from probewatch.model.prediction import Silence
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import (
    NO_ADDRESS,
    NO_CPU,
    UNSEEN,
    Attempt,
    Cause,
    Decision,
    DecisionKind,
    Gap,
    GapKind,
    Outcome,
    Schedule,
    Trigger,
)
from probewatch.model.units import SECOND
from probewatch.probes.costs import NEW_KUBELET
from probewatch.probes.patience import Waits
from probewatch.probes.runs import Run

from .build import UNKNOWN, Latest, attempt, confirm, decision, expected_before, gap, released_ns
from .histories import Step
from .tls import expired

KEPT: Final = 500
"""In brief: decisions of a worker, gaps, and ends of containers that are kept from the first on, and as many of the latest."""
HEADS: Final = 8
"""Attempts of a worker that tell of its beginning."""
AT_ONCE_NS: Final = SECOND // 1000
"""What came so shortly before an attempt is its own address resolution, and not another pod's probe."""
_HELD: Final = (DecisionKind.RESTART, DecisionKind.STARTED)
"""Decisions after which a worker is on hold."""

T = TypeVar("T")


class Keep(StrEnum):
    """What the observer keeps of attempts that are settled."""

    STEPS = "steps"
    """Everything that was read on them, for what reads them again (`Probe.measures`)."""
    WHOLE = "whole"
    """They with their connections."""
    BRIEF = "brief"
    """What a table shows, in little room, with limits on the rest: memory stays flat."""


class Few(Generic[T]):
    """A series of which the first and the latest are kept, if there is a limit."""

    __slots__ = ("_first", "_latest", "_limit", "left_out")

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._first: list[T] = []
        self._latest: deque[T] | None = None
        """Made late: a probe has two of these, and an empty one takes 600 bytes."""
        self.left_out = 0

    def append(self, item: T) -> None:
        """Take the next one."""
        if self._limit is None or len(self._first) < self._limit:
            self._first.append(item)
            return
        if self._latest is None:
            self._latest = deque(maxlen=self._limit)
        self.left_out += len(self._latest) == self._limit
        self._latest.append(item)

    @property
    def last(self) -> T | None:
        """The latest one."""
        return self._latest[-1] if self._latest else self._first[-1] if self._first else None

    def __iter__(self) -> Iterator[T]:
        yield from self._first
        yield from self._latest or ()

    def __reversed__(self) -> Iterator[T]:
        yield from reversed(self._latest or ())
        yield from reversed(self._first)


@dataclass(slots=True)
class Draft:
    """A decision as far as it can be told."""

    found: Decision
    start_ns: int
    """When the deciding attempt began."""
    by_deadline: bool
    killing: bool = False
    """Its container was being killed, which holds up the pod's next sync."""
    followed: bool = False
    """The next attempt of its worker is known, and what it shows entered."""


OFF_ITS_SCHEDULE: Final = "a readiness probe off its schedule"
"""What shows a new container by itself: its kubelet pokes the probe of one that is not Ready."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A new container, or a new kubelet (`container` None)."""

    ns: int
    container: int | None
    evidence: str
    """Of a new kubelet only what qualifies it."""
    doubtful: bool = False


class Settled(NamedTuple):
    """A streak that told a state which nobody knew."""

    attempt: int
    """The attempt that completed it."""
    ns: int
    """When it did."""
    state: Result
    streak: int


class Head(NamedTuple):
    """What one of a worker's first attempts tells of its container's beginning."""

    start_ns: int
    trigger: Trigger
    outcome: Outcome
    cause: Cause


class Account:
    """What one worker's attempts came to."""

    def __init__(self, spec: ProbeSpec, limit: int | None) -> None:
        self.spec = spec
        self.attempts = Attempts()
        self.heads: list[Head] = []
        """Of the first ones."""
        self.last: Attempt | None = None
        self.drafts: Few[Draft] = Few(limit)
        self.gaps: Few[Gap] = Few(limit)
        self.settled: Settled | None = None
        """The first streak that told a state nobody knew."""
        self.waits = Waits(spec.handler)
        self.first: Run | None = None
        self.spoken: Run | None = None
        """The first run that shows what is asked, whole if any does."""
        self.ran: Run | None = None
        """The latest run of a command."""
        self.connected = False
        self.fresh = True
        """Each of its connections was made for one attempt."""
        self.expired: list[str] = []
        self.pending: Step | None = None
        """The attempt in progress, which redials may join."""
        self.redials: list[Step] = []
        self.stood: Result | None = None
        """What the kubelet held before the last attempt."""

    def final(self, cached: Result, seen_until_ns: int) -> Result:
        """Return what the kubelet held where the input ends: an attempt that was then under way had changed nothing yet."""
        last = self.last
        if last is None or last.cause is not Cause.CUT or self.stood is None:
            return cached
        return self.stood if last.start.ns + self.spec.timeout_s * SECOND > seen_until_ns else cached

    def meet(self, run: Run) -> None:
        """Take into account what a run shows by itself."""
        self.waits.note(run)
        if self.first is None:
            self.first = run
        if run.execs:
            self.ran = run
        form = run.form
        said = form.host or form.path is not None or form.service is not None
        if said and (self.spoken is None or (self.spoken.form.partial and not form.partial)):
            self.spoken = run
        for hops in run.tries:
            for exchange in hops:
                self.connected = True
                self.fresh = self.fresh and (exchange.connection.bare_ack or not exchange.connection.resp.syns)


class Ledger:
    """What all workers of a lane came to."""

    def __init__(self, plan: Sequence[Planned], keep: Keep = Keep.WHOLE, holes: Sequence[tuple[int, int]] = ()) -> None:
        self.plan = plan
        self.holes = holes
        """Times that no file covers."""
        self._limit = KEPT if keep is Keep.BRIEF else None
        self.accounts: dict[int, Account] = {}
        """By worker."""
        self.happened: Few[Happened] = Few(self._limit)
        self.restarts: Few[int] = Few(self._limit)
        """When new kubelets showed."""
        self.clients: Counter[str] = Counter()
        """Who sent the attempts; empty for commands that were run."""
        self._breaks: dict[int, Few[tuple[int, int]]] = {}
        self._killed: dict[int, int] = {}

    @property
    def asker(self) -> str:
        """The address that most attempts come from; empty where all of them are commands."""
        sent = {client: times for client, times in self.clients.items() if client}
        return max(sorted(sent), key=lambda client: sent[client]) if sent else ""

    def breaks(self, container: int) -> Few[tuple[int, int]]:
        """Return (when its end was decided or first showed, when the new one showed) for each new container, in order."""
        found = self._breaks.get(container)
        if found is None:
            found = self._breaks[container] = Few(self._limit)
        return found

    def take(self, step: Step, latest: Latest) -> tuple[int, Attempt] | None:
        """Enter the next step that is somebody's attempt; return the worker and attempt that is complete by that, if one is."""
        reading = step.reading
        assert reading is not None
        worker = reading.worker
        planned = self.plan[worker]
        self.clients[step.run.client] += 1
        self._happens(step, planned.container)
        account = self.accounts.get(worker)
        if account is None:
            account = self.accounts[worker] = Account(planned.spec, self._limit)
        if reading.redial and account.pending is not None:
            account.redials.append(step)
            return None
        done = self._close(worker, latest)
        account.pending, account.redials = step, []
        account.meet(step.run)
        return None if done is None else (worker, done)

    def close(self, latest: Latest) -> None:
        """Complete the attempts in progress: nothing more comes."""
        for worker in self.accounts:
            self._close(worker, latest)

    def _happens(self, step: Step, container: int) -> None:
        """Note what a step shows to have happened before it."""
        reading, start = step.reading, step.run.start.ns
        assert reading is not None
        if step.renewed:
            if reading.trigger is Trigger.MANUAL:
                in_step = reading.schedule is Schedule.ON_TIME
                why = "its readiness probe runs again" if in_step else OFF_ITS_SCHEDULE
            elif step.before.workers[reading.worker].on_hold:
                why = "the probe on hold runs again"
            else:
                why = "Ready again"
            dying = step.before.containers[container].dying
            why += ", after a Restart" if dying else " while Ready"
            unseen = _unseen(step)
            self.happened.append(Happened(start, container, why + _ALIKE.format("kubelet") * unseen, unseen))
            self.breaks(container).append((self._killed.pop(container, start), start))
        if reading.reset == "kubelet":
            back = start if reading.back_ns is None else reading.back_ns
            self.restarts.append(back)
            unseen = _unseen(step)
            if not step.renewed and not (unseen and _without_address(step)):
                self.happened.append(Happened(back, None, _ALIKE.format("container") * unseen, unseen))
        if step.counted is not None and step.counted.decision is DecisionKind.RESTART and step.verdict is not None:
            self._killed[container] = step.verdict.end_ns

    def _close(self, worker: int, latest: Latest) -> Attempt | None:
        account = self.accounts[worker]
        step = account.pending
        if step is None:
            return None
        account.pending = None
        account.stood = step.before.workers[worker].cached
        before = account.last
        made = attempt(1 if before is None else before.n + 1, step, account.redials, latest)
        counted = (account.redials[-1] if account.redials else step).counted
        account.attempts.append(made)
        account.last = made
        if len(account.heads) < HEADS:
            account.heads.append(Head(made.start.ns, made.trigger, made.outcome, made.cause))
        if not account.expired:
            account.expired = expired([made], kubelet=True)
        if before is not None:
            self._gap(account, before, made, step)
            draft = account.drafts.last
            if draft is not None and draft.found.attempt == before.n:
                draft.found = confirm(
                    draft.found,
                    account.spec,
                    made,
                    None,
                    0,
                    free_ns=released_ns(before, by_deadline=draft.by_deadline),
                    killing=draft.killing,
                    pokes=step.before.at_every_sync and step.before.resets is not None,
                )
                draft.followed = True
        if counted is not None and counted.settled is not None and account.settled is None:
            account.settled = Settled(made.n, made.end_ns, counted.settled, counted.streak)
        found = decision(counted, made, account.spec, "", None)
        if found is not None:
            pod = step.before
            killing = pod.containers[pod.plan[worker].container].dying
            account.drafts.append(Draft(found, made.start.ns, made.end_mark is None, killing))
        return made

    def _gap(self, account: Account, before: Attempt, made: Attempt, step: Step) -> None:
        begun, ended = before.start.ns, made.start.ns
        expected = expected_before(before, made, step)
        if not expected or any(hole < ended and begun < over for hole, over in self.holes):
            return  # (In a hole nothing was missed: nobody looked.)
        draft = account.drafts.last
        container = self.plan[step.reading.worker].container if step.reading is not None else 0
        if draft is not None and draft.found.attempt == before.n and draft.found.kind in _HELD:
            why = GapKind.ON_HOLD, "on hold until there was a new container"
        elif before.unresolved is not None:
            why = GapKind.UNRESOLVED, "the address could not be resolved: attempts made meanwhile left no frame"
        elif _unseen(step):
            why = (GapKind.UNRESOLVED, NO_ADDRESS) if _without_address(step) else (GapKind.UNEXPLAINED, UNSEEN)
        elif any(ns <= ended for ns in takewhile(lambda ns: ns > begun, reversed(self.restarts))):
            why = GapKind.KUBELET_RESTARTED, "kubelet restarted"
        elif any(
            killed > begun and shown <= ended
            for killed, shown in takewhile(lambda one: one[1] > begun, reversed(self.breaks(container)))
        ):
            why = _RESTARTED
        else:
            why = _reason(step)
        account.gaps.append(gap(before, made, expected, *why))

    # Of a whole container.

    def begun_by(self, container: int, shown_ns: int, created_ns: int | None = None) -> int | None:
        """Return by when a container had begun that showed at `shown_ns`; None where no initialDelaySeconds says that it was sooner.

        startedAt is cut to whole seconds, so that a delay may be up to one shorter (status_manager.go normalizeStatus). A bound
        that lies before the last sign of its predecessor, or before its Pod was created (`created_ns`), comes of a delay that
        was not kept.
        """
        over = (ended for ended, shown in self.breaks(container) if shown <= shown_ns and ended < shown_ns)
        by, floor = shown_ns, max([created_ns or 0, *over])
        for worker, account in self.accounts.items():
            if self.plan[worker].container != container:
                continue
            attempts, heads, delay_s = account.attempts, account.heads, self.plan[worker].spec.initial_delay_s
            at = bisect_left(attempts, shown_ns, key=start_of)
            if at and attempts[at - 1].outcome is Outcome.SUCCESS:
                floor = max(floor, attempts[at - 1].end_ns)
            firsts = [one.start_ns for one in heads if one.start_ns >= shown_ns] + [
                a.start.ns for a in attempts[at : at + 1]
            ]
            if firsts and delay_s > 1:
                by = min(by, min(firsts) - (delay_s - 1) * SECOND)
        return by if floor < by < shown_ns else None

    def synced_after(self, ns: int) -> bool:
        """Tell whether the kubelet went on with the Pod after a moment: one that is being deleted is not synced any more.

        Then liveness and startup probes have stopped, nothing pokes readiness, and no container begins (SyncTerminatingPod). Where
        readiness is all that is probed, that it succeeds again has to do.
        """
        if any(one.ns > ns for one in self.happened):
            return True
        others = [a for w, a in self.accounts.items() if self.plan[w].spec.type is not ProbeType.READINESS]
        if any(account.last is not None and account.last.start.ns > ns for account in others):
            return True
        # (A tick that had waited comes at once as well, but is no poke.)
        later = [
            one
            for worker, account in self.accounts.items()
            if self.plan[worker].spec.type is ProbeType.READINESS
            for one in account.attempts[bisect_right(account.attempts, ns, key=start_of) :]
        ]
        return any(one.trigger is Trigger.MANUAL or (not others and one.outcome is Outcome.SUCCESS) for one in later)

    def readiness(self, container: int) -> list[Attempts]:
        """Return the attempts of a container's readiness probes, each probe's apart."""
        return [
            self.accounts[worker].attempts
            for worker, planned in enumerate(self.plan)
            if planned.container == container and planned.spec.type is ProbeType.READINESS and worker in self.accounts
        ]


_ALIKE: Final = "; a new {}, or attempts that failed on the node without a frame, look the same"
_RESTARTED: Final = GapKind.CONTAINER_RESTARTED, "the container was being restarted"


def _unseen(step: Step) -> bool:
    """Tell whether what happened before a step is told by silence and a new phase alone, so that other things fit as well.

    Nothing was refused before, nothing fails after that a new container would (or only for want of the neighbour's address), no
    other probe of the pod tells what was meanwhile or moved as well, and no other pod shows that the kubelet was silent.
    """
    reading, pod = step.reading, step.before
    if reading is None or not reading.reset or step.verdict is None:
        return False
    if reading.reset == "container" and step.verdict.outcome is not Outcome.SUCCESS and not _without_address(step):
        return False
    back_ns = step.run.start.ns if reading.back_ns is None else reading.back_ns
    if reading.reset == "kubelet" and step.run.start.ns - back_ns > AT_ONCE_NS and reading.cost < NEW_KUBELET:
        return False
    prediction = pod.prediction(reading.worker)
    heard = prediction.heard_ns
    return (
        len(pod.plan) == 1
        and heard is not None
        and step.run.start.ns - heard > prediction.period_ns * 3 // 2
        and not (prediction.dying or prediction.refused or prediction.silence)
    )


def _without_address(step: Step) -> bool:
    """Tell whether an attempt failed because its node did not know the pod's link-layer address: so may those before it."""
    return step.verdict is not None and step.verdict.cause is Cause.NEIGHBOUR_UNRESOLVED


def _reason(step: Step) -> tuple[GapKind, str]:
    reading = step.reading
    assert reading is not None
    prediction = step.before.prediction(reading.worker)
    if prediction.silence is not Silence.NONE:
        kind = GapKind.ON_HOLD if prediction.silence is Silence.ON_HOLD else GapKind.STARTUP
        return kind, str(prediction.silence)
    if prediction.dying or reading.reset == "container":
        return _RESTARTED
    if prediction.begun and prediction.runs == 0 and prediction.spec.initial_delay_s:
        return GapKind.INITIAL_DELAY, "initialDelaySeconds of the new container"
    if reading.stopped:
        return GapKind.UNEXPLAINED, NO_CPU
    return GapKind.UNEXPLAINED, UNKNOWN


def let_go(account: Account) -> list[str]:
    """Say what a limit left of an account."""
    out = []
    if (before := account.attempts.before) > 0:
        counts = ", ".join(f"{number} {outcome}" for outcome, number in account.attempts.forgotten.items())
        out.append(f"the first {before} attempts were only counted, and are not in the numbers here: {counts}")
    for few, what in ((account.drafts, "decisions"), (account.gaps, "gaps")):
        if few.left_out:
            out.append(f"{few.left_out} {what} between the first and the last {KEPT} are left out")
    return out
