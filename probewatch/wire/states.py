"""Know what a TCP endpoint's segments say about its connection: the tables behind Zeek's `conn_state` and `history`.

Theory of operation
-------------------
Each endpoint of a connection has one `Endpoint` state, moved by the `Event`s of its own segments only. Two things look
at the peer: what a first segment means (is it the answer to a SYN, or did the capture begin in the middle?), and
whether a RST still matters once both sides had sent a FIN. So the machine is two tables: `MOVES` (state x event ->
state) and
`EXCEPTIONS` (state x event x peer's state -> both states), which wins where it has an entry. `step` is both in one
look-up.

A segment with several of SYN, FIN, RST is several events in that order; RST swallows FIN.

The states, the thirteen words of `conn_state` and the letters of `history` are Zeek's (base/protocols/conn/main.zeek;
TCPSessionAdapter::UpdateStateMachine, update_history, update_last_seq; TCP_Endpoint), so that a reader can lay the two
side by side.

Differences from Zeek, each on purpose
--------------------------------------
- A RST that only refuses a challenge ACK (RFC 9293 section 3.10.7.3: SYN-SENT, unacceptable ACK,
`<SEQ=SEG.ACK><CTL=RST>`)
  is `Event.CHALLENGE_RST` and moves nothing: the same SYN is sent again milliseconds later and answered. Zeek says
  RSTO.
- SYN and SYN-ACK that the capture shows late establish both sides all the same. Zeek does so in part of the cases.
- Crossing SYNs (simultaneous open) are one connection. Zeek takes the second SYN for the reuse of the ports.
- A SYN-ACK always makes its sender the server (Zeek's `^`); Zeek does so only for ports that it knows.
- Data in a SYN is no retransmission; Zeek writes T.
- `history` has at most `HISTORY_LIMIT` letters; Zeek's is unbounded.

Limitations
-----------
Zeek's C (bad checksum) and X (analysis limits) are never written: offload makes checksums at the sending host
meaningless.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

HISTORY_LIMIT: Final = 64


class Endpoint(IntEnum):
    """State of one endpoint, as far as its own segments show it (Zeek's TCP_ENDPOINT_*)."""

    INACTIVE = 0
    """Nothing seen."""
    SYN_SENT = 1
    SYN_ACK_SENT = 2
    """The originator answered a SYN that the capture does not show."""
    PARTIAL = 3
    """First seen in the middle of the connection."""
    ESTABLISHED = 4
    CLOSED = 5
    """Sent a FIN."""
    RESET = 6
    """Sent a RST."""
    ABORTED = 7
    """Sent a FIN, then a RST: Zeek's RESET with `prev_state` CLOSED."""


class Event(IntEnum):
    """What one segment, or one flag of it, does to its sender's endpoint."""

    CLIENT_SYN = 0
    CLIENT_SYN_ACK = 1
    SERVER_SYN = 2
    SERVER_SYN_ACK = 3
    ACK = 4
    """ACK, with or without data, and none of SYN, FIN, RST."""
    SERVER_EMPTY = 5
    """The same from the server, or a segment without any flag, when it carries no data."""
    NO_ACK = 6
    """Neither ACK nor SYN, FIN, RST."""
    FIN = 7
    RST = 8
    CHALLENGE_RST = 9
    """The client refuses an ACK that its SYN did not ask for; its SYN stays alive."""


_E = Endpoint
_V = Event

_OPENING: Final = {
    (_E.INACTIVE, _V.CLIENT_SYN): _E.SYN_SENT,
    (_E.INACTIVE, _V.CLIENT_SYN_ACK): _E.SYN_ACK_SENT,
    (_E.INACTIVE, _V.SERVER_SYN): _E.ESTABLISHED,
    (_E.INACTIVE, _V.SERVER_SYN_ACK): _E.ESTABLISHED,
    (_E.INACTIVE, _V.ACK): _E.PARTIAL,
    (_E.INACTIVE, _V.SERVER_EMPTY): _E.PARTIAL,
    (_E.INACTIVE, _V.NO_ACK): _E.PARTIAL,
}
_CLOSING: Final = {
    **{(state, _V.FIN): _E.CLOSED for state in (_E.INACTIVE, _E.SYN_SENT, _E.SYN_ACK_SENT, _E.PARTIAL, _E.ESTABLISHED)},
    **{(state, _V.RST): _E.RESET for state in (_E.INACTIVE, _E.SYN_SENT, _E.SYN_ACK_SENT, _E.PARTIAL, _E.ESTABLISHED)},
    (_E.CLOSED, _V.RST): _E.ABORTED,
}

MOVES: Final[dict[tuple[Endpoint, Event], Endpoint]] = {
    **{(state, event): state for state in Endpoint for event in Event},
    **_OPENING,
    **_CLOSING,
}
"""state x event -> state; whatever is not an opening or a closing leaves the endpoint where it is."""

EXCEPTIONS: Final[dict[tuple[Endpoint, Event, Endpoint], tuple[Endpoint, Endpoint]]] = {
    # The answer establishes both sides.
    (_E.INACTIVE, _V.SERVER_SYN, _E.SYN_SENT): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.INACTIVE, _V.SERVER_SYN_ACK, _E.SYN_SENT): (_E.ESTABLISHED, _E.ESTABLISHED),
    # The SYN comes after its answer: captured in the wrong order.
    (_E.INACTIVE, _V.CLIENT_SYN, _E.ESTABLISHED): (_E.ESTABLISHED, _E.ESTABLISHED),
    # The SYN was missed, the SYN-ACK was not.
    (_E.INACTIVE, _V.ACK, _E.ESTABLISHED): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.INACTIVE, _V.SERVER_EMPTY, _E.ESTABLISHED): (_E.ESTABLISHED, _E.ESTABLISHED),
    # A challenge ACK (RFC 9293 section 3.10.7.4) answers a SYN on ports that the server still holds for an older
    # connection.
    (_E.INACTIVE, _V.SERVER_EMPTY, _E.SYN_SENT): (_E.INACTIVE, _E.SYN_SENT),
    # SYN or SYN-ACK after what followed it: captured in the wrong order.
    (_E.PARTIAL, _V.CLIENT_SYN, _E.ESTABLISHED): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.PARTIAL, _V.CLIENT_SYN, _E.PARTIAL): (_E.ESTABLISHED, _E.PARTIAL),
    (_E.PARTIAL, _V.CLIENT_SYN, _E.CLOSED): (_E.ESTABLISHED, _E.CLOSED),
    (_E.PARTIAL, _V.SERVER_SYN_ACK, _E.INACTIVE): (_E.ESTABLISHED, _E.INACTIVE),
    (_E.PARTIAL, _V.SERVER_SYN_ACK, _E.SYN_SENT): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.PARTIAL, _V.SERVER_SYN_ACK, _E.PARTIAL): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.PARTIAL, _V.SERVER_SYN_ACK, _E.ESTABLISHED): (_E.ESTABLISHED, _E.ESTABLISHED),
    (_E.PARTIAL, _V.SERVER_SYN_ACK, _E.CLOSED): (_E.ESTABLISHED, _E.CLOSED),
    (_E.INACTIVE, _V.SERVER_SYN_ACK, _E.PARTIAL): (_E.ESTABLISHED, _E.ESTABLISHED),
    # A SYN after all, and nothing of the other side yet.
    (_E.PARTIAL, _V.CLIENT_SYN, _E.INACTIVE): (_E.SYN_SENT, _E.INACTIVE),
    (_E.PARTIAL, _V.SERVER_SYN, _E.INACTIVE): (_E.SYN_SENT, _E.INACTIVE),
    # The peer's RST came after its FIN: with this FIN the end was a normal one.
    (_E.ESTABLISHED, _V.FIN, _E.ABORTED): (_E.CLOSED, _E.CLOSED),
    (_E.PARTIAL, _V.FIN, _E.ABORTED): (_E.CLOSED, _E.CLOSED),
    # Both FINs were seen: a RST changes nothing any more.
    (_E.CLOSED, _V.RST, _E.CLOSED): (_E.CLOSED, _E.CLOSED),
}
"""state x event x peer's state -> state, peer's state."""

