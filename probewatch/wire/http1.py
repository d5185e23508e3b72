"""HTTP/1 over two stream halves, answers taken as Go's net/http client takes them, which the kubelet uses.

Theory of operation. Requests are read one after another from the client's half, leniently: judging them is the server's
business. Each gets the next answer of the server's half, read by Go's rules, line by line: net/http `ReadResponse` (status
line `PROTO SP *SP CODE [SP REASON]`, CODE three characters that `strconv.Atoi` takes), then the fields (`wire.header`) and
the body (`wire.body`). 1xx answers before the final one are interim, but 101 is final.

The reader works on `Half` values, so whatever can make a Half can feed it: TCP payload, or TLS plaintext with the
marks of its records. Three ways to run out of bytes are kept apart: not yet sent (nothing is said), ended by FIN or
RST (Go's error is said), and lost by the capture (`lost` is said, and nothing is called malformed for what is
missing).

What is missing in the capture but was on the wire: a whole status line counts although the rest of the header was
cut; and a body of known length that ends at or below `Half.length` did end: `body_end` is then the server's FIN, else
its last frame, the latest moment it can have been. Where the capture lost those bytes (not where they are only beyond
what a Half keeps) `lost` is set too. Where a snapshot length alone cut bytes away, the lengths of their segments tell
where the stream ended (`Half.shortened`), and so that a body of known length never did.

Limitations. Go's limit of 10 MiB for a header lies above what a Half keeps. Go before 1.24 allows no more than 5
interim answers, later ones limit their bytes: they are not counted against here. Bodies are not decoded
(Content-Encoding).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from probewatch.model.connection import Half
from probewatch.model.exchange import HttpExchange
from probewatch.model.frame import Mark
from probewatch.wire.body import BODY_ENOUGH, DIGITS, Framing, framing_of, walk_chunks, whole_framing
from probewatch.wire.header import KEPT_WHOLE, REMEMBERED, Fields, quote, read_fields, read_line, text

KEPT_EXCHANGES: Final = 4
"""Exchanges kept of one connection; later requests are only counted."""
KEPT_FIELDS: Final = 256
"""Header fields kept of one message; later ones still take part in the framing."""
KEPT_INTERIM: Final = 16
"""Interim statuses kept."""

TLS_ANSWER: Final = "answered with a TLS record"
"""`malformed` of a server that speaks TLS to an HTTP client."""


_REQUEST: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) +(\S+) +(HTTP/[01]\.\d)[ \t]*\r?$")
_BEGUN: Final = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|TRACE|CONNECT|PROPFIND) [^\x00-\x1f\x7f]*\r?$")
_ATOI: Final = re.compile(rb"[+-]?[0-9]+")
_CUT_STATUS: Final = re.compile(rb"(HTTP/[0-9]\.[0-9]) +([0-9]{3}) ")
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")


class Answer(NamedTuple):
    """One answer as Go's client takes it; the fields mean what those of `HttpExchange` mean."""

    status: int | None = None
    reason: str = ""
    version: str = ""
    fields: Fields = ()
    interim: tuple[int, ...] = ()
    first_byte: Mark | None = None
    header_end: Mark | None = None
    body_end: Mark | None = None
    body_bytes: int = 0
    read_enough: Mark | None = None
    malformed: str = ""
    body_error: str = ""
    fault: Mark | None = None
    lost: bool = False
    unread: bool = False
    next: int | None = None
    """Offset of the answer after it; None where that cannot be known."""


class _Request(NamedTuple):
    method: str
    target: str
    version: str
    fields: Fields
    start: int
    header_end: int | None
    next: int | None
    """Offset of the request after it; None where that cannot be known."""


def is_cut(half: Half) -> bool:
    """Say whether the wire carried bytes of this half that its data does not show."""
    return half.gap is not None or half.length > len(half.data)


def begins_request(data: bytes) -> bool:
    """Say whether a client's first bytes are an HTTP/1 request line, or the beginning of one with a common method."""
    end = data.find(b"\n", 0, 8192)
    if end >= 0:
        return _REQUEST.match(data[:end]) is not None
    return _BEGUN.match(data[:8192]) is not None


def read_http1(
    orig: Half, resp: Half, *, start: int = 0, answered: bool = True, most: int = KEPT_EXCHANGES
) -> tuple[tuple[HttpExchange, ...], int]:
    """Read the requests of one half and the answers of the other.

    `start` is the offset of the first request (behind a PROXY header, say). `answered` False reads no answers, because
    it is not known where they begin (connections caught in mid-stream). Returns the first `most` exchanges and
    the number of requests in all, as far as the kept data shows them. Never raises.
    """
    kept: list[HttpExchange] = []
    count = 0
    at: int | None = start
    answer_at: int | None = 0 if answered else None
    lost = not answered
    while at is not None:
        request = _read_request(orig, at)
        if request is None:
            break
        count += 1
        at = request.next
        if len(kept) >= most:
            continue
        answer = Answer(lost=lost) if answer_at is None else read_answer(resp, answer_at, request.method)
        answer_at, lost = answer.next, answer.lost
        kept.append(_join(orig, request, answer))
        if answer.status == 101 or (request.method == "CONNECT" and answer.status in range(200, 300)):
            break  # another protocol from here on
    return tuple(kept), count


