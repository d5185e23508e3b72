"""What every test may ask for: captures, the programs beside Python, and privileges.

Tests that take `kubelet_scenario`, `checker_scenario` or `capture_file` run once for each such thing in the trees of
captures: the project's own `captures/`, or whatever `--captures DIR` (repeatable, probewatch.pytest_plugin) names
instead. A tree is walked, never listed, so a capture that is added is tested.
"""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]  # for the tests of probewatch.pytest_plugin

OWN = Path(__file__).resolve().parent.parent / "captures"
"""The project's own tree."""

FORMATS = (".pcap", ".pcapng")
COMPRESSIONS = ("", ".gz", ".bz2", ".xz", ".zst", ".lz4")
ENDINGS = tuple(form + compression for form in FORMATS for compression in COMPRESSIONS)

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each program that a test starts would compile all of ours anew

# No deadline: nothing here asserts timing.
# In CI the examples are the same in every run, so that a failure there can be had at home.
settings.register_profile("house", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI")))
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know `--thorough`: what is tried at random is tried many times more."""
    parser.addoption("--thorough", action="store_true", help="fuzz and mutate many times more")


def pytest_configure(config: pytest.Config) -> None:
    """Know our marker also where pytest did not find pyproject.toml (`--captures DIR` points it elsewhere)."""
    config.addinivalue_line("markers", "oracle: needs a program beside Python (tshark)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for captures one run for each."""
    wanted = [name for name in FINDERS if name in metafunc.fixturenames]
    if not wanted:
        return
    trees = _trees(metafunc.config)
    for name in wanted:
        found = [(tree, path) for tree in trees for path in FINDERS[name](tree)]
        ids = [_readable(tree, path, several=len(trees) > 1) for tree, path in found]
        metafunc.parametrize(name, [path for _, path in found], ids=ids)


@cache
def kubelet_scenarios(tree: Path) -> list[Path]:
    """Return the directories, at depth 1 or under `kubelet/`, with a kubelet's record and the capture beside it."""
    records = sorted([*tree.glob("*/truth.jsonl"), *tree.glob("kubelet/*/truth.jsonl")])
    mains = ("capture.pcap", "tun0.pcap")
    return [record.parent for record in records if any((record.parent / name).is_file() for name in mains)]


@cache
def checker_scenarios(tree: Path) -> list[Path]:
    """Return the directories, at any depth, whose truth.json knows `checkers`."""
    return sorted(path.parent for path in tree.rglob("truth.json") if _knows_checkers(path))


@cache
def capture_files(tree: Path) -> list[Path]:
    """Return every capture in the tree, whole or damaged, compressed or not; a FIFO or a dangling link is none."""
    return sorted(path for path in tree.rglob("*") if path.name.endswith(ENDINGS) and path.is_file())


OF_THE_MACHINE = ("lab", "live")
"""Directories of tests that make namespaces and look at all of this machine: one worker runs them, one after the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares the machine, and the tests of a file that read the same capture (they keep what they read)."""
    for item in items:
        if item.path.parent.name in OF_THE_MACHINE:
            item.add_marker(pytest.mark.xdist_group("machine"))
            continue
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        read = next((given[name] for name in (*FINDERS, "scenario") if name in given), None)
        if read is not None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{read}"))


FINDERS = {
    "kubelet_scenario": kubelet_scenarios,
    "checker_scenario": checker_scenarios,
    "capture_file": capture_files,
}


@pytest.fixture(scope="session")
def captures() -> Path:
    """Return the project's own tree, for tests that mean one certain capture."""
    return OWN


@pytest.fixture(scope="session")
def validator() -> Any:
    """Return a validator of the packaged schema of the JSON document."""
    import jsonschema

    schema = json.loads(files("probewatch.report").joinpath("timeline.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="session")
def tshark() -> str:
    """Return the path of tshark, the reference for what is in a frame."""
    found = shutil.which("tshark")
    if found is None:
        pytest.skip("tshark is not installed: it is the reference that this test compares with")
    return found


@pytest.fixture(scope="session")
def needs_root() -> None:
    """Skip a test that opens sockets or namespaces which only root may open."""
    if os.geteuid() != 0:
        pytest.skip("only root may open packet sockets and network namespaces")


def _trees(config: pytest.Config) -> list[Path]:
    """Return the trees to run on; a misspelt one is an error, not an empty run."""
    named: list[Path] | None = config.getoption("--captures")
    if not named:
        return [OWN]
    trees = [config.invocation_params.dir / name for name in named]
    for tree in trees:
        if not tree.is_dir():
            raise pytest.UsageError(f"--captures: {tree} is not a directory")
    return trees


def _knows_checkers(truth: Path) -> bool:
    content = json.loads(truth.read_text(encoding="utf-8"))
    return isinstance(content, dict) and bool(content.get("checkers"))


def _readable(tree: Path, path: Path, *, several: bool) -> str:
    relative = path.relative_to(tree).as_posix()
    return f"{tree.name}/{relative}" if several else relative
