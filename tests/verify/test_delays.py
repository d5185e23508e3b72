"""What a finding on initialDelaySeconds says: on which side the declared delay lies, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

import probewatch
from probewatch.model.finding import Finding, Held

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


@pytest.mark.parametrize(("delay", "side"), [(2, "too late"), (15, "too early")])
def test_the_side_is_told(tmp_path: Path, delay: int, side: str) -> None:
    """Readiness began 10.4 s after its container: too late for a delay of 2 s (period 3 s), too early for one of 15 s."""
    change = "initialDelaySeconds: 10", f"initialDelaySeconds: {delay}"
    (finding,) = failed("initial-delay", tmp_path, *change, STARTED)
    assert (finding.field, finding.subject) == ("initialDelaySeconds", "readiness lab/initial-delay/app")
    assert finding.sentence.endswith(f"after startedAt: {side} for a delay of {delay} s")


def test_a_clash_of_two_probes_names_them(tmp_path: Path) -> None:
    """Where two delays contradict each other the finding is the container's; no probe is named as if it were a field."""
    found = failed("k136-liveness-restart", tmp_path, "initialDelaySeconds: 3", "initialDelaySeconds: 9")
    assert {finding.field for finding in found} == {"initialDelaySeconds"}
    joint = next(finding for finding in found if finding.probe is None)
    assert "readiness and liveness" in joint.sentence
    assert joint.expected.endswith(("for readiness", "for liveness"))
