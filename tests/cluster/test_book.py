"""Cluster dumps and the address book: who an address is, and by what it is known."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.cluster import ClusterDump, SpecError, build_book, manifests, parse_node_ip, read_cluster, read_specs
from probewatch.cluster import dump as dump_module
from probewatch.model.book import NodeAddress
from probewatch.model.spec import ContainerSpec, ContainerStart, PodSpec
from probewatch.model.units import SECOND

T = 1795380190 * SECOND
"""2026-11-22T20:43:10Z."""


def pod(name: str, address: str | None, **more: Any) -> dict[str, Any]:
    """Return a running Pod of node-a with one probed container."""
    status: dict[str, Any] = {"phase": "Running", "hostIP": "192.168.10.11", "startTime": "2026-11-22T20:43:10Z"}
    if address:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    status["containerStatuses"] = [{"name": "app", "restartCount": 1, "state": {"running": {"startedAt": "2026-11-22T20:43:12Z"}}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "lab", "labels": {"app": name.split("-")[0]}, **more.get("metadata", {})},
        "spec": {
            "containers": [
                {"name": "app", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": {"httpGet": {"port": "http"}}},
            ],
            "nodeName": "node-a",
            **more.get("spec", {}),
        },
        "status": {**status, **more.get("status", {})},
    }


NODE = {
    "kind": "Node",
    "metadata": {"name": "node-a", "annotations": {"k8s.ovn.org/node-subnets": '{"default":["fd01::/64"]}'}},
    "spec": {"podCIDR": "10.128.0.0/23", "podCIDRs": ["10.128.0.0/23"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.168.10.11"}, {"type": "Hostname", "address": "node-a"}]},
}
HOST_SUBNET = {"kind": "HostSubnet", "host": "node-a", "hostIP": "192.168.10.11", "subnet": "10.128.0.0/23"}


def write(path: Path, *items: Any, name: str = "cluster.json") -> str:
    """Write a List as kubectl prints it."""
    file = path / name
    file.write_text(json.dumps({"apiVersion": "v1", "items": list(items), "kind": "List", "metadata": {"resourceVersion": ""}}, indent=4))
    return str(file)


def test_golden_cluster(tmp_path: Path) -> None:
    """A cluster like those of OpenShift: every address with its node, its reasons, the surest first, and every Pod by address."""
    proxy = pod("proxy-1", "192.168.10.11", spec={"hostNetwork": True})
    pods = [pod("api", "10.128.0.12"), pod("six", "FD01::5"), proxy, pod("waiting", None)]
    path = write(tmp_path, NODE, HOST_SUBNET, *pods, {"kind": "Service"})

    book = build_book([], [read_cluster(path)], [])

    def entry(address: str, source: str) -> NodeAddress:
        return NodeAddress(address=address, node="node-a", node_address="192.168.10.11", source=source, rank=2)

    assert book.nodes == {
        "192.168.10.11": (
            entry("192.168.10.11", "Node address in --cluster"),
            entry("192.168.10.11", "HostSubnet in --cluster"),
        ),
        "10.128.0.1": (entry("10.128.0.1", "HostSubnet in --cluster"), entry("10.128.0.1", "podCIDR gateway in --cluster")),
        "fd01::2": (entry("fd01::2", "CNI annotation in --cluster"),),
    }
    assert {address: [each.name for each in pods] for address, pods in book.pods.items()} == {
        "10.128.0.12": ["api"],
        "fd01::5": ["six"],
        "192.168.10.11": ["proxy-1"],
    }
    assert book.unplaced == ()
    assert book.notes == ("cluster.json: passed over 1 Service",)
    api = book.pods["10.128.0.12"][0]
    assert (api.source, api.declared_by, api.node, api.host_ip) == ("cluster.json item 3", "--cluster", "node-a", "192.168.10.11")
    assert api.containers[0].probes[0].port == 8080
    assert api.containers[0].starts == (ContainerStart(started_ns=T + 2 * SECOND),)


def test_gzip_and_raw_lists(tmp_path: Path) -> None:
    """A dump may be packed, may be the API's own PodList and NodeList, and may be two commands' output in one file."""
    bare = {key: value for key, value in pod("api", "10.128.0.12").items() if key != "kind"}
    nodes = {"kind": "NodeList", "items": [{key: value for key, value in NODE.items() if key != "kind"}]}
    text = json.dumps(nodes) + "\n" + json.dumps({"items": [bare], "kind": "PodList"})
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(text.encode()))

    found = read_cluster(str(tmp_path / "c.json.gz"))

    assert [each.name for each in found.pods] == ["api"]
    assert "192.168.10.11" in [each.address for each in found.nodes]
    assert found.pods[0].source == "c.json.gz document 2 item 1"


def test_wrong_objects_are_noted(tmp_path: Path) -> None:
    """One wrong object does not spoil the dump: it is passed over, or its probe left out, and a note says why."""
    probes = {"readinessProbe": {"httpGet": {"port": 0}}, "livenessProbe": {"grpc": {"port": 5}}}
    odd = pod("odd", "10.128.0.13", spec={"containers": [{"name": "app", **probes}]})
    broken = pod("broken", "10.128.0.999")
    path = write(tmp_path, odd, broken, 5, {"a": 1}, {"kind": "Node", "status": {"addresses": 5}}, pod("api", "10.128.0.12"))

    found = read_cluster(path)

    assert [(each.name, len(each.containers[0].probes)) for each in found.pods] == [("odd", 1), ("api", 1)]
    assert found.notes == (
        (
            "cluster.json: item 1 (Pod lab/odd): spec.containers[0].readinessProbe.httpGet.port: expected a number from 1 to 65535, got 0; "
            "the probe is left out"
        ),
        'cluster.json: item 2 (Pod lab/broken): status.podIP: expected an IPv4 or IPv6 address, got "10.128.0.999"; passed over',
        "cluster.json: item 3: expected a Kubernetes object with `kind`, got 5; passed over",
        "cluster.json: item 4: expected a Kubernetes object with `kind`, got a mapping; passed over",
        "cluster.json: item 5 (Node): status.addresses: expected a list, got 5; passed over",
    )


def test_notes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many objects are wrong, the notes stay few, and the rest is counted."""
    monkeypatch.setattr(dump_module, "MAX_NOTES", 2)

    found = read_cluster(write(tmp_path, *([5] * 10), NODE, *({"kind": f"K{n}"} for n in range(30))))

    assert len(found.notes) == 4
    assert found.notes[2] == "cluster.json: 8 more objects or probes could not be used"
    assert found.notes[3] == "cluster.json: passed over " + ", ".join(f"1 K{n}" for n in range(8)) + ", 22 of other kinds"


