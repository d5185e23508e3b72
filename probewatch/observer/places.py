"""Place the lost and late segments of all probes between the vantage points that saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from probewatch.model.frame import CaptureInfo
from probewatch.model.timeline import Attempt, Outcome, Probe
from probewatch.probes.places import Ways


def place_segments(probes: Sequence[Probe], captures: Sequence[CaptureInfo]) -> list[Probe]:
    """Return the probes with `died` on the connections of attempts that failed, or in which something was sent again."""
    if not any(len(leg.connection.sightings) > 1 for probe in probes for a in probe.attempts for leg in a.legs):
        return list(probes)
    ways = Ways(captures)
    for probe in probes:
        for attempt in probe.attempts:
            for leg in attempt.legs:
                ways.learn(leg.connection)
    return [replace(probe, attempts=tuple(_attempt(a, ways) for a in probe.attempts)) for probe in probes]


def _attempt(attempt: Attempt, ways: Ways) -> Attempt:
    troubled = attempt.outcome is not Outcome.SUCCESS
    legs = []
    for leg in attempt.legs:
        connection = leg.connection
        again = connection.orig.retransmits or connection.resp.retransmits
        found = ways.place(connection) if troubled or again else ()
        legs.append(replace(leg, died=found) if found else leg)
    return replace(attempt, legs=tuple(legs)) if any(leg.died for leg in legs) else attempt
