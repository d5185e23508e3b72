"""What `import probewatch` offers: read captures and specs, get a `Timeline`.

    import probewatch

    timeline = probewatch.analyze("flapping.pcap", spec="pod.yaml")
    for probe in timeline.probes:
        for decision in probe.decisions:
            print(probe.type, decision.kind, decision.attempt)

Times are integer nanoseconds since 1970 UTC; `probewatch.document` turns a timeline into the dict that `-o json`
prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias, TypedDict, Unpack

from .moments import InputError, moment, span

if TYPE_CHECKING:
    from .ahead import Ahead, Scout
    from .capture.packets import Packet
    from .capture.reader import Input
    from .model.book import AddressBook
    from .model.connection import Connection
    from .model.expectation import Expectations
    from .model.frame import CaptureInfo, Frame
    from .model.said import AccountFile
    from .model.timeline import Probe, Timeline
    from .observer import Change, Observer
    from .verify.inferred import Inferred
    from .verify.whatif import WhatIf

PathText = str | PathLike[str]
Source: TypeAlias = "PathText | Iterable[PathText | Packet]"
"""Captures by their paths, or scapy packets."""

SECRETS_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of key log that are read; more is an error."""


class Knowledge(TypedDict, total=False):
    """What packets are understood with, as one value: `analyze` says what each of it is."""

    spec: PathText | Sequence[PathText]
    cluster: PathText | Sequence[PathText]
    node_ip: str | Sequence[str]
    haproxy_cfg: PathText | Sequence[PathText]
    check: str | Sequence[str]
    keylog: PathText | None


