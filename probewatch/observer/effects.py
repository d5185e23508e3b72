"""What the Pod's readiness did to its clients' traffic: the numbers on each probe, and findings where they speak of trouble.

Who is a client. Whoever opens connections to the Pod and is no proven kubelet, no recognised checker, no scraper and no
lifecycle hook: those ask a Pod at its own address, whatever its state. A checker of unknown make is in between: it may
be a load balancer's check, somebody's loop, or clients that come often. What is refused to it is refused to a client;
it counts as traffic that can follow readiness where its pace is not regular, or where it pauses while the Pod is not
Ready.

What can follow. Only new connections can: a keep-alive client goes on with the one it has. And whoever dials the Pod's
address directly (pod to pod, a headless Service with publishNotReadyAddresses) never asks for endpoints. Packets at the
Pod do not show by which way an address was found, so connections to a Pod that is not Ready are told as evidence, with
both readings, and never as a fault.

The Pod that is Ready and the service that is down: a Service whose targetPort is no port of the container, or a
NetworkPolicy that lets the node in and nobody else. Each shows here as clients that are answered by a RST, an ICMP
error or nothing on some port, all of them, while the probes succeed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.finding import Evidence, Finding, Held
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, PodSpec, ProbeType
from probewatch.model.timeline import Effects, Period, Probe, TimelineEvent
from probewatch.probes.cadence import SECOND, steady
from probewatch.probes.openings import Answer, Openings, Sum, answer_of

from .others import SPREAD, Peer, Tally, name_of
from .readiness import State, Stretch, stretches, succeeding

SPREADING_NS: Final = 10 * SECOND
"""Until everybody has heard that a Pod is not Ready: the API, kube-proxy's or a router's next reload. Later is worth a word."""
ENOUGH: Final = 3
"""Connections that fail before a port is called closed to somebody: fewer may be a scan, or a moment's trouble."""
MOST_PORTS: Final = 8
"""More closed ports of one Pod than this are somebody looking around, and told in one finding."""
PAUSE: Final = 3
"""Intervals without a connection after which a regular series has paused."""
NAMED: Final = 3
"""Clients named in a sentence."""
REFUSED: Final = "clients_refused_while_ready"
UNANSWERED: Final = "clients_unanswered_while_ready"
ARRIVED: Final = "clients_while_not_ready"


@dataclass(frozen=True, slots=True)
class _Stream:
    """New connections of one client to one port."""

    client: str
    server: str
    port: int
    openings: Openings
    icmp: str
    interval_ns: int | None = None
    """Of a regular series of connections, which may be a check."""

    def follows(self, time: Sequence[Stretch]) -> bool:
        """Tell whether its connections may have come by way of endpoints."""
        if self.interval_ns is None:
            return True
        for stretch in time:
            heard_ns = stretch.start_ns + SPREADING_NS
            if stretch.state is State.NOT_READY and stretch.end_ns - heard_ns >= PAUSE * self.interval_ns:
                was_there = self.openings.between(0, stretch.start_ns).total
                if was_there and not self.openings.between(heard_ns, stretch.end_ns).total:
                    return True
        return False


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


