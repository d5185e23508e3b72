"""The fast path: whatever passes there, the connections are the same as if every frame had been decoded in full."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.capture import Reader, merged_parts, open_all, wholesale
from probewatch.model.connection import Connection
from probewatch.model.frame import Batch, Frame
from probewatch.model.units import MS
from probewatch.model.units import SECOND as S
from probewatch.observer import Observer
from probewatch.wire import fastpath
from probewatch.wire.fastpath import FastPath
from probewatch.wire.tcp import Limits, Tracker


@pytest.fixture(autouse=True)
def small_inputs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let batches be made from the first byte on."""
    monkeypatch.setattr(wholesale, "LARGE", 0)


EPOCH = 1_795_378_200 * S
MACS = b"\x02\0\0\0\0\2\x02\0\0\0\0\1"
MASK = 0xFFFFFFFF
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class End:
    """One side of a made-up connection."""

    def __init__(self, address: bytes, port: int, isn: int) -> None:
        self.address, self.port, self.seq, self.id = address, port, isn, 1


def vlan(frame: bytes) -> bytes:
    """Tag a frame."""
    return frame[:12] + b"\x81\0\0\7" + frame[12:]


def in_ip(kind: int, head: bytes, inside: bytes, *, v6: bool = False) -> bytes:
    """Put bytes into IP between two nodes."""
    length = len(head) + len(inside)
    if v6:
        outer = b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, length, kind, 64) + bytes(15) + b"\x21" + bytes(15) + b"\x22"
    else:
        outer = b"\x08\0" + struct.pack("!BBHHHBBHII", 0x45, 0, 20 + length, 7, 0x4000, 64, kind, 0, 0xC0A80001, 0xC0A80002)
    return MACS + outer + head + inside


def in_udp(port: int, head: bytes, inside: bytes) -> bytes:
    """Put bytes into UDP."""
    return in_ip(17, struct.pack("!HHHH", 50000, port, 8 + len(head) + len(inside), 0) + head, inside)


def ip_kind(frame: bytes) -> int:
    """Return the protocol number that stands for the frame's IP inside IP."""
    return 4 if frame[12:14] == b"\x08\0" else 41


WRAPPERS = (
    vlan,
    lambda frame: vlan(vlan(frame)),
    lambda frame: in_udp(4789, b"\x08\0\0\0\0\0\x2a\0", frame),
    lambda frame: in_udp(8472, b"\x08\0\0\0\0\0\x2b\0", frame),
    lambda frame: in_udp(6081, b"\1\0\x65\x58\0\0\x2a\0\0\0\0\0", frame),
    lambda frame: in_udp(6081, b"\0\0" + frame[12:14] + b"\0\0\x2a\0", frame[14:]),
    lambda frame: in_ip(47, b"\0\0\x65\x58", frame),
    lambda frame: in_ip(47, b"\x20\0" + frame[12:14] + b"\0\0\0\5", frame[14:]),
    lambda frame: in_ip(47, b"\x80\0" + frame[12:14] + b"\0\0\0\0", frame[14:]),
    lambda frame: in_ip(ip_kind(frame), b"", frame[14:]),
    lambda frame: in_ip(ip_kind(frame), b"", frame[14:], v6=True),
    lambda frame: vlan(in_udp(4789, b"\x08\0\0\0\0\0\x2a\0", vlan(frame))),
)
"""Tags and tunnels; the fast path does not know all of them."""


