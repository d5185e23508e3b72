# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""The worker against the kubelet's: its tables row by row, and the stories of pkg/kubelet/prober/worker_test.go one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import LIVENESS, READINESS, STARTUP, UNKNOWN, spec

from probewatch.decisions.worker import (
    COUNTED,
    INITIAL,
    REACHED,
    STATES,
    Counted,
    Reached,
    Result,
    Worker,
    count,
    fresh,
    new_container,
    new_kubelet,
    threshold,
)
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome

S, F, D, I = Outcome.SUCCESS, Outcome.FAILURE, Outcome.DISCARDED, Outcome.INCONCLUSIVE  # noqa: E741
TYPES = (READINESS, LIVENESS, STARTUP)
OUTCOMES = {"S": S, "F": F, "D": D, "I": I}


def tell(worker: Worker, story: str, probe: ProbeSpec) -> list[Counted]:
    """Count a story of outcomes, one letter each."""
    out = []
    for letter in story:
        counted = count(worker, OUTCOMES[letter], probe)
        worker = counted.worker
        out.append(counted)
    return out


def cached(story: list[Counted]) -> str:
    """Return the first letters of the cached results after each attempt."""
    return "".join(counted.worker.cached[0] for counted in story)


def decided(story: list[Counted]) -> list[DecisionKind | None]:
    """Return the decision of each attempt."""
    return [counted.decision for counted in story]


# The tables.


@pytest.mark.parametrize(("kind", "value"), [(READINESS, Result.FAILURE), (LIVENESS, Result.SUCCESS), (STARTUP, Result.UNKNOWN), (UNKNOWN, Result.NONE)])
def test_initial_value(kind, value) -> None:
    """The initialValue of each type, as in newWorker, which a fresh worker has cached; lastResult is Go's zero value, Success, with a run of 0."""
    worker = fresh(kind)
    assert worker.cached is value is INITIAL[kind]
    assert (worker.last_result, worker.result_run, worker.on_hold) == (Result.SUCCESS, 0, False)


@pytest.mark.parametrize(("kind", "result", "decision", "on_hold"), [
    (READINESS, Result.SUCCESS, DecisionKind.READY, False),
    (READINESS, Result.FAILURE, DecisionKind.NOT_READY, False),
    (LIVENESS, Result.SUCCESS, None, False),
    (LIVENESS, Result.FAILURE, DecisionKind.RESTART, True),
    (STARTUP, Result.SUCCESS, DecisionKind.STARTED, True),
    (STARTUP, Result.FAILURE, DecisionKind.RESTART, True),
    (UNKNOWN, Result.SUCCESS, None, False),
    (UNKNOWN, Result.FAILURE, None, False),
])
def test_reached(kind, result, decision, on_hold) -> None:
    """What a threshold does, for each type and result (doProbe after resultsManager.Set)."""
    assert REACHED[kind, result] == Reached(decision, on_hold)


def test_tables_are_whole() -> None:
    """Every type and every result that counts has its row; every outcome is counted or thrown away on purpose."""
    assert set(REACHED) == {(kind, result) for kind in ProbeType for result in (Result.SUCCESS, Result.FAILURE)}
    assert set(INITIAL) == set(ProbeType)
    assert set(COUNTED) == set(Outcome)
    assert {kind for kind, _ in STATES} == set(TYPES)
    assert all((kind, value) in STATES for kind, value in INITIAL.items() if kind is not UNKNOWN)


@pytest.mark.parametrize(("outcome", "result"), [(S, Result.SUCCESS), (F, Result.FAILURE), (D, None), (I, None)])
def test_counted(outcome, result) -> None:
    """Only success and failure enter a streak."""
    assert COUNTED[outcome] is result


def test_threshold_is_the_one_of_the_result() -> None:
    """Successes work towards successThreshold, failures towards failureThreshold."""
    probe = spec(success_threshold=2, failure_threshold=5)
    assert threshold(probe, Result.SUCCESS) == 2
    assert threshold(probe, Result.FAILURE) == 5


# worker_test.go, one to one.


def test_failure_threshold() -> None:
    """TestFailureThreshold: with 1 and 3, success holds through two failures; the third and all that follow are failure; and so again."""
    story = tell(fresh(READINESS), "SSSFFFFF" * 2, spec(success_threshold=1, failure_threshold=3))
    assert cached(story) == "SSSSSFFF" * 2
    once = [DecisionKind.READY, None, None, None, None, DecisionKind.NOT_READY, None, None]
    assert decided(story) == once * 2
    assert [counted.streak for counted in story[:8]] == [1, 2, 3, 1, 2, 3, 4, 5]
    assert [counted.threshold for counted in story[:8]] == [1, 1, 1, 3, 3, 3, 3, 3]


