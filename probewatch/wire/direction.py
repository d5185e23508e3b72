"""Decide who is the client of a connection whose beginning the capture does not show.

Where no SYN and no SYN-ACK decides it, in this order: an endpoint that answered a SYN before (in the same capture) is
the server; a port that services use (below 1024, or registered and common) is the server's, the lower one where both
are; an endpoint that was seen with another peer before is the server's, because clients take a new port each time; a
port below the ephemeral range (32768: Linux ip_local_port_range) against one inside it is the server's. Else the sender
of the first frame is the client.

Zeek asks only the second question, for the ports its analyzers registered.
"""

from __future__ import annotations

from typing import Final

SERVICES: Final = frozenset(
    {
        1080, 1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3000, 3128, 3268, 3306, 3389, 4222, 5000, 5060, 5222,
        5432, 5601, 5672, 5900, 5985, 6379, 6443, 6666, 6667, 6668, 6669, 8000, 8008, 8080, 8081, 8088, 8090, 8181, 8200,
        8300, 8443, 8500, 8888, 9000, 9042, 9090, 9091, 9092, 9100, 9200, 9443, 10248, 10249, 10250, 10256, 11211, 15000,
        15001, 15020, 15021, 15672, 22623, 22624, 26257, 27017,
    }
)  # fmt: skip
"""Registered or customary ports of servers above 1023."""
EPHEMERAL: Final = 32768

End = tuple[str, int]


class Directions:
    """Remembers endpoints, at most `limit` of each kind; the oldest goes first."""

    __slots__ = ("_limit", "_peers", "_servers")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._servers: dict[End, None] = {}
        self._peers: dict[End, End | None] = {}

    def learn(self, server: End) -> None:
        """Remember an endpoint that answered a SYN."""
        if server not in self._servers:
            if len(self._servers) >= self._limit:
                del self._servers[next(iter(self._servers))]
            self._servers[server] = None

    def source_is_server(self, source: End, destination: End) -> bool:
        """Say whether the sender of a connection's first frame, not a SYN, is its server."""
        one, other = source in self._servers, destination in self._servers
        if one is not other:
            return one
        repeats = self._repeats(source, destination), self._repeats(destination, source)
        a, b = source[1], destination[1]
        one, other = a < 1024 or a in SERVICES, b < 1024 or b in SERVICES
        if one is not other:
            return one
        if one and a != b:
            return a < b
        if repeats[0] is not repeats[1]:
            return repeats[0]
        return a < EPHEMERAL <= b

    def _repeats(self, end: End, peer: End) -> bool:
        """Whether `end` was seen with another peer before; and remember this one."""
        peers = self._peers
        if end not in peers:
            if len(peers) >= self._limit:
                del peers[next(iter(peers))]
            peers[end] = peer
            return False
        if peers[end] != peer:
            peers[end] = None
        return peers[end] is None
