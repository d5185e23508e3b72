"""A capture that grows, a file or a stream, read by a thread so that time goes on while nothing comes.

Theory of operation: the thread hands over what it has decoded whenever the next read may wait. How far time has come the
frames tell; while nothing comes, the latest frame's time and how long ago it came, less LAG_NS: what a program at the
other end may hold back (tcpdump without --immediate-mode: one second) and a network in between. A file that has not grown since
it was opened may have been finished long ago: the clock says nothing of it, and time stands at its last frame.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO, Final

from probewatch.capture.errors import CaptureError
from probewatch.capture.reader import Reader, flat
from probewatch.capture.steps import in_one_time
from probewatch.capture.write import Counts
from probewatch.model.frame import CaptureInfo, Frame, Interface, Loss
from probewatch.model.units import SECOND

LAG_NS: Final = 3 * SECOND
"""How much later than its time a frame may come, relative to the others."""
MOST_AHEAD: Final = 65_536
"""Frames that are read ahead; then reading waits, and whoever writes into a pipe does."""
HANDED: Final = 512
"""Frames handed over at once, at most, while reading does not wait."""


class Follower:
    """One growing capture. `poll` and `drain` are those of `taps.Taps`."""

    def __init__(self, path: str) -> None:
        """Begin to read `path`; `-` is standard input.

        Raises:
            CaptureError: nothing at all can be read of it.
        """
        self.path = path
        self._stop = False
        self._turn = threading.Condition()
        self._ahead: deque[Frame] = deque()
        self._batch: list[Frame] = []
        self._over = False
        self._error: BaseException | None = None
        self._last_ns = 0
        self._grows = False
        self._came = time.monotonic_ns()
        self._notes: list[str] = []
        # A descriptor of our own, unbuffered: a thread that waits in sys.stdin would hold its lock at exit.
        stdin: BinaryIO | None = None
        if path == "-":
            try:
                stdin = os.fdopen(os.dup(0), "rb", buffering=0)
            except OSError:
                raise CaptureError("-", "is closed: pipe a capture into it, such as `tcpdump -U -w - | ...`") from None
        self._opened = threading.Event()
        self._reader: Reader | None = None
        self._secrets: Callable[[bytes], object] | None = None
        self._interfaces: Callable[[Interface], object] | None = None
        self._losses: list[Loss] = []
        self._thread = threading.Thread(target=self._run, args=(stdin,), name="probewatch-follow", daemon=True)

    def on_secret(self, take: Callable[[bytes], object]) -> None:
        """Call `take` with each TLS key log that it carries, before the frames that follow it; to be called before `start`."""
        self._secrets = take

    def on_interface(self, take: Callable[[Interface], object]) -> None:
        """Call `take` with each interface that it describes; to be called before `start`."""
        self._interfaces = take

    def start(self) -> None:
        """Begin to read; `ready` tells when the header has come."""
        self._thread.start()

    def ready(self, timeout_s: float) -> bool:
        """Return whether the header was read, waiting so long for it.

        Raises:
            CaptureError: it is none.
        """
        self._opened.wait(timeout_s)
        if self._error is not None and self._reader is None:
            raise self._error
        return self._reader is not None

    def _run(self, stdin: BinaryIO | None) -> None:
        try:
            reader = Reader(self.path, 0, stdin=stdin, following=self._following)
            if self._secrets is not None:
                reader.on_secret(self._secrets)
            if self._interfaces is not None:
                reader.on_interface(self._interfaces)
            reader.on_loss(self._lost)
            self._reader = reader
            self._opened.set()
            for frame in flat(in_one_time(reader, iter(reader))):
                self._batch.append(frame)
                if len(self._batch) >= HANDED:
                    self._hand_over()
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            self._error = error
        finally:
            self._hand_over()
            if self._reader is not None:
                self._reader.close()
            with self._turn:
                self._over = True
                self._turn.notify_all()
            self._opened.set()

    def _lost(self, loss: Loss) -> None:
        with self._turn:
            self._losses.append(loss)

    def _following(self) -> bool:
        self._hand_over()
        return not self._stop

    def _hand_over(self) -> None:
        if self._batch:
            with self._turn:
                self._turn.wait_for(lambda: len(self._ahead) < MOST_AHEAD or self._stop)
                self._ahead += self._batch
                self._turn.notify_all()
            self._batch = []

    # --- as Taps has it ---

    @property
    def descriptions(self) -> list[Interface]:
        """The interfaces met so far."""
        return list(self.info().interfaces)

    @property
    def began_ns(self) -> int | None:
        """When capturing began, where the capture tells."""
        return self._reader.began_ns if self._reader is not None else None

    @property
    def horizon_ns(self) -> int:
        """The moment before which nothing more is expected."""
        if not self._grows:
            ended_ns = self._reader.ended_ns if self._reader is not None and self.finished else None
            return max(self._last_ns, ended_ns or 0)
        return self._last_ns + time.monotonic_ns() - self._came - LAG_NS

    @property
    def finished(self) -> bool:
        """Whether all of a file was taken that has not grown since it was opened: more may come, but need not."""
        reader = self._reader
        return reader is not None and reader.at_end and not reader.grows and not self._ahead

    @property
    def gone(self) -> str:
        """What became of its name, where that is not the file's any more that is read; else empty."""
        return self._reader.gone if self._reader is not None else ""

    @property
    def ended(self) -> bool:
        """Whether it has been read to its end."""
        return self._over and not self._ahead

    def poll(self, timeout_s: float) -> list[Frame]:
        """Return the next frames, waiting so long for the first."""
        with self._turn:
            self._turn.wait_for(lambda: self._ahead or self._over, timeout=timeout_s)
            frames = [self._ahead.popleft() for _ in range(min(len(self._ahead), HANDED))]
            self._turn.notify_all()
        if self._error is not None and not frames:
            raise self._error
        if frames:
            self._last_ns = max(self._last_ns, frames[-1].ns)
            self._came = time.monotonic_ns()
            # Told with frames, so that what passed before the file grew is not counted.
            self._grows = self._reader is not None and self._reader.grows
        return frames

    def drain(self) -> Iterator[Frame]:
        """Yield what was read."""
        with self._turn:
            self._stop = True
            frames = list(self._ahead)
            self._ahead.clear()
            self._turn.notify_all()
        yield from frames

    def losses(self) -> list[Loss]:
        """Return when frames were lost, as far as the capture told since the last call."""
        with self._turn:
            found, self._losses = self._losses, []
        return found

    def counts(self) -> Counts:
        """Return what is known of losses: nothing before its end."""
        return Counts(received=0, dropped=0)

    def each(self) -> list[Counts | None]:
        """Return what is known of losses at each interface: nothing before its end."""
        return []

    def note(self, sentence: str) -> None:
        """Add a note to `info()` that says why it is not complete."""
        self._notes.append(sentence)

    def info(self) -> CaptureInfo:
        """Return what is known now."""
        if self._reader is None:
            return CaptureInfo(path=self.path, format="", notes=tuple(self._notes), complete=not self._notes)
        info = self._reader.info()
        return replace(info, complete=info.complete and not self._notes, notes=(*info.notes, *self._notes))

    def close(self) -> None:
        """Stop reading; a thread that waits for input ends with the process."""
        self._stop = True
        with self._turn:
            self._turn.notify_all()
