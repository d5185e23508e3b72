"""Frames that the fast path passes over: the document says the same as if every frame had been decoded in full.

Covers `wire.fastpath`, `capture.runs`, `observer.front`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import probewatch
from probewatch.api import Analysis
from probewatch.capture import CaptureError, Reader, merged_parts, wholesale
from probewatch.model.connection import Connection, Unresolved
from probewatch.model.frame import Frame
from probewatch.observer import Observer, front
from probewatch.wire.table import Limits


@pytest.fixture(autouse=True)
def small_inputs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be done from the first byte on."""
    monkeypatch.setattr(wholesale, "LARGE", 0)


def test_nothing_changes(capture_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every capture, with connections bypassed so early that those of probes are, too."""
    monkeypatch.setattr(front, "Limits", partial(Limits, followed=100, turns=1))
    try:
        skimmed = probewatch.document(Analysis(capture_file).whole())
    except CaptureError:
        return
    assert skimmed == probewatch.document(Analysis(capture_file, skim=False).whole())


class Connections(Observer):
    """Keeps what is handed out, and when, and does nothing with it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, Connection | Unresolved]] = []

    def _collect(self, items) -> None:
        self.seen += [(self._now_ns, item) for item in items]
        return iter(())


def test_connections_are_the_same(capture_file: Path) -> None:
    """On every capture, with the limits that hold: connections are all that the rest is made of."""
    full, skimmed = Connections(), Connections()
    try:
        with Reader(str(capture_file), 0) as reader:
            for part in merged_parts([reader]):
                if isinstance(part, Frame):
                    skimmed.feed(part)
                    full.feed(part)
                    continue
                skimmed.skim(part)
                for frame in part:
                    full.feed(frame)
    except CaptureError:
        return
    full._collect(full._tracker.finish())
    skimmed._collect(skimmed._tracker.finish())
    assert skimmed.seen == full.seen
