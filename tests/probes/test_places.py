"""Where a segment died: only what was there can have missed it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make import NODE, NODE6, POD, POD6, connection, ns

from probewatch.model.connection import Connection, Sighting, Step
from probewatch.probes.places import Ways

BOTH = pytest.mark.parametrize("ends", [f"{NODE}:40000 > {POD}:8080", f"[{NODE6}]:40000 > [{POD6}]:8080"], ids=["v4", "v6"])
BRIDGE, FIRST, SECOND = 2, 3, 4
"""Interface numbers of a capture of all interfaces: the bridge, and the ends of two Pods that had one address in turn."""


def seen(ends: str, at: float, *links: int, what: str = "Sr") -> Connection:
    """Return a connection that these interfaces showed, each a little later than the one before."""
    made = []
    for way, link in enumerate(links):
        steps = tuple(
            Step(letter, ns(at + place * 0.001) + (way if letter.isupper() else -way) * 10_000, 1 + way, 1)
            for place, letter in enumerate(what)
        )
        made.append(Sighting(file=0, interface=0, ifindex=link, packets=len(steps), first=1 + way, last=1 + way, steps=steps))
    return replace(connection("> S\n < RA", ends, at=at), sightings=tuple(made))


def died(ways: Ways, one: Connection) -> list[str]:
    """Return what is said of a connection."""
    return [placed.sentence for placed in ways.place(one)]


@BOTH
def test_an_interface_misses_nothing_before_it_is_there(ends: str) -> None:
    """The later Pod's interface did not exist yet, nor the earlier one's any more; where both were there a SYN that one lacks was lost."""
    early, late, lost = seen(ends, 1, BRIDGE, FIRST), seen(ends, 60, BRIDGE, SECOND), seen(ends, 61, BRIDGE, what="S")
    ways = Ways()
    for one in (early, late, seen(ends, 62, BRIDGE, SECOND), lost):
        ways.learn(one)
    assert died(ways, early) == []
    assert died(ways, late) == []
    assert died(ways, lost) == ["SYN left input 1 interface 2, never reached input 1 interface 4"]
