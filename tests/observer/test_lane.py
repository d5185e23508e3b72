# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Stories of one pod: runs in, assigned attempts and decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make import (
    GRPC,
    LIVENESS,
    OPENED,
    POD6,
    READINESS,
    STARTUP,
    UNKNOWN,
    answer,
    attempt,
    every,
    exchange,
    mark,
    ns,
    request,
    run,
    run_of,
    runs,
    spec,
)

from probewatch.decisions.pod import Planned, Pod
from probewatch.decisions.versions import Pokes
from probewatch.decisions.worker import Result
from probewatch.model.spec import Handler, ProbeSpec
from probewatch.model.timeline import Cause, DecisionKind, Role, Schedule, Trigger
from probewatch.observer.elsewhere import Elsewhere
from probewatch.observer.histories import Look, Step
from probewatch.observer.lane import KEPT, LAG, MID_LIFE, Lane
from probewatch.probes.lately import Lately
from probewatch.probes.runs import Run

BEGINS, MID = -6.0, 6.0
"""Strong signs that a container begins in the capture, or that it does not."""


def _is_manual(step: Step) -> bool:
    """Tell whether a step was read as a manual run."""
    return step.reading is not None and step.reading.trigger is Trigger.MANUAL



def lane_of(*probes: ProbeSpec | tuple[ProbeSpec, int], begin_cost: float = BEGINS, **how: Any) -> Lane:
    """Return a lane of these probes, of one container unless said otherwise."""
    return Lane([Planned(*probe) if isinstance(probe, tuple) else Planned(probe, 0) for probe in probes], begin_cost=begin_cost, **how)


def play(lane: Lane, *parts: Sequence[Run]) -> list[Step]:
    """Feed runs in the order of their starts and return all steps."""
    starts: list[int] = []
    for one in sorted((one for part in parts for one in part), key=lambda one: one.start.ns):
        lane.feed(one, elsewhere=Lately(starts[-32:]))
        starts.append(one.start.ns)
    return lane.finish()


def whose(steps: Sequence[Step]) -> list[int | None]:
    """Return the worker of each step, in the order of starts."""
    return [step.reading.worker if step.reading else None for step in in_order(steps)]


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Return steps in the order of starts."""
    return sorted(steps, key=lambda step: step.run.start.ns)


def decided(steps: Sequence[Step]) -> list[DecisionKind]:
    """Return the decisions, in order."""
    return [step.counted.decision for step in in_order(steps) if step.counted and step.counted.decision]


def resets(steps: Sequence[Step]) -> list[str]:
    """Return what must have happened between attempts."""
    return [step.reading.reset for step in in_order(steps) if step.reading and step.reading.reset]


READY, LIVE = spec(READINESS, period_s=2), spec(LIVENESS, period_s=2, path="/live")


# One probe.


@pytest.mark.parametrize("server", [None, POD6], ids=["v4", "v6"])
def test_ready_and_not_ready(server) -> None:
    """A beginning with its double, three failures with theirs, recovery: ready, not_ready, ready (`http-flap-s1`)."""
    ends = {"server": server, "client": "fd00:10:128::1"} if server else {}
    steps = play(lane_of(spec(READINESS)), runs(0, 0.001, 1.001, 2.001, **ends), runs(3.001, 4.001, 5.001, 5.003, 6.003, what="503", **ends),
                 runs(7.003, 8.003, **ends))
    assert decided(steps) == [DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.READY]
    assert [_is_manual(step) for step in in_order(steps)] == [False, True, False, False, False, False, False, True, False, False, False]
    assert resets(steps) == []


def test_streaks_are_the_kubelets() -> None:
    """Streak and threshold of each attempt are those of doProbe."""
    steps = in_order(play(lane_of(spec(READINESS, failure_threshold=2)), runs(0, 1), runs(2, 3, what="503")))
    assert [(step.counted.streak, step.counted.threshold) for step in steps if step.counted] == [(1, 1), (2, 1), (1, 2), (2, 2)]


def test_broken_bodies_neither_count_nor_decide() -> None:
    """Discarded attempts leave Ready alone (`http-reset-body`)."""
    broken = [run_of(*[attempt(at + 0.002 * n, "body") for n in range(3)]) for at in every(1, 10, 2)]
    steps = play(lane_of(spec(READINESS)), runs(0, 1), broken, runs(12, 13))
    assert decided(steps) == [DecisionKind.READY]


def test_slow_probe_runs_stored_ticks() -> None:
    """Timeout 3, period 2, a hung server: back to back, three seconds and a little apart, and no new kubelet anywhere (`http-timeout-t3`)."""
    probe = spec(READINESS, period_s=2, timeout_s=3, failure_threshold=9)
    steps = play(lane_of(probe), runs(0, 2, 4), runs(*[6 + 3.044 * n for n in range(5)], what="hung", timeout=3))
    assert resets(steps) == []
    assert [step.reading.trigger for step in in_order(steps)[4:] if step.reading] == [Trigger.STORED_TICK] * 4


def frozen(at: float, closed: float, path: str = "/ready") -> Run:
    """Return an attempt whose answer came in time and whose checker closed later, for it got no CPU."""
    pause = round((closed - at - 0.6) * 1000)
    return run_of(exchange(OPENED + f"> PA {request(path)}\n < A\n +600ms < PA {answer()}\n > A\n < FA\n +{pause}ms > FA\n < A", at=at))


def test_a_kubelet_without_cpu_during_an_attempt() -> None:
    """The attempt in flight failed, the waiting tick runs at once, later ones are on the old grid: no new container (lab `frozen-kubelet`)."""
    steps = in_order(play(lane_of(spec(READINESS)), runs(0, 0.001, *every(1, 4, 1)), [frozen(5, 7.56)], runs(7.562, 8, 9, 10)))
    assert resets(steps) == []
    assert decided(steps) == [DecisionKind.READY]
    late = [step for step in steps if step.verdict and step.verdict.cause is Cause.CLIENT_LATE]
    assert [step.counted.streak for step in late if step.counted] == [1]
    assert [(step.reading.trigger, step.reading.schedule) for step in steps if step.reading and step.run.start.ns == ns(7.562)] == [(Trigger.STORED_TICK, Schedule.LATE)]


def test_a_kubelet_without_cpu_between_attempts() -> None:
    """Both probes' ticks run late and together, and go on on their grids: neither container nor kubelet is new."""
    ready, live = runs(0, 0.001, *every(1, 7, 1)), runs(*every(1, 7, 0.4), path="/live")
    steps = play(lane_of(spec(READINESS), spec(LIVENESS, path="/live")), ready, live, runs(10.2, *every(1, 5, 11)),
                 runs(10.201, *every(1, 5, 10.4), path="/live"))
    assert resets(steps) == []
    assert decided(steps) == [DecisionKind.READY]


