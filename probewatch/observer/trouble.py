"""Findings on client traffic: ports that turn clients away while the Pod is Ready, and clients that come long after it was not.

Evidence is told, never guilt. Packets show that a port is closed to somebody, not that he was meant to come; and that
somebody comes, not by which way he found the address. So a closed port is a finding that fails, for a client that is
sent to a Ready Pod should be answered, but needs several connections over some time; a late client is inconclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.finding import CLIENTS_LATE, CLIENTS_REFUSED, CLIENTS_UNANSWERED, Evidence, Finding, Held
from probewatch.model.frame import Mark
from probewatch.model.spec import PodSpec
from probewatch.model.timeline import Probe
from probewatch.model.units import SECOND
from probewatch.probes.openings import Answer, Sum
from probewatch.verify.names import subject_of

from .others import name_of
from .readiness import State, Stretch
from .streams import SPREADING_NS, Stream, summed

ENOUGH: Final = 3
"""Connections that fail before a port is called closed to somebody: fewer may be a scan, or a moment's trouble."""
MOST_PORTS: Final = 8
"""More closed ports of one Pod than this are somebody looking around, and told in one finding."""
NAMED: Final = 3
"""Clients named in a sentence."""


@dataclass(slots=True)
class _Port:
    """What clients met at one port while the Pod was Ready."""

    server: str
    number: int
    accepted: int = 0
    """Connections of clients that were accepted there."""
    failed: Sum = field(default_factory=Sum)
    """Of those clients to whom nothing was accepted there."""
    clients: list[str] = field(default_factory=list)
    icmp: str = ""


class Trouble:
    """Says what is wrong between one Pod and its clients."""

    def __init__(
        self, probe: Probe, spec: PodSpec | None, probes: Sequence[Probe], book: AddressBook, seen_until_ns: int
    ) -> None:
        self.probe = probe
        """Whom the findings concern: the first probe that makes the Pod Ready."""
        self.spec = spec
        self.probes = probes
        """All probes of all Pods."""
        self.book = book
        self.seen_until_ns = seen_until_ns

    def closed(self, streams: Sequence[Stream], ready: Sequence[Stretch]) -> list[Finding]:
        """Tell of ports at which clients find nobody while the Pod is Ready."""
        ports: dict[tuple[str, int], _Port] = {}
        for stream in streams:
            sum_ = summed([stream], ready)
            if not sum_.total:
                continue
            port = ports.setdefault((stream.server, stream.port), _Port(stream.server, stream.port))
            accepted = sum_.answers.get(Answer.ACCEPTED, 0)
            port.accepted += accepted
            if sum_.failed and not accepted:
                port.failed.add(sum_)
                port.clients.append(stream.client)
                port.icmp = port.icmp or stream.icmp
        closed = [port for port in ports.values() if _is_closed(port)]
        closed.sort(key=lambda port: (-port.failed.failed, port.server, port.number))
        if len(closed) > MOST_PORTS:
            return [self._scan(closed)]
        answering = _answering(ports.values(), self.probes, ready) if closed else frozenset()
        return [self._closed_port(port, answering) for port in closed]

    def _closed_port(self, port: _Port, answering: frozenset[int]) -> Finding:
        sum_ = port.failed
        number = sum_.failed
        where = _endpoint(port.server, port.number)
        rest = ", all of some clients," if port.accepted else ""
        what = _fate(sum_, port.icmp)
        least = "" if sum_.exact else "at least "
        say = [f"{least}{number} connections to {where}{rest} {what} while the Pod was Ready."]
        open_ports = sorted(set(answering) - {port.number})
        if port.number in answering:
            say.append(
                f"Port {port.number} does answer others: look for what stands in these clients' way (a NetworkPolicy, a firewall)."
            )
        elif open_ports:
            listed = ", ".join(map(str, open_ports[:6]))
            say.append(f"Seen to answer: port{'s' if len(open_ports) > 1 else ''} {listed}.")
        if port.number not in answering:
            declared = [entry for container in (self.spec.containers if self.spec else ()) for entry in container.ports]
            if declared and all(number != port.number for _, number in declared):
                listed = ", ".join(f"{number} ({name})" if name else f"{number}" for name, number in declared[:6])
                say.append(f"Its containers declare containerPort {listed}, not {port.number}.")
            say.append("If a Service leads here, compare its targetPort with what the container listens on.")
        say.append(self._names(port.clients, sum_.first))
        return Finding(
            held=Held.FAIL,
            probe=self.probe.id,
            subject=subject_of(self.probe),
            field=CLIENTS_REFUSED if sum_.refused else CLIENTS_UNANSWERED,
            sentence=" ".join(say),
            expected=f"clients of port {port.number} are answered while the Pod is Ready",
            observed=f"{number} of {number + port.accepted} {what}",
            evidence=_evidence(sum_.first_failed, sum_.last_failed),
        )

    def _scan(self, closed: Sequence[_Port]) -> Finding:
        total = Sum()
        for port in closed:
            total.add(port.failed)
        numbers = ", ".join(str(port.number) for port in closed[:6])
        clients = list(dict.fromkeys(client for port in closed for client in port.clients))
        return Finding(
            held=Held.INCONCLUSIVE,
            probe=self.probe.id,
            subject=subject_of(self.probe),
            field=CLIENTS_REFUSED,
            sentence=f"{total.failed} connections to {len(closed)} ports found nobody while the Pod was Ready ({numbers}, ...): "
            f"more likely a port scan than Services with a wrong targetPort. {self._names(clients, total.first)}",
            evidence=_evidence(total.first_failed, total.last_failed),
        )

    def arrived(self, streams: Sequence[Stream], time: Sequence[Stretch]) -> list[Finding]:
        """Tell of connections that came long after the Pod had stopped being Ready."""
        late = [
            Stretch(stretch.start_ns + SPREADING_NS, stretch.end_ns, stretch.state)
            for stretch in time
            if stretch.state is State.NOT_READY and stretch.end_ns - stretch.start_ns > SPREADING_NS
        ]
        by_client: dict[str, Sum] = {}
        for stream in streams:
            if (sum_ := summed([stream], late)).total:
                by_client.setdefault(stream.client, Sum()).add(sum_)
        total = Sum()
        for sum_ in by_client.values():
            total.add(sum_)
        if not total.total:
            return []
        seconds = SPREADING_NS // SECOND
        clients = sorted(by_client, key=lambda client: (-by_client[client].total, client))
        number = f"{'at least ' if not total.exact else ''}{total.total} new connection{'s' if total.total > 1 else ''}"
        return [
            Finding(
                held=Held.INCONCLUSIVE,
                probe=self.probe.id,
                subject=subject_of(self.probe),
                field=CLIENTS_LATE,
                sentence=f"{number} came more than {seconds} s after the Pod was NotReady: whoever opened them has not heard of it, "
                "or dials the Pod's address and never asks for endpoints (pod to pod, publishNotReadyAddresses). "
                + self._names(clients, total.first),
                expected=f"no new connections {seconds} s after NotReady",
                observed=number,
                evidence=_evidence(total.first, total.last),
            )
        ]

    def _names(self, clients: Sequence[str], first: Mark | None) -> str:
        named = []
        for client in clients[:NAMED]:
            name = name_of(client, self.book, first.ns if first is not None else self.seen_until_ns)
            named.append(f"{client} ({name})" if name else client)
        more = f" and {len(clients) - NAMED} more" if len(clients) > NAMED else ""
        return f"Client{'s' if len(clients) > 1 else ''}: {', '.join(named)}{more}."


