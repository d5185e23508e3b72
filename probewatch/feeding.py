"""Captures, from their first frame to their end, into whatever takes frames; and what they tell beside them, where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from .model.units import SECOND

if TYPE_CHECKING:
    from .ahead import Scout
    from .capture.reader import Input
    from .model.frame import CaptureInfo, Frame, Loss
    from .observer import Observer

_BATCH: Final = 2048
"""Frames between two looks at what became known ..."""
_PAUSE_NS: Final = SECOND
"""... or packet time, whichever comes first: a quiet stream is told of in time."""


class Feeding:
    """One pass over captures that are open."""

    def __init__(
        self,
        front: Observer | Scout,
        readers: Sequence[Input],
        *,
        matches: Callable[[Frame], bool] | None = None,
        skim: bool = True,
    ) -> None:
        """Read the first frame.

        Args:
            front: what takes the frames.
            readers: the captures.
            matches: which frames are looked at; all if None.
            skim: whether frames that tell nothing new may be passed over.
        """
        from .capture import merged_parts
        from .model.frame import Batch

        self.front = front
        self._readers, self._matches, self._skim = readers, matches, skim
        self._lost: list[Loss] = []
        parts = merged_parts(readers)
        for reader in readers:  # a pcapng may carry TLS secrets, and tell of its machine and of losses
            reader.on_secret(front.add_secrets)
            reader.on_interface(front.meet_host)
            reader.on_loss(self._lost.append)
        first = next(parts, None)
        began = [ns for reader in readers if (ns := reader.info().began_ns) is not None]
        if began:
            front.begin(min(began))
        self._parts = parts if first is None else chain((first,), parts)
        self.base_ns: int | None = None
        """Time of the first frame; None where there is none."""
        if first is not None:
            self.base_ns = first.first_ns if isinstance(first, Batch) else first.ns

    def read(self, tell: Callable[[], bool | None]) -> None:
        """Read to the end, or until `tell`, called now and then, says so."""
        from .model.frame import Batch

        front, matches, lost = self.front, self._matches, self._lost
        count = due_ns = 0
        for part in self._parts:
            if lost:
                self._lose(part.first_ns if isinstance(part, Batch) else part.ns)
            if isinstance(part, Batch):
                if matches is None and self._skim:
                    front.skim(part)
                else:
                    for frame in part:
                        if matches is None or matches(frame):
                            front.feed(frame)
                count += len(part)
                ns = part.last_ns
            else:
                if matches is None or matches(part):
                    front.feed(part)
                count += 1
                ns = part.ns
            if count >= _BATCH or ns >= due_ns:
                count, due_ns = 0, ns + _PAUSE_NS
                if tell():
                    return

    def end(self) -> list[CaptureInfo]:
        """Tell what the captures say of their end; return what there is to say of each."""
        infos = [reader.info() for reader in self._readers]
        self._lose(1 << 63)
        ended_ns = max((info.ended_ns or 0 for info in infos), default=0)
        if ended_ns:
            self.front.advance(ended_ns)
        return infos

    def _lose(self, until_ns: int) -> None:
        """Tell of losses that end before this."""
        ripe = sorted(loss for loss in self._lost if loss.ended_ns <= until_ns)
        for loss in ripe:
            self.front.lost(loss.begun_ns, loss.ended_ns, clock=loss.clock)
            self._lost.remove(loss)
