"""The timeline as it becomes known: one JSON object a line; a later `rev` of the same event and id replaces an earlier one.

Every line has `event`, `id`, `rev` and `probe` (null where it belongs to none), then the object of the json document
under the same keys:

=========  ===============================================  ===========================
event      object                                           in the document
=========  ===============================================  ===========================
schema     `schema`; the first line                         `schema`
probe      a probe without what it owns and its summary     `probes[]`
attempt    one attempt                                      `probes[].attempts[]`
decision   one decision                                     `probes[].decisions[]`
gap        expected attempts that did not come              `probes[].gaps[]`
summary    a probe's counts; at the end of input            `probes[].summary`
event      something that explains probes                   `events[]`
other      connections that are no probe                    `others[]`
rollout    a workload and its revisions; at the end         `rollouts[]`
finding    a verdict on one expectation; at the end         `findings[]`
capture    one input; at the end of input                   `captures[]`
kubelet    what its log and events say; at the end          `kubelet`
note       `text`: one sentence; at the end of input        `notes[]`
=========  ===============================================  ===========================

A line with `"gone": true` withdraws its id: what was thought to be there was something else. At the end of input the
last revisions are the json document: `fold` puts it together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Final

from ..model.finding import Finding
from ..model.rollout import Rollout
from ..model.said import Account
from ..model.timeline import Attempt, Decision, Gap, OtherTraffic, Probe, Timeline, TimelineEvent
from . import document as doc
from .jsontext import Json, encode
from .verdicts import verdict_objects

_HEAD: Final = ("event", "id", "rev", "probe")


def record(event: str, ident: str, rev: int, probe: str | None, value: object) -> Json:
    """Return one line as an object. `value` is a noun of the model; None withdraws the id."""
    head: Json = {"event": event, "id": ident, "rev": rev, "probe": probe}
    if value is None:
        return head | {"gone": True}
    return head | _object(value)


def _object(value: object) -> Json:
    match value:
        case Attempt():
            return doc.attempt_object(value)
        case Probe():
            return doc.probe_object(value)
        case Decision():
            return doc.decision_object(value)
        case Gap():
            return doc.gap_object(value)
        case OtherTraffic():
            return doc.other_object(value)
        case Rollout():
            return doc.rollout_object(value)
        case Finding():
            return doc.finding_object(value)
        case TimelineEvent():
            return doc.event_object(value)
        case _:
            raise TypeError(f"no line for {type(value).__name__}")


class Writer:
    """Writes lines while the input is read, and what is only known at its end.

    Holds the last line of each probe, event and other (there are few) to say at the end what has changed since;
    attempts, decisions and gaps are trusted to come with each revision and are not held.
    """

    def __init__(self, out: Callable[[str], object]) -> None:
        self._out = out
        self._last: dict[tuple[str, str], Json] = {}
        self._begun = False

    def change(self, event: str, ident: str, rev: int, probe: str | None, value: object) -> None:
        """Write what became known, or better known."""
        self.begin()
        line = record(event, ident, rev, probe, value)
        if event in ("probe", "event", "other"):
            self._last[event, ident] = line
        self._put(line)

    def end(self, timeline: Timeline) -> None:
        """Write what only the end of input tells: summaries, inputs, notes; and what is not yet said of the rest."""
        self.begin()
        for probe in timeline.probes:
            self._catch_up("probe", probe.id, probe.id, doc.probe_object(probe))
        self._catch_up_all("event", "e", map(doc.event_object, timeline.events))
        self._catch_up_all("other", "o", map(doc.other_object, timeline.others))
        self._withdraw({("probe", probe.id) for probe in timeline.probes})
        for probe in timeline.probes:
            self._put({"event": "summary", "id": probe.id, "rev": 1, "probe": probe.id} | doc.summary_object(probe))
        for number, rollout in enumerate(timeline.rollouts, 1):
            self._put(record("rollout", f"r{number}", 1, None, rollout))
        for number, verdict in enumerate(verdict_objects(timeline), 1):
            self._put({"event": "verdict", "id": f"v{number}", "rev": 1, "probe": verdict["probe"]} | verdict)
        for number, finding in enumerate(timeline.findings, 1):
            self._put(record("finding", f"f{number}", 1, finding.probe, finding))
        if timeline.kubelet is not None:
            self._account(timeline, timeline.kubelet)
        for number, info in enumerate(timeline.captures):
            self._put({"event": "capture", "id": f"c{number}", "rev": 1, "probe": None} | doc.capture_object(info))
        for number, note in enumerate(timeline.notes, 1):
            self._put({"event": "note", "id": f"n{number}", "rev": 1, "probe": None, "text": note})

    def begin(self) -> None:
        """Write the first line: `change` and `end` do, for an input that cannot be read leaves the output empty."""
        if not self._begun:
            self._begun = True
            self._put({"event": "schema", "id": "schema", "rev": 1, "probe": None, "schema": doc.SCHEMA})

    def _account(self, timeline: Timeline, account: Account) -> None:
        """Write the kubelet's account, and the attempts that it speaks of anew: it is laid beside them at the end of input."""
        for probe in timeline.probes:
            for attempt in probe.attempts:
                if attempt.said:
                    self._put(record("attempt", f"{probe.id}.a{attempt.n}", attempt.rev + 1, probe.id, attempt))
        self._put({"event": "kubelet", "id": "kubelet", "rev": 1, "probe": None} | doc.account_object(account))

    def _catch_up(self, event: str, ident: str, probe: str | None, wanted: Json) -> None:
        said = self._last.get((event, ident))
        if said is not None and _body(said) == _body(wanted | {"event": event}):
            return
        line = {"event": event, "id": ident, "rev": said["rev"] + 1 if said else 1, "probe": probe} | wanted
        self._last[event, ident] = line
        self._put(line)

    def _catch_up_all(self, event: str, letter: str, wanted: Iterable[Json]) -> None:
        """Say those not said yet (events and others carry no id in a timeline, so they are known by what they say)."""
        stale = {
            json.dumps(_body(line), sort_keys=True): key
            for key, line in self._last.items()
            if key[0] == event and "gone" not in line
        }
        number = 0
        for item in wanted:
            if stale.pop(json.dumps(_body(item | {"event": event}), sort_keys=True), None) is not None:
                continue
            number += 1
            while (event, f"{letter}{number}") in self._last:
                number += 1
            self._catch_up(event, f"{letter}{number}", None, item)
        for key in stale.values():
            self._gone(key)

    def _withdraw(self, probes: set[tuple[str, str]]) -> None:
        for key in [
            key for key, line in self._last.items() if key[0] == "probe" and key not in probes and "gone" not in line
        ]:
            self._gone(key)

    def _gone(self, key: tuple[str, str]) -> None:
        line = self._last[key]
        self._last[key] = record(line["event"], line["id"], line["rev"] + 1, line["probe"], None)
        self._put(self._last[key])

    def _put(self, line: Json) -> None:
        self._out(encode(line) + "\n")


