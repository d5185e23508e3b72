"""HTTP/2 with prior knowledge (RFC 9113), read passively over both halves.

Theory of operation. Each half is cut into frames (section 4.1), the client's behind its 24-byte preface. Header
blocks (HEADERS and its CONTINUATIONs, section 6.10) go through one `hpack` decoder a direction, in order, because
they share its table; the table may be as large as the other side's SETTINGS allow. The result is one `Stream` for
each stream the client opened, in order, with the moments of its parts. What the streams carry (`grpc`, or a plain
HTTP exchange) is told apart afterwards.

A direction ends quietly where its bytes do, at a frame that breaks the framing rules, or at a header block that hpack
refuses or that is larger than `MAX_HEADER_LIST` (`unread`): what was whole before it stays. Connections caught in mid-stream are
not read at all: without the preface neither frame borders nor header tables are known.

Limitations. PUSH_PROMISE ends the reading of its direction (no health checker takes pushes). h2c by Upgrade is not
followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hpack import Decoder, HPACKError, OversizedHeaderListError

from probewatch.model.connection import Half
from probewatch.model.exchange import HttpExchange
from probewatch.model.frame import Mark
from probewatch.wire.body import BODY_ENOUGH
from probewatch.wire.http1 import KEPT_EXCHANGES, KEPT_FIELDS, KEPT_INTERIM, is_cut

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

MAX_HEADER_BLOCK: Final = 1 << 16
"""Compressed bytes joined of one header block."""
MAX_HEADER_LIST: Final = 1 << 16
"""Decoded size of one header list, as RFC 7541 section 4.1 counts; larger ones end the reading."""
MAX_TABLE: Final = 1 << 16
"""Largest header table a SETTINGS frame can ask us to keep."""
KEPT_STREAMS: Final = 64
"""Streams followed of one connection; later ones are only counted."""
KEPT_MESSAGE: Final = 1 << 14
"""DATA bytes kept of one direction of a stream."""
FIRST_FRAME: Final = 1 << 14
"""Largest first frame that is believed to be HTTP/2: the default SETTINGS_MAX_FRAME_SIZE."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_PADDED = 0x8
_PRIORITY_FLAG = 0x20
_HEADER_TABLE_SIZE = 1

ERRORS: Final = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
"""RFC 9113 section 7."""


class Frame(NamedTuple):
    """One HTTP/2 frame that is whole."""

    type: int
    flags: int
    stream: int
    start: int
    """Offset of its header in the half's data."""
    payload: bytes

    @property
    def end(self) -> int:
        """Offset after it."""
        return self.start + 9 + len(self.payload)


@dataclass(slots=True)
class Message:
    """One direction of a stream, while it is read."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    """The request's or the final answer's, pseudo-headers included."""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    header_start: Mark | None = None
    header_end: Mark | None = None
    data: bytearray = field(default_factory=bytearray)
    data_bytes: int = 0
    enough: Mark | None = None
    """When `BODY_ENOUGH` bytes of DATA had been seen."""
    end: Mark | None = None
    """END_STREAM."""
    reset: str = ""
    """Error code name of its RST_STREAM."""
    reset_mark: Mark | None = None

    def header(self, name: str) -> str:
        """Return a header's first value, empty where it is missing; trailers are looked at second (Trailers-Only)."""
        for key, value in self.headers:
            if key == name:
                return value
        return next((value for key, value in self.trailers if key == name), "")


@dataclass(slots=True)
class Stream:
    """One request and its answer."""

    id: int
    request: Message = field(default_factory=Message)
    answer: Message = field(default_factory=Message)


@dataclass(slots=True)
class Talk:
    """All that was read of a connection."""

    preface: Mark | None = None
    streams: list[Stream] = field(default_factory=list)
    requests: int = 0
    server_settings: Mark | None = None
    goaway: str = ""
    plain_answer: str = ""
    lost: bool = False
    """The server's half ends where the capture does, not the wire."""
    unread: bool = False
    """More came than is read here: a header block beyond a limit, or more bytes of the server than a Half keeps."""


def error_name(code: int) -> str:
    """Name an error code of RFC 9113 section 7; `error 77` where it has no name."""
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"


def frames(data: bytes, at: int) -> list[Frame]:
    """Cut a stream into its whole frames, from this offset."""
    found: list[Frame] = []
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3])
        if at + 9 + length > len(data):
            break
        stream = int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
        found.append(Frame(data[at + 3], data[at + 4], stream, at, data[at + 9 : at + 9 + length]))
        at += 9 + length
    return found


