# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""How clients' traffic followed readiness: what the clients themselves wrote down, and no client where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from make import (
    LIVENESS,
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    TCP,
    answer,
    edge,
    every,
    frames,
    ns,
    probes,
    spec,
    timeline_of,
)
from test_checks import only, paused

import probewatch
from probewatch.model.book import AddressBook, NodeAddress
from probewatch.model.finding import Finding, Held
from probewatch.model.frame import Mark
from probewatch.model.spec import ContainerSpec, Handler, PodSpec, ProbeSpec
from probewatch.model.timeline import Attempt, Effects, Probe, Timeline
from probewatch.model.units import SECOND
from probewatch.observer import Observer, Settings, others
from probewatch.observer.effects import EffectsBuilder
from probewatch.probes.openings import Answer
from probewatch.report.outline import clients as clients_text

OWN = Path(__file__).parents[2] / "captures"
FAMILIES = ("ready-but-down", "ready-but-down6")
CLIENT, CLIENT6 = "10.128.0.20", "fd00:10:128::20"


# The captures of the project, beside what their programs wrote down.


@cache
def seen(name: str, *, with_spec: bool = True, only: str | None = None) -> Timeline:
    """Return the timeline of one of them."""
    folder = OWN / name
    return probewatch.analyze(folder / "capture.pcap.gz", spec=folder / "pod.yaml" if with_spec else (), filter=only)


@cache
def truth(name: str) -> Any:
    """Return what its programs wrote down."""
    return json.loads((OWN / name / "truth.json").read_text("utf-8"))


def readiness(timeline: Timeline) -> tuple[Probe, Effects]:
    """Return the one readiness probe and its effects."""
    (probe,) = (probe for probe in timeline.probes if probe.type == "readiness")
    assert probe.effects is not None
    return probe, probe.effects


def clients_of(name: str, *last: str) -> list[Any]:
    """Return the connections of the clients whose addresses end so."""
    return [one for one in truth(name)["connections"] if one["client"].rpartition(".")[2].rpartition(":")[2] in last]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("with_spec", [True, False])
def test_numbers_are_those_of_the_clients(name, with_spec) -> None:
    """Counts and durations are what the clients' own records give for the prober's own decisions, IPv4 and IPv6, with the Pod and without; scrapes are left out."""
    _, effects = readiness(seen(name, with_spec=with_spec))
    up, down, again = (decision["t"] for decision in truth(name)["decisions"])
    came = [one["t"] for one in clients_of(name, "20", "21", "22")]
    first = min(min(t for t in came if t > up) - up, min(t for t in came if t > again) - again)
    assert effects.first_client_after_ready_ns == pytest.approx(first * SECOND, abs=5e6)
    last = max(t for t in came if t < again) - down
    assert effects.last_new_client_after_not_ready_ns == pytest.approx(last * SECOND, abs=5e6)
    begin = min(probe.attempts[0].start.ns for probe in seen(name).probes if probe.type == "readiness") / SECOND
    assert effects.clients_while_not_ready == sum(begin <= t < up or down <= t < again for t in came)
    refused = [one["t"] for one in clients_of(name, "21")]
    assert {one["result"] for one in clients_of(name, "21")} == {"refused"}
    assert effects.clients_refused_while_ready == sum(up <= t < down or t >= again for t in refused)
    assert effects.clients_unanswered_while_ready == 0
    assert not effects.approximate


@pytest.mark.parametrize("name", FAMILIES)
def test_clients_with_random_pauses_are_no_checker(name) -> None:
    """Whoever pauses at random (uniformly between 0.25 and 0.9 s, and between 1.5 and 6.5 s) is client traffic, and no unknown checker."""
    timeline = seen(name)
    assert [probe.checker.kind for probe in timeline.probes] == ["kubelet"]
    assert sum(other.connections for other in timeline.others) == len(truth(name)["connections"])


