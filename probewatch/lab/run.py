"""One scenario from beginning to end: namespaces, prober, servers, faults, and the interface where it is to be seen.

    with Run(SCENARIOS["flapping"], seconds=20) as run:
        ...                     # run.netns, run.interface: capture there
        run.begin()
        run.wait()
    # all is gone; run.record holds what the prober did, until `run.close()`

Theory of operation: the processes are children of this one (`children`) and die with it; namespaces and files are found by
the run's number (`state`), also after kill -9.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from .children import end, start, undisturbed
from .faults import BEFORE, Faults, Scene
from .network import FIRST_POD, GATEWAY, NODES, Cluster, Place, gateways, require_privileges, underlay
from .scenarios import PodPlan, Scenario
from .state import LabError, Process, State

VERSION: Final = "1.36"
"""Of the kubelet that the prober stands in for."""
SPARE_S: Final = 20.0
"""Seconds that its processes outlive a scenario, should nobody end them."""
_TURN_S: Final = 0.1
START_S: Final = 30.0
"""Seconds that the containers may take to start; far more than a busy machine needs."""
NAMESPACE: Final = "lab"
"""The Kubernetes namespace of all its pods."""


class Run:
    """A scenario that is set up. A context manager: leaving it takes everything away."""

    def __init__(self, scenario: Scenario, *, seconds: float | None = None, ipv6: bool = False) -> None:
        """Set up everything but the processes.

        Raises:
            LabError: a privilege, a program or a package is missing.
        """
        require_privileges()
        self.scenario, self.ipv6 = scenario, ipv6
        self.seconds = scenario.seconds if seconds is None else seconds
        self.state = State.begin(scenario.name)
        self.cluster = Cluster(self.state)
        self.places = [Place(pod.name, 0, FIRST_POD + number) for number, pod in enumerate(scenario.pods)]
        self._kubelet: subprocess.Popen[bytes] | None = None
        self._faults: Faults | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    # --- where to look ---

    @property
    def netns(self) -> str:
        """The node's network namespace."""
        return self.cluster.netns(NODES[0])

    @property
    def interface(self) -> str:
        """The node's interface where the scenario is to be seen."""
        return self.scenario.interface or self.places[0].link

    @property
    def record(self) -> Path:
        """What the prober did, in the form of captures/README.md."""
        return self.state.path / "truth.jsonl"

    @property
    def clients(self) -> Path:
        """What clients' connections came to; there only where the scenario has clients."""
        return self.state.path / "clients.jsonl"

    @property
    def manifests(self) -> list[Path]:
        """The pods as `kubectl get -o yaml` would print them."""
        several = len(self.places) > 1
        return [self.state.path / (f"pod-{place.name}.yaml" if several else "pod.yaml") for place in self.places]

    # --- from beginning to end ---

    def _build(self) -> None:
        scenario = self.scenario
        self.cluster.node()
        for place in self.places:
            self.cluster.pod(place)
        if scenario.traffic is not None:
            from .router import build

            build(self)
        for plan, place, path in zip(scenario.pods, self.places, self.manifests, strict=True):
            path.write_text(manifest(plan, self.address(place)), encoding="utf-8")
        for fault in scenario.faults:
            if fault.kind in BEFORE:
                BEFORE[fault.kind](self.cluster)
        if scenario.tls:
            write_certificate(self.state.path / "server.pem")

    def deadline(self) -> float:
        """Return when its processes end of themselves, should nobody end them: a Unix time in seconds."""
        return time.time() + START_S + self.seconds + SPARE_S

    def address(self, place: Place) -> str:
        """Return a pod's address of the family in use."""
        return place.address6 if self.ipv6 else place.address

    def begin(self, said: Callable[[str], None] = lambda _: None, *, detached: bool = False) -> None:
        """Start prober and servers, then faults; `said` hears of faults, from another thread.

        The scenario's time, and that of its faults, counts from here on: from the first start of each container, for on a
        busy machine a process may take seconds to come up.

        Raises:
            LabError: a process ended of itself, or no container came up.
        """
        config = self.state.write("kubelet.json", self._plan())
        self._kubelet = self.start_process("kubelet", [str(config)], detached=detached)
        if self.scenario.traffic is not None:
            from .router import start_traffic

            self._others = start_traffic(self, detached=detached)
        self._await_containers()
        self._faults = Faults(
            Scene(self.cluster, self.places, self.ipv6, self._kubelet.send_signal), self.scenario.faults, said
        )
        self._faults.start()

    def _await_containers(self) -> None:
        """Wait until the prober has started each container once."""
        wanted = sum(len(pod.containers) for pod in self.scenario.pods)
        until = time.monotonic() + START_S
        while not self.record.exists() or self.record.read_text(encoding="utf-8").count('"container_started"') < wanted:
            self.check()
            if time.monotonic() >= until:
                raise LabError(
                    f"the laboratory's containers did not start within {START_S:.0f} s: is the machine overloaded?"
                )
            time.sleep(_TURN_S / 5)

    def start_process(self, module: str, arguments: list[str], *, detached: bool) -> subprocess.Popen[bytes]:
        """Start a module of the laboratory as one of the run's processes."""
        log = self.state.path / f"{module}.log"
        return start(module, arguments, run=self.state.number, log=log, detached=detached)

    def _plan(self) -> dict[str, Any]:
        """Return what the prober is told."""
        scenario = self.scenario
        restart = scenario.kubelet_restart
        return {
            "run": self.state.number,
            "home": str(self.state.path),
            "netns": self.netns,
            "record": str(self.record),
            "version": VERSION,
            "until": self.deadline(),
            "restart": None if restart is None else {"at_s": restart[0], "for_s": restart[1]},
            "pods": [
                {
                    "yaml": str(path),
                    "netns": self.cluster.netns(place.name),
                    "delete_at_s": pod.delete_at_s,
                    "pre_stop_s": pod.pre_stop_s,
                    "sync_every_s": pod.sync_every_s,
                    "containers": {container.name: self._container(container) for container in pod.containers},
                }
                for pod, place, path in zip(scenario.pods, self.places, self.manifests, strict=True)
            ],
        }

    def _container(self, plan: Any) -> dict[str, Any]:
        if plan.run:
            return {"run": list(plan.run)}
        certificate = str(self.state.path / "server.pem")
        said: dict[str, Any] = {"serves": [{**serves, "certificate": certificate} for serves in plan.serves]}
        return said if plan.crash_s is None else {**said, "crash_s": plan.crash_s}

    def check(self) -> None:
        """Raise LabError where something that should run does not."""
        if self._faults is not None and self._faults.error is not None:
            raise self._faults.error
        for name, child in (("kubelet", self._kubelet), *(("router", other) for other in self._others)):
            if child is not None and child.poll() not in (None, 0):
                raise LabError(f"the laboratory's {name} process ended of itself: {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        path = self.state.path / f"{name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def wait(self) -> None:
        """Let the scenario take its time."""
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            self.check()
            time.sleep(min(_TURN_S, max(0.0, until - time.monotonic())))

    def stop(self) -> None:
        """End faults and processes; the record is whole then, and the namespaces still there."""
        if self._faults is not None:
            self._faults.stop()
        for child in (*self._others, *([self._kubelet] if self._kubelet is not None else [])):
            end(child)

    def close(self) -> None:
        """Take everything away, whatever signal comes meanwhile. A second call does nothing."""
        with undisturbed():
            self.stop()
            self.state.remove()

    def release(self) -> None:
        """Leave it running without this process, for `lab down` to end."""
        self.state.keeps()
        self._kubelet, self._others, self._faults = None, [], None

    def tour(self) -> list[str]:
        """Return what runs where, and how to get there, a line each."""
        lines = [f"cluster {self.state.number}, for {self.seconds / 60:.0f} minutes", ""]
        for name in NODES:
            number = NODES.index(name)
            lines.append(
                f"{self.cluster.netns(name):<24} {name}: {GATEWAY} {gateways(number)[self.ipv6]}, eth0 {underlay(number)}"
            )
        for place in self.cluster.places.values():
            where = f"{place.link} on {NODES[place.node]}"
            lines.append(f"{self.cluster.netns(place.name):<24} pod {place.name}: {self.address(place)}, {where}")
        first = self.places[0]
        return [
            *lines,
            "",
            f"watch its probes:   probewatch watch --netns {self.netns}"
            + "".join(f" --spec {path}" for path in self.manifests),
            f"enter the node:     ip netns exec {self.netns} bash",
            f"look at {first.name + ':':<12}ip netns exec {self.netns} tcpdump -ni {first.link}",
            f"its manifests:      {', '.join(str(path) for path in self.manifests)}",
            f"the prober's record {self.record}",
            "end it:             probewatch lab down",
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def manifest(plan: PodPlan, address: str) -> str:
    """Return a pod's manifest, with its address, as YAML."""
    import yaml

    containers = []
    for container in plan.containers:
        ports = [{"containerPort": port} for port in container.ports]
        said: dict[str, Any] = {"name": container.name, "image": "registry.lab/app:1"}
        if ports:
            said["ports"] = ports
        containers.append({**said, **yaml.safe_load(container.probes)})
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": plan.name, "namespace": NAMESPACE},
            "spec": {"terminationGracePeriodSeconds": plan.grace_s, "containers": containers},
            "status": {"podIP": address, "podIPs": [{"ip": address}]},
        },
        sort_keys=False,
    )


def write_certificate(path: Path) -> None:
    """Write a key and a self-signed certificate of an hour.

    Raises:
        LabError: the package that makes them is missing.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise LabError(
            "this scenario needs a certificate, and the package cryptography to make it: pip install 'probewatch[tls]'"
        ) from None
    from datetime import UTC, datetime, timedelta

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web.lab")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("web.lab")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )


def down(numbers: Collection[str] = (), *, also_living: bool = False) -> tuple[list[str], list[str]]:
    """Take away what runs have left, all of them or those of these numbers.

    Returns what was there, and which runs were left alone because they live.
    """
    from .state import runs

    removed, living = [], []
    for state in runs():
        if numbers and state.number not in numbers:
            continue
        owner = state.owner()
        if owner is not None and not also_living:
            living.append(f"{state.number} ({state.scenario()}, process {owner.pid})")
            continue
        if owner is not None:
            _end_owner(owner)
        removed += state.remove()
    return removed, living


def _end_owner(owner: Process) -> None:
    owner.kill(signal.SIGTERM)
    until = time.monotonic() + SPARE_S
    while owner.alive and time.monotonic() < until:
        time.sleep(_TURN_S)
    owner.kill(signal.SIGKILL)


def node_address(*, ipv6: bool) -> str:
    """Return the address that the prober asks from."""
    return gateways(0)[ipv6]
