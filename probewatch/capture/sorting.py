"""Frames of batches, put in the order of time without being made.

Theory of operation: what a window of `merge` holds becomes one batch: the buffers are joined, single frames laid behind them,
and the columns sorted. So a capture whose frames stand a little out of order is still passed over where it may be. A row that is
held back long (a frame from the future) is copied out of its buffer, so that no buffer is held for the sake of a few rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from probewatch.model.frame import Batch, Frame, Part, Place

if TYPE_CHECKING:
    from probewatch.model.frame import Ints

WASTE: Final = 2
"""Times the bytes of its frames that the buffer of a batch may have."""
SINGLES: Final = 512
"""Frames that stand alone, of one input among several, which are made a batch."""


def joined(parts: Sequence[Part]) -> Batch:
    """Return all frames of some parts as one batch, in the order in which they stand."""
    pieces: list[bytes] = []
    places: dict[Place, int] = {}
    columns: list[tuple[Ints, ...]] = []
    size = 0
    singles: list[Frame] = []

    def lay(batch: Batch) -> None:
        nonlocal size
        begin, end = int(batch.starts.min()), int((batch.starts + batch.sizes).max())
        known = np.array([places.setdefault(place, len(places)) for place in batch.places])
        which = np.full(len(batch), known[0]) if batch.which is None else known[batch.which]
        columns.append((which, batch.numbers, batch.starts - begin + size, batch.sizes, batch.originals, batch.times))
        pieces.append(batch.data[begin:end])
        size += end - begin

    for part in parts:
        if isinstance(part, Batch):
            if singles:
                lay(made_of(singles))
                singles = []
            lay(compact(part))
        else:
            singles.append(part)
    if singles:
        lay(made_of(singles))
    which, *others = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Batch(tuple(places), None if len(places) == 1 else which, b"".join(pieces), *others)


def made_of(frames: Sequence[Frame]) -> Batch:
    """Return frames as a batch."""
    places: dict[Place, int] = {}
    which = np.array([places.setdefault((f.file, f.interface, f.link_type), len(places)) for f in frames])
    sizes = np.array([len(f.data) for f in frames])
    return Batch(
        tuple(places),
        None if len(places) == 1 else which,
        b"".join(f.data for f in frames),
        np.array([f.number for f in frames]),
        np.cumsum(sizes) - sizes,
        sizes,
        np.array([f.original_length for f in frames]),
        np.array([f.ns for f in frames]),
    )


def compact(batch: Batch) -> Batch:
    """Return a batch with a buffer that is not much larger than its frames."""
    span = int((batch.starts + batch.sizes).max() - batch.starts.min())
    return batch if span <= WASTE * (int(batch.sizes.sum()) + 16 * len(batch)) else made_of(list(batch))


def part_of(batch: Batch, rows: Ints | slice) -> Batch:
    """Return some frames of a batch, in the order of the rows."""
    which = None if batch.which is None else batch.which[rows]
    columns = (batch.numbers, batch.starts, batch.sizes, batch.originals, batch.times)
    return Batch(batch.places, which, batch.data, *(column[rows] for column in columns))


def in_time(batch: Batch) -> Batch:
    """Return the same frames in the order of time; those of one time stay in their order."""
    return part_of(batch, batch.times.argsort(kind="stable"))


def side_by_side(inputs: Sequence[Iterator[Part]]) -> Iterator[Batch]:
    """Yield the frames of several inputs, each in the order of time, as one timeline; of one time in the order of the inputs."""
    sources = [_in_batches(parts) for parts in inputs]
    waiting: dict[int, Batch] = {}
    for number, source in enumerate(sources):
        first = next(source, None)
        if first is not None:
            waiting[number] = first
    while waiting:
        # The one whose batch ends first goes out whole: nothing earlier can come any more, of no input. Of its latest time
        # more may come, which belongs before those of the inputs behind it.
        ends = min(waiting, key=lambda number: (waiting[number].last_ns, number))
        last_ns = waiting[ends].last_ns
        out: list[Part] = []
        for number in sorted(waiting):
            batch = waiting[number]
            count = int(batch.times.searchsorted(last_ns, "right" if number <= ends else "left"))
            if count:
                out.append(part_of(batch, slice(0, count)))
            if count == len(batch):
                after = next(sources[number], None)
                if after is None:
                    del waiting[number]
                else:
                    waiting[number] = after
            else:
                waiting[number] = part_of(batch, slice(count, None))
        yield in_time(joined(out))


def _in_batches(parts: Iterator[Part]) -> Iterator[Batch]:
    """Yield the same frames in batches only; a new one begins where time goes back for good."""
    singles: list[Frame] = []
    for part in parts:
        begins_ns = part.first_ns if isinstance(part, Batch) else part.ns
        if singles and (len(singles) >= SINGLES or begins_ns < singles[-1].ns):
            yield made_of(singles)
            singles = []
        if isinstance(part, Batch):
            yield joined([*singles, part]) if singles else part
            singles = []
        else:
            singles.append(part)
    if singles:
        yield made_of(singles)
