"""Guess the probes of a target from its attempts alone, where no Pod spec tells them.

Packets show handler, port, path and cadence plainly. They show the type only through behaviour: a readiness worker is
poked outside its grid while its container is not
Ready, a liveness worker falls silent at its failure threshold until there is a new container, a startup worker stops
for good when the others begin. Where none of this
happened in the capture the type stays unknown: nothing is guessed silently, each guess carries its reason (docs/how-it-knows.md,
"What stays unknown").

This module is over 600 lines because all signs are sought in one state: the groups of runs that ask the same.
"""

from __future__ import annotations

import heapq
import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, Outcome
from probewatch.model.units import MS, SECOND, off_by

from .cadence import GRID_NS, Chain, chains, median, period_of, side_by_side, steady, tickers
from .cadence import whole_seconds as exact_seconds
from .forms import Ask, Form
from .judge import Verdict
from .learnt import whole_seconds
from .patience import observed_timeout
from .runs import Run, at_once, is_hop, verdict_of
from .signatures import named_agent

POKE_NS: Final = 15 * MS
"""A poked readiness probe follows what poked it within this."""
REGULAR: Final = 0.05
"""Relative spread below which steps are all the same."""
ENOUGH: Final = 4
"""Starts that a series of its own needs."""
SERIES: Final = 3
"""Starts that one of several series with the same request needs: two of a probe that runs once a container are often as far apart."""
MOST_GUESSED: Final = 128
"""Different questions at one target that are guessed to be probes; of more, those that were asked most."""
SCANNED: Final = 16
"""Ports of one target each of which is tried once, and asked nothing: so many are a port scan."""
DEFAULT_FAILURES: Final = 3
"""failureThreshold where a Pod says nothing."""
DEFAULT_PERIOD_NS: Final = 10 * SECOND
"""periodSeconds where a Pod says nothing."""
SHORTEST_NS: Final = SECOND - 20 * MS
"""The shortest timeout, one second, as the wire may show it."""
SOON: Final = 0.25
"""Within this share of a period after a failure a container hardly ends by itself."""
GONE: Final = frozenset({Cause.REFUSED, Cause.RESET_BEFORE_ANSWER, Cause.UNREACHABLE})
"""Ends of an attempt at a container that is no more."""
MOST_PROBES: Final = 3
"""Probes that may share one signature: readiness, liveness and startup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One probe as the packets suggest it."""

    spec: ProbeSpec
    reason: str
    """Why this type (or why none)."""
    inferred: dict[str, int] = field(default_factory=dict)
    """Which of the spec's numbers the packets showed."""
    era: int = 0
    """Which part of the input it was seen in, where files lie apart and what is asked in one is asked in no other."""


@dataclass(frozen=True, slots=True)
class _Key:
    handler: Handler
    port: int
    scheme: str
    path: str | None
    service: str | None
    agent: str | None = None
    """The User-Agent of what does not call itself a kubelet's."""


NAMES: Final = {
    ProbeType.READINESS: frozenset({"ready", "readyz", "readiness"}),
    ProbeType.LIVENESS: frozenset({"live", "livez", "liveness", "alive"}),
    ProbeType.STARTUP: frozenset({"startup", "startupz", "started"}),
}
"""Words that paths and services are called after: those of the API server's own endpoints (`/livez`, `/readyz`) and their kin."""
APART: Final = "another file shows a probe of that type at this address, perhaps another Pod's"
RECENT: Final = 60
"""Runs from which the period of one file's attempts is taken."""
STOPPED: Final = 3
"""So many periods without an attempt, while others go on, are a probe's end."""


@dataclass(slots=True)
class _Group:
    key: _Key
    runs: list[Run]
    mute: list[Run] = field(default_factory=list)
    """Runs to its port that never got to ask: perhaps its own."""
    period_s: int | None = None
    at_most: bool = False
    """The period is that long or shorter: each attempt began when the one before had ended."""
    timeout_s: int | None = None
    found: list[Chain] = field(default_factory=list)
    workers: int = 1
    _judged: tuple[Sequence[Run], list[Verdict]] | None = None
    _begun: tuple[Sequence[Run], list[int]] | None = None

    @property
    def starts(self) -> list[int]:
        """When its runs began, worked out once for each list of them: all the others' are asked for, again and again."""
        if self._begun is None or self._begun[0] is not self.runs or len(self._begun[1]) != len(self.runs):
            self._begun = self.runs, [run.start.ns for run in self.runs]
        return self._begun[1]

    def verdicts(self) -> list[Verdict]:
        """Return what came of each run, worked out once: several signs are sought in it."""
        if self._judged is None or self._judged[0] is not self.runs:
            spec = _spec(self, ProbeType.UNKNOWN, {})
            self._judged = self.runs, [verdict_of(run, spec, None) for run in self.runs]
        return self._judged[1]


