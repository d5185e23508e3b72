"""A success off its schedule alone shows no new container where it may be something else: another probe's, or the whole node's.

Covers `observer.together`, `observer.ledger`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from kubelet import ContainerSpec, Scenario, play
from prober import ProbeSpec
from server import OK, Listener, Phase

import probewatch
from probewatch.decisions.outages import By, outages
from probewatch.model.timeline import EventKind
from probewatch.observer.ledger import OFF_ITS_SCHEDULE
from probewatch.observer.together import doubted


def recorded(seed: int, where, **how: object):
    """Play a healthy container whose probes ask the same every 3 and 5 s."""
    probes = ProbeSpec("readiness", path="/ok", period=3), ProbeSpec("liveness", path="/ok", period=5)
    container = ContainerSpec(probes, (Listener(8080, (Phase(0, OK),)),), **how.pop("container", {}))
    play(Scenario("same", seed, (container,), **how)).write(where)
    return where / "capture.pcap"


@pytest.mark.parametrize("end", [10.0, 12.5, 17.0, 23.0])
@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_another_probes_tick_ends_no_container(end, v6, tmp_path) -> None:
    """Wherever the capture of undeclared probes that ask the same ends, nothing is said to have ended that did not."""
    for seed in range(4):
        timeline = probewatch.analyze(recorded(seed, tmp_path, duration=30, cut_after=end, v6=v6))
        gone = [one for probe in timeline.probes for one in outages(probe, timeline)]
        assert [one for one in gone if one.by is By.CONTAINER and not one.doubtful] == [], seed


def test_one_container_that_ended_is_told_and_several_at_once_are_not(tmp_path) -> None:
    """The very same sign of other Pods in the same second is the node's, its clock's or the way's; a second later it is none."""
    capture = recorded(1, tmp_path, duration=60, container={"crashes": (25.0,) * 3})
    timeline = probewatch.analyze(capture, spec=tmp_path / "pod.yaml")
    begun = [replace(e, evidence=OFF_ITS_SCHEDULE) for e in timeline.events if e.kind is EventKind.CONTAINER_STARTED][-1:]
    healthy = [replace(probe, attempts=probe.attempts[:2]) for probe in timeline.probes]
    assert [e.doubtful for e in doubted(healthy, begun)[1]] == [False]
    for later_ns, doubtful in ((300_000_000, True), (1_300_000_000, False)):
        other = replace(begun[0], address="192.0.2.1", ns=begun[0].ns + later_ns)
        assert [e.doubtful for e in doubted(healthy, [*begun, other])[1]] == [doubtful] * 2
