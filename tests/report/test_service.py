"""Time out of service, whatever took it, and whether that is over at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from probewatch.decisions.outages import By, answered_again, downtime, outages, streak_began
from probewatch.model.catalogue import BAD_ANSWER
from probewatch.model.connection import Connection, Half
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
    GapKind,
    Leg,
    Outcome,
    Probe,
    Role,
    Target,
    Timeline,
    TimelineEvent,
    TlsSummary,
)
from probewatch.model.units import MS
from probewatch.model.units import SECOND as S
from probewatch.report import text
from probewatch.report.html_verdict import answer
from probewatch.report.kubelet_says import kubelet_says
from probewatch.report.numbers import clock, rfc3339
from probewatch.report.outline import counts, latency, ordered
from probewatch.report.reasons import explained
from probewatch.report.rows import gap_words, rows
from probewatch.report.select import select
from probewatch.report.service import standing, states
from probewatch.report.verdict import Level, judge
from probewatch.report.verdicts import verdict_objects
from probewatch.report.words import request

BASE = 1_795_378_200 * S
V4, V6 = ("10.128.0.1", "10.128.0.10"), ("fd10:244::1", "fd10:244::10")
BOTH = pytest.mark.parametrize("family", [V4, V6])
BEFORE = {DecisionKind.READY: "NotReady", DecisionKind.NOT_READY: "Ready", DecisionKind.RESTART: "Live"}
RESULTS = {
    ".": (Outcome.SUCCESS, Cause.OK, 200),
    "x": (Outcome.FAILURE, Cause.STATUS, 500),
    "?": (Outcome.INCONCLUSIVE, Cause.ENCRYPTED, None),
}
AFTER = {DecisionKind.READY: "Ready", DecisionKind.NOT_READY: "NotReady", DecisionKind.RESTART: "Restart"}


def decided(kind: DecisionKind, at_s: float, number: int, since_s: float | None = None) -> Decision:
    """Return a decision."""
    since = None if since_s is None else round(since_s * S)
    return Decision(ns=BASE + round(at_s * S), kind=kind, before=BEFORE[kind], after=AFTER[kind], attempt=number, mark=None, streak=3,
                    threshold=3, threshold_source="declared", confirmed=True, since_ns=since)  # fmt: skip


def probe(kind: ProbeType, family: tuple[str, str], marks: str, *decisions: Decision, every: int = 1, initial: str = "unknown") -> Probe:
    """Return a probe with one attempt each `every` seconds: `.` good, `x` failed, `?` encrypted, a blank none."""
    attempts: list[Attempt] = []
    for place, mark in enumerate(marks):
        if mark != " ":
            start = Mark(BASE + place * every * S, 0, 10 * place + 1)
            outcome, cause, status = RESULTS[mark]
            attempts.append(Attempt(
                n=len(attempts) + 1, start=start, end_ns=start.ns, end_mark=start, outcome=outcome,
                cause=cause, status=status, threshold=3))  # fmt: skip
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
    end = "since +6.0 13 attempts are missing, so its present state is not known"
    assert told(timeline(silent, until_s=19), 0).startswith("None ")
    assert told(timeline(silent, until_s=19), 0).endswith(end)


@BOTH
@pytest.mark.parametrize(
    ("kind", "expected", "level"),
    [(GapKind.UNEXPLAINED, 13, Level.WARNING), (GapKind.UNEXPLAINED, 2, Level.FINE), (GapKind.POD_DELETED, 13, Level.FINE)],
)
def test_who_is_silent_to_the_end_is_not_fine(family: tuple[str, str], kind: GapKind, expected: int, level: Level) -> None:
    """Of what was not probed for long, though nothing says that it has to be silent, the state is not known: it is looked at first."""
    well = probe(ProbeType.READINESS, family, "......", decided(READY, 0, 1))
    gap = Gap(start_ns=BASE + 6 * S, end_ns=BASE + 19 * S, expected=expected, reason="told elsewhere", kind=kind)
    silent = replace(well, gaps=(gap,))
    verdict = judge(silent, timeline(silent, until_s=19))
    assert verdict.level is level
    assert ("not probed in the last 13.0 s, so its present state is not known" in verdict.sentence) == (level is Level.WARNING)
    parts: list[str] = []
    text.write(timeline(silent, until_s=19), parts.append)
    shown, due = "".join(parts), kind is not GapKind.POD_DELETED
    assert (f"{expected} attempts missing in 13.0 s: told elsewhere" in shown) is due
    assert (f"6 attempts: 6 ok, {expected} missing" in shown) is due
    assert ("not probed for the last 13.0 s: told elsewhere" in shown) is not due  # nothing was due any more


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
    assert told(whole, 0) == "True Ready since +8.0, for the last 6.0 s"


@BOTH
@pytest.mark.parametrize(("begun_s", "by"), [((8.0,), ProbeType.LIVENESS), ((6.0, 8.0), None)])
def test_what_was_told_to_stop_may_answer_for_a_while(family: tuple[str, str], begun_s: tuple[float, ...], by: ProbeType | None) -> None:
    """Who had a container killed is told also where it answered until later; of one that began since, nobody had it killed."""
    ready = probe(ProbeType.READINESS, family, ".......  .....", decided(READY, 0, 1), decided(READY, 9, 8, 2.5))
    live = probe(ProbeType.LIVENESS, family, "...xxx    ....", decided(RESTART, 5.5, 6))
    (gone,) = outages(ready, timeline(ready, live, until_s=14, begun_s=begun_s))
    assert (gone.start_ns, gone.by, gone.restarted_by) == (BASE + 6_500 * MS, By.CONTAINER, by)


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
    assert judge(ready, whole).sentence.startswith(
        "NotReady once, and still so at the end: its container was restarted by the liveness probe"
    )
    assert downtime(ready, whole) == (25_500 * MS, 30 * S)
    assert told(whole, 0) == "False NotReady since +4.5, for the last 25.5 s"
    assert told(whole, 1) == "False no new container has answered since the Restart at +4.5, for the last 25.5 s"


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
    assert told(whole, 0) == "None Ready since +10.0, for the last 4.0 s; but it had recovered once before"


def test_a_first_start_is_no_outage() -> None:
    """A container that is not Ready yet was never in service; one that was Ready when the capture begins was."""
    fresh = probe(ProbeType.READINESS, V4, "xx..", decided(READY, 2, 3, 2.0), initial="NotReady")
    assert outages(fresh, timeline(fresh, until_s=4, begun_s=(0.0,))) == []
    old = replace(fresh, initial_state="Ready")
    assert [one.start_ns for one in outages(old, timeline(old, until_s=4, begun_s=(0.0,)))] == [BASE]


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ("..x.", "True the latest attempt succeeded, at +3.0"),
        (".x...", "True the latest 3 attempts succeeded, since +2.0"),
        ("..xx", "False the latest 2 attempts failed, since +2.0; it takes 3 in a row"),
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
    assert told(shown, 0) == "False NotReady since +4.0, for the last 0.5 s"


@BOTH
def test_what_failed_is_told_by_what_it_did(family: tuple[str, str]) -> None:
    """Only failures that decided so are why it went NotReady; those too few in a row are told apart, those of the start not at all."""
    marks = "xx...x..xxxx.."
    flapped = probe(
        ProbeType.READINESS, family, marks, decided(READY, 2, 3), decided(NOT_READY, 10, 11), decided(READY, 12, 13, 2), initial="NotReady",
    )  # fmt: skip
    refused = {"cause": Cause.REFUSED, "status": None}
    flapped = replace(flapped, attempts=tuple(replace(one, **refused) if one.n in (1, 2, 6) else one for one in flapped.attempts))
    sentence = judge(flapped, timeline(flapped, until_s=14)).sentence
    assert sentence.startswith("NotReady once: the application answers 500; out of service 2.0 s of 13.0 s (15 %)")
    assert sentence.endswith("(15 %); 1 more failure decided nothing (refused): too few in a row")


@BOTH
def test_ready_that_a_restart_took_has_a_row(family: tuple[str, str]) -> None:
    """The end of Ready that no attempt decided stands among the attempts, with what took it; its own decisions are not told twice."""
    ready = probe(ProbeType.READINESS, family, "....  ....", decided(READY, 0, 1), decided(READY, 6, 5, 2))
    live = probe(ProbeType.LIVENESS, family, ".xxx  ....", decided(RESTART, 4, 4))
    both = timeline(ready, live, until_s=9, begun_s=(6,))
    made = rows(ready, (), outages(ready, both), wide=False, several=False)
    lost = [(row.ns - BASE, row.words) for row in made if row.decision == "NotReady"]
    assert lost == [(4 * S, "about then: restarted by the liveness probe")]
    own = probe(
        ProbeType.READINESS, family, "..xxx.", decided(READY, 0, 1), decided(NOT_READY, 4, 5), decided(READY, 5, 6, 1)
    )
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


@BOTH
def test_the_cause_stands_before_its_effect(family: tuple[str, str]) -> None:
    """Of one container the probe that had it restarted is read before the readiness probe that lost Ready by it."""
    ready = probe(ProbeType.READINESS, family, ".....  ..", decided(READY, 0, 1), decided(READY, 7, 6, 2.5))
    live = probe(ProbeType.LIVENESS, family, "..xxx", decided(RESTART, 4.5, 5))
    whole = timeline(ready, live, until_s=8, begun_s=(7,))
    assert [one.type for one, _ in ordered(whole)] == [ProbeType.LIVENESS, ProbeType.READINESS]
    calm = timeline(ready, replace(live, decisions=()), until_s=8, begun_s=(7,))
    assert [one.type for one, _ in ordered(calm)] == [ProbeType.READINESS, ProbeType.LIVENESS]


@BOTH
def test_what_ails_one_pod_stands_before_what_took_all(family: tuple[str, str]) -> None:
    """First what is out of service at the end, then what failed, then what a new kubelet took out of service: it took all of its node."""
    fine = probe(ProbeType.READINESS, family, "......", decided(READY, 0, 1), decided(READY, 4, 5, 0.5))
    over = probe(ProbeType.READINESS, family, "...x..", decided(READY, 0, 1), decided(NOT_READY, 3, 4), decided(READY, 4, 5, 1))
    down = probe(ProbeType.READINESS, family, "...xxx", decided(READY, 0, 1), decided(NOT_READY, 3, 4))
    pods = [replace(one, target=Target(address=f"10.0.0.{n}", port=80)) for n, one in enumerate((fine, over, down), 1)]
    whole = timeline(*pods, until_s=6)
    restarted = TimelineEvent(ns=BASE + 3 * S, kind=EventKind.KUBELET_RESTARTED, address=family[0])
    whole = replace(whole, events=(restarted,))
    assert [one.target.address for one, _ in ordered(whole)] == ["10.0.0.3", "10.0.0.2", "10.0.0.1"]


@BOTH
def test_a_restart_of_the_kubelet_is_one_for_all_its_pods(family: tuple[str, str]) -> None:
    """Each pod shows it at its own time, and one event is told, at the first: what is lost within seconds of it is lost by it."""
    lost = probe(ProbeType.READINESS, family, "......", decided(READY, 0, 1), decided(READY, 4, 5, 0.5))

    def by(at: float, *events: TimelineEvent) -> By:
        kubelet = TimelineEvent(ns=BASE + round(at * S), kind=EventKind.KUBELET_RESTARTED, address=family[0])
        (gone,) = outages(lost, replace(timeline(lost, until_s=6), events=(kubelet, *events)))
        return gone.by

    begun = TimelineEvent(ns=BASE + 4 * S, kind=EventKind.CONTAINER_STARTED, address=family[1], container="app")
    assert [by(3.5), by(0.5), by(3.6)] == [By.KUBELET, By.KUBELET, By.CONTAINER]
    assert by(3.5, begun) is By.CONTAINER


@BOTH
def test_what_shows_an_event_is_told_once(family: tuple[str, str]) -> None:
    """Two probes of one container both show when it started; only the first says what shows that."""
    pair = [probe(kind, family, "....") for kind in (ProbeType.READINESS, ProbeType.LIVENESS)]
    whole = timeline(*pair, until_s=4, begun_s=(2,))
    event = replace(whole.events[0], evidence="its first process was seen to begin")
    lines: list[str] = []
    text.write(replace(whole, events=(event,)), lines.append)
    said = "".join(lines)
    assert said.count("container app started") == 2
    assert said.count("its first process was seen to begin") == 1


@BOTH
def test_a_pod_that_is_being_deleted_says_so(family: tuple[str, str]) -> None:
    """Liveness that ends by design is fine, and the verdict says why it ended."""
    live = probe(ProbeType.LIVENESS, family, "....", initial="Live")
    event = TimelineEvent(ns=BASE + 4 * S, kind=EventKind.POD_TERMINATING, address=family[1], container="app")
    verdict = judge(live, replace(timeline(live, until_s=9), events=(event,)))
    assert verdict.level is Level.FINE
    assert verdict.sentence.endswith("; the Pod was being deleted at the end")


def diagnosed(kind: str, *numbers: int) -> Diagnosis:
    """Return a diagnosis of some attempts."""
    return Diagnosis(kind=kind, sentence=f"{kind} it was.", check="Look.", attempts=numbers)


def test_a_cause_of_few_attempts_is_only_named() -> None:
    """Two refusals before nine 500s are no second thing to look at; a failure that decided something always is."""
    bad = probe(ProbeType.READINESS, V4, "x" * 11, initial="NotReady")
    few, many = diagnosed("nothing-listens", 1, 2), diagnosed("says-unhealthy", *range(3, 12))
    own = tuple(replace(a, diagnosis=few if a.n < 3 else many) for a in bad.attempts)
    bad = replace(bad, attempts=own, diagnoses=(many, few))
    whole = timeline(bad, until_s=11)
    assert [one.minor for one in explained(bad, judge(bad, whole))] == [False, True]
    lines: list[str] = []
    text.write(whole, lines.append)
    said = "".join(lines)
    assert "says-unhealthy it was." in said
    assert "nothing-listens it was." not in said
    assert "also nothing-listens: -o wide says what to do" in said
    decisive = replace(bad, decisions=(decided(NOT_READY, 1, 2),))
    assert [one.minor for one in explained(decisive, judge(decisive, whole))] == [False, False]


def test_when_a_checker_noticed_is_no_latency() -> None:
    """An answer in time that was noticed late says how late the checker was: of answers, the slowest is another's."""
    one = probe(ProbeType.READINESS, V4, "..x.")
    late = replace(one.attempts[2], cause=Cause.CLIENT_LATE, status=200, end_ns=one.attempts[2].start.ns + 5 * S)
    assert "max 5.0" not in latency(replace(one, attempts=(*one.attempts[:2], late, one.attempts[3])))


