"""Which series are checks, and whose: everything that reached a target and is no kubelet's attempt, sorted by who may have sent it.

Theory of operation. For each source and port `probes.checkers` sorts the runs into series; a row of
`probes.signatures` names
a series, or, for a plain connect, its pace together with what else its source sends. What nothing names is `unknown`
where it is periodic, and traffic where it is not; but a series that a kubelet may have sent is left for the lanes to
look at.

Two series that are one: behind address translation the same check is seen as two connections, one inside the other in
time.

Limitations: checks on a kept connection are counted with traffic, but for those that `probes.questions` takes apart. Two
checkers whose refused checks come within a few milliseconds of each other may have them swapped: nothing but time tells
them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from probewatch.model.check import BY_HAND, CheckSpec
from probewatch.model.exchange import Exchange
from probewatch.model.units import MS, SECOND
from probewatch.probes.checkers import EXACT_NS, Check, Track
from probewatch.probes.ends import check_of, through
from probewatch.probes.forms import form_of
from probewatch.probes.learnt import Learnt, earliest, in_step, learn, on_ticks, whole_seconds
from probewatch.probes.proxies import ADDS, FORWARDED, passed_on, proxy_of
from probewatch.probes.replies import DNS, listens, says_agent
from probewatch.probes.runs import Run
from probewatch.probes.shapes import AGENT, Shape, What
from probewatch.probes.signatures import (
    BY_PACE,
    GO_CLIENTS,
    KUBE_PROBE,
    METHODS,
    NOT_CHECKS,
    SCRAPES,
    Basis,
    Pacing,
    Signature,
)
from probewatch.probes.steps import goes_on, joined

from .groups import STEPS, TIGHT_NS, Group, Key, grouped, read, sort_out
from .nested import Moments, chosen, lies_inside
from .others import Peer, periodic

STEADY: Final = 0.2
"""Spread, relative to the pause, up to which a series that nothing names counts as periodic."""
NEAR: Final = 0.05
"""Share of a declared interval by which a measured one may differ."""
SHOWN: Final = 60
"""Characters of a User-Agent that are shown as evidence."""
SEEN_AS: Final = {
    What.CLOSE: "connect check",
    What.RESET: "connect check",
    What.TLS: "TLS check",
    What.BYTES: "check in a protocol of its own",
    What.GRPC: "gRPC check",
}
"""What is seen of checks that look like anybody's."""
WHOSE: Final = {"varnish": "a Varnish probe", "envoy": "an Envoy health check"}
"""Whose request may be anything that somebody configured, but for its form: Envoy spells all header names in lower case."""
REPEATS: Final = "monit"
"""Who tries a check again at once."""


@dataclass(slots=True)
class Named:
    """A series with its checker."""

    kind: str
    row: Signature | None
    track: Track
    exchanges: list[Exchange]
    """Of the track's checks, in order."""
    moments: Moments
    """Of these."""
    learnt: Learnt
    why: list[str]
    confidence: float
    outer: Named | None = None
    """The series it repeats behind address translation."""
    then: Named | None = None
    """The next connection of each of its checks, where one check makes several."""
    part: bool = False
    """It is such a next connection."""

    @property
    def client(self) -> str:
        """Source address."""
        return self.exchanges[0].connection.client

    @property
    def server(self) -> str:
        """Target address."""
        return self.exchanges[0].connection.server

    @property
    def port(self) -> int:
        """Target port."""
        return self.exchanges[0].connection.server_port

    @property
    def shape(self) -> Shape:
        """What its checks ask."""
        return self.track.pace.shape

    @property
    def targets(self) -> list[str]:
        """What is asked for in turn, sorted (nothing, where the capture lost a request)."""
        return sorted({http.target for exchange in self.exchanges for http in exchange.http[:1] if http.target})

    @property
    def checks(self) -> list[Check]:
        """Its checks, as they were sorted into it."""
        return [check_of(exchange) for exchange in self.exchanges]


