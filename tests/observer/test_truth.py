# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""What probewatch says of real captures is what the kubelet itself wrote down, with the Pod and, where packets suffice, without.

Covers `observer`, `probes`, `decisions`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from truth import differences, read

import probewatch
from probewatch.capture.errors import CaptureError
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import EventKind, Outcome, Timeline
from probewatch.model.units import SECOND as S

UNKNOWABLE: dict[str, tuple[str, str]] = {
    # scenario: (what is missing without the Pod, why packets cannot tell it)
    "k120-restart": ("decision restart", "its restart is the end of the capture: no silence behind it shows that it was one"),
    "k120-three-types": (
        "decision restart",
        "a container that ends behind one failure may have ended by itself: that failureThreshold is 1 only its Pod says",
    ),
    "tcp-ready": ("decision ready", "one probe that never fails, never leaves its grid and asks for no name may be of any type, and an untyped probe decides nothing"),
    "grpc-refused": ("never happened: ", "nothing ever answered, so nothing shows that it is gRPC, and a redial looks like a poked attempt of its own"),
}
"""Without a Pod: each reason is checked to be needed still."""


@cache
def timeline_of(scenario: Path, name: str, *, with_spec: bool = True) -> Timeline:
    """Analyse one capture of a scenario, with the keys that lie there."""
    keys = scenario / "keys.log"
    specs = sorted(scenario.glob("pod*.yaml")) if with_spec else []
    return probewatch.analyze(scenario / name, spec=specs, keylog=keys if keys.is_file() else None)


def main_capture(scenario: Path) -> str:
    """Return the name of the capture that shows all pods of a scenario."""
    several = len(list(scenario.glob("pod*.yaml"))) > 1
    return "tun0.pcap" if (several and (scenario / "tun0.pcap").is_file()) or not (scenario / "capture.pcap").is_file() else "capture.pcap"


def held(scenario: Path, timeline: Timeline, *, typed: bool) -> list[str]:
    """Compare a timeline with the scenario's record."""
    return differences(timeline, read(scenario / "truth.jsonl"), keyed=(scenario / "keys.log").is_file(), unseen=(scenario / "unseen").is_file(), typed=typed)


def test_kubelet_with_its_pod(kubelet_scenario) -> None:
    """With the Pod: attempts, outcomes, types, connections and decisions are the kubelet's own."""
    assert held(kubelet_scenario, timeline_of(kubelet_scenario, main_capture(kubelet_scenario)), typed=True) == []


def test_kubelet_without_its_pod(kubelet_scenario) -> None:
    """From packets alone: attempts, outcomes and connections the same, and every decision whose type shows."""
    found = held(kubelet_scenario, timeline_of(kubelet_scenario, main_capture(kubelet_scenario), with_spec=False), typed=False)
    missing, reason = UNKNOWABLE.get(kubelet_scenario.name, ("", ""))
    if missing:
        assert found, f"{kubelet_scenario.name} is known without its Pod after all: {reason}"
        assert all(text.startswith(missing) for text in found), found
    else:
        assert found == []


def test_types_without_the_pod_are_right_or_unknown(kubelet_scenario) -> None:
    """A type that is inferred is the true one; where nothing tells, it says so and why."""
    if kubelet_scenario.name in UNKNOWABLE:
        return
    timeline = timeline_of(kubelet_scenario, main_capture(kubelet_scenario), with_spec=False)
    truth = read(kubelet_scenario / "truth.jsonl")
    by_port = {port: one for one in truth.executions for port in one.local_ports}
    for probe in timeline.probes:
        assert probe.type_source.startswith("unknown: " if probe.type == "unknown" else "inferred: ")
        kinds = {by_port[leg.connection.client_port].type for attempt in probe.attempts for leg in attempt.legs if leg.connection.client_port in by_port}
        if probe.type != "unknown" and probe.checker.kind == "kubelet":
            assert probe.type in kinds


def test_pokes_are_no_period(captures) -> None:
    """Of a probe that is poked every 2 s while it is not Ready, and runs every 10 s when it is, no attempt is missing without its Pod."""
    (probe,) = timeline_of(captures / "http-fast-manual", "capture.pcap", with_spec=False).probes
    assert (probe.inferred["periodSeconds"], probe.gaps) == (10, ())


def test_other_vantage_points(kubelet_scenario) -> None:
    """Seen on the bridge, or on both at once as `-i any` shows it, or as pcapng: the same attempts with the same outcomes and connections."""
    main = main_capture(kubelet_scenario)
    here = timeline_of(kubelet_scenario, main)
    for name in ("any.pcap", "tun0.pcap", "capture.pcapng"):
        if name == main or not (kubelet_scenario / name).is_file():
            continue
        there = timeline_of(kubelet_scenario, name)
        assert held(kubelet_scenario, there, typed=True) == []
        if main == "capture.pcap":
            assert told(there) == told(here), name


def told(timeline: Timeline) -> list[Any]:
    """Return what a timeline tells but for times and frame numbers."""
    return [(probe.type, probe.target.address, [(attempt.outcome, attempt.cause, attempt.trigger, attempt.streak, [leg.connection.client_port for leg in attempt.legs])
                                                for attempt in probe.attempts], [decision.kind for decision in probe.decisions]) for probe in timeline.probes]


