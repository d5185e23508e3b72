"""Expectations out of a good timeline, with room for another run of the same test: what `--write-expect` writes.

Room, for whatever varies from run to run:

- attempts: a tenth, and at least two, more or fewer.
- outcomes: each row of one outcome may be one longer or shorter, the last of any length.
- decisions: a period, a tenth of the time, or a second, whichever is most, sooner or later; the first is measured from
  the start, the others from the one before. `readyWithinSeconds`, `startedWithinSeconds`: the same, later only.
- latency: five times what was seen, and at least 0.1 s.
- period: twice the greatest deviation seen, and at least a tenth of the period.

Each expectation is held against the timeline it comes from; what does not pass (because the capture does not tell) is
left out, and the note says so. So is what another run will not repeat: addresses of checkers, where a name is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from probewatch.model.expectation import (
    Expectations,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Run,
    Selector,
)
from probewatch.model.finding import Held
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind, Outcome, Probe, Timeline
from probewatch.model.units import MS, SECOND

from .case import Case, counted
from .claims import percentile_range
from .expect import of_probe
from .moments import since_previous as time_since
from .moments import starts
from .pace import holes, ticks
from .selecting import fit
from .untold import settled

_TENTH: Final = SECOND // 10
_LATENCY_ROOM: Final = 5
_LATENCY_LEAST: Final = _TENTH
_MOST_LISTED: Final = 40
"""Rows of outcomes, or decisions, beyond which a list says nothing to a reader and is left out."""

_NEVER: Final = {
    ProbeType.READINESS: (DecisionKind.NOT_READY,),
    ProbeType.LIVENESS: (DecisionKind.RESTART,),
    ProbeType.STARTUP: (DecisionKind.RESTART,),
    ProbeType.UNKNOWN: (DecisionKind.DOWN,),
}


def learn(timeline: Timeline) -> Expectations:
    """Return expectations that the timeline itself meets, one entry for each of its probes."""
    return Expectations(probes=tuple(_entry(timeline, probe) for probe in timeline.probes))


def _entry(timeline: Timeline, probe: Probe) -> ProbeExpectation:
    selector = select(timeline, probe)
    # Where nothing tells probes apart, one selector names them all, and what is expected has to hold for each.
    chosen = [each for each in timeline.probes if fit(selector, each).fits]
    entry = ProbeExpectation(selector=selector)
    if len(chosen) > 1:
        entry = replace(entry, count=Range(len(chosen), None))
    left_out: list[str] = []
    for part in _parts(Case(timeline, probe)):
        (key,) = part
        wanted = ProbeExpectation(selector=selector, **part)
        found = [finding for each in chosen for finding in of_probe(timeline, each, wanted)]
        wrong = next((finding for finding in found if finding.held is not Held.PASS), None)
        if wrong is None:
            entry = replace(entry, **part)
        else:
            other = "" if wrong.probe == probe.id else "another probe fits this entry too, and there "
            left_out.append(f"{KEYS.get(key, key)} is left out: {other}{wrong.sentence}")
    silent = sum(a.end_mark is None and a.outcome is Outcome.FAILURE for a in probe.attempts)
    if silent and (entry.latency is None or entry.latency.max is None):
        left_out.append(f"latencySeconds.max is left out: nobody answered {counted(silent, 'attempt')}")
    return replace(entry, note="\n".join(left_out))


def select(timeline: Timeline, probe: Probe) -> Selector:
    """Return the shortest selector that names this probe and no other of the timeline; by names where there are any."""
    target = probe.target
    # A container whose Pod is not known is told by its id, which the next run will not have.
    address = target.address if not target.address.startswith("container") else None
    selector = Selector(
        type=probe.type if probe.type is not ProbeType.UNKNOWN else None,
        checker=probe.checker.kind if probe.type is ProbeType.UNKNOWN else None,
        namespace=target.namespace if target.pod is not None else None,
        pod=target.pod,
        container=target.container if target.pod is not None else None,
        address=address if target.pod is None else None,
        port=target.port if target.pod is None else None,
    )
    more: tuple[dict[str, Any], ...] = (
        {"port": target.port},
        {"path": probe.path},
        {"service": probe.service},
        {"handler": probe.handler},
        {"checker": probe.checker.kind},
        {"address": address},
        {"checker_address": probe.checker.address or None},
    )
    rivals = [each for each in timeline.probes if each is not probe and fit(selector, each).fits is not False]
    for addition in more:
        if not rivals:
            break
        closer = replace(selector, **addition)
        left = [each for each in rivals if fit(closer, each).fits is not False]
        if len(left) < len(rivals):
            selector, rivals = closer, left
    return selector


def _parts(case: Case) -> Iterator[dict[str, Any]]:
    """Yield one expectation after another, as a field of `ProbeExpectation` and its value."""
    probe = case.probe
    number = len(probe.attempts)
    room = max(2, number // 10)
    yield {"attempts": Range(max(1, number - room), number + room)}
    if runs := _runs([a.outcome for a in settled(probe.attempts)]):
        yield {"outcomes": runs}
    known = [a.cause for a in probe.attempts if a.outcome is not Outcome.INCONCLUSIVE]
    if known:
        yield {"causes": tuple(dict.fromkeys(known))}
    yield from _decided(case)
    if (latency := _latency(probe)) is not None:
        yield {"latency": latency}
    pairs = ticks(probe, holes(case))
    if pairs:
        yield {"period": _pace([ns for _, _, ns in pairs])}
    if probe.final_state not in ("unknown", ""):
        yield {"state": probe.final_state}


def _runs(row: Sequence[Outcome]) -> tuple[Run, ...]:
    counts = [(outcome, len(list(group))) for outcome, group in groupby(row)]
    if not counts or len(counts) > _MOST_LISTED:
        return ()
    runs = [Run(outcome, max(1, count - 1), count + 1) for outcome, count in counts]
    return (*runs[:-1], Run(runs[-1].value, 1, None))


def _decided(case: Case) -> Iterator[dict[str, Any]]:
    probe = case.probe
    made = sorted(probe.decisions, key=lambda d: d.ns)
    begun = starts(case.timeline, probe)
    expected: list[ExpectedDecision] = []
    for index, decision in enumerate(made):
        since_start = since_previous = None
        start = next((s for s in reversed(begun) if s.ns <= decision.ns), None)
        if index:
            since_previous = _roomy(probe, time_since(made, index))
        elif start is not None:
            since_start = _roomy(probe, decision.ns - start.ns)
        expected.append(ExpectedDecision(kind=decision.kind, since_start=since_start, since_previous=since_previous))
    if len(expected) <= _MOST_LISTED:
        yield {"decisions": tuple(expected)}
    seen = {decision.kind for decision in made}
    if never := tuple(kind for kind in _NEVER[probe.type] if kind not in seen):
        yield {"never": never}
    for key, kind in (("ready_within", DecisionKind.READY), ("started_within", DecisionKind.STARTED)):
        waits = []
        for start, end in zip(begun, [*(s.ns for s in begun[1:]), None], strict=False):
            first = next(
                (d.ns for d in made if d.kind is kind and d.ns >= start.ns and (end is None or d.ns < end)), None
            )
            if first is not None:
                waits.append(first - start.ns)
        if waits and kind in seen and probe.type is not ProbeType.UNKNOWN:
            limit = _roomy(probe, max(waits)).high or 0
            yield {key: -(-limit // SECOND) * SECOND}


def _roomy(probe: Probe, ns: int) -> Range:
    """Return a time with its room, to the tenth of a second outward."""
    period, _ = probe.thresholds.get("periodSeconds", (0, ""))
    room = max(SECOND, int(period * SECOND), ns // 10)
    return Range(max(0, (ns - room) // _TENTH * _TENTH), -(-(ns + room) // _TENTH) * _TENTH)


def _latency(probe: Probe) -> LatencyBounds | None:
    judged = [a for a in probe.attempts if a.outcome in (Outcome.SUCCESS, Outcome.FAILURE)]
    bounds: dict[str, int] = {}
    for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
        found = percentile_range(judged, percent)
        if found is not None and found[1] is not None:
            bounds[name] = max(_LATENCY_LEAST, -(-found[1] * _LATENCY_ROOM // MS) * MS)
    return LatencyBounds(**bounds) if bounds else None


def _pace(intervals: Sequence[int]) -> Pace:
    middle = sorted(intervals)[len(intervals) // 2]
    value = (middle + _TENTH // 2) // _TENTH * _TENTH or middle
    worst = max(abs(ns - value) for ns in intervals)
    return Pace(value, -(-max(2 * worst, value // 10) // MS) * MS)


KEYS: Final = {
    "ready_within": "readyWithinSeconds",
    "started_within": "startedWithinSeconds",
    "latency": "latencySeconds",
    "period": "periodSeconds",
}
"""Fields whose key has another name."""
