"""Committed outputs of timelines made by hand: a change of any of them is a change that users see.

`UPDATE_GOLDENS=1 pytest tests/report/test_golden.py` writes them anew; read the difference before you commit it.

Covers `report.text`, `report.document`, `report.ndjson`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probewatch.report import document, ndjson, text
from probewatch.report.paper import ASCII

GOLDEN = Path(__file__).parent / "golden"

WRITERS = {
    "table.txt": text.write,
    "ascii.txt": lambda timeline, out: text.write(timeline, out, glyphs=ASCII),
    "wide.txt": lambda timeline, out: text.write(timeline, out, wide=True),
    "json": document.write,
    "ndjson": ndjson.lines,
}

WANTED = [
    *((name, "table.txt") for name in ("flapping", "flapping6", "restarting", "assorted", "nothing", "empty", "hostile")),
    *((name, form) for name in ("restarting", "assorted") for form in ("ascii.txt", "wide.txt", "json", "ndjson")),
    ("hostile", "json"),
]


@pytest.mark.parametrize(("which", "form"), WANTED, ids=[f"{name}.{form}" for name, form in WANTED])
def test_output_is_the_committed_one(made, collected, which, form) -> None:
    """The output is, byte for byte, the one that is committed."""
    said = collected(lambda out: WRITERS[form](made[which](), out)).encode("utf-8")
    path = GOLDEN / f"{which}.{form}"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(said)
    assert path.read_bytes() == said
