"""The fast path: whatever passes there, the connections are the same as if every frame had been decoded in full."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.model.connection import Connection
from probewatch.model.frame import Batch, Frame
from probewatch.observer import Observer
from probewatch.wire import fastpath
from probewatch.wire.fastpath import FastPath
from probewatch.wire.tcp import Limits, Tracker

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_795_378_200 * S
MACS = b"\x02\0\0\0\0\2\x02\0\0\0\0\1"
MASK = 0xFFFFFFFF
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class End:
    """One side of a made-up connection."""

    def __init__(self, address: bytes, port: int, isn: int) -> None:
        self.address, self.port, self.seq, self.id = address, port, isn, 1


class Traffic:
    """Makes frames of several connections, with all that goes wrong on a wire."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.ns = EPOCH
        self.frames: list[tuple[int, bytes]] = []

    def segment(self, a: End, b: End, flags: int, payload: bytes = b"", **odd: int) -> bytes:
        """Build a frame from a to b."""
        seq, ack = odd.get("seq", a.seq), odd.get("ack", b.seq)
        options = b"\x01\x01\x08\x0a" + struct.pack("!II", self.ns // MS & MASK, 7) if odd.get("stamps", 1) else b""
        tcp = struct.pack(
            "!HHIIBBHHH", a.port, b.port, seq & MASK, ack & MASK, (20 + len(options)) << 2, flags, odd.get("window", 500), 0, 0
        )
        body = tcp + options + payload
        a.id = a.id + 1 & 0xFFFF
        if len(a.address) == 16:
            head = struct.pack("!IHBB", 6 << 28, len(body), 6, 64) + a.address + b.address
            return MACS + b"\x86\xdd" + head + body
        first, tags = (0x46, b"\1\1\1\1") if odd.get("ip_options") else (0x45, b"")
        total = 20 + len(tags) + len(body)
        head = struct.pack("!BBHHHBBH", first, 0, total, a.id, odd.get("fragment", 0x4000), 64, 6, 0)
        return MACS + b"\x08\0" + head + a.address + b.address + tags + body

    def put(self, frame: bytes) -> None:
        """Capture a frame, after a pause."""
        pause = self.rng.choice((10_000, 50_000, 50_000, 200_000, 3 * MS, 40 * MS, 300 * MS))
        if self.rng.random() < 0.004:
            pause = self.rng.choice((6, 40, 320)) * S
        self.ns += pause
        self.frames.append((self.ns, frame))

    def connection(self, number: int) -> Iterator[None]:
        """Make one connection, a step at a time."""
        rng = self.rng
        v6 = rng.random() < 0.15
        wide = (lambda x: bytes(15) + bytes([x])) if v6 else (lambda x: bytes([10, 0, 0, x]))
        isns = [rng.choice((1000, MASK - rng.randrange(6000), rng.randrange(MASK))) for _ in range(2)]
        a, b = End(wide(1), 40000 + number, isns[0]), End(wide(2 + number % 3), 80, isns[1])
        if rng.random() < 0.7:
            self.put(self.segment(a, b, SYN, ack=0))
            a.seq += 1
            yield
            self.put(self.segment(b, a, SYN | ACK))
            b.seq += 1
            self.put(self.segment(a, b, ACK))
        last: dict[int, tuple[int, bytes]] = {}
        for _ in range(rng.randrange(40, 260)):
            yield
            sender, receiver = (b, a) if rng.random() < 0.8 else (a, b)
            what = rng.random()
            if what < 0.55:  # the next data, now and then not captured
                payload = bytes(rng.choice((1, 20, 100, 400)))
                before = sender.seq
                frame = self.segment(sender, receiver, ACK | rng.choice((0, PSH)), payload)
                last[id(sender)] = (before, payload)
                sender.seq += len(payload)
                if rng.random() > 0.01:
                    self.put(frame)
                    if rng.random() < 0.01:  # recorded twice
                        self.ns += 1000
                        self.frames.append((self.ns, frame))
            elif what < 0.93:
                self.put(self.segment(receiver, sender, ACK))
            elif what < 0.95 and id(sender) in last:
                before, payload = last[id(sender)]
                self.put(self.segment(sender, receiver, ACK, payload, seq=before))
            elif what < 0.96:
                self.put(self.segment(receiver, sender, ACK, window=0))
            elif what < 0.97:
                self.put(self.segment(receiver, sender, ACK, seq=receiver.seq - 1))
            elif what < 0.98:
                self.put(self.segment(receiver, sender, ACK, ack=sender.seq + rng.choice((-50, 700))))
            elif what < 0.985:
                self.put(self.segment(receiver, sender, ACK | 0x20 * rng.randrange(2), stamps=rng.randrange(2)))
            elif what < 0.99:
                self.put(self.segment(receiver, sender, ACK, ip_options=1))
            elif what < 0.995:
                self.put(self.segment(receiver, sender, ACK, fragment=0x2000))
            else:
                self.put(self.segment(sender, receiver, ACK, bytes(30))[: rng.choice((40, 54, 60, 70))])
        if rng.random() < 0.5:
            self.put(self.segment(a, b, FIN | ACK))
            a.seq += 1
            self.put(self.segment(b, a, FIN | ACK))
            b.seq += 1
            self.put(self.segment(a, b, ACK))
        elif rng.random() < 0.5:
            self.put(self.segment(b, a, RST | ACK))
            self.put(self.segment(a, b, ACK))

    def all(self, connections: int) -> list[tuple[int, bytes]]:
        """Make so many connections, mixed, some of them on the ports of one before."""
        running = [self.connection(n % 5) for n in range(connections)]
        while running:
            one = self.rng.choice(running[:4])
            if next(one, self) is self:
                running.remove(one)
        return self.frames


class Witness(Observer):
    """Remembers every connection that is handed out, each revision of it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.seen: list[Connection] = []
        self._tracker = Tracker(limits)
        self._fast = FastPath(self._tracker, self._peeler)

    def _collect(self, items) -> None:
        self.seen += items
        super()._collect(items)


def batch_of(frames: list[tuple[int, bytes]], first: int) -> Batch:
    """Lay frames into one buffer, as in a pcap file."""
    data, starts = bytearray(), []
    for _, frame in frames:
        data += struct.pack("<IIII", 0, 0, len(frame), len(frame))
        starts.append(len(data))
        data += frame
    return Batch(0, first, 0, 1, "<", bytes(data), [ns for ns, _ in frames], starts, [len(f) for _, f in frames])


def both(frames: list[tuple[int, bytes]], limits: Limits, size: int) -> tuple[Witness, Witness]:
    """Run frames through an observer in full, and through another in batches."""
    full, fast = Witness(limits), Witness(limits)
    for number, (ns, frame) in enumerate(frames, 1):
        full.feed(Frame(ns, 0, number, 0, 1, frame, len(frame)))
    for at in range(0, len(frames), size):
        fast.feed_batch(batch_of(frames[at : at + size], at + 1))
    full.finish()
    fast.finish()
    return full, fast


SMALL = Limits(client_bytes=60, server_bytes=150)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), size=st.sampled_from((1, 7, 64, 512)), connections=st.integers(1, 12))
def test_connections_are_the_same(seed, size, connections):
    """Each connection, in each revision, has the same states, letters, numbers, counters and marks; so have the counts of what went by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastpath, "WARM", 3)
        frames = Traffic(seed).all(connections)
        full, fast = both(frames, SMALL, size)
    assert fast.seen == full.seen
    assert fast._tracker.stats == full._tracker.stats


