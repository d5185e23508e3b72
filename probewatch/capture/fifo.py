"""FIFOs without another end: opening one waits until somebody opens that, and for ever where nobody does.

Every program waits so; but whoever mistyped a name, or forgot to start the other program, is told what is waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from probewatch.capture.errors import shown

WAIT_S: Final = 1.0
"""Seconds after which it is told."""

_say: Callable[[str], object] | None = None


def tell(say: Callable[[str], object] | None) -> None:
    """Let `say` have the sentence from now on; None: nobody."""
    global _say
    _say = say


@contextmanager
def opening(path: str | os.PathLike[str], end: str = "writer") -> Iterator[None]:
    """Open `path` inside; where that is a FIFO whose other `end` is missing for WAIT_S, that is told, once."""
    if (say := _say) is None or not _is_fifo(path):
        yield
        return
    import threading

    name = shown(os.fspath(path))
    waiting = threading.Timer(WAIT_S, say, [f"{name} is a FIFO: waiting for its {end}"])
    waiting.daemon = True
    waiting.start()
    try:
        yield
    finally:
        waiting.cancel()


def _is_fifo(path: str | os.PathLike[str]) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116  (a path may be odd)
    except (OSError, ValueError):
        return False  # (whoever opens it says what is wrong)
