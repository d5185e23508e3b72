"""Probes out of lanes and series: every value a report shows of a probe is put together here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from probewatch.decisions.worker import INITIAL, Counted, Result
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.prediction import Silence
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    Outcome,
    Probe,
    Target,
    TimelineEvent,
    Trigger,
)
from probewatch.probes.cadence import SECOND, steady
from probewatch.probes.inference import Guess, observed_period
from probewatch.probes.judge import judge
from probewatch.probes.patience import observed_timeout
from probewatch.probes.runs import Run
from probewatch.probes.shapes import Shape, What, shape_of
from probewatch.probes.signatures import could_be, sidecar
from probewatch.probes.sources import Source, evidence

from .build import (
    Latest,
    attempt,
    confirm,
    decision,
    diagnosed,
    events,
    gap,
    interruptions,
    judged_attempt,
    leg,
    state_name,
)
from .lane import Step
from .others import Series, foreign_host, pod_name
from .survey import SHOWN
from .target import Placed
from .tls import expired

SILENT_TICKS: Final = 3
SILENT_NS: Final = 5 * SECOND
"""A probe is called silent at the end of a capture after this many ticks, and this long."""
GOOD: Final = frozenset({DecisionKind.READY, DecisionKind.STARTED})
"""Decisions that successes make."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt with the step it came from and its count (the last redial's, where it dialled again)."""

    step: Step
    counted: Counted | None
    made: Attempt


