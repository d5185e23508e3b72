"""Checks on a kept connection: each question and its answer as a connection of its own, for all who read checks.

Theory of operation. Envoy asks the same again and again on one connection (`reuse_connection`, its default), as any
checker does whose HTTP client keeps its connections. For whoever counts checks each such question is one. So a
connection whose client says in its User-Agent which checker it is falls into its questions: the first begins with the
SYN, a later one with the first byte that was asked; each ends with its answer, and only the last one, where it got
none, with whatever ended the connection.

Traefik and Caddy say nothing of themselves: any connection on which the same is asked each time, calmly, falls apart too,
and its pace decides whether that was a check or a client (`observer.survey`).

Limitations: a question that another one overtook (HTTP/1 pipelining) is not known to any checker. Of a connection on which more
is said than is followed (`Connection.read_until`) the later questions are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from probewatch.model.connection import Arrival, Connection
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.units import MS, SECOND

from .signatures import METHODS, SCRAPES, named_agent

KEPT_QUESTIONS: Final = 256
"""Questions read of one connection, or of one piece of it (`wire.table.Table.part`)."""

SWAPPED_NS: Final = MS
"""By so much frames of both directions may stand in the wrong order, where several queues captured them."""
CALM_NS: Final = SECOND // 2
"""Whoever says not that it checks, and asks oftener than this, is a client."""


def keeps_asking(exchange: Exchange) -> bool:
    """Tell whether a checker that says who it is keeps this connection, as far as it goes."""
    if exchange.requests == 0 or (exchange.requests == 1 and not exchange.connection.midstream and _fresh(exchange)):
        return False
    if exchange.http and exchange.http[0].lost:
        return False  # (of what is cut no question is seen to end)
    agent = agent_of(exchange)
    return not agent.startswith(SCRAPES) and (named_agent(agent) is not None or _calm(exchange))


def _fresh(exchange: Exchange) -> bool:
    """Tell whether a connection's one question is all of it, as who asks `Connection: close` says, or has no answer yet."""
    if ended(exchange.connection):
        return True
    if exchange.http:
        http = exchange.http[0]
        return http.status is None or (http.header("Connection") or "").lower() == "close"
    return exchange.grpc is None or exchange.grpc.answer_end is None


def _calm(exchange: Exchange) -> bool:
    """Tell whether the requests read so far are one question, asked no more often than a checker would."""
    if not exchange.http:
        return False
    asked = {(http.method, http.target, http.headers) for http in exchange.http}
    # (Of a connection that is no longer followed frames go on, and its requests do not.)
    last = exchange.http[-1].request_start or exchange.connection.end
    calm = (len(exchange.http) - 1) * CALM_NS <= last.ns - exchange.connection.start.ns
    return calm and len(asked) == 1 and exchange.http[0].method in METHODS


def agent_of(exchange: Exchange) -> str:
    """Return the User-Agent of a connection's first request, empty where there is none."""
    if exchange.http:
        return exchange.http[0].header("User-Agent") or ""
    return exchange.grpc.user_agent if exchange.grpc is not None else ""


def ended(connection: Connection) -> bool:
    """Tell whether one side was seen to end it."""
    orig, resp = connection.orig, connection.resp
    return any(mark is not None for mark in (orig.fin, orig.rst, resp.fin, resp.rst))


def questions(exchange: Exchange, told: int = 0) -> list[Exchange]:
    """Return the questions after the first `told` that are answered, and one that never can be, where the connection ended."""
    out: list[Exchange] = []
    asked = list(_asked(exchange))
    over = ended(exchange.connection) or exchange.connection.final
    over = over or (exchange.connection.only_data and exchange.requests == 1 and _fresh(exchange))
    hung_up = exchange.connection.orig.closed
    for number, (one, begun, told_at, done) in enumerate(asked, 1):
        if told_at is not None and told_at.ns < begun.ns - SWAPPED_NS:
            break  # answered before it was asked: who answers what is not known from here on
        if number <= told:
            continue
        if done is not None and hung_up is not None and (hung_up < done or (number == len(asked) and _gone(exchange))):
            done = None  # it came too late
        if done is None and number == len(asked) and (not over or exchange.connection.read_until is not None):
            break  # (what was passed over may have been its answer)
        last = done is None and number == len(asked)
        out.append(replace(one, connection=part(exchange.connection, number, begun, told_at, done, last=last)))
    return out


def _gone(exchange: Exchange) -> bool:
    """Tell whether a client had closed before the latest answer came: its kernel sent the RST then, and acknowledged nothing."""
    orig = exchange.connection.orig
    return orig.rst is not None and not orig.rst_acks


def _asked(exchange: Exchange) -> Iterator[tuple[Exchange, Mark, Mark | None, Mark | None]]:
    """Yield each question as an exchange, with its first byte and the answer's first and last."""
    gone = _gone(exchange)
    for http in exchange.http:
        if http.request_start is not None:
            done = http.body_end
            if done is None and not http.body_error and not gone:
                done = http.header_end
            yield (
                replace(exchange, http=(http,), requests=1, grpc=None, calls=()),
                http.request_start,
                http.first_byte,
                done,
            )
    for call in exchange.calls:
        if call.request_start is not None:
            yield (
                replace(exchange, requests=1, grpc=call, calls=()),
                call.request_start,
                call.answer_end,
                call.answer_end,
            )


def part(c: Connection, number: int, begun: Mark, told: Mark | None, done: Mark | None, *, last: bool) -> Connection:
    """Return what of a connection belongs to its n-th question."""
    if c.midstream:
        number += 1  # the first one was not seen
    start = c.start if number == 1 else begun
    orig = replace(c.orig, arrivals=(Arrival(1, begun),), data=b"")
    resp = replace(c.resp, arrivals=(Arrival(1, told),) if told is not None else (), data=b"")
    if told is None:
        resp = replace(resp, length=0)
    if not last:
        orig = replace(orig, fin=None, fin_acked=None, rst=None)
        resp = replace(resp, fin=None, fin_acked=None, rst=None)
    done = max(done, start) if done is not None else None
    end = done if done is not None else max(c.end, start) if last else begun
    return replace(
        c,
        start=start,
        end=end,
        orig=orig,
        resp=resp,
        midstream=False,
        icmp=c.icmp if last else None,
        neighbour=c.neighbour if number == 1 else None,
        frames=((start.file, start.number, max(start.number, end.number)),),
        sightings=(),
        question=number,
        answered=done,
    )
