"""What stands between the link header and IP: tags, labels, PPP."""

from __future__ import annotations

import struct

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import Other, Segment, Undecoded
from probewatch.wire.peel import Peeler

TCP4 = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello")
TCP6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello")
B = "02:00:00:00:00:0b"
ETHER = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
INNER = Ether(src="02:00:00:00:00:0c", dst="02:00:00:00:00:0d")


def peeled(data: Packet | bytes) -> object:
    """Peel a whole Ethernet frame, twice: what was cached must not matter."""
    raw = bytes(data)
    peeler = Peeler()
    frame = Frame(0, 0, 1, 0, 1, raw, len(raw))
    first = peeler.peel(frame)
    assert peeler.peel(frame) == first
    return first


def segment_of(packet: object) -> Segment:
    """Check that a packet is the one segment of these tests."""
    assert isinstance(packet, Segment)
    assert (packet.source_port, packet.seq, packet.payload, packet.length) == (40000, 99, b"hello", 5)
    return packet


@pytest.mark.parametrize("inside", [TCP4, TCP6])
@pytest.mark.parametrize(
    ("tags", "vlan"),
    [
        (Dot1Q(vlan=100), 100),
        (Dot1Q(vlan=0, prio=5), 0),
        (Dot1Q(vlan=4095, prio=7), 4095),
        (Dot1AD(vlan=3) / Dot1Q(vlan=100), 100),
        (Dot1Q(vlan=3) / Dot1Q(vlan=2) / Dot1Q(vlan=1), 1),
        (Dot1Q(vlan=4) / Dot1Q(vlan=3) / Dot1Q(vlan=2) / Dot1Q(vlan=9), 9),
    ],
)
def test_vlan(tags: Packet, vlan: int, inside: Packet) -> None:
    """The innermost of any number of VLAN tags is in the lane."""
    assert segment_of(peeled(ETHER / tags / inside)).lane.vlan == vlan


def test_old_vlan_types() -> None:
    """Tags of EtherType 0x9100 and 0x9200, from before 802.1ad, are tags."""
    raw = bytearray(bytes(ETHER / Dot1Q(vlan=5) / Dot1Q(vlan=6) / TCP4))
    for kind in (b"\x91\x00", b"\x92\x00"):
        raw[12:14] = kind
        assert segment_of(peeled(bytes(raw))).lane.vlan == 6


def test_switch_tags() -> None:
    """VN-Tag, E-TAG, provider backbone and FabricPath tags are stepped over."""
    head, ip = bytes(ETHER)[:12], bytes(TCP4)
    segment_of(peeled(head + b"\x89\x26" + bytes(4) + b"\x08\x00" + ip))
    segment_of(peeled(head + b"\x89\x3f" + bytes(6) + b"\x08\x00" + ip))
    segment_of(peeled(head + b"\x88\xe7" + bytes(4) + bytes(INNER / TCP4)))
    segment_of(peeled(head + b"\x89\x03" + bytes(2) + bytes(INNER / TCP6)))


@pytest.mark.parametrize("inside", [TCP4, TCP6])
@pytest.mark.parametrize("kind", [0x8847, 0x8848])
def test_mpls(kind: int, inside: Packet) -> None:
    """IP behind a label stack is found, alone and behind a VLAN tag."""
    stack = MPLS(label=100, s=0) / MPLS(label=200, s=1)
    frame = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b", type=kind)
    segment_of(peeled(frame / stack / Raw(bytes(inside))))
    tagged = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1Q(vlan=7, type=kind)
    assert segment_of(peeled(tagged / stack / Raw(bytes(inside)))).lane.vlan == 7


def test_pseudowire_only_when_safe() -> None:
    """Ethernet over MPLS is followed behind a control word, and not guessed otherwise."""
    frame = Ether(dst=B, type=0x8847) / MPLS(label=100, s=1)
    lane = segment_of(peeled(frame / Raw(bytes(4) + bytes(INNER / TCP4)))).lane
    assert lane.source_mac == bytes.fromhex("02000000000c")
    for behind in (bytes(INNER / TCP4), bytes(16) + b"\x12\x34" + bytes(40), b"\x00\x00"):
        other = peeled(frame / Raw(behind))
        assert isinstance(other, Other)
        assert other.what == "mpls"


