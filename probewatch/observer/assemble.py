"""Probes out of lanes and series: every value a report shows of a probe is put together here.

This module is over 600 lines because a probe has that many values, each with its source.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from probewatch.decisions.outages import alive_until
from probewatch.decisions.pod import Planned
from probewatch.decisions.turn import SUSPICIOUS
from probewatch.decisions.worker import INITIAL, Result
from probewatch.model.attempts import Attempts, start_of
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.prediction import Silence
from probewatch.model.spec import DEFAULTS, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import (
    TO_THE_END,
    UNDECLARED,
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    GapKind,
    Outcome,
    Probe,
    Target,
    TimelineEvent,
    Trigger,
)
from probewatch.model.units import SECOND
from probewatch.probes.cadence import steady
from probewatch.probes.guesses import could_be
from probewatch.probes.inference import Guess, observed_period, ticking_period
from probewatch.probes.judge import judge
from probewatch.probes.learnt import whole_seconds
from probewatch.probes.patience import observed_timeout
from probewatch.probes.runs import Run
from probewatch.probes.shapes import Shape, What, shape_of
from probewatch.probes.sidecars import sidecar
from probewatch.probes.sources import Source, evidence

from .build import Latest, confirm, diagnosed, judged_attempt, leg, state_name
from .ledger import Account, Draft, Ledger, let_go
from .losses import Interval, why
from .others import Series, foreign_host, pod_name
from .overdue import LinkGone, gone_since
from .survey import said_of_itself
from .target import Placed
from .tls import expired
from .twins import untold

SILENT_TICKS: Final = 3
SILENT_NS: Final = 5 * SECOND
"""A probe is called silent at the end of a capture after this many ticks, and this long."""
OFF_SCHEDULE: Final = "its first readiness probes are off the later schedule"
LIKE_NOT_READY: Final = "two readiness probes at once, as a NotReady right where the capture begins would show too"
"""The same where the first of them failed and nothing else speaks for a container's beginning."""
GOOD: Final = frozenset({DecisionKind.READY, DecisionKind.STARTED})
"""Decisions that successes make."""


