"""A clock that was set while capturing, by a little or a lot, forward or back, where packets show by how much.

Theory of operation. A host counts the milliseconds of a clock that nobody sets (Linux: CLOCK_MONOTONIC) into the timestamps of its
segments (RFC 7323), from a beginning of its own for each pair of addresses, or for each connection. So the time of a frame minus
its timestamp stays the same for these (`Stamp`), whoever probes whom, and whether kubelets and containers end or begin.
Where it changes at one moment by one and the same amount for what several hosts send, or for several pairs over time, it is the
capture's clock that was set; or all of them and it stood still, as a machine does that is suspended. What comes behind that is told
by the clock as it was before: no time was lost, every ticker goes on, and nothing is missing. Where tickers show the same
(`Input.set_at`, from `probewatch.stepped`), so is that.

Only where frames stand SET_NS or more apart, or time goes back by as much, can the clock have been set in between; LOOK frames
behind such a place are looked at, and more only where one of them tells of a change.

Limitations. Frames without timestamps prove nothing, nor do hosts that count in other units. What is set by less than SET_NS, before
each of two pairs was seen twice, or behind the last of them, is not seen. A stream is not looked into: its frames are not held back.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from probewatch.capture.steps import moved
from probewatch.model.frame import Batch, Frame, Part
from probewatch.model.units import MS, SECOND, decimal, off_by

if TYPE_CHECKING:
    from probewatch.capture.reader import Input

SET_NS: Final = 20 * MS
"""By how much the clock must have been set: a host may hold a frame back for some milliseconds."""
NEAR_NS: Final = 5 * MS
"""Changes that differ by less are one."""
DRIFT: Final = 10_000
"""Part of the time since by which clocks of two machines may have drifted apart."""
LOOK: Final = 6
"""Frames looked at behind each place where the clock may have been set ..."""
LOOK_ON: Final = 2_000
"""... and where one of them tells that it was."""
APART_NS: Final = SECOND
"""One sender's changes are of the clock where they are told of over so long: what waits in a queue is there for less."""
MOST: Final = 4_096
"""Pairs and connections known at once; those that were not seen for longest are forgotten."""
WRAP_NS: Final = (1 << 32) * MS
"""Timestamps begin anew after 2**32 ms."""


class Stamp(NamedTuple):
    """What a frame tells of its sender's clock."""

    source: str
    key: tuple[str | int, ...]
    """Sender and receiver, with their ports where it is no request: its timestamps begin at one point for these."""
    ms: int
    """Its timestamp."""


class _Known(NamedTuple):
    apart_ns: int
    """Capture time minus timestamp."""
    seen_ns: int
    ms: int
    steady: bool
    """It was the same twice."""


class _Change(NamedTuple):
    stamp: Stamp
    ns: int
    by_ns: int


def by_hosts(reader: Input, source: Iterator[Part]) -> Iterator[Part]:
    """Yield the same frames, those behind a clock that was set by the clock as it was before. The reader is told."""
    if reader.stamp is None or reader.live:
        yield from source
        return
    set_at = deque(reader.set_at)
    hosts = _Hosts(reader)
    ahead: deque[Part] = deque()
    last_ns: int | None = None
    shift_ns, first_ns, latest_ns = 0, None, 0
    while (part := ahead.popleft() if ahead else next(source, None)) is not None:
        part = moved(part, shift_ns)
        for row in _places(part, last_ns):
            before_ns = last_ns if row == 0 else int(part.times[row - 1]) if isinstance(part, Batch) else None
            number, ns = (int(part.numbers[row]), int(part.times[row])) if isinstance(part, Batch) else part[2::-2]
            by_ns = hosts.change(_coming(part, row, ahead, source, shift_ns))
            while set_at and set_at[0][0] <= number:
                here, ticked_ns = set_at.popleft()
                by_ns = by_ns or (ticked_ns if here == number else 0)
            if by_ns and before_ns is not None:
                by_ns = min(by_ns, ns - before_ns)  # (what shows it is no finer than milliseconds)
                part = moved(part, -by_ns, row)
                shift_ns -= by_ns
                hosts.told(number, by_ns)
        last_ns = part.last_ns if isinstance(part, Batch) else part.ns
        begun_ns = part.first_ns if isinstance(part, Batch) else part.ns
        first_ns, latest_ns = begun_ns if first_ns is None else min(first_ns, begun_ns), max(latest_ns, last_ns)
        if shift_ns:
            reader.told(first_ns + reader.shift_ns, latest_ns + reader.shift_ns)
        yield part


