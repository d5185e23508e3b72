"""What probewatch adds to pytest: fixtures for saved captures and for live recordings, and options beside them.

    probewatch_timeline     analyses saved captures
    probe_recorder          records interfaces while a test runs, hands back timelines
    capture_trees           the trees given with `--captures`

Assertions are `probewatch.expect`; they need no fixture. A recording is deleted when its test passed; of a test that failed it is
kept, and the report names the file.

A plugin and not a conftest, so that pytest knows the options before it reads its command line. It is imported in every run of pytest
beside which probewatch is installed: nothing of probewatch is, before a fixture is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from .model.timeline import Timeline
    from .recording import Recording

PathText = str | PathLike[str]
T = TypeVar("T")

NAME_LENGTH: Final = 100
"""Characters of a test's name that go into the name of a file."""


class TimelineFactory(Protocol):
    """Type of the fixture `probewatch_timeline`."""

    def __call__(
        self,
        paths: PathText | Sequence[PathText],
        *,
        spec: PathText | Sequence[PathText] = (),
        verify: bool = False,
        **options: Any,
    ) -> Timeline:
        """Return the timeline of saved captures; see the fixture."""


class RecorderFactory(Protocol):
    """Type of the fixture `probe_recorder`."""

    def __call__(
        self,
        interface: str = "any",
        *,
        netns: str | int | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        spec: PathText | Sequence[PathText] = (),
        **options: Any,
    ) -> Recording:
        """Begin to record; see the fixture."""


class _Kept:
    """The recordings of one test."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self.folder = folder
        self.recordings: list[Recording] = []
        self.failed = False


_RECORDINGS: Final = pytest.StashKey[_Kept]()
_OPEN: Final = pytest.StashKey[list[_Kept]]()
"""Of tests that are not over."""
_TIMELINES: Final = pytest.StashKey[dict[str, "Timeline"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--captures` and `--keep-captures`."""
    group = parser.getgroup("probewatch")
    group.addoption(
        "--captures",
        action="append",
        type=Path,
        metavar="DIR",
        help="run tests of saved captures on this tree of captures (repeatable)",
    )
    group.addoption(
        "--keep-captures",
        type=Path,
        metavar="DIR",
        help="keep the recordings of failed tests in this directory (default: pytest's own temporary one)",
    )


@pytest.fixture(scope="session")
def capture_trees(pytestconfig: pytest.Config) -> tuple[Path, ...]:
    """Name the trees given with `--captures`; empty where none was.

    Scope: session.
    """
    return tuple(pytestconfig.getoption("captures") or ())


@pytest.fixture
def probewatch_timeline(request: pytest.FixtureRequest) -> TimelineFactory:
    """Return a function that analyses saved captures: `probewatch_timeline("web.pcap", spec="web.yaml")`.

    Its arguments are those of `probewatch.analyze`; with `verify=True` those of `probewatch.verify`, and the timeline has its
    findings, as `.verified()` needs them. A relative path begins at the directory of the test's file. The same captures with
    the same options are analysed once in a run, and anew where a file was written since.

    Scope: function.
    """
    known = request.config.stash.setdefault(_TIMELINES, {})

    def timeline(
        paths: PathText | Sequence[PathText],
        *,
        spec: PathText | Sequence[PathText] = (),
        verify: bool = False,
        **options: Any,
    ) -> Timeline:
        from . import api

        __tracebackhide__ = True
        found = [_beside(request.path, path) for path in _listed(paths)]
        files: dict[str, Any] = {"spec": spec}
        files |= {
            name: options.pop(name) for name in ("cluster", "keylog", "haproxy_cfg", "expect") if options.get(name)
        }
        placed: dict[str, Any] = {}
        for name, value in files.items():
            placed[name] = [_beside(request.path, path) for path in _listed(value)]
        if "keylog" in placed:
            placed["keylog"] = placed["keylog"][0]
        if not verify and "expect" in placed:
            raise TypeError(
                "probewatch_timeline() takes expect only with verify=True, which holds the capture against it"
            )
        read: list[PathText] = [*found, *(path for paths in placed.values() for path in _listed(paths))]
        key = repr((verify, found, sorted(placed.items()), sorted(options.items()), [_state(path) for path in read]))
        if key not in known:
            work = api.verify if verify else api.analyze
            known[key] = _at_the_test("probewatch_timeline", lambda: work(found, **placed, **options))
        return known[key]

    return timeline