def test_kinds_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many kinds a file holds, few are kept; the count stays right."""
    monkeypatch.setattr(manifests, "MAX_KINDS", 3)

    found = read_cluster(write(tmp_path, NODE, *({"kind": f"K{n}"} for n in range(30))))

    assert found.notes == ("cluster.json: passed over 1 K0, 1 K1, 1 K2, 27 of other kinds",)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "holds no object; --cluster needs the output of `kubectl get nodes,pods -A -o json`"),
        ([{"kind": "Service"}], "holds no usable Node, HostSubnet or Pod (passed over 1 Service); --cluster needs"),
        ([5], "(item 1: expected a Kubernetes object with `kind`, got 5; passed over)"),
    ],
)
def test_useless_dump(tmp_path: Path, items: list[Any], message: str) -> None:
    """A dump without nodes and Pods says what it holds and what to give instead."""
    with pytest.raises(SpecError) as caught:
        read_cluster(write(tmp_path, *items))

    assert message in str(caught.value)


def test_node_ip_first(tmp_path: Path) -> None:
    """`--node-ip` goes before the cluster and takes from it the name and the node's own address."""
    cluster = read_cluster(write(tmp_path, NODE, HOST_SUBNET))

    book = build_book([], [cluster], [parse_node_ip("10.128.0.1"), parse_node_ip("node-a=10.9.9.9"), parse_node_ip("far=fd00::7")])

    first = book.node("10.128.0.1")
    assert first == NodeAddress(address="10.128.0.1", node="node-a", node_address="192.168.10.11", source="--node-ip", rank=1)
    assert len(book.nodes["10.128.0.1"]) == 3
    assert book.nodes["10.9.9.9"][0].node_address == "192.168.10.11"
    assert (book.nodes["fd00::7"][0].node, book.nodes["fd00::7"][0].node_address) == ("far", None)
    assert book.node("10.0.0.1") is None


