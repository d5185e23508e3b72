# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""One probed address: what is complete and in order, what was meant by a failing resolution, which manifest fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builder import S
from hypothesis import given
from hypothesis import strategies as st
from make import (
    GRPC,
    LIVENESS,
    NODE,
    NODE6,
    POD,
    POD6,
    READINESS,
    TCP,
    attempt,
    every,
    mark,
    ns,
    run,
    runs,
    spec,
    unresolved,
)

from probewatch.decisions.pod import Planned
from probewatch.model.book import AddressBook
from probewatch.model.connection import Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.spec import ContainerSpec, ContainerStart, PodSpec, ProbeSpec
from probewatch.model.timeline import Cause
from probewatch.observer.beginnings import beginning
from probewatch.observer.implied import feed, implied_runs, overtaken_runs
from probewatch.observer.lane import Lane
from probewatch.observer.target import GUESS_AFTER, Context, Target
from probewatch.observer.tying import Ties, plausible, tie
from probewatch.probes.forms import Ask, Form
from probewatch.probes.lately import NOBODY
from probewatch.probes.runs import Run

PATIENCE = 32 * S


def pod_of(*probes: ProbeSpec, name: str = "web-1", **how: Any) -> PodSpec:
    """Return a Pod of one container with these probes."""
    return PodSpec(source=f"{name}.yaml", name=name, containers=(ContainerSpec(name="app", probes=probes),), **how)


def booked(pod: PodSpec) -> AddressBook:
    """Return a book in which a pod has the target's address."""
    return AddressBook(pods={POD: (pod,)})


def release(target: Target, now: float, unripe: float | None = None) -> list[Run]:
    """Release what is complete at a moment."""
    return target.queue.release(ns(now), ns(unripe) if unripe is not None else None, PATIENCE)


# In order.


def test_runs_come_in_the_order_of_their_starts() -> None:
    """A long attempt that began first is told first, although it ended last."""
    target = Target(POD, AddressBook())
    for one in (attempt(0.5), attempt(0.2), attempt(0.0, "hung")):
        target.queue.take(one)
    assert [one.start.ns for one in release(target, 5) + target.queue.drain()] == [ns(0), ns(0.2), ns(0.5)]


def test_a_complete_run_is_told_at_once() -> None:
    """A run that nothing can join any more is told when that is so, not when the next one comes a period later."""
    target = Target(POD, AddressBook())
    target.queue.take(attempt(0))
    assert len(release(target, 1)) == 1


def test_an_open_connection_holds_back_what_follows() -> None:
    """While the tracker still has an earlier connection nothing later is told; silent open ones wait as long as patience lasts."""
    target = Target(POD, AddressBook())
    target.queue.take(attempt(1))
    target.queue.take(attempt(1.5))
    assert release(target, 2, unripe=0.5) == []
    assert [one.start.ns for one in release(target, 2, unripe=1.6)] == [ns(1), ns(1.5)]
    still_open = replace(attempt(3, "unanswered").connection, final=False)
    target.queue.take(replace(attempt(3, "unanswered"), connection=still_open))
    target.queue.take(attempt(4))
    assert ns(3) not in [one.start.ns for one in release(target, 6)]
    assert ns(3) in [one.start.ns for one in release(target, 3 + PATIENCE / S)]


def test_a_newer_snapshot_takes_the_place_of_the_older() -> None:
    """What the tracker learns while a connection waits is what gets told."""
    target = Target(POD, AddressBook())
    old = attempt(0, "unanswered")
    target.queue.take(replace(old, connection=replace(old.connection, final=False)))
    newer = replace(attempt(0, "refused").connection, id=old.connection.id)
    target.queue.revise(newer, lambda: Exchange(connection=newer))
    (one,) = target.queue.drain()
    assert one.tries[0][0].connection is newer


def test_drain_gives_everything() -> None:
    """At the end whatever is left is told, retries still waiting included."""
    target = Target(POD, AddressBook())
    for item in (attempt(0, "body"), attempt(0.002, "body"), attempt(1, "unanswered"), unresolved(2)):
        target.queue.take(item)
    assert [len(one.tries) for one in target.queue.drain()] == [2, 1, 0]
    assert target.queue.drain() == []


def test_two_clients_are_not_joined() -> None:
    """A retry comes from the same client."""
    target = Target(POD, AddressBook())
    for item in (attempt(0, "body"), attempt(0.002, "body", client="10.128.0.2")):
        target.queue.take(item)
    assert len(target.queue.drain()) == 2


