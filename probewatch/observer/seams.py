"""Whether a pause before a new file is one that nobody captured: somebody who asks at a steady pace asked nothing in it.

Theory of operation. What ends a file is its last frame; whether the time up to the next file was captured, nothing tells. The next
file of a rotated set begins at a quiet moment, and a quiet moment ends when the next attempt is due. So of whoever opens connections
to one port, the latest start and the longest step between two are kept. Where one of them was at its pace when a file ended, and more
than half a step late when the next one began, attempts were due in the pause and nobody saw them: it is a hole.

Limitations: what was seen to pause as long before is not missed, nor what had asked but twice. What stopped in that very pause (its
container ended while one file was closed and the next not yet begun) is taken for not captured: nothing tells these apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from probewatch.model.units import SECOND

FLOWS: Final = 16_384
"""Who asks whom at which port, of which starts are kept; of more none are."""
STEADY: Final = 2
"""Steps of one length, the longest, from which somebody has a pace."""
LATE: Final = 2
"""A step's part that an attempt may be late and still be the next one."""
AT_PACE: Final = 4
"""A step's part that it may be late when a file ends, and still be expected."""
SHORTEST_NS: Final = SECOND // 4
"""A shorter pause between two files is none."""

Flow = tuple[str, str, int]
"""Client, server, port."""


class Seams:
    """When each of those who ask did so last, and how far apart at most."""

    def __init__(self) -> None:
        self._last: dict[Flow, int] = {}
        self._step: dict[Flow, tuple[int, int, int]] = {}
        """The longest step; the shortest of those near it, and how many these are."""

    def note(self, client: str, server: str, port: int, start_ns: int) -> None:
        """Take the start of a connection, or of a question on one that is kept."""
        flow = client, server, port
        before = self._last.get(flow)
        if before is None:
            if len(self._last) < FLOWS:
                self._last[flow] = start_ns
            return
        if start_ns <= before:
            return  # (It was handed on behind a later one.)
        self._last[flow] = start_ns
        step = start_ns - before
        longest, shortest, times = self._step.get(flow, (0, 0, 0))
        if step > 2 * longest:
            longest, shortest, times = step, step, 1
        elif 2 * step >= longest:
            longest, shortest, times = max(longest, step), min(shortest, step), times + 1
        self._step[flow] = longest, shortest, times

    def forget(self) -> None:
        """Know nothing of before: steps over a hole say nothing."""
        self._last.clear()
        self._step.clear()

    def missed(self, last_ns: int, next_ns: int, open_since: Callable[[str], int | None]) -> bool:
        """Tell whether somebody who had a pace was missed between these moments; `open_since` tells what is under way to a server."""
        for flow, (longest, shortest, times) in self._step.items():
            if times < STEADY or 2 * shortest < longest:
                continue
            # (What nobody answered is handed on late: then the latest start may be as late as the file's end.)
            last = self._last[flow] if open_since(flow[1]) is None else last_ns
            if last + longest + longest // AT_PACE > last_ns and last + longest + longest // LATE < next_ns:
                return True
        return False
