"""Expectations made from a timeline: they hold on it, they catch what changes, and they can be read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import probewatch
from probewatch.capture.errors import CaptureError
from probewatch.cluster import read_expectations
from probewatch.model.expectation import Expectations
from probewatch.model.finding import Held
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Checker, DecisionKind, Timeline
from probewatch.report import expectation
from probewatch.verify.expect import check
from probewatch.verify.learn import learn

Make = Callable[..., Timeline]


def written(timeline: Timeline, folder: Path) -> Expectations:
    """Write what a timeline teaches, and read it again."""
    learnt = learn(timeline)
    parts: list[str] = []
    expectation.write(learnt, parts.append, made_from="a.pcap")
    path = folder / "expect.yaml"
    path.write_text("".join(parts), encoding="utf-8")
    again = read_expectations(str(path))
    assert replace(again, source="") == replace(
        learnt, probes=tuple(replace(entry, note="") for entry in learnt.probes)
    )
    return again


def test_kubelet_captures_meet_what_they_teach(kubelet_scenario: Path, tmp_path: Path) -> None:
    """What is written from a capture with its Pods holds on that capture: each of its probes is named, and nothing fails."""
    capture = next(
        kubelet_scenario / name for name in ("capture.pcap", "tun0.pcap") if (kubelet_scenario / name).is_file()
    )
    timeline = probewatch.analyze(capture, spec=sorted(kubelet_scenario.glob("pod*.yaml")))

    found = check(timeline, written(timeline, tmp_path))

    assert [finding for finding in found if finding.held is not Held.PASS] == []
    assert {finding.probe for finding in found} == {probe.id for probe in timeline.probes}


def test_any_capture_meets_what_it_teaches(capture_file: Path, tmp_path: Path) -> None:
    """So does every other capture, without a Pod, of any checker; what is cut or damaged leaves out what it cannot tell."""
    try:
        timeline = probewatch.analyze(capture_file)
    except CaptureError:
        return
    found = check(timeline, written(timeline, tmp_path))

    assert [finding for finding in found if finding.held is Held.FAIL] == []
    assert all(finding.sentence for finding in found)


def test_another_run_is_told_from_the_first(captures: Path, tmp_path: Path) -> None:
    """What was written from a good run fails on one that flaps, in each thing that is different."""
    good = captures / "http-ipv6"
    timeline = probewatch.analyze(good / "capture.pcap", spec=good / "pod.yaml")
    (readiness,) = [entry for entry in written(timeline, tmp_path).probes if entry.selector.type is ProbeType.READINESS]
    bad = captures / "http-flap-s1"
    flapping = probewatch.analyze(bad / "capture.pcap", spec=bad / "pod.yaml")
    entry = replace(readiness, selector=replace(readiness.selector, pod="*"))

    found = {finding.field: finding.held for finding in check(flapping, Expectations(probes=(entry,)))}

    failed = {field for field, held in found.items() if held is Held.FAIL}
    assert failed == {"attempts", "outcomes", "causes", "decisions", "never not_ready", "periodSeconds"}


def test_the_same_run_a_little_later_still_passes(make: Make, tmp_path: Path) -> None:
    """A run with an attempt more and one failure less while it started meets what was written."""
    first = make("fffsssssss", decisions={"a4": DecisionKind.READY})
    second = make("ffssssssssss", decisions={"a3": DecisionKind.READY})

    found = check(second, written(first, tmp_path))

    assert [finding for finding in found if finding.held is not Held.PASS] == []


def test_what_cannot_be_told_is_left_out_with_its_reason(make: Make, tmp_path: Path) -> None:
    """A timeout leaves the greatest latency open; the file says so where the key would stand."""
    learnt = learn(make("ssssstss", decisions={"a1": DecisionKind.READY}))
    (entry,) = learnt.probes
    assert entry.latency is not None
    assert (entry.latency.p50 is not None, entry.latency.max) == (True, None)
    assert entry.note == "latencySeconds.max is left out: nobody answered 1 attempt"
    parts: list[str] = []
    expectation.write(learnt, parts.append)
    assert "\n  # latencySeconds.max is left out: nobody answered 1 attempt\n" in "".join(parts)
    (cut,) = learn(make("sss", complete=False)).probes
    assert "state is left out: a.pcap is cut or corrupt, what came later is not seen" in cut.note
    written(make("sss", complete=False), tmp_path)


def test_probes_are_told_apart(make: Make, tmp_path: Path) -> None:
    """Two that differ in one property only are named by it; two that differ in none share an entry's selector, which counts both."""
    timeline = make("ssss")
    one = timeline.probes[0]
    for change in (
        {"type": ProbeType.LIVENESS},
        {"path": "/other"},
        {"checker": Checker(kind="kubelet", address="fd00::2")},
        {"target": replace(one.target, container="sidecar")},
        {"target": replace(one.target, address="fd00::a")},
    ):
        other = replace(one, id="p2", **change)
        two: Any = replace(timeline, probes=(one, other))
        entries = written(two, tmp_path).probes
        assert entries[0].selector != entries[1].selector, change
        assert [finding.probe for finding in check(two, Expectations(probes=entries)) if finding.field == "probe"] == [
            "p1",
            "p2",
        ]
    twins: Any = replace(timeline, probes=(one, replace(one, id="p2")))
    assert all(finding.held is Held.PASS for finding in check(twins, written(twins, tmp_path)))


def test_hostile_names(make: Make, tmp_path: Path) -> None:
    """A path full of YAML is a path: it is quoted, and read as it was."""
    hostile = 'x: [}#\n- "probe\\": {type: startup}\t\u2028\x1b[31m'
    timeline = make("sss")
    probe = replace(
        timeline.probes[0], path=hostile, target=replace(timeline.probes[0].target, pod="true", container="no")
    )
    other = replace(probe, id="p2", path="/other")
    (entry, _) = written(replace(timeline, probes=(probe, other)), tmp_path).probes
    assert (entry.selector.path, entry.selector.pod, entry.selector.container) == (hostile, "true", "no")