def test_a_tick_right_behind_a_late_one_waits_for_its_end() -> None:
    """The late tick runs 4 ms before the next one is due, which then waits until that one's answer is there: two attempts, no new container."""
    slow = run_of(exchange(OPENED + f"> PA {request('/ready')}\n < A\n +300ms < PA {answer()}\n > A\n > FA\n < FA\n > A", at=23.997))
    ready = runs(0, 0.001, *every(2, 10, 2.001))
    steps = play(lane_of(spec(READINESS, period_s=2)), ready, [slow], runs(24.299, *every(2, 4, 26.001)))
    assert resets(steps) == []
    assert all(step.reading for step in steps)
    (stored,) = [step for step in steps if step.run.start.ns == ns(24.299)]
    assert stored.reading is not None
    assert stored.reading.trigger is Trigger.STORED_TICK


def test_a_new_container_is_on_a_new_grid() -> None:
    """The same late attempt is a new container's where what follows keeps its distance."""
    steps = play(lane_of(spec(READINESS)), runs(0, 0.001, *every(1, 7, 1)), runs(10.2, 10.201, *every(1, 5, 11.201)))
    assert resets(steps) == ["container"]
    assert decided(steps) == [DecisionKind.READY, DecisionKind.READY]


def test_what_is_told_to_die_may_turn_ready() -> None:
    """An application that takes its time to stop is probed on, and may turn Ready: its startup probe has not run again yet."""
    probes = (spec(STARTUP, path="/up"), spec(READINESS, success_threshold=3), spec(LIVENESS, path="/live", failure_threshold=1))
    story = (runs(0, path="/up"), runs(0.002, 1.002, what="503"), runs(1.5, path="/live", what="503"), runs(1.502, 2.502, 3.502),
             runs(7, path="/up"), runs(7.002))
    assert decided(play(lane_of(*probes), *story)) == [DecisionKind.STARTED, DecisionKind.RESTART, DecisionKind.READY, DecisionKind.STARTED, DecisionKind.READY]


def test_a_young_container_is_not_kept_ready() -> None:
    """A kubelet that restarts within ten seconds of its container's start takes nothing over from its predecessor (1.35 and newer)."""
    probes = (spec(READINESS, period_s=2), spec(LIVENESS, path="/live", failure_threshold=1))
    before = (runs(0, 0.001, 2.001, 4.001), runs(0.5, 1.5, 2.5, 3.5, path="/live"), runs(4.5, path="/live", what="503"))
    after = (runs(8.3, 8.302, 10.302), runs(8.9, 9.9, 10.9, path="/live"))
    assert decided(play(lane_of(*probes), *before, *after))[-1] is DecisionKind.READY