def survey(
    strangers: Iterable[Run],
    *,
    skip: frozenset[str] = frozenset(),
    declared: Sequence[CheckSpec] = (),
    acks: bool = True,
) -> tuple[list[Named], list[Run]]:
    """Return the series that are checks, and the runs that belong to none of them. Sources in `skip` are kubelets.

    A series that nothing names is returned as `unknown`, unless a kubelet may stand behind it: its runs are left for a
    closer look. Where the capture has no `acks` at all, none that is missing names anybody.
    """
    runs = list(strangers)
    groups, whole = grouped(runs)
    machines = _read(groups, acks=acks)
    named = _signed(groups)
    named += _passing_on(groups, runs, machines, skip)
    named += _in_company(groups, named, machines, skip)
    for spec in declared:
        if spec.source != BY_HAND or spec.address is None or spec.kind == "haproxy":
            continue  # HAProxy's are known by themselves
        named += _by_word(spec, groups, {id(one.track) for one in named}, skip)
    _translations(named)
    _steps(named)
    named += _unknown(groups, named, machines, skip)
    claimed = {whole.get(id(exchange), id(exchange)) for one in named for exchange in one.exchanges}
    return named, _left(runs, claimed)


def _read(groups: dict[Key, Group], *, acks: bool) -> dict[str, str]:
    """Find the series in each group and what they are signed with; return which machine each source is."""
    for group in groups.values():
        read(group, acks=acks)
    machines = _machines(groups)
    repeating = {
        machines[key[0]] for key, group in groups.items() if any(row.kind == REPEATS for row in group.rows.values())
    }
    for (client, _, _), group in groups.items():
        sort_out(group, tries=machines[client] in repeating)
    return machines


def _signed(groups: dict[Key, Group]) -> list[Named]:
    """Return the series that a signature names."""
    return [
        _named(row.kind, row, group, track, [row.says], row.confidence)
        for group in groups.values()
        for track in group.found
        if (row := group.rows.get(track.pace.shape)) is not None
    ]


def _in_company(
    groups: dict[Key, Group], named: Sequence[Named], machines: dict[str, str], skip: frozenset[str]
) -> list[Named]:
    """Return the series that are named after what else their source runs."""
    out: list[Named] = []
    found = _beside(groups, named, machines, skip)
    while found:
        out += found
        # Each check of a cycle begins as the one before it ends, so that what was found shows the next one.
        known = [*named, *out]
        cycles = [one for one in known if one.kind in BY_PACE and BY_PACE[one.kind].pacing is Pacing.CYCLE]
        taken = {id(one.track) for one in known}
        found = [one for one in _beside(groups, cycles, machines, skip) if id(one.track) not in taken]
    return out


def _unknown(
    groups: dict[Key, Group], named: Sequence[Named], machines: dict[str, str], skip: frozenset[str]
) -> list[Named]:
    """Return the series that are checks and that nothing names; not where a kubelet may stand behind all of a source's."""
    taken = {id(one.track) for one in named}
    passing = {machines[one.client] for one in named if one.kind == STEPS}
    out: list[Named] = []
    for (client, _, _), group in groups.items():
        rest = [
            track
            for track in group.found
            if id(track) not in taken
            and check_like(track.pace.shape)
            and _steady(track)
            and not (machines[client] in passing and passed_on(track.pace.shape.names, track.pace.shape.agent))
        ]
        alone = len(rest) == len(group.found)
        if client in skip or (
            alone and any(maybe_kubelet([group.exchanges[at] for at in track.members]) for track in rest)
        ):
            continue
        for track in rest:
            _clocked(track, learn(group.checks, track))
            out.append(_named("unknown", None, group, track, _said(group, track), 0.0))
    return out


def _machines(groups: dict[Key, Group]) -> dict[str, str]:
    """Return, for each source address, what stands for its machine: two that come unrouted from one interface are one machine's."""
    out: dict[str, str] = {}
    for (client, _, _), group in groups.items():
        out.setdefault(client, group.mac.hex() if group.near and group.mac else client)
    return out


