"""What a kubelet's version says of it: each rule changes once, where the sources changed."""

from __future__ import annotations

import pytest

from probewatch.decisions.versions import Pokes, keeps_ready, pokes, resets


@pytest.mark.parametrize(("rule", "since"), [(resets, 32), (keeps_ready, 35)])
def test_since(rule, since) -> None:
    """Between the last tree without it and the first one with it (docs/how-it-knows.md, "What differs between versions")."""
    assert [minor for minor in range(15, 40) if rule((1, minor))] == list(range(since, 40))
    assert rule((2, 0))


def test_pokes() -> None:
    """Up to 1.20 there is no manual trigger; 1.21 and 1.22 use it until a new container has a result, later ones while it is not Ready."""
    assert {minor: pokes((1, minor)) for minor in (19, 20, 21, 22, 23, 36)} == {
        19: Pokes.NOTHING,
        20: Pokes.NOTHING,
        21: Pokes.NEW_CONTAINERS,
        22: Pokes.NEW_CONTAINERS,
        23: Pokes.WHATEVER_IS_NOT_READY,
        36: Pokes.WHATEVER_IS_NOT_READY,
    }
