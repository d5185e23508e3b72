"""Where frames of each link type begin, and what their lanes tell."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP, Dot3, Ether
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import Other, Segment, Undecoded
from probewatch.wire.peel import Peeler

A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
RAW_A, RAW_B = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
TCP4 = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello"))
TCP6 = bytes(IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello"))


def peeled(link_type: int, data: bytes, interface: int = 0) -> object:
    """Peel a whole frame, twice: what was cached must not matter."""
    peeler = Peeler()
    frame = Frame(0, 0, 1, interface, link_type, data, len(data))
    first = peeler.peel(frame)
    assert peeler.peel(frame) == first
    return first


def segment_of(packet: object) -> Segment:
    """Check that a packet is the one segment of these tests."""
    assert isinstance(packet, Segment)
    assert (packet.source_port, packet.destination_port, packet.seq) == (40000, 8080, 99)
    assert (packet.payload, packet.length) == (b"hello", 5)
    assert (packet.source, packet.destination) in {("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")}
    return packet


def sll(protocol: int, hardware: int = 1, packet_type: int = 4, size: int = 6) -> bytes:
    """Return a Linux cooked header."""
    return struct.pack("!HHH8sH", packet_type, hardware, size, RAW_A, protocol)


def sll2(protocol: int, ifindex: int = 7, packet_type: int = 4, hardware: int = 1) -> bytes:
    """Return a Linux cooked header, version 2."""
    return struct.pack("!HHIHBB8s", protocol, 0, ifindex, hardware, packet_type, 6, RAW_A)


def nflog(family: int, payload: bytes, order: str = "<", hardware: bool = True) -> bytes:
    """Return a netfilter log message with a prefix, a hardware address and the payload."""
    attributes = struct.pack(order + "HH", 7, 10) + b"ab\0\0"
    if hardware:
        attributes += struct.pack(order + "HH", 16, 8) + b"\0\x06\0\0" + RAW_A + b"\0\0"
    return bytes([family, 0, 0, 0]) + attributes + struct.pack(order + "HH", 4 + len(payload), 9) + payload


@pytest.mark.parametrize(
    ("link_type", "head4", "head6"),
    [
        (0, b"\x02\0\0\0", b"\x1e\0\0\0"),
        (0, b"\0\0\0\x02", b"\0\0\0\x18"),
        (1, RAW_B + RAW_A + b"\x08\x00", RAW_B + RAW_A + b"\x86\xdd"),
        (9, b"\xff\x03\x00\x21", b"\x00\x57"),
        (9, b"\x21", b"\x57"),
        (12, b"", b""),
        (14, b"", b""),
        (50, b"\xff\x03\x00\x21", b"\x0f\x00\x86\xdd"),
        (51, b"\x11\0\0\1\0\0\x00\x21", b"\x11\0\0\1\0\0\x00\x57"),
        (101, b"", b""),
        (104, b"\x0f\x00\x08\x00", b"\x8f\x00\x86\xdd"),
        (108, b"\0\0\0\x02", b"\0\0\0\x1c"),
        (113, sll(0x0800), sll(0x86DD)),
        (166, b"\x00\x03\x00\x21", b"\x01\x03\x00\x57"),
        (276, sll2(0x0800), sll2(0x86DD)),
    ],
)
def test_link_types(link_type: int, head4: bytes, head6: bytes) -> None:
    """Each link type leads to the segment inside, for IPv4 and IPv6."""
    segment_of(peeled(link_type, head4 + TCP4))
    segment_of(peeled(link_type, head6 + TCP6))


def test_ip_link_types() -> None:
    """The link types that name the IP version hold to it."""
    segment_of(peeled(228, TCP4))
    segment_of(peeled(229, TCP6))
    for link_type, data, layer in ((228, TCP6, "ipv4"), (229, TCP4, "ipv6")):
        packet = peeled(link_type, data)
        assert isinstance(packet, Undecoded)
        assert packet.layer == layer
        assert packet.reason.startswith("IP version")


def test_ethernet_lane() -> None:
    """The lane of an Ethernet frame tells both hardware addresses and the interface."""
    packet = peeled(1, bytes(Ether(src=A, dst=B) / IP(TCP4)), interface=3)
    lane = segment_of(packet).lane
    assert (lane.interface, lane.ifindex, lane.packet_type, lane.vlan) == (3, -1, -1, -1)
    assert (lane.source_mac, lane.destination_mac, lane.tunnel, lane.outer_source) == (RAW_A, RAW_B, "", "")


def test_cooked_lanes() -> None:
    """A cooked header tells packet type and source address, version 2 the interface too."""
    lane = segment_of(peeled(113, sll(0x0800, packet_type=4) + TCP4)).lane
    assert (lane.ifindex, lane.packet_type, lane.source_mac) == (-1, 4, RAW_A)
    lane = segment_of(peeled(113, sll(0x0800, size=0) + TCP4)).lane
    assert lane.source_mac == b""
    lane = segment_of(peeled(276, sll2(0x86DD, ifindex=12, packet_type=0) + TCP6)).lane
    assert (lane.ifindex, lane.packet_type, lane.source_mac) == (12, 0, RAW_A)


def test_cooked_specials() -> None:
    """Linux's own protocol numbers and netlink messages are counted; a VLAN tag and LLC are followed."""
    for head, what in (
        (sll(0x0800, hardware=824), "netlink"),
        (sll(0x0001), "cooked-0x0001"),
        (sll2(0x0004) + b"\x42\x42\x03", "stp"),
        (sll2(0x88CC), "ethertype-0x88cc"),
    ):
        packet = peeled(276 if len(head) > 16 else 113, head + bytes(40))
        assert isinstance(packet, Other)
        assert packet.what == what
    lane = segment_of(peeled(276, sll2(0x8100) + b"\x00\x64\x08\x00" + TCP4)).lane
    assert (lane.vlan, lane.ifindex) == (100, 7)


