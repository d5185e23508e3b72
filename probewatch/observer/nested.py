"""Whether each connection of one series lies inside one of another's, in time: behind address translation the same check is seen as two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.connection import Connection
from probewatch.probes.checkers import MS

NESTED_NS: Final = 20 * MS
"""Address translation delays a SYN by no more than this between two interfaces of a node."""
SHARE: Final = 0.9
"""Share of the connections of a series that must lie inside."""

Moment = tuple[int, tuple[int, int], int | None]
"""Of a connection: time of its first frame, which frame that is, time of the first answer."""


def moment_of(c: Connection) -> Moment:
    """Return what is compared of a connection."""
    answer = c.resp.syns[0] if c.resp.syns else c.resp.rst
    return c.start.ns, c.start[1:], None if answer is None else answer.ns


def lies_inside(within: Sequence[Moment], around: Sequence[Moment]) -> bool:
    """Tell whether nearly all of a series lie inside one of the others each; both in the order of time."""
    if len(within) > len(around) * 1.1 + 2 or len(within) < 0.5 * len(around):
        return False
    at, hits = 0, len(within)
    for inner in within:
        while at < len(around) and around[at][0] < inner[0] - NESTED_NS:
            at += 1
        hits -= not any(_nested(inner, outer) for outer in around[at : at + 3])
        if hits < SHARE * len(within):
            return False
    return True


def _nested(inner: Moment, outer: Moment) -> bool:
    if not 0 <= inner[0] - outer[0] <= NESTED_NS or inner[:2] == outer[:2]:
        return False
    a, b = inner[2], outer[2]
    if a is None or b is None:
        return a is b
    return inner[0] <= a <= b
