"""The pages say what is so: every output shown is the output had, every table made from code equals the code.

`UPDATE_DOCS=1 pytest tests/test_docs.py` writes the pages anew; read the difference before you commit it.

Three things are held:
- commands in blocks of the language `console` (`$ probewatch ...`, or a capture's spec with one thing changed,
  `$ sed '...' captures/... | probewatch ...`): each is run in the project's directory, and what it prints, standard error
  included, is what stands below it. Blocks of another language are only read: what they show needs a cluster, a network
  interface, or time.
- sections between `<!-- generated: NAME ... -->` and `<!-- end: NAME -->`: each is what the generator of that name makes.
- the table of bounds in docs/limits.md: names and values.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import probewatch
from probewatch.cli.group import COMMANDS
from probewatch.cluster import read_expectations
from probewatch.cluster.checktext import KEYS
from probewatch.decisions.risefall import RULES
from probewatch.decisions.worker import COUNTED, STATES, Result, Worker, count, fresh, new_container
from probewatch.model.catalogue import CATALOGUE
from probewatch.model.diagnoses import DIAGNOSES, Kind
from probewatch.model.expectation import Expectations
from probewatch.model.spec import Handler, ProbeSpec, ProbeType
from probewatch.model.symptoms import SYMPTOMS
from probewatch.model.timeline import Cause, Outcome
from probewatch.probes.signatures import NAMES, SIGNATURES
from probewatch.report import expectation
from probewatch.report.findings import write_findings
from probewatch.report.paper import Paper
from probewatch.verify.expect import check
from probewatch.verify.learn import learn

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
UPDATE: Final = bool(os.environ.get("UPDATE_DOCS"))

RUN: Final = re.compile(r"(sed '[^']*' captures/[\w./-]+ (\\\n )?\| )?probewatch ")
"""How a command in a `console` block begins."""

TIME_LIMIT: Final = 60
"""Seconds after which a command of a page is taken to hang."""


# Commands and what they print.


class Shown(NamedTuple):
    """A command in a `console` block, and what the page says that it prints."""

    page: Path
    number: int
    """Of the command in its page, from 0."""
    command: str
    output: str
    span: tuple[int, int]
    """Where the output stands in the page's text."""


def shown(page: Path) -> list[Shown]:
    """Return the commands of a page, in order. A line that ends in a backslash goes on in the next."""
    text = page.read_text(encoding="utf-8")
    found: list[Shown] = []
    for block in re.finditer(r"^```console\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        prompts = list(re.finditer(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)\n", block[1], flags=re.MULTILINE))
        assert prompts, f"{page.name}: a console block without a command"
        assert prompts[0].start() == 0, f"{page.name}: a console block begins with output"
        ends = [prompt.start() for prompt in prompts[1:]] + [len(block[1])]
        for prompt, end in zip(prompts, ends, strict=True):
            start = block.start(1)
            found.append(
                Shown(page, len(found), prompt[1], block[1][prompt.end() : end], (start + prompt.end(), start + end))
            )
    return found


COMMANDS_SHOWN: Final = [command for page in PAGES for command in shown(page)]


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which `probewatch` is the one under test, and nothing of the user's shows."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "probewatch"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m probewatch.cli "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
    }


@pytest.mark.parametrize("wanted", COMMANDS_SHOWN, ids=[f"{one.page.stem}-{one.number}" for one in COMMANDS_SHOWN])
def test_commands_print_what_the_page_shows(wanted: Shown, shell: dict[str, str]) -> None:
    """A command of a page, run on the project's captures, prints what the page shows."""
    assert RUN.match(wanted.command), (
        "only probewatch is run; show other commands in a block of another language"
    )
    if re.search(r"\| *jq\b", wanted.command) and shutil.which("jq") is None:
        pytest.skip("jq is not installed: this command of the page pipes into it")
    done = subprocess.run(
        ["/bin/sh", "-c", wanted.command],
        cwd=ROOT,
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=TIME_LIMIT,
        check=False,
    )
    printed = "".join(line.rstrip() + "\n" for line in done.stdout.decode("utf-8").splitlines())
    assert "Traceback" not in printed
    if UPDATE and printed != wanted.output:
        now = shown(wanted.page)[wanted.number]
        text = wanted.page.read_text(encoding="utf-8")
        wanted.page.write_text(text[: now.span[0]] + printed + text[now.span[1] :], encoding="utf-8")
        return
    assert printed == wanted.output, f"{wanted.page.name} shows something else; UPDATE_DOCS=1 rewrites it"


