"""Captures read ahead: frames and connections in a process of their own, and what comes of them in ours.

Theory of operation. The observer has two halves (`observer.front`): what frames go into, and what makes probes of what was said.
The first is told nothing by the second. So a forked child can do the first: it reads the captures, follows connections and reads
what was said on them, and writes each turn into a socket. We take the turns in their order and do the second half meanwhile. As it
is the same code that takes the same values in the same order, the same comes of it as in one process; a test holds that.

A child that is further ahead than the socket has room for waits: there are never more than two messages of some seconds of
packet time between us. It ends when its captures do, or when it is told to stop (`stop`), and then tells what is left; where we are
gone it ends at once, without a word. It never sees the signals of a terminal: the parent decides.

Limitations: only for programs without threads, which a fork would leave behind half alive; the command line is one. A child
costs what its half needs of memory, beside ours.
"""

from __future__ import annotations

import gc
import pickle
import select
import socket
import struct
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from .capture.child import Child
from .observer.front import End, Found, Front, Revised, Turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .model.frame import CaptureInfo, Interface, Mark
    from .model.process import ProcessEvent
    from .observer import Observer

WORTH: Final = 4 << 20
"""Bytes of captures from which on a second process takes less time than it costs."""
SAID: Final = 64
"""Things that a child says at once."""

_LENGTH: Final = struct.Struct("=Q")
Word = tuple[str, tuple[Any, ...]]
"""What is to be called with what."""


class Scout(Front):
    """The first half, which tells the other by words."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(observer.settings)
        self._said: list[Word] = []
        self._out: socket.socket | None = None

    def say(self, what: str, *values: Any) -> None:
        """Say something."""
        self._said.append((what, values))
        if len(self._said) >= SAID and self._out is not None:
            self.send(self._out)

    def send(self, out: socket.socket) -> None:
        """Send what was said and not yet sent, and from now on the rest."""
        data = pickle.dumps(self._said, pickle.HIGHEST_PROTOCOL)
        self._said, self._out = [], out
        out.sendall(_LENGTH.pack(len(data)))
        out.sendall(data)

    def turn(self, turn: Turn) -> None:
        """Say it."""
        self.say("turn", *_packed(turn), self._tracker.unripe())

    def feed_process(self, event: ProcessEvent) -> None:
        """Say it."""
        self.say("feed_process", event)
        self._now_ns = max(self._now_ns, event.mark.ns)

    def announced(self, address: str, ns: int) -> None:
        """Say it."""
        self.say("announced", address, ns)

    def tested(self, address: str, mark: Mark) -> None:
        """Say it."""
        self.say("tested", address, mark)

    def broken_off(self, last_ns: int) -> None:
        """Say it."""
        self.say("broken_off", last_ns)

    def taken_up(self, last_ns: int, next_ns: int) -> None:
        """Say it."""
        self.say("taken_up", last_ns, next_ns)

    def lost(self, begun_ns: int, ended_ns: int, clock: bool = False) -> None:
        """Say it."""
        self.say("lost", begun_ns, ended_ns, clock)

    def meet_host(self, interface: Interface) -> None:
        """Say it."""
        self.say("meet_host", interface)


def _packed(turn: Turn) -> tuple[Any, ...]:
    """Return a turn as it is sent: what is read only where it is wanted is read."""
    found = [(item.connection, item.read()) if isinstance(item, Revised) else item for item in turn.found]
    return turn.now_ns, turn.latest_ns, turn.first_ns, found


def _unpacked(now_ns: int, latest_ns: int, first_ns: int | None, found: list[Any], since: dict[str, int]) -> Turn:
    return Turn(now_ns, latest_ns, first_ns, [_revised(one) for one in found], since.get)


def _revised(item: Any) -> Found:
    if type(item) is not tuple:
        return item  # type: ignore[no-any-return]
    connection, exchange = item
    return Revised(connection, lambda: exchange)


class Ahead:
    """The child, seen from the parent."""

    def __init__(self, scout: Scout, work: Callable[[Callable[[], bool]], Sequence[CaptureInfo]]) -> None:
        """Let a child begin.

        Args:
            scout: its half; what it has said already goes out first.
            work: called in the child, with a function that tells whether to stop. It feeds the scout, and returns what there is
                to say of the captures.
        """
        gc.freeze()  # (what is there stays shared)
        self._child = Child(lambda out: _read(out, scout, work), bare=False)
        gc.unfreeze()
        self._socket = self._child.socket
        self._words: deque[Word] = deque()
        self.left: tuple[End, list[CaptureInfo]] | None = None
        """What was left at the end, once it has come."""

    def words(self) -> Iterator[Word]:
        """Yield what the child says, up to the end; where that is broken off, the next call goes on.

        Raises:
            Exception: what the child could not go on for.
        """
        while True:
            while self._words:
                what, values = self._words.popleft()
                if what == "end":
                    turn, *rest, infos = values
                    self.left = End(_unpacked(*turn), *rest), infos
                    return
                if what == "failed":
                    raise values[0]
                yield what, ((_unpacked(*values),) if what == "turn" else values)
            if self.left is not None:
                return
            (length,) = _LENGTH.unpack(self._bytes(_LENGTH.size))
            self._words.extend(pickle.loads(self._bytes(length)))  # noqa: S301  (our own child's)

    def _bytes(self, size: int) -> bytearray:
        data = bytearray(size)
        view, have = memoryview(data), 0
        while have < size:
            more = self._socket.recv_into(view[have:])
            if not more:
                raise ChildProcessError(
                    "the process that read the captures has ended, killed from outside or out of memory"
                )
            have += more
        return data

    def stop(self) -> None:
        """Let the child read no further, and tell what is left."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._child.end()


def _read(out: socket.socket, scout: Scout, work: Callable[[Callable[[], bool]], Sequence[CaptureInfo]]) -> None:
    def stopped() -> bool:
        return bool(select.select([out], [], [], 0)[0])

    try:
        scout.send(out)
        infos = list(work(stopped))
        end = scout.end()
        scout.say("end", (*_packed(end.turn), {}), *end[1:], infos)
    except Exception as error:  # noqa: BLE001  (whatever it is, the parent raises it)
        error.add_note(traceback.format_exc())
        scout.say("failed", error)
    scout.send(out)
