"""The live table: a row a probe, with its state, streak, latest results and how long until the next attempt.

`Board` is what is known, as values; `table` draws it with rich, whose text is made of pieces and never of markup: what comes
from the wire stays what it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..model.prediction import Prediction, Silence
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Decision, Outcome, Probe
from . import words
from .numbers import SECOND, clock, count, duration, span
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
_STATES: Final = {
    (ProbeType.READINESS, Outcome.SUCCESS): "Ready",
    (ProbeType.READINESS, Outcome.FAILURE): "NotReady",
    (ProbeType.LIVENESS, Outcome.SUCCESS): "Live",
    (ProbeType.STARTUP, Outcome.SUCCESS): "Started",
}
"""What a streak that has reached its threshold says of the state."""
FEWEST: Final = 8
"""Latest attempts drawn where the terminal is narrow."""
WIDE: Final = 100
"""Columns of a terminal that leaves room between the table's."""
REST: Final = 60
"""Columns of the table without the probe's name and the latest attempts, in a narrow terminal."""
NARROW: Final = {"last": 10, "next": 12}
"""Columns that words may take there: `no answer in time` and `on hold until there is a new container` are cut."""
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

    def next(self, now_ns: int) -> tuple[str, str]:
        """Return what there is to say of the next attempt, and its style."""
        if self.prediction is not None and self.prediction.silence is not Silence.NONE:
            return str(self.prediction.silence.value), "dim"
        due = self.expected_ns()
        if due is None:
            return "", ""
        late = self.overdue_ns(now_ns)
        if late:
            return f"overdue {span(late)}", "alarm"
        return f"in {max(0, due - now_ns) / SECOND:.0f} s", ""

    def rank(self, now_ns: int) -> tuple[int, str]:
        """Return where it stands: what is overdue, what fails, the rest."""
        worst = 0 if self.overdue_ns(now_ns) else 1 if self.latest[-1].outcome is not Outcome.SUCCESS else 2
        return worst, words.label(self.probe)


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

    def at(self, now_ns: int) -> list[Row]:
        """Return the rows at a moment, the worst first; probes that have been overdue for long are gone."""
        for key in [key for key, row in self.rows.items() if row.overdue_ns(now_ns) > GONE_NS]:
            del self.rows[key]
        return sorted(self.rows.values(), key=lambda row: row.rank(now_ns))


def table(
    board: Board, now_ns: int, room: int, account: str, glyphs: Glyphs = UNICODE, *, columns: int = WIDE
) -> Table:
    """Draw the rows that `room` lines of so many columns can hold, below a line with the time and `account`.

    Where there is little room the probe's name is cut, and fewer of the latest attempts are drawn: never a number.
    """
    from rich import box
    from rich.table import Table

    rows = board.at(now_ns)
    drawn = Table(box=box.SIMPLE_HEAD, expand=True, title_justify="left", caption_justify="left", pad_edge=False)
    wide = columns >= WIDE
    marks = SHOWN if wide else FEWEST
    if not wide:
        drawn.padding = (0, 0)
        drawn.show_edge = False
    drawn.title = _text([Span(f"{clock(now_ns)}  {count(len(rows), 'probe')}  {account}")])
    for name, justify in (
        ("type", "left"), ("probe", "left"), ("state", "left"), ("last", "right"), ("took", "right"),
        ("streak", "right"), ("latest", "left"), ("next", "right"),
    ):  # fmt: skip
        widest = max(FEWEST, columns - REST - marks) if name == "probe" else NARROW.get(name)
        widest = None if wide else widest
        drawn.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", max_width=widest)  # type: ignore[arg-type]
    shown = rows[: max(1, room - 6)]
    for row in shown:
        drawn.add_row(*(_text(cell) for cell in _cells(row, now_ns, glyphs, marks)))
    if len(shown) < len(rows):
        drawn.caption = _text([Span(f"{glyphs.ellipsis} and {len(rows) - len(shown)} more, none of them worse")])
    return drawn


def _cells(row: Row, now_ns: int, glyphs: Glyphs, shown: int) -> list[Sequence[Span]]:
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
        [Span(*row.next(now_ns))],
    ]


def _text(spans: Sequence[Span]) -> Any:
    from rich.text import Text

    made = Text()
    for piece in spans:
        made.append(piece.text, style=_STYLES.get(piece.style, piece.style))
    return made