class Traffic:
    """Makes frames of several connections, with all that goes wrong on a wire."""

    def __init__(self, seed: int, *, tunnels: bool = False) -> None:
        self.rng = random.Random(seed)
        self.tunnels = tunnels
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
        if self.tunnels and self.rng.random() < 0.3:  # seen in a tunnel, or in another, or on its way into one
            if self.rng.random() < 0.5:
                self.frames.pop()
            self.ns += 20_000
            self.frames.append((self.ns, self.rng.choice(WRAPPERS)(frame)))

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
    """Remembers every connection that is handed out, each revision of it, and when."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.seen: list[tuple[int, Connection]] = []
        self._tracker = Tracker(limits)
        self._fast = FastPath(self._tracker)
        self.decoded = 0

    def feed(self, frame: Frame) -> None:
        """Count it."""
        self.decoded += 1
        super().feed(frame)

    def _collect(self, items) -> None:
        self.seen += [(self._now_ns, item) for item in items]
        return super()._collect(items)


def cooked(frame: bytes, link_type: int) -> bytes:
    """Return a frame of Ethernet as another link type shows it."""
    protocol, source = frame[12:14], frame[6:12]
    head = {
        1: frame[:14],
        101: b"",
        113: struct.pack("!HHH", source[5] << 1, 1, 6) + source + b"\0\0" + protocol,
        276: protocol + struct.pack("!HIHBB", 0, source[5], 1, 0, 6) + source + b"\0\0",
    }[link_type]
    return head + frame[14:]


def bytes_of(frames: list[tuple[int, bytes]], link_type: int) -> bytes:
    """Lay frames into a capture."""
    out = bytearray(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link_type))
    for ns, frame in frames:
        out += struct.pack("<IIII", ns // S, ns % S, len(frame), len(frame)) + frame
    return bytes(out)


def capture_of(frames: list[tuple[int, bytes]], link_type: int) -> Reader:
    """Open such a capture."""
    return Reader("-", 0, stdin=io.BytesIO(bytes_of(frames, link_type)))


def both(frames: list[tuple[int, bytes]], limits: Limits, *, link_type: int = 1) -> tuple[Witness, Witness]:
    """Run frames through an observer in full, and through another in batches."""
    full, fast = Witness(limits), Witness(limits)
    for frame in capture_of(frames, link_type):
        full.feed(frame)
    reader = capture_of(frames, link_type)
    for part in reader.parts():
        if isinstance(part, Batch):
            fast.skim(part)
        else:
            fast.feed(part)
    full.finish()
    fast.finish()
    return full, fast


SMALL = Limits(client_bytes=60, server_bytes=150, followed=300, turns=6)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), connections=st.integers(1, 12), tunnels=st.booleans())
def test_connections_are_the_same(seed, connections, tunnels):
    """Each connection, in each revision, has the same states, letters, numbers, counters and marks; so have the counts of what went by."""
    full, fast = both(Traffic(seed, tunnels=tunnels).all(connections), SMALL)
    assert fast.seen == full.seen
    assert fast._tracker.stats == full._tracker.stats


@pytest.mark.parametrize("link_type", [101, 113, 276])
def test_other_links(link_type):
    """So it is behind cooked headers and none, and most frames pass there."""
    frames = [(ns, cooked(frame, link_type)) for ns, frame in Traffic(9).all(8)]
    full, fast = both(frames, SMALL, link_type=link_type)
    assert fast.seen == full.seen
    assert fast.decoded < len(frames) * 0.7


@pytest.mark.parametrize("seed", range(4))
def test_several_files_out_of_order(tmp_path, seed):
    """So it is where the frames come from two files, some in both, one of which is out of time order; most pass there as well."""
    rng = random.Random(seed)
    frames = Traffic(seed + 20).all(8)
    first, second = [], []
    for frame in frames:
        where = rng.random()
        first += [frame] if where < 0.8 else []
        second += [frame] if where > 0.6 else []
    for at in range(0, len(second) - 9, 40):
        second.insert(at, second.pop(at + rng.randrange(9)))
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, each in zip(paths, (first, second), strict=True):
        path.write_bytes(bytes_of(each, 1))
    full, fast = Witness(SMALL), Witness(SMALL)
    for witness, skimmed in ((full, False), (fast, True)):
        readers = open_all([str(path) for path in paths])
        for part in merged_parts(readers):
            assert isinstance(part, Batch)
            if skimmed:
                witness.skim(part)
            else:
                for frame in part:
                    witness.feed(frame)
        witness.finish()
        for reader in readers:
            reader.close()
    assert fast.seen == full.seen
    assert fast._tracker.stats == full._tracker.stats
    assert fast.decoded < full.decoded * 0.8


def test_few_connections_are_held(monkeypatch):
    """Connections that are pushed out of the table, and flows that find no room, lose nothing."""
    monkeypatch.setattr(fastpath, "FLOWS", 4)
    full, fast = both(Traffic(5).all(30), Limits(followed=300, turns=6, connections=3))
    assert fast.seen == full.seen
    assert full._tracker.stats.evicted


@pytest.mark.parametrize("wrapper", range(-1, len(WRAPPERS)))
def test_most_of_a_long_transfer_passes(wrapper):
    """Of a download nothing but its beginning is decoded, in a tunnel as well, and of IPv6; its end is seen all the same."""
    wrap = WRAPPERS[wrapper] if wrapper >= 0 else bytes
    for wide in (lambda x: bytes([10, 0, 0, x]), lambda x: bytes(15) + bytes([x])):
        traffic = Traffic(1)
        a, b = End(wide(1), 40000, 1), End(wide(2), 80, 1)
        for _ in range(5000):
            traffic.ns += 50_000
            traffic.frames.append((traffic.ns, wrap(traffic.segment(b, a, ACK, bytes(1000)))))
            b.seq += 1000
            traffic.ns += 50_000
            traffic.frames.append((traffic.ns, wrap(traffic.segment(a, b, ACK))))
        traffic.frames.append((traffic.ns, wrap(traffic.segment(b, a, FIN | ACK))))
        full, fast = both(traffic.frames, Limits())
        assert fast.seen == full.seen
        ((_, connection),) = fast.seen
        assert connection.end.number == connection.resp.last.number == 10_001
        assert connection.orig.last.number == 10_000
        assert connection.resp.fin is not None
        if wrapper != CHECKSUMMED:
            assert 260 < fast.decoded < 400  # (one or two of each chunk of the file stand alone)


CHECKSUMMED = 8
"""The wrapper with a checksum in GRE, which the fast path hands on."""
