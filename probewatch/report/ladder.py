"""A ladder for people: 100 columns wide, two rails with the frames between them, phases as bars, and what follows from it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..model.frame import CaptureInfo
from ..model.ladder import Ladder, Phase, PhaseKind, Step, StepKind, Way
from ..model.timeline import Outcome, Role
from . import words
from .escape import pad, safe, shorten, width
from .kubelet_says import kubelet_says
from .numbers import SECOND, clock, count, duration, relative, share
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span, wrap
from .verdict import explain

_INDENT: Final = 12
_ARROW: Final = 58
"""Columns between the rails, at most."""
_LEAST: Final = 24
_NOTES: Final = 26
"""Columns kept for notes behind the right rail."""
_COLUMNS: Final = 4
"""Vantage points that have a column of their own; sightings at further ones are counted."""
_NAME: Final = 12
"""Columns of a vantage point's name above its frames; longer names get a letter."""
_QUIET_NS: Final = 200_000_000
"""A pause this long is drawn."""
_FOLD: Final = 12
"""More bare data frames in a row than this are folded."""
_RUNS: Final = 24
"""Runs of frames in one filter; of more, their first and last frame."""
_LANE: Final = 50
"""Columns of the bars."""

_STYLE: Final = {Outcome.SUCCESS: "green", Outcome.FAILURE: "alarm", Outcome.DISCARDED: "yellow"}
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


@dataclass(frozen=True, slots=True)
class Strokes:
    """What arrows, rails and bars are drawn with."""

    rail: str
    line: str
    right: str
    left: str
    dots: str
    bar: str
    open: str
    late: str
    mark: str
    pause: str
    missing: str


_UNICODE: Final = Strokes("│", "─", "▶", "◀", "┄", "█", "░", "▒", "┊", "⋮", "·")
_ASCII: Final = Strokes("|", "-", ">", "<", ".", "#", ":", "=", "!", ":", ".")


def write(
    ladders: Sequence[Ladder],
    captures: Sequence[CaptureInfo],
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
) -> None:
    """Write ladders one below the other, with the filters that show their frames in Wireshark."""
    paper = Paper(out, COLUMNS, colour=colour, glyphs=glyphs)
    for number, ladder in enumerate(ladders):
        if number:
            paper.line()
            paper.line()
        _write(paper, ladder, captures)


def _write(paper: Paper, ladder: Ladder, captures: Sequence[CaptureInfo]) -> None:
    probe, attempt = ladder.probe, ladder.attempt
    owner = f"  {words.owner(probe.target)}" if probe.target.pod is not None else ""
    title, request = f"{words.kind(probe)} #{attempt.n}{owner}", words.request(probe)
    if width(title) + 2 + width(request) <= COLUMNS:
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
    paper.filled(
        f"{attempt.outcome.value}: {result}{took}",
        first=[Span("  ")],
        indent=2,
        style=_STYLE.get(attempt.outcome, "yellow"),
    )
    _field(paper, "by", words.who(probe.checker))
    _field(paper, "began", f"{relative(attempt.start.ns, ladder.base_ns)}  {clock(attempt.start.ns)}")
    paper.line()
    if ladder.steps:
        _Drawing(paper, ladder).draw()
        paper.line()
    for note in ladder.notes:
        _field(paper, "note", safe(note), "yellow")
    _bars(paper, ladder)
    _after(paper, ladder)
    _filters(paper, ladder, captures)


def _field(paper: Paper, name: str, text: str, style: str = "cyan") -> None:
    paper.filled(text, first=[Span(f"  {name:<{_INDENT - 2}}", style)], indent=_INDENT)


class _Drawing:
    """The two rails and what goes between them."""

    def __init__(self, paper: Paper, ladder: Ladder) -> None:
        self.paper, self.ladder = paper, ladder
        self.strokes = _UNICODE if paper.glyphs is UNICODE else _ASCII
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
        self.arrow = max(_LEAST, min(_ARROW, COLUMNS - self.left - 2 - (_NOTES if noted else 0)))
        self.room = COLUMNS - self.left - self.arrow - 4
        """Columns for notes behind the right rail."""

    def _time(self, ns: int) -> str:
        apart = ns - self.start
        return f"{apart / 1e9:.6f}" if self.in_seconds else f"{apart / 1e6:.3f}"

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
                if attempt.end_mark is not None or attempt.end_ns != deadline:
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
            number = (
                "   " if step is None or step.connection is None else f"{'abcdefghijklmnop'[step.connection % 16]}  "
            )
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
        lead = Span(" " * (self.left - 3) + f"{'abcdefghijklmnop'[step.connection % 16]}  ")
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
        fits = width(beside) <= self.room
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
            timeout = words.timeout_ns(probe)
            why += f": timeout of {duration(timeout)}" if timeout else ""
        self._across(attempt.end_ns, f"{attempt.outcome.value}, {why}", _STYLE.get(attempt.outcome, "yellow"))

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
    said = [safe(one.text) for one in step.said] or [count(step.length, "byte")]
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


