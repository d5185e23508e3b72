"""Several live interfaces as one capture in the order of time, and what it says of how far time has come.

Theory of operation: each interface says up to when all that the kernel counted has been fetched (`Live.seen_ns`), proven by the
count. Between the moment that a frame is stamped with and its count lies the queue of a processor, LAG_NS long at most.
What lies so far back is the horizon: frames wait until it has passed them and go on in the order of time, as `merge` puts
those of a file; and a timer whose time lies before it may run although no frame has come. When everything was fetched at
the end (`drain`) the horizon is that moment.

The clock of the packets is the system's, which may be set. Where it jumps against the monotonic clock, the account says so. Where it
jumps back, frames are told by the clock as it was before: time never goes back, and what is in step stays so. Which frames were
stamped before is shown by their own jump, or by there being none left.

Limitations: a jump of less than STEP_NS is not told from slewing.
"""

from __future__ import annotations

import select
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

from probewatch.capture.apart import ProcessEvents
from probewatch.capture.live import Live
from probewatch.capture.netns import namespace_path, namespace_words
from probewatch.capture.write import Counts
from probewatch.model.frame import CaptureInfo, Frame, HostLink, Interface, Loss
from probewatch.model.units import MS, SECOND, decimal

LAG_NS: Final = 250 * MS
"""How much later than its time a frame may be counted: another processor stamped it, and had other things to do."""
MOST_WAITING: Final = 65_536
"""Frames that wait for the horizon; of more the first go on."""
STEP_NS: Final = 500 * MS
"""A change of the clock that is told."""
TIMES: Final = "times before and after that do not compare"
LOOK_S: Final = 1.0
"""Seconds between two looks at whether the namespace is still there."""

_time, _number = itemgetter(0), itemgetter(2)


