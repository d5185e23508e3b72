"""`probewatch who`: what a connection was that an application logged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..capture.errors import shown
from ..moments import InputError
from .analyze import note_incomplete
from .live import Around, Ending, duration_option, netns_option, refuse_nothing, step_down, tap, user_option
from .options import Command, Inputs, analysis_options, output_options
from .output import complain, manner, prepare_stdout
from .progress import Bar
from .run import DONE, INCOMPLETE

if TYPE_CHECKING:
    from ..asking import Told

LOOK_S: Final = 15.0
"""Seconds of a look without a capture: more than the period of most probes."""


@click.command(cls=Command)
@analysis_options
@duration_option(f"Without a capture: how long to look. [default: {LOOK_S:g}]")
@netns_option
@user_option
@output_options("text", "json", says="text; json: probewatch.who/1.")
def who(
    inputs: Inputs, duration: float | None, netns: str | None, user: str, output: str, colour: str, quiet: bool
) -> int:
    """Identify a connection that an application logged: whose probe, which attempt, what it does, what servers log of it.

    The last argument is the endpoint, as it stands in the log: probewatch who capture.pcap 10.104.2.1:57866, or
    '[fd00::1]:57866', or the whole line of the log. Where its port was used again, every use is told. Without a capture it
    looks for a while at what passes on this node, as root: probewatch who 10.128.0.10:8080.

    Exit status: 0 something was found; 2 usage or unreadable input; 3 nothing was found, or an input was cut or corrupt
    (what was found before is shown); 130 interrupted.
    """
    *files, text = inputs.files
    from ..asking import asked, endpoint_of

    prepare_stdout()
    if not files:
        if Path(text).exists():
            raise click.UsageError(f"give the endpoint after the captures: probewatch who {text} 10.0.0.1:50000")
        told = _look(inputs, endpoint_of(text), LOOK_S if duration is None else duration, netns, user, quiet=quiet)
    else:
        if duration is not None or netns is not None:
            raise InputError("--duration and --netns are for a look without a capture")
        wanted = _endpoint(files, text)
        with Bar(wanted=not quiet) as bar:
            told = asked(replace(inputs, files=files).analysis(progress=bar, endpoint=wanted), wanted)
    _print(told, output, colour)
    if told.nothing and output == "text":
        complain(told.nothing)
    if not told.timeline.complete and not quiet:
        note_incomplete(told.timeline)
    return DONE if told.answers and told.timeline.complete else INCOMPLETE


def _endpoint(files: Sequence[str], text: str) -> tuple[str, int]:
    """Return the endpoint behind the captures; where there is none, say what was mistaken for one."""
    from ..asking import endpoint_of

    try:
        return endpoint_of(text)
    except InputError:
        whole = " ".join([*files, text])
        names = [one for one in (*files, text) if Path(one).is_file()]
        try:
            endpoint_of(whole)
        except InputError:
            names = []
        if not names:
            raise
        if names[-1] == text:
            raise InputError(
                f"give the endpoint after the captures: probewatch who {' '.join(names)} {files[0]}"
            ) from None
        raise InputError(
            f"quote a line of a log, so that it is one argument: probewatch who {names[0]} '... {text}'"
        ) from None


def _look(
    inputs: Inputs, wanted: tuple[str, int], seconds: float, netns: str | None, user: str, *, quiet: bool
) -> Told:
    """Look at this node for so long, or until Ctrl-C."""
    from ..api import observer
    from ..asking import told
    from ..watching import Watch

    refuse_nothing(seconds, None)
    known = observer(**inputs.arguments(), endpoint=wanted, heard=False)
    feed = tap((), netns, "" if inputs.expression is None else inputs.expression)
    try:
        around = Around(known, netns, user)
        around.name(feed)
        around.close()  # (for so short a time one look is enough)
        step_down(user, quiet=True)
        watching = Watch(feed, known)
        feed.begin()
        ending = Ending(seconds)
        if not quiet:
            complain(f"looking at {shown(feed.path)} for {seconds:g} s; Ctrl-C ends it with what was found")
        while not (ending.come or watching.over):
            watching.turn()
        watching.settle()
        timeline = watching.finish()
    finally:
        feed.close()
    return told(timeline, known.followed(), wanted, f"passed in {seconds:g} s")


def _print(told: Told, output: str, colour: str) -> None:
    from ..report import answers, jsontext

    if output == "json":
        jsontext.write(answers.document(told.answers, told.timeline, told.endpoint), sys.stdout.write)
    else:
        answers.write(told.answers, told.timeline, sys.stdout.write, **manner(colour))
