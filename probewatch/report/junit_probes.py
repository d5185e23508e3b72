"""Probes as JUnit XML, for CI that records a capture beside its tests: a test case for each probe (see `junit` for the form).

A probe fails where it took something out of service (NotReady, Restart, DOWN) or never let it in; it is skipped where the
packets do not tell; it passes with what went wrong in `system-out` where that did not matter. Expectations of one's own are
held with `verify`, whose findings are cases of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from ..model.timeline import Outcome, Probe, Timeline
from ..model.units import SECOND
from . import words
from .document import latencies
from .escape import quoting, safe
from .junit import attribute, body, quoted
from .numbers import count, percentile, relative, span
from .outline import base_ns
from .reasons import explained, telling
from .verdict import Level, Verdict, judge

_SHOWN: Final = 20
"""Decisions told of one probe."""


def write(timeline: Timeline, out: Callable[[str], object]) -> None:
    """Write a report of one suite, named after the captures."""
    judged = [(probe, judge(probe, timeline)) for probe in timeline.probes]
    failures = sum(verdict.level is Level.TROUBLE for _, verdict in judged)
    skipped = sum(verdict.level is Level.UNCLEAR for _, verdict in judged)
    totals = f'tests="{len(judged)}" failures="{failures}" errors="0" skipped="{skipped}"'
    name = ", ".join(info.path for info in timeline.captures) or "probewatch"
    out('<?xml version="1.0" encoding="UTF-8"?>\n')
    out(f'<testsuites name="probewatch" {totals}>\n')
    out(f"  <testsuite name={attribute(name)} {totals}>\n")
    seen: Counter[tuple[str, str]] = Counter()
    for probe, verdict in judged:
        case = words.owner(probe.target), f"{words.kind(probe)} {words.request(probe)}"
        seen[case] += 1
        _case(timeline, probe, verdict, case, seen[case], out)
    out("  </testsuite>\n</testsuites>\n")


def _case(
    timeline: Timeline, probe: Probe, verdict: Verdict, case: tuple[str, str], number: int, out: Callable[[str], object]
) -> None:
    """Write a case; `number` counts those of one name, since GitLab takes no notice of a second of the same."""
    whom, name = case
    name += f" ({number})" if number > 1 else ""
    out(f'    <testcase classname={quoted(whom)} name={quoted(name)} time="{verdict.seen_ns / SECOND:.3f}">\n')
    out("      <properties>\n")
    for key, value in _properties(probe, verdict):
        out(f"        <property name={quoted(key)} value={quoted(value)}/>\n")
    out("      </properties>\n")
    text = "\n".join([verdict.sentence, *_story(timeline, probe, verdict)])
    if verdict.level is Level.TROUBLE:
        kind = verdict.causes[0].value if verdict.causes else "probe"
        out(f"      <failure message={quoted(verdict.sentence)} type={quoted(kind)}>{body(text)}</failure>\n")
    elif verdict.level is Level.UNCLEAR:
        out(f"      <skipped message={quoted(verdict.sentence)}/>\n")
    if verdict.level is not Level.TROUBLE:
        out(f"      <system-out>{body(text)}</system-out>\n")
    out("    </testcase>\n")


def _properties(probe: Probe, verdict: Verdict) -> Iterator[tuple[str, str]]:
    yield "checker", words.who(probe.checker)
    yield "attempts", str(len(probe.attempts))
    for outcome in Outcome:
        yield outcome.value, str(sum(a.outcome is outcome for a in probe.attempts))
    yield "missed", str(sum(gap.expected for gap in probe.gaps))
    for kind, number in Counter(d.kind.value for d in probe.decisions).items():
        yield f"decisions.{kind}", str(number)
    yield "down_s", f"{verdict.down_ns / SECOND:.3f}"
    known = latencies(probe.attempts)
    if known:
        yield "latency_p50_s", f"{percentile(known, 50) / SECOND:.6f}"
        yield "latency_max_s", f"{known[-1] / SECOND:.6f}"


def _story(timeline: Timeline, probe: Probe, verdict: Verdict) -> Iterator[str]:
    """Yield what was decided when, why, what to do, and the frames of the first failure."""
    base = base_ns(timeline)
    for decision in probe.decisions[:_SHOWN]:
        yield f"{relative(decision.ns, base)} #{decision.attempt} {decision.streak}/{decision.threshold} -> {safe(decision.after)}"
    if len(probe.decisions) > _SHOWN:
        yield f"and {count(len(probe.decisions) - _SHOWN, 'more decision')}"
    for why in explained(probe, verdict):
        yield f"cause: {safe(why.name)}: {words.lowered(quoting(why.meaning))}"
        if why.check:
            yield f"check: {safe(why.check)}"
        if why.advice:
            yield f"try: {safe(why.advice)} (docs/causes.md#{why.anchor})"
    failed = telling(probe)
    if failed is not None:
        where = words.frames_of(failed, several=len(timeline.captures) > 1)
        yield (
            f"see: #{failed.n} at {relative(failed.start.ns, base)}, {where}; "
            f"probewatch explain --probe {probe.id} --attempt {failed.n} shows it"
        )
    if verdict.down_ns:
        yield f"out of service: {span(verdict.down_ns)}"
