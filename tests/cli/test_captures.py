"""Every capture of the tree through the whole command line, and the tables of the project's own ones as they are committed.

`UPDATE_GOLDENS=1 pytest tests/cli/test_captures.py` writes the tables anew; read the difference before you commit it.

Covers `cli`, `observer`, `report`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from probewatch.cli import main
from probewatch.report import ndjson
from probewatch.report.escape import width

GOLDEN = Path(__file__).parent / "golden"
OWN = Path(__file__).parents[2] / "captures"
SCENARIOS = sorted(path.parent.name for path in OWN.glob("*/capture.pcap"))


def arguments_for(capture: Path) -> list[str]:
    """Return the capture with the specs, the cluster and the keys that lie beside it."""
    named = [str(capture)]
    for spec in sorted(capture.parent.glob("pod*.yaml")):
        named += ["--spec", str(spec)]
    cluster = capture.parent / "cluster.json"
    named += ["--cluster", str(cluster)] if cluster.is_file() else []
    keys = capture.parent / "keys.log"
    return [*named, "--keylog", str(keys)] if keys.is_file() else named


def test_every_capture_ends_in_a_result_or_a_sentence(capture_file, capsys, validator) -> None:
    """Whole or damaged: json fits the schema, ndjson folds to it, the table fits 100 columns; or one sentence and status 2."""
    arguments = ["analyze", *arguments_for(capture_file)]
    status = main([*arguments, "-o", "json"])
    said = capsys.readouterr()
    if status == 2:
        for output in ("json", "ndjson", "table"):
            assert main([*arguments, "-o", output]) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.startswith("probewatch: ")
            assert said.err.count("\n") == 1
        return
    document = json.loads(said.out)
    assert status == (0 if all(info["complete"] for info in document["captures"]) else 3)
    assert list(validator.iter_errors(document)) == []
    assert main([*arguments, "-o", "ndjson"]) == status
    assert ndjson.fold(map(json.loads, capsys.readouterr().out.splitlines())) == document
    assert main(arguments) == status
    for line in capsys.readouterr().out.splitlines():
        assert width(line) <= 100
        assert line.isprintable()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_table_is_the_committed_one(scenario, capsys, monkeypatch) -> None:
    """What a person sees of this capture changes only on purpose."""
    monkeypatch.chdir(OWN / scenario)
    arguments = arguments_for(Path("capture.pcap"))
    assert main(["analyze", *arguments]) == 0
    said = capsys.readouterr().out
    path = GOLDEN / f"{scenario}.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(said, "utf-8")
    assert said == path.read_text("utf-8")
