"""What comes to pods beside the kubelet: a router, Services that follow readiness late, clients.

Runs as a process of its own: `python -m probewatch.lab.router PARENT CONFIG`.

    client pod --- 172.30.0.10:80 (web)   DNAT on the node --- the Ready pods' port, up_delay_s late, down_delay_s late
               --- 172.30.0.11:80 (wrong) DNAT on the node --- the same pods' wrong targetPort
               --- the pod's own address, whatever its state
               --- the router pod on the second node, over VXLAN (HAProxy, where it is installed)

A Service is what kube-proxy makes of it in iptables: DNAT to one of the Ready pods at random, and REJECT where none is
Ready. The delays stand for the API server, the endpoint controller and the proxies of all nodes. HAProxy has the
OpenShift router's configuration: a plain TCP check every 5 s of every pod, and no idea of readiness of its own.

Each client connection is written into `clients.jsonl` with what came of it.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probewatch.capture.netns import enter, inside

from .children import begin
from .dial import Deadline, dial, endpoint, go_words
from .namespaces import netlink
from .network import GATEWAY, SERVICES, Place

if TYPE_CHECKING:
    from .run import Run

CLIENT: Final = "client"
CLIENT_NUMBER: Final = 20
ROUTER: Final = "router"
ROUTER_NUMBER: Final = 10
SERVICE_PORT: Final = 80
TARGET_PORT: Final = 8080
PACE_S: Final = 0.25
"""Seconds between two turns of the clients, on average: people do not come at regular times, checks do."""
PATIENCE_S: Final = 1.0
_TURN_S: Final = 0.05
_IPTABLES_S: Final = 10.0


def build(run: Run) -> None:
    """Make the second node, the client's and the router's pods, and the Services' route."""
    cluster = run.cluster
    cluster.node(second=True)
    cluster.pod(Place(CLIENT, 0, CLIENT_NUMBER))
    cluster.pod(Place(ROUTER, 1, ROUTER_NUMBER))
    with netlink(run.netns) as ip:  # the node hands Services' addresses on, so that its rules see them
        tunnel = ip.link_lookup(ifname=GATEWAY)[0]
        if run.ipv6:
            ip.route("add", family=socket.AF_INET6, dst="fd02::/112", oif=tunnel)
        else:
            ip.route("add", dst="172.30.0.0/16", oif=tunnel)


def start_traffic(run: Run, *, detached: bool) -> list[subprocess.Popen[bytes]]:
    """Start this module's process."""
    traffic = run.scenario.traffic
    assert traffic is not None
    router = run.cluster.places[ROUTER]
    config = {
        "run": run.state.number,
        "home": str(run.state.path),
        "ipv6": run.ipv6,
        "node": run.netns,
        "client": run.cluster.netns(CLIENT),
        "router": run.cluster.netns(ROUTER),
        "router_address": run.address(router),
        "pods": {place.name: run.address(place) for place in run.places},
        "up_delay_s": traffic.up_delay_s,
        "down_delay_s": traffic.down_delay_s,
        "wrong_port": traffic.wrong_target_port,
        "until": run.deadline(),
    }
    return [run.start_process("router", [str(run.state.write("router.json", config))], detached=detached)]


def service(number: int, *, ipv6: bool) -> str:
    """Return the address of a Service, from 0."""
    head, _, last = SERVICES[ipv6].rpartition(":" if ipv6 else ".")
    return f"{head}{':' if ipv6 else '.'}{int(last) + number}"


