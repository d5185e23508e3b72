"""Names of link types; the length of a frame check sequence."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from probewatch.capture.linktypes import NAMES, fcs_octets, link_type_name, split_field


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "NULL"), (1, "EN10MB"), (12, "RAW"), (101, "RAW"), (108, "LOOP"), (113, "LINUX_SLL"), (147, "USER0"),
     (162, "USER15"), (228, "IPV4"), (229, "IPV6"), (239, "NFLOG"), (276, "LINUX_SLL2"), (65_000, "LINKTYPE_65000")],
)  # fmt: skip
def test_names(number, name):
    """Link types have libpcap's names without prefix; a number without a name is still told."""
    assert link_type_name(number) == name


@pytest.mark.oracle
def test_names_are_libpcaps(make):
    """The names are those tcpdump prints, wherever it knows one."""
    tcpdump = shutil.which("tcpdump")
    if tcpdump is None:
        pytest.skip("tcpdump is not installed: it is what this test compares with")
    for number in (0, 1, 9, 101, 108, 113, 127, 192, 228, 229, 239, 253, 276):
        done = subprocess.run([tcpdump, "-r", "-"], input=make.pcap_header(link=number), capture_output=True, check=False)
        told = re.search(rb"link-type (\w+)", done.stderr)
        assert told is not None
        assert told[1].decode() == NAMES[number]


@pytest.mark.parametrize(
    ("field", "expected"),
    [(1, (1, 0)), (0x24000001, (1, 4)), (0x44000001, (1, 4)), (0x14000009, (9, 2)), (0xF4000001, (1, 4)), (0x20000001, (1, 0))],
)
def test_field_of_pcap(field, expected):
    """The FCS length counts 16-bit words, is never above four octets, and counts only where its bit is set."""
    assert split_field(field) == expected


@pytest.mark.parametrize(("bits", "octets"), [(0, 0), (2, 2), (4, 4), (8, 1), (16, 2), (32, 4), (33, 0), (64, 0), (255, 0)])
def test_if_fcslen(bits, octets):
    """if_fcslen counts bits; what can only be octets is taken as octets; nonsense is none."""
    assert fcs_octets(bits) == octets
