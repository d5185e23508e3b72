"""What an attempt does to its own worker: to its streak (`worker`), and to its ticker.

Theory of operation. Each worker has a ticker of its own (worker.go run), exact to milliseconds, that goes on whatever else
happens in the pod. So this much of an attempt is the same in all states of a pod in which that worker and its ticker are the
same, and need be worked out once (`Turn`).
"""

from __future__ import annotations

from typing import NamedTuple

from probewatch.model.prediction import Reading
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Schedule, Trigger
from probewatch.model.units import MS, SECOND

from .worker import Counted, Worker, count

EARLY_NS = 6 * MS
"""A tick may look early by this: the one that set the grid was itself late."""
SYNCED_NS = 500_000
"""A sync follows a decision no sooner than this, which is how long the frames that show both may disagree."""
AT_ONCE_NS = 8 * MS
"""A tick that waited runs this soon after the attempt that it waited for."""
ON_GRID_NS = 100 * MS
"""What is later than this after its tick is not on that grid."""
FOLLOWED_NS = 200_000
"""The grid follows a late tick by no more than this."""
GRID_EARLY_NS = 50 * MS
"""The same for a worker that was not busy."""
SLOW_NS = 25 * MS
"""A worker that runs a tick so late is slow: on a node with time to spare it takes under a millisecond."""
SLOW_MOST = 4
YOUNG = 3
"""A worker that ran this often since its container began is no beginner any more."""

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
    """When the kubelet ran again that had noticed the end of the last attempt, or its tick, too late."""
    just_ready: bool = False
    """The last attempt made it Ready: a poke that came while it ran is still waiting (manualTriggerCh holds one)."""
    kept: bool = False
    """The last attempt was of a tick that had waited, for one longer than a period or for CPU: perhaps an earlier one than its own."""
    phase_ns: int | None = None
    """A moment on the grid that it had before: under the kubelet before, or before a poke moved it; until its next attempt."""
    early_ns: int = 0
    """So much sooner the last attempt may have been over: its deadline runs from its tick, its SYN left late, and no close tells."""
    slow: int = 0
    """How often it was slow to run a tick, lately: each time counts two, each tick in time takes one off, up to SLOW_MOST."""


class Turn(NamedTuple):
    """What an attempt did to its own worker: the same in all states of a pod in which that worker and its ticker are the same."""

    reading: Reading
    worker: Worker
    """As it was before, and its ticker."""
    ticker: Ticker
    counted: Counted
    after: Ticker
    moves: bool | None = True
    """As the pod has it."""

    @property
    def quiet(self) -> bool:
        """Whether nothing follows from it for anybody else."""
        counted = self.counted
        return counted.decision is None and counted.settled is None and not counted.worker.on_hold

    def serves(self, reading: Reading, worker: Worker, ticker: Ticker, moves: bool | None) -> bool:
        """Tell whether the same comes of the attempt in this reading, for a worker in this state."""
        mine = self.reading
        return (
            self.moves is moves
            and self.ticker == ticker
            and (self.worker is worker or self.worker == worker)
            and mine.worker == reading.worker
            and mine.trigger is reading.trigger
            and mine.schedule is reading.schedule
            and mine.stopped is reading.stopped
        )


def turn_of(
    worker: Worker,
    old: Ticker,
    reading: Reading,
    spec: ProbeSpec,
    times: tuple[int, int],
    outcome: Outcome,
    cause: Cause,
    *,
    lingers: bool,
    moves: bool | None,
    begun: bool = False,
) -> Turn:
    """Return what an attempt from and until these `times` does to its worker; `begun` is its container's."""
    start_ns, end_ns = times
    counted = count(worker, outcome, spec)
    trigger = reading.trigger
    anchor = _next_anchor(old, reading, start_ns, spec, moves)
    took_ns = 0 if old.last_start_ns is None or old.busy_until_ns is None else old.busy_until_ns - old.last_start_ns
    slow = old.slow
    if trigger is Trigger.TICK and anchor is not None and not reading.stopped:
        slow = min(SLOW_MOST, slow + 2) if start_ns - anchor > SLOW_NS else max(0, slow - 1)
    kept = took_ns > spec.period_s * SECOND and start_ns - (old.busy_until_ns or 0) <= AT_ONCE_NS
    kept = kept or reading.stopped  # (It waited for a kubelet that got no CPU: its own tick may have been long before.)
    sure = trigger is not Trigger.STORED_TICK and (trigger is not Trigger.START or begun)
    # Where a tick and a poke both wait, Go picks either; the poke then waits on.
    waits = old.poked_ns is not None and trigger is Trigger.STORED_TICK and not reading.reset
    after = Ticker(
        tick_ns=anchor,
        sure=anchor is not None and (sure or old.sure),
        last_start_ns=start_ns,
        busy_until_ns=end_ns,
        lingers=lingers and cause not in UNCONNECTED,
        redials=cause is Cause.GRPC_CONNECT or (cause is Cause.CUT and spec.handler is Handler.GRPC),
        poked_ns=end_ns if waits else None,
        # What a sibling's decision caused while this one ran, waits for its end.
        stirred_ns=end_ns if old.stirred_ns is not None and old.stirred_ns >= start_ns - SYNCED_NS else None,
        suspicious=cause in SUSPICIOUS,
        refused=cause is Cause.REFUSED,
        runs=min(old.runs + 1, YOUNG),
        thawed_ns=end_ns if cause is Cause.CLIENT_LATE else start_ns if reading.stopped else None,
        just_ready=counted.decision is DecisionKind.READY or (old.just_ready and trigger is Trigger.STORED_TICK),
        kept=kept,
        phase_ns=old.tick_ns if trigger is Trigger.MANUAL and old.sure and _left(old, anchor, spec) else None,
        early_ns=max(0, start_ns - anchor) if trigger is Trigger.TICK and cause in UNCONNECTED and anchor else 0,
        slow=slow,
    )
    return Turn(reading, worker, old, counted, after, moves)


