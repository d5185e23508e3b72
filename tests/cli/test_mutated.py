"""Captures with bytes changed, or cut off: every one ends in a result or one plain sentence, and nothing harmful is printed.

`--thorough` changes single bytes, some 20 000 times over all captures, and cuts at every boundary between records; the
seed of what failed is in the message.

Covers `cli`, `capture`, `wire`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_captures import arguments_for

from probewatch.capture import CaptureError
from probewatch.capture.reader import Reader
from probewatch.cli import main
from probewatch.model.frame import Frame

TRIES, THOROUGH_TRIES = 2, 20_000
"""Mutations: of each capture, and of all captures together."""
LARGEST = 200_000
"""Captures beyond this many bytes take too long to be read so often."""
MANY = (1, 1, 2, 5, 20)
"""Bytes changed in one go."""
FEW_FRAMES = 300
"""A capture with fewer is cut at every boundary where time does not matter, a longer one at `PLACES`."""
PLACES, HASTY_PLACES = 50, 2
WHOLE_WAY = (("analyze", "-o", "json"), ("analyze",), ("verify",))
"""What a cut capture is put through."""
FEW_READ = 16
"""Places at which a capture is cut and only read, unless all are."""


def mutated(data: bytes, rng: random.Random, *, many: tuple[int, ...] = MANY) -> bytes:
    """Return data with some bytes set to nought, to all ones, to a line's end, to anything, or with one bit flipped."""
    made = bytearray(data)
    for _ in range(rng.choice(many)):
        place = rng.randrange(len(made))
        made[place] = rng.choice([0, 255, 10, 13, rng.randrange(256), made[place] ^ 1 << rng.randrange(8)])
    return bytes(made)


def hold(capture: Path, beside: list[str], command: tuple[str, ...], capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Analyse or verify one, and assert status 0, 1 or 3 with printable text or JSON, or 2 with one sentence."""
    status = main([*command, str(capture), *beside])
    said = capsys.readouterr()
    assert "internal error" not in said.err, f"{what}: {said.err}"
    if status == 2:
        assert said.out == "", what
        assert said.err.startswith("probewatch: "), what
        assert said.err.count("\n") == 1, what
        return
    assert status in (0, 1, 3), what
    assert all(character == "\n" or character.isprintable() for character in said.out), what
    if "json" in command:
        json.loads(said.out)


def test_a_damaged_capture_does_no_harm(
    capture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Changed bytes: a printable table or one sentence, never a traceback, a control character or a fault of ours."""
    data = capture_file.read_bytes()
    if not data or len(data) > LARGEST:
        return
    thorough = request.config.getoption("--thorough")
    files = sum(test.originalname == request.node.originalname for test in request.session.items)
    damaged = tmp_path / capture_file.name
    beside = arguments_for(capture_file)[1:]
    for seed in range(THOROUGH_TRIES // files if thorough else TRIES):
        rng = random.Random(f"{capture_file.name} {seed}")
        damaged.write_bytes(mutated(data, rng, many=(1,) if thorough else MANY))
        hold(damaged, beside, ("verify",) if seed == 0 and "--spec" in beside else ("analyze",), capsys, f"seed {seed}")


def read(path: Path) -> tuple[list[Frame], bool] | None:
    """Return the frames of a capture and whether it is complete; None where it is none."""
    try:
        with Reader(str(path), 0) as reader:
            frames = list(reader)
            return frames, reader.info().complete
    except CaptureError:
        return None


def boundaries(data: bytes) -> Iterator[int]:
    """Yield where the records of a plain pcap or the blocks of a little-endian pcapng end; nothing of other files."""
    order = {b"\xd4\xc3\xb2\xa1": "little", b"\x4d\x3c\xb2\xa1": "little", b"\xa1\xb2\xc3\xd4": "big", b"\xa1\xb2\x3c\x4d": "big"}
    if data[:4] in order:
        at = 24
        while at + 16 <= len(data):
            at += 16 + int.from_bytes(data[at + 8 : at + 12], order[data[:4]])  # type: ignore[arg-type]
            if at <= len(data):
                yield at
    elif data[:4] == b"\x0a\x0d\x0d\x0a" and data[8:12] == b"\x4d\x3c\x2b\x1a":
        at = 0
        while at + 12 <= len(data):
            at += max(12, int.from_bytes(data[at + 4 : at + 8], "little"))
            if at <= len(data):
                yield at


def test_a_cut_capture_gives_what_was_whole(
    capture_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Cut between records a capture is complete and shorter; cut within one it gives the same frames and says that it was cut.

    What was whole goes the whole way: as JSON, as a table and held against the spec beside it it ends in a result or a sentence.
    """
    data = capture_file.read_bytes()
    ends = list(boundaries(data))
    everything = read(capture_file)
    if everything is None or not everything[1] or len(ends) < 3:
        return  # damaged as it stands, compressed or of a rare kind: test_malformed and the readers' own tests hold those
    frames = everything[0]
    rng = random.Random(capture_file.name)
    thorough = request.config.getoption("--thorough")
    places = ends if thorough and len(data) <= LARGEST else sorted(rng.sample(ends, min(PLACES if thorough else FEW_READ, len(ends))))
    cut = tmp_path / capture_file.name
    for end in places:
        cut.write_bytes(data[:end])
        whole = read(cut)
        assert whole is not None
        assert whole[0] == frames[: len(whole[0])], f"cut at {end}"
        assert whole[1], f"cut at {end}, between records"
        if end < len(data):
            cut.write_bytes(data[: end + rng.randrange(1, 4)])
            again = read(cut)
            assert again is not None
            assert again == (whole[0], False), f"cut in the record after {end}"
    if len(data) > LARGEST and not thorough:
        return
    beside = arguments_for(capture_file)[1:]
    few = ends if thorough and len(frames) < FEW_FRAMES else rng.sample(ends, min(PLACES if thorough else HASTY_PLACES, len(ends)))
    for end in few:
        cut.write_bytes(data[:end])
        for command in WHOLE_WAY:
            hold(cut, beside, command, capsys, f"{' '.join(command)}, cut at {end}")
