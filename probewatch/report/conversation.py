"""Why an assertion about a probe does not hold: a sentence, the attempts around it, and the frames that prove it.

The sentence is packetdrill's ("expected X in range, happened at Y"); `- ` marks what was expected, `+ ` what was observed, as in
a diff. Everything returned is safe for a terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..model.timeline import Attempt, Decision, Probe, Timeline
from . import words
from .escape import pad, safe
from .numbers import duration, relative

AROUND: Final = 2
"""Attempts shown before and after each one in question."""
SHOWN: Final = 24
"""Rows of a conversation; what is left out is counted."""
RANGES: Final = 8
"""Ranges of frames named in one filter; of more, one range that holds them all."""


def conversation(
    timeline: Timeline,
    probe: Probe | None,
    sentence: str,
    *,
    wrong: Mapping[int, str] | None = None,
    missing: Sequence[tuple[int, str]] = (),
) -> str:
    """Return the whole message.

    Args:
        timeline: what was analysed.
        probe: whom it concerns; None where that probe was not seen, or it concerns no single one.
        sentence: what was expected, and what happened.
        wrong: number of an attempt -> what was expected in its place; empty where the attempt is only what to look at.
        missing: (number, what was expected) of attempts that did not come.
    """
    wrong = wrong or {}
    lines = [f"{_subject(probe)}: {sentence}" if probe is not None else sentence]
    if probe is None:
        lines += [f"    in {safe(info.path)}" for info in timeline.captures]
        return "\n".join(lines)
    base = base_ns(timeline, probe)
    attempts = sorted(probe.attempts, key=lambda attempt: attempt.n)
    shown = _chosen(attempts, set(wrong) or ({attempts[-1].n} if missing and attempts else set()))
    lines += _rows(probe, shown, wrong, missing, base, several=len(timeline.captures) > 1)
    proof = [attempt for attempt in shown if attempt.n in wrong] or shown or attempts
    lines += _proof(timeline, proof)
    return "\n".join(lines)


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
    owner = f" {words.owner(probe.target)}" if probe.target.pod is not None else ""
    return f"{words.kind(probe)}{owner} {words.request(probe)}"


def _chosen(attempts: Sequence[Attempt], marked: set[int]) -> list[Attempt]:
    """Return the marked attempts and those around them; the first ones where none is marked."""
    if not marked:
        return list(attempts[: 2 * AROUND + 1])
    near = {place + step for place, a in enumerate(attempts) if a.n in marked for step in range(-AROUND, AROUND + 1)}
    return [attempt for place, attempt in enumerate(attempts) if place in near]


def _rows(
    probe: Probe,
    shown: Sequence[Attempt],
    wrong: Mapping[int, str],
    missing: Sequence[tuple[int, str]],
    base: int,
    *,
    several: bool,
) -> list[str]:
    decided: dict[int, list[Decision]] = {}
    for decision in probe.decisions:
        decided.setdefault(decision.attempt, []).append(decision)
    cells = [_cells(probe, attempt, decided.get(attempt.n, ()), base, several=several) for attempt in shown]
    sizes = [max((len(cell[column]) for cell in cells), default=0) for column in range(len(_ALIGN))]
    lines: list[str] = []
    before: int | None = None
    for attempt, cell in zip(shown, cells, strict=True):
        if before is not None and attempt.n > before + 1:
            lines.append("    ...")
        before = attempt.n
        if wrong.get(attempt.n):
            lines.append(f"  - {pad(cell[0], sizes[0])}  {wrong[attempt.n]}")
        mark = "  + " if attempt.n in wrong else "    "
        lines.append(mark + "  ".join(f"{c:{a}{s}}" for c, a, s in zip(cell, _ALIGN, sizes, strict=True) if s).rstrip())
    if len(lines) > SHOWN:
        half = SHOWN // 2
        lines = [*lines[:half], f"    ... {len(lines) - 2 * half} lines left out", *lines[-half:]]
    more = [f"  - {pad(f'#{number}', sizes[0] if sizes else 0)}  {text}" for number, text in missing]
    return lines + (more if len(more) <= SHOWN else [*more[:SHOWN], f"    ... and {len(more) - SHOWN} more"])


_ALIGN: Final = ("<", ">", "<", ">", "<", "<", "<", "<")


def _cells(
    probe: Probe, attempt: Attempt, decisions: Iterable[Decision], base: int, *, several: bool
) -> tuple[str, ...]:
    streak = f"{attempt.streak}/{attempt.threshold}" if attempt.streak and attempt.threshold else ""
    first, last = attempt.frames()
    where = f"[{attempt.file + 1}] " if several else ""
    return (
        f"#{attempt.n}",
        relative(attempt.start.ns, base),
        words.result(attempt, probe.handler),
        "" if attempt.implied else duration(attempt.latency_ns),
        safe(attempt.legs[-1].connection.history) if attempt.legs else "",
        f"{attempt.outcome.value} {streak}".rstrip(),
        " ".join(safe(decision.after) for decision in decisions),
        "" if attempt.implied else f"{where}frames {first}-{last}",
    )


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
