"""Each field of each probe's spec changed in turn: verify names what the packets show, and claims nothing that they do not.

`visible/` holds the committed table: for each scenario and field, whether a change is visible in that capture and why.
UPDATE_GOLDENS=1 rewrites it; read the difference before you commit it.

Covers `verify`, `observer.weigh`, `probes.asked`, `probes.patience`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import yaml
from mutations import DEFAULTS, Mutation, mutations

import probewatch
from probewatch.model.finding import Finding, Held

TABLES = Path(__file__).parent / "visible"
OWN = Path(__file__).parents[2] / "captures"


@cache
def findings(scenario: Path, *specs: Path) -> tuple[Finding, ...]:
    """Verify a scenario's capture against these specs, with the keys that lie there."""
    keys = scenario / "keys.log"
    several = len(list(scenario.glob("pod*.yaml"))) > 1
    name = "tun0.pcap" if (several and (scenario / "tun0.pcap").is_file()) or not (scenario / "capture.pcap").is_file() else "capture.pcap"
    return probewatch.verify(scenario / name, spec=specs, keylog=keys if keys.is_file() else None).findings


def failed(found: Sequence[Finding]) -> list[Finding]:
    """Return those that failed."""
    return [finding for finding in found if finding.held is Held.FAIL]


def test_a_true_spec_never_fails(kubelet_scenario: Path) -> None:
    """What really ran is never called wrong; what stays open says why."""
    found = findings(kubelet_scenario, *sorted(kubelet_scenario.glob("pod*.yaml")))
    assert failed(found) == []
    assert all(finding.sentence for finding in found)
    assert found


def test_every_change_is_seen_or_left_open(kubelet_scenario: Path, tmp_path: Path) -> None:
    """A change either fails and the field is named, or is inconclusive: none passes, and no other field is blamed."""
    specs = sorted(kubelet_scenario.glob("pod*.yaml"))
    if len(specs) != 1:
        pytest.skip("several Pods: each of their probes is changed in a scenario of its own")
    manifest = yaml.safe_load(specs[0].read_text())
    true = findings(kubelet_scenario, specs[0])
    rows = []
    for number, mutation in enumerate(mutations(manifest)):
        spec = tmp_path / f"pod{number}.yaml"
        spec.write_text(yaml.safe_dump(mutation.manifest))
        found = findings(kubelet_scenario, spec)
        rows.append(judged(mutation, found, true))
    if not rows:
        return  # exec probes only
    if kubelet_scenario.parent == OWN:
        table = TABLES / f"{kubelet_scenario.name}.tsv"
        text = "".join("\t".join(row) + "\n" for row in rows)
        if os.environ.get("UPDATE_GOLDENS"):
            table.parent.mkdir(exist_ok=True)
            table.write_text(text)
        assert text == table.read_text()


def judged(mutation: Mutation, found: Sequence[Finding], true: Sequence[Finding]) -> tuple[str, str, str, str, str]:
    """Return a row of the table; fail where verify claims too much or blames another field."""
    wrong = failed(found)
    named = [finding for finding in wrong if mutation.field in finding.field]
    others = [finding for finding in wrong if mutation.field not in finding.field]
    assert not others, f"{mutation.field} {mutation.change}: blamed {others[0].field}: {others[0].sentence}"
    if named:
        return mutation.type, mutation.field, mutation.change, "visible", named[0].sentence
    kinds = {mutation.type, mutation.change.rpartition("-> ")[2]} if mutation.field == "type" else {mutation.type}
    about = [finding for finding in found if finding.subject.split()[0] in kinds and finding.field in (mutation.field, "probed")]
    passed = [finding for finding in about if finding.held is Held.PASS]
    assert not passed, f"{mutation.field} {mutation.change} passes: {passed[0].sentence}"
    assert about, f"{mutation.field} {mutation.change}: nothing is said of it"
    sure = [f for f in true if f.held is Held.PASS and f.field == mutation.field and f.subject.startswith(mutation.type)]
    assert not sure, f"{mutation.field} passes for the true spec, but {mutation.change} is not seen"
    return mutation.type, mutation.field, mutation.change, "invisible", about[0].sentence


def test_every_field_is_visible_somewhere() -> None:
    """No field of a spec is beyond these captures: each one's change is seen in at least one of them."""
    rows = [line.split("\t") for table in TABLES.glob("*.tsv") for line in table.read_text().splitlines()]
    seen = {field for _, field, _, visible, _ in rows if visible == "visible"}
    assert seen == {*DEFAULTS, "port", "path", "scheme", "httpHeaders", "service", "handler", "type"}
