"""Match a row of outcomes, or causes, against a pattern of runs: `success*1.. failure*3 success`.

Three answers, because an attempt may be inconclusive (encrypted, cut): the row matches as it stands; it matches if
inconclusive attempts are given what suits; or it cannot match.
The pattern is walked run by run with the set of positions that the row may have been read to, so that neighbouring
runs of one outcome (`success*1.. success*2`) need no backtracking: time grows with runs x attempts, never faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from probewatch.model.expectation import Run
from probewatch.model.timeline import Cause, Outcome

Value = Outcome | Cause


@dataclass(frozen=True, slots=True)
class Match:
    """How far a row matches a pattern."""

    whole: bool
    """It matches as it stands."""
    possible: bool
    """It matches, or would if inconclusive attempts had the right outcomes."""
    reached: int
    """Attempts that fit before the first that does not, inconclusive ones taken as suits best."""
    wanted: Run | None
    """What the pattern has at that place; None where it ends there."""


def match(
    row: Sequence[Value], pattern: Sequence[Run], *, dark: Sequence[bool] | None = None, anywhere: bool = False
) -> Match:
    """Match `row` from its first to its last attempt, or, with `anywhere`, any attempts in a row within it.

    `dark` says of each attempt whether it may have been anything; None takes the inconclusive outcomes for that.
    """
    if dark is None:
        dark = [value is Outcome.INCONCLUSIVE for value in row]
    whole, _, _ = _walk(row, pattern, [False] * len(row), anywhere=anywhere)
    possible, reached, wanted = _walk(row, pattern, dark, anywhere=anywhere)
    return Match(whole, whole or possible, reached, wanted)


def written(row: Sequence[Value], most: int = 12) -> str:
    """Write a row as runs, `success*5, failure*3, ...`; beyond `most` runs, the number of the others."""
    runs = in_runs(row)
    text = ", ".join(run.text for run in runs[:most])
    return text + (f", and {len(runs) - most} more runs" if len(runs) > most else "") if runs else "nothing"


def in_runs(row: Sequence[Value]) -> tuple[Run, ...]:
    """Return the pattern that matches just this row."""
    counts = [(value, len(list(group))) for value, group in groupby(row)]
    return tuple(Run(value, count, count) for value, count in counts)


def _walk(
    row: Sequence[Value], pattern: Sequence[Run], dark: Sequence[bool], *, anywhere: bool
) -> tuple[bool, int, Run | None]:
    """Return (matched, furthest position reached, what is wanted there); what is `dark` may be anything."""
    size = len(row)
    # A position is a number of attempts read; at[i] says whether the pattern so far can end there.
    at = [anywhere] * (size + 1)
    at[0] = True
    known: dict[Value, list[int]] = {}
    furthest = 0
    wanted = pattern[0] if pattern else None
    for index, run in enumerate(pattern):
        after = pattern[index + 1] if index + 1 < len(pattern) else None
        if run.value not in known:
            known[run.value] = _lengths(row, run.value, dark)
        lengths = known[run.value]
        changes = [0] * (size + 2)
        for start in range(size + 1):
            if not at[start]:
                continue
            most = lengths[start] if run.high is None else min(run.high, lengths[start])
            if start + most >= furthest:
                furthest, wanted = start + most, after if most >= run.low else run
            if most >= run.low:
                changes[start + run.low] += 1
                changes[start + most + 1] -= 1
        open_runs, at = 0, []
        for change in changes[: size + 1]:
            open_runs += change
            at.append(open_runs > 0)
        if not any(at):
            return False, furthest, wanted
    return any(at) if anywhere else at[size], furthest, wanted


def _lengths(row: Sequence[Value], value: Value, dark: Sequence[bool]) -> list[int]:
    """Return for each position how many attempts from there on fit a value."""
    lengths = [0] * (len(row) + 1)
    for index in range(len(row) - 1, -1, -1):
        fits = row[index] is value or dark[index]
        lengths[index] = lengths[index + 1] + 1 if fits else 0
    return lengths
