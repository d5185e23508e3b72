"""What the attempts of a probe asked for, as far as the packets show it: handler, port, scheme, path, service, headers.

The kubelet adds User-Agent, Accept and Connection to what httpHeaders says, and Host is the endpoint unless a header
says otherwise; an empty value removes one of its own (pkg/probe/http/request.go newProbeRequest). So what differs from
these is what was declared, name by name. Kubelets up to 1.19 sent no Accept and asked for gzip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from probewatch.model.exchange import HttpExchange
from probewatch.model.finding import Evidence
from probewatch.model.measure import Measure
from probewatch.model.spec import Handler, ProbeSpec

from .execs import command_line
from .forms import KUBE_PROBE, Ask
from .runs import Run, frames_of, is_hop

HANDLERS: Final = {Ask.HTTP: Handler.HTTP_GET, Ask.TLS: Handler.HTTP_GET, Ask.GRPC: Handler.GRPC}
SHOWN: Final = 3
"""Different values named, and attempts given as evidence."""
OWN: Final = {"accept": "*/*", "connection": "close"}
"""Headers the kubelet and its transport add by themselves."""
UNSENT: Final = frozenset({"content-length", "transfer-encoding", "trailer"})
"""Headers that Go's client never sends because a caller says so (net/http reqWriteExcludeHeader)."""
SINGLE: Final = frozenset({"host", "user-agent"})
"""Headers of which Go sends the first value only."""
LAST_WITHOUT_ACCEPT: Final = 19
"""Minor version of the last kubelet that sent no Accept, but `Accept-Encoding: gzip`."""
UNCONNECTED: Final = "nothing ever connected, so it could not ask"
FOLLOWING: Final = frozenset({"referer"})
"""Headers that only a followed redirect has."""


def asked(runs: Sequence[Run], handler: Handler) -> list[Measure]:
    """Return what these attempts of one probe show of the fields that say what to ask."""
    if handler is Handler.EXEC:
        return _commands(runs)
    sent = [run for run in runs if run.tries]
    out = [_words("port", [(str(run.form.port), run) for run in sent], "no SYN left the node"), _handlers(sent)]
    if handler is Handler.HTTP_GET:
        hidden = _hidden(sent)
        return [*out, _schemes(sent), _paths(sent, hidden), _headers(sent, hidden)]
    return [*out, _services(sent)] if handler is Handler.GRPC else out


def _commands(runs: Sequence[Run]) -> list[Measure]:
    ran = [(command_line(run.execs[-1].arguments), run) for run in runs if run.execs]
    return [
        _words("handler", [(Handler.EXEC.value, run) for _, run in ran], "no run of a command was seen"),
        _words("command", ran, "no run of a command was seen"),
    ]


def _handlers(sent: Sequence[Run]) -> Measure:
    """Say how it asks: by what was said, else by connections in which nothing was."""
    spoke = [(HANDLERS[run.form.ask].value, run) for run in sent if run.form.ask in HANDLERS]
    closed = [(Handler.TCP_SOCKET.value, run) for run in sent if run.form.ask is Ask.CONNECT and _at_first(run)]
    return _words("handler", spoke or closed, UNCONNECTED)


def _schemes(sent: Sequence[Run]) -> Measure:
    spoke = [run for run in sent if run.form.ask in (Ask.HTTP, Ask.TLS)]
    return _words("scheme", [("HTTPS" if run.form.ask is Ask.TLS else "HTTP", run) for run in spoke], UNCONNECTED)


def _hidden(sent: Sequence[Run]) -> str:
    """Return why a request is not seen."""
    if any(run.form.ask is Ask.TLS for run in sent):
        return "the request is encrypted (--keylog would tell)"
    cut = sum(run.form.cut for run in sent)
    if cut:
        return f"the capture cut {'all requests' if cut > 1 else 'the one request'} that it has (snapshot length)"
    return "no request was seen whole"


def _paths(sent: Sequence[Run], hidden: str) -> Measure:
    told = [(run.form.path, run) for run in sent if run.form.path is not None and not is_hop(run)]
    whole = [(path, run) for path, run in told if not run.form.partial]
    return _with_stumps(_words("path", whole, hidden), [(path, run) for path, run in told if run.form.partial])


def _headers(sent: Sequence[Run], hidden: str) -> Measure:
    """Say which headers it sends that a kubelet does not by itself, with the pairs of the commonest."""
    requests = [(http, run) for run in sent if (http := first_request(run)) is not None]
    added = [(sent_headers(http, run.server, run.form.port), run) for http, run in requests]
    spelt = _words("httpHeaders", [(header_text(headers), run) for headers, run in added], hidden)
    usual = next((headers for headers, _ in added if header_text(headers) in spelt.words[:1]), ())
    return replace(spelt, pairs=usual)


