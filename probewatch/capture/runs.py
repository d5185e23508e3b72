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
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probewatch.capture.tally import BATCH, MAX_FRAME, MAX_NS
from probewatch.model.frame import Batch

PCAP_HEAD: Final = 16
"""Bytes of a record header."""
BLOCK_HEAD: Final = 28
"""Bytes of an Enhanced Packet Block before the frame ..."""
BLOCK_TAIL: Final = 4
"""... and behind it: its length again."""
ENHANCED_PACKET: Final = 6
CHUNK: Final = 1 << 20
"""Bytes asked of a large input at once."""

Ints = NDArray[np.int64]


class Link(NamedTuple):
    """What the frames of a plain pcapng interface need: ns = ticks * multiplier + offset_ns."""

    multiplier: int
    offset_ns: int
    interface: int
    link_type: int


class Run(NamedTuple):
    """Records that were read."""

    batch: Batch | None
    """None where already the first one is out of the ordinary."""
    stop: int
    """Where the first record behind them begins in the buffer."""
    odd: bool
    """Whether that one is whole there, and out of the ordinary."""


def gathered(data: bytes, at: Ints, size: int) -> NDArray[Any]:
    """Return, for each place in a buffer, the bytes from there on, as many as asked for; they must be in it."""
    view: NDArray[Any] = np.ndarray((max(len(data) - size + 1, 0),), f"V{size}", data, strides=(1,))
    return view[at]


def _before(wrong: NDArray[np.bool_]) -> int:
    """Return how many records stand before the first wrong one."""
    return int(wrong.argmax()) if wrong.any() else len(wrong)


def _late(times: Ints, latest: int) -> NDArray[np.bool_]:
    """Tell which times are earlier than the one before."""
    late = np.empty(len(times), np.bool_)
    late[:1] = times[:1] < latest
    np.less(times[1:], times[:-1], out=late[1:])
    return late


def pcap_run(data: bytes, pos: int, order: str, scale: int, latest: int, file: int, number: int, link_type: int) -> Run:
    """Read ordinary records of a pcap from `pos` on.

    Args:
        data: the buffer.
        pos: where the first begins.
        order: byte order, as `struct` writes it.
        scale: nanoseconds of a fraction.
        latest: the time (ns) of the record before.
        file: of the frames.
        number: of the first frame.
        link_type: of the frames.
    """
    captured_of = struct.Struct(order + "8xI").unpack_from
    found: list[int] = []
    add, room, next_at = found.append, len(data) - PCAP_HEAD, pos
    for _ in range(BATCH):
        if next_at > room:
            break
        add(next_at)
        (captured,) = captured_of(data, next_at)
        next_at += PCAP_HEAD + captured
    if not found or latest > MAX_NS:  # (the first frame stands alone, to begin with its time)
        return Run(None, pos, odd=False)
    words = gathered(data, np.array(found, np.int64), PCAP_HEAD).view(order + "u4").reshape(-1, 4).astype(np.int64)
    sizes = words[:, 2]
    starts = np.array(found, np.int64) + PCAP_HEAD
    times = words[:, 0] * 1_000_000_000 + words[:, 1] * scale  # 32 bits of seconds stay below MAX_NS
    cut = starts + sizes > len(data)
    count = _before(_late(times, latest) | (sizes == 0) | (sizes > MAX_FRAME) | cut)
    found.append(next_at)
    odd = bool(count < len(starts) and not cut[count])
    if not count:
        return Run(None, pos, odd)
    batch = Batch(
        file, number, ((0, link_type),), None, data, starts[:count], sizes[:count], words[:count, 3], times[:count]
    )
    return Run(batch, found[count], odd)


def pcapng_run(data: bytes, pos: int, order: str, links: Sequence[Link | None], latest: int, file: int, number: int) -> Run:
    """Read Enhanced Packet Blocks without options from `pos` on; `links` are the interfaces, None where one is not plain."""
    length_of = struct.Struct(order + "4xI").unpack_from
    found: list[int] = []
    add, room, next_at = found.append, len(data) - BLOCK_HEAD - BLOCK_TAIL, pos
    for _ in range(BATCH):
        if next_at > room:
            break
        add(next_at)
        (length,) = length_of(data, next_at)
        if length < BLOCK_HEAD + BLOCK_TAIL:
            break
        next_at += length
    if not found or latest > MAX_NS or not any(links):
        return Run(None, pos, odd=bool(found) and latest <= MAX_NS)
    at = np.array(found, np.int64)
    words = gathered(data, at, BLOCK_HEAD).view(order + "u4").reshape(-1, 7).astype(np.int64)
    kinds, lengths, which, high, low, sizes, originals = words.T
    cut = at + lengths > len(data)
    wrong = cut | (kinds != ENHANCED_PACKET) | (which >= len(links)) | (sizes > MAX_FRAME)
    wrong |= lengths - (sizes + 3 & ~3) != BLOCK_HEAD + BLOCK_TAIL
    count = _before(wrong)
    # What one of them means can be told only where it is known to be a packet of an interface that is described.
    ends, which, high, low = at[:count] + lengths[:count], which[:count], high[:count], low[:count]
    known = [link or Link(0, 0, 0, 0) for link in links]
    most = np.array([(MAX_NS - max(link.offset_ns, 0)) // link.multiplier if link.multiplier else -1 for link in known])
    ticks = high << 32 | low  # negative beyond 2**63
    wrong = (ticks < 0) | (ticks > most[which])
    wrong |= gathered(data, ends - BLOCK_TAIL, BLOCK_TAIL).view(order + "u4") != lengths[:count]
    times = ticks * np.array([link.multiplier for link in known])[which] + np.array([link.offset_ns for link in known])[which]
    wrong |= _late(times, latest)
    count = _before(wrong)
    odd = bool(count < len(at) and not cut[count])
    if not count:
        return Run(None, pos, odd)
    which = which[:count]
    first = int(which[0])
    one = bool((which == first).all())
    batch = Batch(
        file,
        number,
        tuple((link.interface, link.link_type) for link in (known[first : first + 1] if one else known)),
        None if one else which,
        data,
        at[:count] + BLOCK_HEAD,
        sizes[:count],
        originals[:count],
        times[:count],
    )
    return Run(batch, int(ends[count - 1]), odd)
