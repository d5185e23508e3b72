"""When all that a checker sent of its own is accounted for: whatever else comes from its address then is not its own.

Theory of operation. A load balancer that checks passes requests on, and a kubelet's address stands for the clients of a
NodePort. Of both, a connection that says nothing (refused, or never answered) looks like a check, and those
that belong to no series may be a check out of step. But one worker makes one check at a time: between two of its checks
that follow each other at their usual pace lies no third. So where each of the series that are known from that address
keeps to its pace, a silent connection beside them is passed on for somebody. Where a check is missing, where a series has
not begun or is over, and while one process takes over from another, it stays open what it was.

Limitations. A check that the capture shows fewer than four times is no series: it counts as passed on where its source
passes on other things, and as nobody's where it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from probewatch.model.timeline import ONE_RESTART_NS, EventKind, Probe, TimelineEvent
from probewatch.model.units import SECOND

RESTARTS: Final = (EventKind.CHECKER_RESTARTED, EventKind.KUBELET_RESTARTED, EventKind.KUBELET_STOPPED)
MISSED: Final = 1.7
"""Intervals without a check from which one may be missing."""

Span = tuple[int, int]
"""From a moment to before another."""


def accounted(probes: Sequence[Probe], events: Sequence[TimelineEvent]) -> list[Span]:
    """Return, in order, the spans in which these probes (all of one source at one port) are all that it sent of its own."""
    kept: list[Span] = []
    broken: list[Span] = []
    for probe in probes:
        turns = _turns(probe, events)
        broken += [(gap.start_ns, gap.end_ns) for gap in probe.gaps]
        longest = _longest(probe)
        for before, after in pairwise(probe.attempts):
            low, high = before.start.ns, after.start.ns
            whole = after.start.ns - before.end_ns < longest and not any(low < end and ns <= high for ns, end in turns)
            (kept if whole else broken).append((low, high))
    return _without(kept, broken)


def _longest(probe: Probe) -> float:
    """Return for how long after an attempt none is missing (ns): nothing where the interval is not known."""
    period = probe.thresholds.get("periodSeconds", (probe.inferred.get("interval_s"), ""))[0]
    return MISSED * (period or 0) * SECOND


def _turns(probe: Probe, events: Sequence[TimelineEvent]) -> list[Span]:
    """Return when another process took over, or something was not captured."""
    checker = probe.checker
    mine = (checker.address, checker.node, checker.node_address)
    return [
        (event.ns, max(event.end_ns or event.ns, event.ns + ONE_RESTART_NS))
        for event in events
        if event.kind is EventKind.CAPTURE_GAP or (event.kind in RESTARTS and event.address in mine)
    ]


def _without(kept: Sequence[Span], broken: Sequence[Span]) -> list[Span]:
    """Return the time that is in one of `kept` and in none of `broken`."""
    edges = sorted(
        [(low, 1, 0) for low, _ in kept]
        + [(high, -1, 0) for _, high in kept]
        + [(low, 0, 1) for low, _ in broken]
        + [(high, 0, -1) for _, high in broken]
    )
    out: list[Span] = []
    inside = against = 0
    since: int | None = None
    for place, (ns, here, there) in enumerate(edges):
        inside, against = inside + here, against + there
        if place + 1 < len(edges) and edges[place + 1][0] == ns:
            continue
        good = inside > 0 and against == 0
        if good and since is None:
            since = ns
        elif not good and since is not None:
            out.append((since, ns))
            since = None
    return out
