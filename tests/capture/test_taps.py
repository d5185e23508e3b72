"""Several interfaces as one capture: the order of time, the horizon, and a clock that is set."""

from __future__ import annotations

import os

from probewatch.capture.live import Live
from probewatch.capture.taps import LAG_NS, Taps
from probewatch.capture.write import Counts
from probewatch.model.frame import CaptureInfo, Frame, Interface, Loss
from probewatch.model.units import SECOND


class Fake:
    """Stands for a `Live`: frames that come when they are put."""

    def __init__(self, name: str, clocks: Clocks) -> None:
        self._clocks = clocks
        self.interface, self.path, self.link_type, self.ended = name, f"interface {name}", 1, False
        self.came: list[Frame] = []
        self.at_once = 1 << 62
        self.taken = 0
        self.gaps: list[Loss] = []
        self.dropped = 0
        self._ends = os.pipe()
        os.write(self._ends[1], b"x")  # always readable: nothing here waits

    def fileno(self) -> int:
        """Return a descriptor."""
        return self._ends[0]

    @property
    def behind_ns(self) -> int:
        """Return whether something is left."""
        return len(self.came)

    @property
    def seen_ns(self) -> int:
        """Return up to when everything was handed out."""
        return self._clocks.wall

    def poll(self, timeout_s: float) -> list[Frame]:
        """Return what was put."""
        del timeout_s
        out, self.came = self.came[: self.at_once], self.came[self.at_once :]
        self.taken += len(out)
        return out

    def catch_up(self) -> int:
        """Return how many frames were put so far."""
        return self.taken + len(self.came)

    def counts(self) -> Counts:
        """Return what was lost."""
        return Counts(received=0, dropped=self.dropped)

    def info(self) -> CaptureInfo:
        """Return the account."""
        return CaptureInfo(path=self.path, format="live", interfaces=(Interface(0, self.interface, 1, 0, self.dropped),))

    def close(self) -> None:
        """Let go of the descriptor."""
        for end in self._ends:
            os.close(end)
        self._ends = (-1, -1)


