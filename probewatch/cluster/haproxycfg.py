"""An haproxy.cfg, read for what HAProxy's health checks are told to do: one `CheckSpec` for each server that is checked.

Sources: HAProxy's configuration manual (2.8), sections 2.2 (quoting), 2.5 (times), 4.2 (`option httpchk`, `http-check`,
`tcp-check`, `timeout check`, `timeout connect`, `default-server`, `option ...-check`) and 5.2 (`check`, `inter`, `rise`,
`addr`, `check-ssl` ...); the OpenShift router's template for its forms (`server-template _dynamic-pod- 1-5 ADDR check
disabled`, a `pod:` name with colons).

Theory of operation. The file is a list of sections; `defaults` hands on what it says to every proxy after it (or to
those that name it, `from`), `default-server` to every server of its proxy. Only what a check depends on is read, and
everything else is passed over: a proxy's other lines are none of our business. What is read has to make sense, else
`SpecError` names file and line.

Limitations: nothing is resolved. A server whose address is a name, a socket or an environment variable that the file
does not set is passed over with a note, and so are `.if` blocks (all their branches are read). Of several `connect`
rules only the first counts. What `expect` looks for in a body is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from probewatch.model.check import Asks, CheckSpec
from probewatch.model.units import SECOND

from .addresses import address_of
from .errors import SpecError, plain, shown
from .haproxywords import UNKNOWN, number_of, time_of, words
from .source import MAX_SPEC_BYTES, TextSource, file_name

MAX_SERVERS: Final = 100_000
"""Servers of one file."""
MAX_NOTES: Final = 20
"""Notes of one file; what is beyond is counted."""

DEFAULT_INTER_NS: Final = 2 * SECOND
"""`inter` where nothing is written (DEF_CHKINTR)."""

SECTIONS: Final = frozenset({
    "global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "mailers", "userlist", "cache",
    "program", "http-errors", "ring", "log-forward", "log-profile", "fcgi-app", "crt-store", "crt-list", "traces",
    "acme", "namespace_list", "ruleset",
})  # fmt: skip
PROXIES: Final = frozenset({"backend", "listen", "frontend", "defaults"})

TIMES: Final = {"inter": "inter_s", "fastinter": "fastinter_s", "downinter": "downinter_s"}
COUNTS: Final = ("rise", "fall")
INIT_STATES: Final = ("fully-up", "up", "down", "fully-down")
"""`init-state` (3.1 and newer)."""
FLAGS: Final = {"check": True, "no-check": False, "disabled": True, "enabled": False, "check-ssl": True,
                "no-check-ssl": False, "ssl": True, "no-ssl": False, "agent-check": True, "no-agent-check": False,
                "send-proxy": True, "send-proxy-v2": True, "check-send-proxy": True, "send-proxy-v2-ssl": True,
                "send-proxy-v2-ssl-cn": True, "no-send-proxy": False, "no-send-proxy-v2": False}  # fmt: skip
VALUED: Final = frozenset({
    "agent-addr", "agent-inter", "agent-port", "agent-send", "alpn", "ca-file", "check-alpn",
    "check-pool-conn-name", "check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs", "cookie",
    "crl-file", "crt", "curves", "error-limit", "guid", "hash-key", "id", "idle-ping", "init-addr", "interface",
    "log-bufsize", "log-proto", "maxconn", "max-reuse", "maxqueue", "minconn", "namespace", "npn", "observe",
    "on-error", "on-marked-down", "on-marked-up", "pool-conn-name", "pool-low-conn", "pool-max-conn",
    "pool-purge-delay", "proto", "proxy-v2-options", "redir", "renegotiate", "resolve-net", "resolve-opts",
    "resolve-prefer", "resolvers", "set-proxy-v2-tlv-fmt", "shard", "sigalgs", "slowstart", "sni", "socks4",
    "source", "ssl-max-ver", "ssl-min-ver", "tcp-md5sig", "tcp-ut", "track", "usesrc", "verify", "verifyhost",
    "weight", "ws",
})  # fmt: skip
"""Words of a server line that take a value of no interest here."""
PROTOCOLS: Final = ("ssl-hello-chk", "smtpchk", "ldap-check", "mysql-check", "pgsql-check", "redis-check", "spop-check",
                    "external-check", "tcp-check", "httpchk")  # fmt: skip

_SERVERS: Final = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


@dataclass(slots=True)
class _Proxy:
    """What a section says of checks; copied where it inherits."""

    kind: str = ""
    """The last `option ...-check`; empty: a plain connect."""
    line: tuple[str, str, str] = ("OPTIONS", "/", "HTTP/1.0")
    passes: tuple[tuple[int, int], ...] = ()
    body: bool = False
    """Success depends on what stands in the body or on a rule that is not read."""
    sends: bool = False
    """tcp-check sends or expects something."""
    asked: bool = False
    """An `http-check send` was read."""
    further: bool = False
    """What follows is said on a further connection of the same check."""
    connect: dict[str, Any] = field(default_factory=dict)
    check_ns: int | None = None
    connect_ns: int | None = None
    server: dict[str, Any] = field(default_factory=dict)
    """Of `default-server`."""

    def copy(self) -> _Proxy:
        return replace(self, connect=dict(self.connect), server=dict(self.server))


@dataclass(frozen=True, slots=True)
class _Server:
    """One server line, until its proxy is complete."""

    line: int
    backend: str
    name: str
    address: str
    proxy: _Proxy
    says: dict[str, Any]


@dataclass(slots=True)
class _Reader:
    """Where in a file we are."""

    name: str
    number: int = 0
    """Of the line."""
    variables: dict[str, str] = field(default_factory=dict)
    section: str = ""
    title: str = ""
    proxy: _Proxy = field(default_factory=_Proxy)
    latest: _Proxy = field(default_factory=_Proxy)
    """The defaults that the next proxy takes."""
    named: dict[str, _Proxy] = field(default_factory=dict)
    servers: list[_Server] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unsaid: int = 0
    conditional: bool = False

    def note(self, line: int, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"{self.name}:{line}: {text}")
        else:
            self.unsaid += 1


def read_haproxy(path: str) -> tuple[list[CheckSpec], list[str]]:
    """Return what each checked server of an haproxy.cfg declares, and notes on those that could not be used.

    Raises:
        SpecError: it cannot be read, is no configuration, or a line that a check depends on is wrong.
    """
    reader = _Reader(file_name(path, "configuration"))
    with TextSource(path, MAX_SPEC_BYTES, "an HAProxy configuration", "plain text") as source:
        text = source.rest()
    # HAProxy's lines end with LF only; splitlines() would count others.
    for reader.number, line in enumerate(text.split("\n"), 1):
        try:
            _line(reader, words(line.removesuffix("\r"), reader.variables))
        except ValueError as error:
            raise SpecError(f"{path}, line {reader.number}: {error}") from None
    if not reader.section:
        raise SpecError(f"{path}: this is no HAProxy configuration: it has no section such as `backend NAME`")
    specs = []
    for server in reader.servers:
        try:
            spec = _spec(reader, server)
        except ValueError as error:
            raise SpecError(f"{path}, line {server.line}: {error}") from None
        if spec is not None:
            specs.append(spec)
    if reader.unsaid:
        reader.notes.append(f"{reader.name}: {reader.unsaid} more such notes")
    return specs, reader.notes


def _line(reader: _Reader, said: list[str]) -> None:
    """Read one line."""
    if not said:
        return
    first = said[0]
    if first.startswith("."):
        if first == ".if" and not reader.conditional:
            reader.conditional = True
            reader.note(reader.number, "conditions (.if) are not decided here: all their branches are read")
        return
    if first in SECTIONS:
        _begin(reader, said)
    elif not reader.section:
        raise ValueError(
            f"{shown(first)} stands before any section: this is no HAProxy configuration, or its beginning is missing"
        )
    elif reader.section == "global" and first in ("setenv", "presetenv") and len(said) == 3:
        if first == "setenv" or said[1] not in reader.variables:
            reader.variables[said[1]] = said[2]
    elif reader.section in PROXIES and first in _PROXY_LINES:
        _PROXY_LINES[first](reader, said[1:])


def _begin(reader: _Reader, said: list[str]) -> None:
    section, title = said[0], said[1] if len(said) > 1 else ""
    reader.section, reader.title = section, title
    origin = said[said.index("from") + 1 :][:1] if "from" in said[1:] else []
    base = reader.named.get(origin[0]) if origin else None
    if origin and base is None:
        raise ValueError(
            f"{section} {plain(title)} is made from defaults {shown(origin[0])}, and there are none of that name before it"
        )
    if section == "defaults":
        # A defaults section begins anew; only `from` hands on an earlier one.
        reader.proxy = base.copy() if base is not None else _Proxy()
        reader.latest = reader.proxy
        if title and title != "from":
            reader.named[title] = reader.proxy
    elif section in PROXIES:
        reader.proxy = (base or reader.latest).copy()


def _option(reader: _Reader, said: list[str]) -> None:
    """Read `option ...`: the last that names a check counts."""
    if said and said[0] in PROTOCOLS:
        reader.proxy.kind = said[0]
        if said[0] == "httpchk":
            reader.proxy.line = _request(said[1:])


def _no(reader: _Reader, said: list[str]) -> None:
    """Read `no option ...`."""
    if said[:1] == ["option"] and said[1:2] == [reader.proxy.kind]:
        reader.proxy.kind = ""


def _tcp_check(reader: _Reader, said: list[str]) -> None:
    if said[:1] == ["connect"]:
        _connect(reader.proxy, said[1:])
    elif said and said[0] != "comment":
        reader.proxy.sends = True


def _timeout(reader: _Reader, said: list[str]) -> None:
    """Read `timeout check TIME` and `timeout connect TIME`."""
    if not said or said[0] not in ("check", "connect"):
        return
    if len(said) < 2:
        raise ValueError(f"timeout {said[0]} has no value")
    ns = time_of(said[1], f"timeout {said[0]}")
    if said[0] == "check":
        reader.proxy.check_ns = ns
    else:
        reader.proxy.connect_ns = ns


def _default_server(reader: _Reader, said: list[str]) -> None:
    reader.proxy.server |= _said(said, "default-server")


def _server_line(reader: _Reader, said: list[str]) -> None:
    """Read `server NAME ADDRESS:PORT ...`; a frontend has none, and HAProxy says so itself."""
    if reader.section == "frontend":
        return
    if len(said) < 2:
        raise ValueError("a server needs a name and an address: server NAME ADDRESS:PORT check")
    if reader.section == "defaults":
        raise ValueError("a server stands in a backend or listen section, not in defaults")
    _server(reader, said[0], said[1], said[2:])


def _server_template(reader: _Reader, said: list[str]) -> None:
    """Read `server-template PREFIX NUMBER ADDRESS:PORT ...`."""
    if reader.section == "frontend":
        return
    if len(said) < 3 or _SERVERS.fullmatch(said[1]) is None:
        raise ValueError(
            "a server-template needs a prefix, a number and an address: server-template web 1-5 ADDRESS:PORT check"
        )
    _server(reader, said[0], said[2], said[3:])


def _server(reader: _Reader, name: str, address: str, options: list[str]) -> None:
    if len(reader.servers) >= MAX_SERVERS:
        raise ValueError(f"there are more than {MAX_SERVERS} servers")
    says = _said(options, f"server {plain(name)}")
    reader.servers.append(_Server(reader.number, reader.title, name, address, reader.proxy, says))


def _request(said: list[str]) -> tuple[str, str, str]:
    """Return (method, target, version) of `option httpchk`: nothing, a URI, or up to all three."""
    if not said:
        return "OPTIONS", "/", "HTTP/1.0"
    if len(said) == 1:
        return "OPTIONS", said[0], "HTTP/1.0"
    version = said[2].split("\r", 1)[0] if len(said) > 2 else "HTTP/1.0"
    return said[0], said[1], version


def _http_check(reader: _Reader, said: list[str]) -> None:
    proxy = reader.proxy
    what, rest = said[0] if said else "", said[1:]
    if what == "connect":
        proxy.further = proxy.further or proxy.asked
        _connect(proxy, rest)
    elif proxy.further and what in ("send", "expect"):
        return  # of a further connection
    elif what == "send":
        proxy.asked = True
        given = _send(rest)
        method, target, version = proxy.line
        target = given.get("uri", given.get("uri-lf", target))
        proxy.line = (given.get("meth", method), target, given.get("ver", version))
    elif what == "expect":
        _expect(proxy, rest)
    elif what == "disable-on-404":
        reader.note(
            reader.number,
            "disable-on-404: a server that answers 404 leaves the balance without going DOWN; packets do not show that",
        )


_PROXY_LINES: Final[dict[str, Callable[[_Reader, list[str]], None]]] = {
    "option": _option,
    "no": _no,
    "http-check": _http_check,
    "tcp-check": _tcp_check,
    "timeout": _timeout,
    "default-server": _default_server,
    "server": _server_line,
    "server-template": _server_template,
}
"""How each line of a proxy or of defaults is read that says something of checks: the words after the first."""


def _send(said: list[str]) -> dict[str, str]:
    """Read `http-check send [meth M] [uri U] [ver V] [hdr NAME VALUE]* [body B] [comment C]`."""
    out: dict[str, str] = {}
    rest = iter(said)
    for word in rest:
        value = next(rest, None)
        if value is None:
            raise ValueError(f"http-check send: {shown(word)} has no value")
        if word == "hdr":
            next(rest, None)
        out.setdefault(word, value)
    return out


def _expect(proxy: _Proxy, said: list[str]) -> None:
    """Read `http-check expect [min-recv N] [comment C] [..-status S] [on-...] [!] MATCH PATTERN`."""
    said = list(said)
    while said and (said[0] in ("min-recv", "comment", "on-success", "on-error") or said[0].endswith("-status")):
        del said[:2]
    negated = said[:1] == ["!"]
    if negated:
        del said[:1]
    if len(said) < 2:
        raise ValueError("http-check expect needs a match and a pattern: http-check expect status 200-399")
    ranges = _statuses(said[0], said[1])
    if ranges is None:
        proxy.body = True
        return
    proxy.passes = _complement(ranges) if negated else ranges


def _statuses(match: str, pattern: str) -> tuple[tuple[int, int], ...] | None:
    """Return the status codes that a rule takes for success; None where it looks at anything else."""
    if match == "rstatus" and re.fullmatch(r"[\^$()|\[\]0-9.?:-]{1,100}", pattern, re.ASCII):
        # Nothing in there can make a search slow, and there are only 500 codes.
        try:
            form = re.compile(pattern)
        except re.error:
            return None
        return tuple((code, code) for code in range(100, 600) if form.search(str(code)))
    if match != "status":
        return None
    out = []
    for part in pattern.split(","):
        low, _, high = part.partition("-")
        first = number_of(low, "http-check expect status", least=100, most=999)
        out.append((first, number_of(high, "http-check expect status", least=first, most=999) if high else first))
    return tuple(out)


def _complement(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return tuple((code, code) for code in range(100, 600) if not any(low <= code <= high for low, high in ranges))


def _connect(proxy: _Proxy, said: list[str]) -> None:
    """Read the first `connect` rule of a check."""
    if proxy.connect:
        return
    proxy.connect["line"] = True
    rest = iter(said)
    for word in rest:
        if word in ("port", "addr"):
            value = next(rest, "")
            proxy.connect[word] = value
        elif word == "ssl":
            proxy.connect["ssl"] = True
        elif word in ("sni", "alpn", "proto", "comment"):
            next(rest, "")


def _said(options: list[str], what: str) -> dict[str, Any]:
    """Read the words of a server line that a check depends on."""
    out: dict[str, Any] = {}
    rest = iter(options)
    for word in rest:
        if word in FLAGS:
            out[word.removeprefix("no-") if word != "enabled" else "disabled"] = FLAGS[word]
            continue
        if (
            word not in TIMES
            and word not in COUNTS
            and word not in ("addr", "port", "init-state")
            and word not in VALUED
        ):
            continue
        value = next(rest, None)
        if value is None:
            raise ValueError(f"{what}: {word} has no value")
        if UNKNOWN in value and word not in VALUED and word != "addr":
            raise ValueError(
                f"{what}: {word} is an environment variable that this file does not set: write the value in its place"
            )
        if word in TIMES:
            out[word] = time_of(value, f"{what}: {word}")
            if out[word] <= 0:
                raise ValueError(f"{what}: {word} {plain(value)} is no interval: it must be longer than 0")
        elif word in COUNTS:
            out[word] = number_of(value, f"{what}: {word}", least=1)
        elif word == "port":
            out[word] = number_of(value, f"{what}: port", least=1, most=65_535)
        elif word == "init-state":
            if value not in INIT_STATES:
                raise ValueError(f"{what}: init-state {shown(value)} is none of {', '.join(INIT_STATES)}")
            out[word] = value
        elif word in ("addr", "track", "observe"):
            out[word] = value
    return out


def _spec(reader: _Reader, server: _Server) -> CheckSpec | None:
    """Return what a server declares; None where it is not checked from here, or nothing on the wire can be its check."""
    proxy = server.proxy
    says = {**proxy.server, **server.says}
    if not says.get("check") or says.get("disabled") or "track" in says or proxy.kind == "external-check":
        return None
    place = _checked_at(reader, server, says)
    if place is None:
        return None
    http = proxy.kind == "httpchk"
    method, target = proxy.line[:2] if http else ("", "")
    rise, fall, inter_ns = says.get("rise"), says.get("fall"), says.get("inter", DEFAULT_INTER_NS)
    dial_ns = min(proxy.connect_ns or inter_ns, inter_ns)  # (`timeout check` begins once connected)
    name = f"{server.backend}/{server.name}"
    return CheckSpec(
        kind="haproxy",
        source=f"{reader.name}:{server.line}",
        name=name,
        address=place[0],
        port=place[1],
        asks=_asks(proxy, says, tls=_over_tls(proxy, says)),
        method=method,
        path="" if UNKNOWN in target else target,
        passes=proxy.passes if http else (),
        rise=rise,
        fall=fall,
        begins=_begins(says.get("init-state"), rise or 2, fall or 3),
        interval_ns=inter_ns,
        fast_ns=says.get("fastinter"),
        down_ns=says.get("downinter"),
        timeout_ns=proxy.check_ns or dial_ns,
        dial_ns=dial_ns,
        declared={"server": name, **_declared(proxy, says)},
        notes=_notes(proxy, says),
    )


def _checked_at(reader: _Reader, server: _Server, says: Mapping[str, Any]) -> tuple[str, int | None] | None:
    """Return where a server is checked: `addr` and `port`, or those of a check's own `connect`, before its own; None for no address."""
    what = f"server {plain(server.name)}"
    over = server.proxy.connect
    address, port = _endpoint(server.address, what)
    if "addr" in says or "addr" in over:
        address = says.get("addr") or over.get("addr") or ""
        # No port belongs to it, so a bare IPv6 address is one as a whole.
        address = address if address_of(address) else _endpoint(address, f"{what}: addr")[0]
    if "port" in says:
        port = says["port"]
    if "port" in over:
        port = number_of(over["port"], "connect port", least=1, most=65_535)
    found = address_of(address) if address else None
    if found is not None:
        return found, port
    unset = "an environment variable that this file does not set"
    said = unset if UNKNOWN in address else f"{shown(address)}, which is no IP address"
    reader.note(server.line, f"{what} has {said}: its checks are tied to nothing; write the address that it had")
    return None


