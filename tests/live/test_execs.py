"""Exec probes run by the real runc in a real container, seen through the kernel's process events.

Covers `capture.processes`, `probes.execs`, `observer.execs`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import probewatch
from probewatch.capture import CaptureError, processes
from probewatch.capture.apart import ProcessEvents
from probewatch.capture.proc import Process
from probewatch.capture.processes import ProcessSource
from probewatch.capture.write import PcapngWriter
from probewatch.model.process import ProcessKind
from probewatch.model.timeline import Attempt, Cause, DecisionKind, EventKind, Outcome, Timeline

PATIENCE_S = 60.0
BUSYBOX = Path("/usr/bin/busybox")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop}
spec:
  containers:
  - name: app
    image: x
    readinessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: 1, failureThreshold: 2}
    livenessProbe: {exec: {command: [sh, -c, "sleep 30"]}, periodSeconds: 2, failureThreshold: 9}
status:
  podIP: %s
  containerStatuses: [{name: app, restartCount: 0, containerID: "containerd://%s"}]
"""


ONE_STRING = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop}
spec:
  containers:
  - name: app
    image: x
    readinessProbe: {exec: {command: ["cat /tmp/ok"]}, periodSeconds: 1}
status:
  podIP: %s
  containerStatuses: [{name: app, restartCount: 0, containerID: "containerd://%s"}]
"""
"""The same container with the mistake that is made most often; as a startup probe it would keep the others from running."""


class Container:
    """A busybox container under runc, and a stand-in for the kubelet and its container runtime."""

    def __init__(self, place: Path, name: str) -> None:
        self.name = name
        self._place = place
        self._runc = ["runc", "--root", str(place / "run")]

    def make(self) -> None:
        """Write the bundle."""
        root = self._place / "rootfs"
        for folder in ("bin", "proc", "tmp"):
            (root / folder).mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin/busybox")
        for program in ("sh", "sleep", "cat", "touch", "rm"):
            (root / "bin" / program).symlink_to("busybox")
        kinds = ("pid", "ipc", "uts", "mount", "network")
        process = {"user": {"uid": 0, "gid": 0}, "args": ["sleep", "600"], "env": ["PATH=/bin"], "cwd": "/"}
        config = {
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": kind} for kind in kinds]},
        }
        (self._place / "config.json").write_text(json.dumps(config))

    def start(self) -> str:
        """Run it; return why that cannot be done here, empty where it can."""
        done = self._call("run", "--detach", "--bundle", str(self._place), self.name)
        return done.stderr.decode(errors="replace").strip() if done.returncode else ""

    def execute(self, *command: str, timeout_s: float = 1.0) -> int:
        """Run a command as an exec probe is run: killed at its timeout, a start that fails repeated up to three times.

        Return what the runtime said last: an exit status, 137 for a command that was killed.
        """
        code = 0
        for _ in range(3):
            pid_file = self._place / f"pid-{threading.get_ident()}"
            pid_file.unlink(missing_ok=True)
            with subprocess.Popen(
                [*self._runc, "exec", "--pid-file", str(pid_file), self.name, *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ) as runtime:  # fmt: skip
                try:
                    runtime.wait(timeout_s)
                except subprocess.TimeoutExpired:
                    os.kill(int(pid_file.read_text()), signal.SIGKILL)
                    runtime.wait(PATIENCE_S)
            code = runtime.returncode
            if code != 255:  # what runc ends with where it could not start the command
                break
        return code

    def tick(self, number: int, period_s: float, *command: str) -> tuple[threading.Thread, list[int]]:
        """Begin to run a command so many times, one each `period_s`; the list grows by what each run said."""
        said: list[int] = []

        def run() -> None:
            begun = time.monotonic()
            for turn in range(number):
                time.sleep(max(0.0, begun + turn * period_s - time.monotonic()))
                said.append(self.execute(*command))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread, said

    def remove(self) -> None:
        """Take it away."""
        self._call("delete", "--force", self.name)

    def _call(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        # To files, not to pipes: the container's first process keeps them open.
        with (self._place / "said").open("w+b") as said:
            done = subprocess.run(
                [*self._runc, *words], stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=PATIENCE_S, check=False
            )
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, b"", said.read())


class Recorder:
    """Writes the process events of this node into a pcapng until it is stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = ProcessEvents()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self.path.open("wb") as out:
            writer = PcapngWriter(out)
            while not self._stop.wait(0.05):
                for frame in self.source.poll():
                    writer.frame(frame)
                    writer.flush()
            time.sleep(0.5)  # what is on its way
            for frame in self.source.poll():
                writer.frame(frame)

    def stop(self) -> None:
        """End it; the file is whole."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self.source.close()


@pytest.fixture
def container(needs_root: None, tmp_path: Path) -> Iterator[Container]:  # noqa: ARG001  (skips)
    """Make a container that is not yet started; take it away whatever happens."""
    for program in ("runc", "busybox"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    made = Container(tmp_path, f"pwX-{os.getpid()}-{tmp_path.name[-12:]}")
    made.make()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture
def recorder(needs_root: None, tmp_path: Path) -> Iterator[Recorder]:  # noqa: ARG001  (skips)
    """Record process events."""
    try:
        made = Recorder(tmp_path / "events.pcapng")
    except CaptureError as error:
        pytest.skip(str(error))
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            made.stop()


def started(container: Container) -> None:
    """Start a container, or skip where runc cannot."""
    why = container.start()
    if why:
        pytest.skip(f"runc cannot run a container here: {why}")


def of(timeline: Timeline, kind: str) -> tuple[Attempt, ...]:
    """Return the attempts of the one probe of a type."""
    (probe,) = (probe for probe in timeline.probes if probe.type == kind)
    return probe.attempts


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00::10"])
def test_exec_probes_by_runc(
    container: Container, recorder: Recorder, tmp_path: Path, address: str, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Real attempts are told with arguments, exit status and duration; a kill at the timeout and a failed start too."""
    started(container)
    container.execute("touch", "/tmp/ok")
    ticking = [
        container.tick(5, 1.0, "cat", "/tmp/ok"),
        container.tick(2, 2.0, "sh", "-c", "sleep 30"),
        container.tick(2, 1.0, "cat /tmp/ok"),
    ]
    eventually(lambda: len(ticking[0][1]) >= 2)
    container.execute("rm", "/tmp/ok")
    for thread, _ in ticking:
        thread.join(PATIENCE_S)
    eventually(lambda: recorder.path.stat().st_size > 0)
    recorder.stop()
    spec = tmp_path / "pod.yaml"
    spec.write_text(POD % (address, container.name))
    timeline = probewatch.analyze(recorder.path, spec=spec)

    readiness = of(timeline, "readiness")
    said = ticking[0][1]
    assert {0, 1} <= set(said)
    assert [one.status for one in readiness] == said
    assert [one.outcome is Outcome.SUCCESS for one in readiness] == [code == 0 for code in said]
    run = readiness[0].execs[-1]
    assert run.arguments == ("cat", "/tmp/ok")
    assert run.container == container.name
    assert run.parents[0] == "runc"
    assert readiness[0].legs == ()
    assert 0 < readiness[0].latency_ns < 1_000_000_000
    liveness = of(timeline, "liveness")
    assert [one.cause for one in liveness] == [Cause.EXEC_TIMEOUT] * 2
    assert liveness[0].latency_ns == 1_000_000_000
    assert liveness[0].execs[-1].signal == signal.SIGKILL
    spec.write_text(ONE_STRING % (address, container.name))
    broken = of(probewatch.analyze(recorder.path, spec=spec), "readiness")
    assert {(one.outcome, one.cause) for one in broken} == {(Outcome.DISCARDED, Cause.EXEC_NOT_FOUND)}
    # Every try is told; that three of them are one attempt depends on how soon they follow each other.
    assert sum(len(one.execs) for one in broken) == 3 * len(ticking[2][1])
    (probe,) = (probe for probe in timeline.probes if probe.type == "readiness")
    lost = [one.attempt for one in probe.decisions if one.kind is DecisionKind.NOT_READY]
    assert lost == [said.index(1) + 2]
    assert probe.target.address == address
    events = [(event.kind, event.container) for event in timeline.events if event.source == "process-event"]
    assert (EventKind.CONTAINER_STARTED, "app") in events


