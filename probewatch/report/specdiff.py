"""Declared specs beside what was observed, as a table: `verify.differences` for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..model.spec import PodSpec
from ..model.timeline import Timeline
from ..verify.differences import Difference, Verdict, differences, undeclared
from .escape import pad, safe, width
from .numbers import count
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span

CELL: Final = 22
"""Columns of a value beside another; what is longer stands below."""
_NAME: Final = 21
_INDENT: Final = 4


_STYLES: Final = {Verdict.DIFFERS: "alarm", Verdict.SAME: "green", Verdict.FITS: "yellow", Verdict.NOT_VISIBLE: "dim"}


def write(
    timeline: Timeline,
    pods: Sequence[PodSpec],
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
) -> None:
    """Write the table of a timeline that has the findings on these Pods."""
    paper = Paper(out, columns, colour=colour, glyphs=glyphs)
    found = differences(timeline, pods)
    counts = {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
    said = ", ".join(f"{number} {verdict.value}" for verdict, number in counts.items() if number)
    paper.line(Span(said or "nothing is declared that packets could show", "bold"))
    for subject in dict.fromkeys(one.finding.subject for one in found):
        mine = [one for one in found if one.finding.subject == subject]
        paper.line()
        _subject(paper, subject, mine)
    strangers = undeclared(timeline)
    if strangers:
        paper.line()
        text = f"{count(len(strangers), 'probe')} that nothing declares: without --spec and --cluster they are printed"
        paper.filled(text, first=[Span("note  ", "yellow")], indent=6)


def _subject(paper: Paper, subject: str, rows: Sequence[Difference]) -> None:
    sources = [one.finding.source for one in rows if one.finding.source not in ("", "default")]
    paper.line(Span(safe(subject), "bold"), f"  ({safe(sources[0])})" if sources else "")
    dash = paper.glyphs.dash
    cells = [(one, _declared(one) or dash, safe(one.finding.observed) or dash) for one in rows]
    short = [cell for _, *both in cells if _beside(*both) for cell in both]
    size = max([8, *map(width, short)]) + 2
    names = max(_NAME, *(width(one.finding.field) + 2 for one in rows))
    if short:
        head = f"  {'field':<{names}}{pad('declared', size)}{pad('observed', size)}verdict"
        paper.line(Span(head, "dim"))
    for one, declared, observed in cells:
        name = Span("  " + pad(safe(one.finding.field), names))
        verdict = Span(one.verdict.value, _STYLES[one.verdict])
        if _beside(declared, observed):
            paper.line(name, pad(declared, size), pad(observed, size), verdict)
        else:
            paper.line(name, verdict)
            for word, text in (("declared", declared), ("observed", observed)):
                paper.filled(text, first=[Span(f"    {word}  ")], indent=_INDENT + 10)
        if one.verdict is not Verdict.SAME:
            paper.filled(safe(one.finding.sentence), first=[Span(" " * _INDENT)], indent=_INDENT, style="dim")


def _declared(one: Difference) -> str:
    return safe(one.finding.expected) + (" (default)" if one.finding.source == "default" else "")


def _beside(declared: str, observed: str) -> bool:
    return max(width(declared), width(observed)) <= CELL
