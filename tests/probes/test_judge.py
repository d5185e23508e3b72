# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""One connection, one verdict: every cause once and plainly, then what a naive judge gets wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builder import S, conversation, track
from hypothesis import given
from hypothesis import strategies as st
from make import GRPC, HTTP, OPENED, POD, SCRIPTS, TCP, V4, V6, answer, exchange, mark, ns, request, script_of

from probewatch.model.connection import Connection, IcmpNote
from probewatch.model.exchange import Exchange, GrpcFacts, HttpExchange, TlsAlert, TlsFacts
from probewatch.model.spec import Handler
from probewatch.model.timeline import Cause, Outcome
from probewatch.probes.judge import Verdict, is_broken_body, judge, redirect_target
from probewatch.wire.exchange import read_exchange

ASKED = OPENED + f"> PA {request()}\n < A\n"
CLOSED = "> A\n > FA\n < FA\n > A"
HELLO = OPENED + "> PA '\\x16\\x03\\x01'\n < A\n"
"""A ClientHello begins; what it says comes as facts."""
PREFACE = OPENED + "> PA 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'\n < A\n"
SUCCESS, FAILURE, DISCARDED, UNKNOWN = Outcome.SUCCESS, Outcome.FAILURE, Outcome.DISCARDED, Outcome.INCONCLUSIVE


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def ends(request: pytest.FixtureRequest) -> str:
    """Return both ends, in each IP version."""
    return str(request.param)


def judged(script: str, ends: str, handler: Handler = HTTP, *, timeout: int = 1, scheme: str = "HTTP", until: float | None = 60.0,
           **facts: object) -> Verdict:
    """Judge a script's connection; the capture goes on until `until`."""
    return judge(exchange(script, ends, **facts), handler, timeout * S, scheme=scheme, seen_until_ns=ns(until) if until is not None else None)


def said(verdict: Verdict) -> tuple[Outcome, Cause]:
    """Return the two words of a verdict."""
    return verdict.outcome, verdict.cause


# httpGet, answered.


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "299 Odd", "206 Partial Content"])
def test_ok(ends, status) -> None:
    """A whole answer from 200 to 299 in time is success, at the frame that completes it (http.go DoHTTPProbe)."""
    verdict = judged(f"{ASKED} +3ms < PA {answer(status, '')}\n {CLOSED}", ends)
    assert said(verdict) == (SUCCESS, Cause.OK)
    assert (verdict.status, verdict.detail) == (int(status[:3]), status)
    assert verdict.end_ns - ns(0) == 3_400_000
    assert verdict.end_mark is not None
    assert not verdict.by_deadline


@pytest.mark.parametrize(("status", "headers"), [("302 Found", "Location: http://elsewhere.example/\\r\\n"), ("304 Not Modified", ""), ("300 Choices", ""),
                                                ("399 Odd", "")])
def test_ok_redirect(ends, status, headers) -> None:
    """3xx that is not followed is success with a warning (pkg/probe/http/http.go RedirectChecker)."""
    verdict = judged(f"{ASKED} < PA {answer(status, '', headers)}\n {CLOSED}", ends)
    assert said(verdict) == (SUCCESS, Cause.OK_REDIRECT)


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "503 Service Unavailable", "599 Odd"])
def test_status(ends, status) -> None:
    """A whole answer outside 200-399 is a failure, at once and with its status."""
    verdict = judged(f"{ASKED} < PA {answer(status)}\n {CLOSED}", ends)
    assert said(verdict) == (FAILURE, Cause.STATUS)
    assert verdict.status == int(status[:3])


def test_interim_answers_are_passed_over(ends) -> None:
    """100 Continue before 200 is success (`http-continue`)."""
    script = f"{ASKED} < PA 'HTTP/1.1 100 Continue\\r\\n\\r\\n'\n > A\n < PA {answer()}\n {CLOSED}"
    assert said(judged(script, ends)) == (SUCCESS, Cause.OK)


def test_dribbled_header(ends) -> None:
    """A header that comes in pieces counts when it is complete (`http-dribble`)."""
    script = f"{ASKED} < PA 'HTTP/1.1 2'\n > A\n +400ms < PA '00 OK\\r\\nContent-Le'\n > A\n +400ms < PA 'ngth: 0\\r\\n\\r\\n'\n {CLOSED}"
    verdict = judged(script, ends)
    assert said(verdict) == (SUCCESS, Cause.OK)
    assert verdict.end_ns - ns(0) > 800_000_000


def test_body_until_close(ends) -> None:
    """Without a length the FIN ends the body, so an early FIN is no broken body (HTTP/1.0)."""
    script = f"{ASKED} < PA 'HTTP/1.0 200 OK\\r\\n\\r\\nok'\n < FA\n > A\n > FA\n < A"
    assert said(judged(script, ends)) == (SUCCESS, Cause.OK)


# httpGet, answered badly or not at all.


def test_slow_answer(ends) -> None:
    """The request was acknowledged and the checker hung up at its deadline: a failure given by silence."""
    verdict = judged(script_of("hung"), ends)
    assert said(verdict) == (FAILURE, Cause.SLOW_ANSWER)
    assert verdict.end_ns == ns(1)
    assert verdict.end_mark is None
    assert verdict.by_deadline


def test_late_200_is_a_failure(ends) -> None:
    """A 200 after the deadline draws a bare RST and changes nothing; its true latency is kept (`http-timeout` 87-88, rule 4 of 11.4)."""
    verdict = judged(f"{script_of('hung')}\n +1460ms < PA {answer()}\n > R", ends)
    assert said(verdict) == (FAILURE, Cause.SLOW_ANSWER)
    assert verdict.end_ns == ns(1)
    assert verdict.late_answer_ns is not None
    assert verdict.late_answer_ns // 10_000_000 == 250
    assert verdict.detail == "answer after 2.50 s"
    assert verdict.status == 200


def test_fin_before_answer_within_the_deadline(ends) -> None:
    """What counts is who spoke first: an answer after the checker's own FIN was not taken, even before the deadline (another timeout than we know)."""
    verdict = judged(f"{ASKED} +500ms > FA\n +1ms < PA {answer()}\n > R", ends, timeout=3)
    assert verdict.outcome is FAILURE
    assert verdict.cause is Cause.SLOW_ANSWER
    assert verdict.late_answer_ns is not None


def test_answer_just_in_time(ends) -> None:
    """An answer a millisecond before the deadline is a success."""
    verdict = judged(f"{ASKED} +998500us < PA {answer()}\n {CLOSED}", ends)
    assert said(verdict) == (SUCCESS, Cause.OK)


