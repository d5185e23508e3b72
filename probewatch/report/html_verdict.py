"""The verdict of the HTML report: who asks whom, what failed, since when, why, and what to do, for somebody who reads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..decisions.outages import ENDS, Outage, outages, streak_began
from ..model.spec import ProbeType
from ..model.timeline import Attempt, Decision, DecisionKind, Outcome, Probe, Timeline
from . import words
from .escape import quoting, safe
from .numbers import clock, count, relative, span
from .outline import Judged, lasted_ns, overview
from .reasons import explained
from .service import Standing, standing, told
from .verdict import Level, Verdict

_FALLS: Final = (DecisionKind.NOT_READY, DecisionKind.DOWN, DecisionKind.RESTART)

_RESULT: Final = {
    ProbeType.READINESS: "the Pod NotReady",
    ProbeType.LIVENESS: "it restart the container",
    ProbeType.STARTUP: "it restart the container",
}

_MEANS: Final = {
    "Ready": "it gets traffic from Services",
    "NotReady": "it gets no traffic from Services while that lasts",
    "Restart": "the kubelet kills the container and starts a new one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What there is to know about one probe in trouble."""

    id: str
    level: str
    title: str
    what: str
    since: str
    over: str
    """Whether it is over at the end, and since when."""
    why: str
    check: str
    do: str
    means: str
    """What its last fall means for the Pod; empty where there was none."""
    who: str
    request: str


def headline(judged: Sequence[Judged]) -> str:
    """Return one sentence on the whole."""
    if not judged:
        return "No probes found"
    if len(judged) == 1:
        probe, verdict = judged[0]
        return f"{_name(probe)}: {verdict.sentence}"
    bad = [one for one in judged if one[1].level is Level.TROUBLE]
    targets = {(probe.target.address, probe.target.pod, probe.target.container) for probe, _ in bad}
    if len(targets) == 1:
        # of several probes of one container the one that decided tells what is wrong
        probe, verdict = max(bad, key=lambda one: any(d.kind in ENDS for d in one[0].decisions))
        are = "is" if len(bad) == 1 else "are"
        return f"{len(bad)} of {len(judged)} probes {are} in trouble. {_name(probe)}: {verdict.sentence}"
    return overview(judged)


def answer(probe: Probe, verdict: Verdict, timeline: Timeline, base: int) -> Answer:
    """Return the answers for one probe; times are told from `base`."""
    reasons = explained(probe, verdict)[:2]
    falls = [d for d in probe.decisions if d.kind in _FALLS]
    return Answer(
        id=safe(probe.id),
        level=verdict.level.name.lower(),
        title=_name(probe),
        what=_capital(verdict.sentence),
        since=_since(probe, timeline, base),
        over=_over(standing(probe, timeline, lambda ns: moment(ns, base))),
        why=" Also: ".join(quoting(one.meaning) for one in reasons),
        check=safe(reasons[0].check) if reasons else "",
        do=" ".join(dict.fromkeys(safe(one.advice) for one in reasons if one.advice)),
        means=_MEANS.get(falls[-1].after, "") if falls and probe.checker.kind == "kubelet" else "",
        who=_who(probe),
        request=words.request(probe),
    )


def _name(probe: Probe) -> str:
    noun = " probe" if probe.type is not ProbeType.UNKNOWN else ""
    return f"{_capital(words.kind(probe))}{noun} of {words.label(probe)}"


def _capital(text: str) -> str:
    return f"HAProxy{text[7:]}" if text.startswith("haproxy") else text[:1].upper() + text[1:]