def test_undecided_runs_are_given_back_once() -> None:
    """Runs of a source that is not decided are kept, and given back when it is."""
    target = Target(POD, AddressBook())
    kept = runs(0, 1, 2)
    for one in kept:
        target.hold(one)
    assert target.held(NODE) == kept
    assert target.held(NODE) == []


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from(["ok", "body", "unanswered", "hung"])), max_size=20), st.lists(st.floats(0, 90), max_size=8))
def test_nothing_is_lost_or_doubled(story, looks) -> None:
    """However often one looks: every connection is in exactly one run."""
    target = Target(POD, AddressBook())
    made = [attempt(at, what) for at, what in story]
    for number, one in enumerate(made):
        target.queue.take(replace(one, connection=replace(one.connection, id=number)))
    out = [one for look in sorted(looks) for one in release(target, look)] + target.queue.drain()
    assert sorted(leg.connection.id for one in out for _, leg in one.legs()) == list(range(len(made)))


def test_an_idle_queue_takes_no_room() -> None:
    """A target where nothing waits has no queue; what comes later waits in a new one, in order."""
    target = Target(POD, AddressBook())
    target.queue.take(attempt(0))
    assert len(release(target, 1)) == 1
    assert target.queue.idle
    target.rest()
    assert target._queue is None
    assert target.empty
    target.queue.take(attempt(3))
    target.queue.take(attempt(2))
    assert not target.empty
    assert [one.start.ns for one in release(target, 4)] == [ns(2), ns(3)]


# Planning.


def test_declared_probes_are_planned_at_once() -> None:
    """With a Pod known nothing waits; exec probes and probes of another host are not expected on the wire here."""
    declared = pod_of(spec(), spec(LIVENESS, handler=TCP, host="192.0.2.1"))
    target = Target(POD, booked(declared))
    target.attempt(run(0), NOBODY, Context())
    (placed,) = target.placed
    assert [planned.spec.type for planned in placed.lane.plan] == [READINESS]
    assert placed.named_by == "status.podIP"
    assert placed.guesses == ()


def test_undeclared_probes_wait_for_the_end() -> None:
    """Without a Pod the runs are kept and the probes guessed from all of them."""
    target = Target(POD, AddressBook())
    for one in runs(*every(1, 10)):
        target.attempt(one, NOBODY, Context())
    assert target.placed == []
    assert target.has_kubelet
    ((placed, steps),) = target.finish(Context())
    assert len(steps) == 10
    assert placed.pod is None
    assert [one.spec.path for one in placed.guesses] == ["/ready"]


def test_types_are_still_known_at_the_second_look() -> None:
    """What is guessed once more from all attempts is weighed as the first guess was: what holds is not replayed, and keeps its types."""
    target = Target(POD, AddressBook())
    for number in range(GUESS_AFTER):
        for one in (run(number), run(number + 0.4, path="/live")):
            target.attempt(one, NOBODY, Context())
    (placed,) = target.placed
    before = placed.lane
    target.finish(Context())
    assert {one.spec.path: one.spec.type for one in placed.guesses} == {"/ready": READINESS, "/live": LIVENESS}
    assert placed.lane is before


def test_what_no_kubelet_sends_is_a_strangers() -> None:
    """A kubelet's address may also scrape and be curled from."""
    target = Target(POD, booked(pod_of(spec())))
    target.attempt(replace(run(0), form=Form(Ask.HTTP, 8080, "GET", "/metrics")), NOBODY, Context())
    assert len(target.strangers) == 1
    assert not target.has_kubelet


@pytest.mark.parametrize("form", ["of its own", "a kubelet's"])
@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
def test_who_is_refused_beside_a_probe_may_be_somebody_else(form, six) -> None:
    """Where a node's address also sends other checks, a refused one that comes when no probe is due is theirs; a probe's stays one."""
    ends = {"client": NODE6, "server": POD6} if six else {}
    target = Target(POD6 if six else POD, AddressBook(pods={POD6 if six else POD: (pod_of(spec(period_s=2)),)}))
    probes = [run(at, "ok" if at < 8 or at > 17 else "refused", **ends) for at in every(2, 14)]
    checks = [run(0.7 + 1.3 * number, path="/check", agent="", **ends) for number in range(6)]
    if form == "of its own":
        checks = [replace(one, form=Form(Ask.HTTP, 8080, "GET", "/check")) for one in checks]
    refused = [run(0.7 + 1.3 * number, "refused", **ends) for number in range(6, 12)]
    for one in sorted([*probes, *checks, *refused], key=lambda one: one.start.ns):
        target.attempt(one, NOBODY, Context())
    ((_, steps),) = target.finish(Context())
    assert [step.run for step in steps] == probes
    assert target.strangers == sorted([*checks, *refused], key=lambda one: one.start.ns)


