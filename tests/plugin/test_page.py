"""The examples of docs/testing.md are run, and what the page shows of them is what they print.

`UPDATE_DOCS=1` writes the outputs anew; read the difference before you commit it.

Covers `pytest_plugin`, `assertions`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "testing.md"
UPDATE = bool(os.environ.get("UPDATE_DOCS"))

_EXAMPLE = re.compile(r"^`(test_\w+\.py)`:\n\n```python\n(.*?)^```\n(.*?)^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_QUIET = ("-q", "--no-header", "--color=no", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "console_output_style=classic")


@pytest.fixture(autouse=True)
def _as_at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest print what the page shows: 80 columns wide however wide this terminal is, and short summaries, which in CI are whole."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


def example(name: str) -> re.Match[str]:
    """Return (whole, name, code, words between, output) of an example."""
    return next(found for found in _EXAMPLE.finditer(PAGE.read_text(encoding="utf-8")) if found[1] == name)


def run(pytester: pytest.Pytester, name: str, code: str) -> tuple[pytest.RunResult, str]:
    """Run an example beside the project's captures; return its result and what it printed, without what differs each time."""
    (pytester.path / "captures").symlink_to(ROOT / "captures")
    pytester.path.joinpath(name).write_text(code, encoding="utf-8")
    result = pytester.runpytest_subprocess(*_QUIET, name)
    text = "\n".join(line.rstrip() for line in result.outlines).strip() + "\n"
    text = re.sub(r" in \d+\.\d+s", " in 0.5s", text)
    return result, re.sub(r" at 0x[0-9a-f]+>", " at 0x7f0000000000>", text)


@pytest.mark.parametrize("name", ["test_flapping.py", "test_specs.py", "test_declared.py"])
def test_examples_print_what_the_page_shows(name: str, pytester: pytest.Pytester) -> None:
    """An example on saved captures prints what stands below it, letter for letter but for how long it took."""
    found = example(name)
    _, printed = run(pytester, name, found[2])
    if UPDATE and printed != found[4]:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(text[: found.start(4)] + printed + text[found.end(4) :], encoding="utf-8")
        return
    assert printed == found[4], "docs/testing.md shows something else; UPDATE_DOCS=1 rewrites it"


@pytest.mark.usefixtures("needs_root")
def test_the_live_example_holds(pytester: pytest.Pytester) -> None:
    """The live example passes as it stands, and asked for another node prints what the page shows, but for times and ports."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed: it makes the network namespace of this example")
    found = example("test_live.py")
    result, printed = run(pytester, "test_live.py", found[2])
    if "Operation not permitted" in printed:
        pytest.skip("network namespaces cannot be made here")
    result.assert_outcomes(passed=1)
    assert found[2].count('"10.99.0.1")') == 1
    (pytester.path / "captures").unlink()
    result, printed = run(pytester, "test_live.py", found[2].replace('from_node("10.99.0.1")', 'from_node("10.99.0.2")'))
    result.assert_outcomes(failed=1)
    if UPDATE:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(text[: found.start(4)] + shown(printed) + text[found.end(4) :], encoding="utf-8")
        return
    assert alike(shown(printed)) == alike(found[4]), "docs/testing.md shows something else; UPDATE_DOCS=1 rewrites it"


def shown(printed: str) -> str:
    """Return what the page shows of the live example: from the message on, the file in a short directory."""
    message = printed[printed.index("E       AssertionError") :]
    return re.sub(r"/\S*/probewatch0/", "/tmp/pytest-of-root/pytest-0/probewatch0/", message)


def alike(text: str) -> str:
    """Return it without what differs each time: numbers, letters of histories, widths."""
    text = re.sub(r"\b[SRAFDGTsrafdgth]{3,}\b", "H", text)
    text = re.sub(r"[+-]?\d+(\.\d+)?", "N", text)
    return re.sub(r"[ _-]{2,}", "  ", text)
