"""Runs the command line; and lets the tests here share what they know of captures: importlib mode puts no directory on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from probewatch.cli import main

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.append(HERE)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Return a function that runs the command line in this process: `run("analyze", path)`."""

    def call(*arguments: object) -> SimpleNamespace:
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return SimpleNamespace(status=status, out=said.out, err=said.err)

    return call
