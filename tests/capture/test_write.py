"""Captures out."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probewatch
from probewatch.capture import CaptureError, Reader
from probewatch.capture.tally import MAX_FRAME
from probewatch.capture.write import Counts, PcapngWriter
from probewatch.model.frame import Frame

OWN = Path(__file__).parents[2] / "captures"
SAMPLES = ["http-flap-s1/capture.pcap", "http-ipv6/capture.pcap", "derived/any-sll.pcap.gz", "enc-rawtun/tun.pcap.gz"]


def copied(source: Path, target: Path) -> tuple[list[Frame], tuple[str, ...]]:
    """Write a capture's frames to another file; return them, and what there is to say of the capture."""
    with Reader(str(source), 0) as reader, target.open("wb") as out:
        frames = list(reader)
        notes = reader.info().notes
        writer = PcapngWriter(out)
        for link_type in dict.fromkeys(frame.link_type for frame in frames):
            writer.interface("veth0", link_type, MAX_FRAME)
        for frame in frames:
            writer.frame(frame)
        writer.statistics(0, frames[0].ns, frames[-1].ns, Counts(received=len(frames), dropped=0))
    return frames, notes


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    """Time to the nanosecond, bytes, lengths, numbers, link type: a capture written and read is the same capture."""
    frames, notes = copied(OWN / name, tmp_path / "out.pcapng")
    with Reader(str(tmp_path / "out.pcapng"), 0) as reader:
        assert list(reader) == frames
        info = reader.info()
    assert (info.format, info.complete, info.notes) == ("pcapng", True, notes)
    assert [(i.name, i.snaplen, i.drops or 0) for i in info.interfaces] == [("veth0", MAX_FRAME, 0)]


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_the_copy_tells_the_same_story(name: str, tmp_path: Path) -> None:
    """The timeline of a written copy has the attempts and decisions of the original, at the same frames."""
    copied(OWN / name / "capture.pcap", tmp_path / "out.pcapng")
    pod = OWN / name / "pod.yaml"
    before, after = (probewatch.analyze(path, spec=pod) for path in (OWN / name / "capture.pcap", tmp_path / "out.pcapng"))
    assert before.probes
    assert after.probes == before.probes


@pytest.mark.oracle
@pytest.mark.parametrize("name", SAMPLES)
def test_wireshark_reads_it(name: str, tmp_path: Path, tshark: str) -> None:
    """Tshark reads every frame, with our numbers and times, and says nothing on standard error."""
    path = tmp_path / "out.pcapng"
    frames, _ = copied(OWN / name, path)
    command = [tshark, "-r", str(path), "-T", "fields", "-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.len"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    said = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(int(n), t.replace(".", ""), int(size)) for n, t, size in said] == [
        (f.number, str(f.ns), f.original_length) for f in frames
    ]
    assert [line for line in done.stderr.splitlines() if "could be dangerous" not in line] == []


def test_losses_are_told_again() -> None:
    """Counts of an interface's losses come back as its losses, from the kernel and from the interface."""
    out = io.BytesIO()
    writer = PcapngWriter(out)
    for name in ("veth0", "veth1"):
        writer.interface(name, 1, 96)
    writer.frame(Frame(1, 7, 99, 1, 1, b"abc", 60))
    writer.statistics(0, 0, 1, Counts(received=10, dropped=3, interface_dropped=4))
    writer.statistics(1, 0, 1, Counts(received=10, dropped=0))
    info, frames = _read(out.getvalue())
    assert [(i.name, i.snaplen, i.drops or 0) for i in info.interfaces] == [("veth0", 96, 7), ("veth1", 96, 0)]
    assert info.notes == ("the capturing program lost 7 frames on interface 0 (veth0)",)
    assert frames == [Frame(1, 0, 1, 1, 1, b"abc", 60)]


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.binary(max_size=70), st.integers(0, 2**31)), max_size=8), st.text()
)
def test_any_frames_come_back(frames: list[tuple[int, bytes, int]], name: str) -> None:
    """Any time, any bytes, any name of an interface: what is read is what was written."""
    out = io.BytesIO()
    writer = PcapngWriter(out)
    writer.interface(name.encode("utf-8", "replace").decode(), 1, 0)
    for ns, data, more in frames:
        writer.frame(Frame(ns, 0, 0, 0, 1, data, len(data) + more))
    info, again = _read(out.getvalue())
    assert info.complete
    assert [(f.ns, f.data, f.original_length) for f in again] == [(ns, data, len(data) + more) for ns, data, more in frames]


def test_a_file_that_breaks_off_keeps_what_was_whole() -> None:
    """Whatever the last block lost, the frames before it are read."""
    out = io.BytesIO()
    writer = PcapngWriter(out)
    writer.interface("veth0", 1, 0)
    writer.frame(Frame(1, 0, 1, 0, 1, b"first", 5))
    whole = len(out.getvalue())
    writer.frame(Frame(2, 0, 2, 0, 1, b"second", 6))
    for end in range(whole + 1, len(out.getvalue())):
        info, frames = _read(out.getvalue()[:end])
        assert [frame.data for frame in frames] == [b"first"]
        assert not info.complete


@pytest.mark.parametrize("frame", [Frame(1, 0, 1, 0, 1, bytes(MAX_FRAME + 1), 1), Frame(1, 0, 1, 1, 1, b"", 0)])
def test_what_no_reader_takes_is_not_written(frame: Frame) -> None:
    """A frame that is too large or of an unknown interface is refused with a sentence, and nothing is written."""
    out = io.BytesIO()
    writer = PcapngWriter(out)
    writer.interface("veth0", 1, 0)
    before = out.getvalue()
    with pytest.raises(CaptureError, match="cannot be written"):
        writer.frame(frame)
    assert out.getvalue() == before


def _read(data: bytes):
    reader = Reader("-", 0, stdin=io.BytesIO(data))
    frames = list(reader)
    return reader.info(), frames
