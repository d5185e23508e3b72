"""Workloads and their revisions for people: what happened in a sentence, and where it is no rollout, only how many are Ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..model.rollout import PodState, Revision, Rollout, RolloutState
from .escape import pad, safe, shorten, width
from .numbers import count
from .paper import Paper, Span

MOST: Final = 12
"""Rollouts told in the table, and steady workloads named in it."""
NAME: Final = 24
"""Columns of a revision's name; a hash has ten at most."""
PROBES: Final = 8
"""Ids of probes named in one line of the table."""

_MARK: Final = {
    RolloutState.UNAVAILABLE: "alarm",
    RolloutState.BLOCKED: "alarm",
    RolloutState.DEGRADED: "alarm",
    RolloutState.PROGRESSING: "yellow",
    RolloutState.UNKNOWN: "yellow",
    RolloutState.COMPLETE: "green",
}
_GROUPED: Final = (RolloutState.STEADY, RolloutState.UNKNOWN)
"""Told in short where there is one revision only."""


def write_rollouts(paper: Paper, rollouts: Sequence[Rollout], *, wide: bool) -> None:
    """Write rollouts with their revisions, then the other workloads in one paragraph; nothing where one Pod is all there is."""
    told = [one for one in rollouts if not _plain(one)]
    plain = [one for one in rollouts if _plain(one)]
    if not told and sum(revision.seen for one in plain for revision in one.revisions) < 2:
        return
    paper.line()
    paper.line(Span("rollouts" if told else "workloads", "bold"))
    shown = told if wide else told[:MOST]
    for one in shown:
        style = _MARK.get(one.state, "")
        glyph = {"alarm": paper.glyphs.failure, "green": paper.glyphs.good}.get(style, "!")
        text = f"{safe(one.kind)} {safe(one.namespace)}/{safe(one.name)}: {safe(one.sentence)}"
        paper.filled(text, first=[Span(f"  {glyph} ", style)], indent=4)
        names = min(max(width(safe(revision.revision)) for revision in one.revisions), NAME)
        for revision in one.revisions:
            if revision.seen or revision.hidden:
                paper.filled(
                    _revision(paper, revision, wide=wide),
                    first=[Span(f"      {pad(_name(paper, revision, names), names)}  ")],
                    indent=8 + names,
                    style="dim",
                )
    if len(told) > len(shown):
        paper.line(Span(f"  {paper.glyphs.ellipsis} and {count(len(told) - len(shown), 'more rollout')}", "dim"))
    if plain:
        named = plain if wide else plain[:MOST]
        rest = len(plain) - len(named)
        text = "; ".join(map(_short, named)) + (f"; and {count(rest, 'other')}" if rest else "")
        paper.filled(text, first=[Span("  ")] if not told else [Span("    besides: ")], indent=2 if not told else 13)


def _name(paper: Paper, revision: Revision, room: int) -> str:
    return shorten(safe(revision.revision), room, paper.glyphs.ellipsis)


def _plain(one: Rollout) -> bool:
    return one.state in _GROUPED and len(one.revisions) == 1


def _revision(paper: Paper, revision: Revision, *, wide: bool) -> str:
    """Return `2 pods: Ready; probes p1, p2`, `3 pods: 1 Ready, 2 NotReady; probes ...; 1 not seen`."""
    rest = unseen(revision)
    if not revision.seen:
        return f"{count(len(revision.hidden), 'pod')}, {rest.partition(' ')[2]}"
    states = [f"{revision.count(state)} {state.value}" for state in PodState if revision.count(state)]
    if len(states) == 1:
        states = [states[0].partition(" ")[2]]
    ids = [ident for pod in revision.pods for ident in pod.probes]
    some = ids if wide else ids[:PROBES]
    more = f" {paper.glyphs.ellipsis}" if len(ids) > len(some) else ""
    probes = f"{'probe' if len(ids) == 1 else 'probes'} {', '.join(some)}{more}"
    return f"{count(revision.seen, 'pod')}: {', '.join(states)}; {probes}{f'; {rest}' if rest else ''}"


def unseen(revision: Revision) -> str:
    """Return `1 not seen, waiting: ImagePullBackOff`; empty where all were seen."""
    hidden = len(revision.hidden)
    if not hidden:
        return ""
    reasons = [safe(pod.waiting) for pod in revision.hidden if pod.waiting]
    some = f"{len(reasons)} " if len(reasons) < hidden else ""
    return f"{hidden} not seen" + (f", {some}waiting: {', '.join(dict.fromkeys(reasons))}" if reasons else "")


def _short(one: Rollout) -> str:
    """Return `Deployment shop/web 5c4b9d7f86 (2 of 2 Ready)`."""
    (revision,) = one.revisions
    name = f"{safe(one.kind)} {safe(one.namespace)}/{safe(one.name)} {safe(revision.revision)}".rstrip()
    rest = f", {unseen(revision)}" if revision.hidden else ""
    if one.state is RolloutState.UNKNOWN:
        return f"{name} ({count(revision.seen, 'pod')}, state not visible in packets{rest})"
    return f"{name} ({revision.count(PodState.READY)} of {revision.seen} Ready{rest})"
