"""The kubelet's probe worker: how results become a streak, and a streak a decision.

Theory of operation (pkg/kubelet/prober/worker.go, func doProbe; results/results_manager.go). One worker serves one
probe of one container. It remembers the last result and how often it came in a row (`last_result`, `result_run`). When
the run reaches the threshold for that result, the result is cached, and a *changed* cached value is what the rest of
the kubelet acts on. A prober error changes nothing (runProbeWithRetries). Liveness after a failure, and startup after
any result, go on hold: run 0, no probe until there is a new container. A new container id sets the cached value back to
the initial value but keeps
`last_result` and `result_run` (doProbe): a streak survives a container restart.

Two tables say it all: INITIAL (newWorker) and REACHED (what a threshold does). The names are the kubelet's, so that the
two files can be laid side by side.

An attempt of unknown outcome begins counts anew. A later streak may in truth be longer, so that it tells a readiness
worker's state and not the moment at which it turned.

Limitations: exec errors and `no status` guards send no packet and are not modelled; versions up to 1.31 keep a startup
worker running after success, which shows as an extra attempt and changes no decision.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from probewatch.model.direct import direct
from probewatch.model.spec import ProbeSpec, ProbeType
from probewatch.model.timeline import DecisionKind, Outcome


class Result(StrEnum):
    """results.Result, and `none` where the manager holds nothing for this container (or the capture does not tell)."""

    SUCCESS = "Success"
    FAILURE = "Failure"
    UNKNOWN = "Unknown"
    NONE = "none"


INITIAL: Final[dict[ProbeType, Result]] = {
    ProbeType.READINESS: Result.FAILURE,
    ProbeType.LIVENESS: Result.SUCCESS,
    ProbeType.STARTUP: Result.UNKNOWN,
    ProbeType.UNKNOWN: Result.NONE,
}
"""newWorker: the value before any probe ran. An untyped probe has none, so it decides nothing."""


class Reached(NamedTuple):
    """What happens when a run of one result reaches its threshold."""

    decision: DecisionKind | None
    """If the cached value changes by it."""
    on_hold: bool


REACHED: Final[dict[tuple[ProbeType, Result], Reached]] = {
    (ProbeType.READINESS, Result.SUCCESS): Reached(DecisionKind.READY, on_hold=False),
    (ProbeType.READINESS, Result.FAILURE): Reached(DecisionKind.NOT_READY, on_hold=False),
    (ProbeType.LIVENESS, Result.SUCCESS): Reached(None, on_hold=False),
    (ProbeType.LIVENESS, Result.FAILURE): Reached(DecisionKind.RESTART, on_hold=True),
    (ProbeType.STARTUP, Result.SUCCESS): Reached(DecisionKind.STARTED, on_hold=True),
    (ProbeType.STARTUP, Result.FAILURE): Reached(DecisionKind.RESTART, on_hold=True),
    (ProbeType.UNKNOWN, Result.SUCCESS): Reached(None, on_hold=False),
    (ProbeType.UNKNOWN, Result.FAILURE): Reached(None, on_hold=False),
}

STATES: Final[dict[tuple[ProbeType, Result], str]] = {
    (ProbeType.READINESS, Result.SUCCESS): "Ready",
    (ProbeType.READINESS, Result.FAILURE): "NotReady",
    (ProbeType.LIVENESS, Result.SUCCESS): "Live",
    (ProbeType.LIVENESS, Result.FAILURE): "Restart",
    (ProbeType.STARTUP, Result.SUCCESS): "Started",
    (ProbeType.STARTUP, Result.FAILURE): "Restart",
    (ProbeType.STARTUP, Result.UNKNOWN): "NotStarted",
}
"""What a cached value means for people."""

_OPPOSITE: Final = {Result.SUCCESS: Result.FAILURE, Result.FAILURE: Result.SUCCESS}

COUNTED: Final[dict[Outcome, Result | None]] = {
    Outcome.SUCCESS: Result.SUCCESS,
    Outcome.FAILURE: Result.FAILURE,
    Outcome.DISCARDED: None,
    Outcome.INCONCLUSIVE: None,
}
"""How an attempt's outcome enters doProbe; None is thrown away (or not known)."""


