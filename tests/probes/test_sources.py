# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""Who is a kubelet: decisive signs, claims that their cadence bears out or belies, and no guess beyond that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from make import NODE, NODE6, POD, POD6, TCP, every, exchange, run, run_of, runs, unresolved

from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.spec import PodSpec
from probewatch.probes.forms import Ask, Form
from probewatch.probes.runs import Run
from probewatch.probes.sources import KEPT_SERIES, KEPT_STARTS, Source, Standing, evidence, standing

NOBODY = AddressBook()
NODES = AddressBook(nodes={address: (NodeAddress(address=address, node="node-a", source="--node-ip", rank=1),) for address in (NODE, NODE6)})


def source(made: Iterable[Run], address: str = NODE) -> Source:
    """Return a source that did this."""
    out = Source(address)
    for one in made:
        out.note(one)
    return out


def told(made: Iterable[Run], book: AddressBook = NOBODY, *, last_word: bool = True) -> Standing:
    """Return the standing of a source that did this."""
    return standing(source(made), book, last_word=last_word)


@pytest.mark.parametrize("address", [NODE, NODE6])
def test_a_node_is_a_kubelet(address) -> None:
    """A node's address decides at once, whatever it did."""
    assert standing(Source(address), NODES, last_word=False) is Standing.KUBELET


def test_a_pod_is_no_kubelet() -> None:
    """Another pod that claims to be a kubelet is none (`multi`: curl with a kube-probe User-Agent), not even on a perfect grid."""
    book = AddressBook(pods={NODE: (PodSpec(source="cluster.json"),)})
    assert told(runs(*every(1, 10)), book) is Standing.NOT_KUBELET


def test_a_host_network_pod_shares_its_nodes_address() -> None:
    """An address of a hostNetwork pod is its node's, so it excludes nobody."""
    book = AddressBook(pods={NODE: (PodSpec(source="cluster.json", host_network=True),)})
    assert told(runs(*every(1, 10)), book) is Standing.KUBELET


def test_a_claim_that_cadence_bears_out() -> None:
    """The kubelet's User-Agent and header order together with whole seconds prove a source, before the last word."""
    assert told(runs(*every(2, 4)), last_word=False) is Standing.KUBELET
    assert told(runs(*every(2, 4), server=POD6, client=NODE6), last_word=False) is Standing.KUBELET


def test_a_young_claim_waits() -> None:
    """Before there are four attempts a claim is open; when nothing more comes it is believed."""
    assert told(runs(*every(2, 3)), last_word=False) is Standing.OPEN
    assert told(runs(*every(2, 3))) is Standing.KUBELET


@pytest.mark.parametrize("pause", [5.05, 5.1, 5.14])
def test_a_forged_claim(pause) -> None:
    """A loop with a perfect forgery of the request stands 5.05 to 5.14 s apart: not a kubelet's ticker, so no kubelet."""
    assert told(runs(*every(pause, 8))) is Standing.NOT_KUBELET
    assert told(runs(*every(pause, 8)), last_word=False) is Standing.NOT_KUBELET


def test_a_claim_without_the_header_order() -> None:
    """A kube-probe User-Agent with other headers claims nothing."""
    forged = [run_of(exchange("> S\n < SA\n > A\n > PA 'GET / HTTP/1.1\\r\\nHost: x\\r\\nUser-Agent: kube-probe/1.36\\r\\nAccept: */*\\r\\n\\r\\n'\n > FA\n < FA\n > A", at=at))
              for at in every(2, 8)]
    one = source(forged)
    assert (one.claims, one.version) == (0, "")
    assert told(forged) is Standing.NOT_KUBELET


def test_form_and_cadence_alone_prove_nothing() -> None:
    """Bare connects on a whole-second grid may be many programs': open, and with the last word no kubelet."""
    assert told(runs(*every(1, 10), what="connected"), last_word=False) is Standing.OPEN
    assert told(runs(*every(1, 10), what="connected")) is Standing.NOT_KUBELET


def test_a_declared_probe_that_matches_proves() -> None:
    """Attempts that match a declared probe in form and cadence are the kubelet's."""
    one = source(runs(*every(1, 10), what="connected"))
    one.declared = 10
    assert standing(one, NOBODY, last_word=True) is Standing.KUBELET


def test_nobody_is_a_node_because_of_its_last_digit() -> None:
    """No address is ever taken for a node's because it ends in .1 (docs/how-it-knows.md, "Who is a kubelet")."""
    assert NODE.endswith(".1")
    assert told(runs(0, what="connected")) is Standing.NOT_KUBELET


def test_one_good_series_is_enough() -> None:
    """A kubelet whose one probe is often slow still stands on its grid with another."""
    loop = runs(*every(5.1, 8), path="/slow")
    grid = runs(*every(2, 8))
    assert told(sorted(loop + grid, key=lambda one: one.start.ns)) is Standing.KUBELET


def test_version_is_the_one_claimed_most() -> None:
    """The version is the User-Agents' majority; an upgrade in between shows the longer reign."""
    one = source([*runs(0, 1, agent="kube-probe/1.32"), *runs(2, 3, 4, agent="kube-probe/1.33+")])
    assert one.version == "1.33"
    assert Source(NODE).version == ""


def test_attempts_without_a_connection_tell_nothing_of_a_source() -> None:
    """Who-has in vain has no form."""
    one = unresolved(0)
    made = Run(client=NODE, server=POD, form=Form(Ask.NOTHING, 0, kubelet=True), start=one.start, unresolved=one)
    assert source([made]).series == {}


def test_what_is_kept_is_bounded() -> None:
    """Starts of a series and series of a source have limits."""
    one = source(runs(*every(1, KEPT_STARTS + 20)))
    assert [len(series.starts) for series in one.series.values()] == [KEPT_STARTS]
    made = run(0, "connected")
    for number in range(KEPT_SERIES + 20):
        one.note(replace(made, server=f"10.{number // 256}.{number % 256}.1"))
    assert len(one.series) <= KEPT_SERIES
    assert len(one.targets) <= KEPT_SERIES


def test_evidence_is_ordered_and_bounded() -> None:
    """Reasons come strongest first, and nothing is ever certain."""
    made = runs(*every(1, 10))
    said, sure = evidence(source(made), NODES, fresh=True)
    assert said[0] == "address of node node-a (--node-ip)"
    assert said[1] == "User-Agent kube-probe/1.36 with the kubelet's header order"
    assert "starts whole seconds apart" in said
    assert "a fresh connection for each check" in said
    assert 0.97 <= sure <= 0.99


def test_evidence_of_form_and_cadence_is_weak() -> None:
    """Without a decisive sign it stays at about a half."""
    made = runs(*every(1, 10), what="connected")
    said, sure = evidence(source(made), NOBODY, fresh=True)
    assert not any("User-Agent" in text or "node" in text for text in said)
    assert sure <= 0.6


def test_evidence_of_nothing() -> None:
    """A source that did nothing has no evidence."""
    assert evidence(Source(NODE), NOBODY, fresh=False) == ((), 0.0)
    assert TCP.value == "tcpSocket"
