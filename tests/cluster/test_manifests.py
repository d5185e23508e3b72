"""What `--spec` reads: every kind, every part of a Pod, every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.cluster import SpecError, load_specs, read_specs
from probewatch.cluster.manifests import TEMPLATES
from probewatch.model.spec import ContainerStart, Handler, PodSpec, ProbeType
from probewatch.model.units import SECOND

POD_YAML = """
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  namespace: shop
  labels: {app: web, tier: front}
  deletionTimestamp: 2026-11-22T20:50:00Z
spec:
  nodeName: node-a
  hostNetwork: false
  terminationGracePeriodSeconds: 5
  restartPolicy: OnFailure
  initContainers:
  - name: migrate
    image: x
  - name: proxy
    restartPolicy: Always
    ports: [{containerPort: 15021, name: status}]
    startupProbe: {httpGet: {port: status}, failureThreshold: 30}
  containers:
  - name: app
    ports:
    - {name: http, containerPort: 8080}
    - {containerPort: 9000}
    livenessProbe: {tcpSocket: {port: 9000}, periodSeconds: 5}
    readinessProbe: {httpGet: {path: /ready, port: http}, timeoutSeconds: 2}
  - name: helper
    ports: [{name: metrics, containerPort: 9090}]
    readinessProbe: {httpGet: {port: http}}
status:
  phase: Running
  podIP: fd01:0:0:1::000a
  podIPs: [{ip: "fd01:0:0:1::a"}, {ip: 10.128.0.10}]
  hostIP: 192.168.10.11
  startTime: 2026-11-22T20:43:10Z
  containerStatuses:
  - name: app
    restartCount: 2
    state: {running: {startedAt: "2026-11-22T20:45:00Z"}}
    lastState: {terminated: {startedAt: "2026-11-22T20:43:11Z", finishedAt: "2026-11-22T20:44:00Z"}}
  - name: helper
    restartCount: 0
    state: {waiting: {reason: ContainerCreating}}
  initContainerStatuses:
  - name: proxy
    restartCount: 0
    state: {running: {startedAt: "2026-11-22T20:43:10Z"}}
"""

T = 1795380190 * SECOND
"""2026-11-22T20:43:10Z."""


def write(path: Path, content: Any, name: str = "f.yaml") -> str:
    """Write text, or objects as JSON, and return the file's path."""
    file = path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def pod(**containers: Any) -> dict[str, Any]:
    """Return a Pod with one container per argument, each given as its fields."""
    listed = [{"name": name, **fields} for name, fields in containers.items()]
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": listed}}


def test_a_whole_pod(tmp_path: Path) -> None:
    """A Pod as `kubectl get -o yaml` prints it gives all that a probe can depend on."""
    (found,) = read_specs(write(tmp_path, POD_YAML))

    assert (found.source, found.kind, found.namespace, found.name, found.declared_by) == ("f.yaml", "Pod", "shop", "web-1", "--spec")
    assert found.addresses == ("fd01:0:0:1::a", "10.128.0.10")
    assert (found.node, found.host_ip, found.host_network) == ("node-a", "192.168.10.11", False)
    assert (found.grace_s, found.restart_policy) == (5, "OnFailure")
    assert (found.started_ns, found.deleted_ns, found.ended_ns) == (T, T + 410 * SECOND, None)
    assert found.labels == (("app", "web"), ("tier", "front"))
    app, helper, proxy = found.containers
    assert [each.name for each in found.containers] == ["app", "helper", "proxy"]
    assert [each.sidecar for each in found.containers] == [False, False, True]
    assert app.ports == (("http", 8080), ("", 9000))
    assert [(probe.type, probe.handler, probe.port) for probe in app.probes] == [
        (ProbeType.READINESS, Handler.HTTP_GET, 8080),
        (ProbeType.LIVENESS, Handler.TCP_SOCKET, 9000),
    ]
    assert app.starts == (ContainerStart(started_ns=T + SECOND, finished_ns=T + 50 * SECOND), ContainerStart(started_ns=T + 110 * SECOND))
    assert (app.restart_count, helper.restart_count, helper.starts) == (2, 0, ())
    assert proxy.starts == (ContainerStart(started_ns=T),)
    assert (proxy.probes[0].type, proxy.probes[0].port, proxy.probes[0].failure_threshold) == (ProbeType.STARTUP, 15021, 30)


def test_port_name_of_another_container(tmp_path: Path) -> None:
    """A port name means this container's ports only: another's does not resolve."""
    (found,) = read_specs(write(tmp_path, POD_YAML))

    assert (found.containers[1].probes[0].port, found.containers[1].probes[0].port_name) == (None, "http")


