"""Time out of service, whatever took it, and whether that is over at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probewatch.model.diagnosis import Diagnosis
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
    Outcome,
    Probe,
    Target,
    Timeline,
    TimelineEvent,
)
from probewatch.report.rows import rows
from probewatch.report.select import select
from probewatch.report.service import By, answered_again, downtime, outages, standing
from probewatch.report.verdict import Level, judge

MS = 1_000_000
S = 1_000_000_000
BASE = 1_795_378_200 * S
V4, V6 = ("10.128.0.1", "10.128.0.10"), ("fd10:244::1", "fd10:244::10")
BOTH = pytest.mark.parametrize("family", [V4, V6])
BEFORE = {DecisionKind.READY: "NotReady", DecisionKind.NOT_READY: "Ready", DecisionKind.RESTART: "Live"}
AFTER = {DecisionKind.READY: "Ready", DecisionKind.NOT_READY: "NotReady", DecisionKind.RESTART: "Restart"}


def decided(kind: DecisionKind, at_s: float, number: int, since_s: float | None = None) -> Decision:
    """Return a decision."""
    since = None if since_s is None else round(since_s * S)
    return Decision(ns=BASE + round(at_s * S), kind=kind, before=BEFORE[kind], after=AFTER[kind], attempt=number, mark=None, streak=3,
                    threshold=3, threshold_source="declared", confirmed=True, since_ns=since)  # fmt: skip


def probe(kind: ProbeType, family: tuple[str, str], marks: str, *decisions: Decision, every: int = 1, initial: str = "unknown") -> Probe:
    """Return a probe with one attempt each `every` seconds: `.` good, `x` failed, a blank none."""
    attempts: list[Attempt] = []
    for place, mark in enumerate(marks):
        if mark != " ":
            start = Mark(BASE + place * every * S, 0, 10 * place + 1)
            good = mark == "."
            attempts.append(Attempt(
                n=len(attempts) + 1, start=start, end_ns=start.ns, end_mark=start, outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
                cause=Cause.OK if good else Cause.STATUS, status=200 if good else 500, threshold=3))  # fmt: skip
    ups = {"readiness": ("NotReady", "Ready"), "liveness": ("Live", "Live")}[kind.value]
    final = decisions[-1].after if decisions else initial
    return Probe(
        id=kind.value, checker=Checker(kind="kubelet", address=family[0]), target=Target(address=family[1], port=80, container="app"),
        type=kind, type_source="declared", handler=Handler.HTTP_GET, initial_state=initial, attempts=tuple(attempts),
        decisions=decisions, final_state=final if final in ups else "unknown",
    )  # fmt: skip


def timeline(*probes: Probe, until_s: float, begun_s: tuple[float, ...] = ()) -> Timeline:
    """Return a timeline of one container."""
    events = tuple(
        TimelineEvent(ns=BASE + round(at * S), kind=EventKind.CONTAINER_STARTED, address=probes[0].target.address, container="app")
        for at in begun_s
    )
    info = CaptureInfo(path="a.pcap", format="pcap", link_types=("EN10MB",), interfaces=(), frames=1, first_ns=BASE,
                       last_ns=BASE + round(until_s * S))  # fmt: skip
    return Timeline(captures=(info,), probes=probes, events=events)


def told(whole: Timeline, which: int) -> str:
    """Return where a probe stands, in words."""
    found = standing(whole.probes[which], whole, lambda ns: f"+{(ns - BASE) / S:.1f}")
    assert found is not None
    return f"{found.over} {found.sentence}"


READY, NOT_READY, RESTART = DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.RESTART


@BOTH
def test_attempts_that_had_no_port_to_leave_from(family: tuple[str, str]) -> None:
    """A probe that fell silent because the node has no source port left is not fine, however well its attempts went."""
    well = probe(ProbeType.READINESS, family, "......", decided(READY, 0, 1))
    gap = Gap(start_ns=BASE + 6 * S, end_ns=BASE + 19 * S, expected=13, reason="nothing in the capture says why")
    assert judge(well, timeline(well, until_s=6)).level is Level.FINE
    silent = replace(well, gaps=(gap,), diagnoses=(Diagnosis(kind="no-local-port", sentence="No SYN left."),))
    verdict = judge(silent, timeline(silent, until_s=19))
    assert verdict.level is Level.TROUBLE
    start = "13 attempts missing: no source port left on the node, which the kubelet counts as failures; what was seen: Ready"
    assert verdict.sentence.startswith(start)
    end = "since +6.0 13 attempts are missing, so what it is now is not known"
    assert told(timeline(silent, until_s=19), 0).startswith("None ")
    assert told(timeline(silent, until_s=19), 0).endswith(end)


@pytest.mark.parametrize(
    ("marks", "initial", "sentence"),
    [
        (".", "Ready", "Ready throughout: the only attempt succeeded"),
        ("..", "Ready", "Ready throughout: all 2 attempts succeeded"),
        ("x", "unknown", "the only attempt failed: the application answers 500"),
        ("xx", "unknown", "all 2 attempts failed: the application answers 500"),
        ("x.", "unknown", "1 of 2 attempts failed: the application answers 500"),
        ("x", "NotReady", "never Ready: the only attempt failed: the application answers 500"),
        ("xx", "NotReady", "never Ready: all 2 attempts failed: the application answers 500"),
    ],
)
def test_one_attempt_is_told_as_one(marks: str, initial: str, sentence: str) -> None:
    """Of a capture that shows a single attempt nothing is said of `all 1 attempt`."""
    one = probe(ProbeType.READINESS, V4, marks, initial=initial)
    assert judge(one, timeline(one, until_s=len(marks))).sentence == sentence


@BOTH
def test_a_restart_takes_the_pod_out_of_service(family: tuple[str, str]) -> None:
    """A readiness probe whose every attempt succeeded is in trouble where its container was restarted under it."""
    ready = probe(ProbeType.READINESS, family, "......  ......", decided(READY, 0, 1), decided(READY, 8, 7, 2.5))
    live = probe(ProbeType.LIVENESS, family, "...xxx    ....", decided(RESTART, 5.5, 6))
    whole = timeline(ready, live, until_s=14, begun_s=(8.0,))
    (gone,) = outages(ready, whole)
    assert (gone.start_ns, gone.end_ns, gone.by, gone.restarted_by) == (BASE + 5_500 * MS, BASE + 8 * S, By.CONTAINER, ProbeType.LIVENESS)
    verdict = judge(ready, whole)
    assert verdict.level is Level.TROUBLE
    assert verdict.sentence == (
        "NotReady once: its container was restarted by the liveness probe; out of service about 2.5 s of 13.0 s (19 %)"
    )
    assert told(whole, 0) == "True Ready since +8.0, 6.0 s to the end"


@BOTH
def test_any_probe_tells_that_a_new_container_answers(family: tuple[str, str]) -> None:
    """Readiness meets the new container before liveness runs again: its first success counts, one of the old container does not."""
    ready = probe(ProbeType.READINESS, family, "...... ....", decided(READY, 0, 1), decided(READY, 8, 8, 2.5))
    live = probe(ProbeType.LIVENESS, family, "..xxx", decided(RESTART, 4.5, 5))
    whole = timeline(ready, live, until_s=11, begun_s=(8.0,))
    found = answered_again(live, whole, BASE + 4_500 * MS)
    assert found is not None
    by, first = found
    assert (by.id, first.start.ns) == ("readiness", BASE + 8 * S)  # at 5 s the old one still answered
    assert told(whole, 1) == "True a new container answers since +8.0 (readiness #8), 3.5 s after the Restart"


@BOTH
def test_out_of_service_to_the_end(family: tuple[str, str]) -> None:
    """Where no new container answers, both probes say so, and the time runs to the end of the input."""
    ready = probe(ProbeType.READINESS, family, ".....", decided(READY, 0, 1))
    live = probe(ProbeType.LIVENESS, family, "..xxx", decided(RESTART, 4.5, 5))
    whole = timeline(ready, live, until_s=30)
    assert judge(ready, whole).sentence.startswith("NotReady once and so at the end: its container was restarted by the liveness probe")
    assert downtime(ready, whole) == (25_500 * MS, 30 * S)
    assert told(whole, 0) == "False NotReady since +4.5, 25.5 s to the end"
    assert told(whole, 1) == "False no new container has answered since the Restart at +4.5, 25.5 s to the end"


@BOTH
def test_a_container_that_still_answers_is_in_service(family: tuple[str, str]) -> None:
    """A container that was told to end is Ready for as long as it answers: without more evidence it is not called out of service."""
    ready = probe(ProbeType.READINESS, family, "........", decided(READY, 0, 1))
    live = probe(ProbeType.LIVENESS, family, "..xxx", decided(RESTART, 4.5, 5))
    assert outages(ready, timeline(ready, live, until_s=8)) == []
    contradicted = replace(live, decisions=(replace(live.decisions[0], confirmed=False),))
    short = replace(ready, attempts=ready.attempts[:4])
    assert outages(short, timeline(short, contradicted, until_s=8)) == []


def test_both_kinds_are_told_apart() -> None:
    """What the probe decided and what its container's end did are counted together and told one by one."""
    ready = probe(ProbeType.READINESS, V4, "..xxx.... ....", decided(READY, 0, 1), decided(NOT_READY, 4, 5), decided(READY, 5, 6, 1.0),
                  decided(READY, 10, 10, 1.0))  # fmt: skip
    whole = timeline(ready, until_s=14, begun_s=(10.0,))
    assert judge(ready, whole).sentence == (
        "NotReady twice: the application answers 500 (once); its container ended (once); out of service about 2.0 s of 13.0 s (15 %)"
    )
    assert told(whole, 0) == "None Ready since +10.0, 4.0 s to the end; but it came back once before"


