"""All that the packets allow the fields of a lane's probes to be: rhythm, patience, beginnings, and what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from probewatch.decisions.pod import Planned, Pod
from probewatch.decisions.turn import SUSPICIOUS
from probewatch.model.connection import Connection
from probewatch.model.measure import Measure
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome
from probewatch.model.units import SECOND
from probewatch.probes.asked import asked
from probewatch.probes.delays import Life, delay_measures
from probewatch.probes.inference import guess
from probewatch.probes.patience import timeout_measure
from probewatch.probes.runs import Run, as_known, fits

from .asking import asks, connects
from .failing import after_failing, begins_failing
from .histories import Step
from .lane import Lane
from .target import Placed
from .weigh import SURE, Plan, Read, Scale, steps_of, value_of, weigh

MISSING: Final = "attempts are missing where it would have shown"
"""Why a threshold stays open that only what is missing would contradict."""
ALIKE: Final = 2.0
"""Numbers that explain attempts so many times as well as others speak against these, also where a kubelet got no CPU."""
BEGUN_BEFORE: Final = "it fails where the capture begins, and what went before that is not in it"
"""Why a number stays open that only the failures at the beginning of the capture would contradict."""
BEHAVIOUR: Final = frozenset(
    {"type", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold", "initialDelaySeconds"}
)
"""Fields that what a kubelet does shows, and not what it asks."""
BORNE_OUT: Final = 2.0
"""A declared timeout that makes the rhythm cheaper by this is taken for the one that runs."""


def measures(
    placed: Placed,
    appeared_ns: int | None,
    hole_ns: int | None,
    seen_until_ns: int,
    latest: Callable[[Connection], Connection],
) -> dict[int, tuple[Measure, ...]]:
    """Return for each worker of a lane what is left of each field.

    Args:
        placed: the lane, closed.
        appeared_ns: when its target's address first announced itself, where that was seen.
        hole_ns: when a time began that no file covers; what came after it is left out.
        seen_until_ns: where the capture ends.
        latest: what is known by now of a connection.
    """
    held = (as_known(step.run, latest) for step in placed.lane.steps if not step.run.implied)
    runs = [run for run in chain(placed.weighed, held) if hole_ns is None or run.start.ns <= hole_ns]
    seen_until_ns = seen_until_ns if hole_ns is None else min(seen_until_ns, hole_ns)
    read, out = _measured(placed, placed.lane, runs, appeared_ns, seen_until_ns)
    plan = _declared(placed)
    denied = {
        worker: [m for m in fields if m.field in BEHAVIOUR and _contradicts(m, plan[worker].spec)]
        for worker, fields in out.items()
        if worker < len(plan)
    }
    if placed.pod is None or placed.signs or not any(denied.values()) or not begins_failing(read.steps):
        return out
    rest = after_failing(read.steps, runs)
    again: dict[int, tuple[Measure, ...]] = {}
    if rest:
        lane = placed.lane.again(placed.lane.plan, from_ns=rest[0].start.ns)
        _, again = _measured(placed, lane, rest, None, seen_until_ns)
    for worker, fields in denied.items():
        for one in fields:
            other = next((m for m in again.get(worker, ()) if m.field == one.field), None)
            other = other or Measure(field=one.field, number=one.number)
            if not _contradicts(other, plan[worker].spec):
                open_ = replace(other, why=other.why or BEGUN_BEFORE)
                out[worker] = tuple(open_ if m is one else m for m in out[worker])
    return out


def _declared(placed: Placed) -> Plan:
    """Return the probes that are declared for a lane; where none are, those that it was read with."""
    declared: Plan = placed.declared or placed.lane.plan
    return declared[: placed.first_guessed] if placed.pod is not None else declared


def _contradicts(measure: Measure, spec: ProbeSpec) -> bool:
    """Tell whether a measure excludes the number, or the type, of a spec; or says that its delay clashes with another's."""
    clash = measure.field == "initialDelaySeconds" and bool(measure.rivals)
    return clash or not measure.allows(value_of(spec, measure.field))


