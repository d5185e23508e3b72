"""Why one attempt ended so: a table of rules over its own evidence, from a cause to a diagnosis of `model.diagnoses`.

Theory of operation. A verdict (`probes.judge`) says what happened; several reasons may lie below it. For each cause
`RULES` lists functions in the order of what they know: each looks at the attempt, its connections and what was said on
them, and returns what it found or None. The first that finds something gives the diagnosis. Where the packets of this
place fit other kinds as well, the finding names them (`equally`).

What only many attempts together show is for `probes.patterns`, and where a segment was lost for `probes.places`; both
put a finer diagnosis in the place of one made here.

A success without oddities costs two look-ups; nothing else is looked at.

It is over 600 lines, for all rules are one table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from probewatch.model.catalogue import CATALOGUE
from probewatch.model.connection import Connection
from probewatch.model.diagnoses import (
    CLIENT_CERTIFICATE,
    DIAGNOSES,
    FORWARDED,
    FORWARDED_BESIDES,
    GATEWAY,
    HEADER_ADVICE,
    OWN_REFUSAL,
    REDIRECTED_TO_NOBODY,
    STATUS_ADVICE,
    TLS_ADVICE,
    Kind,
)
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.exchange import ErrorPage, Exchange
from probewatch.model.finding import Evidence
from probewatch.model.timeline import Attempt, Cause, Leg, Outcome, Role
from probewatch.model.units import MS, briefly
from probewatch.wire.http1 import read_status_line

from .execs import one_string

PROMPT_NS: Final = 200 * MS
"""A kernel acknowledges within this (Linux delays an ACK by 40 ms, at most 200 ms); later is a stall or a loss."""
MESH_PORTS: Final = frozenset({15020, 15021, 4191})
"""Istio's agent and proxy (pilot-agent status/server.go), Linkerd's admin port."""
ISTIO_AGENT: Final = 15020
APP_HEALTH: Final = "/app-health/"
"""Where Istio's agent answers for the application (pkg/kube/inject/app_probe.go)."""
READ_BYTES: Final = 10 * 1024
"""What the kubelet reads of a body (pkg/probe/http maxRespBodyLength)."""
FRAME_HEADER: Final = 9
"""Bytes of an HTTP/2 frame's header (RFC 9113 section 4.1)."""
GREETINGS: Final = (
    (b"SSH-", "SSH"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"* OK", "IMAP"),
    (b"+OK", "POP3 or the Redis protocol"),
    (b"-ERR", "POP3 or the Redis protocol"),
)
"""How servers begin that are asked for HTTP and speak something else."""
AT_DEADLINE: Final = "at the deadline itself and before the checker closed: the kubelet may have counted it or not"
"""When an answer came of which the frames do not show whether it was in time."""
LOCATION: Final = 80
"""Characters of a redirect's target, or of a server's name, that a sentence repeats."""
FAULT: Final = 120
"""... and of what Go's client finds wrong with a header."""
NO_MAC: Final = bytes(6)
"""Link-layer address on a loopback interface."""


class Found(NamedTuple):
    """What a rule found; empty texts stand for those of the catalogue."""

    kind: Kind
    sentence: str = ""
    equally: tuple[Kind, ...] = ()
    advice: str = ""
    check: str = ""


class Case(NamedTuple):
    """One attempt before the rules."""

    attempt: Attempt
    exchanges: Sequence[Exchange]
    """Of its legs, in the same order; fewer where the attempt is told again without them."""

    @property
    def leg(self) -> Leg | None:
        """Return the connection that decided."""
        return self.attempt.legs[-1] if self.attempt.legs else None

    @property
    def exchange(self) -> Exchange | None:
        """Return what was said on it."""
        return self.exchanges[-1] if self.exchanges else None


Rule = Callable[[Case], Found | None]


def diagnose(attempt: Attempt, exchanges: Sequence[Exchange]) -> Diagnosis | None:
    """Return the diagnosis of one attempt from its own evidence; None where its cause says it all, or nothing is wrong."""
    if attempt.cause is Cause.OK and len(attempt.legs) < 2 and not any(leg.connection.orig.rst for leg in attempt.legs):
        return None
    case = Case(attempt, exchanges)
    for rule in RULES.get(attempt.cause, ()):
        found = rule(case)
        if found is not None:
            return made(attempt, found)
    return None