def test_endless_label_stack() -> None:
    """A stack without bottom ends in a plain reason."""
    packet = peeled(Ether(dst=B, type=0x8847) / Raw(bytes(1400)))
    assert isinstance(packet, Undecoded)
    assert packet.reason == "more than 16 labels"
    packet = peeled(Ether(dst=B, type=0x8847) / Raw(bytes(10)))
    assert isinstance(packet, Undecoded)
    assert (packet.offset, packet.needed, packet.got) == (22, 4, 2)
    packet = peeled(Ether(dst=B, type=0x8847) / Raw(b"\0\0\x01\xff"))
    assert isinstance(packet, Undecoded)
    assert (packet.offset, packet.needed, packet.got) == (18, 1, 0)


def test_endless_tags() -> None:
    """Thousands of VLAN tags end in a plain reason, not in thousands of steps."""
    packet = peeled(bytes(ETHER)[:12] + struct.pack("!HH", 0x8100, 1) * 10_000)
    assert isinstance(packet, Undecoded)
    assert packet.reason == "more than 16 layers"


@pytest.mark.parametrize(("inside", "protocol"), [(TCP4, 0x21), (TCP6, 0x57)])
def test_pppoe(inside: Packet, protocol: int) -> None:
    """IP in a PPPoE session is found, behind VLAN tags too."""
    session = PPPoE(sessionid=7) / PPP(proto=protocol) / inside
    segment_of(peeled(Ether(dst=B, type=0x8864) / session))
    assert segment_of(peeled(Ether(dst=B) / Dot1Q(vlan=3) / Dot1Q(vlan=4, type=0x8864) / session)).lane.vlan == 4


def test_pppoe_and_ppp_without_ip() -> None:
    """Other PPP protocols are counted; a wrong version is undecoded."""
    other = peeled(Ether(dst=B, type=0x8864) / Raw(b"\x11\0\0\7\0\x0a\xc0\x21" + bytes(8)))
    assert isinstance(other, Other)
    assert other.what == "ppp-0xc021"
    other = peeled(Ether(dst=B, type=0x8864) / Raw(b"\x11\x09\0\0\0\0" + bytes(8)))
    assert isinstance(other, Other)
    assert other.what == "pppoe-discovery"
    packet = peeled(Ether(dst=B, type=0x8864) / Raw(b"\x21\0\0\7\0\x0a\x00\x21" + bytes(8)))
    assert isinstance(packet, Undecoded)
    assert packet.layer == "pppoe"


@pytest.mark.parametrize(
    ("kind", "layer", "needed"),
    [
        (0x8100, "vlan", 4), (0x8926, "vn-tag", 6), (0x893F, "e-tag", 8), (0x88E7, "i-tag", 4),
        (0x8903, "fabricpath", 2), (0x8847, "mpls", 4), (0x8864, "pppoe", 6), (0x880B, "ppp", 2), (0x0100, "llc", 3),
    ],
)  # fmt: skip
def test_cut_shims(kind: int, layer: str, needed: int) -> None:
    """A frame cut inside one of these headers is undecoded with the numbers of the cut."""
    for got in range(needed):
        data = bytes(12) + kind.to_bytes(2, "big") + bytes(got)
        packet = Peeler().peel(Frame(0, 0, 1, 0, 1, data, 100))
        assert packet == Undecoded((0, 0, 1), layer, 14, needed, got, "frame cut by the snapshot length")  # type: ignore[arg-type]


def test_cut_snap_and_ppp() -> None:
    """The longer forms of LLC and PPP need more bytes, and say so."""
    packet = Peeler().peel(Frame(0, 0, 1, 0, 1, bytes(12) + b"\x00\x40\xaa\xaa\x03\x00", 100))
    assert isinstance(packet, Undecoded)
    assert (packet.layer, packet.needed, packet.got) == ("llc", 8, 4)
    packet = Peeler().peel(Frame(0, 0, 1, 0, 9, b"\xff\x03\x00", 100))
    assert isinstance(packet, Undecoded)
    assert (packet.layer, packet.needed, packet.got) == ("ppp", 4, 3)
