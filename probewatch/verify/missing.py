"""Declared probes that nobody sent, and what was sent instead."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from probewatch.model.finding import Evidence, Finding, Held
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import LATER, UNDECLARED, DecisionKind, EventKind, Probe, Timeline
from probewatch.model.units import SECOND

from .names import declared_value, evidence_of, of_pod, request, request_of, subject, subject_of

WEIGHTS: Final = {
    "port": 3,
    "handler": 2,
    "path": 3,
    "scheme": 1,
    "service": 3,
    "command": 3,
    "httpHeaders": 1,
    "type": 2,
}
"""How much each field that agrees speaks for a seen probe being the declared one."""
SHOWN: Final = 3
"""Attempts named as evidence."""
EVERYWHERE: Final = (EventKind.CAPTURE_GAP, EventKind.KUBELET_STOPPED, EventKind.KUBELET_RESTARTED)
"""Events that interrupt all probes."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One declared probe and where it stands."""

    pod: PodSpec
    container: ContainerSpec
    spec: ProbeSpec


def declared_probes(pods: Sequence[PodSpec]) -> list[Declared]:
    """Return every probe of these Pods."""
    return [Declared(pod, container, spec) for pod in pods for container in pod.containers for spec in container.probes]


def seen_as(one: Declared, timeline: Timeline) -> list[Probe]:
    """Return the probes of the timeline that are this declared one: one for each address it was sent from and to."""
    return [
        probe
        for probe in timeline.probes
        if probe.spec == one.spec and of_pod(probe, one.pod) and _in_container(probe, one)
    ]


def _in_container(probe: Probe, one: Declared) -> bool:
    """Tell whether a probe of a Pod is of this container; manifests that declare the same may call it by several names."""
    return probe.target.container == one.container.name or (bool(probe.spec_alike) and probe.target.container is None)


def check_enough(seen: Sequence[tuple[Declared, Sequence[Probe]]]) -> list[Finding]:
    """Return a finding for each declared probe that other Pods declare too, of which fewer are probed: it may be one that is not."""
    out = []
    for one, probes in seen:
        many = max((1 + len(probe.spec_alike) for probe in probes if probe.target.pod is None), default=0)
        addresses = len({probe.target.address for probe in probes})
        if addresses < many:
            probed = f"only {addresses} of their Pods {'is' if addresses == 1 else 'are'} probed"
            why = f"{many} manifests declare just the same and tell no address, and {probed}"
            out.append(_unseen(one, Held.INCONCLUSIVE, "probed", why))
    return out


def check_missing(missing: Sequence[Declared], timeline: Timeline, pods: Sequence[PodSpec]) -> list[Finding]:
    """Return a finding for each declared probe that was not seen, and for each that was seen but is not declared."""
    strangers = [probe for probe in timeline.probes if kubelet_like(probe)]
    pairs = sorted(
        (
            (_likeness(one, probe), index, place)
            for index, one in enumerate(missing)
            for place, probe in enumerate(strangers)
            if _may_be(one, probe, timeline, strangers)
        ),
        # What a kubelet sends for certain wants a reason first; of others less is measured, so that less can contradict.
        key=lambda item: (strangers[item[2]].checker.kind != "kubelet", -item[0], item[1], item[2]),
    )
    instead: dict[int, Probe] = {}
    taken: set[int] = set()
    for _, index, place in pairs:
        if index not in instead and place not in taken:
            instead[index] = strangers[place]
            taken.add(place)
    out = []
    for index, one in enumerate(missing):
        other = instead.get(index)
        if other is not None:
            out.append(_instead(one, other))
        elif one.spec.handler is Handler.EXEC:
            out.append(
                _unseen(
                    one, Held.INCONCLUSIVE, "handler", "an exec probe runs inside the container and sends no packet"
                )
            )
        else:
            out.append(_silent(one, timeline))
    declared = declared_probes(pods)
    for place, probe in enumerate(strangers):
        if place not in taken and probe.checker.kind == "kubelet":
            found = _undeclared(probe, declared, timeline)
            out += [] if found is None else [found]
    return out


def _undeclared(probe: Probe, declared: Sequence[Declared], timeline: Timeline) -> Finding | None:
    """Say that a kubelet sends what none of its Pod's probes is; None where one of them is the same request, or the Pod is not known."""
    here = [p for p in timeline.probes if p.target.address == probe.target.address]
    mates = [
        one
        for one in declared
        if one.spec.handler is not Handler.EXEC
        and not one.pod.host_network  # a node's address belongs to many Pods
        and _lives(one.pod, probe)
        and (probe.target.address in one.pod.addresses or any(of_pod(p, one.pod) for p in here))
    ]
    if not mates:
        return None
    nearest = max(mates, key=lambda one: _likeness(one, probe))
    asked = [field for field in _differences(nearest, probe) if field != "type"]
    if not asked:
        return _one_more(probe, nearest, here)
    return Finding(
        held=Held.FAIL,
        probe=probe.id,
        subject=subject_of(probe),
        field="handler" if "handler" in asked else ", ".join(asked),
        sentence=f"the kubelet sends a probe that no spec declares: {request_of(probe)}",
        expected=f"{request(nearest.spec)}, the nearest that is declared",
        observed=f"{len(probe.attempts)} attempts",
        source=nearest.pod.source,
        evidence=tuple(map(evidence_of, probe.attempts[:SHOWN])),
    )


