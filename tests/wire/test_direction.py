"""Who is the client where no SYN tells."""

from __future__ import annotations

import pytest

from probewatch.wire.direction import Directions


@pytest.mark.parametrize(
    ("source", "destination", "server"),
    [
        (80, 40000, True), (40000, 80, False), (8080, 40000, True), (22, 80, True), (443, 80, False), (5555, 40000, True),
        (40000, 50000, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("hosts", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_ports_decide(hosts: tuple[str, str], source: int, destination: int, server: bool) -> None:
    """A service's port, the lower of two, one below the ephemeral range is the server's; else the first to speak is the client."""
    assert Directions(10).source_is_server((hosts[0], source), (hosts[1], destination)) is server


def test_known_servers_win_over_ports() -> None:
    """An endpoint that answered a SYN is the server even against port 80."""
    directions = Directions(10)
    directions.learn(("10.0.0.1", 50000))

    assert directions.source_is_server(("10.0.0.1", 50000), ("10.0.0.2", 80))
    assert not directions.source_is_server(("10.0.0.2", 80), ("10.0.0.1", 50000))


def test_repeated_endpoints_are_servers() -> None:
    """Of two ephemeral ports the one that was seen with another peer is the server's."""
    directions = Directions(10)
    directions.source_is_server(("10.0.0.1", 50000), ("10.0.0.2", 44444))

    assert not directions.source_is_server(("10.0.0.1", 50002), ("10.0.0.2", 44444))
    assert directions.source_is_server(("10.0.0.2", 44444), ("10.0.0.1", 50004))


def test_memory_is_bounded() -> None:
    """A scan leaves at most `limit` endpoints of each kind."""
    directions = Directions(10)
    for port in range(1000):
        directions.learn(("10.0.0.1", port))
        directions.source_is_server(("10.0.0.3", 40000 + port), ("10.0.0.4", 50000 + port))

    assert len(directions._servers) == 10
    assert len(directions._peers) == 10
