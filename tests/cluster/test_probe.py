"""One probe: defaults, port names, and everything the API server refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.cluster.errors import FieldError
from probewatch.cluster.probe import read_probe
from probewatch.model.spec import Handler, ProbeSpec, ProbeType

PORTS = (("http", 8080), ("", 9000), ("metrics", 9090), ("8443", 1))


def probe(raw: dict[str, Any], kind: ProbeType = ProbeType.READINESS) -> ProbeSpec:
    """Read one probe of a container with PORTS."""
    return read_probe(raw, kind, PORTS, "at")


def test_defaults() -> None:
    """A probe that says only its handler gets the API server's numbers."""
    found = probe({"httpGet": {"port": 8080}})

    assert found == ProbeSpec(type=ProbeType.READINESS, handler=Handler.HTTP_GET, port=8080)
    assert (found.initial_delay_s, found.period_s, found.timeout_s) == (0, 10, 1)
    assert (found.success_threshold, found.failure_threshold, found.grace_s) == (1, 3, None)
    assert (found.scheme, found.path, found.host, found.headers) == ("HTTP", "/", None, ())


def test_zero_means_default() -> None:
    """0 is replaced by the default, except for initialDelaySeconds, where it is one."""
    zeros = dict.fromkeys(["initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"], 0)

    assert probe({"tcpSocket": {"port": 1}, **zeros}) == probe({"tcpSocket": {"port": 1}})


def test_null_means_absent() -> None:
    """A field that is null is as if it were not there."""
    assert probe({"httpGet": {"port": 1, "path": None, "httpHeaders": None}, "exec": None, "periodSeconds": None}) == probe(
        {"httpGet": {"port": 1}}
    )


def test_http() -> None:
    """httpGet: target as on the wire, header names canonical and in order, scheme in capitals; `declared` keeps what was written."""
    raw = {
        "httpGet": {
            "path": "a b?x=%20#f",
            "port": "http",
            "scheme": "https",
            "host": "FD00::1",
            "httpHeaders": [{"name": "x-b", "value": "1"}, {"name": "ACCEPT"}, {"name": "x-b", "value": ""}],
        },
        "terminationGracePeriodSeconds": 7,
        "somethingNew": {"a": 1},
    }

    found = probe(raw, ProbeType.LIVENESS)

    assert (found.path, found.port, found.port_name, found.scheme, found.host) == ("/a%20b?x=%20", 8080, "http", "HTTPS", "fd00::1")
    assert found.headers == (("X-B", "1"), ("Accept", ""), ("X-B", ""))
    assert found.grace_s == 7
    assert found.declared == raw


def test_other_handlers() -> None:
    """tcpSocket, grpc and exec each bring their own fields."""
    tcp = probe({"tcpSocket": {"port": "metrics", "host": "db.example"}})
    grpc = probe({"grpc": {"port": 9000, "service": "live"}})
    execute = probe({"exec": {"command": ["cat", "/tmp/ok"]}})

    assert (tcp.handler, tcp.port, tcp.port_name, tcp.host) == (Handler.TCP_SOCKET, 9090, "metrics", "db.example")
    assert (grpc.handler, grpc.port, grpc.service) == (Handler.GRPC, 9000, "live")
    assert (execute.handler, execute.port, execute.command) == (Handler.EXEC, None, ("cat", "/tmp/ok"))


@pytest.mark.parametrize(
    ("port", "number"), [("http", 8080), ("8443", 1), ("8080", 8080), ("+80", 80), ("no-such", None), ("ab", None)]
)
def test_port_names(port: str, number: int | None) -> None:
    """A name is looked up in this container's ports, then read as a number; else the number stays unknown and the name is kept."""
    found = probe({"tcpSocket": {"port": port}})

    assert (found.port, found.port_name) == (number, port)