def test_what_fits_no_probe_is_a_strangers() -> None:
    """An attempt that no declared probe explains is given back at the end."""
    target = Target(POD, booked(pod_of(spec())))
    for one in (*runs(*every(1, 5)), run(2.5, path="/other")):
        target.attempt(one, NOBODY, Context())
    target.finish(Context())
    assert [one.form.path for one in target.strangers] == ["/other"]


# Manifests without an address.


def test_tie_by_port_handler_and_path() -> None:
    """The one manifest whose probes are what was asked."""
    web, db = pod_of(spec()), pod_of(spec(handler=TCP, port=5432), name="db-1")
    assert tie(runs(*every(1, 6)), (web, db)) == (web, "port, handler and path")
    assert tie(runs(*every(1, 6), what="connected", port=5432), (web, db)) == (db, "port and handler")


def test_no_tie_where_two_fit_or_none() -> None:
    """Two of other types, or other numbers, that fit equally are none; none fits, none is taken."""
    assert tie(runs(*every(1, 6)), (pod_of(spec()), pod_of(spec(LIVENESS), name="web-2"))) is None
    assert tie(runs(*every(1, 6)), (pod_of(spec()), pod_of(spec(failure_threshold=5), name="web-2"))) is None
    assert tie(runs(*every(1, 6)), (pod_of(spec(path="/other")),)) is None
    assert tie(runs(*every(1, 6)), ()) is None


def test_manifests_that_declare_the_same_are_one_without_a_name() -> None:
    """What they declare alike is taken; what they differ in, name, namespace or a container's name, is left open; one given twice has its name."""
    one, two = (pod_of(spec(), name=name, node="n") for name in ("web-1", "web-2"))
    other = replace(two, namespace="else", node="m", containers=(replace(two.containers[0], name="api"),))
    db = pod_of(spec(handler=TCP, port=5432), name="db-1")
    for second, space, node, container in ((two, one.namespace, "n", "app"), (other, "", None, "")):
        ties = Ties((one, db, second))
        assert ties.unplaced[1:] == (db,)
        assert tie(runs(*every(1, 6)), ties.unplaced, ties) == (ties.unplaced[0], "port, handler and path")
        joint = ties.unplaced[0]
        assert (joint.name, joint.namespace, joint.node, joint.containers[0].name) == ("", space, node, container)
        assert (joint.source, joint.alike) == ("web-1.yaml", ("web-2.yaml",))
        assert joint.containers[0].probes == one.containers[0].probes
    assert Ties((one, one)).unplaced[0].name == "web-1"
    assert Ties((one, replace(two, restart_policy="Never"))).unplaced == (one, replace(two, restart_policy="Never"))


def merged(*series: list[Run]) -> list[Run]:
    """Return runs of several probes in the order of their starts."""
    return sorted((one for many in series for one in many), key=lambda one: one.start.ns)


def test_no_tie_of_a_part_where_others_are_probed() -> None:
    """Of several targets that answer `/ready`, that one is tied where each declared probe is asked as often as declared."""
    live = spec(path="/livez", period_s=5)
    web = pod_of(spec(period_s=2), live)
    its_own = merged(runs(*every(2, 12)), runs(*(at + 0.5 for at in every(5, 5)), path="/livez"))
    without = runs(*every(2, 12))
    faster = merged(runs(*every(1, 24)), runs(*(at + 0.5 for at in every(5, 5)), path="/livez"))
    assert tie(its_own, (web,), Ties(), "a", early=True) == (web, "port, handler and path")
    for other in (without, faster):
        assert tie(other, (web,), Ties(), "b", early=True) is None
        ties = Ties()
        ties.note("a", web)
        assert tie(other, (web,), ties, "b") is None
        # (Where nothing else is probed it may be a wrong manifest of that very Pod: `verify` says how.)
        assert tie(other, (web,), Ties(), "b") == (web, "port, handler and path")


def test_a_refused_attempt_ties_nothing() -> None:
    """What was refused shows a port and no more: one such attempt is anybody's."""
    assert tie(runs(0, what="refused"), (pod_of(spec()),)) is None
    assert tie(runs(*every(1, 8), what="refused"), (pod_of(spec(period_s=1)),)) is not None


