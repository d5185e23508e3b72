"""The HTML report: whole, valid, harmless, and nothing said by colour or drawing alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

import probewatch
from probewatch.explaining import Explanation
from probewatch.model.timeline import Cause, Outcome
from probewatch.report import html
from probewatch.report.escape import width
from probewatch.report.html_page import MOST_LISTED, MOST_PROBES, PHONE, Maker, first_failures
from probewatch.report.html_scale import Scale
from probewatch.report.html_strip import DRAWN

VOID = {"meta", "link", "br", "hr", "img", "input"}
FOREIGN = {"rect", "line", "circle"}
"""Elements of SVG that this page writes closed in themselves."""


class Page(HTMLParser):
    """What a browser would make of the page: elements in order, the text, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.parts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note an element that closes itself: only SVG's may."""
        assert tag in FOREIGN | VOID, tag
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        """Close the element that is open."""
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep text that is read."""
        if self.open and self.open[-1] != "style":
            self.parts.append(data)

    @property
    def text(self) -> str:
        """All that is read, white space made one."""
        return " ".join(" ".join(self.parts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a name."""
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture
def page(collected):
    """Return a function that writes a timeline and reads the page."""
    return lambda timeline: Page(collected(lambda out: html.write(timeline, out)))


def test_page_is_whole_and_balanced(timeline, collected) -> None:
    """It begins with the doctype, every tag is closed, ids are unique, and what an attribute refers to is there."""
    text = collected(lambda out: html.write(timeline, out))
    assert text.startswith("<!DOCTYPE html>\n")
    read = Page(text)
    ids = Counter(attrs["id"] for _, attrs in read.elements if "id" in attrs)
    assert [name for name, number in ids.items() if number > 1] == []
    wanted = {name for _, attrs in read.elements for name in attrs.get("aria-labelledby", "").split()}
    wanted |= {attrs["href"][1:] for attrs in read.all("a")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert wanted <= set(ids)


def test_page_loads_and_runs_nothing(timeline, collected) -> None:
    """No script, no handler, no address but fragments of the page itself: it is read without a network."""
    text = collected(lambda out: html.write(timeline, out))
    for tag, attrs in Page(text).elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "img", "image", "foreignobject"), tag
        for name, value in attrs.items():
            assert not name.startswith("on"), name
            assert name not in ("src", "srcset", "action", "data", "xlink:href", "poster", "background"), name
            if name == "href":
                assert value.startswith("#")
    assert not re.search(r"@import|url\((?!#)", text)


MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}&lt;\x1b[2J\u202e\x00\r\n<!--"


def test_markup_from_the_wire_stays_text(made, collected) -> None:
    """Whatever a path, a header, a name or a reason holds: the page has the elements it has without it, and the text escaped."""
    timeline = made["hostile"]()
    evil = timeline.probes[0].path.removeprefix("/")

    def with_text(value: object, text: str) -> object:
        if type(value) is str:  # an enum's value stays
            return value.replace(evil, text)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return tuple(with_text(item, text) for item in value)
        if isinstance(value, dict):
            return {with_text(key, text): with_text(item, text) for key, item in value.items()}
        if hasattr(value, "__dataclass_fields__"):
            names = [name for name, field in value.__dataclass_fields__.items() if field.init]
            return replace(value, **{name: with_text(getattr(value, name), text) for name in names})
        return value

    written = collected(lambda out: html.write(with_text(timeline, MARKUP), out))
    plain = collected(lambda out: html.write(with_text(timeline, "z" * len(MARKUP)), out))
    assert Counter(tag for tag, _ in Page(written).elements) == Counter(tag for tag, _ in Page(plain).elements)
    assert "<script>alert(1)" in Page(written).text
    assert "{{7*7}}" in Page(written).text


def test_no_control_characters(timeline, collected) -> None:
    """No character that Unicode does not call printable is in the page: no escape code, no turned line, no surrogate."""
    text = collected(lambda out: html.write(timeline, out))
    assert [hex(ord(c)) for c in set(text) if not c.isprintable() and c != "\n"] == []
    text.encode("utf-8")


def test_every_probe_decision_and_cause_is_text(made, page) -> None:
    """What is drawn is also written: each probe, each decision with its attempt, each cause that failed an attempt."""
    for name in ("flapping", "flapping6", "restarting", "assorted"):
        timeline = made[name]()
        text = page(timeline).text
        for probe in timeline.probes:
            assert probe.id in text
            assert probe.target.address in text
            for decision in probe.decisions:
                assert f"{decision.after}, decided by #{decision.attempt}" in text
            for attempt in probe.attempts:
                if attempt.outcome is not Outcome.SUCCESS:
                    assert attempt.cause.value in text
        for event in timeline.events:
            assert event.evidence in text
        for finding in timeline.findings:
            assert finding.field in text
        for rollout in timeline.rollouts:
            assert rollout.sentence in text
        for note in timeline.notes:
            assert note in text


def test_every_drawing_and_table_is_named(timeline, page) -> None:
    """Each drawing has title and description, each mark its words, each table a caption and headers, headings go down by one."""
    read = page(timeline)
    drawings = [attrs for attrs in read.all("svg") if attrs.get("aria-hidden") != "true"]
    assert all(attrs.get("role") == "img" and attrs.get("aria-labelledby") for attrs in drawings)
    assert len(read.all("desc")) == len(drawings)
    assert len(read.all("table")) == len(read.all("caption")) == len(read.all("thead"))
    assert all(attrs.get("scope") == "col" for attrs in read.all("th"))
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert read.all("html")[0]["lang"] == "en"


def test_verdict_answers_who_what_since_why_and_what_to_do(made, page) -> None:
    """The top of the page answers each question of somebody who reads nothing else."""
    text = page(made["restarting"]()).text
    for said in (
        "Who asks Kubelet 1.36 at fd10:244::1 asks", "GET http://[fd10:244::10]:8080/healthz",
        "What failed Restarted once: no answer in time", "The failures began at 2026-11-22 20:11:31.853 UTC (+91.150 s), with attempt #7.",
        "The restart was decided at", "after 3 failures in a row", "the answers came after 2.41 s to 2.43 s, when the checker had hung up",
        "timeoutSeconds: 3 would have waited for these answers",
    ):  # fmt: skip
        assert said in text


def many(made, number: int):
    """Return a timeline of one probe with so many attempts, a fifth of them failed."""
    timeline = made["flapping"]()
    probe = timeline.probes[0]
    pattern = probe.attempts[:5]
    attempts = tuple(
        replace(
            pattern[n % 5], n=n + 1, start=pattern[0].start._replace(ns=pattern[0].start.ns + n * 10**9),
            end_ns=pattern[0].start.ns + n * 10**9 + 1_000_000 + n % 97 * 10_000,
            **({"outcome": Outcome.FAILURE, "cause": Cause.STATUS, "status": 503} if n // 10 % 5 == 4 else {}),
        )
        for n in range(number)
    )  # fmt: skip
    return replace(timeline, probes=(replace(probe, attempts=attempts, decisions=probe.decisions[:2]),))


def test_it_says_whether_it_is_over(captures) -> None:
    """The top box says whether it is over: yes, no, or not for sure where it came back before."""
    for name, word in (("http-timeout", "Yes: Ready since"), ("grpc-refused", "No: still NotReady at the end."),
                       ("k136-liveness-restart", "Not certain: a new container answers since")):  # fmt: skip
        folder = captures / name
        parts: list[str] = []
        html.write(probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml"), parts.append)
        assert f"<dt>Is it over?</dt><dd>{word}" in "".join(parts)


def test_remarks_are_no_causes(captures) -> None:
    """What needs no repair stands apart from why attempts failed; causes have names in words and the kubelet's own message."""
    folder = captures / "grpc-flap"
    parts: list[str] = []
    html.write(probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml"), parts.append)
    whole = "".join(parts)
    failed, _, remarks = whole.partition("<h4>Remarks")
    assert "<b>grpc unhealthy</b>" in failed
    assert "service unhealthy (responded with &#34;NOT_SERVING&#34;)" in failed
    assert "<b>reset after answer</b>" not in failed
    assert "<b>reset after answer</b>" in remarks.partition("</ul>")[0]
    assert not re.search(r"<td[^>]*>p[0-9]+</td>", whole)  # probes are called by their names


def test_a_phone_has_a_ladder_of_its_own(captures) -> None:
    """Each ladder is there twice, and the one for a phone has no line wider than its columns but the command to be copied."""
    folder = captures / "http-timeout"
    with Explanation(folder / "capture.pcap", spec=folder / "pod.yaml") as explanation:
        ladders = explanation.ladders(first_failures(explanation.timeline))
    page = Maker(explanation.timeline, ladders).page()
    (first,) = [section.first for section in page.sections if section.first is not None]
    assert max(width(line) for line in first.narrow if "tshark" not in line) <= PHONE
    assert max(width(line) for line in first.ladder) > PHONE


def test_size_does_not_grow_with_the_capture(made, collected) -> None:
    """Of 1 000 and of 20 000 attempts bins are drawn: the page is about as large as of 120."""
    sizes = [len(collected(lambda out, n=n: html.write(many(made, n), out))) for n in (DRAWN, 1_000, 20_000)]
    assert sizes[1] < sizes[0] + 40_000
    assert sizes[2] < sizes[0] + 60_000


def test_bins_count_every_attempt(made, page) -> None:
    """The words of the bins together count as many failures as there are."""
    timeline = many(made, 1_000)
    said = re.findall(r"(\d+) fail", page(timeline).text)
    wanted = sum(a.outcome is Outcome.FAILURE for a in timeline.probes[0].attempts)
    assert sum(map(int, said)) >= wanted
    assert f"{wanted} failed" in page(timeline).text


def test_many_probes_are_listed_and_the_worst_told(made, page) -> None:
    """Of more probes than sections the rest stands in the overview, of more than that they are counted; nothing is lost in silence."""
    timeline = made["flapping"]()
    few = replace(timeline.probes[0], attempts=timeline.probes[0].attempts[:2], decisions=())
    probes = tuple(replace(few, id=f"p{n}", target=replace(few.target, pod=f"pod-{n}")) for n in range(MOST_LISTED + 5))
    read = page(replace(timeline, probes=probes))
    assert len(read.all("details")) == MOST_PROBES
    assert f"{len(probes) - MOST_PROBES} more probes" in read.text
    assert "and 5 more probes" in read.text
    assert f"pod-{MOST_LISTED - 1}/" in read.text


@pytest.mark.parametrize(("seconds", "labels"), [
    (0, ["+0 s"]), (5, ["+0 s", "+1 s"]), (66, ["+0 s", "+15 s"]), (600, ["+0 min", "+2 min"]), (86_400, ["+0 h", "+6 h"]),
    (400 * 86_400, ["+0 d"]),
])  # fmt: skip
def test_ticks_are_round_and_few(seconds, labels) -> None:
    """Marks on the scale of time are round, start at the base, and never more than fit on a phone's line."""
    ticks = Scale(0, seconds * 10**9).ticks(0)
    assert [tick.label for tick in ticks][: len(labels)] == labels
    assert len(ticks) <= 8
    assert all(0 <= tick.x <= 100 for tick in ticks)


def test_templates_trust_nothing() -> None:
    """No template turns escaping off, and each is part of the package."""
    folder = files("probewatch.report") / "templates"
    names = {item.name for item in folder.iterdir()}
    assert {"report.html", "drawings.html", "style.css"} <= names
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|Markup|tojson", text), name


def test_a_browser_shows_it(made, tmp_path) -> None:
    """Chromium, where there is one, reads the page without a complaint and finds every section."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium is installed: only a browser shows what a browser makes of the page")
    file = tmp_path / "report.html"
    with file.open("w", encoding="utf-8") as stream:
        html.write(made["restarting"](), stream.write)
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=60, check=True)  # fmt: skip
    assert 'id="probes"' in done.stdout
    assert done.stdout.count("<details") == 2


def test_a_ladder_stays_text(collected, captures) -> None:
    """What both sides said, as a ladder of the first failure shows it, is text too, and its lines are whole."""
    from probewatch.explaining import explain

    folder = captures / "http-timeout"
    timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
    (ladder,) = explain(folder / "capture.pcap", spec=folder / "pod.yaml")
    steps = tuple(replace(s, said=tuple(one._replace(text=MARKUP) for one in s.said), notes=(MARKUP,)) for s in ladder.steps)
    text = collected(lambda out: html.write(timeline, out, [replace(ladder, steps=steps, notes=(MARKUP,))]))
    read = Page(text)
    assert not any(tag in ("script", "img") for tag, _ in read.elements)
    assert "alert(1)" in read.text
    assert [hex(ord(c)) for c in set(text) if not c.isprintable() and c != "\n"] == []
    plain = collected(lambda out: html.write(timeline, out, [ladder]))
    assert "SYN ACK" in plain
    assert "rest, and close" not in plain
