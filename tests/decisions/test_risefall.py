"""Rise and fall: each program's own counting, from its beginning and from mid-life."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.decisions.risefall import AGENT_RULE, MOST, RULES, Rule, Thresholds, begin, count, pass_over
from probewatch.model.timeline import DecisionKind

UP, DOWN = DecisionKind.UP, DecisionKind.DOWN
COUNTER = Thresholds(Rule.COUNTER, 2, 3)
STREAK = Thresholds(Rule.STREAK, 2, 3)
WINDOW = Thresholds(Rule.WINDOW, 3, 6, 8)


def replay(thresholds: Thresholds, results: str, *, fresh: bool) -> list[tuple[int, DecisionKind]]:
    """Return the decisions of results written as `+`, `-` and `?`, each with the number of its check."""
    health = begin(thresholds, fresh=fresh)
    out = []
    for number, letter in enumerate(results, 1):
        judged = count(health, {"+": True, "-": False, "?": None}[letter])
        health = judged.health
        if judged.decision is not None:
            out.append((number, judged.decision))
    return out


def haproxy(results: str, rise: int, fall: int) -> list[tuple[int, DecisionKind]]:
    """HAProxy's counter in the words of its measurement: health h, UP while h >= rise, beginning UP with h = rise."""
    h, out = rise, []
    for number, letter in enumerate(results, 1):
        was = h >= rise
        if letter == "+":
            h += 1
            if h >= rise:
                h = rise + fall - 1
        elif h > rise:
            h -= 1
        else:
            h = 0
        if was is not (h >= rise):
            out.append((number, UP if h >= rise else DOWN))
    return out


def test_a_pass_that_counts_twice_needs_half_of_rise() -> None:
    """HAProxy's mysql-check with a user: one pass is enough for rise 2, two for rise 3 and 4, and failures count as ever (2.6.12)."""
    twice = Thresholds(Rule.COUNTER, 2, 2, twice=True)
    assert replay(twice, "+---+-", fresh=True) == [(3, DOWN), (5, UP)]
    assert replay(replace(twice, rise=3), "+---++", fresh=True) == [(3, DOWN), (6, UP)]
    assert count(begin(replace(twice, rise=3), fresh=False), True).threshold == 2


def test_only_what_an_agent_says_counts() -> None:
    """An agent that is not there, or says neither up nor down, changes nothing: the state stays known."""
    assert replay(AGENT_RULE, "+?-??-+?", fresh=True) == [(3, DOWN), (7, UP)]


@given(st.text(alphabet="+-", max_size=60), st.integers(1, 6), st.integers(1, 6))
def test_counter_is_haproxys_counter(results: str, rise: int, fall: int) -> None:
    """Any row of results decides as HAProxy's own counter does, for any rise and fall."""
    assert replay(Thresholds(Rule.COUNTER, rise, fall), results, fresh=True) == haproxy(results, rise, fall)


def test_the_first_failure_after_a_start_is_down() -> None:
    """HAProxy begins UP with h = rise, so one failed check is enough (hap-reload)."""
    assert replay(COUNTER, "-", fresh=True) == [(1, DOWN)]
    assert replay(COUNTER, "+--", fresh=True) == []


def test_single_passes_do_not_reset_the_counter_to_nothing() -> None:
    """A pass while UP restores the counter to its top: two failures more are survived."""
    assert replay(COUNTER, "+--+--", fresh=True) == []
    assert replay(COUNTER, "+---+-++", fresh=True) == [(4, DOWN), (8, UP)]


@pytest.mark.parametrize("thresholds", [COUNTER, STREAK, WINDOW])
def test_mid_life_decides_nothing_before_the_state_is_known(thresholds: Thresholds) -> None:
    """A capture begun in mid-life only learns the state from its first results; what changes then is a decision."""
    assert replay(thresholds, "+" * 8, fresh=False) == []
    assert replay(thresholds, "-" * 8, fresh=False) == []
    assert [kind for _, kind in replay(thresholds, "+" * 10 + "-" * 10, fresh=False)] == [DOWN]


def test_streak_counts_results_in_a_row() -> None:
    """Apache's hcfails 3 and hcpasses 2 are consecutive: a result of the other kind begins the count anew."""
    assert replay(STREAK, "++--+---+-++", fresh=True) == [(8, DOWN), (12, UP)]


