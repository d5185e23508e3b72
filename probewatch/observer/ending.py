"""The state at the end of a readiness probe whose container ended without the probe deciding anything.

Theory of operation. The kubelet takes Ready from a container that ended (status.go GeneratePodReadyCondition); its readiness probe is
silent from then on, so that what it decided last is no longer so. A container that was told to end answers for a while: until its
last success it is Ready. One that began anew is not Ready until its own probe says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from probewatch.decisions.outages import ended_undecided
from probewatch.model.timeline import Probe, Timeline, TimelineEvent


def with_ends(probes: Sequence[Probe], events: Sequence[TimelineEvent]) -> list[Probe]:
    """Return the probes; of those that were Ready when their container ended, and are not Ready again, the state is NotReady."""
    timeline = Timeline(probes=tuple(probes), events=tuple(events))
    return [
        replace(probe, final_state="NotReady") if probe.final_state == "Ready" and _ended(probe, timeline) else probe
        for probe in probes
    ]


def _ended(probe: Probe, timeline: Timeline) -> bool:
    decided_ns = max((decision.ns for decision in probe.decisions), default=0)
    return ended_undecided(probe, timeline, decided_ns) is not None
