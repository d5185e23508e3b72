# ruff: noqa: E501 (rows of attempts keep their line)
"""Numbers put to the test: strains one by one, values found by halving, ties that are named, and work that ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from make import LIVENESS, NODE6, POD6, READINESS, every, run, runs, spec

from probewatch.decisions.pod import Planned
from probewatch.model.measure import Measure
from probewatch.model.spec import ProbeSpec
from probewatch.observer import weigh as weighing
from probewatch.observer.crashed import BY_ITSELF
from probewatch.observer.lane import Lane
from probewatch.observer.strains import ABSENT, AT_ONCE, HASTY, strains
from probewatch.observer.weigh import WEIGHED, Scale, weigh
from probewatch.probes.runs import Run


def scale_of(made: list[Run], *specs: ProbeSpec, begins: bool = True) -> tuple[Scale, tuple[Planned, ...]]:
    """Return a scale for probes of one container, and their plan."""
    plan = tuple(Planned(one, 0) for one in specs)
    return Scale(Lane(plan, begin_cost=-6.0 if begins else 6.0), sorted(made, key=lambda one: one.start.ns), None), plan


def measured(made: list[Run], *specs: ProbeSpec, begins: bool = True) -> dict[str, Measure]:
    """Weigh runs and return what is left of the first probe's numbers."""
    scale, plan = scale_of(made, *specs, begins=begins)
    return {one.field: one for one in weigh(scale, plan, None)[1].get(0, ())}


def strained(made: list[Run], *specs: ProbeSpec) -> list[float]:
    """Return the strain of each step as declared."""
    scale, plan = scale_of(made, *specs)
    return strains(scale.read(plan).steps)


def flap(threshold: int, *, late: float = 0.001, period: int = 2, **ends: str) -> list[Run]:
    """Return a readiness probe that fails, with the poke that follows losing Ready, and recovers."""
    good = every(period, 8)
    bad = every(period, threshold, 8 * period)
    poke = bad[-1] + late
    after = every(period, 4, poke + period)
    return [*runs(*good, **ends), *runs(*bad, poke, what="503", **ends), *runs(*after, **ends)]


@pytest.mark.parametrize("ends", [{}, {"client": NODE6, "server": POD6}], ids=["v4", "v6"])
@pytest.mark.parametrize("declared", [1, 2, 3])
def test_the_poke_pins_failure_threshold(declared, ends) -> None:
    """The probe right after the third failure in a row shows failureThreshold 3, whatever is declared."""
    found = measured(flap(3, **ends), spec(period_s=2, failure_threshold=declared))["failureThreshold"]
    assert found.allows(3)
    assert found.allows(declared) is (declared == 3)


@pytest.mark.parametrize("declared", [1, 2, 3, 4, 10])
def test_the_grid_pins_the_period(declared) -> None:
    """Ten attempts two seconds apart keep a period of 2 s and no other, whatever is declared."""
    found = measured(runs(*every(2, 10)), spec(period_s=declared))["periodSeconds"]
    assert found.text() == "2"


def test_a_far_threshold_is_bounded_by_halving() -> None:
    """Forty failures of a liveness probe in a row: up to ten at a time the kubelet would have backed off; above, a restart at once is possible."""
    made = [*runs(*every(1, 3), path="/live"), *runs(*every(1, 40, 3), what="503", path="/live"), *runs(*every(1, 20, 43), path="/live")]
    found = measured(made, spec(LIVENESS, path="/live", failure_threshold=60))["failureThreshold"]
    assert found.low == 11
    assert found.allows(60)


def test_what_never_happened_leaves_numbers_open() -> None:
    """Without a failure no threshold shows, whatever is declared."""
    found = measured(runs(*every(1, 10)), spec(failure_threshold=7))
    assert found["failureThreshold"].allows(7)
    assert not found["failureThreshold"].visible


def test_a_poke_without_a_reason_strains() -> None:
    """While not Ready a probe on the heels of another needs a reason: without one it strains."""
    made = runs(0, 2, 4, 4.002, 6, 8, what="503")
    assert max(strained(made, spec(period_s=2, failure_threshold=1))) == pytest.approx(AT_ONCE)


