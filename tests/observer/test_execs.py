"""Exec attempts in the observer: tied to declared probes, counted in the Pod's lane, inferred where nothing declares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import probewatch
from probewatch.model.book import AddressBook
from probewatch.model.frame import Mark
from probewatch.model.journal import journal_frame
from probewatch.model.process import Asked, ProcessEvent, ProcessKind
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, EventKind, Timeline
from probewatch.model.units import MS, SECOND
from probewatch.observer import Observer, Settings
from probewatch.report.document import document

BASE = 1_795_379_060 * SECOND

READINESS = ProbeSpec(type=ProbeType.READINESS, handler=Handler.EXEC, command=("cat", "/ok"), period_s=1)
LIVENESS = ProbeSpec(type=ProbeType.LIVENESS, handler=Handler.EXEC, command=("alive",), period_s=2, failure_threshold=2)


class Node:
    """Makes the process events of one node."""

    def __init__(self, address: str = "", *, container: str = "c1", began: bool = True) -> None:
        self._addresses = (address,) if address else ()
        self._container = container
        self._pid = 100
        self.events: list[ProcessEvent] = []
        if began:
            self.events.append(ProcessEvent(mark=Mark(BASE - MS, 0, 0), kind=ProcessKind.BEGAN, host="node-a"))

    def run(
        self,
        at: float,
        *command: str,
        code: int | None = 0,
        signal: int = 0,
        lasts: float = 0.01,
        terminal: bool = False,
        container: str = "",
    ) -> None:
        """Run a command at so many seconds."""
        container = container or self._container
        ns, runtime, pid = BASE + round(at * SECOND), self._pid, self._pid + 1
        self._pid += 2
        asked = Asked(container=container, arguments=command, terminal=terminal)
        begun, ended = Mark(ns + 30 * MS, 0, 0), Mark(ns + 30 * MS + round(lasts * SECOND), 0, 0)
        self.events += [
            ProcessEvent(
                mark=Mark(ns, 0, 0), kind=ProcessKind.RUNTIME, pid=runtime, asked=asked, name="runc",
                parents=("containerd-shim",), container=container,
            ),
            ProcessEvent(
                mark=begun, kind=ProcessKind.EXEC, pid=pid, runtime=runtime, arguments=command, container=container,
                addresses=self._addresses, parents=("runc", "containerd-shim"),
            ),
            ProcessEvent(mark=ended, kind=ProcessKind.EXIT, pid=pid, exit_code=code, signal=signal),
        ]  # fmt: skip

    def timeline(self, *pods: PodSpec) -> Timeline:
        """Return what an observer with these Pods makes of the events, read as frames."""
        book = AddressBook(
            pods={address: (pod,) for pod in pods for address in pod.addresses},
            unplaced=tuple(pod for pod in pods if not pod.addresses),
        )
        observer = Observer(Settings(book=book, measure=True))
        for number, event in enumerate(sorted(self.events, key=lambda one: one.mark.ns), 1):
            observer.feed(journal_frame(event)._replace(number=number))
        observer.advance(BASE + 60 * SECOND)
        return observer.finish()


def pod(*containers: tuple[str, tuple[ProbeSpec, ...]], **more: object) -> PodSpec:
    """Make a Pod whose containers have ids of their own names."""
    made = tuple(ContainerSpec(name=name, probes=probes, ids=(f"{name}-id",)) for name, probes in containers)
    return replace(PodSpec(source="pod.yaml", name="web", containers=made), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00::10"])
def test_declared_exec_probe(address: str) -> None:
    """Attempts of a declared exec probe count and decide like any others, with no connections and their own frames."""
    node = Node(address)
    for second in range(4):
        node.run(second, "cat", "/ok")
    for second in range(4, 8):
        node.run(second, "cat", "/ok", code=1)
    timeline = node.timeline(pod(("app", (READINESS,)), addresses=(address,)))
    (probe,) = timeline.probes
    assert (probe.type, probe.handler, probe.checker.kind) == (ProbeType.READINESS, Handler.EXEC, "kubelet")
    assert (probe.target.address, probe.target.pod, probe.target.container) == (address, "web", "app")
    assert [attempt.streak for attempt in probe.attempts] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert [(one.kind, one.attempt) for one in probe.decisions] == [(DecisionKind.NOT_READY, 7)]
    assert probe.attempts[4].frames() == (14, 16)
    made = document(timeline)["probes"][0]["attempts"][4]
    assert made["connections"] == []
    assert (made["cause"], made["status"], made["exec"]["command"]) == ("exec-exit", 1, ["cat", "/ok"])
    assert timeline.notes == ()


def test_timeouts_restart() -> None:
    """A liveness command killed at its timeout is a failure at start + timeoutSeconds, and restarts at its threshold."""
    node = Node("10.0.0.1")
    for second in (0, 2):
        node.run(second, "alive")
    for second in (4, 6):
        node.run(second, "alive", code=None, signal=9, lasts=1.0)
    (probe,) = node.timeline(pod(("app", (LIVENESS,)), addresses=("10.0.0.1",))).probes
    assert [one.cause for one in probe.attempts][2:] == [Cause.EXEC_TIMEOUT] * 2
    assert probe.attempts[3].end_ns - probe.attempts[3].start.ns == SECOND
    assert [(one.kind, one.attempt) for one in probe.decisions] == [(DecisionKind.RESTART, 4)]


def test_containers_are_told_apart() -> None:
    """The same command in two containers of a Pod is two probes, by the container's id."""
    node = Node("10.0.0.1")
    for second in range(5):
        node.run(second, "cat", "/ok", container="one-id")
        node.run(second + 0.4, "cat", "/ok", code=1, container="two-id")
    probes = node.timeline(pod(("one", (READINESS,)), ("two", (READINESS,)), addresses=("10.0.0.1",))).probes
    found = {probe.target.container: {attempt.cause for attempt in probe.attempts} for probe in probes}
    assert found == {"one": {Cause.OK}, "two": {Cause.EXEC_EXIT}}


