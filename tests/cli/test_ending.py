"""How the command's process ends."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit, gc, sys
from probewatch.cli import main
atexit.register(lambda: print(gc.get_freeze_count() > 0))
sys.argv = ["probewatch", {argument!r}]
{call}
"""


def said(argument: str, call: str) -> list[str]:
    """Return what a process printed that calls the command in this way."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(argument=argument, call=call)], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def test_what_is_left_is_not_searched_for_garbage() -> None:
    """The process of the command ends without going through all objects again; called in one that goes on it changes nothing there."""
    assert said("--help", "sys.exit(main())")[-1] == "True"
    assert said("--help", "main(['--help'])")[-1] == "False"