def test_client_late(ends) -> None:
    """The answer was on the wire at 0.3 s and the checker closed at 1.65 s: its own deadline passed before it looked (D11)."""
    verdict = judged(f"{ASKED} +300ms < PA {answer()}\n > A\n +1350ms > FA\n < FA\n > A", ends)
    assert said(verdict) == (FAILURE, Cause.CLIENT_LATE)
    assert verdict.status == 200
    assert verdict.end_ns > ns(1.6)


def test_client_late_and_still_silent(ends) -> None:
    """The checker's kernel took answer and FIN, and its process has not closed though its deadline passed: it gets no CPU."""
    verdict = judged(f"{ASKED} +300ms < PA {answer()}\n > A\n < FA\n +40ms > A", ends)
    assert (said(verdict), verdict.by_deadline) == ((FAILURE, Cause.CLIENT_LATE), True)
    early = judged(f"{ASKED} +300ms < PA {answer()}\n > A\n < FA\n +40ms > A", ends, until=0.9)
    assert said(early) == (SUCCESS, Cause.OK)


def test_a_connection_that_the_server_reset_needs_no_close(ends) -> None:
    """A server that answers and closes before the request came resets that: the answer counts, and nobody waited until the deadline."""
    early = f"{OPENED} < PA {answer('503 Service Unavailable', 'busy')}\n > A\n < FA\n > PA {request()}\n < R"
    verdict = judged(early, ends)
    assert (said(verdict), verdict.status) == ((FAILURE, Cause.STATUS), 503)
    assert said(judged(early.removesuffix("\n < R"), ends)) == (FAILURE, Cause.CLIENT_LATE)


def test_a_close_that_the_capture_lost_is_no_client_late(ends) -> None:
    """Where the server acknowledges a FIN that is not here, the checker had closed."""
    asked = exchange(ASKED, ends).connection.orig.length
    verdict = judged(f"{ASKED} +3ms < PA {answer()}\n > A\n < FA\n > A\n < A ack={asked + 2}", ends)
    assert said(verdict) == (SUCCESS, Cause.OK)


def test_a_connection_that_is_kept_was_not_noticed_late(ends) -> None:
    """A proxy puts its connection by when it has its answer, and drops it when it likes: only who closes at once can be late."""
    kept = exchange(f"{ASKED} +1ms < PA {answer()}\n > A\n +2240ms > RA", ends)
    both = (judge(kept, HTTP, S, seen_until_ns=ns(60), closes_at_once=at_once) for at_once in (True, False))
    assert [said(verdict) for verdict in both] == [(FAILURE, Cause.CLIENT_LATE), (SUCCESS, Cause.OK)]


def test_tcp_noticed_too_late(ends) -> None:
    """A connect check whose process was stopped closes long after its deadline: its dial had timed out by then."""
    assert said(judged(OPENED + "+2500ms > FA\n < FA\n > A", ends, TCP)) == (FAILURE, Cause.CLIENT_LATE)
    assert said(judged(OPENED + "+700ms > FA\n < FA\n > A", ends, TCP)) == (SUCCESS, Cause.OK)


def test_a_deadline_at_the_end_of_the_capture(ends) -> None:
    """The checker's timer starts before its SYN is seen: what comes a moment later, the next attempt, ends the capture after the deadline."""
    assert said(judged("> S", ends, until=0.9995)) == (FAILURE, Cause.NO_SYN_ANSWER)
    assert said(judged("> S", ends, until=0.99)) == (UNKNOWN, Cause.CUT)


def test_late_close_within_the_deadline_is_no_client_late(ends) -> None:
    """A FIN half a second after the answer, before the deadline, is slow but a success."""
    verdict = judged(f"{ASKED} < PA {answer()}\n > A\n +500ms > FA\n < FA\n > A", ends)
    assert said(verdict) == (SUCCESS, Cause.OK)


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
@pytest.mark.parametrize(("end", "what"), [("< RA", "reset"), ("< FA\n > A\n > FA\n < A", "cut short")])
def test_body_broken(ends, status, end, what) -> None:
    """RST or FIN in the body is a prober error: the result is thrown away, whatever the status was (rules 5 and 7 of 11.4)."""
    verdict = judged(f"{ASKED} < PA {answer(status, 'half', length=900)}\n > A\n {end}", ends)
    assert said(verdict) == (DISCARDED, Cause.BODY_BROKEN)
    assert what in verdict.detail
    assert "after 4 bytes" in verdict.detail


def test_stalled_body(ends) -> None:
    """A body that stops until the deadline is a prober error too, given by silence (pkg/probe/http/http.go DoHTTPProbe)."""
    script = f"{ASKED} < PA {answer(length=900)}\n > A\n +999500us > FA\n < A"
    verdict = judged(script, ends)
    assert said(verdict) == (DISCARDED, Cause.BODY_BROKEN)
    assert verdict.by_deadline
    assert is_broken_body(exchange(script, ends))


@pytest.mark.parametrize(("status", "cause"), [("200 OK", Cause.OK), ("503 Service Unavailable", Cause.STATUS)])
def test_client_reset_after_a_big_body(ends, status, cause) -> None:
    """Over 10 KiB the kubelet stops reading and closes with bytes unread: its RST is harmless (rule 3 of 11.4, `http-big-body`)."""
    script = f"{ASKED} < PA {answer(status, 'x' * 1200, length=60_000)}\n" + "".join(f" < PA '{'x' * 1400}'\n > A\n" for _ in range(8)) + " > RA"
    verdict = judged(script, ends)
    assert verdict.cause is cause
    assert not is_broken_body(exchange(script, ends))


def test_short_body_of_ten_kib_is_whole(ends) -> None:
    """A long body read to its limit counts from the byte that reached the limit, and no earlier."""
    script = f"{ASKED} < PA {answer('200 OK', 'x' * 1200, length=60_000)}\n" + "".join(f" +1ms < PA '{'x' * 1400}'\n > A\n" for _ in range(8)) + " > RA"
    verdict = judged(script, ends)
    assert verdict.end_ns - ns(0) > 7_000_000


