"""What is declared and does not fit what was seen: the note says why, and contradicts nothing that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

import probewatch
from probewatch.report.words import owner, unasked

CAPTURES = Path(__file__).parents[2] / "captures"


def changed(tmp_path: Path, name: str, change: dict[str, Any]) -> Path:
    """Return a file with the Pod of a capture, and other values at some of its paths (`status.podIP`)."""
    pod = yaml.safe_load((CAPTURES / name / "pod.yaml").read_text())
    for path, value in change.items():
        *way, last = path.split(".")
        place: Any = pod
        for step in way:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        place[last] = value
    made = tmp_path / "pod.json"
    made.write_text(json.dumps(pod))
    return made


@pytest.mark.parametrize(("name", "address"), [("http-timeout", "10.128.0.10"), ("http-ipv6", "fd00:10:128::a")])
def test_a_pod_that_began_after_the_capture_is_told(tmp_path: Path, name: str, address: str) -> None:
    """A manifest newer than the capture names nothing in it; one note says since when its address is its own, and that all fits.

    Nothing says that no manifest declares the probe, or that no attempt fits it.
    """
    spec = changed(tmp_path, name, {"status.podIP": address, "status.startTime": "2099-01-01T00:00:00Z"})
    timeline = probewatch.verify(CAPTURES / name / "capture.pcap", spec=spec)
    assert {probe.target.address for probe in timeline.probes} == {address}
    assert all(probe.target.pod is None for probe in timeline.probes)
    note, = (note for note in timeline.notes if "pod.json" in note)
    assert f"which has {address}, began only at 2099-01-01 00:00:00 UTC" in note
    assert "exactly the declared ones: they look like those of the same workload's earlier Pod" in note
    assert all("the Pod that was given for this address began only later" in unasked(probe) for probe in timeline.probes)
    assert [finding.held for finding in timeline.findings] == [probewatch.Held.INCONCLUSIVE] * len(timeline.findings)
    assert all("seen only before this Pod began" in finding.sentence for finding in timeline.findings)


def test_a_pod_that_began_later_and_asks_something_else_is_not_likened(tmp_path: Path) -> None:
    """Where the earlier probes are others than the declared ones, nothing likens them to its workload."""
    spec = changed(tmp_path, "http-timeout", {
        "status.startTime": "2099-01-01T00:00:00Z", "spec.containers.0.readinessProbe.httpGet.path": "/other",
    })
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", spec=spec)
    note, = (note for note in timeline.notes if "began only" in note)
    assert "look like" not in note


def test_a_start_in_mid_series_is_a_clock_that_differs(tmp_path: Path) -> None:
    """A series that goes on over the moment at which its Pod is said to have begun contradicts that moment: the note says so."""
    spec = changed(tmp_path, "http-timeout", {"status.startTime": "2026-11-22T20:11:20Z"})
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", spec=spec)
    note, = (note for note in timeline.notes if "began only" in note)
    assert "went on over that moment as one series: the clocks of capture and cluster differ" in note


def test_a_wrong_address_is_held_against_where_these_probes_are(tmp_path: Path) -> None:
    """Just the declared probes at another address than the declared one: both are named."""
    spec = changed(tmp_path, "http-timeout", {"status.podIP": "10.128.9.9", "status.podIPs": [{"ip": "10.128.9.9"}]})
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", spec=spec)
    note, = (note for note in timeline.notes if "pod.json" in note)
    assert "at 10.128.9.9, its address by status.podIP; just these probes are seen at 10.128.0.10" in note


def test_a_port_name_that_the_container_lacks_is_named(tmp_path: Path) -> None:
    """A probe at a port name that its container does not have says that, with the names there are."""
    spec = changed(tmp_path, "http-timeout", {"spec.containers.0.readinessProbe.httpGet.port": "web"})
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", spec=spec)
    note, = (note for note in timeline.notes if "pod.json" in note)
    assert "container app has no port named web (it has http (8080))" in note


@pytest.mark.parametrize(("name", "addresses"), [
    ("web", ["10.128.0.10", "10.128.0.11", "10.128.0.12"]), ("api", ["fd00:10:128::13", "fd00:10:128::14"]),
])
def test_a_pod_without_an_address_that_fits_several(tmp_path: Path, name: str, addresses: list[str]) -> None:
    """A Pod's manifest that fits several addresses at once is nobody's for sure: a note says so, and names carry their address.

    Pods whose period alone is another are not among them. A workload's template may have as many.
    """
    dump = json.loads((CAPTURES / "rollout" / "cluster.json").read_text())
    pod = next(item for item in dump["items"] if item["kind"] == "Pod" and item["metadata"]["name"].startswith(name))
    del pod["status"]
    made = tmp_path / "pod.json"
    made.write_text(json.dumps(pod))
    timeline = probewatch.analyze(CAPTURES / "rollout" / "capture.pcap", spec=made)
    named = [probe for probe in timeline.probes if probe.target.pod is not None]
    assert sorted(probe.target.address for probe in named) == addresses
    assert all(owner(probe.target).endswith(f"/app at {probe.target.address}") for probe in named)
    note, = (note for note in timeline.notes if "tells no address" in note)
    assert f"at {len(addresses)} addresses at the same time ({', '.join(addresses)})" in note
    template = {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"metadata": {}, "spec": pod["spec"]}}}
    made.write_text(json.dumps(template))
    timeline = probewatch.analyze(CAPTURES / "rollout" / "capture.pcap", spec=made)
    assert sum(probe.target.pod == name for probe in timeline.probes) == len(addresses)
    assert not any("tells no address" in note for note in timeline.notes)


@pytest.mark.parametrize(("name", "addresses"), [("web", 3), ("api", 2)])
def test_manifests_that_declare_the_same_leave_the_name_open(tmp_path: Path, name: str, addresses: int) -> None:
    """Several Pods without an address that declare just the same: types and numbers are declared, the name is nobody's, a note says why.

    Each manifest is held against all of them; where more are given than are probed, which one is not probed is not known.
    """
    dump = json.loads((CAPTURES / "rollout" / "cluster.json").read_text())
    pod = next(item for item in dump["items"] if item["kind"] == "Pod" and item["metadata"]["name"].startswith(name))
    del pod["status"]
    specs = []
    for number in range(addresses + 1):
        pod["metadata"]["name"] = f"{name}-{number}"
        specs.append(tmp_path / f"{number}.json")
        specs[-1].write_text(json.dumps(pod))
    capture = CAPTURES / "rollout" / "capture.pcap"
    alone = [p for p in probewatch.analyze(capture, spec=specs[0]).probes if p.spec is not None]
    for given in (2, addresses, addresses + 1):
        timeline = probewatch.verify(capture, spec=specs[:given])
        mine = [p for p in timeline.probes if p.spec is not None]
        assert [(p.target.address, p.type, p.spec, len(p.attempts), p.decisions) for p in mine] == [
            (p.target.address, p.type, p.spec, len(p.attempts), p.decisions) for p in alone
        ]
        assert {(p.type_source, p.target.pod, p.target.named_by) for p in mine} == {("declared", None, "port, handler and path")}
        note, = (note for note in timeline.notes if "declare the same probes and tell no address" in note)
        assert "0.json" in note
        assert "1.json" in note
        assert not any("no attempt in this capture fits" in note for note in timeline.notes)
        subjects = {finding.subject for finding in timeline.findings if finding.held is probewatch.Held.PASS}
        assert len({subject.split("/")[1] for subject in subjects if f"/{name}-" in subject}) == given
        spare = [finding for finding in timeline.findings if finding.field == "probed" and f"/{name}-" in finding.subject]
        assert {finding.held for finding in spare} == ({probewatch.Held.INCONCLUSIVE} if given > addresses else set())


def test_a_dump_of_another_time_is_told(tmp_path: Path) -> None:
    """A cluster dump in which the probed Pod has another address: a note says where its probes are seen, and why."""
    pod = yaml.safe_load((CAPTURES / "http-timeout" / "pod.yaml").read_text())
    pod["status"] = {"phase": "Running", "podIP": "10.128.0.99", "podIPs": [{"ip": "10.128.0.99"}]}
    dump = tmp_path / "cluster.json"
    dump.write_text(json.dumps({"kind": "List", "items": [pod]}))
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", cluster=dump)
    (note,) = [note for note in timeline.notes if "the dump is of another time" in note]
    assert "at 10.128.0.10 those of" in note
    assert "10.128.0.99" in note


def test_a_client_that_is_refused_is_no_kubelet(tmp_path: Path) -> None:
    """Refused connections to the port that a manifest without an address declares, but at no pace of its probes, prove no kubelet."""
    spec = tmp_path / "pod.yaml"
    spec.write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: shop}, spec: {containers: [{name: app, readinessProbe: "
        "{httpGet: {path: /ready, port: 8080}, periodSeconds: 3}}]}}"
    )
    refused = []
    for port, at in enumerate((0.0, 2.0, 5.3, 6.3, 8.3), 40000):
        syn = Ether() / IP(src="10.128.0.20", dst="10.128.0.111") / TCP(sport=port, dport=8080, flags="S", seq=7)
        rst = Ether() / IP(src="10.128.0.111", dst="10.128.0.20") / TCP(sport=8080, dport=port, flags="RA", ack=8)
        syn.time, rst.time = 1_790_000_000 + at, 1_790_000_000.0001 + at
        refused += [syn, rst]
    timeline = probewatch.analyze(refused, spec=spec)
    assert not [probe for probe in timeline.probes if probe.checker.kind == "kubelet"]
