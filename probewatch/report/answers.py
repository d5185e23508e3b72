"""Answers of `probewatch who`: what a connection was that an application logged, as text and as JSON (`probewatch.who/1`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from ..model.answer import Answer
from ..model.connection import Connection
from ..model.spec import ProbeType
from ..model.timeline import Probe, Timeline
from . import words
from .document import probe_object
from .escape import safe
from .jsontext import Json, valid_object
from .numbers import clock, count, rfc3339
from .outline import counts
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span

SCHEMA: Final = "probewatch.who/1"
SHOWN: Final = 20
"""Connections of one endpoint that are told one by one."""


STATES: Final = {
    "S0": "never answered",
    "S1": "still open at the end",
    "S2": "closed by the client only",
    "S3": "closed by the server only",
    "SF": "closed normally",
    "REJ": "refused",
    "RSTO": "reset by the client",
    "RSTR": "reset by the server",
    "RSTOS0": "given up by the client before an answer",
    "RSTRH": "reset by the server, without the client's SYN",
    "SH": "closed by the client before an answer",
    "SHR": "closed by the server, without the client's SYN",
    "OTH": "under way when the capture began",
}
"""How connections ended: Zeek's `conn_state` in words."""


def headline(answer: Answer) -> str:
    """Return whose it was: `tcpSocket readiness probe of shop/webhook/app:8443, attempt #12: open`."""
    probe = answer.probe
    if probe is None:
        return safe(answer.other.what) if answer.other is not None else "no probe, as far as this capture shows"
    kind = f"{probe.type.value} probe" if probe.type is not ProbeType.UNKNOWN else "probe of unknown type"
    if probe.checker.kind not in ("kubelet", "unknown"):
        kind = f"{safe(probe.checker.kind)} check"
    elif probe.checker.kind == "unknown":
        kind = "periodic check"
    text = f"{probe.handler.value} {kind} of {_target(probe)}"
    if probe.spec is None and not any(leg.connection.resp.syns for one in probe.attempts for leg in one.legs):
        # (An unanswered SYN says neither how its sender would have asked nor what for.)
        text = f"probe of {_target(probe)} whose request was never seen"
    if len(answer.attempts) == 1:
        attempt = answer.attempts[0]
        text += f", attempt #{attempt.n}: {safe(words.result(attempt, probe.handler))}"
    return text


def _target(probe: Probe) -> str:
    target = probe.target
    if target.pod is None:
        return words.endpoint(target.address, target.port)
    return words.owner(target) + (f":{target.port}" if target.port is not None else "")


def write(
    found: Sequence[Answer],
    timeline: Timeline,
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
) -> None:
    """Write the answers for people, in the order of time."""
    paper = Paper(out, columns, colour=colour, glyphs=glyphs)
    several = len(timeline.captures) > 1
    for number, answer in enumerate(found[:SHOWN]):
        if number:
            paper.line()
        _one(paper, answer, several=several)
    if hint := words.unproven(answer.probe.checker for answer in found if answer.probe is not None):
        _field(paper, "try", hint)
    if len(found) > SHOWN:
        paper.line()
        paper.line(Span(f"{glyphs.ellipsis} and {len(found) - SHOWN} more: -o json has all of them", "dim"))


def _one(paper: Paper, answer: Answer, *, several: bool) -> None:
    first, last = answer.connections[0], answer.connections[-1]
    where = f"{words.endpoint(first.client, first.client_port)} -> {words.endpoint(first.server, first.server_port)}"
    if len(answer.connections) > 1:
        many = count(len(answer.connections), "connection")
        where = f"{many} of {safe(first.client)} to {words.endpoint(first.server, first.server_port)}"
    paper.filled(headline(answer), style="bold", indent=2, first=[])
    _field(paper, "was", f"{where}, {clock(first.start.ns)}{_until(first, last)}, {_frames(answer, several=several)}")
    _field(paper, "it", answer.what)
    if len(answer.attempts) > 1 and answer.probe is not None:
        _field(paper, "result", counts(replace(answer.probe, attempts=answer.attempts, gaps=())))
    if answer.probe is not None:
        _field(paper, "by", words.who(answer.probe.checker))
    elif answer.other is not None:
        name = f" ({safe(answer.other.name)})" if answer.other.name else ""
        _field(
            paper,
            "by",
            f"{safe(answer.other.address)}{name}, {count(answer.other.connections, 'connection')} to this port",
        )
    if answer.logged:
        _field(paper, "logged", "; ".join(safe(text) for text in answer.logged))


def _field(paper: Paper, name: str, text: str) -> None:
    paper.filled(text, first=[Span(f"  {name:<8}", "cyan")], indent=10)


def _until(first: Connection, last: Connection) -> str:
    return f" to {clock(last.start.ns)}" if last is not first else ""


def _frames(answer: Answer, *, several: bool) -> str:
    first, last = answer.connections[0], answer.connections[-1]
    begin = first.start.number
    end = max(last.end.number, begin) if last.end.file == first.start.file else begin
    where = words.span(first.start.file, begin, end, several=several)
    ends = Counter(STATES.get(one.state, one.state) for one in answer.connections)
    if len(ends) == 1:
        return f"frames {where}, {safe(next(iter(ends)))}"
    return f"frames {where}; " + ", ".join(f"{number} {safe(end)}" for end, number in ends.most_common())


def document(found: Sequence[Answer], timeline: Timeline, endpoint: str) -> Json:
    """Return the answers as the JSON document `probewatch.who/1`."""
    made: Json = {
        "schema": SCHEMA,
        "endpoint": endpoint,
        "captures": [info.path for info in timeline.captures],
        "answers": [_object(answer) for answer in found],
    }
    return valid_object(made)


def _object(answer: Answer) -> Json:
    return {
        "sentence": f"{headline(answer)}; {answer.what}",
        "what": answer.what,
        "probe": probe_object(answer.probe) if answer.probe is not None else None,
        "attempts": [attempt.n for attempt in answer.attempts],
        "traffic": answer.other.what if answer.other is not None else None,
        "logged": list(answer.logged),
        "connections": [
            {
                "client": {"address": one.client, "port": one.client_port},
                "server": {"address": one.server, "port": one.server_port},
                "start": rfc3339(one.start.ns),
                "end": rfc3339(one.end.ns),
                "state": one.state,
                "history": one.history,
                "capture": one.start.file,
                "frames": [one.start.number, one.end.number],
            }
            for one in answer.connections
        ],
    }