def read_http2(orig: Half, resp: Half, *, start: int = 0, most: int = KEPT_STREAMS) -> Talk:
    """Read a connection whose client sent the preface at `start`, its first `most` streams. Never raises."""
    talk = Talk(preface=orig.reached(start + len(PREFACE)), lost=is_cut(resp))
    talk.unread = talk.lost and resp.gap is None
    talk.plain_answer = _plain_answer(resp)
    asked = frames(orig.data, start + len(PREFACE))
    answered = [] if talk.plain_answer else frames(resp.data, 0)
    streams: dict[int, Stream] = {}
    _read_requests(talk, orig, asked, table_of(answered), streams, most)
    _read_answers(talk, resp, answered, table_of(asked), streams)
    return talk


def exchanges(talk: Talk, most: int = KEPT_EXCHANGES) -> tuple[HttpExchange, ...]:
    """Return the plain HTTP exchanges (not gRPC) in the order of their requests, the first `most`."""
    plain = [stream for stream in talk.streams if not is_grpc(stream)]
    return tuple(_exchange(stream, lost=talk.lost or talk.unread, unread=talk.unread) for stream in plain[:most])


def is_grpc(stream: Stream) -> bool:
    """Say whether a request is gRPC, by its content type."""
    return stream.request.header("content-type").startswith("application/grpc")


def _exchange(stream: Stream, *, lost: bool, unread: bool) -> HttpExchange:
    request, answer = stream.request, stream.answer
    status = _status(answer.headers)
    return HttpExchange(
        method=request.header(":method"),
        target=request.header(":path"),
        version="HTTP/2",
        headers=_plain(request.headers),
        request_start=request.header_start,
        request_end=request.end,
        status=status,
        answer_version="HTTP/2" if answer.headers else "",
        answer_headers=_plain(answer.headers),
        interim=tuple(answer.interim),
        first_byte=answer.header_start,
        header_end=answer.header_end,
        body_end=answer.end,
        body_bytes=answer.data_bytes,
        read_enough=answer.enough,
        malformed="malformed response from server: bad or missing status" if answer.headers and status is None else "",
        body_error=f"stream error: {answer.reset}" if answer.reset and answer.end is None else "",
        fault=answer.reset_mark if answer.reset and answer.end is None else None,
        lost=lost and answer.end is None,
        unread=unread and answer.header_end is None,
    )


def _plain(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in headers if not name.startswith(":"))[:KEPT_FIELDS]


def _status(headers: list[tuple[str, str]]) -> int | None:
    text = next((value for name, value in headers if name == ":status"), "")
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else None


def _plain_answer(resp: Half) -> str:
    """Return the first line of an answer that does not begin as HTTP/2 does (RFC 9113 section 3.4)."""
    data = resp.data
    if len(data) >= 9:
        length = int.from_bytes(data[:3])
        if length <= FIRST_FRAME and data[3] in (SETTINGS, GOAWAY) and data[5:9] == bytes(4):
            return ""
    elif not data or resp.fin is None or is_cut(resp):
        return ""
    line = data[:128].split(b"\n", 1)[0].rstrip(b"\r")
    return line.decode("latin-1").encode("unicode_escape").decode("ascii") or "(an empty line)"


def table_of(settings_of: list[Frame]) -> Decoder:
    """Make a decoder whose table may be as large as the receiver's SETTINGS ever allowed."""
    decoder = Decoder(max_header_list_size=MAX_HEADER_LIST)
    for frame in settings_of:
        if frame.type == SETTINGS and frame.stream == 0 and not frame.flags & _ACK:
            for at in range(0, len(frame.payload) - 5, 6):
                if int.from_bytes(frame.payload[at : at + 2]) == _HEADER_TABLE_SIZE:
                    asked = int.from_bytes(frame.payload[at + 2 : at + 6])
                    decoder.max_allowed_table_size = max(decoder.max_allowed_table_size, min(asked, MAX_TABLE))
    return decoder


class Unread(NamedTuple):
    """A header block beyond a limit: nothing of its direction is read from here on, for the tables are out of step."""

    stream: int
    end: int


class Block(NamedTuple):
    """One whole header block."""

    stream: int
    start: int
    end: int
    ends_stream: bool
    size: int
    headers: list[tuple[str, str]]


