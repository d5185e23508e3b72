"""Probes of checkers that are not the kubelet: what came of each check, and when they said UP and DOWN.

Each check of a series (see `survey`) is judged with the timeout that the series itself shows, and `decisions.risefall`
counts. Of two series that are one behind address translation both are shown, and only the outer one takes decisions.
Encrypted answers are told apart by the lengths of their TLS records alone, and a note says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.decisions.risefall import Judged, Rule, Thresholds, begin, count, pass_over
from probewatch.model.book import AddressBook
from probewatch.model.catalogue import in_words_of
from probewatch.model.check import CheckSpec
from probewatch.model.exchange import Exchange
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Outcome,
    Probe,
    Role,
    Target,
    TimelineEvent,
    Trigger,
)
from probewatch.probes.cadence import SECOND, median
from probewatch.probes.checkers import LONGEST_NS, MS, Track
from probewatch.probes.ends import gave_up, through
from probewatch.probes.guesses import could_be, keeps_connection
from probewatch.probes.judge import Verdict, judge
from probewatch.probes.repeats import tried_again
from probewatch.probes.replies import Talk, agent_says, agent_word, drain_notes, replied, talk_of
from probewatch.probes.rounds import CLOSE_RECORD
from probewatch.probes.shapes import What, late_reset
from probewatch.probes.signatures import Basis, Signature, passes
from probewatch.probes.steps import followed
from probewatch.wire.exchange import begins_proxy

from .build import Latest, diagnosed, judged_attempt, leg
from .declared import Tied, inferred_of, numbers_shown, thresholds_of, tie
from .groups import UNROUTED
from .others import foreign_host, pod_name
from .pauses import Rounds, early, missing, passed_over, taken_over, usual_pauses
from .sealed import Usual, hides, hung, passed, usual_of
from .survey import REPEATS, Named, asks_agent, maybe_kubelet, measured
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
        verdicts, results, sizes = self._judged(named, spec)
        again = tried_again(named.checks) if named.kind == REPEATS else [False] * len(results)
        _tried_in_vain(named.exchanges, again, verdicts, results)
        ends = [verdict.end_ns for verdict in verdicts]
        if sizes.lengths and named.then is None:
            # Which of them failed is known only now, and with it after which pauses the server was not in doubt.
            told = [check._replace(failed=result is False) for check, result in zip(named.checks, results, strict=True)]
            whole = Track(named.track.pace, list(range(len(told))))
            named.learnt = measured(named.kind, named.row, told, whole)
        if named.then is not None:
            self._go_on(named, named.then, verdicts, results, ends)
        hidden = any(hides(exchange, named.learnt.interval_ns) for exchange in named.exchanges)
        elsewhere = named.part or named.outer is not None  # (the decisions are told there)
        thresholds = None if hidden or elsewhere else thresholds_of(named, results, spec)
        attempts, decisions, states, notes = self._count(named, verdicts, results, ends, thresholds, spec, again)
        if thresholds is not None and (spec is None or not spec.passes):
            notes += _usual_refusal(verdicts)
        notes += [note for note in (tied.note, *(spec.notes if spec is not None else ())) if note]
        notes += drain_notes(named.exchanges) if asks_agent(named) else []
        if hidden:
            notes.append(
                "it keeps its connection and asks on it inside TLS: these checks are not seen, so nothing is decided"
            )
        elif sizes.lengths and any(v.cause is Cause.ENCRYPTED for v in verdicts):
            notes.append(
                "the answers are encrypted: one of the usual size is counted as success, one of another size as failure"
            )
        if passed_over(named, len(named.exchanges) - 1, self._revised):
            notes.append("its connection is not read to its end: what it asks after the last check here is passed over")
        shape, first = named.shape, named.exchanges[0]
        pod = self.book.pod(named.server, first.connection.start.ns)
        tls = shape.what is What.TLS
        http = shape.what is What.HTTP or (tls and any(e.tls is not None and e.tls.records for e in named.exchanges))
        handler = Handler.HTTP_GET if http else Handler.GRPC if shape.what is What.GRPC else Handler.TCP_SOCKET
        why = (
            "not a kubelet's probe, as far as the packets show"
            if named.kind == "unknown"
            else f"a check by {named.kind}"
        )
        return Probe(
            id="",
            checker=self._checker(named),
            target=Target(
                address=named.server,
                port=named.port,
                namespace=pod.namespace if pod else None,
                pod=pod.name or None if pod else None,
                uid=pod.uid if pod else None,
                named_by=pod.tied_by if pod else None,
            ),
            type=ProbeType.UNKNOWN,
            type_source=f"unknown: {why}",
            handler=handler,
            scheme=("HTTPS" if tls else "HTTP") if handler is Handler.HTTP_GET else None,
            host=foreign_host(shape.host, named.server, named.port),
            path=shape.target or None if handler is Handler.HTTP_GET else None,
            proxy_header=any(begins_proxy(one.opening) for one in named.exchanges),
            service=shape.opening.decode("ascii", "replace") if shape.what is What.GRPC else None,
            check=spec,
            spec_source=spec.source if spec is not None else None,
            inferred=inferred_of(named, thresholds),
            thresholds=numbers_shown(thresholds),
            initial_state=states[0],
            initial_evidence=states[1],
            initial_since_ns=states[2],
            final_state=states[3],
            attempts=tuple(attempts),
            gaps=tuple(
                self._rounds.told(named, one)
                for one in missing(named, attempts, results, usual_pauses(named, spec), self._holes, self._revised)
            ),
            decisions=tuple(decisions),
            notes=(*notes, *expired(attempts, kubelet=False)),
        )

    def _tied(self, named: Named) -> Tied:
        return tie(named, [*self._declared.get(None, ()), *self._declared.get(named.server, ())])

    def _judged(self, named: Named, spec: CheckSpec | None) -> tuple[list[Verdict], list[bool | None], Usual]:
        """Return what came of each connection, whether that is a pass, and what length encrypted answers usually have."""
        answer_ns, dial_ns = _timeouts(named, spec, self._timeouts.get((named.kind, named.client), []))
        agent = asks_agent(named)
        talk = _talk(named)
        waits = [answer_ns if exchange.connection.resp.syns else dial_ns for exchange in named.exchanges]
        verdicts = [
            self._verdict(exchange, named, wait_ns, spec, talk, agent=agent)
            for exchange, wait_ns in zip(named.exchanges, waits, strict=True)
        ]
        sizes = usual_of(named.exchanges, verdicts)
        results = [
            agent_word(exchange.connection.resp.data)[0] if agent else passed(exchange, verdict, sizes)
            for exchange, verdict in zip(named.exchanges, verdicts, strict=True)
        ]
        verdicts = [
            hung(exchange, verdict) if result is False else verdict
            for exchange, verdict, result in zip(named.exchanges, verdicts, results, strict=True)
        ]
        if named.track.pace.basis is Basis.PAUSE:
            # Such a checker asks again only when it is through, whenever a close came through to the capture.
            for number, after in enumerate(named.exchanges[1:]):
                if verdicts[number].end_ns > (start := after.connection.start.ns):
                    verdicts[number] = replace(verdicts[number], end_ns=start)
        return verdicts, results, sizes

    def _go_on(
        self, named: Named, then: Named, verdicts: list[Verdict], results: list[bool | None], ends: list[int]
    ) -> None:
        """Let a check end as its next connection does, where it made one."""
        following, passed, _ = self._judged(then, None)
        later = [verdict.end_ns for verdict in following]
        if then.then is not None:
            self._go_on(then, then.then, following, passed, later)
        for number, at in enumerate(followed(named.checks, then.checks)):
            if at is None:
                continue
            results[at], ends[at] = passed[number], later[number]
            if passed[number] is False:
                text = f"its next connection, to port {then.port}, failed: {following[number].detail}"
                verdicts[at] = replace(verdicts[at], detail=text)

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

    def _verdict(
        self,
        exchange: Exchange,
        named: Named,
        timeout_ns: int,
        spec: CheckSpec | None,
        talk: Talk | None,
        *,
        agent: bool,
    ) -> Verdict:
        c = exchange.connection
        if late_reset(c):
            wait_ns = c.resp.syns[0].ns - c.start.ns
            if wait_ns < timeout_ns:
                detail = "the SYN-ACK is here, and the checker never acknowledged it"
            else:
                detail = f"SYN answered after {wait_ns / SECOND:.2f} s, the checker was gone"
            return Verdict(
                outcome=Outcome.FAILURE, cause=Cause.NO_SYN_ANSWER, end_ns=c.start.ns + timeout_ns, detail=detail
            )
        what = named.shape.what
        if what in (What.RESET, What.CLOSE, What.BYTES):
            verdict = judge(
                exchange, Handler.TCP_SOCKET, timeout_ns, seen_until_ns=self.seen_until_ns, closes_at_once=False
            )
            if verdict.cause is Cause.CUT and not c.resp.packets and c.orig.rst is not None and c.orig.rst_acks:
                detail = "connected: what it resets it had acknowledged, though the capture lost the SYN-ACK"
                return Verdict(
                    outcome=Outcome.SUCCESS, cause=Cause.OK, end_ns=c.orig.rst.ns, end_mark=c.orig.rst, detail=detail
                )
            if agent:
                return agent_says(exchange, verdict)
            return replied(exchange, verdict, talk, timeout_ns) if talk is not None else verdict
        if what is What.GRPC:
            verdict = judge(exchange, Handler.GRPC, timeout_ns, seen_until_ns=self.seen_until_ns, closes_at_once=False)
            if verdict.cause is Cause.GRPC_CONNECT and (refused := through(c)) is not None:
                verdict = replace(verdict, end_ns=refused, end_mark=c.resp.rst)  # (only a kubelet dials on)
            return verdict
        scheme = "HTTPS" if what is What.TLS else "HTTP"
        verdict = judge(
            exchange,
            Handler.HTTP_GET,
            timeout_ns,
            scheme=scheme,
            seen_until_ns=self.seen_until_ns,
            whole_body=False,
            closes_at_once=False,
        )
        tls = exchange.tls
        if verdict.cause is Cause.ENCRYPTED and tls is not None:
            # In TLS 1.3 the client's Finished looks like its first record of application data.
            asked = sum(record.by_client and record.length > CLOSE_RECORD for record in tls.records) - (
                tls.version == "TLS 1.3"
            )
            if tls.established is not None and asked <= 0 and c.orig.gap is None:
                return replace(
                    verdict, outcome=Outcome.SUCCESS, cause=Cause.OK, detail=f"{tls.version or 'TLS'} handshake"
                )
            if c.orig.rst is not None and c.resp.gap is None and (after := gave_up(exchange)) is not None:
                return Verdict(
                    outcome=Outcome.FAILURE,
                    cause=Cause.SLOW_ANSWER,
                    end_ns=c.start.ns + after,
                    detail="no answer inside TLS",
                )
        waited = gave_up(exchange)
        if (
            verdict.cause is Cause.CUT
            and waited is not None
            and abs(waited - (named.learnt.timeout_ns or 0)) <= 30 * MS
        ):
            # Whatever the capture lost: the checker itself gave up, at its timeout.
            return Verdict(
                outcome=Outcome.FAILURE,
                cause=Cause.SLOW_ANSWER,
                end_ns=c.start.ns + waited,
                detail="the checker gave up at its timeout",
            )
        return _by_status(verdict, named.row, spec)

    def _count(
        self,
        named: Named,
        verdicts: Sequence[Verdict],
        results: Sequence[bool | None],
        ends: Sequence[int],
        thresholds: Thresholds | None,
        spec: CheckSpec | None,
        again: Sequence[bool],
    ) -> tuple[list[Attempt], list[Decision], tuple[str, str, int | None, str], list[str]]:
        """Count the streaks of a series and make its attempts and decisions."""
        pace = named.track.pace
        first = named.exchanges[0].connection.start.ns
        # (Where a pause follows the end of a check, and the first one failed, one before it may have lasted as long as that.)
        failed = pace.basis is Basis.PAUSE and results[0] is not True
        lasted_ns = verdicts[0].end_ns - first if failed else 0
        fresh = first - self.first_ns > 1.2 * (named.learnt.interval_ns or pace.interval_ns) + lasted_ns + 100 * MS
        health = begin(thresholds, fresh=fresh) if thresholds is not None else None
        initial, why = "unknown", ""
        known_ns: int | None = None
        if health is not None and health.up is not None and _begins_known(health.thresholds):
            initial = "UP" if health.up else "DOWN"
            name = "Envoy" if health.thresholds.eager else "HAProxy"
            why = f"{name} begins {initial}, and the capture shows its first check"
        attempts: list[Attempt] = []
        decisions: list[Decision] = []
        since: int | None = None
        reloaded = False
        usual = usual_pauses(named, spec)
        tells = [_tells(*one) for one in zip(named.exchanges, verdicts, results, strict=True)]
        begun = {number for number in range(1, len(results)) if self._restarted(named, number, usual)}
        steps = [Step((), result) for result in results]
        if health is not None:
            steps = steps_of(named, verdicts, results, ends, usual, begun)
        for number, (exchange, verdict, step) in enumerate(zip(named.exchanges, verdicts, steps, strict=True), 1):
            judged: Judged | None = None
            if health is not None and thresholds is not None and not again[number - 1]:
                if number - 1 in begun:
                    health, reloaded = begin(thresholds, fresh=True), True
                    self._tell_restart(named, number - 1)
                if step.before or step.unknown:
                    health = pass_over(health, step.before, step.unknown)
                judged = count(health, step.result, answered=tells[number - 1 if step.like < 0 else step.like])
                health = judged.health
            attempts.append(self._attempt(number, exchange, verdict, judged, named.kind))
            if judged is None or thresholds is None:
                continue
            kind, before = judged.decision, "DOWN" if judged.decision is DecisionKind.UP else "UP"
            if kind is None and judged.settled is not None and fresh and thresholds.announces:
                kind, before = DecisionKind.UP if judged.settled else DecisionKind.DOWN, "unknown"
            if kind is not None:
                decisions.append(_decision(kind, before, attempts[-1], ends[number - 1], judged, thresholds, since))
                since = ends[number - 1]
            elif judged.settled is not None and initial == "unknown":
                if any(one is not judged.settled for one in results[:number]) or (number > 1 and not judged.settled):
                    known_ns = ends[number - 1]  # (what it was before may have been either)
                initial = "UP" if judged.settled else "DOWN"
                checks = f"first {number} checks leave" if number > 1 else "first check leaves"
                why = f"the capture's {checks} no other state possible"
        final = {True: "UP", False: "DOWN", None: "unknown"}[health.up] if health is not None else "unknown"
        return (
            attempts,
            decisions,
            (initial, why, known_ns, final),
            self._notes(named, thresholds, steps, reloaded=reloaded),
        )

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


def _tried_in_vain(
    exchanges: Sequence[Exchange], again: Sequence[bool], verdicts: list[Verdict], results: list[bool | None]
) -> None:
    """Let an answer in clear be a failure where its checker tried again at once, and so the same answer to the last try."""
    for number in range(len(results)):
        said = _said(exchanges[number])
        same = (
            number > 0 and again[number - 1] and results[number - 1] is False and said == _said(exchanges[number - 1])
        )
        if said is not None and results[number] and (again[number] or same):
            why = "tried again at once" if again[number] else "the same as to the try before"
            detail = f"{verdicts[number].detail}, not the answer that it wants: {why}"
            verdicts[number] = replace(verdicts[number], outcome=Outcome.FAILURE, cause=Cause.STATUS, detail=detail)
            results[number] = False


def _said(exchange: Exchange) -> tuple[int | None, int] | None:
    """Return what tells one answer in clear from another: its status and how long it is."""
    return (exchange.http[0].status, exchange.http[0].body_bytes) if exchange.http else None


def _tells(exchange: Exchange, verdict: Verdict, result: bool | None) -> bool:
    """Tell whether the server itself said that a check failed."""
    waited = verdict.end_mark == exchange.connection.orig.closed  # (for another answer)
    return (verdict.cause in ANSWERED and not waited) or (verdict.cause is Cause.ENCRYPTED and result is False)


def _talk(named: Named) -> Talk | None:
    """Return how a series talks where what the server says is not read; None where nothing need be said, or it is read."""
    if named.shape.what not in (What.RESET, What.CLOSE, What.BYTES):
        return None
    return talk_of(named.shape.opening if named.shape.what is What.BYTES else None, named.kind, named.exchanges)


def _begins_known(thresholds: Thresholds) -> bool:
    """Tell whether the program's own state at its start is known."""
    return thresholds.eager or thresholds.rule is Rule.COUNTER


