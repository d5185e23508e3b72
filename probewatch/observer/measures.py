"""All that the packets allow the fields of a lane's probes to be: rhythm, patience, beginnings, and what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from probewatch.model.measure import Measure
from probewatch.model.spec import PodSpec, ProbeType
from probewatch.model.timeline import DecisionKind
from probewatch.probes.asked import asked
from probewatch.probes.cadence import SECOND
from probewatch.probes.delays import Life, delay_measures
from probewatch.probes.patience import timeout_measure

from .lane import Step
from .target import Placed
from .weigh import Plan, Read, Scale, steps_of, weigh


def measures(
    placed: Placed, appeared_ns: int | None, hole_ns: int | None, seen_until_ns: int
) -> dict[int, tuple[Measure, ...]]:
    """Return for each worker of a lane what is left of each field.

    Args:
        placed: the lane, closed.
        appeared_ns: when its target's address first announced itself, where that was seen.
        hole_ns: when a time began that no file covers; what came after it is left out.
        seen_until_ns: where the capture ends.
    """
    declared: Plan = placed.declared or placed.lane.plan
    runs = [
        step.run
        for step in placed.lane.steps
        if not step.run.implied and (hole_ns is None or step.run.start.ns <= hole_ns)
    ]
    scale = Scale(placed.lane, runs, seen_until_ns)
    # A declared probe that nobody sends must not make the others look strange.
    sent = [worker for worker in range(len(declared)) if steps_of(scale.read(declared), worker)]
    plan = tuple(declared[worker] for worker in sent)
    if len(sent) < len(declared):
        scale = Scale(placed.lane, runs, seen_until_ns)
    best, rhythm = weigh(scale, plan, placed.pod)
    read = scale.read(best)
    out: dict[int, tuple[Measure, ...]] = {}
    begun = _delays(read, best, plan, placed.pod, appeared_ns)
    for place, worker in enumerate(sent):
        mine = [step.run for step in steps_of(read, place) if not step.run.implied]
        spec = declared[worker].spec
        timeout = timeout_measure(mine, spec.handler, seen_until_ns)
        out[worker] = (*asked(mine, spec.handler), *rhythm.get(place, ()), timeout, begun[place])
    return out


def _delays(read: Read, best: Plan, declared: Plan, pod: PodSpec | None, appeared_ns: int | None) -> dict[int, Measure]:
    """Measure initialDelaySeconds container by container; probes without attempts at a beginning have no measure."""
    out: dict[int, Measure] = {}
    specs = [planned.spec for planned in declared]
    for container in {planned.container for planned in best}:
        members = [worker for worker, planned in enumerate(best) if planned.container == container]
        gated = any(best[worker].spec.type is ProbeType.STARTUP for worker in members)
        lives = _lives(read, best, container, pod, appeared_ns)
        found = delay_measures(lives, specs, gated)
        for worker in members:
            out[worker] = found.get(worker) or Measure(
                field="initialDelaySeconds", number=True, why="no container of it begins in this capture"
            )
    return out


def _lives(read: Read, plan: Plan, container: int, pod: PodSpec | None, appeared_ns: int | None) -> list[Life]:
    """Return the instances of a container that begin in these steps."""
    lives: list[Life] = []
    life: Life | None = None
    if read.fresh:
        life = Life(None if appeared_ns is None else appeared_ns - SECOND, how="its address appeared")
        lives.append(life)
    killed: int | None = None
    for step in read.steps:
        reading = step.reading
        if reading is None or step.run.implied:
            continue
        if reading.reset == "kubelet":
            life = None
        if plan[reading.worker].container != container:
            continue
        if step.renewed:
            life = Life(None if killed is None else killed - SECOND, how="its predecessor was told to die")
            lives.append(life)
            killed = None
        if life is not None:
            life.firsts.setdefault(reading.worker, step.run)
        killed = _killed(step, killed)
    _declared_starts(lives, pod, container)
    return lives


def _killed(step: Step, before: int | None) -> int | None:
    decided = step.counted is not None and step.counted.decision is DecisionKind.RESTART
    return step.verdict.end_ns if decided and step.verdict is not None else before


def _declared_starts(lives: Sequence[Life], pod: PodSpec | None, container: int) -> None:
    """Give each life the start that the Pod's status declares for it, if any."""
    starts = sorted(start.started_ns for start in pod.containers[container].starts) if pod is not None else []
    for life in lives:
        first = min((run.start.ns for run in life.firsts.values()), default=None)
        before = [ns for ns in starts if first is not None and ns <= first]
        if before and (life.low_ns is None or before[-1] >= life.low_ns):
            life.low_ns = life.high_ns = before[-1]
            life.how = "startedAt"