def test_success_threshold() -> None:
    """TestSuccessThreshold: with 3 and 1, two successes are still failure, the third is success; one flake undoes it; and so again."""
    story = tell(fresh(READINESS), "SSSSSF" * 2, spec(success_threshold=3, failure_threshold=1))
    assert cached(story) == "FFSSSF" * 2
    assert decided(story) == [None, None, DecisionKind.READY, None, None, DecisionKind.NOT_READY] * 2


def test_startup_probe_success_threshold() -> None:
    """TestStartupProbeSuccessThreshold: one success makes a startup probe succeed, sets it on hold and its run to 0 (1.32 and newer)."""
    (counted,) = tell(fresh(STARTUP), "S", spec(STARTUP, success_threshold=1, failure_threshold=3))
    assert counted.worker.cached is Result.SUCCESS
    assert counted.worker.on_hold
    assert counted.worker.result_run == 0
    assert (counted.decision, counted.streak, counted.threshold) == (DecisionKind.STARTED, 1, 1)


def test_startup_probe_failure_threshold() -> None:
    """TestStartupProbeFailureThreshold: unknown below the threshold, then failure, on hold, run 0."""
    story = tell(fresh(STARTUP), "FFF", spec(STARTUP, failure_threshold=3))
    assert cached(story) == "UUF"
    assert [counted.worker.on_hold for counted in story] == [False, False, True]
    assert [counted.worker.result_run for counted in story] == [1, 2, 0]
    assert decided(story) == [None, None, DecisionKind.RESTART]


@pytest.mark.parametrize("kind", [LIVENESS, STARTUP])
def test_on_hold_on_liveness_or_startup_check_failure(kind) -> None:
    """TestOnHoldOnLivenessOrStartupCheckFailure: the failing probe goes on hold; a new container lifts it, and the next probe succeeds."""
    probe = spec(kind, failure_threshold=1)
    (failed,) = tell(fresh(kind), "F", probe)
    assert failed.worker.cached is Result.FAILURE
    assert failed.worker.on_hold
    lifted = new_container(failed.worker)
    assert not lifted.on_hold
    assert lifted.cached is INITIAL[kind]
    (again,) = tell(lifted, "S", probe)
    assert again.worker.cached is Result.SUCCESS


def test_readiness_never_holds() -> None:
    """The other half of the same test: a readiness worker probes for the life of the pod (pkg/kubelet/prober/worker.go doProbe: onHold)."""
    assert not any(counted.worker.on_hold for counted in tell(fresh(READINESS), "FFFFSSSS", spec(failure_threshold=1)))


def test_result_run_on_liveness_check_failure() -> None:
    """TestResultRunOnLivenessCheckFailure: runs 1, 1, 2 with success cached; the third failure is failure and sets the run to 0."""
    story = tell(fresh(LIVENESS), "SFFF", spec(LIVENESS, failure_threshold=3))
    assert [counted.worker.result_run for counted in story] == [1, 1, 2, 0]
    assert cached(story) == "SSSF"
    assert story[-1].decision is DecisionKind.RESTART
    assert story[-1].streak == 3


def test_result_run_on_startup_check_failure() -> None:
    """TestResultRunOnStartupCheckFailure: the same for startup, whose value stays unknown meanwhile."""
    story = tell(fresh(STARTUP), "FFF", spec(STARTUP, failure_threshold=3))
    assert [counted.worker.result_run for counted in story] == [1, 2, 0]
    assert cached(story) == "UUF"


@pytest.mark.parametrize("kind", TYPES)
def test_do_probe(kind) -> None:
    """TestDoProbe, row `probe successful`: one success at threshold 1 is cached, whatever the type."""
    (counted,) = tell(fresh(kind), "S", spec(kind))
    assert counted.worker.cached is Result.SUCCESS


# What its tests do not show.


@pytest.mark.parametrize("story", ["FDFDF", "DFFDDF", "FFDF"])
def test_errors_neither_count_nor_reset(story) -> None:
    """A prober error is thrown away: F, E, F, E, F reaches three (pkg/kubelet/prober/worker.go doProbe: `Prober error, throw away the result`)."""
    told = tell(fresh(LIVENESS), story, spec(LIVENESS, failure_threshold=3))
    assert decided(told)[-1] is DecisionKind.RESTART
    assert told[-1].streak == 3
    for before, after, letter in zip([fresh(LIVENESS), *(one.worker for one in told)], told, story, strict=False):
        if letter == "D":
            assert after.worker == before
            assert after.streak == before.result_run
            assert after.decision is None


