"""What is missing by the way a capture was taken (a snapshot length, a filter) proves nothing, and is said.

Covers `observer`, `probes.judge`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from probewatch import explain, verify, who
from probewatch.api import Analysis, open_inputs
from probewatch.capture import merged
from probewatch.decisions.undecided import undecided
from probewatch.model.frame import Frame
from probewatch.model.ladder import PhaseKind
from probewatch.model.spec import Handler
from probewatch.model.timeline import Cause, DecisionKind, EventKind, GapKind, Outcome, Probe, Timeline
from probewatch.probes.judge import UNSEEN
from probewatch.report.verdict import Level, judge

CAPTURES = Path(__file__).parents[2] / "captures"
WHOLE = 1 << 18


def taken(
    name: str, path: Path, *, length: int = WHOLE, kept: Callable[[Frame], bool] = lambda _: True, spec: bool = False
) -> Timeline:
    """Take a capture again with a snapshot length and a filter, and read it."""
    (reader,) = open_inputs([str(next((CAPTURES / name).glob("cap*.pcap*")))])
    try:
        frames = [frame for frame in merged([reader]) if kept(frame)]
    finally:
        reader.close()
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, length, 1))
        for frame in frames:
            data = frame.data[:length]
            file.write(struct.pack("<IIII", *divmod(frame.ns, 10**9), len(data), frame.original_length) + data)
    return Analysis([path], spec=str(CAPTURES / name / "pod.yaml") if spec else ()).whole()


@pytest.mark.parametrize(("name", "length"), [("http-flap-s1", 96), ("http-flap-s1", 128), ("http-flap-s1", 139), ("http-ipv6", 150)])
def test_a_request_that_was_cut_names_nobody_by_what_it_lacks(name: str, length: int, tmp_path: Path) -> None:
    """A kubelet's request of which only the beginning is there is a check that may be a kubelet's; what came of it stands."""
    whole = taken(name, tmp_path / "whole.pcap").probes
    cut = taken(name, tmp_path / "cut.pcap", length=length).probes
    http = [probe for probe in cut if probe.handler is Handler.HTTP_GET]
    assert http
    assert {probe.checker.kind for probe in http} == {"unknown"}
    assert all("kubelet" in probe.checker.could_be for probe in http)
    assert told(cut) == told(whole)


def told(probes: Iterable[Probe]) -> list[tuple[int, Outcome]]:
    """Return all attempts' outcomes, by when they began."""
    return sorted((a.start.ns, a.outcome) for probe in probes for a in probe.attempts)


def test_checkers_whose_requests_were_cut(tmp_path: Path) -> None:
    """Nobody is called Apache or Varnish for headers that were cut off; whom something says that was seen keeps the name."""
    whole = taken("several", tmp_path / "whole.pcap")
    cut = taken("several", tmp_path / "cut.pcap", length=90)
    assert {"apache", "varnish", "haproxy"} <= {probe.checker.kind for probe in whole.probes}
    kinds = {probe.checker.kind for probe in cut.probes if probe.handler is Handler.HTTP_GET}
    assert kinds == {"unknown", "haproxy"}


@pytest.mark.parametrize(("name", "length"), [("http-flap-s1", 96), ("http-flap-s1", 128), ("http-ipv6", 150), ("https-503", 80)])
def test_a_snapshot_length_is_told_before_all_else(name: str, length: int, tmp_path: Path) -> None:
    """Where it cut nearly all requests one note says so, at which length, and what to do; a whole capture has none."""
    cut = taken(name, tmp_path / "cut.pcap", length=length)
    assert cut.foremost == 1
    assert f"frames were cut at {length} bytes" in cut.notes[0]
    assert "tcpdump -s 0" in cut.notes[0]
    assert "--spec" in cut.notes[0]
    assert taken(name, tmp_path / "whole.pcap").foremost == 0
    assert "--spec" not in taken(name, tmp_path / "cut.pcap", length=length, spec=True).notes[0]


def test_what_was_cut_is_no_silence(tmp_path: Path) -> None:
    """A ladder of an attempt whose answer was cut waits for it as long as it took, and verify says that requests were cut, not missing."""
    taken("http-flap-s1", tmp_path / "cut.pcap", length=96)
    spec = str(CAPTURES / "http-flap-s1" / "pod.yaml")
    ladder = explain(tmp_path / "cut.pcap", spec=spec, attempt=2)
    phases = ladder[0].connections[0].phases
    assert [phase.kind for phase in phases] == [PhaseKind.CONNECT, PhaseKind.REQUEST, PhaseKind.WAIT, PhaseKind.CLOSE]
    assert all(phase.done for phase in phases)
    findings = verify(tmp_path / "cut.pcap", spec=spec).findings
    said = [finding.sentence for finding in findings if "httpHeaders" in finding.field]
    assert said == ["the capture cut all requests that it has (snapshot length)"]


