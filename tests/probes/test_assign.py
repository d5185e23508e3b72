# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Whose attempt is this? Every way to read it, and that the likely way is the cheap one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from builder import MS, S
from hypothesis import given
from hypothesis import strategies as st
from make import GRPC, LIVENESS, READINESS, STARTUP, ns, run, spec

from probewatch.model.prediction import Manual, Prediction, Reading, Silence
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Schedule, Trigger
from probewatch.probes.assign import lateness, readings, readings_of
from probewatch.probes.costs import (
    BEHIND,
    LATENESS_MOST,
    MISSED_MOST,
    NEW_CONTAINER,
    OLD_PHASE,
    POKE_ABSENT,
    REFUSED_AFTER,
    TOO_EARLY,
    TOO_LATE,
)
from probewatch.probes.lately import Lately
from probewatch.probes.stopped import FROZEN, FROZEN_SEEN, IN_A_BURST

EARLIER = 100.0
"""When the worker of these tests last ran."""


def predicted(kind: ProbeType = READINESS, *, period: int = 10, tick: float | None = EARLIER, last: float | None = EARLIER, took: float = 0.001,
              worker: int = 0, poked: float | None = None, **how: Any) -> Prediction:
    """Return a prediction of a worker that ran at `last` and is on the grid of `tick`; a readiness worker is Ready unless said otherwise."""
    known: dict[str, Any] = {"manual": Manual.READY if kind is READINESS else Manual.NEVER}
    fields = known | how
    probe = fields.pop("spec", spec(kind, period_s=period))
    return Prediction(worker=worker, spec=probe, tick_ns=ns(tick) if tick is not None else None, period_ns=period * S,
                      last_start_ns=ns(last) if last is not None else None, busy_until_ns=ns(last + took) if last is not None else None,
                      poked_ns=ns(poked) if poked is not None else None, **fields)


def gap_of(elsewhere: Sequence[float]) -> tuple[int, int] | None:
    """Return the latest tenth of a second and more in which nobody was probed."""
    return next(((ns(a), ns(b)) for a, b in reversed(list(pairwise(elsewhere))) if b - a > 0.1), None)


def read(at: float, *predictions: Prediction, what: str = "ok", elsewhere: Sequence[float] = (), pause: tuple[float, float] | None = None) -> list[Reading]:
    """Return all readings of an attempt, cheapest first."""
    found = readings(run(at, what), predictions, elsewhere=Lately([ns(one) for one in elsewhere], gap=gap_of(elsewhere), pause=pause and (ns(pause[0]), ns(pause[1]))))
    return sorted(found, key=lambda one: one.cost)


def best(at: float, *predictions: Prediction, **how: Any) -> Reading:
    """Return the cheapest reading."""
    return read(at, *predictions, **how)[0]


# On the grid.


@pytest.mark.parametrize("late", [0.0, 0.0002, 0.005, 0.019])
def test_a_tick(late) -> None:
    """An attempt when its tick was due is that worker's, for next to nothing."""
    reading = best(EARLIER + 10 + late, predicted())
    assert (reading.trigger, reading.schedule, reading.missed, reading.reset) == (Trigger.TICK, Schedule.ON_TIME, 0, "")
    assert reading.cost <= 2.0


def test_a_tick_beats_a_poke() -> None:
    """While not Ready an attempt on the grid is a tick, one off the grid a poke."""
    waiting = predicted(manual=Manual.POSSIBLE)
    assert best(EARLIER + 10, waiting).trigger is Trigger.TICK
    reading = best(EARLIER + 4, waiting)
    assert (reading.trigger, reading.schedule, reading.reset) == (Trigger.MANUAL, Schedule.EXTRA, "")


