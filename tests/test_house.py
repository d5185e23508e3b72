"""The rules of the house: what holds for every module, page and capture, whoever adds it."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "probewatch"

LAYERS: Final = (
    {"cli"},
    {"lab", "pytest_plugin"},
    {"recording", "explaining", "annotating", "asking", "watching"},
    {"api"},
    {"feeding", "clocks", "joined", "stepped"},
    {"ahead"},
    {"moments"},
    {"assertions"},
    {"report"},
    {"observer"},
    {"verify"},
    {"decisions"},
    {"probes"},
    {"wire"},
    {"cluster"},
    {"capture"},
    {"model"},
)
"""From the top. A module imports from its own part and from parts below, never from above or beside."""

PURE: Final = {"wire", "probes", "decisions", "verify", "observer", "model"}
"""Bytes and integer nanoseconds in, values out."""

IMPURE_PARTS: Final = {"cluster", "capture"}
"""What the pure parts leave alone although it lies below most of them."""

STRANGERS: Final = ({"probes", "decisions"},)
"""Parts that meet only in `observer`, as data."""

IMPURE_MODULES: Final = {
    "asyncio", "concurrent", "ctypes", "fcntl", "glob", "io", "logging", "mmap", "multiprocessing", "os", "pathlib",
    "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "ssl", "subprocess",
    "tempfile", "threading", "time", "uuid",
    "click", "cypcap", "pyroute2", "rich", "scapy",
}  # fmt: skip
IMPURE_CALLS: Final = {
    "open", "print", "input", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
}  # fmt: skip

LAZY: Final = (
    "scapy", "pyroute2", "rich", "yaml", "msgspec", "cypcap", "hpack", "cryptography", "zstandard", "jinja2", "prometheus_client",
    "numpy",
)  # fmt: skip
"""What start-up must not import: each costs a user who does not need it."""

LONG: Final = 600
"""Lines of a module beyond which its docstring says why ("over 600 lines")."""

CAPTURES_LIMIT: Final = 3_600_000
"""Bytes of captures/, so that a clone stays small."""

TOP_LEVEL: Final = {
    ".ci", ".gitattributes", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md",
    "benchmarks", "captures", "docs", "probewatch", "pyproject.toml", "tests",
}  # fmt: skip
LEFT_BY_TOOLS: Final = {
    ".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__", "dist",
}  # fmt: skip


class Import(NamedTuple):
    """One name that a module imports."""

    line: int
    module: str
    """Absolute: `probewatch.wire.tcp`, `os.path`."""
    at_import: bool
    """Whether importing the module runs it: not in a function, not for type checkers only."""


def modules() -> list[Path]:
    """Return every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def shown(path: Path) -> str:
    """Name a file as a reader of the project would."""
    return path.relative_to(ROOT).as_posix()


