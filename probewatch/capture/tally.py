"""What is learnt about an input while its frames go by: counts, times, drops, notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from probewatch.capture.errors import printable
from probewatch.capture.linktypes import link_type_name
from probewatch.model.frame import CaptureInfo, Interface, Loss
from probewatch.model.units import MS, decimal

MAX_NS: Final = 2**63 - 1
"""Latest capture time, in the year 2262; only hostile or broken files say more. Taken instead of it, with a note."""
MAX_FRAME: Final = 256 * 1024
"""Captured bytes of one frame; libpcap's MAXIMUM_SNAPLEN. A record that claims more is corrupt."""
BATCH: Final = 4096
"""Frames that go out as one batch at most; so many more than their window `merge` may hold back."""
MAX_NOTES: Final = 64
"""Notes kept of one input; how many more there were is said."""
MAX_SECRETS: Final = 8 << 20
"""Bytes of TLS key logs kept of one input."""
MAX_COMMENTS: Final = 1024
"""Comments of frames kept of one input."""

BEFORE_FIRST: Final = MAX_NS + 1
"""`latest` of an input that has not given a frame: greater than any time, so that the first one goes to `odd_time`."""

WORTH_NS: Final = MS
"""Frames that are out of time order by less are not worth a note: several queues of one card do that, and nothing is read from it."""


Order = tuple[int | None, int, int, int]
"""The earliest time, how many frames stood out of order, the first of them, and by how much at most (ns)."""


class Tally:
    """Mutable account of one input. Format readers write it, `info` reads it at any moment."""

    __slots__ = (
        "_clamped", "_late", "_late_first", "_late_most", "_more_notes", "_once", "_secret_bytes", "_stray", "_strays", "_undo", "began_ns",
        "comments", "complete", "ended_ns", "events", "first_ns", "format", "frames", "interfaces", "latest", "left_out", "lost", "notes",
        "on_comment", "on_interface", "on_loss", "on_secret", "path", "secrets", "set_ns", "shift_ns", "timed", "told",
    )  # fmt: skip

    def __init__(self, path: str) -> None:
        self.path = path
        self.format = ""
        self.frames = 0
        """Number of the last frame."""
        self.left_out = 0
        """Numbers that went to something else than packets."""
        self.events = 0
        """Process events among them."""
        self.first_ns: int | None = None
        self.latest = BEFORE_FIRST
        self.complete = True
        self.interfaces: list[Interface] = []
        self.lost: dict[int, int] = {}
        """Frames lost by interface, as its statistics say."""
        self.timed: dict[int, int] = {}
        """Those of them of which it says when."""
        self.began_ns: int | None = None
        """When capturing began, where the format tells it before the first frame."""
        self.ended_ns: int | None = None
        """When capturing ended, where the format tells."""
        self.notes: list[str] = []
        self.secrets: list[bytes] = []
        self.on_secret: Callable[[bytes], object] | None = None
        """Told of each key log from then on."""
        self.on_comment: Callable[[int, str], object] | None = None
        """Told of each frame's comments, before the frame."""
        self.on_loss: Callable[[Loss], object] | None = None
        """Told of each loss whose time is known, before the frames behind it where the input has it there."""
        self.on_interface: Callable[[Interface], object] | None = None
        """Told of each interface."""
        self.comments: list[tuple[int, str]] = []
        self._secret_bytes = 0
        self._more_notes = 0
        self._once: set[str] = set()
        self._late = 0
        self._late_first = 0
        self._late_most = 0
        self._clamped = 0
        self._strays = 0
        self._stray = (0, 0)
        """The first of these: its number, and by how much its time was off."""
        self._undo = self.order()
        self.shift_ns = 0
        """What all its times are moved by."""
        self.set_ns = 0
        """What those from where reading stands on are moved by besides, because its clock was set."""
        self.told: tuple[int, int] | None = None
        """Between which moments its frames are told, where its clock was set and these are not the times in it."""

    def odd_time(self, ns: int, number: int) -> int:
        """Take note of a time that is not at or after all before it; return it, moved into the range of times."""
        if not 0 <= ns <= MAX_NS:
            self._clamped += 1
            ns = 0 if ns < 0 else MAX_NS
        if self.first_ns is None:
            self.first_ns = self.latest = ns
        elif ns < self.latest:
            self._undo = self.order()
            self._late += 1
            self._late_first = self._late_first or number
            self._late_most = max(self._late_most, self.latest - ns)
            self.first_ns = min(self.first_ns, ns)
        else:
            self.latest = ns
        return ns

    def order(self, *, late: bool = False) -> Order:
        """Return how far frames stand in the order of time; as it was before the last one that did not, where that is `late`."""
        return self._undo if late else (self.first_ns, self._late, self._late_first, self._late_most)

    def stray(self, number: int, off_ns: int, order: Order, latest_ns: int) -> None:
        """Take note of a frame whose time is so far off: of those read since, up to `latest_ns`, none is late for it."""
        self.first_ns, self._late, self._late_first, self._late_most = order
        self.latest = latest_ns
        self._stray = self._stray if self._strays else (number, off_ns)
        self._strays += 1

    def note(self, sentence: str) -> None:
        """Keep one sentence."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(sentence)
        else:
            self._more_notes += 1

    def note_once(self, sentence: str) -> None:
        """Keep a sentence that many places may have reason to say."""
        if sentence not in self._once and len(self._once) < MAX_NOTES:
            self._once.add(sentence)
            self.note(sentence)

    def broken(self, sentence: str) -> None:
        """Say why the input ends before its end."""
        self.complete = False
        self.notes.insert(0, sentence)

    def comment(self, number: int, text: str) -> None:
        """Keep a frame's comment, as it is shown; whoever asked is told of it as it stands."""
        if self.on_comment is not None:
            self.on_comment(number, text)
        if len(self.comments) < MAX_COMMENTS:
            self.comments.append((number, printable(text)))
        else:
            self.note_once(f"more than {MAX_COMMENTS} frames carry comments: the others are not kept")

    def interface(self, interface: Interface) -> None:
        """Add an interface."""
        self.interfaces.append(interface)
        if self.on_interface is not None:
            self.on_interface(interface)

    def loss(self, loss: Loss, *, told: bool = False) -> None:
        """Take note of frames that were lost at a time that is known, in the time that frames are told by or that stands in the file.

        Their number is counted in `lost` too, by whoever calls.
        """
        self.timed[loss.interface] = self.timed.get(loss.interface, 0) + loss.frames
        if self.on_loss is not None:
            by_ns = 0 if told else self.shift_ns + self.set_ns
            self.on_loss(loss._replace(begun_ns=loss.begun_ns + by_ns, ended_ns=loss.ended_ns + by_ns))

    def secret(self, data: bytes) -> None:
        """Keep a TLS key log."""
        self._secret_bytes += len(data)
        if self._secret_bytes <= MAX_SECRETS:
            self.secrets.append(data)
            if self.on_secret is not None:
                self.on_secret(data)
        else:
            self.note_once(f"it carries more than {MAX_SECRETS >> 20} MiB of TLS key logs: the rest is not kept")

    def info(self) -> CaptureInfo:
        """Return what is known now."""
        interfaces = tuple(
            i
            if i.index not in self.lost
            else replace(i, drops=self.lost[i.index], drops_timed=min(self.timed.get(i.index, 0), self.lost[i.index]))
            for i in self.interfaces
        )
        first_ns, last_ns = self.told or (self.first_ns, None if self.first_ns is None else self.latest)
        return CaptureInfo(
            path=self.path,
            format=self.format,
            interfaces=interfaces,
            link_types=tuple(dict.fromkeys(link_type_name(i.link_type) for i in interfaces)),
            frames=self.frames - self.left_out,
            first_ns=first_ns,
            last_ns=last_ns,
            began_ns=None if self.began_ns is None else self.began_ns + self.shift_ns,
            ended_ns=None if self.ended_ns is None else self.ended_ns + self.shift_ns + self.set_ns,
            shift_ns=self.shift_ns,
            complete=self.complete,
            notes=tuple(self._all_notes(interfaces)),
        )

    def _all_notes(self, interfaces: tuple[Interface, ...]) -> list[str]:
        notes = list(self.notes)
        if self._late and self._late_most >= WORTH_NS and self.told is None:
            what = f"frame {self._late_first} is" if self._late == 1 else f"{self._late} frames are"
            which = "" if self._late == 1 else f", the first of them frame {self._late_first}"
            notes.append(
                f"{what} out of time order{which}, by {'up to ' * (self._late > 1)}{decimal(self._late_most)} s"
            )
        if self._strays:
            number, off_ns = self._stray
            one = self._strays == 1
            what = "has a wrong time" if one else f"and {self._strays - 1} more have wrong times"
            off = f"{decimal(abs(off_ns))} s too {'late' if off_ns > 0 else 'early'} for those around it"
            notes.append(f"frame {number} {what}, {off}: {'it' if one else 'each'} is told between them")
        if self._clamped:
            notes.append(f"{_count(self._clamped, 'frame has a time', 'frames have times')} outside 1970 to 2262")
        if self.events:
            notes.append(f"{_count(self.events, 'process event is', 'process events are')} recorded beside the packets")
        lossy = [i for i in interfaces if i.drops]
        for i in lossy[:MAX_NOTES]:
            where = f"interface {i.index}" + (f" ({i.name})" if i.name else "")
            notes.append(f"the capturing program lost {_count(i.drops or 0, 'frame', 'frames')} on {where}")
        if self.comments:
            notes.append(f"{_count(len({n for n, _ in self.comments}), 'frame carries', 'frames carry')} comments")
        if self._more_notes:
            notes.append(f"and {self._more_notes} more notes")
        return notes


