"""Why attempts are missing, and what a capture did not keep, as values that programs read.

Covers `observer.together`, `observer.ledger`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from truth import frames_of

import probewatch
from probewatch.model.frame import CaptureInfo
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import BETWEEN_FILES, Checker, EventKind, Gap, GapKind, Probe, Target
from probewatch.observer import Observer, Settings
from probewatch.observer.together import between_files, started
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


@pytest.mark.parametrize(
    ("one", "other"), [("http-fast-manual", "http-redirect-same"), ("http-icmp-reject", "http-flap-s1"), ("http-timeout", "tcp-flap")]
)
def test_one_file_says_nothing_of_what_another_shows(captures: Path, one: str, other: str) -> None:
    """Two Pods that had one address one after the other: neither is of a type, or being deleted, because of the other."""
    found = probewatch.analyze([captures / one / "capture.pcap", captures / other / "capture.pcap"])
    assert len(found.probes) == 2
    assert {probe.type for probe in found.probes} <= {ProbeType.READINESS, ProbeType.UNKNOWN}
    assert ProbeType.READINESS in {probe.type for probe in found.probes}
    assert not [event for event in found.events if event.kind is EventKind.POD_TERMINATING]


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


@pytest.mark.parametrize(
    ("files", "due", "told"),
    [
        ([(0, 46), (54, 120)], (45, 55), True),
        ([(54, 120), (0, 46)], (45, 55), True),
        ([(0, 46), (54, 120), (0, 120)], (45, 55), False),
        ([(0, 46), (54, 120)], (45, 65), False),
        ([(0, 120)], (45, 55), False),
    ],
)
def test_what_was_due_between_two_files(files: list[tuple[int, int]], due: tuple[int, int], told: bool) -> None:
    """What was due after one file had ended and before the next began may not have been captured; another file may cover it."""
    second = 1_000_000_000
    bare = CaptureInfo(path="", format="pcap", link_types=(), interfaces=(), frames=1)
    infos = [replace(bare, first_ns=(1 + first) * second, last_ns=(1 + last) * second) for first, last in files]
    expected = (due[1] - due[0]) // 5 - 1
    gap = Gap(start_ns=(1 + due[0]) * second, end_ns=(1 + due[1]) * second, expected=expected, reason="nothing in the capture says why")
    probe = Probe(id="p1", checker=Checker(kind="kubelet", address=""), target=Target(address="", port=80), type=ProbeType.READINESS,
                  type_source="declared", handler=Handler.HTTP_GET, gaps=(gap,))  # fmt: skip
    (found,), events = between_files([probe], infos, ())
    assert (found.gaps[0].reason == BETWEEN_FILES) is told
    assert [(event.ns // second - 1, (event.end_ns or 0) // second - 1, event.kind) for event in events] == (
        [(46, 54, EventKind.CAPTURE_GAP)] if told else []
    )
    assert [found] == between_files([probe], infos, events)[0]
    assert between_files([probe], infos, events)[1] == events


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00::2"])
def test_a_startup_probe_that_is_over_is_not_missing(captures: Path, address: str) -> None:
    """While a container's readiness probe runs its startup probe has succeeded: no gap of it goes on to the end. Else it stays one."""
    folder = captures / "startup-probe"
    seen = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml").probes
    probes = [replace(probe, target=replace(probe.target, address=address)) for probe in seen]
    last = next(probe for probe in probes if probe.type is ProbeType.STARTUP).attempts[-1]
    gap = Gap(start_ns=last.start.ns, end_ns=last.start.ns + 60_000_000_000, expected=60, reason="")
    probes = [replace(probe, gaps=(gap,)) if probe.type is ProbeType.STARTUP else probe for probe in probes]
    assert len(probes) > 1
    assert not any(probe.gaps for probe in started(probes) if probe.type is ProbeType.STARTUP)
    alone = [probe for probe in probes if probe.type is ProbeType.STARTUP]
    assert started(alone) == alone
