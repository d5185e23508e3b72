"""HTTP/2 with prior knowledge, and gRPC health checks inside it."""

from __future__ import annotations

import struct

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Arrival, Half
from probewatch.model.exchange import GrpcFacts
from probewatch.model.frame import Mark
from probewatch.wire.body import BODY_ENOUGH
from probewatch.wire.grpc import health_service, health_status, message, read_grpc, unescape
from probewatch.wire.http1 import KEPT_EXCHANGES
from probewatch.wire.http2 import KEPT_STREAMS, PREFACE, Talk, error_name, exchanges, read_http2

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 0x20

REQUEST = [
    (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"), (":authority", "10.128.0.10:9090"),
    ("content-type", "application/grpc"), ("user-agent", "kube-probe/1.36 grpc-go/1.81.1"), ("te", "trailers"),
    ("grpc-timeout", "999545u"),
]
"""The kubelet's, in its order."""


def mark(number: int) -> Mark:
    """Return the moment of frame `number`: one a millisecond."""
    return Mark(number * 1_000_000, 0, number)


def half(*pieces: bytes, first: int = 1, fin: bool = False) -> Half:
    """Make a half whose data came in these pieces, in frames numbered from `first`."""
    arrivals, length = [], 0
    for at, piece in enumerate(pieces):
        length += len(piece)
        arrivals.append(Arrival(length, mark(first + at)))
    last = mark(first + len(pieces))
    return Half(
        packets=1, data=b"".join(pieces), length=length, arrivals=tuple(arrivals), last=last, fin=last if fin else None
    )


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Make a frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def grpc(body: bytes) -> bytes:
    """Make a length-prefixed message."""
    return b"\0" + len(body).to_bytes(4) + body


def headers(encoder: Encoder, fields: list[tuple[str, str]], *, end: bool = False, stream: int = 1) -> bytes:
    """Make a HEADERS frame."""
    return frame(HEADERS, encoder.encode(fields), flags=END_HEADERS | (END_STREAM if end else 0), stream=stream)


def check(service: str = "") -> list[bytes]:
    """Return what the kubelet sends, segment for segment."""
    body = b"\x0a" + bytes((len(service),)) + service.encode() if service else b""
    call = headers(Encoder(), REQUEST) + frame(DATA, grpc(body), flags=END_STREAM, stream=1)
    return [PREFACE, frame(SETTINGS), frame(SETTINGS, flags=1), call]


def serving(status: bytes = b"\x08\x01", trailers: list[tuple[str, str]] | None = None) -> list[bytes]:
    """Return what a grpc-go server answers, segment for segment."""
    encoder = Encoder()
    head = headers(encoder, [(":status", "200"), ("content-type", "application/grpc")])
    data = frame(DATA, grpc(status), stream=1)
    tail = headers(encoder, trailers or [("grpc-status", "0"), ("grpc-message", "")], end=True)
    return [frame(SETTINGS, struct.pack("!HI", 5, 16384)) + frame(SETTINGS, flags=1), head + data, tail]


def facts(asked: list[bytes], told: list[bytes], *, fin: bool = False) -> GrpcFacts:
    """Read a connection as gRPC."""
    return read_grpc(talk(asked, told, fin=fin))


def talk(asked: list[bytes], told: list[bytes], *, fin: bool = False) -> Talk:
    """Read a connection."""
    return read_http2(half(*asked), half(*told, first=11, fin=fin))


@pytest.mark.parametrize("service", ["", "live"])
def test_health_check(service: str) -> None:
    """A health check shows path, agent, service and answer, each with its moment."""
    got = facts(check(service), serving())
    assert got.preface == mark(1)
    assert got.server_settings == mark(11)
    assert got.path == "/grpc.health.v1.Health/Check"
    assert got.user_agent == "kube-probe/1.36 grpc-go/1.81.1"
    assert got.service == service
    assert got.request_end == mark(4)
    assert (got.http_status, got.grpc_status, got.grpc_message, got.serving) == ("200", 0, "", 1)
    assert got.answer_end == mark(13)
    assert (got.plain_answer, got.goaway, got.reset) == ("", "", "")
    assert exchanges(talk(check(service), serving())) == ()


@pytest.mark.parametrize(("body", "status"), [(b"", 0), (b"\x08\x00", 0), (b"\x08\x02", 2), (b"\x08\x03", 3), (b"\x12\x01x\x08\x01", 1)])
def test_serving_status(body: bytes, status: int) -> None:
    """The status of a HealthCheckResponse is its field 1; absent is 0."""
    assert facts(check(), serving(body)).serving == status


def test_trailers_only() -> None:
    """A call that fails at once is one header block: its grpc-status counts, its message is percent-decoded."""
    fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")]
    fields.append(("grpc-message", "unknown%20service %e2%82%ac"))
    got = facts(check("x"), [frame(SETTINGS), headers(Encoder(), fields, end=True)])
    assert (got.http_status, got.grpc_status, got.grpc_message, got.serving) == ("200", 5, "unknown service €", None)
    assert got.answer_end == mark(12)


def test_http_status() -> None:
    """An answer that is HTTP/2 but no gRPC shows its :status."""
    got = facts(check(), [frame(SETTINGS), headers(Encoder(), [(":status", "404")], end=True)])
    assert (got.http_status, got.grpc_status) == ("404", None)


def test_unanswered() -> None:
    """A call without an answer leaves the answer's fields empty."""
    got = facts(check(), [frame(SETTINGS)])
    assert (got.http_status, got.grpc_status, got.serving, got.answer_end) == ("", None, None, None)
    assert facts([PREFACE], []).path == ""


def test_reset_and_goaway() -> None:
    """Error codes of the server's RST_STREAM and GOAWAY are named; a GOAWAY without an error is ordinary."""
    reset = frame(RST_STREAM, (7).to_bytes(4), stream=1)
    assert facts(check(), [frame(SETTINGS), reset]).reset == "REFUSED_STREAM"
    goaway = frame(GOAWAY, bytes(4) + (11).to_bytes(4) + b"too_many_pings")
    assert facts(check(), [frame(SETTINGS), goaway]).goaway == "ENHANCE_YOUR_CALM"
    assert facts(check(), [*serving(), frame(GOAWAY, bytes(8))]).goaway == ""
    assert error_name(99) == "error 99"


def test_the_client_cancels() -> None:
    """grpc-go's RST_STREAM at the deadline follows the request's END_STREAM; it is the client's word, not the server's."""
    cancel = frame(RST_STREAM, (8).to_bytes(4), stream=1)
    got = facts([*check(), cancel], serving())
    assert (got.cancelled, got.request_end, got.reset) == (mark(5), mark(4), "")
    assert facts(check(), serving()).cancelled is None
    assert facts(check(), [*serving(), frame(RST_STREAM, bytes(4), stream=1)]).reset == ""


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (b"-ERR unknown command\r\n", "-ERR unknown command"),
        (b"\x15\x03\x01\x00\x02\x02\x46\x1b[2J", "\\x15\\x03\\x01\\x00\\x02\\x02F\\x1b[2J"),
        (b"\r\n\r\n\r\n\r\n\r\n", "(an empty line)"),
    ],
)
def test_plain_answer(answer: bytes, line: str) -> None:
    """An answer that is no HTTP/2 gives its first line, without control characters."""
    got = facts([PREFACE], [answer])
    assert (got.plain_answer, got.server_settings) == (line, None)


