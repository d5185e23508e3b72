"""One probe before the court: how findings on it are made, and the numbers in them written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from probewatch.model.expectation import Range
from probewatch.model.finding import Finding, Held
from probewatch.model.timeline import Attempt, Probe, Timeline
from probewatch.model.units import MS, SECOND, decimal

from .names import evidence_of, subject_of

_ATTEMPTS_SHOWN: Final = 5
"""Attempts named in one finding."""


@dataclass(frozen=True, slots=True)
class Case:
    """A probe, the timeline it stands in, and the file that expects something of it."""

    timeline: Timeline
    probe: Probe
    source: str = ""

    def passed(self, field: str, sentence: str) -> Finding:
        """Return that an expectation held."""
        return self._finding(Held.PASS, field, sentence)

    def failed(
        self,
        field: str,
        sentence: str,
        expected: str = "",
        observed: str = "",
        attempts: Sequence[Attempt] = (),
        *,
        at: int | None = None,
    ) -> Finding:
        """Return that an expectation did not hold, with the attempts that show it.

        `at` is the number of the one where it shows; where no others are given, its neighbours are.
        """
        return self._finding(Held.FAIL, field, sentence, expected, observed, attempts, at)

    def unclear(
        self,
        field: str,
        sentence: str,
        expected: str = "",
        observed: str = "",
        attempts: Sequence[Attempt] = (),
        *,
        at: int | None = None,
    ) -> Finding:
        """Return that nothing can be said, and why; the rest as `failed`."""
        return self._finding(Held.INCONCLUSIVE, field, sentence, expected, observed, attempts, at)

    def _around(self, number: int) -> Sequence[Attempt]:
        """Return the attempt of this number, with its neighbours; nothing where there is none."""
        index = next((i for i, a in enumerate(self.probe.attempts) if a.n == number), None)
        return () if index is None else self.probe.attempts[max(0, index - 1) : index + 2]

    def _finding(
        self,
        held: Held,
        field: str,
        sentence: str,
        expected: str = "",
        observed: str = "",
        attempts: Sequence[Attempt] = (),
        at: int | None = None,
    ) -> Finding:
        near = attempts or (() if at is None else self._around(at))
        shown = near[:_ATTEMPTS_SHOWN]
        return Finding(
            held=held,
            probe=self.probe.id,
            subject=subject_of(self.probe),
            field=field,
            sentence=sentence,
            expected=expected,
            observed=observed,
            source=self.source,
            attempts=tuple(a.n for a in shown),
            at=at,
            evidence=tuple(map(evidence_of, shown)),
        )


def counted(number: int, noun: str) -> str:
    """Return `1 attempt`, `3 attempts`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def between(wanted: Range, noun: str) -> str:
    """Return `3 attempts`, `3 to 5 attempts`, `at least 1 probe`, `at most 2 probes`, `no probe`."""
    if wanted.high == 0:
        return f"no {noun}"
    if wanted.low == wanted.high and wanted.low is not None:
        return counted(wanted.low, noun)
    if wanted.high is None:
        return f"at least {counted(wanted.low or 0, noun)}"
    if not wanted.low:
        return f"at most {counted(wanted.high, noun)}"
    return f"{wanted.low} to {counted(wanted.high, noun)}"


def seconds(ns: int, *beside: int | None) -> str:
    """Return `2 s`, `2.35 s`, `0.0013 s`: to the millisecond, below a second to the microsecond, below that all there is.

    With more digits where it would else read like another time that stands `beside` it: 5.0004 s is not at most 5 s.
    """
    digits = 9 if abs(ns) < MS else 6 if abs(ns) < SECOND else 3
    others = [other for other in beside if other is not None and other != ns]
    while digits < 9 and any(decimal(ns, digits) == decimal(other, digits) for other in others):
        digits += 1
    return f"{decimal(ns, digits)} s"


def bound(ns: int) -> str:
    """Return a time that was given, with all its digits."""
    return f"{decimal(ns)} s"


def stretch(wanted: Range) -> str:
    """Return a range that was given: `5 s to 8 s`, `at most 20 s`, `at least 3 s`."""
    if wanted.high is None:
        return f"at least {bound(wanted.low or 0)}"
    if not wanted.low:
        return f"at most {bound(wanted.high)}"
    return f"{bound(wanted.low)} to {bound(wanted.high)}"
