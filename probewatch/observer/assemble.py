"""Probes out of lanes and series: every value a report shows of a probe is put together here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from probewatch.decisions.worker import INITIAL, Result
from probewatch.model.book import AddressBook
from probewatch.model.prediction import Silence
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import (
    Attempt,
    Cause,
    Checker,
    Decision,
    DecisionKind,
    Gap,
    Outcome,
    Probe,
    Schedule,
    Target,
    TimelineEvent,
    Trigger,
)
from probewatch.probes.cadence import SECOND, steady
from probewatch.probes.inference import Guess, observed_period, observed_timeout
from probewatch.probes.judge import judge
from probewatch.probes.runs import Run
from probewatch.probes.sources import Source, evidence

from .build import Latest, attempt, confirm, decision, events, gap, leg, state_name
from .lane import Step
from .others import Series
from .target import Placed

COULD_BE: Final[dict[str, tuple[str, ...]]] = {
    "fin": ("kubelet", "keepalived", "monit", "apache", "blackbox_exporter", "aws_elb", "google", "azure"),
    "rst": ("haproxy",),
    "http": ("kubelet", "varnish", "apache", "consul", "traefik", "nginx", "google", "azure"),
    "tls": ("kubelet", "haproxy", "envoy"),
}
"""Which checkers may have this form, where nothing names one."""


class Assembler:
    """Builds probes with ids in the order of their first attempts."""

    def __init__(self, book: AddressBook, latest: Latest, seen_until_ns: int) -> None:
        self.book = book
        self.latest = latest
        self.seen_until_ns = seen_until_ns
        self.events: list[TimelineEvent] = []

    def kubelet(self, address: str, placed: Placed, steps: Sequence[Step], source: Source, *, proven: bool) -> list[Probe]:
        """Build the probes of one lane."""
        pod = placed.pod
        names = self._container_names(pod)
        node = self.book.node(source.address)
        self.events += events(steps, address, names, node.node if node and node.node else source.address)
        rows = self._attempts(placed, steps)
        probes = []
        for index, planned in enumerate(placed.lane.plan):
            if rows.get(index):
                guess = placed.guesses[index] if placed.guesses else None
                readiness = self._readiness(placed, rows, planned.container)
                probes.append(self._probe(address, placed, index, rows[index], readiness, guess, source, names, proven=proven))
        return probes

    def _container_names(self, pod: PodSpec | None) -> Any:
        def name(index: int) -> str | None:
            return pod.containers[index].name if pod is not None and index < len(pod.containers) else None

        return name

    def _attempts(self, placed: Placed, steps: Sequence[Step]) -> dict[int, list[tuple[Step, Attempt]]]:
        """Join redials to their attempts and number the attempts of each worker."""
        joined: dict[int, list[tuple[Step, list[Step]]]] = {}
        for step in steps:
            assert step.reading is not None
            mine = joined.setdefault(step.reading.worker, [])
            if step.reading.redial and mine:
                mine[-1][1].append(step)
            else:
                mine.append((step, []))
        del placed
        return {worker: [(step, attempt(number, step, redials, self.latest)) for number, (step, redials) in enumerate(mine, 1)]
                for worker, mine in joined.items()}

    def _readiness(self, placed: Placed, rows: dict[int, list[tuple[Step, Attempt]]], container: int) -> list[Attempt]:
        return [made for index, planned in enumerate(placed.lane.plan) if planned.container == container and planned.spec.type is ProbeType.READINESS
                for _, made in rows.get(index, [])]

    def _probe(self, address: str, placed: Placed, index: int, rows: list[tuple[Step, Attempt]], readiness: list[Attempt], guess: Guess | None,
               source: Source, names: Any, *, proven: bool) -> Probe:
        planned = placed.lane.plan[index]
        spec = planned.spec
        runs = [step.run for step, _ in rows]
        inferred = self.inferred(spec, runs, guess)
        thresholds = self._thresholds(spec, guess)
        decisions, initial, why = self._decisions(placed, index, rows, readiness, thresholds["failureThreshold"][1])
        pod = placed.pod
        first = next((run for run in runs if run.form.host or run.form.path is not None or run.form.service is not None), runs[0])
        host = first.form.host or None
        if host in (address, f"{address}:{spec.port}", f"[{address}]:{spec.port}"):
            host = None
        final = placed.lane.pod().workers[index].cached
        gaps = self._gaps(rows)
        return Probe(
            id="", checker=self.checker(source, runs, proven=proven),
            target=Target(address=address, port=spec.port, namespace=pod.namespace if pod else None, pod=pod.name or None if pod else None,
                          container=names(planned.container), named_by=placed.named_by),
            type=spec.type, type_source=self._type_source(guess), handler=spec.handler,
            scheme=spec.scheme if spec.handler is Handler.HTTP_GET else None, host=host,
            path=(first.form.path or spec.path if pod else first.form.path) if spec.handler is Handler.HTTP_GET else None,
            service=(spec.service if pod else first.form.service) if spec.handler is Handler.GRPC else None,
            spec=spec if guess is None else None, spec_source=pod.source if pod and guess is None else None, inferred=inferred, thresholds=thresholds,
            initial_state=initial, initial_evidence=why, final_state=state_name(spec.type, final), attempts=tuple(made for _, made in rows),
            gaps=tuple(gaps), decisions=tuple(decisions), notes=tuple(self._notes(pod, source, placed)))

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
        values = {"timeoutSeconds": spec.timeout_s, "periodSeconds": spec.period_s, "successThreshold": spec.success_threshold,
                  "failureThreshold": spec.failure_threshold}

        def origin(name: str) -> str:
            if guess is not None:
                return "inferred" if name in guess.inferred else "default"
            return "declared" if name in spec.declared or not spec.declared else "default"

        return {name: (value, origin(name)) for name, value in values.items()}

    def _decisions(self, placed: Placed, index: int, rows: list[tuple[Step, Attempt]], readiness: list[Attempt],
                   source: str) -> tuple[list[Decision], str, str]:
        spec = placed.lane.plan[index].spec
        initial, why = self._initial(placed, spec)
        state_since: int | None = None
        out: list[Decision] = []
        for number, (step, made) in enumerate(rows):
            counted = step.counted
            if counted is not None and counted.settled is not None and initial == "unknown":
                initial = state_name(spec.type, counted.settled)
                word = "success" if counted.settled is Result.SUCCESS else "failure"
                why = f"first streak in the capture: {counted.streak} {word}{'es' if counted.streak > 1 and word == 'success' else 's' if counted.streak > 1 else ''}"
            found = decision(step, made, spec, source if counted and counted.threshold == spec.failure_threshold else source, state_since)
            if found is None:
                continue
            following = rows[number + 1][1] if number + 1 < len(rows) else None
            ready = next((other for other in readiness if other.start.ns >= found.ns), None)
            out.append(confirm(found, spec, following, ready, self.seen_until_ns, pokes=True))
            state_since = found.ns
            if initial == "unknown":
                initial = found.before
                why = "the decision shows it"
        return out, initial, why

    def _initial(self, placed: Placed, spec: ProbeSpec) -> tuple[str, str]:
        if not placed.lane.fresh:
            return "unknown", ""
        return state_name(spec.type, INITIAL[spec.type]), "the capture shows the container's beginning"

    def _gaps(self, rows: list[tuple[Step, Attempt]]) -> list[Gap]:
        out = []
        for (_, before), (step, made) in zip(rows, rows[1:], strict=False):
            found = gap(before, made, step, self._reason(step))
            if found is not None:
                out.append(found)
        return out

    def _reason(self, step: Step) -> str:
        reading = step.reading
        assert reading is not None
        planned = step.before.plan[reading.worker]
        container = step.before.containers[planned.container]
        prediction = step.before.predict()[reading.worker]
        if prediction.silence is not Silence.NONE:
            return str(prediction.silence)
        if container.dying or reading.reset == "container":
            return "the container was being restarted"
        if reading.reset == "kubelet":
            return "kubelet restarted"
        return "nothing in the capture says why"

    def _notes(self, pod: PodSpec | None, source: Source, placed: Placed) -> list[str]:
        out = []
        if pod is not None:
            node = self.book.node(source.address)
            if node is not None and pod.node and node.node and node.node != pod.node:
                out.append(f"probed by node {node.node}, but the Pod says it runs on {pod.node}")
        if placed.lane.fresh is False:
            out.append("the capture begins in mid-life: the state before its first streak is not known")
        return out

    def checker(self, source: Source, runs: Sequence[Run], *, proven: bool) -> Checker:
        """Say who probes."""
        said, sure = evidence(source, self.book, runs)
        node = self.book.node(source.address)
        return Checker(kind="kubelet" if proven else "unknown", could_be=() if proven else COULD_BE[shape(runs[0])], version=source.version,
                       address=source.address, node=node.node or None if node else None, node_address=node.node_address if node else None,
                       node_source=node.source if node else ("tunnel" if source.outer_source else None), confidence=sure, evidence=said)

    def unknown(self, series: Series, source: Source) -> Probe:
        """Build the probe of a periodic check that nothing names."""
        timeout = observed_timeout(series.runs, series.handler) or 10
        rows: list[Attempt] = []
        for number, run in enumerate(series.runs, 1):
            exchange = run.tries[-1][-1]
            verdict = judge(exchange, series.handler, timeout * SECOND, scheme="HTTPS" if series.tls else "HTTP", seen_until_ns=self.seen_until_ns,
                            start_ns=run.tries[0][0].connection.start.ns)
            rows.append(Attempt(n=number, start=run.start, end_ns=verdict.end_ns, end_mark=verdict.end_mark, outcome=verdict.outcome, cause=verdict.cause,
                                status=verdict.status, detail=verdict.detail, trigger=Trigger.UNKNOWN, schedule=Schedule.ON_TIME,
                                late_answer_ns=verdict.late_answer_ns, legs=tuple(leg(role, one, self.latest) for role, one in run.legs())))
        regular = steady([run.start.ns for run in series.runs])
        inferred: dict[str, Any] = {}
        if regular is not None:
            inferred = {"interval_s": round(regular[0], 3), "interval_basis": "start"}
        pod = self.book.pod(series.server, series.runs[0].start.ns)
        form = series.runs[0].form
        host = form.host if form.host not in (series.server, f"{series.server}:{series.port}", f"[{series.server}]:{series.port}") else ""
        return Probe(id="", checker=self.checker(source, series.runs, proven=False),
                     target=Target(address=series.server, port=series.port, namespace=pod.namespace if pod else None, pod=pod.name or None if pod else None,
                                   container=None, named_by=("status.podIP" if pod.declared_by == "--spec" else pod.declared_by) if pod else None),
                     type=ProbeType.UNKNOWN, type_source="unknown: not a kubelet's probe, as far as the packets show", handler=series.handler,
                     scheme=("HTTPS" if series.tls else "HTTP") if series.handler is Handler.HTTP_GET else None, host=host or None, path=series.path,
                     inferred=inferred, attempts=tuple(rows))


def shape(run: Run) -> str:
    """Name the form of a check for COULD_BE."""
    if run.form.path is not None and not run.form.host.startswith("tls"):
        return "http" if run.tries and run.tries[0][0].tls is None else "tls"
    if run.tries and run.tries[0][0].tls is not None:
        return "tls"
    connection = run.tries[0][0].connection if run.tries else None
    return "rst" if connection is not None and connection.orig.rst is not None and not connection.bare_ack and connection.resp.syns else "fin"


def causes(attempts: Sequence[Attempt]) -> Counter[Cause]:
    """Count the causes of what was no success."""
    return Counter(made.cause for made in attempts if made.outcome is not Outcome.SUCCESS)


def ready_spans(decisions: Sequence[Decision]) -> list[tuple[int, DecisionKind]]:
    """Return the moments of change between Ready and NotReady."""
    return [(found.ns, found.kind) for found in decisions if found.kind in (DecisionKind.READY, DecisionKind.NOT_READY)]