def _over_tls(proxy: _Proxy, says: Mapping[str, Any]) -> bool:
    """Tell whether checks go over TLS: as said, else as the traffic does, unless they go elsewhere."""
    if says.get("check-ssl") or proxy.connect.get("ssl"):
        return True
    return bool(says.get("ssl")) and not {"addr", "port"} & says.keys() and says.get("check-ssl") is None


def _notes(proxy: _Proxy, says: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what of it no check on the wire shows."""
    notes = []
    if says.get("agent-check") or "observe" in says:
        notes.append(
            "agent-check and observe change its state without a check: decisions are counted from the checks alone"
        )
    if proxy.body and proxy.kind == "httpchk":
        notes.append("http-check expect looks at more than the status: success is told from the status alone")
    return tuple(notes)


def _declared(proxy: _Proxy, says: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was declared in HAProxy's own words, times in seconds."""
    declared: dict[str, Any] = {}
    if proxy.kind:
        declared["option"] = proxy.kind
    if proxy.kind == "httpchk":
        declared["request"] = " ".join(proxy.line)
    declared |= {field_name: says[word] / SECOND for word, field_name in TIMES.items() if word in says}
    declared |= {word: says[word] for word in (*COUNTS, "init-state") if word in says}
    if proxy.check_ns is not None:
        declared["timeout_check_s"] = proxy.check_ns / SECOND
    return declared


def _begins(state: str | None, rise: int, fall: int) -> int | None:
    """Return the health, of 0..rise+fall-1, that a server begins with."""
    return dict(zip(INIT_STATES, (rise + fall - 1, rise, rise - 1, 0), strict=True)).get(state or "")


def _asks(proxy: _Proxy, says: dict[str, Any], *, tls: bool) -> Asks | None:
    if any(
        says.get(word)
        for word in ("send-proxy", "send-proxy-v2", "check-send-proxy", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn")
    ):
        return None
    if tls or proxy.kind == "ssl-hello-chk":
        return Asks.TLS
    if proxy.kind == "httpchk":
        return Asks.HTTP
    if proxy.kind == "mysql-check":
        return None  # the server speaks first, and without a user nothing is sent
    if not proxy.kind or (proxy.kind == "tcp-check" and not proxy.sends):
        return Asks.CONNECT
    return Asks.OTHER


def _endpoint(text: str, what: str) -> tuple[str, int | None]:
    """Return (address, port) of a server's address: `10.0.0.1:80`, `fd00::1:80`, `[fd00::1]:80`, `ipv4@...`, a name, a path."""
    if UNKNOWN in text:
        # "${POD_IP}:8080": the port may still be known, but ties nothing by itself.
        return text, None
    bare = re.sub(r"^(?:(?:stream\+|dgram\+)?(?:ipv4|ipv6|tcp|tcp4|tcp6|quic4|quic6)@)", "", text)
    if not bare or "@" in bare or bare.startswith("/"):
        return text, None
    host, colon, port = bare.rpartition(":")
    if not colon or (bare.startswith("[") and bare.endswith("]")):
        return bare, None
    if not port or port[:1] in "+-":
        return host, None  # mapped from the client's port: what is checked is named by `port`
    return host, number_of(port, f"{what}: port", least=0, most=65_535) or None
