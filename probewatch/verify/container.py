"""A timeline's probes put back together by container: what happened to their workers from outside, and what they remembered.

A timeline tells of each probe what was seen; the kubelet's workers of one container act on each other (a startup probe
gates, a kill ends all). For a replay they are needed together, with the three things that happened to them and that no
setting changes: a new container, a new kubelet, and time that nobody captured. Those are the timeline's events;
inferred ones stand at the very start of the attempt that showed them.

Where a capture begins in mid-life a worker's memory is not on the wire, but what followed shows it: the first streak
says how many results went before, the first decision from which state. `openings` takes the plainest memory that
reproduces what was recorded, and `faithful` says whether one did.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final

from probewatch.decisions.versions import keeps_ready, resets
from probewatch.decisions.worker import Result, Worker, count, new_container, new_kubelet
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Attempt, DecisionKind, EventKind, Outcome, Probe, Timeline

_CONCLUSIVE: Final = {Outcome.SUCCESS: Result.SUCCESS, Outcome.FAILURE: Result.FAILURE}


class Break(StrEnum):
    """What happened to a container's workers from outside."""

    BEGIN = "begin"
    """The capture's beginning."""
    HOLE = "hole"
    """Time that no file covers."""
    KUBELET = "kubelet"
    """A new kubelet."""
    CONTAINER = "container"
    """A new container."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time between two breaks, with the attempts of each probe in it (in the order of `Container.probes`)."""

    ns: int
    breaks: tuple[Break, ...]
    """What happened just before."""
    attempts: tuple[tuple[Attempt, ...], ...]

    @property
    def blank(self) -> bool:
        """Whether memory is lost, or not known, at its beginning."""
        return any(one is not Break.CONTAINER for one in self.breaks)

    @property
    def end_ns(self) -> int:
        """When the last attempt of any probe began."""
        return max((many[-1].start.ns for many in self.attempts if many), default=self.ns)


@dataclass(frozen=True, slots=True)
class Container:
    """The probes of one container as one checker sends them."""

    probes: tuple[Probe, ...]
    specs: tuple[ProbeSpec, ...]
    """The numbers that the recording was read with."""
    stretches: tuple[Stretch, ...]
    resets: bool
    """A manual run restarts the period (`decisions.versions`)."""
    keeps_ready: bool
    """Ready survives a kubelet restart (the same)."""
    openings: dict[tuple[int, int], Worker]
    """(stretch, probe) -> what the worker remembered at the beginning of a blank stretch."""
    faithful: tuple[bool, ...]
    """For each probe: whether this memory reproduces what was recorded."""

    def opened(self, number: int, index: int, worker: Worker) -> Worker:
        """Return a worker's memory at the beginning of a stretch, from what it was at the end of the one before."""
        if (number, index) in self.openings:
            return self.openings[number, index]
        return new_container(worker) if Break.CONTAINER in self.stretches[number].breaks else worker


def spec_of(probe: Probe) -> ProbeSpec:
    """Return the numbers a probe was read with: those of `thresholds`, the rest as declared."""
    spec = probe.spec or ProbeSpec(type=probe.type, handler=probe.handler, port=probe.target.port)

    def used(name: str, otherwise: int) -> int:
        return probe.thresholds[name][0] if name in probe.thresholds else otherwise

    return replace(
        spec,
        timeout_s=used("timeoutSeconds", spec.timeout_s),
        period_s=used("periodSeconds", spec.period_s),
        success_threshold=used("successThreshold", spec.success_threshold),
        failure_threshold=used("failureThreshold", spec.failure_threshold),
    )


def containers(timeline: Timeline) -> list[Container]:
    """Return the containers whose probes' types are known, in the order of their first probes."""
    groups: dict[tuple[object, ...], list[Probe]] = {}
    starts: dict[tuple[object, ...], set[int]] = {}
    for probe in timeline.probes:
        if probe.type is ProbeType.UNKNOWN or not probe.attempts:
            continue
        target = probe.target
        pod = (probe.checker.node or probe.checker.address, target.address, target.namespace, target.pod)
        groups.setdefault((*pod, target.container), []).append(probe)
        starts.setdefault(pod, set()).update(attempt.start.ns for attempt in probe.attempts)
    return [_container(timeline, probes, starts[key[:4]]) for key, probes in groups.items()]


