"""Specs inferred from packets alone, held against what really ran."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import probewatch
from probewatch.cluster import read_specs
from probewatch.model.finding import Held
from probewatch.model.measure import Measure
from probewatch.model.spec import DEFAULTS, Handler, PodSpec, ProbeSpec, ProbeType
from probewatch.model.timeline import Probe, Timeline
from probewatch.report import specyaml
from probewatch.verify.inferred import Confidence, Inferred, InferredProbe, infer, infer_probe
from probewatch.verify.names import declared_value

SURE = (Confidence.READ, Confidence.SHOWN)


def capture_of(scenario: Path) -> Path:
    """Return the capture that shows all of a scenario's Pods."""
    several = len(list(scenario.glob("pod*.yaml"))) > 1
    named = ("tun0.pcap", "capture.pcap") if several else ("capture.pcap", "tun0.pcap")
    return next(scenario / name for name in named if (scenario / name).is_file())


@cache
def inferred(scenario: Path, *, keys: bool) -> Inferred:
    """Infer a scenario's specs, with or without the keys that lie there."""
    keylog = scenario / "keys.log"
    return probewatch.infer_spec(capture_of(scenario), keylog=keylog if keys and keylog.is_file() else None)


def true_probes(scenario: Path) -> list[tuple[PodSpec, ProbeSpec]]:
    """Return every probe that ran, exec apart."""
    pods = [pod for path in sorted(scenario.glob("pod*.yaml")) for pod in read_specs(str(path))]
    return [(pod, spec) for pod in pods for container in pod.containers for spec in container.probes if spec.handler is not Handler.EXEC]


def candidates(one: InferredProbe, true: list[tuple[PodSpec, ProbeSpec]]) -> list[ProbeSpec]:
    """Return the true probes that an inferred one may be: by address, port, handler and path as far as they are claimed."""
    target = one.probe.target
    alone = len({id(pod) for pod, _ in true}) == 1
    found = [spec for pod, spec in true if (alone or target.address in pod.addresses) and spec.port == target.port]
    for name in ("handler", "path", "service"):
        field = one.field(name)
        if field is not None and field.confidence in SURE:
            found = [spec for spec in found if getattr(spec, name) == field.value]
    return found


def probes(found: Inferred) -> list[InferredProbe]:
    """Return all probes of all Pods."""
    return [one for pod in found.pods for container in pod.containers for one in container.probes]


@pytest.mark.parametrize("keys", [False, True], ids=["encrypted", "keys"])
def test_what_is_claimed_is_true(kubelet_scenario: Path, keys: bool) -> None:
    """Each field said to be read or shown has the value that ran, and what is bounded contains it."""
    if keys and not (kubelet_scenario / "keys.log").is_file():
        pytest.skip("no keys here: the other run has said it all")
    true = true_probes(kubelet_scenario)
    for one in probes(inferred(kubelet_scenario, keys=keys)):
        mates = candidates(one, true)
        assert mates, f"{one.probe.id}: nothing that ran asks so"
        wrong = [mistakes(one, spec) for spec in mates]
        assert [] in wrong, f"{one.probe.id}: {min(wrong, key=len)}"


def mistakes(one: InferredProbe, spec: ProbeSpec) -> list[str]:
    """Return the fields of an inferred probe that a true one contradicts."""
    out = []
    measures = {measure.field: measure for measure in one.probe.measures}
    for field in one.fields:
        true = declared_value(spec, field.field, one.probe.target.address)
        if true is None:
            continue
        if field.confidence in SURE and field.field in DEFAULTS and field.value != true:
            out.append(f"{field.field} {field.value}, really {true}")
        if field.confidence is not Confidence.NOT_VISIBLE and not measures[field.field].allows(true):
            out.append(f"{field.field} {field.allowed}, really {true}")
    if spec.type not in one.types:
        out.append(f"type {one.types}, really {spec.type.value}")
    return out


def test_every_probe_that_ran_is_inferred(kubelet_scenario: Path) -> None:
    """No probe that a kubelet sent is left out, as far as ports tell."""
    found = probes(inferred(kubelet_scenario, keys=True))
    assert {spec.port for _, spec in true_probes(kubelet_scenario)} <= {one.probe.target.port for one in found}


def test_the_yaml_holds_for_its_own_capture(kubelet_scenario: Path, tmp_path: Path) -> None:
    """The YAML is read back, and `verify` of the same capture against it finds nothing that differs."""
    found = inferred(kubelet_scenario, keys=True)
    lines: list[str] = []
    specyaml.write(found, lines.append)
    path = tmp_path / "inferred.yaml"
    path.write_text("".join(lines), encoding="utf-8")
    if not found.pods:
        return
    pods = read_specs(str(path))
    known = [one for one in probes(found) if len(one.types) == 1]
    assert sum(len(container.probes) for pod in pods for container in pod.containers) == len(known)
    keys = kubelet_scenario / "keys.log"
    timeline = probewatch.verify(capture_of(kubelet_scenario), spec=path, keylog=keys if keys.is_file() else None)
    assert [f.sentence for f in timeline.findings if f.held is Held.FAIL] == []


def probe_with(make, *measures: Measure, **more: object) -> Probe:
    """Return a kubelet's probe of which the packets say just this."""
    made: Timeline = make(**({"type": ProbeType.UNKNOWN, "type_source": "unknown: nothing tells", "spec": None} | more))
    return replace(made.probes[0], measures=measures)


def number(field: str, **bounds: object) -> Measure:
    """Return a measured number."""
    return Measure(field=field, number=True, **bounds)


