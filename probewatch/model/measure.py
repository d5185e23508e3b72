"""What packets alone allow a field of a probe's spec to be, with the frames that say so."""

from __future__ import annotations

from dataclasses import dataclass

from .finding import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The values of one field that the evidence leaves open.

    A number lies between `low` and `high` (None: no bound) and is none of `holes`; anything else is one of `words`, and
    where nothing of it was seen there are none.
    """

    field: str
    """Name in the Pod spec: `periodSeconds`, `httpGet.path`; or `type`, `handler`."""
    low: int | None = None
    high: int | None = None
    holes: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    """Beginnings of further words, whose ends the capture cut off."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Of `httpHeaders`, the headers that the first of `words` spells: name and value of each."""
    number: bool = False
    why: str = ""
    """The sign, as a clause: `67 attempts keep the grid`; of an unbounded one, what is missing."""
    rivals: tuple[str, ...] = ()
    """Other fields that would explain the same, were they other than declared."""
    evidence: tuple[Evidence, ...] = ()
    """Frames of the signs, the first few; those against the declared value where there are such."""

    @property
    def pinned(self) -> bool:
        """Whether one value only is left."""
        return self.low == self.high is not None if self.number else len(self.words) == 1 and not self.beginnings

    @property
    def visible(self) -> bool:
        """Whether the packets say anything about it."""
        if self.number:
            return self.low is not None or self.high is not None or bool(self.holes)
        return bool(self.words or self.beginnings)

    def allows(self, value: int | str) -> bool:
        """Tell whether the evidence allows this value."""
        if isinstance(value, str):
            return not self.visible or value in self.words or value.startswith(self.beginnings)
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high) and value not in self.holes

    def text(self, unit: str = "") -> str:
        """Return what is left, in words: `3`, `at least 3`, `1 to 5`, `2 or 10`, `/rea...`, `anything`."""
        if not self.number:
            return " or ".join([*self.words, *(f"{word}..." for word in self.beginnings)]) or "anything"
        low, high = self.low, self.high
        if low is None and high is None:
            return "anything" + (f" but {', '.join(map(str, self.holes))}" if self.holes else "")
        if low is not None and low == high:
            return f"{low}{unit}"
        if high is None:
            return f"at least {low}{unit}"
        if low is None:
            return f"at most {high}{unit}"
        left = [str(value) for value in range(low, high + 1) if value not in self.holes] if high - low <= 100 else []
        return " or ".join(left) + unit if 0 < len(left) <= 3 and self.holes else f"{low} to {high}{unit}"
