# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""What TLS shows: facts beside the verdict, with keys, without, and with the keys of others. Real OpenSSL, in captures/https-suites."""

from __future__ import annotations

import builtins
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import probewatch
from probewatch.model.exchange import Exchange, TlsAlert, TlsFacts
from probewatch.model.timeline import Attempt, Cause, Outcome, Probe, Timeline, TlsSummary
from probewatch.observer.tls import Sessions, expired

pytest.importorskip("cryptography", reason="decryption needs cryptography, which is not installed")

NAMES = ("web.shop.svc", "*.shop.svc")
DAY = 86_400 * 1_000_000_000
EXPIRED, GOOD = 1_780_272_000 * 1_000_000_000, 1_826_928_000 * 1_000_000_000
"""2026-06-01 and 2027-11-23."""
SEEN_OPEN = {
    "gcm12-expired": ("TLS 1.2", EXPIRED, "", Cause.OK, Outcome.SUCCESS),
    "chacha12": ("TLS 1.2", GOOD, "", Cause.OK, Outcome.SUCCESS),
    "mutual12": ("TLS 1.2", GOOD, "handshake_failure", Cause.TLS_ALERT, Outcome.FAILURE),
    "gcm13-expired": ("TLS 1.3", EXPIRED, "", Cause.OK, Outcome.SUCCESS),
    "chacha13": ("TLS 1.3", GOOD, "", Cause.STATUS, Outcome.FAILURE),
    "mutual13": ("TLS 1.3", GOOD, "certificate_required", Cause.TLS_ALERT, Outcome.FAILURE),
}
"""What each container's server was set up to do: version, end of its certificate, its alert, what becomes of a probe."""


def analysed(captures: Path, capture: Path | None = None, **how: Any) -> Timeline:
    """Return the timeline of the suites, IPv4 and IPv6."""
    suites = captures / "https-suites"
    return probewatch.analyze(capture or suites / "capture.pcap", spec=[suites / "pod-4.yaml", suites / "pod-6.yaml"], **how)


def by_container(timeline: Timeline) -> dict[str, Probe]:
    """Return the probes by container."""
    return {probe.target.container or "": probe for probe in timeline.probes}


def facts(attempt: Attempt) -> TlsSummary:
    """Return the TLS facts of an attempt of one connection."""
    (leg,) = attempt.legs
    assert leg.tls is not None
    return leg.tls


def test_with_keys(captures) -> None:
    """AES-GCM and ChaCha20-Poly1305, TLS 1.2 and 1.3: all is read, certificates and alerts too; an expired certificate fails nothing."""
    probes = by_container(analysed(captures, keylog=captures / "https-suites" / "keys.log"))
    assert probes.keys() == SEEN_OPEN.keys()
    for name, (version, end, alert, cause, outcome) in SEEN_OPEN.items():
        for attempt in probes[name].attempts:
            tls = facts(attempt)
            assert (tls.version, tls.not_after_ns, tls.alert, attempt.cause, attempt.outcome) == (version, end, alert, cause, outcome)
            assert (tls.names, tls.alpn, tls.alpn_offered, tls.offered, tls.sni) == (NAMES, "http/1.1", ("h2", "http/1.1"), "TLS 1.3", "")
            assert tls.decrypted
            assert tls.alert_by_checker is (False if alert else None)


def test_without_keys(captures) -> None:
    """TLS 1.2 shows its certificate and its handshake's alert, TLS 1.3 only its version; what is encrypted is inconclusive, never a guess."""
    for name, probe in by_container(analysed(captures)).items():
        version, end, alert, _, _ = SEEN_OPEN[name]
        clear = version == "TLS 1.2"
        for attempt in probe.attempts:
            tls = facts(attempt)
            assert (tls.version, tls.alpn_offered, tls.decrypted) == (version, ("h2", "http/1.1"), False)
            assert (tls.names, tls.not_after_ns, tls.alpn) == ((NAMES, end, "http/1.1") if clear else ((), None, ""))
            assert tls.alert == (alert if clear else "")
            refused = clear and alert
            assert (attempt.outcome, attempt.cause) == ((Outcome.FAILURE, Cause.TLS_ALERT) if refused else (Outcome.INCONCLUSIVE, Cause.ENCRYPTED))


def test_foreign_keys(captures) -> None:
    """The key log of another run changes nothing but for one plain note."""
    without, foreign = analysed(captures), analysed(captures, keylog=captures / "https-503" / "keys.log")
    assert foreign.notes == ("the key log fits none of the 19 TLS sessions: it belongs to others, and nothing was decrypted",)
    assert replace(foreign, notes=without.notes) == without


@pytest.mark.parametrize(("text", "notes"), [
    (b"", ("the key log holds no TLS secret that can be used: TLS stays encrypted",)),
    (b"kind: Pod\n", ("Lines of the key log that are not in NSS form: 1.", "the key log holds no TLS secret that can be used: TLS stays encrypted")),
])
def test_no_key_log_at_all(captures, tmp_path, text, notes) -> None:
    """An empty file, or one that is something else, is said to be so."""
    (tmp_path / "k").write_bytes(text)
    assert analysed(captures, keylog=tmp_path / "k").notes == notes


