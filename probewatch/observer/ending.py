"""The state at the end of a readiness probe whose container ended without the probe deciding anything.

Theory of operation. The kubelet takes Ready from a container that ended (status.go GeneratePodReadyCondition); its readiness probe is
silent from then on, so that what it decided last is no longer so. A container that was told to end answers for a while: until its
last success it is Ready. One that began anew is not Ready until its own probe says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from probewatch.decisions.index import container_of
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind, EventKind, Outcome, Probe, TimelineEvent

_ENDS = (EventKind.CONTAINER_EXITED, EventKind.CONTAINER_STARTED)


def with_ends(probes: Sequence[Probe], events: Sequence[TimelineEvent]) -> list[Probe]:
    """Return the probes; of those that were Ready when their container ended, and are not Ready again, the state is NotReady."""
    killed: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for probe in probes:
        killed[_container(probe)] += [
            d.ns for d in probe.decisions if d.kind is DecisionKind.RESTART and d.confirmed is not False
        ]
    happened: dict[str, list[TimelineEvent]] = defaultdict(list)
    for event in events:
        if event.kind in _ENDS:
            happened[event.address].append(event)
    return [
        replace(probe, final_state="NotReady")
        if _ended(probe, killed[_container(probe)], happened[probe.target.address])
        else probe
        for probe in probes
    ]


def _ended(probe: Probe, killed: Sequence[int], events: Sequence[TimelineEvent]) -> bool:
    if probe.type is not ProbeType.READINESS or probe.final_state != "Ready" or not probe.attempts:
        return False
    last = max((d.ns for d in probe.decisions), default=0)
    target = probe.target
    owner = f"{target.namespace}/{target.pod}" if target.pod is not None else None
    ends = [
        event.ns
        for event in events
        # (Before the first decision, a beginning is that of the container which was already Ready.)
        if (event.kind is EventKind.CONTAINER_EXITED or last)
        and (event.container is None or target.container is None or event.container == target.container)
        and (event.pod is None or owner is None or event.pod == owner)
    ]
    ended = min((ns for ns in (*killed, *ends) if ns > last), default=None)
    latest = probe.attempts[-1]
    return ended is not None and not (latest.start.ns >= ended and latest.outcome is Outcome.SUCCESS)


def _container(probe: Probe) -> tuple[object, ...]:
    return probe.checker.kind, *container_of(probe)
