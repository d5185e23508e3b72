# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Probes guessed from attempts alone: periods, timeouts, types by what they do, and no guess where nothing tells."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from builder import S
from hypothesis import given
from hypothesis import strategies as st
from make import (
    GRPC,
    HTTP,
    LIVENESS,
    NODE6,
    OPENED,
    POD6,
    READINESS,
    SCRIPTS,
    STARTUP,
    TCP,
    UNKNOWN,
    answer,
    every,
    exchange,
    mark,
    request,
    run,
    run_of,
    runs,
)

from probewatch.model.exchange import GrpcFacts, TlsFacts
from probewatch.model.spec import ProbeType
from probewatch.probes.inference import MOST_GUESSED, SCANNED, Guess, eras, guess, observed_period, ticking_period
from probewatch.probes.runs import Run


def guessed(*parts: list[Run]) -> list[Guess]:
    """Guess from runs put in order."""
    return guess(sorted((one for part in parts for one in part), key=lambda one: one.start.ns))


def types(found: list[Guess]) -> list[ProbeType]:
    """Return the types of guesses."""
    return [one.spec.type for one in found]


# What is plain to see.


@pytest.mark.parametrize("period", [1, 5, 10])
@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
def test_one_quiet_probe(period, six) -> None:
    """Handler, port, path and period are plain; nothing tells the type, and that is said."""
    ends = {"client": NODE6, "server": POD6} if six else {}
    (one,) = guessed(runs(*every(period, 10), **ends))
    assert (one.spec.type, one.spec.handler, one.spec.port, one.spec.path, one.spec.period_s) == (UNKNOWN, HTTP, 8080, "/ready", period)
    assert one.inferred == {"periodSeconds": period}
    assert one.reason == "nothing in this capture tells its type"


def test_each_request_is_a_probe() -> None:
    """Different paths and ports are different probes."""
    found = guessed(runs(*every(2, 8)), runs(*every(3, 6, 0.4), path="/live"), runs(*every(5, 4, 0.7), what="connected", port=5432))
    assert [(one.spec.handler, one.spec.port, one.spec.path, one.spec.period_s) for one in found] == [
        (HTTP, 8080, "/ready", 2), (HTTP, 8080, "/live", 3), (TCP, 5432, "/", 5)]


def test_defaults_where_nothing_shows() -> None:
    """Numbers that packets do not show are Kubernetes' defaults, and `inferred` does not claim them."""
    (one,) = guessed([run(0)])
    assert (one.spec.period_s, one.spec.timeout_s, one.spec.failure_threshold, one.spec.success_threshold) == (10, 1, 3, 1)
    assert one.inferred == {}


@pytest.mark.parametrize(("agent", "gaps"), [
    ("Mozilla/5.0", [0.4, 2.9, 1.3, 0.7, 3.6, 1.1, 2.2, 0.3, 4.7, 1.9]),
    ("Monit/5.33.0", [2.0] * 10), ("Blackbox Exporter/0.23.0", [3.0] * 10), ("", [2.0] * 10)])
@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
def test_others_on_a_node_are_no_kubelet(agent, gaps, six) -> None:
    """Clients and checkers that a node's address sends, in the kubelet's form but under no name of its own, are no probes."""
    ends = {"client": NODE6, "server": POD6} if six else {}
    others = [run(0.3 + sum(gaps[:number]), path="/shop", agent=agent, **ends) for number in range(len(gaps))]
    (one,) = guessed(others, runs(*every(2, 10), **ends))
    assert (one.spec.path, one.spec.headers) == ("/ready", ())
    assert not guessed(others)


def test_own_user_agent_is_kept() -> None:
    """A probe with its own User-Agent is expected with it."""
    (one,) = guessed(runs(*every(1, 6), agent="mine/1"))
    assert one.spec.headers == (("User-Agent", "mine/1"),)


