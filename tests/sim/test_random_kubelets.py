# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""probewatch against a simulated kubelet: what it tells of the packets is what the kubelet did.

The simulator (kubelet.py, prober.py, server.py, wire.py) is written after the reference documents and knows nothing of probewatch. Scenarios by hand stand for
behaviours that no capture here shows; random ones for everything else. `OPEN` names what is known to be told wrongly, each with its fault.
"""

from __future__ import annotations

import pytest
from compare import compare
from kubelet import Scenario, play
from scenarios import SEEDS, by_hand, by_seed

OPEN: dict[str, str] = {
    "http-timeout-t3": "1: a second stored tick in a row is read as a new kubelet",
    "http-timeout-t3-mid": "1: a second stored tick in a row is read as a new kubelet",
    "http-slow-t3": "1: a second stored tick in a row is read as a new kubelet",
    "p1-t5-hung": "1: a second stored tick in a row is read as a new kubelet",
    "p1-t5-hung-both": "1: a second stored tick in a row is read as a new kubelet",
    "p1-t5-hung-both-mid": "1: a second stored tick in a row is read as a new kubelet",
    "http-blackhole-t1": "2: a connection that stays open is handed out after later ones",
    "http-ack-blackhole": "2: a connection that stays open is handed out after later ones",
    "http-ack-blackhole-mid": "2: a connection that stays open is handed out after later ones",
    "http-ack-blackhole-t3": "2: a connection that stays open is handed out after later ones",
    "http-blackhole-t1-mid": "2: a connection that stays open is handed out after later ones",
    "seed-0": "2: a connection that stays open is handed out after later ones",
    "seed-3": "2: a connection that stays open is handed out after later ones",
    "seed-53": "2: a connection that stays open is handed out after later ones",
    "sync-old": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "http-slow-t3-mid": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "backlog-full-mid": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "p1-t5-hung-mid": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "http-ack-blackhole-t3-mid": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "seed-11": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "seed-27": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "seed-40": "3: a declared pod's prober is not known as a kubelet where the starts keep no grid",
    "http-blackhole-t1-old": "4: kubelets up to 1.30 keep the grid of AddPod through manual runs",
    "seed-12": "4: kubelets up to 1.30 keep the grid of AddPod through manual runs",
    "seed-29": "4: kubelets up to 1.30 keep the grid of AddPod through manual runs",
    "seed-50": "4: kubelets up to 1.30 keep the grid of AddPod through manual runs",
    "grpc-refused-t3": "5: the redial that succeeds makes no decision",
    "grpc-refused-t3-mid": "5: the redial that succeeds makes no decision",
    "identical-restart": "6: a liveness probe that runs again renews a container that was renewed already",
    "failure-1": "6: a liveness probe that runs again renews a container that was renewed already",
    "initial-delay-restart": "6: a liveness probe that runs again renews a container that was renewed already",
    "crash-loop": "7: silence in back-off is read as a new kubelet",
    "crash-loop-mid": "7: silence in back-off is read as a new kubelet",
    "seed-38": "7: silence in back-off is read as a new kubelet",
    "seed-58": "8: a decision by a deadline beyond the end of the capture",
    "seed-22": "9: retries of a body that stalls longer than a second are not joined",
    "seed-25": "9: retries of a body that stalls longer than a second are not joined",
    "seed-13": "10: a connection closed before the request is nobody's attempt",
    "seed-44": "10: a connection closed before the request is nobody's attempt",
    "identical-probes-fail": "11: an expected tick is read as another worker's first attempt in a new container",
    "identical-three-fail": "11: an expected tick is read as another worker's first attempt in a new container",
    "tcp-both": "11: an expected tick is read as another worker's first attempt in a new container",
    "icmp": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-4": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-7": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-8": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-15": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-45": "11: an expected tick is read as another worker's first attempt in a new container",
    "seed-49": "11: an expected tick is read as another worker's first attempt in a new container",
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