class Tallied:
    """An input that keeps what is known of it in a tally."""

    _tally: Tally

    def info(self) -> CaptureInfo:
        """Return what is known of it now; it is complete after the last frame."""
        return self._tally.info()

    def on_loss(self, take: Callable[[Loss], object]) -> None:
        """Call `take` with each loss whose time is told or that shows in its frames, from now on."""
        self._tally.on_loss = take

    def note(self, sentence: str) -> None:
        """Add a note to `info()`."""
        self._tally.note_once(sentence)

    def lose(self, loss: Loss) -> None:
        """Tell of a loss that shows in its frames, in the time that these are told by."""
        self._tally.loss(loss, told=True)

    def was_set(self, by_ns: int) -> None:
        """Know that its clock was set forward by so much where reading stands, and that frames are told without that."""
        self._tally.set_ns -= by_ns

    def told(self, first_ns: int, last_ns: int) -> None:
        """Know between which moments its frames are told, where that is not what stands in it."""
        self._tally.told = first_ns, last_ns

    def order(self, *, late: bool) -> Order:
        """Return how far its frames stand in the order of time; before the last one that did not, where that is `late`."""
        return self._tally.order(late=late)

    def stray(self, number: int, off_ns: int, order: Order, latest_ns: int) -> None:
        """Know that the time of a frame is wrong, and that since `order` none that was read, up to `latest_ns`, is late for it."""
        self._tally.stray(number, off_ns, order, latest_ns)


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def read_so_far(number: int) -> str:
    """End of the sentence that says why reading ended."""
    if number == 0:
        return "no frame could be read"
    return "the frame before it was read" if number == 1 else f"the {number} frames before it were read"
