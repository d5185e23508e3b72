"""The fast path: plain segments of long connections, taken in where they stand in the buffer, without being decoded in full.

Theory of operation
-------------------
Most frames of a mixed capture belong to a few connections that transfer much, and change nothing but counters: the next
bytes in order, of which none is kept any more (`Stream.limit`), or an acknowledgment of more of them. `FastPath` keeps a
`Flow` for each direction of such connections, found by the 12 bytes of addresses and ports as they stand in the frame,
and takes in what meets every condition under which `Tracker.segment` would only count. All other frames it hands on.
So nothing is skipped: what the tracker knows of the connection is the same afterwards, to the last counter.

A flow runs ahead of its `Side`. What it counted is written down when anything else touches the connection
(`Life.fast`): a frame that was handed on, an ICMP error, its hand-out. That also ends the fast path for the
connection, until the next frame that was handed on shows that it is in order again.

A frame that passed here is no copy of an earlier one: its number or its acknowledgment is new. But later ones may be
copies of it, so the headers of as many as `sightings` remembers are kept until they are asked for.

Frames must come in time order. Timers ring before the frame that is later than they (`Tracker.span`), and the observer
has its turns after the same frames: so everything happens at the same moments as it would without.

Limitations
-----------
Ethernet without tags and IPv4 without options; all else is handed on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from probewatch.model.frame import Batch, Frame, Mark
from probewatch.wire.lives import Life, Side
from probewatch.wire.packets import Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.sightings import GENERATION, Point, Signature
from probewatch.wire.states import Endpoint
from probewatch.wire.stream import MASK, REACH
from probewatch.wire.tcp import FAR, Tracker

WARM: Final = 12
"""Segments of a side before it may take the fast path: those of a check never do."""
FLOWS: Final = 2048
"""Directions that take it at once; of more connections all frames are handed on."""
KEPT: Final = 2 * GENERATION
"""Headers kept of a connection: no more frames than that are remembered."""
SPARE: Final = 32
"""So many more before the oldest are let go together."""
ETHERNET: Final = 1
PLAIN4: Final = b"\x08\x00\x45"
"""Ethertype of IPv4, and a header of 20 bytes."""

# From the ethertype on: ethertype, version and header length, total length, fragment, protocol; seq, ack, flags, window.
_FIELDS: Final = struct.Struct("!HBxHxxHxBxx12xIIHH").unpack_from
_CLOSED: Final = -1
_OPEN: Final = frozenset({Endpoint.ESTABLISHED, Endpoint.PARTIAL})
_new = tuple.__new__


class Flow:
    """One direction of a connection on the fast path."""

    __slots__ = (
        "acked",
        "bare",
        "count",
        "data_ns",
        "full",
        "last_ns",
        "number",
        "nxt",
        "orig",
        "pair",
        "peer",
        "side",
        "waiting",
    )

    peer: Flow

    def __init__(self, pair: Pair, side: Side) -> None:
        self.pair = pair
        self.side = side
        self.waiting = pair.waiting
        self.orig = side.orig
        self.nxt = _CLOSED
        """The number its next segment must have; -1 keeps all out."""
        self.acked = 0
        """What it has acknowledged."""
        self.bare = False
        """Acknowledgments without data may pass: one was seen before."""
        self.full = False
        """Data may pass: some was seen before, and no more of it is kept."""
        self.count = 0
        """Segments that passed, the last of them"""
        self.last_ns = 0
        """at this time,"""
        self.number = 0
        """with this frame number,"""
        self.data_ns = 0
        """and the last one with data at this time."""


class Pair:
    """A connection on the fast path."""

    __slots__ = ("_owner", "flows", "life", "waiting")

    def __init__(self, owner: FastPath, life: Life) -> None:
        self._owner = owner
        self.life = life
        self.waiting: list[tuple[int, bool, bytes]] = []
        """(time, sent by the originator, headers) of what passed and `Recent` does not know yet, oldest first."""
        self.flows = (Flow(self, life.orig), Flow(self, life.resp))
        self.flows[0].peer, self.flows[1].peer = self.flows[1], self.flows[0]

    def open(self) -> bool:
        """Let segments pass from now on, where the connection is in order; return whether they may."""
        life = self.life
        one, other = self.flows
        if life.told or life.gone or life.over is not None or not (_orderly(one.side) and _orderly(other.side)):
            return False
        for flow in self.flows:
            side, stream = flow.side, flow.side.stream
            flow.bare = side.seen_ack
            flow.full = side.seen_data and stream.next >= stream.limit
            flow.acked = side.peer.acked
        if not (one.full or other.full):
            return False
        for flow in self.flows:
            flow.nxt, flow.orig = flow.side.nxt, flow.side.orig
        life.fast = self
        return True

    def touch(self) -> None:
        """Write down when the last segment passed."""
        for flow in self.flows:
            if flow.count:
                self.life.touched = max(self.life.touched, flow.last_ns + self._owner.skew)

    def close(self) -> None:
        """Write down what passed, and let nothing pass any more."""
        life = self.life
        life.fast = None
        for flow in self.flows:
            if flow.count:
                self._settle(flow)
            flow.nxt = _CLOSED
        if self.waiting:
            signature, recent, at = self._owner.signature, life.recent, self.flows[0].side.at
            for ns, orig, head in self.waiting:
                recent.is_copy(signature(head, at, orig=orig), ns, at)
            self.waiting.clear()

    def _settle(self, flow: Flow) -> None:
        life, side, stream, peer = self.life, flow.side, flow.side.stream, flow.side.peer
        mark = Mark(flow.last_ns, side.at[0], flow.number)
        side.last = mark
        side.packets += flow.count
        if side.sight is not None:
            side.sight.packets += flow.count
            side.sight.last = max(side.sight.last, mark.number)
        flow.count = 0
        if mark.number > life.end.number or mark.file != life.end.file:
            life.end, life.touched = mark, mark.ns + self._owner.skew
        if flow.nxt != side.nxt:
            stream.next += (flow.nxt - side.nxt) & MASK
            stream.top = max(stream.top, stream.next)
            stream.edge = side.nxt = flow.nxt
            side.nxt_ns = flow.data_ns
        if flow.acked != peer.acked:
            peer.acked = flow.acked
            side.dup_acks = 0


def _orderly(side: Side) -> bool:
    """Tell whether a side's numbers run without a hole, with nothing sent again on the way, and nothing ended."""
    stream = side.stream
    return (
        side.state in _OPEN
        and side.fin is None
        and side.first_ack is not None
        and side.acked >= 0
        and stream.base >= 0
        and not stream.spans
        and stream.edge == side.nxt
        and 0 <= side.nxt - side.acked <= REACH  # (around the wrap of the numbers nothing passes)
    )


