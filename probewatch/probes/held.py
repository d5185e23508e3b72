"""Connections of others that hold a server up: one client's silence that all answers wait for.

Theory of operation. A server that gives each connection a worker, and has one, answers nobody while a connection is open on
which nothing is asked. The wire shows it by its end: the answers that were due come in the same moment as that
connection's close, and none came while it was open.

Limitations: only connections that their client closes, with no byte on them, are looked at. Which worker they held no packet says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.diagnoses import Kind
from probewatch.model.timeline import Attempt
from probewatch.model.units import MS, briefly

from .diagnose import Found
from .scene import Scene

FEWEST: Final = 2
"""Answers that must have waited for the same end."""
AT_ONCE_NS: Final = 200 * MS
"""Late answers to several attempts within this come of one moment: what they waited for went on then."""


def worker_held(scene: Scene) -> None:
    """See answers that all came when another connection, on which nothing was asked, was closed (D09)."""
    at: dict[tuple[str, int | None], list[int]] = {}
    for place, probe in enumerate(scene.probes):
        at.setdefault((probe.target.address, probe.target.port), []).append(place)
    for target, connections in scene.heard.idle.items():
        places = at.get(target, [])
        slow = [
            (place, a)
            for place in places
            for a in scene.probes[place].attempts
            if scene.kind(place, a) == Kind.APPLICATION_SLOW
        ]
        for connection in connections if len(slow) >= FEWEST else ():
            _blame(scene, places, slow, connection)


def _blame(scene: Scene, places: Sequence[int], slow: Sequence[tuple[int, Attempt]], connection: Connection) -> None:
    """Say it of the attempts that were made while this connection was open, where their answers came with its end."""
    closed = connection.orig.closed
    if closed is None:
        return
    begun, over = connection.start.ns, closed.ns
    waited = [(place, a) for place, a in slow if begun <= a.start.ns <= over]
    came = [a.start.ns + a.late_answer_ns for _, a in waited if a.late_answer_ns is not None]
    at_once = sum(over <= ns <= over + AT_ONCE_NS for ns in came)
    others = any(
        begun <= a.start.ns and a.end_ns <= over and _answered(a)
        for place in places
        for a in scene.probes[place].attempts
        if scene.kind(place, a) != Kind.APPLICATION_SLOW
    )
    if at_once < FEWEST or at_once < len(came) or others:
        return
    text = (
        f"{at_once} answers came within {briefly(max(came) - over)} of the end of another connection, from {connection.client} port "
        f"{connection.client_port}, that had been open for {briefly(over - begun)} with nothing asked on it (frames "
        f"{connection.start.number} and {closed.number}): it held the server's only worker."
    )
    for place, a in waited:
        scene.say(place, [a], Found(Kind.WORKER_HELD, text))


def _answered(attempt: Attempt) -> bool:
    """Tell whether the server itself, and not only its kernel, answered in time."""
    return attempt.late_answer_ns is None and any(leg.connection.resp.length for leg in attempt.legs)
