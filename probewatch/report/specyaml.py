"""Inferred specs as YAML to paste: a Pod for each address probed, each field with how sure it is, and why, in a comment.

One Pod is a document, several are a List, as kubectl prints them; each has the address probed as its status.podIP, so
that the file is also a `--spec` for the same capture. What is not visible stands in a comment. A probe of unknown type
stands under a key that Kubernetes refuses (`unknownProbe`), so that nobody applies a guess.

Everything from packets is written as `scalar` (a value) or `escape.safe` (a comment).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from ..cluster.golang import request_target
from ..cluster.probe import HEADER_NAME, MAX_PATH
from ..model.spec import DEFAULTS, Handler
from ..verify.inferred import (
    Confidence,
    Headers,
    Inferred,
    InferredContainer,
    InferredField,
    InferredPod,
    InferredProbe,
)
from . import words
from .escape import safe, shorten, width
from .numbers import count
from .paper import wrap
from .scalar import scalar

WIDEST: Final = 200
"""Columns of a line; a longer comment is cut, a value never."""
TEXT: Final = 98
"""Columns of a comment that stands alone."""
UNKNOWN_KEY: Final = "unknownProbe"
"""What a probe of unknown type stands under."""
INSIDE: Final = {
    Handler.HTTP_GET: ("path", "port", "scheme", "httpHeaders"),
    Handler.TCP_SOCKET: ("port",),
    Handler.GRPC: ("port", "service"),
    Handler.EXEC: ("command",),
}
"""Fields of each handler, in the order kubectl prints them."""

MEANINGS: Final = {
    Confidence.READ: "it can be read in the packets",
    Confidence.SHOWN: "no other value explains what the kubelet did",
    Confidence.LIKELY: "the best explanation, but not the only one",
    Confidence.BOUNDED: "several values are possible; this is the default or the one nearest to it",
    Confidence.NOT_VISIBLE: "the packets do not show it; the default is written",
}
"""What each word in the comments means."""

Out = Callable[[str], object]


def write(inferred: Inferred, out: Out, *, made_from: str = "a capture") -> None:
    """Write the specs; `made_from` names the capture in the first line."""
    _say(out, "", f"Inferred by probewatch spec from {made_from}: nothing here was declared.")
    for confidence, meaning in MEANINGS.items():
        _say(out, "", f"{confidence.value}: {meaning}", hang="  ")
    if inferred.left_out:
        kinds = Counter(probe.checker.kind for probe in inferred.left_out)
        named = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())
        _say(out, "", f"Left out: {count(len(inferred.left_out), 'check')} by others than a kubelet ({named}).")
    if not inferred.pods:
        _say(out, "", "No probe of a kubelet is in this input.")
        return
    if len(inferred.pods) == 1:
        _pod(inferred.pods[0], out, "", "")
        return
    out("apiVersion: v1\nkind: List\nitems:\n")
    for pod in inferred.pods:
        _pod(pod, out, "- ", "  ")


def _pod(pod: InferredPod, out: Out, first: str, rest: str) -> None:
    out(f"{first}apiVersion: v1\n{rest}kind: Pod\n{rest}metadata:\n")
    if pod.name is not None:
        _line(out, f"{rest}  name: {scalar(pod.name)}")
        if pod.namespace is not None:
            _line(out, f"{rest}  namespace: {scalar(pod.namespace)}")
    else:
        _line(out, f"{rest}  name: {scalar(_placeholder('pod', pod.address))}", "not visible: packets name no Pod")
    out(f"{rest}spec:\n{rest}  containers:\n")
    unnamed = [container for container in pod.containers if container.name is None]
    for container in pod.containers:
        name, why = container.name, ""
        if name is None:
            place = unnamed.index(container)
            name = "app" if len(unnamed) == 1 else f"app-{place + 1}"
            why = "not visible: packets name no container"
            if len(unnamed) > 1:
                why += "; one container cannot have all these probes"
        _line(out, f"{rest}  - name: {scalar(name)}", why)
        _container(container, out, rest + "    ")
    out(f"{rest}status:\n")
    if pod.address.startswith("container"):
        _line(out, f"{rest}  # podIP:", f"not visible: nothing tells the address of {pod.address}")
    else:
        _line(out, f"{rest}  podIP: {scalar(pod.address)}", "read: the address probed; it matches this Pod to captures")


def _placeholder(word: str, address: str) -> str:
    return f"{word}-" + re.sub(r"[^0-9a-z]+", "-", address.lower()).strip("-")


def _container(container: InferredContainer, out: Out, indent: str) -> None:
    unknown = 0
    for one in container.probes:
        kind = one.field("type")
        asked = (
            f"{words.request(one.probe)}, {count(len(one.probe.attempts), 'attempt')} by {words.who(one.probe.checker)}"
        )
        _say(out, indent, asked, ready=True)
        if not one.proven:
            _say(out, indent, "nothing proves that a kubelet sends it; if none does, this is no Pod's spec")
        if len(one.types) == 1:
            _line(out, f"{indent}{one.types[0].value}Probe:", _comment(kind))
        else:
            unknown += 1
            keys = [f"{each.value}Probe" for each in one.types]
            key = UNKNOWN_KEY if unknown == 1 else f"{UNKNOWN_KEY}{unknown}"
            _say(out, indent, f"rename {key} to {' or '.join(keys)}: which of them is not visible")
            _line(out, f"{indent}{key}:", _comment(kind))
        _probe(one, out, indent + "  ")


def _probe(one: InferredProbe, out: Out, indent: str) -> None:
    _line(out, f"{indent}{one.handler.value}:", _comment(one.field("handler")))
    for name in INSIDE.get(one.handler, ()):
        field = one.field(name)
        if field is None:
            continue
        if name == "httpHeaders" and isinstance(field.value, tuple):
            _headers(field.value, field, one, out, indent + "  ")
        elif name == "command":
            # a JSON list is YAML too; in ASCII it holds nothing that a terminal would act on
            _line(out, f"{indent}  command: {json.dumps(json.loads(str(field.value)))}", _comment(field))
        elif name == "path":
            _path(field, out, indent + "  ")
        else:
            empty = field.value == "" and field.confidence is Confidence.READ
            _field(field, out, indent + "  ", visible=not empty)
    for name in DEFAULTS:
        field = one.field(name)
        if field is not None:
            _field(field, out, indent)


def _field(field: InferredField, out: Out, indent: str, *, visible: bool = True, more: str = "") -> None:
    """Write a field; one that is not visible, or needs no line, as a comment."""
    value = scalar(field.value) if isinstance(field.value, int | str) else ""
    hidden = field.confidence is Confidence.NOT_VISIBLE or not visible
    _line(out, f"{indent}{'# ' if hidden else ''}{field.field}: {value}", _comment(field) + more)


def _path(field: InferredField, out: Out, indent: str) -> None:
    """Write a path; the kubelet takes it for a reference, and may ask for something else than it says."""
    path = str(field.value)
    if len(path) > MAX_PATH:
        _say(out, indent, f"path left out: its {len(path)} characters are more than a manifest may have")
        return
    sent = request_target(path)
    _field(field, out, indent, more="" if sent == path else f"; a kubelet asks for {safe(sent)} instead")


def _headers(headers: Headers, field: InferredField, one: InferredProbe, out: Out, indent: str) -> None:
    """Write headers; those whose names Kubernetes refuses as comments."""
    taken = [(name, value) for name, value in headers if HEADER_NAME.fullmatch(name)]
    comment = _comment(field)
    host = next((value for name, value in headers if name == "Host"), "")
    if one.probe.target.port is not None and host.endswith(f":{one.probe.target.port}"):
        comment += "; httpGet.host would send this Host too"
    if not taken:
        _line(out, f"{indent}# httpHeaders: []", comment)
    else:
        _line(out, f"{indent}httpHeaders:", comment)
    for name, value in taken:
        _line(out, f"{indent}- name: {scalar(name)}")
        _line(
            out, f"{indent}  value: {scalar(value)}", "" if value else "empty: takes away what the kubelet would send"
        )
    for name, _ in [each for each in headers if each not in taken]:
        _say(out, indent, f"left out: a header {name!r}, which Kubernetes does not take")


def _comment(field: InferredField | None) -> str:
    return "" if field is None else safe(f"{field.confidence.value}: {field.reason}")


def _line(out: Out, text: str, comment: str = "") -> None:
    """Write YAML with a comment behind it, cut where the line becomes too long."""
    room = max(40, WIDEST - width(text) - 4)
    out(text + (f"  # {shorten(comment, room)}" if comment else "") + "\n")


def _say(out: Out, indent: str, text: str, *, hang: str = "", ready: bool = False) -> None:
    """Write a comment that stands alone, in as many lines as it takes; `ready` text is safe already."""
    for number, row in enumerate(wrap(text if ready else safe(text), TEXT - len(indent) - len(hang))):
        out(f"{indent}# {hang if number else ''}{row}\n")
