"""Follow the sequence and acknowledgment numbers of a connection: what is new, what came again, what is missing.

Theory of operation
-------------------
Each side has `nxt`, the highest number it used plus one (Zeek's last_seq, tshark's nextseq), and `acked`, the highest
number its peer acknowledged. A segment that begins at `nxt` is the common case and handled where it comes in; all
others come here.

Retransmissions are counted as tshark's tcp.analysis.retransmission (its fast and spurious ones with them): a segment
with data, SYN or FIN that begins below `nxt`, unless it is

- a keep-alive: one byte back, at most one byte long, no SYN or FIN;
- the first real segment over a zero window probe: one byte back, longer than one;
- overtaken: new bytes within the first round trip (else `ROUND_TRIP`), and not after two duplicate ACKs for it
(`FAST`).

Zeek's T is another count: any data that does not advance `nxt`, keep-alives too.

Limitations
-----------
tshark also uses SACK to see fast retransmissions, and knows only segments since the last ACK as "already seen"; both
matter only where the network reorders and loses within milliseconds. It does not analyse segments whose header was cut.
"""

from __future__ import annotations

from typing import Final

from probewatch.model.frame import Mark
from probewatch.model.units import MS
from probewatch.wire.lives import Side
from probewatch.wire.packets import ACK, FIN, RST, SYN, Segment
from probewatch.wire.states import Endpoint
from probewatch.wire.stream import HALF, MASK, REACH, distance

ROUND_TRIP: Final = 3_000_000
"""tshark's round trip (ns) where the handshake does not tell."""
FAST: Final = 20_000_000
"""A fast retransmission follows the last new data within this (ns), as tshark has it."""
LARGE: Final = 1 << 20
"""Zeek's TOO_LARGE_SEQ_DELTA: SYN and RST further away do not move `nxt`; a late SYN is at most so far back."""

_INACTIVE: Final = Endpoint.INACTIVE
_SYN_SENT: Final = Endpoint.SYN_SENT
_RESETS: Final = (Endpoint.RESET, Endpoint.ABORTED)

HELD_LEAST_NS: Final = 10 * MS
"""A SYN that seems to have waited for less did not: so exact are timestamps."""


def begin(side: Side, seq: int, ns: int) -> None:
    """Take a side's first segment, not a SYN, for the beginning of its numbers."""
    if side.stream.base != seq:
        side.stream.begin(seq)
    side.nxt, side.nxt_ns = seq, ns


def synchronize(side: Side, s: Segment, past: int, most: int) -> bool:
    """Take in a SYN's number (`past` is the one after the segment); return whether it was this side's first segment.

    At most `most` marks of SYNs are kept.
    """
    if not side.syns:
        side.stamp = s.tsval
    if len(side.syns) < most:
        side.syns.append(s.mark)
    if s.mss:
        side.mss = s.mss
    if s.seq == side.isn:
        return False
    if side.isn >= 0 and (side.stream.top or side.peer.state is not _SYN_SENT):
        return False  # a stray SYN-ACK: the numbers of this life stand
    base = (s.seq + 1) & MASK
    stream = side.stream
    late = side.isn < 0 and side.state is not _INACTIVE
    side.isn = s.seq
    side.life.midstream = False
    if late and 0 < distance(stream.base, base) < LARGE:
        stream.extend_back(base, s.mark)
    elif stream.base != base:
        stream.begin(base)
    if not late:
        side.nxt, side.nxt_ns = past, s.mark.ns
        if side.acked < 0:
            side.acked = s.seq
    return not late


def acknowledge(side: Side, peer: Side, ack: int, mark: Mark) -> bool:
    """Take in an acknowledgment of the peer's bytes; return whether it covers some that were not seen."""
    stream = peer.stream
    if stream.base < 0:
        stream.begin(ack)
        peer.nxt = peer.acked = ack
        return False
    if side.state is _INACTIVE and not side.orig and peer.isn >= 0 and ack not in (peer.nxt, (peer.isn + 1) & MASK):
        return False  # a challenge ACK speaks of an older life
    ahead = ((ack - peer.acked + HALF) & MASK) - HALF if peer.acked >= 0 else 1
    if ahead <= 0 or ahead > REACH:
        return False
    peer.acked = ack
    side.dup_acks = 0
    if peer.fin is not None and peer.fin_acked is None and distance(ack, peer.fin_end) >= 0:
        peer.fin_acked = mark
    return 0 < (ack - stream.edge) & MASK < HALF and peer.state is not _INACTIVE


