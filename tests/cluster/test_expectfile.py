"""Reading an expectations file: every key, every mistake with its place, and the schema that says the same."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.cluster import SpecError, expectfile, read_expectations
from probewatch.cluster.expectform import json_schema
from probewatch.model.expectation import (
    CHECKERS,
    Decided,
    Expectations,
    ExpectedDecision,
    LatencyBounds,
    Pace,
    ProbeExpectation,
    Range,
    Run,
    Selector,
)
from probewatch.model.spec import Handler, ProbeType
from probewatch.model.timeline import Cause, DecisionKind, Outcome
from probewatch.model.units import SECOND
from probewatch.probes.signatures import SIGNATURES
from probewatch.report import expectation as report

EVERYTHING = """
schema: probewatch.expect/1
otherProbes: {max: 0}
otherConnections: {min: 1, max: 500}
probes:
- probe: {type: readiness, namespace: lab, pod: web-*, container: app, handler: httpGet, address: "FD00:0:0::A", port: 8080,
          path: "/ready?x=1", checker: kubelet, checkerAddress: 10.128.0.1}
  count: {min: 1, max: 3}
  attempts: {min: 20}
  missed: {max: 2}
  outcomes: [success*5, failure*2..4, discarded, success*1..]
  outcomesContain: [failure*3, success]
  causes: [ok, status]
  causesInOrder: [ok*5, status*1.., ok-redirect]
  decisions:
  - {kind: ready, sinceStartSeconds: {max: 20}}
  - {kind: not_ready, sincePreviousSeconds: {min: 2.5, max: 8}}
  decisionsContain: [{kind: ready}]
  decided:
  - {kind: not_ready, seconds: {min: 20, max: 30.5}, after: first failure}
  - {kind: ready, seconds: {max: 5}, after: not_ready}
  - {kind: ready, seconds: {max: 60}}
  never: [not_ready]
  outOfServiceSeconds: {max: 12}
  readyWithinSeconds: 20
  latencySeconds: {p50: 0.01, p99: 0.5, max: 1}
  periodSeconds: {value: 1, within: 0.25}
  timeoutSeconds: {value: 2, within: 0.1}
  state: Ready
  source: [10.128.0.1, fd00::/64]
  node: node-a
- probe: {type: startup, service: ""}
  startedWithinSeconds: 0.1
