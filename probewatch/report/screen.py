"""The live table: a row a probe, with its state, streak, latest results and how long until the next attempt.

`Board` is what is known, as values; `table` draws it with rich, whose text is made of pieces and never of markup: what comes
from the wire stays what it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..model.prediction import Prediction, Silence
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Decision, Outcome, Probe
from ..model.units import SECOND
from . import words
from .escape import width
from .numbers import clock, count, duration
from .paper import UNICODE, Glyphs, Span
from .sparkline import sparkline

if TYPE_CHECKING:
    from rich.table import Table

SHOWN: Final = 24
"""Latest attempts drawn."""
LATE_NS: Final = SECOND
"""How late an attempt may be before it is called overdue: the kubelet's own ticks wander less."""
GONE_NS: Final = 300 * SECOND
"""How long a probe that is overdue keeps its row."""
MOST_ROWS: Final = 10_000
"""Probes that have a row; of more, the one that was silent longest goes."""

Key = tuple[str, str, int]
IsOpen = Callable[[str], bool]
"""Whether an attempt that was not told yet goes on at an address."""
_STATES: Final = {
    (ProbeType.READINESS, Outcome.SUCCESS): "Ready",
    (ProbeType.READINESS, Outcome.FAILURE): "NotReady",
    (ProbeType.LIVENESS, Outcome.SUCCESS): "Live",
    (ProbeType.STARTUP, Outcome.SUCCESS): "Started",
}
"""What a streak that has reached its threshold says of the state."""
FEWEST: Final = 8
"""Latest attempts drawn where the terminal is narrow; a row of which one failed stands above those that are fine."""
WIDE: Final = 100
"""Columns of a terminal that leaves more room between the table's."""
_NAMES: Final = ("type", "probe", "state", "last", "took", "streak", "latest", "next")
_RIGHT: Final = ("last", "took", "streak", "next")
_LEAST: Final = {"probe": 14, "last": 10, "latest": FEWEST}
"""Columns of the terminal to which words may be cut, and the latest attempts left out, where it is narrow: never a number."""
_LEFT_OUT: Final = ("latest", "last")
"""Columns that a still narrower one goes without: the state and the streak tell the most of it."""
_GIVEN: Final = ("probe", "last", "latest")
"""Which of them gets first what room there is beyond that."""
LINGERS_NS: Final = SECOND
"""How long closing may take beyond the timeout (SO_LINGER)."""
_SILENT: Final = {Silence.ON_HOLD: "on hold", Silence.GATED: "after startup"}
"""Why no attempt is due: on hold until there is a new container, or until the startup probe has succeeded."""
_STYLES: Final = {"alarm": "bold red", "": ""}


@dataclass(slots=True)
class Row:
    """One probe."""

    probe: Probe
    prediction: Prediction | None = None
    state: str = ""
    latest: deque[Attempt] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def expected_ns(self) -> int | None:
        """Return when the next attempt is due; None where nothing says so."""
        return None if self.prediction is None else self.prediction.due_ns()

    def overdue_ns(self, now_ns: int) -> int:
        """Return by how much the next attempt is overdue; 0 where it is not."""
        due = self.expected_ns()
        return now_ns - due if due is not None and now_ns - due > LATE_NS else 0

    def under_way(self, now_ns: int, is_open: IsOpen) -> bool:
        """Return whether its next attempt is probably being made: it was due, and something goes on at its address."""
        due = self.expected_ns()
        longest = (words.timeout_ns(self.probe) or SECOND) + LINGERS_NS + LATE_NS
        return due is not None and 0 < now_ns - due <= longest and is_open(self.probe.target.address)

    def next(self, now_ns: int, is_open: IsOpen) -> tuple[str, str]:
        """Return what there is to say of the next attempt, and its style."""
        if self.prediction is not None and self.prediction.silence is not Silence.NONE:
            return _SILENT[self.prediction.silence], "dim"
        due = self.expected_ns()
        if due is None:
            return "", ""
        if self.under_way(now_ns, is_open):
            return "under way", ""
        late = self.overdue_ns(now_ns)
        if late:
            return f"overdue {late // SECOND} s", "alarm"
        return f"in {max(0, due - now_ns) / SECOND:.0f} s", ""

    def rank(self, now_ns: int, is_open: IsOpen) -> tuple[bool, str, str]:
        """Return where it stands: what is overdue or failed lately, then the rest, each by name: rows must not dance."""
        overdue = bool(self.overdue_ns(now_ns)) and not self.under_way(now_ns, is_open)
        failed = any(one.outcome is not Outcome.SUCCESS for one in list(self.latest)[-FEWEST:])
        return not (overdue or failed), words.label(self.probe), words.kind(self.probe)


