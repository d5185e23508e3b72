"""A timeline as the values that the HTML report's template writes, section by section.

Order: verdict, overview, failures by cause, each probe (drawing, story, first failure), rollouts, other traffic,
findings, method and caveats. Probes are made one at a time while the page is written, so that only one probe's
drawing is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..decisions.outages import ENDS, outages
from ..model.catalogue import entry
from ..model.finding import Finding, Held
from ..model.frame import CaptureInfo
from ..model.ladder import Ladder
from ..model.rollout import PodState, Revision, Rollout
from ..model.said import EXPLAINED, Account
from ..model.timeline import Attempt, Cause, DecisionKind, Leg, Outcome, Probe, Timeline, TimelineEvent
from . import ladder, words
from .account import difference, joined, told
from .escape import printable, quoting, safe
from .findings import passes, summary
from .html_latency import plot
from .html_strip import strip
from .html_values import CauseRow, Connected, Fact, First, Kubelet, Listed, Page, Phase, Reason, Section, Verdicted
from .html_verdict import answer, headline, moment, nothing_wrong
from .kubelet_says import kubelet_says
from .numbers import clock, count, duration, relative, span
from .outline import (
    Judged,
    base_ns,
    clients,
    counts,
    events_of,
    lasted_ns,
    latency,
    name_of,
    nothing,
    ordered,
    others_of,
    overview,
    unwell,
)
from .paper import COLUMNS
from .reasons import explain, explained_by, telling
from .rollouts import unseen
from .rows import event_words, leg_words, rows, trimmed
from .verdict import Level, Verdict

MOST_ANSWERS: Final = 4
"""Probes whose answers stand at the top."""
MOST_PROBES: Final = 60
"""Probes with a section of their own, the worst first."""
MOST_LISTED: Final = 1000
"""Probes in the overview, clients, events and findings in their tables; the rest is counted."""
MOST_LADDERS: Final = 12
"""First failures drawn as ladders."""
PHONE: Final = 46
"""Columns of a ladder on a phone (390 CSS pixels wide)."""
MOST_SAID: Final = 60
"""Rows of one table of what the kubelet said."""
MOST_CAUSES: Final = 40
"""Rows of the table of causes."""

_WORD: Final = {
    Level.TROUBLE: "trouble",
    Level.WARNING: "warning",
    Level.UNCLEAR: "inconclusive",
    Level.FINE: "fine",
}
GLYPH: Final = {Level.TROUBLE: "✗", Level.WARNING: "!", Level.UNCLEAR: "?", Level.FINE: "✓"}


def first_failures(timeline: Timeline) -> list[tuple[Probe, Attempt]]:
    """Return the attempts that the report shows as ladders: of each probe that should be looked at the failure that says most."""
    bad = [(verdict.level, probe) for probe, verdict in ordered(timeline) if verdict.level >= Level.WARNING]
    bad.sort(key=lambda item: -item[0])
    found = [(probe, telling(probe)) for _, probe in bad]
    return [(probe, attempt) for probe, attempt in found if attempt is not None][:MOST_LADDERS]


class Maker:
    """Makes the page of one timeline."""

    def __init__(self, timeline: Timeline, ladders: Sequence[Ladder] = ()) -> None:
        self._timeline = timeline
        self._ladders = {(one.probe.id, one.attempt.n): one for one in ladders}
        self._base = base_ns(timeline)
        self._several = len(timeline.captures) > 1
        self._judged = ordered(timeline)
        self._told_others = others_of(timeline)
        self._end = max((c.last_ns for c in timeline.captures if c.last_ns is not None), default=self._base)

    def page(self) -> Page:
        """Return it. Its sections are made as they are read."""
        timeline, judged = self._timeline, self._judged
        worst = max((verdict.level for _, verdict in judged), default=Level.UNCLEAR)
        bad = [one for one in judged if one[1].level >= Level.WARNING] or [
            o for o in judged if o[1].level is not Level.FINE
        ]
        # of those equally badly off, first the one that decided: it tells why
        bad.sort(key=lambda one: (-one[1].level, not any(d.kind in ENDS for d in one[0].decisions)))
        seen, hints = nothing(timeline) if not judged else ("", [])
        more = len(bad) - MOST_ANSWERS
        return Page(
            title=f"{_WORD[worst]}: {', '.join(safe(c.path.rsplit('/', 1)[-1]) for c in timeline.captures[:3])}",
            subject=self._subject(),
            level=_WORD[worst],
            glyph=GLYPH[worst],
            headline=headline(judged),
            answers=[answer(probe, verdict, timeline, self._base) for probe, verdict in bad[:MOST_ANSWERS]],
            paragraph="" if bad else nothing_wrong(judged, timeline) if judged else f"Seen were {seen}.",
            more=f"{count(more, 'more probe')} that should be looked at: see the overview." if more > 0 else "",
            overview=overview(judged) if judged else "",
            listed=[self._listed(n, one) for n, one in enumerate(judged[:MOST_LISTED])],
            unlisted=max(0, len(judged) - MOST_LISTED),
            causes=self._causes(judged),
            sections=(self._section(one) for one in judged[:MOST_PROBES]),
            untold=max(0, len(judged) - MOST_PROBES),
            rollouts=[self._rollout(one) for one in timeline.rollouts[:MOST_LISTED]],
            others=self._others(),
            others_left=max(0, len(self._told_others) - MOST_LISTED),
            events=self._events(),
            findings=self._findings(),
            passed=list(passes(timeline.findings).items())[:MOST_LISTED],
            kubelet=self._kubelet(timeline.kubelet) if timeline.kubelet is not None else None,
            findings_summary=summary(timeline.findings) if timeline.findings else "",
            inputs=[self._input(n, info) for n, info in enumerate(timeline.captures, 1)],
            caveats=self._caveats(),
            numbers=self._numbers(),
            notes=[safe(note) for note in timeline.notes],
            hints=hints,
            base=self._base,
        )  # fmt: skip

    def _subject(self) -> str:
        infos = self._timeline.captures
        names = ", ".join(safe(info.path) for info in infos[:4]) + (
            f" and {len(infos) - 4} more" if len(infos) > 4 else ""
        )
        frames = count(sum(info.frames for info in infos), "frame")
        whole = "complete" if self._timeline.complete else "INCOMPLETE"
        if len(infos) == 1 and infos[0].began_ns is not None and infos[0].ended_ns is not None:
            return f"{names}: {frames} in {span(lasted_ns(infos[0]) or 0)}, the first at {clock(self._base)}, {whole}"
        if self._end > self._base:
            return f"{names}: {frames}, {span(self._end - self._base)} from {clock(self._base)}, {whole}"
        return f"{names}: {frames}, {whole}"

    def _listed(self, place: int, one: Judged) -> Listed:
        probe, verdict = one
        return Listed(
            id=safe(probe.id), level=_WORD[verdict.level], glyph=GLYPH[verdict.level], kind=words.kind(probe),
            label=words.label(probe), sentence=verdict.sentence, linked=place < MOST_PROBES,
        )  # fmt: skip

    def _causes(self, judged: Sequence[Judged]) -> list[CauseRow]:
        """Return failures by cause over all probes; words and numbers are those of the probe that has most of them."""
        found: dict[Cause, list[tuple[Probe, list[Attempt]]]] = {}
        for probe, _ in judged:
            mine: dict[Cause, list[Attempt]] = {}
            for attempt in probe.attempts:
                if attempt.outcome is not Outcome.SUCCESS:
                    mine.setdefault(attempt.cause, []).append(attempt)
            for cause, attempts in mine.items():
                found.setdefault(cause, []).append((probe, attempts))
        made = []
        for cause, by_probe in found.items():
            chief = max(by_probe, key=lambda item: len(item[1]))[0]
            made.append(self._cause(cause, chief, [a for _, mine in by_probe for a in mine], [p for p, _ in by_probe]))
        return sorted(made, key=lambda row: -row.attempts)[:MOST_CAUSES]

    def _cause(self, cause: Cause, chief: Probe, attempts: Sequence[Attempt], probes: Sequence[Probe]) -> CauseRow:
        meaning, advice = explain(chief, cause)
        names = ", ".join(_named(p) for p in probes[:6])
        first, last = min(a.start.ns for a in attempts), max(a.start.ns for a in attempts)
        return CauseRow(
            slug=cause.value, label=entry(cause, chief.handler).label, attempts=len(attempts), meaning=meaning, advice=advice,
            probes=names + (f" and {len(probes) - 6} more" if len(probes) > 6 else ""),
            first=relative(first, self._base), last=relative(last, self._base),
        )  # fmt: skip

    def _section(self, one: Judged) -> Section:
        probe, verdict = one
        events = events_of(probe, self._timeline)
        head, left_out, tail = trimmed(
            rows(probe, events, outages(probe, self._timeline), wide=False, several=self._several)
        )
        owner = f" {words.owner(probe.target)}" if probe.target.pod is not None else ""
        reasons = _reasons(probe, verdict)
        return Section(
            id=safe(probe.id),
            level=_WORD[verdict.level],
            glyph=GLYPH[verdict.level],
            title=words.kind(probe) + owner,
            request=words.request(probe),
            sentence=verdict.sentence,
            facts=self._facts(probe),
            strip=strip(probe, events, self._base, outages(probe, self._timeline)) if probe.attempts else None,
            plot=plot(probe, self._base, latency(probe)),
            reasons=[one for one, remark in reasons if not remark],
            remarks=[one for one, remark in reasons if remark],
            rows=head,
            left_out=count(left_out, "row") if left_out else "",
            tail=tail,
            first=self._first(probe) if verdict.level is not Level.FINE else None,
            said=self._said(probe),
            notes=[safe(note) for note in probe.notes],
            open=verdict.level is not Level.FINE or len(self._judged) == 1,
        )  # fmt: skip

    def _facts(self, probe: Probe) -> list[Fact]:
        state = ""
        if probe.initial_state not in ("", "unknown"):
            why = f" ({safe(probe.initial_evidence)})" if probe.initial_evidence else ""
            since = probe.initial_since_ns
            when = (
                "at the beginning"
                if since is None
                else f"since {relative(since, self._base)} at the latest, unknown before that"
            )
            state = f"{safe(probe.initial_state)} {when}{why}, {safe(probe.final_state)} at the end"
        facts = [
            ("asked by", f"{words.who(probe.checker)} {words.proof(probe.checker)}".rstrip()),
            ("asked", words.asked(probe) or (words.unasked(probe) if probe.checker.kind == "kubelet" else "")),
            ("seen", words.seen(probe)),
            ("result", counts(probe)),
            ("latency", latency(probe)),
            ("state", state),
            ("clients", clients(probe.effects)),
        ]  # fmt: skip
        return [Fact(name, text) for name, text in facts if text]

    def _first(self, probe: Probe) -> First | None:
        attempt = telling(probe)
        if attempt is None:
            return None
        first, last = attempt.frames()
        file = self._timeline.captures[attempt.file].path if attempt.file < len(self._timeline.captures) else ""
        result = words.result(attempt, probe.handler)
        detail = quoting(attempt.detail)
        return First(
            title=f"{_which(probe)}: #{attempt.n} at {moment(attempt.start.ns, self._base)}",
            says=result + (f": {detail}" if detail and detail != result else "") + f", after {duration(attempt.latency_ns)}"
            + ("" if attempt.end_mark is not None else ", when the checker's time was up"),
            ladder=self._ladder(probe, attempt, COLUMNS),
            narrow=self._ladder(probe, attempt, PHONE),
            legs=[self._leg(attempt, leg) for leg in attempt.legs],
            filter=f"{safe(file)}: frame.number in {{{first}..{last}}}",
        )  # fmt: skip

    def _ladder(self, probe: Probe, attempt: Attempt, columns: int) -> Sequence[str]:
        made = self._ladders.get((probe.id, attempt.n))
        if made is None:
            return ()
        parts: list[str] = []
        ladder.write([made], self._timeline.captures, parts.append, columns=columns)
        # the sign of a pause comes from another font in many browsers, of another width
        return [printable(line) for line in "".join(parts).replace("⋮", ":").split("\n")]

    def _leg(self, attempt: Attempt, leg: Leg) -> Connected:
        connection = leg.connection
        whole = max(attempt.end_ns, connection.end.ns) - attempt.start.ns
        begin = connection.start.ns - attempt.start.ns
        phases: list[Phase] = []

        def add(name: str, start: int, end: int) -> int:
            length = max(whole, 1)
            x, width = round(100 * max(start, 0) / length, 2), round(100 * max(end - start, 0) / length, 2)
            phases.append(Phase(name=name, lasted=duration(end - start), x=x, width=width))
            return end

        at = begin
        if leg.connect_ns is not None:
            at = add("connect", at, at + leg.connect_ns)
        if leg.tls_ns is not None:
            at = add("TLS", at, at + leg.tls_ns)
        verdict = attempt.end_ns - attempt.start.ns
        if leg.first_byte_ns is not None:
            came = at + leg.first_byte_ns
            if attempt.end_mark is None and at < verdict < came:
                at = add("wait, until the checker's time was up", at, verdict)
                at = add("answer came too late", at, came)
            else:
                at = add("wait for the answer", at, came)
        if attempt.end_mark is None and verdict > at:
            add("nothing, until the time was up", at, verdict)
        elif begin + leg.total_ns > at:
            add("rest, and close", at, begin + leg.total_ns)
        alone = (connection.start.file, connection.start.number, connection.end.number)
        file, first, last = connection.frames[0] if connection.frames else alone
        return Connected(
            role=leg.role.value, says=leg_words(leg), phases=phases,
            frames=f"frames {words.span(file, first, last, several=self._several)}",
        )  # fmt: skip

    def _rollout(self, one: Rollout) -> tuple[str, str, str, list[list[str]]]:
        revisions = [_revision(revision, self._base) for revision in one.revisions]
        return (
            f"{safe(one.kind)} {safe(one.namespace)}/{safe(one.name)}",
            one.state.value,
            safe(one.sentence),
            revisions,
        )

    def _said(self, probe: Probe) -> list[list[str]]:
        """Return what the wire shows and what the kubelet says, side by side."""
        made = []
        for attempt in probe.attempts:
            for said in attempt.said:
                wire = f"{attempt.outcome.value}: {words.result(attempt, probe.handler)} ({attempt.cause.value})"
                text = safe(said.text) or "no text"
                often = f" ({count(said.count, 'time')})" if said.count > 1 else ""
                when = relative(attempt.end_ns, self._base)
                made.append([f"#{attempt.n}", when, wire, f"{said.saying.value}: {text}{often}", safe(said.source)])
            if len(made) >= MOST_SAID:
                break
        return made[:MOST_SAID]

    def _kubelet(self, account: Account) -> Kubelet:
        names = {probe.id: _named(probe) for probe in self._timeline.probes}
        decisions = [
            [
                relative(beside.ns, self._base),
                names.get(beside.probe or "", "–"),
                safe(beside.said.state or beside.said.text),
                f"decided by #{beside.attempt}" if beside.attempt is not None
                else "a container's beginning or end" if beside.initial else "not to be seen",
                safe(beside.said.source),
            ]
            for beside in account.decisions[:MOST_SAID]
        ]  # fmt: skip
        differences = [
            ["– explained" if one.clash in EXPLAINED else "! contradiction", difference(one, self._base)]
            for one in sorted(account.differences, key=lambda d: d.clash in EXPLAINED)[:MOST_LISTED]
        ]
        return Kubelet(
            files=[
                [safe(file.source), told(file, offset), " ".join(map(safe, file.notes))]
                for file, offset in zip(account.files, account.offsets, strict=True)
            ],
            joined=joined(account), differences=differences, decisions=decisions,
        )  # fmt: skip

    def _others(self) -> list[list[str]]:
        return [
            [name_of(one.all), one.where, safe(one.all.what), str(one.all.connections), unwell(one.all)]
            for one in self._told_others[:MOST_LISTED]
        ]

    def _events(self) -> list[list[str]]:
        def row(event: TimelineEvent) -> list[str]:
            return [relative(event.told_ns, self._base), safe(event.address), event_words(event)]

        told = {id(e) for probe, _ in self._judged[:MOST_PROBES] for e in events_of(probe, self._timeline)}
        rest = [e for e in self._timeline.events if id(e) not in told]
        return [row(event) for event in sorted(rest, key=lambda e: e.ns)[:MOST_LISTED]]

    def _findings(self) -> list[Verdicted]:
        found = [f for held in (Held.FAIL, Held.INCONCLUSIVE) for f in self._timeline.findings if f.held is held]
        return [self._finding(finding) for finding in found[:MOST_LISTED]]

    def _finding(self, finding: Finding) -> Verdicted:
        proof = ", ".join(words.span(e.file, e.first, e.last, several=self._several) for e in finding.evidence[:6])
        source = f" ({safe(finding.source_name)})" if finding.source and finding.expected else ""
        return Verdicted(
            word="✗ fail" if finding.held is Held.FAIL else "? inconclusive",
            kind="trouble" if finding.held is Held.FAIL else "unclear",
            subject=safe(finding.subject), field=safe(finding.field), sentence=safe(finding.sentence),
            expected=f"{safe(finding.expected)}{source}", observed=safe(finding.observed),
            proof=f"frames {proof}" if proof else "",
        )  # fmt: skip

    def _input(self, number: int, info: CaptureInfo) -> list[str]:
        lost = [i for i in info.interfaces if i.drops is not None]
        drops = str(sum(i.drops or 0 for i in lost)) if lost else "not told"
        lasted = lasted_ns(info)
        return [
            f"[{number}] {safe(info.path)}" if self._several else safe(info.path),
            f"{safe(info.format)}, {', '.join(map(safe, info.link_types))}",
            str(info.frames),
            clock(info.first_ns) if info.first_ns is not None else "",
            span(lasted) if lasted is not None else "",
            drops,
            "complete" if info.complete else "INCOMPLETE",
            " ".join(safe(note) for note in info.notes),
        ]

    def _numbers(self) -> list[list[str]]:
        """Return for each probe which numbers were counted with, and where each came from."""
        made = []
        for probe, _ in self._judged[:MOST_PROBES]:
            said = [f"{safe(name)} {value} ({safe(source)})" for name, (value, source) in probe.thresholds.items()]
            made.append([
                f"{_named(probe)} ({safe(probe.id)})", safe(probe.type_source),
                safe(probe.target.named_by or "not named"), ", ".join(said),
            ])  # fmt: skip
        return made

    def _caveats(self) -> list[str]:
        made: list[str] = []
        for info in self._timeline.captures:
            name, lost = safe(info.path), sum(i.drops or 0 for i in info.interfaces)
            if not info.complete:
                made.append(f"{name} is cut or corrupt: what was whole before that point is told, nothing after it.")
            if lost:
                missing = f"the capturing program lost {count(lost, 'frame')}"
                made.append(f"{name}: {missing}; an attempt without frames may be one of them.")
        probes = [probe for probe, _ in self._judged]
        assumed = sum(any(source == "default" for _, source in p.thresholds.values()) for p in probes)
        unsure, hint = sum(p.checker.kind == "unknown" for p in probes), words.unproven(p.checker for p in probes)
        unclear = sum(a.outcome is Outcome.INCONCLUSIVE for p in probes for a in p.attempts)
        if assumed:
            made.append(
                f"{count(assumed, 'probe')}: some numbers are Kubernetes' or the checker's defaults, "
                "neither declared nor visible in packets; they are marked below."
            )
        if unsure:
            made.append(f"{count(unsure, 'checker')} could not be proven to be a kubelet or another known program.")
        if hint:
            made.append(f"{hint[:1].upper()}{hint[1:]}.")
        if unclear:
            why = "the evidence is missing (encrypted, cut, or the capture ended)"
            made.append(f"{count(unclear, 'attempt')} stayed inconclusive: {why}.")
        return made


def _named(probe: Probe) -> str:
    """Return what a probe is called among others: `readiness shop/web/app`."""
    return f"{words.kind(probe)} {words.label(probe)}"


def _which(probe: Probe) -> str:
    """Say why this failure of all is shown."""
    ended = [decision for decision in probe.decisions if decision.kind in ENDS]
    if not ended:
        return "The first failure"
    restart = next((one for one in ended if one.kind is DecisionKind.RESTART), ended[0])
    return f"The failure that led to {safe(restart.after)}"


def _reasons(probe: Probe, verdict: Verdict) -> list[tuple[Reason, bool]]:
    """Return diagnoses, and causes of which no more is known, each with whether it is a remark: none of its attempts failed."""
    known = {a.n: a for a in probe.attempts}
    made: list[tuple[Reason, bool]] = []
    for one in probe.diagnoses:
        mine = [known[n] for n in one.attempts if n in known]
        said = dict.fromkeys(kubelet_says(probe, a) for a in mine[:MOST_SAID])
        reason = Reason(
            name=safe(one.kind), label=safe(one.kind.replace("-", " ")), attempts=_numbers(one.attempts),
            meaning=quoting(explained_by(one)), check=safe(one.check), advice=safe(one.advice),
            says="; ".join([text for text in said if text][:3] or map(safe, one.says)), harmless=one.harmless,
            below=", ".join(dict.fromkeys(entry(a.cause, probe.handler).label for a in mine if a.cause is not Cause.OK)),
        )  # fmt: skip
        made.append((reason, one.harmless and all(a.outcome is Outcome.SUCCESS for a in mine)))
    left: dict[Cause, list[Attempt]] = {}
    for attempt in probe.attempts:
        if attempt.outcome is not Outcome.SUCCESS and attempt.diagnosis is None:
            left.setdefault(attempt.cause, []).append(attempt)
    for cause, attempts in sorted(left.items(), key=lambda item: -len(item[1])):
        meaning, advice = explain(probe, cause)
        numbers = [a.n for a in attempts]
        made.append((Reason(
            below="", name=cause.value, label=entry(cause, probe.handler).label, attempts=_numbers(numbers), meaning=quoting(meaning),
            check="", advice=safe(advice), says=kubelet_says(probe, attempts[0]), harmless=verdict.level is Level.FINE,
        ), False))  # fmt: skip
    return made


def _numbers(numbers: Sequence[int]) -> str:
    """Return `7: #6, #7, #8 …`."""
    shown = ", ".join(f"#{n}" for n in numbers[:6])
    return f"{len(numbers)}: {shown}" + (" …" if len(numbers) > 6 else "") if numbers else ""


def _revision(revision: Revision, base: int) -> list[str]:
    states = [f"{revision.count(state)} {state.value}" for state in PodState if revision.count(state)]
    failures = ", ".join(f"{safe(f.type)} {words.counted(f.attempts, safe(f.result))}" for f in revision.failures[:4])
    ready = "never" if revision.first_ready_ns is None else f"{relative(revision.first_ready_ns, base)} s"
    return [
        safe(revision.revision) or "–",
        ", ".join([*states, *filter(None, [unseen(revision)])]) or "not seen",
        ready,
        f"{revision.attempts}" + (f" ({failures})" if failures else ""),
        ", ".join(safe(pod.name) for pod in revision.pods[:8]) + (" …" if len(revision.pods) > 8 else ""),
    ]
