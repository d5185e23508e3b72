# ruff: noqa: E501 (scripts of packets keep their line)
"""What was asked against what was declared: field by field, and no contradiction that the kubelet itself makes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from make import (
    GRPC,
    HTTP,
    NODE6,
    OPENED,
    POD,
    POD6,
    TCP,
    answer,
    attempt,
    connection,
    every,
    exchange,
    request,
    run_of,
    runs,
    spec,
)

from probewatch.model.measure import Measure
from probewatch.model.spec import Handler, ProbeSpec
from probewatch.probes.asked import asked, declared_headers, first_request, header_text, sent_headers
from probewatch.probes.runs import Run
from probewatch.wire.exchange import read_exchange


def measures(made: list[Run], handler: Handler = HTTP) -> dict[str, Measure]:
    """Return what runs of one probe show, by field."""
    return {one.field: one for one in asked(made, handler)}


def sent(extra: str = "", *, agent: str = "kube-probe/1.36", accept: bool = True, server: str = POD, host: str = "") -> str:
    """Return what a request's headers say was declared."""
    end = f"[{server}]:8080" if ":" in server else f"{server}:8080"
    lines = f"Host: {host or end}\\r\\n" + (f"User-Agent: {agent}\\r\\n" if agent else "") + ("Accept: */*\\r\\n" if accept else "") + extra + "Connection: close\\r\\n"
    between = f"[{NODE6}]:40000 > [{server}]:8080" if ":" in server else f"10.128.0.1:40000 > {server}:8080"
    one = run_of(exchange(f"{OPENED} > PA 'GET /ready HTTP/1.1\\r\\n{lines}\\r\\n'\n < A", between))
    http = first_request(one)
    assert http is not None
    return header_text(sent_headers(http, server, 8080))


def declared(*headers: tuple[str, str], address: str = POD, **fields: object) -> str:
    """Return what a spec's headers change."""
    made: ProbeSpec = spec(headers=headers, **fields)
    return header_text(declared_headers(made, address, 8080))


@pytest.mark.parametrize("server", [POD, POD6])
def test_what_the_kubelet_sends_by_itself_is_none(server) -> None:
    """Host, User-Agent, Accept and Connection as the kubelet writes them were declared by nobody."""
    assert sent(server=server) == declared(address=server) == "(none)"


@pytest.mark.parametrize(("wire", "headers"), [
    ({"extra": "X-Probe: a\\r\\nX-Probe: b\\r\\n"}, (("X-Probe", "a"), ("x-probe", "b"))),
    ({"agent": "mine/1"}, (("User-Agent", "mine/1"),)),
    ({"agent": ""}, (("User-Agent", ""),)),
    ({"accept": False}, (("Accept", ""),)),
    ({"host": "shop.example"}, (("Host", "shop.example"),)),
    ({"extra": "X-Lower-Case: 1\\r\\n"}, (("x-lower-case", " 1 "),)),
], ids=["repeated", "agent", "no agent", "no accept", "host", "spelling"])
def test_declared_headers_are_found_again(wire, headers) -> None:
    """Each header that a spec adds, replaces or removes reads the same from the spec and from the packets."""
    assert sent(**wire) == declared(*headers) != "(none)"


@pytest.mark.parametrize("headers", [
    (("Content-Length", "5"),), (("Transfer-Encoding", "chunked"),), (("Trailer", "X"),),
    (("User-Agent", "kube-probe/1.36"),), (("Accept", "*/*"),), (("Connection", "close"),), (("Host", ""),), (("Host", f"{POD}:8080"),),
], ids=lambda headers: headers[0][0])
def test_headers_that_change_nothing_are_none(headers) -> None:
    """What Go never sends (reqWriteExcludeHeader), or sends anyway, cannot be missed on the wire."""
    assert declared(*headers) == "(none)"


def test_of_two_hosts_the_first_counts() -> None:
    """Go takes Host and User-Agent from the first value (request.go, net/http)."""
    assert declared(("Host", "a"), ("host", "b"), ("User-Agent", "x/1"), ("User-Agent", "y/1")) == "Host: a, User-Agent: x/1"


