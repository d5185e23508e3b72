"""How `probewatch watch` keeps up: 600 probes a second beside a bulk transfer as fast as the machine can, on one node.

    sudo python benchmarks/watch_load.py [--seconds 30] [--no-bulk]

Makes a node and ten pods with ten addresses each in network namespaces (and takes them away), two servers on each address
(containers), and a prober that sends three probes to each once a second as a kubelet does, evenly spread. Prints what was
sent, what watch saw of it, what the kernel dropped, and the share of a core that watch took. Nothing is asserted but that
no probe was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from probewatch.capture.netns import inside

ROOT = Path(__file__).parents[1]
NODE = f"pwW-load-{os.getpid()}"
PODS, ADDRESSES, PORTS, PATHS = 10, 10, (8080, 8081), ("/ready", "/live", "/extra")
REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.36\r\nAccept: */*\r\nConnection: close\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def ip(*words: str) -> None:
    """Run the program of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def build() -> None:
    """Make the node and its pods."""
    ip("netns", "add", NODE)
    ip("-n", NODE, "link", "add", "tun0", "type", "bridge")
    ip("-n", NODE, "link", "set", "lo", "up")
    ip("-n", NODE, "address", "add", "10.128.0.1/16", "dev", "tun0")
    ip("-n", NODE, "link", "set", "tun0", "up")
    for pod in range(PODS):
        name = f"{NODE}-{pod}"
        ip("netns", "add", name)
        ip("link", "add", f"veth{pod}", "netns", NODE, "type", "veth", "peer", "name", "eth0", "netns", name)
        for address in addresses(pod):
            ip("-n", name, "address", "add", f"{address}/16", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", NODE, "link", "set", f"veth{pod}", "master", "tun0", "up")


def addresses(pod: int) -> list[str]:
    """Return a pod's addresses."""
    return [f"10.128.1.{1 + pod * ADDRESSES + n}" for n in range(ADDRESSES)]


def tear_down() -> None:
    """Take everything away."""
    for name in (NODE, *(f"{NODE}-{pod}" for pod in range(PODS))):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def child(work, *arguments: object) -> int:
    """Run a function in a process of its own."""
    pid = os.fork()
    if not pid:
        os.setsid()
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return pid


def serve() -> None:
    """Answer every probe in every pod, from one process."""
    watched = selectors.DefaultSelector()
    for pod in range(PODS):
        for port in PORTS:
            listener = inside(f"{NODE}-{pod}", lambda port=port: socket.create_server(("", port), backlog=1024))
            watched.register(listener, selectors.EVENT_READ, True)
    while True:
        for key, _ in watched.select():
            if key.data:
                connection, _ = key.fileobj.accept()
                watched.register(connection, selectors.EVENT_READ, False)
            else:
                watched.unregister(key.fileobj)
                with key.fileobj as connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(ANSWER)


def transfer() -> None:
    """Send as fast as the machine can, from the first pod to the second, for ever."""
    listener = inside(f"{NODE}-1", lambda: socket.create_server((addresses(1)[0], 9000)))
    sender = inside(f"{NODE}-0", lambda: socket.create_connection((addresses(1)[0], 9000)))
    connection, _ = listener.accept()
    if not os.fork():
        buffer = bytearray(1 << 20)
        while connection.recv_into(buffer):
            pass
        os._exit(0)
    block = bytes(1 << 20)
    while True:
        sender.sendall(block)


def probe(seconds: int, report: Path) -> None:
    """Send each probe once a second, each in its own place of the second; write how many were sent."""
    asked = [
        (address, port, REQUEST.format(path=path, host=f"{address}:{port}").encode())
        for pod in range(PODS)
        for address in addresses(pod)
        for port in PORTS
        for path in PATHS
    ]
    sent = late = 0

    def go() -> None:
        nonlocal sent, late
        begun = time.monotonic() + 0.5
        for turn in range(seconds):
            for place, (address, port, request) in enumerate(asked):
                wait = begun + turn + place / len(asked) - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                late += wait < -0.1
                with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
                    sent += 1
                    connection.sendall(request)
                    while connection.recv(4096):
                        pass

    inside(NODE, go)
    report.write_text(json.dumps([sent, late]))


def bulk_bytes() -> int:
    """Return the bytes that the transfer has moved."""
    said = subprocess.run(["ip", "-n", NODE, "-s", "-j", "link", "show", "veth1"], capture_output=True, check=True)
    return json.loads(said.stdout)[0]["stats64"]["tx"]["bytes"]


def main() -> int:
    """Run it."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--seconds", type=int, default=30)
    given.add_argument("--no-bulk", action="store_true")
    given.add_argument("--later", action="store_true", help="begin the bulk transfer while watch runs")
    given.add_argument("-w", dest="kept", default="", help="keep what watch saw")
    given.add_argument("-o", dest="output", default="table")
    chosen = given.parse_args()
    children: list[int] = []
    try:
        build()
        with tempfile.TemporaryDirectory() as folder:
            children.append(child(serve))
            if not (chosen.no_bulk or chosen.later):
                children.append(child(transfer))
            time.sleep(1)
            out, report = Path(folder, "out"), Path(folder, "sent")
            command = [sys.executable, "-m", "probewatch.cli", "watch", "--netns", NODE, "-o", chosen.output]
            command += ["-w", chosen.kept] if chosen.kept else []
            with out.open("wb") as file, Path(folder, "err").open("wb") as notes:
                watch = subprocess.Popen(
                    command, stdout=file, stderr=notes, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
                )
            until = time.monotonic() + 60
            while "watching" not in Path(folder, "err").read_text() and time.monotonic() < until:
                time.sleep(0.1)
            used, moved, begun = cpu(watch.pid), bulk_bytes(), time.monotonic()
            prober = child(probe, chosen.seconds, report)
            if chosen.later:
                time.sleep(chosen.seconds / 2)
                children.append(child(transfer))
            os.waitpid(prober, 0)
            took = time.monotonic() - begun
            used, moved = cpu(watch.pid) - used, bulk_bytes() - moved
            memory = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{watch.pid}/status").read_text())[1]
            stopping = time.monotonic()
            watch.send_signal(signal.SIGINT)
            watch.wait(timeout=300)
            ending = time.monotonic() - stopping
            sent, late = json.loads(report.read_text())
            told = out.read_text()
            if chosen.output == "ndjson":
                seen = len({line["id"] for line in map(json.loads, told.splitlines()) if line["event"] == "attempt"})
                capture = next(line for line in map(json.loads, told.splitlines()) if line["event"] == "capture")
                lost = [interface.get("drops") for interface in capture["interfaces"]]
                account = f"{capture['frames']} frames, complete {capture['complete']}, lost {lost}"
            else:
                # (The last moments before Ctrl-C stand in the table alone.)
                seen = sum(map(int, re.findall(r"(?m)^  result +(\d+) attempts?\b", told)))
                account = " ".join(next(line for line in told.splitlines() if " frames in " in line).split())
            print(f"sent      {sent} probes in {took:.1f} s: {sent / took:.0f}/s, {late} of them more than 0.1 s late")
            print(f"bulk      {moved * 8 / took / 1e9:.1f} Gbit/s")
            print(f"seen      {seen} attempts; status {watch.returncode}; {account}")
            print(
                f"watch     {100 * used / took:.0f} % of a core, {int(memory) // 1024} MB at most; {ending:.1f} s for the summary"
            )
            print(f"notes     {Path(folder, 'err').read_text().strip()}")
            return 0 if seen == sent else 1
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        tear_down()


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
