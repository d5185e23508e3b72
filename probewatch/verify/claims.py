"""Expectations of a probe's attempts: how many, with what outcomes and causes, how fast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from probewatch.model.expectation import LatencyBounds, Range, Run
from probewatch.model.finding import Finding
from probewatch.model.timeline import Attempt, Cause, Outcome

from .case import Case, between, counted, seconds
from .case import bound as given
from .sequence import Value, match, written
from .untold import settled, unseen

_JUDGED: Final = (Outcome.SUCCESS, Outcome.FAILURE)


def attempts(case: Case, wanted: Range) -> Finding:
    """Hold the number of attempts against a range."""
    return _number(case, "attempts", wanted, len(case.probe.attempts), "attempt")


def missed(case: Case, wanted: Range) -> Finding:
    """Hold the number of attempts that did not come against a range."""
    reasons = ", ".join(dict.fromkeys(gap.reason for gap in case.probe.gaps))
    return _number(case, "missed", wanted, sum(gap.expected for gap in case.probe.gaps), "missed attempt", reasons)


def _number(case: Case, field: str, wanted: Range, here: int, noun: str, reasons: str = "") -> Finding:
    asked, observed = between(wanted, noun), counted(here, noun) + (f" ({reasons})" if reasons else "")
    if wanted.high is not None and here > wanted.high:
        return case.failed(field, "more than expected", asked, observed)
    settled_now = wanted.high is None and wanted.holds(here)
    if not settled_now and (reason := unseen(case.timeline, case.probe)):
        return case.unclear(field, reason, asked, observed)
    if wanted.holds(here):
        return case.passed(field, observed)
    return case.failed(field, "fewer than expected", asked, observed)


def outcomes(case: Case, pattern: Sequence[Run], *, part: bool = False) -> Finding:
    """Hold all outcomes, in order, against a pattern; what was still open at the end of the capture is left out.

    With `part` the case's attempts are a part of a longer row, and that there are no others is not claimed.
    """
    return _row(case, "outcomes", [a.outcome for a in case.probe.attempts], pattern, part=part)


def causes_in_order(case: Case, pattern: Sequence[Run], *, part: bool = False) -> Finding:
    """Hold all causes, in order, against a pattern, as `outcomes` does."""
    return _row(case, "causesInOrder", [a.cause for a in case.probe.attempts], pattern, part=part)


def _row(case: Case, field: str, values: Sequence[Value], pattern: Sequence[Run], *, part: bool) -> Finding:
    """Hold what attempts ended in, one after another, against a pattern."""
    every = case.probe.attempts
    counted_in = settled(every)
    size = len(counted_in)
    row = values[:size]
    unclear = [a.outcome is Outcome.INCONCLUSIVE for a in every]
    found = match(row, pattern, dark=unclear[:size])
    reason = unseen(case.timeline, case.probe)
    asked = _pattern(pattern)
    if found.whole:
        if reason and not part:
            return case.unclear(field, reason, asked, written(row))
        return case.passed(field, written(row))
    if found.possible:
        dark = [a for a in counted_in if a.outcome is Outcome.INCONCLUSIVE]
        sentence = f"{counted(len(dark), 'attempt')} could be either: {_causes(dark)}"
        return case.unclear(field, sentence, asked, written(row), dark)
    if size < len(every) and match(values, pattern, dark=unclear).possible:
        sentence = f"#{every[size].n} was still open when the capture ended"
        return case.unclear(field, sentence, asked, written(row), every[size:])
    if found.reached >= size:
        ended = f"ends after {counted(size, 'attempt')}"
        wanted = f"then expected {found.wanted.text}" if found.wanted else "then expected something else before"
        if reason:
            return case.unclear(field, reason, asked, ended)
        last = counted_in[-1].n if counted_in else None
        return case.failed(field, f"the row {ended}, {wanted}", asked, written(row), at=last)
    attempt = counted_in[found.reached]
    wanted = f"expected {found.wanted.text}" if found.wanted else "expected no more"
    ended = " ".join((attempt.outcome.value, f"({attempt.cause.value})"))
    sentence = f"#{attempt.n} is {ended}, {wanted} there"
    if reason and case.probe.gaps:
        return case.unclear(field, f"{sentence}; but {reason}", asked, written(row), at=attempt.n)
    return case.failed(field, sentence, asked, written(row), at=attempt.n)


def outcomes_contain(case: Case, pattern: Sequence[Run]) -> Finding:
    """Look for outcomes in a row, anywhere."""
    row = [attempt.outcome for attempt in case.probe.attempts]
    found = match(row, pattern, anywhere=True)
    asked, observed = _pattern(pattern), written(row)
    if found.whole:
        return case.passed("outcomesContain", f"{asked} occurs")
    if found.possible:
        dark = [a for a in case.probe.attempts if a.outcome is Outcome.INCONCLUSIVE]
        sentence = f"{counted(len(dark), 'attempt')} could be either: {_causes(dark)}"
        return case.unclear("outcomesContain", sentence, asked, observed, dark)
    if reason := unseen(case.timeline, case.probe):
        return case.unclear("outcomesContain", reason, asked, observed)
    return case.failed("outcomesContain", "does not occur", asked, observed)


def causes(case: Case, allowed: Sequence[Cause]) -> Finding:
    """Hold each attempt's cause against a list; one without evidence (encrypted, cut) speaks for nothing."""
    wrong = [a for a in case.probe.attempts if a.cause not in allowed]
    bad = [a for a in wrong if a.outcome is not Outcome.INCONCLUSIVE]
    asked = f"only {', '.join(cause.value for cause in allowed)}"
    if bad:
        return case.failed("causes", f"{counted(len(bad), 'attempt')} ended otherwise", asked, _causes(bad), bad)
    dark = settled(wrong)
    if dark:
        sentence = f"how {counted(len(dark), 'attempt')} ended is not known: {_causes(dark)}"
        return case.unclear("causes", sentence, asked, _causes(dark), dark)
    if reason := unseen(case.timeline, case.probe):
        return case.unclear("causes", reason, asked, _causes(case.probe.attempts))
    return case.passed("causes", _causes(case.probe.attempts))


