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
