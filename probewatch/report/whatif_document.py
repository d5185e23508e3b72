"""What would have been under other settings as the JSON document `probewatch.whatif/1`: plain dicts."""

from __future__ import annotations

from typing import Any, Final

from ..model.spec import ProbeType
from ..model.timeline import Decision, Timeline
from ..verify.bounds import Covering, Term
from ..verify.replay import Trace
from ..verify.whatif import Replayed, WhatIf
from .document import capture_object, decision_object
from .jsontext import Json, valid_object
from .numbers import rfc3339, seconds
from .whatif import ASSUMED, base_ns, out_of_service_ns, verdicts

SCHEMA: Final = "probewatch.whatif/1"


def document(timeline: Timeline, found: WhatIf) -> Json:
    """Return the whole document; `docs/whatif.md` lists its fields."""
    base = base_ns(timeline)
    made: Json = {
        "schema": SCHEMA,
        "captures": [capture_object(info) for info in timeline.captures],
        "asked": found.settings.asked(),
        "probes": [_probe(one, base) for one in found.probes],
        "left_out": [
            {"id": probe.id, "checker": probe.checker.kind, "type": probe.type.value} for probe in found.left_out
        ],
        "assumed": ASSUMED,
        "notes": list(timeline.notes),
    }
    return valid_object(made)


def _probe(one: Replayed, base: int) -> Json:
    probe = one.probe
    target = probe.target
    readiness = probe.type is ProbeType.READINESS
    return {
        "id": probe.id,
        "type": probe.type.value,
        "target": {
            "address": target.address,
            "port": target.port,
            "namespace": target.namespace,
            "pod": target.pod,
            "container": target.container,
        },
        "settings": {s.field: {"recorded": s.recorded, "source": s.source, "asked": s.asked} for s in one.settings},
        "changed": one.changed,
        "faithful": one.faithful,
        "exact": one.exact,
        "verdict": verdicts(one, base),
        "recorded": {
            "initial_state": probe.initial_state,
            "decisions": [_decision(d) for d in probe.decisions],
            "out_of_service_s": seconds(out_of_service_ns(probe, probe.decisions, None)) if readiness else None,
        },
        "best": _trace(one, one.best),
        "worst": _trace(one, one.worst),
        "phases": one.phases,
        "phases_untried": one.untried,
        "covering_timeout": _covering(one.covering),
        "times": [_term(term) for term in one.terms],
        "times_recorded": [_term(term) for term in one.terms_recorded],
    }


def _trace(one: Replayed, trace: Trace) -> Json:
    readiness = one.probe.type is ProbeType.READINESS
    away = out_of_service_ns(one.probe, trace.decisions, trace.known_until_ns) if readiness else None
    return {
        "initial_state": trace.initial_state,
        "decisions": [_decision(d) for d in trace.decisions],
        "final_state": trace.final_state,
        "known_until": rfc3339(trace.known_until_ns),
        "ended_by": None if trace.end is None else trace.end.value,
        "out_of_service_s": seconds(away),
        "unknown_results": trace.unknown,
    }


def _decision(decision: Decision) -> Json:
    wanted = ("time", "kind", "from", "to", "attempt", "streak", "threshold", "threshold_source")
    made: dict[str, Any] = decision_object(decision)
    return {name: made[name] for name in wanted} | {"attempt": decision.attempt or None}


def _covering(found: Covering) -> Json:
    return {
        "known": found.known,
        "late": found.late,
        "censored": found.censored,
        "slowest_s": seconds(found.slowest_ns),
        "timeoutSeconds": found.just_s,
        "margin_percent": found.margin_percent,
        "timeoutSeconds_with_margin": found.timeout_s,
    }


def _term(term: Term) -> Json:
    return {
        "name": term.name,
        "best_s": seconds(term.best_ns),
        "worst_s": seconds(term.worst_ns),
        "meaning": term.meaning,
    }
