"""What is let go of a connection once it was read: its bytes, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

from probewatch.model.connection import Arrival, Connection, Half
from probewatch.model.exchange import Exchange
from probewatch.model.frame import Mark
from probewatch.observer.slim import KEPT_ARRIVALS, STATUS_BYTES, slim, slim_exchange


def told(kind: type) -> dict[str, object]:
    """Return a value other than the default for each field of a class."""
    return {one.name: f"{kind.__name__}.{one.name}" for one in fields(kind)}


def long_half() -> Half:
    """Return a direction with more bytes and arrivals than are kept, and every other field told."""
    arrivals = tuple(Arrival(number, Mark(number, 0, number)) for number in range(KEPT_ARRIVALS + 3))
    return Half(**{**told(Half), "data": b"HTTP/1.1 200 OK\r\n\r\nhello", "arrivals": arrivals})


def test_all_but_the_bytes_and_the_latest_arrivals_is_kept() -> None:
    """Every field of a connection and of its halves outlives being made slim, those too that are added later."""
    half = long_half()
    whole = Connection(**{**told(Connection), "orig": half, "resp": half})

    got = slim(whole)

    arrivals = half.arrivals[:KEPT_ARRIVALS]
    assert got == replace(
        whole,
        orig=replace(half, data=b"", arrivals=arrivals),
        resp=replace(half, data=half.data[:STATUS_BYTES], arrivals=arrivals),
    )


def test_an_exchange_keeps_all_that_was_read() -> None:
    """Every field of an exchange outlives its connection's being made slim."""
    half = long_half()
    connection = Connection(**{**told(Connection), "orig": half, "resp": half})
    whole = Exchange(**{**told(Exchange), "connection": connection})

    assert slim_exchange(whole) == replace(whole, connection=slim(connection))
