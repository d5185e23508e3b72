"""Scenarios of the laboratory, run once for all tests, side by side, through the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for place in (str(HERE), str(HERE.parent / "observer")):  # labruns; truth: the record beside a timeline
    if place not in sys.path:
        sys.path.append(place)

from labruns import PATIENCE_S, PLAN, Ran, command  # noqa: E402


@pytest.fixture(scope="session")
def ran(needs_root: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:  # noqa: ARG001  (skips)
    """Run the plan."""
    running = {}
    for name, (seconds, more) in PLAN.items():
        folder = tmp_path_factory.mktemp(name)
        # Before the tests on other cores: the laboratory keeps time, and a prober that is kept waiting probes otherwise.
        words = command("run", name, "--duration", str(seconds), "--keep", str(folder / "run.pcapng"), *more)
        child = subprocess.Popen(["nice", "-n", "-10", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running[name] = folder, child
    done = {}
    try:
        for name, (folder, child) in running.items():
            out, err = child.communicate(timeout=PATIENCE_S)
            done[name] = Ran(folder, child.returncode, out, err)
    finally:
        for _, child in running.values():
            if child.poll() is None:
                child.terminate()
                child.wait(PATIENCE_S)
    if any("cannot be made here" in one.err for one in done.values()):
        pytest.skip("network namespaces cannot be made here")
    return done