# Mid-life.


def test_mid_life_settles_without_a_decision() -> None:
    """A capture begun in mid-life tells the state by its first streak and decides nothing by it."""
    lane = lane_of(spec(READINESS), begin_cost=MID)
    steps = play(lane, runs(*every(1, 6)), runs(6, 7, 8, 8.002, what="503"))
    assert lane.fresh is False
    assert decided(steps) == [DecisionKind.NOT_READY]
    assert [step.counted.settled for step in in_order(steps) if step.counted and step.counted.settled] == [Result.SUCCESS]


def test_beginning_shows_by_the_double() -> None:
    """Two first readiness probes on each other's heels are a container's beginning, against a slight sign for mid-life (docs/how-it-knows.md, "What was measured")."""
    lane = lane_of(spec(READINESS, period_s=10), begin_cost=MID_LIFE)
    steps = play(lane, runs(0, 0.001, 10.001, 20.001))
    assert lane.fresh
    assert decided(steps) == [DecisionKind.READY]


def test_quiet_capture_is_mid_life() -> None:
    """Nothing but regular successes is no beginning: initial state unknown, no decision."""
    lane = lane_of(spec(READINESS), begin_cost=MID_LIFE)
    assert decided(play(lane, runs(*every(1, 10)))) == []
    assert lane.fresh is False


def test_what_was_served_before_the_capture_ran_before() -> None:
    """A connection that was open when the capture began, and was served, speaks against a beginning, whatever its readiness probe does."""
    lane = lane_of(spec(READINESS, period_s=10), begin_cost=MID_LIFE)
    lane.ran_before(lane.plan[0].spec.port or 0)
    assert decided(play(lane, runs(0, 0.001, 10.001, 20.001))) == []
    assert lane.fresh is False


def test_an_unknown_version_shows_by_its_grid() -> None:
    """Of a kubelet that no packet names: a readiness probe that keeps its grid whatever poked it is one's up to 1.30, which makes Ready anew when it restarts."""
    lane = lane_of(spec(READINESS, period_s=5), resets=None)
    steps = play(lane, runs(0.6, 0.601, 5, 10, 15, 20), runs(47.3, 47.301, 52.3, 57.3))
    assert lane.pod().resets is False
    assert resets(steps) == ["kubelet"]
    assert decided(steps) == [DecisionKind.READY, DecisionKind.READY]


def test_a_streak_from_before_the_capture() -> None:
    """One failure and then the poke that only losing Ready brings: two failures were before the capture."""
    lane = lane_of(spec(READINESS), begin_cost=MID)
    steps = play(lane, runs(0, 0.002, 1.002, 2.002, what="503"), runs(3.002, 4.002, 5.002))
    assert decided(steps) == [DecisionKind.NOT_READY, DecisionKind.READY]
    assert in_order(steps)[0].counted.decision is DecisionKind.NOT_READY  # type: ignore[union-attr]


# Identical probes.


@pytest.mark.parametrize("offset", [0.197, 0.8, 1.5])
def test_identical_probes_are_told_apart(offset) -> None:
    """Readiness and liveness with one and the same request: the grid tells whose each attempt is (`identical-probes`)."""
    live = spec(LIVENESS, period_s=2, failure_threshold=9)
    readiness = [*runs(0, 0.001, 2.001, 4.001), *runs(6.001, 8.001, 10.001, 10.003, what="503"), *runs(12.003, 14.003, 16.003)]
    liveness = [*runs(offset, 2 + offset, 4 + offset), *runs(6 + offset, 8 + offset, 10 + offset, what="503"), *runs(12 + offset, 14 + offset, 16 + offset)]
    steps = play(lane_of(READY, live), readiness, liveness)
    mine = {id(one): 0 for one in readiness} | {id(one): 1 for one in liveness}
    assert [step.reading.worker if step.reading else None for step in steps] == [mine[id(step.run)] for step in steps]
    assert decided(steps) == [DecisionKind.READY, DecisionKind.NOT_READY, DecisionKind.READY]


