# ruff: noqa: E501 (rows of tables keep their line)
"""What dumps tell beside their Pods: the numbers of revisions, what a Pod waits for, and which Pods a later dump no longer has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probewatch.cluster import build_book, read_cluster
from probewatch.model.spec import PodSpec

OLD, NEW = "5c4b", "7d9f"


def pod(owner: tuple[str, str], name: str, address: str, *, made: str = "20:43:10", node: str = "node-a", labels: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    """Return a Pod as the API server prints it."""
    references = [{"kind": owner[0], "name": owner[1], "controller": True}]
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": references, "creationTimestamp": f"2026-11-22T{made}Z"},
        "spec": {"nodeName": node, "containers": [{"name": "app", "readinessProbe": {"httpGet": {"port": 8080}}}]},
        "status": {"podIP": address, **status},
    }


def web(revision: str, *, name: str = "", kind: str = "ReplicaSet", **how: Any) -> dict[str, Any]:
    """Return a Pod of the workload `web`."""
    label, owner = ("pod-template-hash", f"web-{revision}") if kind == "ReplicaSet" else ("controller-revision-hash", "web")
    address = f"10.128.0.{10 + (revision == NEW) + 2 * bool(name)}"
    return pod((kind, owner), name or f"web-{revision}-x", address, labels={label: revision}, **how)


def numbered(revision: str, number: Any, kind: str = "ReplicaSet", key: str = "deployment.kubernetes.io/revision") -> dict[str, Any]:
    """Return what tells the number of a revision."""
    metadata: dict[str, Any] = {"name": f"web-{revision}", "namespace": "shop"}
    if kind == "ReplicaSet":
        return {"kind": kind, "apiVersion": "apps/v1", "metadata": metadata | {"annotations": {key: number}}, "spec": {"replicas": 0}}
    return {"kind": kind, "apiVersion": "apps/v1", "metadata": metadata, "revision": number}


def met(tmp_path: Path, *dumps: list[dict[str, Any]]) -> list[PodSpec]:
    """Return the Pods of dumps, as the address book has them."""
    read = []
    for number, items in enumerate(dumps):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": items}))
        read.append(read_cluster(str(file)))
    book = build_book([], read)
    return [each for pods in book.pods.values() for each in pods]


def numbers(pods: list[PodSpec]) -> dict[str, int | None]:
    """Return the number of each revision."""
    return {each.workload.revision: each.workload.number for each in pods if each.workload is not None}


@pytest.mark.parametrize(("kind", "told", "key"), [
    ("ReplicaSet", "3", "deployment.kubernetes.io/revision"), ("ReplicaSet", "3", "rollout.argoproj.io/revision"), ("StatefulSet", 3, ""), ("DaemonSet", 3, ""),
])
def test_who_numbers_revisions(tmp_path: Path, kind: str, told: Any, key: str) -> None:
    """A ReplicaSet's annotation and a ControllerRevision's field are the number of the Pods made from it; others have none."""
    maker = numbered(OLD, told, key=key) if kind == "ReplicaSet" else numbered(OLD, told, "ControllerRevision")
    assert numbers(met(tmp_path, [web(OLD, kind=kind), web(NEW, kind=kind), maker])) == {OLD: 3, NEW: None}


@pytest.mark.parametrize("text", ["", "three", "9" * 40, None])
def test_a_number_that_is_none_is_none(tmp_path: Path, text: str | None) -> None:
    """What no controller writes there counts as nothing."""
    assert numbers(met(tmp_path, [web(OLD), numbered(OLD, text)])) == {OLD: None}


def test_numbers_of_another_rollout_do_not_count(tmp_path: Path) -> None:
    """Of two dumps the later numbers hold; where Pods were made after the numbers were told they are not believed."""
    first = [web(OLD), web(NEW, made="20:50:00"), numbered(OLD, "1"), numbered(NEW, "2")]
    again = web(OLD, made="21:00:00", name="again")
    assert numbers(met(tmp_path, first, [*first[:2], again, numbered(OLD, "3"), numbered(NEW, "2")])) == {OLD: 3, NEW: 2}
    assert numbers(met(tmp_path, first, [*first[:2], again])) == {OLD: None, NEW: None}


def test_a_pod_that_a_later_dump_lacks_is_gone(tmp_path: Path) -> None:
    """It is, whichever dump is given first; not where the dump without it may be the earlier one, or was asked for less."""
    old, new = web(OLD), web(NEW, made="20:50:00")
    here = [old, new]

    def gone(*dumps: list[dict[str, Any]]) -> set[str]:
        return {each.name for each in met(tmp_path, *dumps) if each.gone}

    assert gone(here, [new]) == gone([new], here) == {"web-5c4b-x"}
    assert gone(here, here) == gone(here) == set()
    assert gone(here, [old]) == set(), "the new one may not have been made yet"
    assert gone(here, [web(NEW, made="20:50:00", node="node-b")]) == set(), "another node's Pods"
    assert gone(here, [pod(("Job", "j"), "j", "10.128.0.9")]) == set(), "another workload's"
    nodes = {"kind": "Node", "metadata": {"name": "node-a"}, "status": {"addresses": [], "conditions": [{"type": "Ready", "lastHeartbeatTime": "2026-11-22T21:00:00Z"}]}}
    assert gone(here, [old, nodes]) == {"web-7d9f-x"}, "a node was heard of after the new one was made"


PULL = {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}}


@pytest.mark.parametrize(("status", "waiting"), [
    ({"containerStatuses": [PULL]}, "ImagePullBackOff"),
    ({"containerStatuses": [{"name": "a", "state": {"running": {"startedAt": "2026-11-22T20:43:11Z"}}}, PULL]}, ""),
    ({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"startedAt": "2026-11-22T20:43:11Z"}}}]}, ""),
    ({"initContainerStatuses": [PULL], "containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "PodInitializing"}}}]}, "Init:ImagePullBackOff"),
    ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable"),
    ({"conditions": [{"type": "PodScheduled", "status": "True"}]}, ""),
    ({}, ""),
])
def test_what_a_pod_waits_for(tmp_path: Path, status: dict[str, Any], waiting: str) -> None:
    """As kubectl says it, and only while none of its containers has begun: one that crashed was probed."""
    (one,) = met(tmp_path, [web(NEW, **status)])
    assert one.waiting == waiting


@pytest.mark.parametrize(("grace", "at"), [(45, "20:49:15"), (0, "20:50:00"), (None, "20:49:30")])
def test_when_a_deletion_was_asked_for(tmp_path: Path, grace: int | None, at: str) -> None:
    """Its deletionTimestamp is when the grace period ends, which stands beside it; where it does not, the Pod's own."""
    one = web(NEW)
    one["metadata"] |= {"deletionTimestamp": "2026-11-22T20:50:00Z", "deletionGracePeriodSeconds": grace}
    other = web(OLD, made=at)
    met_ = {each.workload.revision: each for each in met(tmp_path, [one, other]) if each.workload is not None}
    assert met_[NEW].leaving_ns == met_[OLD].created_ns
    assert met_[OLD].leaving_ns is None


def test_a_pod_that_waits_without_an_address_is_known(tmp_path: Path) -> None:
    """It is pending; one that was evicted, and waits for nothing, is not."""
    waits = web(NEW, podIP=None, conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}])
    evicted = web(NEW, name="evicted", podIP=None, phase="Failed", reason="Evicted")
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"kind": "List", "items": [web(OLD), waits, evicted]}))
    assert [each.name for each in build_book([], [read_cluster(str(file))]).pending] == ["web-7d9f-x"]
