"""What probewatch adds to pytest: where saved captures are looked for.

A plugin and not a conftest, so that pytest knows the option before it reads its command line: `pytest --captures DIR` works with or
without `=`, and from any directory.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--captures`."""
    parser.getgroup("probewatch").addoption(
        "--captures",
        action="append",
        type=Path,
        metavar="DIR",
        help="run tests of saved captures on this tree of captures (repeatable)",
    )


@pytest.fixture(scope="session")
def capture_trees(pytestconfig: pytest.Config) -> tuple[Path, ...]:
    """Name the trees given with `--captures`; empty where none was.

    Scope: session.
    """
    return tuple(pytestconfig.getoption("captures") or ())
