# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""When clients opened connections: exact while they are few, never wrong once they are many."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make import OPENED, POD, POD6, V4, V6, connection, ns

from probewatch.model.connection import IcmpNote
from probewatch.model.frame import Mark
from probewatch.probes.openings import PATIENCE_NS, Answer, Openings, Sum, answer_of

MOMENTS = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(list(Answer))), max_size=60)


def opened(moments: list[tuple[int, Answer]]) -> Openings:
    """Return openings at these moments; frame numbers follow time."""
    openings = Openings()
    for at, answer in moments:
        openings.add(Mark(at, 0, at + 1), answer)
    return openings


@given(MOMENTS, st.integers(0, 10_000), st.integers(0, 10_000))
def test_few_are_exact(moments, low, high) -> None:
    """As long as nothing was joined, numbers, first and last are those of the moments themselves."""
    found = opened(moments).between(low, high)
    inside = [(at, answer) for at, answer in moments if low <= at < high]
    assert found.exact
    assert found.answers == Counter(answer for _, answer in inside)
    assert (found.first and found.first.ns) == min((at for at, _ in inside), default=None)
    assert (found.last and found.last.ns) == max((at for at, _ in inside), default=None)


@given(MOMENTS, st.integers(1, 6), st.integers(0, 10_000), st.integers(0, 10_000))
def test_joined_cells_never_say_too_much(moments, times, low, high) -> None:
    """Joined cells count no more than there is, keep first and last within what is there, and say when they are no longer exact."""
    openings = opened(moments)
    for _ in range(times):
        openings.coarsen()
    found, true = openings.between(low, high), opened(moments).between(low, high)
    assert found.total <= true.total
    if found.exact:
        assert (found.answers, found.first, found.last) == (true.answers, true.first, true.last)
    for mark in (found.first, found.last):
        assert mark is None or (true.first is not None and true.last is not None and true.first <= mark <= true.last)
    for answer in (Answer.REFUSED, Answer.SILENCE):
        assert found.answers.get(answer, 0) <= true.answers.get(answer, 0)
    # A failure that is shown is one.
    failures = {at for at, answer in moments if answer in (Answer.REFUSED, Answer.UNREACHABLE, Answer.SILENCE)}
    for mark in (found.first_failed, found.last_failed):
        assert mark is None or mark.ns in failures


@given(MOMENTS)
def test_the_order_of_openings_does_not_matter(moments) -> None:
    """Whichever way round they come, what is told of any time is the same."""
    one, other = opened(moments), opened(moments[::-1])
    one.coarsen()
    other.coarsen()
    for low, high in ((0, 20_000), (100, 5_000), (5_000, 5_001)):
        assert one.between(low, high) == other.between(low, high)


def test_joining_halves_and_ends() -> None:
    """Joining leaves at most half of the cells, and one cell at last; nothing that was counted goes missing."""
    openings = opened([(at * 1_000, Answer.ACCEPTED) for at in range(1_000)])
    while len(openings) > 1:
        before = len(openings)
        assert openings.coarsen() == before - len(openings)
        assert len(openings) <= before // 2
        assert openings.between(0, 1_000_000) == Sum({Answer.ACCEPTED: 1_000}, Mark(0, 0, 1), Mark(999_000, 0, 999_001))
    assert openings.coarsen() == 0


@pytest.mark.parametrize("between", [V4, V6])
@pytest.mark.parametrize(("script", "answer"), [
    (OPENED + "> FA\n < FA\n > A", Answer.ACCEPTED),
    ("> S\n < SA\n > R", Answer.ACCEPTED),
    ("> S\n < RA", Answer.REFUSED),
    ("> S\n +1s > S seq=0\n < RA", Answer.REFUSED),
    ("> S\n +1s > S seq=0", Answer.SILENCE),
    ("> S\n > A\n > PA 'x'", Answer.ACCEPTED),  # the answers went another way
])
def test_what_came_back(script, answer, between) -> None:
    """What answers the SYN is told as it is, over IPv4 and IPv6; where answers take another way, the client's own frames show that there was one."""
    assert answer_of(connection(script, between), ns(60)) is answer


def test_silence_needs_time_and_icmp_is_an_answer() -> None:
    """A SYN in the last second of a capture is no silence; an ICMP error is no silence either."""
    made = connection("> S")
    assert answer_of(made, made.start.ns + PATIENCE_NS - 1) is Answer.OPEN
    assert answer_of(made, made.start.ns + PATIENCE_NS) is Answer.SILENCE
    for reporter, version, kind, code in ((POD, 4, 3, 13), (POD6, 6, 1, 1)):
        note = IcmpNote(mark=made.start, reporter=reporter, version=version, type=kind, code=code)
        assert answer_of(replace(made, icmp=note), ns(60)) is Answer.UNREACHABLE
