"""Assertions on timelines: what holds, what does not, and what cannot be told, on real captures of a real kubelet."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from probewatch import Inconclusive, Timeline, analyze, expect
from probewatch.assertions import ExpectedProbe
from probewatch.model.timeline import EventKind

OWN = Path(__file__).parents[2] / "captures"
SPECS = sorted(path.parent.name for path in OWN.glob("*/pod.yaml") if (path.parent / "capture.pcap").is_file())

SOON = "expected not_ready in +0~+1 s after the start of the capture"

Check = Callable[[ExpectedProbe], object]


@cache
def timeline(name: str) -> Timeline:
    """Analyse a capture with its spec, once."""
    return analyze(OWN / name / "capture.pcap", spec=OWN / name / "pod.yaml")


def told(check: Check, name: str, probe: str | None = None) -> AssertionError:
    """Return what an assertion that does not hold raises."""
    with pytest.raises(AssertionError) as caught:
        check(expect(timeline(name)).probe(probe))
    return caught.value


@pytest.mark.parametrize(("name", "probe", "check"), [
    ("http-flap-s1", None, lambda p: p.outcomes(["success"] * 5 + ["failure"] * 5, first=1).outcomes(["success"] * 5, first=11)),
    ("http-flap-s1", None, lambda p: p.causes(["ok", "status"], first=5).attempts(60, 70).attempts(67, 67).state("Ready")),
    ("http-flap-s1", None, lambda p: p.ready_within(1).decided("not_ready", (6, 6.1), after="ready").never("restart", "started")),
    ("http-flap-s1", None, lambda p: p.decided("not_ready", (2, 2.1), after="first failure").decided("ready", (4, 5))),
    ("http-ipv6", "readiness", lambda p: p.decisions(["ready"]).from_node(p.value.checker.address.upper()).latency(max=1, p50=0.5, p99=1)),
    ("http-timeout", None, lambda p: p.timeout(1, within=0.1).decisions(["ready", "not_ready", "ready"]).from_checker("kubelet")),
    ("startup-probe", "startup", lambda p: p.started_within(15).decisions(["started"])),
    ("k136-liveness-restart", "liveness", lambda p: p.decisions(["restart"] * 4).never("ready")),
    ("tcp-flap", None, lambda p: p.decided("ready", (9, 11), after="first attempt")),
])  # fmt: skip
def test_what_is_so_holds(name: str, probe: str | None, check: Check) -> None:
    """True statements hold, in chains, over IPv4 and IPv6."""
    check(expect(timeline(name)).probe(probe))


@pytest.mark.parametrize("name", SPECS)
def test_periods_of_real_kubelets(name: str) -> None:
    """Each probe keeps its declared period, over manual triggers, restarts and lost ticks, and none keeps one a second longer."""
    for probe in timeline(name).probes:
        if probe.spec is None:
            continue
        seen = expect(timeline(name)).probe(probe.id)
        seen.period(probe.spec.period_s, within=0.1)
        with pytest.raises(AssertionError):
            seen.period(probe.spec.period_s + 1, within=0.1)


@pytest.mark.parametrize("name", SPECS)
def test_timeouts_of_real_kubelets(name: str) -> None:
    """Where the wire shows the kubelet giving up, it is after its declared timeout; elsewhere nothing is claimed."""
    for probe in timeline(name).probes:
        if probe.spec is not None:
            try:
                expect(timeline(name)).probe(probe.id).timeout(probe.spec.timeout_s, within=0.1)
            except Inconclusive as unclear:
                assert "no attempt shows the checker giving up" in str(unclear)  # noqa: PT017


@pytest.mark.parametrize(("name", "check", "sentence"), [
    ("http-flap-s1", lambda p: p.outcomes(["success"] * 6, first=1), "expected #6 to be success, was failure (503) at +8.458 s"),
    ("http-flap-s1", lambda p: p.causes(["ok"] * 6, first=1), "expected #6 to be ok, was status (503) at +8.458 s"),
    ("http-flap-s1", lambda p: p.outcomes(["success"] * 5), "expected 5 attempts, there are 67"),
    ("http-flap-s1", lambda p: p.outcomes(["failure"] * 3, first=66), "expected 3 attempts, the capture has 2 of them"),
    ("http-flap-s1", lambda p: p.attempts(68), "expected at least 68 attempts, there are 67"),
    ("http-flap-s1", lambda p: p.attempts(1, 66), "expected at least 1 and at most 66 attempts, there are 67"),
    ("http-flap-s1", lambda p: p.decisions(["ready"]), "expected ready, decided not_ready as well at +10.459 s"),
    ("http-flap-s1", lambda p: p.decisions(["not_ready"]), "expected decision 1 to be not_ready, was ready at +4.457 s"),
    ("tcp-ready", lambda p: p.decisions(["ready", "not_ready"]), "expected not_ready after that, the capture ends without"),
    ("http-flap-s1", lambda p: p.never("not_ready"), "expected never not_ready, happened at +10.459 s"),
    ("http-flap-s1", lambda p: p.state("NotReady"), "expected NotReady at the end, was Ready"),
    ("http-flap-s1", lambda p: p.decided("not_ready", (0, 1)), f"{SOON}, happened at +10.459 s"),
    ("tcp-ready", lambda p: p.decided("not_ready", (0, 1)), f"{SOON}, never happened"),
    ("tcp-flap", lambda p: p.ready_within(9), "expected Ready in +0~+9 s after its start at +4.424 s, happened at +10.002 s"),
    ("http-flap-s1", lambda p: p.period(2, within=0.05), "expected one attempt every 2 s (within 0.05 s), #3 came 1.001 s after #2"),
    ("http-timeout", lambda p: p.timeout(2, within=0.1),
     "expected the checker to give up after 2 s (within 0.1 s), gave up after 1.001 s"),
    ("http-flap-s1", lambda p: p.latency(p50=0.0001), "expected a latency of at most 0.0001 s (p50), was 0.84 ms"),
    ("http-flap-s1", lambda p: p.from_node("10.128.0.2"), "expected the kubelet of 10.128.0.2, is kubelet 1.36 at 10.128.0.1"),
    ("http-flap-s1", lambda p: p.from_checker("haproxy"), "expected haproxy, is kubelet 1.36 at 10.128.0.1"),
])  # fmt: skip
def test_what_is_not_so_fails_with_the_story(name: str, check: Check, sentence: str) -> None:
    """One sentence about the probe; the attempts around it; file, frames and a command; nothing that is no evidence."""
    error = told(check, name)
    assert not isinstance(error, Inconclusive)
    first, *rest = str(error).splitlines()
    assert first.startswith(("readiness lab/", "liveness lab/"))
    assert first.endswith(": " + sentence)
    assert any(line.startswith("    #") for line in rest)
    assert rest[-2].startswith(f"    in {OWN / name}/capture.pcap, frames ")
    assert rest[-1].startswith(f"    tshark -r {OWN / name}/capture.pcap -Y 'frame.number in {{")
    assert str(error).replace("\n", "").isprintable()


@pytest.mark.parametrize(("name", "check", "why"), [
    ("https-503", lambda p: p.outcomes(["success"], first=1), "cannot tell whether #1 was as expected: 16 attempts unclear (encrypted)"),
    ("https-503", lambda p: p.never("not_ready"), "cannot tell that it was never not_ready: 16 attempts unclear (encrypted)"),
    ("https-503", lambda p: p.state("Ready"), "cannot tell whether it is Ready at the end"),
    ("mid-http-flap-s1", lambda p: p.ready_within(5), "cannot tell whether it was Ready within 5 s of its start: the start is not in this"),
    ("tcp-ready", lambda p: p.decided("not_ready", (0, 600)), "cannot tell whether it is not_ready in +0~+600 s after the start"),
    ("tcp-ready", lambda p: p.timeout(1, within=0.1), "cannot tell whether its timeout is 1 s: no attempt shows the checker giving up"),
    ("http-flap-s1", lambda p: p.from_node("node-a"), "cannot tell whether it comes from node-a: kubelet 1.36 at 10.128.0.1 has no known"),
])  # fmt: skip
def test_what_cannot_be_told_is_inconclusive(name: str, check: Check, why: str) -> None:
    """Missing evidence neither passes nor fails; the message says what is missing."""
    error = told(check, name)
    assert isinstance(error, Inconclusive)
    assert why in str(error)


@pytest.mark.parametrize("change", [
    lambda t: replace(t, captures=(replace(t.captures[0], complete=False, notes=("it is cut",)),)),
    lambda t: replace(t, captures=(replace(t.captures[0], interfaces=(replace(t.captures[0].interfaces[0], drops=3),)),)),
    lambda t: replace(t, events=(*t.events, replace(t.events[0], kind=EventKind.CAPTURE_GAP, address=""))),
], ids=["cut", "lost frames", "gap"])  # fmt: skip
def test_what_was_not_captured_is_not_denied(change: Callable[[Timeline], Timeline]) -> None:
    """On a capture that lacks something nothing "never" happened; what did happen still fails."""
    lacking = expect(change(timeline("tcp-flap")))
    with pytest.raises(Inconclusive, match="cannot tell that it was never restart"):
        lacking.probe().never("restart")
    with pytest.raises(Inconclusive, match="cannot tell that there is no startup"):
        lacking.no_probe("startup")
    with pytest.raises(AssertionError, match="expected whole captures"):
        lacking.complete()
    with pytest.raises(AssertionError, match="expected never not_ready") as caught:
        lacking.probe().never("not_ready")
    assert not isinstance(caught.value, Inconclusive)


def test_the_probe_that_is_meant() -> None:
    """None or several that fit are named; one that should not be there is shown."""
    two = expect(timeline("identical-probes"))
    assert two.probe("liveness").value.type == "liveness"
    with pytest.raises(AssertionError, match=r"^expected one probe, there are 2: p1 \(readiness lab/\S+\), p2 \(liveness lab/\S+\)\n"):
        two.probe()
    with pytest.raises(AssertionError, match=r"^expected one probe 'startup': seen were p1 \(readiness lab/\S+\), p2 "):
        two.probe("startup")
    with pytest.raises(AssertionError, match=r"^liveness .*: expected no liveness, there is p2\n"):
        two.no_probe("liveness")
    two.no_probe("startup").complete()


def test_misspelt_names_list_those_there_are() -> None:
    """A name that nothing has is the test's own error, and says what there is."""
    probe = expect(timeline("tcp-ready")).probe()
    with pytest.raises(ValueError, match="'sucess' is not a valid Outcome: there are success, failure, discarded, inconclusive"):
        probe.outcomes(["sucess"])
    with pytest.raises(ValueError, match="'soon' is not a valid DecisionKind: there are start, first attempt, first failure, ready"):
        probe.decided("ready", (0, 1), after="soon")


@pytest.mark.oracle
def test_the_command_shows_the_frames(tshark: str) -> None:
    """The command of a message, pasted, shows just the frames that it names."""
    error = told(lambda p: p.ready_within(5), "tcp-flap")
    command = str(error).splitlines()[-1].strip()
    done = subprocess.run(command.replace("tshark", tshark, 1), shell=True, capture_output=True, text=True, check=True, timeout=60)
    numbers = [int(number) for number in re.findall(r"^ *(\d+) ", done.stdout, flags=re.MULTILINE)]
    assert numbers == [33, 34, *range(50, 56)]
