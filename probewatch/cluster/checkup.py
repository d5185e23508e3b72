"""What this machine lets probewatch do: `probewatch doctor`. Each check tries the very thing, and leaves nothing behind.

Sources: packet(7), capabilities(7), network_namespaces(7), adjtimex(2).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from probewatch.capture import CaptureError, proc
from probewatch.capture.netns import inside
from probewatch.capture.privilege import lacking
from probewatch.cluster.links import links, of_pod
from probewatch.cluster.names import CONTAINER_LOGS, on_node
from probewatch.cluster.node import MOST_PROCESSES, is_hidden

LIBRARIES: Final = ("cypcap", "pyroute2", "msgspec", "PyYAML", "hpack", "zstandard", "rich", "jinja2")
"""Installed with probewatch."""
EXTRAS: Final = {
    "cryptography": ("tls", "reading HTTPS and gRPC over TLS with keys"),
    "prometheus-client": ("metrics", "writing metrics"),
}
"""Package -> (extra that brings it, what it is for)."""

_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3 = 263, 10, 2
_SO_ATTACH_FILTER: Final = 26
_ALL: Final = 0x0300  # ETH_P_ALL in network order
_UNSYNCHRONISED: Final = 5  # TIME_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that works, or does not."""

    name: str
    works: bool
    found: str
    """What was found, in a clause."""
    needed_for: str = ""
    """What does without it not work; empty where it is of no matter."""
    remedy: str = ""
    """What to install or grant; empty where it works."""
    main: bool = False
    """Whether the main jobs need it: to analyse captures and to watch this node."""


def checkup() -> list[Check]:
    """Return all checks."""
    return [
        _libraries(),
        *_extras(),
        _capabilities(),
        _packets(),
        _filter(),
        _interfaces(),
        _process_events(),
        _namespaces(),
        _pids(),
        _container_names(),
        _crictl(),
        _clock(),
    ]


def _libraries() -> Check:
    missing = [name for name in LIBRARIES if not _version(name)]
    if missing:
        return Check(
            name="libraries",
            works=False,
            found=f"{', '.join(missing)} missing",
            needed_for="captures, specs and the live side",
            remedy="pip install probewatch brings them",
            main=True,
        )
    return Check(
        name="libraries",
        works=True,
        found=", ".join(f"{name} {_version(name)}" for name in ("cypcap", "pyroute2")),
        main=True,
    )


def _extras() -> list[Check]:
    out = []
    for package, (extra, use) in EXTRAS.items():
        found = _version(package)
        out.append(
            Check(
                name=f"extra {extra}",
                works=bool(found),
                found=f"{package} {found}" if found else f"{package} is not installed",
                needed_for=use,
                remedy="" if found else f"pip install {package}",
            )
        )
    return out


def _granted(capabilities: str) -> str:
    """Return what to do where something is refused that takes capabilities: to root nobody says to become root.

    Where they are held it is not for want of them.
    """
    if not set(capabilities.split(", ")) & set(lacking()):
        return f"{capabilities} is held: a user namespace, a seccomp profile or a security module (AppArmor, SELinux, Yama) forbids it"
    if os.geteuid() == 0:
        return f"grant {capabilities}: this root was started without (a container's securityContext, a unit's CapabilityBoundingSet)"
    return f"run as root, or grant {capabilities}"


def _capabilities() -> Check:
    without = lacking()
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    return Check(
        name="capabilities",
        works=not without,
        found=f"{who} with all that is needed" if not without else f"{who} without {', '.join(without)}",
        needed_for="watching this node",
        remedy="" if not without else _granted(", ".join(without)),
    )


def _packets() -> Check:
    def ring() -> str:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, _ALL) as made:
            try:
                made.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            except OSError:
                return "packets can be captured, without TPACKET_V3: more of them are lost under load"
        return "packets can be captured (TPACKET_V3)"

    return _tried("packets", ring, "watch, record and tests that record", _granted("CAP_NET_RAW"), main=True)


