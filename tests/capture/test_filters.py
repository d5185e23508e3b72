"""Filters in pcap syntax, judged by libpcap on any link type."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.capture import CaptureError
from probewatch.capture.filters import Filter, FilterError
from probewatch.model.frame import Frame

TCP4 = bytes.fromhex("4500002800000000400600000a8000010a80000a") + struct.pack("!HHIIBBHHH", 50000, 8080, 0, 0, 0x50, 2, 0, 0, 0)
TCP6 = (bytes.fromhex("6000000000140640") + bytes.fromhex("fd000000000000000000000000000001fd00000000000000000000000000000a")
        + TCP4[20:])
MACS = bytes(12)


def frame(link_type: int, data: bytes, length: int | None = None) -> Frame:
    """Return a frame of this link type."""
    return Frame(0, 0, 1, 0, link_type, data, len(data) if length is None else length)


SHAPES = {
    "ethernet": (1, MACS + b"\x08\x00" + TCP4), "raw": (101, TCP4), "ipv4": (228, TCP4),
    "cooked": (113, bytes(14) + b"\x08\x00" + TCP4), "cooked2": (276, b"\x08\x00" + bytes(18) + TCP4),
    "ethernet6": (1, MACS + b"\x86\xdd" + TCP6), "raw6": (101, TCP6), "cooked2-6": (276, b"\x86\xdd" + bytes(18) + TCP6),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_one_expression_on_every_link_type(shape) -> None:
    """The same expression finds the same packet behind Ethernet, cooked and raw headers, IPv4 and IPv6."""
    packet = frame(*SHAPES[shape])
    assert Filter("tcp port 8080").matches(packet)
    assert not Filter("tcp port 8081").matches(packet)
    assert Filter("").matches(packet)


def test_length_on_the_wire_counts() -> None:
    """`greater` looks at the original length, not at what a snapshot length left."""
    link_type, data = SHAPES["ethernet"]
    assert Filter("greater 1000").matches(frame(link_type, data, 1500))
    assert not Filter("greater 1000").matches(frame(link_type, data))


@pytest.mark.parametrize("expression", ["port", "host 300.1.1.1", "tcp and (", "\x1b[2J", "é", "a" * 5000])
def test_nonsense_is_refused_at_once(expression) -> None:
    """A bad expression is one printable sentence before any frame is read."""
    with pytest.raises(FilterError) as caught:
        Filter(expression)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_meaningless_on_a_link_type_is_said() -> None:
    """An expression that has no meaning on one link type is an error there, and not a silent no."""
    vlan = Filter("vlan")
    assert not vlan.matches(frame(*SHAPES["ethernet"]))
    with pytest.raises(CaptureError, match="link type RAW"):
        vlan.matches(frame(*SHAPES["raw"]))


@given(st.sampled_from([1, 101, 113, 276, 228]), st.binary(max_size=80), st.integers(0, 2**40))
def test_any_bytes_have_a_verdict(link_type: int, data: bytes, length: int) -> None:
    """Cut and nonsensical frames match or do not."""
    assert Filter("tcp[13] & 2 != 0 or ip6[53] & 2 != 0").matches(frame(link_type, data, length)) in (True, False)