@pytest.mark.parametrize("name", FAMILIES)
def test_one_client_alone_follows(name) -> None:
    """Looked at without the others, the client that follows readiness shows the delays that it was made with: 0.45 s up, 2.2 s down."""
    suffix = "10.128.0." if name == FAMILIES[0] else "fd00:10:128::"
    _, effects = readiness(seen(name, only=f"not host {suffix}21 and not host {suffix}22"))
    assert 0.45e9 <= (effects.first_client_after_ready_ns or 0) < 1.5e9
    assert 0.5e9 < (effects.last_new_client_after_not_ready_ns or 0) <= 2.25e9
    assert effects.clients_refused_while_ready == 0
    assert seen(name, only=f"not host {suffix}21 and not host {suffix}22").findings == ()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_port_that_nobody_listens_on_is_named(name) -> None:
    """The finding names the port that clients dial, the port that answers, the client, what the Pod declares, and frames that show a refused SYN."""
    timeline = seen(name)
    probe, effects = readiness(timeline)
    (finding,) = (finding for finding in timeline.findings if finding.held is Held.FAIL)
    assert finding.probe == probe.id
    assert finding.field == "clients_refused_while_ready"
    for word in (f"{effects.clients_refused_while_ready} connections", ":9090 ", "refused (RST)", "port 8080", "containerPort 8080 (http), not 9090", clients_of(name, "21")[0]["client"]):
        assert word in finding.sentence
    assert "containerPort" not in next(f for f in seen(name, with_spec=False).findings if f.held is Held.FAIL).sentence
    assert len(finding.evidence) == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_connections_to_a_pod_that_is_not_ready_are_no_fault(name) -> None:
    """A client that goes on dialling the Pod is named, with both readings, and nobody is blamed: inconclusive."""
    (finding,) = (finding for finding in seen(name).findings if finding.field == "clients_while_not_ready")
    assert finding.held is Held.INCONCLUSIVE
    assert clients_of(name, "22")[0]["client"] in finding.sentence
    assert clients_of(name, "20")[0]["client"] not in finding.sentence


# Made by hand.


def watch(*scripts: tuple[float, str, str], book: AddressBook | None = None, until: float = 60.0, snap: int = 9_999) -> Timeline:
    """Return the timeline of conversations in a capture from -20 s to `until`, of whose frames so many bytes are kept."""
    given = edge(), *frames(*scripts), edge(until)._replace(number=100_000)
    return timeline_of([one._replace(data=one.data[:snap]) for one in given], book)


def dial(at: float, port: int = 9090, what: str = "> S\n < RA", *, client: str = CLIENT, server: str = POD) -> tuple[float, str, str]:
    """Return one connection of a client."""
    sport = 10_000 + round(at * 1000) % 50_000
    return at, (f"[{client}]:{sport} > [{server}]:{port}" if ":" in server else f"{client}:{sport} > {server}:{port}"), what


def pod(*declared: ProbeSpec, ports: Sequence[tuple[str, int]] = (), **how: Any) -> AddressBook:
    """Return the book of one Pod of one container, and its node."""
    containers = (ContainerSpec(name="app", probes=declared, ports=tuple(ports)), *how.pop("more", ()))
    known = PodSpec(source="web.yaml", name="web", addresses=(POD,), containers=containers, **how)
    return AddressBook(pods={POD: (known,)}, nodes={NODE: (NodeAddress(address=NODE, node="node-a", source="--node-ip", rank=1),)})


def closed(timeline: Timeline) -> list[Finding]:
    """Return the findings on ports that turn clients away."""
    return [finding for finding in timeline.findings if finding.held is Held.FAIL]


GOOD = probes(every(1, 40))
ODD = (3.0, 4.7, 5.3, 9.9, 11.2, 17.0, 19.1, 26.6)
"""Moments that no timer keeps."""


@pytest.mark.parametrize(("script", "field", "word"), [
    ("> S\n < RA", "clients_refused_while_ready", "refused (RST)"),
    ("> S", "clients_unanswered_while_ready", "no answer to their SYN"),
])
@pytest.mark.parametrize(("client", "server", "node"), [(CLIENT, POD, NODE), (CLIENT6, POD6, NODE6)])
def test_a_closed_port_is_told_however_it_is_closed(script, field, word, client, server, node) -> None:
    """Refused or never answered, over IPv4 and IPv6: one finding, told as what it was, counted under its own name."""
    timeline = watch(*probes([0, 0.001, *every(1, 40, 1.001)], client=node, server=server), *(dial(at, what=script, client=client, server=server) for at in ODD))
    (finding,) = closed(timeline)
    assert finding.field == field
    assert word in finding.sentence
    _, effects = readiness(timeline)
    assert (effects.clients_refused_while_ready, effects.clients_unanswered_while_ready) == ((8, 0) if script.endswith("RA") else (0, 8))


