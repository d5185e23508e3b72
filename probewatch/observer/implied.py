"""Attempts that sent nothing, because an address resolution was already failing (docs/design.md, section 6).

Theory of operation. While the kernel asks for a neighbour's address, SYNs of all attempts wait behind the same requests:
a tick that falls into that time leaves no frame. Ticks of a grid that is known and unbroken are attempts all the same.
A NotReady that is decided meanwhile pokes the worker and begins a new grid: what it set off counts only once the first
attempt after it proves that grid, for a poke may as well have found the worker busy.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.connection import Unresolved
from probewatch.model.frame import Mark
from probewatch.model.prediction import Manual
from probewatch.model.spec import ProbeType
from probewatch.model.units import MS, SECOND
from probewatch.probes.forms import Ask, Form
from probewatch.probes.lately import NOBODY, Lately
from probewatch.probes.runs import Run

from .histories import Look
from .lane import Lane

STEP_NS: Final = 20 * MS
"""An attempt this near to a tick is in step with it (99.3 % are: docs/how-it-knows.md, "What was measured")."""
RESOLUTION_NS: Final = 1_070 * MS
"""The kernel gives a neighbour up this long after its last request (three requests, 1 s apart)."""


def feed(lane: Lane, run: Run, elsewhere: Lately, seen_until_ns: int | None, look: Look | None = None) -> None:
    """Give a lane its next run, and the attempts that this run implies: before it, and while it waits for an address."""
    for implied in overtaken_runs(run, lane):
        lane.feed(implied, elsewhere=NOBODY, seen_until_ns=seen_until_ns)
    lane.feed(run, elsewhere=elsewhere, seen_until_ns=seen_until_ns, look=look)
    if run.unresolved is not None:
        for implied in implied_runs(run, lane):
            lane.feed(implied, elsewhere=elsewhere, seen_until_ns=seen_until_ns)


def implied_runs(run: Run, lane: Lane) -> list[Run]:
    """Make the attempts that sent nothing because an address resolution was already failing (docs/design.md, section 6).

    Only ticks of a grid that is known and unbroken count: not after a decision that pokes the worker, for a poke moves
    the grid.
    """
    unresolved = run.unresolved
    assert unresolved is not None
    if unresolved.resolved is not None:
        return []
    until = unresolved.end.ns + RESOLUTION_NS
    out = []
    for prediction in lane.pod().predict():
        if prediction.tick_ns is None or prediction.last_start_ns is None or prediction.silence:
            continue
        if prediction.manual is Manual.UNSEEN:
            continue  # Perhaps this attempt took Ready away, and a poke that cannot be seen moved the grid.
        if prediction.poked_ns is not None:
            continue
        tick = prediction.tick_ns
        passed = max(run.start.ns, prediction.last_start_ns) + 50 * MS - tick
        if passed >= 0:  # (not tick by tick: a damaged clock may be years ahead)
            tick += (passed // prediction.period_ns + 1) * prediction.period_ns
        free = prediction.busy_until_ns or 0
        while (start := max(tick, free)) < until:
            # (A dial that waits for the neighbour ends at its deadline; where that is no shorter than the period, ticks wait for it.)
            free = start + prediction.spec.timeout_s * SECOND
            out.append(_implied(run, unresolved, start))
            tick += ((start - tick) // prediction.period_ns + 1) * prediction.period_ns
            if _would_decide(lane, prediction.worker, len(out)):
                break
    return sorted(out, key=lambda implied: implied.start.ns)


def overtaken_runs(run: Run, lane: Lane) -> list[Run]:
    """Make the attempts that a NotReady decided during an address resolution in vain set off, where this run proves them.

    The decision pokes the readiness worker: one more attempt at once, and its ticker begins anew from there. While the
    resolution goes on, neither that attempt nor its next ticks send a frame. That it was so shows the first attempt after
    them: it is in step with the decision, and no longer with the ticks before it.
    """
    latest = lane.latest()
    unresolved = latest.run.unresolved if latest is not None else None
    if unresolved is None or unresolved.resolved is not None:
        return []
    until = min(unresolved.end.ns + RESOLUTION_NS, run.start.ns - STEP_NS)
    pod = lane.pod()
    predictions = pod.predict()
    found: list[Run] = []
    for prediction in predictions:
        poked, tick = prediction.poked_ns, prediction.tick_ns
        if pod.plan[prediction.worker].spec.type is not ProbeType.READINESS or poked is None or tick is None:
            continue
        if poked < unresolved.start.ns:  # (nor may a damaged clock make years of ticks)
            continue
        others = [one for one in predictions if one is not prediction and one.tick_ns is not None]
        if (
            not _in_step(run.start.ns, poked, prediction.period_ns)
            or _in_step(run.start.ns, tick, prediction.period_ns)
            or any(_in_step(run.start.ns, one.tick_ns or 0, one.period_ns) for one in others)
        ):
            continue
        found += [_implied(run, unresolved, ns) for ns in range(poked, until, prediction.period_ns)]
    return sorted(found, key=lambda implied: implied.start.ns)


def _in_step(ns: int, tick_ns: int, period_ns: int) -> bool:
    """Tell whether a moment is on the grid of a ticker."""
    off = (ns - tick_ns) % period_ns
    return min(off, period_ns - off) <= STEP_NS


def _implied(run: Run, unresolved: Unresolved, ns: int) -> Run:
    """Return an attempt of a moment at which its address was being resolved in vain; `run` is another of the same worker."""
    before = [mark for mark in unresolved.requests if mark.ns <= ns]
    return Run(
        client=run.client,
        server=run.server,
        form=Form(Ask.NOTHING, 0, kubelet=True),
        start=Mark(ns, before[-1].file, before[-1].number) if before else unresolved.start._replace(ns=ns),
        unresolved=unresolved,
        implied=True,
    )


def _would_decide(lane: Lane, worker: int, more: int) -> bool:
    """Tell whether so many failures more reach a readiness threshold: the poke that follows breaks the grid."""
    pod = lane.pod()
    spec = pod.plan[worker].spec
    state = pod.workers[worker]
    run = state.result_run if state.last_result == "Failure" else 0
    return run < spec.failure_threshold <= run + more
