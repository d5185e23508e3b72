"""`probewatch whatif` as people and programs meet it. What its tables look like is held by docs/whatif.md (tests/test_docs.py)."""

from __future__ import annotations

import json
import re
import struct
from functools import partial
from pathlib import Path

import pytest

from probewatch.cli import main
from probewatch.report import whatif as report
from probewatch.report.escape import width
from probewatch.report.whatif_document import document
from probewatch.verify.whatif import Settings, whatif

ROOT = Path(__file__).parents[2]
SLOW = ROOT / "captures" / "http-timeout"
SIX = ROOT / "captures" / "http-ipv6"


@pytest.fixture
def run(run):
    """Return a function that runs this command."""
    return partial(run, "whatif")


@pytest.mark.parametrize("arguments", [
    ("--timeout", "0"), ("--timeout", "2.5"), ("--timeout", "soon"), ("--period", "0"), ("--failure-threshold", "99999999999"),
    ("--initial-delay", "-1"), ("--probe", "p99"), ("--since", "yesterday"), ("-o", "wide"),
])
def test_bad_usage_is_one_sentence_and_status_2(run, arguments) -> None:
    """What cannot be asked for is said in one line, and nothing is printed."""
    done = run(SLOW / "capture.pcap", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("probewatch: ")
    assert done.err.count("\n") == 1


def test_a_cut_capture_is_status_3(run) -> None:
    """What was whole is replayed, the status says that it is not all, and the note says where it broke."""
    done = run(ROOT / "captures" / "malformed" / "cut-record-header.pcap", "--timeout", "3")
    assert done.status == 3
    assert "cut in frame 201" in done.err
    assert done.out


@pytest.mark.parametrize("scenario", [SLOW, SIX], ids=["v4", "v6"])
@pytest.mark.parametrize("arguments", [(), ("--timeout", "3"), ("--period", "3"), ("--failure-threshold", "1", "--initial-delay", "4")])
def test_every_field_is_documented(run, scenario, arguments) -> None:
    """Each key of the JSON document stands in docs/whatif.md, and the table names none that is not there."""
    told = json.loads(run(scenario / "capture.pcap", "--spec", scenario / "pod.yaml", *arguments, "-o", "json").out)
    assert told["schema"] == "probewatch.whatif/1"
    page = (ROOT / "docs" / "whatif.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", page.partition("## JSON")[2], flags=re.MULTILINE))
    there = set(_paths(told, ""))
    assert there - documented == set()
    if arguments:
        assert {path for path in documented if not path.startswith("left_out[]")} - there <= {"best.decisions[]", "worst.decisions[]"}


def _paths(value, where):
    """Name each field by its path; what `analyze -o json` documents (captures), and the inside of equal shapes, is named once."""
    if isinstance(value, list):
        for item in value[:1]:
            yield from _paths(item, f"{where}[]")
        return
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        path = f"{where}.{key}" if where else key
        if where.endswith("settings") or path.startswith("asked."):
            yield from _paths(inner, f"{where}.FIELD")
            continue
        yield path
        if key not in ("captures", "worst", "times_recorded"):
            yield from _paths(inner, path)


def test_tables_fit_and_are_harmless(capture_file, capsys) -> None:
    """Of every capture, whole or damaged: at most 100 columns of printable text, or one sentence and status 2."""
    for arguments in (("--timeout", "3"), ("--period", "3", "--failure-threshold", "2")):
        named = ["whatif", str(capture_file), *arguments]
        for spec in sorted(capture_file.parent.glob("pod*.yaml")):
            named += ["--spec", str(spec)]
        status = main(named)
        said = capsys.readouterr()
        if status == 2:
            assert said.out == ""
            continue
        for line in said.out.splitlines():
            assert width(line) <= 100
            assert line.isprintable()


def test_since_and_until_choose_what_is_told(run) -> None:
    """Decisions outside the stretch are not told; those inside are the same as without it."""
    scenario = (SLOW / "capture.pcap", "--spec", SLOW / "pod.yaml", "--failure-threshold", "2", "-o", "json")
    whole = json.loads(run(*scenario).out)["probes"][0]
    part = json.loads(run(*scenario, "--since", "+10", "--until", "+20").out)["probes"][0]
    assert [d["attempt"] for d in whole["best"]["decisions"]] == [1, 7, 13]
    assert part["best"]["decisions"] == whole["best"]["decisions"][1:2]
    assert [d["attempt"] for d in part["recorded"]["decisions"]] == [8]


def test_the_verdict_says_what_the_table_shows(run, tmp_path) -> None:
    """A capture that begins in the midst of an outage that another timeout would have spared: none is left, none is said to be."""
    whole = (SLOW / "capture.pcap").read_bytes()
    kept, at = [whole[:24]], 24
    first = struct.unpack_from("<I", whole, at)[0]
    while at < len(whole):
        second, _, size = struct.unpack_from("<III", whole, at)
        if second >= first + 15:
            kept.append(whole[at : at + 16 + size])
        at += 16 + size
    slice_ = tmp_path / "slice.pcap"
    slice_.write_bytes(b"".join(kept))
    out = run(slice_, "--spec", SLOW / "pod.yaml", "--timeout", "3").out
    assert "would have been Ready at the beginning of what is shown (recorded: NotReady until +11." in out
    assert "the same decisions" not in out
    assert re.search(r"Ready +#\d+ +–\n", out)


def test_out_of_service_is_what_analyze_says(run) -> None:
    """The recorded time out of service is that of the table of `analyze`."""
    told = json.loads(run(SLOW / "capture.pcap", "--spec", SLOW / "pod.yaml", "--timeout", "3", "-o", "json").out)["probes"][0]
    assert (told["recorded"]["out_of_service_s"], told["best"]["out_of_service_s"]) == (8.044102, 0.0)


def test_hostile_text_is_written_out() -> None:
    """Names from outside that hold control characters reach neither terminal nor JSON raw."""
    import probewatch

    evil = "\x1b]0;owned\x07\n\u202e\ud800"
    timeline = probewatch.analyze(SLOW / "capture.pcap", spec=SLOW / "pod.yaml")
    from dataclasses import replace

    probe = timeline.probes[0]
    bad = replace(probe, target=replace(probe.target, pod=evil, namespace=evil), path=evil)
    other = replace(probe, id="p2", type=probewatch.model.spec.ProbeType.UNKNOWN, checker=replace(probe.checker, kind=evil, address=evil))
    made = replace(timeline, probes=(bad, other))
    found = whatif(made, Settings(timeout_s=3))
    lines: list[str] = []
    report.write(made, found, lines.append)
    assert all(line.rstrip("\n").isprintable() for line in lines)
    json.dumps(document(made, found)).encode("ascii")
    assert "\ud800" not in json.dumps(document(made, found), ensure_ascii=False)
