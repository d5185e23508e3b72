"""Checks inside TLS that no keys open: which answer is the usual one, by the lengths of its records alone.

Theory of operation. The answer of a server in health is the one that is the latest most of the time. What all answers
have in common (session tickets) tells none from another; where several kinds come often and nothing else is usual,
nothing is told. Nor is it where no check failed otherwise and no two unusual answers came in a row: they may all be the same refusal,
for one answer may be cut into records in several ways (HTTP/2).

Limitations: answers of one length are one answer (gRPC's SERVING and NOT_SERVING are); one that changes its length each
time has no usual one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from probewatch.model.exchange import Exchange
from probewatch.model.timeline import Cause, Outcome
from probewatch.probes.cadence import median
from probewatch.probes.checkers import ENOUGH
from probewatch.probes.judge import Verdict
from probewatch.probes.replies import WAITED_NS
from probewatch.probes.rounds import CLOSE_RECORD, asked_lengths

USUAL: Final = 0.6
"""Share of the time in which the latest answer must have a record of some length for this length to be usual."""
LATEST: Final = 5
"""So many usual steps, at most, an answer counts as the latest one."""
ALWAYS: Final = 0.95
"""Share of the answers from which a length is common to all of them."""
OFTEN: Final = 0.2
"""The same from which another length is that of another kind of answer."""
SMALL_RECORD: Final = 40
"""TLS records up to this length carry alerts and tickets' ends and say nothing."""


class Usual(NamedTuple):
    """What encrypted checks of a series mostly look like; empty where there is no such thing."""

    lengths: frozenset[int] = frozenset()
    """Of the records of the answer."""
    asked: tuple[int, ...] = ()
    """Of the records that the checker sends."""


def _lengths(exchange: Exchange) -> set[int]:
    """Return how long the encrypted records are that followed what the checker sent.

    Those before belong to the handshake, and an ECDSA signature in it is now one byte longer and now one shorter.
    """
    records = exchange.tls.records if exchange.tls is not None else ()
    asked = next((record.mark for record in records if record.by_client), None)
    return {
        r.length
        for r in records
        if not r.by_client and r.length > SMALL_RECORD and asked is not None and r.mark > asked
    }


def usual_of(exchanges: Sequence[Exchange], verdicts: Sequence[Verdict]) -> Usual:
    """Return the record lengths that encrypted answers have most of the time, and what is asked then.

    A server that is down may be asked more often, so an answer counts for as long as it was the latest.
    """
    sealed = [e for e, v in zip(exchanges, verdicts, strict=True) if v.cause is Cause.ENCRYPTED]
    if len(sealed) < ENOUGH:
        return Usual()
    starts = [exchange.connection.start.ns for exchange in sealed]
    steps = [after - before for before, after in pairwise(starts)]
    longest = LATEST * int(median(steps))  # (a hole in the capture says nothing)
    held: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for exchange, step in zip(sealed, [*steps, int(median(steps))], strict=True):
        for length in _lengths(exchange):
            held[length] += min(step, longest)
            seen[length] += 1
    total = sum(min(step, longest) for step in steps) + int(median(steps))
    usual = frozenset(length for length, ns in held.items() if ns >= USUAL * total)
    tells = any(seen[length] < ALWAYS * len(sealed) for length in usual)
    others = any(times >= OFTEN * len(sealed) for length, times in seen.items() if length not in usual)
    if others and not tells:
        return Usual()  # what all answers have in common (session tickets) tells none of several kinds from another
    unusual = [not usual <= _lengths(exchange) for exchange in sealed]
    if not any(map(all, pairwise(unusual))) and all(verdict.outcome is not Outcome.FAILURE for verdict in verdicts):
        return Usual()
    return Usual(usual, Counter(map(asked_lengths, sealed)).most_common(1)[0][0])


def hides(exchange: Exchange, interval_ns: int | None) -> bool:
    """Tell whether more was asked inside TLS than one question: records of the client an interval and more after the first."""
    if exchange.tls is None or exchange.http or interval_ns is None or exchange.connection.question:
        return False
    asked = [record.mark.ns for record in exchange.tls.records if record.by_client and record.length > CLOSE_RECORD]
    return bool(asked) and asked[-1] - asked[0] >= interval_ns // 2


def hung(exchange: Exchange, verdict: Verdict) -> Verdict:
    """Read an encrypted check, whose answer was not the usual one, as unanswered where its checker hung up after a silence."""
    c = exchange.connection
    closed = c.orig.closed
    if verdict.cause is not Cause.ENCRYPTED or exchange.tls is None or closed is None:
        return verdict
    told = [record.mark for record in exchange.tls.records if record.length > CLOSE_RECORD and record.mark < closed]
    said = max(told, default=closed)
    last = c.orig.arrivals[-1].mark if c.orig.arrivals else closed
    if last.ns - said.ns >= WAITED_NS:
        closed = min(closed, last)  # its close_notify
    first = all(mark is None or closed < mark for mark in (c.resp.fin, c.resp.rst))
    if not first or closed.ns - said.ns < WAITED_NS:
        return verdict
    return Verdict(
        outcome=Outcome.FAILURE,
        cause=Cause.SLOW_ANSWER,
        end_ns=closed.ns,
        end_mark=closed,
        detail="no answer of the usual size inside TLS before the checker hung up",
    )


def passed(exchange: Exchange, verdict: Verdict, usual: Usual) -> bool | None:
    """Tell whether a check passed; None where that is not known."""
    if verdict.outcome is Outcome.SUCCESS:
        return True
    if verdict.outcome is Outcome.FAILURE:
        return False
    if verdict.cause is Cause.ENCRYPTED and usual.lengths:
        said = _lengths(exchange)
        if said and exchange.connection.question and asked_lengths(exchange) != usual.asked:
            return None  # HTTP/2 begins with a longer question, and a longer answer
        return usual.lengths <= said
    return None
