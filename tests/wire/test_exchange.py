"""From a connection to what was said on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Arrival, Connection, Half
from probewatch.model.frame import Mark
from probewatch.wire.exchange import OPENING, proxy_header, read_exchange
from probewatch.wire.http1 import TLS_ANSWER
from probewatch.wire.http2 import PREFACE

PROBE = (
    b"GET /ready HTTP/1.1\r\nHost: 10.128.0.10:8080\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\n"
    b"Connection: close\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"


def mark(number: int) -> Mark:
    """Return the moment of frame `number`: one a millisecond."""
    return Mark(number * 1_000_000, 0, number)


def half(*pieces: bytes, first: int = 1, packets: int = 3) -> Half:
    """Make a half whose data came in these pieces, in frames numbered from `first`."""
    arrivals, length = [], 0
    for at, piece in enumerate(pieces):
        length += len(piece)
        arrivals.append(Arrival(length, mark(first + at)))
    return Half(packets=packets, data=b"".join(pieces), length=length, arrivals=tuple(arrivals), last=mark(first + len(pieces)))


def connection(orig: Half, resp: Half, *, midstream: bool = False) -> Connection:
    """Make a connection of two halves."""
    return Connection(
        id=0, client="fd00::1", client_port=40000, server="fd00::10", server_port=8080, start=mark(0), end=mark(99),
        state="SF", history="ShADadFf", orig=orig, resp=resp, midstream=midstream,
    )


def test_http() -> None:
    """An HTTP connection has its exchanges and nothing else."""
    got = read_exchange(connection(half(PROBE), half(OK, first=5)))
    assert [(each.target, each.status) for each in got.http] == [("/ready", 200)]
    assert (got.requests, got.tls, got.grpc, got.opening, got.banner, got.decrypted) == (1, None, None, b"", b"", False)


def test_silent() -> None:
    """A connection without a byte says nothing."""
    got = read_exchange(connection(Half(packets=3), Half(packets=2)))
    assert (got.http, got.requests, got.tls, got.grpc, got.opening, got.banner) == ((), 0, None, None, b"", b"")


@pytest.mark.parametrize("data", [b"*1\r\n$4\r\nPING\r\n", b"\x00\x01" * 100, b"EHLO x\r\n", b"GE"])
def test_opening(data: bytes) -> None:
    """What no reader knows is kept as the first bytes of the client."""
    got = read_exchange(connection(half(data), half(b"+PONG\r\n", first=5)))
    assert got.opening == data[:OPENING]
    assert (got.http, got.tls, got.grpc, got.banner) == ((), None, None, b"")


def test_banner() -> None:
    """What the server said before the client's first byte is its banner, whatever came after it."""
    banner = b"220 mail ESMTP\r\n"
    assert read_exchange(connection(Half(packets=3), half(banner))).banner == banner
    got = read_exchange(connection(half(b"EHLO x\r\n", first=5), half(banner, b"250 ok\r\n", first=4)))
    assert (got.banner, got.opening) == (banner, b"EHLO x\r\n")
    assert len(read_exchange(connection(Half(packets=3), half(b"x" * 99))).banner) == OPENING
    assert read_exchange(connection(half(b"EHLO x\r\n"), half(banner, first=5))).banner == b""
    unseen = replace(half(), length=10, gap=0)
    assert read_exchange(connection(unseen, half(banner))).banner == b"", "the client's bytes may have been first"


def test_tls() -> None:
    """A TLS hello makes TLS facts, and no opening."""
    got = read_exchange(connection(half(HELLO), Half()))
    assert got.tls is not None
    assert (got.http, got.opening) == ((), b"")


def test_http_to_a_tls_server() -> None:
    """HTTP answered by a TLS alert keeps the request, says so, and has the alert."""
    got = read_exchange(connection(half(PROBE), half(b"\x15\x03\x01\x00\x02\x02\x46", first=5)))
    assert (got.http[0].target, got.http[0].malformed) == ("/ready", TLS_ANSWER)
    assert got.tls is not None
    assert [each.name for each in got.tls.alerts] == ["protocol_version"]


def test_http2_to_a_tls_server() -> None:
    """The HTTP/2 preface answered by a TLS alert has the alert too."""
    got = read_exchange(connection(half(PREFACE), half(b"\x15\x03\x01\x00\x02\x02\x46\0\0", first=5)))
    assert got.grpc is not None
    assert got.grpc.plain_answer
    assert got.tls is not None
    assert [each.name for each in got.tls.alerts] == ["protocol_version"]


def test_http2() -> None:
    """The HTTP/2 preface makes gRPC facts."""
    got = read_exchange(connection(half(PREFACE + bytes(9)), Half()))
    assert got.grpc is not None
    assert got.grpc.preface == mark(1)
    assert got.opening == b""