"""


def write(folder: Path, content: str) -> str:
    """Write a file and return its path."""
    path = folder / "expect.yaml"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    return str(path)


def wrong(folder: Path, content: str) -> str:
    """Return the sentence about a file that is refused, without the folder."""
    with pytest.raises(SpecError) as caught:
        read_expectations(write(folder, content))
    return str(caught.value).replace(f"{folder}/", "")


def test_every_key(tmp_path: Path) -> None:
    """Each key arrives as what it means: seconds as nanoseconds, addresses in one form, runs taken apart."""
    found = read_expectations(write(tmp_path, EVERYTHING))

    assert found == Expectations(
        source=str(tmp_path / "expect.yaml"),
        other_probes=Range(None, 0),
        other_connections=Range(1, 500),
        probes=(
            ProbeExpectation(
                selector=Selector(
                    type=ProbeType.READINESS,
                    namespace="lab",
                    pod="web-*",
                    container="app",
                    handler=Handler.HTTP_GET,
                    address="fd00::a",
                    port=8080,
                    path="/ready?x=1",
                    checker="kubelet",
                    checker_address="10.128.0.1",
                ),
                count=Range(1, 3),
                attempts=Range(20, None),
                missed=Range(None, 2),
                outcomes=(
                    Run(Outcome.SUCCESS, 5, 5),
                    Run(Outcome.FAILURE, 2, 4),
                    Run(Outcome.DISCARDED),
                    Run(Outcome.SUCCESS, 1, None),
                ),
                outcomes_contain=(Run(Outcome.FAILURE, 3, 3), Run(Outcome.SUCCESS)),
                causes=(Cause.OK, Cause.STATUS),
                causes_in_order=(Run(Cause.OK, 5, 5), Run(Cause.STATUS, 1, None), Run(Cause.OK_REDIRECT)),
                decisions=(
                    ExpectedDecision(kind=DecisionKind.READY, since_start=Range(None, 20 * SECOND)),
                    ExpectedDecision(kind=DecisionKind.NOT_READY, since_previous=Range(5 * SECOND // 2, 8 * SECOND)),
                ),
                decisions_contain=(ExpectedDecision(kind=DecisionKind.READY),),
                decided=(
                    Decided(
                        kind=DecisionKind.NOT_READY,
                        after="first failure",
                        time=Range(20 * SECOND, 61 * SECOND // 2),
                    ),
                    Decided(kind=DecisionKind.READY, after=DecisionKind.NOT_READY, time=Range(None, 5 * SECOND)),
                    Decided(kind=DecisionKind.READY, time=Range(None, 60 * SECOND)),
                ),
                never=(DecisionKind.NOT_READY,),
                out_of_service=Range(None, 12 * SECOND),
                ready_within=20 * SECOND,
                latency=LatencyBounds(p50=SECOND // 100, p99=SECOND // 2, max=SECOND),
                period=Pace(SECOND, SECOND // 4),
                timeout=Pace(2 * SECOND, SECOND // 10),
                state="Ready",
                sources=("10.128.0.1", "fd00::/64"),
                node="node-a",
            ),
            ProbeExpectation(selector=Selector(type=ProbeType.STARTUP, service=""), started_within=SECOND // 10),
        ),
    )


def test_json_and_writer_agree(tmp_path: Path) -> None:
    """The same in JSON is the same, and what the writer makes of it reads as it was."""
    import yaml

    found = read_expectations(write(tmp_path, EVERYTHING))
    assert read_expectations(write(tmp_path, json.dumps(yaml.safe_load(EVERYTHING)))) == found
    parts: list[str] = []
    report.write(found, parts.append)
    assert read_expectations(write(tmp_path, "".join(parts))) == found


HEAD = "schema: probewatch.expect/1\n"
ENTRY = HEAD + "probes:\n- probe: {type: readiness}\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "expect.yaml: the file is empty"),
        ("# nothing\n", "expect.yaml: the file holds nothing; docs/expect.md"),
        ("hello", 'expect.yaml: expected one mapping with `schema: probewatch.expect/1`, got "hello"'),
        ("- probe: {}\n", "expect.yaml: expected one mapping with `schema: probewatch.expect/1`, got a list"),
        ("kind: Pod\n", "expect.yaml: is a Kubernetes object, no expectations; give it as --spec"),
        ("probes: []\n", "expect.yaml: schema: is missing"),
        (
            "schema: probewatch.expect/2\nprobs: []\n",
            'expect.yaml: schema: expected probewatch.expect/1, got "probewatch.expect/2"',
        ),
        (HEAD, "expect.yaml: probes: is missing"),
        (HEAD + "probes:\n", "expect.yaml: probes: expected a list, got null"),
        (HEAD + "---\n" + HEAD, "expect.yaml: holds more than one document"),
        (HEAD + "probes: []\nprobe: []\n", "expect.yaml: probe: is no key that is known here; did you mean probes?"),
        (
            ENTRY + "  latencySecond: {p50: 1}\n",
            "probes[0].latencySecond: is no key that is known here; did you mean latencySeconds?",
        ),
        (
            HEAD + "probes:\n- probe: {typ: x}\n",
            "probes[0].probe.typ: is no key that is known here; did you mean type?",
        ),
        (
            ENTRY + "  attempts: {least: 1}\n",
            "probes[0].attempts.least: is no key that is known here; known are min, max",
        ),
        (ENTRY + '  "\\e[31m": 1\n', "probes[0].\\u001b[31m: is no key that is known here; known are probe, count"),
        (HEAD + "probes:\n- {}\n", "probes[0].probe: is missing"),
        (HEAD + "probes:\n- probe: {}\n", "probes[0].probe: is empty; give at least one of type, namespace, pod"),
        (
            HEAD + "probes:\n- probe: {type: ready}\n",
            'probes[0].probe.type: expected one of readiness, liveness, startup, got "ready"',
        ),
        (HEAD + "probes:\n- probe: {pod: }\n", "probes[0].probe.pod: expected text, got null"),
        (HEAD + 'probes:\n- probe: {pod: ""}\n', "probes[0].probe.pod: is empty; leave it out"),
        (HEAD + "probes:\n- probe: {port: 0}\n", "probes[0].probe.port: expected a number from 1 to 65535, got 0"),
        (HEAD + "probes:\n- probe: {port: http}\n", 'probes[0].probe.port: expected a whole number, got "http"'),
        (
            HEAD + "probes:\n- probe: {address: web}\n",
            'probes[0].probe.address: expected an IPv4 or IPv6 address, got "web"',
        ),
        (ENTRY + "  attempts: {}\n", "probes[0].attempts: is empty; give min, max or both"),
        (ENTRY + "  attempts: {min: 3, max: 2}\n", 'probes[0].attempts: expected the smaller number first, got "3..2"'),
        (
            ENTRY + "  attempts: {min: -1}\n",
            "probes[0].attempts.min: expected a whole number from 0 to 1000000000, got -1",
        ),
        (ENTRY + "  attempts: {min: 1.5}\n", "probes[0].attempts.min: expected a whole number, got 1.5"),
        (ENTRY + "  attempts: 3\n", "probes[0].attempts: expected a mapping, got 3"),
        (
            ENTRY + "  outcomes: [success, fail*3]\n",
            "probes[0].outcomes[1]: expected one of success, failure, discarded, inconclusive, alone",
        ),
        (ENTRY + '  outcomes: ["success\\n"]\n', "probes[0].outcomes[0]: expected one of success"),
        (
            ENTRY + "  outcomes: [success*5..3]\n",
            'probes[0].outcomes[0]: expected the smaller number first, got "success*5..3"',
        ),
        (ENTRY + "  outcomes: [success*0]\n", "probes[0].outcomes[0]: expected a number of times above 0"),
        (
            ENTRY + f"  outcomes: [success*{'9' * 5000}]\n",
            "probes[0].outcomes[0]: expected a whole number up to 1000000000",
        ),
        (ENTRY + "  outcomesContain: []\n", "probes[0].outcomesContain: is an empty list; leave it out"),
        (ENTRY + "  causes: [ok, bad]\n", "probes[0].causes[1]: expected one of ok, ok-redirect, status"),
        (
            ENTRY + "  never: [notready]\n",
            'probes[0].never[0]: expected one of ready, not_ready, started, restart, up, down, got "notready"',
        ),
        (
            ENTRY + "  never: [ready, restart]\n",
            "probes[0].never[1]: a readiness probe never decides restart: a liveness or a startup probe does",
        ),
        (ENTRY + "  never: [up]\n", "probes[0].never[0]: a readiness probe never decides up: no kubelet does"),
        (ENTRY + "  latencySeconds: {}\n", "probes[0].latencySeconds: is empty; give at least one of p50, p99, max"),
        (ENTRY + "  outOfServiceSeconds: {}\n", "probes[0].outOfServiceSeconds: is empty; give min, max or both"),
        (ENTRY + "  outcomesContain: ['failure*0..', 'success*0..3']\n", "probes[0].outcomesContain: may be no attempt at all"),
        (ENTRY + "  count: {max: 0}\n  attempts: {min: 3}\n", "probes[0].count: expects no such probe: nothing else can be expected of it"),
        (HEAD + "probes:\n- probe: {checker: haproxi}\n", "probes[0].probe.checker: expected one of kubelet, haproxy, keepalived"),
        (ENTRY + "  never: []\n", "probes[0].never: is an empty list"),
        (ENTRY + "  never:\n", "probes[0].never: expected a list, got null"),
        (ENTRY + "  decisions: [{sinceStartSeconds: {max: 1}}]\n", "probes[0].decisions[0].kind: is missing"),
        (
            ENTRY + "  decisions: [{kind: ready, within: 3}]\n",
            "probes[0].decisions[0].within: is no key that is known here; known are kind, sinceStartSeconds, sincePreviousSeconds",
        ),
        (ENTRY + "  readyWithinSeconds: 20s\n", 'probes[0].readyWithinSeconds: expected a number, got "20s"'),
        (
            ENTRY + "  readyWithinSeconds: .nan\n",
            "probes[0].readyWithinSeconds: expected seconds from 0 to 1000000000, got nan",
        ),
        (ENTRY + "  readyWithinSeconds: -.inf\n", "probes[0].readyWithinSeconds: expected seconds from 0"),
        (ENTRY + "  readyWithinSeconds: true\n", "probes[0].readyWithinSeconds: expected a number, got true"),
        (ENTRY + "  periodSeconds: {value: 10}\n", "probes[0].periodSeconds.within: is missing"),
        (
            ENTRY + "  state: ready\n",
            'probes[0].state: expected one of Ready, NotReady, Started, NotStarted, Live, Restart, UP, DOWN, got "ready"',
        ),
        (ENTRY + "  source: [node-a]\n", 'probes[0].source[0]: expected an IPv4 or IPv6 address, got "node-a"'),
        (ENTRY + "  source: [10.0.0.1/8]\n", "probes[0].source[0]: expected an address or a network as 10.128.0.0/14"),
        (
            ENTRY + "  state: Ready\n  state: Live\n",
            'line 5 column 3: "state" is written twice in one mapping; keep one',
        ),
    ],
)
def test_mistakes(tmp_path: Path, content: str, sentence: str) -> None:
    """A mistake is told with the file, the path of the key, what was found and what would be right."""
    said = wrong(tmp_path, content)
    assert said.startswith("expect.yaml: ")
    assert sentence in said
    assert said.isprintable()


def test_every_checker_that_is_known_may_be_meant() -> None:
    """The kinds a file may name are those that the wire is read for."""
    assert {"kubelet", "unknown", *(row.kind for row in SIGNATURES)} == set(CHECKERS)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More entries or elements than the limits are refused, and so is a file whose aliases stand for too much."""
    monkeypatch.setattr(expectfile, "MAX_PROBES", 2)
    monkeypatch.setattr(expectfile, "MAX_STEPS", 3)
    assert "probes: expected at most 2 elements, got 3" in wrong(
        tmp_path, HEAD + "probes:\n" + "- probe: {port: 1}\n" * 3
    )
    assert "probes[0].outcomes: expected at most 3 elements, got 4" in wrong(
        tmp_path, ENTRY + "  outcomes: [success, success, success, success]\n"
    )
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 9))
    assert "its aliases stand for more than" in wrong(tmp_path, bomb)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema that the package carries."""
    loaded: dict[str, Any] = json.loads(files("probewatch.cluster").joinpath("expect.schema.json").read_text("utf-8"))
    return loaded


def test_schema_is_that_of_the_code(schema: dict[str, Any]) -> None:
    """The committed JSON Schema is what the forms make, and is a JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema == json_schema(), "write it anew: expectform.json_schema()"


