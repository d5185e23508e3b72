"""Why what went wrong with a probe went wrong, in words: diagnoses, and the catalogue where no more than a cause is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ..decisions.outages import ENDS, By, outages
from ..model.catalogue import entry, in_words_of
from ..model.diagnoses import Kind
from ..model.diagnosis import Diagnosis
from ..model.timeline import Attempt, Cause, DecisionKind, Outcome, Probe
from ..model.units import SECOND
from .failures import while_starting
from .verdict import Level, Verdict

MINOR: Final = 4
"""A reason that explains fewer attempts than one in so many of the chief one's is minor."""


class Explained(NamedTuple):
    """One reason, for the table."""

    name: str
    meaning: str
    check: str
    advice: str
    anchor: str
    """In docs/causes.md."""
    minor: bool = False
    """Whether it explains few attempts beside others, and none that decided anything."""


def telling(probe: Probe) -> Attempt | None:
    """Return the failure that says most: the first of those in a row that made it Restart or go out of service.

    Else, where something else took it out of service, the failure at that moment, of the longest such time; else the first
    of the most in a row. What failed while a container started says least. None where no attempt failed or was thrown
    away. Where a tick left no frame of its own there is nothing to be seen of it.
    """
    decided = sorted((d.kind is not DecisionKind.RESTART, d.attempt) for d in probe.decisions if d.kind in ENDS)
    starting = while_starting(probe)
    rows: list[list[Attempt]] = [[]]
    """Failures in a row that can be seen, those of a start apart."""
    deciding: list[Attempt] | None = None
    for attempt in probe.attempts:
        if attempt.outcome not in (Outcome.FAILURE, Outcome.DISCARDED):
            rows.append([])
        elif not attempt.implied:
            if rows[-1] and (rows[-1][-1].n in starting) is not (attempt.n in starting):
                rows.append([])
            rows[-1].append(attempt)
        if decided and attempt.n == decided[0][1]:
            deciding = rows[-1]
    if deciding:
        return deciding[0]
    seen = [row for row in rows if row]
    if not decided and (met := _at_its_end(probe, seen)) is not None:
        return met
    return max(seen, key=lambda row: (row[0].n not in starting, len(row)), default=[None])[0]


def _at_its_end(probe: Probe, rows: Sequence[Sequence[Attempt]]) -> Attempt | None:
    """Return the failure at the moment in which something else than the probe took it out of service, of the longest such time."""
    near_ns = probe.thresholds.get("periodSeconds", (10, ""))[0] * SECOND
    found: list[tuple[int, int, Attempt]] = []
    for one in outages(probe):
        if one.by is By.DECISION:
            continue
        off = [(abs(a.end_ns - one.start_ns), a.n, a) for row in rows for a in row]
        if off and (nearest := min(off))[0] <= near_ns:
            found.append(((one.end_ns or nearest[2].end_ns) - one.start_ns, -nearest[1], nearest[2]))
    return max(found)[2] if found else None


def explained(probe: Probe, verdict: Verdict) -> list[Explained]:
    """Return why what went wrong went wrong, the most frequent first: diagnoses, and causes of which no more is known."""
    if verdict.level is Level.FINE:
        return []
    left = {a.cause for a in probe.attempts if a.diagnosis is None}
    known = [one for one in probe.diagnoses if not one.harmless]
    if not any(d.kind in ENDS for d in probe.decisions):
        # It decided nothing itself: that its container ends again and again explains more than what fails meanwhile.
        known.sort(key=lambda one: one.kind != Kind.RESTART_LOOP)
    most = max((len(one.attempts) for one in known), default=0)
    deciding = {d.attempt for d in probe.decisions if d.kind in ENDS}
    told = [
        _diagnosed(one)._replace(minor=0 < len(one.attempts) * MINOR < most and deciding.isdisjoint(one.attempts))
        for one in known
    ]
    return told + [_of_cause(probe, cause) for cause in verdict.causes if cause in left]


def explained_attempt(probe: Probe, attempt: Attempt) -> Explained | None:
    """Return why one attempt ended so; None where it went well and nothing is to be said of it.

    What to do is what is said of all the probe's attempts of this kind: they know more than one.
    """
    one = attempt.diagnosis
    if one is not None:
        alike = next((all_ for all_ in probe.diagnoses if all_.kind == one.kind), one)
        return _diagnosed(replace(one, check=alike.check, advice=alike.advice))
    return None if attempt.cause is Cause.OK else _of_cause(probe, attempt.cause)


def _diagnosed(one: Diagnosis) -> Explained:
    return Explained(one.kind, explained_by(one), one.check, one.advice, one.kind)


def _of_cause(probe: Probe, cause: Cause) -> Explained:
    meaning, advice = _catalogued(probe, cause)
    return Explained(cause.value, meaning, "", advice, cause.value)


def _catalogued(probe: Probe, cause: Cause) -> tuple[str, str]:
    said = entry(cause, probe.handler)
    return said.meaning, in_words_of(probe.checker.kind, said.advice)


def explain(probe: Probe, cause: Cause) -> tuple[str, str]:
    """Return (what it means, what to try) for one cause of this probe: its most frequent diagnosis, else the catalogue's words."""
    own = [a.diagnosis for a in probe.attempts if a.cause is cause and a.diagnosis is not None]
    if not own:
        return _catalogued(probe, cause)
    kind = Counter(one.kind for one in own).most_common(1)[0][0]
    several = [one for one in probe.diagnoses if one.kind == kind] if len(own) > 1 else []
    chief = several[0] if several else next(one for one in own if one.kind == kind)
    return explained_by(chief), chief.advice


def explained_by(diagnosis: Diagnosis) -> str:
    """Return a diagnosis' sentence, with the kinds that fit as well."""
    more = f" Also possible: {', '.join(diagnosis.equally)}." if diagnosis.equally else ""
    return diagnosis.sentence + more