@pytest.mark.parametrize("order", ["<", ">"])
def test_nflog(order: str) -> None:
    """The payload attribute of a netfilter log message is the packet, in either byte order; its address is in the lane."""
    assert segment_of(peeled(239, nflog(2, TCP4, order))).lane.source_mac == RAW_A
    assert segment_of(peeled(239, nflog(10, TCP6, order, hardware=False))).lane.source_mac == b""


def test_nflog_without_packet() -> None:
    """A log message without payload, of another family, or with an impossible attribute is told as such."""
    packet = peeled(239, nflog(7, TCP4))
    assert isinstance(packet, Other)
    assert packet.what == "nflog-family-7"
    packet = peeled(239, nflog(2, b"")[:-4])
    assert isinstance(packet, Other)
    assert packet.what == "nflog"
    packet = peeled(239, b"\x02\0\0\0\x03\0\x0a\0")
    assert isinstance(packet, Undecoded)
    assert packet.reason == "attribute length 3 is below 4"
    cut = nflog(2, TCP4)[:26]
    undecoded = Peeler().peel(Frame(0, 0, 1, 0, 239, cut, 100))
    assert isinstance(undecoded, Undecoded)
    assert undecoded.needed > undecoded.got


@pytest.mark.parametrize(
    ("packet", "what"),
    [
        (Dot3(src=A, dst=B) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(bytes(35)), "stp"),
        (Dot3(src=A, dst=B) / LLC(dsap=0xE0, ssap=0xE0, ctrl=3) / Raw(bytes(35)), "llc-0xe0"),
        (Dot3(src=A, dst=B) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0x00000C, code=0x2000), "snap-00000c"),
        (Ether(src=A, dst=B, type=0x88CC) / Raw(bytes(46)), "ethertype-0x88cc"),
    ],
)
def test_other_frames(packet: Packet, what: str) -> None:
    """Frames of other protocols are counted by name."""
    other = peeled(1, bytes(packet))
    assert isinstance(other, Other)
    assert other.what == what


def test_ip_in_llc() -> None:
    """IP behind an LLC header, with SNAP or its own service access point, is found."""
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x86DD)
    segment_of(peeled(1, bytes(Dot3(src=A, dst=B) / snap / Raw(TCP6))))
    segment_of(peeled(1, bytes(Dot3(src=A, dst=B) / LLC(dsap=6, ssap=6, ctrl=3) / Raw(TCP4))))


def test_undecoded_link_types() -> None:
    """A link type that is not decoded is said by number, and by name where it is a common one."""
    for link_type, reason in (
        (105, "link type 105 (IEEE802_11) is not decoded"),
        (147, "link type 147 is not known"),
        (-1, "link type -1 is not known"),
    ):
        packet = peeled(link_type, bytes(50))
        assert packet == Undecoded((0, 0, 1), "link", 0, 0, 50, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("link_type", "layer", "needed"),
    [
        (0, "loopback", 4), (1, "ethernet", 14), (9, "ppp", 2), (51, "pppoe", 6), (101, "raw", 1), (104, "hdlc", 4),
        (113, "sll", 16), (228, "ipv4", 20), (229, "ipv6", 40), (239, "nflog", 8), (276, "sll2", 20),
    ],
)  # fmt: skip
def test_cut_link_headers(link_type: int, layer: str, needed: int) -> None:
    """A frame that ends inside its link header is undecoded, whether the capture cut it or it was that short."""
    for got in range(needed):
        for original, reason in ((100, "frame cut by the snapshot length"), (got, "packet ends inside the header")):
            packet = Peeler().peel(Frame(0, 0, 1, 0, link_type, bytes(got), original))
            assert packet == Undecoded((0, 0, 1), layer, 0, needed, got, reason)  # type: ignore[arg-type]


def test_raw_of_no_version() -> None:
    """A packet without link header that is neither IPv4 nor IPv6 is undecoded."""
    packet = peeled(101, b"\x50" + bytes(60))
    assert isinstance(packet, Undecoded)
    assert packet.reason == "IP version 5 is not 4 or 6"


def test_unknown_loopback_family() -> None:
    """Another address family on a loopback is counted."""
    packet = peeled(0, b"\x07\0\0\0" + bytes(40))
    assert isinstance(packet, Other)
    assert packet.what == "family-7"
