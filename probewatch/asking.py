"""`probewatch.who`: what a connection was that an application logged."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .api import Analysis, Source
from .moments import InputError

if TYPE_CHECKING:
    from .model.answer import Answer
    from .model.connection import Connection
    from .model.timeline import Timeline

_WITH_PORT = re.compile(r"\[?(?P<address>[0-9a-fA-F.:]+(?:%[\w.]+)?)\]?:(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Told:
    """What was found of an endpoint."""

    endpoint: str
    answers: tuple[Answer, ...]
    """In the order of time; a port may have been used again."""
    timeline: Timeline
    nothing: str = ""
    """One sentence where nothing was found: what was seen of the address instead."""


def endpoint_of(text: str) -> tuple[str, int]:
    """Return address and port of `10.104.2.1:57866` or `[fd00::1]:57866`, also as a part of a line of a log.

    Of a line with both ends of a connection (`read tcp 10.0.0.2:8080->10.104.2.1:57866`) it is the end with the greater port: the
    client's, which names one connection; the server's names all of its clients.

    Raises:
        InputError: there is none in it.
    """
    ends: list[tuple[int, tuple[str, int]]] = []
    for found in _WITH_PORT.finditer(text):
        try:
            address = ipaddress.ip_address(found["address"].partition("%")[0])
        except ValueError:
            continue
        port = int(found["port"])
        mapped = getattr(address, "ipv4_mapped", None)
        if not 0 < port < 65536:
            continue
        if ends and text[ends[-1][0] : found.start()].strip("[] ") != "->":
            break
        ends.append((found.end(), (str(mapped or address), port)))
    if ends:
        return max((end for _, end in ends[:2]), key=lambda end: end[1])
    shown = text[:60].encode("unicode_escape", "backslashreplace").decode("ascii")
    raise InputError(f"'{shown}' is not an endpoint: write it as 10.104.2.1:57866 or [fd00::1]:57866")


def who(
    paths: Source,
    endpoint: str,
    *,
    progress: Callable[[int, int | None], object] | None = None,
    **inputs: Any,
) -> Told:
    """Return what the connections of an endpoint were, in saved captures.

    Args:
        paths: captures as `analyze` takes them.
        endpoint: `10.104.2.1:57866`, `[fd00::1]:57866`, or a line of a log with one in it.
        progress: as `analyze`.
        inputs: `spec`, `cluster`, `node_ip`, `haproxy_cfg`, `check`, `keylog`, `filter`, as `analyze`.

    Raises:
        InputError: the text names no endpoint.
        CaptureError, SpecError: as `analyze`.
    """
    wanted = endpoint_of(endpoint)
    return asked(Analysis(paths, progress=progress, endpoint=wanted, **inputs), wanted)


def asked(analysis: Analysis, wanted: tuple[str, int]) -> Told:
    """Read an analysis that follows an endpoint to its end, and return what its connections were."""
    timeline = analysis.whole()
    return told(timeline, analysis.followed(), wanted)


def told(
    timeline: Timeline, followed: Sequence[Connection], wanted: tuple[str, int], seen: str = "is in this capture"
) -> Told:
    """Return what the connections of an endpoint were, that an observer followed; `seen` says where others are not."""
    from .observer.whose import answers

    found = tuple(answers(timeline, followed, wanted))
    shown = f"[{wanted[0]}]:{wanted[1]}" if ":" in wanted[0] else f"{wanted[0]}:{wanted[1]}"
    return Told(shown, found, timeline, "" if found else _instead(timeline, wanted[0], shown, seen))


def _instead(timeline: Timeline, address: str, shown: str, seen: str) -> str:
    """Say in one sentence what was seen of an address whose port was not."""
    from .report import words

    def _names(probes: Sequence[Any]) -> str:
        told = [f"{probe.handler.value} {words.kind(probe)} of {words.label(probe)}" for probe in probes[:3]]
        return ", ".join(told) + (f" and {len(probes) - 3} more" if len(probes) > 3 else "")

    mine = [probe for probe in timeline.probes if probe.checker.address == address]
    if mine:
        return f"no connection of {shown} {seen}; that address sends {_names(mine)}, so it was most likely one of these"
    theirs = [probe for probe in timeline.probes if probe.target.address == address]
    if theirs:
        return f"no connection of {shown} {seen}; that address is probed: {_names(theirs)}"
    if any(address in (other.address, other.target_address) for other in timeline.others):
        return f"no connection of {shown} {seen}; others of that address were seen, and none is a probe's"
    return f"no connection of {shown} {seen}, nor any other of that address"
