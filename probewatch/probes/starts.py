"""Patterns over beginnings of containers: what fails only until the application is up, and what is killed before it is.

A container's life lasts here from where it was seen to begin to where the next was. What ends it is a Restart decision of
one of its probes, or not known. A life that was ended so before anything of it had answered says little by itself: the
port may be wrong, or the start too slow. A later life that answers the same probe tells which.

Limitations. When exactly a container began no packet shows: after a Restart it is between that and the first sign of the
new one, so times since are told as bounds. That a start takes longer some times than others is all that shows where the
one that answered took less than its probes allow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from probewatch.model.attempts import start_of
from probewatch.model.diagnoses import Kind
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Attempt, Cause, Decision, DecisionKind, EventKind, Outcome, Probe, TimelineEvent
from probewatch.model.units import SECOND, briefly

from .diagnose import Found
from .scene import NEAR_NS, Scene, containers, happened

_MESH: Final = frozenset({Kind.SIDECAR_DOWN, Kind.MESH_HIDES_IT})
"""What says more than that the container was new: it is the mesh's container that was late."""
_UNREADY: Final = frozenset(
    {
        Kind.NOTHING_LISTENS,
        Kind.SAYS_UNHEALTHY,
        Kind.TURNED_AWAY,
        Kind.APPLICATION_SLOW,
        Kind.CLOSED_UNANSWERED,
        Kind.RESET_BY_SERVER,
        Kind.GRPC_REFUSED,
        Kind.GRPC_NO_HEALTH,
        Kind.GRPC_UNHEALTHY,
    }
)
"""How an application that is not up yet fails: its kernel, or itself, is there and says so."""
_ROOM: Final = (
    "Nothing, as long as the slowest start stays well below failureThreshold x periodSeconds of this startup probe."
)
"""What to do about a start that a startup probe waits for: it is what the advice for the others asks for."""


class _Life(NamedTuple):
    """One container, as far as it was seen."""

    since_ns: int
    """The earliest that it can have begun, where that is known; else when it was seen to have begun."""
    begun_ns: int
    """When it had begun at the latest."""
    first_ns: int
    """What was asked from here on may have met it."""
    until_ns: int | None
    """When the next had begun; None where none did."""
    killer: tuple[Probe, Decision] | None
    """The probe that had it killed, and the decision."""


def starting(scene: Scene) -> None:
    """See failures from a container's beginning to its first success (D23)."""
    for place, probe in enumerate(scene.probes):
        if probe.checker.kind != "kubelet":
            continue
        begun = sorted(e.ns for e in happened(scene, place, EventKind.CONTAINER_STARTED) if not e.doubtful)
        borders = [bisect_left(probe.attempts, ns - NEAR_NS, key=start_of) for ns in begun]
        for at, end in pairwise([*borders, len(probe.attempts)]):
            life = probe.attempts[at:end]
            first = next((at for at, a in enumerate(life) if _answered(a)), None)
            early = [a for a in life[:first] if a.outcome is Outcome.FAILURE and scene.kind(place, a) not in _MESH]
            if not early or first is None:
                continue
            took = briefly(life[first].end_ns - early[0].start.ns)
            worked = "worked" if life[first].outcome is Outcome.SUCCESS else "answered (encrypted)"
            text = f"It failed only while the container was new, and {worked} {took} after the first attempt."
            startup = probe.type is ProbeType.STARTUP
            scene.say(place, early, Found(Kind.STILL_STARTING, text, advice=_ROOM if startup else ""))


def killed(scene: Scene) -> None:
    """See containers that a probe had killed before they had answered, where a later one answers (D23)."""
    for places in containers(scene):
        lives = _lives(scene, places)
        for place in places:
            _killed(scene, place, lives, [scene.probes[p] for p in places])


def _killed(scene: Scene, place: int, lives: Sequence[_Life], siblings: Sequence[Probe]) -> None:
    probe = scene.probes[place]
    alike = [one for one in siblings if one.target == probe.target]
    early: list[Attempt] = []
    ended: list[_Life] = []
    """Killed before they had answered, since the last that had."""
    for life in lives:
        if not any(_answered(a) for one in alike for a in _asked(one, life)):
            if life.killer is not None:
                ended.append(life)
                early += [a for a in _asked(probe, life) if a.outcome is Outcome.FAILURE]
            continue
        met = next((a for a in _asked(probe, life) if _answered(a)), None)
        told = [a for a in early if scene.kind(place, a) in _UNREADY]
        if met is not None and told:
            scene.say(place, told, _found(ended, life, met))
        early, ended = [], []


