"""Which format an input has, by its first bytes, and what to say of those that are not read."""

from __future__ import annotations

import base64
import codecs
import re
from typing import Final

from probewatch.capture.errors import CRLF, CaptureError, printable
from probewatch.capture.pcap import MAGICS as PCAP_MAGICS
from probewatch.capture.pcap import PcapReader
from probewatch.capture.pcapng import MAGIC as PCAPNG_MAGIC
from probewatch.capture.pcapng import PcapngReader
from probewatch.capture.source import Window
from probewatch.capture.tally import Tally

CONVERT: Final = "convert it with `editcap -F pcapng IN OUT`"

FOREIGN: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"snoop\0\0\0", "a snoop capture", CONVERT),
    (b"btsnoop\0", "a btsnoop capture", CONVERT),
    (b"RTSS", "a Network Monitor 1 capture", CONVERT),
    (b"GMBU", "a Network Monitor 2 capture", CONVERT),
    (b"\xaa\xaa\xaa\xaa", "a 5Views capture", CONVERT),
    (b"TRSNIFF data", "a DOS Sniffer capture", CONVERT),
    (b"XCP\0", "a Windows Sniffer (NetXRay) capture", CONVERT),
    (b"\x01\x10\x4c\x00\x01\x05", "a LANalyzer capture", CONVERT),
    (b"\x05VNF", "a Visual Networks capture", CONVERT),
    (b"\x7fver", "an OmniPeek capture", CONVERT),
    (b"iptrace ", "an AIX iptrace capture", CONVERT),
    (b"ObserverPktBuffe", "an Observer capture", CONVERT),
    (b"LOGG", "a Vector BLF log", CONVERT),
    (b"\x54\x52\x00\x64\x00", "an HP-UX nettl capture", CONVERT),
    (b"\xac\x01\x00\x1c", "an Ixia capture", CONVERT),
    (b"\xab\x01\x00\x1c", "an Ixia capture", CONVERT),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it with `lz4 -d`"),
    (b"\x02\x21\x4c\x18", "compressed with lz4", "decompress it with `lz4 -d`"),
    (b"PK\x03\x04", "a zip archive", "unpack it with `unzip`"),
    (b"PK\x05\x06", "an empty zip archive", "name the capture instead"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with `7z x`"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it with `unrar x`"),
    (b"LZIP", "compressed with lzip", "decompress it with `lzip -d`"),
    (b"\x1f\x9d", "compressed with compress", "decompress it with `uncompress`"),
    (b"\x1f\xa0", "compressed with compress", "decompress it with `uncompress`"),
    (b"\x5d\x00\x00", "compressed with lzma", "decompress it with `unlzma`"),
    (b"\x89LZO\0\r\n\x1a\n", "compressed with lzop", "decompress it with `lzop -d`"),
    (b"\x7fELF", "a program", "name a capture instead"),
)
"""(first bytes, what it is, what to do)."""

BANNER: Final = 8_192
"""Bytes of text looked through in front of a capture."""
BASE64: Final = 64
"""Characters of base64 that show what is in it."""
BEGINNINGS: Final = (
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0", b"\xa1\xb2\xc3\xd4\0\x02\0\x04", b"\x4d\x3c\xb2\xa1\x02\0\x04\0",
    b"\xa1\xb2\x3c\x4d\0\x02\0\x04", PCAPNG_MAGIC,
)  # fmt: skip
"""How captures begin: the magic number, and pcap's version 2.4 behind it."""
CRLF_PCAPNG: Final = b"\r\n\r\r\n"
"""A pcapng's magic number where each LF was made CR LF."""

MANIFEST: Final = re.compile(rb"^\s*[{-]?\s*\"?(?:apiVersion|kind)\"?\s*:", re.MULTILINE)
"""How a line of an object of Kubernetes looks, in YAML or JSON."""
TAR_MAGIC_AT: Final = 257
TEXT_SHOWN: Final = 512
"""Bytes that must be readable text to call an input text."""


def open_format(window: Window, tally: Tally, file: int, head: bytes) -> PcapReader | PcapngReader:
    """Open the reader of the format that `head` shows.

    Raises:
        CaptureError: it is none that is read; the sentence names what it is, if that can be told.
    """
    if head[:4] in PCAP_MAGICS:
        return PcapReader(window, tally, file)
    if head[:4] == PCAPNG_MAGIC:
        return PcapngReader(window, tally, file)
    raise CaptureError(tally.path, refusal(head))


def refusal(head: bytes) -> str:
    """Say what an input is that begins with `head`, and what to do about it."""
    for magic, what, advice in FOREIGN:
        if head.startswith(magic):
            return f"is {what}, which is not read: {advice}"
    if head[TAR_MAGIC_AT : TAR_MAGIC_AT + 5] == b"ustar":
        return "is a tar archive, which is not read: unpack it with `tar xf`"
    if damage := _on_the_way(head):
        return damage
    if len(head) < 4:
        bytes_ = "byte" if len(head) == 1 else "bytes"
        return f"is only {len(head)} {bytes_} long: too short for any capture"
    if _is_text(head[:TEXT_SHOWN]):
        if MANIFEST.search(head[:TEXT_SHOWN]):
            return "is not a capture but a manifest: give it with --spec, beside the capture"
        return "is not a capture but text: tcpdump writes a capture only with `-w`"
    if not any(head[:24]):
        return "begins with nothing but zero bytes: it is not a capture, or its beginning was lost"
    return (
        f"is not a capture in a format that is read (it begins with {head[:4].hex()}): pcap and pcapng are; "
        "if Wireshark opens it, convert it with `editcap -F pcapng IN OUT`"
    )


def _on_the_way(head: bytes) -> str:
    """Say what happened to a capture on its way here, where that shows; empty where it does not."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return (
            "was made text in UTF-16 (as PowerShell's `>` does), and what it held is lost: capture into a file with `-w`, or "
            "redirect in cmd or a shell of Linux, and copy that file"
        )
    if head.startswith(CRLF_PCAPNG):
        return f"is a pcapng capture that {CRLF}"
    found = min((at for magic in BEGINNINGS if (at := head.find(magic, 1, BANNER)) > 0), default=0)
    if found and _is_text(head[:found]):
        said = printable(head[:found].decode("utf-8", "replace"), 60)
        return (
            f"has {found} bytes of text before the capture ({said}): what the command said went into the file; "
            f"`tail -c +{found + 1} IN > OUT` takes it off, and `2>/dev/null` (oc debug: `-q`) keeps it out"
        )
    try:
        again = head[: TEXT_SHOWN // 4].decode("utf-8", "ignore").encode("latin-1")
    except UnicodeEncodeError:
        again = b""
    if again[:4] in PCAP_MAGICS:
        return "is a capture whose bytes were made UTF-8, as text is: send it again as binary (scp, or base64 there and `base64 -d` here)"
    try:
        begun = base64.b64decode(b"".join(head[:TEXT_SHOWN].split())[:BASE64], validate=True)
    except ValueError:
        begun = b""
    if begun.startswith(BEGINNINGS):
        return "is a capture in base64: `base64 -d IN > OUT` gives it back"
    return ""


def _is_text(head: bytes) -> bool:
    """Tell whether it is text in UTF-8; a character cut off at the end does not count."""
    if any(b < 32 and b not in b"\t\n\r\f\x1b" for b in head):
        return False
    text = head.decode("utf-8", "ignore")
    return len(text.encode()) >= len(head) - 3