def test_tls_and_grpc() -> None:
    """A ClientHello is an httpGet with scheme HTTPS and an unseen path; a health check names its service."""
    tls = [run_of(exchange(f"{OPENED} > PA '\\x16\\x03\\x01'\n < A\n > FA\n < FA\n > A", at=at, tls=TlsFacts(client_hello=mark(at)), http=())) for at in every(2, 5)]
    (one,) = guessed(tls)
    assert (one.spec.handler, one.spec.scheme) == (HTTP, "HTTPS")
    facts = GrpcFacts(preface=mark(0), user_agent="kube-probe/1.36 grpc-go/1.81.1", path="/grpc.health.v1.Health/Check", service="live", serving=1)
    grpc = [run_of(exchange(f"{OPENED} > PA 'x'\n < PA 'y'\n > FA\n < FA\n > A", at=at, grpc=facts, http=())) for at in every(2, 5)]
    (one,) = guessed(grpc)
    assert (one.spec.handler, one.spec.service) == (GRPC, "live")


def test_what_never_asked_goes_with_its_port() -> None:
    """Refused SYNs on a port where one request is known are that probe's; alone they are a bare connection attempt."""
    (one,) = guessed(runs(*every(1, 4), what="refused"), runs(*every(1, 4, 4)))
    assert (one.spec.handler, one.spec.period_s) == (HTTP, 1)
    (alone,) = guessed(runs(*every(1, 6), what="refused"))
    assert alone.spec.handler is TCP


def test_foreign_forms_are_no_probes() -> None:
    """What no kubelet sends is not guessed about."""
    assert guessed([run_of(exchange(f"{OPENED} > PA 'HEAD / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'\n > FA\n < FA\n > A", at=at)) for at in every(1, 6)]) == []
    assert guess([]) == []


# Types, by what they do.


def test_a_probe_off_its_grid_is_readiness() -> None:
    """Only a readiness worker is poked: the double at NotReady gives type and failure threshold (docs/how-it-knows.md, "What was measured")."""
    (one,) = guessed(runs(0, 1, 2, 3), runs(4, 5, 6, 6.002, 7.002, 8.002, what="503"), runs(9.002, 10.002))
    assert one.spec.type is READINESS
    assert one.spec.failure_threshold == 3
    assert one.inferred["failureThreshold"] == 3
    assert "ran off its schedule" in one.reason


def test_what_nothing_pokes_has_no_type_by_its_grid() -> None:
    """Up to 1.20 no readiness probe is poked: a run outside the grid is a new container's or a new kubelet's, whatever its type."""
    made = runs(*every(2, 6), 10.7, *every(2, 6, 12.0))
    assert types(guess(made)) == [READINESS]
    assert types(guess(made, poked=False)) == [UNKNOWN]


def test_pokes_before_the_first_success_tell_no_threshold() -> None:
    """Until it was Ready once any pod sync pokes it, so those streaks say nothing about failureThreshold (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    (one,) = guessed(runs(0, 0.3, 1.3, what="refused"), runs(2.3, 3.3, 4.3, 5.3))
    assert one.spec.type is READINESS
    assert "failureThreshold" not in one.inferred


def test_fast_manual_is_one_probe() -> None:
    """Period 10, poked every 2 s while not Ready, is one readiness probe (`http-fast-manual`)."""
    (one,) = guessed(runs(0, 2, 4, what="503"), runs(*every(10, 9, 6)))
    assert (one.spec.type, one.spec.period_s) == (READINESS, 10)


def test_two_identical_probes() -> None:
    """Two interleaved series with constant offset are two probes; while nothing happens nothing tells which is which."""
    found = guessed(runs(*every(2, 12)), runs(*every(2, 12, 0.8)))
    assert types(found) == [UNKNOWN, UNKNOWN]
    assert {one.spec.period_s for one in found} == {2}
    assert "nothing tells them apart" in found[0].reason


def test_two_identical_probes_one_poked() -> None:
    """The series that leaves its grid is readiness, the other liveness (pkg/kubelet/prober/prober_manager.go UpdatePodStatus)."""
    readiness = [*runs(0, 2, 4, 6), *runs(8, 10, 12, 12.002, 14.002, what="503"), *runs(16.002, 18.002, 20.002)]
    liveness = [*runs(0.8, 2.8, 4.8, 6.8), *runs(8.8, 10.8, what="503"), *runs(12.8, 14.8, 16.8, 18.8)]
    assert set(types(guessed(readiness, liveness))) == {READINESS, LIVENESS}


def test_silence_after_a_streak_is_liveness() -> None:
    """A worker that falls silent after its failures until a new container answers is liveness, and the streak is its threshold."""
    ready = [*runs(*every(1, 9, 0.3), path="/ready"), *runs(*every(1, 3, 9.3), what="refused", path="/ready"), *runs(*every(1, 12, 12.3), path="/ready")]
    live = [*runs(*every(1, 6), path="/live"), *runs(6, 7, 8, what="503", path="/live"), *runs(*every(1, 8, 16), path="/live")]
    found = {one.spec.path: one for one in guessed(ready, live)}
    assert found["/live"].spec.type is LIVENESS
    assert found["/live"].inferred["failureThreshold"] == 3
    assert "silent after 3 failures" in found["/live"].reason


def test_silence_that_ends_off_the_grid_is_no_hold() -> None:
    """A worker on hold keeps its ticks; what goes on between them after a silence is a new kubelet's, which counts anew."""
    before = [*runs(*every(3, 4), path="/live"), *runs(12, 15, 18, 21, what="503", path="/live")]
    kept = guessed(before, runs(*every(3, 8, 42), path="/live"))
    moved = guessed(before, runs(*every(3, 8, 43.4), path="/live"))
    assert [(one.spec.type, one.inferred.get("failureThreshold")) for one in kept] == [(LIVENESS, 4)]
    assert [(one.spec.type, one.inferred.get("failureThreshold")) for one in moved] == [(UNKNOWN, None)]