def test_errors_alone_decide_nothing() -> None:
    """A body that breaks for ever keeps a dead container alive and readiness frozen (k8s#122591)."""
    assert not any(decided(tell(fresh(LIVENESS), "D" * 50, spec(LIVENESS, failure_threshold=1))))


def test_streak_survives_a_new_container() -> None:
    """Neither lastResult nor resultRun is reset by a new container ID: after two failures and a crash one more failure restarts (pkg/kubelet/prober/worker.go doProbe)."""
    probe = spec(LIVENESS, failure_threshold=3)
    worker = new_container(tell(fresh(LIVENESS), "FF", probe)[-1].worker)
    (counted,) = tell(worker, "F", probe)
    assert (counted.decision, counted.streak) == (DecisionKind.RESTART, 3)


def test_success_streak_survives_a_new_container() -> None:
    """With successThreshold 2 a container that crashed while Ready is Ready again on its first success (pkg/kubelet/prober/worker.go doProbe)."""
    probe = spec(success_threshold=2)
    worker = new_container(tell(fresh(READINESS), "SSS", probe)[-1].worker)
    assert worker.cached is Result.FAILURE
    (counted,) = tell(worker, "S", probe)
    assert (counted.decision, counted.streak) == (DecisionKind.READY, 4)


def test_restart_begins_a_new_streak() -> None:
    """After a decision of liveness the run is 0: the new container gets all its failures (k8s 1.15 and newer)."""
    probe = spec(LIVENESS, failure_threshold=3)
    worker = new_container(tell(fresh(LIVENESS), "FFF", probe)[-1].worker)
    assert decided(tell(worker, "FFF", probe)) == [None, None, DecisionKind.RESTART]


@pytest.mark.parametrize(("keeps_ready", "value"), [(True, Result.NONE), (False, Result.FAILURE)])
def test_new_kubelet_and_readiness(keeps_ready, value) -> None:
    """A new kubelet forgets the streak; up to 1.34 it calls readiness Failure at once, from 1.35 on it holds nothing (docs/how-it-knows.md, "What differs between versions")."""
    probe = spec()
    worker = new_kubelet(tell(fresh(READINESS), "SFF", probe)[-1].worker, keeps_ready=keeps_ready)
    assert (worker.cached, worker.result_run) == (value, 0)
    (counted,) = tell(worker, "S", probe)
    assert counted.decision is (None if keeps_ready else DecisionKind.READY)
    assert counted.settled is (Result.SUCCESS if keeps_ready else None)


@pytest.mark.parametrize("kind", [LIVENESS, STARTUP])
def test_new_kubelet_and_the_others(kind) -> None:
    """For the others a new kubelet is a new worker; only what has started needs no startup probe again, from 1.35 on."""
    worker = tell(fresh(kind), "F", spec(kind))[-1].worker
    assert new_kubelet(worker, keeps_ready=False) == fresh(kind)
    assert new_kubelet(worker, keeps_ready=True, started=False) == fresh(kind)
    assert new_kubelet(worker, keeps_ready=True).on_hold is (kind is STARTUP)


# A capture begun in mid-life.


@pytest.mark.parametrize(("story", "settles", "state"), [("S", 0, Result.SUCCESS), ("FFF", 2, Result.FAILURE), ("FFSFFF", 2, Result.SUCCESS)])
def test_mid_life_settles_and_decides_nothing(story, settles, state) -> None:
    """The first streak that reaches its threshold tells the state and is no decision (docs/design.md, section 6)."""
    told = tell(Worker(READINESS), story, spec(failure_threshold=3))
    assert told[settles].settled is state
    assert [counted.settled for number, counted in enumerate(told) if number != settles] == [None] * (len(told) - 1)
    assert told[settles].decision is None
    if len(story) > settles + 1:
        assert told[-1].decision is DecisionKind.NOT_READY


def test_mid_life_liveness_success_settles() -> None:
    """Liveness in mid-life settles with its first success, and a failing streak restarts as ever."""
    told = tell(Worker(LIVENESS), "SFFF", spec(LIVENESS))
    assert told[0].settled is Result.SUCCESS
    assert told[-1].decision is DecisionKind.RESTART


@pytest.mark.parametrize("kind", [LIVENESS, STARTUP])
def test_mid_life_restart_is_a_decision(kind) -> None:
    """A full streak of a probe that goes on hold decides: had it been so before, nothing would have been probed."""
    told = tell(Worker(kind), "FFF", spec(kind))
    assert told[-1].decision is DecisionKind.RESTART
    assert told[-1].settled is None


def test_untyped_probes_decide_nothing() -> None:
    """Where the type is unknown the streak is counted and nothing follows from it."""
    told = tell(fresh(UNKNOWN), "SFFFFS", spec(UNKNOWN))
    assert not any(decided(told))
    assert not any(counted.settled for counted in told)
    assert [counted.streak for counted in told] == [1, 1, 2, 3, 4, 1]


