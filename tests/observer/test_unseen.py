"""Checks that the capture lost, wholly or in part: what is counted all the same, and what is left open."""

from __future__ import annotations

import pytest
import test_checks
from make import connection, ns
from test_checks import ASK, DOWN, SCRIPTS, UP, check, only, paused, told

from probewatch.model.timeline import Cause, Outcome
from probewatch.observer.nested import lies_inside, moments, note
from probewatch.probes.runs import Run

LOST = {
    "l4-no-reset": "> S\n < SA",
    "l4-no-syn-ack": "> S\n > RA seq=1 ack=1",
    "asked-unseen": "> S\n < SA\n < A ack=60\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > RA seq=60",
    "answer-unseen": f"> S\n < SA\n {ASK}\n < A\n > RA ack=60",
    "syn-ack-unseen": f"> S\n {ASK} ack=1\n < PA seq=1 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > RA",
    "hung-no-syn-ack": f"> S\n {ASK} ack=1\n < A seq=1\n +999500us > RA",
    "ping-unseen": "> S\n < SA\n < A ack=7\n < PA 'PONG\\r\\n'\n > RA seq=7",
    "ping-and-pong-unseen": "> S\n < SA\n < A ack=7\n > RA seq=7",
    "keepalived-503": SCRIPTS["keepalived"].replace("200 OK", "503 No"),
    "keepalived-unseen": "> S\n < SA\n > A\n < A ack=60\n < FPA 'HTTP/1.1 200 OK\\r\\n\\r\\n'\n > FA seq=60\n < A",
}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in LOST.items():
        monkeypatch.setitem(test_checks.SCRIPTS, name, script)
    monkeypatch.setitem(test_checks.TOOK, "hung-no-syn-ack", 1.0)


def without(runs: list[Run], *lost: int) -> list[Run]:
    """Return these runs, those with these numbers (from 1) left out."""
    return [run for number, run in enumerate(runs, 1) if number not in lost]


def plan(*steps: tuple[str, float]) -> list[Run]:
    """Return checks, each with the pause after it."""
    runs, at = [], 0.5
    for what, pause in steps:
        runs.append(check(at, what))
        at += test_checks.TOOK.get(what, 0.001) + pause
    return runs


def test_a_lost_reset_is_no_failure() -> None:
    """A SYN-ACK that is not sent again was answered: what answered it is lost, and a connect check is not called a failure."""
    probe = only(paused(["l4"] * 6 + ["l4-no-reset"] + ["l4"] * 4, 2.0))
    assert (probe.attempts[6].outcome, probe.attempts[6].cause) == (Outcome.INCONCLUSIVE, Cause.CUT)
    assert not probe.decisions


def test_a_reset_that_acknowledges_proves_the_connection() -> None:
    """HAProxy's RST acknowledges the SYN-ACK, though that is lost: the check passed."""
    probe = only(paused(["l4"] * 6 + ["l4-no-syn-ack"] + ["l4"] * 4, 2.0))
    assert (len(probe.attempts), {one.outcome for one in probe.attempts}) == (11, {Outcome.SUCCESS})


@pytest.mark.parametrize("lost", ["asked-unseen", "syn-ack-unseen"])
def test_an_answer_that_was_seen_counts_whatever_else_is_lost(lost: str) -> None:
    """A status says what came of a check of the series, also where its request or its handshake is not in the capture."""
    probe = only(paused(["haproxy"] * 6 + [lost] + ["haproxy"] * 4, 2.0))
    assert (len(probe.attempts), {one.outcome for one in probe.attempts}) == (11, {Outcome.SUCCESS})


@pytest.mark.parametrize(("lost", "outcome"), [("ping-unseen", Outcome.SUCCESS), ("ping-and-pong-unseen", Outcome.INCONCLUSIVE)])
def test_an_answer_in_a_protocol_that_is_not_read_counts_without_its_question(lost: str, outcome: Outcome) -> None:
    """A Redis check was answered though its PING is lost; where the PONG is lost, too, nobody knows."""
    probe = only(paused(["ping"] * 6 + [lost] + ["ping"] * 4, 2.0))
    assert [one.outcome for one in probe.attempts] == [Outcome.SUCCESS] * 6 + [outcome] + [Outcome.SUCCESS] * 4
    assert not probe.decisions


def test_waiting_in_vain_is_seen_without_the_handshake() -> None:
    """A checker that asked and hung up at its timeout was not answered, whether or not the SYN-ACK is in the capture."""
    probe = only(paused(["haproxy"] * 6 + ["hung"] * 2 + ["hung-no-syn-ack"] + ["haproxy"] * 4, 2.0))
    assert told(probe) == [(9, DOWN), (11, UP)]


def test_a_lost_request_is_no_second_url() -> None:
    """Keepalived is up again one pass after it began its list of URLs anew: a request that is lost adds no URL to the list."""
    probe = only(paused(["keepalived"] * 6 + ["keepalived-unseen"] + ["keepalived-503"] * 8 + ["keepalived"] * 5, 2.0))
    assert probe.thresholds["rise"] == (2, "default")