@pytest.mark.parametrize("again", [0.117, 0.25, 1.004])
@pytest.mark.parametrize(("delay", "first"), [(0, 3.08), (5, 8.48)])
@pytest.mark.parametrize("before", ["refused", "503"])
def test_the_second_poke_of_a_beginning_is_readiness_too(again, delay, first, before) -> None:
    """Readiness is poked twice at a container's beginning, 0.1 to 1.1 s apart (docs/how-it-knows.md, "What was measured"): the second is not the identical liveness probe's first."""
    live = spec(LIVENESS, period_s=5, initial_delay_s=delay)
    readiness = [*runs(0, what=before), *runs(*(again + 5 * n for n in range(6)))]
    liveness = runs(*(first + 5 * n for n in range(5)))
    steps = play(lane_of(spec(READINESS, period_s=5), live), readiness, liveness)
    mine = {id(one): 0 for one in readiness} | {id(one): 1 for one in liveness}
    assert [step.reading.worker if step.reading else None for step in steps] == [mine[id(step.run)] for step in steps]


def test_refused_attempts_of_two_paths_go_to_the_one_that_was_due() -> None:
    """A refused SYN carries no path: the grid says whose it was."""
    readiness = [*runs(0, 0.001, 2.001, 4.001), *runs(6.001, what="refused"), *runs(8.001, 10.001)]
    liveness = [*runs(0.8, 2.8, 4.8, path="/live"), *runs(6.8, what="refused"), *runs(8.8, 10.8, path="/live")]
    steps = play(lane_of(READY, LIVE), readiness, liveness)
    mine = {id(one): 0 for one in readiness} | {id(one): 1 for one in liveness}
    assert [step.reading.worker if step.reading else None for step in steps] == [mine[id(step.run)] for step in steps]


# Startup.


def test_startup_gates_and_opens() -> None:
    """Refused and failing startup attempts, then readiness in the same millisecond, liveness at its tick (`startup-probe`)."""
    startup = spec(STARTUP, path="/started", failure_threshold=30)
    steps = play(lane_of(spec(READINESS), spec(LIVENESS, path="/live"), startup),
                 runs(0, 1, 2, what="refused"), runs(3, what="503", path="/started"), runs(4, path="/started"),
                 runs(4.001, 5.001, 6.001, 7.001), runs(5, 6, 7, path="/live"))
    assert whose(steps)[:6] == [2, 2, 2, 2, 2, 0]
    assert decided(steps) == [DecisionKind.STARTED, DecisionKind.READY]


def test_startup_failure_restarts() -> None:
    """As many failures of startup as failureThreshold says are Restart; the new container's startup probe runs again."""
    startup = spec(STARTUP, path="/started", failure_threshold=3)
    steps = play(lane_of(spec(READINESS), startup), runs(0, 1, 2, what="503", path="/started"), runs(6, 7, what="503", path="/started"), runs(8, path="/started"),
                 runs(8.001, 9.001, 10.001))
    assert decided(steps) == [DecisionKind.RESTART, DecisionKind.STARTED, DecisionKind.READY]
    assert "container" in resets(steps)


# Restarts.


def test_liveness_restart() -> None:
    """Three failures, silence, refused readiness, a new container that begins anew (`liveness-restart`)."""
    readiness = [*runs(0, 0.001, 1.001, 2.001, 3.001, 4.001, 5.001), *runs(6.2, 6.3, what="refused"), *runs(7.3, 8.3, 9.3)]
    liveness = [*runs(0.5, 1.5, 2.5, path="/live"), *runs(3.5, 4.5, 5.5, what="503", path="/live"), *runs(8.5, 9.5, 10.5, path="/live")]
    steps = play(lane_of(spec(READINESS), spec(LIVENESS, path="/live")), readiness, liveness)
    assert decided(steps) == [DecisionKind.READY, DecisionKind.RESTART, DecisionKind.READY]
    assert "container" in resets(steps)
    assert "kubelet" not in resets(steps)
    assert None not in whose(steps)


def test_termination_is_no_restart() -> None:
    """A deleted pod: liveness stops, readiness goes on and turns refused; nobody decides a restart (`terminating`)."""
    readiness = [*runs(0, 0.001, *every(1, 8, 1.001)), *runs(9.001, 10.001, 11.001, 11.003, what="refused")]
    steps = play(lane_of(spec(READINESS), spec(LIVENESS, path="/live")), readiness, runs(*every(1, 5, 0.4), path="/live"))
    assert decided(steps) == [DecisionKind.READY, DecisionKind.NOT_READY]


@pytest.mark.parametrize(("keeps_ready", "expected"), [(True, [DecisionKind.READY]), (False, [DecisionKind.READY, DecisionKind.READY])])
def test_kubelet_restart(keeps_ready, expected) -> None:
    """Silence of both probes, then new phases: a new kubelet. From 1.35 on Ready was kept; before, it is decided anew (`kubelet-restart`)."""
    readiness = [*runs(0, 0.001, 3.001, 6.001, 9.001), *runs(32.4, 32.402, 35.402, 38.402, 41.402)]
    liveness = [*runs(1, 4, 7, 10, path="/live"), *runs(33.9, 36.9, 39.9, path="/live")]
    steps = play(lane_of(spec(READINESS, period_s=3), spec(LIVENESS, period_s=3, path="/live"), keeps_ready=keeps_ready), readiness, liveness)
    assert resets(steps) == ["kubelet"]
    assert decided(steps) == expected