@pytest.mark.parametrize(("tail", "cause", "detail"), [
    ("< RA", Cause.RESET_BEFORE_ANSWER, "connection reset by peer"),
    ("< FA\n > A\n > FA\n < A", Cause.CLOSED_BEFORE_ANSWER, "EOF"),
    ("< PA 'HTTP/1.1 200 OK\\r\\nConte'\n > A\n < RA", Cause.RESET_BEFORE_ANSWER, "connection reset by peer"),
    ("< PA 'HTTP/1.1 200 OK\\r\\nX: y\\r\\n'\n > A\n < FA\n > A\n > FA\n < A", Cause.CLOSED_BEFORE_ANSWER, "EOF in the answer's header"),
])
def test_ended_by_the_server_before_the_header(ends, tail, cause, detail) -> None:
    """RST or FIN before the header is complete is a plain failure, with no retry (`http-reset-head`, `http-close-now`)."""
    script = ASKED + tail
    verdict = judged(script, ends)
    assert said(verdict) == (FAILURE, cause)
    assert verdict.detail == detail
    assert not is_broken_body(exchange(script, ends))


def test_reset_on_accept(ends) -> None:
    """A server that resets before anything was asked failed the attempt (`http-reset-now`)."""
    assert said(judged(OPENED + "< RA", ends)) == (FAILURE, Cause.RESET_BEFORE_ANSWER)


def test_a_request_that_is_never_acknowledged_holds_up_the_close(ends) -> None:
    """No FIN is seen at the deadline while the request is sent again and again: that is a failure, and no hole of the capture.

    Without a request sent again, the close that must have been there is missing, and the answer may be too.
    """
    again = OPENED + f"> PA {request()}\n +200ms > PA seq=1 {request()}\n +400ms > PA seq=1 {request()}"
    assert said(judged(again, ends)) == (FAILURE, Cause.SLOW_ANSWER)
    once = OPENED + f"> PA {request()}"
    assert said(judged(once, ends)) == (Outcome.INCONCLUSIVE, Cause.CUT)


def test_what_comes_after_the_checker_hung_up_comes_too_late(ends) -> None:
    """A body that is whole only then broke off, and is asked for again; a header that comes only then is no answer at all."""
    late_body = f"{ASKED} < PA {answer(body='ok', length=4)}\n > A\n +999ms > FA\n < A\n +400ms < PA 'ok'\n > R"
    assert is_broken_body(exchange(late_body, ends))
    assert said(judged(late_body, ends)) == (DISCARDED, Cause.BODY_BROKEN)
    late_header = f"{ASKED} +999ms > FA\n < A\n +400ms < PA {answer(body='ok', length=4)}\n > R"
    assert not is_broken_body(exchange(late_header, ends))
    assert said(judged(late_header, ends)) == (FAILURE, Cause.SLOW_ANSWER)


def test_a_redirect_whose_target_was_cut_is_not_known(ends) -> None:
    """A snapshot length that cut the header before its Location leaves open whether the redirect was followed: that is no success."""
    whole = exchange(ASKED + f"< PA {answer('301 Moved Permanently', '', 'Location: http://elsewhere.example/' + chr(92) + 'r' + chr(92) + 'n')}\n " + CLOSED, ends)
    assert said(judge(whole, HTTP, S, seen_until_ns=ns(60))) == (SUCCESS, Cause.OK_REDIRECT)
    resp = whole.connection.resp
    cut = replace(whole.connection, resp=replace(resp, data=resp.data[:40], gap=40))
    assert said(judge(read_exchange(cut), HTTP, S, seen_until_ns=ns(60))) == (UNKNOWN, Cause.CUT)


@pytest.mark.parametrize(("end", "found"), [
    ("> FA\n < FA\n > A", (SUCCESS, Cause.OK)),
    ("< FA\n > FA\n < A", (SUCCESS, Cause.OK)),
    ("< FA\n +30ms > FA\n < A", (SUCCESS, Cause.OK)),
    ("+50ms < FA\n > FA\n < A", (UNKNOWN, Cause.CUT)),
    ("< RA", (UNKNOWN, Cause.CUT)),
    ("+999ms > FA\n < A", (UNKNOWN, Cause.CUT)),
])
@pytest.mark.parametrize("kept", [20, 36])
def test_a_body_whose_end_was_cut_may_have_broken_off(ends, kept, end, found) -> None:
    """Who closes right after an answer had all of it. Who waits on for more of what a snapshot length cut may have got a broken body."""
    whole = exchange(ASKED + f"< PA {answer('200 OK', 'x' * 400)}\n {end}", ends)
    cut = replace(whole.connection, resp=replace(whole.connection.resp, data=whole.connection.resp.data[:kept], gap=kept))
    assert said(judge(read_exchange(cut), HTTP, S, seen_until_ns=ns(60))) == found
    assert said(judge(read_exchange(cut), HTTP, S, seen_until_ns=ns(60), whole_body=False))[0] is not Outcome.INCONCLUSIVE


LONG = f"< PA 'HTTP/1.1 200 OK\\r\\nX: {'b' * 20_000}'\n > A\n +5ms < PA '{'b' * 20_000}"
"""An answer whose header goes on beyond what is kept of a stream (wire.table.Limits.server_bytes); its last bytes are to come."""
WHOLE = LONG + "\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > A\n "


def test_a_header_beyond_what_is_kept_blames_no_capture(ends) -> None:
    """Whether it ended nothing here tells: where the checker waited on that is said, with the limit as ours, and how long it waited."""
    verdict = judged(f"{ASKED} {LONG}'\n > A\n +994ms > FA\n < A\n", ends)
    assert said(verdict) == (UNKNOWN, Cause.CUT)
    assert verdict.detail == (
        "200 OK, its header is longer than what probewatch keeps of an answer; the checker waited for more, and hung up after 1.000 s"
    )
    assert said(judged(f"{ASKED} {LONG}'\n > A\n +50ms < RA\n", ends)) == (UNKNOWN, Cause.CUT)
    early = judged(f"{ASKED} < PA 'HTTP/1.1 200 OK\\r\\nX: {'b' * 33_000}'\n > A\n > FA\n < PA 'b'\n < A\n", ends)
    assert said(early) == (UNKNOWN, Cause.CUT)  # (its last byte came when nobody waited any more)


def test_an_answer_with_a_long_header_is_there_with_its_end(ends) -> None:
    """Who closes at once had all of it: the answer took until the last that came, and not until its first byte."""
    verdict = judged(f"{ASKED} {WHOLE} > FA\n < FA\n > A", ends)
    assert said(verdict) == (SUCCESS, Cause.OK)
    assert verdict.end_ns - ns(0) == pytest.approx(5_500_000, abs=500_000)


def test_a_checker_that_hangs_up_inside_the_body_by_itself(ends) -> None:
    """Well before its timeout: that is when it was over, by its own frame, and nothing happened at the deadline."""
    late = "< PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n'\n > A\n > FA\n < PA 'ok'\n > R"
    verdict = judged(f"{ASKED} {late}", ends)
    assert said(verdict) == (DISCARDED, Cause.BODY_BROKEN)
    assert verdict.detail == "200 OK, and the checker hung up before its body was whole"
    assert not verdict.by_deadline
    assert verdict.end_ns - ns(0) < 2_000_000


