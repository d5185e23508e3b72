"""The link layer: where a frame begins (pcap-linktype(7)), and the headers of Ethernet and the cooked captures.

Each decoder leaves the walk at the next header and says which one that is. What lies between Ethernet and IP (tags,
labels, PPP) is in `shims`. A link type without a decoder is undecoded, by name where it is a common one.
"""

from __future__ import annotations

import struct
from typing import Final

from probewatch.wire.layers import Layer, Step, Walk
from probewatch.wire.packets import Undecoded

LINKS: Final[dict[int, Layer]] = {
    0: Layer.LOOPBACK,  # NULL
    1: Layer.ETHERNET,
    9: Layer.PPP,
    12: Layer.RAW,  # DLT_RAW of most systems, LINKTYPE_RAW is 101
    14: Layer.RAW,  # DLT_RAW of OpenBSD
    50: Layer.PPP,  # PPP_HDLC
    51: Layer.PPPOE,  # PPP_ETHER
    101: Layer.RAW,
    104: Layer.CISCO_HDLC,
    108: Layer.LOOPBACK,  # LOOP
    113: Layer.SLL,
    166: Layer.PPP,  # PPP_PPPD: a direction byte in place of the address
    228: Layer.IPV4,
    229: Layer.IPV6,
    239: Layer.NFLOG,
    276: Layer.SLL2,
}
"""The header that a frame of each link type begins with."""

KNOWN_UNDECODED: Final[dict[int, str]] = {
    6: "IEEE802_5",
    7: "ARCNET_BSD",
    10: "FDDI",
    105: "IEEE802_11",
    107: "FRELAY",
    117: "PFLOG",
    119: "IEEE802_11_PRISM",
    127: "IEEE802_11_RADIOTAP",
    163: "IEEE802_11_AVS",
    189: "USB_LINUX",
    220: "USB_LINUX_MMAPPED",
    253: "NETLINK",
    258: "PKTAP",
}

ETHERTYPES: Final[dict[int, Layer]] = {
    0x0800: Layer.IPV4,
    0x0806: Layer.ARP,
    0x86DD: Layer.IPV6,
    0x8100: Layer.VLAN,
    0x88A8: Layer.VLAN,
    0x9100: Layer.VLAN,
    0x9200: Layer.VLAN,
    0x8847: Layer.MPLS,
    0x8848: Layer.MPLS,
    0x8864: Layer.PPPOE,
    0x880B: Layer.PPP,
    0x8926: Layer.VN_TAG,
    0x893F: Layer.E_TAG,
    0x88E7: Layer.I_TAG,
    0x8903: Layer.FABRIC_PATH,
    0x6558: Layer.ETHERNET,
}
"""The header behind each EtherType (IEEE 802 numbers); 0x6558 is Transparent Ethernet Bridging of GRE and Geneve."""

_SLL: Final = struct.Struct("!HHH8sH")
_SLL2: Final = struct.Struct("!HxxIHBB8s")
_HARDWARE_NETLINK: Final = 824
_FAMILIES: Final[dict[int, Layer]] = {
    2: Layer.IPV4,
    10: Layer.IPV6,  # Linux
    23: Layer.IPV6,  # Windows
    24: Layer.IPV6,  # NetBSD, OpenBSD
    28: Layer.IPV6,  # FreeBSD
    30: Layer.IPV6,  # macOS
}
"""Address families as systems number them: the first word of NULL and LOOP, the first byte of NFLOG."""


def unknown_link(walk: Walk) -> Undecoded:
    """End a walk at a link type without a decoder."""
    number = walk.frame.link_type
    name = KNOWN_UNDECODED.get(number)
    return walk.fault("link", f"link type {number} " + (f"({name}) is not decoded" if name else "is not known"))


def by_ethertype(walk: Walk, ethertype: int) -> Step:
    """Go on with what an EtherType names; below 0x0600 the field is a length and LLC follows (IEEE 802.3)."""
    if ethertype < 0x0600:
        return Layer.LLC
    layer = ETHERTYPES.get(ethertype)
    return walk.other(f"ethertype-0x{ethertype:04x}") if layer is None else layer


def ethernet(walk: Walk) -> Step:
    """Decode an Ethernet header; the innermost one gives the lane its MAC addresses."""
    at = walk.at
    if walk.end - at < 14:
        return walk.short("ethernet", 14)
    data = walk.data
    walk.destination_mac = data[at : at + 6]
    walk.source_mac = data[at + 6 : at + 12]
    walk.at = at + 14
    return by_ethertype(walk, data[at + 12] << 8 | data[at + 13])


