"""What may stand between the link header and IP: VLAN tags, MPLS labels, PPPoE and PPP, switch tags."""

from __future__ import annotations

from typing import Final

from probewatch.wire.layers import Layer, Step, Walk
from probewatch.wire.link import ETHERTYPES, by_ethertype

PPP_PROTOCOLS: Final[dict[int, Layer]] = {
    0x0021: Layer.IPV4,
    0x0057: Layer.IPV6,
    0x0281: Layer.MPLS,
    0x0283: Layer.MPLS,
}
"""The header behind each PPP protocol number (IANA ppp-numbers)."""


def vlan(walk: Walk) -> Step:
    """Decode an 802.1Q or 802.1ad tag, or an older one with another EtherType; the innermost id stays in the lane."""
    data, at = walk.data, walk.at
    if walk.end - at < 4:
        return walk.short("vlan", 4)
    walk.vlan = (data[at] << 8 | data[at + 1]) & 0x0FFF
    walk.at = at + 4
    return by_ethertype(walk, data[at + 2] << 8 | data[at + 3])


def vn_tag(walk: Walk) -> Step:
    """Step over a Cisco VN-Tag."""
    data, at = walk.data, walk.at
    if walk.end - at < 6:
        return walk.short("vn-tag", 6)
    walk.at = at + 6
    return by_ethertype(walk, data[at + 4] << 8 | data[at + 5])


def e_tag(walk: Walk) -> Step:
    """Step over an E-TAG (IEEE 802.1BR)."""
    data, at = walk.data, walk.at
    if walk.end - at < 8:
        return walk.short("e-tag", 8)
    walk.at = at + 8
    return by_ethertype(walk, data[at + 6] << 8 | data[at + 7])


def i_tag(walk: Walk) -> Step:
    """Step over the tag of a provider backbone (IEEE 802.1ah): a whole Ethernet frame follows."""
    if walk.end - walk.at < 4:
        return walk.short("i-tag", 4)
    walk.at += 4
    return Layer.ETHERNET


def fabric_path(walk: Walk) -> Step:
    """Step over the tag of Cisco FabricPath: a whole Ethernet frame follows."""
    if walk.end - walk.at < 2:
        return walk.short("fabricpath", 2)
    walk.at += 2
    return Layer.ETHERNET


def mpls(walk: Walk) -> Step:
    """Step over a label stack (RFC 3032) and guess what follows: labels do not tell.

    IPv4 and IPv6 show their version. A pseudowire (RFC 4448) is followed only if it has a control word (first nibble
    0) and an Ethernet header of a known EtherType behind it; without a control word it cannot be told from other
    things.
    """
    data, at, end = walk.data, walk.at, walk.end
    for _ in range(walk.memory.labels):
        if end - at < 4:
            return walk.short("mpls", 4, at)
        bottom = data[at + 2] & 1
        at += 4
        if bottom:
            break
    else:
        return walk.fault("mpls", f"more than {walk.memory.labels} labels")
    walk.at = at
    if end == at:
        return walk.short("mpls", 1, at)
    nibble = data[at] >> 4
    if nibble == 4:
        return Layer.IPV4
    if nibble == 6:
        return Layer.IPV6
    if nibble == 0 and end - at >= 18 and (data[at + 16] << 8 | data[at + 17]) in ETHERTYPES:
        walk.at = at + 4
        return Layer.ETHERNET
    return walk.other("mpls")


def pppoe(walk: Walk) -> Step:
    """Decode a PPPoE session header (RFC 2516)."""
    data, at = walk.data, walk.at
    if walk.end - at < 6:
        return walk.short("pppoe", 6)
    if data[at] != 0x11:
        return walk.fault("pppoe", f"version and type 0x{data[at]:02x} are not 0x11")
    walk.at = at + 6
    return Layer.PPP if data[at + 1] == 0 else walk.other("pppoe-discovery")


def ppp(walk: Walk) -> Step:
    """Decode PPP (RFC 1661), with or without the address and control of RFC 1662, or Cisco HDLC in their place."""
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 2:
        return walk.short("ppp", 2)
    first = data[at]
    if first in (0x0F, 0x8F) and data[at + 1] == 0:
        return Layer.CISCO_HDLC
    if data[at + 1] == 3 and (first == 0xFF or (walk.frame.link_type == 166 and first < 2)):
        at += 2
        if end - at < 2:
            return walk.short("ppp", 4)
    if data[at] & 1:  # protocol field compression
        protocol = data[at]
        at += 1
    else:
        protocol = data[at] << 8 | data[at + 1]
        at += 2
    layer = PPP_PROTOCOLS.get(protocol)
    if layer is None:
        return walk.other(f"ppp-0x{protocol:04x}")
    walk.at = at
    return layer


def cisco_hdlc(walk: Walk) -> Step:
    """Decode Cisco HDLC: address, control, EtherType."""
    data, at = walk.data, walk.at
    if walk.end - at < 4:
        return walk.short("hdlc", 4)
    ethertype = data[at + 2] << 8 | data[at + 3]
    walk.at = at + 4
    layer = ETHERTYPES.get(ethertype)
    return walk.other(f"ethertype-0x{ethertype:04x}") if layer is None else layer