def test_a_first_start_is_no_outage() -> None:
    """A container that is not Ready yet was never in service; one that was Ready when the capture begins was."""
    fresh = probe(ProbeType.READINESS, V4, "xx..", decided(READY, 2, 3, 2.0), initial="NotReady")
    assert outages(fresh, timeline(fresh, until_s=4, begun_s=(0.0,))) == []
    old = replace(fresh, initial_state="Ready")
    assert [one.start_ns for one in outages(old, timeline(old, until_s=4, begun_s=(0.0,)))] == [BASE]


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ("..x.", "True the latest attempt succeeded, since +3.0"),
        (".x...", "True the latest 3 attempts succeeded, since +2.0"),
        ("..xx", "False the latest 2 attempts failed, since +2.0; 3 in a row would decide"),
    ],
)
def test_without_a_decision_the_latest_attempts_tell(marks: str, said: str) -> None:
    """Where no threshold was reached, the end of the attempts says whether it is over."""
    one = probe(ProbeType.READINESS, V4, marks, initial="Ready")
    assert told(timeline(one, until_s=5), 0) == said


def test_what_is_shown_may_end_before_the_input() -> None:
    """Where a stretch was chosen, time runs to its end and not to that of the input."""
    ready = probe(ProbeType.READINESS, V4, "..xxx....", decided(READY, 0, 1), decided(NOT_READY, 4, 5), decided(READY, 5, 6, 1.0))
    shown = select(timeline(ready, until_s=9), until_ns=BASE + 4_500 * MS)
    assert told(shown, 0) == "False NotReady since +4.0, 0.5 s to the end"


