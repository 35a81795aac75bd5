"""Parsing and formatting of references and URLs, without a server."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panel.core.errors import InvalidInput, WrongHost
from panel.integrations.xwiki import pasted
from panel.integrations.xwiki.pasted import Prefix, parse_pasted, prefix_of
from panel.integrations.xwiki.reference import (
    BadReference,
    PageReference,
    instance_root,
    looks_like_reference,
    names_of_space,
    page_url,
    split_names,
)

ROOT = "https://wiki.example.org/xwiki"
ACTIONS = pasted._PAGE_ACTIONS | pasted._FILE_ACTIONS | pasted._OTHER_ACTIONS

names = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
in_all_wikis = st.sampled_from(["xwiki", "docs"])
references = st.builds(PageReference, in_all_wikis, st.lists(names, min_size=1, max_size=4).map(tuple), names)


def candidates(text: str, root: str = ROOT, wiki: str = "xwiki", prefix: Prefix | None = None) -> list[str]:
    return [str(candidate) for candidate in parse_pasted(text, root, wiki, lambda: prefix).candidates]


# --- references ----------------------------------------------------------------------------------------------------


@given(references)
def test_parsing_a_formatted_reference_returns_the_reference(reference: PageReference) -> None:
    assert PageReference.parse(str(reference)) == reference


@given(references)
def test_parsing_the_local_form_returns_the_reference(reference: PageReference) -> None:
    assert PageReference.parse(reference.local, reference.wiki) == reference
    assert tuple(split_names(reference.space)) == reference.spaces


@given(references.filter(lambda reference: reference.is_reachable))
def test_the_url_of_a_page_resolves_to_its_reference(reference: PageReference) -> None:
    assert reference in parse_pasted(page_url(ROOT, reference), ROOT, reference.wiki).candidates


@given(st.text(max_size=60))
def test_any_text_is_a_reachable_reference_or_rejected(text: str) -> None:
    try:
        found = list(parse_pasted(text, ROOT, "xwiki").candidates)
    except InvalidInput:
        found = []

    assert all(candidate.is_reachable for candidate in found)


@pytest.mark.parametrize(
    ("text", "wiki", "spaces", "name"),
    [
        ("Sandbox.TestPage1", "xwiki", ("Sandbox",), "TestPage1"),
        ("xwiki:Dev.Sub.WebHome", "xwiki", ("Dev", "Sub"), "WebHome"),
        (r"xwiki:07\. Dev.WebHome", "xwiki", ("07. Dev",), "WebHome"),
        (r"A\\b.C", "xwiki", (r"A\b",), "C"),
        ("docs:A.B", "docs", ("A",), "B"),
        ("A.b:c", "xwiki", ("A",), "b:c"),
        (r"A\:b.C", "xwiki", ("A:b",), "C"),
        ("xwiki:A.b:c", "xwiki", ("A",), "b:c"),
    ],
)
def test_parses_references_in_xwikis_notation(text: str, wiki: str, spaces: tuple[str, ...], name: str) -> None:
    assert PageReference.parse(text) == PageReference(wiki, spaces, name)


@pytest.mark.parametrize("text", ["", "Page", "xwiki:Page", "A..B", ".B", "A.", ":A.B", "A.B\n", "A." + "b" * 2000])
def test_rejects_text_that_names_no_page(text: str) -> None:
    with pytest.raises(BadReference):
        PageReference.parse(text)


def test_path_has_a_segment_for_each_name() -> None:
    reference = PageReference.parse(r"07\. Dev.A+B.Page 1")

    assert reference.path == ("wikis", "xwiki", "spaces", "07. Dev", "spaces", "A+B", "pages", "Page 1")


@pytest.mark.parametrize("text", [r"A.\.\.", r"\..B"])
def test_names_that_no_rest_url_can_contain_are_unreachable(text: str) -> None:
    assert not PageReference.parse(text).is_reachable


@pytest.mark.parametrize(
    ("identifier", "names"),
    [("xwiki:A.B", ("A", "B")), (r"xwiki:07\. Dev", ("07. Dev",)), ("A.B", ("A", "B")), (r"A\:b", ("A:b",))],
)
def test_parses_the_id_of_a_space(identifier: str, names: tuple[str, ...]) -> None:
    assert names_of_space(identifier) == names


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("Main.WebHome", "/bin/view/Main/"),
        ("Sandbox.TestPage1", "/bin/view/Sandbox/TestPage1"),
        (r"07\. Dev.A+B.WebHome", "/bin/view/07.%20Dev/A%2BB/"),
        ("docs:A.Été?", "/wiki/docs/view/A/%C3%89t%C3%A9%3F"),
    ],
)
def test_page_url_is_the_browser_url(reference: str, url: str) -> None:
    assert page_url(ROOT, PageReference.parse(reference)) == ROOT + url


# --- the instance root ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "/",
        "//",
        "/rest",
        "/rest/",
        "//rest/",
        "/rest/wikis/xwiki",
        "/rest/wikis/xwiki/spaces/A/pages/B",
        "/bin/",
        "/bin/view/Main/WebHome",
        "/bin/view/A/rest/bin/",
        "/bin/Main/WebHome",
        "/wiki/sub/view/A/B",
        "/wiki/sub/edit/A",
    ],
)
@pytest.mark.parametrize("root", ["https://wiki.example.org/xwiki", "https://wiki.example.org", "http://h:8080/Wiki/A"])
def test_root_is_the_part_before_the_page_path(root: str, tail: str) -> None:
    assert instance_root(root + tail) == root


@pytest.mark.parametrize(
    ("location", "root"),
    [
        ("https://Wiki.Example.org:443/XWiki/", "https://wiki.example.org/XWiki"),
        (" http://h:80/xwiki/bin/view/Main/;jsessionid=1A2B ", "http://h/xwiki"),
        ("https://h/wiki", "https://h/wiki"),
        ("https://h/wiki/bin/view/A", "https://h/wiki"),
        ("https://h/wiki/rest/wikis/xwiki", "https://h/wiki"),
        ("https://h/wiki/wiki/sub/view/A", "https://h/wiki"),
        ("http://[::1]:8080//xwiki//rest", "http://[::1]:8080/xwiki"),
    ],
)
def test_root_keeps_its_own_path(location: str, root: str) -> None:
    assert instance_root(location) == root
    assert instance_root(root) == root


@pytest.mark.parametrize(
    "location",
    [
        "",
        "wiki.example.org",
        "ftp://h/xwiki",
        "https://",
        "https:///xwiki",
        "https://h:99999/",
        "https://h:0/",
        "https://[::1",
        "https://alice:secret@h/xwiki",
        "https://h/xwiki?a=b",
        "https://h/xwiki#a",
        "https://h/a/../xwiki",
        "https://h/%2e%2e/a",
        "https://h/a b",
        "https://h\\@evil/",
        "https://h/\nxwiki",
        "https://h<script>/",
    ],
)
def test_rejects_an_invalid_instance_url(location: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        instance_root(location)

    assert caught.value.field == "location"
    assert "secret" not in str(caught.value)


# --- pasted URLs and typed references ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("", ["Main.WebHome"]),
        ("/", ["Main.WebHome"]),
        ("/bin/view/", ["Main.WebHome"]),
        ("/bin/view/Dev", ["Dev.WebHome"]),
        ("/bin/view/Dev/", ["Dev.WebHome"]),
        ("/bin/view/Dev/Sub", ["Dev.Sub", "Dev.Sub.WebHome"]),
        ("/bin/view/Dev/Sub/", ["Dev.Sub.WebHome"]),
        ("/bin/view/Dev/Sub/WebHome", ["Dev.Sub.WebHome"]),
        ("/bin/view/07.%20Dev/", [r"07\. Dev.WebHome"]),
        ("/bin/view/07.+Dev/", [r"07\. Dev.WebHome"]),
        ("/bin/view/A/b%2Bc", ["A.b+c", "A.b+c.WebHome"]),
        ("/bin/edit/A/B?editor=wiki#x", ["A.B", "A.B.WebHome"]),
        ("/bin/viewrev/A/B?rev=1.2", ["A.B", "A.B.WebHome"]),
        ("/bin/download/A/WebHome/file.pdf", ["A.WebHome"]),
        ("/bin/view/A/B;jsessionid=12?x", ["A.B", "A.B.WebHome"]),
        ("//bin//view//A//B", ["A.B", "A.B.WebHome"]),
        ("/bin/A/B", ["A.B", "A.B.WebHome"]),
        ("/view/A/B", ["A.B", "A.B.WebHome"]),
        ("/A/B", ["A.B", "A.B.WebHome"]),
        ("/bin/delete/A/B?confirm=1", ["A.B", "A.B.WebHome"]),
        ("/bin/export/A/WebHome?format=pdf", ["A.WebHome"]),
        ("/bin/delattachment/A/WebHome/file.pdf", ["A.WebHome"]),
        ("/bin/view/A/b%2Fc", ["A.b/c", "A.b/c.WebHome"]),
        ("/bin/view/A/b%5Cc", [r"A.b\\c", r"A.b\\c.WebHome"]),
        ("/rest/wikis/xwiki/spaces/A/spaces/B%20b/pages/C?media=json", ["A.B b.C"]),
        ("/rest/wikis/xwiki/spaces/A/pages/C/history/1.1", ["A.C"]),
        ("/rest/wikis/xwiki/spaces/A", ["A.WebHome"]),
        ("/wiki/xwiki/view/A/B", ["A.B", "A.B.WebHome"]),
    ],
)
def test_parses_browser_urls(tail: str, expected: list[str]) -> None:
    assert candidates(ROOT + tail) == [f"xwiki:{one}" for one in expected]


@pytest.mark.parametrize(
    "address",
    [
        "HTTPS://WIKI.example.org:443/xwiki/bin/view/A/",
        "https://u:p@wiki.example.org/xwiki/A/",
        "http://wiki.example.org/xwiki/bin/view/A/",
        "http://wiki.example.org.:80/xwiki/bin/view/A/",
    ],
)
def test_the_host_is_normalised_before_comparison(address: str) -> None:
    assert candidates(address) == ["xwiki:A.WebHome"]


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("https://other.example.org/xwiki/bin/view/A/", "other.example.org"),
        ("https://wiki.example.org:8443/xwiki/bin/view/A/", "wiki.example.org:8443"),
        ("https://wiki.example.org/xwiki2/bin/view/A/", "wiki.example.org/xwiki2"),
        ("https://wiki.example.org/XWiki/bin/view/A/", "wiki.example.org/XWiki"),
    ],
)
def test_error_names_the_other_host_of_a_page(address: str, location: str) -> None:
    with pytest.raises(WrongHost) as caught:
        parse_pasted(address, ROOT, "xwiki")

    assert str(caught.value) == f"This is a page of {location}. There is no source for it yet."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sandbox.TestPage1", ["Sandbox.TestPage1", "Sandbox.TestPage1.WebHome"]),
        (" xwiki:Dev.Sub.WebHome ", ["Dev.Sub.WebHome"]),
        (r"07\. Dev.Sub", [r"07\. Dev.Sub", r"07\. Dev.Sub.WebHome"]),
        ("Sandbox/TestPage1", ["Sandbox.TestPage1", "Sandbox.TestPage1.WebHome"]),
        ("xwiki:Dev/Sub/", ["Dev.Sub.WebHome"]),
        ("Dev/07", ["Dev.07", "Dev.07.WebHome"]),
        ("xwiki:A.b/c", ["A.b/c", "A.b/c.WebHome"]),
        ("A.b/c", ["A.b/c", "A.b/c.WebHome", r"A\.b.c", r"A\.b.c.WebHome"]),
        ("xwiki:A.b › c", ["A.b › c", "A.b › c.WebHome"]),
        ("xwiki:A.b · c", ["A.b · c", "A.b · c.WebHome"]),
        ("A.b · c", [r"A\.b.c", "A.b · c", "A.b · c.WebHome"]),
        ("Dev › Sub", ["Dev.Sub.WebHome", "Dev.Sub"]),
        ("Dev › a:b", [r"Dev.a\:b.WebHome", "Dev.a:b"]),
        ("page:Dev › 07. Sub", [r"Dev.07\. Sub.WebHome", r"Dev.07\. Sub"]),
        ("› 07. Dev", [r"07\. Dev.WebHome"]),
        ("Dev › Sub · 07. Page", [r"Dev.Sub.07\. Page"]),
        ("A/b:c", ["A.b:c", r"A.b\:c.WebHome"]),
        ("[[Sandbox.TestPage1]]", ["Sandbox.TestPage1", "Sandbox.TestPage1.WebHome"]),
        ("[[the page>>Sandbox.TestPage1]]", ["Sandbox.TestPage1", "Sandbox.TestPage1.WebHome"]),
        ('[[a>>b>>doc:xwiki:A.WebHome||anchor="HB" target="_blank"]]', ["A.WebHome"]),
        (f"[[the page>>url:{ROOT}/bin/view/A/]]", ["A.WebHome"]),
        (f"[[{ROOT}/bin/view/A/]]", ["A.WebHome"]),
        ("doc:Sandbox.WebHome", ["Sandbox.WebHome"]),
        ("doc:xwiki:Sandbox.WebHome", ["Sandbox.WebHome"]),
        ("page:A/b.c", [r"A.b\.c", r"A.b\.c.WebHome"]),
        ("space:A.B", ["A.B.WebHome"]),
    ],
)
def test_parses_typed_references(text: str, expected: list[str]) -> None:
    assert candidates(text) == [f"xwiki:{one}" for one in expected]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Sandbox", "“Sandbox” has no space: write Space.Page, or search for it."),
        ("docs:A.B", "This page is in the wiki “docs”; this source reads the wiki “xwiki”."),
        (f"{ROOT}/wiki/docs/view/A/B", "This page is in the wiki “docs”; this source reads the wiki “xwiki”."),
        ("doc:docs:A.B", "This page is in the wiki “docs”; this source reads the wiki “xwiki”."),
        (f"{ROOT}/bin/view/A/%2e%2e/B", "xWiki cannot serve a page whose name is a dot or two dots."),
        (
            f"{ROOT}/bin/login/XWiki/XWikiLogin",
            "This address is no page: open the page in xWiki and paste its address.",
        ),
        (f"{ROOT}/rest/wikis/xwiki", "This address is no page: open the page in xWiki and paste its address."),
        ("", "Give the address of a page, or its reference: Space.Page."),
        ("[[]]", "“[[]]” is no page: give its address, or its reference: Space.Page."),
        ("[[label>>||anchor]]", "“[[label>>||anchor]]” is no page: give its address, or its reference: Space.Page."),
        ("xwiki:", "“xwiki:” is no page: give its address, or its reference: Space.Page."),
        ("A..B", "“A..B” is no page: give its address, or its reference: Space.Page."),
        (
            f"{ROOT}/bin/view/A/%FF",
            f"“{ROOT}/bin/view/A/%FF” is no page: give its address, or its reference: Space.Page.",
        ),
    ],
)
def test_error_says_why_a_text_is_not_a_page_of_this_source(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_pasted(text, ROOT, "xwiki")

    assert (caught.value.field, str(caught.value)) == ("reference", sentence)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://other.example/x", True),
        ("HTTP://h", True),
        ("xwiki:A.B", True),
        ("xwiki:Home", True),
        ("Sandbox.TestPage1", True),
        (r"07\. Dev.Sub", True),
        ("docs:A.B", True),
        ("welstand dak", False),
        ("art. 4", False),
        ("Dakkapel", False),
        ("etc.", False),
        ("4.20", False),
        ("", False),
        ("a@b.example", False),
        ("xwiki: hoe werkt het", False),
        (r"07\. Dev", False),
        ("zin een. zin twee", False),
        ("24/7", False),
        ("Sandbox/TestPage1", True),
        ("en/of iets", False),
        ("Dev › Sub page", True),
        ("[[a page>>Sandbox.TestPage1]]", True),
        ("doc:Sandbox.TestPage1", True),
        ("...", False),
    ],
)
def test_distinguishes_references_from_words(text: str, expected: bool) -> None:
    assert looks_like_reference(text, "xwiki") is expected


# --- short addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "page", "prefix"),
    [
        (f"{ROOT}/bin/view/Main/", "Main.WebHome", ("xwiki", "bin", "view")),
        (f"{ROOT}/bin/view/Main/WebHome", "Main.WebHome", ("xwiki", "bin", "view")),
        ("https://wiki.example.org/wiki/Main/", "Main.WebHome", ("wiki",)),
        ("https://wiki.example.org/Main/", "Main.WebHome", ()),
        ("http://wiki.example.org/Dev/07.%20Sub", r"Dev.07\. Sub", ()),
        (f"{ROOT}/wiki/docs/view/Main/", "docs:Main.WebHome", ("xwiki", "wiki", "docs", "view")),
        ("https://other.example.org/Main/", "Main.WebHome", None),
        ("https://wiki.example.org/", "Main.WebHome", None),
        ("nonsense", "Main.WebHome", None),
        (None, "Main.WebHome", None),
    ],
)
def test_learns_how_a_wiki_builds_addresses(address: object, page: str, prefix: Prefix | None) -> None:
    assert prefix_of(address, PageReference.parse(page), ROOT) == prefix


@pytest.mark.parametrize(
    ("address", "root", "prefix", "expected"),
    [
        ("https://wiki.example.org/Sandbox/TestPage1", ROOT, (), "Sandbox.TestPage1"),
        ("https://wiki.example.org/wiki/Dev/Sub/", ROOT, ("wiki",), "Dev.Sub.WebHome"),
        ("https://wiki.example.org/wiki/Dev/Sub/", "https://wiki.example.org", ("wiki",), "Dev.Sub.WebHome"),
        ("https://wiki.example.org/wiki/edit/Dev/Sub", ROOT, ("wiki",), "Dev.Sub"),
        ("https://wiki.example.org/wiki/", ROOT, ("wiki",), "Main.WebHome"),
        (f"{ROOT}/bin/view/Dev/Sub", ROOT, (), "Dev.Sub"),
        (f"{ROOT}/wiki/xwiki/view/Dev/Sub", "https://wiki.example.org/xwiki", ("xwiki",), "Dev.Sub"),
    ],
)
def test_reads_short_addresses(address: str, root: str, prefix: Prefix, expected: str) -> None:
    assert candidates(address, root, prefix=prefix)[0] == f"xwiki:{expected}"


def test_a_short_address_of_another_wiki_is_refused_by_the_name_of_that_wiki() -> None:
    with pytest.raises(InvalidInput, match="This page is in the wiki “docs”"):
        candidates("https://wiki.example.org/wiki/docs/view/A/B", "https://wiki.example.org", prefix=())


@given(references.filter(lambda reference: reference.is_reachable), st.sampled_from([(), ("wiki",), ("a b", "+")]))
def test_the_short_address_of_a_page_resolves_to_its_reference(reference: PageReference, prefix: Prefix) -> None:
    # xWiki parses the name of an action as that action, and then writes "view" before the space.
    names = (*(["view"] if reference.spaces[0] in ACTIONS else []), *reference.spaces, reference.name)
    path = "/".join(quote(part, safe="") for part in (*prefix, *names))

    address = f"https://wiki.example.org/{path}"
    assert reference in parse_pasted(address, ROOT, reference.wiki, lambda: prefix).candidates


@given(references.filter(lambda reference: reference.is_reachable and not reference.name[-1].isspace()))
def test_the_reference_that_is_shown_resolves_to_its_page(reference: PageReference) -> None:
    assert parse_pasted(str(reference), ROOT, reference.wiki).candidates[0] == reference
