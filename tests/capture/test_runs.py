"""Runs of records that are read many at once: they are the same frames as one by one, and the same is said of the input."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import pytest

from probewatch.capture import CaptureError, Reader, wholesale
from probewatch.capture.reader import flat
from probewatch.model.frame import Batch, CaptureInfo, Frame


@pytest.fixture(autouse=True)
def small_inputs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be done from the first byte on."""
    monkeypatch.setattr(wholesale, "LARGE", 0)


def read(raw: bytes, *, runs: bool) -> tuple[list[Frame], CaptureInfo, int]:
    """Return the frames, what is said of the input, and how many frames were read in runs."""
    with Reader("-", 0, stdin=io.BytesIO(raw)) as reader:
        parts = list(reader.parts() if runs else reader)
        return list(flat(parts)), reader.info(), sum(len(part) for part in parts if isinstance(part, Batch))


def test_every_capture(capture_file: Path) -> None:
    """Every capture gives the same frames, in the same order, with the same numbers, and the same notes."""
    try:
        with Reader(str(capture_file), 0) as reader:
            frames, info = list(reader), reader.info()
    except CaptureError:
        return
    with Reader(str(capture_file), 0) as reader:
        assert list(flat(reader.parts())) == frames
        assert reader.info() == info


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("seed", range(12))
def test_odd_records_of_pcap(make, order, seed):
    """Empty records, times that go back, records that are cut or claim too much: the same is made of all, and most are read in runs."""
    rng = random.Random(seed)
    ns, raw, total = 1_700_000_000_000_000, bytearray(make.pcap_header(order, 0xA1B23C4D if seed % 2 else 0xA1B2C3D4)), 0
    for _ in range(3000):
        ns += rng.randrange(50)
        what = rng.random()
        time = ns - rng.randrange(10_000_000) if what < 0.001 else ns
        data = rng.randbytes(0 if 0.001 < what < 0.002 else rng.choice((40, 66, 66, 300, 1500)))
        raw += make.record(time // 1_000_000, time % 1_000_000, data, rng.choice((None, len(data) + 9)), order)
        total += 1
    if seed % 3 == 0:
        del raw[-rng.randrange(1, 60) :]
    elif seed % 3 == 1:
        raw += make.record(1, 1, b"", None, order).replace(bytes(4), b"\x7f\xff\xff\x7f") + bytes(70_000)
    frames, info, _ = read(bytes(raw), runs=False)
    in_runs, its_info, batched = read(bytes(raw), runs=True)
    assert in_runs == frames
    assert its_info == info
    assert batched > total // 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("seed", range(12))
def test_odd_blocks_of_pcapng(make, order, seed):
    """The same of pcapng, whose frames come from interfaces in turns: with clocks of their own, with options, with a checksum behind."""
    rng = random.Random(seed)
    raw = bytearray(make.section(order))
    clocks = ((1, b"\x09"), (1000, b"\x06"), (1, b"\x09"), (1, b"\x09"))
    for number, (_, resolution) in enumerate(clocks):
        more = [(14, (-5).to_bytes(8, "little" if order == "<" else "big", signed=True))] if number == 2 else []
        raw += make.interface(order, (1, 276, 101, 1)[number], pairs=[(9, resolution), *more, *([(13, b"\x04")] if number == 3 else [])])
    ns = 1_700_000_000_000_000_000
    for _ in range(2000):
        ns += rng.randrange(50_000)
        what = rng.random()
        number = rng.randrange(3) if what > 0.003 else rng.randrange(4)
        ticks = (ns + (5_000_000_000 if number == 2 else 0)) // clocks[number][0]
        if 0.003 < what < 0.005:
            ticks = rng.choice((0, ticks - 1_000_000))
        data = rng.randbytes(rng.choice((0, 41, 66, 67, 1500)))
        raw += make.packet(ticks, data, number, order, rng.choice((None, 4000)), [(1, b"so")] if 0.005 < what < 0.008 else [])
        if 0.008 < what < 0.01:
            raw += make.block(order, 0xBAD, bytes(12))
    raw += b"".join(make.packet(ticks, bytes(20), 0, order) for ticks in (1 << 63, (1 << 64) - 1))
    if seed % 3 == 0:
        del raw[-rng.randrange(1, 60) :]
    elif seed % 3 == 1:
        raw[len(raw) // 2] ^= 0x80
        raw[len(raw) // 2 + 2000] ^= 1
    frames, info, _ = read(bytes(raw), runs=False)
    in_runs, its_info, batched = read(bytes(raw), runs=True)
    assert in_runs == frames
    assert its_info == info
    assert batched > len(frames) // 4


def test_no_order_at_all(make, monkeypatch):
    """Where no record is ordinary, a run is tried now and then, not at each."""
    tried: list[int] = []
    took = wholesale.Wholesale.took
    monkeypatch.setattr(wholesale.Wholesale, "took", lambda self, run: tried.append(run.stop) or took(self, run))
    frames, _, batched = read(make.pcap([(1_700_000_000 - n, 0, bytes(40)) for n in range(5000)]), runs=True)
    assert len(frames) == 5000
    assert batched == 0
    assert 0 < len(tried) < 20


def test_without_numpy(make, monkeypatch):
    """Where numpy is not installed, frames come one by one, and the same ones."""
    raw = make.pcap([(1_700_000_000 + n, 0, bytes(40)) for n in range(500)])
    expected = read(raw, runs=True)
    assert expected[2]
    monkeypatch.delattr("probewatch.capture.runs")
    monkeypatch.setitem(sys.modules, "probewatch.capture.runs", None)
    assert read(raw, runs=True) == (*expected[:2], 0)


def test_a_small_input_needs_no_numpy(make, monkeypatch):
    """Below a size that repays its import, frames come one by one."""
    monkeypatch.undo()
    raw = make.pcap([(1_700_000_000 + n, 0, bytes(40)) for n in range(500)])
    assert read(raw, runs=True)[2] == 0