def test_a_poke_that_waited_for_a_long_attempt_does_not_in_a_busy_pod() -> None:
    """A sync during an attempt that times out starts the next one as it ends; where syncs are common that is no coincidence."""
    long = [run(at, "hung") for at in (20, 22, 24)]
    quiet = strained([*runs(*every(2, 4), what="503"), *long, run(25.001, "503")], spec(period_s=2))
    busy = strained([*runs(0, 0.7, 2.7, 3.2, 5.2, 5.9, what="503"), *[run(at, "hung") for at in (7.9, 9.9)], run(10.901, "503")], spec(period_s=2))
    assert sum(busy) <= sum(quiet)
    assert AT_ONCE not in busy


def test_a_poke_that_did_not_come_strains() -> None:
    """Losing Ready pokes the prober (pkg/kubelet/prober/prober_manager.go UpdatePodStatus): where nothing follows at once, the reading strains."""
    made = [*runs(*every(2, 8)), *runs(*every(2, 6, 16), what="503"), *runs(*every(2, 3, 28))]
    assert ABSENT in strained(made, spec(period_s=2))


def test_a_pod_that_may_be_gone_is_not_poked() -> None:
    """A Pod that is being deleted is not synced (pkg/kubelet/kubelet.go SyncTerminatingPod): without anything later that shows it is, no poke is missing.

    Its liveness probe has stopped by then; one that goes on shows that the Pod was not deleted.
    """
    ready = [*runs(*every(2, 8)), *runs(*every(2, 6, 16), what="503")]
    probes = spec(period_s=2), spec(LIVENESS, path="/live", period_s=2)
    assert ABSENT not in strained(ready, probes[0])
    assert ABSENT not in strained([*ready, *runs(*every(2, 7, 1), path="/live")], *probes)
    assert ABSENT in strained([*ready, *runs(*every(2, 14, 1), path="/live")], *probes)


LIVE = spec(LIVENESS, path="/live", period_s=3, failure_threshold=4)


def ended(gone: float, again: float, **ends: str) -> list[Run]:
    """Return a container whose liveness probe fails twice, by 21 s; it is gone from `gone` on, and its successor is seen `again`."""
    ready = [at for at in every(2, 40) if at < gone or at > again]
    live = [at for at in every(3, 30) if at < 22 or at > again]
    bad = runs(*[at + 0.5 for at in live if 17 < at < 22], what="503", path="/live", **ends)
    good = runs(*[at + 0.5 for at in live if not 17 < at < 22], path="/live", **ends)
    refused = runs(*[at for at in every(2, 40) if gone <= at < gone + 2], what="refused", **ends)
    # (The new container's poke moves the grid.)
    after = runs(again, *[again + at for at in every(2, 20, 2)], **ends)
    return [*runs(*[at for at in ready if at < gone], **ends), *refused, *bad, *good, *after]


def more_for(threshold: int, made: list[Run]) -> float:
    """Return how much more it costs to read a container's end with this threshold of its liveness probe than with 2."""
    costs = [scale.read(plan).cost for failures in (threshold, 2) for scale, plan in [scale_of(made, replace(LIVE, failure_threshold=failures), spec(period_s=2))]]
    return costs[0] - costs[1]


@pytest.mark.parametrize("ends", [{}, {"client": NODE6, "server": POD6}], ids=["v4", "v6"])
def test_a_container_that_ended_by_itself_excludes_no_threshold(ends) -> None:
    """It was failing, and was gone two seconds later: as well by itself as killed, so a higher threshold costs next to nothing."""
    assert more_for(4, ended(24, 37.7, **ends)) < BY_ITSELF + 0.5


@pytest.mark.parametrize(("gone", "again"), [(32, 45.7), (22, 35.7)], ids=["silent", "soon"])
def test_a_kill_is_told_from_an_end_by_itself(gone, again) -> None:
    """The probe fell silent at a container that answered for ten seconds more, or the container was gone at once: that speaks for the kill."""
    assert more_for(4, ended(gone, again)) > 1


def test_failures_before_the_capture_make_a_poke_an_ordinary_one() -> None:
    """A capture that begins while it fails does not have the whole streak: the poke after the second failure in it excludes no threshold of 3."""
    made = [*runs(0, 3, what="hung"), run(4.001, "hung"), *runs(*every(3, 4, 7.001), what="hung"), *runs(*every(3, 5, 19.001))]
    found = measured(made, spec(period_s=3), begins=False)["failureThreshold"]
    assert found.allows(3)
    assert found.allows(2)


