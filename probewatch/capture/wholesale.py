"""When a reader takes its records many at once (`runs`) instead of one by one: in large inputs, and where that goes well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from probewatch.capture.source import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from probewatch.capture.runs import Walk
    from probewatch.model.frame import Batch

LARGE: Final = 4 << 20
"""Bytes of an input from which on it pays to import `numpy`, which takes as long as a few thousand frames."""
SHORT: Final = 32
"""Records of runs that are hardly worth it: where there are no more in each, the next bytes are read one by one ..."""
PAUSE: Final = 64 << 10
"""... so many, so that an input without order costs no more than it would without runs."""


class Wholesale:
    """Decides that for one reader."""

    __slots__ = ("_begun", "_from", "_walk", "_window", "wanted")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._begun = False
        self._from = 0
        """Offset in the input before which it is not tried again."""
        self._walk: Walk | None = None
        """The latest, which may know more records behind an odd one."""
        self.wanted = False
        """Whether whoever reads takes batches."""

    def now(self, pos: int) -> bool:
        """Tell whether to try it with the record that begins at `pos` in the window."""
        window = self._window
        if window.base + pos < self._from:
            return False
        if not self._begun:
            if window.base + pos < LARGE and (window.source.size or 0) < LARGE:
                self._from = LARGE
                return False
            try:
                from probewatch.capture import runs
            except ImportError:  # without numpy all frames are looked at, and the result is the same
                self.wanted = False
                return False
            self._begun = True
            window.source.chunk = runs.CHUNK
        return True

    def run(self, data: bytes, pos: int, number: int, walk: Callable[[], Walk | None]) -> tuple[Batch | None, int]:
        """Return the records in a run from `pos` on, the first of them frame `number`, and where the next one begins.

        `walk` walks over the records from there on; it is asked where no earlier walk has come so far.
        """
        known = self._walk
        run = known.run(pos, number) if known is not None and known.data is data else None
        if known is None or run is None:
            known = self._walk = walk()
            if known is None:
                return None, pos
            if known.runs_of < SHORT:
                self._walk = None
                self._from = self._window.base + pos + PAUSE
                return None, pos
            run = known.run(pos, number)
        return run or (None, pos)
