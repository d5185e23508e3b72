"""Connections that checkers keep, as they come from the tracker: their questions, each as soon as it is answered.

An HTTP/1 connection is followed in pieces (`wire.tcp.Tracker.part`), so that it may be asked on for days. HTTP/2 needs
its beginning, because header compression has a memory: of such a connection the first questions are read, as far as a
stream is kept, and later ones are missing.

Limitations: a connection that nobody had asked anything, or not answered, when the tracker first handed it out (after
5 s of silence) stays an ordinary one; checkers ask as soon as they are connected.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from probewatch.model.connection import Connection, Half
from probewatch.model.exchange import Exchange
from probewatch.probes.questions import KEPT_QUESTIONS, keeps_asking, questions
from probewatch.wire.exchange import read_exchange
from probewatch.wire.tcp import Tracker

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog

MOST_KEPT: Final = 4_096
"""Kept connections whose questions are counted; the oldest is forgotten."""

_CLOSED: Final = {(True, True): "SF", (True, False): "S2", (False, True): "S3", (False, False): ""}
"""Zeek's state of a connection that stood, by who sent a FIN."""

Peers = tuple[str, int, str, int]
K = TypeVar("K")
V = TypeVar("V")


class KeptConnections:
    """Takes connections that a checker keeps and gives out their questions."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._told: dict[int, int] = {}
        """Connection id -> questions given out."""
        self._parted: dict[Peers, None] = {}

    def begin(self, connection: Connection, exchange: Exchange, keys: Keylog | None) -> list[Exchange] | None:
        """Return the questions of a connection that was just handed out and read; None where it is an ordinary one."""
        if not keeps_asking(exchange) or not self._tracker.claim(connection):
            rest = connection.midstream and not connection.orig.length and _peers(connection) in self._parted
            return [] if rest else None  # (how a kept connection ended, after its last question)
        if exchange.grpc is None and exchange.tls is None:
            self._tracker.part(connection)
            _remember(self._parted, _peers(connection), None)
        _remember(self._told, connection.id, 0)
        return self.more(connection, keys)

    def more(self, connection: Connection, keys: Keylog | None) -> list[Exchange] | None:
        """Return the further questions of a newer revision; None where it is an ordinary connection."""
        told = self._told.get(connection.id)
        if told is None:
            return None
        read = read_exchange(connection, keys, most=KEPT_QUESTIONS)
        found = questions(read, told)
        if connection.final:
            del self._told[connection.id]
        else:
            self._told[connection.id] = told + len(found)
        return found


def joined(one: Connection, piece: Connection) -> Connection:
    """Return a connection with a later piece of it."""
    orig, resp = _further(one.orig, piece.orig), _further(one.resp, piece.resp)
    state = one.state
    if state != "OTH":
        ends = [(mark, name) for mark, name in ((orig.rst, "RSTO"), (resp.rst, "RSTR")) if mark is not None]
        state = min(ends)[1] if ends else _CLOSED[orig.fin is not None, resp.fin is not None] or state
    history = one.history + "".join(letter for letter in piece.history if letter in "FfRr")
    files = {file: (file, first, last) for file, first, last in one.frames}
    for file, first, last in piece.frames:
        files[file] = (file, files[file][1] if file in files else first, last)
    return replace(
        one, rev=one.rev + 1, final=piece.final, end=piece.end, state=state, history=history, orig=orig, resp=resp,
        frames=tuple(files.values()), read_until=piece.read_until,
    )  # fmt: skip


def _further(one: Half, piece: Half) -> Half:
    """Return one direction of a connection with that of a later piece of it."""
    return replace(
        one, packets=one.packets + piece.packets, retransmits=one.retransmits + piece.retransmits, length=one.length + piece.length,
        acked=one.length + piece.acked, fin=piece.fin, fin_acked=piece.fin_acked, rst=piece.rst, rst_acks=piece.rst_acks,
        last=piece.last or one.last,
    )  # fmt: skip


def _peers(connection: Connection) -> Peers:
    return (connection.client, connection.client_port, connection.server, connection.server_port)


def _remember(table: dict[K, V], key: K, value: V) -> None:
    if len(table) >= MOST_KEPT and key not in table:
        del table[next(iter(table))]
    table[key] = value
