"""Differential: every capture, frame by frame, against tshark.

Covers `capture` and `wire`.
"""

from __future__ import annotations

import subprocess
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from probewatch.capture import CaptureError, Reader
from probewatch.model.frame import JOURNAL_ENTRY

MOST = 20_000
"""Frames compared of one capture."""

pytestmark = pytest.mark.oracle


def test_frames_times_and_lengths(tshark: str, capture_file: Path) -> None:
    """Numbers, times to the nanosecond, captured and original lengths are tshark's; where it stops, so do we.

    Left out is what is right to differ: formats that only one of us reads, a pcap header in the middle of a file
    (tshark takes it for a frame), and a declared FCS (tshark leaves it on).
    """
    fields = ["-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len"]
    quiet = ["--disable-protocol", "ip", "--disable-protocol", "ipv6"]
    command = [tshark, "-n", "-c", str(MOST), "-r", str(capture_file), *quiet, "-T", "fields", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    theirs = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    stopped = done.returncode != 0 and "isn't a capture file" not in done.stderr
    try:
        reader = Reader(str(capture_file), 0)
    except CaptureError:
        plain = theirs == [("1", "", theirs[0][2], theirs[0][3])] if theirs else True  # a JSON or text "capture"
        if not plain and "lz4" not in capture_file.name:
            pytest.skip("a format that only tshark reads")
        return
    with reader:
        frames = list(islice(reader, MOST))
        info = reader.info()
    if not theirs and frames:
        pytest.skip("tshark does not read this compression or link type")
    if any("second pcap file" in note for note in info.notes):
        theirs = theirs[: len(frames)]
    ours = [(str(f.number), f.ns, str(len(f.data)), str(f.original_length)) for f in frames]
    # A journal entry tells microseconds to those who do not know our own field beside it.
    ours = [
        (n, time // 1000 * 1000 if f.link_type == JOURNAL_ENTRY else time, captured, length)
        for f, (n, time, captured, length) in zip(frames, ours, strict=True)
    ]
    expected = [(n, int(Decimal(time) * 10**9), captured, length) for n, time, captured, length in theirs]
    if ours and int(expected[0][2]) == int(ours[0][2]) + 4:
        ours = [(n, time, str(int(captured) + 4), str(int(length) + 4)) for n, time, captured, length in ours]
    assert ours == expected
    if len(frames) < MOST:
        assert info.complete == (not stopped)
