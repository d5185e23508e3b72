# ruff: noqa: E501 (tables of manifests keep their line)
"""Declared probes against timelines: missing ones, others in their place, who probed, and what is never claimed."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import probewatch
from probewatch.model.finding import Finding, Held
from probewatch.model.frame import Mark
from probewatch.model.measure import Measure
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Checker, DecisionKind, EventKind, Gap, GapKind, Timeline, TimelineEvent
from probewatch.model.units import SECOND as S
from probewatch.verify.declared import verify
from probewatch.verify.missing import check_missing, declared_probes

OWN = Path(__file__).parents[2] / "captures"
BASE = 1_795_378_200 * S
READY = ProbeSpec(type=ProbeType.READINESS, handler=Handler.HTTP_GET, port=8080)
LIVE = ProbeSpec(type=ProbeType.LIVENESS, handler=Handler.HTTP_GET, port=8080, path="/live", period_s=1)
START = ProbeSpec(type=ProbeType.STARTUP, handler=Handler.HTTP_GET, port=8080, path="/up", period_s=1)
PORT = Measure(field="port", words=("8080",))


def pod_of(*probes: ProbeSpec, **fields: Any) -> PodSpec:
    """Return a Pod with one container, tied to the timeline's target."""
    known: dict[str, Any] = {"source": "pod.yaml", "name": "web", "namespace": "lab", "addresses": ("10.128.0.10",)}
    return PodSpec(containers=(ContainerSpec(name="app", probes=probes),), **(known | fields))


def tied(timeline: Timeline, **fields: Any) -> Timeline:
    """Return a timeline whose probe is measured and tied to the Pod."""
    (probe,) = timeline.probes
    known: dict[str, Any] = {"spec": READY, "spec_source": "pod.yaml", "measures": (PORT,)}
    return replace(timeline, probes=(replace(probe, **(known | fields)),))


def about(found: list[Finding], field: str) -> Finding:
    """Return the only finding of a field."""
    (one,) = (finding for finding in found if finding.field == field)
    return one


def changed(scenario: str, *changes: tuple[str, Any], where: Path, name: str = "capture.pcap", **how: Any) -> tuple[Finding, ...]:
    """Verify one of the project's captures against its manifest with values set, given by dotted path."""
    manifest = yaml.safe_load((OWN / scenario / "pod.yaml").read_text())
    for path, value in changes:
        *way, last = path.split(".")
        place = manifest
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    spec = where / "pod.yaml"
    spec.write_text(yaml.safe_dump(manifest))
    return probewatch.verify(OWN / scenario / name, spec=spec, **how).findings


# Probes that were not seen.


def test_a_probe_that_nobody_sends_fails(make) -> None:
    """A liveness probe that never came although its container's readiness was probed for minutes fails, with frames."""
    found = about(verify(tied(make("s" * 60)), [pod_of(READY, LIVE)]), "probed")
    assert found.held is Held.FAIL
    assert "not probed at all" in found.sentence
    assert found.evidence


@pytest.mark.parametrize(("letters", "probe", "events", "why"), [
    ("s" * 20, LIVE, (), "without a restart"),
    ("s" * 60, replace(LIVE, initial_delay_s=40), (30,), "without a restart"),
    ("s" * 60, replace(LIVE, port=None, port_name="web"), (), "no port named web"),
    ("s" * 60, replace(LIVE, host="127.0.0.1"), (), "sent to 127.0.0.1"),
    ("s" * 60, START, (), "stops for good"),
    ("s" * 60, ProbeSpec(type=ProbeType.LIVENESS, handler=Handler.EXEC), (), "sends no packet"),
], ids=["short", "restarted", "named port", "host", "startup", "exec"])
def test_what_may_excuse_silence_is_inconclusive(make, letters, probe, events, why) -> None:
    """A probe that may be on hold, delayed anew, elsewhere or over was not seen, and nobody can say more."""
    marks = tuple(TimelineEvent(ns=BASE + at * S, kind=EventKind.CONTAINER_STARTED, address="10.128.0.10", container="app") for at in events)
    found = [one for one in verify(tied(make(letters, events=marks)), [pod_of(READY, probe)]) if one.subject.startswith(probe.type.value)]
    assert [one.held for one in found] == [Held.INCONCLUSIVE]
    assert why in found[0].sentence


