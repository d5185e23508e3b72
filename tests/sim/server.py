# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""What a pod does over time: its way, its ports, its answers.

A `Plan` is written in absolute seconds of the scenario for what the network does, and in seconds of a container's life for what the program does.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from clock import MS, US, Process, S, Sim, Task, Wait
from hpack import Encoder
from wire import Flow, Net


@dataclass(frozen=True)
class Answer:
    """How a program answers.

    `kind`: status, stall, reset-head, reset-body, close-body, stall-body, reset-now, close-now, close-head, big, chunked, dribble, continue, http10, no-length,
    redirect-same, redirect-other, redirect-loop, redirect-port, serving, not-serving, unknown-service, garbage.
    """

    kind: str = "status"
    status: int = 200
    delay_s: float = 0.0
    size: int = 3
    port: int = 0


OK = Answer()


@dataclass(frozen=True)
class Phase:
    """From a moment on (seconds; a container's age, or the scenario's time), one thing is so. Path `*` means all."""

    since: float
    answer: Answer
    path: str = "*"


@dataclass(frozen=True)
class Listener:
    """One port of one container: open from an age to another."""

    port: int
    answers: tuple[Phase, ...] = (Phase(0, OK),)
    opens: float = 0.0
    shuts: tuple[tuple[float, float], ...] = ()
    """Absolute seconds between which the port is closed although the program runs."""
    by_age: bool = False
    """Moments of `answers` are ages of the container, not absolute."""
    flavour: str = "go"
    """go, python (closes first), nginx; or grpc, hang (never reads), banner (speaks first)."""


@dataclass(frozen=True)
class Way:
    """Between two moments the way is not open: drop, icmp, arp, deaf."""

    since: float
    until: float
    kind: str


@dataclass
class Instance:
    """A running container."""

    name: str
    id: str
    born: int
    listeners: Sequence[Listener]
    alive: bool = True
    flows: list[tuple[Flow, Task]] = field(default_factory=list)