def _places(part: Part, last_ns: int | None) -> list[int]:
    """Return the rows of a part before which the clock may have been set; its first one where nothing was before it."""
    first = part.first_ns if isinstance(part, Batch) else part.ns
    rows = [0] if last_ns is None or abs(first - last_ns) >= SET_NS else []
    if isinstance(part, Batch):
        rows += ((abs(part.times[1:] - part.times[:-1]) >= SET_NS).nonzero()[0] + 1).tolist()
    return rows


def _coming(part: Part, row: int, ahead: deque[Part], source: Iterator[Part], shift_ns: int) -> Iterator[Frame]:
    """Yield the frames from one on, as far as anybody asks; what is read for that is put behind what is ahead."""
    yield from part.made(slice(row, None)) if isinstance(part, Batch) else (part,)
    at = 0
    while True:
        if at == len(ahead):
            more = next(source, None)
            if more is None:
                return
            ahead.append(more)
        yield from _frames(moved(ahead[at], shift_ns))
        at += 1


def _frames(part: Part) -> Iterator[Frame]:
    return part.made(slice(None)) if isinstance(part, Batch) else chain((part,))


class _Hosts:
    """The clocks of the hosts of one capture."""

    def __init__(self, reader: Input) -> None:
        self._reader = reader
        self._known: OrderedDict[tuple[str | int, ...], _Known] = OrderedDict()

    def change(self, frames: Iterator[Frame]) -> int:
        """Return by how much (ns) the clock was set before the first of some frames; 0 where nothing shows that it was."""
        assert self._reader.stamp is not None
        seen: list[tuple[Stamp, int]] = []
        changes: list[_Change] = []
        by_ns, refuted = 0, False
        last_ns: int | None = None
        sure = 1 << 62
        """How many of those seen come before the next place where it may have been set."""
        for count, frame in enumerate(frames, 1):
            if last_ns is not None and abs(frame.ns - last_ns) >= SET_NS:
                if not changes:
                    break
                sure = min(sure, len(seen))
            last_ns = frame.ns
            stamp = self._reader.stamp(frame)
            if stamp is not None:
                seen.append((stamp, frame.ns))
                known = self._known.get(stamp.key)
                if known is not None and known.steady and not refuted:
                    change = _Change(stamp, frame.ns, _off(known, stamp, frame.ns))
                    if abs(change.by_ns) < SET_NS + (frame.ns - known.seen_ns) // DRIFT or not _agree(changes, change):
                        changes, refuted = [], True
                    else:
                        changes.append(change)
                        if _proved(changes):
                            by_ns = min((one.by_ns for one in changes), key=abs)
                            break
            if count >= (LOOK_ON if changes else LOOK):
                break
        for stamp, ns in seen if by_ns else seen[:sure]:
            self._learn(stamp, ns - by_ns)
        return by_ns

    def _learn(self, stamp: Stamp, ns: int) -> None:
        known = self._known.pop(stamp.key, None)
        if known is not None and known.ms == stamp.ms:  # (a copy, seen at another place)
            self._known[stamp.key] = known
            return
        steady = known is not None and abs(_off(known, stamp, ns)) < NEAR_NS + abs(ns - known.seen_ns) // DRIFT
        self._known[stamp.key] = _Known(ns - stamp.ms * MS, ns, stamp.ms, steady)
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def told(self, number: int, by_ns: int) -> None:
        """Tell the reader."""
        way = "forward" if by_ns > 0 else "back"
        amount = decimal(round(abs(by_ns) / MS) * MS)
        self._reader.note(
            f"at frame {number} the clock was set {way} by {amount} s"
            + (", or machine and clock stood still so long" if by_ns > 0 else "")
            + ": the TCP timestamps of all hosts, or the ticks of all probes, go on without that step. What comes "
            "from there on is told by the clock as it was before"
            f"; by the clock as it was then it is {amount} s {'later' if by_ns > 0 else 'earlier'}"
        )
        self._reader.was_set(by_ns)


def _off(known: _Known, stamp: Stamp, ns: int) -> int:
    """Return by how much capture time went on further than timestamps did."""
    return off_by(ns - stamp.ms * MS - known.apart_ns, WRAP_NS)


def _agree(changes: list[_Change], change: _Change) -> bool:
    return all(abs(one.by_ns - change.by_ns) < NEAR_NS for one in changes)


def _proved(changes: list[_Change]) -> bool:
    """Tell whether changes are the clock's: two senders tell of it, or two pairs of addresses for some time."""
    first, last = changes[0], changes[-1]
    return len({one.stamp.source for one in changes}) > 1 or (
        len({one.stamp.key for one in changes}) > 1 and last.ns - first.ns >= APART_NS
    )
