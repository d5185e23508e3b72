"""The command line: parse options, call `api`, print; no logic.

__init__.py   main(): the entry point, which answers --version before anything is imported
run.py        runs a command, turns what can go wrong into one sentence and an exit status
group.py      the list of commands, each imported when it is called
options.py    options that several commands share, and help in sections
output.py     standard output: encoding, colour, a reader that goes away
progress.py   a bar on standard error, if the work takes long
analyze.py    probewatch analyze
explain.py    probewatch explain
report.py     probewatch report
verify.py     probewatch verify
whatif.py     probewatch whatif
lab.py        probewatch lab list|run|up|down

And:

    doctor  `probewatch doctor`: what works on this machine, and what to install or grant
    live    what `watch` and `record` share: options that say what to capture, how it is opened, and how it ends
    pods    `probewatch pods`: the Pods, interfaces, namespaces and addresses that this node shows
    record  `probewatch record`: just what an analysis needs, as pcapng
    shows   how `watch` shows what happens: as lines, as NDJSON; and the summary at the end
    spec    `probewatch spec`: the probes' specs as the packets show them, to paste
    watch   `probewatch watch`: attempts and decisions as they happen
    who     `probewatch who`: what a connection was that an application logged
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (docs/design.md, section 5)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]):
        from probewatch import __version__

        try:
            sys.stdout.write(f"probewatch {__version__}\n")
            sys.stdout.flush()
        except OSError as error:
            from .output import StdoutError, abandon_stdout, complain

            abandon_stdout()
            complain(str(StdoutError(error.errno, error.strerror)))
            return 2
        return 0
    try:
        from .run import run

        return run(arguments)
    except KeyboardInterrupt:  # Ctrl-C while modules are still being imported
        return 130
    finally:
        if argv is None:
            # The process ends: to look through all that is left for garbage in circles takes 5 to 8 % of a run.
            gc.freeze()