FIN, SYN, RST = 1, 2, 4
V6 = b"\x86\xdd"


def flags_of(frame: Frame) -> int:
    """Return the TCP flags of a frame, 0 of what is no TCP segment."""
    v6 = frame.data[12:14] == V6
    return frame.data[67 if v6 else 47] if frame.data[20 if v6 else 23] == 6 else 0


def opens_or_closes(frame: Frame) -> bool:
    """Keep what `tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0` keeps."""
    return flags_of(frame) & (SYN | FIN | RST) != 0


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6", "grpc-flap"])
def test_bytes_that_a_filter_left_out_were_no_connect_check(name: str, tmp_path: Path) -> None:
    """Of SYN, FIN and RST alone nobody sees a probe that asked; a manifest's attempts are inconclusive where they connected."""
    bare = taken(name, tmp_path / "syn.pcap", kept=opens_or_closes)
    assert [probe for probe in bare.probes if probe.handler is not Handler.TCP_SOCKET or "haproxy" in probe.checker.kind] == []
    assert bare.foremost == 1
    assert all(word in bare.notes[0] for word in ("missing throughout", "the data", "every bare ACK", "not by flags"))
    asking = [probe for probe in taken(name, tmp_path / "syn.pcap", kept=opens_or_closes, spec=True).probes if probe.spec is not None]
    unlike = [probe for probe in asking if probe.handler is not Handler.TCP_SOCKET]
    assert unlike
    attempts = [attempt for probe in unlike for attempt in probe.attempts if attempt.legs[0].connection.orig.fin is not None]
    assert {(attempt.outcome, attempt.detail) for attempt in attempts} == {(Outcome.INCONCLUSIVE, UNSEEN)}
    assert [decision for probe in unlike for decision in probe.decisions] == []


def test_who_exchanged_bytes_that_a_filter_left_out(tmp_path: Path) -> None:
    """A connection that did exchange bytes is not said to have closed without any."""
    taken("http-flap-s1", tmp_path / "syn.pcap", kept=opens_or_closes)
    (reader,) = open_inputs([str(tmp_path / "syn.pcap")])
    first = next(iter(reader)).data
    reader.close()
    port = int.from_bytes(first[34:36])
    (answer,) = who(tmp_path / "syn.pcap", f"10.128.0.1:{port}").answers
    assert answer.what == "connects, and exchanges bytes that this capture lacks"


def test_connect_checks_need_no_more_than_their_ends(tmp_path: Path) -> None:
    """Where nothing was asked, SYN, FIN and RST show that it connected: the kubelet's probe as with all ACKs, and HAProxy's."""
    whole = taken("tcp-ready", tmp_path / "whole.pcap", spec=True)
    ends = taken("tcp-ready", tmp_path / "syn.pcap", kept=opens_or_closes, spec=True)
    assert {outcome for _, outcome in told(ends.probes)} == {Outcome.SUCCESS}
    assert len(told(ends.probes)) == len(told(whole.probes))
    assert "every bare ACK" in ends.notes[0]
    assert {probe.checker.kind for probe in taken("hap-openshift", tmp_path / "hap.pcap", kept=opens_or_closes).probes} == {"haproxy"}


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_an_ack_that_a_filter_left_out_is_not_lost(name: str, tmp_path: Path) -> None:
    """SYNs and SYN-ACKs alone: nobody knows how it went on, at the end of the capture neither, and nothing is said to have dropped any."""
    for spec in (False, True):
        half = taken(name, tmp_path / "syn.pcap", kept=lambda frame: flags_of(frame) & SYN != 0, spec=spec)
        attempts = [attempt for probe in half.probes for attempt in probe.attempts]
        assert attempts or not spec
        assert {attempt.outcome for attempt in attempts} <= {Outcome.INCONCLUSIVE}
        assert {one.kind for probe in half.probes for one in probe.diagnoses if not one.harmless} == set()
        assert "every bare ACK" in half.notes[0]