def test_short_plain_answer() -> None:
    """Fewer bytes than a frame header are judged only once no more can come."""
    assert facts([PREFACE], [b"\0\0"]).plain_answer == ""
    assert facts([PREFACE], [b"oops"], fin=True).plain_answer == "oops"
    assert facts([PREFACE], []).plain_answer == ""


def test_padding_priority_continuation() -> None:
    """Padding, priority and CONTINUATION change nothing of what is read."""
    block = Encoder().encode(REQUEST)
    first = b"\x03" + bytes(5) + block[:9] + bytes(3)
    asked = [
        PREFACE,
        frame(SETTINGS),
        frame(HEADERS, first, flags=PADDED | WITH_PRIORITY, stream=1),
        frame(CONTINUATION, block[9:20], stream=1) + frame(CONTINUATION, block[20:], flags=END_HEADERS, stream=1),
        frame(PING, bytes(8)) + frame(WINDOW_UPDATE, b"\0\0\1\0") + frame(PRIORITY, bytes(5), stream=3),
        frame(DATA, b"\x02" + grpc(b"\x0a\x04live")[:4] + bytes(2), flags=PADDED, stream=1),
        frame(DATA, b"\x00" + grpc(b"\x0a\x04live")[4:], flags=PADDED | END_STREAM, stream=1),
    ]
    got = facts(asked, serving())
    assert (got.path, got.service, got.request_end) == (REQUEST[2][1], "live", mark(7))


