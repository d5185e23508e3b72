"""Command lines of OCI runtimes, and what /proc tells of containers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.capture.proc import cgroup_of, wait_status
from probewatch.capture.runtimes import is_runtime, told

ID = "c821af9ed74dfaae8e86eeb6c852cdf715eff12f1882863b58dc315ad86d8be3"
UID = "ad4aaaa5-c083-eb0e-1af8-01aed7fb8174"
SLICE = UID.replace("-", "_")


def nothing(_: str) -> bytes:
    """Read no file."""
    return b""


def test_containerd_exec() -> None:
    """Containerd's shim tells the command in a file: it is read, and its terminal counts."""
    line = (
        "runc --root /run/containerd/runc/k8s.io --log /run/l/log.json --log-format json --systemd-cgroup exec "
        f"--process /tmp/runc-process1 --detach --pid-file /run/p.pid {ID}"
    ).split()
    files = {"/tmp/runc-process1": json.dumps({"args": ["cat", "/ok"], "terminal": False}).encode()}
    asked = told(line, lambda path: files[path]).asked
    assert asked is not None
    assert (asked.container, asked.arguments, asked.terminal) == (ID, ("cat", "/ok"), False)
    files["/tmp/runc-process1"] = b'{"args": ["sh"], "terminal": true}'
    asked = told(line, lambda path: files[path]).asked
    assert asked is not None
    assert asked.terminal


@pytest.mark.parametrize(
    ("line", "arguments", "terminal"),
    [
        (["runc", "exec", "c1", "cat", "-t", "/ok"], ("cat", "-t", "/ok"), False),
        (["crun", "--cgroup-manager=systemd", "exec", "-t", "-u", "0", "c1", "sh"], ("sh",), True),
        (["runc", "--debug", "exec", "-e", "A=1", "--", "c1", "true"], ("true",), False),
        (["runc", "exec", "--process=gone", "c1"], (), False),
    ],
)
def test_command_on_the_line(line: list[str], arguments: tuple[str, ...], terminal: bool) -> None:
    """Options with and without a value are stepped over; what stands behind the container is the command."""
    asked = told(line, nothing).asked
    assert asked is not None
    assert (asked.container, asked.arguments, asked.terminal) == ("c1", arguments, terminal)


def test_other_subcommands() -> None:
    """A container that is made has its id; a stage on its way in has none."""
    made = told(["runc", "--root", "/r", "create", "--bundle", "/b", "--pid-file", "/p", "c1"], nothing)
    assert (made.subcommand, made.asked and made.asked.container) == ("create", "c1")
    assert told(["runc", "init"], nothing).subcommand == "init"
    assert told(["runc"], nothing).subcommand == ""


def test_who_is_a_runtime() -> None:
    """Runc runs a sealed copy of itself, so its own name counts as well as its program's."""
    assert is_runtime("/memfd:runc_cloned:/proc/self/exe (deleted)", ["runc", "init"])
    assert is_runtime("/usr/bin/crun", ["/usr/bin/crun", "exec"])
    assert not is_runtime("/usr/bin/cat", ["cat", "runc"])


@pytest.mark.parametrize(
    ("path", "container", "uid"),
    [
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope", ID, UID),
        (f"/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{ID}.scope/container", ID, UID),
        (f"/kubepods/besteffort/pod{UID}/{ID}", ID, UID),
        (f"/system.slice/docker-{ID}.scope", ID, ""),
        (f"/kubepods.slice/kubepods-pod{SLICE}.slice/crio-conmon-{ID}.scope", "", UID),
        ("/user.slice/user-0.slice/session-1.scope", "", ""),
    ],
)  # fmt: skip
def test_cgroups(path: str, container: str, uid: str) -> None:
    """Cgroup paths of both drivers and both versions tell container and Pod; a monitor's is on the node."""
    for text in (f"0::{path}\n", f"9:name=systemd:{path}\n3:cpuset:/\n0::/\n"):
        assert cgroup_of(text) == (path, container, uid)


def test_wait_status() -> None:
    """A wait status is an exit status or a signal."""
    assert wait_status(3 << 8) == (3, 0)
    assert wait_status(9) == (None, 9)


@given(st.lists(st.text(max_size=8), max_size=8), st.binary(max_size=40))
def test_any_command_line(line: list[str], file: bytes) -> None:
    """Whatever a process calls itself, it is read without an error."""
    said = told(["runc", *line], lambda _: file)
    assert said.asked is None or said.asked.container
