"""Which checks belong together: one series for each checker that asks at one port, also where several interleave.

Theory of operation. All runs of one source to one target port are read together. A run that shows what it asks has a
`Shape`; one that was refused or never answered shows nothing and may be anybody's. First each shape's own runs tell
how many checkers share it and how they pace (`paces`): two routers that check the same server are two series of one
period, a loop of nc and keepalived are two of different periods. Then one walk through all runs (`assign`) gives each
to the series that expected one at that moment. The walk carries several histories side by side, because a refused
check can fit two series and only what follows tells; a history costs more the less its gaps are explained. A checker
may know other pauses than its usual one (HAProxy's fastinter and downinter, keepalived's delay_before_retry, a
timeout added to the pause): a history that meets such a gap once pays for it, and from then on expects it.

Limitations: two checkers that ask the same, with random pauses (spread-checks) and from one address, are read as one.
A series needs ENOUGH checks that show what they ask.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log1p
from typing import Final, NamedTuple

from probewatch.model.units import HOUR, MS, SECOND

from .cadence import median
from .shapes import Shape, What
from .signatures import Basis

ENOUGH: Final = 4
"""Checks of one shape before they can be called a series."""
SHORTEST_NS: Final = 90 * MS
"""No checker pauses less between two checks."""
LONGEST_NS: Final = HOUR
REACH: Final = 10
"""Followers looked at for each check when its pace is sought: more interleaved series than this are not told apart."""
WIDTHS: Final = (12 * MS, 60 * MS, 240 * MS)
"""How far the pauses of one series may differ, tried from narrow to wide."""
FLOOR_NS: Final = 4 * MS
"""Smallest spread a pace is credited with (a busy node starts checks this late)."""
EXACT_NS: Final = 8 * MS
"""Spread up to which a pause is a daemon's timer and not a shell's sleep."""
UNEVEN_NS: Final = 200 * MS
"""Checks whose durations differ by this much show whether their interval counts from their ends or from their starts."""
EVEN_STEPS: Final = 8
"""Steps from start to start that show whether they are even ..."""
EVEN_NS: Final = 25 * MS
"""... to within this ..."""
MOSTLY_EVEN: Final = 0.8
"""... and how many of them must be, where the others may be a check that is missing."""
BEAM: Final = 32
"""Histories carried on."""
NARROW: Final = 8
"""The same where there are more than LONG checks, to keep the walk short."""
LONG: Final = 20_000
MOST_TRACKS: Final = 12
"""Series told apart at one port; the rarest shapes beyond that are left alone."""
MOST_RUNS: Final = 200_000
"""Runs of one source at one port that are walked through (two days of a check a second); what is beyond counts as traffic."""
EVENLY_NS: Final = 6 * MS
"""Checks between those of another chain lie evenly where half of them are this near to an even part of the gap."""
MOST_CHAINS: Final = 1_000
"""Chains of one pace that are compared with one another."""
MOST_PARTS: Final = 4
"""A checker whose server is down may ask this much more often, and is one still."""
BUSIEST: Final = 10
"""Checks a second of one shape from one source at one port: more than that is no health checking."""
LOOSE: Final = 0.5
"""Share of a shape's checks that no pace explains, from which it is no checker's."""
SURE: Final = 1.0
"""Cost up to which a check comes when it is due."""
LEARNT: Final = 4
"""Pauses beside the usual one that a series may have."""

# Costs, about the negative logarithm of how often it happens.
CAP: Final = 12.0
NOBODY: Final = 12.0
"""A check that shows nothing belongs to no series, where nothing but series was seen at this port."""
NOBODY_BUSY: Final = 1.5
"""The same, where its source also sends traffic there."""
BUSY: Final = 0.1
"""Share of connections outside the series from which a port counts as busy."""
NEW_PAUSE: Final = 4.0
KNOWN_PAUSE: Final = 0.4
NEAR_PAUSE: Final = 6.0
"""A pause a little beside the usual one, of the only series at a port: a cycle of Monit's is as long as all that is checked in it."""
MISSING: Final = 2.5
"""A check that should have come is not in the capture, each."""
NEW_TIMEOUT: Final = 3.0
"""The first step after a check that silence ended: how long it waited is not known yet."""
LOOSELY: Final = 2.5
"""Any pause, before or after a check that shows nothing, of requests that a checker passes on: who is refused asks as he likes."""
PATIENT: Final = 3.0
"""A plain connect check stays on an open connection: all that it wanted was there at once."""
UNSEEN: Final = 3.0
"""A series begins with a check that shows nothing ..."""
BORNE_OUT: Final = 2.5
"""... less this, where the next one comes just when an exact pace wants it."""


