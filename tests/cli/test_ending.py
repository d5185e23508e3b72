"""How the command's process ends.

Covers `cli`, `cli.run`, `cli.output`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from probewatch.capture import Reader

ROOT = Path(__file__).parents[2]

SCRIPT = """
import atexit, gc, sys
from probewatch.cli import main
atexit.register(lambda: print(gc.get_freeze_count() > 0))
sys.argv = ["probewatch", {argument!r}]
{call}
"""


def said(argument: str, call: str) -> list[str]:
    """Return what a process printed that calls the command in this way."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(argument=argument, call=call)], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def test_what_is_left_is_not_searched_for_garbage() -> None:
    """The process of the command ends without going through all objects again; called in one that goes on it changes nothing there."""
    assert said("--help", "sys.exit(main())")[-1] == "True"
    assert said("--help", "main(['--help'])")[-1] == "False"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["--version", "analyze FILE", "analyze FILE -o ndjson", "analyze FILE -w -", "spec FILE", "report FILE -w -", "doctor"]
)
def test_standard_output_that_cannot_be_written_is_told_as_such(words: str, unbuffered: str) -> None:
    """One sentence names it, whether it fails in the midst or at the end; the status is that of what could not be done."""
    capture = str(ROOT / "captures" / "http-flap-s1" / "capture.pcap")
    command = [sys.executable, "-m", "probewatch.cli", *(capture if word == "FILE" else word for word in words.split())]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("probewatch: standard output cannot be written")
    assert line.endswith(": no space left on device")


def test_what_is_kept_beside_is_whole_and_named(tmp_path: Path) -> None:
    """Where the lines of `watch` cannot be written, what -w keeps is whole up to there, and the sentence says which is which."""
    kept = tmp_path / "kept.pcapng"
    capture = str(ROOT / "captures" / "http-flap-s1" / "capture.pcap")
    command = [sys.executable, "-m", "probewatch.cli", "watch", "-q", "-r", capture, "--duration", "5", "-w", str(kept)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert done.returncode == 2
    assert done.stderr == (
        "probewatch: standard output cannot be written any more: no space left on device; "
        f"the packets until then are kept in {kept}\n"
    )
    with Reader(str(kept), 0) as reader:
        assert list(reader)
        assert reader.info().complete