class Proxy:
    """kube-proxy on the node: rules that follow who is Ready, late."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._program = "ip6tables-restore" if config["ipv6"] else "iptables-restore"
        self._seen: dict[str, bool] = {}
        self._due: list[tuple[float, str, bool]] = []
        self._endpoints: set[str] = set()

    def follow(self) -> None:
        """Look once at who is Ready, and write rules where something is due."""
        with suppress(OSError, ValueError):
            ready = json.loads((Path(self._config["home"]) / "ready.json").read_text(encoding="utf-8"))
            for pod, so in ready.items():
                if so is not self._seen.get(pod, False):
                    self._seen[pod] = so
                    self._due.append((time.monotonic() + self._config["up_delay_s" if so else "down_delay_s"], pod, so))
        now = time.monotonic()
        due = [item for item in self._due if item[0] <= now]
        self._due = [item for item in self._due if item[0] > now]
        for _, pod, so in due:
            (self._endpoints.add if so else self._endpoints.discard)(pod)
        if due:
            self.write()

    def write(self) -> None:
        """Write the rules of both Services anew, in one step."""
        targets = [self._config["pods"][pod] for pod in sorted(self._endpoints)]
        nat, forward = [], []
        for number, port in enumerate((TARGET_PORT, self._config["wrong_port"])):
            to = f"-d {service(number, ipv6=self._config['ipv6'])} -p tcp --dport {SERVICE_PORT}"
            for left, target in zip(range(len(targets), 0, -1), targets, strict=True):
                chance = f" -m statistic --mode random --probability {1 / left:.5f}" if left > 1 else ""
                nat.append(f"-A PREROUTING {to}{chance} -j DNAT --to-destination {endpoint((target, port))}")
            forward.append(f"-A FORWARD {to} -j REJECT")  # what no DNAT has taken up
        lines = ["*nat", ":PREROUTING ACCEPT", *nat, "COMMIT", "*filter", ":FORWARD ACCEPT", *forward, "COMMIT"]
        done = inside(
            self._config["node"],
            lambda: subprocess.run(
                [self._program, "-w", "5"],
                input="\n".join(lines) + "\n",
                text=True,
                capture_output=True,
                timeout=_IPTABLES_S,
                check=False,
            ),
        )
        if done.returncode:
            sys.stderr.write(f"{self._program} did not take the Services' rules: {done.stderr.strip()}\n")
            sys.exit(1)


class Clients:
    """Opens connections from the client pod, one after another, each named by what it is for."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._record = (Path(config["home"]) / "clients.jsonl").open("a", encoding="utf-8", buffering=1)
        ipv6, pod = config["ipv6"], next(iter(config["pods"].values()))
        self._goals: list[tuple[str, str, int, int]] = [
            # agent, address, port, in one of so many turns
            ("web-frontend", service(0, ipv6=ipv6), SERVICE_PORT, 1),
            ("billing", service(1, ipv6=ipv6), SERVICE_PORT, 3),
            ("batch-job", pod, TARGET_PORT, 6),
        ]
        if config["has_router"]:
            self._goals.append(("browser", config["router_address"], SERVICE_PORT, 2))

    def run(self) -> None:
        """Go on for ever, in the client's namespace."""
        enter(self._config["client"])
        while True:
            for agent, address, port, every in self._goals:
                if random.randrange(every) == 0:  # noqa: S311
                    self._ask(agent, address, port)
            time.sleep(random.expovariate(1 / PACE_S))

    def _ask(self, agent: str, address: str, port: int) -> None:
        said: dict[str, Any] = {"client": agent, "t": time.time()}
        deadline = Deadline(PATIENCE_S)
        try:
            with dial(address, port, deadline, said.update) as sock:
                sock.settimeout(max(deadline.left(), 0.001))
                request = f"GET / HTTP/1.1\r\nHost: web.lab\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
                sock.sendall(request.encode())
                answer = sock.recv(4096)
                while answer and sock.recv(4096):
                    pass
            said["result"] = answer.decode("latin-1").partition("\r\n")[0] or "closed"
        except TimeoutError:
            said["result"] = "no answer"
        except OSError as error:
            said["result"] = go_words(error)
        self._record.write(json.dumps(said, sort_keys=True) + "\n")


def haproxy_configuration(config: dict[str, Any]) -> str:
    """Return haproxy.cfg as the OpenShift router writes it (template haproxy-config.template), one route."""
    servers = [
        f"  server pod:{name}:web:http:{address}:{TARGET_PORT} {endpoint((address, TARGET_PORT))}"
        f" cookie {name} weight 1 check inter 5000ms"
        for name, address in config["pods"].items()
    ]
    bind = f":::{SERVICE_PORT} v6only" if config["ipv6"] else f":{SERVICE_PORT}"
    return "\n".join(
        [
            "global",
            "  nbthread 1",
            "defaults",
            "  mode http",
            "  timeout connect 5s",
            "  timeout client 30s",
            "  timeout server 30s",
            "  timeout check 5000ms",
            "frontend public",
            f"  bind {bind}",
            "  default_backend be_http:lab:web",
            "backend be_http:lab:web",
            "  option redispatch",
            "  balance random",
            *servers,
            "",
        ]
    )


def main(arguments: list[str]) -> None:
    """Run router, Services and clients until SIGTERM, or until the time that the configuration gives."""
    flag, path = arguments
    begin(flag, None)
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    config["has_router"] = shutil.which("haproxy") is not None
    if config["has_router"]:
        written = Path(config["home"]) / "haproxy.cfg"
        written.write_text(haproxy_configuration(config), encoding="utf-8")
        inside(config["router"], lambda: subprocess.Popen(["haproxy", "-q", "-db", "-f", str(written)]))
    proxy, clients = Proxy(config), Clients(config)
    proxy.write()
    threading.Thread(target=clients.run, name="clients", daemon=True).start()
    while time.time() < config["until"]:
        proxy.follow()
        time.sleep(_TURN_S)


if __name__ == "__main__":
    main(sys.argv[1:])
