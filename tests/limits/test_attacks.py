"""What fills every buffer ends in a result, within the memory that docs/limits.md promises.

Covers `capture`, `wire`, `probes`, `observer`.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

from attacks import ATTACKS  # noqa: E402

PIECES = 15_000
"""Frames of an attack that are sent, unless `--thorough` asks for all."""


MEASURED = """
import sys
from probewatch.cli import main
status = main(["analyze", "-", "-o", sys.argv[1], "-q"])
with open("/proc/self/status") as about:
    peak = next(line.split()[1] for line in about if line.startswith("VmHWM:"))
sys.stderr.write(f"\\n{peak}")
sys.exit(status)
"""
"""The command line, which at its end says how many kB it took at most. (What wait4 tells of a child counts the memory of
the process that began it, too: the kernel carries that over an exec.)"""


def analysed(name: str, output: str, pieces: int | None = None) -> tuple[int, int, str]:
    """Return exit status, peak memory in kB, and what is said of a fault, of an analysis that is fed an attack by a pipe."""
    command = [sys.executable, "-c", MEASURED, output]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None
    assert child.stderr is not None
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(child.stderr.read()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    try:
        for piece in itertools.islice(ATTACKS[name].stream(), pieces):
            child.stdin.write(piece)
    except BrokenPipeError:
        pass
    finally:
        child.stdin.close()
    child.wait()
    reader.join(10)
    child.stderr.close()
    notes, _, peak = b"".join(said).decode().rpartition("\n")
    assert peak.isdigit(), notes + peak
    return child.returncode, int(peak), notes


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_a_result_within_memory(name: str, request: pytest.FixtureRequest) -> None:
    """Floods, bombs, endless streams: the status is an ordinary one, nothing is our fault, memory stays within its bound."""
    status, peak, said = analysed(name, "table", None if request.config.getoption("--thorough") else PIECES)
    assert "internal error" not in said
    assert status in ATTACKS[name].status, said
    assert peak < ATTACKS[name].peak_mb * 1024, f"{peak // 1024} MB"
