"""Captures damaged in their structure: what bytes changed at random seldom reach.

Records and blocks that claim other lengths, are swapped, there twice, missing or cut; times that go back or jump by ten
years; in frames: IPv4 fragments, IPv6 extension headers, TCP options and header lengths that are not what follows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal

Order = Literal["little", "big"]
PCAP: Final[dict[bytes, Order]] = {
    b"\xd4\xc3\xb2\xa1": "little", b"\x4d\x3c\xb2\xa1": "little", b"\xa1\xb2\xc3\xd4": "big", b"\xa1\xb2\x3c\x4d": "big",
}  # fmt: skip
DECADE_S: Final = 10 * 365 * 86_400
EXTENSIONS: Final = (0, 43, 44, 51, 60, 135, 139, 140)
"""IPv6 extension headers: hop-by-hop, routing, fragment, AH, destination options, mobility, HIP, shim6."""
OPTIONS: Final = (
    b"\x02\x04\x05\xb4", b"\x08\x0a" + bytes(8), b"\x05\x0a" + bytes(8), b"\x03\x00", b"\x05\xff", b"\x00", b"\x01", b"\xfd\x01",
)  # fmt: skip
"""TCP options: MSS, timestamps, SACK, a length of nought, one beyond the end, the end, padding, an unknown one."""


def split(data: bytes) -> tuple[bytes, list[bytearray], Order, int] | None:
    """Return head, records, byte order, and where a record's frame begins; None of what is neither pcap nor pcapng."""
    order = PCAP.get(data[:4])
    if order is not None:
        at, records = 24, []
        while at + 16 <= len(data):
            end = at + 16 + int.from_bytes(data[at + 8 : at + 12], order)
            records.append(bytearray(data[at:end]))
            at = end
        return data[:24], records, order, 16
    if data[:4] == b"\x0a\x0d\x0d\x0a" and len(data) > 12:
        order = "little" if data[8:12] == b"\x4d\x3c\x2b\x1a" else "big"
        at, records = 0, []
        while at + 12 <= len(data):
            end = at + max(12, int.from_bytes(data[at + 4 : at + 8], order))
            records.append(bytearray(data[at:end]))
            at = end
        return b"", records, order, 28
    return None


def _length(record: bytearray, rng: random.Random, order: Order, head: int) -> None:
    """Claim another length: captured, on the wire, of the block (at either end)."""
    places = (8, 12) if head == 16 else (4, 20, 24, len(record) - 4)
    at = rng.choice(places)
    if 0 <= at <= len(record) - 4:
        old = int.from_bytes(record[at : at + 4], order)
        new = rng.choice((0, 1, old - 1, old + 1, old + 4, old * 2, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1))
        record[at : at + 4] = (new & 0xFFFFFFFF).to_bytes(4, order)


def _time(record: bytearray, rng: random.Random, order: Order, head: int) -> None:
    """Go back, jump by a decade, to the beginning or the end of all times."""
    at = 0 if head == 16 else 12
    if len(record) >= at + 8:
        old = int.from_bytes(record[at : at + 4], order)
        step = DECADE_S if head == 16 else DECADE_S * 1_000_000 >> 32
        new = rng.choice((0, old - 1, old + 1, old - step, old + step, 0xFFFFFFFF))
        record[at : at + 4] = (new & 0xFFFFFFFF).to_bytes(4, order)


def _frame(record: bytearray, rng: random.Random, _: Order, head: int) -> None:
    """Say of an IP packet in Ethernet or cooked frames that it is a fragment, has extension headers or other TCP options."""
    for at in (head + 14, head + 16, head + 20):
        if len(record) >= at + 60 and record[at] >> 4 == 4 and record[at + 9] == 6:
            tcp = at + (record[at] & 15) * 4
            what = rng.randrange(4)
            if what == 0:
                record[at + 6 : at + 8] = rng.choice((0x2000, 0x2001, 0x00B9, 0x3FFF, 0x8000)).to_bytes(2, "big")
            elif what == 1:
                record[at + 2 : at + 4] = rng.randrange(1 << 16).to_bytes(2, "big")
            else:
                _tcp(record, rng, tcp)
            return
        if len(record) >= at + 60 and record[at] >> 4 == 6:
            if rng.random() < 0.5:
                record[at + 6] = rng.choice(EXTENSIONS)
                record[at + 40] = rng.choice((6, *EXTENSIONS))
                record[at + 41] = rng.choice((0, 1, 2, 255))
            else:
                _tcp(record, rng, at + 40)
            return


def _tcp(record: bytearray, rng: random.Random, at: int) -> None:
    if len(record) > at + 20:
        record[at + 12] = rng.choice((0, 0x40, 0x50, 0x60, 0x80, 0xF0)) | record[at + 12] & 15
        option = rng.choice(OPTIONS)
        record[at + 20 : at + 20 + len(option)] = option


_WITHIN: Final[tuple[Callable[[bytearray, random.Random, Order, int], None], ...]] = (_length, _time, _frame, _frame)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return a capture with some of its records damaged; as it is where it has none."""
    parts = split(data)
    if parts is None or not parts[1]:
        return data
    head, records, order, begin = parts
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at, to = rng.randrange(len(records)), rng.randrange(len(records))
        match rng.randrange(8):
            case 0:
                records[at], records[to] = records[to], records[at]
            case 1:
                records.insert(to, records[at][:])
            case 2 if len(records) > 1:
                del records[at]
            case 3:
                records[at] = records[at][: rng.randrange(len(records[at]) + 1)]
            case _:
                records[at] = records[at][:]
                rng.choice(_WITHIN)(records[at], rng, order, begin)
    return head + b"".join(records)
