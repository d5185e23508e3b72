"""Frames and the captures they come from: what `capture` hands to `wire`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[int64]

Place: TypeAlias = tuple[int, int, int]
"""Where a frame was captured: file, interface, and link type."""

JOURNAL_ENTRY: Final = -9
"""`Frame.link_type` of an entry of a systemd journal (pcapng block type 9), which no LINKTYPE_ value names: a process event."""


class Frame(NamedTuple):
    """One captured packet.

    A NamedTuple and not a dataclass, because millions of them are made.
    """

    ns: int
    """Capture time, nanoseconds since 1970 UTC."""
    file: int
    """Index of its input (file, stream or live source) in the order given."""
    number: int
    """Number in its file, from 1, as Wireshark numbers frames (only packet records count)."""
    interface: int
    """Index of its interface in that input; 0 where the format knows no interfaces."""
    link_type: int
    """LINKTYPE_ value (pcap-linktype(7)), without the FCS bits that share its field in pcap files."""
    data: bytes
    """The bytes that were captured (a frame check sequence already removed where the format declares one)."""
    original_length: int
    """Length on the wire; larger than `len(data)` where a snapshot length cut the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Frames as they stand one behind the other in a buffer, none of them made yet: millions are never needed one by one.

    They are in the order of their times. The columns are arrays of 64 bits of `numpy`, one value a frame.
    """

    places: tuple[Place, ...]
    which: Ints | None
    """Which of these places each was captured at; None where there is one only."""
    data: bytes
    """The buffer."""
    numbers: Ints
    """Their numbers."""
    starts: Ints
    """Where each begins in the buffer."""
    sizes: Ints
    """Captured bytes."""
    originals: Ints
    """Bytes on the wire."""
    times: Ints
    """Capture times, nanoseconds since 1970 UTC."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def first_ns(self) -> int:
        """When the first frame was captured."""
        return int(self.times[0])

    @property
    def last_ns(self) -> int:
        """When the last frame was captured."""
        return int(self.times[-1])

    @property
    def bytes(self) -> int:
        """Bytes of all frames together."""
        return int(self.sizes.sum())

    def made(self, rows: Ints | slice) -> Iterator[Frame]:
        """Make the frames of some rows, in their order."""
        data, places, new = self.data, self.places, tuple.__new__  # (Frame(...) costs twice as much)
        at = repeat(places[0]) if self.which is None else [places[place] for place in self.which[rows].tolist()]
        columns = (self.numbers, self.times, self.starts, self.sizes, self.originals)
        for (file, interface, link_type), number, ns, start, size, original in zip(
            at, *(column[rows].tolist() for column in columns), strict=False
        ):
            yield new(Frame, (ns, file, number, interface, link_type, data[start : start + size], original))

    def __iter__(self) -> Iterator[Frame]:
        return self.made(slice(None))


Part: TypeAlias = Frame | Batch
"""What a reader gives: a run of frames, or a frame that stands alone because something about it is out of the ordinary."""


class Mark(NamedTuple):
    """A moment with its proof: when, and which frame shows it."""

    ns: int
    file: int
    number: int


class Loss(NamedTuple):
    """Frames that were not captured, and between which moments."""

    begun_ns: int
    ended_ns: int
    frames: int = 0
    """How many; 0 where that is not known."""
    interface: int = 0
    """Of its input."""
    clock: bool = False
    """The clock was set: whatever was due may have come or not, for times before and after do not compare."""


@dataclass(frozen=True, slots=True)
class HostLink:
    """An interface of the machine on which was captured."""

    index: int
    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of an input."""

    index: int
    name: str
    """Empty where the format does not tell it."""
    link_type: int
    snaplen: int
    """0 is unlimited."""
    drops: int | None = None
    """Packets the capturing program says it lost here; None where it does not say."""
    drops_timed: int = 0
    """Those of them of which it says when."""
    links: tuple[HostLink, ...] = ()
    """The interfaces of its machine, where the capturing program tells; cooked headers of the second kind hold their index."""
    host: str = ""
    """That machine's name, likewise."""

    def link(self, ifindex: int) -> str:
        """Return the name of the interface with this index in its machine, or nothing."""
        return next((link.name for link in self.links if link.index == ifindex), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureInfo:
    """What is to say of one input after (or while) reading it."""

    path: str
    """As the user gave it; `-` is standard input."""
    format: str
    """`pcap`, `pcap-ns`, `pcapng`, ... ; with `+gzip`, `+bzip2`, `+xz`, `+zstd` where compressed."""
    interfaces: tuple[Interface, ...] = ()
    link_types: tuple[str, ...] = ()
    """Names of the link types seen, without the `LINKTYPE_` or `DLT_` prefix: `EN10MB`, `LINUX_SLL2`, `RAW` ..."""
    frames: int = 0
    first_ns: int | None = None
    """Smallest capture time of its frames."""
    last_ns: int | None = None
    """Largest capture time of its frames."""
    began_ns: int | None = None
    """When capturing began, where the format tells: before its first frame was silence."""
    ended_ns: int | None = None
    """When capturing ended, where the format tells and all frames are there: behind the last of them was silence."""
    shift_ns: int = 0
    """What all its times are moved by, so that its clock agrees with that of another input."""
    complete: bool = True
    """False where the input was cut or corrupt: everything whole before that point was read."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: where it was cut, drops, comments of the file, what could not be decoded."""
