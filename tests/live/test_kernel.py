"""Bulk transfers are left out by the kernel, and nothing else is.

Covers `capture.kernel` and `capture.bulk`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from probewatch.capture.bulk import BULK_BYTES, Bulk
from probewatch.capture.kernel import EVERYTHING
from probewatch.capture.live import Live
from probewatch.capture.netns import inside
from tests.live.conftest import PATIENCE_S, POD

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


def test_a_transfer_that_is_under_way_is_left_out(pod) -> None:
    """What came into the ring before capturing began is forgotten, and nothing is learnt of it: a transfer is found anew, and left out."""
    sent, stop = 0, threading.Event()
    listener = inside(pod.name, lambda: socket.create_server((POD, 9000)))
    sender = inside(pod.node, lambda: socket.create_connection((POD, 9000), timeout=60))
    taker, _ = listener.accept()

    def flow() -> None:
        nonlocal sent
        block = bytes(1 << 18)
        while not stop.is_set():
            sender.sendall(block)
            sent += len(block)

    def sink() -> None:
        while taker.recv(1 << 20):
            pass

    threads = [threading.Thread(target=flow, daemon=True), threading.Thread(target=sink, daemon=True)]
    for thread in threads:
        thread.start()
    bulk = Bulk()
    try:
        with Live("any", netns=pod.node, filter=EVERYTHING, ring=32 << 20, bulk=bulk) as live:
            assert live._backlog is not None
            assert live._backlog._kernel is not None
            live._backlog._kernel.leave_out(())  # as between opening the socket and holding it, on a slow machine
            came = sent
            while sent < came + 4 * BULK_BYTES:
                time.sleep(0.01)
            live._backlog._kernel.pass_nothing()
            live.begin()
            end = time.monotonic() + PATIENCE_S
            while not bulk.left_out and time.monotonic() < end:
                live.poll(0.05)
            assert bulk.left_out
            before, passed, end = sent, live.counts().received, time.monotonic() + PATIENCE_S
            while sent < before + (128 << 20) and time.monotonic() < end:
                live.poll(0.05)
            # A frame holds 64 KiB at most, so so many there were at least, and as many acknowledgments as the taker likes.
            assert live.counts().received - passed < (sent - before) / (64 << 10) / 4
    finally:
        stop.set()
        threads[0].join(PATIENCE_S)
        sender.close()
        threads[1].join(PATIENCE_S)
        taker.close()
        listener.close()
