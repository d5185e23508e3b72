"""What a capture cannot tell: reasons why something may have happened that no packet here shows.

An expectation that something is there is settled by its being there. One that something is *not* there, or is all
there is, holds only as far as the evidence reaches. Each function returns a plain reason, or an empty text where there
is none.

Limitation: a capture whose packets were lost without anybody noticing (no drop counter, no missing attempt) is taken
for what it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Attempt, Cause, DecisionKind, EventKind, Outcome, Probe, Timeline

GAINS: Final = frozenset({DecisionKind.READY, DecisionKind.STARTED, DecisionKind.UP})
"""Decisions that successes lead to; failures lead to all others."""

NEXT: Final = {
    "Ready": DecisionKind.NOT_READY,
    "NotReady": DecisionKind.READY,
    "Live": DecisionKind.RESTART,
    "NotStarted": DecisionKind.STARTED,
    "UP": DecisionKind.DOWN,
    "DOWN": DecisionKind.UP,
}
"""State -> the decision that would end it."""


def end_unseen(timeline: Timeline) -> str:
    """Say that an input breaks off, so that what came later is not seen, or that there is nothing in any."""
    cut = [info.path for info in timeline.captures if not info.complete]
    if cut:
        return f"{cut[0]} is cut or corrupt, what came later is not seen"
    empty = timeline.captures and not any(info.frames for info in timeline.captures)
    return "there is no frame in this capture" if empty else ""


def lost(timeline: Timeline) -> str:
    """Say that the capturing program lost packets and does not say when: they may have been anybody's.

    Those of which it does are holes (`EventKind.CAPTURE_GAP`), and doubt is where they are.
    """
    drops = sum((each.drops or 0) - each.drops_timed for info in timeline.captures for each in info.interfaces)
    return f"the capturing program lost {drops} packet{'' if drops == 1 else 's'}" if drops else ""


def incomplete(timeline: Timeline) -> str:
    """Say that something, whatever it is, may have happened unseen while this was captured."""
    gap = any(event.kind is EventKind.CAPTURE_GAP for event in timeline.events)
    return end_unseen(timeline) or lost(timeline) or ("for some time nothing was captured" if gap else "")


def unseen(timeline: Timeline, probe: Probe) -> str:
    """Say that attempts of a probe may be missing from the capture although they were made."""
    if reason := end_unseen(timeline):
        return reason
    if not probe.attempts:
        return ""
    first, last = probe.attempts[0].start.ns, probe.attempts[-1].end_ns
    for event in timeline.events:
        if event.kind is EventKind.CAPTURE_GAP and first <= event.ns <= last:
            return f"the capture has a hole there: {event.evidence}"
    reason = lost(timeline)
    return f"attempts are missing, and {reason}" if reason and probe.gaps else reason


def hidden(probe: Probe, kind: DecisionKind, *, since_ns: int | None = None, until_ns: int | None = None) -> str:
    """Say that a decision of this kind may have been made unseen, later than `since_ns` and earlier than `until_ns`."""
    attempts = [
        a
        for a in settled(probe.attempts)
        if (since_ns is None or a.end_ns > since_ns) and (until_ns is None or a.end_ns < until_ns)
    ]
    fatal = Outcome.SUCCESS if kind in GAINS else Outcome.FAILURE
    threshold, known = _threshold(probe, kind)
    row = 0
    dark: Attempt | None = None
    for attempt in attempts:
        if attempt.outcome is Outcome.DISCARDED:
            continue  # it counts for nothing (prober.go)
        if attempt.outcome not in (fatal, Outcome.INCONCLUSIVE):
            row, dark = 0, None
            continue
        row += 1
        if attempt.outcome is Outcome.INCONCLUSIVE:
            dark = dark or attempt
        elif kind not in GAINS and not known:
            return f"#{attempt.n} failed, and {_unknown_threshold(probe)}"
        if dark is not None and row >= threshold:
            return f"the outcome of #{dark.n} is not known ({dark.cause.value})"
    return ""


def _unknown_threshold(probe: Probe) -> str:
    """Say that nobody knows how many failures it takes, and what would tell."""
    kind = probe.checker.kind
    if kind in ("kubelet", "unknown"):
        return "the failureThreshold is not known: give the Pod with --spec"
    told = "--haproxy-cfg or --check" if kind == "haproxy" else "--check"
    return f"how many failures take it DOWN is not known: {told} would tell"


def untyped(probe: Probe) -> str:
    """Say that what a probe's results lead to is not known, because its type is not."""
    if probe.type is ProbeType.UNKNOWN and probe.checker.kind == "kubelet":
        return "the probe's type is not known, so neither is what its results led to: give the Pod with --spec"
    return ""


def settled(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Return the attempts without those at the end that were still open when the capture ended."""
    end = len(attempts)
    while end and attempts[end - 1].outcome is Outcome.INCONCLUSIVE and attempts[end - 1].cause is Cause.CUT:
        end -= 1
    return attempts[:end]


def _threshold(probe: Probe, kind: DecisionKind) -> tuple[int, bool]:
    """Return how many results in a row make a decision, at least, and whether that is known."""
    name, short = ("successThreshold", "rise") if kind in GAINS else ("failureThreshold", "fall")
    if name in probe.thresholds:
        value, source = probe.thresholds[name]
        return (value, True) if probe.spec is not None or source != "default" else (1, False)
    found = probe.inferred.get(short)
    return (found, True) if isinstance(found, int) and not isinstance(found, bool) else (1, False)