def made(attempt: Attempt, found: Found) -> Diagnosis:
    """Put what was found about one attempt into words."""
    return worded(found, (attempt.n,), (Evidence(attempt.file, *attempt.frames()),))


def worded(
    found: Found, attempts: tuple[int, ...], evidence: tuple[Evidence, ...], rows: tuple[str, ...] = ()
) -> Diagnosis:
    """Put a finding into words; `rows` beyond those of its kind."""
    why = DIAGNOSES[found.kind]
    return Diagnosis(
        kind=found.kind.value,
        rows=(*why.rows, *(row for row in rows if row not in why.rows)),
        sentence=found.sentence or why.sentence,
        check=found.check or why.check,
        advice=found.advice or why.advice,
        says=why.says,
        attempts=attempts,
        evidence=evidence,
        equally=tuple(kind.value for kind in found.equally),
        harmless=why.harmless,
    )


# No connection.


def _redirected(case: Case) -> Found | None:
    hops = [leg for leg in case.attempt.legs if leg.role is Role.REDIRECT]
    if not hops or case.attempt.outcome is Outcome.SUCCESS:
        return None
    if case.attempt.cause is Cause.REDIRECT_LIMIT:
        return Found(Kind.REDIRECT_FAILED, "The answers redirect endlessly: the kubelet stops after 10.")
    count = f"{len(hops)} times" if len(hops) > 1 else "once"
    where = _location(case)
    secure = where.startswith("https:") and all(leg.tls is None for leg in case.attempt.legs[:1])
    status, cause = case.attempt.status, case.attempt.cause
    end = f"which answered {status}" if cause is Cause.STATUS and status else f"which failed: {CATALOGUE[cause].label}"
    text = f"Redirected {count} on the same host{f', to {where}' if where else ''}, {end}."
    if cause is Cause.REFUSED:
        return Found(Kind.REDIRECT_FAILED, text, advice=f"{REDIRECTED_TO_NOBODY}{FORWARDED_BESIDES if secure else ''}")
    return Found(Kind.REDIRECT_FAILED, text, advice=FORWARDED if secure else "")


def _location(case: Case) -> str:
    """Return where the last redirect led; empty where it was not seen."""
    places = (one.http[0].answer_header("Location") for one in case.exchanges if one.http)
    return next((place[:LOCATION] for place in reversed([*places]) if place), "")


def _followed(case: Case) -> Found | None:
    return Found(Kind.REDIRECT_FOLLOWED) if any(leg.role is Role.REDIRECT for leg in case.attempt.legs) else None


def _local(case: Case) -> Found | None:
    connection = case.leg.connection if case.leg is not None else None
    if connection is None or not (connection.client == connection.server or connection.orig.mac == NO_MAC):
        return None
    return Found(Kind.LOCAL_ADDRESS)


def _sidecar(case: Case) -> Found | None:
    port = case.leg.connection.server_port if case.leg is not None else 0
    return Found(Kind.SIDECAR_DOWN) if port in MESH_PORTS else None


def challenged(connection: Connection) -> bool:
    """Tell whether the first answer to the SYN was an ACK of another connection (RFC 5961 section 4: a challenge ACK)."""
    orig, resp = connection.orig, connection.resp
    acked, opened = connection.history.find("a"), connection.history.find("h")
    if acked < 0 or not orig.syns or resp.rst is not None:
        return False
    if opened >= 0:
        return acked < opened
    # Where the capture lost the SYN-ACK, the checker goes on to talk; here its kernel sent a RST and no more.
    return orig.packets > len(orig.syns) and orig.first_ack is None and not (orig.length or resp.length)


