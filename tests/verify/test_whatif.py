"""Replays under other settings: the true settings give what was decided, others what the recording proves and no more."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import probewatch
from probewatch.capture import CaptureError
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Probe, Timeline, Trigger
from probewatch.model.units import SECOND as S
from probewatch.moments import InputError
from probewatch.report.whatif import verdicts
from probewatch.verify.container import containers
from probewatch.verify.replay import Case, End, replay
from probewatch.verify.whatif import Replayed, Settings, WhatIf, whatif

OWN = Path(__file__).resolve().parents[2] / "captures"


@cache
def timeline_of(capture: Path, *, with_spec: bool = True) -> Timeline:
    """Analyse a capture with the Pods and keys that lie beside it."""
    keys = capture.parent / "keys.log"
    specs = sorted(capture.parent.glob("pod*.yaml")) if with_spec else []
    return probewatch.analyze(capture, spec=specs, keylog=keys if keys.is_file() else None)


def of(name: str, kind: str = "readiness", **settings: int) -> Replayed:
    """Replay one of the project's captures and return its probe of one type."""
    found = whatif(timeline_of(OWN / name / "capture.pcap"), Settings(**settings))
    return next(one for one in found.probes if one.probe.type == kind)


def at(probe: Probe, number: int) -> int:
    """Return when an attempt ended."""
    return probe.attempts[number - 1].end_ns


def kinds(decisions) -> list[tuple[str, int]]:
    """Return what was decided by which attempt."""
    return [(decision.kind.value, decision.attempt) for decision in decisions]


def same(found: WhatIf) -> None:
    """Hold that a replay makes the decisions that were recorded, and that it knows."""
    for one in found.probes:
        assert one.faithful
        assert one.exact
        assert one.best.initial_state == one.probe.initial_state
        for trace in (one.best, one.worst):
            assert trace.end is None
            assert [
                (d.kind, d.ns, d.attempt, d.streak, d.threshold, d.before, d.after, d.threshold_source) for d in trace.decisions
            ] == [(d.kind, d.ns, d.attempt, d.streak, d.threshold, d.before, d.after, d.threshold_source) for d in one.probe.decisions]


@pytest.mark.parametrize("with_spec", [True, False], ids=["spec", "packets"])
def test_recorded_settings_make_the_recorded_decisions(capture_file, with_spec) -> None:
    """No setting given: every probe of every capture decides exactly what its timeline says, also in mid-life, across restarts and gaps."""
    if not with_spec and not any(capture_file.parent.glob("pod*.yaml")):
        return  # The same as with the spec that is not there.
    try:
        timeline = timeline_of(capture_file, with_spec=with_spec)
    except CaptureError:
        return
    same(whatif(timeline, Settings()))


def test_naming_the_recorded_settings_changes_nothing(capture_file) -> None:
    """The same numbers given as options, probe by probe, are no change."""
    try:
        timeline = timeline_of(capture_file)
    except CaptureError:
        return
    for one in whatif(timeline, Settings()).probes:
        numbers = {setting.field: setting.recorded for setting in one.settings}
        asked = Settings(
            timeout_s=numbers["timeoutSeconds"], period_s=numbers["periodSeconds"], failure_threshold=numbers["failureThreshold"],
            success_threshold=numbers["successThreshold"], initial_delay_s=numbers["initialDelaySeconds"])
        found = whatif(timeline, asked, {one.probe.id})
        assert [other.changed for other in found.probes] == [False]
        same(found)


def test_the_replay_itself_reproduces_what_is_conclusive(capture_file) -> None:
    """Without the short cut for unchanged settings, both cases decide the same where no attempt is inconclusive."""
    try:
        timeline = timeline_of(capture_file)
    except CaptureError:
        return
    for container in containers(timeline):
        if any(a.outcome is Outcome.INCONCLUSIVE for probe in container.probes for a in probe.attempts):
            continue
        specs = [replace(spec, grace_s=(spec.grace_s or 0) + 1) for spec in container.specs]
        for case in Case:
            for probe, trace in zip(container.probes, replay(container, specs, case, [0] * len(specs)), strict=True):
                assert kinds(trace.decisions) == kinds(probe.decisions)


def test_two_files_with_time_between_them(captures) -> None:
    """Across time that no file covers, memory is forgotten as the analysis forgets it."""
    scenario = captures / "http-flap-s1"
    whole = timeline_of(scenario / "capture.pcap").captures[0]
    assert whole.first_ns is not None
    later = captures / "tcp-flap"
    timeline = probewatch.analyze(
        [scenario / "capture.pcap", later / "capture.pcap"], spec=[scenario / "pod.yaml", later / "pod.yaml"])
    same(whatif(timeline, Settings()))