@pytest.fixture
def probe_recorder(request: pytest.FixtureRequest) -> Iterator[RecorderFactory]:
    """Return a function that begins to record: `probe_recorder("veth0", netns="web", spec="web.yaml")`.

    Its arguments are those of `probewatch.record` but for the path; `any` is the interface if none is given. It returns a `Recording`:
    `.timeline()` is what was seen so far, `.wait_for(...)` waits until something is to be seen in it. Every recording ends with the
    test. It needs CAP_NET_RAW, and CAP_SYS_ADMIN for a network namespace.

    Scope: function.
    """
    wanted: Path | None = request.config.getoption("keep_captures")
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")

    def folder() -> Path:
        if wanted is None:
            return factory.mktemp("probewatch")
        made = request.config.invocation_params.dir / wanted
        made.mkdir(parents=True, exist_ok=True)
        return made

    kept = request.node.stash[_RECORDINGS] = _Kept(folder)
    request.config.stash.setdefault(_OPEN, []).append(kept)

    def begin(
        interface: str = "any",
        *,
        netns: str | int | None = None,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        spec: PathText | Sequence[PathText] = (),
        **options: Any,
    ) -> Recording:
        from .recording import record

        __tracebackhide__ = True
        path = _free(kept.folder(), f"{request.node.name}-{interface}")
        try:
            recording = _at_the_test(
                "probe_recorder", lambda: record(interface, path, netns=netns, filter=filter, spec=spec, **options)
            )
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        kept.recordings.append(recording)
        return recording

    yield begin
    errors = [error for recording in kept.recordings if (error := _stopped(recording)) is not None]
    if errors:
        raise errors[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Name the recordings of a test that failed in its report; delete those of one that did not."""
    report = yield
    kept = item.stash.get(_RECORDINGS, None)
    if kept is None:
        return report
    if report.failed:
        kept.failed = True
        lines = [_said(recording, _stopped(recording)) for recording in kept.recordings]
        if lines:
            report.sections.append(("probewatch: captures kept", "\n".join(lines)))
    if report.when == "teardown":
        item.config.stash[_OPEN].remove(kept)
        if not kept.failed:
            for recording in kept.recordings:
                recording.path.unlink(missing_ok=True)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the recordings of a test that was interrupted: nothing reported on it."""
    lines = [
        _said(recording, _stopped(recording)) for kept in config.stash.get(_OPEN, []) for recording in kept.recordings
    ]
    if lines:
        terminalreporter.section("probewatch: captures kept")
        for line in lines:
            terminalreporter.line(line)


def _at_the_test(name: str, work: Callable[[], T]) -> T:
    """Return what `work` does; what a test gave and cannot be used fails at the test's own line, for the sentence says it all."""
    __tracebackhide__ = True
    from .capture import CaptureError
    from .cluster import SpecError
    from .moments import InputError

    try:
        return work()
    except (CaptureError, SpecError, InputError) as error:
        failed: Exception = error.with_traceback(None)
    except TypeError as error:
        _, told, what = str(error).partition("got an unexpected keyword argument")
        if not told:
            raise
        failed = TypeError(f"{name}() {told}{what}: its options are those of probewatch.analyze and probewatch.record")
    raise failed from None


def _stopped(recording: Recording) -> Exception | None:
    """End a recording; return what went wrong with it."""
    from .capture import CaptureError

    try:
        recording.stop()
    except CaptureError as error:
        return error
    return None


def _said(recording: Recording, error: Exception | None) -> str:
    frames = f"{recording.frames} frame{'' if recording.frames == 1 else 's'}"
    return f"{recording.path} ({frames} of interface {recording.interface})" + (f": {error}" if error else "")


def _free(folder: Path, name: str) -> Path:
    """Return a path of that name that is not taken."""
    stem = re.sub(r"[^\w.-]+", "-", name)[:NAME_LENGTH].strip("-.") or "recording"
    number = 1
    while True:
        path = folder / (f"{stem}.pcapng" if number == 1 else f"{stem}-{number}.pcapng")
        try:
            path.open("xb").close()
        except FileExistsError:
            number += 1
        else:
            return path


def _listed(value: PathText | Sequence[PathText]) -> list[PathText]:
    return [value] if isinstance(value, str | PathLike) else list(value)


def _state(path: PathText) -> tuple[int, int] | None:
    """Return a file's size and when it was written (ns); None where it is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _beside(test: Path, path: PathText) -> str:
    """Return a path as seen from the test's directory, written as short as the working directory allows."""
    if fspath(path) == "-":
        return "-"
    placed, here = test.parent / path, Path.cwd()
    return str(placed.relative_to(here) if placed.is_relative_to(here) else placed)