class Server:
    """The pod's programs and the way to them."""

    def __init__(self, sim: Sim, net: Net, ways: Sequence[Way]) -> None:
        self.sim, self.net, self.ways = sim, net, ways
        self.instances: list[Instance] = []
        for way in ways:
            if way.kind == "arp":
                sim.at(int(way.since * S), lambda way=way: net.neighbour.dead(int(way.until * S)))

    def _broken(self) -> Way | None:
        return next((way for way in self.ways if int(way.since * S) <= self.sim.now < int(way.until * S)), None)

    def way_until(self) -> int:
        """Return when the present fault ends."""
        way = self._broken()
        return int(way.until * S) if way else self.sim.now

    def listener(self, port: int) -> tuple[Instance, Listener] | None:
        """Return who listens on a port now."""
        for one in self.instances:
            if one.alive:
                for listener in one.listeners:
                    if listener.port == port and self.sim.now - one.born >= int(listener.opens * S):
                        if any(int(a * S) <= self.sim.now < int(b * S) for a, b in listener.shuts):
                            continue
                        return one, listener
        return None

    def way(self, port: int) -> str:
        """Say what a SYN to a port meets now."""
        broken = self._broken()
        if broken is not None and broken.kind != "deaf":
            return broken.kind
        if self.listener(port) is None:
            return "closed"
        return "deaf" if broken is not None else "open"

    def accept(self, flow: Flow) -> None:
        """Let the program have a connection."""
        found = self.listener(flow.ports[1])
        if found is None:  # It ended since the SYN-ACK: its kernel knows of no such connection.
            self.sim.at(self.sim.now + self.sim.about(12 * US, 0.4), flow.refuse)
            return
        instance, listener = found
        instance.flows = [(f, t) for f, t in instance.flows if not f.dead and not (f.closed[0] and f.closed[1])]
        instance.flows.append((flow, self.sim.spawn(self._serve(instance, listener, flow))))

    def die(self, instance: Instance) -> None:
        """End a program: its kernel closes every socket."""
        instance.alive = False
        for flow, task in instance.flows:
            task.kill()
            flow.close(1)

    def _answer(self, instance: Instance, listener: Listener, path: str) -> Answer:
        now = (self.sim.now - instance.born if listener.by_age else self.sim.now) / S
        fitting = [p for p in listener.answers if p.since <= now and p.path in ("*", path)]
        return fitting[-1].answer if fitting else OK

    def asked(self, port: int, path: str) -> Answer | None:
        """Return what a program would answer now; None where none runs that has this port."""
        for one in self.instances:
            for listener in one.listeners:
                if one.alive and listener.port == port:
                    return self._answer(one, listener, path)
        return None

    def _serve(self, instance: Instance, listener: Listener, flow: Flow) -> Process:
        sim = self.sim
        yield sim.about(60 * US, 0.5)
        if listener.flavour == "hang":
            yield Wait()
        if listener.flavour == "banner":
            flow.data(1, b"220 mail ESMTP ready\r\n")
        if listener.flavour == "grpc":
            yield from self._grpc(instance, listener, flow)
            return
        request = b""
        while True:
            while flow.inbox[1]:
                item = flow.inbox[1].pop(0)
                if item == "RST":
                    return
                if item == "FIN":
                    yield sim.about(400 * US, 0.5)
                    flow.close(1)
                    return
                assert isinstance(item, bytes)
                request += item
            if request:
                break
            answer = self._answer(instance, listener, "")
            if answer.kind in ("reset-now", "close-now") and listener.flavour != "banner":
                yield sim.about(150 * US, 0.5)
                flow.inbox[1].clear()
                if answer.kind == "reset-now":
                    flow.reset(1)
                else:
                    flow.close(1)
                return
            if not flow.inbox[1]:
                yield Wait(flow.news[1])
        if request.startswith((b"\x16\x03", b"PRI ")):
            yield sim.about(250 * US, 0.4)
            text = b"400 Bad Request"
            flow.data(1, b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + text)
            yield sim.about(60 * US, 0.5)
            flow.inbox[1].clear()
            flow.close(1)
            return
        path = request.split(b" ", 2)[1].decode("latin-1") if b" " in request else ""
        yield from self._http(flow, self._answer(instance, listener, path), path, listener)

    def _http(self, flow: Flow, answer: Answer, path: str, listener: Listener) -> Process:
        sim = self.sim
        yield sim.about(300 * US, 0.5)
        if answer.kind == "stall":
            yield Wait()
        if answer.delay_s:
            yield int(answer.delay_s * S)
        kind = answer.kind
        body = b"x" * answer.size
        reason = b"OK" if answer.status == 200 else b"Found" if answer.status == 302 else b"Service Unavailable"
        top = b"HTTP/1.1 %d %s\r\n" % (answer.status, reason)
        fields = b"Date: Sun, 22 Nov 2026 20:10:03 GMT\r\nConnection: close\r\n"
        if kind == "close-head" or kind == "reset-head":
            flow.data(1, top + b"Content-Le")
            yield 50 * MS
            flow.inbox[1].clear()
            if kind == "reset-head":
                flow.reset(1)
            else:
                flow.close(1)
            return
        if kind in ("reset-body", "close-body", "stall-body"):
            flow.data(1, top + fields + b"Content-Length: 5000\r\n\r\n" + b"x" * 1900)
            if kind == "stall-body":
                yield Wait()
            yield sim.about(50 * MS, 0.02)
            if kind == "reset-body":
                flow.reset(1)
            else:
                flow.close(1)
            return
        if kind == "garbage":
            flow.data(1, b"SSH-2.0-OpenSSH_9.2\r\nnonsense\r\n")
        elif kind.startswith("redirect"):
            host = f"[{self.net.pod}]" if self.net.v6 else self.net.pod
            where = {"redirect-same": "/ok", "redirect-loop": "/again", "redirect-other": "http://example.com/ok",
                     "redirect-port": f"http://{host}:{answer.port}/ok"}[kind]
            if kind == "redirect-same" and path == "/ok":
                flow.data(1, b"HTTP/1.1 %d OK\r\n" % answer.status + fields + b"Content-Length: 3\r\n\r\nok\n")
            else:
                flow.data(1, b"HTTP/1.1 302 Found\r\nLocation: " + where.encode() + b"\r\n" + fields + b"Content-Length: 0\r\n\r\n")
        elif kind == "big":
            whole = top + fields + b"Content-Length: %d\r\n\r\n" % 60000 + b"x" * 60000
            at = 0
            for size in (7240, 7240, 14480, 21720, 60000):
                flow.data(1, whole[at:at + size])
                at += size
                yield 20 * US
                if at >= len(whole):
                    break
        elif kind == "chunked":
            flow.data(1, top + fields + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(3):
                yield sim.about(150 * US, 0.5)
                flow.data(1, b"5\r\nhello\r\n")
            yield sim.about(150 * US, 0.5)
            flow.data(1, b"0\r\n\r\n")
        elif kind == "dribble":
            whole = top + fields + b"Content-Length: 3\r\n\r\nok\n"
            for byte in range(0, len(whole), 8):
                flow.data(1, whole[byte:byte + 8])
                yield 10 * MS
        elif kind == "continue":
            flow.data(1, b"HTTP/1.1 100 Continue\r\n\r\n")
            yield 20 * MS
            flow.data(1, top + fields + b"Content-Length: 3\r\n\r\nok\n")
        elif kind == "http10":
            flow.data(1, b"HTTP/1.0 %d OK\r\nServer: SimpleHTTP\r\n\r\n" % answer.status + body)
            yield sim.about(50 * US, 0.3)
            flow.close(1)
            return
        else:
            flow.data(1, top + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        first = {"python": 1.0, "nginx": 0.8}.get(listener.flavour, 0.6)
        yield sim.about(25 * US, 0.3) if sim.random.random() < first else sim.about(900 * US, 0.3)
        if not flow.dead:
            flow.inbox[1] = [item for item in flow.inbox[1] if not isinstance(item, bytes)]
            flow.close(1)

    def _grpc(self, instance: Instance, listener: Listener, flow: Flow) -> Process:
        """Speak HTTP/2 as a gRPC server does (the frames of the measured server)."""
        sim = self.sim
        early = sim.random.random() < 0.5
        settings = h2(4, 0, 0, struct.pack("!HIHI", 4, 4194304, 5, 4194304))
        if early:
            yield sim.about(500 * US, 0.5)
            flow.data(1, settings + h2(8, 0, 0, struct.pack("!I", 4128769)))
        got = b""
        acked = answered = False
        while True:
            while flow.inbox[1]:
                item = flow.inbox[1].pop(0)
                if item == "RST":
                    return
                if item == "FIN":
                    yield sim.about(300 * US, 0.5)
                    flow.close(1)
                    return
                assert isinstance(item, bytes)
                got += item
            if got.startswith(b"PRI ") and not early:
                early = True
                yield sim.about(200 * US, 0.5)
                flow.data(1, settings + h2(8, 0, 0, struct.pack("!I", 4128769)))
            if len(got) > 33 and not acked:
                acked = True
                yield sim.about(100 * US, 0.5)
                flow.data(1, h2(4, 1, 0, b""))
            if b"Q-DATA" in got.replace(DATA_MARK, b"Q-DATA") and not answered:
                answered = True
                service = got[got.index(DATA_MARK) + len(DATA_MARK):]
                name = service[7:].decode("latin-1") if len(service) > 5 else ""
                answer = self._answer(instance, listener, name)
                yield sim.about(150 * US, 0.4)
                if answer.kind == "stall":
                    continue
                if answer.delay_s:
                    yield int(answer.delay_s * S)
                encoder = Encoder()
                head = [(":status", "200"), ("content-type", "application/grpc")]
                if answer.kind == "unknown-service":
                    fields = encoder.encode([*head, ("grpc-status", "5"), ("grpc-message", "unknown service")], huffman=False)
                    flow.data(1, h2(8, 0, 0, struct.pack("!I", 7)) + h2(6, 0, 0, b"\2\4\x10\x10\x09\x0e\7\7") + h2(1, 5, 1, fields))
                else:
                    body = b"\0\0\0\0\2\x08" + (b"\2" if answer.kind == "not-serving" else b"\1")
                    flow.data(1, h2(8, 0, 0, struct.pack("!I", 7)) + h2(6, 0, 0, b"\2\4\x10\x10\x09\x0e\7\7"))
                    yield sim.about(40 * US, 0.4)
                    flow.data(1, h2(1, 4, 1, encoder.encode(head, huffman=False)) + h2(0, 0, 1, body)
                              + h2(1, 5, 1, encoder.encode([("grpc-status", "0"), ("grpc-message", "")], huffman=False)))
                continue
            if not flow.inbox[1]:
                yield Wait(flow.news[1])


def h2(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Build an HTTP/2 frame."""
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


DATA_MARK = b"\0\1\0\0\0\1"
"""Type, flags (END_STREAM) and stream of the request's DATA frame, as they follow its length."""
