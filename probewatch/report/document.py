"""A timeline as the JSON document `probewatch.timeline/1`: plain dicts, and a writer that streams them.

Each noun has one function, which `json` and `ndjson` share, so that both print the same object under the same keys.
Lists have one canonical order (probes by number, attempts by `n`, the rest by time), so that a reader of NDJSON
arrives at the very document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from ..model.diagnosis import Diagnosis
from ..model.finding import Evidence, Finding
from ..model.frame import CaptureInfo
from ..model.path import Placed
from ..model.process import ExecRun
from ..model.rollout import PodState, Revision, Rollout
from ..model.said import EXPLAINED, Account, Utterance
from ..model.timeline import (
    Attempt,
    Decision,
    Effects,
    Gap,
    Leg,
    OtherTraffic,
    Outcome,
    Probe,
    Timeline,
    TimelineEvent,
    TlsSummary,
)
from .jsontext import Json, encode, valid_object
from .numbers import percentile, rfc3339, seconds
from .verdicts import verdict_objects

SCHEMA: Final = "probewatch.timeline/1"


def capture_object(info: CaptureInfo) -> Json:
    """Return what is to say of one input."""
    return {
        "path": info.path,
        "format": info.format,
        "link_types": list(info.link_types),
        "interfaces": [
            {"index": i.index, "name": i.name, "link_type": i.link_type, "snaplen": i.snaplen, "drops": i.drops}
            for i in info.interfaces
        ],
        "frames": info.frames,
        "first": rfc3339(info.first_ns),
        "last": rfc3339(info.last_ns),
        "complete": info.complete,
        "notes": list(info.notes),
    }


def probe_object(probe: Probe) -> Json:
    """Return a probe without what it owns (attempts, gaps, decisions) and without its summary."""
    checker, target = probe.checker, probe.target
    made: Json = {
        "id": probe.id,
        "checker": {
            "kind": checker.kind,
            "could_be": list(checker.could_be),
            "version": checker.version or None,
            "address": checker.address,
            "pod": checker.pod,
            "node": checker.node,
            "node_address": checker.node_address,
            "node_source": checker.node_source,
            "confidence": checker.confidence,
            "evidence": list(checker.evidence),
        },
        "target": {
            "address": target.address,
            "port": target.port,
            "namespace": target.namespace,
            "pod": target.pod,
            "container": target.container,
            "named_by": target.named_by,
        },
        "type": probe.type.value,
        "type_source": probe.type_source,
        "handler": probe.handler.value,
        "scheme": probe.scheme,
        "host": probe.host,
        "path": probe.path,
        "service": probe.service,
        "declared": dict(spec.declared) if (spec := probe.spec or probe.check) is not None else None,
        "declared_in": " or ".join((probe.spec_source, *probe.spec_alike)) if probe.spec_source else None,
        "inferred": dict(probe.inferred),
        "thresholds": {name: {"value": value, "source": source} for name, (value, source) in probe.thresholds.items()},
        "initial_state": probe.initial_state,
        "initial_evidence": probe.initial_evidence or None,
        "final_state": probe.final_state,
        "effects": None if probe.effects is None else effects_object(probe.effects),
        "diagnoses": list(map(diagnosis_object, probe.diagnoses)),
        "notes": list(probe.notes),
    }
    if probe.path_cut:
        made["path_cut"] = True
    if probe.proxy_header:
        made["proxy_header"] = True
    if probe.command:
        made["command"] = list(probe.command)
    return made


def attempt_object(attempt: Attempt) -> Json:
    """Return one attempt with its connections."""
    made: Json = {
        "n": attempt.n,
        "start": rfc3339(attempt.start.ns),
        "end": rfc3339(attempt.end_ns),
        "end_source": attempt.end_source,
        "outcome": attempt.outcome.value,
        "cause": attempt.cause.value,
        "status": attempt.status,
        "detail": attempt.detail,
        "trigger": attempt.trigger.value,
        "schedule": attempt.schedule.value,
        "streak": attempt.streak,
        "threshold": attempt.threshold,
        "capture": attempt.file,
        "frames": list(attempt.frames()),
        "late_answer_s": seconds(attempt.late_answer_ns),
        "diagnosis": None if attempt.diagnosis is None else brief_diagnosis(attempt.diagnosis),
        "connections": [_connection_object(leg) for leg in attempt.legs],
    }
    if attempt.implied:
        made["implied"] = True
    if attempt.execs:
        made["exec"] = _exec_object(attempt.execs)
    if attempt.said:
        made["kubelet"] = [utterance_object(said) for said in attempt.said]
    return made


def _exec_object(tries: Sequence[ExecRun]) -> Json:
    """Return the command of an exec attempt: the last try, and how many there were."""
    run = tries[-1]
    end = run.end.ns if run.end is not None else None
    return {
        "command": list(run.arguments),
        "container": run.container or None,
        "pid": run.pid or None,
        "started": rfc3339(run.command.ns) if run.command is not None else None,
        "exit_status": run.exit_code,
        "signal": run.signal or None,
        "ran_s": seconds(end - run.command.ns) if end is not None and run.command is not None else None,
        "tries": len(tries),
        "events_lost": run.lost,
    }


def _connection_object(leg: Leg) -> Json:
    connection = leg.connection
    begin, end = connection.start, connection.end
    file, first, last = connection.frames[0] if connection.frames else (begin.file, begin.number, end.number)
    made: Json = {
        "capture": file,
        "role": leg.role.value,
        "client_port": connection.client_port,
        "state": connection.state,
        "history": connection.history,
        "frames": [first, last],
        "status": leg.status,
        "connect_s": seconds(leg.connect_ns),
        "tls_s": seconds(leg.tls_ns),
        "first_byte_s": seconds(leg.first_byte_ns),
        "total_s": seconds(leg.total_ns),
        "retransmits": connection.orig.retransmits + connection.resp.retransmits,
        "icmp": connection.icmp.explain() if connection.icmp is not None else None,
        "sightings": [
            {
                "capture": s.file,
                "interface": s.interface,
                "packets": s.packets,
                "frames": [s.first, s.last],
                "steps": [
                    {"letter": step.letter, "time": rfc3339(step.ns), "frame": step.number, "times": step.times}
                    for step in s.steps
                ],
            }
            for s in connection.sightings
        ],
        "died": list(map(placed_object, leg.died)),
    }
    if leg.tls is not None:
        made["tls"] = tls_object(leg.tls)
    return made


def tls_object(tls: TlsSummary) -> Json:
    """Return what TLS showed on a connection."""
    by = {None: None, True: "checker", False: "server"}
    return {
        "version": tls.version or None,
        "offered": tls.offered or None,
        "sni": tls.sni or None,
        "alpn": tls.alpn or None,
        "alpn_offered": list(tls.alpn_offered),
        "names": list(tls.names),
        "not_after": rfc3339(tls.not_after_ns),
        "alert": tls.alert or None,
        "alert_by": by[tls.alert_by_checker],
        "decrypted": tls.decrypted,
    }


def placed_object(placed: Placed) -> Json:
    """Return a segment that was lost or held up between two vantage points."""
    return {
        "segment": placed.segment,
        "from": "checker" if placed.from_client else "target",
        "seen": list(placed.seen),
        "missing": list(placed.missing),
        "delay_s": seconds(placed.delay_ns),
        "sentence": placed.sentence,
    }


def brief_diagnosis(diagnosis: Diagnosis) -> Json:
    """Return what an attempt says of its diagnosis; what to check and do is told once, at its probe."""
    return {
        "kind": diagnosis.kind,
        "rows": list(diagnosis.rows),
        "sentence": diagnosis.sentence,
        "equally": list(diagnosis.equally),
    }


def diagnosis_object(diagnosis: Diagnosis) -> Json:
    """Return a diagnosis of a probe, with all attempts that it explains."""
    return brief_diagnosis(diagnosis) | {
        "check": diagnosis.check or None,
        "advice": diagnosis.advice or None,
        "says": list(diagnosis.says),
        "harmless": diagnosis.harmless,
        "attempts": list(diagnosis.attempts),
        "evidence": evidence_objects(diagnosis.evidence),
        "doc": f"docs/causes.md#{diagnosis.kind}",
    }


def gap_object(gap: Gap) -> Json:
    """Return a stretch of expected attempts that did not come."""
    return {
        "from": rfc3339(gap.start_ns),
        "to": rfc3339(gap.end_ns),
        "expected": gap.expected,
        "kind": gap.kind.value,
        "reason": gap.reason,
    }


def decision_object(decision: Decision) -> Json:
    """Return one decision."""
    mark = decision.mark
    return {
        "time": rfc3339(decision.ns),
        "kind": decision.kind.value,
        "from": decision.before,
        "to": decision.after,
        "attempt": decision.attempt,
        "frame": None if mark is None else mark.number,
        "capture": None if mark is None else mark.file,
        "streak": decision.streak,
        "threshold": decision.threshold,
        "threshold_source": decision.threshold_source,
        "confirmed": decision.confirmed,
        "confirmed_by": decision.confirmed_by or None,
        "since_s": seconds(decision.since_ns),
    }


def effects_object(effects: Effects) -> Json:
    """Return how client traffic followed the decisions."""
    return {
        "first_client_after_ready_s": seconds(effects.first_client_after_ready_ns),
        "last_new_client_after_not_ready_s": seconds(effects.last_new_client_after_not_ready_ns),
        "clients_while_not_ready": effects.clients_while_not_ready,
        "clients_refused_while_ready": effects.clients_refused_while_ready,
        "clients_unanswered_while_ready": effects.clients_unanswered_while_ready,
        "kept_while_not_ready": effects.kept_while_not_ready,
        "last_kept_after_not_ready_s": seconds(effects.last_kept_after_not_ready_ns),
        "approximate": effects.approximate,
        "periods": [
            {
                "from": rfc3339(period.start_ns),
                "to": rfc3339(period.end_ns),
                "state": period.state,
                "connections": period.connections,
                "refused": period.refused,
                "unanswered": period.unanswered,
                "first_s": seconds(period.first_ns),
                "last_s": seconds(period.last_ns),
            }
            for period in effects.periods
        ],
    }


def summary_object(probe: Probe) -> Json:
    """Return counts, and exact latency percentiles over the attempts whose success or failure a frame shows."""
    counts = dict.fromkeys(Outcome, 0)
    for attempt in probe.attempts:
        counts[attempt.outcome] += 1
    known = latencies(probe.attempts)
    latency: Json = {"p50": None, "p99": None, "max": None}
    if known:
        latency = {
            "p50": seconds(percentile(known, 50)),
            "p99": seconds(percentile(known, 99)),
            "max": seconds(known[-1]),
        }
    return {
        "attempts": len(probe.attempts),
        **{outcome.value: number for outcome, number in counts.items()},
        "missed": sum(gap.expected for gap in probe.gaps),
        "latency_s": latency,
    }


def latencies(attempts: Iterable[Attempt]) -> list[int]:
    """Return the sorted nanoseconds from start to verdict of the attempts whose success or failure a frame shows.

    Verdicts by silence are left out: they last as long as the timeout, whatever the pod does.
    """
    return sorted(a.latency_ns for a in attempts if timed(a))


def timed(attempt: Attempt) -> bool:
    """Tell whether a frame shows how long an attempt took that succeeded or failed."""
    return attempt.outcome in (Outcome.SUCCESS, Outcome.FAILURE) and attempt.end_mark is not None


def other_object(other: OtherTraffic) -> Json:
    """Return connections that are no probe."""
    return {
        "address": other.address,
        "name": other.name,
        "target": {"address": other.target_address, "port": other.target_port},
        "connections": other.connections,
        "refused": other.refused,
        "unanswered": other.unanswered,
        "what": other.what,
        "first": rfc3339(other.first_ns),
        "last": rfc3339(other.last_ns),
    }


def event_object(event: TimelineEvent) -> Json:
    """Return what else happened."""
    made: Json = {
        "time": rfc3339(event.ns),
        "end": rfc3339(event.end_ns),
        "kind": event.kind.value,
        "target": {"address": event.address, "pod": event.pod, "container": event.container},
        "source": event.source,
        "evidence": event.evidence,
        "doubtful": event.doubtful,
    }
    if event.by_ns is not None:
        made["by"] = rfc3339(event.by_ns)
    return made


def rollout_object(rollout: Rollout) -> Json:
    """Return a workload with the revisions whose Pods were probed."""
    return {
        "namespace": rollout.namespace,
        "kind": rollout.kind,
        "name": rollout.name,
        "state": rollout.state.value,
        "sentence": rollout.sentence,
        "ordered": rollout.ordered,
        "revisions": [_revision_object(revision) for revision in rollout.revisions],
    }


def _revision_object(revision: Revision) -> Json:
    return {
        "revision": revision.revision or None,
        "number": revision.number,
        "created": rfc3339(revision.created_ns),
        "first_probe": rfc3339(revision.first_probe_ns),
        "first_ready": rfc3339(revision.first_ready_ns),
        "ready": revision.count(PodState.READY),
        "seen": revision.seen,
        "attempts": revision.attempts,
        "failures": [
            {"type": each.type, "result": each.result, "attempts": each.attempts} for each in revision.failures
        ],
        "pods": [
            {
                "name": pod.name,
                "address": pod.address,
                "node": pod.node,
                "state": pod.state.value,
                "probes": list(pod.probes),
                "first_ready": rfc3339(pod.first_ready_ns),
                "last_ready": rfc3339(pod.last_ready_ns),
                "created": rfc3339(pod.created_ns),
                "deleted": rfc3339(pod.deleted_ns),
                "gone": pod.gone,
                "waiting": pod.waiting or None,
            }
            for pod in revision.pods
        ],
    }


def finding_object(finding: Finding) -> Json:
    """Return a verdict on one expectation."""
    return {
        "verdict": finding.held.value,
        "probe": finding.probe,
        "subject": finding.subject,
        "field": finding.field,
        "sentence": finding.sentence,
        "expected": finding.expected or None,
        "observed": finding.observed or None,
        "source": finding.source or None,
        "attempts": list(finding.attempts),
        "evidence": evidence_objects(finding.evidence),
    }


def utterance_object(said: Utterance) -> Json:
    """Return one line of the kubelet's log, or one event."""
    return {
        "time": rfc3339(said.ns),
        "first_time": rfc3339(said.first_ns),
        "precision_s": seconds(said.precision_ns),
        "saying": said.saying.value,
        "type": said.type.value if said.type is not None else None,
        "namespace": said.namespace,
        "pod": said.pod,
        "container": said.container,
        "text": said.text,
        "state": said.state or None,
        "port": said.port,
        "count": said.count,
        "combined": said.combined,
        "event": said.event,
        "source": said.source,
    }


