"""Addresses as text, and the caches that keep them."""

from __future__ import annotations

import ipaddress
import socket

from hypothesis import example, given
from hypothesis import strategies as st

from probewatch.wire.addresses import AddressTexts, LaneBook, text_of


@given(st.binary(min_size=4, max_size=4))
def test_ipv4_is_dotted_decimal(raw: bytes) -> None:
    """An IPv4 address reads as Python's ipaddress writes it."""
    assert text_of(raw) == str(ipaddress.IPv4Address(raw))


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFD00, 0xFFFF]), min_size=8, max_size=8))
@example([0] * 8)
@example([0xFD00, 0, 0, 1, 0, 0, 0, 0])
@example([1, 2, 3, 4, 5, 6, 7, 0])
@example([1, 0, 3, 4, 5, 0, 0, 8])
def test_ipv6_is_canonical(groups: list[int]) -> None:
    """An IPv6 address reads as RFC 5952 demands: the longest run of zeros shortened, the first of equal ones."""
    raw = b"".join(group.to_bytes(2, "big") for group in groups)
    if groups[:6] == [0, 0, 0, 0, 0, 0xFFFF]:
        assert text_of(raw) == socket.inet_ntop(socket.AF_INET6, raw)
    else:
        assert text_of(raw) == ipaddress.IPv6Address(raw).compressed


def test_mapped_address_ends_in_dotted_decimal() -> None:
    """An IPv4-mapped address reads the same on every Python version."""
    assert text_of(bytes(10) + b"\xff\xff\x0a\x00\x00\x01") == "::ffff:10.0.0.1"


def test_caches_stay_within_their_limits() -> None:
    """Any number of addresses and lanes leaves at most the limit in the caches, and every answer is right."""
    texts, lanes = AddressTexts(8), LaneBook(8)
    for number in range(100):
        assert texts[number.to_bytes(4, "big")] == f"0.0.0.{number}"
        assert lanes[number, -1, -1, b"", b"", -1, "", ""].interface == number
        assert len(texts) <= 8
        assert len(lanes) <= 8


def test_lanes_are_shared() -> None:
    """Packets that travelled alike have one lane, not equal ones."""
    lanes = LaneBook(8)
    key = (0, 3, 4, b"\1" * 6, b"", 7, "", "")
    assert lanes[key] is lanes[key]
