"""Every parser that bytes from outside reach, on real input that was damaged: a result or its own error, nothing else.

`--thorough` tries forty times as many. `guided.py` beside this file goes further, where atheris can be installed.

Covers `capture`, `wire`, `cluster`, `report`.
"""

from __future__ import annotations

import random
import sys
import tracemalloc
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

from records import damaged  # noqa: E402
from targets import MAX_SEED, TARGETS, Target, seeds_of  # noqa: E402

KEPT = ("found", "corpus")
TRIES, HEAVY_TRIES = 400, 40
FEW = 6
"""Seeds of a slow target whose memory is measured: tracing makes it five times slower."""
THOROUGH = 40
MEMORY = 64 << 20
"""Bytes that reading one seed may take; most take a hundredth."""
TOKENS = (
    b"\r\n\r\n", b"\0" * 8, b"\xff" * 8, b"\x1b[2J", "é\u202e".encode(), b"{" * 200, b"[" * 200, b"- " * 200,
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n", b"HTTP/1.1 200 OK\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00\xff\xff\x01\x04\x00\x00\x00\x01", b"\x16\x03\x01\xff\xff",
    b"&a [*a, *a, *a]", b"!!python/object/apply:os.system", b"\x0a\x0d\x0d\x0a", b"\x9f\x3f\x3f",
)  # fmt: skip
"""Pieces that parsers stumble over: huge lengths, deep nesting, markers of other formats, terminal codes."""


def mutated(seed: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Return a seed with bytes changed, cut out, doubled, a token put in, or the end of another seed in place of its own."""
    made = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(made) + 1)
        what = rng.randrange(6)
        if what == 0 and made:
            place %= len(made)
            made[place] = rng.choice((0, 255, 10, 13, 58, made[place] ^ 1 << rng.randrange(8), rng.randrange(256)))
        elif what == 1:
            del made[place : place + rng.choice((1, 2, 4, 64))]
        elif what == 2:
            made[place:place] = made[place : place + rng.choice((1, 4, 64, 512))]
        elif what == 3:
            made[place:place] = rng.choice(TOKENS)
        elif what == 4:
            made[place:] = rng.choice(others)[place:]
        else:
            del made[place:]
    return bytes(made[: 2 * MAX_SEED])


def tries(target: Target, *, thorough: bool) -> int:
    """Return how many damaged inputs a target is given."""
    return (HEAVY_TRIES if target.heavy else TRIES) * (THOROUGH if thorough else 1)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read(name: str) -> None:
    """Every seed is read without an error of any other kind than the parser's own, and within its memory; of a slow target some."""
    seeds = seeds_of(name)
    for seed in seeds[:: max(1, len(seeds) // FEW)] if TARGETS[name].heavy else seeds:
        tracemalloc.start()
        TARGETS[name].run(seed)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_input_does_no_harm(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever is done to real input, the parser returns or raises its own error."""
    target, seeds = TARGETS[name], seeds_of(name)
    rng = random.Random(f"probewatch {name}")
    for number in range(tries(target, thorough=request.config.getoption("--thorough"))):
        seed = rng.choice(seeds)
        data = damaged(seed, rng) if target.records and number % 2 else mutated(seed, rng, seeds)
        try:
            target.run(data)
        except Exception as error:  # noqa: BLE001  (which one is the finding)
            kept = HERE / "found" / name / f"mutation-{number}"
            pytest.fail(f"{type(error).__name__}: {error}; to keep it: {kept} with {data!r}")


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str) -> None:
    """Each input that once broke a parser, and each that took a rare branch, is read quietly for ever."""
    for kept in KEPT:
        for path in sorted((HERE / kept / name).glob("*")):
            TARGETS[name].run(path.read_bytes())