def account_object(account: Account) -> Json:
    """Return what the kubelet's log and events said, as a whole."""
    return {
        "files": [
            {
                "source": file.source, "kind": file.kind, "records": file.records, "about_probes": len(file.said),
                "first": rfc3339(file.first_ns), "last": rfc3339(file.last_ns), "notes": list(file.notes),
                "offset_s": seconds(offset.ns), "offset_within_s": seconds(offset.within_ns),
                "offset_pairs": offset.pairs, "offset_from": offset.taken_from or file.source,
                "offset_rivals_s": [seconds(rival) for rival in offset.rivals],
            }
            for file, offset in zip(account.files, account.offsets, strict=True)
        ],
        "joined": account.joined,
        "outside": account.outside,
        "unplaced": account.unplaced,
        "decisions": [
            {
                "time": rfc3339(beside.ns), "probe": beside.probe, "attempt": beside.attempt, "initial": beside.initial,
                "said": utterance_object(beside.said),
            }
            for beside in account.decisions
        ],
        "differences": [
            {
                "kind": difference.clash.value, "explained": difference.clash in EXPLAINED, "sentence": difference.sentence,
                "probe": difference.probe, "attempts": list(difference.attempts), "time": rfc3339(difference.ns),
                "source": difference.source or None, "count": difference.count,
            }
            for difference in account.differences
        ],
    }  # fmt: skip


