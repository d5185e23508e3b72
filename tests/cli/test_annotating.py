"""`analyze -w`: a copy of the captures that opens in Wireshark, with comments on the frames that mattered."""

from __future__ import annotations

import io
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import probewatch
from probewatch.annotating import annotate
from probewatch.capture import Reader
from probewatch.capture.write import Counts, PcapngWriter
from probewatch.model.frame import Frame

ASKED = (
    "frame.number",
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.encap_type",
    "tcp.seq_raw",
    "frame.interface_id",
)


def _fields(tshark: str, path: Path, *fields: str, wanted: str = "") -> list[list[str]]:
    command = [tshark, "-n", "-r", str(path), "-T", "fields", *(part for field in fields for part in ("-e", field))]
    done = subprocess.run([*command, *(["-Y", wanted] if wanted else [])], capture_output=True, check=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "name", ["http-flap-s1/capture.pcap", "tcp-ready/any.pcap", "http-ipv6/capture.pcap", "derived/snap20.pcap.gz"]
)
def test_a_copy_has_the_same_frames(captures: Path, tmp_path: Path, tshark: str, run, name: str) -> None:
    """Read by tshark, the copy has the same frames: numbers, times, lengths, link types, sequence numbers."""
    copy = tmp_path / "copy.pcapng"
    assert run("analyze", captures / name, "-w", copy).status == 0
    before, after = (_fields(tshark, path, *ASKED[:-1]) for path in (captures / name, copy))
    assert after == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_comments_say_what_was_decided(captures: Path, tmp_path: Path, tshark: str, run) -> None:
    """The frame that gave the verdict of a deciding attempt says so, in tshark's words too."""
    copy = tmp_path / "copy.pcapng"
    scenario = captures / "http-flap-s1"
    run("analyze", scenario / "capture.pcap", "--spec", scenario / "pod.yaml", "-w", copy)
    told = dict(_fields(tshark, copy, "frame.number", "frame.comment", wanted="frame.comment"))
    assert told["93"] == "readiness #8 begins: lab/http-flap-s1/app"
    assert told["98"] == "readiness #8: 503: failure 3/3 -> NotReady"


def test_verdicts_by_silence_stand_where_the_attempt_began(captures: Path, tmp_path: Path, tshark: str, run) -> None:
    """Where nothing gave the verdict, the first frame tells it, and the late answer says that it was too late."""
    copy = tmp_path / "copy.pcapng"
    run("analyze", captures / "http-timeout" / "capture.pcap", "-w", copy)
    told = dict(_fields(tshark, copy, "frame.number", "frame.comment", wanted="frame.comment"))
    assert told["73"].endswith("; no answer in time after 1.000 s: failure 1/3")
    assert told["87"] == "readiness #6: the answer, 2.501 s after it began: too late"


def test_names_resolve(captures: Path, tmp_path: Path, tshark: str, run) -> None:
    """In tshark a Pod's address, IPv4 and IPv6, is shown by the Pod's name, which the copy carries."""
    for name, field, wanted in (
        ("http-flap-s1", "ip.dst_host", "lab/http-flap-s1"),
        ("http-ipv6", "ipv6.dst_host", "lab/http-ipv6"),
    ):
        copy = tmp_path / f"{name}.pcapng"
        run("analyze", captures / name / "capture.pcap", "--spec", captures / name / "pod.yaml", "-w", copy)
        done = subprocess.run(
            [tshark, "-N", "n", "-r", str(copy), "-T", "fields", "-e", field],
            capture_output=True,
            check=True,
            text=True,
        )
        assert wanted in done.stdout.splitlines()


