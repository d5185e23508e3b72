"""What the observer holds is bounded, and what a bound does is said: sources, strangers, checks, revisions, waiting connections.

Covers `observer.core`, `observer.keeper`, `observer.senders`, `observer.strangers`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from builder import S
from make import NODE, POD, every, frames, probes, script_of
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.packet import Raw

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.frame import Frame
from probewatch.model.timeline import Timeline
from probewatch.observer import Keep, Observer, Settings, core, front, keeper, senders, strangers, target, weigh
from probewatch.wire.table import Limits


def client(number: int) -> str:
    """Return the address of a client."""
    return f"10.129.{number // 200}.{number % 200 + 1}"


def held(observer: Observer) -> int:
    """Return how many runs of strangers there are."""
    return sum(len(target.strangers) for target in observer._targets.values())


def undecided(observer: Observer) -> int:
    """Return how many runs wait until it is known who sent them."""
    return sum(len(runs) for target in observer._targets.values() for runs in target.undecided().values())


def waiting(observer: Observer) -> int:
    """Return how many connections wait for their turn, or to be read."""
    return sum(len(target.queue) for target in observer._targets.values()) + len(observer._tracker._table.ready)


def lines(do: Callable[[], object], module: ModuleType) -> int:
    """Return how many lines of a module are run by this; each turn of a loop is one, on one line too."""
    number = 0

    def line(*_: object) -> object:
        nonlocal number
        number += 1
        return line

    sys.settrace(lambda frame, *_: line if frame.f_code.co_filename == module.__file__ else None)
    try:
        do()
    finally:
        sys.settrace(None)
    return number


@pytest.mark.parametrize("many", ["sources", "targets"])
def test_twice_as_many_addresses_are_twice_the_work(many: str) -> None:
    """A flood of SYNs from, or to, addresses that are all different is sorted in steps in proportion to their number, at the end too."""

    def work(number: int) -> int:
        scripts: list[tuple[float, str, str]] = []
        for n in range(number):
            server = POD if many == "sources" else client(n + number)
            scripts += probes([0.001 * n], "ok" if many == "sources" else "unanswered", client=client(n), server=server)
        observer = Observer(Settings(keep=Keep.BRIEF))
        given = frames(*scripts)

        def run() -> None:
            for frame in given:
                observer.feed(frame)
            observer.finish()

        return lines(run, senders)

    assert work(600) < 2.5 * work(300)


def test_other_addresses_of_a_kubelets_machine_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that ask as the kubelet of the same machine does, each once, are its attempts; who they were is not remembered for ever."""
    monkeypatch.setattr(senders, "MOST_SOURCES", 20)
    mac = b"\x02\x00\x00\x00\x00\x01"
    scripts = probes(every(1, 20), "ok") + [one for n in range(80) for one in probes([20.5 + n], "ok", client=client(n))]
    node = NodeAddress(address=NODE, node="node-a", source="--node-ip", rank=1)
    observer = Observer(Settings(book=AddressBook(nodes={NODE: (node,)}), keep=Keep.BRIEF))
    for frame in frames(*scripts):
        observer.feed(frame._replace(data=frame.data[:6] + mac + frame.data[12:]))
    assert len(observer._senders.sources) <= 40
    timeline = observer.finish()
    assert sum(len(probe.attempts) for probe in timeline.probes) == 100


def checks(checkers: int, each: int) -> list[Frame]:
    """Return the frames of so many checkers that each check one server of their own every two seconds."""
    scripts = []
    for number in range(checkers):
        scripts += probes(every(2, each, number * 0.01), "ok", client=client(number), server=f"10.128.1.{number + 1}", agent="check/1.0")
    return frames(*scripts)


