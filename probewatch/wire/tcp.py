"""Follow TCP connections: segments in, `Connection` and `Unresolved` values out.

Theory of operation
-------------------
A connection is one life of a 4-tuple. It begins with its first frame, in the best case a SYN, and is kept in `_sides` under both of its directed
4-tuples, so that one look-up per segment finds the sending `Side`. What a segment does, in order: it is judged against the frames seen just
before (`sightings`: another sighting of one of them changes nothing else); it writes its letters (`states.History`); its acknowledgment moves the
peer, its sequence number moves its own side; its flags move the state machine (`states.step`); its payload goes to the `Stream`.

A connection is *ripe*, and `take` hands it out, `settle_ns` after it was over (both FINs, or a RST: the pause lets the last ACK, a second RST and
the copies at other vantage points come in), or when it was silent for `quiet_ns`, or at the age `ripe_age_ns` even if alive, or when it
must leave the table. If frames come after that it is handed out again, `rev` one higher, at its next such point. `final` is said where the value
was made while leaving the table; a connection of which nothing more comes is not handed out once more only to say so.

Then it stays, so that late frames find it: a RST connection for `remember_ns` (answers come up to half a minute after their
checker reset the connection), one that is not over for `idle_ns` (SYNs of a dead dial come minutes later, up to 36 s apart). One that both sides
closed leaves `quiet_ns` after its end, its payload with it; a stub remembers its ports and absorbs what is late (counted in
`Stats.late`) for `remember_ns`.

A SYN of another sequence number than the life's own starts a new life, at once and whatever the state of the old one. A late SYN of a life that the
capture showed in the wrong order is recognized by its sequence number, just below the first one seen.

Time is the largest capture time so far, or `advance`. Where the capture's clock steps back for good (`STEP_FRAMES` frames in a row more than
`STEP` behind) the tracker's clock goes on from there, so that deadlines keep their length.

Retransmissions are counted as tshark's tcp.analysis.retransmission (with its fast and spurious ones): a segment with data, SYN or FIN that begins below the
highest sequence number seen, unless it is a keep-alive (one byte back, at most one byte long), the first real segment over a zero window
probe (one byte back, longer), or out of order (new bytes, within the first round trip, else 3 ms).

Limitations
-----------
- Retransmissions differ from tshark where copies are removed (it counts each copy), where the vantage points' copies were interleaved with true ones,
  and where tshark uses SACK to recognize a fast retransmission of bytes it has not seen.
- The 4-tuple is all that names a connection: the same addresses in two VLANs or tunnels at the same time would be mixed.
- Zeek forgets connections after 5 s (unanswered, closed) or 5 minutes (idle); the longer memory here joins what Zeek logs as two.
- A forged segment with a plausible sequence number is taken for a true one.

Bounds are `Limits`; what happens at each is said there.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from probewatch.model.connection import Connection, IcmpNote, Unresolved
from probewatch.model.frame import Mark
from probewatch.wire.direction import Directions
from probewatch.wire.lives import SIGHTINGS, Life, Side, Sight
from probewatch.wire.packets import ACK, FIN, RST, SYN, IcmpError, Lane, Neighbour, Segment
from probewatch.wire.resolution import Resolver
from probewatch.wire.sightings import Verdict, point, vantage
from probewatch.wire.states import Endpoint, Event, step
from probewatch.wire.stream import HALF, MASK, REACH, distance

CONTROL: Final = SYN | FIN | RST
STEP: Final = 2_000_000_000
"""Nanoseconds behind the clock that are no mere disorder."""
STEP_FRAMES: Final = 64
ROUND_TRIP: Final = 3_000_000
"""tshark's round trip (ns) where the handshake does not tell."""
FAST: Final = 20_000_000
"""A fast retransmission follows the last new data within this (ns), as tshark has it."""
LARGE: Final = 1 << 20
"""Zeek's TOO_LARGE_SEQ_DELTA: SYN and RST further away do not move the sequence space."""
LATE_SYN: Final = 1_000_000_000
"""A SYN this long (ns) after a life's first frame can still be its own, captured late."""

_INACTIVE = Endpoint.INACTIVE
_SYN_SENT = Endpoint.SYN_SENT
_ESTABLISHED = Endpoint.ESTABLISHED
_CLOSED = Endpoint.CLOSED
_RESETS = (Endpoint.RESET, Endpoint.ABORTED)

