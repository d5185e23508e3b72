"""What is said of a workload and its revisions: one state, one sentence.

The newest revision decides, by the Pods that were probed: has it turned Ready, and does an older one serve beside it?
Terminating and silent Pods do not count for serving, whatever their last probe said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.rollout import PodState, Revision, RolloutState
from probewatch.probes.cadence import SECOND

NAMED: Final = 3
"""Results of failed attempts that a sentence names."""
_AT_ONCE_NS: Final = 10_000_000
"""Ready within this of the first probe is Ready from it on."""
_STATES: Final = {
    PodState.READY: "Ready",
    PodState.NOT_READY: "NotReady",
    PodState.TERMINATING: "terminating",
    PodState.SILENT: "no longer probed",
    PodState.UNKNOWN: "state not visible in packets",
}


def judge_rollout(seen: Sequence[Revision], *, enough: bool) -> tuple[RolloutState, str]:
    """Say how a workload stands, by the revisions that were probed, the oldest first.

    `enough`: a probe of the newest failed as often as its failureThreshold says.
    """
    new, old = seen[-1], seen[:-1]
    serving = [one for one in old if one.count(PodState.READY)]
    beside = "".join(f"; {named(one)} keeps serving ({ready(one)})" for one in serving)
    up, down = new.count(PodState.READY), new.count(PodState.NOT_READY)
    if not up and not down:
        return RolloutState.UNKNOWN, "; ".join(f"{named(one)}: {_stands(one)}" for one in reversed(seen))
    if not up and new.first_ready_ns is None:
        never = f"{named(new)} {'never turned Ready' if enough else 'is not Ready yet'}: {_why(new)}"
        if serving:
            return RolloutState.BLOCKED if enough else RolloutState.PROGRESSING, never + beside
        lone = "; no older one that was probed is Ready" if old else ""
        return RolloutState.UNAVAILABLE if enough else RolloutState.PROGRESSING, f"{never} ({ready(new)}){lone}"
    if down:
        starting = not enough and any(
            pod.state is PodState.NOT_READY and pod.first_ready_ns is None for pod in new.pods
        )
        state = RolloutState.DEGRADED if up or serving else RolloutState.UNAVAILABLE
        return RolloutState.PROGRESSING if starting else state, f"{named(new)}: {ready(new)}: {_why(new)}{beside}"
    if serving:
        return RolloutState.PROGRESSING, f"{_turned(new)} ({ready(new)}){beside}"
    if old:
        return RolloutState.COMPLETE, f"{_turned(new)} ({ready(new)}); {'; '.join(_left(one, new) for one in old)}"
    return RolloutState.STEADY, f"{named(new)}: {ready(new)}"


def named(revision: Revision) -> str:
    """Return `revision 7d9f6c5b44`."""
    return f"revision {revision.revision}" if revision.revision else "its only revision"


def ready(revision: Revision) -> str:
    """Return `2 of 3 Ready`, of the Pods that were probed."""
    return f"{revision.count(PodState.READY)} of {revision.seen} Ready"


def _stands(revision: Revision) -> str:
    return ", ".join(f"{revision.count(state)} {word}" for state, word in _STATES.items() if revision.count(state))


def _why(revision: Revision) -> str:
    """Say what fails: `readiness fails with 503`."""
    if not revision.failures:
        return "no failure of a probe tells why"
    first = revision.failures[0]
    if len(revision.failures) == 1:
        return f"{first.type} fails{' with' if first.result.isdecimal() else ':'} {first.result}"
    said = ", ".join(f"{each.result} ({each.attempts})" for each in revision.failures[:NAMED])
    return f"{first.type} fails: {said}{', ...' if len(revision.failures) > NAMED else ''}"


def _turned(revision: Revision) -> str:
    """Say since when the newest revision is Ready."""
    first, since = revision.first_probe_ns, revision.first_ready_ns
    if first is None or since is None or since - first < _AT_ONCE_NS:
        return f"{named(revision)} is Ready since its first probe"
    return f"{named(revision)} turned Ready {(since - first) / SECOND:.1f} s after its first probe"


def _left(revision: Revision, new: Revision) -> str:
    """Say how an older revision made way."""
    last = max((pod.last_ready_ns for pod in revision.pods if pod.last_ready_ns is not None), default=None)
    now = _stands(revision)
    if last is None or new.first_ready_ns is None:
        return f"{named(revision)}: {now}"
    if last >= new.first_ready_ns:
        return f"{named(revision)} kept serving until then ({now})"
    return f"{named(revision)} was last Ready {(new.first_ready_ns - last) / SECOND:.1f} s before that ({now})"