def test_yaml_and_json_agree(tmp_path: Path) -> None:
    """The same Pod in YAML and in JSON gives the same spec."""
    as_json = json.dumps(yaml.load(POD_YAML, Loader=yaml.BaseLoader))
    numbers = as_json.replace('"5"', "5").replace('"2"', "2").replace('"30"', "30").replace('"0"', "0").replace('"false"', "false")
    for port in ("8080", "9000", "9090", "15021"):
        numbers = numbers.replace(f'"{port}"', port)

    assert read_specs(write(tmp_path, numbers)) == read_specs(write(tmp_path, POD_YAML))


def test_defaults(tmp_path: Path) -> None:
    """A bare manifest gets the API server's defaults and no address."""
    (found,) = read_specs(write(tmp_path, pod(app={})))

    assert found == PodSpec(source="f.yaml", name="p", containers=found.containers)
    assert (found.namespace, found.grace_s, found.restart_policy, found.addresses) == ("default", 30, "Always", ())
    assert found.containers[0].probes == ()


@pytest.mark.parametrize("kind", TEMPLATES)
def test_workloads(tmp_path: Path, kind: str) -> None:
    """Every workload gives its Pod template, named after the workload, with the template's labels."""
    value: dict[str, Any] = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "readinessProbe": {"grpc": {"port": 9000}}}], "nodeName": ""},
        "status": {"podIP": "10.0.0.1"},
    }
    for step in reversed(TEMPLATES[kind]):
        value = {step: value}
    metadata = {"name": "w", "namespace": "shop", "labels": {"other": "x"}, "deletionTimestamp": "2026-11-22T20:43:10Z"}
    value |= {"kind": kind, "metadata": metadata}

    (found,) = read_specs(write(tmp_path, value))

    assert (found.kind, found.namespace, found.name, found.labels) == (kind, "shop", "w", (("app", "web"),))
    assert (found.addresses, found.node, found.deleted_ns) == ((), None, None)
    assert found.containers[0].probes[0].port == 9000


@pytest.mark.parametrize("kind", TEMPLATES)
def test_workload_errors(tmp_path: Path, kind: str) -> None:
    """A mistake in a template is named by its path in the workload."""
    inner: Any = {"spec": {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": -1}}}]}}
    path = ".".join(TEMPLATES[kind])
    missing = write(tmp_path, {"kind": kind, "metadata": {"name": "w"}})
    with pytest.raises(SpecError, match=rf"f\.yaml: document 1 \({kind} w\): {TEMPLATES[kind][0]}: is missing"):
        read_specs(missing)
    for step in reversed(TEMPLATES[kind]):
        inner = {step: inner}

    with pytest.raises(SpecError, match=rf"\({kind} w\): {path}\.spec\.containers\[0\]\.livenessProbe\.httpGet\.port: expected .* got -1"):
        read_specs(write(tmp_path, {"kind": kind, "metadata": {"name": "w"}, **inner}))


def test_lists_and_documents(tmp_path: Path) -> None:
    """Pods are found in Lists, PodLists and among other documents, each with its place; other kinds are passed over with a note."""
    second = {"kind": "PodList", "items": [{key: value for key, value in pod(b={}).items() if key != "kind"}]}
    text = "\n---\n".join(
        [
            yaml.safe_dump(pod(a={})),
            yaml.safe_dump({"kind": "Service", "metadata": {"name": "s"}}),
            "",
            yaml.safe_dump({"kind": "List", "items": [{"kind": "ConfigMap"}, pod(c={}), {"kind": "Service"}]}),
            yaml.safe_dump(second),
        ]
    )

    found = load_specs(write(tmp_path, text))

    assert [(spec.source, spec.containers[0].name) for spec in found.specs] == [
        ("f.yaml", "a"),
        ("f.yaml document 4 item 2", "c"),
        ("f.yaml document 5 item 1", "b"),
    ]
    assert found.notes == ("f.yaml: passed over 2 Service, 1 ConfigMap",)
    assert load_specs(write(tmp_path, pod(a={}))).notes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "Service"}, "service.yaml: document 1 is a Service; --spec needs a Pod or a workload that makes Pods"),
        ("kind: A\n---\nkind: B\n", "service.yaml: document 1 is a A, document 2 is a B; --spec needs"),
        ({"kind": "List", "items": []}, "service.yaml: the file holds no object; --spec needs"),
        ("---\n---\n", "service.yaml: the file holds no object"),
        ("# nothing\n", "service.yaml: the file holds no object"),
        ("hello", 'service.yaml: document 1: expected a Kubernetes object (a mapping with `kind`), got "hello"'),
        ("[1, 2]", "service.yaml: item 1: expected a Kubernetes object (a mapping with `kind`), got 1"),
        ("a: 1", "service.yaml: document 1: `kind` is missing; --spec needs"),
        ("kind: 5", "service.yaml: document 1: kind: expected text, got 5"),
        ("kind: \"\\e[31m\"", "service.yaml: document 1 is a \\u001b[31m"),
        ("", "service.yaml: the file is empty"),
    ],
)
def test_no_pod(tmp_path: Path, content: Any, message: str) -> None:
    """A file without any Pod says what it holds instead."""
    with pytest.raises(SpecError) as caught:
        read_specs(write(tmp_path, content, "service.yaml"))

    assert message in str(caught.value)