def _filter() -> Check:
    def attach() -> str:
        program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0xFFFF))  # ret #65535
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))
        return "filters run in the kernel (BPF)"

    return _tried("filters", attach, "watching beside heavy traffic", "a kernel that has CONFIG_NET", main=True)


def _interfaces() -> Check:
    name, needed_for, remedy = "interfaces", "watch", "start it in the node's network namespace (hostNetwork: true)"
    try:
        found = links()
    except OSError:
        return Check(name=name, works=False, found="not told by the kernel", needed_for=needed_for, remedy=remedy)
    names = [link.name for link in found]
    told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if names == ["lo"] or of_pod(found):
        whose = "nothing but lo is" if names == ["lo"] else f"{told}: a Pod's or container's own are"
        said = f"{whose} in this network namespace: what the node asks other Pods does not pass here"
        return Check(name=name, works=False, found=said, needed_for="watching a node", remedy=remedy)
    return Check(
        name=name, works=True, found=f"{len(names)} in this network namespace: {told}", needed_for=needed_for, main=True
    )


def _process_events() -> Check:
    def listen() -> str:
        from probewatch.capture.processes import connected

        connected().close()
        return "the kernel tells process events"

    return _tried(
        "exec probes",
        listen,
        "exec probes",
        f"{'run' if os.geteuid() == 0 else 'run as root'} in the node's own pid and user namespace (hostPID)",
    )


def _namespaces() -> Check:
    def enter() -> str:
        inside(os.getpid(), lambda: None)
        known = {net for pid in proc.processes() if (net := proc.namespace(pid, "net"))}
        return f"{len(known)} network namespace{'s' if len(known) != 1 else ''} can be seen and entered"

    return _tried("namespaces", enter, "--netns, and the names of pods behind interfaces", _granted("CAP_SYS_ADMIN"))


def _pids() -> Check:
    needed_for = "exec probes, and the names of pods behind interfaces"
    if len(proc.process(os.getpid()).pids) > 1:
        found, remedy = "this is a pid namespace of its own: the node's processes are not here", "hostPID: true"
    elif hidden := sum(map(is_hidden, proc.processes()[:MOST_PROCESSES])):
        few = "one process" if hidden == 1 else f"{hidden} processes"
        found, remedy = f"{few} cannot be looked into", _granted("CAP_SYS_PTRACE")
    else:
        found, remedy = "all can be seen", ""
    return Check(name="node's processes", works=not remedy, found=found, needed_for=needed_for, remedy=remedy)


def _container_names() -> Check:
    place = on_node(CONTAINER_LOGS)
    there = place is not None
    return Check(
        name="container names",
        works=there,
        found=f"{place} is there" if there else f"there is no {CONTAINER_LOGS}: is this a node?",
        needed_for="names of containers without --cluster",
        remedy=""
        if there
        else "hostPID: true with CAP_SYS_PTRACE, or the node's /var/log mounted read-only; or give --cluster",
    )


def _crictl() -> Check:
    program = shutil.which("crictl")
    return Check(
        name="crictl",
        works=program is not None,
        found=program or "not installed",
        needed_for="names of containers where neither logs nor --cluster tell them",
        remedy="" if program else "install cri-tools, or give --cluster",
    )


def _clock() -> Check:
    def ask() -> str:
        libc = ctypes.CDLL(None, use_errno=True)
        state = libc.adjtimex(ctypes.create_string_buffer(512))  # modes 0: nothing is set
        if state < 0 or state == _UNSYNCHRONISED:
            raise OSError(0, "nothing says that it is synchronised")
        return "synchronised"

    return _tried("clock", ask, "comparing times of several nodes", "run chronyd or another NTP client on the node")


def _tried(name: str, work: Callable[[], str], needed_for: str, remedy: str, *, main: bool = False) -> Check:
    try:
        found = work()
    except (CaptureError, OSError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Check(
            name=name, works=False, found=said[:1].lower() + said[1:], needed_for=needed_for, remedy=remedy, main=main
        )
    return Check(name=name, works=True, found=found, needed_for=needed_for, main=main)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
