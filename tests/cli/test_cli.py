"""The command line as programs and people meet it: exit status, streams, help, hostile names.

Covers `cli`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import probewatch
from probewatch.report import ndjson

ROOT = Path(__file__).parents[2]
FLAP = ROOT / "captures" / "http-flap-s1"
V6 = ROOT / "captures" / "http-ipv6"


def process(*arguments: object, **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "probewatch.cli", *map(os.fspath, map(str, arguments))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment, **more)


def test_version_imports_next_to_nothing() -> None:
    """`--version` is answered without click, msgspec, cypcap, rich or any part of the analysis."""
    code = ("import sys; from probewatch.cli import main; main(['--version']); "
            "print(*sorted(m for m in sys.modules if m.startswith('probewatch') or m in ('click', 'rich', 'msgspec', 'cypcap', 'json')))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"probewatch {probewatch.__version__}", "probewatch probewatch.cli"]


def test_version_and_help(run) -> None:
    """Both go to standard output with status 0; the commands are listed."""
    assert run("--version").out == f"probewatch {probewatch.__version__}\n"
    done = run("--help")
    assert done.status == 0
    assert "analyze" in done.out


def test_analyze_help_has_sections_in_order(run) -> None:
    """Options stand under Input, Select, Interpret, Output."""
    done = run("analyze", "--help")
    places = [done.out.index(f"\n{section}:") for section in ("Input", "Select", "Interpret", "Output")]
    assert places == sorted(places)
    assert all(len(line) <= 100 for line in done.out.splitlines())


def test_no_arguments_is_help_on_standard_error(run) -> None:
    """Without a command the help is shown where it disturbs no pipe, and the status is that of a usage error."""
    done = run()
    assert (done.status, done.out) == (2, "")
    assert "Commands:" in done.err


@pytest.mark.parametrize("arguments", [("frobnicate",), ("analyze",), ("analyze", "x.pcap", "--nope"), ("analyze", "x", "-o", "xml")])
def test_usage_errors_are_one_sentence_and_status_2(run, arguments) -> None:
    """A wrong command line gives one line on standard error, nothing on standard output."""
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("probewatch: ")
    assert done.err.count("\n") == 1


def test_a_mistyped_command_is_named(run) -> None:
    """A command that is nearly one that there is gets its name; one that is like none gets none."""
    assert "no such command 'analyse': did you mean analyze?" in run("analyse", "x.pcap").err
    assert "did you mean" not in run("frobnicate").err


@pytest.mark.parametrize("columns", [40, 60])
def test_the_scenarios_fit_the_terminal(run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """`lab list` is as wide as the terminal, and loses nothing of what it says."""
    wide = [run("lab", "list").out, run("lab", "list", "-v").out]
    monkeypatch.setattr("probewatch.cli.output.terminal_columns", lambda: columns)
    narrow = [run("lab", "list").out, run("lab", "list", "-v").out]
    assert max(map(len, narrow[0].splitlines())) <= columns  # (with -v manifests keep their lines)
    assert ["".join(text.split()) for text in narrow] == ["".join(text.split()) for text in wide]


@pytest.mark.parametrize(("arguments", "said"), [
    (("no-such.pcap",), "no-such.pcap"), ((FLAP / "pod.yaml",), "pod.yaml"),
    ((FLAP / "capture.pcap", "no-such.pcap"), "no-such.pcap"),
    ((FLAP / "capture.pcap", "--spec", "no-such.yaml"), "no-such.yaml"),
    ((FLAP / "capture.pcap", "--spec", FLAP / "capture.pcap"), "capture.pcap"),
    ((FLAP / "capture.pcap", "--keylog", "no-such.log"), "no-such.log"),
    ((FLAP / "capture.pcap", "--node-ip", "300.1.1.1"), "300.1.1.1"),
    ((FLAP / "capture.pcap", "--since", "yesterday"), "yesterday"),
    ((FLAP / "capture.pcap", "-f", "port"), "syntax error"),
    ((FLAP / "capture.pcap", "--probe", "p77"), "p77"),
])
def test_bad_input_is_one_sentence_and_status_2(run, arguments, said) -> None:
    """What cannot be used is named, and nothing is analysed: bad input is never passed over."""
    done = run("analyze", *arguments)
    assert done.status == 2
    assert done.out == ""
    assert said in done.err
    assert done.err.startswith("probewatch: ")
    assert done.err.count("\n") == 1


def test_options_before_and_after_files(run) -> None:
    """`analyze -o json FILE --spec POD` and `analyze FILE --spec POD -o json` are the same."""
    before = run("analyze", "-o", "json", "--spec", FLAP / "pod.yaml", FLAP / "capture.pcap")
    after = run("analyze", FLAP / "capture.pcap", "--spec", FLAP / "pod.yaml", "-o", "json")
    assert before.status == after.status == 0
    assert before.out == after.out


@pytest.mark.parametrize("scenario", [FLAP, V6], ids=["v4", "v6"])
def test_four_outputs_tell_the_same(run, scenario) -> None:
    """Table, wide, json and ndjson of one capture agree on the number of attempts, and the API with them."""
    arguments = ("analyze", scenario / "capture.pcap", "--spec", scenario / "pod.yaml")
    document = json.loads(run(*arguments, "-o", "json").out)
    assert ndjson.fold(map(json.loads, run(*arguments, "-o", "ndjson").out.splitlines())) == document
    timeline = probewatch.analyze(scenario / "capture.pcap", spec=scenario / "pod.yaml")
    expected = probewatch.document(timeline)
    expected["captures"][0]["path"] = document["captures"][0]["path"]
    assert expected == document
    for probe in document["probes"]:
        assert f"{probe['summary']['attempts']} attempts" in run(*arguments).out


def test_cut_capture_is_status_3_and_still_shown(run, tmp_path) -> None:
    """A capture that breaks off gives its timeline, a note on standard error, and status 3."""
    whole = (FLAP / "capture.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-20])
    done = run("analyze", cut, "-o", "json")
    assert done.status == 3
    assert not json.loads(done.out)["captures"][0]["complete"]
    assert done.err.startswith("probewatch: ")
    assert run("analyze", cut, "-o", "json", "-q").err == ""
    table = run("analyze", cut)
    assert table.status == 3
    assert "INCOMPLETE" in table.out


def test_standard_input(tmp_path) -> None:
    """`-` reads a stream."""
    done = process("analyze", "-", "-o", "json", input=(FLAP / "capture.pcap").read_bytes(), cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["captures"][0]["path"] == "-"


@pytest.mark.parametrize("form", ["table", "wide", "json", "ndjson"])
def test_reader_that_goes_away(form) -> None:
    """`| head -1` ends quietly: no traceback, no message."""
    command = f"{sys.executable} -m probewatch.cli analyze {FLAP}/capture.pcap -o {form} | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"})
    assert done.returncode == 0
    assert done.stderr == b""


def test_interrupt_shows_what_was_read(run, monkeypatch) -> None:
    """Ctrl-C while reading: what was read is analysed and shown, with a note and status 130."""
    from probewatch import api

    def stopped(self: api.Analysis) -> None:
        real(self)
        raise KeyboardInterrupt

    real = api.Analysis.run
    monkeypatch.setattr(api.Analysis, "run", stopped)
    done = run("analyze", FLAP / "capture.pcap")
    assert done.status == 130
    assert "readiness" in done.out
    assert "interrupted" in done.err


def test_interrupt_before_anything_is_read(run, monkeypatch) -> None:
    """Ctrl-C at any other moment: a note and status 130, no traceback."""
    from probewatch import api

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api.Analysis, "__init__", stopped)
    done = run("analyze", FLAP / "capture.pcap")
    assert (done.status, done.out, done.err) == (130, "", "probewatch: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_real_interrupt_of_a_stream(number: signal.Signals) -> None:
    """SIGINT, or the SIGTERM of `timeout 60`, while a stream is open but silent: what was read is shown, with status 130."""
    process_ = subprocess.Popen(
        [sys.executable, "-m", "probewatch.cli", "analyze", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        # (a shell that starts the tests in the background has SIGINT ignored, and so would we)
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process_.stdin is not None
    process_.stdin.write((FLAP / "capture.pcap").read_bytes())
    process_.stdin.flush()
    # once the pipe has taken more than it can hold, the process is reading
    process_.stdin.write((FLAP / "capture.pcap").read_bytes()[24:])
    process_.stdin.flush()
    process_.send_signal(number)
    shown, said = process_.communicate(timeout=60)
    assert process_.returncode == 130, said
    assert b"interrupted" in said
    assert shown.startswith(b"-   ")
    assert b"Traceback" not in said


@pytest.mark.parametrize("name", [b"evil\x1b[2J\xff\xe2\x80\xae.pcap", b"line\nbreak.pcap"])
@pytest.mark.parametrize("form", ["table", "wide", "json", "ndjson"])
def test_hostile_file_names(tmp_path, name, form) -> None:
    """A file name full of escapes and undecodable bytes reaches neither stream raw, and JSON stays UTF-8 that parses."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes((V6 / "capture.pcap").read_bytes()[:-5])
    done = process("analyze", os.fsdecode(path), "-o", form)
    assert done.returncode == 3
    for stream in (done.stdout, done.stderr):
        assert [c for c in stream.decode("utf-8") if not c.isprintable() and c != "\n"] == []
    if form.endswith("json"):
        for line in done.stdout.splitlines() if form == "ndjson" else [done.stdout]:
            json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8")
    missing = process("analyze", os.fsdecode(path) + "x")
    assert missing.returncode == 2
    assert missing.stderr.count(b"\n") == 1
    assert missing.stderr.decode("utf-8").strip().isprintable()


