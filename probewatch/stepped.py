"""A clock that was set while capturing, by the tickers that all move with it.

Theory of operation. A kubelet's worker asks every so many whole seconds, to the millisecond, and each has a phase of its own. Where
the clock of the capture is set, the ticks of all workers of all kubelets come later or earlier from one moment on, and all by one and
the same amount, the pause to their first tick included. Nothing else does that: a kubelet that begins anew gives each worker a phase
at random, a container that begins moves its own Pod's, and who gets no processor is back on its old ticks. So tickers are looked for
on both sides of each place where one breaks off: those of two addresses must have moved by the same (to NEAR_NS), and hardly any may
have gone on or moved otherwise.

This is for captures whose hosts do not show the same by their TCP timestamps (`capture.hosts`): newer kernels begin them anew for
every connection.

Limitations. Only files are looked into, and none that is large (`capture.pieces`). A clock that was set by a multiple of all periods
looks like a pause. A ticker shows where it ticked three times on each side.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final, NamedTuple

from probewatch.model.units import MS, SECOND, off_by

if TYPE_CHECKING:
    from .capture.reader import Reader

SET_NS: Final = 20 * MS
"""By how much the clock must have been set."""
ON_TIME_NS: Final = 10 * MS
"""Ticks of a ticker are this near to its grid."""
NEAR_NS: Final = 5 * MS
"""Moves that differ by less are one."""
LONGEST_S: Final = 120
"""The longest period looked for."""
KEPT: Final = 24
"""Latest starts of a flow among which a ticker is looked for."""
MOST_BETWEEN: Final = 20_000
"""Frames between the last tick before and the first behind."""
AROUND: Final = 5
"""Ticks that tell when those among them were due."""
DRIFT_NS: Final = 2 * MS
"""A ticker keeps its phase: one that moves further between its ends waits for each check to end, as other checkers do."""
MOST_TICKERS: Final = 32
"""Tickers of a flow, one after the other or at once: a flow of more is no kubelet's."""
ADDRESSES: Final = 2
"""Addresses whose tickers must move together."""
NEARLY_ALL: Final = 0.8
"""Share of the tickers of that moment that must move together."""

Flow = tuple[str, str, int]
"""Source, destination, its port."""


class Start(NamedTuple):
    """A connection that was asked for."""

    number: int
    """Its frame."""
    ns: int


@dataclass(eq=False, slots=True)
class _Ticker:
    """Starts of one flow at one pace."""

    flow: Flow
    period_ns: int
    ticks: list[Start]


class _Move(NamedTuple):
    """A ticker that broke off, and one of its pace that began behind that."""

    by_ns: int
    """By how much later than the next tick was due."""
    last: int
    """Frame of the last tick."""
    next: int
    """Frame of the first one behind it."""
    before: _Ticker
    lost: int
    """Ticks that came late on either side, or not at all."""


def put_right(readers: Iterable[Reader]) -> None:
    """Let readers tell their files by one clock, where tickers show that it was set (`Reader.set_at`)."""
    from .capture.pieces import MOST_BYTES

    for reader in readers:
        if not reader.live and reader.size is not None and reader.size <= MOST_BYTES and not reader.pieces:
            times, flows = _starts(reader.path)
            reader.set_at = settings(times, flows)


def _starts(path: str) -> tuple[list[int], dict[Flow, list[Start]]]:
    """Return the times of all frames of a file, and of each flow when connections were asked for; nothing of what has too many."""
    from .capture.pieces import MOST_FRAMES
    from .capture.reader import Reader
    from .wire.packets import ACK, SYN, Segment
    from .wire.peel import Peeler

    peel = Peeler().peel
    times: list[int] = []
    flows: dict[Flow, list[Start]] = defaultdict(list)
    known: set[tuple[str, int, str, int, int]] = set()
    with Reader(path, 0) as reader:
        for frame in reader:
            times.append(frame.ns)
            if len(times) > MOST_FRAMES:
                return [], {}
            packet = peel(frame)
            if isinstance(packet, Segment) and packet.flags & (SYN | ACK) == SYN:
                ends = packet.source, packet.source_port, packet.destination, packet.destination_port, packet.seq
                if ends not in known:
                    known.add(ends)
                    flow = packet.source, packet.destination, packet.destination_port
                    flows[flow].append(Start(len(times), frame.ns))
    return times, flows


