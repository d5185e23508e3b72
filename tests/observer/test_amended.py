"""A spec that is not the one that runs: what is told in its place, and that nothing happened only because it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import probewatch
from probewatch.model.timeline import Timeline

CAPTURES = Path(__file__).parents[2] / "captures"


def told(name: str, where: Path, *changes: tuple[str, str]) -> Timeline:
    """Analyse a capture of the project with its manifest changed."""
    text = (CAPTURES / name / "pod.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (where / "pod.yaml").write_text(text)
    return probewatch.analyze(CAPTURES / name / "capture.pcap", spec=where / "pod.yaml")


def happened(timeline: Timeline) -> list[tuple[str, int]]:
    """Return the decisions, with the attempts that made them."""
    return [(str(decision.kind), decision.attempt) for probe in timeline.probes for decision in probe.decisions]


@pytest.mark.parametrize("name", ["http-flap-s1", "k136-liveness-restart"])
@pytest.mark.parametrize("failures", [1, 6])
def test_a_threshold_that_does_not_fit_at_all_is_not_replayed(name: str, failures: int, tmp_path: Path) -> None:
    """Decisions are those of the true threshold, no container begins for the wrong one, and a note names both."""
    right, wrong = told(name, tmp_path), told(name, tmp_path, ("failureThreshold: 3", f"failureThreshold: {failures}"))
    assert happened(wrong) == happened(right)
    assert [event.kind for event in wrong.events] == [event.kind for event in right.events]
    notes = [note for probe in wrong.probes for note in probe.notes if "is not the one that runs here" in note]
    assert notes
    assert any(f"declared failureThreshold {failures}" in note and note.endswith("with 3") for note in notes)
    shown = {probe.thresholds["failureThreshold"] for probe in wrong.probes if any(note in notes for note in probe.notes)}
    assert (3, "inferred") in shown
