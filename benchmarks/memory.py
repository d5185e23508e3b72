"""Measure from outside how much memory probewatch takes for captures of several lengths, and print a table.

    python benchmarks/memory.py                              # 200,000, 2,000,000 and 6,000,000 frames: an hour
    python benchmarks/memory.py --frames 20000 --times 1 10  # to see that it runs

Three kinds of capture (`generate.py`): nothing but probes, of 200 Pods without a spec; nothing but an HAProxy's checks; probes
among other traffic. `table`, `ndjson` and `metrics` promise a flat peak; `json`, `wide`, `html`, `junit` and `trace` grow with
the attempts they show, and what they take beyond the first length is shown for each attempt more. The peak is the largest
resident set that the kernel saw (VmHWM of /proc/PID/status, read until the process ends: what wait4 tells counts the memory
of the process that began it too).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from generate import generate

ROOT: Final = Path(__file__).resolve().parent.parent
FLAT: Final = ("table", "ndjson", "metrics")
GROWING: Final = ("json", "wide", "html", "junit", "trace")
FRAMES: Final = {"probes": 10, "checks": 8}
"""Of one attempt, in captures of nothing else."""
LOOK_S: Final = 0.05


def peak_kb(path: Path, output: str) -> int:
    """Return the peak of one analysis."""
    command = [sys.executable, "-m", "probewatch.cli", "analyze", str(path), "-o", output, "-q"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    peak = 0
    while process.poll() is None:
        try:
            said = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            continue
        peak = max(peak, *(int(line.split()[1]) for line in said.splitlines() if line.startswith("VmHWM:")), 0)
        time.sleep(LOOK_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return peak


def main() -> None:
    """Take the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=200_000, help="of the shortest capture")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--kinds", nargs="+", default=["probes", "checks", "mixed"])
    parser.add_argument("--outputs", nargs="+", default=[*FLAT, *GROWING])
    given = parser.parse_args()
    lengths = [given.frames * times for times in given.times]
    print("| capture | output |", " | ".join(f"{length:,} frames" for length in lengths), "| for each attempt more |")
    print("| --- | --- |", " | ".join("---:" for _ in lengths), "| ---: |")
    with tempfile.TemporaryDirectory(prefix="probewatch-memory-") as folder:
        for kind in given.kinds:
            paths = [Path(folder) / f"{kind}-{length}.pcap" for length in lengths]
            for path, length in zip(paths, lengths, strict=True):
                generate(kind, path, length)
            for output in given.outputs:
                peaks = [peak_kb(path, output) for path in paths]
                more = (lengths[-1] - lengths[0]) // FRAMES.get(kind, 1)
                each = f"{1024 * (peaks[-1] - peaks[0]) / more / 1000:.2f} kB" if more and kind in FRAMES else ""
                print(
                    f"| {kind} | {output} |",
                    " | ".join(f"{peak / 1024:.0f} MB" for peak in peaks),
                    f"| {each} |",
                    flush=True,
                )
            for path in paths:
                path.unlink()


if __name__ == "__main__":
    main()