class FastPath:
    """Takes in what may pass of a batch, and hands on the rest."""

    __slots__ = ("_flows", "_peeler", "_tracker", "skew", "until")

    def __init__(self, tracker: Tracker, peeler: Peeler) -> None:
        self._tracker = tracker
        self._peeler = peeler
        self._flows: dict[tuple[int, int], dict[bytes, Flow]] = {}
        """By file and interface, then by addresses and ports."""
        self.skew = 0
        """Of the tracker's clock."""
        self.until = FAR
        """When (ns) whoever takes the frames wants to be told the time."""

    def through(self, batch: Batch) -> Iterator[Frame | int]:
        """Yield the frames that are to be decoded, and the time (ns) where one that passed has come to `until`.

        All others have been taken in when the iterator ends.
        """
        if batch.link_type != ETHERNET:
            yield from batch
            return
        tracker, first, file, data = self._tracker, batch.first, batch.file, batch.data
        flows = self._flows.setdefault((file, batch.interface), {})
        find = flows.get
        handed_on = 0
        low, until = self._span()
        number = first - 1
        for ns, start, size in zip(batch.times, batch.starts, batch.sizes, strict=True):
            number += 1
            if ns >= until and ns >= low:
                tracker.tick(ns)
                low, until = self._span()
            flow = find(data[start + 26 : start + 38])
            if flow is not None and low <= ns and size >= 54:
                kind, version, total, fragment, protocol, seq, ack, bits, window = _FIELDS(data, start + 12)
                header = bits >> 10 & 0x3C
                if (
                    seq == flow.nxt
                    and bits & 0xF7 == 0x10  # ACK, with or without PSH
                    and window
                    and 20 <= header <= size - 34
                    and kind == 0x0800
                    and version == 0x45
                    and protocol == 6
                    and not fragment & 0x3FFF
                ):
                    length = total - 20 - header
                    if (
                        flow.full and flow.acked <= ack <= flow.peer.nxt and seq + length <= MASK
                        if length > 0
                        else length == 0 and flow.bare and flow.acked < ack <= flow.peer.nxt
                    ):
                        if length:
                            flow.nxt = seq + length
                            flow.data_ns = ns
                        flow.acked = ack
                        flow.count += 1
                        flow.last_ns = ns
                        flow.number = number
                        waiting = flow.waiting
                        waiting.append((ns, flow.orig, data[start : start + 34 + header]))
                        if len(waiting) >= KEPT + SPARE:
                            del waiting[:SPARE]
                            flow.side.life.recent.leave_out(SPARE)
                        if ns >= self.until:
                            tracker.passed(0, ns)
                            yield ns
                            low, until = self._span()
                        continue
            handed_on += 1
            yield batch[number - first]
            side = tracker.latest
            if side is not None and side.packets >= WARM:
                last = side.last
                if last is not None and last.number == number and last.file == file:
                    self._open(flows, flow, side, batch, start)
            low, until = self._span()
        if handed_on < len(batch):
            tracker.passed(len(batch) - handed_on, batch.times[-1])

    def _span(self) -> tuple[int, int]:
        """Return the times between which a frame may pass."""
        self.skew = self._tracker.skew
        low, due = self._tracker.span()
        return low, min(due, self.until)

    def _open(self, flows: dict[bytes, Flow], flow: Flow | None, side: Side, batch: Batch, start: int) -> None:
        """Let the connection of a frame that was handed on pass, where it may."""
        life = side.life
        if flow is not None and flow.pair.life is life:
            flow.pair.open()
            return
        data = batch.data
        at = (batch.file, batch.interface, -1, -1, "")
        if (
            data[start + 12 : start + 15] != PLAIN4
            or side.at != at
            or side.peer.at != at
            or not (_full(side) or _full(side.peer))
        ):
            return
        if len(flows) >= FLOWS and not _cleared(flows):
            return
        pair = Pair(self, life)
        if not pair.open():
            return
        key = data[start + 26 : start + 38]
        one, other = pair.flows
        mine, theirs = (one, other) if one.side is side else (other, one)
        flows[key] = mine
        flows[key[4:8] + key[:4] + key[10:12] + key[8:10]] = theirs

    def signature(self, head: bytes, at: Point, *, orig: bool) -> Signature:
        """Return how the tracker would have remembered a frame that passed."""
        segment = self._peeler.peel(Frame(0, at[0], 0, at[1], ETHERNET, head, len(head)))
        assert isinstance(segment, Segment)
        return segment.seq, segment.ack, segment.flags, segment.length, segment.ip_id, segment.tsval, orig


def _full(side: Side) -> bool:
    return side.stream.next >= side.stream.limit


def _cleared(flows: dict[bytes, Flow]) -> bool:
    """Forget the flows that are closed; return whether there were any."""
    closed = [key for key, flow in flows.items() if flow.nxt == _CLOSED]
    for key in closed:
        del flows[key]
    return bool(closed)
