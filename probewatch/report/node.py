"""What a node shows of itself: Pods, interfaces, namespaces and containers as a table and as JSON (`probewatch.pods/1`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..cluster.node import NodePod, NodeView
from .escape import pad, safe, width
from .jsontext import Json, valid_object
from .numbers import count
from .paper import COLUMNS, UNICODE, Glyphs, Paper, Span

SCHEMA: Final = "probewatch.pods/1"
MOST_SHOWN: Final = 4
"""Addresses of a Pod, and namespaces of no interest here, shown in the table."""
SHORT_ID: Final = 12
"""Digits of a container id in the table, as runtimes' own tools show them."""


def write(
    view: NodeView,
    out: Callable[[str], object],
    *,
    colour: bool = False,
    glyphs: Glyphs = UNICODE,
    columns: int = COLUMNS,
) -> None:
    """Write the table: the node's own addresses, then a Pod a row, with the source of each fact below."""
    paper = Paper(out, columns, colour=colour, glyphs=glyphs)
    own = [f"{safe(address)} ({safe(link.name)})" for link in view.links for address in link.addresses]
    paper.filled(
        ", ".join(own) or "no address but those that stay inside it",
        first=[Span(f"node {safe(view.host)}  ", "bold")],
        indent=6,
    )
    shown = [pod for pod in view.pods if not (_elsewhere(pod) or pod.routes)]
    rows = [_row(pod) for pod in shown]
    if rows:
        head = ("POD", "INTERFACE", "ADDRESS", "CONTAINERS")
        sizes = [max(width(row[column]) for row in (head, *rows)) for column in range(4)]
        paper.line()
        paper.line(Span("  ".join(pad(text, size) for text, size in zip(head, sizes, strict=True)).rstrip(), "dim"))
        for row, pod in zip(rows, shown, strict=True):
            paper.line("  ".join(pad(text, size) for text, size in zip(row, sizes, strict=True)).rstrip())
            if (pod.name or pod.containers) and (sources := _sources(pod)):
                paper.filled(sources, first=[Span("    ")], indent=4, style="dim")
    else:
        paper.line()
        paper.line("no Pod is behind an interface of this node")
    for pod in view.pods:
        if pod.routes:
            name, where, addresses, _ = _row(pod)
            paper.line()
            paper.filled(
                f"{name} at {where} ({addresses}) is no Pod: it passes packets between its links, as another node or a router does"
            )
    others = [pod for pod in view.pods if _elsewhere(pod)]
    if others:
        names = [safe(pod.net_namespace_name) or str(pod.net_namespace) for pod in others]
        paper.line()
        paper.filled(
            f"{count(len(others), 'network namespace')} behind no interface of this node: {_few(names)} (-o json has all)"
        )
    for note in view.notes:
        paper.filled(safe(note), first=[Span("note  ", "yellow")], indent=6)


def _elsewhere(pod: NodePod) -> bool:
    """Say whether it is a namespace that no container is in, and nothing joins with this one."""
    return not (pod.name or pod.uid or pod.containers or pod.interfaces or pod.host_network)


def _few(texts: Sequence[str]) -> str:
    """Return the first of many."""
    more = len(texts) - MOST_SHOWN
    return ", ".join(texts[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _row(pod: NodePod) -> tuple[str, str, str, str]:
    if pod.name:
        name = f"{safe(pod.namespace)}/{safe(pod.name)}"
    elif pod.uid:
        name = f"Pod {safe(pod.uid)}"
    else:
        name = (
            f"namespace {safe(pod.net_namespace_name)}" if pod.net_namespace_name else f"namespace {pod.net_namespace}"
        )
    where = "the node's own" if pod.host_network else ", ".join(map(safe, pod.interfaces)) or "-"
    containers = ", ".join(safe(one.name) or safe(one.id[:SHORT_ID]) for one in pod.containers)
    return name, where, _few([safe(address) for address in pod.addresses]) or "-", containers or "-"


def _sources(pod: NodePod) -> str:
    named = [f"{fact} by {safe(source)}" for fact, source in pod.sources.items()]
    if pod.net_namespace_name and pod.name:
        named.append(f"namespace {safe(pod.net_namespace_name)}")
    return ", ".join(named)


def document(view: NodeView) -> Json:
    """Return the JSON document."""
    made: Json = {
        "schema": SCHEMA,
        "host": view.host,
        "interfaces": [
            {
                "index": link.index,
                "name": link.name,
                "kind": link.kind or None,
                "up": link.up,
                "mac": link.mac or None,
                "addresses": list(link.addresses),
            }
            for link in view.links
        ],
        "pods": [
            {
                "namespace": pod.namespace or None,
                "name": pod.name or None,
                "uid": pod.uid or None,
                "host_network": pod.host_network,
                "addresses": list(pod.addresses),
                "interfaces": list(pod.interfaces),
                "routes": pod.routes,
                "net_namespace": {"inode": pod.net_namespace, "name": pod.net_namespace_name or None},
                "containers": [
                    {"id": one.id, "name": one.name or None, "pid": one.pid or None} for one in pod.containers
                ],
                "sources": dict(pod.sources),
            }
            for pod in view.pods
        ],
        "notes": list(view.notes),
    }
    return valid_object(made)
