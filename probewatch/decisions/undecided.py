"""When a readiness probe's state is not known: so many attempts in a row that may have ended otherwise as would change it.

Theory of operation. A state holds until so many results of the other kind come in a row as its threshold asks (worker.go
doProbe). An attempt whose outcome is not known may be one of them, and so may one that was due, is not in the capture, and
whose absence nothing explains: it may have been made and left no frame here. Where a row with such attempts in it is as long
as the threshold, the state is not known from the end of that row on, until an attempt completes a streak or decides. Results
that are known and decide by themselves are no doubt: they are decisions. What is missing can only have failed: an answer leaves
frames. So while NotReady it changes nothing.

Limitations: probes of other types fall silent once they have decided, so what follows them tells. Of attempts that are missing
up to the end of the capture nothing is said here (`Probe.last_gap`).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from probewatch.model.spec import ProbeType
from probewatch.model.timeline import NO_CPU, Attempt, DecisionKind, Gap, GapKind, Outcome, Probe
from probewatch.model.units import SECOND

_STATES = {"Ready": True, "NotReady": False}
_LEFT_NO_FRAME = (GapKind.UNEXPLAINED, GapKind.UNRESOLVED)
"""Gaps in which attempts may have been made."""


class Undecided(NamedTuple):
    """A stretch of time in which a state is not known."""

    start_ns: int
    end_ns: int | None
    """When it is known again; None where that is not in the capture."""
    was: bool
    """Whether it was Ready before."""
    then: bool | None
    """Whether it is Ready behind; None where nothing tells."""
    row: int
    """Attempts in a row up to `end_ns` that may have changed it."""
    inconclusive: int
    """Of these, those whose outcome is not known, ..."""
    missing: int
    """... and those that are not in the capture."""


def undecided(probe: Probe) -> list[Undecided]:
    """Return when the state of a readiness probe is not known though it was before, in order; nothing for other probes."""
    if probe.type is not ProbeType.READINESS or not probe.attempts:
        return []
    decided = {
        d.attempt: d.kind is DecisionKind.READY
        for d in probe.decisions
        if d.kind in (DecisionKind.READY, DecisionKind.NOT_READY)
    }
    gaps = deque(gap for gap in probe.gaps if gap.kind in _LEFT_NO_FRAME and gap.reason != NO_CPU)
    row = _Row(probe)
    for attempt in probe.attempts:
        while gaps and gaps[0].end_ns <= attempt.start.ns:
            row.gap(gaps.popleft())
        known = decided.get(attempt.n)
        if known is None and attempt.outcome in _COUNTED and 0 < attempt.threshold <= attempt.streak:
            known = attempt.outcome is Outcome.SUCCESS
        if known is not None:
            row.close(attempt.end_ns, known)
        else:
            row.take(attempt)
    if row.begun is not None and row.begun < probe.attempts[-1].end_ns:
        row.close(None, None)
    return row.found


_COUNTED = (Outcome.SUCCESS, Outcome.FAILURE)


class _Row:
    """Attempts in a row that may have changed the state."""

    def __init__(self, probe: Probe) -> None:
        self.found: list[Undecided] = []
        self.begun: int | None = None
        """Since when the state is not known."""
        self._state = _STATES.get(probe.initial_state) if probe.initial_since_ns is None else None
        self._needed = {
            True: probe.thresholds.get("failureThreshold", (3, ""))[0],
            False: probe.thresholds.get("successThreshold", (1, ""))[0],
            None: 0,
        }
        self._period_ns = probe.thresholds.get("periodSeconds", (10, ""))[0] * SECOND
        self._length = self._inconclusive = self._missing = 0

    def gap(self, gap: Gap) -> None:
        """Take attempts that are missing."""
        if self._state is False:
            return
        left = self._needed[self._state] - self._length
        if self.begun is None and self._state is not None and gap.expected >= left:
            # (At the earliest: a gap may be longer than that many periods.)
            self.begun = gap.start_ns + left * min((gap.end_ns - gap.start_ns) // (gap.expected + 1), self._period_ns)
        self._length += gap.expected
        self._missing += gap.expected

    def take(self, attempt: Attempt) -> None:
        """Take an attempt that tells no state."""
        state = self._state
        unknown = attempt.outcome is Outcome.INCONCLUSIVE and not attempt.streak
        if attempt.outcome is Outcome.DISCARDED:
            return
        if unknown or (state is not None and attempt.outcome is (Outcome.FAILURE if state else Outcome.SUCCESS)):
            self._length += 1
            self._inconclusive += unknown
        elif self.begun is None:
            self._length = self._inconclusive = self._missing = 0
        enough = state is not None and self._length >= self._needed[state]
        if self.begun is None and enough and self._inconclusive + self._missing:
            # (When one ended whose outcome is not known, is not known either.)
            self.begun = attempt.start.ns if unknown else attempt.end_ns

    def close(self, end_ns: int | None, known: bool | None) -> None:
        """Know the state again from a moment on."""
        if self.begun is not None and self._state is not None:
            self.found.append(
                Undecided(self.begun, end_ns, self._state, known, self._length, self._inconclusive, self._missing)
            )
        self._state, self.begun = known, None
        self._length = self._inconclusive = self._missing = 0
