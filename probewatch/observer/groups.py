"""All runs of one source at one port, and the series in them, before anybody asks whose they are.

What each run asks is read once, in the order in which the connections began: many are packed. Two things are put right first.
A check that left because of what the server said may be anybody's who talks to that server. And several questions between which
lies always the same pause are one check, that asks them in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from probewatch.model.exchange import Exchange
from probewatch.model.units import MS
from probewatch.probes.cadence import median
from probewatch.probes.checkers import ENOUGH, MOST_RUNS, Check, Track, tracks
from probewatch.probes.ends import check_of
from probewatch.probes.proxies import passed_on
from probewatch.probes.repeats import tracks_of_tries
from probewatch.probes.replies import turned_away
from probewatch.probes.rounds import rounds
from probewatch.probes.runs import Run
from probewatch.probes.shapes import Shape, What, manner_of
from probewatch.probes.signatures import Signature, named_by, ticks_by
from probewatch.probes.steps import settle

from .nested import Moments, begun, chosen, moments, note

UNROUTED: Final = frozenset({64, 255})
"""TTLs that Linux and routers begin with: no router lies between."""
ALIKE: Final = 0.7
"""Share of the pauses between checks of different targets that must be alike, where one check asks them in turn."""
TIGHT_NS: Final = 20 * MS
"""Spread up to which a pause is exact enough to see a reload, or to tell a daemon from a shell's loop."""
STEPS: Final = "haproxy"
"""Whose check may make several connections, and whose agents say up and down."""


@dataclass(slots=True)
class Group:
    """All runs of one source at one port. What is asked of each is read in one go, for many are packed."""

    exchanges: list[Exchange] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    moments: Moments = field(default_factory=moments)
    mac: bytes | None = None
    """Whom the client's frames came from."""
    near: bool = True
    """That is one and the same, and no router lies between."""
    found: list[Track] = field(default_factory=list)
    rows: dict[Shape, Signature] = field(default_factory=dict)
    clocks: set[Shape] = field(default_factory=set)
    """Shapes that tick."""

    def add(self, exchange: Exchange) -> None:
        """Take a run's connection."""
        self.exchanges.append(exchange)
        orig = exchange.connection.orig
        if self.mac is None:
            self.mac = orig.mac
        self.near = self.near and orig.ttl in UNROUTED and orig.mac == self.mac
        if len(self.exchanges) >= ENOUGH:  # (many a source comes once or twice)
            for one in self.exchanges[len(self.checks) :]:
                self.checks.append(check_of(one))
                note(self.moments, one.connection)

    def sort(self) -> None:
        """Put its connections in the order in which they began."""
        order = sorted(range(len(self.checks)), key=lambda index: begun(self.moments, index))
        self.exchanges = [self.exchanges[index] for index in order]
        self.checks = [self.checks[index] for index in order]
        self.moments = chosen(self.moments, order)


Key = tuple[str, str, int]
"""(client, server, port)."""


def grouped(runs: Sequence[Run]) -> tuple[dict[Key, Group], dict[int, int]]:
    """Return the connections of each source and port, and of which exchange (by id) each question is that was taken out of one."""
    groups: dict[Key, Group] = {}
    whole: dict[int, int] = {}
    for run in runs:
        if run.form.stale:
            continue  # it began before the capture: when, and after which pause, is not known
        for _, exchange in run.legs():
            c = exchange.connection
            if not c.midstream and exchange.requests <= 1:
                key = (c.client, c.server, c.server_port)
                group = groups.get(key)
                if group is None:
                    group = groups[key] = Group()
                pieces = rounds(exchange)
                for piece in pieces:
                    group.add(piece)
                if len(pieces) > 1:
                    whole |= {id(piece): id(exchange) for piece in pieces}
    return groups, whole


def read(group: Group, *, acks: bool = True) -> None:
    """Read what one source asks at one port, where something there may be a check; `acks`: the capture has bare ACKs."""
    if not ENOUGH <= len(group.exchanges) <= MOST_RUNS:
        group.checks = []
        return
    group.sort()
    by_shape: dict[Shape, list[Exchange]] = {}
    for exchange, check in zip(group.exchanges, group.checks, strict=True):
        if check.shape is not None:
            by_shape.setdefault(check.shape, []).append(exchange)
    for shape, members in by_shape.items():
        if len(members) < ENOUGH:
            continue
        manner = manner_of(members, acks=acks)
        if (row := named_by(shape, manner)) is not None:
            group.rows[shape] = row
        if ticks_by(shape, manner):
            group.clocks.add(shape)
    _turned_away(group)
    for rotating in {row.kind: row for row in group.rows.values() if row.rotates}.values():
        _rotation(group, [shape for shape, row in group.rows.items() if row is rotating])


def sort_out(group: Group, *, tries: bool) -> None:
    """Find the series of a group; `tries` says that its source may try a check again at once."""
    sort = tracks_of_tries if tries else tracks
    passes_on = any(row.kind == STEPS for row in group.rows.values())
    shapes = {check.shape for check in group.checks if check.shape is not None} if passes_on else ()
    loose = frozenset(shape for shape in shapes if shape not in group.rows and passed_on(shape.names, shape.agent))
    group.found = sort(group.checks, frozenset(group.clocks), frozenset(group.rows), loose)
    if passes_on:
        settle(group.checks, group.found)


def _turned_away(group: Group) -> None:
    """Let checks that left because of what a server said first be anybody's who else talks to it."""
    if any(check.shape is not None and check.shape.what is What.BYTES for check in group.checks):
        for index, (exchange, check) in enumerate(zip(group.exchanges, group.checks, strict=True)):
            if check.shape is not None and check.shape.what is What.CLOSE and turned_away(exchange):
                group.checks[index] = check._replace(shape=None, failed=True)


def _rotation(group: Group, shapes: Sequence[Shape]) -> None:
    """Make one shape of those that one check asks in turn: between any two of its checks lies the same pause."""
    if len(shapes) < 2:
        return
    seen = [check for check in group.checks if check.shape in shapes]
    gaps = [
        after.start - before.end
        for before, after in pairwise(seen)
        if not before.failed and before.end is not None and before.shape != after.shape
    ]
    if len(gaps) < ENOUGH:
        return
    middle = median(gaps)
    if sum(abs(gap - middle) <= TIGHT_NS for gap in gaps) < ALIKE * len(gaps):
        return  # several checks, each at its own time
    for index, check in enumerate(group.checks):
        if check.shape in shapes:
            group.checks[index] = check._replace(shape=shapes[0])
