"""ICMP errors that quote TCP segments."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import GRE
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import IcmpError, Other, Undecoded
from probewatch.wire.peel import Peeler

TCP4 = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=8080, seq=99, flags="S")
TCP6 = IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=40000, dport=8080, seq=99, flags="S")
ABOUT = (40000, 8080, 99)


def peeled(packet: Packet | bytes, snap: int | None = None) -> object:
    """Peel a raw IP packet."""
    data = bytes(packet)
    return Peeler().peel(Frame(0, 0, 1, 0, 101, data[:snap], len(data)))


def about(packet: object) -> tuple[int, int, int]:
    """Return ports and sequence number of the segment that an error is about."""
    assert isinstance(packet, IcmpError)
    return packet.source_port, packet.destination_port, packet.seq


def test_ipv4_error() -> None:
    """An ICMP error tells its reporter, type, code, and the segment it is about."""
    error = peeled(IP(src="10.9.9.9", dst="10.0.0.1") / ICMP(type=3, code=13) / TCP4)
    assert isinstance(error, IcmpError)
    assert (error.reporter, error.version, error.type, error.code, error.mtu) == ("10.9.9.9", 4, 3, 13, 0)
    assert (error.source, error.destination) == ("10.0.0.1", "10.0.0.2")
    assert about(error) == ABOUT


def test_ipv6_error() -> None:
    """An ICMPv6 error tells the same."""
    error = peeled(IPv6(src="fd00::9", dst="fd00::1") / ICMPv6DestUnreach(code=1) / TCP6)
    assert isinstance(error, IcmpError)
    assert (error.reporter, error.version, error.type, error.code, error.mtu) == ("fd00::9", 6, 1, 1, 0)
    assert (error.source, error.destination) == ("fd00::1", "fd00::2")
    assert about(error) == ABOUT


def test_next_hop_mtu() -> None:
    """`fragmentation needed` and `packet too big` tell the MTU of the next hop."""
    for packet in (
        IP(src="10.9.9.9", dst="10.0.0.1") / ICMP(type=3, code=4, nexthopmtu=1400) / TCP4,
        IPv6(src="fd00::9", dst="fd00::1") / ICMPv6PacketTooBig(mtu=1400) / TCP6,
    ):
        error = peeled(packet)
        assert isinstance(error, IcmpError)
        assert error.mtu == 1400


@pytest.mark.parametrize(
    "quote",
    [
        IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_NOP()] * 4) / TCP4[TCP],
        IP(src="10.8.0.1", dst="10.8.0.2", proto=4) / TCP4,
        IP(src="10.8.0.1", dst="10.8.0.2", proto=41) / TCP6,
        IP(src="10.0.0.1", dst="10.0.0.2", flags="MF") / TCP4[TCP],
    ],
)
def test_quote_behind_options_and_tunnels(quote: Packet) -> None:
    """The quoted TCP header is found behind IP options, inside IP in IP, and in a first fragment."""
    assert about(peeled(IP(src="10.9.9.9") / ICMP(type=11) / quote)) == ABOUT


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(),
        IPv6ExtHdrFragment(offset=0, m=1),
    ],
)
def test_quote_behind_extension_headers(headers: Packet) -> None:
    """The quoted TCP header is found behind IPv6 extension headers."""
    quote = IPv6(src="fd00::1", dst="fd00::2") / headers / TCP6[TCP]
    assert about(peeled(IPv6(src="fd00::9", dst="fd00::1") / ICMPv6DestUnreach() / quote)) == ABOUT


@pytest.mark.parametrize(
    ("quote", "needed"),
    [
        (bytes(IP(proto=4)), 40),
        (bytes(IP(proto=41)) + b"\x60" + bytes(20), 60),
        (bytes(IPv6(nh=0)) + bytes(4), 48),
        (bytes(IPv6(nh=6)) + bytes(3), 44),
    ],
)
def test_quotes_that_end_too_early(quote: bytes, needed: int) -> None:
    """A quote without ports is plain ICMP if that is all there was, and undecoded if the capture cut it."""
    raw = bytes(IP() / ICMP(type=3, code=1) / Raw(quote))
    assert isinstance(peeled(raw), Other)
    cut = Peeler().peel(Frame(0, 0, 1, 0, 101, raw, len(raw) + 20))
    assert isinstance(cut, Undecoded)
    assert (cut.layer, cut.offset, cut.needed, cut.got) == ("icmp-quote", 28, needed, len(quote))


def test_endless_quotes() -> None:
    """Endless tunnels and endless extension headers in a quote end as plain ICMP."""
    for quote in (bytes(IP(proto=4)) * 9, bytes(IPv6(nh=60)) + (b"\x3c" + bytes(7)) * 40, bytes(IPv6(nh=51)) + bytes(20)):
        assert isinstance(peeled(IP() / ICMP(type=3, code=1) / Raw(quote)), Other)
    ah = bytes(IPv6(src="fd00::1", dst="fd00::2", nh=51)) + b"\x06\x04" + bytes(22) + bytes(TCP6[TCP])
    assert about(peeled(IPv6() / ICMPv6DestUnreach() / Raw(ah))) == ABOUT


def test_shortest_quotes() -> None:
    """Eight bytes of TCP tell the sequence number, four only the ports, fewer are no TCP quote."""
    for kept, expected in ((8, ABOUT), (7, (40000, 8080, -1)), (4, (40000, 8080, -1))):
        quote = Raw(bytes(TCP4)[: 20 + kept])
        assert about(peeled(IP(src="10.9.9.9") / ICMP(type=3, code=1) / quote)) == expected
    for kept in (0, 10, 20, 23):
        other = peeled(IP(src="10.9.9.9") / ICMP(type=3, code=1) / Raw(bytes(TCP4)[:kept]))
        assert isinstance(other, Other)


def test_error_inside_a_tunnel() -> None:
    """An error that travels in a tunnel is an error, and its lane names the tunnel."""
    inner = IP(src="10.9.9.9", dst="10.0.0.1") / ICMP(type=3, code=1) / TCP4
    error = peeled(IP(src="192.0.2.1", dst="192.0.2.2") / GRE() / inner)
    assert isinstance(error, IcmpError)
    assert (error.lane.tunnel, error.lane.outer_source) == ("gre", "192.0.2.1")


@pytest.mark.parametrize(
    "packet",
    [
        IP() / ICMP(type=8),
        IP() / ICMP(type=5, gw="10.0.0.9") / TCP4,
        IP() / ICMP(type=3) / IP() / UDP() / Raw(b"x"),
        IP() / ICMP(type=3) / IP(frag=100) / Raw(bytes(20)),
        IP() / ICMP(type=3) / Raw(b"\x95" * 40),
        IPv6() / ICMPv6EchoRequest(),
        IPv6() / ICMPv6DestUnreach() / IPv6() / UDP() / Raw(b"x"),
        IPv6() / ICMPv6DestUnreach() / IPv6() / IPv6ExtHdrFragment(offset=9, nh=6) / Raw(bytes(20)),
    ],
)
def test_other_icmp(packet: Packet) -> None:
    """Echo, redirects and errors about other things than TCP are counted as ICMP."""
    other = peeled(packet)
    assert isinstance(other, Other)
    assert other.what == "icmp"


@pytest.mark.parametrize(
    ("packet", "size"), [(IP() / ICMP(type=3) / TCP4, 20), (IPv6() / ICMPv6DestUnreach() / TCP6, 40)]
)
def test_cut_quotes(packet: Packet, size: int) -> None:
    """A frame cut before the quoted ports is undecoded, with numbers that fit; cut later, it is an error."""
    whole = bytes(packet)
    for snap in range(size, len(whole)):
        result = peeled(whole, snap)
        if snap >= 2 * size + 8 + 4:
            assert isinstance(result, IcmpError)
        else:
            assert isinstance(result, Undecoded)
            assert result.needed > result.got == snap - result.offset