def _no_connection(case: Case) -> Found | None:
    """Tell an answer that was lost from one that was never given."""
    if case.leg is None:
        return None
    connection = case.leg.connection
    syns, answers = connection.orig.syns, connection.resp.syns
    deadline_ns = case.attempt.end_ns
    sent = sum(mark.ns <= deadline_ns for mark in syns)
    if challenged(connection):
        return Found(Kind.TUPLE_COLLISION)
    if not answers:
        times = f"{sent} SYNs" if sent > 1 else "The SYN"
        verb = "left and nothing came back."
        return Found(Kind.SYN_UNANSWERED, f"{times} {verb}", (Kind.LOST_BEFORE_POD, Kind.LISTEN_QUEUE_FULL))
    if answers[0].ns > deadline_ns:
        waited = briefly(answers[0].ns - case.attempt.start.ns)
        if len(syns) > 1 and any(0 <= answers[0].ns - syn.ns < PROMPT_NS for syn in syns[1:]):
            return Found(
                Kind.SYN_UNANSWERED,
                f"The first SYN was lost; one sent again was answered after {waited}, when the probe had given up.",
                (Kind.LOST_BEFORE_POD, Kind.LISTEN_QUEUE_FULL),
            )
        return Found(
            Kind.NODE_STALLED,
            f"The SYN was answered after {waited}: even the kernel was late.",
            (Kind.LONG_ROUND_TRIP, Kind.SYN_UNANSWERED),
        )
    times = f"{len(answers)} times" if len(answers) > 1 else "once"
    came = connection.orig.first_ack
    back = (
        "never came back to the checker"
        if came is None
        else f"came back to the checker only after {briefly(came.ns - case.attempt.start.ns)}"
    )
    return Found(Kind.SYN_ACK_LOST, f"The pod answered the SYN ({times}), and its answer {back}.")


def _rejected(case: Case) -> Found | None:
    note = case.leg.connection.icmp if case.leg is not None else None
    if note is None:
        return Found(Kind.REJECTED)
    text = f"{note.reporter} rejected the SYN with ICMP: {note.explain()}."
    if case.leg is not None and note.reporter == case.leg.connection.client:
        text = f"The checker's own node rejected the SYN before it left (ICMP {note.explain()}): its packet filter, or a route."
    if case.attempt.end_mark is None:
        text += " That did not end the connect; the probe failed at its deadline."
    return Found(Kind.REJECTED, text)


# A connection, and no answer in time.


def _unacknowledged(case: Case) -> Found | None:
    """See an answer that is sent again and again, and that the checker never took."""
    if case.leg is None:
        return None
    connection = case.leg.connection
    resp = connection.resp
    if not resp.length or resp.acked >= resp.length or not resp.retransmits:
        return None
    first = next((arrival for arrival in resp.arrivals if arrival.length > resp.acked), None)
    if first is None or first.mark.ns > case.attempt.start.ns + max(case.attempt.latency_ns, 0):
        return None
    before = max((arrival.length for arrival in resp.arrivals if arrival.length <= resp.acked), default=0)
    if first.length - before >= connection.full_size:
        return Found(
            Kind.BIG_SEGMENTS_LOST,
            f"The answer's segments of full size were sent {resp.retransmits + 1} times and never acknowledged; small ones pass.",
        )
    return Found(Kind.ANSWER_LOST)


def _not_taken(case: Case) -> Found | None:
    """See a request that never reached the target, or whose kernel was late to say so."""
    if case.leg is None:
        return None
    orig, resp = case.leg.connection.orig, case.leg.connection.resp
    asked, taken = orig.first_data, resp.first_ack
    if asked is None:
        return None
    deadline_ns = case.attempt.end_ns
    if orig.acked == 0 and (taken is None or taken.ns > deadline_ns):
        if orig.retransmits == 0:
            return None
        return Found(Kind.REQUEST_LOST, equally=(Kind.NODE_STALLED,))
    if taken is not None and taken.ns - asked.ns > PROMPT_NS:
        late = briefly(taken.ns - asked.ns)
        again = orig.retransmits - max(0, len(orig.syns) - 1)
        if again > 1:
            text = f"The request was sent {again + 1} times before it was acknowledged, after {late}."
            return Found(Kind.REQUEST_LOST, text, (Kind.NODE_STALLED,))
        return Found(
            Kind.NODE_STALLED,
            f"Even the kernel acknowledged the request only after {late}.",
            (Kind.REQUEST_LOST, Kind.LONG_ROUND_TRIP) if orig.retransmits else (Kind.LONG_ROUND_TRIP,),
        )
    return None