def test_later_costs_more() -> None:
    """Lateness is paid for by the millisecond, up to a limit (99 % start within 5 ms, on a busy node some by far more)."""
    costs = [lateness(late * MS) for late in (0, 1, 5, 20, 80, 100)]
    assert costs == sorted(costs)
    assert costs[2] == 0.25
    assert costs[-1] == costs[-2] == LATENESS_MOST
    assert lateness(10 * S + 3 * MS, 10 * S) == lateness(3 * MS)
    assert lateness(10 * S - 3 * MS, 10 * S) == lateness(3 * MS)


def test_a_late_tick() -> None:
    """Behind 20 ms a tick is late; behind 100 ms only a kubelet that got no CPU explains it."""
    assert best(EARLIER + 10.03, predicted(LIVENESS)).schedule is Schedule.LATE
    late, slow = [one for one in read(EARLIER + 10.2, predicted(LIVENESS, runs=3)) if one.trigger is Trigger.TICK]
    assert (late.schedule, late.reset, late.stopped) == (Schedule.LATE, "", True)
    assert FROZEN <= late.cost < FROZEN + 0.2
    assert (slow.schedule, slow.reset, slow.stopped, slow.cost) == (Schedule.LATE, "", False, BEHIND)


def test_a_worker_that_was_slow_is_slow_again() -> None:
    """Where a worker ran its latest ticks late, the next late one, or one that is early on the grid these showed, is no wonder."""
    busy = [EARLIER + tenths / 10 for tenths in range(95, 106)]  # The kubelet was at work.
    for at, runs in ((10.25, 3), (9.93, 2)):
        calm, slow = (min(one.cost for one in read(EARLIER + at, predicted(LIVENESS, runs=runs, slow=slow), elsewhere=busy)) for slow in (0, 4))
        assert slow < calm
        assert slow < NEW_CONTAINER - 2
    assert not [one for one in read(EARLIER + 10.6, predicted(LIVENESS, runs=3, slow=4), elsewhere=busy) if one.trigger is Trigger.TICK]


def test_a_kubelet_that_was_at_work_was_not_stopped() -> None:
    """An attempt at anybody after the tick was due excludes that the kubelet got no CPU."""
    assert not [one for one in read(EARLIER + 13, predicted(LIVENESS), elsewhere=[EARLIER + 11.5]) if one.trigger is Trigger.TICK]
    assert [one for one in read(EARLIER + 13, predicted(LIVENESS), elsewhere=[EARLIER + 9.5]) if one.trigger is Trigger.TICK]


def test_a_tick_that_waits_behind_one_that_waited_is_the_next() -> None:
    """A kubelet that gets CPU now and then runs each tick late, the last perhaps right before the next was due: none is missing."""
    stalls = [EARLIER + 8.4, EARLIER + 10.0]
    due = predicted(READINESS, period=2, tick=EARLIER + 6.6, last=EARLIER + 8.4, runs=3, kept=True, manual=Manual.READY)
    late = best(EARLIER + 10.0, due, elsewhere=stalls[:1])
    assert (late.trigger, late.stopped, late.missed, late.reset) == (Trigger.TICK, True, 0, "")


def test_many_that_waited_show_a_kubelet_that_was_stopped() -> None:
    """Several at once, after silence towards everybody, are its late ticks: no new container, nor a new kubelet, would begin just then."""
    burst = [EARLIER + n for n in (9.5, 13.0, 13.001, 13.002, 13.004)]
    alone, among = ({one.reset: one.cost for one in read(EARLIER + 13.01, predicted(READINESS, manual=Manual.READY, runs=3), elsewhere=seen)}
                    for seen in ([EARLIER + 9.5], burst))
    assert min(alone, key=alone.__getitem__) == "" == min(among, key=among.__getitem__)
    assert among[""] == FROZEN_SEEN < alone[""]
    assert (among["container"] - alone["container"], among["kubelet"] - alone["kubelet"]) == (IN_A_BURST, IN_A_BURST)


def test_a_late_end_explains_a_late_tick() -> None:
    """Where an attempt of the pod was seen to be noticed too late, what starts in that moment is a tick that waited."""
    thawed = predicted(LIVENESS, thawed_ns=ns(EARLIER + 13))
    assert best(EARLIER + 13.001, thawed) == Reading(0, FROZEN_SEEN, Trigger.TICK, Schedule.LATE, stopped=True)


