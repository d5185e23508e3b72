"""Types of probes that nobody declared: what attempts bear out is told, what they leave open is not.

Covers `observer.typed`, `probes.inference`.
"""

from __future__ import annotations

import pytest
from compare import EARLY_NS, KINDS, LATE_NS
from kubelet import ContainerSpec, Scenario, play
from prober import ProbeSpec
from scenarios import by_lab_seed
from server import OK, Answer, Listener, Phase
from wire import EPOCH

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


def test_another_port_makes_no_type_against_its_name(tmp_path) -> None:
    """Two ports may be two containers: that one has a probe of its own makes no liveness probe of what asks for /ready at the other."""
    assert types(by_lab_seed(1011), tmp_path)["/ready"] == ["readiness"]


def test_names_at_another_port_tell_nothing(tmp_path) -> None:
    """What only connects has no name; those at another port, which may be another container, say nothing of it."""
    assert types(by_lab_seed(1005), tmp_path)[""] == ["unknown"]


def test_what_it_does_outweighs_its_name(tmp_path) -> None:
    """A probe that is poked while not Ready is a readiness probe, though it asks for /livez."""
    one = container(ProbeSpec("readiness", path="/livez"))
    assert types(Scenario("s", 9, one, duration=60), tmp_path) == {"/livez": ["readiness"]}


@pytest.mark.parametrize("bad", ["*", "/readyz", "/livez", "/startupz"])
@pytest.mark.parametrize("begins", [None, 9.0])
def test_three_that_go_on_are_not_one_containers(tmp_path, bad, begins) -> None:
    """Three probes of a port that all go on, one of them called after startup, which stops: the other two are told, and this one is not."""
    app, side = ProbeSpec("readiness", path="/readyz", period=5), ProbeSpec("liveness", path="/livez", period=5)
    (one,) = container(app, side, bad=bad, until=28)
    third = ContainerSpec((ProbeSpec("liveness", path="/startupz", period=5),), (), name="side")
    told = types(Scenario("s", 5, (one, third), duration=70, full=True, cut_before=begins), tmp_path)
    assert told == {"/readyz": ["readiness"], "/livez": ["liveness"], "/startupz": ["unknown"]}


def test_a_third_of_another_port_is_another_containers(tmp_path) -> None:
    """Where three probes are no one container's the one of another port is left out, and not the one that its name tells."""
    told = types(by_lab_seed(142), tmp_path)
    assert told == {"/ready": ["readiness"], "/livez": ["liveness"], "": ["unknown"]}


def test_a_name_weighs_where_attempts_read_alike(tmp_path) -> None:
    """A liveness probe that began late, after what looked like a poke, is told by its name."""
    assert types(by_lab_seed(148), tmp_path)["/livez"] == ["liveness"]


def test_two_containers_have_a_readiness_probe_each(tmp_path) -> None:
    """Probes that one container cannot have, of two ports, are two containers': each has its types and its decisions."""
    app, side = (
        ContainerSpec(
            (ProbeSpec("readiness", port=port, period=2), ProbeSpec("liveness", port=port, path="/livez", period=3)),
            (Listener(port, (Phase(0, OK), Phase(since, BAD, "/ready"), Phase(since + 10, OK))),),
            name=name,
        )
        for port, since, name in ((8080, 20, "app"), (9090, 34, "side"))
    )
    scenario = Scenario("s", 11, (app, side), duration=60)
    assert types(scenario, tmp_path) == {"/ready": ["readiness"] * 2, "/livez": ["liveness"] * 2}
    made = sorted(
        (d.kind.value, probe.target.port)
        for probe in probewatch.analyze(tmp_path / "capture.pcap").probes
        for d in probe.decisions
    )
    assert made == sorted((kind, port) for port in (8080, 9090) for kind in ("ready", "not_ready", "ready"))


def test_what_no_type_explains_decides_nothing(tmp_path) -> None:
    """Two plain connects of different periods, one of them taken for the other's: no type is told, and so no decision that never was."""
    probes = (
        ProbeSpec("readiness", handler="tcpSocket", period=5, timeout=5, failure=2),
        ProbeSpec("liveness", handler="tcpSocket", period=10, delay=10),
    )
    scenario = Scenario("s", 31, (ContainerSpec(probes, (Listener(8080, opens=0.5),), crashes=(3.7,)),), duration=150, full=True)
    play(scenario).write(tmp_path)
    told = probewatch.analyze(tmp_path / "capture.pcap").probes
    assert not [d.kind for probe in told for d in probe.decisions if d.ns > told[0].attempts[0].start.ns + 20 * 10**9]


