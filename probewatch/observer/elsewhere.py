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
_SILENCES: Final = 32
"""Silences of each kind that are remembered: an attempt that took long comes after later ones."""


class Elsewhere:
    """The starts of one checker's attempts."""

    __slots__ = ("_gaps", "_latest_ns", "_pauses", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pauses = _Silences(NO_OUTAGE_NS)
        self._gaps = _Silences(SHORT_NS)
        self._latest_ns = 0

    @property
    def latest_ns(self) -> int:
        """When the latest of them began."""
        return self._latest_ns

    def before(self, start_ns: int) -> Lately:
        """Return the starts of the latest attempts before one, and take its own."""
        if len(self._starts) >= _SHARED:
            self._starts = self._starts[-RECENT:]
        end = len(self._starts)
        pause, gap = self._pauses.before(start_ns), self._gaps.before(start_ns)
        found = Lately(self._starts, max(0, end - RECENT), end, pause, gap)
        self._starts.append(start_ns)
        for silences in (self._pauses, self._gaps):
            silences.note(self._latest_ns or start_ns, start_ns)
        self._latest_ns = max(self._latest_ns, start_ns)
        return found


class _Silences:
    """The latest times in which nobody was probed for long enough, as the attempts around each."""

    __slots__ = ("_kept", "_least_ns")

    def __init__(self, least_ns: int) -> None:
        self._least_ns = least_ns
        self._kept: list[tuple[int, int]] = []

    def before(self, start_ns: int) -> tuple[int, int] | None:
        """Return the latest that began before an attempt; None where none is known."""
        return next((one for one in reversed(self._kept) if one[0] < start_ns), None)

    def note(self, latest_ns: int, start_ns: int) -> None:
        """Take an attempt and the latest one before it: what took long comes after later ones, and may have begun within a silence."""
        if start_ns >= latest_ns:
            if start_ns - latest_ns > self._least_ns:
                self._kept = [*self._kept[1 - _SILENCES :], (latest_ns, start_ns)]
            return
        within = next((place for place, one in enumerate(self._kept) if one[0] < start_ns < one[1]), None)
        if within is not None:
            begun, back = self._kept.pop(within)
            longer = (begun, start_ns) if start_ns - begun > back - start_ns else (start_ns, back)
            if longer[1] - longer[0] > self._least_ns:
                self._kept.insert(within, longer)
