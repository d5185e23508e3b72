"""Captures that hold one direction only: taken at a mirror port, at one leg of a route, or beside an eBPF data path.

The target's direction shows its answers, which decide; the checker's shows only that it asked.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.diagnoses import Kind
from probewatch.model.timeline import Attempt, Cause, Outcome

from .diagnose import Found
from .scene import Scene, runs

FEWEST: Final = 3
"""So many attempts in a row of one direction are no loss of frames."""


def one_direction(scene: Scene) -> None:
    """See attempts of which one direction was captured (D47)."""
    for place, probe in enumerate(scene.probes):
        halves = {attempt.n: half for attempt in probe.attempts if (half := _half(attempt))}
        silent: list[Attempt] = []
        if len(halves) >= FEWEST and all(a.n in halves or _is_silent(a) for a in probe.attempts):
            silent = [attempt for attempt in probe.attempts if attempt.n not in halves]
            text = (
                "Only the checker's direction was captured: it did not connect, whether refused or not answered at all."
            )
            scene.say(place, silent, Found(Kind.ONE_DIRECTION, text))
        for run in runs(probe.attempts, set(halves)):
            if len(run) < FEWEST:
                continue
            unclear = [attempt for attempt in run if attempt.outcome is Outcome.INCONCLUSIVE]
            whose = halves[run[0].n]
            if unclear:
                scene.say(place, unclear, Found(Kind.ONE_DIRECTION, f"Only the {whose}'s direction was captured."))
            elif not silent:
                left = (
                    "what it answered is told, not whether that reached the checker"
                    if whose == "target"
                    else "it connected"
                )
                text = f"Only the {whose}'s direction was captured: {left}."
                scene.note(place, run, Found(Kind.ONE_DIRECTION, text))


def _is_silent(attempt: Attempt) -> bool:
    """Tell whether it failed by SYNs alone."""
    return attempt.cause is Cause.NO_SYN_ANSWER and not any(leg.connection.resp.packets for leg in attempt.legs)


def _half(attempt: Attempt) -> str:
    """Return which side alone is seen of an attempt, `checker` or `target`; empty where both are, or nothing was answered."""
    sides = set()
    for leg in attempt.legs:
        orig, resp = leg.connection.orig, leg.connection.resp
        if leg.connection.only_data:
            return ""  # a filter left out more than a direction (`observer.lacking`)
        if not orig.packets and resp.packets:
            sides.add("target")
        elif not resp.packets and (orig.length or orig.first_ack is not None):
            sides.add("checker")
        else:
            return ""
    return sides.pop() if len(sides) == 1 else ""
