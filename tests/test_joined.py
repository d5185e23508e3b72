"""Files that were joined in the wrong order read as in the right one, and a clock that was set is never taken for that."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from probewatch import analyze
from probewatch.api import open_inputs
from probewatch.model.frame import Frame
from probewatch.model.timeline import Timeline
from probewatch.model.units import SECOND as S

CAPTURES = Path(__file__).parents[1] / "captures"


def frames_of(name: str) -> list[Frame]:
    """Return a capture's frames."""
    (reader,) = open_inputs([str(CAPTURES / name / "capture.pcap")])
    frames = list(reader)
    reader.close()
    return frames


def written(frames: Sequence[Frame], path: Path) -> Path:
    """Write frames in this order."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", *divmod(frame.ns, S), len(frame.data), frame.original_length) + frame.data)
    return path


def told(timeline: Timeline) -> list[tuple[object, ...]]:
    """Return what matters of a timeline."""
    return [
        (p.target.address, p.type, [(a.n, a.start.ns, a.outcome, a.cause, a.end_ns) for a in p.attempts],
         [(d.kind, d.ns) for d in p.decisions])
        for p in timeline.probes
    ]


@pytest.mark.parametrize("name", ["http-blackhole", "http-ipv6", "http-timeout"])
def test_pieces_in_the_wrong_order_are_told_in_the_right_one(name: str, tmp_path: Path) -> None:
    """Cut anywhere into two files or three, joined in another order: all is told as of the whole, and a note says what to do.

    Now and then (a long pause, one pace) too little speaks for it: then a note names both, the clock and the order.
    """
    frames = frames_of(name)
    spec = str(CAPTURES / name / "pod.yaml")
    whole = told(analyze(CAPTURES / name / "capture.pcap", spec=spec))
    rng = random.Random(7)
    left = 0
    for _ in range(4):
        one, two = sorted(rng.sample(range(30, len(frames) - 30, 10), 2))
        pieces = [frames[:one], frames[one:two], frames[two:]]
        for order in ([1, 0], [2, 1, 0]):
            joined = [frame for at in order for frame in (pieces[at] if len(order) == 3 or at == 0 else frames[one:])]
            path = written(joined, tmp_path / "joined.pcap")
            timeline = analyze(path, spec=spec)
            (note, *_) = timeline.captures[0].notes
            if "the clock was set back" in note:
                assert "(if files were joined in the wrong order instead" in note
                left += 1
                continue
            assert told(timeline) == whole, (one, two, order)
            assert "files were joined in another order than they were captured" in note
            assert f"reordercap {path} OUT" in note
            assert timeline.captures[0].complete
    assert left <= 2


@pytest.mark.parametrize("name", ["http-blackhole", "http-ipv6", "http-timeout"])
def test_a_clock_that_was_set_back_is_no_such_file(name: str, tmp_path: Path) -> None:
    """Back before the beginning of the capture, by as much as would fit or by more: the second part stays behind the first one."""
    frames = frames_of(name)
    rng = random.Random(11)
    for _ in range(12):
        cut = rng.randrange(30, len(frames) - 30)
        long_ns = frames[-1].ns - frames[0].ns
        back_ns = long_ns + rng.choice([0, 1, S // 10, S, 17 * S // 10, 60 * S, 3600 * S])
        path = written([f._replace(ns=f.ns - back_ns * (n >= cut)) for n, f in enumerate(frames)], tmp_path / "set.pcap")
        (reader,) = open_inputs([str(path)])
        reader.close()
        assert reader.pieces == (), (cut, back_ns)