def _passing_on(
    groups: dict[Key, Group], runs: Sequence[Run], machines: dict[str, str], skip: frozenset[str]
) -> list[Named]:
    """Name checks by Go's plain client after the proxy that passes requests on from the same source."""
    passed: dict[str, list[Exchange]] = {}
    for run in runs:
        passed.setdefault(machines.get(run.client, run.client), []).extend(exchange for _, exchange in run.legs())
    proxies = {machine: kind for machine, exchanges in passed.items() if (kind := proxy_of(exchanges))}
    return [
        _named(kind, None, group, _clocked(track, learn(group.checks, track)), [ADDS[kind][1]], 0.85)
        for (client, _, _), group in groups.items()
        if (kind := proxies.get(machines[client], "")) and client not in skip
        for track in group.found
        if track.pace.shape not in group.rows and track.pace.shape.agent.startswith(GO_CLIENTS)
    ]


def _beside(
    groups: dict[Key, Group], named: Sequence[Named], machines: dict[str, str], skip: frozenset[str]
) -> list[Named]:
    """Name series after what else their source is known to run, also from another address of it."""
    taken = {id(one.track) for one in named}
    by_machine: dict[str, list[Named]] = {}
    for one in named:
        by_machine.setdefault(machines[one.client], []).append(one)
    out: list[Named] = []
    for (client, _, _), group in groups.items():
        mine = by_machine.get(machines[client], [])
        for track in group.found:
            if id(track) not in taken and track.pace.shape not in group.rows:
                out += _free_text(group, track, mine) or (_by_pace(group, track, mine) if client not in skip else [])
    return out


def so_far(
    held: Sequence[Run], *, skip: frozenset[str], declared: Sequence[CheckSpec], acks: bool
) -> tuple[set[Peer], set[int]]:
    """Return who checks whom, of the checkers that are named, and the exchanges (by id) of all that is a check as it looks now."""
    named, left = survey(held, skip=skip, declared=declared, acks=acks)
    idle = {id(exchange) for run in left for _, exchange in run.legs()}
    kept = {id(exchange) for run in held for _, exchange in run.legs()} - idle
    by_target: dict[str, list[Run]] = {}
    for run in left:
        by_target.setdefault(run.server, []).append(run)
    for runs in by_target.values():
        kept |= {id(exchange) for one in periodic(runs)[0] for run in one.runs for _, exchange in run.legs()}
    return {(one.client, one.server, one.port) for one in named if one.kind != "unknown"}, kept


def _said(group: Group, track: Track) -> list[str]:
    """Return what is seen of a series that nothing names."""
    kept = any(group.exchanges[index].connection.question > 1 for index in track.members)
    how = "periodic, on a kept connection" if kept else "periodic, a fresh connection for each check"
    return [*said_of_itself(track.pace.shape.agent), how]


def said_of_itself(agent: str) -> list[str]:
    """Return what a checker that nothing names says of itself; a kubelet's name alone proves none."""
    if not agent:
        return []
    return [
        f"User-Agent {agent[:SHOWN]}" + (", but not proven to be a kubelet" if agent.startswith("kube-probe/") else "")
    ]


def asks_agent(named: Named) -> bool:
    """Tell whether it is an agent-check of HAProxy's, which may say a word first (agent-send)."""
    shape = named.shape
    if shape.what is not What.BYTES or named.kind != STEPS:
        return shape.opening == AGENT
    told = [exchange.connection.resp.data for exchange in named.exchanges if exchange.connection.resp.data]
    return bool(told) and all(map(says_agent, told))


def check_like(shape: Shape) -> bool:
    """Tell whether what is asked may be a check at all."""
    if any(name.lower() in FORWARDED for name in shape.names):
        return False
    return (
        not shape.agent.startswith(SCRAPES)
        and (shape.what is not What.BYTES or shape.opening.startswith(DNS))
        and (shape.what is not What.HTTP or shape.method in METHODS)
    )


def _steady(track: Track) -> bool:
    """Tell whether a series is regular enough to be a check by its pace alone: people and loops with random pauses are not."""
    return track.pace.spread_ns <= STEADY * track.pace.interval_ns


def maybe_kubelet(exchanges: Sequence[Exchange]) -> bool:
    """Tell whether a series asks and paces as a kubelet does, for all that is known; a kubelet keeps no connection."""
    if any(exchange.connection.question for exchange in exchanges):
        return False
    in_time = whole_seconds([exchange.connection.start.ns for exchange in exchanges])
    return in_time and all(form_of(exchange).kubelet for exchange in exchanges)


