"""Files into objects: encodings, gzip, limits, JSON through a window, Lists taken apart."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probewatch.cluster import jsonstream, source
from probewatch.cluster.document import Document
from probewatch.cluster.documents import read_documents
from probewatch.cluster.errors import SpecError


def read(path: Path, data: bytes | str, *, dump: bool = True) -> list[Document]:
    """Write a file and return its objects."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_documents(str(path), dump=dump))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a test may write its file."""
    return tmp_path / "f.json"


@pytest.fixture(params=[1, 7, 1 << 18])
def _window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_CHUNK", request.param)


DUMP = {"apiVersion": "v1", "items": [{"kind": "Node", "n": -12.5e3}, {"kind": "Pod", "s": 'a"\\\u00e9\n]}'}], "kind": "List"}


@pytest.mark.usefixtures("_window")
@pytest.mark.parametrize("indent", [None, 4])
def test_list_by_items(path: Path, indent: int | None) -> None:
    """The elements of a List come one by one, whatever piece of the text is in the window."""
    found = read(path, json.dumps(DUMP, indent=indent))

    assert [document.value for document in found] == DUMP["items"]
    assert [document.label for document in found] == ["item 1", "item 2"]


@pytest.mark.usefixtures("_window")
def test_documents_one_after_another(path: Path) -> None:
    """The output of several commands in one file is read as several documents, with or without `---` between them."""
    text = '{"kind":"Pod"}\n{"kind":"PodList","items":[{"a":1},2]}---\n[{"b":[]}] {} 12'

    found = read(path, text)

    assert [(document.label, document.value, document.list_kind) for document in found] == [
        ("document 1", {"kind": "Pod"}, ""),
        ("document 2 item 1", {"a": 1}, "PodList"),
        ("document 2 item 2", 2, "PodList"),
        ("document 3 item 1", {"b": []}, ""),
        ("document 4", {}, ""),
        ("document 5", 12, ""),
    ]


def test_empty_lists(path: Path) -> None:
    """A List or array without elements gives nothing; an empty object is an object."""
    assert read(path, '{"items": [], "kind": "List"}') == []
    assert read(path, " [ ] ") == []
    assert read(path, "{}") == [Document(1, None, {})]


def test_yaml_lists(path: Path) -> None:
    """YAML Lists are taken apart as JSON ones, and kind may follow items."""
    found = read(path, "items:\n- a: 1\n- b\nkind: PodList\n---\n---\nkind: Pod\n---\n- {c: 2}\n")

    assert [(document.label, document.value, document.list_kind) for document in found] == [
        ("item 1", {"a": 1}, "PodList"),
        ("item 2", "b", "PodList"),
        ("document 3", {"kind": "Pod"}, ""),
        ("document 4 item 1", {"c": 2}, ""),
    ]


def test_flow_mapping_is_yaml(path: Path) -> None:
    """A text that begins with `{` but quotes no key is YAML."""
    assert read(path, "{kind: Pod, a: [1]}") == [Document(1, None, {"kind": "Pod", "a": [1]})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ['{"kind": "Pöd"}', "kind: Pöd\n"])
def test_encodings(path: Path, encoding: str, text: str) -> None:
    """UTF-8 and, with a byte order mark, UTF-16 (PowerShell's `>`) are read; plain or gzip."""
    data = text.encode(encoding)

    assert read(path, data) == read(path, gzip.compress(data)) == [Document(1, None, {"kind": "Pöd"})]


def test_lone_surrogate(path: Path) -> None:
    """An escape that is half a character becomes U+FFFD, as in Go: it can be printed."""
    found = read(path, '{"a\\ud800": ["\\udc00x", "\\ud83d\\ude00"]}')

    assert found[0].value == {"a\ufffd": ["\ufffdx", "😀"]}


@pytest.mark.usefixtures("_window")
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1,\n "b" 2}', "line 2 column 6: not JSON: expected ':' after a member name, got \"2\""),
        ('{"a": 1 "b": 2}', "line 1 column 9: not JSON: expected ',' or '}'"),
        ('{"a": tru}', "line 1 column 7: not JSON: expecting value"),
        ('{"items": [{"a": 1}\n\n {"b": 2}]}', "line 3 column 2: not JSON: expected ',' or ']', got \"{\""),
        ('{"items": [{"a": 1},\n{"b": }]}', "line 2 column 7: not JSON: expecting value"),
        ('{"a": "x', "not JSON: unterminated string"),
        ('{"a": {"b": 1}', "expected ',' or '}', got the end of the file"),
        ('{"a": 1,}', "expected a member name in double quotes"),
        ('{"a": 1, b: 2}', "expected a member name in double quotes, got \"b\""),
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": 1} x', "line 1 column 10: not JSON: expecting value"),
        ('{"a": "\\q"}', "not JSON: invalid \\\\escape"),
    ],
)
def test_malformed_json(path: Path, text: str, sentence: str) -> None:
    """Malformed JSON is refused with line and column in the file, however it was cut into pieces."""
    with pytest.raises(SpecError) as caught:
        read(path, text)

    assert sentence.replace("\\\\", "\\") in str(caught.value)


