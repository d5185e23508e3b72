"""Checks on kept connections: where a connection falls into questions, and what belongs to each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make import HTTP, V4, V6, exchange, mark

from probewatch.model.exchange import Exchange
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import SECOND
from probewatch.probes.judge import judge
from probewatch.probes.questions import KEPT_QUESTIONS, keeps_asking, questions
from probewatch.wire.exchange import read_exchange

AGENT = "user-agent: Envoy/HC"
OPENED = "> S\n < SA\n > A\n"


def ask(path: str = "/healthz", agent: str = AGENT, pause: str = "1s") -> str:
    """Return the script of one request."""
    return f"+{pause} > PA 'GET {path} HTTP/1.1\\r\\nhost: app\\r\\n{agent}\\r\\n\\r\\n'\n < A\n"


def tell(status: str = "200 OK") -> str:
    """Return the script of the answer to it."""
    return f"+2ms < PA 'HTTP/1.1 {status}\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > A\n"


def read(script: str, between: str = V4) -> Exchange:
    """Read a connection with all its questions."""
    return read_exchange(exchange(script, between).connection, most=KEPT_QUESTIONS)


@pytest.mark.parametrize("between", [V4, V6])
def test_each_question_is_a_check_of_its_own(between) -> None:
    """The first begins with the SYN and the others when they were asked; each ends with its answer, whatever came later."""
    one = read(OPENED + ask(pause="1ms") + tell() + ask() + tell("503 No") + ask() + tell() + "+1s < FA\n > FA\n < A", between)
    assert keeps_asking(one)
    parts = questions(one)
    assert [part.connection.question for part in parts] == [1, 2, 3]
    assert [part.http[0].status for part in parts] == [200, 503, 200]
    assert parts[0].connection.start == one.connection.start
    assert [part.connection.start for part in parts[1:]] == [part.http[0].request_start for part in parts[1:]]
    assert all(part.connection.answered == part.connection.end == part.http[0].body_end for part in parts)
    assert all(part.connection.resp.fin is None for part in parts)
    verdicts = [judge(part, HTTP, SECOND, seen_until_ns=mark(60).ns) for part in parts]
    assert [verdict.outcome for verdict in verdicts] == [Outcome.SUCCESS, Outcome.FAILURE, Outcome.SUCCESS]
    assert [verdict.end_ns for verdict in verdicts] == [part.connection.end.ns for part in parts]


@pytest.mark.parametrize(("ending", "cause"), [
    ("+1ms < FA\n > FA\n < A", Cause.CLOSED_BEFORE_ANSWER),
    ("+1ms < RA", Cause.RESET_BEFORE_ANSWER),
    ("+600ms > FA\n < FA\n > A", Cause.SLOW_ANSWER),
    (tell().replace("+2ms", "+3s").replace("> A", "> R"), Cause.SLOW_ANSWER),
])  # fmt: skip
def test_the_last_question_ends_as_the_connection_does(ending, cause) -> None:
    """What was never answered was closed, reset, or given up, and its connection says which; an answer that met a RST came too late."""
    parts = questions(read(OPENED + ask(pause="1ms") + tell() + ask() + ending))
    verdicts = [judge(part, HTTP, SECOND // 2, seen_until_ns=mark(60).ns) for part in parts]
    assert [verdict.cause for verdict in verdicts] == [Cause.OK, cause]


@pytest.mark.parametrize(("closing", "late"), [("> RA", False), ("> R", True), ("+2s > FA\n < FA\n > A", False)])
def test_an_answer_counts_unless_it_met_a_closed_socket(closing: str, late: bool) -> None:
    """A RST without ACK is the kernel's, for an answer that nobody waited for: the last one, and none before it."""
    parts = questions(read(OPENED + ask(pause="1ms") + tell() + ask() + tell().replace(" > A", f" {closing}")))
    assert [part.connection.answered is None for part in parts] == [False, late]


