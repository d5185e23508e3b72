"""ARP (RFC 826) and Neighbour Discovery (RFC 4861): who asks for whom, and who answers.

Only the messages are decoded here, and only for IPv4 and IPv6: an attempt to a pod that does not answer them leaves
no SYN.
"""

from __future__ import annotations

import struct
from typing import Final

from probewatch.wire.layers import Step, Walk
from probewatch.wire.packets import Neighbour

_ARP: Final = struct.Struct("!HHBBH")
_IPV4: Final = 0x0800
_REQUEST, _REPLY = 1, 2
_SOLICITATION: Final = 135


def arp(walk: Walk) -> Step:
    """Decode an ARP message for IPv4, over any hardware.

    An announcement (a request for the sender's own address, RFC 5227 section 2.3) asks nothing: it is told as an
    answer.
    """
    data, at, end = walk.data, walk.at, walk.end
    if end - at < 8:
        return walk.short("arp", 8)
    _, protocol, hardware_size, size, operation = _ARP.unpack_from(data, at)
    if protocol != _IPV4 or size != 4 or operation not in (_REQUEST, _REPLY):
        return walk.other("arp")
    needed = 16 + 2 * hardware_size
    if end - at < needed:
        return walk.short("arp", needed)
    texts = walk.memory.texts
    sender = at + 8 + hardware_size
    mac = data[at + 8 : sender]
    raw_source, raw_target = data[sender : sender + 4], data[at + needed - 4 : at + needed]
    source, target = texts[raw_source], texts[raw_target]
    if operation == _REQUEST and raw_source != raw_target:
        return Neighbour(walk.mark, walk.lane(), True, source, target, mac)
    return Neighbour(walk.mark, walk.lane(), False, target, source, mac)


def discovery(walk: Walk) -> Step:
    """Decode a Neighbour Solicitation or Advertisement (RFC 4861 sections 4.3, 4.4).

    The hardware address is that of the option (source or target link-layer address), else that of the frame: a sender
    may leave the option out of unicast messages and of duplicate address probes. A hop limit below 255 has come
    through a router: receivers ignore such messages (section 7.1), so they are plain ICMP here.
    """
    data, at, end = walk.data, walk.at, walk.end
    if walk.ttl != 255:
        return walk.other("icmp")
    if end - at < 24:
        return walk.short("nd", 24)
    request = data[at] == _SOLICITATION
    texts = walk.memory.texts
    target = texts[data[at + 8 : at + 24]]
    mac = _option(data, at + 24, end, 1 if request else 2) or walk.source_mac
    asker = walk.source if request else walk.destination
    return Neighbour(walk.mark, walk.lane(), request, asker, target, mac)


def _option(data: bytes, at: int, end: int, wanted: int) -> bytes:
    """Return the link-layer address of the first option of a type; lengths count 8 bytes, and 0 ends the reading."""
    while end - at >= 8:
        size = data[at + 1] * 8
        if size == 0 or at + size > end:
            break
        if data[at] == wanted:
            return data[at + 2 : at + 8]
        at += size
    return b""
