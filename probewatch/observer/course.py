"""The course of a series of checks: the state of what is checked as each result counts, from what its checker began with.

`decisions.risefall` counts. Where the capture begins in mid-life the state is unknown until only one is left that is possible; that
tells the state, and is no decision.
"""

from __future__ import annotations

from collections.abc import Sequence

from probewatch.decisions.risefall import Health, Judged, Rule, Thresholds, begin, count, pass_over
from probewatch.model.timeline import Attempt, Decision, DecisionKind

from .unseen import Step

_STATE = {True: "UP", False: "DOWN", None: "unknown"}


class Course:
    """What a series decided so far. Without thresholds nothing is counted, and the state stays unknown."""

    def __init__(self, thresholds: Thresholds | None, *, fresh: bool) -> None:
        self._thresholds, self._fresh = thresholds, fresh
        self._health: Health | None = None
        self._since_ns: int | None = None
        """When it was decided last."""
        self.decisions: list[Decision] = []
        self.initial = "unknown"
        """The state at the first evidence."""
        self.evidence = ""
        """What shows it."""
        self.known_ns: int | None = None
        """Since when it is known, where it may have been another one before."""
        if thresholds is None:
            return
        self._health = begin(thresholds, fresh=fresh)
        up = self._health.up
        if up is not None and _begins_known(self._health.thresholds):
            self.initial = _STATE[up]
            name = "Envoy" if self._health.thresholds.eager else "HAProxy"
            self.evidence = f"{name} begins {self.initial}, and the capture shows its first check"

    @property
    def state(self) -> str:
        """The state now: UP, DOWN or unknown."""
        return _STATE[None if self._health is None else self._health.up]

    def begin_anew(self) -> None:
        """Begin with the state that a new process of the checker has."""
        if self._thresholds is not None:
            self._health = begin(self._thresholds, fresh=True)

    def count(self, step: Step, *, answered: bool) -> Judged | None:
        """Count a check, and those before it that are not in the capture; `answered`: the server itself said that it failed."""
        if self._health is None:
            return None
        if step.before or step.unknown:
            self._health = pass_over(self._health, step.before, step.unknown)
        judged = count(self._health, step.result, answered=answered)
        self._health = judged.health
        return judged

    def tell(self, judged: Judged, made: Attempt, end_ns: int, results: Sequence[bool | None]) -> None:
        """Take in what a check decided or showed; `results` are those of the series up to it."""
        assert self._thresholds is not None
        kind, before = judged.decision, "DOWN" if judged.decision is DecisionKind.UP else "UP"
        if kind is None and judged.settled is not None and self._fresh and self._thresholds.announces:
            kind, before = DecisionKind.UP if judged.settled else DecisionKind.DOWN, "unknown"
        if kind is not None:
            self.decisions.append(_decision(kind, before, made, end_ns, judged, self._thresholds, self._since_ns))
            self._since_ns = end_ns
        elif judged.settled is not None and self.initial == "unknown":
            if any(one is not judged.settled for one in results) or (len(results) > 1 and not judged.settled):
                self.known_ns = end_ns  # (what it was before may have been either)
            self.initial = _STATE[judged.settled]
            checks = f"first {len(results)} checks leave" if len(results) > 1 else "first check leaves"
            self.evidence = f"the capture's {checks} no other state possible"


def _begins_known(thresholds: Thresholds) -> bool:
    """Tell whether the program's own state at its start is known."""
    return thresholds.eager or thresholds.rule is Rule.COUNTER


def _decision(
    kind: DecisionKind,
    before: str,
    made: Attempt,
    end_ns: int,
    judged: Judged,
    thresholds: Thresholds,
    since: int | None,
) -> Decision:
    mark = made.end_mark
    if mark is None:
        connection = made.legs[0].connection
        mark = connection.end if connection.end.ns <= made.end_ns else made.start
    return Decision(
        ns=end_ns,
        kind=kind,
        before=before,
        after="UP" if kind is DecisionKind.UP else "DOWN",
        attempt=made.n,
        mark=mark,
        streak=judged.streak,
        threshold=judged.threshold,
        threshold_source=thresholds.source("rise" if kind is DecisionKind.UP else "fall"),
        since_ns=end_ns - since if since is not None else None,
    )
