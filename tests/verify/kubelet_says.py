"""A kubelet's log and events in every form that they come in, made from the record of a real kubelet (truth.jsonl).

The texts are the kubelet's own: `k8s_event` lines are what its event recorder was given, `probe_end` and `result` what its
prober and its results manager did. Only their wrapping is made here, as klog, journald and the API write it.
"""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any, NamedTuple


class Line(NamedTuple):
    """One thing said: when (seconds since 1970), klog's message and its keys."""

    t: float
    message: str
    keys: dict[str, str]


def truth(folder: Path) -> list[dict[str, Any]]:
    """Return the kubelet's record."""
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]


def lines(folder: Path, skew: float = 0.0, *, verbose: bool = False) -> list[Line]:
    """Return what a log at -v=2 (`verbose`: -v=4) holds of probes, its clock `skew` seconds ahead."""
    made: list[Line] = []
    rows = truth(folder)
    evented = any(row["ev"] == "k8s_event" for row in rows)  # (some records have none: a log tells failures all the same)
    for row in rows:
        pod = f"{row.get('ns')}/{row.get('pod')}"
        t = row["t"] + skew
        if row["ev"] == "k8s_event":
            kind, _, rest = row["message"].partition(" probe ")
            word, _, text = rest.partition(": ")
            container = row.get("field", "").removeprefix("spec.containers{").removesuffix("}")
            keys = {"probeType": kind, "pod": pod, "podUID": "b4805f1e-b385", "containerName": container}
            if word == "failed":
                made.append(Line(t, "Probe failed", keys | {"probeResult": "failure", "output": text}))
            elif word.startswith("errored"):
                made.append(Line(t, "Probe errored", {"err": text} | keys | {"probeResult": "unknown"}))
        elif not evented and row["ev"] == "probe_end" and row.get("result") == "failure":
            keys = {"probeType": row["type"], "pod": pod, "podUID": "b4805f1e-b385", "containerName": row["container"]}
            made.append(Line(t, "Probe failed", keys | {"probeResult": "failure", "output": row["output"]}))
        elif row["ev"] == "result" and row.get("transition"):
            kind, good = row["type"].lower(), row["new"] == "Success"
            state = {"readiness": ("not ready", "ready"), "startup": ("unhealthy", "started"), "liveness": ("unhealthy", "")}[kind][good]
            if state:
                made.append(Line(t, "SyncLoop (probe)", {"probe": kind, "status": state, "pod": pod}))
        elif verbose and row["ev"] == "probe_end" and row.get("result") == "success":
            made.append(Line(t, "Probe succeeded", {"probeType": row["type"], "pod": pod, "podUID": "b4805f1e-b385",
                                                     "containerName": row["container"]}))
    return made


def klog(line: Line, zone: float = 0.0) -> str:
    """Return a line of klog's text, in local time `zone` hours ahead of UTC; values of several lines as KVFormat has them."""
    second, micro = divmod(round((line.t + zone * 3600) * 1e6), 1_000_000)
    stamp = time.strftime('%m%d %H:%M:%S', time.gmtime(second))
    head = f"I{stamp}.{micro:06d}   12345 prober.go:120] "
    parts = []
    for key, value in line.keys.items():
        if "\n" in value:
            inner = "".join(f"\t{part}\n" for part in value.rstrip("\n").split("\n"))
            parts.append(f"{key}=<\n{inner} >")
        else:
            parts.append(f"{key}={json.dumps(value)}")
    return head + " ".join([json.dumps(line.message), *parts]) + "\n"


def text(made: list[Line], zone: float = 0.0) -> bytes:
    """Return a log as a file."""
    return "".join(klog(line, zone) for line in made).encode()


def klog_json(made: list[Line]) -> bytes:
    """Return a log as --logging-format=json writes it."""
    rows = []
    for line in made:
        namespace, _, name = line.keys["pod"].partition("/")
        keys: dict[str, Any] = {**line.keys, "pod": {"name": name, "namespace": namespace}}
        rows.append({"ts": line.t * 1000, "caller": "prober/prober.go:120", "msg": line.message, "v": 1} | keys)
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def journal_json(made: list[Line], zone: float = 0.0) -> bytes:
    """Return `journalctl -o json`: each line of a value is an entry of its own, as journald splits what comes on stderr."""
    rows = []
    for line in made:
        for number, one in enumerate(klog(line, zone).splitlines()):
            message: Any = one if number % 2 == 0 else list(one.encode())
            rows.append({"__REALTIME_TIMESTAMP": str(round(line.t * 1e6) + 700), "SYSLOG_IDENTIFIER": "kubelet", "MESSAGE": message})
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def journal_export(made: list[Line], zone: float = 0.0) -> bytes:
    """Return `journalctl -o export`; a message with a tab is written in binary form."""
    parts: list[bytes] = []
    for line in made:
        for one in klog(line, zone).splitlines():
            data = one.encode()
            parts.append(b"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=%d\n_COMM=kubelet\n" % (round(line.t * 1e6) + 700))
            parts.append(b"MESSAGE\n" + struct.pack("<Q", len(data)) + data + b"\n" if b"\t" in data else b"MESSAGE=" + data + b"\n")
            parts.append(b"\n")
    return b"".join(parts)


def journal_text(made: list[Line]) -> bytes:
    """Return `journalctl -u kubelet`."""
    return "".join(
        f"Nov 22 20:11:02 node-a kubelet[12345]: {one}\n" for line in made for one in klog(line).splitlines()
    ).encode()


def old(made: list[Line]) -> bytes:
    """Return a log as Kubernetes 1.19 wrote it."""
    rows = []
    for line in made:
        namespace, _, pod = line.keys["pod"].partition("/")
        if line.message == "Probe failed":
            whom = f'{line.keys["probeType"]} probe for "{pod}_{namespace}(b4805f1e):{line.keys["containerName"]}"'
            rows.append(klog(line).split("] ")[0] + f"] {whom} failed (failure): {line.keys['output']}\n")
    return "".join(rows).encode()


FORMS = {"text": text, "json": klog_json, "journal-json": journal_json, "journal-export": journal_export, "journal-text": journal_text}


def _rfc(t: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(t)))


def events(folder: Path, skew: float = 0.0, *, aggregate: bool = False) -> list[dict[str, Any]]:
    """Return events as the API has them; `aggregate` counts those alike, as the recorder does."""
    made: list[dict[str, Any]] = []
    for row in truth(folder):
        if row["ev"] != "k8s_event":
            continue
        about = {"kind": "Pod", "namespace": row["ns"], "name": row["pod"], "fieldPath": row.get("field", "")}
        when = _rfc(row["t"] + skew)
        same = next((e for e in made if e["message"] == row["message"]), None) if aggregate else None
        if same is not None:
            same["count"] += 1
            same["lastTimestamp"] = when
            continue
        made.append({"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{row['pod']}.{len(made)}"}, "involvedObject": about,
                     "reason": row["reason"], "message": row["message"], "type": row["etype"], "firstTimestamp": when,
                     "lastTimestamp": when, "count": 1, "eventTime": None, "source": {"component": "kubelet"}})
    return made


def event_list(made: list[dict[str, Any]]) -> bytes:
    """Return `kubectl get events -o json`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": made}).encode()