def latency(case: Case, bounds: LatencyBounds) -> Iterator[Finding]:
    """Hold percentiles of the time from start to verdict against upper bounds.

    Attempts whose verdict is silence lasted until the checker gave up: that is the least their answer took. A
    percentile is therefore known between two values, and settled where both are on one side of the bound.
    """
    judged = [a for a in case.probe.attempts if a.outcome in _JUDGED]
    for name, percent, bound in (("p50", 50, bounds.p50), ("p99", 99, bounds.p99), ("max", 100, bounds.max)):
        if bound is None:
            continue
        field, asked = f"latencySeconds.{name}", f"at most {given(bound)}"
        span = percentile_range(judged, percent)
        if span is None:
            yield case.unclear(field, "no attempt shows how long an answer takes", asked)
            continue
        low, high = span
        observed = seconds(low, bound) if low == high else f"at least {seconds(low, bound)}"
        silent = [a for a in judged if a.end_mark is None]
        slow = sorted((a for a in judged if a.latency_ns > bound), key=lambda a: -a.latency_ns)
        if low > bound:
            said = f"{counted(len(slow), 'attempt')} took longer"
            if silent and percent < 100:
                # (The table's is of those that were answered.)
                said += f", of {len(judged)} with {len(silent)} that nobody answered"
            if percent == 100:
                yield case.failed(field, said, asked, observed, slow)
            else:
                at = sorted(judged, key=lambda a: a.latency_ns)[_rank(percent, len(judged))]
                yield case.failed(field, f"{said}; {name} is #{at.n}", asked, observed, [at], at=at.n)
        elif high is not None and high <= bound:
            yield case.passed(field, f"{observed} of {asked}")
        else:
            sentence = f"{counted(len(silent), 'attempt')} got no answer before the checker gave up"
            yield case.unclear(field, sentence, asked, observed, silent)


def percentile_range(judged: Sequence[Attempt], percent: int) -> tuple[int, int | None] | None:
    """Return the least and the greatest value that a latency's nearest-rank percentile can have; None is without end.

    None for no attempts at all. What nobody answered took at least until the checker gave up.
    """
    if not judged:
        return None
    rank = _rank(percent, len(judged))
    least = sorted(a.latency_ns for a in judged)[rank]
    known = sorted(a.latency_ns for a in judged if a.end_mark is not None)
    return least, known[rank] if rank < len(known) else None


def _rank(percent: int, number: int) -> int:
    """Return the place of a percentile among so many sorted values (nearest rank)."""
    return max(1, (percent * number + 99) // 100) - 1


def _pattern(pattern: Sequence[Run]) -> str:
    return ", ".join(run.text for run in pattern) or "no attempt"


def _causes(attempts: Sequence[Attempt]) -> str:
    """Return how often each cause occurs: `30 ok, 2 status`."""
    counts: dict[str, int] = {}
    for attempt in attempts:
        counts[attempt.cause.value] = counts.get(attempt.cause.value, 0) + 1
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1])) or "none"