def _container(timeline: Timeline, probes: Sequence[Probe], pod_starts: set[int]) -> Container:
    target = probes[0].target
    owner = f"{target.namespace}/{target.pod}" if target.pod is not None else None
    own = {attempt.start.ns for probe in probes for attempt in probe.attempts}
    breaks: dict[int, list[Break]] = {min(own): [Break.BEGIN]}
    for event in timeline.events:
        ns, kind = event.ns, None
        if event.kind is EventKind.CAPTURE_GAP:
            ns, kind = ns + 1, Break.HOLE
        elif event.kind is EventKind.KUBELET_RESTARTED and ns in pod_starts:
            kind = Break.KUBELET
        elif (
            event.kind is EventKind.CONTAINER_STARTED
            and not event.doubtful
            and (ns in own or event.source == "process-event")
        ):
            # (A process that began was seen before its first probe; what packets show is told at that probe.)
            ns = min((start for start in own if start >= ns), default=ns)
            mine = (event.address, event.pod, event.container) == (target.address, owner, target.container)
            kind = Break.CONTAINER if mine else None
        if kind is not None and ns >= min(own):
            breaks.setdefault(ns, []).append(kind)
    times = sorted(breaks)
    pieces = [_cut(probe.attempts, times) for probe in probes]
    stretches = [
        Stretch(begun, tuple(breaks[begun]), tuple(piece[number] for piece in pieces))
        for number, begun in enumerate(times)
    ]
    version = _version(probes[0].checker.version)
    made = Container(
        probes=tuple(probes),
        specs=tuple(map(spec_of, probes)),
        stretches=tuple(stretches),
        resets=version is None or resets(version),
        keeps_ready=version is None or keeps_ready(version),
        openings={},
        faithful=(),
    )
    return _remembered(made)


def _cut(attempts: Sequence[Attempt], times: Sequence[int]) -> list[tuple[Attempt, ...]]:
    """Return the attempts from each of these times to the next."""
    ordered = sorted(attempts, key=lambda attempt: attempt.start.ns)
    starts = [attempt.start.ns for attempt in ordered]
    places = [*(bisect_left(starts, ns) for ns in times), len(ordered)]
    return [tuple(ordered[here:there]) for here, there in pairwise(places)]


def _version(text: str) -> tuple[int, int] | None:
    """Return a kubelet's version as numbers, as observer.core reads it."""
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _remembered(made: Container) -> Container:
    """Find what each worker remembered wherever memory begins anew."""
    openings: dict[tuple[int, int], Worker] = {}
    faithful = []
    blanks = [number for number, stretch in enumerate(made.stretches) if stretch.blank]
    for index in range(len(made.probes)):
        held = True
        for begun, ended in zip(blanks, [*blanks[1:], len(made.stretches)], strict=True):
            candidates = _candidates(made, index, begun, ended)
            fitting = next((one for one in candidates if _reproduces(made, index, begun, ended, one)), None)
            held = held and fitting is not None
            openings[begun, index] = fitting or candidates[0]
        faithful.append(held)
    return replace(made, openings=openings, faithful=tuple(faithful))


def _candidates(made: Container, index: int, begun: int, ended: int) -> list[Worker]:
    breaks = made.stretches[begun].breaks
    plain = Worker(made.specs[index].type)
    if Break.KUBELET in breaks:
        plain = new_kubelet(plain, keeps_ready=made.keeps_ready)
    if Break.CONTAINER in breaks:
        plain = new_container(plain)
    out = [plain]
    first = next(
        (a for n in range(begun, ended) for a in made.stretches[n].attempts[index] if a.outcome in _CONCLUSIVE), None
    )
    if first is not None and first.streak > 1:
        out.append(replace(plain, last_result=_CONCLUSIVE[first.outcome], result_run=first.streak - 1))
    if plain.cached is Result.NONE:
        out += [replace(one, cached=Result.SUCCESS) for one in list(out)]
    return out


def _reproduces(made: Container, index: int, begun: int, ended: int, worker: Worker) -> bool:
    """Tell whether a worker that begins with this memory makes the recorded streaks and decisions."""
    recorded = decided(made.probes[index])
    for number in range(begun, ended):
        stretch = made.stretches[number]
        if number > begun and Break.CONTAINER in stretch.breaks:
            worker = new_container(worker)
        for attempt in stretch.attempts[index]:
            result = count(worker, attempt.outcome, made.specs[index])
            if result.streak != attempt.streak or result.decision is not recorded.get(attempt.n):
                return False
            worker = result.worker
    return True


def decided(probe: Probe) -> dict[int, DecisionKind]:
    """Return what was decided by attempt number."""
    return {decision.attempt: decision.kind for decision in probe.decisions}
