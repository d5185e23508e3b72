"""Options that several commands share, with help in sections: Input, Settings, Select, Interpret, Output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from ..moments import InputError
from .output import complain

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ..api import Analysis
    from ..api import Knowledge as Given
    from ..explaining import Explanation

F = TypeVar("F", bound=Callable[..., Any])

SECTIONS: Final = ("Input", "Settings", "Select", "Interpret", "Output")


class Option(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what completes its value in a shell."""
        return _files(self, incomplete) or super().shell_complete(ctx, incomplete)


class Argument(click.Argument):
    """An argument that is explained among the options of its section."""

    def __init__(self, *args: Any, section: str, help: str, **kwargs: Any) -> None:  # noqa: A002  (click's word)
        super().__init__(*args, **kwargs)
        self.section = section
        self.text = help

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what completes its value in a shell."""
        return _files(self, incomplete) or super().shell_complete(ctx, incomplete)


def _files(parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return that a shell is to complete a file's name, where that is what is wanted; else nothing."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")] if "FILE" in (parameter.metavar or "") else []


class Command(click.Command):
    """A command whose help lists its options by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, and what belongs to none at the end."""
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in (*SECTIONS, "Other")}
        for parameter in self.get_params(ctx):
            section = getattr(parameter, "section", "Other")
            if isinstance(parameter, Argument):
                rows[section].insert(0, (parameter.make_metavar(ctx), parameter.text))
            else:
                record = parameter.get_help_record(ctx)
                if record is not None:
                    rows[section].append(record)
        for section, lines in rows.items():
            if lines:
                with formatter.section(section):
                    formatter.write_dl(lines)


def _apply(decorators: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


_file_options = _apply(
    [
        click.argument(
            "files",
            nargs=-1,
            required=True,
            metavar="FILE...",
            cls=Argument,
            section="Input",
            help="Captures: pcap or pcapng, plain or compressed (gzip, bzip2, xz, zstd), read as one timeline; "
            "- is standard input.",
        ),
        click.option(
            "-f",
            "--filter",
            "expression",
            metavar="FILTER",
            cls=Option,
            section="Input",
            help="Read only frames that match this pcap filter, such as 'host 10.128.0.10'.",
        ),
    ]
)
"""Where frames come from."""

_keylog_option = _apply(
    [
        click.option(
            "--keylog",
            metavar="FILE",
            cls=Option,
            section="Input",
            help="TLS secrets (NSS key log, SSLKEYLOGFILE), to read HTTPS probes.",
        ),
    ]
)


def probe_option(does: str) -> Callable[[F], F]:
    """Return the option that selects probes; `does` says to what end."""
    return click.option(
        "--probe",
        "probes",
        multiple=True,
        metavar="P",
        cls=Option,
        section="Select",
        help=f"{does}: p3, readiness, a pod's name, namespace/pod, type/pod, ADDRESS:PORT. Repeatable.",
    )


def pod_option(does: str) -> Callable[[F], F]:
    """Return the option that selects the probes of Pods; `does` says to what end."""
    return click.option(
        "--pod",
        "pods",
        multiple=True,
        metavar="NAME",
        cls=Option,
        section="Select",
        help=f"{does}: NAME or NAMESPACE/NAME. Repeatable.",
    )


select_options = _apply(
    [
        probe_option("Show only this probe"),
        click.option(
            "--since",
            metavar="TIME",
            cls=Option,
            section="Select",
            help="Show only what began at this time or later: 2026-11-22T20:10:00Z, or +12.5 (seconds after the first "
            "frame). What came before is still analysed, so that states are known.",
        ),
        click.option(
            "--until",
            metavar="TIME",
            cls=Option,
            section="Select",
            help="Show only what began at this time or earlier.",
        ),
    ]
)
"""What is shown."""

_interpret_options = _apply(
    [
        click.option(
            "--spec",
            "specs",
            multiple=True,
            metavar="FILE",
            cls=Option,
            section="Interpret",
            help="Pod, Deployment, StatefulSet, DaemonSet, List ... as kubectl get -o yaml prints it. Repeatable.",
        ),
        click.option(
            "--cluster",
            "clusters",
            multiple=True,
            metavar="FILE",
            cls=Option,
            section="Interpret",
            help="What oc get nodes,hostsubnets,pods -A -o json prints: names, specs, container starts. Repeatable.",
        ),
        click.option(
            "--node-ip",
            "node_ips",
            multiple=True,
            metavar="[NAME=]ADDR",
            cls=Option,
            section="Interpret",
            help="An address that a node probes from. Repeatable.",
        ),
        click.option(
            "--haproxy-cfg",
            "haproxy_cfgs",
            multiple=True,
            metavar="FILE",
            cls=Option,
            section="Interpret",
            help="An haproxy.cfg: its servers' rise, fall, inter and expected statuses. Repeatable.",
        ),
        click.option(
            "--check",
            "checks",
            multiple=True,
            metavar="KIND:KEY=VALUE,...",
            cls=Option,
            section="Interpret",
            help="A checker's numbers by hand, in its own words: haproxy:rise=2,fall=3,inter=5s, "
            "varnish:window=5,threshold=3,target=10.0.0.1:8080. Repeatable.",
        ),
    ]
)
"""What packets mean."""

kubelet_options = _apply(
    [
        click.option(
            "--kubelet-log",
            "kubelet_logs",
            multiple=True,
            metavar="FILE",
            cls=Option,
            section="Interpret",
            help="The kubelet's log (klog text or JSON; journalctl as text, -o json or -o export), to lay beside the "
            "attempts. Repeatable.",
        ),
        click.option(
            "--events",
            "events",
            multiple=True,
            metavar="FILE",
            cls=Option,
            section="Interpret",
            help="What kubectl get events -o json prints, likewise. Repeatable.",
        ),
    ]
)
"""What the kubelet said, to lay beside what the wire shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What a command is given to understand packets with."""

    keylog: str | None
    specs: Sequence[str]
    clusters: Sequence[str]
    node_ips: Sequence[str]
    haproxy_cfgs: Sequence[str]
    checks: Sequence[str]

    def arguments(self) -> Given:
        """Return it as the functions of `api` take it."""
        return {
            "spec": self.specs,
            "cluster": self.clusters,
            "node_ip": self.node_ips,
            "haproxy_cfg": self.haproxy_cfgs,
            "check": self.checks,
            "keylog": self.keylog,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs(Knowledge):
    """What every command that reads captures is given."""

    files: Sequence[str]
    expression: str | None

    def analysis(self, **more: Any) -> Analysis:
        """Open them; `more` are further arguments of `api.Analysis`, which says what is raised."""
        from ..api import Analysis

        with self._quoted():
            return Analysis(self.files, filter=self.expression, **self.arguments(), **more)

    def explanation(self, **more: Any) -> Explanation:
        """Read them for the first of two times; `explaining.Explanation` says what is raised."""
        from ..explaining import Explanation

        with self._quoted():
            return Explanation(self.files, filter=self.expression, **self.arguments(), **more)

    @contextmanager
    def _quoted(self) -> Iterator[None]:
        """Say of a filter of one word that cannot be used how one of several is given: it may be the first of them."""
        from ..capture.filters import FilterError

        try:
            yield
        except FilterError as error:
            if " " in (self.expression or "").strip():
                raise
            raise InputError(f"{error}; quote an expression of several words: -f 'port 8080'") from error


def _gathered(kind: type[Knowledge], name: str, function: F) -> F:
    """Hand the options that belong to a kind of arguments over as one."""
    names = [field.name for field in fields(kind)]

    @wraps(function)
    def call(**given: Any) -> Any:
        return function(**{name: kind(**{each: given.pop(each) for each in names})}, **given)

    return cast("F", call)


def analysis_options(function: F) -> F:
    """Give a command the options that say what to read and how to understand it, as its argument `inputs`."""
    return _file_options(_keylog_option(_interpret_options(_gathered(Inputs, "inputs", function))))


def knowledge_options(function: F) -> F:
    """Give a command the options that say how to understand packets, as its argument `knowledge`."""
    return _keylog_option(_interpret_options(_gathered(Knowledge, "knowledge", function)))


expect_option = click.option(
    "--expect",
    "expects",
    multiple=True,
    metavar="FILE",
    cls=Option,
    section="Interpret",
    help="Expectations to verify: outcomes, transitions, latencies (docs/expect.md). Repeatable.",
)


def _quiet(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    """Tell what is opened whether notes are wanted: that is long before a command says anything itself."""
    del ctx, param
    from ..capture.fifo import tell

    tell(None if value else complain)
    return value


quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    callback=_quiet,
    cls=Option,
    section="Output",
    help="No notes and no progress on standard error.",
)

manner_options = _apply(
    [
        click.option(
            "--color",
            "colour",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            cls=Option,
            section="Output",
            help="auto: on a terminal, unless NO_COLOR is set.",
        ),
        quiet_option,
    ]
)
"""How it is printed."""


def output_options(*formats: str, says: str) -> Callable[[F], F]:
    """Return the option `-o` of a command that prints in these formats, the first by default, and how it is printed."""
    output = click.option(
        "-o",
        "--output",
        "output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        cls=Option,
        section="Output",
        help=says,
    )
    return lambda function: output(manner_options(function))
