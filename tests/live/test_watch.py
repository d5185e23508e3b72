"""`probewatch watch` on a node made of namespaces: what it says is what `analyze` says of a capture made beside it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from probewatch import analyze
from probewatch.report import ndjson
from probewatch.report.document import document

ROOT = Path(__file__).parents[2]
SOON = 0.002
"""Seconds by which two sockets' times of one frame may differ."""


@contextmanager
def watching(*arguments: object, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `probewatch watch` in a process of its own, until its captures are open."""
    command = [sys.executable, "-m", "probewatch.cli", "watch", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, **more)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def tcpdump(node, path: Path) -> Iterator[None]:
    """Capture everything on the node beside it."""
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: it captures beside")
    command = ["ip", "netns", "exec", node.name, "tcpdump", "-U", "-i", "any", "-B", "32768", "-w", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"listening" in process.stderr.readline() + process.stderr.readline()
    try:
        yield
    finally:
        time.sleep(1.2)  # what it holds back
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def listening(process: subprocess.Popen[bytes]) -> None:
    """Wait until the note that says what is watched."""
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], 20)[0]
    assert b"watching" in process.stderr.readline()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """End it with Ctrl-C; return status, output, notes."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out.decode(), err.decode()


def told(found: dict) -> dict[tuple, list]:
    """Return of each probe what must be the same: attempts with outcomes, decisions; times apart."""
    return {
        (p["target"]["address"], p["target"]["port"], p["path"], p["type"]): [
            [(a["n"], a["outcome"], a["cause"], a["status"], a["streak"]) for a in p["attempts"]],
            [(d["kind"], d["attempt"], d["streak"]) for d in p["decisions"]],
        ]
        for p in found["probes"]
    }


def test_live_equals_the_capture_beside_it(node, tmp_path: Path) -> None:
    """Attempts, outcomes and decisions of the live output are those that `analyze` finds in tcpdump's capture of the same time."""
    turns = iter([200] * 4 + [503] * 4 + [200] * 100)
    node.pod("10.128.0.10", lambda _: next(turns))
    node.pod("10.128.0.11")
    node.pod("fd01::12", lambda _: 500)
    path, kept = tmp_path / "beside.pcap", tmp_path / "kept.pcapng"
    with tcpdump(node, path), watching("--netns", node.name, "-o", "ndjson", "-w", kept) as process:
        listening(process)
        threads = [
            node.kubelet("10.128.0.10", "/ready", 0.5, 16),
            node.kubelet("10.128.0.11", "/big", 1.0, 8),
            node.kubelet("fd01::12", "/healthz", 1.0, 8),
            node.kubelet("10.128.0.99", "/nobody", 1.0, 8),
        ]
        for thread in threads:
            thread.join()
        status, out, err = ended(process)
    live = ndjson.fold(json.loads(line) for line in out.splitlines())
    assert (status, err) == (0, "")
    assert told(live) == told(document(analyze(path)))
    assert sum(len(p["attempts"]) for p in live["probes"]) >= 32
    again = document(analyze(kept))
    assert again["probes"] == live["probes"]