class Analysis:
    """One pass over captures, in steps, for callers that want to stop in between; `analyze` is the short way."""

    def __init__(
        self,
        paths: Source,
        *,
        filter: str | None = None,  # noqa: A002  (tcpdump's word)
        progress: Callable[[int, int | None], object] | None = None,
        on_change: Callable[[Change], object] | None = None,
        measure: bool = False,
        endpoint: tuple[str, int] | None = None,
        brief: bool = False,
        stdin: BinaryIO | None = None,
        skim: bool = True,
        jobs: int = 1,
        kubelet_log: PathText | Sequence[PathText] = (),
        events: PathText | Sequence[PathText] = (),
        **knowledge: Unpack[Knowledge],
    ) -> None:
        """Open every input; nothing is read beyond the headers of the captures. The arguments are those of `analyze`.

        With `brief` the timeline holds of old attempts what a table shows, without their connections, so that memory
        stays flat at any length of capture (`Attempt.brief`); `on_change` tells them whole before.

        With `measure` each probe of the timeline says what the packets allow its fields to be (`Probe.measures`).
        With an `endpoint` all connections of that address and port are kept (`followed`).
        `stdin` is what to read for `-`; sys.stdin if None.
        Without `skim` every frame is decoded in full, which takes longer and says the same.
        With two `jobs` a second process reads large captures ahead (`probewatch.ahead`), where this one has no threads; the same
        comes of it.

        Raises:
            CaptureError, SpecError, InputError: one of the inputs cannot be used; nothing stays open.
        """
        self._observer = observer(
            measure=measure,
            endpoint=endpoint,
            brief=brief,
            heard=on_change is not None,
            **knowledge,
        )
        self.book = self._observer.book
        """What the specs, the cluster and the checkers' configurations say."""
        matches = frame_filter(filter)
        self._on_change = on_change
        self._progress: Callable[[int], object] = _ignore
        if progress is not None:
            self._progress = lambda position: progress(position, self._total)
        from .feeding import Feeding

        with ExitStack() as stack:
            self._total: int | None = 0
            self._readers: list[Input] = open_inputs(
                paths,
                None if progress is None else lambda position: _ignore(self._progress(position)),
                stdin=stdin,
            )
            for reader in self._readers:
                stack.callback(reader.close)
            sizes = [reader.size for reader in self._readers]
            self._total = None if None in sizes else sum(size or 0 for size in sizes)
            self._scout: Scout | None = None
            self._ahead: Ahead | None = None
            if jobs > 1 and self._total is not None and not any(reader.live for reader in self._readers):
                from .ahead import WORTH, Scout

                if self._total >= WORTH:
                    self._scout = Scout(self._observer)
            self._feeding = Feeding(self._scout or self._observer, self._readers, matches=matches, skim=skim)
            self.base_ns = self._feeding.base_ns
            """Time of the first frame; None where there is none."""
            self._account = _account(_listed(kubelet_log), _listed(events), self.base_ns or 0)
            self._stack = stack.pop_all()

    def run(self) -> None:
        """Read to the end. An exception (KeyboardInterrupt too) leaves a state that `timeline` still tells."""
        if self._scout is None:
            self._feeding.read(self._tell)
            return
        from .ahead import Ahead

        self._ahead = Ahead(self._scout, partial(self._read_ahead, self._scout))
        self._stack.callback(self._ahead.close)
        self._hear(self._ahead)

    def _hear(self, ahead: Ahead) -> None:
        """Do what the process that reads ahead says, to its end."""
        for what, values in ahead.words():
            if what == "tell":
                self._tell()
            elif what == "progress":
                self._progress(*values)
            else:
                getattr(self._observer, what)(*values)

    def _read_ahead(self, scout: Scout, stopped: Callable[[], bool]) -> list[CaptureInfo]:
        """Read to the end, or until it is to stop, in a process of its own."""
        self._progress = partial(scout.say, "progress")

        def tell() -> bool:
            scout.say("tell")
            return stopped()

        self._feeding.read(tell)
        return self._feeding.end()

    def timeline(self) -> Timeline:
        """End the analysis and return what was found; inputs are closed."""
        if self._ahead is None:
            timeline = self._observer.finish(self._feeding.end())
        else:
            if self._ahead.left is None:  # (it was broken off)
                self._ahead.stop()
                self._hear(self._ahead)
            assert self._ahead.left is not None
            timeline = self._observer.conclude(*self._ahead.left)
        self._tell()
        self.close()
        if any(info.shift_ns for info in timeline.captures):
            from .clocks import notes

            said = notes([(info.path, info.shift_ns) for info in timeline.captures if info.shift_ns])
            timeline = replace(timeline, notes=(*said, *timeline.notes), foremost=timeline.foremost + len(said))
        if not self._account:
            return timeline
        from .verify.account import account

        return account(timeline, self._account, self.book.all_pods())

    def whole(self) -> Timeline:
        """Read to the end and return what was found; inputs are closed, whatever happens."""
        try:
            self.run()
            return self.timeline()
        finally:
            self.close()

    def followed(self) -> list[Connection]:
        """Return the connections of the endpoint that was asked for, as far as was read."""
        return self._observer.followed()

    def close(self) -> None:
        """Close all inputs."""
        self._stack.close()

    def _tell(self) -> None:
        for change in self._observer.take():
            if self._on_change is not None:
                self._on_change(change)


def observer(
    *,
    spec: PathText | Sequence[PathText] = (),
    cluster: PathText | Sequence[PathText] = (),
    node_ip: str | Sequence[str] = (),
    haproxy_cfg: PathText | Sequence[PathText] = (),
    check: str | Sequence[str] = (),
    keylog: PathText | None = None,
    measure: bool = False,
    endpoint: tuple[str, int] | None = None,
    brief: bool = False,
    heard: bool = True,
    early: bool = False,
) -> Observer:
    """Return an observer that knows what is given here; the arguments are those of `Analysis`.

    `heard` says whether somebody takes what becomes known, `early` whether before it is certain.
    """
    from .observer import Keep, Observer, Settings

    return Observer(
        Settings(
            book=_book(_listed(spec), _listed(cluster), _texts(node_ip), _listed(haproxy_cfg), _texts(check)),
            keylog=key_log(keylog),
            measure=measure,
            endpoint=endpoint,
            keep=Keep.BRIEF if brief else Keep.WHOLE,
            heard=heard,
            early=early,
        )
    )


