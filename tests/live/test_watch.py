"""`probewatch watch` on a node made of namespaces: what it says is what `analyze` says of a capture made beside it.

Covers `cli.watch`, `watching`, `report.live`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from probewatch import analyze
from probewatch.api import observer
from probewatch.capture import Reader, follow
from probewatch.capture.netns import inside
from probewatch.capture.write import Counts
from probewatch.cli import live, main
from probewatch.cluster.names import CONTAINER_LOGS
from probewatch.model.units import SECOND
from probewatch.report import ndjson
from probewatch.report.document import document
from probewatch.watching import Watch
from tests.live.conftest import PATIENCE_S

ROOT = Path(__file__).parents[2]


@contextmanager
def watching(*arguments: object, command: str = "watch", **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run `probewatch watch` (or `record`) in a process of its own."""
    command = [sys.executable, "-m", "probewatch.cli", command, *map(str, arguments)]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=here, **more)
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
        process.communicate(timeout=PATIENCE_S)


def listening(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has said what it watches, and as whom."""
    assert process.stderr is not None
    for word in (b"runs as nobody", b"ing "):
        assert select.select([process.stderr], [], [], PATIENCE_S)[0]
        said = process.stderr.readline()
        assert word in said


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGINT) -> tuple[int, str, str]:
    """End it with a signal; return status, output, notes."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
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


def unnamed(found: dict) -> list[dict]:
    """Return the probes without what only the node itself tells, whose addresses these are, and without the order they were met in."""
    own = ("kind", "version", "address")
    probes = sorted(found["probes"], key=lambda probe: (probe["attempts"][0]["start"], probe["target"]["address"]))
    return [
        {key: value for key, value in probe.items() if key != "id"}
        | {"checker": {key: value for key, value in probe["checker"].items() if key in own}}
        for probe in probes
    ]


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
            node.kubelet("10.128.0.10", "/ready", 0.5, 12),
            node.kubelet("10.128.0.11", "/big", 1.0, 6),
            node.kubelet("fd01::12", "/healthz", 1.0, 6),
            node.kubelet("10.128.0.99", "/nobody", 1.0, 5),
        ]
        for thread in threads:
            thread.join()
        status, out, err = ended(process)
    live = ndjson.fold(json.loads(line) for line in out.splitlines())
    assert (status, err) == (0, "")
    assert told(live) == told(document(analyze(path)))
    assert sum(len(p["attempts"]) for p in live["probes"]) >= 24
    again = document(analyze(kept))
    assert unnamed(again) == unnamed(live)
    assert {probe["checker"]["node_source"] for probe in live["probes"] if probe["checker"]["kind"] == "kubelet"} <= {
        "own interface tun0", "own interface veth0"
    }


def test_pods_that_come_and_go(node, tmp_path: Path) -> None:
    """While pods are made and deleted every second, live is still what the capture beside it says, of each from its first frame."""
    node.pod("10.128.0.10")
    path = tmp_path / "beside.pcap"
    with tcpdump(node, path), watching("--netns", node.name, "-o", "ndjson") as process:
        listening(process)
        steady = node.kubelet("10.128.0.10", "/ready", 0.5, 10)
        for number in range(4):
            address = f"10.128.1.{number + 1}"
            node.pod(address)
            node.kubelet(address, "/ready", 0.3, 3).join()
            node.remove(address)
        steady.join()
        status, out, err = ended(process)
    live = ndjson.fold(json.loads(line) for line in out.splitlines())
    assert (status, err) == (0, "")
    assert told(live) == told(document(analyze(path)))
    assert {p["target"]["address"] for p in live["probes"]} == {"10.128.0.10", *(f"10.128.1.{n}" for n in range(1, 5))}


