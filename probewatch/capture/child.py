"""A forked child that talks with us over one socket, and ends when we do, of whatever cause: its end of the socket then says so."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress


class Child:
    """The child, and our end of the socket."""

    def __init__(self, work: Callable[[socket.socket], object], *, bare: bool = True) -> None:
        """Let it begin; to be made before threads are.

        Args:
            work: called in the child with its end of the socket. It ends with it, whatever is raised, and never sees the signals
                of a terminal.
            bare: whether it is left nothing else that its parent has open.
        """
        self.socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            try:
                self.socket.close()
                _cut_off(theirs, bare=bare)
                work(theirs)
            finally:
                os._exit(0)
        theirs.close()

    def end(self, within_s: float = math.inf) -> None:
        """Close the socket and wait for the child's end; kill it where that takes longer. A second call does nothing."""
        self.socket.close()
        pid, self._pid = self._pid, 0
        until = time.monotonic() + within_s
        with suppress(ChildProcessError):
            while pid and not os.waitpid(pid, os.WNOHANG)[0]:
                if time.monotonic() >= until:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)


def _cut_off(out: socket.socket, *, bare: bool) -> None:
    """Hear no signal of the terminal; `bare`: keep nothing of the parent's but one socket."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not bare:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.closerange(3, out.fileno())
    os.closerange(out.fileno() + 1, 1024)
