"""Hold a timeline against expectations: one finding for each thing expected of each probe.

Theory of operation. A selector names probes (`selecting`): none at all is a failure, one that only may be meant is
inconclusive. Each expectation of each named probe becomes a `Finding` (`claims`, `moments`): pass or fail where the
packets settle it, inconclusive with its reason where they do not (`doubt`).

Limitations: expectations are of the capture. What happened before its first or after its last frame is not part of it,
except where the input breaks off: then nothing that depends on its end is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from probewatch.model.expectation import Expectations, ProbeExpectation, Range, Selector
from probewatch.model.finding import Finding, Held
from probewatch.model.spec import Handler
from probewatch.model.timeline import Probe, Timeline, Unseeable

from . import claims, moments, pace, who
from .case import Case, between, counted
from .names import subject_of
from .selecting import Fit, fit, like
from .untold import end_unseen, incomplete

_SHOWN: Final = 5
"""Probes named in one sentence."""


def check(timeline: Timeline, expectations: Expectations) -> list[Finding]:
    """Return the findings, in the order of the file.

    Args:
        timeline: of whole captures, not a part that `report.select` cut out.
        expectations: as `cluster.read_expectations` reads them.
    """
    findings: list[Finding] = []
    named: set[str] = set()
    perhaps: set[str] = set()
    for entry in expectations.probes:
        fits = {probe.id: fit(entry.selector, probe) for probe in timeline.probes}
        chosen = [probe for probe in timeline.probes if fits[probe.id].fits]
        named |= {probe.id for probe in chosen}
        perhaps |= {name for name, each in fits.items() if each.fits is None}
        findings.append(_seen(timeline, expectations.source, entry, chosen, fits))
        for probe in chosen:
            findings += _of_probe(Case(timeline, probe, expectations.source), _meant(entry, probe, chosen))
    findings += _others(timeline, expectations, named, perhaps)
    return findings


def of_probe(timeline: Timeline, probe: Probe, entry: ProbeExpectation) -> list[Finding]:
    """Return the findings on one probe alone, whatever the selector says."""
    return list(_of_probe(Case(timeline, probe), entry))


def _meant(entry: ProbeExpectation, probe: Probe, chosen: Sequence[Probe]) -> ProbeExpectation:
    """Return what is expected of one of several probes: never what another of them alone could decide."""
    if entry.never is None or len(chosen) == 1:
        return entry
    others = [kind for kind in entry.never if any(moments.can_decide(each, kind) for each in chosen)]
    return replace(entry, never=tuple(k for k in entry.never if k not in others or moments.can_decide(probe, k)))


def _of_probe(case: Case, entry: ProbeExpectation) -> Iterator[Finding]:
    checks: tuple[tuple[Any, Callable[[Case, Any], Finding | Iterator[Finding]]], ...] = (
        (entry.attempts, claims.attempts),
        (entry.missed, claims.missed),
        (entry.outcomes, claims.outcomes),
        (entry.outcomes_contain, claims.outcomes_contain),
        (entry.causes, claims.causes),
        (entry.causes_in_order, claims.causes_in_order),
        (entry.decisions, moments.decisions),
        (entry.decisions_contain, moments.decisions_contain),
        *((each, moments.decided) for each in entry.decided or ()),
        *((kind, moments.never) for kind in entry.never or ()),
        (entry.ready_within, moments.ready_within),
        (entry.started_within, moments.started_within),
        (entry.out_of_service, moments.out_of_service),
        (entry.latency, claims.latency),
        (entry.period, pace.period),
        (entry.timeout, pace.timeout),
        (entry.state, moments.state),
        (entry.sources, who.sources),
        (entry.node, who.node),
    )
    for wanted, hold in checks:
        if wanted is not None:
            found = hold(case, wanted)
            yield from (found,) if isinstance(found, Finding) else found


def _seen(
    timeline: Timeline,
    source: str,
    entry: ProbeExpectation,
    chosen: Sequence[Probe],
    fits: dict[str, Fit],
) -> Finding:
    """Say whether the probe is there at all, and as often as expected."""
    could = [probe for probe in timeline.probes if fits[probe.id].fits is None]
    wanted, here = entry.count, len(chosen)
    most = here + len(could)
    only = chosen[0] if here == 1 else None

    def finding(held: Held, sentence: str, observed: str = "") -> Finding:
        return Finding(
            held=held,
            probe=only.id if only else None,
            subject=subject_of(only) if only else entry.selector.words,
            field="probe",
            sentence=sentence,
            expected="" if held is Held.PASS else between(wanted, "probe"),
            observed="" if held is Held.PASS else observed,
            source=source,
        )

    seen = counted(here, "probe")
    if wanted.high is not None and here > wanted.high:
        return finding(Held.FAIL, "more probes than expected are like this", f"{seen}: {_list(chosen)}")
    possible = Range(wanted.low, None).holds(most)
    if wanted.holds(here) and (wanted.high is None or most <= wanted.high):
        reason = incomplete(timeline) or _cannot_be_seen(timeline, entry.selector)
        if wanted.high is not None and reason:
            return finding(Held.INCONCLUSIVE, reason, seen)
        if only:
            return finding(Held.PASS, f"seen: {counted(len(only.attempts), 'attempt')} from {only.checker.address}")
        return finding(Held.PASS, f"seen: {_list(chosen)}" if chosen else "not seen")
    if possible:
        missing = sorted({name for probe in could for name in fits[probe.id].unknown})
        which = f"{_list(could)} could be meant, but not known is its {' and its '.join(missing)}"
        return finding(Held.INCONCLUSIVE, f"{which}: --spec or --cluster would tell", seen)
    if reason := _cannot_be_seen(timeline, entry.selector):
        return finding(Held.INCONCLUSIVE, reason, seen)
    if here:
        return finding(Held.FAIL, "fewer probes than expected are like this", f"{seen}: {_list(chosen)}")
    instead = f"seen instead: {_list(timeline.probes)}" if timeline.probes else "there are no probes in this capture"
    return finding(Held.FAIL, f"not probed at all; {instead}", "none")


def _cannot_be_seen(timeline: Timeline, selector: Selector) -> str:
    """Say why a probe may exist that is not in the timeline."""
    if selector.handler is Handler.EXEC or any(_may_mean(selector, one) for one in timeline.unseeable):
        return "an exec probe runs inside the container and sends no packet"
    return end_unseen(timeline)


def _may_mean(selector: Selector, one: Unseeable) -> bool:
    """Say whether a selector may mean an exec probe that no packet can show: one that asks at no port, for no path."""
    if selector.handler not in (None, Handler.EXEC) or selector.checker not in (None, "kubelet"):
        return False
    if any(asked is not None for asked in (selector.port, selector.path, selector.service, selector.address)):
        return False
    return (
        selector.type in (None, one.type)
        and selector.namespace in (None, one.namespace)
        and selector.container in (None, one.container)
        and (selector.pod is None or _fits_name(selector.pod, one))
    )


def _fits_name(pattern: str, one: Unseeable) -> bool:
    """Say whether a Pod's name, or a workload's, which begins its Pods' names, fits a selector's `pod`."""
    return like(pattern, one.pod) or (one.workload and pattern.startswith(f"{one.pod}-"))


def _others(timeline: Timeline, expectations: Expectations, named: set[str], perhaps: set[str]) -> Iterator[Finding]:
    """Count what no selector names."""
    totals = []
    if expectations.other_probes is not None:
        rest = [probe for probe in timeline.probes if probe.id not in named]
        sure = sum(probe.id not in perhaps for probe in rest)
        listed = f": {_list(rest)}" if rest else ""
        totals.append(("otherProbes", expectations.other_probes, sure, len(rest), "probe", listed))
    if expectations.other_connections is not None:
        here = sum(other.connections for other in timeline.others)
        kinds = ", ".join(dict.fromkeys(other.what for other in timeline.others[:_SHOWN]))
        totals.append(
            (
                "otherConnections",
                expectations.other_connections,
                here,
                here,
                "connection",
                f": {kinds}" if kinds else "",
            )
        )
    for name, wanted, least, most, noun, listed in totals:
        reason = incomplete(timeline) if wanted.high is not None or not wanted.holds(least) else ""
        if wanted.high is not None and least > wanted.high:
            held, sentence = Held.FAIL, "more than expected"
        elif wanted.holds(least) != wanted.holds(most):
            held, sentence = Held.INCONCLUSIVE, "of some of them not enough is known: --spec or --cluster would tell"
        elif reason:
            held, sentence = Held.INCONCLUSIVE, reason
        elif wanted.holds(most):
            held, sentence = Held.PASS, counted(most, noun)
        else:
            held, sentence = Held.FAIL, "fewer than expected"
        shown = held is not Held.PASS
        yield Finding(
            held=held,
            subject="everything else",
            field=name,
            sentence=sentence,
            expected=between(wanted, noun) if shown else "",
            observed=f"{counted(most, noun)}{listed}" if shown else "",
            source=expectations.source,
        )


def _list(probes: Sequence[Probe]) -> str:
    names = [f"{probe.id} ({subject_of(probe)})" for probe in probes[:_SHOWN]]
    more = f" and {len(probes) - _SHOWN} more" if len(probes) > _SHOWN else ""
    return ", ".join(names) + more
