"""`probewatch report`: everything that is known of saved captures as one HTML file, to attach to a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api import expectations, verified
from ..moments import InputError, moment
from .analyze import note_incomplete, selected
from .options import (
    Command,
    Inputs,
    Option,
    analysis_options,
    expect_option,
    kubelet_options,
    quiet_option,
    select_options,
)
from .output import complain, print_page
from .progress import Bar
from .run import DONE, INCOMPLETE

if TYPE_CHECKING:
    from ..model.ladder import Ladder
    from ..model.timeline import Timeline


@click.command(cls=Command)
@analysis_options
@kubelet_options
@expect_option
@select_options
@click.option(
    "-w",
    "--write",
    "path",
    required=True,
    metavar="FILE",
    cls=Option,
    section="Output",
    help="Write the report here (- is standard output); a report that is there already is replaced.",
)
@quiet_option
def report(
    inputs: Inputs,
    kubelet_logs: Sequence[str],
    events: Sequence[str],
    expects: Sequence[str],
    probes: Sequence[str],
    since: str | None,
    until: str | None,
    path: str,
    quiet: bool,
) -> int:
    """Write one HTML file that says who probed what, what failed, since when, why, and what to do.

    It holds what analyze shows, the first failures as explain draws them and, where a spec or expectations are given,
    the findings of verify. It loads nothing and runs nothing: attach it to a ticket. The captures are read twice:
    standard input is kept on disk meanwhile.

    Exit status: 0 done, whatever the probes did; 2 usage or unreadable input; 3 an input was cut or corrupt (what was
    whole is reported); 130 interrupted.
    """
    for text in (since, until):
        moment(text, 0)  # before any work
    _refuse_input(path, [*inputs.files, *inputs.specs, *inputs.clusters, *expects, *kubelet_logs, *events])
    from ..report.html_page import first_failures

    wanted = expectations(expects)
    verifying = bool(inputs.specs or inputs.clusters or expects)
    with (
        Bar(wanted=not quiet) as bar,
        inputs.explanation(progress=bar, measure=verifying, kubelet_log=kubelet_logs, events=events) as explanation,
    ):
        timeline = explanation.timeline
        if verifying:
            timeline = verified(timeline, explanation.book, wanted)
        shown = selected(timeline, explanation.base_ns or 0, since, until, probes)
        ladders = explanation.ladders(first_failures(shown))
    _write(shown, ladders, path)
    if not quiet:
        note_incomplete(timeline)
        if path != "-":
            complain(f"wrote {path}")
    return DONE if timeline.complete else INCOMPLETE


def _refuse_input(path: str, inputs: Sequence[str]) -> None:
    """Raise InputError where the report would overwrite what it is made from."""
    goal = Path(path)
    for given in inputs:
        source = Path(given)
        if path != "-" and goal.exists() and source.exists() and goal.samefile(source):
            raise InputError(f"-w {path} is one of the inputs: name another file")


def _write(timeline: Timeline, ladders: Sequence[Ladder], path: str) -> None:
    from ..capture.output import open_output
    from ..report import html

    if path == "-":
        print_page(timeline, ladders)
        return
    try:
        with TextIOWrapper(open_output(path), encoding="utf-8") as file:
            html.write(timeline, file.write, ladders)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