def _timeouts(named: Named, spec: CheckSpec | None, others: Sequence[int]) -> tuple[int, int]:
    """Return how long it waits for an answer, and for a SYN-ACK: what it shows, else the declared, else its interval (HAProxy's rule).

    Where neither is known, what its program's `others` show is likelier than its interval. For an answer never less than
    its slowest good one took.
    """
    learnt = named.learnt
    likely = min(int(median(others)), learnt.interval_ns or LONGEST_NS) if others else learnt.interval_ns
    timeout = learnt.timeout_ns or (spec.timeout_ns if spec is not None else None) or likely or 10 * SECOND
    dial = learnt.dial_ns or (spec.dial_ns if spec is not None else None) or learnt.dial_most_ns or timeout
    # HAProxy connects within `inter`, whatever `timeout check` is (configuration manual 4.2); others have one timeout for all.
    dial = min(dial, (learnt.interval_ns if named.kind == "haproxy" else None) or timeout)
    slowest = 0
    for exchange in named.exchanges:
        c = exchange.connection
        first, end = c.resp.first_data, through(c)
        gone = c.orig.rst is not None and not c.orig.rst_acks  # the kernel's RST: the checker had closed before
        if first is not None and end is not None and first.ns <= end and not gone:
            slowest = max(slowest, first.ns - c.start.ns)
    return max(timeout + 20 * MS, slowest), dial + 20 * MS


