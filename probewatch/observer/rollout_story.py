"""What is said of a workload and its revisions: one state, one sentence.

The newest revision decides, by the Pods that were probed: has it turned Ready, and does an older one serve beside it?
Terminating and silent Pods do not count for serving, whatever their last probe said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.rollout import PodState, Revision, RevisionPod, RolloutState
from probewatch.model.units import MS, SECOND

NAMED: Final = 3
"""Results of failed attempts that a sentence names."""
_AT_ONCE_NS: Final = 10 * MS
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


def judge_unseen(new: Revision, seen: Sequence[Revision]) -> tuple[RolloutState, str]:
    """Say how a workload stands none of whose newest revision's Pods was probed, by the older ones that were, the oldest first."""
    serving = [one for one in seen if one.count(PodState.READY)]
    rest = "; ".join(
        f"{named(one)} keeps serving ({ready(one)})" if one in serving else f"{named(one)}: {_stands(one)}"
        for one in reversed(seen)
    )
    text = f"{named(new)}: {hidden_of(new)}; {rest}"
    return RolloutState.PROGRESSING if serving else RolloutState.UNKNOWN, text


def hidden_of(revision: Revision) -> str:
    """Return `1 pod not seen in this capture (waiting: ImagePullBackOff, so it is never probed)`."""
    many = len(revision.hidden)
    return f"{many} {'pod' if many == 1 else 'pods'} not seen in this capture{_waits(revision.hidden, explain=True)}"


def hidden(revisions: Sequence[Revision]) -> str:
    """Return `; 2 more pods are not seen in this capture`, and what they wait for; empty where all were seen."""
    pods = [pod for revision in revisions for pod in revision.hidden]
    if not pods:
        return ""
    return f"; {len(pods)} more {'pod is' if len(pods) == 1 else 'pods are'} not seen in this capture{_waits(pods)}"


def _waits(pods: Sequence[RevisionPod], *, explain: bool = False) -> str:
    """Return ` (waiting: ImagePullBackOff, so it is never probed)`, ` (2 of them waiting: ...)`; empty where none waits."""
    reasons = list(dict.fromkeys(pod.waiting for pod in pods if pod.waiting))
    waiting = sum(bool(pod.waiting) for pod in pods)
    if not waiting:
        return ""
    some = f"{waiting} of them " if waiting < len(pods) else ""
    so = f", so {'it is' if len(pods) == 1 else 'they are'} never probed" if explain and not some else ""
    more = ", ..." if len(reasons) > NAMED else ""
    return f" ({some}waiting: {', '.join(reasons[:NAMED])}{more}{so})"


def named(revision: Revision) -> str:
    """Return `revision 7d9f6c5b44`."""
    return f"revision {revision.revision}" if revision.revision else "its only revision"


def ready(revision: Revision) -> str:
    """Return `2 of 3 Ready`, of the Pods that were probed."""
    return f"{revision.count(PodState.READY)} of {revision.seen} Ready"


def _stands(revision: Revision) -> str:
    said = [f"{revision.count(state)} {word}" for state, word in _STATES.items() if revision.count(state)]
    gone = sum(pod.gone and bool(pod.probes) for pod in revision.pods)
    return ", ".join(said) + (
        f", {gone} of them gone from a later dump" if gone > 1 else ", gone from a later dump" * gone
    )


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
    if first is None or since is None or _at_once(revision):
        return f"{named(revision)} is Ready since its first probe"
    return f"{named(revision)} turned Ready {(since - first) / SECOND:.1f} s after its first probe"


def _at_once(revision: Revision) -> bool:
    first, since = revision.first_probe_ns, revision.first_ready_ns
    return first is not None and since is not None and since - first < _AT_ONCE_NS


def _left(revision: Revision, new: Revision) -> str:
    """Say how an older revision made way."""
    last = max((pod.last_ready_ns for pod in revision.pods if pod.last_ready_ns is not None), default=None)
    now = _stands(revision)
    if last is None or new.first_ready_ns is None:
        return f"{named(revision)}: {now}"
    if last >= new.first_ready_ns:
        return f"{named(revision)} {'served beside it' if _at_once(new) else 'kept serving until then'} ({now})"
    return f"{named(revision)} was last Ready {(new.first_ready_ns - last) / SECOND:.1f} s before that ({now})"