def analyze(
    paths: Source,
    *,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    since: str | int | None = None,
    until: str | int | None = None,
    probe: str | Sequence[str] = (),
    progress: Callable[[int, int | None], object] | None = None,
    on_change: Callable[[Change], object] | None = None,
    kubelet_log: PathText | Sequence[PathText] = (),
    events: PathText | Sequence[PathText] = (),
    **knowledge: Unpack[Knowledge],
) -> Timeline:
    """Return the timeline of saved captures.

    Args:
        paths: one or several captures (pcap, pcapng, plain or compressed), read as one timeline; `-` is standard input.
            Or scapy packets: a list of them, or what `rdpcap` and `sniff` return.
        spec: Pods or workloads as YAML or JSON, as `kubectl get -o yaml` prints them.
        cluster: dumps as `oc get nodes,pods,hostsubnets -A -o json` prints them.
        node_ip: `ADDRESS` or `NAME=ADDRESS` of nodes.
        haproxy_cfg: configurations of HAProxy, whose checks are then counted with the numbers they declare.
        check: a checker's numbers by hand, `haproxy:rise=2,fall=3,inter=5s` (see `probewatch.cluster.checktext`).
        keylog: file in the NSS key log format, to read TLS with.
        filter: only frames that match this expression (pcap-filter(7)) are looked at.
        since: show only what began then or later: nanoseconds since 1970, an RFC 3339 time, or `+12.5`, seconds after
        the
            first frame. Everything is analysed all the same, so that states are known.
        until: show only what began then or earlier.
        probe: show only these probes: an id, a type, a pod's name, `type/pod` (see `probewatch.report.select.matches`).
        progress: called with (bytes read, bytes in all or None) now and then.
        on_change: called with each `Change` as it becomes known; it sees everything, whatever `since`, `until` and
            `probe` say.
        kubelet_log: logs of the kubelet (klog as text or JSON, or what journalctl prints), to lay beside the attempts.
        events: what `kubectl get events -o json` prints, likewise.

    Raises:
        CaptureError: a capture is none, or the filter cannot be used. One that breaks off raises nothing: see
            `CaptureInfo.complete`.
        SpecError: a manifest, a dump or an haproxy.cfg cannot be used.
        InputError: `since`, `until`, `node_ip`, `check` or `keylog` cannot be used.
    """
    from .report.select import select

    for text in (since, until):
        moment(text, 0)
    analysis = Analysis(
        paths,
        filter=filter,
        progress=progress,
        on_change=on_change,
        kubelet_log=kubelet_log,
        events=events,
        **knowledge,
    )
    timeline = analysis.whole()
    since_ns, until_ns = span(since, until, analysis.base_ns or 0)
    return select(
        timeline,
        since_ns=since_ns,
        until_ns=until_ns,
        probes=_texts(probe),
    )


def verify(
    paths: Source,
    *,
    expect: PathText | Sequence[PathText] = (),
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    progress: Callable[[int, int | None], object] | None = None,
    kubelet_log: PathText | Sequence[PathText] = (),
    events: PathText | Sequence[PathText] = (),
    **knowledge: Unpack[Knowledge],
) -> Timeline:
    """Return the timeline of saved captures with its `findings`: each declared probe held against what the packets show.

    `probewatch.worst(timeline.findings)` says whether all held. `expect` are files of expectations (docs/expect.md),
    the other arguments are those of `analyze`.

    Raises:
        CaptureError, SpecError, InputError: as `analyze`; SpecError also where a file of expectations cannot be used.
    """
    if not (knowledge.get("spec") or knowledge.get("cluster") or expect):
        raise InputError("nothing to verify against: give spec, cluster or expect")
    wanted = expectations(expect)
    analysis = Analysis(
        paths,
        filter=filter,
        progress=progress,
        measure=True,
        kubelet_log=kubelet_log,
        events=events,
        **knowledge,
    )
    return verified(analysis.whole(), analysis.book, wanted)