@BOTH
def test_what_never_connected_shows_no_handler(family: tuple[str, str]) -> None:
    """Refused SYNs alone do not say whether it is tcpSocket or httpGet: neither the headline nor the kubelet's words claim one."""
    tried = probe(ProbeType.READINESS, family, "xxx")
    refused = tuple(replace(a, cause=Cause.REFUSED, status=None) for a in tried.attempts)
    unknown = replace(tried, handler=Handler.TCP_SOCKET, scheme=None, path=None, spec=None, attempts=refused)
    assert "TCP" not in request(unknown)
    assert "its handler is not known" in request(unknown)
    assert "Get " in kubelet_says(unknown, refused[0])
    opened = replace(unknown, attempts=(*refused, replace(refused[0], outcome=Outcome.SUCCESS, cause=Cause.OK)))
    assert request(opened).startswith("TCP ")
    assert "Get " not in kubelet_says(opened, refused[0])


def test_the_kubelets_words_name_the_last_hop_and_the_alert_as_go_does() -> None:
    """A refused hop is named with its own port, an alert in crypto/tls' words and not in RFC 8446's, and bytes are quoted once."""
    one = probe(ProbeType.READINESS, V4, "x").attempts[0]
    tried = Connection(id=0, client=V4[0], client_port=40_000, server=V4[1], server_port=8080, start=one.start, end=one.start,
                       state="REJ", history="Sr", orig=Half(), resp=Half())  # fmt: skip
    first = Leg(role=Role.FIRST, connection=tried)
    asked = replace(probe(ProbeType.READINESS, V4, "x"), scheme="HTTPS")

    def said(cause: Cause, detail: str = "", **of_leg: Any) -> str:
        legs = (replace(first, **of_leg),)
        return kubelet_says(asked, replace(one, cause=cause, status=None, detail=detail, legs=legs, end_mark=one.start))

    hop = replace(first.connection, server_port=443)
    assert ":443: connect: connection refused" in said(Cause.REFUSED, role=Role.REDIRECT, connection=hop)
    alerts = {"unrecognized_name": "unrecognized name", "certificate_expired": "expired certificate", "alert 9": "alert(9)"}
    for name, words in alerts.items():
        assert said(Cause.TLS_ALERT, tls=TlsSummary(alert=name)).endswith(f"remote error: tls: {words}")
    assert "remote" not in said(Cause.TLS_ALERT, tls=TlsSummary(alert="protocol_version", alert_by_checker=True))
    assert said(Cause.MALFORMED_ANSWER, 'malformed HTTP response "J\\x00"').endswith('response "J\\x00"')