def test_gateway_that_is_a_pod(tmp_path: Path) -> None:
    """The first address of a pod CIDR is only a convention: where a Pod has it, it is the Pod's, and a note says so."""
    cluster = read_cluster(write(tmp_path, NODE, pod("api", "10.128.0.1")))

    book = build_book([], [cluster], [])

    assert book.node("10.128.0.1") is None
    assert book.pods["10.128.0.1"][0].name == "api"
    assert book.notes == ("10.128.0.1 is the first address of the podCIDR of node-a, but Pod lab/api has it: taken as the Pod's",)


def test_nodes_from_pods_alone(tmp_path: Path) -> None:
    """Where the dump has no Nodes, the Pods' hostIP names them."""
    book = build_book([], [read_cluster(write(tmp_path, pod("a", "10.128.0.1"), pod("b", "10.128.0.2")))], [])

    assert book.nodes == {
        "192.168.10.11": (
            NodeAddress(
                address="192.168.10.11", node="node-a", node_address="192.168.10.11", source="status.hostIP in --cluster", rank=2
            ),
        )
    }


def spec(name: str, *addresses: str, **more: Any) -> PodSpec:
    """Return a Pod's spec with one container."""
    return PodSpec(**{"source": f"{name}.yaml", "name": name, "addresses": addresses, "containers": (ContainerSpec(name="app"),), **more})


def test_order_of_pods() -> None:
    """Of Pods with one address --spec comes first, then the newest, then one without a start and one of the node's network."""
    old = spec("old", "10.0.0.1", declared_by="--cluster", started_ns=T)
    new = spec("new", "10.0.0.1", declared_by="--cluster", started_ns=T + 60 * SECOND)
    timeless = spec("timeless", "10.0.0.1", declared_by="--cluster")
    host = spec("host", "10.0.0.1", declared_by="--cluster", host_network=True, started_ns=T + 90 * SECOND)
    mine = spec("mine", "10.0.0.1", started_ns=T - 60 * SECOND)

    book = build_book([mine], [ClusterDump("c", pods=(old, host, timeless, new))], [])

    assert [each.name for each in book.pods["10.0.0.1"]] == ["mine", "new", "old", "timeless", "host"]


def test_reused_address() -> None:
    """An address means a Pod only between its start and its end, whether it was deleted or ran out."""
    done = spec("done", "fd00::1", declared_by="--cluster", started_ns=T, ended_ns=T + 10 * SECOND)
    gone = spec("gone", "fd00::1", declared_by="--cluster", started_ns=T + 20 * SECOND, deleted_ns=T + 30 * SECOND)
    here = spec("here", "fd00::1", declared_by="--cluster", started_ns=T + 40 * SECOND)
    book = build_book([], [ClusterDump("c", pods=(done, gone, here))], [])

    def who(seconds: float) -> str | None:
        found = book.pod("fd00::1", T + int(seconds * SECOND))
        return found.name if found else None

    assert [who(-2), who(12), who(35)] == [None, None, None]
    assert [who(-0.5), who(5), who(10.5)] == ["done", "done", "done"]
    assert [who(25), who(100)] == ["gone", "here"]


