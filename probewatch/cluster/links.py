"""Links, addresses and the namespaces behind veth pairs, as netlink tells them (rtnetlink(7)), in the namespace of the calling thread.

A veth's other end is named by its index (IFLA_LINK) and by the number that this namespace has for the other one
(IFLA_LINK_NETNSID, RTM_GETNSID). The kernel gives such numbers as links are moved, so a namespace whose veth ends here
has one.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from probewatch.model.frame import HostLink

LOCAL_SCOPES: Final = (253, 254)
"""RT_SCOPE_LINK and RT_SCOPE_HOST: addresses that nobody elsewhere sees."""
OUTWARD: Final = ("veth", "macvlan", "ipvlan")
"""Kinds of links that join a Pod's namespace to its node's."""
_NOT_ASSIGNED: Final = 0xFFFFFFFF
"""NETNSA_NSID_NOT_ASSIGNED, as pyroute2 reads it: without its sign."""
_GROUPS: Final = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of a namespace."""

    index: int
    name: str
    kind: str = ""
    """`veth`, `bridge`, `vxlan`, ...; empty for hardware and loopback."""
    up: bool = True
    mac: str = ""
    addresses: tuple[str, ...] = ()
    peer: int = 0
    """Index of its other end, 0 for none."""
    namespace: int | None = None
    """This namespace's number of the one that holds the other end; None where that is here, or unknown."""


def links() -> list[Link]:
    """Return the links of this thread's namespace, in the order of their indexes.

    Raises:
        OSError: netlink says no.
    """
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        addresses: dict[int, list[str]] = {}
        for one in netlink.get_addr():
            address = one.get("local") or one.get("address")
            if address and one["scope"] not in LOCAL_SCOPES:
                addresses.setdefault(one["index"], []).append(address)
        return sorted((_link(one, addresses) for one in netlink.get_links()), key=lambda link: link.index)


def of_pod(found: Sequence[Link]) -> bool:
    """Say whether these are the links of a Pod's namespace, and not of a node's: all lead out and into the same one, `eth0` among them.

    (That is how every container runtime calls it. A node in a container has one too, and its Pods' links beside it.)
    """
    outside = {link.namespace if link.kind in OUTWARD else None for link in found if link.name != "lo"}
    return len(outside) == 1 and None not in outside and any(link.name == "eth0" for link in found)


def routes(found: Sequence[Link]) -> bool:
    """Say whether these are the links of a namespace that passes packets between them: another node, or a router, and no Pod.

    A Pod's lead out; what forwards between links that lead to several places, or holds a bridge, passes on what is not its own.
    """
    if not _forwards():
        return False
    led = {link.namespace for link in found if link.kind in OUTWARD}
    return len(led) > 1 or any(link.kind == "bridge" for link in found)


def _forwards() -> bool:
    """Say whether this thread's namespace forwards, in either family."""
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        try:
            if Path("/proc/sys/net", path).read_text(encoding="ascii").strip() not in ("0", ""):
                return True
        except OSError:
            continue
    return False


def host_links(found: Sequence[Link]) -> tuple[HostLink, ...]:
    """Return of links what is kept with a capture: their addresses too where they are a node's."""
    inside = of_pod(found)
    return tuple(HostLink(link.index, link.name, () if inside else link.addresses) for link in found)


def _link(one: Any, addresses: dict[int, list[str]]) -> Link:
    info = one.get("linkinfo")
    return Link(
        index=one["index"],
        name=one.get("ifname") or "",
        kind=(info.get("kind") if info is not None else None) or "",
        up=one.get("state") == "up",
        mac=one.get("address") or "",
        addresses=tuple(addresses.get(one["index"], ())),
        peer=one.get("link") or 0,
        namespace=one.get("link_netnsid"),
    )


def namespace_numbers(paths: Iterable[str]) -> dict[str, int | None]:
    """Return the number that this thread's namespace has for each of these namespace files; None for one never joined by a link.

    Those of which that cannot be told are left out. A number is given when links are listed, too (`links`).

    Raises:
        OSError: netlink says no.
    """
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    out: dict[str, int | None] = {}
    with IPRoute() as netlink:
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                said = netlink.get_netnsid(fd=descriptor)
            except NetlinkError:
                continue
            finally:
                os.close(descriptor)
            number = said.get("nsid") if isinstance(said, dict) else None
            if isinstance(number, int):
                out[path] = number if number != _NOT_ASSIGNED else None
    return out


class LinkWatch:
    """Says when links or addresses of this thread's namespace come or go: what was looked up then is to be looked up anew."""

    def __init__(self) -> None:
        """Begin to watch.

        Raises:
            OSError: netlink says no.
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something changed."""
        return self._socket.fileno()

    def changed(self, timeout_s: float = 0.0) -> bool:
        """Return whether something changed since the last call, waiting so long for it."""
        select.select([self._socket], [], [], max(timeout_s, 0.0))
        seen = False
        while True:
            try:
                seen = bool(self._socket.recv(65_536)) or seen
            except BlockingIOError:
                return seen
            except OSError:  # the kernel had no room: something surely did
                seen = True

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()