def test_a_longer_timeout_takes_late_answers() -> None:
    """Answers known to have come after 2.5 s succeed within 3 s, and fail, later, within 2 s: both for certain."""
    longer = of("http-timeout", timeout_s=3)
    assert longer.exact
    assert kinds(longer.best.decisions) == [("ready", 1)]
    still = of("http-timeout", timeout_s=2)
    assert still.exact
    assert kinds(still.best.decisions) == [("ready", 1), ("not_ready", 8), ("ready", 13)]
    assert still.best.decisions[1].ns == still.probe.attempts[7].start.ns + 2 * S


def test_a_late_answer_that_says_no_stays_a_failure() -> None:
    """A late 503 within the new timeout is a failure at its own time; of a late answer without a status nothing is known."""
    timeline = timeline_of(OWN / "http-timeout" / "capture.pcap")

    def late(status: int | None) -> Replayed:
        attempts = tuple(replace(a, status=status) if a.late_answer_ns else a for a in timeline.probes[0].attempts)
        made = replace(timeline, probes=(replace(timeline.probes[0], attempts=attempts),))
        return whatif(made, Settings(timeout_s=3)).probes[0]

    refused = late(503)
    assert refused.exact
    assert kinds(refused.best.decisions) == [("ready", 1), ("not_ready", 8), ("ready", 13)]
    eighth = refused.probe.attempts[7]
    assert refused.best.decisions[1].ns == eighth.start.ns + (eighth.late_answer_ns or 0)
    for nothing in (None, 302):  # where a late redirect leads is not recorded
        unknown = late(nothing)
        assert not unknown.exact
        assert (len(unknown.best.decisions), len(unknown.worst.decisions)) == (1, 3)


def test_censored_attempts_are_a_range() -> None:
    """SYNs that nobody answered within 4 s: within 6 s nobody knows, within 2 s they fail the same, sooner."""
    longer = of("http-blackhole", timeout_s=6)
    assert not longer.exact
    assert [d.kind for d in longer.best.decisions] == [DecisionKind.READY]
    assert [d.kind for d in longer.worst.decisions] == [DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.READY]
    assert longer.covering.censored == 4
    shorter = of("http-blackhole", timeout_s=2)
    assert shorter.exact
    lost = next(d for d in shorter.best.decisions if d.kind is DecisionKind.NOT_READY)
    assert lost.ns == shorter.probe.attempts[lost.attempt - 1].start.ns + 2 * S


@pytest.mark.parametrize("name", ["http-timeout", "http-ipv6"])
def test_a_shorter_timeout_fails_slow_successes(name) -> None:
    """A success known to have taken longer than the new timeout fails at the new deadline (v4 and v6)."""
    timeline = timeline_of(OWN / name / "capture.pcap")
    probe = timeline.probes[0]
    slow = probe.attempts[3]
    leg = slow.legs[-1]
    moved = replace(leg.connection.resp, arrivals=tuple(a._replace(mark=a.mark._replace(ns=slow.start.ns + 1_800_000_000))
                                                        for a in leg.connection.resp.arrivals))
    leg = replace(leg, connection=replace(leg.connection, resp=moved))
    end = slow.start.ns + 1_900_000_000
    slow = replace(slow, end_ns=end, end_mark=slow.end_mark._replace(ns=end) if slow.end_mark else None, legs=(leg,))
    attempts = (*probe.attempts[:3], slow, *probe.attempts[4:])
    made = replace(timeline, probes=(replace(
        probe, attempts=attempts, thresholds=probe.thresholds | {"timeoutSeconds": (2, "declared"), "failureThreshold": (1, "declared")}),))
    one = whatif(made, Settings(timeout_s=1)).probes[0]
    lost = [d for d in one.best.decisions if d.kind is DecisionKind.NOT_READY and d.attempt == 4]
    assert [d.ns for d in lost] == [slow.start.ns + S]


def test_thresholds_alone_are_exact() -> None:
    """Other thresholds change the decisions of the same attempts, and leave no choice."""
    two = of("http-timeout", failure_threshold=2)
    assert two.exact
    assert kinds(two.best.decisions) == [("ready", 1), ("not_ready", 7), ("ready", 13)]
    slow = of("http-timeout", success_threshold=3)
    assert kinds(slow.best.decisions) == [("ready", 3), ("not_ready", 8), ("ready", 15)]
    assert slow.best.decisions[0].threshold_source == "asked"


