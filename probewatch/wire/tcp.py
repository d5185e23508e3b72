"""Follow TCP connections: segments in, `Connection` and `Unresolved` values out.

Theory of operation
-------------------
A connection is one life of a 4-tuple. It begins with its first frame, in the best case a SYN, and is kept in `table`
under both of its directed 4-tuples, so that one look-up per segment finds the sending `Side`. What a segment does, in
order: it is judged against the frames seen just before (`sightings`: a copy of one of them changes nothing else); it
writes its letters (`states.History`); its acknowledgment moves the peer, its sequence number moves its own side
(`numbers`); its flags move the state machine (`states.step`); its payload goes to the `Stream`. `table` decides when
the connection is handed out, handed out again, and forgotten.

A SYN of another sequence number than the life's own starts a new life, at once and whatever the state of the old one. A
late SYN of a life that the capture showed in the wrong order is recognized by its number, just below the first one
seen.

Time is the largest capture time so far, or `advance`. Where the capture's clock steps back for good (`STEP_FRAMES`
frames in a row more than `STEP` behind) the tracker's clock goes on from there, so that deadlines keep their length.

Limitations
-----------
- The 4-tuple is all that names a connection: the same addresses in two VLANs or tunnels at the same time would be
mixed.
- Zeek forgets connections after 5 s (unanswered, closed) or 5 minutes (idle); the longer memory here joins what Zeek logs as
  two.
- Where copies are removed, retransmissions are fewer than tshark's, which counts each copy as one; see `numbers` too.
- A forged segment with a plausible sequence number is taken for a true one.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace
from typing import Final

from probewatch.model.connection import Connection, IcmpNote, Unresolved
from probewatch.model.frame import Mark
from probewatch.model.units import SECOND
from probewatch.wire import numbers
from probewatch.wire.direction import Directions
from probewatch.wire.icmp import OWN, rejected_syn
from probewatch.wire.lives import SIGHTINGS, Life, Side, Sight
from probewatch.wire.packets import ACK, FIN, RST, SYN, IcmpError, Lane, Neighbour, Segment
from probewatch.wire.resolution import Resolver
from probewatch.wire.sightings import Signature, point, vantage
from probewatch.wire.states import Endpoint, Event, step
from probewatch.wire.stream import MASK, distance
from probewatch.wire.table import Key, Limits, Stats, Table

__all__ = ["Limits", "Stats", "Tracker"]

CONTROL: Final = SYN | FIN | RST
MOST_UNSENT: Final = 1_000
"""Ways on which SYNs are counted that never left, and such SYNs of each."""
REFUSES: Final = RST | ACK
"""With the sequence number 0, what answers a SYN and nothing else (RFC 9293 section 3.10.7.1): that SYN is not in the capture."""
STEP: Final = 2 * SECOND
"""Nanoseconds behind the clock that are no mere disorder."""
STEP_FRAMES: Final = 64
LATE_SYN: Final = SECOND
"""A SYN this long (ns) after a life's first frame can still be its own, captured late."""
LOOKS: Final = 4
"""Changes of who sends data after which a connection that was handed out, because it is asked so often, is looked at again."""
FAR: Final = 1 << 62
"""Nanoseconds; later than all times."""
SWEEP: Final = 100_000_000
"""Nanoseconds between two looks at the address resolutions under way."""

_INACTIVE: Final = Endpoint.INACTIVE
_SYN_SENT: Final = Endpoint.SYN_SENT
_ESTABLISHED: Final = Endpoint.ESTABLISHED
_CLOSED: Final = Endpoint.CLOSED
_RESETS: Final = (Endpoint.RESET, Endpoint.ABORTED)

_SYN_EVENTS: Final = {
    (True, False): Event.CLIENT_SYN,
    (True, True): Event.CLIENT_SYN_ACK,
    (False, False): Event.SERVER_SYN,
    (False, True): Event.SERVER_SYN_ACK,
}
"""(from the originator, with ACK) -> event."""