def _measured(
    placed: Placed, lane: Lane, runs: Sequence[Run], appeared_ns: int | None, seen_until_ns: int
) -> tuple[Read, dict[int, tuple[Measure, ...]]]:
    """Measure these runs of a lane; return how they read under the numbers that fit best as well."""
    declared = _declared(placed)
    beside: Plan = (placed.declared or placed.lane.plan)[len(declared) :]
    # Whose each attempt is shows best where no timeout, declared too long, keeps a worker busy when it no longer was;
    # but the dials of one gRPC attempt belong together only while time is left.
    impatient = tuple(Planned(replace(planned.spec, timeout_s=1), planned.container) for planned in declared)
    first = Scale(lane, runs, seen_until_ns).read(impatient)
    joined = False
    if any(planned.spec.handler is Handler.GRPC for planned in declared):
        patient = tuple(
            planned if planned.spec.handler is Handler.GRPC else one
            for planned, one in zip(declared, impatient, strict=True)
        )
        other = Scale(lane, runs, seen_until_ns).read(patient)
        joined = other.cost < first.cost
        first = other if joined else first
    sent = [worker for worker in range(len(declared)) if steps_of(first, worker)]
    # Numbers are weighed with the timeouts that the packets show, without the probes that nobody sends, and with those
    # that nobody declared: else what is wrong with one probe would make its neighbours look strange.
    others = beside + _undeclared(first, (*declared, *beside), sent)
    ports = {planned.spec.port for planned in others}
    sent = [worker for worker in sent if declared[worker].spec.port not in ports or _asks(first, worker, declared)]
    timeouts = {worker: _timeout(first, worker, declared, seen_until_ns) for worker in sent}
    plan = tuple(_patient(declared[worker], timeouts[worker], joined) for worker in sent) + others
    waiting = tuple(_waiting(declared[worker], timeouts[worker]) for worker in sent) + others
    scale = Scale(lane, runs, seen_until_ns)
    # A timeout that is longer than what shows of it is believed where the rhythm bears it out; and a delay that no
    # container kept is not to be made up for by other numbers.
    plan, scale = scale.rather(waiting, plan, BORNE_OUT)
    undelayed = tuple(Planned(replace(planned.spec, initial_delay_s=0), planned.container) for planned in plan)
    plan, scale = scale.rather(undelayed, plan, SURE)
    best, rhythm = weigh(scale, plan, placed.pod)
    rhythm = _over_holes(scale, best, plan, placed, rhythm)
    rhythm = _starved(scale.read(best), scale.read(plan), plan, rhythm)
    read = scale.read(best)
    least = {place: _least(fields) for place, fields in rhythm.items()}
    begun = _delays(read, best, plan, placed, appeared_ns, least, known=len(sent))
    out: dict[int, tuple[Measure, ...]] = {}
    for place, worker in enumerate(sent):
        mine = [step.run for step in steps_of(read, place) if not step.run.implied]
        if mine:
            spec = declared[worker].spec
            timeout = _timeout(read, place, plan, seen_until_ns)
            out[worker] = (*asked(mine, spec.handler), *rhythm.get(place, ()), timeout, begun[place])
    for number, planned in enumerate(beside):  # (of what nobody declares only what it asks is held against anything)
        mine = [step.run for step in steps_of(read, len(sent) + number) if not step.run.implied]
        if mine:
            out[len(declared) + number] = tuple(asked(mine, planned.spec.handler))
    return read, out


def _over_holes(
    scale: Scale, best: Plan, plan: Plan, placed: Placed, rhythm: dict[int, tuple[Measure, ...]]
) -> dict[int, tuple[Measure, ...]]:
    """Take back what speaks against a threshold by attempts that are missing: those may have counted, or been what followed.

    What still speaks against it where each stretch without such a hole is read by itself stays.
    """
    denied = [(place, m.field) for place, fields in rhythm.items() for m in fields if _denies(m, plan[place].spec)]
    apart = scale.apart(best) if denied else None
    if apart is None:
        return rhythm
    _, again = weigh(apart, plan, placed.pod)
    out = dict(rhythm)
    for place, field in denied:
        other = next((m for m in again.get(place, ()) if m.field == field), None)
        if other is not None and not _denies(other, plan[place].spec):
            open_ = replace(other, why=other.why or MISSING)
            out[place] = tuple(open_ if m.field == field else m for m in out[place])
    return out


