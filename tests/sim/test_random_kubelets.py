# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""probewatch against a simulated kubelet: what it tells of the packets is what the kubelet did.

The simulator (kubelet.py, prober.py, server.py, wire.py) is written after the kubelet's source and what was measured, and knows nothing of probewatch. Scenarios by hand stand for
behaviours that no capture here shows; random ones for everything else. `OPEN` names what is known to be told wrongly, each with its fault.

Covers `observer`, `probes`, `decisions`.
"""

from __future__ import annotations

import pytest
from clock import S
from compare import compare
from kubelet import ContainerSpec, Scenario, play
from prober import ProbeSpec
from scenarios import (
    LAB_SEEDS,
    SEEDS,
    STOPPED_SEEDS,
    WIDE_SEEDS,
    by_hand,
    by_lab_seed,
    by_seed,
    by_stopped_seed,
    by_wide_seed,
    flap,
)
from server import Listener

import probewatch

OPEN: dict[str, str] = {
    "seed-38": "three probes that ask the same and stall together: the first success behind the restarts is startup's",
    "wide-5": "readiness and liveness ask the same, up to 1.31 each at a moment of its own: the first attempt behind the poke may be either's",
    "wide-174": "three probes that ask the same: an attempt behind a kill may be readiness's at the container that stops slowly, or startup's",
    "tcp-both-mid": "two tcpSocket probes of one port, begun while both fail: nothing tells them apart",
    "identical-three-fail": "three probes that ask the same: a late tick of readiness at a new container, and its poke, are read as liveness and readiness",
    "seed-15": "startup and liveness ask the same: the first attempt of a new container is given to liveness",
    "seed-23": "two tcpSocket probes of one port: a new container's first poke is read as the liveness probe's late tick",
    "seed-663": "a SYN that nobody answers names nobody: a liveness tick is read as the first attempt of readiness",
    "seed-53": "readiness and liveness in step, all unreachable: which of them a restart silenced",
    "wide-220": "nothing names the version, so whether a tick off the poked grid is a new container's is not known",
    "stopped-3": "readiness and liveness ask the same: which of them a container's end, at a stopped kubelet, silenced",
    "stopped-52": "a lone tcpSocket probe: what ran late is taken for somebody else's connection",
    "seed-45": "startup, readiness and liveness on one port, all refused after a restart",
    "seed-49": "three probes that ask the same",
    "lab-7": "startup and readiness ask the same: which of them runs first at a container that an exec probe had restarted",
    "seed-101": "three probes that ask the same, after the kubelet's restart",
}
"""Scenario name -> fault. A scenario that passes again is to be taken out."""


@pytest.mark.parametrize("scenario", by_hand(), ids=lambda scenario: scenario.name)
def test_by_hand(scenario: Scenario, tmp_path, request) -> None:
    """Every attempt, outcome, type and decision of a scenario written by hand is told, and no other."""
    check(scenario, tmp_path, request)


@pytest.mark.parametrize("seed", SEEDS)
def test_random(seed: int, tmp_path, request) -> None:
    """Every attempt, outcome, type and decision of a random scenario is told, and no other."""
    check(by_seed(seed), tmp_path, request)


@pytest.mark.parametrize("seed", WIDE_SEEDS)
def test_random_of_other_settings(seed: int, tmp_path, request) -> None:
    """The same of other versions, sidecars, policies, requests, snapshot lengths, places and clocks."""
    check(by_wide_seed(seed), tmp_path, request)


@pytest.mark.parametrize("seed", LAB_SEEDS)
def test_random_laboratory(seed: int, tmp_path, request) -> None:
    """The same of what somebody would set up in a laboratory: one thing that goes wrong, settings at their edges, kubelets from 1.20 on."""
    check(by_lab_seed(seed), tmp_path, request)


@pytest.mark.parametrize("seed", STOPPED_SEEDS)
def test_a_kubelet_without_cpu(seed: int, tmp_path, request) -> None:
    """The same of a kubelet that gets no CPU for up to six seconds, again and again: that is no restart of anything."""
    check(by_stopped_seed(seed), tmp_path, request)


def test_a_kubelet_without_cpu_is_told(tmp_path) -> None:
    """What ran late is told with how late, and what was missed meanwhile with why; nothing of it is Ready or NotReady."""
    one = (ContainerSpec((ProbeSpec("readiness", path="/a", period=2),), (Listener(8080),)),)
    play(Scenario("s", 1, one, stops=((20.3, 26.9),), duration=40)).write(tmp_path)
    (probe,) = probewatch.analyze(tmp_path / "capture.pcap", spec=tmp_path / "pod.yaml").probes
    assert [decision.kind for decision in probe.decisions] == ["ready"]
    (gap,) = probe.gaps
    assert "no CPU" in gap.reason
    (told,) = [one.sentence for one in probe.diagnoses if one.kind == "ticks-dropped"]
    assert told.startswith("The kubelet got no CPU for a while: an attempt ran ")


@pytest.mark.parametrize("version", ["1.28", "1.31", "1.32", "1.36"])
@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_a_slow_node_restarts_nothing(seed: int, version: str, tmp_path) -> None:
    """Where each worker runs its ticks up to 0.2 s late, as on a node with little CPU to spare, no container begins for that."""
    probes = ProbeSpec("readiness", path="/a", period=2 + seed % 4), ProbeSpec("liveness", path="/b", period=3)
    one = (ContainerSpec(probes, (Listener(8080),)),)
    slow = Scenario("s", seed, one, version=version, duration=90, busy=0.5, latest=200_000_000, cut_before=8.0 if seed % 2 else None)
    play(slow).write(tmp_path)
    found = probewatch.analyze(tmp_path / "capture.pcap", spec=tmp_path / "pod.yaml")
    assert [str(d.kind) for probe in found.probes for d in probe.decisions] == ([] if seed % 2 else ["ready"])
    assert len([event for event in found.events if event.kind == "container_started"]) == 1 - seed % 2


def test_a_sync_waits_for_a_look_at_the_runtime() -> None:
    """A complete kubelet's second poke of a new container comes 0.2 to 1.1 s after the first (docs/how-it-knows.md, "What was measured"): its sync waits for a relist."""
    for seed in range(8):
        closed = (ContainerSpec((ProbeSpec("readiness", period=5),), (Listener(8080, opens=9.0),)),)
        kubelet = play(Scenario("s", seed, closed, version="1.34", full=True, duration=12))
        first, second = [run for run in kubelet.executions if run.trigger == "manual"][:2]
        assert 0.1 * S < second.start - first.start < 1.1 * S


