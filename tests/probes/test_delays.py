"""When probes begin, against initialDelaySeconds: bounds from a known start, from a sibling, and none from nothing."""

from __future__ import annotations

import pytest
from make import LIVENESS, NODE6, POD6, READINESS, STARTUP, ns, run, spec

from probewatch.model.measure import Measure
from probewatch.model.spec import ProbeSpec
from probewatch.probes.delays import Life, delay_measures


def measured(first: float, *, low: float | None, high: float | None = None, period: int = 10, **ends: str) -> Measure:
    """Measure one probe's delay from its first attempt; low and high bound the start of its container."""
    life = Life(None if low is None else ns(low), None if high is None else ns(high), "startedAt", {0: run(first, **ends)})
    return delay_measures([life], [spec(period_s=period)], gated=False)[0]


@pytest.mark.parametrize("ends", [{}, {"client": NODE6, "server": POD6}], ids=["v4", "v6"])
def test_a_known_start_leaves_a_window(ends) -> None:
    """A first attempt 25 s after the start, period 10: no delay of more than 25 s, and none that a tick sooner would have met."""
    found = measured(25.4, low=0, high=0, **ends)
    assert found.high == 25
    assert found.low is not None
    assert 11 <= found.low <= 15
    assert found.allows(15)
    assert not found.allows(26)
    assert not found.allows(3)


@pytest.mark.parametrize("first", [0.2, 5.2, 10.9, 12.9])
def test_no_delay_is_always_possible_within_a_period(first) -> None:
    """The kubelet takes up to three seconds to notice a container, so a first tick a little over a period late contradicts nothing."""
    assert measured(first, low=0, high=0).allows(0)


def test_a_start_that_is_only_bounded_bounds_above() -> None:
    """Where the container began some time after `low`, the delay is at most what lies between; nothing bounds it below."""
    found = measured(8.5, low=2)
    assert (found.low, found.high) == (None, 6)


def test_an_unknown_start_shows_nothing() -> None:
    """Without any sign of the start every delay is possible, and what would tell is said."""
    found = measured(8.5, low=None)
    assert not found.visible
    assert "containerStatuses" in found.why


def test_the_tightest_life_counts() -> None:
    """Of several instances of a container the one that leaves least room bounds the delay."""
    lives = [Life(ns(0), how="a", firsts={0: run(30)}), Life(ns(100), how="b", firsts={0: run(104)})]
    assert delay_measures(lives, [spec()], gated=False)[0].high == 4


def pair(readiness: float, liveness: float, delays: tuple[int, int], *, joint: bool = True) -> dict[int, Measure]:
    """Measure two probes of one container whose start is not known."""
    specs = [spec(READINESS, initial_delay_s=delays[0]), spec(LIVENESS, initial_delay_s=delays[1])]
    life = Life(None, firsts={0: run(readiness), 1: run(liveness, path="/live")})
    return delay_measures([life], specs, gated=False, joint=joint)


def test_two_delays_that_cannot_go_together() -> None:
    """A liveness probe delayed by 40 s does not begin one second after a readiness probe without a delay; either may be wrong."""
    found = pair(1, 2, (0, 40))
    assert found[0].rivals == ("liveness",)
    assert found[1].rivals == ("readiness",)


def test_two_delays_that_may_go_together() -> None:
    """Declared delays that the first attempts keep are no rivals, in either order of beginning."""
    assert pair(1, 41, (0, 40))[1].rivals == ()
    assert pair(3, 1, (0, 0))[0].rivals == ()


def test_no_joint_claim_where_something_else_is_wrong() -> None:
    """Where another number is not as declared that explains the beginnings as well, so delays do not accuse each other."""
    assert all(not one.rivals for one in pair(1, 2, (0, 40), joint=False).values())


def test_behind_a_startup_probe_only_the_upper_bound_holds() -> None:
    """Who waits for a startup probe begins late for that reason: that shows no delay."""
    specs: list[ProbeSpec] = [spec(STARTUP), spec(READINESS)]
    life = Life(ns(0), ns(0), "startedAt", {0: run(1, path="/up"), 1: run(300)})
    found = delay_measures([life], specs, gated=True)
    assert (found[1].low, found[1].high) == (None, 300)
    assert found[1].rivals == ()


def test_an_attempt_read_for_its_predecessor_may_have_been_the_first() -> None:
    """What comes too late for a delay is judged from the first attempt that may have been the new container's."""
    life = Life(ns(0), ns(0), "startedAt", {0: run(60)}, earliest={0: ns(2)})
    assert delay_measures([life], [spec(period_s=10)], gated=False)[0].allows(0)
    specs = [spec(READINESS), spec(LIVENESS)]
    late = Life(None, firsts={0: run(60), 1: run(80, path="/live")})
    assert delay_measures([late], specs, gated=False)[1].rivals == ("readiness",)
    unsure = Life(None, firsts=late.firsts, earliest={1: ns(58)})
    assert delay_measures([unsure], specs, gated=False)[1].rivals == ()


def test_no_lives_no_measures() -> None:
    """A container that does not begin in the capture has no delay to measure."""
    assert delay_measures([], [spec()], gated=False) == {}
