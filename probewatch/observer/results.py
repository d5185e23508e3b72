"""What came of each check of a series: how it ended, and whether it passed.

Each is judged with the timeout that the series itself shows. A check that its checker tried again at once had failed, whatever
was answered; one that went on with another connection ends as that one does. Encrypted answers are told apart by the lengths of
their TLS records alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from probewatch.model.check import CheckSpec
from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange, TlsFacts
from probewatch.model.spec import Handler
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS, SECOND
from probewatch.probes.cadence import median
from probewatch.probes.checkers import LONGEST_NS
from probewatch.probes.ends import gave_up, through
from probewatch.probes.judge import Verdict, judge
from probewatch.probes.repeats import tried_again
from probewatch.probes.replies import Talk, agent_says, agent_word, replied, talk_of
from probewatch.probes.rounds import CLOSE_RECORD
from probewatch.probes.shapes import What, late_reset
from probewatch.probes.signatures import Basis, Signature, passes
from probewatch.probes.steps import followed

from .sealed import Usual, hung, passed, usual_of
from .survey import REPEATS, Named, asks_agent


@dataclass(frozen=True, slots=True)
class Results:
    """What came of the checks of a series, in their order."""

    verdicts: list[Verdict]
    passed: list[bool | None]
    """Whether each passed; None where nothing tells."""
    ends: list[int]
    """When each was over (ns): with the last of its connections."""
    again: Sequence[bool]
    """Which its checker tried again at once, and so did not count."""
    usual: Usual
    """What length encrypted answers usually have."""


def results_of(named: Named, spec: CheckSpec | None, seen_until_ns: int, timeouts: Sequence[int]) -> Results:
    """Judge the checks of a series; `timeouts` are those that others of the same checker show."""
    verdicts, results, usual = _judged(named, spec, seen_until_ns, timeouts)
    again = tried_again(named.checks) if named.kind == REPEATS else [False] * len(results)
    _tried_in_vain(named.exchanges, again, verdicts, results)
    return Results(verdicts, results, [verdict.end_ns for verdict in verdicts], again, usual)


def go_on(named: Named, then: Named, results: Results, seen_until_ns: int, timeouts: Sequence[int]) -> None:
    """Let each check end as its next connection does, where it made one."""
    verdicts, passed, usual = _judged(then, None, seen_until_ns, timeouts)
    following = Results(verdicts, passed, [verdict.end_ns for verdict in verdicts], (), usual)
    if then.then is not None:
        go_on(then, then.then, following, seen_until_ns, timeouts)
    for number, at in enumerate(followed(named.checks, then.checks)):
        if at is None:
            continue
        results.passed[at], results.ends[at] = following.passed[number], following.ends[number]
        if following.passed[number] is False:
            text = f"its next connection, to port {then.port}, failed: {following.verdicts[number].detail}"
            results.verdicts[at] = replace(results.verdicts[at], detail=text)


def _judged(
    named: Named, spec: CheckSpec | None, seen_until_ns: int, timeouts: Sequence[int]
) -> tuple[list[Verdict], list[bool | None], Usual]:
    """Return what came of each connection, whether that is a pass, and what length encrypted answers usually have."""
    answer_ns, dial_ns = _timeouts(named, spec, timeouts)
    series = _Series(named, spec, seen_until_ns)
    verdicts = [
        series.verdict(exchange, answer_ns if exchange.connection.resp.syns else dial_ns)
        for exchange in named.exchanges
    ]
    usual = usual_of(named.exchanges, verdicts)
    results = [
        agent_word(exchange.connection.resp.data)[0] if series.agent else passed(exchange, verdict, usual)
        for exchange, verdict in zip(named.exchanges, verdicts, strict=True)
    ]
    verdicts = [
        hung(exchange, verdict) if result is False else verdict
        for exchange, verdict, result in zip(named.exchanges, verdicts, results, strict=True)
    ]
    if named.track.pace.basis is Basis.PAUSE:
        # Such a checker asks again only when it is through, whenever a close came through to the capture.
        for number, after in enumerate(named.exchanges[1:]):
            if verdicts[number].end_ns > (start := after.connection.start.ns):
                verdicts[number] = replace(verdicts[number], end_ns=start)
    return verdicts, results, usual


class _Series:
    """Judges the connections of a series by what it asks."""

    def __init__(self, named: Named, spec: CheckSpec | None, seen_until_ns: int) -> None:
        self._named, self._spec, self._seen_until_ns = named, spec, seen_until_ns
        self._talk = _talk(named)
        self.agent = asks_agent(named)
        """Whether it asks an agent, whose word is the result."""

    def verdict(self, exchange: Exchange, timeout_ns: int) -> Verdict:
        """Return what came of one connection."""
        if late_reset(exchange.connection):
            return _answered_too_late(exchange.connection, timeout_ns)
        what = self._named.shape.what
        if what in (What.RESET, What.CLOSE, What.BYTES):
            return self._connected(exchange, timeout_ns)
        if what is What.GRPC:
            return self._grpc(exchange, timeout_ns)
        return self._http(exchange, timeout_ns)

    def _connected(self, exchange: Exchange, timeout_ns: int) -> Verdict:
        """Judge one that asks nothing but a connection, or in words of its own."""
        c = exchange.connection
        verdict = judge(
            exchange, Handler.TCP_SOCKET, timeout_ns, seen_until_ns=self._seen_until_ns, closes_at_once=False
        )
        if verdict.cause is Cause.CUT and not c.resp.packets and c.orig.rst is not None and c.orig.rst_acks:
            detail = "connected: what it resets it had acknowledged, though the capture lost the SYN-ACK"
            return Verdict(
                outcome=Outcome.SUCCESS, cause=Cause.OK, end_ns=c.orig.rst.ns, end_mark=c.orig.rst, detail=detail
            )
        if self.agent:
            return agent_says(exchange, verdict)
        return verdict if self._talk is None else replied(exchange, verdict, self._talk, timeout_ns)

    def _grpc(self, exchange: Exchange, timeout_ns: int) -> Verdict:
        """Judge one that asks in gRPC. Only a kubelet dials on where it is refused."""
        c = exchange.connection
        verdict = judge(exchange, Handler.GRPC, timeout_ns, seen_until_ns=self._seen_until_ns, closes_at_once=False)
        if verdict.cause is Cause.GRPC_CONNECT and (refused := through(c)) is not None:
            return replace(verdict, end_ns=refused, end_mark=c.resp.rst)
        return verdict

    def _http(self, exchange: Exchange, timeout_ns: int) -> Verdict:
        """Judge one that asks in HTTP, or inside TLS."""
        verdict = judge(
            exchange,
            Handler.HTTP_GET,
            timeout_ns,
            scheme="HTTPS" if self._named.shape.what is What.TLS else "HTTP",
            seen_until_ns=self._seen_until_ns,
            whole_body=False,
            closes_at_once=False,
        )
        if verdict.cause is Cause.ENCRYPTED and exchange.tls is not None:
            verdict = _sealed(exchange, exchange.tls, verdict)
        waited = gave_up(exchange) if verdict.cause is Cause.CUT else None
        if waited is not None and abs(waited - (self._named.learnt.timeout_ns or 0)) <= 30 * MS:
            # Whatever the capture lost: the checker itself gave up, at its timeout.
            return _slow(exchange, waited, "the checker gave up at its timeout")
        return _by_status(verdict, self._named.row, self._spec)


def _answered_too_late(connection: Connection, timeout_ns: int) -> Verdict:
    """Judge a connection whose SYN-ACK met a socket that its checker had closed."""
    wait_ns = connection.resp.syns[0].ns - connection.start.ns
    if wait_ns < timeout_ns:
        detail = "the SYN-ACK is here, and the checker never acknowledged it"
    else:
        detail = f"SYN answered after {wait_ns / SECOND:.2f} s, the checker was gone"
    end_ns = connection.start.ns + timeout_ns
    return Verdict(outcome=Outcome.FAILURE, cause=Cause.NO_SYN_ANSWER, end_ns=end_ns, detail=detail)


def _sealed(exchange: Exchange, tls: TlsFacts, verdict: Verdict) -> Verdict:
    """Judge what no keys open: a handshake was all that was wanted, or it was given up; else its answer tells (`sealed`)."""
    c = exchange.connection
    # In TLS 1.3 the client's Finished looks like its first record of application data.
    asked = sum(record.by_client and record.length > CLOSE_RECORD for record in tls.records)
    if tls.established is not None and asked <= (tls.version == "TLS 1.3") and c.orig.gap is None:
        return replace(verdict, outcome=Outcome.SUCCESS, cause=Cause.OK, detail=f"{tls.version or 'TLS'} handshake")
    if c.orig.rst is not None and c.resp.gap is None and (waited := gave_up(exchange)) is not None:
        return _slow(exchange, waited, "no answer inside TLS")
    return verdict


def _slow(exchange: Exchange, waited_ns: int, detail: str) -> Verdict:
    end_ns = exchange.connection.start.ns + waited_ns
    return Verdict(outcome=Outcome.FAILURE, cause=Cause.SLOW_ANSWER, end_ns=end_ns, detail=detail)


def _tried_in_vain(
    exchanges: Sequence[Exchange], again: Sequence[bool], verdicts: list[Verdict], results: list[bool | None]
) -> None:
    """Let an answer in clear be a failure where its checker tried again at once, and so the same answer to the last try."""
    for number in range(len(results)):
        said = _said(exchanges[number])
        same = (
            number > 0 and again[number - 1] and results[number - 1] is False and said == _said(exchanges[number - 1])
        )
        if said is not None and results[number] and (again[number] or same):
            why = "tried again at once" if again[number] else "the same as to the try before"
            detail = f"{verdicts[number].detail}, not the answer that it wants: {why}"
            verdicts[number] = replace(verdicts[number], outcome=Outcome.FAILURE, cause=Cause.STATUS, detail=detail)
            results[number] = False


def _said(exchange: Exchange) -> tuple[int | None, int] | None:
    """Return what tells one answer in clear from another: its status and how long it is."""
    return (exchange.http[0].status, exchange.http[0].body_bytes) if exchange.http else None


def _talk(named: Named) -> Talk | None:
    """Return how a series talks where what the server says is not read; None where nothing need be said, or it is read."""
    if named.shape.what not in (What.RESET, What.CLOSE, What.BYTES):
        return None
    return talk_of(named.shape.opening if named.shape.what is What.BYTES else None, named.kind, named.exchanges)


def _timeouts(named: Named, spec: CheckSpec | None, others: Sequence[int]) -> tuple[int, int]:
    """Return how long it waits for an answer, and for a SYN-ACK: what it shows, else the declared, else its interval (HAProxy's rule).

    Where neither is known, what its program's `others` show is likelier than its interval. For an answer never less than
    its slowest good one took.
    """
    learnt = named.learnt
    likely = min(int(median(others)), learnt.interval_ns or LONGEST_NS) if others else learnt.interval_ns
    timeout = learnt.timeout_ns or (spec.timeout_ns if spec is not None else None) or likely or 10 * SECOND
    dial = learnt.dial_ns or (spec.dial_ns if spec is not None else None) or learnt.dial_most_ns or timeout
    # HAProxy connects within `inter`, whatever `timeout check` is (configuration manual 4.2); others have one timeout for all.
    dial = min(dial, (learnt.interval_ns if named.kind == "haproxy" else None) or timeout)
    slowest = 0
    for exchange in named.exchanges:
        c = exchange.connection
        first, end = c.resp.first_data, through(c)
        gone = c.orig.rst is not None and not c.orig.rst_acks  # the kernel's RST: the checker had closed before
        if first is not None and end is not None and first.ns <= end and not gone:
            slowest = max(slowest, first.ns - c.start.ns)
    return max(timeout + 20 * MS, slowest), dial + 20 * MS


def _by_status(verdict: Verdict, row: Signature | None, spec: CheckSpec | None) -> Verdict:
    """Read a status as this checker was told to, else as it does where nothing was configured."""
    if verdict.status is None or verdict.cause not in (Cause.OK, Cause.OK_REDIRECT, Cause.STATUS):
        return verdict
    declared = spec.passes if spec is not None else ()
    if any(low <= verdict.status <= high for low, high in declared) if declared else passes(row, verdict.status):
        return replace(verdict, outcome=Outcome.SUCCESS, cause=Cause.OK)
    return replace(verdict, outcome=Outcome.FAILURE, cause=Cause.STATUS)
