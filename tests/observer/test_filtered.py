"""What is missing by the way a capture was taken (a snapshot length, a filter) proves nothing, and is said."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from probewatch import explain, verify
from probewatch.api import Analysis, open_inputs
from probewatch.capture import merged
from probewatch.model.frame import Frame
from probewatch.model.ladder import PhaseKind
from probewatch.model.spec import Handler
from probewatch.model.timeline import Outcome, Probe, Timeline

CAPTURES = Path(__file__).parents[2] / "captures"
WHOLE = 1 << 18


def taken(
    name: str, path: Path, *, length: int = WHOLE, kept: Callable[[Frame], bool] = lambda _: True, spec: bool = False
) -> Timeline:
    """Take a capture again with a snapshot length and a filter, and read it."""
    (reader,) = open_inputs([str(next((CAPTURES / name).glob("cap*.pcap*")))])
    try:
        frames = [frame for frame in merged([reader]) if kept(frame)]
    finally:
        reader.close()
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, length, 1))
        for frame in frames:
            data = frame.data[:length]
            file.write(struct.pack("<IIII", *divmod(frame.ns, 10**9), len(data), frame.original_length) + data)
    return Analysis([path], spec=str(CAPTURES / name / "pod.yaml") if spec else ()).whole()


@pytest.mark.parametrize(("name", "length"), [("http-flap-s1", 96), ("http-flap-s1", 128), ("http-flap-s1", 139), ("http-ipv6", 150)])
def test_a_request_that_was_cut_names_nobody_by_what_it_lacks(name: str, length: int, tmp_path: Path) -> None:
    """A kubelet's request of which only the beginning is there is a check that may be a kubelet's; what came of it stands."""
    whole = taken(name, tmp_path / "whole.pcap").probes
    cut = taken(name, tmp_path / "cut.pcap", length=length).probes
    http = [probe for probe in cut if probe.handler is Handler.HTTP_GET]
    assert http
    assert {probe.checker.kind for probe in http} == {"unknown"}
    assert all("kubelet" in probe.checker.could_be for probe in http)
    assert told(cut) == told(whole)


def told(probes: Iterable[Probe]) -> list[tuple[int, Outcome]]:
    """Return all attempts' outcomes, by when they began."""
    return sorted((a.start.ns, a.outcome) for probe in probes for a in probe.attempts)


def test_checkers_whose_requests_were_cut(tmp_path: Path) -> None:
    """Nobody is called Apache or Varnish for headers that were cut off; whom something says that was seen keeps the name."""
    whole = taken("several", tmp_path / "whole.pcap")
    cut = taken("several", tmp_path / "cut.pcap", length=90)
    assert {"apache", "varnish", "haproxy"} <= {probe.checker.kind for probe in whole.probes}
    kinds = {probe.checker.kind for probe in cut.probes if probe.handler is Handler.HTTP_GET}
    assert kinds == {"unknown", "haproxy"}


@pytest.mark.parametrize(("name", "length"), [("http-flap-s1", 96), ("http-flap-s1", 128), ("http-ipv6", 150), ("https-503", 80)])
def test_a_snapshot_length_is_told_before_all_else(name: str, length: int, tmp_path: Path) -> None:
    """Where it cut nearly all requests one note says so, at which length, and what to do; a whole capture has none."""
    cut = taken(name, tmp_path / "cut.pcap", length=length)
    assert cut.foremost == 1
    assert f"frames were cut at {length} bytes" in cut.notes[0]
    assert "tcpdump -s 0" in cut.notes[0]
    assert "--spec" in cut.notes[0]
    assert taken(name, tmp_path / "whole.pcap").foremost == 0
    assert "--spec" not in taken(name, tmp_path / "cut.pcap", length=length, spec=True).notes[0]


def test_what_was_cut_is_no_silence(tmp_path: Path) -> None:
    """A ladder of an attempt whose answer was cut waits for it as long as it took, and verify says that requests were cut, not missing."""
    taken("http-flap-s1", tmp_path / "cut.pcap", length=96)
    spec = str(CAPTURES / "http-flap-s1" / "pod.yaml")
    ladder = explain(tmp_path / "cut.pcap", spec=spec, attempt=2)
    phases = ladder[0].connections[0].phases
    assert [phase.kind for phase in phases] == [PhaseKind.CONNECT, PhaseKind.REQUEST, PhaseKind.WAIT, PhaseKind.CLOSE]
    assert all(phase.done for phase in phases)
    findings = verify(tmp_path / "cut.pcap", spec=spec).findings
    said = [finding.sentence for finding in findings if "httpHeaders" in finding.field]
    assert said == ["the capture cut all requests that it has (snapshot length)"]
