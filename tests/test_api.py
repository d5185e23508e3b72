"""`import probewatch`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probewatch
from probewatch.moments import InputError, moment
from probewatch.report.numbers import rfc3339

ROOT = Path(__file__).parents[1]
CAPTURE = ROOT / "captures" / "http-flap-s1" / "capture.pcap"


def test_importing_is_light_and_names_are_there() -> None:
    """`import probewatch` imports no part of itself; every name on offer resolves."""
    code = "import sys, probewatch; print(*sorted(m for m in sys.modules if m.startswith('probewatch')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["probewatch"]
    for name in probewatch.__all__:
        assert getattr(probewatch, name) is not None
    assert dir(probewatch) == sorted(probewatch.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    with pytest.raises(AttributeError, match="analyse"):
        probewatch.analyse  # noqa: B018


def test_changes_and_progress_are_told() -> None:
    """Callbacks see each change, and how far reading has come."""
    changes, steps = [], []
    timeline = probewatch.analyze([CAPTURE], on_change=changes.append, progress=lambda done, total: steps.append((done, total)))
    told = {change.id for change in changes if change.kind == "attempt"}
    assert len(told) == sum(len(probe.attempts) for probe in timeline.probes)
    assert steps[-1] == (CAPTURE.stat().st_size, CAPTURE.stat().st_size)


def test_two_captures_are_one_timeline() -> None:
    """The same capture given twice is two inputs; the order of frames is by time."""
    assert [info.path for info in probewatch.analyze([CAPTURE, CAPTURE]).captures] == [str(CAPTURE)] * 2


def test_selection() -> None:
    """`since`, `until` and `probe` choose what is shown."""
    timeline = probewatch.analyze(CAPTURE, since="+20", until="+30.5", probe="p1")
    base = timeline.captures[0].first_ns
    assert timeline.probes
    assert all(20 * 10**9 <= a.start.ns - base <= 30.5 * 10**9 for a in timeline.probes[0].attempts)


@pytest.mark.parametrize(("text", "expected"), [
    ("+0", "1970-01-01T00:16:40.000000007Z"), ("+12.5", "1970-01-01T00:16:52.500000007Z"),
    ("+0.000000001", "1970-01-01T00:16:40.000000008Z"),
    ("2026-11-22T20:10:00Z", "2026-11-22T20:10:00.000000000Z"), ("2026-11-22t20:10:00.5z", "2026-11-22T20:10:00.500000000Z"),
    ("2026-11-22 21:10:00.123456789+01:00", "2026-11-22T20:10:00.123456789Z"),
    ("2026-11-22T12:40:00-07:30", "2026-11-22T20:10:00.000000000Z"),
    ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900000000Z"),
])
def test_moments(text, expected) -> None:
    """RFC 3339 with any offset, or seconds after the first frame, to the nanosecond."""
    assert rfc3339(moment(text, 1_000_000_000_007)) == expected


@pytest.mark.parametrize("text", [
    "", "now", "12.5", "+", "+-1", "+1e3", "-5", "2026-11-22", "2026-13-01T00:00:00Z", "2026-11-22T20:10:00", "2026-11-22T25:00:00Z",
    "2026-11-22T20:10:00+99:00", "0000-01-01T00:00:00Z", "\x1b[2J", "+99999999999999", "٣"])
def test_no_moments(text) -> None:
    """Anything else is a plain error that says what would do, printable."""
    with pytest.raises(InputError, match="write it as") as caught:
        moment(text, 0)
    assert str(caught.value).isprintable()


@given(st.text())
def test_any_text_is_a_moment_or_an_error(text: str) -> None:
    """No text makes it raise anything else."""
    sentence = ""
    try:
        moment(text, 0)
    except InputError as error:
        sentence = str(error)
    assert sentence.isprintable()
