"""What is known of each address of a timeline: asked for each probe, so that no probe looks at all others and their events."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

from probewatch.model.timeline import Decision, DecisionKind, EventKind, Probe, Timeline, TimelineEvent


class Index:
    """A timeline's probes and events, by what they are about."""

    def __init__(self, timeline: Timeline) -> None:
        self.probes: dict[tuple[object, ...], list[Probe]] = defaultdict(list)
        """Those that kubelets make, by container."""
        self.events: dict[str, list[TimelineEvent]] = defaultdict(list)
        """By address."""
        self.gaps: list[TimelineEvent] = []
        """Those of the capture."""
        self._restarts: dict[tuple[object, ...], list[tuple[Probe, Decision]]] = {}
        self.place: dict[int, int] = {}
        """Where an event (its `id`) stands among all of them."""
        for probe in (*timeline.probes, *timeline.beside):
            if probe.checker.kind == "kubelet":
                self.probes[container_of(probe)].append(probe)
        for place, event in enumerate(timeline.events):
            self.place[id(event)] = place
            self.events[event.address].append(event)
            if event.kind is EventKind.CAPTURE_GAP:
                self.gaps.append(event)

    def restarts(self, container: tuple[object, ...]) -> list[tuple[Probe, Decision]]:
        """Return the decisions to restart a container, with the probes that led to them, in order; sought once, for each outage asks."""
        known = self._restarts.get(container)
        if known is None:
            found = [
                (probe, decision)
                for probe in self.probes.get(container, ())
                for decision in probe.decisions
                if decision.kind is DecisionKind.RESTART
            ]
            known = self._restarts[container] = sorted(found, key=lambda item: item[1].ns)
        return known


class _Same(NamedTuple):
    """A timeline as a key: the same one, not one that is equal to it."""

    timeline: Timeline

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.timeline is self.timeline

    def __hash__(self) -> int:
        return id(self.timeline)


@lru_cache(maxsize=1)
def _index(key: _Same) -> Index:
    return Index(key.timeline)


def index_of(timeline: Timeline) -> Index:
    """Return the index of a timeline; it is kept until another timeline is asked about."""
    return _index(_Same(timeline))


def container_of(probe: Probe) -> tuple[object, ...]:
    """Return what tells a probe's container from others."""
    target = probe.target
    return target.address, target.namespace, target.pod, target.container
