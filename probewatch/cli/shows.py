"""How `watch` shows what happens: as lines, as NDJSON; and the summary at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..model.units import SECOND
from ..report import text, words
from ..report.live import Lines, wanted
from ..report.moves import Moves
from ..report.ndjson import Writer
from ..report.screen import Board, table
from ..report.select import matches, no_match, of_pod, select
from .live import Ending
from .output import complain, manner, terminal_columns

if TYPE_CHECKING:
    from ..model.book import AddressBook
    from ..model.timeline import Probe, Timeline
    from ..observer import Observer
    from ..observer.preview import Glimpse


ANALYZE: Final = "probewatch analyze -o wide (watch -w keeps a capture for it)"
"""How to get what the table leaves out, where no capture was kept."""
PATIENCE_NS: Final = 8 * SECOND
"""Packet time after which probes that were met, and are none of those chosen, are told."""
NAMED: Final = 6
"""How many of them are named."""
REDRAW_S: Final = 0.25
"""Seconds between two drawings of the screen."""


class Show(Protocol):
    """Shows what an observer has seen since the last call, and at the end everything."""

    def news(self, now_ns: int) -> None:
        """Show what is new at a moment."""

    def end(self, timeline: Timeline) -> None:
        """Show the whole."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which probes are shown."""

    probes: Sequence[str] = ()
    pods: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.probes or self.pods)

    def takes(self, probe: Probe) -> bool:
        """Return whether a probe is shown."""
        return (not self.probes or any(matches(probe, name) for name in self.probes)) and (
            not self.pods or any(of_pod(probe, name) for name in self.pods)
        )

    def missing(self, timeline: Timeline) -> list[str]:
        """Say which of the names mean none of the probes that there are: each alone, else all together."""
        there = timeline.probes
        out = [no_match(there, f"--probe {name}") for name in self.probes if not any(matches(p, name) for p in there)]
        out += [no_match(there, f"--pod {name}") for name in self.pods if not any(of_pod(p, name) for p in there)]
        if not out and not any(map(self.takes, there)):
            both = [
                f"--{what} {name}" for what, names in (("probe", self.probes), ("pod", self.pods)) for name in names
            ]
            out.append(no_match(there, " with ".join(both)))
        return out

    def unknown(self, book: AddressBook) -> list[str]:
        """Say which Pods are asked for by a name that nothing has told so far."""
        named = {name for pod in book.all_pods() for name in (pod.name, f"{pod.namespace}/{pod.name}") if pod.name}
        why = (
            "none of this name is known so far"
            if named
            else "no Pod's name is known here: give --spec or --cluster, or choose by address (--probe 10.128.0.10:8080)"
        )
        return [f"--pod {name}: {why}" for name in self.pods if name not in named]

    def named(self) -> str:
        """Return the options that say so."""
        return " ".join(
            [f"--{what} {one}" for what, many in (("probe", self.probes), ("pod", self.pods)) for one in many]
        )


class Choice:
    """A selection while probes are met: with what a Pod's probes are at its new address, and a word where nothing is of these."""

    def __init__(self, chosen: Selection) -> None:
        self._chosen, self._moves = chosen, Moves()
        self._wanted = bool(chosen)
        """Whether it is to be said that nothing so far was chosen."""
        self._others: dict[str, None] = {}
        self._since_ns: int | None = None

    def note(self, one: Glimpse) -> str:
        """Take what was met; return what it shows of a Pod's address."""
        moved = "" if one.again else self._moves.note(one.probe, one.attempt.start.ns, one.prediction.period_ns)
        if self._wanted:
            self._wanted = not self.takes(one.probe)
            self._others[f"{words.kind(one.probe)} {words.label(one.probe)}"] = None
            self._since_ns = self._since_ns or one.attempt.start.ns
        return moved if moved and self.takes(one.probe) else ""

    def look(self, now_ns: int) -> str:
        """Say that probes are met, and none is of these; empty where that is not so, or not for long enough."""
        if not self._wanted or self._since_ns is None or now_ns - self._since_ns < PATIENCE_NS:
            return ""
        seen = list(self._others)
        more = f" and {len(seen) - NAMED} more" if len(seen) > NAMED else ""
        return f"probes are seen, but none so far is of {self._chosen.named()}: {', '.join(seen[:NAMED])}{more}"

    def takes(self, probe: Probe) -> bool:
        """Return whether a probe is shown."""
        before = self._moves.addresses.get(probe.target.address) if probe.target.pod is None else None
        return self._chosen.takes(probe) or (before is not None and self._chosen.takes(before))

    def of(self, timeline: Timeline) -> Timeline:
        """Return what of a timeline is shown."""
        if not self._chosen:
            return timeline
        return select(timeline, probes=[probe.id for probe in timeline.probes if self.takes(probe)] or [""])


