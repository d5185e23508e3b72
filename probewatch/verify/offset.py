"""How far the clock of a kubelet's log or of its events is ahead of the capture's.

Theory of operation. What the kubelet says of an attempt it says right after its verdict, so that saying minus verdict is the
same for all of them: the offset of the clocks. Which saying belongs to which attempt is not known, so every saying is laid
beside every attempt it can be about, each pair allows an interval of offsets (as wide as the time of the saying is vague), and
the offset is where most intervals meet. What is told to the microsecond narrows it to the median of its pairs.
A text that names another cause than the wire shows may still be about that attempt: such a pair counts half, so that a log which
contradicts the wire is laid where it contradicts it, and not where it meets nothing.

Limitations. Failures that are alike and equally far apart fit as well one period later: such offsets are named as rivals, and the
one nearest to none is taken. Events tell whole seconds only: of probes on a grid of whole seconds they show the offset to half
a second. A node's log in local time without a journal is hours away: whole half hours are tried where nothing fits nearby.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from probewatch.model.said import RESULTS, AccountFile, Offset, Saying, Utterance
from probewatch.model.timeline import Attempt, DecisionKind, Probe
from probewatch.model.units import MINUTE, MS, SECOND

from .utterance import Lane, Who, allows, excludes

EARLY_NS: Final = 5 * MS
"""How much earlier than the wire's verdict it may be said: the kubelet's timeout begins before its SYN."""
LATE_NS: Final = 40 * MS
"""How much later: the way from the socket to the line."""
TIMER_NS: Final = 120 * MS
"""How much later where silence was the verdict: a busy node's timer is late too, and nothing on the wire shows it."""
NEAR_NS: Final = 10 * MINUTE
"""How far from a whole half hour a clock is sought."""
MOST_PAIRS: Final = 60_000
"""Pairs of a saying and an attempt that are weighed for the zone of the capture; an eighth of it for each other one."""
MOST_RIVALS: Final = 3
"""Other offsets named."""

_HALF_HOUR: Final = 30 * MINUTE
_ZONES: Final = sorted(range(-28, 29), key=abs)
ENOUGH: Final = 3
"""Pairs by which a clock is set."""
_VAGUE_NS: Final = 500 * MS
"""What whole seconds leave open, whatever they seem to narrow it to."""
_PEAKS: Final = 32
"""Offsets that are compared."""
_APART_NS: Final = 200 * MS
"""Offsets that are nearer to each other are one."""

DECIDED: Final = {
    ("readiness", "ready"): DecisionKind.READY,
    ("readiness", "not ready"): DecisionKind.NOT_READY,
    ("startup", "started"): DecisionKind.STARTED,
    ("startup", "unhealthy"): DecisionKind.RESTART,
    ("liveness", "unhealthy"): DecisionKind.RESTART,
}
"""(type, status) of `SyncLoop (probe)` -> what was decided."""


class Meeting(NamedTuple):
    """Offsets that one pair allows."""

    said: int
    """Which saying of those that were laid beside."""
    about: tuple[str, int]
    """Probe, and the moment of its verdict."""
    low: int
    high: int
    exact: bool
    """Told to the microsecond."""
    timer: bool
    """Silence was the verdict."""
    difference: int
    clash: bool
    """The text names another cause than the wire shows."""


def agreed(files: Sequence[AccountFile], offsets: Sequence[Offset]) -> list[Offset]:
    """Return the offsets, those of events by the log of the same kubelet where that is known better: both have its clock."""
    made = []
    for file, offset in zip(files, offsets, strict=True):
        pods = {(one.namespace, one.pod) for one in file.said}
        better = [
            other for log, other in zip(files, offsets, strict=True)
            if log.kind == "log" and other.pairs >= ENOUGH and any((one.namespace, one.pod) in pods for one in log.said)
        ]  # fmt: skip
        if file.kind == "events" and better:
            best = min(better, key=lambda other: other.within_ns)
            offset = replace(offset, ns=best.ns, within_ns=best.within_ns, taken_from=best.source, rivals=())
        made.append(offset)
    return made


class Peak(NamedTuple):
    """Offsets at which many sayings meet."""

    depth: int
    agreeing: int
    """Of these, those whose text names no other cause."""
    low: int
    high: int

    @property
    def middle(self) -> int:
        """The offset in the middle."""
        return (self.low + self.high) // 2


def estimate(file: AccountFile, probes: Sequence[Probe], who: Who) -> Offset:
    """Return the offset of one file's clock; no pairs where nothing in it fits any attempt, and the offset is then 0."""
    starts = [a.start.ns for p in probes for a in p.attempts]
    ends = [a.end_ns for p in probes for a in p.attempts]
    if not starts or not file.said:
        return Offset(source=file.source, ns=0, within_ns=0, pairs=0, of=len(file.said))
    begin, end = min(starts), max(ends)
    best: Offset | None = None
    for zone in _ZONES:
        base = zone * _HALF_HOUR
        near = [s for s in file.said if begin - NEAR_NS <= s.ns - base <= end + NEAR_NS]
        found = _meet(file.source, near, base, who, (begin, end))
        if found is not None and (best is None or found.pairs > best.pairs):
            best = found
        if best is not None and (best.pairs >= ENOUGH or zone == 0) and best.pairs * 2 >= min(best.of, len(starts)):
            break
    return best or Offset(source=file.source, ns=0, within_ns=0, pairs=0, of=len(file.said))


