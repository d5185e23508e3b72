"""Probes of checkers that are not the kubelet: who they are, what came of each check, and when they said UP and DOWN.

Theory of operation. Everything that reached a target and is no kubelet's attempt comes here at the end. For each source and port
`probes.checkers` sorts the runs into series; a row of `probes.signatures` names a series, or, for a plain connect, its pace together with what
else its source sends. Each check of a named series is judged with the timeout that the series itself shows, and `decisions.risefall`
counts. What nothing names goes back to where it came from: a periodic check of unknown make, or traffic.

Two series that are one: behind address translation the same check is seen as two connections, one inside the other in time. Both are shown,
only the outer one takes decisions.

Limitations: checks on a kept connection (Envoy's default) are counted with traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from probewatch.decisions.risefall import RULES, Health, Judged, Rule, Thresholds, begin, count
from probewatch.model.book import AddressBook
from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Attempt, Cause, Checker, Decision, DecisionKind, Outcome, Probe, Role, Schedule, Target, Trigger
from probewatch.probes.cadence import SECOND
from probewatch.probes.checkers import ENOUGH, EXACT_NS, MOST_RUNS, MS, Check, Learnt, Track, in_step, learn, tracks, whole_seconds
from probewatch.probes.forms import form_of
from probewatch.probes.judge import Verdict, judge
from probewatch.probes.runs import Run
from probewatch.probes.signatures import BY_PACE, NOT_CHECKS, Basis, Shape, Signature, What, late_reset, manner_of, named_by, passes, shape_of

from .build import Latest, leg

UNANSWERED_NS: Final = 150 * MS
"""A checker that hangs up unanswered after at least this shows its timeout."""
TIGHT_NS: Final = 20 * MS
"""Spread up to which a pause is exact enough to see a reload, or to tell a daemon from a shell's loop."""
NESTED_NS: Final = 20 * MS
"""Address translation delays a SYN by no more than this between two interfaces of a node."""
USUAL: Final = 0.6
"""Share of the answers that must have a record of some length for this length to be usual."""
SMALL_RECORD: Final = 40
"""TLS records up to this length carry alerts and tickets' ends and say nothing."""


SCRAPES: Final = ("Prometheus/", "kube-lifecycle/")
"""Periodic and no check: User-Agents of scrapes and of the kubelet's lifecycle hooks."""
METHODS: Final = ("GET", "HEAD", "OPTIONS")
COULD_BE: Final[dict[What, tuple[str, ...]]] = {
    What.CLOSE: ("kubelet", "keepalived", "monit", "apache", "blackbox_exporter", "consul", "nomad", "aws_elb", "google", "azure"),
    What.RESET: ("haproxy", "aws_elb"),
    What.HTTP: ("kubelet", "varnish", "apache", "consul", "traefik", "nginx", "google", "azure"),
    What.TLS: ("kubelet", "haproxy", "envoy"),
    What.GRPC: ("kubelet", "consul", "envoy"),
    What.BYTES: (),
}
"""Which checkers may ask like that, where nothing names one."""


@dataclass(slots=True)
class Named:
    """A series with its checker."""

    kind: str
    row: Signature | None
    track: Track
    exchanges: list[Exchange]
    """Of the track's checks, in order."""
    learnt: Learnt
    why: list[str]
    confidence: float
    outer: Named | None = None
    """The series it repeats behind address translation."""

    @property
    def client(self) -> str:
        return self.exchanges[0].connection.client

    @property
    def server(self) -> str:
        return self.exchanges[0].connection.server

    @property
    def port(self) -> int:
        return self.exchanges[0].connection.server_port

    @property
    def shape(self) -> Shape:
        return self.track.pace.shape


@dataclass(slots=True)
class _Group:
    """All runs of one source at one port."""

    exchanges: list[Exchange] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    found: list[Track] = field(default_factory=list)
    rows: dict[Shape, Signature] = field(default_factory=dict)


Key = tuple[str, str, int]
"""(client, server, port)."""


