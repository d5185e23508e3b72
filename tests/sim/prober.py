# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""The client's side of one probe: pkg/probe/{http,tcp,grpc} with Go's net stack, as measured.

Each runs as a process and returns a `Verdict`: success, failure, or error (which the worker throws away after three tries).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from clock import MS, US, Process, S, Sim, Wait
from hpack import Encoder
from server import DATA_MARK, Server, h2
from wire import Flow, Net, dial


@dataclass(frozen=True)
class ProbeSpec:
    """A probe in a Pod spec. Units are seconds."""

    type: str
    handler: str = "httpGet"
    port: int = 8080
    path: str = "/ready"
    scheme: str = "HTTP"
    service: str = ""
    period: int = 2
    timeout: int = 1
    success: int = 1
    failure: int = 3
    delay: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    port_name: str = ""
    grace: int | None = None
    """terminationGracePeriodSeconds of the probe."""
    host: str = ""
    """Another address than the pod's: nothing of it is seen here."""

    @property
    def unseen(self) -> bool:
        """Whether it leaves no packet at the pod."""
        return self.handler == "exec" or bool(self.host)

    def manifest(self) -> dict[str, object]:
        """Return it as YAML has it."""
        action: dict[str, object] = {"port": self.port_name or self.port}
        if self.host:
            action["host"] = self.host
        if self.handler == "httpGet":
            action["path"] = self.path
            if self.scheme != "HTTP":
                action["scheme"] = self.scheme
            if self.headers:
                action["httpHeaders"] = [{"name": name, "value": value} for name, value in self.headers]
        elif self.handler == "grpc" and self.service:
            action["service"] = self.service
        elif self.handler == "exec":
            action = {"command": ["/bin/check", self.path]}
        numbers: dict[str, object] = {"periodSeconds": self.period, "timeoutSeconds": self.timeout, "successThreshold": self.success,
                                      "failureThreshold": self.failure, "initialDelaySeconds": self.delay}
        if self.grace is not None:
            numbers["terminationGracePeriodSeconds"] = self.grace
        return {self.handler: action, **numbers}


@dataclass
class Verdict:
    """What a probe returned."""

    result: str
    output: str = ""


@dataclass
class Node:
    """The kubelet's version and machine, as far as the wire shows them."""

    sim: Sim
    net: Net
    server: Server
    version: str
    tell: Callable[..., None]
    """Write a line of truth: tell(id, flow, error) for each dial that ended."""
    zombies: bool = True
    """Dials of dead attempts go on (Go 1.23 and newer)."""
    lingers: bool = True
    """A close waits for its FIN's acknowledgement (1.27 and newer)."""
    flows: list[tuple[int, Flow]] = field(default_factory=list)

    @property
    def minor(self) -> int:
        """Return the kubelet's minor version."""
        return int(self.version.split(".")[1].rstrip("+"))


def connect(node: Node, number: int, port: int, until: int) -> Process:
    """Dial; return (flow, how) with how None at the deadline."""
    flow = Flow(node.net, port)
    node.flows.append((number, flow))
    started = node.sim.now
    node.sim.spawn(dial(flow, node.server))
    fired = yield Wait(flow.dialed, until=until)
    if fired is None:
        def late(flow: Flow = flow) -> Process:
            yield Wait(flow.dialed)
            node.tell(number, flow, started)
        node.sim.spawn(late())
        return flow, None
    node.tell(number, flow, started)
    return flow, flow.dialed.value


def lingering(node: Node, flow: Flow) -> Process:
    """Close with SO_LINGER of a second: until the FIN is acknowledged."""
    if node.lingers:
        yield Wait(flow.fin_acked, until=node.sim.now + S)


