"""`probewatch pods`: the Pods, interfaces, namespaces and addresses that this node shows."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from .options import Command, Option, output_options
from .output import manner, prepare_stdout
from .run import DONE


@click.command(cls=Command)
@click.option(
    "--cluster",
    "clusters",
    multiple=True,
    metavar="FILE",
    cls=Option,
    section="Interpret",
    help="What oc get nodes,pods -A -o json prints: names containers by their ids. Repeatable.",
)
@click.option(
    "--netns",
    metavar="NAME|PID",
    cls=Option,
    section="Input",
    help="Look from this network namespace instead of the current one.",
)
@click.option("--no-crictl", is_flag=True, cls=Option, section="Input", help="Do not ask the container runtime.")
@output_options("table", "json", says="table; json: probewatch.pods/1.")
def pods(clusters: Sequence[str], netns: str | None, no_crictl: bool, output: str, colour: str, quiet: bool) -> int:
    """List what this node shows of its Pods, each fact with its source.

    Exit status: 0 done; 2 usage, unreadable input, or this machine lets nothing be looked at; 130 interrupted.
    """
    del quiet  # there is nothing to leave out
    from ..api import address_book
    from ..capture.netns import inside
    from ..cluster.node import look
    from ..moments import InputError
    from ..report import jsontext, node

    prepare_stdout()
    book = address_book(cluster=clusters)
    where = int(netns) if netns is not None and netns.isdigit() else netns
    try:
        view = inside(where, lambda: look(book, crictl=not no_crictl))
    except OSError as error:
        raise InputError(f"this node's links cannot be looked at: {(error.strerror or str(error)).lower()}") from error
    if output == "json":
        jsontext.write(node.document(view), sys.stdout.write)
    else:
        node.write(view, sys.stdout.write, **manner(colour))
    return DONE
