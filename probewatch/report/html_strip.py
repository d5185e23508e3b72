"""The drawn timeline of one probe, as numbers for the template: attempts by outcome, states, decisions, clients, events.

Four rows on one scale of time: what happened to the container, the state, the attempts, and what clients did. A mark
differs from others by form and height and has its words, so that nothing depends on colour. More attempts than
`DRAWN` are not drawn one by one but counted in as many bins; so the size of a drawing does not grow with the capture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..decisions.outages import By, Outage
from ..decisions.undecided import undecided
from ..model.timeline import Attempt, Decision, DecisionKind, EventKind, GapKind, Outcome, Period, Probe, TimelineEvent
from . import words
from .escape import safe
from .html_scale import Scale, Tick
from .numbers import count, duration, relative, span
from .outline import counts
from .rows import event_words

DRAWN: Final = 120
"""Attempts drawn one by one; of more, so many bins."""
FLAGS: Final = 40
"""Decisions and events with a line of their own in one drawing; what is more stands in the table below it."""
BANDS: Final = 200
"""Stretches of states or clients in one row."""

_KIND: Final = {
    Outcome.SUCCESS: "ok",
    Outcome.FAILURE: "bad",
    Outcome.DISCARDED: "thrown",
    Outcome.INCONCLUSIVE: "unclear",
}
_STATE: Final = {
    "Ready": "up", "UP": "up", "Live": "up", "Started": "up",
    "NotReady": "down", "DOWN": "down", "NotStarted": "wait", "Restart": "gone",
}  # fmt: skip
_NEW_CONTAINER: Final = {"Ready": "NotReady", "Restart": "Live", "Started": "NotStarted"}
"""What a new container makes of a state: readiness and startup begin anew, liveness takes it for live."""

BAR: Final = 56
"""Height of a bin's bar."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One attempt."""

    x: float
    to: float
    """Where its verdict came, if that is worth a line."""
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The attempts of one outcome in a bin."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Attempts of a stretch of time."""

    x: float
    width: float
    pieces: tuple[Piece, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch in one state."""

    x: float
    width: float
    kind: str
    label: str
    title: str

    @property
    def room(self) -> str:
        """Return from which width of screen on its label fits: a class of the style sheet, or empty where it never does."""
        need = 8 + 7 * len(self.label)
        for pixels, name in ((300, "any"), (620, "mid"), (900, "far")):
            if self.width * pixels >= need * 100:
                return name
        return ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment across all rows: a decision, a container's start."""

    x: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A whole drawing."""

    title: str
    says: str
    """What it shows, for who cannot see it."""
    ticks: Sequence[Tick]
    states: Sequence[Band]
    marks: Sequence[Mark]
    bins: Sequence[Bin]
    each: str
    """What a bin is; empty where attempts are drawn one by one."""
    gaps: Sequence[Band]
    clients: Sequence[Band]
    flags: Sequence[Flag]


def strip(probe: Probe, events: Sequence[TimelineEvent], base: int, gone: Sequence[Outage] = ()) -> Strip:
    """Return the drawing of one probe. It must have attempts. `gone`: when it was out of service."""
    attempts = sorted(probe.attempts, key=lambda a: a.start.ns)
    scale = Scale(attempts[0].start.ns, max([a.end_ns for a in attempts] + [g.end_ns for g in probe.gaps]))
    few = len(attempts) <= DRAWN
    bands = _states(probe, events, gone, scale, base)
    return Strip(
        title=f"Timeline of {words.kind(probe)} {words.label(probe)}",
        says=_says(probe, bands),
        ticks=scale.ticks(base),
        states=bands,
        marks=[_mark(probe, a, scale, base) for a in attempts] if few else (),
        bins=() if few else _bins(attempts, scale, base),
        each=""
        if few
        else f"each bar is {span((scale.end_ns - scale.start_ns) // DRAWN)}; its height is the number of attempts",
        gaps=[
            _band(
                scale,
                g.start_ns,
                g.end_ns,
                "gap",
                "" if g.kind is GapKind.POD_DELETED else f"{g.expected} {words.did_not_come(g)}",
                f"{safe(g.reason)}",
                base,
            )
            for g in probe.gaps[:BANDS]
        ],
        clients=_clients(probe.effects.periods if probe.effects is not None else (), scale, base),
        flags=_flags(probe, events, scale, base),
    )


def _says(probe: Probe, bands: Sequence[Band]) -> str:
    states = list(dict.fromkeys(band.label for band in bands))
    return f"{counts(probe)}. States: {', '.join(states)}. The table below says it in words."


def _mark(probe: Probe, attempt: Attempt, scale: Scale, base: int) -> Mark:
    x = scale.at(attempt.start.ns)
    to = scale.at(attempt.end_ns)
    return Mark(x, to if to - x > 0.3 else x, _KIND[attempt.outcome], title(probe, attempt, base))


def title(probe: Probe, attempt: Attempt, base: int) -> str:
    """Return what an attempt was in a few words: `#12 +33.010: no answer in time, 1.000 s, 2/3`."""
    text = f"#{attempt.n} {relative(attempt.start.ns, base)}: {words.result(attempt, probe.handler)}"
    if not attempt.implied:
        text += f", {duration(attempt.latency_ns)}"
    if attempt.streak and attempt.threshold and attempt.streak <= attempt.threshold:
        text += f", {attempt.streak}/{attempt.threshold}"
    return text


def _bins(attempts: Sequence[Attempt], scale: Scale, base: int) -> list[Bin]:
    length = scale.end_ns - scale.start_ns
    places: dict[int, Counter[Outcome]] = {}
    for attempt in attempts:
        place = min((attempt.start.ns - scale.start_ns) * DRAWN // max(length, 1), DRAWN - 1)
        places.setdefault(place, Counter())[attempt.outcome] += 1
    most = max(tally.total() for tally in places.values())
    made = []
    for place, tally in sorted(places.items()):
        begin, end = (scale.start_ns + length * p // DRAWN for p in (place, place + 1))
        x, width = scale.between(begin, end)
        pieces, y = [], float(BAR)
        for outcome in (Outcome.SUCCESS, Outcome.INCONCLUSIVE, Outcome.DISCARDED, Outcome.FAILURE):
            if tally[outcome]:
                height = max(round(tally[outcome] * BAR / most, 1), 2)
                y = round(y - height, 1)
                pieces.append(Piece(_KIND[outcome], y, height))
        said = ", ".join(f"{tally[outcome]} {outcome.value}" for outcome in Outcome if tally[outcome])
        made.append(Bin(x, width, tuple(pieces), f"{relative(begin, base)} to {relative(end, base)}: {said}"))
    return made


def _band(scale: Scale, start_ns: int, end_ns: int, kind: str, label: str, title: str, base: int) -> Band:
    x, width = scale.between(start_ns, end_ns)
    when = f"{relative(start_ns, base)} to {relative(end_ns, base)} ({span(end_ns - start_ns)})"
    return Band(x, width, kind, label, f"{label}, {when}" + (f": {title}" if title else ""))


def _states(
    probe: Probe, events: Iterable[TimelineEvent], gone: Iterable[Outage], scale: Scale, base: int
) -> list[Band]:
    """Return the state over time: what decisions say, what went with a container, and that a new one begins anew."""
    changes: list[tuple[int, int, str]] = [(d.ns, 1, safe(d.after)) for d in probe.decisions]
    changes += [
        (one.start_ns, 1, "unknown" if one.doubtful else "NotReady") for one in gone if one.by is not By.DECISION
    ]
    begun = [e for e in events if e.kind is EventKind.CONTAINER_STARTED and not e.doubtful]
    changes += [(e.ns, 0, "") for e in begun if e.ns > scale.start_ns]
    for unknown in undecided(probe):
        changes.append((unknown.start_ns, 2, "unknown"))
        if unknown.end_ns is not None and unknown.then is not None:
            changes.append((unknown.end_ns, 1, "Ready" if unknown.then else "NotReady"))
    first = probe.initial_state or "unknown"
    if probe.initial_since_ns is not None:
        first, changes = "unknown", [(probe.initial_since_ns, 1, safe(first)), *changes]
    state, since = safe(first), scale.start_ns
    made: list[Band] = []
    for ns, _, after in sorted(changes):
        following = after or _NEW_CONTAINER.get(state, state)
        if following == state:
            continue
        if ns > since:
            made.append(_band(scale, since, ns, _STATE.get(state, "unknown"), state, "", base))
        state, since = following, ns
    made.append(_band(scale, since, scale.end_ns, _STATE.get(state, "unknown"), state, "", base))
    return made[:BANDS]


def _clients(periods: Sequence[Period], scale: Scale, base: int) -> list[Band]:
    """Return what clients did while the Pod was in one state."""
    made: list[Band] = []
    if not any(period.connections for period in periods):
        return made
    for period in periods[:BANDS]:
        if period.end_ns <= scale.start_ns or period.start_ns >= scale.end_ns:
            continue
        lost = period.refused + period.unanswered
        away = f", {lost} turned away" if lost else ""
        kind = "turned" if lost and period.state in ("Ready", "UP") else "some" if period.connections else "none"
        label = f"{period.connections}{away}"
        words_ = f"{count(period.connections, 'new connection')} of clients while {safe(period.state)}"
        start, end = max(period.start_ns, scale.start_ns), min(period.end_ns, scale.end_ns)
        made.append(_band(scale, start, end, kind, label, words_, base))
    return made


def _flags(probe: Probe, events: Sequence[TimelineEvent], scale: Scale, base: int) -> list[Flag]:
    made = [_decided(decision, scale, base) for decision in probe.decisions]
    for event in events:
        kind = "start" if event.kind is EventKind.CONTAINER_STARTED else "event"
        made.append(Flag(scale.at(event.ns), kind, f"{relative(event.told_ns, base)}: {event_words(event)}"))
    made.sort(key=lambda flag: flag.x)
    return made if len(made) <= FLAGS else [flag for flag in made if flag.kind == "fall"][:FLAGS]


def _decided(decision: Decision, scale: Scale, base: int) -> Flag:
    falls = decision.kind in (DecisionKind.NOT_READY, DecisionKind.DOWN, DecisionKind.RESTART)
    text = f"{relative(decision.ns, base)}: {safe(decision.after)}, decided by #{decision.attempt}"
    return Flag(scale.at(decision.ns), "fall" if falls else "rise", text)
