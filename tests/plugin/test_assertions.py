"""Assertions on timelines: what holds, what does not, and what cannot be told, on real captures of a real kubelet."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from probewatch import Held, Inconclusive, Timeline, analyze, expect, verify
from probewatch.assertions import ExpectedProbe
from probewatch.model.timeline import EventKind

OWN = Path(__file__).parents[2] / "captures"
SPECS = sorted(path.parent.name for path in OWN.glob("*/pod.yaml") if (path.parent / "capture.pcap").is_file())

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
    ("http-flap-s1", None, lambda p: p.ready_within(1).decided("not_ready", (6, 6.1), after="ready").out_of_service(40)),
    ("http-flap-s1", None, lambda p: p.decided("not_ready", (2, 2.1), after="first failure").decided("ready", (4, 5))),
    ("http-ipv6", "readiness", lambda p: p.decisions(["ready"]).from_node(p.value.checker.address.upper()).latency(max=1, p50=0.5, p99=1)),
    ("http-timeout", None, lambda p: p.timeout(1, within=0.1).decisions(["ready", "not_ready", "ready"]).from_checker("kubelet")),
    ("startup-probe", "startup", lambda p: p.started_within(15).decisions(["started"])),
    ("k136-liveness-restart", "liveness", lambda p: p.decisions(["restart"] * 4)),
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
        seen.period(probe.spec.period_s, within=0.05)
        with pytest.raises(AssertionError):
            seen.period(probe.spec.period_s + 1, within=0.05)


@pytest.mark.parametrize(("name", "period"), [("http-flap-s1", 1), ("http-ipv6", 2), ("https-503", 2), ("http-reset-body", 2),
                                              ("terminating", 1), ("identical-probes", 2)])  # fmt: skip
def test_a_wrong_spec_does_not_make_its_period_true(name: str, period: int, tmp_path: Path) -> None:
    """A spec that declares a second more does not let that period pass, although attempts are read with it."""
    text = (OWN / name / "pod.yaml").read_text()
    wrong = tmp_path / "pod.yaml"
    wrong.write_text(re.sub(r"periodSeconds: (\d+)", lambda found: f"periodSeconds: {int(found[1]) + 1}", text))
    for probe in analyze(OWN / name / "capture.pcap", spec=wrong).probes:
        if probe.spec is not None and probe.spec.period_s == period + 1:
            with pytest.raises(AssertionError, match="periodSeconds: "):
                expect(analyze(OWN / name / "capture.pcap", spec=wrong)).probe(probe.id).period(period + 1, within=0.05)


@pytest.mark.parametrize("name", SPECS)
def test_timeouts_of_real_kubelets(name: str) -> None:
    """Where the wire shows the kubelet giving up, it is after its declared timeout; elsewhere nothing is claimed."""
    for probe in timeline(name).probes:
        if probe.spec is not None:
            try:
                expect(timeline(name)).probe(probe.id).timeout(probe.spec.timeout_s, within=0.1)
            except Inconclusive as unclear:
                assert "no attempt shows the checker giving up" in str(unclear)  # noqa: PT017


@pytest.mark.parametrize(("name", "check", "sentence", "asked", "seen"), [
    ("http-flap-s1", lambda p: p.outcomes(["success"] * 6, first=1),
     "outcomes: #6 is failure (status), expected success*6 there",
     "success*6", "success*5, failure"),
    ("http-flap-s1", lambda p: p.causes(["ok"] * 6, first=1),
     "causesInOrder: #6 is failure (status), expected ok*6 there",
     "ok*6", "ok*5, status"),
    ("http-flap-s1", lambda p: p.outcomes(["success"] * 5),
     "outcomes: #6 is failure (status), expected no more there",
     "success*5", "success*5, failure*5, success*5, failure*5"),
    ("http-flap-s1", lambda p: p.outcomes(["failure"] * 3, first=66),
     "outcomes: the row ends after 2 attempts, then expected failure*3",
     "failure*3", "failure*2"),
    ("http-flap-s1", lambda p: p.attempts(68),
     "attempts: fewer than expected",
     "at least 68 attempts", "67 attempts"),
    ("http-flap-s1", lambda p: p.attempts(1, 66),
     "attempts: more than expected",
     "1 to 66 attempts", "67 attempts"),
    ("http-flap-s1", lambda p: p.decisions(["ready"]),
     "decisions: not_ready at #8 was not expected",
     "ready", "ready +0.001, not_ready +6.003, ready +8.006"),
    ("http-flap-s1", lambda p: p.decisions(["not_ready"]),
     "decisions: decision 1 is ready at #1: expected not_ready",
     "not_ready", "ready +0.001, not_ready +6.003, ready +8.006"),
    ("tcp-ready", lambda p: p.decisions(["ready", "not_ready"]),
     "decisions: no not_ready as decision 2",
     "ready, not_ready", "ready +0.000 (seconds since the first attempt)"),
    ("http-flap-s1", lambda p: p.never("not_ready"),
     "never not_ready: not_ready was decided",
     "never", "6 times, first at #8, streak 3 of 3"),
    ("http-flap-s1", lambda p: p.state("NotReady"),
     "state: Ready at the end",
     "NotReady", "Ready"),
    ("http-flap-s1", lambda p: p.decided("not_ready", (0, 1)),
     "decided not_ready: not_ready was decided 10.459 s after the start of the capture",
     "at most 1 s after the start of the capture", "10.459 s after the start of the capture"),
    ("tcp-ready", lambda p: p.decided("not_ready", (0, 1)),
     "decided not_ready: no not_ready in 49.545 s after the start of the capture",
     "at most 1 s after the start of the capture", "never"),
    ("tcp-flap", lambda p: p.ready_within(9),
     "readyWithinSeconds: Ready came late",
     "Ready within 9 s", "10.002 s after the container's start as the packets show it"),
    ("http-flap-s1", lambda p: p.period(2, within=0.05),
     "periodSeconds: 52 of 52 intervals differ, the first is 0.999765 s to #4",
     "2 s, give or take 0.05 s", "0.998716 s to 1.002 s"),
    ("http-timeout", lambda p: p.timeout(2, within=0.1),
     "timeoutSeconds: 7 of 7 attempts differ, #6 was given up after 1.001 s",
     "given up after 2 s, give or take 0.1 s", "1.001 s"),
    ("http-flap-s1", lambda p: p.latency(p50=0.0001),
     "latencySeconds.p50: 67 attempts took longer; p50 is #4",
     "at most 0.0001 s", "0.000844 s"),
    ("http-flap-s1", lambda p: p.from_node("10.128.0.2"),
     "node: another node probes",
     "the kubelet of 10.128.0.2", "kubelet 1.36 at 10.128.0.1"),
    ("http-flap-s1", lambda p: p.from_checker("haproxy"),
     "checker: another program probes",
     "haproxy", "kubelet 1.36 at 10.128.0.1"),
])  # fmt: skip
def test_what_is_not_so_fails_with_the_story(name: str, check: Check, sentence: str, asked: str, seen: str) -> None:
    """One sentence about the probe; expected beside observed; the attempts around it; file, frames and a command."""
    error = told(check, name)
    assert not isinstance(error, Inconclusive)
    first, *rest = str(error).splitlines()
    assert first in (f"readiness {sentence}", f"liveness {sentence}"), "what is wrong comes first: a summary cuts the rest"
    assert rest.pop(0).startswith("  of lab/")
    assert rest[0] == f"  - expected {asked}"
    assert rest[1].startswith(f"  + observed {seen}")
    assert any(line.startswith(("    #", "  > #")) for line in rest)
    assert rest[-2].startswith(f"    in {OWN / name}/capture.pcap, frames ")
    assert rest[-1].startswith(f"    tshark -r {OWN / name}/capture.pcap -Y 'frame.number in {{")
    assert str(error).replace("\n", "").isprintable()


def test_what_happened_between_the_attempts_is_told() -> None:
    """Between the attempt that had a container restarted and the next one stands why none came, and what came about."""
    lines = str(told(lambda p: p.never("restart"), "k136-liveness-restart", "liveness")).splitlines()
    numbered = [line.lstrip(" >").partition(" ")[0] for line in lines]
    between = lines[numbered.index("#13") + 1 : numbered.index("#14")]
    assert ["on hold until there was a new container" in between[0], "container app started (inferred)" in between[-1]] == [True, True]
    assert not any("missing" in line or "started" in line for line in lines[: numbered.index("#13")])


@pytest.mark.parametrize(("name", "check", "why"), [
    ("https-503", lambda p: p.outcomes(["success"], first=1),
     "outcomes: cannot tell: 1 attempt could be either: 1 encrypted"),
    ("https-503", lambda p: p.never("not_ready"),
     "never not_ready: cannot tell: the outcome of #1 is not known (encrypted)"),
    ("https-503", lambda p: p.state("Ready"),
     "state: cannot tell: the outcome of #1 is not known (encrypted)"),
    ("mid-http-flap-s1", lambda p: p.ready_within(5),
     "readyWithinSeconds: cannot tell: the container's start is not in this capture: capture from before it"),
    ("tcp-ready", lambda p: p.decided("not_ready", (0, 600)),
     "decided not_ready: cannot tell: the capture ends 49.545 s after the start of the capture"),
    ("tcp-ready", lambda p: p.timeout(1, within=0.1),
     "timeoutSeconds: cannot tell: no attempt shows the checker giving up"),
    ("http-flap-s1", lambda p: p.from_node("node-a"),
     "node: cannot tell: no name of its node is known: --cluster or --node-ip would tell"),
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
    with pytest.raises(Inconclusive, match="outOfServiceSeconds: cannot tell: "):
        lacking.probe().out_of_service(1000)
    with pytest.raises(Inconclusive, match="cannot tell that there is no startup"):
        lacking.no_probe("startup")
    with pytest.raises(AssertionError, match="expected whole captures"):
        lacking.complete()
    with pytest.raises(AssertionError, match="never not_ready: not_ready was decided") as caught:
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
    with pytest.raises(AssertionError, match=r"^liveness probe: expected no liveness, there is p2\n"):
        two.no_probe("liveness")
    two.no_probe("startup").complete()


def test_misspelt_names_list_those_there_are() -> None:
    """A name that nothing has is the test's own error, and says what there is."""
    probe = expect(timeline("tcp-ready")).probe()
    with pytest.raises(ValueError, match="'sucess' is not a valid Outcome: there are success, failure, discarded, inconclusive"):
        probe.outcomes(["sucess"])
    with pytest.raises(ValueError, match="'soon' is not a valid DecisionKind: there are start, first attempt, first failure, ready"):
        probe.decided("ready", (0, 1), after="soon")


