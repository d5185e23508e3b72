"""HTTP/1 as Go's net/http client takes it."""

from __future__ import annotations

from dataclasses import replace

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Arrival, Half
from probewatch.model.exchange import HttpExchange
from probewatch.model.frame import Mark
from probewatch.wire.body import BODY_ENOUGH
from probewatch.wire.http1 import KEPT_EXCHANGES, TLS_ANSWER, begins_request, read_http1

PROBE = (
    b"GET /ready HTTP/1.1\r\nHost: 10.128.0.10:8080\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n"
    b"Connection: close\r\n\r\n"
)
"""What kubelet 1.36 sends, byte for byte."""


def mark(number: int) -> Mark:
    """Return the moment of frame `number`: one a millisecond."""
    return Mark(number * 1_000_000, 0, number)


def half(data: bytes, *, first: int = 1, cuts: tuple[int, ...] = (), fin: bool = False, rst: bool = False) -> Half:
    """Make a half whose data came in pieces that end at `cuts`, in frames numbered from `first`."""
    ends = sorted({cut for cut in cuts if 0 < cut < len(data)} | ({len(data)} if data else set()))
    arrivals = tuple(Arrival(end, mark(first + at)) for at, end in enumerate(ends))
    last = mark(first + len(ends))
    return Half(
        packets=len(ends) + 1, data=data, length=len(data), arrivals=arrivals, last=last,
        fin=last if fin else None, rst=last if rst else None,
    )


def lose(whole: Half, at: int) -> Half:
    """Let the capture lose everything from offset `at`; the wire still had it."""
    kept = tuple(arrival for arrival in whole.arrivals if arrival.length < at)
    later = next((arrival.mark for arrival in whole.arrivals if arrival.length >= at), None)
    if later and at:
        kept = (*kept, Arrival(at, later))
    return replace(whole, data=whole.data[:at], arrivals=kept, gap=at)


def ask(answer: bytes | Half, request: bytes = PROBE, **options: bool) -> HttpExchange:
    """Return the exchange of one request and this answer."""
    resp = answer if isinstance(answer, Half) else half(answer, first=10, **options)
    http, count = read_http1(half(request), resp)
    assert count == 1
    return http[0]


def test_kubelet_request() -> None:
    """The kubelet's request is read as sent: target, header names and their order, its moments."""
    http, count = read_http1(half(PROBE, cuts=(20,)), Half())
    assert count == 1
    assert (http[0].method, http[0].target, http[0].version) == ("GET", "/ready", "HTTP/1.1")
    assert [name for name, _ in http[0].headers] == ["Host", "User-Agent", "Accept", "Connection"]
    assert http[0].header("user-agent") == "kube-probe/1.36"
    assert (http[0].request_start, http[0].request_end) == (mark(1), mark(2))
    assert http[0].status is None
    assert not http[0].malformed


def test_answer_moments() -> None:
    """Each part of an answer has the mark of the frame that completed it."""
    header = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    got = ask(half(header + b"hello", first=10, cuts=(1, len(header), len(header) + 2)))
    assert (got.status, got.reason, got.answer_version) == (200, "OK", "HTTP/1.1")
    assert (got.first_byte, got.header_end, got.body_end) == (mark(10), mark(11), mark(13))
    assert got.body_bytes == 5
    assert got.answer_header("content-length") == "5"
    assert got.read_enough is None


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK", 200, "OK"),
        (b"HTTP/1.1 200", 200, ""),
        (b"HTTP/1.1 200 ", 200, ""),
        (b"HTTP/1.1   204 No Content", 204, "No Content"),
        (b"HTTP/1.0 503 Service Unavailable", 503, "Service Unavailable"),
        (b"HTTP/2.0 200 OK", 200, "OK"),
        (b"HTTP/1.1 099 low", 99, "low"),
        (b"HTTP/1.1 +20 plus", 20, "plus"),
        (b"HTTP/1.1 999 high", 999, "high"),
    ],
)
def test_status_lines_go_takes(line: bytes, status: int, reason: str) -> None:
    """Status lines that net/http takes give their status."""
    got = ask(line + b"\r\n\r\n", fin=True)
    assert (got.status, got.reason, got.malformed) == (status, reason, "")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", 'malformed HTTP response ""'),
        (b"SSH-2.0-OpenSSH_9.6", 'malformed HTTP response "SSH-2.0-OpenSSH_9.6"'),
        (b"-ERR\tx\x01", 'malformed HTTP response "-ERR\\tx\\x01"'),
        (b"HTTP/1.1 20 OK", 'malformed HTTP status code "20"'),
        (b"HTTP/1.1 2000 OK", 'malformed HTTP status code "2000"'),
        (b"HTTP/1.1 abc OK", 'malformed HTTP status code "abc"'),
        (b"HTTP/1.1 -20 OK", 'malformed HTTP status code "-20"'),
        (b"HTTP/1.1\t200 OK", 'malformed HTTP status code "OK"'),
        (b"HTTP/1.10 200 OK", 'malformed HTTP version "HTTP/1.10"'),
        (b"http/1.1 200 OK", 'malformed HTTP version "http/1.1"'),
        (b"ICY 200 OK", 'malformed HTTP version "ICY"'),
        (b"-ERR unknown command", 'malformed HTTP status code "unknown"'),
    ],
)
def test_status_lines_go_refuses(line: bytes, why: str) -> None:
    """Status lines that net/http refuses are malformed, in Go's words, at the frame that ended the line."""
    got = ask(line + b"\r\n\r\n")
    assert (got.status, got.malformed, got.fault) == (None, why, mark(10))


