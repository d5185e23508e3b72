"""`probewatch explain`: ladders of real attempts, held by committed outputs, and what the kubelet itself said of them.

`UPDATE_GOLDENS=1 pytest tests/cli/test_explain.py` writes the outputs anew; read the difference before you commit it.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import probewatch
from probewatch.capture import spool
from probewatch.capture.errors import CaptureError
from probewatch.model.ladder import PhaseKind
from probewatch.model.timeline import Outcome
from probewatch.report.kubelet_says import kubelet_says

GOLDEN = Path(__file__).parent / "golden" / "explain"

CASES: dict[str, list[str]] = {
    "status": ["http-flap-s1/capture.pcap", "--spec", "http-flap-s1/pod.yaml", "--attempt", "8"],
    "slow-answer": ["http-timeout/capture.pcap", "--spec", "http-timeout/pod.yaml"],
    "refused": ["tcp-flap/capture.pcap", "--spec", "tcp-flap/pod.yaml"],
    "blackhole": ["http-blackhole/capture.pcap", "--spec", "http-blackhole/pod.yaml"],
    "rejected": ["http-icmp-reject/capture.pcap", "--spec", "http-icmp-reject/pod.yaml"],
    "redirect": ["http-redirect-same/capture.pcap", "--spec", "http-redirect-same/pod.yaml", "--attempt", "2"],
    "body-broken": ["http-reset-body/capture.pcap", "--spec", "http-reset-body/pod.yaml"],
    "tls-with-keys": ["https-503/capture.pcap", "--spec", "https-503/pod.yaml", "--keylog", "https-503/keys.log"],
    "tls-sealed": ["https-503/capture.pcap", "--spec", "https-503/pod.yaml", "--attempt", "3"],
    "tls-on-plain-http": ["https-on-http/capture.pcap", "--spec", "https-on-http/pod.yaml"],
    "grpc": ["grpc-flap/capture.pcap", "--spec", "grpc-flap/pod.yaml"],
    "grpc-refused": ["grpc-refused/capture.pcap", "--spec", "grpc-refused/pod.yaml"],
    "two-places": ["tcp-ready/any.pcap", "--spec", "tcp-ready/pod.yaml"],
    "two-files": ["tcp-ready/tun0.pcap", "tcp-ready/capture.pcap", "--spec", "tcp-ready/pod.yaml"],
    "ipv6": ["http-ipv6/capture.pcap", "--spec", "http-ipv6/pod.yaml", "--probe", "readiness", "--attempt", "1"],
    "arp-dead": ["http-arp-dead/capture.pcap", "--spec", "http-arp-dead/pod.yaml"],
    "implied": ["http-arp-dead/capture.pcap", "--spec", "http-arp-dead/pod.yaml", "--attempt", "9"],
    "vlan": ["enc-vlan/trunk.pcap.gz"],
    "half-open": ["half-open/checker-side.pcap", "--attempt", "1", "--probe", "p1"],
}


@pytest.mark.parametrize("name", list(CASES))
def test_ladders_are_the_committed_ones(run, captures: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn of a real attempt is, byte for byte, what is committed, no line longer than 100 columns."""
    monkeypatch.chdir(captures)
    said = run("explain", *CASES[name])
    assert said.status == 0, said.err
    assert max(map(len, said.out.splitlines())) <= 100
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(said.out, encoding="utf-8")
    assert said.out == path.read_text(encoding="utf-8")


def _truth(scenario: Path) -> list[SimpleNamespace]:
    with (scenario / "truth.jsonl").open(encoding="utf-8") as lines:
        return [SimpleNamespace(**json.loads(line)) for line in lines]


def test_the_kubelets_message_is_what_it_said(kubelet_scenario: Path) -> None:
    """For every failed attempt that packets explain, the message shown is one that this kubelet gave at that time."""
    capture = next(p for name in ("capture.pcap", "tun0.pcap") if (p := kubelet_scenario / name).is_file())
    keys = kubelet_scenario / "keys.log"
    specs = sorted(kubelet_scenario.glob("pod*.yaml"))
    timeline = probewatch.analyze(capture, spec=specs, keylog=keys if keys.is_file() else None)
    ends = [line for line in _truth(kubelet_scenario) if line.ev == "probe_end"]
    told = 0
    for probe in timeline.probes:
        for attempt in probe.attempts:
            message = kubelet_says(probe, attempt)
            if attempt.outcome is Outcome.SUCCESS or not message or attempt.implied:
                continue
            near = [
                line.output or getattr(line, "err", "")
                for line in ends
                if abs(line.t * 1e9 - attempt.end_ns) < 0.7e9 and line.type.lower() == probe.type.value
            ]
            if not near:
                continue
            text, _, other = message.partition(": ")[2].partition("; or, for the same packets, ")
            likely = [text, other or text]
            patterns = [re.escape(one).replace(r"\.\.\.", ".*") for one in likely]
            fits = any(re.fullmatch(one, said, re.DOTALL) for one in patterns for said in near)
            assert fits, (probe.id, attempt.n, message, near)
            told += 1
    assert told or all(a.outcome is not Outcome.FAILURE for p in timeline.probes for a in p.attempts) or not ends


