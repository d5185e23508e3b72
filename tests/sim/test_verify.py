"""verify against a simulated kubelet: run with one set of numbers, verified with the same and with others.

What really ran is never called wrong, and what was changed never passes: over scenarios drawn at random.
`OPEN` names what is known to be told wrongly, each with its fault.

Covers `verify`.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from kubelet import ContainerSpec, Scenario, play
from prober import ProbeSpec
from scenarios import by_hand, by_lab_seed, by_seed, by_wide_seed
from server import OK, Answer, Listener, Phase

import probewatch
from probewatch.cluster import build_book, read_specs
from probewatch.model.finding import Finding, Held
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import DecisionKind
from probewatch.observer import Observer, Settings

sys.path.append(str(Path(__file__).resolve().parents[1] / "verify"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "observer"))
from mutations import mutations
from truth import frames_of

OPEN: dict[str, str] = {"seed-38": "three probes that ask the same stall together: successThreshold is said to be another"}
"""Scenario name -> fault. A scenario that passes again is to be taken out."""
CHANGED = 3
"""Changes tried of each drawn scenario."""


def recorded(scenario: Scenario, where: Path) -> Path:
    """Play a scenario; return where its capture and manifest lie."""
    play(scenario).write(where)
    return where


def findings(where: Path, spec: Path) -> tuple[Finding, ...]:
    """Verify a recorded scenario against a manifest."""
    return probewatch.verify(where / "capture.pcap", spec=spec).findings


def seen(frames, book):
    """Return the timeline of frames."""
    observer = Observer(Settings(book=book))
    for one in frames:
        observer.feed(one)
    return observer.finish()


def known(scenario: Scenario, request: pytest.FixtureRequest) -> None:
    """Expect what is known to be wrong to be so."""
    if scenario.name in OPEN:
        request.node.add_marker(pytest.mark.xfail(reason=OPEN[scenario.name], strict=False))


def held_true(scenario: Scenario, where: Path) -> None:
    """Nothing that ran is called wrong, and whatever stays open says why."""
    found = findings(recorded(scenario, where), where / "pod.yaml")
    assert [(f.subject, f.field, f.sentence) for f in found if f.held is Held.FAIL] == []
    assert all(f.sentence for f in found)


@pytest.mark.parametrize("seed", range(40))
def test_true_numbers_never_fail(seed, tmp_path, request) -> None:
    """A drawn scenario verified with the numbers it ran with has no failed finding."""
    known(by_seed(seed), request)
    held_true(by_seed(seed), tmp_path)


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in by_hand() if not scenario.name.endswith("-mid")][::2],
    ids=lambda scenario: scenario.name,
)
def test_true_numbers_never_fail_by_hand(scenario, tmp_path, request) -> None:
    """Nor has one of those written by hand, which bite."""
    known(scenario, request)
    held_true(scenario, tmp_path)


WIDE_SEEDS = (7, 33, 79, 101, 106, 139, 142, 145, 149, 153, 161, 162, 181, 182, 220, 231, 246, 251, 259, 266, 273, 309, 318, 364, 369)
"""Of other versions and settings: numbers that ran were called wrong once."""
LAB_SEEDS = (1, 15, 16, 22, 23, 39, 51, 63, 133)
"""Of what somebody would set up in a laboratory: the same."""


@pytest.mark.parametrize("seed", WIDE_SEEDS)
def test_true_numbers_of_other_settings_never_fail(seed, tmp_path) -> None:
    """Nor has one of other versions, sidecars, requests, places and snapshot lengths."""
    held_true(by_wide_seed(seed), tmp_path)


@pytest.mark.parametrize("seed", LAB_SEEDS)
def test_true_numbers_of_laboratories_never_fail(seed, tmp_path) -> None:
    """Nor has one of complete kubelets with settings at their edges."""
    held_true(by_lab_seed(seed), tmp_path)


def failing(path: str, since: float, *, by_age: bool = False, **more: object) -> tuple[ContainerSpec, ...]:
    """Return a container that is asked for /ready and /live, of which one path fails from a moment on."""
    probes = ProbeSpec("readiness", path="/ready", period=2, failure=2), ProbeSpec("liveness", path="/live", period=3, failure=4, delay=2)
    answers = (Phase(0, OK), Phase(since, Answer(status=503), path))
    return (ContainerSpec(probes, (Listener(8080, answers, by_age=by_age),), **more),)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("cut", [None, 9.0, 16.0, 24.0])
def test_a_crash_is_no_kill(cut, v6, tmp_path) -> None:
    """A container that ends by itself after two or three of four failures excludes no threshold, whenever the capture begins."""
    crashing = failing("/live", 7.5, by_age=True, crashes=(14.5,) * 5)
    held_true(Scenario("crash", 3, crashing, duration=80, cut_before=cut, v6=v6, full=True), tmp_path)


@pytest.mark.parametrize("liveness", [True, False], ids=["both", "readiness alone"])
def test_a_pod_that_is_deleted_need_not_be_poked(liveness, tmp_path) -> None:
    """An application that answers 503 while it is being stopped loses Ready; that no extra probe follows then contradicts nothing.

    The same without a deletion does, where the liveness probe goes on.
    """
    for deleted, denied in ((22.0, False), (None, liveness)):
        probes = failing("/ready", 22.5, stops_after=14)[0].probes[: 2 if liveness else 1]
        container = replace(failing("/ready", 22.5, stops_after=14)[0], probes=probes)
        where = recorded(Scenario("deleted", 5, (container,), duration=50, deleted=deleted), tmp_path)
        book = build_book(read_specs(str(where / "pod.yaml")), [], [])
        frames = frames_of(where)
        whole = seen(frames, book)
        probe = next(one for one in whole.probes if one.type is ProbeType.READINESS)
        lost = next(one for one in probe.decisions if one.kind is DecisionKind.NOT_READY)
        poke = probe.attempts[lost.attempt].legs[0].connection.client_port.to_bytes(2, "big")
        rest = seen([one for one in frames if poke not in (one.data[34:36], one.data[36:38])], book)
        decided = [one for each in rest.probes for one in each.decisions if one.kind is DecisionKind.NOT_READY]
        assert [one.confirmed is False for one in decided] == [denied]


def starved(rng: random.Random) -> tuple[tuple[float, float], ...]:
    """Return when a kubelet gets no CPU that gets some only now and then for half a minute."""
    stops, since = [], 12.0
    while since < 45:
        until = since + rng.uniform(0.2, 3)
        stops.append((since, until))
        since = until + rng.uniform(0.02, 0.3)
    return tuple(stops)


@pytest.mark.parametrize("seed", [4, 8, 11])
def test_a_node_without_cpu_proves_nothing_against_true_numbers(seed, tmp_path) -> None:
    """Where most attempts run late their times meet other numbers by chance: those that ran stay possible, and nothing is a restart."""
    probes = ProbeSpec("readiness", path="/ok"), ProbeSpec("liveness", path="/ok")
    container = ContainerSpec(probes, (Listener(8080, (Phase(0, OK),)),))
    held_true(Scenario("starved", seed, (container,), duration=75, stops=starved(random.Random(seed))), tmp_path)
    whole = probewatch.analyze(tmp_path / "capture.pcap", spec=tmp_path / "pod.yaml")
    assert {d.kind for one in whole.probes for d in one.decisions} <= {DecisionKind.READY}


@pytest.mark.parametrize("seed", range(20))
def test_changed_numbers_never_pass(seed, tmp_path) -> None:
    """A field that was changed does not pass for its probe, whatever became of the rest."""
    where = recorded(by_seed(seed), tmp_path)
    manifest = yaml.safe_load((where / "pod.yaml").read_text())
    if len(manifest["spec"]["containers"]) > 1:
        return  # a change is of one container, and subjects of both carry the same type
    changes = list(mutations(manifest))
    random.Random(seed).shuffle(changes)
    for change in changes[:CHANGED]:
        spec = tmp_path / "changed.yaml"
        spec.write_text(yaml.safe_dump(change.manifest))
        kinds = {change.type, change.change.rpartition("-> ")[2]} if change.field == "type" else {change.type}
        passed = [
            f.sentence
            for f in findings(where, spec)
            if f.held is Held.PASS and f.field == change.field and f.subject.split()[0] in kinds
        ]
        assert passed == [], f"{change.type} {change.field} {change.change}"
