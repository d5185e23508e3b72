"""The parts of the Kubernetes API that probewatch reads, as msgspec forms; every other field is passed over.

Names and types follow staging/src/k8s.io/api/core/v1/types.go and OpenShift's network/v1. A field that is null counts
as absent, as in Go.
Probes stay plain mappings here: they are kept as written, and converted one by one in `probes` so that an error names
its probe.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class OwnerReference(Struct, rename="camel"):
    """metav1.OwnerReference."""

    kind: str = ""
    name: str = ""
    controller: bool | None = None


class ObjectMeta(Struct, rename="camel"):
    """metav1.ObjectMeta."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: list[OwnerReference] | None = None


class ContainerPort(Struct, rename="camel"):
    """v1.ContainerPort."""

    container_port: int
    name: str | None = None


class Container(Struct, rename="camel"):
    """v1.Container."""

    name: str
    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None
    readiness_probe: dict[str, Any] | None = None
    liveness_probe: dict[str, Any] | None = None
    startup_probe: dict[str, Any] | None = None


class PodSpecForm(Struct, rename="camel"):
    """v1.PodSpec."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    node_name: str | None = None
    host_network: bool | None = None


class Running(Struct, rename="camel"):
    """v1.ContainerStateRunning."""

    started_at: str | None = None


class Terminated(Struct, rename="camel"):
    """v1.ContainerStateTerminated."""

    started_at: str | None = None
    finished_at: str | None = None
    container_id: str | None = field(default=None, name="containerID")


class Waiting(Struct):
    """v1.ContainerStateWaiting."""

    reason: str | None = None


class ContainerState(Struct, rename="camel"):
    """v1.ContainerState."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, rename="camel"):
    """v1.ContainerStatus."""

    name: str
    state: ContainerState | None = None
    last_state: ContainerState | None = None
    restart_count: int | None = None
    container_id: str | None = field(default=None, name="containerID")
    """`containerd://` and the id."""


class PodIP(Struct):
    """v1.PodIP."""

    ip: str | None = None


class Condition(Struct, rename="camel"):
    """v1.PodCondition, v1.NodeCondition."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    last_heartbeat_time: str | None = None


class PodStatus(Struct, rename="camel"):
    """v1.PodStatus."""

    phase: str | None = None
    conditions: list[Condition] | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[PodIP] | None = field(default=None, name="podIPs")
    host_ip: str | None = field(default=None, name="hostIP")
    start_time: str | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(Struct):
    """v1.Pod; also v1.PodTemplateSpec, which has no status."""

    metadata: ObjectMeta | None = None
    spec: PodSpecForm | None = None
    status: PodStatus | None = None


class HTTPHeader(Struct):
    """v1.HTTPHeader."""

    name: str
    value: str | None = None


class HTTPGetAction(Struct, rename="camel"):
    """v1.HTTPGetAction."""

    port: int | str
    path: str | None = None
    host: str | None = None
    scheme: str | None = None
    http_headers: list[HTTPHeader] | None = None


class TCPSocketAction(Struct):
    """v1.TCPSocketAction."""

    port: int | str
    host: str | None = None


class GRPCAction(Struct):
    """v1.GRPCAction."""

    port: int
    service: str | None = None


class ExecAction(Struct):
    """v1.ExecAction."""

    command: list[str] | None = None


class Probe(Struct, rename="camel"):
    """v1.Probe."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    exec: ExecAction | None = None
    initial_delay_seconds: int | None = None
    timeout_seconds: int | None = None
    period_seconds: int | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None
    termination_grace_period_seconds: int | None = None


class NodeSpec(Struct):
    """v1.NodeSpec."""

    pod_cidr: str | None = field(default=None, name="podCIDR")
    pod_cidrs: list[str] | None = field(default=None, name="podCIDRs")


class NodeStatusAddress(Struct):
    """v1.NodeAddress."""

    type: str
    address: str


class NodeStatus(Struct):
    """v1.NodeStatus."""

    addresses: list[NodeStatusAddress] | None = None
    conditions: list[Condition] | None = None


class Node(Struct):
    """v1.Node."""

    metadata: ObjectMeta | None = None
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class Revisioned(Struct):
    """apps/v1 ReplicaSet, whose annotations tell its revision, or ControllerRevision, which has it."""

    metadata: ObjectMeta | None = None
    revision: int | None = None


class HostSubnet(Struct):
    """network.openshift.io/v1 HostSubnet (OpenShift SDN)."""

    host: str | None = None
    host_ip: str | None = field(default=None, name="hostIP")
    subnet: str | None = None
    metadata: ObjectMeta | None = None
