"""What a server's answer in a protocol of its own is worth to a checker: yes, no, or nothing.

Theory of operation. Of bytes that are not read (Redis, SMTP, a database's first packets) a check is good where an answer
came. What says no in the protocols that checkers know is a table here: where the words of the question show the protocol,
or the server's first packet does (MySQL speaks first). A HAProxy agent-check is the other way round: the server says what
is to become of it, and most of what it may say changes nothing.

Limitations: what a configuration expects of an answer (`tcp-check expect`) is not known; a checker that is not content
stays on until its timeout, and `observer.results` sees that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS

from .cadence import median
from .judge import Verdict

DNS: Final = b"DNS"
"""How the opening of a check begins that asks a DNS server over TCP: what follows is its question."""
DNS_SERVFAIL: Final = 2
"""RCODE that no checker takes for an answer (RFC 1035 4.1.1)."""
LISTENED_NS: Final = 2 * MS
"""A checker that was quiet for this long until the server spoke was waiting for that."""
WAITED_NS: Final = 150 * MS
"""A checker that hangs up after at least this was waiting for something, and shows its timeout."""
PROMPT_NS: Final = 50 * MS
"""A checker that is content with an answer leaves no later than this."""
LONGEST_WORD: Final = 200
"""Bytes of an agent's answer that are read."""
LONGEST_SHOWN: Final = 60
"""Characters of an agent's answer that are shown."""
_AGENT_SAYS: Final = re.compile(
    rb"(?:(?:\d{1,3}%|maxconn:\d{1,9}|ready|drain|maint|up|(?:down|stopped|fail)(?: *#[^\r\n]*)?)(?:[ ,\t]+|(?=[\r\n\0]|$)))+[\r\n\0]*"
)
"""HAProxy configuration manual 5.2, agent-check: words, commas or blanks between them, one line."""
_AGENT_DOWN: Final = re.compile(rb"\b(?:down|stopped|fail|maint)\b")
_AGENT_UP: Final = re.compile(rb"\bup\b")
_AGENT_DRAIN: Final = re.compile(rb"\bdrain\b")
_AGENT_READY: Final = re.compile(rb"\bready\b")
_REPLY_NO: Final = re.compile(rb"^[45]\d\d[ -][^\r\n]{0,60}", re.MULTILINE)
"""A reply that says no: SMTP, NNTP, FTP (RFC 5321 4.2.1)."""
_REDIS_NO: Final = re.compile(rb"\A-[^\r\n]{0,60}")
_SPOP_HELLO: Final = b"\x01"
"""HAPROXY-HELLO, the type of the frame that `option spop-check` sends behind its length (HAProxy doc/SPOE.txt 3.2)."""
_SPOP_AGENT_HELLO: Final = b"\x65"
_PGSQL_STARTUP: Final = b"\x00\x03\x00\x00"
"""Protocol 3.0, behind the length (PostgreSQL 55.7, StartupMessage)."""
_LDAP_BIND: Final = re.compile(rb"\A\x30.\x02\x01.\x60", re.DOTALL)
_LDAP_RESULT: Final = re.compile(rb"\A\x30.\x02\x01.\x61.\x0a\x01(.)", re.DOTALL)
"""BindResponse, its resultCode (RFC 4511 4.2.2)."""
_MYSQL_GREETING: Final = 0x0A
"""First byte of the handshake packet: its protocol version."""
_MYSQL_ERR: Final = 0xFF
"""First byte of an ERR packet (MySQL client/server protocol)."""
MYSQL_PACKETS: Final = 4
"""Packets of a MySQL server that are looked at."""


def refusal(opening: bytes, said: bytes, kind: str = "") -> str:
    """Return by what words a server's answer says no to this checker; empty where it does not, or where nobody knows.

    `opening` is what was asked, empty where the checker only listens.
    """
    return next((why for no, whose in _NO if whose in ("", kind) and (why := no(opening, said))), "")


