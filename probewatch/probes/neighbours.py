"""What attempts at one port say about each other: what was left open by one, another one may settle.

A port that spoke HTTP in clear a minute ago does not want TLS; one that answered before has stopped, and is not the wrong
one; one that never opened in any life of a container that its liveness probe ends needs longer, or another number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.diagnoses import KILLED_EARLY, NEVER_LISTENED, NEVER_LISTENED6, STOPPED_LISTENING, Kind
from probewatch.model.diagnosis import Diagnosis
from probewatch.model.spec import Handler
from probewatch.model.timeline import Attempt, Cause, DecisionKind, Outcome, Probe
from probewatch.model.units import MS

from .scene import Scene, grouped

OFTEN: Final = 3
"""Requests that must all have been reset before it is the port, and no chance."""
AT_ONCE_NS: Final = 50 * MS
"""A reset this soon behind a request is no crash of a worker that had begun with it."""
_WHO_RESETS: Final = (
    "Which container owns the port, and whether a service mesh's sidecar stands before it: curl http:// and curl -k https:// on the node; "
    "kubectl get peerauthentication -A (Istio); the sidecar's log."
)
_NOT_PLAIN: Final = (
    "Where a sidecar wants mutual TLS (Istio's STRICT), let the mesh rewrite the probe (sidecar.istio.io/rewriteAppHTTPProbers), or leave "
    "this port out of it; where the server itself wants TLS, set scheme: HTTPS. Else its own log says what it takes amiss."
)
_WANTS_PROXY: Final = (
    "Whether the port takes the PROXY protocol alone: nginx `listen ... proxy_protocol`, HAProxy `accept-proxy`."
)
_SEND_PROXY: Final = (
    "Let this check send a PROXY header as well (HAProxy: check-send-proxy on the server's line), or check a port that wants none; the "
    "kubelet cannot send one."
)
_AT_WORK: Final = "The application's log at these times says why: the port speaks the probe's protocol at others."
"""What to do where one connection was ended, and other attempts at the same port were answered."""


def same_port(scene: Scene) -> None:
    """Hold each attempt's diagnosis against the other attempts at its address and port."""
    for here in grouped(
        scene, lambda one: None if one.handler is Handler.EXEC else (one.target.address, one.target.port)
    ):
        if any(scene.found[place] for place in here):
            probes = [scene.probes[place] for place in here]
            _protocol(scene, here, probes)
            _listener(scene, here, probes)
            _plain_reset(scene, here, probes)
            _proxy_wanted(scene, here, probes)


def _protocol(scene: Scene, here: Sequence[int], probes: Sequence[Probe]) -> None:
    """Rule out another protocol where the probe's own was spoken."""
    ruled_out = set()
    if any(_spoke(one, "HTTP") for one in probes):
        ruled_out.add(Kind.HTTP_TO_HTTPS.value)
    if any(_spoke(one, "HTTPS") for one in probes):
        ruled_out.add(Kind.HTTPS_TO_HTTP.value)
    for place in here if ruled_out else ():
        found = scene.found[place]
        for n, one in found.items():
            if not ruled_out.isdisjoint(one.equally):
                found[n] = _without(one, ruled_out)


def _without(one: Diagnosis, ruled_out: set[str]) -> Diagnosis:
    left = tuple(kind for kind in one.equally if kind not in ruled_out)
    advice = _AT_WORK if one.kind == Kind.CLOSED_UNANSWERED else one.advice
    return replace(one, equally=left, advice=advice)


def _spoke(probe: Probe, scheme: str) -> bool:
    """Tell whether the target spoke this to the probe: HTTP in clear with a good status, or TLS with a ServerHello."""
    if probe.handler is not Handler.HTTP_GET or (probe.scheme or "HTTP").upper() != scheme:
        return False
    good = (Cause.OK, Cause.OK_REDIRECT) if scheme == "HTTP" else (Cause.OK, Cause.OK_REDIRECT, Cause.ENCRYPTED)
    return any(
        a.cause in good or (scheme == "HTTPS" and any(leg.tls is not None and leg.tls.version for leg in a.legs))
        for a in probe.attempts
    )


