"""The address book, put together from what the user gave: `--spec`, `--cluster`, `--node-ip`.

Where `--spec` and `--cluster` speak of one Pod, there is one entry: the spec's probes, completed with the addresses,
times and container starts that only the cluster knows. They are taken for one Pod when

- namespace and name are equal, and so is an address where the spec has any
- the spec is a static Pod's manifest (the kubelet appends `-NODE` to its name)
- the spec is a workload's template, and the Pod has its labels, its containers and a name that begins with the
workload's

`kubectl get all -o yaml` prints a Pod, its ReplicaSet and its Deployment: they are one where they declare the same, and
the Pod stands for all of them, or the Deployment where no Pod is given.

A manifest often leaves the namespace to `kubectl -n`: one without (read as `default`) also fits Pods of another
namespace, if all that fit are in the same one; a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.check import CheckSpec
from probewatch.model.spec import ContainerSpec, PodSpec

from .dump import ClusterDump
from .dumps import pods_of
from .nodes import CLUSTER_RANK, CNI_ANNOTATION, HOST_SUBNET, NODE_ADDRESS, POD_CIDR_GATEWAY

MAX_NOTES: Final = 20
"""Notes of one sort; what is beyond is counted."""

_SUREST_FIRST: Final = (NODE_ADDRESS, HOST_SUBNET, CNI_ANNOTATION, POD_CIDR_GATEWAY)
"""Among addresses of equal rank; any other source comes after these."""


def build_book(
    specs: Sequence[PodSpec],
    cluster: Sequence[ClusterDump] = (),
    node_ips: Sequence[NodeAddress] = (),
    notes: Sequence[str] = (),
    checks: Sequence[CheckSpec] = (),
) -> AddressBook:
    """Return the address book of all that is known; `notes` (of `load_specs`) are passed on before the book's own."""
    said = list(notes)
    for dump in cluster:
        said += dump.notes
    known = pods_of(cluster)
    specs = _once(specs)
    pods, spoken_for = _placed(specs, known, said)
    pods += [pod for pod in known if id(pod) not in spoken_for]
    own = [address for dump in cluster for address in dump.nodes]
    return AddressBook(
        nodes=_nodes(node_ips, own, pods, said),
        pods=_by_address(pods),
        unplaced=tuple(pod for pod in pods if not pod.addresses and pod.declared_by == "--spec"),
        pending=tuple(pod for pod in known if pod.waiting and not pod.addresses),
        checks=tuple(checks),
        notes=tuple(said),
    )


def _nodes(
    node_ips: Iterable[NodeAddress], own: Sequence[NodeAddress], pods: Sequence[PodSpec], notes: list[str]
) -> dict[str, tuple[NodeAddress, ...]]:
    """Return the node addresses by address, best first: rank, then the surest source."""
    internal = {each.node: each.node_address for each in reversed(own) if each.node and each.node_address}
    names = {each.address: each.node for each in reversed(own) if each.node}
    pod_of = {address: pod for pod in pods if not pod.host_network for address in pod.addresses}
    found: list[NodeAddress] = []
    for each in node_ips:
        node = each.node or names.get(each.address, "")
        found.append(replace(each, node=node, node_address=each.node_address or internal.get(node)))
    dropped = 0
    for each in own:
        if each.source == POD_CIDR_GATEWAY and each.address in pod_of:
            dropped += 1
            if dropped <= MAX_NOTES:
                pod = pod_of[each.address]
                notes.append(
                    f"{each.address} is the first address of the podCIDR of {each.node}, but Pod {pod.namespace}/{pod.name} has it: "
                    "taken as the Pod's"
                )
        else:
            found.append(replace(each, node_address=each.node_address or internal.get(each.node)))
    if dropped > MAX_NOTES:
        notes.append(f"{dropped - MAX_NOTES} more first addresses of podCIDRs belong to Pods")
    told = {each.address for each in found}
    found += [each for each in _host_ips(pods, internal) if each.address not in told]
    book: dict[str, dict[tuple[str, str], NodeAddress]] = {}
    for each in sorted(found, key=_node_order):
        book.setdefault(each.address, {}).setdefault((each.node, each.source), each)
    return {address: tuple(entries.values()) for address, entries in book.items()}


def _node_order(each: NodeAddress) -> tuple[int, int]:
    source = _SUREST_FIRST.index(each.source) if each.source in _SUREST_FIRST else len(_SUREST_FIRST)
    return each.rank, source


def _host_ips(pods: Iterable[PodSpec], internal: dict[str, str]) -> Iterable[NodeAddress]:
    """Return what the Pods tell of their nodes: status.hostIP, once for each node."""
    seen: dict[tuple[str, str], NodeAddress] = {}
    for pod in pods:
        if pod.host_ip and (pod.host_ip, pod.node or "") not in seen:
            node = pod.node or ""
            seen[pod.host_ip, node] = NodeAddress(
                address=pod.host_ip,
                node=node,
                node_address=internal.get(node, pod.host_ip),
                source=f"status.hostIP in {pod.declared_by}",
                rank=CLUSTER_RANK,
            )
    return seen.values()


def _by_address(pods: Iterable[PodSpec]) -> dict[str, tuple[PodSpec, ...]]:
    """Return Pods by address: --spec first, Pods of their own address before those of the node's network, newest first."""
    book: dict[str, list[PodSpec]] = {}
    for pod in pods:
        for address in pod.addresses:
            book.setdefault(address, []).append(pod)
    return {address: tuple(sorted(known, key=_pod_order)) for address, known in book.items()}


