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


def test_the_latest_pause_is_kept() -> None:
    """However many attempts came since, each knows the attempts around the latest time in which nobody was probed."""
    elsewhere = Elsewhere()
    second = 1_000_000_000
    before = [elsewhere.before(n * second) for n in range(5)]
    after = [elsewhere.before((15 + n) * second) for n in range(3 * RECENT)]
    assert {window.pause for window in (*before, after[0])} == {None}
    assert {window.pause for window in after[1:]} == {(4 * second, 15 * second)}


def test_an_attempt_that_took_long_ends_no_pause_after_it() -> None:
    """Attempts come in the order of their ends: one that began within a pause leaves the longer part of it, if that is one."""
    elsewhere, second = Elsewhere(), 1_000_000_000
    for at in (1, 2, 12, 4):
        elsewhere.before(at * second)
    assert elsewhere.before(13 * second).pause == (4 * second, 12 * second)
    for at in (6, 8, 10):
        elsewhere.before(at * second)
    assert elsewhere.before(14 * second).pause is None


def test_a_moment_of_silence_is_kept_too() -> None:
    """A tenth of a second in which nobody was probed is remembered, behind many attempts since and shortened by what began within it."""
    elsewhere, ms = Elsewhere(), 1_000_000
    for at in (*range(1000, 1500, 20), 2000, 2001, 2002, 1700):
        elsewhere.before(at * ms)
    late = elsewhere.before(2003 * ms)
    assert (late.silence(2003 * ms), late.between(1999 * ms, 2001 * ms)) == ((1700 * ms, 2000 * ms), 2)
    assert late.silence(2400 * ms) == (2002 * ms, 2400 * ms), "and what goes on is one too"
    for at in range(2010, 3000, 10):
        elsewhere.before(at * ms)
    assert elsewhere.before(3001 * ms).silence(3001 * ms) == (1700 * ms, 2000 * ms)


def test_a_pause_over_which_grids_went_on_is_no_restart() -> None:
    """Ports that are probed as far apart behind a pause as before it show the process that was there before; new phases show none."""
    second = 1_000_000_000
    elsewhere = Elsewhere()
    for at in (0, 5, 10):
        elsewhere.before(at * second, ("10.0.0.1", 80))
    assert not elsewhere.before(12 * second, ("10.0.0.2", 80)).ran_on(10 * second, 15 * second)
    elsewhere.before(15 * second + 3_000_000, ("10.0.0.1", 80))
    after = elsewhere.before(16 * second, ("10.0.0.3", 80))
    assert after.ran_on(12 * second, 15 * second)
    assert not after.ran_on(9 * second, 12 * second), "what came back there was new"
    elsewhere.before(18 * second, ("10.0.0.1", 80))
    elsewhere.before(21 * second + second // 2, ("10.0.0.1", 80))
    assert not elsewhere.before(22 * second, ("10.0.0.1", 80)).ran_on(18 * second, 21 * second + second // 2)