def _listener(scene: Scene, here: Sequence[int], probes: Sequence[Probe]) -> None:
    """Say of a port that refuses whether it ever answered, and whether it was given the time to."""
    refused = [(place, a) for place in here for a in _of_kind(scene, place, Kind.NOTHING_LISTENS)]
    if not refused:
        return
    opened = sorted(a.start.ns for one in probes for a in one.attempts if a.answered or a.outcome is Outcome.SUCCESS)
    killed = any(d.kind is DecisionKind.RESTART for one in probes for d in one.decisions)
    never = KILLED_EARLY if killed else NEVER_LISTENED6 if ":" in probes[0].target.address else NEVER_LISTENED
    for place, attempt in refused:
        if opened and not bisect_left(opened, attempt.start.ns):
            continue  # It answered later, and what is said of both stands.
        found = scene.found[place]
        found[attempt.n] = replace(found[attempt.n], advice=STOPPED_LISTENING if opened else never)


def _plain_reset(scene: Scene, here: Sequence[int], probes: Sequence[Probe]) -> None:
    """Say of a port that resets every plain request at once, and never answered one, that it wants something else."""
    reset = [(place, a) for place in here for a in _of_kind(scene, place, Kind.RESET_BY_SERVER)]
    sent = [(a, leg.connection) for one in probes for a in one.attempts for leg in a.legs if leg.connection.orig.length]
    if len(reset) < OFTEN or any(c.resp.length or _secure(a) for a, c in sent):
        return
    if not all(_at_once(c) for _, c in sent):
        return
    opened = sum(
        one.handler is Handler.TCP_SOCKET and a.outcome is Outcome.SUCCESS for one in probes for a in one.attempts
    )
    text = (
        f"Each of {len(sent)} plain requests to this port was reset as soon as it had come, and none was ever answered"
    )
    text += f", while {opened} connections without a request were accepted." if opened else "."
    for place, attempt in reset:
        if attempt.legs and attempt.legs[-1].connection.orig.length:
            found = scene.found[place]
            found[attempt.n] = replace(found[attempt.n], sentence=text, check=_WHO_RESETS, advice=_NOT_PLAIN)


def _proxy_wanted(scene: Scene, here: Sequence[int], probes: Sequence[Probe]) -> None:
    """Say of requests that the server ends that those of another check, behind a PROXY header, are answered at the same port."""
    with_header = [one for one in probes if one.proxy_header]
    answered = sum(a.status is not None for one in with_header for a in one.attempts)
    for place, probe in zip(here, probes, strict=True):
        ended = [a for a in probe.attempts if scene.kind(place, a) in (Kind.CLOSED_UNANSWERED, Kind.RESET_BY_SERVER)]
        never = not any(a.status is not None for a in probe.attempts)
        if probe.proxy_header or min(answered, len(ended)) < OFTEN or not never:
            continue
        text = (
            f"The server ended each of {len(ended)} connections without an answer; {answered} requests to the same port that began with a "
            "PROXY header were answered."
        )
        for attempt in ended:
            found = scene.found[place]
            found[attempt.n] = replace(
                found[attempt.n], sentence=text, check=_WANTS_PROXY, advice=_SEND_PROXY, equally=()
            )


def _secure(attempt: Attempt) -> bool:
    """Tell whether any connection of an attempt spoke TLS."""
    return any(leg.tls is not None for leg in attempt.legs)


def _at_once(connection: Connection) -> bool:
    """Tell whether the target's reset came right behind the request."""
    asked, reset = connection.orig.first_data, connection.resp.rst
    return asked is not None and reset is not None and 0 <= reset.ns - asked.ns <= AT_ONCE_NS


def _of_kind(scene: Scene, place: int, kind: Kind) -> Iterable[Attempt]:
    return (a for a in scene.probes[place].attempts if scene.kind(place, a) == kind)
