"""The mutable state of one TCP connection while frames of it come, and the frozen `Connection` made of it."""

from __future__ import annotations

from typing import Final, Protocol

from probewatch.model.connection import Connection, Half, IcmpNote, Sighting, Step
from probewatch.model.frame import Mark
from probewatch.wire.packets import Lane
from probewatch.wire.sightings import Point, Recent, Vantage
from probewatch.wire.states import Endpoint, History, conn_state
from probewatch.wire.stream import REACH, Stream

SIGHTINGS: Final = 16
"""Vantage points listed for one connection; frames at further ones count as duplicates only."""

_INACTIVE = Endpoint.INACTIVE
_PARTIAL = Endpoint.PARTIAL
_ESTABLISHED = Endpoint.ESTABLISHED
_CLOSED = Endpoint.CLOSED
_OPEN = frozenset({_PARTIAL, _ESTABLISHED})
_ONCE: Final[dict[str, int]] = {}
"""How often letters came that came once."""
_new = tuple.__new__  # a NamedTuple made this way costs half of a call of its class


class Sight:
    """What one vantage point showed of a connection."""

    __slots__ = ("_times", "first", "last", "packets", "steps", "vantage")

    def __init__(self, vantage: Vantage, number: int) -> None:
        self.vantage = vantage
        self.packets = 0
        self.first = number
        self.last = number
        self.steps: dict[str, Mark] = {}
        """Letter -> first such frame here."""
        self._times: dict[str, int] | None = None
        """How many there were, where more than one."""

    def note(self, letter: str, mark: Mark) -> None:
        """Note a segment by its letter."""
        if letter not in self.steps:
            self.steps[letter] = mark
            return
        if self._times is None:
            self._times = {}
        self._times[letter] = self._times.get(letter, 1) + 1

    def value(self, *, alone: bool) -> Sighting:
        """Return the frozen value; where it is the only vantage point, the connection itself tells the steps."""
        steps: list[Step] = []
        if not alone:
            times = self._times or _ONCE
            steps = [
                _new(Step, (letter, mark.ns, mark.number, times.get(letter, 1))) for letter, mark in self.steps.items()
            ]
        file, interface, ifindex, side = self.vantage
        return Sighting(file, interface, ifindex, self.packets, self.first, self.last, tuple(steps), side)


