"""Tunnels: IP in IP, GRE and what rides on it, VXLAN, Geneve.

A tunnel over UDP is known by its port alone, which is a guess: `Walk.guess` is set, and a walk that then ends in
nonsense counts as plain UDP (see `peel`). Labels in the lane: `ipip`, `sit` (IPv6 in IPv4), `ip6ip6`, `ipip6` (IPv4
in IPv6), `gre`, `gretap`, `erspan`, `pptp`, each with its key where it has one, `vxlan VNI`, `geneve VNI`.
"""

from __future__ import annotations

import struct
from typing import Final

from probewatch.wire.layers import GRE_PORTS, Layer, Step, Walk
from probewatch.wire.link import ETHERTYPES

_ERSPAN, _ERSPAN3, _BRIDGED, _PPP = 0x88BE, 0x22EB, 0x6558, 0x880B
_GENEVE: Final = struct.Struct("!BBHI")


def ipv4_inside(walk: Walk) -> Step:
    """Enter IPv4 in IPv4 (RFC 2003) or in IPv6 (RFC 2473)."""
    walk.enter("ipip" if walk.version == 4 else "ipip6")
    return Layer.IPV4


def ipv6_inside(walk: Walk) -> Step:
    """Enter IPv6 in IPv4 (RFC 4213) or in IPv6 (RFC 2473)."""
    walk.enter("sit" if walk.version == 4 else "ip6ip6")
    return Layer.IPV6


def gre(walk: Walk) -> Step:
    """Decode GRE (RFC 2784, RFC 2890), version 0, and the PPTP variant, version 1 (RFC 2637)."""
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 4:
        return walk.short("gre", 4)
    flags, kind = struct.unpack_from("!HH", data, at)
    version = flags & 7
    if version > 1 or flags & 0x4000:
        return walk.other("gre")
    size = 4 + (4 if flags & 0x8000 else 0)
    key_at = at + size
    size += (4 if flags & 0x2000 else 0) + (4 if flags & 0x1000 else 0)
    if version == 1 and flags & 0x0080:
        size += 4
    if end - at < size:
        return walk.short("gre", size)
    key = f" {int.from_bytes(data[key_at : key_at + 4], 'big')}" if flags & 0x2000 else ""
    inside = at + size
    if version == 1:
        if kind != _PPP or not flags & 0x2000:
            return walk.other("gre")
        if end == inside:
            return walk.other("gre")  # an acknowledgment alone
        walk.at = inside
        walk.enter(f"pptp {data[key_at + 2] << 8 | data[key_at + 3]}")
        return Layer.PPP
    if kind in (_ERSPAN, _ERSPAN3):
        return _erspan(walk, kind, inside, sequenced=bool(flags & 0x1000))
    layer = ETHERTYPES.get(kind)
    if layer is None or layer in (Layer.ARP, Layer.PPPOE):
        return walk.other("gre")
    walk.at = inside
    walk.enter(("gretap" if kind == _BRIDGED else "gre") + key)
    return layer


def _erspan(walk: Walk, kind: int, at: int, *, sequenced: bool) -> Step:
    """Enter a mirrored port: ERSPAN I (no header, no sequence number), II (8 bytes), III (12 or 20 bytes)."""
    data, end = walk.data, walk.end
    label = "erspan"
    if kind == _ERSPAN3 or sequenced:
        size = 12 if kind == _ERSPAN3 else 8
        if end - at < size:
            return walk.short("erspan", size, at)
        if kind == _ERSPAN3 and data[at + 11] & 1:
            size += 8
            if end - at < size:
                return walk.short("erspan", size, at)
        label += f" {(data[at + 2] << 8 | data[at + 3]) & 0x03FF}"
        at += size
    walk.at = at
    walk.enter(label)
    return Layer.ETHERNET


def udp(walk: Walk) -> Step:
    """Decode a UDP header (RFC 768), and enter VXLAN, Geneve or GRE where the port and the header both say so."""
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 8:
        return walk.short("udp", 8)
    port = data[at + 2] << 8 | data[at + 3]
    if port in walk.memory.vxlan_ports:
        return _vxlan(walk, at + 8)
    if port in walk.memory.geneve_ports:
        return _geneve(walk, at + 8)
    if port in GRE_PORTS:
        walk.at = at + 8
        walk.guess = "udp"
        return Layer.GRE
    return walk.other("udp")


def _vxlan(walk: Walk, at: int) -> Step:
    """Enter VXLAN (RFC 7348): the I flag says that the network identifier is valid."""
    data = walk.data
    if walk.end - at < 8:
        return walk.short("vxlan", 8, at) if walk.cut else walk.other("udp")
    if not data[at] & 0x08 or data[at + 7]:
        return walk.other("udp")
    walk.at = at + 8
    walk.guess = "udp"
    walk.enter(f"vxlan {int.from_bytes(data[at + 4 : at + 7], 'big')}")
    return Layer.ETHERNET


def _geneve(walk: Walk, at: int) -> Step:
    """Enter Geneve (RFC 8926), stepping over its options."""
    data, end = walk.data, walk.end
    if end - at < 8:
        return walk.short("geneve", 8, at) if walk.cut else walk.other("udp")
    first, flags, kind, identifier = _GENEVE.unpack_from(data, at)
    layer = ETHERTYPES.get(kind)
    if first >> 6 or flags & 0x3F or identifier & 0xFF or layer not in (Layer.ETHERNET, Layer.IPV4, Layer.IPV6):
        return walk.other("udp")
    size = 8 + (first & 0x3F) * 4
    if end - at < size:
        return walk.short("geneve", size, at) if walk.cut else walk.other("udp")
    walk.at = at + size
    walk.guess = "udp"
    walk.enter(f"geneve {identifier >> 8}")
    return layer
