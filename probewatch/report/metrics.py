"""A timeline as metrics (OpenMetrics 1.0 text): the kubelet's own, as the packets show them, and what the kubelet does not count.

`prober_probe_total` and `prober_probe_duration_seconds` have the kubelet's names, labels, buckets and rules
(pkg/kubelet/prober/prober_manager.go, worker.go): an attempt counts once whatever connections it took, one that the prober
gave up with an error does not count, and durations are observed of successes only. The `probewatch_` families leave nothing
out. All values are those at the end of the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..decisions.outages import downtime, outages
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Outcome, Probe, Timeline
from ..model.units import SECOND
from . import words
from .escape import safe

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: DefBuckets of Prometheus' Go client, which the kubelet takes."""

_RESULTS: Final = {Outcome.SUCCESS: "successful", Outcome.FAILURE: "failed"}
"""What the kubelet calls them; it does not count what its prober gave up with an error."""
_KUBELETS: Final = ("probe_type", "container", "pod", "namespace")
_OURS: Final = ("probe", "checker", "probe_type", "handler", "target", "container", "pod", "namespace")
_UP: Final = {"Ready": 1, "NotReady": 0, "Started": 1, "NotStarted": 0, "UP": 1, "DOWN": 0}

Labels = tuple[str, ...]


def write(timeline: Timeline, out: Callable[[str], object]) -> None:
    """Write the exposition."""
    from prometheus_client.openmetrics import exposition

    generate: Callable[[_Collected], bytes] = exposition.generate_latest  # a registry is whatever can `collect`
    out(generate(_Collected(timeline)).decode("utf-8"))


class _Collected:
    """What prometheus-client takes for a registry."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from _as_the_kubelet(self._timeline)
        yield from _attempts(self._timeline)
        yield from _states(self._timeline)
        yield from _traffic(self._timeline)
        yield from _captures(self._timeline)


def _as_the_kubelet(timeline: Timeline) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    total: Counter[Labels] = Counter()
    durations: dict[Labels, list[int]] = {}
    for probe in timeline.probes:
        if probe.checker.kind != "kubelet" or probe.type is ProbeType.UNKNOWN:
            continue
        labels = _kubelets(probe)
        uid = safe(probe.target.uid or "")
        for attempt in probe.attempts:
            if attempt.outcome in _RESULTS:
                total[(labels[0], _RESULTS[attempt.outcome], *labels[1:], uid)] += 1
            if attempt.outcome is Outcome.SUCCESS:
                durations.setdefault(labels, []).append(attempt.latency_ns)
    counter = CounterMetricFamily(
        "prober_probe",
        "Cumulative number of a liveness, readiness or startup probe for a container by result.",
        labels=("probe_type", "result", *_KUBELETS[1:], "pod_uid"),
    )
    for labels, number in total.items():
        counter.add_metric(labels, number)
    yield counter
    histogram = HistogramMetricFamily(
        "prober_probe_duration_seconds", "Duration in seconds for a probe response.", labels=_KUBELETS
    )
    for labels, found in durations.items():
        _observe(histogram, labels, found)
    yield histogram


def _attempts(timeline: Timeline) -> Iterator[Metric]:
    """Yield what became of every attempt."""
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    counter = CounterMetricFamily(
        "probewatch_attempts", "Attempts by outcome and cause.", labels=(*_OURS, "outcome", "cause")
    )
    histogram = HistogramMetricFamily(
        "probewatch_attempt_duration_seconds",
        "From an attempt's beginning (its first frame, where it sent one) to the checker's verdict, failures included.",
        labels=(*_OURS, "outcome"),
    )
    late = HistogramMetricFamily(
        "probewatch_late_answer_seconds",
        "From an attempt's first frame to an answer that came after the verdict.",
        labels=_OURS,
    )
    missed = CounterMetricFamily(
        "probewatch_attempts_missed",
        "Attempts that the pace led to expect and that did not come, those not sent by the kubelet's rules (on hold) among them.",
        labels=_OURS,
    )
    retransmitted = CounterMetricFamily(
        "probewatch_retransmissions", "Retransmitted segments, both directions.", labels=_OURS
    )
    for probe in timeline.probes:
        labels = _ours(probe)
        for (outcome, cause), number in Counter((a.outcome, a.cause) for a in probe.attempts).items():
            counter.add_metric((*labels, outcome.value, cause.value), number)
        for outcome in Outcome:
            taken = [a.latency_ns for a in probe.attempts if a.outcome is outcome]
            if taken:
                _observe(histogram, (*labels, outcome.value), taken)
        answers = [a.late_answer_ns for a in probe.attempts if a.late_answer_ns is not None]
        if answers:
            _observe(late, labels, answers)
        missed.add_metric(labels, sum(gap.expected for gap in probe.gaps))
        retransmitted.add_metric(labels, sum(attempt.retransmits for attempt in probe.attempts))
    yield from (counter, histogram, late, missed, retransmitted)


def _states(timeline: Timeline) -> Iterator[Metric]:
    """Yield what was decided, and where each probe stands at the end."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    decisions = CounterMetricFamily("probewatch_decisions", "Thresholds reached.", labels=(*_OURS, "decision"))
    up = GaugeMetricFamily(
        "probewatch_up",
        "1 where the last state is Ready, Started or UP, 0 where it is not, or its container ended; absent where unknown.",
        labels=_OURS,
    )
    streak = GaugeMetricFamily(
        "probewatch_streak", "Length of the latest streak of equal results.", labels=(*_OURS, "outcome")
    )
    numbers = GaugeMetricFamily(
        "probewatch_setting",
        "Thresholds and times that decisions were replayed with.",
        labels=(*_OURS, "field", "source"),
    )
    down = CounterMetricFamily(
        "probewatch_down_seconds", "Time NotReady or DOWN after it had been in service.", labels=_OURS, unit="seconds"
    )
    for probe in timeline.probes:
        labels = _ours(probe)
        for kind, number in Counter(d.kind for d in probe.decisions).items():
            decisions.add_metric((*labels, kind.value), number)
        gone = any(outage.end_ns is None for outage in outages(probe, timeline))
        if gone or probe.final_state in _UP:
            up.add_metric(labels, 0 if gone else _UP[probe.final_state])
        last = _last_counted(probe.attempts)
        if last is not None:
            streak.add_metric((*labels, last.outcome.value), last.streak)
        for field, (value, source) in sorted(probe.thresholds.items()):
            numbers.add_metric((*labels, safe(field), safe(source)), value)
        down.add_metric(labels, downtime(probe, timeline)[0] / SECOND)
    yield from (decisions, up, streak, numbers, down)