def test_an_answer_that_is_longer_than_is_read_was_not_late() -> None:
    """What HTTP/2 said behind a limit of ours is not known: no server is called slow for that."""
    facts = GrpcFacts(preface=mark(0.0004), request_end=mark(0.0005), server_settings=mark(0.0005), unread=True)
    verdict = judged(f"{PREFACE} +1s > FA\n < A", V4, GRPC, grpc=facts)
    assert said(verdict) == (UNKNOWN, Cause.CUT)
    assert "more came than probewatch reads" in verdict.detail


def test_a_cut_request_leaves_no_doubt_of_silence(ends) -> None:
    """A snapshot length that cut the request takes nothing from what the server did: it said nothing until the deadline."""
    whole = exchange(ASKED + "+1s > FA\n < A", ends)
    cut = replace(whole.connection, orig=replace(whole.connection.orig, data=whole.connection.orig.data[:30]))
    assert said(judge(read_exchange(cut), HTTP, S, seen_until_ns=ns(60))) == (FAILURE, Cause.SLOW_ANSWER)


def test_accepted_and_never_asked(ends) -> None:
    """A connection on which nothing was asked until the deadline ended with it."""
    assert said(judged(OPENED + "+1s > FA\n < FA\n > A", ends)) == (FAILURE, Cause.SLOW_ANSWER)


def test_closed_before_the_request(ends) -> None:
    """A checker that closes without asking, long before its deadline, was late itself; no httpGet probe does it."""
    assert said(judged(OPENED + "> FA\n < FA\n > A", ends)) == (FAILURE, Cause.CLIENT_LATE)


@pytest.mark.parametrize("garbage", ["SSH-2.0-OpenSSH_9.2\\r\\n", "hello there, no HTTP at all\\r\\n\\r\\n", "HTTP/1.1 abc Odd\\r\\n\\r\\n"])
def test_malformed_answer(ends, garbage) -> None:
    """What Go's client would not read as HTTP is a failure as soon as it came."""
    verdict = judged(f"{ASKED} < PA '{garbage}'\n {CLOSED}", ends)
    assert said(verdict) == (FAILURE, Cause.MALFORMED_ANSWER)
    assert verdict.detail


# The handshake.


@pytest.mark.parametrize("handler", [HTTP, TCP])
def test_refused(ends, handler) -> None:
    """RST for a SYN is a closed port, known at once."""
    verdict = judged("> S\n < RA", ends, handler)
    assert said(verdict) == (FAILURE, Cause.REFUSED)
    assert verdict.end_ns - ns(0) == 100_000


@pytest.mark.parametrize("handler", [HTTP, TCP])
def test_no_syn_answer(ends, handler) -> None:
    """SYNs that nobody answers end with the deadline, however often they were sent."""
    verdict = judged("> S\n +1s > S seq=0\n +1s > S seq=0\n +1s > S seq=0", ends, handler, timeout=4)
    assert said(verdict) == (FAILURE, Cause.NO_SYN_ANSWER)
    assert verdict.end_ns == ns(4)
    assert "sent 4 times" in verdict.detail


def test_syn_ack_never_acknowledged(ends) -> None:
    """A SYN-ACK that is repeated here and never acknowledged is lost on the way to the node (D07)."""
    verdict = judged("> S\n < SA\n +1s < SA seq=0\n > S seq=0\n < SA seq=0", ends, timeout=3)
    assert said(verdict) == (FAILURE, Cause.NO_SYN_ANSWER)
    assert "3 times here, never acknowledged" in verdict.detail


def test_a_syn_ack_that_is_not_sent_again_was_answered(ends) -> None:
    """Linux sends an unanswered SYN-ACK again after a second; where it does not, the capture lost the answer and nobody knows how it went on."""
    assert said(judged("> S\n < SA", ends)) == (UNKNOWN, Cause.CUT)
    assert said(judged("> S\n < SA", ends, until=1.5)) == (UNKNOWN, Cause.CUT), "too early to tell"


@pytest.mark.parametrize(("rest", "found"), [
    (f"< PA seq=1 {answer()}\n > FA\n < FA\n > A", (SUCCESS, Cause.OK)),
    (f"< PA seq=1 {answer('503 No')}\n > FA\n < FA\n > A", (FAILURE, Cause.STATUS)),
    ("< A seq=1\n +999ms > FA\n", (FAILURE, Cause.SLOW_ANSWER)),
    ("< A seq=1\n > RA ack=90\n", (UNKNOWN, Cause.CUT)),
])
def test_a_request_proves_the_connection(ends, rest, found) -> None:
    """Who asked had a SYN-ACK, though the capture lost it: what follows is judged as ever, and what a RST acknowledges was answered."""
    assert said(judged(f"> S\n > A ack=1\n > PA ack=1 {request()}\n {rest}", ends)) == found


def test_zombie_dial(ends) -> None:
    """A dial that comes through after its probe gave up looks like a tcpSocket success and is a failure of httpGet long past (captures/http-blackhole, port 36178)."""
    script = "> S\n +1s > S seq=0\n +1s > S seq=0\n < SA\n > A\n > FA\n < FA\n > A"
    verdict = judged(script, ends)
    assert said(verdict) == (FAILURE, Cause.NO_SYN_ANSWER)
    assert verdict.end_ns == ns(1)
    assert "answered after 2.00 s" in verdict.detail


def test_header_that_trickles_in(ends) -> None:
    """An answer of which some bytes came in time, and not the whole header, is told as such, not as none."""
    verdict = judged(f"{ASKED} +0.2s < PA 'HTTP/1.1 200 O'\n > A\n +0.2s < PA 'K\\r\\n'\n > A\n +0.5999s > FA\n < A", ends)
    assert said(verdict) == (FAILURE, Cause.SLOW_ANSWER)
    assert "answer began after 0.20" in verdict.detail
    assert "not whole in time" in verdict.detail


def test_second_syn_answered_in_time(ends) -> None:
    """A lost SYN is no failure where the deadline leaves room for the next."""
    script = f"> S\n +1s > S seq=0\n < SA\n > A\n > PA {request()}\n < A\n < PA {answer()}\n {CLOSED}"
    assert said(judged(script, ends, timeout=3)) == (SUCCESS, Cause.OK)