def test_spec_completed_from_cluster(tmp_path: Path) -> None:
    """A manifest without an address takes address, times and starts from the same Pod in the cluster; its probes win."""
    manifest = tmp_path / "web.yaml"
    manifest.write_text(
        "kind: Pod\nmetadata: {name: web, namespace: lab}\nspec:\n  containers:\n"
        "  - {name: app, ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}, periodSeconds: 3}}\n"
    )
    injected = pod("web", "10.128.0.12")
    injected["spec"]["containers"].append({"name": "mesh"})
    cluster = read_cluster(write(tmp_path, injected))

    book = build_book(read_specs(str(manifest)), [cluster], [])

    (found,) = book.pods["10.128.0.12"]
    assert (found.source, found.declared_by, found.node, found.started_ns) == ("web.yaml", "--spec", "node-a", T)
    assert [each.name for each in found.containers] == ["app", "mesh"]
    assert found.containers[0].probes[0].period_s == 3
    assert (found.containers[0].starts, found.containers[0].restart_count) == ((ContainerStart(started_ns=T + 2 * SECOND),), 1)
    assert book.unplaced == ()


def test_static_pod(tmp_path: Path) -> None:
    """A static Pod's manifest is known although the kubelet appended the node to its name."""
    cluster = read_cluster(write(tmp_path, pod("web-node-a", "10.128.0.12")))

    book = build_book([spec("web", namespace="lab")], [cluster], [])

    assert book.pods["10.128.0.12"][0].name == "web-node-a"
    assert book.pods["10.128.0.12"][0].source == "web.yaml"


def test_workload_placed_on_its_pods(tmp_path: Path) -> None:
    """A Deployment's template stands at every Pod of it, and at no other with like labels or a like name."""
    cluster = read_cluster(
        write(
            tmp_path,
            pod("web-5d4f-abcde", "10.128.0.12"),
            pod("web-5d4f-fghij", "10.128.0.13"),
            pod("website-1", "10.128.0.14"),
            pod("web-other", "10.128.0.15", metadata={"namespace": "elsewhere"}),
            pod("web-x", "10.128.0.16", metadata={"labels": {"app": "x"}}),
        )
    )
    deployment = spec("web", kind="Deployment", namespace="lab", labels=(("app", "web"),))

    book = build_book([deployment], [cluster], [])

    assert {address: (pods[0].name, pods[0].source) for address, pods in book.pods.items()} == {
        "10.128.0.12": ("web-5d4f-abcde", "web.yaml"),
        "10.128.0.13": ("web-5d4f-fghij", "web.yaml"),
        "10.128.0.14": ("website-1", "cluster.json item 3"),
        "10.128.0.15": ("web-other", "cluster.json item 4"),
        "10.128.0.16": ("web-x", "cluster.json item 5"),
    }


def test_namespace_left_to_the_command_line(tmp_path: Path) -> None:
    """A manifest without a namespace fits a Pod elsewhere if there is one place only, and a note says so; else it stays unplaced."""
    one = pod("web", "10.128.0.12")
    other = pod("web", "10.128.0.13", metadata={"namespace": "elsewhere"})

    single = build_book([spec("web")], [read_cluster(write(tmp_path, one))], [])
    twice = build_book([spec("web")], [read_cluster(write(tmp_path, one, other))], [])

    assert single.pods["10.128.0.12"][0].declared_by == "--spec"
    assert single.notes == ("web.yaml: no namespace is given; taken for Pod web in namespace lab",)
    assert [each.declared_by for each in twice.pods["10.128.0.12"]] == ["--cluster"]
    assert [each.name for each in twice.unplaced] == ["web"]


