"""What only all probes together tell: one event for all who show it, and why attempts failed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.decisions.index import container_of
from probewatch.model.attempts import Attempts, start_of
from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import BACK_OFF, Kind
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import (
    BACKING_OFF,
    BETWEEN_FILES,
    ONE_RESTART_NS,
    TO_THE_END,
    TO_THE_END_ALONE,
    UNSEEN,
    Attempt,
    Cause,
    EventKind,
    Gap,
    GapKind,
    Outcome,
    Probe,
    TimelineEvent,
    Unseeable,
)
from probewatch.model.units import SECOND
from probewatch.probes.loops import FORGOTTEN_NS, LONGEST_NS
from probewatch.probes.patterns import explain
from probewatch.probes.scene import Heard

from .build import UNKNOWN
from .ledger import OFF_ITS_SCHEDULE
from .losses import Interval, why
from .places import place_segments

GONE: Final = (Cause.REFUSED, Cause.RESET_BEFORE_ANSWER)
"""How an attempt ends whose container has gone."""
ON_GRID_S: Final = 0.05
"""Attempts of a ticker are this near to its grid."""
RESTARTS: Final = (EventKind.KUBELET_RESTARTED, EventKind.CHECKER_RESTARTED)
"""What all probes of a checker show, each with its next attempt."""


def explained(
    probes: Sequence[Probe],
    events: Sequence[TimelineEvent],
    captures: Sequence[CaptureInfo],
    heard: Heard,
) -> list[Probe]:
    """Return the probes with what many attempts together show; of attempts in brief there is too little left to look at."""
    seen = [replace(p, attempts=p.attempts.whole) if isinstance(p.attempts, Attempts) else p for p in probes]
    seen = alone(started(seen))
    if len(captures) > 1:  # (which of them shows an attempt at its end is for `place_segments` to say)
        seen = [replace(p, target=replace(p.target, here=False)) if p.target.here else p for p in seen]
    out = []
    for probe, made in zip(probes, explain(place_segments(seen, captures), events, captures, heard), strict=True):
        attempts = probe.attempts
        if isinstance(attempts, Attempts):
            attempts.renew(made.attempts)
            whole = len(made.attempts)
            told = f"only the last {whole} attempts say why they failed: the {len(attempts) - whole} before them are kept in brief"
            made = replace(made, attempts=attempts, notes=(*made.notes, told) if made.diagnoses else made.notes)
        out.append(made)
    return held_back(out)


def held_back(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes with the kubelet's back-off as what fits best where attempts are missing up to the end.

    So it is where the container's restarts show that back-off, the last of them is not yet forgotten, its last attempt of any probe
    was refused or reset, as by a container that has gone, and the silence is no longer than the longest wait.
    """
    loops: dict[tuple[object, ...], int] = {}
    for probe in probes:
        for one in probe.diagnoses:
            if one.kind == Kind.RESTART_LOOP and BACK_OFF in one.sentence and one.attempts:
                last = next((a.start.ns for a in reversed(probe.attempts) if a.n == one.attempts[-1]), 0)
                loops[container_of(probe)] = max(last, loops.get(container_of(probe), 0))
    latest: dict[tuple[object, ...], Attempt] = {}
    for probe in probes:
        if (key := container_of(probe)) in loops and probe.attempts:
            latest[key] = max(latest.get(key, probe.attempts[-1]), probe.attempts[-1], key=lambda a: a.start.ns)

    def told(probe: Probe) -> Probe:
        gap, since = probe.last_gap if probe.attempts else None, loops.get(container_of(probe))
        if gap is None or since is None or gap.reason not in (TO_THE_END, TO_THE_END_ALONE):
            return probe
        held = gap.start_ns - since < FORGOTTEN_NS and gap.end_ns - gap.start_ns < LONGEST_NS
        if not held or latest[container_of(probe)].cause not in GONE:
            return probe
        return replace(probe, gaps=(*probe.gaps[:-1], replace(gap, reason=BACKING_OFF + gap.reason)))

    return [told(probe) for probe in probes] if loops else list(probes)


