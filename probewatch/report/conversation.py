"""Why an assertion about a probe does not hold: a sentence, the attempts around it, and the frames that prove it.

It is made from a finding of `verify`, and says what packetdrill says: the sentence, then `- ` what was expected and `+ ` what was
observed, as in a diff; `> ` marks the attempts where it shows; then why the first of them failed, and what to do.
Everything returned is safe for a terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from ..model.finding import Finding, Held
from ..model.timeline import Attempt, Decision, Outcome, Probe, Timeline
from . import words
from .escape import quoting, safe
from .numbers import duration, relative
from .outline import events_of
from .reasons import explained_attempt
from .rows import event_words, gap_words

AROUND: Final = 2
"""Attempts shown before and after each one in question."""
RANGES: Final = 8
"""Ranges of frames named in one filter; of more, one range that holds them all."""


def conversation(timeline: Timeline, probe: Probe, finding: Finding) -> str:
    """Return the whole message of a finding that failed or is inconclusive.

    Args:
        timeline: what was analysed.
        probe: whom it concerns.
        finding: its attempts are shown, with those around them; where it names none, the last ones of a failure (that is
            where something did not come), else the first.
    """
    doubt = "cannot tell: " if finding.held is Held.INCONCLUSIVE else ""
    # What is wrong comes first: of the first line pytest's summary shows some forty characters.
    lines = [f"{words.kind(probe)} {safe(finding.field)}: {doubt}{safe(finding.sentence)}", f"  of {_subject(probe)}"]
    source = f" ({safe(finding.source_name)})" if finding.source else ""
    lines += [
        f"  {mark} {name} {safe(text)}"
        for mark, name, text in (
            ("-", "expected", finding.expected and f"{finding.expected}{source}"),
            ("+", "observed", finding.observed),
        )
        if text
    ]
    attempts = sorted(probe.attempts, key=lambda attempt: attempt.n)
    marked = {finding.at} if finding.at is not None else set(finding.attempts)
    edge = attempts[-1:] if finding.held is Held.FAIL else attempts[:1]
    shown = _chosen(attempts, marked or {attempt.n for attempt in edge})
    lines += _rows(timeline, probe, shown, marked)
    meant = [attempt for attempt in shown if attempt.n in marked]
    return "\n".join([*lines, *_next(timeline, probe, meant), *_proof(timeline, meant or shown)])


def of_no_probe(timeline: Timeline, sentence: str) -> str:
    """Return the message of what concerns no single probe: a sentence that is safe for a terminal, and the files."""
    return "\n".join([sentence, *(f"    in {safe(info.path)}" for info in timeline.captures)])


def base_ns(timeline: Timeline, probe: Probe) -> int:
    """Return the moment that times are told from: the first frame, as in the table."""
    first = min((c.first_ns for c in timeline.captures if c.first_ns is not None), default=None)
    return first if first is not None else min((a.start.ns for a in probe.attempts), default=0)


def seen_instead(timeline: Timeline) -> str:
    """Return the probes there are, for the sentence that one is not there."""
    if not timeline.probes:
        return "no probe was seen at all"
    there = [f"{probe.id} ({words.kind(probe)} {words.label(probe)})" for probe in timeline.probes]
    return f"seen were {', '.join(there[:10])}" + (f" and {len(there) - 10} more" if len(there) > 10 else "")


def _subject(probe: Probe) -> str:
    owner = f"{words.owner(probe.target)} " if probe.target.pod is not None else ""
    return f"{owner}{words.request(probe)}"


def _chosen(attempts: Sequence[Attempt], marked: set[int]) -> list[Attempt]:
    """Return the marked attempts and those around them."""
    near = {place + step for place, a in enumerate(attempts) if a.n in marked for step in range(-AROUND, AROUND + 1)}
    return [attempt for place, attempt in enumerate(attempts) if place in near]


def _rows(timeline: Timeline, probe: Probe, shown: Sequence[Attempt], marked: set[int]) -> list[str]:
    base, several = base_ns(timeline, probe), len(timeline.captures) > 1
    decided: dict[int, list[Decision]] = {}
    for decision in probe.decisions:
        decided.setdefault(decision.attempt, []).append(decision)
    cells = [_cells(probe, attempt, decided.get(attempt.n, ()), base, several=several) for attempt in shown]
    sizes = [max((len(cell[column]) for cell in cells), default=0) for column in range(len(_ALIGN))]
    lines: list[str] = []
    before: Attempt | None = None
    for attempt, cell in zip(shown, cells, strict=True):
        if before is not None and attempt.n > before.n + 1:
            lines.append("    ...")
        elif before is not None:
            between = _between(timeline, probe, before.start.ns, attempt.start.ns)
            lines += [f"    {'':{sizes[0]}}  {relative(ns, base):>{sizes[1]}}  {text}" for ns, text in between]
        before = attempt
        mark = "  > " if attempt.n in marked else "    "
        lines.append(mark + "  ".join(f"{c:{a}{s}}" for c, a, s in zip(cell, _ALIGN, sizes, strict=True) if s).rstrip())
    return lines


def _between(timeline: Timeline, probe: Probe, begun_ns: int, over_ns: int) -> list[tuple[int, str]]:
    """Return what happened between two attempts: without it nobody understands the second."""
    gone = [(gap.start_ns, gap_words(gap)) for gap in probe.gaps if begun_ns <= gap.start_ns < over_ns]
    seen = [(e.ns, event_words(e, brief=True)) for e in events_of(probe, timeline) if begun_ns < e.ns <= over_ns]
    return sorted([*gone, *seen])


_ALIGN: Final = ("<", ">", "<", ">", "<", "<", "<", "<")


def _cells(
    probe: Probe, attempt: Attempt, decisions: Iterable[Decision], base: int, *, several: bool
) -> tuple[str, ...]:
    streak = f"{attempt.streak}/{attempt.threshold}" if attempt.streak and attempt.threshold else ""
    return (
        f"#{attempt.n}",
        relative(attempt.start.ns, base),
        words.result(attempt, probe.handler),
        "" if attempt.implied else duration(attempt.latency_ns),
        safe(attempt.legs[-1].connection.history) if attempt.legs else "",
        f"{attempt.outcome.value} {streak}".rstrip(),
        " ".join(safe(decision.after) for decision in decisions),
        "" if attempt.implied else words.frames_of(attempt, several=several),
    )


def _next(timeline: Timeline, probe: Probe, meant: Sequence[Attempt]) -> list[str]:
    """Say why the first of the attempts in question failed, what to do about it, and what shows more of it."""
    attempt = next((one for one in meant if one.outcome is not Outcome.SUCCESS), None)
    if attempt is None:
        return []
    lines = []
    why = explained_attempt(probe, attempt)
    if why is not None:
        lines.append(f"    cause  #{attempt.n} {quoting(f'{why.name}: {words.lowered(why.meaning)}')}")
        lines += [f"    {name}  {safe(text)}" for name, text in (("check", why.check), ("try  ", why.advice)) if text]
    files = " ".join(safe(shlex.quote(info.path)) for info in timeline.captures)
    specs = [f"--spec {safe(source)}" for source in (probe.spec_source, *probe.spec_alike) if source]
    given = f"; {' '.join(specs)}" if specs else ""
    if files and not any(info.path == "-" for info in timeline.captures):
        shows = f"probewatch explain {files} --probe {safe(probe.id)} --attempt {attempt.n}"
        lines.append(f"    {shows}  (with what the test was given{given})" if given else f"    {shows}")
    return lines


def _proof(timeline: Timeline, attempts: Sequence[Attempt]) -> list[str]:
    """Name files and frames, and the command that shows them."""
    lines: list[str] = []
    spans: dict[int, list[tuple[int, int]]] = {}
    for attempt in attempts:
        if not attempt.implied:
            spans.setdefault(attempt.file, []).append(attempt.frames())
    for file, ranges in spans.items():
        if file >= len(timeline.captures):
            continue
        info = timeline.captures[file]
        merged = _merged(ranges)
        if len(merged) > RANGES:
            merged = [(merged[0][0], merged[-1][1])]
        said = ", ".join(f"{first}-{last}" for first, last in merged)
        lines.append(f"    in {safe(info.path)}, frames {said}")
        if info.format.startswith("pcap") and info.path != "-":
            wanted = ", ".join(f"{first}..{last}" for first, last in merged)
            lines.append(f"    tshark -r {safe(shlex.quote(info.path))} -Y 'frame.number in {{{wanted}}}'")
    return lines


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
