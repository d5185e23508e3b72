"""Tunnels: what travels inside is found, its lane names the way, and a mere port makes no garbage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE, GeneveOptions
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import Other, Segment, Undecoded
from probewatch.wire.peel import Peeler

TCP4 = IP(src="10.0.0.1", dst="10.0.0.2", ttl=61) / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello")
TCP6 = IPv6(src="fd00::1", dst="fd00::2", hlim=61) / TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello")
OUTER4 = IP(src="192.0.2.1", dst="192.0.2.2")
OUTER6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
INNER = Ether(src="02:00:00:00:00:0c", dst="02:00:00:00:00:0d")
OPTION = GeneveOptions(classid=0x0102, type=0x80, data=b"\0\1\0\2")
LINK = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")


def peeled(data: Packet | bytes, snap: int | None = None, peeler: Peeler | None = None) -> object:
    """Peel an Ethernet frame, three times: what was cached must not matter."""
    raw = bytes(data)
    peeler = peeler or Peeler()
    frame = Frame(0, 0, 1, 0, 1, raw[:snap], len(raw))
    first = peeler.peel(frame)
    assert peeler.peel(frame) == first
    assert peeler.peel(frame) == first
    return first


def segment_of(packet: object) -> Segment:
    """Check that a packet is the one segment of these tests."""
    assert isinstance(packet, Segment), packet
    assert (packet.source_port, packet.seq, packet.payload, packet.length, packet.ttl) == (40000, 99, b"hello", 5, 61)
    assert (packet.source, packet.destination) in {("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")}
    return packet


BRIDGED = [
    (UDP(sport=5555, dport=4789) / VXLAN(vni=4097), "vxlan 4097"),
    (UDP(sport=5555, dport=8472) / VXLAN(vni=1), "vxlan 1"),
    (UDP(sport=5555, dport=4789) / VXLAN(vni=9, flags=0x88), "vxlan 9"),
    (UDP(sport=5555, dport=6081) / GENEVE(vni=12), "geneve 12"),
    (UDP(sport=5555, dport=6081) / GENEVE(vni=13, options=[OPTION, OPTION]), "geneve 13"),
    (GRE(proto=0x6558), "gretap"),
    (GRE(proto=0x6558, key_present=1, key=77), "gretap 77"),
    (GRE(proto=0x88BE), "erspan"),
    (GRE(proto=0x88BE, seqnum_present=1) / Raw(b"\x10\x00\x00\x05" + bytes(4)), "erspan 5"),
    (GRE(proto=0x22EB, seqnum_present=1) / Raw(b"\x20\x00\x00\x06" + bytes(8)), "erspan 6"),
    (GRE(proto=0x22EB, seqnum_present=1) / Raw(b"\x20\x00\x00\x07" + bytes(7) + b"\x01" + bytes(8)), "erspan 7"),
    (UDP(sport=5555, dport=4754) / GRE(proto=0x6558), "gretap"),
]


@pytest.mark.parametrize(("outer", "source"), [(OUTER4, "192.0.2.1"), (OUTER6, "2001:db8::1")])
@pytest.mark.parametrize(("head", "label"), BRIDGED)
@pytest.mark.parametrize("inside", [TCP4, TCP6])
def test_bridged_tunnels(outer: Packet, source: str, head: Packet, label: str, inside: Packet) -> None:
    """Ethernet inside a tunnel gives the inner segment, the inner hardware addresses, and the tunnel's name and source."""
    lane = segment_of(peeled(LINK / outer / head / INNER / inside)).lane
    assert (lane.tunnel, lane.outer_source) == (label, source)
    assert lane.source_mac == bytes.fromhex("02000000000c")
    assert lane.destination_mac == bytes.fromhex("02000000000d")
    assert lane.vlan == -1


@pytest.mark.parametrize("head", [head for head, _ in BRIDGED])
def test_vlan_inside_a_tunnel(head: Packet) -> None:
    """A VLAN tag inside a tunnel is the innermost one."""
    tagged = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / Dot1Q(vlan=5) / OUTER4 / head / INNER
    assert segment_of(peeled(tagged / Dot1Q(vlan=6) / TCP4)).lane.vlan == 6
    assert segment_of(peeled(tagged / TCP4)).lane.vlan == 5


