"""What a server's answer in a protocol of its own is worth: who says no, who is still waited for, who only listens."""

from __future__ import annotations

import pytest
from make import exchange

from probewatch.model.exchange import Exchange
from probewatch.model.spec import Handler
from probewatch.model.timeline import Cause, Outcome
from probewatch.probes.judge import Verdict, judge
from probewatch.probes.replies import agent_word, listens, refusal, replied, talk_of

OPENED = "> S\n < SA\n > A\n"
V4, V6 = "10.0.0.9:40000 > 10.0.0.2:9000", "[fd00::9]:40000 > [fd00::2]:9000"
GREETING = b"\x0a5.7.0\0" + bytes(60)
STARTUP = b"\0\0\0\x10\0\x03\0\0user"
SPOP = b"\0\0\0\x8b\x01\0\0\0\x01\0\0\x12"
BIND = bytes.fromhex("300c02010160070201030400")


def packet(payload: bytes, number: int = 0) -> bytes:
    """Return a packet of the MySQL protocol."""
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


NO = packet(b"\xff\x10\x04Too many connections")


@pytest.mark.parametrize(("opening", "said", "kind", "says"), [
    (b"", NO, "haproxy", "ERR 1040 Too many"),
    (b"", packet(GREETING) + packet(b"\xff\x15\x04#28000Access denied", 2), "haproxy", "ERR 1045"),
    (b"", packet(GREETING) + packet(b"\0\0\0\2\0\0\0", 2), "haproxy", ""),
    (b"", packet(GREETING), "monit", ""),
    (b"", b"220 lab ESMTP\r\n", "haproxy", ""),
    (b"", b"421 too busy\r\n", "haproxy", "421 too busy"),
    (STARTUP, b"R\0\0\0\x0c\0\0\0\5abcd", "haproxy", ""),
    (STARTUP, b"E\0\0\0\x1aSFATAL\0", "haproxy", "PostgreSQL"),
    (STARTUP, b"E\0\0\0\x1aSFATAL\0", "monit", ""),
    (BIND, bytes.fromhex("300c02010161070a010004000400"), "haproxy", ""),
    (BIND, bytes.fromhex("300c02010161070a013404000400"), "haproxy", "LDAP result is 52"),
    (SPOP, b"\0\0\0\x36\x65\0\0\0\x01", "haproxy", ""),
    (SPOP, b"\0\0\0\x36\x67\0\0\0\x01", "haproxy", "SPOP"),
    (b"*1\r\n$4\r\nPING", b"-LOADING\r\n", "haproxy", "-LOADING"),
    (b"PING", b"WAIT\r\n", "haproxy", ""),
    (b"xyz", b"\xff\xff\xff\xff\xff", "haproxy", ""),
    (b"", b"", "haproxy", ""),
])
def test_who_says_no(opening: bytes, said: bytes, kind: str, says: str) -> None:
    """Each protocol's no is read, and given to whom it is one: an error of PostgreSQL is a sign of life to Monit."""
    no = refusal(opening, said, kind)
    assert says in no if says else no == ""


@pytest.mark.parametrize(("said", "up"), [
    (b"up 100%\n", True), (b"ready\n", True), (b"down #disk\n", False), (b"maint\n", False), (b"fail\r\n", False), (b"75%\n", None),
    (b"drain\n", None), (b"maxconn:30\n", None), (b"up and running\n", None), (b"", None),
])
def test_an_agents_word(said: bytes, up: bool | None) -> None:
    """An agent says up or down in so many words; a weight alone changes nothing, and other texts are no agent's."""
    assert agent_word(said)[0] is up


def judged(script: str, series: list[str], *, opening: bytes | None = None, between: str = V4) -> Verdict:
    """Return the verdict on one check, among a series of such and others."""
    made = [exchange(OPENED + one, between) for one in [script, *series]]
    talk = talk_of(opening, "haproxy", made)
    assert talk is not None
    return replied(made[0], judge(made[0], Handler.TCP_SOCKET, 2 * 10**9), talk, 2 * 10**9)


ASK, PONG = "> PA 'PING\\r\\n'\n < A\n +1ms < PA 'PONG\\r\\n'\n > RA", "> PA 'PING\\r\\n'\n < A\n +1ms < PA 'WAIT\\r\\n'\n > A\n"


@pytest.mark.parametrize("between", [V4, V6])
def test_who_stays_after_an_answer_was_not_content_with_it(between: str) -> None:
    """A check that leaves at once where it passes, and once stayed for seconds after an answer, failed; its end is the hanging up."""
    verdict = judged(PONG + " +1500ms > RA", [ASK] * 5, opening=b"PING\r\n", between=between)
    assert (verdict.outcome, verdict.cause) == (Outcome.FAILURE, Cause.STATUS)
    assert verdict.end_mark is not None
    assert judged(ASK, [ASK] * 5, opening=b"PING\r\n", between=between).outcome is Outcome.SUCCESS
    lingers = PONG + " +1500ms > RA"
    assert judged(lingers, [lingers] * 5, opening=b"PING\r\n", between=between).outcome is Outcome.SUCCESS, "as it always does"


def test_last_words_need_no_answer() -> None:
    """Who hears a greeting, says QUIT and leaves at once got what it wanted (blackbox_exporter 0.23.0); silence is still a failure."""
    left = "+1ms < PA '220 hi\\r\\n'\n > PA 'QUIT\\r\\n'\n > FA\n < PA '221 bye\\r\\n'\n > R"
    assert judged(left, [left] * 4, opening=b"QUIT\r\n").outcome is Outcome.SUCCESS
    assert judged("+1s > FA\n < A", [left] * 4, opening=b"QUIT\r\n").outcome is Outcome.FAILURE
    assert judged("> PA 'PING\\r\\n'\n < A\n +100ms > RA", [ASK] * 4, opening=b"PING\r\n").outcome is Outcome.FAILURE, "a short timeout"


HEARD = "+5ms < PA 'HELLO\\n'\n > A\n > RA"


def test_who_waits_for_a_greeting_fails_without_one() -> None:
    """A checker that says nothing and stays until the server spoke wants to hear it: silence and a close without a word are failures."""
    assert judged(HEARD, [HEARD] * 4).outcome is Outcome.SUCCESS
    assert judged("+1500ms > RA", [HEARD] * 4).cause is Cause.SLOW_ANSWER
    assert judged("+1ms < FA\n > A\n > FA\n < A", [HEARD] * 4).cause is Cause.CLOSED_BEFORE_ANSWER
    assert judged("+5ms < PA '421 busy\\r\\n'\n > A\n > RA", [HEARD] * 4).cause is Cause.STATUS


def connections(*scripts: str) -> list[Exchange]:
    """Return what these scripts make."""
    return [exchange(OPENED + script) for script in scripts]


def test_a_plain_connect_check_does_not_listen() -> None:
    """Where one left before the server spoke, what it said in others meant nothing; nor did a greeting that was there at once."""
    for scripts in ([HEARD, "> FA\n < FA\n > A"], ["< PA '220 hi\\r\\n'\n > RA"] * 4, ["> FA\n < FA\n > A"] * 4):
        made = connections(*scripts)
        assert not listens([one.connection for one in made])
        assert talk_of(None, "haproxy", made) is None
    assert listens([one.connection for one in connections(HEARD, HEARD)])