def test_commands_without_output_run(shell: dict[str, str], tmp_path: Path) -> None:
    """A command on the project's captures that a page shows without its output succeeds and prints something; one that writes says so."""
    (tmp_path / "captures").symlink_to(ROOT / "captures")
    lines = [
        line
        for page in PAGES
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
        if line.startswith("probewatch analyze captures/")
    ]
    assert lines
    for line in lines:
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=tmp_path, env=shell, capture_output=True, timeout=TIME_LIMIT, check=False
        )
        assert (done.returncode, bool(done.stdout)) == (0, True), line
        assert done.stderr.count(b"\n") == line.count(" -w "), done.stderr


def test_pages_name_only_commands_that_exist() -> None:
    """Code in a page calls `probewatch` only with commands and options that there are."""
    import click

    from probewatch.cli.group import cli

    known = {option for name in COMMANDS for parameter in _parameters(cli, name) for option in parameter}
    known |= {"--help", "-h", "--version", "-V"}
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for call in re.findall(r"(?:^|[`$|(/ ])probewatch ([^\n`|>;]*)", "\n".join(_code(text)), flags=re.MULTILINE):
            words = [word.strip("'\"") for word in call.split("#")[0].split()]
            if words and re.fullmatch(r"[a-z]+", words[0]) and words[0] not in COMMANDS:
                wrong.append(f"{page.name}: probewatch {words[0]}")
            wrong += [
                f"{page.name}: {word}" for word in words if re.fullmatch(r"--[a-z-]+", word) and word not in known
            ]
    assert isinstance(cli, click.Group)
    assert not wrong, "\n".join(wrong)


def _parameters(group: Any, name: str) -> Iterator[list[str]]:
    command = group.get_command(None, name)
    for one in (command, *getattr(command, "commands", {}).values()):  # `lab` has commands of its own
        for parameter in one.params:
            yield [*parameter.opts, *parameter.secondary_opts]


