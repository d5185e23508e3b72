"""Captures of one time whose clocks differ are told by one clock."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from probewatch import analyze
from probewatch.api import open_inputs
from probewatch.clocks import FEWEST, Request, distance_of
from probewatch.model.frame import Frame
from probewatch.model.timeline import Timeline
from probewatch.model.units import SECOND as S

CAPTURES = Path(__file__).parents[1] / "captures"


def written(name: str, path: Path, *, by_ns: int, kept: Callable[[Frame], bool] = lambda _: True) -> Path:
    """Write a capture anew with other times."""
    (reader,) = open_inputs([str(next((CAPTURES / name).glob("cap*.pcap*")))])
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1))
        for frame in filter(kept, reader):
            file.write(struct.pack("<IIII", *divmod(frame.ns + by_ns, S), len(frame.data), frame.original_length) + frame.data)
    reader.close()
    return path


def told(timeline: Timeline) -> list[tuple[object, ...]]:
    """Return what matters of a timeline."""
    return [
        (probe.target.address, [(a.n, a.outcome, a.cause, a.end_ns) for a in probe.attempts], [(d.kind, d.ns) for d in probe.decisions])
        for probe in timeline.probes
    ]


@pytest.mark.parametrize("name", ["http-timeout", "http-ipv6"])
@pytest.mark.parametrize("by_ns", [-61 * S, -S // 5, 20 * S, 3600 * S])
def test_the_first_files_clock_is_taken(name: str, by_ns: int, tmp_path: Path) -> None:
    """Attempts and decisions are those of the first file, each seen at two places, and a note before all others says by how much."""
    near = written(name, tmp_path / "near.pcap", by_ns=0)
    far = written(name, tmp_path / "far.pcap", by_ns=by_ns)
    spec = str(CAPTURES / name / "pod.yaml")
    both = analyze([near, far], spec=spec)
    assert told(both) == told(analyze([near], spec=spec))
    assert {len(leg.connection.sightings) for probe in both.probes for a in probe.attempts for leg in a.legs} == {2}
    assert both.foremost == 1
    assert both.notes[0].startswith(f"clocks differ: {far}")
    assert f"editcap -t {-by_ns / 1e9:.6f} {far}" in both.notes[0]
    assert [info.shift_ns for info in both.captures] == [0, -by_ns]
    assert both.captures[0].first_ns == both.captures[1].first_ns


def test_what_shares_nothing_keeps_its_clock(tmp_path: Path) -> None:
    """Other connections, and clocks that agree, are left alone; what one place alone saw says nothing against it."""
    one = written("http-timeout", tmp_path / "one.pcap", by_ns=0)
    other = written("http-flap-s1", tmp_path / "other.pcap", by_ns=20 * S)
    assert analyze([one, other]).foremost == 0
    assert analyze([one, one]).foremost == 0
    half = written("http-timeout", tmp_path / "half.pcap", by_ns=5 * S, kept=lambda frame: frame.number % 3 > 0)
    assert analyze([one, half]).captures[1].shift_ns == -5 * S


def requests(*times: int) -> dict[Request, int]:
    """Return requests, the first of each of these times from port 1 on."""
    return {("192.0.2.1", port, "192.0.2.9", 80, port * 1000, port, -1): ns for port, ns in enumerate(times, 1)}


def test_distance() -> None:
    """It takes several requests, nearly all at one distance: a first SYN may have been lost at one place, files that differ are none."""
    assert distance_of(requests(0, S, 2 * S), requests(5 * S, 6 * S, 7 * S + 1000)) == 5 * S
    assert distance_of(requests(*range(0, 5 * S, S)), requests(S, 2 * S, 3 * S, 4 * S, 6 * S)) == S
    assert distance_of(requests(0, S, 2 * S), requests(0, 3 * S, 9 * S)) is None
    assert distance_of(requests(*range(FEWEST - 1)), requests(*range(FEWEST - 1))) is None


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("stamped", [True, False])
def test_what_is_sent_again_is_no_other_clock(tmp_path: Path, version: int, stamped: bool) -> None:
    """A capture rotated between SYNs and their retransmissions a second later is one capture: nothing is moved."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    files: tuple[list[object], list[object]] = ([], [])
    for number in range(4):
        for again, file in enumerate(files):
            t = 1_000 + number / 100 + again * 1.016
            ip = (
                IP(src="10.0.0.1", dst="10.0.0.2", id=100 * number + again + 1)
                if version == 4
                else IPv6(src="fd00::1", dst="fd00::2")
            )
            options = [("Timestamp", (int(t * 1000) % 2**32, 0))] if stamped else []
            frame = Ether() / ip / TCP(sport=40_000 + number, dport=80, flags="S", seq=number + 7, options=options)
            frame.time = t
            file.append(frame)
    paths = [str(tmp_path / name) for name in ("a.pcap", "b.pcap")]
    for path, frames in zip(paths, files, strict=True):
        wrpcap(path, frames)
    timeline = analyze(paths)
    assert [info.shift_ns for info in timeline.captures] == [0, 0]
    assert timeline.foremost == 0
