"""Types of probes that nobody declared: what attempts bear out is told, what they leave open is not."""

from __future__ import annotations

import pytest
from kubelet import ContainerSpec, Scenario, play
from prober import ProbeSpec
from server import OK, Answer, Listener, Phase

import probewatch

BAD = Answer(status=503)


def types(scenario: Scenario, where) -> dict[str, list[str]]:
    """Play a scenario; return the types that are told without its manifest, by path."""
    play(scenario).write(where)
    found: dict[str, list[str]] = {}
    for probe in probewatch.analyze(where / "capture.pcap").probes:
        found.setdefault(probe.path or "", []).append(probe.type.value)
    return found


def container(*probes: ProbeSpec, bad: str = "*", at: float = 20, until: float = 31) -> tuple[ContainerSpec, ...]:
    """Return a container whose path `bad` fails for a while."""
    return (ContainerSpec(probes, (Listener(8080, (Phase(0, OK), Phase(at, BAD, bad), Phase(until, OK))),)),)


def test_liveness_is_told_by_the_restart_that_it_causes(tmp_path) -> None:
    """A probe that fails as often as it may and then is silent, while another goes on, is a liveness probe, whatever its path."""
    probes = ProbeSpec("readiness", path="/a"), ProbeSpec("liveness", path="/b", period=3, delay=7)
    assert types(Scenario("s", 3, container(*probes, bad="/b"), duration=70), tmp_path) == {"/a": ["readiness"], "/b": ["liveness"]}


def test_two_that_ask_the_same_are_two(tmp_path) -> None:
    """Attempts that one worker cannot have made are two probes' (`identical-probes`)."""
    probes = ProbeSpec("readiness", path="/a", failure=2), ProbeSpec("liveness", path="/a", failure=9)
    assert sorted(types(Scenario("s", 5, container(*probes), duration=60), tmp_path)["/a"]) == ["liveness", "readiness"]


@pytest.mark.parametrize(
    ("path", "told"),
    [("/readyz", "readiness"), ("/health/live", "liveness"), ("/healthz", "unknown"), ("/ready/live", "unknown")],
)
def test_a_name_tells_where_nothing_else_does(tmp_path, path, told) -> None:
    """Successes read alike as any type; then the word in the path is taken, if it is one, and only one."""
    one = (ContainerSpec((ProbeSpec("readiness", path=path),), (Listener(8080),)),)
    assert types(Scenario("s", 7, one, duration=30, cut_before=12.0), tmp_path) == {path: [told]}


def test_what_it_does_outweighs_its_name(tmp_path) -> None:
    """A probe that is poked while not Ready is a readiness probe, though it asks for /livez."""
    one = container(ProbeSpec("readiness", path="/livez"))
    assert types(Scenario("s", 9, one, duration=60), tmp_path) == {"/livez": ["readiness"]}