def test_a_poke_may_be_counted_as_the_old_containers() -> None:
    """A new container's first poke runs before its status is stored, as one within its initialDelaySeconds shows: the first behind them makes it Ready."""
    before = [*runs(0, 0.001, *every(1, 10, 1.001)), *runs(11.5)]
    readiness = runs(23.5, *every(1, 10, 24.5))
    liveness = [*runs(8.2, path="/live"), *runs(9.2, 10.2, what="503", path="/live"), *runs(*every(1, 10, 24.2), path="/live")]
    probes = (spec(READINESS, initial_delay_s=10), spec(LIVENESS, failure_threshold=2, initial_delay_s=12, path="/live"))
    steps = play(lane_of(*probes), before, readiness, liveness)
    assert decided(steps) == [DecisionKind.READY, DecisionKind.RESTART, DecisionKind.READY]
    ready = [step.run.start.ns for step in in_order(steps) if step.counted is not None and step.counted.decision is DecisionKind.READY]
    assert ready[-1] == ns(23.5)


def test_a_new_kubelet_may_ask_for_readiness_before_the_startup_probe() -> None:
    """From 1.25 to 1.34 what runs counts as started in a new kubelet's first sync: its startup probe comes later, at no new container."""
    readiness = [*runs(1.0, *every(1, 20, 2.0)), *runs(35.49)]
    after = runs(*every(1, 10, 38.49))
    startup = runs(0.998, 37.69, path="/started")
    liveness = [*runs(*every(1, 10, 1.6), path="/live"), *runs(37.9, 38.9, path="/live")]
    probes = (spec(STARTUP, period_s=3, path="/started"), spec(READINESS), spec(LIVENESS, path="/live"))
    steps = play(lane_of(*probes, keeps_ready=False), readiness, after, startup, liveness)
    assert resets(steps) == ["kubelet"]
    assert decided(steps) == [DecisionKind.STARTED, DecisionKind.READY, DecisionKind.READY, DecisionKind.STARTED]


def test_a_container_that_waited_for_its_back_off_is_no_new_kubelet() -> None:
    """Silence of both probes, and then only readiness has a new phase: liveness, which its delay held back, is on the old one, so the workers are the old ones."""
    readiness = [*runs(0, 0.001, *every(1, 10, 1.001)), *runs(26.685, 26.686, *every(1, 16, 27.686))]
    liveness = [*runs(2.4, 7.4, path="/live"), *runs(37.4, 42.4, path="/live")]
    steps = play(lane_of(spec(READINESS), spec(LIVENESS, period_s=5, initial_delay_s=10, path="/live")), readiness, liveness)
    assert resets(steps) == ["container"]


def test_one_busy_pod_is_not_a_new_kubelet() -> None:
    """Silence towards this pod alone, while its kubelet probes others, is a matter of the pod."""
    lane = lane_of(spec(LIVENESS, period_s=3))
    for one in runs(0, 3, 6):
        lane.feed(one)
    others = tuple(run(at).start.ns for at in every(1, 30, 6.5))
    lane.feed(run(37.3), elsewhere=Lately(others))
    assert "kubelet" not in resets(lane.finish())


def test_pauses_over_which_others_kept_their_grid_are_no_new_kubelet() -> None:
    """A Pod that came back at another phase, while one other was probed every 3 s on its old grid, has the kubelet that it had."""
    lane, elsewhere = lane_of(spec(READINESS, Handler.TCP_SOCKET, period_s=3)), Elsewhere()
    mine = [*runs(0, 0.001, 3.001, 6.001, 9.001, what="connected"), *runs(17.05, what="refused"), *runs(18.05, 21.05, what="connected")]
    others = runs(*every(3, 10, 0.5))
    for one in sorted([*mine, *others], key=lambda one: one.start.ns):
        seen = elsewhere.before(one.start.ns, ("mine" if one in mine else "other", 80))
        if one in mine:
            lane.feed(one, elsewhere=seen)
    assert resets(lane.finish()) == ["container"]


# gRPC.


def test_grpc_redials_are_one_attempt() -> None:
    """Dials at 0, 1.0 and 2.8 s of one timeout are one attempt, and count once (`grpc-refused`)."""
    probe = spec(READINESS, GRPC, period_s=10, timeout_s=3, failure_threshold=2)
    steps = in_order(play(lane_of(probe), runs(0, 1.0, 2.8, what="refused"), runs(10, 11.0, 12.7, what="refused")))
    assert [step.reading.redial for step in steps if step.reading] == [False, True, True] * 2
    assert [step.counted.streak for step in steps if step.counted] == [1, 1, 1, 2, 2, 2]


