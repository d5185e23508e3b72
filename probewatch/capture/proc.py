"""What /proc tells of a process: its command, its container by the cgroup, its namespaces and their addresses.

Every reader takes a process that is gone for what it is, the normal end of a race, and returns nothing then.

Cgroup paths as container runtimes make them (systemd and cgroupfs drivers, cgroup v1 and v2):
`/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope`, `crio-ID.scope`,
`/kubepods/besteffort/podUID/ID`. `crio-conmon-ID.scope` is CRI-O's monitor, which runs on the node.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 64 << 10
"""Bytes read of one file under /proc; a longer command line is cut there."""
MOST_ARGUMENTS: Final = 256
"""Arguments kept of one command."""
MOST_ADDRESSES: Final = 16
"""Addresses kept of one network namespace."""

_POD: Final = re.compile(
    r"(?:^|[/-])pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})"
)
_CONTAINER: Final = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_MONITOR: Final = re.compile(r"conmon-[0-9a-f]{64}")
_LOCAL: Final = re.compile(r"/32 host LOCAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, as far as it could be read."""

    pid: int
    name: str = ""
    executable: str = ""
    arguments: tuple[str, ...] = ()
    cgroup: str = ""
    container: str = ""
    pod_uid: str = ""
    pids: tuple[int, ...] = ()
    parent: int = 0
    net_namespace: int = 0
    pid_namespace: int = 0


def read(pid: int | str, path: str) -> bytes:
    """Return a file of a process, its first MOST_BYTES; empty where there is none any more."""
    try:
        file = os.open(f"/proc/{pid}/{path}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, MOST_BYTES)
    except OSError:
        return b""
    finally:
        os.close(file)


def arguments(pid: int) -> tuple[str, ...]:
    """Return a process's command line; empty for a kernel thread and for one that is gone."""
    raw = read(pid, "cmdline")
    parts = raw[:-1].split(b"\0") if raw.endswith(b"\0") else raw.split(b"\0")
    return tuple(part.decode("utf-8", "replace") for part in parts[:MOST_ARGUMENTS]) if raw else ()


def name_of(pid: int) -> str:
    """Return the kernel's name of a process."""
    return read(pid, "comm").decode("utf-8", "replace").strip()


def parent_of(pid: int) -> int:
    """Return a process's parent, 0 where it has none or is gone."""
    # The name stands in brackets and may hold anything, brackets too.
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0


def link_of(pid: int, name: str) -> str:
    """Return what a link of a process points to."""
    try:
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115  (half the time of Path's)
    except OSError:
        return ""


def namespace(pid: int, kind: str) -> int:
    """Return the inode of a process's namespace (`net`, `pid`, `mnt`); 0 where it cannot be read."""
    return namespace_of(f"/proc/{pid}/ns/{kind}")


def namespace_of(path: str) -> int:
    """Return the inode of the namespace that a link under /proc names; 0 where it cannot be read."""
    try:
        inode = os.readlink(path).rpartition("[")[2].rstrip("]")  # noqa: PTH115
    except OSError:
        return 0
    return int(inode) if inode.isdigit() else 0


def inode(path: str) -> int:
    """Return the inode of a file, that of the namespace for one under /run/netns; 0 where there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116
    except OSError:
        return 0


def cgroup_of(text: str) -> tuple[str, str, str]:
    """Return (path, container id, Pod uid) that a /proc/PID/cgroup tells, empty where it does not.

    The first line that names a container counts; in the hybrid hierarchy several lines tell the same.
    """
    best = ("", "", "")
    for line in text.splitlines():
        path = line.split(":", 2)[-1]
        pod = _POD.search(path)
        found = _CONTAINER.findall(path)
        inside = bool(found) and not _MONITOR.search(path)
        uid = pod[1].replace("_", "-") if pod else ""
        if inside:
            return path, found[-1], uid
        if not best[0] or (uid and not best[2]):
            best = (path, "", uid) if path != "/" else best
    return best


def process(pid: int) -> Process:
    """Read a process."""
    path, container, uid = cgroup_of(read(pid, "cgroup").decode("utf-8", "replace"))
    pids: tuple[int, ...] = ()
    parent = 0
    for line in read(pid, "status").splitlines():
        if line.startswith(b"NSpid:"):
            pids = tuple(int(part) for part in line.split()[1:] if part.isdigit())
        elif line.startswith(b"PPid:"):
            parent = int(line.split()[1])
    return Process(
        pid=pid,
        name=name_of(pid),
        executable=link_of(pid, "exe"),
        arguments=arguments(pid),
        cgroup=path,
        container=container,
        pod_uid=uid,
        pids=pids,
        parent=parent,
        net_namespace=namespace(pid, "net"),
        pid_namespace=namespace(pid, "pid"),
    )


def processes() -> list[int]:
    """Return the numbers of all processes that are there now."""
    return sorted(int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())


def addresses(pid: int | str) -> tuple[str, ...]:
    """Return the addresses of the network namespace of a process (or `thread-self`), IPv4 first; loopback and link-local ones are left out.

    Read from /proc/PID/net, which needs no entering of the namespace.
    """
    found = [
        *_addresses4(read(pid, "net/fib_trie").decode("ascii", "replace")),
        *_addresses6(read(pid, "net/if_inet6")),
    ]
    return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]


def _addresses4(trie: str) -> list[str]:
    out, last = [], ""
    for line in trie.splitlines():
        if _LOCAL.search(line):
            if last and not last.startswith(("127.", "169.254.")):
                out.append(last)
        elif "|--" in line:
            last = line.split("|--", 1)[1].strip()
    return out


def _addresses6(table: bytes) -> list[str]:
    out = []
    for line in table.decode("ascii", "replace").splitlines():
        fields = line.split()
        if len(fields) >= 4 and fields[3] == "00":  # scope global
            out.append(str(ipaddress.IPv6Address(bytes.fromhex(fields[0]))))
    return out


def own_pid_namespace() -> int:
    """Return the inode of our own pid namespace."""
    return namespace(os.getpid(), "pid")


def host_name() -> str:
    """Return the node's host name."""
    return socket.gethostname()


def file_of(pid: int, path: str) -> bytes:
    """Return a file as a process names it, by its root and working directory; empty where it cannot be read."""
    base = f"/proc/{pid}/root" if path.startswith("/") else f"/proc/{pid}/cwd/"
    try:
        file = os.open(base + path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        return os.read(file, MOST_BYTES) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)


def wait_status(status: int) -> tuple[int | None, int]:
    """Return (exit status, signal) of a wait status; the exit status is None where a signal ended it."""
    signal = status & 0x7F
    return (None, signal) if signal else (status >> 8 & 0xFF, 0)
