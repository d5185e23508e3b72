"""What a report says of a timeline, whatever it is written on: from when times are told, the order of probes, counts in words.

The table and the HTML page are both made from this, so that they say the same. Everything returned is safe for a
terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..decisions.holes import DOWN_STATES
from ..decisions.index import container_of, index_of
from ..decisions.outages import nodes
from ..model.frame import CaptureInfo
from ..model.timeline import (
    ANSWERS_ONLY,
    NONE_PASSED,
    NONE_SHOWN,
    PORT_SCAN,
    Cause,
    DecisionKind,
    Effects,
    EventKind,
    OtherTraffic,
    Outcome,
    Probe,
    Timeline,
    TimelineEvent,
)
from . import words
from .document import timed
from .escape import safe
from .numbers import count, duration, percentile, share
from .verdict import Level, Verdict, judge

Judged = tuple[Probe, Verdict]

LEVELS: Final = {
    Level.TROUBLE: "in trouble",
    Level.WARNING: "with a warning",
    Level.UNCLEAR: "inconclusive",
    Level.FINE: "fine",
}
"""How probes are counted, the worst first."""

NO_ANSWER: Final = frozenset({Cause.REFUSED, Cause.UNREACHABLE})
"""Causes that a frame shows and no answer does."""
_KUBELET_EVENTS: Final = (EventKind.KUBELET_STOPPED, EventKind.KUBELET_RESTARTED)


def base_ns(timeline: Timeline) -> int:
    """Return the moment from which times are told: the first frame."""
    base = min((c.first_ns for c in timeline.captures if c.first_ns is not None), default=None)
    return min((a.start.ns for p in timeline.probes for a in p.attempts), default=0) if base is None else base


def ordered(timeline: Timeline) -> list[Judged]:
    """Return probes with their verdicts, those of one container together, the worst first.

    Of containers in trouble those that are out of service at the end come first, and last those that nothing ailed but
    what took all of a node (a new kubelet). A probe that had its container restarted stands before those that lost Ready
    by it: first the cause, then the effect.
    """
    judged = [(probe, judge(probe, timeline)) for probe in timeline.probes]
    worst: dict[tuple[object, ...], tuple[int, int]] = {}
    for probe, verdict in judged:
        group = container_of(probe)
        worst[group] = min(worst.get(group, (0, 0)), _urgency(probe, verdict))
    groups = sorted(worst, key=lambda group: worst[group])  # stable: as the timeline has them
    place = {group: number for number, group in enumerate(groups)}
    return sorted(judged, key=lambda item: (place[container_of(item[0])], -item[1].level, not _restarts(item[0])))


def _urgency(probe: Probe, verdict: Verdict) -> tuple[int, int]:
    if verdict.level is not Level.TROUBLE:
        return -verdict.level, 0
    return -verdict.level, -2 if probe.final_state in DOWN_STATES else -1 if verdict.causes else 0


def _restarts(probe: Probe) -> bool:
    return any(decision.kind is DecisionKind.RESTART for decision in probe.decisions)


def overview(judged: Sequence[Judged]) -> str:
    """Return `5 probes: 1 in trouble, 4 fine`."""
    levels = [verdict.level for _, verdict in judged]
    said = ", ".join(f"{levels.count(level)} {name}" for level, name in LEVELS.items() if level in levels)
    return f"{count(len(judged), 'probe')}: {said}"


def lasted_ns(info: CaptureInfo) -> int | None:
    """Return how long a capture lasted: as long as was captured where that is told, else from its first frame to its last."""
    if info.began_ns is not None and info.ended_ns is not None:
        return max(0, info.ended_ns - info.began_ns)
    return info.last_ns - info.first_ns if info.first_ns is not None and info.last_ns is not None else None


def events_of(probe: Probe, timeline: Timeline) -> list[TimelineEvent]:
    """Return the events that belong to the story of a probe, in the order of the timeline."""
    index = index_of(timeline)
    addresses = dict.fromkeys(filter(None, (probe.target.address, *nodes(probe))))
    found = [event for address in addresses for event in index.events.get(address, ()) if _concerns(event, probe)]
    found += [event for event in index.gaps if event.address not in addresses and _concerns(event, probe)]
    return sorted(found, key=lambda event: index.place[id(event)])


def _concerns(event: TimelineEvent, probe: Probe) -> bool:
    if event.kind in _KUBELET_EVENTS:
        return probe.checker.kind == "kubelet" and event.address in nodes(probe)
    if event.kind is EventKind.CHECKER_RESTARTED:
        return probe.checker.kind == "haproxy" and event.address == probe.checker.address
    if event.kind is EventKind.CAPTURE_GAP:
        return bool(probe.attempts) and probe.attempts[0].start.ns < event.ns < probe.attempts[-1].start.ns
    if event.address != probe.target.address:
        return False
    mine = f"{probe.target.namespace}/{probe.target.pod}" if probe.target.pod else None
    if event.pod is not None and event.pod != mine:
        return False
    return event.container is None or probe.target.container is None or event.container == probe.target.container


def counts(probe: Probe) -> str:
    """Return `67 attempts: 35 ok, 32 failed (503), 2 not sent (on hold), 1 missing`."""
    parts: list[str] = []
    tallies = words.tallies(probe.attempts, probe.handler)
    for outcome, word in (
        (Outcome.SUCCESS, "ok"),
        (Outcome.FAILURE, "failed"),
        (Outcome.DISCARDED, "discarded"),
        (Outcome.INCONCLUSIVE, "inconclusive"),
    ):
        tally = tallies.get(outcome)
        if not tally:
            continue
        number = sum(n for _, n in tally)
        if outcome is Outcome.SUCCESS and len(tally) == 1:
            parts.append(f"{number} {word}")
        elif len(tally) == 1:
            parts.append(f"{number} {word} ({tally[0][0]})")
        else:
            parts.append(f"{number} {word} ({', '.join(words.counted(n, name) for name, n in tally)})")
    silent, missed = words.silent(probe.gaps)
    if silent:
        why = ", ".join(silent if len(silent) == 1 else (f"{number} {word}" for word, number in silent.items()))
        parts.append(f"{sum(silent.values())} not sent ({why})")
    if missed:
        parts.append(f"{missed} missing")
    return f"{count(len(probe.attempts), 'attempt')}: {', '.join(parts)}" if parts else "no attempts"


def latency(probe: Probe) -> str:
    """Return `p50 1.3 ms, max 5.1 ms (#7, 0.5 % of the timeout)`; empty where no attempt ended with an answer's frame.

    How fast a closed port refuses says nothing of how long an answer takes, nor does when a checker noticed one too late.
    """
    # (Gone through once: each attempt of a long capture is made again whenever it is looked at.)
    told = (a for a in probe.attempts if timed(a) and a.cause not in NO_ANSWER and a.cause is not Cause.CLIENT_LATE)
    answers = sorted((a.latency_ns, -a.n) for a in told)
    if not answers:
        return ""
    known, which = [took for took, _ in answers], -answers[-1][1]
    timeout = words.timeout_ns(probe)
    supposed = probe.spec is None and words.timeout_source(probe) == " (default)"
    text = f"p50 {duration(percentile(known, 50))}, max {duration(known[-1])}"
    of = f", {share(known[-1], timeout)} of the {'default ' if supposed else ''}timeout" if timeout else ""
    return f"{text} (#{which}{of})"


def clients(effects: Effects | None) -> str:
    """Return how clients followed the decisions; empty where there is nothing to say."""
    if effects is None:
        return ""
    least = "at least " if effects.approximate else ""
    about = "about " if effects.approximate else ""
    serves = any(period.state in ("UP", "DOWN") for period in effects.periods)
    ready, not_ready = ("UP", "DOWN") if serves else ("Ready", "NotReady")
    parts: list[str] = []
    if effects.first_client_after_ready_ns is not None:
        parts.append(f"first new connection {about}{duration(effects.first_client_after_ready_ns)} after {ready}")
    if effects.last_new_client_after_not_ready_ns is not None:
        parts.append(f"last {about}{duration(effects.last_new_client_after_not_ready_ns)} after {not_ready}")
    for number, what in (
        (effects.clients_while_not_ready, f"while {not_ready}"),
        (effects.clients_refused_while_ready, f"refused while {ready}"),
        (effects.clients_unanswered_while_ready, f"without an answer while {ready}"),
    ):
        if number:
            parts.append(f"{least}{number} {what}")
    if effects.kept_while_not_ready and effects.last_kept_after_not_ready_ns is not None:
        kept = count(effects.kept_while_not_ready, "kept connection")
        parts.append(f"{least}{kept} used on, {about}{duration(effects.last_kept_after_not_ready_ns)} into {not_ready}")
    return ", ".join(parts)


def unwell(other: OtherTraffic) -> str:
    """Return `3 refused, 1 unanswered` of connections that are no probe; empty where all were answered."""
    kinds = ((other.refused, "refused"), (other.unanswered, "unanswered"))
    return ", ".join(f"{number} {what}" for number, what in kinds if number)


def name_of(other: OtherTraffic) -> str:
    """Return `10.128.0.20 (lab/client)`."""
    return safe(other.address) + (f" ({safe(other.name)})" if other.name else "")


@dataclass(frozen=True, slots=True)
class Others:
    """Connections that are no probe, as one line tells them: those of a source to a port, or of a port scan to all of them."""

    all: OtherTraffic
    """Their sums."""
    ports: int = 1

    @property
    def where(self) -> str:
        """Where they went to."""
        if self.ports > 1:
            return f"{count(self.ports, 'port')} of {safe(self.all.target_address)}"
        return words.endpoint(self.all.target_address, self.all.target_port)


def others_of(timeline: Timeline) -> list[Others]:
    """Return the connections that are no probe, most first."""
    found: dict[tuple[str, str, int | None], Others] = {}
    for one in timeline.others:
        key = one.address, one.target_address, None if one.what == PORT_SCAN else one.target_port
        before = found.get(key)
        if before is None:
            found[key] = Others(one)
            continue
        sums = replace(
            before.all,
            connections=before.all.connections + one.connections,
            refused=before.all.refused + one.refused,
            unanswered=before.all.unanswered + one.unanswered,
        )
        found[key] = Others(sums, before.ports + 1)
    return sorted(found.values(), key=lambda one: -one.all.connections)


def nothing(timeline: Timeline) -> tuple[str, list[str]]:
    """Return what was seen where no probe was found, and what to try."""
    frames = sum(info.frames for info in timeline.captures)
    connections = sum(other.connections for other in timeline.others)
    if any(note.startswith((NONE_PASSED, NONE_SHOWN)) for note in timeline.notes[: timeline.foremost]):
        return f"{count(frames, 'frame')}, of which nothing is looked at", []
    if not frames:
        seen = "no frames at all"
    elif not connections:
        seen = f"{count(frames, 'frame')}, but no TCP connection to judge"
    else:
        sources = len({other.address for other in timeline.others})
        seen = f"{count(frames, 'frame')}, {count(connections, 'connection')} of {count(sources, 'client')}"
    hints = []
    if timeline.cut_frames:
        hints.append(
            f"{count(timeline.cut_frames, 'frame was', 'frames were')} cut too short to read (snapshot length): "
            "capture again with -s 0, or at least 96 bytes of each frame (160 in a tunnel)."
        )
    if any(other.what == ANSWERS_ONLY for other in timeline.others):
        hints.append(
            "Only what the servers sent was captured (docs/causes.md#one-direction): capture where both directions pass; "
            "with a POD.yaml that is enough for its httpGet probes."
        )
    if any(interface.name == "any" for info in timeline.captures for interface in info.interfaces):
        hints.append(
            "All interfaces of a network namespace were captured: is it the node's own, and the pod's node (docs/on-a-node.md)?"
        )
    elif not timeline.foremost:  # (else that note says what to do)
        hints.append(
            "Capture where probes pass: on the pod's own node, at its veth, tun0, ovn-k8s-mp0 or cni0, or with -i any."
        )
    if frames:
        hints.append(
            "A check that no --spec declares must repeat to be seen as one: capture for three periods, or give its POD.yaml."
        )
    hints.append("Exec probes send no packets (docs/exec.md); probes of a hostNetwork pod stay on the node's lo.")
    return seen, hints
