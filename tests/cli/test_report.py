"""`probewatch report` and `-o html`: one page, three doors."""

from __future__ import annotations

import subprocess
import sys

import pytest


def arguments(captures, name="http-timeout"):
    """Return a capture of the project and its spec, as a command line."""
    folder = captures / name
    return [folder / "capture.pcap", "--spec", folder / "pod.yaml"]


def test_report_writes_one_file(run, captures, tmp_path) -> None:
    """The file is there, standard output stays empty, the status is 0 although probes failed; a second run replaces it."""
    goal = tmp_path / "report.html"
    for _ in range(2):
        done = run("report", *arguments(captures), "-w", goal)
        assert (done.status, done.out, done.err) == (0, "", f"probewatch: wrote {goal}\n")
    text = goal.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert "causes.md#application-slow" in text
    assert 'id="findings"' in text


def test_three_doors_one_page(run, captures) -> None:
    """What verify prints as html is analyze's page with findings; report's has the ladders of first failures besides."""
    report = run("report", *arguments(captures), "-w", "-")
    verify = run("verify", *arguments(captures), "-o", "html")
    analyze = run("analyze", *arguments(captures), "-o", "html")
    assert (report.status, verify.status, analyze.status) == (0, 3, 0)
    before, _, rest = verify.out.partition('<section>\n<h2 id="findings">')
    assert analyze.out.split() == (before + rest.partition("</section>\n")[2]).split()
    start, end = "<h4>The failure that led to NotReady", "<h4>What happened</h4>"
    for other in (verify.out, report.out):
        assert start in other
    assert [part.split(end)[-1] for part in report.out.split(start)] == [part.split(end)[-1] for part in verify.out.split(start)]
    assert "SYN ACK" in report.out
    assert "SYN ACK" not in verify.out


def test_report_from_a_pipe(captures, tmp_path) -> None:
    """Standard input is read twice too."""
    goal = tmp_path / "report.html"
    command = [sys.executable, "-m", "probewatch.cli", "report", "-", "--spec", captures / "http-timeout" / "pod.yaml", "-w", goal]
    with (captures / "http-timeout" / "capture.pcap").open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "SYN ACK" in goal.read_text(encoding="utf-8")


def test_report_shows_what_was_selected(run, captures) -> None:
    """--probe and --since choose what the page tells."""
    done = run("report", *arguments(captures, "k136-liveness-restart"), "--probe", "liveness", "--since", "+20", "-w", "-")
    assert done.status == 0
    assert "Readiness probe" not in done.out
    assert "Only what began between +20.000" in done.out


def test_report_never_overwrites_its_input(run, captures, tmp_path) -> None:
    """A capture named as the output is refused before anything is written, also by another name."""
    copy = tmp_path / "a.pcap"
    copy.write_bytes((captures / "tcp-ready" / "capture.pcap").read_bytes())
    other = tmp_path / "b.pcap"
    other.symlink_to(copy)
    for goal in (copy, other):
        done = run("report", copy, "-w", goal)
        assert done.status == 2
        assert "is one of the inputs" in done.err
    assert copy.read_bytes() == (captures / "tcp-ready" / "capture.pcap").read_bytes()


def test_report_that_cannot_be_written(run, captures, tmp_path) -> None:
    """A folder that is not there is one sentence and status 2."""
    done = run("report", *arguments(captures), "-w", tmp_path / "no" / "report.html")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert "cannot be written: no such file or directory" in done.err


def test_report_needs_a_file(run, captures) -> None:
    """Without -w nothing floods the terminal."""
    done = run("report", *arguments(captures))
    assert done.status == 2
    assert "-w" in done.err


@pytest.mark.parametrize("form", ["analyze", "report"])
def test_cut_capture_is_reported(run, captures, tmp_path, form) -> None:
    """A cut capture gives a page that says so, and status 3."""
    whole = (captures / "http-timeout" / "capture.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-20])
    done = run(form, cut, *(["-w", "-"] if form == "report" else ["-o", "html"]))
    assert done.status == 3
    assert "is cut or corrupt" in done.out
    assert "INCOMPLETE" in done.out
