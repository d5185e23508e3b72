"""The half of the observer that frames go into: they come out as what was said on connections, a turn at a time.

Theory of operation. `Front` carries frames through `wire`, knows time by them, and every `TURN_NS` gives its heir a `Turn`: what
has become complete since the last one, and since when something of each server is still open. What has to stand in between, in the
order of time (a process event, a pause between two files, the first sign of an address), it tells at once. It is told nothing in
turn: which connections are followed, and how, depends on their frames alone. So its heir may be the `Observer`, which is the other
half, or what sends each turn to an observer elsewhere (`probewatch.ahead`); the same comes of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from probewatch.model.connection import Connection, Unresolved
from probewatch.model.exchange import Exchange
from probewatch.model.frame import JOURNAL_ENTRY, Batch, Frame, Mark
from probewatch.model.journal import process_event
from probewatch.model.process import ProcessEvent
from probewatch.model.units import SECOND
from probewatch.wire.exchange import read_exchange
from probewatch.wire.layers import CUT
from probewatch.wire.packets import IcmpError, Neighbour, Segment, Undecoded
from probewatch.wire.peel import Peeler
from probewatch.wire.table import Limits
from probewatch.wire.tcp import Tracker

from .kept import KeptConnections
from .seams import SHORTEST_NS, Seams
from .settings import Settings
from .slim import in_short, slim, slim_exchange
from .tls import Sessions

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog
    from probewatch.wire.fastpath import FastPath

DEFAULT_TIMEOUT_S: Final = 30
"""How long an unfinished connection is waited for where no spec says how patient its checker is."""
TURN_NS: Final = 100_000_000
"""Packet time between two looks at what has become complete."""
HOLE_NS: Final = 60 * SECOND
"""A new file that begins this long after everything before is another piece of time, not the next of a rotated set; ..."""
SHORT_HOLE_NS: Final = 5 * SECOND
"""... or this long, and ..."""
PAUSES: Final = 3
"""... so many times as long as anything paused before, in a time that was no shorter than the hole."""
KEPT_ADDRESSES: Final = 65_536
"""Addresses whose first announcement is remembered."""
KINDS_UNDECODED: Final = 32
"""Reasons why frames could not be decoded that are told; more are not."""


class Questions(NamedTuple):
    """What was asked on a connection that a checker keeps, and answered, since it was last told of."""

    connection: Connection
    asked: Sequence[Exchange]


class Revised(NamedTuple):
    """A newer state of a connection that was told of before, and how to read what was said on it."""

    connection: Connection
    read: Callable[[], Exchange]


Found: TypeAlias = Exchange | Unresolved | Questions | Revised


class Turn(NamedTuple):
    """What frames came to since the last turn."""

    now_ns: int
    """How late it is; where the capture's clock stepped back this goes back, ..."""
    latest_ns: int
    """... and this does not."""
    first_ns: int | None
    """From when on everything was captured; None where nothing was yet."""
    found: Iterable[Found]
    """What has become complete, in that order; to be gone through once, before the next frame."""
    since: Callable[[str], int | None]
    """When (ns) the earliest of what is open to a server began; None where nothing is."""


class End(NamedTuple):
    """What is left when no more frames come."""

    turn: Turn
    key_notes: tuple[str, ...]
    """What the keys that were given could not do."""
    undecoded: tuple[str, ...]
    """Which frames were not decoded, and how many packets their fragments did not make whole."""
    cut_frames: int
    """Of these, how many the snapshot length cut too short."""
    unsent: tuple[tuple[str, str, int, int], ...] = ()
    """(client, server, port, how many) of SYNs that never left their client, as its ICMP errors to itself say."""


