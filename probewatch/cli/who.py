"""`probewatch who`: what a connection was that an application logged."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from .analyze import note_incomplete
from .options import Command, Inputs, analysis_options, output_options
from .output import complain, manner, prepare_stdout
from .progress import Bar
from .run import DONE, INCOMPLETE

if TYPE_CHECKING:
    from ..asking import Told


@click.command(cls=Command)
@analysis_options
@output_options("text", "json", says="text; json: probewatch.who/1.")
def who(inputs: Inputs, output: str, colour: str, quiet: bool) -> int:
    """Say what a connection was that an application logged: whose probe, which attempt, what it does, what servers log of it.

    The last argument is the endpoint, as it stands in the log: probewatch who capture.pcap 10.104.2.1:57866, or
    '[fd00::1]:57866', or the whole line of the log. Where its port was used again, every use is told.

    Exit status: 0 something was found; 2 usage or unreadable input; 3 nothing was found, or an input was cut or corrupt
    (what was found before is shown); 130 interrupted.
    """
    *files, text = inputs.files
    if not files:
        raise click.UsageError(
            "give the captures, and behind them the endpoint: probewatch who capture.pcap 10.0.0.1:50000"
        )
    from ..asking import asked, endpoint_of

    prepare_stdout()
    wanted = endpoint_of(text)
    with Bar(wanted=not quiet) as bar:
        told = asked(replace(inputs, files=files).analysis(progress=bar, endpoint=wanted), wanted)
    _print(told, output, colour)
    if told.nothing and output == "text":
        complain(told.nothing)
    if not told.timeline.complete and not quiet:
        note_incomplete(told.timeline)
    return DONE if told.answers and told.timeline.complete else INCOMPLETE


def _print(told: Told, output: str, colour: str) -> None:
    from ..report import answers

    if output == "json":
        answers.write_json(told.answers, told.timeline, told.endpoint, sys.stdout.write)
    else:
        answers.write(told.answers, told.timeline, sys.stdout.write, **manner(colour))
