"""One object of a manifest or dump, with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file."""

    document: int
    """From 1."""
    item: int | None
    """From 1, for an element of a List."""
    value: Any
    list_kind: str = ""
    """`PodList` where the list says so: its elements need not name their kind."""

    @property
    def label(self) -> str:
        """`document 1`, `item 12`, `document 2 item 3`."""
        if self.item is None:
            return f"document {self.document}"
        return f"item {self.item}" if self.document == 1 else f"document {self.document} item {self.item}"
