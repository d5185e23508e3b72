"""What to think of each probe, for programs: who fails, since when, whether it is over, why, and what next."""

from __future__ import annotations

from ..decisions.outages import ENDS, outages, restarts, streak_began
from ..model.timeline import Outcome, Probe, Timeline
from . import words
from .jsontext import Json
from .numbers import rfc3339, seconds
from .reasons import explained, telling
from .service import standing
from .verdict import Level, Verdict, judge


def verdict_objects(timeline: Timeline) -> list[Json]:
    """Return the verdicts, the worst first, among equals those that decided something, then as the timeline has the probes."""
    judged = [(judge(probe, timeline), probe) for probe in timeline.probes]
    judged.sort(key=lambda one: (-one[0].level, not any(d.kind in ENDS for d in one[1].decisions)))
    return [_object(probe, verdict, timeline) for verdict, probe in judged]


def _object(probe: Probe, verdict: Verdict, timeline: Timeline) -> Json:
    wrong = verdict.level is not Level.FINE
    stands = standing(probe, timeline, lambda ns: rfc3339(ns) or "?") if wrong else None
    why = explained(probe, verdict)
    failure = telling(probe) if wrong else None
    return {
        "probe": probe.id,
        "subject": f"{words.kind(probe)} {words.label(probe)}",
        "level": verdict.level.name.lower(),
        "sentence": verdict.sentence,
        "since": rfc3339(_since(probe, timeline)) if wrong else None,
        "over": None if stands is None else stands.over,
        "now": None if stands is None else stands.sentence,
        "out_of_service_s": seconds(verdict.down_ns),
        "out_of_service": [
            {
                "from": rfc3339(one.start_ns),
                "to": rfc3339(one.end_ns),
                "by": one.by.value,
                "restarted_by": None if one.restarted_by is None else one.restarted_by.value,
                "doubtful": one.doubtful,
            }
            for one in outages(probe, timeline)
        ],
        "causes": [
            {"name": one.name, "sentence": one.meaning, "check": one.check or None, "advice": one.advice or None}
            for one in why
        ],
        "attempt": None if failure is None else failure.n,
    }


def _since(probe: Probe, timeline: Timeline) -> int | None:
    """Return when what is wrong began.

    That is the first failure of the streak that led to the first decision against it, else the first outage or failure.
    """
    bad = [a for a in probe.attempts if a.outcome in (Outcome.FAILURE, Outcome.DISCARDED)]
    fell = [one.start_ns for one in outages(probe, timeline)]
    fell += [decision.ns for one, decision in restarts(probe, timeline) if one.id == probe.id]
    if not fell:
        return bad[0].start.ns if bad else None
    first = min(fell)
    began = streak_began(probe, first)
    return first if began is None else began.start.ns
