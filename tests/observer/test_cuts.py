"""Captures that begin or end in the middle of what happened: less is known then, and nothing is made up.

Held against the timeline of the whole capture, which other tests hold against the kubelet's own record.

Covers `observer`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from make import timeline_of
from truth import frames_of

from probewatch.cluster import build_book, read_specs
from probewatch.model.book import AddressBook
from probewatch.model.frame import Frame
from probewatch.model.timeline import Attempt, Cause, DecisionKind, EventKind, Outcome, Timeline

UNSEEN_NS = 1_000_000_000
"""An attempt whose refusal by ICMP the filter left out seems to last as long as its timeout."""
SHARES = (0.33, 0.6)
"""Of a capture's time, before which nothing was captured."""
NEAR_NS = 50_000_000
"""A decision is the same within this: a streak that began before the capture does not change when it was decided."""
BEGINNINGS = {EventKind.CONTAINER_STARTED, EventKind.KUBELET_RESTARTED}
IDENTICAL = {"identical-probes", "multi"}
"""Where two probes are the same in every field, only their beginning tells which is which."""


def is_tcp(frame: Frame) -> bool:
    """Tell whether tcpdump's `tcp` passes a frame of these captures (Ethernet without tags, no extension headers)."""
    kind = frame.data[12:14]
    return (kind == b"\x08\x00" and frame.data[23] == 6) or (kind == b"\x86\xdd" and frame.data[20] == 6)


def ports(attempt: Attempt) -> frozenset[int]:
    """Return what tells one attempt from others: the ports it came from."""
    return frozenset(leg.connection.client_port for leg in attempt.legs)


def outcome_of(timeline: Timeline, one: Attempt) -> set[Outcome]:
    """Return how the attempts from an attempt's ports ended, for each port the one that is nearest in time: ports are used again."""
    found: set[Outcome] = set()
    for port in ports(one):
        same = [attempt for probe in timeline.probes for attempt in probe.attempts if port in ports(attempt)]
        found |= {attempt.outcome for attempt in sorted(same, key=lambda attempt: abs(attempt.start.ns - one.start.ns))[:1]}
    return found


