"""Whose was this connection? A timeline and the connections of one endpoint, as answers for people.

What an application logs of a probe is mostly about how it ended: a tcpSocket probe says nothing and closes, which a TLS
server calls a failed handshake, a gRPC server a missing preface, a database a failed login. The words of these logs are
the servers' own (crypto/tls, grpc-go, MySQL, PostgreSQL, rsyslog), as they stand in their users' questions.

Limitations: a connection that a capture does not hold has no answer; addresses behind a translation (a service's, a
load balancer's) are those of the side that was captured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from probewatch.model.answer import Answer
from probewatch.model.connection import Connection
from probewatch.model.spec import Handler
from probewatch.model.timeline import Attempt, Cause, Probe, Timeline
from probewatch.probes.patience import given_up

_Key = tuple[str, int, str, int, int]
_SILENT_LOGS = (
    "by a TLS server in Go: TLS handshake error from {client}: EOF",
    "by a gRPC server: failed to receive the preface from client: EOF",
)


def answers(timeline: Timeline, connections: Sequence[Connection], endpoint: tuple[str, int]) -> list[Answer]:
    """Return what the connections of an endpoint were: one answer each where it is the client, else one for each probe."""
    legs = {
        _key(leg.connection): (probe, attempt)
        for probe in timeline.probes
        for attempt in probe.attempts
        for leg in attempt.legs
    }
    own = [one for one in connections if (one.client, one.client_port) == endpoint]
    out = [_answer(timeline, [one], legs) for one in sorted(own, key=lambda one: one.start)]
    grouped: dict[object, list[Connection]] = {}
    for one in sorted(connections, key=lambda one: one.start):
        if (one.client, one.client_port) != endpoint:
            found = legs.get(_key(one))
            grouped.setdefault(id(found[0]) if found is not None else one.client, []).append(one)
    return out + [_answer(timeline, many, legs) for many in grouped.values()]


def _key(one: Connection) -> _Key:
    return one.client, one.client_port, one.server, one.server_port, one.start.ns


def _answer(timeline: Timeline, connections: Sequence[Connection], legs: dict[_Key, tuple[Probe, Attempt]]) -> Answer:
    found = [legs[_key(one)] for one in connections if _key(one) in legs]
    last = connections[-1]
    if found:
        probe = found[0][0]
        attempts = {attempt.n: attempt for _, attempt in found}
        conducts = [_conduct(probe, legs[_key(one)][1], one) for one in connections if _key(one) in legs]
        what = _together([each for each, _ in conducts])
        logged = next((texts for _, texts in reversed(conducts) if texts), ())
        return Answer(
            connections=tuple(connections), probe=probe, attempts=tuple(attempts.values()), what=what, logged=logged
        )
    other = next(
        (
            one
            for one in timeline.others
            if (one.address, one.target_address, one.target_port) == (last.client, last.server, last.server_port)
        ),
        None,
    )
    return Answer(connections=tuple(connections), other=other, what=_bare(last))


def _together(conducts: Sequence[str]) -> str:
    """Say what connections did: the most frequent first, how many did else."""
    (first, number), *others = Counter(conducts).most_common()
    if not others:
        return first
    return f"{first} ({number} of {len(conducts)}); " + "; ".join(f"{what} ({many})" for what, many in others)


def _conduct(probe: Probe, attempt: Attempt, connection: Connection) -> tuple[str, tuple[str, ...]]:
    """Return what a probe does on its connection, and what a server that expects more says of it."""
    client = _endpoint(connection)
    silent = connection.orig.length == 0
    if not connection.resp.syns or connection.asked_unseen:
        return _bare(connection), ()
    if probe.handler is Handler.TCP_SOCKET or silent:
        what = "connects, and closes without sending a ClientHello or any other byte"
        return what, tuple(text.format(client=client) for text in _SILENT_LOGS)
    gave_up = given_up(connection) is not None or attempt.cause is Cause.SLOW_ANSWER
    end = ", and hangs up when its timeout is over: a later answer meets a closed connection" if gave_up else ""
    late = ("when it answers too late: broken pipe, connection reset by peer, context canceled",) if gave_up else ()
    if attempt.cause is Cause.PLAIN_HTTP_ON_TLS:
        return "asks in plain HTTP, where a TLS handshake is expected", (
            f"by a TLS server in Go: TLS handshake error from {client}: client sent an HTTP request to an HTTPS server",
        )
    if attempt.cause in (Cause.TLS_ON_PLAIN_HTTP, Cause.TLS_ALERT, Cause.TLS_FAILED):
        return "starts a TLS handshake that is not completed", (
            f"by a TLS server in Go: TLS handshake error from {client}",
        )
    if probe.handler is Handler.GRPC:
        return f"asks the gRPC health service{end}", late
    if probe.handler is Handler.HTTP_GET:
        asked = f"asks GET {probe.asked_path}" if probe.path is not None else "asks inside TLS"
        return f"{asked}{end or ', and closes the connection after each answer'}", late
    return _bare(connection), ()


def _bare(connection: Connection) -> str:
    """Say what a connection was, from its ends alone."""
    if connection.midstream:
        return "began before the capture"
    if connection.resp.rst is not None and not connection.resp.syns:
        return "asks for a connection, and is refused"
    if not connection.resp.syns:
        return "asks for a connection, and gets no answer"
    sent, got = connection.orig.length, connection.resp.length
    if connection.asked_unseen:
        return "connects, and exchanges bytes that this capture lacks"
    if not sent and not got:
        return "connects, and closes without sending a ClientHello or any other byte"
    return f"connects, sends {sent} bytes and gets {got}"


def _endpoint(connection: Connection) -> str:
    host = f"[{connection.client}]" if ":" in connection.client else connection.client
    return f"{host}:{connection.client_port}"
