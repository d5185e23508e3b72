"""Exec probes in `probewatch watch` and `record`: told live, and kept in the file, by programs that gave up their privileges.

Covers `cli.watch`, `cli.record`, `capture.apart`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from probewatch import analyze
from probewatch.capture import CaptureError
from probewatch.capture.apart import NEEDED
from probewatch.capture.privilege import CAPABILITIES
from probewatch.capture.processes import connected
from tests.live.conftest import PATIENCE_S
from tests.live.test_execs import POD, Container, container, of, started
from tests.live.test_watch import ROOT, ended, listening, watching

__all__ = ["container"]


@pytest.fixture
def spec(container: Container, tmp_path: Path) -> Path:
    """Start the container, and say whose it is."""
    try:
        connected().close()
    except CaptureError as error:
        pytest.skip(str(error))
    started(container)
    container.execute("touch", "/tmp/ok")
    path = tmp_path / "pod.yaml"
    path.write_text(POD % ("10.128.0.10", container.name))
    return path


def child_of(pid: int) -> int:
    """Return the one child of a process."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def facts(pid: int) -> dict[str, str]:
    """Return what /proc/PID/status tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_watch_tells_exec_probes(
    container: Container, spec: Path, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Attempts by runc are printed as they happen, with arguments and exit status; the kept file analyses to the same."""
    kept = tmp_path / "kept.pcapng"
    with watching("--spec", spec, "--pod", "web-1", "-w", kept, "tcp port 1") as process:
        listening(process)
        thread, said = container.tick(6, 1.0, "cat", "/tmp/ok")
        eventually(lambda: len(said) >= 2)
        container.execute("rm", "/tmp/ok")
        thread.join(PATIENCE_S)
        assert {0, 1} == set(said)
        os.set_blocking(process.stdout.fileno(), False)
        live = ""

        def six() -> bool:
            nonlocal live
            live += (process.stdout.read() or b"").decode()
            return live.count('["cat", "/tmp/ok"]') >= 6

        eventually(six)
        status, out, err = ended(process)
    assert (status, err) == (0, "")
    assert "exit 0" in live
    assert "exit status 1" in live
    assert "NotReady" in live
    assert live.count('["cat", "/tmp/ok"]') == 6
    assert 'exec ["cat", "/tmp/ok"]' in out
    readiness = of(analyze(kept, spec=spec), "readiness")
    assert [one.status for one in readiness] == said
    assert readiness[0].execs[-1].arguments == ("cat", "/tmp/ok")


def test_what_stays_privileged_decodes_no_packet(spec: Path, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """What decodes packets has no capability; its child has the two that /proc takes, is nobody too, and dies with it, even by SIGKILL."""
    del spec
    with watching("-w", tmp_path / "kept.pcapng", "tcp port 1", command="record") as process:
        listening(process)
        child = child_of(process.pid)
        status, own = facts(child), facts(process.pid)
        process.kill()
        eventually(lambda: not Path(f"/proc/{child}").exists() or facts(child)["State"].startswith("Z"))
    assert int(own["CapPrm"], 16) == 0
    kept = sum(1 << CAPABILITIES[name] for name in NEEDED)
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {kept}
    assert set(status["Uid"].split()) == {"65534"}
    assert status["NoNewPrivs"] == "1"


@pytest.mark.usefixtures("needs_root")
def test_in_another_pid_namespace_one_note() -> None:
    """Where the kernel tells no process events packets are watched all the same, and one sentence says what is missing."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed: it makes the pid namespace")
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "probewatch.cli"]
    done = subprocess.run(
        [*command, "watch", "--duration", "0.5", "tcp port 1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    if done.returncode == 1 and "unshare" in done.stderr:
        pytest.skip(f"a pid namespace cannot be made here: {done.stderr.strip()}")
    assert done.returncode == 0
    assert done.stderr.count("exec probes are not seen: process events are told in the node's own pid and user namespace only") == 1
