"""Standard output is data, standard error is notes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, Final, TypedDict

from ..report.escape import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.ladder import Ladder
    from ..model.timeline import Timeline
    from ..report.paper import Glyphs

_WIDEST: Final = 2000
"""Characters of one note."""


def prepare_stdout() -> None:
    """Let characters that the output's encoding cannot hold be written as escapes rather than fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def colour_wanted(choice: str) -> bool:
    """Return whether to colour: as asked, else on a terminal that can and where NO_COLOR (no-color.org) is not set."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Manner(TypedDict):
    """How text is written: arguments of the writers in `report`."""

    colour: bool
    glyphs: Glyphs


def manner(colour: str) -> Manner:
    """Return whether to colour, as asked, and the marks that standard output can hold."""
    from ..report.paper import glyphs_for

    return Manner(colour=colour_wanted(colour), glyphs=glyphs_for(sys.stdout.encoding))


def print_page(timeline: Timeline, ladders: Sequence[Ladder] = ()) -> None:
    """Write the HTML report to standard output, in the encoding that it declares whatever the terminal's is."""
    from ..report import html

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    html.write(timeline, sys.stdout.write, ladders)


def complain(sentence: str) -> None:
    """Write one note to standard error; a closed one is no reason to fail."""
    text = printable(" ".join(sentence.splitlines()))[:_WIDEST]
    with contextlib.suppress(OSError, ValueError):
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        sys.stderr.write(f"probewatch: {text}\n".encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()


def abandon_stdout() -> None:
    """Make the flush at exit harmless after the reader has gone."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