def test_behind_a_startup_probe_silence_is_inconclusive(make) -> None:
    """What waits for a startup probe whose success was not seen may be waiting still."""
    found = verify(tied(make("f" * 60, type=ProbeType.STARTUP), spec=START), [pod_of(START, LIVE)])
    assert "waits for the startup probe" in about(found, "probed").sentence


def test_another_container_proves_nothing(make) -> None:
    """A container that never ran is not probed, and rightly: its neighbour's probes say nothing of it."""
    pod = replace(pod_of(READY), containers=(ContainerSpec(name="app", probes=(READY,)), ContainerSpec(name="side", probes=(LIVE,))))
    found = about(verify(tied(make("s" * 90)), [pod]), "probed")
    assert found.held is Held.INCONCLUSIVE
    assert "nothing shows that the container runs" in found.sentence


def test_an_empty_timeline_fails_nothing() -> None:
    """Without a packet of the Pod each declared probe is inconclusive."""
    found = verify(Timeline(), [pod_of(READY, LIVE, addresses=())])
    assert [one.held for one in found] == [Held.INCONCLUSIVE] * 2
    assert verify(Timeline(), []) == []


def test_a_mute_probe_leaves_its_fields_open(make) -> None:
    """Attempts without measures (they asked nothing) neither pass nor fail as the declared probe."""
    found = verify(tied(make("f" * 5), measures=()), [pod_of(READY)])
    assert all(one.held is not Held.PASS for one in found)


# Others in their place.


def test_same_name_in_two_namespaces(make) -> None:
    """Pods of one name in two namespaces, from one file, are two: what one's packets show proves nothing for the other."""
    pods = [pod_of(READY), pod_of(READY, namespace="other", addresses=("10.128.0.99",))]
    found = verify(tied(make("sssss")), pods)
    assert {one.held for one in found if "other/web" in one.subject} == {Held.INCONCLUSIVE}
    assert any(one.held is Held.PASS for one in found if "lab/web" in one.subject)


def stranger(timeline: Timeline, path: str = "/else") -> Timeline:
    """Return a timeline whose probe nothing declares."""
    (probe,) = timeline.probes
    shown = (PORT, Measure(field="path", words=(path,)), Measure(field="handler", words=("httpGet",)))
    return replace(timeline, probes=(replace(probe, spec=None, spec_source=None, path=path, measures=shown),))


def test_another_request_in_its_place(make) -> None:
    """A declared probe that is not seen while the same Pod is asked something else fails, with both requests."""
    (found,) = verify(stranger(make("sssss")), [pod_of(READY)])
    assert (found.held, found.field) == (Held.FAIL, "path")
    assert "seen instead" in found.sentence
    assert "/else where / is declared" in found.observed


def test_a_node_address_belongs_to_many(make) -> None:
    """On a hostNetwork Pod's address other Pods are probed too: that no spec declares them is nobody's fault."""
    assert check_missing([], stranger(make("sssss")), [pod_of(READY, host_network=True)]) == []
    assert [one.held for one in check_missing([], stranger(make("sssss")), [pod_of(READY)])] == [Held.FAIL]


@pytest.mark.parametrize("life", [{"created_ns": BASE + 60 * S}, {"ended_ns": BASE - 60 * S}])
def test_an_address_is_a_pods_only_while_it_lives(make, life) -> None:
    """Before and after a Pod's life its address may be another's."""
    assert check_missing([], stranger(make("sssss")), [pod_of(READY, **life)]) == []


def test_every_probe_of_every_pod_is_looked_for() -> None:
    """Containers and Pods are told apart, also where their probes are equal."""
    pod = replace(pod_of(READY), containers=(ContainerSpec(name="a", probes=(READY,)), ContainerSpec(name="b", probes=(READY,))))
    assert [(one.pod.name, one.container.name) for one in declared_probes([pod, replace(pod, name="two")])] == [("web", "a"), ("web", "b"), ("two", "a"), ("two", "b")]


# How it was carried out.


