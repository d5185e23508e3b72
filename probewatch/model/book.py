"""The address book: who an address is, and from where we know.

Filled by `cluster` (manifests, cluster dumps, configurations of other checkers, the node itself) and read by `probes`; pure data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .check import CheckSpec
from .frame import HostLink
from .spec import PodSpec
from .units import SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAddress:
    """One address of a node, with the reason why it is one."""

    address: str
    node: str
    """Node name; empty where only the address is known (`--node-ip ADDR`)."""
    node_address: str | None = None
    """The node's own (InternalIP) address, where known."""
    source: str
    """How we know: `--node-ip`, `HostSubnet in --cluster`, `podCIDR gateway in --cluster`, `Node address in --cluster` ..."""
    rank: int = 9
    """In the order of docs/design.md, section 5: 0 own interface, 1 --node-ip, 2 cluster, 3 tunnel outer source, 4 inference."""


@dataclass(frozen=True, slots=True)
class AddressBook:
    """Nodes and Pods by address."""

    nodes: dict[str, tuple[NodeAddress, ...]] = field(default_factory=dict)
    """By address, best source first."""
    pods: dict[str, tuple[PodSpec, ...]] = field(default_factory=dict)
    """By address; several where an address was reused, --spec before --cluster, else newest first."""
    unplaced: tuple[PodSpec, ...] = ()
    """Pods whose manifest tells no address: tied to a target by port, handler, scheme and path."""
    pending: tuple[PodSpec, ...] = ()
    """Pods of the cluster that wait and have no address: nobody probes them, but their workload waits for them."""
    checks: tuple[CheckSpec, ...] = ()
    """What checkers other than the kubelet were told, in the order given."""
    notes: tuple[str, ...] = ()
    """One plain sentence each, for the user (what in the input was passed over and why)."""

    def node(self, address: str) -> NodeAddress | None:
        """Return the best-known node behind an address, or None."""
        known = self.nodes.get(address)
        return known[0] if known else None

    def with_own(self, host: str, links: Iterable[HostLink]) -> dict[str, tuple[NodeAddress, ...]]:
        """Return the nodes with the addresses of a machine's interfaces, which are its own for certain.

        Its name is the cluster's for one of these addresses, else what it calls itself (`host`).
        """
        links = list(links)
        known = (self.node(address) for link in links for address in link.addresses)
        name = next((node.node for node in known if node is not None and node.node), host)
        nodes = dict(self.nodes)
        for link in links:
            for address in link.addresses:
                own = NodeAddress(address=address, node=name, source=f"own interface {link.name}", rank=0)
                others = tuple(node for node in nodes.get(address, ()) if node != own)
                nodes[address] = (own, *others)
        return nodes

    def is_own(self, address: str) -> bool:
        """Tell whether an address is one of the machine's, or of the network namespace's, that captured."""
        node = self.node(address)
        return node is not None and node.rank == 0

    def pod(self, address: str, ns: int) -> PodSpec | None:
        """Return the Pod that had this address at that time, or None.

        An address means a Pod only between that Pod's start and end: addresses are reused. A manifest without times
        always fits.
        """
        return next(iter(self.pods_at(address, ns)), None)

    def pods_at(self, address: str, ns: int) -> list[PodSpec]:
        """Return all Pods that had this address at that time: several where Pods share their node's network.

        An address of its own is one Pod's at a time: of several that are not known to have ended it is the newest's.
        """
        found = [pod for pod in self.pods.get(address, ()) if _alive(pod, ns)]
        own = [pod for pod in found if not pod.host_network]
        begun = [since for pod in own if (since := _since(pod)) is not None and since <= ns + SECOND]
        if len(own) < 2 or not begun:
            return found
        newest = max(begun)
        return [pod for pod in found if pod.host_network or _since(pod) in (None, newest)]

    def was_replaced(self, pod: PodSpec | None, ns: int) -> bool:
        """Tell whether each address that a Pod had is another's by then."""
        mine = [
            at for at in (pod.addresses if pod is not None else ()) if any(one is pod for one in self.pods.get(at, ()))
        ]
        then = [self.pods_at(at, ns) for at in mine]
        return bool(then) and all(pods and not any(one is pod for one in pods) for pods in then)

    def all_pods(self) -> list[PodSpec]:
        """Return every Pod once, with or without an address."""
        known = {id(pod): pod for pods in self.pods.values() for pod in pods}
        return [*known.values(), *self.unplaced]


def _since(pod: PodSpec) -> int | None:
    return pod.started_ns if pod.started_ns is not None else pod.created_ns


def _alive(pod: PodSpec, ns: int) -> bool:
    if pod.started_ns is not None and ns < pod.started_ns - SECOND:
        return False
    # Kubernetes cuts its times to whole seconds: an end may have been up to one second later.
    return all(end is None or ns <= end + SECOND for end in (pod.deleted_ns, pod.ended_ns))
