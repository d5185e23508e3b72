"""Ladders as JSON: `probewatch.ladder/1`, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.frame import CaptureInfo
from ..model.ladder import Ladder, Rail, Step
from .document import attempt_object, capture_object, decision_object
from .jsontext import Json, valid_object
from .kubelet_says import kubelet_says
from .numbers import rfc3339, seconds

SCHEMA: Final = "probewatch.ladder/1"


def document(ladders: Sequence[Ladder], captures: Sequence[CaptureInfo]) -> Json:
    """Return ladders as plain dicts and lists."""
    return valid_object(
        {
            "schema": SCHEMA,
            "captures": [capture_object(info) for info in captures],
            "ladders": [_ladder(ladder) for ladder in ladders],
        }
    )


def _ladder(ladder: Ladder) -> Json:
    probe, attempt = ladder.probe, ladder.attempt
    start = attempt.start.ns
    return {
        "probe": probe.id,
        "type": probe.type.value,
        "handler": probe.handler.value,
        "target": {"address": probe.target.address, "port": probe.target.port, "pod": probe.target.pod},
        "attempt": attempt_object(attempt),
        "decisions": [decision_object(decision) for decision in ladder.decisions],
        "deadline_s": seconds(None if ladder.deadline_ns is None else ladder.deadline_ns - start),
        "kubelet_says": kubelet_says(probe, attempt) or None,
        "places": [{"capture": place.file, "name": place.name} for place in ladder.places],
        "connections": [_rail(rail, start) for rail in ladder.connections],
        "steps": [_step(step, start) for step in ladder.steps],
        "left_out": ladder.left_out,
        "frames": {str(file): [list(run) for run in runs] for file, runs in ladder.frames().items()},
        "notes": list(ladder.notes),
    }


def _rail(rail: Rail, start: int) -> Json:
    return {
        "role": rail.role.value,
        "client": rail.client,
        "client_port": rail.client_port,
        "server": rail.server,
        "server_port": rail.server_port,
        "state": rail.state,
        "history": rail.history,
        "tls": rail.tls or None,
        "phases": [
            {
                "kind": phase.kind.value,
                "start_s": seconds(phase.start_ns - start),
                "end_s": seconds(phase.end_ns - start),
                "done": phase.done,
            }
            for phase in rail.phases
        ],
    }


def _step(step: Step, start: int) -> Json:
    return {
        "at_s": seconds(step.mark.ns - start),
        "kind": step.kind.value,
        "way": step.way.value,
        "connection": step.connection,
        "name": step.name,
        "bytes": step.length,
        "said": [{"text": one.text, "layer": one.layer, "decrypted": one.decrypted} for one in step.said],
        "by": step.by or None,
        "notes": list(step.notes),
        "seen": [
            {"place": seen.place, "capture": seen.mark.file, "frame": seen.mark.number, "time": rfc3339(seen.mark.ns)}
            for seen in step.seen
        ],
    }
