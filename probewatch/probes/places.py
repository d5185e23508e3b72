"""Where a segment died: what several vantage points on one way together show of it.

Theory of operation. A frame that two vantage points saw has two times. Towards the target the nearer one sees it first,
from the target last: with `o` and `r` the differences in the two directions, half of `o - r` is the way between them and
half of `o + r` the difference of their clocks (as NTP has it, RFC 5905 section 8). `Ways` collects both from every
connection that several points saw whole, and so learns for each pair of client and target which points lie on the way, in which order, and
how their clocks differ. Within one file the clock is one, and one direction is enough.

`place` then goes through the segments of one connection in the order of a conversation. A segment that was seen, and that
a point further along its way never showed, was lost between the two. Only points count that showed this direction of
some connection between the same two, and whose file covers the time. A segment that all points showed, but one of them
late, was held up.

Limitations: a point that drops packets itself looks like a loss. Clocks that differ by more than `wire.sightings.WINDOW`
make two frames of one. What is translated on its way (NAT) is another connection there. Where no connection between two
was ever seen at two points, nothing tells that they lie on one way, and nothing is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from probewatch.model.connection import Connection, Sighting, Step
from probewatch.model.frame import CaptureInfo
from probewatch.model.path import Placed

HELD_NS: Final = 20_000_000
"""A segment that took longer between two points was held up: no node takes that long to forward."""
KEPT: Final = 256
"""Differences of times kept for each pair of points, target and direction."""
EARLY_NS: Final = 50_000_000
"""A file covers what began no longer than this before its first frame: clocks differ so much."""
FLOODED: Final = 3
"""A SYN at so many points that no answer ever passed was flooded: mirrors and one-way captures are fewer."""
NAMED: Final = 4
"""Points of a way that are named."""
QUIET_NS: Final = 30_000_000_000
"""A file is taken to have gone on for so long after its last frame: where all is lost, none comes any more."""
POD_END: Final = "eth0"
"""What nearly every CNI calls a pod's own end of its interface pair (CNI spec: CNI_IFNAME, eth0 by the kubelet's runtimes)."""

Ends = tuple[str, str]
"""(client, server) of a way."""
Point = tuple[int, int, int, bool]
"""(file, interface, ifindex, side of a cooked v1 capture): `wire.sightings.Vantage`."""

SEGMENTS: Final = (
    ("S", "SYN", True),
    ("h", "SYN-ACK", False),
    ("A", "ACK", True),
    ("D", "request", True),
    ("d", "answer", False),
    ("F", "FIN", True),
    ("f", "FIN", False),
    ("R", "RST", True),
    ("r", "RST", False),
)
"""(letter, name, from the client), in the order of a conversation."""


class _Pair(NamedTuple):
    """What two points showed of the same segments: later minus earlier named, ns, in each direction."""

    towards: list[int]
    back: list[int]


def point_of(sighting: Sighting) -> Point:
    """Return the vantage point of a sighting."""
    return sighting.file, sighting.interface, sighting.ifindex, sighting.side


def steps_of(connection: Connection, sighting: Sighting) -> dict[str, Step]:
    """Return what one point showed, by letter; of a lone point the connection itself tells it."""
    if sighting.steps or len(connection.sightings) > 1:
        return {step.letter: step for step in sighting.steps}
    orig, resp = connection.orig, connection.resp
    found: dict[str, Step] = {}
    for letter, marks in (
        ("S", orig.syns),
        ("h", resp.syns),
        ("A", (orig.first_ack,)),
        ("D", (orig.first_data,)),
        ("d", (resp.first_data,)),
        ("F", (orig.fin,)),
        ("f", (resp.fin,)),
        ("R", (orig.rst,)),
        ("r", (resp.rst,)),
    ):
        seen = [mark for mark in marks if mark is not None]
        if seen:
            found[letter] = Step(letter, seen[0].ns, seen[0].number, len(seen))
    return found


class Ways:
    """Which vantage points lie on the way to each target."""

    def __init__(self, captures: Sequence[CaptureInfo] = ()) -> None:
        self._captures = captures
        self._pairs: dict[tuple[Ends, Point, Point], _Pair] = {}
        self._seen: dict[Ends, dict[Point, set[bool]]] = defaultdict(dict)
        """Way -> point -> directions seen there."""
        self._shown: dict[Point, tuple[int, int]] = {}
        """When each point showed its first and its last segment, of any way."""
        self._order: dict[Ends, tuple[Point, ...]] = {}
        self._names: dict[Point, str] = {}

    def learn(self, connection: Connection) -> None:
        """Take in a connection."""
        mine = [(point_of(s), steps_of(connection, s)) for s in connection.sightings]
        ends = connection.client, connection.server
        for at, steps in mine:
            times = [step.ns for step in steps.values()]
            if times:
                begun, ended = self._shown.get(at, (times[0], times[0]))
                self._shown[at] = min(begun, *times), max(ended, *times)
            self._seen[ends].setdefault(at, set()).update(letter.isupper() for letter in steps)
        for number, (a, of_a) in enumerate(mine):
            for b, of_b in mine[number + 1 :]:
                first, second = min(a, b), max(a, b)
                before, after = (of_a, of_b) if first == a else (of_b, of_a)
                pair = self._pairs.setdefault((ends, first, second), _Pair([], []))
                for letter, step in before.items():
                    other = after.get(letter)
                    if other is not None and step.times == other.times == 1:
                        kept = pair.towards if letter.isupper() else pair.back
                        if len(kept) < KEPT:
                            kept.append(other.ns - step.ns)

    @property
    def several(self) -> bool:
        """Whether any target was seen from more than one point."""
        return bool(self._pairs)

    def between(self, ends: Ends, a: Point, b: Point) -> tuple[int, int] | None:
        """Return (way from a to b, clock of b minus clock of a) in ns; None where nothing tells."""
        if a > b:
            turned = self.between(ends, b, a)
            return None if turned is None else (-turned[0], -turned[1])
        pair = self._pairs.get((ends, a, b))
        if pair is None or not (pair.towards or pair.back):
            return None
        if a[0] == b[0]:
            ways = pair.towards + [-ns for ns in pair.back]
            return _middle(ways), 0
        if not (pair.towards and pair.back):
            return None
        towards, back = _middle(pair.towards), _middle(pair.back)
        return (towards - back) // 2, (towards + back) // 2

    def order(self, ends: Ends) -> tuple[Point, ...]:
        """Return the points on a way that are known to lie on it, from the client's end."""
        known = self._order.get(ends)
        if known is None:
            points = list(self._seen.get(ends, ()))
            tied = [p for p in points if any(self.between(ends, p, q) is not None for q in points if q != p)]
            ahead = {p: sum((self.between(ends, q, p) or (0, 0))[0] > 0 for q in tied if q != p) for p in tied}
            known = self._order[ends] = tuple(sorted(tied, key=lambda p: (ahead[p], p)))
        return known

    def name(self, at: Point) -> str:
        """Return what people call a point: its interface, else its file."""
        if not self._names:
            self._names = names(self._captures, [p for points in self._seen.values() for p in points])
        return self._names.get(at, f"input {at[0] + 1}")

    def covers(self, at: Point, connection: Connection) -> bool:
        """Tell whether a point was there and being captured when a connection began, as far as that is known."""
        if not self._was_there(at, connection):
            return False
        if at[0] >= len(self._captures):
            return True
        info = self._captures[at[0]]
        if info.first_ns is None or info.last_ns is None:
            return False
        return info.first_ns - EARLY_NS <= connection.start.ns <= info.last_ns + QUIET_NS

    def _was_there(self, at: Point, connection: Connection) -> bool:
        """Tell whether an interface that only its frames show existed: from its first one on, and until another took its place.

        (A capture of all interfaces names them by number. What was opened to be captured was there before its first frame.)
        """
        if at[2] < 0 or at not in self._shown:
            return True
        start, (first, last) = connection.start.ns, self._shown[at]
        others = (
            self._shown[one]
            for one in self._seen[connection.client, connection.server]
            if one in self._shown and one[2] >= 0
        )
        return first - EARLY_NS <= start and not (
            start > last and any(last < began <= start + EARLY_NS for began, _ in others)
        )

    def place(self, connection: Connection) -> tuple[Placed, ...]:
        """Say which segments of a connection were lost or held up, and between which points."""
        ends = connection.client, connection.server
        order = [at for at in self.order(ends) if self.covers(at, connection)]
        if len(order) < 2:
            return ()
        shown = {point_of(s): steps_of(connection, s) for s in connection.sightings}
        out = []
        for letter, segment, towards in SEGMENTS:
            way = [at for at in (order if towards else order[::-1]) if towards in self._seen[ends].get(at, ())]
            seen = [at for at in way if letter in shown.get(at, {})]
            if not seen:
                continue
            found = self._lost(ends, segment, towards, letter, way, seen, shown) or self._late(
                connection, segment, towards, letter, seen, shown
            )
            if found is not None and letter == "S" and not found.missing and connection.icmp is not None:
                continue  # an ICMP error came back
            if found is not None:
                out.append(found)
                if found.missing or found.delay_ns is None:
                    break  # what follows is its consequence
        return tuple(out)

    def _lost(
        self,
        ends: Ends,
        segment: str,
        towards: bool,
        letter: str,
        way: Sequence[Point],
        seen: Sequence[Point],
        shown: Mapping[Point, Mapping[str, Step]],
    ) -> Placed | None:
        last = way.index(seen[-1])
        missing = [at for at in way[last + 1 :] if not _went_on(letter, shown.get(at, {}))]
        times = shown[seen[-1]][letter].times
        if not missing and letter == "S" and not any(set(steps) - {"S", "F", "R"} for steps in shown.values()):
            return self._unanswered(ends, segment, times, seen)
        if not missing:
            return None
        return Placed(
            segment=segment,
            from_client=towards,
            seen=tuple(map(self.name, seen)),
            missing=tuple(map(self.name, missing)),
            sentence=self._sentence(segment, times, seen, missing),
        )

    def _unanswered(self, ends: Ends, segment: str, times: int, seen: Sequence[Point]) -> Placed:
        """Tell of a SYN that nothing came back for; a bridge floods what is for an address that it knows no interface for."""
        aside = [at for at in seen if False not in self._seen[ends][at]]
        flooded = FLOODED <= len(aside) < len(self._seen[ends])
        if flooded:
            way = [at for at in seen if at not in aside] or seen[:1]
            text = f"{self._sentence(segment, times, way, ())}, was flooded to {len(aside)} other interfaces, and nothing came back"
        else:
            text = f"{self._sentence(segment, times, seen, ())}, and nothing came back"
        names = tuple(map(self.name, seen))
        return Placed(segment=segment, from_client=True, seen=names, flooded=flooded, sentence=text)

    def _late(
        self,
        connection: Connection,
        segment: str,
        towards: bool,
        letter: str,
        seen: Sequence[Point],
        shown: Mapping[Point, Mapping[str, Step]],
    ) -> Placed | None:
        """Find the first point that showed a segment long after the first one: it was held up, or lost and sent again."""
        first = shown[seen[0]][letter]
        took, late = 0, len(seen)
        for number, at in enumerate(seen[1:], 1):
            known = self.between((connection.client, connection.server), seen[0], at)
            took = shown[at][letter].ns - first.ns - (known[1] if known is not None else 0)
            if took >= HELD_NS:
                late = number
                break
        if late == len(seen):
            return None
        half = connection.orig if towards else connection.resp
        again = first.times > 1 if letter in "Sh" else half.retransmits > 0
        name = self.name(seen[late])
        wait = f"{took / 1e9:.2f} s" if took >= 1_000_000_000 else f"{took / 1e6:.0f} ms"
        if again:
            text = f"{self._sentence(segment, first.times, seen[:late], ())}, reached {name} only {wait} later, when it was sent again"
        else:
            text = f"{segment} took {wait} from {self.name(seen[0])} to {name}"
        return Placed(
            segment=segment,
            from_client=towards,
            seen=tuple(map(self.name, seen[:late] if again else seen)),
            missing=tuple(map(self.name, seen[late:])) if again else (),
            delay_ns=took,
            sentence=text,
        )

    def _sentence(self, segment: str, times: int, seen: Sequence[Point], missing: Sequence[Point]) -> str:
        parts = [f"{segment} left {self.name(seen[0])}" + (f" {times} times" if times > 1 else "")]
        parts += [f"reached {self.name(at)}" for at in seen[1:NAMED]]
        if len(seen) > NAMED:
            parts.append(f"and {len(seen) - NAMED} more places")
        parts += [f"never reached {self.name(at)}" for at in missing[:1]]
        return ", ".join(parts)