PROCESS = "; fill in a Template's parameters first: oc process -f TEMPLATE -o yaml > pods.yaml"


def test_template_must_be_processed(tmp_path: Path) -> None:
    """An OpenShift Template, whose objects hold parameters, is not read; the sentence says what to do with it, alone or among others."""
    inner = pod(a={"livenessProbe": {"tcpSocket": {"port": "${PORT}"}}})
    template = {"kind": "Template", "parameters": [{"name": "PORT"}], "objects": [inner]}

    with pytest.raises(SpecError) as caught:
        read_specs(write(tmp_path, template))
    assert str(caught.value).endswith("f.yaml: document 1 is a Template" + PROCESS)

    both = write(tmp_path, {"kind": "List", "items": [template, pod(a={})]})
    assert load_specs(both).notes == ("f.yaml: passed over 1 Template" + PROCESS,)


@pytest.mark.parametrize("kind", TEMPLATES)
def test_workloads_hold_what_pods_hold(tmp_path: Path, kind: str) -> None:
    """In every workload: named ports, defaults, sidecars with their own ports; ordinary init containers are left out."""
    containers = [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": {"httpGet": {"port": "http"}}}]
    side = {"name": "side", "restartPolicy": "Always", "startupProbe": {"grpc": {"port": 15021}}}
    value: dict[str, Any] = {"spec": {"containers": containers, "initContainers": [{"name": "migrate"}, side]}}
    for step in reversed(TEMPLATES[kind]):
        value = {step: value}

    (found,) = read_specs(write(tmp_path, {"kind": "List", "items": [{"kind": kind, "metadata": {"name": "w"}, **value}]}))

    assert [(each.name, each.sidecar) for each in found.containers] == [("app", False), ("side", True)]
    (ready,), (startup,) = (each.probes for each in found.containers)
    assert (ready.port, ready.port_name, ready.period_s, ready.timeout_s, ready.failure_threshold) == (8080, "http", 10, 1, 3)
    assert (startup.port, startup.type, startup.handler) == (15021, ProbeType.STARTUP, Handler.GRPC)
    assert (found.source, found.restart_policy, found.grace_s) == ("f.yaml item 1", "Always", 30)


PROBE = {"httpGet": {"port": 1}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spec": None}, "spec.containers: is missing; a Pod has at least one container"),
        ({"spec": {"containers": []}}, "spec.containers: is missing"),
        ({"spec": {"containers": {}}}, "spec.containers: expected a list, got an empty mapping"),
        ({"spec": {"containers": [None]}}, "spec.containers[0]: expected a mapping, got null"),
        ({"spec": {"containers": [{}]}}, "spec.containers[0].name: is missing"),
        ({"spec": {"containers": [{"name": "a"}, {"name": 5}]}}, "spec.containers[1].name: expected text, got 5"),
        ({"spec": {"containers": [{"name": "a", "ports": [{"name": "x"}]}]}}, "spec.containers[0].ports[0].containerPort: is missing"),
        (
            {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 99999}]}]}},
            "spec.containers[0].ports[0].containerPort: expected a number from 1 to 65535, got 99999",
        ),
        (
            {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "80"}]}]}},
            'spec.containers[0].ports[0].containerPort: expected a whole number, got "80"',
        ),
        ({"spec": {"containers": [{"name": "a", "livenessProbe": []}]}}, "spec.containers[0].livenessProbe: expected a mapping, got an"),
        (
            {"spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "i", "startupProbe": PROBE}]}},
            "spec.initContainers[0].startupProbe: is not allowed in an init container without restartPolicy: Always",
        ),
        ({"spec": {"containers": [{"name": "a"}], "restartPolicy": "No"}}, "spec.restartPolicy: expected one of Always, OnFailure, Never"),
        ({"spec": {"containers": [{"name": "a"}], "hostNetwork": "yes"}}, 'spec.hostNetwork: expected true or false, got "yes"'),
        ({"spec": {"containers": [{"name": "a"}], "terminationGracePeriodSeconds": "5"}}, "spec.terminationGracePeriodSeconds: expected"),
        ({"status": {"podIP": "10.0.0.999"}}, 'status.podIP: expected an IPv4 or IPv6 address, got "10.0.0.999"'),
        ({"status": {"podIPs": [{"ip": "x"}]}}, "status.podIPs[0].ip: expected an IPv4 or IPv6 address"),
        ({"status": {"podIPs": ["10.0.0.1"]}}, 'status.podIPs[0]: expected a mapping, got "10.0.0.1"'),
        ({"status": {"startTime": "now"}}, 'status.startTime: expected a time as 2026-01-31T12:00:00Z, got "now"'),
        (
            {"status": {"containerStatuses": [{"name": "a", "lastState": {"terminated": {"finishedAt": "x"}}}]}},
            "status.containerStatuses[0].lastState.terminated.finishedAt: expected a time",
        ),
        ({"metadata": {"name": "p", "deletionTimestamp": "x"}}, "metadata.deletionTimestamp: expected a time"),
        ({"metadata": {"name": "p", "labels": {"version": 1.0}}}, "metadata.labels[...]: expected text, got a number"),
        ({"metadata": "p"}, 'metadata: expected a mapping, got "p"'),
    ],
)
def test_wrong_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """A field of the wrong form is refused with file, document, path, what was expected and what was found."""
    with pytest.raises(SpecError) as caught:
        read_specs(write(tmp_path, {**pod(a={}), **change}))

    text = str(caught.value).removeprefix(str(tmp_path) + "/")
    assert text.startswith(f"f.yaml: document 1 (Pod{' p' if change.get('metadata') != 'p' else ''}): {message}")