def _asked_late(case: Case) -> Found | None:
    """See a checker that was connected and let most of its own time pass before it asked."""
    if case.leg is None:
        return None
    orig = case.leg.connection.orig
    asked, ready = orig.first_data, orig.first_ack
    if asked is None or ready is None or (asked.ns - ready.ns) * 2 < case.attempt.latency_ns:
        return None
    return Found(
        Kind.KUBELET_LATE,
        f"The checker was connected and asked only {briefly(asked.ns - ready.ns)} later: it was late itself.",
    )


def _http2(case: Case) -> Found | None:
    exchange = case.exchange
    if exchange is None or exchange.tls is None or exchange.grpc is None:
        return None
    ended = exchange.grpc.goaway or exchange.grpc.reset
    if not ended:
        return None
    frame = "GOAWAY" if exchange.grpc.goaway else "RST_STREAM"
    return Found(
        Kind.HTTP2_REFUSED, f"TLS chose HTTP/2 for this probe, and the server ended it with {frame} ({ended})."
    )


def answer_began(attempt: Attempt) -> int | None:
    """Return after how long the first byte of an answer came that was not whole in time; None where none came in time."""
    first = attempt.legs[-1].connection.resp.first_data if attempt.legs else None
    if first is None or first.ns > attempt.end_ns or attempt.cause is not Cause.SLOW_ANSWER:
        return None
    return first.ns - attempt.start.ns


def _slow(case: Case) -> Found | None:
    if case.leg is None or case.leg.connection.orig.length == 0:
        return None
    late_ns = case.attempt.late_answer_ns
    if (began_ns := answer_began(case.attempt)) is not None:
        text = f"The application's answer began after {briefly(began_ns)}, and its header was not whole in time."
        return Found(Kind.APPLICATION_SLOW, text)
    if late_ns is None:
        tls = case.exchange.tls if case.exchange is not None else None
        if tls is not None and tls.client_hello is not None and tls.server_hello is None:
            # (A server of another protocol may wait for more of what it takes for a request.)
            text = "The pod's kernel acknowledged the ClientHello at once; the server did not answer it in time."
            return Found(Kind.APPLICATION_SLOW, text, (Kind.HTTPS_TO_HTTP,))
        return Found(Kind.APPLICATION_SLOW)
    when = AT_DEADLINE if at_deadline(case.attempt) else "when the checker had hung up"
    return Found(
        Kind.APPLICATION_SLOW,
        f"The pod's kernel acknowledged the request at once; the application's answer came after {briefly(late_ns)}, {when}.",
    )


def at_deadline(attempt: Attempt) -> bool:
    """Tell whether a late answer came before the checker was seen to close: at the deadline itself."""
    if attempt.late_answer_ns is None or not attempt.legs:
        return False
    close = attempt.legs[-1].connection.orig.closed
    return close is not None and attempt.start.ns + attempt.late_answer_ns <= close.ns


def _late(case: Case) -> Found | None:
    if case.leg is None or case.attempt.status is None:
        return None
    return Found(Kind.KUBELET_LATE)


# An answer, or an end.


