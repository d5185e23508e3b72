"""`record` under load and fault: what was lost is counted and said, the status is that of incomplete evidence, the file is whole.

Covers `cli.record`, `capture.record`, `capture.backlog`.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from probewatch.api import analyze
from probewatch.capture.netns import inside
from tests.live.conftest import PATIENCE_S
from tests.live.test_watch import ended, listening, watching

F_SETPIPE_SZ = 1031


def flood(name: str, frames: int) -> None:
    """Let so many frames of 32 kB pass the loopback interface of a namespace."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(frames):
                sender.sendto(bytes(32_000), ("127.0.0.1", 9))

    inside(name, send)


def test_a_stalled_recorder_counts_what_it_lost(node, tmp_path: Path) -> None:
    """While it is stopped (Ctrl-Z) the ring fills; what the kernel then drops is told, here and by the recording."""
    node.pod("10.128.0.10")
    kept = tmp_path / "kept.pcapng"
    with watching("--netns", node.name, "-w", kept, "tcp or udp", command="record") as process:
        listening(process)
        process.send_signal(signal.SIGSTOP)
        flood(node.name, 2_500)
        process.send_signal(signal.SIGCONT)
        node.kubelet("10.128.0.10", "/ready", 0.2, 3).join()
        status, _, err = ended(process)
    assert status == 3
    assert "the kernel lost" in err or "the capturing program lost" in err  # (as it happens, or at the end)
    timeline = analyze(kept)
    assert any("lost" in note for note in timeline.captures[0].notes)
    assert [event.kind for event in timeline.events if event.kind == "capture_gap"]


def test_a_full_disk_ends_a_recording(node, small_disk: Path) -> None:
    """Where the file cannot grow any more recording ends with a whole frame, and says so; the file, too, is known to be cut off."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-w", small_disk / "kept.pcapng", command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.2, 10).join()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert "kept.pcapng cannot be written any more: no space left on device" in err.decode()
    info = analyze(small_disk / "kept.pcapng").captures[0]
    assert not info.complete
    assert info.frames > 0


@pytest.mark.parametrize("what", ["interface", "namespace"])
def test_what_is_recorded_goes_away(node, tmp_path: Path, what: str) -> None:
    """It ends, says why, and what was recorded is whole."""
    node.pod("10.128.0.10")
    kept = tmp_path / "kept.pcapng"
    chosen = ("-i", "veth1") if what == "interface" else ()
    with watching("--netns", node.name, *chosen, "-w", kept, command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.2, 3).join()
        time.sleep(0.3)
        command = ["ip", "-n", node.name, "link", "delete", "veth1"] if chosen else ["ip", "netns", "delete", node.name]
        subprocess.run(command, check=True, timeout=PATIENCE_S)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert "the capture ended: " in err.decode()
    assert sum(len(probe.attempts) for probe in analyze(kept).probes) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_recording_ends_with_any_signal(node, tmp_path: Path, number: int) -> None:
    """Everything that had passed is in it, and nothing was lost."""
    node.pod("10.128.0.10")
    kept = tmp_path / "kept.pcapng"
    with watching("--netns", node.name, "-w", kept, command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.2, 3).join()
        status, _, err = ended(process, number)
    assert status == 0
    assert "nothing lost" in err
    assert sum(len(probe.attempts) for probe in analyze(kept).probes) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_that_nobody_reads_ends_all_the_same(node, number: int) -> None:
    """With a full pipe it waits; what passes meanwhile waits too. A signal ends it, though nobody will ever read the rest."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-w", "-", command="record") as process:
        listening(process)
        fcntl.fcntl(process.stdout.fileno(), F_SETPIPE_SZ, 4096)
        node.kubelet("10.128.0.10", "/ready", 0.05, 60).join()
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 130


def test_a_pipe_whose_reader_goes_away_ends_it(node) -> None:
    """Nothing more can be kept: it ends, says so, and the status is that of incomplete evidence."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-w", "-", command="record") as process:
        listening(process)
        process.stdout.close()
        node.kubelet("10.128.0.10", "/ready", 0.05, 20).join()
        assert process.wait(timeout=PATIENCE_S) in (0, 3)
        assert b"internal error" not in process.stderr.read()
        process.stdout = None