def test_pod_without_an_address() -> None:
    """A manifest without a status is tied by its command where it is the only one that declares it."""
    node = Node()
    for second in range(4):
        node.run(second, "cat", "/ok")
    (probe,) = node.timeline(pod(("app", (READINESS,)))).probes
    assert (probe.type, probe.target.pod) == (ProbeType.READINESS, "web")


def test_command_that_nobody_declares() -> None:
    """The same command at whole seconds is a probe of unknown type that nothing proves to be the kubelet's."""
    node = Node("10.0.0.1")
    for second in range(5):
        node.run(2 * second, "check", "me")
    node.run(3.3, "ls")
    for second in range(5):
        node.run(second + 0.7, "sh", terminal=True)
    (probe,) = node.timeline().probes
    assert (probe.type, probe.command, probe.inferred["periodSeconds"]) == (ProbeType.UNKNOWN, ("check", "me"), 2)
    assert (probe.checker.kind, probe.checker.could_be) == ("unknown", ("kubelet",))
    assert len(probe.attempts) == 5


def test_terminal_is_no_probe() -> None:
    """What somebody runs with a terminal is never an attempt, though it be the declared command."""
    node = Node("10.0.0.1")
    for second in range(4):
        node.run(second, "cat", "/ok")
        node.run(second + 0.5, "cat", "/ok", terminal=True)
    (probe,) = node.timeline(pod(("app", (READINESS,)), addresses=("10.0.0.1",))).probes
    assert len(probe.attempts) == 4


def test_not_run_and_not_seen_differ() -> None:
    """Where events are watched a declared probe that nobody ran is said not to have been run."""
    declared = pod(("app", (READINESS,)), addresses=("10.0.0.1",))
    (watched,) = Node("10.0.0.1").timeline(declared).notes
    assert "none of the process events" in watched
    (blind,) = Node("10.0.0.1", began=False).timeline(declared).notes
    assert blind.endswith("it runs inside the container and sends no packet")


def test_lost_events_are_told() -> None:
    """Where the kernel lost events the timeline says so."""
    node = Node("10.0.0.1")
    node.events.append(ProcessEvent(mark=Mark(BASE, 0, 0), kind=ProcessKind.LOST, lost=2))
    assert "lost process events (2 times)" in node.timeline().notes[0]


def test_annotated_copy_keeps_events(captures: Path, tmp_path: Path) -> None:
    """A copy with comments of a recording that holds process events tells the same attempts as the recording."""
    from probewatch.cli import main

    folder, copy = captures / "exec-runc", tmp_path / "copy.pcapng"
    spec = folder / "pod.yaml"
    assert main(["analyze", "-q", str(folder / "capture.pcapng"), "--spec", str(spec), "-w", str(copy)]) == 0
    one, other = (probewatch.analyze(path, spec=spec) for path in (folder / "capture.pcapng", copy))
    assert one.probes == other.probes


def test_container_that_begins() -> None:
    """A container's first process tells its beginning: the probe starts from the kubelet's initial value."""
    node = Node("10.0.0.1")
    node.events.append(
        ProcessEvent(
            mark=Mark(BASE, 0, 0), kind=ProcessKind.STARTED, pid=7, container="app-id", arguments=("app",),
            addresses=("10.0.0.1",),
        )
    )  # fmt: skip
    for second in range(1, 4):
        node.run(second, "cat", "/ok", container="app-id")
    node.events.append(ProcessEvent(mark=Mark(BASE + 9 * SECOND, 0, 0), kind=ProcessKind.EXIT, pid=7, exit_code=1))
    timeline = node.timeline(pod(("app", (READINESS,)), addresses=("10.0.0.1",)))
    assert timeline.probes[0].initial_state == "NotReady"
    assert [one.kind for one in timeline.probes[0].decisions] == [DecisionKind.READY]
    told = [(one.kind, one.source) for one in timeline.events]
    assert told[0] == (EventKind.CONTAINER_STARTED, "process-event")
    assert told[-1] == (EventKind.CONTAINER_EXITED, "process-event")
