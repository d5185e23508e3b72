"""The rails of a ladder: the frames of one attempt between checker and target, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..model.ladder import Ladder, Step, StepKind, Way
from ..model.timeline import Role
from ..model.units import MS, SECOND
from . import words
from .escape import pad, quoting, safe, shorten, width
from .numbers import count, duration
from .paper import COLUMNS, Paper, Span, wrap
from .strokes import STYLE, letter, strokes_for

_ARROW: Final = 58
"""Columns between the rails, at most."""
_LEAST: Final = 24
_NOTES: Final = 26
"""Columns kept for notes behind the right rail."""
_ROOMY: Final = 80
"""On fewer columns notes stand between the rails, so that the arrows keep their room."""
_COLUMNS: Final = 4
"""Vantage points that have a column of their own; sightings at further ones are counted."""
_NAME: Final = 12
"""Columns of a vantage point's name above its frames; longer names get a letter."""
_QUIET_NS: Final = 200 * MS
"""A pause this long is drawn."""
_FOLD: Final = 12
"""More bare data frames in a row than this are folded."""


def draw(paper: Paper, ladder: Ladder) -> None:
    """Draw the frames of a ladder that has any."""
    _Drawing(paper, ladder).draw()


class _Drawing:
    """The two rails and what goes between them."""

    def __init__(self, paper: Paper, ladder: Ladder) -> None:
        self.paper, self.ladder = paper, ladder
        self.strokes = strokes_for(paper.glyphs)
        self.start = ladder.attempt.start.ns
        last = ladder.steps[-1].mark.ns - self.start
        self.in_seconds = max(last, ladder.attempt.latency_ns) >= SECOND
        self.several = len(ladder.connections) > 1
        self.columns = min(len(ladder.places), _COLUMNS)
        names = [safe(place.name) for place in ladder.places[: self.columns]]
        self.letters = self.columns > 1 and any(width(name) > _NAME for name in names)
        self.names = ["frame"] if self.columns < 2 else list("ABCD"[: self.columns]) if self.letters else names
        self.sizes = [
            max(width(name), *(len(str(seen.mark.number)) for step in ladder.steps for seen in step.seen))
            for name in self.names
        ]
        times = [self._time(step.mark.ns) for step in ladder.steps] + [self._time(ladder.attempt.end_ns)]
        self.clock = max(len(text) for text in times)
        self.left = 2 + sum(size + 2 for size in self.sizes) + self.clock + 2 + (3 if self.several else 0)
        noted = any(step.notes for step in ladder.steps)
        columns = paper.columns or COLUMNS
        beside = _NOTES if noted and columns >= _ROOMY else 0
        self.arrow = max(_LEAST, min(_ARROW, columns - self.left - 2 - beside))
        self.room = columns - self.left - self.arrow - 4
        """Columns for notes behind the right rail."""

    def _time(self, ns: int) -> str:
        apart = ns - self.start
        return f"{apart / SECOND:.6f}" if self.in_seconds else f"{apart / MS:.3f}"

    def draw(self) -> None:
        """Draw it."""
        self._head()
        shown: set[int] = set()
        ended = False
        late = False
        before: int | None = None
        attempt, deadline = self.ladder.attempt, self.ladder.deadline_ns
        for step in _folded(self.ladder.steps):
            ns = step.mark.ns if isinstance(step, Step) else step.steps[0].mark.ns
            if not ended and attempt.end_mark is None and ns > attempt.end_ns:
                self._pause(before, attempt.end_ns)
                self._verdict()
                before, ended = attempt.end_ns, True
            if not late and deadline is not None and ns > deadline:
                late = True
                if attempt.end_mark is not None:  # else silence gave the verdict, which is drawn
                    self._pause(before, deadline)
                    self._across(deadline, "the timeout", "yellow")
                    before = deadline
            self._pause(before, ns)
            if isinstance(step, Step):
                self._begin(step, shown)
                self._step(step)
                before = step.mark.ns
                ends = attempt.end_mark is not None and any(seen.mark == attempt.end_mark for seen in step.seen)
                if not ended and ends:
                    self._verdict()
                    ended = True
            else:
                self._fold(step)
                before = step.steps[-1].mark.ns
        if not ended:
            self._pause(before, attempt.end_ns)
            self._verdict()

    def _head(self) -> None:
        ladder = self.ladder
        if self.letters:
            for letter, place in zip(self.names, ladder.places, strict=False):
                self.paper.line(f"  {letter}  seen at {safe(place.name)}")
        elif len(ladder.places) == 1 and ladder.places[0].name:
            self.paper.line(Span(f"  seen at {safe(ladder.places[0].name)}", "dim"))
        if len(ladder.places) > self.columns:
            self.paper.line(f"  and at {count(len(ladder.places) - self.columns, 'more place')}")
        probe = ladder.probe
        node = safe(probe.checker.node or probe.checker.kind)
        one = ladder.connections[0] if ladder.connections else None
        client = words.endpoint(
            probe.checker.address, one.client_port if one is not None and not self.several else None
        )
        server = words.endpoint(probe.target.address, probe.target.port)
        name = f" ({words.owner(probe.target)})" if probe.target.pod is not None else ""
        left, right = f"{client} ({node})", f"{server}{name}"
        space = self.arrow + 2
        if width(left) + 2 + width(right) > space:
            right = server
        if width(left) + 2 + width(right) > space:
            left = client
        gap = max(2, space - width(left) - width(right))
        begin = "  " + "".join(f"{name:>{size}}  " for name, size in zip(self.names, self.sizes, strict=True))
        begin += f"{'s' if self.in_seconds else 'ms':>{self.clock}}  " + ("   " if self.several else "")
        self.paper.line(Span(begin, "dim"), Span(left, "bold"), " " * gap, Span(right, "bold"))

    def _lead(self, step: Step | None, ns: int | None) -> Span:
        cells: list[str] = []
        numbers: dict[int, int] = {}
        if step is not None:
            for seen in step.seen:
                numbers.setdefault(seen.place, seen.mark.number)
        for column, size in enumerate(self.sizes):
            missing = self.strokes.missing if step is not None else ""
            cells.append(f"{numbers.get(column, missing):>{size}}  ")
        time = "" if ns is None else self._time(ns)
        number = ""
        if self.several:
            number = "   " if step is None or step.connection is None else f"{letter(step.connection)}  "
        return Span(f"  {''.join(cells)}{time:>{self.clock}}  {number}")

    def _begin(self, step: Step, shown: set[int]) -> None:
        """Name a connection before its first frame, where there are several."""
        if not self.several or step.connection is None or step.connection in shown:
            return
        shown.add(step.connection)
        rail = self.ladder.connections[step.connection]
        what = "first connection" if rail.role is Role.FIRST else rail.role.value
        text = f" {what}, from port {rail.client_port}"
        if (rail.server, rail.server_port) != (self.ladder.probe.target.address, self.ladder.probe.target.port):
            text += f", to {words.endpoint(rail.server, rail.server_port)}"
        text = shorten(text, self.arrow - 1, self.paper.glyphs.ellipsis)
        lead = Span(" " * (self.left - 3) + f"{letter(step.connection)}  ")
        self.paper.line(lead, self.strokes.rail, Span(pad(text, self.arrow), "cyan"), self.strokes.rail)

    def _step(self, step: Step) -> None:
        rows = _packed(_text(step), self.arrow - 8)
        to_target = step.way is Way.TO_TARGET
        style = _colour(step)
        strokes = self.strokes
        text = f" {rows[0]} "
        rest = self.arrow - width(text) - 1
        near = min(3, rest - 1)
        line = strokes.line if step.kind is StepKind.TCP else strokes.dots
        if to_target:
            pieces = [
                Span(line * near, "dim"),
                Span(text, style),
                Span(line * (rest - near), "dim"),
                Span(strokes.right),
            ]
        else:
            pieces = [
                Span(strokes.left),
                Span(line * (rest - near), "dim"),
                Span(text, style),
                Span(line * near, "dim"),
            ]
        notes = [safe(note) for note in step.notes]
        if step.by and step.by not in (self.ladder.probe.target.address, self.ladder.probe.checker.address):
            notes.insert(0, f"from {safe(step.by)}")
        beside = "; ".join(notes)
        fits = not beside or width(beside) <= self.room
        self.paper.line(
            self._lead(step, step.mark.ns),
            strokes.rail,
            *pieces,
            strokes.rail,
            Span(f"  {beside}" if fits else "", "yellow"),
        )
        for row in rows[1:]:
            self._between(row, style, right=not to_target)
        if not fits:
            for row in wrap(beside, self.arrow - 8):
                self._between(row, "yellow", right=not to_target)

    def _between(self, text: str, style: str, *, right: bool = False) -> None:
        """Write text between the rails."""
        space = " " * max(0, self.arrow - 8 - width(text))
        inner = [Span(space), Span(text, style)] if right else [Span(text, style), Span(space)]
        self.paper.line(" " * self.left, self.strokes.rail, "    ", *inner, "    ", self.strokes.rail)

    def _pause(self, before: int | None, ns: int) -> None:
        if before is None or ns - before < _QUIET_NS:
            return
        text = f"{self.strokes.pause} {duration(ns - before)} of silence"
        self.paper.line(" " * self.left, self.strokes.rail, Span(f"{text:^{self.arrow}}", "dim"), self.strokes.rail)

    def _fold(self, fold: Fold) -> None:
        steps = fold.steps
        numbers = [seen.mark.number for step in steps for seen in step.seen]
        data = sum(step.length for step in steps)
        text = (
            f"{self.paper.glyphs.ellipsis} {count(len(steps), 'frame')} ({min(numbers)}-{max(numbers)}), {data} bytes"
        )
        self.paper.line(" " * self.left, self.strokes.rail, Span(f"{text:^{self.arrow}}", "dim"), self.strokes.rail)

    def _verdict(self) -> None:
        attempt, probe = self.ladder.attempt, self.ladder.probe
        why = words.result(attempt, probe.handler)
        if attempt.end_mark is None:
            why += ": the timeout"
        self._across(attempt.end_ns, f"{attempt.outcome.value}, {why}", STYLE.get(attempt.outcome, "yellow"))

    def _across(self, ns: int, text: str, style: str) -> None:
        """Draw a line from rail to rail."""
        text = f" {shorten(text, self.arrow - 6, self.paper.glyphs.ellipsis)} "
        free = self.arrow - width(text)
        dots = self.strokes.dots
        body = dots * (free // 2) + text + dots * (free - free // 2)
        self.paper.line(self._lead(None, ns), self.strokes.rail, Span(body, style), self.strokes.rail)


def _packed(phrases: Sequence[str], columns: int) -> list[str]:
    """Return phrases in lines, broken between them where one can be."""
    rows = [""]
    for number, phrase in enumerate(phrases):
        text = phrase + ("," if number < len(phrases) - 1 else "")
        if rows[-1] and width(rows[-1]) + 1 + width(text) > columns:
            rows.append("")
        first, *rest = wrap(f"{rows[-1]} {text}".lstrip(), columns)
        rows[-1:] = [first, *rest]
    return rows


def _text(step: Step) -> list[str]:
    """Return the phrases that stand on an arrow."""
    if step.kind is not StepKind.TCP:
        return [safe(f"ICMP {step.name}" if step.kind is StepKind.ICMP else step.name)]
    flags = [flag for flag in step.name.split() if flag in ("SYN", "FIN", "RST", "URG")]
    if not step.length:
        return [step.name]
    said = [quoting(one.text) for one in step.said] or [count(step.length, "byte")]
    return [*said, *flags]


def _colour(step: Step) -> str:
    if step.kind is StepKind.ICMP or "RST" in step.name.split():
        return "red"
    return "bold" if step.said else ""


@dataclass(frozen=True, slots=True)
class Fold:
    """Bare data frames in a row."""

    steps: tuple[Step, ...]


def _folded(steps: Sequence[Step]) -> list[Step | Fold]:
    """Return the steps, long runs of bare data and acknowledgments folded."""
    found: list[Step | Fold] = []
    run: list[Step] = []
    for step in [*steps, None]:
        if step is not None and step.kind is StepKind.TCP and not step.said and not step.notes and step.name == "ACK":
            run.append(step)
            continue
        if len(run) > _FOLD:
            found += [*run[:2], Fold(tuple(run[2:-2])), *run[-2:]]
        else:
            found += run
        run = []
        if step is not None:
            found.append(step)
    return found