def settings(times: Sequence[int], flows: dict[Flow, list[Start]]) -> list[tuple[int, int]]:
    """Return the frames before which the clock was set, by number, and by how much (ns), in their order.

    Args:
        times: of all frames, in the order in which they stand.
        flows: when connections were asked for, in the same order.
    """
    tickers = [ticker for flow, starts in flows.items() for ticker in _tickers(flow, starts)]
    moves = sorted(_moves(tickers), key=lambda move: move.by_ns)
    groups = sorted(_together(moves), key=_rank)
    found: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    for group in groups:
        by_ns = sorted(one.by_ns for one in group)[len(group) // 2]
        mine = {id(one.before) for one in group}
        after, before = max(one.last for one in group), min(one.next for one in group)
        went_on = {id(one) for one in tickers if one.ticks[0].number <= after and one.ticks[-1].number >= before}
        elsewhere = {id(one.before) for one in moves if one.last < before and one.next > after}
        if (
            abs(by_ns) >= SET_NS
            and len({one.before.flow[1] for one in group}) >= ADDRESSES
            and not all(_multiple(by_ns, one.before.period_ns) for one in group)
            and len(mine) >= NEARLY_ALL * len(mine | went_on | elsewhere)
            and not any(first < before and last > after for first, last in taken)
        ):
            taken.append((after, before))
            pauses = [(times[number - 1] - times[number - 2], number) for number in range(after + 1, before + 1)]
            back = min(pauses)
            found.append(((back if 2 * back[0] < by_ns < 0 else max(pauses))[1], by_ns))
    return sorted(found)


def _rank(group: Sequence[_Move]) -> tuple[int, int]:
    """Return what is least where most tickers moved so, and fewest of their ticks are missing then."""
    lost: dict[int, int] = {}
    for one in group:
        lost[id(one.before)] = min(one.lost, lost.get(id(one.before), one.lost))
    return -len(lost), sum(lost.values())


def _multiple(by_ns: int, period_ns: int) -> bool:
    """Tell whether a ticker that only paused would look the same."""
    return abs(off_by(by_ns, period_ns)) < SET_NS


def _moves(tickers: Sequence[_Ticker]) -> Iterator[_Move]:
    """Yield how each ticker may have gone on where it paused, or broke off: then as another of its pace."""
    alike: dict[tuple[Flow, int], list[_Ticker]] = defaultdict(list)
    for one in tickers:
        alike[one.flow, one.period_ns].append(one)
    for series in alike.values():
        for one in series:
            for tick, following in pairwise(one.ticks):
                if following.ns - tick.ns > one.period_ns + ON_TIME_NS:
                    yield _Move(one.period_ns, tick.number, following.number, one, 1)
            for other in series:
                # What ends one ticker, or begins the other, may be another's that came just then.
                for last, first in product(one.ticks[-2:], other.ticks[:2]):
                    if not last.number < first.number < last.number + MOST_BETWEEN:
                        continue
                    off = len(one.ticks) - 1 - one.ticks.index(last) + other.ticks.index(first)
                    by_ns = _due_ns(other, first, other.ticks[:AROUND]) - _due_ns(one, last, one.ticks[-AROUND:])
                    for lost in (0, 1):
                        yield _Move(by_ns - (1 + lost) * one.period_ns, last.number, first.number, one, lost + off)


def _off(ticker: _Ticker, ticks: Sequence[Start]) -> int:
    """Return by how much some ticks were off the grid of the first one, most of them: each may have come somewhat late."""
    first_ns = ticker.ticks[0].ns
    return sorted(off_by(one.ns - first_ns, ticker.period_ns) for one in ticks)[len(ticks) // 2]


def _due_ns(ticker: _Ticker, tick: Start, ticks: Sequence[Start]) -> int:
    """Return when a tick was due, by those around it."""
    return tick.ns + _off(ticker, ticks) - _off(ticker, (tick,))


def _together(moves: Sequence[_Move]) -> Iterator[list[_Move]]:
    """Yield those that moved by the same and at what may be one moment; they come in the order of how far they moved."""
    at = 0
    while at < len(moves):
        end = at
        while end < len(moves) and moves[end].by_ns - moves[at].by_ns < NEAR_NS:
            end += 1
        groups: list[list[_Move]] = []
        for one in sorted(moves[at:end], key=lambda move: move.next):
            if groups and one.last < min(other.next for other in groups[-1]):
                groups[-1].append(one)
            else:
                groups.append([one])
        yield from groups
        at = end


def _tickers(flow: Flow, starts: Sequence[Start]) -> list[_Ticker]:
    """Return the tickers of a flow, each from its first tick to the last before two were missing or late."""
    going: list[_Ticker] = []
    found: list[_Ticker] = []
    recent: deque[tuple[Start, bool]] = deque(maxlen=KEPT)
    """The latest starts, and whether each is a tick of a known ticker."""
    for start in starts:
        hit = False
        for one in list(going):
            off = start.ns - one.ticks[-1].ns - one.period_ns
            if abs(off) <= ON_TIME_NS or abs(off - one.period_ns) <= ON_TIME_NS:
                one.ticks.append(start)
                hit = True
            elif off > one.period_ns or start.ns < one.ticks[-1].ns - ON_TIME_NS:
                going.remove(one)
        if not hit and (new := _begun(flow, start, recent)) is not None:
            going.append(new)
            found.append(new)
            hit = True
        recent.append((start, hit))
        if len(found) > MOST_TICKERS:
            return []
    return [one for one in found if abs(_off(one, one.ticks[-AROUND:]) - _off(one, one.ticks[:AROUND])) <= DRIFT_NS]


def _begun(flow: Flow, start: Start, recent: deque[tuple[Start, bool]]) -> _Ticker | None:
    """Return a ticker of which a start is the third tick that was seen, the fastest there may be."""
    whole = [(one, hit) for one, hit in recent if _whole(start.ns - one.ns)]
    for at in range(len(whole) - 1, 0, -1):
        middle, middle_hit = whole[at]
        for first, hit in whole[:at]:
            steps = start.ns - middle.ns, middle.ns - first.ns
            period_ns = round(min(steps) / SECOND) * SECOND
            if (hit and middle_hit) or not SECOND <= period_ns <= LONGEST_S * SECOND:
                continue
            # One of them between may have come late.
            counts = [round(step / period_ns) for step in steps]
            off = max(abs(step - count * period_ns) for step, count in zip(steps, counts, strict=True))
            if sum(counts) <= 3 and off <= ON_TIME_NS:
                return _Ticker(flow, period_ns, [first, middle, start])
    return None


def _whole(apart_ns: int) -> bool:
    """Tell whether starts are whole seconds apart."""
    return abs(off_by(apart_ns, SECOND)) <= ON_TIME_NS
