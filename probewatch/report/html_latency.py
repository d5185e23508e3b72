"""Latency against the timeout, as numbers for the template: a point for each attempt, on a logarithmic scale.

What an answer took and what the probe allows differ by three orders of magnitude on a good day and by none on a bad
one: only a logarithmic scale shows both. More attempts than `html_strip.DRAWN` are shown as the range and the median
of as many bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..model.timeline import Attempt, Outcome, Probe
from ..model.units import MS
from . import words
from .html_scale import Scale, Tick
from .html_strip import DRAWN, title
from .numbers import duration, percentile, relative

HEIGHT: Final = 150
"""Pixels of the plot."""
_MARGIN: Final = 14


@dataclass(frozen=True, slots=True)
class Line:
    """A level: a power of ten, or the timeout."""

    y: float
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Point:
    """One attempt, or the answer of it that came too late."""

    x: float
    y: float
    kind: str
    """`ok`, `bad`, `late`, `unclear`."""
    title: str


@dataclass(frozen=True, slots=True)
class Range:
    """The attempts of a bin: from the quickest to the slowest, and the one in the middle."""

    x: float
    top: float
    bottom: float
    middle: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A whole drawing."""

    title: str
    says: str
    ticks: Sequence[Tick]
    lines: Sequence[Line]
    points: Sequence[Point]
    ranges: Sequence[Range]


def plot(probe: Probe, base: int, says: str) -> Plot | None:
    """Return the drawing of one probe; None where no attempt has a latency of its own. `says` is latency in words."""
    attempts = [a for a in sorted(probe.attempts, key=lambda a: a.start.ns) if not a.implied and a.latency_ns > 0]
    if not attempts:
        return None
    timeout = words.timeout_ns(probe)
    values = [a.latency_ns for a in attempts] + [a.late_answer_ns for a in attempts if a.late_answer_ns]
    axis = _Axis(min(values), max([*values, timeout]))
    scale = Scale(attempts[0].start.ns, max([a.end_ns for a in attempts] + [g.end_ns for g in probe.gaps]))
    few = len(attempts) <= DRAWN
    return Plot(
        title=f"Latency of {words.kind(probe)} {words.label(probe)}",
        says=says or "No attempt ended with a frame.",
        ticks=scale.ticks(base),
        lines=axis.lines(timeout, words.timeout_source(probe)),
        points=[point for a in attempts for point in _points(probe, a, scale, axis, base)] if few else (),
        ranges=() if few else _ranges(attempts, scale, axis, base),
    )


class _Axis:
    """Nanoseconds to pixels from the top, by powers of ten."""

    def __init__(self, low: int, high: int) -> None:
        self._low = math.floor(math.log10(max(low, 1)))
        self._high = max(math.ceil(math.log10(max(high, 1)) + 0.1), self._low + 1)

    def y(self, ns: int) -> float:
        part = (math.log10(max(ns, 1)) - self._low) / (self._high - self._low)
        return round(HEIGHT - _MARGIN - part * (HEIGHT - 2 * _MARGIN), 1)

    def lines(self, timeout: int, source: str) -> list[Line]:
        step = max(1, -(-(self._high - self._low) // 6))
        powers = range(self._low, self._high + 1, step)
        made = [Line(self.y(10**power), duration_of(power), "grid") for power in powers]
        if timeout:
            allowed = self.y(timeout)
            made = [line for line in made if abs(line.y - allowed) > 10]  # two labels on one another are none
            made.append(Line(allowed, f"timeout {duration(timeout)}{source}", "timeout"))
        return made


def duration_of(power: int) -> str:
    """Return a power of ten nanoseconds as people write it: `100 µs`, `1 ms`, `10 s`."""
    for size, unit in ((9, "s"), (6, "ms"), (3, "µs")):
        if power >= size:
            return f"{10 ** (power - size)} {unit}"
    return f"{10**power} ns"


_KIND: Final = {
    Outcome.SUCCESS: "ok",
    Outcome.FAILURE: "bad",
    Outcome.DISCARDED: "unclear",
    Outcome.INCONCLUSIVE: "unclear",
}


def _points(probe: Probe, attempt: Attempt, scale: Scale, axis: _Axis, base: int) -> list[Point]:
    x = scale.at(attempt.start.ns)
    made = [Point(x, axis.y(attempt.latency_ns), _KIND[attempt.outcome], title(probe, attempt, base))]
    if attempt.late_answer_ns:
        late = f"#{attempt.n}: the answer came after {duration(attempt.late_answer_ns)}"
        made.append(Point(x, axis.y(attempt.late_answer_ns), "late", late))
    return made


def _ranges(attempts: Sequence[Attempt], scale: Scale, axis: _Axis, base: int) -> list[Range]:
    length = max(scale.end_ns - scale.start_ns, MS)
    places: dict[tuple[int, bool], list[int]] = {}
    for attempt in attempts:
        place = min((attempt.start.ns - scale.start_ns) * DRAWN // length, DRAWN - 1)
        places.setdefault((place, attempt.outcome is Outcome.FAILURE), []).append(attempt.latency_ns)
    made = []
    for (place, failed), values in sorted(places.items()):
        values.sort()
        at = scale.start_ns + length * (2 * place + 1) // (2 * DRAWN)
        middle = percentile(values, 50)
        made.append(
            Range(
                scale.at(at), axis.y(values[-1]), axis.y(values[0]), axis.y(middle), "bad" if failed else "ok",
                f"{relative(at, base)}: {len(values)} {'failed' if failed else 'not failed'}, "
                f"{duration(values[0])} to {duration(values[-1])}, median {duration(middle)}",
            )
        )  # fmt: skip
    return made