def test_ascii_output_where_the_terminal_is(tmp_path) -> None:
    """With an ASCII standard output the report is ASCII, and names that are not are escaped."""
    path = tmp_path / "käse.pcap"
    path.write_bytes((FLAP / "capture.pcap").read_bytes())
    done = process("analyze", path, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"k\\xe4se.pcap" in done.stdout


def test_colour_switch(run, monkeypatch) -> None:
    """No colour into a pipe, colour on demand, and NO_COLOR is honoured on a terminal."""
    assert "\x1b" not in run("analyze", FLAP / "capture.pcap").out
    assert "\x1b[" in run("analyze", FLAP / "capture.pcap", "--color", "always").out
    from probewatch.cli import output

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.colour_wanted("auto")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.colour_wanted("auto")
    assert output.colour_wanted("always")


def test_selecting_time_and_probe(run) -> None:
    """`--since`, `--until` and `--probe` show a part, in every form alike."""
    arguments = ("analyze", FLAP / "capture.pcap", "--spec", FLAP / "pod.yaml", "--since", "+20", "--until", "+30", "--probe", "readiness")
    document = json.loads(run(*arguments, "-o", "json").out)
    everything = json.loads(run("analyze", FLAP / "capture.pcap", "--spec", FLAP / "pod.yaml", "-o", "json").out)
    shown = [a["n"] for a in document["probes"][0]["attempts"]]
    assert 0 < len(shown) < len(everything["probes"][0]["attempts"])
    assert ndjson.fold(map(json.loads, run(*arguments, "-o", "ndjson").out.splitlines())) == document


def test_filter_drops_frames(run) -> None:
    """Frames that do not match are not analysed, but still counted as read."""
    document = json.loads(run("analyze", FLAP / "capture.pcap", "-f", "not tcp", "-o", "json").out)
    assert document["probes"] == []
    assert document["captures"][0]["frames"] > 100
    assert "no probes found" in run("analyze", FLAP / "capture.pcap", "-f", "not tcp").out


def test_progress_only_on_a_terminal_and_after_a_while(monkeypatch) -> None:
    """No bar without a terminal, none in the first second; then one appears and goes away again."""
    import io

    from probewatch.cli import progress

    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    with progress.Bar(wanted=True) as bar:
        now[0] += 60
        bar(1, 2)
    assert quiet.getvalue() == ""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress.Bar(wanted=True) as bar:
        bar(1, 100)
        assert screen.getvalue() == ""
        now[0] += 2
        bar(50, 100)
    assert "reading" in screen.getvalue()


TCP = ROOT / "captures" / "tcp-ready"


def test_what_would_prove_a_kubelet_is_said_once(run, tmp_path) -> None:
    """Where nothing proves who asks, a note says what to give, by table and `who`; a spec without a probe is named as such."""
    asked = "give the Pod (--spec POD.yaml), or --node-ip 10.128.0.1 if that is its node's address"
    assert " ".join(run("analyze", TCP / "capture.pcap").out.split()).count(asked) == 1
    assert " ".join(run("who", TCP / "capture.pcap", "10.128.0.10:8080").out.split()).count(asked) == 1
    for more in (("--spec", TCP / "pod.yaml"), ("--node-ip", "10.128.0.1")):
        assert "not proven" not in run("analyze", TCP / "capture.pcap", *more).out
    bare = tmp_path / "bare.yaml"
    bare.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}\n")
    said = " ".join(run("analyze", TCP / "capture.pcap", "--spec", bare).out.split())
    assert "bare.yaml declares no probe (Pod default/a)" in said
    assert "declares no probe" not in run("analyze", TCP / "capture.pcap", "--spec", TCP / "pod.yaml").out


