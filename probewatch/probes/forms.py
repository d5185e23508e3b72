"""The form of one check: what a connection asked, and whether a kubelet asks like that.

The kubelet's request is fixed by Go's transport and pkg/probe/http/request.go: `Host`, then `User-Agent` (unless the
Pod spec removes it), then all other headers sorted by name, `Connection: close` last; GET, HTTP/1.1, one request for
each connection. A tcpSocket probe says nothing and sends FIN after a bare ACK; HAProxy's checks send no third handshake
ACK and end with RST. So form alone excludes much, and proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.direct import direct
from probewatch.model.exchange import Exchange, GrpcFacts, HttpExchange, TlsFacts
from probewatch.model.frame import Mark
from probewatch.model.units import MS

KUBE_PROBE: Final = re.compile(r"^kube-probe/(\d{1,4}\.\d{1,4})\+?$")
"""User-Agent of httpGet probes (1.8 and newer); the slash form `kube-probe/1/36` is Knative's and no kubelet's."""
KUBE_PROBE_GRPC: Final = re.compile(r"^kube-probe/(\d{1,4}\.\d{1,4})\+? grpc-go/")


class Ask(StrEnum):
    """What the client did with its connection."""

    HTTP = "http"
    TLS = "tls"
    GRPC = "grpc"
    """HTTP/2 in clear with prior knowledge."""
    CONNECT = "connect"
    """Connected, said nothing, closed."""
    NOTHING = "nothing"
    """Never connected, so nothing could be asked; or connected, and nothing came of it."""
    UNSEEN = "unseen"
    """Asked something of which the capture has no byte."""
    OTHER = "other"
    """Other bytes first."""
    EXEC = "exec"
    """Nothing on the wire: a command run inside the container."""


@direct
@dataclass(frozen=True, slots=True)
class Form:
    """What one connection asked of whom."""

    ask: Ask
    port: int
    method: str = ""
    path: str | None = None
    service: str | None = None
    user_agent: str = ""
    host: str = ""
    kubelet: bool = False
    """A kubelet may ask like this."""
    version: str = ""
    """Kubelet version its User-Agent claims, only together with the kubelet's header order."""
    requests: int = 0
    cut: bool = False
    """The capture cut its header: what is not in it may have been sent."""
    partial: bool = False
    """The capture cut its request line: the path may go on."""
    stale: bool = False
    """Its first SYN in the capture is no first SYN: the dial began before, and so did the attempt it belongs to."""
    unacked: bool = False
    """It is as a kubelet's but for the handshake's last ACK: that is missing from the capture, or never was (HAProxy sends none)."""


FIRST_RETRY_NS: Final = 1_300 * MS
"""The kernel sends a SYN again after one second (RFC 6298 section 2.1); a longer first pause means that earlier SYNs are missing."""


def form_of(exchange: Exchange) -> Form:
    """Describe a connection: by what it said, where it said something; else by how it was closed."""
    connection = exchange.connection
    inside = exchange.decrypted and bool(
        exchange.http
    )  # (HTTP/2 inside TLS: an HTTPS probe's, if the server speaks it)
    if exchange.grpc is not None and exchange.grpc.preface is not None and not inside:
        return _grpc(exchange, exchange.grpc)
    if exchange.http:
        return _http(exchange, exchange.http[0])
    if connection.midstream:
        # The rest of something that began before the capture: what it asked, and when, was not seen.
        return Form(Ask.OTHER, connection.server_port, stale=True)
    if exchange.tls is not None:
        return _tls(connection, exchange.tls)
    if connection.asked_unseen:
        return Form(Ask.UNSEEN, connection.server_port, kubelet=True)
    if connection.orig.length or exchange.opening:
        return Form(Ask.OTHER, connection.server_port)
    return _silent(connection)


def _grpc(exchange: Exchange, grpc: GrpcFacts) -> Form:
    """Describe HTTP/2 in clear. Before the server's settings grpc-go sends no request: an unanswered preface names nobody."""
    agent = KUBE_PROBE_GRPC.match(grpc.user_agent)
    return Form(
        Ask.GRPC,
        exchange.connection.server_port,
        "POST",
        grpc.path or None,
        grpc.service,
        grpc.user_agent,
        kubelet=agent is not None or not grpc.user_agent,
        version=agent[1] if agent else "",
        requests=exchange.requests,
    )