@pytest.mark.parametrize(("pod", "checker", "held"), [
    ({"node": "node-a"}, {"node": "node-a"}, Held.PASS),
    ({"node": "node-a"}, {"node": "node-b"}, Held.FAIL),
    ({"host_ip": "10.0.0.1"}, {"node_address": "10.0.0.1"}, Held.PASS),
    ({"host_ip": "10.0.0.1"}, {"node_address": "10.0.0.2"}, Held.FAIL),
    ({"host_ip": "10.0.0.1"}, {"node_address": "fd00::1"}, Held.INCONCLUSIVE),
    ({"node": "node-a", "host_ip": "10.0.0.1"}, {"node": "node-a", "node_address": "fd00::1"}, Held.PASS),
    ({"node": "node-a"}, {}, Held.INCONCLUSIVE),
    ({}, {"node": "node-a"}, Held.INCONCLUSIVE),
])
def test_the_hosting_node_probes(make, pod, checker, held) -> None:
    """Another node fails; where nothing names one of the two, or they are addresses of two families, nothing is claimed."""
    timeline = tied(make("sssss"), checker=Checker(kind="kubelet", address="10.128.0.1", **checker))
    assert about(verify(timeline, [pod_of(READY, **pod)]), "source").held is held


def test_gaps_without_a_reason_are_inconclusive(make) -> None:
    """Attempts that were due and did not come may not have been sent, or not captured; explained ones are no finding."""
    unknown = Gap(start_ns=BASE + S, end_ns=BASE + 4 * S, expected=2, reason="nothing in the capture says why", kind=GapKind.UNEXPLAINED)
    known = replace(unknown, kind=GapKind.KUBELET_RESTARTED)
    found = verify(tied(make("sssss"), gaps=(unknown, known)), [pod_of(READY)])
    assert about(found, "attempts").held is Held.INCONCLUSIVE


@pytest.mark.parametrize(("confirmed", "held"), [(True, Held.PASS), (False, Held.FAIL), (None, Held.INCONCLUSIVE)])
def test_decisions_as_the_kubelet_acted(make, confirmed, held) -> None:
    """Decisions that the kubelet's acts confirm pass, contradicted ones fail, and those that left no frame stay open."""
    timeline = tied(make("sfffs", decisions={"a4": DecisionKind.NOT_READY}))
    (probe,) = timeline.probes
    decision = replace(probe.decisions[0], confirmed=confirmed, confirmed_by="what followed")
    found = about(verify(replace(timeline, probes=(replace(probe, decisions=(decision,)),)), [pod_of(READY)]), "decisions")
    assert found.held is held
    assert found.evidence


def test_a_broken_field_leaves_decisions_unjudged(make) -> None:
    """Where a field fails its thresholds are not what runs, so nothing is said of decisions."""
    wrong = (Measure(field="periodSeconds", number=True, low=5, high=5),)
    timeline = tied(make("sfffs", decisions={"a4": DecisionKind.NOT_READY}), measures=wrong)
    found = verify(timeline, [pod_of(READY)])
    assert about(found, "periodSeconds").held is Held.FAIL
    assert about(found, "decisions").sentence.startswith("not judged")


@pytest.mark.parametrize(("shift", "held"), [(10.0, Held.PASS), (1.5, Held.FAIL)], ids=["after", "before"])
def test_nothing_runs_before_the_startup_probe_succeeded(make, shift, held) -> None:
    """From a container's first startup attempt to its success nothing else of it is sent, failures included."""
    gate = tied(make("ffffs", decisions={"a5": DecisionKind.STARTED}, type=ProbeType.STARTUP), spec=START, id="p1").probes[0]
    live = tied(make("sss", type=ProbeType.LIVENESS), spec=LIVE, id="p2").probes[0]
    moved = tuple(replace(a, start=Mark(a.start.ns + round(shift * S), 0, 900 + a.n), end_ns=a.end_ns + round(shift * S)) for a in live.attempts)
    timeline = replace(make("s"), probes=(gate, replace(live, attempts=moved)))
    assert about(verify(timeline, [pod_of(START, LIVE)]), "startup gate").held is held


# Whole captures.