class Board:
    """All rows."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}

    def attempt(
        self,
        key: Key,
        probe: Probe,
        attempt: Attempt,
        decision: Decision | None,
        prediction: Prediction | None,
        *,
        again: bool = False,
    ) -> None:
        """Take in an attempt, or how one that was taken in reads now (`again`)."""
        row = self.rows.pop(key, None) or Row(probe)
        self.rows[key] = row  # the latest stand last
        if again and row.latest and attempt.n <= row.latest[0].n:
            row.latest.clear()  # all of it is read anew
        row.probe, row.prediction = probe, prediction
        if not row.latest or row.latest[-1].n < attempt.n:
            row.latest.append(attempt)
        elif again and row.latest[-1].n == attempt.n and decision is None:
            row.state = ""  # what it seemed to decide
        if decision is not None:
            row.state = decision.after
        elif not row.state and attempt.threshold and attempt.streak >= attempt.threshold:
            row.state = _STATES.get(
                (probe.type, attempt.outcome), ""
            )  # (it was so before, and nothing decided it here)
        elif row.state == "Restart" and attempt.outcome is Outcome.SUCCESS:
            row.state = "Live"  # a new container
        if len(self.rows) > MOST_ROWS:
            del self.rows[next(iter(self.rows))]

    def keep(self, key: Key, workers: int) -> None:
        """Forget rows of this lane that its plan, made anew with so many probes, has none for."""
        for old in [one for one in self.rows if one[:2] == key[:2] and one[2] >= workers]:
            del self.rows[old]

    def at(self, now_ns: int, is_open: IsOpen = lambda _: False) -> list[Row]:
        """Return the rows at a moment, those in trouble first; probes that have been overdue for long are gone."""
        for key in [key for key, row in self.rows.items() if row.overdue_ns(now_ns) > GONE_NS]:
            del self.rows[key]
        return sorted(self.rows.values(), key=lambda row: row.rank(now_ns, is_open))


def table(
    board: Board,
    now_ns: int,
    room: int,
    account: str,
    glyphs: Glyphs = UNICODE,
    *,
    columns: int = WIDE,
    is_open: IsOpen = lambda _: False,
) -> Table:
    """Draw the rows that `room` lines of so many columns can hold, below a line with the time and `account`.

    Where there is little room the probe's name (so that rows can be told apart) and the result's words are cut, and fewer of the
    latest attempts are drawn, at last none: never a number.
    """
    from rich import box
    from rich.table import Table

    rows = board.at(now_ns, is_open)
    gap = 2 if columns >= WIDE else 1
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, title_justify="left", caption_justify="left", pad_edge=False)
    drawn.padding = (0, gap - 1, 0, 0)
    drawn.title = _text([Span(f"{clock(now_ns)}  {count(len(rows), 'probe')}  {account}")])
    shown = rows[: max(1, room - 6)]
    widths = _widths([_cells(row, now_ns, glyphs, SHOWN, is_open) for row in shown], columns, gap)
    for name, size in widths.items():
        drawn.add_column(
            name, justify="right" if name in _RIGHT else "left", no_wrap=True, overflow="ellipsis", width=size
        )
    names = _told_apart([words.label(row.probe) for row in shown], widths["probe"], glyphs.ellipsis)
    for row, name in zip(shown, names, strict=True):
        cells = dict(
            zip(_NAMES, _cells(row, now_ns, glyphs, widths.get("latest", FEWEST), is_open), strict=True),
            probe=[Span(name, "bold")],
        )
        drawn.add_row(*(_text(cells[column]) for column in widths))
    if len(shown) < len(rows):
        drawn.caption = _text([Span(f"{glyphs.ellipsis} and {len(rows) - len(shown)} more, none of them worse")])
    return drawn


def _widths(cells: Sequence[Sequence[Sequence[Span]]], columns: int, gap: int) -> dict[str, int]:
    """Return which columns there are, and how wide each is to be, so that all of these rows fit into so many with gaps between."""
    wanted = {
        name: max([len(name), *(sum(width(piece.text) for piece in row[place]) for row in cells)])
        for place, name in enumerate(_NAMES)
    }
    given = {name: min(size, _LEAST.get(name, size)) for name, size in wanted.items()}
    for name in _LEFT_OUT:
        if sum(given.values()) + gap * (len(given) - 1) > columns:
            del given[name]
    room = columns - gap * (len(given) - 1)
    for name in _GIVEN:
        if name in given:
            given[name] += max(0, min(room - sum(given.values()), wanted[name] - given[name]))
    return given


def _told_apart(names: Sequence[str], room: int, ellipsis: str) -> list[str]:
    """Cut names that are too long where most of them still differ: at their beginning (a Pod's tells least), else within, else behind."""
    left = max(1, room - width(ellipsis))
    ways = [
        [name if width(name) <= room else _cut(name, left // part if part else 0, left, ellipsis) for name in names]
        for part in (0, 3, 1)
    ]
    return max(ways, key=lambda way: len(set(way)))


def _cut(name: str, head: int, room: int, ellipsis: str) -> str:
    """Return so many columns of a name's beginning, and of its end what fits into the room."""
    begin, end = len(name), 0
    while width(name[:begin]) > head:
        begin -= 1
    while width(name[end:]) > room - head:
        end += 1
    return name[:begin] + ellipsis + name[end:]


def _cells(row: Row, now_ns: int, glyphs: Glyphs, shown: int, is_open: IsOpen) -> list[Sequence[Span]]:
    last = row.latest[-1]
    style = {Outcome.SUCCESS: "green", Outcome.FAILURE: "red"}.get(last.outcome, "yellow")
    streak = f"{last.streak}/{last.threshold}" if last.streak <= last.threshold else str(last.streak or "")
    latest = list(row.latest)[-shown:]
    marks, _ = sparkline(latest, words.timeout_ns(row.probe) or SECOND, shown, glyphs)
    bad = row.state in ("NotReady", "Restart", "DOWN")
    return [
        [Span(words.kind(row.probe))],
        [Span(words.label(row.probe), "bold")],
        [Span(row.state, "alarm" if bad else "green")],
        [Span(words.result(last, row.probe.handler), style)],
        [Span(duration(last.latency_ns))],
        [Span(streak)],
        marks,
        [Span(*row.next(now_ns, is_open))],
    ]


def _text(spans: Sequence[Span]) -> Any:
    from rich.text import Text

    made = Text()
    for piece in spans:
        made.append(piece.text, style=_STYLES.get(piece.style, piece.style))
    return made