class LineShow:
    """A line for each attempt; the table at the end."""

    def __init__(
        self,
        known: Observer,
        ending: Ending,
        chosen: Selection,
        only: str | None,
        colour: str,
        *,
        quiet: bool = False,
        everything: str = ANALYZE,
    ) -> None:
        self._known, self._ending, self._only = known, ending, only
        self._choice, self._wanted, self._everything = Choice(chosen), not quiet, everything
        self._manner = manner(colour)
        # a line each where nobody looks, so that programs can take them apart
        self._lines = Lines(
            sys.stdout.write,
            colour=self._manner["colour"],
            glyphs=self._manner["glyphs"],
            columns=terminal_columns(),
        )

    def news(self, now_ns: int) -> None:
        """Write the new lines, and see them off."""
        met, late = self._known.glimpse(), self._known.overdue(now_ns)
        if self._wanted and (none := self._choice.look(now_ns)):
            self._wanted = False
            complain(none)
        if not met and not late:
            return
        with self._ending.writing():
            for one in met:
                if moved := self._choice.note(one):
                    self._lines.moved(moved)
                if self._choice.takes(one.probe):
                    show = wanted(one.attempt, one.decision, self._only)
                    self._lines.attempt(one.key, one.probe, one.attempt, one.decision, again=one.again, show=show)
            self._lines.reread()
            if self._only != "decisions":
                for silent in late:
                    self._lines.overdue(silent)
            sys.stdout.flush()

    def end(self, timeline: Timeline) -> None:
        """Write the table."""
        with self._ending.writing():
            shown = self._choice.of(timeline)
            self._lines.compare(shown)
            if self._lines.written:
                sys.stdout.write("\n")
            text.write(shown, sys.stdout.write, everything=self._everything, **self._manner)
            sys.stdout.flush()

    def close(self) -> None:
        """Nothing to do."""


class NdjsonShow:
    """The lines of `analyze -o ndjson`: at once, and again where they change."""

    def __init__(self, known: Observer, ending: Ending) -> None:
        self._known, self._ending = known, ending
        self._writer = Writer(sys.stdout.write)
        with ending.writing():
            self._writer.begin()
            sys.stdout.flush()

    def news(self, now_ns: int) -> None:
        """Write what became known."""
        self._known.overdue(now_ns)
        changes = self._known.take()
        with self._ending.writing():
            for change in changes:
                value = None if change.gone else change.value
                self._writer.change(change.kind, change.id, change.rev, change.probe, value)
            sys.stdout.flush()

    def end(self, timeline: Timeline) -> None:
        """Write what only the end tells."""
        self.news(0)
        with self._ending.writing():
            self._writer.end(timeline)
            sys.stdout.flush()

    def close(self) -> None:
        """Nothing to do."""


class ScreenShow:
    """A table on the terminal that is drawn anew; the table of `analyze` at the end."""

    def __init__(
        self, known: Observer, chosen: Selection, colour: str, account: Callable[[], str], *, everything: str = ANALYZE
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._known, self._account, self._everything = known, account, everything
        self._choice = Choice(chosen)
        self._manner = manner(colour)
        self._console = Console(no_color=not self._manner["colour"], highlight=False)
        self._board = Board()
        self._drawn = Live(console=self._console, screen=True, auto_refresh=False, transient=True)
        self._drawn.start()
        self._due = 0.0

    def news(self, now_ns: int) -> None:
        """Draw anew, a few times a second."""
        for one in self._known.glimpse():
            self._choice.note(one)
            if self._choice.takes(one.probe):
                self._board.attempt(one.key, one.probe, one.attempt, one.decision, one.prediction, again=one.again)
                if one.again:
                    self._board.keep(one.key, len(one.pod.plan))
        now = time.monotonic()
        if now >= self._due and now_ns:
            self._due = now + REDRAW_S
            size, glyphs = self._console.size, self._manner["glyphs"]
            drawn = table(
                self._board,
                now_ns,
                size.height,
                "  ".join(filter(None, (self._account(), self._choice.look(now_ns)))),
                glyphs,
                columns=size.width,
                is_open=self._known.under_way,
            )
            self._drawn.update(drawn, refresh=True)

    def end(self, timeline: Timeline) -> None:
        """Give the terminal back, and write the table."""
        self.close()
        text.write(self._choice.of(timeline), sys.stdout.write, everything=self._everything, **self._manner)
        sys.stdout.flush()

    def close(self) -> None:
        """Give the terminal back, whatever happened."""
        self._drawn.stop()