def test_a_pod_that_comes_later_has_its_name(node) -> None:
    """A pod that is made while watch runs, without privileges by then, is named: its process's cgroup tells whose it is."""
    uid, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
    root = next((p for p in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if (p / "cgroup.procs").exists()), None)
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("no cgroup can be made here")
    logs = CONTAINER_LOGS if CONTAINER_LOGS.is_dir() else None
    CONTAINER_LOGS.mkdir(parents=True, exist_ok=True)
    log = CONTAINER_LOGS / f"web-1_shop_app-{container}.log"  # as the kubelet's link
    group = root / f"kubepods-{node.name}" / f"pod{uid}" / container
    with watching("--netns", node.name, "-o", "ndjson") as process:
        listening(process)
        group.mkdir(parents=True)
        log.touch()
        node.pod("10.128.0.10")
        waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        sleeper = inside(node.pods["10.128.0.10"], lambda: subprocess.Popen(waits, stdin=subprocess.PIPE))
        try:
            (group / "cgroup.procs").write_text(str(sleeper.pid))
            time.sleep(1.0)
            node.kubelet("10.128.0.10", "/ready", 1.0, 4).join()
            status, out, err = ended(process)
        finally:
            sleeper.communicate()
            log.unlink()
            if logs is None:
                CONTAINER_LOGS.rmdir()
            for folder in (group, group.parent, group.parent.parent):
                folder.rmdir()
    assert (status, err) == (0, "")
    (probe,) = ndjson.fold(json.loads(line) for line in out.splitlines())["probes"]
    assert (probe["target"]["namespace"], probe["target"]["pod"]) == ("shop", "web-1")
    assert probe["target"]["named_by"] == "this node (/var/log/containers)"
    assert probe["checker"]["node_source"] == "own interface tun0"


