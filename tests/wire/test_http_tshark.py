"""Differential: the HTTP statuses of every capture, connection by connection, against tshark.

Covers `wire.http1`, `wire.exchange`, `wire.tcp`.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from probewatch.capture import CaptureError, Reader
from probewatch.model.connection import Connection
from probewatch.wire.exchange import read_exchange
from probewatch.wire.http1 import KEPT_EXCHANGES
from probewatch.wire.packets import Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.tcp import Tracker

Key = tuple[str, str]
"""Server port and client port."""

pytestmark = pytest.mark.oracle


def ours(path: Path) -> tuple[dict[Key, Counter[str]], set[Key]]:
    """Return our statuses by connection, interim ones too, and the connections to leave out.

    Those have more requests than are kept, or miss bytes: tshark reads a status line behind a gap, we do not trust one there.
    """
    tracker, peeler = Tracker(), Peeler()
    with Reader(str(path), 0) as frames:
        for frame in frames:
            packet = peeler.peel(frame)
            if isinstance(packet, Segment):
                tracker.segment(packet)
    if tracker.stats.duplicates:
        pytest.skip("frames were seen at several vantage points: tshark reads each copy")
    statuses: dict[Key, Counter[str]] = {}
    left_out: set[Key] = set()
    latest: dict[int, Connection] = {}
    for item in tracker.take() + tracker.finish():
        if isinstance(item, Connection):
            latest[item.id] = item
    for connection in latest.values():
        exchange = read_exchange(connection)
        key = (str(connection.server_port), str(connection.client_port))
        halves = (connection.orig, connection.resp)
        lossy = connection.midstream or any(half.gap is not None or not half.syns for half in halves)
        if exchange.requests > KEPT_EXCHANGES or lossy:
            left_out.add(key)
        told = statuses.setdefault(key, Counter())
        for http in exchange.http:
            told.update(str(status) for status in http.interim)
            if http.status is not None:
                told[str(http.status)] += 1
        if exchange.tls is not None and exchange.tls.plain_status is not None:
            told[str(exchange.tls.plain_status)] += 1
    return statuses, left_out


def theirs(path: Path) -> dict[Key, Counter[str]]:
    """Return tshark's statuses by connection."""
    fields = ["-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "http.response.code"]
    command = ["tshark", "-n", "-r", str(path), "-Y", "http.response.code", "-T", "fields", "-E", "occurrence=l", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    statuses: dict[Key, Counter[str]] = {}
    for line in done.stdout.splitlines():
        server, client, code = line.split("\t")
        statuses.setdefault((server, client), Counter())[code] += 1
    return statuses


def test_every_status_of_tshark_is_ours(tshark: str, capture_file: Path) -> None:
    """Whatever status tshark reads on a connection we read there as often (it prints none where a body never came whole)."""
    assert tshark
    try:
        mine, left_out = ours(capture_file)
    except CaptureError:
        pytest.skip("not a capture that can be read")
    missing = {
        key: codes - mine.get(key, Counter())
        for key, codes in theirs(capture_file).items()
        if key not in left_out and codes - mine.get(key, Counter())
    }
    assert missing == {}
