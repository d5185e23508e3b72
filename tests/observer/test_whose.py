"""Whose a connection was, from what its frames show."""

from __future__ import annotations

import pytest
from make import NODE, NODE6, POD, POD6, every, frames, probes, spec

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.observer import Observer, Settings
from probewatch.observer.whose import answers
from probewatch.report.answers import headline


@pytest.mark.parametrize(("node", "pod"), [(NODE, POD), (NODE6, POD6)])
@pytest.mark.parametrize("declared", [True, False])
def test_unanswered_syns_tell_no_handler_and_no_type(node: str, pod: str, declared: bool) -> None:
    """Of a probe of which nothing but SYNs was seen, only a manifest says what it asks, and what for."""
    app = ContainerSpec(name="app", probes=(spec(period_s=2),))
    owner = PodSpec(source="pod.yaml", addresses=(pod,), namespace="shop", name="web-1", containers=(app,))
    book = AddressBook(
        nodes={node: (NodeAddress(address=node, node="node-a", source="--node-ip", rank=1),)}, pods={pod: (owner,)} if declared else {}
    )
    seen = Observer(Settings(book=book, endpoint=(pod, 8080)))
    for frame in frames(*probes(every(2, 8), "unanswered", client=node, server=pod)):
        seen.feed(frame)
    timeline = seen.finish()
    told = [headline(answer) for answer in answers(timeline, seen.followed(), (pod, 8080))]
    host = f"[{pod}]:8080" if ":" in pod else f"{pod}:8080"
    assert told == ["httpGet readiness probe of shop/web-1/app:8080" if declared else f"probe of {host} whose request was never seen"]


@pytest.mark.parametrize("ends", ["10.0.0.9:40000 > 10.0.0.2:8080", "[fd00::9]:40000 > [fd00::2]:8080"])
@pytest.mark.parametrize(("end", "state"), [("> FA\n < FA\n > A", "SF"), ("+1ms < R", "RSTR"), ("", "S1")])
def test_a_connection_followed_in_pieces_is_one(ends: str, end: str, state: str) -> None:
    """A client keeps its connection and asks each second: one connection, with all its bytes and its end; then its port is used again."""
    asks = "> PA 'GET /a HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'\n < A\n +1ms < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n'\n > A\n"
    opened = "> S\n < SA\n > A\n"
    client = ("fd00::9" if "[" in ends else "10.0.0.9", 40000)
    seen = Observer(Settings(endpoint=client))
    scripts = [(1.0, ends, opened + "+1s ".join([asks] * 60) + end)]
    if state != "S1":
        scripts.append((200.0, ends, opened + "+1s ".join([asks] * 3) + "> FA\n < FA\n > A"))
    for frame in frames(*scripts):
        seen.feed(frame)
    timeline = seen.finish()
    found = [answer.connections[0] for answer in answers(timeline, seen.followed(), client)]
    assert [one.state for one in found] == [state, "SF"][: len(scripts)]
    assert [one.orig.length for one in found] == [60 * 28, 3 * 28][: len(scripts)]
    assert not any(one.midstream for one in found)