def _found(ended: Sequence[_Life], life: _Life, met: Attempt) -> Found:
    """Say by how much the killed were short of time, and what would have been enough, as far as that shows."""
    ran, killer = max(
        ((one.killer[1].ns - one.begun_ns, one.killer[0]) for one in ended if one.killer is not None),
        key=lambda item: item[0],
    )
    took = met.end_ns - life.since_ns
    exact = took - (met.start.ns - life.begun_ns) < SECOND
    times = {1: "", 2: " twice"}.get(len(ended), f" {len(ended)} times")
    text = (
        f"The {killer.type} probe had the container killed{times} before it had ever answered, "
        f"{'' if len(ended) == 1 else 'the longest '}{briefly(ran)} or more after its start. The next one answered this very probe "
        f"{'' if exact else 'at most '}{briefly(took)} after its start: the application was still starting."
    )
    numbers = {name: killer.thresholds.get(name) for name in ("failureThreshold", "periodSeconds")}
    threshold, period = numbers["failureThreshold"], numbers["periodSeconds"]
    if killer.spec is not None and threshold is not None and period is not None:
        delay = killer.spec.initial_delay_s
        gives = delay + threshold[0] * period[0]
        sum_of = f"failureThreshold {threshold[0]} x periodSeconds {period[0]}"
        sum_of = f"initialDelaySeconds {delay} + {sum_of}" if delay else sum_of
        text += f" The probe gives a start at most {gives} s ({sum_of})."
    slowest = f"the slowest start, which takes more than {briefly(max(ran, took if exact else 0))} here"
    if killer.type is ProbeType.STARTUP:
        advice = f"Raise the startup probe's failureThreshold until failureThreshold x periodSeconds is well above {slowest}."
    else:
        advice = (
            f"Add a startupProbe whose failureThreshold x periodSeconds is well above {slowest}; or raise initialDelaySeconds of the "
            f"{killer.type} probe as far."
        )
    return Found(Kind.KILLED_WHILE_STARTING, text, advice=advice)


def _lives(scene: Scene, places: Sequence[int]) -> list[_Life]:
    """Return the lives of a container that were seen to begin, in order."""
    begun: list[TimelineEvent] = sorted(
        (e for e in happened(scene, places[0], EventKind.CONTAINER_STARTED) if not e.doubtful), key=lambda e: e.ns
    )
    decided = sorted(
        (
            (d.ns, scene.probes[place], d)
            for place in places
            for d in scene.probes[place].decisions
            if d.kind is DecisionKind.RESTART and d.confirmed is not False
        ),
        key=lambda item: item[0],
    )
    found: list[_Life] = []
    for at, event in enumerate(begun):
        until = begun[at + 1].ns if at + 1 < len(begun) else None
        after = begun[at - 1].ns if at else None
        before = [ns for ns, _, _ in decided if ns <= event.told_ns and (after is None or ns >= after)]
        mine = [(one, d) for ns, one, d in decided if ns > event.told_ns and (until is None or ns <= until)]
        found.append(
            _Life(
                since_ns=before[-1] if before else event.told_ns,
                begun_ns=event.told_ns,
                first_ns=event.ns - NEAR_NS,
                until_ns=None if until is None else until - NEAR_NS,
                killer=mine[-1] if mine else None,
            )
        )
    return found


def _asked(probe: Probe, life: _Life) -> Sequence[Attempt]:
    """Return a probe's attempts from a container's beginning to the next one's."""
    end = len(probe.attempts) if life.until_ns is None else bisect_left(probe.attempts, life.until_ns, key=start_of)
    return probe.attempts[bisect_left(probe.attempts, life.first_ns, key=start_of) : end]


def _answered(attempt: Attempt) -> bool:
    """Tell whether it worked, or was answered inside TLS: something listens there, whatever it says."""
    return attempt.outcome is Outcome.SUCCESS or attempt.cause is Cause.ENCRYPTED
