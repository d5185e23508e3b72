"""What a text is that was given for objects of Kubernetes and is none: what a terminal showed, an error, a template; and what to give.

Only what can be nothing else is named: a text that parses is never looked at here but for its first line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from .errors import join, shown
from .schema import Container, ExecAction, GRPCAction, HTTPGetAction, Probe, TCPSocketAction

_FORMS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(?:Error from server|error: |Unable to connect to the server|The connection to the server )"),
     "it holds an error of kubectl's, not its output: "),
    (re.compile(r"[^\n#]{0,80}[$>%] ?(?:sudo )?(?:oc|kubectl|k) "),
     "its first line is the command that printed it: take that line out"),
    (re.compile(r"(?:[A-Z][A-Z()-]*(?: [A-Z]+)? {2,}){2,}[A-Z]"), "it is the table that kubectl prints: give -o json or -o yaml"),
    (re.compile(r"Name: {2,}\S[^\n]*\n(?:[^\n]*\n){0,3}?Namespace: "), "it is what kubectl describe prints: give get -o json or -o yaml"),
    (re.compile(r"(?:Warning|Defaulted|W\d{4} |I\d{4} )[^\n]*\n\s*[{\[]"), "its first line is a message of kubectl's: take that line out"),
    (re.compile(r"(?:[IWEF]\d{4} [\d:.]+ +\d+ \S+\.go:\d+\]|[^\n]{0,120} (?:kubelet|hyperkube|k3s|kubenswrapper)(?:\[\d+\])?: )"),
     "it is a log of the kubelet's: give it with --kubelet-log"),
)  # fmt: skip
_SHOWN: Final = 4096
_TEMPLATE: Final = "{{"
NEAR: Final = 0.75
"""How alike a key must be to one that is known."""

_HANDLERS: Final[dict[str, type[msgspec.Struct]]] = {
    "httpGet": HTTPGetAction,
    "tcpSocket": TCPSocketAction,
    "grpc": GRPCAction,
    "exec": ExecAction,
}
_PROBES: Final = ("readinessProbe", "livenessProbe", "startupProbe")


def mistaken(text: str) -> str | None:
    """Return what a text is by its beginning, and what to give; None where nothing tells."""
    begin = text[:_SHOWN].lstrip("\ufeff \t\r\n")
    for pattern, what in _FORMS:
        if pattern.match(begin):
            return what + shown(begin.splitlines()[0]) if what.endswith(": ") else what
    return None


def templated(text: str) -> str:
    """Return what to do where a text that cannot be parsed holds template actions; empty where it holds none."""
    if _TEMPLATE not in text:
        return ""
    return "; it holds template actions ({{ ... }}): render it first, as with helm template CHART > pods.yaml"


def unknown_keys(raw: Any, at: str) -> Iterator[str]:
    """Say of keys in a Pod's containers and their probes that Kubernetes does not know, with the one that may be meant."""
    for field in ("containers", "initContainers"):
        found = raw.get(field) if isinstance(raw, dict) else None
        for index, container in enumerate(found if isinstance(found, list) else ()):
            if not isinstance(container, dict):
                continue
            place = join(at, f"{field}[{index}]")
            for key in container:
                # (Of a container not all fields are known here: only what looks like a probe's name is meant.)
                near = get_close_matches(str(key), _PROBES, 1, NEAR)
                if near and key not in _known(Container):
                    yield _said(place, key, near)
            for name in _PROBES:
                probe = container.get(name)
                if isinstance(probe, dict):
                    yield from _unknown(probe, _known(Probe), join(place, name))
                    for handler, form in _HANDLERS.items():
                        if isinstance(action := probe.get(handler), dict):
                            yield from _unknown(action, _known(form), join(join(place, name), handler))


def _unknown(raw: dict[str, Any], known: Iterable[str], at: str) -> Iterator[str]:
    for key in raw:
        if key not in known:
            yield _said(at, key, get_close_matches(str(key), list(known), 1, NEAR))


def _known(form: type[msgspec.Struct]) -> tuple[str, ...]:
    return form.__struct_encode_fields__


def _said(at: str, key: object, near: list[str]) -> str:
    meant = f": did you mean {near[0]}?" if near else ""
    return f"{at}: {shown(str(key))} is no field that Kubernetes knows, and is passed over{meant}"
