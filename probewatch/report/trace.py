"""A timeline as trace events, for ui.perfetto.dev and chrome://tracing (the JSON Object Format of Google's "Trace Event Format").

A Pod (or an address, where no Pod is known) is a process, and each of its probes a thread. An attempt is a complete event
(`ph` X) with its connections and their phases nested inside; a decision and what else happened are instants (`i`), the streak
of failures and the state are counters (`C`). The format wants events nested: an attempt ends where the next one begins at the
latest, a connection at its attempt's end or where that one's next begins, and what came later is said in `args`.

`ts` and `dur` are microseconds; `ts` counts from the first frame, whose time stands in `otherData`, because 53 bits do not hold
today's time in nanoseconds. Written event by event: nothing is held but the timeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Final

from ..model.timeline import Attempt, Decision, Leg, Outcome, Probe, Role, Timeline, TimelineEvent
from ..model.units import MS, US
from . import words
from .escape import quoting, safe
from .jsontext import Json as Event
from .jsontext import encode
from .numbers import rfc3339
from .outline import base_ns
from .rows import event_words

COLOURS: Final = {
    Outcome.SUCCESS: "good",
    Outcome.FAILURE: "terrible",
    Outcome.DISCARDED: "bad",
    Outcome.INCONCLUSIVE: "grey",
}
"""Reserved colour names of the trace viewer."""

_TIGHT: Final = (",", ":")
_UP: Final = frozenset({"Ready", "Started", "Live", "UP"})


def write(timeline: Timeline, out: Callable[[str], object]) -> None:
    """Write the trace."""
    base = base_ns(timeline)
    about = {"tool": "probewatch", "time_zero": rfc3339(base), "captures": [info.path for info in timeline.captures]}
    out('{"displayTimeUnit":"ms","otherData":' + encode(about, _TIGHT) + ',"traceEvents":[')
    first = True
    for event in events(timeline, base):
        out(("\n" if first else ",\n") + encode(event, _TIGHT))
        first = False
    out("\n]}\n")


def events(timeline: Timeline, base: int) -> Iterator[Event]:
    """Yield the events; times count from `base`."""
    processes: dict[str, int] = {}
    for number, probe in enumerate(timeline.probes, 1):
        name = _process(probe)
        if name not in processes:
            processes[name] = len(processes) + 1
            yield {"ph": "M", "name": "process_name", "pid": processes[name], "tid": 0, "args": {"name": name}}
        yield from _probe(probe, processes[name], number, base)
    for one in timeline.events:
        yield _event(one, processes, base)


def _process(probe: Probe) -> str:
    target = probe.target
    if target.pod is None:
        return safe(target.address)
    return "/".join(safe(part) for part in (target.namespace, target.pod) if part)


def _probe(probe: Probe, pid: int, tid: int, base: int) -> Iterator[Event]:
    here = {"pid": pid, "tid": tid}
    thread = f"{words.kind(probe)} {words.request(probe)}"
    container = f" ({safe(probe.target.container)})" if probe.target.container else ""
    yield {"ph": "M", "name": "thread_name", **here, "args": {"name": thread + container}}
    yield {"ph": "M", "name": "thread_sort_index", **here, "args": {"sort_index": tid}}
    attempts = sorted(probe.attempts, key=lambda a: a.start.ns)
    for attempt, after in zip_longest(attempts, attempts[1:]):
        # (A deadline is known to a fraction of a millisecond; an attempt that waited for it may begin before it seems to be over.)
        end = attempt.end_ns if after is None else min(attempt.end_ns, after.start.ns)
        yield from _attempt(probe, attempt, end, here, base)
    title = f"{probe.id} {words.kind(probe)}"
    for attempt in sorted(probe.attempts, key=lambda a: a.end_ns):
        if attempt.streak:
            failures = attempt.streak if attempt.outcome is Outcome.FAILURE else 0
            counted = {"failures in a row": failures}
            yield {"ph": "C", "name": f"{title}: streak", "pid": pid, "ts": _us(attempt.end_ns - base), "args": counted}
    for decision in sorted(probe.decisions, key=lambda d: d.ns):
        yield from _decision(decision, title, here, base)


def _attempt(probe: Probe, attempt: Attempt, end: int, here: Event, base: int) -> Iterator[Event]:
    arguments: Event = {
        "attempt": attempt.n,
        "outcome": attempt.outcome.value,
        "cause": attempt.cause.value,
        "detail": quoting(attempt.detail),
        "end": attempt.end_source,
        "streak": attempt.streak,
        "threshold": attempt.threshold,
    }
    if not attempt.implied:
        arguments["frames"] = list(attempt.frames())
    if attempt.late_answer_ns is not None:
        arguments["late_answer_ms"] = attempt.late_answer_ns / MS
    name = f"#{attempt.n} {words.result(attempt, probe.handler)}"
    span = _span(name, attempt.start.ns, end, here, base)
    yield {**span, "cat": "attempt", "cname": COLOURS[attempt.outcome], "args": arguments}
    legs = sorted(attempt.legs, key=lambda leg: leg.connection.start.ns)
    for leg, after in zip_longest(legs, legs[1:]):
        yield from _leg(leg, attempt, end if after is None else min(end, after.connection.start.ns), here, base)


def _leg(leg: Leg, attempt: Attempt, until: int, here: Event, base: int) -> Iterator[Event]:
    """Yield a connection and its phases, cut where the attempt's verdict or its next connection comes: the format wants them nested."""
    c = leg.connection
    start, end = c.start.ns, min(max(c.end.ns, c.start.ns), until)
    if start > until:
        return
    arguments = {
        "role": leg.role.value,
        "client_port": c.client_port,
        "state": c.state,
        "history": safe(c.history),
        "total_ms": leg.total_ns / MS,
    }
    yield {**_span(_title(leg), start, end, here, base), "cat": "connection", "args": arguments}
    for name, first, last in _phases(leg, attempt):
        if start <= first < end:
            yield {**_span(name, first, min(last, end), here, base), "cat": "phase"}


