"""What becomes known is told in order: a probe before its attempts, revisions only upwards."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from make import LIVENESS, NODE, NODE6, POD, POD6, every, frames, probes, spec

from probewatch import analyze
from probewatch.api import observer
from probewatch.capture import Reader
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.spec import ContainerSpec, PodSpec, ProbeSpec
from probewatch.observer import Change, Observer, Settings
from probewatch.report.document import document
from probewatch.report.ndjson import Writer, fold

TOLD = """
from make import NODE, every, frames, probes, spec
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.observer import Observer, Settings

addresses = [f"10.128.0.{number}" for number in range(10, 18)]
app = ContainerSpec(name="app", probes=(spec(period_s=2),))
pods = {one: (PodSpec(source="pod.yaml", addresses=(one,), containers=(app,)),) for one in addresses}
node = NodeAddress(address=NODE, node="node-a", source="--node-ip", rank=1)
observer = Observer(Settings(book=AddressBook(pods=pods, nodes={NODE: (node,)})))
scripts = []
for number, server in enumerate(addresses):
    scripts += probes([0.5 + number / 1000], "refused", server=server) + probes(every(2, 52, 2 + number / 1000), server=server)
for frame in frames(*scripts):
    observer.feed(frame)
    for change in observer.take():
        print(change.id, change.rev, change.value.target.address if change.kind == "probe" else "")
"""
"""Eight Pods are probed within a moment of each other, so that what is settled of all of them is told at the same time."""


def changes(kubelet_scenario: Path) -> list[Change]:
    """Return every change that the scenario's capture makes known, in order."""
    capture = kubelet_scenario / "capture.pcap"
    told: list[Change] = []
    specs = sorted(str(path) for path in kubelet_scenario.glob("pod*.yaml"))
    analyze(str(capture if capture.exists() else kubelet_scenario / "tun0.pcap"), spec=specs, on_change=told.append)
    return told


def test_a_probe_is_met_before_its_attempts_while_reading(kubelet_scenario: Path) -> None:
    """An attempt told while a capture is still read names a probe that was told before; at the end each probe is told whole."""
    told = changes(kubelet_scenario)
    last = [change.probe for change in told if change.kind == "probe"]
    met: set[str | None] = set()
    for number, change in enumerate(told):
        if change.kind == "probe":
            met.add(change.probe)
        elif change.kind == "attempt" and change.probe not in met:
            # Only what settles at the very end may come before the line that sums its probe up.
            assert change.probe in [later.probe for later in told[number:] if later.kind == "probe"]
    assert met == set(last)


def test_revisions_only_go_up(kubelet_scenario: Path) -> None:
    """The same id is never told twice with the same revision, nor with a lower one."""
    seen: dict[tuple[str, str], int] = {}
    for change in changes(kubelet_scenario):
        key = (change.kind, change.id)
        assert change.rev > seen.get(key, 0)
        seen[key] = change.rev


def test_the_order_of_telling_is_the_same_in_every_run() -> None:
    """What is settled of several Pods at the same time is told in one order, and under one id, whatever seed Python hashes texts with."""
    here = Path(__file__).resolve().parents[1]
    places = os.pathsep.join(str(here / name) for name in ("probes", "wire"))
    told = []
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": places}
        told.append(subprocess.run([sys.executable, "-c", TOLD], env=env, check=True, capture_output=True, text=True).stdout)
    assert told[0] == told[1]
    assert "p8 1 10.128.0.17" in told[0], "told while frames still come"


class Early:
    """An observer of somebody who cannot wait, and the lines that were written of it."""

    def __init__(self, node: str, pod: str, *declared: ProbeSpec) -> None:
        app = PodSpec(source="pod.yaml", addresses=(pod,), containers=(ContainerSpec(name="app", probes=declared),))
        address = NodeAddress(address=node, node="node-a", source="--node-ip", rank=1)
        book = AddressBook(pods={pod: (app,)} if declared else {}, nodes={node: (address,)})
        self.observer = Observer(Settings(early=True, book=book))
        self.parts: list[str] = []
        self._writer = Writer(self.parts.append)

    def take(self) -> None:
        """Write what became known."""
        for change in self.observer.take():
            self._writer.change(change.kind, change.id, change.rev, change.probe, None if change.gone else change.value)

    def see(self, *scripts: tuple[float, str, str]) -> list[int]:
        """Let these conversations pass; return after each of its frames how many attempts had been told."""
        many = []
        for frame in frames(*scripts):
            self.observer.feed(frame)
            self.take()
            many.append(len({line["id"] for line in self.lines() if line["event"] == "attempt"}))
        return many

    def end(self) -> dict[str, object]:
        """Write what the end tells; return the document."""
        timeline = self.observer.finish()
        self.take()
        self._writer.end(timeline)
        return json.loads(json.dumps(document(timeline)))

    def lines(self) -> list[dict[str, object]]:
        """Return what was written."""
        return [json.loads(part) for part in self.parts]


BOTH = pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])


@BOTH
@pytest.mark.parametrize("declared", [True, False])
def test_who_cannot_wait_is_told_each_attempt_before_the_next(node: str, pod: str, declared: bool) -> None:
    """With a manifest or without, an attempt is told when it has its verdict; the last revisions are the document."""
    specs = (spec(period_s=2), spec(LIVENESS, period_s=2, path="/livez")) if declared else ()
    early = Early(node, pod, *specs)
    how = {"client": node, "server": pod}
    script = [*probes(every(2, 12), **how), *probes(every(2, 12, 0.5), path="/livez", **how)]
    many = early.see(*sorted(script))
    assert many[-1] >= 22
    steps = {after - before for before, after in itertools.pairwise(many)}
    assert steps <= ({0, 1, 2} if declared else set(range(8))), "nothing is held back to be told in a heap"
    wanted = early.end()
    assert fold(early.lines()) == wanted


@BOTH
def test_what_was_told_early_and_is_something_else_is_replaced_or_taken_back(node: str, pod: str) -> None:
    """Where one probe turns out to be two, lines with a higher revision say so, and what has no place any more is gone."""
    early = Early(node, pod)
    how = {"client": node, "server": pod, "path": "/healthz"}
    script = [*probes([0.0, 0.001], **how), *probes(every(2, 20, 1.5), **how), *probes(every(2, 20, 0.7), **how)]
    early.see(*sorted(script))
    before = early.lines()
    assert any(line["rev"] > 1 for line in before if line["event"] == "attempt")
    wanted = early.end()
    lines, seen = early.lines(), {}
    for line in lines:
        key = (line["event"], line["id"])
        assert line["rev"] > seen.get(key, 0)
        seen[key] = line["rev"]
    assert fold(lines) == wanted
    assert any("gone" in line for line in lines if line["event"] == "attempt")


def test_what_is_told_early_ends_as_the_document(kubelet_scenario: Path) -> None:
    """On every capture the last revisions of what was told early are the document, and revisions only go up."""
    capture = kubelet_scenario / "capture.pcap"
    for specs in ([], sorted(str(path) for path in kubelet_scenario.glob("pod*.yaml"))):
        early = Early(NODE, POD)
        early.observer = observer(spec=specs, early=True)
        with closing(Reader(str(capture if capture.exists() else kubelet_scenario / "tun0.pcap"), 0)) as reader:
            for frame in reader:
                early.observer.feed(frame)
                early.take()
        wanted = early.end()
        assert fold(early.lines()) == wanted
        seen: dict[tuple[object, object], int] = {}
        for line in early.lines():
            key = (line["event"], line["id"])
            assert line["rev"] > seen.get(key, 0)
            seen[key] = line["rev"]