@pytest.mark.parametrize(("host", "shown"), [("localhost", "Host: localhost:8080"), (POD, "(none)"), ("::1", "Host: [::1]:8080")])
def test_a_declared_host_is_the_header(host, shown) -> None:
    """httpGet.host names the URL, so the Host header follows it; a header of that name wins."""
    assert declared(host=host) == shown
    assert declared(("Host", "x"), host=host) == "Host: x"


def test_old_kubelets_ask_for_gzip() -> None:
    """Up to 1.19 there was no Accept, but Accept-Encoding: gzip (docs/how-it-knows.md, "What differs between versions"); from 1.20 on both would have been declared."""
    old = {"extra": "Accept-Encoding: gzip\\r\\n", "accept": False}
    assert sent(**old, agent="kube-probe/1.19") == "(none)"
    assert sent(**old, agent="kube-probe/1.20") == "Accept:, Accept-Encoding: gzip"


def test_request_fields_of_http() -> None:
    """Port, handler, scheme and path are pinned by one request, with its frames."""
    found = measures(runs(*every(1, 3)))
    assert {name: one.text() for name, one in found.items()} == {"port": "8080", "handler": "httpGet", "scheme": "HTTP", "path": "/ready", "httpHeaders": "(none)"}
    assert all(one.pinned and one.evidence for one in found.values())


def cut(path: str, kept: int) -> Run:
    """Return an attempt of whose request a snapshot length kept so many bytes."""
    whole = connection(f"{OPENED} > PA {request(path)}\n < PA {answer()}\n > FA\n < FA\n > A")
    return run_of(read_exchange(replace(whole, orig=replace(whole.orig, data=whole.orig.data[:kept]))))


def test_a_path_that_was_cut_is_a_beginning() -> None:
    """It allows what goes on so and nothing else, pins nothing, and the longest of several says all; one seen whole says more."""
    (path,) = (one for one in asked([cut("/ready", 7), cut("/ready", 8)], HTTP) if one.field == "path")
    assert (path.text(), path.pinned, path.visible) == ("/rea...", False, True)
    assert (path.allows("/ready"), path.allows("/rea"), path.allows("/re"), path.allows("/live")) == (True, True, False, False)
    (path,) = (one for one in asked([cut("/ready", 8), run_of(attempt(0))], HTTP) if one.field == "path")
    assert (path.text(), path.pinned) == ("/ready", True)
    (path,) = (one for one in asked([cut("/live", 8), run_of(attempt(0))], HTTP) if one.field == "path")
    assert (path.text(), path.pinned) == ("/ready or /liv...", False)


def test_nothing_ever_connected() -> None:
    """Refused SYNs show a port and no more; what cannot be seen says why."""
    found = measures(runs(*every(1, 3), what="refused"))
    assert found["port"].pinned
    for field in ("handler", "scheme", "path", "httpHeaders"):
        assert not found[field].visible
        assert found[field].why


def test_no_attempts() -> None:
    """Without an attempt no field is shown, for any handler."""
    for handler in (HTTP, TCP, GRPC):
        assert not any(one.visible for one in asked([], handler))


def test_a_bare_connection_is_a_tcp_probe_only_by_its_first_syn() -> None:
    """A handshake without a request says tcpSocket; one by a later SYN may be an httpGet's dead dial."""
    assert measures(runs(*every(1, 3), what="connected"), TCP)["handler"].text() == "tcpSocket"
    dead = run_of(exchange("> S\n +1s > S seq=0\n < SA\n > A\n > FA\n < FA\n > A"))
    assert not measures([dead], TCP)["handler"].visible


def test_few_words_of_many() -> None:
    """However many paths hostile attempts ask for, the commonest few are told."""
    made = [run_of(attempt(at, path=f"/{at}")) for at in range(40)]
    assert len(measures(made)["path"].words) == 3
