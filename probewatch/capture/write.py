"""Captures out: frames as pcapng (draft-ietf-opsawg-pcapng), as Wireshark and our own reader take it.

Theory of operation: one section; an Interface Description Block when an interface is added; an Enhanced Packet Block a
frame, times in nanoseconds; an Interface Statistics Block for each interface at the end, so that a reader knows what was
lost. A process event (`model.journal.journal_frame`) is a Systemd Journal Export Block, which Wireshark numbers like a
frame and libpcap steps over. Blocks are whole when they are written and are flushed on request, so a capture that is
read while it grows, or whose writer died, ends after a whole frame or within one that readers know to be cut.

Beside frames: comments on them, a Name Resolution Block (names of addresses), and Decryption Secrets Blocks.

Limitations: one section, and the machine's own byte order is not used (all is little endian).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from probewatch.capture.errors import CaptureError
from probewatch.capture.pcapng import (
    BYTE_ORDERS,
    COMMENT,
    DECRYPTION_SECRETS,
    ENHANCED_PACKET,
    IF_DESCRIPTION,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    ISB_ENDTIME,
    ISB_IFDROP,
    ISB_OSDROP,
    ISB_USRDELIV,
    JOURNAL_EXPORT,
    LINKS,
    NAME_RESOLUTION,
    OURSELVES,
    SECTION_HEADER,
    SHB_USERAPPL,
    TLS_KEY_LOG,
)
from probewatch.capture.tally import MAX_FRAME
from probewatch.model.frame import JOURNAL_ENTRY, Frame, HostLink

ISB_STARTTIME, ISB_IFRECV = 2, 4
NANOSECONDS: Final = 9
"""if_tsresol: times count in units of 10^-9 s."""
MOST_LINKS: Final = 2_000
"""Names of a node's interfaces kept beside a capture on `any`."""
MAX_NAME: Final = 255
"""Bytes of an interface's name that are written; Linux allows 15."""

MAX_COMMENT: Final = 65_535
"""Bytes of one comment, and of one address's names: the length of an option has 16 bits."""

COMMENT_FIELD: Final = "PROBEWATCH_COMMENT"
"""Field of a process event's entry that holds a comment."""

