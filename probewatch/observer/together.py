"""What only all probes together tell: one event for all who show it, why attempts failed, and what is declared and was not seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.attempts import Attempts
from probewatch.model.book import AddressBook
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import Handler, PodSpec
from probewatch.model.timeline import (
    BETWEEN_FILES,
    ONE_RESTART_NS,
    TO_THE_END,
    TO_THE_END_ALONE,
    EventKind,
    Gap,
    Probe,
    TimelineEvent,
)
from probewatch.probes.cadence import SECOND
from probewatch.probes.patterns import explain

from .build import UNKNOWN
from .places import place_segments

RESTARTS: Final = (EventKind.KUBELET_RESTARTED, EventKind.CHECKER_RESTARTED)
"""What all probes of a checker show, each with its next attempt."""


def explained(probes: Sequence[Probe], events: Sequence[TimelineEvent], captures: Sequence[CaptureInfo]) -> list[Probe]:
    """Return the probes with what many attempts together show; of attempts in brief there is too little left to look at."""
    seen = [replace(p, attempts=p.attempts.whole) if isinstance(p.attempts, Attempts) else p for p in probes]
    seen = alone(between_files(seen, captures))
    if len(captures) > 1:  # (which of them shows an attempt at its end is for `place_segments` to say)
        seen = [replace(p, target=replace(p.target, here=False)) if p.target.here else p for p in seen]
    out = []
    for probe, made in zip(probes, explain(place_segments(seen, captures), events), strict=True):
        attempts = probe.attempts
        if isinstance(attempts, Attempts):
            attempts.renew(made.attempts)
            whole = len(made.attempts)
            told = f"only the last {whole} attempts say why they failed: the {len(attempts) - whole} before them are kept in brief"
            made = replace(made, attempts=attempts, notes=(*made.notes, told) if made.diagnoses else made.notes)
        out.append(made)
    return out


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


def between_files(probes: Sequence[Probe], captures: Sequence[CaptureInfo]) -> list[Probe]:
    """Return the probes with gaps that say so where all that is missing was due between two files.

    What ends a file is its last frame: whether the time up to the next file was captured, nothing tells.
    """
    covered = sorted((c.first_ns, c.last_ns) for c in captures if c.first_ns is not None and c.last_ns is not None)
    reach, bare = 0, []
    for first_ns, last_ns in covered:
        if reach and first_ns > reach:
            bare.append((reach, first_ns))
        reach = max(reach, last_ns)

    def told(gap: Gap) -> Gap:
        step = (gap.end_ns - gap.start_ns) // (gap.expected + 1)
        due = gap.start_ns + step, gap.end_ns - step
        if gap.reason != UNKNOWN or not any(begun < due[0] and due[1] < over for begun, over in bare):
            return gap
        return replace(gap, reason=BETWEEN_FILES)

    if not bare:
        return list(probes)
    return [replace(p, gaps=tuple(map(told, p.gaps))) if p.gaps else p for p in probes]


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


def unmatched(book: AddressBook, probes: Sequence[Probe], tied: Collection[int], unseen: str) -> list[str]:
    """Say what is declared and nothing here fits; `tied` are the checks (by id) that fit something, `unseen` says why no command did."""
    out: list[str] = []
    pods: list[PodSpec] = list(
        {id(pod): pod for many in book.pods.values() for pod in many if pod.declared_by == "--spec"}.values()
    )
    pods += book.unplaced
    used = {probe.spec_source for probe in probes}
    unfit: list[str] = []
    for pod in pods:
        for container in pod.containers:
            out += [
                f"{spec.type} of {pod.name}/{container.name} is an exec probe: {unseen}"
                for spec in container.probes
                if spec.handler is Handler.EXEC and not any(spec is probe.spec for probe in probes)
            ]
        if pod.source not in used and any(
            spec.handler is not Handler.EXEC for container in pod.containers for spec in container.probes
        ):
            unfit.append(f"{pod.name} ({pod.source})")
    if unfit:
        out.append(f"no attempt in this capture fits the probes of {', '.join(unfit)}")
    idle = [check for check in book.checks if id(check) not in tied]
    if idle:
        first = idle[0].name or f"{idle[0].kind} {idle[0].address or ''}".rstrip()
        rest = f" and {len(idle) - 1} more" if len(idle) > 1 else ""
        out.append(f"no check in this capture fits what is declared for {first} ({idle[0].source}){rest}")
    return out