class Assembler:
    """Builds probes with ids in the order of their first attempts."""

    def __init__(
        self,
        book: AddressBook,
        latest: Latest,
        seen_until_ns: int,
        holes: Sequence[Interval] = (),
        losses: Sequence[Interval] = (),
        links_gone: Mapping[int, LinkGone] = MappingProxyType({}),
    ) -> None:
        self.book = book
        self.latest = latest
        self.seen_until_ns = seen_until_ns
        self.holes = holes
        """Times of which not everything was captured; among them `losses`."""
        self.links_gone = links_gone
        self._alike: dict[Any, Any] = {}
        """Values of which there may be one for each of very many probes: those that are equal are one."""
        self.events = [
            TimelineEvent(
                ns=hole[0], end_ns=hole[1], kind=EventKind.CAPTURE_GAP, address="", evidence=why(hole, losses)
            )
            for hole in holes
        ]

    def kubelet(
        self,
        address: str,
        placed: Placed,
        ledger: Ledger,
        source: Source,
        *,
        proven: bool,
        ids: Sequence[str] = (),
    ) -> list[Probe]:
        """Build the probes of one lane from its closed books; `ids` are those its workers were told under, empty where they were not."""
        names = self._container_names(placed.pod)
        self._happened(address, placed, ledger, names, source)
        self.events += self._beginnings(address, placed, ledger, names)
        ending = self._endings(address, placed, ledger, names)
        self.events += ending
        stopped = {event.container for event in ending}
        probes = []
        for worker in sorted(ledger.accounts):
            guess = placed.guess(worker)
            probe = self._probe(address, placed, worker, ledger, guess, source, names, stopped, proven=proven)
            probes.append(replace(probe, id=ids[worker] if ids else ""))
        return probes

    def _happened(self, address: str, placed: Placed, ledger: Ledger, names: Any, source: Source) -> None:
        """Tell what must have happened between attempts: new containers, a new kubelet."""
        node = self.book.node(source.address)
        for one in ledger.happened:
            owner = self._owner(address, placed, one.ns)
            if one.container is None:
                event = TimelineEvent(
                    ns=one.ns,
                    kind=EventKind.KUBELET_RESTARTED,
                    address=node.node if node and node.node else source.address,
                    evidence=f"silence, then {address} was probed at a new phase{one.evidence}",
                    doubtful=one.doubtful,
                )
            else:
                event = TimelineEvent(
                    ns=one.ns,
                    kind=EventKind.CONTAINER_STARTED,
                    address=address,
                    pod=owner,
                    container=names(one.container),
                    evidence=one.evidence,
                    doubtful=one.doubtful,
                    by_ns=ledger.begun_by(one.container, one.ns, _created(placed)),
                )
            self.events.append(event)

    def _pod(self, address: str, placed: Placed, ns: int) -> PodSpec | None:
        """Return the Pod whose lane this is: that declares its probes, else the one that has the address at that time."""
        if placed.pod is not None:
            return placed.pod
        here = [pod for pod in self.book.pods_at(address, ns) if pod.name and not pod.host_network]
        return here[0] if len(here) == 1 else None

    def _owner(self, address: str, placed: Placed, ns: int) -> str | None:
        """Return `namespace/name` of the Pod whose lane this is, where it is known."""
        pod = self._pod(address, placed, ns)
        return f"{pod.namespace}/{pod.name}" if pod is not None and pod.name else None

    def _container_names(self, pod: PodSpec | None) -> Any:
        def name(index: int) -> str | None:
            return pod.containers[index].name or None if pod is not None and index < len(pod.containers) else None

        return name

    def _beginnings(self, address: str, placed: Placed, ledger: Ledger, names: Any) -> list[TimelineEvent]:
        """Tell of the containers that begin in this capture; not where several files may show several Pods."""
        if not placed.lane.fresh or len({guess.era for guess in placed.guesses}) > 1:
            return []
        out = []
        for container in sorted({planned.container for planned in placed.lane.plan}):
            firsts = [
                account.heads[0].start_ns
                for worker, account in ledger.accounts.items()
                if placed.lane.plan[worker].container == container
            ]
            if firsts:
                signs = self._signs(placed, container, ledger)
                out.append(
                    TimelineEvent(
                        ns=min(firsts),
                        by_ns=ledger.begun_by(container, min(firsts), _created(placed)),
                        kind=EventKind.CONTAINER_STARTED,
                        address=address,
                        pod=self._owner(address, placed, min(firsts)),
                        container=names(container),
                        evidence="; ".join(signs),
                        doubtful=signs == [LIKE_NOT_READY],
                    )
                )
        return out

    def _signs(self, placed: Placed, container: int, ledger: Ledger) -> list[str]:
        """Say what shows a container's beginning."""
        signs = list(placed.signs)
        for worker, account in ledger.accounts.items():
            planned, firsts = placed.lane.plan[worker], account.heads
            if planned.container != container:
                continue
            if planned.spec.type is ProbeType.STARTUP:
                signs.append("a startup probe runs")
            if planned.spec.type is ProbeType.READINESS and len(firsts) > 1 and firsts[1].trigger is Trigger.MANUAL:
                signs.append(OFF_SCHEDULE if firsts[0].outcome is Outcome.SUCCESS else LIKE_NOT_READY)
            if firsts[0].cause is Cause.REFUSED and any(made.outcome is Outcome.SUCCESS for made in firsts):
                signs.append("refused before the first success")
        if len(set(signs)) > 1:
            signs = [OFF_SCHEDULE if sign == LIKE_NOT_READY else sign for sign in signs]
        return list(dict.fromkeys(signs)) or ["a container start fits the attempts best"]

    def _endings(self, address: str, placed: Placed, ledger: Ledger, names: Any) -> list[TimelineEvent]:
        """Tell of a pod that is being deleted: liveness stops at once and for good, readiness goes on (kubelet.go SyncTerminatingPod)."""
        out: list[TimelineEvent] = []
        for worker, account in ledger.accounts.items():
            planned, last = placed.lane.plan[worker], account.last
            period = planned.spec.period_s * SECOND
            if planned.spec.type is not ProbeType.LIVENESS or last is None or last.outcome is not Outcome.SUCCESS:
                continue
            later, latest = 0, 0
            for attempts in ledger.readiness(planned.container):
                more = len(attempts) - bisect_right(attempts, last.start.ns + period + SECOND, key=start_of)
                # (What began only afterwards did not go on: it may be another Pod's, that has the address now.)
                if more and attempts[0].start.ns < last.start.ns:
                    later, latest = later + more, attempts[-1].start.ns
            if later >= 2 and latest - last.start.ns > 2.5 * period:
                out.append(
                    TimelineEvent(
                        ns=last.start.ns + period,
                        after_ns=last.start.ns,
                        kind=EventKind.POD_TERMINATING,
                        address=address,
                        pod=self._owner(address, placed, last.start.ns),
                        container=names(planned.container),
                        evidence=f"liveness stopped after a success, readiness went on for {later} attempts",
                    )
                )
        return out

    def _probe(
        self,
        address: str,
        placed: Placed,
        worker: int,
        ledger: Ledger,
        guess: Guess | None,
        source: Source,
        names: Any,
        stopped: set[str | None],
        *,
        proven: bool,
    ) -> Probe:
        planned, account = placed.lane.plan[worker], ledger.accounts[worker]
        spec, first = planned.spec, account.first
        assert first is not None
        spoken = account.spoken or first
        inferred = self._inferred(account, guess)
        thresholds = self._thresholds(spec, guess)
        said = placed.declared[worker].spec if placed.declared is not None else spec
        if said.period_s != spec.period_s:
            thresholds["periodSeconds"] = (spec.period_s, "inferred")
        if said.failure_threshold != spec.failure_threshold:
            thresholds["failureThreshold"] = (spec.failure_threshold, "inferred")
        decisions, (initial, why, known_ns) = self._decisions(placed, planned, account, ledger, thresholds)
        if placed.lane.fresh:
            why = "; ".join(self._signs(placed, planned.container, ledger))
        pod = placed.pod
        final = account.final(placed.lane.pod().workers[worker].cached, self.seen_until_ns)
        gaps = list(account.gaps)
        silent = (
            None
            if spec.type is ProbeType.LIVENESS and names(planned.container) in stopped
            else self._silence(placed, worker, account, deleted=names(planned.container) in stopped)
        )
        if silent is not None:
            gaps.append(silent)
            if placed.lane.pod().containers[planned.container].dying and spec.type is ProbeType.READINESS:
                final = Result.FAILURE  # What was killed is not Ready, though no probe says so.
        return replace(
            self.sketch(address, placed, worker, spoken, source),
            checker=self.checker(source, first, fresh=account.connected and account.fresh, proven=proven),
            command=account.ran.execs[-1].arguments if account.ran is not None else (),
            inferred=inferred,
            thresholds=thresholds,
            initial_state=initial,
            initial_evidence=why,
            initial_since_ns=known_ns,
            final_state=state_name(spec.type, final),
            attempts=account.attempts.result(),
            gaps=tuple(gaps),
            decisions=tuple(decisions),
            notes=(
                *([UNDECLARED] if guess is not None and pod is not None else []),
                *(
                    [untold(spec, placed.lane.plan[twin].spec)]
                    if (twin := placed.untold.get(worker)) is not None
                    else []
                ),
                *self._notes(pod, source, placed, initial, sidecar(spoken.form.path, spec.port)),
                *(account.expired if proven else expired(account.attempts, kubelet=False)),
                *let_go(account),
            ),
        )

    def sketch(self, address: str, placed: Placed, index: int, run: Run, source: Source) -> Probe:
        """Make a probe that says who asks what of whom, and no more: cheap enough for each that is met."""
        spec, pod = placed.lane.plan[index].spec, placed.pod
        guess = placed.guess(index)
        form, http = run.form, spec.handler is Handler.HTTP_GET
        owner = self._pod(address, placed, run.start.ns)
        return Probe(
            id="",
            checker=Checker(kind="kubelet", version=source.version, address=source.address),
            target=Target(
                address=address,
                port=spec.port,
                namespace=owner.namespace or None if owner else None,
                pod=owner.name or None if owner else None,
                uid=owner.uid if owner else None,
                container=self._container_names(pod)(placed.lane.plan[index].container),
                named_by=placed.named_by or (owner.tied_by if owner is not None and pod is None else None),
                host_network=pod is not None and pod.host_network,
                here=self.book.is_own(address),
            ),
            type=spec.type,
            type_source=self._type_source(guess),
            handler=spec.handler,
            scheme=spec.scheme if http else None,
            host=foreign_host(form.host, address, spec.port),
            path=(form.path or spec.path if pod else form.path) if http else None,
            path_cut=http and form.partial and form.path is not None,
            service=(spec.service if pod else form.service) if spec.handler is Handler.GRPC else None,
            spec=(placed.declared or placed.lane.plan)[index].spec if guess is None else None,
            spec_source=pod.source if pod and guess is None else None,
            spec_alike=pod.alike if pod and guess is None else (),
            thresholds=self._thresholds(spec, guess),
        )

    def _type_source(self, guess: Guess | None) -> str:
        if guess is None:
            return "declared"
        return f"unknown: {guess.reason}" if guess.spec.type is ProbeType.UNKNOWN else f"inferred: {guess.reason}"

    def _inferred(self, account: Account, guess: Guess | None) -> dict[str, Any]:
        """Return what the packets show of the spec's numbers."""
        out: dict[str, Any] = dict(guess.inferred) if guess else {}
        starts = account.attempts.starts()
        period = ticking_period(_while_ready(starts, account.drafts)) or observed_period(starts)
        timeout = account.waits.timeout(starts)
        if period is not None:
            out["periodSeconds"] = period
        if timeout is not None:
            out["timeoutSeconds"] = timeout
        return out

    def _thresholds(self, spec: ProbeSpec, guess: Guess | None) -> dict[str, tuple[int, str]]:
        values = {name: value for name, value in spec.numbers.items() if name != "initialDelaySeconds"}

        def origin(name: str) -> str:
            if guess is not None:
                # (Another than the default is supposed for a reason: that many failures had no consequence.)
                return "inferred" if name in guess.inferred or values[name] != DEFAULTS[name] else "default"
            return "declared" if name in spec.declared or not spec.declared else "default"

        alike = self._alike.setdefault
        return {name: alike(told := (value, origin(name)), told) for name, value in values.items()}

    def _decisions(
        self,
        placed: Placed,
        planned: Planned,
        account: Account,
        ledger: Ledger,
        thresholds: dict[str, tuple[int, str]],
    ) -> tuple[list[Decision], tuple[str, str, int | None]]:
        """Return an account's decisions, and its state at the first evidence with what tells it, and since when that is known."""
        spec = planned.spec
        initial, why = self._initial(placed, spec)
        told, known_ns = account.settled, None
        drafts = list(account.drafts)
        if told is not None and initial == "unknown" and not any(d.found.attempt < told.attempt for d in drafts[:1]):
            one, many = ("success", "successes") if told.state is Result.SUCCESS else ("failure", "failures")
            initial = state_name(spec.type, told.state)
            why = f"first streak in the capture: {told.streak} {one if told.streak == 1 else many}"
            known_ns = told.ns if told.attempt > told.streak else None
        elif drafts and initial == "unknown":
            initial, why = drafts[0].found.before, "what followed shows it"
        since: int | None = None
        held = initial
        out: list[Decision] = []
        for draft in drafts:
            found = draft.found
            if spec.type is ProbeType.READINESS and found.before != held:
                since = self._lost(planned, account, ledger, since, draft.start_ns)
            held = found.after
            if since is not None and any(begun < draft.start_ns and since < over for begun, over in self.holes):
                since = None
            origin = thresholds["successThreshold" if found.kind in GOOD else "failureThreshold"][1]
            ready = self._next_ready(planned, ledger, found.ns) if found.kind is DecisionKind.STARTED else None
            if not draft.followed or ready is not None:
                found = confirm(found, spec, None, ready, self.seen_until_ns, free_ns=found.ns)
            if found.confirmed is False and not ledger.synced_after(found.ns):
                found = replace(found, confirmed=None, confirmed_by="")  # (of a Pod that is not synced none is due)
            out.append(
                replace(found, threshold_source=origin, since_ns=found.ns - since if since is not None else None)
            )
            since = found.ns
        return out, (initial, why, known_ns)

    def _lost(self, planned: Planned, account: Account, ledger: Ledger, since: int | None, until: int) -> int | None:
        """Return since when Ready was gone that no decision took: its container ended, else its kubelet was restarted (before 1.35)."""
        for ended, shown in ledger.breaks(planned.container):
            if ended <= until and (since is None or ended > since):
                return _gone(account.attempts, ended, shown, planned.spec.period_s * SECOND)
        return next((ns for ns in ledger.restarts if ns <= until and (since is None or ns > since)), None)

    def _next_ready(self, planned: Planned, ledger: Ledger, ns: int) -> Attempt | None:
        """Return the next attempt of a container's readiness probe."""
        for attempts in ledger.readiness(planned.container):
            if (at := bisect_left(attempts, ns, key=start_of)) < len(attempts):
                return attempts[at]
        return None

    def _initial(self, placed: Placed, spec: ProbeSpec) -> tuple[str, str]:
        return (state_name(spec.type, INITIAL[spec.type]), "") if placed.lane.fresh else ("unknown", "")

    def _silence(self, placed: Placed, index: int, account: Account, *, deleted: bool) -> Gap | None:
        """Make the gap from the last attempt to the end of the capture, where it is long enough to mean something."""
        last = account.last
        assert last is not None
        planned = placed.lane.plan[index]
        worker, container = placed.lane.pod().workers[index], placed.lane.pod().containers[planned.container]
        silent = self.seen_until_ns - max(last.start.ns, last.end_ns)
        expected = silent // (planned.spec.period_s * SECOND)
        if expected < SILENT_TICKS or silent < SILENT_NS or (planned.spec.type is ProbeType.STARTUP and worker.on_hold):
            return None
        kind, reason = GapKind.UNEXPLAINED, TO_THE_END
        if deleted:
            kind, reason = GapKind.POD_DELETED, "the Pod was deleted"
        elif gone := gone_since(placed.lane, self.links_gone, last.start.ns):
            kind, reason = GapKind.POD_DELETED, gone
        elif self.book.was_replaced(placed.pod, self.seen_until_ns):
            kind, reason = GapKind.POD_DELETED, "by then its address is another Pod's"
        elif worker.on_hold:
            kind, reason = GapKind.ON_HOLD, str(Silence.ON_HOLD)
        elif container.dying:
            kind, reason = GapKind.CONTAINER_RESTARTED, "its container was being stopped, and no new one was seen"
        return Gap(start_ns=last.start.ns, end_ns=self.seen_until_ns, expected=expected, reason=reason, kind=kind)

    def _notes(self, pod: PodSpec | None, source: Source, placed: Placed, initial: str, instead: str) -> list[str]:
        out = [*placed.notes, *([instead] if instead else [])]
        if pod is not None:
            node = self.node_behind(source)
            if node is not None and pod.node and node.node and node.node != pod.node:
                out.append(f"probed by node {node.node}, but the Pod says it runs on {pod.node}")
            elif node is not None and pod.host_ip and node.node_address and node.node_address != pod.host_ip:
                out.append(f"probed by the node at {node.node_address}, but the Pod says it runs on {pod.host_ip}")
        if placed.lane.fresh is False and initial == "unknown":
            out.append(
                "the capture begins when the container already ran: its state before the first streak is not known"
            )
        return out

    def checker(self, source: Source, first: Run, *, fresh: bool, proven: bool) -> Checker:
        """Say who probes; `first` is the first of its attempts, `fresh`: each had connections of its own."""
        if first.execs:
            return self._caller(source, first, proven=proven)
        said, sure = evidence(source, self.book, fresh=fresh)
        node = self.node_behind(source)
        made = Checker(
            kind="kubelet" if proven else "unknown",
            pod=None if proven else pod_name(source.address, self.book, first.start.ns),
            could_be=() if proven else guesses([first]),
            version=source.version,
            address=source.address,
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            confidence=sure,
            evidence=said,
        )
        same: Checker = self._alike.setdefault(made, made)
        return same

    def _caller(self, source: Source, run: Run, *, proven: bool) -> Checker:
        """Say who had a command run: the runtime does not tell, so it is known by what was asked."""
        node = self.node_behind(source) if source.address else None
        above = [name for name in run.execs[-1].parents if name]
        said = (
            ("the declared command, in the declared container",) if proven else ("the same command at whole seconds",)
        )
        return Checker(
            kind="kubelet" if proven else "unknown",
            could_be=() if proven else ("kubelet",),
            version=source.version,
            address=source.address,
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            confidence=0.9 if proven else 0.5,
            evidence=(*said, *((f"run by {' under '.join(above[:2])}, without a terminal",) if above else ())),
        )

    def node_behind(self, source: Source) -> NodeAddress | None:
        """Name the node behind a source (docs/design.md, section 5): what is known of its address, else of the tunnel that brought it."""
        node = self.book.node(source.address)
        if node is not None or not source.outer_source:
            return node
        outer = self.book.node(source.outer_source)
        return NodeAddress(
            address=source.address,
            node=outer.node if outer else "",
            node_address=(outer.node_address if outer else None) or source.outer_source,
            source="outer source of the tunnel" + (f" ({outer.source})" if outer else ""),
            rank=3,
        )

    def unknown(self, series: Series, source: Source) -> Probe:
        """Build the probe of a periodic check that nothing names."""
        timeout = observed_timeout(series.runs, series.handler) or 10
        rows: list[Attempt] = []
        for number, run in enumerate(series.runs, 1):
            exchange = run.tries[-1][-1]
            verdict = judge(
                exchange,
                series.handler,
                timeout * SECOND,
                scheme="HTTPS" if series.tls else "HTTP",
                seen_until_ns=self.seen_until_ns,
                start_ns=run.tries[0][0].connection.start.ns,
                closes_at_once=False,
            )
            legs = tuple(leg(role, one, self.latest) for role, one in run.legs())
            made = judged_attempt(number, run.start, verdict, legs)
            rows.append(diagnosed(made, [one for _, one in run.legs()]))
        regular = steady([run.start.ns for run in series.runs])
        inferred: dict[str, Any] = {}
        if regular is not None:
            inferred = {"interval_s": round(regular[0], 3), "interval_basis": "start"}
        pod = self.book.pod(series.server, series.runs[0].start.ns)
        form = series.runs[0].form
        node = self.node_behind(source)
        checker = Checker(
            kind="unknown",
            could_be=guesses(series.runs),
            address=source.address,
            pod=pod_name(source.address, self.book, series.runs[0].start.ns),
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            evidence=(
                *said_of_itself(form.user_agent or ""),
                "regular, a fresh connection for each check",
                "not in the form of a kubelet's request",
            ),
        )
        return Probe(
            id="",
            checker=checker,
            target=Target(
                address=series.server,
                port=series.port,
                namespace=pod.namespace if pod else None,
                pod=pod.name or None if pod else None,
                uid=pod.uid if pod else None,
                container=None,
                named_by=pod.tied_by if pod else None,
            ),
            type=ProbeType.UNKNOWN,
            type_source="unknown: not a kubelet's probe, as far as the packets show",
            handler=series.handler,
            scheme=("HTTPS" if series.tls else "HTTP") if series.handler is Handler.HTTP_GET else None,
            host=foreign_host(form.host, series.server, series.port),
            path=series.path,
            inferred=inferred,
            attempts=tuple(rows),
            notes=tuple(expired(rows, kubelet=False)),
        )


