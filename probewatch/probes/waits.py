"""How long kernels took to answer, to SYNs and to requests: whether the node stood still, the way is slow, or packets were lost.

Theory of operation. A kernel answers a SYN and acknowledges a request at once, unless its machine stands still or the way there and
back takes long. One late answer alone does not say which. Two things do: another kernel of the same node that answered at once
in the same moment, so that the node did not stand still; and waits that are late again and again by the same time, handshake
and request alike, as a round trip is and no stall.

Limitations: only probes are looked at, and of a segment that was sent again nobody knows which one was answered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Final, NamedTuple

from probewatch.model.diagnoses import Kind
from probewatch.model.timeline import Attempt
from probewatch.model.units import MS, briefly

from .diagnose import PROMPT_NS, Found
from .scene import Scene, by_checker

CLEAR_NS: Final = 10 * MS
"""How far inside a wait another kernel's answer must be: the node may have stopped, or gone on, a moment before or after."""
OFTEN: Final = 3
"""Attempts in a row whose kernel's answers were late, and ..."""
WAITS: Final = 4
"""... late answers, from which on their likeness is no chance."""
ALIKE: Final = 0.25
"""Waits of one round trip are this near to their median, relative to it, ..."""
MOSTLY: Final = 0.8
"""... but for so few that saw it begin or end."""
DROPPED: Final = (
    "Find what drops it: established connections of this source are filtered, or the way loses packets of any size."
)
"""What to do about a lost request that was not of full size."""


class Wait(NamedTuple):
    """From a segment to its kernel's answer."""

    since: int
    until: int
    opens: bool
    """It was a SYN that waited, else a request."""

    @property
    def late(self) -> bool:
        """Whether no kernel takes so long by itself."""
        return self.until - self.since > PROMPT_NS


def waits_of(attempt: Attempt) -> Iterator[Wait]:
    """Return how long the target's kernel took to answer each SYN and each request that was sent once."""
    for leg in attempt.legs:
        orig, resp = leg.connection.orig, leg.connection.resp
        if len(orig.syns) == 1 and resp.syns:
            yield Wait(orig.syns[0].ns, resp.syns[0].ns, opens=True)
        asked, taken = orig.first_data, resp.first_ack
        if asked is not None and taken is not None and not orig.retransmits and asked.ns <= taken.ns:
            yield Wait(asked.ns, taken.ns, opens=False)


def late_kernels(scene: Scene) -> None:
    """Tell a slow way to a pod from a node that stood still, and a lost request from both (D10, D05)."""
    for places in by_checker(scene):
        if not any(
            scene.kind(p, a) in (Kind.NODE_STALLED, Kind.REQUEST_LOST) for p in places for a in _attempts(scene, p)
        ):
            continue
        by_target: dict[str, list[tuple[int, Attempt]]] = defaultdict(list)
        for place in places:
            by_target[scene.probes[place].target.address] += [(place, a) for a in _attempts(scene, place)]
        prompt = {
            address: sorted(wait.until for _, a in those for wait in waits_of(a) if not wait.late)
            for address, those in by_target.items()
        }
        for address, those in by_target.items():
            others = [moments for one, moments in prompt.items() if one != address]
            _slow_way(scene, sorted(those, key=lambda one: one[1].start.ns), others)
            _lost(scene, those, prompt.values())


def _attempts(scene: Scene, place: int) -> Sequence[Attempt]:
    return scene.probes[place].attempts


def _slow_way(scene: Scene, those: Sequence[tuple[int, Attempt]], others: Sequence[Sequence[int]]) -> None:
    """Say of late answers of one pod's kernel that they are a round trip, or that another kernel answered meanwhile."""
    for stretch in _late_stretches(those):
        waits = [wait for _, a in stretch for wait in waits_of(a)]
        usual = median(wait.until - wait.since for wait in waits) if waits else 0
        near = [wait for wait in waits if abs(wait.until - wait.since - usual) <= ALIKE * usual]
        if len(stretch) < OFTEN or len(waits) < WAITS or len(near) < MOSTLY * len(waits):
            continue
        if len({wait.opens for wait in near}) < 2:  # (a handshake alone may wait for something of its own)
            continue
        text = (
            f"Each round trip to the pod takes about {briefly(round(usual))}, for the handshake as for the request: its kernel is not "
            "late, the way there and back is slow."
        )
        for place, a in stretch:
            if scene.kind(place, a) == Kind.NODE_STALLED:
                scene.say(place, [a], Found(Kind.LONG_ROUND_TRIP, text))
    for place, a in those:
        if scene.kind(place, a) != Kind.NODE_STALLED:
            continue
        met = [wait for wait in waits_of(a) if wait.late and any(_within(wait, moments) for moments in others)]
        if met:
            longest = briefly(max(wait.until - wait.since for wait in met))
            text = (
                f"The pod's kernel took {longest} to answer, while another pod's on this node answered at once: it is the way to this "
                "pod, not the node."
            )
            scene.say(place, [a], Found(Kind.LONG_ROUND_TRIP, text))


def _late_stretches(those: Sequence[tuple[int, Attempt]]) -> Iterator[list[tuple[int, Attempt]]]:
    """Split a pod's attempts, in time order, into those in a row of which no kernel's answer was prompt."""
    stretch: list[tuple[int, Attempt]] = []
    for place, a in those:
        waits = [wait.late for wait in waits_of(a)]
        if waits and not all(waits):
            yield stretch
            stretch = []
        elif waits:
            stretch.append((place, a))
    yield stretch


def _within(wait: Wait, moments: Sequence[int]) -> bool:
    """Tell whether one of these, which are in order, is well within a wait."""
    at = bisect_left(moments, wait.since + CLEAR_NS)
    return at < len(moments) and moments[at] <= wait.until - CLEAR_NS


def _lost(scene: Scene, those: Sequence[tuple[int, Attempt]], prompt: Iterable[Sequence[int]]) -> None:
    """Acquit the node of lost requests while any kernel of it answered at once, and the MTU where they are small."""
    for place, a in those:
        known = scene.found[place].get(a.n)
        if known is None or known.kind != Kind.REQUEST_LOST or not a.legs:
            continue
        orig, resp = a.legs[-1].connection.orig, a.legs[-1].connection.resp
        if orig.first_data is None:
            continue
        taken = resp.first_ack
        wait = Wait(orig.first_data.ns, a.end_ns if taken is None else taken.ns, opens=False)
        if any(_within(wait, moments) for moments in prompt):
            known = replace(known, equally=tuple(kind for kind in known.equally if kind != Kind.NODE_STALLED))
        if orig.length < a.legs[-1].connection.full_size:
            known = replace(known, advice=DROPPED)
        scene.found[place][a.n] = known
