"""Every declared probe against a timeline that was measured (`Settings.measure`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from probewatch.model.finding import Finding, Held
from probewatch.model.spec import PodSpec
from probewatch.model.timeline import Probe, Timeline

from .conduct import check_conduct
from .fields import check_fields, clashes
from .missing import Declared, check_enough, check_missing, declared_probes, seen_as
from .names import subject


def verify(timeline: Timeline, pods: Sequence[PodSpec]) -> list[Finding]:
    """Return findings on the declared probes of these Pods, probe by probe in the order of the specs.

    The timeline must be analysed with the same specs, and measured.
    """
    wanted = _expected(timeline, pods)
    # One without measures had only attempts that asked nothing, and an undeclared one explains them better.
    seen = [(one, [probe for probe in seen_as(one, timeline) if probe.measures]) for one in wanted]
    fields: list[tuple[Declared, Probe, list[Finding]]] = [
        (one, probe, check_fields(probe, one.pod, subject(one.pod, one.container, one.spec)))
        for one, probes in seen
        for probe in probes
    ]
    broken = {
        (id(one.pod), one.container.name)
        for one, _, found in fields
        if any(finding.held is Held.FAIL for finding in found)
    }
    missing = check_missing([one for one, probes in seen if not probes], timeline, pods)
    out: list[Finding] = []
    told: set[tuple[int, str]] = set()
    for one, probe, found in fields:
        for finding in found:
            joint = finding.field == "initialDelaySeconds" and any(
                clashes(measure, one.spec.initial_delay_s) for measure in probe.measures
            )
            place = (id(one.pod), one.container.name)
            if not joint or place not in told:
                out.append(_joint(one, finding) if joint else finding)
            if joint:
                told.add(place)
        if (id(one.pod), one.container.name) not in broken:
            container = [
                other
                for mate, other, _ in fields
                if mate.pod is one.pod
                and mate.container is one.container
                and other.target.address == probe.target.address
            ]
            settled = {finding.field for finding in found if finding.held is Held.PASS}
            out += check_conduct(probe, one.pod, container, subject(one.pod, one.container, one.spec), settled)
        elif probe.decisions:
            out.append(_unjudged(one, probe))
    return [*out, *check_enough(seen), *missing]


def _joint(one: Declared, finding: Finding) -> Finding:
    """Say of the container what concerns several of its probes alike."""
    kind = one.spec.type.value
    return replace(
        finding,
        subject=f"{one.pod.namespace}/{one.pod.name or '(unnamed)'}/{one.container.name}",
        probe=None,
        expected=f"{finding.expected} for {kind}",
        observed=f"of {kind}, {finding.observed}",
    )


def _unjudged(one: Declared, probe: Probe) -> Finding:
    return Finding(
        held=Held.INCONCLUSIVE,
        probe=probe.id,
        subject=subject(one.pod, one.container, one.spec),
        field="decisions",
        sentence="not judged: what is declared for this container is not what runs here",
    )


def _expected(timeline: Timeline, pods: Sequence[PodSpec]) -> list[Declared]:
    """Return the declared probes to look for: all of --spec; of --cluster those of Pods that the capture shows."""
    shown = {probe.target.address for probe in timeline.probes} | {other.target_address for other in timeline.others}
    return [
        one
        for one in declared_probes(pods)
        if one.pod.declared_by == "--spec" or any(address in shown for address in one.pod.addresses)
    ]
