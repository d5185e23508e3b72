# ruff: noqa: E501 (scripts of packets keep their line)
"""How long a checker waits: what its giving up and its waiting show, and all that shows nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builder import S
from make import (
    GRPC,
    HTTP,
    NODE6,
    OPENED,
    POD6,
    TCP,
    V6,
    every,
    exchange,
    mark,
    ns,
    request,
    run,
    run_of,
    runs,
    unresolved,
)

from probewatch.model.exchange import GrpcFacts
from probewatch.model.measure import Measure
from probewatch.probes.forms import Ask, Form
from probewatch.probes.patience import may_have_waited, observed_timeout, timeout_measure
from probewatch.probes.runs import Run

OK = "'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'"
ENDS = [{}, {"client": NODE6, "server": POD6}]
LATE = 600.0


def measured(made: list[Run], handler=HTTP, *, alone: bool = True, until: float = LATE) -> Measure:
    """Measure runs of one probe."""
    return timeout_measure(made, handler, ns(until), alone=alone)


def after(seconds: float, *, at: float = 0.0, then: str = "> A\n > FA\n < FA\n > A") -> Run:
    """Return an attempt that is answered after a while."""
    return run_of(exchange(f"{OPENED} > PA {request()}\n < A\n +{round(seconds * 1000)}ms < PA {OK}\n {then}", at=at))


def dials(*starts: float, pauses: tuple[int, ...] = ()) -> list[Run]:
    """Return dials that nobody answers, with SYNs again after pauses in milliseconds."""
    script = "> S" + "".join(f"\n +{pause}ms > S seq=0" for pause in pauses)
    return [run_of(exchange(script, at=at)) for at in starts]


def test_an_answer_to_a_dial_that_nobody_waits_for_shows_no_patience() -> None:
    """The kernel answers a late SYN-ACK with a RST without ACK where its dial was given up: it was not taken."""
    late = [run_of(exchange(f"> S\n +3050ms < SA\n > {end}", at=at)) for at in (0, 20) for end in ("R",)]
    assert measured(late, TCP, until=40).low is None
    taken = [run_of(exchange("> S\n +3050ms < SA\n > A\n > FA\n < FA\n > A", at=at)) for at in (0, 20)]
    assert measured(taken, TCP, until=40).low == 3


@pytest.mark.parametrize("ends", ENDS, ids=["v4", "v6"])
@pytest.mark.parametrize("timeout", [1, 2, 3, 5])
def test_it_shows_where_it_ran_out(timeout, ends) -> None:
    """The checker's FIN at SYN + whole seconds without an answer is its timeoutSeconds (docs/how-it-knows.md, "What was measured")."""
    made = [*runs(0, 10, **ends), run(20, "hung", timeout=timeout, **ends)]
    assert observed_timeout(made, HTTP) == timeout
    found = measured(made)
    assert (found.low, found.high, found.pinned) == (timeout, timeout, True)
    assert found.evidence


def test_a_silent_port_hides_the_poke_of_company() -> None:
    """The dial that is poked at its deadline pins the timeout; but not where another probe may have sent it."""
    made = [*runs(0, 10, 20), *runs(30, 40, 50, 54.001, what="unanswered")]
    assert observed_timeout(made, HTTP) == 4
    assert measured(made).text() == "4"
    assert not measured(made, alone=False).visible


@pytest.mark.parametrize("poke", [53.998, 54.03], ids=["before the deadline", "long after it"])
def test_a_poke_at_another_moment_is_no_deadline(poke) -> None:
    """No probe is over before its deadline, and the poke comes within milliseconds after it: another one has another reason."""
    made = [*runs(0, 10, 20), *runs(30, 40, 50, poke, what="unanswered")]
    assert not measured(made).pinned


def test_a_dial_that_was_turned_down_waits_for_nothing() -> None:
    """What ICMP answers is over at once: an attempt whole seconds later is no deadline."""
    fail = [replace(one, tries=((replace(one.tries[0][0], connection=replace(one.tries[0][0].connection, icmp=object())),),)) for one in dials(30, 40, 42.001)]
    assert not measured([*runs(0, 10, 20), *fail]).visible


