"""Bulk transfers are left out by the kernel, and nothing else is."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from probewatch.capture.bulk import BULK_BYTES, Bulk
from probewatch.capture.kernel import EVERYTHING
from probewatch.capture.live import Live
from probewatch.capture.netns import inside

FAMILIES = pytest.mark.parametrize("address", ["10.128.0.10", "fd01::10"], ids=["IPv4", "IPv6"])


def transfer(pod, address: str, size: int, port: int = 9999) -> int:
    """Send so many bytes from the node into the pod on one connection; return the port they came from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = inside(pod.name, lambda: socket.create_server((address, port), family=family))

    def sink() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(1 << 20):
                pass

    reader = threading.Thread(target=sink)
    reader.start()
    with inside(pod.node, lambda: socket.create_connection((address, port), timeout=60)) as sender:
        local = sender.getsockname()[1]
        block = bytes(1 << 20)
        for _ in range(size >> 20):
            sender.sendall(block)
    reader.join(timeout=60)
    listener.close()
    return local


@FAMILIES
@pytest.mark.parametrize("interface", ["any", "veth0"])
def test_a_bulk_transfer_is_left_out(pod, address: str, interface: str) -> None:
    """Of 200 MB little is copied, but its SYNs and FINs are, and so is every frame of a probe beside it."""
    pod.serve(address)
    bulk = Bulk()
    frames = []
    with Live(interface, netns=pod.node, filter=EVERYTHING, ring=32 << 20, bulk=bulk) as live:
        live.begin()
        pod.probe(address)
        worker = threading.Thread(target=transfer, args=(pod, address, 200 << 20))
        worker.start()
        while worker.is_alive():
            frames += live.poll(0.05)
            if bulk.left_out:
                with contextlib.suppress(OSError):
                    pod.probe(address)
        worker.join()
        live.stop()
        frames += list(live)
        counts = live.counts()
    assert bulk.found == 1
    assert not bulk.left_out
    assert counts.dropped == 0
    copied = sum(frame.original_length for frame in frames)
    assert BULK_BYTES <= copied < 100 << 20