def llc(walk: Walk) -> Step:
    """Decode an LLC header (IEEE 802.2); SNAP (RFC 1042) and the IP service access point lead on."""
    data, at = walk.data, walk.at
    if walk.end - at < 3:
        return walk.short("llc", 3)
    destination, source, control = data[at], data[at + 1], data[at + 2]
    if destination == source == 0xAA and control == 3:
        if walk.end - at < 8:
            return walk.short("llc", 8)
        organisation = data[at + 3 : at + 6]
        ethertype = data[at + 6] << 8 | data[at + 7]
        walk.at = at + 8
        if organisation in (b"\0\0\0", b"\0\0\xf8") and ethertype >= 0x0600:
            return by_ethertype(walk, ethertype)
        return walk.other(f"snap-{organisation.hex()}")
    if destination == source == 0x06 and control == 3:
        walk.at = at + 3
        return Layer.IPV4
    if destination == source == 0x42:
        return walk.other("stp")
    return walk.other(f"llc-0x{destination:02x}")


def loopback(walk: Walk) -> Step:
    """Decode the address family of NULL (byte order of the capturing host) and LOOP (network order)."""
    data, at = walk.data, walk.at
    if walk.end - at < 4:
        return walk.short("loopback", 4)
    family = int.from_bytes(data[at : at + 4], "little")
    if family > 0xFFFF:
        family = int.from_bytes(data[at : at + 4], "big")
    walk.at = at + 4
    return _FAMILIES.get(family) or walk.other(f"family-{family}")


def sll(walk: Walk) -> Step:
    """Decode a Linux cooked header, version 1 (`any` before libpcap 1.10)."""
    if walk.end - walk.at < 16:
        return walk.short("sll", 16)
    walk.packet_type, hardware, size, address, protocol = _SLL.unpack_from(walk.data, walk.at)
    walk.source_mac = address[: min(size, 8)]
    walk.at += 16
    return _cooked(walk, hardware, protocol)


def sll2(walk: Walk) -> Step:
    """Decode a Linux cooked header, version 2: the interface index tells vantage points apart."""
    if walk.end - walk.at < 20:
        return walk.short("sll2", 20)
    protocol, walk.ifindex, hardware, walk.packet_type, size, address = _SLL2.unpack_from(walk.data, walk.at)
    walk.source_mac = address[: min(size, 8)]
    walk.at += 20
    return _cooked(walk, hardware, protocol)


def _cooked(walk: Walk, hardware: int, protocol: int) -> Step:
    """Go on behind a cooked header: its protocol is an EtherType but for a few Linux numbers (if_ether.h)."""
    if hardware == _HARDWARE_NETLINK:
        return walk.other("netlink")
    if protocol >= 0x0600:
        return by_ethertype(walk, protocol)
    return Layer.LLC if protocol == 4 else walk.other(f"cooked-0x{protocol:04x}")


def raw(walk: Walk) -> Step:
    """Tell IPv4 from IPv6 where there is no link header at all."""
    if walk.end <= walk.at:
        return walk.short("raw", 1)
    version = walk.data[walk.at] >> 4
    if version == 4:
        return Layer.IPV4
    return Layer.IPV6 if version == 6 else walk.fault("raw", f"IP version {version} is not 4 or 6")


def nflog(walk: Walk) -> Step:
    """Decode a netfilter log message: the packet is the payload attribute (type 9) of a list of attributes.

    Attributes are in the byte order of the capturing host, which the frame does not tell: the small
    numbers of the types do.
    """
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 8:
        return walk.short("nflog", 8)
    layer = _FAMILIES.get(data[at])
    order = "<HH" if data[at + 7] == 0 else ">HH"  # types are small numbers: their high byte is 0
    attribute = at + 4
    while end - attribute >= 4:
        size, kind = struct.unpack_from(order, data, attribute)
        if size < 4:
            return walk.fault("nflog", f"attribute length {size} is below 4", attribute)
        if kind == 8 and size >= 16 and end - attribute >= 16:
            length = data[attribute + 4] << 8 | data[attribute + 5]
            walk.source_mac = data[attribute + 8 : attribute + 8 + min(length, 8)]
        if kind == 9:
            walk.at = attribute + 4
            walk.wire = max(attribute + size, walk.at)
            walk.end = min(end, walk.wire)
            return layer or walk.other(f"nflog-family-{data[at]}")
        attribute += (size + 3) & ~3
    return walk.other("nflog") if not walk.cut else walk.short("nflog", end - at + 1)