@direct
@dataclass(frozen=True, slots=True)
class Worker:
    """One worker's memory."""

    type: ProbeType
    last_result: Result = Result.SUCCESS
    """newWorker leaves it at the zero value, which is Success, with a run of 0."""
    result_run: int = 0
    cached: Result = Result.NONE
    """NONE: not known yet (capture begun in mid-life), or a new kubelet that holds no result."""
    on_hold: bool = False
    doubt: int = 0
    """So many more of `last_result` may have come before those in `result_run`: attempts whose outcome is not known."""


@direct
@dataclass(frozen=True, slots=True)
class Counted:
    """What one attempt did to a worker."""

    worker: Worker
    streak: int
    threshold: int
    decision: DecisionKind | None = None
    settled: Result | None = None
    """The first streak that reached its threshold from an unknown state: it tells the state and decides nothing."""


def fresh(kind: ProbeType) -> Worker:
    """Return the worker of a container seen from its beginning (newWorker plus doProbe's first Set of the initial value)."""
    return Worker(kind, cached=INITIAL[kind])


def new_container(worker: Worker) -> Worker:
    """Apply doProbe's `container ID differs` guard: initial value again, hold lifted, the streak kept."""
    return Worker(worker.type, worker.last_result, worker.result_run, INITIAL[worker.type])


def new_kubelet(worker: Worker, *, keeps_ready: bool, started: bool = True) -> Worker:
    """Start anew as a restarted kubelet does: no streak.

    Up to 1.34 its results manager sets readiness to Failure at once; from 1.35 on it holds nothing for a container that
    ran before, and the Pod's status keeps what it was (setReadyStateOnKubeletRestart); what had `started` needs no
    startup probe again.
    """
    if worker.type is ProbeType.READINESS:
        return Worker(worker.type, cached=Result.NONE if keeps_ready else Result.FAILURE)
    if worker.type is ProbeType.STARTUP and keeps_ready and started:
        return Worker(worker.type, cached=Result.SUCCESS, on_hold=True)
    return Worker(worker.type, cached=INITIAL[worker.type])


def threshold(spec: ProbeSpec, result: Result) -> int:
    """Return how many results of this kind in a row it takes."""
    return spec.success_threshold if result is Result.SUCCESS else spec.failure_threshold


def _doubted(worker: Worker, spec: ProbeSpec) -> Worker:
    """Return a worker after an attempt that may have succeeded or failed: counts begin anew, and may in truth be higher.

    What matters is the result that would change the cached value. A readiness worker that may have changed it is of
    unknown state; one of the other types would have gone silent, so that what follows tells.
    """
    if worker.cached not in _OPPOSITE:
        return replace(worker, result_run=0, doubt=0)
    other = _OPPOSITE[worker.cached]
    doubt = worker.result_run + worker.doubt + 1 if worker.last_result is other else 1
    turned = doubt >= threshold(spec, other) and worker.type is ProbeType.READINESS
    cached = Result.NONE if turned else worker.cached
    return replace(worker, last_result=other, result_run=0, cached=cached, doubt=0 if turned else doubt)


def count(worker: Worker, outcome: Outcome, spec: ProbeSpec) -> Counted:
    """Feed one attempt (doProbe from `if w.lastResult == result` on)."""
    result = COUNTED[outcome]
    if result is None:
        if outcome is Outcome.INCONCLUSIVE:
            return Counted(_doubted(worker, spec), 0, 0)
        return Counted(worker, worker.result_run, threshold(spec, worker.last_result))
    run, doubt = (worker.result_run + 1, worker.doubt) if worker.last_result is result else (1, 0)
    needed = threshold(spec, result)
    # (Made whole and not by `replace`: this runs for every reading of every attempt.)
    if run < needed:
        cached = worker.cached
        if doubt and run + doubt >= needed and cached is not result and worker.type is ProbeType.READINESS:
            cached = Result.NONE  # It may have turned by now.
        return Counted(Worker(worker.type, result, run, cached, worker.on_hold, doubt), run, needed)
    reached = REACHED[worker.type, result]
    changed = worker.cached is not result
    after = Worker(worker.type, result, 0 if reached.on_hold else run, result, worker.on_hold or reached.on_hold)
    if worker.type is ProbeType.UNKNOWN:
        return Counted(after, run, needed)
    if worker.cached is Result.NONE and not reached.on_hold:
        return Counted(after, run, needed, settled=result)
    return Counted(after, run, needed, decision=reached.decision if changed else None)