def test_a_refusal_speaks_for_a_new_container() -> None:
    """A port that is closed all at once is no sign of a kubelet that was away or stopped."""

    def costs(what: str) -> dict[tuple[str, Schedule], float]:
        return {(one.reset, one.schedule): one.cost for one in read(EARLIER + 14, predicted(), what=what)}

    ok, refused = costs("ok"), costs("refused")
    for key in (("kubelet", Schedule.EXTRA), ("", Schedule.LATE)):
        assert refused[key] - refused["container", Schedule.EXTRA] == pytest.approx(ok[key] - ok["container", Schedule.EXTRA] + REFUSED_AFTER)


def test_a_restarted_kubelet_has_new_phases() -> None:
    """An attempt on the worker's old grid is hardly a new kubelet's first."""
    quiet = predicted(LIVENESS, period=2)
    new = [next(one for one in read(EARLIER + at, quiet) if one.reset == "kubelet").cost for at in (30.5, 31.3)]
    held = predicted(LIVENESS, period=2, silence=Silence.ON_HOLD)
    assert new[0] == new[1]
    assert not [one for one in read(EARLIER + 30, quiet) if one.reset == "kubelet" and one.cost < new[0] + OLD_PHASE]
    assert best(EARLIER + 30, held).reset == "container"


def test_nothing_runs_before_its_initial_delay() -> None:
    """Before initialDelaySeconds has passed since the container can have begun an attempt is another worker's, where it may be."""
    probe = spec(LIVENESS, initial_delay_s=12)
    waiting = predicted(LIVENESS, tick=None, last=None, spec=probe, begun=True, not_before_ns=ns(111))

    def cost(at: float, *, rivals: bool) -> float:
        return min(one.cost for one in readings_of(ns(at), 0.0, waiting, (), rivals=rivals))

    assert cost(110.9, rivals=True) == cost(111.1, rivals=True) + TOO_EARLY
    assert cost(110.9, rivals=False) == cost(111.1, rivals=False)


def test_a_container_that_came_back_on_the_old_grid() -> None:
    """Where nothing of a container was seen for several periods, its liveness probe may be a new container's; readiness is, up to 1.30."""
    away = {"container_ns": ns(EARLIER), "heard_ns": ns(EARLIER)}

    def renewed(at: float, prediction: Prediction) -> bool:
        return any(one.reset == "container" and one.trigger is Trigger.TICK for one in read(at, prediction))

    assert renewed(EARLIER + 40, predicted(LIVENESS, **away))
    assert not renewed(EARLIER + 40, predicted(**away))
    assert renewed(EARLIER + 40, predicted(spec=spec(initial_delay_s=5), grid_stays=True, **away))
    assert not renewed(EARLIER + 40, predicted(LIVENESS, container_ns=ns(EARLIER + 35)))
    assert renewed(EARLIER + 20, predicted(grid_stays=None, refused=True, suspicious=True, **away))


def test_coming_back_keeps_the_grid() -> None:
    """That an attempt keeps the old grid is all that speaks for a container which came back unseen: off by 90 ms it is as dear as that is rare."""
    away = {"container_ns": ns(EARLIER), "heard_ns": ns(EARLIER), "grid_stays": True, "refused": True, "suspicious": True}

    def cost(at: float) -> float:
        return next(one.cost for one in read(at, predicted(**away)) if one.reset == "container" and one.trigger is Trigger.TICK)

    assert cost(EARLIER + 20.09) - cost(EARLIER + 20) == pytest.approx(LATENESS_MOST)


