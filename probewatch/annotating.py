"""`analyze -w`: captures written anew as one pcapng, with comments on the frames that mattered, and names of addresses.

Captures are read a second time, frame by frame: nothing of them is held but the comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from .api import PathText, Source, frame_filter, open_inputs
from .moments import InputError

if TYPE_CHECKING:
    from .capture.reader import Input
    from .capture.write import PcapngWriter
    from .model.frame import Frame
    from .model.timeline import Timeline


class Written(NamedTuple):
    """What was written."""

    frames: int
    commented: int
    """Frames that carry a comment of ours."""


def refuse_inputs(path: PathText, inputs: Source) -> None:
    """Raise InputError where writing to `path` would overwrite a capture that is to be read."""
    given = (
        [inputs] if isinstance(inputs, str | PathLike) else [one for one in inputs if isinstance(one, str | PathLike)]
    )
    if any(_is_same(path, one) for one in given):
        raise InputError(f"{fspath(path)} is a capture that is to be read: write to another file")


def _is_same(path: PathText, other: PathText) -> bool:
    try:
        return Path(path).samefile(other)
    except (OSError, ValueError):  # one of them is not there (yet), or is no path
        return False


def annotate(
    timeline: Timeline,
    inputs: Source,
    path: PathText,
    *,
    only_probes: bool = False,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    stdin: BinaryIO | None = None,
) -> Written:
    """Write the captures that a timeline was made of to `path` (`-` is standard output), as pcapng with comments.

    Frames keep their times, bytes and original lengths, interfaces their names, link types and losses; comments and TLS
    secrets that are there stay. Several inputs become one, in the order of time.

    Args:
        timeline: the whole timeline of the inputs.
        inputs: the captures.
        path: is created readable by its owner alone; no link is followed.
        only_probes: leave out what is not a probe's: its connections, ICMP errors about them, address requests.
        filter: only frames that match.
        stdin: what to read for `-`.

    Raises:
        InputError: it would overwrite an input.
        CaptureError: an input cannot be read any more, or the output cannot be written.
    """
    from .capture import merged
    from .capture.errors import CaptureError
    from .capture.output import open_output
    from .observer.picking import Picker
    from .report.comments import comments, names

    refuse_inputs(path, inputs)
    matches = frame_filter(filter)
    belongs = Picker(timeline).belongs if only_probes else None
    with ExitStack() as stack:
        readers = open_inputs(inputs, stdin=stdin)
        for reader in readers:
            stack.callback(reader.close)
        copy = _Copy(readers, comments(timeline), len(readers) > 1)
        frames = merged(readers) if len(readers) > 1 else iter(readers[0])  # one keeps the order it has
        out = stack.enter_context(open_output(fspath(path)))
        try:
            copy.write(out, names(timeline), _picked(frames, matches, belongs))
        except OSError as error:
            out.raw.close()  # (what is in its buffer would fail once more)
            called = "standard output" if path == "-" else fspath(path)
            raise CaptureError(called, f"cannot be written: {(error.strerror or str(error)).lower()}") from None
    return Written(copy.frames, copy.commented)


def _picked(
    frames: Iterator[Frame], matches: Callable[[Frame], bool] | None, belongs: Callable[[Frame], bool] | None
) -> Iterator[Frame]:
    for frame in frames:
        if (matches is None or matches(frame)) and (belongs is None or belongs(frame)):
            yield frame


class _Copy:
    """Copies frames of several inputs into one pcapng."""

    def __init__(self, readers: Sequence[Input], ours: dict[tuple[int, int], list[str]], several: bool) -> None:
        self._readers, self._ours, self._several = readers, ours, several
        self._theirs: dict[tuple[int, int], list[str]] = {}
        self._secrets: list[bytes] = []
        self._interfaces: dict[tuple[int, int], int] = {}
        """(input, its interface) -> the interface of the copy."""
        self.frames = self.commented = 0
        for file, reader in enumerate(readers):
            reader.on_secret(self._secrets.append)
            reader.on_comment(self._listener(file))

    def _listener(self, file: int) -> Callable[[int, str], object]:
        return lambda number, text: self._theirs.setdefault((file, number), []).append(text)

    def write(self, out: BinaryIO, named: Mapping[str, Sequence[str]], frames: Iterator[Frame]) -> None:
        """Write names, then the frames with their comments, then what was lost."""
        from .capture.write import Counts, PcapngWriter

        writer = PcapngWriter(out)
        writer.names(named)
        counts: dict[tuple[int, int], list[int]] = {}
        for frame in frames:
            while self._secrets:  # before the frames that they open
                writer.secrets(self._secrets.pop(0))
            source, place = (frame.file, frame.interface), (frame.file, frame.number)
            if source not in self._interfaces:
                self._describe(writer, frame.file)
            count = counts.setdefault(source, [0, frame.ns, frame.ns])
            count[0], count[1], count[2] = count[0] + 1, min(count[1], frame.ns), max(count[2], frame.ns)
            mine = self._ours.get(place, [])
            self.commented += bool(mine)
            writer.frame(
                frame._replace(interface=self._interfaces.get(source, 0)), [*self._theirs.pop(place, []), *mine]
            )
        for file, reader in enumerate(self._readers):
            self._describe(writer, file)
            for interface in reader.info().interfaces:
                if interface.drops is not None:
                    number, first, last = counts.get((file, interface.index), (0, 0, 0))
                    lost = Counts(received=number + interface.drops, dropped=interface.drops)
                    writer.statistics(self._interfaces[file, interface.index], first, last, lost)
        writer.flush()
        self.frames = writer.frames

    def _describe(self, writer: PcapngWriter, file: int) -> None:
        """Describe the interfaces of an input that became known since the last time."""
        info = self._readers[file].info()
        for interface in info.interfaces:
            if (file, interface.index) not in self._interfaces:
                name = f"{info.path.rsplit('/', 1)[-1]} {interface.name}".rstrip() if self._several else interface.name
                made = writer.interface(name, interface.link_type, interface.snaplen, interface.links, interface.host)
                self._interfaces[file, interface.index] = made
