"""Frames and the captures they come from: what `capture` hands to `wire`."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
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


HEADERS: Final = {1: "12x3sx2s2x2sxs2x12s8x2s"}
"""What a row of a `Batch` tells of a frame itself, as `struct` writes it, by link type; others tell nothing.

Ethernet: EtherType with the byte behind it, total length, fragment word, protocol, addresses with ports, data offset with
flags, all as bytes. So it reads a frame of IPv4 without options and TCP; of any other the fields mean nothing."""


class Clock(NamedTuple):
    """How the two words of a record's time are read: ns = high * each_high + low * each_low + offset."""

    each_high: int
    each_low: int
    offset: int = 0

    def ns(self, row: Row, at: int) -> int:
        """Return the time in a row of a `Batch` whose captured length stands at index `at`."""
        ns: int = row[at - 2] * self.each_high + row[at - 1] * self.each_low + self.offset
        return ns


class Batch:
    """Frames as they stand one behind the other in a buffer, none of them made yet: millions are never needed one by one.

    All were captured at one interface, in the order of their times.

    Attributes:
        file: as in `Frame`, and so are `interface` and `link_type`.
        first: number of the first frame; the others follow it without a gap.
        data: the buffer.
        rows: of each frame what one `struct.unpack` tells of its record and its headers: somewhere the two words of its
            time and behind them the captured length (at index `at`), then `HEADERS`.
    """

    __slots__ = (
        "_begin",
        "_extra",
        "_order",
        "_step",
        "_sums",
        "at",
        "clock",
        "data",
        "file",
        "first",
        "interface",
        "link_type",
        "rows",
    )

    def __init__(
        self,
        file: int,
        first: int,
        interface: int,
        link_type: int,
        order: str,
        data: bytes,
        rows: list[Row],
        layout: Layout,
    ) -> None:
        """Take rows of one layout.

        Args:
            order: byte order of the file, as `struct` writes it. In the 32 bits in front of each frame stands its original
                length.
            layout: where they come from.
        """
        self.file = file
        self.first = first
        self.interface = interface
        self.link_type = link_type
        self.data = data
        self.rows = rows
        self._order = order
        self._begin, self.at, self.clock, self._step, self._extra = layout
        self._sums: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def time(self, index: int) -> int:
        """Return when a frame was captured, nanoseconds since 1970 UTC."""
        return self.clock.ns(self.rows[index], self.at)

    @property
    def first_ns(self) -> int:
        """When the first frame was captured."""
        return self.time(0)

    @property
    def last_ns(self) -> int:
        """When the last frame was captured."""
        return self.time(-1)

    def since(self, ns: int) -> int:
        """Return the index of the first frame captured at `ns` or later; the number of frames where there is none."""
        return bisect_left(range(len(self.rows)), ns, key=self.time)

    def start(self, index: int) -> int:
        """Return where a frame begins in `data`."""
        if not self._sums:
            self._sums = list(accumulate(map(itemgetter(self._step), self.rows), initial=self._begin))
        return self._sums[index] + index * self._extra

    @property
    def bytes(self) -> int:
        """Bytes from the first to the last frame in the buffer."""
        return self.start(len(self.rows) - 1) - self._begin

    def __getitem__(self, index: int) -> Frame:
        start = self.start(index)
        return tuple.__new__(  # Frame(...) costs twice as much
            Frame,
            (
                self.time(index),
                self.file,
                self.first + index,
                self.interface,
                self.link_type,
                self.data[start : start + self.rows[index][self.at]],
                _LENGTH[self._order](self.data, start - 4)[0],
            ),
        )

    def __iter__(self) -> Iterator[Frame]:
        return map(self.__getitem__, range(len(self.rows)))


Row: TypeAlias = tuple[Any, ...]


class Layout(NamedTuple):
    """How the rows of a batch are laid out."""

    begin: int
    """Where the first frame begins in the buffer."""
    at: int
    """Index of the captured length in a row."""
    clock: Clock
    step: int
    """Index of the field that says, with `extra`, how far it is from one frame to the next."""
    extra: int


Part: TypeAlias = Frame | Batch
"""What a reader gives: a run of frames, or a frame that stands alone because something about it is out of the ordinary."""


class Mark(NamedTuple):
    """A moment with its proof: when, and which frame shows it."""

    ns: int
    file: int
    number: int


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
    complete: bool = True
    """False where the input was cut or corrupt: everything whole before that point was read."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: where it was cut, drops, comments of the file, what could not be decoded."""
