"""What a source address says of the network that probes come through: a table, one row a network.

On most networks the address from which a kubelet reaches its pods follows a rule (each row names its source). The rules contradict
each other, so a row is only a hint, told as such: it never proves that an address is a node's, and no row is tried before
what the user or the cluster told. A new network is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Network:
    """One rule."""

    hint: str
    """What the address would be."""
    fits: Callable[[Address, Collection[Address]], bool]
    """Given the source and the addresses it probes."""
    source: str
    """Where the rule is read or measured."""


def _same(source: Address, targets: Collection[Address]) -> bool:
    return bool(targets) and all(source == target for target in targets)


def _nth(offset: int) -> Callable[[Address, Collection[Address]], bool]:
    """Return the rule: this host address of the smallest block, of /28 to /16 (IPv6: /124 to /64), that holds source and targets."""

    def rule(source: Address, targets: Collection[Address]) -> bool:
        others = [int(target) for target in targets if target.version == source.version and target != source]
        if not others:
            return False
        bits = source.max_prefixlen
        base = int(source) - offset
        shortest = 16 if bits == 32 else 64
        for length in range(bits - 4, shortest - 1, -1):
            if base >> (bits - length) << (bits - length) != base:
                return False
            if all(other >> (bits - length) == base >> (bits - length) for other in others):
                return True
        return False

    return rule


def _is(*addresses: str) -> Callable[[Address, Collection[Address]], bool]:
    known = frozenset(ip_address(address) for address in addresses)
    return lambda source, _: source in known


NETWORKS: Final = (
    Network("Istio ambient's address for probes", _is("169.254.7.127", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"),
            "istio cni HOST_PROBE_SNAT_IP"),
    Network("an Istio sidecar asking its own application", _is("127.0.0.6", "::6"), "pilot-agent UpstreamLocalAddressIPv4"),
    Network("GKE's metadata address, which a node may pick as its source", _is("169.254.169.252"), "cilium#17839, k8s#107502"),
    Network("the target's own address: a Pod on its node's network", _same, "kubelet prober.go runProbe: status.PodIP"),
    Network("first address of the probed subnet: tun0 of OpenShift SDN, or the gateway of a bridge CNI, Flannel or kindnet", _nth(1),
            "sdn GenerateDefaultGateway; kube-flannel isDefaultGateway"),
    Network("second address of the probed subnet: ovn-k8s-mp0 of OVN-Kubernetes", _nth(2), "ovn-kubernetes GetNodeManagementIfAddr"),
)  # fmt: skip


def hint(source: str, targets: Collection[str]) -> str | None:
    """Return what the first rule that fits says of a source address, or None."""
    try:
        address = ip_address(source)
        probed = [ip_address(target) for target in targets]
    except ValueError:
        return None
    return next((network.hint for network in NETWORKS if network.fits(address, probed)), None)
