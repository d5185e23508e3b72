"""Why attempts are missing, and what a capture did not keep, as values that programs read."""

from __future__ import annotations

from pathlib import Path

import pytest
from truth import frames_of

import probewatch
from probewatch.model.timeline import GapKind
from probewatch.observer import Observer, Settings
from probewatch.report.outline import nothing


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("k136-liveness-restart", {GapKind.ON_HOLD, GapKind.CONTAINER_RESTARTED}),
        ("kubelet-restart", {GapKind.KUBELET_RESTARTED}),
        ("http-timeout", set()),
    ],
)
def test_why_attempts_are_missing_is_a_kind(captures: Path, name: str, kinds: set[GapKind]) -> None:
    """A gap says by its kind, and not only in words, whether the kubelet or its rules explain it."""
    folder = captures / name
    found = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    assert {gap.kind for probe in found.probes for gap in probe.gaps} == kinds


def test_frames_cut_too_short_are_counted(captures: Path) -> None:
    """Of a capture that kept 30 bytes of each frame the timeline says how many could not be read, and the table says what to do."""
    observer = Observer(Settings())
    recorded = frames_of(captures / "http-timeout")
    for one in recorded:
        observer.feed(one._replace(data=bytes(one.data)[:30]))
    found = observer.finish()
    assert not found.probes
    assert 0 < found.cut_frames <= len(recorded)
    assert any(f"{found.cut_frames} frames were cut too short to read" in hint for hint in nothing(found)[1])