def read_lone_answer(resp: Half) -> HttpExchange:
    """Read an answer whose request the capture does not show: method and target stay empty."""
    return _join(Half(), None, read_answer(resp, 0, "GET"))


def _join(orig: Half, request: _Request | None, answer: Answer) -> HttpExchange:
    whole = None if request is None else request.header_end
    return HttpExchange(
        method=request.method if request else "",
        target=request.target if request else "",
        version=request.version if request else "",
        headers=request.fields if request else (),
        request_start=None if request is None else orig.reached(request.start + 1),
        request_end=None if whole is None else orig.reached(whole),
        status=answer.status,
        reason=answer.reason,
        answer_version=answer.version,
        answer_headers=answer.fields,
        interim=answer.interim,
        first_byte=answer.first_byte,
        header_end=answer.header_end,
        body_end=answer.body_end,
        body_bytes=answer.body_bytes,
        read_enough=answer.read_enough,
        malformed=answer.malformed,
        body_error=answer.body_error,
        fault=answer.fault,
        lost=answer.lost or (request is not None and whole is None and is_cut(orig)),
        unread=answer.unread,
    )


# Requests


def _read_request(half: Half, start: int) -> _Request | None:
    """Read the request at `start`; None where none begins there."""
    data = half.data
    # RFC 9112 section 2.2: empty lines before a request line are ignored.
    while data.startswith((b"\r\n", b"\n"), start):
        start += 1 if data[start] == 10 else 2
    end = data.find(b"\n", start)
    if end < 0:
        part = data[start:]
        if not _BEGUN.match(part):
            return None
        method, _, target = part.partition(b" ")
        return _Request(text(method), text(target.split(b" ")[0].rstrip(b"\r")), "", (), start, None, None)
    if len(data) - start <= KEPT_WHOLE:
        return _whole_request(data, start, end)
    return _parse_request(data, start, end)


def _parse_request(data: bytes, start: int, end: int) -> _Request | None:
    """Read the request whose line stands in `data[start:end]`."""
    line = _REQUEST.match(data[start:end])
    if line is None:
        return None
    method, target, version = line.groups()
    header = read_fields(data, end + 1, ended=False, strict=False)
    following = None if header.end is None else _request_end(data, header.end, header.fields)
    fields = header.fields[:KEPT_FIELDS]
    return _Request(text(method), text(target), text(version), fields, start, header.end, following)


_whole_request = lru_cache(REMEMBERED)(_parse_request)
"""The same for what a checker sends: one request, the same bytes each time."""


def _request_end(data: bytes, at: int, fields: Fields) -> int | None:
    for name, value in fields:
        if name.lower() == "transfer-encoding" and value.lower().endswith("chunked"):
            return walk_chunks(data, at).end
    for name, value in fields:
        if name.lower() == "content-length":
            digits = value.encode("latin-1")
            return at + int(digits) if DIGITS.fullmatch(digits) and len(digits) < 19 else None
    return at


# Answers


def read_answer(half: Half, start: int, method: str) -> Answer:
    """Read the answer at `start` to a request with this method, as `persistConn.readResponse` would. Never raises."""
    data = half.data
    cut = is_cut(half)
    beyond = cut and half.gap is None
    if start >= len(data):
        return Answer(lost=cut)
    first_byte = half.reached(start + 1)
    if is_tls_record(data, start):
        return Answer(first_byte=first_byte, malformed=TLS_ANSWER, fault=half.reached(start + 3))
    ended = half.fin is not None and not cut
    interim: list[int] = []
    at = start
    while True:
        line, after = read_line(data, at, ended=ended)
        if line is None:
            answer = Answer(interim=tuple(interim), first_byte=first_byte, lost=cut, unread=beyond)
            stump = _CUT_STATUS.match(data, at) if cut else None
            if stump is None or 100 <= int(stump[2]) <= 199:
                return answer
            return answer._replace(status=int(stump[2]), version=text(stump[1]))
        version, status, reason, fault = _whole_status(line) if len(line) <= KEPT_WHOLE else _read_status(line)
        if fault:
            return Answer(interim=tuple(interim), first_byte=first_byte, malformed=fault, fault=_seen(half, after))
        header = read_fields(data, after, ended=ended, strict=True)
        if header.fault:
            seen = _seen(half, header.fault_end)
            return Answer(interim=tuple(interim), first_byte=first_byte, malformed=header.fault, fault=seen)
        passing = 100 <= status <= 199 and status != 101
        if passing and len(interim) < KEPT_INTERIM:
            interim.append(status)
        if header.end is None:
            if passing or not cut:
                return Answer(interim=tuple(interim), first_byte=first_byte, lost=cut, unread=beyond)
            known = header.fields[:KEPT_FIELDS]
            return Answer(status, reason, version, known, tuple(interim), first_byte, lost=True, unread=beyond)
        if not passing:
            break
        at = header.end
    framing = (whole_framing if header.end - at <= KEPT_WHOLE else framing_of)(version, status, method, header.fields)
    told = header.fields[:KEPT_FIELDS]
    head = Answer(status, reason, version, told, tuple(interim), first_byte, half.reached(header.end))
    if framing.fault:
        return Answer(interim=tuple(interim), first_byte=first_byte, malformed=framing.fault, fault=head.header_end)
    return _read_body(half, head, header.end, framing)