def test_no_tie_against_the_cadence() -> None:
    """The right form at the wrong times is somebody else."""
    assert tie(runs(*every(1.37, 8), what="connected"), (pod_of(spec(handler=TCP)),)) is None
    assert not plausible(runs(*every(1.37, 8)), [spec()])
    assert plausible(runs(*every(1.37, 3)), [spec()])
    assert plausible(runs(*every(1.37, 8)), [spec(period_s=60)])


# Where a capture begins.


def sign(first: Run, pod: PodSpec | None = None, appeared: float | None = None, capture_began: float = -1.0) -> float:
    """Return the weight against a beginning."""
    began = ns(capture_began)
    return beginning([first], pod, ns(appeared) if appeared is not None else None, began, began)[0]


def test_signs_of_a_beginning() -> None:
    """The address that had to be resolved or announced itself, a refused first attempt, a late first attempt, a declared start: each speaks for a beginning."""
    plain = sign(run(0))
    one = attempt(0)
    waited = replace(run(0), tries=((replace(one, connection=replace(one.connection, neighbour=mark(-0.01))),),))
    assert plain > 0
    assert sign(waited) < plain
    assert sign(run(0), appeared=-2.0) < plain
    assert sign(run(0, "refused")) < plain
    assert sign(run(0), capture_began=-30.0) < plain
    started = pod_of(spec())
    declared = replace(started, containers=(replace(started.containers[0], starts=(ContainerStart(started_ns=ns(-0.5)),)),))
    assert sign(run(0), declared) < plain - 4
    old = replace(started, containers=(replace(started.containers[0], starts=(ContainerStart(started_ns=ns(-500)),)),))
    assert sign(run(0), old) > plain + 4


def test_a_start_after_the_first_attempt_is_another_instances() -> None:
    """What started later says nothing of what the first attempt met; nor does one in the very second, where it had a predecessor."""
    plain = sign(run(0))
    pod = pod_of(spec())

    def of(*started: float, count: int | None = None) -> float:
        starts = tuple(ContainerStart(started_ns=ns(at)) for at in started)
        return sign(run(0), replace(pod, containers=(replace(pod.containers[0], starts=starts, restart_count=count),)))

    assert of(12.0, count=1) == of(12.0, 5.0, count=2) == plain
    assert of(-0.5, count=0) < plain - 4
    assert of(-0.5, count=1) == plain
    assert of(12.0, -0.5, count=1) < plain - 4


def test_an_address_that_does_not_answer_is_no_sign_of_a_beginning() -> None:
    """A pod that is dead is asked for its address again and again: where that took a second nothing new came."""
    one = attempt(0)
    waited = replace(run(0), tries=((replace(one, connection=replace(one.connection, neighbour=mark(-1.02))),),))
    assert sign(waited) == sign(run(0))


def test_an_announcement_long_ago_is_no_sign() -> None:
    """An address seen minutes before the first attempt is not new."""
    assert sign(run(0), appeared=-200.0) == sign(run(0))


# Implied attempts.


def resolving(at: float, *, requests: int = 3, answered: float | None = None) -> Run:
    """Return the run of an address resolution in vain."""
    round_: Unresolved = unresolved(at, requests=requests, resolved=answered)
    return Run(client=NODE, server=POD, form=Form(Ask.NOTHING, 0, kubelet=True), start=round_.start, unresolved=round_)


def lane_after(*made: Run, probe: ProbeSpec | None = None) -> Lane:
    """Return a lane that begins with the container and has seen these."""
    lane = Lane([Planned(probe or spec(failure_threshold=9), 0)], begin_cost=-8)
    for one in made:
        lane.feed(one)
    return lane


def test_ticks_during_a_resolution_in_vain_are_implied() -> None:
    """Who-has at 5, 6, 7 s and no answer: the ticks at 6, 7 and 8 s sent nothing of their own and are attempts (docs/design.md, section 6)."""
    first = resolving(5)
    implied = implied_runs(first, lane_after(*runs(*every(1, 5)), first))
    assert [round((one.start.ns - ns(0)) / S, 3) for one in implied] == [6.0, 7.0, 8.0]
    assert all(one.implied and one.tries == () for one in implied)
    assert [one.start.number for one in implied] == [101, 102, 102]


