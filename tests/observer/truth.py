# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""The kubelet's own record (truth.jsonl) beside what a timeline says of the same time.

What is held. Every execution of a network probe that left a frame is one attempt: with the kubelet's outcome, its type, and at least the
connections that the kubelet dialled. No other attempt is reported. Every change of a cached result that a probe made is one decision of that
kind, at most 1.1 s before or 0.35 s after the record's moment (a close that lingers delays the record), and no other decision is reported.

What cannot be asked of packets is left out, and nothing else: exec probes; executions that never ended, that began before the
capture or went to another host (they may be reported, need not); an outcome that TLS hides or the end of the capture cut (inconclusive is
right then, besides the true one); decisions of types whose outcomes are hidden; changes that no probe made, because the container died.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probewatch.capture import merged, open_all
from probewatch.model.frame import Frame
from probewatch.model.timeline import Attempt, Cause, Decision, Outcome, Probe, Timeline
from probewatch.model.units import SECOND

RETRY_S = 0.05
"""A prober that errored is run again within this: three executions of the record are one attempt then."""
RESULTS = {"success": Outcome.SUCCESS, "warning": Outcome.SUCCESS, "failure": Outcome.FAILURE}
KINDS = {("readiness", "Success"): "ready", ("readiness", "Failure"): "not_ready", ("liveness", "Failure"): "restart", ("startup", "Success"): "started",
         ("startup", "Failure"): "restart"}


def frames_of(scenario: Path) -> list[Frame]:
    """Return the frames of a scenario's capture."""
    name = "capture.pcap" if (scenario / "capture.pcap").is_file() else "tun0.pcap"
    readers = open_all([os.fspath(scenario / name)])
    try:
        return list(merged(readers))
    finally:
        for reader in readers:
            reader.close()


@dataclass
class Execution:
    """One run of a prober, with its retries."""

    start: float
    type: str
    handler: str
    address: str
    where: tuple[str, str]
    """Pod and container."""
    end: float
    outcome: Outcome | None = None
    """None where the record ends before it."""
    port: int | None = None
    local_ports: set[int] = field(default_factory=set)
    dials: int = 0
    tries: int = 1
    away: bool = False
    """It asked another host than the pod."""
    output: str = ""

    def __str__(self) -> str:
        """Name it in a message."""
        return f"{self.type} {self.handler} at {self.start:.3f}, {self.outcome}: {self.output[:60]}"


@dataclass
class Change:
    """A cached result that changed."""

    at: float
    kind: str
    type: str
    where: tuple[str, str]
    by_probe: bool
    """Made by a probe that had just ended, not by a container that died."""


@dataclass
class Truth:
    """What the kubelet did."""

    executions: list[Execution]
    changes: list[Change]


@dataclass
class Seen:
    """One reported attempt."""

    probe: Probe
    attempt: Attempt
    taken: bool = False

    @property
    def start(self) -> float:
        """Return when it began, in seconds."""
        return self.attempt.start.ns / SECOND

    @property
    def ports(self) -> set[int]:
        """Return the client's ports of its connections."""
        return {leg.connection.client_port for leg in self.attempt.legs}

    def __str__(self) -> str:
        """Name it in a message."""
        return f"{self.probe.type} {self.probe.id}.a{self.attempt.n} at {self.start:.3f}, {self.attempt.outcome}/{self.attempt.cause}"