def _while_ready(starts: Sequence[int], drafts: Iterable[Draft]) -> Sequence[int]:
    """Return the longest row of starts from a Ready on: nothing pokes a probe then (worker.go doProbe), so all but the first are ticks."""
    best: Sequence[int] = ()
    begun: int | None = None
    for kind, start_ns in [
        *((draft.found.kind, draft.start_ns) for draft in drafts),
        (DecisionKind.NOT_READY, starts[-1]),
    ]:
        if kind is DecisionKind.READY:
            begun = start_ns if begun is None else begun
        elif kind is DecisionKind.NOT_READY and begun is not None:
            ticks = starts[bisect_left(starts, begun) : bisect_right(starts, start_ns)]
            best, begun = max(best, ticks, key=len), None
    return best


def guesses(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the checkers whose form and cadence this is, where nothing names one."""
    first = runs[0]
    shown = shape_of(first.tries[0][0]) if first.tries else None
    in_time = len(runs) == 1 or whole_seconds([run.start.ns for run in runs])
    return could_be(shown or Shape(What.CLOSE), kubelet=first.form.kubelet and in_time)


def _created(placed: Placed) -> int | None:
    """Return when the Pod of a lane was created, where its manifest tells it."""
    return placed.pod.created_ns if placed.pod is not None else None


def _gone(attempts: Attempts, ended: int, shown: int, period_ns: int) -> int:
    """Return when a container was gone whose end was decided at `ended`, and whose successor showed at `shown`.

    One that was told to end may still answer for a while. One that exited by itself (then both moments are the same) was
    gone by the first of the attempts before its successor that met nobody, or else by the first tick that made none.
    """
    at = bisect_left(attempts, shown, key=start_of)
    if ended < shown:
        told = max(0, bisect_left(attempts, ended, key=start_of) - 1)  # (one was under way then)
        signs = (alive_until(attempts[place]) for place in range(told, at))
        return max([ended, *(sign for sign in signs if sign is not None and sign < shown)])
    met = at
    while met > 0 and attempts[met - 1].cause in SUSPICIOUS:
        met -= 1
    if met < at:
        return min(shown, attempts[met].end_ns)
    return min(shown, max(attempts[at - 1].end_ns, attempts[at - 1].start.ns + period_ns)) if at else shown
