"""Tell apart copies of one frame, records written twice, and segments sent again.

Theory of operation
-------------------
One frame that passes two captured interfaces, one record that was written twice, and a segment that was sent again look
alike. They are told apart by the point (file, interface, interface index, cooked packet type, tunnel) and by the time
between them:

| ports, seq, ack, flags, length, IP id, TSval | point | apart | verdict |
| --- | --- | --- | --- |
| the same | another | up to `WINDOW` | a copy: another sighting of one frame |
| the same, IP id not 0 | the same | up to `RECORD` | a copy: recorded twice; Linux gives a retransmission a new IP id |
| the same, IP id 0 or none | the same | up to `ECHO` | a copy: no TCP sends anything again so soon |
| anything else | | | a frame of its own |

The second and third rule also serve captures merged from several points into one file that does not tell them apart.
IP id 0 is what Linux writes into SYN-ACK and RST with DF; IPv6 has none. The price of the third rule: two RSTs (or,
over IPv6, two duplicate ACKs) truly sent within `ECHO` count as one packet. SYN, FIN and data are safe: the shortest
timer that sends them again is a thousand times longer.

`-i any` with cooked v1 headers (LINUX_SLL) names no interface: its points are "outgoing" and "not outgoing", and the
same interface is the one where directions and packet types agree (see `vantage`).

TTL plays no part: it is lower behind a router. NAT is not undone: two 5-tuples are two connections.

Limitations
-----------
Clocks of files from different machines must agree within `WINDOW`. A packet that the network itself doubled within
`RECORD` counts as recorded twice.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.units import MS
from probewatch.wire.packets import Lane

WINDOW: Final = 50 * MS
"""Nanoseconds between two sightings of one frame."""
RECORD: Final = MS
ECHO: Final = 100_000
GENERATION: Final = 64
"""Frames remembered a connection: between one and two generations of so many."""

OUTGOING: Final = 4

Point = tuple[int, int, int, int, str]
"""(file, interface, ifindex, cooked packet type, tunnel)."""
Vantage = tuple[int, int, int, bool]
"""(file, interface, ifindex, which side of a cooked v1 capture)."""
Signature = tuple[int, int, int, int, int, int, bool]
"""(seq, ack, flags, length, IP id, TSval, from the originator)."""
Seen = dict[Signature, tuple[int, tuple[Point, ...]]]
"""Frames -> when each was seen first, and where."""
_NONE: Final[Seen] = {}
"""An older generation that there is not, of all connections: nothing is ever added to one."""


def point(file: int, lane: Lane) -> Point:
    """Return where a frame was captured, as fine as its headers tell."""
    return (file, lane.interface, lane.ifindex, lane.packet_type, lane.tunnel)


def vantage(file: int, lane: Lane, from_originator: bool) -> Vantage:
    """Return which interface captured a frame.

    Cooked v1 does not name it, but on one interface the two directions have opposite packet types.
    """
    side = lane.packet_type >= 0 and lane.ifindex < 0 and (lane.packet_type == OUTGOING) is from_originator
    return (file, lane.interface, lane.ifindex, side)


class Recent:
    """The frames of one connection that were seen last."""

    __slots__ = ("_left_out", "_new", "_old")

    def __init__(self) -> None:
        self._left_out = 0
        """Frames of the new generation that are not kept."""
        self._new: Seen = {}
        self._old = _NONE

    def is_copy(self, signature: Signature, ns: int, at: Point) -> bool:
        """Say whether a frame is a copy of one seen before, and remember it."""
        new = self._new
        before = new.get(signature)
        if before is None:
            if len(new) + self._left_out >= GENERATION:
                self._old = new
                new = self._new = {}
                self._left_out = 0
                before = self._old.get(signature)
            elif self._old:
                before = self._old.get(signature)
            if before is None:
                new[signature] = (ns, (at,))
                return False
        seen, points = before
        apart = ns - seen if ns >= seen else seen - ns
        if at not in points:
            if apart <= WINDOW:
                new[signature] = (seen, (*points[-7:], at))
                return True
        elif apart <= (RECORD if signature[4] > 0 else ECHO):
            return True
        new[signature] = (ns, (at,))
        return False

    def leave_out(self, frames: int) -> None:
        """Let so many frames pass, each new, of which no copy can come any more: the others grow as old as if they were kept."""
        count = len(self._new) + self._left_out + frames
        if count <= GENERATION:
            self._left_out += frames
            return
        # Each generation begins with the frame that found the one before full.
        turns, rest = divmod(count - 1, GENERATION)
        self._old = self._new if turns == 1 else _NONE
        self._new = {}
        self._left_out = rest + 1

    def clear(self) -> None:
        """Forget them: the connection is over."""
        self._new = {}
        self._old = _NONE
        self._left_out = 0