def test_unknown_outcome_breaks_the_count() -> None:
    """After an attempt of unknown outcome a count begins anew: nothing before it is certain to be in a row with what follows."""
    told = tell(fresh(READINESS), "SFFIFFFS", spec(failure_threshold=3))
    assert [counted.streak for counted in told] == [1, 1, 2, 0, 1, 2, 3, 1]
    assert decided(told)[3:] == [None, None, None, None, DecisionKind.READY]
    assert told[6].settled is Result.FAILURE


@pytest.mark.parametrize(
    ("story", "turned"),
    [
        ("SIFFF", None),  # the third of four, or of three
        ("SFISFFF", 6),  # the count is certain again once the result changes
        ("SFIFS", None),  # perhaps not Ready, perhaps still Ready: no second Ready is told
        ("SISFFF", 5),
    ],
)
def test_a_decision_is_told_where_its_moment_is_certain(story: str, turned: int | None) -> None:
    """A streak that an attempt of unknown outcome may belong to turns a readiness worker at a moment nobody knows: it settles its state."""
    told = tell(fresh(READINESS), story, spec(failure_threshold=3))[1:]
    found = [place + 1 for place, counted in enumerate(told) if counted.decision is not None]
    assert found == ([] if turned is None else [turned])


def test_a_restart_is_told_by_what_followed() -> None:
    """Liveness that goes on was not on hold: the attempt of unknown outcome did not reach the threshold."""
    assert decided(tell(fresh(LIVENESS), "SFFIFFF", spec(LIVENESS, failure_threshold=3)))[-1] is DecisionKind.RESTART


# All stories at once.


@dataclass
class Go:
    """The last twenty lines of doProbe, from `if w.lastResult == result` to its end (1.32 and newer), written down line by line."""

    kind: ProbeType
    probe: ProbeSpec
    manager: Result
    last_result: Result = Result.SUCCESS
    result_run: int = 0
    on_hold: bool = False

    def do_probe(self, result: Result | None) -> None:
        """Take the prober's result; None is an error."""
        if result is None:
            return
        if self.last_result == result:
            self.result_run += 1
        else:
            self.last_result = result
            self.result_run = 1
        if (result == Result.FAILURE and self.result_run < self.probe.failure_threshold) or (
            result == Result.SUCCESS and self.result_run < self.probe.success_threshold
        ):
            return
        self.manager = result
        if (self.kind == LIVENESS and result == Result.FAILURE) or self.kind == STARTUP:
            self.on_hold = True
            self.result_run = 0


ACTS = {(READINESS, "Success"): DecisionKind.READY, (READINESS, "Failure"): DecisionKind.NOT_READY, (LIVENESS, "Failure"): DecisionKind.RESTART,
        (STARTUP, "Success"): DecisionKind.STARTED, (STARTUP, "Failure"): DecisionKind.RESTART}
"""What the rest of the kubelet makes of a changed value (kubelet.go syncLoopIteration)."""


@given(st.sampled_from(TYPES), st.integers(1, 4), st.integers(1, 4), st.lists(st.sampled_from("SFDSFDC"), max_size=40))
def test_every_story_ends_as_in_go(kind, success, failure, story) -> None:
    """Any outcomes and container restarts (C): cached value, run, hold and decisions are those of doProbe; a worker on hold is not asked."""
    probe = spec(kind, success_threshold=success if kind is READINESS else 1, failure_threshold=failure)
    go = Go(kind, probe, INITIAL[kind])
    worker = fresh(kind)
    for letter in story:
        if letter == "C":
            go.manager, go.on_hold = INITIAL[kind], False
            worker = new_container(worker)
            continue
        if go.on_hold:
            assert worker.on_hold
            continue
        before = go.manager
        go.do_probe({"S": Result.SUCCESS, "F": Result.FAILURE, "D": None}[letter])
        counted = count(worker, OUTCOMES[letter], probe)
        worker = counted.worker
        assert (worker.cached, worker.last_result, worker.result_run, worker.on_hold) == (go.manager, go.last_result, go.result_run, go.on_hold)
        assert counted.decision is (ACTS.get((kind, go.manager.value)) if go.manager is not before else None)
        assert counted.settled is None


@given(st.sampled_from([READINESS, LIVENESS, STARTUP, UNKNOWN]), st.lists(st.sampled_from("SFDI"), max_size=30))
def test_counting_changes_nothing_given(kind, story) -> None:
    """A worker is a value: counting makes a new one."""
    worker = fresh(kind)
    copy = replace(worker)
    tell(worker, "".join(story), spec(kind))
    assert worker == copy
