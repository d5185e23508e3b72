"""Make the captures that the benchmarks read: real probes among made-up bulk and keep-alive traffic.

    python benchmarks/generate.py mixed OUT.pcap --frames 2000000

The probes are conversations of a real kubelet, cut out of `captures/` and set to new times, addresses and ports, so that
they are recognized, timed, counted and decided upon like any others: every pod has a readiness probe each ten seconds,
most answer 200, and now and then one answers 503 three times in a row. The rest is what a busy node carries: transfers in
full segments with an acknowledgment for every second one, kept connections with small requests and answers, and short
client connections. Everything comes from a fixed seed: the same arguments give the same bytes.

Kinds: `mixed`; `mixed-ng` (pcapng); `mixed-vxlan` (every frame inside VXLAN); `probes` (nothing but probes); `checks` (nothing but
an HAProxy's checks).
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from probewatch.capture import Reader

CAPTURES: Final = Path(__file__).resolve().parent.parent / "captures"
OK: Final = ("http-flap-s1/capture.pcap", 53, 62)
"""A probe that was answered 200: capture, first frame, last frame."""
FAILED: Final = ("http-flap-s1/capture.pcap", 113, 122)
"""The same, answered 503."""
CHECK: Final = ("several/cap.pcap.xz", 37, 44)
"""A check by HAProxy that was answered 200."""

SEED: Final = 7
BEGIN_NS: Final = 1_790_000_000_000_000_000
PERIOD_NS: Final = 10_000_000_000
CHECKED_NS: Final = 2_000_000_000
"""HAProxy's own `inter`."""
FRAME_NS: Final = 300_000
"""Mean time between two frames."""
OVERLAP: Final = 200
"""Frames of probes that may be under way at the same time."""
SHARE: Final = 0.015
"""Of all frames, those of probes."""
TRANSFERS, KEPT = 60, 240
"""Connections that transfer much, and kept ones, at any time."""
SEGMENT: Final = 1448
MASK: Final = 0xFFFFFFFF
MACS: Final = bytes.fromhex("0a580a80000a0a580a800001")
TIMESTAMPS: Final = b"\x01\x01\x08\x0a"

_TCP: Final = struct.Struct("!12sHBBHHHBBHIIHHIIBBHHH4sII")
_IP_AT, _PORTS_AT = 14, 34


@dataclass(slots=True)
class End:
    """One side of a made-up connection."""

    address: int
    port: int
    seq: int
    id: int = 0


class Conversation:
    """A real probe: its frames, and when each came."""

    def __init__(self, where: tuple[str, int, int]) -> None:
        name, first, last = where
        with Reader(str(CAPTURES / name), 0) as reader:
            frames = [frame for frame in reader if first <= frame.number <= last]
        self.begin = frames[0].ns
        self.client = frames[0].data[_IP_AT + 12 : _IP_AT + 16]
        self.port = frames[0].data[_PORTS_AT : _PORTS_AT + 2]
        self.frames = [frame for frame in frames if self.port in frame.data[_PORTS_AT : _PORTS_AT + 4]]

    def replay(self, ns: int, node: int, pod: int, port: int) -> Iterator[tuple[int, bytes]]:
        """Yield (time, frame) of the same probe, begun at another time, of another pod, from another port."""
        pairs = {True: struct.pack("!II", node, pod), False: struct.pack("!II", pod, node)}
        for frame in self.frames:
            data = bytearray(frame.data)
            asks = data[_IP_AT + 12 : _IP_AT + 16] == self.client
            data[_IP_AT + 12 : _IP_AT + 20] = pairs[asks]
            struct.pack_into("!H", data, _PORTS_AT + (0 if asks else 2), port)
            yield ns + frame.ns - self.begin, bytes(data)