def test_silence_into_a_loss_is_no_silence() -> None:
    """SYNs whose answers the kernel dropped are not told as unanswered: nobody knows. Those that nothing answered beside it are."""
    observer = Observer(Settings(book=pod(spec())))
    scripts = [*GOOD, *(dial(at, what="> S") for at in (9.31, 9.87, 10.43, 15.19))]
    told = False
    for one in frames(*scripts):
        if one.ns > ns(12) and not told:
            observer.lost(ns(9.9), ns(10.9))
            told = True
        observer.feed(one)
    effects = readiness(observer.finish())[1]
    assert effects.clients_unanswered_while_ready == 1
    assert sum(period.connections for period in effects.periods) == 4


def test_a_regular_client_is_a_client_where_it_is_refused() -> None:
    """A loop that dials once a second looks like a check of unknown make: what is refused to it is told all the same."""
    timeline = watch(*GOOD, *(dial(at) for at in every(1, 20, 5.3)), book=pod(spec()))
    (finding,) = closed(timeline)
    assert finding.sentence.startswith("20 connections to 10.128.0.10:9090")
    # A stranger's first dial is no sign that a container began.
    assert [event.ns for event in timeline.events] == [ns(0)]


def test_regular_checks_say_nothing_of_endpoints() -> None:
    """A regular series that goes on while the Pod is NotReady may be a check: it is not counted as late; one that pauses then is traffic."""
    flap = [*probes([0, 0.001, *every(1, 10, 1.001)]), *probes([11.001, 12.001, 13.001, 13.002, *every(1, 20, 14.002)], "503"), *probes(every(1, 20, 34.002))]
    ok = OPENED + f"> PA 'GET / HTTP/1.1\\r\\nHost: shop\\r\\nUser-Agent: shop/1.0\\r\\n\\r\\n'\n < PA {answer()}\n > FA\n < FA\n > A"
    steady = watch(*flap, *(dial(at, 8080, ok) for at in every(1, 50, 2.3)), book=pod(spec()))
    assert (readiness(steady)[1].clients_while_not_ready, steady.findings) == (0, ())
    pausing = watch(*flap, *(dial(at, 8080, ok) for at in [*every(1, 13, 2.3), *every(1, 15, 34.6)]), book=pod(spec()))
    _, effects = readiness(pausing)
    assert effects.clients_while_not_ready == 2
    assert (effects.last_new_client_after_not_ready_ns or 0) == pytest.approx(1.3e9, abs=2e7)
    assert (effects.first_client_after_ready_ns or 0) == pytest.approx(0.6e9, abs=2e7)
    # One that comes first when the Pod is Ready follows too.
    begins = watch(*probes([0, 0.001, *every(1, 9, 1.001)], "503"), *probes(every(1, 30, 10.001)), *(dial(at, 8080, ok) for at in every(1, 20, 11.3)), book=pod(spec()))
    assert (readiness(begins)[1].first_client_after_ready_ns or 0) == pytest.approx(1.3e9, abs=2e7)


def test_few_refusals_and_scans_are_no_down_service() -> None:
    """Two refused connections, or many in a moment, are no finding; a client that tries many ports is told as such, in one."""
    assert closed(watch(*GOOD, dial(3), dial(8.2), book=pod(spec()))) == []
    assert closed(watch(*GOOD, *(dial(3 + n / 1000) for n in range(9)), book=pod(spec()))) == []
    scan = watch(*GOOD, *(dial(at + port / 10_000, port) for at in (3.0, 8.2, 15.1) for port in range(9000, 9020)), book=pod(spec()))
    (finding,) = scan.findings
    assert finding.held is Held.INCONCLUSIVE
    assert "60 connections to 20 ports" in finding.sentence


def test_a_port_that_answers_others_is_told_so() -> None:
    """Where the kubelet is answered on the very port that is closed to clients, the sentence looks for what stands between, and names no targetPort."""
    (finding,) = closed(watch(*GOOD, *(dial(at, 8080, "> S") for at in ODD), book=pod(spec())))
    assert "NetworkPolicy" in finding.sentence
    assert "targetPort" not in finding.sentence


def test_a_port_refused_while_not_ready_is_no_finding() -> None:
    """What is refused while the Pod is NotReady, or of unknown state, is no contradiction."""
    assert closed(watch(*probes(every(1, 40), "503"), *(dial(at) for at in ODD), book=pod(spec()))) == []


