# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""What a checker passes on is told from its own checks: by the pace that these keep, and never where one may be missing."""

from __future__ import annotations

import random

import pytest
from make import NODE, NODE6, OPENED, POD, POD6, answer, every, exchange, probes, run_of, spec
from test_effects import FLAP, pod, readiness, watch

from probewatch.model.book import AddressBook
from probewatch.model.timeline import EventKind, Timeline, TimelineEvent
from probewatch.observer.accounted import accounted
from probewatch.observer.losses import Losses
from probewatch.observer.strangers import Strangers
from probewatch.probes.sources import Standing

LB, LB6 = "10.128.0.30", "fd00:10:128::30"
CHECK = OPENED.replace("> A\n", "") + "> RA"
TAP = "> S\n < RA"
FAMILIES = [(LB, POD, NODE), (LB6, POD6, NODE6)]
Script = tuple[float, str, str]


def asks(agent: str) -> str:
    """Return a client's connection that is answered."""
    return OPENED + f"> PA 'GET /shop HTTP/1.1\\r\\nHost: shop\\r\\nUser-Agent: {agent}\\r\\nConnection: close\\r\\n\\r\\n'\n < A\n < PA {answer()}\n > FA\n < FA\n > A"


def sent(at: float, what: str, client: str, server: str) -> Script:
    """Return one connection."""
    sport = 10_000 + round(at * 1000) % 50_000
    return at, (f"[{client}]:{sport} > [{server}]:8080" if ":" in server else f"{client}:{sport} > {server}:8080"), what


def checks(times: list[float], client: str, server: str) -> list[Script]:
    """Return HAProxy's checks, every 3 s and a bit."""
    jitter = random.Random(4)
    return [sent(at + jitter.uniform(0.001, 0.004), CHECK, client, server) for at in times]


USES = [sent(at, asks("shop/1"), LB, POD) for at in (4.61, 9.83, 11.17, 13.9, 24.23, 27.73, 31.41, 36.19)]
"""What it passes on and is answered."""
FAILS = (14.31, 17.77, 17.91, 18.83, 20.39, 22.57)
"""When it is refused what it passes on."""


def ready(server: str, node: str, *scripts: Script) -> Timeline:
    """Return the timeline of a Pod that is Ready throughout, and these."""
    return watch(*probes([0, 0.001, *every(1, 55, 1.001)], client=node, server=server), *scripts)


@pytest.mark.parametrize(("client", "server", "node"), FAMILIES)
def test_what_a_load_balancer_passes_on_in_vain_is_counted(client: str, server: str, node: str) -> None:
    """Six refused connections of a HAProxy beside its checks, which all came: six, for the Pod and for its own UP."""
    used = [(at, ends.replace(f"{LB}:", f"[{LB6}]:").replace(f"{POD}:", f"[{POD6}]:") if ":" in server else ends, what) for at, ends, what in USES]
    timeline = ready(server, node, *checks(every(3.002, 18, 0.4), client, server), *used, *(sent(at, TAP, client, server) for at in FAILS))
    (lb,) = (probe for probe in timeline.probes if probe.checker.kind == "haproxy")
    assert lb.effects is not None
    for effects in (lb.effects, readiness(timeline)[1]):
        assert (effects.clients_refused_while_ready, effects.approximate) == (6, False)
    assert sum(period.connections for period in lb.effects.periods) == 14
    # Its clients are answered, but for a moment: no port is closed.
    assert timeline.findings == ()


def test_beside_a_missing_check_they_are_least_numbers() -> None:
    """Where a check did not come a refused connection may be that one: it is not counted, and the number is a least number."""
    times = [at for at in every(3.002, 18, 0.4) if not 15 < at < 23]
    effects = readiness(ready(POD, NODE, *checks(times, LB, POD), *USES, *(sent(at, TAP, LB, POD) for at in (14.31, *FAILS))))[1]
    assert (effects.clients_refused_while_ready or 0) < 6
    assert effects.approximate


def test_a_check_out_of_step_is_no_client() -> None:
    """What is accepted and says nothing is a check, also of a HAProxy that passes other connections on, and out of step."""
    timeline = ready(POD, NODE, *checks(every(3.002, 18, 0.4), LB, POD), *USES, *(sent(at, CHECK, LB, POD) for at in FAILS))
    assert sum(period.connections for period in readiness(timeline)[1].periods) == len(USES)


def test_who_passes_nothing_on_has_no_clients() -> None:
    """A checker of which nothing else comes: whatever it sends in vain is its own."""
    effects = readiness(ready(POD, NODE, *checks(every(3.002, 18, 0.4), LB, POD), *(sent(at, TAP, LB, POD) for at in FAILS)))[1]
    assert (effects.clients_refused_while_ready, effects.approximate) == (0, False)