def test_a_clock_that_runs_years_ahead_costs_no_time() -> None:
    """The next tick is reckoned, not walked to: with one byte of a capture changed, 174 million ticks lay between."""
    century = 100 * 366 * 86_400
    late = resolving(century)
    implied = implied_runs(late, lane_after(*runs(*every(1, 5))))
    assert [round((one.start.ns - ns(0)) / S) - century for one in implied] == [1, 2, 3]


def test_an_answered_resolution_implies_nothing() -> None:
    """Where an answer came after all the attempt got its connection."""
    first = resolving(5, answered=7.5)
    assert implied_runs(first, lane_after(*runs(*every(1, 5)), first)) == []


def test_nothing_is_implied_past_a_decision() -> None:
    """Losing Ready pokes the worker, which moves its grid: what comes after cannot be known (only an unbroken grid implies)."""
    first = resolving(5)
    implied = implied_runs(first, lane_after(*runs(*every(1, 5)), first, probe=spec(failure_threshold=2)))
    assert [round((one.start.ns - ns(0)) / S) for one in implied] == [6]


def test_what_a_decision_set_off_is_implied_once_it_is_proven() -> None:
    """NotReady at 11 s begins a new grid: an attempt at 13 s is in step with it, so one was made at 11 s. Other paces prove nothing."""
    lane = Lane([Planned(spec(failure_threshold=2, period_s=2, timeout_s=1), 0)], begin_cost=-8)
    for one in (*runs(*every(2, 4)), resolving(8)):
        feed(lane, one, NOBODY, None)  # fails at 9 s and, implied at 10 s, at 11 s: NotReady
    assert [round((one.start.ns - ns(0)) / S, 3) for one in overtaken_runs(resolving(13), lane)] == [11.0]
    assert overtaken_runs(resolving(14), lane) == []  # in step with the ticks before: nothing was set off that moved them
    assert overtaken_runs(resolving(13.5), lane) == []  # in step with nothing
    feed(lane, resolving(13), NOBODY, None)
    told = [step for step in lane.finish() if step.verdict is not None and step.verdict.cause is Cause.NEIGHBOUR_UNRESOLVED]
    seen = [(round((step.run.start.ns - ns(0)) / S), step.run.implied) for step in told]
    assert seen == [(8, False), (10, True), (11, True), (13, False), (15, True)]
    assert [step.counted.streak for step in told if step.counted] == [1, 2, 3, 4, 5]


def test_where_both_paces_fit_nothing_is_implied() -> None:
    """With a timeout as long as the period the decision is in step with the old ticks too: which grid it is cannot be told."""
    lane = Lane([Planned(spec(failure_threshold=2, period_s=1, timeout_s=1), 0)], begin_cost=-8)
    for one in (*runs(*every(1, 5, 0.5)), resolving(5.5)):
        feed(lane, one, NOBODY, None)
    assert overtaken_runs(resolving(9.5), lane) == []


def test_nothing_is_implied_without_a_grid() -> None:
    """The very first attempt has no grid before it, and mid-life's state allows pokes that cannot be seen."""
    lane = Lane([Planned(spec(), 0)], begin_cost=8)
    first = resolving(0)
    lane.feed(first)
    assert implied_runs(first, lane) == []


def test_an_implied_attempt_fails_like_its_resolution() -> None:
    """Through a target: three requests in vain are one attempt, implied ones and their failures follow, each of the same cause."""
    target = Target(POD, booked(pod_of(spec(failure_threshold=9))))
    context = Context(first_frame_ns=ns(-60))
    for one in (*runs(0, 0.001, *every(1, 4, 1.001)), resolving(5.001), *runs(9.001, 10.001)):
        target.attempt(one, NOBODY, context)
    ((_, steps),) = target.finish(context)
    failed = [step for step in steps if step.verdict is not None and step.verdict.cause is Cause.NEIGHBOUR_UNRESOLVED]
    assert [step.run.implied for step in failed] == [False, True, True, True]
    assert [step.counted.streak for step in failed if step.counted] == [1, 2, 3, 4]


@pytest.mark.parametrize("handler", [TCP, GRPC])
def test_other_handlers_are_implied_too(handler) -> None:
    """What the probe wanted to ask does not matter while the address is missing."""
    first = resolving(5)
    probe = spec(handler=handler, failure_threshold=9)
    lane = lane_after(*runs(*every(1, 5), what="connected" if handler is TCP else "refused"), first, probe=probe)
    if handler is TCP:
        assert len(implied_runs(first, lane)) == 3
    else:
        assert all(one.implied for one in implied_runs(first, lane))
