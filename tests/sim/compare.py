# ruff: noqa: E501 (tables of scenarios, packets and comparisons are wide)
"""Hold probewatch's timeline of a simulated capture against what the simulated kubelet did.

The rules: every execution that left a SYN is one attempt with the kubelet's outcome, type and connections; no other attempt is told (but of ticks
without a SYN, while the neighbour is unresolved, some may be implied); every decision that a probe made is told near its time, and none that
never happened. A change that no probe made (the container died) may be told. Where a capture begins in mid-life the first streak that reaches its
threshold only tells the state, so a decision there may be told and need not. An attempt that the capture's end cuts may be inconclusive.
Two probes of one container that ask the same, begun or due in the same millisecond and with the same outcome, may change places: nothing on the wire
differs, unless one waited longer than the other's timeout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clock import MS, S
from kubelet import Change, Execution, Kubelet
from wire import EPOCH

import probewatch

KINDS = {("readiness", "Success"): "ready", ("readiness", "Failure"): "not_ready", ("liveness", "Failure"): "restart", ("startup", "Success"): "started",
         ("startup", "Failure"): "restart"}
EARLY_NS, LATE_NS = 1100 * MS, 350 * MS


@dataclass
class Attempt:
    """Executions that belong together: an error is tried again at once."""

    type: str
    container: str
    start: int
    end: int
    outcome: str | None
    ports: set[int]
    seen: int | None
    """First SYN in the capture."""
    whole: bool
    """Nothing of it lies before the capture's beginning."""
    runs: list[Execution] = field(default_factory=list)


def parse(text: str) -> int:
    """Return nanoseconds of the simulation."""
    whole, fraction = text.rstrip("Z").split(".")
    stamp = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    return int(stamp.timestamp()) * S + int(fraction.ljust(9, "0")[:9]) - EPOCH


def unseen(kubelet: Kubelet) -> set[tuple[str, str]]:
    """Return the workers that leave no packet."""
    return {(c.name, p.type) for c in kubelet.scenario.containers for p in c.probes if p.unseen}


def attempts(kubelet: Kubelet) -> list[Attempt]:
    """Join executions to attempts."""
    begin = int((kubelet.scenario.cut_before or 0) * S)
    end = int((kubelet.scenario.cut_after or kubelet.scenario.duration) * S)
    out: list[Attempt] = []
    last: dict[tuple[str, str], Attempt] = {}
    hidden = unseen(kubelet)
    for run in kubelet.executions:
        key = (run.container, run.worker)
        if key in hidden:
            continue
        before = last.get(key)
        outcome = {"success": "success", "warning": "success", "failure": "failure", "error": "discarded", None: None}[run.result]
        syns = [(flow.first_syn, flow.ports[0]) for flow in run.flows if flow.first_syn is not None]
        seen = [(at, port) for at, port in syns if begin <= at <= end]
        if before is not None and before.outcome == "discarded" and len(before.runs) < 3 and kubelet.wall(run.start) - before.end < 50 * MS:
            before.outcome, before.end = outcome, kubelet.wall(run.end)
            before.ports |= {port for _, port in seen}
            if before.seen is None and seen:
                before.seen = seen[0][0]
            before.runs.append(run)
            continue
        wall = kubelet.wall
        one = Attempt(run.worker, run.container, wall(run.start), wall(run.end), outcome, {port for _, port in seen}, wall(seen[0][0]) if seen else None,
                      run.start >= begin and len(seen) == len(syns), [run])
        out.append(one)
        last[key] = one
    return out


def twin(one: Attempt, truth: list[Attempt], asked: dict[tuple[str, str], tuple[object, ...]]) -> Attempt | None:
    """Return the attempt of another probe that ran just the same, or was to run, in the same millisecond, if any; a dial that fails says no path.

    Which of two that are due together was late shows nowhere.
    """
    mine = asked[one.container, one.type]
    for other in truth:
        if other.type == one.type or other.container != one.container or other.seen is None or one.seen is None or other.outcome != one.outcome:
            continue
        theirs = asked[other.container, other.type]
        mute = mine[1] == theirs[1] and one.runs[-1].output == other.runs[-1].output and "dial" in one.runs[-1].output
        together = abs(other.seen - one.seen) < MS or abs(other.runs[0].due - one.runs[0].due) < MS
        heard = all(each.runs[-1].flows and each.runs[-1].flows[-1].established for each in (one, other))
        waited = heard and max(other.end - other.start, one.end - one.start) >= S
        if together and (mine[:-1] == theirs[:-1] or mute) and (mine[-1] == theirs[-1] or not waited):
            return other
    return None