def _status(case: Case) -> Found | None:
    status, leg, exchange = case.attempt.status, case.leg, case.exchange
    if status is None or leg is None:
        return None
    http = exchange.http[0] if exchange is not None and exchange.http else None
    if leg.connection.server_port == ISTIO_AGENT and http is not None and http.target.startswith(APP_HEALTH):
        return Found(Kind.MESH_HIDES_IT) if status == 500 else Found(Kind.SAYS_UNHEALTHY)
    page = exchange.page if exchange is not None else None
    if status in GATEWAY:
        return Found(
            Kind.BEHIND_THE_PROXY,
            f"The answer was {status}: so says a proxy of what stands behind it, and hardly an application of itself.",
        )
    if page is ErrorPage.NO_BACKEND:
        text = "A proxy answered 503 for the application: in its own words it has no backend to hand the request to."
        return Found(Kind.BEHIND_THE_PROXY, text)
    if not 400 <= status < 500:
        return Found(
            Kind.SAYS_UNHEALTHY,
            f"The application answered {status} in {briefly(case.attempt.latency_ns)}: it is running, but reports itself unhealthy.",
        )
    plain = leg.tls is None
    if page is ErrorPage.WANTS_TLS and plain:
        return Found(Kind.HTTP_TO_HTTPS, "The server answered 400, and says in its body that this port wants TLS.")
    if status == 400 and plain and http is not None and http.answer_version == "HTTP/1.0" and not http.answer_headers:
        # Go's TLS server, to plain HTTP (crypto/tls, net/http: "Client sent an HTTP request to an HTTPS server.").
        return Found(Kind.HTTP_TO_HTTPS, "The server answered the bare 400 that Go's TLS servers send to plain HTTP.")
    return Found(
        Kind.TURNED_AWAY,
        f"The server answered {status} in {briefly(case.attempt.latency_ns)}: it is running, but turns the probe away.",
        (Kind.HTTP_TO_HTTPS,) if status == 400 and plain else (),
        STATUS_ADVICE.get(status, ""),
    )


def _reset(case: Case) -> Found | None:
    leg = case.leg
    if leg is None:
        return None
    asked, reset = leg.connection.orig.first_data, leg.connection.resp.rst
    if asked is None or (reset is not None and reset < asked):
        return Found(Kind.RESET_BY_SERVER, "The connection was accepted and reset at once, before anything was asked.")
    closed = leg.connection.resp.fin
    if leg.connection.question and closed is not None and closed < asked:
        return Found(
            Kind.RESET_BY_SERVER,
            f"The server had closed this connection {briefly(asked.ns - closed.ns)} before (FIN, frame {closed.number}); "
            "the checker asked on it all the same.",
            (),
            "Let the server keep idle connections for longer than the pause between two checks, unless it was stopped then.",
        )
    if leg.connection.resp.length:
        return Found(Kind.RESET_BY_SERVER, "The connection was accepted, and reset after part of an answer had come.")
    plain = case.exchange is not None and case.exchange.tls is None and bool(case.exchange.http)
    return Found(
        Kind.RESET_BY_SERVER,
        "The connection was accepted, and reset after the request had come.",
        (Kind.HTTP_TO_HTTPS,) if plain else (),
    )


def _closed(case: Case) -> Found | None:
    exchange = case.exchange
    plain = exchange is not None and exchange.tls is None and bool(exchange.http)
    some = case.leg is not None and case.leg.connection.resp.length > 0
    return Found(
        Kind.CLOSED_UNANSWERED,
        "The server closed the connection in the middle of the answer's header." if some else "",
        (Kind.HTTP_TO_HTTPS,) if plain and not some else (),
    )


def _broken(case: Case) -> Found | None:
    status, end = case.attempt.status, case.attempt.end_mark
    if case.leg is not None and end is not None and end == case.leg.connection.orig.closed:
        waited = briefly(end.ns - case.attempt.start.ns)
        return Found(
            Kind.BROKEN_BODY,
            f"The checker hung up after {waited}, before its timeout and before the answer's body was whole.",
            check="Why the checker left: it was ended or restarted, or is none that waits for a whole body.",
            advice="Nothing to mend at the server, as far as this shows: it did not break the body off.",
        )
    if status is None or status < 400:
        return Found(Kind.BROKEN_BODY)
    text = f"The answer says {status}, but its body is incomplete: the kubelet discards the result, and the failure does not count."
    return Found(Kind.BROKEN_BODY, text)