def probes(pods: int) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of so many pods' probes for ever, in time order."""
    rng = random.Random(SEED)
    right, wrong = Conversation(OK), Conversation(FAILED)
    node, port = 0x0A800001, 32768
    phases = sorted(rng.randrange(PERIOD_NS) for _ in range(pods))
    failing = [0] * pods
    begin, under_way = BEGIN_NS, list[tuple[int, bytes]]()
    while True:
        for n, phase in enumerate(phases):
            if not failing[n] and rng.random() < 0.01:
                failing[n] = 3
            how = wrong if failing[n] else right
            failing[n] = max(0, failing[n] - 1)
            port = 32768 + (port + 1) % 28000
            for frame in how.replay(begin + phase + rng.randrange(300_000), node, 0x0A80000A + n, port):
                heappush(under_way, frame)
            while len(under_way) > OVERLAP:
                yield heappop(under_way)
        begin += PERIOD_NS


def checks(servers: int) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of an HAProxy's checks of so many servers for ever, in time order."""
    right, port, begin = Conversation(CHECK), 32768, BEGIN_NS
    while True:
        for n in range(servers):
            port = 32768 + (port + 1) % 28000
            yield from right.replay(begin + n * CHECKED_NS // servers, 0x0A800002, 0x0A80000A + n, port)
        begin += CHECKED_NS


def tcp(a: End, b: End, flags: int, payload: bytes = b"", stamp: int = 0) -> bytes:
    """Build a segment from a to b, and count it."""
    a.id = a.id + 1 & 0xFFFF
    frame = _TCP.pack(
        MACS, 0x0800, 0x45, 0, 52 + len(payload), a.id, 0x4000, 64, 6, 0, a.address, b.address,
        a.port, b.port, a.seq, b.seq, 0x80, flags, 501, 0, 0, TIMESTAMPS, stamp, stamp,
    ) + payload  # fmt: skip
    a.seq = a.seq + len(payload) + (1 if flags & 3 else 0) & MASK
    return frame


REQUEST: Final = (
    b"GET /api/v1/items?page=%d HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: shop-gateway/2.4\r\nAccept: */*\r\n\r\n"
)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GET: Final = b"GET /export HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: export/1.0\r\nAccept: */*\r\n\r\n"


def opening(a: End, b: End, stamp: int) -> Iterator[bytes]:
    """Yield the handshake."""
    yield tcp(a, b, 0x02, stamp=stamp)
    yield tcp(b, a, 0x12, stamp=stamp)
    yield tcp(a, b, 0x10, stamp=stamp)


def transfer(a: End, b: End, rng: random.Random) -> Iterator[bytes]:
    """Yield the frames of one long answer."""
    stamp = rng.randrange(1 << 30)
    yield from opening(a, b, stamp)
    yield tcp(a, b, 0x18, GET, stamp)
    yield tcp(b, a, 0x10, ANSWER % (1 << 40) + bytes(SEGMENT - 80), stamp)
    body = bytes(SEGMENT)
    while True:
        stamp += 1
        yield tcp(b, a, 0x10, body, stamp)
        yield tcp(b, a, 0x10, body, stamp)
        yield tcp(a, b, 0x10, b"", stamp)


def kept(a: End, b: End, rng: random.Random, requests: int) -> Iterator[bytes]:
    """Yield the frames of a connection with many small requests; 0 is without end."""
    stamp = rng.randrange(1 << 30)
    yield from opening(a, b, stamp)
    done = 0
    while not requests or done < requests:
        done += 1
        stamp += 3
        body = bytes(rng.choice((40, 90, 160, 300)))
        yield tcp(a, b, 0x18, REQUEST % done, stamp)
        yield tcp(b, a, 0x18, ANSWER % len(body) + body, stamp)
        yield tcp(a, b, 0x10, b"", stamp)
    yield tcp(a, b, 0x11, stamp=stamp)
    yield tcp(b, a, 0x11, stamp=stamp)
    yield tcp(a, b, 0x10, stamp=stamp)


def background() -> Iterator[bytes]:
    """Yield the frames of everything but probes for ever."""
    rng = random.Random(SEED + 1)
    count = 0

    def new(address: int) -> tuple[End, End]:
        nonlocal count
        count += 1
        port = 32768 + count % 28000
        return (
            End(0x0A810000 + count % 500, port, rng.randrange(1 << 32)),
            End(address, 8080, rng.randrange(1 << 32)),
        )

    def pod() -> int:
        return 0x0A80000A + rng.randrange(40)

    busy = [transfer(*new(0x0A82000A + n % 6), rng) for n in range(TRANSFERS)]
    idle = [kept(*new(pod()), rng, 0) for _ in range(KEPT)]
    short = [kept(*new(pod()), rng, 4) for _ in range(20)]
    while True:
        what = rng.random()
        if what < 0.10:
            one = busy[rng.randrange(TRANSFERS)]
            for _ in range(3):
                yield next(one)
        elif what < 0.96:
            yield next(idle[rng.randrange(KEPT)])
        else:
            n = rng.randrange(len(short))
            frame = next(short[n], None)
            if frame is None:
                short[n] = kept(*new(pod()), rng, 4)
            else:
                yield frame


def mixed(frames: int) -> Iterator[tuple[int, bytes]]:
    """Yield so many frames, `SHARE` of them probes, in time order."""
    rng = random.Random(SEED + 2)
    rate = SHARE / FRAME_NS  # probe frames a nanosecond
    asked = probes(max(1, round(rate * PERIOD_NS / len(Conversation(OK).frames))))
    around, ns, left = background(), BEGIN_NS, frames
    coming = next(asked)
    while left:
        ns += rng.randrange(2 * FRAME_NS)
        while coming[0] <= ns and left:
            yield coming
            coming = next(asked)
            left -= 1
        if left:
            yield ns, next(around)
            left -= 1


def only_probes(frames: int) -> Iterator[tuple[int, bytes]]:
    """Yield so many frames of probes of 200 pods, in time order."""
    return islice(probes(200), frames)


def only_checks(frames: int) -> Iterator[tuple[int, bytes]]:
    """Yield so many frames of an HAProxy's checks of 40 servers, in time order."""
    return islice(checks(40), frames)


def in_vxlan(frames: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Put each frame into VXLAN between two nodes."""
    for ns, frame in frames:
        length = len(frame)
        outer = struct.pack(
            "!12sHBBHHHBBHII", MACS, 0x0800, 0x45, 0, 36 + length, 0, 0x4000, 64, 17, 0, 0xC0A80A0B, 0xC0A80A0C
        )
        udp = struct.pack("!HHHHII", 49152 + (frame[37] & 0xFF), 4789, 16 + length, 0, 0x08000000, 4096 << 8)
        yield ns, outer + udp + frame


def write_pcap(out: BinaryIO, frames: Iterator[tuple[int, bytes]]) -> None:
    """Write pcap, nanoseconds."""
    out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
    record = struct.Struct("<IIII").pack
    for ns, data in frames:
        out.write(record(ns // 1_000_000_000, ns % 1_000_000_000, len(data), len(data)))
        out.write(data)


def write_pcapng(out: BinaryIO, frames: Iterator[tuple[int, bytes]]) -> None:
    """Write pcapng of one interface, nanoseconds."""
    out.write(struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28))
    out.write(struct.pack("<IIHHIHHB3xHHI", 1, 32, 1, 0, 262144, 9, 1, 9, 0, 0, 32))
    block, tail = struct.Struct("<IIIIIII").pack, struct.Struct("<I").pack
    for ns, data in frames:
        pad = -len(data) % 4
        length = 32 + len(data) + pad
        out.write(block(6, length, 0, ns >> 32, ns & MASK, len(data), len(data)) + data + bytes(pad) + tail(length))


KINDS: Final[dict[str, Callable[[BinaryIO, int], None]]] = {
    "mixed": lambda out, frames: write_pcap(out, mixed(frames)),
    "mixed-ng": lambda out, frames: write_pcapng(out, mixed(frames)),
    "mixed-vxlan": lambda out, frames: write_pcap(out, in_vxlan(mixed(frames))),
    "probes": lambda out, frames: write_pcap(out, only_probes(frames)),
    "checks": lambda out, frames: write_pcap(out, only_checks(frames)),
}


def generate(kind: str, path: Path, frames: int) -> None:
    """Write a capture of one kind."""
    with path.open("wb", buffering=1 << 20) as out:
        KINDS[kind](out, frames)


def main() -> None:
    """Take the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("path", type=Path)
    parser.add_argument("--frames", type=int, default=2_000_000)
    chosen = parser.parse_args()
    generate(chosen.kind, chosen.path, chosen.frames)


if __name__ == "__main__":
    main()