def test_a_sandbox_comes_first() -> None:
    """A complete kubelet's workers tick for a while before the first container runs, and its address is announced in between."""
    one = (ContainerSpec((ProbeSpec("liveness", period=1),), (Listener(8080),)),)
    kubelet = play(Scenario("s", 1, one, full=True, duration=12))
    (noise, *_), (began, _) = kubelet.net.tape.frames, kubelet.starts[0]
    assert 2.2 * S < noise[0] < began - 0.3 * S


def test_nothing_is_poked_while_the_pod_ends() -> None:
    """The kill holds the pod's worker: what loses Ready meanwhile is probed at its ticks alone."""
    one = (ContainerSpec((ProbeSpec("readiness", period=1, failure=1),), (flap(20),), stops_after=4.0),)
    kubelet = play(Scenario("s", 1, one, deleted=17, pre_stop=6, duration=35))
    assert [run.trigger for run in kubelet.executions if run.start > 17 * S] == ["tick"] * 10


def test_what_ends_during_a_handshake() -> None:
    """An ACK for a connection whose program has ended since the SYN-ACK is answered by a RST."""
    play(by_wide_seed(6120))


def check(scenario: Scenario, tmp_path, request) -> None:
    """Play a scenario, write it as a capture with its truth, and compare."""
    if scenario.name in OPEN:
        request.node.add_marker(pytest.mark.xfail(reason=OPEN[scenario.name], strict=False))
    kubelet = play(scenario)
    assert kubelet.executions
    kubelet.write(tmp_path)
    assert compare(kubelet, tmp_path) == []


def test_same_seed_same_bytes() -> None:
    """A seed is a run: nothing but the seed decides what is on the wire."""
    assert play(by_seed(7)).net.tape.pcap() == play(by_seed(7)).net.tape.pcap()
