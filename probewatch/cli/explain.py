"""`probewatch explain`: single attempts as ladder diagrams."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from .analyze import note_incomplete
from .options import Command, Inputs, Option, analysis_options, output_options, pod_option, probe_option
from .output import complain, manner, prepare_stdout
from .progress import Bar
from .run import DONE, INCOMPLETE

if TYPE_CHECKING:
    from ..model.ladder import Ladder
    from ..model.timeline import Attempt, Timeline


@click.command(cls=Command)
@analysis_options
@probe_option("Only attempts of this probe")
@pod_option("Only attempts of this pod's probes")
@click.option(
    "--attempt",
    "attempts",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    cls=Option,
    section="Select",
    help="This attempt, by its number in analyze. Repeatable. Default: the failure that led to the worst decision, "
    "else the first failure, else the last attempt.",
)
@click.option(
    "--failed",
    is_flag=True,
    cls=Option,
    section="Select",
    help="Every attempt that failed: one of each kind is drawn, and the others are named below it; as JSON the first 20.",
)
@click.option("--first-failed", is_flag=True, cls=Option, section="Select", help="The first attempt that failed.")
@click.option(
    "--frame",
    type=click.IntRange(min=1),
    metavar="N",
    cls=Option,
    section="Select",
    help="The attempt that this frame belongs to, as Wireshark numbers frames.",
)
@output_options("text", "json", says="text: a ladder diagram; json: probewatch.ladder/1.")
def explain(
    inputs: Inputs,
    probes: Sequence[str],
    pods: Sequence[str],
    attempts: Sequence[int],
    failed: bool,
    first_failed: bool,
    frame: int | None,
    output: str,
    colour: str,
    quiet: bool,
) -> int:
    """Show attempts frame by frame: who said what and when, how long each phase took, why it ended so, what to do.

    The captures are read twice: standard input is kept on disk meanwhile.

    Exit status: 0 done, whatever the probes did; 2 usage or unreadable input; 3 an input was cut or corrupt (what was
    whole is shown); 130 interrupted.
    """
    if sum((bool(attempts), failed, first_failed, frame is not None)) > 1:
        raise click.UsageError("--attempt, --failed, --first-failed and --frame exclude each other")
    from ..explaining import MOST, alike, choose, holding

    prepare_stdout()
    with Bar(wanted=not quiet) as bar, inputs.explanation(progress=bar) as explanation:
        bar.close()
        timeline = explanation.timeline
        chosen = choose(
            timeline, probes=probes, pods=pods, attempts=attempts, frame=frame, failed=failed, first=first_failed
        )
        again: dict[tuple[str, int], Sequence[Attempt]] = {}
        if failed and output == "text":
            kinds = alike(chosen)
            chosen = [pair for pair, _ in kinds]
            again = {(one.id, first.n): others for (one, first), others in kinds}
        if failed and len(chosen) > MOST and not quiet:
            complain(f"{len(chosen)} failures, the first {MOST} are shown: --attempt N shows another")
        ladders = explanation.ladders(chosen[:MOST] if failed else chosen)
    _print(ladders if frame is None else holding(ladders, frame), timeline, output, colour, again)
    if not timeline.complete and not quiet:
        note_incomplete(timeline)
    return DONE if timeline.complete else INCOMPLETE


def _print(
    ladders: Sequence[Ladder],
    timeline: Timeline,
    output: str,
    colour: str,
    again: Mapping[tuple[str, int], Sequence[Attempt]],
) -> None:
    if output == "json":
        from ..report import jsontext, ladder_document

        jsontext.write(ladder_document.document(ladders, timeline.captures), sys.stdout.write)
    else:
        from ..report import ladder

        ladder.write(ladders, timeline.captures, sys.stdout.write, again=again, **manner(colour))