def test_a_container_that_is_back_at_once_was_restarted_all_the_same(tmp_path) -> None:
    """Failures that go on in a new container, before its liveness probe missed a tick, are no sign of a threshold that nobody has."""
    slow = Listener(8080, (Phase(0, OK), Phase(6, Answer(status=200, delay_s=1.1))))
    probes = ProbeSpec("readiness", path="/a", period=1), ProbeSpec("liveness", path="/b", period=2)
    kubelet = play(Scenario("s", 5, (ContainerSpec(probes, (slow,)),), duration=25))
    kubelet.write(tmp_path)
    (liveness,) = [probe for probe in probewatch.analyze(tmp_path / "capture.pcap").probes if probe.path == "/b"]
    killed = [change for change in kubelet.changes if (change.type, change.new) == ("liveness", "Failure")]
    assert [str(decision.kind) for decision in liveness.decisions] == ["restart"] * len(killed)
    assert liveness.thresholds["failureThreshold"] == (3, "default")


def test_two_that_ask_the_same_have_each_their_own_period(tmp_path) -> None:
    """Where nothing ever listened two probes look the same; the slower one misses no attempt for that."""
    probes = ProbeSpec("readiness", path="/a", period=1), ProbeSpec("liveness", path="/b", period=2)
    play(Scenario("s", 9, (ContainerSpec(probes, (Listener(8080, opens=1000.0),)),), duration=30)).write(tmp_path)
    found = probewatch.analyze(tmp_path / "capture.pcap").probes
    assert sorted(probe.thresholds["periodSeconds"][0] for probe in found) == [1, 2]
    assert not [gap for probe in found for gap in probe.gaps if gap.kind == "unexplained"]


@pytest.mark.parametrize("opens", [0.0, 1000.0], ids=["open", "refused"])
def test_two_that_only_connect_are_seen_without_their_kubelets_name(tmp_path, opens) -> None:
    """Two tcpSocket probes of one port, from where nothing shows a kubelet, are two checks and no client traffic."""
    probes = ProbeSpec("readiness", handler="tcpSocket", period=10), ProbeSpec("liveness", handler="tcpSocket", period=10)
    play(Scenario("s", 9, (ContainerSpec(probes, (Listener(8080, opens=opens),)),), duration=90)).write(tmp_path)
    timeline = probewatch.analyze(tmp_path / "capture.pcap")
    assert [probe.thresholds["periodSeconds"][0] for probe in timeline.probes] == [10, 10]
    assert not timeline.others


@pytest.mark.parametrize("version", ["1.29", "1.34"])
@pytest.mark.parametrize(("period", "until"), [(2, 21), (5, 45), (5, 72)])
def test_a_streak_of_two_probes_is_nobodys_threshold(tmp_path, version, period, until) -> None:
    """Readiness and liveness that ask for the same fail by turns: both have the default, and what they decided is told when it was."""
    probes = ProbeSpec("readiness", path="/healthz", period=period), ProbeSpec("liveness", path="/healthz", period=period)
    at = until - 3 * period - 2
    scenario = Scenario("s", 5, container(*probes, at=at, until=until), duration=until + 30, version=version)
    kubelet = play(scenario)
    kubelet.write(tmp_path)
    found = {str(probe.type): probe for probe in probewatch.analyze(tmp_path / "capture.pcap").probes}
    assert {name: probe.thresholds["failureThreshold"][0] for name, probe in found.items()} == {"readiness": 3, "liveness": 3}
    killed = sum((change.type, change.new, change.made) == ("liveness", "Failure", True) for change in kubelet.changes)
    assert [str(decision.kind) for decision in found["liveness"].decisions] == ["restart"] * killed
    assert [str(decision.kind) for decision in found["readiness"].decisions] == ["ready", "not_ready", "ready"]


def test_two_that_tick_in_the_same_millisecond_are_two(tmp_path) -> None:
    """Success of the startup probe sets readiness and liveness going at once; a healthy container with one path for all is healthy."""
    three = [ProbeSpec(kind, path="/healthz", period=10) for kind in ("startup", "readiness", "liveness")]
    play(Scenario("s", 5, (ContainerSpec(tuple(three), (Listener(8080),)),), duration=200, version="1.29")).write(tmp_path)
    timeline = probewatch.analyze(tmp_path / "capture.pcap")
    assert len([event for event in timeline.events if event.kind == "container_started"]) == 1
    assert [str(d.kind) for probe in timeline.probes for d in probe.decisions] == ["ready"]
    assert len(timeline.probes) == 2


def test_a_startup_probe_that_was_refused_shows_its_period(tmp_path) -> None:
    """What could not ask before the container's first answer was its startup probe: nothing was restarted for it."""
    startup = ProbeSpec("startup", path="/a", period=5, failure=30)
    probes = ProbeSpec("readiness", path="/b", period=10), ProbeSpec("liveness", path="/c", period=10)
    late = (ContainerSpec((startup, *probes), (Listener(8080, opens=45.0),)),)
    play(Scenario("s", 5, late, duration=120, version="1.29")).write(tmp_path)
    found = {probe.path: probe for probe in probewatch.analyze(tmp_path / "capture.pcap").probes}
    assert found["/a"].thresholds["periodSeconds"] == (5, "inferred")
    decided = {path: [str(d.kind) for d in probe.decisions] for path, probe in found.items()}
    assert decided == {"/a": ["started"], "/b": ["ready"], "/c": []}