@pytest.mark.parametrize(("check", "sentence"), [
    (lambda p: p.never(), "needs a decision: there are ready, not_ready"),
    (lambda p: p.latency(), "needs a bound"),
    (lambda p: p.outcomes([], first=4), "at least one with first"),
    (lambda p: p.outcomes(["success"], first=0), "numbered from 1"),
    (lambda p: p.attempts(5, 3), "the smaller number first"),
    (lambda p: p.decided("ready", 20), "between is a range of seconds"),
    (lambda p: p.decided("ready", (3, 2)), "the smaller number first"),
    (lambda p: p.latency(max=float("nan")), "expected seconds, 0 or more, got nan"),
    (lambda p: p.latency(max=float("inf")), "expected seconds"),
    (lambda p: p.ready_within(-1), "expected seconds"),
    (lambda p: p.period(2, within=-1), "expected seconds"),
    (lambda p: p.from_checker("kublet"), "is no checker: there are kubelet, haproxy"),
    (lambda p: p.outcomes("success"), r"expected a list, got 'success': write \['success'\]"),
])  # fmt: skip
def test_what_says_nothing_is_refused(check: Check, sentence: str) -> None:
    """What would hold whatever happened, or cannot be meant, is the test's own error."""
    with pytest.raises((ValueError, TypeError), match=sentence):
        check(expect(timeline("tcp-ready")).probe())


