"""Addresses, networks, times and `--node-ip`."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.cluster import parse_node_ip
from probewatch.cluster.addresses import address_of, gateway_of, host_of, time_ns
from probewatch.model.book import NodeAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.128.0.1", "10.128.0.1"),
        (" 10.128.0.1 ", "10.128.0.1"),
        ("FD00:0:0::0001", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
        ("10.0.0.256", None),
        ("010.0.0.1", None),
        ("node-a", None),
        ("", None),
        ("1" * 1000, None),
    ],
)
def test_address(text: str, address: str | None) -> None:
    """An address has one form, inet_ntop's; anything else is none."""
    assert address_of(text) == address


@given(st.ip_addresses(v=6))
def test_ipv6_as_inet_ntop(address: object) -> None:
    """The form of an IPv6 address equals the one that packets are printed with."""
    packed = socket.inet_pton(socket.AF_INET6, str(address))

    assert address_of(str(address)) == socket.inet_ntop(socket.AF_INET6, packed)


@pytest.mark.parametrize(
    ("cidr", "number", "host"),
    [
        ("10.128.0.0/23", 1, "10.128.0.1"),
        ("10.128.0.0/23", 2, "10.128.0.2"),
        ("10.128.1.77/23", 1, "10.128.0.1"),
        ("fd01:0:0:1::/64", 2, "fd01:0:0:1::2"),
        ("10.0.0.4/32", 1, None),
        ("10.0.0.4/31", 1, None),
        ("fd00::1/128", 1, None),
        ("junk", 1, None),
    ],
)
def test_host_of_network(cidr: str, number: int, host: str | None) -> None:
    """The n-th host counts from the network's base; a network without such a host gives none."""
    assert host_of(cidr, number) == host


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [("10.128.2.0/23", "10.128.2.1"), ("10.129.0.64/26", "10.129.0.65"), ("fd02::/64", "fd02::1"), ("x", None)],
)
def test_sdn_gateway(subnet: str, gateway: str | None) -> None:
    """OpenShift SDN's gateway is the subnet's base with the last bit set."""
    assert gateway_of(subnet) == gateway


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-22T20:43:11Z", 1795380191_000000000),
        ("2026-11-22T20:43:11.000000001Z", 1795380191_000000001),
        ("2026-11-22T20:43:11.5+02:00", 1795372991_500000000),
        ("2026-11-22T15:13:11-05:30", 1795380191_000000000),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_time(text: str, ns: int | None) -> None:
    """RFC 3339 times become nanoseconds, exactly; Go's zero time means no time."""
    assert time_ns(text) == ns


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1)))  # noqa: DTZ001 -- made aware below
def test_time_as_datetime(moment: datetime) -> None:
    """Any time Kubernetes can write is read as the calendar has it."""
    aware = moment.replace(tzinfo=UTC)

    whole = int(aware.replace(microsecond=0).timestamp())
    assert time_ns(aware.isoformat()) == whole * 1_000_000_000 + aware.microsecond * 1000


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30T00:00:00Z", "2026-11-22T20:43:11", "2026-11-22", "2026-11-22T25:00:00Z", "2026-11-22T20:00:00+99:99"],
)
def test_no_time(text: str) -> None:
    """What is no RFC 3339 time is refused with the text shown."""
    with pytest.raises(ValueError, match="expected a time"):
        time_ns(text)


def test_node_ip() -> None:
    """`--node-ip` takes an address, with or without the node's name, IPv4 and IPv6."""
    assert parse_node_ip("10.0.0.1") == NodeAddress(address="10.0.0.1", node="", source="--node-ip", rank=1)
    assert parse_node_ip("node-a=FD00::1") == NodeAddress(address="fd00::1", node="node-a", source="--node-ip", rank=1)
    assert parse_node_ip("ip-10-0-0-1.ec2.internal=[fd00::1]").node == "ip-10-0-0-1.ec2.internal"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", '"" is not an IPv4 or IPv6 address'),
        ("node-a", '"node-a" is not an IPv4 or IPv6 address'),
        ("node-a=", "is not an IPv4 or IPv6 address"),
        ("=10.0.0.1", '"" is not a node name; write --node-ip NAME=10.0.0.1'),
        ("a b=10.0.0.1", '"a b" is not a node name'),
        ("10.0.0.0/24", "is not an IPv4 or IPv6 address"),
        ("\x1b[31m", r"\\u001b"),
    ],
)
def test_node_ip_refused(text: str, sentence: str) -> None:
    """A `--node-ip` that says nothing is refused in plain words, and control characters never come back raw."""
    with pytest.raises(ValueError, match=sentence):
        parse_node_ip(text)
