"""Frames and the captures they come from: what `capture` hands to `wire`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

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


@dataclass(frozen=True, slots=True)
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
    times: Sequence[int]
    """Of each frame, nanoseconds since 1970 UTC."""
    starts: Sequence[int]
    """Where each frame begins in `data`."""
    sizes: Sequence[int]
    """How many bytes of each were captured."""

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> Frame:
        start = self.starts[index]
        return tuple.__new__(  # Frame(...) costs twice as much
            Frame,
            (
                self.times[index],
                self.file,
                self.first + index,
                self.interface,
                self.link_type,
                self.data[start : start + self.sizes[index]],
                _LENGTH[self.order](self.data, start - 4)[0],
            ),
        )

    def __iter__(self) -> Iterator[Frame]:
        return map(self.__getitem__, range(len(self.times)))

    def part(self, begin: int, end: int) -> Batch:
        """Return its frames from index `begin` up to `end`."""
        return Batch(
            self.file,
            self.first + begin,
            self.interface,
            self.link_type,
            self.order,
            self.data,
            self.times[begin:end],
            self.starts[begin:end],
            self.sizes[begin:end],
        )


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
    links: tuple[tuple[int, str], ...] = ()
    """Of a capture on `any`: the names of the node's interfaces, by the index that a cooked header of the second kind holds."""

    def link(self, ifindex: int) -> str:
        """Return the name of the interface with this index in its node, or nothing."""
        return dict(self.links).get(ifindex, "")


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
