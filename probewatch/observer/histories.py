"""What a lane carries on: ways to read a pod's runs so far, each a chain of steps; and what is known of a run before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from probewatch.decisions.pod import Planned, Pod
from probewatch.decisions.worker import Counted
from probewatch.model.prediction import Reading
from probewatch.probes.judge import Verdict
from probewatch.probes.patience import may_have_waited
from probewatch.probes.runs import Run, fits, free_ns, lingers, verdict_of

IMPATIENT: Final = 3.0
"""A run as the attempt of a probe whose timeout it did not keep to, where it kept to another's."""


class Step(NamedTuple):
    """One run, read in one way."""

    run: Run
    reading: Reading | None
    """None: nobody's attempt."""
    verdict: Verdict | None
    counted: Counted | None
    renewed: bool
    before: Pod


class History(NamedTuple):
    """One way to read all runs so far."""

    pod: Pod
    cost: float
    fresh: bool
    past: Link | None


@dataclass(slots=True, eq=False)
class Link:
    """A step, and those before it."""

    step: Step
    past: Link | None
    """Cut off where it is settled, so that a history never holds more than what is open."""
    length: int
    root: Step | None = None
    """Of the latest link of a history: its first step that is not settled; None where all are. (No link: it may be this one, and
    what holds itself is freed late.)"""


class Judged(NamedTuple):
    """What a run came to as an attempt of one worker."""

    verdict: Verdict
    free_ns: int
    """When that worker could go on."""
    lingers: bool
    """Its close may have held it up longer."""


class Look:
    """A run held against the probes of a plan: whose it may be, and what it came to as theirs.

    It does not depend on their types, periods and thresholds, so it serves other plans that differ in nothing else. Where its
    `owner` is known it may be of no other.
    """

    __slots__ = ("_judged", "_plan", "_seen_until_ns", "fitting", "run")

    def __init__(self, run: Run, plan: Sequence[Planned], seen_until_ns: int | None, owner: int | None = None) -> None:
        self.run = run
        self._plan, self._seen_until_ns = plan, seen_until_ns
        self._judged: dict[int, Judged] = {}
        self.fitting = [
            (worker, fit)
            for worker, planned in enumerate(plan)
            if run.container in (None, planned.container) and (fit := fits(run, planned.spec)) is not None
        ]
        """The workers that it may be of, and how well it agrees with each (`runs.fits`)."""
        if len({plan[worker].spec.timeout_s for worker, _ in self.fitting}) > 1:
            self.fitting = self._by_patience()
        if owner is not None:
            self.fitting = [one for one in self.fitting if one[0] == owner]

    def _by_patience(self) -> list[tuple[int, float]]:
        """Return the workers that it may be of; how long it waited tells those apart that ask the same with other timeouts."""
        kept_to = [
            may_have_waited(self.run, self._plan[worker].spec.handler, self._plan[worker].spec.timeout_s)
            for worker, _ in self.fitting
        ]
        if all(kept_to) or not any(kept_to):
            return self.fitting
        return [
            (worker, fit if kept else fit + IMPATIENT)
            for (worker, fit), kept in zip(self.fitting, kept_to, strict=True)
        ]

    def judged(self, worker: int) -> Judged:
        """Judge it as an attempt of one worker, once."""
        known = self._judged.get(worker)
        if known is None:
            spec = self._plan[worker].spec
            verdict = verdict_of(self.run, spec, self._seen_until_ns)
            known = self._judged[worker] = Judged(verdict, free_ns(self.run, spec, verdict), lingers(self.run, verdict))
        return known


def ancestor(link: Link | None, length: int) -> Link:
    """Return the link of this length in a history that is at least as long."""
    assert link is not None
    while link.length > length:
        assert link.past is not None
        link = link.past
    return link


def cost_of(history: History) -> float:
    """Return what a history costs, to sort by."""
    return history.cost


def keep(grown: dict[tuple[Pod, bool], History], history: History) -> None:
    """Keep the cheaper of two histories that reached the same state."""
    key = (history.pod, history.fresh)
    known = grown.get(key)
    if known is None or history.cost < known.cost:
        grown[key] = history


def linked(past: Link | None, step: Step) -> Link:
    """Return a past with one more step."""
    return Link(step, None, 1, step) if past is None else Link(step, past, past.length + 1, past.root or step)