def test_a_share_of_a_supposed_timeout_is_called_so() -> None:
    """Of a timeout that neither a spec nor the packets tell, a percentage says that it is the default's."""
    one = probe(ProbeType.READINESS, V4, "..")
    assert "of the default timeout" in latency(replace(one, thresholds={"timeoutSeconds": (1, "default")}))
    assert "default" not in latency(replace(one, thresholds={"timeoutSeconds": (1, "inferred")}))


def test_missing_to_the_end_after_a_recovery_is_not_over() -> None:
    """A probe that was out of service twice and then falls silent: what it is now is not known."""
    flapping = probe(
        ProbeType.READINESS, V4, "..xxx.xxx..", decided(READY, 0, 1), decided(NOT_READY, 4, 5), decided(READY, 5, 6, 1),
        decided(NOT_READY, 8, 9), decided(READY, 9, 10, 1),
    )  # fmt: skip
    silent = replace(flapping, gaps=(Gap(start_ns=BASE + 10 * S, end_ns=BASE + 30 * S, expected=19, reason="no word"),))
    assert told(timeline(silent, until_s=30), 0).endswith("19 attempts are missing, so its present state is not known")


@pytest.mark.parametrize("rounds", [3, 4, 5, 30])
def test_rounds_that_decide_nothing_are_counted(rounds: int) -> None:
    """Failures and recoveries that alternate: from five rounds on two of them, a count and the last are shown, with all numbers right."""
    one = probe(ProbeType.READINESS, V4, "." + "xx.." * (rounds - 1) + "xx.", decided(READY, 0, 1))
    made = [row for row in rows(one, (), wide=False, several=False) if not row.aside]
    shown = [row.number for row in made if row.number]
    counted = [row.words for row in made if row.quiet]
    if rounds < 5:
        assert (len(shown), counted) == (1 + 2 * rounds, [])
        return
    assert shown[:5] == ["#1", "#2", "#4", "#6", "#8"]
    assert counted == [f"{rounds - 3} more rounds like these, #10 on"]
    assert shown[5:] == [f"#{4 * rounds - 2}", f"#{4 * rounds}"]
    everything = rows(one, (), wide=True, several=False)
    assert len([row for row in everything if row.number]) == len(one.attempts)


