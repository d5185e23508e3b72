"""Inputs as forward-only byte streams: files, FIFOs, standard input, compressed or not.

A `Source` opens a path (`-` is standard input), recognises compression by its first bytes and unwraps one layer of it.
A `Window` is what the format readers look through: a buffer that slides forward over a source. Nothing ever seeks, and
a read returns as soon as there is anything, so that a live stream is not delayed. Only the few bytes of a file that a reader has
not yet done with are read once more with those behind them: that costs less than to join the two.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from probewatch.capture import compression
from probewatch.capture.errors import CaptureError, DamageError
from probewatch.capture.fifo import opening

CHUNK: Final = 256 * 1024
"""Bytes asked of an input at once, to begin with."""
GROWTH_S: Final = 0.1
"""Seconds between two looks at whether a file that is followed has grown."""
MOST_PACKED: Final = 65_536
"""Frames from which on a compressed input must have had a byte for each: what it holds else are copies of one frame. (The
time alone takes more than two bytes of every frame that was captured, however well it is compressed.)"""
MAGIC: Final = 8
"""Bytes awaited before a format is recognised: longer than every signature that matters, shorter than any header."""


class Source:
    """One input as a stream of bytes, decompressed.

    Attributes:
        path: as the user gave it.
        compression: `gzip`, `bzip2`, `xz`, `zstd`, or empty.
        size: bytes of the file as it lies on disk; None for streams.
        position: bytes taken of it so far.
        live: a stream whose end is not known beforehand (FIFO, standard input, device).
        rereads: whether `read` can begin with bytes that it has returned: it is a file, not compressed.
    """

    def __init__(
        self,
        path: str,
        *,
        stdin: BinaryIO | None = None,
        progress: Callable[[int], None] | None = None,
        following: Callable[[], bool] | None = None,
    ) -> None:
        """Open it.

        A FIFO without a writer blocks, as it does for every program (`fifo` tells it). `following` is called before each read, which may
        wait for long; and a file is read on when it grows, until it returns False.

        Raises:
            CaptureError: it cannot be opened, or is not a file.
        """
        self.path = path
        self.compression = ""
        self.size: int | None = None
        self.position = 0
        self.live = True
        self.at_end = False
        self.left = False
        """Whether it was left where it stood, because nobody follows it any more."""
        self.gone = ""
        """What became of the name of a file that is followed, where it is not that file's any more."""
        self.chunk = CHUNK
        """Bytes asked of it at once."""
        self._progress = progress
        self._following = following
        self._own = path != "-"
        self._file = self._open_path() if self._own else self._open_stdin(stdin)
        self._read_some = _reader(self._file)
        self._on_disk = self.rereads = self._own and not self.live and following is None
        self._held = b""
        self._unwrapped: compression.Unwrapped | None = None
        self.frames: Callable[[], int] = int
        """Tells how many frames were read of it so far."""

    def _open_path(self) -> BinaryIO:
        try:
            with opening(self.path):
                file = open(self.path, "rb", buffering=0)  # noqa: SIM115, PTH123  (closed by the reader; a path may be bytes-like odd)
        except IsADirectoryError:
            raise CaptureError(self.path, "is a directory: name the capture files in it") from None
        except FileNotFoundError:
            raise CaptureError(self.path, "does not exist") from None
        except PermissionError:
            raise CaptureError(self.path, "may not be read by this user: change its permissions or use sudo") from None
        except OSError as error:
            raise CaptureError(self.path, f"cannot be opened: {error.strerror or error}") from None
        except ValueError as error:  # a NUL byte in the path, a surrogate that no file system takes
            raise CaptureError(self.path, f"is not a path: {error}") from None
        mode = os.fstat(file.fileno())
        if stat.S_ISREG(mode.st_mode):
            self.size = mode.st_size
            self.live = False
        return cast("BinaryIO", file)

    def _open_stdin(self, stdin: BinaryIO | None) -> BinaryIO:
        file = stdin if stdin is not None else getattr(sys.stdin, "buffer", None)
        if file is None or file.closed:
            raise CaptureError("-", "is closed: pipe a capture into it, such as `tcpdump -U -w - | ...`")
        try:
            terminal = file.isatty()
        except OSError:
            terminal = False
        if terminal:
            raise CaptureError("-", "is a terminal: pipe a capture into it, such as `tcpdump -U -w - | ...`")
        return cast("BinaryIO", file)

    def _raw(self, again: int = 0) -> bytes:
        """Take the next bytes of the input as they are, and before them so many of those before; `b""` at its end."""
        try:
            if self._following is not None:
                data = self._read_on()
            elif self._on_disk:
                data = os.pread(self._file.fileno(), self.chunk + again, self.position - again)
            else:
                data = self._read_some(self.chunk)
        except (OSError, ValueError) as error:  # ValueError: closed under our hands
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DamageError(f"reading failed: {text}") from None
        self.position += max(len(data) - again, 0)
        if self._progress is not None:
            self._progress(self.position)
        return data

    def _read_on(self) -> bytes:
        """Read what there is; at the end of a file wait until it grows."""
        assert self._following is not None
        while self._following():
            data = self._read_some(self.chunk)
            if data or self.live:
                self.at_end = False
                return data
            self.at_end = True
            self._look()
            time.sleep(GROWTH_S)
        self.left = True
        return b""

    def _look(self) -> None:
        """See what became of a file whose end was reached.

        Raises:
            DamageError: it is shorter than what was read of it. What comes next belongs to another capture, which begins anew.
        """
        mine = os.fstat(self._file.fileno())
        if mine.st_size < self.position:
            raise DamageError(
                f"the file was cut to {mine.st_size} bytes behind {self.position} that were read, by its writer or a rotation: "
                "what comes into it now is another capture"
            )
        try:
            named = os.stat(self.path)  # noqa: PTH116  (a path may be odd)
        except OSError:
            self.gone = "was deleted, or has another name now"
        else:
            self.gone = "" if (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino) else "is another file now"

    def head(self) -> bytes:
        """Look at the first bytes, unwrapping compression; what `read` returns still begins with them.

        Called once, before `read`.

        Raises:
            CaptureError: nothing can be read, or it is compressed in a way that is not read.
        """
        try:
            head = self._gather(self._raw)
        except DamageError as damage:
            raise CaptureError(self.path, f"cannot be read: {damage}") from None
        if not head:
            raise CaptureError(self.path, "is empty" if self._own else "ended before anything came")
        name = compression.recognise(head)
        if name is None:
            self._held = head
            return head
        self.compression = name
        self.rereads = False
        self._unwrapped = compression.Unwrapped(name, head, self._raw)
        try:
            inner = self._gather(self._unwrapped.read)
        except DamageError as damage:
            raise CaptureError(self.path, f"cannot be decompressed: {damage}") from None
        if not inner:
            raise CaptureError(self.path, f"holds nothing but an empty {name} stream")
        again = compression.recognise(inner)
        if again is not None:
            raise CaptureError(
                self.path, f"is compressed twice ({again} in {name}): undo one with {compression.TOOLS[name]}"
            )
        self._held = inner
        return inner

    @staticmethod
    def _gather(read: Callable[[], bytes]) -> bytes:
        """Read until there is enough to recognise a format by, and no longer: a live stream must not be waited for."""
        head = read()
        while head and len(head) < MAGIC:
            try:
                more = read()
            except DamageError:
                break
            if not more:
                break
            head += more
        return head

    def read(self, again: int = 0) -> bytes:
        """Return the next decompressed bytes, `b""` at the end.

        Where it `rereads`, they can begin with so many of those returned before; no more than these (or fewer, of a file that was
        cut meanwhile) mean the end then.

        Raises:
            DamageError: the input broke off, or is made to keep its reader busy.
        """
        if self._held:
            data, self._held = self._held, b""
            return data
        if self._unwrapped is None:
            return self._raw(again)
        frames = self.frames()
        if frames > max(MOST_PACKED, self.position):
            raise DamageError(
                f"{frames} frames came out of {self.position} bytes of {self.compression} data, so densely no traffic is packed"
            )
        return self._unwrapped.read()

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._own:
            self._file.close()


