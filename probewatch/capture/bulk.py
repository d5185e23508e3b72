"""Which connections are bulk transfers: what they still send need not be copied, because no check of any checker reads so far.

Theory of operation: nothing in a single frame tells the middle of a long download from the middle of a probe's answer, so
nothing is left out by its looks. A connection is copied whole until BULK_BYTES of large frames of it were seen, far
more than a kubelet reads of an answer (10 KiB, http.go maxRespBodyLength) or the analysis keeps of a stream
(`wire.table.Limits`). From then on the kernel's filter passes only its frames with SYN, FIN or RST: its end is seen, and
a new connection with the same ports is followed from its SYN.

Limitations: TCP over IPv4 and IPv6 without options and extension headers, in clear, behind one VLAN tag that the kernel
took off, or in VXLAN and Geneve over IPv4; what else is bulk is copied. Frames that a new connection with the ports of
one that was left out sends within a few milliseconds of its SYN, without the old one having ended, are lost.
"""

from __future__ import annotations

import struct
from typing import Final

from probewatch.capture.linktypes import ETHERNET, SLL2

BULK_BYTES: Final = 1 << 20
"""Bytes in large frames of one connection, at all interfaces together, after which it is a bulk transfer."""
LARGE: Final = 1_000
"""Bytes on the wire of a frame that counts."""
MOST_BULK: Final = 256
"""Bulk transfers that the kernel leaves out at the same time; of more, the one known longest is copied again."""
COUNTED: Final = 16_384
"""Connections whose large frames are counted; then counting begins anew."""

_LINK: Final = {ETHERNET: (14, 12), SLL2: (20, 0)}
"""Link type -> (where IP begins, where its EtherType stands)."""
_IPV4, _IPV6, _VLAN = b"\x08\x00", b"\x86\xdd", b"\x81\x00"
_TCP, _UDP = 6, 17
SYN_FIN_RST: Final = 0x07
"""Flags that a frame of a bulk transfer must have to be copied."""
_VXLAN: Final = (4789, 8472)
_GENEVE: Final = 6081
_MASK: Final = 0xFFFFFFFF


class Bulk:
    """Counts large frames by connection, and knows the bulk transfers."""

    def __init__(self) -> None:
        self.left_out: dict[bytes, tuple[int, int]] = {}
        """Connections to be left out, by their addresses and ports, in the order they were found, with their hashes."""
        self.found = 0
        """How many were found in all."""
        self._bytes: dict[bytes, int] = {}

    def note(self, link_type: int, data: bytes, original_length: int) -> bool:
        """Take note of a frame; return whether `left_out` changed."""
        if original_length < LARGE and not self.left_out:
            return False
        found = tcp_header(link_type, data)
        if found is None:
            return False
        addresses, at = found
        ports = data[at : at + 4]
        if data[at + 13] & SYN_FIN_RST:
            return bool(self.left_out) and self._forget(addresses, ports)
        if original_length < LARGE:
            return False
        flow = addresses + ports
        seen = self._bytes[flow] = self._bytes.get(flow, 0) + original_length
        if seen < BULK_BYTES or flow in self.left_out:
            return False
        self._leave_out(flow, addresses, ports)
        return True

    def _leave_out(self, flow: bytes, addresses: bytes, ports: bytes) -> None:
        self.found += 1
        self._bytes.pop(flow, None)
        self.left_out[flow] = hashes(addresses, ports)
        while len(self.left_out) > MOST_BULK:
            del self.left_out[next(iter(self.left_out))]
        if len(self._bytes) > COUNTED:
            self._bytes.clear()

    def _forget(self, addresses: bytes, ports: bytes) -> bool:
        half = len(addresses) // 2
        back = addresses[half:] + addresses[:half] + ports[2:] + ports[:2]
        here = self.left_out.pop(addresses + ports, None)
        there = self.left_out.pop(back, None)
        return here is not None or there is not None


def hashes(addresses: bytes, ports: bytes) -> tuple[int, int]:
    """Return what the kernel's program computes of a connection: (all of it, its addresses), the same in both directions."""
    half = len(addresses) // 2
    words = struct.unpack(f"!{half // 4}I", addresses[:half]), struct.unpack(f"!{half // 4}I", addresses[half:])
    of_addresses = 0
    for ours, theirs in zip(*words, strict=True):
        of_addresses = (of_addresses * ADDRESS_FACTOR + ours + theirs) & _MASK
    source, destination = struct.unpack("!HH", ports)
    of_ports = (source * destination * PORT_FACTOR + source + destination) & _MASK
    return of_addresses ^ of_ports, of_addresses


ADDRESS_FACTOR: Final = 0x01000193
PORT_FACTOR: Final = 0x9E3779B1
"""Odd numbers that spread what they multiply (FNV's prime, the golden ratio)."""


def tcp_header(link_type: int, data: bytes) -> tuple[bytes, int] | None:
    """Return the addresses of a TCP segment and where its header begins, inside of a tunnel if it is in one; None for all else."""
    known = _LINK.get(link_type)
    if known is None:
        return None
    at, kind_at = known
    kind = data[kind_at : kind_at + 2]
    if kind == _VLAN:
        at, kind = at + 4, data[at + 2 : at + 4]
    for _ in range(2):
        if kind == _IPV4:
            if len(data) < at + 40 or data[at] != 0x45 or data[at + 6] & 0x3F or data[at + 7]:
                return None
            protocol, addresses, up = data[at + 9], data[at + 12 : at + 20], at + 20
        elif kind == _IPV6:
            if len(data) < at + 60:
                return None
            protocol, addresses, up = data[at + 6], data[at + 8 : at + 40], at + 40
        else:
            return None
        if protocol == _TCP:
            return addresses, up
        if protocol != _UDP or kind != _IPV4:
            return None
        port = data[up + 2] << 8 | data[up + 3]
        if port in _VXLAN:
            at = up + 16 + 14
        elif port == _GENEVE:
            at = up + 16 + (data[up + 8] & 0x3F) * 4 + 14
        else:
            return None
        kind = data[at - 2 : at]
    return None
