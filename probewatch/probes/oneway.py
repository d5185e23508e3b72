"""Captures that hold one direction only: taken at a mirror port, at one leg of a route, or beside an eBPF data path.

The target's direction shows its answers, which decide; the checker's shows only that it asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.diagnoses import Kind
from probewatch.model.timeline import (
    UNSEEN,
    Attempt,
    Cause,
    EventKind,
    Gap,
    GapKind,
    Outcome,
    Probe,
    TimelineEvent,
)

from .diagnose import Found
from .scene import Scene, runs

FEWEST: Final = 3
"""So many attempts in a row of one direction are no loss of frames."""


def one_direction(scene: Scene) -> None:
    """See attempts of which one direction was captured (D47)."""
    sides = _sides(scene.probes)
    for place, probe in enumerate(scene.probes):
        halves = {attempt.n: half for attempt in probe.attempts if (half := _half(attempt))}
        silent: list[Attempt] = []
        if sides.get((probe.checker.address, probe.target.address)) == "checker":
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


def qualified(
    probes: Sequence[Probe], events: Sequence[TimelineEvent]
) -> tuple[list[Probe], tuple[TimelineEvent, ...]]:
    """Return probes and events with what one direction leaves open.

    Where outcomes are not known, that a kubelet was restarted is only one of the things that look like silence and a new phase.
    """
    sides = _sides(probes)
    deaf = {
        name
        for probe in probes
        if (probe.checker.address, probe.target.address) in sides
        for name in (probe.checker.address, probe.checker.node)
        if name
    }
    heard = {
        name
        for probe in probes
        if (probe.checker.address, probe.target.address) not in sides
        for name in (probe.checker.address, probe.checker.node)
        if name
    }
    doubted = {
        event.ns
        for event in events
        if event.kind is EventKind.KUBELET_RESTARTED and event.address in deaf - heard and not event.doubtful
    }
    if not doubted:
        return list(probes), tuple(events)
    out = [
        replace(probe, gaps=tuple(map(_unexplained, probe.gaps)))
        if (probe.checker.address, probe.target.address) in sides
        else probe
        for probe in probes
    ]
    return out, tuple(
        replace(event, doubtful=True, evidence=f"{event.evidence}{LOOKS_ALIKE}") if event.ns in doubted else event
        for event in events
    )


LOOKS_ALIKE: Final = "; only one direction was captured, and a back-off of its container looks the same there"


def _unexplained(gap: Gap) -> Gap:
    if gap.kind is not GapKind.KUBELET_RESTARTED:
        return gap
    return replace(gap, kind=GapKind.UNEXPLAINED, reason=UNSEEN)


def _sides(probes: Sequence[Probe]) -> dict[tuple[str, str], str]:
    """Return which side alone was captured, `checker` or `target`, by checker and target; nothing where both were.

    Of the checker's side a SYN that nothing answers says nothing: the answer would not be here.
    """
    halves: dict[tuple[str, str], Counter[str]] = {}
    for probe in probes:
        counted = halves.setdefault((probe.checker.address, probe.target.address), Counter())
        for attempt in probe.attempts:
            counted[_half(attempt) or ("" if _is_silent(attempt) else "both")] += 1
    return {
        ends: side
        for ends, counted in halves.items()
        for side, silent in (("checker", True), ("target", False))
        if counted[side] >= FEWEST and counted[side] + silent * counted[""] == counted.total()
    }


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