@pytest.mark.parametrize(
    ("head", "inside", "label"),
    [
        (OUTER4, TCP4, "ipip"),
        (OUTER4, TCP6, "sit"),
        (OUTER6, TCP6, "ip6ip6"),
        (OUTER6, TCP4, "ipip6"),
        (OUTER4 / GRE(), TCP4, "gre"),
        (OUTER4 / GRE(), TCP6, "gre"),
        (OUTER6 / GRE(chksum_present=1), TCP4, "gre"),
        (OUTER4 / GRE(key_present=1, key=7, seqnum_present=1, chksum_present=1), TCP6, "gre 7"),
        (OUTER4 / UDP(dport=6081) / GENEVE(vni=3, options=[OPTION]), TCP4, "geneve 3"),
        (OUTER4 / UDP(dport=6081) / GENEVE(vni=3), TCP6, "geneve 3"),
        (OUTER4 / IP(src="198.51.100.1", dst="198.51.100.2"), TCP4, "ipip/ipip"),
        (OUTER4 / UDP(dport=4789) / VXLAN(vni=3) / INNER / IP(src="198.51.100.1") / GRE(), TCP6, "vxlan 3/gre"),
        (OUTER4 / UDP(dport=4789) / VXLAN(vni=3) / INNER / OUTER6, TCP6, "vxlan 3/ip6ip6"),
    ],
)
def test_ip_tunnels(head: Packet, inside: Packet, label: str) -> None:
    """IP inside a tunnel is found; nested tunnels are named from the outermost, whose source is told."""
    lane = segment_of(peeled(LINK / head / inside)).lane
    assert lane.tunnel == label
    assert lane.outer_source in {"192.0.2.1", "2001:db8::1"}


def test_pptp() -> None:
    """PPP inside the GRE of PPTP is found; its acknowledgments alone are counted."""
    ppp = b"\xff\x03\x00\x21" + bytes(TCP4)
    head = b"\x30\x81\x88\x0b" + len(ppp).to_bytes(2, "big") + b"\0\x09" + bytes(8)
    outer = IP(src="192.0.2.1", dst="192.0.2.2", proto=47)
    assert segment_of(peeled(LINK / outer / Raw(head + ppp))).lane.tunnel == "pptp 9"
    other = peeled(LINK / outer / Raw(b"\x20\x81\x88\x0b\0\0\0\x09" + bytes(4)))
    assert isinstance(other, Other)


def test_lanes_of_two_tunnels_differ() -> None:
    """Network identifiers, outer sources and inner addresses tell lanes apart, however often they were seen."""
    peeler = Peeler()
    seen = set()
    for vni in (1, 2):
        for source in ("192.0.2.1", "192.0.2.3"):
            for mac in ("02:00:00:00:00:01", "02:00:00:00:00:02"):
                outer = IP(src=source, dst="192.0.2.2") / UDP(dport=4789) / VXLAN(vni=vni)
                lane = segment_of(peeled(LINK / outer / Ether(src=mac, dst=mac) / TCP4, peeler=peeler)).lane
                assert (lane.tunnel, lane.outer_source) == (f"vxlan {vni}", source)
                assert lane.source_mac == bytes.fromhex(mac.replace(":", ""))
                seen.add(lane)
    assert len(seen) == 8


def test_own_ports() -> None:
    """A cluster that moved its VXLAN or Geneve to another port is followed when told so."""
    for head in (UDP(dport=9898) / VXLAN(vni=1), UDP(dport=9899) / GENEVE(vni=1)):
        packet = LINK / OUTER4 / head / INNER / TCP4
        assert isinstance(peeled(packet), Other)
        segment_of(peeled(packet, peeler=Peeler(vxlan_ports=frozenset({9898}), geneve_ports=frozenset({9899}))))