class Check(NamedTuple):
    """One run as the walk needs it."""

    start: int
    end: int | None
    """When the checker was through with it, as frames show; None where silence ended it."""
    shape: Shape | None
    failed: bool
    """It was refused or unanswered, or broke off."""
    patience: int = 0
    """How long it was still asking: from the first SYN to the last."""
    waited: int | None = None
    """How long it waited on an open connection before it hung up unanswered; None where it was answered."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a series moves on."""

    shape: Shape
    basis: Basis
    interval_ns: int
    spread_ns: int
    timeout_ns: int | None = None
    """Where checks of this shape that hung up unanswered show it."""


@dataclass(slots=True)
class Track:
    """One checker's series at one port."""

    pace: Pace
    members: list[int] = field(default_factory=list)
    """Indices of its checks, in order."""


def tracks(
    checks: Sequence[Check],
    clocks: frozenset[Shape],
    known: frozenset[Shape] = frozenset(),
    loose: frozenset[Shape] = frozenset(),
) -> list[Track]:
    """Return the series among the checks of one source at one port, in the order of their starts.

    `clocks` are shapes that tick, `known` those that name a checker, `loose` requests of others that this checker passes on.
    """
    if len(checks) > MOST_RUNS:
        return []
    found = paces(checks, clocks, known)
    return assign(checks, found, loose) if found else []


# How many series a shape has, and how they pace.


def paces(checks: Sequence[Check], clocks: frozenset[Shape], known: frozenset[Shape] = frozenset()) -> list[Pace]:
    """Find the paces of all shapes, the commonest shapes first."""
    by_shape: dict[Shape, list[Check]] = {}
    for check in checks:
        if check.shape is not None:
            by_shape.setdefault(check.shape, []).append(check)
    out: list[Pace] = []
    for shape, members in sorted(by_shape.items(), key=lambda item: -len(item[1])):
        calm = len(members) * SECOND <= BUSIEST * (members[-1].start - members[0].start)
        if len(members) >= ENOUGH and calm and len(out) < MOST_TRACKS:
            basis = Basis.CLOCK if shape in clocks else Basis.PAUSE
            out += _paces_of(shape, members, basis, people=shape not in known)
    return out[:MOST_TRACKS]


