"""TCP connections as the kubelet opens and closes them.

Sources: pkg/probe/dialer_others.go ProbeDialer (SO_LINGER of 1 s), Go's net.Dialer (TCP_NODELAY, keep-alive after 15 s).
A dial that times out under an HTTP client is not given up (net/http since Go 1.23, getConn): its SYNs go on, and when the
path comes back the handshake is completed and closed at once. `Orphans` keeps such connections.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

Seen = Callable[[dict[str, Any]], None]
"""Takes what is written down of a connection: `remote`, `local`, `dial_us`, `err`."""

_KEEP_ALIVE_S: Final = 15
_TURN_S: Final = 0.05
_WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by peer",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.EADDRNOTAVAIL: "cannot assign requested address",
    errno.EACCES: "permission denied",
    errno.EINVAL: "invalid argument",
    errno.EPIPE: "broken pipe",
}


def go_words(error: OSError) -> str:
    """Return an error as Go's syscall package words it."""
    number = error.errno or 0
    return _WORDS.get(number, os.strerror(number).lower())


def endpoint(address: tuple[Any, ...]) -> str:
    """Return `10.0.0.1:80`, `[fd00::1]:80` (net.JoinHostPort)."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Orphans:
    """Dials that nobody waits for any more."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._running = False

    def adopt(self, sock: socket.socket) -> None:
        """Go on with a dial until it succeeds (it is closed then) or the kernel gives it up."""
        with self._lock:
            self._sockets.append(sock)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="orphans", daemon=True).start()

    def _run(self) -> None:
        """Bounded by the kernel's patience (tcp_syn_retries, about two minutes) for each."""
        while True:
            with self._lock:
                if not self._sockets:
                    self._running = False
                    return
                waiting = {sock.fileno(): sock for sock in self._sockets}
            poll = select.poll()
            for number in waiting:
                poll.register(number, select.POLLOUT)
            for number, _ in poll.poll(_TURN_S * 1000):
                with self._lock:
                    self._sockets.remove(waiting[number])
                waiting[number].close()


class Deadline:
    """A moment until which something may take."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


def dial(host: str, port: int, deadline: Deadline, seen: Seen, orphans: Orphans | None = None) -> socket.socket:
    """Return a connection that was established before the deadline, non-blocking.

    Raises:
        TimeoutError: it was not; with `orphans` its SYNs go on.
        OSError: it was refused, or no packet could leave.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    said: dict[str, Any] = {"remote": endpoint((host, port)), "t": time.time()}
    begun = time.monotonic()
    kept = False
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, _KEEP_ALIVE_S)
        sock.setblocking(False)
        number = sock.connect_ex((host, port))
        if number == errno.EINPROGRESS:
            select.select([], [sock], [], deadline.left())  # poll(2) would round up to a millisecond
            if not deadline.left():
                if orphans is not None:
                    orphans.adopt(sock)
                    kept = True
                raise TimeoutError("i/o timeout")
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))  # noqa: TRY301  (told below, like those of the kernel's calls)
        said["local"] = endpoint(sock.getsockname())
    except OSError as error:
        said["err"] = f"dial tcp {said['remote']}: " + (
            "i/o timeout" if isinstance(error, TimeoutError) and not error.errno else f"connect: {go_words(error)}"
        )
        if not kept:
            sock.close()
        raise
    finally:
        said["dial_us"] = int((time.monotonic() - begun) * 1e6)
        seen(said)
    return sock


def close(sock: socket.socket) -> None:
    """Close as the kubelet does: wait until the FIN is acknowledged, at most a second (SO_LINGER)."""
    with suppress(OSError):
        sock.close()
