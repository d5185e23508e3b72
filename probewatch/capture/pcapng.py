"""The pcapng file format (draft-ietf-opsawg-pcapng).

Theory of operation: a file is a chain of blocks, each `type, total length, body, total length again`. A Section Header
Block sets the byte order of what follows and forgets the interfaces of the section before it; an Interface Description
Block adds one with its own link type, time resolution and offset; Enhanced, Simple and the obsolete Packet Block carry
frames. Interface Statistics tell losses, Decryption Secrets carry key logs; everything else is stepped over.

Frames are numbered as Wireshark numbers them: it also gives numbers to journal entries, custom blocks and system call
events, so those take a number here. Journal entries that hold process events (`model.journal`) are handed out as frames
of their own kind, the others are not.

Limitations: a Simple Packet Block has no time, so its frame takes the latest time before it, and a note says so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple

from probewatch.capture.errors import CaptureError, DamageError, printable
from probewatch.capture.linktypes import MAX_FCS, fcs_octets
from probewatch.capture.source import Window
from probewatch.capture.tally import MAX_FRAME, MAX_NS, Tally, read_so_far
from probewatch.capture.wholesale import Wholesale
from probewatch.model.frame import JOURNAL_ENTRY, Batch, Frame, HostLink, Interface, Loss, Part
from probewatch.model.journal import nanoseconds
from probewatch.model.units import SECOND

if TYPE_CHECKING:
    from probewatch.capture.runs import Link

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE_DESCRIPTION: Final = 1
PACKET: Final = 2
SIMPLE_PACKET: Final = 3
NAME_RESOLUTION: Final = 4
INTERFACE_STATISTICS: Final = 5
ENHANCED_PACKET: Final = 6
PACKETS: Final = frozenset({PACKET, SIMPLE_PACKET, ENHANCED_PACKET})
DECRYPTION_SECRETS: Final = 10
JOURNAL_EXPORT: Final = 9
NUMBERED: Final = frozenset({JOURNAL_EXPORT, 0xBAD, 0x40000BAD, 0x204, 0x208, 0x216, 0x217, 0x221, 0x222, 0x223})
"""systemd journal entries, custom blocks and sysdig events: Wireshark numbers them like frames."""
LEFT_OUT: Final = (
    "it holds journal entries, custom blocks or system call events: they have frame numbers but are left out"
)

MAGIC: Final = struct.pack(">I", SECTION_HEADER)
"""First four bytes of a file, the same in both byte orders."""
BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
"""Byte-order magic of a section -> struct's letter."""

MAX_BLOCK: Final = 16 << 20
"""Bytes of one block, libpcap's limit; more is corruption."""
MAX_INTERFACES: Final = 65536
"""Interfaces of one input."""
TLS_KEY_LOG: Final = 0x544C534B
"""Secrets type of an NSS key log."""
UNKNOWN_DROPS: Final = 0xFFFF
"""drops_count of a Packet Block that does not say."""

PACKET_HEAD: Final = 28
"""Bytes before the data of an Enhanced Packet Block. That much is awaited before a block is looked at; no shorter block
carries a frame of any use."""

SIMPLE_HEAD: Final = 12
"""Bytes before the data of a Simple Packet Block."""

END_OF_OPTIONS: Final = 0
COMMENT: Final = 1
SHB_USERAPPL: Final = 4
OURSELVES: Final = "probewatch"
"""How we sign what we write."""
UNENDED: Final = (
    "it has no end mark: the recording was killed, or its disk was full; what passed after its last frame is not in it"
)
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_FCSLEN, IF_TSOFFSET = 2, 3, 9, 13, 14
LINKS: Final = "links"
"""How we begin the description of an interface that tells those of its machine: `links of node-a: 7=veth0 8=tun0/10.128.0.1/fd01::1`.

No name of an interface has a slash, a colon or a space in it (Linux, dev_valid_name)."""
EPB_FLAGS, EPB_DROPCOUNT = 2, 4
ISB_ENDTIME, ISB_IFDROP, ISB_OSDROP, ISB_USRDELIV = 3, 5, 7, 8


