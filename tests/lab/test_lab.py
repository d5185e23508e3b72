"""The laboratory: what it shows is what its prober did, and it leaves nothing behind.

Covers `lab`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from labruns import PATIENCE_S, PLAN, Ran, command, traces
from truth import differences, read

import probewatch
from probewatch.lab.faults import FAULTS
from probewatch.lab.run import manifest
from probewatch.lab.scenarios import CLUSTER, SCENARIOS
from probewatch.lab.servers import BEHAVIOURS
from probewatch.model.timeline import Cause, DecisionKind, Outcome, Timeline
from probewatch.probes.costs import POKED_NS

ON_THE_WIRE = [name for name in PLAN if name != "exec"]


def timeline_of(one: Ran) -> Timeline:
    """Analyse what a scenario left."""
    return probewatch.analyze(one.capture, spec=one.manifests)


# What it shows.


@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_what_is_seen_is_what_the_prober_did(ran: dict[str, Ran], name: str) -> None:
    """Attempts, outcomes, types, connections and decisions in the recording are those of the prober's own record."""
    one = ran[name]
    assert (one.status, "Traceback" in one.err) == (0, False), one.err
    truth = read(one.record)
    veth = {"10.128.0.10", "fd01:0:0:1::10"}  # the recorded pod; what the others were asked passes other interfaces
    truth.executions = [execution for execution in truth.executions if execution.address in veth]
    truth.changes = [change for change in truth.changes if change.where[0] == "web"]
    assert len(truth.executions) >= 3
    assert differences(timeline_of(one), truth, keyed=False, unseen=False, typed=True) == []


def test_a_sidecar_recovers_with_the_application(ran: dict[str, Ran]) -> None:
    """The agent asks the application on the pod's own `lo`, over IPv6 where the pod is of that family, and is Ready once it listens."""
    (probe,) = timeline_of(ran["sidecar-asks-for-it"]).probes
    assert (probe.attempts[0].outcome, probe.final_state) == (Outcome.FAILURE, "Ready")


@pytest.mark.parametrize("name", [name for name in ON_THE_WIRE if SCENARIOS[name].rows and name != "traffic"])
def test_a_scenario_shows_what_it_is_made_for(ran: dict[str, Ran], name: str) -> None:
    """The rows of the catalogue that a scenario claims to make real are among its diagnoses."""
    probes = timeline_of(ran[name]).probes
    told = {row for probe in probes for diagnosis in probe.diagnoses for row in diagnosis.rows}
    assert set(SCENARIOS[name].rows) <= told


def test_flapping_flaps(ran: dict[str, Ran]) -> None:
    """The live demonstration shows Ready and NotReady, and the extra probe that confirms it.

    On a busy machine the prober's extra probe may come later than one that confirms may: its own record says when it came.
    """
    (probe,) = timeline_of(ran["flapping"]).probes
    assert [decision.kind for decision in probe.decisions][:2] == [DecisionKind.READY, DecisionKind.NOT_READY]
    lost = probe.decisions[1]
    said = [json.loads(line) for line in ran["flapping"].record.read_text(encoding="utf-8").splitlines()]
    extra = min(line["t"] for line in said if line["ev"] == "probe_start" and line["t"] * 1e9 > lost.ns)
    soon = extra * 1e9 - lost.ns < POKED_NS - 5e6  # (its clock runs some milliseconds beside the capture's)
    assert lost.confirmed is True if soon else lost.confirmed is not False


def test_what_is_kept_says_how_to_look_at_it_again(ran: dict[str, Ran]) -> None:
    """The command that a run ends with analyses what it kept."""
    one = ran["flapping"]
    command_line = next(line for line in one.err.splitlines() if "to look again" in line).partition("again: ")[2]
    asked = shlex.split(command_line)
    assert asked[:2] == ["probewatch", "analyze"]
    done = subprocess.run([sys.executable, "-m", "probewatch.cli", *asked[1:]], capture_output=True, text=True, check=False)
    assert (done.returncode, "readiness  lab/web/app" in done.stdout) == (0, True), done.stderr
    assert "NotReady" in ran["flapping"].out


