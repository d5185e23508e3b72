"""A container that is restarted again and again: how often, after which pauses, and whether the kubelet holds it back.

Theory of operation. The kubelet starts an exited container again after a wait that begins at 10 s and doubles up to 5 min
(kubelet.go newCrashLoopBackOff, kuberuntime_manager.go doBackOff), and forgets that after a container has run for ten
minutes. The wait counts from the end of an exited container that is in the status when it decides: after a kill by a
probe that is the one *before* the one just killed, so some restarts are immediate and the pauses then need not be round.

A life of a container begins where a new one was seen (`container_started`), and ends with a Restart decision, else, where
it exited by itself, with the last success before its successor. A pause in which its readiness probe sent nothing, though
several attempts were due, is one without a container: no probe runs then. A container that takes long to end is still
asked.

Where a container ends before anything of it answers no new one is seen to begin, only a few attempts each time that fail. Pauses
between them in which nothing was probed, each about twice as long as the one before, are the kubelet's wait all the same.

Limitations. An image that is being pulled, or a sandbox made anew, look like the back-off. Where no readiness probe runs,
an end that takes long (terminationGracePeriodSeconds) looks like it too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from probewatch.model.attempts import start_of
from probewatch.model.diagnoses import BACK_OFF, Kind
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Attempt, DecisionKind, EventKind, Outcome, Probe
from probewatch.model.units import MINUTE, MS, SECOND, briefly

from .diagnose import Found
from .scene import Scene, containers, happened

FEWEST: Final = 3
"""Restarts that make a loop."""
FEWEST_HELD: Final = 2
"""Restarts that do where the kubelet held one of them back."""
FORGOTTEN_NS: Final = 600 * SECOND
"""A container that lived so long has no back-off any more."""
HELD_NS: Final = 9 * SECOND
"""A pause this long without a container is the kubelet's first wait (10 s), less what the packets do not show of its ends."""
DUE: Final = 2
"""Attempts of the readiness probe that must have been due in a pause without one."""
GROWN: Final = (1.5, 2.6)
"""A pause is so many times as long as the one before, where the kubelet's wait is doubled; what the container ran is in it."""
LONGEST_NS: Final = 330 * SECOND
"""The kubelet's longest wait (5 min), with what the packets do not show of its ends: such pauses grow no more."""
SHORT_NS: Final = 10 * MS
"""A pause below this is within what its ends are known to: a verdict and the next frame may even seem to change places."""
SHOWN: Final = 8
"""Pauses told one by one."""


class Renewal(NamedTuple):
    """One container's end, and the beginning of the next."""

    end_ns: int
    begin_ns: int | None
    """None where no new one was seen."""
    proof: Attempt | None
    """The attempt that decided the end, else the first that met the new container."""
    pause_ns: int
    """From the end to the beginning of the next; where there is none, to the last that is known of its probes."""
    silent_ns: int | None
    """The part of it without an attempt of readiness; None where no readiness probe tells."""

    def held(self) -> bool:
        """Tell whether the pause is one in which the kubelet waits."""
        return (self.pause_ns if self.silent_ns is None else self.silent_ns) >= HELD_NS


def restart_loop(scene: Scene) -> None:
    """See a container that is restarted again and again (D45)."""
    for places in containers(scene):
        begun = sorted(e.ns for e in happened(scene, places[0], EventKind.CONTAINER_STARTED))
        killed = _killed([scene.probes[place] for place in places])
        told = False
        if len(begun) + len(killed) < FEWEST_HELD:
            _held_back(scene, places)
            continue
        for loop in _loops(_renewals([scene.probes[place] for place in places], begun, killed)):
            place = _whose(scene, places)
            scene.note(place, [r.proof for r in loop if r.proof is not None], Found(Kind.RESTART_LOOP, _sentence(loop)))
            told = True
        if not told:
            _held_back(scene, places)


