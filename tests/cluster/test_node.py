"""What a node shows of itself: names of containers, namespaces, Pods; and what it adds to an address book."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.capture.netns import inside
from probewatch.cluster.links import Link, LinkWatch
from probewatch.cluster.lookout import Names
from probewatch.cluster.names import (
    BUNDLES,
    by_bundle,
    by_container_logs,
    by_pod_logs,
    on_node,
    read_bundle,
    read_crictl,
)
from probewatch.cluster.node import NodeContainer, NodePod, NodeView, _Names, look
from probewatch.model.book import AddressBook
from probewatch.model.spec import PodSpec
from probewatch.report.node import document, write

ID = "c821af9ed74dfaae8e86eeb6c852cdf715eff12f1882863b58dc315ad86d8be3"
UID = "ad4aaaa5-c083-eb0e-1af8-01aed7fb8174"


def test_names_by_logs(tmp_path: Path) -> None:
    """The kubelet's links and directories of logs name container and Pod; other files name nothing."""
    for name in (f"web-1_shop_my-app-{ID}.log", "web-1_shop_app-short.log", "x.log"):
        (tmp_path / name).touch()
    (found,) = by_container_logs(tmp_path).items()
    assert found[0] == ID
    assert (found[1].namespace, found[1].pod, found[1].container) == ("shop", "web-1", "my-app")
    (tmp_path / f"shop_web-1_{UID}").mkdir()
    assert (by_pod_logs(tmp_path)[UID].namespace, by_pod_logs(tmp_path)[UID].pod) == ("shop", "web-1")
    assert by_container_logs(tmp_path / "missing") == {}


def test_names_by_crictl() -> None:
    """The labels of `crictl ps -o json` name container and Pod."""
    labels = {"io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "shop", "io.kubernetes.container.name": "app"}
    names, why = read_crictl(json.dumps({"containers": [{"id": ID, "labels": labels}, {"id": "other"}]}).encode())
    assert why == ""
    assert [(one, name.pod, name.container) for one, name in names.items()] == [(ID, "web-1", "app")]


CONTAINERD = {"io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-name": "web-1",
              "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-uid": "u-1"}
CRIO = {"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web-1", "io.kubernetes.container.name": "app",
        "io.kubernetes.pod.uid": "u-1"}  # fmt: skip


@pytest.mark.parametrize(("bundle", "annotations"), list(zip(BUNDLES, (CONTAINERD, CRIO), strict=True)), ids=["containerd", "CRI-O"])
def test_names_that_the_runtime_wrote_down(bundle: str, annotations: dict[str, str], tmp_path: Path) -> None:
    """Annotations of a container's config.json name it, also where the node's files lie below another root; an id is no path."""
    path = Path(f"{tmp_path}{bundle.format(ID)}")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"ociVersion": "1.2.0", "annotations": annotations}))
    name = by_bundle(ID, ("/nowhere", str(tmp_path)))
    assert name is not None
    assert (name.namespace, name.pod, name.container, name.uid, name.source) == ("shop", "web-1", "app", "u-1", str(path))
    assert by_bundle("../" + ID, (str(tmp_path),)) is None
    assert by_bundle("0" * 64, (str(tmp_path),)) is None


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b'{"annotations": 3}', b'{"annotations": {"io.kubernetes.pod.name": 3}}']))
def test_any_config_json(text: bytes) -> None:
    """What names nobody gives no name."""
    assert read_bundle(text, "config.json") is None


def test_logs_below_the_nodes_root(tmp_path: Path) -> None:
    """In a debug container the node's directories are below the root of its first process."""
    (tmp_path / "var/log/pods/shop_web-1_1fd18d41-e217-4bd7-9a93-dc1bd9b14e7f").mkdir(parents=True)
    place = on_node(Path("/var/log/pods"), ("/nowhere", str(tmp_path)))
    assert place == tmp_path / "var/log/pods"
    assert [name.pod for name in by_pod_logs(place).values()] == ["web-1"]
    assert on_node(Path("/var/log/pods"), ("/nowhere",)) is None


def test_what_was_told_once_is_remembered() -> None:
    """A Pod that only crictl named keeps its name when it is looked at again without crictl."""
    names = view().names()
    assert {one: (name.namespace, name.pod, name.container, name.source) for one, name in names.items()} == {
        ID: ("shop", "web-1", "app", "crictl")
    }
    assert _Names(AddressBook(), names).container(ID) == names[ID]


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b'{"containers": 3}', b'{"containers": [4]}', b"{}"]))
def test_any_answer_of_crictl(text: bytes) -> None:
    """What is no answer gives no names and one sentence."""
    names, why = read_crictl(text)
    assert names == {}
    assert "\n" not in why


