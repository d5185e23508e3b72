# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""An haproxy.cfg: what its checks are told to do, and what becomes of a line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.cluster import SpecError, read_haproxy
from probewatch.cluster.haproxycfg import MAX_NOTES
from probewatch.cluster.haproxywords import UNKNOWN, time_of, words
from probewatch.model.check import Asks, CheckSpec
from probewatch.model.units import SECOND

ROUTER = Path(__file__).parents[2] / "captures" / "hap-openshift" / "haproxy.cfg"


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a configuration given as text."""

    def call(text: str) -> list[CheckSpec]:
        path = tmp_path / "haproxy.cfg"
        path.write_text(text)
        return read_haproxy(str(path))[0]

    return call


def refused(tmp_path: Path, text: str) -> str:
    """Return what is said about a configuration that cannot be used."""
    path = tmp_path / "haproxy.cfg"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_haproxy(str(path))
    return str(caught.value).replace(str(path), "F")


def test_an_openshift_routers_backend() -> None:
    """The router's own form: names with colons, `check inter 5000ms`, nothing said of rise and fall."""
    specs, notes = read_haproxy(str(ROUTER))
    assert [(spec.address, spec.port, spec.interval_ns, spec.rise, spec.asks) for spec in specs] == [
        ("10.129.10.10", 8080, 5 * SECOND, None, Asks.CONNECT),
        ("10.129.10.11", 8080, 5 * SECOND, None, Asks.CONNECT),
    ]
    assert specs[0].name == "be_http:ns:app/pod:pod1:10.129.10.10:8080"
    assert specs[0].source == "haproxy.cfg:19"
    assert specs[0].declared == {"server": specs[0].name, "inter_s": 5.0, "timeout_check_s": 5.0}
    assert not notes


