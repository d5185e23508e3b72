"""Several inputs as one timeline; frames out of time order within one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.capture import Reader, merged, open_all, wholesale
from probewatch.capture.merge import WINDOW_FRAMES, in_order
from probewatch.capture.sorting import joined, made_of, part_of
from probewatch.capture.tally import BATCH
from probewatch.model.frame import CaptureInfo, Frame


@pytest.fixture(autouse=True, scope="module", params=[1 << 62, 0], ids=["one by one", "in batches"])
def large(request) -> Iterator[None]:
    """Take inputs as small ones, and as large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wholesale, "LARGE", request.param)
        yield


@pytest.fixture(scope="module")
def timeline(make, tmp_path_factory):
    """Merge files made of (seconds, fraction, data); return the frames and what is to say of each file."""
    folder = tmp_path_factory.mktemp("merge")

    def build(*files) -> tuple[list[Frame], list[CaptureInfo]]:
        for n, frames in enumerate(files):
            (folder / str(n)).write_bytes(make.pcap(frames))
        readers = open_all([str(folder / str(n)) for n in range(len(files))])
        frames = list(merged(readers))
        for reader in readers:
            reader.close()
        return frames, [reader.info() for reader in readers]

    return build


def at(*seconds: int) -> list[tuple[int, int, bytes]]:
    """Make one frame for each second named."""
    return [(s, 0, b"%d" % n) for n, s in enumerate(seconds)]


