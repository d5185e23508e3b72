"""What is said of a probe across times of which nothing is known: holes of the capture, and inconclusive attempts.

Covers `report.service`, `report.verdict`, `decisions.outages`, `verify.moments`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from probewatch.decisions.outages import downtime, outages
from probewatch.model.expectation import Range
from probewatch.model.finding import Held
from probewatch.model.frame import CaptureInfo, Mark
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    GapKind,
    Outcome,
    Probe,
    Target,
    Timeline,
    TimelineEvent,
)
from probewatch.model.units import SECOND as S
from probewatch.report import metrics, text
from probewatch.report.service import standing
from probewatch.report.verdict import Level, judge
from probewatch.verify.case import Case
from probewatch.verify.moments import out_of_service

BASE = 1_795_378_200 * S
OUTCOMES = {".": Outcome.SUCCESS, "x": Outcome.FAILURE, "?": Outcome.INCONCLUSIVE}
CAUSES = {".": Cause.OK, "x": Cause.STATUS, "?": Cause.CUT}
STATES = {"readiness": ("Ready", "NotReady"), "haproxy": ("UP", "DOWN")}


def seen(marks: str, kind: str = "readiness") -> Timeline:
    """Return one probe each second as an observer tells it: `_` is a second that the capture does not cover.

    It becomes Ready by one success and NotReady by three failures; a streak behind `_` or `?` only settles the state.
    """
    up, down = STATES[kind]
    ups, downs = (
        (DecisionKind.READY, DecisionKind.NOT_READY) if kind == "readiness" else (DecisionKind.UP, DecisionKind.DOWN)
    )
    attempts: list[Attempt] = []
    decisions: list[Decision] = []
    events: list[TimelineEvent] = []
    state, streak, last, since = down, 0, "", 0
    for second, mark in enumerate(marks):
        at = BASE + second * S
        if mark == "_":
            if marks[second - 1] != "_":
                length = len(marks[second:]) - len(marks[second:].lstrip("_"))
                events.append(
                    TimelineEvent(
                        ns=at,
                        end_ns=at + length * S,
                        kind=EventKind.CAPTURE_GAP,
                        address="",
                        evidence=f"no file covers the next {length} s",
                    )
                )
            state, streak, last = "unknown", 0, ""
            continue
        streak = streak + 1 if mark == last else 1
        last = mark
        threshold = 3 if mark == "x" else 1
        if mark == "?":
            state, streak, last = "unknown", 0, ""
        start = Mark(at, 0, 10 * second + 1)
        attempts.append(
            Attempt(
                n=len(attempts) + 1,
                start=start,
                end_ns=at,
                end_mark=start,
                outcome=OUTCOMES[mark],
                cause=CAUSES[mark],
                status=503 if mark == "x" else 200,
                streak=streak,
                threshold=0 if mark == "?" else threshold,
            )
        )
        new = {".": up, "x": down}.get(mark, "")
        if new and streak >= threshold and new != state:
            if state != "unknown":
                decisions.append(
                    Decision(
                        ns=at,
                        kind=ups if new == up else downs,
                        before=state,
                        after=new,
                        attempt=attempts[-1].n,
                        mark=start,
                        streak=streak,
                        threshold=threshold,
                        threshold_source="declared",
                        confirmed=None,
                        since_ns=at - since,
                    )
                )
            state, since = new, at
    probe = Probe(
        id="p1",
        checker=Checker(kind="kubelet" if kind == "readiness" else kind, address="10.128.0.1"),
        target=Target(address="10.128.0.10", port=80),
        type=ProbeType.READINESS if kind == "readiness" else ProbeType.UNKNOWN,
        type_source="declared",
        handler=Handler.HTTP_GET,
        initial_state=down,
        attempts=tuple(attempts),
        decisions=tuple(decisions),
        final_state=state,
        thresholds={"failureThreshold": (3, "declared")},
    )
    info = CaptureInfo(
        path="a.pcap",
        format="pcap",
        link_types=("EN10MB",),
        interfaces=(),
        frames=1,
        first_ns=BASE,
        last_ns=BASE + (len(marks) - 1) * S,
    )
    return Timeline(captures=(info,), probes=(probe,), events=tuple(events))  # fmt: skip


def when(ns: int) -> str:
    """Return a moment."""
    return f"+{(ns - BASE) / S:.0f}"


@pytest.mark.parametrize(
    ("marks", "from_to", "away", "level", "now"),
    [
        # An outage that ends in a hole is over, and what nobody saw counts neither way.
        ("..xxxx____......", [(4, 10)], (2, 11), Level.TROUBLE, "Ready since +10 at the latest, for the last 5 s"),
        # One that goes on behind it goes on.
        ("..xxxx____xxxx..", [(4, 14)], (6, 11), Level.TROUBLE, "Ready since +14, for the last 1 s"),
        # One that began in it is none of Ready's.
        ("......____xxxx..", [(12, 14)], (2, 11), Level.TROUBLE, "Ready since +14, for the last 1 s"),
        # Behind it nothing tells: neither still NotReady nor Ready.
        ("..xxxx____xx", [(4, 6)], (2, 7), Level.TROUBLE, "NotReady when last seen, at +6"),
        # Ready before and behind.
        ("......____......", [], (0, 11), Level.FINE, "the latest 12 attempts succeeded, since +0"),
        # An attempt without outcome hides the moment of the decision, and not the state behind it.
        ("..xxxx?xx...", [(4, 9)], (5, 11), Level.TROUBLE, "Ready since +9 at the latest, for the last 2 s"),
    ],
)  # fmt: skip
def test_a_hole_is_neither_in_service_nor_out_of_it(
    marks: str, from_to: list[tuple[int, int]], away: tuple[int, int], level: Level, now: str
) -> None:
    """A probe that was NotReady before a hole of the capture, and succeeds behind it, is not called NotReady to the end."""
    timeline = seen(marks)
    probe = timeline.probes[0]
    assert [(when(one.start_ns), one.end_ns and when(one.end_ns)) for one in outages(probe, timeline)] == [
        (f"+{start}", f"+{end}") for start, end in from_to
    ]
    assert downtime(probe, timeline) == (away[0] * S, away[1] * S)
    assert judge(probe, timeline).level is level
    stands = standing(probe, timeline, when)
    assert stands is not None
    assert stands.sentence.replace(".0 s", " s") == now


def test_what_was_decided_within_a_hole_is_not_known_behind_it() -> None:
    """The kernel dropped frames, not all of them: NotReady in that time is over where a success behind it shows Ready."""
    timeline = seen("......xxx__...")
    (gap,) = timeline.events
    timeline = replace(timeline, events=(replace(gap, ns=BASE + 6 * S),))
    probe = timeline.probes[0]
    assert [(when(one.start_ns), one.end_ns and when(one.end_ns)) for one in outages(probe, timeline)] == [("+8", "+11")]
    stands = standing(probe, timeline, when)
    assert stands is not None
    assert stands.sentence.startswith("Ready since +11")


def test_failures_right_behind_a_hole_are_of_unknown_weight() -> None:
    """Two failures behind a hole may be the end of an outage: they are not called too few to matter."""
    timeline = seen("......____xx....")
    verdict = judge(timeline.probes[0], timeline)
    assert verdict.level is Level.WARNING
    assert "2 attempts failed right behind a gap in the capture, where the state is not known" in verdict.sentence
    assert "in a row" not in verdict.sentence
    assert verdict.sentence.endswith("the capture has a gap of 4.0 s")


@pytest.mark.parametrize("marks", ["......____xxx..", "......?xxx..", "......?xxx", "..xxx..?xxx.."])
def test_what_shows_an_outage_is_why(marks: str) -> None:
    """The failures behind a hole that show the target out of service are its reason, and not too few to matter."""
    timeline = seen(marks)
    sentence = judge(timeline.probes[0], timeline).sentence
    assert ": the application answers 503" in sentence
    assert "too few" not in sentence


@pytest.mark.parametrize(
    ("marks", "why"),
    [("....____.", "what failed was not captured"), ("....?.", "on attempts whose outcome is not known")],
)
def test_an_outage_without_a_failure_has_a_reason(marks: str, why: str) -> None:
    """Where what followed shows that it was out of service, and nothing that failed is in the capture, the verdict says so."""
    timeline = seen(marks)
    probe, last = timeline.probes[0], timeline.probes[0].attempts[-1]
    back = replace(probe.decisions[0], before="NotReady", attempt=last.n, ns=last.end_ns)
    sentence = judge(replace(probe, decisions=(*probe.decisions, back)), timeline).sentence
    assert sentence.startswith(f"NotReady once: {why}")


@pytest.mark.parametrize(("inferred", "known"), [({}, False), ({"failureThreshold": 13}, True)])
def test_a_presumed_threshold_makes_nothing_of_failures(inferred: dict[str, int], known: bool) -> None:
    """That failures were too few to matter is said where the threshold was shown, not where it is set so that they were."""
    timeline = seen("..xxxx")
    probe = replace(
        timeline.probes[0],
        type=ProbeType.LIVENESS,
        decisions=(),
        initial_state="Live",
        final_state="Live",
        thresholds={"failureThreshold": (13, "inferred")},
        inferred=inferred,
        attempts=tuple(replace(one, threshold=13) for one in timeline.probes[0].attempts),
    )
    verdict, stands = judge(probe, timeline), standing(probe, timeline, when)
    assert stands is not None
    assert ("fewer than" in verdict.sentence) is known
    assert ("Live throughout" in verdict.sentence) is known
    assert ("nothing shows how many in a row it takes" in verdict.sentence) is not known
    assert ("it takes 13 in a row" in stands.sentence) is known


@pytest.mark.parametrize("kind", ["readiness", "haproxy"])
def test_the_table_shows_where_the_hole_is(collected: Callable[..., str], kind: str) -> None:
    """The hole stands in the probe's own story, and so does the state that came about in it, by the checker's own word."""
    shown = collected(lambda out: text.write(seen("..xxxx____......", kind), out))
    assert "other events" not in shown
    assert "capture gap (inferred: no file covers the next 4 s)" in shown
    assert f"{STATES[kind][0]}" in shown.partition("no file covers")[2]
    assert "at the latest: while nothing was captured" in shown


def test_metrics_count_a_probe_up_that_recovered_unseen(collected: Callable[..., str]) -> None:
    """probewatch_up is 1 where the last state is Ready, also where nobody saw how it came about."""
    pytest.importorskip("prometheus_client")
    found = collected(lambda out: metrics.write(seen("..xxxx____......"), out))
    assert next(line for line in found.splitlines() if line.startswith("probewatch_up{")).endswith(" 1.0")


@pytest.mark.parametrize(("kind", "told"), [(GapKind.KUBELET_RESTARTED, True), (GapKind.UNEXPLAINED, False)])
def test_a_silent_kubelet_is_known_by_the_kind_of_the_gap(kind: GapKind, told: bool) -> None:
    """The verdict says that nobody probed because the kubelet was away: by the gap's kind, whatever its words."""
    timeline = seen(".....")
    gap = Gap(start_ns=BASE + S, end_ns=BASE + 60 * S, expected=58, reason="words that name a kubelet", kind=kind)
    probe = replace(timeline.probes[0], gaps=(gap,))
    sentence = judge(probe, replace(timeline, probes=(probe,))).sentence
    assert ("not probed for 59.0 s" in sentence) is told


@pytest.mark.parametrize(
    ("marks", "sure", "most"),
    [
        ("...xxx____......", 1, 5),
        ("..xxx__..........", 2, 3),
        ("...____xxx...", 1, 5),
        ("...xxx??......", 1, 3),
        ("...xxxx____xxxx....", 10, 10),
    ],
)
def test_an_expectation_holds_only_what_is_sure_of_an_outage(marks: str, sure: int, most: int) -> None:
    """Where a hole or an unknown outcome hides when an outage began or ended, a minimum beyond what is sure is inconclusive, never met."""
    whole = seen(marks)
    case = Case(whole, whole.probes[0])
    assert out_of_service(case, Range(most * S + S, None)).held is not Held.PASS
    assert out_of_service(case, Range(None, sure * S - S // 2)).held is not Held.PASS