class Assembler:
    """Builds probes with ids in the order of their first attempts."""

    def __init__(
        self, book: AddressBook, latest: Latest, seen_until_ns: int, holes: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.book = book
        self.latest = latest
        self.seen_until_ns = seen_until_ns
        self.holes = holes
        """Times that no file covers."""
        self.events: list[TimelineEvent] = [
            TimelineEvent(
                ns=begun,
                kind=EventKind.CAPTURE_GAP,
                address="",
                evidence=f"no file covers the next {(ended - begun) / SECOND:.0f} s",
            )
            for begun, ended in holes
        ]

    def kubelet(
        self,
        address: str,
        placed: Placed,
        steps: Sequence[Step],
        source: Source,
        *,
        proven: bool,
        ids: Sequence[str] = (),
    ) -> list[Probe]:
        """Build the probes of one lane; `ids` are those its workers were told under, empty where they were not."""
        pod = placed.pod
        names = self._container_names(pod)
        node = self.book.node(source.address)
        self.events += events(
            steps, address, names, node.node if node and node.node else source.address, self._owner(placed)
        )
        rows = self._attempts(steps)
        self.events += self._beginnings(address, placed, rows, names)
        self.events += self._endings(address, placed, rows, names)
        probes = []
        for index, planned in enumerate(placed.lane.plan):
            if rows.get(index):
                guess = placed.guesses[index] if placed.guesses else None
                readiness = self._readiness(placed, rows, planned.container)
                probe = self._probe(address, placed, index, rows, readiness, guess, source, names, steps, proven=proven)
                probes.append(replace(probe, id=ids[index] if ids else ""))
        return probes

    def _owner(self, placed: Placed) -> str | None:
        """Return `namespace/name` of the Pod whose lane this is, where it is known."""
        pod = placed.pod
        return f"{pod.namespace}/{pod.name}" if pod is not None and pod.name else None

    def _container_names(self, pod: PodSpec | None) -> Any:
        def name(index: int) -> str | None:
            return pod.containers[index].name if pod is not None and index < len(pod.containers) else None

        return name

    def _attempts(self, steps: Sequence[Step]) -> dict[int, list[Row]]:
        """Join redials to their attempts and number the attempts of each worker."""
        joined: dict[int, list[tuple[Step, list[Step]]]] = {}
        for step in steps:
            assert step.reading is not None
            mine = joined.setdefault(step.reading.worker, [])
            if step.reading.redial and mine:
                mine[-1][1].append(step)
            else:
                mine.append((step, []))
        return {
            worker: [
                Row(step, (redials[-1] if redials else step).counted, attempt(number, step, redials, self.latest))
                for number, (step, redials) in enumerate(mine, 1)
            ]
            for worker, mine in joined.items()
        }

    def _beginnings(self, address: str, placed: Placed, rows: dict[int, list[Row]], names: Any) -> list[TimelineEvent]:
        """Tell of the containers that begin in this capture."""
        if not placed.lane.fresh:
            return []
        out = []
        for container in sorted({planned.container for planned in placed.lane.plan}):
            mine = [
                row for worker, many in rows.items() if placed.lane.plan[worker].container == container for row in many
            ]
            if mine:
                first = min(mine, key=lambda row: row.made.start.ns)
                out.append(
                    TimelineEvent(
                        ns=first.made.start.ns,
                        kind=EventKind.CONTAINER_STARTED,
                        address=address,
                        pod=self._owner(placed),
                        container=names(container),
                        evidence="; ".join(self._signs(placed, container, rows)),
                    )
                )
        return out

    def _signs(self, placed: Placed, container: int, rows: dict[int, list[Row]]) -> list[str]:
        """Say what shows a container's beginning."""
        signs = list(placed.signs)
        for worker, many in rows.items():
            planned = placed.lane.plan[worker]
            if planned.container != container:
                continue
            if planned.spec.type is ProbeType.STARTUP:
                signs.append("a startup probe runs")
            if planned.spec.type is ProbeType.READINESS and len(many) > 1 and many[1].made.trigger is Trigger.MANUAL:
                signs.append("the first readiness probes are off the later grid")
            firsts = [row.made for row in many[:8]]
            if firsts and firsts[0].cause is Cause.REFUSED and any(made.outcome is Outcome.SUCCESS for made in firsts):
                signs.append("refused before the first success")
        return list(dict.fromkeys(signs)) or ["the attempts fit a beginning best"]

    def _endings(self, address: str, placed: Placed, rows: dict[int, list[Row]], names: Any) -> list[TimelineEvent]:
        """Tell of a pod that is being deleted: liveness stops at once and for good, readiness goes on (KUBELET.md 2.7)."""
        out: list[TimelineEvent] = []
        for worker, many in rows.items():
            planned = placed.lane.plan[worker]
            period = planned.spec.period_s * SECOND
            last = many[-1]
            if planned.spec.type is not ProbeType.LIVENESS or last.made.outcome is not Outcome.SUCCESS:
                continue
            readiness = self._readiness(placed, rows, planned.container)
            later = [made for made in readiness if made.start.ns > last.made.start.ns + period + SECOND]
            if len(later) >= 2 and later[-1].start.ns - last.made.start.ns > 2.5 * period:
                out.append(
                    TimelineEvent(
                        ns=last.made.start.ns + period,
                        kind=EventKind.POD_TERMINATING,
                        address=address,
                        pod=self._owner(placed),
                        container=names(planned.container),
                        evidence=f"liveness stopped after a success, readiness went on for {len(later)} attempts",
                    )
                )
        return out

    def _readiness(self, placed: Placed, rows: dict[int, list[Row]], container: int) -> list[Attempt]:
        return [
            row.made
            for index, planned in enumerate(placed.lane.plan)
            if planned.container == container and planned.spec.type is ProbeType.READINESS
            for row in rows.get(index, [])
        ]

    def _probe(
        self,
        address: str,
        placed: Placed,
        index: int,
        everything: dict[int, list[Row]],
        readiness: list[Attempt],
        guess: Guess | None,
        source: Source,
        names: Any,
        steps: Sequence[Step],
        *,
        proven: bool,
    ) -> Probe:
        planned = placed.lane.plan[index]
        spec = planned.spec
        rows = everything[index]
        runs = [row.step.run for row in rows]
        inferred = self.inferred(spec, runs, guess)
        thresholds = self._thresholds(spec, guess)
        if placed.declared is not None and placed.declared[index].spec.period_s != spec.period_s:
            thresholds["periodSeconds"] = (spec.period_s, "inferred")
        breaks = interruptions(steps, planned.container)
        decisions, initial, why = self._decisions(placed, index, rows, readiness, breaks, thresholds)
        if placed.lane.fresh:
            why = "; ".join(self._signs(placed, planned.container, everything))
        pod = placed.pod
        first = next(
            (run for run in runs if run.form.host or run.form.path is not None or run.form.service is not None), runs[0]
        )
        final = placed.lane.pod().workers[index].cached
        restarts = [step.run.start.ns for step in steps if step.reading is not None and step.reading.reset == "kubelet"]
        gaps = self._gaps(rows, breaks, decisions, restarts)
        ending = {event.container for event in self._endings(address, placed, everything, names)}
        silent = (
            None
            if spec.type is ProbeType.LIVENESS and names(planned.container) in ending
            else self._silence(placed, index, rows)
        )
        if silent is not None:
            gaps.append(silent)
            if placed.lane.pod().containers[planned.container].dying and spec.type is ProbeType.READINESS:
                final = Result.FAILURE  # What was killed is not Ready, though no probe says so.
        return replace(
            self.sketch(address, placed, index, first, source),
            checker=self.checker(source, runs, proven=proven),
            command=runs[-1].execs[-1].arguments if runs[-1].execs else (),
            inferred=inferred,
            thresholds=thresholds,
            initial_state=initial,
            initial_evidence=why,
            final_state=state_name(spec.type, final),
            attempts=tuple(row.made for row in rows),
            gaps=tuple(gaps),
            decisions=tuple(decisions),
            notes=(
                *self._notes(pod, source, placed, initial, sidecar(first.form.path, spec.port)),
                *expired([row.made for row in rows], kubelet=proven),
            ),
        )

    def sketch(self, address: str, placed: Placed, index: int, run: Run, source: Source) -> Probe:
        """Make a probe that says who asks what of whom, and no more: cheap enough for each that is met."""
        spec, pod = placed.lane.plan[index].spec, placed.pod
        guess = placed.guesses[index] if placed.guesses else None
        form, http = run.form, spec.handler is Handler.HTTP_GET
        return Probe(
            id="",
            checker=Checker(kind="kubelet", version=source.version, address=source.address),
            target=Target(
                address=address,
                port=spec.port,
                namespace=pod.namespace if pod else None,
                pod=pod.name or None if pod else None,
                uid=pod.uid if pod else None,
                container=self._container_names(pod)(placed.lane.plan[index].container),
                named_by=placed.named_by,
            ),
            type=spec.type,
            type_source=self._type_source(guess),
            handler=spec.handler,
            scheme=spec.scheme if http else None,
            host=foreign_host(form.host, address, spec.port),
            path=(form.path or spec.path if pod else form.path) if http else None,
            service=(spec.service if pod else form.service) if spec.handler is Handler.GRPC else None,
            spec=(placed.declared or placed.lane.plan)[index].spec if guess is None else None,
            spec_source=pod.source if pod and guess is None else None,
            thresholds=self._thresholds(spec, guess),
        )

    def _type_source(self, guess: Guess | None) -> str:
        if guess is None:
            return "declared"
        return f"unknown: {guess.reason}" if guess.spec.type is ProbeType.UNKNOWN else f"inferred: {guess.reason}"

    def inferred(self, spec: ProbeSpec, runs: Sequence[Run], guess: Guess | None) -> dict[str, Any]:
        """Return what the packets show of the spec's numbers."""
        out: dict[str, Any] = dict(guess.inferred) if guess else {}
        period = observed_period([run.start.ns for run in runs])
        timeout = observed_timeout(runs, spec.handler)
        if period is not None:
            out["periodSeconds"] = period
        if timeout is not None:
            out["timeoutSeconds"] = timeout
        return out

    def _thresholds(self, spec: ProbeSpec, guess: Guess | None) -> dict[str, tuple[int, str]]:
        values = {
            "timeoutSeconds": spec.timeout_s,
            "periodSeconds": spec.period_s,
            "successThreshold": spec.success_threshold,
            "failureThreshold": spec.failure_threshold,
        }

        def origin(name: str) -> str:
            if guess is not None:
                return "inferred" if name in guess.inferred else "default"
            return "declared" if name in spec.declared or not spec.declared else "default"

        return {name: (value, origin(name)) for name, value in values.items()}

    def _decisions(
        self,
        placed: Placed,
        index: int,
        rows: list[Row],
        readiness: list[Attempt],
        breaks: list[tuple[int, int]],
        thresholds: dict[str, tuple[int, str]],
    ) -> tuple[list[Decision], str, str]:
        spec = placed.lane.plan[index].spec
        initial, why = self._initial(placed, spec)
        since: int | None = None
        out: list[Decision] = []
        for number, row in enumerate(rows):
            counted = row.counted
            if counted is not None and counted.settled is not None and initial == "unknown":
                initial = state_name(spec.type, counted.settled)
                one, many = ("success", "successes") if counted.settled is Result.SUCCESS else ("failure", "failures")
                why = f"first streak in the capture: {counted.streak} {one if counted.streak == 1 else many}"
            source = thresholds[
                "successThreshold" if counted is not None and counted.decision in GOOD else "failureThreshold"
            ][1]
            if spec.type is ProbeType.READINESS:
                # A container that dies takes Ready along, decided by no probe.
                since = max(
                    [ns for ns, _ in breaks if ns <= row.made.start.ns and (since is None or ns > since)], default=since
                )
            if since is not None and any(since <= begun < row.made.start.ns for begun, _ in self.holes):
                since = None
            found = decision(counted, row.made, spec, source, since)
            if found is None:
                continue
            following = rows[number + 1].made if number + 1 < len(rows) else None
            ready = next((other for other in readiness if other.start.ns >= found.ns), None)
            out.append(confirm(found, spec, following, ready, self.seen_until_ns, lingers=row.made.end_mark is None))
            since = found.ns
            if initial == "unknown":
                initial, why = found.before, "what followed shows it"
        return out, initial, why

    def _initial(self, placed: Placed, spec: ProbeSpec) -> tuple[str, str]:
        return (state_name(spec.type, INITIAL[spec.type]), "") if placed.lane.fresh else ("unknown", "")

    def _gaps(
        self, rows: list[Row], breaks: list[tuple[int, int]], decisions: list[Decision], restarts: list[int]
    ) -> list[Gap]:
        held = {found.attempt for found in decisions if found.kind in (DecisionKind.RESTART, DecisionKind.STARTED)}
        out = []
        for before, row in itertools.pairwise(rows):
            if any(before.made.start.ns <= begun < row.made.start.ns for begun, _ in self.holes):
                continue  # Nothing was missed: nobody looked.
            if before.made.n in held:
                reason = "on hold until there was a new container"
            elif before.made.unresolved is not None:
                reason = "the address could not be resolved: what was sent meanwhile left no frame"
            elif any(before.made.start.ns < ns <= row.made.start.ns for ns in restarts):
                reason = "kubelet restarted"
            elif any(begun > before.made.start.ns and shown <= row.made.start.ns for begun, shown in breaks):
                reason = "the container was being restarted"
            else:
                reason = self._reason(row.step)
            found = gap(before.made, row.made, row.step, reason)
            if found is not None:
                out.append(found)
        return out

    def _silence(self, placed: Placed, index: int, rows: list[Row]) -> Gap | None:
        """Make the gap from the last attempt to the end of the capture, where it is long enough to mean something."""
        last = rows[-1].made
        planned = placed.lane.plan[index]
        worker, container = placed.lane.pod().workers[index], placed.lane.pod().containers[planned.container]
        silent = self.seen_until_ns - max(last.start.ns, last.end_ns)
        expected = silent // (planned.spec.period_s * SECOND)
        if expected < SILENT_TICKS or silent < SILENT_NS or (planned.spec.type is ProbeType.STARTUP and worker.on_hold):
            return None
        reason = "nothing in the capture says why"
        if worker.on_hold:
            reason = "on hold until there is a new container"
        elif container.dying:
            reason = "its container was told to die, and no new one was seen"
        return Gap(
            start_ns=last.start.ns,
            end_ns=self.seen_until_ns,
            expected=expected,
            reason=f"silent to the end of the capture: {reason}",
        )

    def _reason(self, step: Step) -> str:
        reading = step.reading
        assert reading is not None
        prediction = step.before.predict()[reading.worker]
        if prediction.silence is not Silence.NONE:
            return str(prediction.silence)
        if prediction.dying or reading.reset == "container":
            return "the container was being restarted"
        if prediction.begun and prediction.runs == 0 and prediction.spec.initial_delay_s:
            return "initialDelaySeconds of the new container"
        return "nothing in the capture says why"

    def _notes(self, pod: PodSpec | None, source: Source, placed: Placed, initial: str, instead: str) -> list[str]:
        out = [*placed.notes, *([instead] if instead else [])]
        if pod is not None:
            node = self.node_behind(source)
            if node is not None and pod.node and node.node and node.node != pod.node:
                out.append(f"probed by node {node.node}, but the Pod says it runs on {pod.node}")
            elif node is not None and pod.host_ip and node.node_address and node.node_address != pod.host_ip:
                out.append(f"probed by the node at {node.node_address}, but the Pod says it runs on {pod.host_ip}")
        if placed.lane.fresh is False and initial == "unknown":
            out.append("the capture begins in mid-life: the state before its first streak is not known")
        return out

    def checker(self, source: Source, runs: Sequence[Run], *, proven: bool) -> Checker:
        """Say who probes."""
        if runs[0].execs:
            return self._caller(source, runs, proven=proven)
        said, sure = evidence(source, self.book, runs)
        node = self.node_behind(source)
        return Checker(
            kind="kubelet" if proven else "unknown",
            pod=None if proven else pod_name(source.address, self.book, runs[0].start.ns),
            could_be=() if proven else guesses(runs[0]),
            version=source.version,
            address=source.address,
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            confidence=sure,
            evidence=said,
        )

    def _caller(self, source: Source, runs: Sequence[Run], *, proven: bool) -> Checker:
        """Say who had a command run: the runtime does not tell, so it is known by what was asked."""
        node = self.node_behind(source) if source.address else None
        above = [name for name in runs[-1].execs[-1].parents if name]
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
        """Name the node behind a source (DESIGN section 5): what is known of its address, else of the tunnel that brought it."""
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
            could_be=guesses(series.runs[0]),
            address=source.address,
            pod=pod_name(source.address, self.book, series.runs[0].start.ns),
            node=node.node or None if node else None,
            node_address=node.node_address if node else None,
            node_source=node.source if node else None,
            evidence=(
                "regular, a fresh connection for each check",
                "not asked as a kubelet asks",
                *([f"User-Agent {form.user_agent[:SHOWN]}"] if form.user_agent else []),
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


def guesses(run: Run) -> tuple[str, ...]:
    """Return the checkers whose form this is, where nothing names one."""
    shown = shape_of(run.tries[0][0]) if run.tries else None
    return could_be(shown or Shape(What.CLOSE), kubelet=run.form.kubelet)
