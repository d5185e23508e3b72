"""Attempts and decisions as they happen, a line each, in the words of the table's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.spec import ProbeType
from ..model.timeline import Attempt, Decision, Outcome, Probe, Timeline
from ..model.units import SECOND
from ..probes.execs import command_text
from . import words
from .escape import pad, safe, width
from .numbers import plain, rfc3339, span
from .paper import UNICODE, Glyphs, Paper, Span
from .rows import attempt_rows

WIDEST: Final = 48
"""Columns that a probe's name may take before it pushes the rest of its own line to the right."""

if TYPE_CHECKING:
    from ..observer.overdue import Overdue

_DECISION: Final = 8
"""Columns of a decision: `NotReady`."""
_INDENT: Final = 14
"""Where remarks below a line begin: behind the time of day."""

LISTED: Final = 4
"""Numbers of attempts that a correction lists, of more only so many."""
KEPT_LINES: Final = 10_000
"""Lines of which it is known what they said; of older ones nothing is said again."""

Key = tuple[str, str, int]


class _Said(NamedTuple):
    """What a line said of an attempt."""

    who: str
    """Type and name of its probe."""
    n: int
    state: str
    """Which it led to; empty where it decided nothing."""

    def tells(self, now: _Said) -> bool:
        """Return whether it says the same, but for a path that no frame had told when it was said."""
        return now[1:] == self[1:] and now.who.startswith(self.who)


