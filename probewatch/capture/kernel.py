"""The kernel's filter of a live capture: libpcap's program for an expression, and in front of it what leaves out bulk transfers.

Theory of operation: libpcap compiles the expression, fits it to the socket (a cooked one has no link header) and
attaches it. The kernel hands that program back (SO_GET_FILTER); instructions put in front of it need no fitting, since
all jumps are relative, and those that address the network header (SKF_NET_OFF) mean the same on every socket. So the
program can be exchanged while frames pass, in one step (SO_ATTACH_FILTER): libpcap's own way to set a filter throws away
what comes meanwhile.

The part in front drops what leaves by the loopback interface: it comes in again, and libpcap passes over the first of the two
(pcap-linux.c linux_check_direction), so that the kernel would count more than is handed out. Then it computes for each
TCP segment a hash of its addresses and ports, also behind the headers of VXLAN and Geneve, and compares it with those of
the transfers to be left out; of these it passes what has SYN, FIN or RST.

Sources: net/core/filter.c, include/uapi/linux/filter.h, bpf_common.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from probewatch.capture.bulk import ADDRESS_FACTOR, PORT_FACTOR, SYN_FIN_RST

EVERYTHING: Final = (
    "not udp or port 4789 or port 8472 or port 6081 or port 4754 or (ip[6:2] & 0x3fff != 0) or ip6[6] = 44"
)
"""The filter where none is given: what can be a check or says why there is none, and tunnels that may hold it."""

SNAPLEN: Final = 33 * 1024
"""Bytes copied of one frame: more than is kept of a stream (`wire.table.Limits.server_bytes`), however long segments
are that the kernel has not cut yet."""

HUGE: Final = 4 * 1024
"""Bytes copied of a frame that is longer than SNAPLEN: such a one is a bulk transfer's, or the middle of an answer far longer
than any check reads, and copied to SNAPLEN a few thousand of them fill the ring before the transfer is known."""

_SO_ATTACH_FILTER: Final = 26
_SO_GET_FILTER: Final = 26
_NET: Final = 0xFFF00000
"""SKF_NET_OFF: offsets from there count from the network header."""
_PROTOCOL: Final = 0xFFFFF000
"""SKF_AD_OFF + SKF_AD_PROTOCOL: the EtherType, behind a VLAN tag that was taken off."""
_DIRECTION: Final = 0xFFFFF004
"""SKF_AD_OFF + SKF_AD_PKTTYPE: whom a frame is for ..."""
_OUTGOING: Final = 4
"""... and that it goes out (PACKET_OUTGOING)."""
_INTERFACE: Final = 0xFFFFF008
"""SKF_AD_OFF + SKF_AD_IFINDEX: the interface's number ..."""
_LOOPBACK: Final = 1
"""... which for the loopback interface is the same in each network namespace (LOOPBACK_IFINDEX)."""

# bpf_common.h: class | size | mode
_LD_W_ABS, _LD_H_ABS, _LD_B_ABS = 0x20, 0x28, 0x30
_LD_W_IND, _LD_H_IND, _LD_B_IND = 0x40, 0x48, 0x50
_LD_IMM, _LD_LEN, _LD_MEM, _LDX_MEM, _ST = 0x00, 0x80, 0x60, 0x61, 0x02
_ADD_K, _ADD_X, _MUL_K, _MUL_X, _AND_K, _LSH_K, _XOR_X = 0x04, 0x0C, 0x24, 0x2C, 0x54, 0x64, 0xAC
_JA, _JEQ, _JGE, _JSET = 0x05, 0x15, 0x35, 0x45
_RET_K, _TAX = 0x06, 0x07

Instruction = tuple[int, int, int, int]
"""(code, jt, jf, k) of struct sock_filter."""

_TCP, _UDP = 6, 17


class _Assembler:
    """Instructions with names for their jumps' goals ahead."""

    def __init__(self) -> None:
        self._made: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}

    def put(self, code: int, k: int = 0) -> None:
        """Add an instruction."""
        self._made.append((code, k, "", ""))

    def jump(self, code: int, k: int, true: str = "", false: str = "") -> None:
        """Add a conditional jump; an empty goal is the next instruction."""
        self._made.append((code, k, true, false))

    def go(self, goal: str) -> None:
        """Add a jump of any length."""
        self._made.append((_JA, 0, goal, ""))

    def label(self, name: str) -> None:
        """Name the next instruction."""
        self._labels[name] = len(self._made)

    def done(self) -> list[Instruction]:
        """Return the instructions. A conditional jump has 8 bits: what lies further ahead is reached by `go`."""
        out: list[Instruction] = []
        for here, (code, k, true, false) in enumerate(self._made):
            goals = [self._labels[name] - here - 1 if name else 0 for name in (true, false)]
            out.append((code, 0, 0, goals[0]) if code == _JA else (code, goals[0], goals[1], k))
        return out


