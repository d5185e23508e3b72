"""The nouns in words: who probes, what was asked, what an attempt brought. Everything returned here is safe for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..decisions.risefall import RULES
from ..model.catalogue import result as result
from ..model.check import CheckSpec
from ..model.spec import Handler, ProbeSpec, ProbeType
from ..model.timeline import LATER, NOT_DUE, UNDECLARED, Attempt, Checker, Gap, GapKind, Outcome, Probe, Target
from ..model.units import SECOND
from ..probes.execs import command_text
from .escape import safe, width
from .numbers import count, plain

FIELDS: Final = {
    "periodSeconds": "period",
    "timeoutSeconds": "timeout",
    "successThreshold": "successes",
    "failureThreshold": "failures",
}

NEARLY: Final = 0.9
"""Part of its timeout from which a success nearly failed."""
_GUESSES: Final = 3
"""Kinds named of those a checker could be."""

_MANIFESTS: Final = 3
"""Manifests that declare the same which are named."""
_LEARNT: Final = ("declared", "inferred")


def lowered(sentence: str) -> str:
    """Return a sentence as it goes on after a colon: `SYN left` and `200 came` stay, `The SYN` does not."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def endpoint(address: str, port: int | None) -> str:
    """Return `10.0.0.1:80`, `[fd00::1]:80`."""
    if port is None:
        return safe(address)
    return f"[{safe(address)}]:{port}" if ":" in address else f"{safe(address)}:{port}"


def owner(target: Target) -> str:
    """Return `namespace/pod/container`, with its address where others have that name; the endpoint where nothing is known."""
    if target.pod is None:
        return endpoint(target.address, target.port)
    name = "/".join(safe(part) for part in (target.namespace, target.pod, target.container) if part)
    return f"{name} at {safe(target.address)}" if target.shared else name


def label(probe: Probe) -> str:
    """Return a short name that tells probes of one target apart: `shop/web/app`, `10.0.0.1:80/ready`, `shop/web:80/ready from 10.0.0.9`."""
    target = probe.target
    text = owner(target)
    if target.pod is None and probe.path is not None:
        text += safe(probe.asked_path)
    elif target.pod is not None and target.container is None and target.port is not None:
        text += f":{target.port}" + (safe(probe.asked_path) if probe.path is not None else "")
    text += " (PROXY)" if probe.proxy_header else ""
    from_whom = probe.checker.kind != "kubelet" and probe.checker.address
    return f"{text} from {safe(probe.checker.address)}" if from_whom else text


def span(file: int, first: int, last: int, *, several: bool) -> str:
    """Return `7`, `7-12`, and where there are several inputs `[2] 7-12`."""
    return (f"[{file + 1}] " if several else "") + (f"{first}-{last}" if last != first else str(first))


def frames_of(attempt: Attempt, *, several: bool) -> str:
    """Return `frames 7-12` of an attempt, with the input's number where there are several."""
    where, _, numbers = span(attempt.file, *attempt.frames(), several=several).rpartition(" ")
    return f"{where} frames {numbers}".lstrip()


def request(probe: Probe) -> str:
    """Return what is sent where: `GET http://10.128.0.10:8080/ready`, `TCP 10.128.0.10:5432`."""
    where = endpoint(probe.target.address, probe.target.port)
    match probe.handler:
        case Handler.HTTP_GET:
            scheme = (probe.scheme or "http").lower()
            verb = "GET " if probe.checker.kind in ("kubelet", "unknown") else ""
            # the path of a TLS connection nobody could read is unknown, and not "/"
            unknown = " (path encrypted)" if scheme == "https" else ""
            text = f"{verb}{safe(scheme)}://{where}{safe(probe.asked_path) if probe.path is not None else unknown}"
            text += " behind a PROXY header" if probe.proxy_header else ""
            return text + (f" (Host: {safe(probe.host)})" if probe.host else "")
        case Handler.TCP_SOCKET if probe.never_asked:
            return f"{where} (nothing ever connected: its handler is not known)"
        case Handler.TCP_SOCKET:
            return f"TCP {where}" + (" behind a PROXY header" if probe.proxy_header else "")
        case Handler.GRPC:
            return f"gRPC {where}" + (f" service {safe(probe.service)}" if probe.service else "")
        case _:
            words = probe.command or (probe.spec.command if probe.spec is not None else ())
            return f"exec {safe(command_text(words))}" if words else "exec"


def kind(probe: Probe) -> str:
    """Return the first word of a probe's title: its type, or whose check it is."""
    if probe.type is not ProbeType.UNKNOWN:
        return probe.type.value
    if probe.checker.kind == "kubelet":
        return "probe"
    return "check" if probe.checker.kind == "unknown" else f"{safe(probe.checker.kind)} check"