class Lines:
    """Writes lines; columns grow with what they hold."""

    def __init__(
        self,
        out: Callable[[str], object],
        *,
        colour: bool = False,
        glyphs: Glyphs = UNICODE,
        columns: int | None = None,
    ) -> None:
        """Begin; with `columns`, remarks that do not fit behind a line stand below it."""
        self._paper = Paper(out, None, colour=colour, glyphs=glyphs)
        self._below = Paper(out, columns, colour=colour, glyphs=glyphs)
        self._before: dict[Key, Attempt] = {}
        self._sizes = [9, 0, 3, 3, 7, 3]
        self._day = ""
        self._said: dict[tuple[str, int], _Said] = {}
        """(Address, start) of an attempt -> what its line said."""
        self._met: dict[Key, Probe] = {}
        self._overdue: set[Key] = set()
        self._ending: set[tuple[str, str]] = set()
        """Lanes whose liveness stopped while other probes went on."""
        self._anew: list[tuple[_Said, _Said]] = []
        """What reads in another way now, to be told together."""
        self.written = 0
        """Lines written."""

    def attempt(
        self,
        key: Key,
        probe: Probe,
        attempt: Attempt,
        decision: Decision | None,
        *,
        again: bool = False,
        show: bool = True,
    ) -> None:
        """Write the line of an attempt, with the decision that it brought.

        Args:
            key: which probe.
            probe: what is known of it.
            attempt: the attempt.
            decision: what it decided.
            again: it had a line before, and reads in another way now: `reread` says so where that line is remembered.
            show: whether it is to have a line.
        """
        self._met[key] = probe
        late: tuple[str, ...] = ()
        if key in self._overdue and not again:
            self._overdue.discard(key)
            late = (f"the first in {span(attempt.start.ns - self._before[key].start.ns)}",)
        said = _Said(f"{words.kind(probe)} {words.label(probe)}", attempt.n, "" if decision is None else decision.after)
        place = (key[0], attempt.start.ns)
        if again and not self._changed(place, said):
            return
        if not show:
            self._before[key] = attempt
            return
        self._said[place] = said
        if len(self._said) > KEPT_LINES:
            del self._said[next(iter(self._said))]
        self._line(key, probe, attempt, decision, late)

    def _changed(self, place: tuple[str, int], now: _Said) -> bool:
        """Note how an attempt reads now; tell whether it has a line of its own for that: a decision that was not known yet."""
        before = self._said.get(place)
        if before is None:
            return bool(now.state)
        if before.tells(now):
            return False
        if now.state and now[:2] == before[:2]:
            return True
        self._said[place] = now
        self._anew.append((before, now))
        return False

    def reread(self) -> None:
        """Say what reads in another way than lines above have it."""
        for text in _anew(self._anew):
            self._below.filled(text, first=[Span(" " * _INDENT + "corrected  ", "yellow")], indent=_INDENT + 11)
            self.written += 1
        self._anew.clear()

    def compare(self, timeline: Timeline) -> None:
        """Say which lines read in another way in the timeline at the end."""
        for probe in timeline.probes:
            states = {decision.attempt: decision.after for decision in probe.decisions}
            who = f"{words.kind(probe)} {words.label(probe)}"
            for attempt in probe.attempts:
                before = self._said.get((probe.target.address, attempt.start.ns))
                now = _Said(who, attempt.n, states.get(attempt.n, ""))
                if before is not None and not before.tells(now):
                    self._anew.append((before, now))
        self.reread()

    def overdue(self, late: Overdue) -> None:
        """Write once that an attempt is overdue; nothing where its probe has no line, or its kubelet's silence was told."""
        probe, before = self._met.get(late.key), self._before.get(late.key)
        if probe is None or before is None:
            return
        self._overdue.add(late.key)
        ending = late.key[:2] in self._ending
        if late.beside and probe.type is ProbeType.LIVENESS:
            self._ending.add(late.key[:2])
        if late.again:
            return
        self.written += 1
        cells = [(words.kind(probe), ""), (words.label(probe), "bold"), (f"#{before.n + 1}", "")]
        line = [Span(self._time(late.now_ns))]
        for (text, style), size in zip(cells, self._sizes, strict=False):
            line += [Span("  "), Span(pad(text, size), style)]
        self._below.line(*line, "  ", Span("overdue", "alarm"))
        due, last = (self._time(ns, day=False) for ns in (late.due_ns, late.last_ns))
        text = f"due at {due} (every {plain(late.period_ns / SECOND)} s); the last was #{before.n} at {last}"
        self._below.filled(f"{text}. {_why(late, probe, ending=ending)}", first=[Span(" " * _INDENT)], indent=_INDENT)

    def moved(self, text: str) -> None:
        """Write that a Pod seems to have another address now."""
        self._below.filled(text, first=[Span(" " * _INDENT + "moved  ", "yellow")], indent=_INDENT + 7)
        self.written += 1

    def _line(
        self, key: Key, probe: Probe, attempt: Attempt, decision: Decision | None, more: Iterable[str] = ()
    ) -> None:
        self.written += 1
        before = self._before.get(key)
        fresh = before is None or (before.outcome, before.cause, before.status) != (
            attempt.outcome,
            attempt.cause,
            attempt.status,
        )
        self._before[key] = attempt
        decisions = () if decision is None else (decision,)
        row = attempt_rows(probe, attempt, decisions, before, fresh=fresh, wide=False, several=False)[0]
        cells = [
            (words.kind(probe), ""),
            (words.label(probe), "bold"),
            (row.number, ""),
            (row.result, row.style),
            (row.latency, ""),
            (row.streak, ""),
        ]
        self._sizes = [max(size, min(width(text), WIDEST)) for size, (text, _) in zip(self._sizes, cells, strict=True)]
        room = self._below.columns
        # (Where a terminal is too narrow for all, how long it took and its streak are left out of all lines, then what aligns them.)
        when = self._time(row.ns)
        full = len(when) + sum(size + 2 for size in self._sizes) + 2 + _DECISION
        shown_sizes: list[int | None] = [*self._sizes]
        if room is not None and full > room:
            shown_sizes[4] = shown_sizes[5] = None
            full -= self._sizes[4] + self._sizes[5] + 4
        aligned = room is None or full <= room
        line = [Span(when)]
        for place, ((text, style), size) in enumerate(zip(cells, shown_sizes, strict=True)):
            if size is None or (not aligned and not text):
                continue
            shown = text if not aligned else f"{text:>{size}}" if place in (4, 5) else pad(text, size)
            line += [Span("  "), Span(shown, style)]
        line += [Span("  "), Span(pad(row.decision, _DECISION) if aligned else row.decision, row.mood)]
        said = [row.words] if row.words else []
        said += more
        if attempt.execs and attempt.execs[-1].arguments:
            said.append(safe(command_text(attempt.execs[-1].arguments)))
        text, frames = "".join(f"  {one}" for one in said), Span(f"  {row.frames}", "dim")
        long = sum(width(piece.text) for piece in line)
        if room is None or long + width(text) + width(frames.text) <= room:
            self._paper.line(*line, Span(text), frames)
            return
        beside = long + width(frames.text) <= room
        if long > room:
            facts = [piece.text for piece in line[1:] if piece.text.strip()]
            self._below.filled("  ".join(facts), first=[Span(f"{when}  ")], indent=_INDENT)
        else:
            self._below.line(*line, *([frames] if beside else []))
        if text:  # (frames alone are no reason for one more line)
            left_out = [row.latency, row.streak] if shown_sizes[4] is None else []
            below = "  ".join([*filter(None, left_out), text.strip()]) + ("" if beside else frames.text)
            self._below.filled(below, first=[Span(" " * _INDENT)], indent=_INDENT)

    def _time(self, ns: int, *, day: bool = True) -> str:
        """Return the time of day; a new `day` has a line for itself."""
        text = rfc3339(ns) or ""
        if day and text[:10] != self._day:
            self._day = text[:10]
            self._paper.line(Span(f"{self._day} UTC", "dim"))
        return text[11:23] or f"{ns / SECOND:.3f}"


