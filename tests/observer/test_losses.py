"""What the kernel lost while it was watched: what it leaves open, and what stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from probewatch.api import observer
from probewatch.capture import Reader
from probewatch.model.timeline import Cause, EventKind, Outcome, Timeline
from probewatch.model.units import SECOND
from probewatch.observer.losses import MOST_LOSSES, NEAR_NS, Losses


def watched(folder: Path, *losses: tuple[int, int]) -> Timeline:
    """Return what is made of a capture of which frames within these times after its first frame were lost."""
    known = observer(spec=folder / "pod.yaml")
    with Reader(str(folder / "capture.pcap"), 0) as reader:
        frames = list(reader)
    pending = [(frames[0].ns + begun, frames[0].ns + ended) for begun, ended in losses]
    for frame in frames:
        while pending and pending[0][1] < frame.ns:
            known.lost(*pending.pop(0))
        if not any(frames[0].ns + begun <= frame.ns <= frames[0].ns + ended for begun, ended in losses):
            known.feed(frame)
    return known.finish()


def test_attempts_in_a_loss_may_have_been_made(captures: Path) -> None:
    """States behind a loss that an attempt was due in are read anew from what follows; the hole is an event."""
    folder = captures / "http-flap-s1"
    whole = watched(folder).probes[0]
    assert [d.attempt for d in whole.decisions][1] == 8  # the third failure, which took Ready away
    begun, ended = whole.attempts[6].start.ns - SECOND // 4, whole.attempts[6].start.ns + SECOND // 4
    origin = _origin(folder)
    found = watched(folder, (begun - origin, ended - origin))
    (gap,) = [event for event in found.events if event.kind is EventKind.CAPTURE_GAP]
    assert (gap.ns, gap.end_ns) == (begun, ended)
    assert gap.evidence == "the kernel dropped frames, or the clock was set, within 0.50 s"
    probe = found.probes[0]
    assert len(probe.attempts) == len(whole.attempts) - 1
    behind = [attempt for attempt in probe.attempts if attempt.start.ns > ended]
    assert behind[0].streak == 3  # (counted on, it would be the second)
    assert [(d.ns, d.kind, d.confirmed) for d in probe.decisions][1:] == [(d.ns, d.kind, d.confirmed) for d in whole.decisions][1:]


def test_an_answer_that_may_have_been_lost(captures: Path) -> None:
    """An attempt whose answer fell into a loss is inconclusive, not a failure; those before and after stand."""
    folder = captures / "http-flap-s1"
    whole = watched(folder).probes[0]
    origin, hit = _origin(folder), whole.attempts[2]
    begun = hit.legs[0].connection.start.ns + 1_000 - origin
    probe = watched(folder, (begun, begun + SECOND // 2)).probes[0]
    assert len(probe.attempts) == len(whole.attempts)
    assert (probe.attempts[2].outcome, probe.attempts[2].cause) == (Outcome.INCONCLUSIVE, Cause.CUT)
    assert [a.outcome for a in probe.attempts[3:]] == [a.outcome for a in whole.attempts[3:]]


def test_a_loss_between_attempts_changes_nothing(captures: Path) -> None:
    """Where no attempt was due, attempts, streaks and decisions are what they are without it."""
    folder = captures / "http-flap-s1"
    whole, origin = watched(folder).probes[0], _origin(folder)
    begun = whole.attempts[4].start.ns + SECOND // 4 - origin
    probe = watched(folder, (begun, begun + SECOND // 4)).probes[0]
    assert [(a.n, a.outcome, a.streak) for a in probe.attempts] == [(a.n, a.outcome, a.streak) for a in whole.attempts]
    assert [(d.kind, d.attempt) for d in probe.decisions] == [(d.kind, d.attempt) for d in whole.decisions]


@pytest.mark.parametrize("apart", [NEAR_NS // 2, 2 * NEAR_NS])
def test_losses_are_bounded(apart: int) -> None:
    """However many there are, few are kept: near ones are one, and the last kept goes on."""
    losses = Losses()
    for number in range(2 * MOST_LOSSES):
        losses.add((number * apart, number * apart + 1))
    assert 1 <= len(losses.all) <= MOST_LOSSES
    assert losses.all[-1][1] == (2 * MOST_LOSSES - 1) * apart + 1


def _origin(folder: Path) -> int:
    with Reader(str(folder / "capture.pcap"), 0) as reader:
        return next(iter(reader)).ns