def test_a_container_that_ended_by_itself_tells_no_threshold() -> None:
    """Two failures, and the container was gone before the third was due: fewer than Kubernetes' default are no threshold unless a kill shows."""
    ready = [*runs(*every(2, 11, 0.3), path="/ready"), run(22.3, "refused", path="/ready"), *runs(36.7, *every(2, 8, 38.7), path="/ready")]
    live = [*runs(*every(3, 5, 1), path="/live"), *runs(16, 19, what="503", path="/live"), *runs(*every(3, 6, 40), path="/live")]
    assert all("failureThreshold" not in one.inferred for one in guessed(ready, live))
    went_on = runs(*every(2, 17, 0.3), path="/ready"), runs(36.7, *every(2, 8, 38.7), path="/ready")
    found = {one.spec.path: one for one in guessed(*went_on, live)}
    assert found["/live"].inferred["failureThreshold"] == 2


def test_startup_stops_when_the_others_begin() -> None:
    """A probe that ends with a success just before all others begin was startup; what began in that millisecond is readiness (captures/startup-probe, frames 75-94)."""
    startup = [*runs(0, 1, 2, what="503", path="/started"), run(3, path="/started")]
    found = guessed(startup, runs(*every(2, 8, 3.002)), runs(*every(2, 8, 3.9), path="/live"))
    kinds = {one.spec.path: one.spec.type for one in found}
    assert kinds["/started"] is STARTUP
    assert kinds["/ready"] is READINESS
    assert kinds["/live"] is LIVENESS


def test_types_by_exclusion() -> None:
    """On the port of a known readiness probe the one other probe is liveness, and its threshold lies above what it survived."""
    ready = [*runs(0, 1, 2, 3), *runs(4, 5, 6, 6.002, 7.002, what="503"), *runs(8.002, 9.002, 10.002)]
    live = [*runs(*every(1, 4, 0.5), path="/live"), *runs(*every(1, 4, 4.5), what="503", path="/live"), *runs(8.5, 9.5, path="/live")]
    found = {one.spec.path: one for one in guessed(ready, live)}
    assert found["/ready"].spec.type is READINESS
    assert found["/live"].spec.type is LIVENESS
    assert found["/live"].spec.failure_threshold == 5
    assert "another" in found["/live"].reason