class Front(ABC):
    """Takes frames."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        timeouts = [
            spec.timeout_s
            for pod in settings.book.all_pods()
            for container in pod.containers
            for spec in container.probes
        ]
        ripe_ns = (max(timeouts, default=DEFAULT_TIMEOUT_S) + 1) * SECOND
        self._patience_ns = ripe_ns + SECOND
        self._tracker = Tracker(Limits(ripe_age_ns=ripe_ns))
        self._peeler = Peeler()
        self._peel = self._peeler.peel
        self._fast: FastPath | None = None
        self._kept = KeptConnections(self._tracker)
        self._seams = Seams()
        self._files: set[int] = set()
        self._announced: set[str] = set()
        self._undecoded: dict[str, int] = {}
        self._cut_frames = 0
        self._turn_ns = 0
        self._advanced_ns = self._longest_ns = 0
        """When time was let pass last, and the longest pause of all frames so far, to a turn's length."""
        self._now_ns = 0
        self._first_ns: int | None = None
        self._keys: Keylog | None = None
        self._sessions = Sessions()
        self._carried = False
        if settings.keylog is not None:
            self.add_secrets(settings.keylog, carried=False)

    # What an heir is told.

    @abstractmethod
    def turn(self, turn: Turn) -> None:
        """Take what frames came to."""

    @abstractmethod
    def feed_process(self, event: ProcessEvent) -> None:
        """Take a process event, in time order among the frames; `feed` does so with those that are recorded as frames."""

    @abstractmethod
    def announced(self, address: str, ns: int) -> None:
        """Know that an address announced itself, or asked whether it is another's, for the first time."""

    @abstractmethod
    def tested(self, address: str, mark: Mark) -> None:
        """Know that an IPv6 address asked whether it is another's (duplicate address detection): it is tentative."""

    @abstractmethod
    def broken_off(self, last_ns: int) -> None:
        """Know that after this moment nothing was captured: what was open then is cut."""

    @abstractmethod
    def taken_up(self, last_ns: int, next_ns: int) -> None:
        """Know that nothing was captured between these moments: all states are unknown afterwards."""

    # What it is told beside the frames.

    def add_secrets(self, text: bytes, *, carried: bool = True) -> None:
        """Take a key log, as a pcapng may carry one between its frames (`carried`): it opens what is read from now on."""
        from probewatch.wire.decrypt import Keylog  # (needs an extra, and only here)

        self._carried = self._carried or carried
        self._keys = self._keys or Keylog()
        self._keys.add(text)

    def begin(self, ns: int) -> None:
        """Know that everything was captured from this moment on, although the first frame comes later."""
        self._first_ns = ns if self._first_ns is None else min(self._first_ns, ns)

    # Frames.

    def feed(self, frame: Frame) -> None:
        """Take the next frame, in time order."""
        packet, tracker = self._peel(frame), self._tracker
        if packet.__class__ is Segment:
            tracker.segment(packet)
        elif isinstance(packet, Neighbour):
            self._neighbour(packet)
        elif isinstance(packet, IcmpError):
            tracker.icmp(packet)
        elif frame.link_type == JOURNAL_ENTRY:
            event = process_event(frame)
            if event is not None:
                self.feed_process(event)
        elif isinstance(packet, Undecoded):
            what = f"{packet.layer}: {packet.reason}"
            self._cut_frames += packet.reason.startswith(CUT)
            if what in self._undecoded or len(self._undecoded) < KINDS_UNDECODED:
                self._undecoded[what] = self._undecoded.get(what, 0) + 1
        ns = frame.ns
        if frame.file not in self._files:
            self._files.add(frame.file)
            if len(self._files) > 1 and self._is_hole(self._now_ns, ns):
                self._interrupt(self._now_ns, ns)
        if self._first_ns is None or ns < self._first_ns:
            self._first_ns = ns
        if ns > self._now_ns:
            self._now_ns = ns
        if ns >= self._turn_ns or ns < self._turn_ns - 2 * TURN_NS or len(tracker.ready) >= tracker.crowd:
            self.advance(ns)

    def skim(self, batch: Batch) -> None:
        """Take the next frames, decoding only those that tell something new: the same comes of it as of `feed`."""
        if self._fast is None:
            from probewatch.wire.fastpath import FastPath  # (imports numpy, which only large captures need)

            self._fast = FastPath(self._tracker)
        fast, feed, files = self._fast, self.feed, self._files
        fast.until = self._turn_ns
        for item in fast.through(batch):
            if isinstance(item, int):
                self.advance(item)
            else:
                if item.file not in files:  # (else nothing asks before time has come to this frame)
                    self._now_ns = max(self._now_ns, fast.passed_ns)
                feed(item)
            fast.until = self._turn_ns
        self._now_ns = max(self._now_ns, batch.last_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass: what silence completes is told."""
        self._turn_ns = now_ns + TURN_NS
        if self._advanced_ns:
            self._longest_ns = max(self._longest_ns, now_ns - self._advanced_ns)
        self._advanced_ns = now_ns
        self._now_ns = max(self._now_ns, now_ns)
        self._tracker.advance(now_ns)
        found = self._collect(self._tracker.take())
        self.turn(Turn(now_ns, self._now_ns, self._first_ns, found, self._tracker.unripe_since))

    def end(self) -> End:
        """Close everything, and return what is left."""
        found = list(self._collect(self._tracker.finish()))
        turn = Turn(self._now_ns, self._now_ns, self._first_ns, found, self._tracker.unripe_since)
        undecoded = [
            f"{count} frame{'s' if count > 1 else ''} not decoded ({what})" for what, count in self._undecoded.items()
        ]
        if broken := self._peeler.incomplete_datagrams:
            undecoded.append(
                f"{broken} fragmented packet{'s' if broken > 1 else ''} never whole: fragments are missing"
            )
        unsent = tuple((*ends, len(syns)) for ends, syns in self._tracker.stats.unsent.items())
        return End(turn, tuple(self._key_notes()), tuple(undecoded), self._cut_frames, unsent)

    def _is_hole(self, last_ns: int, next_ns: int) -> bool:
        """Tell whether a pause before a new file is no quiet moment of a rotated set: too long for one, or attempts were due in it."""
        pause_ns = next_ns - last_ns
        if pause_ns > HOLE_NS:
            return True
        seen_ns = last_ns - (self._first_ns or last_ns)
        if pause_ns > max(SHORT_HOLE_NS, PAUSES * self._longest_ns) and seen_ns >= pause_ns:
            return True
        if pause_ns < SHORTEST_NS:
            return False
        self.advance(last_ns)  # (what is over is handed on: it is among what was seen)
        return self._seams.missed(last_ns, next_ns, self._tracker.unripe_since)

    def _interrupt(self, last_ns: int, next_ns: int) -> None:
        """Between two files nothing was captured."""
        self._advanced_ns = 0
        self.broken_off(last_ns)
        self.advance(next_ns)
        self._first_ns = next_ns
        self.taken_up(last_ns, next_ns)
        self._seams.forget()

    def _neighbour(self, message: Neighbour) -> None:
        self._tracker.neighbour(message)
        # Only what a new address does by itself counts: probing for a duplicate, or announcing itself. Routine
        # resolution does not.
        if message.request and message.asker == "::":
            self.tested(message.target, message.mark)
        announces = message.asker in ("", "0.0.0.0", "::", message.target)  # noqa: S104
        if announces and message.target not in self._announced and len(self._announced) < KEPT_ADDRESSES:
            self._announced.add(message.target)
            self.announced(message.target, message.mark.ns)

    def _collect(self, items: Sequence[Connection | Unresolved]) -> Iterator[Found]:
        """Yield what the tracker gave out, read."""
        for item in items:
            if isinstance(item, Unresolved):
                yield item
                continue
            if item.rev == 1 and not item.midstream:
                self._seams.note(item.client, item.server, item.server_port, item.start.ns)
            read: Exchange | None = None
            if item.rev > 1:
                asked = self._kept.more(item, self._keys)
            else:
                read = self._read(item)
                if self._keys is not None:
                    self._sessions.note(read)
                asked = self._kept.begin(item, read, self._keys)
            if asked is not None:
                yield Questions(slim(item), asked)
            elif read is not None:
                yield in_short(read)
            else:
                yield Revised(slim(item), partial(self._read, item))

    def _read(self, connection: Connection) -> Exchange:
        """Read what was said, and let go of the bytes: nobody above needs them."""
        return slim_exchange(read_exchange(connection, self._keys))

    def _key_notes(self) -> list[str]:
        """Say what the keys that were given could not do."""
        keys = self._keys
        if keys is None:
            return []
        from probewatch.wire.decrypt import available

        log = "the key log" if not self._carried else "the key log in the capture"
        if self._carried and self.settings.keylog is not None:
            log = "the key log, with that in the capture,"
        return [*keys.notes, *(self._sessions.said(log, len(keys.secrets)) if available() else ())]