def test_ipv6(ran: dict[str, Ran]) -> None:
    """With -6 the kubelet's stand-in asks over IPv6, from the node's address."""
    (probe,) = timeline_of(ran["refused-at-start"]).probes
    assert (probe.target.address, probe.checker.address) == ("fd01:0:0:1::10", "fd01:0:0:1::1")
    assert [decision.kind for decision in probe.decisions] == [DecisionKind.READY]


def test_a_broken_body_is_tried_three_times(ran: dict[str, Ran]) -> None:
    """The prober repeats an errored probe at once and throws the result away, as the kubelet does."""
    (probe,) = timeline_of(ran["reset-in-body"]).probes
    broken = [attempt for attempt in probe.attempts if attempt.cause is Cause.BODY_BROKEN]
    assert broken
    assert all(attempt.outcome is Outcome.DISCARDED and len(attempt.legs) == 3 for attempt in broken)
    assert probe.decisions == ()


def test_exec_probes_run_in_the_container(ran: dict[str, Ran]) -> None:
    """Exec probes fail, then succeed once the file is there; nothing passes the interfaces, and process events show it."""
    said = [json.loads(line) for line in ran["exec"].record.read_text(encoding="utf-8").splitlines()]
    results = [line["result"] for line in said if line["ev"] == "probe_end" and line["type"] == "Readiness"]
    assert results[0] == "failure"
    assert results[-1] == "success"
    assert timeline_of(ran["exec"]).captures[0].complete
    if "exec probes are not seen" in ran["exec"].err:
        pytest.skip("process events are not told here: the run says so, and why")
    assert re.search(r"readiness  lab/web/app  #1 +exit 1 ", ran["exec"].out), ran["exec"].out
    assert "no probes found" not in ran["exec"].out


def test_clients_follow_a_service(ran: dict[str, Ran]) -> None:
    """Clients reach the pod through the Service only after it is Ready, and the one with the wrong targetPort never."""
    timeline = timeline_of(ran["traffic"])
    readiness = next(probe for probe in timeline.probes if probe.checker.kind == "kubelet")
    assert readiness.effects is not None
    assert readiness.effects.clients_refused_while_ready > 0
    said = [json.loads(line) for line in (ran["traffic"].folder / "run.clients.jsonl").read_text("utf-8").splitlines()]
    results = {agent: {line["result"] for line in said if line["client"] == agent} for agent in ("web-frontend", "billing")}
    assert "HTTP/1.1 200 OK" in results["web-frontend"], results
    assert results["billing"] <= {"connection refused"}, results


def _installed(program: str) -> bool:
    return shutil.which(program) is not None


# What it leaves.


