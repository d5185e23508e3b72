"""Header lines of HTTP/1 as Go's net/textproto reads them (`ReadMIMEHeader`): LF or CRLF ends a line, obs-fold joins lines.

What is read once is remembered by its bytes: probes repeat themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

QUOTED: Final = 80
"""Bytes of a malformed line that are quoted."""
KEPT_WHOLE: Final = 1024
"""Bytes of a stream up to which a request, or an answer's header, is remembered as it was read: probes repeat themselves."""
REMEMBERED: Final = 512
"""So many of them, and so many header lines."""

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z -]+")
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BLANK: Final = b" \t"
_BLANKS: Final = (b" ", b"\t")

Fields = tuple[tuple[str, str], ...]
"""Names and values, in the order of the wire."""


class Header(NamedTuple):
    """The fields from one offset on, as far as they go."""

    fields: Fields
    end: int | None
    """Offset after the empty line; None where it was not reached."""
    fault: str
    fault_end: int


class _Field(NamedTuple):
    """One header line."""

    pair: tuple[str, str] | None
    """Name and value; None where there is no colon."""
    bad: bool
    """Go refuses it."""


def read_line(data: bytes, at: int, *, ended: bool) -> tuple[bytes | None, int]:
    """Read a line as bufio.Reader.ReadLine does: LF or CRLF taken off; what FIN leaves unfinished is a line too."""
    end = data.find(b"\n", at)
    if end >= 0:
        return data[at : end - 1 if end > at and data[end - 1] == 13 else end], end + 1
    if ended and at < len(data):
        return data[at:], len(data)
    return None, at


def read_fields(data: bytes, at: int, *, ended: bool, strict: bool) -> Header:
    """Read header fields as textproto's ReadMIMEHeader; not `strict`, lines that are no fields are passed over."""
    end = data.find(b"\r\n\r\n", at, at + KEPT_WHOLE)
    if end > at:
        plain = _plain_fields(data[at:end])
        if plain is not None:
            return Header(plain, end + 4, "", end + 4)
    fields: list[tuple[str, str]] = []
    if strict and data[at : at + 1] in (b" ", b"\t"):
        line, after = read_line(data, at, ended=ended)
        if line is None:
            return Header((), None, "", at)
        return Header((), None, f"malformed MIME header initial line: {_short(line)}", after)
    while True:
        line, at = read_line(data, at, ended=ended)
        if line is None:
            return Header(tuple(fields), None, "", at)
        if not line:
            return Header(tuple(fields), at, "", at)
        if strict and b":" not in line:
            return Header(tuple(fields), None, f"malformed MIME header: missing colon: {quote(line)}", at)
        whole, at = _continued(data, at, line.strip(_BLANK), ended=ended)
        if whole is None:
            return Header(tuple(fields), None, "", at)
        if at >= len(data) and not ended:
            # The next byte may yet continue this line: only an empty line ends a header.
            return Header(tuple(fields), None, "", at)
        field = _whole_field(whole) if len(whole) <= KEPT_WHOLE else _field(whole)
        if field.bad and strict:
            return Header(tuple(fields), None, f"malformed MIME header line: {_short(whole)}", at)
        if field.pair is not None:
            fields.append(field.pair)


def _continued(data: bytes, at: int, line: bytes, *, ended: bool) -> tuple[bytes | None, int]:
    """Join a line and those at `at` that continue it (obs-fold); None where one of them is unfinished."""
    parts = [line]
    while data[at : at + 1] in _BLANKS:
        more, after = read_line(data, at, ended=ended)
        if more is None:
            return None, at
        parts.append(more.strip(_BLANK))
        at = after
    return b" ".join(parts), at


@lru_cache(REMEMBERED)
def _plain_fields(block: bytes) -> Fields | None:
    """Read the lines of a whole header, without its end, where all are fields that nobody refuses; None elsewhere."""
    lines = block.split(b"\r\n")
    if block.count(b"\n") != len(lines) - 1 or b"\n " in block or b"\n\t" in block or block[:1] in _BLANKS:
        return None
    fields = [_whole_field(line.strip(_BLANK)) for line in lines]
    if any(field.bad or field.pair is None for field in fields):
        return None
    return tuple([field.pair for field in fields if field.pair is not None])


def _field(line: bytes) -> _Field:
    """Split a header line, whose continuations were joined to it."""
    name, colon, value = line.partition(b":")
    bad = not _NAME.fullmatch(name) or _BAD_VALUE.search(value) is not None
    return _Field((text(name), text(value.lstrip(_BLANK))) if colon else None, bad)


_whole_field = lru_cache(REMEMBERED)(_field)


def text(data: bytes) -> str:
    """Return bytes as text, one character each."""
    return data.decode("latin-1")


def _short(data: bytes) -> str:
    return quote(data)[1:-1]


def quote(data: bytes) -> str:
    """Quote bytes as Go's %q does in spirit: printable ASCII as it is, the rest in hex; cut after `QUOTED` bytes."""
    shown = "".join(_SHOWN[byte] for byte in data[:QUOTED])
    return f'"{shown}"' if len(data) <= QUOTED else f'"{shown}..."'


_NAMED: Final = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
_SHOWN: Final = tuple(_NAMED.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in range(256))