def test_what_was_waited_is_the_least() -> None:
    """An answer taken after 1.2 s shows a timeout of at least 2 s; quick answers show nothing, and that is said."""
    assert observed_timeout([after(1.2)], HTTP) == 2
    assert measured([after(1.2)]).text(" s") == "at least 2 s"
    assert observed_timeout(runs(*every(1, 5)), HTTP) is None
    quick = measured(runs(*every(1, 5)))
    assert not quick.visible
    assert quick.why.startswith("no attempt had to wait")


def test_a_wait_and_a_giving_up_agree_or_nothing_is_pinned() -> None:
    """Who took an answer after 2.5 s has not given up after 1 s: two signs that disagree pin nothing."""
    found = measured([after(2.5), run(20, "hung", timeout=1)])
    assert not found.pinned
    assert found.allows(3)


def test_an_answer_that_is_reset_was_not_taken() -> None:
    """A RST without ACK says that the socket was closed before: its FIN is missing, and nobody waited for that answer."""
    found = measured([*runs(0, 10, what="hung"), after(2.5, at=20, then="> R")])
    assert (found.text(), found.pinned) == ("1", True)
    assert not measured([after(2.5, then="> R")]).visible
    assert observed_timeout([after(2.5, then="> R")], HTTP) is None
    assert measured([after(2.5, then="> RA")]).text() == "at least 3"  # (of a body that is too long the kubelet reads no more)


def test_a_connection_whose_answers_were_not_captured_is_no_silent_dial() -> None:
    """Who acknowledges a SYN-ACK that is not here was answered: how soon the next attempt comes bounds nothing."""
    asked = [run_of(exchange(f"> S\n > A ack=1\n > PA {request()} ack=1\n > FA ack=60", at=at)) for at in (0, 0.002, 10, 11.001)]
    assert not measured(asked).visible
    assert not measured(asked, GRPC).visible


@pytest.mark.parametrize("handler", [HTTP, TCP])
def test_beside_missing_attempts_syns_may_be_missing(handler) -> None:
    """A dial beside a pause in which attempts are missing bounds nothing; another one does."""
    steady = runs(*every(5, 4))
    assert not measured([*steady, *dials(27.5, 30.0), *runs(35)], handler).visible
    assert not measured([*steady, *dials(20.0), *runs(35)], handler).visible
    assert measured([*steady, *dials(20.0, 21.5)], handler).text() == "1"
    assert measured([*steady, *dials(27.5), *runs(35, 40), *dials(45, 46.5)], handler).text() == "1"


def test_redirects_share_a_deadline() -> None:
    """The deadline counts from the first hop: the second one is given up early, and that is no timeout of its own (http.Client.Timeout)."""
    first = exchange(f"{OPENED} > PA {request()}\n < A\n +1s < PA 'HTTP/1.1 302 Found\\r\\nLocation: /x\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > FA\n < FA\n > A")
    second = exchange(f"{OPENED} > PA {request('/x')}\n < A\n +1999ms > FA\n < A", "10.128.0.1:40002 > 10.128.0.10:8080", at=1.0015)
    one = replace(run_of(first), tries=((first, second),))
    assert measured([one]).text() == "3"


def test_a_retry_has_its_own_deadline() -> None:
    """Each try of runProbeWithRetries begins to count anew."""
    tries = [exchange(f"{OPENED} > PA {request()}\n < A\n +2000ms > FA\n < A", f"10.128.0.1:{40000 + number} > 10.128.0.10:8080", at=2.04 * number) for number in range(3)]
    assert measured([run_of(*tries)]).text() == "2"


def test_tcp_gives_up_before_its_next_syn() -> None:
    """A tcpSocket dial with timeout 4 sends SYNs at 0, 1, 2 and 3 s and no more (`tcp-blackhole-t4`); with timeout 1 one."""
    four = dials(0, 10, pauses=(1030, 1020, 1030))
    assert observed_timeout(four, TCP) == 4
    assert measured(four, TCP).text() == "4"
    assert measured(dials(0, 10, 20), TCP).text() == "1"
    assert not measured(dials(0), TCP, alone=False).visible