_RECORD: Final = {4: 1, 16: 2}
"""Length of an address -> the type of its record in a Name Resolution Block: nrb_record_ipv4, nrb_record_ipv6."""
_LITTLE: Final = next(magic for magic, order in BYTE_ORDERS.items() if order == "<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a capturing program knows of one interface at the end."""

    received: int
    """Frames that matched the filter, those that were lost included."""
    dropped: int
    """Frames that the kernel had no room for."""
    interface_dropped: int | None = None
    """Frames that the interface lost before that; None where it cannot be known."""


class PcapngWriter:
    """Writes one capture."""

    def __init__(self, out: BinaryIO, application: str = OURSELVES, comment: str = "") -> None:
        """Write the section header to `out`, which the caller closes; `comment` is one of the whole file."""
        self._out = out
        self._interfaces = 0
        self.frames = 0
        """Frames written."""
        # the length of the section is not known beforehand: -1 says so
        said = [(COMMENT, comment.encode("utf-8", "replace")[:MAX_COMMENT])] if comment else []
        options = _options(*said, (SHB_USERAPPL, application.encode()))
        body = _LITTLE + struct.pack("<HHq", 1, 0, -1) + options
        self._block(SECTION_HEADER, body)

    def interface(self, name: str, link_type: int, snaplen: int, links: Sequence[HostLink] = (), host: str = "") -> int:
        """Describe an interface; return the index that its frames have to carry. `links` and `host` are those of `Interface`."""
        called = [(IF_NAME, name.encode("utf-8", "replace")[:MAX_NAME])] if name else []
        if links:
            each = ("/".join((f"{link.index}={link.name}", *link.addresses)) for link in links[:MOST_LINKS])
            said = f"{LINKS} of {host}: " if host else f"{LINKS}: "
            said += " ".join(each)
            called.append((IF_DESCRIPTION, said.encode("utf-8", "replace")[:MAX_COMMENT]))
        body = struct.pack("<HHI", link_type, 0, snaplen) + _options(*called, (IF_TSRESOL, bytes([NANOSECONDS])))
        self._block(INTERFACE_DESCRIPTION, body)
        self._interfaces += 1
        return self._interfaces - 1

    def frame(self, frame: Frame, comments: Sequence[str] = ()) -> None:
        """Write a frame of an interface that was described, or a process event; its number is its place in the file.

        A comment longer than an option may be (64 KiB) is cut. A process event's block has no options: there each comment is a
        field of its entry (systemd's Journal Export Format: unknown fields are to be passed over).

        Raises:
            CaptureError: it has more bytes than any reader takes, or its interface is unknown.
        """
        if frame.link_type == JOURNAL_ENTRY:
            fields = "".join(f"{COMMENT_FIELD}={' '.join(text.splitlines())}\n" for text in comments)
            self._block(JOURNAL_EXPORT, _with_fields(frame.data, fields.encode("utf-8", "replace"))[:MAX_FRAME])
            self.frames += 1
            return
        if len(frame.data) > MAX_FRAME or not 0 <= frame.interface < self._interfaces:
            raise CaptureError("frame", f"of {len(frame.data)} bytes on interface {frame.interface} cannot be written")
        ns, length = max(frame.ns, 0), len(frame.data)
        head = struct.pack(
            "<IIIII", frame.interface, ns >> 32 & 0xFFFFFFFF, ns & 0xFFFFFFFF, length, frame.original_length
        )
        body = head + frame.data
        if comments:
            options = [(COMMENT, text.encode("utf-8", "replace")[:MAX_COMMENT]) for text in comments]
            body += bytes(-length % 4) + _options(*options)
        self._block(ENHANCED_PACKET, body)
        self.frames += 1

    def names(self, names: Mapping[str, Sequence[str]]) -> None:
        """Write names of addresses (section 4.5, Name Resolution Block); what is no address is passed over."""
        body = b""
        for address, called in names.items():
            raw = _packed(address)
            value = raw + b"".join(_terminated(name) for name in called)
            if raw and called and len(value) <= MAX_COMMENT:
                body += struct.pack("<HH", _RECORD[len(raw)], len(value)) + value + bytes(-len(value) % 4)
        if body:
            self._block(NAME_RESOLUTION, body + bytes(4) + _options())

    def secrets(self, key_log: bytes) -> None:
        """Write TLS secrets (section 4.7, Decryption Secrets Block) that the frames after it need; `key_log` is an NSS key log."""
        padding = bytes(-len(key_log) % 4)
        self._block(DECRYPTION_SECRETS, struct.pack("<II", TLS_KEY_LOG, len(key_log)) + key_log + padding + _options())

    def lost(self, interface: int, ns: int, dropped: int) -> None:
        """Write how many frames of an interface had been lost at a moment: of two such blocks the difference was lost between them."""
        options = [(ISB_OSDROP, struct.pack("<Q", dropped))]
        self._block(INTERFACE_STATISTICS, struct.pack("<I", interface) + _halves(ns) + _options(*options))

    def statistics(
        self, interface: int, start_ns: int, end_ns: int, counts: Counts, *, written: int | None = None
    ) -> None:
        """Write what was received and lost on an interface between two moments.

        `written` is how many of its frames are in this file: a reader then knows whether it has all that there was until the end.
        """
        options = [(ISB_STARTTIME, _halves(start_ns)), (ISB_ENDTIME, _halves(end_ns))]
        options.append((ISB_IFRECV, struct.pack("<Q", counts.received)))
        if counts.interface_dropped is not None:
            options.append((ISB_IFDROP, struct.pack("<Q", counts.interface_dropped)))
        options.append((ISB_OSDROP, struct.pack("<Q", counts.dropped)))
        if written is not None:
            options.append((ISB_USRDELIV, struct.pack("<Q", written)))
        self._block(INTERFACE_STATISTICS, struct.pack("<I", interface) + _halves(end_ns) + _options(*options))

    def flush(self) -> None:
        """Make what was written visible to readers of the file."""
        self._out.flush()

    def _block(self, kind: int, body: bytes) -> None:
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", len(body) + 12)
        self._out.write(struct.pack("<I", kind) + length + body + length)


def _with_fields(entry: bytes, fields: bytes) -> bytes:
    """Return a journal entry with more fields at its end, before the padding of its block."""
    if not fields:
        return entry
    text = entry.rstrip(b"\0")
    return text + (b"" if text.endswith(b"\n") else b"\n") + fields


def _packed(address: str) -> bytes:
    """Return the 4 or 16 bytes of an address, none where it is none."""
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return b""


def _terminated(name: str) -> bytes:
    """Return a name as a Name Resolution Block has it: ended by a zero byte, without one inside."""
    return name.encode("utf-8", "replace").replace(b"\0", b"") + b"\0"


def _halves(ns: int) -> bytes:
    """Return a time as pcapng has it: the upper half first, each in the section's byte order."""
    return struct.pack("<II", ns >> 32 & 0xFFFFFFFF, ns & 0xFFFFFFFF)


def _options(*pairs: tuple[int, bytes]) -> bytes:
    out = b"".join(struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in pairs)
    return out + bytes(4)
