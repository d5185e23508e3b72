"""A frame whose time is far from those of all around it is told between them, and changes nothing else."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from probewatch.api import Analysis, document
from probewatch.capture import Reader, merged, wholesale
from probewatch.capture.pcap import FILE_HEADER
from probewatch.capture.strays import _between
from probewatch.model.frame import CaptureInfo

OWN = Path(__file__).parents[2] / "captures" / "http-flap-s1"
DAY = 864_000
"""In tenths of a second."""


@pytest.fixture(params=[1 << 62, 0], ids=["one by one", "in batches"])
def told(request: pytest.FixtureRequest, make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that reads frames of such moments (tenths of a second)."""
    monkeypatch.setattr(wholesale, "LARGE", request.param)

    def read(*tenths: int) -> tuple[list[int], CaptureInfo]:
        path = tmp_path / "in.pcap"
        path.write_bytes(make.pcap([(one // 10, one % 10 * 100_000, b"%d" % n) for n, one in enumerate(tenths)]))
        with Reader(str(path), 0) as reader:
            return [frame.ns // 10**8 for frame in merged([reader])], reader.info()

    return read


@pytest.mark.parametrize("odd", [1_230, 90_000, 40_000_000_000, 80, 0])
@pytest.mark.parametrize("beside", [100, 8])
def test_a_time_that_cannot_be(told, odd: int, beside: int) -> None:
    """Beyond what follows or before the beginning: the capture lasts no longer for it, no other is out of order, and a note says so."""
    before, after = [*range(1_200 - beside, 1_200)], [*range(1_201, 1_201 + beside)]
    tenths, info = told(*before, odd, *after)
    assert tenths[:beside] + tenths[beside + 1 :] == [*before, *after]
    assert 1_199 <= tenths[beside] <= 1_201
    (note,) = info.notes
    assert note.startswith(f"frame {beside + 1} has a wrong time, ")
    assert note.endswith(f" s too {'late' if odd > 1_199 else 'early'} for those around it: it is told between them")
    assert (info.first_ns, info.last_ns) == (before[0] * 10**8, after[-1] * 10**8)


@pytest.mark.parametrize("unit_ns", [10**9, (1 << 24) * 1_000, (1 << 32) * 1_000])
@pytest.mark.parametrize("times", [-200, -3, 3, 255])
@pytest.mark.parametrize(
    "at_ns",
    [10**12 + 500_000, 10**12 + 6 * 10**9 - 500_000],
    ids=["answer", "SYN"],
)
def test_one_damaged_byte_leaves_the_rest_of_a_time(unit_ns: int, times: int, at_ns: int) -> None:
    """An answer stays behind its request, a SYN before what follows, whichever of the bytes."""
    before_ns, behind_ns = 10**12, 10**12 + 6 * 10**9
    assert _between(at_ns + times * unit_ns, before_ns, behind_ns) == at_ns


def test_a_time_that_was_near_neither_is_that_of_the_frame_behind() -> None:
    """What comes after silence does not begin too early."""
    assert _between(990 * 10**9 + 4 * 10**8, 1_000 * 10**9, 1_006 * 10**9) == 1_006 * 10**9


def test_several_are_counted(told) -> None:
    """One note for all; a frame that really is late is counted beside them."""
    calm = [*range(1_000, 1_400)]
    times = [*calm[:100], 9_000, *calm[100:200], 0, *calm[200:300], 1_250, *calm[300:]]
    tenths, info = told(*times)
    assert tenths == sorted(tenths)
    assert len(tenths) == 403
    assert (tenths[0], tenths[-1]) == (1_000, 1_399)
    late, wrong = info.notes
    assert late == "frame 303 is out of time order, by 4.9 s"
    assert (
        wrong == "frame 101 and 1 more have wrong times, 790 s too late for those around it: each is told between them"
    )


@pytest.mark.parametrize(
    "tenths",
    [
        [*range(100, 103), 90_000, *range(103, 300)],
        [*range(100, 300), 90_000, *range(300, 303)],
        [*range(100, 300), 90_000],
        [*range(100, 200), 90_000, 90_001, *range(200, 300)],
        [*range(100, 200), 205, *range(200, 300)],
        [*range(1_000, 1_200), 1_050, *range(1_200, 1_300)],
    ],
    ids=["few before", "few behind", "the last", "two", "less than a second", "late"],
)
def test_what_may_be_is_believed(told, tenths: list[int]) -> None:
    """Where less is seen around it, where another says so, or where it is no further off than a queue holds a frame."""
    assert told(*tenths)[0] == sorted(tenths)


@pytest.mark.parametrize("place", [3, 197])
def test_a_day_off_is_wrong_near_the_ends_too(told, place: int) -> None:
    """However few frames stand on that side."""
    times = [*range(100, 300)]
    times.insert(place, 100 + 2 * DAY)
    assert max(told(*times)[0]) == 299


@pytest.mark.parametrize("by_s", [64, 1 << 24, -64, -1_795_378_200])
def test_one_wrong_time_changes_nothing_that_is_told(tmp_path: Path, by_s: int) -> None:
    """Attempts, decisions, how long a state held and what is missing are those of the capture as it was."""
    data = bytearray((OWN / "capture.pcap").read_bytes())
    place = FILE_HEADER
    for _ in range(99):
        place += 16 + struct.unpack_from("<I", data, place + 8)[0]
    struct.pack_into("<I", data, place, struct.unpack_from("<I", data, place)[0] + by_s)
    path = tmp_path / "capture.pcap"
    path.write_bytes(data)
    whole, other = (document(Analysis([one], spec=[OWN / "pod.yaml"]).whole()) for one in (OWN / "capture.pcap", path))
    notes = other["captures"][0].pop("notes")
    assert "frame 100 has a wrong time" in notes[0]
    for one in (whole, other):
        del one["captures"]
    assert [p["decisions"] for p in other["probes"]] == [p["decisions"] for p in whole["probes"]]
    assert [p["summary"] for p in other["probes"]] == [p["summary"] for p in whole["probes"]]
