"""Inferred specs as the JSON document `probewatch.spec/1`: plain dicts. docs/spec.md lists the fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..model.spec import PodSpec
from ..model.timeline import Timeline
from ..verify.differences import Difference, differences
from ..verify.inferred import Inferred, InferredContainer, InferredField, InferredPod, InferredProbe
from .document import capture_object, evidence_objects, probe_object
from .jsontext import Json, valid_object

SCHEMA: Final = "probewatch.spec/1"


def document(timeline: Timeline, found: Inferred, pods: Sequence[PodSpec] = ()) -> Json:
    """Return the whole document; with Pods the timeline has the findings on them."""
    made: Json = {
        "schema": SCHEMA,
        "captures": [capture_object(info) for info in timeline.captures],
        "pods": [_pod(pod) for pod in found.pods],
        "left_out": [{"id": probe.id, "checker": probe.checker.kind} for probe in found.left_out],
        "differences": [_difference(one) for one in differences(timeline, pods)] if pods else None,
        "notes": list(timeline.notes),
    }
    return valid_object(made)


def _pod(pod: InferredPod) -> Json:
    return {
        "address": pod.address,
        "namespace": pod.namespace,
        "name": pod.name,
        "containers": [_container(container) for container in pod.containers],
    }


def _container(container: InferredContainer) -> Json:
    return {"name": container.name, "probes": [_probe(one) for one in container.probes]}


def _probe(one: InferredProbe) -> Json:
    return {
        "id": one.probe.id,
        "checker": probe_object(one.probe)["checker"],
        "types": [kind.value for kind in one.types],
        "handler": one.handler.value,
        "attempts": len(one.probe.attempts),
        "fields": {field.field: _field(field) for field in one.fields},
    }


def _field(field: InferredField) -> Json:
    value: Any = field.value
    if isinstance(value, tuple):
        value = [{"name": name, "value": text} for name, text in value]
    return {
        "value": value,
        "confidence": field.confidence.value,
        "reason": field.reason,
        "allowed": field.allowed or None,
        "evidence": evidence_objects(field.evidence),
    }


def _difference(one: Difference) -> Json:
    return {
        "subject": one.finding.subject,
        "probe": one.finding.probe,
        "field": one.finding.field,
        "declared": one.finding.expected or None,
        "observed": one.finding.observed or None,
        "verdict": one.verdict.value,
        "reason": one.finding.sentence,
        "source": one.finding.source or None,
        "evidence": evidence_objects(one.finding.evidence),
    }
