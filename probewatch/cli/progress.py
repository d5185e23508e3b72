"""A progress bar on standard error, for work that takes longer than about a second on a terminal."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

_PATIENCE: Final = 1.0
"""Seconds before a bar appears."""

_PACE: Final = 0.1
"""Seconds between two updates."""


class Bar:
    """Shows (bytes read, bytes in all). Use as a context manager; call it with progress."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr.isatty()
        self._next = time.monotonic() + _PATIENCE
        self._shown: Any = None
        self._task: Any = None

    def __call__(self, position: int, total: int | None) -> None:
        """Take note of progress."""
        if not self._wanted:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PACE
        if self._shown is None:
            self._open(total)
        self._shown.update(self._task, completed=position, total=total)

    def _open(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        self._shown = Progress(
            "reading",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
        )
        self._shown.start()
        self._task = self._shown.add_task("", total=total)

    def close(self) -> None:
        """Remove the bar."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None
        self._wanted = False

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
