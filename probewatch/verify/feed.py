"""The attempts that one worker would make in one stretch of a recording, in order, and where their results come from.

With the recorded period these are the recorded attempts. With another one they are the ticks of a grid, each with the
recorded attempt that began closest to it, if one is close enough; and the recorded pokes, which fall on no grid.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Attempt, Trigger
from probewatch.model.units import SECOND

from .container import Break, Container, Stretch

NEAR: Final = 10
"""A tick takes the result of a recorded attempt that began within one part in so many of the shorter period."""


def anchors(container: Container, stretch: Stretch, index: int, spec: ProbeSpec) -> list[Attempt]:
    """Return the recorded attempts that a grid with the new period may begin at."""
    mine = stretch.attempts[index]
    if not mine:
        return []
    first = mine[0]
    poked = spec.type is ProbeType.READINESS and container.resets and Break.CONTAINER in stretch.breaks
    if spec.period_s == container.specs[index].period_s or (poked and first.trigger is not Trigger.TICK):
        return [first]  # The poke at a container's start sets the grid, whatever the period.
    return [a for a in mine[: spec.period_s + 1] if a.start.ns - first.start.ns < spec.period_s * SECOND]


@dataclass(frozen=True, slots=True)
class Slot:
    """One attempt that would have been made; without a recorded one its result is unknown."""

    ns: int
    attempt: Attempt | None
    maybe: bool = False
    """It is not known whether it would have been made."""


class Feed:
    """The attempts that one worker would make in one stretch, in order."""

    def __init__(self, mine: Sequence[Attempt], old: ProbeSpec, new: ProbeSpec, anchor: Attempt | None) -> None:
        self.mine, self.old, self.new = mine, old, new
        self.grid = old.period_s != new.period_s
        self.near_ns = min(old.period_s, new.period_s) * SECOND // NEAR
        self.period_ns = new.period_s * SECOND
        self.tick_ns: int | None = None
        """Next tick without a recorded attempt of its own (or, on a grid, next tick)."""
        self.until_ns = 0
        self.pending = [a for a in mine if a.trigger is Trigger.MANUAL] if self.grid else list(mine)
        self.next = 0
        self.starts = [a.start.ns for a in mine]
        self.sure_ns: int | None = None
        """From here on initialDelaySeconds has passed for certain ..."""
        self.possible_ns: int | None = None
        """... and from here on perhaps."""
        if self.grid and anchor is not None:
            self.tick_ns, self.until_ns = anchor.start.ns, mine[-1].start.ns + old.period_s * SECOND
            while self.next < len(self.pending) and self.pending[self.next].start.ns < anchor.start.ns:
                self.next += 1

    def due(self) -> int | None:
        """Return when the next attempt comes; None where none does."""
        tick = self.tick_ns if self.tick_ns is not None and self.tick_ns < self.until_ns else None
        recorded = self.pending[self.next].start.ns if self.next < len(self.pending) else None
        return min((ns for ns in (tick, recorded) if ns is not None), default=None)

    def take(self) -> Slot:
        """Return that attempt and go on."""
        due = self.due()
        assert due is not None
        slot = self._take(due)
        if self.possible_ns is not None and slot.ns < self.possible_ns:
            return replace(slot, attempt=None, ns=-1)
        return replace(slot, maybe=self.sure_ns is not None and slot.ns < self.sure_ns)

    def _take(self, due: int) -> Slot:
        recorded = self.pending[self.next] if self.next < len(self.pending) else None
        if not self.grid:
            if recorded is not None and recorded.start.ns == due:
                self.next += 1
                return Slot(due, recorded)
            self.tick_ns = due + self.period_ns
            return Slot(due, None)
        if recorded is not None and recorded.start.ns <= due:
            self.next += 1
            if self.tick_ns is None or abs(self.tick_ns - recorded.start.ns) > self.near_ns:
                return Slot(recorded.start.ns, recorded)
        self.tick_ns = due + self.period_ns if self.tick_ns is None else self.tick_ns + self.period_ns
        return Slot(due, self._near(due))

    def _near(self, ns: int) -> Attempt | None:
        """Return the recorded attempt that a tick takes its result from."""
        place = bisect_left(self.starts, ns)
        close = [a for a in self.mine[max(0, place - 1) : place + 1] if abs(a.start.ns - ns) <= self.near_ns]
        return min(close, key=lambda a: abs(a.start.ns - ns), default=None)
