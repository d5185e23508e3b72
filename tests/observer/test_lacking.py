"""What a capture lacks by how it was made: frames without times, in whole seconds, all in a tunnel, none that a filter lets pass."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import probewatch
from probewatch.model.timeline import Outcome
from probewatch.report import outline

CAPTURES = Path(__file__).parents[2] / "captures"
STAMPS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "zero": lambda *_: (0, 0),
    "a microsecond apart": lambda _, number: (1_800_000_000, number),
    "whole seconds": lambda second, _: (second, 0),
}


def stamped(source: Path, target: Path, how: str) -> Path:
    """Write a capture (pcap, little endian, microseconds) with other times."""
    data, at, number = bytearray(source.read_bytes()), 24, 0
    while at < len(data):
        second, _, size = struct.unpack_from("<III", data, at)
        struct.pack_into("<II", data, at, *STAMPS[how](second, number))
        at, number = at + 16 + size, number + 1
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("how", ["zero", "a microsecond apart"])
@pytest.mark.parametrize("name", ["http-timeout", "http-ipv6"])
def test_frames_without_times_decide_nothing(tmp_path: Path, name: str, how: str) -> None:
    """Where all frames have one time, or a microsecond between them, that is said before all else, and nothing is decided."""
    capture = stamped(CAPTURES / name / "capture.pcap", tmp_path / "t.pcap", how)
    timeline = probewatch.analyze(capture, spec=CAPTURES / name / "pod.yaml")
    assert timeline.foremost
    assert "have no times of their own" in timeline.notes[0]
    assert timeline.probes or name == "http-ipv6"  # (without an address in its manifest nothing shows whose it is)
    assert not timeline.events
    for probe in timeline.probes:
        assert not probe.decisions
        assert (probe.initial_state, probe.final_state) == ("unknown", "unknown")
        assert {attempt.outcome for attempt in probe.attempts} == {Outcome.INCONCLUSIVE}


def test_whole_seconds_are_told(tmp_path: Path) -> None:
    """Times in whole seconds show no latency: a note says so; times with fractions have none."""
    source = CAPTURES / "http-timeout" / "capture.pcap"
    timeline = probewatch.analyze(stamped(source, tmp_path / "t.pcap", "whole seconds"))
    assert "the times of frames are whole seconds" in timeline.notes[0]
    assert not any("whole seconds" in note for note in probewatch.analyze(source).notes)


def test_a_filter_that_lets_nothing_pass() -> None:
    """That a filter takes everything away is said, and no place to capture at is advised."""
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", filter="port 9999")
    assert timeline.notes[0].startswith("the filter lets none of the 342 frames pass")
    assert outline.nothing(timeline) == ("342 frames, of which nothing is looked at", [])


def test_a_time_behind_the_end() -> None:
    """What is to be shown lies behind the whole input: the note says from when to when that goes."""
    timeline = probewatch.analyze(CAPTURES / "http-timeout" / "capture.pcap", since="+100")
    assert timeline.notes[0].startswith("nothing lies in the time that is to be shown: the input goes from 2026-11-22 20:10:48")
    assert outline.nothing(timeline)[1] == []


def test_a_tunnel_on_a_port_of_its_own(tmp_path: Path) -> None:
    """Where nearly all is UDP to one port that is no known tunnel's, that port is named, with where to capture."""
    outer = bytes.fromhex("0200000000020200000000010800")
    frames = []
    for number in range(30):
        inner = b"\x08" + bytes(7) + outer + bytes(60)
        udp = struct.pack("!HHHH", 40000 + number, 9789, 8 + len(inner), 0) + inner
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, b"\xc0\0\x02\x01", b"\xc0\0\x02\x02")
        packet = outer + ip + udp
        frames.append(struct.pack("<IIII", 1_800_000_000 + number, 5, len(packet), len(packet)) + packet)
    capture = tmp_path / "t.pcap"
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(frames))
    timeline = probewatch.analyze(capture)
    assert timeline.notes[0].startswith("30 of 30 frames are UDP to port 9789: as it seems a tunnel")