@pytest.mark.parametrize(("node", "server"), [(NODE, POD), (NODE6, POD6)])
def test_clients_behind_the_kubelets_address(node: str, server: str) -> None:
    """A NodePort's clients at the probed port, in a kubelet's form but with a name of their own: counted, refused ones too."""
    flap = [(at, ends.replace(f"{NODE}:", f"[{node}]:").replace(f"{POD}:", f"[{server}]:") if ":" in server else ends, what) for at, ends, what in FLAP]
    came = [sent(at, asks("ext/1"), node, server) for at in (2.63, 6.37, 8.91, 13.47, 14.71, 35.13, 38.53)]
    vain = [sent(at, TAP, node, server) for at in (7.39, 36.71, 36.83)]
    timeline = watch(*flap, *came, *vain)
    probe, effects = readiness(timeline)
    assert (effects.clients_while_not_ready, effects.clients_refused_while_ready, effects.approximate) == (2, 3, False)
    assert effects.last_new_client_after_not_ready_ns == pytest.approx(1.71e9, abs=2e7)
    assert effects.first_client_after_ready_ns == pytest.approx(1.13e9, abs=2e7)
    assert len(probe.attempts) == sum(1 for at, *_ in flap if at >= 0)


def test_a_router_on_the_kubelets_node() -> None:
    """A HAProxy in its node's network checks, passes on and is refused from the kubelet's own address: each of the three is told apart."""
    used = [sent(at, asks("shop/1"), NODE, POD) for at in (4.61, 9.83, 11.17, 13.9, 24.23, 27.73, 31.41, 36.19)]
    vain = [sent(at, TAP, NODE, POD) for at in FAILS]
    timeline = ready(POD, NODE, *checks(every(3.002, 18, 0.4), NODE, POD), *used, *vain)
    assert sorted(probe.checker.kind for probe in timeline.probes) == ["haproxy", "kubelet"]
    effects = readiness(timeline)[1]
    assert effects.clients_refused_while_ready == 6
    assert sum(period.connections for period in effects.periods) == len(used) + 6


@pytest.mark.parametrize(("what", "known", "checks", "own"), [
    (CHECK, Standing.KUBELET, True, True),  # HAProxy's form is no kubelet's
    (CHECK, Standing.KUBELET, False, False),
    (CHECK, Standing.NOT_KUBELET, True, True),
    (CHECK, Standing.NOT_KUBELET, False, False),
    (TAP, Standing.KUBELET, False, True),  # (it probes there)
    (asks("shop/1"), Standing.KUBELET, True, False),
    (asks("kube-probe/1.36"), Standing.KUBELET, True, True),
    (asks("shop/1"), Standing.NOT_KUBELET, True, False),
])
def test_what_may_be_the_senders_own(what: str, known: Standing, checks: bool, own: bool) -> None:
    """A silent connection to where its sender checks, or where its kubelet probes; a request only where it says who asks as a probe does."""
    strangers = Strangers(AddressBook(), {}, {NODE: known}, {}, lambda connection: connection, Losses(), brief=False)
    strangers.checks = {(NODE, POD, 8080)} if checks else set()
    strangers.probed = {(NODE, POD, 8080): {"kube-probe/1.36"}}
    assert strangers.stray(run_of(exchange(what, sent(1.0, what, NODE, POD)[1]))) is own


def test_a_probe_that_gives_its_own_name_is_no_client() -> None:
    """A User-Agent of httpHeaders is the probe's: what else comes under that name is not a client's, whatever it asks."""
    named = [(at, ends, what.replace("kube-probe/1.36", "mine/1")) for at, ends, what in FLAP]
    book = pod(spec(headers=(("User-Agent", "mine/1"),)))
    effects = readiness(watch(*named, *(sent(at, asks("mine/1"), NODE, POD) for at in (2.63, 6.37, 14.71)), book=book))[1]
    assert (effects.clients_while_not_ready, sum(period.connections for period in effects.periods)) == (0, 0)


def test_one_process_at_a_time() -> None:
    """Across another process's beginning, a gap and a pause of two intervals nothing is accounted for; before and after it is."""
    timeline = ready(POD, NODE, *checks([at for at in every(3.002, 18, 0.4) if not 30 < at < 35], LB, POD))
    (lb,) = (probe for probe in timeline.probes if probe.checker.kind == "haproxy")
    starts = [attempt.start.ns for attempt in lb.attempts]
    hole = next(number for number in range(1, len(starts)) if starts[number] - starts[number - 1] > 5e9)
    assert accounted([lb], ()) == [(starts[0], starts[hole - 1]), (starts[hole], starts[-1])]
    again = TimelineEvent(ns=starts[3] - 1, kind=EventKind.CHECKER_RESTARTED, address=LB)
    assert accounted([lb], [again])[:2] == [(starts[0], starts[2]), (starts[5], starts[hole - 1])]
    assert accounted([lb], [TimelineEvent(ns=starts[3] - 1, kind=EventKind.CHECKER_RESTARTED, address=POD)]) == accounted([lb], ())
    # Of two series each has to keep to its pace.
    assert accounted([lb, lb], ()) == accounted([lb], ())
    assert accounted([], ()) == []
