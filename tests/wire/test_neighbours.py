"""ARP and Neighbour Discovery messages."""

from __future__ import annotations

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from probewatch.model.frame import Frame
from probewatch.wire.packets import Neighbour, Other, Undecoded
from probewatch.wire.peel import Peeler

A, B, ZERO = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "00:00:00:00:00:00"
RAW_A, RAW_B = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")


def peeled(packet: Packet, snap: int | None = None) -> object:
    """Peel a scapy packet in an Ethernet frame."""
    data = bytes(packet)
    return Peeler().peel(Frame(0, 0, 1, 0, 1, data[:snap], len(data)))


def told(packet: object) -> tuple[bool, str, str, bytes]:
    """Return what a neighbour message says."""
    assert isinstance(packet, Neighbour)
    return packet.request, packet.asker, packet.target, packet.mac


def arp(op: int, asker: str, target: str) -> Packet:
    """Return an ARP message from A."""
    return Ether(src=A, dst=B) / ARP(op=op, hwsrc=A, psrc=asker, hwdst=ZERO, pdst=target)


def test_arp() -> None:
    """Who-has names who asks and for whom; is-at names whose hardware address it tells, and to whom."""
    assert told(peeled(arp(1, "10.0.0.1", "10.0.0.2"))) == (True, "10.0.0.1", "10.0.0.2", RAW_A)
    assert told(peeled(arp(2, "10.0.0.2", "10.0.0.1"))) == (False, "10.0.0.1", "10.0.0.2", RAW_A)


def test_arp_without_question() -> None:
    """An announcement asks nothing, as request or as reply; a duplicate address probe asks with 0.0.0.0."""
    for op in (1, 2):
        assert told(peeled(arp(op, "10.0.0.1", "10.0.0.1"))) == (False, "10.0.0.1", "10.0.0.1", RAW_A)
    assert told(peeled(arp(1, "0.0.0.0", "10.0.0.1"))) == (True, "0.0.0.0", "10.0.0.1", RAW_A)


@pytest.mark.parametrize("fields", [{"op": 3}, {"ptype": 0x86DD}, {"plen": 16}])
def test_arp_of_other_kinds(fields: dict[str, int]) -> None:
    """Reverse ARP and ARP for other protocols than IPv4 are counted, not decoded."""
    raw = bytearray(bytes(arp(1, "10.0.0.1", "10.0.0.2")))
    for name, value in fields.items():
        raw[{"op": 21, "ptype": 17, "plen": 19}[name]] = value & 0xFF
    packet = Peeler().peel(Frame(0, 0, 1, 0, 1, bytes(raw), len(raw)))
    assert isinstance(packet, Other)
    assert packet.what == "arp"


def test_arp_over_other_hardware() -> None:
    """The hardware address may have any length, as over InfiniBand."""
    hardware = bytes(range(20))
    body = b"\x00\x20\x08\x00\x14\x04\x00\x01" + hardware + b"\x0a\0\0\1" + bytes(20) + b"\x0a\0\0\2"
    packet = peeled(Ether(src=A, dst=B, type=0x0806) / Raw(body))
    assert told(packet) == (True, "10.0.0.1", "10.0.0.2", hardware)


def test_cut_messages() -> None:
    """A message cut short is undecoded, and says how much it needed."""
    cut = peeled(arp(1, "10.0.0.1", "10.0.0.2"), snap=40)
    assert isinstance(cut, Undecoded)
    assert (cut.layer, cut.offset, cut.needed, cut.got) == ("arp", 14, 28, 26)
    message = Ether(src=A, dst=B) / IPv6(src="fd00::1", dst="fd00::2", hlim=255) / ICMPv6ND_NS(tgt="fd00::2")
    cut = peeled(message, snap=70)
    assert isinstance(cut, Undecoded)
    assert (cut.layer, cut.offset, cut.needed, cut.got) == ("nd", 54, 24, 16)


def test_neighbour_discovery() -> None:
    """Solicitation and advertisement say the same things as who-has and is-at."""
    ns = Ether(src=A, dst=B) / IPv6(src="fd00::1", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt="fd00::2")
    na = Ether(src=B, dst=A) / IPv6(src="fd00::2", dst="fd00::1", hlim=255) / ICMPv6ND_NA(tgt="fd00::2")
    assert told(peeled(ns / ICMPv6NDOptSrcLLAddr(lladdr=B))) == (True, "fd00::1", "fd00::2", RAW_B)
    assert told(peeled(na / ICMPv6NDOptDstLLAddr(lladdr=A))) == (False, "fd00::1", "fd00::2", RAW_A)
    assert told(peeled(ns)) == (True, "fd00::1", "fd00::2", RAW_A)
    assert told(peeled(na / Raw(b"\2\0" + bytes(6)))) == (False, "fd00::1", "fd00::2", RAW_B)


def test_duplicate_address_probe() -> None:
    """A duplicate address probe asks with the unspecified address."""
    probe = Ether(src=A, dst=B) / IPv6(src="::", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt="fd00::2")
    assert told(peeled(probe)) == (True, "::", "fd00::2", RAW_A)


def test_discovery_that_was_routed_is_ignored() -> None:
    """A message that came through a router cannot speak for a neighbour; other discovery is plain ICMP."""
    routed = Ether(src=A, dst=B) / IPv6(src="fd00::1", dst="fd00::2", hlim=254) / ICMPv6ND_NS(tgt="fd00::2")
    for packet in (routed, Ether(src=A, dst=B) / IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA()):
        other = peeled(packet)
        assert isinstance(other, Other)
        assert other.what == "icmp"
