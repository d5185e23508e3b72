"""What the observer is told beside the frames."""

from __future__ import annotations

from dataclasses import dataclass, field

from probewatch.model.book import AddressBook

from .ledger import Keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the observer is told beside the frames."""

    book: AddressBook = field(default_factory=AddressBook)
    keylog: bytes | None = None
    """NSS key log text, None where none was given."""
    heard: bool = True
    """Whether somebody takes what becomes known (`Observer.take`)."""
    early: bool = False
    """Whether they cannot wait until it is certain: then it is told at once, and again where it changes."""
    keep: Keep = Keep.WHOLE
    """What to keep of attempts that are settled; `measure` needs all their steps."""
    endpoint: tuple[str, int] | None = None
    """Address and port whose connections are to be kept, whatever they are (`Observer.followed`)."""
    measure: bool = False
    """Whether to find out, at the end, what the packets allow the fields of each probe to be (`Probe.measures`)."""
