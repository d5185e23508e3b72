"""The commands by name; each module is imported when its command is called or asked for help."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from .. import __version__

COMMANDS: Final = {
    "analyze": "Show who probed what in saved captures, what happened, and what was decided.",
    "watch": "Show probes as they happen: live on a node, or from a capture that grows.",
    "record": "Save just what an analysis needs, as pcapng: no bulk transfers, bounded in size and time.",
    "explain": "Show single attempts frame by frame, as a ladder diagram: what happened, why, what to do.",
    "report": "Write one HTML file to attach to a ticket: what failed, since when, why, and what to do.",
    "who": "Identify a connection that an application logged: whose probe it was, and what it does.",
    "pods": "List the pods, interfaces, namespaces and addresses that this node shows.",
    "doctor": "Check what works on this machine, and say what to install or grant.",
    "verify": "Check the probes in saved captures against the Pod spec and against expectations.",
    "spec": "Infer the probes' specs from packets, as YAML; or show how they differ from the declared ones.",
    "whatif": "Replay what was recorded under other probe settings: when Ready, NotReady, restarted.",
    "lab": "Try it: scenarios in network namespaces, with a stand-in for the kubelet.",
}
"""Command -> what it does, as `probewatch --help` prints it. The module and its command have the same name."""


class ReaderGone(Exception):  # noqa: N818  (an event, not an error)
    """Standard output was closed by its reader (click would make exit status 1 of a BrokenPipeError)."""


class Interrupted(Exception):  # noqa: N818  (an event, not an error)
    """Ctrl-C, or SIGTERM (click would write an empty line)."""


class Commands(click.Group):
    """A group that knows its commands' names without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__package__}.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the command that a mistyped one is nearest to."""
        if args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            if near:
                ctx.fail(f"no such command '{args[0]}': did you mean {near[0]}?")
            if not args[0].startswith("-") and Path(args[0]).is_file():
                ctx.fail(f"'{args[0]}' is a file and no command: probewatch analyze {args[0]}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Return what completes a name, from the table: no command is imported for that."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=says) for name, says in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what click would treat in its own way gets out under another name."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error
        except KeyboardInterrupt as error:
            raise Interrupted from error


@click.group(
    cls=Commands,
    epilog="For example: probewatch analyze capture.pcap --spec pod.yaml",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """See Kubernetes health probes as they really are: who probed what, what happened, what the kubelet decided."""
