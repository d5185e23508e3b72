# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Make what a probe leaves behind, in a line: exchanges from a script of packets, runs of well-known kinds, Pod specs, frames.

Everything comes out of the project's own tracker and readers, so that a value here is one that packets can make. Times are seconds after
`EPOCH`, the beginning of the tests' time.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from builder import EPOCH, S, conversation, track

from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Frame, Mark
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import Probe, Timeline
from probewatch.observer import Observer, Settings
from probewatch.probes.forms import form_of
from probewatch.probes.runs import Run, attempt_start
from probewatch.wire.exchange import read_exchange
from probewatch.wire.packets import Segment

READINESS, LIVENESS, STARTUP, UNKNOWN = ProbeType.READINESS, ProbeType.LIVENESS, ProbeType.STARTUP, ProbeType.UNKNOWN
HTTP, TCP, GRPC, EXEC = Handler.HTTP_GET, Handler.TCP_SOCKET, Handler.GRPC, Handler.EXEC
NODE, POD = "10.128.0.1", "10.128.0.10"
NODE6, POD6 = "fd00:10:128::1", "fd00:10:128::10"
V4 = f"{NODE}:40000 > {POD}:8080"
V6 = f"[{NODE6}]:40000 > [{POD6}]:8080"
OPENED = """
    > S
    < SA
    > A
"""
"""A handshake, with which most scripts begin; the SYN is at 0, the ACK at 200 us."""


def ns(seconds: float) -> int:
    """Return a moment of the tests' time."""
    return EPOCH + round(seconds * S)


def mark(seconds: float, number: int = 1) -> Mark:
    """Return a moment with a frame number."""
    return Mark(ns(seconds), 0, number)


def request(path: str = "/ready", host: str = f"{POD}:8080", agent: str = "kube-probe/1.36", extra: str = "") -> str:
    """Return the kubelet's request as a script's payload; `extra` are whole header lines that stand before Connection."""
    user_agent = f"User-Agent: {agent}\\r\\n" if agent else ""
    return f"'GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n{user_agent}Accept: */*\\r\\n{extra}Connection: close\\r\\n\\r\\n'"


def answer(status: str = "200 OK", body: str = "ok", headers: str = "", length: int | None = None) -> str:
    """Return an answer as a script's payload; `length` is what Content-Length claims."""
    return f"'HTTP/1.1 {status}\\r\\n{headers}Content-Length: {len(body) if length is None else length}\\r\\n\\r\\n{body}'"


def connection(script: str, between: str = V4, *, at: float = 0.0) -> Connection:
    """Return the last revision of the one connection that a script makes; its first frame is at `at` unless the script pauses."""
    made = track(conversation(between, script, start=ns(at) - 100_000))
    assert len(made) == 1, made
    return made[0]


def exchange(script: str, between: str = V4, *, at: float = 0.0, **facts: Any) -> Exchange:
    """Return what a script's connection says; `facts` are fields of Exchange that stand in for bytes (grpc, tls)."""
    return replace(read_exchange(connection(script, between, at=at)), **facts)


SCRIPTS: dict[str, str] = {
    "ok": OPENED + "> PA {request}\n < A\n < PA {ok}\n > A\n > FA\n < FA\n > A",
    "503": OPENED + "> PA {request}\n < A\n < PA {bad}\n > A\n > FA\n < FA\n > A",
    "refused": "> S\n < RA",
    "unanswered": "> S",
    "hung": OPENED + "> PA {request}\n < A\n +{timeout}s > FA\n +40ms < A",
    "late": OPENED + "> PA {request}\n < A\n +1800ms < PA {ok}\n > A\n > FA\n < FA\n > A",
    "reset": OPENED + "> PA {request}\n < RA",
    "body": OPENED + "> PA {request}\n < PA {short}\n > A\n < RA",
    "connected": OPENED + "> FA\n < A\n < FA\n > A",
    "banner": OPENED + "< PA 'SSH-2.0-x\\r\\n'\n > RA",
    "sent-away": OPENED + "> PA {request}\n < A\n < PA {location}\n > A\n > FA\n < FA\n > A",
}
"""What may come of an attempt, by name."""


def attempt(
    at: float, what: str = "ok", *, path: str = "/ready", port: int = 8080, client: str = NODE, server: str = POD,
    agent: str = "kube-probe/1.36", timeout: int = 1, location: str = "", extra: str = "",
) -> Exchange:
    """Return the exchange of one connection of a kubelet, begun at `at`."""
    sport = 32_768 + 2 * (round(at * 1000) % 13_999)
    ends = f"[{client}]:{sport} > [{server}]:{port}" if ":" in server else f"{client}:{sport} > {server}:{port}"
    host = f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
    script = SCRIPTS[what].format(
        request=request(path, host, agent, extra), ok=answer(), bad=answer("503 Service Unavailable", "no"), short=answer(length=900), timeout=timeout - 0.0001,
        location=answer("302 Found", "", f"Location: {location}\\r\\n"))
    return exchange(script, ends, at=at)


