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
from pathlib import Path

import pytest

from probewatch.capture.netns import inside

NODE, POD = "10.128.0.1", "10.128.0.10"
NODE6, POD6 = "fd01::1", "fd01::10"
PORT = 8080
VETH = "veth0"
"""The pod's interface as the node sees it."""
PATIENCE_S = 60.0
"""Seconds that anything may take on a machine that has other things to do; nothing waits so long where it does not have to."""


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


@dataclass
class Node:
    """A node with a bridge, `tun0`, and pods behind veths: each a namespace with a server of its own."""

    name: str
    pods: dict[str, str] = field(default_factory=dict)
    """Address -> namespace."""
    answers: dict[str, Callable[[str], int]] = field(default_factory=dict)
    """Address -> what its server answers to a path."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _serial: int = 0

    def pod(self, address: str, answer: Callable[[str], int] = lambda _: 200, *, serve: bool = True) -> None:
        """Add a pod; an IPv6 address begins with fd01::, an IPv4 one with 10.128."""
        self._serial += 1
        name, veth = f"{self.name}-p{self._serial}", f"veth{self._serial}"
        ip("netns", "add", name)
        self.pods[address] = name
        ip("link", "add", veth, "netns", self.name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "address", "add", f"{address}/{64 if ':' in address else 16}", "dev", "eth0", *(["nodad"] if ":" in address else []))
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", self.name, "link", "set", veth, "master", "tun0", "up")
        self.answers[address] = answer
        if serve:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = inside(name, lambda: socket.create_server((address, PORT), family=family))
            listener.settimeout(0.1)
            self._start(self._serve, listener, address)

    def _serve(self, listener: socket.socket, address: str) -> None:
        with listener:
            while not self._stop.is_set() and address in self.pods:
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(1.0)
                    words = connection.recv(4096).split()
                    status = self.answers[address](words[1].decode() if len(words) > 1 else "")
                    body = b"x" * (40_000 if b"big" in (words[1:2] or [b""])[0] else 2)
                    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                    connection.sendall(head.encode())
                    connection.sendall(body)

    def remove(self, address: str) -> None:
        """Take a pod away: its namespace, and with it the veth."""
        name = self.pods.pop(address)
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=PATIENCE_S)

    def probe(self, address: str, path: str = "/ready", timeout: float = 1.0) -> None:
        """Send one httpGet probe as kubelet 1.36 does."""
        host = f"[{address}]" if ":" in address else address
        request = f"GET {path} HTTP/1.1\r\nHost: {host}:{PORT}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"

        def ask() -> None:
            with socket.create_connection((address, PORT), timeout=timeout) as connection:
                connection.sendall(request.encode())
                while connection.recv(65536):
                    pass

        with contextlib.suppress(OSError):
            inside(self.name, ask)

    def kubelet(self, address: str, path: str, period_s: float, times: int = 1_000) -> threading.Thread:
        """Probe so many times (or until the test ends), one each `period_s`, beside everything else."""

        def go() -> None:
            begun = time.monotonic()
            for tick in range(times):
                if self._stop.wait(max(0.0, begun + tick * period_s - time.monotonic())):
                    return
                self.probe(address, path)

        return self._start(go)

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def close(self) -> None:
        """End everything, and take it away."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        for address in list(self.pods):
            self.remove(address)
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True, timeout=PATIENCE_S)


@pytest.fixture
def node(needs_root: None) -> Iterator[Node]:  # noqa: ARG001  (skips)
    """Make a node without pods; take everything away whatever happens."""
    if shutil.which("ip") is None:
        pytest.skip("ip (iproute2) is not installed: it makes the network namespaces of this test")
    made = Node(f"pwW-{os.getpid()}")
    try:
        try:
            ip("netns", "add", made.name)
            ip("-n", made.name, "link", "add", "tun0", "type", "bridge")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
        ip("-n", made.name, "link", "set", "lo", "up")
        ip("-n", made.name, "address", "add", "10.128.0.1/16", "dev", "tun0")
        ip("-n", made.name, "address", "add", "fd01::1/64", "dev", "tun0", "nodad")
        ip("-n", made.name, "link", "set", "tun0", "up")
        yield made
    finally:
        made.close()


@pytest.fixture
def small_disk(needs_root: None, tmp_path: Path) -> Iterator[Path]:  # noqa: ARG001  (skips)
    """Return a directory with room for 8 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "probewatch", str(disk)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be made here: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so; fail after PATIENCE_S."""

    def wait(so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < end, "it did not come to be"
            time.sleep(0.02)

    return wait
