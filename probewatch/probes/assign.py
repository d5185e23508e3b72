"""Whose attempt is this? Reads one run in every way the workers' predictions allow, and says how far-fetched each way is.

Theory of operation. A ticker is exact to milliseconds (99 % within 5 ms:
docs/how-it-knows.md, "What was measured"), so an attempt that comes
when a worker's tick was due is almost surely that worker's. Off the grid only a readiness worker may run, and only
while its container is not Ready; anything else off the grid means that something happened before it: a new container,
a new kubelet, or a kubelet that got no CPU, whose ticks run late, together, and go on on the old grid. A worker runs
one attempt at a time, keeps one tick while it is busy, and is silent on hold and behind a startup probe. Each
departure has a cost (`costs`); `observer` carries the cheapest histories on.

Limitations: two workers due in the same millisecond cannot be told apart by time; their handlers, ports and paths
still do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Protocol

from probewatch.model.prediction import Manual, Prediction, Reading, Silence
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Schedule, Trigger
from probewatch.model.units import MS, SECOND

from .costs import (
    AGAINST_SILENCE,
    AT_A_TICK,
    AT_ONCE_ANEW,
    AT_THE_END,
    AT_THE_END_NS,
    BACK_DYING,
    BACK_MISSING,
    BACK_OFF,
    BACK_REFUSED,
    BACK_SOON,
    BEFORE,
    BEHIND,
    BEHIND_NS,
    BUSY_NODE,
    DELAYED_ACK_NS,
    DELAYED_NS,
    DUE_NS,
    EARLY_NS,
    ECHO,
    FIRST,
    FIRST_EARLY_NS,
    GATED_ANEW,
    GROWN,
    HERALD,
    IN_STEP,
    INHERITED,
    LATE_BY_NS,
    LATE_NS,
    LATENESS_MOST,
    LEAST_SHARE,
    LINGER_NS,
    LIVES_ON_MOST,
    LONG_NS,
    MISSED,
    MISSED_GONE,
    MISSED_MOST,
    NEVER_PAUSED,
    NEW_CONTAINER,
    NEW_CONTAINER_DYING,
    NEW_CONTAINER_SUSPICIOUS,
    NEW_KUBELET,
    NEW_KUBELET_QUICK,
    NEW_KUBELET_QUIET,
    NO_OUTAGE_NS,
    OFF_GRID,
    OLD_PHASE,
    ON_TIME_NS,
    OTHER_GRID,
    OUT_OF_TURN,
    POKE,
    POKE_ABSENT,
    POKE_AGAIN,
    POKE_DOUBLE,
    POKE_ENDED,
    POKE_EXPECTED,
    POKE_UNSEEN,
    POKE_WAITS,
    POKED_AGAIN_NS,
    POKED_NS,
    REDIALS_NS,
    REFUSED_AFTER,
    REOPENED,
    SAME_PHASE_NS,
    SHORTEST_OUTAGE_NS,
    SLOWEST,
    STARTUP_AGAIN,
    STARTUP_ANEW,
    STARTUP_DONE,
    STARTUP_NEXT,
    STARTUP_WOKEN,
    STOPS_NS,
    STORED,
    STORED_EARLY_NS,
    STORED_NS,
    STORED_TWICE,
    TICK_MOMENT_NS,
    TOO_EARLY,
    TOO_LATE,
    USUAL_OUTAGE_NS,
)
from .lately import NOBODY, Lately
from .runs import Run, fits, is_refused
from .stopped import IN_A_BURST, in_a_burst, is_frozen, late_tick


def readings(run: Run, predictions: Sequence[Prediction], *, elsewhere: Lately = NOBODY) -> list[Reading]:
    """Return the ways to read a run. `elsewhere` are the starts of the same checker's latest attempts at anybody, in order."""
    out: list[Reading] = []
    for prediction in predictions:
        fit = fits(run, prediction.spec)
        if fit is not None:
            out += readings_of(run.start.ns, fit, prediction, elsewhere, refused=is_refused(run))
    return out


