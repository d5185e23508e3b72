"""Expectations held against timelines: what holds, what does not, and what the capture cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import probewatch
from probewatch.api import observer
from probewatch.capture import Reader
from probewatch.decisions.outages import downtime, outages
from probewatch.model.expectation import (
    Decided,
    Expectations,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Run,
    Selector,
)
from probewatch.model.finding import Finding, Held
from probewatch.model.frame import CaptureInfo, Interface
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    UNSEEN,
    Cause,
    Checker,
    DecisionKind,
    EventKind,
    Gap,
    OtherTraffic,
    Outcome,
    Schedule,
    Target,
    Timeline,
    TimelineEvent,
    Trigger,
)
from probewatch.model.units import SECOND as S
from probewatch.verify.case import seconds
from probewatch.verify.expect import check, of_probe

PASS, FAIL, UNCLEAR = Held.PASS, Held.FAIL, Held.INCONCLUSIVE
GOOD, BAD, OPEN = Outcome.SUCCESS, Outcome.FAILURE, None
READY, NOT_READY, RESTART = DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.RESTART
ANY = Selector(port=8080)


def one(timeline: Timeline, **wanted: Any) -> Finding:
    """Hold one expectation against the only probe; the finding that it is there is left out."""
    first, *found = check(
        timeline, Expectations(source="expect.yaml", probes=(ProbeExpectation(selector=ANY, **wanted),))
    )
    assert (first.field, first.held) == ("probe", PASS)
    (finding,) = found
    assert finding.source == "expect.yaml"
    return finding


def seen(timeline: Timeline, selector: Selector, count: Range | None = None) -> Finding:
    """Say whether the probe that a selector names is there."""
    entry = ProbeExpectation(selector=selector, **({} if count is None else {"count": count}))
    return check(timeline, Expectations(probes=(entry,)))[0]


def runs(*parts: tuple[Outcome, int, int | None]) -> tuple[Run, ...]:
    """Return a pattern."""
    return tuple(Run(*part) for part in parts)


# Is it there?


def test_not_probed_at_all(make: Any) -> None:
    """A probe that is not there fails, with what there is instead; no other expectation of it says anything."""
    entry = ProbeExpectation(selector=Selector(type=ProbeType.LIVENESS, pod="web"), attempts=Range(1))
    (found,) = check(make(), Expectations(probes=(entry,)))

    assert (found.held, found.subject, found.probe) == (FAIL, "liveness web", None)
    assert found.sentence == "not probed at all; seen instead: p1 (readiness lab/web/app)"
    assert found.expected == "at least 1 probe"


def test_not_seen_but_perhaps_there(make: Any) -> None:
    """Not known whether it is meant, an exec probe, an input that breaks off, no frame: none of these is a failure."""
    whole = make()
    nameless = replace(whole, probes=(replace(whole.probes[0], target=Target(address="fd00::a", port=8080)),))
    found = seen(nameless, Selector(pod="web"))
    assert (found.held, found.sentence) == (
        UNCLEAR,
        "p1 (readiness [fd00::a]:8080/ready) could be meant, but not known is its pod: --spec or --cluster would tell",
    )
    assert seen(whole, Selector(pod="web", handler=Handler.EXEC)).sentence.startswith("an exec probe")
    assert (
        seen(make(complete=False), Selector(port=1)).sentence == "a.pcap is cut or corrupt, what came later is not seen"
    )
    empty = Timeline(captures=(replace(whole.captures[0], frames=0),))
    assert (seen(empty, ANY).held, seen(empty, ANY).sentence) == (UNCLEAR, "there is no frame in this capture")
    assert (
        seen(Timeline(captures=whole.captures), ANY).sentence
        == "not probed at all; there are no probes in this capture"
    )


def test_exec_probes_are_known_from_the_spec(captures: Path) -> None:
    """With the Pod at hand, an exec probe that nobody can see is inconclusive, and one it does not have fails."""
    folder = captures / "exec-harness"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    assert seen(timeline, Selector(type=ProbeType.READINESS, pod="exec-*")).held is UNCLEAR
    assert seen(timeline, Selector(type=ProbeType.STARTUP, pod="exec-*")).held is FAIL
    for kind in (ProbeType.READINESS, ProbeType.LIVENESS):
        assert seen(timeline, Selector(type=kind)).held is UNCLEAR
        assert seen(timeline, Selector(type=kind), Range(None, 0)).held is UNCLEAR
    assert seen(timeline, Selector(type=ProbeType.READINESS, port=8080)).held is FAIL


def test_how_many(make: Any) -> None:
    """`count` bounds how many probes a selector names, none included."""
    timeline = make()
    second = replace(timeline.probes[0], id="p2", checker=Checker(kind="kubelet", address="10.128.0.2"))
    two = replace(timeline, probes=(*timeline.probes, second))

    assert seen(two, ANY, Range(2, 2)).held is PASS
    assert seen(two, ANY, Range(1, 1)).held is FAIL
    assert seen(two, ANY, Range(3, 3)).sentence == "fewer probes than expected are like this"
    assert seen(two, Selector(port=1), Range(None, 0)).held is PASS
    assert seen(make(complete=False), Selector(port=1), Range(None, 0)).held is UNCLEAR
    assert len(check(two, Expectations(probes=(ProbeExpectation(selector=ANY, attempts=Range(1)),)))) == 3


# Attempts.


def test_number_of_attempts(make: Any) -> None:
    """Too many fail for certain; too few only where none can have been missed."""
    assert one(make("ssss"), attempts=Range(4, 4)).held is PASS
    assert one(make("ssss"), attempts=Range(None, 3)).held is FAIL
    few = one(make("ssss"), attempts=Range(5, None))
    assert (few.held, few.expected, few.observed) == (FAIL, "at least 5 attempts", "4 attempts")
    cut = make("ssss", complete=False)
    assert [one(cut, attempts=wanted).held for wanted in (Range(3), Range(5), Range(4, 4), Range(None, 3))] == [
        PASS,
        UNCLEAR,
        UNCLEAR,
        FAIL,
    ]


def test_missed_attempts(make: Any) -> None:
    """Missing attempts are counted with their reason; lost packets make them doubtful."""
    timeline = make("ssss", gaps=(Gap(start_ns=0, end_ns=1, expected=3, reason="kubelet restarted"),))
    found = one(timeline, missed=Range(None, 0))
    assert (found.held, found.observed) == (FAIL, "3 missed attempts (kubelet restarted)")
    assert one(timeline, missed=Range(None, 3)).held is PASS
    info = replace(timeline.captures[0], interfaces=(Interface(0, "eth0", 1, 0, 7),))
    lossy = one(replace(timeline, captures=(info,)), missed=Range(4, None))
    assert (lossy.held, lossy.sentence) == (UNCLEAR, "attempts are missing, and the capturing program lost 7 packets")


def test_outcomes(make: Any) -> None:
    """All outcomes in order; where they leave the pattern, with the attempts around it and their frames."""
    pattern = runs((GOOD, 1, None), (BAD, 3, 3))
    assert one(make("ssfff"), outcomes=pattern).held is PASS
    found = one(make("ssffs"), outcomes=pattern)
    assert (found.held, found.sentence) == (FAIL, "#5 is success (ok), expected failure*3 there")
    assert (found.expected, found.observed) == ("success*1.., failure*3", "success*2, failure*2, success")
    assert found.attempts == (4, 5)
    assert [(e.first, e.last) for e in found.evidence] == [(31, 40), (41, 50)]
    short = one(make("ssff"), outcomes=pattern)
    assert short.sentence == "the row ends after 4 attempts, then expected failure*3"


def test_outcomes_that_are_not_known(make: Any) -> None:
    """An encrypted attempt may be what is wanted; one cut by the end of the capture counts for nothing."""
    pattern = runs((GOOD, 2, 2), (BAD, 3, 3))
    assert one(make("ssfffc"), outcomes=pattern).held is PASS
    dark = one(make("ss?ff"), outcomes=pattern)
    assert (dark.held, dark.sentence, dark.attempts) == (UNCLEAR, "1 attempt could be either: 1 encrypted", (3,))
    assert one(make("fs?ff"), outcomes=pattern).held is FAIL
    assert one(make("ssff", complete=False), outcomes=pattern).held is UNCLEAR
    assert one(make("ssfff", complete=False), outcomes=pattern).held is UNCLEAR
    assert one(make("fsfff", complete=False), outcomes=pattern).held is FAIL


def test_outcomes_somewhere(make: Any) -> None:
    """A row that occurs holds whatever else is missing; one that does not fails only if nothing is."""
    pattern = runs((BAD, 2, 2), (GOOD, 1, 1))
    assert one(make("sffss", complete=False), outcomes_contain=pattern).held is PASS
    assert one(make("sfsfs"), outcomes_contain=pattern).held is FAIL
    assert one(make("sfsfs", complete=False), outcomes_contain=pattern).held is UNCLEAR
    assert one(make("sf?s"), outcomes_contain=pattern).held is UNCLEAR


def test_causes(make: Any) -> None:
    """A cause that is not listed fails; one that nobody knows is inconclusive; listed, it is as good as any."""
    found = one(make("sfst"), causes=(Cause.OK, Cause.STATUS))
    assert (found.held, found.observed, found.attempts) == (FAIL, "1 slow-answer", (4,))
    assert one(make("sfsf"), causes=(Cause.OK, Cause.STATUS)).held is PASS
    assert one(make("s??s"), causes=(Cause.OK,)).held is UNCLEAR
    assert one(make("s??s"), causes=(Cause.OK, Cause.ENCRYPTED)).held is PASS
    assert one(make("sssc"), causes=(Cause.OK,)).held is PASS


def test_latency(make: Any) -> None:
    """A bound holds or fails where all is known; silence took at least the timeout, and more is not known."""
    fast = make("ssss", took=2_000_000)
    assert one(fast, latency=LatencyBounds(max=2_000_000)).held is PASS
    slow = one(fast, latency=LatencyBounds(p99=1_000_000))
    assert (slow.held, slow.field, slow.observed, slow.attempts) == (
        FAIL,
        "latencySeconds.p99",
        "0.002 s",
        (4,),  # which is the 99th percentile
    )
    silent = make("ssst")
    assert one(silent, latency=LatencyBounds(max=S // 2)).held is FAIL
    found = one(silent, latency=LatencyBounds(max=2 * S))
    assert (found.held, found.observed, found.attempts) == (UNCLEAR, "at least 1 s", (4,))
    assert one(silent, latency=LatencyBounds(p50=S // 2)).held is PASS
    assert one(make("??"), latency=LatencyBounds(max=S)).held is UNCLEAR


def test_period(make: Any) -> None:
    """Every interval between neighbouring ticks counts; where attempts are missing nothing does."""
    assert one(make("sss"), period=Pace(S, S // 10)).held is PASS
    found = one(make("sss"), period=Pace(2 * S, S // 10))
    assert (found.held, found.sentence, found.attempts) == (
        FAIL,
        "2 of 2 intervals differ, the first is 1 s to #2",
        (1, 2),
    )
    timeline = make("sss")
    start = timeline.probes[0].attempts[0].start.ns
    gap = Gap(start_ns=start + 1, end_ns=start + S - 1, expected=1, reason="kubelet restarted")
    parted = replace(timeline, probes=(replace(timeline.probes[0], gaps=(gap,)),))
    assert one(parted, period=Pace(S, 0)).sentence == "1 s from tick to tick, 1 time"
    assert one(make("s"), period=Pace(S, 0)).held is UNCLEAR


@pytest.mark.parametrize("client", ["10.128.0.1", "fd00:10:128::1"])
def test_source(make: Any, client: str) -> None:
    """Attempts come from the addresses or networks that are named, IPv4 or IPv6."""
    timeline = make("ss", client=client)
    assert one(timeline, sources=("10.128.0.0/14", "fd00:10:128::1")).held is PASS
    found = one(timeline, sources=("192.0.2.1", "2001:db8::/32"))
    assert (found.held, found.observed, found.attempts) == (FAIL, client, (1, 2))


# Decisions.


def wanted(*items: tuple[DecisionKind, Range | None, Range | None]) -> tuple[ExpectedDecision, ...]:
    """Return expected decisions: kind, since start, since previous."""
    return tuple(
        ExpectedDecision(kind=kind, since_start=start, since_previous=previous) for kind, start, previous in items
    )


FLAP = {"a1": READY, "a5": NOT_READY, "a6": READY}
THREE = wanted((READY, None, None), (NOT_READY, None, None), (READY, None, None))


def test_decisions(make: Any) -> None:
    """All decisions in order, with their times since the start and since the one before."""
    flap = make("ssfffs", decisions=FLAP)
    assert one(flap, decisions=THREE).held is PASS
    timed = wanted(
        (READY, Range(None, S), None), (NOT_READY, Range(4 * S, 5 * S), Range(4 * S, 5 * S)), (READY, None, Range(S, S))
    )
    assert one(flap, decisions=timed).held is PASS
    late = one(flap, decisions=wanted((READY, None, None), (NOT_READY, None, Range(None, 3 * S)), (READY, None, None)))
    assert (late.held, late.sentence) == (FAIL, "decision 2 is not_ready at #5: 4 s after ready, expected at most 3 s")
    assert late.attempts == (4, 5, 6)
    assert one(flap, decisions=THREE[:2]).sentence == "ready at #6 was not expected"
    assert one(flap, decisions=(*THREE, THREE[1])).sentence == "no not_ready as decision 4"
    assert one(flap, decisions=(THREE[0], THREE[0])).sentence == "decision 2 is not_ready at #5: expected ready"


def test_decisions_that_cannot_be_told(make: Any) -> None:
    """A start before the capture, an input that breaks off, outcomes nobody knows: inconclusive; a stranger is a stranger."""
    middle = make(
        "ssfffs",
        start=False,
        decisions={"a5": NOT_READY, "a6": READY},
        initial_state="Ready",
        initial_evidence="first streak",
    )
    found = one(middle, decisions=THREE)
    assert (found.held, "Ready already at the beginning of the capture" in found.sentence) == (UNCLEAR, True)
    assert one(middle, decisions=wanted((NOT_READY, Range(None, S), None), (READY, None, None))).held is UNCLEAR
    assert one(make("s", complete=False, decisions={"a1": READY}), decisions=THREE).held is UNCLEAR
    assert one(make("ss???s", decisions={"a1": READY}), decisions=THREE).held is UNCLEAR
    assert one(make("ss??fs", decisions={"a1": READY}), decisions=THREE[:2]).held is UNCLEAR
    assert one(make("ss?sss", decisions={"a1": READY}), decisions=THREE[:2]).held is FAIL
    assert one(make("ss", decisions={"a1": RESTART}), decisions=THREE).held is FAIL


def test_decisions_in_between(make: Any) -> None:
    """Decisions that have to occur in this order, whatever lies between them."""
    flap = make("ssfffs", decisions=FLAP)
    assert one(flap, decisions_contain=(THREE[0], THREE[2])).held is PASS
    assert one(flap, decisions_contain=wanted((NOT_READY, None, Range(4 * S, 5 * S)))).held is PASS
    found = one(flap, decisions_contain=wanted((READY, None, None), (NOT_READY, Range(None, S), None)))
    assert (found.held, found.sentence) == (FAIL, "no not_ready (at most 1 s after the start) after the first 1")
    assert (
        one(
            make("ss", start=False, decisions={"a1": READY}), decisions_contain=wanted((READY, Range(None, S), None))
        ).held
        is UNCLEAR
    )


def test_never(make: Any) -> None:
    """What must not be decided: seen, it fails with its attempt; not seen, it passes only where it cannot have been overlooked."""
    found = one(make("ssfffs", decisions=FLAP), never=(NOT_READY,))
    assert (found.held, found.field, found.attempts) == (FAIL, "never not_ready", (4, 5, 6))
    assert one(make("ssffs"), never=(NOT_READY,)).held is PASS
    assert one(make("ssffs", complete=False), never=(NOT_READY,)).held is UNCLEAR
    dark = one(make("ss???s"), never=(NOT_READY,))
    assert (dark.held, dark.sentence) == (UNCLEAR, "the outcome of #3 is not known (encrypted)")
    assert one(make("ss??ss"), never=(NOT_READY,)).held is PASS
    assert one(make("ssssc"), never=(NOT_READY,)).held is PASS
    found = one(make("sfffs"), never=(RESTART,))
    assert (found.held, found.sentence) == (FAIL, "a readiness probe never decides restart: a liveness or startup probe does")


def test_never_across_a_silence_that_has_several_reasons(make: Any) -> None:
    """Attempts that failed on the node without a frame may have been among those that are missing: neither held nor broken."""
    timeline = make("ssss")
    (probe,) = timeline.probes
    begun, back = probe.attempts[1].start.ns, probe.attempts[2].start.ns
    dark = replace(probe, gaps=(Gap(start_ns=begun, end_ns=back, expected=6, reason=UNSEEN),))
    found = one(replace(timeline, probes=(dark,)), never=(NOT_READY,))
    assert (found.held, found.attempts) == (UNCLEAR, (2, 3, 4))
    assert "without a frame" in found.sentence


def test_never_without_a_spec(make: Any) -> None:
    """A threshold that is only assumed does not tell that a failure led to nothing; no failure tells it."""
    assert one(make("ssfs", spec=None), never=(NOT_READY,)).sentence == (
        "#3 failed, and the failureThreshold is not known: give the Pod with --spec"
    )
    assert one(make("ssss", spec=None), never=(NOT_READY,)).held is PASS
    inferred = {"failureThreshold": (3, "inferred"), "successThreshold": (1, "default")}
    assert one(make("ssfs", spec=None, thresholds=inferred), never=(NOT_READY,)).held is PASS


def test_never_without_a_type(make: Any) -> None:
    """Three failures of a probe whose type nobody knows led to something; that none failed led to nothing."""
    inferred = {"failureThreshold": (3, "inferred"), "successThreshold": (1, "default")}
    assert one(make("ssfff", type=ProbeType.UNKNOWN, spec=None, thresholds=inferred), never=(RESTART,)).held is UNCLEAR
    assert one(make("sssss", type=ProbeType.UNKNOWN, spec=None, thresholds=inferred), never=(RESTART,)).held is PASS


def test_never_across_a_hole(make: Any) -> None:
    """Time that no file covers may hide anything."""
    timeline = make("ssss")
    hole = TimelineEvent(
        ns=timeline.captures[0].first_ns + S,
        kind=EventKind.CAPTURE_GAP,
        address="",
        evidence="no file covers the next 9 s",
    )
    found = one(replace(timeline, events=(*timeline.events, hole)), never=(NOT_READY,))
    assert (found.held, found.sentence) == (UNCLEAR, "the capture has a hole there: no file covers the next 9 s")


def test_ready_within(make: Any) -> None:
    """Ready in time after each start that the packets show; without a start nothing can be said."""
    good = one(make("ffs", decisions={"a3": READY}), ready_within=3 * S)
    assert (good.held, good.sentence) == (PASS, "Ready 2.001 s after the container's start as the packets show it")
    late = one(make("ffs", decisions={"a3": READY}), ready_within=S)
    assert (late.held, late.attempts) == (FAIL, (2, 3))
    assert one(make("ffs", decisions={"a3": READY}, start=False), ready_within=S).sentence == (
        "the container's start is not in this capture: capture from before it"
    )
    assert one(make("ffffff"), ready_within=3 * S).sentence == "not Ready in 5.001 s"
    assert (
        one(make("fff"), ready_within=20 * S).sentence
        == "the capture ends 2.001 s after the container's start as the packets show it"
    )
    assert one(make("f???ff"), ready_within=3 * S).held is UNCLEAR
    never = one(make("sss", type=ProbeType.LIVENESS), ready_within=S)
    assert (never.held, never.sentence) == (FAIL, "a liveness probe never decides ready")
    assert one(make("sss", type=ProbeType.UNKNOWN), ready_within=S).held is UNCLEAR


def test_ready_within_after_each_restart(make: Any) -> None:
    """A second container has to be Ready in time too."""
    begun = TimelineEvent(
        ns=1_795_378_200 * S + 4 * S, kind=EventKind.CONTAINER_STARTED, address="10.128.0.10", container="app"
    )
    other = replace(begun, container="sidecar")
    twice = make("ssssfffs", decisions={"a1": READY, "a8": READY}, events=(begun, other))
    assert (
        one(twice, ready_within=4 * S).sentence
        == "Ready 2 times, the first 0.001 s after the container's start as the packets show it"
    )
    assert one(twice, ready_within=2 * S).held is FAIL


def test_state(make: Any) -> None:
    """The state at the end; not known where the input breaks off or the last outcomes are dark."""
    assert one(make("ss", decisions={"a1": READY}), state="Ready").held is PASS
    found = one(make("ssfff", decisions={"a1": READY, "a5": NOT_READY}, final_state="NotReady"), state="Ready")
    assert (found.held, found.expected, found.observed) == (FAIL, "Ready", "NotReady")
    assert one(make("ss", complete=False), state="Ready").held is UNCLEAR
    assert one(make("s???", decisions={"a1": READY}), state="Ready").held is UNCLEAR
    assert one(make("ss", final_state="unknown"), state="Ready").held is UNCLEAR


# The rest of the capture.


def test_others(make: Any) -> None:
    """Probes that nobody named, and connections that are none, are counted."""
    timeline = make()
    stranger = replace(
        timeline.probes[0], id="p2", checker=Checker(kind="haproxy", address="fd00::9"), type=ProbeType.UNKNOWN
    )
    traffic = OtherTraffic(
        address="10.128.0.20", target_address="10.128.0.10", target_port=8080, connections=12, what="client traffic"
    )
    busy = replace(timeline, probes=(*timeline.probes, stranger), others=(traffic,))
    entry = ProbeExpectation(selector=Selector(type=ProbeType.READINESS))

    def others(timeline: Timeline, **more: Range) -> Finding:
        return check(timeline, Expectations(probes=(entry,), **more))[-1]

    found = others(busy, other_probes=Range(None, 0))
    assert (found.held, found.field, found.subject) == (FAIL, "otherProbes", "everything else")
    assert found.observed == "1 probe: p2 (haproxy check lab/web/app from fd00::9)"
    assert others(timeline, other_probes=Range(None, 0)).held is PASS
    assert others(busy, other_connections=Range(None, 12)).held is PASS
    assert others(busy, other_connections=Range(20, None)).held is FAIL
    cut = replace(timeline, captures=(replace(timeline.captures[0], complete=False),))
    assert others(cut, other_probes=Range(None, 0)).held is UNCLEAR


# Real captures.


def test_real_flapping(captures: Path) -> None:
    """What a flapping pod does is told from what it should have done, with the attempts and their frames."""
    folder = captures / "http-flap-s1"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    entry = ProbeExpectation(
        selector=Selector(type=ProbeType.READINESS, namespace="lab", pod="http-flap-*", container="app"),
        outcomes_contain=runs((BAD, 3, 3)),
        never=(NOT_READY,),
        ready_within=2 * S,
        latency=LatencyBounds(max=S // 10),
        period=Pace(S, S // 10),
        sources=("10.128.0.0/14",),
    )
    found = {finding.field: finding for finding in check(timeline, Expectations(probes=(entry,)))}

    assert {field: finding.held for field, finding in found.items()} == {
        "probe": PASS,
        "outcomesContain": PASS,
        "never not_ready": FAIL,
        "readyWithinSeconds": PASS,
        "latencySeconds.max": PASS,
        "periodSeconds": PASS,
        "source": PASS,
    }
    assert found["never not_ready"].attempts == (7, 8, 9)
    assert found["never not_ready"].evidence


def test_real_capture_begun_in_mid_life(captures: Path) -> None:
    """A capture begun while the pod was Ready does not say how long it took to get there."""
    folder = captures / "mid-http-flap-s1"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")

    assert one(timeline, ready_within=S).held is UNCLEAR


def test_real_https_without_keys(captures: Path) -> None:
    """Encrypted answers neither fail nor pass; with the keys they do."""
    folder = captures / "https-503"
    selector = Selector(type=ProbeType.READINESS)
    entry = ProbeExpectation(selector=selector, outcomes=runs((BAD, 1, None)), never=(READY,), causes=(Cause.STATUS,))
    for keys, held in ((None, UNCLEAR), (folder / "keys.log", PASS)):
        timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml", keylog=keys)
        _, *found = check(timeline, Expectations(probes=(entry,)))
        if keys is None or any(a.outcome is not Outcome.INCONCLUSIVE for a in timeline.probes[0].attempts):
            assert [finding.held for finding in found] == [held] * 3


# What was decided after a moment, how the checker gave up, and who it is.


def test_causes_in_order(make: Any) -> None:
    """Causes in a row as outcomes: where they leave the pattern; dark ones may be what is wanted, so may one still open."""
    pattern = (Run(Cause.OK, 2, 2), Run(Cause.STATUS, 1, None))
    assert one(make("ssff"), causes_in_order=pattern).held is PASS
    found = one(make("ssfs"), causes_in_order=pattern)
    assert (found.held, found.sentence, found.at, found.attempts) == (FAIL, "#4 is success (ok), expected no more there", 4, (3, 4))
    assert one(make("s?ff"), causes_in_order=pattern).held is UNCLEAR
    assert one(make("fsff"), causes_in_order=pattern).held is FAIL
    cut = one(make("ssc"), causes_in_order=pattern)
    assert (cut.held, cut.sentence) == (UNCLEAR, "#3 was still open when the capture ended")
    assert one(make("ssc"), outcomes=runs((GOOD, 2, 2), (BAD, 1, 1))).held is UNCLEAR
    assert one(make("ssc"), outcomes=runs((GOOD, 1, 1), (BAD, 2, 2))).held is FAIL


@pytest.mark.parametrize(
    ("after", "low", "high", "held"),
    [
        ("start", 4, 5, PASS),
        ("start", 0, 4, FAIL),
        ("first attempt", 4, 5, PASS),
        ("first failure", 2, 3, PASS),
        ("first failure", 3, 9, FAIL),
        (READY, 4, 4, PASS),
        (NOT_READY, 0, 0, FAIL),  # it is not after itself
        (RESTART, 0, 9, FAIL),
    ],
)
def test_decided_after(make: Any, after: str, low: int, high: int, held: Held) -> None:
    """The first decision after the start, an attempt or a decision, in a range that includes both ends."""
    timeline = make("ssfffs", decisions=FLAP)
    assert one(timeline, decided=(Decided(kind=NOT_READY, after=after, time=Range(low * S, high * S)),)).held is held


def test_decided_where_nobody_can_tell(make: Any) -> None:
    """One that may come after the capture, or was made on attempts that are dark, is open; one that is due and missing fails."""
    soon = Decided(kind=NOT_READY, time=Range(None, 3 * S))
    assert one(make("ssssss"), decided=(soon,)).sentence == "no not_ready in 5.001 s after the start of the capture"
    assert one(make("ss"), decided=(soon,)).sentence == "the capture ends 1.001 s after the start of the capture"
    assert one(make("s???ss"), decided=(soon,)).held is UNCLEAR
    assert one(make("ssssss", complete=False), decided=(soon,)).held is UNCLEAR
    dark = make("s???fff", decisions={"a7": NOT_READY})
    assert one(dark, decided=(soon,)).held is UNCLEAR
    assert one(make("sssssss", complete=False), decided=(Decided(kind=READY, after=RESTART, time=Range(0)),)).held is UNCLEAR


def test_up_within(make: Any) -> None:
    """Of a checker that is no kubelet, Ready is UP, from its first attempt on."""
    haproxy = Checker(kind="haproxy", address="10.128.0.1")
    timeline = make("ffs", decisions={"a3": DecisionKind.UP}, type=ProbeType.UNKNOWN, checker=haproxy, start=False)
    assert one(timeline, ready_within=3 * S).held is PASS
    late = one(timeline, ready_within=S)
    assert (late.held, late.expected, late.at) == (FAIL, "UP within 1 s", 3)


@pytest.mark.parametrize("name", ["http-timeout", "http-ipv6"])
def test_timeout(captures: Path, name: str) -> None:
    """Where a real kubelet gave up it did so after its timeout; where it never had to, nothing is said."""
    timeline = probewatch.analyze(captures / name / "capture.pcap", spec=captures / name / "pod.yaml")
    for wanted, held in ((1, PASS), (2, FAIL)):
        entry = ProbeExpectation(selector=ANY, timeout=Pace(wanted * S, S // 10))
        (found,) = of_probe(timeline, timeline.probes[0], entry)
        assert found.held is (held if name == "http-timeout" else UNCLEAR)


def test_an_answer_waited_for_denies_a_timeout(make: Any) -> None:
    """Who took an answer after 3 s had no timeout of 2 s."""
    found = one(make("ss", took=3 * S), timeout=Pace(2 * S, S // 10))
    assert (found.held, found.sentence) == (FAIL, "it waited 3 s for the answer of #1")


@pytest.mark.parametrize(
    ("node", "held"),
    [("a", PASS), ("b", FAIL), ("10.128.0.1", PASS), ("192.168.0.1", PASS), ("FD00:0::1", FAIL), ("10.128.0.2", FAIL)],
)
def test_node(make: Any, node: str, held: Held) -> None:
    """A node's kubelet by name, own address, or the address its probes come from; a name is open where none is known."""
    known = Checker(kind="kubelet", address="10.128.0.1", node="a", node_address="192.168.0.1")
    assert one(make(checker=known), node=node).held is held
    nameless = one(make(), node=node).held
    assert nameless is (PASS if node == "10.128.0.1" else UNCLEAR if len(node) == 1 else FAIL)
    assert one(make(checker=Checker(kind="haproxy", address="10.128.0.1")), node=node).held is FAIL
    open_question = Checker(kind="unknown", address="10.128.0.1", could_be=("kubelet", "haproxy"))
    assert one(make(checker=open_question), node=node).held is UNCLEAR


