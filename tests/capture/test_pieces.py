"""Pieces of a file that stand in another order than they were captured are found by their times, and told in the order of time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from probewatch.capture import Reader, merged
from probewatch.capture.pieces import MOST_FRAMES, blocks_of, pieces_of, times_of
from probewatch.model.units import SECOND as S


def found(*seconds: int) -> list[tuple[int, int]]:
    """Return the pieces of frames at these moments."""
    times = [s * S for s in seconds]
    return pieces_of(times, blocks_of(times))


def test_whole_pieces_in_another_order() -> None:
    """Two, three in each order, and one that belongs into a pause of another."""
    one, two, three = range(100, 120), range(150, 175), range(200, 230)
    assert found(*two, *one) == [(26, 45), (1, 25)]
    assert found(*three, *two, *one) == [(56, 75), (31, 55), (1, 30)]
    assert found(*two, *three, *one) == [(56, 75), (1, 55)]
    assert found(*one, *three, *two) == [(1, 20), (51, 75), (21, 50)]


@pytest.mark.parametrize("seconds", [
    [*range(100)], [*range(50, 100), *range(60, 120)], [*range(100, 0, -1)], [*range(40), 20, *range(40, 80)],
    [*range(100, 200), *range(7)], [],
], ids=["in order", "overlapping", "reversed", "one late", "too little", "empty"])  # fmt: skip
def test_what_is_none(seconds: list[int]) -> None:
    """A file in order, pieces of one time, what is no piece, and what is too small for one."""
    assert found(*seconds) == []


def test_jitter_within_pieces() -> None:
    """Frames of a piece stand a little out of order among themselves, as everywhere."""
    times = [n * S // 100 + (n % 2) * 30_000_000 for n in [*range(1_000, 1_200), *range(500, 700)]]
    assert pieces_of(times, blocks_of(times)) == [(201, 400), (1, 200)]


def test_pieces_are_told_in_the_order_of_time(make: SimpleNamespace, tmp_path) -> None:
    """All frames come, with the numbers that they have in the file; nothing is lost, and no time is another."""
    seconds = [*range(150, 175), *range(100, 120)]
    path = tmp_path / "in.pcap"
    path.write_bytes(make.pcap([(s, 0, b"x") for s in seconds]))
    with Reader(str(path), 0) as reader:
        reader.pieces = found(*seconds)
        frames = list(merged([reader]))
        info = reader.info()
    assert [frame.ns // S for frame in frames] == sorted(seconds)
    assert [frame.number for frame in frames] == [*range(26, 46), *range(1, 26)]
    assert (info.first_ns, info.last_ns, info.frames, info.notes) == (100 * S, 174 * S, 45, ())


def test_too_many_frames_are_not_looked_at() -> None:
    """Of more than that nothing is kept."""
    frame = SimpleNamespace(ns=1)
    assert len(times_of([frame] * MOST_FRAMES)) == MOST_FRAMES
    assert times_of([frame] * (MOST_FRAMES + 1)) == []
