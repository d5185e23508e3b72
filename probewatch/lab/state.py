"""What a run of the laboratory has made, written down before it is made, so that it can be taken away afterwards.

Theory of operation: each run has a number of its own (six hexadecimal digits) and a directory `ROOT/NUMBER`. Everything it
makes carries the number: network namespaces by name (`pwlab-NUMBER-...`), processes by a variable of their environment
(`MARK`), which their children inherit. So leftovers are found without any list, also those of a run that was killed
between two of its lines; the list of processes with their start times says who owns a run, and whether it lives.

Nothing is made in the host's own network namespace; veth pairs, bridges and tunnels live in the run's namespaces and go
with them.

Limitations: a process that has cleared its environment and left its namespace is not found; none of ours does.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from probewatch.capture.netns import NAMED

from .namespaces import delete as delete_namespace

ROOT: Final = Path("/run/probewatch-lab")
"""Where runs keep their files: gone after a reboot, as namespaces are."""
PREFIX: Final = "pwlab-"
"""What the name of every namespace begins with."""
MARK: Final = "PROBEWATCH_LAB"
"""The environment variable that holds a run's number."""
GRACE_S: Final = 3.0
"""Seconds that processes have to end on SIGTERM before SIGKILL."""
_PAUSE_S: Final = 0.02


class LabError(Exception):
    """The laboratory cannot do it. `str()` is one sentence: what, and what to do."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be taken for another which got its number later."""

    pid: int
    started: int
    """Clock ticks from boot to its start (proc(5), stat field 22)."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return who has this number now; None where nobody has, or only a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return Process.of(self.pid) == self

    def kill(self, number: int) -> None:
        """Send it a signal, if it is still the same."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class State:
    """One run's directory."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.path = ROOT / number

    @classmethod
    def begin(cls, scenario: str) -> Self:
        """Make the directory of a new run, owned by this process.

        Raises:
            LabError: it cannot be made.
        """
        state = cls(secrets.token_hex(3))
        try:
            state.path.mkdir(parents=True, mode=0o755)
        except OSError as error:
            raise LabError(f"{state.path} cannot be made ({(error.strerror or str(error)).lower()})") from None
        me = Process.of(os.getpid())
        state.write("run.json", {"scenario": scenario, "pid": os.getpid(), "started": me.started if me else 0})
        return state

    def namespace(self, name: str) -> str:
        """Return the name of one of its network namespaces."""
        return f"{PREFIX}{self.number}-{name}"

    def write(self, name: str, value: object) -> Path:
        """Write a file of JSON into the directory, whole or not at all."""
        path = self.path / name
        new = path.with_suffix(".new")
        new.write_text(json.dumps(value), encoding="utf-8")
        new.replace(path)
        return path

    def owner(self) -> Process | None:
        """Return the process that made it, if it still runs."""
        try:
            said = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
            made = Process(int(said["pid"]), int(said["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return made if made.alive else None

    def keeps(self) -> None:
        """Let the run go on without its maker (`lab up`)."""
        self.write("run.json", {"scenario": self.scenario(), "pid": 0, "started": 0, "kept": True})

    def scenario(self) -> str:
        """Return which scenario it runs, `?` where that is not known."""
        try:
            return str(json.loads((self.path / "run.json").read_text(encoding="utf-8"))["scenario"])
        except (OSError, ValueError, KeyError, TypeError):
            return "?"

    def processes(self) -> list[Process]:
        """Return the processes that carry its number, but for this one."""
        mark = f"{MARK}={self.number}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark in environment and (process := Process.of(int(entry.name))) is not None:
                found.append(process)
        return found

    def namespaces(self) -> list[str]:
        """Return the names of its network namespaces that exist."""
        try:
            return sorted(
                path.name for path in Path(NAMED).iterdir() if path.name.startswith(f"{PREFIX}{self.number}-")
            )
        except OSError:
            return []

    def remove(self) -> list[str]:
        """Take everything away and return what was there, in words. Bounded; a second call does nothing."""
        done = [f"process {process.pid}" for process in self.processes()]
        self._signal(signal.SIGTERM)
        done += self._delete_containers()  # process 1 of a container does not hear SIGTERM
        self._await_end()
        self._signal(signal.SIGKILL)
        self._await_end()
        for name in self.namespaces():
            delete_namespace(name)
            done.append(f"network namespace {name}")
        if self.path.exists():
            shutil.rmtree(self.path, ignore_errors=True)
            done.append(f"directory {self.path}")
        with suppress(OSError):
            ROOT.rmdir()
        return done

    def _signal(self, number: int) -> None:
        for process in self.processes():
            process.kill(number)

    def _await_end(self) -> None:
        end = time.monotonic() + GRACE_S
        while self.processes() and time.monotonic() < end:
            time.sleep(_PAUSE_S)

    def _delete_containers(self) -> list[str]:
        """Delete what runc remembers of its containers."""
        from .containers import delete

        root = self.path / "runc"
        names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        for name in names:
            delete(root, name)
        return [f"container {name}" for name in names]


def runs() -> list[State]:
    """Return every run that has left something: a directory, or a namespace."""
    numbers = {path.name for path in ROOT.iterdir() if path.is_dir()} if ROOT.is_dir() else set()
    with suppress(OSError):
        numbers |= {path.name.split("-")[1] for path in Path(NAMED).iterdir() if path.name.startswith(PREFIX)}
    return [State(number) for number in sorted(numbers) if number]