class _Company:
    """All groups of a target as each of them sees the others: who begins first there, and who goes on last.

    Only the outermost two of each port, and of all, are kept: one of them is another's whoever asks.
    """

    def __init__(self, groups: Sequence[_Group]) -> None:
        self.groups = groups
        self._outer: dict[int | None, tuple[list[_Group], list[_Group]]] = {}
        self._stopped: list[_Group] | None = None
        self.port: dict[int, list[_Group]] = {}
        """The groups of each port."""
        for group in groups:
            self.port.setdefault(group.key.port, []).append(group)

    def changed(self) -> None:
        """Know that a group has got other runs, or another period."""
        self._outer.clear()
        self._stopped = None

    def others(self, group: _Group) -> tuple[int, int] | None:
        """Return when the first and the last run of all others of its port, or else of this target, began; None where it is alone.

        One port is one container; the probes of another began when that did.
        """
        port = group.key.port if len(self.port[group.key.port]) > 1 else None
        if port not in self._outer:
            members = self.groups if port is None else self.port[port]
            first = heapq.nsmallest(2, members, key=lambda one: one.starts[0])
            last = heapq.nlargest(2, members, key=lambda one: one.starts[-1])
            self._outer[port] = first, last
        begun, ended = ([one for one in two if one is not group] for two in self._outer[port])
        return (begun[0].starts[0], ended[0].starts[-1]) if begun else None

    def startup(self, group: _Group) -> _Group | None:
        """Return the first of the others that stopped for good when others began."""
        if self._stopped is None:
            self._stopped = [one for one in self.groups if _stops_for_others(one, self)]
        return next((one for one in self._stopped if one is not group), None)


def guess(runs: Sequence[Run], *, proven: bool = True, poked: bool = True) -> list[Guess]:
    """Guess the probes behind a kubelet's runs at one target, given in the order of their starts.

    Where it is not `proven` that a kubelet sent them, only runs outside the grid give a type, and only where something answered.
    Of a kubelet whose readiness probes are not `poked` (up to 1.20) such runs say nothing of a type.
    """
    parts = eras(runs)
    if len(parts) > 1:
        return _apart([guess(part, proven=proven, poked=poked) for part in parts])
    groups = [own for group in _groups(runs) if _may_be(group) and (own := _without_loops(group)).runs]
    groups = [part for group in _probing(groups) for part in _by_period(group)]
    for group in groups:
        group.timeout_s = observed_timeout(group.runs, group.key.handler)
        if group.period_s is not None:
            group.found = chains(group.starts, group.period_s)
            series = sum(len(chain.members) >= SERIES for chain in group.found)
            group.workers = max(1, min(MOST_PROBES, series, side_by_side(group.starts, group.period_s)))
    out: list[Guess] = []
    owner: list[_Group] = []
    company = _Company(groups)
    for group in groups:
        found = _typed(group, company, poked=poked)
        out += found
        owner += [group] * len(found)
    if not proven:
        return [_reserved(one, group) for one, group in zip(out, owner, strict=True)]
    return _by_exclusion(out, owner)


def _apart(parts: Sequence[Sequence[Guess]]) -> list[Guess]:
    """Return the guesses of eras; a type that one before has is not told of another: whether they are one container's is not known."""
    out: list[Guess] = []
    for era, found in enumerate(parts):
        taken = {(one.spec.type, one.spec.port) for one in out}  # (Another port may well be another container's.)
        for one in found:
            told = (one.spec.type, one.spec.port) not in taken
            spec = one.spec if told else replace(one.spec, type=ProbeType.UNKNOWN)
            out.append(replace(one, spec=spec, reason=one.reason if spec is one.spec else APART, era=era))
    return out


