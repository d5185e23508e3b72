# ruff: noqa: E501 (scripts of packets and rows of tables keep their line)
"""`--check`: thresholds by hand, in each program's own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probewatch.cluster import parse_check
from probewatch.cluster.checktext import KEYS, MOST_TIMES
from probewatch.decisions.risefall import MOST, RULES
from probewatch.model.units import SECOND


def test_haproxy() -> None:
    """All of HAProxy's numbers; what was written is kept as it was."""
    spec = parse_check("haproxy:rise=2,fall=4,inter=5s,fastinter=500ms,downinter=1.5m,target=[fd00::2]:8080")
    assert (spec.kind, spec.rise, spec.fall, spec.address, spec.port) == ("haproxy", 2, 4, "fd00::2", 8080)
    assert (spec.interval_ns, spec.fast_ns, spec.down_ns) == (5 * SECOND, SECOND // 2, 90 * SECOND)
    assert spec.declared == {"rise": 2, "fall": 4, "inter_s": 5.0, "fastinter_s": 0.5, "downinter_s": 90.0}


def test_each_programs_own_words() -> None:
    """Keepalived counts repetitions after the first failure, Varnish a window, the others results in a row."""
    assert parse_check("keepalived:retry=2,delay_before_retry=1s").fall == 3
    assert parse_check("keepalived:retry=0").fall == 1
    varnish = parse_check("varnish:window=5,threshold=3,target=10.0.0.1")
    assert (varnish.window, varnish.rise, varnish.address, varnish.port) == (5, 3, "10.0.0.1", None)
    assert parse_check("apache:hcpasses=2,hcfails=3").fall == 3
    assert parse_check("consul:failures_before_critical=0").fall == 1
    assert parse_check("azure: threshold=2 , port=80").port == 80


@pytest.mark.parametrize(("text", "said"), [
    ("haproxy", '--check "haproxy" declares nothing: write it as haproxy:rise=2,fall=3,inter=5s'),
    ("haproxy:", '--check "haproxy:" declares nothing: write it as haproxy:rise=2,fall=3,inter=5s'),
    ("haproxi:rise=2", f'--check "haproxi": no such checker; there are {", ".join(KEYS)}'),
    ("haproxy:rise=two", "--check haproxy: rise=two is not a whole number from 1 to 1000"),
    ("haproxy:rise=0", "--check haproxy: rise=0 is not a whole number from 1 to 1000"),
    ("haproxy:inter=5000", "--check haproxy: inter=5000 is no time: write the unit, 5000ms or 5000s"),
    ("haproxy:inter=fast", "--check haproxy: inter=fast is no time: write it as 5s, 500ms or 1.5s"),
    ("haproxy:rise=2,rise=3", "--check haproxy: rise is said twice"),
    ("haproxy:target=10.0.0.1", "--check haproxy names a target and no number: add rise=, fall=, inter=, fastinter=, downinter=, timeout="),
    ("haproxy:rise=2,target=web:80", "--check haproxy: target=web:80 is no address: write 10.0.0.1, 10.0.0.1:8080, fd00::1 or [fd00::1]:8080"),
    ("varnish:window=2,threshold=3", "--check varnish: threshold=3 can never be reached in a window of 2"),
    ("varnish:rise=3", '--check varnish: "rise=3" is none of window=, threshold=, interval=, timeout=, target=, port='),
])  # fmt: skip
def test_a_wrong_one_is_one_sentence(text: str, said: str) -> None:
    """What is wrong, and how to write it."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_check(text)
    assert str(caught.value) == said


def test_every_checker_that_counts_can_be_declared() -> None:
    """Each kind with a rule of more than one result has keys, and no key is for a kind that takes no decisions."""
    assert set(KEYS) <= set(RULES)
    assert {kind for kind, rule in RULES.items() if rule.rise > 1 or rule.fall > 1} <= set(KEYS)
    assert MOST_TIMES == MOST


@given(st.text(max_size=60) | st.from_regex(r"(haproxy|varnish|keepalived):[a-z=0-9.,:\[\]]{0,30}", fullmatch=True))
def test_any_text_is_a_spec_or_a_sentence(text: str) -> None:
    """Never anything but a spec or a ValueError of one line without control characters."""
    try:
        said = parse_check(text).kind
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