@pytest.mark.parametrize("handler", [HTTP, TCP])
@pytest.mark.parametrize(("version", "kind", "code", "name"), [(4, 3, 10, "host administratively prohibited"), (6, 1, 0, "no route to destination")])
def test_unreachable(handler, version, kind, code, name) -> None:
    """An ICMP error for the SYN fails the attempt at once and names its sender (`http-icmp-reject` 86)."""
    one = exchange("> S", V6 if version == 6 else V4)
    note = IcmpNote(mark=mark(0.001, 2), reporter="192.0.2.7", version=version, type=kind, code=code)
    one = replace(one, connection=replace(one.connection, icmp=note))
    verdict = judge(one, handler, S, seen_until_ns=ns(60))
    assert said(verdict) == (FAILURE, Cause.UNREACHABLE)
    assert verdict.end_ns == ns(0.001)
    assert verdict.detail == f"ICMP {name} from 192.0.2.7"


@pytest.mark.parametrize("version", [4, 6])
def test_unreachable_and_going_on(ends, version) -> None:
    """A SYN that is sent again behind an ICMP error shows that the error did not end the connect: the deadline does, or the next error."""
    one = exchange("> S\n +1s > S seq=0", ends)
    syns = one.connection.orig.syns
    note = IcmpNote(mark=mark(0.00003, 2), reporter="192.0.2.7", version=version, type=3 if version == 4 else 1, code=1)
    again = replace(note, last=syns[1]._replace(ns=syns[1].ns + 20_000, number=9))

    first = judge(replace(one, connection=replace(one.connection, icmp=note)), TCP, S, seen_until_ns=ns(60))
    both = judge(replace(one, connection=replace(one.connection, icmp=again)), TCP, S, seen_until_ns=ns(60))
    patient = judge(replace(one, connection=replace(one.connection, icmp=again)), TCP, 3 * S, seen_until_ns=ns(60))

    assert said(first) == said(both) == said(patient) == (FAILURE, Cause.UNREACHABLE)
    assert first.end_mark is both.end_mark is None
    assert first.end_ns == both.end_ns == ns(1)
    assert patient.end_mark == again.last


@pytest.mark.parametrize(("version", "after", "timeout", "ends_it"), [
    (6, 0.00003, 1, False), (6, 0.00003, 3, True), (6, 0.0005, 1, True), (4, 0.00003, 1, True),
])  # fmt: skip
def test_unreachable_at_once(version, after, timeout, ends_it) -> None:
    """Over IPv6 the node's own error comes too early to end a connect; who gives up before the SYN is due again cannot show it."""
    one = exchange("> S", V6 if version == 6 else V4)
    note = IcmpNote(mark=mark(after, 2), reporter="192.0.2.7", version=version, type=3 if version == 4 else 1, code=1)
    verdict = judge(replace(one, connection=replace(one.connection, icmp=note)), TCP, timeout * S, seen_until_ns=ns(60))

    assert said(verdict) == (FAILURE, Cause.UNREACHABLE)
    assert verdict.end_ns == (ns(after) if ends_it else ns(timeout))


@pytest.mark.parametrize(("version", "ended"), [(4, 1.02703), (6, 1.02703)])
def test_unreachable_once_more(version, ended) -> None:
    """A SYN that is sent again is the timer's: its error finds no connect(2) at work and ends the dial, over IPv6 too (measured, Linux 6.18)."""
    one = exchange("> S\n +1.027s > S seq=0", V6 if version == 6 else V4)
    note = IcmpNote(mark=mark(0.00003, 2), reporter="192.0.2.7", version=version, type=3 if version == 4 else 1, code=1, last=mark(ended, 4))
    verdict = judge(replace(one, connection=replace(one.connection, icmp=note)), TCP, 2 * S, seen_until_ns=ns(60))
    assert (said(verdict), verdict.end_ns) == ((FAILURE, Cause.UNREACHABLE), ns(ended))


# tcpSocket.


@pytest.mark.parametrize("tail", ["> FA\n < A\n < FA\n > A", "> FA\n < RA", "> RA", "< PA 'SSH-2.0-x\\r\\n'\n > RA", "> FA\n < PA 'SSH-2.0-x\\r\\n'\n > R"])
def test_tcp_connected(ends, tail) -> None:
    """connect() is all a tcpSocket probe wants: whatever follows is no failure, banners and RSTs included (pkg/probe/tcp/tcp.go DoTCPProbe)."""
    verdict = judged(OPENED + tail, ends, TCP)
    assert said(verdict) == (SUCCESS, Cause.OK)
    assert verdict.end_ns - ns(0) == 100_000


def test_tcp_connected_too_late(ends) -> None:
    """A handshake after the deadline is a failure."""
    assert said(judged("> S\n +1s > S seq=0\n +1s < SA\n > A\n > FA", ends, TCP)) == (FAILURE, Cause.NO_SYN_ANSWER)


# TLS. The bytes are those of tests/wire; here only what the facts mean counts.


def test_plain_http_on_tls(ends) -> None:
    """A TLS alert for a GET: the port wants TLS and the probe has no scheme HTTPS."""
    verdict = judged(f"{ASKED} < PA '\\x15\\x03\\x01\\x00\\x02\\x02\\x46'\n > A\n < FA\n > FA\n < A", ends)
    assert said(verdict) == (FAILURE, Cause.PLAIN_HTTP_ON_TLS)
    assert "protocol_version" in verdict.detail


def hello(**facts: object) -> TlsFacts:
    """Return TLS facts with a whole ClientHello."""
    return TlsFacts(client_hello=mark(0.0003, 4), **facts)  # type: ignore[arg-type]


def test_tls_on_plain_http(ends) -> None:
    """A ClientHello answered in plain HTTP: `server gave HTTP response to HTTPS client` (`https-on-http` 24-28)."""
    tls = hello(plain_answer=mark(0.0005, 6), plain_status=400)
    verdict = judged(f"{HELLO} < PA {answer('400 Bad Request')}\n {CLOSED}", ends, scheme="HTTPS", tls=tls, http=())
    assert said(verdict) == (FAILURE, Cause.TLS_ON_PLAIN_HTTP)
    assert verdict.status == 400


def test_tls_garbage(ends) -> None:
    """An answer that is neither TLS nor HTTP: `first record does not look like a TLS handshake`."""
    verdict = judged(f"{HELLO} < PA 'garbage'\n {CLOSED}", ends, scheme="HTTPS", tls=hello(plain_answer=mark(0.0005, 6)), http=())
    assert said(verdict) == (FAILURE, Cause.TLS_FAILED)