def test_unfinished_line() -> None:
    """Bytes without a line end are nothing yet, an answer cut off by FIN as Go reads it, and no fault after a RST."""
    assert ask(b"hello").malformed == ""
    ended = ask(b"hello", fin=True)
    assert (ended.malformed, ended.fault) == ('malformed HTTP response "hello"', mark(11))
    assert ask(b"hello", rst=True).malformed == ""
    begun = ask(b"HTTP/1.1 200 OK\r\nServer: x", fin=True)
    assert (begun.status, begun.malformed) == (None, "")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"Server nginx\r\n", 'malformed MIME header: missing colon: "Server nginx"'),
        (b" Server: x\r\n", "malformed MIME header initial line:  Server: x"),
        (b": x\r\n", "malformed MIME header line: : x"),
        (b"a@b: x\r\n", "malformed MIME header line: a@b: x"),
        (b"A: x\x01y\r\n", "malformed MIME header line: A: x\\x01y"),
        (b"A: x\ry\r\n", "malformed MIME header line: A: x\\ry"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", "message cannot contain multiple Content-Length headers"),
        (b"Content-Length: \r\n", 'invalid empty Content-Length ""'),
        (b"Content-Length: +5\r\n", 'bad Content-Length "+5"'),
        (b"Content-Length: 5,5\r\n", 'bad Content-Length "5,5"'),
        (b"Content-Length: 9223372036854775808\r\n", 'bad Content-Length "9223372036854775808"'),
        (b"Transfer-Encoding: gzip\r\n", 'unsupported transfer encoding: "gzip"'),
        (b"Transfer-Encoding: gzip, chunked\r\n", 'unsupported transfer encoding: "gzip, chunked"'),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "too many transfer encodings: ['chunked', 'chunked']"),
        (b"Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n", 'bad trailer key "Content-Length"'),
    ],
)
def test_headers_go_refuses(fields: bytes, why: str) -> None:
    """Header fields that net/http refuses leave no status and say why."""
    got = ask(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    assert (got.status, got.malformed) == (None, why)
    assert got.fault == mark(10)


def test_headers_go_takes() -> None:
    """Bare LF, folded lines, blanks before the colon and obs-text are taken, as textproto takes them."""
    got = ask(b"HTTP/1.1 200 OK\nA: 1\n  two\r\n\tthree\nB : x\nC:\xe9 \nContent-Length: 2\nContent-Length: 2\n\nok")
    assert got.answer_headers[:3] == (("A", "1 two three"), ("B ", "x"), ("C", "\xe9"))
    assert (got.status, got.body_bytes, got.body_end) == (200, 2, mark(10))


def test_interim() -> None:
    """1xx answers before the final one are kept apart, whatever their number; 101 is final."""
    got = ask(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (got.interim, got.status, got.answer_headers) == ((100, 103), 200, (("Content-Length", "0"),))
    got = ask(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x00\x01")
    assert (got.interim, got.status, got.body_end) == ((), 101, mark(10))
    got = ask(b"HTTP/1.1 100 Continue\r\n\r\n", fin=True)
    assert (got.interim, got.status, got.malformed) == ((100,), None, "")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_no_body(method: str, answer: bytes) -> None:
    """Answers that carry no body by RFC 9112 section 6.3 end with their header."""
    got = ask(answer, PROBE.replace(b"GET", method.encode()))
    assert (got.body_end, got.body_bytes) == (mark(10), 0)


def test_until_close() -> None:
    """A body without framing ends with FIN, and is broken by RST."""
    answer = b"HTTP/1.0 200 OK\r\n\r\nhello"
    assert ask(answer).body_end is None
    assert ask(answer, fin=True).body_end == mark(11)
    broken = ask(answer, rst=True)
    assert (broken.status, broken.body_end, broken.body_error) == (200, None, "connection reset by peer")


def test_short_body() -> None:
    """FIN or RST below the Content-Length breaks the body; silence does not."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"
    assert ask(answer).body_error == ""
    ended = ask(answer, fin=True)
    assert (ended.status, ended.body_end, ended.body_error, ended.fault) == (200, None, "unexpected EOF", mark(11))
    assert ask(answer, rst=True).body_error == "connection reset by peer"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"


def test_chunked() -> None:
    """Chunks, extensions and trailers are walked to the body's end; chunked wins over Content-Length."""
    body = b"5;ext=1\r\nhello\r\n0A \r\n0123456789\r\n0\r\nX-Check: y\r\n\r\n"
    got = ask(half(CHUNKED + body, first=10, cuts=(len(CHUNKED), len(CHUNKED + body) - 2)))
    assert (got.status, got.body_bytes, got.body_end, got.body_error) == (200, len(body), mark(12), "")
    both = ask(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n") + body)
    assert both.body_end == mark(10)
    old = ask(CHUNKED.replace(b"1.1", b"1.0") + body, fin=True)
    assert old.body_end == mark(11), "HTTP/1.0 knows no chunks: the body lasts until FIN"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"5\nhello\r\n", "chunked line ends with bare LF"),
        (b"5\rx\r\n", "invalid CR in chunked line"),
        (b"\r\n", "empty hex number for chunk length"),
        (b"0x5\r\n", "invalid byte in chunk length"),
        (b"-5\r\n", "invalid byte in chunk length"),
        (b"11111111111111111\r\n", "http chunk length too large"),
        (b"5\r\nhelloXX", "malformed chunked encoding"),
        (b"5\r\nhello\r\r", "malformed chunked encoding"),
        (b"x" * 5000, "header line too long"),
        ((b"1;" + b"e" * 3000 + b"\r\nx\r\n") * 8, "chunked encoding contains too much non-data"),
        (b"0\r\nbad trailer\r\n\r\n", 'malformed MIME header: missing colon: "bad trailer"'),
        (b"0\r\n" + b"x" * 5000, "http: suspiciously long trailer after chunked body"),
    ],
)
def test_bad_chunks(body: bytes, why: str) -> None:
    """A broken chunk is a body error after a good header, not a malformed answer."""
    got = ask(CHUNKED + body)
    assert (got.status, got.malformed, got.body_error, got.body_end) == (200, "", why, None)
    assert got.fault == mark(10)


def test_chunked_unfinished() -> None:
    """Chunks that do not end are broken by FIN, and by nothing else."""
    for body in (b"", b"5", b"5\r\nhel", b"5\r\nhello", b"0\r\n", b"0\r\nA: b\r\n"):
        assert ask(CHUNKED + body).body_error == ""
        assert ask(CHUNKED + body, fin=True).body_error == "unexpected EOF"


def test_read_enough() -> None:
    """The moment at which the kubelet has its 10 KiB is that of the 10 240th body byte, decoded; shorter bodies have none."""
    header = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"
    at = len(header) + BODY_ENOUGH
    got = ask(half(header + bytes(20000), first=10, cuts=(at - 1, at, at + 1)))
    assert (got.read_enough, got.body_end) == (mark(11), mark(13))
    chunks = b"1000\r\n" + bytes(4096) + b"\r\n"
    at = len(CHUNKED) + len(chunks) * 2 + 6 + 2048
    got = ask(half(CHUNKED + chunks * 3 + b"0\r\n\r\n", first=10, cuts=(at - 1, at)))
    assert (got.read_enough, got.body_end) == (mark(11), mark(12))
    header = b"HTTP/1.1 200 OK\r\nContent-Length: 10239\r\n\r\n"
    assert ask(header + bytes(10239)).read_enough is None


def test_beyond_what_is_kept() -> None:
    """A body that went on beyond the kept data ended on the wire: at the FIN at the latest; nothing of it is lost."""
    whole = half(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60000), first=10, fin=True)
    got = ask(replace(whole, data=whole.data[:32768], arrivals=(Arrival(32768, mark(10)),)))
    assert (got.body_bytes, got.read_enough, got.body_end, got.lost) == (60000, mark(10), whole.fin, False)


