"""What came of one connection: outcome and cause as the kubelet would count them.

The kubelet sees less than the wire: it knows that a call returned, with what, and that a timer fired. So each verdict
asks two things of the packets: what came first (an answer, a refusal, a close, or the checker's own giving up), and
whether it came before the deadline (`start + timeoutSeconds`: http.Client.Timeout and net.Dialer.Timeout start just
before the SYN). An answer after the checker hung up changes nothing and is kept as the true latency.

Sources: pkg/probe/{http,tcp,grpc}, pkg/kubelet/prober/prober.go, and measurements
(docs/how-it-knows.md, "What was measured").
`plain-http-on-tls` is plain HTTP spoken to a TLS port, `tls-on-plain-http` the reverse.

All verdicts on one connection stand here side by side, and so over 600 lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from probewatch.model.catalogue import HALF_OPEN
from probewatch.model.connection import QUIET_NS, Connection, IcmpNote
from probewatch.model.direct import direct
from probewatch.model.exchange import SERVING, Exchange, GrpcFacts, HttpExchange, TlsFacts
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS, SECOND, US

SYN_AGAIN_NS = SECOND
"""An unanswered SYN-ACK is sent again after this long (RFC 6298 section 2.1; Linux TCP_TIMEOUT_INIT)."""
INLINE_NS = 100 * US
"""An ICMP error this soon after its SYN came while the SYN was still being sent, on one node (5-50 us; from another, 150 us and more)."""
LINGERED_NS = 20 * MS
"""A client that stays this long after an answer waits for more of its body (whole ones end the wait within 0.1-13 ms)."""
STARVED_NS = 50 * MS
"""A client that closes this long after a complete answer noticed it late (normal: 0.1-13 ms)."""
LEAD_NS = MS
"""The checker's timer starts this much before its SYN is seen, at most (0.2-0.6 ms is usual)."""
UNSEEN = "bytes were exchanged that this capture lacks"
"""What is said of a connection that did ask and answer, as sequence numbers show, with no byte of it in the capture."""
ENDED = "how this connection ended is not in the capture"
"""What is said of one of which the capture has data alone."""
HELLO_CUT = (
    "the snapshot length cut the TLS handshake: whole frames show how that ended, only a key log what was answered"
)
LONG_HEADER = "its header is longer than what probewatch keeps of an answer"
"""What is said where the limit is ours, and not the capture's fault."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""Statuses that Go's client follows (net/http redirectBehavior)."""


@direct
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one connection (or a whole attempt) ended."""

    outcome: Outcome
    cause: Cause
    end_ns: int
    end_mark: Mark | None = None
    """The frame that gave the verdict; None where silence gave it."""
    status: int | None = None
    detail: str = ""
    late_answer_ns: int | None = None

    @property
    def by_deadline(self) -> bool:
        """Whether silence gave it."""
        return self.end_mark is None


def judge(
    exchange: Exchange,
    handler: Handler,
    timeout_ns: int,
    *,
    scheme: str = "HTTP",
    seen_until_ns: int | None = None,
    start_ns: int | None = None,
    whole_body: bool = True,
    closes_at_once: bool = True,
) -> Verdict:
    """Judge one connection as a probe of this handler with this timeout.

    `seen_until_ns` is where the capture ends: silence beyond it proves nothing. `start_ns` is where the attempt began,
    if not with this connection (a redirect shares its deadline). `whole_body` False is for checkers that are content
    with the answer's header, `closes_at_once` False for those that may keep a connection when they have their answer: when
    they close it shows nothing then.
    """
    connection = exchange.connection
    begun = connection.start.ns if start_ns is None else start_ns
    case = _Case(
        exchange, begun, begun + timeout_ns, seen_until_ns, whole_body=whole_body, closes_at_once=closes_at_once
    )
    verdict = None if handler is Handler.TCP_SOCKET and case.has_connected() else case.connect()
    if verdict is None:
        if handler is Handler.TCP_SOCKET:
            verdict = case.tcp()
        elif handler is Handler.GRPC:
            verdict = case.grpc()
        elif scheme == "HTTPS" or (exchange.tls is not None and not exchange.http):
            verdict = case.https()
        else:
            verdict = case.http()
    asked = exchange.grpc is not None and exchange.grpc.request_end is not None
    if (
        handler is Handler.GRPC
        and verdict.outcome is Outcome.FAILURE
        and verdict.cause in _CONNECT_CAUSES
        and not asked
    ):
        # The blocking dial tries again until its deadline whatever happened (grpc.go: WithBlock), so nothing but the
        # deadline ends it. The call that follows is not repeated.
        verdict = case.silence(Outcome.FAILURE, Cause.GRPC_CONNECT, f"could not connect: {verdict.detail}")
    return verdict


_CONNECT_CAUSES = frozenset(
    {
        Cause.REFUSED,
        Cause.NO_SYN_ANSWER,
        Cause.UNREACHABLE,
        Cause.RESET_BEFORE_ANSWER,
        Cause.CLOSED_BEFORE_ANSWER,
        Cause.GRPC_CONNECT,
    }
)


def is_broken_body(exchange: Exchange) -> bool:
    """Tell whether the answer's header came whole and its body never did: the prober's error case, retried at once.

    What comes when the checker has hung up came too late: a header then is no answer any more, and a body no whole one.
    """
    http = exchange.http[0] if exchange.http else None
    if http is None or http.status is None or http.header_end is None or http.lost:
        return False
    orig, resp = exchange.connection.orig, exchange.connection.resp
    hung_up = orig.closed
    header, *body = (
        mark if mark is None or hung_up is None or mark <= hung_up else None
        for mark in (http.header_end, http.body_end, http.read_enough)
    )
    if header is None or any(mark is not None for mark in body):
        return False
    return hung_up is not None or resp.closed is not None


def redirect_target(exchange: Exchange) -> str | None:
    """Return the Location of an answer that Go's client would look at for a redirect, or None."""
    http = exchange.http[0] if exchange.http else None
    if http is None or http.status not in REDIRECTS:
        return None
    return http.answer_header("Location") or None


