"""What a capture does not hold, and what that leaves open: when the kernel dropped frames, the clock was set, or no file covers it.

Theory of operation. A frame that was dropped may have been anybody's. Silence that reaches into such a time proves nothing:
an attempt whose deadline lies behind its beginning, and that got no answer, is cut there. And an attempt that was due in it
and was not seen may have been made all the same, with any result: what its pod's workers count is not known behind it, as at
the beginning of a capture. All else stands: what was seen happened. Where the clock was set nothing is in step with what was
before, and between files anything may have happened: all workers are met anew.

Limitations: where two losses are less than NEAR_NS apart they are one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from probewatch.model.units import MS, SECOND

from .lane import Lane

Interval = tuple[int, int]
"""From when to when (ns) the kernel may have dropped frames."""

NEAR_NS: Final = SECOND
"""Losses that lie nearer are one."""
MOST_LOSSES: Final = 1_000
"""Losses kept apart; of more, the last one goes on."""
EARLY_NS: Final = 100 * MS
"""How far off its tick an attempt may begin and still be the one that a loss hid."""


class Losses:
    """Losses in the order of time."""

    def __init__(self) -> None:
        self.all: list[Interval] = []
        self._anew: set[Interval] = set()
        """Of these, those behind which all workers are met anew."""
        self._uncovered: set[Interval] = set()
        """Of these, those between files."""
        self.begun_ns: list[int] = []
        """When the files before each of them began."""

    def add(self, loss: Interval, *, clock: bool = False, between: bool = False) -> None:
        """Take a loss, in which the `clock` was set, or `between` files; where the one before is near, that one goes on."""
        before = self.all[-1] if self.all else None
        if before is not None and (loss[0] - before[1] < NEAR_NS or len(self.all) >= MOST_LOSSES):
            whole = self.all[-1] = before[0], max(before[1], loss[1])
        else:
            whole, before = loss, None
            self.all.append(loss)
        if clock or between or before in self._anew:
            self._anew.add(whole)
        if between:
            self._uncovered.add(whole)

    @property
    def within(self) -> list[Interval]:
        """Those within what was captured, and not between files."""
        return [loss for loss in self.all if loss not in self._uncovered]

    def before(self, start_ns: int) -> int:
        """Return how many have passed at a moment."""
        return sum(ended <= start_ns for _, ended in self.all)

    def behind(self, starts: Sequence[int]) -> list[int]:
        """Return the first of these starts (in their order) behind each: what came before says nothing of what is counted then."""
        firsts = (bisect_left(starts, ended) for _, ended in self.all)
        return sorted({starts[at] for at in firsts if 0 < at < len(starts)})

    def seen_until(self, start_ns: int, until_ns: int | None) -> int | None:
        """Return up to when everything was seen of an attempt that began at `start_ns`: `until_ns`, or where a loss begins."""
        for begun, ended in reversed(self.all):
            if ended <= start_ns:
                break
            until_ns = begun if until_ns is None else min(begun, until_ns)
        return until_ns

    def hides(self, lane: Lane, since: int, start_ns: int) -> tuple[int, bool]:
        """Tell how many losses have passed when a run of a lane begins, and whether one since `since` may hide an attempt."""
        passed = since
        while passed < len(self.all) and self.all[passed][1] <= start_ns:
            passed += 1
        return passed, any(loss in self._anew or _hidden(lane, loss) for loss in self.all[since:passed])


def _hidden(lane: Lane, loss: Interval) -> bool:
    begun, ended = loss[0] - EARLY_NS, loss[1] + EARLY_NS
    for worker in lane.pod().predict():
        last = worker.last_start_ns
        if last is None or worker.period_ns <= 0:
            continue
        tick = worker.tick_ns if worker.tick_ns is not None else last
        due = tick + max(0, -(-(last + worker.period_ns // 2 - tick) // worker.period_ns)) * worker.period_ns
        if due < begun:
            due += -(-(begun - due) // worker.period_ns) * worker.period_ns
        if due <= ended:
            return True
    return False


def why(hole: Interval, losses: Sequence[Interval]) -> str:
    """Say why nothing is known of a time: the kernel dropped frames, the clock was set, or no file covers it."""
    length = (hole[1] - hole[0]) / SECOND
    return (
        f"the kernel dropped frames, or the clock was set, within {length:.2f} s"
        if hole in losses
        else f"no file covers the next {length:.0f} s"
    )
