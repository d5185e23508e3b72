"""Files, FIFOs and standard input as streams; what is said where there is nothing to read."""

from __future__ import annotations

import io
import os
import random
import threading

import pytest

from probewatch.capture import CaptureError, Reader, merged, open_all
from probewatch.capture.source import CHUNK, Source, Window

pytestmark = pytest.mark.usefixtures("no_hang")


def opened(path, **kwargs) -> str:
    """Open what cannot be read; return the sentence."""
    with pytest.raises(CaptureError) as caught:
        Reader(str(path), 0, **kwargs)
    assert "\n" not in str(caught.value)
    assert caught.value.path == str(path)
    return str(caught.value)


def test_what_cannot_be_opened(tmp_path):
    """A missing file, a directory, links to nowhere, a path that is none: one sentence each."""
    assert opened(tmp_path / "no") == f"{tmp_path}/no does not exist"
    assert opened(tmp_path) == f"{tmp_path} is a directory: name the capture files in it"
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be opened: Too many levels of symbolic links" in opened(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "no")
    assert "does not exist" in opened(tmp_path / "dangling")
    assert "is not a path" in opened("a\0b")
    assert "cannot be opened: File name too long" in opened("x" * 5000)


def test_unreadable(tmp_path, monkeypatch):
    """A file that this user may not read is said to be one, with what to do."""
    path = tmp_path / "secret.pcap"
    path.write_bytes(b"x" * 30)
    path.chmod(0)
    if os.geteuid() == 0:  # root may read anything
        def deny(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", deny)
    assert opened(path) == f"{path} may not be read by this user: change its permissions or use sudo"


def test_path_cannot_steer_a_terminal(tmp_path):
    """Control characters in a path never reach the message."""
    with pytest.raises(CaptureError) as caught:
        Reader(str(tmp_path / "a\x1b[31m\nb\u202e.pcap"), 0)
    assert str(caught.value).isprintable()


def test_empty(tmp_path):
    """An empty file is said to be empty."""
    (tmp_path / "a.pcap").write_bytes(b"")
    assert opened(tmp_path / "a.pcap") == f"{tmp_path}/a.pcap is empty"


def test_standard_input_without_a_capture(monkeypatch):
    """Standard input that is empty, closed, or absent: one sentence."""
    assert opened("-", stdin=io.BytesIO()) == "standard input ended before anything came"
    closed = io.BytesIO()
    closed.close()
    assert opened("-", stdin=closed).startswith("standard input is closed: pipe a capture into it")
    monkeypatch.setattr("sys.stdin", None)
    assert opened("-").startswith("standard input is closed")


def test_terminal_is_not_waited_for():
    """Where standard input is a terminal nobody will type a capture: that is said at once."""
    leader, follower = os.openpty()
    with os.fdopen(follower, "rb", buffering=0) as stdin:
        assert opened("-", stdin=stdin).startswith("standard input is a terminal")
    os.close(leader)


def test_standard_input_stays_open(make):
    """What was handed to us is not closed by us; a file read for `-` gives what the path would."""
    stdin = io.BytesIO(make.pcap([(1, 2, b"abc")]))
    with Reader("-", 4, stdin=stdin) as reader:
        assert [(f.file, f.data) for f in reader] == [(4, b"abc")]
        assert reader.size is None
        assert reader.live
        assert reader.position == len(stdin.getvalue())
    assert not stdin.closed


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_stream_is_not_delayed(make, form):
    """Each frame comes out as soon as its last byte is there, read alone and merged, though the stream goes on."""
    head = make.pcap_header() if form == "pcap" else make.section() + make.interface()
    frame = make.record(1, 0, b"abcdef") if form == "pcap" else make.packet(1_000_000, b"abcdef")
    for timeline in (iter, lambda reader: merged([reader])):
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb", buffering=0) as stdin:
            os.write(write_end, head)
            frames = timeline(Reader("-", 0, stdin=stdin))
            for n in range(1, 4):
                os.write(write_end, frame[:9])
                os.write(write_end, frame[9:])
                assert next(frames).number == n
            os.write(write_end, frame[:20])
            os.close(write_end)
            assert list(frames) == []


def test_non_blocking_pipe_is_waited_for(make):
    """A pipe that somebody made non-blocking is read like any other."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    whole = make.pcap([(1, 0, b"abc"), (2, 0, b"def")])
    with os.fdopen(read_end, "rb", buffering=0) as stdin:
        os.write(write_end, whole[:30])
        writer = threading.Timer(0.05, lambda: (os.write(write_end, whole[30:]), os.close(write_end)))
        writer.start()
        assert len(list(Reader("-", 0, stdin=stdin))) == 2
        writer.join()


def test_fifo_whose_writer_goes_away(make, tmp_path):
    """A FIFO is read to the end of its writer; a frame cut off by that is told, what was whole stands."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    whole = make.pcap([(1, 0, b"abc"), (2, 0, b"def")])

    def write() -> None:
        path.write_bytes(whole[:-2])

    writer = threading.Thread(target=write)
    writer.start()
    with Reader(str(path), 0) as reader:
        assert [f.data for f in reader] == [b"abc"]
        assert reader.size is None
        assert reader.live
        assert not reader.info().complete
        assert "cut in frame 2 at byte 43" in reader.info().notes[0]
    writer.join()


class Failing(io.RawIOBase):
    """Gives bytes, then fails as a broken disk does."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, _: int = -1) -> bytes:
        """Give it all, then fail."""
        if not self._data:
            raise OSError(5, "Input/output error")
        data, self._data = self._data, b""
        return data


def test_failing_disk(make):
    """Where reading fails midway, what came before stands and the reason is told; at the start nothing can be read."""
    with Reader("-", 0, stdin=Failing(make.pcap([(1, 0, b"abc")]))) as reader:
        assert len(list(reader)) == 1
        assert reader.info().notes == ("reading failed: Input/output error: the frame before it was read",)
        assert not reader.info().complete
    assert opened("-", stdin=Failing(b"")) == "standard input cannot be read: reading failed: Input/output error"


def test_progress(make, tmp_path):
    """Progress counts the bytes on disk, of one input and of several together, up to their sizes."""
    sizes = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(make.pcap([(n, 0, bytes(1000)) for n in range(700)]))
        sizes.append((tmp_path / name).stat().st_size)
    seen: list[int] = []
    readers = open_all([str(tmp_path / "a"), str(tmp_path / "b")], progress=seen.append)
    assert len(list(merged(readers))) == 1400
    assert seen == sorted(seen)
    assert seen[-1] == sum(sizes)
    assert [r.size for r in readers] == sizes
    for reader in readers:
        reader.close()
    assert len(set(seen)) > 4


def test_open_all_closes_what_it_opened(make, tmp_path, monkeypatch):
    """Where one of several cannot be read none stays open; standard input can be named once."""
    (tmp_path / "a").write_bytes(make.pcap([]))
    closed = []
    close = Reader.close
    monkeypatch.setattr(Reader, "close", lambda self: (closed.append(self.path), close(self)))
    with pytest.raises(CaptureError, match="no does not exist"):
        open_all([str(tmp_path / "a"), str(tmp_path / "no")])
    assert closed == [str(tmp_path / "a")]
    with pytest.raises(CaptureError, match="more than once"):
        open_all(["-", "-"], stdin=io.BytesIO())


def test_close_ends_iteration(make, tmp_path):
    """After closing there are no more frames and no exception."""
    (tmp_path / "a").write_bytes(make.pcap([(1, 0, b"a"), (2, 0, b"b")]))
    reader = Reader(str(tmp_path / "a"), 0)
    assert next(iter(reader)).number == 1
    reader.close()
    assert list(reader) == []
    assert reader.info().frames == 1


def test_window_holds_no_more_than_it_needs(tmp_path):
    """However long the input, the window keeps one chunk and what is needed."""
    path = tmp_path / "big"
    path.write_bytes(bytes(range(256)) * 20_000)
    source = Source(str(path))
    window = Window(source)
    most = 0
    pos, seen = 0, 0
    while data := window.more(pos, 100):
        most = max(most, len(data))
        assert data[0] == window.base % 256
        pos = min(len(data), 1000)
        seen += pos
    source.close()
    assert seen == 5_120_000
    assert most <= CHUNK + 1000


def test_a_file_cut_while_it_is_read(tmp_path):
    """What was read of a file stays as it was, nothing comes twice, and its new end is its end."""
    path, whole = tmp_path / "cut", random.Random(3).randbytes(3 * CHUNK)
    path.write_bytes(whole)
    source = Source(str(path))
    window = Window(source)
    window.more(0, 100)
    data = window.more(CHUNK - 10, 100)
    assert data == whole[CHUNK - 10 : 2 * CHUNK]
    with path.open("r+b") as file:
        file.truncate(CHUNK)
    assert window.more(len(data) - 10, 100) == whole[2 * CHUNK - 10 : 2 * CHUNK]
    assert not window.trouble
    source.close()
