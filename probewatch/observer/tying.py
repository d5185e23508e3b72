"""Manifests that tell no address: which of them is probed at a target, by what its probes ask and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.spec import PodSpec, ProbeSpec
from probewatch.probes.cadence import SECOND, on_grid
from probewatch.probes.runs import Run, fits

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