def test_rounds_with_decisions_are_all_shown() -> None:
    """A probe that flaps shows every NotReady and Ready, however often."""
    kinds = [decided(NOT_READY, 1 + 2 * n, 2 + 2 * n) for n in range(9)] + [decided(READY, 2 + 2 * n, 3 + 2 * n, 1) for n in range(9)]
    one = probe(ProbeType.READINESS, V4, "." + "x." * 9, decided(READY, 0, 1), *sorted(kinds, key=lambda d: d.ns))
    assert len([row for row in rows(one, (), wide=False, several=False) if row.decision]) == 19


@BOTH
def test_failures_begin_with_the_first_that_is_known(family: tuple[str, str]) -> None:
    """What could not be read before the failures in a row is none of them, in JSON and in the HTML report."""
    lost = decided(NOT_READY, 6, 7)
    one = probe(ProbeType.READINESS, family, "?.??xxx", lost)
    whole = timeline(one, until_s=7)
    began = streak_began(one, lost.ns + 1)
    assert began is not None
    assert began.n == 5
    assert verdict_objects(whole)[0]["since"] == rfc3339(BASE + 4 * S)
    assert answer(one, judge(one, whole), whole, BASE).since.startswith(f"The failures began at {clock(BASE + 4 * S)}")


def test_what_could_not_be_read_did_not_fail() -> None:
    """The report of a probe whose answers are encrypted names no beginning of failures."""
    one = probe(ProbeType.READINESS, V4, "????")
    whole = timeline(one, until_s=4)
    assert answer(one, judge(one, whole), whole, BASE).since == ""


