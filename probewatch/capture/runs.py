"""Runs of ordinary records of a large capture, read many at once.

Theory of operation: where each record begins depends on the length of the one before, so Python walks from one to the
next; that is all it does. What the record headers say is then gathered from the buffer by `numpy`, which also finds the
first record that is out of the ordinary: empty, longer than frames are, not whole in the buffer, out of the order of
time, with options, not of a plain interface. What stands before that one is a `Batch`; that one itself is left to the
reader of the format, which knows all cases. So there is one meaning of a record, and this is a short cut to it.

`numpy` is imported with this module, so the readers import it only for captures that are long enough to repay that.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probewatch.capture.tally import BATCH, MAX_FRAME, MAX_NS
from probewatch.model.frame import Batch
from probewatch.model.units import SECOND

if TYPE_CHECKING:
    from probewatch.model.frame import Ints, Place

PCAP_HEAD: Final = 16
"""Bytes of a record header, ..."""
CAPTURED: Final = 8
"""... and where in it the size of its frame stands."""
BLOCK_HEAD: Final = 28
"""Bytes of an Enhanced Packet Block before the frame ..."""
BLOCK_TAIL: Final = 4
"""... and behind it: its length again."""
ENHANCED_PACKET: Final = 6
CHUNK: Final = 1 << 20
"""Bytes asked of a large input at once."""


class Link(NamedTuple):
    """What the frames of a plain pcapng interface need: ns = ticks * multiplier + offset_ns."""

    multiplier: int
    offset_ns: int
    interface: int
    link_type: int


class Run(NamedTuple):
    """Records that were read."""

    batch: Batch | None
    """None where already the first one is out of the order of time."""
    stop: int
    """Where the first record behind them begins in the buffer."""


class Walk:
    """Records of a buffer that Python has walked over, ordinary but for the order of their times."""

    __slots__ = ("_begins", "_columns", "_late", "_odd", "_places", "_stop", "_which", "data")

    def __init__(
        self,
        data: bytes,
        begins: Ints,
        stop: int,
        latest: int,
        places: tuple[Place, ...],
        which: Ints | None,
        columns: tuple[Ints, Ints, Ints, Ints],
        *,
        odd: bool,
    ) -> None:
        """Take what was walked over.

        Args:
            data: the buffer.
            begins: where each record begins in it.
            stop: where the next one begins.
            latest: the time (ns) of the record before.
            places: where frames were captured.
            which: which of these places each.
            columns: of the frames, as `Batch` has them: starts, sizes, originals, times.
            odd: whether the record behind is whole there, and out of the ordinary.
        """
        self.data = data
        self._begins, self._stop = begins, stop
        self._odd = odd
        self._places, self._which, self._columns = places, which, columns
        times = columns[3]
        before = np.maximum.accumulate(np.concatenate((np.array([latest], np.int64), times)))[:-1]
        self._late = (times < before).nonzero()[0]

    @property
    def runs_of(self) -> int:
        """How many records there are between two that are out of the ordinary; the end of the buffer is none."""
        breaks = len(self._late) + self._odd
        return len(self._begins) // breaks if breaks else MAX_FRAME

    def run(self, pos: int, number: int) -> Run | None:
        """Return the run that begins at `pos` with frame `number`; None where no record that was walked over begins there."""
        begins = self._begins
        first = int(begins.searchsorted(pos))
        if first == len(begins) or begins[first] != pos:
            return None
        after = int(self._late.searchsorted(first))
        end = int(self._late[after]) if after < len(self._late) else len(begins)
        if first == end:
            return Run(None, pos)
        rows = slice(first, end)
        which, places = self._which, self._places
        if which is not None:
            which = which[rows]
            if (which == which[0]).all():
                places, which = (places[which[0]],), None
        numbers = np.arange(number, number + end - first)
        batch = Batch(places, which, self.data, numbers, *(column[rows] for column in self._columns))
        return Run(batch, int(begins[end]) if end < len(begins) else self._stop)


def gathered(data: bytes, at: Ints, size: int) -> NDArray[Any]:
    """Return, for each place in a buffer, the bytes from there on, as many as asked for; they must be in it."""
    view: NDArray[Any] = np.ndarray((max(len(data) - size + 1, 0),), f"V{size}", data, strides=(1,))
    return view[at]


def _before(wrong: NDArray[np.bool_]) -> int:
    """Return how many records stand before the first wrong one."""
    return int(wrong.argmax()) if wrong.any() else len(wrong)


def pcap_walk(data: bytes, pos: int, order: str, scale: int, latest: int, place: Place) -> Walk | None:
    """Walk over the ordinary records of a pcap from `pos` on; None where the first is not one.

    Args:
        data: the buffer.
        pos: where the first begins.
        order: byte order, as `struct` writes it.
        scale: nanoseconds of a fraction.
        latest: the time (ns) of the record before.
        place: where frames were captured.
    """
    captured_of = struct.Struct(order + "I").unpack_from
    found: list[int] = []
    add, at, room = found.append, pos + CAPTURED, len(data) - PCAP_HEAD + CAPTURED
    for _ in range(BATCH):  # (one step takes a twentieth of the time of a large capture)
        if at > room:
            break
        add(at)
        at += PCAP_HEAD + captured_of(data, at)[0]
    if not found:
        return None
    begins = np.array(found, np.int64) - CAPTURED
    words = gathered(data, begins, PCAP_HEAD).view(order + "u4").reshape(-1, 4).astype(np.int64)
    sizes, starts = words[:, 2], begins + PCAP_HEAD
    times = words[:, 0] * SECOND + words[:, 1] * scale  # 32 bits of seconds stay below MAX_NS
    cut = starts + sizes > len(data)
    count = _before(cut | (sizes == 0) | (sizes > MAX_FRAME))
    odd = bool(count < len(found) and not cut[count])
    stop = int(begins[count]) if count < len(found) else at - CAPTURED
    columns = (starts[:count], sizes[:count], words[:count, 3], times[:count])
    return Walk(data, begins[:count], stop, latest, (place,), None, columns, odd=odd)


def pcapng_walk(data: bytes, pos: int, order: str, links: Sequence[Link | None], latest: int, file: int) -> Walk | None:
    """Walk over Enhanced Packet Blocks without options; `links` are the interfaces, None where one is not plain."""
    length_of = struct.Struct(order + "4xI").unpack_from
    if not any(links):
        return None
    found: list[int] = []
    add, room = found.append, len(data) - BLOCK_HEAD - BLOCK_TAIL
    for _ in range(BATCH):
        if pos > room:
            break
        (length,) = length_of(data, pos)
        if length < BLOCK_HEAD + BLOCK_TAIL:
            break
        add(pos)
        pos += length
    if not found:
        return None
    begins = np.array(found, np.int64)
    words = gathered(data, begins, BLOCK_HEAD).view(order + "u4").reshape(-1, 7).astype(np.int64)
    kinds, lengths, which, high, low, sizes, originals = words.T
    cut = begins + lengths > len(data)
    wrong = cut | (kinds != ENHANCED_PACKET) | (which >= len(links)) | (sizes > MAX_FRAME)
    wrong |= lengths - (sizes + 3 & ~3) != BLOCK_HEAD + BLOCK_TAIL
    count = _before(wrong)
    # What one of them means can be told only where it is known to be a packet of an interface that is described.
    ends, which, high, low = begins[:count] + lengths[:count], which[:count], high[:count], low[:count]
    known = [link or Link(0, 0, 0, 0) for link in links]
    most = np.array([(MAX_NS - max(link.offset_ns, 0)) // link.multiplier if link.multiplier else -1 for link in known])
    ticks = high << 32 | low  # negative beyond 2**63
    wrong = (ticks < 0) | (ticks > most[which])
    wrong |= gathered(data, ends - BLOCK_TAIL, BLOCK_TAIL).view(order + "u4") != lengths[:count]
    times = (
        ticks * np.array([link.multiplier for link in known])[which]
        + np.array([link.offset_ns for link in known])[which]
    )
    count = _before(wrong | (times < 0))
    odd = bool(count < len(found) and not cut[count])
    stop = int(ends[count - 1]) if count else found[0]
    places = tuple((file, link.interface, link.link_type) for link in known)
    columns = (begins[:count] + BLOCK_HEAD, sizes[:count], originals[:count], times[:count])
    return Walk(data, begins[:count], stop, latest, places, which[:count], columns, odd=odd)
