"""What is kept of a connection once it was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from probewatch.model.connection import Connection

KEPT_ARRIVALS: Final = 16
"""Moments at which a stream grew that are kept once it has been read."""
STATUS_BYTES: Final = 13
"""Bytes of a server's stream that are kept once it has been read: `HTTP/1.1 200` and the blank after it."""


def slim(connection: Connection) -> Connection:
    """Return a connection without its bytes: what was said on it has been read; only the status of a late answer may yet be wanted."""
    orig, resp = connection.orig, connection.resp
    return replace(
        connection,
        orig=replace(orig, data=b"", arrivals=orig.arrivals[:KEPT_ARRIVALS]),
        resp=replace(resp, data=resp.data[:STATUS_BYTES], arrivals=resp.arrivals[:KEPT_ARRIVALS]),
    )
