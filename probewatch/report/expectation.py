"""Expectations as the YAML file that `cluster.read_expectations` reads: what `verify --write-expect` prints.

Text out of packets and manifests (paths, names) is written in double quotes with escapes, so that nothing in it can
be read as YAML. Reading the file again gives the same expectations, notes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ..model.expectation import (
    AT_LEAST_ONE,
    CAPTURE_START,
    Decided,
    Expectations,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Run,
    Selector,
)
from ..model.timeline import Cause, DecisionKind
from ..model.units import decimal
from .escape import safe
from .scalar import scalar

SCHEMA: Final = "probewatch.expect/1"

_HEAD: Final = """\
# What is expected of probes, made from {source} by probewatch (verify --write-expect).
# Each number leaves room for another run of the same test. Delete what does not matter, and tighten what does.
# The keys are described in docs/expect.md.
"""

_SELECTOR_KEYS: Final = {"checker_address": "checkerAddress"}


def write(expectations: Expectations, out: Callable[[str], object], *, made_from: str = "a capture") -> None:
    """Write expectations as YAML; `made_from` names the capture in the first line."""
    out(_HEAD.format(source=safe(made_from)))
    out(f"schema: {SCHEMA}\n")
    for key, counts in (
        ("otherProbes", expectations.other_probes),
        ("otherConnections", expectations.other_connections),
    ):
        if counts is not None:
            out(f"{key}: {_counts(counts)}\n")
    out("probes:" + ("" if expectations.probes else " []") + "\n")
    for entry in expectations.probes:
        _write_entry(entry, out)


def _write_entry(entry: ProbeExpectation, out: Callable[[str], object]) -> None:
    out(f"\n- probe: {_selector(entry.selector)}\n")
    for line in entry.note.splitlines():
        out(f"  # {safe(line)}\n")
    for key, text in _keys(entry):
        out(f"  {key}: {text}\n")
    for key, decisions in (("decisions", entry.decisions), ("decisionsContain", entry.decisions_contain)):
        if decisions is not None:
            out(f"  {key}:{'' if decisions else ' []'}\n")
            for decision in decisions:
                out(f"  - {_decision(decision)}\n")
    if entry.decided is not None:
        out("  decided:\n")
        for each in entry.decided:
            out(f"  - {_decided(each)}\n")


def _keys(entry: ProbeExpectation) -> Iterable[tuple[str, str]]:
    """Yield the keys that stand on one line, in the order of docs/expect.md."""
    keys: tuple[tuple[str, Any, Callable[[Any], str]], ...] = (
        ("count", entry.count if entry.count != AT_LEAST_ONE else None, _counts),
        ("attempts", entry.attempts, _counts),
        ("missed", entry.missed, _counts),
        ("outcomes", entry.outcomes, _runs),
        ("outcomesContain", entry.outcomes_contain, _runs),
        ("causes", entry.causes, _values),
        ("causesInOrder", entry.causes_in_order, _runs),
        ("never", entry.never, _values),
        ("readyWithinSeconds", entry.ready_within, decimal),
        ("startedWithinSeconds", entry.started_within, decimal),
        ("outOfServiceSeconds", entry.out_of_service, _times),
        ("latencySeconds", entry.latency, _latency),
        ("periodSeconds", entry.period, _pace),
        ("timeoutSeconds", entry.timeout, _pace),
        ("state", entry.state, scalar),
        ("source", entry.sources, _list),
        ("node", entry.node, scalar),
    )
    return ((key, text(value)) for key, value, text in keys if value is not None)


def _selector(selector: Selector) -> str:
    given = selector.given().items()
    return _mapping((_SELECTOR_KEYS.get(name, name), scalar(value)) for name, value in given)


def _decision(decision: ExpectedDecision) -> str:
    pairs = [("kind", scalar(decision.kind.value))]
    if decision.since_start is not None:
        pairs.append(("sinceStartSeconds", _times(decision.since_start)))
    if decision.since_previous is not None:
        pairs.append(("sincePreviousSeconds", _times(decision.since_previous)))
    return _mapping(pairs)


def _decided(decided: Decided) -> str:
    pairs = [("kind", scalar(decided.kind.value)), ("seconds", _times(decided.time))]
    if decided.after != CAPTURE_START:
        pairs.append(("after", scalar(str(decided.after))))
    return _mapping(pairs)


def _latency(bounds: LatencyBounds) -> str:
    pairs = (("p50", bounds.p50), ("p99", bounds.p99), ("max", bounds.max))
    return _mapping((name, decimal(ns)) for name, ns in pairs if ns is not None)


def _runs(pattern: Iterable[Run]) -> str:
    return _list(run.text for run in pattern)


def _values(words: Iterable[Cause | DecisionKind]) -> str:
    return _list(word.value for word in words)


def _pace(pace: Pace) -> str:
    return _mapping([("value", decimal(pace.value)), ("within", decimal(pace.within))])


def _counts(wanted: Range) -> str:
    return _mapping((name, str(n)) for name, n in (("min", wanted.low), ("max", wanted.high)) if n is not None)


def _times(wanted: Range) -> str:
    return _mapping((name, decimal(ns)) for name, ns in (("min", wanted.low), ("max", wanted.high)) if ns is not None)


def _mapping(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {text}" for key, text in pairs) + "}"


def _list(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(scalar, texts)) + "]"
