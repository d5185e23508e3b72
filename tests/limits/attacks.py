"""Captures made to fill every buffer: each attack is a stream of frames, made as it is read, so that none needs a file.

Frames are built by hand with `struct`: scapy would take minutes. All addresses are documentation or pod-like ones; nothing is sent.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from probewatch.model.units import MS, US
from probewatch.model.units import SECOND as S
from probewatch.wire.packets import ACK, FIN, PSH, RST, SYN

EPOCH: Final = 1_795_378_200 * 10**9
NODE: Final = "10.128.0.1"
POD: Final = "10.128.0.10"
GET: Final = b"GET /ready HTTP/1.1\r\nHost: 10.128.0.10:8080\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_ETHERNET: Final = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
PCAP_NS: Final = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)

Packet = tuple[int, bytes, int]
"""Nanoseconds since the start, bytes, length on the wire."""


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


def address(number: int) -> str:
    """Return the pod address of a number, from 10.128.0.16 on."""
    number += 16
    return f"10.{128 + (number >> 16 & 127)}.{number >> 8 & 255}.{number & 255}"


def ip(source: str, target: str, protocol: int, body: bytes, *, ident: int = 0, flags: int = 0x4000) -> bytes:
    """Return an Ethernet frame with an IPv4 packet."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident & 0xFFFF, flags, 64, protocol, 0)
    return _ETHERNET + b"\x08\x00" + head + _packed(source) + _packed(target) + body


