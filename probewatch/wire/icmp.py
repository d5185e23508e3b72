"""ICMP (RFC 792) and ICMPv6 (RFC 4443): errors about TCP segments, and the way into Neighbour Discovery.

An error quotes the packet it is about: its IP header, and of TCP at least the first 8 bytes, which is ports and
sequence number. Redirects and source quench quote too but are no failure of the quoted segment: they are counted as
plain ICMP.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from probewatch.wire import ip
from probewatch.wire.layers import Step, Walk
from probewatch.wire.neighbours import discovery
from probewatch.wire.packets import ACK, SYN, IcmpError, Segment

_ERRORS4: Final = frozenset({3, 11, 12})
"""Destination unreachable, time exceeded, parameter problem."""
_ERRORS6: Final = frozenset({1, 2, 3, 4})
"""Destination unreachable, packet too big, time exceeded, parameter problem."""
_DISCOVERY: Final = frozenset({135, 136})
_TCP: Final = 6
_DEPTH: Final = 4
"""IP headers in one quote that are looked through: a quoted packet may itself be IP in IP."""


OWN: Final = frozenset({(4, 3, 1), (6, 1, 3)})
"""Version, type and code of ICMP errors with which a kernel tells itself that nobody answers for an address."""
REJECTED: Final = frozenset(
    {*((4, 3, code) for code in (0, 2, 3, 9, 10, 13)), *((6, 1, code) for code in (0, 1, 4, 5, 6))}
)
"""Those with which its packet filter (ip(6)tables REJECT in OUTPUT), or its routes, turn down what is sent before it leaves."""


class _Quote(NamedTuple):
    raw_source: bytes
    raw_destination: bytes
    at: int
    """Where the quoted TCP header begins."""


def icmp(walk: Walk) -> Step:
    """Decode an ICMP message."""
    data, at = walk.data, walk.at
    if walk.end - at < 8:
        return walk.short("icmp", 8)
    kind, code = data[at], data[at + 1]
    if kind not in _ERRORS4:
        return walk.other("icmp")
    mtu = data[at + 6] << 8 | data[at + 7] if kind == 3 and code == 4 else 0
    return _error(walk, kind, code, mtu)


def icmpv6(walk: Walk) -> Step:
    """Decode an ICMPv6 message."""
    data, at = walk.data, walk.at
    if walk.end - at < 8:
        return walk.short("icmpv6", 8)
    kind, code = data[at], data[at + 1]
    if kind in _DISCOVERY:
        return discovery(walk)
    if kind not in _ERRORS6:
        return walk.other("icmp")
    mtu = int.from_bytes(data[at + 4 : at + 8], "big") if kind == 2 else 0
    return _error(walk, kind, code, mtu)


def _error(walk: Walk, kind: int, code: int, mtu: int) -> Step:
    begin, data, end = walk.at + 8, walk.data, walk.end
    quote = _quoted_tcp(data, begin, end, walk.memory.extension_headers)
    if isinstance(quote, int):
        return walk.short("icmp-quote", quote, begin) if quote and walk.cut else walk.other("icmp")
    raw_source, raw_destination, at = quote
    source_port, destination_port = struct.unpack_from("!HH", data, at)
    seq = int.from_bytes(data[at + 4 : at + 8], "big") if end - at >= 8 else -1
    texts = walk.memory.texts
    return IcmpError(
        walk.mark,
        walk.lane(),
        walk.source,
        walk.version,
        kind,
        code,
        texts[raw_source],
        texts[raw_destination],
        source_port,
        destination_port,
        seq,
        mtu,
        data[at + 13] if end - at >= 14 else -1,
    )


def _quoted_tcp(data: bytes, begin: int, end: int, headers: int) -> _Quote | int:
    """Find the TCP header in the quote `data[begin:end]`.

    Return instead the bytes that the quote would need, if it ends before the ports, or 0 if it quotes no TCP header.
    """
    at = begin
    for _ in range(_DEPTH):
        if end <= at:
            return at - begin + 20
        version = data[at] >> 4
        if version == 4:
            if end - at < 20:
                return at - begin + 20
            source, destination = data[at + 12 : at + 16], data[at + 16 : at + 20]
            number = data[at + 9]
            size = (data[at] & 15) * 4
            if size < 20 or (data[at + 6] << 8 | data[at + 7]) & 0x1FFF:
                return 0
            at += size
        elif version == 6:
            if end - at < 40:
                return at - begin + 40
            source, destination = data[at + 8 : at + 24], data[at + 24 : at + 40]
            number, at, missing = _behind_extensions(data, data[at + 6], at + 40, end, headers)
            if missing:
                return at - begin + missing
        else:
            return 0
        if number == _TCP:
            return _Quote(source, destination, at) if end - at >= 4 else at - begin + 4
        if number not in (4, 41):
            return 0
    return 0


def _behind_extensions(data: bytes, number: int, at: int, end: int, headers: int) -> tuple[int, int, int]:
    """Return the protocol behind the extension headers, where it begins, and how many bytes are missing to tell (or 0).

    The protocol is -1 where the quote is a later fragment, or has too many headers.
    """
    for _ in range(headers):
        if number not in ip.SKIPPED and number not in (ip.FRAGMENT, ip.AUTHENTICATION):
            return number, at, 0
        if end - at < 8:
            return number, at, 8
        following = data[at]
        if number == ip.FRAGMENT:
            if (data[at + 2] << 8 | data[at + 3]) & 0xFFF8:
                return -1, at, 0
            at += 8
        else:
            at += (data[at + 1] + 2) * 4 if number == ip.AUTHENTICATION else (data[at + 1] + 1) * 8
        number = following
    return -1, at, 0


def rejected_syn(e: IcmpError) -> Segment | None:
    """Return the SYN that an error is about, at the time of the error; None where its own node did not reject it before it left.

    No other frame shows such a SYN.
    """
    if (
        e.reporter != e.source
        or (e.version, e.type, e.code) not in REJECTED
        or e.flags & (SYN | ACK) != SYN
        or e.flags < 0
    ):
        return None
    lane = e.lane._replace(source_mac=b"", destination_mac=b"")
    ends = (e.source, e.destination, e.source_port, e.destination_port)
    return Segment(e.mark, lane, *ends, e.seq, 0, SYN, 0, b"", 0, -1, -1, -1, -1, 0, None)
