"""Attempts that succeed one after the other, each when it was due, taken many at once.

Theory of operation. Where numbers are weighed (`weigh`) the same attempts are read over and over, and nearly all of them are
*even*: a probe that had succeeded succeeds again at its next tick, in every history of its lane. Such an attempt moves its
worker's ticker on and counts, whatever the thresholds are, and changes nothing else. So only these two are worked out for each,
the ticker once for all histories, and the pods are made at the end.

What is even is told narrowly: whatever is out of the ordinary about the attempt, the worker or its container is left to
`Lane.feed`, which comes to the same for those that are even; a test holds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from probewatch.decisions.pod import Pod
from probewatch.decisions.turn import Ticker, goes_on_evenly
from probewatch.decisions.worker import Counted, Worker, count
from probewatch.model.prediction import Manual
from probewatch.model.timeline import Outcome
from probewatch.model.units import SECOND
from probewatch.probes.assign import due_readings

from .histories import Look, Step


@dataclass(slots=True)
class _State:
    """A worker in all histories: its ticker is the same in all of them, how often it succeeded is not."""

    ticker: Ticker
    manual: Manual
    workers: list[Worker]
    """One for each history."""


class Stride:
    """Takes even attempts in all histories of a lane at once."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        """Begin with the pods of these histories."""
        self._pods = pods
        self._states: dict[int, _State] = {}
        self._alive: dict[int, int] = {}
        """Until when (ns) a container was seen to run."""

    def take(self, look: Look) -> list[Step] | None:
        """Return what the next attempt is in each history, the pod before it left as it was at the beginning; None where it is not even."""
        if len(look.fitting) != 1 or not look.run.form.version:
            return None
        index, fit = look.fitting[0]
        if fit:
            return None
        state = self._states.get(index) or self._state(index)
        if state is None:
            return None
        verdict, free_ns, lingers = look.judged(index)
        if verdict.outcome is not Outcome.SUCCESS or lingers:
            return None
        pod, run = self._pods[0], look.run
        planned, start_ns = pod.plan[index], run.start.ns
        spec = planned.spec
        readings = due_readings(start_ns, index, spec.period_s * SECOND, state.ticker, state.manual)
        if readings is None:
            return None
        (reading,) = readings  # (nothing pokes it)
        state.ticker = goes_on_evenly(state.ticker, reading, (start_ns, free_ns), spec, pod.moves)
        self._alive[planned.container] = free_ns
        known: dict[int, Counted] = {}  # (mostly the histories have one worker in common)
        for worker in state.workers:
            if id(worker) not in known:
                known[id(worker)] = count(worker, Outcome.SUCCESS, spec)
        counted = [known[id(worker)] for worker in state.workers]
        state.workers = [one.worker for one in counted]
        return [
            Step(run, reading, verdict, one, renewed=False, before=pod)
            for one, pod in zip(counted, self._pods, strict=True)
        ]

    def _state(self, index: int) -> _State | None:
        """Return a worker's state, if it is even in all histories."""
        first = self._pods[0]
        ticker = first.tickers[index]
        if not all(pod.is_even(index) and pod.tickers[index] == ticker for pod in self._pods):
            return None
        workers = [pod.workers[index] for pod in self._pods]
        state = self._states[index] = _State(ticker, first.manual(index), workers)
        return state

    def pods(self) -> list[Pod]:
        """Return what has become of each pod."""
        return [
            pod.went_on(
                {index: (state.workers[at], state.ticker) for index, state in self._states.items()},
                self._alive,
            )
            for at, pod in enumerate(self._pods)
        ]