def _middle(values: Iterable[int]) -> int:
    """Return the middle one of some values, of an even number the lower of the middle two."""
    ranked = sorted(values)
    return ranked[(len(ranked) - 1) // 2]


def _went_on(letter: str, steps: Mapping[str, Step]) -> bool:
    """Tell whether a point shows what only follows where this segment had passed: then it was merely not captured there."""
    after = {"S": "hADdr", "h": "ADd", "A": "Dd", "D": "d"}
    return any(other in steps for other in after.get(letter, ""))


def names(captures: Sequence[CaptureInfo], points: Iterable[Point]) -> dict[Point, str]:
    """Name vantage points as shortly as tells them apart: `tun0`, `pod.pcap`, `any.pcap interface 7`."""
    every = sorted(set(points))
    plain: dict[Point, str] = {}
    files = [info.path.replace("\\", "/").rsplit("/", 1)[-1] for info in captures]
    for at in every:
        file, interface, ifindex, side = at
        path = f"input {file + 1}"
        if file < len(captures):
            path = files[file] if files.count(files[file]) == 1 else captures[file].path
            here = next((i for i in captures[file].interfaces if i.index == interface), None)
            known, link = (here.name, here.link(ifindex)) if here is not None else ("", "")
        else:
            known = link = ""
        if link:
            plain[at] = link
        elif ifindex >= 0:
            plain[at] = f"{path} interface {ifindex}"
        elif known and known != "any":
            plain[at] = known
        elif any(other[0] == file and other[3] != side for other in every):
            plain[at] = f"{path} ({'second' if side else 'first'} side)"
        else:
            plain[at] = path
    said = list(plain.values())
    return {at: name if said.count(name) == 1 else f"{name} of input {at[0] + 1}" for at, name in plain.items()}


def at_pod(placed: Placed) -> bool:
    """Tell whether a segment was seen at the pod's own end."""
    return any(name == POD_END or name.startswith(f"{POD_END} ") for name in placed.seen)
