"""A clock that was set back while capturing: what comes after is told by the clock as it was, unless it looks like anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from probewatch.api import Analysis
from probewatch.capture import Reader, merged, wholesale
from probewatch.capture.pcap import FILE_HEADER
from probewatch.model.frame import CaptureInfo, Frame, Loss
from probewatch.model.timeline import Probe

OWN = Path(__file__).parents[2] / "captures"
Told = tuple[list[Frame], CaptureInfo, list[Loss]]


@pytest.fixture(params=[1 << 62, 0], ids=["one by one", "in batches"])
def told(request: pytest.FixtureRequest, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Return a function that reads frames of such moments (tenths of a second)."""
    monkeypatch.setattr(wholesale, "LARGE", request.param)

    def read(*tenths: int, shift_ns: int = 0) -> Told:
        path = tmp_path / "in.pcap"
        path.write_bytes(make.pcap([(one // 10, one % 10 * 100_000, b"%d" % n) for n, one in enumerate(tenths)]))
        losses: list[Loss] = []
        with Reader(str(path), 0) as reader:
            reader.shift_ns = shift_ns
            reader.on_loss(losses.append)
            return list(merged([reader])), reader.info(), losses

    return read


@pytest.mark.parametrize("back", [20, 500, 2_000])
def test_what_follows_a_step_back_is_told_behind_what_was_before(told: Callable[..., Told], back: int) -> None:
    """Within the capture's own time, and beyond its beginning: in the order of the file, at the same distances, with a loss and a note."""
    before, after = [*range(3_000, 3_600)], [*range(3_600 - back, 3_700 - back)]
    frames, info, losses = told(*before, *after)
    assert [frame.number for frame in frames] == list(range(1, 701))
    assert [frame.ns // 10**8 for frame in frames] == [*before, *range(3_599, 3_699)]
    last_ns = 3_599 * 10**8
    assert losses == [Loss(last_ns, last_ns + 1, clock=True)]
    note = (
        f"at frame 601 the clock was set back by {(back - 1) / 10:g} s or more: what comes from there on is told by the clock as "
        "it was before, and how much time passed then is not known (if files were joined in the wrong order instead, give them one by "
        "one, or sort them: reordercap)"
    )
    assert info.notes == (note,)
    assert (info.first_ns, info.last_ns) == (frames[0].ns, frames[-1].ns)


@pytest.mark.parametrize("shift_ns", [0, 7 * 10**9])
def test_a_clock_may_be_set_back_twice(told: Callable[..., Told], shift_ns: int) -> None:
    """The second step is told by what went before it as it was told, by its own length; whatever the reader itself moves the frames by."""
    frames, info, losses = told(*range(3_000, 3_100), *range(2_000, 2_100), *range(1_000, 1_100), shift_ns=shift_ns)
    assert [frame.number for frame in frames] == list(range(1, 301))
    assert [(frame.ns - shift_ns) // 10**8 for frame in frames] == [*range(3_000, 3_100), *range(3_099, 3_199), *range(3_198, 3_298)]
    at = [frames[99].ns, frames[199].ns]
    assert losses == [Loss(ns, ns + 1, clock=True) for ns in at]
    assert [note.split(":")[0] for note in info.notes] == [
        f"at frame {number} the clock was set back by 109.9 s or more" for number in (101, 201)
    ]


def test_frames_out_of_order_behind_a_step_are_sorted(told: Callable[..., Told]) -> None:
    """Another queue's frames that come late there reach into what was before them: that is no second step."""
    late = range(2_075, 2_200, 5)
    frames, _, losses = told(*range(3_000, 3_100), *range(2_000, 2_100), *late)
    assert [frame.ns // 10**8 for frame in frames[100:]] == sorted(one + 1_099 for one in (*range(2_000, 2_100), *late))
    assert len(losses) == 1


@pytest.mark.parametrize(
    "tenths",
    [
        [*range(1_000, 0, -1)],
        [*range(0, 20_000, 20)][::-1],
        [*range(100, 300), 150, *range(300, 400)],
        [*range(100, 200), *range(100, 200)],
        [*range(100, 300), *range(250, 257)],
        [*range(100, 300), *range(295, 400)],
    ],
    ids=["reversed", "reversed slowly", "one late", "two at the same time", "the last few", "less than a second"],
)
def test_what_is_no_step_is_sorted(told: Callable[..., Told], tenths: list[int]) -> None:
    """A file in reverse, a single late frame, two captures of the same time end to end, and what is too little to tell."""
    frames, _, losses = told(*tenths)
    assert [frame.ns // 10**8 for frame in frames] == sorted(tenths)
    assert losses == []


def moved(capture: bytes, at_ns: int, by_s: int) -> bytes:
    """Set the clock of a pcap of microseconds so long after its first frame."""
    out, place, begun = bytearray(capture), FILE_HEADER, None
    while place < len(out):
        seconds, fraction, length = (int.from_bytes(out[place + at : place + at + 4], "little") for at in (0, 4, 8))
        ns = seconds * 10**9 + fraction * 1_000
        begun = ns if begun is None else begun
        if ns - begun >= at_ns:
            out[place : place + 4] = (seconds + by_s).to_bytes(4, "little")
        place += 16 + length
    return bytes(out)


def found(path: Path, spec: Path) -> Sequence[Probe]:
    """Return the probes of a capture."""
    return Analysis([str(path)], spec=[str(spec)]).whole().probes


@pytest.mark.parametrize("by_s", [-20, -3_600])
@pytest.mark.parametrize("at_s", [17, 30, 44])
def test_attempts_around_a_step_read_as_without_it(tmp_path: Path, at_s: int, by_s: int) -> None:
    """Every attempt has its outcome; no decision is told that was none, for behind the step states are met anew."""
    capture = OWN / "http-flap-s1" / "capture.pcap"
    spec = OWN / "http-flap-s1" / "pod.yaml"
    stepped = tmp_path / "capture.pcap"
    stepped.write_bytes(moved(capture.read_bytes(), at_s * 10**9, by_s))
    (whole,), (probe,) = found(capture, spec), found(stepped, spec)
    assert [(a.outcome, a.cause) for a in probe.attempts] == [(a.outcome, a.cause) for a in whole.attempts]
    assert probe.type == whole.type
    true = {(d.kind, d.attempt) for d in whole.decisions}
    assert {(d.kind, d.attempt) for d in probe.decisions} <= true
    assert len(probe.decisions) >= len(true) - 2