@BOTH
def test_what_failed_is_told_by_what_it_did(family: tuple[str, str]) -> None:
    """Only failures that decided so are why it went NotReady; those before the first Ready, and too few in a row, are told apart."""
    marks = "xx...x..xxxx.."
    flapped = probe(
        ProbeType.READINESS, family, marks, decided(READY, 2, 3), decided(NOT_READY, 10, 11), decided(READY, 12, 13, 2), initial="NotReady",
    )  # fmt: skip
    refused = {"cause": Cause.REFUSED, "status": None}
    flapped = replace(flapped, attempts=tuple(replace(one, **refused) if one.n in (1, 2, 6) else one for one in flapped.attempts))
    sentence = judge(flapped, timeline(flapped, until_s=14)).sentence
    assert sentence.startswith("NotReady once: the application answers 500; out of service 2.0 s of 13.0 s (15 %)")
    assert sentence.endswith(
        "; also failed: 2 before it was first in service (refused), 1 too few in a row to matter (refused)"
    )


@BOTH
def test_ready_that_a_restart_took_has_a_row(family: tuple[str, str]) -> None:
    """The end of Ready that no attempt decided stands among the attempts, with what took it; its own decisions are not told twice."""
    ready = probe(ProbeType.READINESS, family, "....  ....", decided(READY, 0, 1), decided(READY, 6, 5, 2))
    live = probe(ProbeType.LIVENESS, family, ".xxx  ....", decided(RESTART, 4, 4))
    both = timeline(ready, live, until_s=9, begun_s=(6,))
    made = rows(ready, (), outages(ready, both), wide=False, several=False)
    lost = [(row.ns - BASE, row.words) for row in made if row.decision == "NotReady"]
    assert lost == [(4 * S, "about then: Restart by the liveness probe")]
    own = probe(ProbeType.READINESS, family, "..xxx.", decided(READY, 0, 1), decided(NOT_READY, 4, 5), decided(READY, 5, 6, 1))
    alone = timeline(own, until_s=6)
    assert [row.number for row in rows(own, (), outages(own, alone), wide=False, several=False) if row.decision == "NotReady"] == ["#5"]


@BOTH
def test_a_restart_without_a_readiness_probe_says_how_long_it_took(family: tuple[str, str]) -> None:
    """Where no readiness probe tells when the Pod was in service, the probe that had it restarted tells how long nothing answered."""
    live = probe(ProbeType.LIVENESS, family, ".xxx    ....", decided(RESTART, 3, 4))
    alone = timeline(live, until_s=11, begun_s=(8,))
    assert "; out of service about 5.0 s of 11.0 s (45 %)" in judge(live, alone).sentence
    ready = probe(ProbeType.READINESS, family, "....    ....", decided(READY, 0, 1), decided(READY, 8, 5, 5))
    assert "out of service" not in judge(live, timeline(live, ready, until_s=11, begun_s=(8,))).sentence