def test_checks_are_shed_where_attempts_are_kept_in_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MOST_CHECKS the oldest checks become traffic, so that no more are held, and a note says how many; nothing is lost."""
    monkeypatch.setattr(strangers, "STRANGERS", 40)
    monkeypatch.setattr(strangers, "MOST_CHECKS", 80)
    monkeypatch.setattr(senders, "MOST_UNDECIDED", 8)
    observer = Observer(Settings(keep=Keep.BRIEF))
    most = 0
    for one in checks(4, 60):
        observer.feed(one)
        most = max(most, held(observer))
    timeline = observer.finish()

    assert 40 < most <= 80 + 40 // 2 + 1, "held until the limit, and never far beyond it"
    (note,) = [note for note in timeline.notes if "counted as traffic" in note]
    shed = int(note.split()[0])
    told = sum(len(probe.attempts) for probe in timeline.probes)
    assert shed > 0
    assert told + sum(one.connections for one in timeline.others) == 240
    assert told >= 4 * 10, "the latest are still told as checks"


def test_connections_of_one_moment_are_shed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every frame carries one timestamp the oldest go by the numbers of their frames: no more are held than else."""
    monkeypatch.setattr(strangers, "STRANGERS", 40)
    monkeypatch.setattr(strangers, "MOST_CHECKS", 80)
    monkeypatch.setattr(senders, "MOST_UNDECIDED", 8)
    observer = Observer(Settings(keep=Keep.BRIEF))
    most, begun = 0, None
    for one in checks(4, 60):
        begun = begun or one.ns
        observer.feed(one._replace(ns=begun))
        most = max(most, held(observer))
    timeline = observer.finish()
    connections = sum(len(probe.attempts) for probe in timeline.probes) + sum(one.connections for one in timeline.others)
    assert max(most, observer._strangers.held) <= 80 + 40 // 2 + 1
    assert connections == 240


def test_checks_are_kept_where_attempts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown with all its attempts keeps its checks too, however many there are, without a note."""
    monkeypatch.setattr(strangers, "STRANGERS", 40)
    monkeypatch.setattr(strangers, "MOST_CHECKS", 80)
    monkeypatch.setattr(senders, "MOST_UNDECIDED", 8)
    observer = Observer()
    for one in checks(4, 60):
        observer.feed(one)
    timeline = observer.finish()

    assert sum(len(probe.attempts) for probe in timeline.probes) == 240
    assert not [note for note in timeline.notes if "counted as traffic" in note]


def test_runs_of_all_sources_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MOST_UNDECIDED it is decided for the busiest sources with what there is, until half as many wait."""
    monkeypatch.setattr(senders, "MOST_UNDECIDED", 30)
    observer = Observer()
    scripts = []
    for number in range(12):
        scripts += probes(every(3, 2 + number, number * 0.1), "connected", client=client(number))
    most, fell = 0, False
    for one in frames(*scripts):
        observer.feed(one)
        now = undecided(observer)
        fell = fell or (most == 30 and now <= 15)
        most = max(most, now)
    timeline = observer.finish()

    assert most == 30
    assert fell
    told = sum(len(probe.attempts) for probe in timeline.probes) + sum(one.connections for one in timeline.others)
    assert told == sum(2 + number for number in range(12)), "all are told, as attempts or as traffic"


def test_all_that_is_held_whole_is_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the mixture, no more runs than HELD are held whole: of what most are held half goes, and all is told."""
    scripts = []
    for number in range(6):
        server = f"10.128.2.{number + 1}"
        scripts += probes(every(3, 60, number * 0.2), "ok", server=server)  # a kubelet's attempts, whose probes are to be guessed
        scripts += probes(every(2.1 + number / 7, 60, number * 0.3), "ok", client=client(number), server=server, agent="shop/1.0")

    def told(most: int) -> tuple[int, int]:
        monkeypatch.setattr(core, "HELD", most)
        observer = Observer(Settings(keep=Keep.BRIEF))
        peak = 0
        for one in frames(*scripts):
            observer.feed(one)
            peak = max(peak, sum(observer._held()))
        timeline = observer.finish()
        return peak, sum(len(probe.attempts) for probe in timeline.probes) + sum(one.connections for one in timeline.others)

    assert told(10**9) == (pytest.approx(720, abs=40), 720)
    peak, connections = told(120)
    assert peak <= 120 + 120 // 8 + 12
    assert connections == 720


def test_sources_and_targets_of_which_nothing_is_held_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that come once and are counted leave nothing behind beyond MOST_SOURCES, and their counts stay."""
    monkeypatch.setattr(strangers, "STRANGERS", 20)
    monkeypatch.setattr(senders, "MOST_UNDECIDED", 8)
    monkeypatch.setattr(senders, "MOST_SOURCES", 10)
    monkeypatch.setattr(core, "MOST_SOURCES", 10)
    observer = Observer(Settings(keep=Keep.BRIEF))
    scripts = []
    for number in range(200):
        at, server = number * 1.37 + (number % 7) * 0.2, f"10.128.2.{number % 200 + 1}"
        scripts += probes([at], client=client(number), server=server, agent="curl/8.1")
    for one in frames(*scripts):
        observer.feed(one)
    sources, targets = len(observer._senders.sources), len(observer._targets)
    timeline = observer.finish()

    assert sources <= 10 + 20 + 1
    assert targets <= 10 + 20 + 1 + len(observer._busy)
    assert sum(one.connections for one in timeline.others) + sum(len(probe.attempts) for probe in timeline.probes) == 200