class Side:
    """One endpoint: its states, its sequence space, its stream."""

    __slots__ = (
        "acked", "at", "clean", "dup_acks", "fin", "fin_acked", "fin_end", "first_ack", "isn", "lane", "last", "life", "mac",
        "mss", "nxt", "nxt_ns", "orig", "packet_type", "packets", "peer", "reported", "retransmits", "rst", "rst_ack", "rst_acks",
        "rst_seq", "seen_ack", "seen_data", "sight", "stamp", "state", "stream", "syns", "to_mac", "ttl", "used",
    )  # fmt: skip

    life: Life
    peer: Side

    def __init__(self, orig: bool, limit: int, arrivals: int) -> None:
        self.orig = orig
        self.state = _INACTIVE
        self.clean = False
        """It was established: Zeek reports content gaps only between endpoints that were."""
        self.isn = -1
        """Sequence number of its SYN; -1 where none was seen."""
        self.nxt = 0
        """Highest sequence number it used, plus one (Zeek's last_seq, tshark's nextseq)."""
        self.nxt_ns = 0
        self.acked = -1
        """Highest acknowledgment of its bytes by the peer; -1 before the first."""
        self.dup_acks = 0
        self.reported = 0
        """Offset up to which lost bytes are in the history."""
        self.stream = Stream(limit, arrivals)
        self.packets = 0
        self.retransmits = 0
        self.seen_data = False
        self.seen_ack = False
        self.syns: list[Mark] = []
        self.stamp = -1
        """TSval of the first of them; -1 without."""
        self.first_ack: Mark | None = None
        self.fin: Mark | None = None
        self.fin_end = 0
        self.fin_acked: Mark | None = None
        self.rst: Mark | None = None
        self.rst_acks = False
        self.rst_ack = -1
        """What its first RST acknowledges, where that stands in line; -1 else."""
        self.rst_seq = -1
        """Its number, likewise."""
        self.last: Mark | None = None
        self.used: Mark | None = None
        """Its last segment with new data, as far as it was followed."""
        self.ttl = -1
        self.mss = 0
        self.mac = b""
        self.to_mac = b""
        self.packet_type = -1
        # Where its last frame was captured, so that the next one there needs no look-up.
        self.lane: Lane | None = None
        self.at: Point = (-1, 0, 0, 0, "")
        self.sight: Sight | None = None

    def letter(self, upper: str) -> str:
        """Return a history letter in the case of this side."""
        return upper if self.orig else upper.lower()

    def known_end(self) -> int:
        """Return the offset that the stream is known to reach: by what was seen, by its FIN, by acknowledgments."""
        stream = self.stream
        end = stream.top
        if stream.base < 0:
            return 0
        if self.rst_seq >= 0:
            end = max(end, stream.offset(self.rst_seq))
        acked = stream.offset(self.acked) if self.acked >= 0 else 0
        if self.peer.rst_ack >= 0:  # (the history is Zeek's, who trusts none)
            acked = max(acked, stream.offset(self.peer.rst_ack))
        if self.fin is not None:
            fin = stream.offset(self.fin_end) - 1
            end = max(end, fin)
            acked = min(acked, fin)
        elif acked == stream.next + 1 and not stream.spans:
            acked = stream.next  # one more than the data: the acknowledgment of a FIN that was not captured
        return max(end, acked) if acked - stream.next <= REACH else end

    def half(self) -> Half:
        """Return the frozen value."""
        stream, known_end = self.stream, self.known_end()
        return Half(
            packets=self.packets,
            retransmits=self.retransmits,
            data=bytes(stream.data),
            length=stream.top,
            acked=max(0, min(stream.offset(self.acked), stream.top)) if self.acked >= 0 and stream.base >= 0 else 0,
            arrivals=tuple(stream.arrivals),
            gap=stream.gap(known_end),
            shortened=stream.shortened(known_end),
            syns=tuple(self.syns),
            first_ack=self.first_ack,
            fin=self.fin,
            fin_acked=self.fin_acked,
            rst=self.rst,
            rst_acks=self.rst_acks,
            last=self.last,
            used=self.last if self.life.bypassed else self.used,
            ttl=self.ttl,
            mss=self.mss,
            mac=self.mac,
            to_mac=self.to_mac,
            packet_type=self.packet_type,
        )


class Fast(Protocol):
    """What lets the segments of a connection pass by (`wire.fastpath`)."""

    def settle(self) -> None:
        """Write down which of them came last."""

    def touched(self) -> int:
        """Return when the last of them came, as the tracker's clock shows it; before all times where none did since `settle`."""

    def close(self) -> None:
        """Write that down, and let no more pass."""


