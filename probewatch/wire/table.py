"""Keep the connections: where they are found, when they are handed out, when they are let go.

Theory of operation
-------------------
A connection is *ripe*, and handed out, `settle_ns` after it was over (both FINs, or a RST: the pause lets the last
ACK, a second RST and the copies at other vantage points come in), or when it was silent for `quiet_ns`, or at the age
`ripe_age_ns` even if alive, or when it was asked so often that it is weighed (`Limits.turns`), or when it must leave.
If frames come after that it is handed out again, `rev` one higher, at its next such point: its end, silence, or
leaving. `final` is said where a value was made while leaving the table; a connection of which nothing more comes is
not handed out once more only to say so.

Then it stays, so that late frames find it: one that was reset for `remember_ns` (answers come up to half a minute after
their checker reset the connection), one that is not over for `idle_ns` (SYNs of a dead dial come minutes later, up to
36 s apart). One that both sides closed leaves `quiet_ns` after its last frame, and its payload with it; a stub
remembers its ports and absorbs what is late (`Stats.late`) until `remember_ns` passed without a frame.

Each connection has one timer in a heap. It is not moved when frames come: when it rings, the connection is looked at,
and waits on where it is not yet time.

Bounds are `Limits`; what happens at each is said there.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from probewatch.model.connection import QUIET_NS, Connection, Unresolved
from probewatch.model.frame import Mark
from probewatch.model.units import SECOND
from probewatch.wire.lives import Life, Side

SLACK: Final = 1024
"""Timers that may outnumber twice the connections before those of connections gone are swept out."""
BYPASSED_NS: Final = SECOND
"""Nanoseconds between two moments at which timers of bypassed connections ring: all together, for each ends a run of frames
that pass."""

Key = tuple[str, int, str, int]
"""Source, source port, destination, destination port."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the tracker."""

    connections: int = 4096
    """In the table. Above it one leaves: first what was handed out (oldest first), then unanswered SYNs, then the oldest."""
    payload: int = 16 << 20
    """Bytes of payload held by all together. Above it connections leave in the same order."""
    client_bytes: int = 16 << 10
    """Kept of a client's stream (and as many waiting behind a hole); more is counted, not kept. A side whose direction turns
    out to be the other one keeps the limit it began with."""
    server_bytes: int = 32 << 10
    followed: int = 128 << 10
    """Bytes of one direction after which a connection is bypassed: of a reader that takes in no more, as a kubelet does after
    10 KiB, a kernel accepts so many (Linux: net.ipv4.tcp_rmem)."""
    turns: int = 32
    """Changes of who sends data after which it is weighed ..."""
    pace_ns: int = 1_600_000_000
    """... and bypassed, where they came within this time, or nothing more of the stream is kept: 16 requests and answers, and
    no checker asks ten times a second. A slower one is handed out ..."""
    look_ns: int = SECOND
    """... and bypassed when it is asked on so much later, unless its owner claimed it meanwhile (`Table.claim`)."""
    arrivals: int = 256
    """Growth steps kept a direction; above it the last one is moved on."""
    syns: int = 32
    """SYN marks kept a side; more are counted as retransmits, not kept."""
    stubs: int = 16384
    """Closed or unanswered connections remembered by their ports alone; the oldest goes first."""
    parted: int = 1024
    """Connections followed in pieces (`Table.part`); the oldest is followed whole again."""
    servers: int = 4096
    """Endpoints remembered to tell directions."""
    rounds: int = 4096
    """Address resolutions under way; above it the oldest ends."""
    ready: int = 512
    """Values that wait to be taken, above which the tracker asks that they be (`Tracker.crowd`)."""
    settle_ns: int = 60_000_000
    """From the end of a connection until it is handed out; longer than `sightings.WINDOW`."""
    quiet_ns: int = QUIET_NS
    ripe_age_ns: int = 35_000_000_000
    remember_ns: int = 65_000_000_000
    idle_ns: int = 300_000_000_000


@dataclass(slots=True)
class Stats:
    """What went by."""

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
    unsent: dict[tuple[str, str, int], set[tuple[int, int]]] = field(default_factory=dict)
    """(client, server, port) -> (source port, sequence number) of SYNs that are not here and that the client's own kernel gave up, as
    its ICMP errors to itself say: nobody answered for the address on the link (net/ipv4/arp.c arp_error_report)."""


class Stub:
    """What is left of a connection: enough to know its late frames."""

    __slots__ = ("expires", "isn")

    def __init__(self, expires: int, isn: int) -> None:
        self.expires = expires
        self.isn = isn
        """The client's initial sequence number, -1 where its SYN was not seen."""


