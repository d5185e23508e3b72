"""Where a segment died: what several vantage points on one way together show of it.

Theory of operation. A frame that two vantage points saw has two times. Towards the target the nearer one sees it first,
from the target last: with `o` and `r` the differences in the two directions, half of `o - r` is the way between them and
half of `o + r` the difference of their clocks (as NTP has it, RFC 5905 section 8). `Ways` collects both from every
connection that several points saw whole, and so learns for each pair of client and target which points lie on the way, in which order, and
how their clocks differ. Within one file the clock is one, and one direction is enough.

`place` then goes through the segments of one connection in the order of a conversation. A segment that was seen, and that
a point further along its way never showed, was lost between the two. Only points count that showed this direction of
some connection between the same two, and whose file covers the moment of that segment: it had begun before, and ended later.
What its receiver acknowledged was not lost. A segment that all points showed, but one of them late, was held up.

The files of one rotated capture (`model.rotated`) show one point at each interface.

Limitations: a point that drops packets itself looks like a loss. Where all is lost up to the end, and nothing else is in the
file of the point further along, nothing tells that it was still captured there. Clocks that differ by more than `wire.sightings.WINDOW`
make two frames of one. What is translated on its way (NAT) is another connection there. Where no connection between two
was ever seen at two points, nothing tells that they lie on one way, and nothing is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, takewhile
from operator import itemgetter
from typing import Final, NamedTuple

from probewatch.model.connection import Connection, Sighting, Step
from probewatch.model.frame import CaptureInfo
from probewatch.model.path import Placed
from probewatch.model.rotated import rotated_sets
from probewatch.model.units import MS, briefly

HELD_NS: Final = 20 * MS
"""A segment that took longer between two points was held up: no node takes that long to forward."""
KEPT: Final = 256
"""Differences of times kept for each pair of points, target and direction."""
SURE_NS: Final = 50 * MS
"""A file covers what came so long after its first and before its last frame: clocks may differ by that, and a way takes time."""
FLOODED: Final = 3
"""A SYN at so many points that no answer ever passed was flooded: mirrors and one-way captures are fewer."""
NAMED: Final = 4
"""Points of a way that are named."""
POD_END: Final = "eth0"
"""What nearly every CNI calls a pod's own end of its interface pair (CNI spec: CNI_IFNAME, eth0 by the kubelet's runtimes)."""

Ends = tuple[str, str]
"""(client, server) of a way."""
Point = tuple[int, int, int, bool]
"""(file, interface, ifindex, side of a cooked v1 capture): `wire.sightings.Vantage`; of a rotated set the file is its first."""
Shown = Mapping[str, Step]
"""What a point showed of a connection, by letter."""

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


def point_of(sighting: Sighting, sets: Sequence[int]) -> Point:
    """Return the vantage point of a sighting; `sets` tells of each file which one its rotated set begins with."""
    file = sets[sighting.file] if sighting.file < len(sets) else sighting.file
    return file, sighting.interface, sighting.ifindex, sighting.side


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
        self._sets = rotated_sets(captures)
        self._spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """Between which moments was captured, by the first file of each set."""
        for head, info in zip(self._sets, captures, strict=True):
            if info.first_ns is not None and info.last_ns is not None:
                begun = info.first_ns if info.began_ns is None else info.began_ns
                self._spans[head].append((begun, info.last_ns if info.ended_ns is None else info.ended_ns))
        self._pairs: dict[tuple[Ends, Point, Point], _Pair] = {}
        self._seen: dict[Ends, dict[Point, set[bool]]] = defaultdict(dict)
        """Way -> point -> directions seen there."""
        self._during: dict[Point, tuple[int, int]] = {}
        """When each point showed its first and its last segment, of any way."""
        self._order: dict[Ends, tuple[Point, ...]] = {}
        self._names: dict[Point, str] = {}

    def learn(self, connection: Connection) -> None:
        """Take in a connection."""
        mine = [*self._shown(connection).items()]
        ends = connection.client, connection.server
        for at, steps in mine:
            times = [step.ns for step in steps.values()]
            if times:
                begun, ended = self._during.get(at, (times[0], times[0]))
                self._during[at] = min(begun, *times), max(ended, *times)
            self._seen[ends].setdefault(at, set()).update(letter.isupper() for letter in steps)
        for (a, before), (b, after) in combinations(sorted(mine, key=itemgetter(0)), 2):
            pair = self._pairs.setdefault((ends, a, b), _Pair([], []))
            for letter, step in before.items():
                other = after.get(letter)
                if other is not None and step.times == other.times == 1:
                    kept = pair.towards if letter.isupper() else pair.back
                    if len(kept) < KEPT:
                        kept.append(other.ns - step.ns)

    def _shown(self, connection: Connection) -> dict[Point, dict[str, Step]]:
        """Return what each point showed of a connection."""
        shown: dict[Point, dict[str, Step]] = {}
        for sighting in connection.sightings:
            here = shown.setdefault(point_of(sighting, self._sets), {})
            for letter, step in steps_of(connection, sighting).items():
                # (A connection that goes on in the next file of a set: what was shown first, and how often in all.)
                known = here.get(letter, step)
                first = min(known, step, key=lambda one: one.ns)
                here[letter] = first if known is step else first._replace(times=known.times + step.times)
        return shown

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

    def covers(self, at: Point, ns: int, by: Point, ends: Ends) -> bool:
        """Tell whether what was on its way at this moment, by another point's clock, would have been captured at a point."""
        if not self._was_there(at, ns, ends):
            return False
        if at[0] >= len(self._captures):
            return True
        early = SURE_NS if at[0] != by[0] else 0
        return any(begun + early <= ns <= ended - SURE_NS for begun, ended in self._spans[at[0]])

    def _was_there(self, at: Point, ns: int, ends: Ends) -> bool:
        """Tell whether an interface that only its frames show existed: from its first one on, and until another took its place.

        (A capture of all interfaces names them by number. What was opened to be captured was there before its first frame.)
        """
        if at[2] < 0 or at not in self._during:
            return True
        first, last = self._during[at]
        others = [self._during[one] for one in self._seen[ends] if one in self._during and one[2] >= 0]
        replaced = ns > last and any(last < began <= ns + SURE_NS for began, _ in others)
        return first - SURE_NS <= ns and not replaced

    def place(self, connection: Connection) -> tuple[Placed, ...]:
        """Say which segments of a connection were lost or held up, and between which points."""
        ends = connection.client, connection.server
        shown = self._shown(connection)
        begun = connection.start.ns
        order = [at for at in self.order(ends) if at in shown or any(self.covers(at, begun, by, ends) for by in shown)]
        if len(order) < 2:
            return ()
        out = []
        for letter, segment, towards in SEGMENTS:
            way = [at for at in (order if towards else order[::-1]) if towards in self._seen[ends].get(at, ())]
            seen = [at for at in way if letter in shown.get(at, {})]
            if not seen:
                continue
            found = self._lost(connection, segment, towards, letter, way, seen, shown) or self._late(
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
        connection: Connection,
        segment: str,
        towards: bool,
        letter: str,
        way: Sequence[Point],
        seen: Sequence[Point],
        shown: Mapping[Point, Shown],
    ) -> Placed | None:
        ends = connection.client, connection.server
        last, (_, ns, _, times) = way.index(seen[-1]), shown[seen[-1]][letter]
        missing = [
            at
            for at in way[last + 1 :]
            if self.covers(at, ns, seen[-1], ends) and not _went_on(letter, shown.get(at, {}))
        ]
        if missing and _arrived(letter, connection):
            return None
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
        shown: Mapping[Point, Shown],
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
        if again and not self.covers(seen[late], first.ns, seen[0], (connection.client, connection.server)):
            return None  # (the first one may have passed before that was captured)
        name = self.name(seen[late])
        wait = briefly(took)
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


