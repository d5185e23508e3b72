"""Where segments died: only what a place could have shown, had it come that far, is missing there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from make import NODE, NODE6, POD, POD6, every, frames, ns, probes, spec

from probewatch.model.book import AddressBook
from probewatch.model.diagnoses import Kind
from probewatch.model.frame import CaptureInfo, Frame, Interface
from probewatch.model.spec import ContainerSpec, PodSpec
from probewatch.model.timeline import Probe
from probewatch.observer import Observer, Settings

BOTH = pytest.mark.parametrize("ends", [(NODE, POD), (NODE6, POD6)], ids=["IPv4", "IPv6"])
NOISE = b"\xff" * 12 + b"\x88\xcc" + bytes(46)
Ends = tuple[str, str]


def twice(made: Sequence[Frame], *, lost: tuple[float, float] = (0, 0)) -> list[Frame]:
    """Return frames as two interfaces show them, the node's first (0) and the pod's (1); between, what is sent in a time is lost."""
    out = []
    for one in made:
        near, far = (0, 1) if one.data[:6] == made[0].data[:6] else (1, 0)  # (the first frame is a SYN)
        out.append(one._replace(interface=near))
        if not ns(lost[0]) <= one.ns < ns(lost[1]):
            out.append(one._replace(interface=far, ns=one.ns + 9_000))
    return sorted(out, key=lambda one: one.ns)


def observed(files: Sequence[Sequence[Frame]], server: str) -> Probe:
    """Return the probe of frames of several files; each file's time ends with its last frame."""
    pod = PodSpec(source="web.yaml", name="web", addresses=(server,), containers=(ContainerSpec(name="app", probes=(spec(period_s=10),)),))
    observer = Observer(Settings(book=AddressBook(pods={server: (pod,)})))
    every_one = [one._replace(file=file, number=n) for file, made in enumerate(files) for n, one in enumerate(made, 1)]
    for one in sorted(every_one, key=lambda one: one.ns):
        observer.feed(one)
    infos = [
        CaptureInfo(
            path=f"{'abc'[file]}.pcap", format="pcap", frames=len(made), first_ns=made[0].ns, last_ns=made[-1].ns,
            interfaces=(Interface(index=0, name="", link_type=1, snaplen=0),),
        )
        for file, made in enumerate(files)
    ]  # fmt: skip
    (probe,) = observer.finish(infos).probes
    return probe


def missing(probe: Probe) -> list[tuple[int, str, tuple[str, ...]]]:
    """Return what was lost on the way: attempt, segment, places that never showed it."""
    return [(a.n, one.segment, one.missing) for a in probe.attempts for leg in a.legs for one in leg.died if one.missing]


def noise(*seconds: float) -> list[Frame]:
    """Return frames of something else."""
    return [Frame(ns(at), 0, 0, 0, 1, NOISE, 60) for at in seconds]


@BOTH
def test_a_file_that_ended_or_had_not_begun_misses_nothing(ends: Ends) -> None:
    """A SYN that left the node was lost before the pod where the pod's file goes on behind it, and had begun before; else nobody knows."""
    client, server = ends
    good = every(10, 3)
    made = frames(*probes(good, client=client, server=server), *probes([30, 40], "unanswered", client=client, server=server),
                  *probes(every(10, 3, 50), client=client, server=server))  # fmt: skip
    both = twice(made, lost=(29, 49))
    node = [*noise(-20), *[one._replace(interface=0) for one in both if one.interface == 0]]
    pod = [one._replace(interface=0) for one in both if one.interface == 1]
    assert missing(observed([node, pod], server)) == [(4, "SYN", ("b.pcap",)), (5, "SYN", ("b.pcap",))]
    kinds = {one.kind for one in observed([node, pod], server).diagnoses}
    assert kinds == {Kind.LOST_BEFORE_POD}
    stopped = [one for one in pod if one.ns < ns(29)]
    assert missing(observed([node, stopped], server)) == []
    assert {one.kind for one in observed([node, stopped], server).diagnoses} == {Kind.SYN_UNANSWERED}
    assert missing(observed([node, [*stopped, *noise(35)]], server)) == [(4, "SYN", ("b.pcap",))]
    late = [one for one in pod if one.ns > ns(49)]
    assert missing(observed([node, late], server)) == []
    assert missing(observed([node, [*noise(35), *late]], server)) == [(5, "SYN", ("b.pcap",))]


@BOTH
def test_files_of_one_capture_are_one_place(ends: Ends) -> None:
    """A capture of two interfaces, cut into two files anywhere, tells what the whole one tells: of a loss, of an answer, of silence.

    Where the first file ends with the very frame that was lost, nothing tells that it was captured on behind that.
    """
    client, server = ends
    made = frames(*probes(every(10, 3), client=client, server=server), *probes([30], "unanswered", client=client, server=server),
                  *probes([40], "503", client=client, server=server), *probes([50], "hung", client=client, server=server),
                  *probes(every(10, 2, 60), client=client, server=server))  # fmt: skip
    for lost in ((0, 0), (29, 31)):
        whole = [*noise(-20), *twice(made, lost=lost), *noise(80)]
        known = observed([whole], server)
        assert bool(missing(known)) == bool(lost[1])
        for cut in range(2, len(whole) - 1):
            if not ns(29) < whole[cut].ns < ns(53):
                continue
            probe = observed([whole[:cut], whole[cut:]], server)
            if ns(lost[0]) < whole[cut - 1].ns < ns(lost[1]):
                assert missing(probe) == []
                continue
            assert [(n, segment) for n, segment, _ in missing(probe)] == [(n, segment) for n, segment, _ in missing(known)], cut
            assert [(a.outcome, a.diagnosis and a.diagnosis.kind) for a in probe.attempts] == [
                (a.outcome, a.diagnosis and a.diagnosis.kind) for a in known.attempts
            ], cut


@BOTH
def test_what_was_acknowledged_was_not_lost(ends: Ends) -> None:
    """An answer that one place did not show, and that the checker acknowledged, was merely not captured there."""
    client, server = ends
    made = frames(*probes(every(10, 3), client=client, server=server), *probes([30], "503", client=client, server=server),
                  *probes([40], client=client, server=server))  # fmt: skip
    whole = [*noise(-20), *twice(made), *noise(60)]
    assert missing(observed([whole], server)) == []
    gone = [one for one in whole if not (one.interface == 0 and b"503" in one.data)]
    assert len(gone) == len(whole) - 1
    assert missing(observed([gone], server)) == []
