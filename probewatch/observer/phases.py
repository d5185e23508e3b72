"""The phases of a connection: what it waited for, and for how long."""

from __future__ import annotations

from dataclasses import replace

from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.ladder import Phase, PhaseKind, Rail
from probewatch.model.spec import Handler
from probewatch.model.timeline import Attempt, Outcome


def phases(exchange: Exchange, handler: Handler, attempt: Attempt, deadline_ns: int | None) -> tuple[Phase, ...]:
    """Return the phases of one connection, each beginning where the one before ended.

    A phase whose end never came ends at the checker's verdict, or with the connection where that ended before.
    """
    connection = exchange.connection
    given_up = [
        mark.ns for mark in (connection.orig.fin, connection.orig.rst, connection.resp.rst, connection.resp.fin) if mark
    ]
    if (
        connection.icmp is not None
        and (ended := connection.icmp.ended(connection.orig.syns, attempt.end_ns)) is not None
    ):
        given_up.append(ended.ns)
    if connection.start.ns <= attempt.end_ns <= connection.end.ns:
        given_up.append(attempt.end_ns)
    silence = (
        deadline_ns if attempt.end_mark is None and deadline_ns is not None else max(attempt.end_ns, connection.end.ns)
    )
    over = min([ns for ns in given_up if ns >= connection.start.ns] or [silence])
    found: list[Phase] = []
    at = connection.start.ns
    for kind, end in _ends(exchange, handler, good=attempt.outcome is Outcome.SUCCESS):
        if end is None:
            found.append(Phase(kind=kind, start_ns=at, end_ns=max(over, at), done=False))
            at = max(over, at)
            break
        found.append(Phase(kind=kind, start_ns=at, end_ns=max(end, at)))
        at = max(end, at)
    if connection.end.ns > at and (
        connection.orig.fin or connection.resp.fin or connection.orig.rst or connection.resp.rst
    ):
        found.append(Phase(kind=PhaseKind.CLOSE, start_ns=at, end_ns=connection.end.ns))
    return tuple(found)


def resolving(rails: list[Rail], attempt: Attempt) -> list[Rail]:
    """Put the wait for the target's link-layer address before the first connection's phases, where there was one."""
    if not rails or attempt.start.ns >= rails[0].start_ns:
        return rails
    first = Phase(kind=PhaseKind.RESOLVE, start_ns=attempt.start.ns, end_ns=rails[0].start_ns)
    return [replace(rails[0], phases=(first, *rails[0].phases)), *rails[1:]]


def tls_words(exchange: Exchange) -> str:
    """Return what TLS agreed on, `TLS 1.3, ALPN h2`; empty without TLS."""
    facts = exchange.tls
    if facts is None or not facts.version:
        return ""
    return facts.version + (f", ALPN {facts.chosen_alpn}" if facts.chosen_alpn else "")


def _ends(exchange: Exchange, handler: Handler, *, good: bool) -> list[tuple[PhaseKind, int | None]]:
    """Return what the connection waits for, in order, and when that came (None: never).

    An answer to the SYN that the client never took note of connects nothing, unless the attempt is `good` all the same.
    """
    connection, tls = exchange.connection, exchange.tls
    orig, resp = connection.orig, connection.resp
    found: list[tuple[PhaseKind, int | None]] = []
    if not connection.midstream:
        answers = [mark.ns for mark in resp.syns if orig.first_ack is None or mark <= orig.first_ack]
        taken = orig.first_ack is not None or orig.rst is not None or orig.fin is not None
        found.append((PhaseKind.CONNECT, answers[-1] if answers and (taken or good) else None))
        if found[-1][1] is None:
            return found
    if handler is Handler.TCP_SOCKET:
        return found
    if tls is not None and tls.client_hello is not None:
        found.append((PhaseKind.TLS, tls.established.ns if tls.established is not None else None))
        if tls.established is None:
            return found
    asked, first, end = _talk(exchange)
    if asked is None and tls is not None and tls.established is not None:
        later = [record.mark.ns for record in tls.records if record.mark > tls.established]
        return [*found, (PhaseKind.SEALED, later[-1] if later else None)]
    if asked is None:
        return [*found, (PhaseKind.WAIT if orig.length and tls is None else PhaseKind.REQUEST, None)]
    found.append((PhaseKind.REQUEST, asked))
    found.append((PhaseKind.WAIT, first))
    if first is not None and (end is not None or not exchange.http[:1] or not exchange.http[0].lost):
        found.append((PhaseKind.BODY, end))  # (where the capture cut it, its end may have been there)
    return found


def _talk(exchange: Exchange) -> tuple[int | None, int | None, int | None]:
    """Return when the request was whole, when the answer began and when it was whole."""
    if exchange.http:
        http = exchange.http[0]
        whole = http.request_end or (http.request_start if http.lost else None)  # (cut: it was whole on the wire)
        return _ns(whole), _ns(http.first_byte), _ns(http.body_end or http.read_enough)
    grpc = exchange.grpc
    if grpc is not None:
        asked = _ns(grpc.request_end)
        resp = exchange.connection.resp
        first = next((a.mark.ns for a in resp.arrivals if asked is not None and a.mark.ns > asked), None)
        return asked, _ns(grpc.answer_end) if first is None else first, _ns(grpc.answer_end)
    return None, None, None


def _ns(mark: Mark | None) -> int | None:
    return None if mark is None else mark.ns