def test_revisions_are_bounded_in_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond BRIEF_REVISIONS the oldest late frames are forgotten: what was told first of those connections stays."""
    late = f"{script_of()}\n+2s < FA\n+100us > A"
    scripts = [(number * 0.5, f"{client(number)}:40000 > {POD}:8080", late) for number in range(60)]

    def revisions(limit: int) -> int:
        monkeypatch.setattr(core, "BRIEF_REVISIONS", limit)
        observer = Observer(Settings(keep=Keep.BRIEF))
        most = 0
        for one in frames(*scripts):
            observer.feed(one)
            most = max(most, len(observer._revisions))
        assert connections(observer.finish()) == 60
        return most

    assert revisions(1000) > 20, "the late frames do make revisions"
    assert revisions(7) == 7


@pytest.mark.parametrize("keep", [Keep.BRIEF, Keep.WHOLE])
def test_connections_of_one_moment_do_not_pile_up(monkeypatch: pytest.MonkeyPatch, keep: Keep) -> None:
    """Where no time passes between frames, what the table lets go is read and sorted all the same, whatever still waits."""
    monkeypatch.setattr(core, "MOST_WAITING", 200)
    monkeypatch.setattr(front, "Limits", partial(Limits, connections=50, ready=20))
    observer = Observer(Settings(keep=keep))
    scripts = [(0.0, f"{client(number)}:40000 > {POD}:8080", "> S") for number in range(1500)]
    most = 0
    for one in frames(*scripts):
        observer.feed(one._replace(ns=10 * S))
        most = max(most, waiting(observer))
    timeline = observer.finish()

    assert most <= 200 + 20
    assert connections(timeline) == 1500


def test_waiting_behind_an_older_connection_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that stays open holds up those that came after it no longer than there is room for them; none is lost."""
    monkeypatch.setattr(core, "MOST_WAITING", 60)
    observer = Observer()
    talk = "> S\n< SA\n> A\n" + "+1s > PA 'x'\n< A\n" * 19
    scripts = [(0.0, f"10.129.9.9:50000 > {POD}:8080", talk), *probes(every(0.05, 300, 0.5), client=NODE, agent="curl/8.1")]
    most = 0
    for one in frames(*scripts):
        observer.feed(one)
        most = max(most, waiting(observer))
    timeline = observer.finish()

    assert 40 < most <= 60 + 5
    assert connections(timeline) == 301


def connections(timeline: Timeline) -> int:
    """Return how many connections are told, as attempts or as traffic."""
    return sum(len(probe.attempts) for probe in timeline.probes) + sum(one.connections for one in timeline.others)


def test_packets_that_never_became_whole_are_told() -> None:
    """Fragments whose others are missing are counted in a note by the packets that they were of, IPv4 and IPv6; a whole packet is not."""
    other = UDP(sport=5000, dport=5001) / Raw(bytes(60))
    four = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=7) / other, fragsize=40)
    lone = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=8) / other, fragsize=40)[:1]
    six = [IPv6(src="fd00::1", dst="fd00::2") / IPv6ExtHdrFragment(id=9, m=1) / other]
    observer = Observer(Settings())
    for number, packet in enumerate([*four, *lone, *six], 1):
        data = bytes(packet)
        observer.feed(Frame(number * S, 0, number, 0, 101, data, len(data)))
    assert [note for note in observer.finish().notes if "whole" in note] == ["2 fragmented packets never whole: fragments are missing"]


def test_what_is_measured_is_no_more_than_the_runs_that_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a lane twice as many steps are held as are weighed, and all that is told is the same as where all are held."""
    monkeypatch.setattr(weigh, "WEIGHED", 20)
    monkeypatch.setattr(target, "GUESS_AFTER", 10)
    timelines = []
    for kept, most in ((1_000, 160), (20, 2 * 20 + 12)):
        monkeypatch.setattr(keeper, "WEIGHED", kept)
        observer, held = Observer(Settings(measure=True)), 0
        for frame in frames(*probes(every(1, 120), "ok"), *probes(every(1, 30, 120), "503"), *probes(every(1, 10, 150), "ok")):
            observer.feed(frame)
            held = max(held, *(len(placed.lane.steps) for one in observer._targets.values() for placed in one.placed), 0)
        timelines.append(observer.finish())
        assert 20 < held <= most
    assert [probe.measures for probe in timelines[0].probes] == [probe.measures for probe in timelines[1].probes]
    assert [list(probe.attempts) for probe in timelines[0].probes] == [list(probe.attempts) for probe in timelines[1].probes]
    assert timelines[0].probes[0].measures
