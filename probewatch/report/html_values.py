"""What the HTML report's template is given: a page and its sections, every text of it safe for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .html_latency import Plot
from .html_strip import Strip
from .html_verdict import Answer
from .numbers import relative
from .rows import Row


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what is to say under it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A probe in the overview."""

    id: str
    level: str
    glyph: str
    kind: str
    label: str
    sentence: str
    linked: bool
    """Whether it has a section."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRow:
    """Failed or discarded attempts of one cause."""

    slug: str
    """Its name in docs/causes.md."""
    label: str
    attempts: int
    probes: str
    meaning: str
    advice: str
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why attempts of one probe failed, as finely as the wire tells; or, where none of them did, what is to be said of them."""

    name: str
    """Its name in docs/causes.md."""
    label: str
    attempts: str
    """How many, and the first few."""
    meaning: str
    check: str
    advice: str
    says: str
    """The kubelet's words for it."""
    harmless: bool
    below: str
    """The causes of the attempts that a diagnosis explains; empty where it is a cause itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of a connection, as a bar: place and width in per cent of the attempt."""

    name: str
    lasted: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """One connection of that failure."""

    role: str
    says: str
    frames: str
    phases: Sequence[Phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The failure of a probe that says most, at length."""

    title: str
    says: str
    ladder: Sequence[str]
    """Lines of its diagram; empty where the captures were not read again for it."""
    narrow: Sequence[str]
    """The same, for the width of a phone."""
    legs: Sequence[Connected]
    filter: str
    """What shows exactly these frames in Wireshark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """The kubelet's own account."""

    files: Sequence[Sequence[str]]
    joined: str
    differences: Sequence[Sequence[str]]
    decisions: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One probe."""

    id: str
    level: str
    glyph: str
    title: str
    request: str
    sentence: str
    facts: Sequence[Fact]
    strip: Strip | None
    plot: Plot | None
    reasons: Sequence[Reason]
    remarks: Sequence[Reason]
    """What is to be said of attempts of which none failed."""
    rows: Sequence[Row]
    left_out: str
    tail: Sequence[Row]
    first: First | None
    said: Sequence[Sequence[str]]
    """Attempts beside what the kubelet said of them."""
    notes: Sequence[str]
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicted:
    """A finding."""

    word: str
    kind: str
    subject: str
    field: str
    sentence: str
    expected: str
    observed: str
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The whole report."""

    title: str
    subject: str
    level: str
    glyph: str
    headline: str
    answers: Sequence[Answer]
    paragraph: str
    more: str
    overview: str
    listed: Sequence[Listed]
    unlisted: int
    causes: Sequence[CauseRow]
    sections: Iterator[Section]
    untold: int
    rollouts: Sequence[tuple[str, str, str, Sequence[Sequence[str]]]]
    others: Sequence[Sequence[str]]
    others_left: int
    events: Sequence[Sequence[str]]
    findings: Sequence[Verdicted]
    passed: Sequence[tuple[str, str]]
    """Of what passed: (subject, its fields)."""
    findings_summary: str
    kubelet: Kubelet | None
    inputs: Sequence[Sequence[str]]
    caveats: Sequence[str]
    numbers: Sequence[Sequence[str]]
    notes: Sequence[str]
    hints: Sequence[str]
    base: int

    def relative(self, row: Row) -> str:
        """Return when a row of the story is; empty where it only counts what is left out."""
        return "" if row.quiet else relative(row.ns, self.base)
