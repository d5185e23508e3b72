"""Frames and the captures they come from: what `capture` hands to `wire`."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

_LENGTH: Final = {order: struct.Struct(order + "I").unpack_from for order in "<>"}
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


HEADERS: Final = {1: "12x3s5x4s2x12s8x2s"}
"""What a row of a `Batch` tells of the frame itself, as `struct` writes it, by link type; of other link types it tells nothing.

Ethernet: EtherType with the byte behind it, then of IPv4 fragment, TTL and protocol, addresses with ports, data offset with
flags, all as bytes. So it reads a frame of TCP in IPv4 without options; of any other the fields mean nothing."""

Row: TypeAlias = tuple[Any, ...]
"""The two words of a time, the captured length, and `HEADERS`."""


class Clock(NamedTuple):
    """How the two words of a time are read: ns = high * each_high + low * each_low + offset."""

    each_high: int
    each_low: int
    offset: int = 0

    def ns(self, row: Row) -> int:
        """Return the time of a row, nanoseconds since 1970 UTC."""
        each_high, each_low, offset = self
        ns: int = row[0] * each_high + row[1] * each_low + offset
        return ns


@dataclass(slots=True)
class Batch:
    """Frames as they stand one behind the other in a buffer, none of them made yet: millions are never needed one by one.

    All were captured at one interface, in the order of their times.
    """

    file: int
    first: int
    """Number of the first; the others follow it without a gap."""
    interface: int
    link_type: int
    order: str
    """Byte order of the file, as `struct` writes it."""
    data: bytes
    """The buffer. In the 32 bits in front of each frame stands its original length."""
    rows: list[Row]
    """One for each frame."""
    clock: Clock
    """How their times are read."""
    begin: int
    """Where the first frame begins in `data`."""
    between: int
    """Bytes from the end of a frame to the beginning of the next ..."""
    align: int = 1
    """... where the frame has so many bytes or a multiple; else it is filled up."""
    _starts: list[int] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        return len(self.rows)

    def time(self, index: int) -> int:
        """Return when a frame was captured, nanoseconds since 1970 UTC."""
        return self.clock.ns(self.rows[index])

    @property
    def first_ns(self) -> int:
        """When the first frame was captured."""
        return self.clock.ns(self.rows[0])

    @property
    def last_ns(self) -> int:
        """When the last frame was captured."""
        return self.clock.ns(self.rows[-1])

    def since(self, ns: int) -> int:
        """Return the index of the first frame captured at `ns` or later; the number of frames where there is none."""
        return bisect_left(self.rows, ns, key=self.clock.ns)

    def start(self, index: int) -> int:
        """Return where a frame begins in `data`."""
        if not self._starts:
            sizes: Iterable[int] = map(itemgetter(2), self.rows)
            if self.align > 1:
                sizes = (size + -size % self.align for size in sizes)
            self._starts = list(accumulate(sizes, initial=self.begin))
        return self._starts[index] + index * self.between

    @property
    def bytes(self) -> int:
        """Bytes from the first to the last frame in the buffer."""
        return self.start(len(self.rows) - 1) - self.begin

    def __getitem__(self, index: int) -> Frame:
        start = self.start(index)
        row = self.rows[index]
        return tuple.__new__(  # Frame(...) costs twice as much
            Frame,
            (
                self.clock.ns(row),
                self.file,
                self.first + index,
                self.interface,
                self.link_type,
                self.data[start : start + row[2]],
                _LENGTH[self.order](self.data, start - 4)[0],
            ),
        )

    def __iter__(self) -> Iterator[Frame]:
        return map(self.__getitem__, range(len(self.rows)))


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
    complete: bool = True
    """False where the input was cut or corrupt: everything whole before that point was read."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: where it was cut, drops, comments of the file, what could not be decoded."""