@pytest.mark.parametrize(("by_client", "by"), [(False, "the server"), (True, "the checker")])
def test_tls_alert(ends, by_client, by) -> None:
    """A fatal alert ends the handshake, and it is said whose it was (D18)."""
    alert = TlsAlert(mark(0.0005, 6), by_client, 2, 40)
    verdict = judged(f"{HELLO} < PA 'xx'\n {CLOSED}", ends, scheme="HTTPS", tls=hello(server_hello=mark(0.0005, 5), alerts=(alert,)), http=())
    assert said(verdict) == (FAILURE, Cause.TLS_ALERT)
    assert verdict.detail == f"TLS alert handshake_failure from {by}"


@pytest.mark.parametrize("alert", [TlsAlert(mark(0.0005, 6), by_client=True, level=1, description=0), TlsAlert(mark(0.0005, 6), by_client=False, level=1, description=0)])
def test_close_notify_is_no_alert(ends, alert) -> None:
    """close_notify ends a connection as it should be ended."""
    tls = hello(server_hello=mark(0.0005, 5), version="TLS 1.2", alerts=(alert,))
    verdict = judged(f"{HELLO} < PA 'xx'\n {CLOSED}", ends, scheme="HTTPS", tls=tls, http=())
    assert said(verdict) == (UNKNOWN, Cause.ENCRYPTED)


@pytest.mark.parametrize("tail", ["< RA", "< FA\n > FA\n < A"])
def test_tls_failed(ends, tail) -> None:
    """RST or EOF for a ClientHello is a failed handshake, one connection (docs/how-it-knows.md, "What was measured")."""
    assert said(judged(HELLO + tail, ends, scheme="HTTPS", tls=hello(), http=())) == (FAILURE, Cause.TLS_FAILED)


def test_tls_unanswered(ends) -> None:
    """A ClientHello that nobody answers is a slow answer."""
    assert said(judged(HELLO + "+1s > FA\n < A", ends, scheme="HTTPS", tls=hello(), http=())) == (FAILURE, Cause.SLOW_ANSWER)


def test_encrypted(ends) -> None:
    """A whole TLS conversation without its keys is inconclusive: that an answer came is seen, which one is not."""
    tls = hello(server_hello=mark(0.0005, 5), version="TLS 1.3")
    verdict = judged(f"{HELLO} < PA 'xx'\n {CLOSED}", ends, scheme="HTTPS", tls=tls, http=())
    assert said(verdict) == (UNKNOWN, Cause.ENCRYPTED)
    assert verdict.detail.startswith("TLS 1.3")


@pytest.mark.parametrize(("shortened", "why"), [(True, "only a key log"), (False, "the capture lost the answer")])
def test_a_cut_handshake_is_not_lost(ends, shortened, why) -> None:
    """What a snapshot length cut of a handshake was there: whole frames show how it ended, and nothing more."""
    one = replace(exchange(f"{HELLO} < PA 'xxxxxxxx'\n {CLOSED}", ends), tls=hello(), http=())
    resp = replace(one.connection.resp, data=b"x", gap=1, shortened=shortened)
    verdict = judge(replace(one, connection=replace(one.connection, resp=resp)), HTTP, S, scheme="HTTPS", seen_until_ns=ns(60))
    assert said(verdict) == (UNKNOWN, Cause.CUT)
    assert why in verdict.detail


def test_decrypted_tls_is_judged_as_http(ends) -> None:
    """With keys the answer inside counts as in clear."""
    inside = exchange(f"{ASKED} < PA {answer('503 Service Unavailable')}\n {CLOSED}", ends)
    one = replace(inside, tls=hello(server_hello=mark(0.0004, 5)), decrypted=True)
    assert said(judge(one, HTTP, S, scheme="HTTPS", seen_until_ns=ns(60))) == (FAILURE, Cause.STATUS)


def test_a_close_notify_is_the_servers_end(ends) -> None:
    """A server that closes inside TLS says so before its FIN, which the checker need not wait for: EOF, and no answer that the capture lost."""
    inside = exchange(f"{ASKED} < PA 'close'\n > FA\n < FA\n > A", ends, http=(HttpExchange(request_end=mark(0.0006, 6)),))
    told = inside.connection.resp.arrivals[-1].mark
    one = replace(inside, tls=hello(server_hello=mark(0.0004, 5), closed=told), decrypted=True)
    verdict = judge(one, HTTP, S, scheme="HTTPS", seen_until_ns=ns(60))
    assert (said(verdict), verdict.detail) == ((FAILURE, Cause.CLOSED_BEFORE_ANSWER), "EOF")


def test_h2_answer_inside_tls(ends) -> None:
    """HTTPS may be HTTP/2 (rule 12 of 11.4): the exchange's version changes nothing."""
    inside = exchange(f"{ASKED} < PA {answer()}\n {CLOSED}", ends)
    one = replace(inside, tls=hello(), decrypted=True, http=(replace(inside.http[0], version="HTTP/2"),))
    assert said(judge(one, HTTP, S, scheme="HTTPS", seen_until_ns=ns(60))) == (SUCCESS, Cause.OK)


# gRPC.


def call(**facts: object) -> GrpcFacts:
    """Return the facts of a health check that was asked."""
    known: dict[str, object] = {"preface": mark(0.0003, 4), "server_settings": mark(0.0005, 5), "path": "/grpc.health.v1.Health/Check", "service": "",
                                "request_end": mark(0.0006, 6), "http_status": "200", "grpc_status": 0}
    return GrpcFacts(**(known | facts))  # type: ignore[arg-type]


GRPC_DONE = f"{PREFACE} < PA 'x'\n {CLOSED}"


def test_grpc_serving(ends) -> None:
    """SERVING in time is success, at its trailers."""
    verdict = judged(GRPC_DONE, ends, GRPC, grpc=call(serving=1, answer_end=mark(0.0007, 7)), http=())
    assert said(verdict) == (SUCCESS, Cause.OK)
    assert (verdict.status, verdict.detail, verdict.end_ns) == (0, "SERVING", ns(0.0007))


