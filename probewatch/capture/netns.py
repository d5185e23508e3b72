"""Network namespaces: run something inside another one, from a thread of its own.

A socket belongs for ever to the namespace of the thread that made it (socket(7), network_namespaces(7)), and setns(2)
moves only the calling thread. So a short-lived thread enters, does the work and ends there: the caller's thread never
leaves its own namespace, whatever happens.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from probewatch.capture.errors import CaptureError, printable

T = TypeVar("T")

NAMED: Final = "/run/netns"
"""Where ip-netns(8) keeps namespaces by name."""
_CLONE_NEWNET: Final = 0x40000000


def namespace_path(netns: str | int) -> str:
    """Return the file of a namespace: of a name under /run/netns, of a path, or of a process by its number."""
    if isinstance(netns, int):
        return f"/proc/{netns}/ns/net"
    return netns if "/" in netns else f"{NAMED}/{netns}"


def namespace_words(netns: str | int) -> str:
    """Return how sentences name it: `network namespace web`, `network namespace of process 4711`."""
    return (
        f"network namespace of process {netns}" if isinstance(netns, int) else f"network namespace {printable(netns)}"
    )


def inside(netns: str | int | None, work: Callable[[], T]) -> T:
    """Return what `work` returns inside a network namespace (None: the caller's own); what it raises is raised here.

    Raises:
        CaptureError: the namespace does not exist or may not be entered.
    """
    if netns is None:
        return work()
    if netns in ("", ".", "..") or (isinstance(netns, str) and "\0" in netns):
        raise CaptureError(
            namespace_words(netns), "is not the name of a network namespace: `ip netns` lists those there are"
        )
    results: list[T] = []
    errors: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            enter(netns)
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (handed to the caller, whatever it is)
            errors.append(error)

    thread = threading.Thread(target=enter_and_work, name="probewatch-netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def enter(netns: str | int) -> None:
    """Move the calling thread, for good; threads and processes that it makes begin there.

    Raises:
        CaptureError: the namespace does not exist or may not be entered.
    """
    words = namespace_words(netns)
    try:
        descriptor = os.open(namespace_path(netns), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CaptureError(words, _not_opened(netns, error)) from None
    try:
        libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
        if libc.setns(descriptor, _CLONE_NEWNET) == 0:
            return
        number = ctypes.get_errno()
    finally:
        os.close(descriptor)
    if number == errno.EPERM:
        raise CaptureError(words, "cannot be entered: this needs the capability CAP_SYS_ADMIN (run it as root)")
    if number == errno.EINVAL:
        raise CaptureError(
            words, "cannot be entered: it is not a network namespace; `ip netns` lists those with a name"
        )
    raise CaptureError(words, f"cannot be entered: {os.strerror(number).lower()}")


def _not_opened(netns: str | int, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "cannot be opened: this needs the capability CAP_SYS_ADMIN (run it as root)"
    if error.errno in (errno.ENOENT, errno.ESRCH, errno.ENOTDIR):
        if isinstance(netns, int):
            return "does not exist: there is no such process"
        return "does not exist" if "/" in netns else f"does not exist under {NAMED}: `ip netns` lists those there are"
    return f"cannot be opened: {(error.strerror or str(error)).lower()}"
