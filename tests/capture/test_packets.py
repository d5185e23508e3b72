"""scapy packets instead of a path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import probewatch
from probewatch import CaptureError, InputError

ROOT = Path(__file__).parents[2]
OWN = ROOT / "captures"


@pytest.fixture(scope="module")
def scapy() -> Any:
    """Return scapy with all its layers."""
    return pytest.importorskip("scapy.all")


@pytest.mark.parametrize("name", ["tcp-ready", "http-ipv6", "http-arp-dead"])
def test_packets_tell_the_story_of_their_file(name: str, scapy: Any) -> None:
    """What rdpcap returns, as it is or as a plain list, has the probes of the file, at the same frames and times."""
    path, pod = OWN / name / "capture.pcap", OWN / name / "pod.yaml"
    packets = scapy.rdpcap(str(path))
    wanted = probewatch.analyze(path, spec=pod)
    assert wanted.probes
    for given in (packets, list(packets), iter(packets)):
        timeline = probewatch.analyze(given, spec=pod)
        assert timeline.probes == wanted.probes
        info = timeline.captures[0]
        assert (info.path, info.format, info.frames, info.complete) == ("scapy packets", "scapy", len(packets), True)


def test_packets_made_by_hand(scapy: Any) -> None:
    """Packets that begin with IP or IPv6 are read as well, and their times may be floats."""
    for ip in (scapy.IP(src="10.0.0.1", dst="10.0.0.2"), scapy.IPv6(src="fd00::1", dst="fd00::2")):
        syn, refused = ip / scapy.TCP(sport=40000, dport=80, flags="S"), ip.copy()
        refused.src, refused.dst = ip.dst, ip.src
        refused /= scapy.TCP(sport=80, dport=40000, flags="RA", ack=1)
        syn.time, refused.time = 1700000000.0, 1700000000.25
        timeline = probewatch.analyze([syn, refused])
        assert [other.address for other in timeline.others] == [ip.src]
        assert timeline.captures[0].first_ns == 1_700_000_000_000_000_000
        assert timeline.captures[0].last_ns == 1_700_000_000_250_000_000


def test_no_packets_are_an_empty_timeline(scapy: Any) -> None:
    """What `sniff` returns when nothing passed is no error."""
    assert probewatch.analyze(scapy.PacketList()).captures[0].frames == 0


def test_what_is_no_packet_is_one_sentence(scapy: Any) -> None:
    """Another object, a layer that no link type stands for, a mixture: what, which, and what to do."""
    said = "scapy packets cannot be read: number 2 is not a scapy packet but a dict"
    with pytest.raises(CaptureError, match=f"^{said}$"):
        probewatch.analyze([scapy.Ether() / scapy.IP(), {}])  # type: ignore[list-item]
    with pytest.raises(
        CaptureError, match=r"number 1 begins with TCP, which is not a link layer: give packets that begin with Ether"
    ):
        probewatch.analyze([scapy.TCP()])
    with pytest.raises(InputError, match="as paths and as packets at once"):
        probewatch.analyze(["a.pcap", scapy.Ether()])


def test_paths_need_no_scapy() -> None:
    """Analysing files does not import scapy."""
    code = (
        "import sys, probewatch; probewatch.analyze('captures/tcp-ready/capture.pcap'); "
        "print('scapy' in sys.modules, 'cypcap' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
