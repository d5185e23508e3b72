"""When a checker probed anybody lately: tells a kubelet's silence from a pod's.

The latest starts reach back for less than a second on a busy node, where a worker's own last attempt is a period ago: so
the latest pause, in which nobody was probed, is kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, overload

from probewatch.model.units import MS

SHORT_NS: Final = 100 * MS
"""Nobody probed for this long: a moment in which a kubelet may have got no CPU, on a node with many pods."""


class Lately(Sequence[int]):
    """The starts of a checker's latest attempts at anybody, in order: a part of a list that only grows."""

    __slots__ = ("_begin", "_end", "_since", "_starts", "gap", "pause")

    def __init__(
        self,
        starts: Sequence[int],
        begin: int = 0,
        end: int | None = None,
        pause: tuple[int, int] | None = None,
        gap: tuple[int, int] | None = None,
        since: Sequence[int | None] = (),
    ) -> None:
        self._since = since
        """Of each start the one before it of the same grid (0: it kept none; None: not known, as at a first one)."""
        self._starts, self._begin, self._end = starts, begin, len(starts) if end is None else end
        self.pause = pause
        """Its latest pause among all starts so far: the attempts around it; None where there was none."""
        self.gap = gap
        """The same of a moment, `SHORT_NS` and more, in which a kubelet may have got no CPU."""

    def __len__(self) -> int:
        return self._end - self._begin

    def __iter__(self) -> Iterator[int]:
        return iter(self._starts[self._begin : self._end])

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice, /) -> int | Sequence[int]:
        return self._starts[self._begin : self._end][index]

    def silence(self, start: int) -> tuple[int, int] | None:
        """Return the latest stretch of `SHORT_NS` and more before a start in which nobody was probed; None where none is known."""
        latest = max(self, default=None)
        return (latest, start) if latest is not None and start - latest > SHORT_NS else self.gap

    def ran_on(self, begun_ns: int, back_ns: int) -> bool:
        """Tell whether the checker was the same before and after a pause: what came behind it came on the grids from before it.

        A new process' phases are new (worker.go: it sleeps for a random part of the period), and only now and then an old one.
        """
        kept = lost = 0
        for place in range(self._begin, min(self._end, len(self._since))):
            since = self._since[place]
            if self._starts[place] >= back_ns and since is not None:
                kept += 0 < since <= begun_ns
                lost += since == 0
        return 0 < kept >= lost

    def between(self, since_ns: int, until_ns: int) -> int:
        """Return how many of the latest attempts began in this time, both ends in it."""
        return sum(since_ns <= start <= until_ns for start in self)


NOBODY = Lately(())
"""Nobody was probed."""
