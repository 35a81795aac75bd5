"""Where a call goes: which roots are accepted, and what a reference can and cannot do to the request target."""

from __future__ import annotations

import re

import pytest
from connectors import conversation
from faults import FaultServer
from hypothesis import given, settings
from hypothesis import strategies as st

from panel.connector import check_root
from panel.connector.endpoint import parse_endpoint, shown_origin
from panel.core.errors import InvalidInput

GOOD_ROOTS = [
    ("https://wiki.test", "https://wiki.test", ""),
    ("https://wiki.test/", "https://wiki.test", ""),
    ("HTTPS://Wiki.Test.:443/xwiki/", "https://wiki.test", "/xwiki"),
    ("http://wiki.test:8080/a/b", "http://wiki.test:8080", "/a/b"),
    ("http://wiki_1.test:443", "http://wiki_1.test:443", ""),
    ("http://[::1]:8080/x", "http://[::1]:8080", "/x"),
    ("http://[0:0:0:0:0:0:0:1]", "http://[::1]", ""),
    ("https://wiki.münchen.test/ä", "https://wiki.xn--mnchen-3ya.test", "/%C3%A4"),
    ("https://wiki.test/%7Ealice;v=1", "https://wiki.test", "/%7Ealice;v=1"),
]
BAD_ROOTS = [
    "", "wiki.test", "//wiki.test", "https:wiki.test", "https:///x", "ftp://wiki.test", "file:///etc/passwd",
    "javascript:alert(1)",
    "https://", "https://:443", "https://.", "https://a..b", "https://-a.test", f"https://{'a' * 64}.test",
    f"https://{'a.' * 127}test",
    "https://user@wiki.test", "https://user:pw@wiki.test", "https://@wiki.test", "https://good.test\\@evil.test",
    "https://wiki.test?x=1", "https://wiki.test/x?", "https://wiki.test#x", "https://wiki.test/#",
    "https://wiki.test:0", "https://wiki.test:65536", "https://wiki.test:", "https://wiki.test:8a",
    "https://wiki.test:99999999999",
    "https://wiki.test:４４３", "https://[::1", "https://[fe80::1%25lo]", "https://[wiki.test]", "https://::1",
    "https://wiki%2etest",
    "https://wiki.test/a b", "https://wiki.test/\r\nX: 1", "https://wiki.test/\x00", "https://wiki.test/\x7f",
    " https://wiki.test",
    "https://wiki.test/a/../b", "https://wiki.test/..", "https://wiki.test/%2e%2e/x", "https://wiki.test/./x",
    "https://wiki.test//x",
    "https://wiki.test/%zz", "https://wiki.test/%0d%0a", "https://wiki.test/a%5c..%5cb", "https://wiki.test/\\x",
]  # fmt: skip
BAD_SEGMENTS = ["", ".", "..", "a\x00", "\r\n", "a\tb", "\x7f", "\x85", "\ud800"]
ODD_SEGMENTS = [
    "%2e%2e", "%2e%2e/%2e%2e/admin", "..%2f", "../admin", "..;", "a;b=1", "a?b", "a#b", "%00", "a\\b", "//evil.test",
    "a b", "ä", "+",
    "…", "...", "~", "%", "a%zz", "http://evil.test/", "@", ":", "Main.WebHome", "日本", "\u202e", "👍", "'\"<>",
    "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize(("root", "origin", "path"), GOOD_ROOTS)
def test_a_root_is_read_in_one_way(root: str, origin: str, path: str) -> None:
    place = parse_endpoint(root)

    assert (place.origin, place.path) == (origin, path)


@pytest.mark.parametrize("root", BAD_ROOTS)
def test_a_root_that_is_no_plain_address_is_refused(root: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_root(root)

    assert caught.value.field == "location"
    assert str(caught.value).endswith(".")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("segment", BAD_SEGMENTS)
def test_a_segment_that_could_lead_elsewhere_sends_nothing(faults: FaultServer, segment: str) -> None:
    before = faults.connects

    with pytest.raises(InvalidInput) as caught:
        conversation(faults).get("pages", segment, "x")

    assert caught.value.field == "reference"
    assert faults.connects == before


@pytest.mark.parametrize("segment", ODD_SEGMENTS)
def test_an_odd_segment_stays_one_segment_on_the_wire(faults: FaultServer, segment: str) -> None:
    line = conversation(faults).get("pages", segment).object()["line"]

    assert re.fullmatch(r"GET /pages/[A-Za-z0-9%._~-]+ HTTP/1\.1", line)
    assert not re.search(r"/\.{1,2}[ /]", line)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
def test_a_target_never_leaves_its_root(segments: list[str]) -> None:
    try:
        target = parse_endpoint("https://wiki.test/xwiki").target(("rest", *segments), [("q", segments[0])])
    except InvalidInput:
        return

    path, _, query = target.partition("?")
    assert re.fullmatch(r"/xwiki/rest(/[A-Za-z0-9%._~-]+)+", path)
    assert not {"", ".", ".."} & set(path.split("/")[1:])
    assert re.fullmatch(r"q=[A-Za-z0-9%._~/-]*", query)


def test_the_query_is_encoded_in_its_order(faults: FaultServer) -> None:
    query = [("q", "a b&c=d#e"), ("q", "ä\ud800"), ("empty", "")]

    line = conversation(faults).get("search", query=query).object()["line"]

    assert line == "GET /search?q=a%20b%26c%3Dd%23e&q=%C3%A4%3F&empty= HTTP/1.1"


def test_the_root_itself_can_be_asked(faults: FaultServer) -> None:
    assert conversation(faults).get().object()["line"] == "GET / HTTP/1.1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://elsewhere.test/login?secret=1", "https://elsewhere.test"),
        ("http://u:p@elsewhere.test:81/x", "http://elsewhere.test:81"),
        ("javascript:alert(1)", None), ("https://<b>/", None), ("http://[::1", None), ("", None),
    ],
)  # fmt: skip
def test_of_a_foreign_address_only_the_origin_is_shown(url: str, shown: str | None) -> None:
    assert shown_origin(url) == shown
