"""How tests call the laboratory, and what they look for afterwards."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 60.0
TRIES = 3
"""So often a scenario is run whose prober was kept waiting: it did not do then what the scenario says."""
PLAN = {
    # name: seconds, more words
    "flapping": (14, ()),
    "refused-at-start": (10, ("-6",)),
    "reset-in-body": (7, ()),
    "grpc-flapping": (13, ()),
    "sidecar-asks-for-it": (10, ("-6",)),
    "exec": (8, ()),
    "traffic": (14, ()),
}
"""What is run: a probe each second, so that some seconds show a decision; twice what a quiet machine needs."""


@dataclass
class Ran:
    """A scenario that has run."""

    folder: Path
    status: int
    out: str
    err: str

    @property
    def capture(self) -> Path:
        """What was recorded."""
        return self.folder / "run.pcapng"

    @property
    def manifests(self) -> list[Path]:
        """The pods."""
        return sorted(self.folder.glob("run.pod*.yaml"))

    @property
    def record(self) -> Path:
        """What the prober wrote down."""
        return self.folder / "run.truth.jsonl"

    @property
    def kept_waiting(self) -> bool:
        """Whether the machine left the prober without CPU at one of its ticks, as its record says."""
        return self.record.exists() and '"ev": "late"' in self.record.read_text(encoding="utf-8")


def command(*words: str) -> list[str]:
    """Return how the command line is called."""
    return [sys.executable, "-m", "probewatch.cli", "lab", *words]


def traces(number: str) -> list[str]:
    """Return what there is of a run: processes that carry its number, namespaces, its directory."""
    mark = f"PROBEWATCH_LAB={number}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            marked = entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0")
            if marked and (entry / "stat").read_text().rpartition(") ")[2][0] not in "ZX":
                found.append(f"process {entry.name} {(entry / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    found += [f"namespace {path}" for path in Path("/run/netns").glob(f"pwlab-{number}-*")]
    found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"*/probewatch-lab-*{number}*")]
    return found + [str(path) for path in Path("/run/probewatch-lab").glob(number)]