def begun(name: str, *more: str) -> tuple[subprocess.Popen[str], str]:
    """Start a scenario; return the process and the number of its run, once its prober has probed."""
    child = subprocess.Popen(command("run", name, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and child.poll() is None:
        for path in Path("/run/probewatch-lab").glob("*/run.json"):
            record = path.with_name("truth.jsonl")
            try:
                mine = json.loads(path.read_text())["pid"] == child.pid
                if mine and "probe_end" in record.read_text():
                    return child, path.parent.name
            except (OSError, ValueError):
                continue
        time.sleep(0.05)
    child.kill()
    pytest.fail("the scenario did not begin: " + child.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_an_interrupted_run_leaves_nothing(needs_root: None, number: int) -> None:  # noqa: ARG001  (skips)
    """After a signal what was recorded is shown, exit status 130, and no process, namespace or file is left."""
    child, run = begun("flapping")
    assert traces(run)
    child.send_signal(number)
    out, err = child.communicate(timeout=PATIENCE_S)
    assert (child.returncode, "readiness  lab/web/app" in out) == (130, True), err
    assert traces(run) == []


def test_an_impatient_user_leaves_nothing(needs_root: None) -> None:  # noqa: ARG001  (skips)
    """Ctrl-C again and again does not break off the taking away."""
    child, run = begun("flapping")
    end = time.monotonic() + PATIENCE_S
    while child.poll() is None and time.monotonic() < end:
        child.send_signal(signal.SIGINT)
        time.sleep(0.03)
    child.communicate(timeout=PATIENCE_S)
    assert child.returncode in (130, -signal.SIGINT)  # the last of them may come while Python ends
    assert traces(run) == []


@pytest.mark.parametrize("name", ["exec", "traffic"])
def test_what_a_killed_run_leaves_is_removed(needs_root: None, name: str) -> None:  # noqa: ARG001  (skips)
    """After kill -9 `lab down` finds processes, containers, namespaces and files, and removes them."""
    child, run = begun(name)
    child.kill()
    child.communicate(timeout=PATIENCE_S)
    assert traces(run)
    done = subprocess.run(command("down", run), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, f"pwlab-{run}-node" in done.stdout) == (0, True), done.stderr
    assert traces(run) == []


def test_down_leaves_living_runs_alone(needs_root: None) -> None:  # noqa: ARG001  (skips)
    """`lab down` removes leftovers, not a run that somebody is watching."""
    child, run = begun("flapping")
    done = subprocess.run(command("down", run), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert f"run {run} (flapping" in done.stderr
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=PATIENCE_S)
    assert traces(run) == []


def test_up_goes_on_and_down_ends_it(needs_root: None) -> None:  # noqa: ARG001  (skips)
    """`lab up` leaves a cluster that probes go on in after it has returned; `lab down` ends it."""
    up = subprocess.run(command("up"), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert up.returncode == 0, up.stderr
    run = up.stdout.split()[1].rstrip(",")
    record = Path("/run/probewatch-lab") / run / "truth.jsonl"
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and not (record.exists() and "probe_end" in record.read_text()):
        time.sleep(0.05)
    assert f"ip netns exec pwlab-{run}-node" in up.stdout
    assert "probe_end" in record.read_text()
    subprocess.run(command("down", run), capture_output=True, timeout=PATIENCE_S, check=True)
    assert traces(run) == []


@pytest.mark.parametrize("words", [("run", "flapping"), ("up",), ("down",)], ids=" ".join)
def test_without_privileges_it_says_what_is_missing(words: tuple[str, ...]) -> None:
    """Without its capabilities it gives one sentence that names them, status 2."""
    if os.geteuid() == 0 and not _installed("setpriv"):
        pytest.skip("setpriv (util-linux) is not installed: it takes root's capabilities away")
    lesser = ["setpriv", "--bounding-set", "-sys_admin,-net_admin"] if os.geteuid() == 0 else []
    done = subprocess.run([*lesser, *command(*words)], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "CAP_SYS_ADMIN" in done.stderr
    assert "CAP_NET_ADMIN" in done.stderr


# What there is.


def test_scenarios_name_only_what_exists() -> None:
    """Each behaviour and each fault of each scenario is one of the laboratory's; names are theirs."""
    for name, scenario in SCENARIOS.items():
        assert name == scenario.name
        assert {fault.kind for fault in scenario.faults} <= set(FAULTS)
        for pod in scenario.pods:
            for container in pod.containers:
                assert {serves["behaviour"] for serves in container.serves} <= set(BEHAVIOURS)
                assert bool(container.serves) is not bool(container.run)


def test_manifests_are_pods(tmp_path: Path) -> None:
    """Each pod of each scenario is a manifest that `--spec` takes, with its address."""
    from probewatch.cluster import read_specs

    for scenario in (*SCENARIOS.values(), CLUSTER):
        for plan in scenario.pods:
            path = tmp_path / "pod.yaml"
            path.write_text(manifest(plan, "10.128.0.10"), encoding="utf-8")
            (pod,) = read_specs(str(path))
            assert (pod.name, pod.addresses) == (plan.name, ("10.128.0.10",))
            assert all(container.probes for container in pod.containers)


def test_an_unknown_scenario_is_refused() -> None:
    """A name that is none gives one sentence and status 2."""
    done = subprocess.run(command("run", "nonesuch"), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "lab list" in done.stderr
