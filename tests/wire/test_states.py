"""The tables of TCP endpoint states, Zeek's conn_state and history letters."""

from __future__ import annotations

import itertools

import pytest

from probewatch.wire.states import EXCEPTIONS, HISTORY_LIMIT, LETTERS, MOVES, Endpoint, Event, History, conn_state, step

E, V = Endpoint, Event
BEGUN = [E.SYN_SENT, E.SYN_ACK_SENT, E.PARTIAL, E.ESTABLISHED]
OVER = [E.CLOSED, E.RESET, E.ABORTED]
STATES = {"S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(Endpoint, Event)))
def test_every_state_has_a_move_for_every_event(state: Endpoint, event: Event) -> None:
    """No event finds a state without an answer, whatever the peer does, and `step` is exactly the two tables."""
    for peer in Endpoint:
        expected = EXCEPTIONS.get((state, event, peer), (MOVES[state, event], peer))

        assert step(state, event, peer) == expected


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (V.CLIENT_SYN, E.SYN_SENT), (V.CLIENT_SYN_ACK, E.SYN_ACK_SENT), (V.SERVER_SYN, E.ESTABLISHED), (V.SERVER_SYN_ACK, E.ESTABLISHED),
        (V.ACK, E.PARTIAL), (V.SERVER_EMPTY, E.PARTIAL), (V.NO_ACK, E.PARTIAL), (V.FIN, E.CLOSED), (V.RST, E.RESET),
        (V.CHALLENGE_RST, E.INACTIVE),
    ],
)  # fmt: skip
def test_first_segment(event: Event, state: Endpoint) -> None:
    """An endpoint nobody has heard of takes its state from its first segment."""
    assert step(E.INACTIVE, event, E.INACTIVE) == (state, E.INACTIVE)


@pytest.mark.parametrize("state", BEGUN)
def test_fin_closes_and_rst_resets(state: Endpoint) -> None:
    """A FIN closes and a RST resets whatever had begun."""
    assert step(state, V.FIN, E.ESTABLISHED) == (E.CLOSED, E.ESTABLISHED)
    assert step(state, V.RST, E.ESTABLISHED) == (E.RESET, E.ESTABLISHED)
    assert step(state, V.CHALLENGE_RST, E.ESTABLISHED) == (state, E.ESTABLISHED)


@pytest.mark.parametrize(("state", "event", "peer"), list(itertools.product([E.RESET, E.ABORTED], Event, Endpoint)))
def test_reset_is_the_end(state: Endpoint, event: Event, peer: Endpoint) -> None:
    """Nothing that a reset endpoint sends changes it or its peer."""
    assert step(state, event, peer) == (state, peer)


@pytest.mark.parametrize(("event", "peer"), list(itertools.product(Event, Endpoint)))
def test_closed_only_aborts(event: Event, peer: Endpoint) -> None:
    """After its FIN an endpoint can only abort, and not even that once the peer sent a FIN too."""
    aborts = event is V.RST and peer is not E.CLOSED

    assert step(E.CLOSED, event, peer) == (E.ABORTED if aborts else E.CLOSED, peer)


@pytest.mark.parametrize("event", [V.SERVER_SYN, V.SERVER_SYN_ACK])
def test_answer_establishes_both(event: Event) -> None:
    """The answer to a SYN establishes both sides."""
    assert step(E.INACTIVE, event, E.SYN_SENT) == (E.ESTABLISHED, E.ESTABLISHED)


def test_challenge_ack_is_no_answer() -> None:
    """An empty ACK in answer to a SYN (RFC 9293 section 3.10.7.4) leaves both as they were."""
    assert step(E.INACTIVE, V.SERVER_EMPTY, E.SYN_SENT) == (E.INACTIVE, E.SYN_SENT)


def test_fin_after_the_peers_abort_is_a_normal_end() -> None:
    """FIN, RST from one side and FIN from the other: Zeek's SF."""
    assert step(E.ESTABLISHED, V.FIN, E.ABORTED) == (E.CLOSED, E.CLOSED)