def test_a_question_waits_while_its_answer_may_come() -> None:
    """The last question is not given out before its connection is over, and never where what was passed over may have been its answer."""
    one = read(OPENED + ask(pause="1ms") + tell() + ask())
    going = replace(one.connection, final=False)
    assert [part.connection.question for part in questions(replace(one, connection=going))] == [1]
    over = replace(one.connection, final=True)
    assert [part.connection.question for part in questions(replace(one, connection=over))] == [1, 2]
    passed = replace(over, read_until=over.end)
    assert [part.connection.question for part in questions(replace(one, connection=passed))] == [1]


@pytest.mark.parametrize(("closing", "answered"), [("", True), ("\n+1ms < FA", False), ("\n+1ms > R", False)])
def test_a_status_answers_while_its_body_comes(closing: str, answered: bool) -> None:
    """A header is an answer unless the body that it promised broke off; a kernel's RST says that nobody waited."""
    one = read(OPENED + ask(pause="1ms") + tell().replace("Length: 2", "Length: 900").replace(" > A", f" > A{closing}"))
    (part,) = questions(one)
    assert part.connection.answered == (part.http[0].header_end if answered else None)


def test_what_was_given_out_is_not_given_out_again() -> None:
    """A later revision gives the further questions only, numbered on."""
    script = OPENED + ask() + tell() + ask() + tell()
    assert len(questions(read(script))) == 2
    later = questions(read(script + ask() + tell()), 2)
    assert [part.connection.question for part in later] == [3]


def test_a_piece_without_its_beginning_has_no_first_question() -> None:
    """Where the handshake was not seen it is not missed: the first question seen is judged by its answer."""
    one = read(ask(pause="0s") + tell() + ask() + tell("503 No"))
    assert one.connection.midstream
    assert keeps_asking(one)
    parts = questions(one)
    assert [part.connection.question for part in parts] == [2, 3]
    assert [judge(part, HTTP, SECOND, seen_until_ns=mark(60).ns).cause for part in parts] == [Cause.OK, Cause.STATUS]


@pytest.mark.parametrize(("script", "keeps"), [
    (ask() + tell(), True),
    (ask(), False),
    (ask(agent="User-Agent: kube-probe/1.36\\r\\nConnection: close") + tell(), False),
    (ask() + tell() + "> FA\n < FA\n > A", False),
    (ask(agent="user-agent: curl/8") + tell() + ask(agent="user-agent: curl/8") + tell(), True),
    (ask(agent="User-Agent: Prometheus/2.42.0") + tell() + ask(agent="User-Agent: Prometheus/2.42.0") + tell(), False),
    (2 * (ask(agent="User-Agent: Go-http-client/1.1") + tell()), True),
    (20 * (ask(agent="User-Agent: Go-http-client/1.1", pause="1ms") + tell()), False),
    (ask(agent="User-Agent: Go-http-client/1.1") + tell() + ask("/other", "User-Agent: Go-http-client/1.1") + tell(), False),
])  # fmt: skip
def test_whose_connections_fall_apart(script, keeps) -> None:
    """Those of checkers that say who they are, and of whoever calmly asks one thing, but for scrapes; a fresh one is whole."""
    assert keeps_asking(exchange(OPENED + script)) is keeps


def test_an_answer_after_the_checker_hung_up_is_late() -> None:
    """What comes after the checker's FIN answers nobody: the check ends by its timeout, with the true latency."""
    late = OPENED + ask(pause="1ms") + tell() + ask() + (
        "+400ms > FA\n < A\n+2s < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > R"
    )
    last = questions(read(late))[-1]
    assert last.connection.answered is None
    verdict = judge(last, HTTP, SECOND // 2, seen_until_ns=mark(60).ns)
    assert (verdict.outcome, verdict.cause) == (Outcome.FAILURE, Cause.SLOW_ANSWER)
    assert verdict.late_answer_ns == pytest.approx(2_400_000_000, rel=0.01)
