"""Time probewatch beside tcpdump, tshark, tcptrace and scapy on the same files, in turns, and write RESULTS.md.

    python benchmarks/run.py            # full size: some minutes, some 20 GB in a temporary folder
    python benchmarks/run.py --quick    # a tenth of the frames, to see that everything runs

Each program reads each file once a round, one after the other, so that whatever else the machine does meets all of them;
medians over the rounds are shown. A file is read once before, so that all find it in memory. Wall time and processor time
(user + system, from wait4) are both given: on a machine that does other things only the second means much. Peak memory is
the largest resident set of the process, as the kernel counts it. Programs that are not installed are left out.
Slow ones (tshark, tcptrace, scapy) read a shorter file of the same kind, as the table says. Times include each program's
start, which is most of what a short file takes.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
FIELDS: Final = (
    "frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "tcp.flags", "http.request.uri", "http.response.code",
)  # fmt: skip
SCAPY: Final = (
    "import sys\nfrom scapy.all import PcapReader, TCP\nprint(sum(1 for p in PcapReader(sys.argv[1]) if TCP in p))"
)


@dataclass(frozen=True, slots=True)
class Program:
    """One way to read a capture; `{}` in its command is the file."""

    name: str
    command: tuple[str, ...]
    share: int = 1
    """It reads a file of one in so many frames."""

    def over(self, path: Path) -> list[str]:
        """Return the command for a file."""
        return [part.replace("{}", str(path)) for part in self.command]


@dataclass(slots=True)
class Runs:
    """What one program took for one file."""

    frames: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    def each(self) -> float:
        """Return microseconds of processor time a frame, the median."""
        return statistics.median(self.cpu) / self.frames * 1e6


PROBEWATCH: Final = (sys.executable, "-m", "probewatch.cli")
TABLE: Final = Program("probewatch analyze", (*PROBEWATCH, "analyze", "{}"))
NDJSON: Final = Program("probewatch analyze -o ndjson", (*PROBEWATCH, "analyze", "-o", "ndjson", "{}"))
TCPDUMP: Final = Program("tcpdump -r F -w /dev/null tcp", ("tcpdump", "-r", "{}", "-w", "/dev/null", "tcp"))
TSHARK: Final = Program(
    "tshark -T fields, 8 fields", ("tshark", "-r", "{}", "-T", "fields", *(x for f in FIELDS for x in ("-e", f))), 20
)
TCPTRACE: Final = Program("tcptrace -n", ("tcptrace", "-n", "{}"), 20)
SCAPY_COUNT: Final = Program("scapy PcapReader, count TCP", (sys.executable, "-c", SCAPY, "{}"), 100)

FILES: Final[tuple[tuple[str, str, int, tuple[Program, ...]], ...]] = (
    ("mixed", "pcap, 1.5 % probes among transfers and kept connections", 2_000_000,
     (TCPDUMP, TABLE, NDJSON, TSHARK, TCPTRACE, SCAPY_COUNT)),
    ("mixed", "the same, ten times as long", 20_000_000, (TCPDUMP, TABLE, NDJSON)),
    ("mixed-ng", "the same frames in pcapng", 2_000_000, (TCPDUMP, TABLE)),
    ("mixed-vxlan", "the same frames inside VXLAN", 500_000, (TCPDUMP, TABLE)),
    ("probes", "nothing but probes", 200_000, (TCPDUMP, TABLE, NDJSON, TSHARK, TCPTRACE)),
    ("probes", "nothing but probes, ten times as many", 2_000_000, (TCPDUMP, TABLE, NDJSON)),
)  # fmt: skip
"""Kind, what it is, frames, who reads it."""
ENOUGH: Final = 100_000
"""Frames from which on a program's time is not mostly its start."""
LONG: Final = 10_000_000
"""Frames from which on a file is read in one round only."""


ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As where it is installed: modules are compiled once, not with each start."""


def measure(command: Sequence[str], runs: Runs) -> None:
    """Run a command to its end and note what it took."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    runs.wall.append(time.monotonic() - begun)
    runs.cpu.append(used.ru_utime + used.ru_stime)
    runs.peak_mb = max(runs.peak_mb, used.ru_maxrss / 1024)


