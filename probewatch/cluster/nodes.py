"""The addresses of a node, from its Node object and its HostSubnet, each with the reason why it is one; pure functions.

Which address a Pod sees a kubelet come from depends on the network (OpenShift SDN: the gateway of the node's subnet;
OVN-Kubernetes: its management port; bridges and ptp: the gateway of the pod CIDR; Calico: tunnel or node address;
Cilium: the router address). All that the cluster itself declares are collected; `build_book` puts the surest first.

Limitations: the pod CIDR's gateway is a convention, not a declaration: some networks (Calico's own IPAM) give that
address to a Pod.
`build_book` drops it where a Pod is known to have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from probewatch.model.book import NodeAddress

from .addresses import address_of, gateway_of, host_of
from .schema import HostSubnet, Node

NODE_ADDRESS: Final = "Node address in --cluster"
HOST_SUBNET: Final = "HostSubnet in --cluster"
CNI_ANNOTATION: Final = "CNI annotation in --cluster"
POD_CIDR_GATEWAY: Final = "podCIDR gateway in --cluster"
CLUSTER_RANK: Final = 2

MAX_ANNOTATION: Final = 1 << 16
"""Characters of one annotation that are looked at; longer ones are passed over."""
MAX_ADDRESSES: Final = 256
"""Addresses taken from one annotation."""


class Holds(Enum):
    """What a CNI plugin's annotation holds: plain, comma separated or as JSON, with or without prefix length."""

    ADDRESSES = "addresses of the node"
    SECOND_HOST = "subnets of which the node has the second host address"


CNI_ANNOTATIONS: Final = {
    # OVN-Kubernetes: GetNodeManagementIfAddr is the subnet's second host (ovn-k8s-mp0).
    "k8s.ovn.org/node-subnets": Holds.SECOND_HOST,
    "k8s.ovn.org/host-cidrs": Holds.ADDRESSES,
    "k8s.ovn.org/host-addresses": Holds.ADDRESSES,
    "k8s.ovn.org/node-primary-ifaddr": Holds.ADDRESSES,
    "k8s.ovn.org/node-gateway-router-lrp-ifaddr": Holds.ADDRESSES,
    "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": Holds.ADDRESSES,
    # Kube-OVN: the node's port in the join subnet (ovn0).
    "ovn.kubernetes.io/ip_address": Holds.ADDRESSES,
    "projectcalico.org/IPv4Address": Holds.ADDRESSES,
    "projectcalico.org/IPv6Address": Holds.ADDRESSES,
    "projectcalico.org/IPv4IPIPTunnelAddr": Holds.ADDRESSES,
    "projectcalico.org/IPv4VXLANTunnelAddr": Holds.ADDRESSES,
    "projectcalico.org/IPv6VXLANTunnelAddr": Holds.ADDRESSES,
    "projectcalico.org/IPv4WireguardInterfaceAddr": Holds.ADDRESSES,
    "projectcalico.org/IPv6WireguardInterfaceAddr": Holds.ADDRESSES,
    "flannel.alpha.coreos.com/public-ip": Holds.ADDRESSES,
    "flannel.alpha.coreos.com/public-ip-overwrite": Holds.ADDRESSES,
    "flannel.alpha.coreos.com/public-ipv6": Holds.ADDRESSES,
    "flannel.alpha.coreos.com/public-ipv6-overwrite": Holds.ADDRESSES,
    "io.cilium.network.ipv4-cilium-host": Holds.ADDRESSES,
    "io.cilium.network.ipv6-cilium-host": Holds.ADDRESSES,
    "network.cilium.io/ipv4-cilium-host": Holds.ADDRESSES,
    "network.cilium.io/ipv6-cilium-host": Holds.ADDRESSES,
}


def node_addresses(node: Node) -> list[NodeAddress]:
    """Return every address that a Node object declares as its own."""
    metadata = node.metadata
    name = (metadata.name if metadata else None) or ""
    found: dict[tuple[str, str], None] = {}
    internal: str | None = None
    for each in (node.status.addresses if node.status else None) or ():
        # Names (Hostname, InternalDNS) are declared in the same list; only what is an address counts.
        address = address_of(each.address)
        if address:
            found[address, NODE_ADDRESS] = None
            if each.type == "InternalIP":
                internal = internal or address
    annotations = (metadata.annotations if metadata else None) or {}
    for key, holds in CNI_ANNOTATIONS.items():
        value = annotations.get(key)
        for text in _texts(value) if value else ():
            address = host_of(text, 2) if holds is Holds.SECOND_HOST else address_of(text.partition("/")[0])
            if address and not _no_source(address):
                found[address, CNI_ANNOTATION] = None
    spec = node.spec
    for cidr in (spec.pod_cidrs or ([spec.pod_cidr] if spec.pod_cidr else [])) if spec else []:
        address = host_of(cidr, 1)
        if address:
            found[address, POD_CIDR_GATEWAY] = None
    return [
        NodeAddress(address=address, node=name, node_address=internal, source=source, rank=CLUSTER_RANK)
        for address, source in found
    ]


def host_subnet_addresses(subnet: HostSubnet) -> list[NodeAddress]:
    """Return the addresses that a HostSubnet gives its node: the gateway of its subnet, and the node's own."""
    name = subnet.host or (subnet.metadata.name if subnet.metadata else None) or ""
    own = address_of(subnet.host_ip) if subnet.host_ip else None
    addresses = [gateway_of(subnet.subnet) if subnet.subnet else None, own]
    return [
        NodeAddress(address=address, node=name, node_address=own, source=HOST_SUBNET, rank=CLUSTER_RANK)
        for address in addresses
        if address
    ]


def _no_source(address: str) -> bool:
    """Tell addresses that no packet comes from: unspecified and loopback, as host-cidrs may list them."""
    return address in ("0.0.0.0", "::", "::1") or address.startswith("127.")  # noqa: S104


def _texts(value: str) -> Iterator[str]:
    """Yield the texts in an annotation: of all levels of its JSON, or between its commas."""
    if len(value) > MAX_ANNOTATION:
        return
    level: list[Any] = [value]
    if value.lstrip()[:1] in ("[", "{", '"'):
        try:
            level = [json.loads(value)]
        except (ValueError, RecursionError):
            return
    count = 0
    while level:
        inner: list[Any] = []
        for each in level:
            if isinstance(each, str):
                for text in each.split(","):
                    yield text.strip()
                    count += 1
                    if count >= MAX_ADDRESSES:
                        return
            elif isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = inner
