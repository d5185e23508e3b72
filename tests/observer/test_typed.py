"""Probes that no spec declares: what each one's own attempts show of it, where two ask the same."""

from __future__ import annotations

import pytest
from make import NODE, NODE6, POD, POD6, every, frames, probes

from probewatch.model.book import AddressBook
from probewatch.model.timeline import DecisionKind, Outcome
from probewatch.observer import Observer, Settings


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_two_that_ask_the_same_have_timeouts_of_their_own(client: str, server: str) -> None:
    """Liveness gives up after 1 s while readiness waits 1.8 s and takes the answer: these are no failures, and Ready is not lost."""
    ends = {"client": client, "server": server}
    readiness = [
        *probes([0, 0.001, *every(3, 3, 3.001)], **ends),
        *probes(every(3, 4, 12.001), "late", **ends),
        *probes(every(3, 6, 24.001), **ends),
    ]
    liveness = [
        *probes(every(3, 4, 1.3), **ends),
        *probes([13.3, 16.3], "hung", **ends),
        *probes(every(3, 7, 19.3), **ends),
    ]
    observer = Observer(Settings(book=AddressBook()))
    for one in frames(*readiness, *liveness):
        observer.feed(one)
    found = {probe.thresholds["timeoutSeconds"][0]: probe for probe in observer.finish().probes}
    assert set(found) == {1, 2}
    assert {attempt.outcome for attempt in found[2].attempts} == {Outcome.SUCCESS}
    assert [attempt.outcome for attempt in found[1].attempts].count(Outcome.FAILURE) == 2
    assert all(decision.kind is DecisionKind.READY for probe in found.values() for decision in probe.decisions)


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_two_series_that_take_turns_are_no_probe_of_a_shorter_period(client: str, server: str) -> None:
    """Two probes of one path each 3 s, one of them a whole second behind the other, are not one each second that leaves out every third."""
    ends = {"client": client, "server": server}
    readiness = [
        *probes(every(1, 9, -5.998), "refused", **ends),
        *probes(every(3, 5, 6.002), **ends),
        *probes(every(3, 3, 21.002), "503", **ends),
        *probes([27.004, *every(3, 8, 30.004)], **ends),
    ]
    liveness = probes(every(3, 16, 3.992), **ends)
    observer = Observer(Settings(book=AddressBook()))
    for one in frames(*readiness, *liveness):
        observer.feed(one)
    found = observer.finish().probes
    assert [probe.thresholds["periodSeconds"][0] for probe in found] == [3, 3]
    assert [gap for probe in found for gap in probe.gaps] == []
