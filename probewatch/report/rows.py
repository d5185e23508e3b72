"""Which of a probe's attempts, decisions, gaps and events a table shows, as rows: a steady run is one row and a count.

A row stands for every change of result and every decision. Attempts like the one before them are left out; where many
are, a row says how many. `wide` leaves out none.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..decisions.holes import Hole
from ..decisions.outages import By, Outage
from ..model.timeline import (
    Attempt,
    Cause,
    Decision,
    DecisionKind,
    EventKind,
    Gap,
    GapKind,
    Leg,
    Outcome,
    Probe,
    Schedule,
    TimelineEvent,
    TlsSummary,
    Trigger,
)
from . import words
from .escape import quoting, safe, shorten
from .numbers import count, duration, rfc3339, span
from .service import states, told

_TRIGGERS: Final = {
    Trigger.MANUAL: "asked for at once (manual trigger)",
    Trigger.START: "its first (worker start)",
    Trigger.STORED_TICK: "was due while the one before ran (stored tick)",
}
"""Why an attempt was made that no tick of its own asked for, in plain words and as `trigger` in JSON names it."""
FOLD: Final = 10
"""A run shorter than this is left out without a word: the numbers show it."""

_SAID: Final = 120
"""Columns of what the kubelet said, in the table."""

MANY_ROUNDS: Final = 5
"""Rounds of rows from which on only some are shown."""
SHOWN_ROUNDS: Final = 2
"""Of these, how many stand before the count; one stands behind it."""
LONGEST_ROUND: Final = 4
"""Rows of a round."""
MOST: Final = 60
"""Rows of one probe in the table; of more, the first and the last are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a probe's story, in cells."""

    ns: int
    """When an attempt began; where it brought a decision, when that was made: at the attempt's verdict."""
    order: int = 0
    """Among rows of the same moment."""
    number: str = ""
    result: str = ""
    latency: str = ""
    streak: str = ""
    decision: str = ""
    words: str = ""
    frames: str = ""
    style: str = ""
    """Of the result."""
    mood: str = ""
    """Of the decision."""
    quiet: bool = False
    """Only a count of what is left out."""
    aside: bool = False
    """No attempt: an event or a gap, told across all columns."""


def rows(
    probe: Probe,
    events: Iterable[TimelineEvent],
    gone: Iterable[Outage] = (),
    *,
    wide: bool,
    several: bool,
    known: Container[int] = (),
) -> list[Row]:
    """Return the rows in the order of time.

    Args:
        probe: whose story it is.
        events: what is told among its attempts.
        gone: when its target was out of service (`service.outages`); what it did not decide itself has rows of its own.
        wide: every attempt and connection.
        several: more than one capture, so that frames are told with their file.
        known: events (their `id`) whose evidence another probe's rows have told.
    """
    decided: dict[int, list[Decision]] = {}
    for decision in probe.decisions:
        decided.setdefault(decision.attempt, []).append(decision)
    deciding = frozenset(decided)
    made: list[Row] = []
    hidden = _Hidden()
    before: Attempt | None = None
    for position, attempt in enumerate(probe.attempts, 1):
        fresh = before is None or _like(before) != _like(attempt)
        if wide or fresh or attempt.n in decided or (position == len(probe.attempts) and hidden.number == 1):
            made += hidden.row(last=False)
            hidden = _Hidden()
            made += attempt_rows(
                probe, attempt, decided.pop(attempt.n, ()), before, fresh=fresh, wide=wide, several=several
            )
        else:
            hidden.add(attempt)
        before = attempt
    made += hidden.row(last=True)
    for lost in decided.values():  # their attempts are not among those selected
        made += [_decision_row(decision, wide=wide, several=several) for decision in lost]
    by_start = {a.start.ns: a.end_ns for a in probe.attempts if a.n in deciding}
    made += [_gap_row(gap, by_start.get(gap.start_ns, gap.start_ns)) for gap in probe.gaps]
    made += [_event_row(event, brief=id(event) in known) for event in events]
    for outage in gone:
        made += _unseen_rows(outage, *states(probe))
    made.sort(key=lambda row: (row.ns, row.order))
    return made if wide else _folded(made)


def _folded(made: list[Row]) -> list[Row]:
    """Return the rows with rounds that repeat and decide nothing (fails, recovers, fails ...) told once and counted."""
    out: list[Row] = []
    signs = [None if row.aside or row.decision else (row.result, row.streak, row.quiet) for row in made]
    at = 0
    while at < len(made):
        size, rounds = _rounds(signs, at)
        if rounds < MANY_ROUNDS:
            out.append(made[at])
            at += 1
            continue
        first, last = at + SHOWN_ROUNDS * size, at + (rounds - 1) * size
        text = f"{rounds - SHOWN_ROUNDS - 1} more rounds like these, {made[first].number} on"
        out += [*made[at:first], Row(ns=made[first].ns, words=text, quiet=True), *made[last : last + size]]
        at = last + size
    return out


