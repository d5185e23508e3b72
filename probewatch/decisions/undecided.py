"""When a readiness probe's state is not known: so many attempts in a row that may have ended otherwise as would change it.

Theory of operation. A state holds until so many results of the other kind come in a row as its threshold asks (worker.go
doProbe). An attempt whose outcome is not known may be one of them, and so may one that was due, is not in the capture, and
whose absence nothing explains: it may have been made and left no frame here. Where a row with such attempts in it is as long
as the threshold, the state is not known from the end of that row on, until an attempt completes a streak or decides. Results
that are known and decide by themselves are no doubt: they are decisions.

Limitations: probes of other types fall silent once they have decided, so what follows them tells. Of attempts that are missing
up to the end of the capture nothing is said here (`Probe.last_gap`).
"""

from __future__ import annotations

from typing import NamedTuple

from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind, GapKind, Outcome, Probe

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
    needed = {
        True: probe.thresholds.get("failureThreshold", (3, ""))[0],
        False: probe.thresholds.get("successThreshold", (1, ""))[0],
    }
    decided = {d.attempt: d for d in probe.decisions if d.kind in (DecisionKind.READY, DecisionKind.NOT_READY)}
    gaps = [gap for gap in probe.gaps if gap.kind in _LEFT_NO_FRAME]
    state = _STATES.get(probe.initial_state) if probe.initial_since_ns is None else None
    found: list[Undecided] = []
    row = inconclusive = missing = 0
    begun: int | None = None
    at = 0
    for attempt in probe.attempts:
        while at < len(gaps) and gaps[at].end_ns <= attempt.start.ns:
            gap = gaps[at]
            if begun is None and state is not None and row + gap.expected >= needed[state]:
                begun = gap.start_ns + (gap.end_ns - gap.start_ns) * (needed[state] - row) // (gap.expected + 1)
            row += gap.expected
            missing += gap.expected
            at += 1
        known: bool | None = None
        if (decision := decided.get(attempt.n)) is not None:
            known = decision.kind is DecisionKind.READY
        elif attempt.outcome in (Outcome.SUCCESS, Outcome.FAILURE) and 0 < attempt.threshold <= attempt.streak:
            known = attempt.outcome is Outcome.SUCCESS
        if known is not None:
            if begun is not None and state is not None:
                found.append(Undecided(begun, attempt.end_ns, state, known, row, inconclusive, missing))
            state, begun = known, None
            row = inconclusive = missing = 0
        elif attempt.outcome is Outcome.INCONCLUSIVE and not attempt.streak:
            row += 1
            inconclusive += 1
        elif attempt.outcome is Outcome.DISCARDED:
            continue
        elif state is not None and attempt.outcome is (Outcome.FAILURE if state else Outcome.SUCCESS):
            row += 1
        elif begun is None:
            row = inconclusive = missing = 0
        if begun is None and state is not None and inconclusive + missing and row >= needed[state]:
            # (When one ended whose outcome is not known, is not known either.)
            begun = attempt.start.ns if attempt.outcome is Outcome.INCONCLUSIVE else attempt.end_ns
    if begun is not None and state is not None and begun < probe.attempts[-1].end_ns:
        found.append(Undecided(begun, None, state, None, row, inconclusive, missing))
    return found
