"""Probes of checkers that are not the kubelet: what came of each check, and when they said UP and DOWN.

Each check of a series (see `survey`) is judged (`results`), and counted as its checker does (`course`). Of two series that are one
behind address translation both are shown, and only the outer one takes decisions. Encrypted answers are told apart by the lengths
of their TLS records alone, and a note says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.decisions.risefall import Judged, Thresholds
from probewatch.model.book import AddressBook
from probewatch.model.catalogue import in_words_of
from probewatch.model.check import CheckSpec
from probewatch.model.exchange import Exchange
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    EventKind,
    Probe,
    Role,
    Target,
    TimelineEvent,
    Trigger,
)
from probewatch.model.units import MS, SECOND
from probewatch.probes.checkers import Track
from probewatch.probes.guesses import could_be, keeps_connection
from probewatch.probes.judge import Verdict
from probewatch.probes.replies import drain_notes
from probewatch.probes.shapes import What
from probewatch.probes.signatures import Basis
from probewatch.wire.exchange import begins_proxy

from .build import Latest, diagnosed, judged_attempt, leg
from .course import Course
from .declared import Tied, inferred_of, numbers_shown, thresholds_of, tie
from .groups import UNROUTED
from .others import foreign_host, pod_name
from .pauses import Rounds, early, missing, passed_over, taken_over, usual_pauses
from .results import Results, go_on, results_of
from .sealed import hides
from .survey import Named, asks_agent, maybe_kubelet, measured
from .tls import expired
from .unseen import Step, steps_of, unseen_notes

RESTARTS: Final = "haproxy"
"""Whose new process begins to check at its own time, in a state of its own."""
ALONE: Final = frozenset({"haproxy", "unknown"})
"""Of whose other checks a timeout tells nothing: each has its own, `inter` if nothing else; or it may be another program."""
ANSWERED: Final = frozenset({Cause.STATUS, Cause.GRPC_NOT_SERVING, Cause.GRPC_STATUS})
"""Failures that the server itself told."""


SERVER_ERROR: Final = 500
"""Statuses from here on are nobody's sign of health (RFC 9110 section 15.6)."""


