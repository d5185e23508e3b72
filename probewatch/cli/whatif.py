"""`probewatch whatif`: what the kubelet would have decided under other settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..api import matching
from ..api import whatif as replay
from ..moments import moment, span
from .analyze import note_incomplete
from .options import Command, Inputs, Option, analysis_options, output_options, select_options
from .output import manner, prepare_stdout
from .progress import Bar
from .run import DONE, INCOMPLETE

_SETTINGS = (
    ("--timeout", "timeout", "timeoutSeconds to use instead of each probe's own."),
    ("--period", "period", "periodSeconds."),
    ("--failure-threshold", "failure_threshold", "failureThreshold."),
    ("--success-threshold", "success_threshold", "successThreshold, of readiness probes."),
    ("--initial-delay", "initial_delay", "initialDelaySeconds."),
)


def _setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option, name, says in reversed(_SETTINGS):
        function = click.option(option, name, type=int, metavar="N", cls=Option, section="Settings", help=says)(
            function
        )
    return function


@click.command(cls=Command)
@analysis_options
@_setting_options
@select_options
@output_options("table", "json", says="table; json: probewatch.whatif/1.")
def whatif(
    inputs: Inputs,
    timeout: int | None,
    period: int | None,
    failure_threshold: int | None,
    success_threshold: int | None,
    initial_delay: int | None,
    probes: Sequence[str],
    since: str | None,
    until: str | None,
    output: str,
    colour: str,
    quiet: bool,
) -> int:
    """Replay what was recorded under other probe settings: when Ready, NotReady, restarted.

    What the recording does not tell is shown as a range, from the best case to the worst. --probe gives the new settings
    to those probes only. Without a setting the recorded decisions are replayed, and the times that the settings bound
    are told.

    Exit status: 0 done; 2 usage or unreadable input; 3 an input was cut or corrupt (what was whole is replayed);
    130 interrupted.
    """
    for text in (since, until):
        moment(text, 0)  # before any work
    prepare_stdout()
    asked: dict[str, Any] = {
        "timeout": timeout,
        "period": period,
        "failure_threshold": failure_threshold,
        "success_threshold": success_threshold,
        "initial_delay": initial_delay,
    }
    from ..model.timeline import Timeline

    replay(Timeline(), **asked)  # refuses settings that cannot be
    with Bar(wanted=not quiet) as bar:
        analysis = inputs.analysis(progress=bar)
        timeline = analysis.whole()
    matching(timeline, probes)
    from ..report import whatif as report

    found = replay(timeline, probe=probes, **asked)
    found = report.within(found, timeline, *span(since, until, analysis.base_ns or 0))
    if output == "json":
        from ..report import jsontext, whatif_document

        jsontext.write(whatif_document.document(timeline, found), sys.stdout.write)
    else:
        report.write(timeline, found, sys.stdout.write, **manner(colour))
    if not quiet:
        note_incomplete(timeline)
    return DONE if timeline.complete else INCOMPLETE
