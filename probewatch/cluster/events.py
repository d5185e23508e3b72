"""What the kubelet's events say of probes: `kubectl get events -o json` or `-o yaml`, as `--events` reads them.

Both forms of the API: core/v1 (`involvedObject`, `firstTimestamp`, `lastTimestamp`, `count`) and events.k8s.io/v1 (`regarding`,
`note`, `series`). The kubelet's recorder writes whole seconds.
An object that cannot be used is noted and passed over: the API server has checked the rest.
"""

from __future__ import annotations

import re
from typing import Any, Final

from probewatch.model.said import AccountFile, Saying, Utterance
from probewatch.model.spec import ProbeType
from probewatch.model.units import SECOND, US

from .addresses import time_ns
from .documents import read_documents
from .errors import SpecError
from .klog import MAX_SAID, MAX_TEXT, port_of
from .source import file_name

_COMBINED: Final = "(combined from similar events): "
_RESULT: Final = re.compile(
    r"(Readiness|Liveness|Startup) probe (failed|errored(?: and resulted in \w+ state)?|warning|error): ?(.*)",
    re.DOTALL,
)
_KILLING: Final = re.compile(r"Container (\S+) failed (liveness|startup) probe, will be restarted")
_FIELD: Final = re.compile(r"spec\.(?:containers|initContainers)\{(.+)\}")
_SAYINGS: Final = {"failed": Saying.FAILED, "errored": Saying.ERRORED, "warning": Saying.WARNED, "error": Saying.FAILED}


def read_events(path: str) -> AccountFile:
    """Return what events say of probes.

    Raises:
        SpecError: the file cannot be read, or holds other objects and no event. An empty list raises nothing: there is a note.
    """
    name = file_name(path, "list of events")
    said: list[Utterance] = []
    number, unusable, left_out = 0, 0, 0
    times: list[int] = []
    others = 0
    for document in read_documents(path, dump=True, like=("*event*.json", "*event*.yaml")):
        value = document.value
        if not _is_event(value):
            others += 1
            continue
        number += 1
        moments = _moments(value)
        if moments is None:
            unusable += 1
            continue
        times = [min([*times[:1], moments[0]]), max([*times[1:], moments[1]])]
        one = _said(value, moments, f"{name} {document.label}")
        if one is None:
            continue
        if len(said) >= MAX_SAID:
            left_out += 1
        else:
            said.append(one)
    if others and not number:
        wanted = "--events needs the output of `kubectl get events -o json`"
        raise SpecError(f"{path}: holds no event ({others} other objects); {wanted}")
    notes = []
    if not number:
        notes.append(f"{name}: an empty list: events expire, after an hour by default")
    elif not said:
        notes.append(f"{name}: {number} events, none about probes")
    if unusable:
        notes.append(f"{name}: {unusable} events have no time that can be read and are passed over")
    if left_out:
        notes.append(f"{name}: {left_out} more events about probes are left out")
    first, last = (times[0], times[1]) if times else (None, None)
    return AccountFile(name, "events", number, tuple(said), first, last, tuple(notes))


def _is_event(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return value.get("kind") in ("Event", None) and isinstance(
        value.get("involvedObject", value.get("regarding")), dict
    )


def _moments(value: dict[str, Any]) -> tuple[int, int, int] | None:
    """Return (first, last, precision) in nanoseconds."""
    series: Any = value.get("series")
    fine = _time(value.get("eventTime"))
    later = _time(series.get("lastObservedTime")) if isinstance(series, dict) else None
    if fine is not None:
        return fine, max(fine, later or fine), US
    last = _time(value.get("lastTimestamp", value.get("deprecatedLastTimestamp")))
    first = _time(value.get("firstTimestamp", value.get("deprecatedFirstTimestamp")))
    if last is None:
        last = first
    if last is None:
        meta = value.get("metadata")
        last = _time(meta.get("creationTimestamp")) if isinstance(meta, dict) else None
    return None if last is None else (min(first if first is not None else last, last), last, SECOND)


def _time(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        return time_ns(value)
    except ValueError:
        return None


def _said(value: dict[str, Any], moments: tuple[int, int, int], source: str) -> Utterance | None:
    message = value.get("message", value.get("note"))
    if not isinstance(message, str):
        return None
    combined = message.startswith(_COMBINED)
    message = message.removeprefix(_COMBINED)
    about: Any = value.get("involvedObject", value.get("regarding"))
    field = _FIELD.fullmatch(str(about.get("fieldPath") or ""))
    killing, result = _KILLING.match(message), _RESULT.match(message)
    container = field[1] if field is not None else killing[1] if killing is not None else None
    if killing is not None:
        saying, kind, text = Saying.KILLING, killing[2], message
    elif result is not None:
        saying, kind, text = _SAYINGS[result[2].split(" ")[0]], result[1].lower(), result[3]
    else:
        return None
    first, last, precision = moments
    series: Any = value.get("series")
    count = series.get("count") if isinstance(series, dict) else value.get("count", value.get("deprecatedCount"))
    count = count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 1 << 31 else 1
    return Utterance(
        ns=last, precision_ns=precision, saying=saying, type=ProbeType(kind), namespace=_text(about.get("namespace")),
        pod=_text(about.get("name")), container=container, text=text[:MAX_TEXT], port=port_of(text),
        first_ns=first if count > 1 or first != last else None, count=count, combined=combined, event=True, source=source,
    )  # fmt: skip


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