def test_lost_packets_are_a_doubt(make: Any) -> None:
    """A capturing program that lost packets denies nothing; what is there is there."""
    whole = make("ssfff", decisions={"a5": NOT_READY})
    lossy = replace(whole, captures=(replace(whole.captures[0], interfaces=(Interface(0, "eth0", 1, 0, 1),)),))
    assert one(lossy, never=(READY,)).sentence == "the capturing program lost 1 packet"
    assert one(lossy, never=(NOT_READY,)).held is FAIL
    timed = replace(whole, captures=(replace(whole.captures[0], interfaces=(Interface(0, "eth0", 1, 0, 1, drops_timed=1),)),))
    assert one(timed, never=(READY,)).held is PASS  # (it says when: what it may have hidden is an event there)


def test_an_extra_attempt_while_ready_is_another_pace(make: Any) -> None:
    """A Ready worker is never poked (prober_manager.go UpdatePodStatus): what a wrong spec calls extra is its pace."""
    whole = make("ssssss", decisions={"a1": READY})
    late = replace(whole.probes[0].attempts[3], trigger=Trigger.MANUAL, schedule=Schedule.EXTRA)
    row = (*whole.probes[0].attempts[:3], late, whole.probes[0].attempts[5])
    ready = replace(whole, probes=(replace(whole.probes[0], attempts=row),))
    assert one(ready, period=Pace(2 * S, 0)).held is FAIL
    poked = replace(ready, probes=(replace(ready.probes[0], attempts=(row[0], *row[3:]), decisions=()),))
    assert one(poked, period=Pace(2 * S, 0)).held is PASS


