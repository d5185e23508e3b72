"""What the kernel's process events tell of commands run inside containers: exec probes, which send no packet.

A container runtime (`runc exec`, `crun exec`) is started for each command, puts a process into the container's
namespaces and cgroup, and lets it execute the command. `capture.processes` reports that as `ProcessEvent`s, live or out
of a recording; `probes.execs` puts them together to `ExecRun`s. Times are nanoseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .frame import Mark

SIGKILL: Final = 9
NO_MARK: Final = Mark(0, 0, 0)


class ProcessKind(StrEnum):
    """What a process event tells."""

    BEGAN = "began"
    """From here on process events are watched: exec probes of this node would be seen."""
    RUNTIME = "runtime"
    """A container runtime was started to run a command in a container that runs already."""
    EXEC = "exec"
    """The command itself was executed in the container."""
    STARTED = "started"
    """A container's own first process was executed."""
    EXIT = "exit"
    """A process of one of these three ended."""
    LOST = "lost"
    """The kernel had no room for events: what happened meanwhile is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a runtime was told to run."""

    container: str
    """Container id, as the runtime knows it."""
    arguments: tuple[str, ...] = ()
    """Empty where that could not be read."""
    terminal: bool = False
    """A terminal was asked for: somebody's `kubectl exec -it`, and never a probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEvent:
    """One event, with what `/proc` told at that moment: a process that is gone again leaves the rest empty."""

    mark: Mark = NO_MARK
    kind: ProcessKind
    pid: int = 0
    """As the node numbers processes."""
    runtime: int = 0
    """The runtime's process that brought a command into its container; 0 where it is not known."""
    parents: tuple[str, ...] = ()
    """Names of the processes above it, the nearest first: `runc`, `containerd-shim`."""
    name: str = ""
    """The kernel's name of the process (comm), at most 15 bytes."""
    executable: str = ""
    arguments: tuple[str, ...] = ()
    asked: Asked | None = None
    """Of RUNTIME."""
    cgroup: str = ""
    container: str = ""
    """Container id by the cgroup; empty where that does not tell."""
    pod_uid: str = ""
    """Pod uid by the cgroup."""
    pids: tuple[int, ...] = ()
    """Its numbers in the nested pid namespaces, the node's first (NSpid)."""
    net_namespace: int = 0
    """Inode of its network namespace; 0 where unknown."""
    addresses: tuple[str, ...] = ()
    """Addresses of that namespace, loopback and link-local ones left out; empty for the node's own namespace."""
    exit_code: int | None = None
    """Of EXIT; None where a signal ended it."""
    signal: int = 0
    """Signal that ended it, 0 for none."""
    lost: int = 0
    """Of LOST: how often the kernel had no room."""
    host: str = ""
    """Of BEGAN: the node's host name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRun:
    """One command run in a container by its runtime."""

    start: Mark
    """First event of it: the runtime's start, else the command's own."""
    command: Mark | None
    """When the command was executed; None where it never was."""
    end: Mark | None
    """When it ended, or its runtime did where the command never began; None where that was not seen."""
    arguments: tuple[str, ...]
    container: str = ""
    pod_uid: str = ""
    addresses: tuple[str, ...] = ()
    pid: int = 0
    """Of the command; 0 where it never began."""
    parents: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int = 0
    terminal: bool = False
    lost: bool = False
    """Events were lost while it ran."""

    @property
    def started(self) -> bool:
        """Whether the command was executed at all."""
        return self.command is not None

    @property
    def last(self) -> Mark:
        """Return its last event."""
        return self.end or self.command or self.start