def test_some_keys(captures, tmp_path) -> None:
    """A log of some sessions opens those, and the note counts; wrong secrets of ours are told from foreign ones."""
    lines = (captures / "https-suites" / "keys.log").read_bytes().splitlines(keepends=True)
    of_12 = [line for line in lines if line.startswith(b"CLIENT_RANDOM")]
    (tmp_path / "k").write_bytes(b"".join(of_12))
    timeline = analysed(captures, keylog=tmp_path / "k")
    assert timeline.notes == (f"the key log fits {len(of_12)} of 19 TLS sessions; the others stay encrypted",)
    (tmp_path / "k").write_bytes(b"".join(line[:-9] + b"00000000\n" for line in lines))
    timeline = analysed(captures, keylog=tmp_path / "k")
    (note,) = timeline.notes
    assert note.startswith("19 TLS sessions stayed encrypted although the key log has a secret of theirs: it is wrong, or ")


def test_no_session_for_the_keys(captures) -> None:
    """Keys for a capture without TLS are of no use, and that is said."""
    timeline = probewatch.analyze(captures / "http-flap-s1" / "capture.pcap", keylog=captures / "https-503" / "keys.log")
    assert timeline.notes == ("the key log opens nothing: there is no TLS session in what was read",)


def block(kind: int, body: bytes) -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def as_pcapng(capture: Path, keys: bytes, before: int) -> bytes:
    """Return a little-endian pcap of microseconds as pcapng with a Decryption Secrets Block before frame number `before`."""
    data = capture.read_bytes()
    secrets = block(10, struct.pack("<II", 0x544C534B, len(keys)) + keys)
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    at, number = 24, 0
    while at < len(data):
        seconds, micros, length, original = struct.unpack_from("<IIII", data, at)
        number += 1
        out += secrets if number == before else b""
        time = seconds * 1_000_000 + micros
        out += block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, length, original) + data[at + 16 : at + 16 + length])
        at += 16 + length
    return out


@pytest.mark.parametrize("before", [1, 12])
def test_secrets_in_the_capture(captures, tmp_path, before) -> None:
    """A pcapng's own secrets open its sessions, also where they stand between its frames."""
    suites = captures / "https-suites"
    path = tmp_path / "a.pcapng"
    path.write_bytes(as_pcapng(suites / "capture.pcap", (suites / "keys.log").read_bytes(), before))
    given, carried = analysed(captures, keylog=suites / "keys.log"), analysed(captures, path)
    assert carried.probes == given.probes
    assert carried.notes == ()
    path.write_bytes(as_pcapng(suites / "capture.pcap", (captures / "https-503" / "keys.log").read_bytes(), before))
    assert analysed(captures, path).notes[0].startswith("the key log in the capture fits none of the 19 TLS sessions")


def test_without_cryptography(captures, monkeypatch) -> None:
    """A key log without the package that holds the ciphers: one plain sentence, and the rest as without keys."""
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    without = analysed(captures)
    monkeypatch.setattr(builtins, "__import__", missing)
    timeline = analysed(captures, keylog=captures / "https-suites" / "keys.log")
    assert timeline.notes == ("TLS stays encrypted: the package cryptography is not installed (it comes with probewatch[tls]).",)
    assert timeline.probes == without.probes


def test_expired_is_a_fact_and_no_failure(captures) -> None:
    """An expired certificate is noted with its name and age; of another checker than the kubelet nobody knows whether it minds."""
    probe = by_container(analysed(captures))["gcm12-expired"]
    (note,) = probe.notes
    assert note == ("the server's certificate of web.shop.svc expired on 2026-06-01, 175 days before attempt #1: "
                    "the kubelet verifies no certificate, so this fails no probe, but clients may refuse it")
    assert expired(probe.attempts, kubelet=False)[0].endswith("packets do not show whether this checker cares")
    attempt = probe.attempts[0]
    tls = facts(attempt)

    def noted(not_after_ns: int | None) -> list[str]:
        leg = replace(attempt.legs[0], tls=replace(tls, not_after_ns=not_after_ns, names=()))
        return expired([replace(attempt, legs=(leg,))], kubelet=True)

    assert noted(attempt.start.ns) == noted(None) == []
    assert "expired on 2026-11-23, less than a day before" in noted(attempt.start.ns - 1)[0]
    assert ", 1 day before" in noted(attempt.start.ns - DAY)[0]


def test_sessions_are_counted() -> None:
    """Only sessions that a server answered count, and one is not called several."""
    (captured,) = [Exchange(connection=None)]  # type: ignore[arg-type]
    met = Sessions()
    for tls in (None, TlsFacts(), TlsFacts(alerts=(TlsAlert(None, False, 2, 40),))):  # type: ignore[arg-type]
        met.note(replace(captured, tls=tls))
    assert met.seen == 0
    met.note(replace(captured, tls=TlsFacts(server_hello=object())))  # type: ignore[arg-type]
    assert met.said("the key log", 5) == ["the key log does not fit the one TLS session: it belongs to others, and nothing was decrypted"]
