"""Verdicts on single expectations: what was expected, what was observed, and the frames that show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLIENTS_REFUSED: Final = "clients_refused_while_ready"
CLIENTS_UNANSWERED: Final = "clients_unanswered_while_ready"
CLIENTS_LATE: Final = "clients_while_not_ready"
"""Fields of findings on client traffic: the names that the numbers have in `effects` of the JSON document."""

BY_DEFAULT: Final = "default"
"""Source of a number that Kubernetes fills in: no file."""


class Held(StrEnum):
    """Whether an expectation held."""

    PASS = "pass"  # noqa: S105  (a verdict)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The evidence allows both."""


def worst(findings: Iterable[Finding]) -> Held:
    """Return fail where one failed, else inconclusive where one is, or where there are none at all, else pass."""
    seen = {finding.held for finding in findings}
    if not seen:
        return Held.INCONCLUSIVE
    return next((held for held in (Held.FAIL, Held.INCONCLUSIVE) if held in seen), Held.PASS)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Frames of one input that show it."""

    file: int
    """Index of the input."""
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A verdict on one expectation."""

    held: Held
    probe: str | None = None
    """Id of the probe in the timeline; None where the expected one was not seen, or it concerns no single probe."""
    subject: str
    """Whom it concerns, in words: `readiness lab/web/app`."""
    field: str
    """What was expected of it: the field's name in the Pod spec (`periodSeconds`), or a name such as `source`, `decisions`."""
    sentence: str
    """One plain sentence; of an inconclusive one, why nothing can be said."""
    expected: str = ""
    observed: str = ""
    source: str = ""
    """Where the expectation comes from: `web.yaml`, `expect.yaml`, `default`, or empty where it holds for every probe."""
    attempts: tuple[int, ...] = ()
    """Numbers of the attempts that show it best, the first few."""
    at: int | None = None
    """The one of them where it shows, the others are its neighbours; None where all show it alike."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def source_name(self) -> str:
        """Return the name of the file that it is from, for readers."""
        return self.source.rsplit("/", 1)[-1]
