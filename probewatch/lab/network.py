"""The cluster's network: OpenShift's shape, in network namespaces of our own.

    node   eth0 192.168.10.11   tun0 10.128.0.1/23  fd01:0:0:1::1/64   pods 10.128.0.10 ...
      |
      | VXLAN 1 over UDP 4789 (vxlan_sys_4789)
      |
    node2  eth0 192.168.10.12   tun0 10.128.2.1/23  fd01:0:0:2::1/64   pods 10.128.2.10 ...

A pod is a namespace whose `eth0` is one end of a veth pair; the other end, `veth` and the pod's name, is a port of the
node's `tun0`.

What is unlike OpenShift: `tun0` is a Linux bridge with the gateway's addresses, where OpenShift SDN has a port of Open
vSwitch; and a pod knows only the gateway (a /32 or /128 and a default route), so that what a Service's DNAT has changed
comes back through the node and is changed back, which Open vSwitch does with flows. Pods therefore see each other's
packets with TTL 63 and the kubelet's with 64.

Requires CAP_SYS_ADMIN (namespaces) and CAP_NET_ADMIN (links in them).
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probewatch.capture.netns import inside
from probewatch.capture.privilege import lacking

from .namespaces import create, descriptor, netlink
from .state import LabError, State

if TYPE_CHECKING:
    from collections.abc import Callable

GATEWAY: Final = "tun0"
"""The node's interface on the pod network."""
VXLAN: Final = "vxlan_sys_4789"
_VXLAN_PORT: Final = 4789
NODES: Final = ("node", "node2")
"""Namespaces of the nodes, in the order of their subnets."""
FIRST_POD: Final = 10
SERVICES: Final = ("172.30.0.10", "fd02::10")
"""The address of the first Service; the next ones follow."""
_SYSCTLS: Final = {
    # a router between its pods, that does not tell them of a shorter way
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    # every REJECT is heard, where a node in life would send one a second
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv6/icmp/ratelimit": "0",
    # addresses are usable at once
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_ra": "0",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one pod is."""

    name: str
    node: int
    """0 or 1."""
    number: int
    """The last part of its addresses."""

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return f"10.128.{2 * self.node}.{self.number}"

    @property
    def address6(self) -> str:
        """Its IPv6 address: the number is written in decimal digits, so that both families look alike."""
        return f"fd01:0:0:{self.node + 1}::{self.number}"

    @property
    def link(self) -> str:
        """Its interface as the node sees it; Linux allows 15 characters."""
        return f"veth{self.name}"[:15]


def gateways(node: int) -> tuple[str, str]:
    """Return the addresses that a node's kubelet probes from, IPv4 and IPv6."""
    return f"10.128.{2 * node}.1", f"fd01:0:0:{node + 1}::1"


def underlay(node: int) -> str:
    """Return a node's address among nodes."""
    return f"192.168.10.{11 + node}"


@dataclass(slots=True)
class Cluster:
    """The namespaces of one run."""

    state: State
    places: dict[str, Place] = field(default_factory=dict)

    def netns(self, name: str) -> str:
        """Return the namespace's name of a pod, `node` or `node2`."""
        return self.state.namespace(name)

    def node(self, second: bool = False) -> None:
        """Make a node, the second one joined to the first by VXLAN.

        Raises:
            LabError: it may not be made, or the kernel lacks something.
        """
        number = int(second)
        name = self.netns(NODES[number])
        _made(lambda: self._node(name, number))
        if second:
            _made(self._join)

    def pod(self, place: Place) -> None:
        """Make a pod on a node that there is.

        Raises:
            LabError: as `node`.
        """
        self.places[place.name] = place
        _made(lambda: self._pod(place))

    def _node(self, name: str, number: int) -> None:
        _create(name)
        with netlink(name) as ip:
            # without snooping: it would hold neighbour solicitations back until hosts have reported their groups
            ip.link("add", ifname=GATEWAY, kind="bridge", br_mcast_snooping=0)
            bridge = _index(ip, GATEWAY)
            address, address6 = gateways(number)
            ip.link("set", index=bridge, state="up")
            ip.addr("add", index=bridge, address=address, prefixlen=23)
            ip.addr("add", index=bridge, address=address6, prefixlen=64, flags=NODAD)

    def _join(self) -> None:
        """Lay a cable between the nodes and a tunnel through it; each routes the other's pods into the tunnel."""
        first, second = (self.netns(name) for name in NODES)
        with netlink(first) as ip, descriptor(second) as other:
            ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": other})
        for number, name in enumerate((first, second)):
            there = 1 - number
            with netlink(name) as ip:
                eth0 = _index(ip, "eth0")
                ip.addr("add", index=eth0, address=underlay(number), prefixlen=24)
                ip.link("set", index=eth0, state="up")
                ip.link(
                    "add",
                    ifname=VXLAN,
                    kind="vxlan",
                    vxlan_id=1,
                    vxlan_group=underlay(there),
                    vxlan_port=_VXLAN_PORT,
                    vxlan_link=eth0,
                )
                tunnel = _index(ip, VXLAN)
                ip.link("set", index=tunnel, state="up")
                address, _ = gateways(there)
                here, here6 = gateways(number)
                ip.route("add", dst=f"{address}/32", oif=tunnel, scope=_LINK, prefsrc=here)
                ip.route("add", dst=f"10.128.{2 * there}.0/23", gateway=address, oif=tunnel, prefsrc=here)
                # a neighbour answers only for addresses of the interface that was asked (RFC 4861 section 7.2.3)
                ip.addr("add", index=tunnel, address=f"fe80::{number + 1}", prefixlen=64, flags=NODAD)
                subnet = f"fd01:0:0:{there + 1}::/64"
                ip.route("add", family=_INET6, dst=subnet, gateway=f"fe80::{there + 1}", oif=tunnel, prefsrc=here6)

    def _pod(self, place: Place) -> None:
        name, node = self.netns(place.name), self.netns(NODES[place.node])
        _create(name)
        with netlink(node) as ip, descriptor(name) as inner:
            ip.link("add", ifname=place.link, kind="veth", peer={"ifname": "eth0", "net_ns_fd": inner})
            port = _index(ip, place.link)
            ip.link("set", index=port, master=_index(ip, GATEWAY))
            ip.link("set", index=port, state="up")
        with netlink(name) as ip:
            eth0 = _index(ip, "eth0")
            ip.link("set", index=eth0, state="up")
            ip.addr("add", index=_index(ip, "lo"), address=PASSED_THROUGH, prefixlen=128, flags=NODAD)
            ip.addr("add", index=eth0, address=place.address, prefixlen=32)
            ip.addr("add", index=eth0, address=place.address6, prefixlen=128, flags=NODAD)
            address, address6 = gateways(place.node)
            ip.route("add", dst=f"{address}/32", oif=eth0, scope=_LINK)
            ip.route("add", dst="0.0.0.0/0", gateway=address, oif=eth0)
            ip.route("add", family=_INET6, dst=f"{address6}/128", oif=eth0)
            ip.route("add", family=_INET6, dst="::/0", gateway=address6, oif=eth0)


PASSED_THROUGH: Final = "::6"
"""From where a mesh's agent asks the application (istio-iptables puts it on `lo`; 127.0.0.6 is there as all of 127.0.0.0/8)."""
NODAD: Final = 0x02
"""IFA_F_NODAD: the address is usable at once."""
_LINK: Final = 253
"""RT_SCOPE_LINK: the destination is on the link."""
_INET6: Final = 10


def _create(name: str) -> None:
    """Make a namespace with its own sysctls and `lo` up."""
    create(name)
    inside(name, lambda: set_sysctls(_SYSCTLS))
    with netlink(name) as ip:
        ip.link("set", index=_index(ip, "lo"), state="up")


def _index(ip: Any, name: str) -> int:
    found = ip.link_lookup(ifname=name)
    if not found:
        raise LabError(f"interface {name} was not made")
    return int(found[0])


def set_sysctls(values: dict[str, str]) -> None:
    """Write sysctls of the namespace that the calling thread is in; one that this kernel lacks is passed over."""
    for name, value in values.items():
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text(value, encoding="ascii")


def _made(work: Callable[[], None]) -> None:
    """Do it, and say what is missing where it may not be done."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        work()
    except NetlinkError as error:
        raise LabError(_refusal(error.code, str(error.args[1] if len(error.args) > 1 else error))) from None
    except OSError as error:
        raise LabError(_refusal(error.errno or 0, error.strerror or str(error))) from None


def _refusal(code: int, text: str) -> str:
    if code in (errno.EPERM, errno.EACCES):
        return f"network namespaces cannot be made here: this needs {missing_capabilities() or 'privileges'} (run it as root)"
    if code in (errno.EOPNOTSUPP, errno.ENODEV):
        return f"this kernel lacks what the laboratory is made of, bridge, veth or vxlan ({text.lower()})"
    return f"the laboratory's network cannot be made: {text.lower()}"


_NEEDED: Final = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW")


def missing_capabilities() -> str:
    """Return the capabilities that this process lacks, in words; empty where it has all."""
    without = lacking(_NEEDED)
    return " and ".join([", ".join(without[:-1]), without[-1]] if len(without) > 1 else without)


def require_privileges() -> None:
    """Raise LabError, one sentence, where the laboratory cannot be built by this user."""
    without = missing_capabilities()
    if without:
        who = "an ordinary user" if os.geteuid() else "this process"
        raise LabError(f"the laboratory makes network namespaces, and {who} lacks {without}: run it as root")