def test_every_frame_of_an_attempt_is_in_its_ladder(kubelet_scenario: Path) -> None:
    """The ladder of any attempt has exactly the frames in which the tracker saw its connections, and nobody else's."""
    capture = next(p for name in ("capture.pcap", "tun0.pcap") if (p := kubelet_scenario / name).is_file())
    timeline = probewatch.analyze(capture)
    from probewatch.explaining import read_ladders

    chosen = [(p, a) for p in timeline.probes for a in p.attempts][:60]
    for ladder in read_ladders(timeline, capture, chosen):
        attempt = ladder.attempt
        for number, leg in enumerate(attempt.legs):
            mine = [step for step in ladder.steps if step.connection == number and step.kind == "tcp"]
            sightings = sum(len(step.seen) for step in mine)
            assert sightings == sum(one.packets for one in leg.connection.sightings)
            assert mine[0].mark.ns == leg.connection.start.ns
        phases = [phase for rail in ladder.connections for phase in rail.phases]
        assert all(phase.start_ns <= phase.end_ns for phase in phases)
        connects = [p for p in phases if p.kind is PhaseKind.CONNECT and p.done]
        legs = [leg for leg in attempt.legs if leg.connect_ns is not None]
        if len(connects) == len(attempt.legs) == len(legs):
            assert [p.end_ns - p.start_ns for p in connects] == [leg.connect_ns for leg in legs]


def test_a_frame_finds_its_attempt(captures: Path) -> None:
    """`frame` gives the attempt that holds the frame: the 88th frame is a RST 1.5 s after the verdict, and still its own."""
    (ladder,) = probewatch.explain(captures / "http-timeout" / "capture.pcap", frame=88)
    assert any(seen.mark.number == 88 for step in ladder.steps for seen in step.seen)
    assert ladder.attempt.n == 6
    with pytest.raises(probewatch.InputError, match="belongs to no attempt"):
        probewatch.explain(captures / "http-timeout" / "capture.pcap", frame=1)


def test_the_filter_selects_exactly_these_frames(captures: Path, tshark: str, run) -> None:
    """tshark, given the filter as it is printed, shows the frames of the ladder and no other."""
    for case in ("slow-answer", "blackhole"):
        path = captures / CASES[case][0]
        text = run("explain", path).out
        wanted = re.search(r"-Y '(frame.number in \{[^}]*\})'", text)
        assert wanted is not None
        done = subprocess.run(
            [tshark, "-r", str(path), "-Y", wanted[1], "-T", "fields", "-e", "frame.number"],
            capture_output=True,
            check=True,
        )
        (ladder,) = probewatch.explain(path)
        numbers = {seen.mark.number for step in ladder.steps for seen in step.seen}
        assert {int(line) for line in done.stdout.split()} == numbers


def test_standard_input_is_read_twice(captures: Path) -> None:
    """A capture from standard input is explained like the file, and what is kept of it has no name and is the owner's alone."""
    path = captures / "http-timeout" / "capture.pcap"
    command = [sys.executable, "-m", "probewatch.cli", "explain"]
    with path.open("rb") as file:
        piped = subprocess.run([*command, "-"], stdin=file, capture_output=True, check=True)
    named = subprocess.run([*command, str(path)], capture_output=True, check=True)
    assert piped.stdout.splitlines()[:-1] == named.stdout.splitlines()[:-2]
    kept = spool.rereadable(["-"], io.BytesIO(b"abc"))
    assert kept is not None
    with kept:
        about = os.fstat(kept.fileno())
        assert (about.st_nlink, stat.S_IMODE(about.st_mode) & 0o077) == (0, 0)
        assert kept.read() == b"abc"


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO is refused before anything is read of it, and so is a standard input beyond the limit; each in one sentence."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(CaptureError, match="can be read only once"):
        spool.rereadable([str(fifo)], io.BytesIO())
    monkeypatch.setattr(spool, "SPOOL_LIMIT", 2)
    with pytest.raises(CaptureError, match="longer than"):
        spool.rereadable(["-"], io.BytesIO(b"abc"))


def test_a_number_needs_a_probe(captures: Path, run) -> None:
    """A number that several probes have is refused, and the sentence names them; so is one that no attempt has."""
    said = run("explain", captures / "k136-liveness-restart" / "capture.pcap", "--attempt", "4")
    assert said.status == 2
    assert "p1 (readiness" in said.err
    said = run("explain", captures / "tcp-ready" / "capture.pcap", "--attempt", "999")
    assert said.status == 2
    assert "has no attempt 999" in said.err


def test_a_pod_chooses(captures: Path, run) -> None:
    """--pod narrows what --probe leaves: a number is one probe's then; a Pod that is not there is named as such."""
    where = ("explain", captures / "k136-liveness-restart" / "capture.pcap", "--spec", captures / "k136-liveness-restart" / "pod.yaml")
    both = run(*where, "--pod", "lab/liveness-restart", "--probe", "liveness", "--attempt", "4")
    assert both.status == 0
    assert "liveness" in both.out
    assert run(*where, "--pod", "liveness-restart", "--attempt", "4").status == 2  # (both of its probes have a fourth attempt)
    other = run(*where, "--pod", "web-1")
    assert other.status == 2
    assert "no probe matches --pod web-1" in other.err


