"""Times of which a probe's results are not known, and what is known of its state behind each.

Where the capture has a gap nobody looked; an attempt may be inconclusive. A state before that says nothing of one behind:
the first streak behind it that reaches its threshold shows the state, and decides nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from probewatch.model.attempts import start_of
from probewatch.model.timeline import Attempt, Decision, Outcome, Probe, Timeline

from .index import index_of

UP_STATES: Final = ("Ready", "UP")
DOWN_STATES: Final = ("NotReady", "DOWN")


class Hole(NamedTuple):
    """A time of which results are not known, and what shows the probe's state behind it."""

    start_ns: int
    end_ns: int
    gap: bool
    """Whether the capture has a gap there; else attempts are inconclusive."""
    up: bool | None
    """Whether the probe's target was in service behind it; None where nothing shows it."""
    known_ns: int
    """Since when that is known; where nothing shows it, the end of the hole."""


def holes(probe: Probe, timeline: Timeline) -> list[Hole]:
    """Return the holes that begin after a probe's first attempt, in order."""
    unclear = [(start, end, False) for start, end in _inconclusive(probe.attempts)]
    return _told(probe, [*_dark(probe, timeline), *unclear])


def gaps(probe: Probe, timeline: Timeline) -> list[Hole]:
    """Return those of them in which nothing was captured; attempts, of which there may be very many, need not be gone through."""
    return _told(probe, _dark(probe, timeline))


def _dark(probe: Probe, timeline: Timeline) -> list[tuple[int, int, bool]]:
    known = index_of(timeline).gaps
    if not probe.attempts or not known:
        return []
    first = probe.attempts[0].start.ns
    return [(event.ns, event.end_ns, True) for event in known if event.end_ns is not None and event.ns > first]


def _told(probe: Probe, found: Iterable[tuple[int, int, bool]]) -> list[Hole]:
    """Return holes in order, with what shows the state behind each."""
    made = sorted(probe.decisions, key=_ns)
    return [Hole(start, end, gap, *_behind(probe, made, end)) for start, end, gap in sorted(found)]


def covered(low_ns: int, high_ns: int, unseen: Iterable[Hole]) -> int:
    """Return how much of a time was captured, given its `gaps`."""
    return high_ns - low_ns - sum(max(0, min(high_ns, one.end_ns) - max(low_ns, one.start_ns)) for one in unseen)


def _inconclusive(attempts: Iterable[Attempt]) -> Iterator[tuple[int, int]]:
    """Yield when each row of inconclusive attempts began and ended; what was counted all the same (inside TLS, by its size) is none."""
    begun: Attempt | None = None
    before: Attempt | None = None
    for attempt in attempts:
        if attempt.outcome is Outcome.INCONCLUSIVE and not attempt.streak:
            begun = begun or attempt
        elif begun is not None and before is not None:
            yield begun.start.ns, before.end_ns
            begun = None
        before = attempt


def _ns(decision: Decision) -> int:
    return decision.ns


def _behind(probe: Probe, made: Sequence[Decision], end_ns: int) -> tuple[bool | None, int]:
    """Return whether the target is in service behind a hole, and since when that is known; `made` are the decisions in order."""
    next_one = bisect_left(made, end_ns, key=_ns)
    decided = made[next_one] if next_one < len(made) else None
    for place in range(bisect_left(probe.attempts, end_ns, key=start_of), len(probe.attempts)):
        attempt = probe.attempts[place]
        if decided is not None and attempt.n >= decided.attempt:
            break
        if 0 < attempt.threshold <= attempt.streak and attempt.outcome in (Outcome.SUCCESS, Outcome.FAILURE):
            return attempt.outcome is Outcome.SUCCESS, attempt.end_ns
    if decided is not None and decided.before in (*UP_STATES, *DOWN_STATES):
        return decided.before in UP_STATES, end_ns
    return None, end_ns