def test_who_is_connecting_now(node) -> None:
    """Without a capture `who` looks at what passes, and tells whose connections an address gets, and that some were refused."""
    node.pod("10.128.0.10", serve=False)
    node.kubelet("10.128.0.10", "/ready", 0.5)
    done = subprocess.run(
        [sys.executable, "-m", "probewatch.cli", "who", "10.128.0.10:8080", "--netns", node.name, "--duration", "3"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=2 * PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0
    assert "connections of 10.128.0.1 to 10.128.0.10:8080" in done.stdout
    assert re.search(r"result  (\d+) attempts: \1 failed \(refused\)", done.stdout), done.stdout
    assert done.stderr.startswith(f"probewatch: looking at interface any in network namespace {node.name} for 3 s")


def test_lines_come_as_attempts_end(node) -> None:
    """The line of an attempt is there before the next one begins, and SIGTERM ends with the table."""
    node.pod("10.128.0.10", lambda _: 503)
    with watching("--netns", node.name) as process:
        listening(process)
        node.probe("10.128.0.10")
        assert process.stdout is not None
        lines = []
        for _ in range(2):
            assert select.select([process.stdout], [], [], PATIENCE_S)[0], lines
            lines.append(process.stdout.readline().decode())
        assert "10.128.0.10:8080/ready" in lines[1]
        assert " 503 " in lines[1]
        status, out, _ = ended(process, signal.SIGTERM)
    assert status == 0
    assert "1 attempt" in out


def test_ndjson_lines_come_as_attempts_end(node) -> None:
    """The first line is there before any attempt, and the line of an attempt before the next one begins."""
    node.pod("10.128.0.10", lambda _: 503)
    with watching("--netns", node.name, "-o", "ndjson") as process:
        listening(process)
        assert process.stdout is not None

        def line() -> dict:
            assert select.select([process.stdout], [], [], PATIENCE_S)[0]
            return json.loads(process.stdout.readline())

        assert line()["event"] == "schema"
        node.probe("10.128.0.10")
        assert [(one["event"], one["id"]) for one in (line(), line())] == [("probe", "p1"), ("attempt", "p1.a1")]
        status, out, _ = ended(process, signal.SIGTERM)
    assert status == 0
    assert '"event": "summary"' in out


def test_the_last_attempt_before_the_end_has_its_line(node) -> None:
    """What passed right before Ctrl-C is told as a line too, before the table that counts it."""
    node.pod("10.128.0.10", lambda _: 503)
    with watching("--netns", node.name) as process:
        listening(process)
        for _ in range(3):
            node.probe("10.128.0.10")
        status, out, _ = ended(process)
    assert status == 0
    lines, _, table = out.partition("\n\n")
    assert [f"#{n} " in lines for n in (1, 2, 3)] == [True] * 3, out
    assert "3 attempts" in table


def test_a_quiet_node_is_told_as_watched(node) -> None:
    """The time is that of watching, not of its frames, live and of what was kept; nobody is told to capture on `any` who does."""
    with watching("--netns", node.name, "--duration", "2") as process:
        listening(process)
        with inside(node.name, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as asking:
            assert asking.connect_ex(("127.0.0.1", 9)) != 0
        out, _ = process.communicate(timeout=PATIENCE_S)
    said = " ".join(out.decode().split())
    assert re.search(r" \d frames in [23]\.\d s, the first at \S+ \S+ UTC, complete no probes found", said), said
    assert "-i any" not in said
    assert "All interfaces of a network namespace were captured: is it the node's own" in said


def test_an_interface_that_went_away_explains_the_silence(node) -> None:
    """Where the Pod's interface has gone its kubelet's silence is not blamed on the kubelet."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name) as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.5, 20).join()
        subprocess.run(["ip", "-n", node.name, "link", "del", "veth1"], check=True)
        assert process.stdout is not None
        said = ""
        while "has gone" not in said:
            assert select.select([process.stdout], [], [], PATIENCE_S)[0], said
            said += process.stdout.readline().decode()
    assert "overdue" in said
    assert "The Pod's interface veth1 has gone: the Pod was deleted, or its network taken down." in said


def test_what_is_recorded_is_what_is_needed(node, tmp_path: Path) -> None:
    """A recording of a pod with long answers is small, says of the probes what a whole capture says, and holds no secret."""
    node.pod("10.128.0.10")
    path, kept = tmp_path / "beside.pcap", tmp_path / "kept.pcapng"
    with tcpdump(node, path), watching("--netns", node.name, "-w", kept, "--headers-only", "--mask", command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/big", 1.0, 3).join()
        status, out, err = ended(process)
    assert (status, out) == (0, "")
    assert "nothing lost" in err
    assert told(document(analyze(kept))) == told(document(analyze(path)))
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_ring_of_files(node, tmp_path: Path) -> None:
    """A ring keeps the latest frames in N files, each readable alone; the last word says how many it holds, and how many no more."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-w", tmp_path / "ring.pcapng", "-C", "8k", "-W", "3", command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.1, 20).join()
        _, _, err = ended(process)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["ring-0.pcapng", "ring-1.pcapng", "ring-2.pcapng"]
    assert all(0 < file.stat().st_size < 10_000 for file in files)
    assert all(analyze(file).captures[0].complete for file in files)
    held = sum(analyze(file).captures[0].frames for file in files)
    assert re.search(rf": {held} frames kept, \d+ before them overwritten as asked \(-W 3\), nothing lost$", err.strip())


def test_a_recording_into_a_pipe_says_where_it_goes(node) -> None:
    """`-w -` is standard output, not what `-` is to those who read."""
    with watching("--netns", node.name, "-w", "-", "--duration", "0.1", command="record") as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert b"into standard output\n" in err


def test_a_stalled_reader_counts_what_it_lost(node) -> None:
    """While it is stopped (Ctrl-Z) the ring fills; what the kernel then drops is told, and the status is that of incomplete evidence."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "tcp or udp") as process:
        listening(process)
        process.send_signal(signal.SIGSTOP)

        def flood() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(2500):
                    sender.sendto(bytes(32_000), ("127.0.0.1", 9))

        inside(node.name, flood)
        process.send_signal(signal.SIGCONT)
        assert process.stderr is not None
        assert select.select([process.stderr], [], [], PATIENCE_S)[0]
        said = process.stderr.readline().decode()
        status, out, _ = ended(process)
    assert status == 3
    assert "the capturing program lost" in out
    assert "INCOMPLETE" in out
    assert "the kernel lost" in said


@pytest.mark.parametrize("command", ["watch", "record"])
def test_what_is_worked_out_before_the_end_is_told(node, tmp_path: Path, command: str) -> None:
    """SIGTERM while packets wait in memory: how many, and what a second signal does; then it ends with all of them."""
    with watching("--netns", node.name, "-i", "lo", "-w", tmp_path / "kept.pcapng", command=command) as process:
        listening(process)
        process.send_signal(signal.SIGSTOP)

        def flood() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(30_000):
                    sender.sendto(b"x", ("127.0.0.1", 9))

        inside(node.name, flood)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    what = b"worked out first; a second signal" if command == "watch" else b"written first"
    (said,) = re.findall(rb"probewatch: (\d+) packets wait in memory and are " + what, err)
    with Reader(str(tmp_path / "kept.pcapng"), 0) as reader:
        assert 20_000 <= int(said) <= sum(1 for _ in reader)


def test_what_waits_is_not_called_unharmed_where_the_kernel_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`none are lost` is said only where that is so; few packets at the end are worth no note."""
    monkeypatch.setattr(live, "LOSS_S", 0.0)
    taps = SimpleNamespace(counts=lambda: Counts(received=9, dropped=0), events_lost=0, behind_ns=6 * SECOND, rest=lambda: 100)
    live.Losses(taps, wanted=True).look()
    assert capsys.readouterr().err == "probewatch: 6 s behind: packets wait in memory, none are lost\n"
    taps.counts = lambda: Counts(received=9, dropped=5)
    losses = live.Losses(taps, wanted=True)
    losses.look()
    losses.end("worked out")
    first, second = capsys.readouterr().err.splitlines()
    assert "the kernel lost 5 frames" in first
    assert second == "probewatch: 6 s behind: packets wait in memory"


def test_a_full_disk_is_told(node, small_disk: Path) -> None:
    """At once that the file cannot grow any more; watching goes on, the file ends with a whole frame and is known to be cut off."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-w", small_disk / "kept.pcapng") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 1.0, 5).join()
        assert process.stderr is not None
        assert select.select([process.stderr], [], [], PATIENCE_S)[0]
        assert "no space left on device; what passes from now on is watched, but not kept" in process.stderr.readline().decode()
        status, out, err = ended(process)
    assert (status, err) == (3, "")
    assert "kept.pcapng cannot be written any more: no space left on device, and " in " ".join(out.split())
    assert "5 attempts" in out
    info = analyze(small_disk / "kept.pcapng").captures[0]
    assert not info.complete
    assert info.notes[0].startswith("it has no end mark: the recording was killed, or its disk was full")
    assert info.frames > 0


def test_an_interface_or_a_namespace_that_goes_away(node) -> None:
    """Each ends the watch with the table of what was seen, and says why."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "-i", "veth1") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.2, 3).join()
        time.sleep(0.3)
        subprocess.run(["ip", "-n", node.name, "link", "delete", "veth1"], check=True, timeout=PATIENCE_S)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 3
        assert b"the capture ended: " in out
    with watching("--netns", node.name) as process:
        listening(process)
        subprocess.run(["ip", "netns", "delete", node.name], check=True, timeout=PATIENCE_S)
        out, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 3
        assert f"the capture ended: network namespace {node.name} is gone" in out.decode()


GONE_EARLY = """
import importlib, subprocess, sys
from probewatch.capture.write import Counts
from probewatch.cli import live, main
command = importlib.import_module("probewatch.cli." + sys.argv[1])
command.step_down = lambda *arguments, **more: subprocess.run(["ip", "-n", {node!r}, "link", "delete", "veth1"], check=True)
sys.exit(main())
"""


@pytest.mark.parametrize("command", ["watch", "record"])
def test_an_interface_that_goes_away_as_it_starts(node, tmp_path: Path, command: str) -> None:
    """Deleted after it was opened and before the first look at it, it ends as it does later: a sentence, a summary, status 3."""
    node.pod("10.128.0.10")
    kept = tmp_path / "kept.pcapng"
    done = subprocess.run(
        [sys.executable, "-c", GONE_EARLY.format(node=node.name), command, "--netns", node.name, "-i", "veth1", "-w", str(kept)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "internal error" not in done.stderr
    assert done.returncode == 3
    assert "the capture ended: " in (done.stdout if command == "watch" else done.stderr)
    with Reader(str(kept), 0) as reader:
        assert not list(reader)


def test_an_interface_that_goes_down_and_up(node, tmp_path: Path) -> None:
    """Nothing passes while it is down; what passes when it is up again is recorded, and nothing is said to be lost."""
    node.pod("10.128.0.10")
    kept = tmp_path / "kept.pcapng"
    with watching("--netns", node.name, "-i", "veth1", "-w", kept, command="record") as process:
        listening(process)
        node.kubelet("10.128.0.10", "/ready", 0.2, 2).join()
        for way in ("down", "up"):
            subprocess.run(["ip", "-n", node.name, "link", "set", "veth1", way], check=True, timeout=PATIENCE_S)
            time.sleep(0.5)
        node.kubelet("10.128.0.10", "/ready", 0.2, 3).join()
        status, _, err = ended(process)
    assert status == 0
    assert "nothing lost" in err
    assert sum(attempt.status == 200 for probe in analyze(kept).probes for attempt in probe.attempts) == 5


def test_a_pipe_that_nobody_reads(node) -> None:
    """With a full pipe it waits, goes on where the reader does, and SIGTERM ends it all the same."""
    node.pod("10.128.0.10")
    with watching("--netns", node.name, "--node-ip", "10.128.0.1") as process:
        listening(process)
        fcntl.fcntl(process.stdout.fileno(), 1031, 4096)  # F_SETPIPE_SZ
        node.kubelet("10.128.0.10", "/ready", 0.05, 60).join()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 130


def test_privileges_are_given_up(node) -> None:
    """Once everything is open it runs as nobody, without a capability and without a way to gain one."""
    with watching("--netns", node.name) as process:
        listening(process)
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":\t" in line
        )
    assert set(status["Uid"].split()) == {"65534"}
    assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("command", ["watch", "record"])
@pytest.mark.usefixtures("needs_root")
def test_without_privilege_one_sentence(command: str, tmp_path: Path) -> None:
    """An ordinary user gets the sentence that names the capability, and nothing else."""
    arguments = [command] if command == "watch" else [command, "-w", str(tmp_path / "x")]
    code = (  # (all imported first: another user may not be able to read them)
        "import os, sys, pkgutil, importlib, cypcap, probewatch\n"
        "for module in pkgutil.walk_packages(probewatch.__path__, 'probewatch.'):\n"
        "    if '__main__' not in module.name: importlib.import_module(module.name)\n"
        "import probewatch.cli\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"sys.exit(probewatch.cli.main({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "probewatch: interface any cannot be captured from: this needs the capability CAP_NET_RAW (run it as root)\n"


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_a_finished_file_is_what_analyze_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """However late Ctrl-C comes, the table of a file that does not grow is that of `analyze`, and one note says that it ended."""
    path = ROOT / "captures" / name / "capture.pcap"
    spec = ROOT / "captures" / name / "pod.yaml"
    assert main(["analyze", str(path), "--spec", str(spec), "-q"]) == 0
    wanted = capsys.readouterr().out
    with watching("-r", path, "--spec", spec, "--only", "decisions") as process:
        assert process.stderr is not None
        said = [process.stderr.readline().decode() for _ in range(2)]
        status, out, err = ended(process)
    assert said[1].startswith(f"probewatch: end of {path}; waiting for more frames, Ctrl-C ends with the summary")
    assert (status, err) == (0, "")
    assert out.endswith(wanted)


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_a_choice_that_matches_nothing_is_told(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the start that no name of a Pod is known, at the end what there was instead: not that there were no probes."""
    capture, manifest = (str(ROOT / "captures" / name / file) for file in ("capture.pcap", "pod.yaml"))
    assert main(["watch", "-r", capture, "--duration", "0.5", "--pod", "web"]) == 2
    printed = capsys.readouterr()
    assert "--pod web: no Pod's name is known here: give --spec or --cluster" in printed.err.splitlines()[0]
    assert re.search(r"no probe matches --pod web: there are p1 \((readiness|liveness) \S+:8080", printed.err)
    assert printed.out == ""
    assert main(["watch", "-r", capture, "--duration", "0.5", "--spec", manifest, "--pod", "web", "--pod", name]) == 0
    printed = capsys.readouterr()
    assert "--pod web: none of this name is known so far" in printed.err.splitlines()[0]
    assert f"no probe matches --pod web: there are p1 (readiness lab/{name}/app)" in printed.err
    assert f"lab/{name}" in printed.out
    assert main(["watch", "-q", "-r", capture, "--duration", "0.5", "--spec", manifest, "--pod", name, "--probe", "10.0.0.1:1"]) == 2
    assert "no probe matches --probe 10.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_an_hour_after_a_finished_file_is_no_capture_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour on the clock after the end of a file that does not grow changes nothing: no attempt is missing in it."""
    path = ROOT / "captures" / name / "capture.pcap"
    late_ns = 0
    clock = time.monotonic_ns
    monkeypatch.setattr(follow, "time", SimpleNamespace(monotonic_ns=lambda: clock() + late_ns))
    feed = follow.Follower(str(path))
    feed.start()
    watched = Watch(feed, observer())
    try:
        end = time.monotonic() + PATIENCE_S
        while not feed.finished:
            assert time.monotonic() < end
            watched.turn()
        late_ns = 3600 * 10**9
        watched.turn()
        watched.settle()
        found = document(watched.finish())
    finally:
        feed.close()
        end = time.monotonic() + PATIENCE_S
        while not feed.ended and time.monotonic() < end:
            time.sleep(0.02)
    assert found["probes"] == document(analyze(path))["probes"]


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_the_clock_goes_on_where_a_file_grows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands at the end of a file until it grows; from the first frames after that silence counts as it passes."""
    monkeypatch.setattr(follow, "LAG_NS", 300_000_000)
    whole = (ROOT / "captures" / name / "capture.pcap").read_bytes()
    path = tmp_path / "growing.pcap"
    path.write_bytes(whole[: len(whole) // 2])
    feed = follow.Follower(str(path))
    feed.start()
    try:
        last_ns = 0

        def read_on(until: Callable[[], bool]) -> None:
            nonlocal last_ns
            end = time.monotonic() + PATIENCE_S
            while not until():
                assert time.monotonic() < end
                last_ns = max([last_ns, *(frame.ns for frame in feed.poll(0.05))])

        read_on(lambda: feed.finished)
        time.sleep(0.2)
        assert feed.horizon_ns == last_ns > 0
        with path.open("ab") as file:
            file.write(whole[len(whole) // 2 :])
        read_on(lambda: feed.horizon_ns > last_ns)
        assert not feed.finished
    finally:
        feed.close()
        end = time.monotonic() + PATIENCE_S
        while not feed.ended and time.monotonic() < end:
            time.sleep(0.02)


@pytest.mark.parametrize(("what", "said"), [
    ("deleted", "was deleted, or has another name now"),
    ("renamed", "was deleted, or has another name now"),
    ("replaced", "is another file now"),
])
def test_a_file_whose_name_is_another_s_is_told_once(tmp_path: Path, what: str, said: str) -> None:
    """What still comes into the file that was opened is read on; that no other is gets one note."""
    source, path = ROOT / "captures" / "http-flap-s1" / "capture.pcap", tmp_path / "grows.pcap"
    data = source.read_bytes()
    path.write_bytes(data[:40_000])
    with path.open("ab") as writer, watching("-r", path) as process:
        assert process.stderr is not None
        while b"end of" not in process.stderr.readline():
            pass
        if what == "renamed":
            path.rename(tmp_path / "grows.pcap.1")
        elif what == "deleted":
            path.unlink()
        else:
            (tmp_path / "new.pcap").write_bytes(data)
            (tmp_path / "new.pcap").replace(path)
        line = process.stderr.readline().decode()
        assert line.startswith(f"probewatch: {path} {said}: ")
        assert "begin again" in line
        writer.write(data[40_000:])
        writer.flush()
        time.sleep(1.0)
        status, out, err = ended(process)
    assert status == 0
    assert len(analyze(source).probes[0].attempts) == out.count("  readiness  ")
    assert err == ""


def test_a_file_that_is_cut_ends_the_watch(tmp_path: Path) -> None:
    """What comes behind the cut is another capture: nothing of it is read as if it were this one's, and the summary says why."""
    data, path = (ROOT / "captures" / "http-flap-s1" / "capture.pcap").read_bytes(), tmp_path / "grows.pcap"
    path.write_bytes(data)
    with watching("-r", path) as process:
        assert process.stderr is not None
        while b"end of" not in process.stderr.readline():
            pass
        path.write_bytes(data[:24])
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert f"the file was cut to 24 bytes behind {len(data)} that were read" in " ".join(out.decode().split())
