# ruff: noqa: E501 (scenarios are wide)
"""Replays against a simulated kubelet: what it decides when it really runs with other settings lies between the best and the worst case.

Covers `verify.whatif`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kubelet import Scenario, play
from scenarios import by_seed

import probewatch
from probewatch.model.timeline import Timeline
from probewatch.model.units import SECOND as S
from probewatch.verify.whatif import Settings, whatif

FIELDS = {"timeout": "timeout_s", "failure": "failure_threshold", "success": "success_threshold", "period": "period_s"}


def alone(seed: int) -> Scenario:
    """Return a drawn scenario with nothing but a readiness probe of a container whose answers depend on time alone."""
    drawn = by_seed(seed)
    container = drawn.containers[0]
    probes = tuple(probe for probe in container.probes if probe.type == "readiness")
    return replace(drawn, containers=(replace(container, probes=probes),), cut_before=None, cut_after=None, kubelet_down=(), deleted=None, sync_every=0.0)


def recorded(scenario: Scenario, where: Path) -> Timeline:
    """Play a scenario and analyse its capture."""
    play(scenario).write(where)
    return probewatch.analyze(where / "capture.pcap", spec=where / "pod.yaml")


@pytest.mark.parametrize("seed", range(12))
def test_what_really_happens_lies_in_the_range(seed, tmp_path) -> None:
    """Time not Ready under other settings, really played, lies in the replay's range, but for a period and a timeout at each change."""
    scenario = alone(seed)
    container = scenario.containers[0]
    if not container.probes or any(listener.by_age for listener in container.listeners):
        return
    probe = container.probes[0]
    base = recorded(scenario, tmp_path / "base")
    for name, values in (("failure", (1, 6)), ("success", (3,)), ("timeout", (1, 4)), ("period", (2 * probe.period, max(1, probe.period // 2)))):
        for value in values:
            if value == getattr(probe, name):
                continue
            other = replace(scenario, containers=(replace(container, probes=(replace(probe, **{name: value}),)),))
            truth = whatif(recorded(other, tmp_path / f"{name}-{value}"), Settings()).probes[0].best
            one = whatif(base, Settings(**{FIELDS[name]: value})).probes[0]
            changes = 1 + max(len(trace.decisions) for trace in (truth, one.best, one.worst))
            slack = changes * (max(probe.period, value if name == "period" else 0) + max(probe.timeout, value if name == "timeout" else 0) + 1) * S
            assert one.best.unready_ns - slack <= truth.unready_ns <= one.worst.unready_ns + slack, (name, value)
