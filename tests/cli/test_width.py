"""Text is as wide as the terminal that it is written to.

Covers `report.paper`, `report.text`.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pytest

from probewatch.report.escape import width

COMMAND = (sys.executable, "-m", "probewatch.cli")


def on_terminal(columns: int, *arguments: object, program: tuple[str, ...] = COMMAND) -> list[str]:
    """Return the lines that a command writes to a terminal of so many columns."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
            environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
            environment |= {"NO_COLOR": "1", "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
            os.execve(program[0], [*program, *map(str, arguments)], environment)
        finally:
            os._exit(127)
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # what Linux says when the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 3)
    return said.decode().replace("\r\n", "\n").splitlines()


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_lines_fit_the_terminal(captures: Path, columns: int) -> None:
    """No line is wider than the terminal, but the command that is to be copied; on a wide one some are wider than 100 columns."""
    folder = captures / "k136-liveness-restart"
    given = (folder / "capture.pcap", "--spec", folder / "pod.yaml", "-q")
    longest = 0
    for command in ("analyze", "explain", "verify", "whatif"):
        more = ("--timeout", "3") if command == "whatif" else ()
        for line in on_terminal(columns, command, *given, *more):
            assert width(line) <= columns or "tshark -r" in line, line
            longest = max(longest, width(line))
    assert longest > min(columns - 20, 100)


def test_nothing_is_cut_on_a_narrow_terminal(captures: Path) -> None:
    """What is wrong is told whole at 60 columns: verdict, completeness, decision and frames."""
    folder = captures / "k136-liveness-restart"
    said = " ".join(" ".join(on_terminal(60, "analyze", folder / "capture.pcap", "--spec", folder / "pod.yaml", "-q")).split())
    for text in (
        "UTC, complete",
        "NotReady 4 times: its container was restarted by the liveness probe; out of service about 33.9 s",
        "#37 200 1.4 ms 1/1 Ready after 28.7 s NotReady frames 1042-1051",
    ):
        assert text in said


def test_without_a_terminal_it_is_100_columns(run, captures: Path) -> None:
    """Into a file or a pipe the width is always the same."""
    folder = captures / "k136-liveness-restart"
    lines = run("analyze", folder / "capture.pcap", "--spec", folder / "pod.yaml").out.splitlines()
    assert 90 < max(width(line) for line in lines) <= 100


def test_remarks_of_watch_stand_below_on_a_terminal(captures: Path) -> None:
    """A line of watch keeps result and decision whatever the width; what there is to say of it comes below, nothing of that is lost."""
    folder = captures / "http-timeout"
    given = ("watch", "-q", "-r", folder / "capture.pcap", "--spec", folder / "pod.yaml", "--duration", "1")
    for columns, first, second in (
        (120, "#8 no answer in time 1.000 s 3/3 NotReady frames 91-108", "answered after 2.501 s"),
        (90, "#8 no answer in time NotReady", "1.000 s  3/3  answered after 2.501 s  frames 91-108"),
    ):
        lines = on_terminal(columns, *given)
        at = next(number for number, line in enumerate(lines) if " #8 " in line)
        assert " ".join(lines[at].split()).endswith(f"/app {first}")
        assert lines[at + 1].strip() == second
        assert max(map(width, lines)) <= columns


def test_the_overview_cuts_nothing(captures: Path) -> None:
    """What an overview says of a probe that is fine goes on below, too, and a name that is too long has a line for itself."""
    folder = captures / "startup-probe"
    given = ("analyze", folder / "capture.pcap", "-q")
    for columns, spec in ((100, ("--spec", folder / "pod.yaml")), (60, ())):
        lines = on_terminal(columns, *given, *spec)
        first = next(number for number, line in enumerate(lines) if "3 probes: 3 fine" in line)
        said = " ".join(" ".join(lines[first : lines.index("", first)]).split())
        assert "Started 8.0 s after the first attempt; 8 failed while it started: 4 refused, 4 x 503" in said
        assert "…" not in said


def test_a_pipe_is_as_wide_as_the_terminal_it_is_read_at(captures: Path) -> None:
    """`| less` at a narrow terminal breaks no line in the middle; at a wide one, and into a file, it is 100 columns."""
    folder = captures / "k136-liveness-restart"
    command = f"{sys.executable} -m probewatch.cli analyze {folder / 'capture.pcap'} --spec {folder / 'pod.yaml'}"
    widest = {}
    for columns, pipe in ((60, "| cat"), (140, "| cat"), (60, "> $OUT; cat $OUT")):
        lines = on_terminal(columns, "-c", f"OUT=$(mktemp); {command} {pipe}; rm $OUT", program=("/bin/sh",))
        widest[columns, pipe] = max(map(width, lines))
    assert 50 < widest[60, "| cat"] <= 60
    assert 90 < widest[140, "| cat"] <= 100
    assert widest[60, "> $OUT; cat $OUT"] == widest[140, "| cat"]