# Strangers.


def test_what_is_open_of_two_containers_multiplies() -> None:
    """One container refuses whoever asks, another's two probes ask the same: what is right of the second is not given up for the many ways to read the first."""
    app = (spec(READINESS, period_s=5), spec(LIVENESS, period_s=15, initial_delay_s=1, path="/live"))
    side = (spec(READINESS, port=9090, period_s=5, failure_threshold=5), spec(LIVENESS, port=9090, period_s=5, failure_threshold=5))
    lane = lane_of(*((one, 0) for one in app), *((one, 1) for one in side), resets=False, keeps_ready=False)
    refused = runs(0, 0.0005, 0.577, 2.163, 2.588, what="refused")
    alike = [*runs(*every(5, 9, 1.562), port=9090), *runs(2.161, 2.166, *every(5, 8, 7.162), port=9090)]
    steps = play(lane, refused, runs(*every(5, 8, 5)), alike)
    assert resets(steps) == []


def test_a_late_syn_shortens_nothing_but_its_wait() -> None:
    """A probe's deadline runs from its tick: where its SYN left 25 ms late and nobody answered, the next tick runs 25 ms before SYN and timeout are over."""
    steps = play(lane_of(spec(READINESS)), runs(0, 0.001, *every(1, 3, 1.001)), runs(4.026, 5.002, 6.003, what="unanswered"))
    assert whose(steps) == [0] * 8


@pytest.mark.parametrize(("again_s", "whose_it_is"), [(1.01, 0), (7.0, None)])
def test_a_dial_that_began_in_the_capture_is_no_dead_one(again_s, whose_it_is) -> None:
    """A dial from before the capture had been silent since it begins, and waits for as long again; one that waits a second is new (RFC 6298 section 5.5)."""
    one = attempt(12.3, "connected")
    syns = (one.connection.start, mark(12.3 + again_s))
    late = run_of(replace(one, connection=replace(one.connection, orig=replace(one.connection.orig, syns=syns))))
    steps = play(lane_of(spec(READINESS, period_s=5), begin_cost=MID, begin_ns=ns(6)), runs(6.5), [late], runs(41.5, 46.5))
    assert whose(steps)[1] == whose_it_is


def test_a_strangers_connection_is_nobodys() -> None:
    """A client's connection from the node's address that asks something else is no attempt, and disturbs none."""
    steps = play(lane_of(spec(READINESS)), runs(0, 0.001, 1.001, 2.001), runs(1.5, path="/metrics"), runs(1.7, port=9999))
    assert whose(steps).count(None) == 2
    assert decided(steps) == [DecisionKind.READY]


def test_a_dead_dial_is_nobodys() -> None:
    """An httpGet's dial from before the capture that comes through at last asks nothing, and takes no attempt's place (captures/http-blackhole, port 36178)."""
    steps = play(lane_of(spec(READINESS), begin_cost=MID), runs(0, 1, 2, 3), [run_of(exchange("> S\n < SA\n > A\n > FA\n < FA\n > A", at=1.4))], runs(4, 5))
    assert whose(steps) == [0, 0, None, 0, 0, 0, 0]


# In general.


def test_nothing_fed_nothing_told() -> None:
    """A lane without runs ends without steps."""
    assert lane_of(spec(READINESS)).finish() == []


def test_steps_are_told_while_the_capture_goes_on() -> None:
    """What lies more than twice LAG steps back is told, whatever is still open, and never changes; `finish` adds only the rest."""
    lane = lane_of(spec(READINESS), begin_cost=MID_LIFE)
    told = 0
    for number, one in enumerate(runs(*every(1, 5 * LAG)), 1):
        lane.feed(one)
        told = max(told, len(lane.steps))
        assert number - len(lane.steps) <= 2 * LAG
    early = list(lane.steps)
    assert len(early) == told
    assert lane.finish()[:told] == early
    assert [step.run.start.ns for step in lane.steps] == sorted(step.run.start.ns for step in lane.steps)
    assert len(lane.steps) == 5 * LAG


def test_what_is_remembered_of_settled_steps_is_bounded() -> None:
    """However long a capture, a lane keeps no more than about twice LAG unsettled steps: those behind are handed out."""
    lane = lane_of(spec(READINESS))
    for one in runs(*every(1, 10 * LAG)):
        lane.feed(one)
    for history in lane._histories:
        depth, link = 0, history.past
        while link is not None:
            depth, link = depth + 1, link.past
        assert depth <= 4 * LAG


