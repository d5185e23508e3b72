"""Inputs that are no pcap and no pcapng: each named in one sentence, with what to do."""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import subprocess
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.capture import CaptureError
from probewatch.capture.formats import FOREIGN, refusal


@pytest.mark.parametrize(("magic", "what", "advice"), FOREIGN)
def test_foreign(refused, magic, what, advice):
    """A format known by its first bytes is named, with the way to convert it."""
    sentence = refused(magic + bytes(100))
    assert sentence == f"is {what}, which is not read: {advice}"


@pytest.mark.parametrize("name", ["snoop", "netmon1", "netmon2", "5views", "lanalyzer", "ngsniffer", "ngwsniffer_2_0", "btsnoop"])
def test_what_wireshark_writes(make, refused, tmp_path, name):
    """Files in other formats as Wireshark's own editcap writes them are named and refused."""
    editcap = shutil.which("editcap")
    if editcap is None:
        pytest.skip("editcap is not installed: it writes the files of this test")
    (tmp_path / "in").write_bytes(make.pcap([(1_700_000_000 + n, 0, bytes(60)) for n in range(3)]))
    out = tmp_path / "out"
    done = subprocess.run([editcap, "-F", name, tmp_path / "in", out], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this editcap does not write {name}")
    assert "convert it with `editcap -F pcapng IN OUT`" in refused(out.read_bytes())


def test_archives(make, refused):
    """A capture packed in tar or zip is not unpacked, and the archive is named."""
    raw = make.pcap([(1, 0, b"a")])
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        info = tarfile.TarInfo("a.pcap")
        info.size = len(raw)
        tar.addfile(info, io.BytesIO(raw))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.pcap", raw)
    assert "is a tar archive" in refused(tarred.getvalue())
    assert "is a tar archive" in refused(gzip.compress(tarred.getvalue()))
    assert "is a zip archive" in refused(zipped.getvalue())


@pytest.mark.parametrize("text", [b'{"a":1}', b"12:00:00.1 IP 10.0.0.1 > 10.0.0.2: Flags [S]\n" * 20, "käse\n".encode() * 200])
def test_text(refused, text):
    """Text is called text, with tcpdump's option that makes a capture of it."""
    assert refused(text) == "is not a capture but text: tcpdump writes a capture only with `-w`"


@pytest.mark.parametrize(("data", "words"), [
    (b"\xd4", "only 1 byte long"), (b"\xd4\xc3\xb2", "only 3 bytes long"), (b"\xd4\xc3\xb2\xa1", "cut in its file header"),
    (b"\x0a\x0d\x0d\x0a", "cut or corrupt in its first block"), (bytes(100), "nothing but zero bytes"),
    (b"\x12\x34\x56\x78" + bytes(96), "begins with 12345678"),
])  # fmt: skip
def test_nothing_known(refused, data, words):
    """What cannot be told is described by its length or its first bytes."""
    assert words in refused(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=600))
def test_any_bytes(read, data):
    """Any bytes end in a value or a CaptureError of one printable sentence."""
    try:
        said = read(data)[1].format
    except CaptureError as error:
        said = str(error)
    assert said
    assert said.isprintable()


def mangled(how: str) -> bytes:
    """Return a capture as it arrives after what befell it."""
    whole = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\x00\x00\x04\x00\x01\x00\x00\x00" + bytes(200)
    return {
        "banner": b"Starting pod/worker-1-debug ...\n" + whole,
        "powershell": whole.decode("latin-1").encode("utf-16"),
        "utf-8": whole.decode("latin-1").encode(),
        "base64": base64.encodebytes(whole),
        "crlf pcapng": b"\r\n\r\r\n" + bytes(100),
    }[how]


@pytest.mark.parametrize(("how", "said"), [
    ("banner", "32 bytes of text before the capture"), ("powershell", "UTF-16"), ("utf-8", "made UTF-8"), ("base64", "base64 -d"),
    ("crlf pcapng", "each LF made CR LF"),
])
def test_what_befell_a_capture_on_its_way_is_named(how: str, said: str) -> None:
    """Messages in front, PowerShell's `>`, text encodings, base64: one sentence says what happened and how to get the capture."""
    sentence = refusal(mangled(how))
    assert said in sentence
    assert "\n" not in sentence