def test_lost_bytes() -> None:
    """Bytes the capture lost make nothing malformed: what is whole counts, the rest is said to be lost."""
    whole = half(b"HTTP/1.1 503 Service Unavailable\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello", first=10, fin=True)
    for at in range(len(whole.data)):
        got = ask(lose(whole, at))
        assert got.malformed == ""
        assert got.body_error == ""
        assert got.lost
        assert got.status == (503 if at >= len("HTTP/1.1 503 ") else None)
        assert (got.header_end is not None) == (at >= whole.data.index(b"\r\n\r\n") + 4)
        assert got.body_end == (whole.fin if got.header_end else None)
    assert ask(lose(half(b"HTTP/1.1 100 Continue\r\n\r\nHTTP", first=10), 20)).status is None


def test_a_body_that_a_snapshot_length_cut_has_its_length() -> None:
    """Lengths of cut segments tell that a body of known length broke off, and after how many bytes; where some were lost nothing does."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    for how, error in (({"rst": True}, "connection reset by peer"), ({"fin": True}, "unexpected EOF"), ({}, "")):
        whole = half(head + bytes(400), first=10, **how)
        cut = lose(whole, len(head) + 30)
        told = ask(replace(cut, shortened=True))
        assert (told.status, told.body_bytes, told.body_error, told.lost, told.body_end) == (200, 400, error, False, None)
        assert told.fault == ask(whole).fault
        assert ask(cut).lost
        assert not ask(cut).body_error
    unsized = half(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(400), first=10, rst=True)
    assert ask(replace(lose(unsized, 50), shortened=True)).body_error == "connection reset by peer"


def test_lost_request() -> None:
    """A request the capture cut is told as far as it goes."""
    http, count = read_http1(lose(half(PROBE), 12), half(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", first=10))
    assert (count, http[0].method, http[0].request_end, http[0].status, http[0].lost) == (1, "GET", None, 200, True)


def test_keep_alive() -> None:
    """Answers are paired with requests in order; only the first exchanges are kept, all requests are counted."""
    post = b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\r\n"
    head = b"HEAD /d HTTP/1.1\r\n\r\n"
    answers = b"".join(
        b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s" % (status, length, bytes(length) if status != 204 else b"")
        for status, length in ((200, 7), (404, 0))
    )
    answers += CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nHTTP/1.1 500 E\r\n\r\n"
    http, count = read_http1(half(PROBE + post + chunked + head + PROBE * 3), half(answers, first=10))
    assert count == 7
    assert len(http) == KEPT_EXCHANGES
    assert [(each.target, each.status) for each in http] == [("/ready", 200), ("/b", 404), ("/c", 200), ("/d", 200)]


def test_after_an_unfinished_answer() -> None:
    """Later requests have no answer where an earlier one never ended."""
    http, count = read_http1(half(PROBE * 2), half(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", first=10))
    assert count == 2
    assert [(each.status, each.lost) for each in http] == [(200, False), (None, False)]


def test_switching_protocols() -> None:
    """After 101 or a CONNECT that succeeded the bytes are no HTTP any more."""
    http, count = read_http1(half(PROBE * 2), half(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", first=10))
    assert (len(http), count) == (1, 1)
    connect = b"CONNECT a:1 HTTP/1.1\r\n\r\n"
    assert read_http1(half(connect + PROBE), half(b"HTTP/1.1 200 OK\r\n\r\n", first=10))[1] == 1


def test_tls_answer() -> None:
    """A TLS alert in answer to HTTP is named for what it is."""
    got = ask(b"\x15\x03\x01\x00\x02\x02\x46")
    assert (got.malformed, got.status, got.fault) == (TLS_ANSWER, None, mark(10))


@pytest.mark.parametrize(
    ("data", "is_it"),
    [
        (PROBE, True), (b"GET / HTTP/1.0\r\n", True), (b"OPTIONS /x", True), (b"GET ", True), (b"PURGE / HTTP/1.1\n", True),
        (b"GE", False), (b"", False), (b"*1\r\n$4\r\nPING\r\n", False), (b"PING\r\n", False), (b"GET key\r\n", False),
        (b"EHLO x\r\n", False), (b"\x16\x03\x01", False), (b"GET \x00", False),
    ],
)
def test_begins_request(data: bytes, is_it: bool) -> None:
    """Only an HTTP/1 request line, or the beginning of one with a common method, opens HTTP."""
    assert begins_request(data) is is_it


# Against another implementation


FIELD = st.tuples(st.from_regex(r"X-[A-Za-z0-9-]{1,12}", fullmatch=True), st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True))


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return a valid answer with a body in one of the three framings."""
    status = draw(st.integers(200, 599))
    fields = draw(st.lists(FIELD, max_size=4))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    head = b"HTTP/1.1 %d Reason\r\n" % status
    head += b"".join(f"{name}: {value}\r\n".encode() for name, value in fields)
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if framing == "close":
        return head + b"\r\n" + body
    cut = draw(st.integers(0, len(body)))
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


