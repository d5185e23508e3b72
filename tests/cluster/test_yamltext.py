"""YAML within bounds and as Kubernetes reads it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.cluster import yamltext
from probewatch.cluster.errors import SpecError
from probewatch.cluster.yamltext import plain_scalar, yaml_values


def values(text: str) -> list[Any]:
    """Return all documents of a text."""
    return list(yaml_values(text, "f.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8080", 8080),
        ("-1", -1),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("0b11", 3),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("9" * 50, 1e50),
        ("true", True),
        ("Yes", True),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("12:30:45", "12:30:45"),
        ("2026-11-22T20:43:11Z", "2026-11-22T20:43:11Z"),
        ("2026-11-22", "2026-11-22"),
        ("10.128.0.1", "10.128.0.1"),
        ("0x", "0x"),
        ("truE", "truE"),
        ("=", "="),
    ],
)
def test_plain_scalar(text: str, value: Any) -> None:
    """An unquoted word means what kubectl takes it for: times, addresses and base-60 numbers stay text."""
    meant = plain_scalar(text)

    assert meant == value
    assert type(meant) is type(value)


def test_documents() -> None:
    """Several documents come in order; an empty one is None; a comment is nothing."""
    assert values("# hello\na: 1\n---\n---\n- 'x'\n- \"2\"\n...\n") == [{"a": 1}, None, ["x", "2"]]


def test_keys_are_text() -> None:
    """Keys are text, as in JSON, whatever they look like."""
    assert values("8080: a\ntrue: b\nnull: c\n") == [{"8080": "a", "true": "b", "null": "c"}]


def test_aliases_and_merge() -> None:
    """Aliases repeat a value; `<<` merges, the written key and the earlier mapping winning."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 9}\nd: *b\n&k key: v\n*k : w\n"
    with pytest.raises(SpecError, match='"key" is written twice'):
        values(text)

    (found,) = values(text.replace("*k : w\n", "list: [*k]\n"))

    assert found["c"] == {"x": 9, "y": 1, "z": 2}
    assert found["d"] == {"y": 2, "z": 2}
    assert found["list"] == ["key"]


def test_alias_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aliases of aliases are counted for what they stand for, and refused before anything walks them."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]

    with pytest.raises(SpecError, match=r"^f\.yaml: line \d+ column \d+: its aliases stand for more than 2000000 values"):
        values("\n".join(lines))

    monkeypatch.setattr(yamltext, "MAX_NODES", 100)
    with pytest.raises(SpecError, match="its aliases stand for more than 100 values"):
        values("\n".join(lines[:4]))


def test_merge_bomb() -> None:
    """`<<` cannot multiply either: merged aliases count as all others."""
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(10)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], z: {{<<: *a{n - 1}}}}}" for n in range(1, 20)]

    with pytest.raises(SpecError, match="its aliases stand for more than"):
        values("\n".join(lines))


def test_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with more values than the limit is refused, with the way out."""
    monkeypatch.setattr(yamltext, "MAX_NODES", 50)

    with pytest.raises(SpecError, match="more than 50 values; give only what is needed, or JSON"):
        values("\n".join("- x" for _ in range(60)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [" * 5000, "nested deeper than 100 levels"),
        ("- " * 5000, "nested deeper than 100 levels"),
        ("a: &a [*a]", r"line 1 column 8: the alias \*a stands inside its own anchor"),
        ("a: *b", r"line 1 column 4: the alias \*b has no anchor before it"),
        ("a: 1\nb: 2\na: 3\n", 'line 3 column 1: "a" is written twice in one mapping'),
        ("? [a]\n: b\n", "line 1 column 3: a mapping or list cannot be a key"),
        ("a: !!python/object:os.system x", "line 1 column 4: the tag .* cannot be used here"),
        ("a: !!int x", "the tag .* cannot be used here"),
        ("a: !Ref {b: c}", 'the tag "!Ref" cannot be used here'),
        ("a: {<<: x}", "<< merges mappings only"),
        ("a:\n\tb: 1\n", "line 2 column 1: not YAML: .*there is a tab in this line: indent with spaces"),
        ("a: b: c\n", "line 1 column 5: not YAML: mapping values are not allowed"),
        ("a: [1, 2\n", "line 2 column 1: not YAML"),
        ("a: 'x\n", "not YAML"),
        ("a: \x07\n", "not YAML: .* at character 3"),
        ('a: "\\UFFFFFFFF"\n', "not YAML"),
        ("%YAML 9.9\n---\na: 1\n", "not YAML"),
    ],
)
def test_refused(text: str, sentence: str) -> None:
    """What is not YAML, or more than a manifest needs, is refused with line and column."""
    with pytest.raises(SpecError, match=rf"^f\.yaml: .*{sentence}"):
        values(text)


def test_tags_of_json() -> None:
    """The tags of JSON's own types are understood."""
    text = "[!!str 8080, !!int '8', !!float 1, !!bool yes, !!null '', !!map {a: 1}, !!seq [1], ! 5]"

    assert values(text) == [["8080", 8, 1.0, True, None, {"a": 1}, [1], "5"]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ.-/ ", max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(JSON)
@settings(deadline=None, max_examples=150)
def test_json_is_yaml(value: Any) -> None:
    """Any JSON value reads back from its JSON text as itself."""
    assert values(json.dumps(value, indent=1, ensure_ascii=False)) == [value]


@given(st.text(max_size=200) | st.text("abc:-[]{}&*!|>'\"%@#,? \n\t<~", max_size=80))
@settings(deadline=None, max_examples=400)
def test_any_text(text: str) -> None:
    """Any text ends in values or SpecError."""
    message = ""
    try:
        values(text)
    except SpecError as error:
        message = str(error)
    assert message.isprintable()