def test_schema_agrees_with_the_reader(tmp_path: Path, schema: dict[str, Any]) -> None:
    """What the reader takes the schema takes; what it refuses for a key's name, type or word, the schema refuses."""
    import yaml

    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(yaml.safe_load(EVERYTHING))) == []
    for content in (
        "  latencySecond: {p50: 1}\n", "  attempts: {min: -1}\n", "  attempts: 3\n", "  outcomes: [fail*3]\n", "  causes: [bad]\n",
        "  never: [notready]\n", "  state: ready\n", "  readyWithinSeconds: 20s\n", "  periodSeconds: {value: 10}\n", "  never:\n",
    ):  # fmt: skip
        assert wrong(tmp_path, ENTRY + content)
        assert not validator.is_valid(yaml.safe_load(ENTRY + content)), content


LINES = st.lists(st.sampled_from(EVERYTHING.splitlines()) | st.text(max_size=12), max_size=30).map("\n".join)


@given(LINES)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines(tmp_path: Path, text: str) -> None:
    """A file with its lines shuffled, lost or replaced gives expectations or one printable sentence, never anything else."""
    message = ""
    try:
        read_expectations(write(tmp_path, text))
    except SpecError as error:
        message = str(error).replace(str(tmp_path), "")
    assert message.isprintable()
