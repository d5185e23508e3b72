"""Lines of `watch`: what a narrow terminal shows of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import probewatch
from probewatch.report.escape import width
from probewatch.report.live import Lines


@pytest.mark.parametrize("room", [40, 80, 200])
def test_a_line_fits_the_terminal(captures: Path, room: int) -> None:
    """No line is longer than the terminal: it goes without its frames first, then what there is to say is cut; elsewhere all stands."""
    folder = captures / "http-flap-s1"
    (probe,) = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml").probes
    narrow: list[str] = []
    whole: list[str] = []
    for out, columns in ((narrow, room), (whole, None)):
        lines = Lines(out.append, room=None if columns is None else lambda: room)
        for attempt in probe.attempts[:12]:
            lines.attempt(("a", "0", 0), probe, attempt, None)
    short, full = "".join(narrow).splitlines(), "".join(whole).splitlines()
    assert all(width(line) <= room for line in short)
    assert all("frames " in line for line in full[1:])
    for one, other in zip(short, full, strict=True):
        cut = one.rstrip().removesuffix("…")
        assert other.startswith(cut)
        assert (one.rstrip() == other.rstrip()) == (width(other) <= room)
