"""Lines for a terminal or a file: styled pieces, columns, colour or none, Unicode marks or ASCII.

Text given to `Paper` must be `escape.safe` already where it came from outside; `Paper` writes out whatever is still
not printable, so that a forgotten call cannot harm a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from .escape import printable, shorten, width

COLUMNS: Final = 100

_SGR: Final = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "alarm": "1;31",
}


class Span(NamedTuple):
    """A piece of a line, and how it looks: a key of the colour table."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Marks that depend on what the output's encoding can write."""

    bars: str
    """Success, from quick to slow."""
    failure: str
    discarded: str
    inconclusive: str
    ellipsis: str
    good: str
    dash: str


UNICODE: Final = Glyphs(bars="▁▂▃▄▅▆▇█", failure="✗", discarded="·", inconclusive="?", ellipsis="…", good="✓", dash="–")
ASCII: Final = Glyphs(bars="12345678", failure="x", discarded=".", inconclusive="?", ellipsis="...", good="+", dash="-")


def glyphs_for(encoding: str | None) -> Glyphs:
    """Return the marks that text in this encoding can hold."""
    try:
        "▁█✗·…✓–".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


class Paper:
    """Writes lines of at most `columns` columns (None: as long as they are)."""

    def __init__(
        self,
        out: Callable[[str], object],
        columns: int | None = COLUMNS,
        *,
        colour: bool = False,
        glyphs: Glyphs = UNICODE,
        wide: str = "-o wide",
    ) -> None:
        self._out = out
        self.wide = wide
        """How whoever reads gets everything: an option of the command, or another command."""
        self._colour = colour
        self.columns = columns
        self.glyphs = glyphs

    def line(self, *spans: Span | str, cut: bool = True) -> None:
        """Write one line, cut at the right margin if it may be; spaces at its end are left out."""
        room = self.columns if cut else None
        made: list[str] = []
        pieces = [Span(s) if isinstance(s, str) else s for s in spans]
        while pieces and not pieces[-1].text.strip():
            pieces.pop()
        for number, piece in enumerate(pieces):
            text = printable(piece.text).rstrip() if number == len(pieces) - 1 else printable(piece.text)
            if room is not None:
                text = shorten(text, room, self.glyphs.ellipsis)
                room -= width(text)
            made.append(self._styled(text, piece.style))
            if room is not None and room <= 0:
                break
        self._out("".join(made) + "\n")

    def filled(self, text: str, *, first: Iterable[Span] = (), indent: int = 0, style: str = "") -> None:
        """Write a paragraph behind the spans `first`, its lines indented alike and broken at spaces."""
        lead = list(first)
        if self.columns is None:
            self.line(*lead, Span(text, style))
            return
        for row in wrap(text, self.columns - indent):
            self.line(*lead, Span(row, style))
            lead = [Span(" " * indent)]

    def _styled(self, text: str, style: str) -> str:
        code = _SGR[style]
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code and text else text


def wrap(text: str, columns: int) -> list[str]:
    """Return `text` broken at spaces into lines of at most `columns` columns; a longer word is broken anywhere."""
    columns = max(columns, 10)
    rows: list[str] = []
    row = ""
    for word in text.split(" "):
        if row and width(row) + 1 + width(word) <= columns:
            row += " " + word
            continue
        if row:
            rows.append(row)
        row = word
        while width(row) > columns:
            head = shorten(row, columns, "")
            rows.append(head)
            row = row[len(head) :]
    return [*rows, row] if row or not rows else rows