def _paces_of(shape: Shape, members: Sequence[Check], basis: Basis, *, people: bool) -> list[Pace]:
    """Take one pace after another out of a shape's checks, as long as what is left runs beside what was taken.

    `people` says that it may be people who ask: a checker that is known may pause in many ways (HAProxy's fastinter and
    downinter).
    """
    left = list(members)
    if basis is Basis.PAUSE and (_holds_on(members) or _keeps_time(members) or (people and _makes_up(members))):
        basis = Basis.CLOCK
    waits = [check.waited for check in members if check.waited is not None]
    timeout = int(median(waits)) if waits else None
    out: list[Pace] = []
    spans: list[list[tuple[int, int]]] = []
    while len(left) >= ENOUGH and len(out) < MOST_TRACKS:
        if not all(_beside(left, taken) for taken in spans):
            break
        best = _bestgap_between(left, basis)
        if best is None:
            break
        gap, width = best
        linked = _chains(left, basis, gap, width)
        long = [chain for chain in linked if len(chain) >= 3]
        steps = [gap_between(left[a], left[b], basis) for chain in long for a, b in pairwise(chain)]
        if len(steps) < ENOUGH - 1:
            break
        middle = int(median(steps))
        spread = max(FLOOR_NS, int(1.5 * median(abs(step - middle) for step in steps)))
        own = long if people else _checkers(left, long, basis, gap)
        side_by_side = _most(_depths([(left[chain[0]].start, left[chain[-1]].start) for chain in own]))
        out += [Pace(shape, basis, middle, spread, timeout)] * side_by_side
        spans.append([(left[chain[0]].start, left[chain[-1]].start) for chain in long])
        taken = {index for chain in long for index in chain}
        left = [check for index, check in enumerate(left) if index not in taken]
    if people and len(left) > LOOSE * len(members):
        out = []  # people, of whose pauses some are alike by chance
    if not out and (lone := _irregular(members, basis)) is not None:
        out.append(Pace(shape, basis, *lone, timeout))
    elif not out and not people:
        # Who asks so is known: random pauses (spread-checks) of several kinds (fastinter, downinter) are its own.
        middle = int(median(gap_between(a, b, basis) for a, b in pairwise(members)))
        out.append(Pace(shape, basis, max(middle, SHORTEST_NS), max(middle // 2, FLOOR_NS), timeout))
    return out


def _holds_on(members: Sequence[Check]) -> bool:
    """Tell whether a client closes each connection only when it makes the next: then the close tells nothing of the check's end."""
    pairs = [(b.start - a.start, b.start - a.end) for a, b in pairwise(members) if a.end is not None]
    return (
        len(pairs) >= ENOUGH and median(gap for _, gap in pairs) < SHORTEST_NS <= median(step for step, _ in pairs) // 2
    )


def _keeps_time(members: Sequence[Check]) -> bool:
    """Tell whether checks start on one grid though some take much longer than others: no pause after them does that."""
    took = [check.end - check.start for check in members if check.end is not None]
    return bool(took) and max(took) - min(took) >= UNEVEN_NS and ticks([check.start for check in members])


def _makes_up(members: Sequence[Check]) -> bool:
    """Tell whether the step from start to start is the same after checks that took long: a loop that sleeps for what is left of it.

    It may walk out of every grid. (Of HAProxy, fastinter and its timeout may make up one `inter` by chance.)
    """
    if len(members) < EVEN_STEPS:
        return False
    steps = [after.start - before.start for before, after in pairwise(members)]
    middle, usual = median(steps), median([one.end - one.start for one in members if one.end is not None] or [0])
    even = [abs(step - middle) <= EVEN_NS for step in steps]
    long = [
        number for number, one in enumerate(members[:-1]) if one.end is None or one.end - one.start >= usual + UNEVEN_NS
    ]
    return len(long) >= ENOUGH - 1 and all(even[number] for number in long) and sum(even) >= MOSTLY_EVEN * len(even)


def ticks(starts: Sequence[int]) -> bool:
    """Tell whether starts stand on a grid of a round period to within a few milliseconds, also over many steps."""
    steps = [b - a for a, b in pairwise(starts)]
    if len(steps) < EVEN_STEPS:
        return False
    period = round(median(steps) / (10 * MS)) * 10 * MS
    if period < SHORTEST_NS:
        return False
    offsets = sorted((start - starts[0] + period // 2) % period for start in starts)
    # All but a few late ones within a narrow window: a pause of a millisecond's jitter walks out of it in ten steps.
    low, high = offsets[len(offsets) // 20], offsets[-1 - len(offsets) // 20]
    return high - low <= EVEN_NS


def gap_between(before: Check, after: Check, basis: Basis) -> int:
    """Return how long it was from one check to the next, as its checker counts."""
    return after.start - (before.end if basis is Basis.PAUSE and before.end is not None else before.start)


def _bestgap_between(members: Sequence[Check], basis: Basis) -> tuple[int, int] | None:
    """Return (gap, width) that most pairs of near checks agree on, beyond chance; the narrowest width that will do."""
    gaps = sorted(
        gap
        for index, check in enumerate(members)
        for other in members[index + 1 : index + 1 + REACH]
        if SHORTEST_NS <= (gap := gap_between(check, other, basis)) <= LONGEST_NS
    )
    if not gaps:
        return None
    span = max(gaps[-1] - gaps[0], SECOND)
    best: tuple[float, int, int] | None = None
    for width in WIDTHS:
        noise = len(gaps) * width / span
        low = 0
        for high, gap in enumerate(gaps):
            while gap - gaps[low] > width:
                low += 1
            votes = high - low + 1
            score = (votes - noise) / (noise + 1) ** 0.5
            if votes >= ENOUGH - 1 and votes >= 3 * noise and (best is None or score > best[0] * 1.15):
                best = (score, gaps[(low + high) // 2], width)
        if best is not None:
            best = _smallest(gaps, best)
        if best is not None and best[0] >= 0.4 * (len(members) - 1):
            break
    return (best[1], best[2]) if best is not None else None


def _smallest(gaps: Sequence[int], best: tuple[float, int, int]) -> tuple[float, int, int]:
    """Return a whole fraction of a gap that is voted for nearly as well: every multiple of a pace is voted for, too."""
    score, gap, width = best
    votes = bisect_right(gaps, gap + width) - bisect_left(gaps, gap - width)
    for times in (3, 2):
        low, high = gap // times - max(width, gap // 50), gap // times + width
        part = gaps[bisect_left(gaps, low) : bisect_right(gaps, high)]
        if part and len(part) >= 0.5 * votes:
            return score, int(median(part)), width
    return best


def _chains(members: Sequence[Check], basis: Basis, gap: int, width: int) -> list[list[int]]:
    """Link each check to the nearest one that stands the gap before it."""
    chains: list[list[int]] = []
    for index, check in enumerate(members):
        best: list[int] | None = None
        off = width + 1
        for chain in chains[-REACH:]:
            distance = abs(gap_between(members[chain[-1]], check, basis) - gap)
            if distance < off:
                best, off = chain, distance
        if best is None:
            chains.append([index])
        else:
            best.append(index)
            chains.remove(best)
            chains.append(best)
    return sorted(chains)


def _checkers(members: Sequence[Check], chains: Sequence[list[int]], basis: Basis, gap: int) -> list[list[int]]:
    """Return the chains that are checkers of their own, those left out that are the checks between another's.

    HAProxy's `inter 2s downinter 1s` is checked each second while it is down: every second of these checks stands the
    usual gap after another, and so do the others. A chain that lies evenly between the checks of another is that one's,
    where fewer go on without it; two checkers stand so by chance, or are both there all the time.
    """
    spans = [(members[chain[0]].start, members[chain[-1]].start) for chain in chains]
    depths = _depths(spans)
    if len(chains) > MOST_CHAINS or _most(depths) < 2:
        return list(chains)
    out: list[tuple[tuple[int, int], list[int]]] = []
    for span, chain in sorted(zip(spans, chains, strict=True), key=lambda one: -len(one[1])):
        most = max((depth for low, high, depth in depths if low < span[1] and span[0] < high), default=1)
        fewer = _thinner(depths, most, 2 * gap) >= (ENOUGH - 1) * gap
        beside = [other for begun, other in out if begun[0] < span[1] and span[0] < begun[1]]
        if not (fewer and any(_between(members, chain, other, basis, gap) for other in beside)):
            out.append((span, chain))
    return [chain for _, chain in out]


def _between(members: Sequence[Check], chain: Sequence[int], other: Sequence[int], basis: Basis, gap: int) -> bool:
    """Tell whether a chain's checks lie at one even part of the gap after those of another."""
    after = [
        gap_between(members[other[place - 1]], members[at], basis) for at in chain if (place := bisect_left(other, at))
    ]
    offsets = [offset for offset in after if offset < gap]
    if len(offsets) < 0.7 * len(chain):
        return False
    middle = median(offsets)
    parts = [(part, of) for of in range(2, MOST_PARTS + 1) for part in range(1, of)]
    part, of = min(parts, key=lambda one: abs(middle - gap * one[0] / one[1]))
    return abs(middle - gap * part / of) <= part * EVENLY_NS


def _depths(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return (from, to, how many spans lie over one another there), in order, for all the time that they cover or lie between."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    out, depth = [], 0
    for (low, step), (high, _) in pairwise(edges):
        depth += step
        if high > low:
            out.append((low, high, depth))
    return out


def _most(depths: Sequence[tuple[int, int, int]]) -> int:
    """Return how many spans lie over one another at most, one at least."""
    return max([1, *(depth for _, _, depth in depths)])


def _thinner(depths: Sequence[tuple[int, int, int]], most: int, least: int) -> int:
    """Return for how long, for `least` and more in a row, there is something and less than `most`."""
    total = row = 0
    for low, high, depth in [*depths, (0, 0, 0)]:
        if 0 < depth < most:
            row += high - low
        else:
            total += row if row >= least else 0
            row = 0
    return total


def _beside(left: Sequence[Check], spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether what is left mostly runs at the same time as what was taken: else it is that same checker at another pace."""
    inside = sum(any(start < check.start < end for start, end in spans) for check in left)
    return inside >= 0.5 * len(left)


def _irregular(members: Sequence[Check], basis: Basis) -> tuple[int, int] | None:
    """Return (mean pause, spread) of a series with random pauses (spread-checks: up to 50 %); None where it is no series at all."""
    steps = sorted(gap_between(a, b, basis) for a, b in pairwise(members))
    if len(steps) < ENOUGH or steps[0] < SHORTEST_NS:
        return None
    mean = centre(steps)
    return None if mean is None else (mean, max(FLOOR_NS, int(0.3 * int(median(steps)))))


def centre(steps: Sequence[int]) -> int | None:
    """Return the middle of the range that random pauses come from, those far from their median left out; None where many are."""
    middle = int(median(steps))
    near = [step for step in steps if _about(step, middle)]
    if len(near) < 0.7 * len(steps):
        return None
    return int((sum(near) / len(near) + (min(near) + max(near)) / 2) / 2)


def _about(step: int, middle: float) -> bool:
    return 0.45 * middle <= step <= 1.6 * middle


# Whose is each check?


class _State(NamedTuple):
    """What one history knows of one series."""

    last: int = -1
    """Index of its last check."""
    learnt: tuple[int, ...] = ()
    """Other pauses it was seen to make."""
    silent: tuple[int, ...] = ()
    """Steps from start to start after a check that silence ended."""
    unseen: bool = False
    """Its last check is its first, and shows nothing."""


class _Link(NamedTuple):
    track: int
    check: int
    past: _Link | None


class _History(NamedTuple):
    cost: float
    states: tuple[_State, ...]
    past: _Link | None


def assign(checks: Sequence[Check], found: Sequence[Pace], loose: frozenset[Shape] = frozenset()) -> list[Track]:
    """Give each check to the series that expected it; checks that none expected are left out. `loose` shapes may pause as they like."""
    by_shape: dict[Shape, list[int]] = {}
    for number, pace in enumerate(found):
        by_shape.setdefault(pace.shape, []).append(number)
    everybody = list(range(len(found)))
    strange = sum(check.shape is not None and (check.shape not in by_shape or check.shape in loose) for check in checks)
    nobody = NOBODY_BUSY if strange >= BUSY * len(checks) else NOBODY
    kept = BEAM if len(checks) <= LONG else NARROW
    histories = [_History(0.0, (_State(),) * len(found), None)]
    for index, check in enumerate(checks):
        if check.shape is not None and check.shape not in by_shape:
            continue
        mine = by_shape[check.shape] if check.shape is not None else everybody
        grown: dict[tuple[_State, ...], _History] = {}
        for history in histories:
            if check.shape is None:
                _keep(grown, _History(history.cost + nobody, history.states, history.past))
            for number in mine:
                before, pace = history.states[number], found[number]
                patient = check.waited is not None and pace.shape.what in (What.CLOSE, What.RESET)
                odd = PATIENT if patient else 0.0
                any_pause = pace.shape in loose
                for cost, state in _ways(checks, index, before, pace, alone=len(found) == 1, loose=any_pause):
                    states = (*history.states[:number], state, *history.states[number + 1 :])
                    _keep(grown, _History(history.cost + cost + odd, states, _Link(number, index, history.past)))
        ranked = sorted(grown.values(), key=lambda history: history.cost)[:kept]
        floor = ranked[0].cost
        histories = [history._replace(cost=history.cost - floor) for history in ranked]
    out = [Track(pace) for pace in found]
    link = histories[0].past
    while link is not None:
        out[link.track].members.append(link.check)
        link = link.past
    for track in out:
        track.members.reverse()
    return [track for track in out if sum(checks[index].shape is not None for index in track.members) >= ENOUGH]


def _keep(grown: dict[tuple[_State, ...], _History], history: _History) -> None:
    known = grown.get(history.states)
    if known is None or history.cost < known.cost:
        grown[history.states] = history


def _ways(
    checks: Sequence[Check], index: int, state: _State, pace: Pace, *, alone: bool, loose: bool
) -> list[tuple[float, _State]]:
    """Return (cost, state afterwards) of reading a check as a series' next.

    `alone`: there is no other series at this port; `loose`: it is requests that a checker passes on for others.
    """
    out = _told_ways(checks, index, state, pace, alone=alone)
    if loose and state.last >= 0 and min(cost for cost, _ in out) > LOOSELY:
        before = checks[state.last]
        if checks[index].shape is None or before.shape is None:
            gap = gap_between(before, checks[index], pace.basis)
            out.append((LOOSELY, state._replace(last=index, unseen=False, learnt=(*state.learnt, gap)[-LEARNT:])))
    return out


def _told_ways(
    checks: Sequence[Check], index: int, state: _State, pace: Pace, *, alone: bool
) -> list[tuple[float, _State]]:
    """Return the ways that the series' own pauses tell."""
    check = checks[index]
    if state.last < 0:
        unseen = check.shape is None
        return [(UNSEEN if unseen else 0.0, state._replace(last=index, unseen=unseen))]
    before = checks[state.last]
    step = check.start - before.start
    after = state._replace(last=index, unseen=False)
    if pace.basis is Basis.CLOCK:
        times = max(1, round(step / pace.interval_ns))
        return [(_off(step - times * pace.interval_ns, pace) + MISSING * (times - 1), after)]
    if before.end is None:
        return _after_silence(step, state, after, pace)
    gap = check.start - before.end
    usual = _off(gap - pace.interval_ns, pace)
    if state.unseen and pace.spread_ns <= EXACT_NS and usual < SURE:
        usual -= BORNE_OUT
    out = [(usual, after)]
    known, pause = min(((_off_known(gap - one, pace), one) for one in state.learnt), default=(CAP, 0))
    if known + KNOWN_PAUSE < usual:
        out.append((known + KNOWN_PAUSE, after._replace(learnt=_shortened(state.learnt, pause, gap))))
    times = round(gap / pace.interval_ns)
    if times > 1:
        # Each missing check adds its own duration, so the window grows.
        late = max(0.0, abs(gap - times * pace.interval_ns) - times * 10 * MS)
        out.append((_off(late, pace) + MISSING * (times - 1), after))
    other = abs(gap - pace.interval_ns) > max(pace.interval_ns // 10, 3 * pace.spread_ns)
    if alone and not other and usual > NEAR_PAUSE and gap >= SHORTEST_NS:
        out.append((NEAR_PAUSE, after))
    if other and gap >= SHORTEST_NS and usual > NEW_PAUSE and known > NEW_PAUSE:
        extra = 0.0 if before.failed else 1.5
        extra += 0.5 * max(0, times - 2)
        out.append((NEW_PAUSE + extra, after._replace(learnt=(*state.learnt, gap)[-LEARNT:])))
    cheapest = min(cost for cost, _ in out)
    return [way for way in out if way[0] <= cheapest + NEW_PAUSE]


def _after_silence(step: int, state: _State, after: _State, pace: Pace) -> list[tuple[float, _State]]:
    """Return the ways after a check that silence ended: its timeout comes on top of the pause."""
    steps = state.silent if pace.timeout_ns is None else (*state.silent, pace.timeout_ns + pace.interval_ns)
    # From start to start the SYN's own lateness counts too, so early is no odder than late.
    spread = 2.0 * pace.spread_ns
    known = min((min((step - other) ** 2 / (2.0 * spread * spread), CAP) for other in steps), default=CAP)
    out = [(known + KNOWN_PAUSE, after)] if known < CAP else []
    shortest = min((pace.interval_ns, *state.learnt))
    if step > shortest + 40 * MS and known > 2.0:
        out.append((NEW_TIMEOUT if not steps else NEW_PAUSE, after._replace(silent=(*state.silent, step)[-LEARNT:])))
    else:
        # An ICMP error or a quick failure may have ended it at once.
        out.append((_off(step - pace.interval_ns, pace) + 1.0, after))
    return out


def _off(distance: float, pace: Pace) -> float:
    """Return what it costs that a check came so far from where it was due: a timer may be late, but it is not early."""
    if pace.basis is Basis.PAUSE and pace.spread_ns <= EXACT_NS:
        if distance >= 0:
            # Heavy-tailed: one late start is likelier than two that are half as late.
            return min(log1p((max(0.0, distance - 3 * MS) / pace.spread_ns) ** 2), CAP)
        distance, spread = max(0.0, -distance - MS), 1.5 * MS
        return min(distance * distance / (2.0 * spread * spread), CAP)
    return min(distance * distance / (2.0 * pace.spread_ns * pace.spread_ns), CAP)


def _off_known(distance: float, pace: Pace) -> float:
    """Return the same for a pause known from one check: that one may have been late itself, so a little early is no odder than late."""
    return _off(abs(distance) if distance >= -EXACT_NS else distance, pace)


def _shortened(learnt: tuple[int, ...], pause: int, gap: int) -> tuple[int, ...]:
    """Return the learnt pauses, this one no longer than it was seen to be: a timer may be late, but it is not early."""
    return learnt if gap >= pause else tuple(gap if one == pause else one for one in learnt)
