"""Values made of a lane's steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import probewatch
from probewatch.model.timeline import DecisionKind
from probewatch.observer.assemble import _while_ready
from probewatch.observer.build import late_status
from probewatch.observer.ledger import Draft
from probewatch.probes.inference import observed_period, ticking_period


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


def test_a_period_is_read_off_ticks_and_not_off_pokes() -> None:
    """Pokes come while a probe is not Ready, and may be as regular as ticks: where there are ticks enough, they alone tell the period."""

    def draft(kind: DecisionKind, second: float) -> Draft:
        found = SimpleNamespace(kind=kind)
        return Draft(found, round(second * 1e9), by_deadline=False)  # type: ignore[arg-type]

    starts = [round(second * 1e9) for second in (0, 1, 2, 3, 4, 5, 6, 12, 22, 32, 42, 43, 44, 45, 46, 52, 62)]
    ready, lost = draft(DecisionKind.READY, 6), draft(DecisionKind.NOT_READY, 42)
    assert observed_period(starts) == 1
    assert ticking_period(_while_ready(starts, [ready, lost, draft(DecisionKind.READY, 52)])) == 10
    assert [ns // 10**9 for ns in _while_ready(starts, [ready])] == [6, 12, 22, 32, 42, 43, 44, 45, 46, 52, 62]
    assert list(_while_ready(starts, [lost])) == []
