"""Several inputs as one timeline.

Theory of operation: captures hold frames out of time order: several queues of one network card, a clock that is put
right, files joined in the wrong order. A *file* is therefore put in order within a window: blocks of W frames are
read, each is sorted together with the W frames held back before it, and all but the latest W go out; so a frame that
stands at most W places too late comes out in its place. Sorting is stable, and nearly free where nothing is to sort.
A frame that is earlier than what has already gone out cannot be put right: what stood before it goes out first, time
goes back there, and a note says so.

A *stream* (standard input, FIFO) is never held back, but for a few frames where its clock may have been set: its frames go on
in the order they come.
Several inputs are merged by (time, input, number).

Of large inputs all that is done to batches (`sorting`), with the same result; their windows are larger by up to a batch.

A clock that was set is no disorder: what comes behind that is told by the clock as it was before (`hosts`, `steps`). Nor is a frame
whose time cannot be (`strays`). Whole pieces in the wrong order, where they are known for that, are put in the right one before
all else (`pieces`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Final

from probewatch.capture import wholesale
from probewatch.capture.hosts import by_hosts
from probewatch.capture.pieces import in_time_order
from probewatch.capture.reader import Input, flat
from probewatch.capture.steps import in_one_time
from probewatch.capture.strays import without_strays
from probewatch.model.frame import Batch, Frame, Part
from probewatch.model.units import decimal

WINDOW_FRAMES: Final = 4096
"""Places a frame may stand too late in its file."""
WINDOW_BYTES: Final = 4 << 20
"""Captured bytes after which a block ends early, so that jumbo frames do not fill the memory."""
FULL_WINDOWS: Final = 4
"""Inputs that have such windows; of more inputs each has its share of these."""
MIN_WINDOW: Final = 64
"""Frames in the window of each of very many inputs."""
_time = itemgetter(0)


def merged(readers: Sequence[Input]) -> Iterator[Frame]:
    """Yield the frames of all inputs on one timeline, in time order as far as the window reaches.

    One input that is a stream is passed on as it comes. Among several, a frame goes out when every stream has shown
    a later one, so a silent stream holds up the others.
    """
    return flat(merged_parts(readers))


def merged_parts(readers: Sequence[Input]) -> Iterator[Part]:
    """Yield the same, in batches where nothing comes in between."""
    if len(readers) == 1:
        reader = readers[0]
        return in_one_time(reader, reader.parts()) if reader.live else parts_in_order(reader)
    share = max(1, -(-len(readers) // FULL_WINDOWS))
    frames, size = max(WINDOW_FRAMES // share, MIN_WINDOW), WINDOW_BYTES // share
    if not any(reader.live for reader in readers) and any((reader.size or 0) >= wholesale.LARGE for reader in readers):
        with suppress(ImportError):  # without numpy all frames are merged one by one
            from probewatch.capture.sorting import side_by_side

            return side_by_side([parts_in_order(reader, frames, size) for reader in readers])
    return heapq.merge(
        *(
            flat(in_one_time(reader, iter(reader))) if reader.live else in_order(reader, frames, size)
            for reader in readers
        )
    )


def in_order(reader: Input, frames: int = WINDOW_FRAMES, size: int = WINDOW_BYTES) -> Iterator[Frame]:
    """Yield the frames of one file in time order, those at most `frames` places late in their place.

    Of frames larger than `size` bytes together fewer are held back.
    """
    return flat(_in_order(reader, _told(reader, iter(reader)), frames, size))


def parts_in_order(reader: Input, frames: int = WINDOW_FRAMES, size: int = WINDOW_BYTES) -> Iterator[Part]:
    """Yield the same in batches, except where there is something to sort."""
    return _in_order(reader, _told(reader, reader.parts()), frames, size)


def _told(reader: Input, source: Iterator[Part]) -> Iterator[Part]:
    """Yield what stands in a file, each frame at the time that it is told at."""
    return in_one_time(reader, by_hosts(reader, without_strays(reader, in_time_order(reader, source))))


def _in_order(reader: Input, source: Iterator[Part], frames: int, size: int) -> Iterator[Part]:
    held: list[Part] = []
    sent = -1
    while parts := _block(source, frames, size):
        if _straight((*held, *parts), sent):
            if held:
                sent = _last(held[-1])
            yield from held
            held = parts
            continue
        if any(isinstance(part, Batch) for part in (*held, *parts)):
            from probewatch.capture.sorting import in_time, joined, part_of

            whole, keep = joined([*held, *parts]), sum(len(part) if isinstance(part, Batch) else 1 for part in parts)
            if int(whole.times[-keep:].min()) >= sent:
                whole = in_time(whole)
                held = [part_of(whole, slice(-keep, None))]
                if len(whole) > keep:
                    before = part_of(whole, slice(0, -keep))
                    sent = before.last_ns
                    yield before
                continue
        waiting, block = list(flat(held)), list(flat(parts))
        if min(map(_time, block)) < sent:
            back = next(i for i, frame in enumerate(block) if frame.ns < sent)
            reader.note(
                f"at frame {block[back].number} time goes back by {decimal(sent - block[back].ns)} s or more, further "
                f"than can be put in order: the frames before it stay before it"
            )
            yield from sorted(waiting + block[:back], key=_time)
            waiting, block, sent = [], block[back:], -1
        keep = len(block)
        waiting += block
        waiting.sort(key=_time)
        ready, held = waiting[:-keep], [*waiting[-keep:]]
        if ready:
            sent = ready[-1].ns
            yield from ready
    yield from held


def _straight(parts: Iterable[Part], since: int) -> bool:
    """Tell whether time nowhere goes back."""
    for part in parts:
        if (part.first_ns if isinstance(part, Batch) else part.ns) < since:
            return False
        since = _last(part)
    return True


def _last(part: Part) -> int:
    return part.last_ns if isinstance(part, Batch) else part.ns


def _block(source: Iterator[Part], frames: int, size: int) -> list[Part]:
    """Take at least `frames` frames, but no more once they have `size` bytes."""
    block: list[Part] = []
    while frames > 0 and size > 0:
        part = next(source, None)
        if part is None:
            break
        block.append(part)
        if isinstance(part, Batch):
            frames -= len(part)
            size -= part.bytes
        else:
            frames -= 1
            size -= len(part.data)
    return block
