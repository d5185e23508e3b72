# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""What a connection asked, and whether a kubelet asks like that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builder import S, conversation, track
from hypothesis import given
from hypothesis import strategies as st
from make import OPENED, POD, POD6, V4, V6, answer, attempt, connection, exchange, mark, request

from probewatch.model.exchange import Exchange, GrpcFacts, HttpExchange, TlsFacts
from probewatch.probes.forms import KUBE_PROBE, KUBE_PROBE_GRPC, Ask, Form, form_of, kubelet_headers
from probewatch.wire.exchange import read_exchange

CLOSED = "> A\n > FA\n < FA\n > A"


def asked(headers: str, line: str = "GET /ready HTTP/1.1") -> Form:
    """Return the form of one answered request with these headers."""
    return form_of(exchange(f"{OPENED} > PA '{line}\\r\\n{headers}\\r\\n'\n < PA {answer()}\n {CLOSED}"))


def cut(text: str, kept: int) -> Exchange:
    """Return a request and its answer of which a snapshot length kept no more than so many bytes each way."""
    whole = connection(f"{OPENED} > PA '{text}'\n < PA {answer()}\n {CLOSED}")
    halves = (replace(half, data=half.data[:kept]) for half in (whole.orig, whole.resp))
    return read_exchange(replace(whole, **dict(zip(("orig", "resp"), halves, strict=True))))


HOST = "Host: 10.128.0.10:8080\\r\\n"
AGENT = "User-Agent: kube-probe/1.36\\r\\n"
CLOSE = "Connection: close\\r\\n"


# httpGet.


@pytest.mark.parametrize(("server", "host"), [(POD, f"{POD}:8080"), (POD6, f"[{POD6}]:8080")], ids=["v4", "v6"])
def test_kubelet_request(server, host) -> None:
    """The kubelet's request as measured: path, Host with port (in brackets for IPv6), version from its User-Agent."""
    form = form_of(attempt(0, server=server, client="fd00:10:128::1" if ":" in server else "10.128.0.1"))
    assert form == Form(Ask.HTTP, 8080, "GET", "/ready", None, "kube-probe/1.36", host, kubelet=True, version="1.36", requests=1)


@pytest.mark.parametrize(("headers", "why"), [
    (HOST + AGENT + "Accept: */*\\r\\n" + CLOSE, "as measured"),
    (HOST + AGENT + CLOSE, "Accept removed (`http-headers`)"),
    (HOST + AGENT + "Accept: */*\\r\\nX-Probe: 1\\r\\nX-Probe: 2\\r\\n" + CLOSE, "own headers, one of them twice"),
    (HOST + AGENT + "Accept: text/plain\\r\\nX-Lower-Case: x\\r\\n" + CLOSE, "own Accept, canonical case"),
    (HOST + AGENT + "Accept: */*\\r\\nAuthorization: Bearer x\\r\\n" + CLOSE, "between Accept and Connection"),
    (HOST + "Accept: */*\\r\\n" + CLOSE, "User-Agent removed"),
    ("Host: example\\r\\nUser-Agent: mine/1\\r\\nAccept: */*\\r\\n" + CLOSE, "own Host and User-Agent"),
    (HOST + AGENT + "Accept: */*\\r\\nReferer: http://10.128.0.10:8080/\\r\\n" + CLOSE, "a redirect's next hop"),
    (HOST + AGENT + "Accept-Encoding: gzip\\r\\n" + CLOSE, "1.19 and older"),
    (HOST + AGENT + "X-Probe: 1\\r\\nAccept-Encoding: gzip\\r\\n" + CLOSE, "1.19 and older: the transport's own stands behind the spec's"),
    (HOST + AGENT + "Accept: */*\\r\\nConnection: keep-alive\\r\\n" + CLOSE, "own Connection: both lines, close last"),
])
def test_kubelet_header_order(headers, why) -> None:
    """Host, User-Agent, everything else sorted by name, Connection: close last (newProbeRequest, net/http Request.write)."""
    assert asked(headers).kubelet, why


@pytest.mark.parametrize(("headers", "why"), [
    (HOST + AGENT + "Accept: */*\\r\\n", "no Connection: close (curl's forgery, `multi`)"),
    (HOST + AGENT + "X-B: 1\\r\\nX-A: 1\\r\\n" + CLOSE, "not sorted"),
    (HOST + AGENT + CLOSE + "Accept: */*\\r\\n", "Connection not last"),
    (AGENT + HOST + CLOSE, "Host not first"),
    (HOST + "Accept: */*\\r\\n" + AGENT + CLOSE, "User-Agent not second"),
    (HOST + AGENT + "Accept: */*\\r\\nConnection: keep-alive\\r\\n", "keeps the connection"),
    (AGENT + CLOSE, "no Host"),
    ("", "no header"),
])
def test_other_header_orders(headers, why) -> None:
    """Any other order is not the kubelet's, and then its User-Agent says nothing about a version either."""
    form = asked(headers)
    assert not form.kubelet, why
    assert form.version == ""