def optional_decisions(kubelet: Kubelet, made: list[Attempt]) -> dict[tuple[str, str], int]:
    """Return for each worker the moment up to which a capture that begins in mid-life need not tell its decisions."""
    cut = kubelet.scenario.cut_before
    out: dict[tuple[str, str], int] = {}
    if kubelet.scenario.host_network:
        cut = cut or 0.0  # No address is announced, none is resolved: a beginning looks like any other moment.
    elif cut is None or not any(at < int(cut * S) for at, _ in kubelet.starts):
        return out
    specs = {(c.name, p.type): p for c in kubelet.scenario.containers for p in c.probes}
    for key, spec in specs.items():
        run, last, until = 0, "", int(kubelet.scenario.duration * S)
        for one in made:
            if (one.container, one.type) != key or one.start < int(cut * S) or one.seen is None or one.outcome not in ("success", "failure"):
                continue
            run, last = (run + 1, last) if one.outcome == last else (1, one.outcome)
            if run >= (spec.success if one.outcome == "success" else spec.failure):
                until = one.end + 200 * MS
                break
        out[key] = until
    return out


def sealed(kubelet: Kubelet, change: Change) -> bool:
    """Tell whether no outcome of a probe can be read: what gRPC says lies behind the snapshot length."""
    specs = {(c.name, p.type): p for c in kubelet.scenario.containers for p in c.probes}
    return kubelet.scenario.snaplen < 1000 and specs[change.container, change.type].handler == "grpc"


def nameless(kubelet: Kubelet) -> bool:
    """Tell whether no request names the kubelet's version: nothing else says what it does with containers that ran before it."""
    specs = [p for c in kubelet.scenario.containers for p in c.probes if not p.unseen]
    named = any(p.handler == "grpc" or (p.handler == "httpGet" and "User-Agent" not in dict(p.headers)) for p in specs)
    return not named or kubelet.scenario.snaplen < 1000


def anew(kubelet: Kubelet, change: Change) -> bool:
    """Tell whether a change is the first one since a new kubelet began, or a new Pod."""
    scenario = kubelet.scenario
    begun = [up for _, up in scenario.kubelet_down] + ([scenario.deleted] if scenario.recreated is not None and scenario.deleted else [])
    since = max((int(at * S) for at in begun if int(at * S) < change.at), default=None)
    if since is None:
        return False
    return not any(one.made and since < one.at < change.at and (one.type, one.container) == (change.type, change.container) for one in kubelet.changes)


