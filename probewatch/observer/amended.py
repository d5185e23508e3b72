"""Where a declared plan is not what runs here: the numbers with which the attempts read as a kubelet's, and words for it.

A manifest that is stale, or another one's, would have containers begin whenever a probe acts as another number demands. `verify`
says which numbers the wire excludes; here decisions are only kept from resting on one that does not fit at all.

Limitations: successThreshold shows too seldom, and timeoutSeconds and initialDelaySeconds make no decision. A startup probe that
never succeeds leaves no trace of what it decides but the pauses of its container, which may be short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.spec import ProbeType
from probewatch.probes.runs import Run

from .histories import Step
from .lane import Lane
from .tying import other_period
from .typed import thresholds
from .weigh import Scale, steps_of

SAVES: Final = 12.0
"""What another threshold must save: three times what `verify` excludes a number for, since all decisions are replayed with it."""
INSTEAD: Final = "this spec is not the one that runs here; decisions are replayed with"
WORDS: Final = {
    ProbeType.READINESS: "it loses Ready after {} in a row",
    ProbeType.LIVENESS: "its container is restarted after {} in a row",
}


def other_periods(plan: Sequence[Planned], declared: int, steps: Sequence[Step]) -> tuple[Planned, ...]:
    """Return a plan with the periods that attempts keep, where they contradict those of its first `declared` workers."""
    out = list(plan)
    for worker, planned in enumerate(plan[:declared]):
        period = other_period(worker, planned.spec, steps)
        if period is not None:
            out[worker] = Planned(replace(planned.spec, period_s=period), planned.container)
    return tuple(out)


def other_thresholds(lane: Lane, plan: tuple[Planned, ...], declared: int, runs: Sequence[Run]) -> tuple[Planned, ...]:
    """Return a plan with the failureThresholds of its first `declared` workers with which all reads far better in a lane like this."""
    scale = Scale(lane, runs, None)
    read = scale.read(plan)
    for worker, planned in enumerate(plan[:declared]):
        if planned.spec.type not in WORDS or read.cost <= SAVES:
            continue
        for other in thresholds(planned.spec, planned.spec.failure_threshold, steps_of(read, worker)):
            tried = (*plan[:worker], Planned(other, planned.container), *plan[worker + 1 :])
            again = scale.read(tried)
            if again.cost + SAVES < read.cost:
                read, plan = again, tried
    return plan


def differences(declared: Sequence[Planned], plan: Sequence[Planned]) -> list[str]:
    """Say in what a plan differs from the declared one."""
    out = []
    for said, seen in zip((one.spec for one in declared), (one.spec for one in plan), strict=True):
        if said.period_s != seen.period_s:
            out.append(
                f"{said.type}: declared every {said.period_s} s, but probed every {seen.period_s} s: {INSTEAD} {seen.period_s} s"
            )
        if said.failure_threshold != seen.failure_threshold:
            number = seen.failure_threshold
            what = WORDS[said.type].format(f"{number} failure" if number == 1 else f"{number} failures")
            out.append(
                f"{said.type}: declared failureThreshold {said.failure_threshold}, but {what}: {INSTEAD} {number}"
            )
    return out
