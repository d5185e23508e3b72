"""Why an attempt ended so, finer than its cause: what the signs on the wire fit, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from .finding import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One diagnosis of the catalogue (`model.diagnoses`), made for one attempt or for many of one probe."""

    kind: str
    """Its name in the catalogue, and its anchor in docs/causes.md: `application-slow`."""
    rows: tuple[str, ...] = ()
    """Numbers of the rows it covers in the project's list of symptoms: `D09`."""
    sentence: str
    """What the packets show, in one sentence, with the numbers of this case."""
    check: str = ""
    """What to look at next, to be sure."""
    advice: str = ""
    """What to do; empty where nothing is wrong."""
    says: tuple[str, ...] = ()
    """What the kubelet says of it: fragments of its event or log message."""
    attempts: tuple[int, ...] = ()
    """Numbers of the attempts it explains, ascending."""
    evidence: tuple[Evidence, ...] = ()
    """Frames that show it; of many attempts the first few."""
    equally: tuple[str, ...] = ()
    """Kinds that the same signs fit as well: packets from where these were captured cannot tell which."""
    harmless: bool = False
    """It explains something that needs no repair."""
