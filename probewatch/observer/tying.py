"""Manifests that tell no address: which of them is probed at a target, by what its probes ask and how often.

Many Pods of a node ask `/ready` at 8080, so one request that fits proves nothing: a manifest is tied where the whole of its probes
is seen, each as often as it is declared, as far as there are attempts enough to say; and where something was asked, or a ticker
shows: an attempt that was refused says no more than its port.

Manifests that declare just the same are one here: what their probes are is known, which Pod is meant is not, and it has no name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.units import SECOND
from probewatch.probes.cadence import on_grid, side_by_side, tickers
from probewatch.probes.forms import Ask
from probewatch.probes.runs import Run, fits

ENOUGH_TICKS: Final = 4
"""Steps of a declared period, one after another, that no pause would keep."""
MANY_TICKS: Final = 10
"""The same where nothing is asked."""
TICKING_SHARE: Final = 0.8
"""Share of what asks like a probe that is on such steps: a Pod that is not ready has its readiness probe poked between them."""
FEWEST_STEPS: Final = 3
"""Starts one period after another that show it."""
ENOUGH_RUNS: Final = 5
"""Starts that ask the same, from which they must show a declared period."""
DUE: Final = 3
"""Periods, after its initial delay, in which a probe that runs is seen."""
FITS_WELL: Final = 2.0
"""Below this a run's form speaks for a probe (`probes.runs.fits`)."""


class Ties:
    """What the targets of one observer know of each other: which are probed, and which manifests are wholly what one of them shows."""

    __slots__ = ("_at", "_whole", "unplaced")

    def __init__(self, unplaced: Sequence[PodSpec] = ()) -> None:
        """Take the manifests that tell no address."""
        self.unplaced = joined(unplaced)
        """The same, of those that declare just the same one without a name."""
        self._at: set[str] = set()
        self._whole: set[int] = set()

    def note(self, address: str, pod: PodSpec | None) -> None:
        """Know that a target is probed, and which manifest is wholly what it shows, if any."""
        self._at.add(address)
        if pod is not None:
            self._whole.add(id(pod))

    def taken(self, pod: PodSpec) -> bool:
        """Tell whether some target shows the whole of a manifest: others that resemble it are others."""
        return id(pod) in self._whole

    def alone(self, address: str) -> bool:
        """Tell whether no other target is known to be probed."""
        return not self._at - {address}


def joined(pods: Sequence[PodSpec]) -> tuple[PodSpec, ...]:
    """Return Pods, one for all of those that declare the same: it says what they have in common."""
    groups: list[list[PodSpec]] = []
    for pod in pods:
        mine = next((group for group in groups if _same(group[0]) == _same(pod)), None)
        if mine is None:
            groups.append([pod])
        else:
            mine.append(pod)
    return tuple(_in_common(group) for group in groups)


def _same(pod: PodSpec) -> tuple[object, ...]:
    """Return all that a kubelet does with a Pod's containers depends on."""
    containers = tuple((one.probes, one.sidecar, one.starts, one.restart_count) for one in pod.containers)
    lives = pod.created_ns, pod.started_ns, pod.deleted_ns, pod.ended_ns
    return containers, lives, pod.restart_policy, pod.grace_s, pod.host_network


def _in_common(pods: Sequence[PodSpec]) -> PodSpec:
    first = pods[0]
    if len(pods) == 1:
        return first
    names, spaces = {pod.name for pod in pods}, {pod.namespace for pod in pods}
    rows = zip(*(pod.containers for pod in pods), strict=True)
    containers = [replace(row[0], name=row[0].name if len({one.name for one in row}) == 1 else "") for row in rows]
    return replace(
        first,
        name=first.name if len(names) == len(spaces) == 1 else "",  # (one manifest given twice)
        namespace=first.namespace if len(spaces) == 1 else "",
        uid=None,
        node=first.node if len({pod.node for pod in pods}) == 1 else None,
        host_ip=first.host_ip if len({pod.host_ip for pod in pods}) == 1 else None,
        containers=tuple(containers),
        labels=(),
        workload=None,
        alike=tuple(pod.source for pod in pods[1:]),
    )


def tie(
    runs: Sequence[Run],
    unplaced: Sequence[PodSpec],
    ties: Ties | None = None,
    address: str = "",
    *,
    early: bool = False,
) -> tuple[PodSpec, str] | None:
    """Find the one manifest without an address whose probes are what these runs ask for; None where none, or two, fit.

    One whose periods differ, or that lacks a probe, may still be meant (it is the wrong one, and `verify` says how): it is taken
    only where nothing shows the whole of it, not `early`, and where all that it asks is asked here or nothing else is probed.
    """
    if not unplaced:
        return None
    ties = ties or Ties()
    shares: list[tuple[float, PodSpec, bool]] = []
    for pod in unplaced:
        fitting, specs = fitting_runs(runs, pod)
        if not fitting or not plausible(fitting, specs):
            continue
        every = whole(runs, fitting, specs)
        # (An attempt that was refused says no more than its port.)
        near = any(run.form.ask is not Ask.NOTHING for run in fitting) or len(fitting) >= ENOUGH_TICKS
        near = near and (ties.alone(address) or whole(runs, fitting, specs, timed=False))
        if every or (near and not early and not ties.taken(pod)):
            shares.append((len(fitting) / len(runs), pod, every))
    best = [one for one in shares if one[2]] or shares
    best.sort(key=lambda entry: -entry[0])
    found = best[0] if best and (len(best) == 1 or best[1][0] <= best[0][0] - 0.1) else None
    ties.note(address, found[1] if found is not None and found[2] else None)
    if found is None:
        return None
    telling = any(run.form.path for run in runs)
    return found[1], "port, handler and path" if telling else "port and handler"


