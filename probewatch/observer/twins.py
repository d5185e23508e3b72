"""Probes of one Pod that ask the same, as often: which attempts are whose.

Theory of operation. Readiness and liveness are often the same in every field but their type. Where a capture begins in mid-life
nothing tells one from the other, until the kubelet acts on what one of them found: it pokes readiness when Ready is lost, and kills
a container for liveness; or until one gives up after its own timeout. A lane has long settled then whose attempts are whose. So
where all is known they are read once more, with the first of them the other way round. The likelier of both readings is kept; where
neither is, a note says so, for types, streaks and decisions of both rest on it.

Limitations: they change places for the whole of a lane. A startup probe shows by when it runs, and is not traded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.frame import Mark
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import Trigger
from probewatch.model.units import MS

from .histories import Step
from .lane import Lane
from .strains import strains
from .tying import ask_alike

RATHER: Final = 1.0
"""What the other way round must save to be kept: about a factor of three in likelihood."""
OPEN: Final = 2.5
"""What it must cost more to be out of the question: about one in twelve."""
AHEAD: Final = 3.0
"""That readiness is ahead of liveness by a moment, time after time, though it was poked by the success of a startup probe."""
IN_STEP_NS: Final = 30 * MS
"""So close are two tickers of which one was begun anew by an attempt of the other's beginning."""
ENOUGH: Final = 4
"""Pairs of attempts that tell their order, ..."""
MOSTLY: Final = 0.8
"""... where so many of them agree."""

_TYPES: Final = (ProbeType.READINESS, ProbeType.LIVENESS)
_ON_GRID: Final = (Trigger.START, Trigger.TICK)


def twins(plan: Sequence[Planned]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of workers, readiness and liveness, that send the same as often."""
    for one, planned in enumerate(plan):
        for other, mate in enumerate(plan):
            if (
                (planned.spec.type, mate.spec.type) == _TYPES
                and planned.spec.period_s == mate.spec.period_s
                and ask_alike(planned.spec, mate.spec)
            ):
                yield one, other


def the_other_way_round(steps: Sequence[Step], pair: tuple[int, int]) -> dict[Mark, int]:
    """Return whose attempts of these two each is, by its start, where they have changed places: up to the first that breaks a grid.

    From there on a lane sees to that itself.
    """
    one, other = pair
    found = {step.run.start: other if worker == one else one for worker, step in _even(steps, pair)}
    return found if len({*found.values()}) == len(pair) else {}


def _even(steps: Sequence[Step], pair: tuple[int, int]) -> Iterator[tuple[int, Step]]:
    """Yield the attempts of two workers that were on the wire, with whose each is, up to the first that breaks a grid."""
    begun = False
    for step in steps:
        reading = step.reading
        if reading is None or reading.worker not in pair or step.run.implied or step.run.unresolved is not None:
            continue
        if begun and reading.trigger not in _ON_GRID:
            return
        begun = True
        yield reading.worker, step


def strained(lane: Lane) -> float:
    """Return how far-fetched all is that a lane read, and the order in which its twins run."""
    steps, plan = lane.so_far(), lane.plan
    cost = lane.cost + sum(strains(steps))
    for pair in twins(plan):
        gated = any(one.spec.type is ProbeType.STARTUP and one.container == plan[pair[0]].container for one in plan)
        cost += AHEAD if gated and _ahead(steps, pair) else 0.0
    return cost


def _ahead(steps: Sequence[Step], pair: tuple[int, int]) -> bool:
    """Tell whether readiness runs a moment before liveness time after time.

    The success of a startup probe pokes readiness, so that its ticker begins anew behind that of liveness, by as much as the answer
    took (prober_manager.go updateStartup, Ticker.Reset).
    """
    even = list(_even(steps, pair))
    starts = [[step.run.start.ns for owner, step in even if owner == worker] for worker in pair]
    behind = [
        starts[1][at] - ns for ns in starts[0] if (at := bisect_left(starts[1], ns - IN_STEP_NS)) < len(starts[1])
    ]
    close = [off for off in behind if abs(off) <= IN_STEP_NS]
    return len(close) >= ENOUGH and sum(off > 0 for off in close) >= MOSTLY * len(close)


def untold(spec: ProbeSpec, other: ProbeSpec) -> str:
    """Say of a probe that nothing tells its attempts from the other's."""
    return (
        f"{other.type} asks the same, every {spec.period_s} s too, and nothing in this capture tells which of the two is which: "
        "the attempts of each may be the other's"
    )