def _seen(half: Half, end: int) -> Mark | None:
    """Say when a line was there: with its line end, else with the FIN that ended it."""
    return half.reached(end) if half.data[end - 1] == 10 else half.fin


def is_tls_record(data: bytes, start: int = 0) -> bool:
    """Say whether a TLS alert or handshake record begins there."""
    return len(data) >= start + 3 and data[start] in (21, 22) and data[start + 1] == 3 and data[start + 2] <= 4


def read_status_line(line: bytes) -> int | None:
    """Return the status of a line that Go takes for a status line, else None."""
    _version, status, _reason, fault = _read_status(line)
    return None if fault else status


def _read_status(line: bytes) -> tuple[str, int, str, str]:
    """Split a status line: version, status, reason, fault."""
    proto, blank, rest = line.partition(b" ")
    if not blank:
        return "", 0, "", f"malformed HTTP response {quote(line)}"
    code, _, reason = rest.lstrip(b" ").partition(b" ")
    if len(code) != 3 or not _ATOI.fullmatch(code) or int(code) < 0:
        return "", 0, "", f"malformed HTTP status code {quote(code)}"
    if not _VERSION.fullmatch(proto):
        return "", 0, "", f"malformed HTTP version {quote(proto)}"
    return text(proto), int(code), text(reason), ""


_whole_status = lru_cache(REMEMBERED)(_read_status)


def _read_body(half: Half, head: Answer, at: int, framing: Framing) -> Answer:
    """Find the body's end, and when the kubelet would have read enough of it."""
    if framing.kind == "none":
        return head._replace(body_end=head.header_end, next=at)
    if framing.kind == "length":
        return _read_sized(half, head, at, framing.length)
    if framing.kind == "chunked":
        return _read_chunked(half, head, at)
    body = half.length - at
    lost = half.gap is not None and not half.shortened
    answer = head._replace(body_bytes=max(body, 0), read_enough=_when(half, at + BODY_ENOUGH), lost=lost)
    if half.fin is not None:
        return answer._replace(body_end=half.fin)
    return _broken(half, answer) if half.rst is not None else answer


def _read_sized(half: Half, head: Answer, at: int, length: int) -> Answer:
    end = at + length
    reached = max(half.length, len(half.data))
    enough = _when(half, at + BODY_ENOUGH) if length >= BODY_ENOUGH else None
    if end <= reached:
        lost = half.gap is not None and end > len(half.data)
        return head._replace(body_bytes=length, read_enough=enough, body_end=_when(half, end), lost=lost, next=end)
    answer = head._replace(body_bytes=max(0, reached - at), read_enough=enough)
    # Below a gap the stream may have gone on further than any byte that was seen, unless lengths tell where it ended.
    known = half.gap is None or half.shortened
    return _broken(half, answer) if known else answer._replace(lost=True)


def _read_chunked(half: Half, head: Answer, at: int) -> Answer:
    chunks = walk_chunks(half.data, at)
    answer = head
    if chunks.enough is not None:
        answer = answer._replace(read_enough=half.reached(chunks.enough))
    if chunks.fault:
        wire = max(0, half.length - at)
        return answer._replace(body_bytes=wire, body_error=chunks.fault, fault=half.reached(chunks.fault_end))
    if chunks.end is not None:
        return answer._replace(body_bytes=chunks.end - at, body_end=half.reached(chunks.end), next=chunks.end)
    answer = answer._replace(body_bytes=max(0, half.length - at))
    return answer._replace(lost=True) if is_cut(half) else _broken(half, answer)


def _broken(half: Half, answer: Answer) -> Answer:
    """Say how an unfinished body was ended, where it was."""
    if half.fin is not None and (half.rst is None or half.fin <= half.rst):
        return answer._replace(body_error="unexpected EOF", fault=half.fin)
    if half.rst is not None:
        return answer._replace(body_error="connection reset by peer", fault=half.rst)
    return answer


def _when(half: Half, length: int) -> Mark | None:
    """Say when the stream reached a length; beyond the data kept, the latest moment it can have been."""
    seen = half.reached(length) if length <= len(half.data) else None
    if seen is None and length <= half.length:
        return half.fin or half.last
    return seen
