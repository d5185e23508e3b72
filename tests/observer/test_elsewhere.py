"""When a checker probed anybody lately, as each attempt saw it."""

from __future__ import annotations

from probewatch.observer.elsewhere import RECENT, Elsewhere


def test_each_attempt_keeps_those_before_it() -> None:
    """A window holds the latest starts before its attempt, in order, whatever comes later and however long the list grows."""
    elsewhere, starts = Elsewhere(), list(range(100, 100 + 10 * RECENT))
    windows = [elsewhere.before(start) for start in starts]
    for number, window in enumerate(windows):
        expected = starts[max(0, number - RECENT) : number]
        assert list(window) == expected
        assert (len(window), window[-3:]) == (len(expected), expected[-3:])
        assert not expected or window[0] == expected[0]


def test_lists_are_shared_and_do_not_grow() -> None:
    """Attempts one behind the other share a list, and no list holds more than a few times what is kept of one."""
    elsewhere = Elsewhere()
    windows = [elsewhere.before(start) for start in range(1000)]
    lists = {id(window._starts): len(window._starts) for window in windows}
    assert len(lists) < 1000 / RECENT
    assert max(lists.values()) <= 4 * RECENT