@pytest.mark.parametrize(("selector", "sentence"), [("readines", "did you mean readiness"), ("", "is empty"), ("p7", "is an id")])
def test_a_misspelt_probe_is_not_said_to_be_missing(selector: str, sentence: str) -> None:
    """A name that can mean nothing is refused where it would be found not to be there."""
    with pytest.raises(ValueError, match=sentence):
        expect(timeline("tcp-ready")).no_probe(selector)


def test_what_no_packet_shows_is_neither_there_nor_missing() -> None:
    """An exec probe that is declared, and a probe of unknown type, leave open whether there is such a probe."""
    execs = expect(timeline("exec-harness"))
    with pytest.raises(Inconclusive, match="sends no packet"):
        execs.probe("readiness")
    with pytest.raises(Inconclusive, match="sends no packet"):
        execs.no_probe("liveness")
    execs.no_probe("startup")
    plain = expect(analyze(OWN / "tcp-ready" / "capture.pcap"))
    with pytest.raises(Inconclusive, match="p1 could be meant, but its type is not known"):
        plain.no_probe("readiness")
    empty = expect(analyze(OWN / "malformed" / "global-header-only.pcap"))
    with pytest.raises(Inconclusive, match="there is no frame"):
        empty.no_probe("readiness")
    with pytest.raises(AssertionError, match="there is no frame"):
        empty.complete()