def goes_on_evenly(
    old: Ticker, reading: Reading, times: tuple[int, int], spec: ProbeSpec, moves: bool | None
) -> Ticker:
    """Return the ticker after a success that came when it was due, where nothing had been out of the ordinary (`is_even`)."""
    return Ticker(_next_anchor(old, reading, times[0], spec, moves), True, *times, runs=YOUNG)


def is_even(ticker: Ticker) -> bool:
    """Tell whether a ticker is as successes leave it that come when they are due."""
    tick_ns, start_ns, end_ns = ticker.tick_ns, ticker.last_start_ns, ticker.busy_until_ns
    return tick_ns is not None and ticker == Ticker(tick_ns, True, start_ns, end_ns, runs=YOUNG)


def ignores_pokes(old: Ticker, reading: Reading, start_ns: int, period_ns: int) -> bool:
    """Tell whether an attempt was read as a tick of the grid that a poke before it did not move (a kubelet up to 1.31)."""
    if reading.trigger is not Trigger.TICK or reading.schedule is not Schedule.ON_TIME or old.tick_ns is None:
        return False
    return _is_off(start_ns - old.tick_ns, period_ns)


def _left(old: Ticker, anchor: int | None, spec: ProbeSpec) -> bool:
    """Tell whether the worker's grid is another than it was."""
    if anchor is None or old.tick_ns is None:
        return False
    return _is_off(anchor - old.tick_ns, spec.period_s * SECOND)


def _is_off(since_ns: int, period_ns: int) -> bool:
    """Tell whether what comes so long after a tick is of another grid."""
    return (since_ns + GRID_EARLY_NS) % period_ns > GRID_EARLY_NS + ON_GRID_NS


def _next_anchor(old: Ticker, reading: Reading, start_ns: int, spec: ProbeSpec, moves: bool | None) -> int | None:
    """Return a moment on the worker's grid after this attempt; `moves` says whether one that is no tick moves it."""
    period = spec.period_s * SECOND
    if reading.trigger in (Trigger.TICK, Trigger.STORED_TICK) and old.tick_ns is not None:
        # A ticker does not drift, attempts only start late: follow early ones at once and late ones slowly.
        if reading.trigger is Trigger.STORED_TICK:
            if not old.sure:
                return None
            return old.tick_ns + (start_ns + EARLY_NS - old.tick_ns) // period * period
        # (Down, not to the nearest: a kubelet that got no CPU runs a tick however late.)
        early_ns = 0 if reading.stopped else GRID_EARLY_NS
        expected = old.tick_ns + (start_ns - old.tick_ns + early_ns) // period * period
        late = start_ns - expected
        if late > ON_GRID_NS and reading.schedule is Schedule.ON_TIME:
            return start_ns  # It was read as a tick of another grid.
        return start_ns if late <= 0 else expected + min(late, FOLLOWED_NS)
    if reading.reset == "kubelet":
        return start_ns  # Its ticker begins with the first attempt, if nothing holds that back.
    if moves is False and spec.type is ProbeType.READINESS and reading.trigger in (Trigger.MANUAL, Trigger.START):
        return old.tick_ns  # Up to 1.31 a poke leaves the ticker alone, and a first attempt is mostly a poke.
    return start_ns
