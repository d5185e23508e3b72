"""Whose Pod it is, and of which revision: from ownerReferences and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probewatch.cluster import build_book, read_cluster, read_specs
from probewatch.model.spec import PodSpec, Workload

MADE = 1795380190 * 1_000_000_000
"""2026-11-22T20:43:10Z."""


def pod(owner: tuple[str, str] | None, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None,
        name: str = "web-x", address: str = "10.128.0.9", controller: bool = True) -> dict[str, Any]:
    """Return a Pod as the API server prints it."""
    references = [{"apiVersion": "x/v1", "kind": owner[0], "name": owner[1], "uid": "u", "controller": controller}] if owner else None
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "annotations": annotations, "ownerReferences": references,
                     "creationTimestamp": "2026-11-22T20:43:10Z"},
        "spec": {"containers": [{"name": "app", "readinessProbe": {"httpGet": {"port": 8080}}}]},
        "status": {"podIP": address},
    }


def read(tmp_path: Path, *items: dict[str, Any]) -> list[PodSpec]:
    """Return the Pods of a dump."""
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": list(items)}))
    return list(read_cluster(str(file)).pods)


@pytest.mark.parametrize(("owner", "labels", "annotations", "kind", "name", "revision"), [
    (("ReplicaSet", "web-7d9f6c5b44"), {"pod-template-hash": "7d9f6c5b44"}, {}, "Deployment", "web", "7d9f6c5b44"),
    (("ReplicaSet", "my-web-1-7d9f6c5b44"), {"pod-template-hash": "7d9f6c5b44"}, {}, "Deployment", "my-web-1", "7d9f6c5b44"),
    (("ReplicaSet", "web-7d9f6c5b44"), {"rollouts-pod-template-hash": "7d9f6c5b44"}, {}, "Rollout", "web", "7d9f6c5b44"),
    (("ReplicaSet", "mine"), {"pod-template-hash": "7d9f6c5b44"}, {}, "ReplicaSet", "mine", ""),
    (("ReplicaSet", "mine"), {}, {}, "ReplicaSet", "mine", ""),
    (("ReplicationController", "web-12"), {"deploymentconfig": "web", "deployment": "web-12"}, {}, "DeploymentConfig", "web", "12"),
    (("ReplicationController", "web-12"), {}, {"openshift.io/deployment-config.name": "web"}, "DeploymentConfig", "web", "12"),
    (("ReplicationController", "web-12"), {}, {}, "ReplicationController", "web-12", ""),
    (("StatefulSet", "db"), {"controller-revision-hash": "db-68b9c7dd9f"}, {}, "StatefulSet", "db", "68b9c7dd9f"),
    (("DaemonSet", "log"), {"controller-revision-hash": "68b9c7dd9f"}, {}, "DaemonSet", "log", "68b9c7dd9f"),
    (("Job", "migrate"), {}, {}, "Job", "migrate", ""),
    (("Widget", "w"), {"pod-template-hash": ""}, {}, "Widget", "w", ""),
])
def test_owner_and_revision(tmp_path: Path, owner, labels, annotations, kind, name, revision) -> None:
    """Each controller's Pod is known by its workload and revision; where labels do not say one, none is made up."""
    (only,) = read(tmp_path, pod(owner, labels=labels, annotations=annotations))
    assert only.workload == Workload(kind=kind, name=name, revision=revision, number=12 if revision == "12" else None)
    assert only.created_ns == MADE


@pytest.mark.parametrize(("owner", "labels"), [
    (None, {"pod-template-hash": "7d9f"}),
    (("Node", "node-a"), {}),
    (("ReplicationController", "web-12"), {"openshift.io/deployer-pod-for.name": "web-12"}),
    (("", ""), {}),
])
def test_no_workload(tmp_path: Path, owner, labels) -> None:
    """A Pod on its own, a static Pod's mirror and a deployer Pod belong to no workload."""
    (only,) = read(tmp_path, pod(owner, labels=labels))
    assert only.workload is None


def test_the_controller_among_owners(tmp_path: Path) -> None:
    """Of several owners the one that controls counts; where none does, none."""
    two = pod(("ReplicaSet", "web-7d9f"), labels={"pod-template-hash": "7d9f"})
    two["metadata"]["ownerReferences"].insert(0, {"kind": "Policy", "name": "p", "uid": "u"})
    none = pod(("ReplicaSet", "web-7d9f"), controller=False)
    none["metadata"]["ownerReferences"].append({"kind": "Policy", "name": "p", "uid": "u", "controller": None})
    first, second = read(tmp_path, two, none)
    assert first.workload == Workload(kind="Deployment", name="web", revision="7d9f")
    assert second.workload is None


def test_odd_owners_are_noted(tmp_path: Path) -> None:
    """A Pod whose owners are no list is passed over with a note, as any wrong object; the others count."""
    wrong = pod(("ReplicaSet", "a"))
    wrong["metadata"]["ownerReferences"] = "mine"
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"kind": "List", "items": [wrong, pod(("Job", "j"))]}))
    dump = read_cluster(str(file))
    assert [each.workload for each in dump.pods] == [Workload(kind="Job", name="j")]
    assert "metadata.ownerReferences" in dump.notes[0]


def test_workload_survives_the_spec(tmp_path: Path) -> None:
    """Where --spec and --cluster speak of one Pod, it keeps its workload; a template has none of its own."""
    (tmp_path / "pod.yaml").write_text("kind: Pod\nmetadata: {name: web-x, namespace: shop}\nspec: {containers: [{name: app}]}\n")
    (tmp_path / "d.yaml").write_text(
        "kind: Deployment\nmetadata: {name: web}\n"
        "spec: {template: {metadata: {ownerReferences: [{kind: X, name: y}]}, spec: {containers: [{name: app}]}}}\n")
    read(tmp_path, pod(("ReplicaSet", "web-7d9f"), labels={"pod-template-hash": "7d9f"}))
    book = build_book(read_specs(str(tmp_path / "pod.yaml")), [read_cluster(str(tmp_path / "cluster.json"))])
    (met,) = book.pods["10.128.0.9"]
    assert (met.declared_by, met.workload, met.created_ns) == ("--spec", Workload(kind="Deployment", name="web", revision="7d9f"), MADE)
    (template,) = read_specs(str(tmp_path / "d.yaml"))
    assert template.workload is None
