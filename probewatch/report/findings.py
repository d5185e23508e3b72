"""Findings for people: one a paragraph, its verdict first, then what was expected beside what was seen, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.finding import Finding, Held
from ..model.timeline import Timeline
from . import words
from .escape import pad, safe
from .numbers import count, duration, relative
from .paper import Paper, Span

_LABEL: Final = {
    Held.FAIL: ("FAIL", "alarm"),
    Held.INCONCLUSIVE: ("????", "yellow"),
    Held.PASS: ("PASS", "green"),
}
_INDENT: Final = 6


def write_findings(paper: Paper, timeline: Timeline, findings: Sequence[Finding], base: int) -> None:
    """Write findings in their order, with the attempts that show them."""
    for finding in findings:
        word, style = _LABEL[finding.held]
        lead = [Span(f"{word}  ", style), Span(f"{safe(finding.subject)}: {safe(finding.field)}", "bold")]
        room = None if paper.columns is None else paper.columns - _INDENT
        if finding.held is Held.PASS:
            paper.filled(
                f"{safe(finding.subject)}: {safe(finding.field)}  {safe(finding.sentence)}",
                first=lead[:1],
                indent=_INDENT,
            )
            continue
        paper.line(*lead)
        paper.filled(safe(finding.sentence), first=[Span(" " * _INDENT)], indent=_INDENT)
        if finding.expected or finding.observed:
            source = f" ({safe(finding.source)})" if finding.source else ""
            both = f"expected {safe(finding.expected)}{source}, observed {safe(finding.observed)}"
            if finding.expected and finding.observed and (room is None or len(both) <= room):
                paper.line(" " * _INDENT, both)
            else:
                for name, text in (
                    ("expected", f"{safe(finding.expected)}{source}"),
                    ("observed", safe(finding.observed)),
                ):
                    if text:
                        paper.filled(text, first=[Span(f"{' ' * _INDENT}{name} ")], indent=_INDENT + 9)
        _proof(paper, timeline, finding, base)


def _proof(paper: Paper, timeline: Timeline, finding: Finding, base: int) -> None:
    """Write the attempts that a finding names, or its frames where it names none."""
    probe = next((probe for probe in timeline.probes if probe.id == finding.probe), None)
    shown = [a for a in probe.attempts if a.n in finding.attempts] if probe is not None else []
    several = len(timeline.captures) > 1
    for attempt in shown:
        assert probe is not None
        first, last = attempt.frames()
        where = f"[{attempt.file + 1}] " if several else ""
        paper.line(
            " " * (_INDENT + 2),
            f"{relative(attempt.start.ns, base):>9}  {pad(f'#{attempt.n}', 5)} ",
            f"{pad(words.result(attempt, probe.handler), 18)}  {duration(attempt.latency_ns):>8}  ",
            Span(f"{where}frames {first}-{last}", "dim"),
        )
    if not shown and finding.evidence:
        said = [
            (f"[{e.file + 1}] " if several else "") + (f"{e.first}-{e.last}" if e.last != e.first else f"{e.first}")
            for e in finding.evidence[:6]
        ]
        rest = len(finding.evidence) - len(said)
        more = f" and {count(rest, 'other')}" if rest else ""
        paper.filled(f"frames {', '.join(said)}{more}", first=[Span(" " * _INDENT)], indent=_INDENT, style="dim")
