"""`probewatch spec` as people and programs meet it. What it looks like is held by docs/spec.md (tests/test_docs.py)."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
import yaml

from probewatch.cli import main

ROOT = Path(__file__).parents[2]
FLAP = ROOT / "captures" / "http-flap-s1"
SIX = ROOT / "captures" / "http-ipv6"


@pytest.fixture
def run(run):
    """Return a function that runs this command."""
    return partial(run, "spec")


@pytest.mark.parametrize("arguments", [("-o", "table"), ("--spec", "missing.yaml"), ("--keylog", "missing"), ("--probe", "p1")])
def test_bad_usage_is_one_sentence_and_status_2(run, arguments) -> None:
    """What cannot be asked for is said in one line, and nothing is printed."""
    done = run(FLAP / "capture.pcap", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("probewatch: ")
    assert done.err.count("\n") == 1


def test_a_cut_capture_is_status_3(run) -> None:
    """What was whole is told, and the status says that it is not all."""
    done = run(ROOT / "captures" / "malformed" / "cut-record-header.pcap")
    assert done.status == 3
    assert "cut in frame 201" in done.err
    yaml.safe_load(done.out)


def test_every_capture_gives_yaml(capture_file, capsys) -> None:
    """Of every capture, whole or damaged: YAML of printable lines, or one sentence and status 2."""
    status = main(["spec", str(capture_file)])
    said = capsys.readouterr()
    if status == 2:
        assert said.out == ""
        assert said.err.count("\n") == 1
        return
    assert all(line.isprintable() for line in said.out.split("\n"))
    yaml.safe_load(said.out)


@pytest.mark.parametrize("scenario", [FLAP, SIX], ids=["v4", "v6"])
@pytest.mark.parametrize("declared", [False, True])
def test_every_field_is_documented(run, scenario, declared) -> None:
    """Each key of the JSON document stands in docs/spec.md, and the page names none that is not there."""
    told = json.loads(run(scenario / "capture.pcap", *(("--spec", scenario / "pod.yaml") if declared else ()), "-o", "json").out)
    assert told["schema"] == "probewatch.spec/1"
    assert (told["differences"] is not None) is declared
    page = (ROOT / "docs" / "spec.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", page.partition("## JSON")[2], flags=re.MULTILINE))
    there = set(_paths(told, ""))
    assert there - documented == set()
    if declared:
        assert {path for path in documented if not path.startswith("left_out[]")} == there


def _paths(value, where):
    """Name each field by its path; what `analyze -o json` documents is named once."""
    if isinstance(value, list):
        for item in value[:1]:
            yield from _paths(item, f"{where}[]")
        return
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        path = f"{where}.FIELD" if where.endswith(".fields") else f"{where}.{key}" if where else key
        if not where.endswith(".fields"):
            yield path
        if key not in ("captures", "checker", "evidence"):
            yield from _paths(inner, path)
