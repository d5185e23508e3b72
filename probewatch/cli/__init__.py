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
import signal
import sys
from collections.abc import Sequence


def _hear_sigterm() -> bool:
    """Let SIGTERM (`timeout 60 probewatch ...`) end every command as Ctrl-C does; return whether it does so only from now on.

    Commands that run until somebody ends them hear both in their own way later (`live.Ending`).
    """
    try:
        if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            return False  # somebody who calls us, or who started us, has a mind of his own
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # another thread than the first is never told
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (docs/design.md, section 5)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]):
        from probewatch import __version__

        if sys.stdout is None:
            return 2  # (closed by whoever started us)
        try:
            sys.stdout.write(f"probewatch {__version__}\n")
            sys.stdout.flush()
        except OSError as error:
            from .output import StdoutError, abandon_stdout, complain

            abandon_stdout()
            complain(str(StdoutError(error.errno, error.strerror)))
            return 2
        return 0
    heard = _hear_sigterm()
    try:
        from .run import run

        return run(arguments)
    except KeyboardInterrupt:  # while modules are still being imported
        from .output import complain

        complain("interrupted")
        return 130
    finally:
        if heard:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if argv is None:
            # The process ends: to look through all that is left for garbage in circles takes 5 to 8 % of a run.
            gc.freeze()
