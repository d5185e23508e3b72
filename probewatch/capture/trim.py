"""Payload that an analysis does not need, cut away; and secrets in HTTP headers, overwritten.

Theory of operation: each direction of a connection is followed by its sequence numbers, which are not changed, so that a
capture stays a true record of TCP: a frame that was cut says its original length, and what is overwritten keeps its length
and gets a checksum that fits (RFC 1624). Three things are done:

- What lies KEPT bytes or more behind a stream's beginning is cut: more than the analysis keeps
  (`wire.table.Limits.server_bytes`).
- `headers_only`: the bodies of HTTP/1 messages in clear are overwritten with `x`, all but the lines of the chunked coding:
  when the last byte of a body came, and whether it came, decides what a kubelet makes of it. Encrypted bytes and HTTP/2
  stay.
- `mask`: the values of header fields that carry secrets are overwritten, also where a field is spread over segments,
  and when a segment is sent again.

Limitations: as those of `bulk`: a segment in a tunnel that is not VXLAN or Geneve over IPv4, a fragment, and HTTP/2 are
left as they are. In a connection whose beginning was not captured a field that began before is not known.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Final

from probewatch.capture.bulk import tcp_header
from probewatch.model.frame import Frame

KEPT: Final = 33 * 1024
"""Bytes of each direction that are kept."""
MOST_STREAMS: Final = 16_384
"""Directions of connections that are followed; then the oldest is met anew."""
MOST_MASKED: Final = 64
"""Overwritten stretches of one direction that are remembered in case they are sent again."""

SECRET: Final = re.compile(
    rb"(?i)(?:(?:proxy-)?authorization|cookie|set-cookie|x-(?:api|auth)[\w-]*|api-?key"
    rb"|[\w-]*(?:token|secret|password)[\w-]*)[ \t]*:[ \t]*"
)
"""A header field that is overwritten, up to its value."""

_METHODS: Final = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE")
_OPENINGS: Final = (b"HTTP/1.", *(method + b" " for method in _METHODS))
"""How a message of HTTP/1 begins."""
_CHUNKED: Final = re.compile(rb"(?i)transfer-encoding[ \t]*:[^\r\n]*chunked")
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,8}")
_LONGEST_NAME: Final = 64
_HALF: Final = 0x80000000
_MASK: Final = 0xFFFFFFFF


@dataclass(slots=True)
class _Stream:
    """One direction."""

    begin: int
    """Sequence number of its first byte."""
    next: int
    """Sequence number behind what was read in order."""
    in_head: bool = False
    """Inside of the head of an HTTP/1 message."""
    line: bytes = b""
    """What is read of a line that has not ended, its beginning."""
    secret: bool = False
    """That line's value is to be overwritten."""
    http: bool = False
    """An HTTP/1 message was met."""
    chunked: bool = False
    """Its body is chunked."""
    chunk: int = 0
    """Bytes left of the chunk under way, its end of line included; 0 where a line with a size is under way."""
    masked: list[tuple[int, int]] = field(default_factory=list)
    """Sequence numbers [from, to) of what is overwritten."""

    forgotten: bool = False
    """There were more."""

    def remember(self, seq: int, length: int) -> None:
        """Let so many bytes be overwritten, now and when they are sent again."""
        self.masked.append((seq & _MASK, seq + length & _MASK))
        if len(self.masked) > MOST_MASKED:
            del self.masked[0]
            self.forgotten = True