def _dns(opening: bytes, said: bytes) -> str:
    failed = opening.startswith(DNS) and len(said) > 5 and said[5] & 0xF == DNS_SERVFAIL
    return "the DNS answer is SERVFAIL" if failed else ""


def _words(opening: bytes, said: bytes) -> str:
    pattern = (
        _REPLY_NO
        if opening.startswith((b"HELO ", b"EHLO ")) or not opening
        else _REDIS_NO
        if opening.startswith((b"PING", b"*1\r\n$4\r\nPING"))
        else None
    )
    found = pattern.search(said) if pattern is not None else None
    return f"the server says {found[0].decode('ascii', 'replace')}" if found is not None else ""


def _mysql(_: bytes, said: bytes) -> str:
    """Walk the packets of a MySQL server: length in three bytes, number, payload."""
    at = 0
    for number in range(MYSQL_PACKETS):
        payload = said[at + 4 : at + 4 + int.from_bytes(said[at : at + 3], "little")]
        if len(payload) < 3 or not (said[3] == 0 and (number or payload[0] in (_MYSQL_GREETING, _MYSQL_ERR))):
            return ""
        if payload[0] == _MYSQL_ERR:
            code = int.from_bytes(payload[1:3], "little")
            return f"the MySQL server says ERR {code} {payload[3:60].decode('ascii', 'replace')}".rstrip()
        at += 4 + len(payload)
    return ""


def greets_mysql(said: bytes) -> bool:
    """Tell whether a server that speaks first is a MySQL server that lets one in (protocol 10)."""
    return len(said) > 5 and said[1:4] == b"\0\0\0" and said[4] == _MYSQL_GREETING and said[5:6].isdigit()


def binds_ldap(opening: bytes) -> bool:
    """Tell whether a check begins with an LDAP BindRequest."""
    return _LDAP_BIND.match(opening) is not None


def _pgsql(opening: bytes, said: bytes) -> str:
    failed = opening[4:8] == _PGSQL_STARTUP and said.startswith(b"E")
    return "the PostgreSQL server answers with an error" if failed else ""


def _ldap(opening: bytes, said: bytes) -> str:
    found = _LDAP_RESULT.match(said) if binds_ldap(opening) else None
    return f"the LDAP result is {found[1][0]}" if found is not None and found[1] != b"\0" else ""


def _spop(opening: bytes, said: bytes) -> str:
    asked = opening[:2] == b"\0\0" and opening[4:5] == _SPOP_HELLO
    return "the SPOP agent does not answer with its HELLO" if asked and said[4:5] != _SPOP_AGENT_HELLO else ""


_NO: Final[tuple[tuple[Callable[[bytes, bytes], str], str], ...]] = (
    (_dns, ""),
    (_words, ""),
    (_mysql, ""),
    (_ldap, ""),
    (_pgsql, "haproxy"),  # Monit takes an ErrorResponse for a sign of life, HAProxy wants to be asked who it is
    (_spop, "haproxy"),
)
"""How each protocol says no, and to whom; empty: to everybody."""


def says_agent(said: bytes) -> bool:
    """Tell whether a server answers in the words of HAProxy's agent-check."""
    return 0 < len(said) <= LONGEST_WORD and _AGENT_SAYS.fullmatch(said.lower()) is not None


def agent_word(said: bytes) -> tuple[bool | None, str]:
    """Return whether an agent says up (True) or down (False), and its words; None where it says neither, as with a weight alone.

    `ready` ends a `maint`, and is read as up; what HAProxy's own check of the server says stands beside it.
    """
    text = said.decode("ascii", "replace").strip("\r\n\0 ")
    if not says_agent(said):
        return None, text
    words = said.lower()
    if _AGENT_DOWN.search(words):
        return False, text
    return True if _AGENT_UP.search(words) or _AGENT_READY.search(words) else None, text