def _arrived(letter: str, connection: Connection) -> bool:
    """Tell whether a segment was acknowledged by whom it was sent to, wherever that was seen."""
    if letter == "h":
        return connection.orig.first_ack is not None
    return letter in "Dd" and (connection.orig if letter == "D" else connection.resp).acked > 0


def _went_on(letter: str, steps: Shown) -> bool:
    """Tell whether a point shows what only follows where this segment had passed: then it was merely not captured there."""
    after = {"S": "hADdr", "h": "ADd", "A": "Dd", "D": "d"}
    return any(other in steps for other in after.get(letter, ""))


def names(captures: Sequence[CaptureInfo], points: Iterable[Point]) -> dict[Point, str]:
    """Name vantage points as shortly as tells them apart: `tun0`, `pod.pcap`, `any.pcap interface 7`."""
    every = sorted(set(points))
    plain: dict[Point, str] = {}
    files = _file_names(captures)
    for at in every:
        file, interface, ifindex, side = at
        path = f"input {file + 1}"
        if file < len(captures):
            path = files[file]
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


def _file_names(captures: Sequence[CaptureInfo]) -> list[str]:
    """Return what each file is called: its name, or its path where others have the same; a rotated set by what its names begin with."""
    files = [info.path.replace("\\", "/").rsplit("/", 1)[-1] for info in captures]
    sets = rotated_sets(captures)
    for head in set(sets):
        mine = sorted(name for name, other in zip(files, sets, strict=True) if other == head)
        if len(mine) > 1:
            same = takewhile(lambda pair: pair[0] == pair[1], zip(mine[0], mine[-1], strict=False))
            begin = "".join(letter for letter, _ in same).rstrip("0123456789")
            files[head] = f"{begin}*" if begin else f"{files[head]} and later"
    return [
        name if sum(files[head] == name for head in set(sets)) <= 1 else info.path
        for name, info in zip(files, captures, strict=True)
    ]


def at_pod(placed: Placed) -> bool:
    """Tell whether a segment was seen at the pod's own end."""
    return any(name == POD_END or name.startswith(f"{POD_END} ") for name in placed.seen)