def test_few_connections_are_held(monkeypatch):
    """Connections that are pushed out of the table, and flows that find no room, lose nothing."""
    monkeypatch.setattr(fastpath, "WARM", 3)
    monkeypatch.setattr(fastpath, "FLOWS", 4)
    frames = Traffic(5).all(30)
    full, fast = both(frames, Limits(client_bytes=60, server_bytes=150, connections=3), 100)
    assert fast.seen == full.seen
    assert full._tracker.stats.evicted


def test_most_of_a_long_transfer_passes():
    """Of a download without trouble nothing but its beginning and a frame now and then is decoded."""
    traffic = Traffic(1)
    a, b = End(bytes([10, 0, 0, 1]), 40000, 1), End(bytes([10, 0, 0, 2]), 80, 1)
    for _ in range(5000):
        traffic.ns += 50_000
        traffic.frames.append((traffic.ns, traffic.segment(b, a, ACK, bytes(1000))))
        b.seq += 1000
        traffic.ns += 50_000
        traffic.frames.append((traffic.ns, traffic.segment(a, b, ACK)))
    observer = Witness(Limits())
    decoded = []
    for item in observer._fast.through(batch_of(traffic.frames, 1)):
        assert isinstance(item, Frame)
        observer._tracker.segment(observer._peeler.peel(item))
        decoded.append(item.number)
    assert decoded == list(range(1, len(decoded) + 1))
    assert 30 < len(decoded) < 200
    (connection,) = observer._tracker.finish()
    assert connection.resp.packets == 5000
    assert connection.resp.length == 5_000_000
