"""Times that settings bound, and the smallest timeout for what was observed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import probewatch
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.units import SECOND as S
from probewatch.verify.bounds import covering, terms

OWN = Path(__file__).resolve().parents[2] / "captures"


def spec(kind: ProbeType = ProbeType.READINESS, **more: int) -> ProbeSpec:
    """Return a probe with these numbers."""
    return ProbeSpec(type=kind, handler=Handler.HTTP_GET, **more)


def bounds(one: ProbeSpec) -> dict[str, tuple[int, int]]:
    """Return each term in seconds."""
    return {term.name: (term.best_ns // S, term.worst_ns // S) for term in terms(one, (one,))}


@pytest.mark.parametrize(("numbers", "detect"), [
    ({"period_s": 10, "timeout_s": 1, "failure_threshold": 3}, (20, 31)),
    ({"period_s": 1, "timeout_s": 1, "failure_threshold": 1}, (0, 2)),
    # hung attempts outlast the period: they follow each other at the timeout, not at the period
    ({"period_s": 5, "timeout_s": 30, "failure_threshold": 3}, (10, 95)),
])
def test_detection(numbers, detect) -> None:
    """From breaking to the decision: (N-1) periods at best, one period, N-1 spacings and a timeout at worst."""
    assert bounds(spec(**numbers))["detect"] == detect


def test_readiness_recovers() -> None:
    """Back to Ready: successThreshold successes, the first of them within a period."""
    assert bounds(spec(period_s=10, timeout_s=1, success_threshold=2))["recover"] == (10, 21)


def test_restart_terms() -> None:
    """A kill is followed by the grace period (the probe's own where it has one), the back-off and the initial delay."""
    own = bounds(spec(ProbeType.LIVENESS, period_s=10, initial_delay_s=15, grace_s=5))
    assert (own["stop"], own["backoff"], own["first"]) == ((0, 5), (0, 300), (14, 25))
    assert bounds(spec(ProbeType.LIVENESS))["stop"] == (0, 30)


def test_startup_gives_up() -> None:
    """A container that never starts is killed after the delay and failureThreshold attempts."""
    assert bounds(spec(ProbeType.STARTUP, period_s=10, timeout_s=1, failure_threshold=30, initial_delay_s=5))["give-up"] == (294, 306)


def test_covering_counts_late_answers() -> None:
    """The slowest answer counts though nobody waited for it; the margin is added before rounding up."""
    timeline = probewatch.analyze(OWN / "http-timeout" / "capture.pcap", spec=OWN / "http-timeout" / "pod.yaml")
    found = covering(timeline.probes[0])
    assert (found.known, found.late, found.censored) == (32, 7, 0)
    assert (found.just_s, found.margin_percent, found.timeout_s) == (3, 20, 4)


def test_a_censored_attempt_proves_no_timeout() -> None:
    """Without an answer an attempt is censored, whatever the others took (v4 and v6)."""
    for name in ("http-timeout", "http-ipv6"):
        timeline = probewatch.analyze(OWN / name / "capture.pcap", spec=OWN / name / "pod.yaml")
        probe = timeline.probes[0]
        last = probe.attempts[-1]
        silent = replace(last, end_mark=None, late_answer_ns=None, status=None, cause=probewatch.Cause.SLOW_ANSWER,
                         outcome=probewatch.Outcome.FAILURE, end_ns=last.start.ns + S)
        found = covering(replace(probe, attempts=(*probe.attempts[:-1], silent)))
        assert found.censored == covering(probe).censored + 1