def test_a_state_that_is_never_known_counts_nothing() -> None:
    """Where no attempt tells Ready or NotReady every number is null, whatever clients do."""
    for what in ("refused", "unanswered", "503"):
        timeline = watch(*probes([0.2, 1.2], what), *(dial(at) for at in (0.5, 1.1, 1.9)), book=pod(spec(LIVENESS)), until=2.5)
        assert [probe.effects for probe in timeline.probes if probe.type == "liveness"] == [Effects()]
        assert timeline.findings == ()


def test_an_exec_readiness_probe_hides_ready() -> None:
    """A Pod with a readiness probe that packets cannot show is never claimed to be Ready; that it is NotReady still shows."""
    sidecar = ContainerSpec(name="proxy", probes=(spec(handler=Handler.EXEC, port=None),))
    timeline = watch(*GOOD, *(dial(at) for at in ODD), book=pod(spec(), more=(sidecar,)))
    assert closed(timeline) == []
    assert readiness(timeline)[1].clients_refused_while_ready is None


def test_without_readiness_only_refusals_count() -> None:
    """A Pod without a readiness probe: its other probes tell what was refused while they succeeded, and nothing of NotReady."""
    timeline = watch(*GOOD, *(dial(at) for at in ODD), book=pod(spec(LIVENESS)))
    (probe,) = (probe for probe in timeline.probes if probe.type == "liveness")
    assert probe.effects == Effects(clients_refused_while_ready=8, clients_unanswered_while_ready=0)
    assert len(closed(timeline)) == 1


@pytest.mark.parametrize(("grace", "refused"), [(45, 0), (5, 8)])
def test_from_its_deletion_on_a_pod_is_not_counted_as_ready(grace: int, refused: int) -> None:
    """The API server says until when a Pod may take to end, and of how many seconds that is the end: from their beginning on endpoints leave it out."""
    going = pod(spec(), deleted_ns=ns(45), deletion_grace_s=grace)
    timeline = watch(*GOOD, *(dial(at) for at in ODD), book=going)
    assert readiness(timeline)[1].clients_refused_while_ready == (refused or None)
    assert len(closed(timeline)) == bool(refused)
    assert sum(one.end_ns - one.start_ns for one in readiness(timeline)[1].periods) == pytest.approx((45 - grace) * SECOND, abs=SECOND)


def test_a_shared_address_tells_only_declared_ports() -> None:
    """In the node's own network other ports are other people's: only those that the Pod declares are looked at."""
    shared = pod(spec(), host_network=True)
    assert closed(watch(*GOOD, *(dial(at) for at in ODD), book=shared)) == []
    declared = pod(spec(), ports=[("http", 8080), ("web", 9090)], host_network=True)
    assert len(closed(watch(*GOOD, *(dial(at) for at in ODD), book=declared))) == 1


def test_the_kubelet_is_no_client_where_it_probes() -> None:
    """Bare dials of a proven kubelet's address at the port it probes are its own; at another they are clients' whose address is translated."""
    timeline = watch(*GOOD, *(dial(at, 8080, client=NODE) for at in ODD), book=pod(spec()))
    assert closed(timeline) == []
    assert readiness(timeline)[1].clients_refused_while_ready == 0
    (finding,) = closed(watch(*GOOD, *(dial(at, client=NODE) for at in ODD), book=pod(spec())))
    assert finding.sentence.startswith("8 connections to 10.128.0.10:9090")
    book = pod(spec())
    other = NodeAddress(address="192.168.10.12", node="node-b", source="--node-ip", rank=1)
    book = replace(book, nodes={**book.nodes, "192.168.10.12": (other,)})
    (finding,) = closed(watch(*GOOD, *(dial(at, 8080, "> S", client="192.168.10.12") for at in ODD), book=book))
    assert (finding.field, "192.168.10.12 (node-b)" in finding.sentence) == ("clients_unanswered_while_ready", True)


FLAP = [*probes([0, 0.001, *every(1, 10, 1.001)]), *probes([11.001, 12.001, 13.001, 13.002, *every(1, 20, 14.002)], "503"), *probes(every(1, 20, 34.002))]
"""Ready from 0 s, NotReady from 13 s, Ready from 34 s."""


