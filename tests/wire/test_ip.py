"""IPv4 and IPv6 headers: lengths that lie, options, extension headers."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import Other, Segment, Undecoded
from probewatch.wire.peel import Peeler, PeelLimits

V4 = IP(src="10.0.0.1", dst="10.0.0.2", id=77, ttl=61)
V6 = IPv6(src="fd00::1", dst="fd00::2", hlim=61)
DATA = TCP(sport=40000, dport=8080, seq=99, flags="PA") / Raw(b"hello")


def peeled(data: Packet | bytes, snap: int | None = None, limits: PeelLimits | None = None) -> object:
    """Peel a packet without link header."""
    raw = bytes(data)
    return Peeler(limits or PeelLimits(), checksums=True).peel(Frame(0, 0, 1, 0, 101, raw[:snap], len(raw)))


def segment_of(packet: object, payload: bytes = b"hello") -> Segment:
    """Check that a packet is the one segment of these tests."""
    assert isinstance(packet, Segment), packet
    assert (packet.source_port, packet.seq, packet.payload, packet.ttl) == (40000, 99, payload, 61)
    return packet


def patched(packet: Packet, at: int, value: int, form: str = "!H") -> bytes:
    """Return the bytes of a packet with one field overwritten."""
    raw = bytearray(bytes(packet))
    struct.pack_into(form, raw, at, value)
    return bytes(raw)


def test_identification() -> None:
    """IPv4 tells its identification, IPv6 has none."""
    assert segment_of(peeled(V4 / DATA)).ip_id == 77
    assert segment_of(peeled(V6 / DATA)).ip_id == -1


def test_ipv4_options() -> None:
    """TCP behind IPv4 options of any length is found."""
    for count in range(1, 10):
        options = IPOption_RR(length=3 + 4 * count, routers=["10.9.9.9"] * count)
        packet = IP(src="10.0.0.1", dst="10.0.0.2", ttl=61, options=[options]) / DATA
        assert segment_of(peeled(packet)).checksum_ok


def test_cut_ipv4_options() -> None:
    """A frame cut inside the IPv4 options is undecoded with the header's own length."""
    raw = bytes(IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_RR(length=7, routers=["10.9.9.9"])]) / DATA)
    packet = peeled(raw, snap=25)
    assert packet == Undecoded((0, 0, 1), "ipv4", 0, 28, 25, "frame cut by the snapshot length")  # type: ignore[arg-type]


def test_total_length_zero() -> None:
    """A total or payload length of 0, as segmentation offload leaves it, is read from the frame."""
    for packet, at in ((V4 / DATA, 2), (V6 / DATA, 4)):
        segment = segment_of(peeled(patched(packet, at, 0)))
        assert segment.length == 5
        cut = segment_of(peeled(patched(packet, at, 0), snap=len(bytes(packet)) - 2), b"hel")
        assert cut.length == 5


def test_super_packets() -> None:
    """A packet beyond 65535 bytes, whose length field is 0, is one segment."""
    body = bytes(100_000)
    for head, size in ((V4, 20), (V6, 40)):
        raw = patched(head / DATA, 2 if size == 20 else 4, 0)[: size + 20] + body
        segment = segment_of(peeled(raw), body)
        assert segment.length == 100_000


def test_length_beyond_the_frame() -> None:
    """A length larger than what was captured gives a shorter payload than `length`."""
    for packet, at in ((V4 / DATA, 2), (V6 / DATA, 4)):
        segment = segment_of(peeled(patched(packet, at, 1000)))
        assert segment.length == (960 if at == 2 else 980)
        assert segment.checksum_ok is None


def test_padding_is_dropped() -> None:
    """Bytes behind the IP length belong to the link."""
    for packet in (V4 / DATA, V6 / DATA):
        segment = segment_of(peeled(bytes(packet) + bytes(40)))
        assert (segment.length, segment.checksum_ok) == (5, True)


@pytest.mark.parametrize(
    ("data", "layer", "reason"),
    [
        (patched(V4 / DATA, 0, 0x44, "!B"), "ipv4", "header length 4 is below 5"),
        (patched(V4 / DATA, 2, 19), "ipv4", "total length 19 is below the header length 20"),
        (patched(V4 / DATA, 0, 0x4F, "!B"), "ipv4", "total length 45 is below the header length 60"),
    ],
)
def test_contradictions(data: bytes, layer: str, reason: str) -> None:
    """A header that contradicts itself is undecoded and says why."""
    assert peeled(data) == Undecoded((0, 0, 1), layer, 0, 0, len(data), reason)  # type: ignore[arg-type]


