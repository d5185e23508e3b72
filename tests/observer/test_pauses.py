"""What a checker's pauses show: missing checks, and a new process that takes over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make import exchange, ns, run_of
from test_checks import CHECKER, DOWN, SERVER, UP, check, only, paused, told

from probewatch.model.book import AddressBook
from probewatch.model.timeline import EventKind, GapKind
from probewatch.observer.checks import CheckBuilder
from probewatch.observer.survey import survey
from probewatch.probes.questions import questions
from probewatch.probes.runs import Run


def seconds(run: Run) -> float:
    """Return when a run began, in the tests' time."""
    return (run.start.ns - ns(0)) / 1e9


def built(runs: list[Run], holes: tuple[tuple[int, int], ...] = ()) -> CheckBuilder:
    """Return the builder that read these runs."""
    ordered = sorted(runs, key=lambda run: run.start)
    named, _ = survey(ordered)
    builder = CheckBuilder(AddressBook(), lambda connection: connection, ns(0), ordered[-1].start.ns, holes)
    builder.made = builder.probes(named)  # type: ignore[attr-defined]
    return builder


@pytest.mark.parametrize(("client", "server"), [(CHECKER, SERVER), ("fd00::9", "fd00::2")])
def test_missing_checks_are_a_gap(client: str, server: str) -> None:
    """Ten seconds without a check of each second are a gap of nine; a timeout, and the pause after it, are none."""
    before = paused(["haproxy"] * 8, 1.0, client=client, server=server)
    after = paused(["haproxy"] * 4 + ["hung"] * 2 + ["haproxy"] * 3, 1.0, first=seconds(before[-1]) + 10.02, client=client, server=server)
    probe = only([*before, *after])
    assert [(gap.start_ns, gap.end_ns, gap.expected) for gap in probe.gaps] == [(before[-1].start.ns, after[0].start.ns, 9)]


@pytest.mark.parametrize("whole", [True, False])
def test_checks_on_a_connection_that_is_not_followed_are_passed_over(whole: bool) -> None:
    """Where more was said on a kept connection than was read, missing checks are said to be passed over, and else to be missing."""
    ask = "> PA 'GET /e HTTP/1.1\\r\\nhost: e\\r\\nuser-agent: Envoy/HC\\r\\n\\r\\n'\n"
    ask += "+1ms < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > A\n"
    script = "> S\n < SA\n > A\n" + "+1s ".join([ask] * 4) + "> FA\n < FA\n > A"
    runs = []
    for at, port in ((1, 40000), (21, 40001)):
        read = exchange(script, f"{CHECKER}:{port} > {SERVER}:8080", at=at)
        until = None if whole or at > 1 else read.connection.end
        read = replace(read, connection=replace(read.connection, id=port, read_until=until))
        runs += [run_of(one) for one in questions(read)]
    probe = only(runs)
    assert [(gap.kind, gap.expected) for gap in probe.gaps] == [(GapKind.UNEXPLAINED if whole else GapKind.PASSED_OVER, 16)]
    assert not any("passed over" in note for note in probe.notes)  # (its last connection was read to its end)


@pytest.mark.parametrize("others", [True, False])
def test_a_server_that_alone_is_not_checked_may_be_in_maintenance(others: bool) -> None:
    """Where HAProxy goes on with other servers it was told to leave this one alone, or may have been; where all stop nothing says why."""
    stop, go_on = paused(["haproxy"] * 8, 2.0), 12.0
    stop += paused(["haproxy"] * 6, 2.0, first=seconds(stop[-1]) + go_on)
    one = paused(["haproxy"] * 20, 2.0, first=0.3, port=9090)
    runs = [*stop, *(run for run in one if others or run.start < stop[8].start)]
    runs = runs if others else [run for run in runs if not stop[7].start < run.start < stop[8].start]
    (gap,) = (gap for probe in built(runs).made if probe.target.port == 8080 for gap in probe.gaps)  # type: ignore[attr-defined]
    assert (gap.expected, "maintenance" in gap.reason) == (5, others)


def test_longer_pauses_of_a_server_in_doubt_are_no_gap() -> None:
    """HAProxy's downinter, seen but once, says nothing of missing checks: only a server whose state is settled misses any."""
    runs = paused(["haproxy"] * 8 + ["haproxy-503"], 1.0)
    runs += paused(["haproxy"] * 6, 1.0, first=seconds(runs[-1]) + 6.0)
    assert only(runs).gaps == ()


def test_a_longer_cycle_is_no_gap() -> None:
    """Monit checks one thing after another: where another of them is slow, its cycle takes twice as long and no check is missing."""
    before = paused(["monit"] * 8, 3.0)
    probe = only([*before, *paused(["monit"] * 6, 3.0, first=seconds(before[-1]) + 7.5)])
    assert (probe.checker.kind, probe.gaps, probe.notes) == ("monit", (), ())


def test_in_a_hole_of_the_capture_nothing_is_missing() -> None:
    """Where nobody looked nothing is missing: the hole is an event of its own."""
    runs = paused(["haproxy"] * 8, 1.0)
    runs += paused(["haproxy"] * 6, 1.0, first=seconds(runs[-1]) + 10.0)
    hole = (runs[7].start.ns + 10**8, runs[8].start.ns - 10**8)
    (probe,) = built(runs, (hole,)).made  # type: ignore[attr-defined]
    assert probe.gaps == ()


def test_a_check_off_the_beat_is_no_new_process() -> None:
    """A connection of another's in between, after which the checks go on at their own times, restarts nothing."""
    one = paused(["l4"] * 12, 3.0)
    builder = built([*one, check(seconds(one[5]) + 1.2, "l4")])
    assert builder.events == []
    assert builder.made[0].decisions == ()  # type: ignore[attr-defined]


def test_one_series_shows_the_new_process_of_all() -> None:
    """A check that came early tells of a reload; another server's first check came late, and begins UP as well."""
    one = paused(["haproxy"] * 6 + ["haproxy-503"] * 4, 2.0)
    begun = seconds(one[-1]) + 0.6
    one += paused(["haproxy-503"] * 4, 2.0, first=begun)
    other = paused(["haproxy"] * 6 + ["haproxy-503"] * 4, 2.0, first=0.3, port=9090)
    other += [check(begun + 1.9 + 2.003 * number, "haproxy-503", port=9090) for number in range(4)]
    builder = built([*one, *other])
    decided = [told(probe) for probe in builder.made]  # type: ignore[attr-defined]
    assert decided == [[(9, DOWN), (11, DOWN)]] * 2
    assert {event.kind for event in builder.events} == {EventKind.CHECKER_RESTARTED}
    assert {event.address for event in builder.events} == {CHECKER}
    assert UP not in [kind for found in decided for _, kind in found]
