"""Regularity: the period of a series of starts, and the chains of equal steps in it.

A kubelet's ticker counts from start to start in whole seconds and is exact to milliseconds; a manual trigger or a
restart moves it to another phase. So a probe's starts are a row of chains, each with steps of exactly one period, one
after another in time. Two chains at the same time are two probes. Other checkers pause between checks, so their steps
vary with the length of the checks.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.units import MS, SECOND, off_by

GRID_NS: Final = 25 * MS
"""Two starts of one ticker differ from whole periods by no more than this (99 % by less than 5 ms)."""
EXACT_NS: Final = 5 * MS
"""Within this nearly all of a ticker's steps are whole periods."""
LESS_EXACT: Final = 3
"""Steps that are off by so many times as much as others are not one ticker's."""
ALIKE: Final = 0.25
"""... and half of them by what is usual, give or take this part of it, ..."""
ENOUGH: Final = 6
"""... where there are so many steps that it is no chance."""
LAG_NS: Final = 6 * MS
"""More than this behind its grid, and ever later, is no ticker."""
SKEW: Final = 0.0002
"""Of two machines' clocks: a capture taken elsewhere may see a ticker run slow by so much."""
LATE_SHARE: Final = 0.8
"""Share of the steps that are longer than the period where a checker pauses between checks."""
LONGEST_PERIOD_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Chain:
    """Starts that follow each other by one period (or by several, where some are missing)."""

    period_s: int
    members: tuple[int, ...]
    """Indices into the series."""


def whole_seconds(distance_ns: int, within_ns: int = GRID_NS) -> int | None:
    """Return a distance in whole seconds, None where it is not one."""
    seconds = round(distance_ns / SECOND)
    return seconds if seconds >= 1 and abs(distance_ns - seconds * SECOND) <= within_ns else None


def on_grid(starts: Sequence[int], ends: Sequence[int], reach: int = 4) -> float:
    """Return the share of starts that stand whole seconds from a near neighbour, or begin right where the attempt before ended."""
    if len(starts) < 2:
        return 0.0
    good = 0
    for index, start in enumerate(starts):
        near = [*starts[max(0, index - reach) : index], *starts[index + 1 : index + 1 + reach]]
        stored = index > 0 and 0 <= start - ends[index - 1] <= 8 * MS and start - starts[index - 1] >= SECOND
        good += stored or any(whole_seconds(abs(start - other)) is not None for other in near)
    return good / len(starts)


def period_of(starts: Sequence[int]) -> int | None:
    """Return the most plausible period in whole seconds of an ordered series that may hold several interleaved chains, or None."""
    votes: dict[int, list[int]] = {}
    for index, start in enumerate(starts):
        seen = set()
        for other in starts[index + 1 : index + 9]:
            seconds = whole_seconds(other - start)
            if seconds is not None and seconds <= LONGEST_PERIOD_S and seconds not in seen:
                seen.add(seconds)
                votes.setdefault(seconds, []).append(abs(other - start - seconds * SECOND))
    if not votes:
        return None
    best = max(map(len, votes.values()))
    # Every multiple of the period is voted for as well: the smallest that does nearly as well is the period. But two tickers that
    # happen to stand nearly whole seconds apart do so less exactly than each keeps its own grid.
    near = [seconds for seconds in sorted(votes) if len(votes[seconds]) >= 0.6 * best]
    if best < ENOUGH:
        return near[0]
    off = {seconds: median(votes[seconds]) for seconds in near}
    least = max(EXACT_NS, LESS_EXACT * min(off.values()))
    return next(seconds for seconds in near if off[seconds] <= least or not _alike(votes[seconds], off[seconds]))


def _alike(offs: Sequence[int], usual: float) -> bool:
    """Tell whether steps are off by about the same, as those between two tickers are, and not now more, now less, as late ticks are."""
    return 2 * sum(abs(off - usual) <= ALIKE * usual for off in offs) >= len(offs)


