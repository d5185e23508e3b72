"""Process events as entries of a systemd journal, the form in which a pcapng keeps them beside its packets.

Theory of operation. A pcapng block of type 9 holds one entry in the Journal Export Format
(systemd.io/JOURNAL_EXPORT_FORMATS): lines `NAME=value`, and for a value with control characters `NAME`, a little-endian
length and the bytes. Wireshark gives such a block a frame number and shows MESSAGE; libpcap steps over it. The usual
fields are for readers of the journal; PROBEWATCH_EVENT, the first, holds the whole event as JSON, and only that is read back.

Limitations: an entry of another program has no PROBEWATCH_EVENT and is nobody's event.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Final

from .frame import JOURNAL_ENTRY, Frame, Mark
from .process import ProcessEvent, ProcessKind
from .units import US

FIELD: Final = "PROBEWATCH_EVENT"
SIGN: Final = FIELD.encode() + b"="
"""How an entry of ours begins: before any text that a process chose, which could hold the same."""
_NAMES: Final = tuple(name for name in ProcessEvent.__slots__ if name != "mark")
_NOTHING: Final = ((), "", None)
SHOWN: Final = 200
"""Characters of a command shown in MESSAGE."""


def journal_frame(event: ProcessEvent) -> Frame:
    """Return an event as a frame: numbered, written and read in its turn among the packets."""
    data = encode(event)
    return Frame(event.mark.ns, event.mark.file, event.mark.number, 0, JOURNAL_ENTRY, data, len(data))


def process_event(frame: Frame) -> ProcessEvent | None:
    """Return the event that a frame holds; None where it is none of ours, or broken."""
    import msgspec

    if frame.link_type != JOURNAL_ENTRY or not frame.data.startswith(SIGN):
        return None
    text = frame.data[len(SIGN) :].split(b"\n", 1)[0]
    try:
        event = msgspec.json.decode(text, type=ProcessEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return replace(event, mark=Mark(frame.ns, frame.file, frame.number))


def encode(event: ProcessEvent) -> bytes:
    """Return an event as one entry of the Journal Export Format."""
    import msgspec

    ns = max(event.mark.ns, 0)
    fields = [
        ("__REALTIME_TIMESTAMP", str(ns // US)),
        ("MESSAGE", sentence(event)),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "probewatch"),
        *([("_PID", str(event.pid))] if event.pid else []),
        *([("_COMM", event.name)] if event.name else []),
        *([("_EXE", event.executable)] if event.executable else []),
        *([("_CMDLINE", " ".join(event.arguments))] if event.arguments else []),
        *([("_SYSTEMD_CGROUP", event.cgroup)] if event.cgroup else []),
        *([("_HOSTNAME", event.host)] if event.host else []),
    ]
    # JSON escapes every control character, so it is always one line.
    known = {name: value for name in _NAMES if (value := getattr(event, name)) not in _NOTHING}
    own = SIGN + msgspec.json.encode({"mark": (ns, 0, 0)} | known) + b"\n"
    return own + b"".join(_field(name, value) for name, value in fields)


def nanoseconds(data: bytes) -> int | None:
    """Return the time of an entry, exact; None where it is none of ours, or has none."""
    head = SIGN + b'{"mark":['
    text = data[len(head) : len(head) + 20].split(b",", 1)[0] if data.startswith(head) else b""
    return int(text) if text.isdigit() else None


def sentence(event: ProcessEvent) -> str:
    """Say what happened, for readers of the journal."""
    where = f" in container {event.container[:12]}" if event.container else ""
    match event.kind:
        case ProcessKind.BEGAN:
            return "process events are watched from here on"
        case ProcessKind.LOST:
            return f"process events were lost ({event.lost} times)"
        case ProcessKind.EXIT:
            how = f"signal {event.signal}" if event.signal else f"exit status {event.exit_code}"
            return f"process {event.pid} ended: {how}"
        case ProcessKind.RUNTIME:
            asked = event.asked
            told = _shown(asked.arguments) if asked is not None else ""
            inside = f" in container {asked.container[:12]}" if asked is not None else ""
            return f"{event.name or 'a container runtime'} is to run {told or 'a command'}{inside}"
        case ProcessKind.STARTED:
            return f"container started: {_shown(event.arguments)}{where}"
        case _:
            return f"exec {_shown(event.arguments)}{where}"


def _shown(arguments: tuple[str, ...]) -> str:
    text = json.dumps(arguments, ensure_ascii=False) if arguments else ""  # one string and a list look different
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _field(name: str, value: str) -> bytes:
    raw = value.encode("utf-8", "replace")
    if any(byte < 32 and byte != 9 for byte in raw):
        return name.encode() + b"\n" + struct.pack("<Q", len(raw)) + raw + b"\n"
    return name.encode() + b"=" + raw + b"\n"