def lines(timeline: Timeline, out: Callable[[str], object]) -> None:
    """Write a finished timeline as lines, each once."""
    writer = Writer(out)
    for probe in sorted(timeline.probes, key=lambda p: doc.probe_order({"id": p.id})):
        writer.change("probe", probe.id, 1, probe.id, probe)
        owned = [(a.start.ns, "attempt", f"{probe.id}.a{a.n}", a) for a in probe.attempts]
        owned += [(d.ns, "decision", f"{probe.id}.d{n}", d) for n, d in enumerate(probe.decisions, 1)]  # type: ignore[misc]
        owned += [(g.start_ns, "gap", f"{probe.id}.g{n}", g) for n, g in enumerate(probe.gaps, 1)]  # type: ignore[misc]
        for _, event, ident, value in sorted(owned, key=lambda item: item[0]):
            writer.change(event, ident, 1, probe.id, value)
    writer.end(timeline)


def fold(records: Iterable[Json]) -> Json:
    """Return the json document that the last revisions of these lines make. Not their order matters, only `rev`."""
    last: dict[tuple[str, str], Json] = {}
    for line in records:
        key = line["event"], line["id"]
        if key not in last or line["rev"] >= last[key]["rev"]:
            last[key] = line
    kinds: dict[str, list[Json]] = {}
    for line in last.values():
        if "gone" not in line:
            kinds.setdefault(line["event"], []).append(line)
    probes: dict[str, Json] = {}
    for line in sorted(kinds.get("probe", ()), key=doc.probe_order):
        probes[line["id"]] = _body(line) | {"attempts": [], "gaps": [], "decisions": [], "summary": None}
    for event, field in (("attempt", "attempts"), ("gap", "gaps"), ("decision", "decisions")):
        for line in kinds.get(event, ()):
            if line["probe"] in probes:
                probes[line["probe"]][field].append(_body(line))
    for line in kinds.get("summary", ()):
        if line["probe"] in probes:
            probes[line["probe"]]["summary"] = _body(line)
    for probe in probes.values():
        probe["attempts"].sort(key=doc.attempt_order)
        probe["gaps"].sort(key=doc.canonical)
        probe["decisions"].sort(key=doc.decision_order)
    made = {
        "schema": kinds["schema"][0]["schema"],
        "captures": [_body(line) for line in sorted(kinds.get("capture", ()), key=doc.probe_order)],
        "verdicts": [_body(line) for line in sorted(kinds.get("verdict", ()), key=doc.probe_order)],
        "probes": list(probes.values()),
        "others": sorted(map(_body, kinds.get("other", ())), key=doc.canonical),
        "events": sorted(map(_body, kinds.get("event", ())), key=doc.canonical),
        "rollouts": [_body(line) for line in sorted(kinds.get("rollout", ()), key=doc.probe_order)],
        "findings": [_body(line) for line in sorted(kinds.get("finding", ()), key=doc.probe_order)],
        "notes": [line["text"] for line in sorted(kinds.get("note", ()), key=doc.probe_order)],
    }
    for line in kinds.get("kubelet", ()):
        made["kubelet"] = _body(line)
    return made


def _body(line: Json) -> Json:
    """Return a line without its head (a probe's id is part of its object)."""
    kept = {key: value for key, value in line.items() if key not in _HEAD}
    if line["event"] == "probe":
        return {"id": line["id"]} | kept
    return {"probe": line["probe"]} | kept if line["event"] in ("finding", "verdict") else kept