def _starved(
    best: Read, declared: Read, plan: Plan, rhythm: dict[int, tuple[Measure, ...]]
) -> dict[int, tuple[Measure, ...]]:
    """Take back what speaks against declared numbers where a kubelet without CPU explains the attempts about as well as others do.

    It is far-fetched each time, so any numbers that happen to meet late ticks are cheaper; those that run there are far cheaper.
    """
    late = sum(step.reading is not None and step.reading.stopped for step in declared.steps)
    if not late or declared.cost > ALIKE * best.cost:
        return rhythm
    why = f"{late} attempt{'s' * (late > 1)} ran late, as of a kubelet that gets no CPU: their times show no numbers"
    return {
        place: tuple(
            Measure(field=m.field, number=m.number, why=why) if not m.allows(value_of(plan[place].spec, m.field)) else m
            for m in fields
        )
        for place, fields in rhythm.items()
    }


def _denies(measure: Measure, spec: ProbeSpec) -> bool:
    """Tell whether a measure is one of a threshold, and excludes the one of a spec."""
    return measure.field in ("failureThreshold", "successThreshold") and not measure.allows(
        value_of(spec, measure.field)
    )


def _least(fields: Sequence[Measure]) -> int:
    """Return how many failures a decision takes at least, as far as the packets show."""
    return next((m.low for m in fields if m.field == "failureThreshold" and m.low is not None), 1)


def _asks(read: Read, worker: int, declared: Plan) -> bool:
    """Tell whether an attempt of a worker asked what it should: mute ones may as well be an undeclared neighbour's."""
    handler = declared[worker].spec.handler
    runs = [step.run for step in steps_of(read, worker)]
    return any(m.field == "handler" and handler.value in m.words for m in asked(runs, handler))


def _timeout(read: Read, worker: int, declared: Plan, seen_until_ns: int) -> Measure:
    mine = [step.run for step in steps_of(read, worker) if not step.run.implied]
    port = declared[worker].spec.port
    alone = sum(planned.spec.port == port for planned in declared) == 1
    return timeout_measure(mine, declared[worker].spec.handler, seen_until_ns, alone=alone)


def _patient(planned: Planned, timeout: Measure, joined: bool) -> Planned:
    """Return a probe with the least timeout that the packets allow, so that what is measured does not depend on the declared one.

    Where the dials of gRPC attempts were joined by the declared timeout (`joined`), it is needed for that.
    """
    seconds = timeout.low or 1
    if joined and planned.spec.handler is Handler.GRPC:
        seconds = max(seconds, min(planned.spec.timeout_s, timeout.high or planned.spec.timeout_s))
    return Planned(replace(planned.spec, timeout_s=seconds), planned.container)


def _waiting(planned: Planned, timeout: Measure) -> Planned:
    """Return a probe with its declared timeout, as far as the packets allow it."""
    seconds = max(timeout.low or 1, min(planned.spec.timeout_s, timeout.high or planned.spec.timeout_s))
    return Planned(replace(planned.spec, timeout_s=seconds), planned.container)


def _undeclared(read: Read, declared: Plan, sent: Sequence[int]) -> Plan:
    """Return what the runs that fit no declared probe suggest, as probes of the first container."""
    strangers = [
        step.run
        for step in read.steps
        if step.reading is None and all(fits(step.run, planned.spec) is None for planned in declared)
    ]
    asking = [run for run in strangers if asks(run)]
    container = declared[sent[0]].container if sent else 0
    return tuple(Planned(one.spec, container) for one in guess([*asking, *connects(strangers)])) if asking else ()


def _delays(
    read: Read,
    best: Plan,
    plan: Plan,
    placed: Placed,
    appeared_ns: int | None,
    least: Mapping[int, int],
    *,
    known: int,
) -> dict[int, Measure]:
    """Measure initialDelaySeconds container by container, of the first `known` workers: the others have none declared."""
    out: dict[int, Measure] = {}
    specs = [planned.spec for planned in best]
    for container in {planned.container for planned in best}:
        members = [worker for worker, planned in enumerate(best[:known]) if planned.container == container]
        gated = any(best[worker].spec.type is ProbeType.STARTUP for worker in members) or _starts(placed.pod, container)
        lives = _lives(read, best, container, placed, appeared_ns, least, known)
        as_declared = all(best[worker].spec == plan[worker].spec for worker in members)
        found = delay_measures(lives, specs, gated, joint=as_declared)
        for worker in members:
            out[worker] = found.get(worker) or Measure(
                field="initialDelaySeconds", number=True, why="no container of it begins in this capture"
            )
    return out


