"""Everything that reaches a target and is no proven probe: periodic checks of unknown make, and plain traffic."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler
from probewatch.model.timeline import ANSWERS_ONLY, PORT_SCAN, OtherTraffic
from probewatch.probes.cadence import chains, on_grid, period_of, side_by_side, steady
from probewatch.probes.ends import gave_up
from probewatch.probes.forms import Ask
from probewatch.probes.inference import MOST_PROBES, SCANNED, once
from probewatch.probes.openings import Answer, Openings, answer_of
from probewatch.probes.proxies import asks_through
from probewatch.probes.replies import turned_away
from probewatch.probes.runs import Run
from probewatch.probes.signatures import named_agent

from .build import Latest
from .lasting import MOST, Uses

ENOUGH: Final = 4
"""Connections of one form before they can be called a check."""
SPREAD: Final = 0.12
"""Median deviation from the median step, relative to it, up to which a series counts as periodic."""
ON_GRIDS: Final = 0.8
"""Share of the starts of several probes that ask the same which their ticks must be: the others are extra ones."""
MANY: Final = 12
"""Starts that need not make grids of their own, where they stand whole seconds from each other: each restart begins others."""
IN_A_ROW: Final = 3
"""Starts that make a grid."""
KEPT: Final = 4_096
"""Sources and target ports kept for `others`; connections of further ones are not told."""
CELLS: Final = 32_768
"""Moments kept of when all of them opened connections; beyond, those of the busiest are joined (`probes.openings`)."""
AGENTS: Final = 8
"""User-Agents of one source at one port that are told apart."""
NOT_CLIENTS: Final = ("Prometheus/", "kube-lifecycle/", "kube-probe/", "Envoy/HC")
"""User-Agents of what asks a Pod at its own address, Ready or not: their connections tell nothing of endpoints."""


Peer = tuple[str, str, int]
"""(client, server, server port)."""


@dataclass(slots=True)
class Tally:
    """Connections of one source to one port, counted."""

    connections: int = 0
    requests: int = 0
    most_requests: int = 0
    agent: str = ""
    """The first that was named."""
    agents: dict[str, int] = field(default_factory=dict)
    """How many connections named each; of the first few only."""
    keeper: str = ""
    """Who asked most on one connection."""
    first_ns: int = 0
    last_ns: int = 0
    tried_ns: int = 0
    """When the latest was begun."""
    spoken: bool = False
    """Something was said on one of them, by either side."""
    answers: dict[Answer, int] = field(default_factory=dict)
    """What came back to each SYN that the capture shows."""
    openings: Openings = field(default_factory=Openings)
    """Of what may be a client's, and follow readiness."""
    doubtful: Openings | None = None
    """Of what may be its own checks, out of step, or somebody's for whom it passes on."""
    uses: Uses = field(default_factory=Uses)
    """When each connection that it keeps was used."""
    unasked: int = 0
    """Connections of which only the server's direction was captured."""
    plain: bool = False
    """It also asked as no scraper or checker does."""
    icmp: str = ""
    """What the first ICMP error said."""

    @property
    def is_client(self) -> bool:
        """Whether whoever it is may reach the target through endpoints, so that readiness matters to it."""
        return self.plain or not self.agent.startswith(NOT_CLIENTS)


