"""Named network namespaces as ip-netns(8) makes them, and netlink sockets in them, without a process for either.

pyroute2's own `netns.create` and `NetNS` fork; a fork of a program with threads and signal handlers would run those
handlers too. So a thread makes the namespace (unshare(2) moves only the calling thread), and a socket that was opened in it
(`capture.netns.inside`) is handed to pyroute2, which would otherwise open one on a thread of its own, in our namespace.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from probewatch.capture.netns import NAMED, inside

_CLONE_NEWNET: Final = 0x40000000
_MS_BIND: Final = 4096
_MNT_DETACH: Final = 2
_NETLINK_ROUTE: Final = 0


def create(name: str) -> None:
    """Make a namespace and its name under /run/netns.

    Raises:
        OSError: it may not be made, or the name is taken.
    """
    path = Path(NAMED) / name
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    errors: list[int] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)  # os.unshare came with Python 3.12
        own = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net".encode()
        if libc.unshare(_CLONE_NEWNET) or libc.mount(own, str(path).encode(), b"none", _MS_BIND, None):
            errors.append(ctypes.get_errno())

    thread = threading.Thread(target=make, name="new-namespace")
    thread.start()
    thread.join()
    if errors:
        with suppress(OSError):
            path.unlink()
        raise OSError(errors[0], os.strerror(errors[0]))


def delete(name: str) -> None:
    """Take the name away; the namespace goes with the last process and socket in it. One made halfway is only a file."""
    path = Path(NAMED) / name
    ctypes.CDLL(None, use_errno=True).umount2(str(path).encode(), _MNT_DETACH)
    with suppress(OSError):
        path.unlink()


@contextmanager
def netlink(name: str) -> Iterator[Any]:
    """Give pyroute2's `IPRoute` of a namespace."""
    from pyroute2 import IPRoute

    opened = inside(name, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_ROUTE))
    with IPRoute(fileno=opened.detach()) as ip:
        yield ip


@contextmanager
def descriptor(name: str) -> Iterator[int]:
    """Give a namespace's file descriptor, to put one end of a veth pair into it."""
    opened = os.open(Path(NAMED) / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
