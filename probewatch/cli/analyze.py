"""`probewatch analyze`: the timeline of saved captures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from ..api import matching
from ..moments import InputError, moment, span
from .options import (
    Command,
    Inputs,
    Option,
    analysis_options,
    kubelet_options,
    output_options,
    select_options,
)
from .output import complain, manner, prepare_stdout, print_page
from .progress import Bar
from .run import DONE, INCOMPLETE, INTERRUPTED

if TYPE_CHECKING:
    from ..model.timeline import Timeline
    from ..report.ndjson import Writer

_BRIEF: Final = ("table", "ndjson", "metrics")
"""Outputs that need no more of old attempts than what is kept in brief."""


@click.command(cls=Command)
@analysis_options
@kubelet_options
@select_options
@output_options(
    "table",
    "wide",
    "json",
    "ndjson",
    "html",
    "trace",
    "metrics",
    "junit",
    says="table: what matters; wide: every attempt and connection; json: probewatch.timeline/1; "
    "ndjson: the same as it becomes known; html: one file to look at (see also probewatch report); "
    "trace: for ui.perfetto.dev; metrics: OpenMetrics, with the kubelet's names; junit: a test case for each probe.",
)
@click.option(
    "-w",
    "--write",
    metavar="FILE",
    cls=Option,
    section="Output",
    help="Also write the frames to FILE (pcapng), with comments on those that mattered and names of addresses, for Wireshark. "
    "Reads the captures twice.",
)
@click.option(
    "--only-probes",
    is_flag=True,
    cls=Option,
    section="Output",
    help="With -w: only frames of probes, ARP and ICMP about them.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    cls=Option,
    section="Input",
    help="With 2, a second process reads captures of 4 MiB and more ahead of the first; more than 2 do not help.",
)
def analyze(
    inputs: Inputs,
    kubelet_logs: Sequence[str],
    events: Sequence[str],
    probes: Sequence[str],
    since: str | None,
    until: str | None,
    output: str,
    colour: str,
    quiet: bool,
    write: str | None,
    only_probes: bool,
    jobs: int,
) -> int:
    """Show who probed what in saved captures, what happened in every attempt and why, and what was decided.

    Exit status: 0 done, whatever the probes did; 2 usage or unreadable input; 3 an input was cut or corrupt (what was
    whole is shown); 130 interrupted by Ctrl-C or SIGTERM (what
    was read is shown).
    """
    for text in (since, until):
        moment(text, 0)  # before any work
    if only_probes and write is None:
        raise click.UsageError("--only-probes says what -w writes: give -w FILE")
    if output == "metrics" and find_spec("prometheus_client") is None:
        raise InputError("-o metrics needs the package prometheus-client: pip install 'probewatch[metrics]'")
    prepare_stdout()
    narrowed = bool(probes or since or until)
    writer = _live_writer() if output == "ndjson" and not narrowed and write != "-" else None
    interrupted = False
    with Bar(wanted=not quiet) as bar, ExitStack() as stack:
        stdin = _twice(inputs, write, stack)
        analysis = inputs.analysis(
            progress=bar,
            # (What was selected is shown with all there is; frames and the kubelet's words are held against connections.)
            brief=output in _BRIEF and not (narrowed or write or kubelet_logs or events),
            kubelet_log=kubelet_logs,
            events=events,
            on_change=None if writer is None else lambda c: writer.change(c.kind, c.id, c.rev, c.probe, c.value),
            stdin=stdin,
            jobs=jobs,
        )
        try:
            analysis.run()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            bar.close()
        timeline = analysis.timeline()
        if interrupted and not quiet:
            complain("interrupted: what was read so far is shown")
        shown = selected(timeline, analysis.base_ns or 0, since, until, probes) if writer is None else timeline
        if writer is not None:
            writer.end(timeline)
        elif write != "-":
            _print(shown, output, colour)
        if write is not None and not interrupted:
            interrupted = not _write_copy(inputs, shown, write, stdin, only_probes=only_probes, quiet=quiet)
    if (output in _FOR_PROGRAMS or write == "-") and not quiet:
        note_incomplete(timeline)
    if interrupted:
        return INTERRUPTED
    return DONE if timeline.complete else INCOMPLETE


def _twice(inputs: Inputs, write: str | None, stack: ExitStack) -> BinaryIO | None:
    """Prepare to read the captures a second time, where they are to be written."""
    if write is None:
        return None
    from ..annotating import refuse_inputs
    from ..api import read_twice

    refuse_inputs(write, inputs.files)
    stdin = read_twice(inputs.files)
    if stdin is not None:
        stack.callback(stdin.close)
    return stdin


def _write_copy(
    inputs: Inputs, timeline: Timeline, path: str, stdin: BinaryIO | None, *, only_probes: bool, quiet: bool
) -> bool:
    """Write it; return whether nobody interrupted that."""
    from ..annotating import annotate
    from ..report.numbers import count

    if stdin is not None:
        stdin.seek(0)
    try:
        written = annotate(timeline, inputs.files, path, only_probes=only_probes, filter=inputs.expression, stdin=stdin)
    except KeyboardInterrupt:
        if not quiet:
            complain(f"interrupted: {path} is not whole")
        return False
    if not quiet:
        complain(f"{path}: {count(written.frames, 'frame')}, {written.commented} with a comment")
    return True


def _live_writer() -> Writer:
    from ..report.ndjson import Writer

    return Writer(sys.stdout.write)


def selected(timeline: Timeline, base_ns: int, since: str | None, until: str | None, probes: Sequence[str]) -> Timeline:
    """Return what of a timeline is to be shown; InputError where a selector names nothing."""
    from ..report.select import select

    matching(timeline, probes)
    since_ns, until_ns = span(since, until, base_ns)
    return select(timeline, since_ns=since_ns, until_ns=until_ns, probes=probes)


_WRITERS: Final = {
    "json": ("document", "write"),
    "ndjson": ("ndjson", "lines"),
    "trace": ("trace", "write"),
    "metrics": ("metrics", "write"),
    "junit": ("junit_probes", "write"),
}
"""Format for programs -> the module of `report` that writes it, and its function."""

_FOR_PROGRAMS: Final = (*_WRITERS, "html")
"""Formats that leave it to a note on standard error that evidence is incomplete."""


def _print(timeline: Timeline, output: str, colour: str) -> None:
    if output in _WRITERS:
        module, name = _WRITERS[output]
        getattr(import_module(f"probewatch.report.{module}"), name)(timeline, sys.stdout.write)
    elif output == "html":
        print_page(timeline)
    else:
        from ..report import text

        text.write(timeline, sys.stdout.write, wide=output == "wide", **manner(colour))


def note_incomplete(timeline: Timeline) -> None:
    """Say on standard error why the evidence is incomplete, where the data on standard output is for a program."""
    for info in timeline.captures:
        if not info.complete:
            for note in info.notes:
                complain(f"{info.path}: {note}")