def _letter(s: Segment) -> str:
    """Return the history letter (upper case) of what matters most in a segment."""
    if s.flags & SYN:
        return "H" if s.flags & ACK else "S"
    return "R" if s.flags & RST else "F" if s.flags & FIN else "D" if s.length else "A"


class Tracker:
    """Follows connections and address resolutions; see the module.

    `stats` counts what went by.
    """

    __slots__ = (
        "_behind",
        "_directions",
        "_heap",
        "_limits",
        "_resolver",
        "_sides",
        "_skew",
        "_swept",
        "_table",
        "bypassing",
        "crowd",
        "ready",
        "stats",
    )

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008  (frozen)
        self.stats = Stats()
        self._limits = limits
        self._table = Table(limits, self.stats)
        self._sides = self._table.sides
        self._heap = self._table.heap
        self.ready: Sized = self._table.ready
        """What `take` would return, ..."""
        self.crowd = limits.ready
        """... of which there should not be more, though no time has passed."""
        self._directions = Directions(limits.servers)
        self._resolver = Resolver(limits.rounds)
        self._skew = 0
        self._behind = 0
        self._swept = self._table.clock
        self.bypassing: Side | None = None
        """Who sent the latest segment that its connection is bypassed for, or was bypassed with; its reader sets it to None."""

    # Frames in

    def segment(self, s: Segment) -> None:
        """Take in one TCP segment."""
        mark, lane, source, destination, sport, dport, seq, ack, flags, _, _, length, _, ip_id, tsval, _, _, _ = s
        ns, file, _ = mark
        self._pass_time(ns)
        side = self._sides.get((source, sport, destination, dport)) or self._begin(s)
        if side is None:
            return
        life = side.life
        if life.fast is not None:
            life.fast.settle()
        if lane is not side.lane or file != side.at[0]:
            self._look(side, mark, lane)
        if life.bypassed and self._passes(side, mark, seq, ack, flags):
            return
        signature = (seq, ack, flags, length, ip_id, tsval, side.orig)
        if life.recent.is_copy(signature, ns, side.at):
            self._copy(side, s)
            return
        if flags & SYN and self._is_reborn(side, seq, flags, ns):
            side = self._bear_again(life, s, signature)
            if side is None:
                return
        if flags & (SYN | ACK) == SYN and side.orig and not side.packets and len(self._resolver):
            self._claim(side.life, ns)
        self._count(side, s)
        if flags & CONTROL:
            self._control(side, s)
        else:
            self._plain(side, s)

    def icmp(self, e: IcmpError) -> None:
        """Take in an ICMP error about a segment."""
        self.stats.icmp += 1
        self.advance(e.mark.ns)
        side = self._sides.get(ends := (e.source, e.source_port, e.destination, e.destination_port))
        if (syn := rejected_syn(e)) and (side is None or (side.life.icmp and side.syns[:1] == [side.life.icmp.mark])):
            self.segment(syn)
            side = self._sides.get(ends)
        if side is None or not side.orig:
            self.stats.icmp_unknown += 1
            if side is None and e.reporter == e.source and (e.version, e.type, e.code) in OWN:
                self._unsent(e)
            return
        life = side.life
        if life.fast is not None:
            life.fast.settle()
        known = life.icmp
        if known is None:
            life.icmp = IcmpNote(mark=e.mark, reporter=e.reporter, version=e.version, type=e.type, code=e.code)
        elif side.syns and side.syns[-1] > (known.last or known.mark):
            life.icmp = replace(known, last=e.mark)
        else:
            return
        life.touched = self._table.clock
        if life.told:
            self._table.news(life)

    def _unsent(self, e: IcmpError) -> None:
        """Take note of a SYN that its own kernel gave up before it left."""
        unsent = self.stats.unsent
        ends = e.source, e.destination, e.destination_port
        if ends in unsent or len(unsent) < MOST_UNSENT:
            known = unsent.setdefault(ends, set())
            if len(known) < MOST_UNSENT:
                known.add((e.source_port, e.seq))

    def neighbour(self, n: Neighbour) -> None:
        """Take in an ARP or Neighbour Discovery message."""
        self.advance(n.mark.ns)
        if n.request:
            self._resolver.request(n, self._table.clock)
        else:
            self._resolver.reply(n, self._table.clock)

    # Time, and values out

    def advance(self, now_ns: int) -> None:
        """Say that it is (at least) this late; nanoseconds since 1970."""
        self._table.clock = max(self._table.clock, now_ns + self._skew)

    @property
    def skew(self) -> int:
        """How far the tracker's clock is ahead of the capture's (ns)."""
        return self._skew

    @property
    def late_ns(self) -> int:
        """The time (ns) before which a segment is late."""
        return self._table.clock - self._skew

    @property
    def due_ns(self) -> int:
        """The time (ns) from which on a segment finds something due."""
        heap = self._heap
        return heap[0][0] - self._skew if heap else FAR

    def tick(self, ns: int) -> None:
        """Do what is due at the time of a segment that goes by the fast path."""
        self.passed(ns)
        self._table.expire()

    def passed(self, ns: int) -> None:
        """Know the time of the last segment that went by the fast path."""
        clock = ns + self._skew
        if clock > self._table.clock:
            self._table.clock = clock
            self._behind = 0

    def _pass_time(self, ns: int) -> None:
        """Let time come to a segment, and do what is due; follow a clock that stepped back and stays there."""
        table, clock = self._table, ns + self._skew
        if clock > table.clock:
            table.clock = clock
            self._behind = 0
            heap = self._heap
            if heap and heap[0][0] <= clock:
                table.expire()
        elif clock < table.clock - STEP:
            self._behind += 1
            if self._behind >= STEP_FRAMES:
                self._behind = 0
                self._skew = table.clock - ns

    def take(self) -> list[Connection | Unresolved]:
        """Return what became ripe, or was revised, since the last call."""
        table = self._table
        table.expire()
        if len(self._resolver) and table.clock - self._swept > SWEEP:
            self._swept = table.clock
            self._resolver.expire(table.clock)
        return self._collect()

    def part(self, connection: Connection) -> None:
        """From now on follow this connection in pieces, one from each rest after an answer to a later one; see `Table.part`."""
        c = connection
        self._table.part((c.client, c.client_port, c.server, c.server_port), c.id)

    def claim(self, connection: Connection) -> bool:
        """Go on following a connection that was handed out, however often it is asked: a checker keeps it.

        Returns False where it is not followed any more, because it has transferred more than any check does.
        """
        return self._table.claim(connection.id)

    def finish(self) -> list[Connection | Unresolved]:
        """Return all that was not handed out yet, or has changed since, as final; the tracker is empty then."""
        self._resolver.expire(self._table.clock)
        self._resolver.finish()
        self._table.finish()
        return self._collect()

    def unripe_since(self, server: str) -> int | None:
        """Return the earliest start (ns) of what was not handed out yet and goes to this address, or None.

        Counts connections (from the address resolution they waited for) and rounds of resolution.
        """
        start = self._table.unripe_since(server)
        if not len(self._resolver):
            return start
        asked = self._resolver.earliest(server)
        return min((ns for ns in (start, asked) if ns is not None), default=None)

    def resolving(self, server: str) -> bool:
        """Say whether somebody is asking for this address, and nobody has answered."""
        return len(self._resolver) > 0 and self._resolver.earliest(server) is not None

    def unripe(self) -> dict[str, int]:
        """Return that of every address where there is something."""
        servers = dict.fromkeys([*self._table.waiting_servers, *self._resolver.servers])
        return {server: start for server in servers if (start := self.unripe_since(server)) is not None}

    def _collect(self) -> list[Connection | Unresolved]:
        table, done = self._table, self._resolver.done
        found = [*table.ready, *done]
        table.ready.clear()
        done.clear()
        return found

    # Beginnings

    def _begin(self, s: Segment) -> Side | None:
        """Begin a connection with its first frame; None where the frame is a late one of a connection gone by."""
        table = self._table
        key: Key = (s.source, s.source_port, s.destination, s.destination_port)
        opening = bool(s.flags & SYN)
        asks = opening and not s.flags & ACK
        if table.stubs and table.absorbs(key, asks=asks, seq=s.seq):
            return None
        refuses = s.flags & REFUSES == REFUSES and s.seq == 0 and not opening
        flipped = not asks
        if not opening and not refuses:
            flipped = self._directions.source_is_server(key[:2], key[2:])
        client = (key[2], key[3], key[0], key[1]) if flipped else key
        life = table.open(s.mark, client, flipped=flipped, asks=asks)
        life.midstream = not opening and not refuses
        life.piece_of = table.piece_of(client, asks=not life.midstream)
        return self._sides[key]

    def _claim(self, life: Life, ns: int) -> None:
        """Find the address resolution that a connection's first SYN waited for; an answer may stand before it, a few microseconds off."""
        waited = self._resolver.claim(life.client, life.server, ns)
        if waited is not None:
            self._table.began(life, waited)

    def _bear_again(self, life: Life, s: Segment, signature: Signature) -> Side | None:
        """Let a life go, and begin the next one of its ports with this SYN."""
        self._table.leave(life)
        side = self._begin(s)
        if side is not None:
            self._look(side, s.mark, s.lane)
            side.life.recent.is_copy(signature, s.mark.ns, side.at)
        return side

    def _is_reborn(self, side: Side, seq: int, flags: int, ns: int) -> bool:
        """Return whether a SYN starts a new life of the ports; turn the life's direction where a late SYN says so."""
        life, peer = side.life, side.peer
        if not side.packets and not peer.packets:
            return False  # it has just begun with this frame
        answers = bool(flags & ACK)
        if side.isn >= 0:
            return seq != side.isn and not answers
        base = side.stream.base
        own = abs(ns - life.start.ns) <= LATE_SYN and base >= 0 and 0 <= distance(base, seq + 1) < numbers.LARGE
        if answers:
            if side.state is _INACTIVE and not side.orig:
                return False  # the answer
            if not own and life.over is not None:
                return True
        else:
            if side.state is _INACTIVE and peer.state is _SYN_SENT and not side.orig:
                return False  # crossing SYNs: simultaneous open
            if not own:
                return True
        if side.orig is answers and life.midstream:
            self._table.flip(life)
        return False

    def _first(self, side: Side, s: Segment) -> None:
        """Note what the first frame of a side tells about its sender."""
        lane = s.lane
        side.ttl, side.packet_type = s.ttl, lane.packet_type
        side.mac, side.to_mac = lane.source_mac, lane.destination_mac
        if side.orig:
            side.life.tunnel, side.life.outer_source = lane.tunnel, lane.outer_source
        else:
            self._table.answered(side.life)

    @staticmethod
    def _look(side: Side, mark: Mark, lane: Lane) -> None:
        """Note where the sender's frames are captured now."""
        life = side.life
        side.lane = lane
        side.at = point(mark.file, lane)
        seen_at = vantage(mark.file, lane, side.orig)
        sight = life.sights.get(seen_at)
        if sight is None and len(life.sights) < SIGHTINGS:
            sight = life.sights[seen_at] = Sight(seen_at, mark.number)
        side.sight = sight

    def _copy(self, side: Side, s: Segment) -> None:
        """Count a further sighting of a frame."""
        self.stats.duplicates += 1
        mark, lane, sight = s.mark, s.lane, side.sight
        if sight is not None:
            sight.packets += 1
            sight.last = mark.number
            letter = _letter(s)
            if s.flags & CONTROL or side.letter(letter) not in sight.steps:
                sight.note(side.letter(letter), mark)
        life = side.life
        if lane.tunnel and side.orig and not life.tunnel:
            life.tunnel, life.outer_source = lane.tunnel, lane.outer_source

    # What segments do

    def _passes(self, side: Side, mark: Mark, seq: int, ack: int, flags: int) -> bool:
        """Tell whether nothing more is followed of a bypassed connection's segment; a FIN or RST ends the bypass, a SYN the life."""
        life = side.life
        if not flags & CONTROL:
            life.see(side, side.sight, mark)
            life.touched = self._table.clock
            if life.told:
                self._table.news(life)
            self.bypassing = side
            return True
        if not flags & SYN:
            if life.fast is not None:
                life.fast.close()
            life.rejoin(side, seq, ack if flags & ACK else side.peer.nxt)
        return False

    def _count(self, side: Side, s: Segment) -> None:
        """Count a segment that is no copy."""
        life, mark, sight = side.life, s.mark, side.sight
        if sight is not None:
            sight.packets += 1
            sight.last = mark.number
        side.last = life.end = mark
        life.touched = self._table.clock
        if life.told:
            self._table.news(life)
        if not side.packets:
            self._first(side, s)
        side.packets += 1

    def _plain(self, side: Side, s: Segment) -> None:
        """Take in a segment without SYN, FIN and RST: an ACK, with data or without."""
        mark, _, _, _, _, _, seq, ack, flags, window, payload, length, _, _, _, _, _, _ = s
        first = side.state is _INACTIVE
        if first:
            numbers.begin(side, seq, mark.ns)
        if length:
            if not side.seen_data:
                side.seen_data = True
                self._say(side, "D", mark)
        elif not side.seen_ack and flags & ACK:
            side.seen_ack = True
            self._say(side, "A", mark)
        if not window:
            self._shut(side)
        unseen = False
        if flags & ACK:
            peer = side.peer
            if ack != peer.acked:
                unseen = numbers.acknowledge(side, peer, ack, mark)
            elif not length:
                side.dup_acks += 1
            if side.first_ack is None:
                numbers.first_ack(side, mark, s.tsval, plain=not length)
        if seq != side.nxt:
            numbers.out_of_line(side, seq, length, flags, mark.ns)
        elif length:
            side.nxt = (seq + length) & MASK
            side.nxt_ns = mark.ns
        if first:
            empty = not length and not side.orig
            self._step(side, Event.SERVER_EMPTY if empty else Event.ACK if flags & ACK else Event.NO_ACK)
        if unseen:
            numbers.gap(side.peer, ack)
        if length:
            self._data(side, seq, payload, length, mark)
            self._turn(side)

    def _control(self, side: Side, s: Segment) -> None:
        """Take in a segment with SYN, FIN or RST."""
        mark, flags, seq, ack, length = s.mark, s.flags, s.seq, s.ack, s.length
        life, peer = side.life, side.peer
        if side.sight is not None:
            side.sight.note(side.letter(_letter(s)), mark)
        reset = bool(flags & RST)
        past = (seq + bool(flags & SYN) + bool(flags & FIN) + (0 if reset else length)) & MASK
        first = side.state is _INACTIVE
        if flags & SYN:
            if flags & ACK and not side.orig:
                life.answered = True
                self._directions.learn((life.server, life.server_port))
            first = numbers.synchronize(side, s, past, self._limits.syns) or first
        elif first:
            numbers.begin(side, seq, mark.ns)
        numbers.letters(side, flags, seq, length)
        if not s.window and not reset:
            self._shut(side)
        unseen = False
        if flags & ACK:
            if not reset or peer.stream.base < 0:  # Zeek: the acknowledgment of a RST is not to be trusted
                unseen = numbers.acknowledge(side, peer, ack, mark)
            elif side.rst is None and (seq == side.nxt or numbers.tells_of_unseen(side, seq)):
                side.rst_ack, side.rst_seq = ack, seq
            if side.first_ack is None and not flags & SYN:
                numbers.first_ack(side, mark, s.tsval, plain=False, reset=reset)
        if not first and seq != side.nxt:
            numbers.out_of_line(side, seq, length, flags, mark.ns)
        elif past != side.nxt:
            side.nxt, side.nxt_ns = past, mark.ns
        self._flags(side, flags, seq, past, mark)
        if unseen:
            numbers.gap(peer, ack)
        if length and not reset:
            self._data(side, (seq + bool(flags & SYN)) & MASK, s.payload, length, mark)
        if life.over is None and (side.state in _RESETS or (side.state is _CLOSED and peer.state is _CLOSED)):
            self._table.over(life)

    def _flags(self, side: Side, flags: int, seq: int, past: int, mark: Mark) -> None:
        """Let SYN, FIN and RST move the state machine."""
        if flags & SYN:
            self._step(side, _SYN_EVENTS[side.orig, bool(flags & ACK)])
        if flags & RST:
            # A RST that answers an ACK of an older life has that ACK's number, not one of this life (RFC 9293
            # 3.10.7.3).
            if (
                side.orig
                and side.state is _SYN_SENT
                and not flags & ACK
                and side.isn >= 0
                and distance(seq, side.isn) not in (0, 1)
            ):
                self._step(side, Event.CHALLENGE_RST)
                return
            self._step(side, Event.RST)
            if side.rst is None:
                side.rst, side.rst_acks = mark, bool(flags & ACK)
        elif flags & FIN:
            self._step(side, Event.FIN)
            if side.fin is None:
                side.fin, side.fin_end = mark, past

    @staticmethod
    def _say(side: Side, letter: str, mark: Mark) -> None:
        """Write the letter of a side's first segment with data, or without."""
        letter = side.letter(letter)
        side.life.history.once(letter)
        if side.sight is not None:
            side.sight.note(letter, mark)

    @staticmethod
    def _shut(side: Side) -> None:
        """Write down a window of zero, where it says something: the peer may still send, and the sender receive."""
        if side.peer.state is not _CLOSED and side.state not in _RESETS:
            side.life.history.scaled(side.letter("W"))

    def _turn(self, side: Side) -> None:
        """Note who sends data, and weigh a connection that does so often, or sends much."""
        life, limits = side.life, self._limits
        if life.speaker is not side:
            life.speaker = side
            life.turns += 1
        # (A question begins: what was answered before it is whole.)
        if (life.turns > limits.turns and side.orig) or side.stream.next > limits.followed:
            self._weigh(life)
            if life.bypassed:
                self.bypassing = side

    def _weigh(self, life: Life) -> None:
        """Bypass a connection that has transferred much, asks oftener than a checker does, or that nobody claimed who saw it ask."""
        limits, clock = self._limits, self._table.clock
        if not life.open:
            return
        if any(stream.next > min(limits.followed, stream.limit) for stream in (life.orig.stream, life.resp.stream)):
            life.bypass()
        elif life.rev > 0 and not life.claimed:
            if clock - life.paced >= limits.look_ns:
                life.bypass()
            life.turns = limits.turns - LOOKS  # (if it was looked at so lately that its owner may not have spoken yet)
        elif clock - life.paced < limits.pace_ns:
            life.bypass()
        else:
            life.turns, life.paced = 0, clock
            if life.rev == 0:
                self._table.hand_out(life)
                life.turns = limits.turns - LOOKS

    @staticmethod
    def _step(side: Side, event: Event) -> None:
        peer = side.peer
        side.state, peer.state = step(side.state, event, peer.state)
        if side.state is _ESTABLISHED:
            side.clean = True
        if peer.state is _ESTABLISHED:
            peer.clean = True

    def _data(self, side: Side, seq: int, payload: bytes, length: int, mark: Mark) -> None:
        """Give payload to the stream, and count what it keeps."""
        top = side.stream.top
        more = side.stream.add(seq, payload, length, mark)
        if side.stream.top > top:
            side.used = mark
        if more:
            self._table.keep(side.life, more)
