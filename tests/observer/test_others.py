"""What reaches a target and is no proven probe: periodic checks, and the traffic beside them."""

from __future__ import annotations

import pytest
from make import (
    NODE,
    NODE6,
    OPENED,
    POD,
    POD6,
    answer,
    every,
    exchange,
    frames,
    mark,
    probes,
    request,
    run,
    run_of,
    timeline_of,
)

from probewatch.model.timeline import PORT_SCAN
from probewatch.observer.others import Traffic, describe, periodic
from probewatch.probes.runs import Run
from probewatch.report.outline import others_of


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_refused_clients_are_no_check(client: str, server: str) -> None:
    """Refused connections at an even pace are a check where nothing else is asked there, and a client's where one asks unevenly."""
    refused = [run(20 + 2.2 * number, "refused", client=client, server=server) for number in range(5)]
    asked = [
        run(at, path="/shop", agent="Mozilla/5.0", client=client, server=server) for at in (0.3, 0.9, 4.1, 4.6, 9.9, 17.0)
    ]
    found, rest = periodic(refused)
    assert (len(found), rest) == (1, [])
    found, rest = periodic([*asked, *refused])
    assert (found, len(rest)) == ([], 11)


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_who_talks_and_is_turned_away_is_no_connect_check(client: str, server: str) -> None:
    """Who says EHLO each 2 s, and leaves where the server greets with 421 or not at all (ldirectord): one client, no tcpSocket probe."""
    ends = f"[{client}]:40000 > [{server}]:25" if ":" in client else f"{client}:40000 > {server}:25"

    def told(at: float, script: str) -> Run:
        return run_of(exchange(script, ends, at=at))

    hello = "> S\n < SA\n > A\n < PA '220 x\\r\\n'\n > PA 'EHLO a\\r\\n'\n < PA '250 x\\r\\n'\n > FA\n < FA\n > A"
    away = "> S\n < SA\n > A\n < PA '421 x\\r\\n'\n > FA\n < FA\n > A"
    silent = "> S\n < SA\n > A\n +2s > FA\n < FA\n > A"
    bare = "> S\n < SA\n > A\n > FA\n < FA\n > A"
    talk = [told(2.0 * number, hello) for number in range(6)]
    lost = [told(12 + 2.0 * number, away if number % 2 else silent) for number in range(8)]
    found, rest = periodic([*talk, *lost])
    assert (found, len(rest)) == ([], 14)
    # Bare connects beside such talk are somebody else's, or a check of their own.
    found, rest = periodic([*talk, *(told(12 + 2.0 * number, bare) for number in range(8))])
    assert ([len(one.runs) for one in found], len(rest)) == ([8], 6)


def test_a_series_is_in_the_order_of_its_starts() -> None:
    """The last one, which the capture's end cut off, was told before others: an interval of -5 s was written into expectations."""
    runs = [run(2.0 * number, path="/status", agent="python-requests/2") for number in range(7)]
    (series,), _ = periodic([runs[0], runs[6], *runs[1:6]])
    assert list(series.runs) == runs


@pytest.mark.parametrize(("client", "server"), [(NODE, POD), (NODE6, POD6)], ids=["v4", "v6"])
def test_a_port_scan_beside_a_probe(client: str, server: str) -> None:
    """Who tries 40 ports once each from the kubelet's address is no client and no probe; the probe beside it is told alone."""
    ends = {"client": client, "server": server}
    scan = [one for n in range(40) for one in probes([3 + 0.02 * n], "refused" if n % 2 else "connected", **ends, port=100 + n)]
    timeline = timeline_of(frames(*probes(every(1, 20), "ok", **ends), *scan))
    (probe,) = timeline.probes
    assert (len(probe.attempts), [period.connections for period in probe.effects.periods]) == (20, [0])
    assert {one.what for one in timeline.others} == {PORT_SCAN}
    (row,) = others_of(timeline)
    assert (row.where, row.all.connections, row.all.refused) == (f"40 ports of {server}", 40, 20)


@pytest.mark.parametrize("why", ["few", "again", "spoken"])
def test_no_port_scan(why: str) -> None:
    """Fewer ports, ports that are tried again later, and files that are fetched each from a port of its own (FTP) are no scan."""
    traffic = Traffic()
    script = OPENED + "< PA 'file'\n > A\n < FA\n > FA\n < A" if why == "spoken" else "> S\n < RA"
    for number in range(15 if why == "few" else 40):
        for again in (0.0, 5.0) if why == "again" else (0.0,):
            made = run_of(exchange(script, f"10.0.0.7:{40_000 + number} > {POD}:{30_000 + number}", at=0.1 * number + again))
            traffic.note(made, lambda connection: connection, mark(60).ns)
    assert not traffic.scans()


def test_who_keeps_a_connection_is_told_beside_who_does_not() -> None:
    """Two programs of one address: the one that comes most often is named, and the other as the one that keeps its connection."""

    def described(*scripts: str) -> str:
        traffic = Traffic()
        for number, script in enumerate(scripts):
            ends = f"10.0.0.7:{40_000 + number} > {POD}:8080"
            traffic.note(run_of(exchange(script, ends, at=number)), lambda connection: connection, mark(60).ns)
        (tally,) = traffic.clients().values()
        return describe(tally)

    def asks(agent: str) -> str:
        return f"> PA {request(agent=agent)}\n < A\n < PA {answer()}\n > A\n"

    end = "> FA\n < FA\n > A"
    kept, fresh = OPENED + 3 * asks("pooled/1") + end, OPENED + asks("shop/2.1") + end
    assert described(kept, fresh, fresh) == described(fresh, kept, fresh) == "client traffic (shop), keep-alive client (pooled)"
    assert described(kept, kept) == "keep-alive client (pooled)"
    assert described(fresh, fresh) == "client traffic (shop)"
    assert described(fresh, OPENED + 3 * asks("") + end, fresh) == "client traffic (shop), keep-alive client"