class Table:
    """All connections, found by both directed 4-tuples."""

    __slots__ = (
        "_half",
        "_ids",
        "_limits",
        "_parted",
        "_told",
        "_waiting",
        "clock",
        "heap",
        "lives",
        "payload",
        "ready",
        "sides",
        "stats",
        "stubs",
    )

    def __init__(self, limits: Limits, stats: Stats) -> None:
        self._limits = limits
        self.stats = stats
        self.clock = -(1 << 62)
        """Time of the tracker (ns)."""
        self.sides: dict[Key, Side] = {}
        self.lives: dict[int, Life] = {}
        self.stubs: dict[Key, Stub] = {}
        self.ready: list[Connection | Unresolved] = []
        """Ripe values; the owner takes and clears them."""
        self.payload = 0
        """Bytes of payload in memory."""
        self._told: dict[int, Life] = {}
        self._half: dict[int, Life] = {}
        self.heap: list[tuple[int, int, Life]] = []
        """Timers: when one rings, whose it is."""
        self._waiting: dict[str, dict[int, int]] = {}
        self._parted: dict[Key, int] = {}
        """Client's 4-tuple -> id of the first piece."""
        self._ids = 0

    # Birth

    def open(self, mark: Mark, client: Key, *, flipped: bool, asks: bool) -> Life:
        """Begin a connection; `client` is its 4-tuple from the client's side, `asks` whether it begins with a SYN."""
        limits = self._limits
        if len(self.lives) >= limits.connections:
            self.evict()
        orig = Side(True, limits.client_bytes, limits.arrivals)
        resp = Side(False, limits.server_bytes, limits.arrivals)
        life = Life(self._ids, orig, resp, mark, self.clock)
        self._ids += 1
        self.stats.connections += 1
        life.client, life.client_port, life.server, life.server_port = client
        if flipped:
            life.flipped = True
            life.history.add("^")
        if asks:
            self._half[life.id] = life
        self.sides[client] = orig
        self.sides[client[2], client[3], client[0], client[1]] = resp
        self.lives[life.id] = life
        self._waiting.setdefault(life.server, {})[life.id] = mark.ns
        self.schedule(life, self.clock + min(limits.quiet_ns, limits.ripe_age_ns))
        return life

    def began(self, life: Life, neighbour: Mark) -> None:
        """Say that a connection waited for an address before its SYN."""
        life.neighbour = neighbour
        self._waiting[life.server][life.id] = neighbour.ns

    def answered(self, life: Life) -> None:
        """Say that the server was heard: the connection is no lonely SYN any more."""
        self._half.pop(life.id, None)

    def part(self, client: Key, number: int) -> None:
        """From now on follow this connection in pieces: let go of it wherever it rests after an answer, and begin anew.

        So one that is kept for days, and asked on, is read to its end in a constant memory. `client` is its 4-tuple from
        the client's side, `number` its id.
        """
        life = self.lives.get(number)
        if life is None or life.over is not None:
            return  # (a piece that was let go of, or the last one)
        self._parted.setdefault(client, number)
        if len(self._parted) > self._limits.parted:
            del self._parted[next(iter(self._parted))]
        self.schedule(life, self.clock + self._limits.settle_ns)

    def piece_of(self, client: Key, *, asks: bool) -> int | None:
        """Return the id of the connection that goes on here, where it is followed in pieces; one that begins anew (`asks`) is not."""
        first = self._parted.pop(client, None)
        if first is None or asks:
            return None
        self._parted[client] = first  # (the latest comes last)
        return first

    def claim(self, number: int) -> bool:
        """Mark a connection, by its id, as one that a checker keeps; return False where it has transferred more than any check does."""
        life = self.lives.get(number)
        if life is not None:
            if life.bypassed and max(life.orig.stream.next, life.resp.stream.next) > self._limits.followed:
                return False
            life.claimed = True
            life.turns = 0
        return True

    def flip(self, life: Life) -> None:
        """Swap client and server."""
        start = self._stop_waiting(life) if life.rev == 0 else None
        life.flip()
        if start is not None:
            self._waiting.setdefault(life.server, {})[life.id] = start

    def absorbs(self, key: Key, *, asks: bool, seq: int) -> bool:
        """Return whether a frame of no connection is a late one of a connection gone by."""
        stubs = self.stubs
        back = (key[2], key[3], key[0], key[1])
        stub = stubs.get(key)
        fresh = asks and (stub is None or seq != stub.isn)
        stub = stub or stubs.get(back)
        if stub is None:
            return False
        if not fresh and self.clock < stub.expires:
            stub.expires = self.clock + self._limits.remember_ns
            self.stats.late += 1
            return True
        stubs.pop(key, None)
        stubs.pop(back, None)
        return False

    def unripe_since(self, server: str) -> int | None:
        """Return the earliest start of a connection to this address that was not handed out yet, or None."""
        waiting = self._waiting.get(server)
        return min(waiting.values()) if waiting else None

    @property
    def waiting_servers(self) -> Iterable[str]:
        """Whose connections these are."""
        return self._waiting

    # Time

    def schedule(self, life: Life, due: int) -> None:
        """See to it that a connection is looked at when it is this late; a bypassed one at the next full second."""
        if life.bypassed:
            due += -due % BYPASSED_NS
        if life.due < 0 or due < life.due:
            life.due = due
            heapq.heappush(self.heap, (due, life.id, life))

    def news(self, life: Life) -> None:
        """Say that something came after a connection was handed out."""
        life.told = False
        self._told.pop(life.id, None)
        self.schedule(life, self.clock + self._limits.quiet_ns)

    def over(self, life: Life) -> None:
        """Say that a connection ended."""
        life.over = self.clock
        self.schedule(life, self.clock + self._limits.settle_ns)

    def expire(self) -> None:
        """Do what is due."""
        clock, heap = self.clock, self.heap
        while heap and heap[0][0] <= clock:
            due, _, life = heapq.heappop(heap)
            if not life.gone and due == life.due:
                life.due = -1
                self._ripen(life)

    def _ripen(self, life: Life) -> None:
        """Look at a connection whose timer rang: hand it out, let it go, or wait on."""
        if life.fast is not None:
            life.touched = max(life.touched, life.fast.touched())
        limits, clock = self._limits, self.clock
        if self._parted and self._rests(life):
            self.leave(life)
            return
        quiet = life.touched + limits.quiet_ns
        if not life.told:
            due = quiet
            if life.rev == 0:
                due = min(due, life.born + limits.ripe_age_ns)
            if life.over is not None and not life.ended:
                due = min(due, life.over + limits.settle_ns)
            if due > clock:
                self.schedule(life, due)
                return
            self.hand_out(life)
        leave = life.touched + (limits.idle_ns if life.over is None else limits.remember_ns)
        if life.closed:
            leave = quiet
        if leave <= clock:
            self.leave(life)
        else:
            self.schedule(life, leave)

    def _rests(self, life: Life) -> bool:
        """Tell whether a connection that is followed in pieces rests: old enough, all answered, and nothing since."""
        key = (life.client, life.client_port, life.server, life.server_port)
        if key not in self._parted:
            return False
        if life.over is not None:
            del self._parted[key]
            return False
        if life.orig.fin is not None or life.resp.fin is not None:
            return False  # (what is asked after that meets a closed connection: both belong together)
        asked, told = life.orig.stream, life.resp.stream
        answered = bool(asked.arrivals and told.arrivals) and told.arrivals[-1].mark > asked.arrivals[-1].mark
        whole = not asked.spans and not told.spans
        calm = self.clock - life.touched >= self._limits.settle_ns
        if answered and whole and calm:
            return True
        self.schedule(life, self.clock + self._limits.settle_ns)
        return False

    def finish(self) -> None:
        """Let all go."""
        self.expire()
        for life in list(self.lives.values()):
            self.leave(life)
        self.heap.clear()
        self.stubs.clear()

    # Leaving

    def keep(self, life: Life, more: int) -> None:
        """Count payload that a connection holds from now on."""
        life.payload += more
        self.payload += more
        while self.payload > self._limits.payload and len(self.lives) > 1:
            self.evict(besides=life)

    def leave(self, life: Life) -> None:
        """Take a connection out of the table; hand it out where that is due."""
        if not life.told:
            self.hand_out(life, final=True)
        life.gone = True
        self._told.pop(life.id, None)
        self._half.pop(life.id, None)
        del self.lives[life.id]
        self.payload -= life.payload
        key = (life.client, life.client_port, life.server, life.server_port)
        del self.sides[key]
        self.sides.pop((key[2], key[3], key[0], key[1]), None)
        # Two sides and their life hold each other; without this only the garbage collector would free them.
        orig, resp = life.orig, life.resp
        del orig.peer, resp.peer, orig.life, resp.life
        if len(self.heap) > 2 * len(self.lives) + SLACK:
            # Timers of connections gone, kept until they ring, would hold their memory.
            self.heap[:] = [entry for entry in self.heap if not entry[2].gone]
            heapq.heapify(self.heap)
        if life.over is not None or not life.resp.packets:
            stubs = self.stubs
            stubs.pop(key, None)
            if len(stubs) >= self._limits.stubs:
                del stubs[next(iter(stubs))]
            stubs[key] = Stub(life.touched + self._limits.remember_ns, life.orig.isn)

    def evict(self, besides: Life | None = None) -> None:
        """Make room: see `Limits.connections`."""
        for table in (self._told, self._half, self.lives):
            for life in table.values():
                if life is not besides:
                    self.leave(life)
                    self.stats.evicted += 1
                    return

    def hand_out(self, life: Life, *, final: bool = False) -> None:
        """Make a connection's next revision ready to be taken."""
        if life.fast is not None:
            life.fast.close()
        if life.rev == 0:
            self._stop_waiting(life)
        self.ready.append(life.snapshot(final))
        life.told = True
        life.ended = life.over is not None
        self._told[life.id] = life
        if life.over is not None:
            life.recent.clear()

    def _stop_waiting(self, life: Life) -> int:
        waiting = self._waiting[life.server]
        start = waiting.pop(life.id)
        if not waiting:
            del self._waiting[life.server]
        return start
