
"""`probewatch verify` as people and CI meet it: statuses, forms of output, expectations, annotations."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

import probewatch
from probewatch.cli import main

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "verify"
CAPTURES = Path(__file__).parents[2] / "captures"
FLAP = ROOT / "captures" / "http-flap-s1"
SIX = ROOT / "captures" / "http-ipv6"
CUT = ROOT / "captures" / "malformed" / "cut-record-header.pcap"


@pytest.fixture
def run(run, monkeypatch):
    """Return a function that runs this command, away from any CI's variables."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return partial(run, "verify")


def wrong(scenario: Path, where: Path) -> Path:
    """Write the scenario's manifest with a readiness period that it does not keep."""
    manifest = yaml.safe_load((scenario / "pod.yaml").read_text())
    manifest["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = 7
    (where / "wrong.yaml").write_text(yaml.safe_dump(manifest))
    return where / "wrong.yaml"


@pytest.fixture(params=[FLAP, SIX], ids=["v4", "v6"])
def scenario(request) -> Path:
    """Give a scenario of each family."""
    return request.param


def test_statuses(run, scenario, tmp_path) -> None:
    """3 while something stays open, 0 where that is allowed, 1 where something failed, whatever is allowed."""
    capture, spec = scenario / "capture.pcap", scenario / "pod.yaml"
    assert run(capture, "--spec", spec).status == 3
    assert run(capture, "--spec", spec, "--allow-inconclusive").status == 0
    assert run(capture, "--spec", wrong(scenario, tmp_path)).status == 1
    assert run(capture, "--spec", wrong(scenario, tmp_path), "--allow-inconclusive").status == 1


def test_nothing_to_verify_against_is_usage(run) -> None:
    """Without a spec, a cluster or expectations there is nothing to hold: one sentence, status 2."""
    done = run(FLAP / "capture.pcap")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "--spec" in done.err


@pytest.mark.parametrize("arguments", [("--spec", "nowhere.yaml"), ("--expect", "nowhere.yaml"), ("--spec", __file__), ("-o", "html")])
def test_unreadable_input_is_one_sentence(run, arguments) -> None:
    """What cannot be read is said in a sentence, status 2, without a traceback."""
    done = run(FLAP / "capture.pcap", *arguments)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_a_spec_without_probes_verifies_nothing(run, tmp_path) -> None:
    """No finding at all is no success: a gate that looked for nothing must not open."""
    manifest = yaml.safe_load((FLAP / "pod.yaml").read_text())
    del manifest["spec"]["containers"][0]["readinessProbe"]
    manifest["spec"]["containers"][0].pop("livenessProbe", None)
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(manifest))
    done = run(CUT, "--spec", tmp_path / "bare.yaml")
    assert done.status == 3
    assert "nothing was verified" in done.err


def test_a_cut_capture_is_not_done(run) -> None:
    """An input that breaks off is never status 0, however lenient."""
    assert run(CUT, "--spec", FLAP / "pod.yaml", "--allow-inconclusive").status == 3


@pytest.mark.parametrize("form", ["table", "wide"])
@pytest.mark.parametrize("which", ["true", "wrong"])
def test_the_table_is_the_committed_one(run, scenario, which, form, tmp_path, monkeypatch) -> None:
    """What people see is, byte for byte, what is committed."""
    monkeypatch.chdir(ROOT)
    spec = scenario / "pod.yaml" if which == "true" else wrong(scenario, tmp_path)
    said = run((scenario / "capture.pcap").relative_to(ROOT), "--spec", spec, *(("-o", "wide") if form == "wide" else ())).out
    path = GOLDEN / f"{scenario.name}.{which}.{form}.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


def test_json_is_the_timeline_with_its_findings(run, scenario, tmp_path) -> None:
    """-o json is probewatch.timeline/1, each finding with verdict, field and sentence."""
    told = json.loads(run(scenario / "capture.pcap", "--spec", wrong(scenario, tmp_path), "-o", "json").out)
    assert told["schema"] == "probewatch.timeline/1"
    failed = [one for one in told["findings"] if "periodSeconds" in one["field"] and "fail" in one.values()]
    assert failed
    assert {one["id"] for one in told["probes"]} >= {one["probe"] for one in failed}


def test_junit_counts_what_failed(run, scenario, tmp_path) -> None:
    """-o junit is XML, a test case for each finding, and its failures are those of the table."""
    done = run(scenario / "capture.pcap", "--spec", wrong(scenario, tmp_path), "-o", "junit")
    assert done.status == 1
    root = ET.fromstring(done.out)
    assert root.findall(".//testcase")
    assert root.findall(".//failure")


def test_github_annotations(capsys, monkeypatch, tmp_path) -> None:
    """The annotation is an error with the manifest's path, and the document is still whole."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert main(["verify", str(FLAP / "capture.pcap"), "--spec", str(wrong(FLAP, tmp_path)), "-o", "json", "-q"]) == 1
    said = capsys.readouterr()
    json.loads(said.out)
    assert "::error" in said.err
    assert "wrong.yaml" in said.err


def test_learnt_expectations_hold(run, scenario, tmp_path) -> None:
    """What --write-expect writes is met by the capture it was made from; a file that is there is left alone."""
    learnt = tmp_path / "expect.yaml"
    assert run(scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "--write-expect", learnt).status == 0
    before = learnt.read_bytes()
    again = run(scenario / "capture.pcap", "--write-expect", learnt)
    assert (again.status, learnt.read_bytes()) == (2, before)
    assert "is there already" in again.err
    done = run(scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "--expect", learnt, "--allow-inconclusive")
    assert done.status == 0


def test_learnt_expectations_on_standard_output(run, scenario, tmp_path) -> None:
    """`-` is standard output, and the same text; a directory that is not there is one sentence, status 2."""
    said = run(scenario / "capture.pcap", "--write-expect", "-")
    assert said.status == 0
    assert yaml.safe_load(said.out)
    done = run(scenario / "capture.pcap", "--write-expect", tmp_path / "no" / "where.yaml")
    assert done.status == 2
    assert "cannot be written" in done.err


def test_an_expectation_that_does_not_hold(run, tmp_path) -> None:
    """--expect alone is enough to verify against, and what it contradicts is status 1."""
    run(FLAP / "capture.pcap", "--write-expect", tmp_path / "expect.yaml")
    assert run(SIX / "capture.pcap", "--expect", tmp_path / "expect.yaml").status in (1, 3)


def test_an_empty_capture_passes_no_gate(run) -> None:
    """Where nothing at all passed, --allow-inconclusive makes no success of it: a broken recording keeps no gate green."""
    empty = CAPTURES / "malformed" / "global-header-only.pcap"
    assert run(empty, "--spec", FLAP / "pod.yaml").status == 3
    assert run(empty, "--spec", FLAP / "pod.yaml", "--allow-inconclusive").status == 3


def test_no_findings_are_no_pass() -> None:
    """Without findings nothing held; and the API, too, wants something to verify against."""
    assert probewatch.worst(()) is probewatch.Held.INCONCLUSIVE
    with pytest.raises(probewatch.InputError, match="nothing to verify against"):
        probewatch.verify(FLAP / "capture.pcap")