def _http(exchange: Exchange, http: HttpExchange) -> Form:
    """Describe an HTTP request by its first header."""
    connection = exchange.connection
    # Where even the server's SYN is missing, this may be an old request sent again.
    stale = connection.midstream and not connection.resp.syns
    fits = kubelet_headers(http) and exchange.requests <= 1 and not stale
    agent = http.header("User-Agent") or ""
    claimed = KUBE_PROBE.match(agent)
    headless = http.lost or not http.method
    return Form(
        Ask.TLS if exchange.tls is not None and exchange.decrypted else Ask.HTTP,
        connection.server_port,
        http.method,
        http.target or None,  # (of a request that was not captured nothing is known)
        None,
        agent,
        http.header("Host") or "",
        kubelet=fits,
        version=claimed[1] if claimed and fits else "",
        requests=exchange.requests,
        cut=http.request_end is None and headless,
        partial=not http.version and headless,
        stale=stale,
    )


def _tls(connection: Connection, tls: TlsFacts) -> Form:
    """Describe a TLS handshake: the kubelet's offers HTTP/2 and HTTP/1.1, or nothing."""
    fits = not tls.alpn or tls.alpn == ("h2", "http/1.1")
    return Form(Ask.TLS, connection.server_port, host=tls.sni, kubelet=fits and _acked(connection), requests=0)


def _silent(connection: Connection) -> Form:
    """Describe a connection in which its client said nothing: how it was closed tells whether it was meant so."""
    port, orig, resp = connection.server_port, connection.orig, connection.resp
    stale = _stale(orig.syns)
    # A RST without ACK is the kernel's, for a socket that its checker has closed: that one never heard of the answer.
    connected = resp.syns and (orig.first_ack is not None or (orig.rst is not None and orig.rst_acks))
    if not connected:
        return Form(Ask.NOTHING, port, kubelet=not stale, stale=stale)
    if stale:
        return Form(Ask.CONNECT, port, stale=True)
    if orig.fin is None and orig.rst is None and resp.fin is None and resp.rst is None:
        # Connected, and neither asked nor closed so far: what it wanted is not known (yet).
        return Form(Ask.NOTHING, port, kubelet=connection.bare_ack)
    acked, banner = _acked(connection), resp.length > 0
    closes_like_go = orig.fin is not None or orig.rst is None or banner or resp.rst is not None
    unacked = not acked and orig.fin is not None and orig.rst is None
    return Form(Ask.CONNECT, port, kubelet=acked and closes_like_go, unacked=unacked)


def _acked(connection: Connection) -> bool:
    """Tell whether the handshake's last ACK was sent, or nothing can show it: the capture has none at all."""
    return connection.bare_ack or connection.acks_unseen


def _stale(syns: tuple[Mark, ...]) -> bool:
    return len(syns) > 1 and syns[1].ns - syns[0].ns > FIRST_RETRY_NS


def kubelet_headers(http: HttpExchange) -> bool:
    """Tell whether the request line and header order are the kubelet's (newProbeRequest, net/http Request.write).

    Of a request that a snapshot length cut, what is left has to be; one that is missing altogether may have been anything.
    """
    if not http.method:
        return True
    cut = http.request_end is None and http.lost
    if http.method != "GET" or http.version not in ("HTTP/1.1", "HTTP/2"):
        return cut and http.method == "GET" and not http.version
    if http.version == "HTTP/2":
        # Go sends headers in any order there: nothing but the name tells it from others.
        agent = http.header("User-Agent") or ""
        return not agent or KUBE_PROBE.match(agent) is not None
    names = [name for name, _ in http.headers]
    if names and names[-1] == "Connection" and http.headers[-1][1].lower() == "close":
        del names[-1]
    elif not cut:
        return False
    if names and names[-1] == "Accept-Encoding":
        del names[-1]  # Up to 1.19 the transport adds it behind all others.
    if not names:
        return cut
    if names[0] != "Host":
        return False
    middle = names[1:]
    if middle and middle[0] == "User-Agent":
        middle = middle[1:]
    return "User-Agent" not in middle and middle == sorted(middle)
