# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Regularity: periods, chains, and what only looks regular."""

from __future__ import annotations

import random
import statistics

import pytest
from builder import MS, S
from hypothesis import given
from hypothesis import strategies as st
from make import every

from probewatch.probes.cadence import chains, median, on_grid, period_of, side_by_side, steady, tickers, whole_seconds


def at(*seconds: float) -> list[int]:
    """Return moments in nanoseconds."""
    return [round(second * S) for second in seconds]


@pytest.mark.parametrize("period", [1, 2, 3, 5, 10, 30, 60, 600])
def test_period_of_one_series(period) -> None:
    """A ticker's starts show their period, small delays notwithstanding."""
    assert period_of(at(*[7.3 + period * n + 0.004 * (n % 3) for n in range(12)])) == period


@pytest.mark.parametrize("missing", [{3}, {2, 5}, {4, 5, 6}])
def test_period_with_missing_starts(missing) -> None:
    """A few lost attempts do not make the period longer."""
    assert period_of(at(*[2.0 * n for n in range(20) if n not in missing])) == 2


@pytest.mark.parametrize("offset", [0.197, 0.5, 0.802, 0.926])
def test_period_of_two_interleaved_series(offset) -> None:
    """Two probes with the same request and period at a constant offset have one period, and two of them share it (captures/identical-probes; docs/how-it-knows.md, "What was measured")."""
    starts = sorted(at(*every(2, 15), *every(2, 15, offset)))
    assert period_of(starts) == 2
    assert side_by_side(starts, 2) == 2
    found = chains(starts, 2)
    assert [len(chain.members) for chain in found] == [15, 15]


def test_two_series_nearly_whole_seconds_apart_keep_their_own_period() -> None:
    """Two probes of 3 s that stand a second and 10 ms apart are no probe of 1 s that leaves out each third tick: each grid is more exact."""
    starts = sorted(at(*every(3, 15), *every(3, 15, 1.99), *every(1, 4, 50)))
    assert period_of(starts) == 3
    assert side_by_side(starts, 3) == 2


def test_one_series_stands_alone() -> None:
    """One probe is one series, pokes included."""
    starts = at(*every(2, 10))
    assert side_by_side(starts, 2) == 1
    assert [chain.members for chain in chains(starts, 2)] == [tuple(range(10))]


def test_period_of_nothing() -> None:
    """No start, one start, and starts without whole seconds between them have no period."""
    assert period_of([]) is None
    assert period_of(at(1)) is None
    assert period_of(at(0, 0.5, 1.3, 2.71, 4.44)) is None


@pytest.mark.parametrize("count", [4, 6, 30])
def test_a_ticker_does_not_lag(count: int) -> None:
    """A ticker is late now and then, and back on its grid at once; who pauses for 2 s lags by each check's few milliseconds."""
    late = [0.0, 0.012, 0.001, 0.004, 0.0, 0.02]
    ticks = at(*[2.0 * n + late[n % len(late)] for n in range(count)])
    pauses = at(*[2.004 * n for n in range(count)])
    assert [chain.members for chain in tickers(ticks, 2, 4)] == [tuple(range(count))]
    assert tickers(pauses, 2, 4) == []
    assert tickers([round(start * 1.0001) for start in ticks], 2, 4), "another machine's clock"
    assert tickers(ticks[:3], 2, 4) == []


@pytest.mark.parametrize("extra", [0.05, 0.1, 0.13])
def test_a_loop_has_no_grid(extra) -> None:
    """`sleep 5` and a run of its own time do not stand on whole seconds: a forged curl loop has 5.05 to 5.14 s (docs/how-it-knows.md, "What was measured")."""
    starts = at(*[n * (5 + extra) for n in range(8)])
    assert on_grid(starts, [start + 20 * MS for start in starts]) < 0.5
    assert period_of(starts[:8]) is None or on_grid(starts, starts) < 0.5


def test_on_grid() -> None:
    """A ticker stands wholly on its grid; a poke moves it to another, and stands on that."""
    starts = at(*every(3, 5), *every(3, 5, 13.7))
    assert on_grid(starts, starts) == 1.0
    assert on_grid(at(4), at(4)) == 0.0


