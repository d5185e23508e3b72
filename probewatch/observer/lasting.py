"""Connections that clients keep: from when to when each was used, for readiness turns away new connections only.

Theory of operation. A connection that is kept is told in parts: its questions one by one, and anew from where too much of
it was read. All parts have the client's port, and the one with the SYN begins it; so `Uses` puts them together again, in
whatever order they come.

Until when a connection was used: the client's last data, whether its bytes were captured or not. Of a long transfer, whose
end alone is followed, it is the client's last frame before that, so a download counts as use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.units import SECOND

from .readiness import State, Stretch

LEAST_NS: Final = SECOND
"""A connection in use for less is not kept; and in use for less beyond NotReady, it was just being used."""
MOST: Final = 16_384
"""Connections that are remembered, of all clients together."""

Use = tuple[int, int]
"""When a connection was first and last used."""


@dataclass(slots=True)
class Kept:
    """One connection that is kept."""

    first_ns: int
    last_ns: int
    opened: bool
    """Its SYN was seen; else it may have begun before."""
    client: bool
    """A client used it, whom readiness may concern."""


class Uses:
    """The connections that one client keeps to one port."""

    def __init__(self) -> None:
        self._by_port: dict[int, list[Kept]] = {}

    def __iter__(self) -> Iterator[Kept]:
        """Return all of them."""
        return (kept for mine in self._by_port.values() for kept in mine)

    def add(self, connection: Connection, *, client: bool, room: bool) -> int:
        """Take a connection, or a part of one; return how many more are kept. Where there is no `room` none is begun."""
        first, last = _use_of(connection)
        opened = not connection.midstream and connection.question < 2 and bool(connection.orig.syns)
        if opened and last - first < LEAST_NS and (connection.question == 0 or _closed(connection)):
            return 0
        mine = self._by_port.get(connection.client_port, [])
        if opened:
            fitting = [kept for kept in mine if not kept.opened and kept.first_ns >= first]
        else:
            before = [kept for kept in mine if kept.first_ns <= first]
            fitting = before[-1:] or [kept for kept in mine if not kept.opened][:1]
        if not fitting:
            if room:
                mine.append(Kept(first, last, opened, client))
                mine.sort(key=lambda kept: kept.first_ns)
                self._by_port[connection.client_port] = mine
            return int(room)
        known = fitting[0]
        known.first_ns, known.last_ns = min(known.first_ns, first), max(known.last_ns, last)
        known.opened, known.client = known.opened or opened, known.client or client
        mine.sort(key=lambda kept: kept.first_ns)
        return 0


def _closed(connection: Connection) -> bool:
    return connection.orig.closed is not None or connection.resp.closed is not None


def _use_of(connection: Connection) -> Use:
    """Return from when to when a connection, or one question on it, was used."""
    begun, until = connection.start.ns, connection.orig.used
    if connection.question or until is None:
        return begun, begun
    return begun, max(until.ns, begun)


def went_on(uses: Iterable[Use], time: Sequence[Stretch]) -> list[int] | None:
    """Return, for each connection that was used on after Ready had become NotReady, for how long into that time.

    None where Ready is not known to have become NotReady.
    """
    lost = [
        stretch
        for before, stretch in pairwise(time)
        if stretch.state is State.NOT_READY and before.end_ns == stretch.start_ns
    ]
    known = list(uses)
    found = [
        min(last, stretch.end_ns) - stretch.start_ns
        for stretch in lost
        for first, last in known
        if first < stretch.start_ns and last >= stretch.start_ns + LEAST_NS
    ]
    return found if lost else None
