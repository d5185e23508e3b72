"""Findings as annotations of GitHub Actions: `::error file=...,title=...::message`, a line each.

"Workflow commands for GitHub Actions" tells the form; the escapes are those of actions/toolkit (core/src/command.ts,
escapeData and escapeProperty): `%`, CR and LF everywhere, `:` and `,` too in properties. Text from packets is made
printable first, so that it can neither begin a command of its own nor end this one.

GitHub shows ten errors and ten warnings of a step; what is beyond is counted in the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..model.finding import Finding, Held
from .escape import safe
from .junit import path_of

MAX_ANNOTATIONS: Final = 10
"""Errors, and warnings, that GitHub shows of one step."""

_COMMANDS: Final = ((Held.FAIL, "error", "failed"), (Held.INCONCLUSIVE, "warning", "inconclusive"))


def wanted(environment: Mapping[str, str]) -> bool:
    """Say whether a GitHub runner is listening (`GITHUB_ACTIONS=true`)."""
    return environment.get("GITHUB_ACTIONS") == "true"


def write(findings: Sequence[Finding], out: Callable[[str], object], files: Mapping[str, str] | None = None) -> None:
    """Write an error for each failed and a warning for each inconclusive finding; passes are not annotated.

    `files` gives for a finding's `source` (a file's name) its path as the user wrote it, relative to the repository's
    root, so that GitHub can show the annotation beside it; a source that is not there gives no `file`.
    """
    for held, command, word in _COMMANDS:
        these = [finding for finding in findings if finding.held is held]
        shown = these if len(these) <= MAX_ANNOTATIONS else these[: MAX_ANNOTATIONS - 1]
        for finding in shown:
            properties = {"title": f"{finding.subject}: {finding.field}"}
            path = path_of(finding, files or {})
            if path is not None:
                properties = {"file": path, **properties}
            out(_line(command, properties, _message(finding)))
        if len(shown) < len(these):
            out(_line(command, {"title": "probewatch"}, f"{len(these) - len(shown)} more {word}: see the step's log"))


def _message(finding: Finding) -> str:
    text = safe(finding.sentence)
    if finding.expected:
        text += f"; expected {safe(finding.expected)}"
    if finding.observed:
        text += f"; observed {safe(finding.observed)}"
    return text


def _line(command: str, properties: Mapping[str, str], message: str) -> str:
    listed = ",".join(f"{key}={_property(safe(value))}" for key, value in properties.items())
    return f"::{command} {listed}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