@pytest.mark.parametrize(("serving", "name"), [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")])
def test_grpc_not_serving(ends, serving, name) -> None:
    """Any other health state is a failure that names it (pkg/probe/grpc/grpc.go Probe)."""
    verdict = judged(GRPC_DONE, ends, GRPC, grpc=call(serving=serving, answer_end=mark(0.0007, 7)), http=())
    assert said(verdict) == (FAILURE, Cause.GRPC_NOT_SERVING)
    assert verdict.detail == name


@pytest.mark.parametrize(("status", "message"), [(5, "unknown service"), (12, "unimplemented")])
def test_grpc_status(ends, status, message) -> None:
    """A gRPC error is a failure with its status: unknown service, no health service at all."""
    verdict = judged(GRPC_DONE, ends, GRPC, grpc=call(grpc_status=status, grpc_message=message, answer_end=mark(0.0007, 7)), http=())
    assert said(verdict) == (FAILURE, Cause.GRPC_STATUS)
    assert (verdict.status, verdict.detail) == (status, f"grpc-status {status}: {message}")


def test_grpc_cancelled_before_the_answer(ends) -> None:
    """What the server answers after the client's RST_STREAM at the deadline is not heard, though it comes before SYN + timeoutSeconds."""
    known = call(serving=1, cancelled=mark(0.9992, 7), answer_end=mark(0.9995, 8))
    assert said(judged(GRPC_DONE, ends, GRPC, grpc=known, http=())) == (FAILURE, Cause.SLOW_ANSWER)
    sooner = call(serving=1, cancelled=mark(0.0009, 8), answer_end=mark(0.0007, 7))
    assert said(judged(GRPC_DONE, ends, GRPC, grpc=sooner, http=())) == (SUCCESS, Cause.OK)


def test_what_the_capture_cut_ends_with_the_checkers_close(ends) -> None:
    """Of a call whose answer is behind the snapshot length the checker knew at its own FIN: what follows is no part of it, nor a redial."""
    verdict = judged(f"{OPENED} > PA 'PRI * HTTP/2.0'\n < A\n +1s > FA\n +40ms < A", ends, GRPC, grpc=None, http=())
    assert said(verdict) == (Outcome.INCONCLUSIVE, Cause.CUT)
    assert verdict.end_ns - ns(1) < 2_000_000


def test_grpc_http_error(ends) -> None:
    """An HTTP/2 answer that is no gRPC is a failure."""
    verdict = judged(GRPC_DONE, ends, GRPC, grpc=call(http_status="404", grpc_status=None, answer_end=mark(0.0007, 7)), http=())
    assert said(verdict) == (FAILURE, Cause.GRPC_STATUS)
    assert "404" in verdict.detail


def test_grpc_refused_lasts_until_the_deadline(ends) -> None:
    """The blocking dial hides a refusal: grpc-connect, and the attempt lasts its whole timeout (`grpc-refused`)."""
    verdict = judged("> S\n < RA", ends, GRPC, timeout=3)
    assert said(verdict) == (FAILURE, Cause.GRPC_CONNECT)
    assert verdict.end_ns == ns(3)
    assert "refused" in verdict.detail


@pytest.mark.parametrize("facts", [{"plain_answer": "HTTP/1.1 400 Bad Request"}, {}], ids=["http1", "reset"])
def test_grpc_connect(ends, facts) -> None:
    """A server that does not speak HTTP/2 makes the dial go on until the deadline (`grpc-on-http`)."""
    grpc = GrpcFacts(preface=mark(0.0003, 4), **facts)
    verdict = judged(PREFACE + "< RA", ends, GRPC, timeout=2, grpc=grpc, http=())
    assert said(verdict) == (FAILURE, Cause.GRPC_CONNECT)
    assert verdict.end_ns == ns(2)


def test_grpc_slow(ends) -> None:
    """A check that is not answered ends with the deadline (`grpc-slow`)."""
    verdict = judged(PREFACE + "< PA 'x'\n +1s > FA\n < FA\n > A", ends, GRPC, grpc=call(grpc_status=None, http_status=""), http=())
    assert said(verdict) == (FAILURE, Cause.SLOW_ANSWER)
    assert verdict.end_ns == ns(1)


@pytest.mark.parametrize("tail", ["< RA", "< FA\n > FA\n < A"])
def test_grpc_ended_after_the_request(ends, tail) -> None:
    """A connection that breaks after the request fails the rpc, and dialling again is not asked for (pkg/probe/grpc/grpc.go Probe: `health rpc probe failed`)."""
    verdict = judged(PREFACE + tail, ends, GRPC, grpc=call(grpc_status=None, http_status="", request_end=mark(0.00035, 4)), http=(), timeout=3)
    assert verdict.outcome is FAILURE
    assert verdict.cause is not Cause.SLOW_ANSWER


# What the capture does not show.


@pytest.mark.parametrize("what", ["unanswered", "hung"])
def test_cut_by_the_end_of_the_capture(ends, what) -> None:
    """Silence proves nothing once the capture has ended."""
    script = {"unanswered": "> S", "hung": ASKED}[what]
    verdict = judged(script, ends, until=0.5)
    assert said(verdict) == (UNKNOWN, Cause.CUT)
    assert said(judged(script, ends, until=1.0))[0] is FAILURE


def test_cut_inside_the_body(ends) -> None:
    """A body that is still coming when the capture ends is neither whole nor broken."""
    assert said(judged(f"{ASKED} < PA {answer(length=900)}\n > A", ends, until=0.5)) == (UNKNOWN, Cause.CUT)


def test_begun_before_the_capture(ends) -> None:
    """A connection caught in the middle has no verdict."""
    assert said(judged(f"< PA {answer()} seq=1\n > A\n > FA\n < FA\n > A", ends)) == (UNKNOWN, Cause.CUT)


def test_only_the_checkers_direction(ends) -> None:
    """An answer that was not captured is not an answer that did not come."""
    script = f"> S\n > A seq=1 ack=1\n > PA {request()} ack=1\n > A ack=60\n > FA ack=60\n > A ack=61"
    assert said(judged(script, ends)) == (UNKNOWN, Cause.CUT)


def test_the_checkers_direction_shows_that_it_connected(ends) -> None:
    """Its ACK answers a SYN-ACK that was not captured: a tcpSocket probe wants no more."""
    assert said(judged("> S\n > A seq=1 ack=1\n > FA ack=1\n > A ack=2", ends, TCP)) == (SUCCESS, Cause.OK)
    assert said(judged("> S\n +2000ms > A seq=1 ack=1\n > FA ack=1", ends, TCP)) == (UNKNOWN, Cause.CUT)


def test_only_the_targets_direction(ends) -> None:
    """What the target answered counts, though the question was not captured; that it took a connection is not enough."""
    def half(script: str, handler: Handler) -> Verdict:
        connection = next(one for one in track([s for s in conversation(ends, script) if s.source_port != 40_000]))
        return judge(read_exchange(connection), handler, S, seen_until_ns=ns(60))

    assert said(half(f"{ASKED} < PA {answer()}\n {CLOSED}", HTTP)) == (SUCCESS, Cause.OK)
    assert said(half(f"{ASKED} < PA {answer('503 Service Unavailable')}\n {CLOSED}", HTTP)) == (FAILURE, Cause.STATUS)
    assert said(half(f"{OPENED} {CLOSED}", TCP)) == (UNKNOWN, Cause.CUT)
    assert said(half(f"{ASKED} {CLOSED}", HTTP)) == (UNKNOWN, Cause.CUT)


def test_lost_bytes(ends) -> None:
    """Bytes that the capture lost are not missing on the wire: no broken body, no malformed answer."""
    script = f"{ASKED} < PA {answer(length=4000)}\n < PA '{'x' * 1000}' seq=2000\n < PA '{'x' * 1100}'\n > A ack=4100\n > FA\n < FA\n > A"
    verdict = judged(script, ends)
    assert verdict.outcome is not DISCARDED
    assert not is_broken_body(exchange(script, ends))


def test_answer_to_the_syn_is_missing(ends) -> None:
    """A server that says something although its SYN-ACK was not captured had answered."""
    assert said(judged("> S\n < A seq=1 ack=1", ends)) == (UNKNOWN, Cause.CUT)


def test_lost_tls_answer(ends) -> None:
    """The same for TLS: a lost ServerHello is not a missing one."""
    script = f"{HELLO} < PA 'x' seq=61\n > A ack=62\n > FA\n < FA\n > A"
    assert said(judged(script, ends, scheme="HTTPS", tls=hello(), http=())) == (UNKNOWN, Cause.CUT)


def test_lost_grpc(ends) -> None:
    """And for gRPC: neither a lost request nor a lost answer is a failure."""
    lost = f"{PREFACE} < PA 'x' seq=61\n > A ack=62\n > FA\n < FA\n > A"
    assert said(judged(lost, ends, GRPC, grpc=call(grpc_status=None, http_status=""), http=())) == (UNKNOWN, Cause.CUT)
    assert said(judged(f"{OPENED} > PA 'zz'\n < A\n > FA\n < FA\n > A", ends, GRPC, http=())) == (UNKNOWN, Cause.CUT)


def test_grpc_without_a_health_answer(ends) -> None:
    """Trailers without a health message are no health."""
    verdict = judged(GRPC_DONE, ends, GRPC, grpc=call(answer_end=mark(0.0007, 7)), http=())
    assert said(verdict) == (FAILURE, Cause.GRPC_STATUS)
    assert verdict.detail == "no health answer"


def test_lost_answer(ends) -> None:
    """An answer whose beginning was lost is inconclusive."""
    script = f"{ASKED} < PA 'k' seq=61\n > A ack=62\n > FA\n < FA\n > A"
    assert said(judged(script, ends)) == (UNKNOWN, Cause.CUT)


@pytest.mark.parametrize("what", sorted(set(SCRIPTS) - {"connected", "banner"}))
@pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])
def test_a_shorter_capture_never_tells_something_else(what, ends) -> None:
    """Cut after any frame, the verdict is the whole capture's or inconclusive: less evidence never turns success into failure or back."""
    segments = conversation(ends, script_of(what), start=ns(0))
    whole = judge(read_exchange(track(segments)[0]), HTTP, S, seen_until_ns=ns(60))
    for count in range(1, len(segments)):
        part = judge(read_exchange(track(segments[:count])[0]), HTTP, S, seen_until_ns=segments[count - 1].mark.ns)
        assert part.outcome in (whole.outcome, UNKNOWN), (what, count, part)
        if part.outcome is whole.outcome:
            assert part.cause is whole.cause