def evidence_objects(evidence: Iterable[Evidence]) -> list[Json]:
    """Return frames of inputs that show something."""
    return [{"capture": item.file, "frames": [item.first, item.last]} for item in evidence]


def full_probe(probe: Probe) -> Json:
    """Return a probe with everything it owns."""
    made = probe_object(probe)
    made["attempts"] = sorted(map(attempt_object, probe.attempts), key=attempt_order)
    made["gaps"] = sorted(map(gap_object, probe.gaps), key=canonical)
    made["decisions"] = sorted(map(decision_object, probe.decisions), key=decision_order)
    made["summary"] = summary_object(probe)
    return made


def document(timeline: Timeline) -> Json:
    """Return the whole document. For large timelines `write` needs less memory."""
    made = _frame(timeline)
    made["probes"] = sorted(map(full_probe, timeline.probes), key=probe_order)
    return valid_object(made)


def write(timeline: Timeline, out: Callable[[str], object]) -> None:
    """Write the document as ASCII JSON text, one attempt a line; only one attempt's objects are held at a time."""
    out("{")
    for number, (key, value) in enumerate(_frame(timeline).items()):
        out(("," if number else "") + f"\n  {encode(key)}: ")
        if key == "probes":
            _write_list(sorted(timeline.probes, key=lambda p: probe_order({"id": p.id})), out, 2, _write_probe)
        elif isinstance(value, list):
            _write_list(value, out, 2, lambda item, put: put(encode(item)))
        else:
            out(encode(value))
    out("\n}\n")


