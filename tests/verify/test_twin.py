"""A probe that asks what a declared one asks, and that nobody declared.

Covers `verify.missing`, `observer.amended`.
"""

from __future__ import annotations

from pathlib import Path

import yaml

import probewatch
from probewatch.model.finding import Held

CAPTURE = Path(__file__).parents[2] / "captures" / "identical-probes"


def test_one_more_that_asks_the_same_fails(tmp_path: Path) -> None:
    """A liveness probe left out of a manifest is told, though its request is declared for readiness; with it nothing fails."""
    pod = yaml.safe_load((CAPTURE / "pod.yaml").read_text())
    del pod["spec"]["containers"][0]["livenessProbe"]
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    capture, whole = CAPTURE / "capture.pcap", CAPTURE / "pod.yaml"
    told = [one for one in probewatch.verify(capture, spec=tmp_path / "pod.yaml").findings if one.field == "probed"]
    assert any("one more probe than is declared" in one.sentence and one.held is not Held.PASS for one in told)
    assert not [one for one in probewatch.verify(capture, spec=whole).findings if one.held is Held.FAIL]
