"""Findings as JUnit XML and as GitHub's annotations: what programs read, whatever stands in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from probewatch.model.finding import BY_DEFAULT, Evidence, Finding, Held
from probewatch.report import github, junit

GOLDEN = Path(__file__).parent / "golden"

HOSTILE = Finding(
    held=Held.FAIL, subject='liveness "x"/<b>&\x1b[31m', field="path::x,y", sentence="]]>\n::error::forged\x00\ud800\ufffe %0A",
    observed="a\\b\u202e", source="<ex>.yaml")  # fmt: skip


def findings(made: dict[str, Callable[..., object]]) -> list[Finding]:
    """Return one finding of each kind, and a hostile one."""
    timeline = made["flapping"]()
    return [*timeline.findings, HOSTILE]  # type: ignore[attr-defined]


def written(writer: Callable[..., None], *args: object) -> str:
    """Return what a writer writes."""
    parts: list[str] = []
    writer(args[0], parts.append, *args[1:])
    return "".join(parts)


def same_as(name: str, text: str) -> None:
    """Compare with a golden file, or write it."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_junit_golden(made) -> None:
    """The report is, letter for letter, the one that was last agreed on."""
    same_as("findings.junit.xml", written(junit.write, findings(made)))


def test_junit_counts(made) -> None:
    """Totals are those of the cases: a fail is a failure, an inconclusive one is skipped, with its reason."""
    root = ElementTree.fromstring(written(junit.write, findings(made)))
    (suite,) = root
    for node in (root, suite):
        assert (node.get("tests"), node.get("failures"), node.get("errors"), node.get("skipped")) == ("4", "2", "0", "1")
    assert [[child.tag for child in case] for case in suite] == [["failure"], ["skipped", "system-out"], ["system-out"], ["failure"]]
    assert (suite[0].get("classname"), suite[0].get("name"), suite[0].get("file")) == (
        "readiness lab/http-flap-s1/app", "periodSeconds", "flapping.yaml")  # fmt: skip
    text = suite[0][0].text
    assert text is not None
    assert "expected: one attempt every 2 s (flapping.yaml)" in text
    assert "frames: 30-37, 40-47" in text


def test_junit_names_only_files(made) -> None:
    """A number that Kubernetes fills in comes from no file, and no `file` is invented for it; the text names its source."""
    found = replace(findings(made)[0], source=BY_DEFAULT)
    root = ElementTree.fromstring(written(junit.write, [found]))
    assert root[0][0].get("file") is None
    assert "(default)" in (root[0][0][0].text or "")


def test_junit_says_where_a_file_is(made) -> None:
    """A file of expectations is named by its path as it was given, for what opens it; readers see its name."""
    found = replace(findings(made)[0], source="ci/expect/web.yaml")
    root = ElementTree.fromstring(written(junit.write, [found]))
    assert root[0][0].get("file") == "ci/expect/web.yaml"
    assert "(web.yaml)" in (root[0][0][0].text or "")


def test_junit_without_findings() -> None:
    """No findings make an empty suite, which is well-formed too."""
    root = ElementTree.fromstring(written(junit.write, []))
    assert [len(suite) for suite in root] == [0]


def test_junit_names_are_different() -> None:
    """Two findings of one name are two cases: GitLab would take no notice of the second."""
    fail = Finding(held=Held.FAIL, subject="s", field="f", sentence="x")
    suite = ElementTree.fromstring(written(junit.write, [fail, fail, fail]))[0]
    assert [case.get("name") for case in suite] == ["f", "f (2)", "f (3)"]


TEXT = st.text(st.characters(), max_size=20)
FINDINGS = st.lists(
    st.builds(
        Finding, held=st.sampled_from(Held), subject=TEXT, field=TEXT, sentence=TEXT, expected=TEXT, observed=TEXT, source=TEXT,
        attempts=st.lists(st.integers(1, 9), max_size=2).map(tuple), evidence=st.just((Evidence(1, 2, 2),))),
    max_size=14)  # fmt: skip


@given(FINDINGS)
def test_any_text_gives_well_formed_xml(found: list[Finding]) -> None:
    """Whatever a finding says, the report is ASCII that an XML parser takes, with a case for each."""
    text = written(junit.write, found)
    assert text.isascii()
    root = ElementTree.fromstring(text.encode("ascii"))
    assert [case.tag for case in root[0]] == ["testcase"] * len(found)


def test_github_golden(made) -> None:
    """Annotations are, letter for letter, those last agreed on: errors first, then warnings; passes none."""
    same_as("findings.github.txt", written(github.write, findings(made), {"flapping.yaml": "tests/a,b:c/flapping.yaml"}))


def test_github_shows_ten() -> None:
    """Beyond the ten that GitHub shows, the last annotation counts the rest; ten are ten."""
    fail = Finding(held=Held.FAIL, subject="s", field="f", sentence="x")
    assert written(github.write, [fail] * 10).count("::error ") == 10
    lines = written(github.write, [fail] * 25).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "::error title=probewatch::16 more failed: see the step's log"


def test_github_is_asked_for_by_the_runner() -> None:
    """Only a GitHub runner gets annotations."""
    assert github.wanted({"GITHUB_ACTIONS": "true"})
    assert not github.wanted({"GITHUB_ACTIONS": ""})
    assert not github.wanted({})


@given(FINDINGS)
def test_any_text_is_one_annotation(found: list[Finding]) -> None:
    """Nothing in a finding can begin a line or a command of its own, or end its properties."""
    text = written(github.write, found, {finding.source: finding.source for finding in found})
    for line in text.splitlines():
        assert line.isprintable()
        match = re.fullmatch(r"::(error|warning) ((?:file=[^,:]*,)?title=[^,:]*)::.*", line)
        assert match, line
    assert len(text.splitlines()) == len(re.findall(r"\n", text))