def _is_closed(port: _Port) -> bool:
    first, last = port.failed.first_failed, port.failed.last_failed
    lasted = first is not None and last is not None and last.ns - first.ns >= SECOND
    return port.failed.failed >= ENOUGH and (lasted or len(port.clients) > 1)


def _fate(sum_: Sum, icmp: str) -> str:
    """Say what happened to connections that failed."""
    said = f" ({icmp})" if icmp else ""
    words = {
        Answer.REFUSED: "were refused (RST)",
        Answer.UNREACHABLE: f"were rejected by ICMP{said}",
        Answer.SILENCE: "got no answer to their SYN",
    }
    there = [(answer, number) for answer in words if (number := sum_.answers.get(answer, 0))]
    if len(there) == 1:
        return words[there[0][0]]
    return f"failed ({', '.join(f'{number} {words[answer]}' for answer, number in there)})"


def _answering(ports: Collection[_Port], probes: Sequence[Probe], ready: Sequence[Stretch]) -> frozenset[int]:
    """Return the ports that somebody found open while the Pod was Ready: clients, the kubelet, other checkers."""
    begins = [stretch.start_ns for stretch in ready]

    def is_ready(ns: int) -> bool:
        index = bisect_right(begins, ns) - 1
        return index >= 0 and ns < ready[index].end_ns

    servers = {port.server for port in ports}
    found = {port.number for port in ports if port.accepted}
    for probe in probes:
        port = probe.target.port
        if port is None or port in found or probe.target.address not in servers:
            continue
        if any(attempt.answered and is_ready(attempt.start.ns) for attempt in probe.attempts):
            found.add(port)
    return frozenset(found)


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _evidence(*marks: Mark | None) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(Evidence(m.file, m.number, m.number) for m in marks if m is not None))