class Trimmer:
    """Makes frames smaller and poorer in secrets."""

    def __init__(self, *, headers_only: bool = False, mask: bool = False) -> None:
        self._headers_only, self._mask = headers_only, mask
        self._streams: dict[bytes, _Stream] = {}

    def trim(self, frame: Frame) -> Frame:
        """Return a frame with what is needed of it."""
        data = frame.data
        found = tcp_header(frame.link_type, data)
        if found is None:
            return frame
        addresses, at = found
        flags, start = data[at + 13], at + (data[at + 12] >> 4) * 4
        seq = int.from_bytes(data[at + 4 : at + 8], "big")
        key = addresses + data[at : at + 4]
        stream = self._streams.get(key)
        if flags & 0x02 or stream is None:
            stream = self._met(key, seq + 1 & _MASK if flags & 0x02 else seq)
        size = len(data) - start
        if size <= 0 or flags & 0x02:
            return frame
        payload = data[start:]
        if self._headers_only or self._mask:
            self._read(stream, seq, payload)
            payload = _overwritten(payload, seq, stream.masked)
        keep = max(0, min(KEPT - _ahead(seq, stream.begin), size))
        changed = payload[:keep]
        if changed != data[start : start + keep]:
            data = _with_checksum(data, at, start, payload)
        return frame if keep == size and data is frame.data else frame._replace(data=data[: start + keep])

    def _met(self, key: bytes, begin: int) -> _Stream:
        self._streams.pop(key, None)
        stream = self._streams[key] = _Stream(begin, begin)
        if len(self._streams) > MOST_STREAMS:
            del self._streams[next(iter(self._streams))]
        return stream

    def _read(self, stream: _Stream, seq: int, payload: bytes) -> None:
        """Follow heads and bodies of messages, and remember what of them is to be overwritten."""
        ahead = _ahead(seq, stream.next)
        if ahead < 0:  # sent again: what it is was remembered, or is taken for secret
            if stream.forgotten and _ahead(seq, stream.masked[0][0]) < 0:
                stream.remember(seq, len(payload))
            return
        if ahead > 0:  # something is missing: what it was is not known
            stream.line, stream.secret = b"", stream.in_head
        stream.next = seq + len(payload) & _MASK
        if payload.startswith(_OPENINGS) or (seq == stream.begin and _may_open(payload)):
            stream.http = stream.in_head = True
            stream.line, stream.secret, stream.chunked, stream.chunk = b"", False, False, 0
        if not stream.http:
            return
        at = 0
        while at < len(payload) and stream.in_head:
            end = payload.find(b"\n", at)
            piece = payload[at:] if end < 0 else payload[at : end + 1]
            self._line(stream, seq, at, piece)
            at += len(piece)
            if end >= 0:
                stream.chunked |= _CHUNKED.match(stream.line) is not None
                stream.in_head = bool(stream.line.strip())
                stream.line, stream.secret = b"", False
        if self._headers_only and at < len(payload):
            self._body(stream, seq, at, payload)

    def _body(self, stream: _Stream, seq: int, at: int, payload: bytes) -> None:
        """Take a piece of a body: all of it is overwritten but the sizes of chunks and what follows the last one."""
        if not stream.chunked:
            stream.remember(seq + at, len(payload) - at)
            return
        while at < len(payload):
            if not stream.chunk:
                end = payload.find(b"\n", at)
                stream.line = (stream.line + payload[at : len(payload) if end < 0 else end + 1])[:_LONGEST_NAME]
                if end < 0:
                    return
                size = _SIZE.match(stream.line)
                stream.chunk = int(size[0], 16) + 2 if size and int(size[0], 16) else 0
                stream.line = b""
                at = end + 1
            taken = min(stream.chunk, len(payload) - at)
            content = min(taken, stream.chunk - 2)  # its end of line stays
            if content > 0:
                stream.remember(seq + at, content)
            stream.chunk -= taken
            at += taken

    def _line(self, stream: _Stream, seq: int, at: int, piece: bytes) -> None:
        """Take a piece of a line; remember what of it is secret."""
        begun = len(stream.line)
        if begun < _LONGEST_NAME * 2:
            stream.line += piece[: _LONGEST_NAME * 2]
        value = 0
        if not stream.secret:
            name = SECRET.match(stream.line)
            if name is None:
                return
            stream.secret = self._mask
            value = max(0, name.end() - begun)
        end = len(piece.rstrip(b"\r\n"))
        if stream.secret and value < end:
            stream.remember(seq + at + value, end - value)


def _ahead(a: int, b: int) -> int:
    """Return how far sequence number `a` is ahead of `b`, modulo 2**32."""
    return (a - b + _HALF & _MASK) - _HALF


def _may_open(payload: bytes) -> bool:
    """Return whether a first segment may be the beginning of a message's first word."""
    return any(opening.startswith(payload) for opening in _OPENINGS)


def _overwritten(payload: bytes, seq: int, masked: list[tuple[int, int]]) -> bytes:
    out = bytearray(payload)
    for first, last in masked:
        begin, end = max(0, _ahead(first, seq)), min(len(out), _ahead(last, seq))
        if begin < end:
            out[begin:end] = b"x" * (end - begin)
    return bytes(out)


def _with_checksum(data: bytes, at: int, start: int, payload: bytes) -> bytes:
    """Return a frame with another payload of the same length, and the checksum changed by as much (RFC 1624 equation 3)."""
    old, new = data[start:], payload
    if (start - at) % 2:
        old, new = b"\0" + old, b"\0" + new
    if len(old) % 2:
        old, new = old + b"\0", new + b"\0"
    words = f"!{len(old) // 2}H"
    total = ~int.from_bytes(data[at + 16 : at + 18], "big") & 0xFFFF
    total += sum(~word & 0xFFFF for word in struct.unpack(words, old)) + sum(struct.unpack(words, new))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return data[: at + 16] + struct.pack("!H", ~total & 0xFFFF) + data[at + 18 : start] + payload