def test_datagram_too_short_for_tcp() -> None:
    """A datagram that ends inside the TCP header by its own length is no cut of the capture."""
    packet = peeled(patched(V4 / DATA, 2, 30))
    assert packet == Undecoded((0, 0, 1), "tcp", 20, 20, 10, "packet ends inside the header")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(segleft=0) / IPv6ExtHdrDestOpt(),
        IPv6ExtHdrFragment(offset=0, m=0),
        AH(spi=1, seq=1, payloadlen=4, icv=b"x" * 12),
    ],
)
def test_extension_headers(headers: Packet) -> None:
    """TCP behind extension headers is found, with its checksum."""
    head = V6 / headers
    head.lastlayer().nh = 6
    assert segment_of(peeled(head / DATA)).length == 5


def test_routing_header_on_its_way() -> None:
    """With segments left the checksum covers another destination: it is not judged."""
    segment = segment_of(peeled(V6 / IPv6ExtHdrRouting(addresses=["fd00::9"], segleft=1) / DATA))
    assert segment.checksum_ok is None
    assert segment.destination == "fd00::2"


def test_authentication_header_behind_ipv4() -> None:
    """An authentication header leaves TCP in the clear; the encrypted payload of IPsec is counted."""
    ah = AH(nh=6, spi=1, seq=1, payloadlen=4, icv=b"x" * 12)
    segment_of(peeled(V4 / ah / DATA))
    packet = peeled(V4 / ah, snap=30)
    assert isinstance(packet, Undecoded)
    assert (packet.layer, packet.needed, packet.got) == ("ah", 24, 10)
    packet = peeled(V4 / ah, snap=24)
    assert isinstance(packet, Undecoded)
    assert (packet.layer, packet.needed, packet.got) == ("ah", 8, 4)
    other = peeled(V4 / ESP(spi=1, seq=1) / Raw(b"x" * 40))
    assert isinstance(other, Other)
    assert other.what == "esp"


def test_endless_chain() -> None:
    """A chain of extension headers is followed for a bounded number, then undecoded."""
    def chain(length: int) -> bytes:
        return bytes(IPv6(src="fd00::1", dst="fd00::2", hlim=61, nh=60) / Raw(b"\x3c" + bytes(7)))[:40] + (
            (b"\x3c" + bytes(7)) * (length - 1) + b"\x06" + bytes(7) + bytes(DATA)
        )

    def sized(raw: bytes) -> bytes:
        return raw[:4] + (len(raw) - 40).to_bytes(2, "big") + raw[6:]

    for length in (1, 15):
        assert isinstance(peeled(sized(chain(length))), Segment | Undecoded)
        assert segment_of(peeled(sized(chain(length)))).length == 5
    packet = peeled(sized(chain(2000)))
    assert isinstance(packet, Undecoded)
    assert packet.reason == "more than 16 extension headers"
    packet = peeled(sized(chain(3)), limits=PeelLimits(extension_headers=2))
    assert isinstance(packet, Undecoded)


@pytest.mark.parametrize(
    ("headers", "layer"),
    [
        (IPv6ExtHdrHopByHop(options=[]), "ipv6-extension"),
        (IPv6ExtHdrFragment(offset=0, m=0, nh=6), "ipv6-fragment"),
        (AH(nh=6, spi=1, seq=1, payloadlen=4, icv=b"x" * 12), "ah"),
    ],
)
def test_cut_extension_headers(headers: Packet, layer: str) -> None:
    """A frame cut inside an extension header is undecoded with numbers that fit."""
    raw = bytes(V6 / headers / DATA)
    for snap in range(40, 40 + len(bytes(headers))):
        packet = peeled(raw, snap=snap)
        assert isinstance(packet, Undecoded)
        assert (packet.layer, packet.offset, packet.got) == (layer, 40, snap - 40)
        assert packet.needed > packet.got


@pytest.mark.parametrize(
    ("number", "what"),
    [(2, "igmp"), (50, "esp"), (89, "ip-proto-89"), (132, "sctp"), (59, "ip-proto-59"), (255, "ip-proto-255")],
)
def test_other_protocols(number: int, what: str) -> None:
    """Other IP protocols are counted by name or number."""
    for packet in (IP(proto=number) / Raw(bytes(20)), IPv6(nh=number) / Raw(bytes(20))):
        other = peeled(packet)
        assert isinstance(other, Other)
        assert other.what == what


def test_cross_protocols() -> None:
    """ICMP belongs to its version: the other one is counted, never decoded as if it were its own."""
    for packet in (IP(proto=58) / Raw(bytes(40)), IPv6(nh=1) / Raw(b"\x03" + bytes(60))):
        other = peeled(packet)
        assert isinstance(other, Other)
        assert other.what == "icmp"
