# ruff: noqa: E501 (scripts of packets keep their line)
"""Attempts that went by another link than those before: a route that changed, an address given twice, a gateway that nobody answers for.

Covers `probes.routes` and `probes.neighbours`.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import pytest
from make import NODE, NODE6, POD, POD6, edge, every, frames, ns, probes, spec

from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.frame import CaptureInfo, Frame, Interface
from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.observer import Observer, Settings

BOTH = pytest.mark.parametrize("ends", [(NODE, POD), (NODE6, POD6)], ids=["IPv4", "IPv6"])


def observed(made: Sequence[Frame], pod: str, *names: str) -> list[Diagnosis]:
    """Return the diagnoses of frames of a Pod that is probed once in 10 s, captured at interfaces of these names."""
    declared = PodSpec(source="web.yaml", name="web", addresses=(pod,), containers=(ContainerSpec(name="app", probes=(spec(period_s=10),)),))
    observer = Observer(Settings(book=AddressBook(pods={pod: (declared,)})))
    observer.feed(edge())
    made = sorted(made, key=lambda frame: frame.ns)
    for number, one in enumerate(made, 1):
        observer.feed(one._replace(number=number))
    interfaces = tuple(Interface(index=at, name=name, link_type=1, snaplen=0) for at, name in enumerate(names))
    info = CaptureInfo(path="a.pcapng", format="pcapng", interfaces=interfaces, frames=len(made), first_ns=ns(-20), last_ns=made[-1].ns)
    return [one for probe in observer.finish([info]).probes for one in probe.diagnoses]


def silent(ends: tuple[str, str], starts: Sequence[float]) -> list[tuple[float, str, str]]:
    """Return SYNs that nobody answers."""
    client, server = ends
    between = "[{}]:{} > [{}]:8080" if ":" in client else "{}:{} > {}:8080"
    return [(at, between.format(client, 50_001 + 2 * n, server), "> S") for n, at in enumerate(starts)]


def at_interface(made: Sequence[Frame], begin: float, end: float, interface: int) -> list[Frame]:
    """Return the frames, those of a time at another interface."""
    return [one._replace(interface=interface) if ns(begin) < one.ns < ns(end) else one for one in made]


@BOTH
def test_another_interface_than_those_that_were_answered(ends: tuple[str, str]) -> None:
    """SYNs that leave elsewhere than those of answered attempts show that the route changed; at the same interface, or one like it, they do not."""
    client, server = ends
    made = frames(*probes(every(10, 4), client=client, server=server), *silent(ends, [40, 50]), *probes([60], client=client, server=server))
    (found,) = observed(at_interface(made, 39, 59, 1), server, "vethweb", "eth0")
    assert found.kind == Kind.ROUTE_CHANGED
    assert found.sentence.startswith("The SYN left by eth0; those that were answered went by vethweb")
    assert found.attempts == (5, 6)
    assert [one.kind for one in observed(made, server, "vethweb", "eth0")] == [Kind.SYN_UNANSWERED]
    assert [one.kind for one in observed(at_interface(made, 39, 59, 1), server, "veth1", "veth2")] == [Kind.SYN_UNANSWERED]


@BOTH
def test_an_address_that_two_have(ends: tuple[str, str]) -> None:
    """Answers from one MAC address, another, and the first again are of two machines; a pod that was replaced does not come back."""
    client, server = ends
    made = frames(
        *probes(every(10, 4), client=client, server=server),
        *probes(every(10, 2, 40.0), "503", client=client, server=server),
        *probes([60.0], client=client, server=server),
    )

    def other(begin: float, end: float) -> list[Frame]:
        mine = made[0].data[:6]
        return [
            one._replace(data=one.data[:6] + b"\x02\0\0\0\xbe\xef" + one.data[12:])
            if ns(begin) < one.ns < ns(end) and one.data[6:12] == mine
            else one
            for one in made
        ]

    (found,) = observed(other(39, 59), server, "br0")
    assert found.kind == Kind.DUPLICATE_ADDRESS
    assert "02:00:00:00:be:ef (2 attempts)" in found.sentence
    assert found.attempts == (5, 6)
    assert [one.kind for one in observed(other(39, 99), server, "br0")] == [Kind.SAYS_UNHEALTHY]
    assert [one.kind for one in observed(made, server, "br0")] == [Kind.SAYS_UNHEALTHY]


def asks(seconds: float, asker: str, target: str, mac: bytes = b"") -> Frame:
    """Return an ARP request, or a Neighbour Solicitation."""
    source, wanted = ipaddress.ip_address(asker).packed, ipaddress.ip_address(target).packed
    mac = mac or b"\x02" + source[-5:].rjust(5, b"\0")
    if len(source) == 4:
        data = b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + source + bytes(6) + wanted
    else:
        body = struct.pack("!BBHI", 135, 0, 0, 0) + wanted + b"\x01\x01" + mac
        group = bytes.fromhex("ff0200000000000000000001ff") + wanted[-3:]
        data = b"\x33\x33\xff" + wanted[-3:] + mac + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group + body
    return Frame(ns(seconds), 0, 0, 0, 1, data, len(data))


@pytest.mark.parametrize(("ends", "gateway"), [((NODE, POD), "169.254.1.1"), ((NODE6, POD6), "fe80::1")], ids=["IPv4", "IPv6"])
def test_a_gateway_that_nobody_answers_for(ends: tuple[str, str], gateway: str) -> None:
    """A pod that asks for another address right behind each SYN, in vain, has answers that cannot leave; one that asks at other times may not."""
    server = ends[1]
    made = frames(*silent(ends, every(10, 4)))

    def asking(later: float) -> list[Frame]:
        return [*made, *(asks(at + later + again, server, gateway) for at in every(10, 4) for again in (0, 1, 2))]

    (found,) = observed(asking(0.0001), server, "eth0")
    assert found.kind == Kind.GATEWAY_UNRESOLVED
    assert f"asks for {gateway}" in found.sentence
    answered = frames(*probes([0, 10], client=ends[0], server=server), *silent(ends, [20, 30]))
    for mac, elsewhere in ((b"", False), (b"\x02\0\0\0\xbe\xef", True)):
        asked = [asks(at + 0.0001 + again, server, gateway, mac) for at in (20, 30) for again in (0, 1, 2)]
        (found,) = observed([*answered, *asked], server, "eth0")
        assert found.kind == Kind.GATEWAY_UNRESOLVED
        assert ("another interface" in found.sentence) == ("second network" in found.advice) == elsewhere
    assert [one.kind for one in observed(asking(0.5), server, "eth0")] == [Kind.SYN_UNANSWERED]
    assert [one.kind for one in observed(made, server, "eth0")] == [Kind.SYN_UNANSWERED]


@pytest.mark.parametrize(("at", "tentative"), [(0.4, True), (-0.5, True), (-1.5, False), (3.5, False)])
def test_an_address_that_is_tested_is_tentative(at: float, tentative: bool) -> None:
    """Nobody answers for an IPv6 address within a second of its test for duplicates; of one tested long before that is no reason."""
    waits = [asks(again, NODE6, POD6) for again in (0, 1, 2)]
    (found,) = observed([*waits, asks(at, "::", POD6)], POD6, "cni0")
    assert found.kind == Kind.NOBODY_AT_ADDRESS
    assert ("tentative" in found.sentence) == tentative