def test_all_that_a_server_line_may_say(read) -> None:
    """Every number of section 5.2 that decides, over IPv4 and IPv6."""
    one, two = read(
        "backend be\n"
        " option httpchk GET /healthz HTTP/1.1\n"
        " http-check expect status 200,204,300-302\n"
        " timeout connect 500ms\n"
        " server a 10.0.0.1:80 check inter 3s fastinter 1000 downinter 5s rise 4 fall 5 port 8080 init-state down\n"
        " server b [fd00::1]:80 cookie check weight 10 check addr fd00::2 # check rise 9\n"
    )
    assert (one.rise, one.fall, one.interval_ns, one.fast_ns, one.down_ns) == (4, 5, 3 * SECOND, SECOND, 5 * SECOND)
    assert (one.address, one.port, one.begins, one.timeout_ns) == ("10.0.0.1", 8080, 3, SECOND // 2)
    assert (one.asks, one.method, one.path, one.passes) == (Asks.HTTP, "GET", "/healthz", ((200, 200), (204, 204), (300, 302)))
    assert (two.address, two.port, two.rise, two.interval_ns) == ("fd00::2", 80, None, 2 * SECOND)


def test_defaults_are_handed_on(read) -> None:
    """`defaults` reach every later proxy, named ones those that ask for them, `default-server` the servers after it."""
    specs = read(
        "defaults\n option httpchk\n default-server inter 7s rise 3\n"
        "defaults slow\n timeout check 9s\n default-server check inter 30s\n"
        "listen one\n server a 10.0.0.1:80\n"
        "backend two from slow\n default-server fall 8\n server b 10.0.0.2:80 inter 31s\n server c 10.0.0.3:80 no-check\n"
        "defaults\n"
        "backend three\n server d 10.0.0.4:80 check\n"
    )
    assert [(spec.name, spec.interval_ns and spec.interval_ns // SECOND, spec.fall, spec.asks) for spec in specs] == [
        ("one/a", 30, None, Asks.CONNECT), ("two/b", 31, 8, Asks.CONNECT), ("three/d", 2, None, Asks.CONNECT),
    ]


def test_only_what_is_asked_first_is_the_check(read) -> None:
    """What follows a further connect is asked, and expected, on another connection of the same check."""
    rules = [
        " http-check connect port 8081", " http-check send uri /first", " http-check expect status 200",
        " http-check connect port 8082", " http-check send uri /second", " http-check expect status 204",
    ]  # fmt: skip
    spec = read("\n".join(["backend b", " option httpchk", *rules, " server s 10.0.0.1:80 check", ""]))[0]
    assert (spec.path, spec.passes, spec.port) == ("/first", ((200, 200),), 8081)


def test_what_a_check_asks(read) -> None:
    """Connect, TLS, HTTP or a protocol of its own, as the manual tells of each option."""
    said = {
        "": Asks.CONNECT, "option tcp-check": Asks.CONNECT, "option tcp-check\n tcp-check connect": Asks.CONNECT,
        "option tcp-check\n tcp-check send PING\\r\\n": Asks.OTHER, "option redis-check": Asks.OTHER, "option pgsql-check user u": Asks.OTHER,
        "option httpchk": Asks.HTTP, "option httpchk\n no option httpchk": Asks.CONNECT, "option ssl-hello-chk": Asks.TLS,
        "option httpchk\n http-check connect port 8443 ssl": Asks.TLS, "option mysql-check": None,
    }
    for lines, asks in said.items():
        assert read(f"backend b\n {lines}\n server s 10.0.0.1:80 check\n")[0].asks is asks, lines
    for option, asks in {"check-ssl": Asks.TLS, "ssl": Asks.TLS, "ssl port 81": Asks.CONNECT, "ssl no-check-ssl": Asks.CONNECT, "send-proxy": None}.items():
        assert read(f"backend b\n server s 10.0.0.1:80 check {option}\n")[0].asks is asks, option
    spec = read("backend b\n option httpchk\n http-check send meth GET hdr uri /no uri /yes ver HTTP/1.1\n server s 10.0.0.1:80 check\n")[0]
    assert (spec.method, spec.path, spec.declared["request"]) == ("GET", "/yes", "GET /yes HTTP/1.1")


def test_servers_that_are_not_checked_declare_nothing(read) -> None:
    """Without `check`, disabled, tracked, checked by a program: no packets to tie anything to."""
    options = ("", "check disabled", "check track b/a", "check no-check", "agent-check")
    assert read("backend b\n" + "".join(f" server s{n} 10.0.0.1:80 {text}\n" for n, text in enumerate(options))) == []
    assert read("backend b\n option external-check\n server s 10.0.0.1:80 check\n") == []
    assert read("backend b\n server-template _dynamic-pod- 1-5 172.4.0.4:8765 check disabled\n") == []


def test_addresses_that_packets_cannot_show_are_notes(tmp_path) -> None:
    """A name, a socket, a variable from elsewhere: said once each, the others still count; a variable of the file is known."""
    path = tmp_path / "lb.cfg"
    path.write_text(
        'global\n setenv POD 10.0.0.9\nbackend b\n server a web.example:80 check\n server b unix@/run/s check\n server c "${X}:80" check\n'
        ' server d "${POD}:80" check\n server e "${X-10.0.0.8}:80" check\n' + "".join(f" server n{n} host{n}:80 check\n" for n in range(30))
    )
    specs, notes = read_haproxy(str(path))
    assert [spec.address for spec in specs] == ["10.0.0.9", "10.0.0.8"]
    assert notes[0].startswith('lb.cfg:4: server a has "web.example", which is no IP address')
    assert notes[2].startswith("lb.cfg:6: server c has an environment variable that this file does not set")
    assert len(notes) == MAX_NOTES + 1
    assert notes[-1] == "lb.cfg: 13 more such notes"


@pytest.mark.parametrize(("text", "said"), [
    ("backend b\n server s 10.0.0.1:80 check inter 5x", 'F, line 2: server s: inter "5x" is no time: write a whole number and us, ms, s, m, h or d, as 5000ms or 5s'),
    ("backend b\n server s 10.0.0.1:80 check inter 1.5s", 'F, line 2: server s: inter "1.5s" is no time: write a whole number and us, ms, s, m, h or d, as 5000ms or 5s'),
    ("backend b\n server s 10.0.0.1:80 check inter 0", "F, line 2: server s: inter 0 is no interval: it must be longer than 0"),
    ("backend b\n server s 10.0.0.1:80 check inter 25d", "F, line 2: server s: inter 25d is longer than HAProxy's timers go (24 days)"),
    ("backend b\n server s 10.0.0.1:80 check fall", "F, line 2: server s: fall has no value"),
    ("backend b\n\n server s 10.0.0.1:80 check rise 0", 'F, line 3: server s: rise "0" is not a whole number of at least 1'),
    ("backend b\n server s 10.0.0.1:80 check rise -1", 'F, line 2: server s: rise "-1" is not a whole number of at least 1'),
    ("backend b\n server s 10.0.0.1:99999 check", 'F, line 2: server s: port "99999" is not a whole number from 0 to 65535'),
    ("backend b\n server s", "F, line 2: a server needs a name and an address: server NAME ADDRESS:PORT check"),
    ("backend b\n server 's 10.0.0.1:80 check", "F, line 2: a quote (') is opened and never closed"),
    ("backend b\n timeout check", "F, line 2: timeout check has no value"),
    ("backend b\n http-check expect status abc", 'F, line 2: http-check expect status "abc" is not a whole number from 100 to 999'),
    ("defaults\n server s 10.0.0.1:80 check", "F, line 2: a server stands in a backend or listen section, not in defaults"),
    ("backend b from no", 'F, line 1: backend b is made from defaults "no", and there are none of that name before it'),
    ("server s 10.0.0.1:80", 'F, line 1: "server" stands before any section: this is no HAProxy configuration, or its beginning is missing'),
    ("# nothing\n\n", "F: this is no HAProxy configuration: it has no section such as `backend NAME`"),
    ("{\"kind\": \"Pod\"}", 'F, line 1: "{kind:" stands before any section: this is no HAProxy configuration, or its beginning is missing'),
])  # fmt: skip
def test_a_wrong_line_is_one_sentence(tmp_path, text: str, said: str) -> None:
    """File, line, what is wrong and what to write."""
    assert refused(tmp_path, text) == said


def test_files_that_are_none(tmp_path) -> None:
    """A capture, a directory, bytes: said as for every other input."""
    assert "cannot be opened" in refused_bytes(tmp_path, None)
    assert "this is a packet capture, not an HAProxy configuration" in refused_bytes(tmp_path, b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00")
    assert refused_bytes(tmp_path, b"backend \xff\xfe").endswith("is not UTF-8; an HAProxy configuration is plain text")


def refused_bytes(tmp_path: Path, data: bytes | None) -> str:
    """Return what is said about a file of these bytes; None: it is a directory."""
    path = tmp_path / "x.cfg"
    if data is None:
        path = tmp_path
    else:
        path.write_bytes(data)
    with pytest.raises(SpecError) as caught:
        read_haproxy(str(path))
    return str(caught.value)


@pytest.mark.parametrize(("line", "expected"), [
    ("  server a\\ b 10.0.0.1 # comment", ["server", "a b", "10.0.0.1"]),
    ("x 'a \\n #b' \"c 'd'\" e\\#f", ["x", "a \\n #b", "c 'd'", "e#f"]),
    ('send "PING\\r\\n" \\x41 "" z', ["send", "PING\r\n", "A", "", "z"]),
    ('"$A" "${B}x" "${C-d}" $A "\\$A"', ["1", UNKNOWN + "x", "d", "$A", "$A"]),
    ("#only", []),
])
def test_words(line: str, expected: list[str]) -> None:
    """Quotes, escapes, comments and variables as section 2.2 and 2.3 of the manual have them."""
    assert words(line, {"A": "1"}) == expected


@pytest.mark.parametrize(("text", "ns"), [("5000", 5 * SECOND), ("5000ms", 5 * SECOND), ("5s", 5 * SECOND), ("250us", 250_000), ("2m", 120 * SECOND), ("1h", 3600 * SECOND)])
def test_times(text: str, ns: int) -> None:
    """Milliseconds without a unit."""
    assert time_of(text, "inter") == ns


@given(st.lists(st.sampled_from([
    "backend b", "listen x from d", "defaults d", "defaults", " server s 10.0.0.1:80 check", " server s ::1:80 check ssl", " default-server inter",
    " http-check expect ! rstatus ^2", " http-check expect", " http-check send uri", " http-check connect port 0", " option httpchk GET", " tcp-check connect port",
    " .if x", " no option httpchk", " server-template a 1-3 h:1 check", ' server "q 1', " server s ${A} check addr *", "\\", " timeout check 1e3", "\x00",
]), max_size=12))  # fmt: skip
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    """No text ends in anything but specs or one sentence."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write("\n".join(lines))
        file.flush()
        try:
            notes = read_haproxy(file.name)[1]
        except SpecError as error:
            notes = [str(error)]
        assert all(note.isprintable() for note in notes)
