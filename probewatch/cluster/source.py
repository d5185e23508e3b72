"""Text out of files, piece by piece: plain or gzip, UTF-8 or (as PowerShell's `>` writes) UTF-16, with a limit on every size.

`TextSource.read` returns decoded text and never more than was asked for, so that a dump of any length passes through a
small window.
Directories, binary files, captures given by mistake, truncated gzip and undecodable bytes end in `SpecError`.
"""

from __future__ import annotations

import codecs
import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, Final, cast

from probewatch.capture.fifo import opening

from .errors import SpecError

MAX_SPEC_BYTES: Final = 64 << 20
"""Text (after gzip) of a manifest, and of anything in YAML."""
MAX_DUMP_BYTES: Final = 4 << 30
"""JSON text (after gzip) of a cluster dump; only a window of it is ever in memory."""

LISTED: Final = 4
"""Files named of a directory that was given by mistake."""
WALKED: Final = 20_000
"""Entries of it that are looked at."""
MANIFESTS: Final = ("*.yaml", "*.yml", "*.json")
LIKE: Final = " or "

_PIPE: Final = re.compile(r"/dev/(?:stdin|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")
_CHUNK: Final = 1 << 18
CAPTURES: Final = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def file_name(path: str, what: str = "spec") -> str:
    """Return a file's name as messages have it; of a pipe, whose name says nothing, `the spec given`."""
    return f"the {what} given" if is_pipe(path) else PurePath(path).name


def is_pipe(path: str) -> bool:
    """Tell whether a path is one that a shell makes of a pipe: `/dev/stdin`, or `/dev/fd/63` of `<(...)`."""
    return _PIPE.fullmatch(path) is not None


class TextSource:
    """Read one file as text; a context manager."""

    def __init__(
        self,
        path: str,
        limit: int,
        wanted: str = "a manifest",
        form: str = "YAML or JSON",
        like: Sequence[str] = MANIFESTS,
    ) -> None:
        """Open a file; `wanted` and `form` say in messages what it should have been, `like` how such files are named."""
        if path == "-":  # may be a capture's, and both cannot be read from it
            raise SpecError(f"-: standard input is read as a capture only; give {wanted} from a pipe as /dev/stdin")
        self.path = path
        self.limit = limit
        self.wanted = wanted
        self.form = form
        self.ended = False
        self._taken = 0
        self._checked = 0
        """Bytes before the current chunk, for offsets in messages."""
        try:
            with opening(path):
                self._raw: IO[bytes] = Path(path).open("rb")  # noqa: SIM115  (closed with the source)
        except (OSError, ValueError) as error:
            raise SpecError(f"{path}: cannot be opened: {reason(error, like)}") from None
        try:
            self._stream, self._decoder = self._begin()
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> TextSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._raw.close()

    def read(self) -> str:
        """Return the next piece of text; empty only at the end."""
        while not self.ended:
            chunk = self._take(_CHUNK)
            text = self._decode(chunk)
            if text:
                return text
        return ""

    def rest(self) -> str:
        """Return all that is left; SpecError where it is more than the limit for text held in memory."""
        self.limit = min(self.limit, MAX_SPEC_BYTES)
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        return "".join(pieces)

    def _begin(self) -> tuple[IO[bytes], codecs.IncrementalDecoder]:
        """Look at the first bytes and return what to read from, and the decoder of its encoding."""
        stream = self._raw
        head = self._peek(stream)
        if head[:2] == b"\x1f\x8b":
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=self._raw, mode="rb"))
            head = self._peek(stream)
        if head[:4] in CAPTURES:
            raise SpecError(f"{self.path}: this is a packet capture, not {self.wanted}; give it as FILE")
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")
        return stream, codecs.getincrementaldecoder(encoding)()

    def _peek(self, stream: IO[bytes]) -> bytes:
        try:
            peek = getattr(stream, "peek", None)
            return bytes(peek(4))[:4] if peek else b""
        except (OSError, EOFError, zlib.error) as error:
            raise SpecError(f"{self.path}: cannot be read: {reason(error)}") from None

    def _take(self, size: int) -> bytes:
        try:
            chunk = self._stream.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise SpecError(f"{self.path}: cannot be read beyond byte {self._taken}: {reason(error)}") from None
        self._checked = self._taken
        self._taken += len(chunk)
        if self._taken > self.limit:
            raise SpecError(
                f"{self.path}: more than {self.limit >> 20} MB of text; "
                "give only what is needed, and a large cluster as JSON (`kubectl get nodes,pods -A -o json`)"
            )
        return chunk

    def _decode(self, chunk: bytes) -> str:
        self.ended = not chunk
        try:
            text = self._decoder.decode(chunk, final=self.ended)
        except UnicodeError as error:
            start = getattr(error, "start", 0)
            raise SpecError(
                f"{self.path}: not text: byte {self._checked + start} is not {self._decoder_name()}; {self.wanted} is {self.form}"
            ) from None
        if "\x00" in text:
            raise SpecError(f"{self.path}: not text: it holds zero bytes; {self.wanted} is {self.form}")
        return text

    def _decoder_name(self) -> str:
        return "UTF-16" if "utf_16" in type(self._decoder).__module__ else "UTF-8"


def reason(error: Exception, like: Sequence[str] = ()) -> str:
    """Return why a file could not be read, as a clause of a sentence; of a directory with files in it that are named `like` this."""
    if isinstance(error, IsADirectoryError):
        found = list(islice(_named(Path(str(error.filename)), like), LISTED + 1)) if like and error.filename else []
        if not found:
            return "it is a directory; give a file" + (f" (none in it is named {LIKE.join(like)})" if like else "")
        more = ", ..." if len(found) > LISTED else ""
        return f"it is a directory; give a file of it: {', '.join(found[:LISTED])}{more}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower() if error.strerror[1:2].islower() else error.strerror
    if isinstance(error, EOFError):
        return "the gzip data ends too early"
    return str(error) or type(error).__name__


def _named(root: Path, like: Sequence[str]) -> Iterator[str]:
    """Yield the files below a directory whose names are like this, in order, within bounds; links are not followed."""
    looked = 0
    for place, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if any(fnmatch(name.lower(), pattern) for pattern in like):
                yield str(Path(place) / name)
        looked += len(folders) + len(files)
        if looked > WALKED:
            return
