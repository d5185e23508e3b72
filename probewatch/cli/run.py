"""Run a command line: whatever goes wrong ends in one sentence on standard error and an exit status, never in a traceback."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ..moments import InputError
from .group import Interrupted, ReaderGone, cli
from .output import StdoutError, abandon_stdout, complain, name_stdout, note, open_closed

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
INCOMPLETE: Final = 3
INTERRUPTED: Final = 130

COLLECT: Final = (200_000, 10, 50)
"""Objects made, and younger collections, after which Python looks for garbage in circles (gc.set_threshold; 700, 10, 10 else).

Nothing of ours that comes with frames waits for that: the connection tracker takes its own circles apart, and the rest has none.
It costs a fifth of the time of a long capture otherwise, and as 20,000 still 5 %, of `watch` 14 %."""


COMPLETE: Final = "_PROBEWATCH_COMPLETE"
"""Where a shell asks for what completes a line (click); it gives no arguments then."""
ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "1")
"""What keeps numpy from starting a thread for each core when it is imported: nothing of ours multiplies matrices, and starting
them takes as long as importing numpy itself."""


def run(arguments: Sequence[str]) -> int:
    """Return the exit status.

    0 done, 1 an expectation failed, 2 usage, unreadable input or an output that cannot be written, 3 incomplete evidence, 130 interrupted.
    """
    open_closed()
    if not arguments and COMPLETE not in os.environ:
        context = click.Context(cli, info_name="probewatch", **cli.context_settings)
        note(context.get_help() + "\n")
        return BAD_INPUT
    if sys.stdout is None:
        return BAD_INPUT  # closed by whoever started us: there is nowhere to write to, nor much sense in reading
    name_stdout()
    gc.set_threshold(*COLLECT)
    os.environ.setdefault(*ONE_THREAD)
    try:
        status = cli.main(args=list(arguments), prog_name="probewatch", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, ReaderGone):  # `| head` has seen enough
        abandon_stdout()
        return DONE
    except (Interrupted, KeyboardInterrupt, click.Abort):
        complain("interrupted")
        return INTERRUPTED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "probewatch"
        complain(f"{_sentence(error.format_message())} (see {command} --help)")
        return BAD_INPUT
    except click.ClickException as error:
        complain(error.format_message())
        return BAD_INPUT
    except InputError as error:
        complain(str(error))
        return BAD_INPUT
    except StdoutError as error:
        complain("; ".join([str(error), *getattr(error, "__notes__", ())]))
        abandon_stdout()
        return BAD_INPUT
    except Exception as error:
        if os.environ.get("PROBEWATCH_TRACEBACK"):
            raise
        complain(str(error) if _is_ours(error) else _own_fault(error))
        return BAD_INPUT
    return status if isinstance(status, int) else DONE


def _own_fault(error: Exception) -> str:
    """Say that it is our fault, and where: a traceback helps nobody at night (PROBEWATCH_TRACEBACK=1 shows it)."""
    import traceback  # (takes 4 ms to import)

    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return f"internal error at {where} ({type(error).__name__}: {error}): a fault of probewatch, not of the input; please report it"


def _sentence(message: str) -> str:
    # (click's name of the type says nothing to whoever typed it)
    message = message.replace("is not a valid integer range", "is not a whole number")
    message = message.replace("is not a valid float range", "is not a number")
    return message[:1].lower() + message[1:].rstrip(".")


def _is_ours(error: Exception) -> bool:
    """Say whether it is a plain error of an input; importing those packages only to name their errors would cost start-up time."""
    if isinstance(error, OSError):
        return True
    loaded = [
        (sys.modules.get("probewatch.capture"), "CaptureError"),
        (sys.modules.get("probewatch.cluster"), "SpecError"),
    ]
    return any(module is not None and isinstance(error, getattr(module, name)) for module, name in loaded)