def tcp(node: Node, spec: ProbeSpec, number: int) -> Process:
    """DoTCPProbe: dial, close."""
    sim = node.sim
    deadline = sim.now + spec.timeout * S
    yield sim.about(190 * US, 0.4, 20 * MS)
    flow, how = yield from connect(node, number, spec.port, deadline)
    if how != "ok":
        flow.abandoned = True
        yield sim.about(80 * US)
        return Verdict("failure", f"dial tcp: {how or 'i/o timeout'}")
    yield sim.about(250 * US, 0.6, 10 * MS)
    flow.close(0)
    if not flow.dead:
        yield from lingering(node, flow)
    return Verdict("success")


class _Reader:
    """Reads an answer as net/http does, as far as these answers go."""

    def __init__(self) -> None:
        self.bytes = b""
        self.ended = ""
        self.status = 0
        self.head = False
        self.whole = False
        self.enough = False
        self.location = ""
        self.bad = False

    def take(self, item: bytes | str) -> None:
        if isinstance(item, str):
            self.ended = item
        else:
            self.bytes += item
        rest = self.bytes
        if len(rest) >= 8 and not rest.startswith(b"HTTP/1."):
            self.bad = b"\n" in rest
            return
        while b"\r\n\r\n" in rest:
            head, rest = rest.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            self.status = int(lines[0].split()[1])
            if self.status < 200:
                continue
            fields = dict(line.lower().split(": ", 1) for line in lines[1:])
            self.head = True
            self.location = next((line.split(": ", 1)[1] for line in lines[1:] if line.lower().startswith("location")), "")
            if "content-length" in fields:
                size = int(fields["content-length"])
                self.whole = len(rest) >= size
                self.enough = size > 10240 and len(rest) > 10240
            elif fields.get("transfer-encoding") == "chunked":
                self.whole = rest.endswith(b"0\r\n\r\n")
            else:
                self.whole = self.ended == "FIN"
            return