_STEPS: Final = tuple(
    tuple(tuple(EXCEPTIONS.get((own, event, peer), (MOVES[own, event], peer)) for peer in Endpoint) for event in Event)
    for own in Endpoint
)


def step(own: Endpoint, event: Event, peer: Endpoint) -> tuple[Endpoint, Endpoint]:
    """Return the states of sender and peer after `event` of the sender."""
    return _STEPS[own][event][peer]


_UNSEEN: Final = frozenset({_E.INACTIVE, _E.PARTIAL})
_RESETS: Final = frozenset({_E.RESET, _E.ABORTED})
_ONLY_SYN_THEN_RST: Final = re.compile(r"\^?S[^HAFGIQ]*R.*")


def conn_state(orig: Endpoint, resp: Endpoint, sizes: tuple[int, int], history: str) -> str:
    """Return Zeek's `conn_state` (function conn_state of base/protocols/conn/main.zeek).

    `sizes` are the payload bytes of originator and responder, `history` the letters so far.
    """
    if resp in _RESETS:
        if orig in (_E.SYN_SENT, _E.SYN_ACK_SENT) or (orig in _RESETS and sizes == (0, 0)):
            return "REJ"
        return "RSTRH" if orig in _UNSEEN else "RSTR"
    if orig in _RESETS:
        if resp in _UNSEEN:
            return "RSTOS0" if _ONLY_SYN_THEN_RST.fullmatch(history) else "OTH"
        return "RSTO"
    if orig is resp is _E.CLOSED:
        return "SF"
    if orig is _E.CLOSED:
        return "SH" if resp in _UNSEEN else "S2"
    if resp is _E.CLOSED:
        return "SHR" if orig in _UNSEEN else "S3"
    if orig is _E.SYN_SENT and resp is _E.INACTIVE:
        return "S0"
    if orig is resp is _E.ESTABLISHED:
        return "S1"
    return "OTH"


