"""Readiness and liveness that ask the same: which is which is told where the wire shows it, and else said to be open.

Covers `observer.twins`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from compare import compare
from kubelet import Kubelet, Scenario, play
from scenarios import L, R, U, flap, one
from server import Answer

import probewatch

BEGINS = 21.4
"""Seconds into the simulation at which the capture begins: both have run for long."""


def played(where, seed: int, *edges: float, v6: bool = False) -> Kubelet:
    """Play readiness and liveness of one path and period, good and bad by turns, captured from mid-life on; return the kubelet."""
    live = replace(L, path="/ready", failure=8)
    listener = flap(*(BEGINS + edge for edge in edges))
    kubelet = play(
        Scenario(
            "twins", seed, one(R, live, listener=listener), duration=BEGINS + 110, cut_before=BEGINS, added=1 + seed % 7 * 0.31, v6=v6
        )
    )
    kubelet.write(where)
    return kubelet


def told(where) -> list[bool]:
    """Return for each probe whether it is said that it may be the other one."""
    timeline = probewatch.analyze(where / "capture.pcap", spec=where / "pod.yaml")
    probes = [probe for probe in timeline.probes if probe.type.value != "startup"]
    assert sorted(probe.type.value for probe in probes) == ["liveness", "readiness"]
    return [any("which of the two is which" in note for note in probe.notes) for probe in probes]


@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_lost_ready_tells_them_apart_however_late(tmp_path, seed, v6) -> None:
    """The poke of a NotReady 80 s into the capture shows which of two equal probes was readiness all along, for every attempt."""
    assert compare(played(tmp_path, seed, 80, 92, v6=v6), tmp_path) == []
    assert told(tmp_path) == [False, False]


@pytest.mark.parametrize("seed", [2, 3])
def test_where_nothing_shows_it_that_is_said(tmp_path, seed) -> None:
    """Two that ask the same and always succeed, met in mid-life: both say that they may be each other."""
    played(tmp_path, seed)
    assert told(tmp_path) == [True, True]


def test_a_beginning_in_the_capture_tells_them_apart(tmp_path) -> None:
    """Where the container begins in the capture its doubled first readiness probe tells, and nothing is said to be open."""
    kubelet = play(Scenario("twins", 2, one(R, replace(L, path="/ready")), duration=40))
    kubelet.write(tmp_path)
    assert compare(kubelet, tmp_path) == []
    assert told(tmp_path) == [False, False]


@pytest.mark.parametrize("patient", ["readiness", "liveness"])
def test_a_timeout_tells_them_apart(tmp_path, patient) -> None:
    """Two that differ in timeoutSeconds alone are told apart by when each gives up."""
    long, stall = {"timeout": 3}, Answer("stall")
    ready, live = replace(R, period=5), replace(L, path="/ready", period=5, failure=8)
    ready, live = (replace(ready, **long), live) if patient == "readiness" else (ready, replace(live, **long))
    listener = flap(BEGINS + 80, BEGINS + 85.3, bad=stall)
    kubelet = play(Scenario("twins", 2, one(ready, live, listener=listener), duration=130, cut_before=BEGINS, added=1.62))
    kubelet.write(tmp_path)
    assert compare(kubelet, tmp_path) == []
    assert told(tmp_path) == [False, False]


def test_a_startup_probe_that_asks_the_same_is_not_met_in_mid_life(tmp_path) -> None:
    """Startup and liveness that ask the same: the first attempt of a capture from mid-life is liveness's, also where a restart follows."""
    startup = replace(U, path="/livez", period=5, failure=10)
    listener = flap(60, 90)
    kubelet = play(Scenario("twins", 2, one(startup, replace(L, period=5), listener=listener), duration=130, cut_before=BEGINS, added=1.62))
    kubelet.write(tmp_path)
    assert compare(kubelet, tmp_path) == []


@pytest.mark.parametrize("edges", [(), (60, 90)], ids=["fine", "restarted"])
@pytest.mark.parametrize("seed", [1, 3])
def test_the_poke_of_a_startup_probe_sets_their_order(tmp_path, seed, edges) -> None:
    """Startup, liveness and readiness that ask the same, met in mid-life: readiness is behind liveness by what startup's answer took."""
    startup = replace(U, path="/ready", period=2, failure=10)
    probes = startup, replace(L, path="/ready"), R
    kubelet = play(
        Scenario("twins", seed, one(*probes, listener=flap(*edges)), duration=130, cut_before=BEGINS, added=1 + seed * 0.31)
    )
    kubelet.write(tmp_path)
    assert compare(kubelet, tmp_path) == []
    assert told(tmp_path) == [False, False]