def test_faults_end_quietly() -> None:
    """Broken frames end the reading of their direction; what was whole before stays."""
    block = Encoder().encode(REQUEST)
    bad = [
        frame(HEADERS, b"\xff" + block, flags=PADDED | END_HEADERS, stream=1),
        frame(HEADERS, b"\0", flags=WITH_PRIORITY | END_HEADERS, stream=1),
        frame(HEADERS, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", flags=END_HEADERS, stream=1),
        frame(HEADERS, block, stream=1) + frame(PING, bytes(8)),
        frame(CONTINUATION, block, flags=END_HEADERS, stream=1),
        frame(PUSH, block, flags=END_HEADERS, stream=1) + frame(HEADERS, block, flags=END_HEADERS, stream=1),
        b"\xff\xff\xff" + frame(HEADERS, block)[3:],
    ]
    for each in bad:
        got = talk([PREFACE, frame(SETTINGS), each], serving())
        assert (got.streams, got.requests) == ([], 0)
        assert got.server_settings == mark(11)
    good = headers(Encoder(), REQUEST)
    assert talk([PREFACE, good, bad[2]], []).requests == 1


def test_header_bomb() -> None:
    """Header blocks that grow beyond every measure when decoded, or before, are refused."""
    encoder = Encoder()
    seed = encoder.encode([(":path", "/"), ("x-bomb", "y" * 4000)])
    bomb = frame(HEADERS, seed + b"\xbe" * 16000, flags=END_HEADERS, stream=1)
    assert talk([PREFACE, bomb], []).requests == 0
    flood = frame(HEADERS, b"", stream=1) + frame(CONTINUATION, b"\x82" * 16000, stream=1) * 8
    assert talk([PREFACE, flood], []).requests == 0


def test_header_table_follows_settings() -> None:
    """An encoder may use as large a table as the other side's SETTINGS allow, within bounds."""
    encoder = Encoder()
    encoder.header_table_size = 16384
    asked = [PREFACE, headers(encoder, REQUEST)]
    assert talk(asked, [frame(SETTINGS)]).requests == 0
    assert talk(asked, [frame(SETTINGS, struct.pack("!HI", 1, 16384))]).requests == 1
    assert talk(asked, [frame(SETTINGS, struct.pack("!HI", 1, 0xFFFFFFFF))]).requests == 1


def get(path: str) -> list[tuple[str, str]]:
    """Return the headers of a GET."""
    return [(":method", "GET"), (":scheme", "https"), (":authority", "a:1"), (":path", path), ("user-agent", "kube-probe/1.36")]


def test_plain_http() -> None:
    """Requests that are no gRPC become exchanges, in order, without the pseudo-headers."""
    up, down = Encoder(), Encoder()
    asked = [PREFACE, headers(up, get("/a"), end=True), headers(up, get("/b"), end=True, stream=3)]
    told = [
        frame(SETTINGS),
        headers(down, [(":status", "103"), ("link", "x")], stream=3),
        headers(down, [(":status", "503"), ("server", "s")], stream=3),
        frame(DATA, bytes(6000), stream=3),
        frame(DATA, bytes(6000), stream=3, flags=END_STREAM),
        headers(down, [(":status", "204")], end=True),
    ]
    read = talk(asked, told)
    first, second = exchanges(read)
    assert read.requests == 2
    assert (first.method, first.target, first.version, first.status, first.body_end) == ("GET", "/a", "HTTP/2", 204, mark(16))
    assert (second.target, second.status, second.interim) == ("/b", 503, (103,))
    assert second.headers == (("user-agent", "kube-probe/1.36"),)
    assert second.answer_headers == (("server", "s"),)
    assert (second.request_start, second.request_end) == (mark(3), mark(3))
    assert (second.first_byte, second.header_end, second.read_enough, second.body_end) == (mark(12), mark(13), mark(15), mark(15))
    assert second.body_bytes == 12000 >= BODY_ENOUGH


def test_plain_http_broken() -> None:
    """A stream reset in its body is a body error, an answer without a status is malformed."""
    asked = [PREFACE, headers(Encoder(), get("/a"), end=True)]
    told = [frame(SETTINGS), headers(Encoder(), [(":status", "200")]), frame(RST_STREAM, (2).to_bytes(4), stream=1)]
    got = exchanges(talk(asked, told))[0]
    assert (got.status, got.body_error, got.body_end, got.fault) == (200, "stream error: INTERNAL_ERROR", None, mark(13))
    got = exchanges(talk(asked, [frame(SETTINGS), headers(Encoder(), [("server", "s")], end=True)]))[0]
    assert (got.status, got.malformed) == (None, "malformed response from server: bad or missing status")


def test_many_streams() -> None:
    """Of many streams the first are followed, all are counted, few become exchanges."""
    encoder = Encoder()
    asked = [PREFACE, *[headers(encoder, get("/a"), end=True, stream=2 * at + 1) for at in range(500)]]
    got = talk(asked, [])
    assert (got.requests, len(got.streams), len(exchanges(got))) == (500, KEPT_STREAMS, KEPT_EXCHANGES)


def test_messages() -> None:
    """Health messages are read by the protobuf wire format; what is none says nothing."""
    assert message(b"\1" + grpc(b"x")[1:]) is None
    assert message(grpc(b"abc")[:6]) is None
    assert health_service(b"\x0a\x03abc\x10\x01") == "abc"
    assert health_service(b"\x08\x01") is None
    assert health_service(b"\x0a\x09abc") is None
    assert health_service(b"\x00\x01") is None
    assert health_status(b"\x0a\x01x") is None
    assert health_status(b"\x15\0\0\0\0\x19" + bytes(8) + b"\x08\x01") == 1
    assert health_status(b"\x08" + b"\xff" * 11) is None
    assert health_status(b"\x0b") is None
    assert unescape("100%") == "100%"
    assert unescape("%zz%4") == "%zz%4"


FRAMES = st.builds(
    frame, st.integers(0, 10),
    st.binary(max_size=30) | st.sampled_from([Encoder().encode(REQUEST), Encoder().encode([(":status", "200")]), grpc(b"\x08\x01")]),
    flags=st.integers(0, 255), stream=st.sampled_from([0, 1, 1, 3]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FRAMES | st.binary(max_size=4), max_size=8), st.lists(FRAMES | st.binary(max_size=4), max_size=8), st.booleans())
def test_takes_any_bytes(asked: list[bytes], told: list[bytes], fin: bool) -> None:
    """No frames and no bytes raise."""
    got = talk([PREFACE, *asked], told, fin=fin)
    read_grpc(got)
    assert len(exchanges(got)) <= KEPT_EXCHANGES


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_takes_damage(data: st.DataObject) -> None:
    """A real conversation with some bytes changed or cut raises nothing."""
    sides = []
    for pieces in (check("live")[1:], serving()):
        flat = bytearray(b"".join(pieces))
        for _ in range(data.draw(st.integers(0, 4))):
            flat[data.draw(st.integers(0, len(flat) - 1))] = data.draw(st.integers(0, 255))
        sides.append(bytes(flat[: data.draw(st.integers(0, len(flat)))]))
    read_grpc(talk([PREFACE, sides[0]], [sides[1]]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 200), max_size=8))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    """However the bytes are cut into segments, the same is read, with its moments in order."""
    data = b"".join(serving())
    ends = sorted({cut for cut in cuts if cut < len(data)} | {len(data)})
    got = facts(check("live"), [data[a:b] for a, b in zip([0, *ends], ends, strict=False)])
    assert (got.http_status, got.grpc_status, got.serving, got.service) == ("200", 0, 1, "live")
    assert got.server_settings is not None
    assert got.answer_end is not None
    assert got.server_settings <= got.answer_end


