"""The report as one HTML file: no network, no script, nothing beside it; to attach to a ticket.

Everything that is written comes through jinja2 with autoescape on, and through `escape.printable` before it, so that
neither markup nor control or bidirectional characters of paths, headers or names get in. Templates use no `safe` filter and no
attribute of a link but fragments of this very page (tested).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..model.timeline import Timeline
from .escape import printable
from .html_page import Maker

if TYPE_CHECKING:
    from jinja2 import Environment

    from ..model.ladder import Ladder

_PIECE: Final = 64
"""Pieces of the template's output that are written at once."""


def write(timeline: Timeline, out: Callable[[str], object], ladders: Sequence[Ladder] = ()) -> None:
    """Write the page piece by piece; only one probe's drawing is in memory at a time.

    `ladders` are those of first failures (`html_page.first_failures`); where one lacks, the phases of its connections are told.
    """
    template = _environment().get_template("report.html")
    stream = template.stream(page=Maker(timeline, ladders).page())
    stream.enable_buffering(_PIECE)
    for piece in stream:
        out(piece)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("probewatch.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )


def _finalize(value: Any) -> Any:
    """Write out what somebody forgot to make safe. Template text itself does not pass here."""
    return printable(value) if type(value) is str else value