def http(node: Node, spec: ProbeSpec, number: int) -> Process:
    """DoHTTPProbe, with redirects and one deadline for all."""
    sim = node.sim
    deadline = sim.now + spec.timeout * S + sim.about(300 * US, 0.4, 2 * MS)
    yield sim.about(250 * US, 0.4, 20 * MS)
    path, port, referer = spec.path, spec.port, ""
    host = f"[{node.net.pod}]" if node.net.v6 else node.net.pod
    for _ in range(10):
        flow, how = yield from connect(node, number, port, deadline)
        if how is None:
            flow.zombie = node.zombies
            flow.abandoned = not node.zombies
            return Verdict("failure", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        if how != "ok":
            yield sim.about(80 * US)
            return Verdict("failure", f"dial tcp: connect: {how}")
        yield sim.about(300 * US, 0.6, 10 * MS)
        request = asking(node, spec, path, f"{host}:{port}", referer)
        flow.data(0, client_hello(sim) if spec.scheme == "HTTPS" else request.encode())
        reader = _Reader()
        while True:
            while flow.inbox[0] and not (reader.whole or reader.enough or reader.bad):
                reader.take(flow.inbox[0].pop(0))
            if reader.whole or reader.enough or reader.bad or reader.ended:
                break
            fired = yield Wait(flow.news[0], until=deadline)
            if fired is None:
                yield sim.about(150 * US, 0.5)
                flow.inbox[0].clear()
                flow.close(0)
                yield from lingering(node, flow)
                yield sim.about(100 * US)
                return Verdict("error" if reader.head else "failure", "context deadline exceeded")
        yield sim.about(170 * US, 0.6, 10 * MS)
        if reader.ended != "RST":
            if reader.enough:
                flow.inbox[0].append(b"unread")
            else:
                flow.inbox[0] = [item for item in flow.inbox[0] if isinstance(item, str)]
            flow.close(0)  # in net/http's own goroutine: whoever read the body does not wait for it
        yield sim.about(60 * US)
        if spec.scheme == "HTTPS":
            return Verdict("failure", "http: server gave HTTP response to HTTPS client")
        if reader.bad or not reader.head:
            return Verdict("failure", "malformed HTTP response" if reader.bad else "EOF" if reader.ended == "FIN" else "connection reset by peer")
        if not (reader.whole or reader.enough):
            return Verdict("error", "unexpected EOF" if reader.ended == "FIN" else "read: connection reset by peer")
        if reader.status == 302 and reader.location:
            referer = f"http://{host}:{port}{path}"
            where = reader.location
            if where.startswith("/"):
                path = where
                continue
            if where.startswith(f"http://{host}:"):
                port, path = int(where.split(":")[-1].split("/")[0]), "/" + where.split("/", 3)[3]
                continue
            return Verdict("warning", "Probe terminated redirects")
        return Verdict("success" if 200 <= reader.status < 400 else "failure", f"HTTP probe statuscode: {reader.status}")
    return Verdict("failure", "stopped after 10 redirects")


def asking(node: Node, spec: ProbeSpec, path: str, host: str, referer: str) -> str:
    """Write the request: Host and User-Agent, the others by name, Connection last; up to 1.19 gzip and no Accept."""
    given = dict(spec.headers)
    agent = given.pop("User-Agent", f"kube-probe/{node.version}")
    others = [(name, value) for name, value in spec.headers if name not in ("Host", "User-Agent", "Accept")]
    accept = given.get("Accept", "*/*" if node.minor >= 20 else "")
    if accept:
        others.append(("Accept", accept))
    if referer:
        others.append(("Referer", referer))
    lines = [f"GET {path} HTTP/1.1", f"Host: {given.get('Host', host)}", *([f"User-Agent: {agent}"] if agent else []),
             *(f"{name}: {value}" for name, value in sorted(others, key=lambda one: one[0])),
             *([] if node.minor >= 20 else ["Accept-Encoding: gzip"]), "Connection: close"]
    return "\r\n".join(lines) + "\r\n\r\n"


def command(node: Node, spec: ProbeSpec, _: int) -> Process:
    """Run a command in the container: no packet. It answers what the port would."""
    yield node.sim.about(45 * MS, 0.3)
    answer = node.server.asked(spec.port, spec.path)
    if answer is None:
        return Verdict("error", "container not running")
    if answer.kind in ("stall", "stall-body") or answer.delay_s > spec.timeout:
        yield spec.timeout * S
        return Verdict("failure", "command timed out")
    if answer.kind == "status" and answer.status >= 400:
        return Verdict("failure", "exit 1")
    return Verdict("success")


def elsewhere(node: Node, _spec: ProbeSpec, _: int) -> Process:
    """Ask another host, which always answers: nothing of it is seen at the pod."""
    yield node.sim.about(2 * MS, 0.3)
    return Verdict("success")


def client_hello(sim: Sim) -> bytes:
    """Build the hello of a Go client: no SNI, ALPN h2 and http/1.1, TLS 1.3 and 1.2."""
    def extension(kind: int, body: bytes) -> bytes:
        return struct.pack("!HH", kind, len(body)) + body
    suites = bytes.fromhex("c02bc02fc02cc030cca9cca8c009c013c00ac014130113021303")
    extensions = (extension(11, b"\1\0") + extension(65281, b"\0") + extension(23, b"") + extension(18, b"") + extension(5, b"\1\0\0\0\0")
                  + extension(10, bytes.fromhex("0008001d001700180019")) + extension(13, bytes.fromhex("00100804040308070805080604010501060105"[:36]))
                  + extension(16, b"\0\x0c\x02h2\x08http/1.1") + extension(43, bytes.fromhex("0403040303"))
                  + extension(51, struct.pack("!HHH", 36, 29, 32) + sim.random.randbytes(32)))
    body = b"\3\3" + sim.random.randbytes(32) + b"\x20" + sim.random.randbytes(32) + struct.pack("!H", len(suites)) + suites + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    shake = b"\1" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack("!H", len(shake)) + shake


def grpc(node: Node, spec: ProbeSpec, number: int) -> Process:
    """Check over a blocking dial: redials with back-off until the deadline, then one call."""
    sim = node.sim
    deadline = sim.now + spec.timeout * S
    yield sim.about(480 * US, 0.4, 20 * MS)
    pause = 1.0
    while True:
        dialed_at = sim.now
        flow, how = yield from connect(node, number, spec.port, deadline)
        if how == "ok":
            done = yield from _call(node, spec, flow, deadline)
            if done is not None:
                return done
        elif how is None:
            flow.abandoned = True
            return Verdict("failure", "timeout: failed to connect service")
        again = dialed_at + int(pause * sim.random.uniform(0.8, 1.2) * S) if pause > 1 else dialed_at + S + sim.about(1500 * US, 0.3)
        pause *= 1.6
        if again >= deadline:
            yield max(deadline - sim.now, 0)
            yield sim.about(300 * US)
            return Verdict("failure", "timeout: failed to connect service")
        yield again - sim.now


def _call(node: Node, spec: ProbeSpec, flow: Flow, deadline: int) -> Process:
    sim = node.sim
    yield sim.about(200 * US, 0.6)
    flow.data(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield sim.about(60 * US, 0.5)
    flow.data(0, h2(4, 0, 0, b""))
    host = f"[{node.net.pod}]" if node.net.v6 else node.net.pod
    got = b""
    asked = False
    mark = 0
    while True:
        while flow.inbox[0]:
            item = flow.inbox[0].pop(0)
            if isinstance(item, str):
                if item == "FIN":
                    yield sim.about(80 * US)
                    flow.close(0)
                return Verdict("failure", "error: health rpc probe failed: EOF") if asked else None
            got += item
        if got.startswith(b"HTTP/1"):
            yield sim.about(80 * US)
            flow.close(0)
            return None
        if len(got) >= 9 and not asked:
            asked = True
            yield sim.about(90 * US, 0.5)
            flow.data(0, h2(4, 1, 0, b""))
            left = max(deadline - sim.now, 0) // 1000
            fields = [(":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"), (":authority", f"{host}:{spec.port}"),
                      ("content-type", "application/grpc"), ("user-agent", f"kube-probe/{node.version} grpc-go/1.81.1"), ("te", "trailers"), ("grpc-timeout", f"{left}u")]
            name = spec.service.encode()
            message = b"\x0a" + bytes([len(name)]) + name if name else b""
            yield sim.about(60 * US, 0.5)
            flow.data(0, h2(1, 4, 1, Encoder().encode(fields)))
            data = b"\0" + struct.pack("!I", len(message)) + message
            flow.data(0, struct.pack("!I", len(data))[1:] + DATA_MARK + data)
            mark = len(got)
        if asked and (b"grpc-status" in got[mark:]):
            yield sim.about(120 * US, 0.5)
            flow.data(0, h2(6, 1, 0, b"\2\4\x10\x10\x09\x0e\7\7"))
            yield sim.about(80 * US, 0.5)
            flow.data(0, h2(7, 0, 0, struct.pack("!II", 0, 0) + b"client transport shutdown"))
            yield sim.about(20 * US, 0.3)
            flow.inbox[0].clear()
            flow.close(0)
            yield from lingering(node, flow)
            good = b"\0\0\0\0\2\x08\1" in got
            return Verdict("success" if good else "failure", "" if good else "service unhealthy")
        if flow.inbox[0]:
            continue
        fired = yield Wait(flow.news[0], until=deadline)
        if fired is None:
            yield sim.about(150 * US, 0.4)
            if asked:
                flow.data(0, h2(3, 0, 1, struct.pack("!I", 8)))
                yield sim.about(60 * US, 0.4)
                flow.data(0, h2(7, 0, 0, struct.pack("!II", 0, 0) + b"client transport shutdown"))
            yield sim.about(60 * US, 0.4)
            flow.inbox[0].clear()
            flow.close(0)
            yield from lingering(node, flow)
            return Verdict("failure", "timeout: health rpc did not complete within")


PROBERS = {"httpGet": http, "tcpSocket": tcp, "grpc": grpc, "exec": command, "elsewhere": elsewhere}