@given(st.sampled_from(sorted(SCRIPTS)), st.sets(st.integers(0, 12)), st.sampled_from([HTTP, TCP, GRPC]), st.sampled_from(["HTTP", "HTTPS"]), st.integers(1, 5))
def test_any_loss_ends_in_a_verdict(what, lost, handler, scheme, timeout) -> None:
    """Whatever frames are missing there is a verdict within reason: it ends no earlier than it began."""
    kept = [segment for number, segment in enumerate(conversation(V4, script_of(what), start=ns(0))) if number not in lost]
    for connection in track(kept):
        verdict = judge(read_exchange(connection), handler, timeout * S, scheme=scheme, seen_until_ns=ns(60))
        assert verdict.end_ns >= connection.start.ns
        assert verdict.outcome in (SUCCESS, FAILURE, DISCARDED, UNKNOWN)
        assert (verdict.outcome is SUCCESS) == (verdict.cause in (Cause.OK, Cause.OK_REDIRECT))
        assert (verdict.outcome is DISCARDED) == (verdict.cause is Cause.BODY_BROKEN)
        assert (verdict.outcome is UNKNOWN) == (verdict.cause in (Cause.CUT, Cause.ENCRYPTED))


def test_redirect_target_needs_a_location() -> None:
    """Only the statuses that Go follows, and only with a Location, lead on (net/http redirectBehavior)."""
    def away(status: str, headers: str) -> Exchange:
        return exchange(f"{ASKED} < PA {answer(status, '', headers)}\n {CLOSED}")

    assert redirect_target(away("302 Found", "Location: /next\\r\\n")) == "/next"
    assert redirect_target(away("302 Found", "")) is None
    assert redirect_target(away("304 Not Modified", "Location: /next\\r\\n")) is None
    assert redirect_target(away("200 OK", "Location: /next\\r\\n")) is None


def test_redirect_shares_its_deadline() -> None:
    """A hop that began 0.9 s into the attempt has 0.1 s left (http.Client.Timeout covers redirects)."""
    one = exchange(f"{ASKED} +200ms < PA {answer()}\n {CLOSED}", at=0.9)
    assert said(judge(one, HTTP, S, seen_until_ns=ns(60), start_ns=ns(0))) == (FAILURE, Cause.SLOW_ANSWER)
    assert said(judge(one, HTTP, S, seen_until_ns=ns(60))) == (SUCCESS, Cause.OK)


def test_header_is_enough_for_some() -> None:
    """`whole_body` False is for checkers that are content with the header: a broken body does not matter to them."""
    one = exchange(f"{ASKED} < PA {answer(length=900)}\n > A\n < RA")
    assert said(judge(one, HTTP, S, whole_body=False)) == (SUCCESS, Cause.OK)


def test_a_connection_without_frames_of_interest_is_a_value() -> None:
    """The judge takes what `wire` makes, `Connection` in its barest form included."""
    bare = Connection(id=0, client=POD, client_port=1, server=POD, server_port=2, start=mark(0), end=mark(0), state="OTH", history="", orig=exchange("> S").connection.resp,
                      resp=exchange("> S").connection.resp)
    assert said(judge(Exchange(connection=bare), HTTP, S, seen_until_ns=ns(60)))[0] in (FAILURE, UNKNOWN)