def test_a_silence_excuses_the_poke() -> None:
    """Where ticks were left out the container may have died unseen, and then no probe took Ready away."""
    made = [*runs(*every(2, 8)), run(16, "503"), *runs(*every(2, 5, 24), what="503")]
    assert ABSENT not in strained(made, spec(period_s=2))


def test_hasty_restarts_strain() -> None:
    """The third restart of a container that lives for two seconds does not come at once: the kubelet backs off."""
    made = [one for life in range(5) for one in runs(*every(1, 2, life * 3.3), what="503", path="/live")]
    assert HASTY in strained(made, spec(LIVENESS, path="/live", failure_threshold=2))


def test_a_restart_is_hasty_by_the_one_before() -> None:
    """The back-off counts from the end of the instance before (pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff): twelve seconds apart a third restart may come at once, a fourth waits."""
    made = [one for life in range(3) for one in runs(*every(2, 5, life * 12), what="503", path="/live")]
    fourth = runs(*every(2, 5, 36), what="503", path="/live")
    probe = spec(LIVENESS, path="/live", period_s=2, failure_threshold=5)
    assert HASTY not in strained([*made, fourth[0]], probe)
    assert HASTY in strained([*made, *fourth, run(48, "503", path="/live")], probe)


def test_a_new_kubelet_has_forgotten_the_back_off() -> None:
    """The back-off is in the kubelet's memory: what would be hasty waits for nothing where the kubelet was restarted before."""
    probe = spec(LIVENESS, path="/live", period_s=2, failure_threshold=5)

    def lives(first: float, count: int) -> list[Run]:
        return [one for life in range(count) for one in runs(*every(2, 5, first + life * 12), what="503", path="/live")]

    assert HASTY in strained([*lives(0, 4), run(48, "503", path="/live")], probe)
    assert HASTY not in strained([*lives(0, 3), *runs(28.7, path="/live"), *lives(60.3, 3)], probe)


def test_ticks_left_out_in_a_rhythm_strain() -> None:
    """Every second tick left out is a period of twice the length, not a row of outages."""
    assert all(strain > 0 for strain in strained(runs(*every(2, 8)), spec(period_s=1))[1:])


def test_no_runs_and_no_probes() -> None:
    """Nothing to read and nothing declared are no error."""
    assert measured([], spec()) == {}
    scale, plan = scale_of(runs(*every(1, 3)))
    assert weigh(scale, plan, None) == ((), {})


def test_one_attempt_leaves_all_open() -> None:
    """A single attempt excludes nothing."""
    assert not any(one.visible for one in measured([run(0)], spec(period_s=7), begins=False).values())


def test_only_the_first_runs_are_read() -> None:
    """The work is bounded by WEIGHED runs: what comes later is not weighed."""
    scale, plan = scale_of(runs(*every(1, WEIGHED + 50)), spec())
    assert len(scale.runs) == WEIGHED == len(scale.read(plan).steps)


def test_a_hopeless_plan_is_read_no_further() -> None:
    """Once a plan costs far more than the best one its reading ends; it stays excluded."""
    scale, plan = scale_of(runs(*every(2, 100)), spec(period_s=2))
    good = scale.read(plan)
    bad = scale.read((Planned(spec(LIVENESS, period_s=7), 0),))
    assert bad.cost > good.cost + weighing.HOPELESS
    assert len(bad.steps) < len(good.steps)


def test_spent_work_leaves_numbers_open(monkeypatch) -> None:
    """When too many readings are possible the rest stays open, and says why, instead of taking hours."""
    monkeypatch.setattr(weighing, "MOST_WORK", 5)
    found = measured(runs(*every(2, 20)), spec(period_s=5))
    assert all(not one.visible and "too many ways" in one.why for one in found.values())


def test_both_types_of_identical_probes_are_held_apart_by_the_poke() -> None:
    """Of two probes that ask the same, the one that is poked is the readiness probe: trading types costs a lot."""
    made = [*flap(3), *runs(*[0.4 + at for at in every(2, 12)])]
    scale, plan = scale_of(made, spec(READINESS, period_s=2), spec(LIVENESS, period_s=2, failure_threshold=9))
    true = scale.read(plan).cost
    traded = scale.read((Planned(spec(LIVENESS, period_s=2, failure_threshold=9), 0), Planned(spec(READINESS, period_s=2), 0))).cost
    assert true <= traded
    assert math.isfinite(true)
