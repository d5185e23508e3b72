"""`probewatch pods` and `probewatch doctor` as people and programs meet them.

Covers `cli.pods`, `cli.doctor`, `cluster.checkup`, `report.node`.
"""

from __future__ import annotations

import json

import pytest

from probewatch.cluster import checkup
from probewatch.cluster.checkup import Check


def test_pods(run) -> None:
    """The table begins with the node's own name; JSON says the same under a schema of its own; root is not needed."""
    done = run("pods", "--no-crictl")
    assert done.status == 0
    assert done.out.startswith("node ")
    made = json.loads(run("pods", "--no-crictl", "-o", "json").out)
    assert made["schema"] == "probewatch.pods/1"
    assert any(link["name"] == "lo" for link in made["interfaces"])


def test_pods_of_no_namespace(run) -> None:
    """A namespace that does not exist is one sentence and status 2."""
    done = run("pods", "--netns", "pwX-none")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1


def test_doctor(run) -> None:
    """Every check is told, with what to do where it fails; the status follows from those that the main jobs need."""
    done = run("doctor", "-o", "json")
    made = json.loads(done.out)
    assert made["schema"] == "probewatch.doctor/1"
    assert done.status == (0 if made["able"] else 3)
    assert {"packets", "exec probes", "namespaces", "clock", "libraries"} <= {check["name"] for check in made["checks"]}
    assert all(check["works"] or check["remedy"] for check in made["checks"])


def test_doctor_counts_processes_that_cannot_be_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `pods` could not look into processes `doctor` does not say that all can be seen, but what would help."""
    monkeypatch.setattr(checkup, "is_hidden", lambda _: False)
    (check,) = [one for one in checkup.checkup() if one.name == "node's processes"]
    if not check.works:
        pytest.skip("this is a pid namespace of its own")
    assert check.found == "all can be seen"
    monkeypatch.setattr(checkup, "is_hidden", lambda _: True)
    (check,) = [one for one in checkup.checkup() if one.name == "node's processes"]
    assert not check.works
    assert check.found.endswith("cannot be looked into")
    assert "CAP_SYS_PTRACE" in check.remedy


@pytest.mark.parametrize(("held", "said"), [(1 << 19, "CAP_SYS_PTRACE is held: "), (0, "grant CAP_SYS_PTRACE")])
def test_doctor_asks_for_nothing_that_is_held(monkeypatch: pytest.MonkeyPatch, held: int, said: str) -> None:
    """What the effective capabilities already hold is not to be granted: something else forbids it."""
    monkeypatch.setattr(checkup.proc, "read", lambda *_: f"CapEff:\t{held:016x}\n".encode())
    monkeypatch.setattr(checkup, "is_hidden", lambda _: True)
    check = checkup._pids()
    if "pid namespace" in check.found:
        pytest.skip("this is a pid namespace of its own")
    assert said in check.remedy


def test_doctor_without_privilege(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where packets cannot be captured the status is 3 and the line says what to grant."""

    def refused() -> list[Check]:
        return [
            Check(name="packets", works=False, found="operation not permitted", needed_for="watch", remedy="grant CAP_NET_RAW", main=True)
        ]

    monkeypatch.setattr(checkup, "checkup", refused)
    done = run("doctor")
    assert done.status == 3
    assert "MISSING" in done.out
    assert "CAP_NET_RAW" in done.out
