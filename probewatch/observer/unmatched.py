"""What is declared and does not fit what was seen, and why: another address, another time, a port that is none, nothing at all.

An address means a Pod only between that Pod's start and end (docs/design.md, section 5), so a manifest that is newer than the capture
names nothing in it. Nor does this module name anything: it says what stands against it, and where just the declared probes
are seen, so that whoever reads it can decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

from probewatch.model.book import AddressBook
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import LATER, Gap, GapKind, Probe
from probewatch.model.units import MINUTE, SECOND
from probewatch.probes.cadence import GRID_NS
from probewatch.verify.missing import kubelet_like

STARTED_NS: Final = SECOND
"""Kubernetes cuts its times to whole seconds."""
WENT_ON: Final = 1.5
"""Periods between two attempts of which none is missing between them."""
NAMED: Final = 3
"""Pods, addresses and names listed in one sentence."""
LOOKED_AT: Final = 16
"""Addresses without a Pod at which a cluster's Pods of other addresses are looked for."""


def later_pods(
    book: AddressBook, probes: Sequence[Probe], captures: Sequence[CaptureInfo]
) -> tuple[list[Probe], list[str]]:
    """Return the probes, those marked that came before the Pod began that is given for their address, and one note for each source.

    Where that Pod began within the capture, what is missing of such a probe from then on is no longer its own.
    """
    found: list[tuple[PodSpec, list[Probe]]] = []
    marked: dict[str, Probe] = {}
    for address, pods in book.pods.items():
        here = [p for p in probes if p.target.address == address and p.target.pod is None and kubelet_like(p)]
        for pod in pods if here else ():
            before = [p for p in here if _before(p, pod) and (not pod.host_network or any(_declares(pod, p)))]
            if before and not any(p.id in marked for p in before):
                found.append((pod, before))
                marked |= {p.id: _marked(p, pod) for p in before}
    end_ns = max((info.last_ns for info in captures if info.last_ns is not None), default=0)
    found.sort(key=lambda item: (_file(item[0]), item[0].started_ns))
    notes = [_later([*some], probes, end_ns) for _, some in groupby(found, key=lambda item: _file(item[0]))]
    return [marked.get(p.id, p) for p in probes], notes


def _before(probe: Probe, pod: PodSpec) -> bool:
    """Tell whether a probe began before a Pod did."""
    return pod.started_ns is not None and probe.attempts[0].start.ns < pod.started_ns - STARTED_NS


def _marked(probe: Probe, pod: PodSpec) -> Probe:
    """Return a probe that says that its address was given to a Pod only later; what is missing then is no news of it."""
    began = pod.started_ns or 0
    reason = f"from then on its address is {pod.namespace}/{pod.name}'s ({pod.source})"

    def told(gap: Gap) -> Gap:
        ours = gap.kind is not GapKind.UNEXPLAINED or not gap.start_ns <= began <= gap.end_ns
        return gap if ours else replace(gap, reason=reason)

    return replace(probe, notes=(*probe.notes, LATER), gaps=tuple(map(told, probe.gaps)))


def _later(found: Sequence[tuple[PodSpec, list[Probe]]], probes: Sequence[Probe], end_ns: int) -> str:
    """Say of the Pods of one file that they began after what was seen at their addresses."""
    first = found[0][0]
    began = first.started_ns or 0
    alike = [pod for pod, before in found if just_these(pod, before)]
    on = [pod for pod, before in found if _went_on(pod, before, probes)]
    after = began - end_ns
    when = f"{_clock(began)}, {_span(after)} after this capture's last frame" if after > 0 else _clock(began)
    if len(found) == 1:
        who = f"{first.source}: Pod {_name(first)}, which has {found[0][1][0].target.address}, began only at {when}"
        what = "what was probed there before is not taken for its own"
        seen = "the probes seen there before are exactly the declared ones" if alike else ""
    else:
        who = f"{_file(first)}: {len(found)} Pods began only after what was probed at their addresses, the first ({_name(first)}) at {when}"
        what = "what was probed there before is not taken for their own"
        number = "all" if len(alike) == len(found) else str(len(alike))
        seen = f"at {number} of these addresses the probes seen before are exactly the declared ones" if alike else ""
    if on:
        if len(found) == 1:
            seen = "the probes seen there are exactly the declared ones, and went on over that moment as one series"
        why = "the clocks of capture and cluster differ, as it seems: without status.startTime the manifest is taken for all of it"
    else:
        why = "they look like those of the same workload's earlier Pod, or the clocks of capture and cluster differ"
    return f"{who}: {what}" + (f"; {seen}: {why}" if seen else "")


def _went_on(pod: PodSpec, before: Sequence[Probe], probes: Sequence[Probe]) -> bool:
    """Tell whether a series of attempts goes on over the moment at which a Pod is said to have begun: then it did not begin there."""
    after = [p for p in probes if p.spec is not None and p.spec_source == pod.source]
    for old in before:
        for new in after:
            spec = new.spec
            if spec is None or new.target.address != old.target.address or not asks_alike(old, spec):
                continue
            step, period = new.attempts[0].start.ns - old.attempts[-1].start.ns, spec.period_s * SECOND
            if 0 < step < WENT_ON * period and abs(step - period) <= GRID_NS:
                return True
    return False