PROXIES = [b"PROXY TCP4 10.0.0.1 10.0.0.2 5 80\r\n", b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)]


@pytest.mark.parametrize("proxy", PROXIES)
def test_proxy_header(proxy: bytes) -> None:
    """A PROXY header is passed over and stays visible; what follows is read as if it came first."""
    assert proxy_header(proxy + PROBE) == len(proxy)
    got = read_exchange(connection(half(proxy + PROBE), half(OK, first=5)))
    assert got.opening == (proxy + PROBE)[:OPENING]
    assert (got.http[0].target, got.http[0].status) == ("/ready", 200)
    assert read_exchange(connection(half(proxy + HELLO), Half())).tls is not None
    assert read_exchange(connection(half(proxy + PREFACE), Half())).grpc is not None
    only = read_exchange(connection(half(proxy), Half()))
    assert (only.opening, only.http) == (proxy[:OPENING], ())


@pytest.mark.parametrize("data", [b"PROXY TCP4 10.0.0.1", b"PROXY " + b"x" * 200 + b"\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", b""])
def test_no_proxy_header(data: bytes) -> None:
    """What is no whole PROXY header is not passed over."""
    assert proxy_header(data) == 0


def test_midstream() -> None:
    """Of a connection caught in mid-stream only what leaves no doubt is read."""
    got = read_exchange(connection(half(PROBE), half(OK, first=5), midstream=True))
    assert [(each.target, each.status) for each in got.http] == [("/ready", 200)]
    late = read_exchange(connection(half(PROBE, first=5), half(OK, first=3), midstream=True))
    assert [(each.status, each.lost) for each in late.http] == [(None, True)], "that answer is to an earlier request"
    rest = read_exchange(connection(half(PROBE), half(b"rest of a body", first=5), midstream=True))
    assert [(each.status, each.malformed) for each in rest.http] == [(None, "")]
    for data in (b"st of a body", HELLO[:5], HELLO[:5] + b"\x14", PREFACE[:18], b"GET /re"):
        got = read_exchange(connection(half(data), half(OK, first=5), midstream=True))
        assert (got.http, got.tls, got.grpc, got.opening) == ((), None, None, b"")


def test_midstream_that_is_none() -> None:
    """A ClientHello or a connection preface only ever opens a connection: only its SYN was not captured."""
    assert read_exchange(connection(half(HELLO), Half(), midstream=True)).tls is not None
    assert read_exchange(connection(half(PREFACE), Half(), midstream=True)).grpc is not None


def test_only_the_answer_was_captured() -> None:
    """An answer without its request is told, without a method, where the request was not captured."""
    for orig in (Half(), Half(packets=3, gap=0), Half(packets=3, length=108, gap=0)):
        got = read_exchange(connection(orig, half(OK)))
        assert [(each.method, each.status, each.lost) for each in got.http] == [("", 200, False)]
        assert (got.requests, got.banner) == (0, b"")
    assert read_exchange(connection(Half(packets=3), half(OK))).http == (), "the client was captured, and asked nothing"


ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
SOME = st.sampled_from([PROBE, OK, HELLO, PREFACE, *PROXIES, ALERT, b"HTTP/1.1 100 C\r\n\r\n"]) | st.binary(max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.lists(SOME, max_size=5), st.lists(SOME, max_size=5), st.booleans(), st.integers(1, 9), st.integers(1, 9))
def test_takes_any_bytes(asked: list[bytes], told: list[bytes], midstream: bool, first: int, second: int) -> None:
    """No bytes raise, in whatever order the sides spoke."""
    orig, resp = half(*filter(None, asked), first=first), half(*filter(None, told), first=second)
    got = read_exchange(connection(orig, resp, midstream=midstream))
    assert len(got.opening) <= OPENING
    assert len(got.banner) <= OPENING
    assert got.requests >= len(got.http) - 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(PROBE + OK)), st.integers(0, len(OK)), st.booleans())
def test_takes_any_loss(asked: int, told: int, fin: bool) -> None:
    """No loss raises, and none makes an answer malformed."""
    orig, resp = half(PROBE + PROBE), half(OK + OK, first=5)
    orig = replace(orig, data=orig.data[:asked], gap=asked, arrivals=(Arrival(asked, mark(1)),) if asked else ())
    resp = replace(resp, data=resp.data[:told], gap=told, arrivals=(Arrival(told, mark(5)),) if told else (), fin=mark(9) if fin else None)
    for each in read_exchange(connection(orig, resp)).http:
        assert not each.malformed
        assert each.lost or each.status == 200