def _held_back(scene: Scene, places: Sequence[int]) -> None:
    """See a container that ends before it answers, and is started after growing pauses: its readiness probe only fails between them."""
    for place in places:
        probe = scene.probes[place]
        if probe.type is not ProbeType.READINESS:
            continue
        period = probe.thresholds.get("periodSeconds", (10, ""))[0] * SECOND
        grown: list[tuple[int, Attempt]] = []
        """Pauses that grow, each with the attempt that ended it."""
        for before, after in pairwise(probe.attempts):
            if Outcome.SUCCESS in (before.outcome, after.outcome):
                grown.clear()
            pause = after.start.ns - before.end_ns
            if pause < max(HELD_NS, period + SECOND // 2):
                continue  # (a tick, or a poke)
            if grown and not _grows(grown[-1][0], pause):
                grown.clear()
            grown.append((pause, after))
        if len(grown) >= FEWEST:
            listed = ", ".join(briefly(pause) for pause, _ in grown[-SHOWN:])
            scene.note(
                place,
                [attempt for _, attempt in grown],
                Found(
                    Kind.RESTART_LOOP,
                    f"All attempts fail, and between them nothing was probed for {listed}. Such growing pauses fit {BACK_OFF}: a "
                    "container that ends soon after each start is started again after 10 s at first, then twice as long each "
                    "time, up to 5 min, and no probe runs meanwhile.",
                ),
            )


def _grows(before_ns: int, after_ns: int) -> bool:
    """Tell whether one pause follows another as the kubelet's wait does."""
    if after_ns > LONGEST_NS:
        return False
    return GROWN[0] <= after_ns / before_ns <= GROWN[1] or (before_ns > LONGEST_NS - MINUTE <= after_ns)


def _killed(probes: Sequence[Probe]) -> list[tuple[int, Attempt]]:
    """Return the Restart decisions of one container's probes in order, with the attempts that made them."""
    found = []
    for one in probes:
        for decision in one.decisions:
            if decision.kind is DecisionKind.RESTART and decision.confirmed is not False:
                at = decision.attempt - one.attempts[0].n  # its oldest attempts may have been let go
                if 0 <= at < len(one.attempts):
                    found.append((decision.ns, one.attempts[at]))
    return sorted(found, key=lambda item: item[0])


def _renewals(probes: Sequence[Probe], begun: Sequence[int], killed: Sequence[tuple[int, Attempt]]) -> list[Renewal]:
    """Return each end of one container, with what followed."""
    found: list[Renewal] = []
    first = min(one.attempts[0].start.ns for one in probes) - 1
    for before, begin in pairwise([min(first, *begun) - 1 if begun else first, *begun]):
        ends = [one for one in killed if before < one[0] < begin]
        if ends:
            found.append(_renewal(probes, *ends[-1], begin))
            continue
        good = [a.end_ns for a in (_latest_success(one, before, begin) for one in probes) if a is not None]
        if good or before in begun:  # else it is the beginning of the first container that was seen
            new = [one.attempts[at] for one in probes if (at := _at(one, begin)) < len(one.attempts)]
            met = min(new, key=start_of, default=None)
            found.append(_renewal(probes, max(good, default=before), met, begin))
    last = begun[-1] if begun else -1
    return found + [_renewal(probes, *one, None) for one in killed[-1:] if one[0] > last]


def _at(probe: Probe, ns: int) -> int:
    """Return the place of a probe's first attempt from a moment on."""
    return bisect_left(probe.attempts, ns, key=start_of)


def _latest_success(probe: Probe, after_ns: int, before_ns: int) -> Attempt | None:
    for at in range(_at(probe, before_ns) - 1, -1, -1):
        attempt = probe.attempts[at]
        if attempt.start.ns <= after_ns:
            return None
        if attempt.outcome is Outcome.SUCCESS:
            return attempt
    return None


def _renewal(probes: Sequence[Probe], end: int, proof: Attempt | None, begin: int | None) -> Renewal:
    until = begin
    if until is None:
        known = [a.end_ns for one in probes for a in one.attempts[-1:]] + [g.end_ns for one in probes for g in one.gaps]
        until = max([end, *known])
    return Renewal(end, begin, proof, until - end, _silence(probes, end, until))


def _silence(probes: Sequence[Probe], end: int, begin: int) -> int | None:
    """Return how long before a new container no readiness probe asked, where several attempts were due in that time.

    None where too few were due to tell, or no readiness probe runs.
    """
    asking = [one for one in probes if one.type is ProbeType.READINESS]
    if not asking:
        return None
    period = min(one.thresholds.get("periodSeconds", (10, ""))[0] for one in asking) * SECOND
    asked = [one.attempts[at].end_ns for one in asking if (at := _at(one, begin) - 1) >= 0]
    silent = begin - max([end, *asked])
    if silent >= DUE * period:
        return silent
    return None if silent >= HELD_NS else 0  # (too few attempts were due to tell)


def _loops(renewals: Sequence[Renewal]) -> list[list[Renewal]]:
    """Return the runs of restarts that are each within the kubelet's memory of the one before, and enough of them."""
    runs: list[list[Renewal]] = []
    for renewal in renewals:
        began = runs[-1][-1].begin_ns if runs else None
        if began is not None and renewal.end_ns - began < FORGOTTEN_NS:
            runs[-1].append(renewal)
        else:
            runs.append([renewal])
    return [run for run in runs if len(run) >= (FEWEST_HELD if any(r.held() for r in run) else FEWEST)]


def _whose(scene: Scene, places: Sequence[int]) -> int:
    """Return the probe that tells it: the one that had it restarted most often, else the readiness probe."""

    def weight(place: int) -> tuple[int, bool]:
        probe = scene.probes[place]
        return sum(d.kind is DecisionKind.RESTART for d in probe.decisions), probe.type is ProbeType.READINESS

    return max(places, key=weight)


def _sentence(loop: Sequence[Renewal]) -> str:
    pauses = [r.pause_ns for r in loop if r.begin_ns is not None]
    last = loop[-1]
    lasted = (last.end_ns if last.begin_ns is None else last.begin_ns) - loop[0].end_ns
    told = [briefly(ns) if ns >= SHORT_NS else f"less than {briefly(SHORT_NS)}" for ns in pauses[-SHOWN:]]
    latest = f"the latest {len(told)} times after " if len(told) < len(pauses) else "after "
    listed = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else "".join(told)
    often = "twice" if len(loop) == 2 else f"{len(loop)} times"
    text = f"The container ended {often} within {briefly(lasted)}"
    text += f", and ran again {latest}{listed}" if told else ""
    if last.begin_ns is None:
        short = last.pause_ns < SECOND  # nothing could have come
        text += "" if short else f"; no new one was seen in the {briefly(last.pause_ns)} after its last end"
    held = [r for r in loop if r.held()]
    grown = [r.pause_ns for r in loop if r.begin_ns is not None and r.pause_ns >= HELD_NS]
    if len(grown) >= FEWEST and all(_grows(*pair) for pair in pairwise(grown)):
        return f"{text}. Such growing pauses fit {BACK_OFF}: 10 s at first, then twice as long each time, up to 5 min."
    if not held and max(pauses, default=0) >= HELD_NS:
        return (
            f"{text}. In none of these pauses did probes stop for as long as the kubelet's back-off (CrashLoopBackOff, 10 s at first) "
            "takes."
        )
    if not held:
        return f"{text}. No pause is as long as the kubelet's back-off (CrashLoopBackOff, 10 s at first) yet."
    longest = max(held, key=lambda r: r.pause_ns)
    pause, silent = briefly(longest.pause_ns), briefly(longest.silent_ns or 0)
    if any(r.silent_ns is None for r in held):
        return (
            f"{text}. A pause of {pause} fits {BACK_OFF}; or the container takes that "
            "long to end, which no readiness probe tells apart."
        )
    unasked = (
        "in which it was not probed at all" if silent == pause else f"with {silent} in which it was not probed at all"
    )
    return f"{text}. A pause of {pause} {unasked} fits {BACK_OFF}: 10 s at first, then twice as long each time, up to 5 min."
