"""Whether a container whose liveness or startup probe was failing ended by itself, or was killed for it.

Theory of operation. A lane finds the end of a container that nobody killed far-fetched. But one that fails its probe often ends by
itself as well (it crashes, runs out of memory, exits on a fatal error), after fewer failures than its threshold. So where nothing
tells such an end from a kill, it is to cost no more than the kill that a lower threshold would make of it: else a threshold
would be excluded by a crash. What tells a kill is that the probe fell silent at a container that went on to answer; or that the
container was gone so soon after the failure that it would be a coincidence, and all the more where that happens time and again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from typing import Final, NamedTuple

from probewatch.decisions.pod import LATE_NS
from probewatch.decisions.turn import SUSPICIOUS
from probewatch.decisions.worker import Result
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind
from probewatch.model.units import SECOND
from probewatch.probes.costs import NEW_CONTAINER, NEW_CONTAINER_DYING, NEW_CONTAINER_SUSPICIOUS, POKED_NS

from .histories import Step

BY_ITSELF: Final = 1.0
"""A container whose probe fails ends by itself that much less often than it is killed; what did so once does it again."""
SOON: Final = 0.25
"""Within this share of a period after a failure a container hardly ends by itself, ..."""
SHOWN: Final = 3
"""... and so many times after the same number of failures it does not."""


class _End(NamedTuple):
    """An end that no decision explains."""

    at: int
    """Place of the step that shows the new container."""
    saved: float
    """What it costs more than a kill would."""
    soon: float
    """After the last failure, in periods."""
    worker: int
    failures: int


def ended(steps: Sequence[Step]) -> Iterator[tuple[int, float]]:
    """Yield the steps of a reading that show a new container which nothing killed, with what they cost too much."""
    found: list[_End] = []
    killed: set[int] = set()
    for index, step in enumerate(steps):
        if step.reading is None:
            continue
        number = step.before.plan[step.reading.worker].container
        if step.renewed and number in killed:
            killed.discard(number)
        elif step.renewed and step.reading.reset and (one := _end(steps, index)) is not None:
            found.append(one)
        if step.counted is not None and step.counted.decision is DecisionKind.RESTART:
            killed.add(number)
    alike = Counter((one.worker, one.failures) for one in found if one.soon < SOON)
    rare = BY_ITSELF
    for one in found:
        if one.soon < SOON and alike[one.worker, one.failures] >= SHOWN:
            continue
        spared = one.saved - min(one.saved, max(0.0, -log(one.soon)))
        yield one.at, max(0.0, spared - rare)
        rare = 0.0


def _end(steps: Sequence[Step], index: int) -> _End | None:
    """Return the end before a step, as the latest failure of a probe that could have caused it; None where there is none."""
    step = steps[index]
    assert step.reading is not None
    pod, number = step.before, step.before.plan[step.reading.worker].container
    usual = NEW_CONTAINER_SUSPICIOUS if pod.prediction(step.reading.worker).suspicious else NEW_CONTAINER
    saved = min(usual, step.reading.cost) - NEW_CONTAINER_DYING
    ends: list[_End] = []
    for worker, (planned, mine, ticker) in enumerate(zip(pod.plan, pod.workers, pod.tickers, strict=True)):
        failing = planned.container == number and planned.spec.type is not ProbeType.READINESS
        if not failing or mine.last_result is not Result.FAILURE or not mine.result_run:
            continue
        if ticker.busy_until_ns is None or ticker.last_start_ns is None:
            continue
        period_ns = planned.spec.period_s * SECOND
        due_ns = max(ticker.busy_until_ns, ticker.last_start_ns + period_ns) + LATE_NS
        if (pod.containers[number].alive_ns or 0) <= due_ns:
            gone_ns = _gone_ns(steps[: index + 1], number, ticker.busy_until_ns)
            soon = max(gone_ns - ticker.busy_until_ns, POKED_NS) / period_ns
            ends.append(_End(index, saved, soon, worker, mine.result_run))
    return min(ends, key=lambda one: one.soon) if ends and saved > 0 else None


def _gone_ns(steps: Sequence[Step], number: int, after_ns: int) -> int:
    """Return when a container showed first that it was gone, after a moment: by an attempt that it did not answer, or by its successor."""
    gone_ns = steps[-1].run.start.ns
    for step in reversed(steps):
        if step.run.start.ns <= after_ns:
            break
        mine = step.reading is not None and step.before.plan[step.reading.worker].container == number
        if mine and step.verdict is not None and step.verdict.cause in SUSPICIOUS:
            gone_ns = step.run.start.ns
    return gone_ns
