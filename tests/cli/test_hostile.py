"""Everything that comes from outside is full of escapes, markup and forged lines at once: no output obeys any of it.

What the wire says (path, Host, reason), what manifests, the cluster, the kubelet's log and its events say (names of pods,
containers, nodes, messages), and what files are called; at every output of every command. What the reports do with values
is held in tests/report; this holds that nothing goes past them. Files are written for their owner alone, and never through a link.

Covers `cli` and `report`.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

OWN = Path(__file__).parents[2] / "captures"
EVIL = "=1+1\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\"'><marquee onload=x>&amp;\n::error::forged\r\x00"
"""A formula, a terminal's title and screen, C1, a turned line, markup, a forged line of GitHub's and of a table, a NUL."""
SWAPPED = {
    "http-timeout": (
        (b"/slow?delay=2.5&from=5&to=12", b"/\x1b[2J<marquee>\x9b31m\x07&=1\xe2\x80\xae%"),
        (b"Host: 10.128.0.10:8080", b"Host: \x1b]0;x\x07<marquee>"),
    ),
    "http-ipv6": ((b"200 OK", b"200 \x1b["), (b"503 Service Unavailable", b"503 <marquee>\x1b]0;own\x07=")),
    "http-headers": (
        (b"custom-checker/2.0", b"=1\x1b[2J<marquee>\x9b\x07"),
        (b"shop.example.test", b"\x1b]0;x\x07<marquee>"),
        (b"X-Probe: r", b"\x1b[2J\x07\x9b: r"),
    ),
    "https-suites": ((b"web.shop.svc", b"<marquee>\x1b[J"), (b"*.shop.svc", b"=1\x9b2J<a>\x07"), (b"http/1.1", b"\x1b[2J<b>\x07")),
    "grpc-flap": ((b"\x0a\x04live", b"\x0a\x04\x1b[2J"),),
}  # fmt: skip
"""Bytes of captures, and what stands there instead."""


def renamed(value: object) -> object:
    """Return JSON with every name, message and reason in it made evil."""
    if isinstance(value, dict):
        keys = ("message", "container", "kubeletVersion", "generateName", "uid")
        out = {key: value[key] + EVIL if key in keys and isinstance(value[key], str) else renamed(value[key]) for key in value}
        if isinstance(value.get("name"), str):
            out["name"] = value["name"] + EVIL
        return out
    return [renamed(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Write it all into a directory whose name is as evil as a file system allows."""
    folder = tmp_path_factory.mktemp("evil") / "=1\x1b[2J<marquee>\n::error::x\u202e\udcff"
    folder.mkdir()
    files = SimpleNamespace(captures={}, folder=folder)
    for name, swapped in SWAPPED.items():
        data = (OWN / name / "capture.pcap").read_bytes()
        for good, bad in swapped:
            data = data.replace(good, bad.ljust(len(good), b"_"))
        files.captures[name] = folder / f"{name}.pcap"
        files.captures[name].write_bytes(data)
    spec = yaml.safe_load((OWN / "http-timeout" / "pod.yaml").read_text())
    written = {
        "spec": renamed(spec), "events": renamed(json.loads((OWN / "http-timeout" / "events.json").read_text())),
        "cluster": renamed(json.loads((OWN / "rollout" / "cluster.json").read_text())),
    }  # fmt: skip
    for name, value in written.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(value))
        setattr(files, name, path)
    log = (OWN / "http-timeout" / "kubelet.log").read_text()
    files.log = folder / "kubelet.log"
    files.log.write_text(re.sub(r"lab/http-timeout|\bapp\b|Get ", lambda found: found[0] + "\x1b[2J<marquee>\x9b\u202e", log))
    return files


def harmless(text: str) -> None:
    """Hold that a terminal obeys nothing of it, and that no line is forged."""
    assert [character for character in text if character != "\n" and not character.isprintable()] == []
    assert "\n::error::forged" not in text
    assert "\n::error::x" not in text


