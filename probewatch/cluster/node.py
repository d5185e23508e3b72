"""This node as it shows itself: its addresses, and the Pods behind its links, each fact with its source.

Theory of operation. Every process belongs to a network namespace, and a Pod's processes to one that is not the node's
(or to the node's, for a Pod of hostNetwork). So processes are sorted by namespace; their cgroups tell container ids and
the Pod's uid; names come from a manifest that names the id or the uid, from the kubelet's log directories, from what
the runtime wrote down (`names`), or from crictl; addresses from the namespace itself; and the host's end of each veth
from the number that the kernel has for the namespace of the other end. A namespace that no process is in is known where
it has a name (/run/netns).

`look` is called once at the start and again whenever `LinkWatch.changed` says that links came or went:

    node = look(book)
    book = node.book(book)      # own addresses are the node's for certain; addresses mean the Pods that have them
    node.pod_behind("veth1a2b")  # whose interface is that?

Limitations: what needs root (other users' namespaces) is left out without it, and a note says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from probewatch.capture import CaptureError, proc
from probewatch.capture.netns import NAMED, inside
from probewatch.cluster.links import Link, host_links, links, namespace_numbers, routes
from probewatch.cluster.names import Name, by_bundle, by_container_logs, by_crictl, by_pod_logs
from probewatch.model.book import AddressBook
from probewatch.model.spec import ContainerSpec, PodSpec

THIS_NODE: Final = "this node"
"""How `PodSpec.declared_by` begins of Pods that nothing but the node itself tells of; what told their names follows."""
MOST_PROCESSES: Final = 100_000
"""Processes looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContainer:
    """A container that runs on this node."""

    id: str
    name: str = ""
    pid: int = 0
    """One of its processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePod:
    """A network namespace of this node with what is in it: a Pod, where containers are."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    net_namespace: int
    """Inode."""
    net_namespace_name: str = ""
    """Under /run/netns."""
    host_network: bool = False
    addresses: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    """Ends of its links in the node's namespace."""
    joined: bool = True
    """Whether a link ever joined it with the node's namespace. Where one machine runs several nodes (kind), the Pods of the
    others are not, and have the same addresses."""
    routes: bool = False
    """Nothing says that it is a Pod, and it passes packets between its links: another node on this machine, or a router."""
    containers: tuple[NodeContainer, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """Fact (`name`, `addresses`, `interfaces`, `containers`) -> how it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What a node shows of itself."""

    host: str
    links: tuple[Link, ...]
    pods: tuple[NodePod, ...]
    notes: tuple[str, ...] = ()

    def pod_behind(self, interface: str) -> NodePod | None:
        """Return the Pod (or bare namespace) at the other end of an interface; None where none is known."""
        return next((pod for pod in self.pods if interface in pod.interfaces), None)

    def names(self) -> dict[str, Name]:
        """Return the names of its containers by their ids."""
        return {
            one.id: Name(
                namespace=pod.namespace, pod=pod.name, container=one.name, uid=pod.uid, source=pod.sources["name"]
            )
            for pod in self.pods
            if pod.name and "name" in pod.sources
            for one in pod.containers
        }

    def book(self, book: AddressBook | None = None) -> AddressBook:
        """Return an address book with what this node adds to one: its own addresses, and its Pods by address."""
        book = book or AddressBook()
        nodes = book.with_own(self.host, host_links(self.links))
        pods = dict(book.pods)
        known = {(pod.namespace, pod.name) for pod in book.all_pods()}
        for pod in self.pods:
            if pod.host_network or not (pod.name and pod.joined) or (pod.namespace, pod.name) in known:
                continue
            told_by = f"{THIS_NODE} ({pod.sources.get('name', '')})"
            spec = PodSpec(
                source=told_by,
                name=pod.name,
                namespace=pod.namespace,
                uid=pod.uid,
                addresses=pod.addresses,
                containers=tuple(ContainerSpec(name=one.name, ids=(one.id,)) for one in pod.containers if one.name),
                declared_by=told_by,
            )
            for address in pod.addresses:
                pods[address] = (*pods.get(address, ()), spec)
        return replace(book, nodes=nodes, pods=pods)


@dataclass(slots=True)
class _Found:
    """What was found of one network namespace and, in the node's own, of one Pod."""

    net: int
    path: str = ""
    named: str = ""
    joined: bool = True
    uid: str = ""
    containers: dict[str, int] = field(default_factory=dict)


def look(book: AddressBook | None = None, *, crictl: bool = True, known: Mapping[str, Name] | None = None) -> NodeView:
    """Look at this node, from the network namespace of the calling thread.

    Args:
        book: manifests, which name containers by their ids and Pods by their uids.
        crictl: whether the container runtime may be asked.
        known: names by container id that an earlier look found (`NodeView.names`), for those that nothing tells now.

    Raises:
        OSError: netlink says no.
    """
    own = proc.namespace_of("/proc/thread-self/ns/net")
    found, hidden = _namespaces(own)
    few = "one process" if hidden == 1 else f"{hidden} processes"
    notes = [f"{few} cannot be looked into: run it as root"] if hidden and os.geteuid() else []
    here = links()
    numbers = namespace_numbers(each.path for each in found.values() if each.net != own and each.path)
    behind: dict[int | None, list[str]] = {}
    for link in here:
        if link.namespace is not None:
            behind.setdefault(link.namespace, []).append(link.name)
    names = _Names(book or AddressBook(), known or {})
    if crictl and any(names.container(one) is None for each in found.values() for one in each.containers):
        notes += names.ask_crictl()
    for each in found.values():
        each.joined = numbers.get(each.path, 0) is not None
    pods = [_pod(each, own, behind.get(numbers.get(each.path), []), names) for each in found.values()]
    pods.sort(key=lambda pod: (not pod.name, pod.namespace, pod.name, pod.net_namespace_name, pod.net_namespace))
    return NodeView(host=proc.host_name(), links=tuple(here), pods=tuple(pods), notes=tuple(notes))


def _namespaces(own: int) -> tuple[dict[object, _Found], int]:
    """Return what processes and names show of namespaces, and how many processes cannot be looked into."""
    found: dict[object, _Found] = {}
    hidden = 0
    for pid in proc.processes()[:MOST_PROCESSES]:
        net = proc.namespace(pid, "net")
        if not net:
            hidden += is_hidden(pid)
            continue
        _, container, uid = proc.cgroup_of(proc.read(pid, "cgroup").decode("utf-8", "replace"))
        if net == own and not container:
            continue
        each = found.setdefault((net, uid or container) if net == own else net, _Found(net, f"/proc/{pid}/ns/net"))
        each.uid = each.uid or uid
        if container:
            each.containers.setdefault(container, pid)
    for entry in _named():
        path = f"{NAMED}/{entry}"
        net = proc.inode(path)
        if net and net != own:
            each = found.setdefault(net, _Found(net))
            each.path, each.named = each.path or path, entry
    return found, hidden


def is_hidden(pid: int) -> bool:
    """Return whether a process cannot be looked into: a kernel thread has no arguments, and no namespace to speak of."""
    return not proc.namespace(pid, "net") and bool(proc.arguments(pid))


def _named() -> list[str]:
    try:
        return sorted(entry.name for entry in Path(NAMED).iterdir())
    except OSError:
        return []


class _Names:
    """Who a container or a Pod is, by whatever tells."""

    def __init__(self, book: AddressBook, known: Mapping[str, Name]) -> None:
        self._known = known
        self._containers: dict[str, Name] = {}
        self._pods: dict[str, Name] = by_pod_logs()
        self._containers.update(by_container_logs())
        for pod in book.all_pods():
            if pod.uid:
                self._pods[pod.uid] = Name(namespace=pod.namespace, pod=pod.name, uid=pod.uid, source=pod.declared_by)
            for container in pod.containers:
                said = Name(
                    namespace=pod.namespace,
                    pod=pod.name,
                    container=container.name,
                    uid=pod.uid or "",
                    source=pod.declared_by,
                )
                self._containers.update(dict.fromkeys(container.ids, said))

    def ask_crictl(self) -> list[str]:
        """Ask the container runtime too, where nothing else told; return why it does not answer."""
        names, why = by_crictl()
        self._containers = names | self._containers
        return [why] if why else []

    def container(self, name: str) -> Name | None:
        said = self._containers.get(name) or by_bundle(name) or self._known.get(name)
        if said is not None:
            self._containers[name] = said
        return said

    def pod(self, uid: str) -> Name | None:
        return self._pods.get(uid)


def _pod(found: _Found, own: int, interfaces: list[str], names: _Names) -> NodePod:
    containers, said = [], None
    for name, pid in found.containers.items():
        known = names.container(name)
        said = said or known
        containers.append(NodeContainer(id=name, name=known.container if known is not None else "", pid=pid))
    said = said or (names.pod(found.uid) if found.uid else None)
    sources: dict[str, str] = {}
    if said is not None:
        sources["name"] = said.source
    addresses: tuple[str, ...] = ()
    if found.net != own:
        addresses = _addresses(found)
        if addresses:
            sources["addresses"] = "its network namespace"
    if interfaces:
        sources["interfaces"] = "veth peer"
    if containers:
        sources["containers"] = "cgroup"
    bare = found.net != own and bool(interfaces) and not (said or containers or found.uid)
    return NodePod(
        namespace=said.namespace if said is not None else "",
        name=said.pod if said is not None else "",
        uid=found.uid or (said.uid if said is not None else ""),
        net_namespace=found.net,
        net_namespace_name=found.named,
        host_network=found.net == own,
        addresses=addresses,
        interfaces=tuple(interfaces),
        joined=found.joined,
        routes=bare and _routes(found),
        containers=tuple(containers),
        sources=sources,
    )


def _routes(found: _Found) -> bool:
    """Look at its links from inside; what cannot be entered is taken for what it is mostly."""
    where = int(found.path.split("/")[2]) if found.path.startswith("/proc/") else found.named
    try:
        return inside(where, lambda: routes(links()))
    except (CaptureError, OSError):
        return False


def _addresses(found: _Found) -> tuple[str, ...]:
    if found.path.startswith("/proc/"):
        told = proc.addresses(int(found.path.split("/")[2]))
        if told or not found.named:
            return told
    try:  # what no process is in takes a visit
        return inside(found.named, lambda: proc.addresses("thread-self"))
    except (CaptureError, OSError):
        return ()