def first_ack(side: Side, mark: Mark, tsval: int, *, plain: bool, reset: bool = False) -> None:
    """Note a side's first ACK; for the client it completes the handshake, `plain` where it does nothing else."""
    life = side.life
    if side.orig:
        if life.answered or life.midstream or not reset:
            side.first_ack = mark
            life.bare_ack = plain and not life.midstream
            life.held_ns = _held(side, mark, tsval)
    elif life.answered or life.midstream:
        side.first_ack = mark


def _held(side: Side, mark: Mark, tsval: int) -> int:
    """Return how long the client's first SYN had waited on its node, by the timestamps of it and of its first ACK; 0 where it did not.

    Linux stamps a segment when it is made, in milliseconds (tcp_time_stamp); one that waits for the neighbour's address is
    sent when that is known.
    """
    if not side.syns or side.stamp < 0 or tsval < 0:
        return 0
    made = (tsval - side.stamp) & MASK
    held = made * MS - (mark.ns - side.syns[0].ns)
    return held if made < HALF and held >= HELD_LEAST_NS else 0


def tells_of_unseen(side: Side, seq: int) -> bool:
    """Return whether the number of a RST is that of a side which sent bytes, though none was seen: all its data is missing."""
    return side.isn >= 0 and not side.stream.top and 0 < distance(seq, side.nxt) < LARGE


def gap(peer: Side, ack: int) -> None:
    """Write down that bytes of `peer` were acknowledged which were not seen (Zeek's TCP_Reassembler::AckReceived)."""
    stream = peer.stream
    end = stream.offset(ack)
    if peer.fin is not None:
        end = min(end, stream.offset(peer.fin_end) - 1)
    start = max(stream.next, peer.reported)
    life, other = peer.life, peer.peer
    if end <= start or (end <= 1 and life.midstream):
        return
    if peer.clean and other.clean and peer.state not in _RESETS and other.state not in _RESETS:
        for _ in range(stream.holes(start, end)):
            life.history.scaled(peer.letter("G"))
    peer.reported = end
    stream.acknowledged(ack)


def out_of_line(side: Side, seq: int, length: int, flags: int, ns: int) -> None:
    """Take in a segment that does not begin where the one before ended."""
    control = flags & (SYN | FIN)
    size = length + bool(flags & SYN) + bool(flags & FIN)
    if length or control:
        back = distance(seq, side.nxt)
        harmless = back == -1 and (length > 1 or not control)
        if back < 0 and not harmless and not is_disorder(side, seq, length, control, ns):
            side.retransmits += 1
    past = seq + (size - length if flags & RST else size)
    ahead = distance(past, side.nxt)
    if (flags & (SYN | RST) and not -LARGE <= ahead <= LARGE) or side.state in _RESETS:
        return
    if ahead > 0:
        side.nxt = past & MASK
        side.nxt_ns = ns
    elif length:
        side.life.history.scaled(side.letter("T"))


def is_disorder(side: Side, seq: int, length: int, control: int, ns: int) -> bool:
    """Return whether a segment below `nxt` was overtaken, not sent again (tshark's TCP_A_OUT_OF_ORDER)."""
    late = ns - side.nxt_ns
    if late < FAST and side.peer.dup_acks >= 2 and side.acked == seq:
        return False  # fast retransmission
    past = seq + length
    if length and side.acked >= 0 and distance(past, side.acked) <= 0:
        return False  # spurious: it had been acknowledged
    life = side.life
    trip = ROUND_TRIP
    if life.orig.first_ack is not None and life.orig.syns and life.answered:
        trip = life.orig.first_ack.ns - life.orig.syns[-1].ns
    if late >= trip or (past + bool(control)) & MASK == side.nxt:
        return False
    start = side.stream.offset(seq)
    return not side.stream.seen(start, start + length)


def letters(side: Side, flags: int, seq: int, length: int) -> None:
    """Write the history letter of a segment with SYN, FIN or RST (Zeek's update_history)."""
    history = side.life.history
    several = flags & (SYN | FIN | RST)
    relative = (seq - side.stream.base + 1) & MASK
    if several & (several - 1):
        history.once(side.letter("I" if flags & FIN and flags & RST else "Q"))
    elif flags & SYN:
        history.again(side.letter("H" if flags & ACK else "S"), side.letter("S"), relative)
    elif flags & FIN:
        letter = side.letter("F")
        history.again(letter, letter, (relative + length) & MASK)
    else:
        letter = side.letter("R")
        history.again(letter, letter, relative)