class Tags(HTMLParser):
    """Collects the tags of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def harmless_page(text: str) -> None:
    """Hold that no markup from outside is in a page, and nothing that runs."""
    page = Tags()
    page.feed(text)
    assert not page.tags & {"marquee", "script", "iframe", "object", "link"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert [character for character in text if character != "\n" and not character.isprintable()] == []


def arguments(evil: SimpleNamespace, name: str) -> list[object]:
    """Return a capture with all that lies beside it."""
    beside: list[object] = ["--kubelet-log", evil.log, "--events", evil.events, "--spec", evil.spec] if name == "http-timeout" else []
    if (keys := OWN / name / "keys.log").is_file():
        beside += ["--keylog", keys]
    return [evil.captures[name], *beside, "--cluster", evil.cluster]


@pytest.mark.parametrize("name", SWAPPED)
@pytest.mark.parametrize("output", ["table", "wide", "json", "ndjson", "html", "trace", "metrics", "junit"])
def test_no_output_of_analyze_obeys(evil: SimpleNamespace, run, name: str, output: str) -> None:
    """Whatever is asked for, in text, JSON, XML, HTML and metrics."""
    done = run("analyze", *arguments(evil, name), "-o", output)
    assert done.status == 0, done.err
    harmless(done.err)
    match output:
        case "html":
            harmless_page(done.out)
        case "junit":
            ElementTree.fromstring(done.out)
            harmless(done.out)
        case "metrics":
            assert list(text_string_to_metric_families(done.out))
            harmless(done.out)
        case _:
            harmless(done.out)


@pytest.mark.parametrize("given", ["--spec", "--cluster", "--haproxy-cfg", "--kubelet-log", "--events"])
@pytest.mark.parametrize("output", ["table", "wide", "json", "ndjson", "html", "trace", "metrics", "junit"])
def test_nothing_is_printed_of_what_cannot_be_read(run, tmp_path: Path, given: str, output: str) -> None:
    """Status 2 is one sentence on standard error and nothing on standard output, whatever was asked for."""
    bad = tmp_path / "bad"
    if given != "--kubelet-log":  # (of which any line may be anything: a file that is not there is none)
        bad.write_bytes(b"\x00{")
    done = run("analyze", OWN / "tcp-ready" / "capture.pcap", given, bad, "-o", output)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"probewatch: {bad}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", [name for name in SWAPPED if name != "http-timeout"])
@pytest.mark.parametrize("command", ["verify", "explain", "explain -o json", "spec", "report -w -"])
def test_no_command_obeys_what_the_wire_says(evil: SimpleNamespace, run, name: str, command: str) -> None:
    """Header names and values, certificates, ALPN and gRPC services, in findings, ladders, specs and reports."""
    words = command.split()
    done = run(words[0], *arguments(evil, name), *words[1:])
    assert done.status in (0, 1, 3), done.err
    assert done.out
    (harmless_page if words[0] == "report" else harmless)(done.out)


@pytest.mark.parametrize(
    "command",
    [
        ("verify", "-o", "table"), ("verify", "-o", "json"), ("verify", "-o", "junit"), ("explain", "--failed"),
        ("explain", "--failed", "-o", "json"), ("whatif", "--timeout", "5"), ("who", "10.128.0.10:8080"), ("report", "-w", "-"), ("spec",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_other_command_obeys(evil: SimpleNamespace, run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """Findings, annotations on GitHub, ladders, answers, reports and specs neither; a spec is still YAML."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    given = arguments(evil, "http-timeout")
    given = given[:1] if command[0] == "spec" else given if command[0] == "report" else [given[0], *given[5:]]
    done = run(command[0], *given, *command[1:])
    assert done.status in (0, 1, 3), done.err
    assert done.out
    harmless(done.err)
    if command[0] == "report":
        harmless_page(done.out)
    else:
        harmless(done.out)
    if command[0] == "spec":
        assert list(yaml.safe_load_all(done.out))


@pytest.mark.parametrize("command", [("report", "-w"), ("analyze", "-q", "-w")], ids=lambda command: command[0])
def test_files_are_their_owners_and_never_a_link(run, tmp_path: Path, command: tuple[str, ...]) -> None:
    """A new file is readable by its owner alone, whatever the umask; a link is refused, and what it names left as it was."""
    capture = OWN / "tcp-ready" / "capture.pcap"
    victim, link, new = tmp_path / "victim", tmp_path / "link", tmp_path / "new"
    victim.write_text("precious")
    link.symlink_to(victim)
    before = os.umask(0)
    try:
        done = run(command[0], capture, *command[1:], link)
        assert (done.status, victim.read_text()) == (2, "precious")
        assert "is a symbolic link, which is not followed" in done.err
        assert run(command[0], capture, *command[1:], new).status == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_expectations_are_their_owners_and_never_a_link(run, tmp_path: Path) -> None:
    """They are written to a new file, readable by its owner alone; what is there already, be it a dangling link, is left alone."""
    capture = OWN / "http-flap-s1" / "capture.pcap"
    link, new = tmp_path / "link", tmp_path / "new"
    link.symlink_to(tmp_path / "victim")
    before = os.umask(0)
    try:
        assert run("verify", capture, "--write-expect", link).status == 2
        assert run("verify", capture, "--write-expect", new).status == 0
    finally:
        os.umask(before)
    assert not (tmp_path / "victim").exists()
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


@pytest.mark.usefixtures("needs_root")
def test_a_fifo_that_somebody_laid_there_gets_nothing(run, tmp_path: Path) -> None:
    """In a directory as /tmp is, another user's FIFO is refused; in one's own directory it is written to."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    os.chown(fifo, 65534, 65534)
    tmp_path.chmod(0o1777)
    done = run("report", OWN / "tcp-ready" / "capture.pcap", "-w", fifo)  # (which nobody reads: it does not wait)
    assert done.status == 2
    assert "somebody else's FIFO" in done.err
    tmp_path.chmod(0o700)
    taken: list[bytes] = []
    taking = threading.Thread(target=lambda: taken.append(fifo.read_bytes()))
    taking.start()
    assert run("report", OWN / "tcp-ready" / "capture.pcap", "-w", fifo).status == 0
    taking.join()
    assert taken[0].rstrip().endswith(b"</html>")


@pytest.mark.parametrize(
    "command", ["analyze", "analyze -o wide", "explain --probe p1 --attempt 1", "report -w -", "watch --duration 1 -r"]
)
def test_quoted_bytes_are_escaped_once(run, tmp_path: Path, command: str) -> None:
    """A malformed line is quoted with escapes, one backslash each, wherever the attempt's detail stands."""
    data = (OWN / "http-ipv6" / "capture.pcap").read_bytes()
    path = tmp_path / "bad.pcap"
    path.write_bytes(data.replace(b"Server: ", b"Server:\x01"))
    said = " ".join(run(*command.split(), path).out.split())
    quoted = re.findall(r"(?<!broken: )malformed MIME header line: Server:(\S{0,6})", said)
    assert quoted
    assert {one[:4] for one in quoted} == {r"\x01"}