Key = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the tracker."""

    connections: int = 8192
    """In the table. Above it one leaves: first what was handed out (oldest first), then unanswered SYNs, then the oldest."""
    payload: int = 32 << 20
    """Bytes of payload held by all together. Above it connections leave in the same order."""
    client_bytes: int = 16 << 10
    """Kept of a client's stream (and as many waiting behind a hole); more is counted, not kept."""
    server_bytes: int = 32 << 10
    arrivals: int = 256
    """Growth steps kept a direction; above it the last one is moved on."""
    syns: int = 32
    """SYN marks kept a side; more are counted as retransmits, not kept."""
    stubs: int = 16384
    """Closed or unanswered connections remembered by their ports alone; the oldest goes first."""
    servers: int = 4096
    """Endpoints remembered to tell directions."""
    rounds: int = 4096
    """Address resolutions under way; above it the oldest ends."""
    settle_ns: int = 60_000_000
    """From the end of a connection until it is handed out; longer than `sightings.WINDOW`."""
    quiet_ns: int = 5_000_000_000
    ripe_age_ns: int = 35_000_000_000
    remember_ns: int = 65_000_000_000
    idle_ns: int = 300_000_000_000


@dataclass(slots=True)
class Stats:
    """What went by."""

    segments: int = 0
    duplicates: int = 0
    """Further sightings and double records; not in `Half.packets`."""
    connections: int = 0
    evicted: int = 0
    """Left the table for a limit."""
    late: int = 0
    """Frames of a connection remembered by its ports alone."""
    icmp: int = 0
    icmp_unknown: int = 0
    """Errors about segments of no connection here."""
    neighbours: int = 0


class _Stub:
    """What is left of a connection: enough to know its late frames."""

    __slots__ = ("expires", "isn")

    def __init__(self, expires: int, isn: int) -> None:
        self.expires = expires
        self.isn = isn


