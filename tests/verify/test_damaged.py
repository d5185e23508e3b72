"""True manifests against captures that lost something: what is missing contradicts nothing, what is left is held against the spec.

Covers `verify` and `observer`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import pytest

import probewatch
from probewatch.api import open_inputs
from probewatch.capture import merged
from probewatch.model.finding import Finding, Held
from probewatch.model.frame import Frame

OWN = Path(__file__).parents[2] / "captures"


def frames_of(scenario: str) -> list[Frame]:
    """Return a capture's frames."""
    (reader,) = open_inputs([str(OWN / scenario / "capture.pcap")])
    try:
        return list(merged([reader]))
    finally:
        reader.close()


def written(frames: Iterable[Frame], path: Path) -> Path:
    """Write Ethernet frames as a capture."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1))
        for one in frames:
            assert one.link_type == 1
            file.write(struct.pack("<IIII", *divmod(one.ns, 10**9), len(one.data), one.original_length) + one.data)
    return path


def found(scenario: str, frames: Iterable[Frame], where: Path, spec: Path | None = None) -> tuple[Finding, ...]:
    """Verify frames against the scenario's manifest, or another."""
    return probewatch.verify(written(frames, where / "damaged.pcap"), spec=spec or OWN / scenario / "pod.yaml").findings


def failed(findings: Iterable[Finding]) -> list[str]:
    """Return what failed, in words."""
    return [f"{one.field}: {one.sentence}" for one in findings if one.held is Held.FAIL]


def test_a_path_that_was_cut_agrees_or_not(tmp_path) -> None:
    """A snapshot length that cuts the URL proves no other path; what it kept is shown as cut, and denies another beginning."""
    short = [one._replace(data=one.data[:96]) for one in frames_of("http-timeout")]
    findings = found("http-timeout", short, tmp_path)
    assert failed(findings) == []
    (path,) = (one for one in findings if one.field == "path")
    assert path.held is Held.INCONCLUSIVE
    assert path.observed == "/slow?delay=2.5&from=5&to=..."
    (probe,) = probewatch.analyze(tmp_path / "damaged.pcap", spec=OWN / "http-timeout/pod.yaml").probes
    assert (probe.path, probe.path_cut) == ("/slow?delay=2.5&from=5&to=", True)


@pytest.mark.parametrize("lost", [80, 125])
def test_a_close_that_was_lost_takes_no_answer(lost, tmp_path) -> None:
    """Of one timeout the FIN is missing: that answer comes after 2.5 s, and its RST says that nobody waited for it any more."""
    findings = found("http-timeout", [one for one in frames_of("http-timeout") if one.number != lost], tmp_path)
    assert failed(findings) == []
    (timeout,) = (one for one in findings if one.field == "timeoutSeconds")
    assert (timeout.held, timeout.observed) == (Held.PASS, "1 s")


def without(scenario: str, share: float, seconds: float) -> list[Frame]:
    """Return a scenario's frames but for so many seconds, from a share of its time on."""
    whole = frames_of(scenario)
    begin = whole[0].ns + int(share * (whole[-1].ns - whole[0].ns))
    return [one for one in whole if not begin <= one.ns < begin + seconds * 10**9]


@pytest.mark.parametrize(
    ("scenario", "share", "seconds"),
    [
        ("http-blackhole", 0.25, 12),
        ("http-blackhole", 0.3, 12),
        ("http-blackhole", 0.4, 6),
        ("http-blackhole", 0.5, 6),
        ("tcp-flap", 0.5, 6),
        ("http-icmp-reject", 0.3, 6),
        ("http-icmp-reject", 0.4, 6),
    ],
)
def test_what_a_hole_hides_contradicts_no_number(scenario, share, seconds, tmp_path) -> None:
    """Where nothing was captured for a while failures, the first SYNs of dials, and what followed a decision may be missing."""
    findings = found(scenario, without(scenario, share, seconds), tmp_path)
    assert failed(findings) == []
    assert any(one.held is Held.PASS for one in findings)


@pytest.mark.parametrize("wrong", [2, 4])
def test_a_hole_excuses_nothing_that_shows_elsewhere(wrong, tmp_path) -> None:
    """A threshold that the rest of the capture contradicts fails all the same."""
    spec = tmp_path / "pod.yaml"
    text = (OWN / "http-flap-s1/pod.yaml").read_text()
    assert "failureThreshold: 3" in text
    spec.write_text(text.replace("failureThreshold: 3", f"failureThreshold: {wrong}"))
    findings = found("http-flap-s1", without("http-flap-s1", 0.4, 6), tmp_path, spec)
    assert [one.field for one in findings if one.held is Held.FAIL] == ["failureThreshold"]


def of_client(frame: Frame, server: bytes) -> bool:
    """Tell whether an IPv4 frame goes to a server."""
    return frame.data[12:14] == b"\x08\x00" and frame.data[30:34] == server


def test_a_hop_is_no_probe_of_its_own(tmp_path) -> None:
    """Where the answer that redirects was not captured, its hop is no probe that nobody declared."""
    whole = frames_of("http-redirect-same")
    asking = [one for one in whole if of_client(one, bytes((10, 128, 0, 10)))]
    findings = found("http-redirect-same", asking, tmp_path)
    assert failed(findings) == []
    assert {one.field for one in findings if one.held is Held.PASS} >= {"port", "path", "periodSeconds"}
    (probe,) = probewatch.analyze(tmp_path / "damaged.pcap").probes
    assert {len(attempt.legs) for attempt in probe.attempts} == {2}
