"""`probewatch who`: what a connection was that an application logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probewatch
from probewatch.asking import endpoint_of, who
from probewatch.moments import InputError


def test_tcp_socket_probe(captures: Path) -> None:
    """The one attempt behind an address and port is named, with what a TLS server logs of it and its frames."""
    folder = captures / "tcp-ready"
    line = "2026/11/22 20:10:03 http: TLS handshake error from 10.128.0.1:50298: EOF"
    told = who(folder / "capture.pcap", line, spec=folder / "pod.yaml")
    (answer,) = told.answers
    assert answer.probe is not None
    assert (answer.probe.type, [one.n for one in answer.attempts]) == ("readiness", [1])
    assert answer.what == "connects, and closes without sending a ClientHello or any other byte"
    assert any(text.endswith("TLS handshake error from 10.128.0.1:50298: EOF") for text in answer.logged)


def test_every_attempt_is_found_by_its_port(captures: Path) -> None:
    """Each connection of each attempt of a capture is answered with that very attempt, over IPv6 too."""
    for name in ("http-ipv6", "http-redirect-same"):
        folder = captures / name
        timeline = probewatch.analyze(folder / "capture.pcap", spec=folder / "pod.yaml")
        for probe in timeline.probes:
            for attempt in probe.attempts[:2]:
                for leg in attempt.legs:
                    host = leg.connection.client
                    text = f"[{host}]:{leg.connection.client_port}" if ":" in host else f"{host}:{leg.connection.client_port}"
                    found = who(folder / "capture.pcap", text, spec=folder / "pod.yaml").answers
                    assert [one.n for answer in found for one in answer.attempts] == [attempt.n], text


def test_a_port_that_was_used_again(captures: Path) -> None:
    """Every use of a port is told: a probed endpoint is told by probe, once each, with all of its connections."""
    folder = captures / "identical-probes"
    told = who(folder / "capture.pcap", "10.128.0.10:8080", spec=folder / "pod.yaml")
    timeline = told.timeline
    assert [answer.probe.id for answer in told.answers if answer.probe] == [probe.id for probe in timeline.probes]
    assert [len(answer.attempts) for answer in told.answers] == [len(probe.attempts) for probe in timeline.probes]


def test_what_became_of_many(captures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a server's connections the results are counted, and how they ended is said in words."""
    from probewatch.cli.run import run

    assert run(["who", "-q", str(captures / "http-flap-s1" / "capture.pcap"), "10.128.0.10:8080"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "result 67 attempts: 35 ok, 32 failed (503)" in said
    assert "closed normally" in said
    assert run(["who", "-q", str(captures / "grpc-refused" / "capture.pcap"), "10.128.0.10:9001"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "10 failed (refused)" in said
    assert ", refused it asks for a connection, and is refused" in said


def test_as_a_command(captures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found is 0 with text or JSON on standard output; not found is 3 with one sentence; no endpoint is 2."""
    from probewatch.cli.run import run

    file = str(captures / "tcp-ready" / "capture.pcap")
    assert run(["who", "-q", file, "10.128.0.1:50298"]) == 0
    assert "tcpSocket" in capsys.readouterr().out
    assert run(["who", "-q", "-o", "json", file, "10.128.0.1:50298"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["schema"], len(made["answers"])) == ("probewatch.who/1", 1)
    assert made["answers"][0]["connections"][0]["frames"] == [23, 28]
    assert run(["who", "-q", file, "10.128.0.1:9"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "that address sends tcpSocket" in said.err
    assert run(["who", "-q", file, "nonsense"]) == 2
    assert run(["who", "-q", file]) == 2


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.104.2.1:57866", ("10.104.2.1", 57866)),
        ("[fd00::1]:57866", ("fd00::1", 57866)),
        ("error from [::ffff:10.1.2.3]:80: EOF", ("10.1.2.3", 80)),
        ("20:10:03 read tcp 10.0.0.2:8080->10.0.0.1:40000: reset", ("10.0.0.1", 40000)),
        ("write tcp [fd00::1]:41000->[fd00::2]:8080: broken pipe", ("fd00::1", 41000)),
        ("10.0.0.2:8080 asked for by 10.0.0.1:40000", ("10.0.0.2", 8080)),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, int]) -> None:
    """An endpoint is found in a line of a log, times and other numbers with colons are none.

    Of a line with both ends of a connection it is the client's, which names that one connection.
    """
    assert endpoint_of(text) == endpoint


@given(st.text(max_size=60))
def test_any_text_is_an_endpoint_or_a_sentence(text: str) -> None:
    """Whatever is given, there is an endpoint in it or one plain sentence."""
    try:
        address, port = endpoint_of(text)
    except InputError:
        return
    assert address
    assert 0 < port < 65536
