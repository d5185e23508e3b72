"""What becomes known is told in order: a probe before its attempts, revisions only upwards."""

from __future__ import annotations

from pathlib import Path

from probewatch import analyze
from probewatch.observer import Change


def changes(kubelet_scenario: Path) -> list[Change]:
    """Return every change that the scenario's capture makes known, in order."""
    capture = kubelet_scenario / "capture.pcap"
    told: list[Change] = []
    specs = sorted(str(path) for path in kubelet_scenario.glob("pod*.yaml"))
    analyze(str(capture if capture.exists() else kubelet_scenario / "tun0.pcap"), spec=specs, on_change=told.append)
    return told


def test_a_probe_is_met_before_its_attempts_while_reading(kubelet_scenario: Path) -> None:
    """An attempt told while a capture is still read names a probe that was told before; at the end each probe is told whole."""
    told = changes(kubelet_scenario)
    last = [change.probe for change in told if change.kind == "probe"]
    met: set[str | None] = set()
    for number, change in enumerate(told):
        if change.kind == "probe":
            met.add(change.probe)
        elif change.kind == "attempt" and change.probe not in met:
            # Only what settles at the very end may come before the line that sums its probe up.
            assert change.probe in [later.probe for later in told[number:] if later.kind == "probe"]
    assert met == set(last)


def test_revisions_only_go_up(kubelet_scenario: Path) -> None:
    """The same id is never told twice with the same revision, nor with a lower one."""
    seen: dict[tuple[str, str], int] = {}
    for change in changes(kubelet_scenario):
        key = (change.kind, change.id)
        assert change.rev > seen.get(key, 0)
        seen[key] = change.rev
