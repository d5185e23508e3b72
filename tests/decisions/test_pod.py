# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""All workers of a pod together: who is silent when, who may run when, and what one attempt changes for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import LIVENESS, READINESS, STARTUP, UNKNOWN, ns, spec

from probewatch.decisions.pod import MOST_UNSEEN, Applied, Planned, Pod, begin
from probewatch.decisions.turn import SUSPICIOUS, YOUNG
from probewatch.decisions.versions import Pokes
from probewatch.decisions.worker import Result
from probewatch.model.prediction import Manual, Prediction, Reading, Silence
from probewatch.model.spec import Handler, ProbeSpec
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Schedule, Trigger

OUTCOMES = {"S": (Outcome.SUCCESS, Cause.OK), "F": (Outcome.FAILURE, Cause.STATUS), "R": (Outcome.FAILURE, Cause.REFUSED),
            "T": (Outcome.FAILURE, Cause.SLOW_ANSWER), "D": (Outcome.DISCARDED, Cause.BODY_BROKEN), "G": (Outcome.FAILURE, Cause.GRPC_CONNECT)}


def pod_of(*probes: ProbeSpec | tuple[ProbeSpec, int], fresh: bool = True, **how: Any) -> Pod:
    """Return a pod with these probes, in one container unless said otherwise."""
    plan = [Planned(*probe) if isinstance(probe, tuple) else Planned(probe, 0) for probe in probes]
    return begin(plan, fresh_start=fresh, **how)


def step(pod: Pod, worker: int, at: float, letter: str, trigger: Trigger = Trigger.TICK, reset: str = "", took: float = 0.001) -> Applied:
    """Apply one attempt."""
    outcome, cause = OUTCOMES[letter]
    reading = Reading(worker, 0.0, trigger, Schedule.ON_TIME, reset)
    return pod.apply(reading, ns(at), ns(at + took), outcome, cause, lingers=letter in "TG")


def story(pod: Pod, steps: Sequence[tuple[int, float, str]]) -> Pod:
    """Apply attempts (worker, start, outcome), the first of each worker as its start."""
    for worker, at, letter in steps:
        first = pod.tickers[worker].last_start_ns is None
        pod = step(pod, worker, at, letter, Trigger.START if first else Trigger.TICK).pod
    return pod


def silences(pod: Pod) -> list[Silence]:
    """Return what keeps each worker silent."""
    return [one.silence for one in pod.predict()]


def manuals(pod: Pod) -> list[Manual]:
    """Return what may poke each worker."""
    return [one.manual for one in pod.predict()]


# Gating: TestLivenessProbeDisabledByStarted and its siblings.


def test_readiness_and_liveness_wait_for_startup() -> None:
    """TestReadinessProbeDisabledByStarted, TestLivenessProbeDisabledByStarted: not started, the others are disabled."""
    pod = pod_of(spec(READINESS), spec(LIVENESS), spec(STARTUP))
    assert silences(pod) == [Silence.GATED, Silence.GATED, Silence.NONE]


def test_startup_success_opens_the_gate() -> None:
    """TestStartupProbeDisabledByStarted: once it succeeded the startup probe stops for good, and the others run."""
    pod = story(pod_of(spec(READINESS), spec(LIVENESS), spec(STARTUP)), [(2, 0, "F"), (2, 1, "S")])
    assert silences(pod) == [Silence.NONE, Silence.NONE, Silence.ON_HOLD]
    assert pod.containers[0].started is True


def test_startup_success_pokes_readiness_at_once() -> None:
    """Startup success syncs the pod, which pokes the readiness worker in the same millisecond; liveness waits for its tick (captures/startup-probe, frames 75-94)."""
    pod = story(pod_of(spec(READINESS), spec(LIVENESS), spec(STARTUP)), [(2, 0, "S")])
    assert [one.poked_ns for one in pod.predict()] == [ns(0.001), None, None]


def test_startup_failure_keeps_the_gate_and_kills() -> None:
    """Three startup failures restart: startup on hold, the others gated until there is a new container that started."""
    pod = story(pod_of(spec(READINESS), spec(STARTUP)), [(1, 0, "F"), (1, 1, "F"), (1, 2, "F")])
    assert silences(pod) == [Silence.GATED, Silence.ON_HOLD]
    assert [one.dying for one in pod.predict()] == [True, True]


