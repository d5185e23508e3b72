"""The fast path: plain segments of long connections, taken in where they stand in the buffer, without being decoded in full.

Theory of operation
-------------------
Most frames of a mixed capture belong to a few connections that transfer much, and change nothing but counters: the next
bytes in order, of which none is kept any more (`Stream.limit`), or an acknowledgment of more of them. `FastPath` keeps a
`Flow` for each direction of such connections, found by the 12 bytes of addresses and ports as they stand in the frame,
and takes in what meets every condition under which `Tracker.segment` would only count. All other frames it hands on.
So nothing is skipped: what the tracker knows of the connection is the same afterwards, to the last counter.

A flow's numbers (`nxt`, `acked`) run ahead of its `Side`. They are written down at the end of every batch, and whenever
anything else touches the connection (`Life.catch_up`): a frame that was handed on, an ICMP error, its timer. That also
ends the fast path for the connection, until the next frame that was handed on shows that it is in order again.

A frame that passed here is no copy of an earlier one: its number or its acknowledgment is new. But later ones may be
copies of it, so the headers of those within reach of `sightings` are kept until they are asked for, or too old.

Frames must come in time order, and none may pass when something is due (`Tracker.span`, the observer's next turn):
then it is handed on, and everything happens at the same moments as it would without.

Limitations
-----------
Ethernet without tags and IPv4 without options; all else is handed on. In a stream whose frames are not in time order, a
copy of a frame that passed here is not recognized as one if it stands more than `REACH_NS` too late.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from probewatch.model.frame import Batch, Frame, Mark
from probewatch.wire.lives import Life, Side
from probewatch.wire.packets import Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.sightings import GENERATION, WINDOW
from probewatch.wire.states import Endpoint
from probewatch.wire.stream import MASK, REACH
from probewatch.wire.tcp import FAR, Tracker

WARM: Final = 12
"""Segments of a side before it may take the fast path: those of a check never do."""
FLOWS: Final = 2048
"""Directions that take it at once; of more connections all frames are handed on."""
REACH_NS: Final = 2 * WINDOW
"""How long the headers of what passed are kept."""
HEADERS: Final = 14 + 20 + 60
"""Bytes of a frame up to the end of the longest TCP header."""
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

    __slots__ = ("acked", "bare", "data_at", "full", "nxt", "pair", "passed", "peer", "side")

    peer: Flow

    def __init__(self, pair: Pair, side: Side) -> None:
        self.pair = pair
        self.side = side
        self.nxt = _CLOSED
        """The number its next segment must have; -1 keeps all out."""
        self.acked = 0
        """What it has acknowledged."""
        self.bare = False
        """Acknowledgments without data may pass: one was seen before."""
        self.full = False
        """Data may pass: some was seen before, and no more of it is kept."""
        self.passed: list[int] = []
        """What passed of this batch, by index."""
        self.data_at = -1
        """The last of them with data."""


class Pair:
    """A connection on the fast path."""

    __slots__ = ("_owner", "_waiting", "flows", "life")

    def __init__(self, owner: FastPath, life: Life) -> None:
        self._owner = owner
        self.life = life
        self.flows = (Flow(self, life.orig), Flow(self, life.resp))
        self.flows[0].peer, self.flows[1].peer = self.flows[1], self.flows[0]
        self._waiting: list[tuple[int, int, bool, bytes]] = []
        """(time, number, sent by the originator, headers) of what passed and `Recent` does not know yet, oldest first."""

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
            flow.nxt = flow.side.nxt
        life.catch_up = self.close
        return True

    def close(self) -> None:
        """Write down what passed, and let nothing pass any more."""
        self.life.catch_up = None
        self.settle()
        one, other = self.flows
        one.nxt = other.nxt = _CLOSED
        recent = self.life.recent
        for ns, signature, at in self._owner.signatures(self, self._waiting):
            recent.is_copy(signature, ns, at)
        self._waiting = []

    def settle(self) -> None:
        """Write down what passed."""
        one, other = self.flows
        if not (one.passed or other.passed):
            return
        batch, skew = self._owner.batch, self._owner.skew
        life = self.life
        latest = -1
        for flow in self.flows:
            if not flow.passed:
                continue
            index = flow.passed[-1]
            side, mark = flow.side, Mark(batch.times[index], batch.file, batch.first + index)
            side.packets += len(flow.passed)
            side.last = mark
            if side.sight is not None:
                side.sight.packets += len(flow.passed)
                side.sight.last = max(side.sight.last, mark.number)
            if index > latest:
                latest, life.end, life.touched = index, mark, mark.ns + skew
            if flow.data_at >= 0:
                stream = side.stream
                stream.next += (flow.nxt - side.nxt) & MASK
                stream.top = max(stream.top, stream.next)
                stream.edge = side.nxt = flow.nxt
                side.nxt_ns = batch.times[flow.data_at]
                flow.data_at = -1
            if flow.acked != side.peer.acked:
                side.peer.acked = flow.acked
                side.dup_acks = 0
        self._keep(batch, batch.times[latest] - REACH_NS)
        one.passed.clear()
        other.passed.clear()

    def _keep(self, batch: Batch, since: int) -> None:
        """Keep the headers of what passed after `since`, and of no more than can be remembered."""
        one, other = self.flows
        order = sorted(one.passed + other.passed)
        fresh = order[-2 * GENERATION :]
        while fresh and batch.times[fresh[0]] < since:
            del fresh[0]
        old = self._waiting
        keep = 0 if len(fresh) < len(order) else 2 * GENERATION - len(fresh)
        drop = max(0, len(old) - keep)
        while drop < len(old) and old[drop][0] < since:
            drop += 1
        self.life.recent.leave_out(drop + len(order) - len(fresh))
        del old[:drop]
        mine, data, starts, sizes = set(one.passed), batch.data, batch.starts, batch.sizes
        old += [
            (
                batch.times[i],
                batch.first + i,
                (one if i in mine else other).side.orig,
                data[starts[i] : starts[i] + min(HEADERS, sizes[i])],
            )
            for i in fresh
        ]


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

    __slots__ = ("_flows", "_pairs", "_peeler", "_tracker", "batch", "skew", "until")

    def __init__(self, tracker: Tracker, peeler: Peeler) -> None:
        self._tracker = tracker
        self._peeler = peeler
        self._flows: dict[tuple[int, int], dict[bytes, Flow]] = {}
        """By file and interface, then by addresses and ports."""
        self._pairs = 0
        self.batch = Batch(0, 0, 0, 0, "<", b"", (), (), ())
        """What passes now."""
        self.skew = 0
        """Of the tracker's clock."""
        self.until = FAR
        """Time (ns) from which on a frame is handed on in any case; whoever takes frames sets it before each."""

    def through(self, batch: Batch) -> Iterator[Frame]:
        """Yield the frames that are to be decoded; all others have been taken in when the iterator ends."""
        if batch.link_type != ETHERNET:
            yield from batch
            return
        self.batch, tracker = batch, self._tracker
        flows = self._flows.setdefault((batch.file, batch.interface), {})
        find, data, file, first = flows.get, batch.data, batch.file, batch.first
        touched: list[Pair] = []
        handed_on = 0
        low, until = tracker.span()
        until, self.skew = min(until, self.until), tracker.skew
        index = -1
        for ns, start, size in zip(batch.times, batch.starts, batch.sizes, strict=True):
            index += 1
            flow = find(data[start + 26 : start + 38])
            if flow is not None and low <= ns < until and size >= 54:
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
                    if length > 0:
                        if flow.full and flow.acked <= ack <= flow.peer.nxt and seq + length <= MASK:
                            flow.nxt = seq + length
                            flow.acked = ack
                            flow.data_at = index
                            passed = flow.passed
                            if not passed:
                                touched.append(flow.pair)
                            passed.append(index)
                            continue
                    elif length == 0 and flow.bare and flow.acked < ack <= flow.peer.nxt:
                        flow.acked = ack
                        passed = flow.passed
                        if not passed:
                            touched.append(flow.pair)
                        passed.append(index)
                        continue
            handed_on += 1
            yield batch[index]
            side = tracker.latest
            if side is not None and side.packets >= WARM:
                last = side.last
                if last is not None and last.number == first + index and last.file == file:
                    self._open(flows, flow, side, start)
            low, until = tracker.span()
            until, self.skew = min(until, self.until), tracker.skew
        for pair in touched:
            pair.settle()
        if handed_on < len(batch):
            tracker.passed(len(batch) - handed_on, batch.times[-1])

    def _open(self, flows: dict[bytes, Flow], flow: Flow | None, side: Side, start: int) -> None:
        """Let the connection of a frame that was handed on pass, where it may."""
        life, batch = side.life, self.batch
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

    def signatures(
        self, pair: Pair, headers: list[tuple[int, int, bool, bytes]]
    ) -> Iterator[tuple[int, tuple[int, int, int, int, int, int, bool], tuple[int, int, int, int, str]]]:
        """Yield (time, signature, point) of frames that passed, as the tracker would have remembered them."""
        at = pair.flows[0].side.at
        for ns, number, orig, head in headers:
            segment = self._peeler.peel(Frame(ns, at[0], number, at[1], ETHERNET, head, len(head)))
            assert isinstance(segment, Segment)
            yield (
                ns,
                (segment.seq, segment.ack, segment.flags, segment.length, segment.ip_id, segment.tsval, orig),
                at,
            )


def _full(side: Side) -> bool:
    return side.stream.next >= side.stream.limit


def _cleared(flows: dict[bytes, Flow]) -> bool:
    """Forget the flows that are closed; return whether there were any."""
    closed = [key for key, flow in flows.items() if flow.nxt == _CLOSED]
    for key in closed:
        del flows[key]
    return bool(closed)
