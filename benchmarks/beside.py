"""Every scenario of the laboratory live and beside a real tcpdump: `watch`, `analyze` of what tcpdump kept, and the prober's record.

    sudo python benchmarks/beside.py [-6] [-j 3] [--no-spec] [--any] [NAME ...]

For each scenario three programs look at the same node at once: `watch -o ndjson -w`, `watch -o table`, and tcpdump. What is held:

- the probes of `watch` (attempts, outcomes, causes, frames apart) are those of `analyze` of tcpdump's capture;
- they are those of `analyze` of what `watch -w` kept, in every field;
- the table that `watch` ends with is the one that `analyze` prints of what was kept;
- with `--spec`, they are what the prober wrote down (`tests/observer/truth.py`).

It prints each difference, one a line, and how many scenarios had one. It is no test: it takes the time of all scenarios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/observer")]

from truth import differences, read  # noqa: E402

import probewatch  # noqa: E402
from probewatch.capture.netns import inside  # noqa: E402
from probewatch.lab.run import Run  # noqa: E402
from probewatch.lab.scenarios import SCENARIOS  # noqa: E402
from probewatch.report import ndjson  # noqa: E402
from probewatch.report.document import document  # noqa: E402

PATIENCE_S = 60.0
SETTLE_S = 1.5
"""Seconds after the prober has ended until the programs beside it are."""
EXEC = "exec"


def program(*words: str) -> list[str]:
    """Return how a command of ours is called."""
    return [sys.executable, "-m", "probewatch.cli", *words]


class Beside:
    """A program that looks on."""

    def __init__(self, words: list[str], out: Path, ready: str) -> None:
        self.out, self.notes, self.ready = out, out.with_name(f"{out.name}.notes"), ready
        with out.open("wb") as file, self.notes.open("wb") as notes:
            self.child = subprocess.Popen(words, stdout=file, stderr=notes, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def wait_ready(self) -> None:
        """Wait until it listens."""
        end = time.monotonic() + PATIENCE_S
        while self.ready not in self.notes.read_text():
            if self.child.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.out.name} did not begin: {self.notes.read_text()}")
            time.sleep(0.05)

    def ask(self) -> None:
        """Ask it to end, by Ctrl-C."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)


def looked_at(run: Run, folder: Path, spec: list[str], everywhere: bool) -> list[Beside]:
    """Begin to look, in three ways."""
    outside = run.scenario.name == EXEC  # process events are told in the machine's own network namespace
    on = ["tcp port 1"] if outside else [] if everywhere else ["-i", run.interface]
    where = [] if outside else ["--netns", run.netns]
    enter = ["ip", "netns", "exec", run.netns]
    watch = program("watch", *where, *on, *spec)
    beside = [
        "tcpdump",
        "-U",
        "-B",
        "32768",
        "-i",
        "any" if everywhere else run.interface,
        "-w",
        str(folder / "beside.pcap"),
    ]
    return [
        Beside([*watch, "-o", "ndjson", "-w", str(folder / "kept.pcapng")], folder / "live.ndjson", "watching"),
        Beside(watch, folder / "live.txt", "watching"),
        Beside([*enter, *beside], folder / "tcpdump.out", "listening"),
    ]


def last_frame(run: Run) -> None:
    """Let one more frame pass, so that for all of them time ends at the same moment, and give tcpdump the time to write it."""

    def say() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((run.places[0].link, 0))
            wire.send(
                bytes.fromhex("ffffffffffff02000000000108060001080006040001020000000001c0000201000000000000c0000202")
            )

    inside(run.netns, say)
    time.sleep(1.2)


def run_one(name: str, ipv6: bool, folder: Path, *, spec: bool, everywhere: bool) -> list[str]:
    """Run a scenario; return what differs."""
    with Run(SCENARIOS[name], ipv6=ipv6) as run:
        given = [word for path in run.manifests for word in ("--spec", str(path))] if spec else []
        beside = looked_at(run, folder, given, everywhere)
        try:
            for one in beside:
                one.wait_ready()
            run.begin()
            run.wait()
            run.stop()
            time.sleep(SETTLE_S)
            last_frame(run)
        finally:
            for one in beside:
                one.ask()
            statuses = [one.child.wait(PATIENCE_S) for one in beside]
        for file in (*run.manifests, run.record):
            shutil.copy(file, folder / file.name)
    manifests = [folder / path.name for path in run.manifests] if spec else []
    out = [
        f"status {status} of {one.out.name}: {one.notes.read_text()}"
        for one, status in zip(beside, statuses, strict=True)
        if status
    ]
    return out + compared(folder, manifests)