# Where one step beside the line would give another answer.


def test_pace_of_a_checker_that_waits_from_end_to_start(make: Any) -> None:
    """HAProxy waits after each answer: its interval is measured from end to start."""
    timeline = make("sss", took=S // 4, inferred={"interval_basis": "end"}, type=ProbeType.UNKNOWN)
    assert one(timeline, period=Pace(3 * S // 4, 0)).held is PASS


def test_only_what_touches_the_probe_is_a_doubt(make: Any) -> None:
    """A hole before the first attempt hides nothing of it; dark attempts before the last decision leave the end as it is."""
    timeline = make("ssss")
    hole = TimelineEvent(
        ns=timeline.captures[0].first_ns - S, kind=EventKind.CAPTURE_GAP, address="", evidence="a hole"
    )
    assert one(replace(timeline, events=(*timeline.events, hole)), never=(NOT_READY,)).held is PASS
    assert one(make("???sss", decisions={"a4": READY}), state="Ready").held is PASS


def test_both_ends_belong_to_a_range(make: Any) -> None:
    """Ready at the very limit is Ready in time; a nanosecond less is not."""
    timeline = make("ffs", decisions={"a3": READY})
    assert one(timeline, ready_within=2 * S + S // 1000).held is PASS
    assert one(timeline, ready_within=2 * S + S // 1000 - 1).held is FAIL


def test_each_container_has_its_own_time(make: Any) -> None:
    """One that was replaced before it was Ready fails by itself; a start of another Pod that had the address is none."""
    first = 1_795_378_200 * S
    begun = TimelineEvent(ns=first + 4 * S, kind=EventKind.CONTAINER_STARTED, address="10.128.0.10", container="app")
    replaced = make("fffffffs", decisions={"a8": READY}, events=(begun,))
    assert one(replaced, ready_within=2 * S).sentence == "not Ready in 4 s"
    other = replace(begun, pod="lab/other")
    assert one(make("sfffffff", decisions={"a1": READY}, events=(other,)), ready_within=2 * S).held is PASS


def test_a_wrong_time_is_wrong_whatever_else_is_dark(make: Any) -> None:
    """Attempts that nobody can read may hide decisions, but do not move one that is there."""
    timeline = make("s???s", decisions={"a1": READY})
    assert one(timeline, decisions=wanted((READY, Range(5 * S, None), None))).held is FAIL


def test_a_certain_fit_is_preferred(make: Any) -> None:
    """A decision whose time cannot be told is taken only where no other fits for certain."""
    flap = make("ssfffs", decisions=FLAP)
    assert one(flap, decisions_contain=wanted((READY, None, Range(None, 5 * S)))).held is PASS
    first = wanted((READY, None, Range(None, S)))
    assert one(make("ss", decisions={"a1": READY}), decisions_contain=first).held is FAIL, "none can have been before it"
    assert one(make("ss", start=False, decisions={"a1": READY}), decisions_contain=first).held is UNCLEAR
    late = wanted((READY, None, Range(None, S // 2)))
    assert one(make("ssfffs", decisions=FLAP), decisions_contain=late).held is FAIL, "the later one decides"


def test_what_may_be_meant_too(make: Any) -> None:
    """A probe that may be meant leaves an upper count, and the count of others, open."""
    timeline = make()
    dark = replace(timeline.probes[0], id="p2", type=ProbeType.UNKNOWN, spec=None)
    two = replace(timeline, probes=(*timeline.probes, dark))
    selector = Selector(type=ProbeType.READINESS)
    assert seen(two, selector, Range(1, 1)).held is UNCLEAR
    assert seen(two, selector).held is PASS
    found = check(two, Expectations(probes=(ProbeExpectation(selector=selector),), other_probes=Range(None, 0)))[-1]
    assert (found.field, found.held) == ("otherProbes", UNCLEAR)


def test_exec_probe_of_another_container(captures: Path) -> None:
    """An exec probe excuses only the container that has it."""
    folder = captures / "exec-harness"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    selector = Selector(type=ProbeType.READINESS, pod="exec-*", container="sidecar")
    assert seen(timeline, selector).held is FAIL


def test_never_not_ready_where_a_restart_took_ready_away(make: Any) -> None:
    """`never: [not_ready]` fails where Ready went with the container, though the readiness probe decided no NotReady."""
    twice = {"a1": READY, "a4": READY}
    found = one(make("ssssss", decisions=twice), never=(NOT_READY,))
    assert (found.held, found.sentence) == (FAIL, "Ready was lost with the container: it ended")
    assert found.observed == "lost before #4"
    assert one(make("ssssss", decisions={"a1": READY}), never=(NOT_READY,)).held is PASS


def test_never_not_ready_where_no_new_container_came(make: Any) -> None:
    """It fails too where a liveness probe had the container restarted and nothing answered until the capture's end."""
    ready = make("sss", decisions={"a1": READY})
    ready = replace(ready, probes=(replace(ready.probes[0], final_state="NotReady"),))
    live = make("ssssfff", type=ProbeType.LIVENESS, decisions={"a7": RESTART}, id="p2")
    answered = make("sssssssss", decisions={"a1": READY})
    wanted = Expectations(probes=(ProbeExpectation(selector=Selector(type=ProbeType.READINESS), never=(NOT_READY,)),))
    held = []
    for readiness in (ready, answered):
        _, found = check(replace(readiness, probes=(*readiness.probes, *live.probes)), wanted)
        held.append((found.held, found.sentence))
    assert held[0] == (FAIL, "Ready was lost with the container: restarted by the liveness probe")
    assert held[1][0] is PASS, "the old container still answers, or a new one does"


# What is not there, and what is not known.


def test_an_empty_capture_holds_nothing() -> None:
    """Where there is no frame, that there is none of something is no finding."""
    info = CaptureInfo(path="a.pcap", format="pcap", link_types=(), interfaces=(), frames=0)
    wanted = Expectations(probes=(ProbeExpectation(selector=ANY, count=Range(None, 0)),), other_probes=Range(None, 0))
    found = check(Timeline(captures=(info,)), wanted)
    assert [(one.held, one.sentence) for one in found] == [(UNCLEAR, "there is no frame in this capture")] * 2


def test_decisions_that_encrypted_answers_may_have_brought(make: Any) -> None:
    """That these are all decisions does not pass where attempts that nobody can read may have brought others."""
    assert one(make("??????", initial_state="NotReady", start=True), decisions=()).held is UNCLEAR
    assert one(make("ss???s", initial_state="NotReady", decisions={"a1": READY}), decisions=wanted((READY, None, None))).held is UNCLEAR
    assert one(make("ss??ss", initial_state="NotReady", decisions={"a1": READY}), decisions=wanted((READY, None, None))).held is PASS
    assert one(make("ssfffs", initial_state="NotReady", decisions=FLAP), decisions=THREE).held is PASS


def test_the_first_failure_may_be_encrypted(make: Any) -> None:
    """A time since the first failure is open where an attempt before it may have failed; too long a time is too long all the same."""
    soon = Decided(kind=NOT_READY, after="first failure", time=Range(None, 3 * S))
    assert one(make("??????"), decided=(soon,)).sentence == "the outcome of #1 is not known (encrypted)"
    dark = make("s?ffff", decisions={"a5": NOT_READY})
    assert one(dark, decided=(soon,)).held is UNCLEAR
    assert one(dark, decided=(replace(soon, time=Range(None, S)),)).held is FAIL


def test_silence_is_slower_than_a_bound_below_it(make: Any) -> None:
    """Where nobody answered at all, a bound below the time that the checker waited fails, and one above it is open."""
    timeline = make("fff", took=S)
    row = tuple(replace(a, end_mark=None) for a in timeline.probes[0].attempts)
    silent = replace(timeline, probes=(replace(timeline.probes[0], attempts=row),))
    found = one(silent, latency=LatencyBounds(max=S * 9 // 10))
    assert (found.held, found.observed) == (FAIL, "at least 1 s")
    assert one(silent, latency=LatencyBounds(max=2 * S)).held is UNCLEAR
    middle = one(silent, latency=LatencyBounds(p50=S // 2))
    assert middle.sentence == "3 attempts took longer, of 3 with 3 that nobody answered; p50 is #2"


def test_up_from_the_beginning(make: Any) -> None:
    """A server that a load balancer had UP at its first check was UP at once; one it met later than the bound may have been."""
    balancer = {"type": ProbeType.UNKNOWN, "checker": Checker(kind="haproxy", address="fd00::1"), "start": False, "initial_state": "UP"}
    assert one(make("sss", **balancer), ready_within=0).held is PASS
    lost = {"a3": DecisionKind.DOWN, "a5": DecisionKind.UP}
    assert one(make("sfffs", decisions=lost, **balancer), ready_within=S).held is PASS
    assert one(make("sss", initial_since_ns=make().captures[0].first_ns + 2 * S, **balancer), ready_within=S).held is UNCLEAR
    unknown = one(make("sf", spec=None, thresholds={}, **balancer), never=(DecisionKind.DOWN,))
    assert unknown.sentence.endswith("how many failures take it DOWN is not known: --haproxy-cfg or --check would tell")


def test_the_state_of_who_may_be_a_kubelet_has_two_names(make: Any) -> None:
    """Of a checker that nobody knows Ready is UP; of a kubelet it is not."""
    nobody = Checker(kind="unknown", address="10.0.0.1", could_be=("kubelet", "envoy"))
    assert one(make(checker=nobody), state="UP").held is PASS
    assert one(make(checker=nobody), state="DOWN").held is FAIL
    assert one(make(), state="UP").held is FAIL


@pytest.mark.parametrize(
    ("letters", "decisions", "limit", "held"),
    [
        ("ssss", {"a1": READY}, Range(None, 0), PASS),
        ("ssfffs", FLAP, Range(None, S), PASS),
        ("ssfffs", FLAP, Range(None, S - 1), FAIL),
        ("ssfffs", FLAP, Range(2 * S, None), FAIL),
        ("ssfff", {"a1": READY, "a5": NOT_READY}, Range(None, S), UNCLEAR),  # it goes on
        ("ss???s", {"a1": READY}, Range(None, S), UNCLEAR),
        ("fff", {}, Range(None, S), UNCLEAR),  # it was never in service
        ("ssssss", {"a1": READY, "a4": READY}, Range(None, 2 * S), PASS),  # the container ended
    ],
)
def test_out_of_service(make: Any, letters: str, decisions: Any, limit: Range, held: Held) -> None:
    """The time in all from each NotReady, or the end of a container, to the next Ready, from the first Ready on."""
    found = one(make(letters, initial_state="NotReady", decisions=decisions), out_of_service=limit)
    assert found.held is held, found.sentence


def test_who_takes_nothing_out_of_service(make: Any) -> None:
    """A liveness probe has no time out of service of its own."""
    found = one(make(type=ProbeType.LIVENESS), out_of_service=Range(None, S))
    assert (found.held, found.sentence) == (FAIL, "a liveness probe takes nothing out of service")


def test_time_out_of_service_is_that_of_the_table(captures: Path) -> None:
    """The sum is the one that the table shows, also where a restart took Ready away."""
    for name in ("http-timeout", "http-flap-s1", "k136-liveness-restart", "tcp-flap"):
        folder = captures / name
        timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
        for probe in timeline.probes:
            if probe.type is ProbeType.READINESS:
                shown = downtime(probe, timeline)[0]
                entry = ProbeExpectation(selector=ANY, out_of_service=Range(shown, None))
                (least,) = of_probe(timeline, probe, entry)
                assert least.held is PASS, (name, least.sentence)


def test_never_of_several_probes_is_of_those_that_can(make: Any) -> None:
    """One selector may name probes of several types: what one of them never decides is no failure of it."""
    timeline = make()
    live = replace(timeline.probes[0], id="p2", type=ProbeType.LIVENESS, final_state="Live")
    both = replace(timeline, probes=(timeline.probes[0], live))
    found = check(both, Expectations(probes=(ProbeExpectation(selector=ANY, never=(RESTART, NOT_READY)),)))
    assert [(one.probe, one.field, one.held) for one in found[1:]] == [
        ("p1", "never not_ready", PASS),
        ("p2", "never restart", PASS),
    ]
    sure = check(both, Expectations(probes=(ProbeExpectation(selector=ANY, never=(DecisionKind.UP,)),)))
    assert {one.held for one in sure[1:]} == {FAIL}


@pytest.mark.parametrize(
    ("ns", "beside", "text"),
    [
        (5_000_400_000, 5 * S, "5.0004 s"),
        (5 * S, 5 * S, "5 s"),
        (8_044_100_001, 8_044_100_000, "8.044100001 s"),
        (2_351_000_000, None, "2.351 s"),
    ],
)
def test_times_are_told_apart(ns: int, beside: int | None, text: str) -> None:
    """A time is written with as many digits as tell it from the bound beside it."""
    assert seconds(ns, beside) == text


def test_a_poke_right_after_ready_is_no_tick(captures: Path) -> None:
    """An attempt that a pod sync asked for just as the first made it Ready counts for no period, however small the tolerance."""
    folder = captures / "http-timeout"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    (found,) = of_probe(timeline, timeline.probes[0], ProbeExpectation(selector=ANY, period=Pace(2 * S, 1)))
    assert found.sentence.endswith("to #4"), "#2 is the poke, and #3 follows it"


def test_frames_of_an_attempt_hold_the_one_that_ended_it(captures: Path) -> None:
    """An ICMP error belongs to no connection, and is among the frames that show the attempt all the same."""
    folder = captures / "http-icmp-reject"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    ended = [a for probe in timeline.probes for a in probe.attempts if a.cause is Cause.UNREACHABLE]
    assert ended
    assert all(a.end_mark is not None and a.frames()[0] <= a.end_mark.number <= a.frames()[1] for a in ended)


def test_declared_thresholds_that_the_wire_leaves_open(captures: Path, tmp_path: Path) -> None:
    """Decisions do not pass where one of them, that nothing confirms, rests on a failureThreshold that may be another."""
    folder = captures / "startup-probe"
    text = (folder / "pod.yaml").read_text()
    assert "failureThreshold: 30" in text
    (tmp_path / "pod.yaml").write_text(text.replace("failureThreshold: 30", "failureThreshold: 5"))
    timeline = probewatch.verify(folder / "capture.pcap", spec=tmp_path / "pod.yaml")
    found = [one for one in timeline.findings if one.field == "decisions" and one.subject.startswith("startup")]
    assert [(one.held, one.sentence.split("; ")[1]) for one in found] == [
        (UNCLEAR, "Restart at #5 rests on the failureThreshold, which the packets leave open")
    ]


def test_state_is_of_the_end(captures: Path) -> None:
    """A readiness probe whose container was restarted, and not Ready since, is NotReady at the end, wherever that is asked."""
    folder = captures / "k136-liveness-restart"
    whole = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    (live,) = (probe for probe in whole.probes if probe.type is ProbeType.LIVENESS)
    last = [d.ns for d in live.decisions if d.kind is RESTART][-1]
    with Reader(str(folder / "capture.pcap"), 0) as reader:
        known = observer(spec=folder / "pod.yaml")
        for frame in reader:
            if frame.ns <= last + S // 10:
                known.feed(frame)
    cut = known.finish()
    (ready,) = (probe for probe in cut.probes if probe.type is ProbeType.READINESS)
    assert ready.final_state == "NotReady"
    (found,) = of_probe(cut, ready, ProbeExpectation(selector=ANY, state="Ready"))
    assert (found.held, found.sentence) == (FAIL, "NotReady at the end")
    assert found.attempts[-1] == ready.attempts[-1].n, "evidence of the end"
    assert outages(ready, cut)[-1].end_ns is None
