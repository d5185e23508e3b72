"""A frame whose time is far from those of all frames around it is told at a time between them.

Theory of operation: one wrong bit in the time of one record moves it by seconds or by years. Sorted by that time it would make the
capture last so long: attempts would be missing for months, and a state would hold since 1970. A frame is written behind those that
were captured before it, so where the frames on both sides stand in order, on the same interface, and it alone does not stand
between them, its time is wrong, not theirs. That is known of a frame that is later than those behind it by more than any queue
holds one back, and of one that is as much earlier than the beginning. One that is late within the capture's own time is put in
its place, as it always was (`merge`): nothing lasts longer for it.

One damaged byte leaves of a time all but a multiple of what that byte counts (UNITS): among the times between its neighbours that
differ from it by such a multiple, the nearest to one of them is told. Where none is near, it is the time of the frame behind it: the
SYN of a probe that comes after seconds of silence would begin too early otherwise.

Limitations: of the first and the last SEEN frames of a file less is seen: what is off by less than FAR_NS is believed there, as
are the very first and the very last one, and everything that comes as a stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from probewatch.capture.steps import JITTER_NS, SEEN, STEP_NS, Seen, coming
from probewatch.model.frame import Batch, Part
from probewatch.model.units import DAY, MS, SECOND

if TYPE_CHECKING:
    from probewatch.capture.reader import Input


FAR_NS: Final = DAY
"""How far off a time is wrong whatever else there is: no capture has a pause of a day around one frame and goes back."""


UNITS: Final = (SECOND, (1 << 24) * 1_000, (1 << 32) * 1_000)
"""Nanoseconds that a damaged byte is off by a multiple of: of a pcap's seconds; of pcap's and pcapng's microseconds."""
NEAR_NS: Final = 10 * MS
"""Within which of the frame before or behind it such a time is: what one side says to the other follows so fast."""


def without_strays(reader: Input, source: Iterator[Part]) -> Iterator[Part]:
    """Yield the frames of a file in its order, none at a time that cannot be. The reader is told."""
    ahead: deque[Part] = deque()
    before: deque[Seen] = deque(maxlen=SEEN)
    first_ns: int | None = None
    while (part := ahead.popleft() if ahead else next(source, None)) is not None:
        if isinstance(part, Batch):
            *few, seen = [(frame.ns, frame.interface) for frame in part.made(slice(-SEEN - 1, None))]
            before.extend(few)
            first_ns = part.first_ns if first_ns is None else min(first_ns, part.first_ns)
        else:
            seen = (part.ns, part.interface)
        ns = seen[0]
        first_ns = ns if first_ns is None else first_ns
        if before and (ns - before[-1][0] > STEP_NS or first_ns - ns > STEP_NS):
            last_ns = before[-1][0]
            order = reader.order(late=ns < last_ns)
            (after_ns, _), *_ = coming((), ahead, source, 1) or [seen]
            after_ns = max(after_ns, last_ns)
            if (ns < last_ns or ns - after_ns > STEP_NS) and _alone(before, seen, coming((), ahead, source)):
                latest_ns = max(one.last_ns if isinstance(one, Batch) else one.ns for one in ahead)
                number = int(part.numbers[-1]) if isinstance(part, Batch) else part.number
                told_ns = _between(ns, last_ns, after_ns)
                reader.stray(number, ns - told_ns, order, latest_ns)
                part = _told(part, told_ns)
                seen = (told_ns, seen[1])
        before.append(seen)
        first_ns = min(first_ns, seen[0])
        yield part


def _alone(before: Sequence[Seen], odd: Seen, after: Sequence[Seen]) -> bool:
    """Tell whether all around a frame is in order without it, and of its interface on both sides."""
    around = [*before, *after]
    if not after or (len(around) < 2 * SEEN and abs(odd[0] - before[-1][0]) < FAR_NS):
        return False
    if any(later - earlier < -JITTER_NS for (earlier, _), (later, _) in pairwise(around)):
        return False
    return all(odd[1] in {interface for _, interface in side} for side in (before, after))


def _between(odd_ns: int, before_ns: int, behind_ns: int) -> int:
    """Return the time that a wrong one most likely was."""
    near, told_ns = NEAR_NS, behind_ns
    for unit in UNITS:
        for end_ns, at_ns in (
            (before_ns, before_ns + (odd_ns - before_ns) % unit),
            (behind_ns, behind_ns - (behind_ns - odd_ns) % unit),
        ):
            if before_ns <= at_ns <= behind_ns and abs(at_ns - end_ns) < near:
                near, told_ns = abs(at_ns - end_ns), at_ns
    return told_ns


def _told(part: Part, ns: int) -> Part:
    """Return a part whose last frame has another time."""
    if isinstance(part, Batch):
        times = part.times.copy()
        times[-1] = ns
        return replace(part, times=times)
    return part._replace(ns=ns)