def test_a_start_of_long_ago_may_be_a_predecessors(tmp_path) -> None:
    """A status printed before the container that the capture shows: its startedAt does not make the first attempt too late."""
    started = [{"name": "app", "state": {"running": {"startedAt": "2026-11-22T19:13:47Z"}}}]
    found = changed("initial-delay", ("status.containerStatuses", started), ("spec.containers.0.readinessProbe.initialDelaySeconds", 2), where=tmp_path)
    assert [one.sentence for one in found if one.held is Held.FAIL and "late" in one.sentence] == []


@pytest.mark.parametrize("scenario", ["http-ipv6", "tcp-ready"])
def test_a_port_name_that_does_not_exist(scenario, tmp_path) -> None:
    """A readiness probe by a port name that no container has is named as such, and does not crash."""
    handler = "httpGet" if scenario == "http-ipv6" else "tcpSocket"
    found = changed(scenario, (f"spec.containers.0.readinessProbe.{handler}.port", "nowhere"), where=tmp_path)
    assert any("nowhere" in one.sentence or "seen instead" in one.sentence for one in found)


@pytest.mark.parametrize("scenario", ["http-ipv6", "http-timeout"])
def test_a_template_and_a_list(scenario, tmp_path) -> None:
    """A Deployment's template without address or name, and a List of one true and one absent Pod, fail nothing."""
    manifest = yaml.safe_load((OWN / scenario / "pod.yaml").read_text())
    bare = {"metadata": {"labels": manifest["metadata"].get("labels", {})}, "spec": manifest["spec"]}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": bare}}
    absent = copy.deepcopy(manifest)
    absent["metadata"]["name"] = "absent"
    absent["status"] = {"podIP": "10.99.0.1", "podIPs": [{"ip": "10.99.0.1"}]}
    for made in (deployment, {"apiVersion": "v1", "kind": "List", "items": [manifest, absent]}):
        spec = tmp_path / "spec.yaml"
        spec.write_text(yaml.safe_dump(made))
        found = probewatch.verify(OWN / scenario / "capture.pcap", spec=spec).findings
        assert found
        assert [one.sentence for one in found if one.held is Held.FAIL] == []


def test_the_node_by_hand(tmp_path) -> None:
    """--node-ip says which node a source is: the hosting one passes, another one fails."""
    for node, held in (("node-a", Held.PASS), ("node-b", Held.FAIL)):
        found = changed("http-ipv6", ("spec.nodeName", "node-a"), where=tmp_path, node_ip=f"{node}=fd00:10:128::1")
        assert {one.held for one in found if one.field == "source"} == {held}


@pytest.mark.parametrize("scenario", ["http-timeout", "startup-probe", "k136-liveness-restart", "http-ipv6"])
@pytest.mark.parametrize("share", [0.05, 0.37, 0.61])
def test_a_capture_that_breaks_off_fails_nothing(scenario, share, tmp_path) -> None:
    """Cut anywhere, also in mid attempt, a true spec has no failed finding."""
    data = (OWN / scenario / "capture.pcap").read_bytes()
    (tmp_path / "cut.pcap").write_bytes(data[: int(len(data) * share)])
    found = probewatch.verify(tmp_path / "cut.pcap", spec=sorted((OWN / scenario).glob("pod*.yaml"))).findings
    assert [one.sentence for one in found if one.held is Held.FAIL] == []


def test_of_manifests_that_declare_the_same_one_probe_fails_once(tmp_path) -> None:
    """Ten manifests alike, one Pod probed, its liveness never: that fails once, and of the others nothing is known."""
    pod = yaml.safe_load((OWN / "http-timeout" / "pod.yaml").read_text())
    pod.pop("status", None)
    pod["spec"]["containers"][0]["livenessProbe"] = {"httpGet": {"path": "/livez", "port": 8080}, "periodSeconds": 2}
    spec = tmp_path / "pods.yaml"
    spec.write_text("---\n".join(yaml.safe_dump({**pod, "metadata": {"name": f"web-{number}"}}) for number in range(10)))
    findings = probewatch.verify(OWN / "http-timeout" / "capture.pcap", spec=spec).findings
    silent = [finding for finding in findings if finding.field == "probed" and finding.subject.startswith("liveness")]
    assert sorted(finding.held.value for finding in silent) == ["fail", *["inconclusive"] * 9]
