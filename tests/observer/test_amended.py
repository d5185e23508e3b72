"""A spec that is not the one that runs: what is told in its place, and that nothing happened only because it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import probewatch
from probewatch.model.timeline import UNDECLARED, EventKind, Timeline

Change = Callable[[dict[str, Any]], object]
KINDS = {"readinessProbe", "livenessProbe", "startupProbe"}
CAPTURES = Path(__file__).parents[2] / "captures"


def told(name: str, where: Path, *changes: tuple[str, str]) -> Timeline:
    """Analyse a capture of the project with its manifest changed."""
    text = (CAPTURES / name / "pod.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (where / "pod.yaml").write_text(text)
    return probewatch.analyze(CAPTURES / name / "capture.pcap", spec=where / "pod.yaml")


def happened(timeline: Timeline) -> list[tuple[str, int]]:
    """Return the decisions, with the attempts that made them."""
    return [(str(decision.kind), decision.attempt) for probe in timeline.probes for decision in probe.decisions]


@pytest.mark.parametrize("name", ["http-flap-s1", "k136-liveness-restart"])
@pytest.mark.parametrize("failures", [1, 6])
def test_a_threshold_that_does_not_fit_at_all_is_not_replayed(name: str, failures: int, tmp_path: Path) -> None:
    """Decisions are those of the true threshold, no container begins for the wrong one, and a note names both."""
    right, wrong = told(name, tmp_path), told(name, tmp_path, ("failureThreshold: 3", f"failureThreshold: {failures}"))
    assert happened(wrong) == happened(right)
    assert [event.kind for event in wrong.events] == [event.kind for event in right.events]
    notes = [note for probe in wrong.probes for note in probe.notes if "is not the one that runs here" in note]
    assert notes
    assert any(f"declared failureThreshold {failures}" in note and note.endswith("with 3") for note in notes)
    shown = {probe.thresholds["failureThreshold"] for probe in wrong.probes if any(note in notes for note in probe.notes)}
    assert (3, "inferred") in shown


def analysed(name: str, where: Path, change: Change | None = None) -> Timeline:
    """Analyse a capture of the project with the containers of its manifest changed."""
    pod = yaml.safe_load((CAPTURES / name / "pod.yaml").read_text())
    if change is not None:
        change(pod["spec"]["containers"][0])
    (where / "changed.yaml").write_text(yaml.safe_dump(pod))
    return probewatch.analyze(CAPTURES / name / "capture.pcap", spec=where / "changed.yaml")


def acts(timeline: Timeline) -> list[tuple[str, str | None, str, int]]:
    """Return the decisions, by what is asked, and when."""
    return sorted(
        (str(probe.type), probe.path, str(found.kind), found.ns) for probe in timeline.probes for found in probe.decisions
    )


def begun(timeline: Timeline) -> list[int]:
    """Return when containers began."""
    return sorted(event.ns for event in timeline.events if event.kind is EventKind.CONTAINER_STARTED)


def each(**numbers: int | None) -> Change:
    """Set numbers of all probes of a container; None takes one away."""

    def change(container: dict[str, Any]) -> None:
        for kind in KINDS & set(container):
            for number, value in numbers.items():
                container[kind].pop(number, None)
                if value is not None:
                    container[kind][number] = value

    return change


def without(kind: str) -> Change:
    """Take a probe away."""
    return lambda container: container.pop(kind)


def asking(kind: str, path: str) -> Change:
    """Have a probe ask for something else."""
    return lambda container: container[kind]["httpGet"].update(path=path)


def swapped(container: dict[str, Any]) -> None:
    """Change the types of readiness and liveness."""
    ready, live = container.pop("readinessProbe"), container.pop("livenessProbe")
    ready.pop("successThreshold", None)
    container.update(readinessProbe=live, livenessProbe=ready)


def started(container: dict[str, Any]) -> None:
    """Declare a startup probe that nobody sends."""
    container["startupProbe"] = {"httpGet": {"path": "/started", "port": 8080}, "periodSeconds": 2, "failureThreshold": 30}


@pytest.mark.parametrize(
    ("name", "change", "note"),
    [
        pytest.param("identical-probes", each(periodSeconds=None), "declared every 10 s, but probed every 2 s", id="two-tickers"),
        pytest.param("http-flap-s1", each(periodSeconds=2), "declared every 2 s, but probed every 1 s", id="a-multiple"),
        pytest.param("k136-liveness-restart", each(failureThreshold=5), "after 3 failures in a row", id="never-reached"),
        pytest.param("startup-probe", each(failureThreshold=1), "failures in a row have no consequence", id="startup"),
        pytest.param("http-timeout", each(failureThreshold=5), "after 3 failures in a row", id="too-high"),
        pytest.param("grpc-flap", swapped, "declared so, but its attempts fit no such probe", id="types"),
        pytest.param("k136-liveness-restart", started, "startup: declared, but nobody sends it", id="unsent"),
    ],
)
def test_what_the_attempts_exclude_decides_nothing(name: str, change: Change, note: str, tmp_path: Path) -> None:
    """Decisions and container starts are those of the true manifest, and a note says which declared number is not the one that runs."""
    right, wrong = analysed(name, tmp_path), analysed(name, tmp_path, change)
    assert acts(wrong) == acts(right)
    assert begun(wrong) == begun(right)
    assert any(note in told and "is not the one that runs here" in told for probe in wrong.probes for told in probe.notes)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("k136-liveness-restart", without("livenessProbe"), id="liveness"),
        pytest.param("k136-liveness-restart", without("readinessProbe"), id="readiness"),
        pytest.param("startup-probe", without("startupProbe"), id="startup"),
        pytest.param("identical-probes", without("readinessProbe"), id="twin"),
        pytest.param("startup-probe", asking("startupProbe", "/other"), id="other-path"),
        pytest.param("http-arp-dead", asking("readinessProbe", "/other"), id="nothing-declared-is-asked"),
    ],
)
def test_what_nobody_declared_is_of_the_same_container(name: str, change: Change, tmp_path: Path) -> None:
    """Its attempts, those that asked nothing too, are read with those of the declared probes: decisions and starts are the true ones."""
    right, wrong = analysed(name, tmp_path), analysed(name, tmp_path, change)
    assert acts(wrong) == acts(right)
    assert begun(wrong) == begun(right)
    assert sum(UNDECLARED in probe.notes for probe in wrong.probes) == 1
    assert sorted(len(probe.attempts) for probe in wrong.probes) == sorted(len(probe.attempts) for probe in right.probes)


@pytest.mark.parametrize("name", ["http-flap-s1", "k136-liveness-restart", "startup-probe", "identical-probes", "grpc-flap"])
def test_a_manifest_that_runs_is_believed(name: str, tmp_path: Path) -> None:
    """Nothing is said of the right one."""
    assert not [note for probe in analysed(name, tmp_path).probes for note in probe.notes if "is not the one that runs here" in note]
