"""The pcap file format and its relatives.

Theory of operation: a file header of 24 bytes (draft-ietf-opsawg-pcap; pcap-savefile(5)), then records, each a header
(seconds, fraction, captured length, original length) and the captured bytes. Four magic numbers are read, in both byte
orders. Two of them stand for more than one record header; the relatives that Wireshark reads differ only in bytes
added behind the four words:

    a1b2c3d4  standard, microseconds              16 bytes
              Nokia's libpcap                     20 bytes   same magic
              patch SS990417                      24 bytes   same magic
    a1b23c4d  standard, nanoseconds               16 bytes
    a1b2cd34  modified (Kuznetzov's patches)      24 bytes
              patch SS990915                      28 bytes   same magic

The first row of each is taken unless the first records are nonsense in it and make sense in another.

Limitations: a relative whose magic is shared is told only if its first two record headers are in the first bytes read,
which a trickling stream may not offer. AIX's variant (version 2.2) is read as standard.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Final

from probewatch.capture.errors import CRLF, CaptureError
from probewatch.capture.linktypes import split_field
from probewatch.capture.source import Window
from probewatch.capture.tally import MAX_FRAME, Tally, read_so_far
from probewatch.capture.wholesale import Wholesale
from probewatch.model.frame import Frame, Interface, Part
from probewatch.model.units import MS, SECOND

FILE_HEADER: Final = 24
FIELDS: Final = 16
"""Bytes of the four words that begin every record header; the usual one ends there."""

STANDARD: Final = 0xA1B2C3D4
NANOSECOND: Final = 0xA1B23C4D
MODIFIED: Final = 0xA1B2CD34

VARIANTS: Final[dict[int, tuple[tuple[str, int], ...]]] = {
    STANDARD: (("pcap", 16), ("pcap-nokia", 20), ("pcap-modified", 24)),
    NANOSECOND: (("pcap-ns", 16),),
    MODIFIED: (("pcap-modified", 24), ("pcap-modified", 28)),
}
"""Magic number -> (format, bytes of a record header), the likeliest first."""

MAGICS: Final[dict[bytes, tuple[str, int]]] = {
    struct.pack(order + "I", magic): (order, magic) for magic in VARIANTS for order in "<>"
}
"""First four bytes -> (byte order, magic number)."""

VERSIONS: Final = frozenset({b"\x02\x00\x04\x00", b"\x00\x02\x00\x04"})
"""Version 2.4, the one of every file of this century, as it stands behind the magic number."""

FEEDS: Final = 8
"""Line feeds, each behind a carriage return, that no capture has by chance."""
TRIED_RECORDS: Final = 8
"""Records that a layout must explain, as far as they are in sight, before another is tried."""
LONGEST_CAPTURE: Final = 366 * 86400
"""Seconds between the first records of a relative; more, and the layout is taken for wrong."""


class PcapReader:
    """Frames of a pcap input."""

    def __init__(self, window: Window, tally: Tally, file: int) -> None:
        """Read the file header.

        Raises:
            CaptureError: it is not whole.
        """
        head = window.more(0, FILE_HEADER)
        self._order, magic = MAGICS[head[:4]]
        if len(head) < FILE_HEADER:
            why = f" ({window.trouble})" if window.trouble else ""
            raise CaptureError(
                tally.path, f"is cut in its file header: pcap needs {FILE_HEADER} bytes, there are {len(head)}{why}"
            )
        major, minor, _, _, snaplen, field = struct.unpack_from(self._order + "HHiIII", head, 4)
        link_type, self._fcs = split_field(field)
        self._window, self._tally, self._file, self._link_type, self._magic = window, tally, file, link_type, magic
        # pcap-savefile(5): versions before 2.3 had the two lengths the other way round, 2.3 sometimes, and DG/UX's
        # 543.0 always.
        self._swapped = (major == 2 and minor < 3) or (major, minor) == (543, 0)
        self._perhaps_swapped = (major, minor) == (2, 3)
        if (major, minor) not in {(2, 2), (2, 3), (2, 4), (543, 0)}:
            tally.note(f"the file says it is pcap version {major}.{minor}, which is unknown: it is read as version 2.4")
        window.pos = FILE_HEADER
        self.wholesale = Wholesale(window)
        tally.format, self._header = self._layout(head)
        tally.interface(Interface(0, "", link_type, snaplen))

    def _layout(self, head: bytes) -> tuple[str, int]:
        """Choose among the layouts of this magic number by the records in sight."""
        first, *others = VARIANTS[self._magic]
        if _readable(head, self._order, first[1]):
            return first
        for variant in others:
            if _convincing(head, self._order, variant[1]):
                return variant
        return first

    def __iter__(self) -> Iterator[Part]:
        """Yield the frames; at a cut or corrupt place stop and tell the tally.

        What lies whole and in order in the window of a large input goes out as batches, if those are wanted.
        """
        window, tally, file, link_type, fcs = self._window, self._tally, self._file, self._link_type, self._fcs
        header = self._header
        unpack = struct.Struct(self._order + "IIII").unpack_from
        scale = 1 if self._magic == NANOSECOND else 1000
        odd_lengths = self._swapped or self._perhaps_swapped
        new = tuple.__new__  # Frame(...) costs twice as much
        data, pos = window.data, window.pos
        end = len(data)
        number = 0
        latest = tally.latest
        wholesale = self.wholesale
        if odd_lengths or fcs or header != FIELDS:
            wholesale.wanted = False
        while True:
            if wholesale.wanted and number and wholesale.now(pos):
                from probewatch.capture.runs import pcap_walk

                walk = partial(pcap_walk, data, pos, self._order, scale, latest, (file, 0, link_type))
                batch, pos = wholesale.run(data, pos, number + 1, walk)
                if batch is not None:
                    number += len(batch)
                    tally.frames, tally.latest = number, batch.last_ns
                    latest = tally.latest
                    yield batch
                    continue
            if end - pos < header:
                data, pos = window.more(pos, header), 0
                end = len(data)
                if end < header:
                    self._ended(number, end, header, "its header")
                    return
            seconds, fraction, captured, original = unpack(data, pos)
            if odd_lengths and (self._swapped or captured > original):
                captured, original = original, captured
            if captured > MAX_FRAME:
                self._corrupt(number, pos, captured)
                return
            start = pos + header
            stop = start + captured
            if stop > end:
                data = window.more(pos, header + captured)
                pos, start, stop = 0, header, header + captured
                end = len(data)
                if stop > end:
                    self._ended(number, end, stop, "its data")
                    return
            if captured == 0 and self._file_header_again(data, pos):
                self._concatenated(number, pos)
                return
            number += 1
            ns = seconds * SECOND + fraction * scale
            if ns >= latest:
                tally.latest = latest = ns
            else:
                ns = tally.odd_time(ns, number)
                latest = tally.latest
            pos = stop
            tally.frames = number
            if fcs:
                original = max(original - fcs, 0)
                stop = min(stop, start + original)
            yield new(Frame, (ns, file, number, 0, link_type, data[start:stop], original))

    def _ended(self, number: int, have: int, need: int, what: str) -> None:
        """Tell why the input ended where frame `number + 1` begins or within it."""
        window, tally = self._window, self._tally
        if window.trouble:
            tally.broken(f"{window.trouble}: {read_so_far(number)}")
        elif have:
            tally.broken(
                f"it is cut in frame {number + 1} at byte {window.base}, within {what}: {need} bytes are announced, "
                f"{have} are there; {read_so_far(number)}"
            )

    def _corrupt(self, number: int, pos: int, captured: int) -> None:
        self._tally.broken(
            f"the record of frame {number + 1} at byte {self._window.base + pos} is corrupt: it claims {captured} "
            f"bytes, more than the {MAX_FRAME} a frame can have; {read_so_far(number)}"
        )
        feeds = self._window.data.count(b"\n")
        if feeds >= FEEDS and feeds == self._window.data.count(b"\r\n"):
            self._tally.note(f"it {CRLF}")

    def _file_header_again(self, data: bytes, pos: int) -> bool:
        """Tell a file header where a record should begin, as when pcap files are joined by `cat`."""
        return (
            data[pos : pos + 4] in MAGICS and data[pos + 4 : pos + 8] in VERSIONS and not any(data[pos + 8 : pos + 16])
        )

    def _concatenated(self, number: int, pos: int) -> None:
        self._tally.broken(
            f"a second pcap file begins at byte {self._window.base + pos}, as when files are joined by `cat`; pcap has "
            f"no room for that, so reading ended: join them with `mergecap -w OUT IN...` instead; {read_so_far(number)}"
        )


def _records(head: bytes, order: str, header: int) -> Iterator[tuple[int, ...]]:
    """Yield the first record headers in sight, if each has `header` bytes, up to one that no reader can pass."""
    pos = FILE_HEADER
    for _ in range(TRIED_RECORDS):
        if pos + header > len(head):
            return
        words = struct.unpack_from(order + "IIII", head, pos)
        yield words
        if words[2] > MAX_FRAME:
            return
        pos += header + words[2]


def _readable(head: bytes, order: str, header: int) -> bool:
    """Tell whether nothing in sight speaks against record headers of that size."""
    return all(
        captured <= MAX_FRAME and fraction < SECOND for _, fraction, captured, _ in _records(head, order, header)
    )


def _convincing(head: bytes, order: str, header: int) -> bool:
    """Tell whether everything in sight speaks for record headers of that size."""
    records = list(_records(head, order, header))
    return (
        len(records) >= 2
        and all(f < MS and captured <= min(original, MAX_FRAME) for _, f, captured, original in records)
        and max(r[0] for r in records) - min(r[0] for r in records) < LONGEST_CAPTURE
    )