def test_what_is_lost_between_two_failures_is_one() -> None:
    """DOWN is told at the check whose answer is lost, where those around it failed; and where one is missing, at the next."""
    probe = only(
        paused(["haproxy"] * 8 + ["haproxy-503"] * 2 + ["answer-unseen"] + ["haproxy-503"] * 6 + ["haproxy"] * 4, 2.0)
    )
    assert probe.attempts[10].outcome is Outcome.INCONCLUSIVE
    assert told(probe) == [(11, DOWN), (19, UP)]
    whats = ["haproxy"] * 4 + ["asked-unseen"] + ["haproxy"] * 3 + ["haproxy-503"] * 9 + ["haproxy"] * 4
    missing = only(without(paused(whats, 2.0), 11))
    assert told(missing) == [(11, DOWN), (18, UP)]
    assert any("1 check is not in the capture" in note for note in missing.notes)


def test_what_the_end_of_the_capture_cuts_is_not_lost() -> None:
    """The last check may be open where a capture ends: nothing is presumed of it, and no note counts it."""
    probe = only(paused(["haproxy"] * 8 + ["answer-unseen"], 2.0))
    assert probe.attempts[-1].outcome is Outcome.INCONCLUSIVE
    assert not probe.notes


def test_a_longer_pause_of_a_server_that_fails_is_no_missing_check() -> None:
    """Of a capture that lost nothing a second pause of twice the length is a setting of its checker, and counts for nothing."""
    probe = only(without(paused(["haproxy"] * 8 + ["haproxy-503"] * 3 + ["haproxy"] * 4, 2.0), 10))
    assert not probe.decisions
    assert not probe.notes


def test_a_server_that_fails_now_and_then_is_not_presumed_to_fail() -> None:
    """Two failures, a pass, and so on: what is lost between two failures was mostly a pass, and no third failure is made of it."""
    whats = (["haproxy"] * 4 + ["haproxy-503"] * 2 + ["haproxy"] + ["haproxy-503"] * 2) * 4
    assert whats[32:35] == ["haproxy-503", "haproxy", "haproxy-503"]
    whats[33] = "answer-unseen"
    assert not only(paused([*whats, *["haproxy"] * 4], 2.0)).decisions


def test_the_pause_after_it_tells_what_a_check_was() -> None:
    """With fastinter the first failure is followed by a shorter pause: of a check whose answer is lost that is enough."""
    down = [("haproxy-503", 1.0)] * 2 + [("haproxy-503", 3.0)] * 4 + [("haproxy", 1.0)]
    calm = [("haproxy", 3.0)] * 6
    probe = only(plan(*calm, *down, *calm, ("answer-unseen", 1.0), *down[1:], *calm))
    assert told(probe) == [(9, DOWN), (14, UP), (22, DOWN), (27, UP)]
    passed = only(plan(*calm, *down, *calm, ("answer-unseen", 3.0), *down, *calm))
    assert told(passed)[2] == (23, DOWN)


def test_the_time_between_tells_what_a_missing_check_was() -> None:
    """Keepalived comes again after delay_before_retry: two seconds and one, where one check is missing, hold a first failure."""
    down = [("keepalived-503", 1.0)] * 2 + [("keepalived-503", 2.0)] * 4 + [("keepalived", 2.0)] * 6
    probe = only(without(plan(*[("keepalived", 2.0)] * 5, ("keepalived-unseen", 2.0), *down, *down), 19))
    assert probe.thresholds["fall"] == (3, "inferred")
    assert told(probe)[2] == (20, DOWN)


def test_behind_a_hole_the_state_is_open() -> None:
    """Where many checks are missing anything may have come of them: two failures behind it leave UP and DOWN possible, three do not."""
    before = paused(["haproxy"] * 8, 1.0)
    at = (before[-1].start.ns - ns(0)) / 1e9 + 10.02
    probe = only([*before, *paused(["haproxy-503"] * 2 + ["haproxy"] * 6, 1.0, first=at)])
    assert not probe.decisions
    probe = only([*before, *paused(["haproxy-503"] * 5 + ["haproxy"] * 6, 1.0, first=at)])
    assert told(probe) == [(11, DOWN), (15, UP)]


def test_translated_checks_are_known_where_answers_are_lost() -> None:
    """That one of the two has no SYN-ACK says nothing against it; that most have none says nothing for it."""
    outer = [connection("> S\n +300us < SA\n > RA", at=2.0 * n) for n in range(20)]
    inner = [
        connection("> S\n < SA\n > RA" if n % 4 else "> S", "10.128.0.1:50000 > 10.128.0.11:80", at=2.0 * n + 0.0001)
        for n in range(20)
    ]
    blind = [connection("> S", "10.128.0.1:50000 > 10.128.0.11:80", at=2.0 * n + 0.0001) for n in range(20)]
    series = []
    for connections in (outer, inner, blind):
        series.append(moments())
        for one in connections:
            note(series[-1], one)
    assert lies_inside(series[1], series[0])
    assert not lies_inside(series[2], series[0])