class Life:
    """One connection in the tracker's table."""

    __slots__ = (
        "answered", "bare_ack", "born", "bypassed", "claimed", "client", "client_port", "due", "end", "ended", "fast", "flipped", "gone",
        "held_ns", "history", "icmp", "id", "midstream", "neighbour", "orig", "outer_source", "over", "paced", "passed", "payload",
        "piece_of", "recent", "resp", "rev", "server", "server_port", "sights", "speaker", "start", "told", "touched", "tunnel", "turns",
    )  # fmt: skip

    def __init__(self, number: int, orig: Side, resp: Side, start: Mark, clock: int) -> None:
        self.id = number
        self.orig = orig
        self.resp = resp
        orig.life = resp.life = self
        orig.peer, resp.peer = resp, orig
        self.client = self.server = ""
        self.client_port = self.server_port = 0
        self.start = self.end = start
        self.born = self.touched = clock
        self.history = History()
        self.recent = Recent()
        self.sights: dict[Vantage, Sight] = {}
        self.answered = False
        """A SYN-ACK was seen."""
        self.midstream = False
        self.piece_of: int | None = None
        self.flipped = False
        self.bare_ack = False
        self.icmp: IcmpNote | None = None
        self.neighbour: Mark | None = None
        self.held_ns = 0
        self.tunnel = ""
        self.outer_source = ""
        self.rev = 0
        self.told = False
        """Handed out, and nothing came since."""
        self.over: int | None = None
        """Clock when it ended."""
        self.ended = False
        """Its end was handed out."""
        self.due = -1
        """Clock of its timer."""
        self.gone = False
        self.fast: Fast | None = None
        """Where segments pass by: to be settled before anything else here is read."""
        self.speaker: Side | None = None
        """Who sent data last."""
        self.turns = 0
        """How often that changed"""
        self.paced = clock
        """since then."""
        self.bypassed = False
        """Nothing more of it is followed but its end."""
        self.passed: Mark | None = None
        """Its last segment before that."""
        self.claimed = False
        """Handed out, and known for one that a checker keeps."""
        self.payload = 0
        """Bytes of payload it holds."""

    @property
    def closed(self) -> bool:
        """Whether both sides sent a FIN and neither was reset."""
        return self.orig.state is _CLOSED and self.resp.state is _CLOSED

    def flip(self) -> None:
        """Swap client and server: the capture's first frames had misled."""
        self.orig, self.resp = self.resp, self.orig
        self.orig.orig, self.resp.orig = True, False
        self.client, self.server = self.server, self.client
        self.client_port, self.server_port = self.server_port, self.client_port
        self.history.flip()
        self.flipped = True

    @property
    def open(self) -> bool:
        """Whether neither side has ended it."""
        return self.over is None and self.orig.state in _OPEN and self.resp.state in _OPEN

    def see(self, side: Side, sight: Sight | None, mark: Mark) -> None:
        """Take in a segment of which nothing counts but that it came."""
        side.last = self.end = mark
        if sight is not None:
            sight.last = mark.number

    def rejoin(self, side: Side, seq: int, ack: int) -> None:
        """Follow a connection again that was bypassed: its numbers go on from this segment, as if nothing were missing."""
        self.bypassed = False
        if (seq, ack) == (side.nxt, side.peer.nxt):
            self.passed = None  # nothing was said meanwhile
        for one, number in ((side, seq), (side.peer, ack)):
            one.nxt = one.stream.edge = number
            one.used = one.last
            one.stream.spans.clear()
        side.peer.acked = ack

    def _read_until(self) -> Mark | None:
        """Return up to where it was read; None where all that was said was."""
        marks = [self.passed] if self.passed is not None and self.end > self.passed else []
        for side in (self.orig, self.resp):
            stream = side.stream
            if stream.next > len(stream.data) == stream.limit:
                marks.append(stream.arrivals[-1].mark)
        return min(marks, default=None)

    def bypass(self) -> None:
        """From now on follow nothing of it but its end."""
        self.bypassed = True
        self.passed = self.passed or self.end

    def snapshot(self, final: bool) -> Connection:
        """Return the next revision."""
        self.rev += 1
        orig, resp = self.orig.half(), self.resp.half()
        letters = self.history.letters
        alone = len(self.sights) == 1
        sightings = tuple([s.value(alone=alone) for s in self.sights.values()])
        return Connection(
            id=self.id,
            rev=self.rev,
            final=final,
            client=self.client,
            client_port=self.client_port,
            server=self.server,
            server_port=self.server_port,
            start=self.start,
            end=self.end,
            state=conn_state(self.orig.state, self.resp.state, (orig.length, resp.length), letters),
            history=letters,
            orig=orig,
            resp=resp,
            bare_ack=self.bare_ack,
            midstream=self.midstream,
            flipped=self.flipped,
            icmp=self.icmp,
            neighbour=self.neighbour,
            held_ns=self.held_ns,
            frames=_frames(sightings),
            sightings=sightings,
            tunnel=self.tunnel,
            outer_source=self.outer_source,
            piece_of=self.piece_of,
            read_until=self._read_until(),
        )


def _frames(sightings: tuple[Sighting, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return the first and the last frame of a connection in each file."""
    found: dict[int, tuple[int, int, int]] = {}
    for s in sightings:
        _, first, last = found.get(s.file, (s.file, s.first, s.last))
        found[s.file] = (s.file, min(first, s.first), max(last, s.last))
    return tuple(found.values())