@pytest.mark.parametrize(("bounds", "value", "confidence"), [
    ({"low": 7, "high": 7}, 7, Confidence.SHOWN),
    ({"high": 5}, 3, Confidence.BOUNDED),
    ({"high": 2}, 2, Confidence.BOUNDED),
    ({"low": 4}, 4, Confidence.BOUNDED),
    ({"low": 4, "high": 9}, 4, Confidence.BOUNDED),
    ({"low": 2, "high": 5, "holes": (3,)}, 4, Confidence.BOUNDED),
    ({"low": 2, "high": 5, "holes": (3, 4)}, 5, Confidence.BOUNDED),
    ({}, 3, Confidence.NOT_VISIBLE),
])
def test_a_number_is_the_pinned_one_else_the_default_else_the_nearest(make, bounds, value, confidence) -> None:
    """The value written is one that the packets allow, and the word says how much they say."""
    field = infer_probe(probe_with(make, number("failureThreshold", **bounds))).field("failureThreshold")
    assert field is not None
    assert (field.value, field.confidence) == (value, confidence)
    assert field.reason


def test_what_a_startup_probe_survived_is_what_it_failed_in_a_row(make) -> None:
    """Five failures before the success were no threshold, so one more is written; the one that it was read with (30) is no sign of any."""
    more = {"type": ProbeType.STARTUP, "thresholds": {"failureThreshold": (30, "inferred")}}
    for letters, value in (("fffffs", 6), ("ffs", 3)):
        field = infer_probe(probe_with(make, number("failureThreshold", low=2), letters=letters, **more)).field("failureThreshold")
        assert field is not None
        assert (field.value, field.confidence) == (value, Confidence.BOUNDED)
        assert "29" not in field.reason


@pytest.mark.parametrize(("words", "source", "kind", "types", "confidence"), [
    (("readiness",), "unknown: x", ProbeType.UNKNOWN, (ProbeType.READINESS,), Confidence.SHOWN),
    (("readiness", "liveness"), "inferred: x", ProbeType.LIVENESS, (ProbeType.LIVENESS,), Confidence.LIKELY),
    (("readiness", "liveness"), "unknown: x", ProbeType.UNKNOWN, (ProbeType.READINESS, ProbeType.LIVENESS), Confidence.NOT_VISIBLE),
    (("readiness",), "inferred: x", ProbeType.LIVENESS, (ProbeType.READINESS,), Confidence.SHOWN),
    ((), "declared", ProbeType.LIVENESS, (ProbeType.READINESS, ProbeType.LIVENESS), Confidence.NOT_VISIBLE),
])
def test_a_type_is_known_from_what_it_did_alone(make, words, source, kind, types, confidence) -> None:
    """A declared type is no sign; what only one type does is; what is not excluded is likely at most."""
    found = infer_probe(probe_with(make, Measure(field="type", words=words), type=kind, type_source=source))
    field = found.field("type")
    assert field is not None
    assert (found.types, field.confidence) == (types, confidence)


def test_one_that_only_failed_may_be_a_startup_probe(make) -> None:
    """A startup probe ends with its first success: one that went on after that is none."""
    assert infer_probe(probe_with(make, letters="fff")).types == (ProbeType.STARTUP, ProbeType.READINESS, ProbeType.LIVENESS)
    assert infer_probe(probe_with(make, letters="fsf")).types == (ProbeType.READINESS, ProbeType.LIVENESS)


def test_two_attempts_show_no_period(make) -> None:
    """One pause may be another probe's doing."""
    two = infer_probe(probe_with(make, number("periodSeconds", low=1, high=1), letters="ss")).field("periodSeconds")
    three = infer_probe(probe_with(make, number("periodSeconds", low=1, high=1), letters="sss")).field("periodSeconds")
    assert two is not None
    assert three is not None
    assert (two.confidence, three.confidence) == (Confidence.LIKELY, Confidence.SHOWN)


def test_an_unproven_kubelet_shows_less(make) -> None:
    """What is concluded from how kubelets act is likely at most where nothing proves one; what is read stays read."""
    probe = probe_with(make, Measure(field="type", words=("readiness",)), Measure(field="path", words=("/ready",)))
    unproven = replace(probe, checker=replace(probe.checker, kind="unknown", could_be=("kubelet", "consul")))
    found = infer_probe(unproven)
    said = {field.field: field.confidence for field in found.fields}
    assert (said["path"], said["type"]) == (Confidence.READ, Confidence.LIKELY)
    assert not found.proven


@pytest.mark.parametrize("address", ["10.128.0.10", "fd00:10:128::a"])
def test_containers_have_no_type_twice(make, address) -> None:
    """Two readiness probes of one address stand in two containers, those of one port together; other checkers are counted."""
    one = probe_with(make)
    parts = [(8080, "readiness"), (9090, "readiness"), (9090, "liveness")]
    target = replace(one.target, address=address, pod=None, container=None)
    made = [
        replace(one, id=f"p{n}", target=replace(target, port=port), measures=(Measure(field="type", words=(kind,)),))
        for n, (port, kind) in enumerate(parts)
    ]
    other = replace(one, id="p9", checker=replace(one.checker, kind="haproxy"))
    found = infer(Timeline(probes=(*made, other)))
    assert [[p.probe.id for p in c.probes] for pod in found.pods for c in pod.containers] == [["p0"], ["p1", "p2"]]
    assert [probe.id for probe in found.left_out] == ["p9"]