def readings_of(
    start_ns: int,
    fit: float,
    prediction: Prediction,
    elsewhere: Lately,
    *,
    refused: bool = False,
    rivals: bool = False,
) -> list[Reading]:
    """Return the ways to read a run that began then as one worker's; `fit` says how well its form agrees (`runs.fits`).

    `rivals`: it may be another worker's as well. Where it cannot, a delay that was not kept is the spec's fault; but the
    container that was there before may still have been the one that answered.
    """
    found = _readings(start_ns, prediction, elsewhere)
    weighed = rivals or not prediction.poked_anew  # (where nothing pokes, only delays tell when a container began)
    if weighed and prediction.not_before_ns is not None and start_ns < prediction.not_before_ns:
        fit += TOO_EARLY
    busy_ns = prediction.busy_until_ns
    if rivals and busy_ns is not None and -MS <= start_ns - busy_ns < AT_THE_END_NS:
        fit += AT_THE_END
    overdue_ns = prediction.overdue_ns
    if overdue_ns is not None and start_ns > overdue_ns and (weighed or prediction.last_start_ns is None):
        fit += TOO_LATE
    if prediction.renewed_ns is not None and start_ns < prediction.renewed_ns and (rivals or prediction.dying):
        found = [_add(one, TOO_EARLY if one.reset == "container" else 0.0) for one in found]
    if not refused and _reopened(prediction):
        found = [_add(one, 0.0 if one.reset else REOPENED) for one in found]
    if prediction.dying and prediction.alive_ns is not None and start_ns < prediction.alive_ns - MS:
        # (It began before the attempt was over that decided the kill.)
        found = [one for one in found if one.reset not in ("container", "herald")]
    if rivals and not refused and prediction.dying:
        found = [_add(one, _succeeded(start_ns, prediction, reset=bool(one.reset))) for one in found]
    if refused and not prediction.suspicious:
        found = [_add(one, REFUSED_AFTER if one.reset == "kubelet" or is_frozen(one) else 0.0) for one in found]
    return [_add(reading, fit) for reading in found] if fit else found


class Ticks(Protocol):
    """When a worker ran, as `Prediction` says it too."""

    @property
    def tick_ns(self) -> int | None:
        """A moment on its grid."""

    @property
    def busy_until_ns(self) -> int | None:
        """When its last attempt was over."""

    @property
    def lingers(self) -> bool:
        """Whether that may have held it up longer."""

    @property
    def stirred_ns(self) -> int | None:
        """When a sibling made a pod sync."""


def due_readings(start: int, worker: int, period_ns: int, ticks: Ticks, manual: Manual) -> list[Reading] | None:
    """Return the ways to read an attempt that came when the next tick of its worker was due; None where it did not.

    What `readings_of` says of a worker that ran before, was not poked, and is neither silent nor dying: most attempts there
    are, so that they cost no prediction.
    """
    anchor, busy = ticks.tick_ns, ticks.busy_until_ns
    if anchor is None or busy is None:
        return None
    late = start - anchor - period_ns
    if not -DUE_NS < late < DUE_NS or start - busy <= (LINGER_NS if ticks.lingers else POKED_NS):
        return None
    found = [Reading(worker, lateness(late), Trigger.TICK, Schedule.ON_TIME)]
    if manual in (Manual.POSSIBLE, Manual.UNSEEN):
        if ticks.stirred_ns is not None and start - ticks.stirred_ns <= POKED_NS + DELAYED_ACK_NS:
            return None
        cost = POKE_UNSEEN if manual is Manual.UNSEEN else POKE
        found.append(Reading(worker, cost + _coincidence(late), Trigger.MANUAL, Schedule.EXTRA))
    return found


def _just_after(poked_ns: int | None, start: int, p: Prediction) -> bool:
    """Tell whether a start follows a poke at once: when its worker is free, which a delayed ACK of its last FIN may hold up."""
    # (An attempt that its deadline ended was over up to a millisecond sooner: the deadline is counted from its SYN.)
    return poked_ns is not None and -MS <= start - poked_ns <= POKED_NS + (DELAYED_ACK_NS if p.lingers else 0)


def _add(reading: Reading, cost: float) -> Reading:
    return reading._replace(cost=reading.cost + cost) if cost else reading