def survey(strangers: Iterable[Run], *, skip: frozenset[str] = frozenset()) -> tuple[list[Named], list[Run]]:
    """Return the series that are checks, and the runs that belong to none of them. Sources in `skip` are kubelets.

    A series that nothing names is returned as `unknown`, unless a kubelet may stand behind it: its runs are left for a closer look.
    """
    runs = list(strangers)
    groups = _groups(runs)
    for group in groups.values():
        _read(group)
    named: list[Named] = []
    for group in groups.values():
        for track in group.found:
            if (row := group.rows.get(track.pace.shape)) is not None:
                named.append(_named(row.kind, row, group, track, [row.says], row.confidence))
    proven = list(named)
    for (client, _, _), group in groups.items():
        mine = [one for one in proven if one.client == client]
        for track in group.found:
            named += _free_text(group, track, mine)
            if client not in skip and track.pace.shape.what is What.CLOSE and track.pace.shape not in group.rows:
                named += _by_pace(group, track, mine)
    _translations(named)
    taken = {id(one.track) for one in named}
    for (client, _, _), group in groups.items():
        rest = [track for track in group.found if id(track) not in taken and check_like(track.pace.shape)]
        if client not in skip and (len(rest) < len(group.found) or not any(_maybe_kubelet(group, track) for track in rest)):
            named += [_named("unknown", None, group, track, ["periodic, a fresh connection for each check"], 0.0) for track in rest]
    claimed = {exchange.connection.id for one in named for exchange in one.exchanges}
    return named, _left(runs, claimed)


def check_like(shape: Shape) -> bool:
    """Tell whether what is asked may be a check at all."""
    return not shape.agent.startswith(SCRAPES) and shape.what is not What.BYTES and (shape.what is not What.HTTP or shape.method in METHODS)


def _maybe_kubelet(group: _Group, track: Track) -> bool:
    """Tell whether a series asks and paces as a kubelet does, for all that is known."""
    exchanges = [group.exchanges[index] for index in track.members]
    return all(form_of(exchange).kubelet for exchange in exchanges) and whole_seconds([exchange.connection.start.ns for exchange in exchanges])


def _groups(runs: Sequence[Run]) -> dict[Key, _Group]:
    groups: dict[Key, _Group] = {}
    for run in runs:
        for _, exchange in run.legs():
            c = exchange.connection
            if not c.midstream and exchange.requests <= 1:
                groups.setdefault((c.client, c.server, c.server_port), _Group()).exchanges.append(exchange)
    return groups


def _read(group: _Group) -> None:
    """Find the series of one source at one port, where something there may be a check."""
    if not ENOUGH <= len(group.exchanges) <= MOST_RUNS:
        return
    group.exchanges.sort(key=lambda exchange: exchange.connection.start)
    group.checks = [_check(exchange) for exchange in group.exchanges]
    by_shape: dict[Shape, list[Exchange]] = {}
    for exchange, check in zip(group.exchanges, group.checks, strict=True):
        if check.shape is not None:
            by_shape.setdefault(check.shape, []).append(exchange)
    for shape, members in by_shape.items():
        if len(members) >= ENOUGH and (row := named_by(shape, manner_of(members))) is not None:
            group.rows[shape] = row
    group.found = tracks(group.checks, frozenset(shape for shape, row in group.rows.items() if row.basis is Basis.CLOCK))


def _check(exchange: Exchange) -> Check:
    c = exchange.connection
    patience = c.orig.syns[-1].ns - c.orig.syns[0].ns if c.orig.syns else 0
    return Check(c.start.ns, _through(c), shape_of(exchange), _failed(exchange), patience, _gave_up(exchange))


def _through(c: Connection) -> int | None:
    """Return when the checker was through with a connection, as its frames show."""
    if not c.resp.syns:
        return c.resp.rst.ns if c.resp.rst is not None and c.icmp is None else None
    if late_reset(c) or (c.orig.first_ack is None and c.orig.rst is None):
        return None
    closes = [mark.ns for mark in (c.orig.fin, c.orig.rst) if mark is not None] or [mark.ns for mark in (c.resp.rst, c.resp.fin) if mark is not None]
    return min(closes) if closes else None


