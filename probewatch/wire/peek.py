"""What the headers of a frame say about where it belongs, read in place: less than decoding it, and enough to know it again.

Theory of operation: `peek` walks over the headers that most frames of a capture have in front of TCP: Ethernet, a cooked
header or none, VLAN tags, IPv4 without options, IPv6 without extension headers, and again IP inside VXLAN, Geneve, GRE or IP.
It gathers what a `Peeler` makes of them the vantage point, the tunnels, the addresses and the ports. Two frames of one interface
with equal keys are therefore segments of one direction of one connection, seen at one place.

It says nothing (None) of what has any other header, of fragments, of what was cut within its headers, and of what is no
plain segment (flags ACK, PSH, ECE, CWR; ACK must be set).
"""

from __future__ import annotations

import struct
from typing import Final

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

PLAIN: Final[dict[bytes, int]] = {
    bytes((words << 4 | low, flags)): words * 4
    for words in range(5, 16)
    for low in range(2)
    for flags in (0x10 | psh | ecn for psh in (0, 8) for ecn in (0, 0x40, 0x80, 0xC0))
}
"""Data offset and flags of plain segments -> bytes of the TCP header."""


def peek(data: bytes, at: int, stop: int, link_type: int) -> bytes | None:
    """Return the key of the frame in `data[at:stop]`; of IPv4 right behind Ethernet it is the 12 bytes of addresses and ports."""
    key = b""
    if link_type == ETHERNET:
        kind = data[at + 12 : at + 14]
        at += 14
    elif link_type == SLL2:
        kind, key = data[at : at + 2], data[at + 4 : at + 11]  # interface index, hardware type, packet type
        at += 20
    elif link_type == SLL:
        kind, key = data[at + 14 : at + 16], data[at : at + 4]
        at += 16
    elif link_type in RAW and at < stop:
        kind, key = _BY_NIBBLE.get(data[at] >> 4, b""), b"raw"
    else:
        return None
    plain = kind == _V4 and not key
    inside = False
    for _ in range(_IPS):
        while kind in _TAGS and at < stop:
            key += kind + data[at : at + 2]
            kind = data[at + 2 : at + 4]
            at += 4
        if kind == _V4 and stop - at >= 40:
            first, total, fragment, protocol = _HEADER4(data, at)
            if first != 0x45 or fragment & 0x3FFF:
                return None
            end = at + total
            addresses = data[at + 12 : at + 20]
            at += 20
        elif kind == _V6 and stop - at >= 60:
            first, total, protocol = _HEADER6(data, at)
            if first >> 4 != 6:
                return None
            addresses = data[at + 8 : at + 40]
            at += 40
            end = at + total
        else:
            return None
        if protocol == _TCP:
            header = PLAIN.get(data[at + 12 : at + 14])
            if header is None or at + header > min(end, stop) or (inside and end > stop):
                return None
            ports = data[at : at + 4]
            return addresses + ports if plain else key + kind + addresses + ports
        if end != stop:
            return None  # whatever is wrong there, or was cut
        key += kind + addresses + protocol.to_bytes(1, "big")
        plain, inside = False, True
        if protocol == _UDP:
            port = data[at + 2 : at + 4]
            key += port + data[at + 8 : at + 16]
            if port in _VXLAN:
                kind = data[at + 28 : at + 30]
                at += 30
            elif port in _GENEVE:
                kind = data[at + 10 : at + 12]
                at += 16 + (data[at + 8] & 0x3F) * 4
                if kind == _BRIDGED:
                    kind = data[at + 12 : at + 14]
                    at += 14
            else:
                return None
        elif protocol == _GRE:
            keyed = data[at : at + 2] == b"\x20\x00"
            if not keyed and data[at : at + 2] != b"\x00\x00":
                return None
            kind = data[at + 2 : at + 4]
            key += data[at : at + (8 if keyed else 4)]
            at += 8 if keyed else 4
            if kind == _BRIDGED:
                kind = data[at + 12 : at + 14]
                at += 14
        else:
            kind = _INSIDE.get(protocol, b"")
    return None