def infer_spec(
    paths: Source,
    *,
    node_ip: str | Sequence[str] = (),
    keylog: PathText | None = None,
    filter: str | None = None,  # noqa: A002  (tcpdump's word)
    progress: Callable[[int, int | None], object] | None = None,
) -> Inferred:
    """Return the specs of the probes in saved captures as the packets alone show them: a Pod for each address probed.

    The arguments are those of `analyze`. `probewatch.report.specyaml.write` makes YAML of it.

    Raises:
        CaptureError, InputError: as `analyze`.
    """
    from .verify.inferred import infer

    analysis = Analysis(paths, node_ip=node_ip, keylog=keylog, filter=filter, progress=progress, measure=True)
    return infer(analysis.whole())


def expectations(paths: PathText | Sequence[PathText]) -> list[Expectations]:
    """Read files of expectations; SpecError where one cannot be used."""
    from .cluster import read_expectations

    return [read_expectations(fspath(path)) for path in _listed(paths)]


def verified(timeline: Timeline, book: AddressBook, expected: Sequence[Expectations] = ()) -> Timeline:
    """Return a measured timeline with the findings on what a book's Pods declare and on what is expected."""
    from .verify.declared import verify as check_declared
    from .verify.expect import check

    found = [*check_declared(timeline, book.all_pods())]
    for one in expected:
        found += check(timeline, one)
    return replace(timeline, findings=(*timeline.findings, *found))