class CheckBuilder:
    """Builds the probes of named series."""

    def __init__(
        self,
        book: AddressBook,
        latest: Latest,
        first_ns: int,
        seen_until_ns: int,
        holes: Sequence[tuple[int, int]] = (),
        revised: Latest | None = None,
    ) -> None:
        self.book = book
        self.latest = latest
        self.first_ns = first_ns
        self.seen_until_ns = seen_until_ns
        self._declared: dict[str | None, list[CheckSpec]] = {}
        for check in book.checks:
            self._declared.setdefault(check.address, []).append(check)
        self._holes = holes
        self._revised = revised or latest
        self._timeouts: dict[tuple[str, str], list[int]] = {}
        """Timeouts that a checker's other checks show, by its kind and address."""
        self._begun: dict[str, list[int]] = {}
        """When a new process of the checker at an address was seen to begin."""
        self._rounds = Rounds()
        self.events: list[TimelineEvent] = []
        """What else the series show."""
        self.tied: set[int] = set()
        """Declared checks (by id) that fit a series."""

    def probes(self, named: Sequence[Named]) -> list[Probe]:
        """Build all, and let go of what was read on each series once its attempts stand."""
        out: list[Probe] = []
        for one in named:
            if one.learnt.timeout_ns is not None and one.kind not in ALONE:
                self._timeouts.setdefault((one.kind, one.client), []).append(one.learnt.timeout_ns)
            if one.kind == RESTARTS:
                self._rounds.note(one)
                usual = usual_pauses(one, self._tied(one).spec)
                self._begun.setdefault(one.client, []).extend(
                    one.exchanges[index].connection.start.ns
                    for index in range(1, len(one.exchanges))
                    if early(one, index, usual)
                )
        for one in named:
            out.append(self.probe(one))
            if not one.part:  # (what goes on with it is read for it too)
                del one.exchanges[1:]  # (the first says between whom the series is)
        return out

    def probe(self, named: Named) -> Probe:
        """Build one."""
        tied = self._tied(named)
        spec = tied.spec
        self.tied |= {id(one) for one in tied.fitting}
        results = self._results(named, spec)
        hidden = any(hides(exchange, named.learnt.interval_ns) for exchange in named.exchanges)
        elsewhere = named.part or named.outer is not None  # (the decisions are told there)
        thresholds = None if hidden or elsewhere else thresholds_of(named, results.passed, spec)
        attempts, course, notes = self._count(named, results, thresholds, spec)
        notes += self._said(named, tied, results, thresholds, hidden=hidden)
        shape, handler = named.shape, _handler(named)
        scheme = "HTTPS" if shape.what is What.TLS else "HTTP"
        by = f"a check by {named.kind}"
        why = "not a kubelet's probe, as far as the packets show" if named.kind == "unknown" else by
        absent = missing(named, attempts, results.passed, usual_pauses(named, spec), self._holes, self._revised)
        return Probe(
            id="",
            checker=self._checker(named),
            target=self._target(named),
            type=ProbeType.UNKNOWN,
            type_source=f"unknown: {why}",
            handler=handler,
            scheme=scheme if handler is Handler.HTTP_GET else None,
            host=foreign_host(shape.host, named.server, named.port),
            path=shape.target or None if handler is Handler.HTTP_GET else None,
            proxy_header=any(begins_proxy(one.opening) for one in named.exchanges),
            service=shape.opening.decode("ascii", "replace") if shape.what is What.GRPC else None,
            check=spec,
            spec_source=spec.source if spec is not None else None,
            inferred=inferred_of(named, thresholds),
            thresholds=numbers_shown(thresholds),
            initial_state=course.initial,
            initial_evidence=course.evidence,
            initial_since_ns=course.known_ns,
            final_state=course.state,
            attempts=tuple(attempts),
            gaps=tuple(self._rounds.told(named, one) for one in absent),
            decisions=tuple(course.decisions),
            notes=(*notes, *expired(attempts, kubelet=False)),
        )

    def _results(self, named: Named, spec: CheckSpec | None) -> Results:
        """Return what came of each check; what of it tells more of the series is taken in."""
        timeouts = self._timeouts.get((named.kind, named.client), [])
        results = results_of(named, spec, self.seen_until_ns, timeouts)
        if named.then is not None:
            go_on(named, named.then, results, self.seen_until_ns, timeouts)
        elif results.usual.lengths:
            # Which of them failed is known only now, and with it after which pauses the server was not in doubt.
            told = [
                check._replace(failed=result is False)
                for check, result in zip(named.checks, results.passed, strict=True)
            ]
            named.learnt = measured(named.kind, named.row, told, Track(named.track.pace, list(range(len(told)))))
        return results

    def _said(
        self, named: Named, tied: Tied, results: Results, thresholds: Thresholds | None, *, hidden: bool
    ) -> list[str]:
        """Return what is to be known of how the checks were judged."""
        spec = tied.spec
        notes = _usual_refusal(results.verdicts) if thresholds is not None and (spec is None or not spec.passes) else []
        notes += [note for note in (tied.note, *(spec.notes if spec is not None else ())) if note]
        notes += drain_notes(named.exchanges) if asks_agent(named) else []
        if hidden:
            notes.append(
                "it keeps its connection and asks on it inside TLS: these checks are not seen, so nothing is decided"
            )
        elif results.usual.lengths and any(v.cause is Cause.ENCRYPTED for v in results.verdicts):
            notes.append(
                "the answers are encrypted: one of the usual size is counted as success, one of another size as failure"
            )
        if passed_over(named, len(named.exchanges) - 1, self._revised):
            notes.append("its connection is not read to its end: what it asks after the last check here is passed over")
        return notes

    def _target(self, named: Named) -> Target:
        pod = self.book.pod(named.server, named.exchanges[0].connection.start.ns)
        if pod is None:
            return Target(address=named.server, port=named.port)
        return Target(
            address=named.server,
            port=named.port,
            namespace=pod.namespace,
            pod=pod.name or None,
            uid=pod.uid,
            named_by=pod.tied_by,
        )

    def _tied(self, named: Named) -> Tied:
        return tie(named, [*self._declared.get(None, ()), *self._declared.get(named.server, ())])

    def _checker(self, named: Named) -> Checker:
        c = named.exchanges[0].connection
        node = self.book.node(named.client)
        said = list(named.why)
        learnt = named.learnt
        if len(targets := named.targets) > 1:
            said.append(f"asks {', '.join(targets)} in turn")
        if learnt.interval_ns is not None:
            what = (
                "from the end of a check to the next"
                if named.track.pace.basis is Basis.PAUSE
                else "from start to start"
            )
            said.append(f"every {learnt.interval_ns / SECOND:.3f} s, {what}")
        if c.orig.ttl in UNROUTED:
            said.append(f"TTL {c.orig.ttl}: not routed")
        if named.row is not None and not named.row.capture:
            said.append(f"not proven by a capture: {named.row.source}")
        product, _, version = named.shape.agent.partition("/")
        others: tuple[str, ...] = ()
        if named.kind == "unknown":
            others = could_be(
                named.shape, kubelet=maybe_kubelet(named.exchanges), keeps=keeps_connection(named.exchanges)
            )
        told = version.split(" ", 1)[0] if product and named.row is not None and named.row.agent else ""
        return Checker(
            kind=named.kind,
            could_be=others,
            version=told,
            address=named.client,
            pod=pod_name(named.client, self.book, c.start.ns),
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            confidence=named.confidence,
            evidence=tuple(said),
        )

    def _count(
        self, named: Named, results: Results, thresholds: Thresholds | None, spec: CheckSpec | None
    ) -> tuple[list[Attempt], Course, list[str]]:
        """Count the streaks of a series and make its attempts; what was decided is in its course."""
        verdicts, passed, ends = results.verdicts, results.passed, results.ends
        course = Course(thresholds, fresh=self._fresh(named, results))
        steps = [Step((), result) for result in passed]
        begun: set[int] = set()
        """Before which checks a new process of the checker began."""
        if thresholds is not None:
            usual = usual_pauses(named, spec)
            begun = {number for number in range(1, len(passed)) if self._restarted(named, number, usual)}
            steps = steps_of(named, verdicts, passed, ends, usual, begun)
            begun = {number for number in begun if not results.again[number]}
        said = [_tells(*one) for one in zip(named.exchanges, verdicts, passed, strict=True)]
        attempts: list[Attempt] = []
        for number, (exchange, verdict, step) in enumerate(zip(named.exchanges, verdicts, steps, strict=True)):
            judged: Judged | None = None
            if number in begun:
                course.begin_anew()
                self._tell_restart(named, number)
            if not results.again[number]:
                judged = course.count(step, answered=said[number if step.like < 0 else step.like])
            attempts.append(self._attempt(number + 1, exchange, verdict, judged, named.kind))
            if judged is not None:
                course.tell(judged, attempts[-1], ends[number], passed[: number + 1])
        return attempts, course, self._notes(named, thresholds, steps, reloaded=bool(begun))

    def _fresh(self, named: Named, results: Results) -> bool:
        """Tell whether the capture shows the first check of all: one before it would have been in it."""
        pace = named.track.pace
        first = named.exchanges[0].connection.start.ns
        # (Where a pause follows the end of a check, and the first one failed, one before it may have lasted as long as that.)
        failed = pace.basis is Basis.PAUSE and results.passed[0] is not True
        lasted_ns = results.verdicts[0].end_ns - first if failed else 0
        return first - self.first_ns > 1.2 * (named.learnt.interval_ns or pace.interval_ns) + lasted_ns + 100 * MS

    def _notes(
        self, named: Named, thresholds: Thresholds | None, steps: Sequence[Step], *, reloaded: bool
    ) -> list[str]:
        notes = unseen_notes(steps)
        if thresholds is not None and thresholds.note:
            notes.append(thresholds.note)
        if reloaded:
            notes.append(
                "HAProxy was reloaded or restarted: a check did not come when it was due, and a new process begins UP"
            )
        if named.then is not None:
            then = named.then
            notes.append(
                f"each check continues with a connection to port {then.port}, and passes only if that one does too"
            )
        if named.part:
            notes.append("the next connection of another check of the same HAProxy: see that one for the decisions")
        if named.outer is not None:
            outer = named.outer
            notes.append(
                f"the same checks as {outer.client} -> {outer.server}:{outer.port}, behind address translation: "
                "the decisions are told there"
            )
        return notes

    def _restarted(self, named: Named, index: int, usual: Sequence[int]) -> bool:
        if named.kind != RESTARTS:
            return False
        return early(named, index, usual) or taken_over(named, index, usual, self._begun.get(named.client, ()))

    def _tell_restart(self, named: Named, index: int) -> None:
        exchange = named.exchanges[index]
        self.events.append(
            TimelineEvent(
                ns=exchange.connection.start.ns,
                kind=EventKind.CHECKER_RESTARTED,
                address=named.client,
                evidence=f"its check of {named.server}:{named.port} did not come when the one before it allowed; "
                "a new HAProxy process takes a server for UP until a check fails",
            )
        )

    def _attempt(self, number: int, exchange: Exchange, verdict: Verdict, judged: Judged | None, kind: str) -> Attempt:
        start = exchange.connection.neighbour or exchange.connection.start
        made = judged_attempt(number, start, verdict, (leg(Role.FIRST, exchange, self.latest),))
        streak, threshold = (judged.streak, judged.threshold) if judged else (0, 0)
        told = diagnosed(replace(made, trigger=Trigger.TICK, streak=streak, threshold=threshold), (exchange,))
        if told.diagnosis is None:
            return told
        return replace(told, diagnosis=replace(told.diagnosis, advice=in_words_of(kind, told.diagnosis.advice)))