def test_several_files(timeline):
    """Frames of several files come in time order; equal times in the order of the files, then of the numbers."""
    frames, infos = timeline(at(1, 3, 3, 9), at(0, 3, 10), [], at(3))
    assert [(f.ns // 10**9, f.file, f.number) for f in frames] == [
        (0, 1, 1), (1, 0, 1), (3, 0, 2), (3, 0, 3), (3, 1, 2), (3, 3, 1), (9, 0, 4), (10, 1, 3),
    ]  # fmt: skip
    assert [i.frames for i in infos] == [4, 3, 0, 1]


def test_reversed_file(timeline):
    """A file in reverse comes out in time order where it fits the window, and the disorder is noted."""
    frames, (info,) = timeline(at(*range(1000, 0, -1)))
    assert [f.number for f in frames] == list(range(1000, 0, -1))
    assert info.notes == ("999 frames are out of time order, the first of them frame 2, by up to 999 s",)


def test_equal_times_keep_their_order(timeline):
    """Frames of one time stay in the order of the file, however many."""
    frames, (info,) = timeline(at(*[7] * (3 * WINDOW_FRAMES)))
    assert [f.number for f in frames] == list(range(1, 3 * WINDOW_FRAMES + 1))
    assert info.notes == ()


@pytest.mark.parametrize("late", [1, 50, WINDOW_FRAMES - 1, WINDOW_FRAMES])
def test_late_frames(timeline, late):
    """A frame that stands up to the window too late comes out in its place, anywhere in a long file."""
    order = list(range(4 * WINDOW_FRAMES))
    for place in (0, 3, WINDOW_FRAMES - 1, WINDOW_FRAMES, 2 * WINDOW_FRAMES + 5):
        order.insert(place + late, order.pop(place))
    frames, (info,) = timeline(at(*order))
    assert [f.ns // 10**9 for f in frames] == sorted(order)
    assert "out of time order" in info.notes[0]
    assert len(info.notes) == 1


def test_clock_step(timeline):
    """A clock put back in a long capture breaks nothing: no frame is lost, and the second part goes on where the first one ended."""
    before, after = range(10_000, 10_000 + 3 * WINDOW_FRAMES + 7), range(100, 100 + 3 * WINDOW_FRAMES)
    frames, (info,) = timeline(at(*before, *after))
    assert [f.ns // 10**9 for f in frames] == [*before, *(before[-1] + n for n in range(len(after)))]
    assert [f.number for f in frames] == list(range(1, len(frames) + 1))
    (note,) = info.notes
    assert note.startswith(f"at frame {len(before) + 1} the clock was set back by {before[-1] - 100} s or more")
    assert (info.first_ns, info.last_ns) == (frames[0].ns, frames[-1].ns)


def test_clock_step_forward_is_nothing_special(timeline):
    """A clock put forward leaves the order as it is and is no disorder."""
    frames, (info,) = timeline(at(*range(5000), *range(9_000_000, 9_005_000)))
    assert [f.number for f in frames] == list(range(1, 10_001))
    assert info.notes == ()


def test_each_part_is_sorted_around_a_clock_step(timeline):
    """Jitter on both sides of a clock step is put in order within its own side."""
    rng = random.Random(3)
    parts = []
    for start in (1_000_000, 0, 500_000):
        order = list(range(start, start + 2 * WINDOW_FRAMES))
        for n in range(0, len(order) - 8, 8):
            chunk = order[n : n + 8]
            rng.shuffle(chunk)
            order[n : n + 8] = chunk
        parts.append(order)
    frames, _ = timeline(at(*parts[0], *parts[1], *parts[2]))
    seconds = [f.ns // 10**9 for f in frames]
    assert sorted(seconds) == sorted(parts[0] + parts[1] + parts[2])
    assert sum(a > b for a, b in pairwise(seconds)) == 1


def test_large_frames_shorten_the_window(make, tmp_path):
    """Of large frames fewer are held back, so that memory stays bounded."""
    path = tmp_path / "a"
    path.write_bytes(make.pcap([(n, 0, bytes(1000)) for n in range(5000)]))
    with Reader(str(path), 0) as reader:
        frames = in_order(reader, size=10_000)
        next(frames)
        assert reader.info().frames <= 2 * BATCH
        assert len(list(frames)) == 4999


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 20), files=st.integers(2, 4))
def test_several_files_in_batches(timeline, monkeypatch, seed, files):
    """Whatever stands in the files, equal times and clocks put back too: batches are merged into the same frames as single ones."""
    rng = random.Random(seed)
    made = []
    for _ in range(files):
        at_s, rows = 1000, []
        for n in range(rng.randrange(400)):
            at_s = max(0, at_s + rng.choice((0, 0, 0, 1, 1, 2, -300 if rng.random() < 0.01 else 1)))
            rows.append((at_s, 0, b"%d" % n * rng.randrange(1, 4)))
        made.append(rows)
    frames, infos = timeline(*made)
    monkeypatch.setattr(wholesale, "LARGE", (1 << 62) - wholesale.LARGE)
    assert timeline(*made) == (frames, infos)
    monkeypatch.undo()
    assert [(f.ns, f.file, f.number) for f in frames] == sorted((f.ns, f.file, f.number) for f in frames)


def test_a_few_frames_hold_no_large_buffer():
    """Frames that wait in the window do not keep the buffers of those that stood between them."""
    batch = made_of([Frame(n, 0, n, 0, 1, bytes([n % 256]) * 400, 400) for n in range(1000)])
    left = part_of(batch, np.array([0, 500, 999]))
    assert len(joined([left]).data) == 1200
    assert list(joined([left])) == list(left)


def test_many_inputs_share_the_window(timeline):
    """With many inputs nothing is lost and all comes in time order."""
    files = [at(*range(n, 600, 40)) for n in range(40)]
    frames, _ = timeline(*files)
    assert [f.ns // 10**9 for f in frames] == list(range(600))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=4))
def test_any_order(timeline, files):
    """Whatever the order in the files, what fits the window comes out sorted by (time, file, number), each frame once."""
    frames, _ = timeline(*(at(*seconds) for seconds in files))
    keys = [(f.ns // 10**9, f.file, f.number) for f in frames]
    assert keys == sorted((s, n, i) for n, seconds in enumerate(files) for i, s in enumerate(seconds, 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.lists(st.integers(0, 30), max_size=60), window=st.integers(1, 8))
def test_any_window_keeps_every_frame(make, tmp_path_factory, seconds, window):
    """However small the window, each frame comes out once, and in time order where no frame is later than it."""
    path = tmp_path_factory.getbasetemp() / "window"
    path.write_bytes(make.pcap(at(*seconds)))
    with Reader(str(path), 0) as reader:
        frames = list(in_order(reader, window))
    assert sorted(f.number for f in frames) == list(range(1, len(seconds) + 1))
    places = sorted(range(len(seconds)), key=lambda i: seconds[i])
    if all(abs(place - i) <= window for i, place in enumerate(places)):
        assert [f.ns // 10**9 for f in frames] == sorted(seconds)
