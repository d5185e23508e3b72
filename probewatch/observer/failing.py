"""Probes that fail where a capture begins: what went before that is not in it, and may have counted."""

from __future__ import annotations

from collections.abc import Sequence

from probewatch.model.timeline import Outcome
from probewatch.probes.runs import Run

from .histories import Step


def begins_failing(steps: Sequence[Step]) -> bool:
    """Tell whether one of the probes fails at its first attempt: what went before it then matters, and is not in the capture."""
    met: set[int] = set()
    for step in steps:
        if step.reading is None or step.reading.worker in met or step.verdict is None:
            continue
        met.add(step.reading.worker)
        if step.verdict.outcome is not Outcome.SUCCESS:
            return True
    return False


def after_failing(steps: Sequence[Step], runs: Sequence[Run]) -> list[Run]:
    """Return the runs from where each of the probes had succeeded; none where one of them never does."""
    failing = {step.reading.worker for step in steps if step.reading is not None}
    for step in steps:
        if step.reading is not None and step.verdict is not None and step.verdict.outcome is Outcome.SUCCESS:
            failing.discard(step.reading.worker)
            if not failing:
                return [run for run in runs if run.start.ns >= step.run.start.ns]
    return []
