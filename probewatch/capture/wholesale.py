"""When a reader takes its records many at once (`runs`) instead of one by one: in large inputs, and where that goes well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from probewatch.capture.source import Window

if TYPE_CHECKING:
    from probewatch.capture.runs import Run

LARGE: Final = 4 << 20
"""Bytes of an input from which on it pays to import `numpy`, which takes as long as a few thousand frames."""
SHORT: Final = 64
"""Records of a run that was hardly worth it: then the next bytes are read one by one ..."""
PAUSE: Final = 64 << 10
"""... so many, so that an input without order costs no more than it would without runs."""


class Wholesale:
    """Decides that for one reader."""

    __slots__ = ("_begun", "_from", "_window", "wanted")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._begun = False
        self._from = 0
        """Offset in the input before which it is not tried again."""
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

    def took(self, run: Run) -> int:
        """Take note of what came of it; return where the next record begins."""
        if run.odd and (run.batch is None or len(run.batch) < SHORT):
            self._from = self._window.base + run.stop + PAUSE
        return run.stop
