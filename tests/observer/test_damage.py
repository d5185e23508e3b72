"""What a capture lost, saw twice or wrote down in another order proves nothing that the whole one does not show.

Covers `observer` and `wire`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from probewatch import verify
from probewatch.api import Analysis, open_inputs
from probewatch.capture import merged
from probewatch.model.finding import Held
from probewatch.model.frame import Frame
from probewatch.model.spec import Handler
from probewatch.model.timeline import ANSWERS_ONLY, Attempt, Cause, Decision, Outcome, Probe

CAPTURES = Path(__file__).parents[2] / "captures"
NAMES = pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
WINDOW_NS = 1_000_000


def frames_of(name: str) -> list[Frame]:
    """Return a capture's frames."""
    (reader,) = open_inputs([str(CAPTURES / name / "capture.pcap")])
    try:
        return list(merged([reader]))
    finally:
        reader.close()


def told(frames: Iterable[Frame], path: Path) -> tuple[dict[int, Attempt], list[Decision]]:
    """Write frames as they come into a file; return attempts by when they began, and decisions."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))
        for frame in frames:
            assert frame.link_type == 1
            file.write(struct.pack("<IIII", *divmod(frame.ns, 10**9), len(frame.data), frame.original_length) + frame.data)
    probes = Analysis([path]).whole().probes
    return {a.start.ns: a for p in probes for a in p.attempts}, [d for p in probes for d in p.decisions]


def twice(frames: list[Frame], rng: random.Random) -> Iterator[Frame]:
    """Write one in ten a second time."""
    for frame in frames:
        yield frame
        if rng.random() < 0.1:
            yield frame


def shuffled(frames: list[Frame], rng: random.Random) -> Iterator[Frame]:
    """Move frames by up to a millisecond, times kept."""
    moved = [(frame.ns + rng.randrange(WINDOW_NS), number) for number, frame in enumerate(frames)]
    return (frames[number] for _, number in sorted(moved))


@NAMES
@pytest.mark.parametrize("damage", [twice, shuffled])
def test_frames_twice_or_out_of_order_change_nothing(
    name: str, damage: Callable[[list[Frame], random.Random], Iterator[Frame]], tmp_path: Path
) -> None:
    """Outcomes, causes and decisions are those of the capture as it was."""
    frames = frames_of(name)
    attempts, decisions = told(frames, tmp_path / "a.pcap")
    again, decided = told(damage(frames, random.Random(7)), tmp_path / "a.pcap")
    assert [(a.outcome, a.cause, a.streak) for a in again.values()] == [(a.outcome, a.cause, a.streak) for a in attempts.values()]
    assert [(d.kind, d.attempt) for d in decided] == [(d.kind, d.attempt) for d in decisions]


@NAMES
def test_a_lost_end_is_no_silence(name: str, tmp_path: Path) -> None:
    """Of each good attempt the capture loses all behind the request: none of them failed, for nobody is seen to hang up at the deadline."""
    frames = frames_of(name)
    attempts, decisions = told(frames, tmp_path / "a.pcap")
    good = [a for a in attempts.values() if a.outcome is Outcome.SUCCESS and a.legs[0].connection.orig.first_data]
    chosen = [b for a, b in pairwise(good) if b.n % 3 == 0 and b.start.ns - a.start.ns > 10**8]
    gone: set[int] = set()
    for a in chosen:
        c = a.legs[0].connection
        assert c.orig.first_data is not None
        gone |= set(range(c.orig.first_data.number + 1, c.end.number + 1))
    assert chosen
    again, decided = told([frame for frame in frames if frame.number not in gone], tmp_path / "a.pcap")
    for a in chosen:
        assert (again[a.start.ns].outcome, again[a.start.ns].cause) == (Outcome.INCONCLUSIVE, Cause.CUT)
    assert {(d.kind, d.ns) for d in decided} <= {(d.kind, d.ns) for d in decisions}


@pytest.mark.parametrize("name", ["https-503", "https-suites"])
@pytest.mark.parametrize("length", [96, 120, 160, 400])
def test_a_snapshot_length_fails_no_handshake(name: str, length: int, tmp_path: Path) -> None:
    """TLS over IPv4 and IPv6 whose ServerHello was cut: not known, where the whole capture shows no failure; closing it proves none."""
    whole = frames_of(name)
    known, _ = told(whole, tmp_path / "whole.pcap")
    cut, _ = told([frame._replace(data=frame.data[:length]) for frame in whole], tmp_path / "cut.pcap")
    assert len(cut) >= len(known) // 2
    wrong = [made.detail for start, made in cut.items() if made.outcome is Outcome.FAILURE and known[start].outcome is not Outcome.FAILURE]
    assert wrong == []


def test_a_redirect_that_was_cut_may_lead_anywhere(tmp_path: Path) -> None:
    """Of a 302 whose Location a snapshot length cut nobody knows whether the kubelet was to follow it: not known, and decides nothing."""
    whole = frames_of("http-redirect-other")
    known, _ = told(whole, tmp_path / "whole.pcap")
    cut, decisions = told([frame._replace(data=frame.data[:190]) for frame in whole], tmp_path / "cut.pcap")
    assert {made.cause for made in known.values()} == {Cause.OK_REDIRECT}
    assert (len(cut), {(made.outcome, made.cause) for made in cut.values()}) == (len(known), {(Outcome.INCONCLUSIVE, Cause.CUT)})
    assert decisions == []


def one_way(name: str, path: Path, *, of_target: bool) -> list[Probe]:
    """Keep what the server at port 8080 sent, or what was sent to it; return the httpGet probes."""

    def half() -> Iterator[Frame]:
        for frame in frames_of(name):
            source = frame.data[54 if frame.data[12:14] == b"\x86\xdd" else 34 :][:2]
            if of_target is (source == b"\x1f\x90"):
                yield frame

    told(half(), path)
    return asking(name, path)


def asking(name: str, path: Path) -> list[Probe]:
    """Return the httpGet probes of a capture (a tcpSocket probe is content with less)."""
    probes = Analysis([path], spec=str(CAPTURES / name / "pod.yaml")).whole().probes
    return [probe for probe in probes if probe.handler is Handler.HTTP_GET]


@NAMES
def test_the_targets_direction_alone_tells_what_it_answered(name: str, tmp_path: Path) -> None:
    """Outcomes and decisions are those of the whole capture, with a diagnosis that says what they rest on."""
    whole = asking(name, CAPTURES / name / "capture.pcap")
    halves = one_way(name, tmp_path / "a.pcap", of_target=True)
    assert [(a.outcome, a.status) for p in halves for a in p.attempts] == [(a.outcome, a.status) for p in whole for a in p.attempts]
    assert [d.kind for p in halves for d in p.decisions] == [d.kind for p in whole for d in p.decisions]
    assert all("one-direction" in [one.kind for one in p.diagnoses] for p in halves)
    found = verify(tmp_path / "a.pcap", spec=str(CAPTURES / name / "pod.yaml")).findings
    assert [finding for finding in found if finding.held is Held.FAIL] == []


@NAMES
def test_the_checkers_direction_alone_tells_no_outcome(name: str, tmp_path: Path) -> None:
    """Every attempt is inconclusive, and the diagnosis says what is missing and where to capture."""
    (probe,) = one_way(name, tmp_path / "a.pcap", of_target=False)
    assert {a.outcome for a in probe.attempts} == {Outcome.INCONCLUSIVE}
    assert "one-direction" in [one.kind for one in probe.diagnoses]
    assert probe.decisions == ()


@NAMES
def test_answers_alone_are_no_checker_without_a_spec(name: str, tmp_path: Path) -> None:
    """Nothing of the question was captured, so nobody is named, and the traffic is told for what it is."""
    path = tmp_path / "a.pcap"
    one_way(name, path, of_target=True)
    timeline = Analysis([path]).whole()
    assert timeline.probes == ()
    assert {other.what for other in timeline.others} == {ANSWERS_ONLY}


@pytest.mark.parametrize("snaplen", [256, 512])
def test_a_snapshot_length_leaves_a_broken_body_broken(snaplen: int, tmp_path: Path) -> None:
    """Where it keeps the headers, lengths tell that a body broke off: tries are joined, attempts and detail are those of whole frames."""
    frames = frames_of("http-reset-body")
    cut = [frame._replace(data=frame.data[:snaplen]) for frame in frames]
    assert sum(len(frame.data) < frame.original_length for frame in cut) > 20

    def read(made: list[Frame], path: Path) -> list[tuple[object, ...]]:
        return [(ns, a.outcome, a.cause, a.detail, len(a.legs)) for ns, a in told(made, path)[0].items()]

    whole = read(frames, tmp_path / "whole.pcap")
    assert {tuple(one[1:3]) for one in whole} == {(Outcome.DISCARDED, Cause.BODY_BROKEN)}
    assert read(cut, tmp_path / "cut.pcap") == whole