def test_the_extra_probe_of_a_decision_goes_with_it() -> None:
    """The poke that followed NotReady is no attempt where there is no NotReady; streaks are those without it."""
    recorded = of("http-flap-s1").probe
    echoes = [d.attempt + 1 for d in recorded.decisions if d.kind is DecisionKind.NOT_READY]
    assert all(recorded.attempts[n - 1].trigger is Trigger.MANUAL for n in echoes)
    four = of("http-flap-s1", failure_threshold=4)
    lost = [d.attempt for d in four.best.decisions if d.kind is DecisionKind.NOT_READY]
    assert lost
    assert not set(lost) & set(echoes)


def test_a_restart_that_would_not_have_been_ends_the_evidence() -> None:
    """More patience: nothing after the recorded kill is claimed, for any probe of that container."""
    found = whatif(timeline_of(OWN / "k136-liveness-restart" / "capture.pcap"), Settings(failure_threshold=5))
    killed = next(d for one in found.probes for d in one.probe.decisions if d.kind is DecisionKind.RESTART)
    for one in found.probes:
        assert one.exact
        assert (one.best.end, one.best.known_until_ns) == (End.OLD_RESTART, killed.ns)
        assert all(d.ns <= killed.ns for d in one.best.decisions)


def test_a_restart_that_only_the_replay_has_ends_the_evidence() -> None:
    """Less patience: the restart comes at the second failure, and what followed is not known."""
    one = of("k136-liveness-restart", "liveness", failure_threshold=2)
    assert (one.best.end, kinds(one.best.decisions)) == (End.NEW_RESTART, [("restart", 12)])
    assert one.best.known_until_ns == at(one.probe, 12)


def test_the_same_restart_is_survived() -> None:
    """A change that leaves each restart with its attempt goes on after it, to the recording's end."""
    timeline = timeline_of(OWN / "k136-liveness-restart" / "capture.pcap")
    readiness = next(probe for probe in timeline.probes if probe.type is ProbeType.READINESS)
    one = whatif(timeline, Settings(failure_threshold=9), {readiness.id}).probes[0]
    assert (one.best.end, kinds(one.best.decisions)) == (None, kinds(readiness.decisions))


def test_a_start_behind_what_is_known_is_no_verdict() -> None:
    """A startup probe that would not have given up is said not to: that another container was Started later says nothing of this one."""
    one = of("k136-liveness-restart", "liveness", failure_threshold=5)
    restart = one.probe.decisions[0]
    started = replace(restart, kind=DecisionKind.STARTED, ns=restart.ns + 9 * S)
    startup = replace(one, probe=replace(one.probe, type=ProbeType.STARTUP, decisions=(restart, started)))
    (said,) = verdicts(startup, restart.ns - S)
    assert said.startswith("would not have been restarted at +1.000; what came after +1.000 is not known")


def test_startup_gates_what_comes_after() -> None:
    """A startup probe that would have given up ends the evidence before liveness and readiness begin."""
    timeline = timeline_of(OWN / "startup-probe" / "capture.pcap")
    found = whatif(timeline, Settings(failure_threshold=3))
    startup = next(one for one in found.probes if one.probe.type is ProbeType.STARTUP)
    assert (startup.best.end, [d.kind for d in startup.best.decisions]) == (End.NEW_RESTART, [DecisionKind.RESTART])
    assert all(not one.best.decisions for one in found.probes if one.probe.type is not ProbeType.STARTUP)


def test_a_longer_period_takes_the_ticks_it_would_have_hit() -> None:
    """Twice the period: every second recorded attempt decides, from each place the grid may begin."""
    timeline = timeline_of(OWN / "mid-http-flap-s1" / "capture.pcap")
    one = whatif(timeline, Settings(period_s=2)).probes[0]
    assert one.phases == 2
    assert one.best.unready_ns <= one.worst.unready_ns
    known = {d.attempt for trace in (one.best, one.worst) for d in trace.decisions} - {0}
    assert known <= {a.n for a in one.probe.attempts}