def test_a_syn_in_the_moment_of_the_deadline_shows_nothing() -> None:
    """With timeout 1 the kernel may send its second SYN just before the close (`listen-queue` #6); all the others tell the timeout."""
    raced = dials(40, pauses=(1004,))
    assert measured([*dials(0, 10, 20, 30), *raced], TCP).text() == "1"
    twice = dials(0, 10, 20, pauses=(1020,))
    assert measured([*twice, *dials(40)], TCP).low == 2  # (of one that seems to have sent none it is not captured)


def test_a_dial_that_was_answered_late_was_not_given_up() -> None:
    """SYNs at 0, 1 and 2 s and a refusal at 2.5 s: the checker heard of it, and how long it would have waited is not known."""
    refused = run_of(exchange("> S\n +1s > S seq=0\n +1s > S seq=0\n +500ms < RA"))
    assert observed_timeout([refused], TCP) is None


@pytest.mark.parametrize(("milliseconds", "told"), [(1000, 1), (999.5, 1), (1045, 1), (961, None), (1300, None)])
def test_a_timer_is_never_early(milliseconds: float, told: int | None) -> None:
    """A close 39 ms before the second was up is no timeout of one second: something else ended it (a kubelet that stops closes all at once)."""
    one = run_of(exchange(f"{OPENED} > PA {request()}\n < A\n +{milliseconds * 1000 - 400:.0f}us > FA\n < A"))
    assert observed_timeout([one], HTTP) == told


def test_a_syn_that_may_still_come_proves_nothing() -> None:
    """A capture that ends before the next SYN was due does not show that the dial was given up."""
    assert not measured(dials(0), TCP, until=1.2).visible


def test_tcp_waits_for_the_handshake_alone() -> None:
    """A banner is nothing that a tcpSocket probe waits for; a handshake that took its time is."""
    banner = run_of(exchange(f"{OPENED} +1500ms < PA 'SSH-2.0-x'\n > RA"))
    assert not measured([banner], TCP).visible
    slow = run_of(exchange("> S\n +1030ms > S seq=0\n +200ms < SA\n > A\n > FA\n < FA\n > A"))
    assert measured([slow], TCP).text() == "at least 2"


def test_zombie_dials_show_no_timeout() -> None:
    """An httpGet's dead dial goes on for ever and says nothing about patience (captures/http-blackhole, port 36178), nor does its late handshake."""
    pauses = (1000, 1000, 1000)
    assert observed_timeout(dials(0, pauses=pauses), HTTP) is None
    assert not measured(dials(0, pauses=pauses)).visible
    through = run_of(exchange("> S\n +1s > S seq=0\n +5s < SA\n > A\n > FA\n < FA\n > A"))
    assert not measured([through]).visible


def test_a_dead_dial_is_overtaken() -> None:
    """A worker begins no attempt before the last was given up: the timeout is at most what lies between them."""
    found = measured(dials(0, 3, 6, pauses=(1000,)))
    assert (found.low, found.high) == (None, 3)
    assert not measured(dials(0, 3, 6, pauses=(1000,)), alone=False).visible


def test_an_unresolved_address_ends_a_dial_by_itself() -> None:
    """After three requests the kernel gives up, whatever the timeout: only an attempt sooner than that is a bound."""
    def blind(at: float) -> Run:
        return Run(client="10.128.0.1", server="10.128.0.10", form=Form(Ask.NOTHING, 0), start=unresolved(at).start, unresolved=unresolved(at))

    assert not measured([blind(0), blind(10), blind(20)]).visible
    assert measured([blind(0), blind(2), blind(4)]).text() == "at most 2"


@pytest.mark.parametrize(("seconds", "pinned"), [(10, False), (3, True)])
def test_a_tls_handshake_has_a_limit_of_its_own(seconds, pinned) -> None:
    """net/http ends a handshake after ten seconds whatever timeoutSeconds is, so that shows no more than that it waited so long."""
    hello = "'\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00'"
    one = run_of(exchange(f"{OPENED} > PA {hello}\n < A\n +{seconds * 1000}ms > FA\n < A"))
    if one.form.ask is not Ask.TLS:
        one = replace(one, form=replace(one.form, ask=Ask.TLS))
    found = measured([one])
    assert found.low == seconds
    assert found.pinned is pinned


