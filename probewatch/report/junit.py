r"""Findings as JUnit XML, as GitLab, Jenkins and GitHub's report actions read it.

There is no one standard; written is what all of them take (the schema of Jenkins' xUnit plugin, GitLab's
"Unit test reports"): one `testsuite`, a `testcase` for each finding with `classname` (whom it concerns) and `name` (what was
expected), `failure` or `skipped` with a message, and `system-out` with the proof.
An inconclusive finding is `skipped`: neither passed nor failed; the exit status tells it from a pass.

XML 1.0 forbids most control characters, even escaped (section 2.2, Char). Everything that is not printable is written
as on a terminal (`\x1b`), which leaves nothing forbidden.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from ..model.finding import BY_DEFAULT, Finding, Held
from . import words
from .escape import safe

_NAME: Final = "probewatch"


def write(
    findings: Sequence[Finding],
    out: Callable[[str], object],
    *,
    name: str = _NAME,
    files: Mapping[str, str] | None = None,
) -> None:
    """Write a report of one suite called `name`, ASCII only, so that no reader can take its encoding for another."""
    failures = sum(finding.held is Held.FAIL for finding in findings)
    skipped = sum(finding.held is Held.INCONCLUSIVE for finding in findings)
    totals = f'tests="{len(findings)}" failures="{failures}" errors="0" skipped="{skipped}"'
    out('<?xml version="1.0" encoding="UTF-8"?>\n')
    out(f'<testsuites name="{_NAME}" {totals}>\n')
    out(f"  <testsuite name={attribute(name)} {totals}>\n")
    seen: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        seen[finding.subject, finding.field] += 1
        _write_case(finding, seen[finding.subject, finding.field], out, path_of(finding, files))
    out("  </testsuite>\n</testsuites>\n")


def proof(finding: Finding) -> list[str]:
    """Return what a finding says besides its sentence, a line each; safe for a terminal."""
    lines = []
    if finding.expected:
        lines.append(f"expected: {safe(finding.expected)}{f' ({safe(finding.source_name)})' if finding.source else ''}")
    if finding.observed:
        lines.append(f"observed: {safe(finding.observed)}")
    if finding.attempts:
        lines.append(f"attempts: {', '.join(f'#{number}' for number in finding.attempts)}")
    if finding.evidence:
        frames = ", ".join(words.span(e.file, e.first, e.last, several=bool(e.file)) for e in finding.evidence)
        lines.append(f"frames: {frames}")
    return lines


def path_of(finding: Finding, files: Mapping[str, str] | None) -> str | None:
    """Return the path of the file that an expectation is from, as the user wrote it; None where it is from none that was named."""
    if files is None:
        return finding.source if finding.source not in ("", BY_DEFAULT) else None
    name = re.sub(r" (?:document|item) \d.*", "", finding.source)  # (of several objects in one file)
    return files.get(name)


def _write_case(finding: Finding, number: int, out: Callable[[str], object], path: str | None) -> None:
    """Write a case; `number` counts those of one name, since GitLab takes no notice of a second of the same."""
    name = finding.field if number == 1 else f"{finding.field} ({number})"
    where = f" file={attribute(path)}" if path else ""
    out(f'    <testcase classname={attribute(finding.subject)} name={attribute(name)}{where} time="0"')
    lines = proof(finding)
    if finding.held is Held.PASS:
        out(">\n")
        lines = [safe(finding.sentence), *lines]
    elif finding.held is Held.FAIL:
        text = "\n".join([safe(finding.sentence), *lines])
        out(f'>\n      <failure message={attribute(finding.sentence)} type="expectation">{body(text)}</failure>\n')
    else:
        out(f">\n      <skipped message={attribute('inconclusive: ' + finding.sentence)}/>\n")
    if lines and finding.held is not Held.FAIL:
        out(f"      <system-out>{body(chr(10).join(lines))}</system-out>\n")
    out("    </testcase>\n")


def attribute(text: str) -> str:
    """Return text as an attribute's value, quoted; safe for a terminal too."""
    return quoted(safe(text))


def quoted(text: str) -> str:
    """Return text that is safe already as an attribute's value, quoted."""
    return _ascii(quoteattr(text))


def body(text: str) -> str:
    """Escape lines that are safe already."""
    return _ascii(escape(text))


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
