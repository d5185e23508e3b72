"""Declared specs beside what was observed, field by field: the findings of `declared.verify` on fields, and nothing else.

Where something else was seen in the place of a declared probe, `verify` says that in one finding; here the fields of the
two are compared as well, by the same rules (`fields.check_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from probewatch.model.finding import Finding, Held
from probewatch.model.spec import PodSpec
from probewatch.model.timeline import Probe, Timeline

from .fields import ORDER, check_fields
from .missing import declared_probes
from .names import request_of, subject

FIELDS: Final = frozenset({*ORDER, "probed"})
"""What a finding on a spec is about; others are about conduct."""


class Verdict(StrEnum):
    """How a declared value compares with what was observed."""

    DIFFERS = "differs"
    """The packets exclude it."""
    SAME = "same"
    """It is the only one that they allow."""
    FITS = "fits"
    """It is one of several that they allow."""
    NOT_VISIBLE = "not visible"
    """They say nothing of it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a declared probe: `finding.expected` beside `finding.observed`."""

    verdict: Verdict
    finding: Finding


def differences(timeline: Timeline, pods: Sequence[PodSpec]) -> list[Difference]:
    """Return the comparison of a timeline that has the findings of `declared.verify` on these Pods."""
    declared = {subject(one.pod, one.container, one.spec): one for one in declared_probes(pods)}
    seen = {probe.id: probe for probe in timeline.probes}
    found: list[Finding] = []
    for finding in timeline.findings:
        if not set(re.split(" or |, ", finding.field)) <= FIELDS:
            continue
        probe, one = seen.get(finding.probe or ""), declared.get(finding.subject)
        if probe is None or probe.spec is not None:
            found.append(finding)
        elif one is None:  # sent, and declared nowhere
            found.append(replace(finding, field="probed", expected="", observed=request_of(probe)))
        else:  # sent in the place of a declared one
            found.append(replace(finding, field="probed", observed=request_of(probe)))
            found += check_fields(replace(probe, spec=one.spec), one.pod, finding.subject)
    return [Difference(_verdict(finding), finding) for finding in found]


def undeclared(timeline: Timeline) -> list[Probe]:
    """Return a kubelet's probes that no spec declares and no finding mentions."""
    told = {finding.probe for finding in timeline.findings}
    return [p for p in timeline.probes if p.spec is None and p.checker.kind == "kubelet" and p.id not in told]


def _verdict(finding: Finding) -> Verdict:
    if finding.held is Held.INCONCLUSIVE:
        return Verdict.FITS if finding.observed else Verdict.NOT_VISIBLE
    return Verdict.SAME if finding.held is Held.PASS else Verdict.DIFFERS
