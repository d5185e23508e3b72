"""What only all probes together tell: one event for all who show it, and why attempts failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.attempts import Attempts
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import BETWEEN_FILES, ONE_RESTART_NS, EventKind, Gap, GapKind, Probe, TimelineEvent
from probewatch.probes.cadence import SECOND
from probewatch.probes.patterns import explain

from .build import UNKNOWN
from .places import place_segments

RESTARTS: Final = (EventKind.KUBELET_RESTARTED, EventKind.CHECKER_RESTARTED)
"""What all probes of a checker show, each with its next attempt."""


def explained(probes: Sequence[Probe], events: Sequence[TimelineEvent], captures: Sequence[CaptureInfo]) -> list[Probe]:
    """Return the probes with what many attempts together show; of attempts in brief there is too little left to look at."""
    seen = [replace(p, attempts=p.attempts.whole) if isinstance(p.attempts, Attempts) else p for p in probes]
    seen = started(between_files(seen, captures))
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
