"""What a connection was that somebody logged: the answers of `probewatch who`."""

from __future__ import annotations

from dataclasses import dataclass

from .connection import Connection
from .timeline import Attempt, OtherTraffic, Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One connection of an endpoint, or several that are the same probe's, and whose it was."""

    connections: tuple[Connection, ...]
    """In time order: one where the endpoint is its client, all of them where it is the server."""
    probe: Probe | None = None
    attempts: tuple[Attempt, ...] = ()
    """Those of the probe that these connections belong to."""
    other: OtherTraffic | None = None
    """What its client did besides, where it is no probe's."""
    what: str
    """What was seen of it, in a clause: `connects, and closes without a ClientHello or any other byte`."""
    logged: tuple[str, ...] = ()
    """What servers say in their logs of such a connection, and which."""
