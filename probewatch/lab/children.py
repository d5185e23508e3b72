"""Processes of a run: started into their namespace, ended with whoever started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from probewatch.capture.netns import enter

from .state import MARK

_PR_SET_PDEATHSIG: Final = 1
GRACE_S: Final = 6.0
"""Seconds that a child has to end on SIGTERM."""


def start(module: str, arguments: list[str], *, run: str, log: Path, detached: bool = False) -> subprocess.Popen[bytes]:
    """Start a module of the laboratory as a process of its own, out of reach of the terminal's Ctrl-C.

    It dies with its parent unless it is `detached`. What it complains of goes to the file `log`.
    """
    flag = "detached" if detached else str(os.getpid())
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", f"probewatch.lab.{module}", flag, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            env=environment(run),
        )


def environment(run: str) -> dict[str, str]:
    """Return the environment of a run's processes: ours, its number, and where this package lies."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, MARK: run, "PYTHONPATH": os.pathsep.join(paths)}


def begin(flag: str, netns: str | None) -> None:
    """Make this process a child as `start` means it: called first of all, while it has one thread."""
    if flag != "detached":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(flag):  # the parent died before prctl
            sys.exit(1)
    if netns is not None:
        enter(netns)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal that would end this process break off what is done inside; for the main thread, which alone hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(child: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End a child, and its whole session if it does not listen."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
