"""What becomes known is told in order: a probe before its attempts, revisions only upwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from probewatch import analyze
from probewatch.observer import Change

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