@pytest.mark.parametrize(("client", "server", "node"), [(CLIENT, POD, NODE), (CLIENT6, POD6, NODE6)])
def test_a_kept_connection_goes_on(client: str, server: str, node: str) -> None:
    """One that asks on for 8.3 s into NotReady is told so, once, whether each question is seen alone or not; one that is closed at 13.6 s is none."""
    ask = "> PA 'GET /work HTTP/1.1\\r\\nHost: shop\\r\\nUser-Agent: shop/1.0\\r\\n\\r\\n'\n < PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n"
    raw = "> PA 'question'\n < PA 'answer'\n"
    flap = [(at, ends.replace(f"{NODE}:", f"[{node}]:").replace(f"{POD}:", f"[{server}]:") if ":" in server else ends, what) for at, ends, what in FLAP]
    for one in (ask, raw):
        kept = OPENED + "".join(f"+{ms}ms {one}" for ms in (900, 2_600, 400, 3_100, 700, 1_900, 4_400, 300, 2_100, 600)) + "> FA\n < FA\n > A"
        timeline = watch(*flap, dial(4.3, 8080, kept, client=client, server=server), until=60)
        _, effects = readiness(timeline)
        assert (effects.kept_while_not_ready, effects.clients_while_not_ready) == (1, 0)
        assert (effects.last_kept_after_not_ready_ns or 0) == pytest.approx(8.3e9, abs=5e7)
        assert [other.connections for other in timeline.others] == [1]
        short = OPENED + "".join(f"+{ms}ms {one}" for ms in (900, 2_600, 400, 3_100, 700, 1_900)) + "> FA\n < FA\n > A"
        _, effects = readiness(watch(*flap, dial(4.0, 8080, short, client=client, server=server), until=60))
        assert (effects.kept_while_not_ready, effects.last_kept_after_not_ready_ns) == (0, None)


WORK = "> PA 'GET /work HTTP/1.1\\r\\nHost: shop\\r\\nUser-Agent: shop/1.0\\r\\n\\r\\n'\n < A\n"
DONE = "< PA 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'\n > A\n"


