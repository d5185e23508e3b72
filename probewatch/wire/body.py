"""How the body of an HTTP/1 message ends, and where: net/http's transfer.go and its internal/chunked.go.

The chunked coding is read with Go's refusal of a bare LF after a chunk size (Go 1.23.8, 1.24.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from probewatch.wire.header import REMEMBERED, Fields, quote, read_fields

BODY_ENOUGH: Final = 10 * 1024
"""maxRespBodyLength of the kubelet's pkg/probe/http/http.go."""
CHUNK_LINE: Final = 4096
"""maxLineLength of net/http/internal/chunked.go."""
CHUNK_EXCESS: Final = 16 * 1024
"""Bytes of chunk headers and extensions beyond the ordinary that chunked.go allows."""

_HEX: Final = re.compile(rb"[0-9a-fA-F]+")
DIGITS: Final = re.compile(rb"[0-9]+")


class Framing(NamedTuple):
    """How a body ends."""

    kind: str
    """`none`, `length`, `chunked`, `close`."""
    length: int
    fault: str


class Chunks(NamedTuple):
    """A walk over a chunked body."""

    end: int | None
    """Offset after the trailer's empty line; None where it was not reached."""
    enough: int | None
    """Offset at which the first `BODY_ENOUGH` decoded bytes were complete."""
    fault: str
    fault_end: int


def framing_of(version: str, status: int, method: str, fields: Fields) -> Framing:
    """Decide how the body ends: transfer.go's parseTransferEncoding, fixLength, fixTrailer and readTransfer."""
    codings, lengths, trailers = [], [], []
    for name, value in fields:
        key = name.lower()
        if key == "content-length":
            lengths.append(value.strip(" \t\r\n"))
        elif key == "transfer-encoding":
            codings.append(value)
        elif key == "trailer":
            trailers.append(value)
    chunked = bool(codings) and version >= "HTTP/1.1"
    fault = (
        (_bad_codings(codings) if chunked else "")
        or _bad_lengths(lengths)
        or (_bad_trailers(trailers) if chunked else "")
    )
    if fault or method == "HEAD" or 100 <= status <= 199 or status in (204, 304):
        return Framing("none", 0, fault)
    if chunked:
        return Framing("chunked", 0, "")
    if lengths:
        length = int(lengths[0].lstrip("0") or "0")
        return Framing("length" if length else "none", length, "")
    return Framing("close", 0, "")


def _bad_codings(codings: Sequence[str]) -> str:
    """Say what is wrong with Transfer-Encoding: one coding, and no other than chunked (parseTransferEncoding)."""
    if len(codings) > 1:
        return f"too many transfer encodings: {codings[:4]}"[:160]
    if codings[0].lower() != "chunked":
        return f"unsupported transfer encoding: {quote(codings[0].encode('latin-1'))}"
    return ""


def _bad_lengths(lengths: Sequence[str]) -> str:
    """Say what is wrong with Content-Length: all alike, digits only, below 2**63 (fixLength)."""
    if not lengths:
        return ""
    if any(each != lengths[0] for each in lengths):
        return "message cannot contain multiple Content-Length headers"
    digits = lengths[0].encode("latin-1")
    if not digits:
        return 'invalid empty Content-Length ""'
    short = digits.lstrip(b"0") or b"0"
    if not DIGITS.fullmatch(digits) or len(short) > 19 or int(short) >= 1 << 63:
        return f"bad Content-Length {quote(digits)}"
    return ""


def _bad_trailers(trailers: Sequence[str]) -> str:
    """Say which field may not be announced as a trailer (fixTrailer)."""
    for key in ",".join(trailers).split(","):
        if key.strip().lower() in ("transfer-encoding", "trailer", "content-length"):
            return f"bad trailer key {quote(key.strip().encode('latin-1'))}"
    return ""


whole_framing = lru_cache(REMEMBERED)(framing_of)
"""The same for the short headers of probes, remembered."""


def walk_chunks(data: bytes, at: int) -> Chunks:
    """Walk a chunked body as net/http/internal/chunked.go and transfer.go's readTrailer do."""
    decoded = 0
    excess = 0
    enough: int | None = None
    while True:
        end = data.find(b"\n", at, at + CHUNK_LINE)
        if end < 0:
            fault = "header line too long" if len(data) - at >= CHUNK_LINE else ""
            return Chunks(None, enough, fault, min(len(data), at + CHUNK_LINE))
        line, after = data[at : end + 1], end + 1
        size, fault = _chunk_size(line)
        if fault:
            return Chunks(None, enough, fault, after)
        excess = max(0, excess + len(line) + 2 - 16 - 2 * size)
        if excess > CHUNK_EXCESS:
            return Chunks(None, enough, "chunked encoding contains too much non-data", after)
        if size == 0:
            break
        if enough is None and decoded + size >= BODY_ENOUGH and after + BODY_ENOUGH - decoded <= len(data):
            enough = after + BODY_ENOUGH - decoded
        decoded += size
        at = after + size + 2
        closing = data[after + size : at]
        if closing != b"\r\n"[: len(closing)]:
            return Chunks(None, enough, "malformed chunked encoding", after + size + len(closing))
        if len(closing) < 2:
            return Chunks(None, enough, "", len(data))
    if data.startswith(b"\r\n", after):
        return Chunks(after + 2, enough, "", after + 2)
    if data.find(b"\r\n\r\n", after, after + CHUNK_LINE) < 0:
        fault = "http: suspiciously long trailer after chunked body" if len(data) - after >= CHUNK_LINE else ""
        return Chunks(None, enough, fault, min(len(data), after + CHUNK_LINE))
    trailer = read_fields(data, after, ended=False, strict=True)
    return Chunks(trailer.end, enough, trailer.fault, trailer.fault_end)


def _chunk_size(line: bytes) -> tuple[int, str]:
    """Read a chunk-size line with its line end: the size and Go's error."""
    cr = line.find(b"\r")
    if cr < 0:
        return 0, "chunked line ends with bare LF"
    if cr != len(line) - 2:
        return 0, "invalid CR in chunked line"
    digits = line.rstrip(b" \t\r\n").split(b";", 1)[0].rstrip(b" \t")
    if not digits:
        return 0, "empty hex number for chunk length"
    if not _HEX.fullmatch(digits):
        return 0, "invalid byte in chunk length"
    if len(digits) > 16:
        return 0, "http chunk length too large"
    return int(digits, 16), ""