def _pod_order(pod: PodSpec) -> tuple[bool, bool, bool, int]:
    # A Pod without a start fits any time: those whose time fits are asked before it.
    return pod.declared_by != "--spec", pod.host_network, pod.started_ns is None, -(pod.started_ns or 0)


def _placed(specs: Sequence[PodSpec], known: Sequence[PodSpec], notes: list[str]) -> tuple[list[PodSpec], set[int]]:
    """Return the specs, completed from the cluster where it knows the Pod, and the identities of the Pods that were used for it."""
    by_name: dict[str, list[PodSpec]] = {}
    for pod in known:
        by_name.setdefault(pod.name, []).append(pod)
        if pod.node and pod.name.endswith("-" + pod.node):
            by_name.setdefault(pod.name.removesuffix("-" + pod.node), []).append(pod)
    placed: list[PodSpec] = []
    spoken_for: set[int] = set()
    for spec in specs:
        fits = _fitting(spec, known, by_name, notes)
        placed += [_completed(spec, pod) for pod in fits] or [spec]
        spoken_for.update(id(pod) for pod in fits)
    return placed, spoken_for


def _once(specs: Sequence[PodSpec]) -> list[PodSpec]:
    """Return the specs without the templates of which a Pod is given itself, or the workload that controls them."""
    own = [spec for spec in specs if spec.kind == "Pod"]
    workloads = {(spec.kind, spec.name, spec.namespace): spec for spec in specs}
    out = []
    for spec in specs:
        above = spec.workload if spec.kind != "Pod" else None
        owner = workloads.get((above.kind, above.name, spec.namespace)) if above is not None else None
        others = own if spec.kind != "Pod" else []
        if not any(
            pod.namespace == spec.namespace and _made_of(spec, pod) and _alike(spec, pod) for pod in others
        ) and (owner is None or owner is spec or not _alike(spec, owner)):
            out.append(spec)
    return out


def _alike(spec: PodSpec, other: PodSpec) -> bool:
    """Tell whether both declare the same probes in the same containers."""
    mine, theirs = ({each.name: _asked(each) for each in one.containers} for one in (spec, other))
    return all(theirs.get(name) == probes for name, probes in mine.items())


def _asked(container: ContainerSpec) -> tuple[object, ...]:
    """Return what its probes do, however their ports are named."""
    return container.sidecar, *(replace(probe, port_name=None) for probe in container.probes)


def _made_of(template: PodSpec, pod: PodSpec) -> bool:
    """Tell whether a Pod may be one of a workload's: it has the template's labels and containers, and a name that begins so."""
    labels = set(template.labels)
    named = bool(labels) and pod.name.startswith(template.name + "-") and labels <= set(pod.labels)
    return named and _same_containers(template, pod)


def _fitting(
    spec: PodSpec, known: Sequence[PodSpec], by_name: dict[str, list[PodSpec]], notes: list[str]
) -> list[PodSpec]:
    """Return the cluster's Pods that a spec speaks of."""
    if spec.kind == "Pod":
        fits = by_name.get(spec.name, []) if spec.name else []
        if spec.addresses:
            fits = [pod for pod in fits if set(pod.addresses) & set(spec.addresses)]
        fits = [pod for pod in fits if _same_containers(spec, pod)]
    else:
        fits = [pod for pod in known if _made_of(spec, pod)]
    here = [pod for pod in fits if pod.namespace == spec.namespace]
    if here or spec.namespace != "default" or len({pod.namespace for pod in fits}) != 1:
        return here
    notes.append(
        f"{spec.source}: no namespace is given; taken for {spec.kind} {spec.name} in namespace {fits[0].namespace}"
    )
    return fits


def _same_containers(spec: PodSpec, pod: PodSpec) -> bool:
    """Tell whether all the spec's containers are in the Pod (which may have injected ones beside them)."""
    return {each.name for each in spec.containers} <= {each.name for each in pod.containers}


def _completed(spec: PodSpec, pod: PodSpec) -> PodSpec:
    """Return a spec with what it leaves open filled in from the same Pod in the cluster; it stays declared by --spec."""
    theirs = {each.name: each for each in pod.containers}
    written = [_started(each, theirs.get(each.name)) for each in spec.containers]
    names = {each.name for each in spec.containers}
    return replace(
        spec,
        kind="Pod",
        name=pod.name,
        namespace=pod.namespace,
        addresses=spec.addresses or pod.addresses,
        node=spec.node or pod.node,
        host_ip=spec.host_ip or pod.host_ip,
        host_network=spec.host_network or pod.host_network,
        containers=(*written, *(each for each in pod.containers if each.name not in names)),
        created_ns=spec.created_ns if spec.created_ns is not None else pod.created_ns,
        started_ns=spec.started_ns if spec.started_ns is not None else pod.started_ns,
        deleted_ns=spec.deleted_ns if spec.deleted_ns is not None else pod.deleted_ns,
        deletion_grace_s=spec.deletion_grace_s if spec.deleted_ns is not None else pod.deletion_grace_s,
        ended_ns=spec.ended_ns if spec.ended_ns is not None else pod.ended_ns,
        labels=pod.labels or spec.labels,
        workload=pod.workload or spec.workload,
        waiting=pod.waiting,
        gone=pod.gone,
    )


def _started(container: ContainerSpec, other: ContainerSpec | None) -> ContainerSpec:
    """Return a container with the starts that either source declares."""
    if other is None:
        return container
    starts = {start.started_ns: start for start in (*container.starts, *other.starts)}
    counts = [count for count in (container.restart_count, other.restart_count) if count is not None]
    return replace(
        container, starts=tuple(starts[ns] for ns in sorted(starts)), restart_count=max(counts, default=None)
    )