def _readings(start: int, p: Prediction, elsewhere: Lately) -> list[Reading]:
    if p.last_start_ns is None:
        return [_add(reading, OUT_OF_TURN if p.out_of_turn else 0.0) for reading in _first(start, p)]
    if p.redials and p.busy_until_ns is not None and start < p.busy_until_ns - MS:
        since = start - p.last_start_ns
        cost = 0.5 if any(low <= since <= high for low, high in REDIALS_NS) else 4.0
        return [Reading(p.worker, cost, Trigger.UNKNOWN, Schedule.ON_TIME, redial=True)]
    if p.busy_until_ns is not None and start < p.busy_until_ns - p.early_ns - MS:
        return []  # One attempt of a worker at a time.
    if p.silence is Silence.ON_HOLD:
        return _woken(start, p, elsewhere)
    tick = _tick(start, p)
    on_grid = tick is not None and tick.cost < FIRST
    gated = AGAINST_SILENCE if p.silence is Silence.GATED else 0.0
    out = [] if tick is None else _ticks(start, p, tick)
    if p.tick_ns is not None and not gated and not on_grid:
        late = late_tick(start, p, p.tick_ns, elsewhere)
        out += [] if late is None else [late]
        out += _behind(start, p, p.tick_ns) if tick is None else []
    if p.manual in (Manual.POSSIBLE, Manual.UNSEEN) or p.poked_ns is not None:
        out.append(_poke(start, p))
    if not on_grid:
        out += _pokes_anew(start, p, elsewhere)
        if p.spec.type in (ProbeType.LIVENESS, ProbeType.STARTUP) and tick is None:
            out.append(Reading(p.worker, OFF_GRID, Trigger.UNKNOWN, Schedule.EXTRA))
    elif tick is not None and _poked_in_step(p):
        anew = [one for one in _pokes_anew(start, p, elsewhere) if one.reset]
        out += [one._replace(cost=one.cost + IN_STEP, schedule=Schedule.ON_TIME) for one in anew]
    out = [_add(reading, gated) for reading in out]
    if not on_grid:
        out += _kubelet(start, p, elsewhere)
    elif p.spec.type is ProbeType.STARTUP and p.dying:
        out.append(Reading(p.worker, _renewal(p), Trigger.TICK, Schedule.ON_TIME, "container"))
    return out


def _woken(start: int, p: Prediction, elsewhere: Lately) -> list[Reading]:
    """Read it as an attempt of a worker that was on hold: only a new container wakes it; its ticker went on ticking meanwhile."""
    kind, renewal = p.spec.type, _renewal(p)
    if kind is ProbeType.STARTUP:
        renewal = STARTUP_ANEW if p.dying else min(renewal, STARTUP_WOKEN)  # What else would wake it?
    renewal += (INHERITED if p.inherits else AGAINST_SILENCE) if p.gated_anew else 0.0
    if _tick(start, p) is None:
        off_grid = Reading(p.worker, OFF_GRID, Trigger.UNKNOWN, Schedule.ON_TIME, "container")
        late = None if p.tick_ns is None else late_tick(start, p, p.tick_ns, elsewhere)
        waited = [] if late is None else [late._replace(cost=late.cost + renewal, reset="container", missed=0)]
        return [off_grid, *waited, *_kubelet(start, p, elsewhere)]
    off = min(lateness(start - p.tick_ns, p.period_ns), OFF_GRID) if p.tick_ns is not None else 0.0
    off += OUT_OF_TURN if p.out_of_turn else 0.0
    if not p.poked_anew and p.container_ns is not None:
        off += _share(start - p.spec.initial_delay_s * SECOND - p.container_ns, p)
    woken = Reading(p.worker, renewal + off, Trigger.TICK, Schedule.ON_TIME, "container")
    # (What had started is asked again by a new kubelet up to 1.34, though its container is the old one.)
    return [woken, *_kubelet(start, p, elsewhere)] if kind is ProbeType.STARTUP or off >= FIRST else [woken]


