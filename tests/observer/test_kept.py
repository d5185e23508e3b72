"""Kept connections as they come from the tracker: nothing that a checker asks is lost, doubled, or held for ever."""

from __future__ import annotations

import pytest
from builder import conversation, feed
from make import V4, V6, frames

from probewatch.model.connection import Connection
from probewatch.model.exchange import Exchange
from probewatch.model.timeline import Cause
from probewatch.observer import Observer, Settings
from probewatch.observer.kept import KeptConnections
from probewatch.wire.exchange import read_exchange
from probewatch.wire.packets import Segment
from probewatch.wire.tcp import Limits, Tracker

ASK = "+{pause} > PA 'GET /healthz HTTP/1.1\\r\\nhost: app\\r\\nuser-agent: Envoy/HC\\r\\n\\r\\n'\n < A\n"
TELL = "+1ms < PA 'HTTP/1.1 {status} X\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > A\n"
STATUSES = (200, 200, 503)


def asked(segments: list[Segment]) -> tuple[list[Exchange], list[Connection], int]:
    """Return the questions of these segments, the ordinary connections beside them, and the most bytes that were held."""
    tracker = Tracker(Limits())
    kept = KeptConnections(tracker)
    out: list[Exchange] = []
    plain: list[Connection] = []
    most = 0

    def collect(items: list[object]) -> None:
        for item in items:
            assert isinstance(item, Connection)
            found = kept.more(item, None) if item.rev > 1 else kept.begin(item, read_exchange(item), None)
            out.extend(found or [])
            plain.extend([item] if found is None else [])

    for segment in segments:
        tracker.advance(segment.mark.ns)
        collect(tracker.take())
        feed(tracker, [segment])
        most = max(most, tracker._table.payload)
    collect(tracker.finish())
    return out, plain, most


def script(count: int, pause: str) -> str:
    """Return so many questions and answers; the first is asked at once."""
    return "".join(ASK.format(pause=pause if number else "1ms") + TELL.format(status=STATUSES[number % 3]) for number in range(count))


@pytest.mark.parametrize("between", [V4, V6])
@pytest.mark.parametrize("pause", ["120ms", "250ms", "1s", "7s", "90s"])
@pytest.mark.parametrize("opened", ["> S\n < SA\n > A\n", ""])
def test_every_question_is_told_once(between, pause, opened) -> None:
    """However long a connection is kept, and wherever the capture begins: all its questions, in order, in the memory of a few."""
    count = 700
    found, plain, most = asked(conversation(between, opened + script(count, pause) + "+1s < FA\n > FA\n < A"))
    assert [exchange.http[0].status for exchange in found] == [STATUSES[number % 3] for number in range(count)]
    starts = [exchange.connection.start for exchange in found]
    assert starts == sorted(set(starts))
    assert all(exchange.connection.answered == exchange.http[0].body_end for exchange in found)
    assert [exchange.connection.question for exchange in found].count(1) == (1 if opened else 0)
    assert not plain
    assert most < 16_384


def test_a_question_under_way_is_not_cut_in_two() -> None:
    """A connection is let go of only after an answer: one that takes longer than a piece is whole in the next."""
    slow = ASK.format(pause="1s") + TELL.format(status=200).replace("+1ms", "+8s")
    found, _, _ = asked(conversation(V4, "> S\n < SA\n > A\n" + script(20, "1s") + 20 * slow))
    assert len(found) == 40
    assert all(exchange.http[0].status is not None for exchange in found)


def test_a_question_that_is_never_answered_ends_with_its_connection() -> None:
    """The checker gives up: one question more, and nothing answered it."""
    found, _, _ = asked(conversation(V4, "> S\n < SA\n > A\n" + script(50, "1s") + ASK.format(pause="1s") + "+20s > FA\n < FA\n > A"))
    assert len(found) == 51
    assert found[-1].connection.answered is None
    assert found[-1].connection.orig.fin is not None


@pytest.mark.parametrize("pause", ["20ms", "200ms"])
@pytest.mark.parametrize("agent", ["Envoy/HC", "watcher/1"])
def test_nothing_is_said_of_what_is_passed_over(pause, agent) -> None:
    """Asked oftener than is followed: the questions that were read are answered, and no later one is called unanswered."""
    often = script(150, pause).replace("Envoy/HC", agent)
    found, _, _ = asked(conversation(V4, "> S\n < SA\n > A\n" + often + "+10s > FA\n < FA\n > A"))
    assert all(exchange.connection.answered is not None for exchange in found)
    if agent == "watcher/1":
        assert not found  # who does not say that it checks, and asks so often, is a client
    elif pause == "20ms":
        assert len(found) == 16
        assert all(exchange.connection.read_until is not None for exchange in found)
    else:
        assert len(found) == 150


@pytest.mark.parametrize("ends", [V4, V6])
@pytest.mark.parametrize("calm", ["+2ms", "+800ms"])
def test_a_question_on_a_connection_that_the_server_had_closed(ends: str, calm: str) -> None:
    """The FIN came before the question, soon after the last answer or later, and a RST and no byte answers it: that is said."""
    seen = Observer(Settings())
    ended = f"{calm} < FA\n > A\n" + ASK.format(pause="2s").rpartition(" < A")[0] + " < R\n"
    for frame in frames((1.0, ends, "> S\n < SA\n > A\n" + script(12, "3s") + ended)):
        seen.feed(frame)
    (probe,) = seen.finish().probes
    last = probe.attempts[-1]
    assert (last.cause, last.legs[0].connection.resp.length) == (Cause.RESET_BEFORE_ANSWER, 0)
    assert last.diagnosis is not None
    assert "had closed this connection 2." in last.diagnosis.sentence


def test_what_is_no_checkers_stays_whole() -> None:
    """A client that asks in a hurry is an ordinary connection."""
    hasty = script(40, "3ms").replace("Envoy/HC", "shop/1")
    found, plain, _ = asked(conversation(V4, "> S\n < SA\n > A\n" + hasty + "> FA\n < FA\n > A"))
    assert (len(found), len(plain)) == (0, 1)
