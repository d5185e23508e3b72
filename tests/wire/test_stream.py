"""Reassembly of one direction."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.frame import Mark
from probewatch.wire.stream import MASK, SPANS, Stream, distance

DATA = bytes(range(256)) * 4
NEAR_THE_END = 2**32 - 100
BASES = [1, NEAR_THE_END]


def stream(base: int = 1, limit: int = 1024, marks: int = 256) -> Stream:
    """Return an empty stream that begins at `base`."""
    s = Stream(limit, marks)
    s.begin(base)
    return s


def put(s: Stream, start: int, end: int, number: int = 0, captured: int | None = None) -> None:
    """Add DATA[start:end] in frame `number`, of which `captured` bytes were captured."""
    payload = DATA[start:end] if captured is None else DATA[start : start + captured]
    s.add((s_base(s) + start) & MASK, payload, end - start, Mark(number, 0, number))


def s_base(s: Stream) -> int:
    """Return the sequence number of offset 0."""
    return s.base


@pytest.mark.parametrize("base", BASES)
def test_in_order(base: int) -> None:
    """Segments in order give their bytes, and an arrival each, also where the numbers wrap."""
    s = stream(base)
    put(s, 0, 100, 1)
    put(s, 100, 300, 2)

    assert bytes(s.data) == DATA[:300]
    assert [(a.length, a.mark.number) for a in s.arrivals] == [(100, 1), (300, 2)]
    assert (s.next, s.top, s.gap(300)) == (300, 300, None)


@pytest.mark.parametrize("base", BASES)
def test_out_of_order_waits_for_the_hole(base: int) -> None:
    """What came early is delivered when the hole is filled, with the time of the filling."""
    s = stream(base)
    put(s, 200, 300, 1)
    put(s, 100, 200, 2)
    assert not s.data
    assert s.gap(0) == 0
    put(s, 0, 100, 3)

    assert bytes(s.data) == DATA[:300]
    assert [(a.mark.number) for a in s.arrivals][-1] == 3
    assert s.gap(300) is None


def test_retransmission_and_overlap_change_nothing() -> None:
    """Bytes seen again, in whole or in part, neither repeat nor replace the first ones."""
    s = stream()
    put(s, 0, 100)
    s.add(1, b"x" * 100, 100, Mark(0, 0, 0))
    s.add(51, b"y" * 50 + DATA[100:150], 100, Mark(0, 0, 0))

    assert bytes(s.data) == DATA[:150]


def test_first_copy_wins_behind_a_hole_too() -> None:
    """Of two claims to the same waiting bytes the first one stands."""
    s = stream()
    put(s, 100, 200)
    s.add(51, b"z" * 300, 300, Mark(0, 0, 0))
    put(s, 0, 50)

    assert bytes(s.data) == DATA[:50] + b"z" * 50 + DATA[100:200] + b"z" * 150


def test_a_lost_segment_is_a_gap() -> None:
    """What follows a hole is never joined to what precedes it."""
    s = stream()
    put(s, 0, 100)
    put(s, 200, 300)

    assert bytes(s.data) == DATA[:100]
    assert s.gap(300) == 100
    assert s.top == 300


def test_acknowledged_but_unseen_is_a_gap() -> None:
    """Bytes that the peer has and the capture has not are a gap even at the end."""
    s = stream()
    put(s, 0, 100)

    assert s.gap(150) == 100
    assert s.gap(100) is None


def test_snapshot_length_cuts() -> None:
    """A cut payload ends the data where the capture ends, and nothing later is appended."""
    s = stream()
    put(s, 0, 100, captured=30)
    put(s, 100, 200)

    assert bytes(s.data) == DATA[:30]
    assert s.gap(200) == 30
    assert s.next == 200
    assert [s.shortened(end) for end in (100, 200, 201)] == [True, True, False]
    put(s, 250, 300)
    assert not s.shortened(200)  # (nothing is said of a stream with a hole)


def test_a_whole_copy_mends_nothing_that_was_cut_before() -> None:
    """Bytes behind a cut stay unknown: the gap is kept, no wrong byte appears."""
    s = stream()
    put(s, 50, 100, captured=10)
    put(s, 0, 50)
    put(s, 100, 200)

    assert bytes(s.data) == DATA[:60]
    assert s.gap(200) == 60


def test_nothing_is_kept_beyond_the_limit() -> None:
    """Bytes beyond the limit are counted, not kept, and are no gap."""
    s = stream(limit=150)
    put(s, 0, 100, 1)
    put(s, 100, 400, 2)
    put(s, 500, 600, 3)

    assert bytes(s.data) == DATA[:150]
    assert s.top == 600
    assert s.gap(600) is None
    assert s.held == 150


def test_gigabytes_cost_nothing() -> None:
    """A long stream leaves the limit in memory and its length right, past several wraps of the numbers."""
    s = stream(limit=1000)
    size = 1 << 24
    chunk = bytes(size)
    for i in range(1024):
        s.add((1 + i * size) & MASK, chunk, size, Mark(i, 0, i))

    assert s.top == 1024 * size
    assert s.held == 1000
    assert not s.spans


def test_arrivals_are_bounded() -> None:
    """A byte at a time fills the arrivals and no more; the last one moves on."""
    s = stream(marks=16)
    for i in range(300):
        put(s, i, i + 1, i)

    assert len(s.arrivals) == 16
    assert s.arrivals[-1].length == 300
    assert s.arrivals[0].length == 1


def test_holes_are_bounded() -> None:
    """Segments that leave a hole each fill no memory: the first hole is given up."""
    s = stream(limit=1 << 20)
    put(s, 0, 1)
    for i in range(10_000):
        s.add(1 + 10 + 10 * i, b"abcde", 5, Mark(i, 0, i))

    assert len(s.spans) <= SPANS
    assert bytes(s.data) == DATA[:1]
    assert s.gap(s.top) == 1


def test_acknowledged_holes_beyond_the_limit_are_given_up() -> None:
    """Losses late in a long stream leave nothing behind once they are acknowledged."""
    s = stream(limit=100)
    put(s, 0, 100)
    for i in range(50):
        start = 200 + 20 * i
        s.add(1 + start, b"0123456789", 10, Mark(0, 0, 0))
        s.acknowledged(1 + start + 10)

    assert not s.spans
    assert s.gap(s.top) is None


def test_far_away_is_no_part() -> None:
    """A sequence number outside any window (RFC 7323) is ignored."""
    s = stream()
    put(s, 0, 10)
    s.add(1 + (1 << 30) + 11, b"far", 3, Mark(0, 0, 0))
    s.add(MASK, b"a", 1, Mark(0, 0, 0))

    assert (s.top, s.spans) == (10, [])


@pytest.mark.parametrize("base", BASES)
def test_a_beginning_found_late(base: int) -> None:
    """Where the stream turns out to begin earlier, what was read becomes what waits."""
    s = stream((base + 100) & MASK)
    s.add((base + 100) & MASK, DATA[100:200], 100, Mark(1, 0, 1))
    s.extend_back(base, Mark(2, 0, 2))
    assert bytes(s.data) == b""
    assert s.gap(200) == 0
    put(s, 0, 100, 3)

    assert bytes(s.data) == DATA[:200]
    assert s.top == 200


def test_holes_are_counted() -> None:
    """`holes` tells how many separate pieces are missing."""
    s = stream()
    put(s, 0, 10)
    put(s, 20, 30)
    put(s, 40, 50)

    assert s.holes(10, 60) == 3
    assert s.holes(0, 50) == 2
    assert s.holes(0, 10) == 0


def test_distance_wraps() -> None:
    """Numbers are compared on the circle."""
    assert distance(5, MASK - 4) == 10
    assert distance(MASK - 4, 5) == -10


@st.composite
def captures(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[int, int, int]]]:
    """Draw a stream, where it starts, and what a capture saw of it: (from, to, captured), shuffled, doubled, cut, lost."""
    size = draw(st.integers(1, 600))
    data = draw(st.binary(min_size=size, max_size=size))
    edges = sorted({0, size, *draw(st.lists(st.integers(0, size), max_size=12))})
    pieces = list(itertools.pairwise(edges))
    some = st.tuples(st.integers(0, size - 1), st.integers(1, 80)).map(lambda p: (p[0], min(size, p[0] + p[1])))
    pieces += draw(st.lists(some, max_size=6))
    pieces = draw(st.permutations(pieces))
    kept = [piece for piece in pieces if draw(st.integers(0, 9))]
    cut = [(a, b, b - a if draw(st.integers(0, 14)) else draw(st.integers(0, b - a))) for a, b in kept]
    return data, draw(st.sampled_from([0, 77, 2**32 - 1, 2**32 - 300, 2**31 - 5])), cut


@given(captures(), st.integers(1, 700))
@settings(max_examples=300)
def test_never_a_wrong_byte(capture: tuple[bytes, int, list[tuple[int, int, int]]], limit: int) -> None:
    """Whatever order, doubling, cutting and loss: `data` is a prefix of what was sent; where it is not the longest, `gap` says so."""
    data, base, seen = capture
    s = Stream(limit, 256)
    s.begin(base)
    for number, (start, end, captured) in enumerate(seen):
        s.add((base + start) & MASK, data[start : start + captured], end - start, Mark(number, 0, number))

        assert data.startswith(bytes(s.data))
        assert len(s.data) <= limit
        assert s.held <= 2 * limit
    gap = s.gap(len(data))
    there = {at for start, end, _ in seen for at in range(start, end)}
    assert s.shortened(len(data)) <= (len(there) == len(data))
    if gap is None:
        assert bytes(s.data) == data[:limit]
    else:
        assert gap == len(s.data) < limit
    lengths = [arrival.length for arrival in s.arrivals]
    assert lengths == sorted(set(lengths))
    assert (lengths[-1] if lengths else 0) == len(s.data)


@given(captures())
@settings(max_examples=200)
def test_a_complete_capture_is_complete(capture: tuple[bytes, int, list[tuple[int, int, int]]]) -> None:
    """Where every byte was captured whole at least once, in any order, all of them come out."""
    data, base, seen = capture
    whole = [(a, b, b - a) for a, b, _ in seen]
    whole += [(i, min(i + 50, len(data)), min(i + 50, len(data)) - i) for i in range(0, len(data), 50)]
    s = Stream(1 << 16, 256)
    s.begin(base)
    for start, end, _ in whole:
        s.add((base + start) & MASK, data[start:end], end - start, Mark(0, 0, 0))

    assert bytes(s.data) == data
    assert s.gap(len(data)) is None


@given(st.lists(st.tuples(st.integers(0, MASK), st.integers(0, 200), st.integers(0, 70_000)), max_size=200))
@settings(max_examples=100)
def test_arbitrary_segments_stay_in_bounds(segments: list[tuple[int, int, int]]) -> None:
    """Any numbers and lengths leave the bounds and the invariants alone."""
    s = stream(limit=500, marks=20)
    for seq, captured, length in segments:
        s.add(seq, bytes(captured), length, Mark(0, 0, 0))
        s.acknowledged(seq)

        assert len(s.data) <= 500
        assert len(s.spans) <= SPANS
        assert len(s.arrivals) <= 20
        assert all(a < b and len(piece) <= b - a for a, b, piece in s.spans)
        assert all(left[1] <= right[0] for left, right in itertools.pairwise(s.spans))
        assert not s.spans or s.spans[0][0] > s.next
