"""Who checks: whether a source address is a kubelet's, and how we know.

docs/design.md, section 6: a kubelet is said only on a decisive sign. A User-Agent alone proves nothing (curl can send it), form
and cadence alone prove nothing either (many Go programs look alike); together, from one address, they do. An address
that is known to be a node's, or a Pod's, decides at once. How a node shows itself (`probes.networks`) differs by network,
so no address is ever taken for a node's because it ends in `.1`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from probewatch.model.book import AddressBook

from .cadence import on_grid
from .forms import Ask
from .networks import hint
from .runs import Run

ON_GRID_SHARE: Final = 0.5
"""Share of a kubelet's starts that stand whole seconds from a neighbour; a shell loop's pause plus its own run time does not."""
ENOUGH: Final = 4
"""Attempts of one series before its cadence can speak against a claim."""
OUTGOING: Final = 4
"""sll_pkttype of what the capturing machine sends (packet(7) PACKET_OUTGOING)."""
KEPT_STARTS: Final = 64
"""Starts kept for each series of one source."""
KEPT_SERIES: Final = 512


class Standing(StrEnum):
    """What is known of a source."""

    KUBELET = "kubelet"
    NOT_KUBELET = "not kubelet"
    OPEN = "open"


@dataclass(slots=True)
class _Series:
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    claims: int = 0
    _paced: tuple[int, bool] = (0, False)
    """Of how many starts it was said whether they are on a grid, and what."""

    @property
    def long(self) -> bool:
        """Whether its cadence says anything."""
        return len(self.starts) >= ENOUGH

    def on_grid(self) -> bool:
        """Tell whether it keeps to whole seconds; asked again and again, worked out where a start was added."""
        if self._paced[0] != len(self.starts):
            self._paced = len(self.starts), self.long and on_grid(self.starts, self.ends) >= ON_GRID_SHARE
        return self._paced[1]


@dataclass(slots=True)
class Source:
    """What one client address did, to everybody."""

    address: str
    series: dict[tuple[str, int, str | None], _Series] = field(default_factory=dict)
    """By (target address, port, path)."""
    versions: dict[str, int] = field(default_factory=dict)
    ttl: int = -1
    packet_type: int = -1
    mac: bytes = b""
    """Whose link-layer address its first segment had; where that is not told, empty."""
    outer_source: str = ""
    targets: set[str] = field(default_factory=set)
    first_ns: int = 0
    """Start of its first run: an address means a Pod only while that Pod lived."""
    claims: int = 0
    declared: bool = False
    """It asks what a declared probe asks, in form and cadence."""
    _network: tuple[int, str | None] = (0, None)
    """Which network its address speaks for, and of how many targets that was said."""

    def note(self, run: Run) -> None:
        """Take a run into account."""
        if not run.tries:
            return
        connection = run.tries[0][0].connection
        self.first_ns = self.first_ns or run.start.ns
        if self.ttl < 0:
            self.ttl = connection.orig.ttl
        if self.packet_type < 0:
            self.packet_type, self.mac = connection.orig.packet_type, connection.orig.mac
        self.outer_source = self.outer_source or connection.outer_source
        if len(self.targets) < KEPT_SERIES:
            self.targets.add(run.server)
        form = run.form
        if form.version:
            self.claims += 1
            self.versions[form.version] = self.versions.get(form.version, 0) + 1
        if not form.kubelet or (form.ask is Ask.HTTP and not form.version):
            return
        key = (run.server, form.port, form.path)
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= KEPT_SERIES:
                return
            series = self.series[key] = _Series()
        series.claims += bool(form.version)
        if len(series.starts) < KEPT_STARTS:
            series.starts.append(connection.start.ns)
            series.ends.append(run.last_ns())

    def same_machine(self, other: Source) -> bool:
        """Say whether both are addresses of one machine: one link-layer address, and neither was passed on by it.

        (What a node passes on, with another destination too where a Service's address is replaced, has a lower TTL.)
        """
        return self.mac == other.mac and self.ttl == other.ttl >= 64 and any(self.mac)

    @property
    def version(self) -> str:
        """The kubelet version its User-Agents claim most often, or empty."""
        return max(self.versions, key=lambda version: self.versions[version]) if self.versions else ""

    def claim_holds(self) -> bool | None:
        """Tell whether the cadence bears out the User-Agent's claim; None while too little was seen to say."""
        if not self.claims:
            return False
        claimed = [s for s in self.series.values() if s.claims]
        if not any(s.long for s in claimed):
            return None
        return any(s.on_grid() for s in claimed)

    def on_grid(self) -> bool:
        """Tell whether any of its series keeps to whole seconds."""
        return any(s.on_grid() for s in self.series.values())

    def network(self) -> str | None:
        """Return which network its address speaks for; worked out where a target was added, for each of its probes asks."""
        if self._network[0] != len(self.targets):
            self._network = len(self.targets), hint(self.address, self.targets)
        return self._network[1]


def standing(source: Source, book: AddressBook, *, last_word: bool, rivalled: bool = False) -> Standing:
    """Say what a source is. With `last_word` nothing more will come, and a claim that nothing contradicts is believed.

    `rivalled`: all that it asks is probed by a proven kubelet already, and one Pod has one kubelet.
    """
    if book.node(source.address) is not None:
        return Standing.KUBELET
    if any(not pod.host_network for pod in book.pods_at(source.address, source.first_ns)):
        return Standing.NOT_KUBELET
    if source.claims:
        # The User-Agent, its header order and a declared probe together outweigh an odd cadence, which a Pod that is
        # not ready explains.
        holds = source.declared or source.claim_holds()
        if holds:
            return Standing.KUBELET
        if holds is None:
            believed = Standing.NOT_KUBELET if rivalled else Standing.KUBELET
            return believed if last_word else Standing.OPEN
        return Standing.NOT_KUBELET
    if source.declared:
        return Standing.KUBELET
    return Standing.NOT_KUBELET if last_word else Standing.OPEN


def evidence(source: Source, book: AddressBook, *, fresh: bool) -> tuple[tuple[str, ...], float]:
    """Return the reasons why this source is (or may be) a kubelet, strongest first, and how sure they make it.

    `fresh`: it made a connection of its own for each attempt.
    """
    said: list[str] = []
    sure = 0.0
    node = book.node(source.address)
    if node is not None:
        said.append(f"address of {'node ' + node.node if node.node else 'a node'} ({node.source})")
        sure = max(sure, 0.97)
    if source.claims and source.version:
        said.append(f"User-Agent kube-probe/{source.version} with the kubelet's header order")
        sure = max(sure, 0.95)
    if source.declared:
        said.append("form and cadence of the declared probe")
        sure = max(sure, 0.9)
    if source.on_grid():
        said.append("starts whole seconds apart")
        sure += 0.02 if sure else 0.5
    if fresh:
        said.append("a fresh connection for each check")
    if source.packet_type == OUTGOING:
        said.append("sent by this node (cooked direction outgoing)")
        sure += 0.02 if sure else 0.0
    elif source.ttl in (64, 255):
        said.append(f"TTL {source.ttl}: not routed")
    network = source.network() if node is None else None
    if network is not None:
        said.append(f"may be {network}")
    if source.outer_source:
        said.append(f"tunnelled from {source.outer_source}")
    if len(source.targets) > 2:
        said.append(f"checks {len(source.targets)} addresses")
    return tuple(said), round(min(sure, 0.99), 2)