@settings(max_examples=150)
@given(st.sampled_from([4789, 8472, 6081, 4754]), st.binary(max_size=80), st.booleans())
def test_ports_alone_make_no_garbage(port: int, payload: bytes, plausible: bool) -> None:
    """Whatever else is sent to a tunnel's port is plain UDP, or what a whole packet inside really is."""
    if plausible:
        payload = (b"\x08\0\0\0\0\0\x01\0" if port in (4789, 8472) else b"\0\0\x65\x58\0\0\x01\0") + payload
    raw = bytes(LINK / OUTER4 / UDP(sport=53, dport=port) / Raw(payload))
    packet = peeled(raw)
    assert not isinstance(packet, Undecoded)
    if isinstance(packet, Other):
        assert packet.what in {"udp", "arp", "mpls", "stp", "igmp", "icmp", "esp", "sctp", "pppoe-discovery"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00\0\0\0\0\0\x01\0" + bytes(INNER / TCP4),
        b"\x08\0\0\0\0\0\x01\x05" + bytes(INNER / TCP4),
        b"\x08\0\0\0\0\0\x01\0" + bytes(12) + b"\x12\x34" + bytes(50),
        b"\x08\0\0\0\0\0\x01\0" + bytes(12) + b"\x08\x00\x95" + bytes(50),
        b"\x08\0\0\0\0\0\x01\0" + bytes(5),
    ],
)
def test_vxlan_port_with_something_else(payload: bytes) -> None:
    """A VXLAN header without its flag, or with nonsense inside, is plain UDP."""
    other = peeled(LINK / OUTER4 / UDP(sport=5555, dport=4789) / Raw(payload))
    assert isinstance(other, Other)
    assert other.what == "udp"


@pytest.mark.parametrize("head", [b"\x40\0\x65\x58\0\0\1\0", b"\0\0\x12\x34\0\0\1\0", b"\x3f\0\x65\x58\0\0\1\0", b"\0"])
def test_geneve_port_with_something_else(head: bytes) -> None:
    """Another version, an unknown protocol, or options beyond the packet: plain UDP."""
    other = peeled(LINK / OUTER4 / UDP(sport=5555, dport=6081) / Raw(head))
    assert isinstance(other, Other)
    assert other.what == "udp"


@pytest.mark.parametrize("head", [head for head, _ in BRIDGED])
def test_cut_tunnels(head: Packet) -> None:
    """A frame cut anywhere inside a tunnel is undecoded with numbers that fit, or the segment as far as it is known."""
    packet = bytes(LINK / OUTER4 / head / INNER / TCP4)
    whole = len(packet)
    for snap in range(whole):
        result = peeled(packet, snap)
        if isinstance(result, Undecoded):
            assert result.reason == "frame cut by the snapshot length"
            assert result.needed > result.got == snap - result.offset
        else:
            assert isinstance(result, Segment)
            assert snap >= whole - 5
            assert result.length == 5


@pytest.mark.parametrize(
    "head",
    [GRE(version=2), GRE(routing_present=1), GRE(proto=0x883E), GRE(proto=0x0806), b"\x20\x01\x12\x34" + bytes(4)],
)
def test_other_gre(head: Packet | bytes) -> None:
    """GRE of other versions, with source routes, or with other protocols inside is counted."""
    outer = IP(src="192.0.2.1", dst="192.0.2.2", proto=47)
    other = peeled(LINK / outer / Raw(bytes(head) + bytes(30)))
    assert isinstance(other, Other)
    assert other.what == "gre"


def test_plain_udp() -> None:
    """UDP is counted, with a tunnel's port as its source too; a header cut short is undecoded."""
    for packet in (OUTER4 / UDP(sport=4789, dport=5555) / Raw(b"x" * 30), OUTER6 / UDP(dport=53) / Raw(b"x")):
        other = peeled(LINK / packet)
        assert isinstance(other, Other)
        assert other.what == "udp"
    short = peeled(LINK / IP(proto=17) / Raw(bytes(5)))
    assert isinstance(short, Undecoded)
    assert (short.layer, short.needed, short.got) == ("udp", 8, 5)
