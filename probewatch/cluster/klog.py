r"""What a kubelet's log says of probes: klog's text and JSON, as `--kubelet-log` reads them.

A line of klog's text is `I1122 20:11:02.936245   12345 prober.go:120] "Probe failed" probeType="Readiness" pod="ns/name" ...`
(klog v2, format of klog.go header(); values as serialize.KVFormat writes them, a value of several lines between `=<` and
` >`); before Kubernetes 1.20 the message is a sentence: `Readiness probe for "pod_ns(uid):ctr" failed (failure): ...`. With
`--logging-format=json` it is an object with `ts` in milliseconds.
Other prefixes before the header (journalctl, a container runtime, `grep -n`) do not matter.

The header has no year and is in the node's local time: the year is the one nearest to the capture, and where the journal
tells its own time, the zone is the one that lies between, in quarters of an hour. Else an offset of hours is estimated like
any other (`verify.offset`).
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from probewatch.model.said import AccountFile, Saying, Utterance
from probewatch.model.spec import ProbeType
from probewatch.model.units import MINUTE, SECOND, US

from .journal import Record, records
from .source import file_name

MAX_SAID: Final = 200_000
"""Sayings about probes kept of one file."""
MAX_TEXT: Final = 1000
"""Characters of one message kept."""
MAX_MORE: Final = 64
"""Lines of a value that has several."""

_QUARTER: Final = 15 * MINUTE

_HEADER: Final = re.compile(r"(?<![A-Za-z0-9])[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6})\s+\d+ [\w.-]+:\d+\] ?")
_PREFIX: Final = re.compile(r"^\S[^\[]{0,200}\s[\w.@/-]+\[\d+\]: ?")
"""What journalctl writes before a message: `Nov 22 20:11:02 node-a kubenswrapper[2345]: `."""
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_KEY: Final = re.compile(r'\s*([A-Za-z][\w.-]*)=(?:"((?:[^"\\]|\\.)*)"|(<\s*$)|(\S+))')
_OLD: Final = re.compile(
    r'(Liveness|Readiness|Startup) probe for "([^"_]+)_([^"(]+)\([^")]*\):([^"]+)" '
    r"(?:failed \((failure|warning|unknown)\): |(errored): |(succeeded))(.*)", re.DOTALL)  # fmt: skip
_OLD_LOOP: Final = re.compile(r'SyncLoop \(container unhealthy\): "([^"_]+)_([^"(]+)\(')
_PORT: Final = re.compile(r"(?:read|write|dial) tcp \S+?:(\d{1,5})->")

_SAYINGS: Final = {
    "Probe failed": Saying.FAILED,
    "Probe errored": Saying.ERRORED,
    "Probe succeeded": Saying.SUCCEEDED,
    "Probe succeeded with a warning": Saying.WARNED,
    "SyncLoop (probe)": Saying.DECIDED,
    "SyncLoop (container unhealthy)": Saying.DECIDED,
}
_OLD_SAYINGS: Final = {"failure": Saying.FAILED, "warning": Saying.WARNED, "unknown": Saying.ERRORED}
_TYPES: Final = {kind.value: kind for kind in ProbeType}
_SILENT: Final = {"readiness": "not ready", "startup": "unhealthy", "liveness": "unhealthy"}
"""What an empty status means (before Kubernetes 1.23)."""


class _Line(NamedTuple):
    ns: int | None
    message: str
    fields: dict[str, str]


def read_kubelet_log(path: str, near_ns: int) -> AccountFile:
    """Return what a kubelet's log says of probes; `near_ns` is a moment of the capture, by which the year is told.

    Raises:
        SpecError: the file cannot be read. One that says nothing of probes raises nothing: there is a note.
    """
    name = file_name(path, "log")
    said: list[Utterance] = []
    left_out = 0
    times: list[int] = []
    counted = _Counted(records(path))
    for place, line in _lines(counted, near_ns):
        if line.ns is not None:
            times = [min([*times[:1], line.ns]), max([*times[1:], line.ns])]
        one = _said(line, f"{name}:{place}")
        if one is None:
            continue
        if len(said) >= MAX_SAID:
            left_out += 1
        else:
            said.append(one)
    notes = []
    if not counted.number:
        notes.append(f"{name}: the file is empty")
    elif not times:
        notes.append(
            f"{name}: no line of it is a kubelet's: expected klog as text or JSON, or what journalctl -u kubelet prints"
        )
    elif not said:
        notes.append(
            f"{name}: {counted.number} lines of a log, none about probes: is it the kubelet's, at verbosity 1 or more (-v=2)?"
        )
    if left_out:
        notes.append(f"{name}: {left_out} more lines about probes are left out")
    first, last = (times[0], times[-1]) if times else (None, None)
    return AccountFile(name, "log", counted.number, tuple(said), first, last, tuple(notes))


class _Counted:
    """Messages, counted as they are taken."""

    def __init__(self, entries: Iterator[Record]) -> None:
        self._entries = entries
        self.number = 0

    def __iter__(self) -> Iterator[Record]:
        for record in self._entries:
            self.number += 1
            yield record


def _lines(entries: Iterable[Record], near_ns: int) -> Iterator[tuple[int, _Line]]:
    """Yield lines with their place: those that may be about probes, and the first and the last with a time.

    Most lines of a kubelet's log are about something else, and are not looked at closely. A value of several lines is put
    together again.
    """
    pending: tuple[Record, list[str]] | None = None
    begun = False
    passed: Record | None = None
    for record in entries:
        if pending is not None:
            body = _PREFIX.sub("", record.text)
            fresh = _HEADER.search(body) is not None
            if not fresh and len(pending[1]) < MAX_MORE:
                pending[1].append(body.strip())
                if body.strip().startswith(">"):
                    yield pending[0].line, _together(pending, near_ns)
                    pending = None
                continue
            yield pending[0].line, _together(pending, near_ns)
            pending = None
        if begun and not any(word in record.text for word in _WORTH):
            passed = record
            continue
        if record.text.rstrip().endswith("=<"):
            pending = (record, [])
            continue
        line = _read(record, near_ns)
        begun = begun or line.ns is not None
        yield record.line, line
    if pending is not None:
        yield pending[0].line, _together(pending, near_ns)
    if passed is not None:
        yield passed.line, _read(passed, near_ns)


_WORTH: Final = ("robe", "SyncLoop (container")
"""What a line about probes holds: `Probe failed`, `Liveness probe for`, `SyncLoop (probe)`."""


def _together(pending: tuple[Record, list[str]], near_ns: int) -> _Line:
    record, more = pending
    head, _, key = record.text.rstrip()[:-2].rpartition(" ")
    closing = more[-1][1:] if more and more[-1].startswith(">") else ""
    body = "\n".join(line for line in more if not line.startswith(">"))
    line = _read(record._replace(text=head + " " + closing), near_ns)
    return line._replace(fields=line.fields | {key: body[:MAX_TEXT]})


def _read(record: Record, near_ns: int) -> _Line:
    text = record.text
    brace = text.find("{")
    if brace >= 0 and '"ts":' in text and (found := _json(text[brace:])) is not None:
        return found
    header = _HEADER.search(text)
    if header is None:
        return _Line(None, "", {})
    ns = _time(header, record.journal_ns, near_ns)
    message = text[header.end() :]
    quoted = _QUOTED.match(message)
    if quoted is None:
        return _Line(ns, message[: MAX_TEXT * 2], {})
    told = _unquote(quoted[1][: MAX_TEXT * 2])
    fields: dict[str, str] = {}
    if told not in _SAYINGS:
        return _Line(ns, told, fields)
    at = quoted.end()
    while (found_ := _KEY.match(message, at)) is not None:
        key, text_, _, bare = found_.groups()
        fields[key] = _unquote(text_)[:MAX_TEXT] if text_ is not None else (bare or "")[:MAX_TEXT]
        at = found_.end()
    return _Line(ns, told, fields)


def _json(text: str) -> _Line | None:
    """Read an object of klog's JSON: zap's, `ts` in milliseconds since 1970 (component-base logs/json)."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    ts, message = value.get("ts"), value.get("msg")
    if not isinstance(ts, int | float) or isinstance(ts, bool) or not isinstance(message, str) or not 0 < ts < 1e14:
        return None
    ns = int(ts * 1e6) if ts > 1e11 else int(ts * 1e9)
    fields: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, dict) and isinstance(item.get("name"), str):  # klog.KObj
            space = item.get("namespace")
            fields[key] = f"{space}/{item['name']}" if isinstance(space, str) and space else item["name"]
        elif isinstance(item, str):
            fields[key] = item[:MAX_TEXT]
    return _Line(ns, message[: MAX_TEXT * 2], fields)