def view(**more: object) -> NodeView:
    """Make the view of a node with one Pod."""
    pod = NodePod(
        namespace="shop",
        name="web-1",
        net_namespace=7,
        addresses=("10.128.0.10", "fd01::a"),
        interfaces=("veth1",),
        containers=(NodeContainer(id=ID, name="app"),),
        sources={"name": "crictl"},
    )
    links = (Link(index=2, name="tun0", addresses=("10.128.0.1", "fd01::1")),)
    return NodeView(host="labnode", links=links, pods=(pod,), **more)  # type: ignore[arg-type]


def test_what_it_adds_to_a_book() -> None:
    """Its own addresses are the node's for certain, and an address means the Pod that has it."""
    book = view().book()
    for address in ("10.128.0.1", "fd01::1"):
        node = book.node(address)
        assert node is not None
        assert (node.node, node.source, node.rank) == ("labnode", "own interface tun0", 0)
    for address in ("10.128.0.10", "fd01::a"):
        pod = book.pod(address, 0)
        assert pod is not None
        assert (pod.name, pod.declared_by, pod.containers[0].ids) == ("web-1", "this node (crictl)", (ID,))
    behind = view().pod_behind("veth1")
    assert behind is not None
    assert behind.name == "web-1"
    assert view().pod_behind("veth2") is None


def test_a_manifest_wins() -> None:
    """A Pod that a manifest declares is not added a second time."""
    declared = PodSpec(source="pod.yaml", name="web-1", namespace="shop", addresses=("10.128.0.10",))
    book = view().book(AddressBook(pods={"10.128.0.10": (declared,)}))
    assert book.pods_at("10.128.0.10", 0) == [declared]


def test_a_pods_own_namespace_is_no_node() -> None:
    """Seen from inside a Pod its addresses are no node's: what it asks of others is no kubelet's. A node in a container is one."""
    lo = Link(index=1, name="lo")
    eth0 = Link(index=2, name="eth0", kind="veth", addresses=("10.128.0.10", "fd01::a"), peer=7, namespace=0)
    second = Link(index=3, name="net1", kind="macvlan", addresses=("192.0.2.7",), namespace=0)
    theirs = Link(index=4, name="veth1", kind="veth", namespace=1)
    assert NodeView(host="web-1", links=(lo, eth0, second), pods=()).book().nodes == {}
    assert set(NodeView(host="kind", links=(lo, eth0, theirs), pods=()).book().nodes) == {"10.128.0.10", "fd01::a"}


@pytest.fixture
def pod(needs_root: None) -> Iterator[tuple[str, str]]:  # noqa: ARG001  (skips)
    """Make a node and a pod as network namespaces joined by a veth; return their names."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed")
    node, name = f"pwX-n{os.getpid()}", f"pwX-p{os.getpid()}"
    try:
        for words in (
            ("netns", "add", node),
            ("netns", "add", name),
            ("link", "add", "vethX", "netns", node, "type", "veth", "peer", "name", "eth0", "netns", name),
            ("-n", node, "address", "add", "10.128.0.1/24", "dev", "vethX"),
            ("-n", name, "address", "add", "10.128.0.10/24", "dev", "eth0"),
            ("-n", name, "address", "add", "fd01::a/64", "dev", "eth0", "nodad"),
            ("-n", name, "link", "set", "eth0", "up"),
            ("-n", node, "link", "set", "vethX", "up"),
        ):
            done = subprocess.run(["ip", *words], capture_output=True, timeout=10, check=False)
            if done.returncode:
                pytest.skip(f"network namespaces cannot be made here: {done.stderr.decode().strip()}")
        yield node, name
    finally:
        for one in (node, name):
            subprocess.run(["ip", "netns", "delete", one], check=False, capture_output=True, timeout=10)


def test_the_namespace_behind_a_veth(pod: tuple[str, str]) -> None:
    """From the node's namespace the other end of its veth is found, with the addresses it has, IPv4 and IPv6."""
    node, name = pod
    seen = inside(node, lambda: look(crictl=False))
    found = seen.pod_behind("vethX")
    assert found is not None
    assert found.net_namespace_name == name
    assert found.addresses == ("10.128.0.10", "fd01::a")
    assert found.sources == {"addresses": "its network namespace", "interfaces": "veth peer"}
    own = seen.book().node("10.128.0.1")
    assert own is not None
    assert own.source == "own interface vethX"
    assert inside(name, lambda: look(crictl=False)).book().nodes == {}