def _tls(case: Case) -> Found | None:
    tls = case.leg.tls if case.leg is not None else None
    exchange = case.exchange
    if exchange is not None and exchange.tls is not None and exchange.tls.plain_answer is not None:
        return Found(Kind.HTTPS_TO_HTTP)
    if tls is None or not tls.alert:
        return Found(Kind.TLS_REFUSED, f"The TLS handshake was not completed: {case.attempt.detail}.")
    if tls.alert_by_checker:
        return Found(Kind.TLS_REFUSED, f"The checker refused the TLS handshake: alert {tls.alert}.", advice=OWN_REFUSAL)
    text, advice = f"The server refused the TLS handshake: alert {tls.alert}.", TLS_ADVICE.get(tls.alert, "")
    if tls.alert == "handshake_failure" and tls.version:
        # (They had agreed by then: OpenSSL says this too, up to TLS 1.2, to who has no certificate to show.)
        return Found(Kind.TLS_REFUSED, f"{text[:-1]}, behind its ServerHello.", advice=CLIENT_CERTIFICATE)
    if tls.alert == "unrecognized_name" and tls.sni:
        return Found(Kind.TLS_REFUSED, f"{text[:-1]}: it does not know {tls.sni[:LOCATION]}.")
    return Found(Kind.TLS_REFUSED, text, advice=advice)


def _grpc_connect(case: Case) -> Found | None:
    """Tell from all dials of a gRPC probe why it found no peer: the deadline ends it, whatever happened."""
    legs = [leg.connection for leg in case.attempt.legs]
    refused = sum(one.resp.rst is not None and not one.resp.syns for one in legs)
    if refused:
        times = f"each of {len(legs)} times" if refused == len(legs) > 1 else f"{refused} of {len(legs)} dials"
        return Found(
            Kind.GRPC_REFUSED,
            f"Nothing listens on the gRPC port (refused {times}); the kubelet reports a timeout."
            if refused > 1
            else "",
        )
    if any(one.icmp is not None and not one.resp.syns for one in legs):
        return _rejected(case)
    for exchange in case.exchanges:
        said = exchange.grpc.plain_answer if exchange.grpc is not None else ""
        ended = exchange.connection.resp.rst is not None or exchange.connection.resp.fin is not None
        if said or (exchange.grpc is not None and exchange.grpc.server_settings is None and ended):
            return Found(
                Kind.GRPC_OTHER_PROTOCOL,
                f"The HTTP/2 preface was answered with {said[:40]!r}." if said.isascii() and said else "",
            )
    return _no_connection(case)


def _grpc_status(case: Case) -> Found | None:
    status = case.attempt.status
    what = {12: "does not implement the health service", 5: "does not know the service name that the probe asks for"}
    if status is None:
        return Found(Kind.GRPC_OTHER_PROTOCOL, "The server speaks HTTP/2, and not gRPC.")
    return Found(
        Kind.GRPC_NO_HEALTH, f"The gRPC server {what.get(status, 'refused the health call')} (grpc-status {status})."
    )


def _answered_late(case: Case) -> Found | None:
    """See an address that was answered for when the probe was over: then the SYN left after all."""
    leg = case.leg
    if leg is None:
        return None
    waited = leg.connection.start.ns - case.attempt.start.ns
    return Found(
        Kind.NOBODY_AT_ADDRESS,
        f"The pod's address was answered for on the link (ARP or ND) only after {briefly(waited)}, when the probe had given up.",
    )


def _reset_after(case: Case) -> Found | None:
    for leg in case.attempt.legs:
        connection = leg.connection
        if connection.orig.rst is not None and connection.resp.length and connection.bare_ack:
            long = connection.resp.length > READ_BYTES
            return Found(
                Kind.RESET_AFTER_ANSWER, advice="A body of 10 KiB and less is read to its end." if long else ""
            )
    return None


def _exec(case: Case) -> Found | None:
    run = case.attempt.execs[-1] if case.attempt.execs else None
    if run is None:
        return Found(Kind.EXEC_FAILED)
    if case.attempt.cause is Cause.EXEC_TIMEOUT:
        return Found(Kind.EXEC_SLOW)
    if case.attempt.cause is Cause.EXEC_NOT_FOUND:
        return Found(Kind.EXEC_ONE_STRING if one_string(run.arguments) and not run.started else Kind.EXEC_NOT_STARTED)
    if run.signal:
        return Found(Kind.EXEC_KILLED)
    return Found(
        Kind.EXEC_FAILED, f"The command ended by itself with exit status {run.exit_code}: it says that all is not well."
    )


