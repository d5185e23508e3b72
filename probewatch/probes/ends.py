"""When a checker was through with a connection, or with its question: by an answer, a close, or after waiting in vain."""

from __future__ import annotations

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange

from .checkers import Check
from .replies import WAITED_NS
from .shapes import late_reset, shape_of


def check_of(exchange: Exchange) -> Check:
    """Return a connection as the walk through a port's checks needs it."""
    c = exchange.connection
    patience = c.orig.syns[-1].ns - c.orig.syns[0].ns if c.orig.syns else 0
    return Check(c.start.ns, through(c), shape_of(exchange), failed(exchange), patience, gave_up(exchange))


def through(c: Connection) -> int | None:
    """Return when the checker was through with a connection, or with its question, as its frames show."""
    if c.answered is not None:
        return c.answered.ns
    if c.question > 1:
        if c.orig.rst is not None and not c.orig.rst_acks and c.orig.fin is None:
            return None  # its kernel's RST, to an answer that came when it had closed
        closes = [mark.ns for mark in (c.orig.fin, c.orig.rst, c.resp.fin, c.resp.rst) if mark is not None]
        return min(closes) if closes else None
    if not c.resp.syns:
        return c.resp.rst.ns if c.resp.rst is not None and c.icmp is None else None
    if late_reset(c) or (c.orig.first_ack is None and c.orig.rst is None):
        return None
    closed = c.orig.closed or c.resp.closed
    return closed.ns if closed is not None else None


def failed(exchange: Exchange) -> bool:
    """Tell whether a check failed for every checker, before it is known whose it is."""
    c = exchange.connection
    if c.question < 2 and (not c.resp.syns or late_reset(c)):
        return True
    if exchange.http:
        status = exchange.http[0].status
        return status is None or status >= 400
    return c.orig.length > 0 and c.resp.length == 0


def gave_up(exchange: Exchange) -> int | None:
    """Return how long a checker waited on an open connection before it hung up unanswered; None where it was answered."""
    c = exchange.connection
    closed = c.orig.closed
    if (c.question < 2 and (not c.resp.syns or late_reset(c))) or closed is None:
        return None
    answered = exchange.tls.established if exchange.tls is not None and not exchange.tls.records else c.resp.first_data
    if exchange.tls is not None and exchange.http:  # (decrypted: the server's first bytes are its handshake)
        answered = exchange.http[0].first_byte
    elif exchange.grpc is not None:  # (HTTP/2: the server's first bytes are settings)
        answered = exchange.http[0].first_byte if exchange.http else exchange.grpc.answer_end
    if exchange.grpc is not None and exchange.grpc.cancelled is not None and exchange.connection.question < 2:
        closed = min(closed, exchange.grpc.cancelled)  # (the call; its connection is closed in its own time)
    waited = closed.ns - c.start.ns
    if c.resp.syns and closed.ns - c.resp.syns[0].ns < WAITED_NS:
        return None  # (it waited for that, and left at once)
    return waited if waited >= WAITED_NS and (answered is None or answered.ns > closed.ns) else None