class Tracker:
    """Follows connections and address resolutions; see the module."""

    __slots__ = (
        "_behind", "_clock", "_directions", "_half", "_heap", "_ids", "_limits", "_lives", "_payload", "_ready", "_resolver", "_sides", "_skew",
        "_stubs", "_swept", "_told", "_waiting", "stats",
    )  # fmt: skip

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._limits = limits
        self._sides: dict[Key, Side] = {}
        self._lives: dict[int, Life] = {}
        self._told: dict[int, Life] = {}
        self._half: dict[int, Life] = {}
        self._stubs: dict[Key, _Stub] = {}
        self._heap: list[tuple[int, int, Life]] = []
        self._ready: list[Connection | Unresolved] = []
        self._waiting: dict[str, dict[int, int]] = {}
        self._directions = Directions(limits.servers)
        self._resolver = Resolver(limits.rounds)
        self._ids = 0
        self._payload = 0
        self._clock = -(1 << 62)
        self._skew = 0
        self._behind = 0
        self._swept = -(1 << 62)
        self.stats = Stats()

    # Frames in

    def segment(self, s: Segment) -> None:
        """Take in one TCP segment."""
        mark, lane, source, destination, source_port, destination_port, seq, ack, flags, window, payload, length, ttl, ip_id, tsval, _, mss, _ = s
        self.stats.segments += 1
        ns = mark.ns
        clock = self._clock
        if ns + self._skew > clock:
            clock = self._clock = ns + self._skew
            self._behind = 0
            if self._heap and self._heap[0][0] <= clock:
                self._expire()
        elif ns + self._skew < clock - STEP:
            self._stepped(ns)
        side = self._sides.get((source, source_port, destination, destination_port))
        if side is None:
            side = self._stranger(s)
            if side is None:
                return
        life = side.life
        judged = life.recent.judge
        if lane is not side.lane or mark.file != side.at[0]:
            self._look(side, mark.file, lane, mark.number)
        signature = (seq, ack, flags, length, ip_id, tsval, side.orig)
        sight = side.sight
        if judged(signature, ns, side.at) is Verdict.DUPLICATE:
            self.stats.duplicates += 1
            if sight is not None:
                sight.packets += 1
                sight.last = mark.number
            if lane.tunnel and side.orig and not life.tunnel:
                life.tunnel, life.outer_source = lane.tunnel, lane.outer_source
            return
        if flags & SYN and not (flags & ACK and not self._opening(side)) and self._is_reborn(side, seq, flags, ns):
            self._leave(life, evicted=False)
            side = self._stranger(s)
            if side is None:
                return
            life = side.life
            self._look(side, mark.file, lane, mark.number)
            life.recent.judge(signature, ns, side.at)
            sight = side.sight
        if sight is not None:
            sight.packets += 1
            sight.last = mark.number
        side.last = life.end = mark
        life.touched = clock
        if life.told:
            self._news(life)
        if not side.packets:
            side.ttl, side.mac, side.packet_type = ttl, lane.source_mac, lane.packet_type
            if side.orig:
                life.tunnel, life.outer_source = lane.tunnel, lane.outer_source
            else:
                self._half.pop(life.id, None)
        side.packets += 1
        if flags & CONTROL:
            self._control(side, s)
            return

        # A plain segment: an ACK, with data or without.
        peer = side.peer
        state = side.state
        if state is _INACTIVE:
            side.stream.begin(seq) if side.stream.base != seq else None
            side.nxt = seq
            side.nxt_ns = ns
        history = life.history
        if length:
            if not side.seen_data:
                side.seen_data = True
                history.once(side.letter("D"))
        elif not side.seen_ack and flags & ACK:
            side.seen_ack = True
            history.once(side.letter("A"))
        if not window and peer.state is not _CLOSED and state not in _RESETS:
            history.scaled(side.letter("W"))
        gap = bool(flags & ACK) and ack != peer.acked and self._acknowledge(side, peer, ack, mark)
        if ack == peer.acked and not length:
            side.dup_acks += 1
        if flags & ACK and side.first_ack is None:
            self._first_ack(side, mark, plain=not length)
        if seq == side.nxt:
            if length:
                side.nxt = (seq + length) & MASK
                side.nxt_ns = ns
        elif state is not _INACTIVE:
            self._out_of_line(side, seq, length, flags, ns)
        if state is _INACTIVE:
            event = Event.SERVER_EMPTY if not length and not side.orig else Event.ACK if flags & ACK else Event.NO_ACK
            self._step(side, event)
        if gap:
            self._gap(peer, ack)
        if length:
            stream = side.stream
            if stream.next < stream.limit:
                self._data(side, seq, payload, length, mark)
            else:
                stream.add(seq, payload, length, mark)

    def icmp(self, e: IcmpError) -> None:
        """Take in an ICMP error about a segment."""
        self.stats.icmp += 1
        self._tick(e.mark.ns)
        side = self._sides.get((e.source, e.source_port, e.destination, e.destination_port))
        if side is None or not side.orig:
            self.stats.icmp_unknown += 1
            return
        life = side.life
        if life.icmp is None:
            life.icmp = IcmpNote(mark=e.mark, reporter=e.reporter, version=e.version, type=e.type, code=e.code)
            life.touched = self._clock
            if life.told:
                self._news(life)

    def neighbour(self, n: Neighbour) -> None:
        """Take in an ARP or Neighbour Discovery message."""
        self.stats.neighbours += 1
        self._tick(n.mark.ns)
        if n.request:
            self._resolver.request(n, self._clock)
        else:
            self._resolver.reply(n, self._clock)

    # Time, and values out

    def advance(self, now_ns: int) -> None:
        """Say that it is (at least) this late; nanoseconds since 1970."""
        self._clock = max(self._clock, now_ns + self._skew)

    def take(self) -> list[Connection | Unresolved]:
        """Return what became ripe, or was revised, since the last call."""
        self._expire()
        ready = self._ready
        if ready:
            self._ready = []
        return ready

    def finish(self) -> list[Connection | Unresolved]:
        """Return everything that was not handed out yet, or has changed since, as final; the tracker is empty then."""
        self._expire()
        for life in list(self._lives.values()):
            self._leave(life, evicted=False)
        self._resolver.finish()
        self._collect()
        self._heap.clear()
        self._stubs.clear()
        ready, self._ready = self._ready, []
        return ready

    def unripe_since(self, server: str) -> int | None:
        """Return the earliest start (ns) of what was not handed out yet and goes to this address, or None.

        Counts connections (from the address resolution they waited for) and rounds of resolution.
        """
        waiting = self._waiting.get(server)
        starts = [min(waiting.values())] if waiting else []
        if len(self._resolver) and (first := self._resolver.earliest(server)) is not None:
            starts.append(first)
        return min(starts, default=None)

    # Connections begin

    def _stranger(self, s: Segment) -> Side | None:
        """Begin a connection with its first frame; None where the frame is a late one of a connection gone by."""
        key = (s.source, s.source_port, s.destination, s.destination_port)
        back = (s.destination, s.destination_port, s.source, s.source_port)
        opening = bool(s.flags & SYN)
        asks = opening and not s.flags & ACK
        if self._stubs:
            stub = self._stubs.get(key)
            fresh = asks and (stub is None or s.seq != stub.isn)
            stub = stub or self._stubs.get(back)
            if stub is not None:
                if not fresh and self._clock < stub.expires:
                    stub.expires = self._clock + self._limits.remember_ns
                    self.stats.late += 1
                    return None
                self._stubs.pop(key, None)
                self._stubs.pop(back, None)
        if opening:
            flipped = not asks
        else:
            flipped = self._directions.source_is_server((s.source, s.source_port), (s.destination, s.destination_port))
        limits = self._limits
        if len(self._lives) >= limits.connections:
            self._evict()
        orig = Side(True, limits.client_bytes, limits.arrivals)
        resp = Side(False, limits.server_bytes, limits.arrivals)
        life = Life(self._ids, orig, resp, s.mark, self._clock)
        self._ids += 1
        self.stats.connections += 1
        client, server = (back, key) if flipped else (key, back)
        life.client, life.client_port = client[0], client[1]
        life.server, life.server_port = server[0], server[1]
        if flipped:
            life.flipped = True
            life.history.add("^")
        life.midstream = not opening
        if asks:
            self._half[life.id] = life
            if len(self._resolver):
                life.neighbour = self._resolver.claim(life.client, life.server, s.mark.ns)
                self._collect()
        self._sides[client] = orig
        self._sides[server] = resp
        self._lives[life.id] = life
        self._waiting.setdefault(life.server, {})[life.id] = life.attempted_ns
        self._schedule(life, self._clock + min(limits.quiet_ns, limits.ripe_age_ns))
        return resp if flipped else orig

    @staticmethod
    def _opening(side: Side) -> bool:
        """Whether a SYN-ACK of this side may be an event of its life at all: it has sent no SYN-ACK, or its life had none."""
        return side.isn < 0

    def _is_reborn(self, side: Side, seq: int, flags: int, ns: int) -> bool:
        """Whether a SYN starts a new life of the ports; turns the life's direction where a late SYN says so."""
        if side.isn >= 0:
            return seq != side.isn
        life, peer = side.life, side.peer
        if not side.packets and not peer.packets:
            return False  # it has just begun with this frame
        young = abs(ns - life.start.ns) <= LATE_SYN
        answers = bool(flags & ACK)
        base = side.stream.base
        fits = base >= 0 and 0 <= distance(base, seq + 1) < LARGE
        if answers:
            if side.state is _INACTIVE and not side.orig:
                return False  # the answer
            if not (young and fits) and life.over is not None:
                return True
            if side.orig and life.midstream:
                self._flip(life)
            return False
        if side.state is _INACTIVE and peer.state is _SYN_SENT and not side.orig:
            return False  # crossing SYNs: simultaneous open
        if not (young and fits):
            return True
        if not side.orig and life.midstream:
            self._flip(life)
        return False

    def _flip(self, life: Life) -> None:
        starts = self._waiting.get(life.server)
        start = starts.pop(life.id, None) if starts is not None else None
        if starts is not None and not starts:
            del self._waiting[life.server]
        life.flip()
        if start is not None:
            self._waiting.setdefault(life.server, {})[life.id] = start

    # What segments do

    def _control(self, side: Side, s: Segment) -> None:
        """Take in a segment with SYN, FIN or RST."""
        mark, flags, seq, ack, length = s.mark, s.flags, s.seq, s.ack, s.length
        life, peer, history = side.life, side.peer, side.life.history
        ns = mark.ns
        reset = bool(flags & RST)
        past = (seq + bool(flags & SYN) + bool(flags & FIN) + (0 if reset else length)) & MASK
        first = side.state is _INACTIVE
        if flags & SYN and self._synchronize(side, s, past):
            first = True
        elif first:
            if side.stream.base != seq:
                side.stream.begin(seq)
            side.nxt, side.nxt_ns = seq, ns
        self._letters(side, flags, (seq - (side.stream.base - 1)) & MASK, length)
        if not s.window and not reset and peer.state is not _CLOSED and side.state not in _RESETS:
            history.scaled(side.letter("W"))
        gap = False
        if flags & ACK:
            if not reset or peer.stream.base < 0:
                gap = self._acknowledge(side, peer, ack, mark)
            if side.first_ack is None and not flags & SYN:
                self._first_ack(side, mark, plain=False, reset=reset)
        if not first and seq != side.nxt:
            self._out_of_line(side, seq, length, flags, ns)
        elif not (reset and first):
            if past != side.nxt:
                side.nxt_ns = ns
            side.nxt = past
        if flags & SYN:
            self._step(side, _SYN_EVENTS[side.orig, bool(flags & ACK)])
        if reset:
            challenged = side.orig and side.state is _SYN_SENT and not flags & ACK and side.isn >= 0 and distance(seq, side.isn) not in (0, 1)
            self._step(side, Event.CHALLENGE_RST if challenged else Event.RST)
            if side.rst is None and not challenged:
                side.rst, side.rst_acks = mark, bool(flags & ACK)
        elif flags & FIN:
            self._step(side, Event.FIN)
            if side.fin is None:
                side.fin, side.fin_end = mark, past
        if gap:
            self._gap(peer, ack)
        if length and not reset:
            self._data(side, (seq + bool(flags & SYN)) & MASK, s.payload, length, mark)
        if life.over is None and (side.state in _RESETS or (side.state is _CLOSED and peer.state is _CLOSED)):
            life.over = self._clock
            self._schedule(life, self._clock + self._limits.settle_ns)

    def _synchronize(self, side: Side, s: Segment, past: int) -> bool:
        """Take in a SYN's sequence number; return whether it was this side's first."""
        life = side.life
        if s.flags & ACK and not side.orig:
            life.answered = True
            self._directions.learn((life.server, life.server_port))
        if len(side.syns) < self._limits.syns:
            side.syns.append(s.mark)
        if s.mss:
            side.mss = s.mss
        if s.seq == side.isn:
            return False
        if side.isn >= 0 and (side.stream.top or side.peer.state is not _SYN_SENT):
            return False  # a stray SYN-ACK: the life's own numbers stand
        base = (s.seq + 1) & MASK
        stream = side.stream
        late = side.isn < 0 and side.state is not _INACTIVE
        side.isn = s.seq
        life.midstream = False
        if late and 0 < distance(stream.base, base) < LARGE:
            stream.extend_back(base, s.mark)
        elif stream.base != base:
            stream.begin(base)
        if not late:
            side.nxt, side.nxt_ns = past, s.mark.ns
            if side.acked < 0:
                side.acked = s.seq
        return not late

    def _letters(self, side: Side, flags: int, relative: int, length: int) -> None:
        history = side.life.history
        several = flags & CONTROL
        if several & (several - 1):
            history.once(side.letter("I" if flags & FIN and flags & RST else "Q"))
        elif flags & SYN:
            history.again(side.letter("H" if flags & ACK else "S"), side.letter("S"), relative)
        elif flags & FIN:
            history.again(side.letter("F"), side.letter("F"), (relative + length) & MASK)
        else:
            history.again(side.letter("R"), side.letter("R"), relative)

    def _acknowledge(self, side: Side, peer: Side, ack: int, mark: Mark) -> bool:
        """Take in an acknowledgment of the peer's bytes; return whether it covers some that were not seen."""
        stream = peer.stream
        if stream.base < 0:
            stream.begin(ack)
            peer.nxt = peer.acked = ack
            return False
        if side.state is _INACTIVE and not side.orig and peer.isn >= 0 and distance(ack, peer.nxt) not in (0, -1) and ack != (peer.isn + 1) & MASK:
            return False  # a challenge ACK speaks of an older life
        ahead = ((ack - peer.acked + HALF) & MASK) - HALF if peer.acked >= 0 else 1
        if ahead <= 0 or ahead > REACH:
            return False
        peer.acked = ack
        side.dup_acks = 0
        if peer.fin is not None and peer.fin_acked is None and distance(ack, peer.fin_end) >= 0:
            peer.fin_acked = mark
        beyond = (ack - stream.edge) & MASK
        return 0 < beyond < HALF and peer.state is not _INACTIVE

    @staticmethod
    def _gap(peer: Side, ack: int) -> None:
        """Write down that bytes of the peer were acknowledged which were not seen (Zeek's TCP_Reassembler::AckReceived)."""
        stream = peer.stream
        end = stream.offset(ack)
        if peer.fin is not None:
            end = min(end, stream.offset(peer.fin_end) - 1)
        start = max(stream.next, peer.reported)
        life = peer.life
        if end <= start or (end <= 1 and life.midstream):
            return
        if peer.clean and peer.peer.clean and peer.state not in _RESETS and peer.peer.state not in _RESETS:
            for _ in range(stream.holes(start, end)):
                life.history.scaled(peer.letter("G"))
        peer.reported = end
        stream.acknowledged(ack)

    @staticmethod
    def _first_ack(side: Side, mark: Mark, plain: bool, reset: bool = False) -> None:
        life = side.life
        if side.orig:
            if reset and not life.answered and not life.midstream:
                return
            side.first_ack = mark
            life.bare_ack = plain and not life.midstream
        elif life.answered or life.midstream:
            side.first_ack = mark

    def _out_of_line(self, side: Side, seq: int, length: int, flags: int, ns: int) -> None:
        """Take in a segment that does not begin where the last one ended."""
        control = flags & (SYN | FIN)
        back = distance(seq, side.nxt)
        size = length + bool(flags & SYN) + bool(flags & FIN)
        if back < 0 and (length or control) and not (back == -1 and (length > 1 or not control)) and not self._is_disorder(side, seq, length, control, ns):
            side.retransmits += 1
        past = seq + (size if not flags & RST else size - length)
        ahead = distance(past, side.nxt)
        if flags & (SYN | RST) and not -LARGE <= ahead <= LARGE:
            return
        if side.state in _RESETS:
            return
        if ahead > 0:
            side.nxt = past & MASK
            side.nxt_ns = ns
        elif length:
            side.life.history.scaled(side.letter("T"))

    @staticmethod
    def _is_disorder(side: Side, seq: int, length: int, control: int, ns: int) -> bool:
        """Whether a segment below the highest number seen was overtaken, not sent again (tshark's TCP_A_OUT_OF_ORDER)."""
        late = ns - side.nxt_ns
        if late < FAST and side.peer.dup_acks >= 2 and side.acked == seq:
            return False  # fast retransmission
        past = seq + length
        if length and side.acked >= 0 and distance(past, side.acked) <= 0:
            return False  # spurious: it had been acknowledged
        life = side.life
        trip = ROUND_TRIP
        if life.orig.first_ack is not None and life.orig.syns and life.answered:
            trip = life.orig.first_ack.ns - life.orig.syns[-1].ns
        if late >= trip or (past + bool(control)) & MASK == side.nxt:
            return False
        start = side.stream.offset(seq)
        return not side.stream.seen(start, start + length)

    def _step(self, side: Side, event: Event) -> None:
        peer = side.peer
        side.state, peer.state = step(side.state, event, peer.state)
        if side.state is _ESTABLISHED:
            side.clean = True
        if peer.state is _ESTABLISHED:
            peer.clean = True

    def _data(self, side: Side, seq: int, payload: bytes, length: int, mark: Mark) -> None:
        """Give payload to the stream, and count what it keeps."""
        stream = side.stream
        before = stream.held
        stream.add(seq, payload, length, mark)
        more = stream.held - before
        if more:
            side.life.payload += more
            self._payload += more
            while self._payload > self._limits.payload and len(self._lives) > 1:
                self._evict(besides=side.life)

    def _look(self, side: Side, file: int, lane: Lane, number: int) -> None:
        """Note where the sender's frames are captured now."""
        life = side.life
        side.lane = lane
        side.at = point(file, lane)
        seen_at = vantage(file, lane, side.orig)
        sight = life.sights.get(seen_at)
        if sight is None and len(life.sights) < SIGHTINGS:
            sight = life.sights[seen_at] = Sight(seen_at, number)
        side.sight = sight

    # Connections ripen and leave

    def _news(self, life: Life) -> None:
        life.told = False
        self._told.pop(life.id, None)
        self._schedule(life, self._clock + self._limits.quiet_ns)

    def _schedule(self, life: Life, due: int) -> None:
        if life.due < 0 or due < life.due:
            life.due = due
            heapq.heappush(self._heap, (due, life.id, life))

    def _tick(self, ns: int) -> None:
        if ns + self._skew > self._clock:
            self._clock = ns + self._skew

    def _stepped(self, ns: int) -> None:
        """Follow a clock that stepped back and stays there."""
        self._behind += 1
        if self._behind >= STEP_FRAMES:
            self._behind = 0
            self._skew = self._clock - ns

    def _expire(self) -> None:
        """Do what is due."""
        heap, clock = self._heap, self._clock
        while heap and heap[0][0] <= clock:
            due, _, life = heapq.heappop(heap)
            if not life.gone and due == life.due:
                life.due = -1
                self._ripen(life)
        if len(self._resolver) and clock - self._swept > 100_000_000:
            self._swept = clock
            self._resolver.expire(clock)
        self._collect()

    def _collect(self) -> None:
        done = self._resolver.done
        if done:
            self._ready.extend(done)
            done.clear()

    def _ripen(self, life: Life) -> None:
        """Look at a connection whose timer rang: hand it out, let it go, or wait on."""
        limits, clock = self._limits, self._clock
        quiet = life.touched + limits.quiet_ns
        if not life.told:
            due = quiet
            if life.rev == 0:
                due = min(due, life.born + limits.ripe_age_ns)
            if life.over is not None and life.rev == 0:
                due = min(due, life.over + limits.settle_ns)
            if due > clock:
                self._schedule(life, due)
                return
            self._hand_out(life, final=False)
        if life.over is None:
            leave = life.touched + limits.idle_ns
        else:
            leave = quiet if life.closed else life.touched + limits.remember_ns
        if leave <= clock:
            self._leave(life, evicted=False)
        else:
            self._schedule(life, leave)

    def _hand_out(self, life: Life, final: bool) -> None:
        if life.rev == 0:
            waiting = self._waiting[life.server]
            del waiting[life.id]
            if not waiting:
                del self._waiting[life.server]
        self._ready.append(life.snapshot(final))
        life.told = True
        self._told[life.id] = life
        if life.over is not None:
            life.recent.clear()

    def _leave(self, life: Life, evicted: bool) -> None:
        """Take a connection out of the table; hand it out where that is due."""
        if not life.told:
            self._hand_out(life, final=True)
        life.gone = True
        self._told.pop(life.id, None)
        self._half.pop(life.id, None)
        del self._lives[life.id]
        self._payload -= life.payload
        key = (life.client, life.client_port, life.server, life.server_port)
        del self._sides[key]
        self._sides.pop((key[2], key[3], key[0], key[1]), None)
        # Two sides and their life hold each other; without this only the garbage collector would free them.
        del life.orig.peer, life.resp.peer
        if evicted:
            self.stats.evicted += 1
        if life.over is not None or not life.resp.packets:
            stubs = self._stubs
            stubs.pop(key, None)
            if len(stubs) >= self._limits.stubs:
                del stubs[next(iter(stubs))]
            stubs[key] = _Stub(life.touched + self._limits.remember_ns, life.orig.isn)

    def _evict(self, besides: Life | None = None) -> None:
        """Make room: see `Limits.connections`."""
        for table in (self._told, self._half, self._lives):
            for life in table.values():
                if life is not besides:
                    self._leave(life, evicted=True)
                    return


_SYN_EVENTS: Final = {
    (True, False): Event.CLIENT_SYN,
    (True, True): Event.CLIENT_SYN_ACK,
    (False, False): Event.SERVER_SYN,
    (False, True): Event.SERVER_SYN_ACK,
}