def test_every_vantage_point_is_kept(captures) -> None:
    """Where every frame was seen twice, each connection says at which interfaces, and no retransmission is invented."""
    timeline = timeline_of(captures / "tcp-ready", "any.pcap")
    connections = [leg.connection for probe in timeline.probes for attempt in probe.attempts for leg in attempt.legs]
    assert connections
    assert all(len(connection.sightings) == 2 for connection in connections)
    assert all(connection.orig.retransmits == connection.resp.retransmits == 0 for connection in connections)


def test_frames_are_the_captures(kubelet_scenario) -> None:
    """Every attempt's frames lie in the capture and in its own time, and its first is the attempt's start."""
    timeline = timeline_of(kubelet_scenario, main_capture(kubelet_scenario))
    for probe in timeline.probes:
        for attempt in probe.attempts:
            first, last = attempt.frames()
            assert 1 <= first <= last <= timeline.captures[0].frames
            assert attempt.end_ns >= attempt.start.ns
            assert (timeline.captures[0].first_ns or 0) <= attempt.start.ns <= (timeline.captures[0].last_ns or 0)


def test_no_decision_without_its_attempt(kubelet_scenario) -> None:
    """Each decision is the end of the attempt it names, whose streak had reached the threshold; kinds alternate as states do."""
    for with_spec in (True, False):
        for probe in timeline_of(kubelet_scenario, main_capture(kubelet_scenario), with_spec=with_spec).probes:
            for decision in probe.decisions:
                attempt = probe.attempts[decision.attempt - 1]
                assert attempt.n == decision.attempt
                assert attempt.end_ns == decision.ns
                assert attempt.streak == decision.streak >= decision.threshold
                assert attempt.outcome is (Outcome.SUCCESS if decision.kind in ("ready", "started") else Outcome.FAILURE)


def test_containers_begin_no_sooner_than_they_did_and_no_later_than_their_delays_allow(kubelet_scenario) -> None:
    """A container is told to have begun between its true start and each first attempt less initialDelaySeconds (startedAt loses up to a second)."""
    timeline = timeline_of(kubelet_scenario, main_capture(kubelet_scenario))
    record = [json.loads(line) for line in (kubelet_scenario / "truth.jsonl").read_text().splitlines()]
    begun = [round(one["t"] * 1e9) for one in record if one["ev"] == "container_started"]
    for event in timeline.events:
        if event.kind is not EventKind.CONTAINER_STARTED:
            continue
        assert event.told_ns <= event.ns
        assert event.by_ns is None or not begun or min(begun) <= event.by_ns
        for probe in timeline.probes:
            mine = (probe.target.address, probe.target.container) == (event.address, event.container)
            first = next((attempt.start.ns for attempt in probe.attempts if attempt.start.ns >= event.ns), None)
            if mine and first is not None and probe.spec is not None:
                assert first - event.told_ns >= (probe.spec.initial_delay_s - 1) * S


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda probe: replace(probe, attempts=probe.attempts[:4] + probe.attempts[5:]), "missed "),
    (lambda probe: replace(probe, attempts=(replace(probe.attempts[0], outcome=Outcome.DISCARDED), *probe.attempts[1:])), "outcome of "),
    (lambda probe: replace(probe, type=ProbeType.LIVENESS), "type of "),
    (lambda probe: replace(probe, attempts=(*probe.attempts, probe.attempts[0])), "never happened: "),
    (lambda probe: replace(probe, decisions=probe.decisions[:1] + probe.decisions[2:]), "decision not_ready (readiness) at "),
    (lambda probe: replace(probe, decisions=probe.decisions + probe.decisions[1:2]), "decision not_ready (readiness) at "),
    (lambda probe: replace(probe, attempts=(replace(probe.attempts[0], legs=()), *probe.attempts[1:])), "connections of "),
])
def test_the_comparison_notices(captures, change, complaint) -> None:
    """The comparison is no mirror: each kind of fault put into a right timeline is named."""
    scenario = captures / "http-flap-s1"
    timeline = timeline_of(scenario, "capture.pcap")
    assert held(scenario, timeline, typed=True) == []
    wrong = replace(timeline, probes=(change(timeline.probes[0]), *timeline.probes[1:]))
    assert any(text.startswith(complaint) for text in held(scenario, wrong, typed=True))


def test_document_fits_the_schema(capture_file, validator) -> None:
    """The JSON document of every capture, whole or damaged, is what the schema promises."""
    try:
        timeline = probewatch.analyze(capture_file)
    except CaptureError:
        return
    assert list(validator.iter_errors(probewatch.document(timeline))) == []


def test_checkers_are_no_kubelets(checker_scenario) -> None:
    """Where no kubelet probed, none is reported: not for a grid, not for a form, not for a forged User-Agent."""
    assert not json.loads((checker_scenario / "truth.json").read_text("utf-8")).get("kubelet_probes")
    for capture in sorted(path for path in checker_scenario.glob("*.pcap*") if path.is_file()):
        try:
            timeline = probewatch.analyze(capture)
        except CaptureError:
            continue
        assert [(capture.name, probe.target, probe.checker.evidence) for probe in timeline.probes if probe.checker.kind == "kubelet"] == []