class Clocks:
    """A wall clock and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = 10_000 * SECOND, 5 * SECOND

    def go(self, ns: int) -> None:
        """Let time pass."""
        self.wall += ns
        self.steady += ns


def made(*names: str) -> tuple[Taps, dict[str, Fake], Clocks]:
    """Return taps of fake interfaces, and their clocks."""
    clocks = Clocks()
    lives = {name: Fake(name, clocks) for name in names}
    open_one = lives.__getitem__
    taps = Taps(names, open_one, wall_ns=lambda: clocks.wall, steady_ns=lambda: clocks.steady)  # type: ignore[arg-type]
    return taps, lives, clocks


def frame(ns: int) -> Frame:
    """Return a frame of a moment."""
    return Frame(ns, 0, 1, 0, 1, b"", 0)


def test_frames_go_on_in_the_order_of_time() -> None:
    """Frames of two interfaces that come in any order within the lag go on by time, numbered by place, each with its interface."""
    taps, lives, clocks = made("a", "b")
    now = clocks.wall
    lives["a"].came = [frame(now + 3), frame(now + 1)]
    assert taps.poll(0) == []
    clocks.go(LAG_NS // 2)
    lives["b"].came = [frame(now + 2)]
    assert taps.poll(0) == []
    clocks.go(LAG_NS)
    assert [(f.ns - now, f.number, f.interface) for f in taps.poll(0)] == [(1, 1, 0), (2, 2, 1), (3, 3, 0)]
    taps.close()


def test_what_was_left_behind_comes_a_little_at_a_time() -> None:
    """At the end the frames that wait at an interface are made as they are taken, in the order of time; not all of them at once."""
    taps, lives, clocks = made("a", "b")
    begun = clocks.wall
    lives["a"].came = [frame(begun + 2 * n) for n in range(1_000)]
    lives["b"].came = [frame(begun + 2 * n + 1) for n in range(500)]
    lives["a"].at_once = lives["b"].at_once = 10
    clocks.go(10 * SECOND)
    draining = taps.drain()
    first = next(draining)
    lives["b"].came.append(frame(clocks.wall))  # (what comes now is not of it)
    assert first.ns == begun
    assert len(lives["a"].came) > 900
    rest = list(draining)
    assert len(rest) == 1_499
    assert sorted(one.interface for one in rest) == [0] * 999 + [1] * 500
    assert [one.number for one in rest] == list(range(2, 1_501))
    taps.close()


def test_the_horizon_follows_the_clock_only_where_the_ring_is_empty() -> None:
    """Where nothing comes the horizon is the clock less the lag; one interface that still shows old frames holds it back."""
    taps, _, clocks = made("a")
    taps.poll(0)
    assert taps.horizon_ns == clocks.wall - LAG_NS
    clocks.go(10 * SECOND)
    taps.poll(0)
    assert taps.horizon_ns == clocks.wall - LAG_NS
    clocks.go(SECOND)
    assert list(taps.drain()) == []
    assert taps.horizon_ns == clocks.wall  # (all that had passed was fetched)
    taps.close()


def test_a_clock_that_is_set_is_told_and_stops_nothing() -> None:
    """After a step back frames go on by the clock as it was, and the account says so; what a step forward skips counts as lost."""
    taps, lives, clocks = made("a")
    lives["a"].came = [frame(clocks.wall)]
    clocks.go(SECOND)
    assert len(taps.poll(0)) == 1
    clocks.wall -= 3600 * SECOND
    lives["a"].came = [frame(clocks.wall)]
    taps.poll(0)
    clocks.go(SECOND)
    (one,) = taps.poll(0)
    now = clocks.wall + 3600 * SECOND  # by the clock as it was
    assert one.ns == now - SECOND
    assert taps.losses() == [Loss(now - SECOND, now - SECOND + 1, clock=True)]
    assert taps.horizon_ns == now - LAG_NS
    clocks.wall += 7 * SECOND
    taps.poll(0)
    assert taps.losses() == [Loss(now, now + 7 * SECOND, clock=True)]
    info = taps.info()
    assert not info.complete
    assert info.notes == (
        "the clock was set back by 3600 s behind frame 1: what comes behind that is told by the clock as it was before",
        "the clock was set forward by 7 s behind frame 2: times before and after that do not compare",
    )
    taps.close()


def test_frames_stamped_before_the_clock_was_set_keep_their_times() -> None:
    """Of what waits at an interface when that is seen, only what was stamped behind the step is told by the clock as it was."""
    taps, lives, clocks = made("a", "b")
    begun = clocks.wall
    for live in lives.values():
        live.at_once = 3
        live.came = [frame(begun + n) for n in range(5)] + [frame(begun + n - 60 * SECOND) for n in range(5, 9)]
    clocks.wall -= 60 * SECOND
    out = []
    for _ in range(6):
        clocks.go(SECOND)
        out += taps.poll(0)
    assert [(one.ns - begun, one.interface) for one in out] == [(n, place) for n in range(9) for place in (0, 1)]
    taps.close()


def test_what_the_kernel_lost_makes_it_incomplete() -> None:
    """Frames for which there was no room are counted at their interface, and the capture is not complete."""
    taps, lives, _ = made("a", "b")
    assert taps.info().complete
    lives["b"].dropped = 7
    info = taps.info()
    assert not info.complete
    assert [interface.drops for interface in info.interfaces] == [0, 7]
    assert taps.counts().dropped == 7
    taps.close()


def test_a_fake_is_like_the_thing_it_stands_for() -> None:
    """Whatever the stand-in of these tests offers, `Live` has."""
    offered = {name for name in vars(Fake) if not name.startswith("_")}
    assert offered <= set(dir(Live))