def _said(line: _Line, source: str) -> Utterance | None:
    if line.ns is None:
        return None
    saying = _SAYINGS.get(line.message)
    if saying is None:
        return _old(line, source)
    fields = line.fields
    kind = fields.get("probeType" if saying is not Saying.DECIDED else "probe", "").lower()
    namespace, _, pod = fields.get("pod", "").rpartition("/")
    state = ""
    if saying is Saying.DECIDED:
        state = fields.get("status", "") or _SILENT.get(kind, "unhealthy")
    text = fields.get("output") or fields.get("err") or fields.get("error") or ""
    return Utterance(
        ns=line.ns, precision_ns=US, saying=saying, type=_TYPES.get(kind), namespace=namespace or None,
        pod=pod or None, container=fields.get("containerName") or None, text=text[:MAX_TEXT], state=state,
        port=port_of(text), source=source,
    )  # fmt: skip


def _old(line: _Line, source: str) -> Utterance | None:
    """Read a sentence as Kubernetes before 1.20 wrote it."""
    assert line.ns is not None
    if (loop := _OLD_LOOP.search(line.message)) is not None:
        return Utterance(
            ns=line.ns, precision_ns=US, saying=Saying.DECIDED, type=None, namespace=loop[2], pod=loop[1],
            state="unhealthy", source=source,
        )  # fmt: skip
    found = _OLD.search(line.message)
    if found is None:
        return None
    kind, pod, namespace, container, failed, errored, _, text = found.groups()
    saying = _OLD_SAYINGS[failed] if failed else Saying.ERRORED if errored else Saying.SUCCEEDED
    return Utterance(
        ns=line.ns, precision_ns=US, saying=saying, type=_TYPES[kind.lower()], namespace=namespace, pod=pod,
        container=container, text=text[:MAX_TEXT], port=port_of(text), source=source,
    )  # fmt: skip