def _bad_header(case: Case) -> Found | None:
    """See an answer whose first line is HTTP's, and whose header Go's client refuses."""
    http = case.exchange.http[0] if case.exchange is not None and case.exchange.http else None
    if http is None or not http.malformed or http.malformed.startswith("malformed HTTP"):
        return None
    said = case.exchange.connection.resp.data if case.exchange is not None else b""
    if read_status_line(said.partition(b"\n")[0].rstrip(b"\r")) is None:
        return None
    advice = next((advice for begins, advice in HEADER_ADVICE if http.malformed.startswith(begins)), "")
    text = f"The server speaks HTTP, and Go's client refuses the header of its answer: {http.malformed[:FAULT]}."
    return Found(Kind.BAD_HEADER, text, advice=advice)


def _not_http(case: Case) -> Found | None:
    """Name the protocol that answered in the place of HTTP, where its first bytes tell it."""
    said = case.exchange.connection.resp.data if case.exchange is not None else b""
    if len(said) >= FRAME_HEADER and said[3:5] == b"\x04\x00" and said[5:9] == bytes(4):
        text = "The port speaks HTTP/2 in clear (it greeted with SETTINGS), as gRPC servers do, and not HTTP/1."
        return Found(Kind.NOT_HTTP, text, advice="Use a grpc probe there, or a port that speaks HTTP/1.1.")
    name = next((name for greeting, name in GREETINGS if said.startswith(greeting)), "")
    return Found(Kind.NOT_HTTP, f"The port speaks {name}, not HTTP." if name else "")


def _long_header(case: Case) -> Found | None:
    one = case.exchange
    if one is None or not (any(http.unread for http in one.http) or (one.grpc is not None and one.grpc.unread)):
        return None
    return Found(Kind.LONG_HEADER)


def _always(kind: Kind) -> Rule:
    def rule(_: Case) -> Found | None:
        return Found(kind)

    return rule


RULES: Final[dict[Cause, tuple[Rule, ...]]] = {
    Cause.OK: (_followed, _reset_after),
    Cause.OK_REDIRECT: (_always(Kind.REDIRECT_ELSEWHERE),),
    Cause.REFUSED: (_redirected, _local, _sidecar, _always(Kind.NOTHING_LISTENS)),
    Cause.NO_SYN_ANSWER: (_redirected, _no_connection),
    Cause.UNREACHABLE: (_redirected, _rejected),
    Cause.NEIGHBOUR_UNRESOLVED: (_answered_late, _always(Kind.NOBODY_AT_ADDRESS)),
    Cause.SLOW_ANSWER: (_redirected, _http2, _unacknowledged, _not_taken, _asked_late, _slow),
    Cause.CLIENT_LATE: (_late,),
    Cause.BODY_BROKEN: (_unacknowledged, _broken),
    Cause.RESET_BEFORE_ANSWER: (_redirected, _http2, _reset),
    Cause.CLOSED_BEFORE_ANSWER: (_redirected, _http2, _closed),
    Cause.MALFORMED_ANSWER: (_redirected, _bad_header, _not_http),
    Cause.REDIRECT_LIMIT: (_redirected,),
    Cause.STATUS: (_redirected, _status),
    Cause.TLS_ON_PLAIN_HTTP: (_redirected, _always(Kind.HTTPS_TO_HTTP)),
    Cause.PLAIN_HTTP_ON_TLS: (_redirected, _always(Kind.HTTP_TO_HTTPS)),
    Cause.TLS_ALERT: (_redirected, _tls),
    Cause.TLS_FAILED: (_redirected, _tls),
    Cause.GRPC_CONNECT: (_grpc_connect,),
    Cause.GRPC_STATUS: (_grpc_status,),
    Cause.GRPC_NOT_SERVING: (_always(Kind.GRPC_UNHEALTHY),),
    Cause.EXEC_EXIT: (_exec,),
    Cause.EXEC_TIMEOUT: (_exec,),
    Cause.EXEC_NOT_FOUND: (_exec,),
    Cause.CUT: (_long_header,),
}
"""Rules of each cause, the most knowing first; none for `encrypted`, of which nothing more is known."""