def test_wrong_probe_has_its_place(tmp_path: Path) -> None:
    """A wrong probe is named by document, object, container and field."""
    wrong = {**pod(a={}, b={"readinessProbe": {"httpGet": {"port": 0}}}), "metadata": {"name": "web", "namespace": "lab"}}
    text = yaml.safe_dump_all([pod(a={}), wrong])

    with pytest.raises(SpecError) as caught:
        read_specs(write(tmp_path, text))

    assert str(caught.value).endswith(
        "f.yaml: document 2 (Pod lab/web): spec.containers[1].readinessProbe.httpGet.port: expected a number from 1 to 65535, got 0"
    )


def test_finished_pod(tmp_path: Path) -> None:
    """A Pod that is done ends with its last container; a running one does not, and times of Go's zero are none."""
    status = {
        "phase": "Succeeded",
        "podIP": "10.0.0.1",
        "containerStatuses": [
            {"name": "a", "state": {"terminated": {"startedAt": "2026-11-22T20:43:11Z", "finishedAt": "2026-11-22T20:43:20Z"}}},
            {"name": "b", "state": {"terminated": {"startedAt": None, "finishedAt": "0001-01-01T00:00:00Z"}}},
        ],
    }
    (done,) = read_specs(write(tmp_path, {**pod(a={}, b={}), "status": status}))
    (running,) = read_specs(write(tmp_path, {**pod(a={}, b={}), "status": {**status, "phase": "Running"}}))

    assert (done.ended_ns, running.ended_ns) == (T + 10 * SECOND, None)
    assert done.containers[1].starts == ()


def test_negative_grace(tmp_path: Path) -> None:
    """A negative grace period of the Pod counts as 1, and 0 as 0."""
    for written, meant in ((-5, 1), (0, 0), (None, 30)):
        value = pod(a={})
        value["spec"]["terminationGracePeriodSeconds"] = written
        assert read_specs(write(tmp_path, value))[0].grace_s == meant


def test_alias_between_probes(tmp_path: Path) -> None:
    """The usual alias of one probe for another works."""
    probes = "readinessProbe: &p {tcpSocket: {port: 1}}, livenessProbe: {<<: *p, periodSeconds: 3}"
    text = f"kind: Pod\nspec:\n  containers:\n  - {{name: a, {probes}}}\n"

    (found,) = read_specs(write(tmp_path, text))

    assert [(probe.port, probe.period_s) for probe in found.containers[0].probes] == [(1, 10), (1, 3)]


FRAGMENTS = st.lists(st.sampled_from(POD_YAML.splitlines()) | st.text(max_size=10), max_size=40).map("\n".join)