def test_stored_ticks_are_on_the_grid() -> None:
    """Attempts that last longer than their period follow each other at once, 3.044 s apart (`http-timeout-t3`): no loop does that."""
    starts = at(*[8.004 + 3.044 * n for n in range(8)])
    ends = [start + 3_043 * MS for start in starts]
    assert on_grid(starts, ends) > 0.5


def test_chains_are_cut_by_a_poke() -> None:
    """A poke moves the grid: two chains, one after the other."""
    found = chains(at(*every(2, 4), *every(2, 4, 6.7)), 2)
    assert [chain.members for chain in found] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert {chain.period_s for chain in found} == {2}


def test_chains_bridge_few_missing_starts() -> None:
    """Three missing starts do not cut a chain, four do."""
    assert len(chains(at(0, 1, 2, 6), 1)) == 1
    assert len(chains(at(0, 1, 2, 8), 1)) == 2


@pytest.mark.parametrize(("distance", "seconds"), [(1.0, 1), (2.02, 2), (1.98, 2), (2.03, None), (0.01, None), (0.99, 1), (60.0, 60)])
def test_whole_seconds(distance, seconds) -> None:
    """A distance counts as whole seconds within 25 ms."""
    assert whole_seconds(round(distance * S)) == seconds


def test_steady() -> None:
    """The median step and how far steps stray from it; too few starts say nothing."""
    assert steady(at(0, 2, 4)) is None
    middle, spread = steady(at(*every(2.5, 6))) or (0, 1)
    assert (round(middle, 6), round(spread, 6)) == (2.5, 0)
    _, wild = steady(at(0, 1, 4, 6, 11, 13)) or (0, 0)
    assert wild > 0.3
    assert steady(at(1, 1, 1, 1)) is None


moments = st.lists(st.integers(0, 120 * S), max_size=40).map(sorted)


@given(moments, st.integers(1, 30))
def test_chains_partition_the_series(starts, period) -> None:
    """Every start is in exactly one chain, chains go forward in time by whole periods."""
    found = chains(starts, period)
    assert sorted(member for chain in found for member in chain.members) == list(range(len(starts)))
    for chain in found:
        for a, b in zip(chain.members, chain.members[1:], strict=False):
            assert whole_seconds(starts[b] - starts[a]) in range(period, 5 * period, period)


@given(moments)
def test_any_series_has_an_answer(starts) -> None:
    """Shares lie between 0 and 1, periods are whole and positive."""
    assert 0 <= on_grid(starts, starts) <= 1
    period = period_of(starts)
    assert period is None or period >= 1
    if period is not None:
        assert side_by_side(starts, period) >= 1


@given(st.integers(1, 60), st.integers(4, 20), st.integers(0, 10 * S), st.data())
def test_any_ticker_shows_its_period(period, count, first, data) -> None:
    """Whatever the period and phase, with a kubelet's delays (99 % within 5 ms: docs/how-it-knows.md, "What was measured"), however they fall."""
    late = data.draw(st.lists(st.integers(0, 5 * MS), min_size=count, max_size=count))
    starts = [first + n * period * S + delay for n, delay in enumerate(late)]
    assert period_of(starts) == period
    assert on_grid(starts, starts) == 1.0
    assert len(chains(starts, period)) == 1


@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("seed", range(20))
def test_a_slow_ticker_shows_its_period(period: int, seed: int) -> None:
    """Delays up to 10 ms that fall at random leave the period what it is; only such as take turns look like two tickers."""
    drawn = random.Random(seed)
    starts = [n * period * S + drawn.randrange(10 * MS) for n in range(drawn.randrange(3, 40))]
    assert period_of(starts) == period
    assert on_grid(starts, starts) == 1.0


def test_two_tickers_nearly_whole_seconds_apart_keep_their_own_period() -> None:
    """Each 3 s, one of them 0.991 s behind the other: the steps of one are exact, those from one to the other are not."""
    starts = sorted([*(n * 3 * S for n in range(8)), *(n * 3 * S + 991 * MS for n in range(8))])
    assert period_of(starts) == 3


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_the_median_is_that_of_statistics(values: list[float]) -> None:
    """It is a short cut to the library's, with the same result."""
    assert median(values) == statistics.median(values)