@pytest.mark.parametrize(("kept", "path", "partial", "version"), [
    (7, "/re", True, ""), (30, "/ready", False, ""), (60, "/ready", False, ""), (80, "/ready", False, "1.36"),
])
def test_a_snapshot_length_cuts_the_request(kept, path, partial, version) -> None:
    """Of a request that the capture cut, what is left has to be the kubelet's; what is not left is not held against it."""
    form = form_of(cut(f"GET /ready HTTP/1.1\\r\\n{HOST}{AGENT}Accept: */*\\r\\n{CLOSE}\\r\\n", kept))
    assert (form.kubelet, form.cut, form.path, form.partial, form.version) == (True, True, path, partial, version)


def test_a_cut_request_of_another() -> None:
    """What is left of a request that no kubelet sends is still none of its."""
    assert not form_of(cut(f"GET / HTTP/1.1\\r\\n{AGENT}{HOST}{CLOSE}\\r\\n", 60)).kubelet
    assert not form_of(cut("POST /ready HTTP/1.1\\r\\n", 9)).kubelet


@pytest.mark.parametrize("line", ["HEAD /ready HTTP/1.1", "POST /ready HTTP/1.1", "GET /ready HTTP/1.0"])
def test_only_get_and_http11(line) -> None:
    """A probe is always GET and in clear always HTTP/1.1."""
    assert not asked(HOST + AGENT + "Accept: */*\\r\\n" + CLOSE, line).kubelet


@pytest.mark.parametrize(("agent", "version"), [
    ("kube-probe/1.36", "1.36"), ("kube-probe/1.15+", "1.15"), ("kube-probe/1/36", ""), ("kube-lifecycle/1.36", ""), ("Go-http-client/1.1", ""),
    ("kube-probe/1.36 extra", ""), ("xkube-probe/1.36", ""), ("tilt-probe/0.1", ""),
])
def test_version(agent, version) -> None:
    """Only the kubelet's own User-Agent claims a version; Knative's slash form, hooks and copies do not (pkg/probe/http/request.go userAgent)."""
    assert asked(f"{HOST}User-Agent: {agent}\\r\\nAccept: */*\\r\\n{CLOSE}").version == version


def test_second_request_is_no_kubelet() -> None:
    """One request for each connection: a second one, even a perfect one, is somebody else's."""
    one = exchange(f"{OPENED} > PA {request()}\n < PA {answer()}\n > PA {request()}\n < PA {answer()}\n {CLOSED}")
    form = form_of(one)
    assert form.requests == 2
    assert not form.kubelet


def test_query_is_part_of_the_path() -> None:
    """The target is kept as sent."""
    assert form_of(attempt(0, path="/flap?block=5")).path == "/flap?block=5"


# tcpSocket.


@pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize(("tail", "kubelet", "why"), [
    ("> A\n > FA\n < A\n < FA\n > A", True, "bare ACK, FIN"),
    ("> A\n < PA 'SSH-2.0-x\\r\\n'\n > RA", True, "a banner makes Go's close a RST"),
    ("> A\n > FA\n < PA 'SSH-2.0-x\\r\\n'\n > R", True, "a banner after the FIN"),
    ("> RA", False, "HAProxy: RST for the SYN-ACK, no ACK of its own"),
    ("> A\n > RA", False, "RST where FIN would do"),
    ("> FA\n < A\n < FA\n > A", False, "FIN in the third packet"),
])
def test_connect(ends, tail, kubelet, why) -> None:
    """A tcpSocket probe says nothing and closes with FIN after a bare ACK (captures/tcp-ready, frames 23-28)."""
    form = form_of(exchange(f"> S\n < SA\n {tail}", ends))
    assert form.ask is Ask.CONNECT, why
    assert form.kubelet is kubelet, why


@pytest.mark.parametrize("script", ["> S", "> S\n < RA", "> S\n < SA\n +1s < SA seq=0"])
def test_nothing_asked(script) -> None:
    """Never connected, so nothing could be asked: a kubelet might have been."""
    assert form_of(exchange(script)) == Form(Ask.NOTHING, 8080, kubelet=True)


@pytest.mark.parametrize("tail", ["", " < SA\n > A\n > FA\n < FA\n > A"])
def test_a_dial_from_before_the_capture(tail) -> None:
    """A first pause of more than a second between SYNs shows that earlier ones are missing: a dead dial, no attempt of this capture (RFC 6298)."""
    stale = form_of(exchange(f"> S\n +4s > S seq=0\n{tail}"))
    assert stale.stale
    assert not stale.kubelet
    assert not form_of(exchange(f"> S\n +1030ms > S seq=0\n +1030ms > S seq=0\n{tail}")).stale


def test_midstream_says_nothing() -> None:
    """A connection caught in the middle is no kubelet's: a probe is short."""
    assert not form_of(exchange("< PA 'x' seq=1\n > A\n > FA\n < FA\n > A")).kubelet


