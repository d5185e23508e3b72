"""Files that are written: only for their owner's eyes, and never through somebody else's link."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from io import BufferedWriter
from pathlib import Path
from typing import Final, TextIO

from probewatch.capture.errors import CaptureError
from probewatch.capture.fifo import opening

_MODE: Final = 0o600


def open_output(path: str) -> BufferedWriter:
    """Open a file to be written from its beginning, mode 0600; `-` is standard output.

    A file that is there already is overwritten if it is ours, and nobody is writing it. A symbolic link is not followed, so that
    nobody who may write into the same directory chooses what is overwritten.

    Raises:
        CaptureError: it is a link, somebody else's, being written, or cannot be written.
    """
    if path == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    try:
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE)
            _claim(path, descriptor)
        except FileExistsError:
            _refuse_planted(path, os.lstat(path))  # (to open one that nobody reads would wait for ever)
            with opening(path, "reader"):
                descriptor = os.open(path, flags)
            _take_over(path, descriptor)
    except ValueError:
        raise CaptureError(path, "is not a path") from None
    except OSError as error:
        raise CaptureError(path, _refusal(error)) from None
    return os.fdopen(descriptor, "wb")


def open_new(path: str) -> TextIO:
    """Open a text file that is not there yet, mode 0600, without following a link.

    Raises:
        OSError: it is there, or cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, _MODE)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _take_over(path: str, descriptor: int) -> None:
    """Empty a file that was there; a device or FIFO is written to as it is."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        try:
            _refuse_planted(path, found)
        except CaptureError:
            os.close(descriptor)
            raise
        return
    if found.st_uid != os.geteuid() or found.st_nlink > 1:
        os.close(descriptor)
        why = "belongs to somebody else" if found.st_uid != os.geteuid() else "has other names (hard links)"
        raise CaptureError(path, f"is there already and {why}: name another file")
    _claim(path, descriptor)
    os.fchmod(descriptor, _MODE)
    os.ftruncate(descriptor, 0)


def _claim(path: str, descriptor: int) -> None:
    """Refuse a file that another process of ours is writing: one of the two recordings would be lost, and nobody told."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CaptureError(path, "is being written by another process: name another file") from None
    except OSError:
        pass  # (a file system without locks)


def _refuse_planted(path: str, found: os.stat_result) -> None:
    """Refuse another user's FIFO in a directory as /tmp is, as the kernel does for O_CREAT where fs.protected_fifos is on."""
    if stat.S_ISFIFO(found.st_mode) and found.st_uid != os.geteuid():
        mode = Path(path).parent.stat().st_mode
        if mode & stat.S_ISVTX and mode & stat.S_IWOTH:
            raise CaptureError(
                path, "is somebody else's FIFO in a directory that anybody may write to: name another file"
            )


def _refusal(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is not followed: name the file itself"
    return f"cannot be written: {(error.strerror or str(error)).lower()}"
