"""Questions on a kept connection that cannot be read: inside TLS without keys, or in a protocol that is not known.

Theory of operation. Envoy keeps its connections for checks over TLS and for its own TCP questions, too. All that shows
is who sent how much, and when. A client that sends the same number of bytes again and again, calmly, and gets a short
answer each time, asks the same question: each such round is a question of its own, as `questions` takes apart what can be
read. Pace and company then decide whether that was a check (`observer.survey`).

Limitations: as many rounds as are kept of one connection (`TlsFacts.records`, `Half.arrivals`); later ones are missing.
Of what HTTP/2 says besides (settings, windows, a stream that is given up) all that comes soon belongs to the round before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from probewatch.model.connection import Arrival, Connection, Half
from probewatch.model.exchange import Exchange, TlsRecord
from probewatch.model.frame import Mark
from probewatch.wire.tls import KEPT_RECORDS

from .questions import CALM_NS, ended, part
from .replies import WAITED_NS

CLOSE_RECORD: Final = 24
"""An encrypted close_notify is no longer than this."""
MOSTLY: Final = 0.8
"""Share of the rounds that must ask the same."""
SHORT: Final = 2_048
"""Bytes of an answer up to which it may be one to a check; a scrape's is longer."""


@dataclass(slots=True)
class _Round:
    """One question and what answered it."""

    begun: Mark
    asked: list[tuple[Mark, int]] = field(default_factory=list)
    """What the client sent: when, and how much."""
    told: list[tuple[Mark, int]] = field(default_factory=list)
    records: list[TlsRecord] = field(default_factory=list)


def rounds(exchange: Exchange) -> list[Exchange]:
    """Return the questions of a connection on which the same is asked calmly, else the connection as it is."""
    connection = exchange.connection
    if exchange.http or exchange.grpc is not None or connection.midstream or not connection.resp.length:
        return [exchange]
    if connection.end.ns - connection.start.ns < CALM_NS:
        return [exchange]
    tls = exchange.tls
    if tls is not None and tls.established is None:
        return [exchange]
    found = _rounds(_records(exchange) if tls is not None else _arrivals(exchange))
    if tls is not None and len(tls.records) >= KEPT_RECORDS and connection.read_until is None:
        connection = replace(connection, read_until=tls.records[-1].mark)
    until = connection.read_until
    if until is not None and found and not (found[-1].told and found[-1].told[-1][0] < until):
        del found[-1]  # what was passed over may be of it
    if not _alike(found):
        return [exchange]
    out: list[Exchange] = []
    asked = told = 0
    for number, one in enumerate(found, 1):
        done = one.told[-1][0] if one.told else None
        if number == len(found) and until is None and _discontent(connection, done, one.begun.ns - found[-2].begun.ns):
            done = None
        last = done is None and number == len(found) and until is None
        if last and not ended(connection) and not connection.final:
            break
        piece = part(connection, number, one.begun, one.told[0][0] if one.told else None, done, last=last)
        if done is None and not last:  # it took its question back, and kept the connection
            piece = replace(piece, orig=replace(piece.orig, fin=one.asked[-1][0] if len(one.asked) > 1 else None))
        mine, answer = sum(length for _, length in one.asked), sum(length for _, length in one.told)
        if tls is None:
            orig = replace(piece.orig, arrivals=(Arrival(mine, one.begun),), length=mine)
            resp = replace(piece.resp, data=connection.resp.data[told : told + answer], length=answer)
            piece = replace(piece, orig=orig, resp=resp)
        else:
            piece = replace(piece, resp=replace(piece.resp, length=answer))
        asked, told = asked + mine, told + answer
        sealed = replace(tls, records=tuple(one.records)) if tls is not None else None
        out.append(
            Exchange(
                connection=piece, tls=sealed, opening=exchange.opening, banner=exchange.banner, keyed=exchange.keyed
            )
        )
    return out


def asked_lengths(exchange: Exchange) -> tuple[int, ...]:
    """Return how long the encrypted records are that a checker sent; that of its goodbye left out."""
    records = exchange.tls.records if exchange.tls is not None else ()
    return tuple(record.length for record in records if record.by_client and record.length > CLOSE_RECORD)


def _discontent(connection: Connection, done: Mark | None, step_ns: int) -> bool:
    """Tell whether a client hung up long after an answer and before it was to ask again: that was not what it waited for."""
    closed, gone = connection.orig.closed, connection.resp.closed
    if done is None or closed is None or (gone is not None and gone < closed):
        return False
    return WAITED_NS <= closed.ns - done.ns < 0.9 * step_ns


def _records(exchange: Exchange) -> list[tuple[Mark, bool, int, TlsRecord | None]]:
    """Return what was sent inside TLS once it stood; the client's Finished of TLS 1.3 is no question."""
    tls = exchange.tls
    assert tls is not None
    records = [record for record in tls.records if not record.by_client or record.length > CLOSE_RECORD]
    if tls.version == "TLS 1.3":
        finished = next((number for number, record in enumerate(records) if record.by_client), len(records))
        records = records[finished + 1 :]
    return [(record.mark, record.by_client, record.length, record) for record in records]


def _arrivals(exchange: Exchange) -> list[tuple[Mark, bool, int, TlsRecord | None]]:
    """Return what was sent in a protocol that is not read."""

    def steps(half: Half, *, by_client: bool) -> list[tuple[Mark, bool, int, TlsRecord | None]]:
        ends = [(0, None), *((arrival.length, arrival.mark) for arrival in half.arrivals)]
        return [(mark, by_client, end - begin, None) for (begin, _), (end, mark) in pairwise(ends) if mark is not None]

    connection = exchange.connection
    both = steps(connection.orig, by_client=True) + steps(connection.resp, by_client=False)
    return sorted(both, key=lambda one: one[0])


def _rounds(said: Sequence[tuple[Mark, bool, int, TlsRecord | None]]) -> list[_Round]:
    """Sort what was said into rounds: one begins where the client asks, a while after the one before it began."""
    asked = Counter(
        length for (_, before, _, _), (_, by_client, length, _) in pairwise(said) if by_client and not before
    )
    usual = asked.most_common(1)[0][0] if asked else 0
    out: list[_Round] = []
    for mark, by_client, length, record in said:
        begins = by_client and (
            not out or (mark.ns - out[-1].begun.ns >= CALM_NS and (bool(out[-1].told) or length == usual))
        )
        if begins:
            out.append(_Round(mark))
        if not out:
            continue  # a greeting, or a session ticket
        if by_client:
            out[-1].asked.append((mark, length))
        else:
            out[-1].told.append((mark, length))
        if record is not None:
            out[-1].records.append(record)
    return out


def _alike(found: Sequence[_Round]) -> bool:
    """Tell whether most rounds ask the same, and all are answered shortly. In HTTP/2 the first two may be longer."""
    if len(found) < 2 or any(sum(length for _, length in one.told) > SHORT for one in found):
        return False
    asked = Counter(one.asked[0][1] for one in found)
    times = asked.most_common(1)[0][1]
    return times == len(found) or times >= max(3, MOSTLY * (len(found) - 2))