def test_each_container_has_its_own_gate() -> None:
    """A startup probe gates its own container and no other."""
    pod = pod_of((spec(READINESS), 0), (spec(STARTUP), 0), (spec(READINESS, port=9090), 1))
    assert silences(pod) == [Silence.GATED, Silence.NONE, Silence.NONE]


def test_an_attempt_of_another_proves_started() -> None:
    """A readiness attempt against the gate shows that the container has started (regression k8s#141155, or a success that was not seen)."""
    pod = step(pod_of(spec(READINESS), spec(STARTUP)), 0, 0, "S").pod
    assert pod.containers[0].started is True


def test_without_a_startup_probe_nothing_is_gated() -> None:
    """No startup probe: started is true from the beginning (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    assert silences(pod_of(spec(READINESS), spec(LIVENESS))) == [Silence.NONE, Silence.NONE]


def test_mid_life_gates_nothing() -> None:
    """In mid-life nobody knows whether it started, so nothing is ruled out; a startup attempt tells."""
    pod = pod_of(spec(READINESS), spec(STARTUP), fresh=False)
    assert silences(pod) == [Silence.NONE, Silence.NONE]
    assert pod.containers[0].started is None
    assert silences(step(pod, 1, 0, "F").pod) == [Silence.GATED, Silence.NONE]


# Hold and new containers.


def test_liveness_holds_after_its_threshold() -> None:
    """The third failure sets liveness on hold; readiness goes on against the dying container (pkg/kubelet/prober/worker.go doProbe: onHold; captures/k136-liveness-restart)."""
    pod = story(pod_of(spec(READINESS), spec(LIVENESS)), [(0, 0, "S"), (1, 0.5, "F"), (1, 1.5, "F"), (1, 2.5, "F")])
    assert silences(pod) == [Silence.NONE, Silence.ON_HOLD]
    assert pod.containers[0].dying


def test_new_container_renews_all_workers_of_it() -> None:
    """A new container lifts the hold, sets readiness back to Failure, closes the gate again; other containers notice nothing."""
    pod = pod_of((spec(READINESS), 0), (spec(LIVENESS, failure_threshold=1), 0), (spec(READINESS, port=9090), 1))
    pod = story(pod, [(0, 0, "S"), (2, 0.1, "S"), (1, 0.5, "F")])
    applied = step(pod, 1, 9.5, "S", Trigger.TICK, "container")
    assert applied.renewed
    assert silences(applied.pod) == [Silence.NONE] * 3
    assert [worker.cached for worker in applied.pod.workers] == [Result.FAILURE, Result.SUCCESS, Result.SUCCESS]
    assert manuals(applied.pod) == [Manual.POSSIBLE, Manual.NEVER, Manual.READY]
    assert not applied.pod.containers[0].dying
    assert applied.pod.containers[0].begun
    assert [ticker.runs for ticker in applied.pod.tickers] == [0, 1, 1]


def test_new_container_closes_the_gate_again() -> None:
    """A restarted container must start again: its startup probe runs and gates the others."""
    pod = story(pod_of(spec(READINESS), spec(STARTUP)), [(1, 0, "S"), (0, 0.002, "S")])
    pod = step(pod, 1, 5, "F", Trigger.TICK, "container").pod
    assert silences(pod) == [Silence.GATED, Silence.NONE]


def test_ready_shows_that_a_dying_container_is_gone() -> None:
    """What was told to die does not become Ready: whoever does is its successor, and all its workers are renewed."""
    pod = pod_of(spec(READINESS), spec(LIVENESS, failure_threshold=1))
    pod = story(pod, [(0, 0, "F"), (1, 0.5, "F")])
    assert pod.containers[0].dying
    applied = step(pod, 0, 9, "S", Trigger.MANUAL)
    assert applied.counted.decision is DecisionKind.READY
    assert applied.renewed
    assert not applied.pod.containers[0].dying
    assert silences(applied.pod) == [Silence.NONE, Silence.NONE]


def test_a_decision_stirs_the_siblings() -> None:
    """A decision about one probe syncs the pod, which pokes every readiness worker that is not Ready (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    pod = story(pod_of((spec(READINESS), 0), (spec(READINESS, port=9090), 1)), [(1, 0, "F"), (0, 0.5, "S")])
    assert [one.stirred_ns for one in pod.predict()] == [None, ns(0.501)]


def test_streak_survives_the_container() -> None:
    """Carry-over: two failures, a crash, one more failure, Restart (pkg/kubelet/prober/worker.go doProbe)."""
    pod = story(pod_of(spec(LIVENESS)), [(0, 0, "F"), (0, 1, "F")])
    applied = step(pod, 0, 5, "F", Trigger.TICK, "container")
    assert applied.counted.decision is DecisionKind.RESTART
    assert applied.counted.streak == 3


# New kubelets.


@pytest.mark.parametrize(("keeps_ready", "cached", "manual"), [(True, Result.NONE, Manual.UNSEEN), (False, Result.FAILURE, Manual.POSSIBLE)])
def test_new_kubelet_forgets_grids_and_streaks(keeps_ready, cached, manual) -> None:
    """After a kubelet restart every worker has a new phase and no streak; readiness is kept from 1.35 on (docs/how-it-knows.md, "What differs between versions")."""
    pod = story(pod_of(spec(READINESS), spec(LIVENESS), keeps_ready=keeps_ready), [(0, 0, "S"), (1, 0.5, "F"), (1, 1.5, "F")])
    applied = step(pod, 1, 30.2, "F", Trigger.START, "kubelet")
    assert applied.counted.streak == 1
    assert applied.pod.workers[0].cached is cached
    assert manuals(applied.pod)[0] is manual
    assert applied.pod.tickers[0].tick_ns is None
    assert applied.pod.tickers[1].tick_ns == ns(30.2)
    assert applied.pod.new_kubelet


def test_first_success_after_a_new_kubelet_may_be_doubled() -> None:
    """A new kubelet's first success may find a poke waiting: one extra readiness probe 2 ms after the first (`k136r-kr-kubelet-restart`)."""
    pod = story(pod_of(spec(READINESS)), [(0, 0, "S")])
    assert step(pod, 0, 30.2, "S", Trigger.START, "kubelet").pod.predict()[0].just_ready


# Pokes.


def test_only_readiness_is_poked() -> None:
    """A manual trigger is the readiness worker's alone (prober_manager.go UpdatePodStatus)."""
    pod = pod_of(spec(READINESS), spec(LIVENESS), spec(STARTUP))
    assert manuals(pod) == [Manual.POSSIBLE, Manual.NEVER, Manual.NEVER]


def test_ready_means_strictly_periodic() -> None:
    """While Ready nothing pokes; not Ready, everything may (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    pod = story(pod_of(spec(READINESS)), [(0, 0, "S")])
    assert manuals(pod) == [Manual.READY]
    assert manuals(story(pod, [(0, 1, "F"), (0, 2, "F")])) == [Manual.READY]
    assert manuals(story(pod, [(0, 1, "F"), (0, 2, "F"), (0, 3, "F")])) == [Manual.POSSIBLE]


def test_losing_ready_is_poked_at_once() -> None:
    """The attempt that loses Ready is followed by another, certainly, from the moment of its verdict (docs/how-it-knows.md, "What was measured")."""
    pod = story(pod_of(spec(READINESS, failure_threshold=1)), [(0, 0, "S")])
    lost = step(pod, 0, 1, "F", took=0.25).pod
    assert lost.predict()[0].poked_ns == ns(1.25)
    assert step(lost, 0, 1.2508, "F", Trigger.MANUAL).pod.predict()[0].poked_ns is None


def test_becoming_ready_may_leave_a_poke_waiting() -> None:
    """The channel manualTriggerCh holds one: a poke that came during the attempt that made it Ready still runs."""
    pod = step(pod_of(spec(READINESS)), 0, 0, "S", Trigger.MANUAL).pod
    assert pod.predict()[0].just_ready
    assert not step(pod, 0, 1, "S").pod.predict()[0].just_ready


def test_state_unseen() -> None:
    """In mid-life a readiness worker's state is not known, so a poke can neither be expected nor excluded."""
    assert manuals(pod_of(spec(READINESS), spec(UNKNOWN), fresh=False)) == [Manual.UNSEEN, Manual.UNSEEN]


# Tickers.


@pytest.mark.parametrize(("resets", "anchor"), [(True, 7.4), (False, 5.0)])
def test_a_manual_run_moves_the_grid(resets, anchor) -> None:
    """Ticker.Reset: from 1.32 on the period counts from the manual run; before, the grid stays (pkg/kubelet/prober/worker.go run)."""
    pod = story(pod_of(spec(READINESS, period_s=5), resets=resets), [(0, 0, "F"), (0, 5, "F")])
    assert step(pod, 0, 7.4, "F", Trigger.MANUAL).pod.predict()[0].tick_ns == ns(anchor)


@pytest.mark.parametrize(("resets", "delay", "anchor"), [(True, 5, 2.001), (True, 0, None), (False, 5, None)])
def test_a_delayed_probe_is_poked_without_a_packet(resets, delay, anchor) -> None:
    """Startup success pokes readiness; what its initialDelaySeconds hold back sends nothing and begins its period anew (worker.go run, doProbe)."""
    probes = spec(READINESS, period_s=5, initial_delay_s=delay), spec(STARTUP)
    pod = step(pod_of(*probes, resets=resets), 1, 2, "S", Trigger.START).pod
    tick = pod.predict()[0].tick_ns
    assert tick == (None if anchor is None else ns(anchor))


def test_a_poke_waits_while_its_worker_is_busy() -> None:
    """What another probe's decision makes the kubelet sync while readiness still waits for an answer pokes it when that is over."""
    pod = pod_of(spec(READINESS), (spec(READINESS), 1))
    pod = step(pod, 1, 2, "T", Trigger.START, took=1).pod
    pod = step(pod, 0, 2.5, "S", Trigger.START).pod
    assert pod.tickers[1].stirred_ns == ns(3)


def test_a_late_tick_hardly_moves_the_grid() -> None:
    """A ticker does not drift: an attempt 40 ms late leaves the grid where it is, within 0.2 ms."""
    pod = story(pod_of(spec(READINESS)), [(0, 0, "S")])
    assert 0 <= step(pod, 0, 3.04, "S").pod.predict()[0].tick_ns - ns(3) <= 200_000  # type: ignore[operator]


def test_an_early_tick_corrects_the_grid() -> None:
    """An attempt that looks early shows that the grid was set by a late one."""
    pod = story(pod_of(spec(READINESS)), [(0, 0.03, "S")])
    assert step(pod, 0, 1.0, "S").pod.predict()[0].tick_ns == ns(1.0)


def test_a_stored_tick_leaves_the_grid() -> None:
    """Ticks that fell while it was busy are one stored tick; the later ones are on the old grid (pkg/kubelet/prober/worker.go run; Go's time.NewTicker)."""
    pod = story(pod_of(spec(READINESS, period_s=2, timeout_s=3)), [(0, 0, "T")])
    pod = step(pod, 0, 3.044, "T", Trigger.STORED_TICK, took=3).pod
    assert pod.predict()[0].tick_ns == ns(2)


@pytest.mark.parametrize("cause", list(Cause))
def test_suspicious(cause) -> None:
    """What a container that is gone would also cause makes its absence plausible, and nothing else does."""
    pod = pod_of(spec(READINESS))
    outcome = Outcome.SUCCESS if cause in (Cause.OK, Cause.OK_REDIRECT) else Outcome.FAILURE
    after = pod.apply(Reading(0, 0, Trigger.START, Schedule.ON_TIME), ns(0), ns(0.1), outcome, cause, lingers=False).pod
    assert after.predict()[0].suspicious is (cause in SUSPICIOUS)


def test_deadline_lingers_and_grpc_redials() -> None:
    """An attempt that timed out may close for a second more; a gRPC dial that failed may come again until the deadline."""
    pod = pod_of(spec(READINESS))
    assert [step(pod, 0, 0, letter).pod.predict()[0].lingers for letter in "STF"] == [False, True, False]
    assert [step(pod, 0, 0, letter).pod.predict()[0].redials for letter in "SGT"] == [False, True, False]


@pytest.mark.parametrize(("handler", "cause", "redials"), [
    (Handler.GRPC, Cause.CUT, True), (Handler.GRPC, Cause.SLOW_ANSWER, False),
    (Handler.HTTP_GET, Cause.CUT, False), (Handler.TCP_SOCKET, Cause.CUT, False),
])  # fmt: skip
def test_only_a_grpc_dial_whose_end_is_not_captured_may_come_again(handler: Handler, cause: Cause, redials: bool) -> None:
    """What came of a cut connection is not known: grpc-go may have dialled on within the attempt; who asks in HTTP never does."""
    pod = pod_of(replace(spec(READINESS), handler=handler))
    after = pod.apply(Reading(0, 0, Trigger.START, Schedule.ON_TIME), ns(0), ns(0.1), Outcome.INCONCLUSIVE, cause, lingers=False).pod
    assert after.predict()[0].redials is redials


def test_redial_counts_once() -> None:
    """A redial is the same attempt: it is counted from the memory before the first dial, with its own outcome."""
    pod = story(pod_of(spec(READINESS)), [(0, 0, "F")])
    before = pod.workers[0]
    dialled = step(pod, 0, 1, "G", took=3).pod
    assert dialled.workers[0].result_run == 2
    again = dialled.redial(Reading(0, 0, Trigger.UNKNOWN, Schedule.ON_TIME, redial=True), before, ns(2.1), Outcome.SUCCESS, Cause.OK)
    assert again.pod.workers[0].result_run == 1
    assert again.counted.decision is DecisionKind.READY
    assert again.pod.predict()[0].busy_until_ns == ns(2.1)
    assert not again.pod.predict()[0].redials
    assert (again.counted.decision, again.pod.predict()[0].just_ready) == (DecisionKind.READY, True)
    assert not again.pod.predict()[0].suspicious


def test_runs_are_counted_to_young() -> None:
    """A worker is young for its first attempts only."""
    pod = story(pod_of(spec(READINESS)), [(0, at, "S") for at in range(6)])
    assert pod.predict()[0].runs == YOUNG


# Order in a new container.


def test_liveness_before_readiness_is_out_of_turn() -> None:
    """What lets liveness run lets readiness run too, and pokes it: so readiness is first in a new container, unless it is delayed longer."""
    pod = pod_of(spec(READINESS), spec(LIVENESS))
    assert [one.out_of_turn for one in pod.predict()] == [False, True]
    assert not story(pod, [(0, 0, "S")]).predict()[1].out_of_turn
    assert not pod_of(spec(READINESS, initial_delay_s=5), spec(LIVENESS)).predict()[1].out_of_turn
    assert not pod_of(spec(READINESS), spec(LIVENESS), fresh=False).predict()[1].out_of_turn
    assert not pod_of(spec(LIVENESS)).predict()[0].out_of_turn


# What went before the capture.


def test_guesses_of_a_failing_streak() -> None:
    """A first failure in mid-life may be the second, third ... of a streak from before, of a container that was fine."""
    pod = pod_of(spec(READINESS, failure_threshold=3), fresh=False)
    assert [one.workers[0].result_run for one in pod.guesses(0, Outcome.FAILURE)] == [0, 1, 2]
    assert {one.workers[0].cached for one in pod.guesses(0, Outcome.FAILURE)} == {Result.SUCCESS}
    assert len(pod_of(spec(READINESS, failure_threshold=30), fresh=False).guesses(0, Outcome.FAILURE)) <= MOST_UNSEEN + 1


def test_guesses_of_a_success() -> None:
    """With successThreshold 2 a first success may come to a container that was Ready all along."""
    assert pod_of(spec(READINESS), fresh=False).guesses(0, Outcome.SUCCESS) == []
    (one,) = pod_of(spec(READINESS, success_threshold=2), fresh=False).guesses(0, Outcome.SUCCESS)
    assert one.workers[0].cached is Result.SUCCESS


def test_nothing_to_guess() -> None:
    """Where the beginning was seen, or the worker ran before, or its type has no such past, there is nothing to assume."""
    assert pod_of(spec(READINESS)).guesses(0, Outcome.FAILURE) == []
    assert pod_of(spec(STARTUP), fresh=False).guesses(0, Outcome.FAILURE) == []
    assert story(pod_of(spec(READINESS), fresh=False), [(0, 0, "F")]).guesses(0, Outcome.FAILURE) == []


def test_a_streak_from_before_comes_out_early() -> None:
    """With two failures before the capture the first one in it is NotReady, with a streak of 3."""
    pod = pod_of(spec(READINESS, failure_threshold=3), fresh=False)
    applied = step(pod.guesses(0, Outcome.FAILURE)[2], 0, 0, "F")
    assert (applied.counted.decision, applied.counted.streak) == (DecisionKind.NOT_READY, 3)


# Any story.


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("SFRTDG"), st.sampled_from(["", "container", "kubelet"]), st.sampled_from(list(Trigger)),
                          st.floats(0.001, 12)), max_size=25), st.booleans(), st.booleans())