@pytest.mark.parametrize("asks", [WORK + DONE, "> PA 'question'\n < PA 'answer'\n"])
@pytest.mark.parametrize("pause", [50, 190, 310])
@pytest.mark.parametrize("end", ["+9s > FA\n < FA\n > A", "+9s > RA", ""])
def test_a_busy_kept_connection_is_used_until_it_rests(asks: str, pause: int, end: str) -> None:
    """A client that asks many times a second, of which not all is read: used until it rests, 9 s before it closes (or never does)."""
    busy = OPENED + f"+{pause}ms {asks}" * (17_000 // pause) + end
    _, effects = readiness(watch(*FLAP, dial(4.3, 8080, busy)))
    assert effects.kept_while_not_ready == 1
    assert (effects.last_kept_after_not_ready_ns or 0) == pytest.approx((4.3 + 17_000 // pause * pause / 1_000 - 13.0) * 1e9, abs=2e8)


def test_a_kept_connection_that_is_asked_on_evenly_may_be_a_check() -> None:
    """One question a second on one connection is a check of unknown make: it tells of a client only where its pace is uneven, or it pauses."""
    asks = f"+1s {WORK}{DONE}" * 45
    timeline = watch(*FLAP, dial(1.3, 8080, OPENED + asks + "> FA\n < FA\n > A"))
    known, check = timeline.probes
    assert [known.checker.kind, check.checker.kind] == ["kubelet", "unknown"]

    def kept(*attempts: Attempt) -> int | None:
        book = AddressBook(nodes={})
        made, _ = EffectsBuilder(book, {}, timeline.events, ns(60), whole=True).apply([known, replace(check, attempts=attempts)])
        return made[0].effects.kept_while_not_ready if made[0].effects is not None else None

    assert kept(*check.attempts) == readiness(timeline)[1].kept_while_not_ready == 0
    assert kept(*(made for made in check.attempts if made.n % 4 != 2 and made.n % 3)) == 1
    assert kept(*(made for made in check.attempts if made.start.ns < ns(20))) == 1


@pytest.mark.parametrize("snap", [9_999, 70])
def test_an_answer_that_comes_late_is_no_use(snap: int) -> None:
    """One request while Ready, answered 9 s into NotReady: its client asked nothing more, also where bytes of it were not captured."""
    waits = OPENED + WORK + "+12s " + DONE + "> RA"
    _, effects = readiness(watch(*FLAP, dial(10.3, 8080, waits), snap=snap))
    assert effects.kept_while_not_ready == 0
    again = OPENED + WORK + DONE + "+9s " + WORK + DONE + "> RA"
    _, effects = readiness(watch(*FLAP, dial(10.3, 8080, again), snap=snap))
    assert (effects.last_kept_after_not_ready_ns or 0) == pytest.approx(6.3e9, abs=2e7)


def test_kept_is_nothing_where_ready_was_not_lost() -> None:
    """A Pod that is NotReady from the beginning lost nothing: null, and not 0."""
    _, effects = readiness(watch(*probes(every(1, 40), "503"), book=pod(spec())))
    assert (effects.kept_while_not_ready, effects.clients_while_not_ready) == (None, 0)


def test_a_checker_of_known_make_is_no_client() -> None:
    """HAProxy's checks, of which one is out of step, are not counted as clients."""
    check = OPENED.replace("> A\n", "") + "> RA"
    timeline = watch(*GOOD, *(dial(at, 8080, check) for at in [*every(2, 15, 3.3), 8.1]), book=pod(spec()))
    _, effects = readiness(timeline)
    assert sum(period.connections for period in effects.periods) <= 1


def test_memory_is_bounded_and_the_reader_is_told(monkeypatch) -> None:
    """With room for few moments the numbers become least numbers, and say so; sources beyond the bound make them so too."""
    many = [dial(at, 9090) for at in ODD]
    monkeypatch.setattr(others, "CELLS", 2)
    timeline = watch(*probes([0, 0.001, *every(1, 10, 1.001)]), *probes([11.001, 12.001, 13.001, 13.002], "503"), *many, book=pod(spec()))
    _, effects = readiness(timeline)
    assert effects.approximate
    assert 1 <= (effects.clients_refused_while_ready or 0) <= len(ODD)
    monkeypatch.setattr(others, "CELLS", 1_000)
    monkeypatch.setattr(others, "KEPT", 1)
    timeline = watch(*GOOD, *many, dial(2.0, 9091), book=pod(spec()))
    assert readiness(timeline)[1].approximate
    assert sum(other.connections for other in timeline.others) in (1, 8)


def test_a_tcp_probe_that_is_refused_is_no_client() -> None:
    """A kubelet's own tcpSocket probe of a closed port is its failure, not a client's."""
    timeline = watch(*GOOD, *probes(every(1, 40, 0.5), "refused", port=9090), book=pod(spec(), spec(LIVENESS, TCP, port=9090)))
    assert closed(timeline) == []


@pytest.mark.parametrize(("client", "server"), [("10.0.0.9", "10.0.0.2"), ("fd00::9", "fd00::2")])
def test_what_a_load_balancer_passes_on_follows_its_own_decisions(client: str, server: str) -> None:
    """What else comes from a HAProxy's address to the port it checks is told for each stretch of UP and DOWN; what others send is not."""
    lb = only(paused(["haproxy"] * 6 + ["haproxy-503"] * 6 + ["haproxy"] * 6, 1.0, client=client, server=server))
    probe = replace(lb, id="p1")
    down, up = (decision.ns for decision in probe.decisions)
    passed, other = others.Tally(), others.Tally()
    for at in (down - 2 * SECOND, down + SECOND // 4, up + SECOND // 2, up + SECOND):
        passed.openings.add(Mark(at, 0, 1), Answer.ACCEPTED)
    other.openings.add(Mark(down + SECOND, 0, 1), Answer.ACCEPTED)
    clients = {(client, server, 8080): passed, ("10.0.0.77", server, 8080): other, (client, server, 9090): other}
    (made,), findings = EffectsBuilder(AddressBook(), clients, (), up + 9 * SECOND, whole=True).apply([probe])
    assert made.effects is not None
    assert made.effects.first_client_after_ready_ns == SECOND // 2
    assert made.effects.last_new_client_after_not_ready_ns == SECOND // 4
    assert made.effects.clients_while_not_ready == 1
    assert [(period.state, period.connections) for period in made.effects.periods] == [("UP", 1), ("DOWN", 1), ("UP", 2)]
    assert clients_text(made.effects) == "first new connection 500 ms after UP, last 250 ms after DOWN, 1 while DOWN"
    assert not findings
    (alone,), _ = EffectsBuilder(AddressBook(), {}, (), up + 9 * SECOND, whole=True).apply([probe])
    assert alone.effects is None
