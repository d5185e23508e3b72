"""The live table: what a row says at a moment."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from probewatch.api import Analysis
from probewatch.model.prediction import Silence
from probewatch.model.units import SECOND
from probewatch.observer import Observer
from probewatch.observer.core import Settings
from probewatch.report import screen
from probewatch.report.screen import Board, table

CAPTURES = Path(__file__).parents[2] / "captures"


def boarded(name: str, *, spec: bool = True) -> tuple[Board, int]:
    """Return a board that has seen a whole capture, and when its last frame was."""
    from probewatch.capture import Reader

    folder = CAPTURES / name
    analysis = Analysis([], spec=[folder / "pod.yaml"] if spec else [])
    known, board, now = Observer(Settings(book=analysis.book)), Board(), 0
    with Reader(str(folder / "capture.pcap"), 0) as reader:
        for frame in reader:
            known.feed(frame)
            now = frame.ns
    known.advance(now + SECOND // 2)
    for one in known.glimpse():
        board.attempt(one.key, one.probe, one.attempt, one.decision, one.prediction)
    return board, now


def drawn(board: Board, now_ns: int, room: int = 40) -> str:
    """Return the table as a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=130, color_system=None)
    console.print(table(board, now_ns, room, "none lost"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_a_row_counts_down_and_then_is_overdue(name: str) -> None:
    """The next attempt is expected a period after the last, and once it is late the row says so, above all others."""
    board, _ = boarded(name)
    row = list(board.rows.values())[-1]
    due = row.expected_ns()
    assert due is not None
    assert 0 < due - row.latest[-1].start.ns <= 10 * SECOND
    assert row.overdue_ns(due) == 0
    assert row.next(due - 2 * SECOND, nothing)[0] == "in 2 s"
    assert row.next(due + 3 * SECOND, nothing) == ("overdue 3 s", "alarm")
    assert not row.rank(due + 3 * SECOND, nothing)[0]
    assert "overdue 3 s" in drawn(board, due + 3 * SECOND)


@pytest.mark.parametrize("name", ["http-flap-s1", "http-ipv6"])
def test_an_attempt_under_way_is_not_overdue(name: str) -> None:
    """While something goes on at its address a late row is `under way`; after what an attempt may take it is overdue all the same."""
    board, _ = boarded(name)
    row = list(board.rows.values())[-1]
    due, address = row.expected_ns(), row.probe.target.address
    assert due is not None
    assert row.next(due + 3 * SECOND // 2, nothing)[0] == "overdue 1 s"
    assert row.next(due + 3 * SECOND // 2, lambda one: one == address) == ("under way", "")
    assert row.next(due + 60 * SECOND, lambda one: one == address)[0] == "overdue 60 s"


def test_rows_do_not_change_places_with_each_attempt() -> None:
    """Rows in trouble stand first, each group by name: which attempt came last, and whether one of few failed, moves none."""
    board, now = boarded("k136-liveness-restart")
    before = [row.probe.type for row in board.at(now)]
    for _ in range(2):
        key = next(iter(board.rows))
        board.rows[key] = board.rows.pop(key)  # as an attempt does
        assert [row.probe.type for row in board.at(now)] == before


def nothing(_: str) -> bool:
    """Say that nothing goes on."""
    return False


def test_a_row_says_state_streak_and_latest() -> None:
    """State, result, streak and marks of the latest attempts stand in one line."""
    board, now = boarded("http-flap-s1")
    line = next(line for line in drawn(board, now).splitlines() if "lab/http-flap-s1/app" in line)
    assert "readiness" in line
    assert "✗" in line
    assert " 503 " in line
    assert " 2/3 " in line


def test_without_a_spec_there_are_rows_too() -> None:
    """What nobody declared has a row with what is supposed of it."""
    board, now = boarded("http-flap-s1", spec=False)
    assert "10.128.0.10:8080/flap" in drawn(board, now)


@pytest.mark.parametrize("name", ["k136-liveness-restart", "identical-probes", "startup-probe", "http-ipv6", "http-fast-manual"])
def test_looked_at_as_it_goes_there_is_a_row_a_probe(name: str) -> None:
    """However often the plan is made anew while little was seen, at the end each probe has one row, with its own type and number."""
    from probewatch.capture import Reader

    known, board, due = Observer(Settings()), Board(), 0
    with Reader(str(CAPTURES / name / "capture.pcap"), 0) as reader:
        for frame in reader:
            known.feed(frame)
            if frame.ns >= due:
                due = frame.ns + SECOND // 10
                look(known, board)
        known.settle()
        look(known, board)
        probes = [probe for probe in known.finish([reader.info()]).probes if probe.checker.kind == "kubelet"]
    shown = sorted((row.probe.target.address, row.probe.type.value, row.latest[-1].n) for row in board.rows.values())
    assert shown == sorted((probe.target.address, probe.type.value, probe.attempts[-1].n) for probe in probes)


def look(known: Observer, board: Board) -> None:
    """Show what is new."""
    for one in known.glimpse():
        board.attempt(one.key, one.probe, one.attempt, one.decision, one.prediction, again=one.again)
        if one.again:
            board.keep(one.key, len(one.pod.plan))


def test_a_row_goes_when_its_probe_is_long_gone() -> None:
    """A probe that has been overdue for GONE_NS has no row any more; of more rows than there is room the rest is counted."""
    board, now = boarded("k136-liveness-restart")
    assert len(board.at(now)) == 2
    assert "and 1 more" in drawn(board, now, room=7)
    assert board.at(now + 2 * screen.GONE_NS) == []


def test_the_board_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are never more rows than MOST_ROWS."""
    monkeypatch.setattr(screen, "MOST_ROWS", 1)
    board, _ = boarded("k136-liveness-restart")
    assert len(board.rows) == 1


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("silence", list(Silence))
def test_it_fits_a_narrow_terminal(columns: int, silence: Silence) -> None:
    """No number and no state is cut, whatever is said of the next attempt: the probe's name is, and what words say besides."""
    board, now = boarded("k136-liveness-restart")
    for row in board.rows.values():
        assert row.prediction is not None
        row.prediction = row.prediction._replace(silence=silence)
    now += 118 * SECOND
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    console.print(table(board, now, 20, "none lost", columns=columns))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line.rstrip()) <= columns for line in lines)
    (head,) = [line for line in lines if "streak" in line]
    assert head.split() == ["type", "probe", "state", "last", "took", "streak", "latest", "next"]
    for row in board.at(now):
        (line,) = [line for line in lines if line.startswith(f"{row.probe.type.value} ")]
        assert f" {row.state} " in line
        assert f"{row.latest[-1].streak}" in line
        assert " ms" in line or " s" in line
        assert line.rstrip().endswith(row.next(now, nothing)[0])
        assert columns < 100 or " lab/liveness-restart/app " in line


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_rows_are_told_apart_where_there_is_little_room(columns: int) -> None:
    """Names that begin alike, as OpenShift's do, are cut where they still differ: their end, with the container, stays."""
    board, now = boarded("k136-liveness-restart")
    names = [("alertmanager-main-0", "config-reloader"), ("alertmanager-main-1", "config-reloader"), ("prometheus-k8s-0", "thanos")]
    row = next(iter(board.rows.values()))
    board.rows = {
        ("10.0.0.1", "0", number): replace(row, probe=replace(row.probe, target=replace(
            row.probe.target, namespace="openshift-monitoring", pod=pod, container=container)))
        for number, (pod, container) in enumerate(names)
    }  # fmt: skip
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    console.print(table(board, now, 20, "none lost", columns=columns))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= columns
    shown = [line.split()[1] for line in lines if line.startswith(row.probe.type.value)]
    assert len(set(shown)) == 3
    assert all(name.endswith(("reloader", "thanos")) for name in shown)


def test_a_streak_tells_the_state() -> None:
    """Where nothing was decided since the capture began, a streak that has reached its threshold still tells the state."""
    board, now = boarded("tcp-ready")
    line = next(line for line in drawn(board, now).splitlines() if "readiness" in line)
    assert " Ready " in line