def _strip(frame: Frame) -> bytes | None:
    """Take padding and priority off a DATA or HEADERS payload; None where they do not fit."""
    payload = frame.payload
    if frame.flags & _PADDED:
        if not payload or payload[0] > len(payload) - 1:
            return None
        payload = payload[1 : len(payload) - payload[0]]
    if frame.type == HEADERS and frame.flags & _PRIORITY_FLAG:
        return payload[5:] if len(payload) >= 5 else None
    return payload


def walk(direction: list[Frame], decoder: Decoder) -> list[Frame | Block | Unread]:
    """Join and decode header blocks; other frames pass as they are. Ends at the first fault, or behind what is `Unread`."""
    found: list[Frame | Block | Unread] = []
    opener: Frame | None = None
    block = bytearray()
    for frame in direction:
        if opener is not None and (frame.type != CONTINUATION or frame.stream != opener.stream):
            return found
        if frame.type in (HEADERS, CONTINUATION):
            if frame.type == HEADERS:
                opener, block = frame, bytearray()
            part = _strip(frame) if frame.type == HEADERS else frame.payload
            if opener is None or part is None:
                return found
            if len(block) + len(part) > MAX_HEADER_BLOCK:
                return [*found, Unread(opener.stream, frame.end)]
            block += part
            if not frame.flags & _END_HEADERS:
                continue
            try:
                headers = [(_text(name), _text(value)) for name, value in decoder.decode(bytes(block), raw=True)]
            except OversizedHeaderListError:
                return [*found, Unread(opener.stream, frame.end)]
            except (HPACKError, IndexError, ValueError, OverflowError):
                return found
            ends = bool(opener.flags & _END_STREAM)
            found.append(Block(opener.stream, opener.start, frame.end, ends, len(block), headers))
            opener = None
        elif frame.type == PUSH_PROMISE:
            return found
        else:
            found.append(frame)
    return found


def _read_requests(
    talk: Talk, half: Half, direction: list[Frame], decoder: Decoder, streams: dict[int, Stream], most: int
) -> None:
    for item in walk(direction, decoder):
        if isinstance(item, Unread):
            talk.unread = True
            continue
        if isinstance(item, Block) and item.stream not in streams and item.stream % 2:
            talk.requests += 1
            if len(streams) >= most:
                continue
            streams[item.stream] = stream = Stream(item.stream)
            talk.streams.append(stream)
        known = streams.get(item.stream)
        if known is not None:
            _feed(known.request, half, item)


def _read_answers(talk: Talk, half: Half, direction: list[Frame], decoder: Decoder, streams: dict[int, Stream]) -> None:
    for item in walk(direction, decoder):
        if isinstance(item, Unread):
            talk.unread = True
            continue
        if isinstance(item, Frame) and item.stream == 0:
            if item.type == SETTINGS and not item.flags & _ACK and talk.server_settings is None:
                talk.server_settings = half.reached(item.end)
            elif item.type == GOAWAY and len(item.payload) >= 8:
                code = int.from_bytes(item.payload[4:8])
                talk.goaway = talk.goaway or (error_name(code) if code else "")
            continue
        known = streams.get(item.stream)
        if known is not None:
            _feed(known.answer, half, item)


def _feed(message: Message, half: Half, item: Frame | Block) -> None:
    """Add one frame or header block to its message."""
    if message.reset:
        return
    if message.end is not None and not (isinstance(item, Frame) and item.type == RST_STREAM):
        return  # What may still follow a stream's end is that its sender wants no more of it (RFC 9113 section 5.1).
    if isinstance(item, Block):
        status = _status(item.headers)
        if message.header_start is None:
            message.header_start = half.reached(item.start + 1)
        if message.headers:
            message.trailers = item.headers
        elif status is not None and 100 <= status <= 199 and not item.ends_stream:
            if len(message.interim) < KEPT_INTERIM:
                message.interim.append(status)
        else:
            message.headers = item.headers
            message.header_end = half.reached(item.end)
        if item.ends_stream:
            message.end = half.reached(item.end)
    elif item.type == DATA:
        part = _strip(item)
        if part is None:
            return
        before, message.data_bytes = message.data_bytes, message.data_bytes + len(part)
        message.data += part[: KEPT_MESSAGE - len(message.data)]
        if before < BODY_ENOUGH <= message.data_bytes:
            lead = 10 if item.flags & _PADDED else 9
            message.enough = half.reached(item.start + lead + BODY_ENOUGH - before)
        if item.flags & _END_STREAM:
            message.end = half.reached(item.end)
    elif item.type == RST_STREAM and len(item.payload) == 4:
        message.reset = error_name(int.from_bytes(item.payload))
        message.reset_mark = half.reached(item.end)


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("latin-1")