class _Interface(NamedTuple):
    """What a packet block needs of its interface."""

    multiplier: int
    """ns = ticks * multiplier // divisor + offset_ns."""
    divisor: int
    offset_ns: int
    link_type: int
    interface: int
    """Its index in the input, across sections."""
    fcs: int
    snaplen: int

    def ns(self, high: int, low: int) -> int:
        """Return a time of it in nanoseconds."""
        return min((high << 32 | low) * self.multiplier // self.divisor + self.offset_ns, MAX_NS)

    def link(self) -> Link | None:
        """Return what the reading of runs needs of it; None where ticks are no whole nanoseconds or a frame check sequence follows."""
        if self.divisor != 1 or self.fcs or abs(self.offset_ns) > MAX_NS:
            return None
        from probewatch.capture.runs import Link

        return Link(self.multiplier, self.offset_ns, self.interface, self.link_type)


class PcapngReader:
    """Frames of a pcapng input."""

    def __init__(self, window: Window, tally: Tally, file: int) -> None:
        """Read the first section header.

        Raises:
            CaptureError: it is not whole or not one.
        """
        self._window, self._tally, self._file = window, tally, file
        self.wholesale = Wholesale(window)
        self._read_as("<")
        self._section: list[_Interface] = []
        self._told: dict[tuple[int, int], tuple[int, int]] = {}
        """What the latest statistics of an interface said of one kind of loss: when, and how many frames until then."""
        self._latest: dict[int, int] = {}
        """Time of the latest frame of each interface."""
        self._since = (0, 0)
        """Times of the frame that is read, and of the one before it at the same interface."""
        self._ends: dict[int, tuple[int, int]] = {}
        """What the latest statistics of an interface said: when capturing ended, and how many frames were handed out until then."""
        self._ours = False
        """Whether a program of ours wrote the section."""
        self._unended = False
        """Whether it says when capturing began, which nothing does but a recording that will say when it ended, and did not so far."""
        tally.format = "pcapng"
        head = window.more(0, 12)
        try:
            length = self._first_header(head)
        except DamageError as damage:
            raise CaptureError(tally.path, f"is cut or corrupt in its first block: {damage}") from None
        window.pos = length

    # --- the chain of blocks ---

    def __iter__(self) -> Iterator[Part]:
        """Yield the frames; at a cut or corrupt place stop and tell the tally."""
        try:
            yield from self._chain()
        except DamageError as damage:
            self._tally.broken(f"{damage}; {read_so_far(self._tally.frames - self._tally.left_out)}")

    def _chain(self) -> Iterator[Part]:
        """Walk the blocks: those of a run of ordinary frames together, all others one by one."""
        window, tally, wholesale = self._window, self._tally, self.wholesale
        data, pos = window.data, window.pos
        while True:
            if wholesale.wanted and tally.first_ns is not None and wholesale.now(pos):
                batch, pos = self._run(data, pos)
                if batch is not None:
                    yield batch
            block = self._block(data, pos)
            if block is None:
                return
            data, pos, stop, kind = block
            if kind in PACKETS:
                yield self._packet(kind, data, pos, stop)
            elif kind in NUMBERED:
                entry = self._numbered(kind, data, pos, stop)
                if entry is not None:
                    yield entry
            else:
                self._other(kind, data, pos, stop)
            pos = stop

    def _run(self, data: bytes, pos: int) -> tuple[Batch | None, int]:
        """Return the run of ordinary frames that begins at `pos`, if one does, and where it ends."""
        from probewatch.capture.runs import pcapng_walk

        tally = self._tally
        links = [interface.link() for interface in self._section]
        walk = partial(pcapng_walk, data, pos, self._order, links, tally.latest, self._file)
        batch, pos = self.wholesale.run(data, pos, tally.frames + 1, walk)
        if batch is not None:
            tally.frames += len(batch)
            tally.latest = batch.last_ns
            self._passed(batch)
        return batch, pos

    def _block(self, data: bytes, pos: int) -> tuple[bytes, int, int, int] | None:
        """Return where the block at `pos` stands whole (buffer, begin and end in it) and its type; None where the input ends."""
        window = self._window
        if len(data) - pos < PACKET_HEAD:
            data, pos = window.more(pos, PACKET_HEAD), 0
            if len(data) < 12:
                self._ended(len(data), 12)
                return None
        kind, length = self._head(data, pos)
        if kind == SECTION_HEADER:
            length = self._begin_section(data, pos)
        elif length < 12 or length & 3 or length > MAX_BLOCK:
            raise DamageError(f"the block at byte {window.base + pos} is corrupt: it claims {_length(length)}")
        stop = pos + length
        if stop > len(data):
            data, pos, stop = window.more(pos, length), 0, length
            if stop > len(data):
                self._ended(len(data), length)
                return None
        if self._word(data, stop - 4)[0] != length:
            raise DamageError(
                f"the block at byte {window.base + pos} is corrupt: it ends with another length than it begins with"
            )
        return data, pos, stop, kind

    def _packet(self, kind: int, data: bytes, pos: int, stop: int) -> Frame:
        """Read a packet block."""
        tally, section, high, low = self._tally, self._section, 0, 0
        start = pos + (SIMPLE_HEAD if kind == SIMPLE_PACKET else PACKET_HEAD)
        room = stop - 4 - start
        if room < 0:
            number_of = captured = original = 0
        elif kind == SIMPLE_PACKET:
            number_of, captured, original = self._simple(data, pos)
        else:
            number_of, high, low, captured, original = self._packet_head(data, pos + 8)
            if kind == PACKET:
                number_of = self._obsolete(data, pos)
        if room < 0 or number_of >= len(section) or captured > room or captured > MAX_FRAME:
            raise DamageError(
                f"the packet block at byte {self._window.base + pos} is corrupt: "
                + _nonsense(stop - pos, room, number_of, len(section), captured)
            )
        multiplier, divisor, offset_ns, link_type, interface, fcs, _ = section[number_of]
        number = tally.frames + 1
        before = self._latest.get(interface, tally.latest)
        if kind == SIMPLE_PACKET:
            ns = 0 if tally.first_ns is None else tally.latest
        else:
            ns = (high << 32 | low) * multiplier // divisor + offset_ns
        ns = self._moment(ns, number)
        tally.frames = number
        self._latest[interface] = ns
        if room - captured >= 8 and kind != SIMPLE_PACKET:
            self._since = min(before, ns), ns
            fcs = self._packet_options(data, start + (captured + 3 & ~3), stop - 4, number, interface, fcs, kind)
        if fcs:
            original = max(original - fcs, 0)
            captured = min(captured, original)
        # Frame(...) costs twice as much.
        return tuple.__new__(
            Frame, (ns, self._file, number, interface, link_type, data[start : start + captured], original)
        )

    def _numbered(self, kind: int, data: bytes, pos: int, stop: int) -> Frame | None:
        """Count a block that has a frame's number; return the journal entry that it is, if it holds a process event."""
        tally = self._tally
        tally.frames = number = tally.frames + 1
        tally.left_out += 1
        ns = nanoseconds(data[pos + 8 : pos + 64]) if kind == JOURNAL_EXPORT else None
        if ns is None:
            tally.note_once(LEFT_OUT)
            return None
        tally.events += 1
        body = data[pos + 8 : stop - 4].rstrip(b"\0")
        return Frame(self._moment(ns, number), self._file, number, 0, JOURNAL_ENTRY, body, len(body))

    def _moment(self, ns: int, number: int) -> int:
        """Return the time of a frame that says it came at `ns`, as the tally knows it from then on."""
        tally = self._tally
        if tally.latest <= ns <= MAX_NS:
            tally.latest = ns
            return ns
        return tally.odd_time(ns, number)

    def _passed(self, batch: Batch) -> None:
        """Remember when the latest frames of a run came."""
        if batch.which is None:
            self._latest[batch.places[0][1]] = batch.last_ns
            return
        for place, (_, interface, _) in enumerate(batch.places):
            rows = (batch.which == place).nonzero()[0]
            if len(rows):
                self._latest[interface] = int(batch.times[rows[-1]])

    def _obsolete(self, data: bytes, pos: int) -> int:
        """Return the interface of a Packet Block, whose first word is two numbers: interface and losses."""
        number_of: int
        lost: int
        number_of, lost = struct.unpack_from(self._order + "HH", data, pos + 8)
        if number_of < len(self._section) and lost != UNKNOWN_DROPS:
            self._lost(self._section[number_of].interface, lost)
        return number_of

    def _simple(self, data: bytes, pos: int) -> tuple[int, int, int]:
        """Return interface, captured and original length of a Simple Packet Block, which says only the last."""
        self._tally.note_once("Simple Packet Blocks carry no time: such a frame takes the latest time before it")
        original: int = struct.unpack_from(self._order + "I", data, pos + 8)[0]
        snaplen = self._section[0].snaplen if self._section else 0
        return 0, min(original, snaplen) if snaplen else original, original

    def _lost(self, interface: int, frames: int) -> None:
        if frames:
            self._tally.lost[interface] = self._tally.lost.get(interface, 0) + frames

    def _ended(self, have: int, need: int) -> None:
        """Tell why the input ended where a block begins or within it."""
        window = self._window
        if window.trouble:
            raise DamageError(window.trouble)
        if have:
            raise DamageError(
                f"it is cut in the block at byte {window.base}: {need} bytes are announced, {have} are there"
            )
        if self._unended and not window.source.left:
            self._tally.broken(UNENDED)

    # --- section header ---

    def _first_header(self, head: bytes) -> int:
        """Read the section header that begins the input; return its length."""
        window = self._window
        if len(head) < 12:
            raise DamageError(window.trouble or f"only {len(head)} bytes are there")
        length = self._begin_section(head, 0)
        head = window.more(0, length)
        if len(head) < length:
            raise DamageError(window.trouble or f"{length} bytes are announced, {len(head)} are there")
        self._section_header(head, 0, length)
        return length

    def _begin_section(self, data: bytes, pos: int) -> int:
        """Take the byte order from the section header at `pos` (12 bytes of it are there); return its length."""
        where = self._window.base + pos
        order = BYTE_ORDERS.get(data[pos + 8 : pos + 12])
        if order is None:
            raise DamageError(f"the section header at byte {where} has no byte-order magic")
        length: int = struct.unpack_from(order + "I", data, pos + 4)[0]
        if length < 28 or length & 3 or length > MAX_BLOCK:
            raise DamageError(f"the section header at byte {where} claims {_length(length)}")
        self._read_as(order)
        self._section = []
        return length

    def _read_as(self, order: str) -> None:
        """Take the byte order of a section, struct's letter."""
        self._order = order
        self._head = struct.Struct(order + "2I").unpack_from
        self._packet_head = struct.Struct(order + "5I").unpack_from
        self._word = struct.Struct(order + "I").unpack_from

    def _section_header(self, data: bytes, pos: int, stop: int) -> None:
        """Read the rest of a section header: version, section length (not needed), options."""
        if data[pos + 4 : pos + 8] != data[stop - 4 : stop]:
            raise DamageError("the section header ends with another length than it begins with")
        major, minor = struct.unpack_from(self._order + "HH", data, pos + 12)
        if major != 1:
            raise DamageError(f"the section header says pcapng version {major}.{minor}, and only 1.x is known")
        for code, value in self._options(data, pos + 24, stop - 4):
            if code == COMMENT:
                self._tally.note(f"comment of the file: {_text(value)}")
            elif code == SHB_USERAPPL:
                self._ours = value.rstrip(b"\0") == OURSELVES.encode()

    # --- the other blocks ---

    def _other(self, kind: int, data: bytes, pos: int, stop: int) -> None:
        if kind == INTERFACE_DESCRIPTION:
            self._interface(data, pos, stop)
        elif kind == SECTION_HEADER:
            self._section_header(data, pos, stop)
        elif kind == INTERFACE_STATISTICS:
            self._statistics(data, pos, stop)
        elif kind == DECRYPTION_SECRETS and stop - pos >= 20:
            secrets, length = struct.unpack_from(self._order + "II", data, pos + 8)
            if secrets == TLS_KEY_LOG:
                self._tally.secret(data[pos + 16 : min(pos + 16 + length, stop - 4)])

    def _interface(self, data: bytes, pos: int, stop: int) -> None:
        tally = self._tally
        if stop - pos < 20:
            raise DamageError(f"the interface description at byte {self._window.base + pos} is too short")
        index = len(tally.interfaces)
        if index >= MAX_INTERFACES:
            raise DamageError(f"it describes more than {MAX_INTERFACES} interfaces")
        link_type, _, snaplen = struct.unpack_from(self._order + "HHI", data, pos + 8)
        name = description = ""
        per_second, offset_ns, fcs = 1_000_000, 0, 0
        comments = []
        for code, value in self._options(data, pos + 16, stop - 4):
            if code == IF_NAME:
                name = _text(value)
            elif code == IF_DESCRIPTION:
                description = _text(value)
            elif code == IF_TSRESOL and value:
                per_second = (1 << (value[0] & 0x7F)) if value[0] & 0x80 else 10 ** value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                offset_ns = struct.unpack(self._order + "q", value)[0] * SECOND
            elif code == IF_FCSLEN and value:
                fcs = fcs_octets(value[0])
            elif code == COMMENT:
                comments.append(_text(value))
        name = name or description
        for comment in comments:
            tally.note(f"comment of interface {index}{f' ({name})' if name else ''}: {comment}")
        common = gcd(SECOND, per_second)
        self._section.append(
            _Interface(SECOND // common, per_second // common, offset_ns, link_type, index, fcs, snaplen)
        )
        host, links = _links(description)
        tally.interface(Interface(index, name, link_type, snaplen, links=links, host=host))

    def _statistics(self, data: bytes, pos: int, stop: int) -> None:
        """Read losses, and when capturing began and ended: statistics before the first frame, and at the end.

        The counters run from the start of the capture, so the last block of an interface counts; what two blocks in a row
        differ in was lost between them.
        """
        if stop - pos < 24:
            return
        (number,) = struct.unpack_from(self._order + "I", data, pos + 8)
        if number >= len(self._section):
            return
        each = self._section[number]
        values = {
            code: struct.unpack(self._order + ("II" if code == ISB_ENDTIME else "Q"), value)
            for code, value in self._options(data, pos + 20, stop - 4)
            if code in (ISB_ENDTIME, ISB_IFDROP, ISB_OSDROP, ISB_USRDELIV) and len(value) == 8
        }
        tally, high_low = self._tally, struct.unpack_from(self._order + "II", data, pos + 12)
        ns, drops = each.ns(*high_low), {code: values[code][0] for code in (ISB_IFDROP, ISB_OSDROP) if code in values}
        for code, lost in drops.items():
            begun_ns, before = self._told.get((each.interface, code), (ns, lost))
            if lost > before:
                tally.loss(Loss(begun_ns, ns, lost - before, each.interface))
            self._told[each.interface, code] = ns, lost
        if drops:
            tally.lost[each.interface] = sum(drops.values())
        if tally.first_ns is None and high_low != (0, 0):
            tally.began_ns = ns if tally.began_ns is None else min(tally.began_ns, ns)
            self._unended = self._ours
        if ISB_ENDTIME in values:
            self._unended = False
        if ISB_USRDELIV in values and ISB_ENDTIME in values:
            self._ends[each.interface] = each.ns(*values[ISB_ENDTIME]), values[ISB_USRDELIV][0]
            whole = sum(frames for _, frames in self._ends.values()) == tally.frames - tally.left_out
            tally.ended_ns = max(ns for ns, _ in self._ends.values()) if whole else None

    def _packet_options(
        self, data: bytes, pos: int, stop: int, number: int, interface: int, fcs: int, kind: int
    ) -> int:
        """Read a frame's comments and losses; return the octets of FCS it has."""
        for code, value in self._options(data, pos, stop):
            if code == COMMENT:
                self._tally.comment(number, value.rstrip(b"\0").decode("utf-8", "replace"))
            elif code == EPB_FLAGS and len(value) == 4:
                own = struct.unpack(self._order + "I", value)[0] >> 5 & 0xF
                fcs = own if 0 < own <= MAX_FCS else fcs
            elif code == EPB_DROPCOUNT and len(value) == 8 and kind == ENHANCED_PACKET:
                self._lost(interface, lost := struct.unpack(self._order + "Q", value)[0])
                if lost:
                    self._tally.loss(Loss(*self._since, lost, interface))
        return fcs

    def _options(self, data: bytes, pos: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Options between `pos` and `stop`. A broken list ends early: the block around it is still whole."""
        unpack = struct.Struct(self._order + "HH").unpack_from
        while stop - pos >= 4:
            code, length = unpack(data, pos)
            if code == END_OF_OPTIONS:
                return
            pos += 4
            if pos + length > stop:
                self._tally.note_once("some block has broken options: they are left out")
                return
            yield code, data[pos : pos + length]
            pos += length + 3 & ~3


def _text(value: bytes) -> str:
    return printable(value.rstrip(b"\0").decode("utf-8", "replace"))


def _nonsense(length: int, room: int, interface: int, interfaces: int, captured: int) -> str:
    """Say what is wrong with a packet block."""
    if room < 0:
        return f"{length} bytes are too few for one"
    if interface >= interfaces:
        return f"it names interface {interface}, which is not described"
    if captured > room:
        return f"it claims {captured} bytes of data, more than the {room} it has room for"
    return f"it claims {captured} bytes of data, more than the {MAX_FRAME} a frame can have"


def _length(length: int) -> str:
    if length > MAX_BLOCK:
        return f"{length} bytes, more than the {MAX_BLOCK} a block can have"
    return f"{length} bytes, " + ("which is no multiple of 4" if length & 3 else "too few for its kind")


def _links(description: str) -> tuple[str, tuple[HostLink, ...]]:
    """Return what our own description of an interface tells of its machine: its name, and its interfaces."""
    found = re.fullmatch(rf"{LINKS}(?: of ([^\s:]+))?: (.*)", description)
    if found is None:
        return "", ()
    out = []
    for word in found[2].split():
        index, _, rest = word.partition("=")
        name, *addresses = rest.split("/")
        if re.fullmatch("[0-9]{1,9}", index) and name:
            out.append(HostLink(int(index), name, tuple(addresses)))
    return found[1] or "", tuple(out)
