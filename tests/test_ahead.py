"""Captures that a second process reads ahead: the same comes of them, and neither process outlives the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import probewatch
from probewatch import ahead
from probewatch.api import Analysis
from probewatch.capture import CaptureError, wholesale

# What runs the tests has threads of its own; the command line has none.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def small_inputs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be done from the first byte on."""
    monkeypatch.setattr(wholesale, "LARGE", 0)
    monkeypatch.setattr(ahead, "WORTH", 0)


@pytest.fixture
def capture(captures: Path) -> str:
    """Return a capture of some length."""
    return str(captures / "http-flap-s1" / "capture.pcap")


def told(path: Path, jobs: int) -> tuple[object, list[object]]:
    """Return the document, and what was told before, of a capture."""
    changes: list[object] = []
    timeline = Analysis(path, jobs=jobs, on_change=changes.append).whole()
    return probewatch.document(timeline), changes


def test_nothing_changes(capture_file: Path) -> None:
    """On every capture the document is the same, and so is what is told of it meanwhile, in the same order."""
    try:
        alone = told(capture_file, 1)
    except CaptureError:
        with pytest.raises(CaptureError):
            told(capture_file, 2)
        return
    assert told(capture_file, 2) == alone


def test_several_captures_are_one(captures: Path) -> None:
    """Several captures, hours apart, are one timeline with holes, as in one process; each says what there is to say of it."""
    paths = sorted(captures.glob("*/capture.pcap"))[:3]
    with_two, alone = (probewatch.document(Analysis(paths, jobs=jobs).whole()) for jobs in (2, 1))
    assert with_two == alone
    assert len(alone["captures"]) == len(paths)


class Impatient:
    """A caller that is told of what became known, and breaks off."""

    error: type[BaseException] | None = None
    ready: Callable[[], bool] = staticmethod(lambda: True)

    def __call__(self, *_: object) -> None:
        """Break off, once there is something to tell."""
        if self.error is not None and self.ready():
            error, self.error = self.error, None
            raise error


def test_a_broken_off_analysis_tells_what_was_read(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a caller breaks off, what was read until then is told; the child ends."""
    monkeypatch.setattr(ahead, "SAID", 1)
    caller = Impatient()
    analysis = Analysis(capture, jobs=2)
    monkeypatch.setattr(analysis, "_tell", caller)
    caller.error, caller.ready = KeyboardInterrupt, lambda: bool(analysis._observer._targets)
    with pytest.raises(KeyboardInterrupt):
        analysis.run()
    assert analysis.timeline().probes
    assert no_child()


def test_an_analysis_that_is_given_up_leaves_no_process(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody asks what came of it, the child ends with the analysis, however much it has to say."""
    monkeypatch.setattr(ahead, "SAID", 1)
    caller = Impatient()
    analysis = Analysis(capture, jobs=2)
    monkeypatch.setattr(analysis, "_tell", caller)
    caller.error = BrokenPipeError
    with pytest.raises(BrokenPipeError):
        analysis.whole()
    assert no_child()


def test_a_child_that_is_killed_is_told_of(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ends before its time is a plain error, and no shorter result."""
    monkeypatch.setattr(ahead.Scout, "end", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError, match="has ended"):
        Analysis(capture, jobs=2).whole()
    assert no_child()


def test_what_a_child_cannot_go_on_for_is_raised_here(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error is ours, and says where it happened."""

    def fails(_: ahead.Scout) -> None:
        raise ValueError("of the child")

    monkeypatch.setattr(ahead.Scout, "end", fails)
    with pytest.raises(ValueError, match="of the child") as caught:
        Analysis(capture, jobs=2).whole()
    assert "in fails" in caught.value.__notes__[0]
    assert no_child()


def no_child() -> bool:
    """Tell whether this process has no child."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False
