"""Inputs that are read twice: standard input is kept in a file without a name; other streams are refused."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final, cast

from probewatch.capture.errors import CaptureError

SPOOL_LIMIT: Final = 4 << 30
"""Bytes of standard input that are kept on disk to be read again; more is an error."""
CHUNK: Final = 1 << 20


def rereadable(paths: Sequence[str], stdin: BinaryIO | None) -> BinaryIO | None:
    """Return what to read for `-` in each pass (seek to 0 before one), or None where no path is `-`.

    The copy lies in the directory for temporary files, readable by its owner alone, and has no name there: it is gone when it
    is closed, however the program ends. The caller closes it.

    Raises:
        CaptureError: another path is a stream, which can be read only once; standard input is too long, or cannot be kept.
    """
    for path in paths:
        if path != "-" and _is_stream(path):
            raise CaptureError(
                path,
                "is a stream and can be read only once, but this needs to read it twice: save it to a file, or pipe it in as -",
            )
    if "-" not in paths:
        return None
    if stdin is None or stdin.closed:
        raise CaptureError("-", "is closed: pipe a capture into it, such as `tcpdump -U -w - | ...`")
    return _kept(stdin)


def _is_stream(path: str) -> bool:
    with suppress(OSError, ValueError):  # whoever opens it says what is wrong
        mode = os.stat(path).st_mode  # noqa: PTH116  (a path may be odd)
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def _kept(stdin: BinaryIO) -> BinaryIO:
    with suppress(OSError):
        if stdin.isatty():
            raise CaptureError("-", "is a terminal: pipe a capture into it, such as `tcpdump -U -w - | ...`")
    file = cast("BinaryIO", tempfile.TemporaryFile(prefix="probewatch-"))  # noqa: SIM115  (the caller closes it)
    try:
        _copy(stdin, file)
    except OSError as error:
        file.close()
        reason = (error.strerror or str(error)).lower()
        raise CaptureError("-", f"cannot be kept in {tempfile.gettempdir()} to be read twice: {reason}") from None
    except BaseException:
        file.close()
        raise
    return file


def _copy(stdin: BinaryIO, file: BinaryIO) -> None:
    size = 0
    while piece := stdin.read(CHUNK):
        size += len(piece)
        if size > SPOOL_LIMIT:
            raise CaptureError(
                "-", f"is longer than {SPOOL_LIMIT >> 30} GiB, more than is kept to be read twice: save it to a file"
            )
        file.write(piece)
    file.seek(0)