def _code(text: str) -> Iterator[str]:
    """Return a page's blocks and spans of code."""
    blocks = re.compile(r"^```\w*\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
    yield from blocks.findall(text)
    yield from re.findall(r"`([^`\n]+)`", blocks.sub("", text))


# Sections made from code.

SEEN_IN: Final[dict[Cause, str]] = {
    Cause.OK: "http-flap-s1",
    Cause.OK_REDIRECT: "http-redirect-other",
    Cause.STATUS: "http-flap-s1",
    Cause.SLOW_ANSWER: "http-timeout",
    Cause.BODY_BROKEN: "http-reset-body",
    Cause.REFUSED: "tcp-flap",
    Cause.NO_SYN_ANSWER: "http-blackhole",
    Cause.UNREACHABLE: "http-icmp-reject",
    Cause.NEIGHBOUR_UNRESOLVED: "http-arp-dead",
    Cause.TLS_ON_PLAIN_HTTP: "https-on-http",
    Cause.GRPC_NOT_SERVING: "grpc-flap",
    Cause.GRPC_CONNECT: "grpc-refused",
    Cause.ENCRYPTED: "https-503",
}
"""A capture of the project that shows the cause (tested below)."""


DIAGNOSED_IN: Final = {
    Kind.NOTHING_LISTENS: "tcp-flap",
    Kind.STILL_STARTING: "startup-probe",
    Kind.SYN_UNANSWERED: "http-blackhole",
    Kind.LOST_BEFORE_POD: "three-places",
    Kind.LISTEN_QUEUE_FULL: "listen-queue",
    Kind.SYN_ACK_LOST: "three-places",
    Kind.REJECTED: "http-icmp-reject",
    Kind.NOBODY_AT_ADDRESS: "http-arp-dead",
    Kind.APPLICATION_SLOW: "http-timeout",
    Kind.BIG_SEGMENTS_LOST: "mtu-black-hole",
    Kind.ANSWER_LOST: "three-places",
    Kind.BROKEN_BODY: "http-reset-body",
    Kind.HTTPS_TO_HTTP: "https-on-http",
    Kind.SAYS_UNHEALTHY: "http-flap-s1",
    Kind.REDIRECT_ELSEWHERE: "http-redirect-other",
    Kind.REDIRECT_FOLLOWED: "http-redirect-same",
    Kind.GRPC_REFUSED: "grpc-refused",
    Kind.GRPC_UNHEALTHY: "grpc-flap",
    Kind.POD_TERMINATING: "terminating",
    Kind.RESTART_LOOP: "k136-liveness-restart",
    Kind.SILENT_BY_DESIGN: "kubelet-restart",
    Kind.POKED: "http-fast-manual",
    Kind.RESET_AFTER_ANSWER: "grpc-flap",
    Kind.CONNECT_CHECK: "hap-openshift",
}
"""A capture of the project that shows the diagnosis (tested below); the others are proven by written packets."""


def files_of(scenario: str) -> list[str]:
    """Return the capture of a scenario and, where it has one, its Pod."""
    names = ("capture.pcap", "cap.pcap", "node.pcapng", "pod.pcapng")
    seen = [f"captures/{scenario}/{name}" for name in names if (ROOT / "captures" / scenario / name).exists()]
    spec = f"captures/{scenario}/pod.yaml"
    return [" ".join(seen), *([spec] if (ROOT / spec).exists() else [])]


def diagnosis(kind: Kind) -> str:
    """Return the section of one diagnosis, below its cause."""
    why = DIAGNOSES[kind]
    number = f" ({', '.join(why.rows)})" if why.rows else ""
    lines = [f"### {kind.value}", "", why.sentence, "", f"**Sign{number}:** {why.sign}"]
    for title, text in (("Check", why.check), ("Try", why.advice)):
        if text:
            lines += ["", f"**{title}:** {text}"]
    if why.says:
        lines += ["", "**The kubelet says:** " + ", ".join(f"`{_whole(text)}`" for text in why.says)]
    others = [f"[{cause.value}](#{cause.value})" for cause in why.causes[1:]]
    if others:
        lines += ["", f"See also {', '.join(others)}."]
    if kind in DIAGNOSED_IN:
        lines += ["", f"To see one: `probewatch analyze {' --spec '.join(files_of(DIAGNOSED_IN[kind]))}`"]
    return "\n".join(lines)


def _whole(text: str) -> str:
    """Return what the kubelet says, of which only the beginning is the same each time: a status of 5xx."""
    return f"{text}xx" if re.search(r"statuscode: \d$", text) else text


def symptoms() -> str:
    """Return the numbered symptoms with the diagnoses that cover them."""
    lines = ["| number | on the wire | diagnosis |", "| --- | --- | --- |"]
    for row, text in SYMPTOMS.items():
        kinds = [kind for kind, why in DIAGNOSES.items() if row in why.rows]
        lines.append(f"| {row} | {text} | {', '.join(f'[{kind.value}](#{kind.value})' for kind in kinds)} |")
    return "\n".join(lines)


def causes() -> str:
    """Return a section for each cause of the catalogue."""
    parts = []
    for cause, entry in CATALOGUE.items():
        lines = [f"## {cause.value}", "", f"In the table: “{entry.label}”.", "", entry.meaning]
        if entry.advice:
            lines += ["", f"**Try:** {entry.advice}"]
        if cause in SEEN_IN:
            folder = f"captures/{SEEN_IN[cause]}"
            lines += ["", f"To see one: `probewatch analyze {folder}/capture.pcap --spec {folder}/pod.yaml`"]
        parts.append("\n".join(lines))
        parts += [diagnosis(kind) for kind, why in DIAGNOSES.items() if why.causes[0] is cause]
    return "\n\n".join(parts)


RESULT_OF: Final = {Result.SUCCESS: Outcome.SUCCESS, Result.FAILURE: Outcome.FAILURE}
WORDS: Final = {
    Result.SUCCESS: "successThreshold successes in a row",
    Result.FAILURE: "failureThreshold failures in a row",
}


def workers() -> str:
    """Return a state diagram for each type of probe, found by letting `decisions.worker` run."""
    parts = []
    for kind in (ProbeType.READINESS, ProbeType.LIVENESS, ProbeType.STARTUP):
        spec = ProbeSpec(type=kind, handler=Handler.TCP_SOCKET, success_threshold=1, failure_threshold=3)
        first = fresh(kind)
        lines = [f"    [*] --> {STATES[kind, first.cached]}"]
        waiting, known = [first], {first.cached}
        while waiting:
            before = waiting.pop(0)
            name = STATES[kind, before.cached]
            for result, outcome in RESULT_OF.items():
                after = before if before.on_hold else _until_threshold(before, outcome, spec)
                if after.cached is before.cached:
                    continue
                lines.append(f"    {name} --> {STATES[kind, after.cached]} : {WORDS[result]}")
                if after.cached not in known:
                    known.add(after.cached)
                    waiting.append(after)
            renewed = new_container(before)
            if before.on_hold or renewed.cached is not before.cached:
                wait = " (no probe is sent until then)" if before.on_hold else ""
                lines.append(f"    {name} --> {STATES[kind, renewed.cached]} : a new container{wait}")
        parts.append(f"The {kind.value} probe:\n\n```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts)


def _until_threshold(worker: Worker, outcome: Outcome, spec: ProbeSpec) -> Worker:
    for _ in range(max(spec.success_threshold, spec.failure_threshold)):
        worker = count(worker, outcome, spec).worker
        if worker.on_hold:
            break
    return worker


def outcomes() -> str:
    """Return how each outcome is counted."""
    said = {
        Outcome.SUCCESS: "An answer that the handler takes for good.",
        Outcome.FAILURE: "Anything else that the kubelet takes for an answer, silence until the deadline included.",
        Outcome.DISCARDED: "The kubelet met an error of its own (for example a body that broke off), tried up to three times and threw the "
        "result away: the streak neither grows nor ends.",
        Outcome.INCONCLUSIVE: "The evidence is missing (encrypted, cut): a later streak is counted from there on, as a lower bound.",
    }
    rows = [
        f"| `{outcome.value}` | {result.value if (result := COUNTED[outcome]) else 'nothing'} | {said[outcome]} |"
        for outcome in Outcome
    ]
    return "\n".join(["| outcome | counts as | |", "| --- | --- | --- |", *rows])


def rise_and_fall() -> str:
    """Return the thresholds that are taken for checkers other than the kubelet."""
    rows = []
    for kind, t in RULES.items():
        rows.append(f"| `{kind}` | {t.rule.value} | {t.rise} | {t.fall} | {t.window or ''} |")
    return "\n".join(["| checker | rule | rise | fall | window |", "| --- | --- | --- | --- | --- |", *rows])


def signatures() -> str:
    """Return what names a checker, a line a row."""
    rows = []
    for row in SIGNATURES:
        here = (ROOT / "captures" / row.capture).is_dir()
        proof = "documents and source only"
        if row.capture:
            named = f"[{row.capture}](../captures/README.md)" if here else f"`{row.capture}`, which is not kept here"
            proof = f"proven by the capture {named}"
        names = "" if row.confidence >= NAMES else " (never named by this alone)"
        rows.append(f"| `{row.kind}` | {_cell(row.says)}{names} | {row.basis.value} | {_cell(row.source)}; {proof} |")
    return "\n".join(["| checker | is known by | counts its interval from the | how we know |", "| --- | --- | --- | --- |", *rows])


def checks_by_hand() -> str:
    """Return the words of `--check`."""
    rows = [f"| `{kind}` | {', '.join(f'`{key}`' for key in keys)} |" for kind, keys in KEYS.items()]
    return "\n".join(["| checker | words |", "| --- | --- |", *rows])


def json_fields() -> str:
    """Return a table of fields for each object of the JSON Schema."""
    return _tables(ROOT / "probewatch" / "report" / "timeline.schema.json", "the document")


def expect_keys() -> str:
    """Return a table of keys for each object of the JSON Schema of expectations."""
    return _tables(ROOT / "probewatch" / "cluster" / "expect.schema.json", "the file")


def expect_findings() -> str:
    """Return what the example of docs/expect.md finds in the capture that it is for."""
    folder = ROOT / "captures" / "http-flap-s1"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    lines: list[str] = []
    paper = Paper(lines.append)
    write_findings(paper, timeline, check(timeline, _example()), timeline.captures[0].first_ns or 0)
    return "```text\n" + "".join(line.rstrip() + "\n" for line in "".join(lines).splitlines()) + "```"


def expect_written() -> str:
    """Return the expectations file that a capture with timeouts teaches."""
    folder = ROOT / "captures" / "http-timeout"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    lines: list[str] = []
    expectation.write(learn(timeline), lines.append, made_from="capture.pcap")
    return "```yaml\n" + "".join(lines) + "```"


def _example() -> Expectations:
    text = (ROOT / "docs" / "expect.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert block is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "expect.yaml"
        path.write_text(block[1], encoding="utf-8")
        return read_expectations(str(path))


def _tables(path: Path, top: str) -> str:
    schema = json.loads(path.read_text(encoding="utf-8"))
    parts = [_object(top, schema)]
    parts += [_object(name, value) for name, value in schema["$defs"].items() if value.get("type") == "object"]
    return "\n\n".join(parts)


def _object(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}", ""]
    if schema.get("description") and name not in ("the document", "the file"):
        lines += [schema["description"], ""]
    if "properties" not in schema:
        return "\n".join(lines[:-1])
    lines += ["| field | is | meaning |", "| --- | --- | --- |"]
    for field, value in schema["properties"].items():
        optional = "" if field in schema.get("required", ()) else "; may be absent"
        lines.append(f"| `{field}` | {_kind(value)}{optional} | {_cell(value.get('description', ''))} |")
        inner = value.get("items", value)
        for below, deeper in inner.get("properties", {}).items():
            lines.append(
                f"| `{field}{'[]' if inner is not value else ''}.{below}` | {_kind(deeper)} | {_cell(deeper.get('description', ''))} |"
            )
    return "\n".join(lines)


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return _named(value["$ref"].rsplit("/", 1)[1])
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    if kinds == ["array"]:
        items = value["items"]
        return f"list of {_kind(items)}" if isinstance(items, dict) else "list"
    return " or ".join(kinds)


def _named(name: str) -> str:
    return {"time": "time or null", "duration": "seconds or null", "frames": "frames", "capture_index": "integer"}.get(
        name, f"[{name}](#{name})"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


GENERATORS: Final[dict[str, Callable[[], str]]] = {
    "causes": causes,
    "symptoms": symptoms,
    "workers": workers,
    "outcomes": outcomes,
    "rise and fall": rise_and_fall,
    "signatures": signatures,
    "checks by hand": checks_by_hand,
    "fields": json_fields,
    "expect keys": expect_keys,
    "expect findings": expect_findings,
    "expect written": expect_written,
}

_SECTION: Final = re.compile(
    r"(<!-- generated: ([a-z ]+?)(?:;[^\n]*)? -->\n).*?(^<!-- end: \2 -->$)", flags=re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize("name", GENERATORS)
def test_generated_sections_equal_the_code(name: str) -> None:
    """A section that is made from code stands in exactly one page, and is what the code says."""
    at = [
        (page, match)
        for page in PAGES
        for match in _SECTION.finditer(page.read_text(encoding="utf-8"))
        if match[2] == name
    ]
    assert len(at) == 1, f"{len(at)} sections are called {name}"
    page, match = at[0]
    wanted = f"{match[1]}\n{GENERATORS[name]()}\n\n{match[3]}"
    if UPDATE and match[0] != wanted:
        text = page.read_text(encoding="utf-8")
        page.write_text(text[: match.start()] + wanted + text[match.end() :], encoding="utf-8")
        return
    assert match[0] == wanted, f"{page.name} says something else; UPDATE_DOCS=1 rewrites it"


def test_every_cause_can_be_linked() -> None:
    """docs/causes.md has one heading for each cause and diagnosis, so that `docs/causes.md#slow-answer` leads to it."""
    headings = re.findall(
        r"^##+ ([a-z0-9-]+)$", (ROOT / "docs" / "causes.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert len(set(headings)) == len(headings)
    assert {cause.value for cause in Cause} | {kind.value for kind in Kind} <= set(headings)


@pytest.mark.parametrize("cause", SEEN_IN, ids=lambda cause: cause.value)
def test_captures_show_the_causes_they_are_named_for(cause: Cause) -> None:
    """The capture that docs/causes.md names for a cause has an attempt that ended so."""
    folder = ROOT / "captures" / SEEN_IN[cause]
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    assert any(attempt.cause is cause for probe in timeline.probes for attempt in probe.attempts)


@pytest.mark.parametrize("kind", DIAGNOSED_IN, ids=lambda kind: kind.value)
def test_captures_show_the_diagnoses_they_are_named_for(kind: Kind) -> None:
    """The capture that docs/causes.md names for a diagnosis has a probe with it."""
    captures, *spec = files_of(DIAGNOSED_IN[kind])
    timeline = probewatch.analyze([ROOT / file for file in captures.split()], spec=[ROOT / file for file in spec])
    assert kind in {one.kind for probe in timeline.probes for one in probe.diagnoses}


# Bounds.

LIMITS: Final = ROOT / "docs" / "limits.md"

_ROW: Final = re.compile(r"^\| `([\w.]+)` \| ([^|\n]*) \| ([^|\n]*) \| ([^|\n]+) \|$", flags=re.MULTILINE)
_LIMIT_NAME: Final = re.compile(r"(MAX|KEPT|MOST)(_[A-Z]+)*")


def value_of(name: str) -> int:
    """Return the value of `capture.tally.MAX_FRAME` or `wire.table.Limits.connections`."""
    *path, last = name.split(".")
    owner: Any = probewatch
    for depth, part in enumerate(path, 1):
        owner = (
            getattr(owner, part)
            if isinstance(owner, type) or part[:1].isupper()
            else importlib.import_module(".".join(["probewatch", *path[:depth]]))
        )
    value = getattr(owner() if isinstance(owner, type) else owner, last)
    assert isinstance(value, int), name
    return value


def written(value: int, unit: str) -> str:
    """Return a value as the table has it: bytes in binary units, times (nanoseconds in the code) in seconds."""
    if unit.startswith("time "):
        return f"{value / 1e9:g} s"
    if unit.startswith("bytes"):
        for size, letters in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= size and value % size == 0:
                return f"{value // size} {letters}"
    return f"{value:,}"


def test_bounds_have_the_values_of_the_code() -> None:
    """Each row of docs/limits.md names a constant or a field that exists, and its value."""
    text = LIMITS.read_text(encoding="utf-8")
    rows = list(_ROW.finditer(text))
    assert len(rows) > 20
    wanted = _ROW.sub(lambda row: f"| `{row[1]}` | {written(value_of(row[1]), row[3])} | {row[3]} | {row[4]} |", text)
    if UPDATE and wanted != text:
        LIMITS.write_text(wanted, encoding="utf-8")
        return
    assert text == wanted, "docs/limits.md says something else; UPDATE_DOCS=1 rewrites it"


def test_every_bound_is_on_the_page() -> None:
    """Each constant called MAX_, KEPT_ or MOST_ something, and each field of a class of limits, is in docs/limits.md."""
    named = {row[1] for row in _ROW.finditer(LIMITS.read_text(encoding="utf-8"))}
    missing = []
    for path in sorted((ROOT / "probewatch").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT / "probewatch").with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in ("Limits", "PeelLimits"):
                names = [
                    f"{node.name}.{field.target.id}"
                    for field in node.body
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                ]
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                names = [target.id] if isinstance(target, ast.Name) and _LIMIT_NAME.fullmatch(target.id) else []
            else:
                continue
            missing += [f"{module}.{name}" for name in names if f"{module}.{name}" not in named]
    assert not missing, "docs/limits.md lacks " + ", ".join(missing)
