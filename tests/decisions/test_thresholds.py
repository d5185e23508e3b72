"""Thresholds that a HAProxy's pauses show: each of its three states has a pause of its own, where they were configured."""

from __future__ import annotations

import random

import pytest

from probewatch.decisions.risefall import Rule, Thresholds, begin, count
from probewatch.decisions.thresholds import shown_thresholds
from probewatch.model.units import MS

USUAL = (2, 3)


def series(rise: int, fall: int, inter: int, fast: int, down: int, *, rounds: int = 2) -> tuple[list[bool], list[int | None]]:
    """Return what a server that fails for a while, some times, makes a HAProxy do: results, and the pause after each, ms."""
    health = begin(Thresholds(Rule.COUNTER, rise, fall), fresh=True)
    jitter = random.Random(1)
    results = ([True] * 8 + [False] * 9) * rounds + [True] * 8
    pauses: list[int | None] = []
    for result in results:
        health = count(health, result).health
        (state,) = health.states
        pause = down if state == 0 else inter if state == rise + fall - 1 else fast
        pauses.append(pause * MS + jitter.randrange(3 * MS))
    return results, pauses


@pytest.mark.parametrize(("rise", "fall"), [(2, 3), (3, 2), (1, 4), (4, 5)])
@pytest.mark.parametrize(("fast", "down"), [(300, 4_000), (500, 1_000), (2_500, 700)])
def test_three_pauses_show_both(rise: int, fall: int, fast: int, down: int) -> None:
    """However fastinter and downinter lie to inter: where all three differ, rise and fall follow."""
    shown = shown_thresholds(*series(rise, fall, 2_000, fast, down), USUAL)
    assert shown == (rise, fall)


def test_downinter_alone_shows_fall_only() -> None:
    """Without fastinter a server in doubt upwards is checked as one that is up: rise stays the default."""
    assert shown_thresholds(*series(2, 5, 2_000, 2_000, 500), USUAL) == (None, 5)


def test_one_pause_shows_nothing() -> None:
    """Where all states are checked alike, nothing is inferred, whatever was configured."""
    assert shown_thresholds(*series(4, 2, 1_000, 1_000, 1_000), USUAL) == (None, None)


def test_lost_checks_show_nothing() -> None:
    """A capture that lost every fifth check shows pauses of no meaning: the defaults hold."""
    results, pauses = series(2, 3, 1_000, 1_000, 1_000, rounds=3)
    lost = random.Random(2)
    torn = [pause if pause is None or lost.random() > 0.2 else pause + lost.randrange(900, 3_000) * MS for pause in pauses]
    assert shown_thresholds(results, torn, USUAL) == (None, None)


def test_unknown_outcomes_are_passed_over() -> None:
    """A check of which nobody knows what came of it leaves the state open until the next."""
    results: list[bool | None] = [*series(3, 2, 2_000, 300, 4_000)[0]]
    results[3] = None
    assert shown_thresholds(results, series(3, 2, 2_000, 300, 4_000)[1], USUAL) == (3, 2)
