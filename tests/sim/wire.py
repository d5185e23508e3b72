# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""Packets of probes as they look at the host side of a pod's veth, and the kernels' part in making them.

Measured delays and forms: handshakes within 10-40 us, data acknowledged at once, a FIN that nobody reads after 40 ms (delayed ACK), SYNs retransmitted
about 1 s apart four times and then in doubling steps (kernel 6.5 and newer; 1, 3, 7, 15 s before), even source ports in even steps, TTL 64, a
random TSval offset for each connection. Closed ports answer RST,ACK; a closed client socket answers late data with a bare RST.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from clock import MS, US, Process, S, Signal, Sim, Task

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
EPOCH = 1_795_378_200 * S
NODE_MAC, POD_MAC = bytes.fromhex("0a58 0a80 0001".replace(" ", "")), bytes.fromhex("ba7bfdb47c75")
NEW_KERNEL = (1.02, 2.045, 3.07, 4.095, 5.125, 7.137, 11.17, 19.36, 35.75, 68.5)
OLD_KERNEL = (1.02, 3.04, 7.1, 15.3, 31.5, 64.5)
"""Seconds after the first SYN at which it is sent again."""


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class Tape:
    """The capture in the making."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)

    def put(self, ns: int, frame: bytes) -> None:
        """Record a frame."""
        self.frames.append((ns, frame))

    def pcap(self, since: int = 0, until: int | None = None, *, snaplen: int = 262144, places: int = 1, wall: Callable[[int], int] = int) -> bytes:
        """Return the file, of frames from a moment on (ns since the simulation began), as the wall clock stamps them.

        At two places each frame is there twice, microseconds apart, in Linux cooked form (SLL2), as `tcpdump -i any` sees bridge and veth.
        """
        out = [struct.pack("!IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, 1 if places == 1 else 276)]
        last = -1
        for ns, frame in sorted(self.frames, key=lambda entry: entry[0]):
            if ns < since or (until is not None and ns > until):
                continue
            for place in range(places):
                last = max(ns + place * 2000, last + 1000)
                stamp = EPOCH + wall(last)
                data = frame
                if places > 1:
                    # From the node: out at the bridge, out at the veth; from the pod the other way round.
                    outgoing = frame[6:12] == NODE_MAC
                    interface = 5 + (place if outgoing else 1 - place)
                    data = frame[12:14] + struct.pack("!HIHBB", 0, interface, 1, 4 if outgoing else 0, 6) + frame[6:12] + b"\0\0" + frame[14:]
                out.append(struct.pack("!IIII", stamp // S, stamp % S, min(len(data), snaplen), len(data)) + data[:snaplen])
        return b"".join(out)


class Net:
    """Addresses, ports, and the state of the way to the pod."""

    def __init__(self, sim: Sim, *, v6: bool, new_kernel: bool, host_network: bool = False) -> None:
        self.sim, self.tape, self.v6 = sim, Tape(), v6
        self.schedule = NEW_KERNEL if new_kernel else OLD_KERNEL
        self.node, self.pod = ("fd00:10:128::1", "fd00:10:128::10") if v6 else ("10.128.0.1", "10.128.0.10")
        if host_network:
            self.pod = self.node = "fd00:192:168::11" if v6 else "192.168.10.11"
        self.local = host_network
        self.node_raw, self.pod_raw = ipaddress.ip_address(self.node).packed, ipaddress.ip_address(self.pod).packed
        self.port = sim.random.randrange(32768, 60998, 2)
        self.ident = sim.random.randrange(65536)
        self.neighbour = Neighbour(self)
        self.busy: set[int] = set()

    def next_port(self) -> int:
        """Return the node's next source port: even, in even steps, mostly upwards."""
        chance = self.sim.random
        while True:
            step = 2 * chance.randint(1, 8)
            if chance.random() < 0.07:
                step = -2 * chance.randint(1, 200)
            elif chance.random() < 0.1:
                step = 2 * chance.randint(8, 80)
            self.port += step
            if not 32768 <= self.port <= 60998:
                self.port = 32768 + 2 * chance.randint(0, 2000)
            if self.port not in self.busy:
                self.busy.add(self.port)
                return self.port

    def ip(self, *, to_pod: bool, protocol: int, payload: bytes) -> bytes:
        """Wrap in IP and Ethernet."""
        source, destination = (self.node_raw, self.pod_raw) if to_pod else (self.pod_raw, self.node_raw)
        macs = bytes(12) if self.local else POD_MAC + NODE_MAC if to_pod else NODE_MAC + POD_MAC
        if self.v6:
            return macs + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload
        self.ident = (self.ident + 1) & 0xFFFF
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), self.ident, 0x4000, 64, protocol, 0, source, destination)
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return macs + b"\x08\x00" + head + payload

    def pseudo(self, *, to_pod: bool, protocol: int, payload: bytes) -> int:
        """Return a checksum with pseudo header."""
        ends = self.node_raw + self.pod_raw if to_pod else self.pod_raw + self.node_raw
        tail = struct.pack("!IHBB", len(payload), 0, 0, protocol) if self.v6 else struct.pack("!BBH", 0, protocol, len(payload))
        return checksum(ends + tail + payload)

    def reject(self, packet: bytes) -> None:
        """Record the pod side's ICMP error about a packet (with its link header)."""
        cited = packet[14:14 + 68]
        kind, protocol = ((1, 1), 58) if self.v6 else ((3, 10), 1)
        body = struct.pack("!BBHI", *kind, 0, 0) + cited
        value = self.pseudo(to_pod=False, protocol=58, payload=body) if self.v6 else checksum(body)
        body = body[:2] + struct.pack("!H", value) + body[4:]
        self.tape.put(self.sim.now, self.ip(to_pod=False, protocol=protocol, payload=body))

    def who_has(self, *, reply: bool) -> None:
        """Record an ARP or ND request for the pod, or its answer."""
        if not self.v6:
            if reply:
                arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 2) + POD_MAC + self.pod_raw + NODE_MAC + self.node_raw
                self.tape.put(self.sim.now, NODE_MAC + POD_MAC + b"\x08\x06" + arp)
            else:
                arp = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + NODE_MAC + self.node_raw + bytes(6) + self.pod_raw
                self.tape.put(self.sim.now, b"\xff" * 6 + NODE_MAC + b"\x08\x06" + arp)
            return
        group = bytes.fromhex("ff0200000000000000000001ff") + self.pod_raw[13:]
        if reply:
            body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + self.pod_raw + b"\x02\x01" + POD_MAC
            source, destination, macs = self.pod_raw, self.node_raw, NODE_MAC + POD_MAC
        else:
            body = struct.pack("!BBHI", 135, 0, 0, 0) + self.pod_raw + b"\x01\x01" + NODE_MAC
            source, destination, macs = self.node_raw, group, b"\x33\x33\xff" + self.pod_raw[13:] + NODE_MAC
        value = checksum(source + destination + struct.pack("!IHBB", len(body), 0, 0, 58) + body)
        body = body[:2] + struct.pack("!H", value) + body[4:]
        self.tape.put(self.sim.now, macs + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + destination + body)

    def noise(self) -> None:
        """Record what a fresh veth says by itself: router solicitations."""
        if self.local:
            return
        link = bytes.fromhex("fe80000000000000b87bfdfffeb47c75")
        group = bytes.fromhex("ff020000000000000000000000000002")
        body = struct.pack("!BBHI", 133, 0, 0, 0) + b"\x01\x01" + POD_MAC
        value = checksum(link + group + struct.pack("!IHBB", len(body), 0, 0, 58) + body)
        body = body[:2] + struct.pack("!H", value) + body[4:]
        frame = bytes.fromhex("333300000002") + POD_MAC + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + link + group + body
        self.tape.put(self.sim.now, frame)