def alone(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes with what it means that attempts are missing up to the end where their checker went on with others.

    It did so where it made an attempt in the latter half of that time: not only those that a common silence let pass before.
    """
    latest: dict[str, int] = {}
    for probe in probes:
        address = probe.checker.address
        latest[address] = max(latest.get(address, 0), probe.attempts[-1].start.ns if probe.attempts else 0)

    def told(probe: Probe) -> Probe:
        gap = probe.last_gap
        if gap is None or gap.reason != TO_THE_END:
            return probe
        if latest[probe.checker.address] < gap.start_ns + (gap.end_ns - gap.start_ns) // 2:
            return probe
        return replace(probe, gaps=(*probe.gaps[:-1], replace(gap, reason=TO_THE_END_ALONE)))

    return [told(probe) for probe in probes]


def between_files(
    probes: Sequence[Probe], captures: Sequence[CaptureInfo], events: Sequence[TimelineEvent]
) -> tuple[list[Probe], list[TimelineEvent]]:
    """Return the probes with gaps that say so where all that is missing was due between two files, and the events with those holes.

    What ends a file is its last frame: whether the time up to the next file was captured, nothing tells.
    """
    covered = sorted((c.first_ns, c.last_ns) for c in captures if c.first_ns is not None and c.last_ns is not None)
    reach, bare = 0, []
    for first_ns, last_ns in covered:
        if reach and first_ns > reach:
            bare.append((reach, first_ns))
        reach = max(reach, last_ns)
    holes: dict[Interval, None] = {}

    def told(gap: Gap) -> Gap:
        step = (gap.end_ns - gap.start_ns) // (gap.expected + 1)
        due = gap.start_ns + step, gap.end_ns - step
        hole = next(((begun, over) for begun, over in bare if begun < due[0] and due[1] < over), None)
        if hole is None or gap.reason not in (UNKNOWN, UNSEEN):
            return gap
        holes[hole] = None
        return replace(gap, reason=BETWEEN_FILES)

    made = [replace(p, gaps=tuple(map(told, p.gaps))) if bare and p.gaps else p for p in probes]
    known = [(e.ns, e.end_ns or e.ns) for e in events if e.kind is EventKind.CAPTURE_GAP]
    new = [
        TimelineEvent(ns=begun, end_ns=over, kind=EventKind.CAPTURE_GAP, address="", evidence=why((begun, over), ()))
        for begun, over in holes
        if not any(begun < end and start < over for start, end in known)
    ]
    # (A new phase behind such a hole shows no restart: what asked may have been asked all the time.)
    kept = [e for e in events if not (e.doubtful and any(begun < e.ns <= over for begun, over in holes))]
    return made, sorted([*kept, *new], key=lambda event: event.ns)


def started(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes, startup probes without a gap to the end where others of their container run in it: those wait for its success."""

    def over(probe: Probe) -> bool:
        last = probe.last_gap
        return (
            probe.type is ProbeType.STARTUP
            and last is not None
            and last.kind is GapKind.UNEXPLAINED
            and any(
                mate.type in (ProbeType.READINESS, ProbeType.LIVENESS)
                and (mate.target.address, mate.target.container) == (probe.target.address, probe.target.container)
                and mate.attempts[-1].start.ns > last.start_ns
                for mate in probes
            )
        )

    return [replace(p, gaps=p.gaps[:-1]) if p.gaps and over(p) else p for p in probes]


def merge_events(events: Sequence[TimelineEvent]) -> list[TimelineEvent]:
    """Keep one event where several probes tell of the same (a new container seen by two of them)."""
    out: list[TimelineEvent] = []
    latest: dict[tuple[str, str, str | None], int] = {}
    for event in sorted(events, key=lambda event: event.ns):
        key = (event.kind, event.address, event.container)
        near = ONE_RESTART_NS if event.kind in RESTARTS else SECOND
        if key not in latest or event.ns - latest[key] > near:
            latest[key] = event.ns
            out.append(event)
    return out


def doubted(probes: Sequence[Probe], events: Sequence[TimelineEvent]) -> tuple[list[Probe], list[TimelineEvent]]:
    """Return the probes and events, those new containers doubtful that one success off its schedule shows and nothing else.

    So it is where those of several addresses would have begun in one second (`SECOND`): what they have in common is their node,
    its clock, and its way to them. And where an undeclared probe asks what another one asks, and does not go on from
    there: then it may have been the other's attempt.
    """
    lone = [
        e
        for e in events
        if e.kind is EventKind.CONTAINER_STARTED and e.evidence.startswith(OFF_ITS_SCHEDULE) and not _died(probes, e)
    ]
    found: dict[TimelineEvent, str] = {}
    for event in lone:
        others = {e.address for e in lone if e.address != event.address and abs(e.ns - event.ns) < SECOND}
        if others:
            found[event] = f", in the second in which {len(others)} other Pod{'s' * (len(others) > 1)} showed the same"
        elif _others(probes, event):
            found[event] = ", or an attempt of another probe that asks the same"
    if not found:
        return list(probes), list(events)
    moments = {(e.address, e.ns) for e in found}

    def told(probe: Probe) -> Probe:
        gaps = tuple(
            replace(gap, kind=GapKind.UNEXPLAINED, reason=UNSEEN)
            if gap.kind is GapKind.CONTAINER_RESTARTED
            and any(
                address == probe.target.address and gap.start_ns < ns < gap.end_ns + SECOND for address, ns in moments
            )
            else gap
            for gap in probe.gaps
        )
        return probe if gaps == probe.gaps else replace(probe, gaps=gaps)

    made = [replace(e, doubtful=True, evidence=e.evidence + found[e]) if e in found else e for e in events]
    return [told(probe) for probe in probes], made


def _died(probes: Sequence[Probe], event: TimelineEvent) -> bool:
    """Tell whether a probe of its address failed right before a container is thought to have begun: it may have gone then."""
    for probe in probes:
        if probe.target.address == event.address:
            at = bisect_left(probe.attempts, event.ns, key=start_of)
            if at and probe.attempts[at - 1].outcome is not Outcome.SUCCESS:
                return True
    return False


def _others(probes: Sequence[Probe], event: TimelineEvent) -> bool:
    """Tell whether the attempt that shows a new container may be another probe's, which asks the same."""
    here = [probe for probe in probes if probe.target.address == event.address and probe.spec is None]
    for probe in here:
        at = bisect_left(probe.attempts, event.ns, key=start_of)
        mine = at < len(probe.attempts) and probe.attempts[at].start.ns == event.ns
        alike = any(one is not probe and one.target == probe.target for one in here)
        period = probe.inferred.get("periodSeconds")
        if not mine or not alike or not isinstance(period, int | float):
            continue
        since = [(a.start.ns - event.ns) / (period * SECOND) for a in probe.attempts[at + 1 : at + 3]]
        if not since or any(abs(times - round(times)) * period > ON_GRID_S for times in since):
            return True
    return False


def unseeable(book: AddressBook, probes: Sequence[Probe]) -> tuple[Unseeable, ...]:
    """Return the declared exec probes of which no command was seen."""
    seen = {id(probe.spec) for probe in probes}
    return tuple(
        Unseeable(spec.type, pod.namespace, pod.name, container.name, workload=pod.kind != "Pod")
        for pod in book.all_pods()
        for container in pod.containers
        for spec in container.probes
        if spec.handler is Handler.EXEC and id(spec) not in seen
    )
