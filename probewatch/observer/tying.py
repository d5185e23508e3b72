"""Manifests that tell no address: which of them is probed at a target, by what its probes ask and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from probewatch.decisions.pod import Planned
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Outcome
from probewatch.probes.cadence import GRID_NS, SECOND, on_grid, tickers, whole_seconds
from probewatch.probes.forms import Ask
from probewatch.probes.inference import Guess
from probewatch.probes.runs import Run, at_once, fits

from .histories import Step

ENOUGH_GAPS: Final = 4
"""Steps after a success that can contradict a declared period."""
ENOUGH_TICKS: Final = 4
"""Steps of a declared period, one after another, that no pause would keep."""
MANY_TICKS: Final = 10
"""The same where nothing is asked."""
TICKING_SHARE: Final = 0.8
"""Share of what asks like a probe that is on such steps: a Pod that is not ready has its readiness probe poked between them."""
BESIDE: Final = "it asks what a declared probe asks, beside that one"
FITS_WELL: Final = 2.0
"""Below this a run's form speaks for a probe (`probes.runs.fits`)."""


def tie(runs: Sequence[Run], unplaced: Sequence[PodSpec]) -> tuple[PodSpec, str] | None:
    """Find the one manifest without an address whose probes are what these runs ask for; None where none, or two, fit."""
    best: list[tuple[float, PodSpec]] = []
    for pod in unplaced:
        fitting, specs = fitting_runs(runs, pod)
        if fitting and plausible(fitting, specs):
            best.append((len(fitting) / len(runs), pod))
    if not best:
        return None
    best.sort(key=lambda entry: -entry[0])
    if len(best) > 1 and best[1][0] > best[0][0] - 0.1:
        return None
    telling = any(run.form.path for run in runs)
    return best[0][1], "port, handler and path" if telling else "port and handler"


def fitting_runs(runs: Sequence[Run], pod: PodSpec) -> tuple[list[Run], list[ProbeSpec]]:
    """Return the runs that may be attempts of a Pod's probes, by their form, and those probes."""
    specs = [spec for container in pod.containers for spec in container.probes]
    return [
        run for run in runs if any((fit := fits(run, spec)) is not None and fit < FITS_WELL for spec in specs)
    ], specs


def plausible(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether the starts keep the period of one of these probes, where there are enough to say."""
    starts = [run.start.ns for run in runs]
    if len(starts) < 4:
        return True
    return on_grid(starts, [run.last_ns() for run in runs]) >= 0.5 or any(
        spec.period_s * SECOND > starts[-1] - starts[0] for spec in specs
    )


def on_tick(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether nearly all runs that ask what one of these probes asks come as its ticker does, of whatever else its source sends.

    A bare connection asks nothing, and others connect to that port: of those it takes many one after another.
    """
    for spec in specs:
        bare = spec.handler is Handler.TCP_SOCKET
        asks = (Ask.CONNECT,) if bare else (Ask.HTTP, Ask.TLS, Ask.GRPC)
        asking = [run for run in runs if run.form.ask in asks and fits(run, spec) is not None]
        ticks = tickers([run.start.ns for run in asking], spec.period_s, MANY_TICKS if bare else ENOUGH_TICKS)
        if ticks and (bare or sum(len(chain.members) for chain in ticks) >= TICKING_SHARE * len(asking)):
            return True
    return False


def one_more(plan: Sequence[Planned], guesses: Sequence[Guess]) -> tuple[Guess, int] | None:
    """Return a probe, and its container, that asks what a declared one asks, where the attempts hold more series than declared."""
    for one in guesses:
        same = [planned for planned in plan if _ask_alike(planned.spec, one.spec)]
        seen = [other for other in guesses if _ask_alike(other.spec, one.spec)]
        if same and len(seen) > len(same):
            periods = [planned.spec.period_s for planned in same]
            other = next((guess for guess in seen if guess.spec.period_s not in periods), one)
            inferred = {
                name: value for name, value in other.inferred.items() if name in ("periodSeconds", "timeoutSeconds")
            }
            spec = replace(other.spec, type=ProbeType.UNKNOWN)
            return replace(other, spec=spec, reason=BESIDE, inferred=inferred), same[0].container
    return None


def _ask_alike(one: ProbeSpec, other: ProbeSpec) -> bool:
    """Tell whether two probes send the same."""
    if one.handler is not other.handler or one.port != other.port:
        return False
    http, grpc = one.handler is Handler.HTTP_GET, one.handler is Handler.GRPC
    return not (http and (one.path, one.scheme) != (other.path, other.scheme)) and not (
        grpc and one.service != other.service
    )


def other_period(worker: int, spec: ProbeSpec, steps: Sequence[Step]) -> int | None:
    """Return the period that a worker's attempts keep, where it is not the declared one; None where they do not contradict it.

    Only the time after a success counts: while a container is not Ready its readiness probe is poked at any time. What runs as
    soon as the one before has ended waited for it, and tells of no period.
    """
    mine = [
        step for step in steps if step.reading is not None and step.reading.worker == worker and not step.run.implied
    ]
    gaps = [
        after.run.start.ns - before.run.start.ns
        for before, after in pairwise(mine)
        if before.verdict is not None
        and before.verdict.outcome is Outcome.SUCCESS
        and not at_once(before.run, after.run)
    ]
    if len(gaps) < ENOUGH_GAPS:
        return None
    fits_declared = sum(
        abs(gap - round(gap / SECOND / spec.period_s) * spec.period_s * SECOND) <= GRID_NS for gap in gaps
    )
    seconds = Counter(whole for gap in gaps if (whole := whole_seconds(gap)) is not None)
    if fits_declared >= len(gaps) / 2 and not all(gap >= 1.5 * spec.period_s * SECOND for gap in gaps):
        return None
    period, times = seconds.most_common(1)[0] if seconds else (0, 0)
    return period if times >= 0.6 * len(gaps) and period != spec.period_s else None
