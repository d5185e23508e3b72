"""What the connections of a checker have in common: how they ask and how they close.

Connections that ask the same make one `Shape`; the shares that a whole series of them shows (no bare third ACK) are its
`Manner`. `probes.signatures` names checkers by both.

Limitations: what was refused, unanswered, or closed before it could ask has no shape. Of bytes in a protocol that is not
read only the opening counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange

from .forms import Ask, form_of

IDLE_NS: Final = 400_000_000
"""A connection that said nothing and stayed open this long was waiting for the server to speak: no plain connect check does that."""
OPENING: Final = 12
"""Bytes of an opening that tell one protocol check from another."""
DNS_HEAD: Final = 14
"""Length prefix and header of a DNS message over TCP (RFC 1035 4.2.2)."""
DNS: Final = b"DNS"
"""How the opening of a check begins that asks a DNS server over TCP: what follows is its question."""
AGENT: Final = b"agent-check"
"""The opening of a check whose server answers as HAProxy's agent-check wants it: the server speaks, the checker only listens."""
_AGENT_SAYS: Final = re.compile(
    rb"(?:(?:\d{1,3}%|maxconn:\d{1,9}|ready|drain|maint|up|(?:down|stopped|fail)(?: *#[^\r\n]*)?)(?:[ ,\t]+|(?=[\r\n\0]|$)))+[\r\n\0]*"
)
"""HAProxy configuration manual 5.2, agent-check: words, commas or blanks between them, one line."""
LONGEST_WORD: Final = 200
"""Bytes of an agent's answer that are read."""
DNS_SERVFAIL: Final = 2
"""RCODE that no checker takes for an answer (RFC 1035 4.1.1)."""
_REPLY_NO: Final = re.compile(rb"^[45]\d\d[ -][^\r\n]{0,60}", re.MULTILINE)
"""A reply that says no: SMTP, NNTP, FTP (RFC 5321 4.2.1)."""
_REDIS_NO: Final = re.compile(rb"\A-[^\r\n]{0,60}")
_NO: Final = (
    (b"HELO ", _REPLY_NO),
    (b"EHLO ", _REPLY_NO),
    (b"PING", _REDIS_NO),
    (b"*1\r\n$4\r\nPING", _REDIS_NO),
)
"""(what was asked, how an answer to it says no)."""
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


class Manner(NamedTuple):
    """What a whole series shows beside its shape."""

    connected: int
    unacked: float
    """Share of the connected ones without a bare third ACK (HAProxy 100 % on clean paths, everybody else 0 %)."""
    client: str
    port: int = 0


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
    if connection.midstream or late_reset(connection):
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


def says_agent(said: bytes) -> bool:
    """Tell whether a server answers in the words of HAProxy's agent-check."""
    return 0 < len(said) <= LONGEST_WORD and _AGENT_SAYS.fullmatch(said.lower()) is not None


def turned_away(exchange: Exchange) -> bool:
    """Tell whether a server that speaks first said no, so that its checker left without a word."""
    connection = exchange.connection
    return connection.orig.length == 0 and _REPLY_NO.match(connection.resp.data) is not None


def refusal(opening: bytes, said: bytes) -> str:
    """Return by what words a server's answer in a protocol of its own says no; empty where it does not, or where nobody knows."""
    if opening.startswith(DNS):
        failed = len(said) > 5 and said[5] & 0xF == DNS_SERVFAIL
        return "the DNS answer is SERVFAIL" if failed else ""
    pattern = next((pattern for begins, pattern in _NO if opening.startswith(begins)), None)
    found = pattern.search(said) if pattern is not None else None
    return f"the server says {found[0].decode('ascii', 'replace')}" if found is not None else ""


def _opening(exchange: Exchange) -> bytes:
    """Return a client's first bytes; a DNS query over TCP without what differs in each (length, id)."""
    said = exchange.opening
    if (
        len(said) > DNS_HEAD
        and int.from_bytes(said[:2], "big") + 2 == exchange.connection.orig.length
        and said[6:12] == DNS_QUERY
        and not said[4] & 0xF8
    ):
        return DNS + said[DNS_HEAD:]
    return said


def manner_of(exchanges: Sequence[Exchange]) -> Manner:
    """Sum up a series of one shape."""
    connected = [e.connection for e in exchanges if e.connection.resp.syns and not late_reset(e.connection)]
    unacked = sum(not c.bare_ack for c in connected)
    return Manner(
        len(connected),
        unacked / len(connected) if connected else 0.0,
        exchanges[0].connection.client if exchanges else "",
        exchanges[0].connection.server_port if exchanges else 0,
    )