@pytest.mark.parametrize(("orig", "resp"), list(itertools.product(Endpoint, Endpoint)))
def test_every_pair_has_a_conn_state(orig: Endpoint, resp: Endpoint) -> None:
    """Every pair of states has one of Zeek's thirteen words."""
    for history in ("", "SR", "ShADR", "^hR"):
        for sizes in ((0, 0), (1, 0), (0, 1)):
            assert conn_state(orig, resp, sizes, history) in STATES


@pytest.mark.parametrize(
    ("orig", "resp", "history", "word"),
    [
        (E.SYN_SENT, E.INACTIVE, "S", "S0"),
        (E.ESTABLISHED, E.ESTABLISHED, "ShA", "S1"),
        (E.CLOSED, E.ESTABLISHED, "ShAF", "S2"),
        (E.ESTABLISHED, E.CLOSED, "ShAf", "S3"),
        (E.CLOSED, E.CLOSED, "ShAFf", "SF"),
        (E.SYN_SENT, E.RESET, "Sr", "REJ"),
        (E.RESET, E.RESET, "SrR", "REJ"),
        (E.RESET, E.ESTABLISHED, "ShR", "RSTO"),
        (E.ABORTED, E.ESTABLISHED, "ShAFR", "RSTO"),
        (E.ESTABLISHED, E.RESET, "ShAr", "RSTR"),
        (E.RESET, E.INACTIVE, "SR", "RSTOS0"),
        (E.RESET, E.INACTIVE, "^SR", "RSTOS0"),
        (E.RESET, E.INACTIVE, "SAR", "OTH"),
        (E.RESET, E.INACTIVE, "R", "OTH"),
        (E.INACTIVE, E.RESET, "^hr", "RSTRH"),
        (E.PARTIAL, E.RESET, "Ar", "RSTRH"),
        (E.CLOSED, E.INACTIVE, "SF", "SH"),
        (E.INACTIVE, E.CLOSED, "^hf", "SHR"),
        (E.PARTIAL, E.PARTIAL, "DdA", "OTH"),
    ],
)
def test_conn_state(orig: Endpoint, resp: Endpoint, history: str, word: str) -> None:
    """The words mean what Zeek's documentation says."""
    assert conn_state(orig, resp, (0, 0), history) == word


def test_both_reset_after_data_is_not_rejected() -> None:
    """REJ needs that no data was sent."""
    assert conn_state(E.RESET, E.RESET, (10, 0), "ShADrR") == "RSTR"


def test_history_letters_once() -> None:
    """A, D, I and Q stand once a side."""
    history = History()
    for letter in "AaADdDIIiQQq":
        history.once(letter)

    assert history.letters == "AaDdIiQq"


def test_history_letters_again_with_another_number() -> None:
    """S, H, F and R stand again only where the sequence number differs, and H counts as S does."""
    history = History()
    for letter, seen_as, seq in (("S", "S", 0), ("S", "S", 0), ("h", "s", 0), ("F", "F", 9), ("F", "F", 9), ("F", "F", 10), ("H", "S", 0)):
        history.again(letter, seen_as, seq)

    assert history.letters == "ShFF"


def test_history_letters_by_powers_of_ten() -> None:
    """T, W and G stand for the 1st, 10th, 100th and 1000th time, each side for itself."""
    history = History()
    for _ in range(1234):
        history.scaled("t")
    history.scaled("T")

    assert history.letters == "ttttT"


def test_history_is_bounded() -> None:
    """No flood of RSTs makes the history longer than its limit."""
    history = History()
    for seq in range(10_000):
        history.again("R", "R", seq)

    assert len(history.letters) == HISTORY_LIMIT


def test_history_flips() -> None:
    """Turning the direction swaps the cases, of what is to come too, and leaves Zeek's mark."""
    history = History()
    history.once("A")
    history.scaled("T")
    history.flip()
    history.once("a")
    history.once("A")
    history.scaled("t")

    assert history.letters == "at^A"


def test_every_letter_is_explained() -> None:
    """The table for readers knows every letter that is written."""
    assert set(LETTERS) == set("SHADFRTWGIQ^")
