"""Give privileges up, once everything that needs them is open.

Theory of operation: root, or its capabilities, is needed to open packet sockets (CAP_NET_RAW) in other namespaces
(CAP_SYS_ADMIN), and never to read from them or to exchange their filter. What process events need for longer stays with a
process that decodes no packet (`apart`). What comes off the wire is hostile and is
decoded by a process that can do nothing with this machine: another user, without groups, without capabilities but those
that are asked for, and without a way to gain any (capabilities(7), PR_SET_NO_NEW_PRIVS).

The system calls of glibc change all threads of a process, capset(2) changes the calling one alone: so this runs before
threads are made, and what is kept is kept by the calling thread and those it makes.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pkgutil
import pwd
import struct
from collections.abc import Collection, Iterable
from typing import Final

from probewatch.capture import proc
from probewatch.capture.errors import CaptureError, printable

NOBODY: Final = "nobody"
CAPABILITIES: Final = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
}
"""linux/capability.h; those that something of ours needs."""

_PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 8, 38, 24
_VERSION_3: Final = 0x20080522
_LAST: Final = 63


def drop(user: str = NOBODY, keep: Collection[str] = ()) -> str:
    """Become another user for good, and keep only these capabilities; return a sentence that says so, empty where nothing was to drop.

    What is imported only when it is needed is imported before: the other user may not be able to read it.

    Raises:
        CaptureError: there is no such user, or the kernel refuses.
    """
    if os.geteuid() != 0 or user == "root":
        return ""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CaptureError(
            "user", f"{printable(user)} does not exist here: -Z names one, or root to stay root"
        ) from None
    import_everything()
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(_LAST + 1):
        if number not in {CAPABILITIES[name] for name in keep}:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused for numbers that this kernel does not know
    _held(libc.prctl(_PR_SET_KEEPCAPS, 1 if keep else 0, 0, 0, 0))
    try:
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except PermissionError:
        raise CaptureError(
            "privileges",
            f"cannot be given up: to become {user} needs the capabilities CAP_SETUID and CAP_SETGID (-Z root stays root)",
        ) from None
    _capset(libc, keep)
    _held(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    kept = f"keeping {', '.join(sorted(keep))} and nothing else" if keep else "without any capability"
    return f"everything is open: from now on it runs as {user}, {kept}"


def _capset(libc: ctypes.CDLL, keep: Collection[str]) -> None:
    """Keep these capabilities, permitted and effective, of the calling thread."""
    bits = sum(1 << CAPABILITIES[name] for name in keep)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("=6I", low, low, 0, high, high, 0))
    _held(libc.capset(header, data))


def _held(result: int) -> None:
    if result:
        raise CaptureError(
            "privileges", f"cannot be given up: {os.strerror(ctypes.get_errno()).lower()} (-Z root keeps them)"
        )


def lacking(wanted: Iterable[str] = CAPABILITIES) -> list[str]:
    """Return those of these capabilities that are not in effect."""
    text = proc.read("self", "status").decode("ascii", "replace")
    line = next((line for line in text.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    held = int(line.split()[1], 16)
    return [name for name in wanted if not held >> CAPABILITIES[name] & 1]


def import_everything() -> None:
    """Import what may be wanted later, our own and others'."""
    for part in ("model", "capture", "wire", "probes", "decisions", "observer", "report"):
        package = importlib.import_module(f"probewatch.{part}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            _import(module.name)
    for name in (
        "hpack",
        "cryptography.hazmat.primitives.ciphers.aead",
        "rich.live",
        "rich.table",
        "cypcap",
        "encodings.idna",
        "encodings.unicode_escape",
    ):
        _import(name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:  # an extra that is not installed
        return