def test_json_says_the_same(captures: Path, run) -> None:
    """`-o json` holds the frames, phases and message of the picture."""
    said = run("explain", captures / "http-timeout" / "capture.pcap", "-o", "json")
    document = json.loads(said.out)
    (ladder,) = document["ladders"]
    assert document["schema"] == "probewatch.ladder/1"
    assert ladder["attempt"]["n"] == 6
    assert [step["name"] for step in ladder["steps"][:3]] == ["SYN", "SYN ACK", "ACK"]
    assert ladder["frames"] == {"0": [[73, 77], [80, 81], [87, 88]]}
    assert {phase["kind"] for phase in ladder["connections"][0]["phases"]} >= {"connect", "wait"}


def test_hostile_bytes_do_not_reach_the_terminal(tmp_path: Path, run) -> None:
    """Escape codes and turned text in a request and a reason are written out in the ladder, and stay JSON in JSON."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.utils import wrpcap

    asked = b"GET /\x1b[31mx HTTP/1.1\r\nHost: 10.0.0.2\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    told = b"HTTP/1.1 503 \x1b]0;owned\x07\xc2\x9b\r\nContent-Length: 0\r\n\r\n"
    packets = []
    for number in range(4):
        port, talk = 40_000 + number, [
            (True, "S", 100, 0, b""), (False, "SA", 500, 101, b""), (True, "A", 101, 501, b""), (True, "PA", 101, 501, asked),
            (False, "PA", 501, 101 + len(asked), told), (False, "FA", 501 + len(told), 101 + len(asked), b""),
            (True, "FA", 101 + len(asked), 502 + len(told), b""), (False, "A", 502 + len(told), 102 + len(asked), b""),
        ]  # fmt: skip
        for place, (mine, flags, seq, ack, data) in enumerate(talk):
            ends = {"src": "10.0.0.1", "dst": "10.0.0.2"} if mine else {"src": "10.0.0.2", "dst": "10.0.0.1"}
            ports = {"sport": port, "dport": 80} if mine else {"sport": 80, "dport": port}
            packet = (
                Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
                / IP(**ends)
                / TCP(**ports, flags=flags, seq=seq, ack=ack)
                / data
            )
            packet.time = 1_000 + 10 * number + place / 1000
            packets.append(packet)
    path = tmp_path / "hostile.pcap"
    wrpcap(str(path), packets)
    said = run("explain", path, "--color", "never")
    assert "GET /\\x1b[31mx" in said.out
    assert "\\x1b]0;owned\\x07" in said.out
    assert all(line.isprintable() for line in said.out.splitlines())
    assert (
        json.loads(run("explain", path, "-o", "json").out)["ladders"][0]["steps"][3]["said"][0]["text"]
        == "GET /\x1b[31mx"
    )


def test_the_failure_that_began_the_outage_is_shown_first(run, captures: Path) -> None:
    """Without a choice it is not the refusal while the container started, but the first of those that made it NotReady or restart it."""
    for name, first, told in (("tcp-flap", "readiness #1 ", "readiness #27 "), ("k136-liveness-restart", "readiness #1 ", "liveness #11 ")):
        scenario = captures / name
        arguments = ("explain", scenario / "capture.pcap", "--spec", scenario / "pod.yaml")
        assert run(*arguments).out.startswith(told)
        assert run(*arguments, "--first-failed").out.startswith(first)


def test_failures_alike_are_drawn_once(run, captures: Path) -> None:
    """`--failed` draws one attempt of each kind; the others stand below it with their times and what they decided. JSON has each."""
    scenario = captures / "http-arp-dead"
    arguments = ("explain", scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "--failed")
    said = run(*arguments).out
    assert said.count("readiness #") == 1
    assert "again     the same 9 more times: #9 at +19.474, #10 at +21.474 -> NotReady, #11 at +22.474" in said
    assert len(json.loads(run(*arguments, "-o", "json").out)["ladders"]) == 10
    scenario = captures / "startup-probe"
    said = run("explain", scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "--failed").out
    assert [line.split()[1] for line in said.splitlines() if line.startswith("startup")] == ["#1", "#5"]  # refused, then 503
    assert said.count("again     the same 3 more times:") == 2


def test_a_success_has_a_remark_and_no_cause(run, captures: Path) -> None:
    """What is to be said of an attempt that went well is no cause, and a gRPC probe is told nothing about HTTP."""
    scenario = captures / "grpc-flap"
    said = run("explain", scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "--probe", "readiness", "--attempt", "1").out
    assert "  remark    reset-after-answer:" in said
    assert "  cause" not in said
    assert "KiB" not in said
    told = probewatch.analyze(scenario / "capture.pcap", spec=scenario / "pod.yaml")
    words = [text for probe in told.probes for one in probe.diagnoses for text in one.says]
    assert words
    assert not [text for text in words if "HTTP" in text or "Client.Timeout" in text]