def _who(probe: Probe) -> str:
    """Return `Kubelet 1.36 at 10.128.0.1 asks every 2 s and waits 1 s; 3 failures in a row make the Pod NotReady:`."""
    told = {name: value for name, (value, _) in probe.thresholds.items()}
    period, timeout, failures = (told.get(name) for name in ("periodSeconds", "timeoutSeconds", "failureThreshold"))
    who, could_be, guesses = _capital(words.who(probe.checker)).partition(", could be ")
    text = f"{who} (could be {guesses}) asks" if could_be else f"{who} asks"
    if probe.checker.kind != "kubelet" or not (period and timeout and failures):
        said = words.asked(probe).partition(" (")[0] or words.seen(probe)
        if not said:
            return f"{text}:"
        return f"{text} {said}:" if said.startswith("every ") else f"{text} ({said}):"
    text += f" every {period} s and waits {timeout} s for the answer"
    result = _RESULT.get(probe.type)
    return (
        f"{text}; {count(failures, 'failure')} in a row {'makes' if failures == 1 else 'make'} {result}:"
        if result
        else f"{text}:"
    )


def moment(ns: int, base: int) -> str:
    """Return `2026-11-22 20:11:05.936 UTC (+12.345 s)`."""
    return f"{clock(ns)} ({relative(ns, base)} s)"


def _over(stands: Standing | None) -> str:
    """Return `Yes: Ready since …`, `No: NotReady since …`."""
    if stands is None:
        return ""
    word = {True: "Yes", False: "No", None: "Not certain"}[stands.over]
    return f"{word}: {stands.sentence}."


def _since(probe: Probe, timeline: Timeline, base: int) -> str:
    """Return when it began and what was decided."""
    falls = sorted((d for d in probe.decisions if d.kind in _FALLS), key=lambda d: d.ns)
    failed = sorted(
        (a for a in probe.attempts if a.outcome in (Outcome.FAILURE, Outcome.DISCARDED)), key=lambda a: a.start.ns
    )
    if not falls:
        gone = outages(probe, timeline)
        if gone:
            return _taken(gone, base)
        return _undecided(probe, failed, base) if failed else ""
    first = falls[0]
    begin = streak_began(probe, first.ns)
    parts = [f"The failures began at {moment(begin.start.ns, base)}, with attempt #{begin.n}."] if begin else []
    parts.append(f"{_decided(first)} at {moment(first.ns, base)}, after {count(first.streak, 'failure')} in a row.")
    if len(falls) > 1:
        parts.append(f"This happened {len(falls)} times, last at {moment(falls[-1].ns, base)}.")
    return " ".join(part for part in parts if part)


def _decided(decision: Decision) -> str:
    if decision.kind is DecisionKind.RESTART:
        return "The restart was decided"
    return f"{safe(decision.after)} was decided"


def _undecided(probe: Probe, failed: Sequence[Attempt], base: int) -> str:
    first, last = failed[0], failed[-1]
    everything = len(failed) == len(probe.attempts)
    begin = f"From {moment(first.start.ns, base)} on, attempt #{first.n}"
    if everything:
        return f"{begin}, the first that the capture shows; none succeeded until its end."
    if last.n == max(a.n for a in probe.attempts):
        return f"{begin}, and still when the capture ends."
    return f"{begin}; the last at {moment(last.start.ns, base)}, attempt #{last.n}."


def _taken(gone: Sequence[Outage], base: int) -> str:
    """Tell of what no threshold of the probe decided: its container ended."""
    often = f" This happened {len(gone)} times, last at {moment(gone[-1].start_ns, base)}." if len(gone) > 1 else ""
    return f"It went out of service at {moment(gone[0].start_ns, base)}: {told(gone)}.{often}"


def nothing_wrong(judged: Sequence[Judged], timeline: Timeline) -> str:
    """Return the paragraph of a report without trouble."""
    attempts = sum(len(probe.attempts) for probe, _ in judged)
    lasted = [ns for ns in map(lasted_ns, timeline.captures) if ns is not None]
    within = f" in {span(max(lasted))}" if lasted else ""
    return f"{count(attempts, 'attempt')} of {count(len(judged), 'probe')}{within}: nothing here needs to be done."