_WHOLE, _ADDRESSES, _BASE, _PORT, _PORT2 = 0, 1, 2, 3, 4
"""Cells of scratch memory: the two hashes, where the IP header begins behind the first one, the ports."""

_SHORTEST4, _SHORTEST6, _SHORTEST_TUNNEL = 48, 68, 400
"""Bytes of frames that are looked into: a load beyond a frame's end would end the program and drop the frame."""


def leaving_out(flows: Iterable[tuple[int, int]]) -> list[Instruction]:
    """Return the part in front of a filter that drops what leaves by the loopback interface, and these transfers' frames.

    Their hashes are those of `bulk.hashes`.
    """
    made = _Assembler()
    made.put(_LD_W_ABS, _INTERFACE)
    made.jump(_JEQ, _LOOPBACK, "", "once")
    made.put(_LD_W_ABS, _DIRECTION)
    made.jump(_JEQ, _OUTGOING, "", "once")
    made.put(_RET_K, 0)
    made.label("once")
    made.put(_LD_IMM, 0)
    made.put(_ST, _BASE)
    made.put(_TAX)
    made.put(_LD_H_ABS, _PROTOCOL)
    made.jump(_JEQ, 0x86DD, "ipv6")
    made.jump(_JEQ, 0x0800, "", "out")
    made.put(_LD_LEN)
    made.jump(_JGE, _SHORTEST4, "", "out")
    made.put(_LD_B_ABS, _NET + 9)
    made.jump(_JEQ, _UDP, "", "ipv4")
    _enter_tunnel(made)
    made.label("ipv4")
    made.put(_LD_B_IND, _NET + 9)
    made.jump(_JEQ, _TCP, "", "out")
    made.put(_LD_B_IND, _NET)
    made.jump(_JEQ, 0x45, "", "out")
    made.put(_LD_H_IND, _NET + 6)
    made.jump(_JSET, 0x3FFF, "out")
    _hash_addresses(made, [(12, 16)])
    made.put(_LD_MEM, _BASE)
    made.put(_ADD_K, 20)
    made.put(_TAX)
    made.go("tcp")
    made.label("out")
    made.go("end")
    made.label("ipv6")
    made.put(_LD_LEN)
    made.jump(_JGE, _SHORTEST6, "", "out6")
    made.put(_LD_B_IND, _NET + 6)
    made.jump(_JEQ, _TCP, "", "out6")
    _hash_addresses(made, [(8 + 4 * word, 24 + 4 * word) for word in range(4)])
    made.put(_LD_MEM, _BASE)
    made.put(_ADD_K, 40)
    made.put(_TAX)
    made.label("tcp")
    made.put(_LD_B_IND, _NET + 13)
    made.jump(_JSET, SYN_FIN_RST, "out6")
    _hash_ports(made)
    made.go("compare")
    made.label("out6")
    made.go("end")
    made.label("compare")
    for number, (whole, of_addresses) in enumerate(flows):
        made.jump(_JEQ, whole, "", f"next{number}")
        made.put(_LD_MEM, _ADDRESSES)
        made.jump(_JEQ, of_addresses, "", f"chance{number}")
        made.put(_RET_K, 0)
        made.label(f"chance{number}")
        made.put(_LD_MEM, _WHOLE)
        made.label(f"next{number}")
    made.label("end")
    return made.done()