@pytest.mark.parametrize(("arguments", "said"), [
    ((TCP / "capture.pcap",), "is a file and no command: probewatch analyze "),
    (("analyze", TCP / "pod.yaml"), "is not a capture but a manifest: give it with --spec"),
    (("who", "10.128.0.10:8080", TCP / "capture.pcap"), "give the endpoint after the captures: probewatch who "),
    (("who", TCP / "capture.pcap", "http:", "TLS", "error", "from", "10.128.0.1:53978:", "EOF"), "quote a line of a log"),
    (("analyze", TCP / "capture.pcap", "--events", ROOT / "captures" / "http-timeout" / "kubelet.log"), "give it with --kubelet-log"),
    (("watch", TCP / "capture.pcap"), "is a file, and a filter was expected: probewatch analyze "),
    (("record", "-w", "/dev/null", TCP / "capture.pcap"), "probewatch watch -r "),
])
def test_what_was_meant_is_said(run, arguments, said) -> None:
    """What a newcomer types at first is answered with the command that does it."""
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_filter_of_arguments_needs_no_quotes(run) -> None:
    """Only of `-f` is said how several words are given to it: `watch` takes them as they come, and has no such option."""
    assert "-f 'port 8080'" in run("analyze", TCP / "capture.pcap", "-f", "port").err
    assert "-f" not in run("watch", "nonsense").err