def just_these(pod: PodSpec, seen: Sequence[Probe]) -> bool:
    """Tell whether probes are exactly what a Pod declares: each is declared, and each declared is there (a startup probe may be over)."""
    declared = [spec for container in pod.containers for spec in container.probes if spec.handler is not Handler.EXEC]
    return (
        bool(declared)
        and bool(seen)
        and all(any(_fits(probe, spec) for spec in declared) for probe in seen)
        and all(spec.type is ProbeType.STARTUP or any(_fits(probe, spec) for probe in seen) for spec in declared)
        and any(_fits(probe, spec) for probe in seen for spec in declared)
    )


def _fits(probe: Probe, spec: ProbeSpec) -> bool:
    """Tell whether a probe asks what a declared one asks, as often, and not as another type."""
    period = probe.inferred.get("periodSeconds")
    return (
        asks_alike(probe, spec)
        and (period is None or period == spec.period_s or len(probe.attempts) < 4)
        and (probe.type in (ProbeType.UNKNOWN, spec.type) or not probe.type_source.startswith("inferred"))
    )


def asks_alike(probe: Probe, spec: ProbeSpec) -> bool:
    """Tell whether a probe that was seen asks what a declared one asks."""
    if probe.handler is not spec.handler or probe.target.port != spec.port:
        return False
    if spec.handler is Handler.HTTP_GET:
        path = spec.path.startswith(probe.path or "") if probe.path_cut else probe.path == spec.path
        return path and (probe.scheme or "HTTP") == spec.scheme
    return spec.handler is not Handler.GRPC or (probe.service or "") == spec.service


def _declares(pod: PodSpec, probe: Probe) -> Iterable[bool]:
    return (asks_alike(probe, spec) for container in pod.containers for spec in container.probes)


def alike(probes: Sequence[Probe]) -> list[str]:
    """Return a note for each set of manifests that declare the same and tell no address: nothing tells which of their Pods is meant."""
    seen: dict[tuple[str, ...], dict[str, None]] = {}
    for probe in probes:
        if probe.spec_source and probe.spec_alike and probe.target.pod is None:
            seen.setdefault((probe.spec_source, *probe.spec_alike), {})[probe.target.address] = None
    return [
        f"{_listed(sources)} declare the same probes and tell no address: which of them is probed at {_listed([*addresses])} is not known; "
        "status.podIP, or --cluster, would tell"
        for sources, addresses in seen.items()
    ]


def _listed(names: Sequence[str], between: str = ", ") -> str:
    """Return `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`."""
    if len(names) > NAMED:
        return f"{between.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join(part for part in (between.join(names[:-1]), names[-1]) if part)


def shared_names(book: AddressBook, probes: Sequence[Probe]) -> tuple[list[Probe], list[str]]:
    """Return the probes, those marked whose manifest tells no address and fits several, and a note for each Pod among these manifests.

    A workload's template has many Pods; a Pod has one address at a time.
    """
    places: dict[str, dict[str, tuple[int, int]]] = {}
    unplaced = {pod.source: pod for pod in book.unplaced}
    for probe in probes:
        pod = unplaced.get(probe.spec_source or "")
        if pod is not None and probe.target.pod is not None:
            first, last = probe.attempts[0].start.ns, probe.attempts[-1].start.ns
            known = places.setdefault(pod.source, {})
            before = known.get(probe.target.address, (first, last))
            known[probe.target.address] = min(first, before[0]), max(last, before[1])
    several = {source: known for source, known in places.items() if len(known) > 1}
    notes = []
    for source, known in several.items():
        pod, times = unplaced[source], sorted(known.values())
        at_once = any(later[0] < earlier[1] for earlier, later in pairwise(times))
        if pod.kind == "Pod" and at_once:
            listed = ", ".join(sorted(known)[:NAMED]) + (
                f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
            )
            notes.append(
                f"{source} tells no address, and what it declares for Pod {_name(pod)} is probed at {len(known)} addresses at the same "
                f"time ({listed}): which of them is its own is not known; status.podIP, or --cluster, would tell"
            )
    if not several:
        return list(probes), []
    where = {address for known in several.values() for address in known}
    return [
        replace(p, target=replace(p.target, shared=True))
        if p.target.address in where and p.target.pod is not None
        else p
        for p in probes
    ], notes


