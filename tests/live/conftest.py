"""Two network namespaces joined by a veth pair: a node and a pod, with a server in the pod and a kubelet-like prober on the node.

Everything is made for one test and taken away after it; where it cannot be made the test skips and says why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from probewatch.capture.netns import inside

NODE, POD = "10.128.0.1", "10.128.0.10"
NODE6, POD6 = "fd01::1", "fd01::10"
PORT = 8080
VETH = "veth0"
"""The pod's interface as the node sees it."""
PATIENCE_S = 10.0


def ip(*words: str) -> None:
    """Run the program of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=PATIENCE_S)


@dataclass
class Pod:
    """The two namespaces, and what can be done in them."""

    node: str
    name: str
    statuses: list[int] = field(default_factory=list)
    """What the server answers next; the last one goes on."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, address: str = POD, statuses: tuple[int, ...] = (200,)) -> None:
        """Answer GET on PORT inside the pod until the test ends."""
        self.statuses = list(statuses)
        if ":" in address:
            _reachable(self.node, address)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = inside(self.name, lambda: socket.create_server((address, PORT), family=family))
        listener.settimeout(0.1)
        thread = threading.Thread(target=self._answer, args=(listener,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _answer(self, listener: socket.socket) -> None:
        with listener:
            while not self._stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(1.0)
                    connection.recv(4096)
                    connection.sendall(f"HTTP/1.1 {status} Said\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())

    def probe(self, address: str = POD, path: str = "/ready") -> None:
        """Send one httpGet probe from the node as kubelet 1.36 does; what comes of it only the packets tell."""
        host = f"[{address}]" if ":" in address else address
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{PORT}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"

        def ask() -> None:
            with contextlib.suppress(OSError), socket.create_connection((address, PORT), timeout=1.0) as connection:
                connection.sendall(request.encode())
                while connection.recv(4096):
                    pass

        inside(self.node, ask)

    def probes(self, number: int, period_s: float = 1.0, address: str = POD) -> None:
        """Send so many probes, one each `period_s`, as the kubelet's ticker does."""
        begun = time.monotonic()
        for tick in range(number):
            time.sleep(max(0.0, begun + tick * period_s - time.monotonic()))
            self.probe(address)

    def close(self) -> None:
        """End the servers."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)


def _reachable(name: str, address: str) -> None:
    """Wait until an IPv6 neighbour answers: after a link came up its solicited multicast group takes a moment."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with inside(name, lambda: socket.socket(socket.AF_INET6)) as asking:
            asking.settimeout(0.5)
            try:
                asking.connect((address, 9))
            except ConnectionRefusedError:
                return
            except OSError:
                time.sleep(0.05)
    pytest.skip("IPv6 does not come up in network namespaces here")


@pytest.fixture
def pod(needs_root: None) -> Iterator[Pod]:  # noqa: ARG001  (skips)
    """Make the namespaces; take them away whatever happens."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed: it makes the network namespaces of this test")
    made = Pod(f"pw-node-{os.getpid()}", f"pw-pod-{os.getpid()}")
    try:
        try:
            ip("netns", "add", made.node)
            ip("netns", "add", made.name)
            ip("link", "add", VETH, "netns", made.node, "type", "veth", "peer", "name", "eth0", "netns", made.name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
        for name, device, address, address6 in ((made.node, VETH, NODE, NODE6), (made.name, "eth0", POD, POD6)):
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            ip("-n", name, "address", "add", f"{address6}/64", "dev", device, "nodad")
            ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        made.close()
        for name in (made.node, made.name):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=PATIENCE_S)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so; fail after PATIENCE_S."""

    def wait(so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < end, "it did not come to be"
            time.sleep(0.02)

    return wait
