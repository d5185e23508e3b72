"""Inferred specs as text: YAML that means what was seen whatever the text holds, tables, JSON. UPDATE_GOLDENS=1 rewrites the goldens.

Covers `report.specyaml`, `report.specdiff`, `report.spec_document`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import probewatch
from probewatch.cluster import read_specs
from probewatch.model.finding import Finding, Held
from probewatch.model.measure import Measure
from probewatch.model.spec import ProbeType
from probewatch.model.timeline import Probe, Timeline
from probewatch.report import specdiff, specyaml
from probewatch.report.scalar import scalar
from probewatch.report.spec_document import document
from probewatch.verify.differences import Difference, Verdict, differences
from probewatch.verify.inferred import Inferred, InferredContainer, InferredPod, infer, infer_probe

ROOT = Path(__file__).parents[2]
CAPTURES = ROOT / "captures"
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "/\x1b]0;owned\x07\n- x: &a [1]\r\u2028\u202e#'\"\\ \x7f\x85\ufeff\U0001f600: |"


@pytest.fixture(scope="module")
def probe() -> Probe:
    """Return a probe to change."""
    analysis = probewatch.Analysis(CAPTURES / "http-ipv6" / "capture.pcap", measure=True)
    analysis.run()
    return analysis.timeline().probes[0]


def written(found: Inferred) -> str:
    """Return the YAML."""
    lines: list[str] = []
    specyaml.write(found, lines.append)
    return "".join(lines)


def one_pod(probe: Probe) -> Inferred:
    """Return a spec of one probe."""
    container = InferredContainer(name=None, probes=(infer_probe(probe),))
    return Inferred(pods=(InferredPod(address="fd00::1", name=None, namespace=None, containers=(container,)),))


def measured(probe: Probe, *measures: Measure) -> Probe:
    """Return a probe with some of its fields measured otherwise."""
    fields = {measure.field: measure for measure in (*probe.measures, *measures)}
    return replace(probe, measures=tuple(fields.values()))


@given(st.text())
def test_a_scalar_is_just_its_text(text: str) -> None:
    """Any text, written as YAML and read back, is the same text; in one line of printable ASCII."""
    made = scalar(text)
    assert yaml.safe_load(f"key: {made}  # comment")["key"] == text
    assert made.isascii()
    assert made.isprintable()


@given(path=st.text(min_size=1), name=st.text(), value=st.text(), why=st.text())
def test_text_from_the_wire_comes_back(probe: Probe, path: str, name: str, value: str, why: str) -> None:
    """Paths, headers and reasons of any characters: the YAML is read back with these very values, and holds no control character."""
    bad = measured(
        probe,
        Measure(field="path", words=(path,), why=why),
        Measure(field="httpHeaders", words=("x",), pairs=((name, value), ("X-Ok", value)), why=why),
    )
    text = written(one_pod(bad))
    assert all(line.isprintable() for line in text.split("\n"))
    asked = yaml.safe_load(text)["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    assert asked["path"] == path
    assert {"name": "X-Ok", "value": value} in asked["httpHeaders"]


def test_the_manifests_reader_takes_hostile_yaml(probe: Probe, tmp_path: Path) -> None:
    """What is written is a Pod that --spec reads, whatever the wire said; a header that Kubernetes refuses stands in a comment."""
    headers = (("X-Ok", HOSTILE), ("bad name:", "x"), ("Host", "web.example:8080"))
    bad = measured(
        probe,
        Measure(field="path", words=(HOSTILE,), why=HOSTILE),
        Measure(field="httpHeaders", words=("x", "y"), pairs=headers, why=HOSTILE),
    )
    path = tmp_path / "pod.yaml"
    text = written(one_pod(bad))
    path.write_text(text, encoding="utf-8")
    [pod] = read_specs(str(path))
    assert pod.addresses == ("fd00::1",)
    assert pod.containers[0].probes[0].headers == (("X-Ok", HOSTILE), ("Host", "web.example:8080"))
    assert "left out: a header 'bad name:'" in text
    assert "httpGet.host would send this Host too" in text
    assert max(map(len, text.splitlines())) <= 400


def test_a_path_that_is_too_long_is_a_comment(probe: Probe) -> None:
    """A path longer than our own reader takes is left out, and a comment says so."""
    text = written(one_pod(measured(probe, Measure(field="path", words=("/" + "x" * specyaml.MAX_PATH,)))))
    assert "path" not in yaml.safe_load(text)["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    assert "path left out: its 65537 characters" in text


def test_an_unknown_type_is_no_guess(probe: Probe) -> None:
    """Probes of unknown type stand under keys that Kubernetes refuses, each its own, with the keys that would fit."""
    unknown = measured(replace(probe, type=ProbeType.UNKNOWN, type_source="unknown: x"), Measure(field="type"))
    container = InferredContainer(name="app", probes=(infer_probe(unknown), infer_probe(unknown)))
    pod = InferredPod(address="10.0.0.1", name="null", namespace="on", containers=(container,))
    text = written(Inferred(pods=(pod,)))
    made = yaml.safe_load(text)
    assert list(made["spec"]["containers"][0]) == ["name", "unknownProbe", "unknownProbe2"]
    assert made["metadata"] == {"name": "null", "namespace": "on"}
    assert "rename unknownProbe to readinessProbe or livenessProbe" in text


def test_nothing_to_infer_is_said() -> None:
    """Without a kubelet's probe there are only comments, which count what else is there."""
    analysis = probewatch.Analysis(CAPTURES / "hap-openshift" / "cap.pcap", measure=True)
    analysis.run()
    text = written(infer(analysis.timeline()))
    assert yaml.safe_load(text) is None
    assert "haproxy 2" in text


