"""Pieces of a file that stand in another order than they were captured, as when rotated files are joined in the wrong one.

Theory of operation: such a file is made of whole pieces, each in the order of time, no two of which cover one moment. Times alone do
not tell them from a clock that was set back (`steps`), so whoever knows more of the frames decides (`probewatch.joined`), and then
the pieces are told in the order of time. For that they are held in memory, so only what is small is looked at.

Limitations: a piece of less than SEEN frames is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from probewatch.capture.steps import JITTER_NS, SEEN, STEP_NS
from probewatch.model.frame import Batch, Frame, Part

if TYPE_CHECKING:
    from probewatch.capture.reader import Input

MOST_BYTES: Final = 16 << 20
"""A larger file is not looked at ..."""
MOST_FRAMES: Final = 200_000
"""... nor one of more frames, ..."""
MOST_PIECES: Final = 64
"""... nor put in order where it falls into more."""

Piece = tuple[int, int]
"""Its first and its last frame, by number."""


def times_of(parts: Iterable[Part]) -> list[int]:
    """Return the times of frames in the order in which they stand; none where they are too many."""
    times: list[int] = []
    for part in parts:
        if isinstance(part, Batch):
            times += part.times.tolist()
        else:
            times.append(part.ns)
        if len(times) > MOST_FRAMES:
            return []
    return times


def blocks_of(times: Sequence[int]) -> list[Piece]:
    """Return what stands between two moments at which time goes back, by more than any queue does."""
    blocks: list[Piece] = []
    first, latest = 1, times[0] if times else 0
    for number, ns in enumerate(times, 1):
        if latest - ns > STEP_NS:
            blocks.append((first, number - 1))
            first, latest = number, ns
        latest = max(latest, ns)
    return [*blocks, (first, len(times))] if times else []


def pieces_of(times: Sequence[int], blocks: Sequence[Piece]) -> list[Piece]:
    """Return the pieces in the order of time; none where it is no such file."""
    if not 1 < len(blocks) <= MOST_PIECES:
        return []
    spans = [_span(times, block) for block in blocks]
    cuts = sorted({ns for first, last in spans for ns in (first, last + 1)})
    pieces = [piece for block in blocks for piece in _split(times, block, cuts)]
    pieces.sort(key=lambda piece: _span(times, piece))
    latest = 0
    for piece in pieces:
        first, last = _span(times, piece)
        if piece[1] - piece[0] + 1 < SEEN or first < latest - JITTER_NS or len(pieces) > MOST_PIECES:
            return []
        latest = last
    return pieces


def _span(times: Sequence[int], piece: Piece) -> tuple[int, int]:
    """Return between which moments a piece was captured."""
    mine = times[piece[0] - 1 : piece[1]]
    return min(mine), max(mine)


def _split(times: Sequence[int], block: Piece, cuts: Sequence[int]) -> Iterator[Piece]:
    """Yield what of a block lies between moments at which others begin or end."""
    first, last = block
    for cut in cuts:
        at = next((number for number in range(first, last + 1) if times[number - 1] >= cut), last + 1)
        if first < at <= last:
            yield first, at - 1
            first = at
    yield first, last


def in_time_order(reader: Input, source: Iterator[Part]) -> Iterator[Part]:
    """Yield the frames of a file, piece by piece where it is known to consist of such."""
    if not reader.pieces:
        yield from source
        return
    frames: list[Frame] = []
    for part in source:
        frames += part if isinstance(part, Batch) else (part,)
    reader.told(min(frame.ns for frame in frames), max(frame.ns for frame in frames))
    for first, last in reader.pieces:
        yield from frames[first - 1 : last]
