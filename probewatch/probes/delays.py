"""When a container's probes began, against initialDelaySeconds.

A worker sends nothing until initialDelaySeconds after its container's startedAt, which the status keeps in whole
seconds, and looks at that only when it ticks or is poked (worker.go doProbe). So with S the
truncated start, d a probe's delay, P its period and f its first attempt: S + d <= f, and f <= S + d + P but for what
it takes the kubelet to notice the container. Where S is known, each delay lies in a window a little wider than the
period; where it is not, the delays of one container bound each other.

Limitations: a probe that waits for a startup probe begins late for another reason, so only its lower bound on f counts;
one that is not seen at all bounds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from probewatch.model.finding import Evidence
from probewatch.model.measure import Measure
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.units import SECOND

from .runs import Run, frames_of

NOTICED_NS: Final = 3 * SECOND
"""A tick finds its container running this late at worst: up to a second is cut off startedAt, and the kubelet lists containers
once a second and writes their status after that (pleg/generic.go, status_manager.go)."""


@dataclass(slots=True)
class Life:
    """One instance of a container whose beginning the capture shows."""

    low_ns: int | None
    """It did not start before this (the status keeps whole seconds: it may say up to one less)."""
    high_ns: int | None = None
    """It had started by then, as somebody declared."""
    how: str = ""
    """Where the bound on its start comes from, as a clause."""
    firsts: dict[int, Run] = field(default_factory=dict)
    """First attempt of each worker."""
    earliest: dict[int, int] = field(default_factory=dict)
    """When its first attempt came at the earliest, where one that was read as its predecessor's may have been it."""
    shown: bool = True
    """Something else than its attempts shows its beginning."""

    def soonest(self, worker: int) -> int:
        """Return the earliest moment that may have been a worker's first attempt: what it comes too late for, that is late for."""
        return min(self.earliest.get(worker, self.firsts[worker].start.ns), self.firsts[worker].start.ns)


def delay_measures(
    lives: Sequence[Life], specs: Sequence[ProbeSpec], gated: bool, *, joint: bool = True
) -> dict[int, Measure]:
    """Return what the beginnings of one container allow each worker's initialDelaySeconds to be.

    Args:
        lives: its instances that begin in the capture.
        specs: the declared probes, by worker.
        gated: whether a startup probe holds the others back.
        joint: whether delays may bound each other: where another number is not as declared, that is the reason.
    """
    out: dict[int, Measure] = {}
    for worker in sorted({worker for life in lives for worker in life.firsts}):
        out[worker] = _measure(lives, worker, specs, gated, joint)
    return out


def _measure(lives: Sequence[Life], worker: int, specs: Sequence[ProbeSpec], gated: bool, joint: bool) -> Measure:
    spec = specs[worker]
    low, high, why = 0, None, ""
    evidence: list[Evidence] = []
    clash: tuple[str, ...] = ()
    for life in lives:
        run = life.firsts.get(worker)
        if run is None:
            continue
        first = run.start.ns
        waits = gated and spec.type is not ProbeType.STARTUP
        if life.low_ns is not None and (high is None or (first - life.low_ns) // SECOND < high):
            high = max(0, (first - life.low_ns) // SECOND)
            evidence, why = (
                [frames_of(run)],
                f"its first attempt came {(first - life.low_ns) / SECOND:.1f} s after {life.how}",
            )
        if life.high_ns is not None and not waits:
            low = max(low, -((life.high_ns + spec.period_s * SECOND + NOTICED_NS - life.soonest(worker)) // SECOND))
        found = _clash(life, worker, specs, gated) if joint else ()
        if found and not clash:
            clash = found
            evidence = evidence or [frames_of(run)]
    if high is not None and low > high:
        low = high  # a start in whole seconds and one that was only bounded disagree by less than a second
    why = why or "packets do not tell when exactly the container started (status.containerStatuses or --cluster would)"
    return Measure(
        field="initialDelaySeconds",
        number=True,
        low=low or None if high != low else low,
        high=high,
        why=why,
        rivals=clash,
        evidence=tuple(evidence),
    )


def _clash(life: Life, worker: int, specs: Sequence[ProbeSpec], gated: bool) -> tuple[str, ...]:
    """Return the other probes of the container whose first attempts cannot go with this one's, were all as declared.

    Where nothing else than the attempts shows the beginning, they may as well be the first ones after it.
    """
    out: list[str] = []
    if not life.shown:
        return ()
    mine = _window(life, worker, specs, gated)
    for other in life.firsts:
        if other != worker:
            theirs = _window(life, other, specs, gated)
            if mine[1] < theirs[0] or theirs[1] < mine[0]:
                out.append(specs[other].type.value)
    return tuple(out)


def _window(life: Life, worker: int, specs: Sequence[ProbeSpec], gated: bool) -> tuple[float, float]:
    """Return between which moments the container started, as one probe's declared delay and first attempt say."""
    spec, first = specs[worker], life.firsts[worker].start.ns
    latest = first - spec.initial_delay_s * SECOND
    if gated and spec.type is not ProbeType.STARTUP:
        return float("-inf"), latest
    soonest = life.soonest(worker) - spec.initial_delay_s * SECOND
    return soonest - spec.period_s * SECOND - NOTICED_NS, latest + SECOND
