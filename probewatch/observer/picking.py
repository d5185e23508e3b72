"""Which frames are those of probes: their connections, the ICMP errors about these, and the address requests around them.

Pure: made from a timeline, asked frame by frame in a second pass. Fragments of IP datagrams are all taken, because only the
last of them tells whose they are.
"""

from __future__ import annotations

from bisect import bisect_right

from probewatch.model.frame import Frame, Mark
from probewatch.model.timeline import Timeline
from probewatch.model.units import SECOND
from probewatch.wire.packets import IcmpError, Neighbour, Other, Segment
from probewatch.wire.peel import Peeler

AFTER_NS = SECOND
"""After a connection's last frame: an ICMP error may still be about it."""

Ports = tuple[str, int, str, int]


class Picker:
    """Says of each frame whether it belongs to a probe."""

    def __init__(self, timeline: Timeline) -> None:
        self._peeler = Peeler()
        self._lives: dict[Ports, list[tuple[int, int, int]]] = {}
        """(input, first frame, last frame) of the connections with these ports, either direction, ascending."""
        self._times: dict[Ports, list[tuple[int, int]]] = {}
        self._pairs: set[frozenset[str]] = set()
        for probe in timeline.probes:
            self._pairs.add(frozenset((probe.checker.address, probe.target.address)))
            for attempt in probe.attempts:
                for leg in attempt.legs:
                    c = leg.connection
                    self._pairs.add(frozenset((c.client, c.server)))
                    for ports in (
                        (c.client, c.client_port, c.server, c.server_port),
                        (c.server, c.server_port, c.client, c.client_port),
                    ):
                        self._lives.setdefault(ports, []).extend(c.frames)
                        self._times.setdefault(ports, []).append((c.start.ns, max(c.end.ns, attempt.end_ns) + AFTER_NS))
        for lives in self._lives.values():
            lives.sort()

    def belongs(self, frame: Frame) -> bool:
        """Say whether it is one of them; frames must come in the order of the captures, for fragments."""
        packet = self._peeler.peel(frame)
        if isinstance(packet, Segment):
            ports = (packet.source, packet.source_port, packet.destination, packet.destination_port)
            return self._alive(ports, packet.mark)
        if isinstance(packet, Neighbour):
            return frozenset((packet.asker, packet.target)) in self._pairs
        if isinstance(packet, IcmpError):
            ports = (packet.source, packet.source_port, packet.destination, packet.destination_port)
            return any(start <= frame.ns <= end for start, end in self._times.get(ports, ()))
        return isinstance(packet, Other) and packet.what == "fragment"

    def _alive(self, ports: Ports, mark: Mark) -> bool:
        lives = self._lives.get(ports)
        if lives is None:
            return False
        place = bisect_right(lives, (mark.file, mark.number, 1 << 62))
        return place > 0 and lives[place - 1][0] == mark.file and mark.number <= lives[place - 1][2]