def test_a_shorter_period_does_not_guess_between_attempts() -> None:
    """Half the period: what lies between two attempts is unknown, though both succeeded; two in a row are never proven."""
    one = of("tcp-ready", period_s=1)
    assert one.exact
    assert one.best.unknown == len(one.probe.attempts)
    touchy = whatif(timeline_of(OWN / "tcp-ready" / "capture.pcap"), Settings(period_s=1, failure_threshold=1)).probes[0]
    assert not touchy.exact
    assert [d.kind for d in touchy.best.decisions] == [DecisionKind.READY]
    assert DecisionKind.NOT_READY in {d.kind for d in touchy.worst.decisions}


def test_a_longer_initial_delay_drops_attempts() -> None:
    """Attempts before the delay are not made; where the container's start leaves it open both are told."""
    one = of("tcp-flap", initial_delay_s=8)
    assert all(d.ns - one.probe.attempts[0].start.ns >= 4 * S for trace in (one.best, one.worst) for d in trace.decisions)
    dropped = of("initial-delay", initial_delay_s=30)
    first = dropped.worst.decisions[0] if dropped.worst.decisions else None
    assert first is None or first.ns > dropped.probe.attempts[0].start.ns


def test_inconclusive_attempts_are_a_range_once_anything_changes() -> None:
    """Encrypted answers: as recorded nothing is decided; under other thresholds both Ready and never Ready are possible."""
    timeline = probewatch.analyze(OWN / "https-503" / "capture.pcap", spec=OWN / "https-503" / "pod.yaml")
    assert all(a.cause is Cause.ENCRYPTED for a in timeline.probes[0].attempts)
    one = whatif(timeline, Settings(failure_threshold=5)).probes[0]
    assert [d.kind for d in one.best.decisions] == [DecisionKind.READY]
    assert not one.worst.decisions
    assert one.covering.slowest_ns is None
    assert one.covering.timeout_s is None


def test_success_threshold_is_for_readiness_only() -> None:
    """The API allows 1 alone for liveness and startup: another one changes readiness, not them."""
    found = whatif(timeline_of(OWN / "startup-probe" / "capture.pcap"), Settings(success_threshold=2))
    asked = {one.probe.type.value: {s.field: s.asked for s in one.settings}["successThreshold"] for one in found.probes}
    assert asked == {"startup": 1, "readiness": 2, "liveness": 1}


def test_worst_is_never_better_than_best(kubelet_scenario) -> None:
    """For every capture and many settings: no more restarts and no more time not Ready at best than at worst; nothing raises."""
    for capture in sorted(kubelet_scenario.glob("capture.pcap")):
        timeline = timeline_of(capture)
        for settings in (Settings(timeout_s=3), Settings(timeout_s=1, period_s=1), Settings(period_s=7), Settings(period_s=4),
                         Settings(failure_threshold=1), Settings(initial_delay_s=5), Settings(initial_delay_s=0, success_threshold=3)):
            for one in whatif(timeline, settings).probes:
                ends = (one.best.end, one.worst.end)
                assert ends[0] is not End.NEW_RESTART or ends[1] is End.NEW_RESTART
                if ends == (None, None):
                    restarts = [sum(d.kind is DecisionKind.RESTART for d in t.decisions) for t in (one.best, one.worst)]
                    assert restarts[0] <= restarts[1]
                    assert one.best.unready_ns <= one.worst.unready_ns


def test_other_checkers_are_left_out(captures) -> None:
    """HAProxy's checks count by rise and fall: they are named as not replayed, never replayed as a kubelet's."""
    found = whatif(timeline_of(captures / "hap-openshift" / "cap.pcap"), Settings(timeout_s=3))
    assert not found.probes
    assert {probe.checker.kind for probe in found.left_out} == {"haproxy"}


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"period": 0}, {"failure_threshold": -1}, {"success_threshold": 2**31},
                                   {"initial_delay": -1}])
def test_settings_the_api_would_refuse(wrong) -> None:
    """A number Kubernetes does not take is refused in one sentence that names its field."""
    with pytest.raises(InputError, match=r"(Seconds|Threshold) cannot be") as caught:
        probewatch.whatif(Timeline(), **wrong)
    assert "\n" not in str(caught.value)


def test_api_takes_captures_and_timelines(captures) -> None:
    """`probewatch.whatif` says the same of a path and of its timeline; `probe` chooses who gets the settings."""
    scenario = captures / "http-timeout"
    by_path = probewatch.whatif(scenario / "capture.pcap", spec=scenario / "pod.yaml", timeout=3)
    assert by_path == probewatch.whatif(timeline_of(scenario / "capture.pcap"), timeout=3)
    assert probewatch.whatif(timeline_of(scenario / "capture.pcap"), timeout=3, probe="liveness").probes == ()