def test_grpc_dials_again_while_time_is_left() -> None:
    """A dial that was refused and repeated after a second shows more than one second; with company on the port it shows nothing."""
    made = [one for at in (0, 10, 20, 30) for one in runs(at, at + 1.1, what="refused")]
    assert measured(made, GRPC).text() == "at least 2"
    assert not measured(made, GRPC, alone=False).visible


def test_grpc_gives_up_like_the_others() -> None:
    """A preface without an answer is given up at the deadline."""
    facts = GrpcFacts(preface=None, user_agent="", path="", service=None, serving=None)
    one = run_of(exchange(f"{OPENED} > PA 'PRI * HTTP/2.0'\n < A\n +3000ms > FA\n < A", V6, grpc=facts, http=()))
    assert measured([one], GRPC).text() == "3"


def test_a_grpc_call_is_cancelled_at_its_deadline() -> None:
    """A server that sent its settings and no answer: the client's RST_STREAM shows the timeout; after an answer it shows nothing."""
    script = f"{OPENED} > PA 'PRI * HTTP/2.0'\n < PA 'settings'\n +3000ms > PA 'reset'\n > FA\n < A"
    cancelled = GrpcFacts(user_agent="", service="", cancelled=mark(3.0009))
    assert measured([run_of(exchange(script, V6, grpc=cancelled, http=()))], GRPC).text() == "3"
    answered = replace(cancelled, answer_end=mark(0.002))
    assert not measured([run_of(exchange(script, V6, grpc=answered, http=()))], GRPC).visible


def test_no_attempts_show_nothing() -> None:
    """Nothing is no sign of anything."""
    found = measured([])
    assert not found.visible
    assert found.why


def test_evidence_is_bounded() -> None:
    """However often it gave up, the first few attempts are named."""
    assert len(measured([run(at, "hung") for at in every(2, 50)]).evidence) == 3
    assert S == 10**9


@pytest.mark.parametrize("ends", ENDS, ids=["v4", "v6"])
def test_whose_patience_it_was(ends) -> None:
    """Who gave up after three seconds had no other timeout; who took an answer later than its timeout was somebody else."""
    gave_up, waited = run(3.0, "hung", timeout=3, **ends), run(3.0, "late", **ends)
    assert [may_have_waited(gave_up, HTTP, seconds) for seconds in (1, 3, 5)] == [False, True, False]
    assert [may_have_waited(waited, HTTP, seconds) for seconds in (1, 3, 5)] == [False, True, True]


@pytest.mark.parametrize("ends", ENDS, ids=["v4", "v6"])
@pytest.mark.parametrize("begun", [
    "HTTP/1.1 200 OK\\r\\nX: bbbb",
    "HTTP/1.1 200 OK\\r\\nX: " + "b" * 34_000,
    "HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nhalf",
], ids=["header", "header beyond what is kept", "body"])
def test_an_answer_that_never_ended_is_none(begun: str, ends: dict[str, str]) -> None:
    """One deadline holds for header and body: who hangs up on either at a whole second waited for that long."""
    script = f"{OPENED} > PA {request()}\n < A\n < PA '{begun}'\n > A\n +1999ms > FA\n < A"
    made = [run_of(exchange(script, *([V6] if ends else []), at=10.0 * n)) for n in range(3)]
    found = measured(made)
    assert (found.low, found.high) == (2, 2)
    assert observed_timeout(made, HTTP) == 2


def test_an_answer_that_was_left_early_shows_no_wait() -> None:
    """A checker that hangs up inside an answer at another moment than a whole second took nothing, and gave up nothing."""
    script = f"{OPENED} > PA {request()}\n < A\n +300ms < PA 'HTTP/1.1 200 OK\\r\\nX: b'\n > A\n +400ms > FA\n < A"
    found = measured([run_of(exchange(script))])
    assert (found.low, found.high, found.why) == (None, None, "no answer shows it")
