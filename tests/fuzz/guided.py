"""Fuzz the parsers with atheris, which keeps an input that takes a new branch and goes on from it.

    python tests/fuzz/guided.py --seconds 180                  all targets, the time shared out among them
    python tests/fuzz/guided.py --seconds 60 exchange whole    these
    python tests/fuzz/guided.py --corpus DIR ...               begin with, and add to, DIR/TARGET

Each target runs in a process of its own, within bounds on time (10 s an input) and memory (1 GiB). What makes one fail
is written to `tests/fuzz/found/TARGET/`, where `test_fuzz` replays it for ever; the status is then 1. Without atheris
(it has no wheel for every platform) the status is 2 with a sentence: `pytest tests/fuzz --thorough` is the other way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
FOUND: Final = HERE / "found"
ONE_INPUT_S: Final = 10
MEMORY_MB: Final = 1_024
SLACK_S: Final = 120
"""Beyond its time, for the start of a target and its last input."""
ONE: Final = "--one"
"""First argument of the process that fuzzes one target."""
LONGEST: Final = 16_384
"""Bytes of an input."""


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, until libFuzzer's arguments say that it is enough."""
    import atheris

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["probewatch", "targets"]):
        import targets
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name].run)
    atheris.Fuzz()


def main() -> int:
    """Share the time out among the targets; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=180, help="of all targets together")
    parser.add_argument("--corpus", type=Path, help="directory of inputs to begin with and to add to")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    given = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        sys.stderr.write("atheris is not installed (pip install atheris): pytest tests/fuzz --thorough fuzzes without it\n")
        return 2
    sys.path.insert(0, str(HERE))
    from targets import TARGETS, seeds_of

    names = given.targets or list(TARGETS)
    share = max(1, given.seconds // len(names))
    failed = []
    with tempfile.TemporaryDirectory(prefix="probewatch-fuzz-") as scratch:
        for name in names:
            corpus = given.corpus / name if given.corpus else Path(scratch) / "corpus" / name
            seeds = Path(scratch) / "seeds" / name
            found = FOUND / name
            for folder in (corpus, seeds, found):
                folder.mkdir(parents=True, exist_ok=True)
            for number, seed in enumerate(seeds_of(name)):
                (seeds / str(number)).write_bytes(seed)
            bounds = [
                f"-max_total_time={share}", f"-timeout={ONE_INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={LONGEST}",
                f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=0",
            ]  # fmt: skip
            command = [sys.executable, __file__, ONE, name, *bounds, str(corpus), str(seeds), str(found)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=share + SLACK_S, check=False)
            except subprocess.TimeoutExpired:
                failed.append(name)
                sys.stdout.write(f"{name:14} {share:4} s  did not end within {SLACK_S} s more: an input that hangs, or a busy machine\n")
                continue
            runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
            sys.stdout.write(f"{name:14} {share:4} s  {runs:>9} inputs  {'ok' if done.returncode == 0 else 'FAILED'}\n")
            sys.stdout.flush()
            if done.returncode:
                failed.append(name)
                sys.stdout.write(done.stderr[-4_000:] + "\n")
            elif not any(found.iterdir()):
                found.rmdir()
    sys.stdout.write(f"{len(names) - len(failed)} targets held, {len(failed)} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == [ONE]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
