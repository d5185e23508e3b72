"""Frames from real interfaces in real network namespaces.

Covers `capture.live`, `capture.record`, `recording`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probewatch import expect, record
from probewatch.capture import CaptureError, Reader
from probewatch.capture import live as live_module
from probewatch.capture.bulk import Bulk
from probewatch.capture.live import Live
from probewatch.capture.netns import inside
from probewatch.capture.record import Recorder
from tests.live.conftest import PATIENCE_S

FAMILIES = pytest.mark.parametrize("address", ["10.128.0.10", "fd01::10"], ids=["IPv4", "IPv6"])
HERE = Path("/proc/thread-self/ns/net")


def _until(so: Callable[[], bool]) -> None:
    """Wait until something is so; not for ever."""
    end = time.monotonic() + PATIENCE_S
    while not so() and time.monotonic() < end:
        time.sleep(0.001)


def drained(live: Live) -> list:
    """Return all that passed until now."""
    live.stop()
    return list(live)


@FAMILIES
def test_frames_of_an_interface_in_a_namespace(pod, address: str) -> None:
    """What passes a veth in another namespace is seen from its first frame, in order, numbered from 1, and nothing is lost."""
    pod.serve(address)
    with Live("veth0", netns=pod.node, filter=f"tcp port 8080 and host {address}") as live:
        for _ in range(3):
            pod.probe(address)
        frames = drained(live)
        counts, info = live.counts(), live.info()
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert [frame.ns for frame in frames] == sorted(frame.ns for frame in frames)
    assert sum(b"GET /ready" in frame.data for frame in frames) == 3
    assert {frame.link_type for frame in frames} == {1}
    assert (counts.received >= len(frames), counts.dropped, counts.interface_dropped) == (True, 0, None)
    assert (info.frames, info.complete, info.notes) == (len(frames), True, ())
    assert [(i.name, i.drops) for i in info.interfaces] == [("veth0", 0)]


def test_any_sees_every_interface(pod) -> None:
    """`any` sees lo and the veth, as cooked frames of the second kind, which tell the interface."""
    pod.serve()
    with Live("any", netns=pod.node, filter="tcp port 8080 or udp port 9") as live:
        pod.probe()
        sender = inside(pod.node, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.sendto(b"over lo", ("127.0.0.1", 9))
        sender.close()
        frames = drained(live)
    assert {frame.link_type for frame in frames} == {276}
    assert len({frame.data[4:8] for frame in frames}) == 2
    assert any(b"over lo" in frame.data for frame in frames)


def test_the_kernel_counts_what_is_handed_out(pod) -> None:
    """Under `watch` the kernel's count is the number of frames fetched, on `lo` too, so that it proves that all which passed was seen."""
    pod.serve()
    with Live("any", netns=pod.node, filter="tcp port 8080 or udp port 9", bulk=Bulk()) as live:
        live.begin()
        for _ in range(3):
            pod.probe()
        sender = inside(pod.node, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for _ in range(100):
            sender.sendto(b"over lo", ("127.0.0.1", 9))
        sender.close()
        counts = live.counts()
        frames = drained(live)
        assert live.counts() == counts
    assert (len(frames), counts.dropped) == (counts.received, 0)
    assert sum(b"over lo" in frame.data for frame in frames) == 100


def test_times_are_in_nanoseconds_and_true(pod) -> None:
    """A frame's time lies between the clock before and after it was sent, and is finer than a microsecond."""
    pod.serve()
    with Live("veth0", netns=pod.node, filter="tcp") as live:
        before = time.time_ns()
        for _ in range(5):
            pod.probe()
        frames = drained(live)
        after = time.time_ns()
    assert all(before <= frame.ns <= after for frame in frames)
    assert any(frame.ns % 1000 for frame in frames)


def test_a_burst_is_not_lost(pod) -> None:
    """Frames that come faster than they are fetched wait in the ring: thousands of them, of which none is lost."""
    with Live("lo", netns=pod.node, filter="udp port 9") as live:

        def burst() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for number in range(5000):
                    sender.sendto(number.to_bytes(4, "big") * 25, ("127.0.0.1", 9))

        inside(pod.node, burst)
        frames = drained(live)
        assert live.counts().dropped == 0
    assert [int.from_bytes(frame.data[-4:], "big") for frame in frames] == list(range(5000))


def test_what_is_not_fetched_waits_in_memory(pod) -> None:
    """Far more than the ring holds passes while nobody asks for frames, and none of it is lost."""
    with Live("lo", netns=pod.node, filter="udp port 9", ring=1 << 20) as live:
        live.begin()
        backlog = live._backlog

        def flow() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for number in range(4000):
                    sender.sendto(number.to_bytes(4, "big") * 500, ("127.0.0.1", 9))
                    if number % 50 == 49:  # (a ring of 1 MiB holds a few hundred of these)
                        _until(lambda sent=number: backlog.moved > sent - 50)

        inside(pod.node, flow)
        assert live.behind_ns > 0
        frames = drained(live)
        assert (live.counts().dropped, live.gaps) == (0, [])
    assert [int.from_bytes(frame.data[-4:], "big") for frame in frames] == list(range(4000))


def test_a_full_ring_is_told_with_its_time(pod) -> None:
    """Where the kernel had no room, it is told between which moments, and the frames fetched with it lie around them."""
    before = time.time_ns()
    with Live("lo", netns=pod.node, filter="udp port 9", ring=1 << 20) as live:

        def burst() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(3000):
                    sender.sendto(bytes(2000), ("127.0.0.1", 9))

        inside(pod.node, burst)  # nobody empties the ring yet
        frames = drained(live)
        after = time.time_ns()
        lost = live.counts().dropped
    assert lost > 0
    assert len(frames) < 3000
    assert len(live.gaps) == 1
    assert before <= live.gaps[0].begun_ns <= live.gaps[0].ended_ns <= after
    assert live.gaps[0].frames == lost


def test_the_file_in_memory_is_begun_anew(pod, monkeypatch) -> None:
    """Whatever passes in all, no more than SCRATCH_BYTES and a batch lie in memory, and no frame is lost or read twice."""
    monkeypatch.setattr("probewatch.capture.backlog.SCRATCH_BYTES", 2000)
    test_a_burst_is_not_lost(pod)


def test_a_process_names_a_namespace(pod) -> None:
    """A process's number stands for its namespace, as a container's does."""
    sleeper = inside(pod.name, lambda: subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
    try:
        with Live("eth0", netns=sleeper.pid) as live:
            assert live.info().path == f"interface eth0 in network namespace of process {sleeper.pid}"
    finally:
        sleeper.stdin.close()
        sleeper.wait(timeout=PATIENCE_S)


def test_the_caller_stays_where_it_is(pod) -> None:
    """Neither capturing nor an error moves the calling thread out of its namespace, and no thread is left over."""
    here, threads = HERE.readlink(), threading.active_count()
    assert inside(pod.node, lambda: HERE.readlink()) != here
    with Live("veth0", netns=pod.node):
        assert HERE.readlink() == here
    with pytest.raises(CaptureError):
        Live("nosuch", netns=pod.node)
    with pytest.raises(ZeroDivisionError):
        inside(pod.node, lambda: 1 // 0)
    assert HERE.readlink() == here
    assert threading.active_count() == threads


def test_an_interface_that_goes_away_ends_the_capture(pod, eventually) -> None:
    """Its deletion ends iteration; what was captured stands, and the account says why it ended."""
    pod.serve()
    with Live("veth0", netns=pod.node, filter="tcp") as live:
        pod.probe()
        got = []
        eventually(lambda: got.extend(live.poll()) or bool(got))
        subprocess.run(["ip", "-n", pod.node, "link", "delete", "veth0"], check=True, timeout=PATIENCE_S)
        eventually(lambda: (got.extend(live.poll()), live.ended)[1])
        assert list(live) == []
        info = live.info()
    assert not info.complete
    assert info.notes[0].startswith("the capture ended: ")
    assert info.frames == len(got) > 0


def test_an_interface_that_goes_away_while_it_is_opened_is_one_sentence(pod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever libpcap says of it between the first step and the last is that sentence, and no error of its own."""
    real = live_module._opened

    def opened(*arguments: object) -> object:
        made = real(*arguments)
        subprocess.run(["ip", "-n", pod.node, "link", "delete", "veth0"], check=True, timeout=PATIENCE_S)
        return made

    monkeypatch.setattr(live_module, "_opened", opened)
    with pytest.raises(CaptureError, match=r"^interface veth0 in network namespace .* cannot be captured from: "):
        Live("veth0", netns=pod.node, filter="tcp")


def test_stop_from_another_thread(pod) -> None:
    """`stop` ends a loop that waits for frames."""
    got: list[int] = []
    with Live("veth0", netns=pod.node) as live:
        reader = threading.Thread(target=lambda: got.append(len(list(live))))
        reader.start()
        live.stop()
        reader.join(timeout=PATIENCE_S)
        assert not reader.is_alive()
    assert live.poll() == []


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"interface": "nosuch0"}, "interface nosuch0 does not exist: `ip link` lists those there are"),
    ({"interface": ""}, "interface  is not a possible interface name: `ip link` lists those there are"),
    ({"interface": "a" * 101}, f"interface {'a' * 101} is not a possible interface name: `ip link` lists those there are"),
    ({"interface": "a\0b"}, r"interface a\x00b is not a possible interface name: `ip link` lists those there are"),
    ({"interface": "\x1b[2J"}, r"interface \x1b[2J does not exist: `ip link` lists those there are"),
    ({"netns": "nosuch-ns"},
     "network namespace nosuch-ns does not exist under /run/netns: `ip netns` lists those there are"),
    ({"netns": "/nosuch/net"}, "network namespace /nosuch/net does not exist"),
    ({"netns": "/etc/passwd"},
     "network namespace /etc/passwd cannot be entered: it is not a network namespace; `ip netns` lists those with a name"),
    ({"netns": ""}, "network namespace  is not the name of a network namespace: `ip netns` lists those there are"),
    ({"netns": 2**22 + 1}, "network namespace of process 4194305 does not exist: there is no such process"),
    ({"filter": "host"}, "filter 'host' cannot be used: can't parse filter expression: syntax error"),
    ({"filter": "tcp port"}, "filter 'tcp port' cannot be used: can't parse filter expression: syntax error"),
])  # fmt: skip
def test_what_cannot_be_captured_is_one_sentence(arguments, sentence: str) -> None:
    """A missing interface or namespace, or a wrong filter: what, where, and what to do."""
    with pytest.raises(CaptureError) as caught:
        Live(**({"interface": "lo"} | arguments))
    assert str(caught.value) == sentence


def test_a_missing_interface_in_a_namespace(pod) -> None:
    """The command that lists interfaces is the one of that namespace."""
    with pytest.raises(CaptureError) as caught:
        Live("nosuch0", netns=pod.node)
    said = f"interface nosuch0 in network namespace {pod.node} does not exist: `ip -n {pod.node} link` lists those there are"
    assert str(caught.value) == said


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(("call", "sentence"), [
    ("Live('lo')", "interface lo cannot be captured from: this needs the capability CAP_NET_RAW (run it as root)"),
    ("Live('lo', netns=1)", "network namespace of process 1 cannot be opened: this needs the capability CAP_SYS_ADMIN (run it as root)"),
])  # fmt: skip
def test_without_privileges_the_capability_is_named(call: str, sentence: str) -> None:
    """Without root the sentence names the capability that is missing."""
    code = (
        "import os, cypcap; from probewatch.capture import CaptureError; from probewatch.capture.live import Live\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try:\n    {call}\nexcept CaptureError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.stdout == sentence + "\n"


def test_a_recording_is_a_capture(pod, tmp_path: Path) -> None:
    """What passed between start and stop is in the file, which our reader reads, with the interface's name and its counts."""
    pod.serve()
    recorder = Recorder(tmp_path / "r.pcapng", "veth0", netns=pod.node, filter="tcp port 8080")
    pod.probe()
    recorder.catch_up()
    with Reader(str(recorder.path), 0) as reader:
        soon = list(reader)
    pod.probe()
    recorder.stop()
    recorder.stop()
    with Reader(str(recorder.path), 0) as reader:
        frames = list(reader)
        info = reader.info()
    assert not recorder.running
    assert frames[: len(soon)] == soon
    assert [sum(b"GET /ready" in frame.data for frame in part) for part in (soon, frames)] == [1, 2]
    assert [(i.name, i.link_type, i.drops or 0) for i in info.interfaces] == [("veth0", 1, 0)]
    assert (info.frames, info.complete, recorder.frames, recorder.counts.dropped) == (len(frames), True, len(frames), 0)


@pytest.mark.oracle
def test_wireshark_opens_a_recording(pod, tmp_path: Path, tshark: str) -> None:
    """Tshark and capinfos read a recording: interface, nanoseconds, the kernel's counts."""
    pod.serve()
    recorder = Recorder(tmp_path / "r.pcapng", "any", netns=pod.node, filter="tcp port 8080")
    pod.probe()
    recorder.stop()
    fields = ["-T", "fields", "-e", "frame.interface_name", "-e", "http.user_agent"]
    done = subprocess.run([tshark, "-r", recorder.path, *fields], capture_output=True, text=True, check=True, timeout=60)
    said = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(said) == recorder.frames
    assert {name for name, _ in said} == {"any"}
    assert [agent for _, agent in said if agent] == ["kube-probe/1.36"]
    about = subprocess.run([str(Path(tshark).with_name("capinfos")), recorder.path], capture_output=True, text=True, check=True, timeout=60)
    assert "Time precision = nanoseconds (9)" in about.stdout
    assert "Number of stat entries = 1" in about.stdout


def test_a_full_recording_ends(pod, tmp_path: Path) -> None:
    """At its limit a recording ends with a whole frame, and says so."""
    pod.serve()
    recorder = Recorder(tmp_path / "r.pcapng", "veth0", netns=pod.node, filter="tcp", limit=500)
    for _ in range(3):
        pod.probe()
    recorder.stop()
    assert recorder.notes == ("the recording was full at 500 bytes: what passed later is not in it",)
    with Reader(str(recorder.path), 0) as reader:
        assert 1 <= len(list(reader)) == recorder.frames <= 4
        assert reader.info().complete


@pytest.mark.usefixtures("needs_root")
def test_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    """A directory that is not there is one sentence; nothing keeps running."""
    threads = threading.active_count()
    with pytest.raises(CaptureError) as caught:
        Recorder(tmp_path / "nosuch" / "r.pcapng", "lo")
    assert str(caught.value) == f"{tmp_path}/nosuch/r.pcapng cannot be written: no such file or directory"
    assert threading.active_count() == threads


@pytest.mark.usefixtures("needs_root")
def test_a_full_disk_is_told_at_once() -> None:
    """A recording whose first bytes the disk refuses does not begin."""
    with pytest.raises(CaptureError, match=r"^/dev/full cannot be written: no space left on device$"):
        Recorder("/dev/full", "lo")


def test_what_cannot_be_written_later_is_told_at_the_end(pod, tmp_path: Path) -> None:
    """A write that fails ends the recording, and `stop` says so; nothing waits for it."""
    pod.serve()
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    recorder = Recorder(tmp_path / "fifo", "veth0", netns=pod.node)
    os.close(reader)
    pod.probe()
    recorder.catch_up()
    with pytest.raises(CaptureError, match="fifo cannot be written: broken pipe"):
        recorder.stop()
    assert not recorder.running


def test_a_live_namespace_end_to_end(pod, tmp_path: Path) -> None:
    """Probes that fail for a time are told live, over IPv4, by attempts, decisions and node."""
    pod.serve(statuses=(200, 503, 503, 503, 200))
    spec = tmp_path / "pod.yaml"
    spec.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n  containers:\n  - name: app\n"
        "    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}\nstatus: {podIP: 10.128.0.10}\n"
    )
    with record("veth0", tmp_path / "r.pcapng", netns=pod.node, spec=spec) as recording:
        pod.probes(5)
        timeline = recording.wait_for(lambda seen: any(len(p.attempts) == 5 for p in seen.probes), seconds=30)
    readiness = expect(timeline).probe("readiness/web")
    readiness.outcomes(["success", "failure", "failure", "failure", "success"]).from_node("10.128.0.1")
    readiness.causes(["ok", "status", "status", "status", "ok"]).state("Ready")
    expect(timeline).complete()
