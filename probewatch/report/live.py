"""Attempts and decisions as they happen, a line each, in the words of the table's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..model.timeline import Attempt, Decision, Outcome, Probe
from ..probes.execs import command_text
from . import words
from .escape import pad, safe, width
from .numbers import SECOND, rfc3339
from .paper import UNICODE, Glyphs, Paper, Span
from .rows import attempt_rows

WIDEST: Final = 48
"""Columns that a probe's name may take before it pushes the rest of its own line to the right."""

_INDENT: Final = 14
"""Where remarks below a line begin: behind the time of day."""

Key = tuple[str, str, int]


class Lines:
    """Writes lines; columns grow with what they hold."""

    def __init__(
        self,
        out: Callable[[str], object],
        *,
        colour: bool = False,
        glyphs: Glyphs = UNICODE,
        columns: int | None = None,
    ) -> None:
        """Begin; with `columns`, remarks that do not fit behind a line stand below it."""
        self._paper = Paper(out, None, colour=colour, glyphs=glyphs)
        self._below = Paper(out, columns, colour=colour, glyphs=glyphs)
        self._before: dict[Key, Attempt] = {}
        self._sizes = [9, 0, 3, 3, 7, 3]
        self._day = ""
        self.written = 0
        """Lines written."""

    def attempt(self, key: Key, probe: Probe, attempt: Attempt, decision: Decision | None) -> None:
        """Write the line of an attempt, with the decision that it brought."""
        self.written += 1
        before = self._before.get(key)
        fresh = before is None or (before.outcome, before.cause, before.status) != (
            attempt.outcome,
            attempt.cause,
            attempt.status,
        )
        self._before[key] = attempt
        decisions = () if decision is None else (decision,)
        row = attempt_rows(probe, attempt, decisions, before, fresh=fresh, wide=False, several=False)[0]
        cells = [
            (words.kind(probe), ""),
            (words.label(probe), "bold"),
            (row.number, ""),
            (row.result, row.style),
            (row.latency, ""),
            (row.streak, ""),
        ]
        self._sizes = [max(size, min(width(text), WIDEST)) for size, (text, _) in zip(self._sizes, cells, strict=True)]
        line = [Span(self._time(row.ns))]
        for place, ((text, style), size) in enumerate(zip(cells, self._sizes, strict=True)):
            shown = f"{text:>{size}}" if place in (4, 5) else pad(text, size)
            line += [Span("  "), Span(shown, style)]
        line += [Span("  "), Span(pad(row.decision, 8), row.mood)]
        said = [row.words] if row.words else []
        if attempt.execs and attempt.execs[-1].arguments:
            said.append(safe(command_text(attempt.execs[-1].arguments)))
        text, frames = "".join(f"  {one}" for one in said), Span(f"  {row.frames}", "dim")
        room = self._below.columns
        if room is None or sum(width(piece.text) for piece in (*line, frames)) + width(text) <= room:
            self._paper.line(*line, Span(text), frames)
            return
        self._paper.line(*line, frames)
        if text:
            self._below.filled(text.strip(), first=[Span(" " * _INDENT)], indent=_INDENT)

    def _time(self, ns: int) -> str:
        """Return the time of day; a new day has a line for itself."""
        text = rfc3339(ns) or ""
        if text[:10] != self._day:
            self._day = text[:10]
            self._paper.line(Span(f"{self._day} UTC", "dim"))
        return text[11:23] or f"{ns / SECOND:.3f}"


def wanted(attempt: Attempt, decision: Decision | None, only: str | None) -> bool:
    """Return whether `--only` lets an attempt through: `failures` (whatever is no success, and decisions) or `decisions`."""
    if only is None or decision is not None:
        return True
    return only == "failures" and attempt.outcome is not Outcome.SUCCESS
