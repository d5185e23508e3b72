"""Addresses, networks and times as Kubernetes writes them, brought to one form; pure functions.

Addresses come out as inet_ntop(3) prints them (the form that `wire` reads from packets), without zone or brackets.
Times come out as nanoseconds since 1970.
"""

from __future__ import annotations

import calendar
import ipaddress
import re
import socket
from datetime import UTC, datetime
from typing import Final

from probewatch.model.book import NodeAddress
from probewatch.model.units import SECOND

from .errors import shown

ADDRESS_LIMIT: Final = 100
"""Characters; the longest IPv6 address with a zone (IFNAMSIZ) is far shorter."""

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def address_of(text: str) -> str | None:
    """Return an IPv4 or IPv6 address in inet_ntop's form, or None where `text` is no address."""
    bare = text.strip().partition("%")[0]
    if len(bare) > ADDRESS_LIMIT:
        return None
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return None
    # Python before 3.13 prints ::ffff:a00:1 where inet_ntop prints ::ffff:10.0.0.1.
    return socket.inet_ntop(socket.AF_INET if parsed.version == 4 else socket.AF_INET6, parsed.packed)


def host_of(cidr: str, number: int) -> str | None:
    """Return the n-th host address of a network (1 is base + 1), or None where it is no network or has no such host."""
    if len(cidr) > ADDRESS_LIMIT:
        return None
    try:
        network = ipaddress.ip_network(cidr.strip(), strict=False)
    except ValueError:
        return None
    if network.num_addresses < number + 2:
        return None
    return address_of(str(network[number]))


def gateway_of(subnet: str) -> str | None:
    """Return an OpenShift SDN node's own address in its pod subnet, the base with its last bit set (sdn GenerateDefaultGateway)."""
    if len(subnet) > ADDRESS_LIMIT:
        return None
    try:
        network = ipaddress.ip_network(subnet.strip(), strict=False)
    except ValueError:
        return None
    return address_of(str(type(network.network_address)(int(network.network_address) | 1)))


def time_ns(text: str) -> int | None:
    """Return an RFC 3339 time in nanoseconds since 1970; None for Go's zero time and others before 1970; else ValueError."""
    found = instant(text)
    return found if found >= 0 else None


def instant(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds since 1970; ValueError where it is none."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"expected a time as 2026-01-31T12:00:00Z, got {shown(text)}")
    day, clock, fraction, _, sign, hours, minutes = match.groups()
    try:
        moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"expected a time that exists, got {shown(text)}") from None
    if sign and (int(hours) > 23 or int(minutes) > 59):
        raise ValueError(f"expected a time that exists, got {shown(text)}")
    seconds = calendar.timegm(moment.timetuple())
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * SECOND + int((fraction or "0").ljust(9, "0"))


def parse_node_ip(text: str) -> NodeAddress:
    """Return what `--node-ip [NAME=]ADDR` says; ValueError with a plain sentence where it says nothing."""
    name, equals, address = text.rpartition("=")
    known = address_of(address)
    if known is None:
        raise ValueError(
            f"{shown(address)} is not an IPv4 or IPv6 address; write --node-ip 192.0.2.1 or --node-ip NAME=192.0.2.1"
        )
    name = name.strip()
    if equals and not _NODE_NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not a node name; write --node-ip NAME={known}, or --node-ip {known} without a name"
        )
    return NodeAddress(address=known, node=name, source="--node-ip", rank=1)
