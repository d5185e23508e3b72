"""The fast path: segments of bypassed connections, passed over where they stand in the buffer, without being decoded.

Theory of operation
-------------------
Most frames of a mixed capture belong to connections of which nothing more is followed but their end (`Tracker`; Suricata
calls the same stream bypass). Of their plain segments all that counts is which one came last. So `FastPath` keeps a flow
for each direction of such a connection at each place of capture, known by what `peek` reads of a frame. Whatever looks like
a frame that was decoded in full belongs to the same connection, and passes; all other frames are handed on. What the
tracker knows of the connection is the same afterwards as if each had been decoded.

Of a whole batch it is found out at once which frames are of which flow (`alike`). Then only those are visited that are
handed on, and the moments at which something is due. A flow opens and closes in the middle of a batch: the rest of the batch
is looked at again then.

A flow runs ahead of its `Life`. Which segment came last is written down when anything else touches the connection
(`Life.fast`): a frame that was handed on, a timer, an ICMP error, its hand-out. The last of these also closes its flows, until
the next frame, which is handed on, opens them again.

Frames must come in time order. Timers ring before the frame that is later than they (`Tracker.span`), and the observer
has its turns after the same frames: so everything happens at the same moments as it would without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from probewatch.model.frame import Batch, Frame, Mark, Place
from probewatch.wire.alike import Heads, Kin
from probewatch.wire.lives import Life, Side, Sight
from probewatch.wire.peek import Shape, peek
from probewatch.wire.tcp import FAR, Tracker

if TYPE_CHECKING:
    from probewatch.model.frame import Ints

FLOWS: Final = 16_384
"""Flows at once; of more connections all frames are handed on."""
SHAPES: Final = 16
"""Shapes of flows at one place; frames of others are handed on."""

Flows = dict[Shape, Kin]
"""The flows at one place."""


class Flow(NamedTuple):
    """One direction of a bypassed connection at one place of capture."""

    number: int
    kin: Kin
    look: bytes
    among: Flows
    file: int
    side: Side
    sight: Sight | None


class Passing:
    """All flows of one connection."""

    __slots__ = ("_flows", "_owner", "life")

    def __init__(self, owner: FastPath, life: Life) -> None:
        self._owner = owner
        self._flows: list[Flow] = []
        self.life = life

    def add(self, flow: Flow) -> None:
        """Let the plain segments of one more kind pass."""
        self._flows.append(flow)

    def settle(self) -> None:
        """Write down which segments came last."""
        owner, life = self._owner, self.life
        last = [(mark, flow) for flow in self._flows if (mark := owner.last(flow)) is not None]
        if not last:
            return
        for mark, flow in sorted(last, key=_mark):
            life.see(flow.side, flow.sight, mark)
        life.touched = max(life.touched, life.end.ns + owner.tracker.skew)

    def touched(self) -> int:
        """Return when the last segment came that is not written down, as the tracker's clock shows it."""
        owner = self._owner
        return max(map(owner.last_ns, self._flows)) + owner.tracker.skew

    def close(self) -> None:
        """Write that down, and let nothing pass any more."""
        self.settle()
        self.life.fast = None
        for flow in self._flows:
            self._owner.drop(flow)


def _mark(one: tuple[Mark, Flow]) -> Mark:
    return one[0]


