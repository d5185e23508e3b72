"""What the kubelet said beside what the wire shows, for people: the clocks, how much fits, and what does not."""

from __future__ import annotations

from typing import Final

from ..model.said import EXPLAINED, Account, AccountFile, Difference, Offset
from ..model.units import SECOND
from .escape import safe
from .numbers import count, relative, rfc3339
from .paper import Paper, Span

SHOWN: Final = 12
"""Differences told in the table."""


def write_account(paper: Paper, account: Account, base: int, *, wide: bool) -> None:
    """Write it."""
    paper.line()
    paper.line(Span("the kubelet's own account", "bold"))
    for file, offset in zip(account.files, account.offsets, strict=True):
        paper.filled(f"{safe(file.source)}: {told(file, offset)}", first=[Span("  ")], indent=4)
        for note in file.notes:
            paper.filled(safe(note), first=[Span("    note  ", "yellow")], indent=10)
    paper.filled(joined(account), first=[Span("  ")], indent=4)
    shown = account.differences if wide else account.differences[:SHOWN]
    for one in sorted(shown, key=lambda d: d.clash in EXPLAINED):
        glyph, style = ("-", "dim") if one.clash in EXPLAINED else ("!", "yellow")
        paper.filled(difference(one, base), first=[Span(f"  {glyph} ", style)], indent=4)
    rest = len(account.differences) - len(shown)
    if rest:
        paper.line(Span(f"    {paper.glyphs.ellipsis} and {count(rest, 'more difference')}", "dim"))


def told(file: AccountFile, offset: Offset) -> str:
    """Return `7 of 812 lines are about probes; its clock is 3.700 s ahead (±0.001 s, by 7 of them)`."""
    noun = "line" if file.kind == "log" else "event"
    text = f"{len(file.said)} of {count(file.records, noun)} about probes"
    if not offset.pairs and not offset.taken_from:
        return (
            f"{text}; nothing in it matches an attempt, so its clock is assumed to be the capture's"
            if file.said
            else text
        )
    way = "ahead of" if offset.ns >= 0 else "behind"
    text += f"; its clock is {abs(offset.ns) / SECOND:.3f} s {way} the capture's"
    by = (
        f"as {safe(offset.taken_from)} has it"
        if offset.taken_from
        else f"estimated from {count(offset.pairs, 'message')}"
    )
    text += f" ({by}, within {offset.within_ns / SECOND:.3f} s)"
    if offset.rivals:
        others = ", ".join(f"{rival / SECOND:+.3f} s" for rival in offset.rivals)
        text += f"; {others} would match as well"
    return text


def joined(account: Account) -> str:
    """Return `7 sayings belong to an attempt, 4 to a decision; 3 are outside the capture`."""
    decided = sum(beside.attempt is not None for beside in account.decisions)
    begun = sum(beside.initial for beside in account.decisions)
    if not any(file.said for file in account.files):
        return "nothing in it is about probes, so nothing is compared"
    match = "matches" if account.joined == 1 else "match"
    text = f"{count(account.joined, 'message')} {match} an attempt, {decided} a decision"
    if begun:
        text += f", {begun} {'is' if begun == 1 else 'are'} a container's start or end"
    if account.outside:
        text += f"; {account.outside} {'is' if account.outside == 1 else 'are'} before or after the capture"
    if account.unplaced:
        text += f"; {account.unplaced} cannot be placed: too few match to align the clocks"
    hard = sum(d.clash not in EXPLAINED for d in account.differences)
    if hard:
        return f"{text}; {count(hard, 'contradiction')}"
    return text + ("; no contradiction" if account.joined or decided else ", so nothing is confirmed or contradicted")


def difference(one: Difference, base: int) -> str:
    """Return a difference in a line: when, of which probe, how often."""
    when = f"{relative(one.ns, base)}  " if one.ns is not None and rfc3339(one.ns) else ""
    whom = f"{safe(one.probe)}: " if one.probe else ""
    attempts = f" (#{', #'.join(map(str, one.attempts))})" if one.attempts else ""
    often = f", {one.count} times" if one.count > 1 else ""
    source = f" [{safe(one.source)}]" if one.source else ""
    return f"{when}{whom}{safe(one.sentence)}{attempts}{often}{source}"