def _ticks(start: int, p: Prediction, tick: Reading) -> list[Reading]:
    """Return the ways to read it as a tick of its grid: at the container that was there, or at its successor."""
    if _reopened(p) or (tick.missed and _came_back(start, p)):
        back = BACK_REFUSED if p.refused or p.dying else BACK_OFF + (BACK_SOON if tick.missed == 1 else 0.0)
        if p.tick_ns is not None:
            back += lateness(start - p.tick_ns, p.period_ns)  # That it keeps the old grid is all that speaks for it.
        return [tick, tick._replace(cost=back, reset="container")]
    if _unheralded(start, p):
        lives_on, anew = _succession(start, p)
        return [_add(tick, lives_on), tick._replace(cost=tick.cost + anew, reset="container")]
    return [tick]


def _pokes_anew(start: int, p: Prediction, elsewhere: Lately) -> list[Reading]:
    """Return the ways to read it as a poke of what is Ready, or that a new container brings."""
    once_more = p.just_ready if p.manual is Manual.READY else p.manual is Manual.ANEW and _at_beginning(p)
    waited = start - (p.busy_until_ns or 0)
    if once_more and waited <= DELAYED_NS:
        slow = lateness(waited) * (1 - p.slow / SLOWEST) if waited > POKED_NS else 0.0
        return [Reading(p.worker, POKE_DOUBLE + slow, Trigger.MANUAL, Schedule.EXTRA)]
    if p.manual not in (Manual.READY, Manual.ANEW):
        return []
    cost = _renewal(p) + ((INHERITED if p.inherits else GATED_ANEW) if p.gated_anew else 0.0)
    cost += _old_phase(start, p.phase_ns, p) + (IN_A_BURST if in_a_burst(start, elsewhere) else 0.0)
    anew = Reading(p.worker, cost, Trigger.MANUAL, Schedule.EXTRA, "container")
    if p.manual is not Manual.READY or not p.spec.initial_delay_s:
        return [anew]
    return [anew, anew._replace(cost=cost + HERALD, reset="herald")]


def _first(start: int, p: Prediction) -> list[Reading]:
    cost = FIRST
    trigger = Trigger.START
    if _just_after(p.poked_ns, start, p):
        cost, trigger = POKE_EXPECTED, Trigger.MANUAL
    if p.silence is Silence.GATED:
        cost += AGAINST_SILENCE
    if p.echo_ns is not None and 0 <= start - p.echo_ns <= POKED_NS:
        cost += ECHO
    cost += _old_phase(start, p.phase_ns, p)
    if p.spec.type is ProbeType.STARTUP and not (p.begun or p.dying):
        cost += STARTUP_DONE
    first = Reading(p.worker, cost, trigger, Schedule.ON_TIME)
    if p.spec.type is ProbeType.STARTUP and p.container_ns is not None and (p.inherits or not p.new_kubelet):
        # What ran before it had started, so this is another container.
        return [_add(first, STARTUP_NEXT - FIRST if p.dying else STARTUP_AGAIN)._replace(reset="container")]
    if p.dying:
        return [first, Reading(p.worker, cost, Trigger.UNKNOWN, Schedule.ON_TIME, "container")]
    return [first]


def _tick(start: int, p: Prediction) -> Reading | None:
    """Read it as a tick (or as the one tick kept while busy), whichever is the more likely."""
    absent = 0.0
    if p.poked_ns is not None:
        if _just_after(p.poked_ns, start, p):
            absent = POKE_WAITS
        elif p.ended_ns is not None and start > p.ended_ns:
            absent = POKE_ENDED
        elif not p.dying and not (p.spec.initial_delay_s and not p.runs):
            # (A pod sync that kills the container holds up the next one, and with it the poke; a delay lets none through.)
            absent = POKE_ABSENT
    if p.tick_ns is None:
        # The grid is not known, but an attempt that took longer than a period has surely kept a tick waiting.
        kept = _stored(start, p, p.last_start_ns) if p.last_start_ns is not None else None
        kept = kept or _perhaps_stored(start, p)
        return _add(kept, absent) if kept else Reading(p.worker, FIRST + absent, Trigger.TICK, Schedule.ON_TIME)
    found = [
        reading for reading in (_on_grid(start, p, p.tick_ns), _stored(start, p, p.tick_ns)) if reading is not None
    ]
    if not found and p.grid_unsure:
        found = [Reading(p.worker, OTHER_GRID, Trigger.TICK, Schedule.ON_TIME)]
    return _add(min(found, key=lambda reading: reading.cost), absent) if found else None


