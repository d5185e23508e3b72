"""A clock that was set while capturing, by what hosts' timestamps show: told by the clock as it was before, to the millisecond."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from probewatch.capture import Reader, merged, wholesale
from probewatch.capture.hosts import Stamp
from probewatch.model.frame import CaptureInfo, Frame

MS = 1_000_000
Shown = tuple[int, str, str, int | None]
"""When (ms), sender, receiver, and its timestamp; None where it has none."""
Told = tuple[list[int], CaptureInfo]


def stamp(frame: Frame) -> Stamp | None:
    """Read what a made-up frame says."""
    source, destination, ms = frame.data.decode().split()
    return None if ms == "-" else Stamp(source, (source, destination), int(ms))


@pytest.fixture(params=[1 << 62, 0], ids=["one by one", "in batches"])
def told(request: pytest.FixtureRequest, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Return a function that reads such frames and returns their times (ms)."""
    monkeypatch.setattr(wholesale, "LARGE", request.param)

    def read(frames: Sequence[Shown]) -> Told:
        path = tmp_path / "in.pcap"
        records = [(t // 1000, t % 1000 * 1000, f"{a} {b} {'-' if ms is None else ms}".encode()) for t, a, b, ms in frames]
        path.write_bytes(make.pcap(records))
        with Reader(str(path), 0) as reader:
            reader.stamp = stamp
            return [frame.ns // MS for frame in merged([reader])], reader.info()

    return read


def probes(by_ms: int, at_ms: int, *, answers: bool = True, pods: int = 2) -> tuple[list[Shown], list[int]]:
    """Return requests to some Pods every 2 s and their answers, as a clock that was set then tells them; and when they really came."""
    true: list[int] = []
    out: list[Shown] = []
    for tick in range(20):
        for pod in range(pods):
            for back in (False, True) if answers else (False,):
                t = 1_000_000 + tick * 2000 + pod * 300 + back
                ends = (f"p{pod}", "node") if back else ("node", f"p{pod}")
                # Timestamps begin anywhere, for each pair elsewhere; and come round in between.
                begun = (1 << 32) - 1_015_000 + 7_919 * pod + 104_729 * back
                true.append(t)
                out.append((t + (by_ms if t >= 1_000_000 + at_ms else 0), *ends, (t + begun) % (1 << 32)))
    return out, true


@pytest.mark.parametrize("by_ms", [30, 1_200, 47_000, 600_000, -50, -300, -1_200, -20_000])
def test_what_follows_a_step_is_told_by_the_clock_before(told: Callable[..., Told], by_ms: int) -> None:
    """Forward and back, by little and by a multiple of every period, where ticks show nothing; and the note says how much."""
    frames, true = probes(by_ms, 21_000)
    times, info = told(frames)
    assert max(abs(a - b) for a, b in zip(times, true, strict=True)) <= 1
    (note,) = info.notes
    assert f"at frame 45 the clock was set {'forward' if by_ms > 0 else 'back'} by {abs(by_ms) / 1000:g} s" in note
    assert info.last_ns is not None
    assert abs(info.last_ns // MS - true[-1]) <= 1


def test_requests_alone_show_it_after_a_while(told: Callable[..., Told]) -> None:
    """Where no answer has timestamps, two Pods' requests more than a second apart do."""
    frames, true = probes(500, 21_000, answers=False, pods=5)
    times, _ = told(frames)
    assert max(abs(a - b) for a, b in zip(times, true, strict=True)) <= 1


@pytest.mark.parametrize("kind", ["one host stood still", "begun anew", "held back", "no timestamps", "one request alone"])
def test_what_is_no_step_is_left(told: Callable[..., Told], kind: str) -> None:
    """One host's clock that stops, hosts that begin anew for every connection, and a queue that holds frames back move nothing."""
    frames, _ = probes(0, 0)
    seen: list[Shown] = []
    for n, (t, a, b, ms) in enumerate(frames):
        assert ms is not None
        late = t >= 1_021_000
        if kind == "one host stood still" and a == "p0" and late:
            seen.append((t, a, b, ms - 500))
        elif kind == "begun anew":
            seen.append((t, a, b, ms * 2_654_435_761 % (1 << 32)))
        elif kind == "held back" and n in (40, 42):  # (two requests in one queue; their answers went on at once)
            seen.append((t, a, b, ms - 250))
        elif kind == "no timestamps":
            seen.append((t + 500 * late, a, b, None))
        elif kind == "one request alone":
            seen.append((t + 500 * late, a, b, ms if (a, b) == ("node", "p0") else None))
        else:
            seen.append((t, a, b, ms))
    times, info = told(seen)
    assert times == [t for t, *_ in seen]
    assert info.notes == ()
