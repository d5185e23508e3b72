"""Time as a share of a drawing's width, and round moments to mark on it.

Drawings of the HTML report place things by per cent and not by units of a view box: text then keeps its size on a
phone, and only what lies between moves together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..model.units import SECOND

EDGE: Final = 1.2
"""Per cent left free at each side, so that a mark at the end is seen whole."""

_TICKS: Final = 6
"""Most steps between two ends."""
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds that people count in."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A round moment."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of time, drawn from left to right."""

    start_ns: int
    end_ns: int

    def at(self, ns: int) -> float:
        """Return the place of a moment in per cent; what lies outside is drawn at the edge."""
        length = max(self.end_ns - self.start_ns, 1)
        part = min(max(ns - self.start_ns, 0), length) / length
        return round(EDGE + part * (100 - 2 * EDGE), 2)

    def between(self, start_ns: int, end_ns: int) -> tuple[float, float]:
        """Return (place, width) of a stretch in per cent."""
        left = self.at(start_ns)
        return left, round(max(self.at(end_ns) - left, 0.0), 2)

    def ticks(self, base_ns: int) -> list[Tick]:
        """Return round moments after `base_ns`, at most about six."""
        length = max(self.end_ns - self.start_ns, 1) / SECOND
        step = next((s for s in _STEPS if length / s <= _TICKS), _STEPS[-1] * -(-int(length) // (_STEPS[-1] * _TICKS)))
        first = -(-(self.start_ns - base_ns) // (step * SECOND))
        last = (self.end_ns - base_ns) // (step * SECOND)
        return [Tick(self.at(base_ns + n * step * SECOND), _label(n * step, step)) for n in range(first, last + 1)]


def _label(seconds: int, step: int) -> str:
    """Return `+30 s`, `+5 min`, `+2 h`, `+1 d`: in the largest unit that the step is whole in."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if step % size == 0:
            return f"+{seconds // size} {unit}" if seconds >= 0 else f"−{-seconds // size} {unit}"
    return f"+{seconds} s" if seconds >= 0 else f"−{-seconds} s"