LETTERS: Final[dict[str, str]] = {
    "S": "a SYN without ACK",
    "H": "a SYN with ACK (handshake)",
    "A": "an ACK without data",
    "D": "a segment with data",
    "F": "a FIN",
    "R": "a RST",
    "T": "data sent again",
    "W": "a zero window",
    "G": "data acknowledged that the capture does not show (content gap)",
    "I": "inconsistent flags: FIN with RST",
    "Q": "several flags: SYN with FIN or RST",
    "^": "the direction was decided by a heuristic, not by a SYN",
}
"""Upper case for the originator. A, D, I, Q stand once a side; S, H, F, R again where the sequence number differs; T, W, G
at the 1st, 10th, 100th ... time."""


class History:
    """The `history` of one connection while it grows."""

    __slots__ = ("_counts", "_last", "letters", "seen")

    def __init__(self) -> None:
        self.letters = ""
        self.seen = ""
        """Letters written (a set of them takes half a kilobyte), `S` standing for `H` too, as Zeek's HIST_SYN_PKT does."""
        self._counts: dict[str, int] | None = None
        self._last: dict[str, int] = {}

    def add(self, letter: str) -> None:
        """Append a letter."""
        if len(self.letters) < HISTORY_LIMIT:
            self.letters += letter

    def once(self, letter: str) -> None:
        """Append A, D, I or Q the first time only."""
        if letter not in self.seen:
            self.seen += letter
            self.add(letter)

    def again(self, letter: str, seen_as: str, seq: int) -> None:
        """Append S, H, F or R, again only where its sequence number is not that of the one before."""
        if seen_as not in self.seen:
            self.seen += seen_as
            self.add(letter)
        elif self._last.get(seen_as) != seq:
            self.add(letter)
        self._last[seen_as] = seq

    def scaled(self, letter: str) -> None:
        """Append T, W or G at its first, tenth, hundredth ... occurrence."""
        counts = self._counts
        if counts is None:
            counts = self._counts = {}
        count = counts[letter] = counts.get(letter, 0) + 1
        if count == 1 or (count % 10 == 0 and count == 10 ** (len(str(count)) - 1)):
            self.add(letter)

    def flip(self) -> None:
        """Swap the cases of what was written, and mark the flip."""
        self.letters = self.letters.swapcase() + "^"
        self.seen = self.seen.swapcase()
        self._last = {letter.swapcase(): seq for letter, seq in self._last.items()}
        if self._counts:
            self._counts = {letter.swapcase(): count for letter, count in self._counts.items()}
