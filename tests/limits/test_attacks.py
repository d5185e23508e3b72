"""What fills every buffer ends in a result, within the memory that docs/limits.md promises."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

from attacks import ATTACKS  # noqa: E402

PIECES = 15_000
"""Frames of an attack that are sent, unless `--thorough` asks for all."""


def analysed(name: str, output: str, pieces: int | None = None) -> tuple[int, int, bytes]:
    """Return exit status, peak memory in kB, and what is said of a fault, of an analysis that is fed an attack by a pipe."""
    command = [sys.executable, "-m", "probewatch.cli", "analyze", "-", "-o", output, "-q"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: PT018
    said: list[bytes] = []
    readers = [
        threading.Thread(target=lambda: [None for _ in iter(lambda: child.stdout.read(1 << 16), b"")], daemon=True),  # type: ignore[union-attr]
        threading.Thread(target=lambda: said.append(child.stderr.read()), daemon=True),  # type: ignore[union-attr]
    ]
    for reader in readers:
        reader.start()
    try:
        for piece in itertools.islice(ATTACKS[name].stream(), pieces):
            child.stdin.write(piece)
    except BrokenPipeError:
        pass
    finally:
        child.stdin.close()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join(10)
    child.stdout.close()
    child.stderr.close()
    return child.returncode, used.ru_maxrss, b"".join(said)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_a_result_within_memory(name: str, request: pytest.FixtureRequest) -> None:
    """Floods, bombs, endless streams: the status is an ordinary one, nothing is our fault, memory stays within its bound."""
    status, peak, said = analysed(name, "table", None if request.config.getoption("--thorough") else PIECES)
    assert b"internal error" not in said
    assert status in ATTACKS[name].status, said
    assert peak < ATTACKS[name].peak_mb * 1024, f"{peak // 1024} MB"
