"""How the paces of checkers are found, and whose a check is that shows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from probewatch.model.units import MS
from probewatch.probes.checkers import Check, Track, _smallest, centre, tracks
from probewatch.probes.learnt import on_ticks
from probewatch.probes.shapes import Shape, What
from probewatch.probes.signatures import Basis

SHAPE = Shape(What.CLOSE)


def series(gaps: Sequence[float], refused: Sequence[int] = (), *, known: bool = False) -> tuple[list[Check], list[Track]]:
    """Return checks with these pauses in milliseconds, some of them refused, and the series found in them; `known` says whose they are."""
    at, checks = 0, []
    for number, gap in enumerate((0.0, *gaps)):
        at += int(gap * MS)
        failed = number in refused
        checks.append(Check(at, at + MS // 10, None if failed else SHAPE, failed))
    return checks, tracks(checks, frozenset(), frozenset({SHAPE}) if known else frozenset())


def test_a_gap_that_nobody_votes_for_has_no_fraction() -> None:
    """Where a damaged clock leaves no vote near the best gap, it stays as it is (a capture with one byte changed showed it)."""
    best = (1.0, 3_000_000_000, 1_000_000)
    assert _smallest([10_000_000_000, 20_000_000_000], best) == best
    assert _smallest([1_000_000_000] * 4 + [3_000_000_000] * 4, best) == (1.0, 1_000_000_000, 1_000_000)


def test_a_retry_that_came_late_the_first_time_loses_none_of_those_after_it() -> None:
    """The pause before a retry is the shortest that was seen: keepalived's on a busy machine were 5.4 ms late, then in time."""
    gaps = [1502] * 8 + [1501] + ([1005.4, 1004.3, 1002.1, 1505.8] + [1000.4, 1001.4, 1000.2, 1500.3] * 2) + [1502] * 6
    checks, (one,) = series(gaps, refused=range(9, 22))
    assert one.members == list(range(len(checks)))


def test_a_cycle_that_is_shorter_than_usual_loses_no_check() -> None:
    """Where one checker asks at a port, one a little early is its: Monit's cycle is shorter when its other checks are refused."""
    gaps = [3140, 3171, 3120, 3143, 3150, 3135, 3019, 3018, 3017, 3020, 3140, 3144, 3136, 3151]
    checks, (one,) = series(gaps, refused=range(7, 11))
    assert one.members == list(range(len(checks)))


def test_ticks_of_one_loop_are_told_from_timers() -> None:
    """Checks whole tenths of a second after others of the same loop are seen, late as it may run; those of other timers are not."""
    others = [number * 3_007 * MS for number in range(30)]
    beat = [number * 2_004 * MS // 100 * 100 for number in range(45)]
    loop = [other + (number % 9) * 101 * MS for number, other in enumerate(others)]
    assert on_ticks(loop, others, 100 * MS)
    assert not on_ticks([start + 37 * MS + start % 89 * MS for start in beat], others, 100 * MS)


@pytest.mark.parametrize(("pause", "basis"), [(False, Basis.CLOCK), (True, Basis.PAUSE)])
def test_a_loop_that_sleeps_for_the_rest_counts_from_start_to_start(pause: bool, basis: Basis) -> None:
    """Timeouts lengthen the step of who pauses after a check, and not that of who sleeps for what is left and drifts off the grid."""
    at, checks = 0, []
    for number in range(24):
        took = 2_002 * MS if 10 <= number < 14 else MS
        checks.append(Check(at, at + took, SHAPE, took > MS))
        at += 5_003 * MS + (took if pause else 0)
    (one,) = tracks(checks, frozenset())
    assert (one.pace.basis, one.pace.interval_ns // MS, len(one.members)) == (basis, 5_003, 24)


def test_people_are_no_series() -> None:
    """Where most pauses are like no others, a few that are alike by chance make no checker of them."""
    gaps = [1122, 453, 44, 2517, 809, 1590, 2209, 446, 1095, 1122, 2781, 345, 290, 1711, 308, 737, 3430, 1128, 1125, 1131, 1120]
    assert series(gaps)[1] == []


def test_half_the_usual_pause_while_down_is_one_checker() -> None:
    """`inter 3s downinter 1500ms`: every second check stands the usual pause after another, and still there is one HAProxy, not two."""
    down = [502, 503] + [1502, 1503, 1501, 1504] * 3 + [502, 501]
    gaps = [3002] * 5 + down + [3002] * 6
    _, (one,) = series(gaps, known=True)
    assert len(one.members) == len(gaps) + 1
    # A third, without a fastinter to show it.
    gaps = [3002] * 5 + [1002] * 14 + [3002] * 6
    _, (one,) = series(gaps, known=True)
    assert len(one.members) == len(gaps) + 1


def test_two_that_are_always_there_are_two_checkers() -> None:
    """Two servers of one process go on at one distance behind each outage; they are two, near a quarter of the interval too."""
    for first, second in ((700, 2302), (1200, 1802), (760, 2242)):
        at, found = 0, []
        for number in range(60):
            at += int((first if number % 2 else second) * MS)
            failed = 20 <= number < 30
            found.append(Check(at, at + MS // 10, None if failed else SHAPE, failed))
        assert [len(one.members) for one in tracks(found, frozenset(), frozenset({SHAPE}))] == [30, 30]


def test_pauses_of_no_one_range_have_no_middle() -> None:
    """Half a second, half three milliseconds (a clock that stood still): nothing lies near their median, and none is told."""
    assert centre([1_004 * MS, 1_005 * MS, 1_002 * MS, 1_002 * MS, 3 * MS, 3 * MS, 2 * MS, 3 * MS]) is None
    assert centre([1_800 * MS, 2_000 * MS, 2_200 * MS, 90 * MS]) == 2_000 * MS
