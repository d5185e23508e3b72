"""Which inputs are files of one capture."""

from __future__ import annotations

from probewatch.model.frame import CaptureInfo, Interface
from probewatch.model.rotated import rotated_sets
from probewatch.model.units import SECOND as S


def file(path: str, first_s: float | None, last_s: float | None, *names: str, format: str = "pcap") -> CaptureInfo:  # noqa: A002
    """Return what is to say of a file with interfaces of these names."""
    links = tuple(Interface(index=at, name=name, link_type=1, snaplen=0) for at, name in enumerate(names or ("",)))
    first, last = (None if s is None else int(s * S) for s in (first_s, last_s))
    return CaptureInfo(path=path, format=format, interfaces=links, first_ns=first, last_ns=last)


def test_files_in_turn_are_one_capture() -> None:
    """In any order, compressed or not, empty ones among them, at a seam as much out of order as queues make it."""
    a, b, c = file("a.pcap", 0, 10), file("b.pcap.gz", 10.0, 20, format="pcap+gzip"), file("c.pcap", 19.99, 30)
    assert rotated_sets([a, b, c]) == (0, 0, 0)
    assert rotated_sets([c, a, b]) == (1, 1, 1)
    assert rotated_sets([file("none.pcap", None, None), b, c])[1:] == (1, 1)
    assert rotated_sets([]) == ()


def test_what_covers_one_moment_or_differs_stands_alone() -> None:
    """Files that overlap were captured at two places, and so were those with other interfaces or in another form."""
    assert rotated_sets([file("a.pcap", 0, 10), file("b.pcap", 9, 20)]) == (0, 1)
    assert rotated_sets([file("a", 0, 10, "eth0"), file("b", 11, 20, "veth1")]) == (0, 1)
    assert rotated_sets([file("a", 0, 10), file("b", 11, 20, format="pcapng")]) == (0, 1)


def test_several_sets_are_told_apart_by_their_names() -> None:
    """Where files cover one moment, those whose names differ in digits only are one set, and others stand alone."""
    node = [file("out/node.pcap", 0, 10), file("out/node.pcap1", 10, 20), file("out/node.pcap2", 21, 30)]
    pod = [file("out/pod_00001_2026.pcap", 0, 15), file("out/pod_00002_2027.pcap", 15, 30)]
    assert rotated_sets([*node, *pod]) == (0, 0, 0, 3, 3)
    assert rotated_sets([*node, file("out/other.pcap", 0, 5), file("out/more.pcap", 6, 30)]) == (0, 0, 0, 3, 4)
