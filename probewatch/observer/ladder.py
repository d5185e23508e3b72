"""Ladders: the frames of chosen attempts, found again in a second pass over the captures.

Theory of operation. The first pass, an ordinary analysis, says which connections and address requests an attempt consists
of, and in which frames of which input they are. `Ladders` is fed the same frames once more, takes those of the chosen
attempts, and follows each connection alone with the tracker of the first pass, but with room for all that was said.
What a frame says comes from `wire.phrases`, which of several sightings are one frame from `wire.sightings`.

Pure: frames in, `Ladder` values out. Who feeds it may leave out every frame outside `window()`.

Bounds. `STEPS` frames of one attempt are shown (the rest is counted), and `SAID` bytes of each direction are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from probewatch.model.connection import Connection, IcmpNote
from probewatch.model.frame import Frame, Mark
from probewatch.model.ladder import Ladder, Phrase, Place, Rail, Seen, Step, StepKind, Way
from probewatch.model.spec import Handler
from probewatch.model.timeline import Attempt, Leg, Probe, Timeline
from probewatch.model.units import MS, SECOND
from probewatch.wire.packets import ACK, FIN, PSH, RST, SYN, URG, IcmpError, Lane, Neighbour, Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.phrases import phrases
from probewatch.wire.sightings import Recent, point, vantage
from probewatch.wire.stream import MASK, distance
from probewatch.wire.table import Limits
from probewatch.wire.tcp import Tracker

from .phases import phases, resolving, tls_words

if TYPE_CHECKING:
    from probewatch.wire.decrypt import Keylog

STEPS: Final = 4096
"""Frames of one attempt that are shown; more are counted."""
SAID: Final = 1 << 20
"""Bytes kept of each direction of a connection while a ladder is made."""
LADDERS: Final = 1024
"""Attempts of which ladders are made at once."""
AFTER_NS: Final = SECOND
"""After an attempt's last frame: an ICMP error or an address request may still belong to it."""
EARLIER_NS: Final = MS
"""Before an attempt's first frame: another place may have seen it a moment earlier."""
CROWD: Final = 4
"""Vantage points beyond which not all can stand side by side."""
SAME_NS: Final = 50 * MS
"""Two address requests within this are one, seen at several places."""

_LIMITS: Final = Limits(payload=64 << 20, client_bytes=SAID, server_bytes=SAID, arrivals=STEPS)
_FLAGS: Final = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK"), (URG, "URG"))

Chosen = tuple[Probe, Attempt]
Ports = tuple[str, int, str, int]


class Ladders:
    """Makes the ladders of chosen attempts from the frames of their captures."""

    def __init__(self, timeline: Timeline, chosen: Iterable[Chosen], keylog: bytes | None = None) -> None:
        """Prepare; `chosen` are probes of the timeline with one of their attempts each.

        Raises:
            ValueError: they are more than `LADDERS`.
        """
        self._peeler = Peeler()
        self._keys: Keylog | None = None
        if keylog is not None:
            self.add_secrets(keylog)
        self._made = [_Climb(timeline, probe, attempt) for probe, attempt in chosen]
        if len(self._made) > LADDERS:
            raise ValueError(f"{len(self._made)} attempts are chosen, at most {LADDERS} are explained at once")
        self._by_ports: dict[Ports, list[tuple[_Climb, int]]] = {}
        self._by_host: dict[frozenset[str], list[_Climb]] = {}
        for climb in self._made:
            for number, leg in enumerate(climb.attempt.legs):
                for ports in _both(leg.connection):
                    self._by_ports.setdefault(ports, []).append((climb, number))
            for pair in climb.pairs:
                self._by_host.setdefault(pair, []).append(climb)

    def add_secrets(self, text: bytes) -> None:
        """Take a key log, as a pcapng may carry one between its frames."""
        from probewatch.wire.decrypt import Keylog  # (needs an extra, and only here)

        self._keys = self._keys or Keylog()
        self._keys.add(text)

    def window(self) -> tuple[int, int]:
        """Return the times between which all frames lie that are needed."""
        low = min((climb.low_ns for climb in self._made), default=0)
        return low, max((climb.high_ns for climb in self._made), default=-1)

    def feed(self, frame: Frame) -> None:
        """Take the next frame, in time order."""
        packet = self._peeler.peel(frame)
        if isinstance(packet, Segment):
            ports = (packet.source, packet.source_port, packet.destination, packet.destination_port)
            for climb, number in self._by_ports.get(ports, ()):
                climb.segment(number, packet)
        elif isinstance(packet, IcmpError):
            ports = (packet.source, packet.source_port, packet.destination, packet.destination_port)
            for climb, number in self._by_ports.get(ports, ()):
                climb.icmp(number, packet)
        elif isinstance(packet, Neighbour):
            for climb in self._by_host.get(frozenset((packet.asker, packet.target)), ()):
                climb.neighbour(packet)

    def finish(self) -> list[Ladder]:
        """Return the ladders, in the order in which their attempts were chosen."""
        return [climb.ladder(self._keys) for climb in self._made]