@BOTH
def test_failures_at_the_end_tell_the_state(family: tuple[str, str]) -> None:
    """Behind answers inside TLS three failures in a row make it NotReady, whatever it was: that is the verdict, and no "still"."""
    one = replace(probe(ProbeType.READINESS, family, "?????xxx"), final_state="NotReady")
    whole = timeline(one, until_s=8)
    found = judge(one, whole)
    assert found.level is Level.TROUBLE
    assert found.sentence.startswith("NotReady at the end, 3 attempts in a row failed: the application answers 500; before that not known")
    assert told(whole, 0) == "False NotReady at the end"


def test_a_bad_answer_is_no_http_status() -> None:
    """A check that speaks no HTTP gets a bad answer, and not a status outside 200-399."""
    one = probe(ProbeType.READINESS, V4, "..xx", initial="Ready")
    bad = tuple(replace(a, status=None, detail="the DNS answer is SERVFAIL") if a.status == 500 else a for a in one.attempts)
    asked = replace(one, handler=Handler.TCP_SOCKET, attempts=bad)
    verdict = judge(asked, timeline(asked, until_s=4))
    assert "bad answer" in verdict.sentence
    assert [why.meaning for why in explained(asked, verdict)] == [BAD_ANSWER.meaning]


@BOTH
def test_one_set_of_words_for_a_probe(family: tuple[str, str]) -> None:
    """Ready and NotReady, or UP and DOWN: verdict, rows and `now` say the same, also where nothing proves that a kubelet asks."""
    lost = probe(ProbeType.READINESS, family, "..xxx....", decided(READY, 0, 1), decided(NOT_READY, 4, 3), decided(READY, 5, 1))
    unknown = replace(lost, checker=replace(lost.checker, kind="unknown", could_be=("kubelet", "monit")))
    assert states(unknown) == states(lost) == ("Ready", "NotReady")
    whole = timeline(unknown, until_s=9)
    assert judge(unknown, whole).sentence.startswith("NotReady once")
    assert told(whole, 0).startswith("True Ready since")
    check = replace(unknown, type=ProbeType.UNKNOWN, decisions=(), initial_state="UP", final_state="UP")
    assert states(check) == ("UP", "DOWN")


