"""How the command's process ends.

Covers `cli`, `cli.run`, `cli.output`, `capture.fifo`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from probewatch.capture import Reader

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / "captures" / "http-flap-s1" / "capture.pcap"

SCRIPT = """
import atexit, gc, sys
from probewatch.cli import main
atexit.register(lambda: print(gc.get_freeze_count() > 0))
sys.argv = ["probewatch", {argument!r}]
{call}
"""


def said(argument: str, call: str) -> list[str]:
    """Return what a process printed that calls the command in this way."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(argument=argument, call=call)], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


def test_what_is_left_is_not_searched_for_garbage() -> None:
    """The process of the command ends without going through all objects again; called in one that goes on it changes nothing there."""
    assert said("--help", "sys.exit(main())")[-1] == "True"
    assert said("--help", "main(['--help'])")[-1] == "False"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["--version", "analyze FILE", "analyze FILE -o ndjson", "analyze FILE -w -", "spec FILE", "report FILE -w -", "doctor"]
)
def test_standard_output_that_cannot_be_written_is_told_as_such(words: str, unbuffered: str) -> None:
    """One sentence names it, whether it fails in the midst or at the end; the status is that of what could not be done."""
    capture = str(ROOT / "captures" / "http-flap-s1" / "capture.pcap")
    command = [sys.executable, "-m", "probewatch.cli", *(capture if word == "FILE" else word for word in words.split())]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("probewatch: standard output cannot be written")
    assert line.endswith(": no space left on device")


def test_what_is_kept_beside_is_whole_and_named(tmp_path: Path) -> None:
    """Where the lines of `watch` cannot be written, what -w keeps is whole up to there, and the sentence says which is which."""
    kept = tmp_path / "kept.pcapng"
    capture = str(ROOT / "captures" / "http-flap-s1" / "capture.pcap")
    command = [sys.executable, "-m", "probewatch.cli", "watch", "-q", "-r", capture, "--duration", "5", "-w", str(kept)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=env)
    assert done.returncode == 2
    assert done.stderr == (
        "probewatch: standard output cannot be written any more: no space left on device; "
        f"the packets until then are kept in {kept}\n"
    )
    with Reader(str(kept), 0) as reader:
        assert list(reader)
        assert reader.info().complete


def command(*words: object) -> list[str]:
    """Return how a command is started."""
    return [sys.executable, "-m", "probewatch.cli", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which this tree is run."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def other_words(tmp_path: Path) -> dict[str, tuple[int, list[str]]]:
    """Return command lines that have something to say on standard error, with the status that is right."""
    capture, pod = str(CAPTURE), str(CAPTURE.with_name("pod.yaml"))
    return {
        "nothing": (2, []),
        "open": (3, ["verify", capture, "--spec", pod]),
        "unreadable": (2, ["verify", str(tmp_path / "none.pcap"), "--spec", pod]),
        "usage": (2, ["verify", "--nope"]),
        "written": (0, ["analyze", capture, "-w", str(tmp_path / "copy.pcapng")]),
        "not found": (3, ["who", capture, "192.0.2.1:50000"]),
        "cut": (3, ["analyze", str(ROOT / "captures" / "malformed" / "cut-record-header.pcap"), "-o", "json"]),
    }


@pytest.mark.parametrize("which", ["nothing", "open", "unreadable", "usage", "written", "not found", "cut"])
@pytest.mark.parametrize("closed", [(2,), (0, 2)], ids=["stderr", "stdin and stderr"])
def test_a_closed_standard_error_changes_no_status(tmp_path: Path, which: str, closed: tuple[int, ...]) -> None:
    """`2>&-`: what nobody can be told is not told, and the status is that of what was found; annotations for GitHub too."""
    status, words = other_words(tmp_path)[which]
    shut = f"import os, sys; [os.close(n) for n in {list(closed)}]; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", shut, *command(*words)[1:]],
        stdout=subprocess.PIPE, check=False, timeout=60, env=environment(GITHUB_ACTIONS="true"),
    )  # fmt: skip
    assert done.returncode == status


def test_a_full_standard_error_changes_no_status() -> None:
    """Annotations that cannot be written are no reason to call evidence unreadable."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("verify", CAPTURE, "--spec", CAPTURE.with_name("pod.yaml")),
            stdout=subprocess.PIPE, stderr=full, check=False, timeout=60, env=environment(GITHUB_ACTIONS="true"),
        )  # fmt: skip
    assert done.returncode == 3


def test_version_without_standard_output() -> None:
    """`--version >&-` has nowhere to write to: status 2, as every command, and no traceback."""
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command("--version")], stderr=subprocess.PIPE, check=False, env=environment()
    )
    assert (done.returncode, done.stderr) == (2, b"")


WAITING: dict[str, list[str]] = {
    "analyze": ["analyze", "FIFO"],
    "analyze -w": ["analyze", "CAPTURE", "-w", "FIFO"],
    "verify": ["verify", "CAPTURE", "--spec", "FIFO"],
    "spec": ["spec", "FIFO"],
    "whatif": ["whatif", "FIFO"],
    "report": ["report", "CAPTURE", "-w", "FIFO"],
    "who": ["who", "FIFO", "10.0.0.1:80"],
    "keylog": ["analyze", "CAPTURE", "--keylog", "FIFO"],
    "log": ["analyze", "CAPTURE", "--kubelet-log", "FIFO"],
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("which", WAITING)
def test_what_is_waited_for_is_told_and_a_signal_ends_it(tmp_path: Path, which: str, number: signal.Signals) -> None:
    """A FIFO without another end is named once, after a second; SIGTERM then ends every command as Ctrl-C does: 130, one sentence."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = [{"FIFO": str(fifo), "CAPTURE": str(CAPTURE)}.get(word, word) for word in WAITING[which]]
    started = subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert started.stderr is not None
    end = "reader" if "-w" in words else "writer"
    assert started.stderr.readline() == f"probewatch: {fifo} is a FIFO: waiting for its {end}\n"
    started.send_signal(number)
    shown, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.startswith("probewatch: interrupted")
    assert said.count("\n") == 1
    assert bool(shown) == (which == "analyze -w")  # (what was read; the others had read nothing yet)


def test_a_fifo_that_is_written_to_is_not_told(tmp_path: Path) -> None:
    """Where the other end is there nothing is said; nor is it with -q."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    started = subprocess.Popen(command("analyze", fifo), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    fifo.write_bytes(CAPTURE.read_bytes())
    _, said = started.communicate(timeout=60)
    assert (started.returncode, said) == (0, "")
    started = subprocess.Popen(command("analyze", "-q", fifo), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert started.stderr is not None
    assert not select.select([started.stderr], [], [], 4)[0]
    started.terminate()
    assert started.communicate(timeout=60)[1] == "probewatch: interrupted\n"
    assert started.returncode == 130


def test_sigterm_while_modules_are_imported(tmp_path: Path) -> None:
    """At start-up nothing was read yet: one sentence, 130."""
    code = (
        "import os, signal, sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'probewatch.cli.run': os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from probewatch.cli import main\n"
        "sys.argv = ['probewatch', 'pods']\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "probewatch: interrupted\n")


def test_sigterm_is_left_as_it_was() -> None:
    """Called in a process that goes on, the command leaves SIGTERM to that; where that hears it itself nothing is changed."""
    code = (
        "import signal; from probewatch.cli import main\n"
        "main(['lab', 'list']); assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "mine = lambda *_: None\n"
        "signal.signal(signal.SIGTERM, mine); main(['lab', 'list']); assert signal.getsignal(signal.SIGTERM) is mine\n"
    )
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True, env=environment())
