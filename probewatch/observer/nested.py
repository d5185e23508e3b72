"""Whether each connection of one series lies inside one of another's, in time: behind address translation the same check is seen as two.

Three numbers are kept of a connection, side by side in one array: there may be as many as there are checks.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, TypeAlias

from probewatch.model.connection import Connection
from probewatch.model.units import MS

NESTED_NS: Final = 20 * MS
"""Address translation delays a SYN by no more than this between two interfaces of a node."""
SHARE: Final = 0.9
"""Share of the connections of a series that must lie inside."""
_FILE: Final = 1 << 40
"""More frames than a file has."""
_WIDTH: Final = 3

Moments: TypeAlias = "array[int]"
"""Of each connection: time of its first frame, which frame that is, time of the first answer (-1 where there is none)."""


def moments() -> Moments:
    """Return a place for moments."""
    return array("q")


def note(series: Moments, c: Connection) -> None:
    """Take what is compared of the next connection."""
    answer = c.resp.syns[0] if c.resp.syns else c.resp.rst
    series.extend((c.start.ns, c.start.file * _FILE + c.start.number, -1 if answer is None else answer.ns))


def chosen(series: Moments, which: Iterable[int]) -> Moments:
    """Return the moments of some connections, by their places."""
    out = moments()
    for place in which:
        out.extend(series[_WIDTH * place : _WIDTH * (place + 1)])
    return out


def begun(series: Moments, place: int) -> tuple[int, int]:
    """Return when a connection began, and with which frame."""
    return series[_WIDTH * place], series[_WIDTH * place + 1]


def lies_inside(within: Moments, around: Moments) -> bool:
    """Tell whether nearly all of a series lie inside one of the others each; both in the order of time."""
    many, others = len(within) // _WIDTH, len(around) // _WIDTH
    if many > others * 1.1 + 2 or many < 0.5 * others:
        return False
    at, hits, told = 0, many, many
    for place in range(many):
        start_ns = within[_WIDTH * place]
        while at < others and around[_WIDTH * at] < start_ns - NESTED_NS:
            at += 1
        found = [_nested(within, place, around, outer) for outer in range(at, min(at + 3, others))]
        if True not in found:
            hits -= 1
            told -= None in found
        if hits < SHARE * told:
            return False
    return told > 0.5 * many


def _nested(within: Moments, place: int, around: Moments, outer: int) -> bool | None:
    """Tell whether one lies inside another; None where they begin together, and of one of them the answer is not in the capture."""
    start_ns, frame, answer_ns = within[_WIDTH * place : _WIDTH * (place + 1)]
    outer_ns, outer_frame, outer_answer_ns = around[_WIDTH * outer : _WIDTH * (outer + 1)]
    if not 0 <= start_ns - outer_ns <= NESTED_NS or (start_ns, frame) == (outer_ns, outer_frame):
        return False
    if answer_ns < 0 or outer_answer_ns < 0:
        return True if answer_ns == outer_answer_ns else None
    return start_ns <= answer_ns <= outer_answer_ns