def whatif(
    source: Timeline | PathText | Sequence[PathText],
    *,
    timeout: int | None = None,
    period: int | None = None,
    failure_threshold: int | None = None,
    success_threshold: int | None = None,
    initial_delay: int | None = None,
    probe: str | Sequence[str] = (),
    **inputs: Any,
) -> WhatIf:
    """Return what the kubelet would have decided under other settings, from what was recorded.

    Args:
        source: a whole timeline, or captures as `analyze` takes them.
        timeout: timeoutSeconds; None keeps what each probe has, as for all of these.
        period: periodSeconds.
        failure_threshold: failureThreshold.
        success_threshold: successThreshold, of readiness probes (it is 1 for others by the API's rule).
        initial_delay: initialDelaySeconds.
        probe: only these probes get the new settings and are told (selectors as `analyze` takes them).
        inputs: for captures, the arguments of `analyze`: `spec`, `cluster`, `node_ip`, `keylog`, `filter`, `progress`.

    Raises:
        InputError: a setting is out of range.
        CaptureError, SpecError: as `analyze`.
    """
    from .model.timeline import Timeline
    from .report.select import matches
    from .verify.whatif import Settings
    from .verify.whatif import whatif as replay

    try:
        settings = Settings(
            timeout_s=timeout,
            period_s=period,
            failure_threshold=failure_threshold,
            success_threshold=success_threshold,
            initial_delay_s=initial_delay,
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    timeline = source if isinstance(source, Timeline) else analyze(source, **inputs)
    selectors = _texts(probe)
    ids = {p.id for p in timeline.probes if any(matches(p, selector) for selector in selectors)} if selectors else None
    return replay(timeline, settings, ids)


def matching(timeline: Timeline, selectors: Sequence[str]) -> list[Probe]:
    """Return the probes that any of the selectors means (see `report.select.matches`), all of them where there is no selector.

    Raises:
        InputError: a selector means none of the probes there are.
    """
    from .report.select import matches, no_match

    for wanted in selectors:
        if not any(matches(probe, wanted) for probe in timeline.probes):
            raise InputError(no_match(timeline.probes, f"--probe {wanted}"))
    return [p for p in timeline.probes if not selectors or any(matches(p, wanted) for wanted in selectors)]


def document(timeline: Timeline) -> dict[str, Any]:
    """Return the JSON document `probewatch.timeline/1` as plain dicts and lists."""
    from .report.document import document as make

    return make(timeline)


def _ignore(_: object) -> None:
    """Take any result of a callback for none."""


def open_inputs(
    captures: Source, progress: Callable[[int], None] | None = None, *, stdin: BinaryIO | None = None
) -> list[Input]:
    """Open captures by their paths, or take packets as one input; CaptureError and InputError as `Analysis`."""
    from .capture import open_all
    from .capture.packets import PacketReader, is_packets
    from .clocks import align, stamps

    given = [captures] if isinstance(captures, str | PathLike) else list(captures)
    paths = [fspath(item) for item in given if isinstance(item, str | PathLike)]
    if is_packets(captures) or not (paths or not given):
        packets = PacketReader([item for item in given if not isinstance(item, str | PathLike)])
        packets.stamp = stamps()
        return [packets]
    if len(paths) < len(given):
        raise InputError("captures are given as paths and as packets at once: give one or the other")
    readers = open_all(paths, stdin=stdin, progress=progress)
    from .joined import put_in_order
    from .stepped import put_right

    put_in_order(readers)
    put_right(readers)
    align(readers)
    for reader in readers:
        reader.stamp = stamps()
    return [*readers]


def read_twice(captures: Source) -> BinaryIO | None:
    """Return what to read for `-` in each of two passes (seek to 0 before the second, close it at the end), None without `-`.

    Raises:
        CaptureError: an input is a stream that cannot be kept to be read twice.
    """
    from .capture.spool import rereadable

    given = [captures] if isinstance(captures, str | PathLike) else list(captures)
    return rereadable(
        [fspath(item) for item in given if isinstance(item, str | PathLike)], getattr(sys.stdin, "buffer", None)
    )


def _listed(paths: PathText | Sequence[PathText]) -> list[PathText]:
    return [paths] if isinstance(paths, str | PathLike) else list(paths)


def _texts(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def address_book(
    *, spec: PathText | Sequence[PathText] = (), cluster: PathText | Sequence[PathText] = ()
) -> AddressBook:
    """Return what manifests and dumps say, to look at a node with (`cluster.node.look`).

    Raises:
        SpecError: one of them cannot be used.
    """
    return _book(_listed(spec), _listed(cluster), (), (), ())


def _book(
    specs: Sequence[PathText],
    clusters: Sequence[PathText],
    node_ips: Sequence[str],
    configurations: Sequence[PathText],
    checks: Sequence[str],
) -> AddressBook:
    if not (specs or clusters or node_ips or configurations or checks):
        from .model.book import AddressBook

        return AddressBook()
    from .cluster import build_book, load_specs, parse_check, parse_node_ip, read_cluster, read_haproxy

    try:
        nodes = [parse_node_ip(text) for text in node_ips]
        by_hand = [parse_check(text) for text in checks]
    except ValueError as error:
        raise InputError(str(error)) from error
    read = [read_haproxy(fspath(path)) for path in configurations]
    files = [load_specs(fspath(path)) for path in specs]
    return build_book(
        [pod for file in files for pod in file.specs],
        [read_cluster(fspath(path)) for path in clusters],
        nodes,
        notes=[*(note for file in files for note in file.notes), *(note for _, notes in read for note in notes)],
        checks=[*by_hand, *(check for found, _ in read for check in found)],
    )


def _account(logs: Sequence[PathText], events: Sequence[PathText], near_ns: int) -> list[AccountFile]:
    if not (logs or events):
        return []
    from .cluster import read_events, read_kubelet_log

    said = [read_kubelet_log(fspath(path), near_ns) for path in logs]
    return [*said, *(read_events(fspath(path)) for path in events)]


def key_log(path: PathText | None) -> bytes | None:
    """Read a key log, None where none is given; InputError where it cannot be read or is too long."""
    if path is None:
        return None
    from .capture.fifo import opening

    try:
        with opening(path):
            file = Path(path).open("rb")  # noqa: SIM115  (closed below)
        with file:
            data = file.read(SECRETS_LIMIT + 1)
    except OSError as error:
        raise InputError(f"key log {fspath(path)}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > SECRETS_LIMIT:
        raise InputError(f"key log {fspath(path)}: longer than {SECRETS_LIMIT >> 20} MiB")
    return data


def frame_filter(expression: str | None) -> Callable[[Frame], bool] | None:
    """Return what says whether a frame matches, None where nothing is filtered; FilterError where it cannot be used."""
    if not expression:
        return None
    from .capture.filters import Filter

    return Filter(expression).matches