def _why(late: Overdue, probe: Probe, *, ending: bool) -> str:
    """Return what the silence may mean, what speaks for it first, and how to find out; `ending`: as a Pod's end was it told before."""
    if late.beside:
        deleted = ": while a Pod is being deleted, liveness is silent" if probe.type is ProbeType.LIVENESS else ""
        return f"Other probes of its Pod continue{deleted}."
    sign = _ENDED if ending and not late.gone else _sign(late)
    if late.alone:
        who = f"{safe(probe.checker.kind)} at {safe(probe.checker.address)}"
        nobody = f"The {who} has probed nobody since: is it running (systemctl status kubelet on the node)?"
        if late.gone:
            return sign
        return f"{sign} {nobody}" if sign else f"{nobody} is the Pod still there? {_FIREWALL}"
    return "Its kubelet probes others meanwhile. " + (
        sign or f"Is the Pod still there, and does its container run (kubectl get pod, RESTARTS)? {_FIREWALL}"
    )


_ENDED: Final = "Its liveness had stopped before the rest: the Pod was being deleted, and seems to be gone."
_FIREWALL: Final = "does the node's own firewall let its probes out (nft list ruleset)?"


def _sign(late: Overdue) -> str:
    """Return what is known that explains the silence; empty where nothing is."""
    if late.gone:
        return f"The Pod's interface {safe(late.gone)} has gone: the Pod was deleted, or its network taken down."
    waits = "may wait to be started again (CrashLoopBackOff: kubectl get pod, RESTARTS)."
    if late.refused:
        return f"Its container was gone (refused) and {waits}"
    if late.restarted_ns is not None:
        return (
            f"Its container was restarted at {(rfc3339(late.restarted_ns) or '')[11:23]}; if it ended again it {waits}"
        )
    return ""


def _anew(changed: Iterable[tuple[_Said, _Said]]) -> list[str]:
    """Return `probe 10.0.0.1:80 #1-#4 above: readiness 10.0.0.1:80/ready #1-#4, Ready at #1`, a line for each name above."""
    names: dict[str, dict[str, list[tuple[_Said, _Said]]]] = {}
    for before, now in changed:
        names.setdefault(before.who, {}).setdefault(now.who, []).append((before, now))
    out = []
    for who, by_name in names.items():
        above = [before.n for pairs in by_name.values() for before, _ in pairs]
        told = []
        for name, pairs in by_name.items():
            text = f"{name} {_range([now.n for _, now in pairs])}"
            if name == who and all(before.n == now.n for before, now in pairs):
                text = ""
            told.append(text)
            states: dict[str, list[int]] = {}
            for before, now in pairs:
                if now.state != before.state:
                    states.setdefault(now.state or _undecided(before, now), []).append(now.n)
            told += [f"{state} at {_listed(numbers)}" if len(pairs) > 1 else state for state, numbers in states.items()]
        out.append(f"{who} {_range(above)} above: {', '.join(filter(None, told))}")
    return out


def _undecided(before: _Said, now: _Said) -> str:
    """Return what a line without the decision that it was shown with means: not that the opposite is so."""
    if before.state == "Ready" and now.who == before.who:
        return "no change of state (Ready already)"
    return f"no {before.state}"


def _listed(numbers: list[int]) -> str:
    """Return `#3, #5`, and of many only the first ones."""
    numbers = sorted(set(numbers))
    more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED + 1 else ""
    return ", ".join(f"#{number}" for number in (numbers[:LISTED] if more else numbers)) + more


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"#{low}" if low == high else f"#{low}-#{high}"


def wanted(attempt: Attempt, decision: Decision | None, only: str | None) -> bool:
    """Return whether `--only` lets an attempt through: `failures` (whatever is no success, and decisions) or `decisions`."""
    if only is None or decision is not None:
        return True
    return only == "failures" and attempt.outcome is not Outcome.SUCCESS