def fitting_runs(runs: Sequence[Run], pod: PodSpec) -> tuple[list[Run], list[ProbeSpec]]:
    """Return the runs that may be attempts of a Pod's probes, by their form, and those probes."""
    specs = [spec for container in pod.containers for spec in container.probes]
    return [
        run for run in runs if any((fit := fits(run, spec)) is not None and fit < FITS_WELL for spec in specs)
    ], specs


def whole(runs: Sequence[Run], fitting: Sequence[Run], specs: Sequence[ProbeSpec], *, timed: bool = True) -> bool:
    """Tell whether what fits a manifest's probes is all of them, `timed`: at their periods, and not one refused attempt."""
    network = [spec for spec in specs if spec.handler is not Handler.EXEC and spec.port is not None]
    groups: list[list[ProbeSpec]] = []
    for spec in network:
        mine = next((group for group in groups if ask_alike(group[0], spec)), None)
        if mine is None:
            groups.append([spec])
        else:
            mine.append(spec)
    if not groups:
        return True
    if 2 * len(fitting) < len(runs):  # (most of what is asked here is nothing that it declares)
        return False
    gated = any(spec.type is ProbeType.STARTUP for spec in specs)
    span_ns = runs[-1].start.ns - runs[0].start.ns
    proven = any(run.execs or run.unresolved is not None for run in fitting)
    for group in groups:
        asking, sure = _of_group(fitting, group, network)
        shared = any(one.port == group[0].port for one in network if one not in group)
        due = [spec for spec in group if spec.type is not ProbeType.STARTUP and not gated]
        missing = any(span_ns >= (spec.initial_delay_s + DUE * spec.period_s) * SECOND for spec in due)
        if not asking and missing:
            return False
        # (What asked nothing may be any probe's of its port: it tells nobody's pace.)
        shown = _shows(sure if shared else asking, group)
        if shown is False and timed:
            return False
        proven = proven or bool(sure) or shown is True
    return proven


def _of_group(
    fitting: Sequence[Run], group: Sequence[ProbeSpec], specs: Sequence[ProbeSpec]
) -> tuple[list[Run], list[Run]]:
    """Return the runs that may ask what these probes ask, and those of them that asked it: nothing tells where the others belong."""
    asking, sure = [], []
    for run in fitting:
        fit = min((cost for spec in group if (cost := fits(run, spec)) is not None), default=None)
        if fit is None or fit >= FITS_WELL:
            continue
        asking.append(run)
        if run.form.ask not in (Ask.NOTHING, Ask.UNSEEN) and fit <= min(
            cost for spec in specs if (cost := fits(run, spec)) is not None
        ):
            sure.append(run)
    return asking, sure


def _shows(asking: Sequence[Run], group: Sequence[ProbeSpec]) -> bool | None:
    """Tell whether starts show the period of one of the probes that ask the same; None where there are too few to say."""
    starts = [run.start.ns for run in asking]
    if len(starts) < FEWEST_STEPS:
        return None
    span_ns = starts[-1] - starts[0]
    for spec in group:
        period_ns = spec.period_s * SECOND
        for chain in tickers(starts, spec.period_s, FEWEST_STEPS):
            steps = [starts[b] - starts[a] for a, b in pairwise(chain.members)]
            if 2 * sum(step < 1.5 * period_ns for step in steps) >= len(steps):
                # (One that runs twice as often makes two such rows.)
                alone = side_by_side(starts, spec.period_s) <= len(group)
                return alone if alone or len(starts) >= ENOUGH_RUNS else None
    expected = sum(span_ns / (spec.period_s * SECOND) + 1 for spec in group)
    if len(starts) >= ENOUGH_RUNS and len(starts) > 2 * expected:
        return False
    seen = all(span_ns >= DUE * spec.period_s * SECOND for spec in group)
    return False if seen and len(starts) >= ENOUGH_RUNS else None


def plausible(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether the starts keep the period of one of these probes, where there are enough to say."""
    starts = [run.start.ns for run in runs]
    if len(starts) < 4:
        return True
    return on_grid(starts, [run.last_ns() for run in runs]) >= 0.5 or any(
        spec.period_s * SECOND > starts[-1] - starts[0] for spec in specs
    )


def ticks(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether some of these runs come as the ticker of one of these probes does."""
    starts = [run.start.ns for run in runs]
    return any(tickers(starts, spec.period_s, ENOUGH_TICKS) for spec in specs)


def on_tick(runs: Sequence[Run], specs: Sequence[ProbeSpec]) -> bool:
    """Tell whether nearly all runs that ask what one of these probes asks come as its ticker does, of whatever else its source sends.

    A bare connection asks nothing, and others connect to that port: of those it takes many one after another.
    """
    for spec in specs:
        bare = spec.handler is Handler.TCP_SOCKET
        asks = (Ask.CONNECT,) if bare else (Ask.HTTP, Ask.TLS, Ask.GRPC)
        asking = [run for run in runs if run.form.ask in asks and fits(run, spec) is not None]
        rows = tickers([run.start.ns for run in asking], spec.period_s, MANY_TICKS if bare else ENOUGH_TICKS)
        if rows and (bare or sum(len(chain.members) for chain in rows) >= TICKING_SHARE * len(asking)):
            return True
    return False


def ask_alike(one: ProbeSpec, other: ProbeSpec) -> bool:
    """Tell whether two probes send the same."""
    if one.handler is not other.handler or one.port != other.port:
        return False
    http, grpc = one.handler is Handler.HTTP_GET, one.handler is Handler.GRPC
    return not (http and (one.path, one.scheme) != (other.path, other.scheme)) and not (
        grpc and one.service != other.service
    )
