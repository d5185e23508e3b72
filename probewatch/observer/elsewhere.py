"""When a checker probed anybody lately, as each of its attempts saw it: tells a kubelet's silence from a pod's.

An attempt that waits for its plan keeps the starts of those before it. They are nearly the same for the next one, so attempts share
lists of which each knows its part: a fifth of the room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, SupportsIndex, overload

RECENT: Final = 32
"""Starts of a checker's attempts kept to tell a kubelet's silence from a pod's."""
_SHARED: Final = 4 * RECENT
"""Starts in one list."""


class Window(Sequence[int]):
    """A part of a list that only grows."""

    __slots__ = ("_begin", "_end", "_starts")

    def __init__(self, starts: list[int], begin: int, end: int) -> None:
        self._starts, self._begin, self._end = starts, begin, end

    def __len__(self) -> int:
        return self._end - self._begin

    def __iter__(self) -> Iterator[int]:
        return iter(self._starts[self._begin : self._end])

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[int]: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> int | list[int]:
        return self._starts[self._begin : self._end][index]


class Elsewhere:
    """The starts of one checker's attempts."""

    __slots__ = ("_starts",)

    def __init__(self) -> None:
        self._starts: list[int] = []

    def before(self, start_ns: int) -> Window:
        """Return the starts of the latest attempts before one, and take its own."""
        if len(self._starts) >= _SHARED:
            self._starts = self._starts[-RECENT:]
        end = len(self._starts)
        self._starts.append(start_ns)
        return Window(self._starts, max(0, end - RECENT), end)