def compared(folder: Path, manifests: list[Path]) -> list[str]:
    """Return what differs between what the programs said."""
    live = ndjson.fold(json.loads(line) for line in (folder / "live.ndjson").read_text().splitlines())
    timeline = probewatch.analyze(folder / "kept.pcapng", spec=manifests)
    out = [f"kept: {line}" for line in unlike(live["probes"], document(timeline)["probes"], exact=True)]
    packets = document(probewatch.analyze(folder / "beside.pcap", spec=manifests))
    holds_events = any(probe["handler"] == "exec" for probe in live["probes"])
    said = [probe for probe in live["probes"] if probe["handler"] != "exec"] if holds_events else live["probes"]
    out += [f"tcpdump: {line}" for line in unlike(said, packets["probes"], exact=False)]
    for key in ("events", "others", "findings"):
        out += [f"kept {key}: {line}" for line in unlike(live[key], document(timeline)[key], exact=True)]
        if not holds_events:
            out += [f"tcpdump {key}: {line}" for line in unlike(live[key], packets[key], exact=False)]
    spec = [word for path in manifests for word in ("--spec", str(path))]
    words = program("analyze", str(folder / "kept.pcapng"), "-q", "--color", "never", *spec)
    table = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ).stdout
    shown = (folder / "live.txt").read_text()
    out += [f"table: {line}" for line in tables(shown, table)]
    if manifests and not holds_events:  # (the record is compared with network probes only)
        out += [
            f"record: {line}"
            for line in differences(timeline, read(folder / "truth.jsonl"), keyed=False, unseen=True, typed=True)
        ]
    return out


OWN = r"[0-9.]+ (ms|s)\b|frames [0-9, -]+|frame \d+|\+\d+\.\d+|/\S+/pod|recorded "
"""What two looks at the same packets number differently."""


def tables(live: str, kept: str) -> Iterator[str]:
    """Yield what the last table of `watch` has that the other has not; the frames that they saw began a little apart."""

    def rows(text: str) -> list[str]:
        lines = text.splitlines()
        begin = max((n for n, line in enumerate(lines) if re.search(r" frames(,| in) ", line)), default=-1) + 1
        return [re.sub(OWN, "", " ".join(line.split())) for line in lines[begin:]]

    ours, theirs = rows(live), rows(kept)
    yield from (f"- {line}" for line in ours if line not in theirs)
    yield from (f"+ {line}" for line in theirs if line not in ours)


LOOSE = {"frames", "frame", "capture", "sightings", "confirmed_by", "evidence", "id", "confidence", "node", "node_source",
         "initial_evidence", "died", "steps", "sentence"}  # fmt: skip
"""What differs between two captures of the same packets: numbers, the beginning, and what only the node tells (names of interfaces)."""


def unlike(ours: Any, theirs: Any, *, exact: bool, at: str = "") -> Iterator[str]:
    """Yield where two documents differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            if exact or key not in LOOSE:
                yield from unlike(ours.get(key), theirs.get(key), exact=exact, at=f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{at}: {len(ours)} live, {len(theirs)} in the file"
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            yield from unlike(one, other, exact=exact, at=f"{at}[{number}]")
    elif ours != theirs and (exact or not near(ours, theirs, 2.5 if at.endswith(".to") else 2e-3)):
        yield f"{at}: live {ours!r}, in the file {theirs!r}"


def near(ours: Any, theirs: Any, within_s: float) -> bool:
    """Say whether two values are times or durations that differ by what two copies of a frame do (tcpdump counts microseconds)."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) < within_s
    if isinstance(ours, str) and isinstance(theirs, str) and ours[-1:] == theirs[-1:] == "Z":
        return abs((datetime.fromisoformat(ours) - datetime.fromisoformat(theirs)).total_seconds()) < within_s
    return False


def main() -> int:
    """Run them."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("names", nargs="*", default=[])
    given.add_argument("-6", dest="ipv6", action="store_true")
    given.add_argument("-j", dest="jobs", type=int, default=3, help="scenarios at once")
    given.add_argument("--no-spec", action="store_true")
    given.add_argument("--any", action="store_true", help="watch all interfaces, whatever the scenario is recorded at")
    given.add_argument("--again", action="store_true", help="run nothing, compare what --keep holds")
    given.add_argument("--keep", default="", help="a folder to keep everything in")
    chosen = given.parse_args()
    names = chosen.names or list(SCENARIOS)
    home = Path(chosen.keep or mkdtemp(prefix="beside-"))
    bad = 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        running = {}
        for name in names:
            folder = home / name
            folder.mkdir(parents=True, exist_ok=True)
            if chosen.again:
                manifests = [] if chosen.no_spec else sorted(folder.glob("pod*.yaml"))
                running[pool.submit(compared, folder, manifests)] = name
            else:
                running[
                    pool.submit(run_one, name, chosen.ipv6, folder, spec=not chosen.no_spec, everywhere=chosen.any)
                ] = name
        for future in as_completed(running):
            name = running[future]
            try:
                found = future.result()
            except Exception as error:  # noqa: BLE001  (told, and the others go on)
                found = [f"{type(error).__name__}: {error}"]
            bad += bool(found)
            print(f"{'DIFFERS' if found else 'same   '} {name}", flush=True)
            for line in found[:12]:
                print(f"        {line}", flush=True)
            if len(found) > 12:
                print(f"        and {len(found) - 12} more", flush=True)
    print(f"{len(names)} scenarios, {bad} with a difference")
    if not chosen.keep:
        with contextlib.suppress(OSError):
            shutil.rmtree(home)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
