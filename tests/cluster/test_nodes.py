"""What a Node and a HostSubnet say of the node's own addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from probewatch.cluster.errors import typed
from probewatch.cluster.nodes import CNI_ANNOTATIONS, MAX_ADDRESSES, host_subnet_addresses, node_addresses
from probewatch.cluster.schema import HostSubnet, Node


def found(annotations: dict[str, str] | None = None, **parts: Any) -> list[tuple[str, str]]:
    """Return (address, source) of a node."""
    value = {"metadata": {"name": "node-a", "annotations": annotations}, **parts}
    return [(each.address, each.source) for each in node_addresses(typed(value, Node))]


STATUS = {
    "addresses": [
        {"type": "Hostname", "address": "node-a"},
        {"type": "InternalIP", "address": "192.168.10.11"},
        {"type": "InternalIP", "address": "FD10::11"},
        {"type": "ExternalIP", "address": "203.0.113.5"},
        {"type": "Hostname", "address": "192.168.10.11"},
    ]
}


def test_status_addresses() -> None:
    """Every address in status counts once, names do not; the first InternalIP is the node's own."""
    nodes = node_addresses(typed({"metadata": {"name": "node-a"}, "status": STATUS}, Node))

    assert [(each.address, each.source) for each in nodes] == [
        ("192.168.10.11", "Node address in --cluster"),
        ("fd10::11", "Node address in --cluster"),
        ("203.0.113.5", "Node address in --cluster"),
    ]
    assert {(each.node, each.node_address, each.rank) for each in nodes} == {("node-a", "192.168.10.11", 2)}


def test_pod_cidrs() -> None:
    """The first host of each pod CIDR is the gateway; podCIDRs go before podCIDR; a CIDR without hosts gives nothing."""
    source = "podCIDR gateway in --cluster"

    assert found(spec={"podCIDR": "10.244.1.0/24"}) == [("10.244.1.1", source)]
    assert found(spec={"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"]}) == [
        ("10.244.1.1", source),
        ("fd00:10:244:1::1", source),
    ]
    assert found(spec={"podCIDRs": ["10.0.0.1/32", "junk", ""]}) == []


@pytest.mark.parametrize(
    ("key", "value", "addresses"),
    [
        ("k8s.ovn.org/node-subnets", '{"default":["10.128.2.0/23","fd01:0:0:2::/64"]}', ["10.128.2.2", "fd01:0:0:2::2"]),
        ("k8s.ovn.org/node-subnets", '{"default":"10.244.0.0/24"}', ["10.244.0.2"]),
        ("k8s.ovn.org/host-cidrs", '["192.168.10.11/24", "127.0.0.1/8", "fd00::5/128"]', ["192.168.10.11", "fd00::5"]),
        ("k8s.ovn.org/host-addresses", '["192.168.10.11"]', ["192.168.10.11"]),
        ("k8s.ovn.org/node-primary-ifaddr", '{"ipv4":"192.168.10.11/24","ipv6":"fd00::5/64"}', ["192.168.10.11", "fd00::5"]),
        ("k8s.ovn.org/node-gateway-router-lrp-ifaddrs", '{"default":{"ipv4":"100.64.0.4/16"}}', ["100.64.0.4"]),
        ("ovn.kubernetes.io/ip_address", "100.64.0.3,fd00:100:64::3", ["100.64.0.3", "fd00:100:64::3"]),
        ("projectcalico.org/IPv4Address", "192.168.10.11/24", ["192.168.10.11"]),
        ("projectcalico.org/IPv4IPIPTunnelAddr", "10.244.73.64", ["10.244.73.64"]),
        ("projectcalico.org/IPv4VXLANTunnelAddr", "10.244.73.65", ["10.244.73.65"]),
        ("flannel.alpha.coreos.com/public-ip", "10.0.0.7", ["10.0.0.7"]),
        ("io.cilium.network.ipv4-cilium-host", "10.245.2.195", ["10.245.2.195"]),
        ("network.cilium.io/ipv6-cilium-host", "fd00::c1", ["fd00::c1"]),
    ],
)
def test_cni_annotations(key: str, value: str, addresses: list[str]) -> None:
    """Each network's annotation gives the addresses it declares."""
    assert found({key: value, "other": "10.9.9.9"}) == [(address, "CNI annotation in --cluster") for address in addresses]


@pytest.mark.parametrize("value", ["", "{", '{"a": 1}', "[" * 100_000, "junk", "10.0.0.256", "null", '"', '["x"]', "x" * 100_000])
def test_any_annotation(value: str) -> None:
    """An annotation that holds no address gives none, whatever it holds."""
    assert all(found({key: value}) == [] for key in CNI_ANNOTATIONS)


def test_annotation_with_many_addresses() -> None:
    """No annotation gives more addresses than the limit."""
    many = json.dumps([f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)])

    assert len(found({"k8s.ovn.org/host-cidrs": many})) == MAX_ADDRESSES


def test_host_subnet() -> None:
    """A HostSubnet gives the gateway of its subnet and the node's address; without `host` its name is the node's."""
    value = {"host": "node-b", "hostIP": "192.168.10.12", "subnet": "10.128.2.0/23", "metadata": {"name": "x"}}

    nodes = host_subnet_addresses(typed(value, HostSubnet))

    assert [(each.address, each.node, each.node_address, each.source) for each in nodes] == [
        ("10.128.2.1", "node-b", "192.168.10.12", "HostSubnet in --cluster"),
        ("192.168.10.12", "node-b", "192.168.10.12", "HostSubnet in --cluster"),
    ]
    assert [each.node for each in host_subnet_addresses(typed({**value, "host": None}, HostSubnet))] == ["x", "x"]
    assert host_subnet_addresses(typed({"subnet": "junk", "hostIP": "junk"}, HostSubnet)) == []