def part(path: Path) -> str:
    """Return the part of the house that a module lives in; empty for the package's own `__init__`."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    """Parse one module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> list[Import]:
    """Return what a module imports, anywhere in it, relative imports resolved."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    found: list[Import] = []

    def walk(node: ast.AST, *, at_import: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend(Import(child.lineno, alias.name, at_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) + 1 - child.level] if child.level else []
                origin = ".".join([*base, *([child.module] if child.module else [])])
                # `from . import tcp` may name a module: the longer name decides, the shorter is its prefix.
                found.extend(Import(child.lineno, f"{origin}.{alias.name}", at_import) for alias in child.names)
            elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                walk(child, at_import=False)
            else:
                later = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
                walk(child, at_import=at_import and not later)

    walk(tree_of(path), at_import=True)
    return found


def imported_part(name: str) -> str | None:
    """Return the part of the house that an imported name belongs to; None for what is not ours or in no part."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name or len(parts) == 1:
        return None
    is_module = (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").is_file()
    return parts[1] if is_module else None


def rank(name: str) -> int:
    """Return how deep a part lies."""
    return next(depth for depth, layer in enumerate(LAYERS) if name in layer)


def test_every_part_has_its_place() -> None:
    """The list of layers names every part of the package, so that no new one escapes the rules below."""
    known = set().union(*LAYERS)
    unknown = {part(path) for path in modules()} - known - {""}
    assert not unknown, f"{sorted(unknown)} stand in no layer of LAYERS"


def test_imports_only_go_down() -> None:
    """A part of the house imports only itself and what lies below it; so nothing but cli and the tests has the lab."""
    wrong = []
    for path in modules():
        here = part(path)
        for item in imports(path):
            there = imported_part(item.module)
            if here and there and there != here and rank(there) <= rank(here):
                wrong.append(f"{shown(path)}:{item.line} imports {item.module}")
    assert not wrong, "\n".join(wrong)


def test_pure_parts_import_no_world() -> None:
    """The pure parts import no clock, socket, file, process, thread or chance, nor parts of ours that do.

    `probes` and `decisions` do not import each other either: they meet in `observer`, as data.
    """
    wrong = []
    for path in modules():
        here = part(path)
        if here not in PURE:
            continue
        strangers = set().union(*(pair for pair in STRANGERS if here in pair)) - {here}
        for item in imports(path):
            there = imported_part(item.module)
            if item.module.split(".")[0] in IMPURE_MODULES or there in IMPURE_PARTS or there in strangers:
                wrong.append(f"{shown(path)}:{item.line} imports {item.module}")
    assert not wrong, "\n".join(wrong)


def test_pure_parts_touch_no_world() -> None:
    """The pure parts open no file, print nothing, ask no clock and keep no global state that changes."""
    wrong = []
    for path in modules():
        if part(path) not in PURE:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                name = ".".join(ast.unparse(node.func).split(".")[-2:])
                if name in IMPURE_CALLS:
                    wrong.append(f"{shown(path)}:{node.lineno} calls {name}()")
            elif isinstance(node, ast.Global):
                wrong.append(f"{shown(path)}:{node.lineno} has a global statement")
        for node in tree_of(path).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, (ast.List, ast.Dict, ast.Set)):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                name = ast.unparse(target)
                if not name.isupper() and name != "__all__":
                    wrong.append(f"{shown(path)}:{node.lineno} {name} is a mutable value not written as a constant")
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_scapy_when_imported() -> None:
    """Scapy takes a second to import: no module of ours does so before a function needs it."""
    wrong = [
        f"{shown(path)}:{item.line}"
        for path in [*modules(), ROOT / "tests" / "conftest.py"]
        for item in imports(path)
        if item.at_import and item.module.split(".")[0] == "scapy"
    ]
    assert not wrong, "\n".join(wrong)


def test_start_up_is_light() -> None:
    """`import probewatch.cli`, which every command pays for, imports none of the heavy libraries."""
    if "def main" not in (PACKAGE / "cli" / "__init__.py").read_text(encoding="utf-8"):
        pytest.skip("probewatch.cli has no main yet")
    code = f"import sys, probewatch, probewatch.cli; print(*[name for name in {LAZY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_module_says_what_it_is() -> None:
    """Each module opens with a docstring, and one of more than 600 lines says in it why ("over 600 lines")."""
    wrong = []
    for path in modules():
        text = path.read_text(encoding="utf-8")
        said = ast.get_docstring(ast.parse(text)) or ""
        if not said.strip(". \n"):
            wrong.append(f"{shown(path)} has no docstring")
        if text.count("\n") > LONG and f"over {LONG} lines" not in said:
            wrong.append(f"{shown(path)} has {text.count(chr(10))} lines and does not say why it is over {LONG} lines")
    assert not wrong, "\n".join(wrong)