class _Case:
    """One connection before the judge."""

    def __init__(
        self,
        exchange: Exchange,
        start_ns: int,
        deadline_ns: int,
        seen_until_ns: int | None,
        *,
        whole_body: bool,
        closes_at_once: bool,
    ) -> None:
        self.exchange = exchange
        self.connection: Connection = exchange.connection
        self.start_ns = start_ns
        self.deadline_ns = deadline_ns
        self.seen_until_ns = seen_until_ns
        self.whole_body = whole_body
        self.closes_at_once = closes_at_once
        # Where the capture goes on, this is the connection as it was when it had been quiet for a while.
        self.seen_ns = self.connection.end.ns + QUIET_NS if seen_until_ns is None else seen_until_ns
        orig = self.connection.orig
        cancelled = exchange.grpc.cancelled if exchange.grpc is not None else None
        closes = [mark for mark in (orig.fin, orig.rst, cancelled) if mark is not None]
        self.gave_up = min(closes) if closes else None
        """The checker's own close, or its word that it waits no longer."""
        told = exchange.tls.closed if exchange.tls is not None else None
        self.server_end = self.connection.resp.fin if told is None else told
        """When the server said that no more comes: inside TLS it says so first, and the checker may close before its FIN."""

    # Verdicts.

    def frame(self, outcome: Outcome, cause: Cause, mark: Mark, detail: str = "", status: int | None = None) -> Verdict:
        return Verdict(outcome=outcome, cause=cause, end_ns=mark.ns, end_mark=mark, status=status, detail=detail)

    def silence(self, outcome: Outcome, cause: Cause, detail: str = "", status: int | None = None) -> Verdict:
        """End by the deadline, unless the capture ends before it and nothing shows that the checker gave up."""
        late = self.connection.resp.first_data
        late_ns = late.ns - self.start_ns if late is not None and late.ns > self.deadline_ns else None
        if late is not None and late_ns is None and self.gave_up is not None and late.ns > self.gave_up.ns:
            late_ns = late.ns - self.start_ns
        if self.gave_up is None and self.seen_until_ns is not None and self.seen_until_ns < self.deadline_ns - LEAD_NS:
            return self.cut("the capture ends before the deadline")
        return Verdict(
            outcome=outcome, cause=cause, end_ns=self.deadline_ns, status=status, detail=detail, late_answer_ns=late_ns
        )

    def unheard(self, detail: str) -> Verdict:
        """End by the deadline what was never answered on a connection; who waits in vain closes it then.

        Where neither an answer nor that close is in a capture that goes on for long enough, it has lost the connection's end,
        and may have lost the answer with it. But a request that is sent again and again and never acknowledged holds the FIN
        up behind it: after a timeout one segment may be on its way, and that is the request (RFC 5681 section 3.1).
        """
        c = self.connection
        if c.only_data:
            return self.cut(ENDED if c.resp.packets else "nothing that answered it is in the capture")
        over = self.seen_ns > self.deadline_ns + SECOND
        held_up = c.orig.acked == 0 and c.orig.retransmits > len(c.orig.syns) - 1
        silent = self.gave_up is None and c.resp.first_data is None and c.resp.fin is None
        if over and silent and not held_up and not c.question:
            return self.cut("the capture lost how this connection ended")
        return self.silence(Outcome.FAILURE, Cause.SLOW_ANSWER, detail)

    def cut(self, detail: str) -> Verdict:
        end = self.gave_up or self.connection.end  # (Whatever it learnt, it knew when it closed.)
        return Verdict(outcome=Outcome.INCONCLUSIVE, cause=Cause.CUT, end_ns=end.ns, end_mark=end, detail=detail)

    def unread(self, what: str) -> Verdict:
        """End what has more header than is kept: whether that came whole, and its body, nothing here tells.

        So it is not known either whether the kubelet counted a failure (no header in time) or discarded it (no body).
        """
        detail = f"{what}, {LONG_HEADER}"
        if self.gave_up is not None and self.wanted_more():
            detail += (
                f"; the checker waited for more, and hung up after {(self.gave_up.ns - self.start_ns) / SECOND:.3f} s"
            )
        return self.cut(detail)

    def in_time(self, mark: Mark | None) -> bool:
        """Tell whether this came before the deadline and before the checker hung up."""
        if mark is None or mark.ns > self.deadline_ns:
            return False
        return self.gave_up is None or mark[:1] <= self.gave_up[:1]

    def noticed_late(self, done: Mark) -> bool:
        """Tell whether the checker was still waiting at its deadline though what it waited for had come in time.

        A process without CPU finds its timer run out and the answer there together; Go runs timers first (docs/how-it-knows.md).
        """
        if not self.closes_at_once:
            return False
        if self.gave_up is not None:
            return self.gave_up.ns >= self.deadline_ns and self.gave_up.ns - done.ns > STARVED_NS
        # It never closed: its kernel took the server's FIN, nothing that it sent is missing here, and no reset left nothing to close.
        resp = self.connection.resp
        if resp.fin_acked is None or not self.whole_body or "G" in self.connection.history or self.in_time(resp.rst):
            return False
        return self.seen_until_ns is None or self.seen_until_ns > self.deadline_ns + STARVED_NS

    def wanted_more(self) -> bool:
        """Tell whether a checker waited for more of a body than the capture has: until its end, a reset, or in vain.

        Who has read as much as was promised closes at once. Where the server's FIN came at once it is the checker that was late.
        """
        resp, closed = self.connection.resp, self.gave_up
        reset, last_ns = resp.rst, resp.arrivals[-1].mark.ns if resp.arrivals else self.start_ns
        if resp.gap is None and resp.used is not None:  # (of what is beyond a limit the time is known all the same)
            last_ns = max(last_ns, resp.used.ns)
        if reset is not None and (closed is None or reset < closed):
            return True
        ended = min((mark.ns for mark in (closed, self.server_end) if mark is not None), default=last_ns)
        return ended - last_ns > LINGERED_NS

    def late(self, done: Mark, what: str, status: int | None = None) -> Verdict:
        """Return the verdict on what was noticed too late."""
        return Verdict(
            outcome=Outcome.FAILURE,
            cause=Cause.CLIENT_LATE,
            end_ns=self.deadline_ns if self.gave_up is None else self.gave_up.ns,
            end_mark=self.gave_up,
            status=status,
            detail=f"{what} came after {(done.ns - self.start_ns) / SECOND:.3f} s, noticed too late",
        )

    # Phases.

    def connect(self) -> Verdict | None:
        """Judge the handshake; None where it was completed in time."""
        c = self.connection
        orig, resp = c.orig, c.resp
        if c.question > 1:
            return None  # it was connected before
        if c.midstream:
            return self.cut("the capture begins in the middle of this connection")
        if not resp.syns:
            return self.unanswered_syn()
        if orig.first_ack is None:
            return self.half_open()
        if resp.syns[0].ns > self.deadline_ns:
            if c.icmp is not None and c.icmp.mark.ns <= self.deadline_ns:
                return self.rejected(c.icmp)
            wait = (resp.syns[0].ns - self.start_ns) / SECOND
            return self.silence(
                Outcome.FAILURE, Cause.NO_SYN_ANSWER, f"SYN answered after {wait:.2f} s, after the probe had given up"
            )
        if orig.first_ack.ns > self.deadline_ns and orig.syns:
            # A kernel acknowledges at once: the SYN-ACKs before this one were lost between here and the checker.
            wait = (orig.first_ack.ns - self.start_ns) / SECOND
            return self.silence(
                Outcome.FAILURE,
                Cause.NO_SYN_ANSWER,
                f"{HALF_OPEN}acknowledged after {wait:.2f} s, after the probe had given up",
            )
        return None

    def rejected(self, note: IcmpNote) -> Verdict:
        """Judge a SYN that an ICMP error answered: it ends the connect unless the SYN is seen again behind it.

        Over IPv6 an error that the same node makes comes while connect(2) still holds the socket, and ends nothing (measured
        on Linux 6.18; over IPv4 it does, and so does one that comes later, over either, or answers a SYN that was sent again: the
        kernel's timer sends that). Who gives up before the SYN would be sent again does not show it; so the deadline ends it there.
        """
        syns = self.connection.orig.syns
        detail = f"ICMP {note.explain()} from {note.reporter}"
        ended = note.ended(syns, self.deadline_ns)
        if ended is None:
            detail += ", which did not end the connect: the SYN was sent again"
            return self.silence(Outcome.FAILURE, Cause.UNREACHABLE, detail)
        at_once = note.version == 6 and len(syns) == 1 and ended.ns - syns[0].ns < INLINE_NS
        if at_once and self.deadline_ns - syns[-1].ns <= SYN_AGAIN_NS:
            detail += " at once, which over IPv6 does not end a connect"
            return self.silence(Outcome.FAILURE, Cause.UNREACHABLE, detail)
        return self.frame(Outcome.FAILURE, Cause.UNREACHABLE, ended, detail)

    def has_connected(self) -> bool:
        """Tell whether the checker acknowledged in time a SYN-ACK that is not in the capture, which holds its own direction only."""
        c = self.connection
        return not c.resp.packets and bool(c.orig.syns) and not c.midstream and self.in_time(c.orig.first_ack)

    def unanswered_syn(self) -> Verdict | None:
        """Judge a handshake of which no SYN-ACK was seen."""
        c = self.connection
        orig, resp = c.orig, c.resp
        if c.icmp is not None and c.icmp.mark.ns <= self.deadline_ns:
            return self.rejected(c.icmp)
        connected = orig.length or orig.first_ack is not None or orig.rst_acks
        asked = connected or resp.length
        if resp.rst is not None and not asked and self.in_time(resp.rst):
            return self.frame(Outcome.FAILURE, Cause.REFUSED, resp.rst, "connection refused")
        if resp.packets == 0 and asked:
            return self.cut("only the checker's direction was captured")
        if resp.packets and resp.rst is None and orig.packets > len(orig.syns) and not asked:
            # A challenge ACK (RFC 5961 section 4), which the checker's kernel answered by a RST: the target still knows
            # another connection of these ports.
            return self.silence(
                Outcome.FAILURE, Cause.NO_SYN_ANSWER, "the SYN was answered by an ACK, not by a SYN-ACK"
            )
        if resp.packets and connected:
            return None  # the checker had its SYN-ACK, whatever the capture lost
        if resp.packets and (resp.rst is None or asked):
            return self.cut("the answer to the SYN is missing from the capture")
        tries = sum(mark.ns <= self.deadline_ns for mark in orig.syns)
        return self.silence(
            Outcome.FAILURE,
            Cause.NO_SYN_ANSWER,
            "no answer to the SYN" + (f", sent {tries} times" if tries > 1 else ""),
        )

    def half_open(self) -> Verdict | None:
        """Judge a handshake whose SYN-ACK the checker never acknowledged."""
        orig, resp = self.connection.orig, self.connection.resp
        if orig.packets == 0 or not orig.syns:
            if orig.packets == 0 and any(http.status is not None for http in self.exchange.http):
                return None  # What the target answered is what counts; that the checker had it is not in the capture.
            return self.cut("only the target's direction was captured")
        if orig.rst is not None and orig.rst_acks and orig.rst.ns <= self.deadline_ns:
            return None  # Reset right after the SYN-ACK: a connect check that does not care to say ACK.
        times = len(resp.syns)
        if times == 1 and len(orig.syns) == 1 and orig.rst is None and self.seen_ns >= self.deadline_ns - LEAD_NS:
            again = self.seen_ns > resp.syns[0].ns + 2 * SYN_AGAIN_NS
            return self.cut(
                "the SYN-ACK was not sent again: the capture lost what answered it"
                if again
                else "the capture ends before the SYN-ACK would be sent again"
            )
        return self.silence(
            Outcome.FAILURE,
            Cause.NO_SYN_ANSWER,
            f"{HALF_OPEN}seen {times} time{'s' if times > 1 else ''} here, never acknowledged",
        )

    def tcp(self) -> Verdict:
        resp = self.connection.resp
        if self.connection.asked_unseen and resp.first_data is None:
            return self.cut(UNSEEN)
        accepted = self.connection.orig.first_ack or self.connection.orig.rst
        answers = [mark for mark in resp.syns if accepted is None or mark.ns <= accepted.ns] or resp.syns
        answer = answers[-1] if answers else accepted or self.connection.end
        if self.gave_up is not None and accepted is not None and self.noticed_late(accepted):
            return self.late(answer, "the SYN-ACK")
        return self.frame(Outcome.SUCCESS, Cause.OK, answer, "connected")

    def http(self) -> Verdict:
        http = self.exchange.http[0] if self.exchange.http else None
        return self.unanswered(http) if http is None or http.status is None else self.answered(http)

    def unanswered(self, http: HttpExchange | None) -> Verdict:
        """Judge an answer whose header never came whole by who ended it."""
        c = self.connection
        resp = c.resp
        if (
            http is not None
            and not self.exchange.decrypted
            and self.exchange.tls is not None
            and self.exchange.tls.alerts
        ):
            alert = self.exchange.tls.alerts[0]
            return self.frame(
                Outcome.FAILURE, Cause.PLAIN_HTTP_ON_TLS, alert.mark, f"a TLS server answered: alert {alert.name}"
            )
        if http is not None and http.malformed and http.first_byte is not None and self.in_time(http.first_byte):
            return self.frame(Outcome.FAILURE, Cause.MALFORMED_ANSWER, http.first_byte, http.malformed)
        # (Sequence numbers and acknowledgments tell of bytes that are not here.)
        if resp.gap is not None and resp.packets:
            both = c.asked_unseen and resp.gap == 0 and not resp.length
            return self.cut(UNSEEN if both else "the capture lost the answer")
        if http is not None and http.unread:
            return self.unread("an answer came")
        if resp.rst is not None and self.in_time(resp.rst):
            return self.frame(Outcome.FAILURE, Cause.RESET_BEFORE_ANSWER, resp.rst, "connection reset by peer")
        if http is not None and http.lost and resp.length:  # (a request that was cut leaves no doubt of silence)
            return self.cut("the capture lost the answer")
        if self.server_end is not None and self.in_time(self.server_end):
            begun = http.first_byte is not None if http is not None else bool(resp.arrivals)
            what = "EOF in the answer's header" if begun else "EOF"
            return self.frame(Outcome.FAILURE, Cause.CLOSED_BEFORE_ANSWER, self.server_end, what)
        detail = "no answer" if not self.exchange.connection.orig.length else "request acknowledged, no answer"
        part = http.first_byte if http is not None else None
        if part is not None and self.in_time(part):
            detail = f"answer began after {(part.ns - self.start_ns) / SECOND:.3f} s, its header was not whole in time"
        if (
            self.exchange.connection.orig.length == 0
            and self.gave_up is not None
            and self.gave_up.ns < self.deadline_ns
        ):
            # Closed by the checker before it asked anything, well before its time: no httpGet probe does this of
            # itself.
            return self.frame(Outcome.FAILURE, Cause.CLIENT_LATE, self.gave_up, "closed without a request")
        verdict = self.unheard(detail)
        if verdict.late_answer_ns is not None:
            verdict = replace(
                verdict,
                detail=f"answer after {verdict.late_answer_ns / SECOND:.2f} s",
                status=http.status if http is not None else None,
            )
        return verdict

    def answered(self, http: HttpExchange) -> Verdict:
        """Judge a whole answer header by its time and its body."""
        assert http.status is not None
        head = http.header_end or http.first_byte or self.connection.end
        text = f"{http.status} {http.reason}".strip()
        if http.unread and self.whole_body:
            # Whatever was whole was so with the last that came.
            head = self.connection.resp.used or head
        if not self.in_time(head):
            return self.unread(text) if http.unread else self.too_late(http, head)
        done = http.body_end or http.read_enough
        if http.body_end is not None and http.read_enough is not None:
            done = min(http.body_end, http.read_enough)
        if done is None or not self.in_time(done):
            broken = self.broken(http, text) if self.whole_body else None
            if broken is not None:
                return broken
            done = head
        unended = http.lost and http.body_end is None and http.read_enough is None
        if unended and self.whole_body and self.wanted_more():
            if http.unread:
                return self.unread(text)
            return self.cut(f"{text}, and whether its body came whole is not in the capture")
        if self.noticed_late(done):
            resp = self.connection.resp
            if resp.retransmits and resp.acked < resp.length:
                # Seen here, near the target, and never at the checker: it was lost behind this place.
                return self.silence(Outcome.FAILURE, Cause.SLOW_ANSWER, f"{text} was sent, and never acknowledged")
            return self.late(done, text, http.status)
        unread = http.lost and http.header_end is None and redirect_target(self.exchange) is None
        if unread and self.whole_body and http.status in REDIRECTS:
            return self.cut(f"{text}, and where to is not in the capture")
        if 300 <= http.status < 400:
            # Whatever 3xx is left after the redirect policy is a warning to the kubelet, 304 too (DoHTTPProbe).
            return self.frame(Outcome.SUCCESS, Cause.OK_REDIRECT, done, text, http.status)
        if 200 <= http.status < 300:
            return self.frame(Outcome.SUCCESS, Cause.OK, done, text, http.status)
        return self.frame(Outcome.FAILURE, Cause.STATUS, done, text, http.status)

    def too_late(self, http: HttpExchange, head: Mark) -> Verdict:
        """Judge an answer whose header came when nobody waited for it any more."""
        if self.connection.only_data:
            after = (head.ns - self.start_ns) / SECOND
            return self.cut(f"answered after {after:.2f} s: when the checker hung up is not in the capture")
        verdict = self.silence(Outcome.FAILURE, Cause.SLOW_ANSWER, "no answer in time")
        if verdict.late_answer_ns is not None:
            verdict = replace(
                verdict, detail=f"answer after {verdict.late_answer_ns / SECOND:.2f} s", status=http.status
            )
        return verdict

    def broken(self, http: HttpExchange, text: str) -> Verdict | None:
        """Judge a body that did not come whole; None where the capture, not the wire, lost it."""
        if http.lost:
            return None
        if self.connection.only_data:
            return self.cut(ENDED)
        resp = self.connection.resp
        ends = [mark for mark in (resp.rst, self.server_end) if mark is not None and self.in_time(mark)]
        if ends:
            mark = min(ends)
            what = "reset" if mark == resp.rst else "cut short"
            return self.frame(
                Outcome.DISCARDED,
                Cause.BODY_BROKEN,
                mark,
                f"{text}, body {what} after {http.body_bytes} bytes",
                http.status,
            )
        if self.gave_up is not None and self.gave_up.ns < self.deadline_ns - LEAD_NS:
            # Not the end of its patience: nothing happens at the deadline any more.
            return self.frame(
                Outcome.DISCARDED,
                Cause.BODY_BROKEN,
                self.gave_up,
                f"{text}, and the checker hung up before its body was whole",
                http.status,
            )
        if self.gave_up is not None or self.seen_until_ns is None or self.seen_until_ns >= self.deadline_ns:
            return self.silence(
                Outcome.DISCARDED, Cause.BODY_BROKEN, f"{text}, body stalled after {http.body_bytes} bytes", http.status
            )
        return self.cut("the capture ends inside the answer's body")

    def https(self) -> Verdict:
        tls = self.exchange.tls
        if self.exchange.http and self.exchange.decrypted:
            # TLS 1.3: a server that wants a client certificate says so after the request was sent.
            refused = self.handshake(tls) if tls is not None and self.exchange.http[0].status is None else None
            return refused or self.http()
        if tls is None:
            if self.exchange.http:
                return self.http()
            if self.connection.question_lost:
                return self.cut("the capture lost the request")
            return self.unanswered(None)
        resp = self.connection.resp
        if tls.plain_answer is not None and self.in_time(tls.plain_answer):
            if tls.plain_status is not None:
                return self.frame(
                    Outcome.FAILURE,
                    Cause.TLS_ON_PLAIN_HTTP,
                    tls.plain_answer,
                    f"the server answered the ClientHello in plain HTTP: {tls.plain_status}",
                    tls.plain_status,
                )
            return self.frame(
                Outcome.FAILURE,
                Cause.TLS_FAILED,
                tls.plain_answer,
                "the first record does not look like a TLS handshake",
            )
        verdict = self.handshake(tls)
        if verdict is not None:
            return verdict
        if tls.server_hello is None and resp.gap is not None and resp.gap < resp.length:
            return self.cut(HELLO_CUT if resp.shortened else "the capture lost the answer")
        for mark, what in ((resp.rst, "reset"), (resp.fin, "closed")):
            if mark is not None and tls.server_hello is None and self.in_time(mark):
                return self.frame(
                    Outcome.FAILURE, Cause.TLS_FAILED, mark, f"{what} by the server during the TLS handshake"
                )
        if tls.server_hello is None:
            return self.unheard("ClientHello unanswered")
        end = self.gave_up or resp.fin or self.connection.end
        return self.frame(
            Outcome.INCONCLUSIVE, Cause.ENCRYPTED, end, f"{tls.version or 'TLS'}, the answer is encrypted"
        )

    def handshake(self, tls: TlsFacts) -> Verdict | None:
        """Judge alerts that ended the handshake."""
        for alert in tls.alerts:
            if alert.level == 2 and alert.description != 0 and self.in_time(alert.mark):
                by = "the checker" if alert.by_client else "the server"
                return self.frame(Outcome.FAILURE, Cause.TLS_ALERT, alert.mark, f"TLS alert {alert.name} from {by}")
        return None

    def grpc(self) -> Verdict:
        facts = self.exchange.grpc
        resp = self.connection.resp
        if facts is None or facts.preface is None:
            if self.connection.orig.length == 0 or not resp.packets:
                return self.unanswered(None)
            return self.cut("the request is missing from the capture")
        if facts.plain_answer:
            return self.silence(Outcome.FAILURE, Cause.GRPC_CONNECT, "the server does not speak HTTP/2")
        if facts.answer_end is not None and self.in_time(facts.answer_end):
            return self.rpc(facts, facts.answer_end)
        if facts.server_settings is None:
            for mark, what in ((resp.rst, "reset"), (resp.fin, "closed")):
                if mark is not None and self.in_time(mark):
                    return self.silence(
                        Outcome.FAILURE, Cause.GRPC_CONNECT, f"{what} by the server before HTTP/2 settings"
                    )
        if resp.gap is not None and resp.gap < resp.length:
            return self.cut("the capture lost the answer")
        orig = self.connection.orig
        if facts.request_end is None and orig.gap is not None and orig.gap < orig.length:
            return self.cut("the capture lost the request")
        for mark, cause, what in (
            (resp.rst, Cause.RESET_BEFORE_ANSWER, "connection reset by peer"),
            (resp.fin, Cause.CLOSED_BEFORE_ANSWER, "EOF"),
        ):
            if mark is not None and facts.request_end is not None and self.in_time(mark):
                return self.frame(Outcome.FAILURE, cause, mark, what)
        if facts.unread:
            return self.cut(
                "more came than probewatch reads of an answer, or of a question: what they say is not known"
            )
        return self.unheard("health check not answered")

    def rpc(self, facts: GrpcFacts, mark: Mark) -> Verdict:
        if facts.grpc_status not in (0, None):
            message = f": {facts.grpc_message}" if facts.grpc_message else ""
            return self.frame(
                Outcome.FAILURE, Cause.GRPC_STATUS, mark, f"grpc-status {facts.grpc_status}{message}", facts.grpc_status
            )
        if facts.serving is None:
            if facts.http_status and facts.http_status != "200":
                return self.frame(Outcome.FAILURE, Cause.GRPC_STATUS, mark, f"HTTP status {facts.http_status}")
            return self.frame(Outcome.FAILURE, Cause.GRPC_STATUS, mark, "no health answer")
        if facts.serving == 1:
            return self.frame(Outcome.SUCCESS, Cause.OK, mark, "SERVING", 0)
        return self.frame(
            Outcome.FAILURE, Cause.GRPC_NOT_SERVING, mark, SERVING.get(facts.serving, str(facts.serving)), 0
        )
