"""How the paces of checkers are found."""

from __future__ import annotations

from probewatch.probes.checkers import _smallest


def test_a_gap_that_nobody_votes_for_has_no_fraction() -> None:
    """Where a damaged clock leaves no vote near the best gap, it stays as it is (a capture with one byte changed showed it)."""
    best = (1.0, 3_000_000_000, 1_000_000)
    assert _smallest([10_000_000_000, 20_000_000_000], best) == best
    assert _smallest([1_000_000_000] * 4 + [3_000_000_000] * 4, best) == (1.0, 1_000_000_000, 1_000_000)