def chains(starts: Sequence[int], period_s: int, most_missed: int = 3) -> list[Chain]:
    """Cut an ordered series into chains of one period; lone starts are chains of one.

    A start is held against the open chains that stand near it in the period, which are few, and not against all.
    """
    period = period_s * SECOND
    longest = (most_missed + 1) * period + GRID_NS
    found: list[list[int]] = []
    near: dict[int, list[int]] = {}
    """By where in the period their last start stands (in GRID_NS): chains that may go on, by their place in `found`."""
    for index, start in enumerate(starts):
        best: int | None = None
        best_off = GRID_NS + 1
        phase = start % period
        for key in _near(phase, period):
            here = near.get(key)
            if not here:
                continue
            near[key] = here = [place for place in here if start - starts[found[place][-1]] <= longest]
            for place in here:
                distance = start - starts[found[place][-1]]
                steps = round(distance / period)
                off = abs(distance - steps * period)
                # (Of as near ones the one that began first.)
                if steps >= 1 and (off < best_off or (off == best_off and best is not None and place < best)):
                    best, best_off = place, off
        if best is None:
            best = len(found)
            found.append([index])
        else:
            near[starts[found[best][-1]] % period // GRID_NS].remove(best)
            found[best].append(index)
        near.setdefault(phase // GRID_NS, []).append(best)
    return [Chain(period_s, tuple(chain)) for chain in found]


def _near(phase: int, period: int) -> set[int]:
    """Return which parts of a period are no farther than GRID_NS from a moment in it; before its beginning lies its end."""
    last = (period - 1) // GRID_NS
    at = phase // GRID_NS
    keys = {at, max(0, at - 1), min(last, at + 1)}
    if phase < GRID_NS:
        keys |= {last, max(0, last - 1)}
    if phase + GRID_NS >= period:
        keys.add(0)
    return keys


def tickers(starts: Sequence[int], period_s: int, fewest: int) -> list[Chain]:
    """Return the chains, of so many starts at least, that a ticker made.

    What pauses between one check and the next lags behind the grid a little more with each step, and never catches up.
    """
    found = [chain for chain in chains(starts, period_s) if len(chain.members) >= fewest]
    return [chain for chain in found if not _lags([starts[index] for index in chain.members], period_s * SECOND)]


def _lags(starts: Sequence[int], period_ns: int) -> bool:
    """Tell whether nearly every step is longer than whole periods, so that the last start stands well behind the first's grid."""
    over = [off_by(after - before, period_ns) for before, after in itertools.pairwise(starts)]
    most = max(LAG_NS, SKEW * (starts[-1] - starts[0]))
    return sum(over) > most and sum(step > 0 for step in over) >= LATE_SHARE * len(over)


def median(values: Iterable[float]) -> float:
    """Return the middle one of some values, of an even number the mean of the middle two.

    (`statistics` has it too, and takes 9 ms to import, a twenty-fifth of what a small capture takes in all.)
    """
    ranked = sorted(values)
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def side_by_side(starts: Sequence[int], period_s: int) -> int:
    """Return how many probes of this period share an ordered series: how many starts fall into one period, usually."""
    span = period_s * SECOND - 4 * GRID_NS
    # (From just before each: of two that tick in the same millisecond neither is alone.)
    counts = [bisect_left(starts, start + span) - bisect_left(starts, start - 2 * GRID_NS) for start in starts]
    return int(median(counts)) if counts else 0


def steady(starts: Sequence[int]) -> tuple[float, float] | None:
    """Return (median step in s, spread relative to it) of an ordered series; None below four starts."""
    if len(starts) < 4:
        return None
    steps = sorted((b - a) / SECOND for a, b in itertools.pairwise(starts))
    middle = median(steps)
    if middle <= 0:
        return None
    spread = median(abs(step - middle) for step in steps) / middle
    return middle, spread