def test_every_public_name_is_explained() -> None:
    """Each public class, function and method of the package has a docstring."""
    wrong: list[str] = []

    def walk(path: Path, body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
                continue
            marks = {ast.unparse(mark).split(".")[-1] for mark in node.decorator_list}
            if not ast.get_docstring(node) and not marks & {"overload", "override", "setter", "deleter"}:
                wrong.append(f"{shown(path)}:{node.lineno} {prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                walk(path, node.body, f"{prefix}{node.name}.")

    for path in modules():
        if not any(name.startswith("_") and name != "__init__.py" for name in path.relative_to(PACKAGE).parts):
            walk(path, tree_of(path).body, "")
    assert not wrong, "\n".join(wrong)


def test_every_test_states_its_promise() -> None:
    """Each test function has a docstring."""
    wrong = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not wrong, "\n".join(wrong)


def test_tests_mirror_modules() -> None:
    """Each test module bears the name of the module that it tests, or says in its docstring which ones it covers."""
    done = subprocess.run([sys.executable, "tests/mirror.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def pages() -> list[Path]:
    """Return every Markdown page of the project."""
    folders = ("docs", "captures", "benchmarks", "tests")
    return sorted([*ROOT.glob("*.md"), *(path for name in folders for path in (ROOT / name).rglob("*.md"))])


def prose(path: Path) -> str:
    """Return a page without its blocks of code, where brackets and hashes mean other things."""
    return re.sub(r"^(```|~~~).*?^\1[^\n]*$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(path: Path) -> list[str]:
    """Return the targets of a page's links, inline and by reference."""
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", text)
    return inline + re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, flags=re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    text = prose(path)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = next(n for n in range(len(found) + 1) if (f"{slug}-{n}" if n else slug) not in found)
        found.add(f"{slug}-{number}" if number else slug)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def test_links_lead_somewhere() -> None:
    """Every link of a page to a file of the project, or to a heading in one, resolves."""
    wrong = []
    for page in pages():
        for target in links(page):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = target.partition("#")
            goal = (page.parent / name).resolve() if name else page
            if not goal.exists() or ROOT not in [goal, *goal.parents]:
                wrong.append(f"{shown(page)}: {target} is no file of the project")
            elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
                wrong.append(f"{shown(page)}: {target} names no heading")
    assert not wrong, "\n".join(wrong)


ELSEWHERE: Final = {"YAML", "POSIX", "IEEE"}
"""Names in capitals that stand before a section's number and are standards."""
CITING: Final = ("probewatch", "tests", "docs", "benchmarks", ".ci")
CITING_FILES: Final = {".py", ".md", ".json", ".html", ".css", ".yaml", ""}
PAGE: Final = re.compile(
    r"(?<![\w./*-])((?:[\w.-]+/)*[\w.-]+\.md)\b"  # docs/page.md
    r"(?:#([\w-]+)|,\s+\"([^\"]+)\"|,\s+sections?\s+(\d+)(?:\s+and\s+(\d+))?)?"  # anchor, heading, numbers
)
NUMBERED: Final = re.compile(r"\b([A-Z]{4,})(?: +sections? +\d| +\d+\.\d\b| +\d[a-z]\b)")
"""A page without `.md`, by its section."""


def test_what_is_cited_can_be_read() -> None:
    """Every page that a module, a test or a page mentions is in the repository, with the heading or section named; so is every capture.

    Pages are cited as `docs/page.md`, `docs/page.md, "Heading"`, `docs/page.md, section 6` or `docs/page.md#anchor`; a page
    without `.md` (NOTES section 2, NOTES 2.1, NOTES 7b) is none. What stands elsewhere is cited by the place where anybody
    finds it: file and function, and a page of another repository behind that one's name (`owner/name page.md`).
    """
    wrong = []
    texts = {path for name in CITING for path in (ROOT / name).rglob("*") if path.suffix in CITING_FILES and path.is_file()}
    for path in sorted((texts | set(pages())) - {Path(__file__).resolve()}):
        text = path.read_text(encoding="utf-8", errors="replace")
        named = sorted({found[0] for found in re.finditer(r"\bcaptures/[a-z0-9][a-z0-9-]*\b", text)})
        wrong += [f"{shown(path)} cites {name}: no capture of the project" for name in named if not (ROOT / name).exists()]
        for found in PAGE.finditer(text):
            name, anchor, heading, *sections = found.groups()
            goal = next((base / name for base in (ROOT, path.parent, ROOT / "docs") if (base / name).is_file()), None)
            said = " ".join(found[0].split())
            theirs = re.search(r"([\w.-]+/[\w.-]+) $", text[max(found.start() - 80, 0) : found.start()])
            if goal is None and theirs and not (ROOT / theirs[1]).exists():
                continue
            if goal is None:
                wrong.append(f"{shown(path)} cites {said}: no page of the project")
                continue
            headings = [re.sub("`", "", line) for line in re.findall(r"^#{1,6} +(.+?) *#*$", prose(goal), flags=re.MULTILINE)]
            lacks = (
                (anchor and anchor not in anchors(goal))
                or (heading and " ".join(heading.split()) not in headings)
                or any(number and not any(line.startswith(f"{number}. ") for line in headings) for number in sections)
            )
            if lacks:
                wrong.append(f"{shown(path)} cites {said}: no such heading")
        numbers = [found for found in NUMBERED.finditer(text) if found[1] not in ELSEWHERE]
        wrong += [f"{shown(path)} cites {found[0]}: no page of the project" for found in numbers]
    assert not wrong, "\n".join(wrong)


def test_every_capture_is_described() -> None:
    """captures/README.md has a row for each directory and each damaged or derived file, none for what is not there."""
    tree = ROOT / "captures"
    rows = re.findall(r"^\| (`[^|]+) \|", (tree / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    directories = {path.name for path in tree.iterdir() if path.is_dir()}
    special = {path.name for name in ("derived", "malformed") for path in (tree / name).iterdir()}
    ordinary = {path.name for path in tree.rglob("*") if path.is_file()} - special
    assert (directories | special) - described == set()
    assert described - directories - special - ordinary == set()


def test_captures_stay_small() -> None:
    """The captures together are under 3.6 MB."""
    assert sum(path.lstat().st_size for path in (ROOT / "captures").rglob("*") if path.is_file()) < CAPTURES_LIMIT


def test_top_level_is_tidy() -> None:
    """Nothing lies at the top of the project but what belongs there and what tools leave behind, which git ignores."""
    there = {path.name for path in ROOT.iterdir()}
    assert there - TOP_LEVEL - LEFT_BY_TOOLS == set()


def test_ci_runs_what_the_readme_says() -> None:
    """The two commands that the README opens with are, letter for letter, those that CI runs."""
    readme = ROOT / "README.md"
    if not readme.is_file():
        pytest.skip("there is no README.md yet")
    start = "python3 -m venv .venv && "
    said, run = (path.read_text(encoding="utf-8").splitlines() for path in (readme, ROOT / ".ci" / "run"))
    commands = [line for line in said if line.startswith(start)]
    assert len(commands) == 2
    assert [line for line in run if line.startswith(start)] == commands


def test_the_package_under_test_is_this_one() -> None:
    """The tests test the package that lies beside them, not another one that happens to be installed."""
    found = importlib.util.find_spec("probewatch")
    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).resolve() == PACKAGE / "__init__.py"


def test_every_package_is_a_map_of_its_modules() -> None:
    """Whoever opens a package reads in its docstring what each of its modules is for."""
    wrong: list[str] = []
    for package in sorted({path.parent for path in modules()}):
        said = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
        named = [path for path in sorted(package.glob("*.py")) if not path.stem.startswith("__")]
        wrong += [shown(path) for path in named if not re.search(rf"\b{path.stem}\b", said)]
    assert not wrong, f"not named in their package's docstring: {', '.join(wrong)}"
