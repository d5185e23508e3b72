"""What Go's net/url and net/textproto make of a probe's path and header names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probewatch.cluster.golang import canonical_header, request_target


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("", "/"),
        ("/", "/"),
        ("/healthz", "/healthz"),
        ("healthz", "/healthz"),
        ("./healthz", "/./healthz"),
        ("../a", "/../a"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/a%2fb", "/a%2fb"),
        ("/a%2fb c", "/a/b%20c"),
        ("/ready?x=1&y=%20z", "/ready?x=1&y=%20z"),
        ("/ready?", "/ready?"),
        ("/ready??", "/ready??"),
        ("/ready?a b", "/ready?a b"),
        ("?x=1", "/?x=1"),
        ("/ready#part", "/ready"),
        ("/ready?x#part", "/ready?x"),
        ("#part", "/"),
        ("*", "/*"),
        ("/a[0]!'()*", "/a[0]!'()*"),
        ('/a"b|c\\d', "/a%22b%7Cc%5Cd"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        ("http://other:9999/live?x", "/live?x"),
        ("HTTP://other", "/"),
        ("https://u:p@other/live", "/live"),
        ("//other/live", "/live"),
        ("//[fd00::1]:80/live", "/live"),
        ("///live", "///live"),
        ("http:", "/"),
        ("http:?x", "/?x"),
    ],
)
def test_reference(written: str, sent: str) -> None:
    """A path is a URL reference: query kept, fragment dropped, another host overwritten, unsafe characters percent-encoded."""
    assert request_target(written) == sent


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/%zz", "/%25zz"),
        ("/100%?a", "/100%25%3Fa"),
        ("/a\nb", "/a%0Ab"),
        ("a:b/c d", "a:b/c d"),
        ("1:/x", "/1:/x"),
        (":x", "/:x"),
        ("//bad host/x", "//bad%20host/x"),
        ("//host:port/x", "//host:port/x"),
        ("//[fd00::1/x", "//%5Bfd00::1/x"),
        ("/a#%zz", "/a%23%25zz"),
    ],
)
def test_no_reference(written: str, sent: str) -> None:
    """What does not parse as a reference is sent as a literal path; a rootless URL, which Go never sends, stays as written."""
    assert request_target(written) == sent


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_path_gives_a_target(path: str) -> None:
    """Any text gives a target without control characters whose path is legal in a URL, and which is its own target."""
    target = request_target(path)

    if target == path and not path.startswith("/"):
        return
    before_query = target.partition("?")[0]
    assert re.fullmatch(r"/(?:[A-Za-z0-9\-._~$&+,/:;=@!'()*\[\]]|%[0-9A-Fa-f]{2})*", before_query)
    assert not re.search(r"[\x00-\x1f\x7f]", target)
    if not target.startswith("//"):
        assert request_target(target) == target


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("x-foo", "X-Foo"),
        ("X-FOO-bar", "X-Foo-Bar"),
        ("host", "Host"),
        ("www-authenticate", "Www-Authenticate"),
        ("x--y", "X--Y"),
        ("-x", "-X"),
        ("x_y", "X_y"),
        ("a b", "a b"),
        ("größe", "größe"),
        ("", ""),
    ],
)
def test_header_name(written: str, sent: str) -> None:
    """Header names take the canonical form of textproto; what is no token stays as it is."""
    assert canonical_header(written) == sent