@settings(max_examples=200, deadline=None)
@given(answers())
def test_agrees_with_h11(answer: bytes) -> None:
    """Valid answers give the status, the fields and the end of the body that h11 finds."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(answer)
    peer.receive_data(b"")
    got = ask(answer, fin=True)
    event = peer.next_event()
    assert isinstance(event, h11.Response)
    assert got.status == event.status_code
    assert got.malformed == ""
    ours = [(name.lower().encode(), value.encode("latin-1")) for name, value in got.answer_headers]
    assert ours == list(event.headers)
    body = 0
    while isinstance(event := peer.next_event(), h11.Data):
        body += len(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert got.body_end is not None
    if not got.answer_header("transfer-encoding") or got.status in (204, 304):
        assert got.body_bytes == body


# Any bytes


PIECES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"\r\n", b"\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b" fold\r\n", b"Trailer: A\r\n", b"Content-Length: 99999999999999\r\n", b"A: b\r\n", b"\x15\x03\x01",
    b"FFFFFFFFFFFFFFFF\r\n", PROBE, b"POST / HTTP/1.1\r\n",
])
MESS = st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(MESS, MESS, st.booleans(), st.booleans(), st.integers(0, 60), st.booleans())
def test_takes_any_bytes(asked: bytes, told: bytes, fin: bool, rst: bool, at: int, lost: bool) -> None:
    """No bytes, ends or losses raise; values keep their bounds."""
    resp = half(told, first=10, fin=fin, rst=rst)
    orig = half(PROBE + asked)
    http, count = read_http1(orig, lose(resp, min(at, len(told))) if lost else resp)
    assert count >= 1
    assert len(http) <= KEPT_EXCHANGES
    for each in http:
        assert each.body_bytes >= 0
        assert not (each.status is not None and each.malformed)
        assert each.body_end is None or each.header_end is not None


@settings(max_examples=200, deadline=None)
@given(answers() | MESS, st.lists(st.integers(1, 400), max_size=8), st.booleans())
def test_pieces_do_not_matter(told: bytes, cuts: list[int], fin: bool) -> None:
    """However the bytes are cut into segments, the same is read, and its moments are in order."""
    whole = ask(half(told, first=10, fin=fin))
    pieces = ask(half(told, first=10, cuts=tuple(cuts), fin=fin))
    names = ("status", "reason", "answer_headers", "interim", "malformed", "body_bytes", "body_error", "lost")
    assert [getattr(whole, name) for name in names] == [getattr(pieces, name) for name in names]
    moments = (pieces.first_byte, pieces.header_end, pieces.body_end)
    assert [moment is None for moment in moments] == [moment is None for moment in (whole.first_byte, whole.header_end, whole.body_end)]
    seen = [moment for moment in moments if moment is not None]
    assert seen == sorted(seen)
    assert pieces.read_enough is None or pieces.header_end is None or pieces.read_enough >= pieces.header_end


@settings(max_examples=100, deadline=None)
@given(answers(), st.integers(0, 400))
def test_a_beginning_says_less_not_else(told: bytes, length: int) -> None:
    """A snapshot of a stream that goes on never says anything that the whole stream takes back."""
    whole, early = ask(half(told, first=10, fin=True)), ask(half(told[:length], first=10))
    assert early.malformed == ""
    assert early.body_error == ""
    assert early.status in (None, whole.status)
    assert early.body_end is None or whole.body_bytes == early.body_bytes


def test_many_tiny_requests_are_quick_to_count() -> None:
    """A stream of the smallest requests is counted, not kept."""
    tiny = b"G / HTTP/1.1\n\n" * 2000
    http, count = read_http1(half(tiny), Half())
    assert (len(http), count) == (KEPT_EXCHANGES, 2000)


def test_huge_numbers() -> None:
    """Numbers of thousands of digits are refused, not converted."""
    got = ask(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 6000 + b"5\r\n\r\nhello")
    assert (got.status, got.body_end) == (200, mark(10))
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n").malformed.startswith("bad Content-Length")
    request = b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n"
    assert read_http1(half(request + PROBE), Half())[1] == 1
