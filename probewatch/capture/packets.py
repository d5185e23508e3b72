"""Packets that a program holds already, as an input: what scapy's `sniff()` and `rdpcap()` return, or a list of packets.

scapy is not needed for anything else and is not imported before there is a packet of its own, whose link type only
scapy's table of layers tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from probewatch.capture.errors import CaptureError
from probewatch.capture.tally import MAX_FRAME, Tallied, Tally
from probewatch.model.frame import Frame, Interface, Part
from probewatch.model.units import SECOND

if TYPE_CHECKING:
    from probewatch.capture.hosts import Stamp

NAME: Final = "scapy packets"
"""Stands where other inputs have their path."""


class Packet(Protocol):
    """What is asked of a packet; scapy's have it."""

    @property
    def time(self) -> Any:
        """When it was captured, seconds since 1970."""

    def __bytes__(self) -> bytes:
        """Return it as it was on the wire."""


class PacketReader(Tallied):
    """Frames of packets in the order they stand in; like `Reader`."""

    live = False
    shift_ns = 0
    pieces = ()
    set_at = ()
    size: int | None = None

    def __init__(self, packets: Iterable[Packet], file: int = 0) -> None:
        """Take the packets; nothing is read yet."""
        self._packets, self._file = packets, file
        self._tally = Tally(NAME)
        self._tally.format = "scapy"
        self._interfaces: dict[tuple[str, int], int] = {}
        self.stamp: Callable[[Frame], Stamp | None] | None = None
        """See `Input.stamp`; set it before the first frame."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            CaptureError: a packet is none of scapy's, or begins with a layer that no link type stands for.
        """
        tally = self._tally
        for number, packet in enumerate(self._packets, 1):
            link_type = _link_type(packet, number)
            data = bytes(packet)[:MAX_FRAME]
            name = getattr(packet, "sniffed_on", None)
            interface = self._interface(name if isinstance(name, str) else "", link_type)
            ns = _nanoseconds(packet.time, number)
            if ns >= tally.latest:
                tally.latest = ns
            else:
                ns = tally.odd_time(ns, number)
            tally.frames = number
            length = getattr(packet, "wirelen", None)
            original = max(length if isinstance(length, int) else 0, len(data))
            yield Frame(ns, self._file, number, interface, link_type, data, original)

    def parts(self) -> Iterator[Part]:
        """Yield the frames: there are no batches here."""
        return iter(self)

    def _interface(self, name: str, link_type: int) -> int:
        key = (name, link_type)
        if key not in self._interfaces:
            self._interfaces[key] = len(self._interfaces)
            self._tally.interface(Interface(self._interfaces[key], name, link_type, 0))
        return self._interfaces[key]

    def on_secret(self, take: Callable[[bytes], object]) -> None:
        """Packets carry no TLS secrets beside them."""

    def on_comment(self, take: Callable[[int, str], object]) -> None:
        """Packets carry no comments beside them."""

    def on_interface(self, take: Callable[[Interface], object]) -> None:
        """Packets tell no more of an interface than its name."""

    def close(self) -> None:
        """Do nothing: the packets are the caller's."""


def is_packets(captures: object) -> bool:
    """Tell scapy's own lists of packets, which may be empty."""
    return type(captures).__module__.partition(".")[0] == "scapy"


def _link_type(packet: object, number: int) -> int:
    layers = type(packet).__mro__
    if not any(layer.__module__.partition(".")[0] == "scapy" for layer in layers):
        raise CaptureError(NAME, f"cannot be read: number {number} is not a scapy packet but a {type(packet).__name__}")
    from scapy.config import conf

    numbers = conf.l2types.layer2num
    for layer in layers:
        if layer in numbers:
            return int(numbers[layer])
    raise CaptureError(
        NAME,
        f"cannot be read: number {number} begins with {type(packet).__name__}, which is not a link layer: give packets that "
        "begin with Ether, IP, IPv6 or CookedLinux",
    )


def _nanoseconds(seconds: Any, number: int) -> int:
    """Return a time to the nanosecond where scapy has it so (EDecimal), else as fine as a float is."""
    try:
        return int((seconds if isinstance(seconds, Decimal) else Decimal(seconds)) * SECOND)
    except (TypeError, ValueError, ArithmeticError):
        raise CaptureError(NAME, f"cannot be read: number {number} has no time") from None
