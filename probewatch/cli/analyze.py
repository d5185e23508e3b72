"""`probewatch analyze`: the timeline of saved captures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..api import matching, moment, span
from .options import Command, Inputs, analysis_options, output_options, select_options
from .output import complain, manner, prepare_stdout, print_page
from .progress import Bar
from .run import DONE, INCOMPLETE, INTERRUPTED

if TYPE_CHECKING:
    from ..model.timeline import Timeline
    from ..report.ndjson import Writer


@click.command(cls=Command)
@analysis_options
@select_options
@output_options(
    "table",
    "wide",
    "json",
    "ndjson",
    "html",
    says="table: what matters, 100 columns; wide: every attempt and connection; json: probewatch.timeline/1; "
    "ndjson: the same as it becomes known; html: one file to look at (see also probewatch report).",
)
def analyze(
    inputs: Inputs,
    probes: Sequence[str],
    since: str | None,
    until: str | None,
    output: str,
    colour: str,
    quiet: bool,
) -> int:
    """Show who probed what in saved captures, what happened in every attempt and why, and what was decided.

    Exit status: 0 done, whatever the probes did; 2 usage or unreadable input; 3 an input was cut or corrupt (what was
    whole is shown); 130 interrupted (what was read is shown).
    """
    for text in (since, until):
        moment(text, 0)  # before any work
    prepare_stdout()
    narrowed = bool(probes or since or until)
    writer = _live_writer() if output == "ndjson" and not narrowed else None
    interrupted = False
    with Bar(wanted=not quiet) as bar:
        analysis = inputs.analysis(
            progress=bar,
            on_change=None if writer is None else lambda c: writer.change(c.kind, c.id, c.rev, c.probe, c.value),
        )
        try:
            analysis.run()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            bar.close()
        timeline = analysis.timeline()
    if interrupted and not quiet:
        complain("interrupted: what was read until then is shown")
    if writer is not None:
        writer.end(timeline)
    else:
        _print(selected(timeline, analysis.base_ns or 0, since, until, probes), output, colour)
    if output in ("json", "ndjson", "html") and not quiet:
        note_incomplete(timeline)
    if interrupted:
        return INTERRUPTED
    return DONE if timeline.complete else INCOMPLETE


def _live_writer() -> Writer:
    from ..report.ndjson import Writer

    return Writer(sys.stdout.write)


def selected(timeline: Timeline, base_ns: int, since: str | None, until: str | None, probes: Sequence[str]) -> Timeline:
    """Return what of a timeline is to be shown; InputError where a selector names nothing."""
    from ..report.select import select

    matching(timeline, probes)
    since_ns, until_ns = span(since, until, base_ns)
    return select(timeline, since_ns=since_ns, until_ns=until_ns, probes=probes)


def _print(timeline: Timeline, output: str, colour: str) -> None:
    out = sys.stdout.write
    if output == "json":
        from ..report import document

        document.write(timeline, out)
    elif output == "ndjson":
        from ..report import ndjson

        ndjson.lines(timeline, out)
    elif output == "html":
        print_page(timeline)
    else:
        from ..report import text

        text.write(timeline, out, wide=output == "wide", **manner(colour))


def note_incomplete(timeline: Timeline) -> None:
    """Say on standard error why the evidence is incomplete, where the data on standard output is for a program."""
    for info in timeline.captures:
        if not info.complete:
            for note in info.notes:
                complain(f"{info.path}: {note}")
