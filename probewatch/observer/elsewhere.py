"""When a checker probed anybody lately, as each of its attempts saw it.

An attempt that waits for its plan keeps the starts of those before it. They are nearly the same for the next one, so attempts share
lists of which each knows its part: a fifth of the room.
"""

from __future__ import annotations

from typing import Final

from probewatch.probes.assign import NO_OUTAGE_NS
from probewatch.probes.lately import SHORT_NS, Lately

RECENT: Final = 32
"""Starts of a checker's attempts kept to tell a kubelet's silence from a pod's."""
_SHARED: Final = 4 * RECENT
"""Starts in one list."""


class Elsewhere:
    """The starts of one checker's attempts."""

    __slots__ = ("_gap", "_latest_ns", "_pause", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pause: tuple[int, int] | None = None
        self._gap: tuple[int, int] | None = None
        self._latest_ns = 0

    def before(self, start_ns: int) -> Lately:
        """Return the starts of the latest attempts before one, and take its own."""
        if len(self._starts) >= _SHARED:
            self._starts = self._starts[-RECENT:]
        end = len(self._starts)
        found = Lately(self._starts, max(0, end - RECENT), end, self._pause, self._gap)
        self._starts.append(start_ns)
        self._note(start_ns)
        return found

    def _note(self, start_ns: int) -> None:
        """Keep the latest pauses."""
        self._pause = _shortened(self._pause, start_ns, NO_OUTAGE_NS)
        self._gap = _shortened(self._gap, start_ns, SHORT_NS)
        silent = start_ns - self._latest_ns if self._latest_ns else 0
        if silent > SHORT_NS:
            self._gap = self._latest_ns, start_ns
        if silent > NO_OUTAGE_NS:
            self._pause = self._gap
        self._latest_ns = max(self._latest_ns, start_ns)


def _shortened(pause: tuple[int, int] | None, start_ns: int, least_ns: int) -> tuple[int, int] | None:
    """Return what is left of a pause: an attempt that took long comes after later ones, and may have begun within it."""
    if pause is None or not pause[0] < start_ns < pause[1]:
        return pause
    begun, back = pause
    longer = (begun, start_ns) if start_ns - begun > back - start_ns else (start_ns, back)
    return longer if longer[1] - longer[0] > least_ns else None
