"""All probes of a timeline before the patterns: what is known of each attempt so far, and who belongs together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from probewatch.model.connection import Connection, Unresolved
from probewatch.model.diagnoses import Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.finding import Evidence
from probewatch.model.frame import CaptureInfo, Mark
from probewatch.model.timeline import (
    Attempt,
    Cause,
    EventKind,
    Probe,
    TimelineEvent,
)
from probewatch.model.units import MS, SECOND

from .diagnose import Found, worded

SHOWN: Final = 8
"""Frames of attempts given as evidence of one diagnosis."""
NEAR_NS: Final = 50 * MS
"""Attempts of one container's beginning that start this close together are of one moment."""
SILENT: Final = frozenset(
    {Kind.SYN_UNANSWERED, Kind.SYN_ACK_LOST, Kind.NODE_STALLED, Kind.LOST_BEFORE_POD, Kind.LISTEN_QUEUE_FULL}
)
"""Diagnoses of attempts that got no connection and no refusal."""
KEEPS_ROWS: Final = frozenset({Kind.STILL_STARTING, Kind.UNHEALTHY_TOGETHER})
"""Kinds that say when it fails and leave standing how."""


@dataclass(slots=True)
class Heard:
    """What was on the wire beside the probes and tells why they fail."""

    asked: dict[str, list[Unresolved]] = field(default_factory=dict)
    """By who asked: address resolutions that nobody answered."""
    tentative: dict[str, list[Mark]] = field(default_factory=dict)
    """By address: when it was tested for being another's (duplicate address detection)."""
    idle: dict[tuple[str, int | None], list[Connection]] = field(default_factory=dict)
    """By target: connections that their client opened, said nothing on for a second and more, and closed."""


@dataclass(slots=True)
class Scene:
    """All probes with their attempts' diagnoses as they stand."""

    probes: Sequence[Probe]
    events: Sequence[TimelineEvent]
    captures: Sequence[CaptureInfo] = ()
    heard: Heard = field(default_factory=Heard)
    found: list[dict[int, Diagnosis]] = field(default_factory=list)
    """By probe (its place), by number of attempt."""
    aside: list[list[Diagnosis]] = field(default_factory=list)
    """By probe: diagnoses of no single attempt."""
    _at: dict[str, list[TimelineEvent]] | None = None

    def events_at(self, address: str) -> list[TimelineEvent]:
        """Return the events at an address; they are sorted by it once, for each probe asks."""
        if self._at is None:
            self._at = {}
            for event in self.events:
                self._at.setdefault(event.address, []).append(event)
        return self._at.get(address, [])

    def kind(self, place: int, attempt: Attempt) -> str:
        """Return the kind that an attempt has so far; empty where it has none."""
        known = self.found[place].get(attempt.n)
        return known.kind if known is not None else ""

    def say(self, place: int, attempts: Sequence[Attempt], found: Found) -> None:
        """Put a diagnosis in the place of these attempts' own."""
        for attempt in attempts:
            before = self.found[place].get(attempt.n)
            rows = before.rows if before is not None and found.kind in KEEPS_ROWS else ()
            self.found[place][attempt.n] = worded(found, (attempt.n,), evidence_of((attempt,)), rows)

    def note(self, place: int, attempts: Sequence[Attempt], found: Found) -> None:
        """Add a diagnosis that stands beside those of the attempts."""
        numbers = tuple(attempt.n for attempt in attempts)
        self.aside[place].append(worded(found, numbers, evidence_of(attempts)))


def evidence_of(attempts: Sequence[Attempt]) -> tuple[Evidence, ...]:
    """Return the frames of the first of these attempts."""
    return tuple(Evidence(attempt.file, *attempt.frames()) for attempt in attempts[:SHOWN])


def silent(scene: Scene, place: int) -> list[Attempt]:
    """Return a probe's attempts that got no connection and no refusal, as no pattern has explained yet."""
    return [
        a
        for a in scene.probes[place].attempts
        if a.cause in (Cause.NO_SYN_ANSWER, Cause.GRPC_CONNECT) and scene.kind(place, a) in SILENT
    ]


def connected(attempt: Attempt) -> bool:
    """Tell whether an attempt got a connection."""
    return bool(attempt.legs) and attempt.legs[0].connection.orig.first_ack is not None


def runs(attempts: Sequence[Attempt], chosen: set[int]) -> list[list[Attempt]]:
    """Return the stretches of attempts in a row whose numbers are chosen."""
    return [list(group) for mine, group in groupby(attempts, key=lambda a: a.n in chosen) if mine]


def grouped(scene: Scene, key: Callable[[Probe], Hashable]) -> Iterable[list[int]]:
    """Return the places of the probes that are alike in something; of which it is None are in no group."""
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, probe in enumerate(scene.probes):
        if (mine := key(probe)) is not None:
            places[mine].append(place)
    return places.values()


def by_checker(scene: Scene) -> Iterable[list[int]]:
    """Return the places of the probes of each checker."""
    return grouped(scene, lambda probe: probe.checker.node or probe.checker.address)


def by_target(scene: Scene) -> Iterable[list[int]]:
    """Return the places of the probes of each address and port."""
    return grouped(scene, lambda probe: (probe.target.address, probe.target.port))


def containers(scene: Scene) -> Iterable[list[int]]:
    """Return the places of the kubelets' probes of each container."""

    def container(probe: Probe) -> tuple[object, ...] | None:
        target = probe.target
        mine = probe.checker.kind == "kubelet" and probe.attempts
        return (target.address, target.namespace, target.pod, target.container) if mine else None

    return grouped(scene, container)


def happened(scene: Scene, place: int, kind: EventKind) -> list[TimelineEvent]:
    """Return the events of this kind at a probe's container."""
    target = scene.probes[place].target
    mine = f"{target.namespace}/{target.pod}" if target.pod else None
    return [
        e
        for e in scene.events_at(target.address)
        if e.kind is kind
        and (e.pod is None or e.pod == mine)
        and (e.container is None or target.container is None or e.container == target.container)
    ]


def together(items: Sequence[tuple[int, int, Attempt]]) -> Iterator[list[tuple[int, int, Attempt]]]:
    """Split what is sorted by time where nothing happened for the length of the longest attempt in it and two seconds."""
    group: list[tuple[int, int, Attempt]] = []
    for item in items:
        if group and item[0] - group[-1][2].end_ns > 2 * SECOND:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