def who(checker: Checker) -> str:
    """Return `kubelet 1.36 at 10.128.0.1, node node-a`."""
    where = f" at {safe(checker.address)}" if checker.address else ""
    text = safe(checker.kind) + (f" {safe(checker.version)}" if checker.version else "") + where
    if checker.kind == "unknown":
        text = f"an unknown checker{where}"
        if checker.could_be:
            named = [safe(name) for name in checker.could_be[:_GUESSES]]
            rest = len(checker.could_be) - len(named)
            text += ", could be " + (f"{', '.join(named)} or {count(rest, 'other')}" if rest else " or ".join(named))
    if checker.pod:
        text += f" ({safe(checker.pod)})"
    if checker.node:
        text += f", node {safe(checker.node)}"
    elif checker.node_source:
        text += ", a node"
    return text


def unproven(checkers: Iterable[Checker]) -> str:
    """Return what would tell whether those that nothing proves are kubelets; empty where none of them may be one."""
    addresses = dict.fromkeys(one.address for one in checkers if one.kind == "unknown" and "kubelet" in one.could_be)
    if not addresses:
        return ""
    named = " ".join(f"--node-ip {safe(address)}" for address in list(addresses)[:_GUESSES])
    more = " ..." if len(addresses) > _GUESSES else ""
    whose = "that is its node's address" if len(addresses) == 1 else "these are addresses of nodes"
    return f"whether a kubelet asks is not proven: give the Pod (--spec POD.yaml), or {named}{more} if {whose}"


def proof(checker: Checker, room: int | None = None) -> str:
    """Return the evidence of who it is, in brackets: as much as fits into `room` columns, the best first; empty where there is none."""
    parts = [safe(part) for part in checker.evidence]
    if 0 < checker.confidence < 0.9:
        parts.insert(1, f"confidence {100 * checker.confidence:.0f} %")  # (the best reason stands whatever the room)
    if checker.node_source:
        parts.append("node by " + safe(checker.node_source))
    text = ", ".join(parts)
    while room is not None and len(parts) > 1 and width(text) + 2 > room:
        parts.pop()
        text = ", ".join(parts)
    return f"({text})" if parts else ""


def asked(probe: Probe) -> str:
    """Return the declared numbers with their source, defaults named as such; empty where nothing is declared."""
    spec = probe.spec
    if spec is None:
        return _told(probe.check) if probe.check is not None else ""
    names = ["periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"]
    names += ["initialDelaySeconds"] if spec.initial_delay_s else []
    text = ", ".join(said(name, spec.numbers[name]) for name in names)
    source = [safe(_one_of((probe.spec_source, *probe.spec_alike)))] if probe.spec_source else []
    if probe.target.named_by and probe.target.named_by != "status.podIP":
        source.append(f"matched by {safe(probe.target.named_by)}")
    missing = _defaults(spec)
    if missing:
        source.append("default: " + ", ".join(missing))
    return text + (f" ({'; '.join(source)})" if source else "")


def _one_of(names: Sequence[str]) -> str:
    """Return `a`, `a or b`, and of very many manifests that declare the same the first and how many more there are."""
    return (
        " or ".join(names)
        if len(names) <= _MANIFESTS
        else f"{names[0]} or one of {len(names) - 1} that declare the same"
    )


def said(name: str, value: object) -> str:
    """Return a number of a probe or check in words, the same wherever it comes from: `every 2 s`, `3 failures`, `rise 2`."""
    match name:
        case "periodSeconds" | "interval_s":
            return f"every {_number(value)} s"
        case "timeoutSeconds" | "timeout_s":
            return f"timeout {_number(value)} s"
        case "initialDelaySeconds":
            return f"initial delay {_number(value)} s"
        case "successThreshold":
            return f"{_number(value)} success{'' if value == 1 else 'es'}"
        case "failureThreshold":
            return f"{_number(value)} failure{'' if value == 1 else 's'}"
        case _:
            return f"{safe(name)} {_number(value)}"


def unasked(probe: Probe) -> str:
    """Return why nothing is known of what a kubelet was told: no spec fits, or the one given for this address declares other probes."""
    if LATER in probe.notes:
        return "not known: the Pod that was given for this address began only later (see the note)"
    if UNDECLARED not in probe.notes or probe.target.pod is None:
        return "not known: neither --spec nor --cluster declares it"
    by = f"{safe(probe.target.named_by)} of what was given" if probe.target.named_by else "what was given"
    return (
        f"not known: by {by} this address is {owner(probe.target)}'s, but that spec declares no such probe: "
        "the spec may be another Pod's or out of date (addresses are reused)"
    )