class FastPath:
    """Lets pass what may, and hands on the rest."""

    __slots__ = (
        "_at", "_batch", "_changed", "_flow_of", "_free", "_heads", "_last", "_last_ns", "_noted", "_places", "_skipped",
        "tracker", "until",
    )  # fmt: skip

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._places: dict[Place, Flows] = {}
        self._free = list(range(FLOWS))
        """Numbers of flows that may be."""
        # One more than there are flows: where that of a frame without one is written.
        self._last: Ints = np.zeros(FLOWS + 1, np.int64)
        """Of each flow, the frame number of the last segment that passed; 0 where it is written down ..."""
        self._last_ns: Ints = np.full(FLOWS + 1, -FAR)
        """... and its time; before all times where it is written down."""
        self._batch: Batch | None = None
        """What is gone through now, ..."""
        self._flow_of: Ints = np.empty(0, np.int64)
        """... of which flow each frame of it is, -1 where it is handed on, ..."""
        self._heads: dict[Kin, Heads] = {}
        """... what was read of its heads, ..."""
        self._at = 0
        """... before which frame it stands, ..."""
        self._noted = 0
        """... up to which of them `_last` is right, ..."""
        self._changed = False
        """... whether flows ended since that was looked at, ..."""
        self._skipped: set[int] = set()
        """... and which frames pass because flows opened since."""
        self.until = FAR
        """When (ns) whoever takes the frames wants to be told the time."""

    def through(self, batch: Batch) -> Iterator[Frame | int]:
        """Yield the frames that are to be decoded, and the time (ns) where one that passed has come to `until`.

        All others have passed when the iterator ends.
        """
        tracker, count = self.tracker, len(batch)
        self._begin(batch)
        handed_on = 0
        tracker.bypassing = None
        self._changed = True
        while self._changed:  # flows ended: what they would have let pass comes as well
            self._changed = False
            skipped = self._skipped = set()
            rest = np.flatnonzero(self._flow_of[self._at :] < 0) + self._at
            for row, frame in zip(rest.tolist(), batch.made(rest), strict=True):
                if row in skipped:
                    continue
                if row != self._at and frame.ns >= min(tracker.due_ns, self.until):  # (something passed before it)
                    yield from self._ring(batch.times, row, frame.ns)
                    if self._changed:
                        break
                self._at = row
                handed_on += 1
                yield frame
                self._at = row + 1
                if tracker.bypassing is not None:
                    self._opened(frame, tracker.bypassing)
                    tracker.bypassing = None
                if self._changed:
                    break
            else:
                if count != self._at:
                    yield from self._ring(batch.times, count, batch.last_ns)
        self._at = count
        self._note()
        self._batch = None
        self._heads.clear()
        if handed_on < count:
            tracker.passed(batch.last_ns)

    def _ring(self, times: Ints, row: int, ns: int) -> Iterator[int]:
        """Let what is due up to a moment happen when a frame passes that comes before a row; yield times as `through` does.

        It ends early where flows end.
        """
        tracker = self.tracker
        while ns >= (until := min(tracker.due_ns, self.until)):
            due = max(int(times.searchsorted(until)), self._at)
            if due >= row:
                return  # whoever takes that frame sees to what is due
            self._at, now = due, int(times[due])
            tracker.tick(now)
            if self._changed and self._flow_of[due] < 0:
                return
            self._at += 1
            if now >= self.until:
                tracker.passed(now)
                yield now
            if self._changed:
                return

    @property
    def passed_ns(self) -> int:
        """When the latest frame of the batch passed or was handed on, before the one that is handed on now; 0 where it is the first."""
        return int(self._batch.times[self._at - 1]) if self._batch is not None and self._at else 0

    def last(self, flow: Flow) -> Mark | None:
        """Return the last segment that passed in a flow, and forget it; None where it was asked for before."""
        self._note()
        number = self._last.item(flow.number)
        if not number:
            return None
        mark = Mark(self._last_ns.item(flow.number), flow.file, number)
        self._last[flow.number], self._last_ns[flow.number] = 0, -FAR
        return mark

    def last_ns(self, flow: Flow) -> int:
        """Return when the last segment passed in a flow that `last` was not asked for; before all times where there is none."""
        if self._noted != self._at:
            self._note()
        return self._last_ns.item(flow.number)

    def drop(self, flow: Flow) -> None:
        """Let frames of a flow, of which `last` was asked, pass no more."""
        kin = flow.kin
        kin.drop(flow.look)
        if not len(kin):
            del flow.among[kin.shape]
        self._free.append(flow.number)
        if self._batch is not None:
            mine = self._flow_of[self._at :] == flow.number
            if mine.any():
                self._flow_of[self._at :][mine] = -1
                self._changed = True

    def _note(self) -> None:
        """Take note of what passed in the batch up to now."""
        begin, end = self._noted, self._at
        if self._batch is None or begin == end:
            return
        passed = self._flow_of[begin:end]
        self._last[passed] = self._batch.numbers[begin:end]  # of several of one flow the last one stays
        self._last_ns[passed] = self._batch.times[begin:end]
        self._noted = end

    def _begin(self, batch: Batch) -> None:
        """Find out which frames of a batch are of which flow."""
        count = len(batch)
        self._batch, self._at, self._noted = batch, 0, 0
        self._heads.clear()
        self._flow_of = np.full(count, -1)
        rows, which = np.arange(count), batch.which
        for number in (0,) if which is None else np.unique(which).tolist():
            left = rows if which is None else rows[which == number]
            for kin in self._flows(batch.places[number]).values():
                heads = self._heads[kin] = kin.heads(batch, left)
                found, flows = kin.find(heads)
                self._flow_of[found] = flows
                left = left[self._flow_of[left] < 0]
        low = self.tracker.late_ns
        if batch.first_ns < low:  # late ones are handed on
            self._flow_of[: np.searchsorted(batch.times, low)] = -1

    def _flows(self, place: Place) -> Flows:
        return self._places.setdefault(place, {})

    def _opened(self, frame: Frame, side: Side) -> None:
        """Let pass what is like a frame that was handed on, where it belongs to this side of a connection that is bypassed."""
        life: Life | None = getattr(side, "life", None)  # (taken from the sides of a connection that has left)
        if life is None or not life.bypassed or life.told or life.gone or not self._free:
            return
        if side.last is None or side.last.number != frame.number or side.last.file != frame.file:
            return
        data = frame.data
        shape = peek(data, 0, len(data), frame.link_type)
        if shape is None:
            return
        flows = self._flows((frame.file, frame.interface, frame.link_type))
        kin = flows.get(shape)
        if kin is None:
            if len(flows) >= SHAPES:
                return
            kin = flows[shape] = Kin(shape)
        look = kin.look(data)
        if look in kin:
            return
        if life.fast is None:
            life.fast = Passing(self, life)
        assert isinstance(life.fast, Passing)
        flow = Flow(self._free.pop(), kin, look, flows, frame.file, side, side.sight)
        kin.add(look, flow.number)
        life.fast.add(flow)
        self._also(frame, kin, look, flow.number)

    def _also(self, frame: Frame, kin: Kin, look: bytes, number: int) -> None:
        """Let pass what of the rest of the batch belongs to a flow that has just opened where a frame was captured."""
        batch, flow_of = self._batch, self._flow_of
        assert batch is not None
        heads = self._heads.get(kin)
        if heads is None:
            rows = np.arange(self._at, len(batch))
            if batch.which is not None:
                rows = rows[batch.which[rows] == batch.places.index((frame.file, frame.interface, frame.link_type))]
            heads = self._heads[kin] = kin.heads(batch, rows)
        rows = kin.same(heads, look)
        rows = rows[(rows >= self._at) & (flow_of[rows] < 0)]
        flow_of[rows] = number
        self._skipped.update(rows.tolist())
