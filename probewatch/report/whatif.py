"""What would have been under other settings, for people: the verdict first, then what was decided beside what would have been."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..decisions.outages import downtime
from ..model.spec import ProbeType
from ..model.timeline import Decision, DecisionKind, Outcome, Probe, Timeline
from ..model.units import SECOND
from ..verify.bounds import Covering, Term
from ..verify.replay import End, Trace
from ..verify.whatif import Replayed, WhatIf, told
from . import words
from .escape import pad, safe, width
from .numbers import count, duration, relative, span
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span
from .select import select

_INDENT: Final = 11
_MOST: Final = 40
"""Rows of decisions of one probe; beyond, the first and the last are shown, and the rest counted."""

_ENDS: Final = {
    End.NEW_RESTART: "what the restarted container would have answered is not recorded",
    End.OLD_RESTART: "it was restarted then and would not have been: what answered later was another container",
    End.TOO_LONG: "too many results would be unknown to go on",
}

ASSUMED: Final = (
    "Attempts are replayed at the times they were recorded, and answers are assumed to depend on time alone, not on how "
    "often they were asked for. An unknown result succeeds in the best case and fails in the worst. The extra readiness "
    "probe that the kubelet sends right after a NotReady is not simulated."
)
"""What every replay rests on."""


def write(
    timeline: Timeline,
    found: WhatIf,
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
) -> None:
    """Write the answer; `timeline` is the one that was replayed (or a part of it, for the times of its captures)."""
    paper = Paper(out, columns, colour=colour, glyphs=glyphs)
    base = base_ns(timeline)
    asked = ", ".join(f"{field} {value}" for field, value in found.settings.asked().items())
    paper.filled(f"what if {asked}?" if asked else "what if nothing changed?", style="bold")
    for one in found.probes:
        paper.line()
        _probe(paper, one, base)
    if found.left_out or timeline.notes:
        paper.line()
    for probe in found.left_out:
        why = (
            "its type is not known (give --spec)"
            if probe.checker.kind in ("kubelet", "unknown")
            else f"whatif counts as the kubelet does, and this is {safe(probe.checker.kind)}"
        )
        paper.filled(
            f"{words.kind(probe)} {words.label(probe)} is not replayed: {why}",
            first=[Span("note  ", "yellow")],
            indent=6,
        )
    for note in timeline.notes:
        paper.filled(safe(note), first=[Span("note  ", "yellow")], indent=6)
    if not found.probes:
        paper.line("nothing to replay: there is no probe of known type in this input")
    elif any(one.changed for one in found.probes):
        paper.line()
        paper.filled(ASSUMED, first=[Span("note  ", "yellow")], indent=6)


def within(found: WhatIf, timeline: Timeline, since_ns: int | None, until_ns: int | None) -> WhatIf:
    """Return the part of an answer that lies in [since, until], cut as `select` cuts a timeline; nothing is replayed anew."""
    if since_ns is None and until_ns is None:
        return found
    shown = {probe.id: probe for probe in select(timeline, since_ns=since_ns, until_ns=until_ns).probes}

    def cut(trace: Trace) -> Trace:
        inside = [
            d
            for d in trace.decisions
            if (since_ns is None or since_ns <= d.ns) and (until_ns is None or d.ns <= until_ns)
        ]
        return replace(trace, decisions=tuple(inside))

    probes = [
        replace(one, probe=shown[one.probe.id], best=cut(one.best), worst=cut(one.worst))
        for one in found.probes
        if one.probe.id in shown
    ]
    return replace(found, probes=tuple(probes))


def base_ns(timeline: Timeline) -> int:
    """Return the time of the first frame, from which all others are counted."""
    firsts = [info.first_ns for info in timeline.captures if info.first_ns is not None]
    return min(firsts, default=min((a.start.ns for p in timeline.probes for a in p.attempts), default=0))


def _probe(paper: Paper, one: Replayed, base: int) -> None:
    probe = one.probe
    owner = f"  {words.owner(probe.target)}" if probe.target.pod is not None else ""
    paper.line(Span(words.kind(probe) + owner, "bold"), f"  {words.request(probe)}")
    for number, sentence in enumerate(verdicts(one, base)):
        paper.filled(sentence, first=[Span("  ")], indent=4 if number else 2, style=_style(one))
    _field(paper, "asked", _asked(one))
    _decisions(paper, one, base)
    if one.changed:
        for name, trace in (("", one.best),) if one.exact else (("best", one.best), ("worst", one.worst)):
            if trace.end is not None and trace.known_until_ns is not None:
                _field(
                    paper,
                    "known",
                    f"{name + ': ' if name else ''}until {relative(trace.known_until_ns, base)}: {_ENDS[trace.end]}",
                )
        unknown = max(one.best.unknown, one.worst.unknown)
        if unknown:
            _field(paper, "unknown", f"{count(unknown, 'result')} that the recording does not tell")
        if one.phases > 1:
            rest = f", {one.untried} were not tried" if one.untried else ""
            _field(
                paper,
                "phase",
                f"where the new period begins is not known: the best and the worst of {one.phases} places{rest}",
            )
    _field(paper, "timeout", covering_words(one.covering))
    _terms(paper, one)


def _field(paper: Paper, name: str, text: str) -> None:
    paper.filled(text, first=[Span(f"  {name:<{_INDENT - 2}}", "cyan")], indent=_INDENT)


def _style(one: Replayed) -> str:
    if not one.changed or not one.faithful:
        return "yellow" if not one.faithful else "green"
    return "green" if one.exact and not any(_bad(d) for d in one.best.decisions) else "yellow"


def _asked(one: Replayed) -> str:
    new = [f"{s.field} {s.asked} instead of {s.recorded} ({s.source})" for s in one.settings if s.asked != s.recorded]
    same = [f"{s.field} {s.recorded} ({s.source})" for s in one.settings if s.asked == s.recorded]
    return "; ".join([*new, ("as it was: " if new else "all as it was: ") + ", ".join(same)])


def verdicts(one: Replayed, base: int) -> list[str]:
    """Return what would have changed: one sentence, or one for the best and one for the worst case."""
    if not one.faithful:
        return ["cannot tell: the recorded attempts and settings do not reproduce what was decided"]
    if not one.changed:
        number = len(one.probe.decisions)
        return [f"as recorded: these settings make the same {count(number, 'decision')}"]
    if one.exact:
        return [_verdict(one.probe, one.best, base)]
    return [f"at best {_verdict(one.probe, one.best, base)}", f"at worst {_verdict(one.probe, one.worst, base)}"]


def _bad(decision: Decision) -> bool:
    return decision.kind in (DecisionKind.NOT_READY, DecisionKind.RESTART)


def _verdict(probe: Probe, trace: Trace, base: int) -> str:
    was = [d for d in probe.decisions if trace.known_until_ns is None or d.ns <= trace.known_until_ns]
    would = trace.decisions
    known = trace.known_until_ns
    later = f"; what came after {relative(known, base)} is not known" if known is not None else ""
    if told(was) == told(would):
        return f"nothing would have changed{later}"
    said = (
        _readiness(probe, trace, was, would, base)
        if probe.type is ProbeType.READINESS
        else _killed(probe, would, trace.known_until_ns, base)
    )
    return said + later


def _readiness(probe: Probe, trace: Trace, was: Sequence[Decision], would: Sequence[Decision], base: int) -> str:
    lost, loses = sum(map(_bad, was)), sum(map(_bad, would))
    away, stays = (
        out_of_service_ns(probe, was, trace.known_until_ns),
        out_of_service_ns(probe, would, trace.known_until_ns),
    )
    parts = []
    if lost and not loses:
        parts.append(f"would have stayed Ready: {lost} fewer NotReady")
    elif lost != loses:
        parts.append(f"NotReady {_times(loses)} instead of {_times(lost)}")
    elif lost:
        parts.append(f"NotReady {_times(loses)} as before, at other times")
    if lost or loses:
        parts.append(f"out of service {span(stays)} instead of {span(away)}")
    first, then = (next((d for d in ds if d.kind is DecisionKind.READY), None) for ds in (was, would))
    if probe.initial_state == "NotReady" and trace.initial_state == "Ready":
        parts.insert(
            0, f"would have been Ready at the beginning of what is shown (recorded: {_until_ready(first, base)})"
        )
    if then is None and first is not None and trace.final_state != "Ready":
        parts.insert(0, f"would not have been Ready (recorded: at {relative(first.ns, base)})")
    elif then is not None and (first is None or first.ns != then.ns) and trace.initial_state != "Ready":
        sealed = first is None and any(a.outcome is Outcome.INCONCLUSIVE for a in probe.attempts)
        recorded = "(recorded: not known)" if sealed else f"instead of {_at(first, base)}"
        parts.append(f"first Ready at {relative(then.ns, base)} {recorded}")
    if not parts and [d.kind for d in was] == [d.kind for d in would]:
        return "the same decisions at other times"
    return "; ".join(parts) or f"{count(len(would), 'decision')} instead of {len(was)}, as below"


def _until_ready(first: Decision | None, base: int) -> str:
    return "NotReady throughout" if first is None else f"NotReady until {relative(first.ns, base)}"


def _killed(probe: Probe, would: Sequence[Decision], until: int | None, base: int) -> str:
    was = probe.decisions
    lost, loses = ([d for d in ds if _bad(d)] for ds in (was, would))
    new = next((d for d in loses if d.ns not in {one.ns for one in lost}), None)
    gone = next((d for d in lost if d.ns not in {one.ns for one in loses}), None)
    if new is not None:
        return f"would have been restarted at {relative(new.ns, base)} (recorded: {_at(gone, base)})"
    # (A start that was recorded behind what is known is no evidence: it was another container's.)
    started = next((d for d in was if d.kind is DecisionKind.STARTED and (until is None or d.ns <= until)), None)
    starts = next((d for d in would if d.kind is DecisionKind.STARTED), None)
    if probe.type is ProbeType.STARTUP and started != starts:
        if starts is None:
            return f"would not have been Started (recorded: {_at(started, base)})"
        return f"would have been Started at {relative(starts.ns, base)} (recorded: {_at(started, base)})"
    return f"would not have been restarted at {_at(gone, base)}"


def _at(decision: Decision | None, base: int) -> str:
    return relative(decision.ns, base) if decision is not None else "never"


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def out_of_service_ns(probe: Probe, decisions: Sequence[Decision], until_ns: int | None) -> int:
    """Return how long a readiness probe's container was out of service by these decisions, up to a moment.

    Time between a container and its successor is left out: a replay does not know when the next one would have begun.
    """
    seen = tuple(a for a in probe.attempts if until_ns is None or a.start.ns <= until_ns)
    own = tuple(replace(d, since_ns=None) for d in decisions)
    return downtime(replace(probe, attempts=seen, decisions=own))[0]


def _decisions(paper: Paper, one: Replayed, base: int) -> None:
    """Write recorded decisions beside those of the replay."""
    traces = [one.best] if one.exact else [one.best, one.worst]
    columns = [one.probe.decisions, *(trace.decisions for trace in traces)]
    if not any(columns):
        return
    heads = ["recorded", "with these settings"] if one.exact else ["recorded", "at best", "at worst"]
    rows = _rows(columns, [None, *(trace.known_until_ns for trace in traces)], base)
    size = max(28, *(width(cell) for row in rows for cell in row[:-1]))
    paper.line(" " * 4, *(Span(pad(head, size + 2), "dim") for head in heads))
    left_out = max(0, len(rows) - _MOST)
    for number, row in enumerate(rows):
        if left_out and number == _MOST // 2:
            paper.line(
                " " * 4,
                Span(f"{paper.glyphs.ellipsis} {count(left_out, 'row')} omitted; -o json has all of them", "dim"),
            )
        if left_out and _MOST // 2 <= number < _MOST // 2 + left_out:
            continue
        paper.line(" " * 4, *(pad(cell or f"   {paper.glyphs.dash}", size + 2) for cell in row))


def _rows(columns: Sequence[Sequence[Decision]], known: Sequence[int | None], base: int) -> list[list[str]]:
    """Return one row for each decision, those by the same attempt beside each other; `known` is where a column ends."""
    keys: dict[tuple[object, ...], tuple[int, list[str]]] = {}
    for place, decisions in enumerate(columns):
        for d in decisions:
            key: tuple[object, ...] = (d.kind, d.attempt) if d.attempt else (d.kind, 0, d.ns)
            unknown = ["   not known" if until is not None and d.ns > until else "" for until in known]
            cells = keys.setdefault(key, (d.ns, unknown))[1]
            number = f"#{d.attempt}" if d.attempt else "(not recorded)"
            cells[place] = f"{relative(d.ns, base):>9}  {pad(safe(d.after), 8)} {number}"
    return [cells for _, cells in sorted(keys.values(), key=lambda item: item[0])]


def covering_words(found: Covering) -> str:
    """Return the smallest timeout that covers what was observed, in a sentence; what proves none comes first."""
    parts = []
    if found.censored:
        parts.append(
            f"none is proven to be enough: {count(found.censored, 'attempt')} never got an answer that could be read"
        )
    if found.slowest_ns is None:
        return "; ".join([*parts, "no latency is known"])
    late = f", {found.late} of them after the checker had hung up" if found.late else ""
    answers = f"all {count(found.known, 'known answer')}" if found.known > 1 else "the one known answer"
    parts.append(
        f"timeoutSeconds {found.just_s} covers {answers}{late}, the slowest {duration(found.slowest_ns)}; "
        f"with a margin of {found.margin_percent} %: {found.timeout_s}"
    )
    return "; ".join(parts)


def _terms(paper: Paper, one: Replayed) -> None:
    before = {term.name: term for term in one.terms_recorded}
    for number, term in enumerate(one.terms):
        old = before[term.name]
        text = f"{term.name:<8} {_bounds(term)}"
        if _bounds(old) != _bounds(term):
            text += f", recorded settings {_bounds(old)}"
        paper.filled(
            f"{text}: {term.meaning}",
            first=[Span(f"  {'' if number else 'times':<{_INDENT - 2}}", "cyan")],
            indent=_INDENT + 9,
        )


def _bounds(term: Term) -> str:
    return f"{term.best_ns // SECOND} to {term.worst_ns // SECOND} s"