def test_roles_of_a_retried_run() -> None:
    """A run keeps its connections' roles through the lane."""
    steps = play(lane_of(spec(READINESS)), [run_of(attempt(0, "body"), attempt(0.002, "body"))])
    assert [role for role, _ in steps[0].run.legs()] == [Role.FIRST, Role.RETRY]


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(["ok", "503", "refused", "unanswered", "hung", "body", "connected"]),
                          st.sampled_from(["/ready", "/live", "/other"])), max_size=25, unique_by=lambda one: one[0]), st.floats(-8, 8))
def test_any_runs(story, begin_cost) -> None:
    """Whatever comes: every run is told exactly once, histories stay bounded, costs are not negative."""
    lane = lane_of(spec(READINESS), spec(LIVENESS, path="/live"), spec(STARTUP, path="/ready"), begin_cost=begin_cost)
    made = [run(hundredths / 100, what, path=path) for hundredths, what, path in sorted(story)]
    for one in made:
        lane.feed(one)
        assert len(lane._histories) <= KEPT
        assert all(history.cost >= 0 for history in lane._histories)
    assert [id(step.run) for step in in_order(lane.finish())] == [id(one) for one in made]


# What is due is not weighed.


@given(
    offs=st.lists(st.tuples(st.sampled_from([0, 0.0001, 0.0002, 0.0003, 0.004, 0.0099, 0.0101, 0.06, -0.004, 0.4, 1]), st.sampled_from(["ok", "ok", "503", "refused", "hung"])),
                  min_size=4, max_size=14),
    kinds=st.sampled_from([(READINESS,), (LIVENESS,), (UNKNOWN,), (READINESS, LIVENESS), (STARTUP, READINESS), (UNKNOWN, READINESS)]),
    begin=st.sampled_from([BEGINS, 0.5, MID]),
    resets=st.sampled_from([True, False, None]),
)
@settings(max_examples=30, deadline=None)
def test_what_is_due_is_read_as_by_weighing(offs, kinds, begin, resets) -> None:
    """The way for attempts that came when they were due leads to the same histories, steps and costs as weighing all readings."""
    probes = [spec(kind, period_s=2, **({"path": "/live"} if kind is LIVENESS else {})) for kind in kinds]
    short, whole = (lane_of(*probes, begin_cost=begin, resets=resets) for _ in range(2))
    story = [run(2 * number + off, what, path=probe.path) for number, (off, what) in enumerate(offs) for probe in probes[-2:]]
    for one in sorted(story, key=lambda one: one.start.ns):
        short.feed(one)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Pod, "is_steady", lambda *_: False)
            patched.setattr(Pod, "_is_calm", lambda *_: False)
            whole.feed(one)
        assert [one[:3] for one in short._histories] == [one[:3] for one in whole._histories]
    assert short.cost == whole.cost
    assert short.finish() == whole.finish()


