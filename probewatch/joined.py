"""A file whose pieces were joined in another order than they were captured: what shows it, and puts them in order.

Theory of operation. Where time goes back within a file, its clock was set, or whole pieces of it stand in another order than they were
captured, as when rotated files are joined (`mergecap -a`). The pieces are laid in the order of time (`capture.pieces`), and wherever two
meet that did not stand together, the frames on both sides must show that they belong together:

- A connection goes on from one to the other, and its TCP timestamps (RFC 7323), which come from a clock that nobody sets, keep their
  distance from the times of the frames. Where they do not, or not over a moment at which time goes back, the clock was set.
- Else the pause between the two is short, and who asks at a steady pace asked before it and when the next was due. That a clock was
  set back by just so much, and captured on for just so long, has some probability, which must be small (CHANCE).

What is left open is taken for a clock that was set (`capture.steps`), as what is larger than `capture.pieces` looks at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from .model.units import MS, decimal, off_by

if TYPE_CHECKING:
    from .capture.pieces import Piece
    from .capture.reader import Reader
    from .wire.packets import Segment

TICKS: Final = 1 << 32
"""Values of a TCP timestamp; Linux counts milliseconds in it (net/ipv4/tcp_output.c)."""
PART: Final = 10
"""Part of the time gone back by which timestamps and times of frames may differ: clocks drift, and frames wait."""
CHANCE: Final = 2e-3
"""Probability below which it is none."""
ON_TIME_NS: Final = 5 * MS
"""A ticker is kept to this."""
STEPS: Final = 4
"""Steps between starts that show a pace."""

Ends = tuple[str, int, str, int]
Flow = tuple[str, str, int]
"""Source, destination, its port."""


def put_in_order(readers: Sequence[Reader]) -> None:
    """Let readers tell their files piece by piece, where these stand in another order than they were captured (`Reader.pieces`)."""
    from .capture.pieces import MOST_BYTES, blocks_of, pieces_of, times_of
    from .capture.reader import Reader

    for reader in readers:
        if reader.live or reader.size is None or reader.size > MOST_BYTES:
            continue
        with Reader(reader.path, 0) as looked:
            times = times_of(looked.parts())
        blocks = blocks_of(times)
        pieces = pieces_of(times, blocks)
        if pieces and _Frames(reader.path, times, pieces).fit():
            back_ns = max(times[: blocks[0][1]]) - times[blocks[1][0] - 1]
            reader.pieces = pieces
            reader.note(
                f"at frame {blocks[1][0]} time goes back by {decimal(back_ns // MS * MS)} s: files were joined in another "
                f"order than they were captured, for connections or a steady pace go on from one to the other in the order of time; so "
                f"their {len(pieces)} parts are told (to do it for good: reordercap {reader.path} OUT)"
            )


class _Frames:
    """What the frames of each piece show; pieces are in the order of time."""

    def __init__(self, path: str, times: Sequence[int], pieces: Sequence[Piece]) -> None:
        from .capture.reader import Reader
        from .wire.packets import Segment
        from .wire.peel import Peeler

        self.spans = [(min(times[a - 1 : b]), max(times[a - 1 : b])) for a, b in pieces]
        stands = {piece: number for number, piece in enumerate(sorted(pieces))}
        self.places = [stands[piece] for piece in pieces]
        """Where each stands in the file."""
        self.behind = [*pairwise(sorted(range(len(pieces)), key=self.places.__getitem__))]
        """Pieces that stand one behind the other in the file."""
        back_ns = min(self.spans[here][1] - self.spans[there][0] for here, there in self.behind if there < here)
        self.most = back_ns // MS // PART
        """By how much (ms) the distance of timestamps from times may change where no clock was set."""
        self.distances: list[dict[Ends, tuple[int, int]]] = [{} for _ in pieces]
        """Of each piece by connection and direction: timestamp minus time (ms) of its first frame there, and of its last."""
        self.starts: dict[Flow, dict[tuple[int, int], int]] = defaultdict(dict)
        """By flow: when connections were asked for first, by port and sequence number."""
        where = sorted((first, last, at) for at, (first, last) in enumerate(pieces))
        peeler = Peeler()
        with Reader(path, 0) as reader:
            frames = iter(reader)
            for first, last, at in where:
                for _ in range(first, last + 1):
                    packet = peeler.peel(next(frames))
                    if isinstance(packet, Segment):
                        self._take(at, packet)

    def _take(self, at: int, s: Segment) -> None:
        from .wire.packets import ACK, SYN

        if s.tsval > 0:
            ends = (s.source, s.source_port, s.destination, s.destination_port)
            distance = (s.tsval - s.mark.ns // MS) % TICKS
            first, _ = self.distances[at].get(ends, (distance, 0))
            self.distances[at][ends] = first, distance
        if s.flags & (SYN | ACK) == SYN:
            starts = self.starts[s.source, s.destination, s.destination_port]
            starts[s.source_port, s.seq] = min(s.mark.ns, starts.get((s.source_port, s.seq), s.mark.ns))

    def fit(self) -> bool:
        """Tell whether the pieces belong together in the order of time."""
        if any(there < here and self._goes_on(here, there) is False for here, there in self.behind):
            return False
        return all(
            after == before + 1 or self._belong(at, at + 1) for at, (before, after) in enumerate(pairwise(self.places))
        )

    def _belong(self, here: int, there: int) -> bool:
        known = self._goes_on(here, there)
        return known if known is not None else self._keeps_pace(here, there)

    def _goes_on(self, here: int, there: int) -> bool | None:
        """Tell whether connections go on from a piece to another by one clock; None where none goes on."""
        before, after = self.distances[here], self.distances[there]
        agree = [
            abs(off_by(after[ends][0] - before[ends][1], TICKS)) <= self.most for ends in before.keys() & after.keys()
        ]
        return 2 * sum(agree) > len(agree) if agree else None

    def _keeps_pace(self, here: int, there: int) -> bool:
        """Tell whether a pause is short, and those who ask at a steady pace asked on both sides of it when it was due."""
        ended_ns, begun_ns = self.spans[here][1], self.spans[there][0]
        # That a moment within that time is so shortly before the other by chance, and so is each start.
        chance = max(begun_ns - ended_ns, ON_TIME_NS) / (self.spans[there][1] - self.spans[here][0])
        fitting = others = 0
        for known in self.starts.values():
            starts = sorted(known.values())
            pace_ns = _pace(starts)
            at = bisect_right(starts, ended_ns)
            if pace_ns is None or not 0 < at < len(starts) or starts[at] - ended_ns > 2 * pace_ns:
                continue
            if abs(starts[at] - starts[at - 1] - pace_ns) <= ON_TIME_NS:
                fitting += 1
                chance *= 2 * ON_TIME_NS / pace_ns
            else:
                others += 1
        return fitting > others and chance <= CHANCE


def _pace(starts: Sequence[int]) -> int | None:
    """Return the step that half of those between starts are; None where there is none, or it is too short to tell."""
    steps = sorted(after - before for before, after in pairwise(starts))
    if len(steps) < STEPS:
        return None
    many, step = max(
        (bisect_right(steps, step + ON_TIME_NS) - bisect_left(steps, step - ON_TIME_NS), step) for step in steps
    )
    return step if 2 * many >= len(steps) and step >= 4 * ON_TIME_NS else None
