"""Ladders of attempts that were captured at two places, made with scapy: a segment that one of them never saw.

Covers `explaining`, `observer.ladder`, `report.ladder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import probewatch
from probewatch.model.ladder import PhaseKind, Way, runs

ASKED = b"GET /ready HTTP/1.1\r\nHost: web\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
APART = 0.00002
"""Seconds from one place to the other."""
ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}


class Pair:
    """Two files: one at the node's end, one at the pod's."""

    def __init__(self, folder: Path, version: int) -> None:
        self.paths = [folder / "node.pcap", folder / "pod.pcap"]
        self.packets: tuple[list[Any], list[Any]] = ([], [])
        self.version = version
        self._id = 0

    def segment(
        self, t: float, port: int, flags: str, seq: int, ack: int, data: bytes = b"", *, lost: bool = False
    ) -> None:
        """Add a segment; the side that sends it follows from its ports' flags. `lost`: only its sender's end saw it."""
        from scapy.layers.inet import IP, TCP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.l2 import Ether

        mine = seq < 500
        self._id += 1
        node, pod = ENDS[self.version]
        ends = {"src": node if mine else pod, "dst": pod if mine else node}
        layer = IP(**ends, id=self._id) if self.version == 4 else IPv6(**ends)
        ports = {"sport": port, "dport": 80} if mine else {"sport": 80, "dport": port}
        packet = (
            Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
            / layer
            / TCP(**ports, flags=flags, seq=seq, ack=ack)
            / data
        )
        for place, late in ((0, not mine), (1, mine)):
            if lost and late:
                continue
            copy = packet.copy()
            copy.time = t + (APART if late else 0)
            self.packets[place].append(copy)

    def good(self, t: float, port: int) -> None:
        """Add an attempt that succeeds."""
        end, told = 101 + len(ASKED), 501 + len(ANSWER)
        talk = [("S", 100, 0, b""), ("SA", 500, 101, b""), ("A", 101, 501, b""), ("PA", 101, 501, ASKED), ("PA", 501, end, ANSWER),
                ("FA", told, end, b""), ("FA", end, told + 1, b""), ("A", told + 1, end + 1, b"")]  # fmt: skip
        for step, (flags, seq, ack, data) in enumerate(talk):
            self.segment(t + step / 1000, port, flags, seq, ack, data)

    def write(self) -> list[Path]:
        """Write both files and return their paths."""
        from scapy.utils import wrpcap

        for path, packets in zip(self.paths, self.packets, strict=True):
            wrpcap(str(path), packets)
        return self.paths


@pytest.mark.parametrize("version", [4, 6])
def test_what_one_place_never_saw(tmp_path: Path, run, version: int) -> None:
    """A SYN-ACK that left the pod and never reached the node is one step, seen at the pod only; nothing was connected."""
    pair = Pair(tmp_path, version)
    for number in range(4):
        if number != 2:
            pair.good(1_000 + 10 * number, 40_000 + number)
            continue
        for again in (0, 0.9):
            pair.segment(1_020 + again, 40_002, "S", 100, 0)
            pair.segment(1_020.0001 + again, 40_002, "SA", 500, 101, lost=True)
    paths = pair.write()
    (ladder,) = probewatch.explain(paths)
    assert [place.name for place in ladder.places] == ["node.pcap", "pod.pcap"]  # in the order of the way
    assert [(step.way, [seen.place for seen in step.seen]) for step in ladder.steps] == [
        (Way.TO_TARGET, [0, 1]), (Way.FROM_TARGET, [1]), (Way.TO_TARGET, [0, 1]), (Way.FROM_TARGET, [1]),
    ]  # fmt: skip
    assert "retransmission of" in ladder.steps[2].notes[0]
    (phase,) = ladder.connections[0].phases
    assert (phase.kind, phase.done) == (PhaseKind.CONNECT, False)
    assert ladder.frames() == {0: ((17, 18),), 1: ((17, 20),)}
    lines = run("explain", *paths).out.splitlines()
    (asked,) = [line for line in lines if " 18  0.000100 " in line]
    assert asked.split()[0] == "·"


def test_runs_of_numbers() -> None:
    """Neighbouring numbers become one run, and nothing else does."""
    assert runs({1, 2, 3, 7, 9, 10}) == ((1, 3), (7, 7), (9, 10))
    assert runs(set()) == ()