@pytest.mark.parametrize("scenario", ["http-flap-s1", "grpc-flap", "http-headers", "http-ipv6", "https-503", "initial-delay", "rollout"])
def test_goldens(scenario: str) -> None:
    """What is printed is what is committed."""
    folder = CAPTURES / scenario
    name = next(name for name in ("capture.pcap", "tun0.pcap", "capture.pcap.gz") if (folder / name).is_file())
    text = written(probewatch.infer_spec(folder / name))
    golden = GOLDEN / f"{scenario}.spec.yaml"
    if os.environ.get("UPDATE_GOLDENS"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_a_wrong_spec_is_compared_field_by_field(tmp_path: Path) -> None:
    """Where another path is asked for than declared, all fields are compared; a probe that nothing declares is told."""
    wrong = tmp_path / "pod.yaml"
    true = (CAPTURES / "http-flap-s1" / "pod.yaml").read_text()
    wrong.write_text(true.replace("/flap", "/flop").replace("periodSeconds: 1", "periodSeconds: 3"))
    timeline = probewatch.verify(CAPTURES / "http-flap-s1" / "capture.pcap", spec=wrong)
    found = {one.finding.field: one.verdict for one in differences(timeline, read_specs(str(wrong)))}
    differ = [field for field, verdict in found.items() if verdict is Verdict.DIFFERS]
    assert differ == ["probed", "path", "periodSeconds"]
    assert (found["port"], found["successThreshold"], found["timeoutSeconds"]) == (Verdict.SAME, Verdict.FITS, Verdict.NOT_VISIBLE)


def test_columns_leave_room_for_the_longest_field(monkeypatch: pytest.MonkeyPatch, probe: Probe) -> None:
    """Where two fields are blamed together, their name is long: what is declared still stands apart from it."""
    field = "type or failureThreshold"
    finding = Finding(held=Held.FAIL, subject="liveness lab/web/app", field=field, sentence="No.", expected="liveness", observed="startup")
    monkeypatch.setattr(specdiff, "differences", lambda *_: [Difference(finding=finding, verdict=Verdict.DIFFERS)])
    lines: list[str] = []
    specdiff.write(Timeline(captures=(), probes=(probe,)), (), lines.append)
    table = "".join(lines).splitlines()
    head, row = (next(line for line in table if line.startswith(f"  {name}")) for name in ("field", field))
    assert f"{field}  liveness" in row
    assert head.index("declared") == row.index("liveness")


def test_a_true_spec_differs_in_nothing(kubelet_scenario: Path) -> None:
    """The table of what really ran has no difference, fits 100 columns and is harmless; the JSON document is valid."""
    specs = sorted(kubelet_scenario.glob("pod*.yaml"))
    named = ("tun0.pcap", "capture.pcap") if len(specs) > 1 else ("capture.pcap", "tun0.pcap")
    capture = next(kubelet_scenario / name for name in named if (kubelet_scenario / name).is_file())
    timeline = probewatch.verify(capture, spec=specs)
    pods = [pod for path in specs for pod in read_specs(str(path))]
    assert [one.finding.sentence for one in differences(timeline, pods) if one.verdict is Verdict.DIFFERS] == []
    lines: list[str] = []
    specdiff.write(timeline, pods, lines.append)
    assert all(len(line.rstrip("\n")) <= 100 and line.rstrip("\n").isprintable() for line in lines)
    json.dumps(document(timeline, infer(timeline), pods), allow_nan=False).encode("ascii")