@BOTH
def test_what_was_not_due_is_not_called_missing(family: tuple[str, str]) -> None:
    """Attempts that the kubelet's rules let go are told as not sent, with the rule; missing are those that were due."""
    well = probe(ProbeType.LIVENESS, family, "......")
    gaps = [Gap(start_ns=BASE + 2 * S, end_ns=BASE + 4 * S, expected=n, reason="why", kind=kind)
            for n, kind in ((2, GapKind.ON_HOLD), (3, GapKind.ON_HOLD), (1, GapKind.KUBELET_RESTARTED), (4, GapKind.UNEXPLAINED))]
    assert counts(replace(well, gaps=tuple(gaps[:2]))) == "6 attempts: 6 ok, 5 not sent (on hold)"
    assert counts(replace(well, gaps=tuple(gaps))) == "6 attempts: 6 ok, 6 not sent (5 on hold, 1 kubelet restart), 4 missing"
    assert gap_words(gaps[0]).startswith("2 attempts not sent in 2.0 s")
    assert gap_words(gaps[3]).startswith("4 attempts missing in 2.0 s")


@BOTH
def test_an_end_behind_a_failure_may_have_been_a_kill(family: tuple[str, str]) -> None:
    """Without a Pod one failure and a new container tell neither a kill nor a crash: the verdict says so, and not "Live throughout"."""
    one = probe(ProbeType.LIVENESS, family, "..x..", initial="Live")
    found = judge(one, timeline(one, until_s=5, begun_s=(2.6,)))
    assert found.level is Level.WARNING
    assert "its container ended after #3, and nothing tells whether this probe had it killed" in found.sentence
    before = judge(one, timeline(one, until_s=5, begun_s=(1.6,)))
    assert "its container ended" not in before.sentence