class Neighbour:
    """The node's neighbour entry for the pod: three requests a second apart, then EHOSTUNREACH for all who wait."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.known = net.local
        self.dead_until = 0
        self.failed: Signal | None = None
        self.found: Signal | None = None

    def dead(self, until: int) -> None:
        """Let the pod answer no request until a moment, and forget its address."""
        self.known, self.dead_until = False, until

    def resolve(self) -> tuple[Signal, Signal]:
        """Start or join a resolution; return what fires when the pod answers and when the kernel gives up."""
        if self.found is None or self.failed is None:
            self.found, self.failed = Signal(latched=True), Signal(latched=True)
            self.net.sim.spawn(self._ask(self.found, self.failed))
        return self.found, self.failed

    def _ask(self, found: Signal, failed: Signal) -> Process:
        sim = self.net.sim
        for _ in range(3):
            self.net.who_has(reply=False)
            if sim.now >= self.dead_until:
                yield sim.about(30 * US, 0.2)
                self.net.who_has(reply=True)
                yield 7 * US
                self.known, self.found, self.failed = True, None, None
                found.fire()
                return
            yield int(1.016 * S) + sim.random.randrange(9 * MS)
        self.found, self.failed = None, None
        failed.fire()


class Flow:
    """One TCP connection. `side` 0 is the node, 1 the pod."""

    def __init__(self, net: Net, port: int) -> None:
        self.net, self.sim = net, net.sim
        chance = net.sim.random
        self.ports = (net.next_port(), port)
        self.isn = [chance.getrandbits(32), chance.getrandbits(32)]
        self.next = [self.isn[0], self.isn[1]]
        self.seen = [0, self.isn[0]]
        """The next number that a side expects: of the pod's by the node, of the node's by the pod."""
        self.offset = [chance.getrandbits(31), chance.getrandbits(31)]
        self.last_ts = [0, 0]
        self.dialed = Signal(latched=True)
        """ok, refused, unreachable or no-route."""
        self.inbox: list[list[bytes | str]] = [[], []]
        """What each side's program can read: bytes, `FIN`, `RST`."""
        self.news = (Signal(), Signal())
        self.closed = [False, False]
        """The program closed its socket."""
        self.dead = False
        self.abandoned = False
        """The dial was cancelled: the kernel sends no SYN more."""
        self.zombie = False
        """Nobody waits for the dial any more, but it was not cancelled (net/http of Go 1.23 and newer)."""
        self.established = False
        self.fin_acked = Signal(latched=True)
        """The pod acknowledged the node's FIN."""
        self.deaf = False
        """The pod's kernel gets nothing of what the node sends after the handshake."""
        self.first_syn: int | None = None
        self.sent = [0, 0]
        self._pending = [0, 0]

    def emit(self, side: int, flags: int, payload: bytes = b"", *, seq: int | None = None, again: bool = False) -> bytes:
        """Record one segment; numbers count on unless it is sent again."""
        number = self.next[side] if seq is None else seq
        if not again and not flags & RST:
            self.next[side] = (number + len(payload) + bool(flags & SYN) + bool(flags & FIN)) & 0xFFFFFFFF
            if not (side == 0 and self.deaf):
                self.seen[1 - side] = self.next[side]
        stamp = (self.offset[side] + self.sim.now // MS) & 0xFFFFFFFF
        bare = flags == RST
        options = b""
        if flags & SYN:
            mss = 1440 if self.net.v6 else 1460
            options = struct.pack("!BBHBBBBIIBBB", 2, 4, mss, 4, 2, 8, 10, stamp, self.last_ts[1 - side] if side else 0, 1, 3, 3) + b"\x0a"
        elif not bare and not (flags & RST and not self.established):
            options = struct.pack("!BBBBII", 1, 1, 8, 10, stamp, self.last_ts[1 - side])
        self.last_ts[side] = stamp
        ack = self.seen[side] if flags & ACK else 0
        window = (65160 if side else 64240) if flags & SYN else 0 if flags & RST and (bare or not self.established) else 63 + side
        head = struct.pack("!HHIIBBHHH", self.ports[side], self.ports[1 - side], number, ack, (20 + len(options)) // 4 << 4, flags, window, 0, 0)
        segment = head + options + payload
        value = self.net.pseudo(to_pod=side == 0, protocol=6, payload=segment)
        segment = segment[:16] + struct.pack("!H", value) + segment[18:]
        frame = self.net.ip(to_pod=side == 0, protocol=6, payload=segment)
        self.net.tape.put(self.sim.now, frame)
        self.sent[side] += 1
        if flags & RST:
            self.dead = True
        return frame

    def give(self, side: int, what: bytes | str) -> None:
        """Hand something to the program at the other end of `side`."""
        self.inbox[1 - side].append(what)
        self.news[1 - side].fire()

    def acknowledge(self, side: int, delay: int) -> None:
        """Let a side's kernel acknowledge soon, unless it says something else before."""
        before = self.sent[side]

        def ack() -> None:
            if self.sent[side] == before and not self.dead:
                self.emit(side, ACK)
                if side == 1 and self.closed[0]:
                    self.fin_acked.fire()

        self.sim.at(self.sim.now + delay, ack)

    def data(self, side: int, payload: bytes) -> None:
        """Send data that the other side's kernel acknowledges at once."""
        if self.dead or self.closed[side]:
            return
        self.emit(side, PSH | ACK, payload)
        if side == 1 and self.closed[0]:
            self.sim.at(self.sim.now + self.sim.about(20 * US, 0.3), self._refuse_late)
            return
        if side == 0 and self.deaf:
            self.sim.spawn(self._retransmit(payload, (self.next[0] - len(payload)) & 0xFFFFFFFF))
            return
        self.acknowledge(1 - side, self.sim.about(12 * US, 0.4))
        self.give(side, payload)

    def _refuse_late(self) -> None:
        if not self.dead:
            self.emit(0, RST)
            self.give(0, "RST")

    def refuse(self) -> None:
        """Answer the node's ACK for a connection that nobody has."""
        if not self.dead:
            self.closed[1] = True
            self.emit(1, RST)
            self.give(1, "RST")

    def _retransmit(self, payload: bytes, seq: int) -> Process:
        pause = 0.2
        while pause < 60 and not self.dead:
            yield int(pause * S) + self.sim.random.randrange(20 * MS)
            self.emit(0, PSH | ACK, payload, seq=seq, again=True)
            pause *= 2

    def close(self, side: int) -> None:
        """Close a program's socket: FIN, or RST where something lies unread."""
        if self.dead or self.closed[side]:
            return
        self.closed[side] = True
        unread = any(isinstance(item, bytes) for item in self.inbox[side])
        if unread:
            self.emit(side, RST | ACK)
            self.give(side, "RST")
            return
        self.emit(side, FIN | ACK)
        if side == 0 and self.deaf:
            return
        if side == 1 and self.closed[0]:
            self.fin_acked.fire()
            self.sim.at(self.sim.now + self.sim.about(14 * US, 0.3), lambda: self.dead or self.emit(0, ACK))
        elif self.closed[1 - side]:
            self.sim.at(self.sim.now + self.sim.about(14 * US, 0.3), lambda: self.dead or self.emit(1 - side, ACK))
            if side == 0:
                self.fin_acked.fire()
        else:
            self.acknowledge(1 - side, 41 * MS + self.sim.random.randrange(1000 * US))
        self.give(side, "FIN")

    def reset(self, side: int) -> None:
        """Abort."""
        if not self.dead:
            self.closed[side] = True
            self.emit(side, RST | ACK)
            self.give(side, "RST")


def dial(flow: Flow, server: object) -> Process:
    """Run the kernel's part of connect(): resolve, SYN, retransmit, until answered, refused, or cancelled.

    `server` says what the way and the port are like at a moment: open, closed, drop, icmp (see server.py).
    """
    net, sim = flow.net, flow.sim
    sent = 0
    while not flow.abandoned:
        if not net.neighbour.known:
            found, failed = net.neighbour.resolve()
            from clock import Wait
            fired = yield Wait(found, failed)
            if fired is failed:
                flow.dialed.fire("no-route")
                return
            if flow.abandoned:
                return
        way = server.way(flow.ports[1])  # type: ignore[attr-defined]
        if way == "arp":
            net.neighbour.dead(server.way_until())  # type: ignore[attr-defined]
            continue
        seq = flow.isn[0] if sent else None
        packet = flow.emit(0, SYN, seq=seq, again=sent > 0)
        if flow.first_syn is None:
            flow.first_syn = sim.now
        sent += 1
        if way == "closed":
            yield sim.about(14 * US, 0.4)
            flow.emit(1, RST | ACK, seq=0)
            flow.dialed.fire("refused")
            return
        if way == "icmp":
            yield sim.about(40 * US, 0.6, 90 * US)
            net.reject(packet)
            # Over IPv6 the error of the same machine finds connect(2) at work, and ends nothing; that of a SYN sent again does (Linux 6.18).
            if not net.v6 or sent > 1:
                flow.dialed.fire("unreachable")
                return
        if way in ("open", "deaf"):
            yield sim.about(20 * US, 0.3)
            flow.emit(1, SYN | ACK)
            yield sim.about(17 * US, 0.3)
            flow.established = True
            flow.emit(0, ACK)
            flow.deaf = way == "deaf"
            server.accept(flow)  # type: ignore[attr-defined]
            flow.dialed.fire("ok")
            if flow.zombie or flow.abandoned:
                yield sim.about(300 * US, 0.5)
                flow.close(0)
            return
        if sent > len(net.schedule):
            flow.dialed.fire("timeout")
            return
        yield flow.first_syn + int(net.schedule[sent - 1] * S) + sim.random.randrange(8 * MS) - sim.now


__all__ = ["ACK", "EPOCH", "FIN", "MS", "PSH", "RST", "SYN", "Flow", "Net", "Tape", "Task", "dial"]
