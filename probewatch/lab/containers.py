"""One container's process: `servers` as a child in the pod's namespace, or a command run by runc.

runc (with a static busybox for its files) makes a real container, so that an exec probe is a real `runc exec`. Its
files, and what runc remembers, lie in the run's directory. Without runc the command runs as a plain process in the
pod's network namespace, and so do exec probes: what they do and return is the same, but there is no container around
them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from probewatch.capture.netns import inside, namespace_path

from .children import environment, start
from .state import MARK

PATIENCE_S: Final = 60.0
"""Seconds after which a call of runc is taken to hang."""
_PAUSE_S: Final = 0.01
_APPLETS: Final = ("sh", "sleep", "test", "touch", "rm", "cat", "true", "false", "echo", "wget")


class Container(Protocol):
    """One instance of a container, running when it is made."""

    pid: int

    def exited(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""

    def stop(self, grace_s: float) -> None:
        """End it: SIGTERM, and SIGKILL after so many seconds."""

    def execute(self, words: list[str], timeout_s: float) -> tuple[int, bytes]:
        """Run a command in it and return exit status and output; TimeoutExpired after so long, the command is killed."""


class Served:
    """The process of `servers`."""

    def __init__(self, config: Path, netns: str, run: str, log: Path) -> None:
        """Start it with the behaviours that `config` holds."""
        self._netns = netns
        self._child = start("servers", [netns, str(config)], run=run, log=log)
        self.pid = self._child.pid

    def exited(self) -> int | None:
        """See `Container`."""
        return self._child.poll()

    def stop(self, grace_s: float) -> None:
        """See `Container`."""
        if self._child.poll() is None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_s)
            self._child.kill()
        self._child.wait()

    def execute(self, words: list[str], timeout_s: float) -> tuple[int, bytes]:
        """See `Container`: as a process in the pod's network."""
        return _run(words, timeout_s, self._netns)


def can_run() -> bool:
    """Say whether runc can make containers here."""
    return bool(shutil.which("runc") and shutil.which("busybox") and Path("/sys/fs/cgroup").is_dir())


class Ran:
    """A command in a real container."""

    def __init__(self, name: str, words: list[str], netns: str, run: str, home: Path) -> None:
        """Create and start it; OSError or CalledProcessError where runc does not."""
        self._root, self._name, self._run = home / "runc", name, run
        bundle = home / f"bundle-{name}"
        _bundle(bundle, words, netns, run)
        pid_file = bundle / "pid"
        self._call("run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), name)
        self.pid = int(pid_file.read_text(encoding="ascii"))

    def _call(self, *words: str) -> None:
        subprocess.run(
            ["runc", "--root", str(self._root), *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(self._run),
            timeout=PATIENCE_S,
        )

    def exited(self) -> int | None:
        """See `Container`; how it ended is not known, for it is not our child."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2]
        except OSError:
            return -1
        return -1 if fields[0] in "ZX" else None

    def stop(self, grace_s: float) -> None:
        """See `Container`."""
        with suppress(subprocess.SubprocessError, OSError):
            self._call("kill", self._name, "TERM")
        end = time.monotonic() + grace_s
        while self.exited() is None and time.monotonic() < end:
            time.sleep(_PAUSE_S)
        delete(self._root, self._name)

    def execute(self, words: list[str], timeout_s: float) -> tuple[int, bytes]:
        """See `Container`: `runc exec`; killing that would leave the command alone in the container."""
        with tempfile.NamedTemporaryFile(dir=self._root.parent, prefix="exec-", mode="r", encoding="ascii") as pid_file:
            try:
                return _run(
                    ["runc", "--root", str(self._root), "exec", "--pid-file", pid_file.name, self._name, *words],
                    timeout_s,
                )
            except subprocess.TimeoutExpired:
                with suppress(OSError, ValueError):
                    os.kill(int(Path(pid_file.name).read_text(encoding="ascii")), signal.SIGKILL)
                raise


class Plain:
    """A command as a plain process in the pod's network, where there is no runc."""

    def __init__(self, words: list[str], netns: str, run: str) -> None:
        """Start it; OSError where there is no such program."""
        self._netns = netns
        self._child = inside(
            netns,
            lambda: subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(run),
            ),
        )
        self.pid = self._child.pid

    def exited(self) -> int | None:
        """See `Container`."""
        return self._child.poll()

    def stop(self, grace_s: float) -> None:
        """See `Container`."""
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(grace_s)
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()

    def execute(self, words: list[str], timeout_s: float) -> tuple[int, bytes]:
        """See `Container`: as a process in the pod's network."""
        return _run(words, timeout_s, self._netns)


def _run(words: list[str], timeout_s: float, netns: str | None = None) -> tuple[int, bytes]:
    done = inside(
        netns,
        lambda: subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        ),
    )
    return done.returncode, done.stdout


def delete(root: Path, name: str) -> None:
    """Delete a container of runc, whatever state it is in."""
    with suppress(subprocess.SubprocessError, OSError):
        subprocess.run(
            ["runc", "--root", str(root), "delete", "--force", name],
            check=False,
            capture_output=True,
            timeout=PATIENCE_S,
        )


def _bundle(bundle: Path, words: list[str], netns: str, run: str) -> None:
    """Write an OCI bundle: busybox and nothing else, in the pod's network namespace (opencontainers/runtime-spec config.md)."""
    binaries = bundle / "rootfs" / "bin"
    binaries.mkdir(parents=True)
    for name in ("proc", "dev", "tmp"):
        (bundle / "rootfs" / name).mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, binaries / "busybox")
    for applet in _APPLETS:
        (binaries / applet).symlink_to("busybox")
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": words,
            "cwd": "/",
            "env": ["PATH=/bin", f"{MARK}={run}"],
            "capabilities": {},
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "pod",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {
            "cgroupsPath": f"/probewatch-lab-{bundle.name}",
            "namespaces": [
                {"type": "pid"},
                {"type": "mount"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "network", "path": namespace_path(netns)},
            ],
        },
    }
    (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
