"""How `watch` shows what happens: as lines, as NDJSON; and the summary at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..report import text
from ..report.live import Lines, wanted
from ..report.ndjson import Writer
from ..report.select import matches, select
from .live import Ending
from .output import manner

if TYPE_CHECKING:
    from ..model.timeline import Probe, Timeline
    from ..observer import Observer


class Show(Protocol):
    """Shows what an observer has seen since the last call, and at the end everything."""

    def news(self) -> None:
        """Show what is new."""

    def end(self, timeline: Timeline) -> None:
        """Show the whole."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which probes are shown."""

    probes: Sequence[str] = ()
    pods: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.probes or self.pods)

    def takes(self, probe: Probe) -> bool:
        """Return whether a probe is shown."""
        target = probe.target
        of = {target.pod, f"{target.namespace}/{target.pod}"} if target.pod is not None else set()
        return (not self.probes or any(matches(probe, name) for name in self.probes)) and (
            not self.pods or bool(of.intersection(self.pods))
        )

    def of(self, timeline: Timeline) -> Timeline:
        """Return what of a timeline is shown."""
        if not self:
            return timeline
        return select(timeline, probes=[probe.id for probe in timeline.probes if self.takes(probe)] or [""])


class LineShow:
    """A line for each attempt; the table at the end."""

    def __init__(self, known: Observer, ending: Ending, chosen: Selection, only: str | None, colour: str) -> None:
        self._known, self._ending, self._chosen, self._only = known, ending, chosen, only
        self._manner = manner(colour)
        self._lines = Lines(sys.stdout.write, **self._manner)

    def news(self) -> None:
        """Write the new lines, and see them off."""
        self._known.take()
        met = self._known.glimpse()
        if not met:
            return
        with self._ending.writing():
            for one in met:
                if self._chosen.takes(one.probe) and wanted(one.attempt, one.decision, self._only):
                    self._lines.attempt(one.key, one.probe, one.attempt, one.decision)
            sys.stdout.flush()

    def end(self, timeline: Timeline) -> None:
        """Write the table."""
        with self._ending.writing():
            if self._lines.written:
                sys.stdout.write("\n")
            text.write(self._chosen.of(timeline), sys.stdout.write, **self._manner)
            sys.stdout.flush()


class NdjsonShow:
    """The lines of `analyze -o ndjson`, as they become certain."""

    def __init__(self, known: Observer, ending: Ending) -> None:
        self._known, self._ending = known, ending
        self._writer = Writer(sys.stdout.write)

    def news(self) -> None:
        """Write what became known."""
        changes = self._known.take()
        with self._ending.writing():
            for change in changes:
                self._writer.change(change.kind, change.id, change.rev, change.probe, change.value)
            sys.stdout.flush()

    def end(self, timeline: Timeline) -> None:
        """Write what only the end tells."""
        self.news()
        with self._ending.writing():
            self._writer.end(timeline)
            sys.stdout.flush()