def _traffic(timeline: Timeline) -> Iterator[Metric]:
    """Yield how clients' connections followed readiness."""
    from prometheus_client.core import CounterMetricFamily

    families = {
        "clients_while_not_ready": "New connections of clients to a Pod that was NotReady.",
        "clients_refused_while_ready": "New connections of clients that were refused while the Pod was Ready.",
        "kept_while_not_ready": "Connections of clients that were used on after Ready had become NotReady.",
        "clients_unanswered_while_ready": "New connections of clients that nothing answered while the Pod was Ready.",
    }
    for name, says in families.items():
        family = CounterMetricFamily(f"probewatch_{name}", says, labels=_OURS)
        for probe in timeline.probes:
            number = getattr(probe.effects, name, None)
            if number is not None:
                family.add_metric(_ours(probe), number)
        yield family


def _captures(timeline: Timeline) -> Iterator[Metric]:
    """Yield what was read: numbers of a capture that is cut are of what was whole."""
    from prometheus_client.core import GaugeMetricFamily

    frames = GaugeMetricFamily("probewatch_capture_frames", "Frames read.", labels=("capture", "path"))
    complete = GaugeMetricFamily(
        "probewatch_capture_complete", "0 where the input was cut or corrupt.", labels=("capture", "path")
    )
    dropped = GaugeMetricFamily(
        "probewatch_capture_dropped", "Frames that the capturing program lost.", labels=("capture", "path")
    )
    for number, info in enumerate(timeline.captures, 1):
        labels = (str(number), safe(info.path))
        frames.add_metric(labels, info.frames)
        complete.add_metric(labels, int(info.complete))
        known = [i.drops for i in info.interfaces if i.drops is not None]
        if known:
            dropped.add_metric(labels, sum(known))
    yield from (frames, complete, dropped)


def _kubelets(probe: Probe) -> Labels:
    target = probe.target
    return (
        probe.type.value.capitalize(),
        safe(target.container or ""),
        safe(target.pod or ""),
        safe(target.namespace or ""),
    )


def _ours(probe: Probe) -> Labels:
    target = probe.target
    where = words.endpoint(target.address, target.port)
    named = (safe(target.container or ""), safe(target.pod or ""), safe(target.namespace or ""))
    return (probe.id, safe(probe.checker.kind), probe.type.value.capitalize(), probe.handler.value, where, *named)


def _last_counted(attempts: Iterable[Attempt]) -> Attempt | None:
    return max((a for a in attempts if a.streak), key=lambda a: a.n, default=None)


def _observe(family: Any, labels: Labels, taken: Iterable[int]) -> None:
    """Add durations (ns) as a histogram."""
    values = [max(ns, 0) / SECOND for ns in taken]  # clocks of two captures may disagree
    buckets = [(repr(bound), float(sum(value <= bound for value in values))) for bound in BUCKETS]
    family.add_metric(labels, [*buckets, ("+Inf", float(len(values)))], sum_value=round(sum(values), 9))
