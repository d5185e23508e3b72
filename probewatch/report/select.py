"""What of a timeline is shown: a stretch of time, some probes.

The analysis itself always takes in everything, so that a probe's state at the beginning of the stretch is known from
what came before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..decisions.outages import nodes
from ..model.rollout import Rollout
from ..model.spec import ProbeType
from ..model.timeline import NONE_SHOWN, OtherTraffic, Probe, Timeline, Unseeable
from . import words
from .numbers import clock, relative

NAMED: Final = 20
"""Probes that are named where what was wanted is not among them."""


def select(
    timeline: Timeline, *, since_ns: int | None = None, until_ns: int | None = None, probes: Sequence[str] = ()
) -> Timeline:
    """Return the part of a timeline that begins in [since, until] and belongs to the probes that the selectors name.

    Of events and other traffic that is what concerns their Pods, their node and the whole capture.
    Rollouts stay whole where one of their probes is kept: what became of a revision is no matter of the stretch shown.
    Attempts and decisions count by their beginning; gaps, events and other traffic where they touch the stretch. A
    probe of which nothing is left is left out. `initial_state` becomes the state at `since`. Captures are described as
    they are.
    """
    chosen = timeline
    if probes:
        kept = tuple(p for p in timeline.probes if any(matches(p, selector) for selector in probes))
        ids = {None, *(p.id for p in kept)}
        targets = {p.target.address for p in kept}
        concerned = {"", *targets, *(place for p in kept for place in nodes(p))}
        chosen = replace(
            chosen,
            probes=kept,
            beside=tuple(p for p in timeline.probes if p.id not in ids),
            rollouts=_touched(chosen.rollouts, kept),
            events=tuple(e for e in timeline.events if e.address in concerned),
            others=tuple(o for o in timeline.others if o.target_address in targets),
            findings=tuple(f for f in timeline.findings if f.probe in ids),
        )
    if since_ns is None and until_ns is None:
        return chosen
    low = since_ns if since_ns is not None else -(1 << 62)
    high = until_ns if until_ns is not None else 1 << 62
    cut = [_cut(probe, low, high) for probe in chosen.probes]
    left = tuple(p for p in cut if p.attempts or p.decisions or p.gaps)
    outside = _outside(chosen, since_ns, until_ns)
    chosen = replace(chosen, notes=(*outside, *chosen.notes), foremost=chosen.foremost + len(outside))
    return replace(
        chosen,
        probes=left,
        beside=tuple(_cut(probe, low, high) for probe in chosen.beside),
        rollouts=_touched(chosen.rollouts, left),
        others=tuple(o for o in chosen.others if _touches(o, low, high)),
        events=tuple(e for e in chosen.events if low <= (e.end_ns or e.ns) and e.ns <= high),
        notes=(*chosen.notes, _note(chosen, since_ns, until_ns)),
        until_ns=until_ns,
    )


def matches(probe: Probe, selector: str) -> bool:
    """Say whether `p3`, a type, a pod's name, `namespace/pod`, `type/pod` or a target's address means this probe."""
    target = probe.target
    names = {probe.id, probe.type.value, target.address}
    if target.port is not None:
        names.add(f"[{target.address}]:{target.port}" if ":" in target.address else f"{target.address}:{target.port}")
    if target.pod is not None:
        names |= _by_pod(probe.type, target.namespace, target.pod, target.container)
    return selector in names


def may_mean(selector: str, one: Unseeable) -> bool:
    """Say whether the same words mean a declared probe that no packet can show."""
    return selector in {one.type.value, *_by_pod(one.type, one.namespace, one.pod, one.container)}


def _by_pod(kind: ProbeType, namespace: str | None, pod: str, container: str | None) -> set[str]:
    return {
        pod,
        f"{kind.value}/{pod}",
        f"{namespace}/{pod}",
        f"{kind.value}/{namespace}/{pod}",
        f"{pod}/{container}",
        f"{namespace}/{pod}/{container}",
    }


def of_pod(probe: Probe, pod: str) -> bool:
    """Say whether a pod's name or `namespace/pod` means this probe's."""
    target = probe.target
    return target.pod is not None and pod in (target.pod, f"{target.namespace}/{target.pod}")


def no_match(probes: Sequence[Probe], wanted: str) -> str:
    """Say that what was wanted means none of these probes, and what there is."""
    there = [f"{p.id} ({words.kind(p)} {words.label(p)})" for p in probes]
    more = " ..." if len(there) > NAMED else ""
    have = f"there are {', '.join(there[:NAMED])}{more}" if there else "there are none in this input"
    return f"no probe matches {wanted}: {have}"


def _cut(probe: Probe, low: int, high: int) -> Probe:
    before = [d for d in probe.decisions if d.ns < low]
    after = [d for d in probe.decisions if low <= d.ns <= high]
    state, evidence = probe.initial_state, probe.initial_evidence
    if before:
        last = max(before, key=lambda d: d.ns)
        state, evidence = last.after, f"decided at #{last.attempt}, before what is shown"
    later = [d for d in probe.decisions if d.ns > high]
    final = probe.final_state if not later else after[-1].after if after else state
    return replace(
        probe,
        initial_state=state,
        initial_evidence=evidence,
        initial_since_ns=probe.initial_since_ns if not before and (probe.initial_since_ns or 0) > low else None,
        final_state=final,
        attempts=tuple(a for a in probe.attempts if low <= a.start.ns <= high),
        decisions=tuple(after),
        gaps=tuple(g for g in probe.gaps if g.start_ns <= high and g.end_ns >= low),
    )


def _touched(rollouts: Sequence[Rollout], probes: Sequence[Probe]) -> tuple[Rollout, ...]:
    kept = {probe.id for probe in probes}
    return tuple(
        one
        for one in rollouts
        if any(ident in kept for revision in one.revisions for pod in revision.pods for ident in pod.probes)
    )


def _touches(other: OtherTraffic, low: int, high: int) -> bool:
    return (other.first_ns is None or other.first_ns <= high) and (other.last_ns is None or other.last_ns >= low)


def _outside(timeline: Timeline, since_ns: int | None, until_ns: int | None) -> list[str]:
    """Say that what is to be shown lies before or after the whole input."""
    times = [(c.first_ns, c.last_ns) for c in timeline.captures if c.first_ns is not None and c.last_ns is not None]
    if not times:
        return []
    first, last = min(low for low, _ in times), max(high for _, high in times)
    if not (since_ns is not None and since_ns > last) and not (until_ns is not None and until_ns < first):
        return []
    return [f"{NONE_SHOWN}: the input goes from {clock(first)} to {clock(last)} ({relative(last, first)})"]


def _note(timeline: Timeline, since_ns: int | None, until_ns: int | None) -> str:
    base = min((c.first_ns for c in timeline.captures if c.first_ns is not None), default=since_ns or until_ns or 0)
    begin = relative(since_ns, base) if since_ns is not None else "the beginning"
    end = relative(until_ns, base) if until_ns is not None else "the end"
    return f"Only what began between {begin} and {end} is shown; other traffic and effects on clients cover the whole input."