def _on_grid(start: int, p: Prediction, anchor: int) -> Reading | None:
    steps = round((start - anchor) / p.period_ns)
    late = start - (anchor + steps * p.period_ns)
    early_ns = FIRST_EARLY_NS if p.runs == 1 else EARLY_NS
    if steps < 1 or not -early_ns <= late <= min(LATE_NS, p.period_ns // 3):
        return None
    missed = steps - 1
    if missed and p.busy_until_ns is not None:
        missed = max(0, missed - max(0, (p.busy_until_ns - anchor) // p.period_ns))
    # A container that dies, went away or just began (initialDelaySeconds) explains its silence.
    back = (p.refused or p.dying) and _came_back(start, p)  # then that is what explains it
    explained = (p.dying and not _poked_in_step(p)) or (p.begun and p.runs == 0)
    # (Where new containers are not poked, what is gone is back at a tick, which is read so: `_unheralded`.)
    gone = MISSED if back else 0.0 if explained else MISSED_GONE if p.suspicious and p.poked_anew else MISSED
    cost = min(missed * gone, MISSED_MOST) + lateness(late) * (1 - p.slow / SLOWEST)
    schedule = Schedule.ON_TIME if late <= ON_TIME_NS else Schedule.LATE
    return Reading(p.worker, cost, Trigger.TICK, schedule, missed=missed)


def _behind(start: int, p: Prediction, anchor: int) -> list[Reading]:
    """Read it as a tick that the worker was slow to run, or as one in time where those before were slow.

    On a node with little time to spare each worker waits for its turn; then others of its Pod were slow as well.
    """
    steps = (start + p.period_ns // 2 - anchor) // p.period_ns
    due = anchor + steps * p.period_ns
    most = min(BEHIND_NS, p.period_ns // 3)
    if steps < 1 or abs(start - due) > most or (start < due and p.runs >= GROWN and not p.slow):
        return []
    if p.last_start_ns is None or p.last_start_ns > due - p.period_ns // 2 or (p.busy_until_ns or 0) > due:
        return []
    slow = start > due
    # (The few before it were late then by what it looks early, and that they were adds up.)
    off = BEHIND - p.slow if slow else BEFORE + lateness(due - start) * (1 - p.slow / SLOWEST)
    cost = off + min((steps - 1) * MISSED, MISSED_MOST)
    return [Reading(p.worker, cost, Trigger.TICK, Schedule.LATE if slow else Schedule.ON_TIME, missed=steps - 1)]


def _stored(start: int, p: Prediction, anchor: int) -> Reading | None:
    """Read it as the tick that came while the last attempt was still running: it runs as soon as that one is over."""
    busy = p.busy_until_ns
    if busy is None or start < busy - p.early_ns - MS:
        return None
    over = start if p.lingers and start - busy <= LINGER_NS else busy
    since = (p.last_start_ns or anchor) - anchor
    until = (over + STORED_EARLY_NS - anchor) // p.period_ns
    cost = STORED + (1.0 if start > busy + DELAYED_ACK_NS else 0.0)
    if until <= (since + STORED_EARLY_NS) // p.period_ns:
        if not p.kept or until <= (since - STORED_EARLY_NS) // p.period_ns:
            return None
        cost += STORED_TWICE
    if start > busy + (LINGER_NS if p.lingers else STORED_NS):
        return None
    return Reading(p.worker, cost, Trigger.STORED_TICK, Schedule.LATE)


def _perhaps_stored(start: int, p: Prediction) -> Reading | None:
    """Read it, on a grid that is not known, as a tick that fell into the last attempt, and so ran as soon as that was over."""
    if p.busy_until_ns is None or p.last_start_ns is None or p.busy_until_ns - p.last_start_ns < LONG_NS:
        return None
    if not -MS <= start - p.busy_until_ns <= STORED_NS:
        return None
    return Reading(p.worker, FIRST, Trigger.STORED_TICK, Schedule.LATE)


def _came_back(start: int, p: Prediction) -> bool:
    """Tell whether its container may have been away, though the worker's grid is the old one.

    No other probe of the container ran meanwhile. A new container pokes its readiness probe, which moves its grid: not
    up to 1.31, where initialDelaySeconds may hide the poke, nor does a poke show that came while the container was away.
    """
    if p.gated_anew or p.container_ns is None or start - p.container_ns < 2 * p.period_ns - EARLY_NS:
        return False
    if p.spec.type is ProbeType.LIVENESS:
        return not p.heralded and not p.dying
    hidden = p.spec.initial_delay_s > 0 or (p.refused and not p.dying) or not p.poked_anew
    return p.spec.type is ProbeType.READINESS and p.grid_stays is not False and hidden


def _poked_in_step(p: Prediction) -> bool:
    """Tell whether a tick may be the poke of a new container, after the one before was told to die.

    Where ticks are missing before it must be: what still ran would have been asked.
    """
    return p.dying and p.poked_anew and p.spec.type is ProbeType.READINESS and not (p.silence or p.gated_anew)


def _reopened(p: Prediction) -> bool:
    """Tell whether an answer now is mostly its new container's: the old one was told to die and had closed its port.

    (Where new containers are poked, that shows them.)
    """
    return p.dying and p.refused and not p.poked_anew and p.spec.type is ProbeType.READINESS and not p.silence


def _unheralded(start: int, p: Prediction) -> bool:
    """Tell whether a tick of a readiness probe may be the first at a new container, where none pokes it.

    Nothing of the tick shows it, but what came before does: the container was told to die, or another of its probes missed
    a tick, which a new container's initialDelaySeconds make it do.
    """
    if p.poked_anew or p.spec.type is not ProbeType.READINESS or p.silence or p.gated_anew:
        return False
    return p.dying or (p.missing_ns is not None and start > p.missing_ns + LATE_NS)


def _succession(start: int, p: Prediction) -> tuple[float, float]:
    """Return the costs of a tick that nothing heralds: at the container that was there, and as the first at its successor."""
    if not p.dying:
        return 0.0, BACK_MISSING
    return _lives_on(start, p), BACK_DYING - math.log(1 - math.exp(-_stopping(start, p)))


def _succeeded(start: int, p: Prediction, *, reset: bool) -> float:
    """Return the cost of an attempt that may be of another worker as well, behind a kill: at the successor (`reset`), or not yet."""
    if reset:
        return AT_ONCE_ANEW if p.alive_ns is not None and start - p.alive_ns <= POKED_NS else 0.0
    # (Where a startup probe asks the same: it is what comes next.)
    return _lives_on(start, p) if p.spec.type is ProbeType.READINESS and p.gated_anew else 0.0


def _lives_on(start: int, p: Prediction) -> float:
    """Return the cost of another attempt at a container that was told to die."""
    return min(_stopping(start, p), LIVES_ON_MOST)


def _stopping(start: int, p: Prediction) -> float:
    """Return how long a container may have been gone, against how long it takes to stop."""
    return max(start - max(p.container_ns or 0, p.alive_ns or 0), AT_THE_END_NS) / STOPS_NS


def _share(left: int, p: Prediction) -> float:
    """Return the cost of a new container that was noticed within this time, where none is poked.

    A probe runs at its first tick after that, and its delay: so it was noticed within a period, and the later in that period
    another attempt at the container came, the likelier it was the new one's already.
    """
    return -math.log(min(max(left / p.period_ns, LEAST_SHARE), 1.0))


def _off(since_ns: int, period_ns: int) -> int:
    """Return how far from a tick something is that came so long after one, early ones negative."""
    return (since_ns + EARLY_NS) % period_ns - EARLY_NS


def lateness(off_ns: int, period_ns: int = 0) -> float:
    """Return the cost of a distance from the grid (of a whole number of periods, where one is given)."""
    if period_ns:
        off_ns = _off(off_ns, period_ns)
    return min(abs(off_ns) / LATE_BY_NS, LATENESS_MOST)


def _poke(start: int, p: Prediction) -> Reading:
    assert p.last_start_ns is not None
    if _just_after(p.poked_ns, start, p):
        cost = POKE_EXPECTED
    elif _just_after(p.stirred_ns, start, p):
        cost = POKE_DOUBLE
    elif p.manual is Manual.UNSEEN:
        cost = POKE_UNSEEN + _at_a_tick(start, p)
    elif _at_beginning(p) and p.busy_until_ns is not None and start - p.busy_until_ns <= POKED_NS:
        cost = POKE_DOUBLE
    elif _at_beginning(p) and p.grid_stays is False and start - p.last_start_ns <= POKED_AGAIN_NS:
        cost = POKE_AGAIN + _at_a_tick(start, p)
    else:
        cost = POKE + _at_a_tick(start, p)
    return Reading(p.worker, cost, Trigger.MANUAL, Schedule.EXTRA)


def _at_a_tick(start: int, p: Prediction) -> float:
    """Return the cost of a poke that falls on a tick, unless a close that took its time held it up until then."""
    held_up = p.lingers and p.busy_until_ns is not None and start - p.busy_until_ns <= LINGER_NS
    return 0.0 if p.tick_ns is None or held_up else _coincidence(_off(start - p.tick_ns, p.period_ns))


def _coincidence(late: int) -> float:
    """Return the cost of a poke this long after a tick was due."""
    return AT_A_TICK if abs(late) < TICK_MOMENT_NS else 0.0


def _at_beginning(p: Prediction) -> bool:
    """Tell whether it ran no more than once since its container or its kubelet began, which pokes it (since 1.21) until it has a result."""
    return (p.begun or p.new_kubelet) and p.runs <= 1


def _renewal(p: Prediction) -> float:
    if p.dying:
        return NEW_CONTAINER_DYING
    return NEW_CONTAINER_SUSPICIOUS if p.suspicious else NEW_CONTAINER


def _kubelet(start: int, p: Prediction, elsewhere: Lately) -> list[Reading]:
    """Read it as an attempt of a restarted kubelet: new phases for all, after silence towards everybody."""
    assert p.last_start_ns is not None
    heard = p.last_start_ns if p.heard_ns is None else p.heard_ns
    seen = sorted(ns for ns in elsewhere if heard < ns < start)
    # With many targets the latest attempts reach back less than this worker's last: only a pause is known of before them.
    short = len(elsewhere) >= BUSY_NODE and min(elsewhere) > heard
    since = list(itertools.pairwise([*([] if short else [heard]), *seen, start]))
    if short and elsewhere.pause is not None and elsewhere.pause[0] >= heard:
        since.append(elsewhere.pause)
    since = [pause for pause in since if not elsewhere.ran_on(*pause)]
    begun, back = max(since, key=lambda pause: pause[1] - pause[0], default=(start, start))
    silent = back - begun
    if silent <= (SHORTEST_OUTAGE_NS if p.dying else NO_OUTAGE_NS):
        # It never paused, so it was not restarted: the attempt is off its grid for a reason that no frame shows.
        if p.silence is not Silence.NONE:
            return []
        return [Reading(p.worker, NEVER_PAUSED, Trigger.UNKNOWN, Schedule.EXTRA)]
    if silent <= SHORTEST_OUTAGE_NS:
        cost = NEW_KUBELET_QUICK
    elif silent <= max(1.5 * p.period_ns, USUAL_OUTAGE_NS) or (p.suspicious and p.poked_anew):
        # (Where nothing is poked a new container runs on the old grid.)
        cost = NEW_KUBELET
    else:
        cost = NEW_KUBELET_QUIET
    cost += (GATED_ANEW if p.behind else 0.0) + (IN_A_BURST if in_a_burst(start, elsewhere) else 0.0)
    cost += _old_phase(start, p.tick_ns, p)
    return [Reading(p.worker, cost, Trigger.START, Schedule.EXTRA, "kubelet", back_ns=back)]


def _old_phase(start: int, phase: int | None, p: Prediction) -> float:
    """Return the cost of a new container's or kubelet's first attempt that meets a grid of the one before: its phase is a random one."""
    return OLD_PHASE if phase is not None and abs(_off(start - phase, p.period_ns)) <= SAME_PHASE_NS else 0.0