class EffectsBuilder:
    """Builds effects and findings from finished probes."""

    def __init__(
        self,
        book: AddressBook,
        clients: Mapping[Peer, Tally],
        events: Sequence[TimelineEvent],
        seen_until_ns: int,
        *,
        whole: bool,
    ) -> None:
        self.book = book
        self.events = events
        self.seen_until_ns = seen_until_ns
        self.whole = whole
        """Whether every source was counted."""
        self._streams: dict[str, list[_Stream]] = {}
        """By address."""
        self._specs = {pod.source: pod for pod in book.all_pods()}
        for (client, server, port), tally in clients.items():
            self._take(_Stream(client, server, port, tally.openings, tally.icmp))

    def _take(self, stream: _Stream) -> None:
        self._streams.setdefault(stream.server, []).append(stream)

    def apply(self, probes: Sequence[Probe]) -> tuple[list[Probe], list[Finding]]:
        """Return the probes with their effects, and what is to say of them."""
        kubelets = {
            (probe.checker.address, probe.target.address)
            for probe in probes
            if probe.checker.kind == "kubelet" or probe.type is ProbeType.READINESS
        }
        for probe in probes:
            if probe.checker.kind == "unknown" and (probe.checker.address, probe.target.address) not in kubelets:
                self._unknown(probe)
        pods: dict[tuple[str, str | None, str | None], list[Probe]] = {}
        for probe in probes:
            if probe.type is ProbeType.READINESS or probe.checker.kind == "kubelet":
                pods.setdefault((probe.target.address, probe.target.namespace, probe.target.pod), []).append(probe)
        named = {address for address, _, pod in pods if pod is not None}
        made: dict[str, Effects] = {}
        findings: list[Finding] = []
        for (address, _, pod), mine in pods.items():
            if pod is None and address in named:
                continue  # Some other probe of an address whose Pod is known: its traffic is told there.
            shared = sum(other == address for other, _, _ in pods) > 1
            findings += self._pod(mine, probes, made, shared=shared)
        return [replace(p, effects=made[p.id]) if p.id in made else p for p in probes], findings

    def _unknown(self, probe: Probe) -> None:
        """Keep what a periodic checker of unknown make met."""
        openings = Openings()
        icmp = ""
        for connection in (leg.connection for attempt in probe.attempts for leg in attempt.legs):
            openings.add(connection.start, answer_of(connection, self.seen_until_ns))
            icmp = icmp or (connection.icmp.explain() if connection.icmp is not None else "")
        port = probe.target.port
        if port is None or not len(openings):
            return
        pace = steady([attempt.start.ns for attempt in probe.attempts])
        regular = round(pace[0] * SECOND) if pace is not None and pace[1] <= SPREAD else None
        self._take(_Stream(probe.checker.address, probe.target.address, port, openings, icmp, regular))

    def _pod(
        self, mine: Sequence[Probe], probes: Sequence[Probe], made: dict[str, Effects], *, shared: bool
    ) -> list[Finding]:
        """Build the effects of one Pod, from its probes."""
        spec = self._spec(mine)
        readiness = [probe for probe in mine if probe.type is ProbeType.READINESS]
        others = [probe for probe in mine if probe.type in (ProbeType.LIVENESS, ProbeType.UNKNOWN)]
        owners = readiness or others
        if not owners:
            return []
        time = (
            stretches(readiness, mine, self.events, self.seen_until_ns)
            if readiness
            else succeeding(others, self.events, self.seen_until_ns)
        )
        if _hides(spec, readiness):
            time = [stretch for stretch in time if stretch.state is State.NOT_READY]
        address = mine[0].target.address
        elsewhere = shared or (spec.host_network if spec is not None else self.book.node(address) is not None)
        ports = _ports(spec, mine) if elsewhere else None
        addresses = (address,) if spec is None or elsewhere or not spec.addresses else spec.addresses
        streams = [
            stream
            for where in dict.fromkeys((address, *addresses))
            for stream in self._streams.get(where, [])
            if ports is None or stream.port in ports
        ]
        follow = [stream for stream in streams if stream.follows(time)]
        effects = self._effects(streams, follow, time, known=bool(readiness))
        made.update((probe.id, effects) for probe in owners)
        ready = [stretch for stretch in time if stretch.state is State.READY]
        found = self._closed(streams, ready, owners[0], spec, probes)
        return found + (self._arrived(follow, time, owners[0]) if readiness else [])

    def _spec(self, mine: Sequence[Probe]) -> PodSpec | None:
        source = next((probe.spec_source for probe in mine if probe.spec_source is not None), None)
        return self._specs.get(source) if source is not None else None

    # Numbers.

    def _effects(
        self, streams: Sequence[_Stream], follow: Sequence[_Stream], time: Sequence[Stretch], *, known: bool
    ) -> Effects:
        periods: list[Period] = []
        came: list[int] = []
        went: list[int] = []
        arrived = refused = unanswered = 0
        exact = self.whole
        for before, stretch in zip([None, *time[:-1]], time, strict=True):
            sum_ = _sum(follow, [stretch])
            everybody = _sum(streams, [stretch]) if stretch.state is State.READY else sum_
            exact = exact and everybody.exact
            period = _period(stretch, sum_)
            periods.append(period)
            # Only where the state before is known did it change here.
            changed = before is not None and before.end_ns == stretch.start_ns
            if stretch.state is State.READY:
                refused += _refused(everybody)
                unanswered += everybody.answers.get(Answer.SILENCE, 0)
                came += [period.first_ns] if changed and period.first_ns is not None else []
            else:
                arrived += sum_.total
                went += [period.last_ns] if changed and period.last_ns is not None else []
        states = {stretch.state for stretch in time}
        return Effects(
            first_client_after_ready_ns=min(came, default=None) if known else None,
            last_new_client_after_not_ready_ns=max(went, default=None) if known else None,
            clients_while_not_ready=arrived if known and State.NOT_READY in states else None,
            clients_refused_while_ready=refused if State.READY in states else None,
            clients_unanswered_while_ready=unanswered if State.READY in states else None,
            approximate=not exact,
            periods=tuple(periods) if known else (),
        )

    # Findings.

    def _closed(
        self,
        streams: Sequence[_Stream],
        ready: Sequence[Stretch],
        probe: Probe,
        spec: PodSpec | None,
        probes: Sequence[Probe],
    ) -> list[Finding]:
        """Tell of ports at which clients find nobody while the Pod is Ready."""
        ports: dict[tuple[str, int], _Port] = {}
        for stream in streams:
            sum_ = _sum([stream], ready)
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
        answering = _answering(ports.values(), probes, {port.server for port in ports.values()}, ready)
        if len(closed) > MOST_PORTS:
            return [self._scan(closed, probe)]
        return [self._closed_port(port, probe, spec, answering) for port in closed]

    def _closed_port(self, port: _Port, probe: Probe, spec: PodSpec | None, answering: Iterable[int]) -> Finding:
        sum_ = port.failed
        number, refused = sum_.failed, _refused(sum_)
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
        if spec is not None and spec.containers and port.number not in answering:
            declared = [
                f"{number} ({name})" if name else f"{number}"
                for container in spec.containers
                for name, number in container.ports
            ]
            if declared and all(
                port.number != number for container in spec.containers for _, number in container.ports
            ):
                say.append(f"Its containers declare containerPort {', '.join(declared[:6])}, not {port.number}.")
        if port.number not in answering:
            say.append("If a Service leads here, compare its targetPort with what the container listens on.")
        say.append(self._names(port.clients, sum_.first))
        return Finding(
            held=Held.FAIL,
            probe=probe.id,
            subject=_subject(probe),
            field=REFUSED if refused else UNANSWERED,
            sentence=" ".join(say),
            expected=f"clients of port {port.number} are answered while the Pod is Ready",
            observed=f"{number} of {number + port.accepted} {what}",
            evidence=_evidence(sum_.first_failed, sum_.last_failed),
        )

    def _scan(self, closed: Sequence[_Port], probe: Probe) -> Finding:
        total = Sum()
        for port in closed:
            total.add(port.failed)
        numbers = ", ".join(str(port.number) for port in closed[:6])
        clients = list(dict.fromkeys(client for port in closed for client in port.clients))
        return Finding(
            held=Held.INCONCLUSIVE,
            probe=probe.id,
            subject=_subject(probe),
            field=REFUSED,
            sentence=f"{total.failed} connections to {len(closed)} ports found nobody while the Pod was Ready ({numbers}, ...): "
            f"more likely somebody who tries ports than Services with a wrong targetPort. {self._names(clients, total.first)}",
            evidence=_evidence(total.first_failed, total.last_failed),
        )

    def _arrived(self, streams: Sequence[_Stream], time: Sequence[Stretch], probe: Probe) -> list[Finding]:
        """Tell of connections that came long after the Pod had stopped being Ready."""
        late = [
            Stretch(stretch.start_ns + SPREADING_NS, stretch.end_ns, stretch.state)
            for stretch in time
            if stretch.state is State.NOT_READY and stretch.end_ns - stretch.start_ns > SPREADING_NS
        ]
        by_client: dict[str, Sum] = {}
        for stream in streams:
            if (sum_ := _sum([stream], late)).total:
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
                probe=probe.id,
                subject=_subject(probe),
                field=ARRIVED,
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