class Traffic:
    """Counts what is no probe."""

    def __init__(self) -> None:
        self._tallies: dict[Peer, Tally] = {}
        self._cells = 0
        self._kept = 0
        self.whole = True
        """False once a source, or a connection that is kept, was not counted, because there are too many."""

    def note(self, run: Run, latest: Latest, seen_until_ns: int, *, client: bool = True) -> None:
        """Count a run's connections; those that may be their sender's own checks (no `client`'s) are kept apart."""
        for _, exchange in run.legs():
            connection = latest(exchange.connection)
            key = (connection.client, connection.server, connection.server_port)
            tally = self._tallies.get(key)
            if tally is None:
                if len(self._tallies) >= KEPT:
                    self.whole = False
                    continue
                tally = self._tallies[key] = Tally(first_ns=connection.start.ns)
            later = connection.question > 1  # of a connection that was counted, or began before the capture
            opened = not (later or connection.midstream)
            tally.connections += opened
            tally.unasked += opened and not connection.orig.packets
            tally.requests += exchange.requests
            most = max(exchange.requests, connection.question)
            tally.first_ns = min(tally.first_ns, connection.start.ns)
            tally.last_ns = max(tally.last_ns, connection.end.ns)
            tally.tried_ns = max(tally.tried_ns, connection.start.ns)
            tally.spoken = tally.spoken or bool(connection.orig.length or connection.resp.length)
            agent = exchange.http[0].header("User-Agent") or "" if exchange.http else ""
            tally.agent = tally.agent or agent
            if most > tally.most_requests:
                tally.most_requests, tally.keeper = most, agent
            if agent and opened and (agent in tally.agents or len(tally.agents) < AGENTS):
                tally.agents[agent] = tally.agents.get(agent, 0) + 1
            known = agent.startswith(NOT_CLIENTS)
            self._kept += tally.uses.add(connection, client=client and not known, room=self._kept < MOST)
            self.whole = self.whole and self._kept < MOST
            if not opened:
                continue
            answer = answer_of(connection, seen_until_ns)
            tally.answers[answer] = tally.answers.get(answer, 0) + 1
            if answer is Answer.UNREACHABLE and connection.icmp is not None:
                tally.icmp = tally.icmp or connection.icmp.explain()
            if known or run.form.stale:
                continue
            if client:
                tally.plain = tally.plain or bool(agent)
                self._open(tally.openings, connection.start, answer)
            elif run.form.ask is not Ask.CONNECT:  # (what is accepted and says nothing is a check, by all that is seen)
                tally.doubtful = tally.doubtful or Openings()
                self._open(tally.doubtful, connection.start, answer)

    def _open(self, openings: Openings, mark: Mark, answer: Answer) -> None:
        self._cells += openings.add(mark, answer)
        if self._cells > CELLS:
            kept = (one for tally in self._tallies.values() for one in (tally.openings, tally.doubtful) if one)
            self._cells -= max(kept, key=len).coarsen()

    def clients(self) -> dict[Peer, Tally]:
        """Return what may be clients, and whom they connected to; who only tries ports is none: what is refused was never offered."""
        scans = self.scans()
        return {
            peer: tally
            for peer, tally in self._tallies.items()
            if tally.is_client and (len(tally.openings) or any(tally.uses)) and peer not in scans
        }

    def scans(self) -> set[Peer]:
        """Return the ports that one source tried but once, and where nothing was said, of those where it tried very many so."""
        tried: dict[tuple[str, str], list[Peer]] = {}
        for peer, tally in self._tallies.items():
            if tally.connections and not tally.spoken and once([tally.first_ns, tally.tried_ns]):
                tried.setdefault(peer[:2], []).append(peer)
        return {peer for peers in tried.values() if len(peers) >= SCANNED for peer in peers}

    def result(self, book: AddressBook, kubelets: Container[str] = ()) -> list[OtherTraffic]:
        """Return the sums, busiest first; what asks as `kubelets` do is theirs, though no probe is told of it."""
        out = []
        scans = self.scans()
        for (client, server, port), tally in self._tallies.items():
            out.append(
                OtherTraffic(
                    address=client,
                    target_address=server,
                    target_port=port,
                    connections=tally.connections + sum(not kept.opened for kept in tally.uses),
                    refused=tally.answers.get(Answer.REFUSED, 0) + tally.answers.get(Answer.UNREACHABLE, 0),
                    unanswered=tally.answers.get(Answer.SILENCE, 0),
                    what=PORT_SCAN if (client, server, port) in scans else describe(tally, proven=client in kubelets),
                    name=name_of(client, book, tally.first_ns),
                    first_ns=tally.first_ns,
                    last_ns=tally.last_ns,
                )
            )
        return sorted(
            out, key=lambda other: (-other.connections, other.address, other.target_address, other.target_port)
        )


def describe(tally: Tally, *, proven: bool = False) -> str:
    """Say in a few words what this traffic is: who connects most often, and who asks on one connection where that is another.

    `proven`: it comes from a kubelet's address.
    """
    if 0 < tally.connections == tally.unasked:
        return ANSWERS_ONLY
    agent = max(tally.agents, key=lambda one: tally.agents[one], default=tally.agent)
    keeps = tally.most_requests > 1
    if not keeps or tally.keeper == agent:
        return _kind(agent, keeps=keeps, proven=proven)
    return f"{_kind(agent, keeps=False, proven=proven)}, {_kind(tally.keeper, keeps=True, proven=proven)}"


def _kind(agent: str, *, keeps: bool, proven: bool) -> str:
    """Say what somebody is who calls himself so, and asks more than once on a connection, or not."""
    product = agent.split("/", 1)[0].split(" ", 1)[0][:40]
    if agent.startswith("Prometheus/"):
        return "Prometheus scrapes"
    if agent.startswith("kube-lifecycle/"):
        return "lifecycle hook of the kubelet"
    row = named_agent(agent)
    if row is not None and keeps:
        return f"health checks by {row.kind} on a kept connection"
    if agent.startswith("kube-probe/"):
        return (
            "kube-probe User-Agent, of which no probe is told"
            if proven
            else "kube-probe User-Agent, but not from a kubelet"
        )
    kind = "keep-alive client" if keeps else "client traffic"
    return f"{kind} ({product})" if product else kind


