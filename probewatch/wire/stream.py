"""Put one direction of a TCP connection together: from segments in any order to the bytes that were sent.

Theory of operation
-------------------
Offsets count stream bytes from 0, the byte after the SYN (or the first byte seen where the capture has no SYN). A
32-bit sequence number becomes an offset by its distance from the edge, the end of what was seen without a hole (RFC
9293 section 3.4: modulo 2**32), so a stream may wrap as often as it likes. What lies beyond a hole waits in `spans`,
sorted and without overlap. Where two segments claim the same byte the first one wins, as in most receivers.

`data` grows only at its own end, only without a hole, and stops at its limit, at a byte that a snapshot length cut
away, or at a hole that had to be given up. So it is always a true prefix of the stream; nothing is ever filled in.
Bytes beyond the limit are counted and not kept, so a long transfer costs no memory.

Bounds
------
`limit` bytes of data and as many that wait behind a hole; `SPANS` spans (above that the first hole is given up: `cut`
is set there); `marks` arrivals (above that the last one is moved on). A segment more than `REACH` away from the edge is
no part of the stream.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.connection import Arrival
from probewatch.model.frame import Mark

MASK: Final = 0xFFFFFFFF
HALF: Final = 0x80000000
REACH: Final = 1 << 30
"""The largest window TCP can offer (RFC 7323 section 2.3)."""
SPANS: Final = 64

_new = tuple.__new__  # a NamedTuple made this way costs half of a call of its class


def distance(a: int, b: int) -> int:
    """Return how far sequence number `a` is ahead of `b` (negative: behind), modulo 2**32."""
    return ((a - b + HALF) & MASK) - HALF


class Stream:
    """The bytes of one direction, up to a limit."""

    __slots__ = ("arrivals", "base", "cut", "data", "edge", "limit", "lost", "marks", "next", "spans", "top")

    def __init__(self, limit: int, marks: int) -> None:
        self.base = -1
        """Sequence number of offset 0; -1 where it is not known."""
        self.edge = 0
        """Sequence number of offset `next`."""
        self.next = 0
        """End of what was seen without a hole."""
        self.top = 0
        """End of what was seen at all."""
        self.limit = limit
        self.marks = marks
        self.data = bytearray()
        self.cut: int | None = None
        """Offset at which `data` ends for good before its limit."""
        self.lost = False
        """A hole was taken for lost."""
        self.spans: list[tuple[int, int, bytes]] = []
        """(from, to, bytes) seen beyond a hole; the bytes may be shorter than the span, never longer."""
        self.arrivals: list[Arrival] = []

    def begin(self, base: int) -> None:
        """Say that offset 0 has this sequence number; what was known before is forgotten."""
        self.base = self.edge = base & MASK
        self.next = self.top = 0
        self.data.clear()
        self.cut = None
        self.lost = False
        self.spans.clear()
        self.arrivals.clear()

    def extend_back(self, base: int, mark: Mark) -> None:
        """Say that the stream began earlier than was thought (the SYN, or what followed it, was captured late)."""
        shift = distance(self.base, base)
        if not 0 < shift < REACH:
            return
        old = [(start + shift, end + shift, piece) for start, end, piece in self.spans]
        if self.next:
            old.insert(0, (shift, shift + self.next, bytes(self.data[: self.cut])))
        top = self.top + shift
        self.begin(base)
        for start, end, piece in old:
            self._place(start, end, piece, mark)
        self.top = max(top, self.top)

    def offset(self, seq: int) -> int:
        """Return the offset that a sequence number means here; negative before the beginning."""
        return self.next + ((seq - self.edge + HALF) & MASK) - HALF

    def seen(self, start: int, end: int) -> bool:
        """Return whether every byte of [start, end) was seen before."""
        return end <= self.next or any(a <= start and end <= b for a, b, _ in self.spans)

    def add(self, seq: int, payload: bytes, length: int, mark: Mark) -> int:
        """Take in a segment's payload: `length` bytes on the wire, of which `payload` was captured.

        Returns how many more bytes are in memory than before.
        """
        if seq == self.edge and not self.spans:
            # The common case: the next bytes in order.
            start = self.next
            self.next = end = start + length
            self.edge = (seq + length) & MASK
            if end > self.top:
                self.top = end
            return self._keep(payload, length, mark) if start < self.limit and self.cut is None else 0
        start, before = self.offset(seq), self.held
        self._place(start, start + length, payload, mark)
        return self.held - before

    def _keep(self, payload: bytes, length: int, mark: Mark) -> int:
        """Append to `data`, and return how much; the caller knows that it continues it."""
        data = self.data
        held = len(data)
        room = self.limit - held
        captured = len(payload)
        if captured > length:
            payload, captured = payload[:length], length
        data += payload if captured <= room else payload[:room]
        end = len(data)
        if captured < length and captured < room:
            self.cut = end
        if captured:
            arrival = _new(Arrival, (end, mark))
            if len(self.arrivals) < self.marks:
                self.arrivals.append(arrival)
            else:
                self.arrivals[-1] = arrival
        return end - held

    def _place(self, start: int, end: int, payload: bytes, mark: Mark) -> None:
        if end <= self.next or start - self.next > REACH:
            return
        if start < self.next:
            payload = payload[self.next - start :]
            start = self.next
        self.top = max(self.top, end)
        if start > self.next:
            self._hold(start, end, payload)
            if len(self.spans) > SPANS:
                self._give_up(mark)
            return
        self._advance(start, end, payload, mark)
        self._drain(mark)

    def _advance(self, start: int, end: int, payload: bytes, mark: Mark) -> None:
        self.next = end
        self.edge = (self.edge + end - start) & MASK
        if start < self.limit and self.cut is None:
            self._keep(payload, end - start, mark)

    def _hold(self, start: int, end: int, payload: bytes) -> None:
        """Keep [start, end) for later, without what is already held."""
        spans = self.spans
        if spans and start == spans[-1][1] and (start >= self.limit or self.cut is not None):
            spans[-1] = (spans[-1][0], end, spans[-1][2])  # nothing to keep of it: one span, however long
            return
        pieces = []
        for a, b, _ in spans:
            if b <= start:
                continue
            if a >= end:
                break
            if start < a:
                pieces.append((start, a, payload[: a - start]))
            if b >= end:
                start = end
                break
            payload = payload[b - start :]
            start = b
        if start < end:
            pieces.append((start, end, payload[: end - start]))
        for piece in pieces:
            keep = max(0, self.limit - piece[0]) if self.cut is None else 0
            spans.append((piece[0], piece[1], piece[2][:keep]))
        if len(pieces) > 1 or (len(spans) > 1 and spans[-1][0] < spans[-2][0]):
            spans.sort(key=_start)

    def _drain(self, mark: Mark) -> None:
        """Move what the hole held back."""
        spans = self.spans
        done = 0
        for start, end, payload in spans:
            if start > self.next:
                break
            done += 1
            if end > self.next:
                self._advance(self.next, end, payload[self.next - start :], mark)
        if done:
            del spans[:done]

    def _give_up(self, mark: Mark) -> None:
        """Take the first hole for lost."""
        self.lost = True
        if self.cut is None and self.next < self.limit:
            self.cut = len(self.data)
        start = self.spans[0][0]
        self.edge = (self.edge + start - self.next) & MASK
        self.next = start
        self._drain(mark)

    def acknowledged(self, ack: int) -> None:
        """Give up holes that the peer has acknowledged, where no data is wanted from there on any more."""
        end = self.offset(ack)
        if self.next < end <= self.top and (self.next >= self.limit or self.cut is not None):
            while self.spans and self.next < end:
                self._give_up(self.arrivals[-1].mark if self.arrivals else Mark(0, 0, 0))

    def holes(self, start: int, end: int) -> int:
        """Return how many separate holes [start, end) has."""
        start = max(start, self.next)
        count = 0
        for a, b, _ in self.spans:
            if a >= end:
                break
            if a > start:
                count += 1
            start = max(start, b)
        return count + (start < end)

    def gap(self, known_end: int) -> int | None:
        """Return the offset of the first lost byte within the limit, where the stream is known to reach `known_end`."""
        first = self.cut
        if first is None and (self.spans or known_end > self.next):
            first = self.next
        return first if first is not None and first < self.limit else None

    def shortened(self, known_end: int) -> bool:
        """Tell whether all up to `known_end` was on the wire, and a snapshot length cut some of it."""
        return self.cut is not None and not self.lost and not self.spans and self.next >= known_end

    @property
    def held(self) -> int:
        """Bytes of payload in memory."""
        spans = self.spans
        return len(self.data) + (sum(len(piece) for _, _, piece in spans) if spans else 0)


def _start(span: tuple[int, int, bytes]) -> int:
    return span[0]