def _named(kind: str, row: Signature | None, group: Group, track: Track, why: list[str], sure: float) -> Named:
    exchanges = [group.exchanges[index] for index in track.members]
    learnt = measured(kind, row, group.checks, track)
    return Named(kind, row, track, exchanges, chosen(group.moments, track.members), learnt, why, sure)


def measured(kind: str, row: Signature | None, checks: Sequence[Check], track: Track) -> Learnt:
    """Measure a series as the kind of checker counts whose it is."""
    learnt = learn(checks, track)
    if kind == "monit" and learnt.interval_ns is not None and learnt.interval_ns >= SECOND:
        # `set daemon` takes whole seconds, and what its cycle does beside this check comes on top.
        learnt = replace(learnt, interval_ns=learnt.interval_ns // SECOND * SECOND)
    chance = track.pace.interval_ns if row is not None and row.adds and track.pace.spread_ns > EXACT_NS else 0
    late = chance or (row.tick_ns if row is not None else 0)
    if late and (interval := earliest(checks, track, late)) is not None:
        learnt = replace(learnt, interval_ns=interval)
    return learnt


def _by_pace(group: Group, track: Track, proven: Sequence[Named]) -> list[Named]:
    """Name a check that looks like anybody's by its pace and by what else its source runs; only where one answer fits."""
    shape = track.pace.shape
    if shape.agent.startswith(KUBE_PROBE):
        return []
    made = _named("", None, group, track, [], 0.0)
    fitting: dict[str, tuple[str, float]] = {}
    hears = listens([exchange.connection for exchange in made.exchanges])
    for kind, beside in BY_PACE.items():
        others = [one for one in proven if one.kind == kind]
        if beside.listens is not None and shape.what is What.CLOSE and beside.listens is not hears:
            continue
        if others and shape.what in beside.what and _paced(beside.pacing, made, others):
            fitting[kind] = (f"{SEEN_AS[shape.what]} at the pace of the {kind} that its source also runs", 0.75)
    learnt = made.learnt
    alone = (
        not fitting and not hears and shape.what is What.CLOSE and track.pace.spread_ns <= EXACT_NS and not learnt.ticks
    )
    if alone and learnt.retries:
        fitting["keepalived"] = (
            f"connect check, repeated after {(learnt.short_ns or 0) / SECOND:.1f} s when it first fails",
            0.7,
        )
    if len(fitting) != 1:
        return []
    kind, (why, sure) = fitting.popitem()
    return [_named(kind, None, group, _clocked(track, learnt), [why], sure)]


def _clocked(track: Track, learnt: Learnt) -> Track:
    """Return a series, counted from start to start where it ticks."""
    if learnt.ticks:
        track.pace = replace(track.pace, basis=Basis.CLOCK)
    return track


def _paced(pacing: Pacing, made: Named, others: Sequence[Named]) -> bool:
    """Tell whether a series paces itself as the checker does whose other series these are."""
    learnt, spread = made.learnt, made.track.pace.spread_ns
    if (pacing is Pacing.CLOCK) is not learnt.ticks:
        return False
    starts = [exchange.connection.start.ns for exchange in made.exchanges]
    if pacing is Pacing.CYCLE:
        spans = [
            (c.start.ns, through(c) or c.start.ns + (one.learnt.timeout_ns or 0))
            for one in others
            for c in (exchange.connection for exchange in one.exchanges)
        ]
        return in_step(starts, spans)
    if pacing is Pacing.TICKS:
        tick = max(one.row.tick_ns for one in others if one.row is not None)
        return on_ticks(starts, [e.connection.start.ns for one in others for e in one.exchanges], tick)
    return pacing is Pacing.CLOCK or spread <= TIGHT_NS


def _by_word(spec: CheckSpec, groups: dict[Key, Group], taken: set[int], skip: frozenset[str]) -> list[Named]:
    """Name the one series that nothing names at the target of a `--check`."""
    found: list[Named] = []
    for (client, server, port), group in groups.items():
        if client in skip or server != spec.address or port != (spec.port or port):
            continue
        for track in group.found:
            if id(track) in taken or track.pace.shape.agent.startswith(SCRAPES):
                continue
            made = _named(spec.kind, None, group, track, ["--check says that it checks this target"], 0.6)
            if spec.interval_ns is None or keeps(spec, made.learnt):
                found.append(made)
    if len(found) != 1:
        return []
    _clocked(found[0].track, found[0].learnt)
    return found


def keeps(spec: CheckSpec, learnt: Learnt) -> bool:
    """Tell whether a series keeps the interval that is declared."""
    return _same_pace(spec.interval_ns, learnt.interval_ns)


def _free_text(group: Group, track: Track, proven: Sequence[Named]) -> list[Named]:
    """Name a series whose request no row knows after the Varnish or Envoy that its source runs: both send headers as they were told."""
    shape = track.pace.shape
    if (
        shape.what is not What.HTTP
        or shape in group.rows
        or shape.agent.startswith(NOT_CHECKS)
        or track.pace.spread_ns > TIGHT_NS
        or track.pace.basis is not Basis.PAUSE
    ):
        return []
    lower = all(name == name.lower() for name in shape.names)
    kept = any(group.exchanges[index].connection.question > 1 for index in track.members)
    rows = {one.kind: one.row for one in proven if one.row is not None}
    fitting = [kind for kind, fits in (("varnish", not lower and not kept), ("envoy", lower)) if fits and kind in rows]
    if len(fitting) != 1:
        return []
    kind = fitting[0]
    why = f"request of its own, at the exact pause of {WHOSE[kind]}, from a source that runs {kind.capitalize()}"
    return [_named(kind, rows[kind], group, track, [why], 0.6)]


def _left(runs: Sequence[Run], claimed: set[int]) -> list[Run]:
    """Return what no named series took; a joined run of which one took a part falls into its connections."""
    out: list[Run] = []
    for run in runs:
        legs = [exchange for _, exchange in run.legs()]
        if not any(id(exchange) in claimed for exchange in legs):
            out.append(run)
        else:
            out += [single(exchange) for exchange in legs if id(exchange) not in claimed]
    return out


def single(exchange: Exchange) -> Run:
    """Return a connection as a run of its own."""
    c = exchange.connection
    return Run(
        client=c.client, server=c.server, form=form_of(exchange), start=c.neighbour or c.start, tries=((exchange,),)
    )


def _translations(named: Sequence[Named]) -> None:
    """Mark the series that repeat another one behind address translation: each connection lies inside one of the other's, in time."""
    by_shape: dict[Shape, list[Named]] = {}
    for one in named:
        by_shape.setdefault(one.shape, []).append(one)
    for alike in by_shape.values():
        if len(alike) < 2:
            continue
        for inner in alike:
            for outer in alike:
                if outer is not inner and outer.outer is None and inner.outer is None:
                    same = (inner.client, inner.server, inner.port) == (outer.client, outer.server, outer.port)
                    if not same and lies_inside(inner.moments, outer.moments):
                        inner.outer = outer


def _steps(named: Sequence[Named]) -> None:
    """Mark the series that are the next connection of another's checks."""
    by_server: dict[tuple[str, str], list[Named]] = {}
    for one in named:
        if one.kind == STEPS:
            by_server.setdefault((one.client, one.server), []).append(one)
    for mine in by_server.values():
        checks = [one.checks for one in mine] if len(mine) > 1 else []
        for number, then in enumerate(mine):
            for other, first in enumerate(mine):
                alike = keeps_pace(first.learnt, then.learnt)
                if other != number and alike and first.then is None and goes_on(checks[other], checks[number]):
                    first.then, then.part = then, True
                    first.learnt = learn(*joined(first.track.pace, checks[other], checks[number]))
                    break


def keeps_pace(one: Learnt, other: Learnt) -> bool:
    """Tell whether two series have the same interval, as far as it is known."""
    return _same_pace(one.interval_ns, other.interval_ns)


def _same_pace(interval_ns: int | None, other_ns: int | None) -> bool:
    return (
        interval_ns is not None and other_ns is not None and abs(other_ns - interval_ns) <= NEAR * interval_ns + 20 * MS
    )
