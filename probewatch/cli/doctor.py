"""`probewatch doctor`: what works on this machine, and what to install or grant."""

from __future__ import annotations

import sys

import click

from ..report.escape import pad, safe
from .options import Command, output_options
from .output import manner, prepare_stdout
from .run import DONE, INCOMPLETE


@click.command(cls=Command)
@output_options("table", "json", says="table, a line each; json: probewatch.doctor/1.")
def doctor(output: str, colour: str, quiet: bool) -> int:
    """Check what works here: capabilities, kernel features, interfaces, namespaces, libraries, the clock. Nothing is changed.

    Exit status: 0 the main jobs work (captures can be analysed, this node can be watched); 3 one of them does not;
    130 interrupted.
    """
    from ..cluster.checkup import checkup
    from ..report.paper import Paper, Span

    prepare_stdout()
    found = checkup()
    able = all(check.works for check in found if check.main)
    if output == "json":
        from ..report import jsontext

        made = {
            "schema": "probewatch.doctor/1",
            "able": able,
            "checks": [
                {
                    "name": check.name,
                    "works": check.works,
                    "main": check.main,
                    "found": check.found,
                    "needed_for": check.needed_for or None,
                    "remedy": check.remedy or None,
                }
                for check in found
            ],
        }
        jsontext.write(made, sys.stdout.write)
        return DONE if able else INCOMPLETE
    paper = Paper(sys.stdout.write, **manner(colour))
    size = max(len(check.name) for check in found)
    for check in found:
        if quiet and check.works:
            continue
        word, style = ("ok", "green") if check.works else ("MISSING", "red") if check.main else ("no", "yellow")
        more = f"; needed for {check.needed_for}: {check.remedy}" if not check.works and check.needed_for else ""
        lead = [Span(pad(word, 7), style), Span(f"  {pad(check.name, size)}  ")]
        paper.filled(safe(check.found + more), first=lead, indent=11 + size)
    return DONE if able else INCOMPLETE
