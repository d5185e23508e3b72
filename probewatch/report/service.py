"""Where a probe stands at the end of the input: whether what was wrong is over, and since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ..decisions.holes import DOWN_STATES
from ..decisions.outages import By, Outage, answered_again, input_end, outages, restarts
from ..model.spec import ProbeType
from ..model.timeline import NOT_DUE, Decision, GapKind, Outcome, Probe, Timeline
from ..model.units import MS
from . import words
from .escape import safe
from .numbers import count, span

NOTHING_NS: Final = 50 * MS
"""A time that is told as 0.0 s: it says less than none."""


class Standing(NamedTuple):
    """Where a probe stands at the end of the input."""

    over: bool | None
    """Whether what was wrong is over; None where it came back before, or nothing tells."""
    sentence: str


def states(probe: Probe) -> tuple[str, str]:
    """Return what being in service and out of it are called: Ready and NotReady, or a load balancer's UP and DOWN.

    What follows a kubelet's rules has its words, in each line of it, also where nothing proves that a kubelet asks.
    """
    said = {probe.initial_state, probe.final_state, *(d.after for d in probe.decisions[-1:])}
    if said & {"UP", "DOWN"} or (probe.checker.kind != "kubelet" and probe.type is ProbeType.UNKNOWN):
        return "UP", "DOWN"
    return "Ready", "NotReady"


def standing(probe: Probe, timeline: Timeline, when: Callable[[int], str]) -> Standing | None:
    """Return whether what was wrong with a probe is over at the end of the input; None where no attempt tells.

    `when` writes a moment.
    """
    if not probe.attempts:
        return None
    found = _standing(probe, timeline, when)
    gap = probe.last_gap
    if found.over is not False and gap is not None:
        if gap.kind is GapKind.POD_DELETED:
            return Standing(None, f"{found.sentence}; not probed since {when(gap.start_ns)}: {safe(gap.reason)}")
        are = "is missing" if gap.expected == 1 else "are missing"
        if gap.kind in NOT_DUE:
            are = "was not sent" if gap.expected == 1 else "were not sent"
        missing = f"since {when(gap.start_ns)} {count(gap.expected, 'attempt')} {are}"
        return Standing(None, f"{found.sentence}; {missing}, so its present state is not known")
    return found


def _standing(probe: Probe, timeline: Timeline, when: Callable[[int], str]) -> Standing:
    end = input_end(timeline, probe.attempts[-1].end_ns)
    killed = [decision for one, decision in restarts(probe, timeline) if one.id == probe.id]
    if killed:
        return _after_restart(probe, timeline, killed, when, end)
    gone = outages(probe, timeline)
    if gone:
        return _after_outage(probe, gone, when, end)
    if probe.final_state in DOWN_STATES:
        # (Before failures that nothing read leads up to, it may have been anything.)
        still = "" if any(a.outcome is Outcome.INCONCLUSIVE for a in probe.attempts) else "still "
        return Standing(False, f"{still}{safe(probe.final_state)} at the end")
    return _latest(probe, when)


def _after_outage(probe: Probe, gone: list[Outage], when: Callable[[int], str], end: int) -> Standing:
    last = gone[-1]
    up, down = states(probe)
    if last.end_ns is None:
        since = f"{when(last.start_ns)} at the latest" if last.began_in is not None else when(last.start_ns)
        return Standing(False, f"{down} since {since}, {_to_end(end - last.start_ns)}")
    if last.ended_in is not None and last.ended_in.up is None:
        return Standing(None, f"{down} when last seen, at {when(last.end_ns)}")
    latest = " at the latest" if last.ended_in is not None else ""
    text = f"{up} since {when(last.end_ns)}{latest}, {_to_end(end - last.end_ns)}"
    if len(gone) > 1:
        return Standing(None, f"{text}; but it had recovered {_times(len(gone) - 1)} before")
    return Standing(True, text)


def _after_restart(
    probe: Probe, timeline: Timeline, killed: list[Decision], when: Callable[[int], str], end: int
) -> Standing:
    last = killed[-1]
    back = answered_again(probe, timeline, last.ns)
    again = f"; restarted {_times(len(killed))}" if len(killed) > 1 else ""
    if back is None:
        text = f"no new container has answered since the Restart at {when(last.ns)}, {_to_end(end - last.ns)}"
        return Standing(False, text + again)
    by, attempt = back
    text = (
        f"a new container answers since {when(attempt.end_ns)} ({words.kind(by)} #{attempt.n}), "
        f"{span(max(0, attempt.end_ns - last.ns))} after the Restart{again}"
    )
    latest = probe.attempts[-1]
    if latest.start.ns > last.ns and latest.outcome is Outcome.FAILURE:
        return Standing(False, f"{text}; failing again: {latest.streak} of {latest.threshold} in a row")
    return Standing(None if again else True, text)


def _latest(probe: Probe, when: Callable[[int], str]) -> Standing:
    """Tell by the latest attempts alone."""
    run = 0
    latest = probe.attempts[-1].outcome
    for attempt in reversed(probe.attempts):
        if attempt.outcome is not latest:
            break
        run += 1
    begun = probe.attempts[-run]
    if latest is Outcome.SUCCESS:
        return Standing(True, f"{_latest_ones(run)} succeeded, {_from(run, when(begun.start.ns))}")
    word = {Outcome.FAILURE: "failed", Outcome.DISCARDED: "was discarded" if run == 1 else "were discarded"}.get(latest)
    if word is None:
        return Standing(None, "the latest attempt is inconclusive")
    threshold = probe.attempts[-1].threshold
    few = latest is Outcome.FAILURE and run < threshold and not words.presumed(probe)
    of = f"; it takes {threshold} in a row" if few else ""
    return Standing(False, f"{_latest_ones(run)} {word}, {_from(run, when(begun.start.ns))}{of}")


def _latest_ones(number: int) -> str:
    return "the latest attempt" if number == 1 else f"the latest {number} attempts"


def _from(number: int, moment: str) -> str:
    return f"at {moment}" if number == 1 else f"since {moment}"


def _to_end(ns: int) -> str:
    """Return `for the last 39.6 s`: what was captured of it, for it may have gone on."""
    return "right before the end of the capture" if ns < NOTHING_NS else f"for the last {span(ns)}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def told(gone: Iterable[Outage]) -> str:
    """Return what took it out of service but its own threshold: `its container was restarted by the liveness probe`."""
    kinds = dict.fromkeys((one.by, one.restarted_by, one.doubtful) for one in gone if one.by is not By.DECISION)
    said = []
    for by, killer, doubtful in kinds:
        if doubtful:
            said.append("no frame shows why")
        elif by is By.KUBELET:
            said.append("its kubelet was restarted")
        elif killer is not None:
            said.append(f"its container was restarted by the {safe(killer.value)} probe")
        else:
            said.append("its container ended")
    return ", ".join(said)