def test_a_port_that_opens_again_is_a_new_container() -> None:
    """Told to die, refused, and then answered at a tick: where no poke shows the new container (up to 1.22), this does."""
    dying = {"dying": True, "refused": True, "suspicious": True, "container_ns": ns(EARLIER)}
    assert best(EARLIER + 10, predicted(poked_anew=False, manual=Manual.ANEW, **dying)).reset == "container"
    assert best(EARLIER + 10, predicted(poked_anew=True, **dying)).reset == ""
    assert best(EARLIER + 10, predicted(poked_anew=False, manual=Manual.ANEW, **dying), what="refused").reset == ""


def test_a_first_attempt_that_is_overdue() -> None:
    """The first attempt at a container is far-fetched where another probe's, which is delayed more, shows since when that runs."""
    late = predicted(LIVENESS, tick=None, last=None, overdue_ns=ns(50))

    def cost(at: float, prediction: Prediction) -> float:
        return min(one.cost for one in readings_of(ns(at), 0.0, prediction, (), rivals=True))

    assert cost(51, late) == cost(49, late) + TOO_LATE


def test_on_hold_and_off_its_grid_is_a_new_kubelet() -> None:
    """What wakes a liveness probe on hold is a new container, at its tick; late by 90 ms after a long silence it is rather a new kubelet."""
    held = predicted(LIVENESS, silence=Silence.ON_HOLD, dying=True, period=1, heard_ns=ns(EARLIER))
    assert best(EARLIER + 17, held).reset == "container"
    assert best(EARLIER + 17.09, held).reset == "kubelet"


def test_a_poke_that_did_not_come() -> None:
    """A certain poke that did not come speaks against a reading, but not while the container is killed, which holds up the pod's syncs."""
    poked = predicted(manual=Manual.POSSIBLE, poked=EARLIER + 0.001)
    assert best(EARLIER + 10, poked).cost == POKE_ABSENT
    assert best(EARLIER + 10, poked._replace(dying=True)).cost == 0.0


def test_a_refusal_and_then_silence() -> None:
    """A tick that is missing behind a refused attempt shows that the container was gone, where a new one need not move the grid."""
    gone = {"container_ns": ns(EARLIER), "heard_ns": ns(EARLIER), "suspicious": True}
    assert best(EARLIER + 20, predicted(grid_stays=True, refused=True, **gone)).reset == "container"
    assert best(EARLIER + 20, predicted(grid_stays=True, **gone)).reset == ""
    assert best(EARLIER + 20, predicted(grid_stays=False, refused=True, **gone)).reset == ""


def test_missed_ticks_are_counted() -> None:
    """Ticks that left no attempt are told and paid for, up to a limit."""
    one, two, many = (next(one for one in read(EARLIER + 10 * steps, predicted(LIVENESS)) if one.trigger is Trigger.TICK) for steps in (2, 3, 30))
    assert (one.missed, two.missed, many.missed) == (1, 2, 29)
    assert 0 < one.cost < two.cost < many.cost <= MISSED_MOST


def test_a_gone_container_explains_missed_ticks() -> None:
    """No tick is missed for nothing where the container dies, went away, or has just begun (initialDelaySeconds)."""
    dear = best(EARLIER + 50, predicted(LIVENESS)).cost
    for excuse in ({"dying": True}, {"suspicious": True}, {"begun": True, "runs": 0}):
        assert best(EARLIER + 50, predicted(LIVENESS, **excuse)).cost < dear


# Off the grid.


def test_a_certain_poke() -> None:
    """The attempt right after Ready was lost is the poke that was certain, at no cost (docs/how-it-knows.md, "What was measured")."""
    reading = best(EARLIER + 0.002, predicted(manual=Manual.POSSIBLE, poked=EARLIER + 0.001))
    assert (reading.cost, reading.trigger, reading.schedule) == (0.0, Trigger.MANUAL, Schedule.EXTRA)


def test_a_poke_that_stays_away_and_a_tick_in_time() -> None:
    """An attempt in the moment of a tick is that tick, though a poke was expected long before it: kubelets up to 1.22 do not poke."""
    waiting = predicted(period=2, last=EARLIER, took=1.0, poked=EARLIER + 1.0, manual=Manual.POSSIBLE)
    assert best(EARLIER + 2.0, waiting).trigger is Trigger.TICK
    assert best(EARLIER + 2.3, waiting).trigger is Trigger.MANUAL


