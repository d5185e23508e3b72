"""One input: opened, recognised, read frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from probewatch.capture.errors import CaptureError
from probewatch.capture.formats import open_format
from probewatch.capture.source import Source, Window
from probewatch.capture.tally import Order, Tallied, Tally
from probewatch.model.frame import Batch, CaptureInfo, Frame, Interface, Loss, Part

if TYPE_CHECKING:
    from probewatch.capture.hosts import Stamp


class Input(Protocol):
    """What has frames: a `Reader`, or packets that a program holds already (`packets.PacketReader`)."""

    @property
    def shift_ns(self) -> int:
        """What its times are moved by, so that its clock agrees with another input's."""

    @property
    def pieces(self) -> Sequence[tuple[int, int]]:
        """Its pieces in the order of time, by their first and last frames, where it has them in another; else none."""

    @property
    def stamp(self) -> Callable[[Frame], Stamp | None] | None:
        """What reads from a frame what it tells of its sender's clock; None where nobody reads it."""

    @property
    def set_at(self) -> Sequence[tuple[int, int]]:
        """Frames before which its clock was set, by number, in their order, and by how much (ns), as far as its ticks show it."""

    @property
    def live(self) -> bool:
        """Whether frames must be handed on as they come."""

    @property
    def size(self) -> int | None:
        """Bytes to read; None where that is not known."""

    def on_secret(self, take: Callable[[bytes], object]) -> None:
        """Call `take` with each TLS key log (NSS format) that it carries, as it is read."""

    def on_comment(self, take: Callable[[int, str], object]) -> None:
        """Call `take` with (frame number, text) of every frame's comment, before that frame."""

    def on_loss(self, take: Callable[[Loss], object]) -> None:
        """Call `take` with each loss whose time it tells, as it is read."""

    def on_interface(self, take: Callable[[Interface], object]) -> None:
        """Call `take` with each interface, before its frames; with those that are known already at once."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""

    def parts(self) -> Iterator[Part]:
        """Yield the same frames, in batches where they come in such."""

    def info(self) -> CaptureInfo:
        """Return what is known of it now."""

    def note(self, sentence: str) -> None:
        """Add a note to `info()`."""

    def lose(self, loss: Loss) -> None:
        """Tell of a loss that shows in its frames, in the time that these are told by."""

    def was_set(self, by_ns: int) -> None:
        """Know that its clock was set forward by so much where reading stands, and that frames are told without that."""

    def told(self, first_ns: int, last_ns: int) -> None:
        """Know between which moments its frames are told, where that is not what stands in it."""

    def order(self, *, late: bool) -> Order:
        """Return how far its frames stand in the order of time; before the last one that did not, where that is `late`."""

    def stray(self, number: int, off_ns: int, order: Order, latest_ns: int) -> None:
        """Know that the time of a frame is wrong, and that since `order` none that was read, up to `latest_ns`, is late for it."""

    def close(self) -> None:
        """Close it."""


class Reader(Tallied):
    """Frames of one input, in the order they stand in it.

    Where the input is cut or corrupt, iteration ends after the last whole frame; `info()` says so and why.
    """

    def __init__(
        self,
        path: str,
        file: int,
        *,
        stdin: BinaryIO | None = None,
        progress: Callable[[int], None] | None = None,
        following: Callable[[], bool] | None = None,
    ) -> None:
        """Open `path` (`-` is standard input) as input number `file` and read its header.

        Args:
            path: a file, FIFO or device, pcap or pcapng, plain or compressed with gzip, bzip2, xz or zstd.
            file: `Frame.file` of all its frames.
            stdin: what to read for `-`; sys.stdin if None.
            progress: called with `position` whenever bytes were read.
            following: see `Source`.

        Raises:
            CaptureError: nothing at all can be read of it.
        """
        self.path = path
        self.file = file
        self.pieces: Sequence[tuple[int, int]] = ()
        """See `Input.pieces`; set it before the first frame."""
        self.stamp: Callable[[Frame], Stamp | None] | None = None
        """See `Input.stamp`; set it before the first frame."""
        self.set_at: Sequence[tuple[int, int]] = ()
        """See `Input.set_at`; set it before the first frame."""
        self._source = Source(path, stdin=stdin, progress=progress, following=following)
        tally = self._tally = Tally(path)
        self._source.frames = lambda: tally.frames
        try:
            head = self._source.head()
            self._window = Window(self._source)
            self._format = open_format(self._window, self._tally, file, head)
        except BaseException:
            self._source.close()
            raise
        if self._source.compression:
            self._tally.format += f"+{self._source.compression}"
        self._parts: Iterator[Part] = iter(self._format)
        self._frames = flat(self._parts)

    def __iter__(self) -> Iterator[Frame]:
        """Go on where reading stands: an input can be read once."""
        return self._frames

    def parts(self) -> Iterator[Part]:
        """Go on where reading stands, in batches where it is large."""
        self._format.wholesale.wanted = True
        return self._parts

    @property
    def shift_ns(self) -> int:
        """What its times are moved by, so that its clock agrees with another input's; set it before the first frame."""
        return self._tally.shift_ns

    @shift_ns.setter
    def shift_ns(self, by: int) -> None:
        self._tally.shift_ns = by

    @property
    def live(self) -> bool:
        """Whether it is a stream (standard input, FIFO, device), whose frames must be handed on as they come."""
        return self._source.live

    @property
    def size(self) -> int | None:
        """Bytes of the file as it lies on disk, compressed if it is; None for a stream."""
        return self._source.size

    @property
    def position(self) -> int:
        """Bytes of it read so far, counted as `size` is."""
        return self._source.position

    @property
    def at_end(self) -> bool:
        """Whether a file that is followed was read as far as it goes, and waits until it grows."""
        return self._source.at_end

    @property
    def gone(self) -> str:
        """What became of the name of a file that is followed, where it is not that file's any more; else empty."""
        return self._source.gone

    @property
    def grows(self) -> bool:
        """Whether more comes than was there when it was opened: a stream, or a file that has grown since."""
        return self._source.size is None or self._source.position > self._source.size

    @property
    def began_ns(self) -> int | None:
        """When capturing began, where that was told before the first frame."""
        return self._tally.began_ns

    @property
    def ended_ns(self) -> int | None:
        """When capturing ended, where that was told and all frames until then were read."""
        return self._tally.ended_ns

    @property
    def secrets(self) -> list[bytes]:
        """TLS key logs (NSS format) that the input carries, those read so far."""
        return self._tally.secrets

    def on_secret(self, take: Callable[[bytes], object]) -> None:
        """Call `take` with every key log that is read from now on, before the frames that follow it."""
        self._tally.on_secret = take

    def on_comment(self, take: Callable[[int, str], object]) -> None:
        """Call `take` with (frame number, text) of every frame's comment that is read from now on, before that frame."""
        self._tally.on_comment = take

    def on_interface(self, take: Callable[[Interface], object]) -> None:
        """Call `take` with each interface, those that are known already at once."""
        for interface in self._tally.interfaces:
            take(interface)
        self._tally.on_interface = take

    @property
    def comments(self) -> list[tuple[int, str]]:
        """Comments of frames read so far: (frame number, text)."""
        return self._tally.comments

    def close(self) -> None:
        """Close the input; iteration ends."""
        for iterator in (self._frames, self._parts):
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def flat(parts: Iterable[Part]) -> Iterator[Frame]:
    """Yield the frames one by one."""
    for part in parts:
        if isinstance(part, Batch):
            yield from part
        else:
            yield part


def open_all(
    paths: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Reader]:
    """Open several inputs; `Frame.file` is the place in `paths`.

    Args:
        paths: as for `Reader`; `-` at most once.
        stdin: what to read for `-`; sys.stdin if None.
        progress: called with the bytes read of all inputs together.

    Raises:
        CaptureError: one of them cannot be read at all; none stays open.
    """
    if list(paths).count("-") > 1:
        raise CaptureError("-", "is named more than once: it can be read only once")
    readers: list[Reader] = []
    total = _Total(progress) if progress is not None else None
    try:
        for file, path in enumerate(paths):
            readers.append(Reader(path, file, stdin=stdin, progress=total.of(file) if total is not None else None))
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    return readers


class _Total:
    """Adds up the progress of several inputs."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._each: dict[int, int] = {}
        self._sum = 0

    def of(self, file: int) -> Callable[[int], None]:
        def progress(position: int) -> None:
            self._sum += position - self._each.get(file, 0)
            self._each[file] = position
            self._report(self._sum)

        return progress
