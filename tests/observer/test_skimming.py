"""Frames taken in by the fast path: the document says the same as if every frame had been decoded in full."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import probewatch
from probewatch.api import Analysis
from probewatch.capture import CaptureError
from probewatch.observer import core
from probewatch.wire import fastpath
from probewatch.wire.table import Limits


@pytest.mark.parametrize("small", [False, True], ids=["", "small"])
def test_nothing_changes(capture_file: Path, monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    """On every capture; and again with so little kept of a stream that ordinary connections take the fast path."""
    if small:
        monkeypatch.setattr(core, "Limits", partial(Limits, client_bytes=64, server_bytes=64))
        monkeypatch.setattr(fastpath, "WARM", 2)
    try:
        skimmed = probewatch.document(Analysis(capture_file).whole())
    except CaptureError:
        return
    assert skimmed == probewatch.document(Analysis(capture_file, skim=False).whole())
