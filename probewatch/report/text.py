"""The timeline for people: `table`, as wide as the terminal, and `wide`, which shows every attempt and connection on lines of any length.

The order is verdict, who, what was asked, what happened, proof, what to do. A line a thought; times of day once, then
relative to the first frame; the worst first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..decisions.outages import outages
from ..model.frame import CaptureInfo
from ..model.timeline import LATER, UNDECLARED, EventKind, Probe, Timeline, TimelineEvent
from ..model.units import SECOND
from . import outline, words
from .account import write_account
from .escape import pad, quoting, safe, width
from .findings import summary, write_findings
from .numbers import clock, count, relative, span
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span
from .reasons import explained
from .rollouts import write_rollouts
from .rows import Row, event_words, rows, trimmed
from .service import standing
from .sparkline import sparkline
from .verdict import Level, Verdict

_INDENT: Final = 10
"""Column at which the words behind `by`, `asked`, `result` begin."""

_OTHERS: Final = 12
"""Other clients listed in the table."""

_MANY: Final = 6
"""Above so many probes those that are fine are told in short."""

_BESIDE: Final = 36
"""Columns that a verdict wants beside the name of its probe; else it stands below."""

_CAUSES: Final = 2
"""Causes explained for one probe in the table."""

_STYLE: Final = {Level.FINE: "green", Level.UNCLEAR: "yellow", Level.WARNING: "yellow", Level.TROUBLE: "alarm"}


def write_verdicts(
    timeline: Timeline,
    out: Callable[[str], object],
    *,
    wide: bool = False,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
) -> None:
    """Write the findings of a timeline alone, and how many there are of each kind."""
    paper = Paper(out, None if wide else columns, colour=colour, glyphs=glyphs)
    base = outline.base_ns(timeline)
    _captures(paper, timeline.captures, base, wide=wide)
    paper.line()
    write_findings(paper, timeline, timeline.findings, base, wide=wide)
    for note in timeline.notes:
        paper.filled(safe(note), first=[Span("note  ", "yellow")], indent=6)
    paper.line(Span(summary(timeline.findings), "bold"))


def write(
    timeline: Timeline,
    out: Callable[[str], object],
    *,
    wide: bool = False,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
    everything: str = "-o wide",
) -> None:
    """Write the table, or with `wide` everything; `everything` says how to get that."""
    paper = Paper(out, None if wide else columns, colour=colour, glyphs=glyphs, wide=everything)
    base = outline.base_ns(timeline)
    _captures(paper, timeline.captures, base, wide=wide)
    _notes(paper, timeline.notes[: timeline.foremost])
    judged = outline.ordered(timeline)
    if not judged:
        _nothing(paper, timeline)
    if len(judged) > 1:
        _overview(paper, judged)
    write_rollouts(paper, timeline.rollouts, wide=wide)
    told: set[int] = set()
    known: set[int] = set()
    for probe, verdict in judged:
        paper.line()
        brief = not wide and len(judged) > _MANY and verdict.level is Level.FINE
        if brief:
            told.update(map(id, outline.events_of(probe, timeline)))
        _probe(paper, timeline, probe, verdict, base, known, wide=wide, brief=brief)
    told |= known
    if not wide and len(judged) > _MANY and any(verdict.level is Level.FINE for _, verdict in judged):
        paper.line()
        how = f"--probe or {paper.wide}" if paper.wide.startswith("-") else paper.wide
        text = f"Probes that are fine are shown in brief; {how} shows every attempt."
        paper.filled(text, style="dim")
    _events(paper, [e for e in timeline.events if id(e) not in told], base)
    _others(paper, timeline, wide=wide)
    if timeline.kubelet is not None:
        write_account(paper, timeline.kubelet, base, wide=wide)
    if timeline.findings:
        paper.line()
        paper.line(Span("findings", "bold"))
        write_findings(paper, timeline, timeline.findings, base, wide=wide)
    hint = words.unproven(probe.checker for probe in timeline.probes)
    _notes(paper, [*timeline.notes[timeline.foremost :], *([hint] if hint else [])])


def _notes(paper: Paper, notes: Sequence[str]) -> None:
    if notes:
        paper.line()
    for note in notes:
        paper.filled(safe(note), first=[Span("note  ", "yellow")], indent=6)


def _captures(paper: Paper, captures: Sequence[CaptureInfo], base: int, *, wide: bool) -> None:
    names = [(f"[{n}] " if len(captures) > 1 else "") + safe(info.path) for n, info in enumerate(captures, 1)]
    longest = min(max(map(width, names), default=0), 40)
    for name, info in zip(names, captures, strict=True):
        text = count(info.frames, "frame")
        lasted = outline.lasted_ns(info)
        if info.began_ns is not None and info.ended_ns is not None and lasted is not None:
            text += f" in {span(lasted)}"
            if info.first_ns is not None:
                text += f", the first at {clock(info.first_ns)}"
        elif info.first_ns is not None and lasted is not None:
            begin = "" if info.first_ns == base and name is not names[0] else f" from {clock(info.first_ns)}"
            text += f", {span(lasted)}{begin}"
        state = Span("complete") if info.complete else Span("INCOMPLETE", "alarm")
        tail = f"  ({safe(info.format)}, {', '.join(map(safe, info.link_types))})" if wide else ""
        lead = [Span(pad(name, longest), "bold")]
        rest = [Span(f"   {text}, "), state, Span(tail, "dim")]
        long = sum(width(piece.text) for piece in [*lead, *rest])
        if paper.columns is not None and (width(name) > longest or long > paper.columns):
            paper.filled(name, style="bold")  # a long name has the line for itself, so that what follows stays whole
            lead = [Span("  ")]
        if paper.columns is not None and 2 + sum(width(piece.text) for piece in rest) > paper.columns:
            paper.filled("".join(piece.text for piece in rest).strip(), first=[Span("    ")], indent=4)
        else:
            paper.line(*lead, *rest)
        for note in info.notes:
            paper.filled(safe(note), first=[Span("    ")], indent=4, style="" if not info.complete else "dim")


def _overview(paper: Paper, judged: Sequence[outline.Judged]) -> None:
    """Write what a reader with one glance should know: a line a probe, and more where one is not fine."""
    paper.line()
    paper.line(Span(outline.overview(judged), "bold"))
    kinds = max(width(words.kind(probe)) for probe, _ in judged)
    labels = min(
        max(width(words.label(probe)) for probe, _ in judged), paper.columns * 44 // 100 if paper.columns else 200
    )
    for probe, verdict in judged:
        glyph = {Level.TROUBLE: paper.glyphs.failure, Level.FINE: paper.glyphs.good}.get(verdict.level, "!")
        label = words.label(probe)
        lead = [Span(f"  {glyph} ", _STYLE[verdict.level]), Span(f"{pad(words.kind(probe), kinds)}  ")]
        indent = 4 + kinds + 2 + labels + 2
        # The whole sentence: nobody should have to look for the other half of what is wrong. Of many that are fine, its gist.
        many = len(judged) > _MANY and verdict.level is Level.FINE
        said = verdict.sentence.partition("; ")[0] if many else verdict.sentence
        if paper.columns is not None and (paper.columns - indent < _BESIDE or width(label) > labels):
            paper.filled(label, first=lead, indent=6)
            paper.filled(said, first=[Span("      ")], indent=6)
        else:
            paper.filled(said, first=[*lead, Span(f"{pad(label, labels)}  ")], indent=indent)


def _probe(
    paper: Paper,
    timeline: Timeline,
    probe: Probe,
    verdict: Verdict,
    base: int,
    known: set[int],
    *,
    wide: bool,
    brief: bool,
) -> None:
    """One probe; `brief` leaves out what only matters if something is wrong. `known` are events whose evidence was shown."""
    owner = f"  {words.owner(probe.target)}" if probe.target.pod is not None else ""
    title, request = words.kind(probe) + owner, words.request(probe)
    if paper.columns is None or width(title) + 2 + width(request) <= paper.columns:
        paper.line(Span(title, "bold"), f"  {request}")
    else:
        paper.line(Span(title, "bold"))
        paper.filled(request, first=[Span("  ")], indent=2)
    paper.filled(verdict.sentence, first=[Span("  ")], indent=2, style=_STYLE[verdict.level])
    if verdict.level in (Level.TROUBLE, Level.WARNING):
        stands = standing(probe, timeline, lambda ns: relative(ns, base))
        if stands is not None:
            _field(paper, "now", stands.sentence, "alarm" if stands.over is False else "cyan")
    room = None if paper.columns is None else paper.columns - _INDENT
    by = words.who(probe.checker)
    _field(paper, "by", f"{by} {words.proof(probe.checker, None if room is None else room - width(by) - 1)}".rstrip())
    asked, seen = words.asked(probe), words.seen(probe)
    if asked and seen and (room is None or width(asked) + width(seen) + 16 <= room):
        _field(paper, "asked", f"{asked}        seen  {seen}")
    else:
        if asked or probe.checker.kind == "kubelet":
            _field(paper, "asked", asked or words.unasked(probe))
        if seen and not brief:
            _field(paper, "seen", seen)
    _result(paper, probe, brief=brief)
    if not brief:
        _story(paper, timeline, probe, base, known, wide=wide)
    _clients(paper, probe)
    why = explained(probe, verdict)
    shown = why if wide else [one for one in why if not one.minor][:_CAUSES]
    for one in shown:
        style = "red" if verdict.level is Level.TROUBLE else "yellow"
        _field(paper, "cause", quoting(f"{one.name}: {words.lowered(one.meaning)}"), style)
        if one.check:
            _field(paper, "check", safe(one.check))
        if one.advice:
            _field(paper, "try", f"{safe(one.advice)} (docs/causes.md#{one.anchor})", "green")
    if len(shown) < len(why):
        rest = ", ".join(one.name for one in why if one not in shown)
        _field(paper, "", f"also {rest}: {paper.wide} says what to do")
    for note in probe.notes:
        if note == LATER or (note == UNDECLARED and probe.target.pod is not None):
            continue  # said where it is read what was asked
        _field(paper, "note", safe(note), "yellow")


def _field(paper: Paper, name: str, text: str, style: str = "cyan") -> None:
    paper.filled(text, first=[Span(f"  {name:<{_INDENT - 2}}", style)], indent=_INDENT)


def _result(paper: Paper, probe: Probe, *, brief: bool) -> None:
    """Write counts by result, latency, and the line of marks."""
    attempts, timeout = probe.attempts, words.timeout_ns(probe)
    text, latency = outline.counts(probe), outline.latency(probe)
    room = (paper.columns or COLUMNS) - _INDENT
    if latency and width(text) + width(latency) + 10 <= room:
        text, latency = f"{text}; latency {latency}", ""
    _field(paper, "result", text)
    if latency:
        _field(paper, "latency", latency)
    if not attempts or brief:
        return
    scale = timeout or SECOND  # the kubelet's default
    marks, each = sparkline(attempts, scale, room, paper.glyphs)
    paper.line(" " * _INDENT, *marks)
    if each > 1:
        paper.line(" " * _INDENT, Span(f"each mark covers {each} attempts and shows the worst of them", "dim"))


def _story(paper: Paper, timeline: Timeline, probe: Probe, base: int, known: set[int], *, wide: bool) -> None:
    events = outline.events_of(probe, timeline)
    made = rows(probe, events, outages(probe, timeline), wide=wide, several=len(timeline.captures) > 1, known=known)
    known.update(map(id, events))
    if not made:
        return
    head, left_out, tail = (made, 0, []) if wide else trimmed(made)
    shown = head + tail
    # Where the container's beginning is told below, its state then is known: NotReady, by the kubelet's initial value.
    begins = any(e.kind is EventKind.CONTAINER_STARTED and e.evidence == probe.initial_evidence for e in events)
    if probe.initial_state not in ("", "unknown") and (wide or (probe.initial_state != "Live" and not begins)):
        since = probe.initial_since_ns
        when = (
            "at the beginning" if since is None else f"since {relative(since, base)} at the latest; unknown before that"
        )
        why = f": {safe(probe.initial_evidence)}" if probe.initial_evidence else ""
        _field(paper, "state", f"{safe(probe.initial_state)} {when}{why}")
    cells = _Cells(shown, base)
    for row in head:
        cells.write(paper, row, base)
    if left_out:
        omitted = f"{count(left_out, 'line')} omitted; {paper.wide} shows every attempt"
        paper.filled(omitted, first=[Span(f"    {paper.glyphs.ellipsis} ", "dim")], indent=6, style="dim")
        for row in tail:
            cells.write(paper, row, base)


class _Cells:
    """Column widths of one probe's rows, and how a row is written into them."""

    def __init__(self, shown: Sequence[Row], base: int) -> None:
        self._time = max(8, *(len(relative(r.ns, base)) for r in shown))
        self._number = max(len(r.number) for r in shown)
        self._result = max(width(r.result) for r in shown)
        self._latency = max(len(r.latency) for r in shown)
        self._streak = max(len(r.streak) for r in shown)
        self._decision = max((width(r.decision) for r in shown), default=0)
        self._frames = max(len(r.frames) for r in shown)
        cells = (self._number, self._result, self._latency, self._streak, self._decision)
        self._left = 2 + self._time + sum(2 + size for size in cells if size) + 2

    def write(self, paper: Paper, row: Row, base: int) -> None:
        if row.quiet and not row.frames:
            indent = 2 + self._time + 2
            paper.line(" " * indent, Span(f"{paper.glyphs.ellipsis} {row.words}", "dim"))
            return
        if row.aside:
            begin = f"  {relative(row.ns, base):>{self._time}}  "
            paper.filled(row.words, first=[Span(begin)], indent=len(begin), style=row.style)
            return
        lead = [Span(f"  {relative(row.ns, base):>{self._time}}" if not row.quiet else " " * (2 + self._time), "")]
        for text, size, style in ((row.number, self._number, ""), (row.result, self._result, row.style)):
            if size:
                lead += [Span("  "), Span(pad(text, size), style)]
        for text, size in ((row.latency, self._latency), (row.streak, self._streak)):
            if size:
                lead += [Span("  "), Span(f"{text:>{size}}")]
        if self._decision:
            lead += [Span("  "), Span(pad(row.decision, self._decision), row.mood)]
        lead.append(Span("  "))
        self._finish(paper, row, lead)

    def _finish(self, paper: Paper, row: Row, lead: list[Span]) -> None:
        """Write words and frames; words that do not fit go on beneath themselves."""
        if paper.columns is None:
            gap = "  " if row.words else ""
            paper.line(*lead, row.words + gap, Span(row.frames, "dim"))
            return
        right = self._frames + 2 if row.frames else 0
        room = paper.columns - self._left - right
        if room < 0:  # a narrow terminal: what does not fit goes below, whole
            paper.line(*lead)
            indent = 2 + self._time + 2
            paper.filled("  ".join(filter(None, (row.words, row.frames))), first=[Span(" " * indent)], indent=indent)
            return
        fits = width(row.words) <= room
        rest = Span(f"  {pad(row.frames, self._frames)}", "dim") if row.frames else Span("")
        paper.line(*lead, pad(row.words if fits else "", max(0, room)), rest)
        if not fits:  # they have the next lines for themselves
            indent = 2 + self._time + 2 + (self._number + 2 if self._number else 0)
            paper.filled(row.words, first=[Span(" " * indent)], indent=indent)