@pytest.mark.parametrize(("words", "completed"), [
    ("probewatch ana", "plain,analyze"), ("probewatch analyze --spe", "plain,--spec"), ("probewatch analyze x", "file,x"),
    ("probewatch analyze --spec x", "file,x"), ("probewatch verify -o jso", "plain,json"),
])
def test_shells_complete(words, completed) -> None:
    """A shell that asks what completes a line is answered: commands, options, their values, files."""
    line = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_PROBEWATCH_COMPLETE": "bash_complete"}
    assert process(env=line).stdout.decode().splitlines() == [completed]


def test_a_spec_from_a_pipe_has_a_name() -> None:
    """`--spec <(...)` and /dev/stdin are called the spec given, and no program is sent to a file that is none."""
    wrong = (TCP / "pod.yaml").read_bytes().replace(b"periodSeconds: 2", b"periodSeconds: 7")
    for form in ("table", "junit"):
        done = process("verify", TCP / "capture.pcap", "--spec", "/dev/stdin", "-o", form, input=wrong, env={"GITHUB_ACTIONS": "true"})
        assert done.returncode == 1
        assert b"(the spec given)" in done.stdout
        assert b"file=" not in done.stdout + done.stderr
        assert b"::error title=" in done.stderr
    named = process("verify", TCP / "capture.pcap", "--spec", TCP / "pod.yaml", "-o", "junit")
    assert f' file="{TCP / "pod.yaml"}"'.encode() in named.stdout