def test_same_name_another_pod(tmp_path: Path) -> None:
    """A Pod of the same name with another address or other containers is another Pod: both stay."""
    cluster = read_cluster(write(tmp_path, pod("web", "10.128.0.12")))
    moved = spec("web", "10.128.0.99", namespace="lab")
    other = spec("web", namespace="lab", containers=(ContainerSpec(name="different"),))

    assert set(build_book([moved], [cluster], []).pods) == {"10.128.0.12", "10.128.0.99"}
    assert build_book([other], [cluster], []).unplaced == (other,)


def test_unplaced_and_notes() -> None:
    """A spec without an address is unplaced; a waiting Pod of the cluster is not; notes given are passed on first."""
    book = build_book([spec("web")], [ClusterDump("c", pods=(spec("waiting", declared_by="--cluster"),), notes=("b",))], [], ["a"])

    assert [each.name for each in book.unplaced] == ["web"]
    assert book.notes == ("a", "b")
    assert book.pods == {}


PARTS = st.tuples(st.sampled_from(["web", "web-1", "api"]), st.sampled_from(["10.0.0.1", "fd00::1", None]), st.integers(0, 3))


@given(st.lists(PARTS, max_size=6))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_pod_is_lost(parts: list[tuple[str, str | None, int]]) -> None:
    """Every address that anything declares is in the book, and every spec is in it or unplaced."""
    specs = [spec(name, *([address] if address else []), started_ns=n) for name, address, n in parts[::2]]
    pods = tuple(spec(name, *([address] if address else []), started_ns=n, declared_by="--cluster") for name, address, n in parts[1::2])

    book = build_book(specs, [ClusterDump("c", pods=pods)], [])

    assert set(book.pods) == {address for each in (*specs, *pods) for address in each.addresses}
    kept = {each.source for listed in (*book.pods.values(), book.unplaced) for each in listed}
    assert {each.source for each in specs} <= kept


def template(
    kind: str, name: str, labels: dict[str, str], *, owner: tuple[str, str] | None = None, replicas: int = 1, period: int = 10
) -> dict[str, Any]:
    """Return a workload as the cluster prints it, whose Pods are as `pod` makes them."""
    made = pod("x", None)
    made["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = period
    owners = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner is not None else []
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "lab", "ownerReferences": owners},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}, "spec": made["spec"]}},
    }


@pytest.mark.parametrize("with_pod", [True, False], ids=["pod", "no pod"])
def test_a_pod_and_all_that_made_it_are_one(tmp_path, with_pod) -> None:
    """`kubectl get all -o yaml`: the Pod stands for ReplicaSet and Deployment, else the Deployment; old ReplicaSets are passed over."""
    labels = {"app": "web", "pod-template-hash": "7d9f"}
    owner = ("Deployment", "web")
    made = [
        template("Deployment", "web", {"app": "web"}),
        template("ReplicaSet", "web-7d9f", labels, owner=owner),
        template("ReplicaSet", "web-5c4b", {"app": "web", "pod-template-hash": "5c4b"}, owner=owner, replicas=0, period=5),
    ]
    running = pod("web-7d9f-abcde", "10.128.0.5", metadata={"labels": labels})
    file = manifests.load_specs(write(tmp_path, *([running] if with_pod else []), *made, name="all.json"))
    book = build_book(file.specs)
    assert [(one.kind, one.name) for one in book.all_pods()] == ([("Pod", "web-7d9f-abcde")] if with_pod else [("Deployment", "web")])
    assert file.notes == ("all.json: passed over 1 ReplicaSet of 0 replicas",)


def test_a_template_that_its_pod_does_not_follow_stays(tmp_path) -> None:
    """A Deployment that declares other probes than its Pod (a rollout that has not come to it) is not the same."""
    running = pod("web-7d9f-abcde", "10.128.0.5", metadata={"labels": {"app": "web"}})
    newer = template("Deployment", "web", {"app": "web"}, period=5)
    book = build_book(manifests.load_specs(write(tmp_path, running, newer, name="all.json")).specs)
    assert sorted(one.name for one in book.all_pods()) == ["web", "web-7d9f-abcde"]
