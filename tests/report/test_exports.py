"""Timelines for other tools: trace events, OpenMetrics, JUnit; on timelines made by hand, hostile ones too, and on real captures.

Covers `report.trace`, `report.metrics`, `report.junit_probes`.
"""

from __future__ import annotations

import importlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import probewatch
from probewatch.model.timeline import Outcome, Timeline
from probewatch.report import junit_probes, metrics, trace
from probewatch.report.verdict import Level, judge

NAMES = ("flapping", "flapping6", "restarting", "assorted", "nothing", "empty", "hostile")


def _scenario(scenario: Path) -> Timeline:
    capture = next(p for name in ("capture.pcap", "tun0.pcap") if (p := scenario / name).is_file())
    return probewatch.analyze(capture, spec=sorted(scenario.glob("pod*.yaml")))


# Trace events


def _trace(timeline: Timeline, collected) -> list[dict[str, Any]]:
    """Write a trace, hold it against the format, and return its events."""
    document = json.loads(collected(lambda out: trace.write(timeline, out)))
    assert document["displayTimeUnit"] in ("ms", "ns")
    found: list[dict[str, Any]] = document["traceEvents"]
    for event in found:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        match event["ph"]:
            case "M":
                assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
                assert event["args"]
                continue
            case "X":
                assert event["dur"] >= 0
                assert isinstance(event["tid"], int)
            case "i":
                assert event["s"] in ("g", "p", "t")
            case "C":
                assert all(isinstance(value, int) for value in event["args"].values())
            case other:
                pytest.fail(f"a phase that the format does not know: {other}")
        assert isinstance(event["ts"], int | float)
    return found


def _nested(found: list[dict[str, Any]]) -> None:
    """Assert that on each thread complete events lie in one another or apart, as the format wants it."""
    threads: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in found:
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            threads[event["pid"], event["tid"]].append((start, start + round(event["dur"] * 1000)))
    for spans in threads.values():
        open_until: list[int] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)


@pytest.mark.parametrize("name", NAMES)
def test_traces_are_valid(made, collected, name: str) -> None:
    """Any timeline makes trace events as the format has them, an event a line, all text printable."""
    found = _trace(made[name](), collected)
    texts = [event["name"] for event in found] + [
        v for e in found for v in e.get("args", {}).values() if isinstance(v, str)
    ]
    assert all(text.isprintable() for text in texts)


def test_traces_of_captures(kubelet_scenario: Path, collected) -> None:
    """Each attempt is a complete event on its probe's thread, each decision an instant, and what is inside lies inside."""
    timeline = _scenario(kubelet_scenario)
    found = _trace(timeline, collected)
    _nested(found)
    kinds = Counter(event.get("cat") for event in found)
    assert kinds["attempt"] == sum(len(p.attempts) for p in timeline.probes)
    assert kinds["decision"] == sum(len(p.decisions) for p in timeline.probes)
    threads = [event for event in found if event["name"] == "thread_name"]
    assert len(threads) == len(timeline.probes)


# OpenMetrics


def _samples(timeline: Timeline, collected) -> dict[str, list[Any]]:
    """Write the exposition, read it back with prometheus-client's strict parser, and return samples by name."""
    found: dict[str, list[Any]] = defaultdict(list)
    for family in text_string_to_metric_families(collected(lambda out: metrics.write(timeline, out))):
        for sample in family.samples:
            found[sample.name].append(sample)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_read_back(made, collected, name: str) -> None:
    """Any timeline makes an exposition that the OpenMetrics parser takes, all label values printable."""
    found = _samples(made[name](), collected)
    values = [value for samples in found.values() for sample in samples for value in sample.labels.values()]
    assert all(value.isprintable() for value in values)


def test_the_kubelets_metrics(kubelet_scenario: Path, collected) -> None:
    """`prober_probe_total` counts what the kubelet counts, its duration histogram only successes, and ours every attempt."""
    timeline = _scenario(kubelet_scenario)
    found = _samples(timeline, collected)
    mine = [p for p in timeline.probes if p.checker.kind == "kubelet" and p.type != "unknown"]
    outcomes = Counter(a.outcome for p in mine for a in p.attempts)
    totals: Counter[str] = Counter()
    for sample in found["prober_probe_total"]:
        assert set(sample.labels) == {"probe_type", "result", "container", "pod", "namespace", "pod_uid"}
        assert sample.labels["probe_type"] in ("Readiness", "Liveness", "Startup")
        totals[sample.labels["result"]] += sample.value
    assert totals == Counter(
        {k: v for k, v in (("successful", outcomes[Outcome.SUCCESS]), ("failed", outcomes[Outcome.FAILURE])) if v}
    )
    observed = sum(s.value for s in found["prober_probe_duration_seconds_count"])
    assert observed == outcomes[Outcome.SUCCESS]
    assert sum(s.value for s in found["probewatch_attempts_total"]) == sum(len(p.attempts) for p in timeline.probes)
    assert sum(s.value for s in found["probewatch_decisions_total"]) == sum(len(p.decisions) for p in timeline.probes)
    attempts = sum(len(p.attempts) for p in timeline.probes)  # also those that sent no frame of their own
    assert sum(s.value for s in found["probewatch_attempt_duration_seconds_count"]) == attempts


