"""Values made of a lane's steps."""

from __future__ import annotations

import pytest

import probewatch
from probewatch.observer.build import late_status


@pytest.mark.parametrize(("data", "status"), [
    (b"HTTP/1.1 200 ", 200), (b"HTTP/1.0 503\r", 503), (b"HTTP/1.1 404\n", 404),
    (b"HTTP/1.1 100 ", None), (b"HTTP/1.1 200", None), (b"HTTP/1.1 2000", None),
    (b"\x16\x03\x03\x00\x7a\x02\x00\x00v\x03\x03\x00\x00", None),
    (b"", None), (b"\x00" * 13, None),
])
def test_status_of_a_late_answer(data, status) -> None:
    """A final status line in clear tells its status; an interim, cut, or foreign beginning tells none."""
    assert late_status(data) == status


def test_late_answers_keep_their_status(captures) -> None:
    """An answer that came after its connection had been told has its status, in the attempt and in its connection."""
    scenario = captures / "http-timeout"
    timeline = probewatch.analyze(scenario / "capture.pcap", spec=scenario / "pod.yaml")
    late = [attempt for attempt in timeline.probes[0].attempts if attempt.late_answer_ns is not None]
    assert [(attempt.status, attempt.legs[-1].status, attempt.outcome.value) for attempt in late] == [(200, 200, "failure")] * 7
