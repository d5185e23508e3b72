"""Standard output is data, standard error is notes."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
from typing import TYPE_CHECKING, Final, TypedDict

from ..report.escape import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

    from ..model.ladder import Ladder
    from ..model.timeline import Timeline
    from ..report.paper import Glyphs

_WIDEST: Final = 2000
"""Characters of one note."""
_NARROWEST: Final = 40
"""Columns below which nothing is laid out any more: the terminal then breaks the lines."""
_BROADEST: Final = 160
"""Columns beyond which lines are no easier to read."""


STDERR: Final = 2
"""Descriptor of standard error."""


class StdoutError(OSError):
    """Standard output cannot be written (a full disk): no fault of what is read or recorded."""

    def __str__(self) -> str:
        return f"standard output cannot be written any more: {(self.strerror or 'an error').lower()}"


class _Stdout(io.FileIO):
    """Standard output, which names itself where it cannot be written."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # its reader has seen enough
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from None


def name_stdout() -> None:
    """Let an error of standard output be told from one of any other file."""
    given = sys.stdout
    if given is not sys.__stdout__ or not isinstance(given, io.TextIOWrapper):
        return  # (somebody who calls us has put something in its place)
    with contextlib.suppress(OSError):
        given.flush()
    raw = _Stdout(given.fileno(), "wb", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if isinstance(given.buffer, io.RawIOBase) else io.BufferedWriter(raw),  # (python -u)
        encoding=given.encoding,
        errors=given.errors,
        line_buffering=given.line_buffering,
        write_through=given.write_through,
    )


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
    columns: int


def manner(colour: str) -> Manner:
    """Return whether to colour, as asked, the marks that standard output can hold, and how wide it is."""
    from ..report.paper import COLUMNS, glyphs_for

    columns = terminal_columns() or min(COLUMNS, _beside() or COLUMNS)
    return Manner(colour=colour_wanted(colour), glyphs=glyphs_for(sys.stdout.encoding), columns=columns)


def terminal_columns() -> int | None:
    """Return the width of the terminal that standard output is, within what can be read; None where it is none.

    COLUMNS in the environment counts before what the terminal says, as elsewhere (POSIX, Environment Variables).
    """
    if not sys.stdout.isatty():
        return None
    import shutil  # (takes 5 ms to import, and only a terminal needs it)

    columns = shutil.get_terminal_size(fallback=(0, 0)).columns
    return min(max(columns, _NARROWEST), _BROADEST) if columns else None


def _beside() -> int | None:
    """Return the width of the terminal at which somebody reads a pipe (`| less`, `| head`): the one that takes the notes."""
    try:
        if not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            return None  # a file is the same whatever terminal it was written from
        return max(os.get_terminal_size(sys.stderr.fileno()).columns, _NARROWEST)
    except (OSError, ValueError, AttributeError):
        return None


def print_page(timeline: Timeline, ladders: Sequence[Ladder] = ()) -> None:
    """Write the HTML report to standard output, in the encoding that it declares whatever the terminal's is."""
    from ..report import html

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    html.write(timeline, sys.stdout.write, ladders)


def open_closed() -> None:
    """Put the null device in the place of a standard error that whoever started us has closed (`2>&-`).

    Else the next file that is opened has its number, and gets what libraries and children say; and Python has no `sys.stderr`.
    """
    if sys.stderr is not None:
        return
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < STDERR:
        pass  # (standard input may be closed too)
    if descriptor == STDERR:
        os.set_inheritable(descriptor, True)
    else:
        os.close(descriptor)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (open to the end)


def complain(sentence: str) -> None:
    """Write one note to standard error."""
    note(f"probewatch: {printable(' '.join(sentence.splitlines()))[:_WIDEST]}\n")


def note(text: str) -> None:
    """Write to standard error; one that is closed, or takes nothing more, is no reason to fail."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError, ValueError):
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()


def abandon_stdout() -> None:
    """Make the flush at exit harmless after the reader has gone, or where there is no room."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
