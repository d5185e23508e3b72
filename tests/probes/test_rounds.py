"""Questions on kept connections that cannot be read: where the same is asked calmly, each is a check of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make import V4, V6, exchange, mark

from probewatch.model.exchange import Exchange, TlsFacts, TlsRecord
from probewatch.model.units import SECOND
from probewatch.probes.rounds import rounds
from probewatch.wire.tls import KEPT_RECORDS

OPENED = "> S\n < SA\n > A\n"


def ask(what: str = "PING", pause: str = "1s") -> str:
    """Return the script of a question."""
    return f"+{pause} > PA '{what}\\r\\n'\n < A\n"


def tell(what: str = "PONG") -> str:
    """Return the script of its answer."""
    return f"+2ms < PA '{what}\\r\\n'\n > A\n"


def sealed(*said: tuple[float, bool, int], version: str = "TLS 1.2", established: float = 0.01) -> Exchange:
    """Return a TLS connection with these records (when, by the client, how long)."""
    script = OPENED + "> PA 'x'\n < PA 'y'\n +9s > FA\n < FA\n > A"
    records = tuple(TlsRecord(mark(at, 100 + number), by_client, length) for number, (at, by_client, length) in enumerate(said))
    return exchange(script, tls=TlsFacts(version=version, established=mark(established, 90), records=records), opening=b"")


@pytest.mark.parametrize("between", [V4, V6])
def test_each_round_is_a_check_of_its_own(between) -> None:
    """The first begins with the SYN, the others when they were asked; each ends with its answer and has the bytes of that alone."""
    whole = exchange(OPENED + (ask(pause="1ms") + tell()) + (ask() + tell("NOPE")) + (ask() + tell()) + "+1s < FA\n > FA\n < A", between)
    parts = rounds(whole)
    assert [part.connection.question for part in parts] == [1, 2, 3]
    assert [part.connection.resp.data for part in parts] == [b"PONG\r\n", b"NOPE\r\n", b"PONG\r\n"]
    assert [part.connection.orig.length for part in parts] == [6, 6, 6]
    assert parts[0].connection.start == whole.connection.start
    assert all(part.connection.answered == part.connection.end for part in parts)
    assert all(part.connection.resp.fin is None for part in parts)


@pytest.mark.parametrize("script", [
    ask(pause="1ms") + tell(),
    ask(pause="1ms") + tell() + ask("SET a 1") + tell("OK"),
    ask(pause="1ms") + tell() + ask(pause="50ms") + tell() + ask(pause="50ms") + tell(),
    ask(pause="1ms") + tell("x" * 1_300) + tell("x" * 1_300) + ask() + tell("x" * 1_300) + tell("x" * 1_300),
])  # fmt: skip
def test_a_client_is_no_checker(script: str) -> None:
    """Who asks once, or different things, or without a pause, or for much, keeps one connection that is one."""
    whole = exchange(OPENED + script + "+1s > FA\n < FA\n > A")
    assert rounds(whole) == [whole]


def test_who_hangs_up_before_the_next_question_was_not_content() -> None:
    """An answer after which the checker waited on, and left before its next question was due, is no answer to it."""
    parts = rounds(exchange(OPENED + ask(pause="1ms") + tell() + ask() + tell() + ask() + tell("NOPE") + "+700ms > FA\n < FA\n > A"))
    assert [part.connection.answered is not None for part in parts] == [True, True, False]
    assert parts[-1].connection.orig.fin is not None


def test_rounds_inside_tls() -> None:
    """Records alone tell them: the Finished of TLS 1.3 and session tickets are no question and no answer."""
    asked = [(0.02, True, 53), (0.021, False, 200), (0.022, True, 90), (0.03, False, 170)]
    later = [(at + step, by, length) for at in (1.0, 2.0) for step, by, length in ((0.02, True, 90), (0.03, False, 170))]
    parts = rounds(sealed(*asked, *later, version="TLS 1.3"))
    assert [[record.length for record in part.tls.records] for part in parts if part.tls] == [[90, 170]] * 3
    assert [part.connection.start.ns - parts[0].connection.start.ns for part in parts][1:] == [
        mark(at + 0.02).ns - parts[0].connection.start.ns for at in (1.0, 2.0)
    ]


@pytest.mark.parametrize("full", [False, True])
def test_what_is_not_read_is_not_unanswered(full: bool) -> None:
    """More was said than is followed, or than records are kept: the last round is left out, and all say up to where they are read."""
    many = KEPT_RECORDS // 2 if full else 5
    whole = sealed(*((number + by, by == 0, 170) for number in range(many) for by in (0.0, 0.01)))
    if not full:
        whole = replace(whole, connection=replace(whole.connection, read_until=mark(many - 1)))
    parts = rounds(whole)
    assert len(parts) == many - 1
    assert all(part.connection.answered is not None and part.connection.read_until is not None for part in parts)


def test_a_question_taken_back_keeps_its_connection() -> None:
    """HTTP/2: a stream that is given up ends its check, and the next one is asked on the same connection."""
    begun = [(0.02, True, 208), (0.03, False, 75), (0.031, True, 33), (0.032, False, 93), (1.0, True, 80), (1.01, False, 61)]
    later = [(2.0, True, 77), (2.01, False, 61), (3.0, True, 77), (3.8, True, 37), (4.8, True, 77), (4.81, False, 61)]
    parts = rounds(sealed(*begun, *later))
    assert len(parts) == 5
    given_up = parts[3].connection
    assert given_up.answered is None
    assert given_up.orig.closed is not None
    assert given_up.orig.closed.ns - given_up.start.ns == pytest.approx(0.8 * SECOND)


def test_a_scrape_inside_tls_is_no_check() -> None:
    """Answers of many bytes are what a scraper asks for, however regular it is."""
    said = [(at + step, by, length) for at in range(4) for step, by, length in ((0.02, True, 90), (0.03, False, 9_000))]
    whole = sealed(*said)
    assert rounds(whole) == [whole]
    unread = replace(whole, tls=TlsFacts(records=whole.tls.records if whole.tls else ()))
    assert rounds(unread) == [unread]