def carries(frame: Frame) -> bytes:
    """Return the payload of a TCP segment."""
    data, v6 = frame.data, frame.data[12:14] == V6
    at = 54 if v6 else 34
    end = 54 + int.from_bytes(data[18:20]) if v6 else 14 + int.from_bytes(data[16:18])
    return data[at + (data[at + 12] >> 4) * 4 : end] if flags_of(frame) else b""


@pytest.mark.parametrize("spec", [False, True], ids=["guessed", "declared"])
def test_data_alone_shows_what_was_answered_and_not_when_somebody_hung_up(spec: bool, tmp_path: Path) -> None:
    """Answers in time count; of late ones nobody knows. No stalled node is made up, no timeout, and no container start in between."""
    whole = taken("http-timeout", tmp_path / "whole.pcap", spec=spec)
    data = taken("http-timeout", tmp_path / "data.pcap", kept=lambda frame: bool(carries(frame)), spec=spec)
    good = [outcome for _, outcome in told(whole.probes)].count(Outcome.SUCCESS)
    outcomes = [outcome for _, outcome in told(data.probes)]
    assert len(outcomes) == len(told(whole.probes))
    assert (outcomes.count(Outcome.SUCCESS), outcomes.count(Outcome.FAILURE)) == (good, 0)
    assert [one.kind for probe in data.probes for one in probe.diagnoses if not one.harmless] == []
    assert all("timeoutSeconds" not in probe.inferred for probe in data.probes)
    assert [event.ns for event in data.events if event.ns > data.probes[0].attempts[0].start.ns + 10**9] == []
    assert "how 32 connections began and ended" in data.notes[0]


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_requests_alone_are_attempts_without_an_outcome(name: str, tmp_path: Path) -> None:
    """Each GET is an attempt, none vanishes, none is acknowledged or slow, and the note says that a filter left the rest out."""
    asked = taken(name, tmp_path / "get.pcap", kept=lambda frame: carries(frame).startswith(b"GET "))
    attempts = [attempt for probe in asked.probes for attempt in probe.attempts]
    assert len(attempts) == sum(info.frames for info in asked.captures)
    assert {attempt.outcome for attempt in attempts} == {Outcome.INCONCLUSIVE}
    assert {attempt.detail for attempt in attempts} == {"nothing that answered it is in the capture"}
    assert [probe.decisions for probe in asked.probes if probe.decisions] == []
    assert [event for event in asked.events if event.ns > attempts[0].start.ns + 10**9] == []
    assert [one.kind for probe in asked.probes for one in probe.diagnoses if not one.harmless] == []
    assert "began and ended" in asked.notes[0]


def test_connections_that_are_kept_all_the_time_are_no_filter(tmp_path: Path) -> None:
    """Connections that neither begin nor end in a capture, as Envoy keeps them, show ACKs: no note says that a filter took their ends."""
    middle = taken("envoy", tmp_path / "middle.pcap", kept=lambda frame: not opens_or_closes(frame))
    assert middle.probes
    assert middle.foremost == 0


@pytest.mark.parametrize("length", [96, 150, 200])
def test_a_body_that_broke_off_behind_the_snapshot_length_is_no_success(length: int, tmp_path: Path) -> None:
    """What the kubelet threw away is inconclusive where the promised length was cut off, and told where only the body was.

    Lengths of segments tell that it broke off. Other good answers stay good.
    """
    whole = taken("http-reset-body", tmp_path / "whole.pcap", spec=True)
    assert {outcome for _, outcome in told(whole.probes)} == {Outcome.DISCARDED}
    cut = taken("http-reset-body", tmp_path / "cut.pcap", length=length, spec=True)
    if length == 200:  # (its headers are whole)
        assert told(cut.probes) == told(whole.probes)
    else:
        assert {outcome for _, outcome in told(cut.probes)} == {Outcome.INCONCLUSIVE}
    good = taken("http-flap-s1", tmp_path / "cut.pcap", length=length, spec=True)
    assert told(good.probes) == told(taken("http-flap-s1", tmp_path / "whole.pcap", spec=True).probes)


def sent_by(*addresses: str) -> Callable[[Frame], bool]:
    """Return what keeps the frames that these addresses sent (Ethernet, IPv4 without tags)."""
    raw = {bytes(map(int, address.split("."))) for address in addresses}
    return lambda frame: frame.data[12:14] == b"\x08\x00" and frame.data[26:30] in raw


