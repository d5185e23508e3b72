"""Comments on the frames that mattered, for a capture that is opened in Wireshark: `readiness #12: failure 3/3 -> NotReady`."""

from __future__ import annotations

from collections.abc import Iterable

from ..model.frame import Mark
from ..model.timeline import Attempt, Decision, Outcome, Probe, Timeline
from . import words
from .escape import safe
from .numbers import duration

Frames = dict[tuple[int, int], list[str]]
"""(input, frame number) -> its comments."""


def comments(timeline: Timeline) -> Frames:
    """Return a comment for the first frame of each attempt, the frame that gave its verdict, and an answer that came too late.

    A verdict by silence stands on the attempt's first frame. Decisions stand with the verdict that brought them about. What
    sent no frame of its own stands on the address request that was still unanswered then.
    """
    found: Frames = {}
    for probe in timeline.probes:
        decided: dict[int, list[Decision]] = {}
        for decision in probe.decisions:
            decided.setdefault(decision.attempt, []).append(decision)
        for attempt in probe.attempts:
            _attempt(probe, attempt, decided.get(attempt.n, ()), found)
    return found


def names(timeline: Timeline) -> dict[str, list[str]]:
    """Return the names of addresses that are known: Pods as `namespace/name`, nodes as they are called."""
    found: dict[str, list[str]] = {}
    for probe in timeline.probes:
        target, checker = probe.target, probe.checker
        if target.pod is not None:
            _name(found, target.address, f"{target.namespace}/{target.pod}" if target.namespace else target.pod)
        if checker.pod or checker.node:
            _name(found, checker.address, checker.pod or checker.node or "")
        if checker.node and checker.node_address:
            _name(found, checker.node_address, checker.node)
    for other in timeline.others:
        if other.name:
            _name(found, other.address, other.name)
    return found


def _name(found: dict[str, list[str]], address: str, name: str) -> None:
    known = found.setdefault(address, [])
    if safe(name) not in known:
        known.append(safe(name))


def _attempt(probe: Probe, attempt: Attempt, decisions: Iterable[Decision], found: Frames) -> None:
    def say(mark: Mark, text: str) -> None:
        found.setdefault((mark.file, mark.number), []).append(text)

    who = f"{words.kind(probe)} #{attempt.n}"
    result = words.result(attempt, probe.handler)
    verdict = attempt.outcome.value
    if attempt.streak and attempt.streak <= attempt.threshold:
        verdict += f" {attempt.streak}/{attempt.threshold}"
    elif attempt.streak > 1:
        verdict += f", {attempt.streak} in a row"
    verdict += "".join(f" -> {safe(decision.after)}" for decision in decisions)
    begins = f"{who} begins: {words.label(probe)}"
    if attempt.implied:
        begins = f"{who} sends no frame of its own, address resolution is still going on: {words.label(probe)}"
    if attempt.end_mark is None:
        after = "" if attempt.outcome is Outcome.INCONCLUSIVE else f" after {duration(attempt.latency_ns)}"
        begins += f"; {result}{after}: {verdict}"
        say(attempt.start, begins)
        if attempt.late_answer_ns is not None:
            late = _at(attempt, attempt.start.ns + attempt.late_answer_ns)
            if late is not None:
                say(late, f"{who}: the answer, {duration(attempt.late_answer_ns)} after it began: too late")
        return
    say(attempt.start, begins)
    say(attempt.end_mark, f"{who}: {result}: {verdict}" if result != "ok" else f"{who}: {verdict}")


def _at(attempt: Attempt, ns: int) -> Mark | None:
    """Return the server's frame of that moment, as far as the timeline kept it."""
    for leg in attempt.legs:
        for arrival in leg.connection.resp.arrivals:
            if arrival.mark.ns == ns:
                return arrival.mark
    return None