def _sum(streams: Iterable[_Stream], time: Iterable[Stretch]) -> Sum:
    out = Sum()
    for stretch in time:
        for stream in streams:
            out.add(stream.openings.between(stretch.start_ns, stretch.end_ns))
    return out


def _period(stretch: Stretch, sum_: Sum) -> Period:
    return Period(
        start_ns=stretch.start_ns,
        end_ns=stretch.end_ns,
        state=str(stretch.state),
        connections=sum_.total,
        refused=_refused(sum_),
        unanswered=sum_.answers.get(Answer.SILENCE, 0),
        first_ns=sum_.first.ns - stretch.start_ns if sum_.first is not None else None,
        last_ns=sum_.last.ns - stretch.start_ns if sum_.last is not None else None,
    )


def _refused(sum_: Sum) -> int:
    return sum_.answers.get(Answer.REFUSED, 0) + sum_.answers.get(Answer.UNREACHABLE, 0)


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


def _answering(
    ports: Iterable[_Port], probes: Sequence[Probe], servers: set[str], ready: Sequence[Stretch]
) -> frozenset[int]:
    """Return the ports that somebody found open while the Pod was Ready: clients, the kubelet, other checkers."""
    found = {port.number for port in ports if port.accepted}
    for probe in probes:
        if probe.target.address not in servers or probe.target.port in found or probe.target.port is None:
            continue
        if any(
            leg.connection.resp.syns and any(s.start_ns <= leg.connection.start.ns < s.end_ns for s in ready)
            for attempt in probe.attempts
            for leg in attempt.legs
        ):
            found.add(probe.target.port)
    return frozenset(found)


def _hides(spec: PodSpec | None, readiness: Sequence[Probe]) -> bool:
    """Tell whether a Pod declares a readiness probe that was not seen: then nothing shows that it is Ready."""
    if spec is None:
        return False
    declared = [
        (container.name, found)
        for container in spec.containers
        for found in container.probes
        if found.type is ProbeType.READINESS
    ]
    seen = {probe.target.container for probe in readiness}
    return any(found.handler is Handler.EXEC or name not in seen for name, found in declared)


def _ports(spec: PodSpec | None, mine: Sequence[Probe]) -> frozenset[int]:
    """Return the ports that are surely this Pod's, where it shares its address."""
    ports = {probe.target.port for probe in mine if probe.target.port is not None}
    if spec is not None:
        ports |= {number for container in spec.containers for _, number in container.ports}
    return frozenset(ports)


def _subject(probe: Probe) -> str:
    target = probe.target
    if target.pod is None:
        where = target.address if target.port is None else _endpoint(target.address, target.port)
    else:
        where = "/".join(part for part in (target.namespace, target.pod, target.container) if part)
    return f"{probe.type} {where}"


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _evidence(*marks: Mark | None) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(Evidence(m.file, m.number, m.number) for m in marks if m is not None))
