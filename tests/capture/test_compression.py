"""gzip, bzip2, xz and zstd: whole, in several members, cut, corrupt, hostile."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.capture import CaptureError, Reader

PACK = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
NAMES = pytest.mark.parametrize("name", PACK)


@pytest.fixture(scope="module")
def noise(make) -> tuple[list[bytes], bytes]:
    """Frames that do not compress, so that the compressed stream is long: their data, and the file."""
    rng = random.Random(5)
    data = [rng.randbytes(rng.randrange(40, 1400)) for _ in range(300)]
    return data, make.pcap([(n, 0, d) for n, d in enumerate(data)])


@NAMES
def test_whole(read, noise, name):
    """A compressed capture reads as the plain one; the format names the compression."""
    frames, info = read(PACK[name](noise[1]))
    assert [f.data for f in frames] == noise[0]
    assert (info.format, info.complete, info.notes) == (f"pcap+{name}", True, ())


@NAMES
def test_several_members(read, noise, name):
    """Several compressed members one after another are one input, wherever they were split, with padding behind."""
    raw, pack = noise[1], PACK[name]
    parts = [raw[:2], raw[2:3], raw[3:20_000], b"", raw[20_000:]]
    frames, info = read(b"".join(map(pack, parts)) + bytes(512))
    assert [f.data for f in frames] == noise[0]
    assert info.complete


def test_zstd_skippable_and_unknown_size(read, noise):
    """Skippable frames of zstd are stepped over, also at the start; a frame without its content size is read."""
    skippable = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    streamed = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(streamed, closefd=False) as writer:
        writer.write(noise[1])
    frames, info = read(skippable + streamed.getvalue() + skippable)
    assert len(frames) == len(noise[0])
    assert info.complete


@NAMES
def test_cut(read, noise, name):
    """A compressed capture that is cut gives what can be had before the cut, in order, and says that it was cut."""
    packed = PACK[name](noise[1])
    counts, refusals = [], []
    for share in (0.3, 0.6, 0.95):
        try:
            frames, info = read(packed[: int(len(packed) * share)])
        except CaptureError as error:
            refusals.append(str(error))  # one bzip2 or zstd block holds it all
            counts.append(0)
            continue
        assert [f.data for f in frames] == noise[0][: len(frames)]
        assert not info.complete
        assert f"the {name} data ends in the middle" in info.notes[0]
        counts.append(len(frames))
    assert counts == sorted(counts)
    assert all("cannot be decompressed" in refusal for refusal in refusals)
    if name == "gzip":
        assert counts[2] > 280


@NAMES
def test_cut_at_the_last_byte(read, noise, name):
    """A missing trailer is told, though every frame could be read."""
    frames, info = read(PACK[name](noise[1])[:-1])
    assert [f.data for f in frames] == noise[0][: len(frames)]
    assert not info.complete


def test_gzip_checksum(read, noise):
    """A wrong checksum loses no frame and is told."""
    packed = bytearray(gzip.compress(noise[1]))
    packed[-6] ^= 1
    frames, info = read(bytes(packed))
    assert [f.data for f in frames] == noise[0]
    assert not info.complete
    assert "the gzip data is corrupt" in info.notes[0]
    assert "300 frames before it" in info.notes[0]


def test_gzip_keeps_every_byte_before_corruption(read, noise):
    """Of corrupt gzip data every byte before the corrupt place is kept."""
    deflate = zlib.compressobj(wbits=31)
    good = deflate.compress(noise[1]) + deflate.flush(zlib.Z_FULL_FLUSH)
    frames, info = read(good + b"\x07" * 20)  # 11 is no block type of deflate
    assert [f.data for f in frames] == noise[0]
    assert not info.complete


@NAMES
def test_other_bytes_behind(read, noise, name):
    """Bytes behind the compressed data that are not compressed are told; what came before is whole."""
    frames, info = read(PACK[name](noise[1]) + b"something else entirely")
    assert [f.data for f in frames] == noise[0]
    assert not info.complete
    assert f"bytes that are not {name}" in info.notes[0]


@NAMES
def test_twice_compressed(refused, noise, name):
    """One layer of compression is undone, not two."""
    assert refused(PACK[name](gzip.compress(noise[1]))).startswith(f"is compressed twice (gzip in {name}): undo one with")


@NAMES
def test_nothing_inside(refused, name):
    """An empty compressed stream is told as such."""
    assert refused(PACK[name](b"")) == f"holds nothing but an empty {name} stream"


@NAMES
def test_no_capture_inside(refused, name):
    """Compressed text is still text, in one sentence."""
    assert "not a capture but text" in refused(PACK[name](b"hello\n" * 30))


@NAMES
def test_corrupt_from_the_start(refused, noise, name):
    """Where nothing at all can be decompressed the input is refused."""
    assert refused(PACK[name](noise[1])[: 6 if name == "xz" else 4] + b"\xff" * 400).startswith("cannot be decompressed: the ")


@NAMES
def test_bomb_stays_flat(make, tmp_path, name):
    """A small input that expands to 32 MiB is read in bounded memory."""
    path = tmp_path / "bomb"
    path.write_bytes(PACK[name](make.pcap([(1, 0, bytes(65536))] * 512)))
    assert path.stat().st_size < 50_000
    with Reader(str(path), 0) as reader:
        tracemalloc.start()
        total = sum(len(f.data) for f in reader)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert total == 32 << 20
    assert peak < 16 << 20


def test_too_much_memory_is_refused(make, refused):
    """A window or dictionary larger than the limit is refused, with the way out."""
    raw = make.pcap_header() + bytes(1000)
    params = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=params).compressobj()
    assert "unzstd --long=31" in refused(packer.compress(raw) + packer.flush())
    packed = bytearray(lzma.compress(raw, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 4096}]))
    packed[16] = 0x25  # dictionary size code of 2 GiB in the block header ...
    packed[20:24] = zlib.crc32(bytes(packed[12:20])).to_bytes(4, "little")  # ... whose checksum is put right
    assert "decompress it first with unxz" in refused(bytes(packed))


@pytest.mark.usefixtures("no_hang")
def test_compressed_stream_is_not_delayed(make):
    """A gzip stream that its writer flushes gives its frames at once."""
    read_end, write_end = os.pipe()
    deflate = zlib.compressobj(wbits=31)
    with os.fdopen(read_end, "rb", buffering=0) as stdin:
        for n, data in enumerate([make.pcap_header(), make.record(1, 0, b"abc"), make.record(2, 0, b"def")]):
            os.write(write_end, deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))
            if n == 0:
                reader = Reader("-", 0, stdin=stdin)
                frames = iter(reader)
            else:
                assert next(frames).number == n
        os.close(write_end)
        assert list(frames) == []
    assert not reader.info().complete


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(PACK)), data=st.data())
def test_any_damage_ends_well(make, read, name, data):
    """Compressed data changed or cut anywhere ends in frames and a note or in a CaptureError, nothing else."""
    raw = bytearray(PACK[name](make.pcap([(n, n, bytes([n]) * n) for n in range(60)])))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    raw = raw[: data.draw(st.integers(1, len(raw)))] + data.draw(st.binary(max_size=10))
    try:
        frames, info = read(bytes(raw))
    except CaptureError:
        return
    assert info.frames == len(frames)
    assert info.complete or info.notes


def test_more_frames_than_bytes_is_no_capture(tmp_path):
    """Where frames took less than a byte each, times and all, reading stops; frames that differ in nothing but their times are read."""
    head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
    for ipv in (b"\x08\x00\x45", b"\x86\xdd\x60"):
        frame = bytes(12) + ipv + bytes(39)
        many = [struct.pack("<IIII", n // 1000, n % 1000 * 1_000_003 * n % 10**9, 54, 54) + frame for n in range(70_000)]
        for name, data, complete in (("same", head + many[0] * 140_000, False), ("true", head + b"".join(many), True)):
            path = tmp_path / name
            path.write_bytes(gzip.compress(data, 9))
            with Reader(str(path), 0) as reader:
                frames = sum(1 for _ in reader)
                info = reader.info()
            assert info.complete is complete
            assert frames == info.frames
            if complete:
                assert frames == 70_000
            else:
                assert 65_536 <= frames < 140_000
                assert "so densely no traffic is packed" in info.notes[0]
