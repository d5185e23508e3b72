"""The fast path: segments of bypassed connections, passed over where they stand in the buffer, without being decoded.

Theory of operation
-------------------
Most frames of a mixed capture belong to connections of which nothing more is followed but their end (`Tracker`; Suricata
calls the same stream bypass). Of their plain segments all that counts is which one came last. So `FastPath` keeps a `Flow`
for each direction of such a connection at each place of capture, found by what `peek` reads of a frame. Whatever has the
key of a frame that was decoded in full belongs to the same connection, and passes; all other frames are handed on. What the
tracker knows of the connection is the same afterwards as if each had been decoded.

A flow runs ahead of its `Life`. Which segment came last is written down when anything else touches the connection
(`Life.fast`): a frame that was handed on, a timer, an ICMP error, its hand-out. The last of these also closes its flows, until
the next frame, which is handed on, opens them again.

Frames must come in time order. Timers ring before the frame that is later than they (`Tracker.span`), and the observer
has its turns after the same frames: so everything happens at the same moments as it would without.

Of a batch the rows alone are looked at, as long as they show TCP in IPv4 right behind Ethernet; what else there is costs a
`peek` at the frame itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from probewatch.model.frame import Batch, Clock, Frame, Mark, Row
from probewatch.wire.lives import Life, Side, Sight
from probewatch.wire.peek import ETHERNET, PLAIN, peek
from probewatch.wire.tcp import FAR, Tracker

FLOWS: Final = 16_384
"""Flows at once; of more connections all frames are handed on."""

_PLAIN4: Final = b"\x08\x00\x45"
"""EtherType of IPv4, and a header of 20 bytes."""
_TCP: Final = 6
_NEEDED: Final = {bits: 34 + size for bits, size in PLAIN.items()}
"""Data offset and flags of plain segments -> bytes that must have been captured."""


class Flow:
    """One direction of a bypassed connection at one place of capture."""

    __slots__ = ("fast", "fixed", "number", "row", "side", "sight")

    def __init__(self, fast: Passing, side: Side, fixed: bytes) -> None:
        self.fast = fast
        self.fixed = fixed
        """Where IPv4 is right behind Ethernet: its fragment word, TTL and protocol."""
        self.side = side
        self.sight: Sight | None = side.sight
        self.row: Row | None = None
        """Of the last segment that passed; None where it is written down."""
        self.number = 0
        """Its frame number."""


class Place:
    """Where frames are captured: an interface of a file, and the flows there."""

    __slots__ = ("clock", "file", "flows")

    def __init__(self, file: int) -> None:
        self.file = file
        self.flows: dict[bytes | None, Flow] = {}
        self.clock = Clock(0, 0)
        """How to read the time of a row."""

    def mark(self, row: Row, number: int) -> Mark:
        """Return the mark of a frame that passed here."""
        return Mark(self.clock.ns(row), self.file, number)


class Passing:
    """All flows of one connection."""

    __slots__ = ("_flows", "_owner", "life")

    def __init__(self, owner: FastPath, life: Life) -> None:
        self._owner = owner
        self._flows: list[tuple[Place, bytes, Flow]] = []
        self.life = life

    def add(self, place: Place, key: bytes, side: Side, fixed: bytes) -> None:
        """Let the plain segments of one more kind pass."""
        flow = place.flows[key] = Flow(self, side, fixed)
        self._flows.append((place, key, flow))

    def settle(self) -> None:
        """Write down which segments came last."""
        last: list[tuple[Mark, Flow]] = []
        for place, _, flow in self._flows:
            if flow.row is not None:
                last.append((place.mark(flow.row, flow.number), flow))
                flow.row = None
        if not last:
            return
        life = self.life
        for mark, flow in sorted(last, key=_mark):
            life.see(flow.side, flow.sight, mark)
        life.touched = max(life.touched, life.end.ns + self._owner.skew)

    def close(self) -> None:
        """Write that down, and let nothing pass any more."""
        self.settle()
        self.life.fast = None
        for place, key, _ in self._flows:
            del place.flows[key]
        self._owner.count -= len(self._flows)


def _mark(one: tuple[Mark, Flow]) -> Mark:
    return one[0]


class FastPath:
    """Lets pass what may, and hands on the rest."""

    __slots__ = ("_places", "_tracker", "count", "skew", "until")

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._places: dict[tuple[int, int], Place] = {}
        """By file and interface."""
        self.count = 0
        """Flows at all places."""
        self.skew = 0
        """Of the tracker's clock."""
        self.until = FAR
        """When (ns) whoever takes the frames wants to be told the time."""

    def through(self, batch: Batch) -> Iterator[Frame | int]:
        """Yield the frames that are to be decoded, and the time (ns) where one that passed has come to `until`.

        All others have passed when the iterator ends.
        """
        tracker, rows, first = self._tracker, batch.rows, batch.first
        place = self._place(batch.file, batch.interface)
        place.clock = batch.clock
        passing = _plainly if batch.link_type == ETHERNET else _otherwise
        count, last_ns = len(rows), batch.last_ns
        handed_on = at = 0
        low, until = self._span()
        looked_until = reached = -1
        while at < count:
            if not place.flows:
                # Nothing may pass here: hand on until something may.
                for frame in batch.frames(at):
                    yield frame
                    at += 1
                    handed_on += 1
                    life: Life | None = getattr(tracker.latest, "life", None)
                    if life is not None and life.bypassed:
                        start, size = batch.start(at - 1), rows[at - 1][2]
                        self._opened(place, frame.number, batch.data, start, size, batch.link_type)
                        if place.flows:
                            break
                low, until = self._span()
                continue
            ns = batch.time(at)
            turn, stop = False, count
            hand_on = ns < low
            if ns >= until and not hand_on:
                start = batch.start(at)
                hand_on = peek(batch.data, start, start + rows[at][2], batch.link_type) not in place.flows
                if not hand_on:  # (else whoever takes it sees to what is due)
                    tracker.tick(ns)
                    low, until = self._span()
                    turn = ns >= self.until
            if hand_on:
                stop = at
            elif turn:
                stop = at + 1
            elif last_ns >= until:
                if until != looked_until:
                    looked_until, reached = until, batch.since(until)
                stop = reached
            at = passing(batch, place.flows, at, stop)
            if hand_on or at < stop:
                handed_on += 1
                yield batch[at]
                self._opened(place, first + at, batch.data, batch.start(at), rows[at][2], batch.link_type)
                at += 1
            elif turn:
                tracker.passed(0, ns)
                yield ns
            low, until = self._span()
        if handed_on < count:
            tracker.passed(count - handed_on, last_ns)

    def _place(self, file: int, interface: int) -> Place:
        place = self._places.get((file, interface))
        if place is None:
            place = self._places[file, interface] = Place(file)
        return place

    def _span(self) -> tuple[int, int]:
        """Return the times between which a frame may pass."""
        self.skew = self._tracker.skew
        low, due = self._tracker.span()
        return low, min(due, self.until)

    def _opened(self, place: Place, number: int, data: bytes, start: int, size: int, link_type: int) -> None:
        """Let pass what is like a frame that was handed on, where its connection is bypassed."""
        side = self._tracker.latest
        life: Life | None = getattr(side, "life", None)  # (taken from the sides of a connection that has left)
        if side is None or life is None or not life.bypassed or life.told or life.gone:
            return
        if side.last is None or side.last.number != number or side.last.file != place.file:
            return
        key = peek(data, start, start + size, link_type)
        if key is None:
            return
        fixed = data[start + 20 : start + 24]
        known = place.flows.get(key)
        if known is not None:
            known.fixed = fixed
            return
        if self.count >= FLOWS:
            return
        if life.fast is None:
            life.fast = Passing(self, life)
        assert isinstance(life.fast, Passing)
        life.fast.add(place, key, side, fixed)
        self.count += 1


def _plainly(batch: Batch, flows: dict[bytes | None, Flow], at: int, stop: int) -> int:
    """Let frames of Ethernet pass from one index up to another; return that of the first that does not."""
    find, needed, first = flows.get, _NEEDED.get, batch.first
    for number, row in enumerate(batch.rows[at:stop], first + at):
        _, _, size, kind, fixed, key, bits = row
        flow = find(key)
        if flow is None or flow.fixed != fixed or kind != _PLAIN4 or size < needed(bits, FAR):
            if kind == _PLAIN4 and fixed[3] == _TCP:
                return number - first
            start = batch.start(number - first)
            flow = find(peek(batch.data, start, start + size, ETHERNET))
            if flow is None:
                return number - first
        flow.row = row
        flow.number = number
    return stop


def _otherwise(batch: Batch, flows: dict[bytes | None, Flow], at: int, stop: int) -> int:
    """Do the same with frames of other link types."""
    data, link_type = batch.data, batch.link_type
    for index in range(at, stop):
        row = batch.rows[index]
        start = batch.start(index)
        flow = flows.get(peek(data, start, start + row[2], link_type))
        if flow is None:
            return index
        flow.row = row
        flow.number = batch.first + index
    return stop