def test_what_stopped_before_the_others_is_no_liveness_probe() -> None:
    """A startup probe is silent once it succeeded, and what ran beside readiness and ended sooner (a deleted Pod's) is none."""
    ready = [*runs(*every(1, 4, 5.0)), *runs(9, 10, 10.002, 11.002, 12.002, what="503")]
    once = {one.spec.path: one.spec.type for one in guessed(ready, [run(0, path="/up")])}
    assert (once["/ready"], once["/up"]) == (READINESS, UNKNOWN)
    beside = {one.spec.path: one.spec.type for one in guessed(ready, runs(*every(1, 3, 5.5), path="/live"))}
    assert beside["/live"] is LIVENESS


def test_no_exclusion_across_ports() -> None:
    """Another port may be another container, which has its own readiness probe."""
    ready = [*runs(0, 1, 2, 3), *runs(4, 5, 6, 6.002, 7.002, what="503"), *runs(8.002, 9.002, 10.002)]
    found = {one.spec.port: one for one in guessed(ready, runs(*every(1, 10, 0.5), port=9090))}
    assert found[9090].spec.type is UNKNOWN


@pytest.mark.parametrize("made", [
    runs(*every(1, 10)), [*runs(0, 1, 2), *runs(3, 4, 5, what="503")], [*runs(0, 1), *runs(2, 3, 4, 4.002, what="503")], runs(*every(2, 8), what="connected")])
def test_every_guess_carries_its_reason(made) -> None:
    """Nothing is guessed silently, and `inferred` holds only Kubernetes' own names."""
    for one in guess(made):
        assert one.reason
        assert set(one.inferred) <= {"periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"}


# Numbers.


def in_file(number: int, *runs_of: Run) -> list[Run]:
    """Return runs as another file shows them."""
    return [replace(one, start=one.start._replace(file=number)) for one in runs_of]


def test_files_apart_that_ask_differently_are_eras() -> None:
    """What is asked in one file alone, some periods apart, is told by that file; a rotated set is one, and so is a pause of its own."""
    first, second = runs(*every(2, 6)), runs(*every(2, 6, 40), path="/live")
    assert [len(part) for part in eras([*first, *in_file(1, *second)])] == [6, 6]
    assert [len(part) for part in eras([*first, *second])] == [12]
    assert [len(part) for part in eras([*first, *in_file(1, *runs(*every(2, 6, 12), path="/live"))])] == [12]
    assert [len(part) for part in eras([*first, *in_file(1, *runs(*every(2, 6, 40)))])] == [12]
    assert [one.era for one in guess([*first, *in_file(1, *second)])] == [0, 1]


def test_a_type_is_told_once_across_files() -> None:
    """Two files of one address may show one container or two: of two probes of one type and port the second is left open."""
    first = runs(*every(2, 6), 10.5, 12.5, 14.5)
    second = in_file(1, *runs(*every(2, 6, 40), 50.5, 52.5, 54.5, path="/other"))
    assert [one.spec.type for one in guess([*first, *second])] == [ProbeType.READINESS, ProbeType.UNKNOWN]
    elsewhere = in_file(1, *runs(*every(2, 6, 40), 50.5, 52.5, 54.5, port=9090))
    assert [one.spec.type for one in guess([*first, *elsewhere])] == [ProbeType.READINESS, ProbeType.READINESS]


@pytest.mark.parametrize(("seconds", "period"), [
    ((17, 27, 37), 10), ((17, 23, 33), None), ((17, 23, 33, 43), 10), ((17, 27), None), ((17,), None), ((), None), ((17, 27.5, 38), None),
])
def test_the_period_of_what_is_ready(seconds, period) -> None:
    """The first of its starts may have been a poke: three that stand evenly show the period, and so do three behind another one."""
    assert ticking_period([round(at * S) for at in seconds]) == period


def test_observed_period_needs_three() -> None:
    """Two starts are no cadence."""
    assert observed_period([0, 2 * S]) is None
    assert observed_period([0, 2 * S, 4 * S]) == 2


def test_a_period_is_not_the_length_of_attempts() -> None:
    """Attempts that follow each other at once last 1.5 s; that two of them last 3 s is no period."""
    assert observed_period([round(1.5 * S * n) for n in range(12)]) is None
    assert observed_period([2 * S * n for n in range(12)]) == 2