def _failed(exchange: Exchange) -> bool:
    """Tell whether a check failed for every checker, before it is known whose it is."""
    c = exchange.connection
    if not c.resp.syns or late_reset(c):
        return True
    if exchange.http:
        status = exchange.http[0].status
        return status is None or status >= 400
    return c.orig.length > 0 and c.resp.length == 0


def _named(kind: str, row: Signature | None, group: _Group, track: Track, why: list[str], sure: float) -> Named:
    exchanges = [group.exchanges[index] for index in track.members]
    learnt = learn(group.checks, track)
    if kind == "monit" and learnt.interval_ns is not None and learnt.interval_ns >= SECOND:
        # `set daemon` takes whole seconds, and what its cycle does beside this check comes on top.
        learnt = replace(learnt, interval_ns=learnt.interval_ns // SECOND * SECOND)
    return Named(kind, row, track, exchanges, learnt, why, sure)


def _gave_up(exchange: Exchange) -> int | None:
    """Return how long a checker waited on an open connection before it hung up unanswered; None where it was answered."""
    c = exchange.connection
    closes = [mark.ns for mark in (c.orig.fin, c.orig.rst) if mark is not None]
    if not c.resp.syns or late_reset(c) or not closes:
        return None
    answered = exchange.tls.established if exchange.tls is not None and not exchange.tls.records else c.resp.first_data
    waited = min(closes) - c.start.ns
    return waited if waited >= UNANSWERED_NS and (answered is None or answered.ns > min(closes)) else None


def _by_pace(group: _Group, track: Track, proven: Sequence[Named]) -> list[Named]:
    """Name a plain connect check by its pace and by what else its source runs; only where one answer fits."""
    made = _named("", None, group, track, [], 0.0)
    starts = [exchange.connection.start.ns for exchange in made.exchanges]
    learnt = made.learnt
    exact = track.pace.spread_ns <= TIGHT_NS
    fitting: dict[str, tuple[str, float]] = {}
    for other in proven:
        if other.kind not in BY_PACE or other.kind in fitting:
            continue
        basis = BY_PACE[other.kind][0]
        if (basis is Basis.CLOCK) is not learnt.ticks:
            continue
        near = learnt.interval_ns is not None and other.learnt.interval_ns is not None and abs(
            learnt.interval_ns - other.learnt.interval_ns) <= 0.1 * other.learnt.interval_ns
        others = [(e.connection.start.ns, _through(e.connection) or e.connection.start.ns + (other.learnt.timeout_ns or 0)) for e in other.exchanges]
        if other.kind == "monit" and not in_step(starts, others):
            continue
        if other.kind == "apache" and not near:
            continue
        if other.kind == "keepalived" and not exact:
            continue
        fitting[other.kind] = (f"connect check at the pace of a {other.kind} that the same source runs", 0.75)
    if not fitting and track.pace.spread_ns <= EXACT_NS and not learnt.ticks and learnt.retries:
        fitting["keepalived"] = (f"connect check, repeated after {(learnt.short_ns or 0) / SECOND:.1f} s when it first fails", 0.7)
    if len(fitting) != 1:
        return []
    kind, (why, sure) = fitting.popitem()
    if learnt.ticks:
        track.pace = replace(track.pace, basis=Basis.CLOCK)
    return [_named(kind, None, group, track, [why], sure)]


def _free_text(group: _Group, track: Track, proven: Sequence[Named]) -> list[Named]:
    """Name a series whose request no row knows after the Varnish that its source runs: Varnish sends `.request` as it was written."""
    shape = track.pace.shape
    if shape.what is not What.HTTP or shape in group.rows or shape.agent.startswith(NOT_CHECKS) or track.pace.spread_ns > TIGHT_NS:
        return []
    row = next((one.row for one in proven if one.kind == "varnish"), None)
    if row is None or track.pace.basis is not Basis.PAUSE:
        return []
    return [_named("varnish", row, group, track, ["request of its own, at the exact pause of a Varnish probe, from a source that runs Varnish"], 0.6)]


def _left(runs: Sequence[Run], claimed: set[int]) -> list[Run]:
    """Return what no named series took; a joined run of which one took a part falls into its connections."""
    out: list[Run] = []
    for run in runs:
        legs = [exchange for _, exchange in run.legs()]
        if not any(exchange.connection.id in claimed for exchange in legs):
            out.append(run)
        else:
            out += [single(exchange) for exchange in legs if exchange.connection.id not in claimed]
    return out


def single(exchange: Exchange) -> Run:
    """Return a connection as a run of its own."""
    c = exchange.connection
    return Run(client=c.client, server=c.server, form=form_of(exchange), start=c.neighbour or c.start, tries=((exchange,),))


def _translations(named: Sequence[Named]) -> None:
    """Mark the series that repeat another one behind address translation: each connection lies inside one of the other's, in time."""
    by_shape: dict[Shape, list[Named]] = {}
    for one in named:
        by_shape.setdefault(one.shape, []).append(one)
    for alike in by_shape.values():
        for inner in alike:
            for outer in alike:
                if outer is not inner and outer.outer is None and inner.outer is None and _inside(inner, outer):
                    inner.outer = outer


def _inside(inner: Named, outer: Named) -> bool:
    if (inner.client, inner.server, inner.port) == (outer.client, outer.server, outer.port):
        return False
    if len(inner.exchanges) > len(outer.exchanges) * 1.1 + 2 or len(inner.exchanges) < 0.5 * len(outer.exchanges):
        return False
    at = hits = 0
    for exchange in inner.exchanges:
        start = exchange.connection.start.ns
        while at < len(outer.exchanges) and outer.exchanges[at].connection.start.ns < start - NESTED_NS:
            at += 1
        for other in outer.exchanges[at:at + 3]:
            if _nested(exchange.connection, other.connection):
                hits += 1
                break
    return hits >= 0.9 * len(inner.exchanges)


def _nested(inner: Connection, outer: Connection) -> bool:
    if not 0 <= inner.start.ns - outer.start.ns <= NESTED_NS or inner.start == outer.start:
        return False
    a, b = _first_answer(inner), _first_answer(outer)
    if a is None or b is None:
        return a is b
    return inner.start.ns <= a.ns <= b.ns


def _first_answer(c: Connection) -> Mark | None:
    return c.resp.syns[0] if c.resp.syns else c.resp.rst


# From a series to a probe.


class CheckBuilder:
    """Builds the probes of named series."""

    def __init__(self, book: AddressBook, latest: Latest, first_ns: int, seen_until_ns: int) -> None:
        self.book = book
        self.latest = latest
        self.first_ns = first_ns
        self.seen_until_ns = seen_until_ns

    def probe(self, named: Named) -> Probe:
        """Build one."""
        timeout = _timeout(named)
        verdicts = [self._verdict(exchange, named, timeout) for exchange in named.exchanges]
        sizes = _usual(named.exchanges, verdicts)
        results = [_passed(exchange, verdict, sizes) for exchange, verdict in zip(named.exchanges, verdicts, strict=True)]
        thresholds = _thresholds(named, results)
        attempts, decisions, states, notes = self._count(named, verdicts, results, thresholds)
        if sizes and any(v.cause is Cause.ENCRYPTED for v in verdicts):
            notes.append("the answers are encrypted: one of the usual size is counted as success, one of another size as failure")
        shape, first = named.shape, named.exchanges[0]
        pod = self.book.pod(named.server, first.connection.start.ns)
        tls = shape.what is What.TLS
        http = shape.what is What.HTTP or (tls and any(e.tls is not None and e.tls.records for e in named.exchanges))
        handler = Handler.HTTP_GET if http else Handler.GRPC if shape.what is What.GRPC else Handler.TCP_SOCKET
        host = shape.host if shape.host not in (named.server, f"{named.server}:{named.port}", f"[{named.server}]:{named.port}") else ""
        return Probe(
            id="", checker=self._checker(named),
            target=Target(address=named.server, port=named.port, namespace=pod.namespace if pod else None, pod=pod.name or None if pod else None,
                          named_by=("status.podIP" if pod.declared_by == "--spec" else pod.declared_by) if pod else None),
            type=ProbeType.UNKNOWN, type_source="unknown: not a kubelet's probe, as far as the packets show" if named.kind == "unknown" else f"unknown: a check by {named.kind}", handler=handler,
            scheme=("HTTPS" if tls else "HTTP") if handler is Handler.HTTP_GET else None, host=host or None,
            path=shape.target or None if handler is Handler.HTTP_GET else None, service=shape.opening.decode("ascii", "replace") if shape.what is What.GRPC else None,
            inferred=_inferred(named, thresholds), thresholds=_shown(thresholds), initial_state=states[0], initial_evidence=states[1], final_state=states[2],
            attempts=tuple(attempts), decisions=tuple(decisions), notes=tuple(notes))

    def _checker(self, named: Named) -> Checker:
        c = named.exchanges[0].connection
        node = self.book.node(named.client)
        said = list(named.why)
        learnt = named.learnt
        if learnt.interval_ns is not None:
            what = "from the end of a check to the next" if named.track.pace.basis is Basis.PAUSE else "from start to start"
            said.append(f"every {learnt.interval_ns / SECOND:.3f} s, {what}")
        if c.orig.ttl in (64, 255):
            said.append(f"TTL {c.orig.ttl}: not routed")
        if named.row is not None and not named.row.capture:
            said.append(f"not proven by a capture: {named.row.source}")
        product, _, version = named.shape.agent.partition("/")
        could_be = COULD_BE[named.shape.what] if named.kind == "unknown" else ()
        if not whole_seconds([exchange.connection.start.ns for exchange in named.exchanges]):
            could_be = tuple(kind for kind in could_be if kind != "kubelet")
        return Checker(kind=named.kind, could_be=could_be, version=version.split(" ", 1)[0] if product and named.row is not None and named.row.agent else "", address=named.client,
                       node=node.node or None if node else None, node_address=node.node_address if node else None,
                       node_source=node.source if node else None, confidence=named.confidence, evidence=tuple(said))

    def _verdict(self, exchange: Exchange, named: Named, timeout_ns: int) -> Verdict:
        c = exchange.connection
        if late_reset(c):
            wait = (c.resp.syns[0].ns - c.start.ns) / SECOND
            return Verdict(outcome=Outcome.FAILURE, cause=Cause.NO_SYN_ANSWER, end_ns=c.start.ns + timeout_ns,
                           detail=f"SYN answered after {wait:.2f} s, the checker was gone")
        what = named.shape.what
        if what in (What.RESET, What.CLOSE):
            return judge(exchange, Handler.TCP_SOCKET, timeout_ns, seen_until_ns=self.seen_until_ns)
        if what is What.BYTES:
            return _answered(exchange, judge(exchange, Handler.TCP_SOCKET, timeout_ns, seen_until_ns=self.seen_until_ns), timeout_ns)
        if what is What.GRPC:
            return judge(exchange, Handler.GRPC, timeout_ns, seen_until_ns=self.seen_until_ns)
        scheme = "HTTPS" if what is What.TLS else "HTTP"
        verdict = judge(exchange, Handler.HTTP_GET, timeout_ns, scheme=scheme, seen_until_ns=self.seen_until_ns, whole_body=False)
        tls = exchange.tls
        if verdict.cause is Cause.ENCRYPTED and tls is not None:
            if tls.established is not None and not any(record.by_client for record in tls.records if record.length > SMALL_RECORD or named.shape.target):
                return replace(verdict, outcome=Outcome.SUCCESS, cause=Cause.OK, detail=f"{tls.version or 'TLS'} handshake", end_ns=verdict.end_ns)
            if _gave_up(exchange) is not None and c.orig.rst is not None:
                return replace(verdict, outcome=Outcome.FAILURE, cause=Cause.SLOW_ANSWER, detail="no answer inside TLS")
        if verdict.cause is Cause.CUT and (waited := _gave_up(exchange)) is not None and abs(waited - (named.learnt.timeout_ns or 0)) <= 30 * MS:
            # Whatever the capture lost: the checker itself gave up, at its timeout.
            return Verdict(outcome=Outcome.FAILURE, cause=Cause.SLOW_ANSWER, end_ns=c.start.ns + waited, detail="the checker gave up at its timeout")
        return _by_status(verdict, named.row)

    def _count(self, named: Named, verdicts: Sequence[Verdict], results: Sequence[bool | None],
               thresholds: Thresholds | None) -> tuple[list[Attempt], list[Decision], tuple[str, str, str], list[str]]:
        """Count the streaks of a series and make its attempts and decisions."""
        pace = named.track.pace
        first = named.exchanges[0].connection.start.ns
        fresh = first - self.first_ns > 1.2 * (named.learnt.interval_ns or pace.interval_ns) + 100 * MS
        health = begin(thresholds, fresh=fresh) if thresholds is not None else None
        initial, why = "unknown", ""
        if fresh and thresholds is not None and thresholds.rule is Rule.COUNTER:
            initial, why = "UP", "HAProxy begins UP, and the capture shows its first check"
        attempts: list[Attempt] = []
        decisions: list[Decision] = []
        since: int | None = None
        reloads = 0
        for number, (exchange, verdict, result) in enumerate(zip(named.exchanges, verdicts, results, strict=True), 1):
            judged: Judged | None = None
            if health is not None and thresholds is not None:
                if number > 1 and named.kind == "haproxy" and self._reloaded(named, number - 1):
                    health, reloads = begin(thresholds, fresh=True), reloads + 1
                judged = count(health, result)
                health = judged.health
            attempts.append(self._attempt(number, exchange, verdict, judged))
            if judged is None or thresholds is None or named.outer is not None:
                continue
            kind, before = judged.decision, "DOWN" if judged.decision is DecisionKind.UP else "UP"
            if kind is None and judged.settled is not None and fresh and thresholds.announces:
                kind, before = DecisionKind.UP if judged.settled else DecisionKind.DOWN, "unknown"
            if kind is not None:
                decisions.append(_decision(kind, before, attempts[-1], judged, thresholds, since))
                since = verdict.end_ns
            elif judged.settled is not None and initial == "unknown":
                initial = "UP" if judged.settled else "DOWN"
                why = f"the capture's first {number} check{'s' if number > 1 else ''} leave no other"
        final = {True: "UP", False: "DOWN", None: "unknown"}[health.up] if health is not None else "unknown"
        return attempts, decisions, (initial, why, final), self._notes(named, thresholds, reloads)

    def _notes(self, named: Named, thresholds: Thresholds | None, reloads: int) -> list[str]:
        notes = []
        if thresholds is not None and thresholds.note:
            notes.append(thresholds.note)
        if reloads:
            notes.append(f"HAProxy was reloaded or restarted {reloads} time{'s' if reloads > 1 else ''}: checks came early, and began UP again")
        if named.outer is not None:
            outer = named.outer
            notes.append(f"the same checks as {outer.client} -> {outer.server}:{outer.port}, behind address translation: its decisions are told there")
        return notes

    def _reloaded(self, named: Named, index: int) -> bool:
        """Tell whether a check came before the one before it allowed: a new process began."""
        pace, learnt = named.track.pace, named.learnt
        before, check = named.exchanges[index - 1].connection, named.exchanges[index].connection
        end = _through(before)
        if end is None or pace.spread_ns > TIGHT_NS or learnt.interval_ns is None:
            return False
        gap = check.start.ns - end
        if gap >= learnt.interval_ns - max(3 * pace.spread_ns, 40 * MS):
            return False
        return learnt.short_ns is None or abs(gap - learnt.short_ns) > 40 * MS

    def _attempt(self, number: int, exchange: Exchange, verdict: Verdict, judged: Judged | None) -> Attempt:
        return Attempt(n=number, start=exchange.connection.neighbour or exchange.connection.start, end_ns=verdict.end_ns, end_mark=verdict.end_mark,
                       outcome=verdict.outcome, cause=verdict.cause, status=verdict.status, detail=verdict.detail, trigger=Trigger.TICK,
                       schedule=Schedule.ON_TIME, streak=judged.streak if judged else 0, threshold=judged.threshold if judged else 0,
                       late_answer_ns=verdict.late_answer_ns, legs=(leg(Role.FIRST, exchange, self.latest),))


def _timeout(named: Named) -> int:
    """Return the timeout a series shows, else the longest it can be: its interval (HAProxy's rule), and never less than its slowest good answer."""
    learnt = named.learnt
    timeout = learnt.timeout_ns or learnt.interval_ns or 10 * SECOND
    slowest = 0
    for exchange in named.exchanges:
        c = exchange.connection
        first, end = c.resp.first_data, _through(c)
        if first is not None and end is not None and first.ns <= end:
            slowest = max(slowest, first.ns - c.start.ns)
    return max(timeout + 20 * MS, slowest)


def _by_status(verdict: Verdict, row: Signature | None) -> Verdict:
    """Read a status as this checker does where nothing else was configured."""
    if verdict.status is None or verdict.cause not in (Cause.OK, Cause.OK_REDIRECT, Cause.STATUS):
        return verdict
    if passes(row, verdict.status):
        return replace(verdict, outcome=Outcome.SUCCESS, cause=Cause.OK)
    return replace(verdict, outcome=Outcome.FAILURE, cause=Cause.STATUS)


def _answered(exchange: Exchange, verdict: Verdict, timeout_ns: int) -> Verdict:
    """Judge a check that wants an answer in some protocol of its own: something must come before it hangs up."""
    if verdict.outcome is not Outcome.SUCCESS:
        return verdict
    c = exchange.connection
    closes = [mark for mark in (c.orig.fin, c.orig.rst) if mark is not None]
    closed = min(closes) if closes else None
    asked = c.orig.first_data
    answer = next((arrival.mark for arrival in c.resp.arrivals if asked is not None and arrival.mark >= asked), None)
    if answer is not None and (closed is None or answer[:1] <= closed[:1]) and answer.ns <= c.start.ns + timeout_ns:
        return replace(verdict, end_ns=answer.ns, end_mark=answer, detail="answered")
    for mark, cause, text in ((c.resp.rst, Cause.RESET_BEFORE_ANSWER, "connection reset by peer"), (c.resp.fin, Cause.CLOSED_BEFORE_ANSWER, "EOF")):
        if mark is not None and (closed is None or mark <= closed):
            return Verdict(outcome=Outcome.FAILURE, cause=cause, end_ns=mark.ns, end_mark=mark, detail=text)
    late = answer.ns - c.start.ns if answer is not None else None
    end = closed.ns if closed is not None else c.start.ns + timeout_ns
    return Verdict(outcome=Outcome.FAILURE, cause=Cause.SLOW_ANSWER, end_ns=end, end_mark=closed, late_answer_ns=late,
                   detail="connected, no answer" if asked is None else "request acknowledged, no answer")


def _lengths(exchange: Exchange) -> set[int]:
    return {record.length for record in exchange.tls.records if not record.by_client and record.length > SMALL_RECORD} if exchange.tls is not None else set()


def _usual(exchanges: Sequence[Exchange], verdicts: Sequence[Verdict]) -> frozenset[int]:
    """Return the record lengths that most encrypted answers have."""
    sealed = [_lengths(e) for e, v in zip(exchanges, verdicts, strict=True) if v.cause is Cause.ENCRYPTED]
    seen = Counter(length for lengths in sealed for length in lengths)
    return frozenset(length for length, times in seen.items() if times >= USUAL * len(sealed)) if len(sealed) >= ENOUGH else frozenset()


def _passed(exchange: Exchange, verdict: Verdict, usual: frozenset[int]) -> bool | None:
    if verdict.outcome is Outcome.SUCCESS:
        return True
    if verdict.outcome is Outcome.FAILURE:
        return False
    if verdict.cause is Cause.ENCRYPTED and usual:
        return usual <= _lengths(exchange)
    return None


def _thresholds(named: Named, results: Sequence[bool | None]) -> Thresholds | None:
    """Return what the checker is taken to need, corrected by what its pace shows."""
    base = RULES.get(named.kind)
    if base is None:
        return None
    learnt = named.learnt
    if named.kind == "keepalived":
        # HTTP_GET is up when it begins its list of URLs anew, one delay_loop after the success (check_http.c http_connect_thread).
        http = named.shape.what is not What.CLOSE
        if learnt.retries is not None:
            return replace(base, rise=2 if http else 1, fall=learnt.retries + 1, source="inferred")
        return replace(base, rise=2 if http else 1, fall=4 if http else 2)
    if named.kind == "haproxy" and learnt.long_ns is not None and learnt.interval_ns is not None:
        fall = _until_long(named, results, learnt)
        if fall is not None:
            return replace(base, fall=fall, source="inferred")
    return base


def _until_long(named: Named, results: Sequence[bool | None], learnt: Learnt) -> int | None:
    """Count the failures until HAProxy's longer pause for DOWN servers (downinter) begins."""
    counts: Counter[int] = Counter()
    run = 0
    counting = False
    assert learnt.long_ns is not None
    for number, result in enumerate(results[:-1]):
        if result is not False:
            run, counting = 0, result is True
            continue
        run += 1
        end = _through(named.exchanges[number].connection)
        if counting and end is not None and abs(named.exchanges[number + 1].connection.start.ns - end - learnt.long_ns) <= 60 * MS:
            counts[run] += 1
            counting = False
    return counts.most_common(1)[0][0] if counts else None


def _shown(thresholds: Thresholds | None) -> dict[str, tuple[int, str]]:
    if thresholds is None:
        return {}
    if thresholds.rule is Rule.WINDOW:
        return {"threshold": (thresholds.rise, thresholds.source), "window": (thresholds.window, thresholds.source)}
    return {"rise": (thresholds.rise, thresholds.source), "fall": (thresholds.fall, thresholds.source)}


def _inferred(named: Named, thresholds: Thresholds | None) -> dict[str, Any]:
    learnt = named.learnt
    out: dict[str, Any] = {"interval_s": round(learnt.interval_ns / SECOND, 3) if learnt.interval_ns else None,
                           "interval_basis": str(named.track.pace.basis)}
    if learnt.timeout_ns is not None:
        out["timeout_s"] = round(learnt.timeout_ns / SECOND, 3)
    if thresholds is not None and thresholds.source == "inferred":
        out |= {"rise": thresholds.rise, "fall": thresholds.fall}
    return out


def _decision(kind: DecisionKind, before: str, made: Attempt, judged: Judged, thresholds: Thresholds, since: int | None) -> Decision:
    mark = made.end_mark
    if mark is None:
        connection = made.legs[0].connection
        mark = connection.end if connection.end.ns <= made.end_ns else made.start
    return Decision(ns=made.end_ns, kind=kind, before=before, after="UP" if kind is DecisionKind.UP else "DOWN", attempt=made.n, mark=mark,
                    streak=judged.streak, threshold=judged.threshold, threshold_source=thresholds.source, since_ns=made.end_ns - since if since is not None else None)
