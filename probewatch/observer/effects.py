"""What the Pod's readiness did to its clients' traffic: the numbers on each probe, and findings where they speak of trouble.

Who is a client. Whoever opens connections to the Pod and is no proven kubelet, no recognised checker, no scraper and no
lifecycle hook: those ask a Pod at its own address, whatever its state. A checker of unknown make is in between: it may
be a load balancer's check, somebody's loop, or clients that come often. What is refused to it is refused to a client;
it counts as traffic that can follow readiness where its pace is not regular, or where it pauses while the Pod is not
Ready.

A load balancer that checks passes on, too: what else comes from its address follows its own UP and DOWN. There UP stands
for Ready, and DOWN for NotReady; what others send says nothing of it.

What can follow. Only new connections can: a keep-alive client goes on with the one it has, which is told as a number of
its own (`lasting`). And whoever dials the Pod's
address directly (pod to pod, a headless Service with publishNotReadyAddresses) never asks for endpoints. Packets at the
Pod do not show by which way an address was found, so connections to a Pod that is not Ready are told as evidence, with
both readings, and never as a fault.

The Pod that is Ready and the service that is down: a Service whose targetPort is no port of the container, or a
NetworkPolicy that lets the node in and nobody else. Each shows here as clients that are answered by a RST, an ICMP
error or nothing on some port, all of them, while the probes succeed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.finding import Finding
from probewatch.model.spec import PodSpec, ProbeType
from probewatch.model.timeline import Effects, Period, Probe, TimelineEvent
from probewatch.model.units import SECOND
from probewatch.probes.cadence import steady
from probewatch.probes.openings import Answer, Openings, Sum, answer_of

from .accounted import accounted
from .lasting import Uses, went_on
from .losses import Losses
from .others import SPREAD, Peer, Tally
from .readiness import State, Stretch, serving, stretches, succeeding, until
from .streams import Stream, summed
from .trouble import Trouble

SERVES: Final = {str(State.READY): "UP", str(State.NOT_READY): "DOWN"}
"""What Ready and NotReady are to a checker with rise and fall."""


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
        losses: Losses | None = None,
    ) -> None:
        self.book = book
        self.events = events
        self.seen_until_ns = seen_until_ns
        self._losses = losses or Losses()
        self.whole = whole
        """Whether every source was counted."""
        self._streams: dict[str, list[Stream]] = {}
        """By address."""
        self._specs = {pod.source: pod for pod in book.all_pods()}
        self._clients = clients

    def _take_clients(self, probes: Sequence[Probe]) -> None:
        """Keep what clients opened, and what a checker passed on for them."""
        checks: dict[Peer, list[Probe]] = {}
        for probe in probes:
            if probe.target.port is not None:
                peer = (probe.checker.address, probe.target.address, probe.target.port)
                checks.setdefault(peer, []).append(probe)
        for peer, tally in self._clients.items():
            uses = tuple((kept.first_ns, kept.last_ns) for kept in tally.uses if kept.client)
            openings, doubtful = tally.openings, None
            if tally.doubtful is not None and len(openings):
                passed, doubtful = tally.doubtful.parted(accounted(checks.get(peer, ()), self.events))
                openings = openings.joined(passed)
            self._take(Stream(*peer, openings, tally.icmp, uses, doubtful))

    def _take(self, stream: Stream) -> None:
        self._streams.setdefault(stream.server, []).append(stream)

    def apply(self, probes: Sequence[Probe]) -> tuple[list[Probe], list[Finding]]:
        """Return the probes with their effects, and what is to say of them; to be called once."""
        self._take_clients(probes)
        kubelets = {
            (probe.checker.address, probe.target.address, probe.target.port)
            for probe in probes
            if probe.checker.kind == "kubelet" or probe.type is ProbeType.READINESS
        }
        for probe in probes:
            peer = (probe.checker.address, probe.target.address, probe.target.port)
            if probe.checker.kind == "unknown" and peer not in kubelets:
                self._unknown(probe)
        pods: dict[tuple[str, str | None, str | None], list[Probe]] = {}
        for probe in probes:
            if probe.type is ProbeType.READINESS or probe.checker.kind == "kubelet":
                pods.setdefault((probe.target.address, probe.target.namespace, probe.target.pod), []).append(probe)
        named = {address for address, _, pod in pods if pod is not None}
        there: dict[str, list[list[Probe]]] = {}
        for (address, _, _), mine in pods.items():
            there.setdefault(address, []).append(mine)
        made: dict[str, Effects] = {}
        findings: list[Finding] = []
        for (address, _, pod), mine in pods.items():
            if pod is None and address in named:
                continue  # Some other probe of an address whose Pod is known: its traffic is told there.
            shared = any(_at_one_time(mine, theirs) for theirs in there[address] if theirs is not mine)
            findings += self._pod(mine, probes, made, shared=shared)
        for probe in probes:
            if probe.checker.kind not in ("kubelet", "unknown"):
                self._passed_on(probe, made)
        return [replace(p, effects=made[p.id]) if p.id in made else p for p in probes], findings

    def _passed_on(self, probe: Probe, made: dict[str, Effects]) -> None:
        """Build the effects of a load balancer's check: what else comes from its address to the server's port follows UP and DOWN."""
        streams = [
            stream
            for stream in self._streams.get(probe.target.address, [])
            if stream.client == probe.checker.address and stream.port == probe.target.port
        ]
        time = serving(probe, self.events, self.seen_until_ns)
        if streams and time:
            effects = self._effects(streams, streams, time, known=True)
            periods = tuple(replace(one, state=SERVES[one.state]) for one in effects.periods)
            made[probe.id] = replace(effects, periods=periods)

    def _unknown(self, probe: Probe) -> None:
        """Keep what a periodic checker of unknown make met."""
        openings = Openings()
        kept = Uses()
        icmp = ""
        for connection in (leg.connection for attempt in probe.attempts for leg in attempt.legs):
            kept.add(connection, client=True, room=True)
            if connection.question > 1:
                continue  # asked on a connection that was opened before
            until_ns = self._losses.seen_until(connection.start.ns, self.seen_until_ns) or self.seen_until_ns
            openings.add(connection.start, answer_of(connection, until_ns))
            icmp = icmp or (connection.icmp.explain() if connection.icmp is not None else "")
        port = probe.target.port
        uses = tuple((one.first_ns, one.last_ns) for one in kept)
        if port is None or not (len(openings) or uses):
            return
        pace = steady([attempt.start.ns for attempt in probe.attempts])
        regular = round(pace[0] * SECOND) if pace is not None and pace[1] <= SPREAD else None
        self._take(Stream(probe.checker.address, probe.target.address, port, openings, icmp, uses, interval_ns=regular))

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
        if spec is not None and (end_ns := spec.leaving_ns) is not None:
            time = until(time, end_ns)
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
        trouble = Trouble(owners[0], spec, probes, self.book, self.seen_until_ns)
        return trouble.closed(streams, ready) + (trouble.arrived(follow, time) if readiness else [])

    def _spec(self, mine: Sequence[Probe]) -> PodSpec | None:
        source = next((probe.spec_source for probe in mine if probe.spec_source is not None), None)
        return self._specs.get(source) if source is not None else None

    def _effects(
        self, streams: Sequence[Stream], follow: Sequence[Stream], time: Sequence[Stretch], *, known: bool
    ) -> Effects:
        periods: list[Period] = []
        came: list[int] = []
        went: list[int] = []
        arrived = refused = unanswered = 0
        exact = self.whole
        for before, stretch in zip([None, *time], time, strict=False):
            sum_ = summed(follow, [stretch])
            everybody = summed(streams, [stretch]) if stretch.state is State.READY else sum_
            exact = exact and everybody.exact
            period = _period(stretch, sum_)
            periods.append(period)
            # Only where the state before is known did it change here.
            changed = before is not None and before.end_ns == stretch.start_ns
            if stretch.state is State.READY:
                refused += everybody.refused
                unanswered += everybody.answers.get(Answer.SILENCE, 0)
                came += [period.first_ns] if changed and period.first_ns is not None else []
            else:
                arrived += sum_.total
                went += [period.last_ns] if changed and period.last_ns is not None else []
        states = {stretch.state for stretch in time}
        kept = went_on((use for stream in follow for use in stream.uses), time)
        return Effects(
            first_client_after_ready_ns=min(came, default=None) if known else None,
            last_new_client_after_not_ready_ns=max(went, default=None) if known else None,
            clients_while_not_ready=arrived if known and State.NOT_READY in states else None,
            clients_refused_while_ready=refused if State.READY in states else None,
            clients_unanswered_while_ready=unanswered if State.READY in states else None,
            kept_while_not_ready=len(kept) if known and kept is not None else None,
            last_kept_after_not_ready_ns=max(kept or (), default=None) if known else None,
            approximate=not exact,
            periods=tuple(periods) if known else (),
        )


def _period(stretch: Stretch, sum_: Sum) -> Period:
    return Period(
        start_ns=stretch.start_ns,
        end_ns=stretch.end_ns,
        state=str(stretch.state),
        connections=sum_.total,
        refused=sum_.refused,
        unanswered=sum_.answers.get(Answer.SILENCE, 0),
        first_ns=sum_.first.ns - stretch.start_ns if sum_.first is not None else None,
        last_ns=sum_.last.ns - stretch.start_ns if sum_.last is not None else None,
    )


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
    seen = {(probe.target.container, probe.handler) for probe in readiness}
    return any((name, found.handler) not in seen for name, found in declared)


def _ports(spec: PodSpec | None, mine: Sequence[Probe]) -> frozenset[int]:
    """Return the ports that are surely this Pod's, where it shares its address."""
    ports = {probe.target.port for probe in mine if probe.target.port is not None}
    if spec is not None:
        ports |= {number for container in spec.containers for _, number in container.ports}
    return frozenset(ports)


def _at_one_time(mine: Sequence[Probe], theirs: Sequence[Probe]) -> bool:
    """Tell whether two Pods were probed at the same time: they share an address then, and do not just follow each other."""
    spans = [
        (
            min(probe.attempts[0].start.ns for probe in many if probe.attempts),
            max(probe.attempts[-1].end_ns for probe in many if probe.attempts),
        )
        for many in (mine, theirs)
    ]
    return max(begin for begin, _ in spans) < min(end for _, end in spans)
