"""What a ladder is drawn with, in Unicode or ASCII, and how outcomes look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..model.timeline import Outcome
from .paper import UNICODE, Glyphs

INDENT: Final = 12
"""Column at which the words behind `cause`, `phases` ... begin."""

STYLE: Final = {Outcome.SUCCESS: "green", Outcome.FAILURE: "alarm", Outcome.DISCARDED: "yellow"}
"""Outcome -> style; yellow for all others."""

LETTERS: Final = "abcdefghijklmnop"
"""Names of the connections of an attempt."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """What arrows, rails and bars are drawn with."""

    rail: str
    line: str
    right: str
    left: str
    dots: str
    bar: str
    open: str
    late: str
    mark: str
    pause: str
    missing: str


_UNICODE: Final = Strokes("│", "─", "▶", "◀", "┄", "█", "░", "▒", "┊", "⋮", "·")
_ASCII: Final = Strokes("|", "-", ">", "<", ".", "#", ":", "=", "!", ":", ".")


def strokes_for(glyphs: Glyphs) -> Strokes:
    """Return the strokes that go with these marks."""
    return _UNICODE if glyphs is UNICODE else _ASCII


def letter(connection: int) -> str:
    """Return the name of an attempt's connection."""
    return LETTERS[connection % len(LETTERS)]
