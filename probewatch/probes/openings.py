"""When clients opened connections, in bounded memory: exact while they are few, by cells of time once they are many.

What is asked of client traffic is only known at the end, when decisions are final: the first connection after a moment,
the last before another, how many between them. So every opening is kept as a cell of its own, and where that becomes
too many, cells of 2^n nanoseconds are joined, n growing by one at a time. A joined cell keeps its first and its last
opening and how many of each answer it holds. So an answer stays exact unless a moment that is asked for falls inside a
joined cell; it is a bound then, and says so. Cells of one size lie within cells of the next, so the order in which
openings come does not matter, and several clients are summed without joining their cells.

An answer is what came back to the SYN: whether the application says anything on the connection is not asked here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from probewatch.model.connection import Connection
from probewatch.model.frame import Mark
from probewatch.model.units import SECOND

PATIENCE_NS: Final = SECOND
"""The first SYN is sent again after so long (RFC 6298 section 2.1): before that, silence is no answer."""


class Answer(StrEnum):
    """What came back to a SYN."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """A RST."""
    UNREACHABLE = "unreachable"
    """An ICMP or ICMPv6 error."""
    SILENCE = "silence"
    OPEN = "open"
    """The capture ends before there was time for an answer."""


FAILED: Final = (Answer.REFUSED, Answer.UNREACHABLE, Answer.SILENCE)


def answer_of(connection: Connection, seen_until_ns: int) -> Answer:
    """Return what came back to a connection's SYN, as far as frames until then show."""
    orig, resp = connection.orig, connection.resp
    if resp.syns:
        return Answer.ACCEPTED
    if connection.icmp is not None:
        return Answer.UNREACHABLE
    if resp.rst is not None:
        return Answer.REFUSED
    if orig.first_ack is not None or orig.length or resp.length:
        return Answer.ACCEPTED  # Its SYN-ACK went another way, or was lost by the capture.
    return Answer.SILENCE if seen_until_ns - connection.start.ns >= PATIENCE_NS else Answer.OPEN


@dataclass(slots=True)
class Cell:
    """Openings close in time."""

    first: Mark
    last: Mark
    answers: dict[Answer, int]

    def take(self, other: Cell) -> None:
        """Add another cell's openings."""
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        for answer, number in other.answers.items():
            self.answers[answer] = self.answers.get(answer, 0) + number


@dataclass(slots=True)
class Sum:
    """Openings between two moments."""

    answers: dict[Answer, int] = field(default_factory=dict)
    first: Mark | None = None
    last: Mark | None = None
    first_failed: Mark | None = None
    last_failed: Mark | None = None
    exact: bool = True
    """False where a joined cell lies across one of the moments: numbers are least numbers, `first` and `last` bounds."""

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.answers.values())

    @property
    def failed(self) -> int:
        """How many were not accepted."""
        return sum(self.answers.get(answer, 0) for answer in FAILED)

    @property
    def refused(self) -> int:
        """How many were answered by a RST or an ICMP error."""
        return self.answers.get(Answer.REFUSED, 0) + self.answers.get(Answer.UNREACHABLE, 0)

    def add(self, other: Sum) -> None:
        """Add what another client did in the same time, or the same one in another."""
        for answer, number in other.answers.items():
            self.answers[answer] = self.answers.get(answer, 0) + number
        self.first, self.last = _earlier(self.first, other.first), _later(self.last, other.last)
        self.first_failed = _earlier(self.first_failed, other.first_failed)
        self.last_failed = _later(self.last_failed, other.last_failed)
        self.exact = self.exact and other.exact

    def whole(self, cell: Cell) -> None:
        """Count a cell that lies between the moments; where its answers differ, its marks prove no failure."""
        failed = all(answer in FAILED for answer in cell.answers)
        first, last = (cell.first, cell.last) if failed else (None, None)
        self.add(Sum(dict(cell.answers), cell.first, cell.last, first, last))

    def part(self, mark: Mark, answers: dict[Answer, int]) -> None:
        """Count the one opening of a cell that is known to lie between the moments."""
        answer = next(iter(answers)) if len(answers) == 1 else Answer.OPEN
        failed = mark if answer in FAILED else None
        self.add(Sum({answer: 1}, mark, mark, failed, failed, exact=False))