@pytest.mark.usefixtures("_window")
def test_a_number_of_any_length_is_one(path: Path) -> None:
    """It is JSON; beyond 64 bits and more it is what a float makes of it, however the file was cut into pieces, as in YAML."""
    found = read(path, '{"a": ' + "9" * 5_000 + ', "b": -' + "9" * 5_000 + ', "c": ' + "1" * 50 + ', "d": 12345678901234567890}')
    assert found[0].value == {"a": math.inf, "b": -math.inf, "c": float("1" * 50), "d": 12345678901234567890}


def test_one_huge_value(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value beyond the limit is refused without being held."""
    monkeypatch.setattr(jsonstream, "MAX_ITEM_CHARS", 1 << 20)
    monkeypatch.setattr(source, "_CHUNK", 1 << 16)

    with pytest.raises(SpecError, match="one value is longer than 1 MB"):
        read(path, '{"items": ["' + "x" * (5 << 20) + '"]}')


def test_malformed_early_in_a_large_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake at the beginning is found without reading on."""
    monkeypatch.setattr(source, "_CHUNK", 1 << 10)
    monkeypatch.setattr(source, "MAX_DUMP_BYTES", 1 << 14)

    with pytest.raises(SpecError, match="line 1 column 12: not JSON"):
        read(path, '{"items": [}' + " " * (1 << 20))


def test_too_large(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text beyond the limit is refused, packed or not, and YAML in a dump is held to the manifests' limit."""
    monkeypatch.setattr("probewatch.cluster.documents.MAX_SPEC_BYTES", 1 << 20)
    monkeypatch.setattr(source, "MAX_SPEC_BYTES", 1 << 20)
    text = "a: " + "x" * (3 << 20)

    for data in (text.encode(), gzip.compress(text.encode())):
        for dump in (False, True):
            with pytest.raises(SpecError, match="more than 1 MB of text"):
                read(path, data, dump=dump)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "this is a packet capture, not a manifest; give it as FILE"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", "this is a packet capture"),
        (gzip.compress(b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", mtime=0), "this is a packet capture"),
        (b"a: \xff\xfe", "not text: byte 3 is not UTF-8"),
        (b"kind: Pod\x00", "not text: it holds zero bytes"),
        (b"\xff\xfea\x00b", "not text: .* is not UTF-16"),
        (gzip.compress(b"kind: Pod\n" * 1000, mtime=0)[:-9], "cannot be read.*: the gzip data ends too early"),
        (b"\x1f\x8b\x08\x00junk", "cannot be read"),
        (b"\x1f\x8b", "cannot be read"),
    ],
)
def test_unreadable(path: Path, data: bytes, sentence: str) -> None:
    """What is no text is named for what it is."""
    with pytest.raises(SpecError, match=sentence):
        read(path, data)


def test_no_file(tmp_path: Path) -> None:
    """A missing file, a directory and an impossible name are refused with the reason."""
    for name, sentence in (
        (str(tmp_path / "none"), "cannot be opened: no such file or directory"),
        (str(tmp_path), "cannot be opened: it is a directory; give a file"),
        ("a\x00b", "cannot be opened"),
    ):
        with pytest.raises(SpecError, match=sentence):
            list(read_documents(name, dump=False))


TEXTS: st.SearchStrategy[Any] = st.one_of(
    st.binary(max_size=120),
    st.text('{}[]",:0123.eE-+ntfalsrue\\u \nkinditemsPod', max_size=80).map(str.encode),
    st.builds(
        lambda a, b, c: (json.dumps(DUMP)[:a] + c + json.dumps(DUMP)[b:]).encode(),
        st.integers(0, 130),
        st.integers(0, 130),
        st.text(max_size=4),
    ),
)


@given(TEXTS, st.sampled_from([1, 5, 1 << 18]), st.booleans())
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes(path: Path, data: bytes, window: int, packed: bool) -> None:
    """Any bytes end in objects or SpecError, and where JSON's own decoder reads them, in the same objects."""
    message = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_CHUNK", window)
        try:
            found = [document.value for document in read(path, gzip.compress(data) if packed else data)]
        except SpecError as error:
            found, message = None, str(error).replace(str(path), "")
    assert message.isprintable()
    try:
        whole = json.loads(data.decode())
    except (ValueError, RecursionError):
        return
    if isinstance(whole, dict) and not isinstance(whole.get("items"), list):
        assert found == [whole]


def test_standard_input_is_for_captures() -> None:
    """`--spec -` would take the place of a capture: the sentence says how to give a manifest from a pipe."""
    with pytest.raises(SpecError, match=r"^-: standard input .* give a manifest from a pipe as /dev/stdin$"):
        list(read_documents("-", dump=False))