def _write_probe(probe: Probe, out: Callable[[str], object]) -> None:
    def one(item: Json, put: Callable[[str], object]) -> None:
        put(encode(item))

    made = full_probe(replace(probe, attempts=())) | {"summary": summary_object(probe)}
    out("{")
    for number, (key, value) in enumerate(made.items()):
        out(("," if number else "") + f"\n      {encode(key)}: ")
        if key == "attempts":
            _write_list(map(attempt_object, sorted(probe.attempts, key=lambda a: a.n)), out, 6, one)
        elif key in ("gaps", "decisions"):
            _write_list(value, out, 6, one)
        else:
            one(value, out)
    out("\n    }")


def _write_list(
    items: Iterable[Any],
    out: Callable[[str], object],
    indent: int,
    write_one: Callable[[Any, Callable[[str], object]], object],
) -> None:
    out("[")
    any_yet = False
    for item in items:
        out(("," if any_yet else "") + "\n" + " " * (indent + 2))
        write_one(item, out)
        any_yet = True
    out("\n" + " " * indent + "]" if any_yet else "]")


def _frame(timeline: Timeline) -> Json:
    made: Json = {
        "schema": SCHEMA,
        "captures": [capture_object(info) for info in timeline.captures],
        "verdicts": verdict_objects(timeline),
        "probes": [],
        "others": sorted(map(other_object, timeline.others), key=canonical),
        "events": sorted(map(event_object, timeline.events), key=canonical),
        "rollouts": list(map(rollout_object, timeline.rollouts)),
        "findings": list(map(finding_object, timeline.findings)),
        "notes": list(timeline.notes),
    }
    if timeline.kubelet is not None:
        made["kubelet"] = account_object(timeline.kubelet)
    return made


def probe_order(probe: Json) -> tuple[Any, ...]:
    """Sort probes by the numbers in their ids: p2 before p10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", probe["id"]))


def attempt_order(attempt: Json) -> int:
    """Sort attempts by number."""
    number: int = attempt["n"]
    return number


def decision_order(decision: Json) -> tuple[Any, ...]:
    """Sort decisions by time, then by deciding attempt."""
    return decision["time"] or "", decision["attempt"], decision["kind"]


def canonical(item: Json) -> tuple[Any, ...]:
    """Sort gaps, events and other traffic: by time where it has one, then by its text."""
    return item.get("time") or item.get("from") or "", json.dumps(item, sort_keys=True)
