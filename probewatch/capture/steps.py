"""A clock that was set back while capturing: what comes after it is told by the clock as it was before.

Theory of operation: frames stand in the order in which they were captured, but for jitter (several queues of a network card) and
files that were joined. Where a clock is set back, time jumps back once and goes on from there: the frames before the jump are all
later than those behind it, and on both sides they stand in order, at the same interface. Sorted by their times the second part
would be put among the first, and attempts of one probe among each other. So the second part is moved behind the first, as if no
time had passed; how much did, nobody knows, and a loss of no length says so: what was under way then is not judged, and what
is counted is counted anew (`observer.losses`).

By how much it was set is known where hosts show it (`hosts`): then nothing is left of it when this looks at the frames.

What is jitter, an odd time, or a file in reverse does not look like that. Files joined end to end do, where they do not begin
together and their interfaces are not told apart: then both are shown whole, one behind the other, unless frames show that they
were joined in the wrong order (`pieces`); the note names that, too.

Limitations: what no host shows and is less than STEP_NS back, or nearer to a file's end than SEEN frames, is sorted; a clock set
forward looks like a pause then. Attempts are out of step with those before, by the time that nobody knows: what no manifest declares
may be told as two probes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final

from probewatch.capture.tally import MAX_NS
from probewatch.model.frame import Batch, Loss, Part
from probewatch.model.units import MS, SECOND, decimal

if TYPE_CHECKING:
    from probewatch.capture.reader import Input

STEP_NS: Final = SECOND
"""Time by which a clock must have been set back: no queue holds a frame so long."""
SEEN: Final = 8
"""Frames on either side that show it."""
JITTER_NS: Final = 100 * MS
"""How far these may stand out of order among themselves."""
TOGETHER_NS: Final = 2 * SECOND
"""Files joined end to end begin together, where they were captured at the same time: within this."""

Seen = tuple[int, int]
"""Time and interface of a frame."""


def in_one_time(reader: Input, source: Iterator[Part]) -> Iterator[Part]:
    """Yield the same frames, moved as the reader says, and those behind a clock's step back behind those before it. The reader is told."""
    ahead: deque[Part] = deque()
    recent: deque[Seen] = deque(maxlen=SEEN)
    shift_ns, last_ns, latest_ns = reader.shift_ns, 0, 0
    first_ns = begun_ns = -1
    while (part := ahead.popleft() if ahead else next(source, None)) is not None:
        ns = part.first_ns if isinstance(part, Batch) else part.ns
        if begun_ns < 0:
            begun_ns = ns
        if last_ns - ns - shift_ns > STEP_NS and abs(ns - begun_ns) > TOGETHER_NS:
            behind = coming((part,), ahead, source)
            if _is_step(recent, [(each + shift_ns, interface) for each, interface in behind]):
                back_ns, shift_ns = last_ns - ns - shift_ns, last_ns + 1 - ns
                number = int(part.numbers[0]) if isinstance(part, Batch) else part.number
                reader.note(
                    f"at frame {number} the clock was set back by {decimal(back_ns // MS * MS)} s or more: "
                    "what comes from there on is told by the clock as it was before, and how much time passed then is not known "
                    "(if files were joined in the wrong order instead, give them one by one, or sort them: reordercap)"
                )
                reader.was_set(-back_ns)
                reader.lose(Loss(last_ns, last_ns + 1, clock=True))
                begun_ns = ns
        if shift_ns:
            part = moved(part, shift_ns)
        if isinstance(part, Batch):
            recent.extend((frame.ns, frame.interface) for frame in part.made(slice(-SEEN, None)))
            last_ns = part.last_ns
        else:
            last_ns = part.ns
            recent.append((last_ns, part.interface))
        first_ns = last_ns if first_ns < 0 else min(first_ns, last_ns)
        latest_ns = max(latest_ns, last_ns)
        if shift_ns:
            reader.told(first_ns, latest_ns)
        yield part


def moved(part: Part, by_ns: int, since: int = 0) -> Part:
    """Return a part with other times, of a batch from a row on; none outside of what a frame can have."""
    if not by_ns:
        return part
    least, most = max(0, -by_ns), min(MAX_NS, MAX_NS - by_ns)
    if isinstance(part, Batch):
        times = part.times.copy()
        times[since:] = times[since:].clip(least, most) + by_ns
        return replace(part, times=times)
    return part._replace(ns=max(least, min(part.ns, most)) + by_ns)


def _few(part: Part, number: int) -> list[Seen]:
    """Return the first frames of a part in short."""
    frames = part.made(slice(0, number)) if isinstance(part, Batch) else (part,)
    return [(frame.ns, frame.interface) for frame in frames]


def coming(first: tuple[Part, ...], ahead: deque[Part], source: Iterator[Part], number: int = SEEN) -> list[Seen]:
    """Return the next frames in short, so many; what is read for that is put behind what is ahead."""
    out: list[Seen] = []
    for one in chain(first, ahead):
        out += _few(one, number - len(out))
        if len(out) >= number:
            return out
    for one in source:
        ahead.append(one)
        out += _few(one, number - len(out))
        if len(out) >= number:
            break
    return out


def _is_step(before: deque[Seen], after: list[Seen]) -> bool:
    """Tell whether all is in order on both sides, and all before later than all behind."""
    if len(before) < SEEN or len(after) < SEEN:
        return False
    if any(later - earlier < -JITTER_NS for side in (before, after) for (earlier, _), (later, _) in pairwise(side)):
        return False
    if max(ns for ns, _ in after) >= min(ns for ns, _ in before):
        return False
    return not {interface for _, interface in before}.isdisjoint(interface for _, interface in after)
