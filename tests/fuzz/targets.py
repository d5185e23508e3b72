"""What is fuzzed: each parser that bytes from outside reach, as a function of bytes that must end quietly.

A target takes any bytes and returns, or raises one of the errors that the parser documents; anything else that escapes is
a finding. Its seeds are real input, taken from `captures/` and the manifests beside them, cut down to what fits.
`test_fuzz` runs mutations of the seeds everywhere; `guided` runs them under atheris, which follows the branches that an
input takes.
"""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from probewatch.annotating import annotate
from probewatch.api import Analysis, document
from probewatch.asking import endpoint_of
from probewatch.capture import CaptureError
from probewatch.capture.proc import cgroup_of
from probewatch.capture.reader import Reader
from probewatch.capture.runtimes import is_runtime, told
from probewatch.capture.trim import Trimmer
from probewatch.cluster import (
    SpecError,
    parse_check,
    parse_node_ip,
    read_cluster,
    read_events,
    read_expectations,
    read_haproxy,
    read_kubelet_log,
    read_specs,
)
from probewatch.cluster.names import read_crictl
from probewatch.explaining import read_ladders
from probewatch.model.connection import Arrival, Connection, Half
from probewatch.model.frame import JOURNAL_ENTRY, Frame, Mark
from probewatch.model.journal import SIGN, process_event, sentence
from probewatch.model.units import MS
from probewatch.moments import moment
from probewatch.observer import Observer
from probewatch.probes.questions import KEPT_QUESTIONS, questions
from probewatch.report import ladder, text, trace
from probewatch.wire.decrypt import Keylog
from probewatch.wire.exchange import read_exchange
from probewatch.wire.link import LINKS
from probewatch.wire.packets import IcmpError, Neighbour, Segment
from probewatch.wire.peel import Peeler
from probewatch.wire.phrases import phrases
from probewatch.wire.tcp import Tracker
from probewatch.wire.x509 import read_certificate

ROOT: Final = Path(__file__).resolve().parents[2]
CAPTURES: Final = ROOT / "captures"
MAX_SEED: Final = 8_192
"""Bytes of a seed: longer ones make a fuzzer slow and no wiser."""
DRAWN: Final = 4
"""Attempts of one capture that are drawn as ladders."""
MAX_SEEDS: Final = 48
"""Seeds of one target."""
EPOCH: Final = 1_795_378_200_000_000_000
_LINKS: Final = (*sorted(LINKS), 65_000)
_SCRATCH: Final = Path(tempfile.gettempdir() if not os.access("/dev/shm", os.W_OK) else "/dev/shm")


@dataclass(frozen=True, slots=True)
class Target:
    """A parser to be fuzzed."""

    run: Callable[[bytes], object]
    seeds: Callable[[], Iterator[bytes]]
    heavy: bool = False
    """One run takes milliseconds, not microseconds."""
    records: bool = False
    """Its input is a capture, whose records can be damaged as such (`records`)."""


def _scratch(data: bytes, suffix: str) -> str:
    """Write data where a reader of files finds it; one file a process, overwritten each time."""
    path = _SCRATCH / f"probewatch-fuzz-{os.getpid()}{suffix}"
    path.write_bytes(data)
    return str(path)


# Frames.


def _cut(data: bytes) -> Iterator[Frame]:
    """Yield the frames that data is cut into: each a byte for the link type, two for the length, and so many bytes."""
    at = number = 0
    while at + 3 <= len(data) and number < 64:
        link = _LINKS[data[at] % len(_LINKS)]
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        piece = data[at + 3 : at + 3 + length]
        at += 3 + len(piece)
        number += 1
        yield Frame(EPOCH + number * MS, 0, number, number % 2, link, piece, max(length, len(piece)))


def frames(data: bytes) -> None:
    """Peel and track frames."""
    peeler, tracker = Peeler(), Tracker()
    for frame in _cut(data):
        packet = peeler.peel(frame)
        if isinstance(packet, Segment):
            tracker.segment(packet)
        elif isinstance(packet, Neighbour):
            tracker.neighbour(packet)
        elif isinstance(packet, IcmpError):
            tracker.icmp(packet)
    tracker.advance(EPOCH + 10**12)
    for item in [*tracker.take(), *tracker.finish()]:
        if isinstance(item, Connection):
            read_exchange(item)


def trim(data: bytes) -> None:
    """Trim frames for a recording: none becomes longer, and what the wire's length was stays."""
    for trimmer in (Trimmer(), Trimmer(headers_only=True, mask=True)):
        for frame in _cut(data):
            made = trimmer.trim(frame)
            assert len(made.data) <= len(frame.data)
            assert made._replace(data=frame.data) == frame


