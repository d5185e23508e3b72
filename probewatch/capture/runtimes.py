"""Command lines of OCI runtimes: what `runc`, `crun` and their like were told to run in which container.

`runc [global options] exec [options] CONTAINER COMMAND...`, or `exec --process FILE CONTAINER` with the command in FILE
(the OCI runtime spec's process object), as containerd's shim and CRI-O call it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from probewatch.model.process import Asked

RUNTIMES: Final = frozenset({"runc", "crun", "youki", "runsc", "kata-runtime", "nvidia-container-runtime"})
"""Base names of the OCI runtimes' programs."""
STAGES: Final = frozenset({"init"})
"""Subcommands by which a runtime calls itself inside a container, before it becomes the command."""

STAGE_NAME: Final = "runc:["
"""How runc names its stages for the kernel: `runc:[0:PARENT]`, `runc:[2:INIT]` (libcontainer/nsenter/nsexec.c)."""

_FLAGS: Final = frozenset({"--debug", "--systemd-cgroup", "--help", "-h", "--version", "-v", "--strace", "--rootless"})
"""Global options without a value."""
_BARE: Final = frozenset(
    {"--tty", "-t", "--detach", "-d", "--no-new-privs", "--ignore-paused", "--help", "-h", "--no-subreaper", "--no-pivot",
     "--no-new-keyring", "--keep", "-td", "-dt"}
)  # fmt: skip
"""Options of `exec`, `run` and `create` without a value."""
_TERMINAL: Final = frozenset({"--tty", "-t", "-td", "-dt", "--tty=true", "-t=true"})


@dataclass(frozen=True, slots=True)
class Told:
    """What a runtime was told."""

    subcommand: str
    """`exec`, `run`, `create`, `start`, `init`; empty where there is none."""
    asked: Asked | None = None


def is_runtime(executable: str, arguments: Sequence[str]) -> bool:
    """Tell whether a program is an OCI runtime; runc runs a sealed copy of itself that only argv[0] names."""
    names = [
        PurePosixPath(executable.removesuffix(" (deleted)")).name,
        PurePosixPath(arguments[0]).name if arguments else "",
    ]
    return any(name in RUNTIMES for name in names)


def calls_itself(executable: str, arguments: Sequence[str]) -> bool:
    """Tell whether a runtime executes itself once more on the way into a container, as runc does; crun becomes the command."""
    return "runc" in (PurePosixPath(executable.removesuffix(" (deleted)")).name, PurePosixPath(arguments[0]).name)


def told(arguments: Sequence[str], read: Callable[[str], bytes]) -> Told:
    """Return what a runtime's command line says; `read` returns a file that it names."""
    rest = _options(arguments[1:], _FLAGS)[1]
    if not rest:
        return Told("")
    subcommand, options = rest[0], list(rest[1:])
    given, words = _options(options, _BARE)
    container = words[0] if words else ""
    if subcommand != "exec":
        return Told(subcommand, Asked(container=container) if container else None)
    if not container:
        return Told(subcommand)
    file = given.get("--process") or given.get("-p") or ""
    terminal = any(option in _TERMINAL for option in options[: len(options) - len(words)])
    command = tuple(words[1:])
    if file:
        command, wants = _process_file(read(file))
        terminal = terminal or wants
    return Told(subcommand, Asked(container=container, arguments=command, terminal=terminal))


def _options(arguments: Sequence[str], bare: frozenset[str]) -> tuple[dict[str, str], Sequence[str]]:
    """Return options with a value, and what follows all options."""
    given: dict[str, str] = {}
    at = 0
    while at < len(arguments):
        option = arguments[at]
        if option == "--":
            at += 1
            break
        if not option.startswith("-") or option == "-":
            break
        name, equals, value = option.partition("=")
        if equals:
            given[name] = value
        elif option not in bare and at + 1 < len(arguments):
            at += 1
            given[option] = arguments[at]
        at += 1
    return given, arguments[at:]


def _process_file(raw: bytes) -> tuple[tuple[str, ...], bool]:
    """Return command and `terminal` of an OCI process object; nothing where it is not one."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return (), False
    if not isinstance(found, dict):
        return (), False
    command = found.get("args")
    words = tuple(command) if isinstance(command, list) and all(isinstance(word, str) for word in command) else ()
    return words, found.get("terminal") is True