@pytest.mark.parametrize("share", SHARES)
def test_what_began_before_is_not_made_up(kubelet_scenario: Path, share: float) -> None:
    """Of a capture's rest, each decision is one that the whole capture shows, and each attempt ended as it did there."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    begin = frames[0].ns + int(share * (frames[-1].ns - frames[0].ns))
    rest = [one for one in frames if one.ns >= begin]
    whole, cut = timeline_of(frames, book), timeline_of(rest, book)
    decided = [(d.kind, d.ns, probe.type) for probe in whole.probes for d in probe.decisions]
    swapped = kubelet_scenario.name in IDENTICAL
    for probe in cut.probes:
        for d in probe.decisions:
            assert any(
                kind is d.kind and abs(ns - d.ns) < NEAR_NS and (kind_of is probe.type or swapped) for kind, ns, kind_of in decided
            ), (probe.type, d.kind, d.ns)
    told = [attempt for probe in cut.probes for attempt in probe.attempts if ports(attempt)]
    assert told or not any(probe.attempts for probe in whole.probes)
    for attempt in told:
        assert attempt.outcome in outcome_of(whole, attempt) | {Outcome.INCONCLUSIVE}, (attempt.n, attempt.start.ns)


def test_a_capture_that_begins_with_not_ready_shows_no_certain_start(kubelet_scenario: Path) -> None:
    """NotReady and a container's beginning look alike at their first frame: no start is told there but as perhaps one.

    Something else may show it, as long as the whole capture has a start there too.
    """
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    whole = timeline_of(frames, book)
    starts = [(event.address, event.ns) for event in whole.events if event.kind is EventKind.CONTAINER_STARTED]
    lost = [
        (probe.target.address, probe.attempts[decision.attempt - 1])
        for probe in whole.probes
        for decision in probe.decisions
        if decision.kind is DecisionKind.NOT_READY and probe.attempts[decision.attempt - 1].cause is not Cause.REFUSED
    ]
    for address, last in lost[:4]:
        rest = [one for one in frames if last.start.ns - 1_000_000 <= one.ns < last.start.ns + 20_000_000_000]
        cut = timeline_of(rest, book)
        for event in cut.events:
            if event.kind is EventKind.CONTAINER_STARTED and event.address == address and not event.doubtful:
                near = [ns for at, ns in starts if at == address and abs(ns - event.ns) < 3_000_000_000]
                assert near, (event.ns, event.evidence)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
def test_what_a_filter_left_out_is_not_made_up(kubelet_scenario: Path, *, declared: bool) -> None:
    """Of a capture taken with the filter `tcp`, which begins with the probe itself, each decision is one that the whole capture shows."""
    specs = sorted(kubelet_scenario.glob("pod*.yaml")) if declared else []
    book = build_book([pod for path in specs for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    whole, cut = timeline_of(frames, book), timeline_of([one for one in frames if is_tcp(one)], book)
    decided = [(d.kind, d.ns) for probe in whole.probes for d in probe.decisions]
    for probe in cut.probes:
        for d in probe.decisions:
            assert any(kind is d.kind and abs(ns - d.ns) < NEAR_NS + UNSEEN_NS for kind, ns in decided), (probe.type, d.kind, d.ns)


GRPC = (9000).to_bytes(2, "big")
"""Where grpc probes of these captures ask, over IPv4 on Ethernet."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lost_request_is_no_probe_of_its_own(kubelet_scenario: Path, seed: int) -> None:
    """Without a Pod, and without one of the requests: no probe and no decision is told that the whole capture does not show."""
    frames = frames_of(kubelet_scenario)
    asks = [b"GET /" in one.data[:100] or (one.data[36:38] == GRPC and len(one.data) > 150) for one in frames]
    asking = [number for number, asked in enumerate(asks) if asked]
    if not asking:
        pytest.skip("no request in clear")
    lost = random.Random(seed).choice(asking)
    whole, cut = timeline_of(frames, AddressBook()), timeline_of([*frames[:lost], *frames[lost + 1 :]], AddressBook())
    decided = [(d.kind, d.ns) for probe in whole.probes for d in probe.decisions]
    for probe in cut.probes:
        for d in probe.decisions:
            assert any(kind is d.kind and abs(ns - d.ns) < NEAR_NS for kind, ns in decided), (probe.type, d.kind, d.ns)
    assert len(cut.probes) <= len(whole.probes)


def test_a_syn_that_waited_shows_it_by_its_timestamp(captures: Path) -> None:
    """Without ARP frames the client's TCP timestamps tell how long a SYN waited for the address: as long as with them, and no other did.

    So a dial that came too late is the probe's own attempt, and the silence before it no new container.
    """
    frames = frames_of(captures / "http-arp-dead")
    whole, cut = timeline_of(frames, AddressBook()), timeline_of([one for one in frames if is_tcp(one)], AddressBook())
    waited = {
        ports(attempt): attempt.start.ns
        for probe in whole.probes
        for attempt in probe.attempts
        if attempt.cause is Cause.NEIGHBOUR_UNRESOLVED and attempt.legs
    }
    (probe,) = cut.probes
    held = [attempt for attempt in probe.attempts if any(leg.connection.held_ns for leg in attempt.legs)]
    assert held
    assert all(abs(waited[ports(attempt)] - attempt.start.ns) < 2_000_000 for attempt in held)
    assert [event.kind for event in cut.events] == [EventKind.CONTAINER_STARTED]
    assert [str(d.kind) for d in probe.decisions] == ["ready"]


def test_a_connection_that_came_too_late_is_no_probe_of_its_own(captures: Path) -> None:
    """What was connected only when its asker had given up belongs to the probe of that port, also where no manifest says so."""
    frames = frames_of(captures / "http-arp-dead")
    begin = frames[0].ns + int(0.52 * (frames[-1].ns - frames[0].ns))
    found = timeline_of([one for one in frames if one.ns >= begin], AddressBook())
    (probe,) = found.probes
    first = probe.attempts[0]
    assert (probe.path, first.outcome, first.start.ns < first.legs[0].connection.start.ns) == ("/ready", Outcome.FAILURE, True)