def _reader(file: BinaryIO) -> Callable[[int], bytes]:
    """Return a function that reads what is there, waits only where nothing is, and gives `b""` at the end."""
    read1 = getattr(file, "read1", None) or file.read

    def read(size: int) -> bytes:
        while True:
            try:
                data: bytes | None = read1(size)
            except BlockingIOError:
                data = None
            if data is not None:
                return data
            select.select([file], [], [])  # somebody made the pipe non-blocking

    return read


class Window:
    """A buffer that slides over a source.

    A format reader looks at `data` from `pos` on; when it needs more than there is, it calls `more`, which moves both.
    """

    __slots__ = ("base", "data", "pos", "source", "trouble")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = b""
        self.pos = 0
        self.base = 0
        """Offset of `data[0]` in the decompressed input."""
        self.trouble = ""
        """Why the source broke off before its end; empty if it did not."""

    def more(self, pos: int, need: int) -> bytes:
        """Drop what is before `pos`, read until `need` bytes are there or the input ends; return the new buffer.

        `pos` is 0 afterwards. A short buffer means the end; `trouble` says whether it was a good one.
        """
        rest = self.data[pos:]
        pieces, have = [rest], len(rest)
        self.base += pos
        while have < need:
            again = have if self.source.rereads and len(pieces) == 1 else 0
            try:
                piece = self.source.read(again)
            except DamageError as damage:
                self.trouble = self.trouble or str(damage)
                break
            if len(piece) <= again:
                break
            if again:
                pieces, have = [], 0
            pieces.append(piece)
            have += len(piece)
        self.data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pos = 0
        return self.data