def port_of(text: str) -> int | None:
    """Return the client's port that an error names: `read tcp 10.244.1.1:41210->10.244.1.10:8080: ...`."""
    found = _PORT.search(text)
    return int(found[1]) if found is not None and 0 < int(found[1]) < 65_536 else None


_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_PLAIN: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unquote(text: str) -> str:
    """Undo Go's strconv.Quote."""

    def one(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            number = int(code, 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        return _PLAIN.get(found[4], found[4])

    return _ESCAPE.sub(one, text) if "\\" in text else text


def _time(header: re.Match[str], journal_ns: int | None, near_ns: int) -> int | None:
    """Return the header's time: its year and zone by the journal's time where there is one, else its year by the capture's."""
    month, day, hour, minute, second, micro = (int(part) for part in header.groups())
    known = journal_ns if journal_ns is not None else near_ns
    year = time.gmtime(min(max(known, 0), 1 << 62) // SECOND).tm_year
    best: int | None = None
    for candidate in (year - 1, year, year + 1):
        if not 1 <= month <= 12 or not 1 <= day <= 31 or hour > 23 or minute > 59 or second > 60:
            return None
        at = calendar.timegm((candidate, month, day, hour, minute, second)) * SECOND + micro * US
        if best is None or abs(at - known) < abs(best - known):
            best = at
    if best is not None and journal_ns is not None:
        best += (journal_ns - best + _QUARTER // 2) // _QUARTER * _QUARTER
    return best