@pytest.mark.parametrize("seen", ["both stages", "the first stage", "neither"])
def test_a_stage_that_was_gone_is_no_command(monkeypatch: pytest.MonkeyPatch, seen: str) -> None:
    """On a busy node runc's own steps are over before they can be looked at: what executes itself anew is not the command."""
    kernel, ours = socket.socketpair()
    monkeypatch.setattr(processes, "connected", lambda: ours)
    monkeypatch.setattr(processes.ProcessSource, "_survey", lambda _: None)
    source = processes.ProcessSource()
    init = ("runc", "init")
    stages = {"both stages": (init, init), "the first stage": (init, ()), "neither": ((), ())}[seen]
    steps = [(11, ("runc", "exec", "c1", "cat", "/tmp/ok")), *((12, one) for one in stages), (14, ("cat", "/tmp/ok"))]
    for parent, child in ((10, 11), (11, 12), (12, 13), (13, 14)):
        source._forked(parent, child)
    told = []
    for pid, arguments in steps:
        found = Process(pid=pid, name=arguments[0] if arguments else "", arguments=arguments)
        monkeypatch.setattr(processes.proc, "process", lambda _, found=found: found)
        told.append(source._executed(pid))
    assert [one and (one.kind, one.pid) for one in told] == [(ProcessKind.RUNTIME, 11), None, None, (ProcessKind.EXEC, 14)]
    source.close()
    kernel.close()


def test_without_root_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not let us, one sentence names the capability."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("socket.socket.bind", refused)
    with pytest.raises(CaptureError, match="CAP_NET_ADMIN"):
        ProcessSource()