def _rounds(signs: Sequence[object], at: int) -> tuple[int, int]:
    """Return of how many rows the round is that repeats from here on, and how often it comes."""
    best = 1, 0
    for size in range(2, LONGEST_ROUND + 1):
        round_ = signs[at : at + size]
        if len(round_) < size or None in round_:
            break
        times = 1
        while signs[at + times * size : at + (times + 1) * size] == round_:
            times += 1
        if times * size > best[0] * best[1] and times >= MANY_ROUNDS:
            best = size, times
    return best


def trimmed(made: list[Row]) -> tuple[list[Row], int, list[Row]]:
    """Return (first rows, how many are left out, last rows), for a table that should stay readable."""
    if len(made) <= MOST:
        return made, 0, []
    head, tail = MOST * 2 // 3, MOST // 3
    return made[:head], len(made) - head - tail, made[-tail:]


def _like(attempt: Attempt) -> tuple[object, ...]:
    return attempt.outcome, attempt.cause, attempt.status


@dataclass(slots=True)
class _Hidden:
    """A steady run of attempts that is told as one row; it may be long, so only its sums are held."""

    number: int = 0
    first: Attempt | None = None
    last_n: int = 0
    slowest: int = 0

    def add(self, attempt: Attempt) -> None:
        self.number += 1
        self.first = self.first or attempt
        self.last_n = attempt.n
        self.slowest = attempt.latency_ns if self.number == 1 else max(self.slowest, attempt.latency_ns)

    def row(self, *, last: bool) -> list[Row]:
        if self.first is None or (self.number < FOLD and not last):
            return []
        text = f"{self.number} more like this"
        if self.first.outcome is Outcome.SUCCESS:
            text += f", at most {duration(self.slowest)}"
        if last:
            text += f", the last is #{self.last_n}"
        return [Row(ns=self.first.start.ns, words=text, quiet=True)]


def attempt_rows(
    probe: Probe,
    attempt: Attempt,
    decisions: Iterable[Decision],
    before: Attempt | None,
    *,
    fresh: bool,
    wide: bool,
    several: bool,
) -> list[Row]:
    """Return the row of an attempt, and more where it brought several decisions or, with `wide`, has several connections.

    `fresh`: it ended in another way than the attempt `before`.
    """
    decisions = list(decisions)
    first = decisions[0] if decisions else None
    row = Row(
        ns=first.ns if first is not None else attempt.start.ns,
        number=f"#{attempt.n}",
        result=words.result(attempt, probe.handler),
        latency="" if attempt.implied else duration(attempt.latency_ns),
        streak=_streak(attempt),
        decision=_state(first) if first else "",
        words=_remark(probe, attempt, before, first, fresh=fresh, wide=wide),
        frames="" if attempt.implied else _frames(attempt.file, *attempt.frames(), several=several),
        style={Outcome.SUCCESS: "green", Outcome.FAILURE: "red"}.get(attempt.outcome, "yellow"),
        mood=_mood(first),
    )
    made = [row]
    made += [
        Row(ns=row.ns, order=1, decision=_state(d), words=_because(d, wide=wide), mood=_mood(d)) for d in decisions[1:]
    ]
    if wide and len(attempt.legs) > 1:
        made += [_leg_row(row.ns, leg, several=several) for leg in attempt.legs]
    return made


def _streak(attempt: Attempt) -> str:
    if not attempt.streak:
        return ""
    return (
        f"{attempt.streak}/{attempt.threshold}"
        if attempt.threshold and attempt.streak <= attempt.threshold
        else f"{attempt.streak}"
    )


def _state(decision: Decision) -> str:
    return safe(decision.after)


def _mood(decision: Decision | None) -> str:
    if decision is None:
        return ""
    return "alarm" if decision.kind in (DecisionKind.NOT_READY, DecisionKind.DOWN, DecisionKind.RESTART) else "bold"


def _because(decision: Decision, *, wide: bool) -> str:
    """Return how long the state before had lasted (in the table only that of being out of service), and what confirms the decision."""
    parts: list[str] = []
    if decision.since_ns is not None and (wide or decision.kind in (DecisionKind.READY, DecisionKind.UP)):
        parts.append(f"after {span(decision.since_ns)} {safe(decision.before)}")
    if decision.confirmed is not None:
        word = "confirmed" if decision.confirmed else "contradicted"
        proof = safe(decision.confirmed_by)
        if not wide:  # which frames prove it is for those who want everything
            proof = proof.split(", frame", 1)[0].replace("one extra readiness probe", "extra probe")
        parts.append(f"{word}: {proof}" if proof else word)
    elif wide:
        parts.append("unconfirmed: nothing to see on the wire")
    if wide:
        parts.append(f"threshold {decision.threshold} {safe(decision.threshold_source)}")
    return "; ".join(parts)