def lossy(frames: Sequence[Frame], share: float, seed: int) -> list[Frame]:
    """Return frames of which some are lost, here and there."""
    chosen = random.Random(seed)
    return [one for one in frames if chosen.random() >= share]


def test_what_was_lost_is_not_made_up(kubelet_scenario: Path) -> None:
    """Where one frame in fifty was lost, an attempt that is told ended as it did, or is unclear; nine in ten are found, or all but one."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    whole, rest = timeline_of(frames, book), timeline_of(lossy(frames, 0.02, len(frames)), book)
    told = [attempt for probe in rest.probes for attempt in probe.attempts if ports(attempt) and probe.checker.kind == "kubelet"]
    for attempt in told:
        # (Of an attempt that was made again at once, one of the connections may be all that is left.)
        assert attempt.outcome in outcome_of(whole, attempt) | {Outcome.INCONCLUSIVE, Outcome.DISCARDED}, (attempt.n, attempt.start.ns)
    found = {port for attempt in told for port in ports(attempt)}
    kubelets = {
        port for probe in whole.probes if probe.checker.kind == "kubelet" for attempt in probe.attempts for port in ports(attempt)
    }
    assert len(kubelets - found) <= max(1, 0.1 * len(kubelets))


def test_a_rotated_set_is_one_capture(kubelet_scenario: Path) -> None:
    """Files that follow each other without a break, each as many frames as the next, read as one."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    parts = [one._replace(file=3 * number // len(frames)) for number, one in enumerate(frames)]
    whole, rotated = timeline_of(frames, book), timeline_of(parts, book)
    assert [(p.path, p.type, p.initial_state, p.final_state) for p in rotated.probes] == [
        (p.path, p.type, p.initial_state, p.final_state) for p in whole.probes
    ]
    assert [[(a.start.ns, a.outcome) for a in p.attempts] for p in rotated.probes] == [
        [(a.start.ns, a.outcome) for a in p.attempts] for p in whole.probes
    ]
    assert [[(d.kind, d.ns) for d in p.decisions] for p in rotated.probes] == [[(d.kind, d.ns) for d in p.decisions] for p in whole.probes]


def test_nothing_is_made_up_between_files(kubelet_scenario: Path) -> None:
    """Where no file covers a time in between, nothing is told that the whole capture does not show, and the hole is."""
    book = build_book([pod for path in sorted(kubelet_scenario.glob("pod*.yaml")) for pod in read_specs(os.fspath(path))], [], [])
    frames = frames_of(kubelet_scenario)
    span = frames[-1].ns - frames[0].ns
    begin, end = frames[0].ns + int(0.4 * span), frames[0].ns + int(0.65 * span)
    whole = timeline_of(frames, book)
    parts = timeline_of([one._replace(file=int(one.ns > begin)) for one in frames if not begin < one.ns < end], book)
    if not any(event.kind is EventKind.CAPTURE_GAP for event in parts.events):
        covered = [one for one in frames if one.ns <= begin]
        longest = max(after.ns - before.ns for before, after in pairwise(covered))
        pause = next(one.ns for one in frames if one.ns >= end) - covered[-1].ns
        short = pause <= 3 * longest + 1_000_000_000, pause > covered[-1].ns - covered[0].ns
        assert any(short), "no longer than three pauses as they were before, or longer than all that was seen before"
        return
    decided = [(d.kind, d.ns) for probe in whole.probes for d in probe.decisions]
    for probe in parts.probes:
        for d in probe.decisions:
            assert any(kind is d.kind and abs(ns - d.ns) < NEAR_NS for kind, ns in decided), (probe.type, d.kind, d.ns)
    began = [event.ns for event in whole.events if event.kind in BEGINNINGS]
    for event in parts.events:
        assert event.kind not in BEGINNINGS or any(abs(ns - event.ns) < 2_000_000_000 for ns in began), (event.kind, event.ns)