@pytest.mark.parametrize("said", ["*1\\r\\n$4\\r\\nPING\\r\\n", "EHLO localhost\\r\\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\\r\\n"])
def test_other_bytes(said) -> None:
    """Whoever speaks first in another protocol is no kubelet."""
    form = form_of(exchange(f"{OPENED} > PA '{said}'\n < A\n {CLOSED}"))
    assert form.ask is Ask.OTHER
    assert not form.kubelet


# TLS and gRPC.


@pytest.mark.parametrize(("alpn", "ack", "kubelet"), [(("h2", "http/1.1"), True, True), ((), True, True), (("h2",), True, False), (("http/1.1",), True, False),
                                                     (("h2", "http/1.1"), False, False)])
def test_tls(alpn, ack, kubelet) -> None:
    """A kubelet offers h2 and http/1.1 (or nothing, with DISABLE_HTTP2) after a bare ACK; HAProxy's hello comes in the third packet."""
    script = f"> S\n < SA\n {'> A' if ack else ''}\n > PA '\\x16\\x03\\x01'\n < A\n {CLOSED}"
    form = form_of(exchange(script, tls=TlsFacts(client_hello=mark(0), alpn=alpn), http=()))
    assert (form.ask, form.kubelet, form.path) == (Ask.TLS, kubelet, None)


def test_decrypted_tls() -> None:
    """With keys the request inside counts, and it is still a TLS form."""
    one = attempt(0)
    form = form_of(exchange(f"{OPENED} > PA {request()}\n < PA {answer()}\n {CLOSED}", tls=TlsFacts(client_hello=mark(0)), decrypted=True))
    assert (form.ask, form.path, form.version, form.kubelet) == (Ask.TLS, "/ready", "1.36", True)
    assert form_of(one).ask is Ask.HTTP


@pytest.mark.parametrize(("agent", "kubelet"), [("kube-probe/1.36", True), ("curl/8.5.0", False)])
def test_http2_inside_tls_is_an_https_probe(agent: str, kubelet: bool) -> None:
    """Go speaks HTTP/2 where the server does: a kubelet's httpGet probe, and no gRPC; others are told by their name alone."""
    http = HttpExchange(
        method="GET", target="/ready", version="HTTP/2", headers=(("user-agent", agent), ("accept", "*/*")), request_start=mark(0), request_end=mark(0)
    )
    facts = {"tls": TlsFacts(client_hello=mark(0)), "grpc": GrpcFacts(preface=mark(0), path="/ready", user_agent=agent)}
    form = form_of(exchange(f"{OPENED} > PA 'x'\n {CLOSED}", http=(http,), requests=1, decrypted=True, **facts))
    assert (form.ask, form.method, form.path, form.kubelet) == (Ask.TLS, "GET", "/ready", kubelet)
    assert form.version == ("1.36" if kubelet else "")


@pytest.mark.parametrize(("agent", "kubelet", "version"), [
    ("kube-probe/1.36 grpc-go/1.81.1", True, "1.36"), ("kube-probe/1.32+ grpc-go/1.67.1", True, "1.32"), ("", True, ""), ("grpc-go/1.81.1", False, ""),
    ("envoy-health-checker", False, ""), ("kube-probe/1.36", False, ""),
])
def test_grpc(agent, kubelet, version) -> None:
    """The kubelet's gRPC agent names it; a preface alone (no settings ever came) names nobody and excludes nobody."""
    grpc = GrpcFacts(preface=mark(0), path="/grpc.health.v1.Health/Check" if agent else "", user_agent=agent, service="live" if agent else None)
    form = form_of(exchange(f"{OPENED} > PA 'x'\n {CLOSED}", grpc=grpc, http=()))
    assert form.ask is Ask.GRPC
    assert (form.kubelet, form.version) == (kubelet, version)
    assert form.service == ("live" if agent else None)


@given(st.text(max_size=30))
def test_agents_are_exact(text) -> None:
    """No text around a version makes a kubelet."""
    assert not KUBE_PROBE.match("x" + text)
    if not text.startswith("+") and not text[:1].isdecimal():
        assert not KUBE_PROBE.match(f"kube-probe/1.36{text}") or text in ("", "\n")
    assert not KUBE_PROBE_GRPC.match("grpc-go/" + text)


@given(st.lists(st.sampled_from(["> S", "< SA", "> A", "> PA 'GET / HTTP/1.1'", "> PA '\\x16\\x03\\x01\\x00\\x05\\x01'", "< PA 'x'", "> FA", "< FA", "> RA", "< RA"]),
                min_size=1, max_size=9))
def test_any_connection_has_a_form(lines) -> None:
    """Whatever order packets come in, there is a form, on the port of the server."""
    for one in track(conversation(V4, "\n".join(lines), start=S)):
        form = form_of(read_exchange(one))
        assert form.port == one.server_port
        assert form.kubelet in (True, False)
        if form.version:
            assert form.kubelet


def test_no_headers_are_no_kubelets() -> None:
    """A request without headers is nobody's."""
    one = exchange(f"{OPENED} > PA 'GET / HTTP/1.1\\r\\n\\r\\n'\n < PA {answer()}\n {CLOSED}")
    assert not kubelet_headers(one.http[0])