def test_pods_of_another_node_on_this_machine(pod: tuple[str, str]) -> None:
    """A namespace that no link joined with the node's is another node's, whatever addresses it has: its name means nobody here."""
    node, name = pod
    seen = inside(node, lambda: look(crictl=False))
    assert {found.net_namespace_name: found.joined for found in seen.pods if found.net_namespace_name == name} == {name: True}
    other = f"{node}-other"
    subprocess.run(["ip", "netns", "add", other], check=True, timeout=10)
    try:
        seen = inside(other, lambda: look(crictl=False))
    finally:
        subprocess.run(["ip", "netns", "delete", other], check=True, timeout=10)
    (theirs,) = (found for found in seen.pods if found.net_namespace_name == name)
    assert (theirs.joined, theirs.addresses) == (False, ("10.128.0.10", "fd01::a"))
    named = replace(theirs, name="web-1", sources={"name": "crictl"})
    assert replace(seen, pods=(named,)).book().pods == {}
    assert set(replace(seen, pods=(replace(named, joined=True),)).book().pods) == {"10.128.0.10", "fd01::a"}


def test_links_that_come_and_go(pod: tuple[str, str]) -> None:
    """A link that comes is told, so that what was looked up is looked up anew; nothing else is."""
    node, _ = pod
    watch = inside(node, LinkWatch)
    try:
        assert not watch.changed()
        subprocess.run(["ip", "-n", node, "link", "add", "vethY", "type", "veth", "peer", "name", "vethZ"], check=True, timeout=10)
        assert watch.changed(5.0)
        assert not watch.changed()
    finally:
        watch.close()


def test_pods_that_come_and_go_at_one_address() -> None:
    """A Pod keeps its name for its time: whoever has its address later is another, and a Pod of --cluster stays what it was."""

    def seen(*names: str) -> NodeView:
        known = {"name": "crictl"}
        pods = [NodePod(namespace="shop", name=name, net_namespace=7, addresses=("10.128.0.10",), sources=known) for name in names]
        return NodeView(host="n", links=(Link(index=3, name="tun0", addresses=("10.128.0.1",)),), pods=tuple(pods))

    declared = PodSpec(source="pods.json", name="db-1", namespace="shop", addresses=("10.128.0.11",), declared_by="--cluster")
    names = Names(AddressBook(pods={"10.128.0.11": (declared,)}))
    second = 1_000_000_000
    names.take(seen("web-1"), 100 * second)
    names.take(seen(), 200 * second)
    book = names.take(seen("web-2"), 300 * second)
    at = {s: [pod.name for pod in book.pods_at("10.128.0.10", s * second)] for s in (50, 150, 250, 350)}
    assert at == {50: ["web-1"], 150: ["web-1"], 250: [], 350: ["web-2"]}
    assert [pod.tied_by for pod in book.pods["10.128.0.10"]] == ["this node (crictl)"] * 2
    assert book.pods["10.128.0.11"] == (declared,)
    assert book.node("10.128.0.1").source == "own interface tun0"


def test_a_second_node_is_no_pod(pod: tuple[str, str]) -> None:
    """A namespace that passes packets between links of its own is another node or a router; a Pod with two links passes on nothing."""
    node, name = pod
    other, its_pod = f"{node}-b", f"{name}-b"
    try:
        for words in (
            f"netns add {other}",
            f"netns add {its_pod}",
            f"link add vethN netns {node} type veth peer name uplink netns {other}",
            f"link add vethP netns {other} type veth peer name eth0 netns {its_pod}",
            f"-n {other} address add 10.128.1.1/24 dev vethP",
        ):
            subprocess.run(["ip", *words.split()], check=True, timeout=10)
        for forwards in ("0", "1"):
            for family in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                setting = Path("/proc/sys/net", family)
                inside(other, lambda setting=setting, value=forwards: setting.write_text(value, encoding="ascii"))
            seen = inside(node, lambda: look(crictl=False))
            behind = seen.pod_behind("vethN")
            assert behind is not None
            assert (behind.net_namespace_name, behind.routes) == (other, forwards == "1")
            assert [found.routes for found in seen.pods if found.net_namespace_name == name] == [False]
            out = io.StringIO()
            write(seen, out.write)
            told = " ".join(out.getvalue().split())
            assert (f"namespace {other} at vethN (10.128.1.1) is no Pod" in told) is (forwards == "1")
            assert f"namespace {name} vethX" in told
        (shown,) = [one for one in document(seen)["pods"] if one["net_namespace"]["name"] == other]
        assert shown["routes"] is True
    finally:
        for one in (other, its_pod):
            subprocess.run(["ip", "netns", "delete", one], check=False, capture_output=True, timeout=10)
