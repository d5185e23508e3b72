"""What the connections of a checker have in common: how they ask and how they close.

Connections that ask the same make one `Shape`; the shares that a whole series of them shows (no bare third ACK) are its
`Manner`. `probes.signatures` names checkers by both.

Limitations: what was refused, unanswered, or closed before it could ask has no shape, nor has what the capture lost.
Of bytes in a protocol that is not read only the opening counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.units import MS

from .forms import Ask, form_of
from .replies import DNS, says_agent

IDLE_NS: Final = 400 * MS
"""A connection that said nothing and stayed open this long was waiting for the server to speak: no plain connect check does that."""
OPENING: Final = 12
"""Bytes of an opening that tell one protocol check from another."""
DNS_HEAD: Final = 14
"""Length prefix and header of a DNS message over TCP (RFC 1035 4.2.2)."""
AGENT: Final = b"agent-check"
"""The opening of a check whose server answers as HAProxy's agent-check wants it: the server speaks, the checker only listens."""
DNS_QUERY: Final = b"\x00\x01" + bytes(4)
"""One question, no answer, no authority."""


class What(StrEnum):
    """What a connection did, coarser than `Ask` where that hides nothing and finer where a close tells checkers apart."""

    HTTP = "http"
    TLS = "tls"
    GRPC = "grpc"
    BYTES = "bytes"
    RESET = "connect, then reset"
    CLOSE = "connect, then close"


class Shape(NamedTuple):
    """What the connections of one series have in common. Equal shapes may still be several checkers."""

    what: What
    method: str = ""
    target: str = ""
    version: str = ""
    names: tuple[str, ...] = ()
    """Header names in order, spelled as sent."""
    agent: str = ""
    host: str = ""
    opening: bytes = b""
    acked: bool = True
    """Of BYTES only: whether the third handshake ACK came by itself."""
    cut: bool = False
    """The capture cut its header: what is not among the names may have been sent."""


class Manner(NamedTuple):
    """What a whole series shows beside its shape."""

    connected: int
    unacked: float
    """Share of the connected ones without a bare third ACK (HAProxy 100 % on clean paths, everybody else 0 %)."""
    client: str
    port: int = 0
    said: bytes = b""
    """The most that one of them said in a protocol that is not read, as far as it is kept."""


def late_reset(connection: Connection) -> bool:
    """Tell whether the only answer to a SYN-ACK was the kernel's RST without ACK: the checker had closed its socket before it came."""
    if connection.question > 1:
        return False
    orig = connection.orig
    silent = not connection.bare_ack and orig.length == 0 and orig.fin is None
    return bool(connection.resp.syns) and silent and orig.rst is not None and not orig.rst_acks


def shape_of(exchange: Exchange) -> Shape | None:
    """Return what this connection shows of its checker; None where it shows nothing (refused, unanswered, closed before it could ask)."""
    connection = exchange.connection
    orig = connection.orig
    if connection.midstream or not orig.packets or late_reset(connection) or connection.question_lost:
        return None
    form = form_of(exchange)
    if form.ask is Ask.HTTP or (form.ask is Ask.TLS and exchange.http):
        http = exchange.http[0]
        return Shape(
            What.HTTP if form.ask is Ask.HTTP else What.TLS,
            http.method,
            http.target,
            http.version,
            tuple(name for name, _ in http.headers),
            form.user_agent,
            form.host,
            cut=form.cut,
        )
    if form.ask is Ask.TLS:
        alpn = exchange.tls.alpn if exchange.tls is not None else ()
        return Shape(What.TLS, names=alpn, host=form.host, acked=connection.bare_ack)
    if form.ask is Ask.GRPC and exchange.http:
        http = exchange.http[0]  # HTTP/2, and no gRPC
        names = tuple(name for name, _ in http.headers)
        return Shape(What.HTTP, http.method, http.target, http.version, names, http.header("User-Agent") or "")
    if form.ask is Ask.GRPC:
        return Shape(What.GRPC, target=form.path or "", agent=form.user_agent, opening=(form.service or "").encode())
    if form.ask is Ask.OTHER:
        return Shape(What.BYTES, opening=_opening(exchange)[:OPENING], acked=connection.bare_ack)
    if form.ask is not Ask.CONNECT:
        return None
    closed = orig.closed
    if closed is None or closed.ns - connection.start.ns >= IDLE_NS:
        return None
    if orig.fin is None and (not connection.resp.length or not connection.bare_ack):
        return Shape(What.RESET)
    return Shape(What.CLOSE, opening=AGENT if says_agent(connection.resp.data) else b"")


def _opening(exchange: Exchange) -> bytes:
    """Return what a client said before it was answered; of a DNS query over TCP without what differs in each (length, id)."""
    said = exchange.opening
    orig, resp = exchange.connection.orig, exchange.connection.resp
    asked = orig.first_data
    reply = next((arrival.mark for arrival in resp.arrivals if asked is not None and arrival.mark > asked), None)
    if reply is not None:
        said = said[: max((arrival.length for arrival in orig.arrivals if arrival.mark < reply), default=0)]
    if (
        len(said) > DNS_HEAD
        and int.from_bytes(said[:2], "big") + 2 == exchange.connection.orig.length
        and said[6:12] == DNS_QUERY
        and not said[4] & 0xF8
    ):
        return DNS + said[DNS_HEAD:]
    return said


def manner_of(exchanges: Sequence[Exchange], *, acks: bool = True) -> Manner:
    """Sum up a series of one shape; where the capture has no `acks` at all, a missing one is nobody's manner."""
    both = [e.connection for e in exchanges if e.connection.orig.packets and e.connection.resp.syns]
    connected = [c for c in both if not late_reset(c)]
    unacked = sum(not c.bare_ack for c in connected)
    return Manner(
        len(connected),
        unacked / len(connected) if connected and acks else 0.0,
        exchanges[0].connection.client if exchanges else "",
        exchanges[0].connection.server_port if exchanges else 0,
        max((e.opening for e in exchanges), key=len, default=b""),
    )