def installed(program: Program) -> bool:
    """Say whether a program can be run here."""
    if program is SCAPY_COUNT:
        return (
            subprocess.run([sys.executable, "-c", "import scapy.all"], capture_output=True, check=False).returncode == 0
        )
    return shutil.which(program.command[0]) is not None


def table(what: str, frames: int, size: int, found: dict[Program, Runs]) -> list[str]:
    """Write the results for one file as Markdown."""
    lines = [
        f"## {what[0].upper()}{what[1:]}: {frames:,} frames, {size / 1e6:.0f} MB",
        "",
        "| program | frames | wall s | cpu s | µs a frame | to tcpdump | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    base = found[TCPDUMP].each() if TCPDUMP in found else None
    for program, runs in found.items():
        ratio = f"{runs.each() / base:.1f}" if base else ""
        lines.append(
            f"| {program.name} | {runs.frames:,} | {statistics.median(runs.wall):.2f} | {statistics.median(runs.cpu):.2f} "
            f"| {runs.each():.2f} | {ratio} | {runs.peak_mb:.0f} |"
        )
    if TABLE in found:
        for other, name in ((TSHARK, "tshark"), (TCPTRACE, "tcptrace"), (SCAPY_COUNT, "scapy")):
            if other in found and found[other].frames >= ENOUGH:
                times = found[other].each() / found[TABLE].each()
                lines += ["", f"For each frame {name} takes {times:.1f} times what `probewatch analyze` takes."]
    return [*lines, ""]


def run(folder: Path, rounds: int, divisor: int, only: str | None) -> list[str]:
    """Make each file, time everybody on it, remove it."""
    out: list[str] = []
    for kind, what, whole, programs in FILES:
        frames = whole // divisor
        if only is not None and kind != only:
            continue
        paths: dict[int, Path] = {}
        programs = tuple(program for program in programs if installed(program))
        for share in sorted({program.share for program in programs}):
            paths[share] = folder / f"{kind}-{frames // share}.capture"
            make = (
                sys.executable,
                str(HERE / "generate.py"),
                kind,
                str(paths[share]),
                "--frames",
                str(frames // share),
            )
            subprocess.run(make, check=True)
        found = {program: Runs(frames // program.share) for program in programs}
        for path in paths.values():
            measure(("cat", str(path)), Runs(1))
        for _ in range(1 if frames >= LONG else rounds):
            for program in programs:
                path = paths[program.share]
                measure(program.over(path), found[program])
        out += table(what, frames, paths[1].stat().st_size, found)
        print("\n".join(out[-12:]), file=sys.stderr)
        for path in paths.values():
            path.unlink()
    return out


def start_up(rounds: int) -> list[str]:
    """Time `--version` beside an interpreter that does nothing."""
    bare, version = Runs(1), Runs(1)
    for _ in range(5 * rounds):
        measure((sys.executable, "-c", "pass"), bare)
        measure((*PROBEWATCH, "--version"), version)
    more = (statistics.median(version.wall) - statistics.median(bare.wall)) * 1000
    return [
        "## Start",
        "",
        f"`probewatch --version` takes {more:.0f} ms more than `python -c pass` (median wall time).",
        "",
    ]


def machine(how: str) -> list[str]:
    """Say what was measured where."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return [
        "# Results",
        "",
        f"Written by `python benchmarks/run.py{how}` on {time.strftime('%Y-%m-%d')}: {model}, {os.cpu_count()} cores,",
        f"Python {platform.python_version()}, load average at the end {load:.1f}.",
        "What the files are says `benchmarks/generate.py`, how it is measured `benchmarks/run.py`.",
        "Times include each program's start, which is most of what a short file takes.",
        "",
    ]


def main() -> None:
    """Take the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the frames, one round; prints instead of writing RESULTS.md"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="only files of this kind; prints instead of writing RESULTS.md")
    parser.add_argument("--folder", type=Path, help="where the captures are made (default: a temporary folder)")
    chosen = parser.parse_args()
    rounds = 1 if chosen.quick else chosen.rounds
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = run(Path(folder), rounds, 10 if chosen.quick else 1, chosen.only) + start_up(rounds)
    how = " --quick" if chosen.quick else f" --rounds {rounds}"
    text = "\n".join([*machine(how), *found])
    if chosen.quick or chosen.only:
        print(text)
    else:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
