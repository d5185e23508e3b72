"""Pods by workload and revision: how a new revision and the old one went by each other, as their probes show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PodState(StrEnum):
    """Of a Pod at the end of the capture, as far as its probes show it (readiness gates send no packets)."""

    READY = "Ready"
    """Every declared readiness probe of it."""
    NOT_READY = "NotReady"
    TERMINATING = "terminating"
    """It is being deleted: Endpoints leave it out, whatever its probes say."""
    SILENT = "silent"
    """No longer probed when the capture ended."""
    UNKNOWN = "unknown"
    """Nothing tells: not probed in this capture, encrypted, or an exec probe."""


class RolloutState(StrEnum):
    """Of a workload at the end of the capture."""

    STEADY = "steady"
    """One revision, and every Pod seen is Ready."""
    PROGRESSING = "progressing"
    """The newest revision is not Ready yet in all its Pods, or an older one serves beside it."""
    COMPLETE = "complete"
    """The newest revision is Ready, and no older one serves any more."""
    BLOCKED = "blocked"
    """The newest revision never turned Ready, though its failureThreshold was reached; an older one serves."""
    DEGRADED = "degraded"
    """Some Pods of the only revision, or of one that had been Ready, are not."""
    UNAVAILABLE = "unavailable"
    """No Pod seen is Ready."""
    UNKNOWN = "unknown"
    """The packets do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionPod:
    """One Pod of a revision."""

    name: str
    address: str | None
    """Where it was probed, else its first declared address."""
    node: str | None = None
    state: PodState
    probes: tuple[str, ...] = ()
    """Ids of its probes; empty where none was seen."""
    first_ready_ns: int | None = None
    """When it was first seen Ready: a decision, or its first attempt where it was Ready before; None where it never was."""
    last_ready_ns: int | None = None
    """Until when it was Ready, or when it was last seen so."""
    created_ns: int | None = None
    """metadata.creationTimestamp."""
    deleted_ns: int | None = None
    """metadata.deletionTimestamp."""
    gone: bool = False
    """A later dump no longer has it."""
    waiting: str = ""
    """Why none of its containers had begun: `ImagePullBackOff`; empty where one had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """Failed attempts that brought the same."""

    type: str
    """Of the probe: `readiness` or `startup`."""
    result: str
    """`503`, `refused`, ..."""
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The Pods made from one revision of a workload's template."""

    revision: str
    """pod-template-hash, controller-revision-hash, or the number of a ReplicationController; empty where there is none."""
    number: int | None = None
    """As its controller counts; None where nothing tells it."""
    created_ns: int | None = None
    """When its first Pod was made, as the cluster declares."""
    newest_ns: int | None = None
    """When its latest Pod was made."""
    pods: tuple[RevisionPod, ...] = ()
    first_probe_ns: int | None = None
    first_ready_ns: int | None = None
    """When the first of its Pods was first seen Ready; None where none was."""
    attempts: int = 0
    """Of readiness and startup probes."""
    failures: tuple[Failing, ...] = ()
    """What these brought where they failed, the most frequent first."""

    @property
    def seen(self) -> int:
        """How many of its Pods were probed in this capture."""
        return sum(bool(pod.probes) for pod in self.pods)

    @property
    def leaving(self) -> bool:
        """Whether all its Pods are being deleted, or are gone."""
        return all(pod.deleted_ns is not None or (pod.gone and pod.state is not PodState.READY) for pod in self.pods)

    @property
    def hidden(self) -> tuple[RevisionPod, ...]:
        """Its Pods that were not probed in this capture, and may still be there."""
        return tuple(pod for pod in self.pods if not pod.probes and not pod.gone)

    def count(self, state: PodState) -> int:
        """Return how many of the Pods seen are in this state."""
        return sum(bool(pod.probes) and pod.state is state for pod in self.pods)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One workload and the revisions whose Pods were probed."""

    namespace: str
    kind: str
    name: str
    state: RolloutState
    ordered: bool
    """Whether it is known which revision is newer; else `revisions` are in the order of their latest Pods, or of their first probes."""
    revisions: tuple[Revision, ...]
    """The oldest first."""
    sentence: str
    """What happened, in one plain sentence."""