def name_of(address: str, book: AddressBook, ns: int) -> str | None:
    """Return `namespace/pod` or the node behind an address, where known."""
    node = book.node(address)
    return pod_name(address, book, ns) or (node.node or None if node is not None else None)


def foreign_host(host: str, address: str, port: int | None) -> str | None:
    """Return a Host header that is not just the target itself, else None."""
    return None if host in ("", address, f"{address}:{port}", f"[{address}]:{port}") else host


def pod_name(address: str, book: AddressBook, ns: int) -> str | None:
    """Return the `namespace/pod` that had an address of its own at that time, where known."""
    pod = book.pod(address, ns)
    return f"{pod.namespace}/{pod.name}" if pod is not None and not pod.host_network and pod.name else None


@dataclass(frozen=True, slots=True)
class Series:
    """Runs of one source at one target that ask the same."""

    client: str
    server: str
    port: int
    handler: Handler
    path: str | None
    tls: bool
    runs: tuple[Run, ...]


def periodic(
    runs: Sequence[Run], kubelets: Container[str] = (), proxies: Container[str] = ()
) -> tuple[list[Series], list[Run]]:
    """Split strangers into check-like series (fresh connections, one short question each, regular) and the rest.

    What is left over of the probes of known `kubelets` keeps to their ticks and is no probe for that, nor is what the HAProxys
    among `proxies` pass on.
    """
    groups: dict[tuple[str, str, int, Ask, str | None, str], list[Run]] = {}
    ask: Ask
    rest: list[Run] = []
    for run in runs:
        form = run.form
        if form.stale or (run.client in proxies and asks_through(run)):
            rest.append(run)
            continue
        ask = Ask.CONNECT if form.ask is Ask.NOTHING else form.ask
        groups.setdefault((run.client, run.server, form.port, ask, form.path, form.user_agent), []).append(run)
    found: list[Series] = []
    talking = (run for run in runs if run.form.ask is Ask.OTHER or run.form.requests > 1)
    talkers = {(run.client, run.server, run.form.port) for run in (*rest, *talking)}
    # What asked nothing comes last: until then it is known who asks there otherwise, and no check.
    mere = {key: _asked_nothing(members) for key, members in groups.items()}
    for key, members in sorted(groups.items(), key=lambda item: mere[item[0]]):
        client, server, port, ask, path, agent = key
        members.sort(key=lambda run: run.start.ns)  # one that the capture's end cut off was told before others
        if mere[key] and (client, server, port) in talkers:
            rest += members  # who talks there otherwise was refused or turned away: no check of its own
        elif check_like(members, ask, agent, several=client not in kubelets):
            handler = {Ask.HTTP: Handler.HTTP_GET, Ask.TLS: Handler.HTTP_GET, Ask.GRPC: Handler.GRPC}.get(
                ask, Handler.TCP_SOCKET
            )
            found.append(Series(client, server, port, handler, path, ask is Ask.TLS, tuple(members)))
        else:
            rest += members
            talkers.add((client, server, port))
    return found, rest


def _asked_nothing(runs: Sequence[Run]) -> bool:
    """Tell whether these only tried: refused, turned away by what the server said first, or left waiting for it, but for a few."""
    if any(run.form.ask not in (Ask.NOTHING, Ask.CONNECT) for run in runs):
        return False
    first = [run.tries[0][0] for run in runs if run.tries and run.form.ask is Ask.CONNECT]
    return sum(gave_up(exchange) is None and not turned_away(exchange) for exchange in first) < ENOUGH


def check_like(runs: Sequence[Run], ask: Ask, agent: str, *, several: bool) -> bool:
    """Tell whether these look like one periodic check, or (`several`) like those of one container's probes."""
    if ask in (Ask.OTHER, Ask.UNSEEN) or len(runs) < ENOUGH or agent.startswith(("Prometheus/", "kube-lifecycle/")):
        return False
    if any(run.form.requests > 1 or not run.tries or run.tries[0][0].connection.midstream for run in runs):
        return False
    if ask is Ask.HTTP and runs[0].form.method not in ("GET", "HEAD", "OPTIONS"):
        return False
    starts = [run.start.ns for run in runs]
    regular = steady(starts)
    if regular is not None and regular[0] >= 0.5 and regular[1] <= SPREAD:
        return True
    return several and all(run.form.kubelet for run in runs) and _side_by_side(starts)


def _side_by_side(starts: Sequence[int]) -> bool:
    """Tell whether nearly all of these keep to grids, in whole seconds, and no more at a time than a container has probes.

    A grid is a new one where a container was restarted.
    """
    period = period_of(starts)
    if period is None or side_by_side(starts, period) > MOST_PROBES:
        return False
    grids = (len(chain.members) for chain in chains(starts, period))
    if sum(length for length in grids if length >= IN_A_ROW) >= ON_GRIDS * len(starts):
        return True
    return len(starts) >= MANY and on_grid(starts, starts) >= ON_GRIDS