def test_any_story(steps, fresh, resets) -> None:
    """Whatever is applied: the pod before is unchanged, every worker has its prediction, and silence is only ever on hold or gated."""
    pod = pod_of(spec(READINESS), spec(LIVENESS, period_s=3), spec(STARTUP, period_s=2), fresh=fresh, resets=resets)
    at = 0.0
    for worker, letter, reset, trigger, pause in steps:
        at += pause
        earlier = pod
        predicted = earlier.predict()
        pod = step(pod, worker, at, letter, trigger, reset).pod
        assert earlier.predict() == predicted
        after: list[Prediction] = pod.predict()
        assert [one.worker for one in after] == [0, 1, 2]
        assert after[worker].last_start_ns == ns(at)
        for one in after:
            assert (one.silence is Silence.ON_HOLD) == pod.workers[one.worker].on_hold
            if one.silence is Silence.GATED:
                assert one.spec.type is not STARTUP
                assert pod.containers[0].started is False
        assert hash(pod) == hash(earlier) or pod != earlier


def test_a_kubelet_up_to_1_22_does_not_poke_what_is_not_ready() -> None:
    """Its readiness worker goes on at its ticks after NotReady and after Started, whatever its siblings decide (docs/how-it-knows.md, "What differs between versions")."""
    pod = pod_of(spec(STARTUP), spec(READINESS, failure_threshold=1), spec(LIVENESS, failure_threshold=1), pokes=Pokes.NEW_CONTAINERS)
    pod = story(pod, [(0, 0, "S")])
    assert pod.tickers[1].poked_ns is None
    pod = story(pod, [(1, 1, "S"), (1, 2, "F")])
    assert pod.tickers[1].poked_ns is None
    assert manuals(pod)[1] is Manual.ANEW
    assert story(pod, [(2, 3, "F")]).tickers[1].stirred_ns is None


