"""Process events of this node: which commands container runtimes run inside containers, as exec probes are run.

Theory of operation. The kernel's process connector (drivers/connector/cn_proc.c) tells every fork, exec and exit over
netlink. Nearly all of it is no business of ours: what counts is a process that *enters* a container from outside. So
three things are remembered while they live: runtimes that were started to run a command (`runc exec`), commands and
first processes of containers, and every process inside a container, whose children are inside too. A process that
executes something inside a container and whose parent is not inside was brought there: by a runtime that we know, or by
one that was too quick. What `/proc` tells is read at the event; a process that is gone by then leaves what its runtime
was told, which is read earlier and is the same.

Each event is a frame (`model.journal`) with number 0: who records or analyses frames numbers it with the others, in the
order of time, and hands it to the same `PcapngWriter.frame` and `Observer.feed`:

    with ProcessSource() as source:
        for frame in source.poll(0.2):
            frame = frame._replace(number=next_number)
            writer.frame(frame)
            observer.feed(frame)

`fileno` is readable when there is something to poll. The first frame of a source says that it watches; without it an
exec probe that nobody runs and one that nobody sees look alike.

The connector is used by hand and not through pyroute2, whose socket makes an object of every event of every thread.

Limitations: root (CAP_NET_ADMIN) in the first pid and user namespace only, which the kernel asks for; what a
hypervisor's runtime (Kata) runs is inside another kernel and not seen. Times are the kernel's own.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from probewatch.capture import proc
from probewatch.capture.errors import CaptureError
from probewatch.capture.runtimes import STAGE_NAME, STAGES, calls_itself, is_runtime, told
from probewatch.model.frame import Frame, Mark
from probewatch.model.journal import journal_frame
from probewatch.model.process import Asked, ProcessEvent, ProcessKind

RECEIVE_BYTES: Final = 8 << 20
"""Room in the kernel for events that wait; more are lost, which is counted and told."""
KEPT_PROCESSES: Final = 65_536
"""Processes whose parent is remembered; beyond that the oldest are forgotten."""
KEPT_CONTAINERS: Final = 4_096
"""Containers whose addresses are remembered, and runtimes of which it is remembered what they were told."""
GENERATIONS: Final = 6
"""Forks between a runtime and the command it runs, at most (runc: three stages)."""
NAMED: Final = 3
"""Processes named above a command: the runtime, and what called it (containerd's shim, conmon)."""
TURN_EVENTS: Final = 4_096
"""Kernel events taken in one poll."""

_CONNECTOR: Final = 11  # NETLINK_CONNECTOR
_GROUP: Final = 1  # CN_IDX_PROC and CN_VAL_PROC
_LISTEN: Final = 1  # PROC_CN_MCAST_LISTEN
_FORK, _EXEC, _EXIT = 1, 2, 0x80000000
_FORCED_RECEIVE: Final = 33  # SO_RCVBUFFORCE
_FIRST: Final = {"pid": 0xEFFFFFFC, "user": 0xEFFFFFFD}
"""Inodes of the first namespaces: linux/proc_ns.h."""
_HEAD: Final = 16 + 20  # struct nlmsghdr, struct cn_msg
_EVENT: Final = struct.Struct("=IIQIIII")
"""struct proc_event: what, cpu, time since boot, then pid and tgid of the process (and of its child, or its status)."""


class ProcessSource:
    """Process events of this node, live."""

    def __init__(self, *, file: int = 0) -> None:
        """Begin to watch.

        Args:
            file: `Frame.file` of its frames.

        Raises:
            CaptureError: the kernel does not let us, with what is missing.
        """
        self._file = file
        self._socket = connected()
        self._own_namespace = proc.own_pid_namespace()
        self._own_net = proc.namespace(os.getpid(), "net")
        self._parents: dict[int, int] = {}
        """Of the processes that were forked since we watch."""
        self._runtimes: dict[int, Asked] = {}
        self._creating: dict[int, str] = {}
        """Runtimes that make a container, by process: its id."""
        self._stages: set[int] = set()
        """Processes of a runtime on its way into a container."""
        self._twice: set[int] = set()
        """Runtimes under way that call themselves before the command."""
        self._entered: set[int] = set()
        """Those of them that were seen to have done so."""
        self._watched: set[int] = set()
        """Commands and first processes, whose end is told."""
        self._inside: set[int] = set()
        self._known: dict[str, tuple[int, tuple[str, ...]]] = {}
        """By container id: inode and addresses of its network namespace."""
        self.lost = 0
        """How often the kernel had no room."""
        self._waiting: list[Frame] = [
            self._frame(ProcessEvent(kind=ProcessKind.BEGAN, host=proc.host_name()), time.time_ns())
        ]
        self._survey()

    def fileno(self) -> int:
        """Return the descriptor that is readable when events wait."""
        return self._socket.fileno()

    def poll(self, timeout_s: float = 0.0) -> list[Frame]:
        """Return what happened since the last call, waiting so long for the first event; oldest first."""
        if not self._waiting:
            select.select([self._socket], [], [], max(timeout_s, 0.0))
        out, self._waiting = self._waiting, []
        out += self._taken()
        return out

    def close(self) -> None:
        """Stop watching."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- from the kernel's events to ours ---

    def _taken(self) -> Iterator[Frame]:
        shift = time.time_ns() - time.monotonic_ns()
        for _ in range(TURN_EVENTS):
            try:
                data, sender = self._socket.recvfrom(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                yield self._frame(ProcessEvent(kind=ProcessKind.LOST, lost=1), time.time_ns())
                continue
            if sender[0] != 0 or len(data) < _HEAD + _EVENT.size:  # only the kernel is believed
                continue
            what, _, ns, pid, tgid, third, fourth = _EVENT.unpack_from(data, _HEAD)
            event = None
            if what == _FORK and third == fourth:  # a process and no thread
                self._forked(tgid, fourth)
            elif what == _EXEC:
                event = self._executed(tgid)
            elif what == _EXIT and pid == tgid:
                event = self._ended(tgid, third)
            if event is not None:
                yield self._frame(event, ns + shift)

    def _frame(self, event: ProcessEvent, ns: int) -> Frame:
        return journal_frame(replace(event, mark=Mark(ns, self._file, 0)))

    def _forked(self, parent: int, child: int) -> None:
        self._parents[child] = parent
        self._runtimes.pop(child, None)  # a number that is used again
        self._creating.pop(child, None)
        if parent in self._inside:
            self._inside.add(child)
        _bound(self._parents, KEPT_PROCESSES)

    def _executed(self, pid: int) -> ProcessEvent | None:
        if pid in self._inside:  # a container's own business: the command of a shell, a worker
            return None
        above = self._above(pid)
        runtime = next((one for one in above if one in self._runtimes), 0)
        creator = next((one for one in above if one in self._creating), 0)
        found = proc.process(pid)
        nested = len(found.pids) > 1 or bool(found.container) or found.pid_namespace not in (0, self._own_namespace)
        stage = self._is_stage(found, runtime)
        if not nested and not stage and is_runtime(found.executable, found.arguments):
            return self._runtime(found)
        if runtime and not stage:
            return self._command(found, runtime)
        if not nested or stage:
            return None
        self._inside.add(pid)
        self._watched.add(pid)
        first = bool(creator) or (len(found.pids) > 1 and found.pids[-1] == 1)
        return self._event(
            ProcessKind.STARTED if first else ProcessKind.EXEC, found, self._creating.get(creator, ""), ()
        )

    def _is_stage(self, found: proc.Process, runtime: int) -> bool:
        """Tell whether a process is a runtime on its way into a container, and not the command yet.

        One that is gone cannot be asked. runc calls itself once before the command (`runc init`), and that one may execute
        itself anew, from a sealed copy (libcontainer/nsenter/cloned_binary.c): the command is another process. Others never do.
        """
        init = len(found.arguments) > 1 and found.arguments[1] in STAGES
        known = found.name.startswith(STAGE_NAME) or (init and is_runtime(found.executable, found.arguments))
        gone = not found.arguments and runtime in self._twice
        if known or (gone and (runtime not in self._entered or found.pid in self._stages)):
            self._entered.add(runtime)
            self._stages.add(found.pid)
            return True
        return False

    def _runtime(self, found: proc.Process) -> ProcessEvent | None:
        """Take note of a runtime; tell of one that is to run a command."""
        said = told(found.arguments, lambda path: proc.file_of(found.pid, path))
        asked = said.asked
        if said.subcommand in ("run", "create") and asked is not None:
            self._creating[found.pid] = asked.container
            _bound(self._creating, KEPT_CONTAINERS)
            return None
        if said.subcommand == "start" and asked is not None:
            return None
        if said.subcommand != "exec" or asked is None:
            return None
        self._runtimes[found.pid] = asked
        self._entered.discard(found.pid)
        if calls_itself(found.executable, found.arguments):
            self._twice.add(found.pid)
        _bound(self._runtimes, KEPT_CONTAINERS)
        self._watched.add(found.pid)
        net, addresses = self._known.get(asked.container, (0, ()))
        return ProcessEvent(
            kind=ProcessKind.RUNTIME,
            pid=found.pid,
            parents=self._names(found.parent),
            name=found.name,
            executable=found.executable,
            arguments=found.arguments,
            asked=asked,
            container=asked.container,
            net_namespace=net,
            addresses=addresses,
        )

    def _command(self, found: proc.Process, runtime: int) -> ProcessEvent:
        """Tell of the command that a runtime brought into its container."""
        self._inside.add(found.pid)
        self._watched.add(found.pid)
        asked = self._runtimes[runtime]
        return self._event(ProcessKind.EXEC, found, asked.container, asked.arguments, runtime=runtime)

    def _event(
        self, kind: ProcessKind, found: proc.Process, container: str, command: tuple[str, ...], *, runtime: int = 0
    ) -> ProcessEvent:
        container = container or found.container
        net, addresses = self._network(container, found)
        return ProcessEvent(
            kind=kind,
            pid=found.pid,
            runtime=runtime,
            parents=self._names(runtime or found.parent),
            name=found.name,
            executable=found.executable,
            arguments=found.arguments or command,
            cgroup=found.cgroup,
            container=container,
            pod_uid=found.pod_uid,
            pids=found.pids,
            net_namespace=net,
            addresses=addresses,
        )

    def _ended(self, pid: int, status: int) -> ProcessEvent | None:
        self._parents.pop(pid, None)
        self._inside.discard(pid)
        self._stages.discard(pid)
        if pid not in self._watched:
            return None
        # What a runtime was told is kept: its end may be told before its command's beginning, and a container is
        # started long after the runtime that made it has gone.
        self._watched.discard(pid)
        self._twice.discard(pid)
        self._entered.discard(pid)
        code, signal = proc.wait_status(status)
        return ProcessEvent(kind=ProcessKind.EXIT, pid=pid, exit_code=code, signal=signal)

    # --- what is around a process ---

    def _survey(self) -> None:
        """Look once at the processes that are there already: who is inside a container, and where containers live."""
        for pid in proc.processes():
            found = proc.process(pid)
            if found.container or len(found.pids) > 1 or found.pid_namespace not in (0, self._own_namespace):
                self._inside.add(pid)
                if found.container:
                    self._network(found.container, found)

    def _network(self, container: str, found: proc.Process) -> tuple[int, tuple[str, ...]]:
        """Return inode and addresses of a process's network namespace, or what is remembered of its container's."""
        if not found.net_namespace:
            return self._known.get(container, (0, ()))
        if found.net_namespace == self._own_net:
            return found.net_namespace, ()
        known = self._known.get(container)
        if known is not None and known[0] == found.net_namespace and known[1]:
            return known
        here = found.net_namespace, proc.addresses(found.pid)
        if container and (container in self._known or len(self._known) < KEPT_CONTAINERS):
            self._known[container] = here
        return here

    def _above(self, pid: int) -> list[int]:
        """Return the processes above one, the nearest first, as far as their forks were seen; of others /proc tells."""
        out: list[int] = []
        while len(out) < GENERATIONS:
            parent = self._parents.get(pid) or (proc.parent_of(pid) if not out else 0)
            if not parent:
                break
            out.append(parent)
            pid = parent
        return out

    def _names(self, pid: int) -> tuple[str, ...]:
        """Return the names of a process and of those above it."""
        out: list[str] = []
        while pid > 1 and len(out) < NAMED:
            name = proc.name_of(pid)
            if not name:
                break
            out.append(name)
            pid = self._parents.get(pid) or proc.parent_of(pid)
        return tuple(out)


def _bound(kept: dict[int, Any], most: int) -> None:
    """Forget the oldest entry where there are too many."""
    if len(kept) > most:
        del kept[next(iter(kept))]


def connected() -> socket.socket:
    """Return a socket that is subscribed to the process connector."""
    # The kernel says nothing to those whom it does not tell (cn_proc_mcast_ctl).
    if any(proc.namespace(os.getpid(), kind) not in (0, first) for kind, first in _FIRST.items()):
        raise CaptureError(
            "process events", "are told in the node's own pid and user namespace only (in a container: with hostPID)"
        )
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _CONNECTOR)
    except OSError:
        raise CaptureError("process events", "are not offered by this kernel (CONFIG_PROC_EVENTS)") from None
    try:
        try:
            made.setsockopt(socket.SOL_SOCKET, _FORCED_RECEIVE, RECEIVE_BYTES)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        made.bind((0, _GROUP))
        message = struct.pack("=IIIIHHI", _GROUP, _GROUP, 0, 0, 4, 0, _LISTEN)
        made.send(struct.pack("=IHHII", 16 + len(message), 3, 0, 0, 0) + message)
    except OSError as error:
        made.close()
        if error.errno in (errno.EPERM, errno.EACCES):
            raise CaptureError(
                "process events",
                "are not given to us: this needs the capability CAP_NET_ADMIN in the node's own pid and user namespace "
                "(run it as root, in a container with hostPID)",
            ) from None
        raise CaptureError("process events", f"cannot be had: {(error.strerror or str(error)).lower()}") from None
    made.setblocking(False)
    return made
