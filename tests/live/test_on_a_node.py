"""The ways onto an immutable node (docs/on-a-node.md): a stream from a far tcpdump, and a container that is granted little.

Covers `cli.watch`, `cli.record`, `capture.privilege`.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILTER = "tcp or arp or icmp or icmp6"


@pytest.mark.parametrize("address", ["10.128.0.10", "fd01::10"])
def test_a_stream_from_a_far_tcpdump(pod, address: str) -> None:
    """`tcpdump -U -w -` on the node, piped into `watch -r -`: each attempt is a line before the stream ends, the table comes after."""
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed: it is what a node has")
    pod.serve(address, (503,))
    far = ["ip", "netns", "exec", pod.node, "tcpdump", "-U", "-i", "any", "-s", "0", "-w", "-", FILTER]
    near = [sys.executable, "-m", "probewatch.cli", "watch", "-r", "-", "-q"]
    with (
        subprocess.Popen(far, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tcpdump,
        subprocess.Popen(near, stdin=tcpdump.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as watch,
    ):
        assert tcpdump.stderr is not None
        assert watch.stdout is not None
        try:
            assert b"listening on" in tcpdump.stderr.readline() + tcpdump.stderr.readline()
            pod.probes(3, 1.0, address)
            lines = []
            for _ in range(3):
                assert select.select([watch.stdout], [], [], 60)[0], lines
                lines.append(watch.stdout.readline().decode())
            assert sum(" 503 " in line for line in lines) >= 2
            time.sleep(1.2)  # what tcpdump holds back
        finally:
            tcpdump.terminate()
        out = watch.stdout.read().decode()
        assert watch.wait(timeout=60) == 0
    assert "3 attempts" in out


@pytest.mark.parametrize(
    ("granted", "status", "said"),
    [
        ("+net_raw,+setuid,+setgid", 0, "it runs as nobody, without any capability"),
        ("+net_raw", 2, "to become nobody needs the capabilities CAP_SETUID and CAP_SETGID (-Z root stays root)"),
        ("+setuid,+setgid", 2, "cannot be captured from: this needs the capability CAP_NET_RAW (run it as root)"),
    ],
)
@pytest.mark.usefixtures("needs_root")
def test_what_a_container_must_be_granted(granted: str, status: int, said: str) -> None:
    """With the grants of the page `watch` runs; with one missing it ends with the sentence that names it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv (util-linux) is not installed: it takes capabilities away")
    caps = [f"--bounding-set=-all,{granted}", "--inh-caps=-all"]
    command = [setpriv, *caps, sys.executable, "-m", "probewatch.cli", "watch", "--duration", "0.5"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
