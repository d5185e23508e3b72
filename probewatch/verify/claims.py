"""Expectations of a probe's attempts: how many, with what outcomes and causes, how fast, how often, from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from probewatch.model.expectation import LatencyBounds, Pace, Range, Run
from probewatch.model.finding import Finding
from probewatch.model.timeline import Attempt, Cause, EventKind, Outcome, Probe, Schedule, Trigger

from .case import Case, between, counted, seconds, stretch
from .doubt import settled, unseen
from .sequence import match, written

_JUDGED: Final = (Outcome.SUCCESS, Outcome.FAILURE)
_TICKS: Final = (Trigger.TICK, Trigger.START, Trigger.UNKNOWN)


def attempts(case: Case, wanted: Range) -> Finding:
    """Hold the number of attempts against a range."""
    return _number(case, "attempts", wanted, len(case.probe.attempts), "attempt")


def missed(case: Case, wanted: Range) -> Finding:
    """Hold the number of attempts that did not come against a range."""
    reasons = ", ".join(dict.fromkeys(gap.reason for gap in case.probe.gaps))
    return _number(case, "missed", wanted, sum(gap.expected for gap in case.probe.gaps), "missing attempt", reasons)


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


def outcomes(case: Case, pattern: Sequence[Run]) -> Finding:
    """Hold all outcomes, in order, against a pattern; what was still open at the end of the capture is left out."""
    counted_in = settled(case.probe.attempts)
    row = [attempt.outcome for attempt in counted_in]
    found = match(row, pattern)
    reason = unseen(case.timeline, case.probe)
    asked = _pattern(pattern)
    if found.whole:
        if reason:
            return case.unclear("outcomes", reason, asked, written(row))
        return case.passed("outcomes", written(row))
    if found.possible:
        dark = [a for a in counted_in if a.outcome is Outcome.INCONCLUSIVE]
        sentence = f"{counted(len(dark), 'attempt')} could be either: {_causes(dark)}"
        return case.unclear("outcomes", sentence, asked, written(row), dark)
    if found.reached >= len(row):
        ended = f"ends after {counted(len(row), 'attempt')}"
        wanted = f"then expected {found.wanted.text}" if found.wanted else "then expected something else before"
        if reason:
            return case.unclear("outcomes", reason, asked, ended)
        return case.failed("outcomes", f"the row {ended}, {wanted}", asked, written(row), case.around(len(row) - 1))
    attempt = counted_in[found.reached]
    wanted = f"expected {found.wanted.text}" if found.wanted else "expected no more"
    sentence = f"#{attempt.n} is {attempt.outcome.value} ({attempt.cause.value}), {wanted} there"
    if reason and case.probe.gaps:
        return case.unclear("outcomes", f"{sentence}; but {reason}", asked, written(row), case.around(found.reached))
    return case.failed("outcomes", sentence, asked, written(row), case.around(found.reached))


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
        field, asked = f"latencySeconds.{name}", f"at most {seconds(bound)}"
        span = percentile_range(judged, percent)
        if span is None:
            yield case.unclear(field, "no attempt shows how long an answer takes", asked)
            continue
        low, high = span
        observed = seconds(low) if low == high else f"at least {seconds(low)}"
        slow = sorted((a for a in judged if a.latency_ns > bound), key=lambda a: -a.latency_ns)
        if low > bound:
            yield case.failed(field, f"{counted(len(slow), 'attempt')} took longer", asked, observed, slow)
        elif high is not None and high <= bound:
            yield case.passed(field, f"{observed} of {asked}")
        else:
            silent = [a for a in judged if a.end_mark is None]
            sentence = f"{counted(len(silent), 'attempt')} got no answer before the checker gave up"
            yield case.unclear(field, sentence, asked, observed, silent)


def percentile_range(judged: Sequence[Attempt], percent: int) -> tuple[int, int | None] | None:
    """Return the least and the greatest value that a latency's nearest-rank percentile can have; None is without end.

    None for no attempts at all, or for nothing but silence: then no latency is known.
    """
    if not any(a.end_mark is not None for a in judged):
        return None
    rank = max(1, (percent * len(judged) + 99) // 100) - 1
    least = sorted(a.latency_ns for a in judged)[rank]
    known = sorted(a.latency_ns for a in judged if a.end_mark is not None)
    return least, known[rank] if rank < len(known) else None


def period(case: Case, pace: Pace) -> Finding:
    """Hold the time from tick to tick against a period."""
    wanted = Range(max(0, pace.value - pace.within), pace.value + pace.within)
    pairs = ticks(case.probe, holes(case))
    asked = f"{seconds(pace.value)}, give or take {seconds(pace.within)}"
    if not pairs:
        return case.unclear("periodSeconds", "there are no two ticks in a row", asked)
    wrong = [(a, b, ns) for a, b, ns in pairs if not wanted.holds(ns)]
    low, high = min(ns for _, _, ns in pairs), max(ns for _, _, ns in pairs)
    observed = stretch(Range(low, high)) if low != high else seconds(low)
    if not wrong:
        return case.passed("periodSeconds", f"{observed} from tick to tick, {counted(len(pairs), 'time')}")
    first, second, ns = wrong[0]
    sentence = f"{len(wrong)} of {counted(len(pairs), 'interval')} differ, the first is {seconds(ns)} to #{second.n}"
    return case.failed("periodSeconds", sentence, asked, observed, (first, second))


def ticks(probe: Probe, without: Sequence[tuple[int, int]] = ()) -> list[tuple[Attempt, Attempt, int]]:
    """Return neighbouring ticks of one grid with the nanoseconds between them.

    Left out are what stands beside extra attempts (a manual trigger may reset the ticker, worker.go run) and late ones,
    and stretches in which attempts are missing (those of the probe, and `without`). Time is measured as the checker
    does: from start to start, or from end to start (`interval_basis: end`).
    """
    from_end = probe.inferred.get("interval_basis") == "end"
    broken = [*without, *((gap.start_ns, gap.end_ns) for gap in probe.gaps)]
    found = []
    for before, after in pairwise(probe.attempts):
        regular = all(a.schedule is Schedule.ON_TIME and a.trigger in _TICKS for a in (before, after))
        if regular and not any(start < after.start.ns and end > before.start.ns for start, end in broken):
            found.append((before, after, after.start.ns - (before.end_ns if from_end else before.start.ns)))
    return found


def holes(case: Case) -> list[tuple[int, int]]:
    """Return moments after which no file covers a while."""
    return [(e.ns, e.ns + 1) for e in case.timeline.events if e.kind is EventKind.CAPTURE_GAP]


def sources(case: Case, allowed: Sequence[str]) -> Finding:
    """Hold the addresses that attempts come from against addresses and networks."""
    networks = [ipaddress.ip_network(text) for text in allowed]
    known: dict[str, bool] = {}
    wrong: list[Attempt] = []
    found: dict[str, None] = {}
    for attempt in case.probe.attempts:
        clients = [leg.connection.client for leg in attempt.legs] or [case.probe.checker.address]
        for client in clients:
            if client not in known:
                known[client] = any(_inside(client, network) for network in networks)
            found[client] = None
        if not all(known[client] for client in clients):
            wrong.append(attempt)
    asked, observed = f"only {', '.join(allowed)}", ", ".join(found)
    if wrong:
        return case.failed("source", f"{counted(len(wrong), 'attempt')} came from elsewhere", asked, observed, wrong)
    if reason := unseen(case.timeline, case.probe):
        return case.unclear("source", reason, asked, observed)
    return case.passed("source", f"{counted(len(case.probe.attempts), 'attempt')} came from {observed}")


def _inside(client: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(client) in network
    except ValueError:
        return False


def _pattern(pattern: Sequence[Run]) -> str:
    return ", ".join(run.text for run in pattern) or "no attempt"


def _causes(attempts: Sequence[Attempt]) -> str:
    """Return how often each cause occurs: `30 ok, 2 status`."""
    counts: dict[str, int] = {}
    for attempt in attempts:
        counts[attempt.cause.value] = counts.get(attempt.cause.value, 0) + 1
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1])) or "none"
