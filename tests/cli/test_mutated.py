"""Captures with a few bytes changed: every one ends in a result or one plain sentence, and nothing harmful is printed.

`MUTATIONS=200 pytest tests/cli/test_mutated.py` tries more of them; the seed is in the name of the failing test.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from test_captures import arguments_for

from probewatch.cli import main

TRIES = int(os.environ.get("MUTATIONS", "3"))
LARGEST = 200_000
"""Captures beyond this many bytes take too long to be read so often."""
MANY = (1, 1, 2, 5, 20)
"""Bytes changed in one go."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return data with some bytes set to nought, to all ones, to a line's end, to anything, or with one bit flipped."""
    made = bytearray(data)
    for _ in range(rng.choice(MANY)):
        place = rng.randrange(len(made))
        made[place] = rng.choice([0, 255, 10, 13, rng.randrange(256), made[place] ^ 1 << rng.randrange(8)])
    return bytes(made)


@pytest.mark.parametrize("seed", range(TRIES))
def test_a_damaged_capture_does_no_harm(capture_file: Path, seed: int, tmp_path: Path, capsys) -> None:
    """Status 0 or 3 with a printable table, or 2 with one sentence: never a traceback, a control character or a fault of ours."""
    data = capture_file.read_bytes()
    if not data or len(data) > LARGEST:
        return
    damaged = tmp_path / capture_file.name
    damaged.write_bytes(mutated(data, random.Random(f"{capture_file.name} {seed}")))
    beside = arguments_for(capture_file)[1:]
    command = ["verify"] if seed == 0 and "--spec" in beside else ["analyze"]
    status = main([*command, str(damaged), *beside])
    said = capsys.readouterr()
    assert "internal error" not in said.err, said.err
    if status == 2:
        assert said.out == ""
        assert said.err.startswith("probewatch: ")
        assert said.err.count("\n") == 1
        return
    assert status in (0, 1, 3)
    assert all(character == "\n" or character.isprintable() for character in said.out)
