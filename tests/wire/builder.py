"""Write conversations by hand: a script, one segment a line, becomes `Segment`s.

    conversation("10.0.0.1:40000 > 10.0.0.2:80", '''
        > S
        < SA
        +40ms > A
        > PA 'GET / HTTP/1.1'
        < A
    ''')

A line is `[+pause] direction flags [name=value ...] ['payload']`. Pauses are ns, us, ms or s and default to 100us. Flags are
letters of SAFRPU. Sequence and acknowledgment numbers count on by themselves; `seq=` and `ack=` set them for one line,
relative to the initial ones (the SYN is 0). Other names: `len` (on the wire, where the payload was cut or does not matter),
`win`, `id` (IP id), `ts` (TSval), `mss`, `ttl`, `on` (a lane's name). `isn=` gives a side a new initial number from here on.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Sequence

from probewatch.model.connection import Connection, Unresolved
from probewatch.model.frame import Mark
from probewatch.model.units import MS, US
from probewatch.model.units import SECOND as S
from probewatch.wire.packets import ACK, FIN, PSH, RST, SYN, URG, IcmpError, Lane, Neighbour, Segment
from probewatch.wire.tcp import Limits, Tracker

NS = 1
EPOCH = 1_795_378_200 * S
UNITS = {"ns": NS, "us": US, "ms": MS, "s": S}
FLAGS = {"S": SYN, "A": ACK, "F": FIN, "R": RST, "P": PSH, "U": URG}
V4 = "10.0.0.1:40000 > 10.0.0.2:80"
V6 = "[fd00::1]:40000 > [fd00::2]:80"
ISNS = (1000, 5000)
LIMITS = Limits()

Packet = Segment | IcmpError | Neighbour


def lane(
    interface: int = 0, ifindex: int = -1, packet_type: int = -1, *, tunnel: str = "", outer: str = "", to: bytes = b"\x02\0\0\0\0\2"
) -> Lane:
    """Build a lane; Ethernet unless a packet type makes it cooked."""
    return Lane(interface, ifindex, packet_type, b"\x02\0\0\0\0\1", b"" if packet_type >= 0 else to, -1, tunnel, outer)


WIRE = lane()


def duration(text: str) -> int:
    """Read `40ms`."""
    number, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()  # type: ignore[union-attr]
    return round(float(number) * UNITS[unit])


def ends(text: str) -> tuple[tuple[str, int], tuple[str, int]]:
    """Read `10.0.0.1:1 > [::1]:2`."""
    a, b = ((part.strip("[] "), int(port)) for part, port in (side.rsplit(":", 1) for side in text.split(">")))
    return a, b


def conversation(
    between: str,
    script: str,
    *,
    start: int = EPOCH,
    isns: tuple[int, int] = ISNS,
    lanes: dict[str, Lane] | None = None,
    file: int = 0,
    number: int = 1,
) -> list[Segment]:
    """Build the segments of a script."""
    sides = ends(between)
    isn = list(isns)
    nxt = list(isns)
    now, ident = start, 0
    out: list[Segment] = []
    v6 = ":" in sides[0][0]
    for line in script.strip().splitlines():
        words = shlex.split(line, comments=True, posix=False)
        if not words:
            continue
        pause = words.pop(0)[1:] if words[0].startswith("+") else "100us"
        now += duration(pause)
        me = 0 if words.pop(0) == ">" else 1
        flags = sum(FLAGS[letter] for letter in words.pop(0))
        payload = b""
        names: dict[str, str] = {}
        for word in words:
            if word[0] in "'\"":
                payload = ast.literal_eval("b" + word)
            else:
                name, _, value = word.partition("=")
                names[name] = value
        if "isn" in names:
            isn[me] = nxt[me] = int(names["isn"])
        length = int(names.get("len", len(payload)))
        seq = isn[me] + int(names["seq"]) if "seq" in names else nxt[me]
        ack = 0
        if flags & ACK:
            ack = isn[1 - me] + int(names["ack"]) if "ack" in names else nxt[1 - me]
        if "ack" in names and not flags & ACK:
            raise ValueError(line)
        size = length + bool(flags & SYN) + bool(flags & FIN)
        if not flags & RST:
            nxt[me] = max(nxt[me], seq + size) if "seq" in names else seq + size
        ident += 1
        out.append(
            Segment(
                mark=Mark(now, file, number + len(out)),
                lane=(lanes or {}).get(names.get("on", ""), WIRE),
                source=sides[me][0],
                destination=sides[1 - me][0],
                source_port=sides[me][1],
                destination_port=sides[1 - me][1],
                seq=seq & 0xFFFFFFFF,
                ack=ack & 0xFFFFFFFF,
                flags=flags,
                window=int(names.get("win", 0 if flags & RST else 64240)),
                payload=payload if "len" not in names or payload else bytes(length),
                length=length,
                ttl=int(names.get("ttl", 64)),
                ip_id=-1 if v6 else int(names.get("id", ident)),
                tsval=int(names.get("ts", (now - start) // MS)),
                tsecr=-1,
                mss=int(names.get("mss", 1460 if flags & SYN else 0)),
                checksum_ok=None,
            )
        )
    return out


def feed(tracker: Tracker, packets: Iterable[Packet]) -> None:
    """Give packets to a tracker, each by its kind."""
    for packet in packets:
        if isinstance(packet, Segment):
            tracker.segment(packet)
        elif isinstance(packet, IcmpError):
            tracker.icmp(packet)
        else:
            tracker.neighbour(packet)


def track(packets: Iterable[Packet], limits: Limits = LIMITS) -> list[Connection]:
    """Return the last revision of each connection that packets make, in the order of first frames."""
    tracker = Tracker(limits)
    last: dict[int, Connection] = {}
    for packet in packets:
        feed(tracker, [packet])
        for value in tracker.take():
            if isinstance(value, Connection):
                last[value.id] = value
    for value in tracker.finish():
        if isinstance(value, Connection):
            last[value.id] = value
    return [last[number] for number in sorted(last)]


def revisions(packets: Sequence[Packet], *, until: int = 0, limits: Limits = LIMITS) -> list[Connection | Unresolved]:
    """Return all that a tracker hands out while packets come and time goes on to `until` (ns after the last), without an end."""
    tracker = Tracker(limits)
    out: list[Connection | Unresolved] = []
    for packet in packets:
        tracker.advance(packet.mark.ns)
        out += tracker.take()
        feed(tracker, [packet])
        out += tracker.take()
    last = packets[-1].mark.ns
    for ns in range(last, last + until + 1, 10 * MS if until < S else 100 * MS):
        tracker.advance(ns)
        out += tracker.take()
    return out


def arp(
    asker: str, target: str, at: int, *, reply: bool = False, number: int = 1, to: bytes = b"\xff" * 6, on: Lane | None = None
) -> Neighbour:
    """Build a who-has (broadcast) or its answer, `at` ns after the epoch of the tests."""
    return Neighbour(Mark(EPOCH + at, 0, number), on or lane(to=to), not reply, asker, target, b"\x02\0\0\0\0\1")