def compare(kubelet: Kubelet, where: Path) -> list[str]:
    """Return what is wrong, one sentence each, of the scenario written to a directory."""
    document = probewatch.document(probewatch.analyze(where / "capture.pcap", spec=where / "pod.yaml"))
    if not document["captures"][0]["first"]:
        return []
    last_frame = parse(document["captures"][0]["last"])
    wrong: list[str] = []
    ours = [probe for probe in document["probes"] if probe["checker"]["kind"] == "kubelet"]
    wrong += [f"probe of {p['checker']['kind']} with {len(p['attempts'])} attempts" for p in document["probes"] if p["checker"]["kind"] != "kubelet"]
    told = [{"type": p["type"], "container": p["target"]["container"], "start": parse(a["start"]), "ports": {c["client_port"] for c in a["connections"]}, "outcome": a["outcome"],
             "cause": a["cause"], "used": False, "implied": a.get("implied", False)} for p in ours for a in p["attempts"]]
    truth = attempts(kubelet)
    asked = {(c.name, p.type): (p.handler, p.port, p.path * (p.handler == "httpGet"), p.service, p.timeout) for c in kubelet.scenario.containers for p in c.probes}
    for one in truth:
        if not one.whole or one.seen is None:
            continue
        same = [a for a in told if a["ports"] & one.ports and abs(a["start"] - one.seen) < 3_600 * MS and not a["used"]]
        name = f"{one.type} t={one.seen / S:.4f} {one.outcome} ({one.runs[-1].output[:40]})"
        if not same:
            wrong.append(f"missed {name}")
            continue
        a = min(same, key=lambda a: abs(a["start"] - one.seen))
        a["used"] = True
        unknown = one.end > last_frame or one.outcome is None or (kubelet.scenario.snaplen < 1000 and asked[one.container, one.type][0] == "grpc")
        if a["outcome"] != one.outcome and not (a["outcome"] == "inconclusive" and unknown) and one.outcome is not None:
            wrong.append(f"outcome {a['outcome']}/{a['cause']} of {name}")
        double = twin(one, truth, asked)
        if double is not None and a["type"] in (one.type, double.type) and a["ports"] <= one.ports | double.ports:
            continue
        if a["type"] != one.type:
            wrong.append(f"type {a['type']} of {name}")
        elif a["container"] != one.container:
            wrong.append(f"container {a['container']} of {name}, want {one.container}")
        if a["ports"] != one.ports:
            wrong.append(f"connections {sorted(a['ports'])} of {name}, want {sorted(one.ports)}")
    begin = int((kubelet.scenario.cut_before or 0) * S)
    earlier = {flow.ports[0] for run in kubelet.executions for flow in run.flows if flow.first_syn is not None and flow.first_syn < begin}
    silent = [one for one in truth if one.seen is None or not one.whole]
    for a in told:
        if a["used"] or (a["ports"] and a["ports"] <= earlier and a["start"] < begin + 40 * S):
            continue
        near = [one for one in silent if (abs(one.start - a["start"]) < 1100 * MS and (one.type == a["type"] or not one.whole)) or (a["ports"] and a["ports"] <= one.ports)]
        if near:
            silent.remove(near[0])
            continue
        wrong.append(f"extra {a['type']} t={a['start'] / S:.4f} {a['outcome']}/{a['cause']} ports {sorted(a['ports'])}{' implied' if a['implied'] else ''}")
    wrong += decisions(kubelet, truth, ours, last_frame)
    return wrong


def decisions(kubelet: Kubelet, truth: list[Attempt], ours: list[dict[str, Any]], last_frame: int) -> list[str]:
    """Compare decisions."""
    wrong = []
    begin = int((kubelet.scenario.cut_before or 0) * S)
    unsure = optional_decisions(kubelet, truth)
    left = sorted((parse(d["time"]), d["kind"], p["type"], p["target"]["container"]) for p in ours for d in p["decisions"])
    want = []
    hidden = unseen(kubelet)
    for change in kubelet.changes:
        kind = KINDS.get((change.type, change.new))
        if (change.container, change.type) in hidden:
            continue
        # From 1.35 on a restarted kubelet holds no result of a container that ran before: its first one changes what is, or does not.
        if kind and (change.previous != "none" or change.made) and begin <= change.at and kubelet.wall(change.at) <= last_frame + 100 * MS:
            must = change.previous != "none" and change.made and change.at > unsure.get((change.container, change.type), -1)
            must = must and not sealed(kubelet, change) and not (nameless(kubelet) and anew(kubelet, change))
            want.append((kubelet.wall(change.at), kind, change.type, change.container, must))
    for at, kind, worker, container, must in sorted(want, key=lambda w: not w[4]):
        fits = [d for d in left if d[1:] == (kind, worker, container) and -EARLY_NS < d[0] - at < LATE_NS]
        if fits:
            left.remove(min(fits, key=lambda d: abs(d[0] - at)))
        elif must:
            wrong.append(f"decision {kind} ({worker}) t={at / S:.4f} not told")
    # (A close that lingers holds the kubelet's decision up; at the end it may not have come yet.)
    wrong += [f"decision {d[1]} ({d[2]}) t={d[0] / S:.4f} never happened" for d in left if d[0] < last_frame - EARLY_NS]
    return wrong