def _packed(many: list[Frame]) -> bytes:
    out = b""
    for frame in many:
        link = _LINKS.index(frame.link_type) if frame.link_type in _LINKS else len(_LINKS) - 1
        out += bytes([link]) + len(frame.data).to_bytes(2, "big") + frame.data
    return out


@cache
def _read(path: Path) -> list[Frame]:
    try:
        with Reader(str(path), 0) as reader:
            return [frame for frame, _ in zip(reader, range(4000), strict=False)]
    except CaptureError:
        return []


def _small_captures() -> list[Path]:
    return sorted(path for path in CAPTURES.rglob("*.pcap*") if path.is_file() and path.stat().st_size < 400_000)


def _frame_seeds() -> Iterator[bytes]:
    for path in _small_captures():
        many = [frame for frame in _read(path) if len(frame.data) < 2_000]
        if many:
            yield _packed(many[:12])
            yield _packed(many[len(many) // 2 : len(many) // 2 + 12])


# Streams.


def _half(data: bytes, pieces: int, first: int, *, fin: bool, gap: bool) -> Half:
    size = max(1, -(-len(data) // pieces))
    ends = [*range(size, len(data), size), *([len(data)] if data else [])]
    arrivals = tuple(Arrival(end, Mark(EPOCH + (first + n) * MS, 0, first + n)) for n, end in enumerate(ends))
    last = Mark(EPOCH + (first + len(ends)) * MS, 0, first + len(ends))
    return Half(
        packets=len(ends) + 2, data=data, length=len(data) + (100 if gap else 0), arrivals=arrivals,
        gap=len(data) if gap else None, syns=(Mark(EPOCH, 0, 1),), last=last, fin=last if fin else None,
    )  # fmt: skip


def _connection(data: bytes) -> Connection:
    """Read a conversation: a byte of flags, a byte of pieces, two bytes with the length of what the client says, then both."""
    head, data = data[:4].ljust(4, b"\0"), data[4:]
    flags, pieces, length = head[0], head[1] % 16 + 1, int.from_bytes(head[2:4], "big")
    orig = _half(data[:length], pieces, 2, fin=bool(flags & 1), gap=bool(flags & 2))
    resp = _half(data[length:], pieces, 3, fin=bool(flags & 4), gap=bool(flags & 8))
    return Connection(
        id=0, client="fd00::1", client_port=40000, server="fd00::10", server_port=8080, start=Mark(EPOCH, 0, 1),
        end=Mark(EPOCH + 10**9, 0, 99), state="SF", history="ShADadFf", orig=orig, resp=resp, midstream=bool(flags & 16),
    )  # fmt: skip


def exchange(data: bytes) -> None:
    """Read what was said on a connection, whole and phrase by phrase: HTTP/1, TLS, HTTP/2 with hpack, gRPC, a PROXY header."""
    made = _connection(data)
    phrases(made)
    for part in questions(read_exchange(made, most=KEPT_QUESTIONS)):
        assert part.connection.start <= part.connection.end


@cache
def _keys() -> Keylog:
    keys = Keylog()
    for path in sorted(CAPTURES.rglob("keys.log")):
        keys.add(path.read_bytes())
    return keys


def encrypted(data: bytes) -> None:
    """Read a connection with the keys of the captures at hand."""
    phrases(_connection(data), _keys())


def _conversations() -> Iterator[Connection]:
    for path in _small_captures():
        peeler, tracker = Peeler(), Tracker()
        for frame in _read(path):
            packet = peeler.peel(frame)
            if isinstance(packet, Segment):
                tracker.segment(packet)
        seen: set[tuple[bytes, bytes]] = set()
        for item in [*tracker.take(), *tracker.finish()]:
            if isinstance(item, Connection) and (item.orig.data or item.resp.data):
                kind = (item.orig.data[:24], item.resp.data[:24])
                if kind not in seen and len(seen) < 6:
                    seen.add(kind)
                    yield item


def _stream_seeds() -> Iterator[bytes]:
    said: set[tuple[bytes, bytes]] = set()
    for item in _conversations():
        kind = (item.orig.data[:40], item.resp.data[:40])
        if kind not in said:
            said.add(kind)
            orig = item.orig.data[:4_000]
            yield bytes([5, len(item.orig.arrivals) % 16]) + len(orig).to_bytes(2, "big") + orig + item.resp.data[:4_000]


def _tls_seeds() -> Iterator[bytes]:
    return (seed for seed in _stream_seeds() if seed[4:6] == b"\x16\x03")


def key_log(data: bytes) -> None:
    """Read a key log and look for every secret that it may hold."""
    Keylog().add(data)


def certificate(data: bytes) -> None:
    """Read an X.509 certificate."""
    read_certificate(data)


def _certificate_seeds() -> Iterator[bytes]:
    # A leaf from a Certificate message in clear (TLS 1.2), or none: the fuzzer begins with nothing then.
    for item in _conversations():
        at = item.resp.data.find(b"\x30\x82")
        if item.resp.data[:1] == b"\x16" and at > 0:
            length = int.from_bytes(item.resp.data[at + 2 : at + 4], "big") + 4
            yield item.resp.data[at : at + length]
    yield b"\x30\x03\x02\x01\x00"


# Files.


def capture(data: bytes) -> None:
    """Read a capture of any format to its end."""
    try:
        with Reader(_scratch(data, ".pcap"), 0) as reader:
            for _ in reader:
                pass
            reader.info()
    except CaptureError:
        return


def whole(data: bytes) -> None:
    """Analyse a capture and print what was found: text and ladders without a control character, and a document."""
    out: list[str] = []
    path = _scratch(data, ".pcap")
    try:
        timeline = Analysis([path]).whole()
    except CaptureError:
        return
    text.write(timeline, out.append)
    document(timeline)
    chosen = [(probe, attempt) for probe in timeline.probes for attempt in probe.attempts][:DRAWN]
    ladders = read_ladders(timeline, path, chosen)
    ladder.write(ladders, timeline.captures, out.append)
    trace.write(timeline, out.append)
    said = "".join(out)
    assert all(character == "\n" or character.isprintable() for character in said), "a control character is printed"


def skim(data: bytes) -> None:
    """Analyse a capture frame by frame and skimmed: both say the same."""
    path = _scratch(data, ".pcap")
    try:
        skimmed, whole = (document(Analysis([path], skim=skim).whole()) for skim in (True, False))
    except CaptureError:
        return
    assert skimmed == whole, "skimming says something else"


def copy(data: bytes) -> None:
    """Write an annotated copy of a capture: it is whole, and has the frames that could be read."""
    path = _scratch(data, ".pcap")
    try:
        timeline = Analysis([path]).whole()
    except CaptureError:
        return
    written = annotate(timeline, [path], f"{path}ng")
    with Reader(f"{path}ng", 0) as reader:
        read = sum(1 for _ in reader)
        info = reader.info()
    assert info.complete, info.notes
    assert (read, info.frames) == (written.frames, timeline.captures[0].frames)


def _capture_seeds() -> Iterator[bytes]:
    for path in sorted(CAPTURES.rglob("*.pcap*")):
        if path.is_file():
            yield path.read_bytes()[:MAX_SEED]


def _reads(read: Callable[[str], object], suffix: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        try:
            read(_scratch(data, suffix))
        except SpecError:
            return

    return run


def _texts(*patterns: str) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        for pattern in patterns:
            for path in sorted(ROOT.glob(pattern)):
                yield path.read_bytes()[:MAX_SEED]

    return seeds


def _expectation_seeds() -> Iterator[bytes]:
    # What docs/expect.md shows, and every key that the schema knows.
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "expect.md").read_text(encoding="utf-8"), re.DOTALL):
        yield block.encode()


def _log_seeds() -> Iterator[bytes]:
    # As klog writes it, and as the journal gives it out: with its own time before each line, as JSON, in its export format.
    for path in sorted(CAPTURES.rglob("kubelet.log")):
        said = path.read_bytes()[: MAX_SEED // 2]
        lines = [line for line in said.splitlines() if line][:20]
        yield said
        yield b"\n".join(b"Nov 22 20:10:48 node-a kubelet[812]: " + line for line in lines)
        entries = [{"__REALTIME_TIMESTAMP": "1795378248000000", "MESSAGE": line.decode("utf-8", "replace")} for line in lines]
        yield b"\n".join(json.dumps(entry).encode() for entry in entries)
        heads = (b"__REALTIME_TIMESTAMP=1795378248000000\nMESSAGE\n" + struct.pack("<Q", len(line)) for line in lines)
        yield b"".join(head + line + b"\n\n" for head, line in zip(heads, lines, strict=True))


def journal(data: bytes) -> None:
    """Read process events, one a line as the first field of a journal entry, and make attempts of what they tell."""
    observer = Observer()
    for number, line in enumerate(data.split(b"\n")[:256], 1):
        entry = SIGN + line + b"\n"
        frame = Frame(EPOCH + number * 20 * MS, 0, number, 0, JOURNAL_ENTRY, entry, len(entry))
        event = process_event(frame)
        if event is not None:
            sentence(event)
        observer.feed(frame)
    out: list[str] = []
    timeline = observer.finish()
    text.write(timeline, out.append)
    document(timeline)
    assert all(character == "\n" or character.isprintable() for character in "".join(out)), "a control character is printed"


def _journal_seeds() -> Iterator[bytes]:
    for path in sorted(CAPTURES.rglob("*.pcapng")):
        entries = [frame.data for frame in _read(path) if frame.link_type == JOURNAL_ENTRY and frame.data.startswith(SIGN)]
        lines = [entry[len(SIGN) :].split(b"\n", 1)[0] for entry in entries]
        for begun in range(0, len(lines), 40):
            yield b"\n".join(lines[begun : begun + 40])


def runtime(data: bytes) -> None:
    """Read the command line of a container runtime (words apart by NUL), the process file that it names, and a cgroup's path."""
    words, _, file = data.partition(b"\n")
    arguments = words.decode("utf-8", "replace").split("\0")
    is_runtime(arguments[0], arguments)
    told(arguments, lambda _: file)
    cgroup_of(file.decode("utf-8", "replace"))


def options(data: bytes) -> None:
    """Read the small languages of the command line: times, node addresses, checks by hand, endpoints."""
    said = data.decode("utf-8", "replace")
    parsers = (lambda: moment(said, EPOCH), lambda: parse_node_ip(said), lambda: parse_check(said), lambda: endpoint_of(said))
    for parse in parsers:
        try:
            parse()
        except (ValueError, SpecError):  # (an InputError is a ValueError)
            continue


def _said(*texts: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (said.encode() for said in texts)


_WORDS: Final = (
    "+12.5", "2026-11-22T20:10:00.5+01:00", "node-a=fd00::1", "haproxy:rise=2,fall=3,inter=5s,target=[::1]:80", "10.104.2.1:57866",
    "[fd00::1%eth0]:80",
)  # fmt: skip
TARGETS: Final[dict[str, Target]] = {
    "frames": Target(frames, _frame_seeds),
    "exchange": Target(exchange, _stream_seeds),
    "encrypted": Target(encrypted, _tls_seeds),
    "certificate": Target(certificate, _certificate_seeds),
    "key_log": Target(key_log, _texts("captures/**/keys.log")),
    "trim": Target(trim, _frame_seeds),
    "capture": Target(capture, _capture_seeds, records=True),
    "whole": Target(whole, _capture_seeds, heavy=True, records=True),
    "skim": Target(skim, _capture_seeds, heavy=True, records=True),
    "copy": Target(copy, _capture_seeds, heavy=True, records=True),
    "manifest": Target(_reads(read_specs, ".yaml"), _texts("captures/*/pod*.yaml")),
    "cluster": Target(_reads(read_cluster, ".json"), _texts("captures/**/cluster*.json")),
    "expectations": Target(_reads(read_expectations, ".yaml"), _expectation_seeds),
    "haproxy": Target(_reads(read_haproxy, ".cfg"), _texts("captures/**/*.cfg")),
    "kubelet_log": Target(_reads(lambda path: read_kubelet_log(path, EPOCH), ".log"), _log_seeds),
    "events": Target(_reads(read_events, ".json"), _texts("captures/**/events.json")),
    "journal": Target(journal, _journal_seeds, heavy=True),
    "crictl": Target(
        read_crictl,
        _said('{"containers": [{"id": "1f", "metadata": {"name": "app"}, "labels": {"io.kubernetes.pod.name": "web-1"}}]}'),
    ),
    "runtime": Target(
        runtime,
        _said(
            "runc\0--root\0/run/containerd/runc/k8s.io\0exec\0--process\0/tmp/p\0-d\x001f\n"
            '{"args": ["/bin/true"], "terminal": false}',
            "crun\0exec\x001f\0/bin/true\n0::/kubepods.slice/kubepods-pod1f_2.slice/cri-containerd-1f.scope",
        ),
    ),
    "options": Target(options, _said(*_WORDS)),
}
"""Every target by its name."""


def seeds_of(name: str) -> list[bytes]:
    """Return the seeds of a target, each once, the first `MAX_SEEDS`."""
    out: dict[bytes, None] = {}
    for seed in TARGETS[name].seeds():
        out.setdefault(seed[:MAX_SEED])
        if len(out) >= MAX_SEEDS:
            break
    return list(out) or [b""]