def eras(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """Split runs where one file ends and the next begins some periods later, and nothing is asked before and after alike.

    An address may be another Pod's by then: what is silent in one file has not stopped for what another one shows.
    """
    asked = {run.form.port for run in runs if run.form.ask in (Ask.HTTP, Ask.TLS, Ask.GRPC)}
    borders = [0]
    for at in range(1, len(runs)):
        pause = runs[at].start.ns - runs[at - 1].start.ns
        if runs[at - 1].start.file == runs[at].start.file or pause <= STOPPED * SECOND:
            continue
        before, after = runs[borders[-1] : at], runs[at:]
        period = max(period_of([run.start.ns for run in part[:RECENT]]) or 1 for part in (before, after))
        keys = ({key for run in part if (key := _key(run, asked)) is not None} for part in (before, after))
        if pause > STOPPED * period * SECOND and next(keys).isdisjoint(next(keys)):
            borders.append(at)
    return [runs[begin:end] for begin, end in itertools.pairwise([*borders, len(runs)])]


def named_type(spec: ProbeSpec) -> ProbeType:
    """Return the type that a path, or a gRPC service, is called after (`/readyz`, `/health/live`); UNKNOWN where it is none."""
    asked = spec.service if spec.handler is Handler.GRPC else spec.path if spec.handler is Handler.HTTP_GET else ""
    words = {word.lower() for word in re.split(r"[^A-Za-z]+", asked.partition("?")[0])}
    kinds = {kind for kind, names in NAMES.items() if words & names}
    return kinds.pop() if len(kinds) == 1 else ProbeType.UNKNOWN


def ticking(runs: Sequence[Run]) -> list[Run]:
    """Return those of a series that come as a ticker does, at least ENOUGH one after another; several tickers may share it."""
    out: list[Run] = []
    rest = list(runs)
    for _ in range(MOST_PROBES):
        starts = [run.start.ns for run in rest]
        period_s = period_of(starts)
        found = [] if period_s is None else tickers(starts, period_s, ENOUGH)
        chosen = {index for chain in found for index in chain.members}
        if not chosen:
            break
        out += [rest[index] for index in chosen]
        rest = [run for index, run in enumerate(rest) if index not in chosen]
    return sorted(out, key=lambda run: run.start.ns)


def _may_be(group: _Group) -> bool:
    """Tell whether a kubelet may ask so: under another name than its own only as a Pod's headers say it, and in time.

    Whoever else runs on a node, or is translated to its address, asks from the same address. Of a request whose header the
    capture cut before any name only the time tells.
    """
    agent = group.key.agent
    if agent is None:
        return True
    nameless = not agent and not all(run.form.cut for run in group.runs)
    return not nameless and named_agent(agent) is None and whole_seconds(group.starts)


def _without_loops(group: _Group) -> _Group:
    """Leave out of those that only connected what pauses between one connection and the next, as somebody's loop on the node does.

    Where one of them failed, that may be what moved the others.
    """
    if len(group.runs) >= ENOUGH and all(run.form.ask is Ask.CONNECT for run in group.runs):
        own = ticking(group.runs)
        if not own or len(group.runs) - len(own) >= ENOUGH:
            group.runs = own
    return group


def _probing(groups: list[_Group]) -> list[_Group]:
    """Leave out what is no probe for being one of very many: connections of a port scan, and what is asked for beyond MOST_GUESSED.

    A scan tries each port but once: where so many do that no ticker of any probe is seen to come back, none of them is believed.
    """
    tried = {id(group) for group in groups if group.key.handler is Handler.TCP_SOCKET and once(group.starts)}
    if len(tried) >= SCANNED:
        groups = [group for group in groups if id(group) not in tried]
    if len(groups) <= MOST_GUESSED:
        return groups
    most = sorted(groups, key=lambda group: -len(group.runs))[:MOST_GUESSED]  # (of as many, the first)
    return sorted(most, key=lambda group: group.runs[0].start.ns)


def once(starts: Sequence[int]) -> bool:
    """Tell whether all starts are within one second, the shortest period: a try, and perhaps another where nothing answered."""
    return starts[-1] - starts[0] < SHORTEST_NS


def _reserved(one: Guess, group: _Group) -> Guess:
    """Take back a type that could as well be another checker's habit."""
    answered = any(run.form.ask is not Ask.NOTHING for run in group.runs)
    if one.spec.type is ProbeType.READINESS and answered:
        return one
    spec = replace(one.spec, type=ProbeType.UNKNOWN)
    inferred = {name: value for name, value in one.inferred.items() if name != "failureThreshold"}
    return replace(one, spec=spec, reason="nothing proves that a kubelet sent it", inferred=inferred)


def _by_exclusion(guesses: list[Guess], owners: Sequence[_Group]) -> list[Guess]:
    """Type what is left by what is known: one port is one container, and a container has one probe of each type."""
    out = list(guesses)
    of_port: dict[int | None, list[int]] = {}
    for index, one in enumerate(guesses):
        of_port.setdefault(one.spec.port, []).append(index)
    for index, one in enumerate(guesses):
        here = of_port[one.spec.port]
        if one.spec.type is not ProbeType.UNKNOWN or len(here) > len(ProbeType) + 1:
            continue  # (More than one of each type is beside it.)
        siblings = [guesses[place] for place in here if place != index]
        types = {other.spec.type for other in siblings}
        if len(siblings) != len(types) or ProbeType.UNKNOWN in types or ProbeType.READINESS not in types:
            continue
        if _stopped(owners[index], [owners[place] for place, other in enumerate(guesses) if other in siblings]):
            continue  # A startup probe is silent once it succeeded.
        least = _at_least(owners[index])
        spec = replace(
            one.spec,
            type=ProbeType.LIVENESS,
            failure_threshold=least.get("failureThreshold", one.spec.failure_threshold),
        )
        why = "its container's readiness probe is another, and it did not stop as a startup probe does"
        out[index] = replace(one, spec=spec, reason=why)
    return out


def _stopped(group: _Group, siblings: Sequence[_Group]) -> bool:
    """Tell whether a probe was silent before others of its container began, and ever since; deleted Pods lose liveness beside readiness."""
    if group.period_s is None:
        return True
    first, last = group.starts[0], group.starts[-1]
    if any(first < begun < last for other in siblings for begun in other.starts):
        return False
    return max(other.starts[-1] for other in siblings) - last > STOPPED * group.period_s * SECOND


def _by_period(group: _Group) -> list[_Group]:
    """Split what two probes of different periods share: the chains of the shorter one leave the longer one's starts over."""
    group.period_s = period_of(group.starts)
    pace = _back_to_back(group)
    if pace is not None and (group.period_s is None or pace < group.period_s):
        group.period_s, group.at_most = pace, True
        return [group]
    if group.period_s is None:
        return [group]
    starts, span = group.starts, group.period_s * SECOND
    found = [chain.members for chain in chains(starts, group.period_s) if len(chain.members) >= 3]
    keeps = {member for members in found for member in members}
    begins = [starts[members[0]] for members in found]
    # A lone start just before a chain begins is a poke that the next poke overtook, not another probe's.
    rest = [
        index
        for index, start in enumerate(starts)
        if index not in keeps and not any(0 < begun - start < span for begun in begins)
    ]
    period = period_of([starts[index] for index in rest])
    if period is None or period == group.period_s:
        return [group]
    own = [chain.members for chain in chains([starts[index] for index in rest], period) if len(chain.members) >= ENOUGH]
    others = {rest[member] for members in own for member in members}
    if not others:
        return [group]
    runs = group.runs
    group.runs = [run for index, run in enumerate(runs) if index not in others]
    return [group, _Group(group.key, [runs[index] for index in sorted(others)], group.mute, period)]


def _back_to_back(group: _Group) -> int | None:
    """Return the longest period of a worker that is busy all the time, None where it is not.

    Its attempts last longer than the period, so that a tick always waits for it (worker.go run).
    """
    steps = [
        (after.start.ns - before.start.ns, at_once(before, after)) for before, after in itertools.pairwise(group.runs)
    ]
    long = [step for step, waited in steps if waited]
    return int(median(long)) // SECOND if len(long) >= ENOUGH and len(long) >= 0.6 * len(steps) else None


def observed_period(starts: Sequence[int]) -> int | None:
    """Return periodSeconds as one probe's own starts show it, None where they do not.

    Attempts that last longer than the period follow each other at once (worker.go run: one tick is kept). Such steps are
    as regular and say nothing of the period, nor do two of them that come to whole seconds.
    """
    if len(starts) < 3:
        return None
    period, rhythm = period_of(starts), steady(starts)
    if period is not None and rhythm is not None and rhythm[1] < REGULAR and rhythm[0] < period * (1 - REGULAR):
        return None
    return period


def ticking_period(starts: Sequence[int]) -> int | None:
    """Return periodSeconds as starts show it that nothing poked, but perhaps the first: that of a probe that became Ready then.

    Where few came after that one, it counts if it stands as far from the next as each from its next.
    """
    steps = {exact_seconds(after - before) for before, after in itertools.pairwise(starts)}
    even = steps.pop() if len(starts) > 2 and len(steps) == 1 else None
    return observed_period(starts[1:]) or even


def _groups(runs: Sequence[Run]) -> list[_Group]:
    """Sort runs by what they asked; those that never got to ask, or whose request was lost, go with whoever shares their port."""
    groups: dict[_Key, _Group] = {}
    asked = {run.form.port for run in runs if run.form.ask in (Ask.HTTP, Ask.TLS, Ask.GRPC)}
    read = {(run.form.ask, run.form.port) for run in runs if not _unread(run.form)}
    mute: dict[int, list[Run]] = {}
    for run in runs:
        key = _key(run, asked)
        lost = _unread(run.form) and (run.form.ask, run.form.port) in read
        if key is None or lost:
            if run.unresolved is None and not run.implied and (lost or run.form.ask in (Ask.NOTHING, Ask.CONNECT)):
                mute.setdefault(run.form.port, []).append(run)
            continue
        groups.setdefault(key, _Group(key, [])).runs.append(run)
    of_port: dict[int, list[_Group]] = {}
    for group in groups.values():
        of_port.setdefault(group.key.port, []).append(group)
    for port, silent in mute.items():
        same = of_port.get(port, ())
        if not same:
            # Nothing ever answered here, so what it wanted to ask cannot be seen: a bare connection attempt is all
            # there is.
            key = _Key(Handler.TCP_SOCKET, port, "HTTP", None, None)
            groups[key] = _Group(key, list(silent))
        elif len(same) == 1:
            same[0].runs = sorted([*same[0].runs, *silent], key=lambda run: run.start.ns)
        else:
            for group in same:
                group.mute = silent
    return sorted(groups.values(), key=lambda group: group.runs[0].start.ns)


def _unread(form: Form) -> bool:
    """Tell whether the capture lost what was asked, though not in what protocol."""
    return (form.ask is Ask.HTTP and form.path is None) or (form.ask is Ask.GRPC and form.service is None)


def _key(run: Run, asked: set[int]) -> _Key | None:
    form = run.form
    if not form.kubelet:
        return None
    if form.ask in (Ask.HTTP, Ask.TLS):
        if form.path == "" or is_hop(run):
            return None  # (what it asked is missing from the capture)
        agent = None if form.version or form.path is None else form.user_agent
        return _Key(Handler.HTTP_GET, form.port, "HTTP" if form.ask is Ask.HTTP else "HTTPS", form.path, None, agent)
    if form.ask is Ask.GRPC:
        return _Key(Handler.GRPC, form.port, "HTTP", None, form.service)
    if form.ask is Ask.CONNECT and (form.port not in asked or not _late(run)):
        return _Key(Handler.TCP_SOCKET, form.port, "HTTP", None, None)
    return None


def _late(run: Run) -> bool:
    """Tell whether its connection was established so late that whoever wanted to ask on it may have given up."""
    connection = run.tries[0][0].connection
    answered = connection.orig.first_ack
    return len(connection.orig.syns) > 1 or (answered is not None and answered.ns - run.start.ns >= SHORTEST_NS)


def _spec(group: _Group, kind: ProbeType, thresholds: dict[str, int]) -> ProbeSpec:
    key = group.key
    headers = (("User-Agent", key.agent),) if key.agent else ()
    return ProbeSpec(
        type=kind,
        headers=headers,
        handler=key.handler,
        port=key.port,
        scheme=key.scheme,
        path=key.path or "/",
        service=key.service or "",
        period_s=group.period_s or 10,
        timeout_s=group.timeout_s or 1,
        failure_threshold=thresholds.get("failureThreshold", 3),
        success_threshold=thresholds.get("successThreshold", 1),
    )


def _typed(group: _Group, company: _Company, *, poked: bool) -> list[Guess]:
    """Name the types of the one or more probes that share a signature."""
    seen = {
        name: value
        for name, value in (("periodSeconds", group.period_s), ("timeoutSeconds", group.timeout_s))
        if value is not None and not (group.at_most and name == "periodSeconds")
    }
    pokes = _pokes(group) if poked else {}
    if group.workers >= 2:
        # (A streak is both probes', so it tells nobody's threshold.)
        readiness = _spec(group, ProbeType.READINESS, {})
        liveness = _spec(group, ProbeType.LIVENESS, {})
        together = f"{group.workers} interleaved series with the same request"
        if pokes:
            return [
                Guess(spec=readiness, reason=f"{together}; this one also ran off its schedule", inferred=seen),
                Guess(spec=liveness, reason=f"{together}; this one never left its schedule", inferred=seen),
            ]
        unknown = replace(readiness, type=ProbeType.UNKNOWN)
        return [Guess(spec=unknown, reason=f"{together}, nothing tells them apart", inferred=seen)] * 2
    if pokes:
        why = f"ran off its schedule ({pokes['times']} times), as only a readiness probe does"
        return [Guess(spec=_spec(group, ProbeType.READINESS, pokes), reason=why, inferred={**seen, **_known(pokes)})]
    if _stops_for_others(group, company):
        # Nothing else of the container ran before it succeeded, so what could not ask before was this probe too.
        earlier = [run for run in group.mute if run.start.ns < group.runs[-1].start.ns]
        group.runs = sorted([*group.runs, *earlier], key=lambda run: run.start.ns)
        company.changed()
        if group.period_s is None and (period := period_of(group.starts)) is not None:
            group.period_s = seen["periodSeconds"] = period
        why = "stopped for good when other probes began"
        least = _at_least(group)
        if least:
            why += f"; it failed {least['failureThreshold'] - 1} times in a row without a restart, so its failureThreshold is higher"
        return [Guess(spec=_spec(group, ProbeType.STARTUP, least), reason=why, inferred=seen)]
    startup = company.startup(group)
    if startup is not None and 0 <= group.starts[0] - startup.runs[-1].last_ns() + 2 * MS <= POKE_NS:
        why = "began in the same moment as the startup probe succeeded"
        return [Guess(spec=_spec(group, ProbeType.READINESS, {}), reason=why, inferred=seen)]
    held = _held(group, company.port[group.key.port])
    if held:
        why = f"silent after {held['failureThreshold']} failures, until a new container"
        return [Guess(spec=_spec(group, ProbeType.LIVENESS, held), reason=why, inferred={**seen, **_known(held)})]
    return [
        Guess(spec=_spec(group, ProbeType.UNKNOWN, {}), reason="nothing in this capture tells its type", inferred=seen)
    ]


def _known(signs: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in signs.items() if name != "times"}


def _pokes(group: _Group) -> dict[str, int]:
    """Find runs outside the grid; and the streak after which the first one came at once, which is the failure threshold.

    Only streaks that follow a success count for the threshold: before the first success any pod sync pokes a readiness
    probe.
    """
    if group.period_s is None:
        return _lone_pokes(group)
    period = group.period_s * SECOND
    starts = group.starts
    verdicts = group.verdicts()
    times = 0
    after: Counter[int] = Counter()
    streak = 0
    armed = False
    chain_of = {member: number for number, chain in enumerate(group.found) for member in chain.members}
    for index in range(len(starts)):
        if index:
            gap = starts[index] - starts[index - 1]
            ended = max(group.runs[index - 1].last_ns(), verdicts[index - 1].end_ns)
            stored = ended - starts[index - 1] >= period - 6 * MS
            at_once = starts[index] - ended <= POKE_NS
            close = gap < period - 30 * MS and chain_of[index] != chain_of[index - 1]
            if close and not stored and (group.workers == 1 or at_once):
                times += 1
                if streak and armed and at_once:
                    after[streak] += 1
                    armed = False
        if verdicts[index].outcome is Outcome.SUCCESS:
            streak, armed = 0, True
        elif verdicts[index].outcome is Outcome.FAILURE:
            streak += 1
    if not times:
        return {}
    found = {"times": times}
    if after:
        found["failureThreshold"] = after.most_common(1)[0][0]
    return found


def _lone_pokes(group: _Group) -> dict[str, int]:
    starts = group.starts
    times = sum(b - a < SECOND - 30 * MS for a, b in itertools.pairwise(starts))
    return {"times": times} if times else {}


def _held(group: _Group, beside: Sequence[_Group]) -> dict[str, int]:
    """Find a failing streak followed by silence; its length is the failure threshold.

    Fewer failures than Kubernetes' default has to be shown to be enough: a container that fails may as well end by itself.
    """
    ends, _ = _streaks(group)
    lengths = Counter(streak for streak, at in ends if streak >= DEFAULT_FAILURES or _killed(group, at, beside))
    return {"failureThreshold": lengths.most_common(1)[0][0]} if lengths else {}


def _killed(group: _Group, at: int, beside: Sequence[_Group]) -> bool:
    """Tell whether a container was told to end where this group falls silent, and did not end by itself; `beside` are those of its port.

    It went on to answer others of its probes when the next attempt was due; or it was gone so soon that it would be a coincidence.
    """
    period = (group.period_s or 0) * SECOND
    ended, due = group.verdicts()[at].end_ns, group.starts[at] + period + GRID_NS
    for other in beside:
        if other is group:
            continue
        for index in range(bisect_right(other.starts, ended), len(other.starts)):
            gone = other.verdicts()[index].cause in GONE
            if gone and other.starts[index] - ended < SOON * period:
                return True
            if gone or other.starts[index] >= due:
                # (What answers outside its grid is a new container already.)
                step = other.starts[index] - other.starts[index - 1] if index else 0
                if not gone and other.period_s and abs(step - other.period_s * SECOND) <= GRID_NS:
                    return True
                break
    return False


def _streaks(group: _Group) -> tuple[list[tuple[int, int]], int]:
    """Return the failing streaks that ended in silence, each with the place of its last attempt, and the longest one that did not."""
    ends: list[tuple[int, int]] = []
    longest = streak = 0
    period = (group.period_s or 0) * SECOND
    starts = group.starts
    for index, verdict in enumerate(group.verdicts()):
        outcome = verdict.outcome
        streak = streak + 1 if outcome is Outcome.FAILURE else streak if outcome is Outcome.DISCARDED else 0
        step = starts[index + 1] - starts[index] if index + 1 < len(starts) else 0
        if streak and period and step > 1.5 * period:
            # (What a new container wakes goes on at its old ticks; else its kubelet began anew, and counts anew.)
            if abs(off_by(step, period)) <= GRID_NS:
                ends.append((streak, index))
            streak = 0
        longest = max(longest, streak)
    return ends, longest


def _at_least(group: _Group) -> dict[str, int]:
    """Return a failure threshold above what was failed without any consequence, where that exceeds the default."""
    _, longest = _streaks(group)
    return {"failureThreshold": longest + 1} if longest > DEFAULT_FAILURES else {}


def _stops_for_others(group: _Group, company: _Company) -> bool:
    """Tell whether it ended with a success just before all others of its port, or of this target, began."""
    others = company.others(group)
    if others is None or (group.period_s is None and len(group.runs) > 2):
        return False
    last = group.runs[-1]
    if verdict_of(last, _spec(group, ProbeType.UNKNOWN, {}), None).outcome is not Outcome.SUCCESS:
        return False
    begun, ended = others
    if not last.start.ns <= begun <= last.last_ns() + POKE_NS + (group.period_s or 1) * SECOND:
        return False
    # (Before its next attempt was due nothing shows that it stopped.)
    steps = [after - before for before, after in itertools.pairwise(group.starts)]
    step = group.period_s * SECOND if group.period_s is not None else max(steps, default=DEFAULT_PERIOD_NS)
    return ended - last.start.ns > step + GRID_NS