def run_of(*tries: Exchange) -> Run:
    """Return the run of some tries, one connection each."""
    connection = tries[0].connection
    return Run(client=connection.client, server=connection.server, form=form_of(tries[0]), start=attempt_start(tries[0]),
               tries=tuple((one,) for one in tries))


def run(at: float, what: str = "ok", **how: Any) -> Run:
    """Return the run of one connection; the arguments are those of `attempt`."""
    return run_of(attempt(at, what, **how))


def runs(*starts: float, what: str = "ok", **how: Any) -> list[Run]:
    """Return runs of one kind."""
    return [run(at, what, **how) for at in starts]


def every(period: float, count: int, first: float = 0.0) -> list[float]:
    """Return the starts of a ticker."""
    return [first + number * period for number in range(count)]


def unresolved(at: float, *, requests: int = 3, resolved: float | None = None, client: str = NODE, server: str = POD) -> Unresolved:
    """Return an address resolution in vain: who-has once a second."""
    marks = tuple(mark(at + number, 100 + number) for number in range(requests))
    return Unresolved(client=client, server=server, start=marks[0], end=marks[-1], requests=marks,
                      resolved=mark(resolved, 200) if resolved is not None else None)


def spec(kind: ProbeType = READINESS, handler: Handler = HTTP, **fields: Any) -> ProbeSpec:
    """Return a probe: httpGet /ready on 8080, period and timeout 1 s, thresholds 1 and 3, unless said otherwise."""
    known: dict[str, Any] = {"port": 8080, "path": "/ready", "period_s": 1}
    return ProbeSpec(type=kind, handler=handler, **(known | fields))


# Frames, for tests of the whole way.


def frame(segment: Segment) -> Frame:
    """Return the Ethernet frame of a segment; checksums are 0, as with offload."""
    tcp = struct.pack("!HHIIBBHHH", segment.source_port, segment.destination_port, segment.seq, segment.ack, 5 << 4, segment.flags, segment.window, 0, 0)
    body = tcp + segment.payload
    source, destination = ipaddress.ip_address(segment.source).packed, ipaddress.ip_address(segment.destination).packed
    if len(source) == 16:
        head = b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 6, segment.ttl) + source + destination
    else:
        head = b"\x08\x00" + struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), segment.ip_id & 0xFFFF, 0x4000, segment.ttl, 6, 0, source, destination)
    data = b"\x02" + destination[-5:].rjust(5, b"\0") + b"\x02" + source[-5:].rjust(5, b"\0") + head + body  # one machine an address
    return Frame(segment.mark.ns, 0, 0, 0, 1, data, len(data))


def frames(*scripts: tuple[float, str, str]) -> list[Frame]:
    """Return the frames of several conversations (start, ends, script), in time order and numbered."""
    made = [frame(segment) for at, ends, script in scripts for segment in conversation(ends, script, start=ns(at) - 100_000)]
    made.sort(key=lambda one: one.ns)
    return [one._replace(number=number) for number, one in enumerate(made, 1)]


def edge(at: float = -20.0) -> Frame:
    """Return a frame that is nobody's (LLDP): the capture was on by then."""
    return Frame(ns(at), 0, 0, 0, 1, b"\xff" * 12 + b"\x88\xcc" + bytes(46), 60)


def timeline_of(given: Iterable[Frame], book: AddressBook | None = None) -> Timeline:
    """Return what an observer makes of frames."""
    observer = Observer(Settings(book=book or AddressBook()))
    for one in given:
        observer.feed(one)
    return observer.finish()


def kubelets(timeline: Timeline) -> list[Probe]:
    """Return the kubelet's probes."""
    return [probe for probe in timeline.probes if probe.checker.kind == "kubelet"]


def script_of(what: str = "ok", *, path: str = "/ready", host: str = f"{POD}:8080", agent: str = "kube-probe/1.36", timeout: int = 1, extra: str = "") -> str:
    """Return a script by name, for `frames`."""
    return SCRIPTS[what].format(request=request(path, host, agent, extra), ok=answer(), bad=answer("503 Service Unavailable", "no"),
                                short=answer(length=900), timeout=timeout - 0.0001, location=answer("302 Found", ""))


def probes(starts: Iterable[float], what: str = "ok", *, client: str = NODE, server: str = POD, port: int = 8080, **how: Any) -> list[tuple[float, str, str]]:
    """Return one conversation for each start, for `frames`."""
    out = []
    for at in starts:
        sport = 32_768 + 2 * (round(at * 1000) % 13_999)
        six = ":" in server
        ends = f"[{client}]:{sport} > [{server}]:{port}" if six else f"{client}:{sport} > {server}:{port}"
        out.append((at, ends, script_of(what, host=f"[{server}]:{port}" if six else f"{server}:{port}", **how)))
    return out