def test_an_absent_poke_is_paid_for() -> None:
    """A tick although a poke was certain is less likely than a tick."""
    plain = best(EARLIER + 10, predicted(manual=Manual.POSSIBLE)).cost
    assert best(EARLIER + 10, predicted(manual=Manual.POSSIBLE, poked=EARLIER + 0.001)).cost > plain


def test_ready_is_not_poked() -> None:
    """While Ready an attempt off the grid means a new container or a new kubelet, and both are dear (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    found = read(EARLIER + 4, predicted())
    assert {one.reset for one in found} == {"container", "kubelet"}
    assert found[0].cost >= 2 * read(EARLIER + 4, predicted(manual=Manual.POSSIBLE))[0].cost


def test_signs_make_a_new_container_cheaper() -> None:
    """A container that was told to die is expected back; one whose port closed may be."""
    def cost(**how: Any) -> float:
        return next(one.cost for one in read(EARLIER + 4, predicted(**how)) if one.reset == "container")

    assert cost(dying=True) < cost(suspicious=True) < cost()


def test_liveness_never_runs_off_its_grid() -> None:
    """Liveness and startup are never poked: off the grid for no reason is the dearest of all."""
    for kind in (LIVENESS, STARTUP):
        found = read(EARLIER + 4, predicted(kind))
        assert found[0].cost > 4
        assert all(one.trigger is not Trigger.MANUAL for one in found)


def test_just_ready_may_be_doubled() -> None:
    """A poke that came while the attempt ran that made it Ready is still waiting, and runs at once."""
    reading = best(EARLIER + 0.002, predicted(just_ready=True))
    assert (reading.trigger, reading.reset) == (Trigger.MANUAL, "")
    assert reading.cost < 1


def test_unseen_state_allows_a_poke() -> None:
    """In mid-life a poke is possible, less likely than where it is known to be not Ready."""
    unseen = best(EARLIER + 4, predicted(manual=Manual.UNSEEN))
    known = best(EARLIER + 4, predicted(manual=Manual.POSSIBLE))
    assert unseen.trigger is known.trigger is Trigger.MANUAL
    assert unseen.cost > known.cost


# New kubelets.


def of_kubelet(at: float, elsewhere: Sequence[float] = (), pause: tuple[float, float] | None = None, **how: Any) -> Reading | None:
    """Return the reading as an attempt of a new kubelet; None where there is none."""
    found = read(at, predicted(LIVENESS, **how), elsewhere=elsewhere, pause=pause)
    return next((one for one in found if one.reset == "kubelet"), None)


def cost_of_kubelet(at: float, **how: Any) -> float:
    """Return what a new kubelet costs as a reading."""
    found = of_kubelet(at, **how)
    assert found is not None
    return found.cost


def test_silence_towards_everybody_is_a_new_kubelet() -> None:
    """A kubelet that was silent towards everybody for longer than a period may be new; one that probed others meanwhile is not."""
    assert cost_of_kubelet(EARLIER + 33.3) < 2
    assert of_kubelet(EARLIER + 33.3, elsewhere=[EARLIER + n for n in range(1, 33)]) is None
    assert best(EARLIER + 33.3, predicted(LIVENESS)).reset == "kubelet"


def test_a_kubelet_does_not_restart_in_no_time() -> None:
    """Within two seconds there is no new kubelet; the attempt is off its grid for a reason that nobody sees."""
    assert of_kubelet(EARLIER + 1.4, period=1) is None
    assert not any(one.reset == "kubelet" for one in read(EARLIER + 1.4, predicted(period=1)))


def test_a_busy_node_remembers_its_kubelet_s_pause() -> None:
    """Where the latest starts reach back for less than a period, the pause before them tells of the new kubelet, and when it was back."""
    busy = [EARLIER + 24 + n / 50 for n in range(32)]
    assert of_kubelet(EARLIER + 24.7, elsewhere=busy) is None
    found = of_kubelet(EARLIER + 24.7, elsewhere=busy, pause=(EARLIER + 2, EARLIER + 20))
    assert found is not None
    assert (found.cost < 2, found.back_ns) == (True, ns(EARLIER + 20))
    assert of_kubelet(EARLIER + 24.7, elsewhere=busy, pause=(EARLIER - 20, EARLIER - 9)) is None


def test_a_dead_container_explains_silence_better() -> None:
    """Silence after refusals is the container's (back-off), not the kubelet's."""
    assert cost_of_kubelet(EARLIER + 33.3, suspicious=True) > cost_of_kubelet(EARLIER + 33.3)


# Silence.


def test_on_hold_only_a_new_container_wakes() -> None:
    """Every reading of an attempt of a worker on hold has something new behind it; on its grid that is a container."""
    held = predicted(LIVENESS, silence=Silence.ON_HOLD, dying=True)
    assert all(one.reset for one in read(EARLIER + 47.7, held))
    reading = best(EARLIER + 50, held)
    assert (reading.reset, reading.trigger) == ("container", Trigger.TICK)


def test_gated_workers_are_not_expected() -> None:
    """Behind a startup probe an attempt is dear, though not impossible (k8s#141155)."""
    free, gated = best(EARLIER + 10, predicted()).cost, best(EARLIER + 10, predicted(silence=Silence.GATED)).cost
    assert gated > free + 5


def test_startup_beats_gated_readiness() -> None:
    """A refused SYN that either might have sent is the startup probe's."""
    reading = best(EARLIER, predicted(worker=0, last=None, tick=None, silence=Silence.GATED), predicted(STARTUP, worker=1, last=None, tick=None, begun=True), what="refused")
    assert reading.worker == 1


# First attempts.


def test_first_attempt() -> None:
    """A worker's first attempt sets its grid: nothing is known, so nothing is late."""
    (reading,) = read(5, predicted(last=None, tick=None))
    assert (reading.trigger, reading.schedule) == (Trigger.START, Schedule.ON_TIME)


def test_first_attempt_in_the_millisecond_of_started() -> None:
    """Startup success pokes readiness: its first attempt is that poke."""
    reading = best(5.001, predicted(last=None, tick=None, manual=Manual.POSSIBLE, poked=5.0))
    assert (reading.cost, reading.trigger) == (0.0, Trigger.MANUAL)


def test_out_of_turn_costs() -> None:
    """Liveness first in a new container, although readiness is poked before, is less likely."""
    assert best(5, predicted(LIVENESS, last=None, tick=None, out_of_turn=True)).cost > best(5, predicted(LIVENESS, last=None, tick=None)).cost


def test_startup_in_mid_life_is_unlikely() -> None:
    """In mid-life a startup probe has mostly done its work."""
    assert best(5, predicted(STARTUP, last=None, tick=None, begun=False)).cost > best(5, predicted(STARTUP, last=None, tick=None, begun=True)).cost


# Busy workers.


def test_one_attempt_at_a_time() -> None:
    """While an attempt runs its worker starts no other."""
    assert read(EARLIER + 2, predicted(took=4.0)) == []


def test_who_was_still_busy_sent_it_less_likely() -> None:
    """Of two workers that are due, one of which ends its last attempt in that very moment, the other is the likelier: closing and dialling take 0.3 ms."""
    busy, idle = predicted(period=2, took=2.0), predicted(LIVENESS, period=2, worker=1)
    def cost(after: float, worker: int) -> float:
        return min(one.cost for one in readings_of(ns(EARLIER + 2 + after), 0.0, (busy, idle)[worker], (), rivals=True))

    assert cost(0.0, 0) > cost(0.0, 1)
    assert cost(0.0006, 0) - cost(0.0006, 1) < cost(0.0, 0) - cost(0.0, 1)


def test_a_stored_tick() -> None:
    """The tick that fell while busy runs as soon as the slow attempt is over, and is told as such (`http-timeout-t3`)."""
    reading = best(EARLIER + 3.044, predicted(period=2, took=3.0, lingers=True))
    assert (reading.trigger, reading.schedule, reading.reset) == (Trigger.STORED_TICK, Schedule.LATE, "")
    assert reading.cost < 2


def test_lingering_close_delays_a_stored_tick() -> None:
    """A FIN that nobody acknowledges holds the worker up to a second more (SO_LINGER, `http-ack-blackhole`: 2.03 s)."""
    reading = best(EARLIER + 2.03, predicted(period=1, took=1.0, lingers=True))
    assert reading.trigger in (Trigger.STORED_TICK, Trigger.TICK)
    assert reading.cost < 3


@pytest.mark.parametrize("after", [1.0, 2.7])
def test_grpc_redials(after) -> None:
    """A second SYN about 1 s, a third about 1.6-1.9 s later, belong to the dial in flight (grpc-go backoff.DefaultConfig)."""
    probe = spec(handler=GRPC, timeout_s=5)
    reading = best(EARLIER + after, predicted(took=5.0, redials=True, spec=probe), what="refused")
    assert reading.redial
    assert reading.cost <= 1


def test_redial_at_another_time_is_dearer() -> None:
    """grpc-go's back-off is known; a dial at another moment is hardly one."""
    probe = spec(handler=GRPC, timeout_s=5)
    odd = best(EARLIER + 0.3, predicted(took=5.0, redials=True, spec=probe), what="refused")
    assert odd.cost > best(EARLIER + 1.0, predicted(took=5.0, redials=True, spec=probe), what="refused").cost


# Several workers.


def test_the_worker_that_was_due() -> None:
    """Of two identical probes with a constant offset the one whose tick was due sent it."""
    readiness, liveness = predicted(worker=0, tick=100.0, last=100.0), predicted(LIVENESS, worker=1, tick=100.8, last=100.8)
    assert best(110.0, readiness, liveness).worker == 0
    assert best(110.8, readiness, liveness).worker == 1


def test_form_comes_before_time() -> None:
    """An attempt never belongs to a worker that asks something else, whoever was due."""
    other = predicted(LIVENESS, worker=1, spec=spec(LIVENESS, path="/live"))
    assert {one.worker for one in read(EARLIER + 10, predicted(worker=0), other)} == {0}


def test_what_could_not_be_seen_costs_a_little() -> None:
    """A refused SYN fits each probe of its port, a little worse than a request that was seen."""
    assert best(EARLIER + 10, predicted(), what="refused").cost > best(EARLIER + 10, predicted()).cost


@given(st.floats(0, 300), st.sampled_from([READINESS, LIVENESS, STARTUP]), st.sampled_from(list(Manual)), st.sampled_from(list(Silence)),
       st.one_of(st.none(), st.floats(0, 250)), st.floats(0, 20), st.integers(1, 60), st.sets(st.sampled_from(
           ["lingers", "redials", "dying", "suspicious", "just_ready", "begun", "out_of_turn"])),
       st.lists(st.floats(0, 300), max_size=20))
def test_any_prediction_gives_readings(at, kind, manual, silence, last, took, period, flags, elsewhere) -> None:
    """Whatever was predicted: costs are finite and not negative, a worker that is not busy always has a reading, resets are named."""
    prediction = predicted(kind, tick=last, last=last, took=took, period=period, manual=manual, silence=silence, **dict.fromkeys(flags, True))
    found = read(at, prediction, elsewhere=sorted(elsewhere))
    for one in found:
        assert 0 <= one.cost < 60
        assert one.reset in ("", "container", "herald", "kubelet")
        assert one.missed >= 0
        assert one.worker == 0
    if last is None or at > last + took:
        assert found