def test_a_worker_that_is_busy_all_the_time() -> None:
    """Answers that take longer than the period make one probe, not two that alternate, and the period is at most their length."""
    slow = [run_of(exchange(OPENED + f"> PA {request()}\n < A\n +1500ms < PA {answer()}\n > A\n > FA\n < FA\n > A", at=1.504 * n)) for n in range(12)]
    (one,) = guess(slow)
    assert one.spec.period_s == 1
    assert "periodSeconds" not in one.inferred


# Very much.


def trying(*ports: int, at: float = 0.0) -> list[Run]:
    """Return one try at each of these ports, 20 ms apart: refused, connected and closed, or not answered, in turn."""
    return [run(at + 0.02 * number, ("refused", "connected", "unanswered")[number % 3], port=port) for number, port in enumerate(ports)]


def test_a_port_scan_is_no_probes() -> None:
    """One try at each of very many ports is a scan; a probe beside it stays, and so does each try where they are fewer."""
    probe = runs(*every(1, 20, 0.5), path="/ready")
    assert [one.spec.port for one in guessed(probe, trying(*range(1, SCANNED + 1)))] == [8080]
    assert {one.spec.port for one in guessed(probe, trying(*range(1, SCANNED)))} == {8080, *range(1, SCANNED)}


def test_a_connect_that_comes_again_is_no_part_of_a_scan() -> None:
    """A tcpSocket probe that came twice, a period apart, is told beside a scan of other ports."""
    found = guessed(runs(0.3, 10.3, what="connected", port=5432), trying(*range(1, 60)))
    assert [(one.spec.handler, one.spec.port) for one in found] == [(TCP, 5432)]


def test_of_very_many_questions_those_asked_most_are_guessed() -> None:
    """No Pod has a thousand probes; what is asked again and again is told first, however late it begins."""
    once = [run(0.02 * number, path=f"/{number}") for number in range(MOST_GUESSED + 20)]
    found = guessed(once, runs(*every(1, 5, 10), path="/ready"))
    assert len(found) == MOST_GUESSED
    assert found[-1].spec.path == "/ready"


@pytest.mark.parametrize("kind", ["path", "port"])
def test_twice_as_many_questions_are_twice_the_work(kind: str) -> None:
    """Guessing from n different questions takes steps in proportion to n: once each looked at all others, for each other."""

    def steps(number: int) -> int:
        made = [run(0.02 * n, **({"path": f"/{n}"} if kind == "path" else {"port": 1000 + n})) for n in range(number)]
        called = 0

        def count(*_: object) -> None:
            nonlocal called
            called += 1

        sys.setprofile(count)
        try:
            assert len(guess(made)) == number
        finally:
            sys.setprofile(None)
        return called

    assert steps(MOST_GUESSED) < 2.5 * steps(MOST_GUESSED // 2)


# Anything.


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(sorted(set(SCRIPTS) - {"sent-away"})), st.sampled_from(["/ready", "/live"]), st.sampled_from([8080, 9090])),
                max_size=30, unique_by=lambda one: one[0]))
def test_any_runs_give_guesses_that_are_probes(story) -> None:
    """Whatever was seen: at most three probes of one signature, each with whole numbers, and no exception."""
    made = [run(tenths / 10, what, path=path, port=port) for tenths, what, path, port in sorted(story)]
    found = guess(made)
    signatures = [(one.spec.handler, one.spec.port, one.spec.scheme, one.spec.path) for one in found]
    assert all(signatures.count(one) <= 3 for one in signatures)
    for one in found:
        assert one.spec.period_s >= 1
        assert one.spec.timeout_s >= 1
        assert one.spec.failure_threshold >= 1


@pytest.mark.parametrize(("until", "told"), [(14, UNKNOWN), (20, STARTUP)])
def test_a_stop_takes_longer_than_a_period(until: int, told: ProbeType) -> None:
    """A probe whose next attempt was not due yet when the capture ended has not stopped, though another began meanwhile (`initial-delay`, cut)."""
    found = guessed(runs(*every(5, 3), path="/a"), runs(*[at for at in every(1, 20, 10.2) if at < until], path="/b"))
    assert {one.spec.path: one.spec.type for one in found}["/a"] is told
