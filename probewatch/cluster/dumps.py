"""What dumps tell together: the numbers of revisions, and which Pods a later one no longer has.

Theory of operation. No dump says when it was taken, but what it holds had happened by then. So a Pod that is missing from
a dump in which later things stand than its creation was deleted before that dump, if that dump has Pods of the same
workload and of the same node: else it may have been asked for less (a namespace, a node, a label).

The number of a revision is believed only where no Pod of its workload was made after the dump that tells it: that may be
of another rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.spec import PodSpec
from probewatch.model.units import SECOND

from .dump import ClusterDump, Maker
from .workloads import maker_of

WHOLE_NS: Final = SECOND
"""Kubernetes cuts its times to whole seconds."""

_Owner = tuple[str, str, str]
"""Namespace, kind and name of a workload."""


def pods_of(dumps: Sequence[ClusterDump]) -> list[PodSpec]:
    """Return the Pods of all dumps, in order, with what the dumps tell of them together."""
    numbers = _numbers(dumps)
    gone = _gone(dumps) if len(dumps) > 1 else set()
    out: list[PodSpec] = []
    for pod in (pod for dump in dumps for pod in dump.pods):
        if pod.workload is not None and (number := numbers.get(_maker(pod))) is not None:
            pod = replace(pod, workload=replace(pod.workload, number=number))
        out.append(replace(pod, gone=True) if _key(pod) in gone else pod)
    return out


def _key(pod: PodSpec) -> tuple[str, str, str]:
    return pod.namespace, pod.name, pod.uid or ""


def _owner(pod: PodSpec) -> _Owner | None:
    return (pod.namespace, pod.workload.kind, pod.workload.name) if pod.workload is not None else None


def _maker(pod: PodSpec) -> Maker | None:
    return (pod.namespace, *maker_of(pod.workload)) if pod.workload is not None else None


def _numbers(dumps: Sequence[ClusterDump]) -> dict[Maker | None, int]:
    """Return the numbers that are up to date, by what tells them."""
    told: dict[Maker, tuple[int, int]] = {}
    for dump in dumps:
        for maker, number in dump.revisions.items():
            told[maker] = max(told.get(maker, (0, 0)), (number, dump.latest_ns or 0))
    made: dict[_Owner | None, int] = {}
    for pod in (pod for dump in dumps for pod in dump.pods):
        made[_owner(pod)] = max(made.get(_owner(pod), 0), pod.created_ns or 0)
    out: dict[Maker | None, int] = {}
    for pod in (pod for dump in dumps for pod in dump.pods):
        mine = _maker(pod)
        if mine is not None and mine in told and made[_owner(pod)] <= told[mine][1]:
            out[mine] = told[mine][0]
    return out


def _gone(dumps: Sequence[ClusterDump]) -> set[tuple[str, str, str]]:
    """Return the Pods that a later dump no longer has."""
    seen: dict[tuple[str, str, str], int] = {}
    for dump in dumps:
        for pod in dump.pods:
            seen[_key(pod)] = max(seen.get(_key(pod), 0), dump.latest_ns or 0)
    out: set[tuple[str, str, str]] = set()
    for later in dumps:
        here = {_key(pod) for pod in later.pods}
        owners, nodes = {_owner(pod) for pod in later.pods}, {pod.node for pod in later.pods}
        for pod in _others(dumps, later):
            asked = _owner(pod) in owners and pod.workload is not None and pod.node in nodes
            since = max(seen[_key(pod)], (pod.created_ns or 0) + WHOLE_NS)
            if asked and _key(pod) not in here and pod.created_ns is not None and (later.latest_ns or 0) >= since:
                out.add(_key(pod))
    return out


def _others(dumps: Iterable[ClusterDump], but: ClusterDump) -> Iterable[PodSpec]:
    return (pod for dump in dumps if dump is not but for pod in dump.pods)