def _services(sent: Sequence[Run]) -> Measure:
    named = [(run.form.service or "(none)", run) for run in sent if run.form.service is not None]
    return _words("service", named, "no request was seen")


def _words(field: str, seen: Sequence[tuple[str, Run]], hidden: str) -> Measure:
    if not seen:
        return Measure(field=field, why=hidden)
    counts = Counter(word for word, _ in seen)
    words = tuple(word for word, _ in counts.most_common(SHOWN))
    evidence: list[Evidence] = [frames_of(next(run for word, run in seen if word == one)) for one in words]
    times = len(seen)
    return Measure(
        field=field,
        words=words,
        why=f"{times} attempt{'s' if times > 1 else ''} show{'' if times > 1 else 's'} it",
        evidence=tuple(evidence),
    )


def _with_stumps(whole: Measure, stumps: Sequence[tuple[str, Run]]) -> Measure:
    """Add what was cut off in its middle: a beginning, where it is none of a word that was seen whole."""
    new = [(word, run) for word, run in stumps if not any(known.startswith(word) for known in whole.words)]
    if not new:
        return whole
    cut = _words(whole.field, new, "")
    # Frames are cut at different places: of `/re` and `/ready` the longer one says all.
    ends = tuple(w for w in cut.words if not any(other != w and other.startswith(w) for other in cut.words))
    why = whole.why if whole.words else "the capture kept no more of the request line"
    return replace(whole, beginnings=ends, why=why, evidence=(*whole.evidence, *cut.evidence))


def _at_first(run: Run) -> bool:
    """Tell whether a connection without a request was made by its first SYN: a later one may be a dead dial's."""
    return len(run.tries[0][0].connection.orig.syns) == 1


def first_request(run: Run) -> HttpExchange | None:
    """Return the HTTP request of an attempt's first connection, where it was seen whole."""
    http = run.tries[0][0].http if run.tries else ()
    return http[0] if http and http[0].request_end is not None and http[0].version != "HTTP/2" else None


def sent_headers(http: HttpExchange, address: str, port: int) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request that the kubelet would not have sent by itself, sorted by name; removed ones empty."""
    host = f"[{address}]" if ":" in address else address
    out: list[tuple[str, str]] = []
    names = {name.lower() for name, _ in http.headers}
    claimed = KUBE_PROBE.match(http.header("User-Agent") or "")
    if claimed is not None:
        old = int(claimed[1].partition(".")[2]) <= LAST_WITHOUT_ACCEPT
    else:  # Under another name the form tells: what asks for gzip, and not for anything, is Go's own transport.
        old = "accept" not in names and http.header("Accept-Encoding") == "gzip"
    for name, value in http.headers:
        key = name.lower()
        own = (
            OWN.get(key) == value
            or (key == "user-agent" and KUBE_PROBE.match(value))
            or (key == "host" and value in (f"{host}:{port}", host))
            or (old and key == "accept-encoding" and value == "gzip")
        )
        if not own and key not in FOLLOWING:
            out.append((canonical(name), value))
    removable = ("user-agent",) if old else ("accept", "user-agent")
    out += [(canonical(name), "") for name in removable if name not in names]
    return tuple(sorted(out, key=lambda header: header[0]))


def declared_headers(spec: ProbeSpec, address: str, port: int) -> tuple[tuple[str, str], ...]:
    """Return httpHeaders in the form of `sent_headers`: those that change what the kubelet sends by itself."""
    host = f"[{address}]" if ":" in address else address
    out = []
    seen: set[str] = set()
    for name, value in spec.headers:
        key = name.lower()
        if key in UNSENT or (key in SINGLE and key in seen):
            continue
        seen.add(key)
        own = OWN.get(key) == value or (key == "user-agent" and KUBE_PROBE.match(value))
        if own or (key == "host" and value in ("", f"{host}:{port}", host)):
            continue
        out.append((canonical(name), value.strip()))
    if spec.host and "host" not in seen and spec.host != address:
        named = f"[{spec.host}]" if ":" in spec.host else spec.host
        out.append(("Host", f"{named}:{port}"))
    return tuple(sorted(out, key=lambda header: header[0]))


def header_text(headers: Sequence[tuple[str, str]]) -> str:
    """Return headers as one line: `X-Probe: a, X-Probe: b`; `(none)` where there are none."""
    return ", ".join(f"{name}: {value}".rstrip() for name, value in headers) or "(none)"


def canonical(name: str) -> str:
    """Spell a header's name as Go sends it (textproto.CanonicalMIMEHeaderKey)."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))