def bomb(encoder: Encoder) -> bytes:
    """Return a header block of some kilobytes whose list is larger than is decoded: one entry of the table, again and again."""
    return encoder.encode([(":status", "200"), ("a", "v" * 4000)]) + b"\xbe" * 200


@pytest.mark.parametrize("large", ["list", "block"])
def test_a_header_block_beyond_a_limit_is_told_as_unread(large: str) -> None:
    """Nothing behind it is read, for the tables are out of step; that is our limit and no loss of the capture's."""
    block = bomb(Encoder()) if large == "list" else b"\x00\x01a\x7f\x81\xff\x03" + b"v" * (1 << 16)
    asked = half(PREFACE + frame(SETTINGS) + headers(Encoder(), REQUEST, end=True))
    answer = half(frame(SETTINGS) + frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=1), first=9)
    talk = read_http2(asked, answer)
    assert talk.unread
    assert not talk.lost
    assert read_grpc(talk).unread
    assert read_grpc(talk).answer_end is None
    plain = half(PREFACE + frame(SETTINGS) + headers(Encoder(), [(":method", "GET"), (":path", "/")], end=True))
    (http,) = exchanges(read_http2(plain, answer))
    assert (http.status, http.lost, http.unread) == (None, True, True)
    whole = half(frame(SETTINGS) + headers(Encoder(), [(":status", "200")], end=True), first=9)
    assert not read_http2(plain, whole).unread
    assert not exchanges(read_http2(plain, whole))[0].unread