def drain_notes(exchanges: Sequence[Exchange]) -> list[str]:
    """Say at which checks, counted from 1, an agent wanted no new connections: HAProxy takes such a server for up, and sends it none."""
    said = [n for n, one in enumerate(exchanges, 1) if _AGENT_DRAIN.search(one.connection.resp.data.lower())]
    if not said:
        return []
    where = f"at #{said[0]}" if len(said) == 1 else f"{len(said)} times, #{said[0]} to #{said[-1]}"
    return [
        f"the agent says drain ({where}): HAProxy sends this server no new connections then, which is not counted as DOWN"
    ]


def agent_says(exchange: Exchange, verdict: Verdict) -> Verdict:
    """Judge an agent-check by what the agent says; where it cannot be asked, or says neither up nor down, nothing changes."""
    told = exchange.connection.resp.arrivals
    closed = exchange.connection.orig.closed
    if not told and closed is not None and closed.ns - exchange.connection.start.ns >= WAITED_NS:
        text = "the agent said nothing"
        return Verdict(outcome=Outcome.FAILURE, cause=Cause.SLOW_ANSWER, end_ns=closed.ns, end_mark=closed, detail=text)
    if not told:
        return replace(verdict, outcome=Outcome.INCONCLUSIVE) if verdict.outcome is Outcome.SUCCESS else verdict
    up, words = agent_word(exchange.connection.resp.data)
    last = told[-1].mark
    no = up is False
    return Verdict(
        outcome=Outcome.FAILURE if no else Outcome.SUCCESS,
        cause=Cause.STATUS if no else Cause.OK,
        end_ns=last.ns,
        end_mark=last,
        detail=f"the agent says {words[:LONGEST_SHOWN]}",
    )


def turned_away(exchange: Exchange) -> bool:
    """Tell whether a server that speaks first said no, so that its checker left without a word."""
    connection = exchange.connection
    return connection.orig.length == 0 and _REPLY_NO.match(connection.resp.data) is not None


class Talk(NamedTuple):
    """How a series' checks go on, where the answer counts and the protocol is not read."""

    opening: bytes
    """What is asked; empty where the server speaks first."""
    kind: str
    """Whose checks they are."""
    prompt: bool
    """The checker leaves as soon as it is content."""
    waits: bool
    """It waits for an answer to what it sends; its last words may be a goodbye."""


def talk_of(opening: bytes | None, kind: str, exchanges: Sequence[Exchange]) -> Talk | None:
    """Return how a series talks; `opening` None where it says nothing. None where it wants no answer: a plain connect check."""
    connections = [exchange.connection for exchange in exchanges]
    if opening is None and not listens(connections):
        return None
    lingers = [0 for c in connections if c.answered is not None]  # (content, and the connection kept)
    lingers += [
        closed.ns - c.resp.arrivals[-1].mark.ns
        for c in connections
        if (closed := c.orig.closed) is not None and c.resp.arrivals and c.resp.arrivals[-1].mark < closed
    ]
    sent = [c for c in connections if c.orig.first_data is not None and c.orig.closed is not None]
    left = sum(_left_at_once(c) for c in sent)
    answered = sum(_answer(c, c.orig.first_data) is not None for c in sent)
    return Talk(opening or b"", kind, bool(lingers) and median(lingers) <= PROMPT_NS, waits=answered >= left)


def _first_word(c: Connection, asked: Mark | None) -> Mark | None:
    """Return what came first of an answer, whenever that was."""
    return next((arrival.mark for arrival in c.resp.arrivals if asked is not None and arrival.mark >= asked), None)


def _answer(c: Connection, asked: Mark | None) -> Mark | None:
    """Return what came first of an answer, before the checker hung up."""
    closed, found = c.orig.closed, _first_word(c, asked)
    return found if found is not None and (closed is None or found[:1] <= closed[:1]) else None


def _left_at_once(c: Connection) -> bool:
    """Tell whether a checker sent something and left, first and before any answer could be waited for."""
    asked, closed, gone = c.orig.first_data, c.orig.closed, c.resp.closed
    if asked is None or closed is None or (gone is not None and gone < closed):
        return False
    return closed.ns - asked.ns < WAITED_NS and _answer(c, asked) is None


