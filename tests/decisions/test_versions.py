"""What a kubelet's version says of it: each rule changes once, where the sources changed."""

from __future__ import annotations

import pytest

from probewatch.decisions.versions import keeps_ready, pokes, resets


@pytest.mark.parametrize(("rule", "since"), [(pokes, 23), (resets, 32), (keeps_ready, 35)])
def test_since(rule, since) -> None:
    """KUBELET.md 0.2, between the last tree without it and the first one with it."""
    assert [minor for minor in range(15, 40) if rule((1, minor))] == list(range(since, 40))
    assert rule((2, 0))