def _title(leg: Leg) -> str:
    """Return `10.128.0.1:34568 to 10.128.0.10:8080: 200`, with the role of a connection that is not the first of its attempt."""
    c = leg.connection
    where = f"{words.endpoint(c.client, c.client_port)} to {words.endpoint(c.server, c.server_port)}"
    role = "" if leg.role is Role.FIRST else f"{leg.role.value} "
    return f"{role}{where}" + (f": {leg.status}" if leg.status is not None else f": {safe(c.state)}")


def _phases(leg: Leg, attempt: Attempt) -> Iterator[tuple[str, int, int]]:
    """Yield the phases whose place in time is known, one after the other."""
    c = leg.connection
    at = c.start.ns
    if leg.connect_ns is not None:
        yield "connect", at, at + leg.connect_ns
        at += leg.connect_ns
    if leg.tls_ns is not None:
        at = max(at, c.orig.first_data.ns) if c.orig.first_data is not None else at
        yield "TLS", at, at + leg.tls_ns
        at += leg.tls_ns
    if leg.first_byte_ns is not None:
        answered = c.resp.first_data
        if leg.tls_ns is None and answered is not None:  # else the first byte is inside TLS, at no moment that was kept
            at = max(at, answered.ns - leg.first_byte_ns)
        yield "wait", at, at + leg.first_byte_ns
    elif leg.connect_ns is not None and attempt.end_mark is None and attempt.outcome is Outcome.FAILURE:
        yield "wait, in vain", at, attempt.end_ns


def _decision(decision: Decision, title: str, here: Event, base: int) -> Iterator[Event]:
    at = _us(decision.ns - base)
    arguments = {
        "before": safe(decision.before),
        "after": safe(decision.after),
        "attempt": decision.attempt,
        "streak": f"{decision.streak}/{decision.threshold} ({safe(decision.threshold_source)})",
        "confirmed": decision.confirmed,
        "confirmed_by": safe(decision.confirmed_by),
    }
    yield {"ph": "i", "s": "p", "cat": "decision", "name": safe(decision.after), **here, "ts": at, "args": arguments}
    state = {"up": int(decision.after in _UP)}
    yield {"ph": "C", "name": f"{title}: state", "pid": here["pid"], "ts": at, "args": state}


def _event(event: TimelineEvent, processes: dict[str, int], base: int) -> Event:
    """Return an instant on the Pod's process; of what concerns none of them, on all."""
    pid = processes.get(safe(event.pod)) if event.pod else None
    pid = pid or processes.get(safe(event.address))
    scope = {"s": "p", "pid": pid, "tid": 0} if pid is not None else {"s": "g", "pid": 0, "tid": 0}
    return {
        "ph": "i",
        "cat": "event",
        "name": event.kind.value,
        **scope,
        "ts": _us(event.ns - base),
        "args": {"what": event_words(event), "doubtful": event.doubtful},
    }


def _span(name: str, start: int, end: int, here: Event, base: int) -> Event:
    return {"ph": "X", "name": name, **here, "ts": _us(start - base), "dur": _us(max(end - start, 0))}


def _us(ns: int) -> float:
    return round(ns / US, 3)
