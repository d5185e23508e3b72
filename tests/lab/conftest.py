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

from labruns import PATIENCE_S, PLAN, TRIES, Ran, command  # noqa: E402


@pytest.fixture(scope="session")
def ran(needs_root: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:  # noqa: ARG001  (skips)
    """Run the plan; once more what the machine left without CPU, which is no run of that scenario."""
    done: dict[str, Ran] = {}
    for _ in range(TRIES):
        done |= run_all([name for name in PLAN if name not in done or done[name].kept_waiting], tmp_path_factory)
    return done


def run_all(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """Run these scenarios of the plan side by side."""
    running = {}
    for name in names:
        seconds, more = PLAN[name]
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