def _starts(pod: PodSpec | None, container: int) -> bool:
    """Tell whether a Pod declares a startup probe of a container, if only one that sends nothing here (exec, another host)."""
    return pod is not None and any(spec.type is ProbeType.STARTUP for spec in pod.containers[container].probes)


def _lives(
    read: Read,
    plan: Plan,
    container: int,
    placed: Placed,
    appeared_ns: int | None,
    least: Mapping[int, int],
    known: int,
) -> list[Life]:
    """Return the instances of a container that begin in these steps."""
    failed: dict[int, list[int]] = {}
    starts: dict[int, list[int]] = {}
    lives: list[Life] = []
    life: Life | None = None
    if read.fresh:
        low_ns = None if appeared_ns is None else appeared_ns - SECOND
        life = Life(low_ns, how="its address appeared", shown=low_ns is not None or bool(placed.signs))
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
            life = Life(
                None if killed is None else killed - SECOND,
                how="its predecessor was told to stop",
                shown=killed is not None,
                earliest=_after(killed, starts),
            )
            lives.append(life)
            killed = None
        starts.setdefault(reading.worker, []).append(step.run.start.ns)
        if life is not None and reading.worker < known and reading.reset != "herald":
            life.firsts.setdefault(reading.worker, step.run)
        killed = _killed(step, killed, failed.setdefault(reading.worker, []), least.get(reading.worker, 1))
    _declared_starts(lives, placed.pod, container, read.begin_ns)
    return lives


def _after(killed: int | None, starts: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Return each worker's first attempt since its container was killed, whoever it was read for; of a crash nothing is known."""
    since = {worker: [ns for ns in row if killed is None or ns >= killed] for worker, row in starts.items()}
    return {worker: row[0] for worker, row in since.items() if row}


def _killed(step: Step, before: int | None, failed: list[int], least: int) -> int | None:
    """Return the earliest moment at which a container can have ended: when `least` failures in a row were seen.

    `failed` are the ends of the worker's failures in a row, kept up to date here; where one looks as if the container had
    gone by itself before it, when that was last known to run.
    """
    if step.verdict is None or step.verdict.outcome is Outcome.DISCARDED:
        return before
    if step.verdict.outcome is not Outcome.SUCCESS:
        alive_ns = None if step.reading is None else _alive_ns(step.before, step.reading.worker)
        gone = step.verdict.cause in SUSPICIOUS and alive_ns is not None
        failed.append(alive_ns if gone and alive_ns is not None else step.verdict.end_ns)
    else:
        failed.clear()
    if step.counted is None or step.counted.decision is not DecisionKind.RESTART or not failed:
        return before
    earliest = failed[min(least, len(failed)) - 1]
    failed.clear()
    return earliest


def _alive_ns(pod: Pod, worker: int) -> int | None:
    return pod.containers[pod.plan[worker].container].alive_ns


def _declared_starts(lives: Sequence[Life], pod: PodSpec | None, container: int, begin_ns: int) -> None:
    """Give each life the start that the Pod's status declares for it, if any."""
    starts = sorted(start.started_ns for start in pod.containers[container].starts) if pod is not None else []
    for life in lives:
        first = min((run.start.ns for run in life.firsts.values()), default=None)
        before = [ns for ns in starts if first is not None and ns <= first]
        # One that lies in the capture is the first instance's there; after an appearance or a death it is the next one's.
        seen = life is lives[0] and life.low_ns is None and bool(before) and before[-1] >= begin_ns
        if before and (seen or (life.low_ns is not None and before[-1] >= life.low_ns)):
            life.low_ns = life.high_ns = before[-1]
            life.how = "startedAt"
        elif before and life.low_ns is None:
            # It may be an older instance's: the status may have been printed before this one began.
            life.low_ns, life.how = before[-1], "startedAt"
