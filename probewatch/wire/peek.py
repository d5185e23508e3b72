"""What the headers of a frame say about where it belongs: enough to know frames of the same kind again, many at once.

Theory of operation: `peek` walks over the headers that most frames of a capture have in front of TCP: Ethernet, a cooked
header or none, VLAN tags, IPv4 without options, IPv6 without extension headers, and again IP inside VXLAN, Geneve, GRE or IP.
It makes a `Shape` of them: where each header stands, and which bits make them what they are or go into what a `Peeler` makes of
them, the vantage point, the tunnels, the addresses and the ports. Two frames of one interface that have the same bits there, and
whose lengths fit (`Shape.ends`), are therefore segments of one direction of one connection, seen at one place.

It says nothing (None) of what has any other header, of fragments, of what was cut within its headers, and of what is no
plain segment (flags ACK, PSH, ECE, CWR; ACK must be set).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from probewatch.wire.layers import GENEVE_PORTS, VXLAN_PORTS

ETHERNET, SLL, SLL2 = 1, 113, 276
RAW: Final = frozenset({12, 14, 101})

_V4, _V6, _BRIDGED = b"\x08\x00", b"\x86\xdd", b"\x65\x58"
_BY_NIBBLE: Final = {4: _V4, 6: _V6}
_TAGS: Final = frozenset({b"\x81\x00", b"\x88\xa8"})
_VXLAN: Final = frozenset(port.to_bytes(2, "big") for port in VXLAN_PORTS)
_GENEVE: Final = frozenset(port.to_bytes(2, "big") for port in GENEVE_PORTS)
_INSIDE: Final = {4: _V4, 41: _V6}
_TCP, _UDP, _GRE = 6, 17, 47
_IPS: Final = 3
"""IP headers one inside the other, at most."""

_HEADER4: Final = struct.Struct("!BxHxxHxB").unpack_from
_HEADER6: Final = struct.Struct("!BxxxHB").unpack_from
_MASK_ETHERNET: Final = bytes(12) + b"\xff\xff"
_MASK4: Final = b"\xff" + bytes(5) + b"\x3f\xff\0\xff\0\0" + b"\xff" * 8
"""Of an IPv4 header: version with length, more fragments with offset, protocol, addresses."""
_MASK6: Final = b"\xf0" + bytes(5) + b"\xff\0" + b"\xff" * 32
"""Of an IPv6 header: version, next header, addresses."""

PLAIN: Final[dict[bytes, int]] = {
    bytes((words << 4 | low, flags)): words * 4
    for words in range(5, 16)
    for low in range(2)
    for flags in (0x10 | psh | ecn for psh in (0, 8) for ecn in (0, 0x40, 0x80, 0xC0))
}
"""Data offset and flags of plain segments -> bytes of the TCP header."""


_Way = tuple[bytes, bytes]
"""EtherType of what comes next, and the mask of all headers before it."""


class Shape(NamedTuple):
    """Where the headers of some frames stand."""

    mask: bytes
    """Which bits from the beginning on are the same in all frames of one direction of one connection; up to the ports, and
    filled up to a multiple of 8 bytes."""
    ends: tuple[tuple[int, int], ...]
    """Of each IP header, the outermost first: where its length stands, and what to add for the place where its packet ends. Those
    before the last end where the frame ends; the last one does not end later, and within a tunnel not later than what was captured."""
    tcp: int
    """Where the TCP header begins."""


def peek(data: bytes, begin: int, stop: int, link_type: int) -> Shape | None:
    """Return the shape of the frame in `data[begin:stop]`."""
    way = _link(data, begin, stop, link_type)
    ends: list[tuple[int, int]] = []
    while way is not None and len(ends) < _IPS:
        kind, mask = way
        at = begin + len(mask)
        while kind in _TAGS and at < stop:
            kind = data[at + 2 : at + 4]
            mask += b"\xff" * 4
            at += 4
        if kind == _V4 and stop - at >= 40:
            first, total, fragment, protocol = _HEADER4(data, at)
            if first != 0x45 or fragment & 0x3FFF:
                return None
            ends.append((len(mask) + 2, len(mask)))
            mask += _MASK4
        elif kind == _V6 and stop - at >= 60:
            first, total, protocol = _HEADER6(data, at)
            if first >> 4 != 6:
                return None
            total += 40
            ends.append((len(mask) + 4, len(mask) + 40))
            mask += _MASK6
        else:
            return None
        end = at + total
        at = begin + len(mask)
        if protocol == _TCP:
            header = PLAIN.get(data[at + 12 : at + 14])
            if header is None or at + header > min(end, stop) or (len(ends) > 1 and end > stop):
                return None
            tcp = len(mask)
            mask += b"\xff" * 4
            return Shape(mask + bytes(-len(mask) % 8), tuple(ends), tcp)
        if end != stop:
            return None  # whatever is wrong there, or was cut
        way = _tunnel(data, begin, stop, mask, protocol)
    return None


def _link(data: bytes, at: int, stop: int, link_type: int) -> _Way | None:
    """Step over the link header."""
    if link_type == ETHERNET:
        return data[at + 12 : at + 14], _MASK_ETHERNET
    if link_type == SLL2:  # with interface index, hardware type, packet type
        return data[at : at + 2], b"\xff\xff\0\0" + b"\xff" * 7 + bytes(9)
    if link_type == SLL:
        return data[at + 14 : at + 16], b"\xff" * 4 + bytes(10) + b"\xff\xff"
    if link_type in RAW and at < stop:
        return _BY_NIBBLE.get(data[at] >> 4, b""), b""
    return None


def _tunnel(data: bytes, begin: int, stop: int, mask: bytes, protocol: int) -> _Way | None:
    """Step over the header of a tunnel that follows an IP header, and the Ethernet header in it."""
    at = begin + len(mask)
    if protocol == _UDP:
        port = data[at + 2 : at + 4]
        mask += b"\0\0\xff\xff\0\0\0\0" + b"\xff" * 8
        if port in _VXLAN:
            kind = _BRIDGED
        elif port in _GENEVE:
            kind = data[at + 10 : at + 12]
            mask += bytes((data[at + 8] & 0x3F) * 4) if at + 8 < stop else b""
        else:
            return None
    elif protocol == _GRE:
        keyed = data[at : at + 2] == b"\x20\x00"
        if not keyed and data[at : at + 2] != b"\x00\x00":
            return None
        kind = data[at + 2 : at + 4]
        mask += b"\xff" * (8 if keyed else 4)
    else:
        return _INSIDE.get(protocol, b""), mask
    if kind == _BRIDGED:
        at = begin + len(mask)
        return data[at + 12 : at + 14], mask + _MASK_ETHERNET
    return kind, mask