def _clients(paper: Paper, probe: Probe) -> None:
    """How clients followed the decisions."""
    said = outline.clients(probe.effects)
    if said:
        _field(paper, "clients", said)


def _events(paper: Paper, events: Sequence[TimelineEvent], base: int) -> None:
    if not events:
        return
    paper.line()
    paper.line(Span("other events", "bold"))
    for event in sorted(events, key=lambda e: e.told_ns):
        lead = f"  {relative(event.told_ns, base):>8}  "
        what = f"{safe(event.address)}: {event_words(event)}" if event.address else event_words(event)
        paper.filled(what, first=[Span(lead)], indent=len(lead))


def _others(paper: Paper, timeline: Timeline, *, wide: bool) -> None:
    others = outline.others_of(timeline)
    if not others:
        return
    paper.line()
    paper.line(Span("not probes", "bold"))
    shown = others if wide else others[:_OTHERS]
    size = max(len(str(o.all.connections)) for o in shown)
    for row in shown:
        other = row.all
        unwell = outline.unwell(other)
        failed = f", {unwell}" if unwell else ""
        paper.filled(
            f"{outline.name_of(other)} to {row.where}: {safe(other.what)}{failed}",
            first=[Span(f"  {other.connections:>{size}} x  ")],
            indent=size + 6,
        )
    if len(shown) < len(others):
        rest = sum(o.all.connections for o in others[_OTHERS:])
        paper.line(
            Span(
                f"  {paper.glyphs.ellipsis} and {len(others) - _OTHERS} more clients with {count(rest, 'connection')}",
                "dim",
            )
        )


def _nothing(paper: Paper, timeline: Timeline) -> None:
    """Say what was seen instead, and what to try."""
    seen, hints = outline.nothing(timeline)
    paper.line()
    paper.line(Span("no probes found", "bold"))
    _field(paper, "seen", seen)
    for number, hint in enumerate(hints):
        _field(paper, "" if number else "try", hint)