def test_only_probes(kubelet_scenario: Path, tmp_path: Path) -> None:
    """With only the probes' frames the same attempts are found, with the same causes, in fewer frames or as many.

    Only at the end a silence may be shorter than a timeout now, since what shows that the capture went on was left out.
    """
    capture = next(p for name in ("capture.pcap", "tun0.pcap") if (p := kubelet_scenario / name).is_file())
    specs = sorted(kubelet_scenario.glob("pod*.yaml"))
    whole = probewatch.analyze(capture, spec=specs)
    copy = tmp_path / "copy.pcapng"
    written = annotate(whole, capture, copy, only_probes=True)
    again = probewatch.analyze(copy, spec=specs)

    def legs(timeline: probewatch.Timeline) -> list[list[tuple[object, ...]]]:
        return sorted(
            [
                (a.start.ns, len(a.legs), a.cause, [leg.connection.history for leg in a.legs])
                for a in p.attempts
                if not a.implied
            ]
            for p in timeline.probes
        )

    assert written.frames <= sum(info.frames for info in whole.captures)
    assert {a[0] for p in legs(again) for a in p} == {a[0] for p in legs(whole) for a in p}
    if not any("gap" in note for p in whole.probes for note in p.notes):
        before, after = ({a[0]: a[1:] for p in legs(t) for a in p} for t in (whole, again))
        assert {at: one for at, one in after.items() if one[1] != "cut"} == {
            at: before[at] for at, one in after.items() if one[1] != "cut"
        }
        assert all(at == max(after) for at, one in after.items() if one[1] == "cut" != before[at][1])


def test_several_inputs_and_link_types_become_one(captures: Path, tmp_path: Path, tshark: str, run) -> None:
    """Cooked frames and Ethernet are written side by side, each frame on an interface of its own link type, named by its file."""
    inputs = [captures / name for name in ("tcp-ready/tun0.pcap", "enc-vlan/trunk.pcap.gz", "tcp-ready/any.pcap")]
    copy = tmp_path / "copy.pcapng"
    assert run("analyze", *inputs, "-w", copy).status == 0
    with Reader(str(copy), 0) as reader:
        frames = list(reader)
        info = reader.info()
    assert {(i.name, i.link_type) for i in info.interfaces} == {
        ("tun0.pcap", 1),
        ("trunk.pcap.gz", 1),
        ("any.pcap", 276),
    }
    assert len(frames) == sum(one.frames for one in probewatch.analyze(inputs).captures)
    assert all(frame.link_type == info.interfaces[frame.interface].link_type for frame in frames)
    assert [frame.ns for frame in frames] == sorted(frame.ns for frame in frames)
    assert len({row[0] for row in _fields(tshark, copy, "frame.interface_name")}) == 3


def _capture(path: Path, *, lost: int, comment: str, secret: bytes, hidden: bytes) -> Path:
    """Write a small pcapng: a comment, losses, secrets, one interface that no frame is of."""
    with path.open("wb") as out:
        writer = PcapngWriter(out)
        writer.interface("veth3", 1, 96)
        writer.interface("unused", 101, 0)
        writer.secrets(secret)
        writer.frame(Frame(1_795_378_200_000_000_001, 0, 1, 0, 1, hidden, 1500), [comment])
        writer.statistics(0, 1, 2, Counts(received=8, dropped=lost))
    return path


def test_what_was_there_is_kept(tmp_path: Path) -> None:
    """Comments (long ones whole), TLS secrets, losses, interfaces without frames, nanoseconds and original lengths stay."""
    long = "its own comment\n" + "é" * 2000
    source = _capture(tmp_path / "a.pcapng", lost=7, comment=long, secret=b"# key log\n", hidden=bytes(60))
    copy = tmp_path / "copy.pcapng"
    annotate(probewatch.analyze(source), source, copy)
    told: list[tuple[int, str]] = []
    secrets: list[bytes] = []
    with Reader(str(copy), 0) as reader:
        reader.on_comment(lambda number, text: told.append((number, text)))
        reader.on_secret(secrets.append)
        (frame,) = reader
        info = reader.info()
    assert told == [(1, long)]
    assert secrets == [b"# key log\n"]
    assert (frame.ns, frame.original_length) == (1_795_378_200_000_000_001, 1500)
    assert [(i.name, i.link_type, i.snaplen, i.drops) for i in info.interfaces] == [
        ("veth3", 1, 96, 7),
        ("unused", 101, 0, None),
    ]


