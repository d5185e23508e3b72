"""What a series of checks shows of itself: its interval, timeout and other pauses, and whether a clock or a loop drives it.

Theory of operation. The interval is the median pause after a check that passed. A server in doubt may be checked at a
pause of its own (HAProxy's fastinter, keepalived's delay_before_retry), one that is down at a longer one (downinter):
what is seen often enough after failures, and soon after them, is that. Of checks that silence ended, the timeout and one
of these pauses together make the step to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from probewatch.model.units import MS, SECOND

from .cadence import median
from .checkers import ENOUGH, EXACT_NS, LEARNT, LONGEST_NS, SHORTEST_NS, Check, Pace, Track, centre, gap_between, ticks
from .signatures import Basis

DOUBT: Final = 10
"""Checks after a failure in which a server may still be in doubt, and be checked at another pace (HAProxy's fastinter)."""
RECOVERED: Final = 3
"""Passes in a row after which a server is mostly in doubt no more."""
MOSTLY: Final = 0.7
"""Share of the pauses that must be alike to be called exact."""
TICK_REACH: Final = 10
"""Ticks between two checks of one loop over which its beat is still seen."""
TICK_LATE: Final = 0.015
"""Share of a tick by which each comes late."""
SAME_NS: Final = 60 * MS
"""Pauses of one kind differ by no more than this."""
UNORDERED: Final = 5 * MS
"""Checks of one tick may begin in any order, so far apart."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """Numbers that a series shows."""

    interval_ns: int | None
    timeout_ns: int | None
    dial_ns: int | None = None
    """How long it waits for an answer to its SYN (HAProxy: no longer than `inter`, whatever `timeout check` is)."""
    dial_most_ns: int | None = None
    """No longer than that, where it does not show exactly."""
    short_ns: int | None = None
    """The commonest pause of those in `pauses` that are shorter than the usual one."""
    pauses: tuple[int, ...] = ()
    """Other pauses than the usual one, seen repeatedly after failures, the commonest first."""
    retries: int | None = None
    """How many short pauses follow a first failure."""
    exact: bool = False
    """Its usual pause is always the same."""
    ticks: bool = False
    """Its starts stand on a grid, whatever the checks took: a ticker."""


def learn(checks: Sequence[Check], track: Track) -> Learnt:
    """Measure a series."""
    members = [checks[index] for index in track.members]
    failed = [check.failed for check in members]
    pace = track.pace
    near = max(3 * pace.spread_ns, 15 * MS, pace.interval_ns // 10)
    seen = _gaps(members, failed, pace, near)
    interval, exact = _usual(seen, pace, near)
    timeouts = [check.waited for check in members if check.waited is not None]
    timeout = int(median(timeouts)) if timeouts else None
    patience = max((check.patience for check in members if check.end is None), default=0)
    pauses = _pauses(seen.others, interval, near)
    dial = _timeout(seen.silent, (interval, *pauses), patience)
    waited = dial if dial is not None else timeout
    if waited is not None and seen.silent:
        seen.others.update(round((step - waited) / (20 * MS)) for step in seen.silent)
        pauses = _pauses(seen.others, interval, near)
    short = next((pause for pause in pauses if pause < interval), None)
    retries = None
    if short is not None and pace.basis is Basis.PAUSE:
        retries = _retries(_rests(members, waited), failed, short, near)
    return Learnt(
        interval,
        waited if timeout is None else timeout,
        dial,
        _at_most(seen.silent, seen.shortest, patience),
        short,
        pauses,
        retries,
        exact,
        ticks=ticks([check.start for check in members]),
    )


class _Gaps(NamedTuple):
    """What lies between the checks of a series, by what it follows."""

    healthy: list[int]
    """After a check that passed."""
    calm: list[int]
    """Of these, where the server was in no doubt."""
    silent: list[int]
    """From start to start, after a check that silence ended."""
    shortest: int
    others: Counter[int]
    """After a failure, or unusual while the server was in doubt; in units of 20 ms."""


def _gaps(members: Sequence[Check], failed: Sequence[bool], pace: Pace, near: int) -> _Gaps:
    """Sort what lies between the checks; less than `near` off the usual is usual."""
    healthy: list[int] = []
    calm: list[int] = []
    silent: list[int] = []
    shortest = LONGEST_NS
    others: Counter[int] = Counter()
    for number, (before, check) in enumerate(pairwise(members)):
        gap = gap_between(before, check, pace.basis)
        if before.end is None and pace.basis is Basis.PAUSE:
            silent.append(gap)
            continue
        shortest = min(shortest, gap) if gap >= SHORTEST_NS else shortest
        if not failed[number]:
            healthy.append(gap)
            if not any(failed[max(number - RECOVERED, 0) : number]):
                calm.append(gap)
        # A server in doubt is one that fails, or has not passed often enough since.
        doubt = any(failed[max(number - DOUBT, 0) : number + 1])
        if failed[number] or (doubt and abs(gap - pace.interval_ns) > near):
            others[round(gap / (20 * MS))] += 1
    return _Gaps(healthy, calm, silent, shortest, others)


def _usual(seen: _Gaps, pace: Pace, near: int) -> tuple[int, bool]:
    """Return the usual pause, and whether it is always the same."""
    interval = _interval(seen.healthy or [pace.interval_ns], pace)
    calm = seen.calm
    if len(calm) < ENOUGH or pace.basis is not Basis.PAUSE:
        return interval, pace.spread_ns <= EXACT_NS
    middle = int(median(calm))
    if _mostly(calm, middle, SAME_NS):
        return interval, True
    if pace.spread_ns > 100 * MS or abs(middle - interval) > near or not _mostly(calm, interval, near):
        interval = centre(calm) or interval
    return interval, False


def _mostly(gaps: Sequence[int], usual: int, near: int) -> bool:
    return sum(abs(gap - usual) <= near for gap in gaps) >= MOSTLY * len(gaps)


def _rests(members: Sequence[Check], waited: int | None) -> list[int | None]:
    """Return the pause after each check but the last; None where silence ended it and how long it `waited` is not known."""
    ends = [
        before.end if before.end is not None else None if waited is None else before.start + waited
        for before in members
    ]
    return [None if end is None else check.start - end for end, check in zip(ends, members[1:], strict=False)]


def _at_most(silent: Sequence[int], shortest: int, patience: int) -> int | None:
    """Return what is left of the shortest step after an unanswered SYN without the shortest pause that was seen."""
    rest = min(silent, default=0) - shortest
    return rest if rest >= max(50 * MS, patience) else None


def _pauses(counted: Counter[int], interval: int, near: int) -> tuple[int, ...]:
    """Return the pauses that are seen repeatedly, none of them the usual one, the commonest first."""
    found: tuple[int, ...] = ()
    while len(found) < LEARNT and (other := _other(counted, (interval, *found), near)) is not None:
        found += (other,)
    return found


def _interval(healthy: Sequence[int], pace: Pace) -> int:
    """Return the usual pause after a pass; that of a whole series may be another, where its server was mostly down."""
    near = [gap for gap in healthy if abs(gap - pace.interval_ns) <= max(4 * pace.spread_ns, 30 * MS)]
    if pace.basis is Basis.PAUSE and pace.spread_ns <= EXACT_NS:
        usual = _often(Counter(round(gap / (20 * MS)) for gap in healthy), lambda ns: ns >= SHORTEST_NS)
        common = [gap for gap in healthy if usual is not None and abs(gap - usual) <= 30 * MS]
        if len(common) >= ENOUGH and len(common) > len(near):
            return int(median(common))
    if not near:
        return pace.interval_ns
    return pace.interval_ns if pace.spread_ns > 100 * MS else int(median(near))


def earliest(checks: Sequence[Check], track: Track, late_ns: int) -> int | None:
    """Return the interval of a series whose checks come up to `late_ns` too late, each by chance: about its shortest usual pause."""
    members = [checks[index] for index in track.members]
    gaps = [gap_between(before, check, track.pace.basis) for before, check in pairwise(members) if not before.failed]
    near = sorted(gap for gap in gaps if abs(gap - track.pace.interval_ns) <= late_ns)
    return near[len(near) // 20] if len(near) >= ENOUGH else None


def _timeout(silent: Sequence[int], pauses: Sequence[int], patience: int) -> int | None:
    """Return the timeout that, with one of the known pauses on top, explains most steps after an unanswered check."""
    best: tuple[int, int] | None = None
    for step in silent[:200]:
        for pause in pauses:
            timeout = step - pause
            if timeout < max(50 * MS, patience):
                continue
            explained = sum(any(abs(other - timeout - another) <= 30 * MS for another in pauses) for other in silent)
            if best is None or explained > best[0]:
                best = (explained, timeout)
    return best[1] if best is not None and best[0] >= max(2, len(silent) // 3) else None


def _other(counted: Counter[int], known: Sequence[int], near: int) -> int | None:
    """Return the pause seen most often, repeatedly, that is none of the known ones."""
    return _often(
        counted,
        lambda ns: (
            ns >= SHORTEST_NS and all(abs(ns - pause) > (near if pause == known[0] else SAME_NS) for pause in known)
        ),
    )


def _often(counted: Counter[int], fits: Callable[[int], bool]) -> int | None:
    """Return the gap seen most often (at least twice, neighbouring bins together) that fits."""
    best: tuple[int, int] | None = None
    for step, times in counted.items():
        times += counted.get(step + 1, 0)
        if fits(step * 20 * MS) and times >= 2 and (best is None or times > best[0]):
            best = (times, step * 20 * MS)
    return best[1] if best is not None else None


def _retries(gaps: Sequence[int | None], failed: Sequence[bool], short: int, near: int) -> int | None:
    """Count the short pauses that follow a first failure."""
    counts: Counter[int] = Counter()
    run = 0
    counting = False
    for number, gap in enumerate(gaps):
        if failed[number] and number and not failed[number - 1]:
            run, counting = 0, True
        if not counting:
            continue
        if failed[number] and gap is not None and abs(gap - short) <= max(near, 40 * MS):
            run += 1
            continue
        if run and failed[number]:
            counts[run] += 1
        counting = False
    return counts.most_common(1)[0][0] if counts else None


def whole_seconds(starts: Sequence[int]) -> bool:
    """Tell whether most steps are whole seconds to within a kubelet's accuracy, on average neither longer nor shorter."""
    steps = [b - a for a, b in pairwise(starts)]
    off = [step - round(step / SECOND) * SECOND for step in steps if step >= SECOND // 2]
    near = [distance for distance in off if abs(distance) <= 25 * MS]
    return bool(steps) and len(near) >= 0.5 * len(steps) and abs(median(near)) <= 2 * MS


def in_step(starts: Sequence[int], others: Sequence[tuple[int, int]], within_ns: int = 60 * MS) -> bool:
    """Tell whether checks begin right after those of another series (start, end), or right before, as in one Monit cycle."""
    if len(starts) < ENOUGH or not others:
        return False
    begins = sorted(others)
    good = 0
    for start in starts:
        at = bisect_right(begins, (start, LONGEST_NS * SECOND))
        after = at > 0 and start - max(begins[at - 1]) <= within_ns
        before = at < len(begins) and begins[at][0] - start <= within_ns
        good += after or before
    return good >= 0.8 * len(starts)


def on_ticks(starts: Sequence[int], others: Sequence[int], tick_ns: int) -> bool:
    """Tell whether checks begin whole ticks after the nearest check of another series: one loop looks what is due, as Apache's does.

    By chance a fifth of all checks would.
    """
    begins = sorted(others)
    good = told = 0
    for start in starts:
        at = bisect_right(begins, start)
        if not at or start - begins[at - 1] > TICK_REACH * tick_ns:
            continue
        told += 1
        steps, off = divmod(start - begins[at - 1] + UNORDERED, tick_ns)
        good += off <= 2 * UNORDERED + int(steps * tick_ns * TICK_LATE)
    return told >= 2 * ENOUGH and good >= 0.7 * told