def unmatched(book: AddressBook, probes: Sequence[Probe], tied: Collection[int], unseen: str) -> list[str]:
    """Say what is declared and nothing here fits; `tied` are the checks (by id) that fit something, `unseen` says why no command did."""
    out: list[str] = []
    pods: list[PodSpec] = list(
        {id(pod): pod for many in book.pods.values() for pod in many if pod.declared_by == "--spec"}.values()
    )
    pods += book.unplaced
    used = {source for probe in probes for source in (probe.spec_source, *probe.spec_alike)}
    later = {probe.target.address for probe in probes if LATER in probe.notes}
    unfit: list[str] = []
    for pod in pods:
        for container in pod.containers:
            out += [
                f"{spec.type} of {pod.name}/{container.name} is an exec probe: {unseen}"
                for spec in container.probes
                if spec.handler is Handler.EXEC and not any(spec is probe.spec for probe in probes)
            ]
            out += _nameless(pod, container.name, container.ports, container.probes)
        wanted = [
            spec
            for container in pod.containers
            for spec in container.probes
            if spec.handler is not Handler.EXEC and spec.port is not None
        ]
        if pod.source in used or not wanted or later & set(pod.addresses):
            continue
        elsewhere = _elsewhere(pod, probes)
        if elsewhere:
            out.append(elsewhere)
        else:
            unfit.append(f"{pod.name} ({pod.source})")
    bare: dict[str, list[PodSpec]] = {}
    for pod in pods:
        bare.setdefault(_file(pod), []).append(pod)
    for file, those in bare.items():
        if not any(container.probes for pod in those for container in pod.containers):
            more = f" and {len(those) - 1} more" if len(those) > 1 else ""
            who = f"{those[0].kind} {_name(those[0])}{more}"
            out.append(f"{file} declares no probe ({who}): nothing here is taken for its own")
    if unfit:
        out.append(f"no attempt in this capture fits the probes of {_listed(unfit)}")
    out += _moved(book, probes)
    idle = [check for check in book.checks if id(check) not in tied]
    if idle:
        first = idle[0].name or f"{idle[0].kind} {idle[0].address or ''}".rstrip()
        rest = f" and {len(idle) - 1} more" if len(idle) > 1 else ""
        out.append(f"no check in this capture fits what is declared for {first} ({idle[0].source}){rest}")
    return out


def _moved(book: AddressBook, probes: Sequence[Probe]) -> list[str]:
    """Say where just the probes of a cluster's Pod are seen at an address that nobody has there: addresses are reused."""
    here = {probe.target.address for probe in probes}
    away = [
        pod
        for pod in {id(pod): pod for many in book.pods.values() for pod in many}.values()
        if pod.declared_by != "--spec" and not pod.host_network and not here & set(pod.addresses)
    ]
    free: dict[str, list[Probe]] = {}
    for probe in probes:
        if probe.target.address not in book.pods and kubelet_like(probe):
            free.setdefault(probe.target.address, []).append(probe)
    found: list[str] = []
    for address, seen in list(free.items())[:LOOKED_AT]:
        pods = [pod for pod in away if just_these(pod, seen)]
        if pods:
            rest = f" (and of {len(pods) - 1} more)" if len(pods) > 1 else ""
            found.append(f"at {address} those of {_name(pods[0])}{rest}, which has {', '.join(pods[0].addresses)}")
    if not found:
        return []
    said = (
        f"--cluster knows no Pod at {len(free)} of the probed addresses, but probes just like those of Pods with other addresses are seen: "
        f"{_listed(found, '; ')}; the dump is of another time than the capture, as it seems: take one while capturing"
    )
    return [said]


def _nameless(
    pod: PodSpec, container: str, ports: Sequence[tuple[str, int]], specs: Sequence[ProbeSpec]
) -> Iterable[str]:
    """Say of probes whose port is a name that their container does not have."""
    names = [f"{name} ({number})" for name, number in ports if name]
    has = f"it has {', '.join(names[:NAMED])}" + (" ..." if len(names) > NAMED else "") if names else "it names no port"
    for spec in specs:
        if spec.port is None and spec.port_name is not None:
            yield (
                f"{spec.type} of {pod.name}/{container} ({pod.source}): container {container} has no port named "
                f"{spec.port_name} ({has}), so the kubelet cannot send this probe, and nothing here is taken for it"
            )


def _elsewhere(pod: PodSpec, probes: Sequence[Probe]) -> str:
    """Say where just the probes of a Pod are seen that are not seen at its address; empty where nowhere, or it has none."""
    if not pod.addresses:
        return ""
    by_address: dict[str, list[Probe]] = {}
    for probe in probes:
        if kubelet_like(probe):
            by_address.setdefault(probe.target.address, []).append(probe)
    found = [address for address, seen in by_address.items() if just_these(pod, seen)]
    if not found:
        return ""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"{pod.source}: nothing here fits the probes of {pod.name} at {', '.join(pod.addresses)}, its address by status.podIP; just "
        f"these probes are seen at {', '.join(found[:NAMED])}{more}: where that is its address in this capture, "
        "take status.podIP out of the manifest"
    )


def _file(pod: PodSpec) -> str:
    """Return the file that a Pod was read from: its source without the place in it."""
    return re.sub(r" (?:document|item) \d.*", "", pod.source)


def _name(pod: PodSpec) -> str:
    return f"{pod.namespace}/{pod.name or '(unnamed)'}"


def _clock(ns: int) -> str:
    """Return `2026-11-22 22:10:50 UTC`."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // SECOND):%Y-%m-%d %H:%M:%S} UTC"


def _span(ns: int) -> str:
    minutes = ns // MINUTE
    if minutes < 2:
        return f"{ns // SECOND} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