# Phases


def _bars(paper: Paper, ladder: Ladder) -> None:
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
    mark = min(_LANE, timeout * _LANE // scale) if shown else None
    strokes = _UNICODE if paper.glyphs is UNICODE else _ASCII
    several = len(rails) > 1
    for number, rail in enumerate(ladder.connections):
        for phase in rail.phases:
            if not phase.done and phase.start_ns > ladder.attempt.end_ns:
                continue  # nobody waited for it any more
            lead = f"{'abcdefghijklmnop'[number % 16]} " if several else ""
            name = "phases" if number == 0 and phase is rail.phases[0] else ""
            took = duration(phase.end_ns - phase.start_ns)
            bar = _bar(phase, start, scale, mark, strokes, ladder.attempt.end_ns)
            lost = "" if phase.done else f" {_NEVER.get(phase.kind, 'not completed')}"
            style = "" if phase.done else "red"
            paper.line(
                Span(f"  {name:<{_INDENT - 2}}", "cyan"),
                f"{lead}{_DONE[phase.kind]:<8}{took:>9}  ",
                Span(bar, style),
                Span(lost, "red"),
            )
    if timeout > 0:
        text = f"timeout {duration(timeout)}"
        if shown and mark is not None:
            lead = " " * (_INDENT + 19 + (2 if several else 0))
            room = mark - width(text) - 1
            text = f"{' ' * room}{text} {strokes.mark}" if room >= 0 else f"{' ' * mark}{strokes.mark} {text}"
            paper.line(Span(lead + text, "yellow"))
        else:
            paper.line(Span(" " * _INDENT + f"{text}: {timeout // scale} times as long as all of this", "dim"))
    paper.line()


def _bar(phase: Phase, start: int, scale: int, mark: int | None, strokes: Strokes, verdict_ns: int) -> str:
    first = min(_LANE - 1, max(0, (phase.start_ns - start) * _LANE // scale))
    last = min(_LANE, max(first + 1, -(-(phase.end_ns - start) * _LANE // scale)))
    cells = [" "] * _LANE
    if mark is not None and mark < _LANE:
        cells[mark] = strokes.mark
    over = min(last, max(first, (verdict_ns - start) * _LANE // scale)) if phase.end_ns > verdict_ns else last
    over = over if phase.start_ns < verdict_ns else first
    cells[first:last] = (strokes.bar if phase.done else strokes.open) * (over - first) + strokes.late * (last - over)
    return "".join(cells).rstrip()


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
        parts.append("thrown away by the kubelet: it counts neither as success nor as failure")
    if parts:
        _field(paper, "counts", "; ".join(parts))
    for decision in ladder.decisions:
        said = f"{safe(decision.before)} -> {safe(decision.after)}"
        if decision.confirmed is not None:
            said += f", {'confirmed' if decision.confirmed else 'contradicted'}: {safe(decision.confirmed_by)}"
        _field(paper, "decision", said, "alarm" if decision.after in ("NotReady", "Restart", "DOWN") else "green")
    if attempt.outcome is not Outcome.SUCCESS or attempt.cause.value != "ok":
        meaning, advice = explain(replace(probe, attempts=(attempt,)), attempt.cause)
        _field(paper, "cause", f"{attempt.cause.value}: {meaning[:1].lower()}{meaning[1:]}", "red")
        if advice:
            _field(paper, "try", advice, "green")
    message = kubelet_says(probe, attempt)
    if message:
        _field(paper, "kubelet", message)


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
        if width(program) + 6 + len(parts[0]) + 20 > COLUMNS - _INDENT:
            paper.line(Span(f"  {'frames':<{_INDENT - 2}}", "cyan"), f"{program} \\")
            paper.filled(f"-Y '{wanted}'", first=[Span(" " * _INDENT)], indent=_INDENT)
        else:
            _field(paper, "frames", f"{program} -Y '{wanted}'")
