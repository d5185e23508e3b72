"""What a finding on initialDelaySeconds says: on which side the declared delay lies, and whose it is.

Covers `verify.fields` and `probes.delays`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import probewatch
from probewatch.model.finding import Finding, Held
from probewatch.model.measure import Measure
from probewatch.model.spec import Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Timeline
from probewatch.verify.fields import check_fields

OWN = Path(__file__).parents[2] / "captures"
STARTED = '  containerStatuses: [{name: app, state: {running: {startedAt: "2026-11-22T20:13:47Z"}}}]\n'


def failed(name: str, tmp_path: Path, old: str, new: str, more: str = "") -> list[Finding]:
    """Verify a capture against its spec with one change; return what failed."""
    manifest = (OWN / name / "pod.yaml").read_text()
    assert old in manifest
    spec = tmp_path / "pod.yaml"
    spec.write_text(manifest.replace(old, new) + more)
    found = probewatch.verify(OWN / name / "capture.pcap", spec=spec).findings
    return [finding for finding in found if finding.held is Held.FAIL]


def test_a_delay_that_is_too_long_is_told(tmp_path: Path) -> None:
    """Readiness began 10.4 s after its container, so a delay of 15 s cannot have been kept."""
    change = "initialDelaySeconds: 10", "initialDelaySeconds: 15"
    (finding,) = failed("initial-delay", tmp_path, *change, STARTED)
    assert (finding.field, finding.subject) == ("initialDelaySeconds", "readiness lab/initial-delay/app")
    assert finding.sentence.endswith("after startedAt: too early for a delay of 15 s")


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00:10:128::a"])
@pytest.mark.parametrize(("delay", "side"), [(2, "late"), (15, "early")])
def test_the_side_is_told(make: Callable[..., Timeline], address: str, delay: int, side: str) -> None:
    """Where the packets leave 5 to 10 s, a shorter delay is named as one for which the attempt came late, a longer as early."""
    (probe,) = make().probes
    measure = Measure(field="initialDelaySeconds", number=True, low=5, high=10, why="it came after startedAt")
    spec = ProbeSpec(type=ProbeType.READINESS, handler=Handler.HTTP_GET, port=8080, initial_delay_s=delay)
    probe = replace(probe, spec=spec, measures=(measure,), target=replace(probe.target, address=address))
    (finding,) = check_fields(probe, PodSpec(source="pod.yaml"), "readiness lab/web/app")
    assert (finding.held, finding.field) == (Held.FAIL, "initialDelaySeconds")
    assert finding.sentence == f"it came after startedAt: too {side} for a delay of {delay} s"


def test_a_clash_of_two_probes_names_them(tmp_path: Path) -> None:
    """Where two delays contradict each other the finding is the container's; no probe is named as if it were a field."""
    found = failed("k136-liveness-restart", tmp_path, "initialDelaySeconds: 3", "initialDelaySeconds: 9")
    assert {finding.field for finding in found} == {"initialDelaySeconds"}
    joint = next(finding for finding in found if finding.probe is None)
    assert "readiness and liveness" in joint.sentence
    assert joint.expected.endswith(("for readiness", "for liveness"))
