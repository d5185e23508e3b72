"""Frames and the captures they come from: what `capture` hands to `wire`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

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
