"""A ladder for people: as wide as the terminal, two rails with the frames between them, phases as bars, and what follows from it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ..model.catalogue import BAD_ANSWER
from ..model.frame import CaptureInfo
from ..model.ladder import Ladder
from ..model.timeline import Attempt, Outcome
from . import words
from .escape import quoting, safe, width
from .kubelet_says import kubelet_says
from .ladder_bars import bars
from .ladder_rails import draw
from .numbers import clock, count, duration, relative, share
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span
from .reasons import explained_attempt
from .strokes import INDENT, STYLE

NONE_AGAIN: Final[Mapping[tuple[str, int], Sequence[Attempt]]] = MappingProxyType({})
_AGAIN: Final = 12
"""Attempts like one that is drawn, named one by one."""
_RUNS: Final = 24
"""Runs of frames in one filter; of more, their first and last frame."""


def write(
    ladders: Sequence[Ladder],
    captures: Sequence[CaptureInfo],
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
    again: Mapping[tuple[str, int], Sequence[Attempt]] = NONE_AGAIN,
) -> None:
    """Write ladders one below the other, with the filters that show their frames in Wireshark.

    `again`: by probe and number of a ladder's attempt, others that ended like it and have no ladder of their own.
    """
    paper = Paper(out, columns, colour=colour, glyphs=glyphs)
    for number, ladder in enumerate(ladders):
        if number:
            paper.line()
            paper.line()
        _write(paper, ladder, captures)
        _again(paper, ladder, again.get((ladder.probe.id, ladder.attempt.n), ()))


def _write(paper: Paper, ladder: Ladder, captures: Sequence[CaptureInfo]) -> None:
    probe, attempt = ladder.probe, ladder.attempt
    owner = f"  {words.owner(probe.target)}" if probe.target.pod is not None else ""
    title, request = f"{words.kind(probe)} #{attempt.n}{owner}", words.request(probe)
    if width(title) + 2 + width(request) <= (paper.columns or COLUMNS):
        paper.line(Span(title, "bold"), f"  {request}")
    else:
        paper.line(Span(title, "bold"))
        paper.filled(request, first=[Span("  ")], indent=2)
    took = "" if attempt.implied else f" after {duration(attempt.latency_ns)}"
    timeout = words.timeout_ns(probe)
    if timeout and not attempt.implied:
        took += (
            f" ({share(attempt.latency_ns, timeout)} of the timeout)"
            if attempt.end_mark is not None
            else " (the timeout)"
        )
    result = words.result(attempt, probe.handler)
    if result == BAD_ANSWER.label:
        result = quoting(attempt.detail) or result
    paper.filled(
        f"{attempt.outcome.value}: {result}{took}",
        first=[Span("  ")],
        indent=2,
        style=STYLE.get(attempt.outcome, "yellow"),
    )
    _field(paper, "by", words.who(probe.checker))
    _field(paper, "began", f"{relative(attempt.start.ns, ladder.base_ns)}  {clock(attempt.start.ns)}")
    paper.line()
    if ladder.steps:
        draw(paper, ladder)
        paper.line()
    for note in ladder.notes:
        _field(paper, "note", safe(note), "yellow")
    bars(paper, ladder)
    _after(paper, ladder)
    _filters(paper, ladder, captures)


def _field(paper: Paper, name: str, text: str, style: str = "cyan") -> None:
    paper.filled(text, first=[Span(f"  {name:<{INDENT - 2}}", style)], indent=INDENT)


# What follows


def _after(paper: Paper, ladder: Ladder) -> None:
    probe, attempt = ladder.probe, ladder.attempt
    parts: list[str] = []
    if attempt.streak and attempt.threshold:
        name = "successThreshold" if attempt.outcome is Outcome.SUCCESS else "failureThreshold"
        if probe.checker.kind != "kubelet":
            name = "rise" if attempt.outcome is Outcome.SUCCESS else "fall"
        source = probe.thresholds.get(name, (0, ""))[1]
        word = "success" if attempt.outcome is Outcome.SUCCESS else "failure"
        streak = f"{word} {attempt.streak} in a row" if attempt.streak > 1 else f"first {word}"
        parts.append(f"{streak}, {name} is {attempt.threshold}{f' ({source})' if source else ''}")
    elif attempt.outcome is Outcome.DISCARDED:
        parts.append("discarded by the kubelet: it counts neither as success nor as failure")
    if parts:
        _field(paper, "counts", "; ".join(parts))
    for decision in ladder.decisions:
        said = f"{safe(decision.before)} -> {safe(decision.after)}"
        if decision.confirmed is not None:
            said += f", {'confirmed' if decision.confirmed else 'contradicted'}: {safe(decision.confirmed_by)}"
        _field(paper, "decision", said, "alarm" if decision.after in ("NotReady", "Restart", "DOWN") else "green")
    why = explained_attempt(probe, attempt)
    for sentence in dict.fromkeys(placed.sentence for leg in attempt.legs for placed in leg.died):
        if why is None or sentence.rstrip(".") not in why.meaning:
            _field(paper, "where", safe(sentence), "red")
    if why is not None:
        fine = attempt.outcome is Outcome.SUCCESS
        style = "yellow" if fine else "red"
        _field(paper, "remark" if fine else "cause", f"{safe(why.name)}: {words.lowered(quoting(why.meaning))}", style)
        if why.check:
            _field(paper, "check", safe(why.check))
        if why.advice:
            _field(paper, "try", f"{safe(why.advice)} (docs/causes.md#{why.anchor})", "green")
    message = kubelet_says(probe, attempt)
    if message:
        _field(paper, "kubelet", message)
    for heard in attempt.said:
        _field(paper, "said", f"{safe(heard.source)}: {safe(heard.text) or heard.saying.value}")


def _again(paper: Paper, ladder: Ladder, others: Sequence[Attempt]) -> None:
    """Name the attempts that ended like the one that is drawn, and what they decided."""
    if not others:
        return
    decided = {decision.attempt: safe(decision.after) for decision in ladder.probe.decisions}
    shown = [one for place, one in enumerate(others) if place < _AGAIN or one.n in decided][: 2 * _AGAIN]
    said = [
        f"#{one.n} at {relative(one.start.ns, ladder.base_ns)}" + (f" -> {decided[one.n]}" if one.n in decided else "")
        for one in shown
    ]
    rest = len(others) - len(shown)
    if rest:
        said.append(
            f"and {count(rest, 'other')}, the last #{others[-1].n} at {relative(others[-1].start.ns, ladder.base_ns)}"
        )
    _field(paper, "again", f"the same {count(len(others), 'more time')}: {', '.join(said)}")


def _filters(paper: Paper, ladder: Ladder, captures: Sequence[CaptureInfo]) -> None:
    """Write the filter that shows exactly these frames, one for each input."""
    frames = ladder.frames()
    for file, runs in frames.items():
        if file >= len(captures):
            continue
        parts = [str(first) if first == last else f"{first}..{last}" for first, last in runs]
        if len(parts) > _RUNS:
            parts = [f"{runs[0][0]}..{runs[-1][1]}"]
        info = captures[file]
        wanted = f"frame.number in {{{', '.join(parts)}}}"
        if info.path == "-":
            _field(paper, "frames", wanted)
            continue
        # A line may end within the quotes, where the shell and the filter take it for a blank, and nowhere else.
        program = f"tshark -r {safe(shlex.quote(info.path))}"
        if width(program) + 6 + len(parts[0]) + 20 > (paper.columns or COLUMNS) - INDENT:
            paper.line(Span(f"  {'frames':<{INDENT - 2}}", "cyan"), f"{program} \\", cut=False)  # it is to be copied
            paper.filled(f"-Y '{wanted}'", first=[Span(" " * INDENT)], indent=INDENT)
        else:
            _field(paper, "frames", f"{program} -Y '{wanted}'")