def _enter_tunnel(made: _Assembler) -> None:
    """Step over IPv4, UDP, VXLAN or Geneve and Ethernet, if that is what there is; leave X and the base at the inner header."""
    made.put(_LD_LEN)
    made.jump(_JGE, _SHORTEST_TUNNEL, "", "out")
    made.put(_LD_B_ABS, _NET)
    made.jump(_JEQ, 0x45, "", "out")
    made.put(_LD_H_ABS, _NET + 22)
    made.jump(_JEQ, 4789, "vxlan")
    made.jump(_JEQ, 8472, "vxlan")
    made.jump(_JEQ, 6081, "", "out")
    made.put(_LD_B_ABS, _NET + 28)  # (RFC 8926 section 3.4: length of the options, in words)
    made.put(_AND_K, 0x3F)
    made.put(_LSH_K, 2)
    made.go("inside")
    made.label("vxlan")
    made.put(_LD_IMM, 0)
    made.label("inside")
    made.put(_ADD_K, 20 + 8 + 8 + 14)
    made.put(_ST, _BASE)
    made.put(_TAX)
    made.put(_LD_H_IND, _NET - 2 & 0xFFFFFFFF)
    made.jump(_JEQ, 0x86DD, "ipv6")
    made.jump(_JEQ, 0x0800, "", "out")


def _hash_addresses(made: _Assembler, words: Sequence[tuple[int, int]]) -> None:
    """Put the hash of both addresses into its cell: of pairs of words, from their offsets in the IP header."""
    made.put(_LD_IMM, 0)
    made.put(_ST, _ADDRESSES)
    for pair in words:
        made.put(_LD_MEM, _ADDRESSES)
        made.put(_MUL_K, ADDRESS_FACTOR)
        made.put(_ST, _ADDRESSES)
        for offset in pair:
            made.put(_LDX_MEM, _BASE)
            made.put(_LD_W_IND, _NET + offset)
            made.put(_LDX_MEM, _ADDRESSES)
            made.put(_ADD_X)
            made.put(_ST, _ADDRESSES)


def _hash_ports(made: _Assembler) -> None:
    """Put the hash of everything into A and its cell; X is where the TCP header begins."""
    made.put(_LD_H_IND, _NET)
    made.put(_ST, _PORT)
    made.put(_LD_H_IND, _NET + 2)
    made.put(_ST, _PORT2)
    made.put(_LDX_MEM, _PORT)
    made.put(_MUL_X)
    made.put(_MUL_K, PORT_FACTOR)
    made.put(_ADD_X)
    made.put(_LDX_MEM, _PORT2)
    made.put(_ADD_X)
    made.put(_LDX_MEM, _ADDRESSES)
    made.put(_XOR_X)
    made.put(_ST, _WHOLE)


class KernelFilter:
    """The filter of one capturing socket, exchanged while frames pass."""

    def __init__(self, descriptor: int) -> None:
        """Take over the filter that libpcap attached to a socket.

        Raises:
            OSError: the kernel does not tell it.
        """
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._base = measured(_attached(self._socket.fileno()))
        self.pass_nothing()

    def pass_nothing(self) -> None:
        """Drop everything, uncounted, until `leave_out` is called: nobody is there yet to empty the ring."""
        self._attach([(_RET_K, 0, 0, 0)])

    def leave_out(self, flows: Iterable[tuple[int, int]]) -> None:
        """Pass of these transfers only frames with SYN, FIN or RST, of everything else what the expression says."""
        self._attach([*leaving_out(flows), *self._base])

    def _attach(self, program: Sequence[Instruction]) -> None:
        packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
        held = ctypes.create_string_buffer(packed, len(packed))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(held))
        )

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


def measured(program: Sequence[Instruction]) -> list[Instruction]:
    """Return a filter that says of what passes how much of it is copied: SNAPLEN, or HUGE of what is longer."""
    length = len(program)
    return [
        *(
            (_JA, 0, 0, length - here - 1) if code == _RET_K and k else (code, true, false, k)
            for here, (code, true, false, k) in enumerate(program)
        ),
        (_LD_LEN, 0, 0, 0),
        (_JGE, 0, 1, SNAPLEN + 1),
        (_RET_K, 0, 0, HUGE),
        (_RET_K, 0, 0, SNAPLEN),
    ]


def _attached(descriptor: int) -> list[Instruction]:
    """Return the program that is attached to a socket."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_uint(0)
    held = (ctypes.c_uint64 * 0)()
    for _ in range(2):  # the first call tells the number of instructions
        if libc.getsockopt(descriptor, socket.SOL_SOCKET, _SO_GET_FILTER, held or None, ctypes.byref(number)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        held = held or (ctypes.c_uint64 * number.value)()
    return list(struct.iter_unpack("=HBBI", bytes(held)))