def _by_status(verdict: Verdict, row: Signature | None, spec: CheckSpec | None) -> Verdict:
    """Read a status as this checker was told to, else as it does where nothing was configured."""
    if verdict.status is None or verdict.cause not in (Cause.OK, Cause.OK_REDIRECT, Cause.STATUS):
        return verdict
    declared = spec.passes if spec is not None else ()
    if any(low <= verdict.status <= high for low, high in declared) if declared else passes(row, verdict.status):
        return replace(verdict, outcome=Outcome.SUCCESS, cause=Cause.OK)
    return replace(verdict, outcome=Outcome.FAILURE, cause=Cause.STATUS)


def _decision(
    kind: DecisionKind,
    before: str,
    made: Attempt,
    end_ns: int,
    judged: Judged,
    thresholds: Thresholds,
    since: int | None,
) -> Decision:
    mark = made.end_mark
    if mark is None:
        connection = made.legs[0].connection
        mark = connection.end if connection.end.ns <= made.end_ns else made.start
    return Decision(
        ns=end_ns,
        kind=kind,
        before=before,
        after="UP" if kind is DecisionKind.UP else "DOWN",
        attempt=made.n,
        mark=mark,
        streak=judged.streak,
        threshold=judged.threshold,
        threshold_source=thresholds.source("rise" if kind is DecisionKind.UP else "fall"),
        since_ns=end_ns - since if since is not None else None,
    )
