"""What `import probewatch` promises to a type checker. Never run: `mypy --strict tests/typing/api.py` is the test.

`assert_type` holds what comes back; a `type: ignore` with its code holds what must not be accepted, because an unused one is an error.
"""

from pathlib import Path
from typing import Any, assert_type

from scapy.plist import PacketList

import probewatch
from probewatch import (
    Analysis,
    Attempt,
    Cause,
    Change,
    Decision,
    DecisionKind,
    Finding,
    Held,
    Inferred,
    Ladder,
    Outcome,
    Probe,
    Recording,
    Timeline,
    WhatIf,
    analyze,
    document,
    expect,
    infer_spec,
    record,
    verify,
    whatif,
    worst,
)
from probewatch.assertions import Expectations, ExpectedProbe
from probewatch.capture.packets import Packet
from probewatch.pytest_plugin import RecorderFactory, TimelineFactory


def captures(packets: list[Packet], from_scapy: PacketList) -> None:
    """Paths as text or Path, one or several, or packets; options by name."""
    assert_type(analyze("a.pcap"), Timeline)
    assert_type(analyze(Path("a.pcap"), spec="pod.yaml", node_ip=["a=10.0.0.1"], since="+1", until=2), Timeline)
    assert_type(analyze(["a.pcap", Path("b.pcap")], spec=[Path("pod.yaml")], cluster="c.json", keylog="k"), Timeline)
    assert_type(analyze(packets), Timeline)
    assert_type(analyze(from_scapy), Timeline)
    analyze("a.pcap", "pod.yaml")  # type: ignore[call-arg]
    analyze(1)  # type: ignore[arg-type]
    analyze("a.pcap", specs="pod.yaml")  # type: ignore[call-arg]


def verdicts(packets: list[Packet]) -> None:
    """`verify` takes the same and returns a timeline with findings, `whatif` what would have been."""
    made = verify("a.pcap", spec="pod.yaml", cluster=["c.json"], keylog="k")
    assert_type(made, Timeline)
    assert_type(made.findings, tuple[Finding, ...])
    assert_type(worst(made.findings), Held)
    assert_type(verify(packets), Timeline)
    assert_type(whatif("a.pcap", timeout=3), WhatIf)
    assert_type(whatif(made, failure_threshold=5), WhatIf)
    verify(1)  # type: ignore[arg-type]


def specs(packets: list[Packet]) -> None:
    """`infer_spec` takes captures and no spec: what it says comes from packets alone."""
    assert_type(infer_spec("a.pcap", keylog=Path("k"), filter="tcp"), Inferred)
    assert_type(infer_spec(packets).pods[0].containers[0].probes[0].proven, bool)
    infer_spec("a.pcap", spec="pod.yaml")  # type: ignore[call-arg]


def callbacks() -> None:
    """Callbacks are called with what they say."""

    def changed(change: Change) -> None:
        assert_type(change.kind, str)

    def read(done: int, total: int | None) -> None:
        pass

    analyze("a.pcap", on_change=changed, progress=read)
    analyze("a.pcap", progress=changed)  # type: ignore[arg-type]
    analysis = Analysis(["a.pcap"], on_change=changed)
    assert_type(analysis.base_ns, int | None)
    assert_type(analysis.timeline(), Timeline)


def nouns(timeline: Timeline) -> None:
    """Hold the parts of a timeline: values that cannot be changed."""
    assert_type(timeline.probes, tuple[Probe, ...])
    probe = timeline.probes[0]
    assert_type(probe.attempts, tuple[Attempt, ...])
    assert_type(probe.decisions, tuple[Decision, ...])
    assert_type(probe.attempts[0].outcome, Outcome)
    assert_type(probe.attempts[0].cause, Cause)
    assert_type(probe.attempts[0].start.ns, int)
    assert_type(probe.decisions[0].kind, DecisionKind)
    assert_type(document(timeline), dict[str, Any])
    timeline.probes = ()  # type: ignore[misc]


def assertions(timeline: Timeline) -> None:
    """Chain assertions, with names or members."""
    assert_type(expect(timeline), Expectations)
    assert_type(expect(timeline).complete().no_probe("startup"), Expectations)
    readiness = expect(timeline).probe("readiness")
    assert_type(readiness, ExpectedProbe)
    assert_type(readiness.outcomes(["success", Outcome.FAILURE]).causes(["ok"], first=2).attempts(1, 3), ExpectedProbe)
    assert_type(readiness.decisions([DecisionKind.READY]).never("restart").state("Ready"), ExpectedProbe)
    assert_type(readiness.decided("not_ready", (20, 30.5), after="first failure"), ExpectedProbe)
    assert_type(readiness.ready_within(20).started_within(1.5).period(10, within=0.05), ExpectedProbe)
    assert_type(readiness.verified().verified(inconclusive="fail"), ExpectedProbe)
    readiness.verified(inconclusive="maybe")  # type: ignore[arg-type]
    assert_type(readiness.timeout(1, within=0.1).latency(max=0.5, p99=0.1).from_node("a"), ExpectedProbe)
    assert_type(readiness.from_checker("kubelet").value, Probe)
    readiness.period(10)  # type: ignore[call-arg]
    readiness.period(10, 0.05)  # type: ignore[call-arg]
    error: AssertionError = probewatch.Inconclusive("")
    raise error


def ladders() -> None:
    """Explain attempts as ladders, whose steps have marks and phrases."""
    found = probewatch.explain("a.pcap", spec="pod.yaml", probe="readiness", attempt=[7, 8], keylog="keys.log")
    assert_type(found, list[Ladder])
    assert_type([one.text for step in found[0].steps for one in step.said], list[str])
    assert_type(found[0].frames(), dict[int, tuple[tuple[int, int], ...]])
    assert_type(probewatch.explain(["a.pcap"], frame=88), list[Ladder])
    probewatch.explain("a.pcap", attempt="8")  # type: ignore[arg-type]


def recordings() -> None:
    """Record in a `with` block; the timelines are those of `analyze`."""
    with record("veth0", Path("r.pcapng"), netns="web", filter="tcp", spec="pod.yaml") as recording:
        assert_type(recording, Recording)
        assert_type(recording.wait_for(lambda timeline: bool(timeline.probes), seconds=5), Timeline)
    assert_type(recording.timeline(), Timeline)
    assert_type(recording.timeline(verify=True), Timeline)
    assert_type(recording.path, Path)
    record("veth0")  # type: ignore[call-arg]


def test_with_fixtures(probewatch_timeline: TimelineFactory, probe_recorder: RecorderFactory) -> None:
    """The fixtures have types to annotate tests with."""
    assert_type(probewatch_timeline("a.pcap", spec="pod.yaml", verify=True), Timeline)
    assert_type(probe_recorder("veth0", netns=4711), Recording)
    probe_recorder(netns=1.5)  # type: ignore[arg-type]