@pytest.mark.parametrize("seed", [2022, 2035, 3033, 1012])
def test_a_startup_probe_that_succeeds_at_once_runs_once_a_container(tmp_path, seed) -> None:
    """What asks once a container, before all others of it, is its startup probe, however far apart containers begin: it is never Ready."""
    scenario = by_lab_seed(seed)
    started = {(p.path if p.handler == "httpGet" else "", p.port) for c in scenario.containers for p in c.probes if p.type == "startup"}
    play(scenario).write(tmp_path)
    found = [one for one in probewatch.analyze(tmp_path / "capture.pcap").probes if ((one.path or ""), one.target.port) in started]
    assert {str(one.type) for one in found} <= {"startup", "unknown"}
    assert {str(d.kind) for one in found for d in one.decisions} <= {"started", "restart"}


@pytest.mark.parametrize("seed", [3000, 3033, 1019, 2035])
def test_a_container_has_one_probe_of_each_type(tmp_path, seed) -> None:
    """Of the probes of one port no two are told as one type, and a probe that reads as well by its name is what its name says."""
    scenario = by_lab_seed(seed)
    play(scenario).write(tmp_path)
    types: dict[int | None, list[str]] = {}
    for one in probewatch.analyze(tmp_path / "capture.pcap").probes:
        types.setdefault(one.target.port, []).append(str(one.type))
        assert one.path != "/ready" or str(one.type) in ("readiness", "unknown")
    assert all(len(set(known)) == len(known) for many in types.values() if (known := [kind for kind in many if kind != "unknown"]))


TCP = {"handler": "tcpSocket", "period": 10}
USUAL = {
    "readiness": (ProbeSpec("readiness", path="/ready", period=10),),
    "liveness": (ProbeSpec("liveness", path="/livez", period=10),),
    "one path": (ProbeSpec("readiness", path="/healthz", period=10), ProbeSpec("liveness", path="/healthz", period=10)),
    "two paths": (ProbeSpec("readiness", path="/ready", period=5), ProbeSpec("liveness", path="/livez", period=10)),
    "delayed": (ProbeSpec("readiness", path="/ready", period=10, delay=5), ProbeSpec("liveness", path="/livez", period=10, delay=15)),
    "connects": (ProbeSpec("readiness", **TCP), ProbeSpec("liveness", **TCP)),
    "mixed": (ProbeSpec("readiness", path="/ready", period=10), ProbeSpec("liveness", handler="tcpSocket", period=20)),
    "three": (
        ProbeSpec("startup", path="/healthz", period=5, failure=30),
        ProbeSpec("readiness", path="/ready", period=10),
        ProbeSpec("liveness", path="/livez", period=10),
    ),
}  # fmt: skip
"""What most Pods declare."""
OUTAGES = {
    "none": Listener(8080),
    "status": Listener(8080, (Phase(0, OK), Phase(62, BAD), Phase(140, OK))),
    "slow": Listener(8080, (Phase(0, OK), Phase(62, Answer("status", 200, 1.1)), Phase(140, OK))),
    "hung": Listener(8080, (Phase(0, OK), Phase(62, Answer("stall")), Phase(140, OK))),
    "refused": Listener(8080, shuts=((62, 140),)),
    "late": Listener(8080, opens=45.0),
}
"""What most often goes wrong with them."""


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("usual", USUAL)
def test_what_is_usual_is_told_without_a_pod(tmp_path, usual, outage) -> None:
    """Of the commonest probes in the commonest incidents no decision is told that never was; without an outage all are told."""
    kubelet = play(Scenario("s", 5, (ContainerSpec(USUAL[usual], (OUTAGES[outage],)),), duration=220, version="1.29"))
    kubelet.write(tmp_path)
    happened = [(KINDS[c.type, c.new], kubelet.wall(c.at)) for c in kubelet.changes if (c.type, c.new) in KINDS]
    found = probewatch.analyze(tmp_path / "capture.pcap").probes
    told = [(str(d.kind), d.ns - EPOCH) for probe in found for d in probe.decisions]
    assert [one for one in told if not any(one[0] == kind and -EARLY_NS < one[1] - at < LATE_NS for kind, at in happened)] == []
    assert len(found) == len(USUAL[usual]) or outage == "late"  # (Where nothing ever answered they cannot be told apart.)
    assert outage != "none" or len(told) == sum(change.made for change in kubelet.changes if (change.type, change.new) in KINDS)