class Openings:
    """The openings of one client at one port."""

    def __init__(self) -> None:
        self.shift = 0
        """Cells are of 2^shift nanoseconds."""
        self._cells: dict[int, Cell] = {}
        self._order: list[Cell] = []
        self._starts: list[int] = []

    def __len__(self) -> int:
        """Return how many cells are kept."""
        return len(self._cells)

    def cells(self) -> Iterable[Cell]:
        """Return what is kept, in no order."""
        return self._cells.values()

    def add(self, mark: Mark, answer: Answer) -> bool:
        """Take an opening; say whether it needed a cell more."""
        self._order = []
        return self._put(Cell(mark, mark, {answer: 1}))

    def _put(self, cell: Cell) -> bool:
        key = cell.first.ns >> self.shift
        known = self._cells.get(key)
        if known is None:
            self._cells[key] = cell
            return True
        known.take(cell)
        return False

    def coarsen(self) -> int:
        """Join cells until at most half of them are left; return how many went."""
        before = len(self._cells)
        self._order = []
        while len(self._cells) > max(1, before // 2):
            cells = list(self._cells.values())
            self.shift += 1
            self._cells = {}
            for cell in cells:
                self._put(cell)
        return before - len(self._cells)

    def parted(self, spans: Sequence[tuple[int, int]]) -> tuple[Openings, Openings]:
        """Return what was opened wholly within one of these spans (in order, the end excluded), and the rest."""
        within, rest = Openings(), Openings()
        begins = [low for low, _ in spans]
        for cell in self.cells():
            index = bisect_right(begins, cell.first.ns) - 1
            inside = index >= 0 and cell.last.ns < spans[index][1]
            (within if inside else rest).join(cell, self.shift)
        return within, rest

    def joined(self, other: Openings) -> Openings:
        """Return these and another's together."""
        out = Openings()
        shift = max(self.shift, other.shift)
        for cell in (*self.cells(), *other.cells()):
            out.join(cell, shift)
        return out

    def join(self, cell: Cell, shift: int) -> None:
        """Take the openings of a cell of 2^shift nanoseconds, no smaller than those that are here."""
        self.shift = shift
        self._order = []
        self._put(Cell(cell.first, cell.last, dict(cell.answers)))

    def between(self, low_ns: int, high_ns: int) -> Sum:
        """Return what was opened at `low_ns` or later and before `high_ns`."""
        out = Sum()
        for cell in self._overlapping(low_ns, high_ns):
            begins, ends = cell.first.ns >= low_ns, cell.last.ns < high_ns
            if begins and ends:
                out.whole(cell)
                continue
            out.exact = False
            if begins:
                out.part(cell.first, cell.answers)
            if ends:
                out.part(cell.last, cell.answers)
        return out

    def _overlapping(self, low_ns: int, high_ns: int) -> Iterator[Cell]:
        if len(self._order) != len(self._cells):
            self._order = [self._cells[key] for key in sorted(self._cells)]
            self._starts = [cell.first.ns for cell in self._order]
        index = bisect_left(self._starts, low_ns)
        if index and self._order[index - 1].last.ns >= low_ns:
            index -= 1
        while index < len(self._order) and self._starts[index] < high_ns:
            yield self._order[index]
            index += 1


def _earlier(one: Mark | None, other: Mark | None) -> Mark | None:
    return other if one is None else one if other is None else min(one, other)


def _later(one: Mark | None, other: Mark | None) -> Mark | None:
    return other if one is None else one if other is None else max(one, other)