HTTP = {"httpGet": {"port": 80}}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "at: has no handler; give it one of httpGet, tcpSocket, grpc, exec"),
        ({"periodSeconds": 3}, "at: has no handler"),
        ({**HTTP, "tcpSocket": {"port": 1}}, "at: has 2 handlers (httpGet, tcpSocket); keep one"),
        ({"httpGet": {}}, "at.httpGet.port: is missing"),
        ({"httpGet": {"port": None}}, "at.httpGet.port: expected a whole number or text, got null"),
        ({"httpGet": {"port": 0}}, "at.httpGet.port: expected a number from 1 to 65535, got 0"),
        ({"httpGet": {"port": 70000}}, "at.httpGet.port: expected a number from 1 to 65535, got 70000"),
        ({"httpGet": {"port": "70000"}}, "at.httpGet.port: expected a number from 1 to 65535, got 70000"),
        ({"httpGet": {"port": "H_p"}}, 'at.httpGet.port: expected a number from 1 to 65535 or the name of a container port, got "H_p"'),
        ({"httpGet": {"port": "a-name-that-is-too-long"}}, "at.httpGet.port: expected"),
        ({"httpGet": {"port": ""}}, 'at.httpGet.port: expected a number from 1 to 65535 or the name of a container port, got ""'),
        ({"httpGet": {"port": 80.5}}, "at.httpGet.port: expected a whole number or text, got 80.5"),
        ({"httpGet": {"port": True}}, "at.httpGet.port: expected a whole number or text, got true"),
        ({"httpGet": []}, "at.httpGet: expected a mapping, got an empty list"),
        ({"httpGet": {"port": 1, "scheme": "FTP"}}, 'at.httpGet.scheme: expected HTTP or HTTPS, got "FTP"'),
        ({"httpGet": {"port": 1, "path": 5}}, "at.httpGet.path: expected text, got 5"),
        ({"httpGet": {"port": 1, "httpHeaders": {"a": "b"}}}, "at.httpGet.httpHeaders: expected a list, got a mapping"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"value": "b"}]}}, "at.httpGet.httpHeaders[0].name: is missing"),
        ({"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": 1}]}}, "at.httpGet.httpHeaders[0].value: expected text, got 1"),
        (
            {"httpGet": {"port": 1, "httpHeaders": [{"name": "A"}, {"name": "a b"}]}},
            "at.httpGet.httpHeaders[1].name: expected a header name of letters, digits and '-', got \"a b\"",
        ),
        ({"httpGet": {"port": 1, "path": "/" * 70_000}}, "at.httpGet.path: expected at most 65536 characters, got 70000"),
        ({"tcpSocket": {"host": "a"}}, "at.tcpSocket.port: is missing"),
        ({"grpc": {"port": "grpc"}}, 'at.grpc.port: expected a whole number, got "grpc"'),
        ({"grpc": {"port": 65536}}, "at.grpc.port: expected a number from 1 to 65535, got 65536"),
        ({"exec": {}}, "at.exec.command: is missing; name the program to run"),
        ({"exec": {"command": []}}, "at.exec.command: is missing"),
        ({"exec": {"command": "cat"}}, 'at.exec.command: expected a list, got "cat"'),
        ({**HTTP, "timeoutSeconds": -1}, "at.timeoutSeconds: expected a whole number from 0 to 2147483647, got -1"),
        ({**HTTP, "periodSeconds": "5"}, 'at.periodSeconds: expected a whole number, got "5"'),
        ({**HTTP, "periodSeconds": 1 << 31}, "at.periodSeconds: expected a whole number from 0 to 2147483647, got 2147483648"),
        ({**HTTP, "failureThreshold": 10**5000}, "at.failureThreshold: expected a whole number from 0 to 2147483647, got a number beyond"),
        ({**HTTP, "initialDelaySeconds": True}, "at.initialDelaySeconds: expected a whole number, got true"),
        ({**HTTP, "terminationGracePeriodSeconds": 5}, "at.terminationGracePeriodSeconds: is not allowed in a readiness probe"),
        ({**HTTP, "x\x1b": {"a": [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]}}, "at: is nested deeper than 20 levels"),
    ],
)
def test_refused(raw: dict[str, Any], message: str) -> None:
    """What the API server refuses is refused, with the field, what was expected and what was found."""
    with pytest.raises(FieldError) as caught:
        probe(raw)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", [ProbeType.LIVENESS, ProbeType.STARTUP])
def test_refused_where_it_kills(kind: ProbeType) -> None:
    """Liveness and startup probes succeed at once, and their grace period is at least a second."""
    with pytest.raises(FieldError, match=f"at.successThreshold: must be 1 for a {kind} probe, got 2"):
        probe({**HTTP, "successThreshold": 2}, kind)
    with pytest.raises(FieldError, match=r"at\.terminationGracePeriodSeconds: expected a whole number from 1"):
        probe({**HTTP, "terminationGracePeriodSeconds": 0}, kind)
    assert probe({**HTTP, "successThreshold": 2}).success_threshold == 2


NUMBERS = {
    "initialDelaySeconds": "initial_delay_s",
    "periodSeconds": "period_s",
    "timeoutSeconds": "timeout_s",
    "successThreshold": "success_threshold",
    "failureThreshold": "failure_threshold",
}


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NUMBERS, st.integers(1, 2**31 - 1))),
    st.sampled_from(["httpGet", "tcpSocket", "grpc"]),
    st.integers(1, 65535),
)
@settings(deadline=None, max_examples=150)
def test_numbers_come_back(numbers: dict[str, int], handler: str, port: int) -> None:
    """Every number that is written is the number in the spec; every one that is not is the default."""
    found = probe({handler: {"port": port}, **numbers})

    defaults = ProbeSpec(type=ProbeType.READINESS, handler=Handler(handler))
    assert found.port == port
    assert {name: getattr(found, name) for name in NUMBERS.values()} == {
        name: numbers.get(written, getattr(defaults, name)) for written, name in NUMBERS.items()
    }


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["port", "path", "command", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


FIELDS = st.sampled_from([*NUMBERS, *Handler, "terminationGracePeriodSeconds"])


@given(st.dictionaries(FIELDS, VALUES, max_size=5), st.sampled_from(ProbeType))
@settings(deadline=None, max_examples=400)
def test_any_mapping(raw: dict[str, Any], kind: ProbeType) -> None:
    """Any mapping gives a probe or a printable FieldError."""
    message = ""
    try:
        read_probe(raw, kind, PORTS, "at")
    except FieldError as error:
        message = str(error)
    assert message.isprintable()