def test_an_input_is_never_overwritten(captures: Path, tmp_path: Path, run) -> None:
    """Writing to an input is refused before anything is read, under whatever name it goes."""
    mine = tmp_path / "mine.pcap"
    data = (captures / "tcp-ready" / "capture.pcap").read_bytes()
    mine.write_bytes(data)
    (tmp_path / "other-name.pcap").hardlink_to(mine)
    for path in (mine, tmp_path / "other-name.pcap", tmp_path / "." / "mine.pcap"):
        said = run("analyze", mine, "-w", path)
        assert (said.status, said.out) == (2, "")
        assert "is a capture that is to be read" in said.err
    assert mine.read_bytes() == data


def test_links_are_not_followed(captures: Path, tmp_path: Path, run) -> None:
    """A link that somebody laid where the copy is to go does not choose what is overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link.pcapng").symlink_to(victim)
    said = run("analyze", captures / "tcp-ready" / "capture.pcap", "-w", tmp_path / "link.pcapng")
    assert said.status == 2
    assert "symbolic link" in said.err
    assert victim.read_text() == "precious"


def test_standard_output_takes_the_copy(captures: Path, tmp_path: Path) -> None:
    """`-w -` writes the copy, and nothing else, to standard output; `-` as input is read twice."""
    command = [sys.executable, "-m", "probewatch.cli", "analyze", "-", "-w", "-", "--only-probes"]
    with (captures / "tcp-ready" / "capture.pcap").open("rb") as file, (tmp_path / "copy.pcapng").open("wb") as copy:
        done = subprocess.run(command, stdin=file, stdout=copy, stderr=subprocess.PIPE, check=True)
    assert b"with a comment" in done.stderr
    assert probewatch.analyze(tmp_path / "copy.pcapng").probes[0].attempts


def test_only_probes_needs_a_file(captures: Path, run) -> None:
    """`--only-probes` without `-w` is refused in one sentence."""
    said = run("analyze", captures / "tcp-ready" / "capture.pcap", "--only-probes")
    assert said.status == 2
    assert "give -w FILE" in said.err


def test_names_and_comments_of_hostile_bytes() -> None:
    """Names that are no addresses, or hold zero bytes, and comments of any length leave a file that is read to its end."""
    out = io.BytesIO()
    writer = PcapngWriter(out)
    writer.names({"10.0.0.1": ["a\0b", "ü" * 40_000], "no address": ["x"], "fd00::1": ["six"], "10.0.0.2": []})
    writer.interface("", 1, 0)
    writer.frame(Frame(1, 0, 1, 0, 1, b"abc", 3), ["x" * 70_000, "\ud800"])
    file = io.BytesIO(out.getvalue())
    reader = Reader("-", 0, stdin=file)
    (frame,) = reader
    assert (frame.data, reader.info().complete) == (b"abc", True)
    assert struct.unpack_from("<I", out.getvalue(), 0)[0] == 0x0A0D0D0A


@pytest.mark.parametrize("name", ["http-arp-dead", "exec-runc", "http-timeout"])
def test_every_attempt_is_named(captures: Path, tmp_path: Path, run, name: str) -> None:
    """Each attempt is named on a frame or on a process event, also one that sent no frame of its own; the copy tells the same story."""
    scenario, copy = captures / name, tmp_path / "copy.pcapng"
    (source,) = [path for path in scenario.glob("capture.pcap*") if path.suffix in (".pcap", ".pcapng")]
    spec = ("--spec", scenario / "pod.yaml")
    assert run("analyze", source, *spec, "-w", copy).status == 0
    data = copy.read_bytes().decode("latin-1")
    whole = probewatch.analyze(source, spec=scenario / "pod.yaml")
    for probe in whole.probes:
        for attempt in probe.attempts:
            word = "sends no frame of its own" if attempt.implied else "begins"
            assert f"{probe.type.value} #{attempt.n} {word}" in data, (probe.id, attempt.n)
    again = probewatch.analyze(copy, spec=scenario / "pod.yaml")
    read, written = ([[(a.cause, a.end_ns) for a in p.attempts] for p in one.probes] for one in (whole, again))
    assert written == read