def _both(connection: Connection) -> tuple[Ports, Ports]:
    c = connection
    return (c.client, c.client_port, c.server, c.server_port), (c.server, c.server_port, c.client, c.client_port)


class _Line:
    """One connection while its frames are gathered."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.tracker = Tracker(_LIMITS)
        self.recent = Recent()
        self.last: dict[tuple[int, ...], int] = {}
        """Signature -> place of its step, to which further sightings belong."""
        self.next = {True: -1, False: -1}
        """Highest sequence number used by client and server, plus one."""
        self.first: dict[tuple[bool, int], int] = {}
        """(by client, sequence number) of what takes up numbers -> frame that sent it first."""
        self.answered = False
        self.ranges = {file: (first, last) for file, first, last in leg.connection.frames}

    def holds(self, mark: Mark) -> bool:
        """Say whether a frame of these ports belongs to this life of them."""
        first, last = self.ranges.get(mark.file, (1, 0))
        return first <= mark.number <= last


class _Climb:
    """One attempt while its frames are gathered."""

    def __init__(self, timeline: Timeline, probe: Probe, attempt: Attempt) -> None:
        self.timeline, self.probe, self.attempt = timeline, probe, attempt
        self.lines = [_Line(leg) for leg in attempt.legs]
        ends = [attempt.end_ns, *(leg.connection.end.ns for leg in attempt.legs)]
        if attempt.unresolved is not None:
            ends.append(attempt.unresolved.end.ns)
        self.low_ns = attempt.start.ns - SAME_NS
        self.high_ns = max(ends) + AFTER_NS
        self.pairs = {frozenset((leg.connection.client, leg.connection.server)) for leg in attempt.legs}
        if attempt.unresolved is not None:
            self.pairs.add(frozenset((attempt.unresolved.client, attempt.unresolved.server)))
        elif attempt.implied:
            self.pairs.add(frozenset((probe.checker.address, probe.target.address)))
        self.steps: list[Step] = []
        self.left_out = 0
        self.places: dict[tuple[object, ...], int] = {}
        self.names: list[Place] = []
        self._asked: dict[tuple[bool, str, str], int] = {}

    # Frames in

    def segment(self, number: int, s: Segment) -> None:
        """Take a segment of connection `number`."""
        line = self.lines[number]
        mark, lane = s.mark, s.lane
        if not line.holds(mark):
            return
        line.tracker.segment(s)
        connection = line.leg.connection
        by_client = (s.source, s.source_port) == (connection.client, connection.client_port)
        signature = (s.seq, s.ack, s.flags, s.length, s.ip_id, s.tsval, by_client)
        seen = Seen(self._place(mark.file, lane, by_client), mark)
        if line.recent.is_copy(signature, mark.ns, point(mark.file, lane)) and signature in line.last:
            self._again(line.last[signature], seen)
            return
        line.last[signature] = len(self.steps)
        name = " ".join(word for bit, word in _FLAGS if s.flags & bit) or ("PSH" if s.flags & PSH else "no flags")
        self._add(
            Step(
                kind=StepKind.TCP,
                way=Way.TO_TARGET if by_client else Way.FROM_TARGET,
                connection=number,
                seen=(seen,),
                name=name,
                length=s.length,
                notes=tuple(_notes(line, s, by_client=by_client)),
            )
        )

    def icmp(self, number: int, e: IcmpError) -> None:
        """Take an ICMP error about a segment of connection `number`."""
        line = self.lines[number]
        connection = line.leg.connection
        if not connection.start.ns - SAME_NS <= e.mark.ns <= max(connection.end.ns, self.attempt.end_ns) + AFTER_NS:
            return
        by_client = (e.source, e.source_port) == (connection.client, connection.client_port)
        seen = Seen(self._place(e.mark.file, e.lane, not by_client), e.mark)
        key = (e.type, e.code, e.seq, e.version, -1, -1, by_client)
        if key in line.last and e.mark.ns - self.steps[line.last[key]].mark.ns <= SAME_NS:
            known = self.steps[line.last[key]]
            if seen.place not in [one.place for one in known.seen]:
                self._again(line.last[key], seen)
                return
        line.last[key] = len(self.steps)
        note = IcmpNote(mark=e.mark, reporter=e.reporter, version=e.version, type=e.type, code=e.code)
        self._add(
            Step(
                kind=StepKind.ICMP,
                way=Way.FROM_TARGET if by_client else Way.TO_TARGET,
                connection=number,
                seen=(seen,),
                name=note.explain(),
                by=e.reporter,
                notes=(f"next hop takes {e.mtu} bytes",) if e.mtu else (),
            )
        )

    def neighbour(self, n: Neighbour) -> None:
        """Take an address request or answer between checker and target."""
        if not self.attempt.start.ns - EARLIER_NS <= n.mark.ns <= self.attempt.end_ns + SAME_NS:
            return
        of_target = n.target in {self.probe.target.address, *(line.leg.connection.server for line in self.lines)}
        to_target = n.request is of_target
        seen = Seen(self._place(n.mark.file, n.lane, to_target), n.mark)
        key = (n.request, n.asker, n.target)
        before = self._asked.get(key)
        if before is not None and n.mark.ns - self.steps[before].mark.ns <= SAME_NS:
            if seen.place not in [one.place for one in self.steps[before].seen]:
                self._again(before, seen)
            return
        self._asked[key] = len(self.steps)
        who = "who has" if n.request else "is at"
        what = f"{who} {n.target}" if n.request else f"{n.target} {who} {n.mac.hex(':')}"
        self._add(
            Step(
                kind=StepKind.NEIGHBOUR,
                way=Way.TO_TARGET if to_target else Way.FROM_TARGET,
                connection=None,
                seen=(seen,),
                name=f"{'ND' if ':' in n.target else 'ARP'} {what}",
            )
        )

    def _add(self, step: Step) -> None:
        if len(self.steps) < STEPS:
            self.steps.append(step)
        else:
            self.left_out += 1

    def _again(self, at: int, seen: Seen) -> None:
        """Note a further sighting of a step."""
        if at < len(self.steps):
            self.steps[at] = replace(self.steps[at], seen=(*self.steps[at].seen, seen))

    def _place(self, file: int, lane: Lane, from_client: bool) -> int:
        """Return the number of the vantage point, a new one where it is not known yet."""
        key = (*vantage(file, lane, from_client), lane.tunnel)
        known = self.places.get(key)
        if known is None:
            known = self.places[key] = len(self.names)
            self.names.append(Place(file, _place_name(self.timeline, file, lane, key[3] is True)))
        return known

    # The ladder out

    def ladder(self, keys: Keylog | None) -> Ladder:
        """Return what was gathered."""
        attempt = self.attempt
        deadline = _deadline_ns(self.probe, attempt)
        rails: list[Rail] = []
        said: dict[tuple[int, bool, int, int], list[Phrase]] = {}
        for number, line in enumerate(self.lines):
            connection = _followed(line)
            words, exchange = phrases(connection, keys)
            for one in words:
                said.setdefault((number, one.by_client, one.mark.file, one.mark.number), []).append(one)
            whole = line.leg.connection
            rails.append(
                Rail(
                    role=line.leg.role,
                    client=whole.client,
                    client_port=whole.client_port,
                    server=whole.server,
                    server_port=whole.server_port,
                    state=whole.state,
                    history=whole.history,
                    start_ns=whole.start.ns,
                    phases=phases(exchange, self.probe.handler, attempt, deadline),
                    tls=tls_words(exchange),
                )
            )
        rails = resolving(rails, attempt)
        order = sorted(range(len(self.steps)), key=lambda at: self.steps[at].mark.ns)
        places, steps = _along_the_way(self.names, [_with_words(self.steps[at], said) for at in order])
        return Ladder(
            probe=self.probe,
            attempt=attempt,
            decisions=tuple(d for d in self.probe.decisions if d.attempt == attempt.n),
            places=places,
            connections=tuple(rails),
            steps=steps,
            left_out=self.left_out,
            deadline_ns=deadline,
            base_ns=min(
                (c.first_ns for c in self.timeline.captures if c.first_ns is not None), default=attempt.start.ns
            ),
            notes=tuple(self._remarks()),
        )

    def _remarks(self) -> Iterable[str]:
        """Say what cannot be shown."""
        if self.probe.handler is Handler.EXEC:
            yield "An exec probe runs inside the container and sends no packets."
        elif self.attempt.implied:
            yield "This attempt sent no frame of its own: resolution of the target's link-layer address was still going on."
        elif not self.steps:
            yield "No frame of this attempt was found again: the input has changed, or a filter leaves it out."
        if self.left_out:
            yield f"{self.left_out} more frames of this attempt are not shown."


def _along_the_way(names: list[Place], steps: list[Step]) -> tuple[tuple[Place, ...], tuple[Step, ...]]:
    """Return the places in the order in which frames to the target pass them, and the steps numbered anew.

    Of more than `CROWD` places those that saw little (an address request floods many) come last.
    """
    weight: Counter[int] = Counter()
    behind: Counter[int] = Counter()
    for step in steps:
        forth = 1 if step.way is Way.TO_TARGET else -1
        for seen in step.seen:
            weight[seen.place] += 1
            behind[seen.place] += forth * (seen.mark.ns - step.mark.ns)
    most, crowded = max(weight.values(), default=0), len(names) > CROWD
    order = sorted(
        range(len(names)),
        key=lambda place: (crowded and 2 * weight[place] < most, behind[place] / (weight[place] or 1), place),
    )
    now = {place: number for number, place in enumerate(order)}
    moved = (replace(step, seen=tuple(Seen(now[seen.place], seen.mark) for seen in step.seen)) for step in steps)
    return tuple(names[place] for place in order), tuple(moved)


def _with_words(step: Step, said: dict[tuple[int, bool, int, int], list[Phrase]]) -> Step:
    if step.kind is not StepKind.TCP or step.connection is None:
        return step
    words: list[Phrase] = []
    for seen in step.seen:
        words += said.pop((step.connection, step.way is Way.TO_TARGET, seen.mark.file, seen.mark.number), [])
    return replace(step, said=tuple(words)) if words else step


def _followed(line: _Line) -> Connection:
    """Return the connection as the second pass saw it; what the first pass said where frames were left out of it."""
    made = [one for one in line.tracker.finish() if isinstance(one, Connection)]
    return max(made, key=lambda c: c.orig.packets + c.resp.packets, default=line.leg.connection)


def _notes(line: _Line, s: Segment, *, by_client: bool) -> Iterable[str]:
    """Say what is odd about a segment, by the numbers seen so far; and take note of its own."""
    takes = s.length + bool(s.flags & SYN) + bool(s.flags & FIN)
    end = (s.seq + takes) & MASK
    nxt = line.next[by_client]
    if takes and not s.flags & RST:
        before = line.first.get((by_client, s.seq))
        if before is not None:
            yield f"retransmission of {before}"
        elif nxt >= 0 and distance(s.seq, nxt) < 0:
            yield "out of order: the capture has later bytes before it"
        line.first.setdefault((by_client, s.seq), s.mark.number)
        if nxt < 0 or distance(end, nxt) > 0:
            line.next[by_client] = end
    elif nxt >= 0 and s.length == 0 and s.flags == ACK and s.seq == nxt - 1 & MASK:
        yield "keep-alive"
    if s.flags & SYN and s.flags & ACK and not by_client:
        line.answered = True
    if s.flags == ACK and not by_client and not line.answered and line.next[True] >= 0:
        yield "answers a SYN with a mere ACK: the target still knows an older connection of these ports"
    if s.window == 0 and not s.flags & (RST | SYN | FIN):
        yield "window 0: its receive buffer is full"
    if len(s.payload) < s.length:
        yield f"{len(s.payload)} of {s.length} bytes captured"


def _deadline_ns(probe: Probe, attempt: Attempt) -> int | None:
    """Return when the checker's patience ended: its timeout counts from the attempt's start."""
    if "timeoutSeconds" in probe.thresholds:
        return attempt.start.ns + probe.thresholds["timeoutSeconds"][0] * SECOND
    value = probe.inferred.get("timeoutSeconds", probe.inferred.get("timeout_s"))
    if isinstance(value, int | float):
        return attempt.start.ns + int(value * SECOND)
    return attempt.end_ns if attempt.end_mark is None else None


def _place_name(timeline: Timeline, file: int, lane: Lane, side: bool) -> str:
    """Name a vantage point by interface, or input where there are several, and tunnel."""
    captures = timeline.captures
    parts: list[str] = []
    link = ""
    if len(captures) > 1 and file < len(captures):
        parts.append(captures[file].path.rsplit("/", 1)[-1])
    if file < len(captures):
        interfaces = captures[file].interfaces
        here = next((i for i in interfaces if i.index == lane.interface), None)
        link = here.link(lane.ifindex) if here is not None else ""
        if here is not None and (link or here.name):
            parts.append(link or here.name)
        elif len(interfaces) > 1:
            parts.append(f"interface {lane.interface}")
    if lane.ifindex >= 0 and not link:
        parts.append(f"if {lane.ifindex}")
    elif lane.packet_type >= 0:
        parts.append("towards the target" if side else "from the checker")
    if lane.vlan >= 0:
        parts.append(f"vlan {lane.vlan}")
    if lane.tunnel:
        parts.append(lane.tunnel)
    return " ".join(parts)