def read(path: Path) -> Truth:
    """Read a record; a line that is not whole is passed over (the kubelet was killed while it wrote)."""
    generation = 0
    running: dict[tuple[int, Any], Execution] = {}
    changes: list[Change] = []
    ended: dict[tuple[str, tuple[str, str]], float] = {}
    for line in path.read_text("utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        what = event.get("ev")
        key = (generation, event.get("id"))
        where = (event.get("pod"), event.get("container"))
        if what == "kubelet_started":
            generation += 1
        elif what == "probe_start":
            running[key] = Execution(event["t"], event["type"].lower(), event["handler"], event.get("pod_ip"), where, event["t"])
        elif what == "conn" and key in running:
            _dialled(running[key], event)
        elif what == "probe_end" and key in running:
            one = running[key]
            one.end = ended[one.type, where] = event["t"]
            one.outcome = Outcome.DISCARDED if event.get("err") else RESULTS.get(event["result"], Outcome.DISCARDED)
            one.output = event.get("output") or event.get("err") or ""
        elif what == "result" and event.get("transition") and event.get("prev") not in (None, "none"):
            kind = KINDS.get((event["type"].lower(), event["new"]))
            if kind is not None:
                last = ended.get((event["type"].lower(), where), 0.0)
                changes.append(Change(event["t"], kind, event["type"].lower(), where, abs(event["t"] - last) < 0.1))
    return Truth(_with_retries(list(running.values())), changes)


def _dialled(one: Execution, event: dict[str, Any]) -> None:
    host, _, port = event["remote"].rpartition(":")
    one.dials += 1
    one.port = int(port)
    one.away = host.strip("[]") != one.address
    if event.get("local"):
        one.local_ports.add(int(event["local"].rpartition(":")[2]))


def _with_retries(executions: list[Execution]) -> list[Execution]:
    out: list[Execution] = []
    last: dict[tuple[str, tuple[str, str]], Execution] = {}
    for one in sorted(executions, key=lambda one: one.start):
        before = last.get((one.type, one.where))
        if before is not None and before.outcome is Outcome.DISCARDED and before.tries < 3 and one.start - before.end < RETRY_S:
            before.outcome, before.output, before.end = one.outcome, one.output, one.end
            before.tries += 1
            before.dials += one.dials
            before.local_ports |= one.local_ports
        else:
            out.append(one)
            last[one.type, one.where] = one
    return out


def differences(timeline: Timeline, truth: Truth, *, keyed: bool, unseen: bool, typed: bool) -> list[str]:
    """Say where a timeline differs from the record, one sentence each.

    `keyed`: TLS keys were given. `unseen`: attempts of this scenario may have left no frame. `typed`: types must be right (with a
    spec); without, probes that are merely possible kubelets' count too.
    """
    begin, end = (timeline.captures[0].first_ns or 0) / SECOND, (timeline.captures[0].last_ns or 0) / SECOND
    ours = [probe for probe in timeline.probes if probe.checker.kind == "kubelet" or (not typed and "kubelet" in probe.checker.could_be)]
    seen = [Seen(probe, attempt) for probe in ours for attempt in probe.attempts]
    network = [one for one in truth.executions if one.handler != "exec"]
    asked = [one for one in network if one.outcome is not None and not one.away and begin - 0.05 <= one.start <= end]
    out: list[str] = []
    # Those whose ports are known choose first.
    for one in sorted(asked, key=lambda one: not one.local_ports):
        found = _find(one, seen)
        if found is None:
            if one.local_ports or (one.dials and not unseen):
                out.append(f"missed {one}")
            continue
        found.taken = True
        out += _compare(one, found, keyed=keyed, cut=one.end > end, typed=typed)
    loose = [one for one in network if one.outcome is None or one.away or one.start < begin + 0.05]
    out += [f"never happened: {one}" for one in seen if not one.taken and not any(-0.1 <= one.start - other.start < 1.1 for other in loose)]
    return out + _decisions(ours, truth, begin, end, keyed=keyed, typed=typed)


def _find(one: Execution, seen: list[Seen]) -> Seen | None:
    near = [other for other in seen if not other.taken and other.probe.target.address == one.address and -0.02 <= other.start - one.start < 0.6
            and (not one.local_ports or not other.ports or one.local_ports & other.ports)]
    return min(near, default=None, key=lambda other: (not one.local_ports & other.ports, other.probe.type != one.type, other.probe.target.port != one.port,
                                                      abs(other.start - one.start)))


def _compare(one: Execution, found: Seen, *, keyed: bool, cut: bool, typed: bool) -> list[str]:
    out = []
    attempt = found.attempt
    honest = attempt.outcome is Outcome.INCONCLUSIVE and ((attempt.cause is Cause.ENCRYPTED and not keyed) or cut)
    if attempt.outcome is not one.outcome and not honest:
        out.append(f"outcome of {found}, but it was {one}")
    if typed and found.probe.type != one.type:
        out.append(f"type of {found}, but it was {one}")
    if not one.local_ports <= found.ports:
        out.append(f"connections of {found}: {sorted(found.ports)}, but it dialled from {sorted(one.local_ports)}")
    return out


def _decisions(ours: list[Probe], truth: Truth, begin: float, end: float, *, keyed: bool, typed: bool) -> list[str]:
    hidden = {probe.type for probe in ours if not keyed and any(attempt.cause is Cause.ENCRYPTED for attempt in probe.attempts)}
    inside = {(one.type, one.where) for one in truth.executions if one.handler == "exec"}
    left: list[tuple[Decision, str]] = [(decision, probe.type) for probe in ours if probe.type not in hidden for decision in probe.decisions]
    wanted = [change for change in truth.changes if begin <= change.at <= end + 0.1 and (change.type, change.where) not in inside and change.type not in hidden]
    out = []
    for change in sorted(wanted, key=lambda change: not change.by_probe):
        fitting = [entry for entry in left if entry[0].kind == change.kind and -1.1 < entry[0].ns / SECOND - change.at < 0.35 and (not typed or entry[1] == change.type)]
        if fitting:
            left.remove(min(fitting, key=lambda entry: abs(entry[0].ns / SECOND - change.at)))
        elif change.by_probe:
            out.append(f"decision {change.kind} ({change.type}) at {change.at:.3f} not reported")
    return out + [f"decision {decision.kind} ({kind}) at {decision.ns / SECOND:.3f} never happened" for decision, kind in left]