def replied(exchange: Exchange, verdict: Verdict, talk: Talk, timeout_ns: int) -> Verdict:
    """Judge a check that wants to hear something: it must come before it hangs up, not say no, and be all that it waited for."""
    if verdict.outcome is not Outcome.SUCCESS:
        return verdict  # it never connected
    c = exchange.connection
    closed = c.orig.closed
    asked = c.orig.first_data if talk.opening and not c.question_lost else c.start
    told = c.resp.first_data
    no = refusal(talk.opening, c.resp.data, talk.kind)
    if told is not None and no and told.ns <= c.start.ns + timeout_ns:
        last = c.resp.arrivals[-1].mark
        # A checker that looks for words of its own in the answer waits on for them.
        end = closed if closed is not None and last < closed and closed.ns - last.ns >= WAITED_NS else last
        return Verdict(outcome=Outcome.FAILURE, cause=Cause.STATUS, end_ns=end.ns, end_mark=end, detail=no)
    if not talk.waits and closed is not None and _left_at_once(c):
        text = "said all it had to say, and left without waiting"
        return Verdict(outcome=Outcome.SUCCESS, cause=Cause.OK, end_ns=closed.ns, end_mark=closed, detail=text)
    late = _first_word(c, asked)
    answer = _answer(c, asked)
    if answer is not None and answer.ns <= c.start.ns + timeout_ns:
        gone = c.resp.closed
        stayed = closed is not None and (gone is None or closed < gone) and closed.ns - answer.ns >= WAITED_NS
        if stayed and talk.prompt and closed is not None:
            return Verdict(
                outcome=Outcome.FAILURE,
                cause=Cause.STATUS,
                end_ns=closed.ns,
                end_mark=closed,
                detail="not the answer that it wants: it waited on, and hung up at its timeout",
            )
        return Verdict(outcome=Outcome.SUCCESS, cause=Cause.OK, end_ns=answer.ns, end_mark=answer, detail="answered")
    if c.question_lost or (c.resp.gap is not None and c.resp.packets):
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            cause=Cause.CUT,
            end_ns=c.end.ns,
            end_mark=c.end,
            detail="the capture lost the answer",
        )
    ends = (
        (c.resp.rst, Cause.RESET_BEFORE_ANSWER, "connection reset by peer"),
        (c.resp.fin, Cause.CLOSED_BEFORE_ANSWER, "EOF"),
    )
    for mark, cause, text in ends:
        if mark is not None and (closed is None or mark <= closed):
            return Verdict(outcome=Outcome.FAILURE, cause=cause, end_ns=mark.ns, end_mark=mark, detail=text)
    return Verdict(
        outcome=Outcome.FAILURE,
        cause=Cause.SLOW_ANSWER,
        end_ns=closed.ns if closed is not None else c.start.ns + timeout_ns,
        end_mark=closed,
        late_answer_ns=late.ns - c.start.ns if late is not None else None,
        detail="request acknowledged, no answer" if c.orig.first_data is not None else "connected, no answer",
    )


def heard(connection: Connection) -> bool | None:
    """Tell whether a checker that says nothing left only when the server had spoken; None where that cannot be told."""
    closed, gone = connection.orig.closed, connection.resp.closed
    if not connection.resp.syns or connection.orig.length or closed is None:
        return None
    said = connection.resp.first_data
    if said is not None and said < closed:
        return True
    return None if gone is not None and gone < closed else False


def listens(connections: Sequence[Connection]) -> bool:
    """Tell whether a checker that says nothing waits for the server to speak: each stayed until it did, and for some that was long."""
    waited = False
    spoken = 0
    for connection in connections:
        was, closed, said = heard(connection), connection.orig.closed, connection.resp.first_data
        if was is None or closed is None:
            continue
        quiet = (said if was and said is not None else closed).ns - connection.start.ns
        if not was and quiet < WAITED_NS:
            return False
        spoken += was
        waited = waited or quiet >= LISTENED_NS
    return waited and spoken > 0