def _meet(source: str, said: Sequence[Utterance], base: int, who: Who, shown: tuple[int, int]) -> Offset | None:
    told = [one for one in said if one.saying in RESULTS or one.saying is Saying.DECIDED]
    budget = MOST_PAIRS if not base else MOST_PAIRS // 8
    meetings: list[Meeting] = []
    sure: list[Meeting] = []
    tried: list[Utterance] = []
    for number, one in enumerate(_spread(told)):
        tried.append(one)
        for lane in who.fitting(one):
            for ns, timer, port, clash in _moments(one, lane, base):
                made = _pair(number, (lane.probe.id, ns), one, base, timer=timer, clash=clash)
                meetings += made
                if port:
                    sure += made
        if len(meetings) > budget:
            break
    if not meetings:
        return None
    chosen = sure or meetings  # a port names its connection: nothing else is needed
    times = sorted(one.ns for one in tried if one.saying in RESULTS)
    peaks = sorted(_peaks(chosen), key=lambda peak: -_score(peak, times, shown))
    peaks = [_once(peak, chosen) for peak in peaks[:_PEAKS]]
    best = max(_score(peak, times, shown) for peak in peaks)
    peaks = [peak for peak in peaks if _score(peak, times, shown) == best]
    peaks.sort(key=lambda peak: abs(peak.middle - base))
    taken = peaks[0]
    middle, within = _middle([m for m in chosen if m.low <= taken.middle <= m.high], taken)
    if taken.depth < 2 and not sure:
        within = max(within, SECOND)
    apart = max(_APART_NS, taken.high - taken.low)
    rivals = [peak.middle for peak in peaks[1:] if abs(peak.middle - middle) > apart]
    return Offset(
        source=source, ns=middle, within_ns=within, pairs=taken.depth, of=len(tried), rivals=tuple(rivals[:MOST_RIVALS])
    )


def _score(peak: Peak, times: Sequence[int], shown: tuple[int, int]) -> int:
    """Return how well an offset explains what was said: what fits, less what then falls into the capture and fits nothing."""
    inside = bisect_right(times, shown[1] + peak.middle) - bisect_left(times, shown[0] + peak.middle)
    return peak.depth + peak.agreeing - 2 * max(inside - peak.depth, 0)


def _once(peak: Peak, meetings: Sequence[Meeting]) -> Peak:
    """Return the peak with its depth as far as each attempt has one saying."""
    here = [m for m in meetings if m.low <= peak.middle <= m.high]
    full = [m for m in here if not m.clash]
    return peak._replace(
        depth=min(len({m.said for m in here}), len({m.about for m in here})),
        agreeing=min(len({m.said for m in full}), len({m.about for m in full})),
    )


def _middle(meeting: Sequence[Meeting], peak: Peak) -> tuple[int, int]:
    """Return (offset, how much it may be off): the median of what is told to the microsecond, by frames before timers."""
    exact = [m for m in meeting if m.exact]
    best = sorted(m.difference for m in exact if not m.timer)
    if best:
        return best[len(best) // 2], max((best[-1] - best[0]) // 2, MS)
    if exact:
        return min(m.difference for m in exact), LATE_NS
    return peak.middle, max((peak.high - peak.low) // 2, _VAGUE_NS)


def _spread(told: Sequence[Utterance]) -> Iterable[Utterance]:
    """Return the sayings so that the first few hundred are spread over all."""
    step = max(1, len(told) // 400)
    for begin in range(step):
        yield from told[begin::step]


def _moments(said: Utterance, lane: Lane, base: int) -> Iterable[tuple[int, bool, bool, bool]]:
    """Return when the wire shows what was said, as (verdict, whether by silence, whether the port proves it, whether causes differ)."""
    if said.saying is Saying.DECIDED:
        probe = lane.probe
        wanted = DECIDED.get((probe.type.value, said.state))
        return [
            (d.ns, all(a.end_mark is None for a in lane.between(d.ns, d.ns) if a.n == d.attempt), False, False)
            for d in probe.decisions if d.kind is wanted
        ]  # fmt: skip
    return [
        (a.end_ns, a.end_mark is None, said.port is not None and dialled(a, said.port), excludes(said, a))
        for a in lane.between(said.ns - base - NEAR_NS, said.ns - base + NEAR_NS)
        if allows(said, a) and (said.port is None or dialled(a, said.port))
    ]


def dialled(attempt: Attempt, port: int) -> bool:
    """Tell whether a connection of the attempt came from this port."""
    return any(leg.connection.client_port == port for leg in attempt.legs)


def _pair(
    number: int, about: tuple[str, int], said: Utterance, base: int, *, timer: bool, clash: bool
) -> list[Meeting]:
    made = []
    # The first and the last time of an aggregated event are two sayings: both have to fit.
    for which, at in enumerate((said.ns,) if said.first_ns is None else (said.ns, said.first_ns)):
        difference = at - about[1]
        if abs(difference - base) <= NEAR_NS:
            vague = said.precision_ns if said.precision_ns > MS else 0
            late = TIMER_NS if timer else LATE_NS
            made.append(
                Meeting(
                    2 * number + which,
                    about,
                    difference - late,
                    difference + vague + EARLY_NS,
                    not vague,
                    timer,
                    difference,
                    clash,
                )
            )
    return made


def _peaks(meetings: Sequence[Meeting]) -> list[Peak]:
    """Return the stretches of offsets where more sayings meet than beside them (each once, whichever its pairs)."""
    edges = sorted([(m.low, 0, m.said) for m in meetings] + [(m.high, 1, m.said) for m in meetings])
    here: dict[int, int] = {}
    since, rising = 0, False
    peaks: list[Peak] = []
    for at, ends, said in edges:
        if not ends:
            if said not in here:
                since, rising = at, True
            here[said] = here.get(said, 0) + 1
            continue
        if here[said] == 1 and rising:
            peaks.append(Peak(len(here), len(here), since, at))
            rising = False
        here[said] -= 1
        if not here[said]:
            del here[said]
    return peaks
