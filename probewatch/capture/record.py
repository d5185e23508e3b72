"""A recording: what passes an interface, written as pcapng while it passes, by a thread.

The file is whole at any moment up to what was flushed, so it can be analysed while it grows; the frames that a timeline
names are those of the file, because both number them alike.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from probewatch.capture.backlog import HOLD_S
from probewatch.capture.errors import CaptureError
from probewatch.capture.live import ANY, Live
from probewatch.capture.output import open_output
from probewatch.capture.tally import MAX_FRAME
from probewatch.capture.write import Counts, PcapngWriter

MAX_RECORDING: Final = 1 << 30
"""Bytes of one recording; capturing ends there and the reader is told."""
_OVERHEAD: Final = 64
"""Bytes that a frame takes in the file beside its data, at most."""
_JOIN_S: Final = 10.0


class Recorder:
    """Records one interface into one file, from the moment it is made until `stop`."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        interface: str = ANY,
        *,
        netns: str | int | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        limit: int = MAX_RECORDING,
    ) -> None:
        """Begin; when this returns, every frame that passes is captured. Arguments are those of `Live`.

        Raises:
            CaptureError: see `Live`; or the file cannot be written.
        """
        self.path = Path(path)
        self.interface = interface
        self.counts: Counts | None = None
        """What was received and lost; known after `stop`."""
        self.notes: tuple[str, ...] = ()
        """Why it ended before `stop`, one sentence each; known after `stop`."""
        self._limit = limit
        self._error: OSError | None = None
        self._started_ns = time.time_ns()
        self._live = Live(interface, netns=netns, filter=filter)
        try:
            self._out = open_output(str(self.path))
            self._writer = PcapngWriter(self._out)
            self._writer.interface(interface, self._live.link_type, MAX_FRAME)
            self._writer.flush()
        except (OSError, CaptureError) as error:
            self._live.close()
            with suppress(OSError, AttributeError):  # its buffer cannot be written either, or it was never opened
                self._out.close()
            raise (self._refused(error) if isinstance(error, OSError) else error) from None
        self._wanted = self._done = 0
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"probewatch-{interface}", daemon=True)
        self._thread.start()

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._writer.frames

    @property
    def running(self) -> bool:
        """Whether it still captures."""
        return self._thread.is_alive()

    def catch_up(self) -> None:
        """Wait until what had passed when this was called is in the file (or nothing more will come)."""
        with self._turn:
            self._wanted += 1
            mine = self._wanted
            self._turn.wait_for(lambda: self._done >= mine or not self._thread.is_alive(), timeout=_JOIN_S)

    def stop(self) -> None:
        """End it: what had passed is written, with counts of what was lost. A second call does nothing.

        Raises:
            CaptureError: the file could not be written to its end.
        """
        self._live.stop()
        self._thread.join(timeout=_JOIN_S)
        if self._error is not None:
            error, self._error = self._error, None
            raise self._refused(error)

    def _refused(self, error: OSError) -> CaptureError:
        return CaptureError(str(self.path), f"cannot be written: {(error.strerror or str(error)).lower()}")

    def _run(self) -> None:
        try:
            with self._out, self._live:
                self._record()
        except OSError as error:
            self._error = error
        finally:
            with self._turn:
                self._done = self._wanted + 1
                self._turn.notify_all()

    def _record(self) -> None:
        live, writer, room = self._live, self._writer, self._limit
        stopping = False
        notes: list[str] = []
        while not (stopping or live.ended) and room > 0:
            stopping, wanted = live.stopping, self._wanted
            for frame in live.drain() if stopping or wanted > self._done else live.poll(HOLD_S):
                room -= len(frame.data) + _OVERHEAD
                if room <= 0:
                    notes.append(f"the recording was full at {self._limit} bytes: what passed later is not in it")
                    break
                writer.frame(frame)
            writer.flush()
            with self._turn:
                self._done = wanted
                self._turn.notify_all()
        self.counts = live.counts() or Counts(received=writer.frames, dropped=0)
        writer.statistics(0, self._started_ns, time.time_ns(), self.counts)
        writer.flush()
        self.notes = (*live.info().notes, *notes)