@pytest.mark.parametrize("name", ["http-timeout", "http-ipv6", "tcp-flap"])
def test_what_is_declared_is_verified(name: str) -> None:
    """A declared probe that was carried out so is verified, though fields that nothing shows stay open; strictly it is not."""
    whole = verify(OWN / name / "capture.pcap", spec=OWN / name / "pod.yaml")
    for probe in whole.probes:
        seen = expect(whole).probe(probe.id)
        assert seen.verified() is seen
        with pytest.raises(Inconclusive, match=": cannot tell: "):
            seen.verified(inconclusive="fail")


def test_what_is_not_as_declared_is_not_verified(tmp_path: Path) -> None:
    """A field that the packets exclude fails with its name, what was declared and what is seen, and the spec that says so."""
    wrong = tmp_path / "pod.yaml"
    wrong.write_text((OWN / "http-timeout" / "pod.yaml").read_text().replace("timeoutSeconds: 1", "timeoutSeconds: 2"))
    whole = verify(OWN / "http-timeout" / "capture.pcap", spec=wrong)
    with pytest.raises(AssertionError) as caught:
        expect(whole).probe("readiness").verified()
    assert not isinstance(caught.value, Inconclusive)
    assert "readiness timeoutSeconds: it gave up after 1 s, " in str(caught.value)
    assert "\n  - expected 2 s (pod.yaml)\n  + observed 1 s\n" in str(caught.value)


def test_nothing_is_verified_unasked() -> None:
    """A timeline without findings says where one with findings comes from; all open is inconclusive; another word is refused."""
    with pytest.raises(ValueError, match=r"nothing was verified: take the timeline from probewatch\.verify"):
        expect(timeline("tcp-ready")).probe().verified()
    with pytest.raises(ValueError, match="inconclusive is 'ok' or 'fail', not 'maybe'"):
        expect(timeline("tcp-ready")).probe().verified(inconclusive="maybe")
    whole = verify(OWN / "tcp-ready" / "capture.pcap", spec=OWN / "tcp-ready" / "pod.yaml")
    dark = tuple(replace(finding, held=Held.INCONCLUSIVE) for finding in whole.findings)
    with pytest.raises(Inconclusive):
        expect(replace(whole, findings=dark)).probe().verified()


@pytest.mark.oracle
def test_the_command_shows_the_frames(tshark: str) -> None:
    """The command of a message, pasted, shows just the frames that it names."""
    error = told(lambda p: p.ready_within(5), "tcp-flap")
    command = str(error).splitlines()[-1].strip()
    done = subprocess.run(command.replace("tshark", tshark, 1), shell=True, capture_output=True, text=True, check=True, timeout=60)
    numbers = [int(number) for number in re.findall(r"^ *(\d+) ", done.stdout, flags=re.MULTILINE)]
    assert numbers == [*range(50, 56)]