def _told(check: CheckSpec) -> str:
    """Return what another checker was told, in its own words: `server be/s1, inter 5 s, rise 2 (haproxy.cfg:17)`."""
    parts = [
        f"{safe(name.removesuffix('_s').replace('_', ' ') if name.startswith('timeout') else name.removesuffix('_s'))} "
        f"{_number(value)}{' s' if name.endswith('_s') else ''}"
        for name, value in check.declared.items()
    ]
    return f"{', '.join(parts)} ({safe(check.source)})"


def _defaults(spec: ProbeSpec) -> list[str]:
    return [word for name, word in FIELDS.items() if spec.declared and name not in spec.declared]


def seen(probe: Probe) -> str:
    """Return the inferred numbers; those that had to be assumed are said to be so. Empty where there is nothing."""
    found = probe.inferred
    parts: list[str] = []
    for names in (
        ("periodSeconds", "interval_s"),
        ("timeoutSeconds", "timeout_s"),
        ("successThreshold",),
        ("failureThreshold",),
        ("rise",),
        ("fall",),
        ("initialDelaySeconds",),
    ):
        name = next((name for name in names if found.get(name) is not None), None)
        if name is not None:
            after = name == "interval_s" and found.get("interval_basis") == "end"
            parts.append(f"{_number(found[name])} s after each end" if after else said(name, found[name]))
    if probe.spec is None:
        told = sorted(probe.thresholds.items(), key=lambda item: item[0] != "periodSeconds")
        assumed = [said(name, value) for name, (value, source) in told if source not in _LEARNT and name not in found]
        if assumed:
            rule = RULES.get(probe.checker.kind)
            default = "" if rule is not None and rule.guessed else " (default)"
            parts.append(f"assumed{default}: " + ", ".join(assumed))
        if presumed(probe):
            parts.append("presumed: " + said("failureThreshold", probe.thresholds["failureThreshold"][0]))
    return ", ".join(parts)


def presumed(probe: Probe) -> bool:
    """Tell whether its failureThreshold is only what would explain that nothing came of its failures."""
    return (
        probe.spec is None
        and probe.thresholds.get("failureThreshold", (0, ""))[1] == "inferred"
        and "failureThreshold" not in probe.inferred
    )


def _number(value: object) -> str:
    return safe(plain(value))


def timeout_ns(probe: Probe) -> int:
    """Return the probe's timeout, 0 where it is not known."""
    if "timeoutSeconds" in probe.thresholds:
        return probe.thresholds["timeoutSeconds"][0] * SECOND
    if probe.spec is not None:
        return probe.spec.timeout_s * SECOND
    value = probe.inferred.get("timeoutSeconds", probe.inferred.get("timeout_s"))
    return int(value * SECOND) if isinstance(value, int | float) else 0


def nearly_late(probe: Probe, attempt: Attempt) -> bool:
    """Tell whether an attempt succeeded just before its deadline."""
    limit = timeout_ns(probe)
    return attempt.outcome is Outcome.SUCCESS and limit > 0 and attempt.latency_ns >= NEARLY * limit


def timeout_source(probe: Probe) -> str:
    """Return ` (inferred)`, ` (default)`, or nothing where the timeout is declared."""
    source = probe.thresholds["timeoutSeconds"][1] if "timeoutSeconds" in probe.thresholds else ""
    return f" ({safe(source)})" if source and source != "declared" else ""


def tallies(attempts: Iterable[Attempt], handler: Handler) -> dict[Outcome, list[tuple[str, int]]]:
    """Return for each outcome that there was how often each result led to it, the most frequent first."""
    counts: dict[Outcome, dict[str, int]] = {}
    for attempt in attempts:
        mine = counts.setdefault(attempt.outcome, {})
        word = result(attempt, handler)
        mine[word] = mine.get(word, 0) + 1
    return {outcome: sorted(mine.items(), key=lambda item: -item[1]) for outcome, mine in counts.items()}


def silent(gaps: Iterable[Gap]) -> tuple[dict[str, int], int]:
    """Return how many attempts were not sent by the kubelet's rules, by the reason in short, and how many are missing."""
    asked: dict[str, int] = {}
    missing = 0
    for gap in gaps:
        if gap.kind is GapKind.POD_DELETED:
            continue  # (of a Pod that is gone nothing is due)
        word = NOT_DUE.get(gap.kind)
        if word is None:
            missing += gap.expected
        else:
            asked[word] = asked.get(word, 0) + gap.expected
    return asked, missing


def did_not_come(gap: Gap) -> str:
    """Return `not sent` of attempts that were not due by the kubelet's rules, else `missing`."""
    return "not sent" if gap.kind in NOT_DUE else "missing"


def counted(number: int, result_word: str) -> str:
    """Return `4 refused`, `4 x 503`."""
    return f"{number} x {result_word}" if result_word.isdigit() else f"{number} {result_word}"