def test_a_sync_during_an_attempt_pokes_at_its_end() -> None:
    """What a sibling decides while a readiness probe runs waits for that to be over (manualTriggerCh holds one)."""
    pod = pod_of((spec(READINESS), 0), (spec(READINESS, failure_threshold=1), 1))
    pod = story(pod, [(1, 0, "S"), (0, 1, "F"), (1, 2, "F")])
    assert pod.tickers[0].stirred_ns == ns(2.001)
    assert step(pod, 0, 1.999, "F", took=0.5).pod.tickers[0].stirred_ns == ns(2.499)
    assert step(pod, 0, 3, "F", took=0.5).pod.tickers[0].stirred_ns is None


def test_a_kubelet_up_to_1_20_never_pokes() -> None:
    """All that its workers do they do at their ticks: the first attempt is one, and any worker's may be the first (docs/how-it-knows.md, "What differs between versions")."""
    pod = pod_of(spec(READINESS), spec(LIVENESS), resets=False, pokes=Pokes.NOTHING)
    assert manuals(pod) == [Manual.NEVER, Manual.NEVER]
    assert not pod.predict()[1].out_of_turn
    pod = step(pod, 0, 3, "S", trigger=Trigger.START).pod
    assert pod.tickers[0].tick_ns == ns(3)
    assert pod_of(spec(READINESS), resets=False).moves is False