class Taps:
    """What several interfaces of one namespace show."""

    def __init__(
        self,
        interfaces: Sequence[str],
        open_one: Callable[[str], Live],
        netns: str | int | None = None,
        *,
        processes: ProcessEvents | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Open them; `open_one` makes a `Live` of a name. `processes` come beside the packets, and are closed with them.

        Raises:
            CaptureError: one of them cannot be captured from; none stays open.
        """
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._netns, self._processes = netns, processes
        self._events = 0
        self.links: tuple[HostLink, ...] = ()
        """The interfaces of the machine, as far as somebody told: `any` does not."""
        self.host = ""
        """Its name, likewise."""
        self._lives: list[Live] = []
        try:
            for name in interfaces:
                self._lives.append(open_one(name))
        except BaseException:
            self.close()
            raise
        self.path = self._lives[0].path if len(self._lives) == 1 else _path(interfaces, netns)
        self.began_ns: int | None = None
        """When it began."""
        self._open = list(self._lives)
        self._edges = [0] * len(self._lives)
        """Up to when each has shown everything."""
        self._shift_ns = [0] * len(self._lives)
        """How far the clock was set back so far, as each one's frames show it ..."""
        self._due_ns = [0] * len(self._lives)
        """... and how far more they will."""
        self._latest_ns = [0] * len(self._lives)
        """Time of the latest frame of each."""
        self._lag_ns = LAG_NS
        self._waiting: list[Frame] = []
        self._offset_ns = wall_ns() - steady_ns()
        self._notes: list[str] = []
        self._back_ns = 0
        """How far the clock was set back so far."""
        self._steps: list[Loss] = []
        """Between which moments the clock was set, as far as nobody was told."""
        self._gone = ""
        self._frames = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._place = _place(netns)
        self._looked_ns = steady_ns()

    def begin(self) -> None:
        """Begin: what passes from now on is seen. To be called once privileges are dropped."""
        for live in self._lives:
            live.begin()
        self.began_ns = self._wall_ns()

    @property
    def descriptions(self) -> list[Interface]:
        """The interfaces, in the order of `Frame.interface`."""
        return [
            Interface(n, live.interface, live.link_type, 0, links=self.links, host=self.host)
            for n, live in enumerate(self._lives)
        ]

    @property
    def horizon_ns(self) -> int:
        """The moment before which nothing more will come."""
        return min(self._edges) - self._lag_ns

    @property
    def ended(self) -> bool:
        """Whether no frame will come: every interface is gone, or the namespace is."""
        return not self._open or bool(self._gone)

    def poll(self, timeout_s: float) -> list[Frame]:
        """Return the frames that the horizon has passed, waiting so long for the first."""
        if self._open:
            sources: list[Live | ProcessEvents] = [*self._open]
            if self._processes is not None and not self._processes.ended:
                sources.append(self._processes)
            select.select(sources, [], [], max(timeout_s, 0.0))
            self._watch_clock(self._wall_ns())
            self._take_events()
            for live in list(self._open):
                place = self._lives.index(live)
                self._fetch(place)
                if live.ended:
                    self._open.remove(live)
                    if self._open:  # (the last one to go leaves time where it stood)
                        self._edges[place] = 1 << 62
        self._look()
        return self._ready(self.horizon_ns)

    def losses(self) -> list[Loss]:
        """Return between which moments frames were lost, or the clock was set, as far as that became known since the last call."""
        found, self._steps = self._steps, []
        for place, live in enumerate(self._lives):
            found += [loss._replace(interface=place) for loss in live.gaps]
            live.gaps.clear()
        return sorted(found)

    def _take_events(self) -> None:
        """Put what happened to processes beside the frames."""
        processes = self._processes
        if processes is None or processes.ended:
            return
        frames = processes.poll()
        self._events += len(frames)
        self._waiting += frames
        if processes.ended:
            self._notes.append("process events ended before the packets: exec probes after that are not seen")

    def _ready(self, until_ns: int) -> list[Frame]:
        waiting = self._waiting
        waiting.sort(key=_time)
        ready = max(bisect_right(waiting, until_ns, key=_time), len(waiting) - MOST_WAITING)
        out, self._waiting = waiting[:ready], waiting[ready:]
        return self._numbered(out)

    def _numbered(self, frames: list[Frame]) -> list[Frame]:
        """Return frames, which stand in the order of time, with the numbers that a file of them would give, in the order they go out."""
        if not frames:
            return frames
        first, self._frames = self._frames + 1, self._frames + len(frames)
        low, high = frames[0].ns, frames[-1].ns
        self._first_ns = low if self._first_ns is None else min(self._first_ns, low)
        self._last_ns = high if self._last_ns is None else max(self._last_ns, high)
        if list(map(_number, frames)) == list(range(first, self._frames + 1)):
            return frames  # as one interface numbered them
        new = tuple.__new__
        return [
            new(Frame, (ns, file, number, interface, link_type, data, original))
            for number, (ns, file, _, interface, link_type, data, original) in enumerate(frames, first)
        ]

    def drain(self) -> Iterator[Frame]:
        """Yield what had passed when this was called, and what waited: as much at once as ever, for much may have been left behind."""
        due = {place: self._lives[place].catch_up() for place, live in enumerate(self._lives) if live in self._open}
        while due:
            for place, moved in list(due.items()):
                live = self._lives[place]
                if live.taken >= moved or not self._fetch(place):
                    self._edges[place] = live.seen_ns + self._shift_ns[place]
                    del due[place]
            self._take_events()
            yield from self._ready(self.horizon_ns)
        self._lag_ns = 0
        self._take_events()
        yield from self._ready(1 << 62)

    def _fetch(self, place: int) -> list[Frame]:
        """Put what has come at an interface beside what waits, and return it."""
        live = self._lives[place]
        frames = live.poll(0)
        if self._shift_ns[place] or self._due_ns[place]:
            frames = self._in_one_time(place, frames)
        if frames:
            self._latest_ns[place] = frames[-1].ns
        self._waiting += [frame._replace(interface=place) for frame in frames] if place else frames
        self._edges[place] = live.seen_ns + self._shift_ns[place]
        return frames

    def _in_one_time(self, place: int, frames: list[Frame]) -> list[Frame]:
        """Return frames with times by the clock as it was before it was set back."""
        out: list[Frame] = []
        latest_ns = self._latest_ns[place]
        for frame in frames:
            due_ns, ns = self._due_ns[place], frame.ns + self._shift_ns[place]
            if due_ns and latest_ns - ns > due_ns // 2:
                self._shift_ns[place] += due_ns
                self._due_ns[place] = 0
                ns += due_ns
            out.append(frame._replace(ns=ns))
            latest_ns = ns
        if not self._lives[place].behind_ns:  # (all that was stamped before has been fetched)
            self._shift_ns[place] += self._due_ns[place]
            self._due_ns[place] = 0
        return out

    def _watch_clock(self, wall_ns: int) -> None:
        offset = wall_ns - self._steady_ns()
        step, self._offset_ns = offset - self._offset_ns, offset
        if abs(step) < STEP_NS:
            return
        way = "forward" if step > 0 else "back"
        self._notes.append(
            f"the clock was set {way} by {decimal(abs(step) // MS * MS)} s behind frame {self._frames}: "
            + ("what comes behind that is told by the clock as it was before" if step < 0 else TIMES)
        )
        before_ns = wall_ns - step + self._back_ns
        if step < 0:
            self._back_ns -= step
            self._due_ns = [due - step for due in self._due_ns]
        # Whatever was due between the two readings of a clock that was set forward may have come or not: none ever showed them.
        self._steps.append(Loss(before_ns, max(wall_ns + self._back_ns, before_ns + 1), clock=True))

    def _look(self) -> None:
        """See whether the namespace is still there: our socket alone would keep it alive for ever."""
        now = self._steady_ns()
        if self._place is None or now - self._looked_ns < LOOK_S * SECOND:
            return
        self._looked_ns = now
        if _place(self._netns) != self._place:
            assert self._netns is not None
            self._gone = f"the capture ended: {namespace_words(self._netns)} is gone"

    # --- the account ---

    @property
    def events_lost(self) -> int:
        """How often the kernel had no room for process events."""
        return self._processes.lost if self._processes is not None else 0

    @property
    def behind_ns(self) -> int:
        """How old the oldest of what waits to be worked out is."""
        return max((live.behind_ns for live in self._open), default=0)

    def rest(self) -> int:
        """Wait until what has passed is in memory; return how many frames `drain` would give."""
        return len(self._waiting) + sum(live.catch_up() - live.taken for live in self._open)

    def counts(self) -> Counts:
        """Return what was received and lost so far, at all interfaces together."""
        known = [counts for live in self._lives if (counts := live.counts()) is not None]
        lost = [counts.interface_dropped for counts in known if counts.interface_dropped is not None]
        return Counts(
            received=sum(counts.received for counts in known),
            dropped=sum(counts.dropped for counts in known),
            interface_dropped=sum(lost) if lost else None,
        )

    def each(self) -> list[Counts | None]:
        """Return what was received and lost at each interface."""
        return [live.counts() for live in self._lives]

    def note(self, sentence: str) -> None:
        """Add a note to `info()` that says why it is not complete."""
        self._notes.append(sentence)

    def info(self) -> CaptureInfo:
        """Return what is known now; not complete where anything was lost."""
        infos = [live.info() for live in self._lives]
        ended = [note for info in infos if not info.complete for note in info.notes]
        lost = [note for info in infos if info.complete for note in info.notes]
        if self._gone:
            ended.insert(0, self._gone)
        if self.events_lost:
            ended.append(f"the kernel lost process events ({self.events_lost} times)")
        if self._events:
            events = "process event is" if self._events == 1 else "process events are"
            lost.append(f"{self._events} {events} beside the packets")
        counts = self.counts()
        ended_ns = self._last_ns if self.ended else self.horizon_ns
        return CaptureInfo(
            path=self.path,
            format="live",
            interfaces=tuple(
                Interface(n, i.name, i.link_type, i.snaplen, i.drops, i.drops_timed, self.links, self.host)
                for n, info in enumerate(infos)
                for i in info.interfaces
            ),
            link_types=tuple(dict.fromkeys(kind for info in infos for kind in info.link_types)),
            frames=max(self._frames - self._events, 0),
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            began_ns=self.began_ns,
            ended_ns=None if self.began_ns is None else ended_ns,
            complete=not (ended or counts.dropped or self._notes),
            notes=(*ended, *self._notes, *lost),
        )

    def close(self) -> None:
        """Stop capturing."""
        if self._processes is not None:
            self._processes.close()
        for live in self._lives:
            live.close()


def _path(interfaces: Sequence[str], netns: str | int | None) -> str:
    where = f" in {namespace_words(netns)}" if netns is not None else ""
    return f"interfaces {', '.join(interfaces)}{where}"


def _place(netns: str | int | None) -> object:
    """Return what tells a namespace from another one of the same name; None where there is none to look at."""
    if netns is None:
        return None
    try:
        if isinstance(netns, int):
            Path(f"/proc/{netns}").stat()
            return netns
        found = Path(namespace_path(netns)).stat()
    except OSError:
        return "gone"
    return found.st_dev, found.st_ino