def _one_more(probe: Probe, nearest: Declared, here: Sequence[Probe]) -> Finding | None:
    """Say that a request comes once more than it is declared; None where nothing else is seen to be the declared one."""
    mates = [p for p in here if p.spec == nearest.spec and of_pod(p, nearest.pod)]
    if UNDECLARED not in probe.notes or not mates:
        return None  # attempts of a declared probe that its declared numbers could not explain
    told = probe.type is not ProbeType.UNKNOWN
    return Finding(
        held=Held.FAIL if told else Held.INCONCLUSIVE,
        probe=probe.id,
        subject=subject_of(probe),
        field="probed",
        sentence=f"{request_of(probe)} comes from one more probe than is declared to ask it",
        expected=f"{request(nearest.spec)}, declared for {nearest.spec.type}",
        observed=f"{len(probe.attempts)} attempts beside those of that one",
        source=nearest.pod.source,
        evidence=tuple(map(evidence_of, probe.attempts[:SHOWN])),
    )


def _lives(pod: PodSpec, probe: Probe) -> bool:
    """Tell whether a probe fell into a Pod's life: before and after it the address may be another's."""
    first, last = (probe.attempts[0].start.ns, probe.attempts[-1].start.ns) if probe.attempts else (0, 0)
    begun = max((ns for ns in (pod.created_ns, pod.started_ns) if ns is not None), default=0)
    ended = min((ns for ns in (pod.deleted_ns, pod.ended_ns) if ns is not None), default=last)
    return first >= begun and last <= ended


def kubelet_like(probe: Probe) -> bool:
    """Tell whether a probe without a spec may be a kubelet's."""
    return probe.spec is None and (probe.checker.kind == "kubelet" or "kubelet" in probe.checker.could_be)


def _may_be(one: Declared, probe: Probe, timeline: Timeline, strangers: Sequence[Probe]) -> bool:
    """Tell whether a probe that nothing declares may be what came of a declared one: it is sent to the same Pod."""
    if one.pod.addresses:
        return probe.target.address in one.pod.addresses
    tied = {p.target.address for p in timeline.probes if of_pod(p, one.pod)}
    if tied:
        return probe.target.address in tied
    # A manifest without an address: where only one Pod is probed, it is that one; else the request must be alike.
    free = {p.target.address for p in strangers}
    return len(free) == 1 or _likeness(one, probe) >= WEIGHTS["port"] + WEIGHTS["handler"]


def _likeness(one: Declared, probe: Probe) -> int:
    return sum(weight for field, weight in WEIGHTS.items() if field not in _differences(one, probe))


def _differences(one: Declared, probe: Probe) -> dict[str, tuple[str, str]]:
    """Return field -> (declared, seen) for the fields that say what is asked, where the packets contradict the spec."""
    out: dict[str, tuple[str, str]] = {}
    measures = {measure.field: measure for measure in probe.measures}
    for field in WEIGHTS:
        declared = declared_value(one.spec, field, probe.target.address)
        if declared is None:
            continue
        measure = measures.get(field)
        if measure is not None and not measure.allows(str(declared)):
            out[field] = (str(declared), measure.text())
    handler = measures.get("handler")
    if "handler" not in out and probe.handler is not one.spec.handler and handler is not None and handler.visible:
        out["handler"] = (one.spec.handler.value, probe.handler.value)
    if one.spec.handler is Handler.EXEC and probe.handler is not Handler.EXEC:
        out["handler"] = (Handler.EXEC.value, probe.handler.value)
    return out


