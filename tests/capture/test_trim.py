"""What is cut away or overwritten leaves what an analysis reads as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from probewatch import analyze
from probewatch.capture import Reader
from probewatch.capture.save import Saver
from probewatch.capture.trim import KEPT, Trimmer
from probewatch.model.frame import Frame
from probewatch.report.document import document

CAPTURES = Path(__file__).parents[2] / "captures"
ALL = sorted(path for path in CAPTURES.glob("*/*.pcap*") if path.parent.name != "malformed" and "snap96" not in path.name)
LINK = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
NETWORKS = pytest.mark.parametrize(
    "network", [IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")], ids=["IPv4", "IPv6"]
)


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_trimmed_capture_reads_the_same(path: Path, tmp_path: Path) -> None:
    """Of every capture, cut, without bodies and without secrets, the document is the same to the last frame number."""
    kept = tmp_path / "kept.pcapng"
    with Reader(str(path), 0) as reader:
        frames = list(reader)
        trimmer = Trimmer(headers_only=True, mask=True)
        saver = Saver(str(kept), lambda: reader.info().interfaces)
        for frame in frames:
            saver.frame(trimmer.trim(frame))
        assert saver.finish([], max((frame.ns for frame in frames), default=0)) == []
    spec = path.parent / "pod.yaml"
    specs = [spec] if spec.exists() else []
    whole, trimmed = (document(analyze(one, spec=specs)) for one in (path, kept))
    del whole["captures"], trimmed["captures"]
    assert trimmed == whole


def sent(network, *pieces: bytes, at: int = 1001) -> list[Frame]:
    """Return the frames of a connection's client that sends these pieces, checksums right."""
    made = [LINK / network / TCP(sport=40000, dport=80, flags="S", seq=at - 1)]
    for piece in pieces:
        made.append(LINK / network / TCP(sport=40000, dport=80, flags="PA", seq=at) / piece)
        at += len(piece)
    return [Frame(n, 0, n, 0, 1, bytes(packet), len(bytes(packet))) for n, packet in enumerate(made, 1)]


def payloads(trimmer: Trimmer, frames: list[Frame]) -> list[bytes]:
    """Return what is left of the payloads; each frame's checksum must be right still."""
    out = []
    for frame in frames:
        data = trimmer.trim(frame).data
        packet = Ether(data)
        if len(data) == len(frame.data):
            said = packet[TCP].chksum
            again = packet.copy()
            del again[TCP].chksum
            assert Ether(bytes(again))[TCP].chksum == said
        out.append(bytes(packet[TCP].payload))
    return out[1:]


@NETWORKS
def test_secrets_are_overwritten_wherever_segments_end(network) -> None:
    """However a request is cut into segments, and when one is sent again, no byte of a secret is left; all else is."""
    request = b"GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer hunter2\r\nAccept: */*\r\nX-Api-Key:hunter2\r\n\r\n"
    wanted = request.replace(b"Bearer hunter2", b"x" * 14).replace(b"hunter2", b"x" * 7)
    for cut in range(1, len(request)):
        frames = sent(network, request[:cut], request[cut:])
        found = payloads(Trimmer(mask=True), [*frames, *frames[1:]])
        # the blank before a value may count to it, where a segment ends there
        assert b"".join(found).replace(b"Authorization:x", b"Authorization: ") == wanted * 2


@NETWORKS
def test_bodies_are_overwritten_and_their_framing_stays(network) -> None:
    """A body is x's, a chunked one keeps the lines that frame it, wherever segments end; the next head is read again."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"
    wanted = head + b"5\r\nxxxxx\r\n6;a=b\r\nxxxxxx\r\n0\r\n\r\n"
    for cut in range(1, len(head + body)):
        found = payloads(Trimmer(headers_only=True), sent(network, (head + body)[:cut], (head + body)[cut:]))
        assert b"".join(found) == wanted
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    assert payloads(Trimmer(headers_only=True), sent(network, plain + b"se", b"cret", plain)) == [plain + b"xx", b"xxxx", plain]


def test_what_no_stream_keeps_is_cut() -> None:
    """Payload further than KEPT from its stream's beginning is cut away; the frame says how long it was."""
    frames = sent(IP(), b"a" * 30_000, b"b" * 30_000, b"c" * 100)
    trimmer = Trimmer()
    left = [trimmer.trim(frame) for frame in frames]
    assert [len(frame.data) for frame in left[1:]] == [54 + 30_000, 54 + KEPT - 30_000, 54]
    assert [frame.original_length for frame in left] == [frame.original_length for frame in frames]
