"""Compressed inputs as forward-only streams: gzip, bzip2, xz, zstd.

Theory of operation: an `Unwrapped` pulls compressed pieces from a function and hands out decompressed ones, each of at
most about `MAX_PIECE` bytes, so that memory stays flat however much a few bytes expand to. Several members, streams or
frames one after another are one input, as the compressors' own tools read them; zero bytes behind the last are padding.

Limitations: where the data is corrupt, gzip keeps every byte before that place; the other libraries give out nothing of
the call that failed, so up to one piece before it is lost with them.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from probewatch.capture.errors import DamageError

if TYPE_CHECKING:
    import zstandard

MAX_PIECE: Final = 256 * 1024
"""Decompressed bytes handed out at once by gzip."""
SMALL_PIECE: Final = 16 * 1024
"""The same for bzip2 and xz, which lose the piece in which they meet corruption."""
MAX_DICTIONARY: Final = 80 << 20
"""Memory the xz decoder may take: enough for `xz -9` (65 MiB), not for hostile sizes."""
MAX_WINDOW: Final = 64 << 20
"""Window a zstd frame may ask for: enough for every level without --ultra or --long."""
ZSTD_INPUT: Final = 128
"""Compressed bytes given to zstd at once. Four of them may stand for a block of 128 KiB: at most 4 MiB come out."""

SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes((0x50 + n, 0x2A, 0x4D, 0x18)), "zstd") for n in range(16)),  # a skippable frame first, as pzstd writes
)
TOOLS: Final = {"gzip": "gunzip", "bzip2": "bunzip2", "xz": "unxz", "zstd": "unzstd"}
"""The program that decompresses each by hand."""


def recognise(head: bytes) -> str | None:
    """Name of the compression that `head`, the first bytes of an input, announces; None for none of these."""
    for signature, name in SIGNATURES:
        if head.startswith(signature) and (name != "bzip2" or head[3:4] in b"123456789"):
            return name
    return None


class _Decoder(Protocol):
    eof: bool

    def hungry(self) -> bool:
        """Tell whether nothing more is to be had without new input."""

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Decode from `data[at:]`; return what came out and where the rest begins. Raises DamageError."""


class _Gzip:
    def __init__(self) -> None:
        self._z = zlib.decompressobj(31)  # 31: a gzip header and trailer, both checked
        self._full = False
        self._broken: str | None = None
        self.eof = False

    def hungry(self) -> bool:
        return not self._full and self._broken is None

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        if self._broken is not None:
            raise DamageError(self._broken)
        before = self._z.copy()
        try:
            out = self._z.decompress(data[at:] if at else data, MAX_PIECE)
        except zlib.error as error:
            self._broken = f"the gzip data is corrupt ({_reason(error)})"
            return _salvage(before, data, at), len(data)
        self._full = len(out) >= MAX_PIECE
        self.eof = self._z.eof
        return out, len(data) - len(self._z.unused_data if self.eof else self._z.unconsumed_tail)


def _salvage(decoder: zlib._Decompress, data: bytes, at: int) -> bytes:
    """Repeat a failed call byte by byte, to keep what came out before the failure."""
    kept = bytearray()
    try:
        for i in range(at, len(data)):
            kept += decoder.decompress(data[i : i + 1], MAX_PIECE)
    except zlib.error:
        pass
    return bytes(kept)


class _Blocks:
    """bzip2 and xz, whose Python classes are alike."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._d: bz2.BZ2Decompressor | lzma.LZMADecompressor = (
            bz2.BZ2Decompressor() if name == "bzip2" else lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_DICTIONARY)
        )
        self.eof = False

    def hungry(self) -> bool:
        return self._d.needs_input

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        feed = data[at:] if self._d.needs_input else b""
        try:
            out = self._d.decompress(feed, SMALL_PIECE)
        except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
            text = _reason(error)
            if "memory" in text.lower():
                raise DamageError(
                    f"the {self._name} data needs more memory than {MAX_DICTIONARY >> 20} MiB: "
                    f"decompress it first with {TOOLS[self._name]}"
                ) from None
            raise DamageError(f"the {self._name} data is corrupt ({text})") from None
        self.eof = self._d.eof
        if self.eof:
            return out, len(data) - len(self._d.unused_data)
        return out, len(data)


class _Zstd:
    def __init__(self) -> None:
        import zstandard  # only who reads zstd pays for it

        self._error: type[Exception] = zstandard.ZstdError
        self._d: zstandard.ZstdDecompressionObj = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        self.eof = False

    def hungry(self) -> bool:
        return True

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        piece = data[at : at + ZSTD_INPUT]
        try:
            out = self._d.decompress(piece)
        except self._error as error:
            text = _reason(error)
            if "memory" in text.lower():
                raise DamageError(
                    f"the zstd data needs a window larger than {MAX_WINDOW >> 20} MiB: "
                    f"decompress it first with unzstd --long=31"
                ) from None
            raise DamageError(f"the zstd data is corrupt ({text})") from None
        self.eof = self._d.eof
        return out, at + len(piece) - (len(self._d.unused_data) if self.eof else 0)


def _reason(error: Exception) -> str:
    """Return the library's own words, without the noise around them."""
    return str(error).rpartition(": ")[2].strip(". ") or type(error).__name__


class Unwrapped:
    """The decompressed bytes of one input, read forward only."""

    def __init__(self, name: str, head: bytes, more: Callable[[], bytes]) -> None:
        """Decompress `head` and then what `more` returns (`b""` at the end of the input)."""
        self._name = name
        self._data = head
        self._at = 0
        self._more = more
        self._decoder: _Decoder | None = None
        self._first = True

    def read(self) -> bytes:
        """Return the next bytes, `b""` at the end.

        Raises:
            DamageError: the compressed data is corrupt, cut, or followed by something else.
        """
        while True:
            if self._decoder is None:
                if not self._next_member():
                    return b""
                self._decoder = self._open()
            decoder = self._decoder
            if self._at >= len(self._data) and decoder.hungry():
                self._data, self._at = self._more(), 0
                if not self._data:
                    raise DamageError(f"the {self._name} data ends in the middle")
            out, self._at = decoder.decode(self._data, self._at)
            if decoder.eof:
                self._decoder = None
            if out:
                return out

    def _open(self) -> _Decoder:
        if self._name == "gzip":
            return _Gzip()
        return _Zstd() if self._name == "zstd" else _Blocks(self._name)

    def _next_member(self) -> bool:
        """Stand before the next member; False at the end of the input."""
        rest = self._data[self._at :]
        while len(rest) < 8:  # longer than every signature
            if not self._first:
                rest = rest.lstrip(b"\0")
            piece = self._more()
            if not piece:
                break
            rest += piece
        if not self._first:
            rest = rest.lstrip(b"\0")
            while not rest and (piece := self._more()):
                rest = piece.lstrip(b"\0")
        if not rest:
            return False
        if not self._first and recognise(rest) != self._name:
            raise DamageError(f"behind the {self._name} data stand bytes that are not {self._name}")
        self._first = False
        self._data, self._at = rest, 0
        return True