def _remark(
    probe: Probe, attempt: Attempt, before: Attempt | None, decision: Decision | None, *, fresh: bool, wide: bool
) -> str:
    parts: list[str] = []
    if decision is not None:
        parts.append(_because(decision, wide=wide))
    if attempt.late_answer_ns is not None:
        parts.append(f"answered after {duration(attempt.late_answer_ns)}")
    elif attempt.detail and attempt.outcome is not Outcome.SUCCESS and (wide or (fresh and decision is None)):
        parts.append(_detail(probe, attempt))
    elif attempt.outcome is Outcome.SUCCESS and decision is not None and decision.kind is DecisionKind.DOWN:
        parts.append(_detail(probe, attempt))  # a check of several connections, of which a later one failed
    elif attempt.cause is Cause.OK_REDIRECT and (wide or fresh):
        parts.append("redirected to another host: counts as success")
    elif (
        fresh
        and before is not None
        and decision is None
        and attempt.outcome is Outcome.SUCCESS
        and before.outcome is Outcome.FAILURE
    ):
        parts.append("recovered")
    if probe.spec is not None and words.nearly_late(probe, attempt):
        parts.append("nearly timed out")
    if attempt.outcome is Outcome.DISCARDED:
        tries = attempt.tries
        parts.append(
            f"discarded by the kubelet after {count(tries, 'try', 'tries')}"
            if tries > 1
            else "discarded by the kubelet"
        )
    if attempt.implied:
        parts.append("no frame of its own: address resolution was still going on")
    if attempt.said and (wide or fresh):
        parts.append(kubelet_words(attempt, wide=wide))
    if wide and attempt.trigger in (Trigger.MANUAL, Trigger.START, Trigger.STORED_TICK):
        parts.append(_TRIGGERS[attempt.trigger])
    if wide and attempt.schedule is not Schedule.ON_TIME:
        parts.append({Schedule.LATE: "late", Schedule.EXTRA: "off the schedule"}[attempt.schedule])
    if wide and len(attempt.legs) == 1:
        parts.append(leg_words(attempt.legs[0]))
    return "; ".join(part for part in parts if part)


def kubelet_words(attempt: Attempt, *, wide: bool) -> str:
    """Return what the kubelet said of an attempt: `kubelet: HTTP probe failed with statuscode: 503`."""
    told = dict.fromkeys(safe(said.text) or said.saying.value for said in attempt.said)
    texts = [text if wide else shorten(text, _SAID) for text in told]
    sources = f" ({', '.join(safe(said.source) for said in attempt.said)})" if wide else ""
    return f"kubelet: {'; '.join(texts)}{sources}"


def _detail(probe: Probe, attempt: Attempt) -> str:
    """Return the attempt's detail, unless the result says the same already."""
    text, said = quoting(attempt.detail), words.result(attempt, probe.handler)
    return "" if text == said else text


def _leg_row(ns: int, leg: Leg, *, several: bool) -> Row:
    """One connection of several, for `wide`."""
    connection = leg.connection
    begin, end = connection.start, connection.end
    file, first, last = connection.frames[0] if connection.frames else (begin.file, begin.number, end.number)
    return Row(
        ns=ns,
        order=2,
        words=f"{leg.role.value}: {leg_words(leg)}",
        frames=_frames(file, first, last, several=several),
        quiet=True,
    )


def leg_words(leg: Leg) -> str:
    """Return `port 50096, SF ShADadFf, connect 0.04 ms, first byte 0.9 ms, in all 1.3 ms`."""
    connection = leg.connection
    parts = [f"port {connection.client_port}, {safe(connection.state)} {safe(connection.history)}"]
    for name, ns in (
        ("connect", leg.connect_ns),
        ("TLS", leg.tls_ns),
        ("first byte", leg.first_byte_ns),
        ("total", leg.total_ns),
    ):
        if ns is not None:
            parts.append(f"{name} {duration(ns)}")
    if leg.tls is not None:
        parts += _tls(leg.tls, connection.start.ns)
    again = connection.orig.retransmits + connection.resp.retransmits
    if again:
        parts.append(count(again, "retransmission"))
    if connection.icmp is not None:
        parts.append(f"ICMP from {safe(connection.icmp.reporter)}: {connection.icmp.explain()}")
    if len(connection.sightings) > 1:
        parts.append(f"seen at {len(connection.sightings)} places")
    parts += [safe(placed.sentence) for placed in leg.died]
    return ", ".join(parts)


