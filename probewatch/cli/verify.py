"""`probewatch verify`: declared probes, and what a test expects of them, against what the packets show."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..api import expectations, verified
from ..model.finding import Held, worst
from ..moments import InputError
from .analyze import note_incomplete
from .options import Command, Inputs, Option, analysis_options, expect_option, output_options
from .output import complain, manner, note, prepare_stdout, print_page
from .progress import Bar
from .run import DONE, FAILED, INCOMPLETE

if TYPE_CHECKING:
    from ..model.timeline import Timeline


@click.command(cls=Command)
@analysis_options
@expect_option
@click.option(
    "--write-expect",
    "learnt",
    metavar="FILE",
    cls=Option,
    section="Output",
    help="Write expectations that this capture meets to a new file (- is standard output), instead of verifying.",
)
@click.option(
    "--allow-inconclusive",
    "lenient",
    is_flag=True,
    cls=Option,
    section="Output",
    help="Exit 0 even if something is inconclusive, as long as nothing failed and something passed.",
)
@output_options(
    "table",
    "wide",
    "json",
    "junit",
    "html",
    says="table: failures at length; wide: every finding at length; json: probewatch.timeline/1 with its findings; "
    "junit: XML, a test case for each finding; html: one file to look at, as probewatch report writes it.",
)
def verify(
    inputs: Inputs,
    expects: Sequence[str],
    learnt: str | None,
    lenient: bool,
    output: str,
    colour: str,
    quiet: bool,
) -> int:
    """Check that the probes of a Pod were carried out as its spec demands, and as a file of expectations does.

    A finding fails only where the packets exclude what is declared, and passes only where they exclude everything else;
    what they leave open is inconclusive, with the reason.

    Exit status: 0 all held; 1 something failed; 2 usage or unreadable input; 3 nothing failed, but something is
    inconclusive or an input was cut or corrupt; 130 interrupted.
    """
    if learnt is None and not (inputs.specs or inputs.clusters or expects):
        raise InputError("nothing to verify against: give --spec POD.yaml, --cluster FILE or --expect FILE")
    prepare_stdout()
    wanted = expectations(expects)  # wrong ones are refused before any work
    with Bar(wanted=not quiet) as bar:
        analysis = inputs.analysis(progress=bar, measure=learnt is None)
        timeline = analysis.whole()
    if learnt is not None:
        _write_expectations(timeline, learnt, inputs.files)
        return DONE if timeline.complete else INCOMPLETE
    timeline = verified(timeline, analysis.book, wanted)
    given = _paths([*inputs.clusters, *inputs.specs, *expects])
    _print(timeline, output, colour, inputs.files, given)
    _annotate(timeline, given)
    if output in ("json", "junit", "html") and not quiet:
        note_incomplete(timeline)
    if not timeline.findings:
        complain("nothing was verified: no declared probe can be looked for in this capture")
    held = worst(timeline.findings)
    if held is Held.FAIL:
        return FAILED
    some = any(finding.held is Held.PASS for finding in timeline.findings)
    return DONE if timeline.complete and (held is Held.PASS or (lenient and some)) else INCOMPLETE


def _paths(given: Sequence[str]) -> dict[str, str]:
    """Return the files that declare something as the user wrote them, by the names that findings have for them; no pipes."""
    from ..cluster.source import is_pipe

    return {name: path for path in given if not is_pipe(path) for name in (Path(path).name, path)}


def _print(timeline: Timeline, output: str, colour: str, files: Sequence[str], given: Mapping[str, str]) -> None:
    out = sys.stdout.write
    if output == "json":
        from ..report import document

        document.write(timeline, out)
    elif output == "junit":
        from ..report import junit

        junit.write(timeline.findings, out, name=" ".join(files), files=given)
    elif output == "html":
        print_page(timeline)
    else:
        from ..report import text

        text.write_verdicts(timeline, out, wide=output == "wide", **manner(colour))


def _annotate(timeline: Timeline, given: Mapping[str, str]) -> None:
    """Tell a GitHub runner, which reads standard error too, so that standard output stays data; `given` are paths by file name."""
    from ..report import github

    if github.wanted(os.environ):
        github.write(timeline.findings, note, given)


def _write_expectations(timeline: Timeline, path: str, files: Sequence[str]) -> None:
    """Write what this timeline meets; a file that is there already is left alone."""
    from ..capture.output import open_new
    from ..report import expectation
    from ..verify.learn import learn

    made_from = " ".join(files)
    if path == "-":
        expectation.write(learn(timeline), sys.stdout.write, made_from=made_from)
        return
    try:
        with open_new(path) as file:
            expectation.write(learn(timeline), file.write, made_from=made_from)
    except FileExistsError:
        raise InputError(f"{path} is there already: remove it, or name another file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    complain(f"wrote {path}: read it before you rely on it")
