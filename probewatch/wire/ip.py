"""IPv4 (RFC 791) and IPv6 (RFC 8200) headers, IPv6 extension headers, and the way into fragments."""

from __future__ import annotations

import struct
from typing import Final

from probewatch.wire.layers import Layer, Step, Walk

_HEADER4: Final = struct.Struct("!BxHHHBBxx8s")
_HEADER6: Final = struct.Struct("!BxxxHBB32s")

AUTHENTICATION, FRAGMENT, ROUTING = 51, 44, 43
SKIPPED: Final = frozenset({0, ROUTING, 60, 135, 139, 140})
"""Extension headers whose length counts 8 bytes: Hop-by-Hop, Routing, Destination Options, Mobility, HIP, Shim6."""

NEXT4: Final[dict[int, Layer]] = {
    1: Layer.ICMP,
    4: Layer.IPV4_INSIDE,
    6: Layer.TCP,
    17: Layer.UDP,
    41: Layer.IPV6_INSIDE,
    47: Layer.GRE,
    51: Layer.AUTHENTICATION,
    137: Layer.MPLS,
}
NEXT6: Final[dict[int, Layer]] = {
    4: Layer.IPV4_INSIDE,
    6: Layer.TCP,
    17: Layer.UDP,
    41: Layer.IPV6_INSIDE,
    47: Layer.GRE,
    58: Layer.ICMPV6,
    137: Layer.MPLS,
}
NAMES: Final[dict[int, str]] = {1: "icmp", 2: "igmp", 50: "esp", 58: "icmp", 132: "sctp"}


def protocol(walk: Walk, number: int) -> Step:
    """Go on with an IP protocol number that is not an IPv6 extension header."""
    layer = (NEXT4 if walk.version == 4 else NEXT6).get(number)
    if layer is None:
        return walk.other(NAMES.get(number) or f"ip-proto-{number}")
    return layer


def ipv4(walk: Walk) -> Step:
    """Decode an IPv4 header.

    A total length of 0 is what segmentation offload leaves (a super-packet over 65535 bytes, or a driver that fills
    it in later): the frame tells the length then. Bytes behind the total length are padding of the link.
    """
    at = walk.at
    got = walk.end - at
    if got < 20:
        return walk.short("ipv4", 20)
    first, total, walk.ip_id, fragment, walk.ttl, number, addresses = _HEADER4.unpack_from(walk.data, at)
    if first >> 4 != 4:
        return walk.fault("ipv4", f"IP version {first >> 4} is not 4")
    header = (first & 15) * 4
    if header < 20:
        return walk.fault("ipv4", f"header length {header // 4} is below 5")
    if total:
        if total < header:
            return walk.fault("ipv4", f"total length {total} is below the header length {header}")
        walk.wire = at + total
        if total < got:
            walk.end = walk.wire
    if got < header:
        return walk.short("ipv4", header)
    texts = walk.memory.texts
    walk.version = 4
    walk.raw_addresses = addresses
    walk.source, walk.destination = texts[addresses[:4]], texts[addresses[4:]]
    walk.routed = False
    walk.at = at + header
    if fragment & 0x3FFF:
        start, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
        if not _join(walk, walk.ip_id, start, number, more=more):
            return walk.other("fragment")
    return protocol(walk, number)


def ipv6(walk: Walk) -> Step:
    """Decode an IPv6 header and its extension headers.

    A payload length of 0 is a jumbogram (RFC 2675) or a BIG TCP super-packet: the frame tells the length then.
    """
    at = walk.at
    got = walk.end - at
    if got < 40:
        return walk.short("ipv6", 40)
    first, length, number, walk.ttl, addresses = _HEADER6.unpack_from(walk.data, at)
    if first >> 4 != 6:
        return walk.fault("ipv6", f"IP version {first >> 4} is not 6")
    if length:
        walk.wire = at + 40 + length
        walk.end = min(walk.end, walk.wire)
    texts = walk.memory.texts
    walk.version = 6
    walk.ip_id = -1
    walk.raw_addresses = addresses
    walk.source, walk.destination = texts[addresses[:16]], texts[addresses[16:]]
    walk.routed = False
    walk.at = at + 40
    return extension_headers(walk, number)


def extension_headers(walk: Walk, number: int) -> Step:
    """Step over the extension headers of IPv6, a bounded number of them; a fragment may end the way here."""
    for _ in range(walk.memory.extension_headers):
        data, at = walk.data, walk.at
        if number in SKIPPED:
            if walk.end - at < 8:
                return walk.short("ipv6-extension", 8)
            size = (data[at + 1] + 1) * 8
            if number == ROUTING and data[at + 3]:
                walk.routed = True
        elif number == AUTHENTICATION:
            if walk.end - at < 8:
                return walk.short("ah", 8)
            size = (data[at + 1] + 2) * 4
        elif number == FRAGMENT:
            if walk.end - at < 8:
                return walk.short("ipv6-fragment", 8)
            field, ident = struct.unpack_from("!HI", data, at + 2)
            number = data[at]
            walk.at = at + 8
            if not field & 0xFFF9:
                continue  # an atomic fragment (RFC 6946) is whole
            if not _join(walk, ident, field & 0xFFF8, number, more=bool(field & 1)):
                return walk.other("fragment")
            number = walk.fragment_protocol
            continue
        else:
            return protocol(walk, number)
        if walk.end - at < size:
            return walk.short("ah" if number == AUTHENTICATION else "ipv6-extension", size)
        number = data[at]
        walk.at = at + size
    return walk.fault("ipv6-extension", f"more than {walk.memory.extension_headers} extension headers")


def authentication(walk: Walk) -> Step:
    """Step over an IPsec authentication header behind IPv4 (RFC 4302): what it covers is in the clear."""
    data, at = walk.data, walk.at
    if walk.end - at < 8:
        return walk.short("ah", 8)
    size = (data[at + 1] + 2) * 4
    if walk.end - at < size:
        return walk.short("ah", size)
    walk.at = at + size
    return protocol(walk, data[at])


def _join(walk: Walk, ident: int, start: int, number: int, *, more: bool) -> bool:
    """Give a fragment to the reassembly; if that made its datagram whole, stand the walk at its beginning.

    As in Linux (ip_frag_queue), a length that is not a multiple of 8 is rounded down where more fragments follow, and a
    fragment that is empty or ends beyond 65535 counts for nothing.
    """
    length = walk.wire - walk.at
    if more:
        length &= ~7
    if length <= 0 or start + length > 65535:
        return False
    frame = walk.frame
    key = (
        frame.file,
        frame.interface,
        walk.ifindex,
        walk.packet_type,
        walk.vlan,
        walk.tunnel,
        walk.outer_source,
        walk.raw_addresses,
        ident,
        number if walk.version == 4 else -1,
    )
    captured = walk.data[walk.at : min(walk.end, walk.at + length)]
    datagram = walk.memory.fragments.add(key, frame.ns, start, length, captured, number, more=more)
    if datagram is None:
        return False
    walk.data = datagram.data
    walk.at = 0
    walk.end = len(datagram.data)
    walk.wire = datagram.length
    walk.cut = walk.end < walk.wire
    walk.reassembled = True
    walk.fragment_protocol = datagram.protocol
    return True
