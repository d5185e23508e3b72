r"""Records out of a kubelet's log, whatever wrote it: a log file, `journalctl` as text, as JSON (`-o json`) or as export (`-o export`).

A record is a message and, where the journal has it, the time of its own. The journal export format is that of
systemd's documentation ("Journal Export Formats"): fields `NAME=value\n`, a field that holds other than text as `NAME\n`,
its length in eight bytes, little-endian, and the bytes; an empty line ends an entry.

Entries may also come as one JSON array, printed over several lines (`-o json-pretty`), or as server-sent events (`-o json-sse`).

Read as a stream; a line, a field and an entry have a longest length, and what is beyond is cut. gzip is taken off, UTF-16 is
decoded, and colours of a terminal are passed over.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from probewatch.capture.fifo import opening
from probewatch.model.units import US

from .documents import read_documents
from .errors import SpecError
from .source import CAPTURES, reason

MAX_LINE: Final = 1 << 18
"""Bytes of one line, of one field; what is longer is cut there."""
MAX_LOG_BYTES: Final = 4 << 30
"""Bytes of one log, after gzip."""

SHOWN: Final = 512
"""Bytes by which it is told what wrote a log."""
LOGS: Final = ("*kubelet*", "*journal*")
"""How logs of a kubelet are named."""

_BATCH: Final = 1 << 16
_DOCUMENTS: Final = re.compile(rb"\xef?\xbb?\xbf?\s*(?:\[\s*\{|\{\s*\n)")
"""How JSON begins that is not an object on each line."""
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*[A-Za-z]")


class Record(NamedTuple):
    """One message."""

    text: str
    journal_ns: int | None
    """When the journal received it; None where there is no journal, or it does not say in nanoseconds since 1970."""
    line: int
    """Of the file, from 1; of an export, the number of the entry."""


def records(path: str) -> Iterator[Record]:
    """Yield the messages of a log; SpecError where it cannot be read."""
    if path == "-":
        raise SpecError("-: standard input is read as a capture only; give the log from a pipe as /dev/stdin")
    try:
        with opening(path):
            raw = Path(path).open("rb")  # noqa: SIM115  (closed below)
        with raw:
            head = raw.peek(4)[:4] if hasattr(raw, "peek") else b""
            if head in CAPTURES:
                raise SpecError(f"{path}: this is a packet capture, not a kubelet's log; give it as FILE")
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="rb")) if head[:2] == b"\x1f\x8b" else raw
            begun = bytes(stream.peek(SHOWN))[:SHOWN] if hasattr(stream, "peek") else b""
            if begun.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                stream = cast("IO[bytes]", codecs.EncodedFile(stream, "utf-8", "utf-16", "replace"))
                begun = begun.decode("utf-16", "ignore").encode()
            elif b"\0" in begun and not begun.startswith(_EXPORT):
                raise SpecError(f"{path}: this is no text (it holds zero bytes), so no kubelet's log")
            if not (_DOCUMENTS.match(begun) and raw.seekable()):
                yield from _records(_Lines(stream, path))
                return
        yield from _documents(path)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise SpecError(f"{path}: cannot be read: {reason(error, LOGS)}") from None


class _Lines:
    """Lines of bytes, each cut at `MAX_LINE`."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        self._stream = stream
        self._path = path
        self._taken = 0

    def take(self) -> bytes:
        """Return the next line with its end; empty at the end of the file."""
        line = self._stream.readline(MAX_LINE)
        self._count(len(line))
        if line and not line.endswith(b"\n"):
            while rest := self._stream.readline(_BATCH):  # the rest of a line that is too long
                self._count(len(rest))
                if rest.endswith(b"\n"):
                    break
        return line

    def exactly(self, size: int) -> bytes:
        """Return so many bytes, cut at `MAX_LINE`; fewer at the end of the file."""
        kept = self._stream.read(min(size, MAX_LINE))
        left = size - len(kept)
        while left > 0 and (piece := self._stream.read(min(left, _BATCH))):
            left -= len(piece)
            self._count(len(piece))
        self._count(len(kept))
        return kept

    def _count(self, size: int) -> None:
        self._taken += size
        if self._taken > MAX_LOG_BYTES:
            raise SpecError(f"{self._path}: more than {MAX_LOG_BYTES >> 30} GB; give only the time of the capture")


_EXPORT: Final = (b"__CURSOR=", b"__REALTIME_TIMESTAMP=", b"__SEQNUM=", b"__MONOTONIC_TIMESTAMP=")


def _records(lines: _Lines) -> Iterator[Record]:
    first = lines.take()
    if first.startswith(_EXPORT):
        yield from _export(lines, first)
        return
    number, line = 1, first
    while line:
        text = line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("\ufeff").removeprefix("data: ")
        if "\x1b" in text:
            text = _COLOUR.sub("", text)
        yield _json(text, number) or Record(text, None, number)
        number, line = number + 1, lines.take()


def _documents(path: str) -> Iterator[Record]:
    """Read the entries of a JSON array, or of objects of several lines each."""
    for number, document in enumerate(read_documents(path, dump=True), 1):
        entry = document.value
        if isinstance(entry, dict):
            yield _said(entry, number) or Record(json.dumps(entry), None, number)


def _export(lines: _Lines, line: bytes) -> Iterator[Record]:
    """Read entries; `line` is the first field of the first."""
    number, fields = 1, dict[bytes, bytes]()
    while line:
        if line == b"\n":
            if fields:
                yield _entry(fields, number)
                number, fields = number + 1, {}
        elif b"=" in line:
            name, _, value = line.rstrip(b"\n").partition(b"=")
            if name in _WANTED:
                fields[name] = value
        else:
            name, size = line.rstrip(b"\n"), int.from_bytes(lines.exactly(8), "little")
            value = lines.exactly(size)
            lines.exactly(1)
            if name in _WANTED:
                fields[name] = value
        line = lines.take()
    if fields:
        yield _entry(fields, number)


_WANTED: Final = (b"MESSAGE", b"__REALTIME_TIMESTAMP", b"_SOURCE_REALTIME_TIMESTAMP")


def _entry(fields: dict[bytes, bytes], number: int) -> Record:
    when = fields.get(b"_SOURCE_REALTIME_TIMESTAMP", fields.get(b"__REALTIME_TIMESTAMP", b""))
    return Record(
        fields.get(b"MESSAGE", b"").decode("utf-8", "replace"), _microseconds(when.decode("ascii", "replace")), number
    )


def _json(text: str, number: int) -> Record | None:
    """Return the message of an entry as `journalctl -o json` prints it; None where the line is none."""
    if not text.startswith("{") or '"MESSAGE"' not in text:
        return None
    try:
        entry: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _said(entry, number) if isinstance(entry, dict) else None


def _said(entry: dict[str, Any], number: int) -> Record | None:
    """Return the message of a journal's entry; None where it has none."""
    if "MESSAGE" not in entry:
        return None
    message = entry["MESSAGE"]
    if isinstance(message, list):  # not text: as a list of bytes
        message = bytes(b for b in message if isinstance(b, int) and 0 <= b < 256).decode("utf-8", "replace")
    when = entry.get("_SOURCE_REALTIME_TIMESTAMP", entry.get("__REALTIME_TIMESTAMP"))
    said = message if isinstance(message, str) else ""
    return Record(said, _microseconds(when if isinstance(when, str) else ""), number)


def _microseconds(text: str) -> int | None:
    return int(text) * US if text.isascii() and text.isdigit() and len(text) < 18 else None
