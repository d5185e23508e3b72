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

from probewatch.model.direct import direct
from probewatch.model.exchange import Exchange, HttpExchange
from probewatch.model.frame import Mark

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


FIRST_RETRY_NS: Final = 1_300_000_000
"""The kernel sends a SYN again after one second (RFC 6298 section 2.1); a longer first pause means that earlier SYNs are missing."""


def form_of(exchange: Exchange) -> Form:
    """Describe a connection."""
    connection = exchange.connection
    port = connection.server_port
    orig, resp = connection.orig, connection.resp
    inside = (
        bool(exchange.http) and exchange.decrypted
    )  # (HTTP/2 inside TLS: an HTTPS probe's, where the server speaks it)
    if exchange.grpc is not None and exchange.grpc.preface is not None and not inside:
        grpc = exchange.grpc
        agent = KUBE_PROBE_GRPC.match(grpc.user_agent)
        # Before the server's settings grpc-go sends no request, so an unanswered preface names nobody.
        silent = not grpc.user_agent
        return Form(
            Ask.GRPC,
            port,
            "POST",
            grpc.path or None,
            grpc.service,
            grpc.user_agent,
            kubelet=agent is not None or silent,
            version=agent[1] if agent else "",
            requests=exchange.requests,
        )
    if exchange.http:
        http = exchange.http[0]
        # Where even the server's SYN is missing, this may be an old request sent again.
        stale = connection.midstream and not connection.resp.syns
        fits = kubelet_headers(http) and exchange.requests <= 1 and not stale
        claimed = KUBE_PROBE.match(http.header("User-Agent") or "")
        ask = Ask.TLS if exchange.tls is not None and exchange.decrypted else Ask.HTTP
        return Form(
            ask,
            port,
            http.method,
            http.target or None,  # (of a request that was not captured nothing is known)
            None,
            http.header("User-Agent") or "",
            http.header("Host") or "",
            kubelet=fits,
            version=claimed[1] if claimed and fits else "",
            requests=exchange.requests,
            cut=http.request_end is None and (http.lost or not http.method),
            partial=not http.version and (http.lost or not http.method),
            stale=stale,
        )
    if connection.midstream:
        # The rest of something that began before the capture: what it asked, and when, was not seen.
        return Form(Ask.OTHER, port, stale=True)
    acked = connection.bare_ack or connection.acks_unseen
    if exchange.tls is not None:
        alpn = exchange.tls.alpn
        return Form(
            Ask.TLS,
            port,
            host=exchange.tls.sni,
            kubelet=(not alpn or alpn == ("h2", "http/1.1")) and acked,
            requests=0,
        )
    if connection.asked_unseen:
        return Form(Ask.UNSEEN, port, kubelet=True)
    if orig.length or exchange.opening:
        return Form(Ask.OTHER, port)
    # A RST without ACK is the kernel's, for a socket that its checker has closed: that one never heard of the answer.
    if resp.syns and (orig.first_ack is not None or (orig.rst is not None and orig.rst_acks)):
        banner = resp.length > 0
        if _stale(orig.syns):
            return Form(Ask.CONNECT, port, stale=True)
        if orig.fin is None and orig.rst is None and resp.fin is None and resp.rst is None:
            # Connected, and neither asked nor closed so far: what it wanted is not known (yet).
            return Form(Ask.NOTHING, port, kubelet=connection.bare_ack)
        closes_like_go = acked and (orig.fin is not None or orig.rst is None or banner or resp.rst is not None)
        unacked = not acked and orig.fin is not None and orig.rst is None
        return Form(Ask.CONNECT, port, kubelet=closes_like_go, unacked=unacked)
    stale = _stale(orig.syns)
    return Form(Ask.NOTHING, port, kubelet=not connection.midstream and not stale, stale=stale)


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
