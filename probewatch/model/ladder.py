"""One attempt as a ladder diagram: every frame of it in order, what it said, where it was seen, and how long each phase took.

Made by a second pass over the captures (`observer.ladder`), printed by `report`. Pure data: times are integer nanoseconds
since 1970, texts come from the wire as they are and have to be made safe by whoever prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from .frame import Mark
from .timeline import Attempt, Decision, Probe, Role


class Way(StrEnum):
    """Which way a frame went."""

    TO_TARGET = "to-target"
    FROM_TARGET = "from-target"


class StepKind(StrEnum):
    """What a frame is."""

    TCP = "tcp"
    ICMP = "icmp"
    NEIGHBOUR = "neighbour"
    """ARP or Neighbour Discovery."""


class PhaseKind(StrEnum):
    """What a connection waited for; in the order in which they come."""

    RESOLVE = "resolve"
    """The target's link-layer address: from the first request to the SYN, or to the end of the round."""
    CONNECT = "connect"
    """From the SYN to the answer that established the connection."""
    TLS = "tls"
    """From there to the client's Finished."""
    REQUEST = "request"
    """From there until the request was whole."""
    WAIT = "wait"
    """From there to the answer's first byte."""
    BODY = "body"
    """From there to the answer's end."""
    SEALED = "encrypted"
    """From there to the last record of request and answer, inside TLS that nobody opened."""
    CLOSE = "close"
    """From there to the connection's last frame."""


class Place(NamedTuple):
    """A vantage point at which frames of the attempt were seen."""

    file: int
    """Index of its input."""
    name: str
    """As short as tells it from the others: `veth3`, `if 7`, `tun0.pcap`, `node.pcap vxlan 4097`."""


class Seen(NamedTuple):
    """One sighting of a frame."""

    place: int
    """Index into `Ladder.places`."""
    mark: Mark


class Phrase(NamedTuple):
    """What one side said, in one phrase, and the frame with which it had said it."""

    mark: Mark
    by_client: bool
    text: str
    """`GET /ready HTTP/1.1`, `ClientHello TLS 1.3`, `SETTINGS`."""
    layer: str
    """`http`, `tls`, `http2`, or `bytes` where it is none of them."""
    decrypted: bool = False
    """Read inside TLS with keys that were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One frame, however often it was seen."""

    kind: StepKind
    way: Way
    connection: int | None
    """Index into `Ladder.connections`; None for address requests before any of them."""
    seen: tuple[Seen, ...]
    """In order of time; the first one's time is the step's."""
    name: str
    """`SYN`, `SYN ACK`, `FIN ACK`; `host unreachable`; `who has`, `is at`."""
    said: tuple[Phrase, ...] = ()
    """What was whole with this frame."""
    length: int = 0
    """Bytes of payload on the wire."""
    by: str = ""
    """Who sent it, where that is neither end: an ICMP error's reporter."""
    notes: tuple[str, ...] = ()
    """`retransmission of 98`, `window 0`, ..."""

    @property
    def mark(self) -> Mark:
        """Return when and where it was first seen."""
        return self.seen[0].mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of a connection's life."""

    kind: PhaseKind
    start_ns: int
    end_ns: int
    done: bool = True
    """Whether what it waited for came; else it ended with the attempt's verdict, or with the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rail:
    """One connection of the attempt."""

    role: Role
    client: str
    client_port: int
    server: str
    server_port: int
    state: str
    """Zeek's conn_state."""
    history: str
    start_ns: int
    phases: tuple[Phase, ...] = ()
    tls: str = ""
    """What TLS agreed on: `TLS 1.3, ALPN h2`; empty without TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One attempt, frame by frame."""

    probe: Probe
    """Whose attempt it is."""
    attempt: Attempt
    decisions: tuple[Decision, ...] = ()
    """Those that this attempt brought about."""
    places: tuple[Place, ...] = ()
    connections: tuple[Rail, ...] = ()
    steps: tuple[Step, ...] = ()
    """In order of time."""
    left_out: int = 0
    """Frames beyond `observer.ladder.STEPS` that are not among the steps."""
    deadline_ns: int | None = None
    """When the checker's patience ended; None where its timeout is not known."""
    base_ns: int = 0
    """First frame of the captures, from which the timeline's times are told."""
    notes: tuple[str, ...] = ()
    """One plain sentence each: what could not be shown, and why."""

    def frames(self) -> dict[int, tuple[tuple[int, int], ...]]:
        """Return the frames of all steps, as (first, last) runs of neighbours by input."""
        numbers: dict[int, set[int]] = {}
        for step in self.steps:
            for seen in step.seen:
                numbers.setdefault(seen.mark.file, set()).add(seen.mark.number)
        return {file: runs(found) for file, found in sorted(numbers.items())}


def runs(numbers: set[int]) -> tuple[tuple[int, int], ...]:
    """Return numbers as (first, last) runs without a gap, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