@given(
    offs=st.lists(st.tuples(st.sampled_from([0, 0.0001, 0.0003, 0.004, 0.0099, 0.0101, 0.06, -0.004]), st.sampled_from(["ok"] * 9 + ["503", "refused", "hung"])),
                  min_size=8, max_size=90),
    kinds=st.sampled_from([(READINESS,), (LIVENESS,), (UNKNOWN,), (READINESS, LIVENESS), (STARTUP, READINESS), (READINESS, READINESS)]),
    begin=st.sampled_from([BEGINS, 0.5, MID]),
    resets=st.sampled_from([True, False, None]),
    most=st.sampled_from([1.0, 1e9]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_even_is_read_as_one_by_one(offs, kinds, begin, resets, most) -> None:
    """Taking successes that came when they were due at once leads to the same histories, steps and costs as taking each alone."""
    probes = [spec(kind, period_s=2, success_threshold=2 if kind is READINESS else 1, **({"path": "/live"} if kind is LIVENESS else {})) for kind in kinds]
    story = [run(2 * number + off, what, path=probe.path) for number, (off, what) in enumerate(offs) for probe in probes[-2:]]
    long, short = (lane_of(*probes, begin_cost=begin, resets=resets) for _ in range(2))
    looks, at = [Look(one, long.plan, None) for one in sorted(story, key=lambda one: one.start.ns)], 0
    while at < len(looks):
        taken = long.stride(looks, at, most)
        if not taken:
            long.feed(looks[at].run, look=looks[at])
        for look in looks[at : at + (taken or 1)]:
            assert not taken or look is looks[at] or short.cost <= most
            short.feed(look.run)
        assert [one[:3] for one in long._histories] == [one[:3] for one in short._histories]
        assert long.cost == short.cost
        at += taken or 1
    assert [step._replace(before=None) for step in long.finish()] == [step._replace(before=None) for step in short.finish()]


def test_a_steady_probe_is_taken_at_once() -> None:
    """Of sixty attempts in step fewer than one in three is weighed alone."""
    lane, alone, at = lane_of(READY), 0, 0
    looks = [Look(one, lane.plan, None) for one in runs(*every(2, 60))]
    while at < len(looks):
        taken = lane.stride(looks, at, 1e9)
        if not taken:
            alone += 1
            lane.feed(looks[at].run, look=looks[at])
        at += taken or 1
    assert alone < 20


def old(*probes: ProbeSpec) -> Lane:
    """Return a lane of probes of a kubelet 1.20."""
    return lane_of(*probes, resets=False, keeps_ready=False, pokes=Pokes.NOTHING)


def test_up_to_1_20_a_killed_containers_successor_turns_ready_at_a_tick() -> None:
    """Nothing pokes it: its first attempt comes on the old grid, soon before the liveness probe on hold runs again (a real kubelet 1.20)."""
    probes = (spec(READINESS, period_s=2), spec(LIVENESS, path="/live", period_s=3, failure_threshold=1))
    ready = runs(*every(2, 8))
    steps = play(old(*probes), ready, runs(0.5, 3.5, path="/live"), runs(6.5, what="503", path="/live"), runs(12.5, 15.5, path="/live"))
    assert decided(steps) == [DecisionKind.READY, DecisionKind.RESTART, DecisionKind.READY]
    again = in_order(steps)[[step.counted is not None and step.counted.decision is DecisionKind.RESTART for step in in_order(steps)].index(True) + 1 :]
    at = next(step.run.start.ns for step in again if step.counted and step.counted.decision is DecisionKind.READY)
    assert ns(9.5) < at <= ns(12.5), "the tick at 9.5 was silent, so the container was not there yet"


def test_up_to_1_20_a_delay_shows_a_container_that_ended_by_itself() -> None:
    """A liveness probe that falls silent for its initialDelaySeconds tells of a new container, though readiness never paused."""
    probes = (spec(READINESS, period_s=2), spec(LIVENESS, path="/live", period_s=2, initial_delay_s=6))
    steps = play(old(*probes), runs(*every(2, 14)), runs(*every(2, 2, 6.5), *every(2, 3, 20.5), path="/live"))
    assert decided(steps) == [DecisionKind.READY, DecisionKind.READY]
    at = [step.run.start.ns for step in in_order(steps) if step.counted and step.counted.decision][1]
    assert ns(13) <= at <= ns(16), "6 s before the first attempt at it, as startedAt and the ticks allow"


def test_up_to_1_20_liveness_may_come_first() -> None:
    """Its workers begin at moments of their own, and no poke brings readiness forward: refused attempts go where their ticks go."""
    probes = (spec(READINESS, period_s=6), spec(LIVENESS, path="/live", period_s=2, failure_threshold=9))
    steps = play(old(*probes), runs(0, 1.3, 2, 4, what="refused"), runs(6, 8, path="/live"), runs(7.3))
    assert whose(steps) == [1, 0, 1, 1, 1, 0, 1]


def test_a_late_syn_leaves_its_deadline_where_it_was() -> None:
    """A SYN that left 4 ms after its probe began is given up 4 ms early as it seems, and the tick that waited runs then."""
    probe = spec(READINESS, period_s=1, timeout_s=1, failure_threshold=9)
    hung = run(2.004)
    late = replace(hung, tries=((exchange(OPENED + f"> PA {request()}\n < A\n +0.9959s > FA\n +1ms < A", at=2.004),),))
    steps = in_order(play(lane_of(probe), runs(0, 1), [late], runs(3.0015, 4, 5)))
    assert whose(steps) == [0] * 6
    assert [step.reading.trigger for step in steps if step.reading][3] in (Trigger.STORED_TICK, Trigger.TICK)


def test_a_tick_that_falls_into_a_stored_ones_start_waits_too() -> None:
    """After an attempt of three periods a tick that had waited runs; the one of that very moment came a moment later, and waits for it."""
    probe = spec(READINESS, period_s=1, timeout_s=3, failure_threshold=9)
    slow = exchange(OPENED + f"> PA {request()}\n < A\n +300ms < PA {answer()}\n > FA\n < FA\n > A", at=5.001)
    steps = in_order(play(lane_of(probe), runs(0, 1), runs(2, what="hung", timeout=3), [run_of(slow)], runs(5.3025, 6, 7)))
    assert whose(steps) == [0] * 7
    assert [step.reading.trigger for step in steps if step.reading][4] is Trigger.STORED_TICK
