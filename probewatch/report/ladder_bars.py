"""The phases of a ladder's connections as bars on one scale, against the timeout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..model.ladder import Ladder, Phase, PhaseKind
from .escape import width
from .numbers import duration
from .paper import Paper, Span
from .strokes import INDENT, Strokes, letter, strokes_for

_LANE: Final = 50
"""Columns of the bars, at most."""
_BESIDE: Final = 38
"""Columns beside them: their names, how long they lasted, and a word behind."""

_EACH: Final = 4
"""Connections whose phases have a bar each; of more, each connection has one."""

_DONE: Final = {
    PhaseKind.RESOLVE: "resolve",
    PhaseKind.CONNECT: "connect",
    PhaseKind.TLS: "TLS",
    PhaseKind.REQUEST: "request",
    PhaseKind.WAIT: "wait",
    PhaseKind.BODY: "answer",
    PhaseKind.SEALED: "sealed",
    PhaseKind.CLOSE: "close",
}
_NEVER: Final = {
    PhaseKind.RESOLVE: "not resolved",
    PhaseKind.CONNECT: "not established",
    PhaseKind.TLS: "not completed",
    PhaseKind.REQUEST: "no request",
    PhaseKind.WAIT: "no answer",
    PhaseKind.BODY: "not whole",
    PhaseKind.SEALED: "nothing",
}


def bars(paper: Paper, ladder: Ladder) -> None:
    """Write the phases of each connection as bars on one scale."""
    rails = [rail for rail in ladder.connections if rail.phases]
    if not rails:
        return
    start = ladder.attempt.start.ns
    end = max(
        [
            ladder.attempt.end_ns,
            *(phase.end_ns for rail in rails for phase in rail.phases if phase.kind is not PhaseKind.CLOSE),
        ]
    )
    end = max(end, min(max(phase.end_ns for rail in rails for phase in rail.phases), start + 2 * (end - start)))
    deadline = ladder.deadline_ns
    timeout = deadline - start if deadline is not None else 0
    shown = timeout > 0 and (timeout <= end - start or 4 * (end - start) >= timeout)
    scale = max(end - start, timeout if shown else 0, 1)
    lane = _LANE if paper.columns is None else max(8, min(_LANE, paper.columns - INDENT - _BESIDE))
    mark = min(lane, timeout * lane // scale) if shown else None
    strokes = strokes_for(paper.glyphs)
    several = len(rails) > 1
    name = "phases"
    for number, what, phase in _rows(ladder):
        lead = f"{letter(number)} " if several else ""
        bar = _bar(phase, start, scale, lane, mark, strokes, ladder.attempt.end_ns)
        lost = "" if phase.done else f" {_NEVER.get(phase.kind, 'not completed')}"
        paper.line(
            Span(f"  {name:<{INDENT - 2}}", "cyan"),
            f"{lead}{what:<8}{duration(phase.end_ns - phase.start_ns):>9}  ",
            Span(bar, "" if phase.done else "red"),
            Span(lost, "red"),
        )
        name = ""
    if timeout > 0:
        text = f"timeout {duration(timeout)}"
        if shown and mark is not None:
            lead = " " * (INDENT + 19 + (2 if several else 0))
            room = mark - width(text) - 1
            if room < 0 and paper.columns is not None and len(lead) + mark + 2 + width(text) > paper.columns:
                lead, text = " " * INDENT, f"{strokes.mark} {text}"
            else:
                text = f"{' ' * room}{text} {strokes.mark}" if room >= 0 else f"{' ' * mark}{strokes.mark} {text}"
            paper.line(Span(lead + text, "yellow"))
        else:
            times = timeout // scale
            text = f"{text}: {'more than 100' if times > 100 else times} times as long as all of this"
            paper.filled(text, first=[Span(" " * INDENT)], indent=INDENT, style="dim")
    paper.line()


def _rows(ladder: Ladder) -> Iterator[tuple[int, str, Phase]]:
    """Yield (connection, what, phase): each phase, or where there are many connections each of these as one."""
    each = len(ladder.connections) <= _EACH
    for number, rail in enumerate(ladder.connections):
        # what did not come once the verdict was there, nobody waited for
        phases = [one for one in rail.phases if one.done or one.start_ns <= ladder.attempt.end_ns]
        if each:
            yield from ((number, _DONE[one.kind], one) for one in phases)
        elif phases:
            lost = next((one for one in phases if not one.done), None)
            kind = lost.kind if lost is not None else PhaseKind.BODY
            whole = Phase(kind=kind, start_ns=phases[0].start_ns, end_ns=phases[-1].end_ns, done=lost is None)
            yield number, rail.role.value, whole


def _bar(phase: Phase, start: int, scale: int, lane: int, mark: int | None, strokes: Strokes, verdict_ns: int) -> str:
    """Return the bar of a phase on a lane of so many columns."""
    first = min(lane - 1, max(0, (phase.start_ns - start) * lane // scale))
    last = min(lane, max(first + 1, -(-(phase.end_ns - start) * lane // scale)))
    cells = [" "] * lane
    if mark is not None and mark < lane:
        cells[mark] = strokes.mark
    over = min(last, max(first, (verdict_ns - start) * lane // scale)) if phase.end_ns > verdict_ns else last
    over = over if phase.start_ns < verdict_ns else first
    cells[first:last] = (strokes.bar if phase.done else strokes.open) * (over - first) + strokes.late * (last - over)
    return "".join(cells).rstrip()