def test_a_probe_whose_container_ended_is_not_up(captures: Path, collected) -> None:
    """`probewatch_up` and `probewatch_down_seconds` know what the probe itself did not decide: a restart under it."""
    folder = captures / "k136-liveness-restart"
    whole = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    found = _samples(whole, collected)
    (down,) = [s.value for s in found["probewatch_down_seconds_total"] if s.labels["probe_type"] == "Readiness"]
    assert round(down, 1) == 33.9
    (ready,) = [p for p in whole.probes if p.type == "readiness"]
    last = max(d.ns for p in whole.probes for d in p.decisions if d.kind == "restart")
    info = replace(whole.captures[0], last_ns=last + 1)
    cut = replace(
        ready,
        decisions=tuple(d for d in ready.decisions if d.ns < last),
        attempts=tuple(a for a in ready.attempts if a.end_ns < last),
    )
    others = tuple(p for p in whole.probes if p is not ready)
    found = _samples(replace(whole, captures=(info,), probes=(cut, *others), events=()), collected)
    assert [s.value for s in found["probewatch_up"] if s.labels["probe_type"] == "Readiness"] == [0]


def test_connections_have_telling_names(captures: Path) -> None:
    """In a trace a connection is named by its ends and what it brought, and by its role where it is not the first."""
    folder = captures / "http-redirect-same"
    whole = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    names = [e["name"] for e in trace.events(whole, 0) if e.get("cat") == "connection"][:2]
    assert re.fullmatch(r"10\.128\.0\.1:\d+ to 10\.128\.0\.10:8080: 302", names[0])
    assert re.fullmatch(r"redirect 10\.128\.0\.1:\d+ to 10\.128\.0\.10:8080: 200", names[1])


def test_a_pods_uid_is_its_own(captures: Path, collected) -> None:
    """`pod_uid` is the manifest's `metadata.uid`, and empty where no manifest tells it."""
    scenario = captures / "rollout"
    timeline = probewatch.analyze(scenario / "capture.pcap", cluster=scenario / "cluster.json")
    dump = json.loads((scenario / "cluster.json").read_text())
    uids = {
        (o["metadata"].get("name"), o["metadata"].get("uid") or "") for o in dump["items"] if o.get("kind") == "Pod"
    }
    found = {(s.labels["pod"], s.labels["pod_uid"]) for s in _samples(timeline, collected)["prober_probe_total"]}
    assert found
    assert found <= uids


def test_metrics_need_a_package(
    captures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where prometheus-client is missing, one sentence says what to install, before any work."""
    from probewatch.cli import main

    importlib.import_module("probewatch.cli.analyze")
    monkeypatch.setattr("probewatch.cli.analyze.find_spec", lambda _: None)
    assert main(["analyze", str(captures / "tcp-ready" / "capture.pcap"), "-o", "metrics"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "pip install 'probewatch[metrics]'" in said.err


# JUnit


@pytest.mark.parametrize("name", NAMES)
def test_junit_has_a_case_for_each_probe(made, collected, name: str) -> None:
    """Each probe is one case of a name of its own; it fails where the verdict is trouble, and is skipped where there is none."""
    timeline = made[name]()
    text = collected(lambda out: junit_probes.write(timeline, out))
    assert text.isascii()
    assert not re.search(r"[^\x20-\x7e\n]", text)
    suite = ElementTree.fromstring(text).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    levels = [judge(probe, timeline).level for probe in timeline.probes]
    assert [case.find("failure") is not None for case in cases] == [level is Level.TROUBLE for level in levels]
    assert [case.find("skipped") is not None for case in cases] == [level is Level.UNCLEAR for level in levels]
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    assert suite.get("tests") == str(len(cases))
    assert suite.get("failures") == str(levels.count(Level.TROUBLE))


def test_junit_says_why(captures: Path, collected) -> None:
    """A probe that went NotReady fails with the reason, the decisions, what to do, and where to look."""
    scenario = captures / "http-timeout"
    timeline = probewatch.analyze(scenario / "capture.pcap", spec=scenario / "pod.yaml")
    (case,) = ElementTree.fromstring(collected(lambda out: junit_probes.write(timeline, out))).iter("testcase")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "slow-answer"
    assert "#8 3/3 -> NotReady" in (failure.text or "")
    assert "see: #6 at" in (failure.text or "")
    values = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert (values["attempts"], values["failure"], values["decisions.not_ready"]) == ("32", "7", "1")
