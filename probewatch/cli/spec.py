"""`probewatch spec`: the probes' specs as the packets show them, to paste; or where they differ from the declared ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..api import verified
from .analyze import note_incomplete
from .options import Command, Inputs, analysis_options, output_options
from .output import manner, prepare_stdout
from .progress import Bar
from .run import DONE, INCOMPLETE

if TYPE_CHECKING:
    from ..model.spec import PodSpec
    from ..model.timeline import Timeline


@click.command(cls=Command)
@analysis_options
@output_options(
    "yaml",
    "json",
    says="yaml: a Pod for each address, or with --spec or --cluster a table of differences; json: probewatch.spec/1.",
)
def spec(inputs: Inputs, output: str, colour: str, quiet: bool) -> int:
    """Infer each probe's spec from packets alone and print it as YAML, each field with how sure it is, and why.

    With --spec, or Pods in --cluster, the difference between what is declared and what was observed is printed instead.
    What packets cannot tell is not visible and says so; `probewatch verify` makes a verdict of it.

    Exit status: 0 done, whatever differs; 2 usage or unreadable input; 3 an input was cut or corrupt (what was whole is
    told); 130 interrupted.
    """
    prepare_stdout()
    with Bar(wanted=not quiet) as bar:
        analysis = inputs.analysis(progress=bar, measure=True)
        timeline = analysis.whole()
    pods = analysis.book.all_pods()
    _print(verified(timeline, analysis.book) if pods else timeline, pods, output, colour, inputs.files)
    if not quiet:
        note_incomplete(timeline)
    return DONE if timeline.complete else INCOMPLETE


def _print(timeline: Timeline, pods: Sequence[PodSpec], output: str, colour: str, files: Sequence[str]) -> None:
    from ..verify.inferred import infer

    if output == "json":
        from ..report import jsontext, spec_document

        jsontext.write(spec_document.document(timeline, infer(timeline), pods), sys.stdout.write)
    elif pods:
        from ..report import specdiff

        specdiff.write(timeline, pods, sys.stdout.write, **manner(colour))
    else:
        from ..report import specyaml

        specyaml.write(infer(timeline), sys.stdout.write, made_from=" ".join(files))
