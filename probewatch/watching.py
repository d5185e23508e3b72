"""Frames as they come, into an observer (`Watch`) or into files (`Keep`).

The observer is the same as offline and fed in the same order; its timers run on packet time and, where nothing comes, on
the clock. So what `Watch.finish` returns is what `analyze` makes of the same frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from .model.frame import JOURNAL_ENTRY
from .model.units import MS

if TYPE_CHECKING:
    from .capture.save import Saver
    from .capture.write import Counts
    from .model.frame import CaptureInfo, Frame, Interface, Loss
    from .model.timeline import Timeline
    from .observer import Observer

TURN_S: Final = 0.1
"""Seconds that a turn waits for frames, at most."""
TURN_NS: Final = 100 * MS
"""Time without a frame after which it is let pass: the observer has its own turns as often."""


class Feed(Protocol):
    """Where frames come from: `capture.taps.Taps`, `capture.follow.Follower`."""

    @property
    def descriptions(self) -> list[Interface]:
        """The interfaces, in the order of `Frame.interface`."""

    @property
    def began_ns(self) -> int | None:
        """When capturing began, if that is known: what passed since then is seen."""

    @property
    def horizon_ns(self) -> int:
        """The moment before which nothing more will come."""

    @property
    def ended(self) -> bool:
        """Whether no frame will come."""

    def poll(self, timeout_s: float) -> list[Frame]:
        """Return the next frames in the order of time, waiting so long for the first."""

    def losses(self) -> list[Loss]:
        """Return when frames were lost, as far as that became known since the last call, in the order of time."""

    def drain(self) -> Iterator[Frame]:
        """Yield what had passed when this was called."""

    def counts(self) -> Counts:
        """Return what was received and lost so far, at all interfaces together."""

    def each(self) -> list[Counts | None]:
        """Return what was received and lost at each interface, as far as that is known."""

    def note(self, sentence: str) -> None:
        """Add a note to `info()` that says why it is not complete."""

    def info(self) -> CaptureInfo:
        """Return what is known now."""

    def close(self) -> None:
        """Let go of it."""


class Watch:
    """One watch, in turns."""

    def __init__(
        self,
        feed: Feed,
        observer: Observer,
        *,
        matches: Callable[[Frame], bool] | None = None,
        saver: Saver | None = None,
        most: int | None = None,
    ) -> None:
        """Make it ready.

        Args:
            feed: where frames come from; closed by `finish`.
            observer: what is made of them.
            matches: which frames are looked at; all if None.
            saver: where frames are kept.
            most: frames after which it is over.
        """
        self.feed, self.observer = feed, observer
        self._matches, self._saver, self._left = matches, saver, most
        self.frames = 0
        """Frames looked at, process events not."""
        self._number = 0
        """Those with them: how a file numbers them."""
        self._lost: list[Loss] = []
        """Losses that lie behind what was fed."""
        self.now_ns = 0
        """How far time has come."""

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.feed.ended or (self._left is not None and self.frames >= self._left)

    def turn(self, timeout_s: float = TURN_S) -> None:
        """Take what has come, or let time pass."""
        self._take(self.feed.poll(timeout_s))
        if self.feed.horizon_ns - self.now_ns >= TURN_NS:  # (else frames see to it)
            self._pass()

    def _pass(self) -> None:
        """Let time pass as far as it is known to have come, unless frames since the last one were left out."""
        horizon = self.feed.horizon_ns
        while self._lost and self._lost[0].ended_ns <= horizon:  # (silence in it is none)
            self._lose(self._lost.pop(0))
        if horizon > self.now_ns and self._number and (self._left is None or self.frames < self._left):
            self.now_ns = horizon
            self.observer.advance(horizon)

    def _take(self, frames: Iterable[Frame]) -> None:
        lost = self._lost
        lost += self.feed.losses()
        for frame in frames:
            if not self._number and self.feed.began_ns is not None:
                self.observer.begin(self.feed.began_ns)
                if self._saver is not None:
                    self._saver.began(self.feed.began_ns)
            while lost and lost[0].ended_ns <= frame.ns:
                self._lose(lost.pop(0))
            if self._matches is not None and not self._matches(frame):
                continue
            if self._left is not None and self.frames >= self._left:
                break
            self.frames += frame.link_type != JOURNAL_ENTRY
            self._number += 1
            if self._saver is not None:
                if frame.number != self._number:
                    frame = frame._replace(number=self._number)  # as the file has it
                self._saver.frame(frame)
            self.observer.feed(frame)
            if frame.ns > self.now_ns:
                self.now_ns = frame.ns
        if self._saver is not None:
            self._saver.flush()

    def _lose(self, loss: Loss) -> None:
        self.observer.lost(loss.begun_ns, loss.ended_ns, clock=loss.clock)
        if self._saver is not None:
            self._saver.lost(loss)

    def settle(self) -> None:
        """Take what had passed when this was called; only `finish` may follow."""
        self._take(self.feed.drain())
        for loss in [*self._lost, *self.feed.losses()]:
            self._lose(loss)
        self._lost.clear()
        self._pass()
        self.observer.settle()

    def finish(self) -> Timeline:
        """Return the timeline of everything, after `settle`; feed and saver are closed."""
        self._save()
        info = self.feed.info()
        self.feed.close()
        return self.observer.finish([info])

    def _save(self) -> None:
        saver, self._saver = self._saver, None
        if saver is not None:
            for note in saver.finish(self.feed.each(), self.now_ns):
                self.feed.note(note)

    def close(self) -> None:
        """End without a timeline; what was kept is whole. After `finish` it does nothing."""
        self._save()
        self.feed.close()


class Keep:
    """One recording, in turns."""

    def __init__(
        self, feed: Feed, saver: Saver, *, trim: Callable[[Frame], Frame] | None = None, most: int | None = None
    ) -> None:
        """Make it ready.

        Args:
            feed: where frames come from; closed by `finish`.
            saver: where they go.
            trim: what is done to each before.
            most: frames after which it is over.
        """
        self.feed = feed
        self._saver, self._trim, self._left = saver, trim, most
        self._lost: list[Loss] = []
        self._now_ns = 0

    @property
    def frames(self) -> int:
        """Frames kept, those that were overwritten included."""
        return self._saver.frames

    @property
    def overwritten(self) -> int:
        """Those of them that a ring has no room for any more."""
        return self._saver.overwritten

    @property
    def over(self) -> bool:
        """Whether nothing more will be kept."""
        full = self._saver.full or bool(self._saver.broken)
        return self.feed.ended or full or (self._left is not None and self.frames >= self._left)

    def turn(self, timeout_s: float = TURN_S) -> None:
        """Keep what has come."""
        self._take(self.feed.poll(timeout_s))

    def _take(self, frames: Iterable[Frame]) -> None:
        lost = self._lost
        lost += self.feed.losses()
        for frame in frames:
            if self._left is not None and self.frames >= self._left:
                break
            if not self._now_ns and self.feed.began_ns is not None:
                self._saver.began(self.feed.began_ns)
            while lost and lost[0].ended_ns <= frame.ns:
                self._saver.lost(lost.pop(0))
            self._saver.frame(frame if self._trim is None else self._trim(frame))
            self._now_ns = max(self._now_ns, frame.ns)
        self._saver.flush()

    def finish(self) -> CaptureInfo:
        """Keep what had passed; return what there is to say. Feed and files are closed; a second call changes nothing."""
        self._take(self.feed.drain())
        for loss in [*self._lost, *self.feed.losses()]:
            self._saver.lost(loss)
        if not (self._left is not None and self.frames >= self._left):
            self._now_ns = max(self._now_ns, self.feed.horizon_ns)
        for note in self._saver.finish(self.feed.each(), self._now_ns):
            self.feed.note(note)
        info = self.feed.info()
        self.feed.close()
        return info