def _handler(named: Named) -> Handler:
    """Return as what Kubernetes would know such a check."""
    what = named.shape.what
    spoke = any(e.tls is not None and e.tls.records for e in named.exchanges)
    if what is What.HTTP or (what is What.TLS and spoke):
        return Handler.HTTP_GET
    return Handler.GRPC if what is What.GRPC else Handler.TCP_SOCKET


def _usual_refusal(verdicts: Sequence[Verdict]) -> list[str]:
    """Say that what a server usually answers is counted as failure, where its checker may have been told to want just that."""
    answers = Counter(
        (verdict.status, verdict.cause is Cause.STATUS) for verdict in verdicts if verdict.status is not None
    )
    (status, refused), _ = answers.most_common(1)[0] if answers else ((SERVER_ERROR, False), 0)
    if not refused or status >= SERVER_ERROR:
        return []
    return [
        f"most of its answers are {status}, counted as failure: whether that is the status it wants is not on the wire"
    ]


def _tells(exchange: Exchange, verdict: Verdict, result: bool | None) -> bool:
    """Tell whether the server itself said that a check failed."""
    waited = verdict.end_mark == exchange.connection.orig.closed  # (for another answer)
    return (verdict.cause in ANSWERED and not waited) or (verdict.cause is Cause.ENCRYPTED and result is False)
