"""When a checker probed anybody lately: tells a kubelet's silence from a pod's.

The latest starts reach back for less than a second on a busy node, where a worker's own last attempt is a period ago: so
the latest pause, in which nobody was probed, is kept beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload


class Lately(Sequence[int]):
    """The starts of a checker's latest attempts at anybody, in order: a part of a list that only grows."""

    __slots__ = ("_begin", "_end", "_starts", "pause")

    def __init__(
        self, starts: Sequence[int], begin: int = 0, end: int | None = None, pause: tuple[int, int] | None = None
    ) -> None:
        self._starts, self._begin, self._end = starts, begin, len(starts) if end is None else end
        self.pause = pause
        """Its latest pause among all starts so far: the attempts around it; None where there was none."""

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


NOBODY = Lately(())
"""Nobody was probed."""
