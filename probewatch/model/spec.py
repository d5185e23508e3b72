"""Pod specs as probewatch needs them: only what a probe can depend on, already defaulted and resolved.

Defaults are the API server's (pkg/apis/core/v1/defaults.go SetDefaults_Probe): timeout 1, period 10, success 1,
failure 3.
`declared` keeps the probe as it was written, with Kubernetes' own field names, for output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from .units import SECOND

DEFAULTS: Final = {
    "periodSeconds": 10,
    "timeoutSeconds": 1,
    "failureThreshold": 3,
    "successThreshold": 1,
    "initialDelaySeconds": 0,
}
"""What Kubernetes takes where a number is left out."""


class ProbeType(StrEnum):
    """Which of a container's probes."""

    READINESS = "readiness"
    LIVENESS = "liveness"
    STARTUP = "startup"
    UNKNOWN = "unknown"


class Handler(StrEnum):
    """How a probe asks: the names in the Pod spec."""

    HTTP_GET = "httpGet"
    TCP_SOCKET = "tcpSocket"
    GRPC = "grpc"
    EXEC = "exec"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One declared probe."""

    type: ProbeType
    handler: Handler
    port: int | None = None
    """Resolved number; None for exec, and for a port name the container does not define."""
    port_name: str | None = None
    scheme: str = "HTTP"
    """`HTTP` or `HTTPS`."""
    host: str | None = None
    """httpGet.host / tcpSocket.host: the kubelet dials this instead of the pod's address."""
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    service: str = ""
    """grpc.service."""
    command: tuple[str, ...] = ()
    initial_delay_s: int = 0
    period_s: int = 10
    timeout_s: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_s: int | None = None
    """terminationGracePeriodSeconds of the probe."""
    declared: dict[str, Any] = field(default_factory=dict, compare=False)
    """The probe as written."""

    @property
    def numbers(self) -> dict[str, int]:
        """Its numbers by their names in the API (core/v1 Probe)."""
        return {
            "timeoutSeconds": self.timeout_s,
            "periodSeconds": self.period_s,
            "successThreshold": self.success_threshold,
            "failureThreshold": self.failure_threshold,
            "initialDelaySeconds": self.initial_delay_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStart:
    """A container instance whose start (and perhaps end) somebody declared: `containerStatuses[].state/lastState`."""

    started_ns: int
    finished_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """One container (or restartable init container) and its probes."""

    name: str
    ports: tuple[tuple[str, int], ...] = ()
    """(name, containerPort); the name may be empty."""
    probes: tuple[ProbeSpec, ...] = ()
    sidecar: bool = False
    starts: tuple[ContainerStart, ...] = ()
    restart_count: int | None = None
    ids: tuple[str, ...] = ()
    """Container ids of the instances that the status names, without the runtime's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What made a Pod, and from which revision of its template."""

    kind: str
    """`Deployment`, `StatefulSet`, `DaemonSet`, `DeploymentConfig`, ..."""
    name: str
    revision: str = ""
    """pod-template-hash, controller-revision-hash, or the number of a DeploymentConfig's ReplicationController; empty
    where there is none."""
    number: int | None = None
    """Of that revision, as its controller counts: a template that is rolled back to gets the next one. None where nothing tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSpec:
    """A Pod, or the Pod template of a workload, with whatever its status tells."""

    source: str
    """Where it was read: file name and document, for messages (`pod.yaml`, `cluster.json item 12`)."""
    kind: str = "Pod"
    name: str = ""
    """Pod name; for a workload's template the workload's name."""
    namespace: str = "default"
    uid: str | None = None
    """metadata.uid of a Pod."""
    addresses: tuple[str, ...] = ()
    """status.podIPs, the primary first; empty where the manifest has no status."""
    node: str | None = None
    """spec.nodeName: the node whose kubelet should probe it."""
    host_ip: str | None = None
    """status.hostIP."""
    host_network: bool = False
    restart_policy: str = "Always"
    grace_s: int = 30
    containers: tuple[ContainerSpec, ...] = ()
    created_ns: int | None = None
    """metadata.creationTimestamp."""
    started_ns: int | None = None
    """status.startTime."""
    deleted_ns: int | None = None
    """metadata.deletionTimestamp: when its grace period ends, so later than its deletion was asked for."""
    deletion_grace_s: int | None = None
    """metadata.deletionGracePeriodSeconds."""
    ended_ns: int | None = None
    """When the last container of a finished Pod (phase Succeeded or Failed) ended: its address may be another's from then on."""
    waiting: str = ""
    """Why none of its containers has begun so far, as `kubectl get pods` says it: `ImagePullBackOff`, `Unschedulable`; else empty."""
    gone: bool = False
    """A later dump of its workload no longer has it."""
    labels: tuple[tuple[str, str], ...] = ()
    workload: Workload | None = None
    """What made it, or of a template what made that in turn (a ReplicaSet's Deployment); None where it stands alone."""
    alike: tuple[str, ...] = ()
    """Sources of others that declare just the same and tell no address either: which of them this is nothing tells, so it has no name."""
    declared_by: str = "--spec"
    """`--spec` or `--cluster`: the former wins where both speak of one Pod."""

    @property
    def leaving_ns(self) -> int | None:
        """When its deletion was asked for, from when on endpoints leave it out; cut to whole seconds. None where that is not declared."""
        grace_s = self.grace_s if self.deletion_grace_s is None else self.deletion_grace_s
        return None if self.deleted_ns is None else self.deleted_ns - grace_s * SECOND

    @property
    def tied_by(self) -> str:
        """How its address is known to be its own: `status.podIP` of its manifest, or `--cluster`."""
        return "status.podIP" if self.declared_by == "--spec" else self.declared_by