def tcp(source: str, target: str, ports: tuple[int, int], seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    """Return an Ethernet frame with a TCP segment."""
    head = struct.pack("!HHIIBBHHH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 64_240, 0, 0)
    return ip(source, target, 6, head + data, ident=seq)


def probe(at: int, target: str, port: int, *, step: int = 100 * US) -> Iterator[Packet]:
    """Yield a kubelet's httpGet, whole, `step` between its frames."""
    there, back = (port, 8080), (8080, port)
    talk = (
        tcp(NODE, target, there, 1000, 0, SYN), tcp(target, NODE, back, 5000, 1001, SYN | ACK),
        tcp(NODE, target, there, 1001, 5001, ACK), tcp(NODE, target, there, 1001, 5001, PSH | ACK, GET),
        tcp(target, NODE, back, 5001, 1001 + len(GET), PSH | ACK, OK),
        tcp(target, NODE, back, 5001 + len(OK), 1001 + len(GET), FIN | ACK),
        tcp(NODE, target, there, 1001 + len(GET), 5002 + len(OK), FIN | ACK),
        tcp(target, NODE, back, 5002 + len(OK), 1002 + len(GET), ACK),
    )  # fmt: skip
    for number, frame in enumerate(talk):
        yield at + number * step, frame, len(frame)


def _plain(frames: Iterator[tuple[int, bytes]]) -> Iterator[Packet]:
    return ((at, frame, len(frame)) for at, frame in frames)


def syn_flood() -> Iterator[Packet]:
    """150 000 SYNs from as many ports and addresses that nobody answers."""
    return _plain(
        (n * 20 * US, tcp(address(n // 60_000 + 300), POD, (1024 + n % 60_000, 8080), n, 0, SYN))
        for n in range(150_000)
    )


def idle_connections() -> Iterator[Packet]:
    """100 000 connections that are opened and then say nothing."""
    for n in range(100_000):
        source, ports = address(n // 60_000 + 300), (1024 + n % 60_000, 8080)
        yield n * 100 * US, (frame := tcp(source, POD, ports, 1, 0, SYN)), len(frame)
        yield n * 100 * US + 10, (frame := tcp(POD, source, ports[::-1], 1, 2, SYN | ACK)), len(frame)
        yield n * 100 * US + 20, (frame := tcp(source, POD, ports, 2, 2, ACK)), len(frame)


def endless_connection() -> Iterator[Packet]:
    """One connection that carries 10 GB, its sequence numbers going round twice."""
    frame = tcp(address(1), POD, (40_000, 8080), 0, 0, SYN)
    yield 0, frame, len(frame)
    head = tcp(POD, address(1), (8080, 40_000), 0, 1, SYN | ACK)
    yield 10, head, len(head)
    size = 61_440
    data = bytes(128)  # the rest is cut by a snapshot length
    for n in range(10 * 10**9 // size):
        frame = tcp(POD, address(1), (8080, 40_000), 1 + n * size, 1, ACK, data)
        frame = frame[:16] + struct.pack("!H", 40 + size) + frame[18:]
        yield 1 * MS + n * 50 * US, frame, 54 + size


def endless_headers() -> Iterator[Packet]:
    """Answers whose header never ends, 4 MB each, on twenty connections at a time."""
    line = b"X-Filler: " + b"a" * 1_380 + b"\r\n"
    for n in range(20):
        port = 40_000 + 2 * n
        for at, frame, length in itertools.islice(probe(n * US, POD, port), 4):
            yield at, frame, length
    seq = 5001 + 17
    for piece in range(3_000):
        for n in range(20):
            port = 40_000 + 2 * n
            body = b"HTTP/1.1 200 OK\r\n" if piece == 0 else line
            at = 5001 if piece == 0 else seq + (piece - 1) * len(line)
            frame = tcp(POD, NODE, (8080, port), at, 1001 + len(GET), ACK, body)
            yield MS + piece * 100 * US + n, frame, len(frame)


def overlapping_segments() -> Iterator[Packet]:
    """100 000 segments that overlap each other at random, with holes that are never filled."""
    yield from itertools.islice(probe(0, POD, 40_000), 4)
    place = 12_345
    for n in range(100_000):
        place = place * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        frame = tcp(
            POD,
            NODE,
            (8080, 40_000),
            5001 + place % 1_000_000,
            1001 + len(GET),
            ACK,
            bytes([n & 255]) * (place % 1_400 + 1),
        )
        yield MS + n * 10 * US, frame, len(frame)


def fragment_bombs() -> Iterator[Packet]:
    """100 000 first or middle fragments of datagrams that never become whole."""
    for n in range(100_000):
        where = 0x2000 | (n % 7) * 185
        frame = ip(address(n % 5_000), POD, 6, bytes(1_480), ident=n, flags=where)
        yield n * 10 * US, frame, len(frame)


def probe_per_millisecond() -> Iterator[Packet]:
    """20 000 probes of one pod, one a millisecond."""
    return itertools.chain.from_iterable(
        probe(n * MS, POD, 32_768 + 2 * n % 28_000, step=50 * US) for n in range(20_000)
    )


def ten_thousand_pods() -> Iterator[Packet]:
    """10 000 pods, each probed twice, from one node."""
    return itertools.chain.from_iterable(
        probe(turn * 10 * S + n * MS, address(n), 32_768 + 2 * n % 28_000, step=50 * US)
        for turn in range(2)
        for n in range(10_000)
    )


def clock_jumps() -> Iterator[Packet]:
    """Probes while the clock jumps forth and back, by a second, an hour, a year, to 1970 and to the end of time."""
    jumps = (0, S, -S, 3_600 * S, -3_600 * S, 365 * 86_400 * S, -365 * 86_400 * S, -EPOCH, 2**62 - EPOCH)
    for n in range(2_000):
        for at, frame, length in probe(n * S, POD, 32_768 + 2 * n):
            yield at + jumps[n // 20 % len(jumps)], frame, length


def resolution_flood() -> Iterator[Packet]:
    """100 000 ARP requests for as many addresses that nobody has."""
    for n in range(100_000):
        body = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + _ETHERNET[6:] + _packed(NODE) + bytes(6) + _packed(address(n))
        frame = b"\xff" * 6 + _ETHERNET[6:] + b"\x08\x06" + body
        yield n * 20 * US, frame, len(frame)


def resets() -> Iterator[Packet]:
    """100 000 refused connections from one client to a thousand ports."""
    for n in range(100_000):
        ports = (1_024 + n % 60_000, 1 + n % 1_000)
        yield n * 20 * US, (frame := tcp(address(7), POD, ports, 1, 0, SYN)), len(frame)
        yield n * 20 * US + 10, (frame := tcp(POD, address(7), ports[::-1], 0, 2, RST | ACK)), len(frame)


def one_moment() -> Iterator[Packet]:
    """40 000 connections, some whole, some refused, some never answered, whose frames all carry one timestamp."""
    for n in range(40_000):
        source, ports = address(n // 20_000 + 300), (1_024 + n % 60_000, 8080)
        yield 0, (frame := tcp(source, POD, ports, 1, 0, SYN)), len(frame)
        if n % 3 == 0:
            yield 0, (frame := tcp(POD, source, ports[::-1], 0, 2, RST | ACK)), len(frame)
        if n % 3 == 1:
            for _, frame, length in probe(0, address(n % 50), ports[0]):
                yield 0, frame, length


def pcap(packets: Iterator[Packet]) -> Iterator[bytes]:
    """Write packets as a pcap with nanoseconds; a time that no pcap can hold becomes one that it can."""
    yield PCAP_NS
    for at, frame, length in packets:
        ns = min(max(EPOCH + at, 0), (2**32 - 1) * S)
        yield struct.pack("<IIII", ns // S, ns % S, len(frame), max(length, len(frame))) + frame


def zip_bomb() -> Iterator[bytes]:
    """Yield a gzip of 100 MB of one frame's nothing, in 100 kB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    frame = struct.pack("<IIII", EPOCH // S, 0, 60_000, 60_000) + bytes(60_000)
    yield squeeze.compress(PCAP_NS)
    for _ in range(1_700):
        yield squeeze.compress(frame)
    yield squeeze.flush()


class Attack(NamedTuple):
    """A stream of bytes, and what of it may be damaged."""

    stream: Callable[[], Iterator[bytes]]
    status: tuple[int, ...] = (0,)
    """Exit statuses that are right."""
    peak_mb: int = 120
    """docs/design.md, section 8, and docs/limits.md: memory for table and ndjson, whatever comes in."""


ATTACKS: Final[dict[str, Attack]] = {
    **{
        made.__name__: Attack(lambda made=made: pcap(made()))  # type: ignore[misc]
        for made in (
            syn_flood, idle_connections, endless_connection, endless_headers, overlapping_segments, fragment_bombs,
            probe_per_millisecond, clock_jumps, resolution_flood, resets, one_moment, ten_thousand_pods,
        )
    },
    "zip_bomb": Attack(zip_bomb),
}  # fmt: skip
"""Every attack by its name."""
