"""Frames that are kept while they are watched: one pcapng file, or a ring of them.

Each file of a ring can be read alone: it says which file it went on from, and that process events were watched.

A file is whole at any moment up to what was flushed. Where it cannot be written on (a full disk), it is cut behind its
last whole block, and what is lost is said. The statistics that say when capturing ended are its end mark: readers know a file
without it as one whose recording was cut off.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import RawIOBase
from pathlib import PurePath
from typing import Final

from probewatch.capture.output import open_output
from probewatch.capture.tally import MAX_FRAME
from probewatch.capture.write import Counts, PcapngWriter
from probewatch.model.frame import JOURNAL_ENTRY, Frame, Interface, Loss, Mark
from probewatch.model.journal import journal_frame, process_event
from probewatch.model.process import ProcessEvent, ProcessKind

_OVERHEAD: Final = 64
"""Bytes that a frame takes in the file beside its data, at most."""
PENDING_BYTES: Final = 1 << 20
"""Bytes after which what waits is written, even if nobody asks for it."""
MOST_FILES: Final = 1_000
"""Files of a ring: all are opened at the beginning, before privileges are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept."""

    size: int | None = None
    """Bytes of a file."""
    seconds: float | None = None
    """Seconds in a file."""
    files: int = 1
    """Of several, the oldest is overwritten; a single one is full."""


class Saver:
    """Writes frames as they come."""

    def __init__(
        self,
        path: str,
        describe: Callable[[], Sequence[Interface]],
        *,
        bounds: Bounds = Bounds(),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open all files.

        Args:
            path: the file, or what the names of a ring's files are made of: `x.pcapng` gives `x-0.pcapng`, `x-1.pcapng`.
            describe: tells the interfaces, in the order of `Frame.interface`.
            bounds: how much is kept.
            steady: the clock of `bounds.seconds`.

        Raises:
            CaptureError: one of them cannot be written.
        """
        self._describe, self._bounds, self._steady = describe, bounds, steady
        self.paths = ring_names(path, bounds.files)
        self._files: list[RawIOBase] = []
        try:
            for name in self.paths:
                self._files.append(open_output(name).detach())
        except BaseException:
            for file in self._files:
                file.close()
            raise
        self.frames = 0
        """Frames that were written, those that were overwritten included, process events not."""
        self.overwritten = 0
        """Those of them whose file of the ring was begun anew."""
        self._begun = [0] * len(self._files)
        """Frames that had been written when each file was begun."""
        self._watched: ProcessEvent | None = None
        self.full = False
        """Whether nothing more is kept."""
        self._lost = self._good = self._kept = 0
        self._why = ""
        self._turn = -1
        self._full_ns: int | None = None
        self._next(time.time_ns())

    def _next(self, began_ns: int) -> None:
        """Begin the next file of the ring."""
        self._turn += 1
        self._began_ns = began_ns
        self._out = self._files[self._turn % len(self._files)]
        place = self._turn % len(self._files)
        if self._turn >= len(self._files):
            self._out.seek(0)
            self._out.truncate()
            self.overwritten = self._begun[(place + 1) % len(self._files)]
        self._begun[place] = self.frames
        self._known = 0
        self._written: list[int] = []
        """Frames of each interface that are in this file ..."""
        self._dropped: list[int] = []
        """... and those that were lost meanwhile."""
        self._size = 0
        self._since = self._steady()
        self._good = 0
        self._pending = io.BytesIO()
        before = PurePath(self.paths[(self._turn - 1) % len(self._files)]).name if self._turn else ""
        self._writer = PcapngWriter(self._pending, comment=f"this recording went on from {before}" if before else "")
        self._introduce()
        if self._turn:
            self.began(began_ns)
        self.flush()

    def began(self, ns: int) -> None:
        """Say that everything since this moment is kept; to be called before the first frame."""
        self._began_ns = ns
        for interface in range(self._known):
            self._writer.lost(interface, ns, 0)

    def _introduce(self) -> None:
        for interface in self._describe()[self._known :]:
            self._writer.interface(
                interface.name, interface.link_type, interface.snaplen or MAX_FRAME, interface.links, interface.host
            )
            self._written.append(0)
            self._dropped.append(0)
            self._known += 1

    @property
    def broken(self) -> str:
        """Why nothing more can be written; empty while it can."""
        return self._why

    def frame(self, frame: Frame) -> None:
        """Keep a frame."""
        if self._why:
            self._lost += 1
            return
        if self.full:
            return
        size = len(frame.data) + _OVERHEAD
        bounds = self._bounds
        if (bounds.size is not None and self._size + size > bounds.size and self._size) or (
            bounds.seconds is not None and self._steady() - self._since >= bounds.seconds
        ):
            if len(self._files) == 1:
                self.full, self._full_ns = True, frame.ns
                return
            self._account(frame.ns)
            self.flush()
            self._next(frame.ns)
            if self._watched is not None:
                self._writer.frame(journal_frame(replace(self._watched, mark=Mark(frame.ns, 0, 0))))
        if frame.interface >= self._known:
            self._introduce()
        self._writer.frame(frame)
        self._size += size
        if frame.link_type == JOURNAL_ENTRY:
            self._note(frame)
        else:
            self.frames += 1
            self._written[frame.interface] += 1
        if self._pending.tell() >= PENDING_BYTES:
            self.flush()

    def lost(self, loss: Loss) -> None:
        """Say that frames were lost, and when; to be called before the frames behind it."""
        if self._why or self.full or not loss.frames:
            return
        if loss.interface >= self._known:
            self._introduce()
        self._writer.lost(loss.interface, loss.begun_ns, self._dropped[loss.interface])
        self._dropped[loss.interface] += loss.frames
        self._writer.lost(loss.interface, loss.ended_ns, self._dropped[loss.interface])

    def _account(self, ended_ns: int, counts: Sequence[Counts | None] = ()) -> None:
        """Say of each interface what is in this file and what was lost, and that it ends then."""
        for interface, written in enumerate(self._written):
            dropped = self._dropped[interface]
            known = counts[interface] if interface < len(counts) and len(self._files) == 1 else None
            known = known or Counts(received=written + dropped, dropped=dropped)
            self._writer.statistics(interface, self._began_ns, ended_ns, known, written=written)

    def _note(self, frame: Frame) -> None:
        """Remember that process events are watched: each file of a ring must say so, for those that are read alone."""
        if self._watched is None:
            event = process_event(frame)
            self._watched = event if event is not None and event.kind is ProcessKind.BEGAN else None

    def flush(self) -> None:
        """Make what was written visible to readers of the file."""
        data = memoryview(self._pending.getbuffer())
        try:
            done = 0
            while done < len(data) and not self._why:
                done += self._out.write(data[done:]) or 0
            self._good += len(data)
            self._kept = self.frames
        except OSError as error:
            self._broken(error)
        finally:
            data.release()
        self._pending.seek(0)
        self._pending.truncate()

    def _broken(self, error: OSError) -> None:
        """Keep nothing more; leave the file at its last whole block."""
        name = self.paths[self._turn % len(self._files)]
        self._why = f"{name} cannot be written any more: {(error.strerror or str(error)).lower()}"
        self._lost += self.frames - self._kept
        self.frames = self._kept
        with suppress(OSError):
            self._out.truncate(self._good)

    def finish(self, counts: Sequence[Counts | None], ended_ns: int) -> list[str]:
        """Write what was lost at each interface, and that nothing came until `ended_ns`; close.

        Returns what there is to say, one sentence each.
        """
        if not self._why:
            self._account(ended_ns if self._full_ns is None else self._full_ns, counts)
            self.flush()
        for file in self._files:
            with suppress(OSError):
                file.close()
        if not self._why:
            return []
        rest = f", and {self._lost} frames after that are not kept" if self._lost else ""
        return [self._why + rest]


def ring_names(path: str, files: int) -> list[str]:
    """Return the names of a ring's files, in the order they are written first."""
    if files == 1:
        return [path]
    whole = PurePath(path)
    digits = len(str(files - 1))
    return [str(whole.with_name(f"{whole.stem}-{n:0{digits}}{whole.suffix}")) for n in range(files)]
