"""Read a TCP header (RFC 9293 section 3.1) into a `Segment`."""

from __future__ import annotations

import struct
from typing import Final

from probewatch.wire.layers import Step, Walk
from probewatch.wire.packets import SYN, Segment

_HEADER: Final = struct.Struct("!HHIIHH")
_STAMPS: Final = struct.Struct("!II")
_PSEUDO4: Final = struct.Struct("!HH")
_PSEUDO6: Final = struct.Struct("!II")
ALIGNED_TIMESTAMPS: Final = b"\x01\x01\x08\x0a"
"""NOP, NOP, Timestamps of 10 bytes: how every common stack begins its options outside SYN (RFC 7323 appendix A)."""


def tcp(walk: Walk) -> Step:
    """Decode the TCP header; a frame cut inside the options gives a segment with what is known."""
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 20:
        return walk.short("tcp", 20)
    source_port, destination_port, seq, ack, offset_flags, window = _HEADER.unpack_from(data, at)
    header = offset_flags >> 10 & 0x3C
    if header < 20:
        return walk.fault("tcp", f"header length {header // 4} is below 5")
    length = walk.wire - at - header
    if length < 0:
        reason = f"header length {header // 4} is longer than the datagram"
        return walk.fault("tcp", reason)
    flags = offset_flags & 0xFF
    start = at + header
    tsval = tsecr = -1
    mss = 0
    if header > 20:
        tsval, tsecr, mss = options(data, at + 20, start, flags)
    checksum_ok = None
    if walk.memory.checksums and end == walk.wire and not walk.reassembled and not walk.routed:
        checksum_ok = checksum_holds(data, at, end, walk.raw_addresses)
    return Segment(
        walk.mark,
        walk.lane(),
        walk.source,
        walk.destination,
        source_port,
        destination_port,
        seq,
        ack,
        flags,
        window,
        data[start:end],
        length,
        walk.ttl,
        walk.ip_id,
        tsval,
        tsecr,
        mss,
        checksum_ok,
    )


def options(data: bytes, at: int, end: int, flags: int) -> tuple[int, int, int]:
    """Return tsval, tsecr (-1 without) and mss (0 without, and without SYN) of the options between `at` and `end`.

    An option of a length that cannot be ends the reading, as in Linux (tcp_parse_options): what stood before it counts.
    `end` is the end of the header; where the frame was cut before it, what was captured counts, be it half a timestamp.
    """
    tsval = tsecr = -1
    mss = 0
    captured = min(end, len(data))
    while at < captured:
        kind = data[at]
        if kind == 1:
            at += 1
            continue
        if kind == 0 or at + 1 >= captured:
            break
        size = data[at + 1]
        if size < 2 or at + size > end:
            break
        if at + size > captured:
            if kind == 8 and size == 10 and at + 6 <= captured:
                tsval = int.from_bytes(data[at + 2 : at + 6], "big")
            break
        if kind == 8 and size == 10:
            tsval, tsecr = _STAMPS.unpack_from(data, at + 2)
        elif kind == 2 and size == 4 and flags & SYN:
            mss = data[at + 2] << 8 | data[at + 3]
        at += size
    return tsval, tsecr, mss


def checksum_holds(data: bytes, at: int, end: int, raw_addresses: bytes) -> bool:
    """Say whether the checksum of the segment in `data[at:end]` is right (RFC 9293, RFC 8200 section 8.1).

    The one's complement sum of 16 bit words is the number modulo 65535, so one division of a big integer does it.
    """
    length = end - at
    pseudo = _PSEUDO4.pack(6, length & 0xFFFF) if len(raw_addresses) == 8 else _PSEUDO6.pack(length, 6)
    whole = raw_addresses + pseudo + data[at:end]
    if length & 1:
        whole += b"\0"
    return int.from_bytes(whole, "big") % 0xFFFF == 0