def test_window_looks_at_the_last_checks_only() -> None:
    """Varnish: 8 checks, healthy while 3 of them passed: sick at the sixth failure, healthy at the third pass."""
    assert replay(WINDOW, "+" * 8 + "-" * 8 + "+++", fresh=False) == [(14, DOWN), (19, UP)]
    short = Thresholds(Rule.WINDOW, 3, 3, 5)
    assert replay(short, "+" * 5 + "-" * 5 + "+++", fresh=False) == [(8, DOWN), (13, UP)]


def test_an_unknown_result_leaves_both_ways_open() -> None:
    """Three results of which one is not known are not three failures; once certain again, nothing is invented."""
    assert replay(COUNTER, "++--?", fresh=True) == []
    assert replay(COUNTER, "++?---", fresh=True) == [(6, DOWN)]
    assert replay(COUNTER, "++---?+++", fresh=True) == [(5, DOWN), (8, UP)]


@given(st.sampled_from([COUNTER, STREAK, WINDOW]), st.text(alphabet="+-?", max_size=40), st.booleans())
def test_decisions_alternate(thresholds: Thresholds, results: str, fresh: bool) -> None:
    """UP follows DOWN and DOWN follows UP, whatever comes."""
    kinds = [kind for _, kind in replay(thresholds, results, fresh=fresh)]
    assert all(a is not b for a, b in pairwise(kinds))


def test_thresholds_are_bounded() -> None:
    """Absurd thresholds cost no absurd memory."""
    assert len(begin(Thresholds(Rule.COUNTER, 10**9, 10**9), fresh=False).states) <= 2 * MOST
    assert all(rule.bounded() == rule for rule in RULES.values())


ENVOY = RULES["envoy"]


def test_envoy_begins_down_and_its_first_check_is_enough() -> None:
    """handleSuccess: `first_check_ || ++num_healthy_ == healthy_threshold_`; after a first failure the threshold holds."""
    assert replay(ENVOY, "+", fresh=True) == [(1, UP)]
    assert replay(ENVOY, "-++", fresh=True) == [(3, UP)]
    assert replay(ENVOY, "+--+---++", fresh=True) == [(1, UP), (7, DOWN), (9, UP)]


def test_what_envoys_server_answers_itself_counts_at_once() -> None:
    """setUnhealthy: only network failures and timeouts wait for unhealthy_threshold; nobody else's rule knows the difference."""
    for thresholds, kind in ((ENVOY, DOWN), (STREAK, None)):
        health = count(begin(thresholds, fresh=True), True).health
        assert count(health, False).decision is None
        judged = count(health, False, answered=True)
        assert (judged.decision, judged.health.thresholds) == (kind, health.thresholds)


def test_keepaliveds_passes_add_up_while_down() -> None:
    """It goes on in its list of URLs where it was: a failure between two passes takes none back, and DOWN begins the list anew."""
    health = begin(Thresholds(Rule.STREAK, 3, 2, lasting=True), fresh=True)
    told = []
    for passed in (False, False, True, False, True, False, True, False, True, True, False, False, True, True):
        judged = count(health, passed)
        health = judged.health
        told.append(judged.decision)
    at = [(number, kind) for number, kind in enumerate(told, 1) if kind is not None]
    assert at == [(2, DecisionKind.DOWN), (7, DecisionKind.UP), (12, DecisionKind.DOWN)]


@pytest.mark.parametrize("thresholds", [COUNTER, STREAK, WINDOW, replace(COUNTER, rise=40, fall=60)])
@pytest.mark.parametrize("unknown", [1, 3, 50, 10**12])
def test_checks_that_nobody_saw(thresholds: Thresholds, unknown: int) -> None:
    """They leave what as many checks of unknown outcome leave, however many they are; nothing is decided by them."""
    health = begin(thresholds, fresh=True)
    one_by_one = health
    for _ in range(min(unknown, 1_000)):
        one_by_one = count(one_by_one, None).health
    passed = pass_over(health, (), unknown)
    assert (passed.states, passed.known) == (one_by_one.states, health.known)
    assert pass_over(health, (False, None), 1).states == count(count(count(health, False).health, None).health, None).health.states
