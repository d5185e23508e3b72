"""When a checker probed anybody lately, as each of its attempts saw it.

An attempt that waits for its plan keeps the starts of those before it. They are nearly the same for the next one, so attempts share
lists of which each knows its part: a fifth of the room.
"""

from __future__ import annotations

from typing import Final

from probewatch.probes.costs import DUE_NS, NO_OUTAGE_NS
from probewatch.probes.lately import SHORT_NS, Lately

RECENT: Final = 32
"""Starts of a checker's attempts kept to tell a kubelet's silence from a pod's."""
_SHARED: Final = 4 * RECENT
"""Starts in one list."""
MOST_GRIDS: Final = 4_096
"""Ports whose latest attempts are remembered; beyond that all are forgotten, and learnt anew."""
_EACH: Final = 4
"""Attempts remembered of each."""
_SILENCES: Final = 32
"""Silences of each kind that are remembered: an attempt that took long comes after later ones."""


class Elsewhere:
    """The starts of one checker's attempts."""

    __slots__ = ("_gaps", "_grids", "_latest_ns", "_pauses", "_since", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._since: list[int | None] = []
        self._grids: dict[tuple[str, int], tuple[int, ...]] = {}
        self._pauses = _Silences(NO_OUTAGE_NS)
        self._gaps = _Silences(SHORT_NS)
        self._latest_ns = 0

    @property
    def latest_ns(self) -> int:
        """When the latest of them began."""
        return self._latest_ns

    def before(self, start_ns: int, asked: tuple[str, int] = ("", 0)) -> Lately:
        """Return the starts of the latest attempts before one, and take its own; `asked` are the address and port that it went to."""
        if len(self._starts) >= _SHARED:
            self._starts, self._since = self._starts[-RECENT:], self._since[-RECENT:]
        end = len(self._starts)
        pause, gap = self._pauses.before(start_ns), self._gaps.before(start_ns)
        found = Lately(self._starts, max(0, end - RECENT), end, pause, gap, self._since)
        self._starts.append(start_ns)
        self._since.append(self._kept_grid(start_ns, asked))
        for silences in (self._pauses, self._gaps):
            silences.note(self._latest_ns or start_ns, start_ns)
        self._latest_ns = max(self._latest_ns, start_ns)
        return found

    def _kept_grid(self, start_ns: int, asked: tuple[str, int]) -> int | None:
        """Return the attempt from which this one is as far as that one was from one before it; 0 where none is, None at the first ones."""
        if len(self._grids) >= MOST_GRIDS:
            self._grids.clear()
        known = self._grids.get(asked, ())
        self._grids[asked] = (*known[1 - _EACH :], start_ns)
        if len(known) < 2:
            return None
        for place in range(len(known) - 1, 0, -1):
            if any(abs(start_ns - 2 * known[place] + one) <= DUE_NS for one in known[:place]):
                return known[place]
        return 0


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