def _tls(tls: TlsSummary, at_ns: int) -> list[str]:
    """Return what TLS showed: `TLS 1.2, ALPN http/1.1, certificate of web.shop.svc until 2027-11-23`."""
    parts = [safe(tls.version) if tls.version else f"{safe(tls.offered) or 'TLS'} offered"]
    if tls.sni:
        parts.append(f"server name {safe(tls.sni)}")
    if tls.alpn:
        parts.append(f"ALPN {safe(tls.alpn)}")
    elif tls.alpn_offered:
        parts.append(f"ALPN offered {safe(' or '.join(tls.alpn_offered))}")
    if tls.names or tls.not_after_ns is not None:
        text = "certificate" + (f" of {safe(', '.join(tls.names))}" if tls.names else "")
        if tls.not_after_ns is not None:
            end = (rfc3339(tls.not_after_ns) or "?")[:10]
            text += f", expired {end}" if tls.not_after_ns < at_ns else f" until {end}"
        parts.append(text)
    if tls.alert:
        parts.append(f"alert {safe(tls.alert)} from the {'checker' if tls.alert_by_checker else 'server'}")
    if tls.decrypted:
        parts.append("decrypted")
    return parts


def _decision_row(decision: Decision, *, wide: bool, several: bool) -> Row:
    mark = decision.mark
    frames = _frames(mark.file, mark.number, mark.number, several=several) if mark is not None else ""
    return Row(
        ns=decision.ns,
        order=1,
        number=f"#{decision.attempt}",
        streak=f"{decision.streak}/{decision.threshold}",
        decision=_state(decision),
        words=_because(decision, wide=wide),
        frames=frames,
        mood=_mood(decision),
    )


def _gap_row(gap: Gap, ns: int) -> Row:
    """Return the row of a gap: it begins with the attempt before it, and stands behind what that decided."""
    return Row(
        ns=ns,
        order=3,
        aside=True,
        style="yellow",
        words=gap_words(gap),
    )


def gap_words(gap: Gap) -> str:
    """Return `12 attempts not sent in 13.1 s: kubelet restarted`, or `missing`; of a Pod that is gone nothing is due."""
    if gap.kind is GapKind.POD_DELETED:
        return f"not probed for the last {span(gap.end_ns - gap.start_ns)}: {safe(gap.reason)}"
    return f"{count(gap.expected, 'attempt')} {words.did_not_come(gap)} in {span(gap.end_ns - gap.start_ns)}: {safe(gap.reason)}"


def _unseen_rows(outage: Outage, up: str, down: str) -> list[Row]:
    """Return the rows of what no attempt decided: Ready that went with the container, and what came about in a hole of the capture."""
    made = []
    if outage.by is not By.DECISION:
        why = f"restarted by the {outage.restarted_by} probe" if outage.restarted_by is not None else told((outage,))
        made.append(Row(ns=outage.start_ns, order=2, decision=down, words=f"about then: {why}", mood="alarm"))
    elif outage.began_in is not None:
        made.append(_hole_row(down, outage.start_ns, outage.began_in, "alarm"))
    if outage.end_ns is not None and outage.ended_in is not None and outage.ended_in.up:
        made.append(_hole_row(up, outage.end_ns, outage.ended_in, "bold"))
    return made


def _hole_row(state: str, ns: int, hole: Hole, mood: str) -> Row:
    """Return the row of a state that came about in a hole."""
    why = "while nothing was captured" if hole.gap else "on an attempt whose outcome is not known"
    return Row(ns=ns, order=2, decision=state, words=f"at the latest: {why}", mood=mood)


def _event_row(event: TimelineEvent, *, brief: bool) -> Row:
    return Row(ns=event.told_ns, order=-1, aside=True, style="cyan", words=event_words(event, brief=brief))


def event_words(event: TimelineEvent, *, brief: bool = False) -> str:
    """Return `container started (inferred: refused, then answered)`; `brief` leaves out the evidence."""
    name = event.kind.value.replace("_", " ")
    of = f" {safe(event.container)}" if event.container else ""
    if event.kind in (EventKind.CONTAINER_STARTED, EventKind.CONTAINER_EXITED) and of:
        name = name.replace("container", "container" + of)
    if event.by_ns is not None:
        name = name.replace(" started", " had started by then")
    if event.doubtful:
        name = f"perhaps {name}"
    source = f"{safe(event.source)}: {safe(event.evidence)}" if event.evidence and not brief else safe(event.source)
    return f"{name} ({source})"


def _frames(file: int, first: int, last: int, *, several: bool) -> str:
    where = f"[{file + 1}] " if several else ""
    return f"{where}frame {first}" if first == last else f"{where}frames {first}-{last}"
