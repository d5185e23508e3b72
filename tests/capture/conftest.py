"""Builders of capture bytes, shared by the tests of `probewatch.capture`."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import pytest

from probewatch.capture import CaptureError, Reader
from probewatch.model.frame import CaptureInfo, Frame

SECTION, INTERFACE, PACKET, SIMPLE, STATISTICS, ENHANCED, SECRETS = 0x0A0D0D0A, 1, 2, 3, 5, 6, 10


def pcap_header(
    order: str = "<", magic: int = 0xA1B2C3D4, *, link: int = 1, snaplen: int = 262144, version: tuple[int, int] = (2, 4)
) -> bytes:
    """Build a pcap file header."""
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link)


def record(
    seconds: int, fraction: int, data: bytes, original: int | None = None, order: str = "<", extra: int = 0
) -> bytes:
    """Build one pcap record, with `extra` bytes in its header as the modified formats have."""
    length = len(data) if original is None else original
    return struct.pack(order + "IIII", seconds, fraction, len(data), length) + b"\xee" * extra + data


def pcap(frames: Sequence[tuple[int, int, bytes]], order: str = "<", magic: int = 0xA1B2C3D4, extra: int = 0) -> bytes:
    """Build a pcap file of (seconds, fraction, data)."""
    return pcap_header(order, magic) + b"".join(record(*f, order=order, extra=extra) for f in frames)


def options(order: str, pairs: Sequence[tuple[int, bytes]]) -> bytes:
    """Build a list of pcapng options; empty for none."""
    out = b"".join(struct.pack(order + "HH", c, len(v)) + v + bytes(-len(v) % 4) for c, v in pairs)
    return out + struct.pack(order + "HH", 0, 0) if out else b""


def block(order: str, kind: int, body: bytes) -> bytes:
    """Build one pcapng block."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<", pairs: Sequence[tuple[int, bytes]] = (), version: tuple[int, int] = (1, 0)) -> bytes:
    """Build a section header."""
    return block(order, SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options(order, pairs))


def interface(order: str = "<", link: int = 1, snaplen: int = 0, pairs: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Build an interface description."""
    return block(order, INTERFACE, struct.pack(order + "HHI", link, 0, snaplen) + options(order, pairs))


def packet(
    ticks: int,
    data: bytes,
    number: int = 0,
    order: str = "<",
    original: int | None = None,
    pairs: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """Build an Enhanced Packet Block."""
    length = len(data) if original is None else original
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length)
    return block(order, ENHANCED, head + data + bytes(-len(data) % 4) + options(order, pairs))


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of capture bytes."""
    return SimpleNamespace(
        pcap_header=pcap_header, record=record, pcap=pcap, options=options, block=block, section=section,
        interface=interface, packet=packet,
    )  # fmt: skip


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], tuple[list[Frame], CaptureInfo]]:
    """Read bytes as a file; return its frames and what is to say of it."""
    path = tmp_path_factory.mktemp("read") / "in.pcap"

    def read_bytes(data: bytes) -> tuple[list[Frame], CaptureInfo]:
        path.write_bytes(data)
        with Reader(str(path), 0) as reader:
            frames = list(reader)
            return frames, reader.info()

    return read_bytes


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], str]:
    """Read bytes that are no capture; return the sentence without the path."""
    path = tmp_path_factory.mktemp("refused") / "in"

    def read_bytes(data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(CaptureError) as caught:
            Reader(str(path), 0)
        sentence = str(caught.value)
        assert sentence.startswith(str(path) + " ")
        assert "\n" not in sentence
        return sentence.removeprefix(str(path) + " ")

    return read_bytes


@pytest.fixture
def no_hang() -> Iterator[None]:
    """Turn a test that waits forever into one that fails."""

    def give_up(*_: object) -> None:
        raise TimeoutError("it waits for bytes that will not come")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