def _instead(one: Declared, probe: Probe) -> Finding:
    """Say what was seen in the place of a declared probe, and which fields differ."""
    differences = _differences(one, probe)
    asked = {field: both for field, both in differences.items() if field != "type"} or differences
    if "handler" in asked:  # what another handler is asked for follows from that
        asked = {field: both for field, both in asked.items() if field in ("handler", "port")}
    kubelet = (
        ""
        if probe.checker.kind == "kubelet"
        else f" (from {probe.checker.address or 'a runtime'}, which nothing proves to be a kubelet)"
    )
    if not asked and LATER in probe.notes:
        why = f"seen only before this Pod began: {request_of(probe)}, as declared, of an earlier Pod at its address"
        return replace(_unseen(one, Held.INCONCLUSIVE, "probed", why), probe=probe.id)
    return Finding(
        held=Held.FAIL if asked else Held.INCONCLUSIVE,
        probe=probe.id,
        subject=subject(one.pod, one.container, one.spec),
        field=", ".join(asked) or "probed",
        sentence=f"declared probe not seen; seen instead: {request_of(probe)}{kubelet}",
        expected=request(one.spec),
        observed="; ".join(f"{field} {seen} where {declared} is declared" for field, (declared, seen) in asked.items()),
        source=one.pod.source,
        attempts=tuple(a.n for a in probe.attempts[:SHOWN]),
        evidence=tuple(map(evidence_of, probe.attempts[:SHOWN])),
    )


def _silent(one: Declared, timeline: Timeline) -> Finding:
    """Say that a declared probe was not sent at all; it fails only where nothing can excuse it."""
    siblings = [
        probe for probe in timeline.probes if probe.target.address in one.pod.addresses or of_pod(probe, one.pod)
    ]
    mine = [probe for probe in siblings if probe.target.container == one.container.name]
    started = any(d.kind is DecisionKind.STARTED for probe in mine for d in probe.decisions)
    waits = any(spec.type is ProbeType.STARTUP for spec in one.container.probes) and not started
    due = (one.spec.initial_delay_s + 2 * one.spec.period_s) * SECOND
    if one.spec.type is not ProbeType.READINESS:  # on hold, or the Pod is ending: then it is silent while others go on
        due += one.pod.grace_s * SECOND
    span = _longest_life([probe for probe in mine if probe.spec is not None], timeline)
    if one.spec.port is None:
        why = f"the container declares no port named {one.spec.port_name}, so the kubelet cannot send it"
        return _unseen(one, Held.INCONCLUSIVE, "port", why)
    if one.spec.host is not None:
        why = f"it is sent to {one.spec.host}, whose traffic is not in this capture"
        return _unseen(one, Held.INCONCLUSIVE, "probed", why)
    if not siblings:
        why = "nothing that this capture shows is probed as declared, and the Pod's address is not known or not in it"
        return _unseen(one, Held.INCONCLUSIVE, "probed", why)
    if one.spec.type is ProbeType.STARTUP and any(p.spec is not None for p in mine):
        return _unseen(
            one,
            Held.INCONCLUSIVE,
            "probed",
            "a startup probe stops for good once it succeeded, perhaps before the capture",
        )
    if waits:
        return _unseen(
            one, Held.INCONCLUSIVE, "probed", "it waits for the startup probe, whose success is not in this capture"
        )
    if not any(probe.spec is not None for probe in mine):
        why = "no other probe of its container was seen either: nothing shows that the container runs"
        return _unseen(one, Held.INCONCLUSIVE, "probed", why)
    if span < due:
        why = f"the capture shows its container without a restart for less than the {due // SECOND} s that it may take"
        return _unseen(one, Held.INCONCLUSIVE, "probed", why)
    others = max((len(probe.spec_alike) for probe in mine), default=0)
    if others and all(probe.spec_source != one.pod.source for probe in mine):
        why = f"{1 + others} manifests declare just the same and tell no address: it is not known to be probed"
        return _unseen(one, Held.INCONCLUSIVE, "probed", why)
    frames = tuple(Evidence(a.file, *a.frames()) for p in mine[:1] for a in p.attempts[-1:])
    return Finding(
        held=Held.FAIL,
        subject=subject(one.pod, one.container, one.spec),
        field="probed",
        sentence=f"not probed at all, although other probes of its container ran for {span / SECOND:.0f} s",
        expected=request(one.spec),
        observed="no attempt",
        source=one.pod.source,
        evidence=frames,
    )


def _longest_life(probes: Sequence[Probe], timeline: Timeline) -> int:
    """Return for how long at most these probes of one container ran without a restart, a hole or another break."""
    addresses = {probe.target.address for probe in probes}
    breaks = sorted(e.ns for e in timeline.events if e.address in addresses or e.kind in EVERYWHERE)
    starts = sorted({a.start.ns for probe in probes for a in probe.attempts})
    longest, life, begun = 0, None, 0
    for ns in starts:
        now = bisect_right(breaks, ns)
        if now != life:
            life, begun = now, ns
        longest = max(longest, ns - begun)
    return longest


def _unseen(one: Declared, held: Held, field: str, why: str) -> Finding:
    return Finding(
        held=held,
        subject=subject(one.pod, one.container, one.spec),
        field=field,
        sentence=why,
        expected=request(one.spec) if one.spec.handler is not Handler.EXEC else "",
        source=one.pod.source,
    )
