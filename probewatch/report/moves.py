"""A Pod that was made anew at another address, as whoever watches sees it: the probes it was asked come there now.

A manifest tells the address that the Pod had. Where one kubelet stops to ask a named Pod and then begins to ask the same (port,
handler, path) at an address of which no name is known, and of no other Pod that went silent so, that is told once.

Limitations: it is a likeness and no proof; the sentence says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..model.timeline import Probe
from . import words
from .numbers import rfc3339

MISSED: Final = 1.5
"""Periods of silence after which a Pod's address is taken for one that is not asked any more."""
MOST: Final = 10_000
"""Probes remembered; of more, the one that was met first is forgotten."""

_Asked = tuple[str, str, int | None, str | None]
"""Whose probe: its checker's address, its handler, port and path."""


@dataclass(slots=True)
class _Last:
    """A named Pod's probe, and its latest attempt."""

    probe: Probe
    start_ns: int
    period_ns: int


class Moves:
    """Takes attempts as they are shown, and says of an address that it seems to be a Pod's new one."""

    def __init__(self) -> None:
        self._named: dict[tuple[_Asked, str], _Last] = {}
        self._first: dict[str, int] = {}
        """Address without a name -> when it was first asked."""
        self.addresses: dict[str, Probe] = {}
        """Address -> a probe of the Pod that seems to have it now."""

    def note(self, probe: Probe, start_ns: int, period_ns: int) -> str:
        """Take an attempt; return what it shows, empty where that is nothing new."""
        target = probe.target
        asked = (probe.checker.address, probe.handler.value, target.port, probe.path)
        if target.pod is not None:
            self._named[asked, target.address] = _Last(probe, start_ns, period_ns)
            if len(self._named) > MOST:
                del self._named[next(iter(self._named))]
            return ""
        if len(self._first) < MOST:
            self._first.setdefault(target.address, start_ns)
        begun = self._first.get(target.address, start_ns)
        if target.address in self.addresses:
            return ""
        alike = [one for (what, address), one in self._named.items() if what == asked and address != target.address]
        silent = [one for one in alike if one.start_ns < begun and start_ns - one.start_ns > MISSED * one.period_ns]
        if len({one.probe.target.address for one in silent}) != 1:
            return ""
        before = silent[0].probe
        self.addresses[target.address] = before
        since, last = ((rfc3339(ns) or "")[11:23] for ns in (begun, silent[0].start_ns))
        return (
            f"{words.label(before)} was not asked since {last}; {words.who(probe.checker)} asks the same "
            f"at {words.label(probe)} since {since}: the Pod seems to have been made anew there. Its lines follow; "
            f"the manifest still says {before.target.address}"
        )