@given(FRAGMENTS)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines(tmp_path: Path, text: str) -> None:
    """A manifest with its lines shuffled, lost or replaced gives specs or SpecError, never anything else."""
    (tmp_path / "f.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    message = ""
    try:
        assert read_specs(str(tmp_path / "f.yaml"))
    except SpecError as error:
        message = str(error).replace(str(tmp_path), "")
    assert message.isprintable()


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.text(max_size=4) | st.just("2026-11-22T20:43:10Z"),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "containers", "ip", "state", "running"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Return the whole Pod with one of its values replaced by junk."""
    value: Any = yaml.safe_load(POD_YAML.replace("2026-11-22T20:43:10Z", "'2026-11-22T20:43:10Z'").replace("2026-11-22T20:50:00Z", "x"))
    here: Any = value
    for _ in range(draw(st.integers(0, 6))):
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if not isinstance(here[key], dict | list):
            here[key] = draw(JUNK)
            break
        here = here[key]
    else:
        if isinstance(here, dict) and here:
            here[draw(st.sampled_from(list(here)))] = draw(JUNK)
    return value


@given(damaged())
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value(tmp_path: Path, value: Any) -> None:
    """A Pod with any of its values replaced gives a spec or SpecError, never anything else."""
    message = ""
    try:
        assert read_specs(write(tmp_path, value))
    except SpecError as error:
        message = str(error).replace(str(tmp_path), "")
    assert message.isprintable()


@pytest.mark.parametrize(("text", "said"), [
    ('Error from server (Forbidden): pods "x" is forbidden: User "u" cannot get\n', "an error of kubectl's, not its output"),
    ("$ oc get pod web -o yaml\nkind: Pod\n", "its first line is the command"),
    ("NAME   READY   STATUS    RESTARTS   AGE\nweb    1/1     Running   0          1d\n", "the table that kubectl prints: give -o json"),
    ("Name:             web\nNamespace:        shop\nPriority:         0\n", "what kubectl describe prints"),
    ("kind: Pod\nspec:\n  containers:\n  - name: {{ .Values.name }}\n", "render it first, as with helm template"),
    ('Warning: v1 is old\n{"kind": "Pod", "spec": {}}', "its first line is a message of kubectl's"),
    ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec:\n  template:\n    spec: {}\n", "kubectl get pod NAME -o yaml"),
])
def test_what_is_no_manifest_is_named(tmp_path: Path, text: str, said: str) -> None:
    """What a terminal showed, an error, a template, and what makes Pods in a way of its own are named, with what to give."""
    path = tmp_path / "pod.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_specs(str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_misspelt_fields_are_told(tmp_path: Path) -> None:
    """A field that Kubernetes does not know has a note with the one that may be meant; nothing is refused, known ones have none."""
    probe = {"httpGet": {"path": "/", "port": 80, "pth": "/x"}, "periodSecond": 2, "timeoutSeconds": 1}
    pod = {"kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [
        {"name": "a", "image": "x", "readinessProbe": probe, "livnessProbe": {}, "lifecycle": {}},
    ]}}
    path = tmp_path / "pod.json"
    path.write_text(json.dumps(pod), encoding="utf-8")
    read = load_specs(str(path))
    assert read.specs[0].containers[0].probes[0].period_s == 10
    assert len(read.notes) == 3
    told = " ".join(read.notes)
    assert "\"periodSecond\" is no field that Kubernetes knows, and is passed over: did you mean periodSeconds?" in told
    assert "did you mean livenessProbe?" in told
    assert "did you mean path?" in told


@pytest.mark.parametrize("digits", ["9" * 60, "9" * 5_000, "9" * 6_000, "1e999", "-" + "9" * 5_000])
@pytest.mark.parametrize("form", ["YAML", "JSON"])
def test_a_number_beyond_all_limits_is_one_sentence(tmp_path: Path, digits: str, form: str) -> None:
    """However many digits it has, the field is named and what it wants; no word of Python's about its own limits."""
    text = json.dumps(pod(a={"readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 987}})).replace("987", digits)
    with pytest.raises(SpecError) as caught:
        read_specs(write(tmp_path, "# YAML\n" * (form == "YAML") + text))
    said = str(caught.value).removeprefix(str(tmp_path) + "/")
    found = "1e+60" if len(digits) == 60 else "a number beyond all limits"
    assert said.split("; ")[0] == (
        f"f.yaml: document 1 (Pod p): spec.containers[0].readinessProbe.periodSeconds: expected a whole number, got {found}"
    )
