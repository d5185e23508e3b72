#!/usr/bin/env python3
"""Which tests are a module's: `tests/mirror.py observer.stride` names them, without a name it shows where tests and modules do not mirror.

`tests/wire/test_tcp.py` tests `probewatch/wire/tcp.py`, and `test_clocks.py`, wherever it lies, `probewatch/clocks.py`. A test module that
bears no module's name says in its docstring which it covers ("Covers `observer`, `report.verdict`."), packages too; where one does not,
or names what is not there, the status is 1 (tests/test_house.py). A module without tests of its name is covered by those that
import it, or through the modules above it: that is allowed, and only shown.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "probewatch"


def named(path: Path) -> str:
    """Return a module's or package's name below `probewatch`: `wire.tcp`; empty for the whole."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield what a module imports of probewatch: `wire.tcp`, `wire`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = path.parents[node.level - 1] if node.level else PACKAGE.parent
            full = [*above.relative_to(PACKAGE.parent).parts, *(node.module or "").split(".")]
            if full[0] == PACKAGE.name:
                base = ".".join(part for part in full[1:] if part)
                yield base
                yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)


def above(name: str, users: dict[str, set[str]], tested: dict[str, list[str]]) -> list[str]:
    """Return the nearest modules with tests of their own that use one, directly or through others."""
    known, now = {name}, {name}
    while now := {user for one in now for user in users[one]} - known:
        if found := sorted(one for one in now if tested[one]):
            return found
        known |= now
    return []


def main(wanted: list[str]) -> int:
    """Print the tests of the modules that are wanted, or all that does not mirror."""
    paths = {named(path): path for path in PACKAGE.rglob("*.py")}
    modules = set(paths)
    users: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in paths.items():
        for used in modules & set(imported(path)):
            users[used].add(name)
    own: dict[str, list[str]] = {name: [] for name in modules}
    covering: dict[str, list[str]] = {name: [] for name in modules}
    importing: dict[str, list[str]] = {name: [] for name in modules}
    wrong = []
    for path in sorted(TESTS.rglob("test_*.py")):
        shown = path.relative_to(TESTS.parent).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        stem = path.stem.removeprefix("test_")
        beside = ".".join([*path.parent.relative_to(TESTS).parts, stem])
        said = " ".join((ast.get_docstring(tree) or "").split())
        covers = re.search(r"\bCovers ((?:and |`[\w.]+`,? ?)+)", said)
        names = re.findall(r"`([\w.]+)`", covers[1]) if covers else []
        wrong += [f"{shown} says that it covers {name}: no module" for name in names if name not in modules]
        mine = next((name for name in (beside, stem) if name in modules), "")
        if mine:
            own[mine].append(shown)
        elif not names and path.parent != TESTS:
            wrong.append(f"{shown} bears no module's name, and does not say what it covers")
        for name in modules & set(names):
            covering[name].append(shown)
        for name in modules & set(imported(path)):
            importing[name].append(shown)

    def tests(name: str) -> str:
        found = list(dict.fromkeys(own[name] + covering[name] + importing[name]))
        tested = {one: own[one] + covering[one] for one in modules}
        return ", ".join(found) or f"through {', '.join(above(name, users, tested)) or ', '.join(covering[name.partition('.')[0]])}"

    leaves = sorted(name for name, path in paths.items() if path.name not in {"__init__.py", "__main__.py"})
    for one in wanted or wrong + [f"{name}: {tests(name)}" for name in leaves if not own[name]]:
        sys.stdout.write(f"{tests(one) if wanted else one}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