def test_a_refusal_tells_of_the_dial_that_is_not_here(tmp_path: Path) -> None:
    """Where SYNs are missing their refusals are attempts as before, and nobody's container begins for it."""
    whole = taken("tcp-flap", tmp_path / "whole.pcap", spec=True)
    refused = [a.start.number for a in whole.probes[0].attempts if a.cause is Cause.REFUSED]
    lost = set(refused[3:-1:3])
    assert len(lost) > 3
    cut = taken("tcp-flap", tmp_path / "cut.pcap", kept=lambda frame: frame.number not in lost, spec=True)
    (one,), (other,) = cut.probes, whole.probes
    assert [(a.outcome, a.cause) for a in one.attempts] == [(a.outcome, a.cause) for a in other.attempts]
    assert [e.kind for e in cut.events] == [e.kind for e in whole.events]
    assert not cut.others


@pytest.mark.parametrize(("name", "pod"), [("http-timeout", "10.128.0.10"), ("http-blackhole", "10.128.0.10")])
def test_one_direction_leaves_the_state_open(name: str, pod: str, tmp_path: Path) -> None:
    """Where the pod's frames alone show too little of so many attempts as decide, nobody is told that it stayed Ready."""
    half = taken(name, tmp_path / "half.pcap", kept=sent_by(pod), spec=True)
    (probe,) = half.probes
    verdict = judge(probe, half)
    assert verdict.level is not Level.FINE
    assert "state not known for" in verdict.sentence
    assert "stayed" not in verdict.sentence
    assert "throughout" not in verdict.sentence
    assert all(event.doubtful for event in half.events if event.kind is EventKind.KUBELET_RESTARTED)
    whole = taken(name, tmp_path / "whole.pcap", spec=True)
    (down,) = [d.ns for d in whole.probes[0].decisions if d.kind is DecisionKind.NOT_READY]
    assert any(one.start_ns <= down <= (one.end_ns or down) for one in undecided(probe))


def test_the_checkers_direction_explains_no_silence(tmp_path: Path) -> None:
    """Where the kubelet's frames alone are there, refusals and a back-off are no full queue, and no kubelet restarted for sure."""
    half = taken("k136-liveness-restart", tmp_path / "half.pcap", kept=sent_by("10.128.0.1"), spec=True)
    kinds = {one.kind for probe in half.probes for one in probe.diagnoses}
    assert "one-direction" in kinds
    assert "listen-queue-full" not in kinds
    assert [event.doubtful for event in half.events if event.kind is EventKind.KUBELET_RESTARTED] == [True]
    assert not any(gap.kind is GapKind.KUBELET_RESTARTED for probe in half.probes for gap in probe.gaps)


@pytest.mark.parametrize("jobs", [1, 2])
def test_syns_that_never_left_are_told_where_nothing_else_does(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel's own errors about SYNs that are not here explain missing attempts, unless address requests make them attempts."""
    monkeypatch.setattr("probewatch.ahead.WORTH", 0)
    (reader,) = open_inputs([str(CAPTURES / "http-arp-dead" / "capture.pcap")])
    frames = list(reader)
    reader.close()
    syn = next(frame for frame in frames if frame.data[12:14] == b"\x08\x00" and frame.data[23] == 6 and frame.data[47] == 2)
    begun = next(frame.ns for frame in frames if frame.data[12:14] == b"\x08\x06" and frame.ns > syn.ns + 10**9)
    source, quoted = syn.data[26:30], bytearray(syn.data[14:42])
    errors = []
    for port in (50_001, 50_003):
        quoted[20:22] = struct.pack("!H", port)
        body = b"\x03\x01\0\0\0\0\0\0" + bytes(quoted)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, source, source)
        data = bytes(12) + b"\x08\x00" + head + body
        errors.append(Frame(begun + 3 * 10**9, 0, 0, 0, 1, data, len(data)))

    def notes(kept: Iterable[Frame]) -> list[str]:
        path = tmp_path / "made.pcap"
        with path.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, WHOLE, 1))
            for frame in sorted([*kept, *errors], key=lambda one: one.ns):
                file.write(struct.pack("<IIII", *divmod(frame.ns, 10**9), len(frame.data), len(frame.data)) + frame.data)
        return [note for note in Analysis([path], jobs=jobs).whole().notes if "never left" in note]

    assert notes(frames) == []
    (note,) = notes([frame for frame in frames if frame.data[12:14] != b"\x08\x06"])
    assert note.startswith("2 SYNs of 10.128.0.1 to 10.128.0.10:8080 never left")
