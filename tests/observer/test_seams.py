"""Pauses between two files: a quiet moment of a rotated set, or a time that nobody captured."""

from __future__ import annotations

from pathlib import Path

import pytest
from truth import frames_of

from probewatch.api import observer
from probewatch.model.timeline import DecisionKind, EventKind, Timeline
from probewatch.model.units import SECOND as S
from probewatch.observer.seams import FLOWS, Seams
from probewatch.verify.case import Case
from probewatch.verify.moments import never


def idle(_: str) -> None:
    """Nothing is under way."""


def met(*starts: float, server: str = "fd00::a") -> Seams:
    """Return what is known after a client began at these seconds."""
    known = Seams()
    for start in starts:
        known.note("fd00::1", server, 80, round(start * S))
    return known


@pytest.mark.parametrize(
    ("starts", "pause", "missed"),
    [
        ((0, 2, 4, 6), (6.1, 9.5), True),  # the one due at 8
        ((0, 2, 4, 6), (6.1, 8.1), False),  # it comes now
        ((0, 2, 4, 6), (6.1, 8.9), False),  # late
        ((0, 2, 4, 6), (9.5, 20), False),  # it had stopped before
        ((0, 2), (2.1, 20), False),  # no pace so far
        ((0, 0.01, 2.01, 4.01), (4.1, 8), True),  # a manual trigger is no step
        ((0, 8, 10, 18, 20), (20.1, 26), False),  # it paused as long before
    ],
)
@pytest.mark.parametrize("server", ["fd00::a", "10.0.0.1"])
def test_who_had_a_pace_is_missed(starts: tuple[float, ...], pause: tuple[float, float], missed: bool, server: str) -> None:
    """A pause is a hole where somebody who was at his pace should have asked in it, more than half a step ago."""
    assert met(*starts, server=server).missed(round(pause[0] * S), round(pause[1] * S), idle) is missed


def test_what_is_under_way_may_have_begun_late() -> None:
    """Of what nobody answered the latest start is not known yet: it may be as late as the end of the file."""
    known = met(0, 2, 4)
    assert not known.missed(9 * S, 13 * S, idle)
    assert known.missed(9 * S, 13 * S, lambda _: 6 * S)
    assert not known.missed(9 * S, 11 * S, lambda _: 6 * S)


def test_who_asks_is_bounded() -> None:
    """Of very many who ask only some are kept."""
    known = Seams()
    for number in range(FLOWS + 10):
        for at in range(3):
            known.note(str(number), "fd00::a", 80, at * S)
    assert len(known._step) == FLOWS


def parted(folder: Path, begin: int, end: int) -> Timeline:
    """Return what is made of two files that leave out a time, in seconds since the first frame."""
    known = observer(spec=folder / "pod.yaml")
    frames = frames_of(folder)
    begin, end = frames[0].ns + begin * S, frames[0].ns + end * S
    for frame in frames:
        if not begin <= frame.ns <= end:
            known.feed(frame._replace(file=int(frame.ns > end)))
    return known.finish()


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [("http-icmp-reject", 9, 23), ("http-timeout", 13, 27), ("http-flap-below", 14, 19), ("http-arp-dead", 12, 31), ("http-ipv6", 12, 26)],
)
def test_an_outage_between_two_files_is_not_denied(captures: Path, name: str, begin: int, end: int) -> None:
    """Where attempts were due between two files the capture has a hole, however short the first file: never NotReady is not told."""
    found = parted(captures / name, begin, end)
    (hole,) = [event for event in found.events if event.kind is EventKind.CAPTURE_GAP]
    assert hole.evidence.startswith("no file covers the next")
    assert not [event for event in found.events if event.kind is EventKind.KUBELET_RESTARTED]
    for probe in found.probes:
        assert never(Case(found, probe), DecisionKind.NOT_READY).held.value != "pass"
