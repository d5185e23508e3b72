"""Findings for people: the verdict first, then what was expected beside what was seen, and the attempts that prove it.

What fails is told at length, what is inconclusive in a sentence, and what passes field by field in one line of its
probe; `wide` tells everything at length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..model.finding import Finding, Held
from ..model.timeline import Timeline
from . import words
from .escape import pad, safe
from .numbers import count, duration, relative
from .paper import Paper, Span

LABELS: Final = {
    Held.FAIL: ("FAIL", "alarm"),
    Held.INCONCLUSIVE: ("????", "yellow"),
    Held.PASS: ("PASS", "green"),
}
"""How each verdict is marked, worst first."""
_INDENT: Final = 6
_GROUP: Final = 3
"""So many findings that say the same are told as one."""
_SHORT: Final = 20
"""Characters of what was expected, up to which it is told."""
_SUBJECTS: Final = 12
"""Subjects of one that are named."""
_NUMBER: Final = re.compile(r"(?<![\w.:])[0-9]+(?:\.[0-9]+)?(?![\w.:])")
"""A number that was seen: no part of a name, an address or a time of day."""


def write_findings(
    paper: Paper, timeline: Timeline, findings: Sequence[Finding], base: int, *, wide: bool = False
) -> None:
    """Write findings, the worst first."""
    together: dict[int, list[Finding]] = {}
    for held in LABELS:
        mine = [finding for finding in findings if finding.held is held]
        if held is Held.PASS and not wide:
            _passes(paper, mine, len({finding.subject for finding in findings}))
            continue
        if held is Held.FAIL or wide:
            for finding in mine:
                _at_length(paper, timeline, finding, base)
            continue
        told: set[int] = set()
        for group in _alike(mine):
            if len(group) >= _GROUP:
                told.update(map(id, group[1:]))
                together[id(group[0])] = group
        for finding in mine:
            if id(finding) in together:
                _together(paper, together[id(finding)], len({one.subject for one in findings}))
            elif id(finding) not in told:
                _briefly(paper, finding)


def summary(findings: Sequence[Finding]) -> str:
    """Return `1 failed, 14 passed, 1 inconclusive`."""
    names = ((Held.FAIL, "failed"), (Held.PASS, "passed"), (Held.INCONCLUSIVE, "inconclusive"))
    counts = [(sum(finding.held is held for finding in findings), name) for held, name in names]
    return ", ".join(f"{number} {name}" for number, name in counts if number) or "no findings"


def _lead(finding: Finding) -> Span:
    word, style = LABELS[finding.held]
    return Span(f"{word}  ", style)


def passes(findings: Sequence[Finding]) -> dict[str, str]:
    """Return the fields of what passes, by subject."""
    subjects: dict[str, list[str]] = {}
    for finding in findings:
        if finding.held is Held.PASS:
            subjects.setdefault(safe(finding.subject), []).append(safe(finding.field))
    # A spec and a file of expectations may ask for the same: it is named once.
    return {subject: ", ".join(dict.fromkeys(fields)) for subject, fields in subjects.items()}


def _passes(paper: Paper, findings: Sequence[Finding], everybody: int) -> None:
    """Write what passes, a line for each subject; once for several of which the same does."""
    word, style = LABELS[Held.PASS]
    alike: dict[str, list[str]] = {}
    for subject, fields in passes(findings).items():
        alike.setdefault(fields, []).append(subject)
    for fields, subjects in alike.items():
        if len(subjects) < _GROUP:
            for subject in subjects:
                paper.filled(f"{subject}: {fields}", first=[Span(f"{word}  ", style)], indent=_INDENT)
        else:
            paper.filled(fields, first=[Span(f"{word}  ", style)], indent=_INDENT)
            paper.filled(_whom(subjects, everybody), first=[Span(" " * _INDENT)], indent=_INDENT, style="dim")


def _alike(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return findings that say the same of several subjects together, but for the numbers that were seen."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.field, _number(finding), _NUMBER.sub("#", finding.sentence)), []).append(finding)
    return list(groups.values())


def _number(finding: Finding) -> str:
    """Return what was expected, where that is a number or a word; a whole request is told with its own subject only."""
    return finding.expected if len(finding.expected) < _SHORT else ""


def _together(paper: Paper, group: Sequence[Finding], everybody: int) -> None:
    """Write what is said of several subjects once, numbers as ranges, and of whom of `everybody` it is said."""
    first = group[0]
    said = f" {safe(_number(first))}" if _number(first) else ""
    numbers = [[one.group() for one in _NUMBER.finditer(finding.sentence)] for finding in group]
    ranges = iter([_range(column) for column in zip(*numbers, strict=True)])
    sentence = _NUMBER.sub(lambda _: next(ranges), first.sentence)
    paper.filled(f"{safe(first.field)}{said}: {safe(sentence)}", first=[_lead(first)], indent=_INDENT)
    subjects = list(dict.fromkeys(safe(finding.subject) for finding in group))
    paper.filled(_whom(subjects, everybody), first=[Span(" " * _INDENT)], indent=_INDENT, style="dim")


def _whom(subjects: Sequence[str], everybody: int) -> str:
    """Return `of all 19`, `of 3: readiness shop/web, ...`."""
    if len(subjects) == everybody:
        return f"of all {everybody}"
    rest = len(subjects) - _SUBJECTS
    of = ", ".join(subjects[:_SUBJECTS]) + (f" and {count(rest, 'other')} (-o wide)" if rest > 0 else "")
    return f"of {len(subjects)}: {of}"


def _range(seen: Sequence[str]) -> str:
    """Return `0.033 to 7.29` of numbers as they were written."""
    low, high = min(seen, key=float), max(seen, key=float)
    return low if low == high else f"{low} to {high}"


def _briefly(paper: Paper, finding: Finding) -> None:
    text = f"{safe(finding.subject)}: {safe(finding.field)}"
    said = safe(finding.expected) if len(finding.expected) < 20 else ""
    words = said.split()
    if len(words) > 1 and words[-1].rstrip("s") == finding.field.rstrip("s"):  # `at least 3 attempts` names the field
        text, said = safe(finding.subject), f": {said}"
    elif said:
        said = f" {said}"
    paper.filled(f"{text}{said}: {safe(finding.sentence)}", first=[_lead(finding)], indent=_INDENT)


def _at_length(paper: Paper, timeline: Timeline, finding: Finding, base: int) -> None:
    paper.line(_lead(finding), Span(f"{safe(finding.subject)}: {safe(finding.field)}", "bold"))
    paper.filled(safe(finding.sentence), first=[Span(" " * _INDENT)], indent=_INDENT)
    room = None if paper.columns is None else paper.columns - _INDENT
    source = f" ({safe(finding.source_name)})" if finding.source else ""
    expected, observed = f"{safe(finding.expected)}{source}", safe(finding.observed)
    both = f"expected {expected}, observed {observed}"
    if finding.expected and finding.observed and (room is None or len(both) <= room):
        paper.line(" " * _INDENT, both)
    else:
        for name, text, given in (("expected", expected, finding.expected), ("observed", observed, finding.observed)):
            if given:
                paper.filled(text, first=[Span(f"{' ' * _INDENT}{name} ")], indent=_INDENT + 9)
    _proof(paper, timeline, finding, base)


def _proof(paper: Paper, timeline: Timeline, finding: Finding, base: int) -> None:
    """Write the attempts that a finding names, or its frames where it names none."""
    probe = next((probe for probe in timeline.probes if probe.id == finding.probe), None)
    shown = [] if probe is None else [(probe, a) for a in probe.attempts if a.n in finding.attempts]
    several = len(timeline.captures) > 1
    for owner, attempt in shown:
        paper.line(
            " " * (_INDENT + 2),
            f"{relative(attempt.start.ns, base):>9}  {pad(f'#{attempt.n}', 5)} ",
            f"{pad(words.result(attempt, owner.handler), 18)}  {duration(attempt.latency_ns):>8}  ",
            Span(words.frames_of(attempt, several=several), "dim"),
        )
    if not shown and finding.evidence:
        said = [words.span(e.file, e.first, e.last, several=several) for e in finding.evidence[:6]]
        rest = len(finding.evidence) - len(said)
        more = f" and {count(rest, 'other')}" if rest else ""
        paper.filled(f"frames {', '.join(said)}{more}", first=[Span(" " * _INDENT)], indent=_INDENT, style="dim")
