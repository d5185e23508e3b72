"""Process events, read by a process of their own, which keeps the privileges that this takes while ours gives up all.

Theory of operation. What `/proc` tells of other users' processes (the executable, the namespaces, files under the root)
is for those who may trace them: CAP_SYS_PTRACE; what containerd and CRI-O hand to `runc exec --process FILE` is a file
of root's own: CAP_DAC_READ_SEARCH. Who holds these two is as good as root, so the process that decodes what comes off the
wire must not. They stay with a child that is forked before privileges are dropped, sees nothing of the packets, and only
writes frames of process events into a socket. It reads `/proc` at the event, however busy we and the node are, which short
commands need: it goes before others, and has little to do. It ends when we do, of whatever cause: its end of the socket then says so.

Limitations: where `/proc` answers slower than `taps.LAG_NS`, events come behind later frames; readers tell that.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from typing import Final

from probewatch.capture.child import Child
from probewatch.capture.errors import CaptureError
from probewatch.capture.privilege import NOBODY, drop, import_everything
from probewatch.capture.processes import ProcessSource
from probewatch.model.frame import JOURNAL_ENTRY, Frame
from probewatch.model.journal import process_event

NEEDED: Final = ("CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE")
"""What the child keeps, and why: see above."""
START_S: Final = 20.0
"""Seconds that the child may take to begin: it looks at every process once."""
END_S: Final = 2.0
"""Seconds that it may take to end."""
PRIORITY: Final = -15
"""Its nice value: what a command was is gone with it."""
TURN_BYTES: Final = 1 << 20
"""Bytes taken from it at once."""

_RECORD: Final = struct.Struct("=QI")
"""Time and length of an event."""
_READY: Final = b"\0"


class ProcessEvents:
    """Process events of this node, as frames with number 0; like `ProcessSource`, from another process."""

    def __init__(self, *, user: str = NOBODY) -> None:
        """Begin to watch; to be made before privileges are dropped and before threads are.

        Args:
            user: whom the child becomes.

        Raises:
            CaptureError: the kernel does not let us, with what is missing.
        """
        import_everything()  # once for both
        self._child = Child(lambda out: _tell(out, user))
        self._socket = self._child.socket
        self._data = b""
        self.ended = False
        """Whether the child is gone, so that no event will come."""
        self.lost = 0
        """How often the kernel had no room."""
        self._socket.settimeout(START_S)
        try:
            said = self._socket.recv(4096)
        except TimeoutError:
            said = b"do not come"
        if said[:1] != _READY:
            self.close()
            raise CaptureError("process events", said.decode("utf-8", "replace") or "do not come")
        self._data = said[1:]
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when events wait."""
        return self._socket.fileno()

    def poll(self) -> list[Frame]:
        """Return what has come since the last call."""
        taken = 0
        while not self.ended and taken < TURN_BYTES:
            try:
                data = self._socket.recv(TURN_BYTES)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self.ended = not data
            self._data += data
            taken += len(data)
        return self._whole()

    def _whole(self) -> list[Frame]:
        """Return the frames that have come to their end."""
        frames: list[Frame] = []
        data, at = self._data, 0
        while len(data) - at >= _RECORD.size:
            ns, length = _RECORD.unpack_from(data, at)
            begin = at + _RECORD.size
            if len(data) < begin + length:
                break
            at = begin + length
            frame = Frame(ns, 0, 0, 0, JOURNAL_ENTRY, data[begin:at], length)
            event = process_event(frame)
            self.lost += event.lost if event is not None else 0
            frames.append(frame)
        self._data = data[at:]
        return frames

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        self._child.end(END_S)


def _tell(out: socket.socket, user: str) -> None:
    """Hand on events until nobody takes them."""
    try:
        source = ProcessSource()
        with suppress(OSError):  # (a container may not)
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        drop(user, NEEDED)
    except CaptureError as error:
        out.sendall(str(error).removeprefix("process events ").encode())
        return
    out.sendall(_READY)
    while True:
        sources: list[ProcessSource | socket.socket] = [source, out]
        ready, _, _ = select.select(sources, [], [])
        if out in ready:  # nothing is ever said to us: it is the end
            return
        for frame in source.poll():
            out.sendall(_RECORD.pack(frame.ns, len(frame.data)) + frame.data)
